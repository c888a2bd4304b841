//! The index of a key table: from hashes to handles, in small segments.
//!
//! It is extendible hashing: the first bits of a hash choose a segment, and a
//! segment that is full splits in two. Growing therefore never moves more than
//! one segment (a table of a million keys that doubles at once stops the
//! broker for tens of milliseconds), and the segments stand in the order of
//! the hashes, so that a scan has a place to go on from that no growth moves.
//!
//! A segment is made of buckets of eight entries, a cache line each, and grows
//! by about a quarter at a time, so that seven to nine tenths of it are used.
//! A lookup misses the cache once, and can be told which line it will read
//! ([`Index::first_line`]) without a branch that waits for another one.
//!
//! An entry is a hash and a handle, eight bytes; the keys themselves are in
//! the caller's hands.

use wide::u32x8;

use super::heap;

/// A segment with so many buckets splits instead of growing: 8 KiB.
const BUCKETS_MAX: usize = 128;
/// Entries of a bucket.
const WIDTH: usize = 8;
/// Two segments become one again if that has no more entries than this, so
/// that it has to double before it splits.
const MERGED_MAX: usize = BUCKETS_MAX * WIDTH * 3 / 8;
/// A segment grows or splits when more than this many eighths are used: then
/// nine of ten lookups still end in the first bucket.
const FULL_EIGHTHS: usize = 7;

/// Stands for no handle.
const NONE: u32 = u32::MAX;

/// Hashes to handles. Several handles may share a hash.
#[derive(Clone, Default, Debug)]
pub struct Index {
    /// For each prefix of `depth` bits the segment that holds it.
    directory: Box<[u32]>,
    segments: Vec<Segment>,
    depth: u32,
    /// How many segments need all bits of the directory.
    deepest: u32,
    len: u32,
    /// Bytes of memory that all segments hold.
    held: usize,
}

/// The entries whose hashes share their first bits. A hash has a bucket at
/// which it is looked for; when that is full, it is in the next one, or the
/// one after that, and every bucket before its own is full.
#[derive(Clone, Debug)]
struct Segment {
    buckets: Box<[Bucket]>,
    len: u32,
    /// How many first bits all hashes in here share.
    depth: u32,
    /// These bits.
    prefix: u32,
}

/// What stands for a key: 32 bits of its hash, and a handle of the caller's.
pub type Slot = (u32, u32);

/// Entries, dense from the first place on.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Bucket {
    hashes: [u32; WIDTH],
    handles: [u32; WIDTH],
}

impl Bucket {
    const EMPTY: Bucket = Bucket {
        hashes: [0; WIDTH],
        handles: [NONE; WIDTH],
    };

    fn is_full(&self) -> bool {
        self.handles[WIDTH - 1] != NONE
    }

    fn len(&self) -> usize {
        let free = u32x8::new(self.handles).simd_eq(u32x8::splat(NONE));
        (free.to_bitmask() | 1 << WIDTH).trailing_zeros() as usize
    }

    fn slots(&self) -> impl Iterator<Item = Slot> {
        let slots = self.hashes.into_iter().zip(self.handles);
        slots.take_while(|slot| slot.1 != NONE)
    }

    /// The places whose hash is this one, a bit each. One or two vectors are
    /// compared at once, which the compiler finds only half of by itself.
    fn places(&self, hash: u32) -> u32 {
        let equal = u32x8::new(self.hashes).simd_eq(u32x8::splat(hash));
        equal.to_bitmask()
    }

    fn push(&mut self, (hash, handle): Slot) {
        let place = self.len();
        self.hashes[place] = hash;
        self.handles[place] = handle;
    }

    fn remove(&mut self, place: usize) {
        let last = self.len() - 1;
        self.hashes[place] = self.hashes[last];
        self.handles[place] = self.handles[last];
        self.handles[last] = NONE;
    }
}

impl Segment {
    fn new(depth: u32, prefix: u32, buckets: usize) -> Segment {
        Segment {
            buckets: vec![Bucket::EMPTY; buckets].into(),
            len: 0,
            depth,
            prefix,
        }
    }

    /// How many buckets a segment gets for so many entries and a few more: a
    /// number of three significant bits, which allocators have sizes for.
    fn buckets_for(len: usize) -> usize {
        let needed = len * 8 / (FULL_EIGHTHS * WIDTH) + 1;
        let step = 1 << needed.ilog2().saturating_sub(2);
        needed.next_multiple_of(step)
    }

    fn capacity(&self) -> usize {
        self.buckets.len() * WIDTH
    }

    fn is_full(&self) -> bool {
        self.len as usize * 8 >= self.capacity() * FULL_EIGHTHS
    }

