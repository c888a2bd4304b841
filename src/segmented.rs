//! A hash map in segments, which grows and shrinks a segment at a time.
//!
//! A table that doubles moves all of its entries in one step, and a million of
//! them take longer than anybody is to wait. Here a segment that is full is
//! split, and no other moves (extendible hashing); one that has become empty
//! for the most part gives its memory back.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

use hashbrown::HashTable;

use crate::seed::{Hashing, Seed};

/// A segment with so many entries is split: to move them takes some 30 µs.
const SEGMENT_MAX: usize = 1024;
/// A segment with room for fewer is not worth shrinking.
const SHRINK_MIN: usize = 16;

/// A hash map that never takes long.
#[derive(Debug)]
pub struct SegmentedMap<K, V> {
    /// The number of the segment for each beginning that a hash can have, of
    /// as many bits as the segment that has been split most often needs.
    directory: Vec<u32>,
    segments: Vec<Segment<K, V>>,
    len: usize,
    /// Entries for which all segments have memory.
    room: usize,
    hasher: Hashing,
}

#[derive(Debug)]
struct Segment<K, V> {
    /// The hashes of its keys have so many first bits in common.
    bits: u32,
    table: HashTable<(K, V)>,
}

impl<K, V> Default for SegmentedMap<K, V> {
    fn default() -> Self {
        SegmentedMap::new(Seed::UNKNOWN)
    }
}

impl<K, V> SegmentedMap<K, V> {
    /// One that is empty, whose order follows from the seed.
    pub fn new(seed: Seed) -> Self {
        SegmentedMap {
            directory: Vec::new(),
            segments: Vec::new(),
            len: 0,
            room: 0,
            hasher: seed.hasher(),
        }
    }
}

