//! One database: keys, values and expiries, and nothing that follows from a
//! change. It has no clock; who asks says what time it is.

use std::hash::{BuildHasher, Hasher};

use bytes::Bytes;
use slab::Slab;

use super::entry::{self, Entry, EntryFlags};
use super::expires::Expires;
use super::index::Index;
use super::list::List;
use super::slots::{self, SLOT_MAX, Slots};

/// A value that does not stand in a slot.
#[derive(Clone, Debug)]
pub enum Object {
    /// A string too long for a slot.
    String(Bytes),
    /// A list, never empty.
    List(List),
}

/// The type of a value, as TYPE names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `string`
    String,
    /// `list`
    List,
}

impl Kind {
    /// The name that TYPE answers.
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
        }
    }
}

impl Object {
    fn kind(&self) -> Kind {
        match self {
            Object::String(_) => Kind::String,
            Object::List(_) => Kind::List,
        }
    }

    fn memory(&self) -> usize {
        match self {
            Object::String(bytes) => bytes.len(),
            Object::List(list) => list.memory(),
        }
    }
}

/// A string as it is stored.
#[derive(Clone, Copy, Debug)]
pub enum Str<'a> {
    /// In a slot.
    Inline(&'a [u8]),
    /// In an allocation that a reply can share.
    Shared(&'a Bytes),
}

impl std::ops::Deref for Str<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Str::Inline(bytes) => bytes,
            Str::Shared(bytes) => bytes,
        }
    }
}

/// How OBJECT ENCODING is to name a string.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// By what it looks like: `int`, `embstr`, `raw`.
    Natural,
    /// `raw`: it was modified in place.
    Raw,
    /// `embstr` or `raw`, never `int`.
    Text,
}

