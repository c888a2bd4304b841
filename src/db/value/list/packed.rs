//! Elements side by side in one allocation, readable from both ends.
//!
//! Elements of one length, such as ids and fixed records, stand there bare;
//! their length is kept once. Otherwise an element is its length, its bytes,
//! and the size of both in reverse, as variable-length numbers: two bytes of
//! overhead for up to 126 bytes. Unused room may be at either end, so that a
//! push is a copy of the element alone and a pop moves nothing.

use memchr::memmem::Finder;

use crate::db::memory::heap;

/// One end of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Index 0, where LPUSH pushes.
    Left,
    /// Index -1.
    Right,
}

/// A sequence of byte strings, first to last.
#[derive(Clone, Default, Debug)]
pub struct Packed {
    /// Unused bytes, then the elements. Room at the right is spare capacity.
    bytes: Vec<u8>,
    start: u32,
    len: u32,
    /// The length of every element; 0 if they differ or are empty: then each
    /// is written with its own.
    width: u32,
}

/// What a chunk of Redis's default size takes. A buffer that needs less than
/// this never grows beyond it, so that full chunks waste nothing.
pub const CHUNK: usize = 8 * 1024;

/// The capacity for `len` bytes: an eighth more, so that what is copied when
/// a buffer grows is a few times what is pushed. Allocators round up to 16.
fn capacity_for(len: usize) -> usize {
    let roomy = (len + len / 8).next_multiple_of(16);
    if len <= CHUNK {
        roomy.min(CHUNK)
    } else {
        roomy
    }
}

/// Bytes of a variable-length number.
fn varint_len(value: usize) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        0x20_0000..=0xfff_ffff => 4,
        _ => 5,
    }
}

/// Fills `out` with `value`: seven bits a byte, the lowest first, the high
/// bit set on all but the last.
fn write_varint(out: &mut [u8], mut value: usize) {
    let last = out.len() - 1;
    for byte in &mut out[..last] {
        *byte = value as u8 | 0x80;
        value >>= 7;
    }
    out[last] = value as u8;
}

/// A variable-length number and how many bytes it took.
fn read_varint<'a>(bytes: impl Iterator<Item = &'a u8>) -> (usize, usize) {
    let (mut value, mut len) = (0, 0);
    for byte in bytes {
        value |= ((byte & 0x7f) as usize) << (7 * len);
        len += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    (value, len)
}

/// Cuts the first element off `bytes`, which is not empty.
fn split_first(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (len, digits) = match bytes[0] {
        // Most elements are short.
        len @ 0..0x7f => {
            let end = 1 + len as usize;
            return (&bytes[1..end], &bytes[end + 1..]);
        }
        _ => read_varint(bytes.iter()),
    };
    let end = digits + len;
    (&bytes[digits..end], &bytes[end + varint_len(end)..])
}

/// Cuts the last element off `bytes`, which is not empty.
fn split_last(bytes: &[u8]) -> (&[u8], &[u8]) {
    if let Some(&back @ 1..=0x7f) = bytes.last() {
        let end = bytes.len() - 1;
        let start = end - back as usize;
        return (&bytes[start + 1..end], &bytes[..start]);
    }
    let (front, digits) = read_varint(bytes.iter().rev());
    let (rest, element) = bytes.split_at(bytes.len() - front - digits);
    let (_, length) = read_varint(element.iter());
    (&element[length..front], rest)
}

/// The elements of a chunk, first to last.
#[derive(Clone, Debug, Default)]
pub struct Iter<'a> {
    rest: &'a [u8],
    width: usize,
}

impl<'a> Iter<'a> {
    /// If all elements have one length, that and their bytes.
    pub fn bare(&self) -> Option<(usize, &'a [u8])> {
        (self.width > 0).then_some((self.width, self.rest))
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let (element, rest) = match self.width {
            0 => split_first(self.rest),
            width => self.rest.split_at(width),
        };
        self.rest = rest;
        Some(element)
    }
}

/// The elements of a chunk, last to first.
#[derive(Clone, Debug, Default)]
pub struct IterRev<'a> {
    rest: &'a [u8],
    width: usize,
}

impl<'a> Iterator for IterRev<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let (element, rest) = match self.width {
            0 => split_last(self.rest),
            width => {
                let (rest, element) = self.rest.split_at(self.rest.len() - width);
                (element, rest)
            }
        };
        self.rest = rest;
        Some(element)
    }
}

impl Packed {
    /// Bytes that an element of `len` bytes takes among others.
    pub fn encoded_len(len: usize) -> usize {
        let front = varint_len(len) + len;
        front + varint_len(front)
    }

