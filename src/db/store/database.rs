//! One database: keys, values and expiries, and nothing that follows from a
//! change. It has no clock; who asks says what time it is.

mod parts;
pub mod past;
pub mod sample;
mod warm;

use std::hash::{BuildHasher, Hasher};

use bytes::Bytes;

use super::entry::{self, Entry, EntryFlags, Head};
use super::expiries::Expiries;
use super::part_times::PartTimes;
use super::past::Past;
use super::usage::Usage;
use crate::db::memory::heap;
use crate::db::memory::index::Index;
use crate::db::memory::places::Places;
use crate::db::memory::slots::{self, Full, PAGE_PIECES, PIECE, SLOT_MAX, Slots};
use crate::db::value::{Encoding, Form, Value, ValueRef};
use crate::seed::{Hashing, Seed};

/// Stands for a key until the next change of its entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Handle {
    hash: u32,
    slot: u32,
}

/// The keys of one database.
#[derive(Debug)]
pub struct Database {
    index: Index,
    slots: Slots,
    values: Places<Value>,
    /// Bytes of memory that the values hold.
    value_bytes: usize,
    long_keys: Places<Box<[u8]>>,
    /// Bytes of those.
    long_key_bytes: usize,
    expiries: Expiries,
    part_times: PartTimes,
    /// What entries say of their use.
    usage: Usage,
    /// How far [`gather`](Self::gather) has come.
    gathering: Option<u64>,
    /// What keys had before they changed, if the database is part of snapshots.
    past: Option<Box<Past>>,
    hasher: Hashing,
}

/// What a database without keys may hold on to, in bytes: a queue that is
/// filled and emptied in turn is not to build everything anew each time.
const EMPTY_MAX: usize = 64 * 1024;

/// What an entry is to hold.
enum Content<'a> {
    Inline(&'a [u8], Form),
    Value(Value),
}

/// How many bytes of its slot a key takes.
fn stored_len(key: &[u8]) -> usize {
    match key.len() {
        len @ ..=entry::KEY_MAX => len,
        _ => entry::NUMBER_LEN,
    }
}

impl Database {
    /// No keys yet, whose order follows from the seed.
    pub fn new(seed: Seed) -> Database {
        Database::hashed_by(seed.hasher())
    }

    fn hashed_by(hasher: Hashing) -> Database {
        Database {
            index: Index::default(),
            slots: Slots::default(),
            values: Places::default(),
            value_bytes: 0,
            long_keys: Places::default(),
            long_key_bytes: 0,
            expiries: Expiries::default(),
            part_times: PartTimes::default(),
            usage: Usage::default(),
            gathering: None,
            past: None,
            hasher,
        }
    }

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

    /// The entry of a key, and whether its time has come `now`, or that of all
    /// that is in it.
    pub fn find_at(&self, key: &[u8], now: i64) -> Option<(Handle, bool)> {
        let hash = self.hash(key);
        let mut due = false;
        let slot = self.index.find(hash, |slot| {
            let entry = Entry(self.slots.get(slot));
            due = entry.expires_at().is_some_and(|at| at <= now);
            self.key_of(entry) == key
        })?;
        let handle = Handle { hash, slot };
        Some((handle, due || self.has_ended(handle, now)))
    }