    /// The bucket at which a hash is looked for first. The bits behind the
    /// prefix are scaled to the number of buckets.
    fn home(&self, hash: u32) -> usize {
        let bits = (u64::from(hash) << self.depth) & u64::from(u32::MAX);
        ((bits * self.buckets.len() as u64) >> 32) as usize
    }

    fn next(&self, at: usize) -> usize {
        if at + 1 == self.buckets.len() {
            0
        } else {
            at + 1
        }
    }

    /// How many buckets lie between `from` and `to`, going forward.
    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from {
            to - from
        } else {
            to + self.buckets.len() - from
        }
    }

    fn slots(&self) -> impl Iterator<Item = Slot> {
        self.buckets.iter().flat_map(Bucket::slots)
    }

    /// Where the entry with this hash stands whose handle `is` accepts.
    #[inline(always)]
    fn find(&self, hash: u32, mut is: impl FnMut(u32) -> bool) -> Option<(usize, usize)> {
        let mut at = self.home(hash);
        loop {
            // One bucket at least is never full, so this comes to an end.
            let bucket = &self.buckets[at];
            let mut places = bucket.places(hash);
            while places != 0 {
                let place = places.trailing_zeros() as usize % WIDTH;
                let handle = bucket.handles[place];
                if handle != NONE && is(handle) {
                    return Some((at, place));
                }
                places &= places - 1;
            }
            if !bucket.is_full() {
                return None;
            }
            at = self.next(at);
        }
    }

    /// Adds an entry; the segment is not full.
    fn insert(&mut self, slot: Slot) {
        let mut at = self.home(slot.0);
        while self.buckets[at].is_full() {
            at = self.next(at);
        }
        self.buckets[at].push(slot);
        self.len += 1;
    }

    /// Takes an entry out, and moves those up that had no room before.
    fn remove(&mut self, mut at: usize, mut place: usize) {
        self.len -= 1;
        loop {
            let was_full = self.buckets[at].is_full();
            self.buckets[at].remove(place);
            if !was_full {
                return;
            }
            let Some((from, moved)) = self.displaced(at) else {
                return;
            };
            let bucket = &self.buckets[from];
            let slot = (bucket.hashes[moved], bucket.handles[moved]);
            self.buckets[at].push(slot);
            (at, place) = (from, moved);
        }
    }

    /// An entry behind bucket `hole` that would be there or earlier, had there
    /// been room.
    fn displaced(&self, hole: usize) -> Option<(usize, usize)> {
        let mut at = self.next(hole);
        while at != hole {
            let bucket = &self.buckets[at];
            let passed = self.distance(hole, at);
            let place = bucket
                .slots()
                .position(|slot| self.distance(self.home(slot.0), at) >= passed);
            if let Some(place) = place {
                return Some((at, place));
            }
            if !bucket.is_full() {
                return None;
            }
            at = self.next(at);
        }
        None
    }

    /// Bytes of memory held.
    fn held(&self) -> usize {
        heap::held(size_of_val(&*self.buckets))
    }

    fn resize(&mut self, buckets: usize) {
        let mut resized = Segment::new(self.depth, self.prefix, buckets);
        self.slots().for_each(|slot| resized.insert(slot));
        *self = resized;
    }
}

