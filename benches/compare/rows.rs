//! Every row of the table: its name, its load, and what the project aims at.
//!
//! A name tells what is counted: CPU and rate are per request, or per what the
//! name says. Aims are ratios to redis-server, or values where they say so.

use crate::benchmark::{Benchmark, Data};
use crate::collections::{
    DRAWN_FIELDS, DRAWN_MEMBERS, DRAWN_SCORED_MEMBERS, HASH, INTEGERS, SCORED_INTEGERS,
    SET as SETS, SORTED_SET,
};
use crate::figures::grouped;
use crate::footprint::Stored;
use crate::load::Load;
use crate::result::Result;
use crate::scripts::Script;
use crate::setting::Scale;
use crate::stalls::{PASSES, Stall};
use crate::traffic::Through;
use crate::within::Waiting;

/// The group that is measured only when it is asked for, respd with itself.
pub const WORKERS: &str = "workers";

/// What is measured in one go: a line of the table for each of its costs.
pub struct Row {
    pub group: &'static str,
    pub name: String,
    pub load: Load,
    /// For each of the load's costs.
    pub costs: Vec<Aim>,
    /// The ratio of throughputs to reach.
    pub rate: Option<f64>,
}

/// What a cost is to stay within.
#[derive(Clone, Copy)]
pub enum Aim {
    /// This part of the other subject's.
    Ratio(f64),
    /// This, whatever the other's is.
    Value(f64),
    /// There is none.
    Open,
}

const SET: (&str, Data) = ("SET key:__rand_int__ $value", Data::Keys);
const GET: (&str, Data) = ("GET key:__rand_int__", Data::Keys);
const INCR: (&str, Data) = ("INCR counter:__rand_int__", Data::None);
const LPUSH: (&str, Data) = ("LPUSH list $value", Data::EmptyList);
const RPOP: (&str, Data) = ("RPOP list", Data::FullList);
const LRANGE: (&str, Data) = ("LRANGE list 0 99", Data::ListOf100);
const EXPIRE: (&str, Data) = ("EXPIRE key:__rand_int__ 1000", Data::Keys);
const TTL: (&str, Data) = ("TTL key:__rand_int__", Data::ExpiringKeys);
const MSET: (&str, Data) = (
    "MSET key:__rand_int__ $value key:__rand_int__ $value key:__rand_int__ $value \
     key:__rand_int__ $value key:__rand_int__ $value key:__rand_int__ $value \
     key:__rand_int__ $value key:__rand_int__ $value key:__rand_int__ $value \
     key:__rand_int__ $value",
    Data::Keys,
);

