//! MEMORY: what takes how much.
//!
//! What is used is told from what tables, values and connections hold, so it
//! grows and shrinks with the data, whatever allocator an embedder has. What
//! the process holds for it is what the system says. Both are in INFO. The
//! allocator, if the broker was told of it, gives back what is free and speaks
//! for itself in MALLOC-STATS. DOCTOR's words are our own.

use std::sync::atomic::Ordering::Relaxed;

use crate::db::{Database, Db};
use crate::engine::State;
use crate::error::{Error, Result};
use crate::process;
use crate::resp::Reply;
use crate::table::vocabulary::{CONTAINER, READ, SERVER, STAT_KEY};
use crate::table::{Args, Context, Group, HELP, Handler, Row};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "memory", group: Group::Server, since: "4.0.0",
        summary: "Asks about memory.",
        subcommands: &[
            Row {
                name: "usage", arity: -3, flags: READ, keys: &[STAT_KEY.at(2)],
                usage: "key:key [SAMPLES count:integer]",
                since: "4.0.0", complexity: "O(N) where N is the number of samples.",
                summary: "How many bytes a key and its value take.",
                handler: Handler::Data(memory_usage),
                ..SERVER
            },
            Row {
                name: "doctor", arity: 2,
                tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
                since: "4.0.0",
                summary: "Explains the use of memory in words.",
                handler: Handler::Session(memory_doctor),
                ..SERVER
            },
            Row {
                name: "stats", arity: 2,
                tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
                since: "4.0.0",
                summary: "Where memory goes, in figures.", handler: Handler::Session(memory_stats),
                ..SERVER
            },
            Row {
                name: "malloc-stats", arity: 2,
                tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
                since: "4.0.0",
                complexity: "Depends on how much memory is allocated, could be slow",
                summary: "What the allocator reports about itself.",
                handler: Handler::Session(memory_malloc_stats),
                ..SERVER
            },
            Row {
                name: "purge", arity: 2,
                tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
                since: "4.0.0",
                complexity: "Depends on how much memory is allocated, could be slow",
                summary: "Asks the allocator to return unused memory to the system.",
                handler: Handler::Session(memory_purge),
                ..SERVER
            },
            Row { since: "4.0.0", ..HELP },
        ],
        ..CONTAINER
    },
];

fn memory_usage(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    // Nothing is sampled here, so the number only has to be one.
    while args.keyword("SAMPLES") {
        if args.int()? < 0 {
            return Err(Error::SYNTAX);
        }
    }
    args.end()?;
    // One that has expired takes its memory until it is removed.
    match db.database().find(key) {
        Some(handle) => reply.len(db.database().memory(handle)),
        None => reply.null(),
    }
    Ok(())
}

/// Bytes of memory by what holds them.
pub struct Memory {
    /// Keys and values, with what was removed and is not freed yet.
    pub dataset: usize,
    /// Tables that lead to them, and expiries.
    pub tables: usize,
    /// Connections and what waits for them.
    pub clients: usize,
    /// Scripts and functions.
    pub scripts: ScriptsMemory,
    /// How many keys there are.
    pub keys: usize,
    /// The most that was ever used, as far as anybody asked.
    pub peak: usize,
}

/// What scripts and functions take.
#[derive(Default)]
pub struct ScriptsMemory {
    /// The interpreter, which has compiled them.
    pub interpreter: usize,
    /// Scripts that EVALSHA finds, as their texts.
    pub cache: usize,
    /// How many of them there are.
    pub cached: usize,
    /// Libraries of functions, as their texts and what they say of themselves.
    pub libraries: usize,
    /// How many there are.
    pub library_count: usize,
    /// How many functions they have together.
    pub functions: usize,
}

impl ScriptsMemory {
    #[cfg(feature = "lua")]
    fn measure(state: &State) -> ScriptsMemory {
        let scripts = &state.scripts;
        ScriptsMemory {
            interpreter: scripts.interpreter_memory(),
            cache: scripts.cache.memory(),
            cached: scripts.cache.len(),
            libraries: scripts.libraries.memory(),
            library_count: scripts.libraries.len(),
            functions: scripts.libraries.function_count(),
        }
    }

