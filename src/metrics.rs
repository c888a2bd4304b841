//! Counters, and the logs of what was slow. INFO, SLOWLOG and LATENCY show them.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::histogram::Histogram;
use crate::resp::Argv;

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
    /// All at zero, for so many commands, which are told apart by number.
    pub fn new(commands: usize) -> Metrics {
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
            auth_failures: AtomicU64::default(),
            peak_memory: AtomicU64::default(),
            latency_tracking: AtomicBool::new(true),
            per_command: (0..commands).map(|_| CommandStats::default()).collect(),
            errors: dashmap::DashMap::new(),
            rates: Rates::default(),
        }
    }

    /// Counters of the command with this id.
    pub fn command(&self, id: usize) -> &CommandStats {
        &self.per_command[id]
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
            &self.auth_failures,
        ];
        counters
            .iter()
            .for_each(|counter| counter.store(0, Relaxed));
        self.errors.clear();
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

/// Counts per second, averaged over the last samples.
#[derive(Default)]
pub struct Rates {
    samples: std::sync::Mutex<Samples>,
}

#[derive(Default)]
struct Samples {
    last: Option<(Duration, [u64; 3])>,
    rates: VecDeque<[u64; 3]>,
}

/// As many samples as Redis averages.
const RATE_SAMPLES: usize = 16;

impl Rates {
    /// Takes a sample of commands, input and output bytes; to be called about
    /// ten times a second.
    pub fn sample(&self, uptime: Duration, totals: [u64; 3]) {
        let mut samples = self
            .samples
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((then, before)) = samples.last {
            let nanos = uptime.saturating_sub(then).as_nanos().max(1) as u64;
            let per_second = |now: u64, before: u64| {
                (u128::from(now.saturating_sub(before)) * 1_000_000_000 / u128::from(nanos)) as u64
            };
            let rates = std::array::from_fn(|i| per_second(totals[i], before[i]));
            samples.rates.push_back(rates);
            if samples.rates.len() > RATE_SAMPLES {
                samples.rates.pop_front();
            }
        }
        samples.last = Some((uptime, totals));
    }

    /// Forgets all samples: the totals begin at 0 again.
    pub fn reset(&self) {
        *self
            .samples
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Samples::default();
    }

    /// Commands, bytes of input, bytes of output per second.
    pub fn per_second(&self) -> [u64; 3] {
        let samples = self
            .samples
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = samples.rates.len().max(1) as u64;
        std::array::from_fn(|i| samples.rates.iter().map(|rates| rates[i]).sum::<u64>() / count)
    }
}

/// Commands that took long: SLOWLOG.
#[derive(Default)]
pub struct SlowLog {
    entries: VecDeque<SlowEntry>,
    next_id: u64,
    max_len: usize,
}

/// A command that took long.
#[derive(Clone, Debug)]
pub struct SlowEntry {
    /// Ascending.
    pub id: u64,
    /// When it ran, in seconds since 1970.
    pub at: i64,
    /// For how long, in microseconds.
    pub micros: u64,
    /// Its words; long ones and many are cut.
    pub words: Vec<Vec<u8>>,
    /// Who sent it.
    pub addr: String,
    /// What the client calls itself.
    pub name: Vec<u8>,
}

/// How many words of a command an entry shows, and how many bytes of each.
const SLOW_WORDS_MAX: usize = 32;
const SLOW_WORD_MAX: usize = 128;

impl SlowLog {
    /// How many entries are kept.
    pub fn set_max_len(&mut self, max_len: usize) {
        self.max_len = max_len;
        self.entries.truncate(max_len);
    }

    /// Adds an entry.
    pub fn add(&mut self, at: i64, micros: u64, argv: Argv<'_>, addr: String, name: Vec<u8>) {
        let cut = |word: &[u8]| {
            let mut shown = word[..word.len().min(SLOW_WORD_MAX)].to_vec();
            if word.len() > SLOW_WORD_MAX {
                shown.extend_from_slice(
                    format!("... ({} more bytes)", word.len() - SLOW_WORD_MAX).as_bytes(),
                );
            }
            shown
        };
        let mut words: Vec<_> = argv.iter().take(SLOW_WORDS_MAX).map(cut).collect();
        if argv.len() > SLOW_WORDS_MAX {
            let more = argv.len() - SLOW_WORDS_MAX + 1;
            words[SLOW_WORDS_MAX - 1] = format!("... ({more} more arguments)").into_bytes();
        }
        self.entries.push_front(SlowEntry {
            id: self.next_id,
            at,
            micros,
            words,
            addr,
            name,
        });
        self.next_id += 1;
        self.entries.truncate(self.max_len);
    }

    /// The entries, newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &SlowEntry> {
        self.entries.iter()
    }

    /// Forgets all entries.
    pub fn reset(&mut self) {
        self.entries.clear();
    }
}

/// Latency spikes by event: LATENCY.
#[derive(Default)]
pub struct Latency {
    events: std::collections::BTreeMap<&'static str, Spikes>,
}

/// The latest spikes of an event, at most one a second.
#[derive(Clone, Default, Debug)]
pub struct Spikes {
    /// When, in seconds since 1970, and for how long, in milliseconds; oldest first.
    pub samples: VecDeque<(i64, u64)>,
    /// The longest ever, in milliseconds.
    pub max: u64,
}

/// Spikes that are kept for each event.
const SPIKES_MAX: usize = 160;

impl Latency {
    /// Adds a spike.
    pub fn add(&mut self, event: &'static str, at: i64, millis: u64) {
        let spikes = self.events.entry(event).or_default();
        spikes.max = spikes.max.max(millis);
        match spikes.samples.back_mut() {
            Some((last_at, last)) if *last_at == at => *last = (*last).max(millis),
            _ => spikes.samples.push_back((at, millis)),
        }
        if spikes.samples.len() > SPIKES_MAX {
            spikes.samples.pop_front();
        }
    }

    /// The spikes of one event, whose case matters here.
    pub fn event(&self, name: &[u8]) -> Option<(&'static str, &Spikes)> {
        let mut events = self.events.iter();
        let found = events.find(|(event, _)| event.as_bytes() == name);
        found.map(|(event, spikes)| (*event, spikes))
    }

    /// The events that had spikes.
    pub fn events(&self) -> impl ExactSizeIterator<Item = (&'static str, &Spikes)> {
        self.events.iter().map(|(&name, spikes)| (name, spikes))
    }

    /// Forgets one event, in any case, or all; answers how many were forgotten.
    pub fn reset(&mut self, event: Option<&[u8]>) -> usize {
        let before = self.events.len();
        match event {
            Some(name) => self
                .events
                .retain(|event, _| !event.as_bytes().eq_ignore_ascii_case(name)),
            None => self.events.clear(),
        }
        before - self.events.len()
    }
}
