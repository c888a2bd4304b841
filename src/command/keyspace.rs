//! Whole databases: how large they are, emptying them, exchanging them.

use crate::db::Db;
use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::table::vocabulary::{READ_FAST, SERVER, WRITE, WRITE_FAST};
use crate::table::{Acl, Args, Handler, Row};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "dbsize", arity: 1, flags: READ_FAST, acl: Acl::KEYSPACE,
        tips: &["request_policy:all_shards", "response_policy:agg_sum"], since: "1.0.0",
        summary: "The number of keys in the database.", handler: Handler::Data(dbsize),
        ..SERVER
    },
    Row {
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
    Row {
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
    Row {
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
    db.flush();
    reply.ok();
    Ok(())
}

fn flushall(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    flush_type(args)?;
    (0..db.database_count()).for_each(|index| db.select(index).flush());
    reply.ok();
    Ok(())
}

/// ASYNC, SYNC or neither. It makes no difference: what is much is freed when
/// nobody waits for it.
fn flush_type(mut args: Args<'_>) -> Result<()> {
    // One of them may stand there, not both.
    let _ = args.keyword("async") || args.keyword("sync");
    args.end()
}

fn swapdb(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let ints = i64::from(i32::MIN)..=i64::from(i32::MAX);
    let first = args.int_in(ints.clone(), Error::INVALID_FIRST_DB)?;
    let second = args.int_in(ints, Error::INVALID_SECOND_DB)?;
    let count = db.database_count();
    let index = |n: i64| usize::try_from(n).ok().filter(|&index| index < count);
    let (Some(first), Some(second)) = (index(first), index(second)) else {
        return Err(Error::DB_OUT_OF_RANGE);
    };
    db.swap(first, second);
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Data;

    fn filled() -> Data {
        let mut data = Data::new();
        for (index, key) in [(0, "a"), (0, "b"), (1, "c")] {
            data.index = index;
            data.given(&[&format!("SET {key} v PX 1000")]);
        }
        data.index = 0;
        data
    }

    fn sizes(data: &Data) -> Vec<usize> {
        let databases = data.keyspace.databases.iter();
        databases.map(|database| database.len()).take(3).collect()
    }

    #[test]
    fn flushing_empties_one_database_or_all_and_tells_nobody() {
        let mut data = filled();
        assert_eq!(data.run("FLUSHDB ASYNC"), "+OK");
        assert_eq!(sizes(&data), [0, 1, 0]);
        let mut data = filled();
        assert_eq!(data.run("FLUSHALL sync"), "+OK");
        assert_eq!(sizes(&data), [0, 0, 0]);
        assert_eq!(data.events_of_keys(), [""; 0]);
        assert_eq!(data.keyspace.next_expiry(), None);
    }

    #[test]
    fn a_flush_that_is_not_understood_leaves_everything() {
        for line in ["FLUSHDB now", "FLUSHALL SYNC ASYNC", "FLUSHALL ASYNC SYNC"] {
            let mut data = filled();
            assert_eq!(data.run(line), "-ERR syntax error", "{line}");
            assert_eq!(sizes(&data), [2, 1, 0], "{line}");
        }
    }

    #[test]
    fn swapping_takes_keys_and_expiries_along() {
        let mut data = filled();
        assert_eq!(data.run("SWAPDB 0 1"), "+OK");
        assert_eq!(sizes(&data), [1, 2, 0]);
        assert_eq!(data.run("PTTL c"), ":1000");
        assert_eq!(data.run("SWAPDB 2 2"), "+OK");
        assert_eq!(sizes(&data), [1, 2, 0]);
    }

    #[test]
    fn the_first_wrong_number_is_told() {
        let mut data = Data::new();
        for (line, error) in [
            ("SWAPDB x y", "-ERR invalid first DB index"),
            ("SWAPDB 99 y", "-ERR invalid second DB index"),
            ("SWAPDB 0 3000000000", "-ERR invalid second DB index"),
            ("SWAPDB 0 16", "-ERR DB index is out of range"),
            ("SWAPDB -1 0", "-ERR DB index is out of range"),
        ] {
            assert_eq!(data.run(line), error, "{line}");
        }
    }
}
