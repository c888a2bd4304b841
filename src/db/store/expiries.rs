//! Expiries, the earliest first: a calendar.
//!
//! Keys whose times are near have a bag for each millisecond; those that are
//! farther off share one for 256 of them, those still farther off one for 256
//! times as many, and so on. When the beginning of such a bag has come, it is
//! distributed over smaller ones, a few keys at a time, so that however many
//! keys there are nothing here ever takes long. A key knows its place in its
//! bag, so it can be taken out at once, and no more is held than there is.
//!
//! With a heap, a key's expiry cannot be changed without either moving others
//! or leaving the old one behind to be cleared out, all in one go.

use std::collections::BTreeSet;

use super::entry::{self, Entry};
use crate::db::memory::slots::Slots;

/// A bag holds 256 of the next smaller ones.
const DIGIT_BITS: u32 = 8;
const DIGITS: usize = 1 << DIGIT_BITS;

/// A bag grows by blocks of so many, so that no growth moves much.
const BLOCK: usize = 1024;

/// The slots of the keys of a database that expire. Their entries hold when
/// they do, in milliseconds since 1970, and their places in here.
#[derive(Default, Debug)]
pub struct Expiries {
    /// The time up to which bags have been opened: that of the last that was
    /// due. Of a later time, the highest digit that differs from this one
    /// tells the level, and that digit which bag of it.
    opened: u64,
    /// Bags of a millisecond, of 256, of 65,536 and so on.
    levels: Vec<Level>,
    /// Times before `opened`, and their slots: whoever sets a time that has
    /// passed, or sets the clock back.
    late: BTreeSet<(i64, u32)>,
    /// How many there are.
    len: usize,
    /// Of all times, so that their average costs nothing to ask for.
    sum: i128,
}

/// The bags of one size.
#[derive(Default, Debug)]
struct Level {
    /// Which of them are not empty.
    used: [u64; DIGITS / 64],
    /// Those, in order.
    bags: Vec<Bag>,
}

/// Slots in no order.
#[derive(Default, Debug)]
struct Bag {
    /// All but the last are full, and none is empty.
    blocks: Vec<Vec<u32>>,
}

/// Which of the bags.
type Which = (usize, usize);

fn digit(time: u64, level: usize) -> usize {
    (time >> (level as u32 * DIGIT_BITS)) as usize % DIGITS
}

impl Expiries {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The average of all times.
    pub fn average(&self) -> Option<i64> {
        let count = i128::try_from(self.len).ok().filter(|&count| count > 0)?;
        i64::try_from(self.sum / count).ok()
    }

    /// Bytes of memory held, about.
    pub fn memory(&self) -> usize {
        // With few slots a bag takes a list of blocks and a small block.
        const BAG: usize = size_of::<Bag>() * 4 / 3 + 4 * size_of::<Vec<u32>>();
        let bags: usize = self.levels.iter().map(|level| level.bags.len()).sum();
        bags * BAG
            + self.len * (size_of::<u32>() + 1)
            + self.levels.capacity() * size_of::<Level>()
            + self.late.len() * size_of::<(i64, u32)>() * 3 / 2
    }

    /// Frees some memory whatever is in it; false if there is none. Nothing
    /// else is done with the expiries from then on.
    pub fn free_block(&mut self) -> bool {
        while let Some(level) = self.levels.last_mut() {
            let bag = level.bags.last_mut();
            match bag.map(|bag| bag.blocks.pop()) {
                Some(Some(_)) => return true,
                Some(None) => _ = level.bags.pop(),
                None => _ = self.levels.pop(),
            }
        }
        self.late.pop_first().is_some()
    }

    /// Adds the slot of a key that expires at `at`, and notes its place.
    pub fn insert(&mut self, slots: &mut Slots, at: i64, slot: u32, now: i64) {
        if self.len == 0 {
            self.opened = now.max(0) as u64;
        }
        self.len += 1;
        self.sum += i128::from(at);
        self.place(slots, at, slot);
    }

    /// Takes out the slot of a key that expired at `at` and had this place.
    pub fn remove(&mut self, slots: &mut Slots, (at, place): (i64, u32), slot: u32) {
        self.len -= 1;
        self.sum -= i128::from(at);
        self.take(slots, (at, place), slot);
    }