    /// Whether the time of the entry has come `now`, or that of all that is in
    /// it.
    pub fn is_due(&self, handle: Handle, now: i64) -> bool {
        let at = self.expires_at(handle);
        at.is_some_and(|at| at <= now) || self.has_ended(handle, now)
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

    /// For how many seconds nobody has used the key.
    pub fn idle_s(&self, handle: Handle, now: i64) -> u32 {
        entry::idle_s(self.accessed(handle), now)
    }

    /// What the entry says of its use, in 24 bits: when it was, in seconds, or
    /// how often it is.
    pub fn accessed(&self, handle: Handle) -> u32 {
        self.entry(handle).accessed()
    }

    /// Has the entry say this of its use.
    pub(in crate::db) fn set_accessed(&mut self, handle: Handle, accessed: u32) {
        entry::write_accessed(self.slots.get_mut(handle.slot), accessed);
    }

    /// Has entries say something else of their use from now on.
    pub(in crate::db) fn set_usage(&mut self, usage: Usage) {
        self.usage = usage;
    }

    /// Another one in its place, without keys.
    pub(in crate::db) fn emptied(&self) -> Database {
        Database {
            usage: self.usage,
            ..Database::hashed_by(self.hasher.clone())
        }
    }

    /// Notes that the key is used now.
    #[inline]
    pub(in crate::db) fn access(&mut self, handle: Handle, now: i64) {
        let clock = entry::access_clock(now);
        entry::write_accessed(self.slots.get_mut(handle.slot), clock);
    }

    /// Notes that the key was used so many seconds ago. Longer ago than can be
    /// told is half of what the clock goes back, so that it stays long ago for
    /// some time.
    pub(in crate::db) fn set_idle(&mut self, handle: Handle, seconds: u64, now: i64) {
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        let seconds = match seconds {
            ..=entry::IDLE_MAX => seconds,
            _ => entry::CLOCK_MAX / 2,
        };
        let clock = entry::access_clock(now).wrapping_sub(seconds);
        entry::write_accessed(self.slots.get_mut(handle.slot), clock);
    }

    /// The value.
    #[inline(always)]
    pub fn value(&self, handle: Handle) -> ValueRef<'_> {
        let entry = self.entry(handle);
        if entry.flags().contains(EntryFlags::VALUE) {
            ValueRef::Value(&self.values[entry::number(entry.value())])
        } else {
            let form = Form::from_bits(entry.flags().form());
            ValueRef::Inline(entry.value(), form)
        }
    }

    /// The value, unless it stands in the slot. Whoever changes what it holds of
    /// memory [says so](Self::weigh).
    pub(in crate::db) fn value_mut(&mut self, handle: Handle) -> Option<&mut Value> {
        self.keep(handle);
        self.value_in_place(handle)
    }

    #[inline]
    fn value_in_place(&mut self, handle: Handle) -> Option<&mut Value> {
        let entry = self.entry(handle);
        let is_value = entry.flags().contains(EntryFlags::VALUE);
        let number = is_value.then(|| entry::number(entry.value()))?;
        Some(&mut self.values[number])
    }

    /// Notes that a value has held so many bytes of memory, and holds others now.
    ///
    /// What panicked while it changed a value may have left one that holds more
    /// than was counted for it. The sum must not wrap around for that: all keys
    /// would be evicted.
    #[inline]
    pub(in crate::db) fn weigh(&mut self, before: usize, after: usize) {
        self.value_bytes = (self.value_bytes + after).saturating_sub(before);
    }

    /// Takes a value, and answers its number.
    fn hold(&mut self, value: Value) -> u32 {
        self.value_bytes += value.stored().memory();
        self.values.insert(value)
    }

    /// Gives a value out.
    fn let_go(&mut self, number: usize) -> Value {
        let value = self.values.remove(number);
        self.weigh(value.stored().memory(), 0);
        value
    }

    /// Bytes of memory that the key takes: an estimate that counts the slot,
    /// the share of the index and what the value holds.
    pub fn memory(&self, handle: Handle) -> usize {
        let entry = self.entry(handle);
        let long_key = if entry.flags().contains(EntryFlags::LONG_KEY) {
            heap::held(self.key(handle).len()) + size_of::<Box<[u8]>>()
        } else {
            0
        };
        let value = match self.value(handle) {
            ValueRef::Inline(..) => 0,
            ValueRef::Value(value) => value.stored().memory() + size_of::<Value>(),
        };
        let expiry = if entry.expires_at().is_some() {
            size_of::<u32>()
        } else {
            0
        };
        // An entry of the index, at four fifths of its capacity.
        self.slots.get(handle.slot).len() + 10 + long_key + value + expiry
    }

    /// Bytes of memory that keys and values hold. What is free in pages is not
    /// counted: it is used again, and could not be told from what a limit asks
    /// to be given back.
    pub fn dataset(&self) -> usize {
        self.slots.in_use() + self.value_bytes + self.long_key_bytes
    }

    /// Whether what all values and long keys hold is what each of them says.
    #[cfg(test)]
    pub fn is_weighed_right(&self) -> bool {
        let values = self.values.iter().map(|value| value.stored().memory());
        let long_keys = self.long_keys.iter().map(|key| heap::held(key.len()));
        (self.value_bytes, self.long_key_bytes) == (values.sum(), long_keys.sum())
    }