impl Index {
    /// How many handles there are.
    pub fn len(&self) -> usize {
        self.len as usize
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
    pub fn find(&self, hash: u32, is: impl FnMut(u32) -> bool) -> Option<u32> {
        let segment = &self.segments[self.segment(hash)?];
        let (bucket, place) = segment.find(hash, is)?;
        Some(segment.buckets[bucket].handles[place])
    }

    /// A place in the cache line in which [`find`](Self::find) begins to look.
    pub fn first_line(&self, hash: u32) -> Option<&u32> {
        let segment = &self.segments[self.segment(hash)?];
        Some(&segment.buckets[segment.home(hash)].hashes[0])
    }

    /// Adds a handle that is not in here; it is below `u32::MAX`.
    pub fn insert(&mut self, hash: u32, handle: u32) {
        debug_assert_ne!(handle, NONE);
        if self.directory.is_empty() {
            self.directory = Box::new([0]);
            // A vector would begin with room for four.
            self.segments.reserve_exact(1);
            self.segments.push(Segment::new(0, 0, 1));
            self.held = self.segments[0].held();
            self.deepest = 1;
        }
        loop {
            let at = self.segment(hash).expect("the directory covers every hash");
            let segment = &mut self.segments[at];
            if !segment.is_full() {
                segment.insert((hash, handle));
                self.len += 1;
                return;
            }
            let (depth, buckets) = (segment.depth, segment.buckets.len());
            // With hashes that are spread, the directory has few more places
            // than there are segments. Should many keys share a hash, their
            // segment grows instead of the directory.
            let room = depth < self.depth || self.directory.len() < 16 * self.segments.len();
            if buckets >= BUCKETS_MAX && room {
                self.split(at);
            } else {
                let len = self.segments[at].len as usize;
                self.resize(at, Segment::buckets_for(len + 1));
            }
        }
    }

    /// Replaces `old`, which has this hash, by `new`.
    pub fn replace(&mut self, hash: u32, old: u32, new: u32) {
        if let Some(segment) = self.segment(hash)
            && let segment = &mut self.segments[segment]
            && let Some((bucket, place)) = segment.find(hash, |handle| handle == old)
        {
            segment.buckets[bucket].handles[place] = new;
        }
    }

    /// Takes out a handle.
    pub fn remove(&mut self, hash: u32, handle: u32) {
        let Some(segment) = self.segment(hash) else {
            return;
        };
        let Some((bucket, place)) = self.segments[segment].find(hash, |here| here == handle) else {
            return;
        };
        self.segments[segment].remove(bucket, place);
        self.len -= 1;
        if self.len == 0 {
            *self = Index::default();
        } else {
            self.give_back(segment);
        }
    }

    /// Gives back what a segment needed when it was larger.
    fn give_back(&mut self, at: usize) {
        let segment = &self.segments[at];
        let len = segment.len as usize;
        let depth = segment.depth;
        if segment.buckets.len() > 8 && len < segment.capacity() / 3 {
            self.resize(at, Segment::buckets_for(len * 5 / 4));
        }
        if len < MERGED_MAX && depth > 0 {
            self.merge(at);
        }
    }

    fn resize(&mut self, at: usize, buckets: usize) {
        let segment = &mut self.segments[at];
        self.held -= segment.held();
        segment.resize(buckets);
        self.held += segment.held();
    }

    fn split(&mut self, at: usize) {
        let old = &self.segments[at];
        let depth = old.depth + 1;
        if depth > self.depth {
            let directory = self.directory.iter();
            self.directory = directory.flat_map(|&at| [at, at]).collect();
            self.depth = depth;
            self.deepest = 0;
        }
        if depth == self.depth {
            self.deepest += 2;
        }
        let bit = 1 << (32 - depth);
        let is_high = |slot: &Slot| slot.0 & bit != 0;
        let high = old.slots().filter(is_high).count();
        let mut halves = [(0, old.len as usize - high), (1, high)].map(|(last, len)| {
            Segment::new(depth, old.prefix << 1 | last, Segment::buckets_for(len))
        });
        for slot in old.slots() {
            halves[usize::from(is_high(&slot))].insert(slot);
        }
        let [low, high] = halves;
        self.held -= self.segments[at].held();
        self.held += low.held() + high.held();
        self.segments[at] = low;
        self.segments.push(high);
        self.enter(self.segments.len() - 1);
    }

    /// Has all prefixes in the directory that are a segment's lead to it.
    fn enter(&mut self, at: usize) {
        let Segment { depth, prefix, .. } = self.segments[at];
        let covered = 1 << (self.depth - depth);
        let first = prefix as usize * covered;
        self.directory[first..first + covered].fill(at as u32);
    }

    /// Makes one of a segment and the other half of what it was once, if both
    /// are small.
    fn merge(&mut self, at: usize) {
        let Segment { depth, prefix, .. } = self.segments[at];
        let other = (prefix as usize ^ 1) << (self.depth - depth);
        let other = self.directory[other] as usize;
        let len = (self.segments[at].len + self.segments[other].len) as usize;
        if self.segments[other].depth != depth || len > MERGED_MAX {
            return;
        }
        let buckets = Segment::buckets_for(len * 5 / 4);
        let mut merged = Segment::new(depth - 1, prefix >> 1, buckets);
        for half in [at, other] {
            let half = &self.segments[half];
            half.slots().for_each(|slot| merged.insert(slot));
            self.held -= half.held();
        }
        self.held += merged.held();
        self.segments[at] = merged;
        self.enter(at);
        self.segments.swap_remove(other);
        if other < self.segments.len() {
            self.enter(other);
        }
        if self.segments.len() < self.segments.capacity() / 4 {
            self.segments.shrink_to(self.segments.len() * 2);
        }
        if depth == self.depth {
            self.deepest -= 2;
            self.halve();
        }
    }

    /// Halves the directory as long as no segment needs all of its bits.
    fn halve(&mut self) {
        while self.deepest == 0 {
            self.directory = self.directory.iter().copied().step_by(2).collect();
            self.depth -= 1;
            let depths = self.segments.iter().map(|segment| segment.depth);
            self.deepest = depths.filter(|&depth| depth == self.depth).count() as u32;
        }
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
            let mut slots: Vec<Slot> = segment.slots().filter(|slot| slot.0 >= from).collect();
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
            .flat_map(|segment| segment.slots().map(|slot| slot.1))
    }

    /// A handle, each with the same probability. `random(n)` answers a number
    /// below `n`.
    pub fn random(&self, mut random: impl FnMut(usize) -> usize) -> Option<u32> {
        if self.is_empty() {
            return None;
        }
        // Of so many that to look at them takes a while, some are full-grown.
        const FEW: usize = 64;
        let largest = match self.segments.len() {
            0..FEW => self.segments.iter().map(Segment::capacity).max()?,
            _ => BUCKETS_MAX * WIDTH,
        };
        loop {
            // Each prefix is as likely as any other; a segment that covers
            // several is drawn as much oftener, and that is made up for here.
            let segment = &self.segments[self.directory[random(self.directory.len())] as usize];
            let covered = 1 << (self.depth - segment.depth);
            let nth = random(largest * covered);
            if let Some(bucket) = segment.buckets.get(nth / WIDTH)
                && let handle = bucket.handles[nth % WIDTH]
                && handle != NONE
            {
                return Some(handle);
            }
        }
    }

    /// Frees a segment whatever is in it; false if there is none. Nothing else
    /// is done with the index from then on.
    pub fn free_segment(&mut self) -> bool {
        let segment = self.segments.pop();
        self.held -= segment.as_ref().map_or(0, Segment::held);
        segment.is_some()
    }

    /// Some handles that are side by side, at least `count` if there are so
    /// many, and a few more: where they stand is as good as drawn by lot.
    pub fn sample(&self, hash: u32, count: usize, each: &mut impl FnMut(Slot)) {
        let Some(mut at) = self.segment(hash).filter(|_| self.len > 0) else {
            return;
        };
        let mut bucket = self.segments[at].home(hash);
        let (mut found, wanted) = (0, count.min(self.len as usize));
        while found < wanted {
            let segment = &self.segments[at];
            let Some(here) = segment.buckets.get(bucket) else {
                at = (at + 1) % self.segments.len();
                bucket = 0;
                continue;
            };
            bucket += 1;
            for slot in here.slots() {
                each(slot);
                found += 1;
            }
        }
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        /// Smaller pieces of many lengths fill each other's gaps.
        const SMALL: usize = 1024;
        // What segments leave when they grow is mostly too short for the next.
        let gaps = if self.held > SMALL { self.held / 4 } else { 0 };
        let segments = self.segments.capacity() * size_of::<Segment>();
        self.held + gaps + size_of_val(&*self.directory) + segments
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
    fn it_is_a_map_while_handles_come_and_go() {
        let mut rng = fastrand::Rng::with_seed(3);
        let (mut index, mut model) = (Index::default(), std::collections::HashMap::new());
        for round in 0..200_000 {
            // It grows, shrinks and grows again. Few distinct first bits have
            // the entries crowd into few buckets.
            let grows = rng.u32(..100) < if round % 50_000 < 30_000 { 70 } else { 20 };
            let (spread, handle) = (rng.u32(..) & 0xe0f0_ffff, rng.u32(..3_000));
            if grows {
                model.entry(handle).or_insert_with(|| {
                    index.insert(spread, handle);
                    spread
                });
            } else if let Some(hash) = model.remove(&handle) {
                index.remove(hash, handle);
            }
            if round % 1_000 == 0 {
                for handle in 0..3_000 {
                    let hash = model.get(&handle).copied();
                    let found = index.find(hash.unwrap_or(spread), |here| here == handle);
                    assert_eq!(found, hash.map(|_| handle), "round {round}");
                }
                assert_eq!(index.len(), model.len());
            }
        }
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
    fn a_scan_finds_each_that_stays_once_while_the_index_shrinks() {
        let mut index = filled(50_000);
        let (mut cursor, mut seen, mut next) = (0, Vec::new(), 2_000);
        loop {
            cursor = index.scan(cursor, 10, |handle| seen.push(handle));
            let end = (next + 250).min(50_000);
            (next..end).for_each(|handle| index.remove(hash(handle), handle));
            next = end;
            if cursor == 0 {
                break;
            }
        }
        let mut stayed: Vec<_> = seen.iter().copied().filter(|&n| n < 2_000).collect();
        stayed.sort_unstable();
        assert!(stayed.into_iter().eq(0..2_000));
        assert!(index.directory.len() < 50, "{}", index.directory.len());
    }

    #[test]
    fn memory_is_given_back_as_handles_go() {
        let mut index = filled(300_000);
        let full = index.memory();
        let mut before = 300_000;
        for (left, share) in [(75_000, 2), (3_000, 40), (30, 1_000)] {
            (left..before).for_each(|n| index.remove(hash(n), n));
            before = left;
            let memory = index.memory();
            assert!(memory < full / share, "{left}: {memory} of {full}");
            let is_found = |n| index.find(hash(n), |here| here == n) == Some(n);
            assert!((0..left).all(is_found));
        }
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