impl Encoding {
    fn flags(self) -> EntryFlags {
        match self {
            Encoding::Natural => EntryFlags::empty(),
            Encoding::Raw => EntryFlags::RAW,
            Encoding::Text => EntryFlags::EMBEDDED,
        }
    }
}

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
    objects: Slab<Object>,
    long_keys: Slab<Box<[u8]>>,
    expires: Expires,
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
    Object(Object, Encoding),
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
        self.expires.len()
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
    pub fn access(&mut self, handle: Handle, clock: u32) {
        entry::write_accessed(self.slots.get_mut(handle.slot), clock);
    }

    /// The type of the value.
    pub fn kind(&self, handle: Handle) -> Kind {
        self.object(handle).map_or(Kind::String, Object::kind)
    }

    /// The value, if it is a string.
    #[inline]
    pub fn string(&self, handle: Handle) -> Option<Str<'_>> {
        let entry = self.entry(handle);
        if !entry.flags().contains(EntryFlags::OBJECT) {
            return Some(Str::Inline(entry.value()));
        }
        match &self.objects[entry::number(entry.value())] {
            Object::String(bytes) => Some(Str::Shared(bytes)),
            Object::List(_) => None,
        }
    }

    /// How the string is to be named by OBJECT ENCODING.
    pub fn encoding(&self, handle: Handle) -> Encoding {
        match self.entry(handle).flags() {
            flags if flags.contains(EntryFlags::RAW) => Encoding::Raw,
            flags if flags.contains(EntryFlags::EMBEDDED) => Encoding::Text,
            _ => Encoding::Natural,
        }
    }

    /// The value, if it is not a string in a slot.
    pub fn object(&self, handle: Handle) -> Option<&Object> {
        let entry = self.entry(handle);
        let is_object = entry.flags().contains(EntryFlags::OBJECT);
        is_object.then(|| &self.objects[entry::number(entry.value())])
    }

    /// The value, if it is not a string in a slot.
    pub fn object_mut(&mut self, handle: Handle) -> Option<&mut Object> {
        let entry = self.entry(handle);
        let is_object = entry.flags().contains(EntryFlags::OBJECT);
        let number = is_object.then(|| entry::number(entry.value()))?;
        Some(&mut self.objects[number])
    }

    /// A copy of the value. The bytes of a long string are shared.
    pub fn copy(&self, handle: Handle) -> Object {
        match self.object(handle) {
            Some(object) => object.clone(),
            None => Object::String(Bytes::copy_from_slice(self.entry(handle).value())),
        }
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
        let object = self
            .object(handle)
            .map_or(0, |object| object.memory() + size_of::<Object>());
        let expiry = if entry.expires_at().is_some() {
            size_of::<(i64, u32)>()
        } else {
            0
        };
        // An entry of the index, at four fifths of its capacity.
        self.slots.get(handle.slot).len() + 10 + long_key + object + expiry
    }

    /// Bytes of memory that keys and values hold. Objects beyond
    /// [`SAMPLE`] are extrapolated, so that it never takes long to ask.
    pub fn dataset(&self) -> usize {
        let objects = total(&self.objects, Object::memory);
        let long_keys = total(&self.long_keys, |key| key.len() + size_of::<Box<[u8]>>());
        self.slots.memory() + objects + long_keys
    }

    /// Bytes of memory that expiries hold.
    pub fn expires_memory(&self) -> usize {
        self.expires.memory()
    }

    /// The average of the times at which keys expire, in milliseconds since 1970.
    pub fn average_expiry(&self) -> Option<i64> {
        self.expires.average()
    }

    /// Bytes of memory held without what the values themselves hold.
    pub fn overhead(&self) -> usize {
        self.index.memory() + self.objects.capacity() * size_of::<Object>()
    }

    /// Stores a string under `key`, whose entry is `found`. `expires_at` is
    /// the key's expiry from now on.
    #[inline(always)]
    pub fn set_string(
        &mut self,
        found: Option<Handle>,
        key: &[u8],
        value: &[u8],
        encoding: Encoding,
        expires_at: Option<i64>,
        clock: u32,
    ) {
        if let Some(handle) = found
            && !self.entry(handle).flags().contains(EntryFlags::OBJECT)
            && self.rewrite_in_place(handle, encoding.flags(), clock, expires_at, value)
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
            let object = Object::String(Bytes::copy_from_slice(value));
            let content = Content::Object(object, encoding);
            return self.put(found, key, content, expires_at, clock);
        }
        let content = Content::Inline(value, encoding);
        self.put(found, key, content, expires_at, clock);
    }

    /// Stores an object under `key`, whose entry is `found`.
    pub fn set_object(
        &mut self,
        found: Option<Handle>,
        key: &[u8],
        object: Object,
        expires_at: Option<i64>,
        clock: u32,
    ) {
        self.put(
            found,
            key,
            Content::Object(object, Encoding::Natural),
            expires_at,
            clock,
        );
    }

    /// Lets `change` modify the bytes of a string that is an object already,
    /// without a copy if nobody else reads them. False if it is no such string.
    pub fn modify_long_string(
        &mut self,
        handle: Handle,
        change: impl FnOnce(&mut bytes::BytesMut),
    ) -> bool {
        let Some(Object::String(bytes)) = self.object_mut(handle) else {
            return false;
        };
        let taken = std::mem::take(bytes);
        let mut buffer = taken
            .try_into_mut()
            .unwrap_or_else(|shared| bytes::BytesMut::from(&shared[..]));
        change(&mut buffer);
        *bytes = buffer.freeze();
        let slot = self.slots.get_mut(handle.slot);
        slot[0] |= EntryFlags::RAW.bits();
        slot[0] &= !EntryFlags::EMBEDDED.bits();
        true
    }

    /// Gives the key another expiry, or none.
    pub fn set_expiry(&mut self, handle: Handle, expires_at: Option<i64>) {
        let entry = self.entry(handle);
        let (old, flags, accessed) = (entry.expires_at(), entry.flags(), entry.accessed());
        let (key, value) = (entry.key(), entry.value());
        let needed = Entry::len(key.len(), value.len(), expires_at.is_some());
        if needed > SLOT_MAX {
            // The expiry's eight bytes push the string out of the slot.
            let object = Object::String(Bytes::copy_from_slice(value));
            let number = (self.objects.insert(object) as u32).to_le_bytes();
            let flags = flags | EntryFlags::OBJECT;
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
    pub fn remove(&mut self, handle: Handle) {
        drop(self.take(handle));
    }

    /// Takes the key out and answers an object that it held, so that dropping
    /// it can be left to somebody else.
    pub fn take(&mut self, handle: Handle) -> Option<Object> {
        let entry = self.entry(handle);
        let flags = entry.flags();
        let long_key = flags
            .contains(EntryFlags::LONG_KEY)
            .then(|| entry::number(entry.key()));
        let object = flags
            .contains(EntryFlags::OBJECT)
            .then(|| entry::number(entry.value()));
        if let Some(at) = entry.expires_at() {
            self.expires.remove(at);
        }
        self.index.remove(handle.hash, handle.slot);
        self.slots.free(handle.slot);
        if let Some(number) = long_key {
            self.long_keys.remove(number);
        }
        let object = object.map(|number| self.objects.remove(number));
        if self.index.is_empty() && self.overhead() + self.slots.memory() > EMPTY_MAX {
            // Everything is free now; what the tables still hold goes, too.
            *self = Database {
                hasher: self.hasher.clone(),
                ..Database::default()
            };
        }
        object
    }

    /// When the first key is due, or earlier.
    pub fn first_expiry(&self) -> Option<i64> {
        self.expires.first()
    }

    /// A key that is due at `now`. It is removed before another is asked for.
    pub fn take_due(&mut self, now: i64) -> Option<Handle> {
        let slots = &self.slots;
        let slot = self
            .expires
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
                flags |= encoding.flags();
                value
            }
            Content::Object(object, encoding) => {
                flags |= EntryFlags::OBJECT | encoding.flags();
                number = (self.objects.insert(object) as u32).to_le_bytes();
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
        let old_object = entry
            .flags()
            .contains(EntryFlags::OBJECT)
            .then(|| entry::number(entry.value()));
        let mut flags = EntryFlags::empty();
        let number;
        let value = match content {
            Content::Inline(value, encoding) => {
                if let Some(number) = old_object {
                    self.objects.remove(number);
                }
                flags |= encoding.flags();
                value
            }
            Content::Object(object, encoding) => {
                let place = match old_object {
                    Some(number) => {
                        self.objects[number] = object;
                        number
                    }
                    None => self.objects.insert(object),
                };
                flags |= EntryFlags::OBJECT | encoding.flags();
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
            self.expires
                .insert((at, slot), |(at, slot)| expires(slots, at, slot));
        }
        if let Some(at) = old {
            self.expires.remove(at);
        }
    }

    fn allocate(&mut self, len: usize) -> u32 {
        self.slots
            .allocate(len)
            .expect("a database holds no more than 64 GiB of small entries")
    }
}

/// How many objects are looked at to tell what all of them hold.
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
    fn what_very_many_objects_hold_is_told_from_some() {
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