    /// Notes that a key which expired at `old`, with its place, and stood in a
    /// slot expires at another time now, or stands in another slot.
    pub fn change(
        &mut self,
        slots: &mut Slots,
        (old, old_slot): ((i64, u32), u32),
        (at, slot): (i64, u32),
    ) {
        if (old.0, old_slot) == (at, slot) {
            return;
        }
        self.sum += i128::from(at) - i128::from(old.0);
        if let (Some(from), Some(to)) = (self.which(old.0), self.which(at))
            && from == to
        {
            // Most are only put off by a little, and know their place still.
            if slot == old_slot {
                return;
            }
            let bag = self.held_by(old, old_slot);
            *self.bag_mut(bag).get_mut(old.1) = slot;
            return entry::write_place(slots.get_mut(slot), old.1);
        }
        self.place(slots, at, slot);
        self.take(slots, old, old_slot);
    }

    /// When the first key is due, or earlier.
    pub fn first(&self) -> Option<i64> {
        let late = self.late.first().map(|&(at, _)| at);
        late.or_else(|| self.first_bag().map(|bag| self.start(bag) as i64))
    }

    /// The slot of a key that is due at `now`, the earliest first. It is
    /// removed before another is asked for. `None` if there is none, or if
    /// to find it takes more than `budget`, which it uses up.
    pub fn due(&mut self, slots: &mut Slots, now: i64, budget: &mut usize) -> Option<u32> {
        if let Some(&(at, slot)) = self.late.first() {
            return (at <= now).then_some(slot);
        }
        loop {
            let first @ (level, _) = self.first_bag()?;
            let start = self.start(first);
            if start as i64 > now {
                return None;
            }
            self.opened = start;
            if level == 0 {
                return self.bag(first).last();
            }
            *budget = budget.checked_sub(1)?;
            let slot = self.bag(first).last()?;
            let expiry = Entry(slots.get(slot)).expiry()?;
            // It goes into a smaller bag, relative to what is opened now.
            self.place(slots, expiry.0, slot);
            self.take_from(slots, first, expiry.1);
        }
    }

    /// The slots of `count` keys of those whose times are the earliest, or of
    /// all if these are fewer, drawn by lot: `random(n)` answers a number below
    /// `n`.
    pub fn sample_first(
        &self,
        count: usize,
        mut random: impl FnMut(usize) -> usize,
        mut each: impl FnMut(u32),
    ) {
        if !self.late.is_empty() {
            return self
                .late
                .iter()
                .take(count)
                .for_each(|&(_, slot)| each(slot));
        }
        if let Some(bag) = self.first_bag().map(|first| self.bag(first)) {
            let len = bag.len();
            for nth in 0..count.min(len) {
                let place = if len > count { random(len) } else { nth };
                bag.get(place as u32).into_iter().for_each(&mut each);
            }
        }
    }

    /// The slots of `count` keys, drawn by lot out of all.
    pub fn sample(
        &self,
        count: usize,
        mut random: impl FnMut(usize) -> usize,
        mut each: impl FnMut(u32),
    ) {
        let bags = self.levels.iter().flat_map(|level| &level.bags);
        let in_bags = self.len - self.late.len();
        if in_bags == 0 {
            return self
                .late
                .iter()
                .take(count)
                .for_each(|&(_, slot)| each(slot));
        }
        let mut places: Vec<usize> = (0..count.min(in_bags)).map(|_| random(in_bags)).collect();
        places.sort_unstable();
        let mut places = places.into_iter().peekable();
        let mut before = 0;
        for bag in bags {
            let end = before + bag.len();
            while let Some(place) = places.next_if(|&place| place < end) {
                bag.get((place - before) as u32)
                    .into_iter()
                    .for_each(&mut each);
            }
            before = end;
            if places.peek().is_none() {
                return;
            }
        }
    }

    /// The bag for a time; there is none for one that is late.
    fn which(&self, at: i64) -> Option<Which> {
        let time = u64::try_from(at).ok().filter(|&at| at >= self.opened)?;
        let differing = time ^ self.opened;
        let level = differing.checked_ilog2().unwrap_or(0) / DIGIT_BITS;
        let level = level as usize;
        Some((level, digit(time, level)))
    }

