//! Makes room when more memory is used than `maxmemory`: frees what was removed
//! and, if that is not enough, has keys [evicted](super::evict).
//!
//! It is done before a command, and so never in the middle of a transaction,
//! and for so long at most as `maxmemory-eviction-tenacity` says; what is left
//! is then done by [`upkeep`](super::upkeep), and the command runs.

use std::time::Duration;

use super::settle::Now;
use super::state::State;
use crate::server::Server;

/// How making room has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Room {
    /// There is enough.
    Enough,
    /// The time is up, and there is more that can go.
    Pending,
    /// Nothing more can go.
    Full,
}

/// So many keys are evicted between two looks at the clock.
const AT_ONCE: usize = 16;
/// So many pieces of what was removed are freed in the time of an eviction.
const FREED: usize = 4;

/// Makes room if more memory is used than may be. Under CLIENT PAUSE nothing
/// changes by itself, and nothing is refused.
#[inline]
pub fn make_room(server: &Server, state: &mut State, now: Now) -> Room {
    if state.keyspace.keeps_expired || state.used_memory(server) <= state.evictor.max {
        state.evictor.pending &= state.keyspace.keeps_expired;
        state.evictor.note(true, now.uptime);
        return Room::Enough;
    }
    let patience = state.evictor.patience;
    free(server, state, now, patience)
}

