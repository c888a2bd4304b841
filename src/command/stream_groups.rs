//! Groups of consumers that share the entries of a stream: each entry goes to
//! one of them, and is pending there until it is acknowledged.
//!
//! What becomes of entries that stay pending is in [`super::stream_claim`].

use super::stream::{self, write_entry, write_id};
use super::stream_read::{Form, Reading, begin_stream, begin_streams};
use crate::db::value::Stream;
use crate::db::value::stream::{Delivery, Entries, Finder, Group, StreamId};
use crate::db::{Db, Edited, Handle};
use crate::engine::{Null, Wait};
use crate::error::{Error, Result};
use crate::resp::{Argv, Output, Reply};
use crate::table::vocabulary::{
    CONTAINER, GROW, INSERT_KEY, READ_KEY, REMOVE_KEY, STREAM, UPDATE_KEY, WRITE, WRITE_FAST,
};
use crate::table::{self, Args, Flags, HELP, Handler, Row};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "xgroup", group: table::Group::Stream, since: "5.0.0",
        summary: "Makes and removes groups of consumers.",
        subcommands: &[
            Row {
                name: "create", arity: -5, flags: GROW, keys: &[INSERT_KEY.at(2)],
                usage: "key:key groupname id(id|new_id=$) [MKSTREAM] [ENTRIESREAD entries_read:integer]",
                since: "5.0.0",
                history: &[("7.0.0", "Added the `entries_read` named argument.")],
                summary: "Makes a group that reads a stream from behind an id on.",
                handler: Handler::Data(xgroup_create),
                ..STREAM
            },
            Row {
                name: "createconsumer", arity: 5, flags: GROW, keys: &[INSERT_KEY.at(2)],
                usage: "key:key groupname consumername", since: "6.2.0",
                summary: "Adds a consumer to a group.",
                handler: Handler::Data(xgroup_createconsumer),
                ..STREAM
            },
            Row {
                name: "delconsumer", arity: 5, flags: WRITE, keys: &[REMOVE_KEY.at(2)],
                usage: "key:key groupname consumername", since: "5.0.0",
                summary: "Removes a consumer from a group, and forgets what is pending there.",
                handler: Handler::Data(xgroup_delconsumer),
                ..STREAM
            },
            Row {
                name: "destroy", arity: 4, flags: WRITE, keys: &[REMOVE_KEY.at(2)],
                usage: "key:key groupname", since: "5.0.0",
                complexity: "O(N) where N is the number of entries in the group's pending entries \
                    list (PEL).",
                summary: "Removes a group.", handler: Handler::Data(xgroup_destroy),
                ..STREAM
            },
            Row {
                name: "setid", arity: -5, flags: WRITE, keys: &[UPDATE_KEY.at(2)],
                usage: "key:key groupname id(id|new_id=$) [ENTRIESREAD entries_read:integer]",
                since: "5.0.0",
                history: &[("7.0.0", "Added the optional `entries_read` argument.")],
                summary: "Has a group read on from behind an id.",
                handler: Handler::Data(xgroup_setid),
                ..STREAM
            },
            Row { group: table::Group::Stream, since: "5.0.0", ..HELP },
        ],
        ..CONTAINER
    },
    Row {
        name: "xreadgroup", arity: -7, flags: WRITE.union(Flags::BLOCKING),
        keys: &[READ_KEY.after("STREAMS", 4).halves()],
        usage: "GROUP group_consumer(group consumer) [COUNT count:integer] \
            [BLOCK milliseconds:integer] [NOACK] STREAMS streams(key:key... id...)",
        since: "5.0.0",
        complexity: "For each stream mentioned: O(M) with M being the number of elements returned. \
            If M is constant (e.g. always asking for the first 10 elements with COUNT), you can \
            consider it O(1). On the other side when XREADGROUP blocks, XADD will pay the O(N) \
            time in order to serve the N clients blocked on the stream getting new data.",
        summary: "The next entries of streams for a consumer of a group, or those it has in hand; \
            may wait for one.",
        handler: Handler::Blocking(xreadgroup),
        ..STREAM
    },
    Row {
        name: "xack", arity: -4, flags: WRITE_FAST, keys: &[UPDATE_KEY],
        usage: "key:key group id...", since: "5.0.0",
        complexity: "O(1) for each message ID processed.",
        summary: "Says that entries need not be pending in a group any more.",
        handler: Handler::Data(xack),
        ..STREAM
    },
];

