//! A large collection of records, each a name and what goes with it: the
//! members of a set, the fields of a hash with their values, the members of a
//! sorted set with their scores.
//!
//! A record stands in a slot, and a table leads from the hash of the name to
//! it, so that with short names and values a record takes some ten bytes more
//! than they have. Neither grows by more than a page or a segment at a time.

use std::hash::{BuildHasher, Hasher};

use super::heap;
use super::index::Index;
use super::pack;
use super::places::Places;
use super::slots::{Full, PAGE_PIECES, PIECE, SLOT_MAX, Slots};
use crate::seed::{Hashing, Seed};

/// Records by name.
///
/// Many are small: one of a few records takes some four hundred bytes more than
/// they have.
#[derive(Clone, Debug)]
pub struct Members {
    index: Index,
    slots: Slots,
    /// Few have any.
    long: Option<Box<Long>>,
    /// How far [`gather`](Self::gather) has come, 0 where it has not begun.
    gathering: u32,
    /// How many records have been removed or replaced since it went on.
    removed: u32,
    hasher: Hashing,
}

/// Records too long for a slot.
#[derive(Clone, Default, Debug)]
struct Long {
    records: Places<Box<[u8]>>,
    /// How long they are together.
    bytes: usize,
}

/// The first slots of each size, that of a short record or two.
const FIRST_SLOTS: usize = 64;

/// It takes well below a millisecond to build a table of so many bytes anew,
/// and of so many records.
const REBUILT_MAX: usize = 256 * 1024;
const REBUILT_RECORDS: usize = 4096;
/// It is worth that if so much is gained.
const REBUILT_FOR: usize = 4 * 1024;

/// Begins a slot that holds the number of a long record. No length is written
/// like this: it would be 0, with a digit too many.
const LONG: [u8; 2] = [0x80, 0];

/// So many removals are worth a look at how scattered the records are.
const GATHER_AFTER: u32 = 64;
/// How many records are looked at then: all of them, long before the next
/// quarter has been removed.
const GATHERED: usize = 256;

/// How many bytes of a slot the number of a long record takes.
const LONG_LEN: usize = LONG.len() + size_of::<u32>();

/// Takes a record apart: its name, and what goes with it.
fn split(record: &[u8]) -> (&[u8], &[u8]) {
    let parts = pack::split_number(record).and_then(|(name_len, record)| {
        let (rest_len, record) = pack::split_number(record)?;
        let (name, record) = record.split_at_checked(name_len as usize)?;
        Some((name, record.get(..rest_len as usize)?))
    });
    parts.unwrap_or_default()
}

/// The same where both parts are short, as most are; a long record's slot is
/// not taken for one.
#[inline]
fn split_short(slot: &[u8]) -> Option<(&[u8], &[u8])> {
    let [name_len @ 0..0x80, rest_len @ 0..0x80, record @ ..] = slot else {
        return None;
    };
    let (name, record) = record.split_at_checked(usize::from(*name_len))?;
    Some((name, record.get(..usize::from(*rest_len))?))
}

/// The number of the record, if the slot is that of a long one.
#[inline]
fn long_number(slot: &[u8]) -> Option<usize> {
    match *slot {
        [0x80, 0, a, b, c, d, ..] => Some(u32::from_le_bytes([a, b, c, d]) as usize),
        _ => None,
    }
}

/// How many bytes a record takes.
fn len_of(name: &[u8], rest: &[u8]) -> usize {
    pack::len_of(name.len()) + pack::len_of(rest.len())
}

/// Writes a record into `out`, which has room for it, and answers what is left.
fn write(out: &mut [u8], name: &[u8], rest: &[u8]) {
    let out = pack::write_number(out, name.len() as u64);
    let out = pack::write_number(out, rest.len() as u64);
    let (for_name, out) = out.split_at_mut(name.len());
    for_name.copy_from_slice(name);
    out[..rest.len()].copy_from_slice(rest);
}