    /// Bytes of memory that expiries hold.
    pub fn expires_memory(&self) -> usize {
        self.expiries.memory() + self.part_times.memory()
    }

    /// The average of the times at which keys expire, in milliseconds since 1970.
    pub fn average_expiry(&self) -> Option<i64> {
        self.expiries.average()
    }

    /// All bytes of memory held. To ask takes a few additions.
    pub fn total_memory(&self) -> usize {
        self.dataset() + self.overhead() + self.expires_memory()
    }

    /// Bytes of memory held without what the values themselves hold.
    pub fn overhead(&self) -> usize {
        self.index.memory() + self.values.memory() + self.long_keys.memory()
    }

    /// Stores a string under `key`, whose entry is `found`. `expires_at` is
    /// the key's expiry from now on. Answers the value that was there, unless
    /// it stood in the slot. If there is no room, nothing has changed.
    #[inline(always)]
    pub(in crate::db) fn set_string(
        &mut self,
        found: Option<Handle>,
        key: &[u8],
        value: &[u8],
        encoding: Encoding,
        expires_at: Option<i64>,
        now: i64,
    ) -> Result<Option<Value>, Full> {
        let form = Form::String(encoding);
        if self.rewrite_in_place(found, value, form, expires_at, now) {
            return Ok(None);
        }
        if Database::in_slot(key, value.len(), expires_at) {
            return self.put_inline(found, key, value, form, expires_at, now);
        }
        let value = Bytes::copy_from_slice(value).into();
        let put = self.set_value(found, key, value, expires_at, now);
        put.map_err(|_| Full)
    }

    /// Stores a value that stands [in the slot](Self::in_slot) of `key`, whose
    /// entry is `found`, as [`set_string`](Self::set_string) does.
    pub(in crate::db) fn set_inline(
        &mut self,
        found: Option<Handle>,
        key: &[u8],
        value: &[u8],
        form: Form,
        expires_at: Option<i64>,
        now: i64,
    ) -> Result<Option<Value>, Full> {
        if self.rewrite_in_place(found, value, form, expires_at, now) {
            return Ok(None);
        }
        self.put_inline(found, key, value, form, expires_at, now)
    }

    /// Whether a value of `len` bytes stands in the slot of its key.
    pub fn in_slot(key: &[u8], len: usize, expires_at: Option<i64>) -> bool {
        Entry::len(stored_len(key), len, expires_at.is_some()) <= SLOT_MAX
    }

    /// [`set_inline`](Self::set_inline) where what is there does not just
    /// become something else.
    fn put_inline(
        &mut self,
        found: Option<Handle>,
        key: &[u8],
        value: &[u8],
        form: Form,
        expires_at: Option<i64>,
        now: i64,
    ) -> Result<Option<Value>, Full> {
        let slot = self.room_for(found, key, value.len(), expires_at)?;
        let content = Content::Inline(value, form);
        Ok(self.put(found, key, slot, content, expires_at, now))
    }

    /// Stores a value under `key`, whose entry is `found`. Answers the one
    /// that was there, unless it stood in the slot. If there is no room,
    /// nothing has changed, and the value comes back.
    pub(in crate::db) fn set_value(
        &mut self,
        found: Option<Handle>,
        key: &[u8],
        value: Value,
        expires_at: Option<i64>,
        now: i64,
    ) -> Result<Option<Value>, Value> {
        match self.room_for(found, key, entry::NUMBER_LEN, expires_at) {
            Ok(slot) => {
                let content = Content::Value(value);
                Ok(self.put(found, key, slot, content, expires_at, now))
            }
            Err(Full) => Err(value),
        }
    }

    /// Whether strings of these keys and lengths can be stored without an
    /// expiry, all of them.
    pub(in crate::db) fn has_room<'k>(
        &self,
        strings: impl Iterator<Item = (&'k [u8], usize)> + Clone,
    ) -> bool {
        // Hardly ever are so many asked for that it is worth to look closer.
        if strings.clone().nth(self.slots.pages_left()).is_none() {
            return true;
        }
        let needed = strings.filter_map(|(key, len)| {
            let inline = Database::in_slot(key, len, None);
            let len = if inline { len } else { entry::NUMBER_LEN };
            let needed = Entry::len(stored_len(key), len, false);
            let slot = self.find(key).map(|found| self.slots.get(found.slot));
            let stays = slot.is_some_and(|slot| slot.len() == slots::size(needed));
            (!stays).then_some(needed)
        });
        self.slots.have_room(needed)
    }

