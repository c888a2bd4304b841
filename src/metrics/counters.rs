//! Counters. INFO shows them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::event_loops::EventLoops;
use super::histogram::Histogram;
use super::rates::Rates;
use crate::error::Error;

/// Counters of the whole server.
pub struct Metrics {
    /// Connections ever accepted.
    pub connections: AtomicU64,
    /// Connections refused because there were too many.
    pub rejected_connections: AtomicU64,
    /// Bytes ever read from clients.
    pub input_bytes: AtomicU64,
    /// Bytes ever written to clients.
    pub output_bytes: AtomicU64,
    /// Reads from clients' sockets.
    pub reads: AtomicU64,
    /// Writes to clients' sockets.
    pub writes: AtomicU64,
    /// Error replies ever sent.
    pub error_replies: AtomicU64,
    /// Clients closed because they did not read.
    pub output_limit_disconnections: AtomicU64,
    /// Clients closed because they sent too much at once.
    pub query_limit_disconnections: AtomicU64,
    /// Clients closed because clients held too much together.
    pub evicted_clients: AtomicU64,
    /// Failed attempts to authenticate.
    pub auth_failures: AtomicU64,
    /// The most memory that was ever used, in bytes, as far as anybody asked.
    pub peak_memory: AtomicU64,
    /// `latency-tracking`
    pub latency_tracking: AtomicBool,
    /// By id of the command.
    per_command: Box<[CommandStats]>,
    /// By error code: `ERR`, `WRONGTYPE` …
    pub errors: dashmap::DashMap<String, u64>,
    /// What the event loops of the workers have done.
    pub event_loops: EventLoops,
    /// Rates of the last second and a half.
    pub rates: Rates,
}

/// Error codes that are counted apart, as Redis bounds them.
const ERROR_CODES_MAX: usize = 128;

/// Counters of one command, on a cache line of their own: two workers that run
/// different commands do not take it from each other.
#[derive(Default)]
#[repr(align(64))]
pub struct CommandStats {
    /// `get`, `config|get`.
    pub name: &'static str,
    /// How often it ran.
    pub calls: AtomicU64,
    /// For how long, in nanoseconds.
    pub nanos: AtomicU64,
    /// How often it was refused before it ran.
    pub rejected: AtomicU64,
    /// How often it answered an error.
    pub failed: AtomicU64,
    /// Calls by duration, if `latency-tracking` is on. Few commands are ever
    /// used, so it is made at the first call.
    histogram: OnceLock<Box<Histogram>>,
}

impl Metrics {
    /// All at zero, for the commands of these names, which are told apart by
    /// number from here on.
    pub fn new(commands: impl Iterator<Item = &'static str>) -> Metrics {
        let stats = |name| CommandStats {
            name,
            ..CommandStats::default()
        };
        Metrics {
            connections: AtomicU64::default(),
            rejected_connections: AtomicU64::default(),
            input_bytes: AtomicU64::default(),
            output_bytes: AtomicU64::default(),
            reads: AtomicU64::default(),
            writes: AtomicU64::default(),
            error_replies: AtomicU64::default(),
            output_limit_disconnections: AtomicU64::default(),
            query_limit_disconnections: AtomicU64::default(),
            evicted_clients: AtomicU64::default(),
            auth_failures: AtomicU64::default(),
            peak_memory: AtomicU64::default(),
            latency_tracking: AtomicBool::new(true),
            per_command: commands.map(stats).collect(),
            errors: dashmap::DashMap::new(),
            event_loops: EventLoops::default(),
            rates: Rates::default(),
        }
    }

    /// Counters of the command with this id.
    pub fn command(&self, id: usize) -> &CommandStats {
        &self.per_command[id]
    }

    /// The name of the command with this id, if there is one.
    pub fn command_name(&self, id: usize) -> Option<&'static str> {
        self.per_command.get(id).map(|stats| stats.name)
    }

    /// Counters of all commands, by id.
    pub fn all_commands(&self) -> &[CommandStats] {
        &self.per_command
    }

    /// How many commands have run.
    pub fn commands(&self) -> u64 {
        let calls = |stats: &CommandStats| stats.calls.load(Relaxed);
        self.per_command.iter().map(calls).sum()
    }

    /// For how long commands have run.
    pub fn command_time(&self) -> Duration {
        let nanos = |stats: &CommandStats| stats.nanos.load(Relaxed);
        Duration::from_nanos(self.per_command.iter().map(nanos).sum())
    }

    /// Counts calls of a command.
    pub fn count_calls(&self, id: usize, calls: u64, nanos: u64) {
        let stats = &self.per_command[id];
        stats.calls.fetch_add(calls, Relaxed);
        stats.nanos.fetch_add(nanos, Relaxed);
    }

    /// Notes that so many calls of a command took so long together, if
    /// `latency-tracking` is on. Each counts with their mean.
    pub fn count_latency(&self, id: usize, nanos: u64, calls: u64) {
        if self.latency_tracking.load(Relaxed) {
            let histogram = &self.per_command[id].histogram;
            let mean = if calls == 1 { nanos } else { nanos / calls };
            histogram.get_or_init(Box::default).count(mean, calls);
        }
    }

    /// Counts a call of a command that answered this error.
    pub fn count_failure(&self, id: usize, error: &Error) {
        self.per_command[id].failed.fetch_add(1, Relaxed);
        self.count_error(error.text());
    }

    /// Counts an error reply by its code.
    pub fn count_error(&self, text: &[u8]) {
        self.error_replies.fetch_add(1, Relaxed);
        // DEBUG ERROR has any text, and the code must not break a line of INFO.
        let ends = |&b: &u8| b == b' ' || b.is_ascii_control();
        let code = text.split(ends).next().unwrap_or_default();
        let code = String::from_utf8_lossy(code);
        if let Some(mut count) = self.errors.get_mut(code.as_ref()) {
            *count += 1;
        } else if self.errors.len() < ERROR_CODES_MAX {
            *self.errors.entry(code.into_owned()).or_default() += 1;
        }
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&self) {
        let counters = [
            &self.connections,
            &self.rejected_connections,
            &self.input_bytes,
            &self.output_bytes,
            &self.reads,
            &self.writes,
            &self.error_replies,
            &self.output_limit_disconnections,
            &self.query_limit_disconnections,
            &self.evicted_clients,
            &self.auth_failures,
        ];
        counters
            .iter()
            .for_each(|counter| counter.store(0, Relaxed));
        self.errors.clear();
        self.event_loops.reset();
        self.rates.reset();
        for stats in &self.per_command {
            let counters = [&stats.calls, &stats.nanos, &stats.rejected, &stats.failed];
            counters
                .iter()
                .for_each(|counter| counter.store(0, Relaxed));
            if let Some(histogram) = stats.histogram.get() {
                histogram.reset();
            }
        }
    }
}

impl CommandStats {
    /// Calls by duration, if there were any since `latency-tracking` is on.
    pub fn histogram(&self) -> Option<&Histogram> {
        let histogram = self.histogram.get().map(|histogram| &**histogram);
        histogram.filter(|histogram| histogram.total() > 0)
    }
}
