//! Streams: entries that are added at the end, read by their ids, and trimmed.
//!
//! Commands that read several streams, and wait for entries, are in
//! [`super::stream_read`].

use crate::db::value::Stream;
use crate::db::value::stream::{
    ENTRY_MAX, Entries, Entry, Exactness, ID_TEXT_MAX, Keep, NewId, NodeLimits, StreamId,
};
use crate::db::{Db, Edited, Handle};
use crate::error::{Error, Result};
use crate::resp::{Argv, Reply};
use crate::table::vocabulary::{
    GROW_FAST, READ, READ_FAST, READ_KEY, REMOVE_KEY, STAT_KEY, STREAM, UPDATE_KEY, WRITE,
    WRITE_FAST,
};
use crate::table::{Args, Handler, Row};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "xadd", arity: -5, flags: GROW_FAST,
        keys: &[UPDATE_KEY.noted("UPDATE instead of INSERT because of the optional trimming feature")],
        tips: &["nondeterministic_output"],
        usage: "key:key [NOMKSTREAM@6.2.0] [trim(strategy(MAXLEN|MINID@6.2.0) \
            [operator(equal==|approximately=~)] threshold [LIMIT count:integer@6.2.0])] \
            id_or_auto(auto_id=*|id) field_value(field value)...",
        since: "5.0.0",
        complexity: "O(1) when adding a new entry, O(N) when trimming where N being the number of \
            entries evicted.",
        history: &[
            ("6.2.0", "Added the `NOMKSTREAM` option, `MINID` trimming strategy and the `LIMIT` option."),
            ("7.0.0", "Added support for the `<ms>-*` explicit ID form."),
        ],
        summary: "Adds an entry to a stream, and creates it if it is missing.",
        handler: Handler::Data(xadd),
        ..STREAM
    },
    Row {
        name: "xlen", arity: 2, flags: READ_FAST, keys: &[STAT_KEY],
        usage: "key:key", since: "5.0.0",
        summary: "How many entries a stream has.", handler: Handler::Data(xlen),
        ..STREAM
    },
    Row {
        name: "xrange", arity: -4, flags: READ, keys: &[READ_KEY],
        usage: "key:key start end [COUNT count:integer]", since: "5.0.0",
        complexity: "O(N) with N being the number of elements being returned. If N is constant \
            (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1).",
        history: &[("6.2.0", "Added exclusive ranges.")],
        summary: "The entries of a stream from one id to another.", handler: Handler::Data(xrange),
        ..STREAM
    },
    Row {
        name: "xrevrange", arity: -4, flags: READ, keys: &[READ_KEY],
        usage: "key:key end start [COUNT count:integer]", since: "5.0.0",
        complexity: "O(N) with N being the number of elements returned. If N is constant (e.g. \
            always asking for the first 10 elements with COUNT), you can consider it O(1).",
        history: &[("6.2.0", "Added exclusive ranges.")],
        summary: "The entries of a stream from one id back to another.",
        handler: Handler::Data(xrevrange),
        ..STREAM
    },
    Row {
        name: "xdel", arity: -3, flags: WRITE_FAST, keys: &[REMOVE_KEY],
        usage: "key:key id...", since: "5.0.0",
        complexity: "O(1) for each single item to delete in the stream, regardless of the stream \
            size.",
        summary: "Removes entries with certain ids from a stream.", handler: Handler::Data(xdel),
        ..STREAM
    },
    Row {
        name: "xtrim", arity: -4, flags: WRITE, keys: &[REMOVE_KEY],
        tips: &["nondeterministic_output"],
        usage: "key:key trim(strategy(MAXLEN|MINID@6.2.0) [operator(equal==|approximately=~)] \
            threshold [LIMIT count:integer@6.2.0])",
        since: "5.0.0",
        complexity: "O(N), with N being the number of evicted entries. Constant times are very \
            small however, since entries are organized in macro nodes containing multiple entries \
            that can be released with a single deallocation.",
        history: &[("6.2.0", "Added the `MINID` trimming strategy and the `LIMIT` option.")],
        summary: "Removes the first entries of a stream.", handler: Handler::Data(xtrim),
        ..STREAM
    },
    Row {
        name: "xsetid", arity: -3, flags: GROW_FAST, keys: &[UPDATE_KEY],
        usage: "key:key last-id [ENTRIESADDED entries_added:integer@7.0.0] \
            [MAXDELETEDID max_deleted_entry_id@7.0.0]",
        since: "5.0.0",
        history: &[("7.0.0", "Added the `entries_added` and `max_deleted_entry_id` arguments.")],
        summary: "Sets the last id of a stream, and what it remembers of entries that have gone.",
        handler: Handler::Data(xsetid),
        ..STREAM
    },
];

