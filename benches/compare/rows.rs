//! Every row of the table: its name, its load, and what the project aims at.
//!
//! A name tells what is counted: CPU and rate are per request, or per what the
//! name says. Aims are ratios to redis-server, or values where they say so.

use crate::benchmark::{Benchmark, Data};
use crate::figures::grouped;
use crate::footprint::Stored;
use crate::load::Load;
use crate::result::Result;
use crate::setting::Scale;

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
            Load::Wake,
            &[Aim::Ratio(0.85), Aim::Ratio(0.75)],
            None,
        ),
        row(
            "queue",
            "10 LPUSH, 10 BLPOP, per item",
            Load::Queue(10),
            &[Aim::Ratio(0.8)],
            Some(1.0),
        ),
        row(
            "queue",
            "50 LPUSH, 50 BLPOP, per item",
            Load::Queue(50),
            &[Aim::Ratio(0.8)],
            Some(1.0),
        ),
    ]);
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
            &[Aim::Value(1.0)],
            None,
        ),
        row("idle", &idle, Load::Idle, &[Aim::Ratio(1.0)], None),
    ]);
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
    });
    let name = format!("{name}, P={pipeline}");
    row("kv", &name, load, &[Aim::Ratio(cost)], Some(rate))
}