    fn place(&mut self, slots: &mut Slots, at: i64, slot: u32) {
        let Some((level, digit)) = self.which(at) else {
            self.late.insert((at, slot));
            return;
        };
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Level::default);
        }
        let place = self.levels[level].bag_for(digit).push(slot);
        entry::write_place(slots.get_mut(slot), place);
    }

    fn take(&mut self, slots: &mut Slots, (at, place): (i64, u32), slot: u32) {
        if self.which(at).is_none() {
            self.late.remove(&(at, slot));
        } else {
            let bag = self.held_by((at, place), slot);
            self.take_from(slots, bag, place);
        }
    }

    fn take_from(&mut self, slots: &mut Slots, (level, digit): Which, place: u32) {
        let bag = self.bag_mut((level, digit));
        if let Some(moved) = bag.swap_remove(place) {
            entry::write_place(slots.get_mut(moved), place);
        }
        if bag.blocks.is_empty() {
            self.levels[level].remove(digit);
        }
    }

    /// The bag in which a slot is. While a bag is distributed, that may be
    /// this one, and not yet the one where its time belongs.
    fn held_by(&self, (at, place): (i64, u32), slot: u32) -> Which {
        let home = self.which(at).filter(|&(level, digit)| {
            let level = self.levels.get(level);
            let bag = level.and_then(|level| level.bag(digit));
            bag.is_some_and(|bag| bag.get(place) == Some(slot))
        });
        home.or_else(|| self.distributed())
            .expect("a slot is in its bag or in the one that is distributed")
    }

    /// The bag that is distributed.
    fn distributed(&self) -> Option<Which> {
        let levels = self.levels.iter().enumerate().skip(1);
        let mut opened = levels.map(|(level, bags)| ((level, digit(self.opened, level)), bags));
        let found = opened.find(|((_, digit), bags)| bags.is_used(*digit));
        found.map(|(bag, _)| bag)
    }

    /// The bag with the earliest times.
    fn first_bag(&self) -> Option<Which> {
        let levels = self.levels.iter().enumerate();
        let mut firsts = levels.map(|(level, bags)| (level, bags.first()));
        let first = || firsts.find_map(|(level, digit)| Some((level, digit?)));
        self.distributed().or_else(first)
    }

    /// The earliest time that a bag may hold.
    fn start(&self, (level, digit): Which) -> u64 {
        let shift = level as u32 * DIGIT_BITS;
        let below = u64::MAX >> (u64::BITS - shift - DIGIT_BITS);
        self.opened & !below | (digit as u64) << shift
    }

    fn bag(&self, (level, digit): Which) -> &Bag {
        self.levels[level].bag(digit).expect("it is in use")
    }

    fn bag_mut(&mut self, (level, digit): Which) -> &mut Bag {
        self.levels[level].bag_for(digit)
    }
}

impl Level {
    fn is_used(&self, digit: usize) -> bool {
        self.used[digit / 64] >> (digit % 64) & 1 == 1
    }

    /// How many of the bags before this one are in use.
    fn rank(&self, digit: usize) -> usize {
        let before = &self.used[..digit / 64];
        let rest = self.used[digit / 64] & ((1 << (digit % 64)) - 1);
        let whole: u32 = before.iter().map(|word| word.count_ones()).sum();
        (whole + rest.count_ones()) as usize
    }

    fn first(&self) -> Option<usize> {
        let word = self.used.iter().position(|&word| word != 0)?;
        Some(word * 64 + self.used[word].trailing_zeros() as usize)
    }

    fn bag(&self, digit: usize) -> Option<&Bag> {
        self.is_used(digit).then(|| &self.bags[self.rank(digit)])
    }

    /// The bag, which is in use from now on.
    fn bag_for(&mut self, digit: usize) -> &mut Bag {
        let rank = self.rank(digit);
        if !self.is_used(digit) {
            self.used[digit / 64] |= 1 << (digit % 64);
            self.bags.insert(rank, Bag::default());
        }
        &mut self.bags[rank]
    }