/// All rows, in the order of the table.
pub fn rows(scale: &Scale) -> Vec<Row> {
    let mut rows = vec![
        kv("SET", SET, 3, 1, 0.88, 0.95),
        kv("SET", SET, 3, 16, 0.52, 1.3),
        kv("SET", SET, 3, 64, 0.36, 1.8),
        kv("GET", GET, 3, 1, 0.88, 0.95),
        kv("GET", GET, 3, 16, 0.56, 1.3),
        kv("GET", GET, 3, 64, 0.48, 1.6),
        kv("INCR", INCR, 3, 1, 0.88, 0.95),
        kv("INCR", INCR, 3, 16, 0.52, 1.3),
        kv("INCR", INCR, 3, 64, 0.36, 1.8),
        kv("LPUSH", LPUSH, 3, 1, 0.88, 0.95),
        kv("LPUSH", LPUSH, 3, 16, 0.62, 1.1),
        kv("LPUSH", LPUSH, 3, 64, 0.45, 1.6),
        kv("RPOP", RPOP, 3, 1, 0.88, 0.95),
        kv("RPOP", RPOP, 3, 16, 0.62, 1.1),
        kv("RPOP", RPOP, 3, 64, 0.45, 1.6),
        kv("SET of 1 KiB", SET, 1024, 16, 0.45, 1.4),
        kv("SET of 1 KiB", SET, 1024, 64, 0.45, 1.4),
        kv("GET of 1 KiB", GET, 1024, 16, 0.45, 1.4),
        kv("GET of 1 KiB", GET, 1024, 64, 0.45, 1.4),
        kv("MSET of ten", MSET, 3, 1, 0.75, 0.95),
        kv("MSET of ten", MSET, 3, 16, 0.36, 2.0),
        kv("LRANGE of 100", LRANGE, 16, 16, 0.6, 1.3),
        kv("EXPIRE", EXPIRE, 3, 16, 0.6, 1.3),
        kv("TTL", TTL, 3, 16, 0.6, 1.3),
        row(
            "kv",
            "MULTI, ten SETs, EXEC",
            Load::Transactions,
            &[Aim::Ratio(0.6)],
            Some(1.3),
        ),
    ];
    rows.extend(collections());
    rows.extend(streams());
    rows.extend(scripts());
    for count in [0, 1, 10, 100, 1_000] {
        let load = Load::Publish(count.min(scale.subscribers));
        let name = match count {
            0 => "PUBLISH to nobody".to_owned(),
            _ => format!("PUBLISH to {}, per delivery", grouped(count as f64)),
        };
        rows.push(row("pub", &name, load, &[Aim::Ratio(0.6)], Some(1.3)));
    }
    rows.extend([
        row(
            "queue",
            "LPUSH to a blocked BLPOP",
            Load::Wake(Through::List),
            &[Aim::Ratio(0.85), Aim::Ratio(0.75)],
            None,
        ),
        row(
            "queue",
            "10 LPUSH, 10 BLPOP, per item",
            Load::Queue(Through::List, 10),
            &[Aim::Ratio(0.8)],
            Some(1.0),
        ),
        row(
            "queue",
            "50 LPUSH, 50 BLPOP, per item",
            Load::Queue(Through::List, 50),
            &[Aim::Ratio(0.8)],
            Some(1.0),
        ),
    ]);
    rows.extend(eviction());
    let weigh = |name: &str, stored, ratio| {
        row(
            "memory",
            name,
            Load::Memory(stored),
            &[Aim::Ratio(ratio)],
            None,
        )
    };
    let keys = |value, expiring| Stored::Keys { value, expiring };
    rows.extend([
        weigh("a key with 3 bytes", keys(3, false), 0.55),
        weigh("a key with 100 bytes", keys(100, false), 0.8),
        weigh("a key with 3 bytes that expires", keys(3, true), 1.0),
        weigh("an element of one list", Stored::List, 1.0),
        weigh("an element of a list of ten", Stored::ListsOfTen, 1.0),
    ]);
    for (name, stored, bytes) in [
        ("a field of a hash of ten", Stored::OfTen(HASH), 23.0),
        ("a field of one hash", Stored::Collection(HASH), 45.0),
        (
            "a member of a set of ten integers",
            Stored::OfTen(INTEGERS),
            8.5,
        ),
        ("a member of one set", Stored::Collection(SETS), 36.0),
        (
            "a member of a sorted set of ten",
            Stored::OfTen(SCORED_INTEGERS),
            13.0,
        ),
        (
            "a member of one sorted set",
            Stored::Collection(SORTED_SET),
            62.0,
        ),
    ] {
        let aim = [Aim::Value(bytes)];
        rows.push(row("memory", name, Load::Memory(stored), &aim, None));
    }
    rows.extend([
        weigh("an entry of one stream", Stored::Stream, 0.9),
        weigh("a stream of ten", Stored::StreamsOfTen, 0.9),
        weigh("a pending entry", Stored::Pending, 0.9),
    ]);
    let connections = grouped(scale.connections as f64);
    for (kind, subscribed) in [("idle connections", false), ("idle subscribers", true)] {
        let name = format!("one of {connections} {kind}");
        let load = Load::Connections { subscribed };
        rows.push(row("connections", &name, load, &[Aim::Value(2048.0)], None));
    }
    let idle = format!("idle for 10 s with {connections} clients");
    rows.extend([
        row(
            "startup",
            "exec to the first PONG",
            Load::Exec,
            &[Aim::Ratio(0.35)],
            None,
        ),
        row(
            "startup",
            "Broker::start(), PONG, stop",
            Load::Broker,
            &[Aim::Value(0.5)],
            None,
        ),
        row("idle", &idle, Load::Idle, &[Aim::Ratio(1.0)], None),
    ]);
    for (what, waiting) in [("blocking", Waiting::Blocking), ("async", Waiting::Async)] {
        for depth in [1, 16] {
            let name = format!("GET in memory, {what}, P={depth}");
            let costs = [Aim::Open, Aim::Open, Aim::Value(0.5)];
            rows.push(row(
                "within",
                &name,
                Load::Within(waiting, depth),
                &costs,
                None,
            ));
        }
    }
    let [sent, expiring, watched] =
        [PASSES * scale.stored, scale.expiring, scale.watched].map(|count| grouped(count as f64));
    // Nobody is to wait longer than this for the server's housekeeping.
    let soon = Aim::Value(2.0);
    for (what, stall, longest) in [
        ("nothing else happens".to_owned(), Stall::Nothing, Aim::Open),
        (format!("{expiring} keys expire"), Stall::Expiry, soon),
        (
            format!("a watcher of {watched} keys leaves"),
            Stall::Watchers(1),
            soon,
        ),
        (
            "ten such watchers leave".to_owned(),
            Stall::Watchers(10),
            soon,
        ),
        (
            format!("a subscriber of {watched} channels leaves"),
            Stall::Subscriber,
            soon,
        ),
        (
            format!("{sent} TTLs come in pipelines"),
            Stall::Pipelines("TTL $key"),
            Aim::Open,
        ),
        (
            format!("{sent} EXPIREs come in pipelines"),
            Stall::Pipelines("EXPIRE $key 1000"),
            soon,
        ),
    ] {
        let name = format!("wait while {what}");
        let costs = [Aim::Open, Aim::Open, longest];
        rows.push(row("stalls", &name, Load::Stall(stall), &costs, None));
    }
    for (name, command, pipeline) in [
        ("SET", SET, 1),
        ("SET", SET, 16),
        ("GET", GET, 16),
        ("GET", GET, 64),
        ("MSET of ten", MSET, 16),
        ("LRANGE of 100", LRANGE, 16),
    ] {
        rows.push(Row {
            group: WORKERS,
            costs: vec![Aim::Open],
            rate: None,
            ..kv(name, command, 16, pipeline, 0.0, 0.0)
        });
    }
    rows
}

