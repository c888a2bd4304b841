//! Memory for many small byte strings, each behind a 32-bit handle.
//!
//! Slots of one size stand side by side in a page, so a small key costs no
//! allocation of its own, no allocator's header and no wide pointer: with
//! 11-byte keys and 3-byte values a key table of a million keys needs half of
//! what redis-server 7.0 needs. A page that has become empty is given back.
//!
//! It knows nothing of what the bytes mean.

use super::numbers::Numbers;

/// The largest slot. What is longer belongs into an allocation of its own.
pub const SLOT_MAX: usize = 4096;

/// Pages are this large once a size is used much; the first ones are smaller,
/// so that a broker with a few keys stays small.
const PAGE_MAX: usize = 64 * 1024;
/// The first pages of a table of which there are few.
const FIRST_PAGE: usize = 4 * 1024;

/// A handle is a page's number and, in the low bits, the slot within it: a
/// page of the smallest slots has 4096.
const SLOT_BITS: u32 = 12;
/// One less than a handle can number: `u32::MAX` is no handle.
const PAGES_MAX: usize = (1 << (32 - SLOT_BITS)) - 1;

/// Sizes grow by 8 bytes up to 256, then by an eighth of the power of two
/// below, which wastes 6 % on average.
const FINE_MAX: usize = 256;
const SIZE_MIN: usize = 16;

/// How many sizes there are: the class of a size is its number.
const CLASSES: usize = (FINE_MAX - SIZE_MIN) / 8 + 1 + (SLOT_MAX.ilog2() - 8) as usize * 8;
/// So many are found without a table.
const FEW: usize = 4;
/// The place of a size that has not been used.
const NOWHERE: u8 = u8::MAX;

/// No slot: the end of a list of free slots.
const NONE: u16 = u16::MAX;
const NO_PAGE: u32 = u32::MAX;

/// Allocators take about as long for a piece of this size as for a small one.
pub const PIECE: usize = 8 * 1024;

/// To free a page takes as long as this many pieces.
pub const PAGE_PIECES: usize = 8;

/// There is no room for another slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// Slots of many sizes.
#[derive(Clone, Debug)]
pub struct Slots {
    pages: Vec<Page>,
    /// Numbers of pages that were given back and can be used again.
    unused: Numbers,
    /// The sizes that have been used, in the order in which they were.
    sizes: Vec<Size>,
    /// For each class where its size stands among these. As long as they are
    /// [`FEW`], they are looked through instead.
    places: Option<Box<[u8; CLASSES]>>,
    /// Bytes of all pages.
    memory: usize,
    /// Bytes of the slots that are in use.
    used: usize,
    /// How many pages there may be.
    pages_max: u32,
    /// How long the first pages of each size are, if a slot fits into that.
    first_page: u32,
}

impl Default for Slots {
    fn default() -> Slots {
        Slots::with_first_page(FIRST_PAGE)
    }
}

/// What the pages with slots of one size have in common.
#[derive(Clone, Debug)]
struct Size {
    /// The pages that have a free slot. The first one is used first, so that
    /// what is left after a burst gathers at the front.
    open: Numbers,
    /// Bytes of its pages.
    memory: usize,
    /// The page of which no slot is in use: one at most is kept.
    empty: u32,
    class: u8,
}

#[derive(Clone, Debug, Default)]
struct Page {
    bytes: Box<[u8]>,
    slot_len: u16,
    /// Slots that are in use.
    used: u16,
    /// Slots that have ever been used; those behind them are free, too.
    touched: u16,
    /// The first of the freed slots; each holds the number of the next.
    free: u16,
}

impl Page {
    fn is_full(&self) -> bool {
        self.used as usize * self.slot_len as usize == self.bytes.len()
    }

    fn is_half_free(&self) -> bool {
        self.used as usize * self.slot_len as usize <= self.bytes.len() / 2
    }

    #[inline]
    fn slot(&self, slot: usize) -> &[u8] {
        let len = self.slot_len as usize;
        &self.bytes[slot * len..slot * len + len]
    }

    #[inline]
    fn slot_mut(&mut self, slot: usize) -> &mut [u8] {
        let len = self.slot_len as usize;
        &mut self.bytes[slot * len..slot * len + len]
    }
}

/// The size of a slot that is asked for with `len` bytes.
#[inline]
pub fn size(len: usize) -> usize {
    let step = if len <= FINE_MAX {
        8
    } else {
        1 << ((len - 1).ilog2() - 3)
    };
    (len.max(SIZE_MIN) + step - 1) & !(step - 1)
}