/// What XGROUP CREATE and SETID are told behind the id.
#[derive(Default)]
struct Options {
    create: bool,
    entries_read: Option<i64>,
    /// How many words they are.
    words: usize,
}

impl Options {
    fn parse(mut args: Args<'_>, may_create: bool) -> Result<Options> {
        let mut options = Options {
            words: args.remaining(),
            ..Options::default()
        };
        while args.remaining() > 0 {
            if may_create && args.keyword("mkstream") {
                options.create = true;
            } else if args.remaining() > 1 && args.keyword("entriesread") {
                options.entries_read = match args.int()? {
                    -1 => None,
                    read @ 0.. => Some(read),
                    _ => return Err(Error::ENTRIES_READ_NEGATIVE),
                };
            } else {
                return Err(args.wrong_subcommand());
            }
        }
        Ok(options)
    }
}

fn xgroup_create(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, name, id) = (args.next()?, args.next()?, args.next()?);
    let options = Options::parse(args, true)?;
    let found = db.lookup(key);
    if let Some(handle) = found {
        db.value::<Stream>(handle)?;
    } else if !options.create {
        return Err(Error::NO_KEY_FOR_GROUP);
    }
    if options.words > 3 {
        return Err(args.wrong_subcommand());
    }
    db.edit_or_create(key, found, |stream: &mut Stream| {
        let last_id = match id {
            b"$" => stream.entries.last_id(),
            _ => StreamId::parse(id, 0).ok_or(Error::INVALID_STREAM_ID)?,
        };
        if stream.groups.get(name).is_some() {
            return Err(Error::BUSY_GROUP);
        }
        let group = Group::new(last_id, options.entries_read);
        stream.groups.insert(name, group);
        Ok(match found {
            Some(_) => Edited::Noted(Some("xgroup-create"), 1, ()),
            None => Edited::Changed("xgroup-create", 1, ()),
        })
    })?;
    reply.ok();
    Ok(())
}

fn xgroup_setid(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, name, id) = (args.next()?, args.next()?, args.next()?);
    let options = Options::parse(args, false)?;
    edit_group(db, key, name, |entries, group| {
        if ![0, 2].contains(&options.words) {
            return Err(args.wrong_subcommand());
        }
        group.last_id = match id {
            b"$" => entries.last_id(),
            _ => StreamId::parse_bound(id, 0).ok_or(Error::INVALID_STREAM_ID)?,
        };
        group.entries_read = options.entries_read;
        Ok(Edited::Noted(Some("xgroup-setid"), 1, ()))
    })?;
    reply.ok();
    Ok(())
}

fn xgroup_destroy(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, name) = (args.next()?, args.next()?);
    let handle = db.lookup(key).ok_or(Error::NO_KEY_FOR_GROUP)?;
    let removed = db.edit(key, handle, |stream: &mut Stream| {
        Ok(match stream.groups.remove(name) {
            Some(removed) => Edited::Noted(Some("xgroup-destroy"), 1, Some(removed)),
            None => Edited::Unchanged(None),
        })
    })?;
    reply.len(removed.iter().len());
    if let Some(groups) = removed {
        // Who waits to read with it need not wait any more.
        db.call_waiters(key);
        db.discard(Stream {
            groups,
            ..Stream::default()
        });
    }
    Ok(())
}

