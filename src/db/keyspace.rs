//! All databases together, and what happens to whole ones.

mod snapshots;

use std::collections::BTreeSet;
use std::time::Duration;

use super::agenda::Agenda;
use super::garbage::Garbage;
use super::history::History;
use super::journal::Journal;
use super::limits::Limits;
use super::store::{Database, Handle};
use super::value::Value;
use crate::events::KeyspaceEvents;
use crate::seed::{Purpose, Seed};

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
    /// What was removed and has to be freed yet.
    pub garbage: Garbage,
    history: History,
    agenda: Agenda,
    /// Databases whose tables hold several times what is in them.
    scattered: BTreeSet<usize>,
    /// The database that was used last, and what the others hold together: so
    /// nobody has to ask them all.
    last_used: usize,
    others_memory: usize,
}

/// What is due first of all that expires.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FirstDue {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// The number of the database.
    pub db: usize,
    /// The key.
    pub key: Box<[u8]>,
    /// Which part of its value it is, unless it is the key.
    pub part: Option<Box<[u8]>>,
}

/// What removing a key takes, in times of what it takes to move one nearer to
/// its time in the calendar of expiries.
const REMOVAL: usize = 8;
/// How many pieces of garbage can be freed in the time of a removal.
const FREED: usize = 2;
/// How many keys can be looked at in that time to gather what is scattered.
const GATHERED: usize = 4;

/// Figures that INFO shows.
#[derive(Clone, Copy, Default, Debug)]
pub struct Stats {
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Keys that were removed because their time had come.
    pub expired: u64,
    /// How often that took so long that others had their turn in between.
    pub expiry_interrupted: u64,
    /// How long it took.
    pub expiry_time: Duration,
    /// Keys that were removed because there was no room for them.
    pub evicted: u64,
}

impl Keyspace {
    /// `count` empty databases.
    pub fn new(count: usize, limits: Limits, seed: Seed) -> Keyspace {
        let database = || Database::new(seed);
        Keyspace {
            databases: (0..count).map(|_| database()).collect(),
            journal: Journal::default(),
            stats: Stats::default(),
            limits,
            rng: seed.rng(Purpose::Data),
            keeps_expired: false,
            garbage: Garbage::default(),
            history: History::default(),
            agenda: Agenda::default(),
            scattered: BTreeSet::new(),
            last_used: 0,
            others_memory: (1..count).map(|_| database().total_memory()).sum(),
        }
    }

    /// A database is going to be used, and none that was used before.
    #[inline]
    pub(super) fn select(&mut self, index: usize) {
        if index != self.last_used {
            self.others_memory += self.databases[self.last_used].total_memory();
            self.others_memory -= self.databases[index].total_memory();
            self.last_used = index;
        }
    }

    /// Bytes of memory that keys and values hold, with what was removed and is
    /// not freed yet. To ask takes a few additions.
    pub fn memory(&self) -> usize {
        let last = self.databases[self.last_used].total_memory();
        last + self.others_memory + self.garbage.memory()
    }

    /// Follows the settings.
    pub fn follow(&mut self, limits: Limits) {
        self.limits = limits;
        for database in &mut self.databases {
            database.set_usage(limits.usage);
        }
    }

    /// Has the data be as if they had been read from a file `now`: what has
    /// expired is gone, and nothing has happened yet.
    pub fn reopen(&mut self, now: i64) {
        const AT_ONCE: usize = 1024;
        while self.expire_due(now, AT_ONCE) {}
        self.journal = Journal::default();
        self.stats = Stats::default();
        self.keeps_expired = false;
    }

    /// When the first key of any database is due, or earlier, in milliseconds since 1970.
    pub fn next_expiry(&self) -> Option<i64> {
        self.agenda.first().map(|(at, _)| at)
    }

    /// What is due first, whenever that is. `None` if nothing expires, or if to
    /// find it takes more than `budget`, which it uses up.
    pub fn first_due(&mut self, budget: &mut usize) -> Option<FirstDue> {
        while let Some((noted, index)) = self.agenda.first() {
            self.select(index);
            let database = &mut self.databases[index];
            let key = database.due(i64::MAX, budget);
            if *budget == 0 {
                return None;
            }
            let key = key.and_then(|key| Some((database.expires_at(key)?, key, false)));
            let part = database.due_parts(i64::MAX).and_then(|key| {
                let at = database.value(key).parts()?.first_expiry()?;
                Some((at, key, true))
            });
            let first = [key, part].into_iter().flatten().min_by_key(|(at, ..)| *at);
            self.agenda.set(index, first.map(|(at, ..)| at));
            if let Some((at, key, is_part)) = first
                && at <= noted
            {
                let parts = database.value(key).parts().filter(|_| is_part);
                let part = parts.and_then(|parts| parts.first_to_expire());
                return Some(FirstDue {
                    at,
                    db: index,
                    key: database.key(key).into(),
                    part: part.map(Into::into),
                });
            }
        }
        None
    }