fn class(len: usize) -> usize {
    if len <= FINE_MAX {
        len.max(SIZE_MIN).div_ceil(8) - SIZE_MIN / 8
    } else {
        let power = (len - 1).ilog2();
        let eighth = 1 << (power - 3);
        let eighths = (len - (1 << power)).div_ceil(eighth);
        (FINE_MAX - SIZE_MIN) / 8 + (power as usize - 8) * 8 + eighths
    }
}

fn class_size(class: usize) -> usize {
    const FINE: usize = (FINE_MAX - SIZE_MIN) / 8;
    if class <= FINE {
        SIZE_MIN + class * 8
    } else {
        let (power, eighths) = ((class - FINE - 1) / 8 + 8, (class - FINE - 1) % 8 + 1);
        (1 << power) + eighths * (1 << (power - 3))
    }
}

#[inline]
fn split(handle: u32) -> (usize, usize) {
    (
        (handle >> SLOT_BITS) as usize,
        (handle & ((1 << SLOT_BITS) - 1)) as usize,
    )
}

impl Slots {
    /// No slots yet, and of each size at first only as many at once as fit into
    /// `first_page` bytes, but one at least.
    pub fn with_first_page(first_page: usize) -> Slots {
        Slots {
            pages: Vec::new(),
            unused: Numbers::default(),
            sizes: Vec::new(),
            places: None,
            memory: 0,
            used: 0,
            pages_max: PAGES_MAX as u32,
            first_page: first_page as u32,
        }
    }

    /// A slot of at least `len` bytes, which may hold anything. The handles
    /// are used up at 64 GiB.
    ///
    /// `len` is at most [`SLOT_MAX`].
    pub fn allocate(&mut self, len: usize) -> Result<u32, Full> {
        let class = class(len);
        let at = match self.place(class) {
            Some(at) => at,
            None => self.add_size(class),
        };
        let number = match self.sizes[at].open.first() {
            Some(number) => number,
            None => self.add_page(at)?,
        };
        let page = &mut self.pages[number];
        let slot = match page.free {
            NONE => {
                page.touched += 1;
                page.touched - 1
            }
            slot => {
                let next = page.slot(slot as usize);
                page.free = u16::from_le_bytes([next[0], next[1]]);
                slot
            }
        };
        let size = &mut self.sizes[at];
        if page.used == 0 {
            size.empty = NO_PAGE;
        }
        page.used += 1;
        self.used += page.slot_len as usize;
        if page.is_full() {
            size.open.remove(number);
        }
        Ok((number as u32) << SLOT_BITS | u32::from(slot))
    }

    /// Where the size of a class stands among those that have been used.
    #[inline]
    fn place(&self, class: usize) -> Option<usize> {
        match &self.places {
            Some(places) => Some(places[class])
                .filter(|&place| place != NOWHERE)
                .map(usize::from),
            None => {
                let is_it = |size: &Size| usize::from(size.class) == class;
                self.sizes.iter().position(is_it)
            }
        }
    }

    /// Where the size of a page's slots stands.
    #[inline]
    fn size_of(&self, page: usize) -> usize {
        let place = self.place(class(self.pages[page].slot_len as usize));
        place.expect("the size of a page has been used")
    }

    #[cold]
    fn add_size(&mut self, class: usize) -> usize {
        // In most small tables it stays the only one.
        self.sizes.reserve_exact(1);
        self.sizes.push(Size {
            open: Numbers::default(),
            memory: 0,
            empty: NO_PAGE,
            class: class as u8,
        });
        if self.sizes.len() > FEW {
            let places = self
                .places
                .get_or_insert_with(|| Box::new([NOWHERE; CLASSES]));
            for (place, size) in self.sizes.iter().enumerate() {
                places[usize::from(size.class)] = place as u8;
            }
        }
        self.sizes.len() - 1
    }

    /// How many pages there can be more of, each with a slot of any size.
    pub fn pages_left(&self) -> usize {
        self.unused.len() + self.pages_max as usize - self.pages.len()
    }

    /// Whether a slot can be had for each of these lengths.
    pub fn have_room(&self, lens: impl Iterator<Item = usize>) -> bool {
        let mut slots: Vec<usize> = Vec::new();
        for class in lens.map(class) {
            slots.resize(slots.len().max(class + 1), 0);
            slots[class] += 1;
        }
        let needed = slots.iter().enumerate().map(|(class, &slots)| {
            let more = slots.saturating_sub(self.free_slots(class));
            more.div_ceil((self.first_page as usize / class_size(class)).max(1))
        });
        needed.sum::<usize>() <= self.pages_left()
    }

