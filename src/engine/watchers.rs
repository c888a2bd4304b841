//! Who watches which key: WATCH.
//!
//! A key that had expired when it was watched is as good as missing: what
//! happens to it is a change only once there is something under it, as in
//! Redis. So it is with parts of a value, such as fields of a hash, whose time
//! had come by then.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::vec::IntoIter;

use crate::db::{Database, Keyspace};
use crate::segmented::SegmentedMap;
use crate::session::{Client, ClientFlags, Watch, WatchedKey, Watching};

/// By key, who watches it.
type Watched = SegmentedMap<Box<[u8]>, Vec<Watcher>>;

/// The watched keys, and the clients whose DIRTY flag is set when they change.
#[derive(Default)]
pub struct Watchers {
    /// By the number of the database, as far as somebody has ever watched.
    by_db: Vec<Watched>,
    /// Who has ended so many watches that they are taken down in steps.
    leaving: VecDeque<Leaving>,
    /// How many watches there are, and bytes of their keys.
    count: usize,
    key_bytes: usize,
}

/// A client that watches a key.
struct Watcher {
    watching: Arc<Watching>,
    /// The key had expired when it was watched, and is as it was.
    was_expired: bool,
    /// When it was watched, in milliseconds since 1970.
    since: i64,
}

/// Watches that have ended and are not taken down yet.
struct Leaving {
    watching: Arc<Watching>,
    keys: IntoIter<WatchedKey>,
}

/// What a key is to those who watch it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Missing,
    Expired,
    There,
}

impl Found {
    fn look(database: &Database, key: &[u8], now: i64) -> Found {
        match database.find_at(key, now) {
            None => Found::Missing,
            Some((_, true)) => Found::Expired,
            Some((_, false)) => Found::There,
        }
    }
}

impl Watchers {
    /// So many ended watches are taken down at once.
    const AT_ONCE: usize = 64;

    /// Whether no key is watched.
    pub fn is_empty(&self) -> bool {
        self.by_db.iter().all(SegmentedMap::is_empty)
    }

    /// Has the client marked when the key of this database changes.
    pub fn watch(
        &mut self,
        keyspace: &Keyspace,
        client: &Arc<Client>,
        watch: &mut Option<Box<Watch>>,
        (db, key): (usize, &[u8]),
        now: i64,
    ) {
        let watch = watch.get_or_insert_with(|| Box::new(Watch::new(client)));
        let watcher = Watcher {
            watching: watch.watching.clone(),
            was_expired: Found::look(&keyspace.databases[db], key, now) == Found::Expired,
            since: now,
        };
        if self.by_db.len() <= db {
            self.by_db.resize_with(db + 1, Watched::default);
        }
        match self.by_db[db].get_mut(key) {
            // It watches the key already.
            Some(watchers) if watchers.iter().any(|other| other.is_of(&watch.watching)) => return,
            Some(watchers) => watchers.push(watcher),
            None => {
                self.key_bytes += key.len();
                self.by_db[db].insert_new(key.into(), vec![watcher]);
            }
        }
        watch.keys.push((db, key.into()));
        self.count += 1;
    }

    /// Ends that for all keys: nobody marks the client any more.
    pub fn unwatch(&mut self, watch: Watch) {
        let Watch { watching, keys } = watch;
        watching.ended.store(true, Relaxed);
        let len = keys.len();
        let keys = keys.into_iter();
        self.leaving.push_back(Leaving { watching, keys });
        if len <= Self::AT_ONCE && self.leaving.len() == 1 {
            self.take_down(len);
        }
    }

    /// Takes down some of the watches that have ended.
    pub fn take_down(&mut self, max: usize) {
        for _ in 0..=max {
            let Some(leaving) = self.leaving.front_mut() else {
                return;
            };
            match leaving.keys.next() {
                Some((db, key)) => {
                    let watching = leaving.watching.clone();
                    self.remove(db, &key, &watching);
                }
                None => {
                    self.leaving.pop_front();
                }
            }
        }
    }