    /// Notes that a key of a database is to expire at a time.
    #[inline(never)]
    pub(super) fn expires(&mut self, index: usize, at: i64) {
        self.agenda.note(index, at);
        self.journal.expires(at);
    }

    /// Removes keys that are due at `now`, the earliest of a database first:
    /// `max`, or fewer if to find them takes as long. Answers whether there
    /// may be more.
    pub fn expire_due(&mut self, now: i64, max: usize) -> bool {
        let mut budget = max * REMOVAL;
        while budget > 0
            && let Some((at, index)) = self.agenda.first()
            && at <= now
        {
            self.select(index);
            let database = &mut self.databases[index];
            if let Some(handle) = database.due(now, &mut budget) {
                self.expire(index, handle, now);
                budget = budget.saturating_sub(REMOVAL);
            } else if budget > 0
                && let Some(handle) = database.due_parts(now)
            {
                let removed = self.expire_parts(index, handle, now, budget.div_ceil(REMOVAL));
                budget = budget.saturating_sub(REMOVAL * removed);
            } else if budget > 0 {
                let first = database.first_expiry();
                self.agenda.set(index, first);
            }
        }
        budget == 0
    }

    /// Removes every key of a database.
    pub fn flush(&mut self, index: usize) {
        self.select(index);
        let emptied = self.databases[index].emptied();
        let old = std::mem::replace(&mut self.databases[index], emptied);
        self.agenda.set(index, None);
        // Who is told of a flush is told of one that finds nothing, too.
        if let Some(old) = self.journal.flushed(index, old) {
            self.history.lay_aside(old, &mut self.garbage);
        }
    }

    /// Forgets the changes that the journal has noted: they have been settled.
    pub fn clear_changes(&mut self) {
        let (history, garbage) = (&mut self.history, &mut self.garbage);
        self.journal
            .clear_changes(|database| history.lay_aside(database, garbage));
    }

    /// Takes a key out, and notes nothing.
    pub(super) fn remove(&mut self, index: usize, handle: Handle) {
        self.select(index);
        let database = &mut self.databases[index];
        let value = database.remove(handle);
        if database.is_scattered() {
            self.scattered.insert(index);
        }
        self.discard(value);
    }

    /// Whether there is something to [tidy](Self::tidy).
    pub fn has_litter(&self) -> bool {
        !self.garbage.is_empty() || !self.scattered.is_empty()
    }

    /// Does some of what nobody waits for: frees what was removed, and gathers
    /// what is left. Takes about as long as to remove `max` keys; answers
    /// whether there is more.
    pub fn tidy(&mut self, max: usize) -> bool {
        if self.garbage.free_some(max * FREED) {
            return true;
        }
        while let Some(&index) = self.scattered.first() {
            self.select(index);
            if self.databases[index].gather(max * GATHERED) {
                return true;
            }
            self.scattered.remove(&index);
        }
        false
    }

    /// Drops a value that no key holds any more.
    #[inline]
    pub(super) fn discard(&mut self, value: Option<Value>) {
        if let Some(value) = value {
            self.garbage.add(value);
        }
    }

    /// Exchanges two databases, which may be the same one.
    pub fn swap(&mut self, a: usize, b: usize) {
        self.exchange(a, b);
        self.journal.swapped(a, b);
    }

    fn exchange(&mut self, a: usize, b: usize) {
        // What the others hold is told without the one that is used.
        self.select(a);
        self.databases.swap(a, b);
        self.last_used = b;
        self.agenda.swap(a, b);
        if self.scattered.contains(&a) || self.scattered.contains(&b) {
            self.scattered.extend([a, b]);
        }
    }

    /// Removes a key because its time has come, or that of all that is in it.
    #[cold]
    pub(super) fn expire(&mut self, index: usize, handle: Handle, now: i64) {
        let (database, journal) = (&self.databases[index], &mut self.journal);
        let (key, value) = (database.key(handle), database.value(handle));
        match value.parts() {
            Some(parts) if database.expires_at(handle).is_none_or(|at| at > now) => {
                journal.event(index, value.kind().events, parts.event(), key);
                journal.event(index, KeyspaceEvents::GENERIC, "del", key);
            }
            _ => {
                self.stats.expired += 1;
                journal.event(index, KeyspaceEvents::EXPIRED, "expired", key);
            }
        }
        journal.lost(index, key);
        self.remove(index, handle);
    }

    /// Removes a key because there is no room for it.
    pub fn evict(&mut self, index: usize, handle: Handle) {
        self.stats.evicted += 1;
        let key = self.databases[index].key(handle);
        self.journal
            .event(index, KeyspaceEvents::EVICTED, "evicted", key);
        // Redis does not count it.
        self.journal.changed(index, key, 0);
        self.remove(index, handle);
    }

