//! The index of a key table: from hashes to handles, in small segments.
//!
//! It is extendible hashing: the first bits of a hash choose a segment, and a
//! segment that is full splits in two. Growing therefore never moves more than
//! one segment (a table of a million keys that doubles at once stops the
//! broker for tens of milliseconds), and the segments stand in the order of
//! the hashes, so that a scan has a place to go on from that no growth moves.
//!
//! An entry is a hash and a handle, eight bytes; the keys themselves are in
//! the caller's hands.

use hashbrown::HashTable;

/// A segment splits when it holds more than this: a table of 2,048 buckets,
/// which is full at seven eighths.
const SEGMENT_MAX: usize = 1792;

/// What stands for a key: 32 bits of its hash, and a handle of the caller's.
type Slot = (u32, u32);

/// Hashes to handles. Several handles may share a hash.
#[derive(Default, Debug)]
pub struct Index {
    /// For each prefix of `depth` bits the segment that holds it.
    directory: Vec<u32>,
    depth: u32,
    segments: Vec<Segment>,
    len: usize,
}

#[derive(Debug)]
struct Segment {
    slots: HashTable<Slot>,
    /// How many first bits all hashes in here share.
    depth: u32,
}

/// The table inside a segment takes its buckets from the low bits and its tags
/// from the high ones, which all hashes of a segment share; a multiplication
/// spreads the others over both.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Index {
    /// How many handles there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn segment(&self, hash: u32) -> Option<usize> {
        // A shift by 32, for an index of one segment, is not defined for u32.
        let prefix = (u64::from(hash) << self.depth) >> 32;
        self.directory
            .get(prefix as usize)
            .map(|&segment| segment as usize)
    }

    /// The handle with this hash that `is` accepts.
    pub fn find(&self, hash: u32, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let slots = &self.segments[self.segment(hash)?].slots;
        slots
            .find(spread(hash), |slot| slot.0 == hash && is(slot.1))
            .map(|slot| slot.1)
    }

    /// Adds a handle that is not in here.
    pub fn insert(&mut self, hash: u32, handle: u32) {
        if self.directory.is_empty() {
            self.directory.push(0);
            self.segments.push(Segment {
                slots: HashTable::new(),
                depth: 0,
            });
        }
        loop {
            let at = self.segment(hash).expect("the directory covers every hash");
            let segment = &self.segments[at];
            // With hashes that are spread, the directory has few more places
            // than there are segments. Should many keys share a hash, their
            // segment grows instead of the directory.
            let room =
                segment.depth < self.depth || self.directory.len() < 16 * self.segments.len();
            if segment.slots.len() < SEGMENT_MAX || !room {
                let slots = &mut self.segments[at].slots;
                slots.insert_unique(spread(hash), (hash, handle), |slot| spread(slot.0));
                self.len += 1;
                return;
            }
            self.split(at);
        }
    }

    /// Replaces `old`, which has this hash, by `new`.
    pub fn replace(&mut self, hash: u32, old: u32, new: u32) {
        if let Some(at) = self.segment(hash)
            && let Some(slot) = self.segments[at]
                .slots
                .find_mut(spread(hash), |slot| slot.1 == old)
        {
            slot.1 = new;
        }
    }

    /// Takes out a handle.
    pub fn remove(&mut self, hash: u32, handle: u32) {
        let Some(at) = self.segment(hash) else { return };
        let slots = &mut self.segments[at].slots;
        if let Ok(slot) = slots.find_entry(spread(hash), |slot| slot.1 == handle) {
            slot.remove();
            self.len -= 1;
            // A table that was large once gives its memory back.
            if slots.capacity() > 64 && slots.len() < slots.capacity() / 8 {
                slots.shrink_to(slots.len() * 2, |slot| spread(slot.0));
            }
        }
        if self.len == 0 {
            *self = Index::default();
        }
    }

    fn split(&mut self, at: usize) {
        let depth = self.segments[at].depth + 1;
        if depth > self.depth {
            self.directory = self
                .directory
                .iter()
                .flat_map(|&segment| [segment, segment])
                .collect();
            self.depth = depth;
        }
        let bit = 1 << (32 - depth);
        let old = std::mem::take(&mut self.segments[at].slots);
        let half = SEGMENT_MAX / 2;
        let mut halves = [
            HashTable::with_capacity(half),
            HashTable::with_capacity(half),
        ];
        let mut sample = 0;
        for slot in old {
            sample = slot.0;
            let side = &mut halves[usize::from(slot.0 & bit != 0)];
            side.insert_unique(spread(slot.0), slot, |slot| spread(slot.0));
        }
        let [low, high] = halves;
        let new = self.segments.len();
        self.segments[at] = Segment { slots: low, depth };
        self.segments.push(Segment { slots: high, depth });
        // All prefixes of the old segment with the new bit set go to the new one.
        let first = ((u64::from(sample | bit) >> (32 - depth)) << (self.depth - depth)) as usize;
        self.directory[first..first + (1 << (self.depth - depth))].fill(new as u32);
    }

    /// Handles from `cursor` on, in the order of their hashes, at least `count`
    /// if there are so many; and the cursor to go on with, 0 at the end.
    ///
    /// A handle that is in here from the first call to the last is found
    /// exactly once, whatever else comes and goes.
    pub fn scan(&self, cursor: u64, count: usize, mut each: impl FnMut(u32)) -> u64 {
        let (mut cursor, mut found) = (cursor, 0);
        while found < count {
            let Ok(from) = u32::try_from(cursor) else {
                return 0;
            };
            let Some(at) = self.segment(from) else {
                return 0;
            };
            let segment = &self.segments[at];
            let mut slots: Vec<Slot> = segment
                .slots
                .iter()
                .filter(|slot| slot.0 >= from)
                .copied()
                .collect();
            slots.sort_unstable();
            let wanted = count - found;
            // Handles that share a hash cannot be told apart by a cursor.
            let last = slots.get(wanted - 1).map(|slot| slot.0);
            let fitting = last.map_or(slots.len(), |last| {
                slots.partition_point(|slot| slot.0 <= last)
            });
            slots[..fitting].iter().for_each(|slot| each(slot.1));
            found += fitting;
            cursor = match slots.get(fitting) {
                Some(next) => u64::from(next.0),
                // The first hash behind the segment.
                None => ((u64::from(from) >> (32 - segment.depth)) + 1) << (32 - segment.depth),
            };
        }
        if cursor > u64::from(u32::MAX) {
            0
        } else {
            cursor
        }
    }

    /// All handles, in no order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.segments
            .iter()
            .flat_map(|segment| segment.slots.iter().map(|slot| slot.1))
    }

    /// A handle, each with about the same probability. `random(n)` answers a
    /// number below `n`.
    pub fn random(&self, mut random: impl FnMut(usize) -> usize) -> Option<u32> {
        if self.is_empty() {
            return None;
        }
        let fullest = self
            .segments
            .iter()
            .map(|segment| segment.slots.len())
            .max()?;
        loop {
            // Each prefix is as likely as any other; a segment that covers
            // several is drawn as much oftener, and that is made up for here.
            let segment = &self.segments[self.directory[random(self.directory.len())] as usize];
            let covered = 1 << (self.depth - segment.depth);
            let nth = random(fullest * covered);
            if nth < segment.slots.len() {
                return segment.slots.iter().nth(nth).map(|slot| slot.1);
            }
        }
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        let segments: usize = self
            .segments
            .iter()
            .map(|s| s.slots.allocation_size())
            .sum();
        segments + self.directory.capacity() * 4 + self.segments.capacity() * size_of::<Segment>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn hash(n: u32) -> u32 {
        n.wrapping_mul(0x9e37_79b1) ^ (n >> 3)
    }

    fn filled(n: u32) -> Index {
        let mut index = Index::default();
        (0..n).for_each(|handle| index.insert(hash(handle), handle));
        index
    }

    #[test]
    fn what_went_in_is_found_and_what_went_out_is_not() {
        let mut index = filled(100_000);
        for n in (0..100_000).step_by(3) {
            index.remove(hash(n), n);
        }
        for n in 0..100_000 {
            let expected = (n % 3 != 0).then_some(n);
            assert_eq!(index.find(hash(n), |handle| handle == n), expected, "{n}");
        }
        assert_eq!(index.len(), index.iter().count());
        for n in 0..100_000 {
            index.remove(hash(n), n);
        }
        assert_eq!((index.len(), index.memory()), (0, 0));
    }

    #[test]
    fn equal_hashes_live_side_by_side() {
        let mut index = Index::default();
        (0..3000).for_each(|handle| index.insert(7, handle));
        assert_eq!(index.find(7, |handle| handle == 2999), Some(2999));
        let (mut cursor, mut seen) = (0, Vec::new());
        loop {
            cursor = index.scan(cursor, 1, |handle| seen.push(handle));
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(seen.len(), 3000);
        assert!(index.directory.len() < 1000, "{}", index.directory.len());
    }

    #[test]
    fn a_scan_finds_each_once_while_the_index_grows() {
        let mut index = filled(5_000);
        let (mut cursor, mut seen, mut next) = (0, Vec::new(), 5_000);
        loop {
            cursor = index.scan(cursor, 10, |handle| seen.push(handle));
            (next..next + 50).for_each(|handle| index.insert(hash(handle), handle));
            next += 50;
            if cursor == 0 {
                break;
            }
        }
        let distinct: BTreeSet<_> = seen.iter().copied().collect();
        assert_eq!(distinct.len(), seen.len());
        assert_eq!((0..5_000).find(|n| !distinct.contains(n)), None);
    }

    #[test]
    fn every_handle_can_be_drawn() {
        let index = filled(4_000);
        let mut rng = fastrand::Rng::with_seed(1);
        let drawn: BTreeSet<_> = (0..80_000)
            .filter_map(|_| index.random(|n| rng.usize(..n)))
            .collect();
        assert_eq!(drawn.len(), 4_000);
    }
}