/// Makes some room, for as long as `patience` lasts: most often one key goes,
/// and nobody looks at the clock.
pub fn free(server: &Server, state: &mut State, now: Now, patience: Duration) -> Room {
    let (mut start, mut end) = (None, now.uptime);
    let mut steps = 0;
    let evicted_before = state.keyspace.stats.evicted;
    let room = loop {
        if state.used_memory(server) <= state.evictor.max {
            break Room::Enough;
        }
        let State {
            keyspace, evictor, ..
        } = &mut *state;
        if !keyspace.garbage.is_empty() {
            keyspace.garbage.free_some(FREED);
        } else if !evictor.evict(keyspace, now.wall) {
            break Room::Full;
        }
        steps += 1;
        if steps % AT_ONCE == 0 {
            // The time of the turn may be some commands old.
            let machine = server.clock.machine();
            end = server.clock.at(machine);
            let start = *start.get_or_insert(machine);
            if patience.is_zero() || machine.saturating_sub(start) > patience {
                break Room::Pending;
            }
        }
    };
    let evicted = state.keyspace.stats.evicted - evicted_before;
    if evicted > 0 {
        tracing::trace!(evicted, "Evicted keys to make room");
    }
    state.evictor.pending = room == Room::Pending;
    state.evictor.note(room == Room::Enough, end);
    room
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LocalClient;
    use crate::db::Database;
    use crate::engine::upkeep;
    use crate::testing::{client, engine};

    /// Sets the limit to so many bytes more than are used.
    fn limit(engine: &crate::engine::Engine, client: &mut LocalClient, more: i64, policy: &str) {
        let used = engine.lock().used_memory(&engine.server) as i64;
        let line = format!(
            "CONFIG SET maxmemory {} maxmemory-policy {policy}",
            used + more
        );
        assert_eq!(client.line(&line), "+OK");
    }

    fn fill(client: &mut LocalClient, keys: std::ops::Range<usize>, options: &str) {
        for n in keys {
            let set = format!("SET {n} {}{options}", "v".repeat(100));
            assert_eq!(client.line(&set), "+OK");
        }
    }

    /// For how long more has been used than may be, as it is told much later.
    fn exceeded(state: &State) -> (Duration, Duration) {
        state.evictor.exceeded(Duration::from_secs(1_000_000))
    }

    #[test]
    fn a_write_waits_for_so_many_evictions_and_upkeep_does_the_rest() {
        let engine = engine();
        let mut client = client(&engine);
        fill(&mut client, 0..5_000, "");
        client.line("CONFIG SET maxmemory-eviction-tenacity 0");
        limit(&engine, &mut client, -400_000, "allkeys-lru");
        assert_eq!(client.line("SET k v"), "+OK");
        let mut state = engine.lock();
        assert_eq!(state.keyspace.stats.evicted, AT_ONCE as u64);
        assert!(state.evictor.pending);
        assert!(exceeded(&state).0 > Duration::ZERO);
        drop(state);
        upkeep::until_done(&engine);
        state = engine.lock();
        assert!(state.used_memory(&engine.server) <= state.evictor.max);
        assert!(!state.evictor.pending);
        let (current, ever) = exceeded(&state);
        assert!(current.is_zero() && !ever.is_zero(), "{current:?} {ever:?}");
        assert!((2_500..4_000).contains(&state.keyspace.stats.evicted));
    }

    #[test]
    fn what_was_removed_is_freed_before_any_key_goes() {
        let engine = engine();
        let mut client = client(&engine);
        fill(&mut client, 0..100, "");
        let elements = " 0123456789abcdef".repeat(1_000);
        for _ in 0..300 {
            client.line(&format!("RPUSH list{elements}"));
        }
        limit(&engine, &mut client, 0, "allkeys-lru");
        client.line("CONFIG SET maxmemory-eviction-tenacity 100");
        client.line("DEL list");
        limit(&engine, &mut client, -2_000_000, "allkeys-lru");
        assert_eq!(client.line("SET k v"), "+OK");
        assert_eq!(client.line("DBSIZE"), ":101");
    }

    #[test]
    fn who_asks_is_told_when_there_is_room_again() {
        let engine = engine();
        let mut client = client(&engine);
        fill(&mut client, 0..100, "");
        limit(&engine, &mut client, -1_000, "noeviction");
        assert!(client.line("SET k v").starts_with("-OOM"));
        client.line("INFO stats");
        assert!(!exceeded(&engine.lock()).0.is_zero());
        client.line("FLUSHALL");
        upkeep::until_done(&engine);
        client.line("INFO stats");
        assert!(exceeded(&engine.lock()).0.is_zero());
    }

    #[test]
    fn under_a_pause_nothing_is_evicted_and_nothing_refused() {
        let engine = engine();
        let mut client = client(&engine);
        fill(&mut client, 0..100, "");
        client.line("CLIENT PAUSE 100000 WRITE");
        limit(&engine, &mut client, -1_000, "allkeys-lru");
        assert!(client.line("GET 1").starts_with("$100"));
        assert_eq!(client.line("DBSIZE"), ":100");
        client.line("CLIENT UNPAUSE");
        client.line("GET 1");
        assert_ne!(client.line("DBSIZE"), ":100");
    }

    #[test]
    fn what_expires_first_goes_first_whatever_parts_of_values_do() {
        let engine = engine();
        let mut client = client(&engine);
        client.line("CONFIG SET maxmemory-eviction-tenacity 100");
        fill(&mut client, 0..500, " EX 100000");
        client.line("HSET hash f v");
        client.line("HEXPIRE hash 1000 FIELDS 1 f");
        client.line("SELECT 1");
        fill(&mut client, 0..500, " EX 50000");
        limit(&engine, &mut client, -20_000, "volatile-ttl");
        client.line("SET k v");
        assert_ne!(client.line("DBSIZE"), ":501");
        client.line("SELECT 0");
        assert_eq!(client.line("DBSIZE"), ":501");
    }

    /// Commands of all kinds, in words that are put in for capital letters.
    const LINES: &[&str] = &[
        "SET K V",
        "SET K V PX N",
        "APPEND K V",
        "SETRANGE K N V",
        "SETBIT K N 1",
        "INCR K",
        "GETDEL K",
        "GETEX K PX N",
        "MSET K V K V",
        "BITOP OR K K K",
        "PFADD K M M M",
        "PFMERGE K K",
        "RPUSH K V V V",
        "LPUSH K MANY",
        "LSET K N V",
        "LINSERT K BEFORE M V",
        "LREM K N M",
        "LTRIM K N N",
        "LPOP K N",
        "LMOVE K K LEFT RIGHT",
        "HSET K M V M V",
        "HSET K MANY",
        "HDEL K M M M",
        "HINCRBY K M 1",
        "HPEXPIRE K N FIELDS 3 M M M",
        "HPERSIST K FIELDS 1 M",
        "SADD K MANY",
        "SADD K M V",
        "SREM K MANY",
        "SPOP K N",
        "SMOVE K K M",
        "SUNIONSTORE K K K",
        "ZADD K N M N V",
        "ZADD K N M N M N M N M",
        "ZREM K M M",
        "ZPOPMIN K N",
        "ZREMRANGEBYRANK K N N",
        "ZUNIONSTORE K 2 K K",
        "ZRANGESTORE K K 0 N",
        "GEOADD K 1 1 M",
        "SORT K BY nosort STORE K",
        "XADD K * M V",
        "XADD K MAXLEN ~ 100 * M V M V",
        "XTRIM K MAXLEN N",
        "XGROUP CREATE K a 0 MKSTREAM",
        "XREADGROUP GROUP a M COUNT N STREAMS K >",
        "XAUTOCLAIM K a M 0 0",
        "XGROUP DELCONSUMER K a M",
        "XGROUP DESTROY K a",
        "COPY K K DB D REPLACE",
        "COPY K K REPLACE",
        "MOVE K D",
        "RENAME K K",
        "PEXPIRE K N",
        "PERSIST K",
        "DEL K K",
        "UNLINK K",
        "GET K",
        "HGETALL K",
        "SMEMBERS K",
        "SELECT D",
        "SWAPDB D D",
        "MULTI",
        "EXEC",
        "DISCARD",
        "WATCH K",
    ];

    /// Puts words in for the capital letters of a line.
    fn filled(line: &str, rng: &mut fastrand::Rng) -> String {
        let words = line.split(' ').map(|word| match word {
            // Mostly the family whose command it is meets its own.
            "K" => match rng.u8(..20) {
                0 => "k".repeat(400),
                1..5 => format!("other:{}", rng.u8(..4)),
                _ => format!("{}:{}", &line[..1], rng.u8(..6)),
            },
            "V" => "v".repeat([1, 10, 100, 3_000][rng.usize(..4)]),
            "M" => format!("m{}", rng.u32(..600)),
            "N" => rng.u32(..300).to_string(),
            "D" => rng.u8(..16).to_string(),
            "MANY" => {
                let many: Vec<_> = (0..400).map(|_| format!("m{}", rng.u32(..600))).collect();
                many.join(" ")
            }
            word => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_used_is_counted_right_whatever_is_done_and_is_nothing_in_the_end() {
        let engine = engine();
        let mut client = client(&engine);
        client.line("GET k");
        let used = || engine.lock().used_memory(&engine.server);
        let at_first = used();
        let mut rng = fastrand::Rng::with_seed(4);
        let policies = [
            "noeviction",
            "allkeys-lru",
            "allkeys-lfu",
            "allkeys-random",
            "volatile-lru",
            "volatile-random",
            "volatile-ttl",
        ];
        for round in 0..300 {
            for _ in 0..60 {
                let line = LINES[rng.usize(..LINES.len())];
                client.line(&filled(line, &mut rng));
            }
            client.line("DISCARD");
            client.line("UNWATCH");
            let state = engine.lock();
            let databases = &state.keyspace.databases;
            for (index, database) in databases.iter().enumerate() {
                assert!(database.is_weighed_right(), "round {round}: {index}");
            }
            let held = databases.iter().map(Database::total_memory).sum::<usize>();
            let held = held + state.keyspace.garbage.memory();
            assert_eq!(state.keyspace.memory(), held, "round {round}");
            drop(state);
            let policy = policies[rng.usize(..policies.len())];
            let half = used() as i64 / 2;
            // Now and then no limit.
            match rng.u8(..3) {
                0 => _ = client.line("CONFIG SET maxmemory 0"),
                1 => limit(&engine, &mut client, -half, policy),
                _ => limit(&engine, &mut client, 100_000, policy),
            }
            if round % 30 == 29 {
                client.line("CONFIG SET maxmemory 0");
                client.line(["FLUSHALL", "FLUSHALL ASYNC"][rng.usize(..2)]);
                upkeep::until_done(&engine);
                assert_eq!(used(), at_first, "round {round}");
            }
        }
    }

    #[test]
    fn only_what_the_policy_names_may_go() {
        for (policy, expected) in [
            ("volatile-lru", 600),
            ("volatile-lfu", 600),
            ("volatile-random", 600),
            ("volatile-ttl", 600),
            ("allkeys-lru", 0),
            ("allkeys-lfu", 0),
            ("allkeys-random", 0),
            ("noeviction", 1_000),
        ] {
            let engine = engine();
            let mut client = client(&engine);
            client.line("CONFIG SET maxmemory-eviction-tenacity 100");
            // In several databases, of one of which few keys expire.
            fill(&mut client, 0..500, "");
            client.line("SELECT 3");
            fill(&mut client, 0..350, " EX 1000");
            client.line("SELECT 7");
            fill(&mut client, 0..100, "");
            fill(&mut client, 100..150, " EX 1000");
            client.line(&format!("CONFIG SET maxmemory 1 maxmemory-policy {policy}"));
            assert!(client.line("SET k v").starts_with("-OOM"), "{policy}");
            let left: usize = engine
                .lock()
                .keyspace
                .databases
                .iter()
                .map(Database::len)
                .sum();
            assert_eq!(left, expected, "{policy}");
        }
    }

    #[test]
    fn what_expires_first_goes_first() {
        let engine = engine();
        let mut client = client(&engine);
        client.line("CONFIG SET maxmemory-eviction-tenacity 100");
        for n in 0..1_000 {
            let seconds = 1_000 + (n * 7) % 1_000 * 100;
            fill(&mut client, n..n + 1, &format!(" EX {seconds}"));
        }
        limit(&engine, &mut client, -50_000, "volatile-ttl");
        client.line("SET k v");
        let state = engine.lock();
        let database = &state.keyspace.databases[0];
        let left = database.iter().filter_map(|key| database.expires_at(key));
        let first = left.min().unwrap() - engine.server.clock.now_ms();
        // A third has gone, and hardly any other than those that were first.
        let evicted = state.keyspace.stats.evicted as i64;
        assert!(first > (1_000 + evicted * 60) * 1000, "{first} {evicted}");
    }
}
