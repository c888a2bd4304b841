//! What keys had before they changed, for as long as somebody may want to go
//! back there: a layer for each snapshot, with the keys that have changed since
//! it was taken and before the next one was.
//!
//! A key that stands in no layer is what it was. So a snapshot costs nothing
//! when it is taken, and what it holds depends on what changes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::db::value::{Form, Value, ValueRef};

/// What was there under each key: `None` for nothing.
pub type Keys = HashMap<Box<[u8]>, Option<Had>, foldhash::fast::RandomState>;

/// The past of a database that is part of snapshots.
#[derive(Debug)]
pub struct Past {
    /// Tells the database from others, whatever its number is.
    pub id: u64,
    /// One for each snapshot that it is part of, the oldest first. There is one
    /// at least.
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    snapshot: u64,
    keys: Keys,
}

/// What a key had.
#[derive(Debug)]
pub struct Had {
    /// Its value.
    pub value: Kept,
    /// When it expires, in milliseconds since 1970.
    pub expires_at: Option<i64>,
    /// What its entry said of its use.
    pub accessed: u32,
}

/// A value as it was stored.
#[derive(Debug)]
pub enum Kept {
    /// It stood in the slot of its key.
    Inline(Box<[u8]>, Form),
    /// Anything else.
    Value(Value),
}

impl Had {
    /// The value.
    pub fn value(&self) -> ValueRef<'_> {
        match &self.value {
            Kept::Inline(bytes, form) => ValueRef::Inline(bytes, *form),
            Kept::Value(value) => ValueRef::Value(value),
        }
    }

    /// When it expires, or the first part of it does.
    pub fn first_expiry(&self) -> Option<i64> {
        let parts = self.value().parts();
        let first_part = parts.and_then(|parts| parts.first_expiry());
        [self.expires_at, first_part].into_iter().flatten().min()
    }

    /// Bytes of memory that it holds.
    fn memory(&self) -> usize {
        match &self.value {
            Kept::Inline(bytes, _) => bytes.len(),
            Kept::Value(value) => value.stored().memory(),
        }
    }

    /// The value, unless it goes at once.
    fn into_value(self) -> Option<Value> {
        match self.value {
            Kept::Inline(..) => None,
            Kept::Value(value) => Some(value),
        }
    }
}

impl Past {
    /// Of a database that is part of its first snapshot now.
    pub fn new(id: u64) -> Past {
        Past {
            id,
            layers: Vec::new(),
        }
    }

    /// Begins a layer: a snapshot is taken, later than all others.
    pub fn begin(&mut self, snapshot: u64) {
        let keys = Keys::default();
        self.layers.push(Layer { snapshot, keys });
    }

    /// Whether nothing is known of the key since the last snapshot, so that it
    /// is to be noted what is there before it changes.
    pub fn lacks(&self, key: &[u8]) -> bool {
        let last = self.layers.last();
        last.is_some_and(|layer| !layer.keys.contains_key(key))
    }

    /// Notes what was there under a key of which nothing is known.
    pub fn note(&mut self, key: &[u8], had: Option<Had>) {
        if let Some(layer) = self.layers.last_mut() {
            layer.keys.insert(key.into(), had);
        }
    }

    /// What the keys that have changed since a snapshot had when it was taken.
    pub fn since(&self, snapshot: u64) -> HashMap<&[u8], Option<&Had>> {
        let mut all = HashMap::new();
        for layer in self
            .layers
            .iter()
            .rev()
            .take_while(|l| l.snapshot >= snapshot)
        {
            all.extend(layer.keys.iter().map(|(key, had)| (&**key, had.as_ref())));
        }
        all
    }

    /// Takes that out, as all of it is going to be put back, and forgets later
    /// snapshots. Hands out values that nobody can go back to any more.
    pub fn take_since(&mut self, snapshot: u64, mut discard: impl FnMut(Value)) -> Keys {
        let mut all = Keys::default();
        while let Some(later) = self.layers.pop_if(|layer| layer.snapshot > snapshot) {
            all = merged(later.keys, all, &mut discard);
        }
        match self.layers.last_mut() {
            Some(last) if last.snapshot == snapshot => {
                merged(std::mem::take(&mut last.keys), all, discard)
            }
            _ => all,
        }
    }

    /// Forgets a snapshot. Hands out values that nobody can go back to any more.
    pub fn release(&mut self, snapshot: u64, discard: impl FnMut(Value)) {
        let Some(at) = self.layers.iter().position(|l| l.snapshot == snapshot) else {
            return;
        };
        let keys = self.layers.remove(at).keys;
        match at.checked_sub(1).map(|before| &mut self.layers[before]) {
            // What has changed since is what has changed since the one before.
            Some(before) => before.keys = merged(std::mem::take(&mut before.keys), keys, discard),
            None => keys
                .into_values()
                .flatten()
                .filter_map(Had::into_value)
                .for_each(discard),
        }
    }

    /// Whether it is part of no snapshot any more.
    pub fn is_over(&self) -> bool {
        self.layers.is_empty()
    }

    /// How many keys have changed between a snapshot and the next one, and bytes
    /// of memory that are held for them, about.
    pub fn held_for(&self, snapshot: u64) -> (usize, usize) {
        let layer = self.layers.iter().find(|layer| layer.snapshot == snapshot);
        let keys = layer.into_iter().flat_map(|layer| &layer.keys);
        keys.fold((0, 0), |(count, bytes), (key, had)| {
            let had = had.as_ref().map_or(0, Had::memory);
            (
                count + 1,
                bytes + size_of_val(key) + key.len() + size_of::<Had>() + had,
            )
        })
    }
}

/// What two layers tell together: of the same key the older one tells it.
fn merged(mut older: Keys, newer: Keys, mut discard: impl FnMut(Value)) -> Keys {
    if older.is_empty() {
        return newer;
    }
    for (key, had) in newer {
        match older.entry(key) {
            Entry::Vacant(place) => _ = place.insert(had),
            Entry::Occupied(_) => _ = had.and_then(Had::into_value).map(&mut discard),
        }
    }
    older
}