/// Hashes, sets and sorted sets; of what is drawn there are a hundred thousand.
fn collections() -> Vec<Row> {
    const FIELDS: Data = Data::Collection(DRAWN_FIELDS, 100_000);
    const MEMBERS: Data = Data::Collection(DRAWN_MEMBERS, 100_000);
    const SCORES: Data = Data::Collection(DRAWN_SCORED_MEMBERS, 100_000);
    const HSET: (&str, Data) = ("HSET c field:__rand_int__ $value", FIELDS);
    const SADD: (&str, Data) = ("SADD c member:__rand_int__", MEMBERS);
    const ZADD: (&str, Data) = ("ZADD c __rand_int__ member:__rand_int__", SCORES);
    let mut rows = Vec::new();
    for (name, command, pipeline, cost) in [
        ("HSET", HSET, 16, 0.5),
        ("HSET", HSET, 64, 0.5),
        ("SADD", SADD, 16, 0.5),
        ("SADD", SADD, 64, 0.5),
        ("ZADD", ZADD, 16, 0.4),
        ("ZADD", ZADD, 64, 0.4),
        (
            "ZPOPMIN",
            ("ZPOPMIN c", Data::FullCollection(SORTED_SET)),
            16,
            0.7,
        ),
        ("SPOP", ("SPOP c", Data::FullCollection(SETS)), 16, 0.7),
        ("HGET", ("HGET c field:__rand_int__", FIELDS), 16, 0.55),
        (
            "HGETALL of ten",
            ("HGETALL c", Data::Collection(HASH, 10)),
            16,
            0.55,
        ),
        (
            "SISMEMBER",
            ("SISMEMBER c member:__rand_int__", MEMBERS),
            16,
            0.55,
        ),
        ("ZSCORE", ("ZSCORE c member:__rand_int__", SCORES), 16, 0.55),
        ("ZRANK", ("ZRANK c member:__rand_int__", SCORES), 16, 0.55),
        ("ZRANGE of ten", ("ZRANGE c 50000 50009", SCORES), 16, 0.55),
        ("ZRANGE of 100", ("ZRANGE c 50000 50099", SCORES), 16, 0.55),
    ] {
        rows.push(Row {
            group: "collections",
            rate: None,
            ..kv(name, command, 7, pipeline, cost, 0.0)
        });
    }
    let unions = "SUNION c0 c1 c2 c3 c4 c5 c6 c7 c8 c9";
    for (name, words, data) in [
        (
            "SINTER of two of 10,000",
            "SINTER c0 c1",
            Data::Overlapping(SETS, 2, 10_000),
        ),
        (
            "ZINTER of two of 10,000",
            "ZINTER 2 c0 c1",
            Data::Overlapping(SORTED_SET, 2, 10_000),
        ),
        (
            "SUNION of ten of 1,000",
            unions,
            Data::Overlapping(SETS, 10, 1_000),
        ),
    ] {
        let load = Load::Command(Benchmark {
            words,
            data,
            value: 0,
            pipeline: 1,
            weight: 100,
        });
        rows.push(row("collections", name, load, &[Aim::Ratio(0.7)], None));
    }
    rows
}