    #[cfg(not(feature = "lua"))]
    fn measure(_: &State) -> ScriptsMemory {
        ScriptsMemory::default()
    }

    /// All together.
    fn total(&self) -> usize {
        self.interpreter + self.cache + self.libraries
    }
}

impl Memory {
    /// Looks at everything there is.
    pub fn measure(context: &mut Context<'_>) -> Memory {
        let server = context.server;
        let state = context.turn.state();
        let clients = state.clients_memory(server);
        let keyspace = &state.keyspace;
        let databases = &keyspace.databases;
        let dataset: usize = databases.iter().map(Database::dataset).sum();
        let tables = |db: &Database| db.overhead() + db.expires_memory();
        let mut memory = Memory {
            dataset: dataset + keyspace.garbage.memory(),
            tables: databases.iter().map(tables).sum(),
            clients,
            scripts: ScriptsMemory::measure(state),
            keys: databases.iter().map(Database::len).sum(),
            peak: 0,
        };
        let used = memory.used();
        let data = used - clients - memory.scripts.total();
        debug_assert_eq!(data, keyspace.memory(), "counts are up to date");
        let before = &context.server.metrics.peak_memory;
        let before = before.fetch_max(used as u64, Relaxed);
        memory.peak = used.max(before as usize);
        memory
    }

    /// All together.
    pub fn used(&self) -> usize {
        self.dataset + self.overhead()
    }

    /// All but keys and values.
    pub fn overhead(&self) -> usize {
        self.tables + self.clients + self.scripts.total()
    }

    /// What of all are keys and values, in per cent.
    pub fn dataset_percentage(&self) -> f64 {
        percentage(self.dataset, self.used())
    }

    /// What is used of what was used at most, in per cent.
    pub fn peak_percentage(&self) -> f64 {
        percentage(self.used(), self.peak)
    }
}

/// What the process holds of the system's memory for what is used.
pub struct Held {
    used: usize,
    /// Bytes that are resident, of programs and libraries too.
    pub resident: usize,
    /// Bytes that the allocator has, if there is one that is known: all that
    /// is resident and no file's.
    allocator: Option<usize>,
}

/// By how much something is more than something else that it holds.
pub struct Surplus {
    /// As INFO names it, with `_ratio` or `_bytes` behind it.
    pub name: &'static str,
    /// As MEMORY STATS names the ratio, and the bytes.
    stats_names: [&'static str; 2],
    /// The one divided by the other.
    pub ratio: f64,
    /// The one without the other.
    pub bytes: i64,
}

impl Surplus {
    fn new(name: &'static str, stats_names: [&'static str; 2], of: usize, over: usize) -> Surplus {
        Surplus {
            name,
            stats_names,
            ratio: of as f64 / over.max(1) as f64,
            bytes: of as i64 - over as i64,
        }
    }
}

impl Held {
    /// Asks the system, which may not say.
    pub fn measure(context: &Context<'_>, memory: &Memory) -> Option<Held> {
        let resident = process::resident_memory()?;
        let known = context.server.allocator.is_some();
        Some(Held {
            used: memory.used(),
            resident: resident.total as usize,
            allocator: known.then_some(resident.anonymous as usize),
        })
    }