/// An id that must be one: neither `-` nor `+`. Without a number it is the
/// first of its millisecond.
pub fn id(args: &mut Args<'_>) -> Result<StreamId> {
    StreamId::parse(args.next()?, 0).ok_or(Error::INVALID_STREAM_ID)
}

/// What XADD and XTRIM are told before the id, and that.
struct Options {
    no_create: bool,
    trim: Option<Trim>,
    id: NewId,
}

/// What goes when entries are trimmed.
#[derive(Clone, Copy)]
struct Trim {
    keep: Keep,
    how: Exactness,
}

/// The command whose options are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Add,
    Trim,
}

impl Options {
    fn parse(args: &mut Args<'_>, form: Form, limits: NodeLimits) -> Result<Options> {
        let adds = form == Form::Add;
        let mut options = Options {
            no_create: false,
            trim: None,
            id: NewId::Auto,
        };
        let (mut keep, mut approximate, mut limit) = (None, false, None);
        while let Some(word) = args.peek() {
            let has_more = args.remaining() > 1;
            if adds && word == b"*" {
                args.next()?;
                break;
            } else if has_more && args.keyword("maxlen") {
                one_strategy(keep)?;
                approximate = operator(args);
                let len = args.int()?;
                let len = u64::try_from(len).map_err(|_| Error::TRIM_MAXLEN_NEGATIVE)?;
                keep = Some(Keep::MaxLen(len));
            } else if has_more && args.keyword("minid") {
                one_strategy(keep)?;
                approximate = operator(args);
                keep = Some(Keep::MinId(id(args)?));
            } else if has_more && args.keyword("limit") {
                let most = u64::try_from(args.int()?);
                limit = Some(most.map_err(|_| Error::TRIM_LIMIT_NEGATIVE)?);
            } else if adds && args.keyword("nomkstream") {
                options.no_create = true;
            } else if adds {
                options.id = NewId::parse(args.next()?).ok_or(Error::INVALID_STREAM_ID)?;
                break;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        if keep.is_none() && limit.is_some_and(|limit| limit > 0) {
            return Err(Error::LIMIT_WITHOUT_TRIM);
        }
        if keep.is_none() && !adds {
            return Err(Error::XTRIM_WITHOUT_TRIM);
        }
        let how = match (approximate, limit) {
            (false, Some(_)) => return Err(Error::LIMIT_WITHOUT_APPROX),
            (false, None) => Exactness::Exact,
            (true, limit) => Exactness::Approximate {
                limit: limit.unwrap_or(limits.trimmed_at_once()),
            },
        };
        options.trim = keep.map(|keep| Trim { keep, how });
        Ok(options)
    }
}

/// A stream is trimmed in one way.
fn one_strategy(keep: Option<Keep>) -> Result<()> {
    match keep {
        Some(_) => Err(Error::MAXLEN_AND_MINID),
        None => Ok(()),
    }
}

/// Takes `~` or `=` if one is there with something behind it; answers whether
/// it is the first.
fn operator(args: &mut Args<'_>) -> bool {
    let approximate = args.remaining() > 1 && args.keyword("~");
    if !approximate && args.remaining() > 1 {
        args.keyword("=");
    }
    approximate
}

fn xadd(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let limits = db.limits().stream;
    let key = args.next()?;
    let options = Options::parse(&mut args, Form::Add, limits)?;
    let pairs = args.remaining() / 2;
    if pairs == 0 || args.remaining() % 2 == 1 {
        return Err(args.wrong_arity());
    }
    if options.id == NewId::Exact(StreamId::MIN) {
        return Err(Error::NEW_ID_ZERO);
    }
    let words = args.take(2 * pairs)?;
    let found = db.lookup(key);
    if found.is_none() && options.no_create {
        reply.null();
        return Ok(());
    }
    let now = u64::try_from(db.now).unwrap_or(0);
    let id = db.edit_or_create(key, found, |stream: &mut Stream| {
        let entries = &mut stream.entries;
        if entries.last_id() == StreamId::MAX {
            return Err(Error::IDS_EXHAUSTED);
        }
        let id = entries.next_id(options.id, now);
        let id = id.ok_or(Error::NEW_ID_TOO_LOW)?;
        if words.iter().map(<[u8]>::len).sum::<usize>() > ENTRY_MAX {
            return Err(Error::ENTRY_TOO_LARGE);
        }
        entries.append(id, fields(words), limits);
        Ok(Edited::Changed("xadd", 1, id))
    })?;
    if let Some(what) = options.trim
        && let Some(handle) = found.or_else(|| db.peek(key))
    {
        // Redis does not count what goes here as changes of its own.
        trim(db, key, handle, what, |_| 0)?;
    }
    write_id(id, reply);
    Ok(())
}

/// The fields of an entry and their values, which stand there by turns.
fn fields(words: Argv<'_>) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + Clone {
    let word = move |index| words.get(index).unwrap_or_default();
    (0..words.len() / 2).map(move |pair| (word(2 * pair), word(2 * pair + 1)))
}

/// Trims the stream under `key`, whose entry is `handle`; answers how many
/// entries have gone. `changes` says how many changes that counts as.
fn trim(
    db: &mut Db<'_>,
    key: &[u8],
    handle: Handle,
    what: Trim,
    changes: fn(usize) -> usize,
) -> Result<usize> {
    let (gone, cut) = db.edit(key, handle, |stream: &mut Stream| {
        let (gone, cut) = stream.entries.trim(what.keep, what.how);
        Ok(match gone {
            0 => Edited::Unchanged((0, Entries::default())),
            _ => Edited::Changed("xtrim", changes(gone), (gone, cut)),
        })
    })?;
    if cut.node_count() > 0 {
        db.discard(Stream {
            entries: cut,
            ..Stream::default()
        });
    }
    Ok(gone)
}

/// Writes an id.
pub fn write_id(id: StreamId, reply: &mut Reply<'_>) {
    reply.bulk(id.text(&mut [0; ID_TEXT_MAX]));
}

/// Writes the first `count` entries, of which there are so many.
pub fn write_entries<'a>(
    reply: &mut Reply<'_>,
    count: usize,
    entries: impl Iterator<Item = Entry<'a>>,
) {
    reply.array(count);
    entries
        .take(count)
        .for_each(|entry| write_entry(reply, entry));
}

/// Writes an entry: its id, its fields and their values.
pub fn write_entry(reply: &mut Reply<'_>, entry: Entry<'_>) {
    reply.array(2);
    write_id(entry.id, reply);
    reply.array(2 * entry.fields.len());
    for (field, value) in entry.fields {
        reply.bulk(field);
        reply.bulk(value);
    }
}

fn xlen(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let stream = db.read_value::<Stream>(args.next()?)?;
    reply.len(stream.map_or(0, |stream| stream.entries.len()));
    Ok(())
}

/// Which entry of a range comes first.
#[derive(Clone, Copy)]
enum Order {
    Up,
    Down,
}

fn xrange(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    range(db, args, reply, Order::Up)
}

fn xrevrange(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    range(db, args, reply, Order::Down)
}

fn range(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>, order: Order) -> Result<()> {
    let key = args.next()?;
    let (first, second) = (args.next()?, args.next()?);
    let (start, end) = match order {
        Order::Up => (first, second),
        Order::Down => (second, first),
    };
    let start = start_id(start)?;
    let end = end_id(end)?;
    let mut count = None;
    while args.remaining() > 0 {
        if args.remaining() < 2 || !args.keyword("count") {
            return Err(Error::SYNTAX);
        }
        count = Some(usize::try_from(args.int()?).unwrap_or(0));
    }
    let Some(stream) = db.read_value::<Stream>(key)? else {
        reply.array(0);
        return Ok(());
    };
    if count == Some(0) {
        reply.null_array();
        return Ok(());
    }
    let entries = &stream.entries;
    let found = entries.range(start, end);
    let count = found.len_up_to(count.unwrap_or(usize::MAX));
    match order {
        Order::Up => write_entries(reply, count, found),
        Order::Down => write_entries(reply, count, entries.range_rev(start, end)),
    }
    Ok(())
}

/// The first id of a range; behind `(` it is not part of it.
pub fn start_id(text: &[u8]) -> Result<StreamId> {
    match excluded(text) {
        Some(text) => {
            let id = StreamId::parse(text, 0).ok_or(Error::INVALID_STREAM_ID)?;
            id.next().ok_or(Error::INVALID_START_ID)
        }
        None => StreamId::parse_bound(text, 0).ok_or(Error::INVALID_STREAM_ID),
    }
}

/// The last id of a range; behind `(` it is not part of it.
pub fn end_id(text: &[u8]) -> Result<StreamId> {
    match excluded(text) {
        Some(text) => {
            let id = StreamId::parse(text, u64::MAX).ok_or(Error::INVALID_STREAM_ID)?;
            id.previous().ok_or(Error::INVALID_END_ID)
        }
        None => StreamId::parse_bound(text, u64::MAX).ok_or(Error::INVALID_STREAM_ID),
    }
}

/// The text behind `(`, if something is there.
fn excluded(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b"(").filter(|rest| !rest.is_empty())
}