    /// Whether watches that have ended are still to be taken down.
    pub fn are_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    fn remove(&mut self, db: usize, key: &[u8], watching: &Arc<Watching>) {
        let Some(watchers) = self.by_db[db].get_mut(key) else {
            return;
        };
        let Some(at) = watchers.iter().position(|other| other.is_of(watching)) else {
            return;
        };
        watchers.swap_remove(at);
        self.count -= 1;
        if watchers.is_empty() {
            self.by_db[db].remove(key);
            self.key_bytes -= key.len();
        }
    }

    /// A key has changed. If only parts of its value have gone whose time had
    /// come, `expired` is the latest of these times.
    pub fn changed(
        &mut self,
        keyspace: &Keyspace,
        db: usize,
        key: &[u8],
        now: i64,
        expired: Option<i64>,
    ) {
        let watched = self.by_db.get_mut(db);
        let Some(watchers) = watched.and_then(|watched| watched.get_mut(key)) else {
            return;
        };
        let mut found = None;
        for watcher in watchers {
            // What was not there when it began to watch is gone now: no change.
            if expired.is_some_and(|at| at <= watcher.since) {
                continue;
            }
            let database = &keyspace.databases[db];
            let mut found = || *found.get_or_insert_with(|| Found::look(database, key, now));
            // What was as good as missing is gone now: no change.
            if std::mem::take(&mut watcher.was_expired) && found() == Found::Missing {
                continue;
            }
            watcher.mark();
        }
    }

    /// All keys of a database are gone; `old` has what was there.
    pub fn flushed(&mut self, db: usize, old: &Database) {
        let Some(watched) = self.by_db.get_mut(db) else {
            return;
        };
        let flushed = |watchers: &mut Vec<Watcher>| {
            for watcher in watchers {
                if !std::mem::take(&mut watcher.was_expired) {
                    watcher.mark();
                }
            }
        };
        // The fewer are looked up among the more.
        if old.len() < watched.len() {
            let keys = old.iter().map(|handle| old.key(handle));
            for key in keys {
                watched.get_mut(key).map(flushed);
            }
        } else {
            let all = watched.iter_mut();
            let gone = all.filter(|(key, _)| old.find(key).is_some());
            gone.for_each(|(_, watchers)| flushed(watchers));
        }
    }

    /// Database `db` has now what `other` had, and the other way round.
    pub fn swapped(&mut self, keyspace: &Keyspace, db: usize, other: usize, now: i64) {
        let (new, old) = (&keyspace.databases[db], &keyspace.databases[other]);
        let watched = self.by_db.get_mut(db).into_iter();
        for (key, watchers) in watched.flat_map(SegmentedMap::iter_mut) {
            let was_there = old.find(key).is_some();
            let found = Found::look(new, key, now);
            if !was_there && found == Found::Missing {
                continue;
            }
            for watcher in watchers {
                match (watcher.was_expired, found) {
                    (true, Found::Missing) => watcher.was_expired = false,
                    (true, Found::Expired) => {}
                    (false, Found::Expired) if !was_there => watcher.was_expired = true,
                    _ => watcher.mark(),
                }
            }
        }
    }

    /// Any key may have changed.
    pub fn mark_all(&mut self) {
        let watched = self.by_db.iter().flat_map(SegmentedMap::iter);
        watched.for_each(|(_, watchers)| watchers.iter().for_each(Watcher::mark));
    }

    /// Whether one of the client's keys has expired since it was watched, or a
    /// part of what is under it.
    pub fn has_expired(&self, keyspace: &Keyspace, watch: &Watch, now: i64) -> bool {
        let databases = &keyspace.databases;
        let mut keys = watch.keys.iter();
        keys.any(|(db, key)| {
            if !databases[*db].has_expiring() {
                return false;
            }
            let watchers = self.by_db[*db].get(key).into_iter().flatten();
            let mut own = watchers.filter(|other| other.is_of(&watch.watching));
            own.any(|watcher| !watcher.was_expired && watcher.lost(&databases[*db], key, now))
        })
    }