/// Streams with entries of one field.
fn streams() -> Vec<Row> {
    const EMPTY: Data = Data::Stream(0);
    const FULL: Data = Data::Stream(100_000);
    const XADD: (&str, Data) = ("XADD stream * field $value", EMPTY);
    const TRIMMED: (&str, Data) = ("XADD stream MAXLEN ~ 1000 * field $value", EMPTY);
    const XREAD: (&str, Data) = ("XREAD COUNT 100 STREAMS stream 1700000050000", FULL);
    const XRANGE: (&str, Data) = ("XRANGE stream 1700000050000 + COUNT 100", FULL);
    let mut rows = Vec::new();
    for (name, command, pipeline, cost) in [
        ("XADD", XADD, 1, 0.92),
        ("XADD", XADD, 16, 0.55),
        ("XADD", XADD, 64, 0.45),
        ("XADD MAXLEN ~ 1000", TRIMMED, 16, 0.55),
    ] {
        rows.push(Row {
            group: "streams",
            rate: None,
            ..kv(name, command, 16, pipeline, cost, 0.0)
        });
    }
    for (name, (words, data)) in [("XREAD of 100", XREAD), ("XRANGE of 100", XRANGE)] {
        let pipeline = 16;
        let load = Load::Command(Benchmark {
            words,
            data,
            value: 0,
            pipeline,
            weight: 10,
        });
        let name = format!("{name}, P={pipeline}");
        rows.push(row("streams", &name, load, &[Aim::Ratio(0.5)], None));
    }
    for (name, load, costs) in [
        (
            "XREADGROUP of ten, XACK of ten, per entry",
            Load::Work,
            &[Aim::Ratio(0.6)][..],
        ),
        (
            "XADD to a blocked XREADGROUP",
            Load::Wake(Through::Group),
            &[Aim::Ratio(0.9), Aim::Ratio(0.9)],
        ),
        (
            "50 XADD, 50 XREADGROUP, per entry",
            Load::Queue(Through::Group, 50),
            &[Aim::Ratio(0.85)],
        ),
    ] {
        rows.push(row("streams", name, load, costs, None));
    }
    rows
}