fn xgroup_createconsumer(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, name, consumer) = (args.next()?, args.next()?, args.next()?);
    let now = db.now;
    let created = edit_group(db, key, name, |_, group| {
        if group.find(consumer).is_some() {
            return Ok(Edited::Unchanged(0));
        }
        group.add_consumer(consumer, now);
        Ok(Edited::Noted(Some(NEW_CONSUMER), 1, 1))
    })?;
    reply.len(created);
    Ok(())
}

fn xgroup_delconsumer(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, name, consumer) = (args.next()?, args.next()?, args.next()?);
    let removed = edit_group(db, key, name, |_, group| {
        Ok(match group.remove_consumer(consumer) {
            Some(removed) => Edited::Noted(Some("xgroup-delconsumer"), 1, Some(removed)),
            None => Edited::Unchanged(None),
        })
    })?;
    let (pending, groups) = removed.unwrap_or_default();
    reply.len(pending);
    db.discard(Stream {
        groups,
        ..Stream::default()
    });
    Ok(())
}

/// Edits a group that must be there, beside the entries of its stream.
fn edit_group<R>(
    db: &mut Db<'_>,
    key: &[u8],
    name: &[u8],
    edit: impl FnOnce(&mut Entries, &mut Group) -> Result<Edited<R>>,
) -> Result<R> {
    let handle = db.lookup(key).ok_or(Error::NO_KEY_FOR_GROUP)?;
    db.edit(key, handle, |stream: &mut Stream| {
        let group = stream.groups.get_mut(name);
        let group = group.ok_or_else(|| Error::no_group(key, name))?;
        edit(&mut stream.entries, group)
    })
}

/// The event that tells of a consumer that is there from now on.
pub const NEW_CONSUMER: &str = "xgroup-createconsumer";

/// The number of a consumer that asks for something now, and whether it is
/// there only since then.
pub fn consumer(group: &mut Group, name: &[u8], now: i64) -> (u32, bool) {
    match group.find(name) {
        Some(number) => {
            group.consumer_mut(number).seen = now;
            (number, false)
        }
        None => (group.add_consumer(name, now), true),
    }
}

/// How an edit has ended that has made so many changes beside a stream, one of
/// which may be a new consumer.
pub fn noted<R>(is_new: bool, changes: usize, answer: R) -> Edited<R> {
    match (is_new, changes) {
        (true, _) => Edited::Noted(Some(NEW_CONSUMER), 1 + changes, answer),
        (false, 0) => Edited::Unchanged(answer),
        (false, _) => Edited::Noted(None, changes, answer),
    }
}

/// Who reads, and how.
struct Reader<'a> {
    group: &'a [u8],
    consumer: &'a [u8],
    count: usize,
    noack: bool,
    /// There is one stream only to read.
    is_single: bool,
    /// The time, in milliseconds since 1970.
    now: i64,
}

/// What XREADGROUP reads of a stream.
#[derive(Clone, Copy)]
enum From {
    /// `>`: what nobody in the group has read.
    New,
    /// What the consumer has in hand, from this id on.
    InHand(StreamId),
}

impl From {
    fn parse(id: &[u8]) -> Result<From> {
        match id {
            b">" => Ok(From::New),
            b"$" => Err(Error::DOLLAR_IN_GROUP),
            b"+" => Err(Error::PLUS_IN_GROUP),
            _ => {
                let id = StreamId::parse(id, 0).ok_or(Error::INVALID_STREAM_ID)?;
                // Redis keeps `>` as the last id that there is.
                Ok(id.next().map_or(From::New, From::InHand))
            }
        }
    }
}