    /// Takes the value out, and how it is to be named; the key is to go, or
    /// [gets it back](Self::give_back). What stands in a slot is copied.
    pub(in crate::db) fn lend(&mut self, handle: Handle) -> (Value, Encoding) {
        self.keep(handle);
        self.take_out(handle)
    }

    fn take_out(&mut self, handle: Handle) -> (Value, Encoding) {
        let Some(value) = self.value_in_place(handle) else {
            return self.value(handle).copied();
        };
        let value = std::mem::replace(value, Bytes::new().into());
        self.weigh(value.stored().memory(), 0);
        self.note_first_part(handle, value.first_part(), None);
        (value, Encoding::Natural)
    }

    /// Puts a value that was [lent](Self::lend) back.
    pub(in crate::db) fn give_back(&mut self, handle: Handle, value: Value) {
        let (first_part, memory) = (value.first_part(), value.stored().memory());
        if let Some(place) = self.value_in_place(handle) {
            *place = value;
            self.weigh(0, memory);
            self.note_first_part(handle, None, first_part);
        }
    }

    /// Gives the key another expiry, or none. If there is no room, nothing has
    /// changed; there always is for none.
    pub(in crate::db) fn set_expiry(
        &mut self,
        handle: Handle,
        expires_at: Option<i64>,
        now: i64,
    ) -> Result<(), Full> {
        self.keep(handle);
        let entry = self.entry(handle);
        let mut head = Head {
            flags: entry.flags(),
            accessed: entry.accessed(),
            expires_at,
        };
        let (old, key_len, value) = (entry.expiry(), entry.key().len(), entry.value());
        let needed = Entry::len(key_len, value.len(), expires_at.is_some());
        if needed > SLOT_MAX {
            // The expiry pushes the value out of the slot.
            let (value, _) = self.value(handle).copied();
            let needed = Entry::len(key_len, entry::NUMBER_LEN, true);
            let slot = self.place_for(handle, needed)?;
            let number = self.hold(value).to_le_bytes();
            head.flags = head.flags.difference(EntryFlags::FORM) | EntryFlags::VALUE;
            self.rewrite(handle, slot, head, &number, now);
            return Ok(());
        }
        let slot = self.place_for(handle, needed)?;
        if slot == handle.slot {
            entry::change_expiry(self.slots.get_mut(slot), expires_at);
        } else {
            self.relocate(handle, slot, |entry, slot| {
                entry::write(slot, head, entry.key(), entry.value());
            });
        }
        self.move_expiry((old, handle.slot), (expires_at, slot), now);
        Ok(())
    }

    /// Takes the key out and answers its value, unless that stood in the slot.
    pub(in crate::db) fn remove(&mut self, handle: Handle) -> Option<Value> {
        self.keep_removed(handle);
        if self.part_times.len() > 0
            && let Some(parts) = self.value(handle).parts()
        {
            self.note_first_part(handle, parts.first_expiry(), None);
        }
        let entry = self.entry(handle);
        let flags = entry.flags();
        let long_key = flags
            .contains(EntryFlags::LONG_KEY)
            .then(|| entry::number(entry.key()));
        let value = flags
            .contains(EntryFlags::VALUE)
            .then(|| entry::number(entry.value()));
        if let Some(expiry) = entry.expiry() {
            self.expiries.remove(&mut self.slots, expiry, handle.slot);
        }
        self.index.remove(handle.hash, handle.slot);
        self.slots.free(handle.slot);
        if let Some(number) = long_key {
            let key = self.long_keys.remove(number);
            self.long_key_bytes -= heap::held(key.len());
        }
        let value = value.map(|number| self.let_go(number));
        if self.index.is_empty() && self.overhead() + self.slots.memory() > EMPTY_MAX {
            // Everything is free now; what the tables still hold goes, too.
            *self = Database {
                past: self.past.take(),
                ..self.emptied()
            };
        }
        value
    }

