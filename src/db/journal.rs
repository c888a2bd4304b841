//! What happened to the data and has not been settled yet.
//!
//! Handlers write into it and call nobody. It notes only what somebody wants
//! to know, so that it costs nothing while nobody watches, waits or listens.

use std::ops::Range;

use super::store::Database;
use crate::events::KeyspaceEvents;

/// What happened since it was settled last.
#[derive(Default)]
pub struct Journal {
    /// Whether a client watches a key, waits for one, or is told of changes.
    pub observed: bool,
    /// The events that `notify-keyspace-events` asks for.
    pub notify: KeyspaceEvents,
    /// How many changes there have been, as Redis counts them:
    /// `rdb_changes_since_last_save`.
    pub dirty: u64,
    /// What has changed, in order, if somebody observes it.
    pub changes: Vec<Change>,
    /// The keys that have changed.
    keys: Vec<u8>,
    /// Events to notify of, in order.
    pub events: Vec<Event>,
    /// The first of the times at which keys are to expire from now on.
    first_expiry: Option<i64>,
}

/// A change that somebody may have to know of.
pub enum Change {
    /// A key has another value or expiry, or has come or gone.
    Key {
        /// The number of the database.
        db: usize,
        /// Where [`Journal::key`] finds the key.
        key: Range<usize>,
        /// Nothing else has happened than that parts of the value have gone
        /// whose time had come: at this time, in milliseconds since 1970, that
        /// of the last of them.
        expired: Option<i64>,
        /// A command has asked for it; otherwise a time had come, or the key
        /// was evicted.
        asked: bool,
    },
    /// Nothing else has happened than that who waits for a key is to look again.
    Called {
        /// The number of the database.
        db: usize,
        /// Where [`Journal::key`] finds the key.
        key: Range<usize>,
    },
    /// All keys are gone; this is what was there, if anything was.
    Flushed {
        /// The number of the database.
        db: usize,
        /// What was in it.
        old: Box<Database>,
    },
    /// Two databases have changed places.
    Swapped(usize, usize),
    /// Databases are others than before: any key may have changed.
    Rearranged,
}

/// An event for keyspace notifications.
pub struct Event {
    /// The number of the database.
    pub db: usize,
    /// Its name.
    pub name: &'static str,
    /// The key.
    pub key: Box<[u8]>,
}

impl Journal {
    /// Whether there is nothing to settle.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.events.is_empty()
    }

    /// Notes that a key has changed, and how many changes that counts as.
    #[inline]
    pub fn changed(&mut self, db: usize, key: &[u8], changes: usize) {
        self.dirty += changes as u64;
        if self.observed {
            self.push(db, key, None, true);
        }
    }

    /// Notes that a key has gone though no command has asked for it: its time
    /// had come, or it was evicted. Redis counts it as no change.
    pub fn lost(&mut self, db: usize, key: &[u8]) {
        if self.observed {
            self.push(db, key, None, false);
        }
    }

    /// Notes that parts of a value have gone, the last of them at the time
    /// `until`, which counts as no change in Redis.
    pub fn parts_expired(&mut self, db: usize, key: &[u8], until: i64) {
        if self.observed {
            self.push(db, key, Some(until), false);
        }
    }

    /// Has who waits for a key look again.
    pub fn call(&mut self, db: usize, key: &[u8]) {
        if self.observed {
            let key = self.keep(key);
            self.changes.push(Change::Called { db, key });
        }
    }

    fn push(&mut self, db: usize, key: &[u8], expired: Option<i64>, asked: bool) {
        let key = self.keep(key);
        self.changes.push(Change::Key {
            db,
            key,
            expired,
            asked,
        });
    }

    fn keep(&mut self, key: &[u8]) -> Range<usize> {
        let start = self.keys.len();
        self.keys.extend_from_slice(key);
        start..self.keys.len()
    }

    /// The key that a change is of.
    pub fn key(&self, key: &Range<usize>) -> &[u8] {
        &self.keys[key.clone()]
    }

    /// Forgets the changes, which have been settled, and keeps buffers of the
    /// size that is often needed. Hands out databases that were emptied.
    pub fn clear_changes(&mut self, mut discard: impl FnMut(Database)) {
        const KEPT: usize = 1024;
        for change in self.changes.drain(..) {
            if let Change::Flushed { old, .. } = change {
                discard(*old);
            }
        }
        self.changes.shrink_to(KEPT);
        self.keys.clear();
        self.keys.shrink_to(KEPT);
    }

    /// Notes that a database was emptied; hands out what was there if nobody
    /// wants to know.
    pub fn flushed(&mut self, db: usize, old: Database) -> Option<Database> {
        self.dirty += old.len() as u64;
        if !self.observed {
            return Some(old);
        }
        let old = Box::new(old);
        self.changes.push(Change::Flushed { db, old });
        None
    }

    /// Notes that two databases have changed places, which may be the same one.
    pub fn swapped(&mut self, a: usize, b: usize) {
        self.dirty += 1;
        if self.observed && a != b {
            self.changes.push(Change::Swapped(a, b));
        }
    }

    /// Notes that databases are others than before.
    pub fn rearranged(&mut self) {
        if self.observed {
            self.changes.push(Change::Rearranged);
        }
    }

    /// Takes a database back that was emptied, if the journal still has it.
    pub fn take_flushed(&mut self, is_wanted: impl Fn(&Database) -> bool) -> Option<Database> {
        self.changes.iter_mut().find_map(|change| match change {
            Change::Flushed { old, .. } if is_wanted(old) => {
                let emptied = old.emptied();
                Some(std::mem::replace(&mut **old, emptied))
            }
            _ => None,
        })
    }

    /// Notes that a key is to expire at a time, in milliseconds since 1970.
    #[inline]
    pub fn expires(&mut self, at: i64) {
        self.first_expiry = Some(self.first_expiry.map_or(at, |first| first.min(at)));
    }

    /// The first of the times that were noted since this was asked last.
    pub fn take_first_expiry(&mut self) -> Option<i64> {
        self.first_expiry.take()
    }

    /// Notes an event.
    #[inline]
    pub fn event(&mut self, db: usize, class: KeyspaceEvents, name: &'static str, key: &[u8]) {
        if self.notify.contains(class) {
            self.events.push(Event {
                db,
                name,
                key: key.into(),
            });
        }
    }
}