    /// Bytes that the allocator has handed out, those of the pages that they
    /// are in, and those that are resident, by the ends of their names.
    ///
    /// Of one that does not count the first two, as ours, Redis tells what is
    /// used and what is resident instead; which is near the truth where what
    /// is free goes back within a second.
    pub fn by_allocator(&self) -> Option<[(&'static str, usize); 3]> {
        let resident = self.allocator?;
        Some([
            ("allocated", self.used),
            ("active", resident),
            ("resident", resident),
        ])
    }

    /// What each holds beyond what it is held for.
    pub fn surpluses(&self) -> Vec<Surplus> {
        let mut surpluses = Vec::new();
        if let Some([(_, allocated), (_, active), (_, resident)]) = self.by_allocator() {
            surpluses.extend([
                Surplus::new(
                    "allocator_frag",
                    [
                        "allocator-fragmentation.ratio",
                        "allocator-fragmentation.bytes",
                    ],
                    active,
                    allocated,
                ),
                Surplus::new(
                    "allocator_rss",
                    ["allocator-rss.ratio", "allocator-rss.bytes"],
                    resident,
                    active,
                ),
                Surplus::new(
                    "rss_overhead",
                    ["rss-overhead.ratio", "rss-overhead.bytes"],
                    self.resident,
                    resident,
                ),
            ]);
        }
        surpluses.push(Surplus::new(
            "mem_fragmentation",
            ["fragmentation", "fragmentation.bytes"],
            self.resident,
            self.used,
        ));
        surpluses
    }

    /// Whether far more is held than is used: more than twice that, and what a
    /// process takes that has just started.
    fn is_too_much(&self) -> bool {
        self.resident > self.used.saturating_mul(2).saturating_add(20 << 20)
    }
}

fn percentage(part: usize, whole: usize) -> f64 {
    match whole {
        0 => 0.0,
        whole => part as f64 * 100.0 / whole as f64,
    }
}

fn memory_doctor(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let memory = Memory::measure(context);
    let held = Held::measure(context, &memory);
    let report = diagnose(&memory, held.as_ref());
    reply.verbatim(b"txt", report.as_bytes());
    Ok(())
}

/// What there is and what stands out of it, in words.
fn diagnose(memory: &Memory, held: Option<&Held>) -> String {
    let used = human(memory.used() as u64);
    let share = memory.dataset_percentage().round();
    let resident = held.map(|held| human(held.resident as u64));
    let resident = resident.unwrap_or_else(|| "an unknown amount".into());
    let mut report = format!(
        "{} keys take {used} with their tables and connections, {share} % of it keys and values. \
         The process as a whole has {resident} resident.",
        memory.keys
    );
    let said_before = report.len();
    if memory.clients > memory.dataset + memory.tables {
        report += " Connections take more than the data: \
                   CLIENT LIST shows in omem who does not read.";
    }
    if let Some(held) = held.filter(|held| held.is_too_much()) {
        report += " That is far more than is used. ";
        report += match held.allocator {
            Some(_) => {
                "What was freed goes back within a second; what stays is scattered among what is \
                 still there, as when most of many keys were deleted one by one."
            }
            None => {
                "The rest belongs to the program that the broker runs in, or is free and kept by \
                 its allocator."
            }
        };
    }
    if report.len() == said_before {
        report += " Nothing stands out.";
    }
    report.push('\n');
    report
}

fn memory_stats(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let memory = Memory::measure(context);
    let held = Held::measure(context, &memory);
    let by_allocator = held.as_ref().and_then(Held::by_allocator);
    let surpluses = held.map(|held| held.surpluses()).unwrap_or_default();
    let databases = &context.turn.state().keyspace.databases;
    let used = databases
        .iter()
        .enumerate()
        .filter(|(_, db)| !db.is_empty());
    let figures = |reply: &mut Reply<'_>, figures: &[(&str, usize)]| {
        for (name, value) in figures {
            reply.bulk(name.as_bytes());
            reply.len(*value);
        }
    };
    let rows = 16 + by_allocator.map_or(0, |figures| figures.len()) + 2 * surpluses.len();
    reply.map(rows + used.clone().count());
    figures(
        reply,
        &[
            ("peak.allocated", memory.peak),
            ("total.allocated", memory.used()),
            ("startup.allocated", 0),
            ("replication.backlog", 0),
            ("clients.slaves", 0),
            ("clients.normal", memory.clients),
            ("cluster.links", 0),
            ("aof.buffer", 0),
            (
                "lua.caches",
                memory.scripts.cache + memory.scripts.interpreter,
            ),
            ("functions.caches", memory.scripts.libraries),
        ],
    );
    for (index, db) in used {
        reply.bulk(format!("db.{index}").as_bytes());
        reply.map(2);
        figures(
            reply,
            &[
                ("overhead.hashtable.main", db.overhead()),
                ("overhead.hashtable.expires", db.expires_memory()),
            ],
        );
    }
    let per_key = memory.dataset.checked_div(memory.keys);
    figures(
        reply,
        &[
            ("overhead.total", memory.overhead()),
            ("keys.count", memory.keys),
            ("keys.bytes-per-key", per_key.unwrap_or_default()),
            ("dataset.bytes", memory.dataset),
        ],
    );
    reply.bulk(b"dataset.percentage");
    reply.double(memory.dataset_percentage());
    reply.bulk(b"peak.percentage");
    reply.double(memory.peak_percentage());
    for (name, bytes) in by_allocator.into_iter().flatten() {
        reply.bulk(format!("allocator.{name}").as_bytes());
        reply.len(bytes);
    }
    for surplus in surpluses {
        let [ratio, bytes] = surplus.stats_names;
        reply.bulk(ratio.as_bytes());
        reply.double(surplus.ratio);
        reply.bulk(bytes.as_bytes());
        reply.int(surplus.bytes);
    }
    Ok(())
}