fn xdel(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    let Some(handle) = db.lookup(key) else {
        reply.int(0);
        return Ok(());
    };
    let removed = db.edit(key, handle, |stream: &mut Stream| {
        // Not one goes if one of the ids is none.
        let mut checked = args;
        while checked.remaining() > 0 {
            id(&mut checked)?;
        }
        let mut removed = 0;
        while args.remaining() > 0 {
            removed += usize::from(stream.entries.remove(id(&mut args)?));
        }
        Ok(match removed {
            0 => Edited::Unchanged(0),
            _ => Edited::Changed("xdel", removed, removed),
        })
    })?;
    reply.len(removed);
    Ok(())
}

fn xtrim(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    let options = Options::parse(&mut args, Form::Trim, db.limits().stream)?;
    let trimmed = match (db.lookup(key), options.trim) {
        (Some(handle), Some(what)) => trim(db, key, handle, what, |gone| gone)?,
        _ => 0,
    };
    reply.len(trimmed);
    Ok(())
}

fn xsetid(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    let last_id = id(&mut args)?;
    let (mut added, mut max_deleted) = (None, None);
    while args.remaining() > 0 {
        let has_more = args.remaining() > 1;
        if has_more && args.keyword("entriesadded") {
            let count = u64::try_from(args.int()?);
            added = Some(count.map_err(|_| Error::ENTRIES_ADDED_NEGATIVE)?);
        } else if has_more && args.keyword("maxdeletedid") {
            let deleted = id(&mut args)?;
            if last_id < deleted {
                return Err(Error::SET_ID_BELOW_GIVEN_DELETED);
            }
            // Redis takes 0-0 for none.
            max_deleted = Some(deleted).filter(|id| *id != StreamId::MIN);
        } else {
            return Err(Error::SYNTAX);
        }
    }
    let handle = db.lookup(key).ok_or(Error::NO_SUCH_KEY)?;
    db.edit(key, handle, |stream: &mut Stream| {
        let entries = &mut stream.entries;
        if last_id < entries.max_deleted_id() {
            return Err(Error::SET_ID_BELOW_DELETED);
        }
        if entries.last().is_some_and(|top| last_id < top.id) {
            return Err(Error::SET_ID_BELOW_TOP);
        }
        let is_too_low = |added| !entries.is_empty() && added < entries.len() as u64;
        if added.is_some_and(is_too_low) {
            return Err(Error::ENTRIES_ADDED_TOO_LOW);
        }
        entries.set_ids(last_id, added, max_deleted);
        Ok(Edited::Noted(Some("xsetid"), 1, ()))
    })?;
    reply.ok();
    Ok(())
}
