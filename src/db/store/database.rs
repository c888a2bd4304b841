//! One database: keys, values and expiries, and nothing that follows from a
//! change. It has no clock; who asks says what time it is.

use std::hash::{BuildHasher, Hasher};

use bytes::Bytes;
use slab::Slab;

use super::entry::{self, Entry, EntryFlags};
use super::expiries::Expiries;
use super::index::Index;
use super::slots::{self, SLOT_MAX, Slots};
use crate::db::value::{Encoding, Value, ValueRef};

/// Stands for a key until the next change of its entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handle {
    hash: u32,
    slot: u32,
}

/// The keys of one database.
#[derive(Default, Debug)]
pub struct Database {
    index: Index,
    slots: Slots,
    values: Slab<Value>,
    long_keys: Slab<Box<[u8]>>,
    expiries: Expiries,
    /// Keyed at random, so that nobody can choose keys that collide.
    hasher: foldhash::fast::RandomState,
}

/// What a database without keys may hold on to, in bytes: a queue that is
/// filled and emptied in turn is not to build everything anew each time.
const EMPTY_MAX: usize = 64 * 1024;

/// An entry of up to so many bytes is fetched whole before it is used: GET of
/// 1 KiB in a pipeline costs a tenth less. In a longer one the processor
/// notices by itself that it is read line by line.
const WARM_WHOLE_MAX: usize = 1280;

/// Whether a key in `slot` expires at `at`.
fn expires(slots: &Slots, at: i64, slot: u32) -> bool {
    // Of a free slot the first byte is 0: no flags, so no expiry.
    slots
        .find(slot)
        .is_some_and(|bytes| Entry(bytes).expires_at() == Some(at))
}

/// What an entry is to hold.
enum Content<'a> {
    Inline(&'a [u8], Encoding),
    Value(Value),
}

impl Database {
    /// How many keys there are, those included that have expired and are not
    /// removed yet.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// How many keys have an expiry.
    pub fn expiring(&self) -> usize {
        self.expiries.len()
    }

    /// The entry of a key, expired or not.
    pub fn find(&self, key: &[u8]) -> Option<Handle> {
        self.find_at(key, i64::MIN).map(|(handle, _)| handle)
    }

    /// The entry of a key, and whether its time has come `now`.
    pub fn find_at(&self, key: &[u8], now: i64) -> Option<(Handle, bool)> {
        let hash = self.hash(key);
        let mut due = false;
        let slot = self.index.find(hash, |slot| {
            let entry = Entry(self.slots.get(slot));
            due = entry.expires_at().is_some_and(|at| at <= now);
            self.key_of(entry) == key
        })?;
        Some((Handle { hash, slot }, due))
    }