    /// Whether the tables hold several times what is in them, so that it is
    /// worth to [gather](Self::gather) that.
    pub fn is_scattered(&self) -> bool {
        self.slots.are_scattered() || self.values.are_scattered() || self.long_keys.are_scattered()
    }

    /// Moves some entries and values into places in front of theirs, so that
    /// the pages and chunks behind become empty and are given back: `count`
    /// keys are looked at, about. Answers whether there is more to be done. No
    /// handle is of any use afterwards.
    pub(in crate::db) fn gather(&mut self, count: usize) -> bool {
        if self.gathering.is_none() && !self.is_scattered() {
            return false;
        }
        let mut handles = Vec::with_capacity(count);
        let cursor = self.gathering.unwrap_or(0);
        let next = self.scan(cursor, count, |handle| handles.push(handle));
        handles
            .into_iter()
            .for_each(|handle| self.move_forward(handle));
        self.gathering = Some(next).filter(|&next| next != 0);
        true
    }

    fn move_forward(&mut self, handle: Handle) {
        let entry = self.entry(handle);
        let (flags, expiry) = (entry.flags(), entry.expiry());
        let (key, value) = (entry.key(), entry.value());
        let value = flags
            .contains(EntryFlags::VALUE)
            .then(|| entry::number(value));
        let key = flags
            .contains(EntryFlags::LONG_KEY)
            .then(|| entry::number(key));
        if let Some(number) = value.and_then(|number| self.values.move_forward(number)) {
            entry::write_value_number(self.slots.get_mut(handle.slot), number);
        }
        if let Some(number) = key.and_then(|number| self.long_keys.move_forward(number)) {
            entry::write_key_number(self.slots.get_mut(handle.slot), number);
        }
        if let Some(slot) = self.slots.allocate_before(handle.slot) {
            self.relocate(handle, slot, |entry, slot| slot.copy_from_slice(entry.0));
            if let Some((at, place)) = expiry {
                let old = ((at, place), handle.slot);
                self.expiries.change(&mut self.slots, old, (at, slot));
            }
        }
    }

    /// In how many pieces keys and values are held, or fewer if they are more
    /// than `few`: that is what it takes to free them.
    pub fn pieces(&self, few: usize) -> usize {
        let tables = self.slots.memory() + self.index.memory() + self.expiries.memory();
        let keys = self.long_keys.len() + self.part_times.len();
        let pieces = tables / PIECE + keys + self.values.len();
        if pieces > few {
            return pieces;
        }
        let values = self.values.iter().map(|value| value.stored().pieces());
        pieces + values.sum::<usize>()
    }

    /// Frees some of the pieces, as many as `budget` has left; none is left if
    /// it has some over. A value of more pieces than that comes back. Nobody
    /// can see the database any more.
    pub(in crate::db) fn free_some(&mut self, budget: &mut usize) -> Option<Value> {
        while *budget > 0 {
            *budget -= 1;
            if let Some(value) = self.values.pop() {
                self.weigh(value.stored().memory(), 0);
                let more = value.stored().pieces().saturating_sub(1);
                if more > *budget {
                    return Some(value);
                }
                *budget -= more;
            } else if self.slots.free_page() {
                *budget = budget.saturating_sub(PAGE_PIECES);
            } else if let Some(key) = self.long_keys.pop() {
                self.long_key_bytes -= heap::held(key.len());
            } else if !(self.index.free_segment()
                || self.expiries.free_block()
                || self.part_times.free_one())
            {
                *budget += 1;
                return None;
            }
        }
        None
    }

    /// When the first key is due, or earlier.
    pub fn first_key_expiry(&self) -> Option<i64> {
        self.expiries.first()
    }

    /// When the first key or part of a value is due, or earlier.
    pub fn first_expiry(&self) -> Option<i64> {
        let first = [self.expiries.first(), self.part_times.first()];
        first.into_iter().flatten().min()
    }