    /// How many slots are free in the pages of a size.
    fn free_slots(&self, class: usize) -> usize {
        let size = self.place(class).map(|at| &self.sizes[at]);
        let pages = size.into_iter().flat_map(|size| size.open.iter());
        let free = pages.map(|number| {
            let page = &self.pages[number];
            page.bytes.len() / page.slot_len as usize - page.used as usize
        });
        free.sum()
    }

    /// Frees a slot.
    pub fn free(&mut self, handle: u32) {
        let (number, slot) = split(handle);
        let at = self.size_of(number);
        let (page, size) = (&mut self.pages[number], &mut self.sizes[at]);
        if page.is_full() {
            size.open.insert(number);
        }
        let next = page.free.to_le_bytes();
        page.slot_mut(slot)[..next.len()].copy_from_slice(&next);
        page.free = slot as u16;
        page.used -= 1;
        self.used -= page.slot_len as usize;
        if page.used == 0 {
            // While no other page has room, this one is soon needed again.
            if size.open.len() > 1 {
                self.remove_page(number, at);
            } else {
                size.empty = number as u32;
            }
        } else if size.empty != NO_PAGE && page.is_half_free() {
            // Now this one has the room for which an empty one was kept.
            let empty = std::mem::replace(&mut size.empty, NO_PAGE);
            self.remove_page(empty as usize, at);
        }
    }

    fn remove_page(&mut self, number: usize, at: usize) {
        let len = std::mem::take(&mut self.pages[number]).bytes.len();
        self.memory -= len;
        self.sizes[at].memory -= len;
        self.sizes[at].open.remove(number);
        self.unused.insert(number);
        while self.pages.last().is_some_and(|page| page.slot_len == 0) {
            self.pages.pop();
            self.unused.remove(self.pages.len());
        }
        let end = self.pages.len();
        if end < self.pages.capacity() / 4 {
            self.pages.shrink_to(end * 2);
            self.unused.shrink(end);
            self.sizes.iter_mut().for_each(|size| size.open.shrink(end));
        }
    }

    /// Whether so little of the pages is in use that it is worth to gather it.
    /// After that one page of each size is partly empty. Another one may be
    /// wholly empty, but only while half of the former is in use.
    pub fn are_scattered(&self) -> bool {
        let partly_empty = self.sizes.iter().map(|size| size.memory.min(PAGE_MAX));
        self.memory > 3 * self.used + partly_empty.sum::<usize>()
    }

    /// A slot of the same size in front of this one, if one is free.
    pub fn allocate_before(&mut self, handle: u32) -> Option<u32> {
        let (number, _) = split(handle);
        let len = self.pages[number].slot_len as usize;
        let at = self.size_of(number);
        let first = self.sizes[at].open.first()?;
        (first < number).then(|| self.allocate(len).ok()).flatten()
    }

    /// Frees a page whatever is in it; false if there is none. Nothing else is
    /// done with the slots from then on.
    pub fn free_page(&mut self) -> bool {
        let Some(page) = self.pages.pop() else {
            return false;
        };
        self.memory -= page.bytes.len();
        self.used -= page.used as usize * page.slot_len as usize;
        true
    }

    /// The bytes of a slot: as many as were asked for, or a few more.
    #[inline]
    pub fn get(&self, handle: u32) -> &[u8] {
        let (page, slot) = split(handle);
        self.pages[page].slot(slot)
    }

    /// The bytes of a slot, to write to.
    #[inline]
    pub fn get_mut(&mut self, handle: u32) -> &mut [u8] {
        let (page, slot) = split(handle);
        self.pages[page].slot_mut(slot)
    }

    /// The bytes of two slots of different pages, the second one to write to.
    pub fn get_pair(&mut self, from: u32, to: u32) -> (&[u8], &mut [u8]) {
        let ((from_page, from), (to_page, to)) = (split(from), split(to));
        let pages = self.pages.get_disjoint_mut([from_page, to_page]);
        let [from_page, to_page] = pages.expect("the slots are in two pages");
        (from_page.slot(from), to_page.slot_mut(to))
    }

    /// Has the handles be used up now, but for the slots of pages that there are.
    #[cfg(test)]
    pub fn add_no_page(&mut self) {
        self.unused = Numbers::default();
        self.pages_max = self.pages.len() as u32;
    }

    /// Bytes of the slots that are in use.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Bytes of the pages and of the table of them, which is nearly all.
    pub fn held(&self) -> usize {
        self.memory + self.pages.capacity() * size_of::<Page>()
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.memory + self.overhead()
    }

    /// Bytes of the slots that are in use, and of what leads to them: what is
    /// free among them will be used again.
    pub fn in_use(&self) -> usize {
        self.used + self.overhead()
    }

