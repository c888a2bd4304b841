//! XINFO: what is known of a stream, its groups and their consumers.

use super::stream::{write_entries, write_entry, write_id};
use crate::db::Db;
use crate::db::value::Stream;
use crate::db::value::stream::{Consumer, Delivery, Entries, Entry, Group, IdMap, StreamId};
use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::table::vocabulary::{CONTAINER, READ, READ_KEY, STREAM};
use crate::table::{self, Args, HELP, Handler, Row};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "xinfo", group: table::Group::Stream, since: "5.0.0",
        summary: "Asks about streams.",
        subcommands: &[
            Row {
                name: "consumers", arity: 4, flags: READ, keys: &[READ_KEY.at(2)],
                tips: &["nondeterministic_output"],
                usage: "key:key groupname", since: "5.0.0",
                history: &[("7.2.0", "Added the `inactive` field.")],
                summary: "The consumers of a group.", handler: Handler::Data(xinfo_consumers),
                ..STREAM
            },
            Row {
                name: "groups", arity: 3, flags: READ, keys: &[READ_KEY.at(2)],
                usage: "key:key", since: "5.0.0",
                history: &[("7.0.0", "Added the `entries-read` and `lag` fields")],
                summary: "The groups of a stream.", handler: Handler::Data(xinfo_groups),
                ..STREAM
            },
            Row {
                name: "stream", arity: -3, flags: READ, keys: &[READ_KEY.at(2)],
                usage: "key:key [FULL full([COUNT count:integer])]", since: "5.0.0",
                history: &[
                    ("6.0.0", "Added the `FULL` modifier."),
                    ("7.0.0", "Added the `max-deleted-entry-id`, `entries-added`, \
                        `recorded-first-entry-id`, `entries-read` and `lag` fields"),
                    ("7.2.0", "Added the `active-time` field, and changed the meaning of `seen-time`."),
                ],
                summary: "What is known of a stream, or all that is in it.",
                handler: Handler::Data(xinfo_stream),
                ..STREAM
            },
            Row { group: table::Group::Stream, since: "5.0.0", ..HELP },
        ],
        ..CONTAINER
    },
];

/// The stream under a key that must be there.
fn stream<'a>(db: &'a mut Db<'_>, key: &[u8]) -> Result<&'a Stream> {
    db.read_value::<Stream>(key)?.ok_or(Error::NO_SUCH_KEY)
}

fn xinfo_stream(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let stream = stream(db, args.next()?)?;
    let (written, options) = (args.remaining(), args);
    if written == 0 {
        write_stream(stream, reply, 10);
        return write_short(stream, reply);
    }
    if !args.keyword("full") || written > 1 && !args.keyword("count") || written == 2 || written > 3
    {
        return Err(options.wrong_subcommand());
    }
    let count = match written {
        1 => FULL_COUNT,
        _ => args.int()?,
    };
    let count = match count {
        ..0 => FULL_COUNT as usize,
        0 => usize::MAX,
        _ => usize::try_from(count).unwrap_or(usize::MAX),
    };
    write_stream(stream, reply, 9);
    write_full(stream, count, reply);
    Ok(())
}

/// So many of each are shown by FULL.
const FULL_COUNT: i64 = 10;

/// Begins what is told of a stream, which is so many pairs.
fn write_stream(stream: &Stream, reply: &mut Reply<'_>, pairs: usize) {
    let entries = &stream.entries;
    reply.map(pairs);
    reply.bulk(b"length");
    reply.len(entries.len());
    // A key of Redis's tree leads to a node. How many nodes of its own the
    // tree has depends on the ids: at least these.
    let nodes = entries.node_count();
    reply.bulk(b"radix-tree-keys");
    reply.len(nodes);
    reply.bulk(b"radix-tree-nodes");
    reply.len(nodes + 1);
    reply.bulk(b"last-generated-id");
    write_id(entries.last_id(), reply);
    reply.bulk(b"max-deleted-entry-id");
    write_id(entries.max_deleted_id(), reply);
    reply.bulk(b"entries-added");
    reply.int(entries.added() as i64);
    reply.bulk(b"recorded-first-entry-id");
    let first = entries.first().map_or(StreamId::MIN, |entry| entry.id);
    write_id(first, reply);
}

fn write_short(stream: &Stream, reply: &mut Reply<'_>) -> Result<()> {
    let entries = &stream.entries;
    reply.bulk(b"groups");
    reply.len(stream.groups.len());
    let mut end = |name: &[u8], entry: Option<Entry<'_>>| {
        reply.bulk(name);
        match entry {
            Some(entry) => write_entry(reply, entry),
            None => reply.null(),
        }
    };
    end(b"first-entry", entries.first());
    end(b"last-entry", entries.last());
    Ok(())
}

