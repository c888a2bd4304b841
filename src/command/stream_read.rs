//! Streams again: what comes behind certain ids of several of them, and what is
//! to come. A read takes nothing away, so that all who wait for an entry get it.

use std::time::Duration;

use super::stream::write_entries;
use crate::db::value::Stream;
use crate::db::value::stream::StreamId;
use crate::db::{Db, Handle};
use crate::engine::Wait;
use crate::error::{Error, Result};
use crate::resp::{Argv, Reply};
use crate::table::vocabulary::{READ, READ_KEY, STREAM};
use crate::table::{Args, Command, Flags, Handler, Row};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "xread", arity: -4, flags: READ.union(Flags::BLOCKING),
        keys: &[READ_KEY.after("STREAMS", 1).halves()],
        usage: "[COUNT count:integer] [BLOCK milliseconds:integer] \
            STREAMS streams(key:key... id...)",
        since: "5.0.0",
        complexity: "For each stream mentioned: O(N) with N being the number of elements being \
            returned, it means that XREAD-ing with a fixed COUNT is O(1). Note that when the BLOCK \
            option is used, XADD will pay O(M) time in order to serve the M clients blocked on the \
            stream getting new data.",
        summary: "The entries of streams that come behind certain ids; may wait for one.",
        handler: Handler::Blocking(xread),
        ..STREAM
    },
];

/// The command that reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// XREAD
    Read,
    /// XREADGROUP
    Group,
}

/// What is to be read, and whether to wait for it.
pub struct Reading<'a> {
    /// The most entries of a stream.
    pub count: Option<usize>,
    /// Whether to wait, and for how long; `None` in it is for ever.
    pub block: Option<Option<Duration>>,
    /// The group and the consumer, of XREADGROUP.
    pub group: Option<(&'a [u8], &'a [u8])>,
    /// Nothing becomes pending.
    pub noack: bool,
    /// The streams.
    pub keys: Argv<'a>,
    /// For each the id behind which to begin, or a word that stands for one.
    pub ids: Argv<'a>,
    /// Which word of the request is the first of those ids.
    pub first_id: usize,
}