    /// A key that is due at `now`, the earliest first. It is removed before
    /// another is asked for. `None` if there is none, or if to find it takes
    /// more than `budget`, which it uses up.
    pub(in crate::db) fn due(&mut self, now: i64, budget: &mut usize) -> Option<Handle> {
        let slot = self.expiries.due(&mut self.slots, now, budget)?;
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

    /// Has nothing fit in that would need another page.
    #[cfg(test)]
    pub fn add_no_page(&mut self) {
        self.slots.add_no_page();
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

    /// A slot for what is to be stored under `key`, whose entry is `found`:
    /// `len` bytes besides the key and the expiry.
    fn room_for(
        &mut self,
        found: Option<Handle>,
        key: &[u8],
        len: usize,
        expires_at: Option<i64>,
    ) -> Result<u32, Full> {
        let needed = Entry::len(stored_len(key), len, expires_at.is_some());
        match found {
            Some(handle) => self.place_for(handle, needed),
            None => self.slots.allocate(needed),
        }
    }

    /// Stores `content` under `key`, whose entry is `found`, in a slot that has
    /// [room](Self::room_for) for it: there are more numbers for values and
    /// long keys than slots that could hold one. Answers the value that was
    /// there, unless it stood in the slot.
    fn put(
        &mut self,
        found: Option<Handle>,
        key: &[u8],
        slot: u32,
        content: Content<'_>,
        expires_at: Option<i64>,
        now: i64,
    ) -> Option<Value> {
        self.keep_replaced(found, key);
        let first_part = match &content {
            Content::Value(value) => value.first_part(),
            Content::Inline(..) => None,
        };
        let old = match found {
            Some(handle) => self.overwrite(handle, slot, content, expires_at, now),
            None => {
                self.insert(key, slot, content, expires_at, now);
                None
            }
        };
        let old_first_part = old.as_ref().and_then(Value::first_part);
        self.part_times.change(key, old_first_part, first_part);
        old
    }

    fn insert(
        &mut self,
        key: &[u8],
        slot: u32,
        content: Content<'_>,
        expires_at: Option<i64>,
        now: i64,
    ) {
        let hash = self.hash(key);
        let mut flags = EntryFlags::empty();
        let long_key;
        let key = if key.len() > entry::KEY_MAX {
            flags |= EntryFlags::LONG_KEY;
            self.long_key_bytes += heap::held(key.len());
            long_key = self.long_keys.insert(key.into()).to_le_bytes();
            &long_key[..]
        } else {
            key
        };
        let number;
        let value = match content {
            Content::Inline(value, form) => {
                flags |= EntryFlags::of_form(form.bits());
                value
            }
            Content::Value(value) => {
                flags |= EntryFlags::VALUE;
                number = self.hold(value).to_le_bytes();
                &number[..]
            }
        };
        let head = Head {
            flags,
            accessed: self.usage.of_new(now),
            expires_at,
        };
        entry::write(self.slots.get_mut(slot), head, key, value);
        self.index.insert(hash, slot);
        self.move_expiry((None, slot), (expires_at, slot), now);
    }

    fn overwrite(
        &mut self,
        handle: Handle,
        slot: u32,
        content: Content<'_>,
        expires_at: Option<i64>,
        now: i64,
    ) -> Option<Value> {
        let entry = self.entry(handle);
        let is_value = entry.flags().contains(EntryFlags::VALUE);
        let old_number = is_value.then(|| entry::number(entry.value()));
        let accessed = self.usage.of_changed(entry.accessed(), now);
        let number;
        let (flags, value, old) = match (content, old_number) {
            (Content::Inline(value, form), old) => {
                let old = old.map(|number| self.let_go(number));
                (EntryFlags::of_form(form.bits()), value, old)
            }
            (Content::Value(value), Some(place)) => {
                let after = value.stored().memory();
                let old = std::mem::replace(&mut self.values[place], value);
                self.weigh(old.stored().memory(), after);
                number = (place as u32).to_le_bytes();
                (EntryFlags::VALUE, &number[..], Some(old))
            }
            (Content::Value(value), None) => {
                number = self.hold(value).to_le_bytes();
                (EntryFlags::VALUE, &number[..], None)
            }
        };
        let head = Head {
            flags,
            accessed,
            expires_at,
        };
        self.rewrite(handle, slot, head, value, now);
        old
    }

    /// A slot for an entry that is to take `needed` bytes: its own if the size
    /// is right. What becomes smaller stays where it is rather than fail.
    fn place_for(&mut self, handle: Handle, needed: usize) -> Result<u32, Full> {
        let len = self.slots.get(handle.slot).len();
        if len == slots::size(needed) {
            return Ok(handle.slot);
        }
        match self.slots.allocate(needed) {
            Err(Full) if needed <= len => Ok(handle.slot),
            place => place,
        }
    }

    /// Writes all of an entry but the key, into its own slot or another one,
    /// which is large enough.
    fn rewrite(&mut self, handle: Handle, slot: u32, mut head: Head, value: &[u8], now: i64) {
        let old = self.entry(handle).expiry();
        if slot == handle.slot {
            entry::overwrite(self.slots.get_mut(slot), head, value);
        } else {
            self.relocate(handle, slot, |entry, slot| {
                head.flags |= entry.flags() & EntryFlags::LONG_KEY;
                entry::write(slot, head, entry.key(), value);
            });
        }
        self.move_expiry((old, handle.slot), (head.expires_at, slot), now);
    }

    /// Writes all of an entry but the key, if it holds no value elsewhere and
    /// its slot has the right size.
    #[inline(always)]
    fn rewrite_in_place(
        &mut self,
        found: Option<Handle>,
        value: &[u8],
        form: Form,
        expires_at: Option<i64>,
        now: i64,
    ) -> bool {
        let Some(handle) = found else {
            return false;
        };
        self.keep_inline(handle);
        let slot = self.slots.get_mut(handle.slot);
        let entry = Entry(slot);
        let old = entry.expiry();
        let needed = Entry::len(entry.key().len(), value.len(), expires_at.is_some());
        let fits = slot.len() == slots::size(needed);
        if !fits || entry.flags().contains(EntryFlags::VALUE) {
            return false;
        }
        let head = Head {
            flags: EntryFlags::of_form(form.bits()),
            accessed: self.usage.of_changed(entry.accessed(), now),
            expires_at,
        };
        entry::overwrite(slot, head, value);
        self.move_expiry((old, handle.slot), (expires_at, handle.slot), now);
        true
    }

    /// Moves an entry to another slot, into which `write` writes it.
    fn relocate(&mut self, handle: Handle, slot: u32, write: impl FnOnce(Entry<'_>, &mut [u8])) {
        let (old, new) = self.slots.get_pair(handle.slot, slot);
        write(Entry(old), new);
        self.slots.free(handle.slot);
        self.index.replace(handle.hash, handle.slot, slot);
    }

    /// Notes that a key, with the expiry and in the slot that `old` tells, has
    /// what `new` tells now.
    #[inline(always)]
    fn move_expiry(&mut self, old: (Option<(i64, u32)>, u32), new: (Option<i64>, u32), now: i64) {
        if old.0.is_some() || new.0.is_some() {
            self.note_expiry(old, new, now);
        }
    }

    fn note_expiry(
        &mut self,
        (old, old_slot): (Option<(i64, u32)>, u32),
        (new, slot): (Option<i64>, u32),
        now: i64,
    ) {
        let (expiries, slots) = (&mut self.expiries, &mut self.slots);
        match (old, new) {
            (Some(old), Some(at)) => expiries.change(slots, (old, old_slot), (at, slot)),
            (Some(old), None) => expiries.remove(slots, old, old_slot),
            (None, Some(at)) => expiries.insert(slots, at, slot, now),
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::value::{ChunkLimit, End, List};

    fn set(database: &mut Database, key: &str, value: &[u8], expires_at: Option<i64>) {
        let (key, found) = (key.as_bytes(), database.find(key.as_bytes()));
        let set = database.set_string(found, key, value, Encoding::Natural, expires_at, 0);
        assert!(set.is_ok());
    }

    #[test]
    fn what_all_values_hold_is_known_without_asking_them() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut database = Database::new(Seed::UNKNOWN);
        for round in 0..6_000 {
            let key = rng.usize(..400).to_string();
            let expires_at = rng.bool().then_some(round);
            if let Some(handle) = database.find(key.as_bytes()).filter(|_| rng.u8(..4) == 0) {
                database.remove(handle);
            }
            if rng.bool() {
                let value = vec![b'x'; rng.usize(..9_000)];
                set(&mut database, &key, &value, expires_at);
            } else {
                let mut list = List::default();
                (0..rng.usize(1..900)).for_each(|_| {
                    list.push(End::Left, b"0123456789abcdef", ChunkLimit::default());
                });
                let found = database.find(key.as_bytes());
                let set = database.set_value(found, key.as_bytes(), list.into(), expires_at, 0);
                assert!(set.is_ok());
            }
            if let Some(handle) = database.find(b"7") {
                let (value, encoding) = database.lend(handle);
                if encoding == Encoding::Natural && rng.bool() {
                    database.give_back(handle, value);
                } else {
                    database.remove(handle);
                }
            }
        }
        let held = database.values.iter().map(|value| value.stored().memory());
        assert_eq!(database.value_bytes, held.sum::<usize>());
        for key in 0..400 {
            if let Some(handle) = database.find(key.to_string().as_bytes()) {
                database.remove(handle);
            }
        }
        assert!(database.total_memory() <= EMPTY_MAX);
        assert_eq!(database.value_bytes, 0);
    }

    #[test]
    fn a_value_whose_change_was_not_counted_spoils_no_sum() {
        let mut database = Database::new(Seed::UNKNOWN);
        set(&mut database, "k", &[b'x'; 20_000], None);
        let handle = database.find(b"k").expect("it is there");
        // As if it had panicked before it was counted.
        let value = database.value_mut(handle).expect("it is long");
        *value = Bytes::from(vec![b'x'; 100_000]).into();
        database.remove(handle);
        assert_eq!(database.value_bytes, 0);
    }

    fn key(n: usize) -> Vec<u8> {
        let long = if n.is_multiple_of(4) { 300 } else { 0 };
        format!("key{n}{}", "k".repeat(long)).into()
    }

    /// A database with some of very many keys: every fourth name is a long
    /// one, every second key expires, every third value is a list.
    fn filled(keys: impl Iterator<Item = usize>) -> Database {
        let mut database = Database::new(Seed::UNKNOWN);
        for n in keys {
            let expires_at = n.is_multiple_of(2).then_some((n % 1000) as i64);
            let (key, text) = (key(n), n.to_string());
            if n.is_multiple_of(3) {
                let mut list = List::default();
                list.push(End::Left, text.as_bytes(), ChunkLimit::default());
                let set = database.set_value(None, &key, list.into(), expires_at, 0);
                assert!(set.is_ok());
            } else {
                let text = text.as_bytes();
                let set = database.set_string(None, &key, text, Encoding::Natural, expires_at, 0);
                assert!(set.is_ok());
            }
        }
        database
    }

    fn text(value: ValueRef<'_>) -> Option<Vec<u8>> {
        let string = value.string().map(|string| string.to_vec());
        let list = || value.of_kind::<List>()?.peek(End::Left);
        string.or_else(|| list().map(<[u8]>::to_vec))
    }

    #[test]
    fn what_is_left_of_a_burst_takes_little_more_than_it_would_alone() {
        const ALL: usize = 100_000;
        // Each page and each chunk keeps some.
        let kept = || (0..ALL).filter(|n| n % 16 < 2);
        let mut database = filled(0..ALL);
        for n in (0..ALL).filter(|n| n % 16 >= 2) {
            let handle = database.find(&key(n)).expect("it is there");
            database.remove(handle);
        }
        // With what is free in pages.
        let held = |database: &Database| {
            database.total_memory() + database.slots.memory() - database.slots.in_use()
        };
        let alone = held(&filled(kept()));
        assert!(database.values.are_scattered() && database.slots.are_scattered());
        assert!(held(&database) > alone * 2);
        let mut steps = 0;
        while database.gather(50) {
            steps += 1;
        }
        assert!(steps > kept().count() / 300, "{steps}");
        let gathered = held(&database);
        assert!(gathered < alone * 13 / 10, "{gathered} instead of {alone}");
        for n in kept() {
            let handle = database.find(&key(n)).expect("it is there");
            assert_eq!(database.key(handle), key(n));
            assert_eq!(text(database.value(handle)), Some(n.to_string().into()));
        }
        let mut due = Vec::new();
        while let Some(handle) = database.due(i64::MAX, &mut 1_000_000) {
            due.push(database.expires_at(handle));
            database.remove(handle);
        }
        assert!(due.is_sorted());
        assert_eq!(due.len(), kept().filter(|n| n % 2 == 0).count());
    }
}