impl Members {
    /// None yet, in an order that follows from the seed.
    pub fn new(seed: Seed) -> Members {
        Members::hashed_by(seed.hasher())
    }

    fn hashed_by(hasher: Hashing) -> Members {
        Members {
            index: Index::default(),
            slots: Slots::with_first_page(FIRST_SLOTS),
            long: None,
            gathering: 0,
            removed: 0,
            hasher,
        }
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The record of a name. It is found under this number until it is changed
    /// or removed.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<u32> {
        self.index.find(self.hash(name), |at| self.name(at) == name)
    }

    /// A place in the cache line in which [`find`](Self::find) begins to look
    /// for a name of this hash.
    pub fn first_line(&self, hash: u32) -> Option<&u32> {
        self.index.first_line(hash)
    }

    /// The slot of a record whose name has this hash.
    pub fn slot(&self, hash: u32) -> Option<&[u8]> {
        let at = self.index.find(hash, |_| true)?;
        Some(self.slots.get(at))
    }

    /// The name of a record.
    #[inline]
    pub fn name(&self, at: u32) -> &[u8] {
        self.record(at).0
    }

    /// What goes with the name.
    #[inline]
    pub fn rest(&self, at: u32) -> &[u8] {
        self.record(at).1
    }

    /// The name of a record, and what goes with it.
    #[inline]
    pub fn record(&self, at: u32) -> (&[u8], &[u8]) {
        let slot = self.slots.get(at);
        split_short(slot).unwrap_or_else(|| self.long_record(slot))
    }