/// Writes the first so many entries, and all groups with the first so many of
/// what is pending.
fn write_full(stream: &Stream, count: usize, reply: &mut Reply<'_>) {
    let entries = &stream.entries;
    let all = (StreamId::MIN, StreamId::MAX);
    reply.bulk(b"entries");
    let shown = entries.count(all.0, all.1, count);
    write_entries(reply, shown, entries.range(all.0, all.1));
    reply.bulk(b"groups");
    reply.array(stream.groups.len());
    for (name, group) in stream.groups.iter() {
        reply.map(7);
        reply.bulk(b"name");
        reply.bulk(name);
        write_progress(group, entries, reply);
        reply.bulk(b"pel-count");
        reply.len(group.pending().len());
        write_pending(group.pending(), count, reply, |(id, delivery), reply| {
            write_delivery(id, Some(group), delivery, reply);
        });
        reply.bulk(b"consumers");
        reply.array(group.consumers().len());
        for consumer in group.consumers() {
            write_consumer(group, consumer, count, reply);
        }
    }
}

fn write_consumer(group: &Group, consumer: &Consumer, count: usize, reply: &mut Reply<'_>) {
    reply.map(5);
    reply.bulk(b"name");
    reply.bulk(&consumer.name);
    reply.bulk(b"seen-time");
    reply.int(consumer.seen);
    reply.bulk(b"active-time");
    reply.int(consumer.active.unwrap_or(-1));
    reply.bulk(b"pel-count");
    reply.len(consumer.in_hand().len());
    write_pending(consumer.in_hand(), count, reply, |(id, ()), reply| {
        if let Some(delivery) = group.pending().get(id) {
            write_delivery(id, None, delivery, reply);
        }
    });
}

/// Writes the first so many of what is pending.
fn write_pending<'a, T: 'a>(
    pending: &'a IdMap<T>,
    count: usize,
    reply: &mut Reply<'_>,
    write: impl Fn((StreamId, &'a T), &mut Reply<'_>),
) {
    reply.bulk(b"pending");
    reply.array(pending.len().min(count));
    let shown = pending.range(StreamId::MIN).take(count);
    shown.for_each(|pending| write(pending, reply));
}

/// Writes what is known of a pending entry, and who has it if `group` is told.
fn write_delivery(id: StreamId, group: Option<&Group>, delivery: &Delivery, reply: &mut Reply<'_>) {
    reply.array(3 + usize::from(group.is_some()));
    write_id(id, reply);
    if let Some(group) = group {
        reply.bulk(&group.consumer(delivery.consumer).name);
    }
    reply.int(delivery.time);
    reply.int(delivery.count as i64);
}

/// Writes how far a group has read.
fn write_progress(group: &Group, entries: &Entries, reply: &mut Reply<'_>) {
    let int_or_null = |value: Option<i64>, reply: &mut Reply<'_>| match value {
        Some(value) => reply.int(value),
        None => reply.null(),
    };
    reply.bulk(b"last-delivered-id");
    write_id(group.last_id, reply);
    reply.bulk(b"entries-read");
    int_or_null(group.entries_read, reply);
    reply.bulk(b"lag");
    int_or_null(group.lag(entries), reply);
}

fn xinfo_groups(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let stream = stream(db, args.next()?)?;
    reply.array(stream.groups.len());
    for (name, group) in stream.groups.iter() {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        reply.bulk(b"consumers");
        reply.len(group.consumers().len());
        reply.bulk(b"pending");
        reply.len(group.pending().len());
        write_progress(group, &stream.entries, reply);
    }
    Ok(())
}

fn xinfo_consumers(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let now = db.now;
    let (key, name) = (args.next()?, args.next()?);
    let stream = stream(db, key)?;
    let group = stream.groups.get(name);
    let group = group.ok_or_else(|| Error::no_group(key, name))?;
    reply.array(group.consumers().len());
    for consumer in group.consumers() {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(&consumer.name);
        reply.bulk(b"pending");
        reply.len(consumer.in_hand().len());
        // The clock may have been set back. Redis then says of `inactive` what
        // is less than nothing, though -1 stands for never.
        let since = |time| now.wrapping_sub(time).max(0);
        reply.bulk(b"idle");
        reply.int(since(consumer.seen));
        reply.bulk(b"inactive");
        reply.int(consumer.active.map_or(-1, since));
    }
    Ok(())
}