fn memory_malloc_stats(
    context: &mut Context<'_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    match &context.server.allocator {
        Some(allocator) => reply.verbatim(b"txt", (allocator.report)().as_bytes()),
        // What Redis answers if it cannot ask its allocator.
        None => reply.bulk(b"Stats not supported for the current allocator"),
    }
    Ok(())
}

fn memory_purge(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    // Redis, too, answers OK if it cannot ask its allocator.
    if let Some(allocator) = &context.server.allocator {
        (allocator.purge)();
    }
    reply.ok();
    Ok(())
}

/// Bytes as people read them: `512B`, `1.50K`.
pub fn human(bytes: u64) -> String {
    let mut value = bytes as f64;
    if value < 1024.0 {
        return format!("{bytes}B");
    }
    for unit in ["K", "M", "G", "T", "P"] {
        value /= 1024.0;
        if value < 1024.0 {
            return format!("{value:.2}{unit}");
        }
    }
    // Redis has no name for so many.
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::upkeep;
    use crate::testing::{client, engine};

    #[test]
    fn sizes_have_the_units_of_redis() {
        let sizes = [1023, 1024, 3 << 29, 5 << 50, u64::MAX].map(human);
        let expected = ["1023B", "1.00K", "1.50G", "5.00P", "18446744073709551615B"];
        assert_eq!(sizes, expected);
    }

    #[test]
    fn the_doctor_sees_what_is_held_in_vain() {
        let memory = Memory {
            dataset: 10 << 20,
            tables: 1 << 20,
            clients: 1000,
            scripts: ScriptsMemory::default(),
            keys: 3,
            peak: 0,
        };
        let diagnose = |resident, allocator| {
            let used = memory.used();
            let held = Held {
                used,
                resident,
                allocator,
            };
            super::diagnose(&memory, Some(&held))
        };
        let healthy = diagnose(40 << 20, Some(30 << 20));
        assert!(
            healthy.ends_with("40.00M resident. Nothing stands out.\n"),
            "{healthy}"
        );
        for (allocator, cause) in [
            (Some(530 << 20), "scattered"),
            (None, "kept by its allocator"),
        ] {
            let report = diagnose(540 << 20, allocator);
            assert!(
                report.contains("540.00M resident. That is far more"),
                "{report}"
            );
            assert!(report.contains(cause), "{report}");
        }
    }

    #[test]
    fn bytes_are_shown_in_the_largest_unit_that_fits() {
        let shown = [0, 1023, 1024, 1536, 5 << 20, 3 << 40, 2 << 50].map(human);
        let expected = ["0B", "1023B", "1.00K", "1.50K", "5.00M", "3.00T", "2.00P"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_clients_watch_and_hear_counts() {
        const NAMES: usize = 10_000;
        let names: String = (0..NAMES).map(|n| format!(" name{n}")).collect();
        let engine = engine();
        let mut looker = client(&engine);
        let mut used = || -> usize {
            let info = looker.line("INFO memory");
            let bytes = info.split("used_memory:").nth(1).expect("a field");
            let bytes = bytes.split("\r\n").next().expect("a line");
            bytes.parse().expect("bytes")
        };
        let before = used();
        for command in ["WATCH", "SUBSCRIBE", "PSUBSCRIBE"] {
            let mut client = client(&engine);
            client.line(&format!("{command}{names}"));
            let grown = used() - before;
            assert!(grown > NAMES * 64, "{command}: {grown}");
            drop(client);
            upkeep::until_done(&engine);
            let left = used() - before;
            assert!(left < grown / 10, "{command}: {left} of {grown}");
        }
    }
}