impl<K: Hash + Eq, V> SegmentedMap<K, V> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory held, without what keys and values hold themselves.
    pub fn memory(&self) -> usize {
        // A byte of each hash stands beside the entries, an eighth of which
        // stay free.
        self.directory.capacity() * size_of::<u32>()
            + self.segments.len() * size_of::<Segment<K, V>>()
            + self.room * (size_of::<(K, V)>() + 1) * 8 / 7
    }

    /// The value of a key.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(key);
        let segment = self.segments.get(self.segment_of(hash)?)?;
        let found = segment.table.find(hash, |(other, _)| other.borrow() == key);
        found.map(|(_, value)| value)
    }

    /// The value of a key, to change it.
    pub fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(key);
        let number = self.segment_of(hash)?;
        let table = &mut self.segments[number].table;
        let found = table.find_mut(hash, |(other, _)| other.borrow() == key);
        found.map(|(_, value)| value)
    }

    /// Adds an entry for a key that has none.
    pub fn insert_new(&mut self, key: K, value: V) {
        let hash = self.hasher.hash_one(&key);
        let number = match self.segment_of(hash) {
            Some(number) => self.make_room(number, hash),
            None => {
                self.directory.push(0);
                self.segments.push(Segment {
                    bits: 0,
                    table: HashTable::new(),
                });
                0
            }
        };
        let Self {
            segments,
            hasher,
            room,
            ..
        } = self;
        let table = &mut segments[number].table;
        *room -= table.capacity();
        table.insert_unique(hash, (key, value), |(key, _)| hasher.hash_one(key));
        *room += table.capacity();
        self.len += 1;
    }

    /// Removes an entry.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<(K, V)>
    where
        K: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(key);
        let number = self.segment_of(hash)?;
        let Self {
            segments,
            hasher,
            room,
            ..
        } = self;
        let table = &mut segments[number].table;
        let before = table.capacity();
        let found = table.find_entry(hash, |(other, _)| other.borrow() == key);
        let (removed, _) = found.ok()?.remove();
        if table.capacity() > SHRINK_MIN.max(4 * table.len()) {
            table.shrink_to(2 * table.len(), |(key, _)| hasher.hash_one(key));
        }
        *room = *room + table.capacity() - before;
        self.len -= 1;
        self.give_back_all_if_empty();
        Some(removed)
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let tables = self.segments.iter().map(|segment| &segment.table);
        tables
            .flat_map(HashTable::iter)
            .map(|(key, value)| (key, value))
    }

    /// All entries, in no order; what has been taken out is given back from
    /// time to time.
    pub fn into_entries(self) -> impl Iterator<Item = (K, V)> {
        let tables = self.segments.into_iter().map(|segment| segment.table);
        tables.flat_map(HashTable::into_iter)
    }

    /// All entries, in no order, with values that can be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        let tables = self.segments.iter_mut().map(|segment| &mut segment.table);
        tables
            .flat_map(HashTable::iter_mut)
            .map(|(key, value)| (&*key, value))
    }

    /// In how many parts the entries stand. A part has a thousand or so, and
    /// entries move only to parts that are new then, behind all others.
    pub fn parts(&self) -> usize {
        self.segments.len()
    }

    /// The entries of one part, in an order that stays as long as none comes or
    /// goes, with values that can be changed.
    pub fn part_mut(&mut self, part: usize) -> impl Iterator<Item = (&K, &mut V)> {
        let tables = self
            .segments
            .get_mut(part)
            .map(|segment| &mut segment.table);
        let entries = tables.into_iter().flat_map(HashTable::iter_mut);
        entries.map(|(key, value)| (&*key, value))
    }

    /// Removes those entries of one part that are not to be kept.
    pub fn retain_in_part(&mut self, part: usize, mut keep: impl FnMut(&K, &mut V) -> bool) {
        let Self {
            segments,
            hasher,
            room,
            ..
        } = self;
        let Some(Segment { table, .. }) = segments.get_mut(part) else {
            return;
        };
        let (before, room_before) = (table.len(), table.capacity());
        table.retain(|(key, value)| keep(key, value));
        let removed = before - table.len();
        if table.capacity() > SHRINK_MIN.max(4 * table.len()) {
            table.shrink_to(2 * table.len(), |(key, _)| hasher.hash_one(key));
        }
        *room = *room + table.capacity() - room_before;
        self.len -= removed;
        self.give_back_all_if_empty();
    }

    /// Any key. `pick` answers any number below the one that it is given.
    pub fn random(&self, mut pick: impl FnMut(usize) -> usize) -> Option<&K> {
        /// More than it takes to come upon an entry, unless most have gone.
        const TRIES: usize = 64;
        if self.is_empty() {
            return None;
        }
        for _ in 0..TRIES {
            // What begins alike is a part's share of all hashes.
            let number = self.directory[pick(self.directory.len())];
            let table = &self.segments[number as usize].table;
            if !table.is_empty() {
                let entry = table.iter().nth(pick(table.len()));
                return entry.map(|(key, _)| key);
            }
        }
        self.iter().next().map(|(key, _)| key)
    }

    fn give_back_all_if_empty(&mut self) {
        if self.len == 0 {
            (self.directory, self.segments, self.room) = (Vec::new(), Vec::new(), 0);
        }
    }

    /// The number of the segment for keys with this hash, if there is any.
    fn segment_of(&self, hash: u64) -> Option<usize> {
        let place = beginning(hash, self.directory.len().checked_ilog2()?);
        Some(self.directory[place] as usize)
    }

    /// The segment for keys with this hash once it is not full any more.
    fn make_room(&mut self, mut number: usize, hash: u64) -> usize {
        /// Whoever found keys whose hashes begin alike for so long has broken
        /// the hash function.
        const BITS_MAX: u32 = 24;
        while self.segments[number].table.len() >= SEGMENT_MAX
            && self.segments[number].bits < BITS_MAX
        {
            self.split(number);
            number = self.directory[beginning(hash, self.directory.len().ilog2())] as usize;
        }
        number
    }

    /// Moves the keys whose hashes go on with a 1 into a segment of their own.
    fn split(&mut self, number: usize) {
        let Self {
            directory,
            segments,
            hasher,
            room,
            ..
        } = self;
        let bits = segments[number].bits + 1;
        let before = segments[number].table.capacity();
        if directory.len() < 1 << bits {
            *directory = directory.iter().flat_map(|&of| [of, of]).collect();
        }
        let goes_on_with_1 =
            |(key, _): &mut (K, V)| beginning(hasher.hash_one(&*key), bits) & 1 == 1;
        let mut table = HashTable::new();
        for entry in segments[number].table.extract_if(goes_on_with_1) {
            let hash = hasher.hash_one(&entry.0);
            table.insert_unique(hash, entry, |(key, _)| hasher.hash_one(key));
        }
        segments[number].bits = bits;
        *room = *room + segments[number].table.capacity() + table.capacity() - before;
        let new = segments.len() as u32;
        segments.push(Segment { bits, table });
        // Beginnings with the same first bits stand side by side; of those of
        // this segment the second half goes on with a 1.
        let all = directory.len() >> (bits - 1);
        let first = directory.iter().position(|&of| of as usize == number);
        let first = first.expect("every segment is in the directory");
        directory[first + all / 2..first + all].fill(new);
    }
}