impl<'a> Reading<'a> {
    /// Reads a request at the time `now`, in milliseconds since 1970.
    pub fn parse(argv: Argv<'a>, form: Form, now: i64) -> Result<Reading<'a>> {
        let mut args = Args::new(argv, 1);
        let nothing = argv.slice(0..0).ok_or(Error::SYNTAX)?;
        let mut reading = Reading {
            count: None,
            block: None,
            group: None,
            noack: false,
            keys: nothing,
            ids: nothing,
            first_id: 0,
        };
        while args.remaining() > 0 {
            let more = args.remaining() - 1;
            if more >= 1 && args.keyword("block") {
                reading.block = Some(args.timeout_ms(now)?);
            } else if more >= 1 && args.keyword("count") {
                let count = usize::try_from(args.int()?).unwrap_or(0);
                reading.count = Some(count).filter(|count| *count > 0);
            } else if more >= 1 && args.keyword("streams") {
                if more % 2 == 1 {
                    return Err(match form {
                        Form::Read => Error::unbalanced_streams("xread", '$'),
                        Form::Group => Error::unbalanced_streams("xreadgroup", '>'),
                    });
                }
                reading.keys = args.take(more / 2)?;
                reading.first_id = argv.len() - more / 2;
                reading.ids = args.take(more / 2)?;
            } else if more >= 2 && args.keyword("group") {
                if form == Form::Read {
                    return Err(Error::GROUP_IN_XREAD);
                }
                reading.group = Some((args.next()?, args.next()?));
            } else if args.keyword("noack") {
                if form == Form::Read {
                    return Err(Error::NOACK_IN_XREAD);
                }
                reading.noack = true;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        if reading.keys.is_empty() {
            return Err(Error::SYNTAX);
        }
        if form == Form::Group && reading.group.is_none() {
            return Err(Error::GROUP_MISSING);
        }
        Ok(reading)
    }

    /// The streams, each with where to begin.
    pub fn streams(&self) -> impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone {
        self.keys.iter().zip(self.ids.iter())
    }
}

/// Whether this is a request to read streams that asks to wait: a script may
/// not, even where there is something to read.
pub fn asks_to_block(command: &Command, argv: Argv<'_>) -> bool {
    if !matches!(command.row.name, "xread" | "xreadgroup") {
        return false;
    }
    let mut args = Args::new(argv, 1);
    while args.remaining() > 1 {
        if args.keyword("block") {
            return true;
        }
        // What is wrong before it is told first.
        let goes_on = if args.keyword("count") {
            args.int().is_ok()
        } else if args.keyword("group") {
            args.take(2.min(args.remaining())).is_ok()
        } else {
            args.keyword("noack")
        };
        if !goes_on {
            return false;
        }
    }
    false
}

/// What there is to read of a stream.
struct Found<'a> {
    key: &'a [u8],
    handle: Handle,
    start: StreamId,
    count: usize,
}

fn xread(db: &mut Db<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Result<Option<Wait>> {
    let reading = Reading::parse(argv, Form::Read, db.now)?;
    let mut behind = Vec::with_capacity(reading.ids.len());
    for (key, id) in reading.streams() {
        behind.push(begin(db.read_value::<Stream>(key)?, id)?);
    }
    let mut found = Vec::new();
    for (key, behind) in reading.keys.iter().zip(&behind) {
        let Some(handle) = db.read(key) else {
            continue;
        };
        let entries = &db.value::<Stream>(handle)?.entries;
        let Some(start) = behind.next() else {
            continue;
        };
        let count = entries.count(start, StreamId::MAX, reading.count.unwrap_or(usize::MAX));
        if count > 0 {
            found.push(Found {
                key,
                handle,
                start,
                count,
            });
        }
    }
    if !found.is_empty() {
        begin_streams(reply, found.len());
        for stream in found {
            begin_stream(reply, stream.key);
            let entries = &db.value::<Stream>(stream.handle)?.entries;
            write_entries(
                reply,
                stream.count,
                entries.range(stream.start, StreamId::MAX),
            );
        }
        return Ok(None);
    }
    let Some(timeout) = reading.block else {
        reply.null_array();
        return Ok(None);
    };
    // What comes from now on is new, whenever the request runs again.
    let words = reading.ids.iter().zip(&behind).enumerate();
    let words = words.filter(|(_, (id, _))| *id == b"$");
    let words = words.map(|(at, (_, behind))| (reading.first_id + at, behind.to_string().into()));
    Ok(Some(Wait {
        words: words.collect(),
        ready: Some(is_ready),
        ..Wait::for_kind(Stream::KIND, timeout)
    }))
}

/// Whether something has come behind the id that belongs to a key.
fn is_ready(db: &Db<'_>, handle: Handle, argv: Argv<'_>, key: usize, keys: usize) -> bool {
    let Ok(stream) = db.value::<Stream>(handle) else {
        return false;
    };
    let id = argv.get(key + keys).and_then(|id| StreamId::parse(id, 0));
    id.is_none_or(|id| stream.entries.last_id() > id)
}

/// The id behind which XREAD begins.
fn begin(stream: Option<&Stream>, id: &[u8]) -> Result<StreamId> {
    let entries = stream.map(|stream| &stream.entries);
    match id {
        b"$" => Ok(entries.map_or(StreamId::MIN, |entries| entries.last_id())),
        // The last entry, if there is one.
        b"+" => {
            let last = entries.and_then(|entries| entries.last());
            Ok(last.and_then(|last| last.id.previous()).unwrap_or_default())
        }
        b">" => Err(Error::NEW_IN_XREAD),
        _ => StreamId::parse(id, 0).ok_or(Error::INVALID_STREAM_ID),
    }
}

/// Begins a reply about so many streams.
pub fn begin_streams(reply: &mut Reply<'_>, count: usize) {
    match reply.is_resp3() {
        true => reply.map(count),
        false => reply.array(count),
    }
}

/// Begins what is told of a stream: its entries follow.
pub fn begin_stream(reply: &mut Reply<'_>, key: &[u8]) {
    if !reply.is_resp3() {
        reply.array(2);
    }
    reply.bulk(key);
}
