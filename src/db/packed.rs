//! Elements side by side in one allocation, readable from both ends.
//!
//! An element is its length, its bytes, and the size of both in reverse, as
//! variable-length numbers: two bytes of overhead for up to 127 bytes. There
//! is room to grow at either end, so a push is a copy of the element alone.

use std::ops::Range;

use super::list::End;

/// A sequence of byte strings, first to last.
#[derive(Clone, Default, Debug)]
pub struct Packed {
    /// Unused bytes, then the elements. Room at the right is spare capacity.
    bytes: Vec<u8>,
    start: u32,
    len: u32,
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

/// Writes `value` forwards: seven bits a byte, the high bit set on all but the last.
fn write_varint(out: &mut [u8], mut value: usize) {
    let last = out.len() - 1;
    for byte in &mut out[..last] {
        *byte = value as u8 | 0x80;
        value >>= 7;
    }
    out[last] = value as u8;
}

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

impl Packed {
    /// Bytes that an element of `len` bytes takes.
    pub fn encoded_len(len: usize) -> usize {
        let front = varint_len(len) + len;
        front + varint_len(front)
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

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Adds an element at `end`.
    pub fn push(&mut self, end: End, element: &[u8]) {
        let at = match end {
            End::Left => self.start as usize,
            End::Right => self.bytes.len(),
        };
        self.insert_at(at, element);
    }

    /// Puts an element before the one at `index`.
    pub fn insert(&mut self, index: usize, element: &[u8]) {
        self.insert_at(self.offset(index), element);
    }

    fn insert_at(&mut self, at: usize, element: &[u8]) {
        let size = Self::encoded_len(element.len());
        let at = if at == self.start as usize && !(at == self.bytes.len() && at == 0) {
            self.reserve_front(size);
            self.start -= size as u32;
            self.start as usize
        } else {
            self.reserve_back(size);
            let len = self.bytes.len();
            self.bytes.resize(len + size, 0);
            self.bytes.copy_within(at..len, at + size);
            at
        };
        let front = varint_len(element.len());
        let slot = &mut self.bytes[at..at + size];
        write_varint(&mut slot[..front], element.len());
        slot[front..front + element.len()].copy_from_slice(element);
        let back = &mut slot[front + element.len()..];
        write_varint(back, front + element.len());
        back.reverse();
        self.len += 1;
    }

    /// Makes room for `size` bytes at the left: an eighth of what is there
    /// already, so that pushes at the left cost no more than at the right.
    fn reserve_front(&mut self, size: usize) {
        if (self.start as usize) < size {
            let used = self.byte_len();
            let room = size + (used / 8).min(1024);
            let mut bytes = Vec::with_capacity(room + used);
            bytes.resize(room, 0);
            bytes.extend_from_slice(&self.bytes[self.start as usize..]);
            self.bytes = bytes;
            self.start = room as u32;
        }
    }

    fn reserve_back(&mut self, size: usize) {
        if self.bytes.capacity() - self.bytes.len() < size {
            // What was freed at the left is used before more is asked for.
            if self.start as usize >= size {
                self.bytes.drain(..self.start as usize);
                self.start = 0;
            } else {
                self.bytes
                    .reserve_exact(size + (self.byte_len() / 8).min(1024));
            }
        }
    }

    /// The element at `end`.
    pub fn peek(&self, end: End) -> Option<&[u8]> {
        match end {
            End::Left => self.iter_from(0).next(),
            End::Right => self.iter_rev().next(),
        }
    }

    /// The element at `index`.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        if index >= self.len() {
            None
        } else if index <= self.len() / 2 {
            self.iter_from(0).nth(index)
        } else {
            self.iter_rev().nth(self.len() - 1 - index)
        }
    }

    /// Where the element at `index` begins; the end for the index behind the last.
    fn offset(&self, index: usize) -> usize {
        let mut at;
        if index <= self.len() / 2 {
            at = self.start as usize;
            for _ in 0..index {
                at += self.size_at(at);
            }
        } else {
            at = self.bytes.len();
            for _ in index..self.len() {
                at -= self.size_before(at);
            }
        }
        at
    }

    /// The size of the element that begins at `at`, all of it.
    fn size_at(&self, at: usize) -> usize {
        let (len, _) = read_varint(self.bytes[at..].iter());
        Self::encoded_len(len)
    }

    /// The size of the element that ends before `at`.
    fn size_before(&self, at: usize) -> usize {
        let (front, digits) = read_varint(self.bytes[..at].iter().rev());
        front + digits
    }

    /// The elements from `index` on.
    pub fn iter_from(&self, index: usize) -> impl Iterator<Item = &[u8]> {
        let mut at = if index >= self.len() {
            self.bytes.len()
        } else {
            self.offset(index)
        };
        std::iter::from_fn(move || {
            if at >= self.bytes.len() {
                return None;
            }
            let (len, digits) = read_varint(self.bytes[at..].iter());
            let element = &self.bytes[at + digits..at + digits + len];
            at += Self::encoded_len(len);
            Some(element)
        })
    }

    /// The elements, last to first.
    pub fn iter_rev(&self) -> impl Iterator<Item = &[u8]> {
        let mut at = self.bytes.len();
        std::iter::from_fn(move || {
            if at <= self.start as usize {
                return None;
            }
            at -= self.size_before(at);
            let (len, digits) = read_varint(self.bytes[at..].iter());
            Some(&self.bytes[at + digits..at + digits + len])
        })
    }

    /// Drops up to `count` elements at `end`.
    pub fn drop_end(&mut self, end: End, count: usize) {
        let count = count.min(self.len());
        if count == self.len() {
            *self = Packed::default();
            return;
        }
        match end {
            End::Left => self.start = self.offset(count) as u32,
            End::Right => self.bytes.truncate(self.offset(self.len() - count)),
        }
        self.len -= count as u32;
        self.give_back();
    }

    /// Drops the elements of a range of indexes.
    pub fn remove(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        if range.start == 0 {
            return self.drop_end(End::Left, range.len());
        }
        let (from, to) = (self.offset(range.start), self.offset(range.end));
        self.bytes.drain(from..to);
        self.len -= range.len() as u32;
        self.give_back();
    }

    /// Drops the elements at these indexes, which ascend.
    pub fn remove_each(&mut self, indexes: &mut dyn Iterator<Item = usize>) {
        let mut kept = Packed::default();
        let mut next = indexes.next();
        for (index, element) in self.iter_from(0).enumerate() {
            if next == Some(index) {
                next = indexes.next();
            } else {
                kept.push(End::Right, element);
            }
        }
        *self = kept;
    }

    /// Cuts the elements from `index` on off and answers them.
    pub fn split_off(&mut self, index: usize) -> Packed {
        let at = self.offset(index);
        let tail = Packed {
            bytes: self.bytes.split_off(at),
            start: 0,
            len: self.len - index as u32,
        };
        self.len = index as u32;
        tail
    }

    /// Memory that is mostly unused is given back.
    fn give_back(&mut self) {
        let used = self.byte_len();
        if self.bytes.capacity() > 256 && used < self.bytes.capacity() / 4 {
            self.bytes.drain(..self.start as usize);
            self.start = 0;
            self.bytes.shrink_to(used * 2);
        }
    }
}
