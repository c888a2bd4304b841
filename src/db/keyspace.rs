//! All databases together, and what happens to whole ones.

use super::journal::Journal;
use super::store::{Database, Handle};
use super::value::ChunkLimit;
use crate::events::KeyspaceEvents;

/// All databases, and the journal of what happens to them.
pub struct Keyspace {
    /// By number.
    pub databases: Vec<Database>,
    /// What has happened since it was settled last.
    pub journal: Journal,
    /// Figures for INFO.
    pub stats: Stats,
    /// Settings that handlers need.
    pub limits: Limits,
    /// For RANDOMKEY.
    pub rng: fastrand::Rng,
    /// Reading removes no key whose time has come, which is as good as gone:
    /// CLIENT PAUSE.
    pub keeps_expired: bool,
}

/// Settings that handlers need.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest string in bytes: `proto-max-bulk-len`.
    pub string: usize,
    /// `list-max-listpack-size`
    pub list_chunk: ChunkLimit,
}

/// Figures that INFO shows.
#[derive(Clone, Copy, Default, Debug)]
pub struct Stats {
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Keys that were removed because their time had come.
    pub expired: u64,
}

impl Keyspace {
    /// `count` empty databases.
    pub fn new(count: usize, limits: Limits, seed: u64) -> Keyspace {
        Keyspace {
            databases: (0..count).map(|_| Database::default()).collect(),
            journal: Journal::default(),
            stats: Stats::default(),
            limits,
            rng: fastrand::Rng::with_seed(seed),
            keeps_expired: false,
        }
    }

    /// When the first key of any database is due, or earlier, in milliseconds since 1970.
    pub fn next_expiry(&self) -> Option<i64> {
        self.databases
            .iter()
            .filter_map(Database::first_expiry)
            .min()
    }

    /// Removes up to `max` keys that are due at `now`; answers how many.
    pub fn expire_due(&mut self, now: i64, max: usize) -> usize {
        let mut removed = 0;
        for index in 0..self.databases.len() {
            while removed < max
                && let Some(handle) = self.databases[index].take_due(now)
            {
                self.expire(index, handle);
                removed += 1;
            }
        }
        removed
    }

    /// Removes every key of a database.
    pub fn flush(&mut self, index: usize) {
        let old = std::mem::take(&mut self.databases[index]);
        if !old.is_empty() {
            self.journal.flushed(index, old);
        }
    }

    /// Exchanges two databases, which may be the same one.
    pub fn swap(&mut self, a: usize, b: usize) {
        self.databases.swap(a, b);
        self.journal.swapped(a, b);
    }

    /// Removes a key because its time has come.
    #[cold]
    pub(super) fn expire(&mut self, index: usize, handle: Handle) {
        let database = &mut self.databases[index];
        let key: Box<[u8]> = database.key(handle).into();
        database.remove(handle);
        self.stats.expired += 1;
        self.journal
            .event(index, KeyspaceEvents::EXPIRED, "expired", &key);
        // Redis does not count it.
        self.journal.changed(index, &key, 0);
    }
}