    fn long_record<'a>(&'a self, slot: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        match (long_number(slot), &self.long) {
            (Some(number), Some(long)) => split(&long.records[number]),
            _ => split(slot),
        }
    }

    /// What goes with the name, to be overwritten by as many bytes.
    pub fn rest_mut(&mut self, at: u32) -> &mut [u8] {
        let (name, rest) = self.record(at);
        let start = len_of(name, rest) - rest.len();
        let end = start + rest.len();
        match (long_number(self.slots.get(at)), &mut self.long) {
            (Some(number), Some(long)) => &mut long.records[number][start..end],
            _ => &mut self.slots.get_mut(at)[start..end],
        }
    }

    /// Adds a record, whose name is not here yet.
    ///
    /// # Errors
    ///
    /// There is no room; then nothing has changed.
    pub fn insert(&mut self, name: &[u8], rest: &[u8]) -> Result<u32, Full> {
        let at = self.store(name, rest)?;
        self.index.insert(self.hash(name), at);
        Ok(at)
    }

    /// Has something else go with a name, and answers where the record is from
    /// now on. What it takes less can be [gathered](Self::gather) afterwards.
    ///
    /// # Errors
    ///
    /// There is no room; then nothing has changed.
    pub fn set_rest(&mut self, at: u32, rest: &[u8]) -> Result<u32, Full> {
        if self.rest(at).len() == rest.len() {
            self.rest_mut(at).copy_from_slice(rest);
            return Ok(at);
        }
        let name: Box<[u8]> = self.name(at).into();
        let new = self.store(&name, rest)?;
        self.free(at);
        self.index.replace(self.hash(&name), at, new);
        self.removed = self.removed.saturating_add(1);
        Ok(new)
    }

    /// Takes a record out.
    pub fn remove(&mut self, at: u32) {
        self.index.remove(self.hash(self.name(at)), at);
        self.free(at);
        self.removed = self.removed.saturating_add(1);
        if self.is_empty() {
            *self = self.anew();
        }
    }

    /// To be called after each removal and each [`set_rest`](Self::set_rest):
    /// moves some records into slots in front of theirs if little of the pages
    /// is in use, so that those behind become empty and go back to the system.
    /// Tells `moved` where a record was and where it is. That may be the record
    /// that has just been set.
    ///
    /// It leaves a page or two of each size, of which [`is_wasteful`] tells
    /// when they are worth something.
    ///
    /// [`is_wasteful`]: Self::is_wasteful
    #[inline]
    pub fn gather(&mut self, mut moved: impl FnMut(&Members, u32, u32)) {
        // Where many have been removed at once, once through all is enough.
        while self.removed >= GATHER_AFTER {
            self.removed -= GATHER_AFTER;
            self.gather_some(&mut moved);
            if self.gathering == 0 {
                self.removed %= GATHER_AFTER;
            }
        }
    }

    fn gather_some(&mut self, moved: &mut impl FnMut(&Members, u32, u32)) {
        if self.gathering == 0 && !self.slots.are_scattered() {
            return;
        }
        let mut found = Vec::with_capacity(GATHERED);
        let next = self.scan(self.gathering.into(), GATHERED, |at| found.push(at));
        self.gathering = u32::try_from(next).expect("a cursor is a hash");
        for at in found {
            if let Some(new) = self.slots.allocate_before(at) {
                let hash = self.hash(self.name(at));
                let (from, to) = self.slots.get_pair(at, new);
                to.copy_from_slice(from);
                self.slots.free(at);
                self.index.replace(hash, at, new);
                moved(self, at, new);
            }
        }
    }

    /// Whether little is in use and several times that is held, so that it is
    /// worth to build another one of the records, which takes little time, and
    /// to drop this one. What has just been built is never wasteful.
    pub fn is_wasteful(&self) -> bool {
        let long = self.long.as_ref().map_or(0, |long| long.bytes);
        let (used, held) = (self.slots.used() + long, self.slots.held() + long);
        let is_small = used <= REBUILT_MAX && self.len() <= REBUILT_RECORDS;
        is_small && held > (4 * used).max(used + REBUILT_FOR)
    }

    /// A table without records, to be built anew: a scan that has begun in this
    /// one goes on in that.
    pub fn anew(&self) -> Members {
        Members::hashed_by(self.hasher.clone())
    }

    /// Writes a record into a slot of its own.
    fn store(&mut self, name: &[u8], rest: &[u8]) -> Result<u32, Full> {
        let len = len_of(name, rest);
        if len <= SLOT_MAX {
            let at = self.slots.allocate(len)?;
            write(self.slots.get_mut(at), name, rest);
            return Ok(at);
        }
        let at = self.slots.allocate(LONG_LEN)?;
        let mut record = vec![0; len].into_boxed_slice();
        write(&mut record, name, rest);
        let long = self.long.get_or_insert_default();
        let number = long.records.insert(record);
        long.bytes += heap::held(len);
        let slot = self.slots.get_mut(at);
        slot[..LONG.len()].copy_from_slice(&LONG);
        slot[LONG.len()..LONG_LEN].copy_from_slice(&number.to_le_bytes());
        Ok(at)
    }

    fn free(&mut self, at: u32) {
        if let (Some(number), Some(long)) = (long_number(self.slots.get(at)), &mut self.long) {
            long.bytes -= heap::held(long.records.remove(number).len());
            if long.records.len() == 0 {
                self.long = None;
            }
        }
        self.slots.free(at);
    }

    /// Records from `cursor` on, at least `count` if there are so many, and
    /// the cursor to go on with, 0 at the end. Each record that is here all
    /// the time is found exactly once.
    pub fn scan(&self, cursor: u64, count: usize, each: impl FnMut(u32)) -> u64 {
        self.index.scan(cursor, count, each)
    }

    /// A record, each with the same probability. `random(n)` answers a number
    /// below `n`.
    pub fn random(&self, random: impl FnMut(usize) -> usize) -> Option<u32> {
        self.index.random(random)
    }

    /// All records, in no order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.index.iter()
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        let memory = |long: &Long| size_of::<Long>() + long.records.memory() + long.bytes;
        let long = self.long.as_deref().map_or(0, memory);
        self.index.memory() + self.slots.memory() + long
    }

    /// In how many pieces it is held: that is what it takes to free it.
    pub fn pieces(&self) -> usize {
        let long = self.long.as_ref().map_or(0, |long| long.records.len());
        (self.index.memory() + self.slots.memory()) / PIECE + long + 1
    }

    /// Frees some of the pieces, as many as `budget` has left; answers whether
    /// the rest goes at once. Nothing else is done with it from then on.
    pub fn free_some(&mut self, budget: &mut usize) -> bool {
        while *budget > 0 {
            if let Some(long) = &mut self.long
                && let Some(record) = long.records.pop()
            {
                long.bytes -= heap::held(record.len());
                *budget -= 1;
            } else if self.slots.free_page() || self.index.free_segment() {
                *budget = budget.saturating_sub(PAGE_PIECES);
            } else {
                return true;
            }
        }
        false
    }

    /// The hash by which a name is looked for.
    #[inline]
    pub fn hash(&self, name: &[u8]) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(name);
        (hasher.finish() >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn it_is_a_map_of_names_of_any_length() {
        let mut rng = fastrand::Rng::with_seed(4);
        let (mut members, mut model) = (Members::new(Seed::UNKNOWN), HashMap::new());
        for round in 0..60_000 {
            let len = if rng.u8(..50) == 0 { 5_000 } else { 6 };
            let name = format!("{:0len$}", rng.u32(..2_000)).into_bytes();
            let rest = vec![round as u8; [0, 8, 130, 4_090, 9_000][rng.usize(..5)]];
            let found = members.find(&name);
            assert_eq!(found.is_some(), model.contains_key(&name));
            let grows = rng.u32(..100) < if round % 20_000 < 12_000 { 70 } else { 20 };
            match found {
                Some(at) if grows => {
                    let at = members.set_rest(at, &rest).unwrap();
                    assert_eq!(members.record(at), (&name[..], &rest[..]));
                    model.insert(name, rest);
                }
                None if grows => {
                    members.insert(&name, &rest).unwrap();
                    model.insert(name, rest);
                }
                Some(at) => {
                    assert_eq!(members.rest(at), model.remove(&name).unwrap());
                    members.remove(at);
                    members.gather(|_, _, _| {});
                }
                None => {}
            }
            assert_eq!(members.len(), model.len());
        }
        assert!(members.len() > 100, "{} are left", members.len());
        for at in members.iter() {
            let (name, rest) = members.record(at);
            assert_eq!(model.remove(name).as_deref(), Some(rest));
        }
        assert!(model.is_empty());
    }

    #[test]
    fn what_a_burst_has_taken_is_given_back_while_others_stay() {
        let mut members = Members::new(Seed::UNKNOWN);
        let names: Vec<String> = (0..200_000).map(|n| format!("member:{n}")).collect();
        for name in &names {
            members.insert(name.as_bytes(), b"").unwrap();
        }
        let full = members.memory();
        assert!(full / names.len() < 40, "{full} bytes");
        let mut places = HashMap::new();
        for (n, name) in names.iter().enumerate() {
            let at = members.find(name.as_bytes()).unwrap();
            if n % 50 == 0 {
                places.insert(at, name.as_bytes());
            } else {
                members.remove(at);
                members.gather(|members, old, new| {
                    if let Some(name) = places.remove(&old) {
                        assert_eq!(members.name(new), name);
                        places.insert(new, name);
                    }
                });
            }
        }
        assert!(places.iter().all(|(&at, name)| members.name(at) == *name));
        let memory = members.memory();
        assert!(memory < full / 12, "{memory} of {full}");
    }

    /// So many records, and how many bytes their names have together.
    fn mixed(records: usize, lens: std::ops::Range<usize>) -> (Members, usize) {
        let mut rng = fastrand::Rng::with_seed(8);
        let (mut members, mut bytes) = (Members::new(Seed::UNKNOWN), 0);
        for n in 0..records {
            let len = rng.usize(lens.clone());
            let name = format!("{n:0len$}");
            members.insert(name.as_bytes(), b"").unwrap();
            bytes += name.len();
        }
        (members, bytes)
    }

    fn rebuilt(members: &Members) -> Members {
        let mut rebuilt = Members::new(Seed::UNKNOWN);
        for at in members.iter() {
            let (name, rest) = members.record(at);
            rebuilt.insert(name, rest).unwrap();
        }
        rebuilt
    }

    #[test]
    fn a_table_of_any_size_takes_little_more_than_its_records() {
        let mut one = Members::new(Seed::UNKNOWN);
        one.insert(b"data", &[b'x'; 100]).unwrap();
        let memory = one.memory() + size_of::<Members>();
        assert!(memory <= 460, "{memory} bytes");
        let sizes = [(1, 400), (10, 1_200), (130, 5_000), (1_000, 10_000)];
        for (records, most) in sizes.into_iter().chain([(100_000, 500_000)]) {
            for lens in [6..7, 8..60, 5..204] {
                let (members, bytes) = mixed(records, lens.clone());
                let memory = members.memory() + size_of::<Members>();
                // Slots are larger than names, and the index has its share.
                let expected = bytes * 3 / 2 + records * 20 + most;
                assert!(
                    memory < expected,
                    "{records} of {lens:?}: {memory} for {bytes}"
                );
                assert!(!members.is_wasteful(), "{records} of {lens:?}");
            }
        }
    }

    #[test]
    fn a_table_that_has_shrunk_is_wasteful_until_it_is_built_anew() {
        let mut rng = fastrand::Rng::with_seed(9);
        let (mut members, _) = mixed(100_000, 5..204);
        for left in [3_000, 1_000, 100, 10, 1] {
            while members.len() > left {
                let at = members.random(|n| rng.usize(..n)).unwrap();
                members.remove(at);
                members.gather(|_, _, _| {});
            }
            let rebuilt = rebuilt(&members);
            assert!(!rebuilt.is_wasteful());
            let (held, needed) = (members.slots.memory(), rebuilt.slots.memory());
            if members.is_wasteful() {
                assert!(held > needed * 2, "{left}: {held} for {needed}");
            } else {
                assert!(held < needed * 4 + 8 * 1024, "{left}: {held} for {needed}");
            }
            if left <= 1_000 {
                assert!(members.is_wasteful(), "{left}: {held} for {needed}");
            }
        }
        members = rebuilt(&members);
        members.insert(b"long", &[0; 300_000]).unwrap();
        assert!(!members.is_wasteful() && members.memory() > 300_000);
    }

    #[test]
    fn what_values_that_were_overwritten_took_is_given_back() {
        let mut members = Members::new(Seed::UNKNOWN);
        let names: Vec<String> = (0..20_000).map(|n| format!("field:{n}")).collect();
        for name in &names {
            members.insert(name.as_bytes(), &[0; 1000]).unwrap();
        }
        let full = members.memory();
        // Of those of each page some stay for long.
        for at in (0..10).flat_map(|n| (n..names.len()).step_by(10)) {
            if at % 10 == 9 {
                continue;
            }
            let at = members.find(names[at].as_bytes()).unwrap();
            members.set_rest(at, b"short").unwrap();
            members.gather(|_, _, _| {});
        }
        for _ in 0..names.len() {
            let at = members.find(names[0].as_bytes()).unwrap();
            let len = 5 + usize::from(members.rest(at).len() == 5) * 20;
            members.set_rest(at, &vec![0; len]).unwrap();
            members.gather(|_, _, _| {});
        }
        let memory = members.memory();
        assert!(memory < full / 2, "{memory} of {full}");
        // It does not go on for ever.
        assert!(members.gathering == 0 && !members.slots.are_scattered());
    }

    #[test]
    fn it_is_freed_in_steps() {
        let mut members = Members::new(Seed::UNKNOWN);
        for n in 0..100_000u32 {
            members.insert(&n.to_le_bytes(), b"12345678").unwrap();
        }
        let (mut steps, pieces) = (1, members.pieces());
        while !members.free_some(&mut 20) {
            steps += 1;
        }
        assert!((20..100).contains(&steps), "{steps} steps");
        assert!(pieces > 300, "{pieces}");
    }
}