fn xreadgroup(db: &mut Db<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Result<Option<Wait>> {
    let reading = Reading::parse(argv, Form::Group, db.now)?;
    let (group, consumer) = reading.group.ok_or(Error::GROUP_MISSING)?;
    for (key, id) in reading.streams() {
        let stream = db.read_value::<Stream>(key)?;
        if stream.and_then(|stream| stream.groups.get(group)).is_none() {
            return Err(Error::no_group_to_read(key, group));
        }
        From::parse(id)?;
    }
    let reader = Reader {
        group,
        consumer,
        count: reading.count.unwrap_or(usize::MAX),
        noack: reading.noack,
        is_single: reading.keys.len() == 1,
        now: db.now,
    };
    let mut served = 0;
    if let (true, Some((key, id))) = (reader.is_single, reading.streams().next()) {
        served += usize::from(reader.read(db, key, From::parse(id)?, reply)?);
    } else {
        // How many streams have something is known behind them: the same one
        // may be read several times.
        let mut body = Output::default();
        let mut streams = Reply::new(&mut body, reply.protocol());
        for (key, id) in reading.streams() {
            served += usize::from(reader.read(db, key, From::parse(id)?, &mut streams)?);
        }
        if served > 0 {
            begin_streams(reply, served);
            reply.output().append(&mut body);
        }
    }
    if served > 0 {
        return Ok(None);
    }
    let Some(timeout) = reading.block else {
        reply.null_array();
        return Ok(None);
    };
    Ok(Some(Wait {
        kind: None,
        timeout,
        null: Null::Array,
        words: Vec::new(),
        ready: Some(is_ready),
    }))
}

/// Whether there may be something new for a group, or no group any more. Those
/// who wait behind one who has taken it all need not run again.
fn is_ready(db: &Db<'_>, handle: Handle, argv: Argv<'_>, _: usize, _: usize) -> bool {
    let (Ok(stream), Ok(reading)) = (
        db.value::<Stream>(handle),
        Reading::parse(argv, Form::Group, db.now),
    ) else {
        return true;
    };
    let group = reading
        .group
        .and_then(|(group, _)| stream.groups.get(group));
    group.is_none_or(|group| stream.entries.last_id() > group.last_id)
}

impl Reader<'_> {
    /// Reads a stream; answers whether there was something to reply.
    fn read(&self, db: &mut Db<'_>, key: &[u8], from: From, reply: &mut Reply<'_>) -> Result<bool> {
        let Some(handle) = db.read(key) else {
            return Ok(false);
        };
        db.edit(key, handle, |stream: &mut Stream| {
            let Stream { entries, groups } = stream;
            let group = groups.get_mut(self.group);
            let group = group.ok_or_else(|| Error::no_group_to_read(key, self.group))?;
            let (number, is_new) = consumer(group, self.consumer, self.now);
            let served = match from {
                From::New => self.read_new(key, entries, group, number, reply),
                From::InHand(start) => {
                    self.begin(key, reply);
                    self.read_in_hand(start, entries, group, number, reply);
                    true
                }
            };
            Ok(noted(is_new, usize::from(served), served))
        })
    }

    fn begin(&self, key: &[u8], reply: &mut Reply<'_>) {
        if self.is_single {
            begin_streams(reply, 1);
        }
        begin_stream(reply, key);
    }

    /// Delivers entries that nobody in the group has read to a consumer;
    /// answers whether there are any.
    fn read_new(
        &self,
        key: &[u8],
        entries: &Entries,
        group: &mut Group,
        consumer: u32,
        reply: &mut Reply<'_>,
    ) -> bool {
        let (Some(start), true) = (group.last_id.next(), entries.last_id() > group.last_id) else {
            return false;
        };
        let found = entries.range(start, StreamId::MAX);
        let count = found.len_up_to(self.count);
        if count == 0 {
            return false;
        }
        self.begin(key, reply);
        reply.array(count);
        let delivery = Delivery {
            time: self.now,
            count: 1,
            consumer,
        };
        for entry in found.take(count) {
            group.advance(entry.id, entries);
            write_entry(reply, entry);
            if !self.noack {
                group.deliver(entry.id, delivery);
            }
        }
        if !self.noack {
            group.consumer_mut(consumer).active = Some(self.now);
        }
        true
    }

    /// Writes what a consumer has in hand, from an id on. An entry that the
    /// stream no longer has is not delivered again.
    fn read_in_hand(
        &self,
        start: StreamId,
        entries: &Entries,
        group: &mut Group,
        consumer: u32,
        reply: &mut Reply<'_>,
    ) {
        let in_hand = group.consumer(consumer).in_hand();
        reply.array(in_hand.range(start).take(self.count).count());
        let mut found = Finder::new(entries);
        group.deliver_again(consumer, start, self.count, |id, delivery| {
            if let Some(entry) = found.get(id) {
                write_entry(reply, entry);
                delivery.time = self.now;
                delivery.count = delivery.count.wrapping_add(1);
            } else {
                reply.array(2);
                write_id(id, reply);
                reply.null_array();
            }
        });
    }
}