    /// Removes parts of a value whose time has come, at most `max`; all that is
    /// in it goes with its key at once. Answers how many it has removed.
    #[cold]
    pub(super) fn expire_parts(
        &mut self,
        index: usize,
        handle: Handle,
        now: i64,
        max: usize,
    ) -> usize {
        self.select(index);
        let database = &mut self.databases[index];
        if database.is_due(handle, now) {
            self.expire(index, handle, now);
            return 1;
        }
        let Some(value) = database.value_mut(handle).map(Value::stored_mut) else {
            return 0;
        };
        let before = value.memory();
        let Some(parts) = value.parts_mut() else {
            return 0;
        };
        let (old, event) = (parts.first_expiry(), parts.event());
        let (count, until) = parts.expire(now, max);
        let new = parts.first_expiry();
        let after = value.memory();
        database.weigh(before, after);
        if count > 0 {
            database.note_first_part(handle, old, new);
            let (key, kind) = (database.key(handle), database.value(handle).kind());
            // One event tells of all, however many steps they take.
            if new.is_none_or(|first| first > now) {
                self.journal.event(index, kind.events, event, key);
            }
            self.journal.parts_expired(index, key, until);
        }
        count
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::db::{Db, Encoding, Expiry};

    /// One of four databases, which notes every event.
    pub fn keyspace() -> Keyspace {
        let limits = Limits {
            string: 1 << 20,
            ..Limits::default()
        };
        let mut keyspace = Keyspace::new(4, limits, Seed::new(Some(1)));
        keyspace.journal.notify = KeyspaceEvents::all();
        keyspace
    }

    fn set(keyspace: &mut Keyspace, index: usize, key: &str, at: i64) {
        let mut db = Db::new(keyspace, index, 0, true);
        let found = db.peek(key.as_bytes());
        let expiry = Expiry::At(at);
        db.set_string(
            key.as_bytes(),
            found,
            b"v",
            Encoding::Natural,
            expiry,
            "set",
        )
        .unwrap();
        keyspace.journal.events.clear();
    }

    #[test]
    fn keys_go_in_the_order_of_their_times_a_few_at_a_time() {
        let mut keyspace = keyspace();
        for n in 0..1000 {
            let at = 1 + (n * 7) % 1000;
            set(&mut keyspace, 0, &format!("{at:04}"), at);
            set(&mut keyspace, 3, &format!("{at:04}"), at + 1000);
        }
        // Put off, so none of these is due.
        for at in 1..=100 {
            set(&mut keyspace, 0, &format!("{at:04}"), 5000 + at);
        }
        let mut gone = Vec::new();
        loop {
            let more = keyspace.expire_due(1500, 10);
            let events = std::mem::take(&mut keyspace.journal.events);
            assert!(events.len() <= 10, "{}", events.len());
            gone.extend(events.into_iter().map(|event| (event.db, event.key)));
            if !more {
                break;
            }
        }
        assert_eq!(gone.len(), 900 + 500);
        assert!(gone.is_sorted());
        assert_eq!(keyspace.stats.expired, 1400);
        assert!(keyspace.next_expiry().is_some_and(|at| at <= 1501));
        assert!(!keyspace.expire_due(10_000, 10_000));
        assert_eq!(keyspace.next_expiry(), None);
    }

    #[test]
    fn what_all_databases_hold_is_known_without_asking_them() {
        let mut keyspace = keyspace();
        let mut rng = fastrand::Rng::with_seed(2);
        for round in 0..20_000 {
            let index = rng.usize(..4);
            match rng.u32(..1_000) {
                0 => keyspace.flush(index),
                1..10 => keyspace.swap(index, rng.usize(..4)),
                10..40 => _ = keyspace.expire_due(round, 8),
                40..60 => _ = keyspace.tidy(8),
                _ => {
                    let key = rng.u32(..500).to_string();
                    set(&mut keyspace, index, &key, round + rng.i64(1..2_000));
                }
            }
            let databases = keyspace.databases.iter().map(Database::total_memory);
            let held = databases.sum::<usize>() + keyspace.garbage.memory();
            assert_eq!(keyspace.memory(), held, "round {round}");
        }
    }

    #[test]
    fn an_emptied_or_exchanged_database_takes_its_times_along() {
        let mut keyspace = keyspace();
        set(&mut keyspace, 1, "a", 50);
        set(&mut keyspace, 2, "b", 40);
        keyspace.swap(2, 3);
        keyspace.flush(1);
        assert_eq!(keyspace.next_expiry(), Some(40));
        assert!(!keyspace.expire_due(45, 10));
        assert!(keyspace.databases[3].is_empty());
        assert_eq!(keyspace.next_expiry(), None);
    }
}