    fn overhead(&self) -> usize {
        let sizes = self.sizes.capacity() * size_of::<Size>();
        let places = self.places.as_ref().map_or(0, |_| CLASSES);
        // A bit for each page in each of the sets of numbers.
        let numbers = (1 + self.sizes.len()) * (self.pages.len() / 8);
        self.pages.capacity() * size_of::<Page>() + sizes + places + numbers
    }

    /// Adds a page to the size that stands at `at`.
    fn add_page(&mut self, at: usize) -> Result<usize, Full> {
        let slot_len = class_size(self.sizes[at].class.into());
        let len = self.page_len(slot_len, self.sizes[at].memory);
        let page = Page {
            bytes: vec![0; len].into(),
            slot_len: slot_len as u16,
            used: 0,
            touched: 0,
            free: NONE,
        };
        let number = match self.unused.first() {
            Some(number) => {
                self.unused.remove(number);
                self.pages[number] = page;
                number
            }
            None if self.pages.len() < self.pages_max as usize => {
                if self.pages.is_empty() {
                    // A vector would begin with room for four.
                    self.pages.reserve_exact(1);
                }
                self.pages.push(page);
                self.pages.len() - 1
            }
            None => return Err(Full),
        };
        self.memory += len;
        self.sizes[at].memory += len;
        self.sizes[at].open.insert(number);
        Ok(number)
    }

    /// How long the next page of a size is: about half of what its pages have
    /// together, so that a third is unused at most. Allocators keep pages of
    /// their own for each of their sizes: large ones are powers of two, or what
    /// a million small keys take grows by a tenth.
    fn page_len(&self, slot_len: usize, memory: usize) -> usize {
        let len = (memory / 2).clamp(self.first_page as usize, PAGE_MAX);
        let kept_bits = if len < FIRST_PAGE { 2 } else { 0 };
        let step = 1 << (len.ilog2() - kept_bits);
        let len = (len & !(step - 1)).max(slot_len);
        len / slot_len * slot_len
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_length_has_a_size_that_holds_it_and_little_more() {
        for len in 1..=SLOT_MAX {
            let size = class_size(class(len));
            assert_eq!(super::size(len), size, "{len}");
            assert!(size >= len, "{len}: {size}");
            assert!(len <= 16 || size - len <= (len / 8).max(7), "{len}: {size}");
            assert_eq!(class(size), class(len), "{len}");
        }
        assert_eq!(class(SLOT_MAX), CLASSES - 1);
    }

    #[test]
    fn slots_keep_their_bytes_while_others_come_and_go() {
        let mut rng = fastrand::Rng::with_seed(7);
        let (mut slots, mut model) = (Slots::default(), HashMap::new());
        for round in 0..60_000u32 {
            if rng.bool() || model.is_empty() {
                let len = rng.usize(1..=if round % 10 == 0 { SLOT_MAX } else { 60 });
                let handle = slots.allocate(len).unwrap();
                assert!(
                    model.insert(handle, (len, round as u8)).is_none(),
                    "{handle} is given out twice"
                );
                slots.get_mut(handle)[..len].fill(round as u8);
            } else {
                let handle = *model.keys().nth(rng.usize(..model.len().min(20))).unwrap();
                let (len, fill) = model.remove(&handle).unwrap();
                assert_eq!(slots.get(handle)[..len], vec![fill; len]);
                slots.free(handle);
            }
        }
        for (handle, (len, fill)) in model {
            assert_eq!(slots.get(handle)[..len], vec![fill; len]);
        }
    }

    #[test]
    fn room_is_told_before_it_is_taken() {
        let mut slots = Slots {
            pages_max: 10,
            ..Slots::default()
        };
        for (len, fitting) in [(SLOT_MAX, 10), (16, 2560), (24, 1700)] {
            for (count, fits) in [(fitting, true), (fitting + 1, false)] {
                let lens = std::iter::repeat_n(len, count);
                assert_eq!(slots.have_room(lens), fits, "{count} of {len}");
            }
        }
        let fitting = (0..1000).take_while(|_| slots.allocate(SLOT_MAX).is_ok());
        assert!((10..1000).contains(&fitting.count()));
    }

    #[test]
    fn empty_pages_are_given_back() {
        let mut slots = Slots::default();
        let handles: Vec<_> = (0..100_000).map(|_| slots.allocate(24).unwrap()).collect();
        let full = slots.memory();
        handles.into_iter().for_each(|handle| slots.free(handle));
        assert!(
            full > 2_400_000 && slots.memory() < 200_000,
            "{full} {}",
            slots.memory()
        );
    }
}
