//! Who watches which key: WATCH.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The number of a database, and a key in it.
type Key = (usize, Box<[u8]>);

/// The watched keys, and the flags to set when they change.
#[derive(Default)]
pub struct Watchers {
    by_key: HashMap<Key, Vec<Arc<AtomicBool>>>,
}

impl Watchers {
    /// Whether no key is watched.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Has `dirty` set when the key changes.
    pub fn add(&mut self, db: usize, key: &[u8], dirty: &Arc<AtomicBool>) {
        self.by_key
            .entry((db, key.into()))
            .or_default()
            .push(dirty.clone());
    }

    /// Ends that.
    pub fn remove(&mut self, db: usize, key: &[u8], dirty: &Arc<AtomicBool>) {
        let key = (db, Box::from(key));
        if let Some(flags) = self.by_key.get_mut(&key) {
            flags.retain(|flag| !Arc::ptr_eq(flag, dirty));
            if flags.is_empty() {
                self.by_key.remove(&key);
            }
        }
    }

    /// A key has changed.
    pub fn changed(&self, db: usize, key: &[u8]) {
        if self.by_key.is_empty() {
            return;
        }
        if let Some(flags) = self.by_key.get(&(db, Box::from(key))) {
            flags.iter().for_each(|flag| flag.store(true, Relaxed));
        }
    }

    /// All keys of a database for which `has_changed` holds have changed.
    pub fn changed_where(&self, db: usize, has_changed: impl Fn(&[u8]) -> bool) {
        for ((of, key), flags) in &self.by_key {
            if *of == db && has_changed(key) {
                flags.iter().for_each(|flag| flag.store(true, Relaxed));
            }
        }
    }
}