/// Scripts by the SHA-1 of their text.
fn scripts() -> Vec<Row> {
    const GET: (&str, Script) = ("EVALSHA $sha 1 key:1", Script::Get);
    const RELEASE: (&str, Script) = ("EVALSHA $sha 1 lock token", Script::Release);
    const LIMIT: (&str, Script) = ("EVALSHA $sha 3 count recent last 60", Script::Limit);
    const JSON: (&str, Script) = ("EVALSHA $sha 0 $object", Script::Json);
    let mut rows = Vec::new();
    for (name, (words, script)) in [
        ("script: GET", GET),
        ("script: release of a lock", RELEASE),
        ("script: limiter of ten calls", LIMIT),
        ("script: 1 KiB of JSON, read and written", JSON),
    ] {
        for (pipeline, cost) in [(1, 0.9), (16, 0.7)] {
            let load = Load::Command(Benchmark {
                words,
                data: Data::Script(script),
                value: 0,
                pipeline,
                weight: 10,
            });
            let name = format!("{name}, P={pipeline}");
            rows.push(row("scripts", &name, load, &[Aim::Ratio(cost)], None));
        }
    }
    rows
}

/// A cache whose memory has a limit.
fn eviction() -> Vec<Row> {
    const SET: (&str, Data) = ("SET key:__rand_int__ $value", Data::HalfOfKeys);
    const GET: (&str, Data) = ("GET key:__rand_int__", Data::HalfOfKeys);
    let command = |name, command| Row {
        group: "eviction",
        rate: None,
        ..kv(name, command, 100, 16, 0.55, 0.0)
    };
    let misses = |policy| {
        let name = format!("misses of {policy} under Zipf");
        row(
            "eviction",
            &name,
            Load::Cache(policy),
            &[Aim::Ratio(1.0)],
            None,
        )
    };
    vec![
        command("SET at maxmemory", SET),
        command("GET at maxmemory", GET),
        misses("allkeys-lru"),
        misses("allkeys-lfu"),
    ]
}

/// The rows that were asked for by group or by the beginning of their names.
pub fn select(rows: Vec<Row>, wanted: &[String]) -> Result<Vec<Row>> {
    let begins = |text: &str, wish: &str| text.to_lowercase().starts_with(&wish.to_lowercase());
    let matches = |row: &Row, wish: &str| {
        begins(row.group, wish) || (row.group != WORKERS && begins(&row.name, wish))
    };
    if let Some(wish) = wanted
        .iter()
        .find(|wish| !rows.iter().any(|row| matches(row, wish)))
    {
        return Err(format!("no row is called '{wish}'").into());
    }
    let chosen = |row: &Row| match wanted {
        [] => row.group != WORKERS,
        wanted => wanted.iter().any(|wish| matches(row, wish)),
    };
    Ok(rows.into_iter().filter(chosen).collect())
}

fn row(group: &'static str, name: &str, load: Load, costs: &[Aim], rate: Option<f64>) -> Row {
    Row {
        group,
        name: name.to_owned(),
        load,
        costs: costs.to_vec(),
        rate,
    }
}

fn kv(
    name: &str,
    (words, data): (&'static str, Data),
    value: usize,
    pipeline: usize,
    cost: f64,
    rate: f64,
) -> Row {
    let load = Load::Command(Benchmark {
        words,
        data,
        value,
        pipeline,
        weight: 1,
    });
    let name = format!("{name}, P={pipeline}");
    row("kv", &name, load, &[Aim::Ratio(cost)], Some(rate))
}