    /// An element as it stands among the others. Where these bytes do not
    /// occur, the element does not; where they do, they may be part of another.
    pub fn encode(element: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; Self::encoded_len(element.len())];
        write_element(&mut bytes, element);
        bytes
    }

    /// No element, and `room` bytes for pushes at `end`.
    pub fn with_room(end: End, room: usize) -> Packed {
        match end {
            End::Left => Packed {
                bytes: vec![0; room],
                start: room as u32,
                ..Packed::default()
            },
            End::Right => Packed {
                bytes: Vec::with_capacity(room),
                ..Packed::default()
            },
        }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the elements.
    pub fn byte_len(&self) -> usize {
        self.bytes.len() - self.start as usize
    }

    /// Bytes of the elements with the length of each, as Redis counts them.
    pub fn encoded_byte_len(&self) -> usize {
        match self.width as usize {
            0 => self.byte_len(),
            width => self.len() * Self::encoded_len(width),
        }
    }

    /// Bytes of the elements when there is one more, of `len` bytes.
    #[inline]
    pub fn byte_len_with(&self, len: usize) -> usize {
        if self.takes_bare(len) {
            self.byte_len() + len
        } else {
            self.encoded_byte_len() + Self::encoded_len(len)
        }
    }

    /// Bytes of the elements when those of `other` are among them.
    pub fn byte_len_with_all(&self, other: &Packed) -> usize {
        if self.width == other.width {
            self.byte_len() + other.byte_len()
        } else {
            self.encoded_byte_len() + other.encoded_byte_len()
        }
    }

    /// Whether an element of `len` bytes can stand here without its length.
    #[inline]
    fn takes_bare(&self, len: usize) -> bool {
        len > 0 && (self.width as usize == len || self.len == 0)
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        heap::held(self.bytes.capacity())
    }

    fn elements(&self) -> &[u8] {
        &self.bytes[self.start as usize..]
    }

    /// Adds an element at `end`.
    #[inline]
    pub fn push(&mut self, end: End, element: &[u8]) {
        let size = self.prepare(element.len());
        match end {
            End::Left => {
                self.reserve_front(size);
                self.start -= size as u32;
                self.write(self.start as usize, element);
            }
            End::Right => {
                self.reserve_back(size);
                if self.width == 0 {
                    append_element(&mut self.bytes, element);
                } else {
                    self.bytes.extend_from_slice(element);
                }
            }
        }
        self.len += 1;
    }

    /// Puts an element before the one at `index`.
    pub fn insert(&mut self, index: usize, element: &[u8]) {
        let size = self.prepare(element.len());
        let at = self.resize(self.offset(index), 0, size);
        self.write(at, element);
        self.len += 1;
    }

    /// Puts `element` in the place of the one at `index`.
    pub fn replace(&mut self, index: usize, element: &[u8]) {
        let size = self.prepare(element.len());
        let (at, old) = self.locate(index);
        let at = self.resize(at, old, size);
        self.write(at, element);
    }

    /// Has an element of `len` bytes have its place here, and answers how
    /// many bytes it is going to take.
    #[inline]
    fn prepare(&mut self, len: usize) -> usize {
        if self.takes_bare(len) {
            self.width = len as u32;
            return len;
        }
        if self.width > 0 {
            self.write_lengths();
        }
        Self::encoded_len(len)
    }

    /// Writes each element with its length: they are not all of one any more.
    /// The unused room stays on its side.
    #[cold]
    fn write_lengths(&mut self) {
        let used = self.encoded_byte_len();
        let capacity = capacity_for(used).max(self.bytes.capacity());
        let start = if self.start > 0 { capacity - used } else { 0 };
        let mut bytes = Vec::with_capacity(capacity);
        bytes.resize(start, 0);
        for element in self.iter() {
            append_element(&mut bytes, element);
        }
        self.bytes = bytes;
        self.start = start as u32;
        self.width = 0;
    }

    /// Writes an element at `at`, where there is room for it.
    fn write(&mut self, at: usize, element: &[u8]) {
        let slot = &mut self.bytes[at..];
        if self.width == 0 {
            write_element(&mut slot[..Self::encoded_len(element.len())], element);
        } else {
            slot[..element.len()].copy_from_slice(element);
        }
    }

    /// Drops the element at `index`.
    pub fn remove(&mut self, index: usize) {
        let (at, size) = self.locate(index);
        self.resize(at, size, 0);
        self.len -= 1;
        self.give_back();
    }

    /// Adds the elements of another chunk behind the own.
    pub fn append(&mut self, other: &Packed) {
        if self.width != other.width {
            return other.iter().for_each(|e| self.push(End::Right, e));
        }
        self.reserve_back(other.byte_len());
        self.bytes.extend_from_slice(other.elements());
        self.len += other.len;
    }

    /// Has what takes `old` bytes at `at` take `new` bytes, moving what is on
    /// its shorter side; answers where it is then.
    fn resize(&mut self, at: usize, old: usize, new: usize) -> usize {
        let start = self.start as usize;
        let (before, after) = (at - start, self.bytes.len() - at - old);
        match new.checked_sub(old) {
            Some(more) if before < after => {
                self.reserve_front(more);
                let start = self.start as usize;
                self.bytes.copy_within(start..start + before, start - more);
                self.start -= more as u32;
            }
            Some(more) => {
                self.reserve_back(more);
                let start = self.start as usize;
                let (end, behind) = (self.bytes.len(), start + before + old);
                self.bytes.resize(end + more, 0);
                self.bytes.copy_within(behind..end, behind + more);
            }
            None if before < after => {
                let less = old - new;
                self.bytes.copy_within(start..at, start + less);
                self.start += less as u32;
            }
            None => {
                self.bytes.copy_within(at + old.., at + new);
                self.bytes.truncate(self.bytes.len() - (old - new));
            }
        }
        self.start as usize + before
    }

    /// Makes room for `size` bytes at the left.
    #[inline]
    fn reserve_front(&mut self, size: usize) {
        if (self.start as usize) < size {
            self.grow_front(size);
        }
    }

    fn grow_front(&mut self, size: usize) {
        let used = self.byte_len();
        let capacity = capacity_for(used + size);
        if capacity > self.bytes.capacity() {
            let mut bytes = Vec::with_capacity(capacity);
            bytes.resize(capacity - used, 0);
            bytes.extend_from_slice(self.elements());
            self.bytes = bytes;
            self.start = (capacity - used) as u32;
        } else {
            let spare = self.bytes.capacity() - used - size;
            self.move_to(size + spare - spare / 4);
        }
    }

    /// Makes room for `size` bytes at the right.
    #[inline]
    fn reserve_back(&mut self, size: usize) {
        if self.bytes.capacity() - self.bytes.len() < size {
            self.grow_back(size);
        }
    }

    fn grow_back(&mut self, size: usize) {
        let used = self.byte_len();
        let capacity = capacity_for(used + size);
        if capacity > self.bytes.capacity() {
            self.move_to(0);
            self.bytes.reserve_exact(capacity - used);
        } else {
            let spare = self.bytes.capacity() - used - size;
            self.move_to(spare / 4);
        }
    }

    /// Has the elements begin at `start`. A quarter of what is spare stays at
    /// the other side, so that pushes at both ends in turn do not move all
    /// elements each time.
    fn move_to(&mut self, start: usize) {
        let (from, end) = (self.start as usize, self.bytes.len());
        if start > from {
            self.bytes.resize(end + start - from, 0);
        }
        self.bytes.copy_within(from..end, start);
        self.bytes.truncate(end - from + start);
        self.start = start as u32;
    }

    /// The element at `end`.
    pub fn peek(&self, end: End) -> Option<&[u8]> {
        match end {
            End::Left => self.iter().next(),
            End::Right => self.iter_rev().next(),
        }
    }

    /// The element at `index`.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        if index >= self.len() {
            None
        } else if self.width > 0 {
            let at = self.offset(index);
            Some(&self.bytes[at..at + self.width as usize])
        } else if index <= self.len() / 2 {
            self.iter().nth(index)
        } else {
            self.iter_rev().nth(self.len() - 1 - index)
        }
    }

    /// Where the element at `index` begins; the end for the index behind the last.
    fn offset(&self, index: usize) -> usize {
        if self.width > 0 {
            return self.start as usize + index * self.width as usize;
        }
        let (count, end) = if index <= self.len() / 2 {
            (index, End::Left)
        } else {
            (self.len() - index, End::Right)
        };
        let rest = self.without(end, count);
        match end {
            End::Left => self.bytes.len() - rest.len(),
            End::Right => self.start as usize + rest.len(),
        }
    }

    /// The elements but for `count` at `end`.
    fn without(&self, end: End, count: usize) -> &[u8] {
        let mut rest = self.elements();
        if self.width > 0 {
            let gone = count * self.width as usize;
            return match end {
                End::Left => &rest[gone..],
                End::Right => &rest[..rest.len() - gone],
            };
        }
        for _ in 0..count {
            (_, rest) = match end {
                End::Left => split_first(rest),
                End::Right => split_last(rest),
            };
        }
        rest
    }

    /// Where the element at `index` begins, and its size with all overhead.
    fn locate(&self, index: usize) -> (usize, usize) {
        let at = self.offset(index);
        (at, self.first_size(&self.bytes[at..]))
    }

    /// How many bytes the first of these elements takes.
    fn first_size(&self, elements: &[u8]) -> usize {
        match self.width {
            0 => elements.len() - split_first(elements).1.len(),
            width => width as usize,
        }
    }

    /// The elements, first to last.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            rest: self.elements(),
            width: self.width as usize,
        }
    }

    /// The elements from `index` on.
    pub fn iter_from(&self, index: usize) -> Iter<'_> {
        Iter {
            rest: &self.bytes[self.offset(index.min(self.len()))..],
            width: self.width as usize,
        }
    }

    /// The elements, last to first.
    pub fn iter_rev(&self) -> IterRev<'_> {
        IterRev {
            rest: self.elements(),
            width: self.width as usize,
        }
    }

    /// Whether an element of `len` bytes that `finder` looks for in its
    /// [encoded form](Self::encode) may be here. Looking for bytes is many
    /// times as fast as going from element to element.
    pub fn may_hold(&self, len: usize, finder: &Finder<'_>) -> bool {
        match self.width as usize {
            0 => finder.find(self.elements()).is_some(),
            width => width == len,
        }
    }

    /// Drops up to `count` elements at `end`, and keeps the memory: there is
    /// more to come, or the chunk is soon gone.
    pub fn drop_end(&mut self, end: End, count: usize) {
        let count = count.min(self.len());
        let rest = self.without(end, count).len();
        match end {
            End::Left => self.start = (self.bytes.len() - rest) as u32,
            End::Right => self.bytes.truncate(self.start as usize + rest),
        }
        self.len -= count as u32;
    }

    /// Drops elements that equal `element`, left to right, but for the first
    /// `skip`, and `take` at most; answers how many.
    pub fn remove_equal(&mut self, element: &[u8], mut skip: usize, take: usize) -> usize {
        let mut removed = 0;
        // What is kept moves to the left in runs.
        let (mut run, mut to) = (self.start as usize, self.start as usize);
        let mut at = run;
        while at < self.bytes.len() && removed < take {
            let next = at + self.first_size(&self.bytes[at..]);
            let here = Iter {
                rest: &self.bytes[at..next],
                width: self.width as usize,
            };
            let equal = here.eq([element]);
            if equal && skip > 0 {
                skip -= 1;
            } else if equal {
                self.bytes.copy_within(run..at, to);
                to += at - run;
                run = next;
                removed += 1;
            }
            at = next;
        }
        if removed > 0 {
            self.bytes.copy_within(run.., to);
            self.bytes.truncate(self.bytes.len() - (run - to));
            self.len -= removed as u32;
            self.give_back();
        }
        removed
    }

    /// Cuts the elements from `index` on off and answers them.
    pub fn split_off(&mut self, index: usize) -> Packed {
        let at = self.offset(index);
        let tail = Packed {
            bytes: self.bytes[at..].to_vec(),
            start: 0,
            len: self.len - index as u32,
            width: self.width,
        };
        self.bytes.truncate(at);
        self.len = index as u32;
        self.fit();
        tail
    }

    /// Gives unused memory back if it is worth it: nothing is expected to be
    /// added.
    pub fn fit(&mut self) {
        let used = self.byte_len();
        if self.bytes.capacity() > used + used / 32 + 16 {
            self.bytes = self.elements().to_vec();
            self.start = 0;
        }
    }

    /// Gives memory back that is mostly unused.
    pub fn give_back(&mut self) {
        let (capacity, used) = (self.bytes.capacity(), self.byte_len());
        if capacity > 256 && used < capacity / 4 {
            self.move_to(0);
            self.bytes.shrink_to(used * 2);
        }
    }
}

/// Adds an element with its length.
fn append_element(bytes: &mut Vec<u8>, element: &[u8]) {
    let at = bytes.len();
    bytes.resize(at + Packed::encoded_len(element.len()), 0);
    write_element(&mut bytes[at..], element);
}

/// Fills `slot`, which has its encoded length, with an element.
fn write_element(slot: &mut [u8], element: &[u8]) {
    if let len @ 0..0x7f = element.len() {
        slot[0] = len as u8;
        slot[1..=len].copy_from_slice(element);
        slot[len + 1] = len as u8 + 1;
        return;
    }
    let digits = varint_len(element.len());
    let front = digits + element.len();
    write_varint(&mut slot[..digits], element.len());
    slot[digits..front].copy_from_slice(element);
    let back = &mut slot[front..];
    write_varint(back, front);
    back.reverse();
}
