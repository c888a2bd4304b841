//! Whole databases: how large they are, emptying them, exchanging them.

use super::spec::{READ_FAST, WRITE, WRITE_FAST};
use super::{Acl, Args, Command, Group, Handler};
use crate::db::Db;
use crate::error::{Error, Result};
use crate::resp::Reply;

const SERVER: Command = Command {
    group: Group::Server,
    ..Command::BASE
};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Command] = &[
    Command {
        name: "dbsize", arity: 1, flags: READ_FAST, acl: Acl::KEYSPACE,
        tips: &["request_policy:all_shards", "response_policy:agg_sum"], since: "1.0.0",
        summary: "The number of keys in the database.", handler: Handler::Data(dbsize),
        ..SERVER
    },
    Command {
        name: "flushdb", arity: -1, flags: WRITE, acl: Acl::KEYSPACE.union(Acl::DANGEROUS),
        usage: "[flush-type(ASYNC@4.0.0|SYNC@6.2.0)]",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        since: "1.0.0", complexity: "O(N) where N is the number of keys in the selected database",
        history: &[
            ("4.0.0", "Added the `ASYNC` flushing mode modifier."),
            ("6.2.0", "Added the `SYNC` flushing mode modifier."),
        ],
        summary: "Removes every key of the database.", handler: Handler::Data(flushdb),
        ..SERVER
    },
    Command {
        name: "flushall", arity: -1, flags: WRITE, acl: Acl::KEYSPACE.union(Acl::DANGEROUS),
        usage: "[flush-type(ASYNC@4.0.0|SYNC@6.2.0)]",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        since: "1.0.0", complexity: "O(N) where N is the total number of keys in all databases",
        history: &[
            ("4.0.0", "Added the `ASYNC` flushing mode modifier."),
            ("6.2.0", "Added the `SYNC` flushing mode modifier."),
        ],
        summary: "Removes every key of every database.", handler: Handler::Data(flushall),
        ..SERVER
    },
    Command {
        name: "swapdb", arity: 3, flags: WRITE_FAST, acl: Acl::KEYSPACE.union(Acl::DANGEROUS),
        usage: "index1:integer index2:integer", since: "4.0.0",
        complexity: "O(N) where N is the count of clients watching or blocking on keys from both \
            databases.",
        summary: "Exchanges the contents of two databases for all clients at once.",
        handler: Handler::Data(swapdb),
        ..SERVER
    },
];

fn dbsize(db: &mut Db<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    reply.len(db.database().len());
    Ok(())
}

fn flushdb(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    flush_type(args)?;
    db.keyspace.flush(db.index);
    reply.ok();
    Ok(())
}

fn flushall(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    flush_type(args)?;
    for index in 0..db.keyspace.databases.len() {
        db.keyspace.flush(index);
    }
    reply.ok();
    Ok(())
}

/// ASYNC, SYNC or neither; it makes no difference here.
fn flush_type(mut args: Args<'_>) -> Result<()> {
    // One of them may stand there, not both.
    let _ = args.keyword("async") || args.keyword("sync");
    args.end()
}

fn swapdb(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let ints = i64::from(i32::MIN)..=i64::from(i32::MAX);
    let first = args.int_in(ints.clone(), Error::INVALID_FIRST_DB)?;
    let second = args.int_in(ints, Error::INVALID_SECOND_DB)?;
    let count = db.keyspace.databases.len();
    let index = |n: i64| usize::try_from(n).ok().filter(|&index| index < count);
    let (Some(first), Some(second)) = (index(first), index(second)) else {
        return Err(Error::DB_OUT_OF_RANGE);
    };
    db.keyspace.swap(first, second);
    reply.ok();
    Ok(())
}