fn xack(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, name) = (args.next()?, args.next()?);
    let Some(handle) = db.read(key) else {
        reply.int(0);
        return Ok(());
    };
    let acknowledged = db.edit(key, handle, |stream: &mut Stream| {
        let Some(group) = stream.groups.get_mut(name) else {
            return Ok(Edited::Unchanged(0));
        };
        // Not one is acknowledged if one of the ids is none.
        let mut ids = Vec::with_capacity(args.remaining());
        while args.remaining() > 0 {
            ids.push(stream::id(&mut args)?);
        }
        let acknowledged = ids.into_iter().filter(|id| group.acknowledge(*id)).count();
        Ok(noted(false, acknowledged, acknowledged))
    })?;
    reply.len(acknowledged);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Data, client, engine};

    #[test]
    fn who_waits_is_a_consumer_at_once_and_has_never_been_active() {
        let engine = engine();
        let mut client = client(&engine);
        client.line("XGROUP CREATE s g $ MKSTREAM");
        let read = "XREADGROUP GROUP g c BLOCK 1 STREAMS s >";
        assert_eq!(client.line(read), "*-1");
        let consumers = client.line("XINFO CONSUMERS s g");
        assert!(consumers.contains("$1\r\nc"), "{consumers}");
        assert!(consumers.ends_with("$8\r\ninactive\r\n:-1"), "{consumers}");
        client.line("XADD s 1 f v");
        assert!(client.line(read).starts_with("*1"));
        let consumers = client.line("XINFO CONSUMERS s g");
        assert!(!consumers.ends_with(":-1"), "{consumers}");
    }

    #[test]
    fn what_is_pending_goes_in_steps_with_its_consumer_or_its_group() {
        const PENDING: usize = 60_000;
        for line in ["XGROUP DELCONSUMER s g c", "XGROUP DESTROY s g"] {
            let mut data = Data::new();
            data.run("XGROUP CREATE s g 0 MKSTREAM");
            for start in (1..=PENDING).step_by(500) {
                let ids: Vec<_> = (start..start + 500).map(|id| id.to_string()).collect();
                ids.iter()
                    .for_each(|id| _ = data.run(&format!("XADD s {id} f v")));
                data.run(&format!("XCLAIM s g c 0 {} FORCE JUSTID", ids.join(" ")));
            }
            let pending = data.run("XPENDING s g");
            assert!(pending.starts_with(&format!("*4 :{PENDING} ")), "{pending}");
            let removed = data.run(line);
            let counts = [format!(":{PENDING}"), ":1".to_owned()];
            assert!(counts.contains(&removed), "{removed}");
            let waiting = data.keyspace.garbage.memory();
            assert!(waiting > 16 * PENDING, "{line}: {waiting}");
            assert!(data.keyspace.garbage.free_some(10), "{line}");
            while data.keyspace.garbage.free_some(1_000) {}
            assert_eq!(data.keyspace.garbage.memory(), 0, "{line}");
        }
    }
}