/// The first bits of a hash, as a number, but for those that a table looks at to
/// tell its entries apart: all those of a segment would look alike, and a lookup
/// compare a key with a dozen others. To note a million keys took four times as long.
fn beginning(hash: u64, bits: u32) -> usize {
    /// As many as `hashbrown` keeps of each hash.
    const TAG_BITS: u32 = 7;
    let rest = hash << TAG_BITS;
    rest.checked_shr(u64::BITS - bits).unwrap_or(0) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn it_holds_what_a_map_in_one_piece_holds() {
        let mut rng = fastrand::Rng::with_seed(3);
        let (mut map, mut model) = (SegmentedMap::default(), HashMap::new());
        for round in 0..200_000u32 {
            // It grows to thousands of entries, and shrinks again.
            let key = rng.u32(..40_000);
            if rng.u32(..100) < if round < 100_000 { 80 } else { 20 } {
                if let Some(value) = map.get_mut(&key) {
                    *value = round;
                } else {
                    map.insert_new(key, round);
                }
                model.insert(key, round);
            } else {
                let removed = map.remove(&key).map(|(_, value)| value);
                assert_eq!(removed, model.remove(&key), "{key}");
            }
            assert_eq!(map.len(), model.len());
            assert_eq!(map.get(&key), model.get(&key), "{key}");
        }
        let mut entries: Vec<_> = map.iter().map(|(&key, &value)| (key, value)).collect();
        let mut expected: Vec<_> = model.into_iter().collect();
        entries.sort_unstable();
        expected.sort_unstable();
        assert_eq!(entries, expected);
    }

    #[test]
    fn looking_through_it_in_steps_misses_nothing_that_stays() {
        let mut map = SegmentedMap::default();
        for key in 0..20_000u32 {
            map.insert_new(key, false);
        }
        let mut part = 0;
        while part < map.parts() {
            map.part_mut(part).for_each(|(_, seen)| *seen = true);
            map.retain_in_part(part, |key, _| key % 4 > 0);
            part += 1;
            // Parts are split meanwhile.
            let next = 20_000 + 1000 * part as u32;
            if next < 60_000 {
                (next..next + 1000).for_each(|key| map.insert_new(key, false));
            }
        }
        assert!((1..20_000).all(|key| map.get(&key) == (key % 4 > 0).then_some(&true)));
        assert_eq!(map.iter().count(), map.len());
        let parts = map.parts();
        (0..parts).for_each(|part| map.retain_in_part(part, |_, _| false));
        assert_eq!((map.len(), map.memory()), (0, 0));
    }

    /// A key that counts how often it is compared.
    struct Compared(u32);

    thread_local! {
        static COMPARISONS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    impl Hash for Compared {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }

    impl PartialEq for Compared {
        fn eq(&self, other: &Compared) -> bool {
            COMPARISONS.set(COMPARISONS.get() + 1);
            self.0 == other.0
        }
    }

    impl Eq for Compared {}

    #[test]
    fn hardly_any_key_is_compared_in_vain() {
        const MANY: u32 = 300_000;
        let mut map = SegmentedMap::default();
        (0..MANY).for_each(|key| map.insert_new(Compared(key), ()));
        let before = COMPARISONS.get();
        let missing = MANY..MANY + 10_000;
        assert!(missing.map(Compared).all(|key| map.get(&key).is_none()));
        let compared = COMPARISONS.get() - before;
        assert!(compared < 5_000, "{compared}");
    }

    #[test]
    fn any_key_may_be_the_random_one() {
        let mut rng = fastrand::Rng::with_seed(4);
        let mut map = SegmentedMap::default();
        assert_eq!(map.random(|n| rng.usize(..n)), None);
        (0..5000u32).for_each(|key| map.insert_new(key, ()));
        let mut drawn = std::collections::HashSet::new();
        for _ in 0..50_000 {
            drawn.insert(*map.random(|n| rng.usize(..n)).unwrap());
        }
        assert!(drawn.len() > 4950, "{}", drawn.len());
        (0..4999).for_each(|key| _ = map.remove(&key));
        assert_eq!(map.random(|n| rng.usize(..n)), Some(&4999));
    }

    #[test]
    fn no_segment_is_large_and_memory_comes_back() {
        let mut map = SegmentedMap::default();
        for key in 0..100_000u32 {
            map.insert_new(key, ());
        }
        let room = map.segments.iter().map(|segment| segment.table.capacity());
        assert_eq!(map.room, room.sum::<usize>());
        let largest = map.segments.iter().map(|segment| segment.table.len()).max();
        assert!(largest <= Some(SEGMENT_MAX), "{largest:?}");
        let full = map.memory();
        for key in 0..95_000 {
            map.remove(&key);
        }
        let left = map.memory();
        assert!(left * 4 < full, "{left} of {full}");
        for key in 95_000..100_000 {
            map.remove(&key);
        }
        assert_eq!(map.memory(), 0);
    }
}
