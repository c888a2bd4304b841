//! MEMORY: what takes how much.
//!
//! No allocator is asked, because an embedder's may be any. What is used is
//! told from what tables, values and connections hold, so it grows and shrinks
//! with the data; what the process holds beyond that shows in its resident
//! memory. Both are in INFO. DOCTOR's words are our own.

use std::sync::atomic::Ordering::Relaxed;

use crate::db::{Database, Db};
use crate::error::{Error, Result};
use crate::process;
use crate::resp::Reply;
use crate::session::memory_of;
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
    match db.peek(key) {
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
    /// How many keys there are.
    pub keys: usize,
    /// The most that was ever used, as far as anybody asked.
    pub peak: usize,
}

impl Memory {
    /// Looks at everything there is.
    pub fn measure(context: &mut Context<'_>) -> Memory {
        let mut clients = 0;
        context
            .server
            .clients
            .for_each(|client| clients += memory_of(client));
        // What others hold for them.
        let state = context.turn.state();
        clients += state.waiters.memory() + state.watchers.memory();
        clients += context.server.pubsub.memory();
        let keyspace = &context.turn.state().keyspace;
        let databases = &keyspace.databases;
        let dataset: usize = databases.iter().map(Database::dataset).sum();
        let tables = |db: &Database| db.overhead() + db.expires_memory();
        let mut memory = Memory {
            dataset: dataset + keyspace.garbage.memory(),
            tables: databases.iter().map(tables).sum(),
            clients,
            keys: databases.iter().map(Database::len).sum(),
            peak: 0,
        };
        let used = memory.used();
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
        self.tables + self.clients
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

fn percentage(part: usize, whole: usize) -> f64 {
    match whole {
        0 => 0.0,
        whole => part as f64 * 100.0 / whole as f64,
    }
}

fn memory_doctor(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let memory = Memory::measure(context);
    let used = human(memory.used() as u64);
    let resident = process::resident_memory().map_or_else(|| "an unknown amount".into(), human);
    let share = memory.dataset_percentage().round();
    let advice = match memory.clients > memory.dataset + memory.tables {
        true => "Connections take more than the data: CLIENT LIST shows in omem who does not read.",
        false => "Nothing stands out.",
    };
    let report = format!(
        "{} keys take {used} with their tables and connections, {share} % of it keys and values. \
         The process as a whole has {resident} resident. {advice}\n",
        memory.keys
    );
    reply.verbatim("txt", report.as_bytes());
    Ok(())
}

fn memory_stats(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let memory = Memory::measure(context);
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
    reply.map(14 + used.clone().count());
    figures(
        reply,
        &[
            ("peak.allocated", memory.peak),
            ("total.allocated", memory.used()),
            ("replication.backlog", 0),
            ("clients.slaves", 0),
            ("clients.normal", memory.clients),
            ("cluster.links", 0),
            ("aof.buffer", 0),
            ("lua.caches", 0),
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
    Ok(())
}

fn memory_malloc_stats(_: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    // What Redis answers when it was built with another allocator than its own.
    reply.bulk(b"Stats not supported for the current allocator");
    Ok(())
}

fn memory_purge(_: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    // There is nothing to ask for it, which Redis answers with OK, too.
    reply.ok();
    Ok(())
}

/// Bytes as people read them: `512B`, `1.50K`.
pub fn human(bytes: u64) -> String {
    let mut value = bytes as f64;
    if value < 1024.0 {
        return format!("{bytes}B");
    }
    for unit in ["K", "M", "G", "T"] {
        value /= 1024.0;
        if value < 1024.0 {
            return format!("{value:.2}{unit}");
        }
    }
    format!("{:.2}P", value / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::upkeep;
    use crate::testing::{client, engine};

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
