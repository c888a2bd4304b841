//! RESPD SNAPSHOT and ROLLBACK: all data as they were, as often as a test likes.
//! How the data do that is in `db/keyspace/snapshots.rs`.
//!
//! Data are what comes back: values, expiries, which database has which number.
//! Everything else stays as it is: connections and what they listen to, scripts
//! and functions, settings, the clock, statistics and logs.

use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::table::vocabulary::{FOR_TESTS, WRITE};
use crate::table::{Args, Context, Handler, Row};

/// RESPD SNAPSHOT
#[rustfmt::skip]
pub const SNAPSHOT: Row = Row {
    name: "snapshot", arity: -2,
    usage: "[action(LIST | DROP snapshot:integer)]",
    complexity: "O(N) where N is the number of databases; to list or drop, of changed keys.",
    summary: "Takes a snapshot of all data and answers its number, or lists or drops snapshots.",
    handler: Handler::Session(respd_snapshot),
    ..FOR_TESTS
};

/// RESPD ROLLBACK
#[rustfmt::skip]
pub const ROLLBACK: Row = Row {
    name: "rollback", arity: -2, flags: FOR_TESTS.flags.union(WRITE), usage: "[snapshot:integer]",
    complexity: "O(N) where N is the number of keys that have changed since",
    summary: "Has all data be what they were at a snapshot, or at the last one; later ones go.",
    handler: Handler::Session(respd_rollback),
    ..FOR_TESTS
};

/// So many snapshots there are at most. Each holds no more than what was there
/// when it was taken, so that is a bound for all of them.
const SNAPSHOTS_MAX: usize = 128;

fn respd_snapshot(
    context: &mut Context<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let keyspace = &mut context.turn.state().keyspace;
    if args.remaining() == 0 {
        if keyspace.snapshots().len() >= SNAPSHOTS_MAX {
            return Err(Error::TOO_MANY_SNAPSHOTS);
        }
        reply.int(keyspace.snapshot() as i64);
        return Ok(());
    }
    if args.keyword("list") {
        args.end()?;
        let held = keyspace.held();
        reply.array(held.len());
        for one in held {
            reply.map(3);
            let figures = [
                ("id", one.id as usize),
                ("keys", one.keys),
                ("bytes", one.bytes),
            ];
            for (name, figure) in figures {
                reply.bulk(name.as_bytes());
                reply.int(figure as i64);
            }
        }
        return Ok(());
    }
    if !args.keyword("drop") {
        return Err(Error::SYNTAX);
    }
    let id = snapshot_id(&mut args)?;
    args.end()?;
    match keyspace.drop_snapshot(id) {
        true => reply.ok(),
        false => return Err(Error::NO_SNAPSHOT),
    }
    Ok(())
}

/// The number of a snapshot; what can be none is none that is there.
pub fn snapshot_id(args: &mut Args<'_>) -> Result<u64> {
    u64::try_from(args.int()?).map_err(|_| Error::NO_SNAPSHOT)
}