    /// Fetches into the cache what [`find`](Self::find) is going to read.
    ///
    /// The processor waits for many lines of memory at once, but looks ahead
    /// for a few hundred instructions only. So the two loops that read do
    /// nothing else; the others prepare what is read.
    pub fn warm<'k>(&self, mut keys: impl Iterator<Item = &'k [u8]>) {
        const AT_ONCE: usize = 32;
        const LINE: usize = 64;
        loop {
            let mut hashes = [0; AT_ONCE];
            let mut lines = [&0; AT_ONCE];
            let mut count = 0;
            // Where there are no more keys, none is taken.
            for (hash, key) in hashes.iter_mut().zip(keys.by_ref()) {
                *hash = self.hash(key);
                lines[count] = self.index.first_line(*hash).unwrap_or(&0);
                count += 1;
            }
            let read = lines[..count].iter().fold(0, |read, &line| read ^ line);
            std::hint::black_box(read);
            let mut entries = [&[0][..]; AT_ONCE];
            for (entry, &hash) in entries.iter_mut().zip(&hashes[..count]) {
                if let Some(slot) = self.index.find(hash, |_| true) {
                    *entry = self.slots.get(slot);
                }
            }
            let mut read = 0;
            for entry in &entries[..count] {
                let whole = entry.len() <= WARM_WHOLE_MAX;
                let lines = entry.chunks(if whole { LINE } else { entry.len() });
                read = lines.fold(read ^ entry[entry.len() - 1], |read, line| read ^ line[0]);
            }
            std::hint::black_box(read);
            if count < AT_ONCE {
                return;
            }
        }
    }

    /// The key.
    pub fn key(&self, handle: Handle) -> &[u8] {
        self.key_in(handle.slot)
    }

    /// When the key expires, in milliseconds since 1970.
    #[inline]
    pub fn expires_at(&self, handle: Handle) -> Option<i64> {
        self.entry(handle).expires_at()
    }

    /// When the key was last used, in seconds, by a clock of 24 bits.
    pub fn accessed(&self, handle: Handle) -> u32 {
        self.entry(handle).accessed()
    }

    /// Notes that the key is used now.
    #[inline]
    pub(in crate::db) fn access(&mut self, handle: Handle, clock: u32) {
        entry::write_accessed(self.slots.get_mut(handle.slot), clock);
    }

    /// The value.
    #[inline]
    pub fn value(&self, handle: Handle) -> ValueRef<'_> {
        let entry = self.entry(handle);
        if entry.flags().contains(EntryFlags::VALUE) {
            ValueRef::Value(&self.values[entry::number(entry.value())])
        } else {
            let encoding = Encoding::from_bits(entry.flags().encoding());
            ValueRef::Inline(entry.value(), encoding)
        }
    }

    /// The value, unless it is a string in a slot.
    pub(in crate::db) fn value_mut(&mut self, handle: Handle) -> Option<&mut Value> {
        let entry = self.entry(handle);
        let is_value = entry.flags().contains(EntryFlags::VALUE);
        let number = is_value.then(|| entry::number(entry.value()))?;
        Some(&mut self.values[number])
    }

    /// Bytes of memory that the key takes: an estimate that counts the slot,
    /// the share of the index and what the value holds.
    pub fn memory(&self, handle: Handle) -> usize {
        let entry = self.entry(handle);
        let long_key = if entry.flags().contains(EntryFlags::LONG_KEY) {
            self.key(handle).len()
        } else {
            0
        };
        let value = match self.value(handle) {
            ValueRef::Inline(..) => 0,
            ValueRef::Value(value) => value.held().memory() + size_of::<Value>(),
        };
        let expiry = if entry.expires_at().is_some() {
            size_of::<(i64, u32)>()
        } else {
            0
        };
        // An entry of the index, at four fifths of its capacity.
        self.slots.get(handle.slot).len() + 10 + long_key + value + expiry
    }

    /// Bytes of memory that keys and values hold. Values beyond
    /// [`SAMPLE`] are extrapolated, so that it never takes long to ask.
    pub fn dataset(&self) -> usize {
        let values = total(&self.values, |value| value.held().memory());
        let long_keys = total(&self.long_keys, |key| key.len() + size_of::<Box<[u8]>>());
        self.slots.memory() + values + long_keys
    }

    /// Bytes of memory that expiries hold.
    pub fn expires_memory(&self) -> usize {
        self.expiries.memory()
    }

    /// The average of the times at which keys expire, in milliseconds since 1970.
    pub fn average_expiry(&self) -> Option<i64> {
        self.expiries.average()
    }

    /// Bytes of memory held without what the values themselves hold.
    pub fn overhead(&self) -> usize {
        self.index.memory() + self.values.capacity() * size_of::<Value>()
    }

    /// Stores a string under `key`, whose entry is `found`. `expires_at` is
    /// the key's expiry from now on.
    #[inline(always)]
    pub(in crate::db) fn set_string(
        &mut self,
        found: Option<Handle>,
        key: &[u8],
        value: &[u8],
        encoding: Encoding,
        expires_at: Option<i64>,
        clock: u32,
    ) {
        if let Some(handle) = found
            && !self.entry(handle).flags().contains(EntryFlags::VALUE)
            && self.rewrite_in_place(
                handle,
                EntryFlags::of_string(encoding.bits()),
                clock,
                expires_at,
                value,
            )
        {
            return;
        }
        self.put_string(found, key, value, encoding, expires_at, clock);
    }

    /// [`set_string`](Self::set_string) where the string that is there does
    /// not just become another one.
    fn put_string(
        &mut self,
        found: Option<Handle>,
        key: &[u8],
        value: &[u8],
        encoding: Encoding,
        expires_at: Option<i64>,
        clock: u32,
    ) {
        let stored_key = if key.len() > entry::KEY_MAX {
            entry::NUMBER_LEN
        } else {
            key.len()
        };
        let needed = Entry::len(stored_key, value.len(), expires_at.is_some());
        if needed > SLOT_MAX {
            let value = Value::from(Bytes::copy_from_slice(value));
            return self.set_value(found, key, value, expires_at, clock);
        }
        let content = Content::Inline(value, encoding);
        self.put(found, key, content, expires_at, clock);
    }

    /// Stores a value under `key`, whose entry is `found`.
    pub(in crate::db) fn set_value(
        &mut self,
        found: Option<Handle>,
        key: &[u8],
        value: Value,
        expires_at: Option<i64>,
        clock: u32,
    ) {
        self.put(found, key, Content::Value(value), expires_at, clock);
    }

    /// Takes the value out, and how it is to be named; the key is to go. What
    /// stands in a slot is copied.
    pub(in crate::db) fn lend(&mut self, handle: Handle) -> (Value, Encoding) {
        match self.value_mut(handle) {
            Some(value) => {
                let nothing = Bytes::new().into();
                (std::mem::replace(value, nothing), Encoding::Natural)
            }
            None => self.value(handle).copied(),
        }
    }

    /// Gives the key another expiry, or none.
    pub(in crate::db) fn set_expiry(&mut self, handle: Handle, expires_at: Option<i64>) {
        let entry = self.entry(handle);
        let (old, flags, accessed) = (entry.expires_at(), entry.flags(), entry.accessed());
        let (key, value) = (entry.key(), entry.value());
        let needed = Entry::len(key.len(), value.len(), expires_at.is_some());
        if needed > SLOT_MAX {
            // The expiry's eight bytes push the string out of the slot.
            let value = Value::from(Bytes::copy_from_slice(value));
            let number = (self.values.insert(value) as u32).to_le_bytes();
            let flags = flags.difference(EntryFlags::ENCODING) | EntryFlags::VALUE;
            return self.rewrite(handle, flags, accessed, expires_at, &number);
        }
        let mut slot = handle.slot;
        if entry.0.len() == slots::size(needed) {
            entry::change_expiry(self.slots.get_mut(slot), expires_at);
        } else {
            slot = self.relocate(handle, needed, |entry, slot| {
                entry::write(
                    slot,
                    flags,
                    accessed,
                    expires_at,
                    entry.key(),
                    entry.value(),
                );
            });
        }
        self.move_expiry((old, handle.slot), (expires_at, slot));
    }

    /// Takes the key out and drops its value.
    pub(in crate::db) fn remove(&mut self, handle: Handle) {
        let entry = self.entry(handle);
        let flags = entry.flags();
        let long_key = flags
            .contains(EntryFlags::LONG_KEY)
            .then(|| entry::number(entry.key()));
        let value = flags
            .contains(EntryFlags::VALUE)
            .then(|| entry::number(entry.value()));
        if let Some(at) = entry.expires_at() {
            self.expiries.remove(at);
        }
        self.index.remove(handle.hash, handle.slot);
        self.slots.free(handle.slot);
        if let Some(number) = long_key {
            self.long_keys.remove(number);
        }
        if let Some(number) = value {
            self.values.remove(number);
        }
        if self.index.is_empty() && self.overhead() + self.slots.memory() > EMPTY_MAX {
            // Everything is free now; what the tables still hold goes, too.
            *self = Database {
                hasher: self.hasher.clone(),
                ..Database::default()
            };
        }
    }

    /// When the first key is due, or earlier.
    pub fn first_expiry(&self) -> Option<i64> {
        self.expiries.first()
    }

    /// A key that is due at `now`. It is removed before another is asked for.
    pub(in crate::db) fn take_due(&mut self, now: i64) -> Option<Handle> {
        let slots = &self.slots;
        let slot = self
            .expiries
            .take_due(now, |(at, slot)| expires(slots, at, slot))?;
        let hash = self.hash(self.key_in(slot));
        Some(Handle { hash, slot })
    }

    /// Keys from `cursor` on, at least `count` if there are so many, and the
    /// cursor to go on with, 0 at the end. Each key that is here all the time
    /// is found exactly once.
    pub fn scan(&self, cursor: u64, count: usize, mut each: impl FnMut(Handle)) -> u64 {
        self.index.scan(cursor, count, |slot| {
            each(Handle {
                hash: self.hash(self.key_in(slot)),
                slot,
            })
        })
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = Handle> {
        self.index.iter().map(|slot| Handle {
            hash: self.hash(self.key_in(slot)),
            slot,
        })
    }

    /// An entry, each with the same probability.
    pub fn random(&self, random: impl FnMut(usize) -> usize) -> Option<Handle> {
        let slot = self.index.random(random)?;
        Some(Handle {
            hash: self.hash(self.key_in(slot)),
            slot,
        })
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key);
        (hasher.finish() >> 32) as u32
    }

    #[inline]
    fn entry(&self, handle: Handle) -> Entry<'_> {
        Entry(self.slots.get(handle.slot))
    }

    fn key_in(&self, slot: u32) -> &[u8] {
        self.key_of(Entry(self.slots.get(slot)))
    }

    #[inline(always)]
    fn key_of<'a>(&'a self, entry: Entry<'a>) -> &'a [u8] {
        let key = entry.key();
        if entry.flags().contains(EntryFlags::LONG_KEY) {
            &self.long_keys[entry::number(key)]
        } else {
            key
        }
    }

    fn put(
        &mut self,
        found: Option<Handle>,
        key: &[u8],
        content: Content<'_>,
        expires_at: Option<i64>,
        clock: u32,
    ) {
        if let Some(handle) = found {
            return self.overwrite(handle, content, expires_at, clock);
        }
        let hash = self.hash(key);
        let mut flags = EntryFlags::empty();
        let long_key;
        let key = if key.len() > entry::KEY_MAX {
            flags |= EntryFlags::LONG_KEY;
            long_key = (self.long_keys.insert(key.into()) as u32).to_le_bytes();
            &long_key[..]
        } else {
            key
        };
        let number;
        let value = match content {
            Content::Inline(value, encoding) => {
                flags |= EntryFlags::of_string(encoding.bits());
                value
            }
            Content::Value(value) => {
                flags |= EntryFlags::VALUE;
                number = (self.values.insert(value) as u32).to_le_bytes();
                &number[..]
            }
        };
        let slot = self.allocate(Entry::len(key.len(), value.len(), expires_at.is_some()));
        entry::write(
            self.slots.get_mut(slot),
            flags,
            clock,
            expires_at,
            key,
            value,
        );
        self.index.insert(hash, slot);
        self.move_expiry((None, slot), (expires_at, slot));
    }

    fn overwrite(
        &mut self,
        handle: Handle,
        content: Content<'_>,
        expires_at: Option<i64>,
        clock: u32,
    ) {
        let entry = self.entry(handle);
        let old_value = entry
            .flags()
            .contains(EntryFlags::VALUE)
            .then(|| entry::number(entry.value()));
        let mut flags = EntryFlags::empty();
        let number;
        let value = match content {
            Content::Inline(value, encoding) => {
                if let Some(number) = old_value {
                    self.values.remove(number);
                }
                flags |= EntryFlags::of_string(encoding.bits());
                value
            }
            Content::Value(value) => {
                let place = match old_value {
                    Some(number) => {
                        self.values[number] = value;
                        number
                    }
                    None => self.values.insert(value),
                };
                flags |= EntryFlags::VALUE;
                number = (place as u32).to_le_bytes();
                &number[..]
            }
        };
        self.rewrite(handle, flags, clock, expires_at, value);
    }

    /// Writes all of an entry but the key, into its slot or one of another size.
    fn rewrite(
        &mut self,
        handle: Handle,
        flags: EntryFlags,
        accessed: u32,
        expires_at: Option<i64>,
        value: &[u8],
    ) {
        if self.rewrite_in_place(handle, flags, accessed, expires_at, value) {
            return;
        }
        let entry = self.entry(handle);
        let old = entry.expires_at();
        let needed = Entry::len(entry.key().len(), value.len(), expires_at.is_some());
        let slot = self.relocate(handle, needed, |entry, slot| {
            let flags = flags | entry.flags() & EntryFlags::LONG_KEY;
            entry::write(slot, flags, accessed, expires_at, entry.key(), value);
        });
        self.move_expiry((old, handle.slot), (expires_at, slot));
    }

    /// Writes all of an entry but the key, if its slot has the right size.
    #[inline(always)]
    fn rewrite_in_place(
        &mut self,
        handle: Handle,
        flags: EntryFlags,
        accessed: u32,
        expires_at: Option<i64>,
        value: &[u8],
    ) -> bool {
        let slot = self.slots.get_mut(handle.slot);
        let entry = Entry(slot);
        let old = entry.expires_at();
        let needed = Entry::len(entry.key().len(), value.len(), expires_at.is_some());
        let fits = slot.len() == slots::size(needed);
        if fits {
            entry::overwrite(slot, flags, accessed, expires_at, value);
            self.move_expiry((old, handle.slot), (expires_at, handle.slot));
        }
        fits
    }

    /// Gives an entry a slot of another size, into which `write` writes it.
    fn relocate(
        &mut self,
        handle: Handle,
        needed: usize,
        write: impl FnOnce(Entry<'_>, &mut [u8]),
    ) -> u32 {
        let slot = self.allocate(needed);
        let (old, new) = self.slots.get_pair(handle.slot, slot);
        write(Entry(old), new);
        self.slots.free(handle.slot);
        self.index.replace(handle.hash, handle.slot, slot);
        slot
    }

    /// Notes that a key, with the expiry and in the slot that `old` tells, has
    /// what `new` tells now.
    #[inline(always)]
    fn move_expiry(&mut self, old: (Option<i64>, u32), new: (Option<i64>, u32)) {
        if (old.0.is_some() || new.0.is_some()) && old != new {
            self.note_expiry(old.0, new);
        }
    }

    fn note_expiry(&mut self, old: Option<i64>, (new, slot): (Option<i64>, u32)) {
        if let Some(at) = new {
            let slots = &self.slots;
            self.expiries
                .insert((at, slot), |(at, slot)| expires(slots, at, slot));
        }
        if let Some(at) = old {
            self.expiries.remove(at);
        }
    }

    fn allocate(&mut self, len: usize) -> u32 {
        self.slots
            .allocate(len)
            .expect("a database holds no more than 64 GiB of small entries")
    }
}

/// How many values are looked at to tell what all of them hold.
const SAMPLE: usize = 10_000;

/// The sum over all entries; of very many, every so many is looked at.
fn total<T>(slab: &Slab<T>, memory: impl Fn(&T) -> usize) -> usize {
    if slab.len() <= SAMPLE {
        return slab.iter().map(|(_, entry)| memory(entry)).sum();
    }
    let places = (0..slab.capacity()).step_by(slab.capacity() / SAMPLE);
    let looked_at = places.filter_map(|place| slab.get(place));
    let (count, sum) = looked_at.fold((0, 0), |(count, sum), entry| {
        (count + 1, sum + memory(entry))
    });
    let all = (sum as u128 * slab.len() as u128).checked_div(count);
    all.unwrap_or_default() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_very_many_values_hold_is_told_from_some() {
        let mut database = Database::default();
        let value = [b'x'; 5000];
        for index in 0..3 * SAMPLE {
            let key = index.to_string();
            let found = database.find(key.as_bytes());
            database.set_string(found, key.as_bytes(), &value, Encoding::Natural, None, 0);
        }
        let expected = 3 * SAMPLE * value.len() + database.slots.memory();
        assert_eq!(database.dataset(), expected);
    }
}