    /// Drops a bag, which is empty.
    fn remove(&mut self, digit: usize) {
        self.bags.remove(self.rank(digit));
        self.used[digit / 64] &= !(1 << (digit % 64));
        give_back(&mut self.bags);
    }
}

impl Bag {
    /// Adds a slot and answers its place.
    fn push(&mut self, slot: u32) -> u32 {
        match self.blocks.last() {
            None => self.blocks.push(Vec::new()),
            Some(last) if last.len() == BLOCK => self.blocks.push(Vec::with_capacity(BLOCK)),
            Some(_) => {}
        }
        let before = (self.blocks.len() - 1) * BLOCK;
        let last = self.blocks.last_mut().expect("there is one now");
        last.push(slot);
        (before + last.len() - 1) as u32
    }

    fn get(&self, place: u32) -> Option<u32> {
        let block = self.blocks.get(place as usize / BLOCK)?;
        block.get(place as usize % BLOCK).copied()
    }

    fn get_mut(&mut self, place: u32) -> &mut u32 {
        &mut self.blocks[place as usize / BLOCK][place as usize % BLOCK]
    }

    fn last(&self) -> Option<u32> {
        self.blocks.last()?.last().copied()
    }

    /// Takes out what is at `place`; answers the slot that is there now, if
    /// one was moved.
    fn swap_remove(&mut self, place: u32) -> Option<u32> {
        let block = self.blocks.last_mut()?;
        let last = block.pop()?;
        give_back(block);
        let (in_block, block) = (block.len(), self.blocks.len() - 1);
        if in_block == 0 {
            self.blocks.pop();
            give_back(&mut self.blocks);
        }
        let moved = place as usize != block * BLOCK + in_block;
        moved.then(|| {
            *self.get_mut(place) = last;
            last
        })
    }

    fn len(&self) -> usize {
        let full = self.blocks.len().saturating_sub(1) * BLOCK;
        full + self.blocks.last().map_or(0, Vec::len)
    }
}