    /// Bytes of memory held, those included that clients hold for it.
    pub fn memory(&self) -> usize {
        // It is asked before each command where memory has a limit, and mostly
        // nobody watches anything.
        if self.count == 0 {
            return 0;
        }
        let tables = self.by_db.iter().map(SegmentedMap::memory).sum::<usize>();
        let lists = self.count * (size_of::<Watcher>() + size_of::<WatchedKey>());
        tables + lists + 2 * self.key_bytes
    }
}

impl Watcher {
    fn is_of(&self, watching: &Arc<Watching>) -> bool {
        Arc::ptr_eq(&self.watching, watching)
    }

    /// Whether the key has expired since it was watched, or a part of what is
    /// under it.
    fn lost(&self, database: &Database, key: &[u8], now: i64) -> bool {
        let Some((handle, due)) = database.find_at(key, now) else {
            return false;
        };
        let next = || database.value(handle).parts()?.expiry_after(self.since);
        due || next().is_some_and(|at| at <= now)
    }

    fn mark(&self) {
        let Watching { client, ended } = &*self.watching;
        if !ended.load(Relaxed) {
            client.set_flags(ClientFlags::DIRTY, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Change;
    use crate::session::Session;
    use crate::session::client::Peer;
    use crate::testing::{Data, engine};

    /// A client that watches `h` in the data, and what it is told of.
    struct Watched {
        data: Data,
        watchers: Watchers,
        session: Session,
    }

    impl Watched {
        /// Of a hash with fields whose time comes after 10, 20 and 30 ms.
        fn after(millis: i64) -> Watched {
            let mut data = Data::new();
            data.keyspace.journal.observed = true;
            for (field, time) in [("a", 10), ("b", 20), ("c", 30)] {
                data.run(&format!("HSETEX h PX {time} FIELDS 1 {field} v"));
            }
            data.keyspace.clear_changes();
            data.now += millis;
            let mut session = engine().server.connect(-1, Peer::Local);
            let mut watchers = Watchers::default();
            let (client, watch) = (&session.client, &mut session.watch);
            watchers.watch(&data.keyspace, client, watch, (0, b"h"), data.now);
            Watched {
                data,
                watchers,
                session,
            }
        }

        /// Whether EXEC would run after so many milliseconds more, once before
        /// and once after what has expired is removed.
        fn runs_after(mut self, millis: i64) -> [bool; 2] {
            self.data.now += millis;
            let now = self.data.now;
            let keyspace = &mut self.data.keyspace;
            let watch = self.session.watch.as_ref().expect("it watches");
            let seen = self.watchers.has_expired(keyspace, watch, now);
            while keyspace.expire_due(now, 1) {}
            for change in &keyspace.journal.changes {
                if let &Change::Key {
                    db,
                    ref key,
                    expired,
                    ..
                } = change
                {
                    let key = keyspace.journal.key(key);
                    self.watchers.changed(keyspace, db, key, now, expired);
                }
            }
            let told = self.session.client.flags().contains(ClientFlags::DIRTY);
            [!seen, !told]
        }
    }

    #[test]
    fn the_end_of_a_field_is_a_change_for_who_has_seen_it() {
        for (watched_at, millis, runs) in [
            (0, 9, true),
            (0, 10, false),
            (0, 30, false),
            (10, 0, true),
            (10, 9, true),
            (10, 10, false),
            (25, 4, true),
            (25, 5, false),
            (30, 0, true),
            (30, 50, true),
        ] {
            let result = Watched::after(watched_at).runs_after(millis);
            assert_eq!(result, [runs; 2], "{watched_at} {millis}");
        }
    }

    #[test]
    fn a_field_that_goes_with_others_hides_no_change() {
        let mut watched = Watched::after(10);
        assert_eq!(watched.data.run("HDEL h a missing"), ":0");
        assert_eq!(watched.runs_after(0), [true; 2]);
        let mut watched = Watched::after(10);
        assert_eq!(watched.data.run("HDEL h b"), ":1");
        assert_eq!(watched.runs_after(0), [true, false]);
    }
}