fn respd_rollback(
    context: &mut Context<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let now = context.turn.now;
    let keyspace = &mut context.turn.state().keyspace;
    let last = keyspace.snapshots().last();
    let id = match args.remaining() {
        0 => last.ok_or(Error::NO_SNAPSHOT)?,
        _ => snapshot_id(&mut args)?,
    };
    args.end()?;
    let keys = keyspace.roll_back(id, now)?;
    reply.int(keys as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LocalClient;
    use crate::db::{Database, Keyspace};
    use crate::rdb::Writer;
    use crate::testing::{Data, client, engine_for_tests};

    /// All that can be seen of the data: of each key its database, name, value,
    /// encoding and expiry.
    fn seen(keyspace: &Keyspace, now: i64) -> Vec<String> {
        let mut all = Vec::new();
        for (index, database) in keyspace.databases.iter().enumerate() {
            for handle in database
                .iter()
                .filter(|&handle| !database.is_due(handle, now))
            {
                let value = database.value(handle);
                let mut written = Writer::default();
                value.serialize(&mut written);
                all.push(format!(
                    "{index} {} {} {:?} {:?}",
                    database.key(handle).escape_ascii(),
                    value.encoding_name(),
                    database.expires_at(handle),
                    written.seal(),
                ));
            }
        }
        all.sort();
        all
    }

    /// Something that changes one of a few keys, or many.
    fn change(data: &mut Data, rng: &mut fastrand::Rng) {
        let kinds = ["string", "long", "list", "hash", "set", "zset", "stream"];
        let key = |rng: &mut fastrand::Rng| {
            let long = if rng.u8(..8) == 0 {
                "k".repeat(300)
            } else {
                String::new()
            };
            format!("{}{}{long}", kinds[rng.usize(..kinds.len())], rng.u8(..3))
        };
        let (key, other, n) = (key(rng), key(rng), rng.u32(..40));
        let at = data.now + rng.i64(1..4_000);
        data.index = rng.usize(..3);
        match rng.u32(..200) {
            0 => data.db().flush(),
            1 => {
                let other = rng.usize(..3);
                data.db().swap(0, other);
            }
            2 => drop(data.keyspace.expire_due(data.now, 1 << 10)),
            3 => drop(data.keyspace.tidy(64)),
            4..20 => data.now += rng.i64(0..300),
            20..30 => {
                let index = data.index;
                let random = data.db().random();
                if let Some(handle) = random {
                    data.keyspace.evict(index, handle);
                }
            }
            _ => {
                let long = "x".repeat(rng.usize(400..3_000));
                let first = format!("{n}-1");
                let lines = [
                    format!("SET {key} {n}"),
                    format!("SET {key} {long} PXAT {at}"),
                    format!("SETRANGE {key} {n} {long}"),
                    format!("APPEND {key} {n}"),
                    format!("SETBIT {key} {n} 1"),
                    format!("RPUSH {key} {n} {long}"),
                    format!("LPOP {key}"),
                    format!("LSET {key} 0 {n}"),
                    format!("HSET {key} f{n} {n} g{n} {long}"),
                    format!("HDEL {key} f{n}"),
                    format!("HPEXPIREAT {key} {at} FIELDS 2 f{n} g{n}"),
                    format!("HPEXPIREAT {key} 1 FIELDS 1 f{n}"),
                    format!("SADD {key} {n} m{n}"),
                    format!("SADD {key} {n}"),
                    format!("SREM {key} {n}"),
                    format!("ZADD {key} {n} m{n}"),
                    format!("ZADD {key} {n} {long}"),
                    format!("ZREMRANGEBYRANK {key} 0 0"),
                    format!("XADD {key} * f {n}"),
                    format!("XGROUP CREATE {key} g{n} 0 MKSTREAM"),
                    format!("XGROUP SETID {key} g1 {first}"),
                    format!("XAUTOCLAIM {key} g1 c{n} 0 0"),
                    format!("XDEL {key} {first}"),
                    format!("XTRIM {key} MAXLEN 3"),
                    format!("PFADD {key} {n}"),
                    format!("PEXPIREAT {key} {at}"),
                    format!("PERSIST {key}"),
                    format!("RENAME {key} {other}"),
                    format!("COPY {key} {other} REPLACE"),
                    format!("MOVE {key} 1"),
                    format!("DEL {key}"),
                    format!("SUNIONSTORE {key} {key} {other}"),
                    format!("SORT {key} ALPHA STORE {other}"),
                ];
                data.run(&lines[rng.usize(..lines.len())]);
            }
        }
        data.keyspace.clear_changes();
    }

    fn check_sums(keyspace: &Keyspace, round: usize) {
        let databases = &keyspace.databases;
        let held = databases.iter().map(Database::total_memory).sum::<usize>();
        assert_eq!(
            keyspace.memory(),
            held + keyspace.garbage.memory(),
            "round {round}"
        );
        for (index, database) in databases.iter().enumerate() {
            assert!(database.is_weighed_right(), "{index} in round {round}");
            assert!(database.part_times_are_right(), "{index} in round {round}");
            let times = |handle| {
                let parts = database.value(handle).parts();
                [
                    database.expires_at(handle),
                    parts.and_then(|parts| parts.first_expiry()),
                ]
            };
            let first = database.iter().flat_map(times).flatten().min();
            let planned = keyspace.next_expiry();
            let is_planned = first.is_none_or(|first| planned.is_some_and(|at| at <= first));
            assert!(
                is_planned,
                "{first:?} of {index} in round {round}: {planned:?}"
            );
        }
    }

    #[test]
    fn whatever_happens_all_data_are_what_they_were_at_any_snapshot() {
        for seed in 0..12 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut data = Data::new();
            let mut taken: Vec<(u64, Vec<String>, i64)> = Vec::new();
            let mut rolled_back = 0;
            for round in 0..4_000 {
                match rng.u32(..100) {
                    0 if taken.len() < 5 => {
                        let at = seen(&data.keyspace, data.now);
                        taken.push((data.keyspace.snapshot(), at, data.now));
                    }
                    1 if !taken.is_empty() => {
                        let at = rng.usize(..taken.len());
                        taken.truncate(at + 1);
                        data.keyspace.roll_back(taken[at].0, data.now).unwrap();
                        data.keyspace.clear_changes();
                        check_sums(&data.keyspace, round);
                        // As if it were then again, so that nothing has expired.
                        let (_, expected, then) = &taken[at];
                        data.now = *then;
                        data.keyspace.roll_back(taken[at].0, data.now).unwrap();
                        let now = seen(&data.keyspace, data.now);
                        assert_eq!(&now, expected, "seed {seed}, round {round}");
                        check_sums(&data.keyspace, round);
                        rolled_back += 1;
                    }
                    2 if taken.len() > 2 => {
                        let (id, ..) = taken.remove(rng.usize(..taken.len()));
                        assert!(data.keyspace.drop_snapshot(id));
                    }
                    _ => change(&mut data, &mut rng),
                }
            }
            assert!(rolled_back > 10, "only {rolled_back} times");
            for (id, ..) in taken {
                assert!(data.keyspace.drop_snapshot(id));
            }
            assert_eq!(data.keyspace.held(), []);
            data.keyspace.clear_changes();
            while data.keyspace.tidy(1 << 20) {}
            check_sums(&data.keyspace, 4_000);
        }
    }

    fn tester() -> LocalClient {
        client(&engine_for_tests())
    }

    /// Runs the lines and compares the replies.
    fn talk(client: &mut LocalClient, lines: &[(&str, &str)]) {
        for (line, expected) in lines {
            assert_eq!(client.line(line).replace("\r\n", " "), *expected, "{line}");
        }
    }

    #[test]
    fn a_snapshot_is_gone_back_to_as_often_as_one_likes() {
        talk(
            &mut tester(),
            &[
                ("RESPD ROLLBACK", "-ERR no such snapshot"),
                ("SET k 1", "+OK"),
                ("RPUSH jobs a b", ":2"),
                ("RESPD SNAPSHOT", ":1"),
                ("INCR k", ":2"),
                ("DEL jobs", ":1"),
                ("SET new 1", "+OK"),
                ("RESPD ROLLBACK", ":3"),
                ("KEYS new", "*0"),
                ("LRANGE jobs 0 -1", "*2 $1 a $1 b"),
                ("INCR k", ":2"),
                ("RESPD SNAPSHOT", ":2"),
                ("FLUSHALL", "+OK"),
                ("SET k 7", "+OK"),
                ("RESPD ROLLBACK 2", ":0"),
                ("GET k", "$1 2"),
                ("RESPD ROLLBACK 1", ":1"),
                ("GET k", "$1 1"),
                ("RESPD ROLLBACK 2", "-ERR no such snapshot"),
                ("RESPD ROLLBACK", ":0"),
                ("RESPD SNAPSHOT DROP 1", "+OK"),
                ("RESPD SNAPSHOT DROP 1", "-ERR no such snapshot"),
                (
                    "RESPD SNAPSHOT DROP x",
                    "-ERR value is not an integer or out of range",
                ),
                ("RESPD SNAPSHOT SOON", "-ERR syntax error"),
                ("RESPD SNAPSHOT LIST", "*0"),
            ],
        );
    }

    #[test]
    fn what_a_snapshot_holds_is_told_and_bounded() {
        let mut client = tester();
        client.line("SET k 1");
        for id in 1..=SNAPSHOTS_MAX {
            assert_eq!(client.line("RESPD SNAPSHOT"), format!(":{id}"));
        }
        let refused = format!("-{}", Error::TOO_MANY_SNAPSHOTS);
        assert_eq!(client.line("RESPD SNAPSHOT"), refused);
        for id in 3..=SNAPSHOTS_MAX {
            client.line(&format!("RESPD SNAPSHOT DROP {id}"));
        }
        client.line("SET k 2");
        client.line("RESPD SNAPSHOT DROP 1");
        let list = client.line("RESPD SNAPSHOT LIST");
        assert!(list.contains("id\r\n:2\r\n$4\r\nkeys\r\n:1\r\n"), "{list}");
    }

    #[test]
    fn it_is_no_part_of_anything_else() {
        let mut client = tester();
        talk(
            &mut client,
            &[
                ("MULTI", "+OK"),
                (
                    "RESPD SNAPSHOT",
                    "-ERR Command not allowed inside a transaction",
                ),
                ("DISCARD", "+OK"),
            ],
        );
        #[cfg(feature = "lua")]
        {
            let script = "EVAL return{redis.pcall('respd','snapshot').err} 0";
            let reply = client.line(script);
            assert!(reply.contains("not allowed from script"), "{reply}");
        }
    }

    #[test]
    fn a_rollback_is_a_change_for_those_who_watch_wait_or_keep() {
        let engine = engine_for_tests();
        let (mut tester, mut watcher) = (client(&engine), client(&engine));
        for (undone, expected) in [
            ("SET k 2", "*-1"),
            ("DEL k", "*-1"),
            ("SET other 1", "*1\r\n+PONG"),
            ("FLUSHALL", "*-1"),
            ("SWAPDB 0 1", "*-1"),
        ] {
            tester.line("SET k 1");
            tester.line("RESPD SNAPSHOT");
            tester.line(undone);
            watcher.line("WATCH k");
            tester.line("RESPD ROLLBACK");
            watcher.line("MULTI");
            watcher.line("PING");
            assert_eq!(watcher.line("EXEC"), expected, "{undone}");
        }
        tester.line("DEL jobs");
        tester.line("RPUSH jobs a");
        tester.line("RESPD SNAPSHOT");
        tester.line("DEL jobs");
        let blocked = std::thread::spawn(move || watcher.line("BLPOP jobs 0"));
        while engine.server.clients.all().iter().all(|client| {
            !client
                .flags()
                .contains(crate::session::ClientFlags::BLOCKED)
        }) {
            std::thread::yield_now();
        }
        assert_eq!(tester.line("RESPD ROLLBACK"), ":1");
        assert_eq!(blocked.join().unwrap(), "*2\r\n$4\r\njobs\r\n$1\r\na");
        assert_eq!(tester.line("RESPD ROLLBACK"), ":1");
        assert_eq!(tester.line("LLEN jobs"), ":1");
    }
}