/// Gives memory back that is mostly unused.
fn give_back<T>(items: &mut Vec<T>) {
    if items.capacity() > 16 && items.len() < items.capacity() / 4 {
        items.shrink_to(items.len() * 2);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::entry::{EntryFlags, Head};
    use super::*;

    /// Expiries, the slots in which the keys stand, and when those expire.
    #[derive(Default)]
    struct Keys {
        expiries: Expiries,
        slots: Slots,
        times: BTreeMap<u32, i64>,
        now: i64,
    }

    impl Keys {
        fn write(&mut self, at: i64) -> u32 {
            let head = Head {
                flags: EntryFlags::empty(),
                accessed: 0,
                expires_at: Some(at),
            };
            let slot = self.slots.allocate(Entry::len(4, 1, true)).unwrap();
            entry::write(self.slots.get_mut(slot), head, b"key!", b"v");
            slot
        }

        fn insert(&mut self, at: i64) -> u32 {
            let slot = self.write(at);
            self.expiries.insert(&mut self.slots, at, slot, self.now);
            self.times.insert(slot, at);
            slot
        }

        fn remove(&mut self, slot: u32) {
            let expiry = Entry(self.slots.get(slot)).expiry().unwrap();
            assert_eq!(self.times.remove(&slot), Some(expiry.0));
            self.expiries.remove(&mut self.slots, expiry, slot);
            self.slots.free(slot);
        }

        /// Gives a key another time, and another slot if it `moves`.
        fn change(&mut self, slot: u32, at: i64, moves: bool) -> u32 {
            let old = (Entry(self.slots.get(slot)).expiry().unwrap(), slot);
            self.times.remove(&slot);
            let new = if moves { self.write(at) } else { slot };
            entry::change_expiry(self.slots.get_mut(new), Some(at));
            self.expiries.change(&mut self.slots, old, (at, new));
            if moves {
                self.slots.free(slot);
            }
            self.times.insert(new, at);
            new
        }

        /// Takes out all that is due, and tells when they were. No step takes
        /// more than `budget`.
        fn expire(&mut self, budget: usize) -> Vec<i64> {
            let mut times = Vec::new();
            loop {
                let mut left = budget;
                let due = self.expiries.due(&mut self.slots, self.now, &mut left);
                if let Some(slot) = due {
                    times.push(self.times[&slot]);
                    self.remove(slot);
                } else if left > 0 {
                    return times;
                }
            }
        }

        fn check(&self) {
            let times = self.times.values();
            assert_eq!(self.expiries.len(), times.len());
            let average = times.clone().map(|&at| i128::from(at)).sum::<i128>();
            let average = average.checked_div(times.len() as i128);
            assert_eq!(self.expiries.average().map(i128::from), average);
            let first = times.min().copied();
            assert_eq!(self.expiries.first().is_some(), first.is_some());
            assert!(self.expiries.first() <= first);
        }
    }

    #[test]
    fn keys_are_due_in_the_order_of_their_times_whatever_happens_to_them() {
        for seed in 0..30 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut keys = Keys {
                now: 1_700_000_000_000,
                ..Keys::default()
            };
            for _ in 0..3_000 {
                let far = 1 << rng.u32(..40);
                let at = match rng.u8(..20) {
                    0 => i64::MAX - rng.i64(0..3),
                    1 => keys.now - rng.i64(0..1 << 30),
                    _ => keys.now + rng.i64(0..far),
                };
                let any = keys.times.keys().nth(rng.usize(..keys.times.len().max(1)));
                match (any.copied(), rng.u8(..10)) {
                    (None, _) | (_, 0..4) => _ = keys.insert(at),
                    (Some(slot), 4) => keys.remove(slot),
                    (Some(slot), 5) => {
                        let at = keys.times[&slot];
                        keys.change(slot, at, true);
                    }
                    (Some(slot), 6..9) => _ = keys.change(slot, at, rng.bool()),
                    (Some(_), _) => {
                        // Now and then the clock is set back.
                        let back = if rng.u8(..8) == 0 { 5_000 } else { 0 };
                        let ahead = 1 << rng.u32(..24);
                        keys.now += rng.i64(0..ahead) - back;
                        let now = keys.now;
                        let mut due: Vec<_> = keys.times.values().copied().collect();
                        due.retain(|&at| at <= now);
                        due.sort_unstable();
                        assert_eq!(keys.expire(1 + rng.usize(..50)), due);
                    }
                }
                keys.check();
            }
        }
    }

    #[test]
    fn a_key_that_is_put_off_again_and_again_holds_little() {
        let mut keys = Keys::default();
        let mut slot = keys.insert(1_000_000);
        for n in 0..100_000 {
            slot = keys.change(slot, 1_000_000 + n % 7 * 100_000, n % 2 == 0);
        }
        assert!(keys.expiries.memory() < 2_000, "{}", keys.expiries.memory());
    }

    #[test]
    fn memory_is_given_back_as_keys_go() {
        let mut keys = Keys::default();
        let mut rng = fastrand::Rng::with_seed(1);
        let mut slots: Vec<_> = (0..200_000)
            .map(|_| keys.insert(rng.i64(0..3_600_000)))
            .collect();
        let full = keys.expiries.memory();
        assert!(full < 200_000 * 6, "{full}");
        rng.shuffle(&mut slots);
        slots.drain(10_000..).for_each(|slot| keys.remove(slot));
        let few = keys.expiries.memory();
        assert!(few < full / 4, "{few} of {full}");
        keys.now = 3_600_000;
        keys.expire(1_000);
        assert!(keys.expiries.memory() < 2_000, "{}", keys.expiries.memory());
    }

    #[test]
    fn no_step_takes_long_however_many_keys_are_due_at_once() {
        let mut keys = Keys::default();
        for _ in 0..50_000 {
            keys.insert(10_000_000);
        }
        keys.now = 10_000_000;
        let mut steps = 0;
        loop {
            let mut budget = 100;
            if keys
                .expiries
                .due(&mut keys.slots, keys.now, &mut budget)
                .is_some()
            {
                break;
            }
            assert_eq!(budget, 0, "there is one to be found");
            steps += 1;
        }
        // From a bag of 65,536 milliseconds to one of 256 to one of one.
        assert!((900..1100).contains(&steps), "{steps}");
    }
}
