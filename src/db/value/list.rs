//! Lists: packed while they are small, a deque of packed chunks when they are
//! large.

mod packed;

use std::collections::{VecDeque, vec_deque};
use std::ops::Range;

use memchr::memmem::Finder;

pub use packed::End;
use packed::{CHUNK, Packed};

use super::kind::{Held, Kind, Stored, Viewed};
use crate::db::Digest;
use crate::db::memory::slots::PIECE;
use crate::error::Result;
use crate::events::KeyspaceEvents;
use crate::rdb::{NODE_MAX, Reader, Type, Writer};

/// How large a chunk may grow: `list-max-listpack-size`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChunkLimit {
    /// Bytes of elements. A single larger element has a chunk of its own.
    Bytes(usize),
    /// Number of elements; 8 KiB of them as well.
    Elements(usize),
}

impl Default for ChunkLimit {
    /// That of Redis: 8 KiB.
    fn default() -> Self {
        ChunkLimit::Bytes(CHUNK)
    }
}

impl ChunkLimit {
    /// From the setting: -1 to -5 for 4 to 64 KiB, a positive number of elements.
    pub fn from_setting(value: i64) -> ChunkLimit {
        match value {
            1.. => ChunkLimit::Elements(value as usize),
            -5..=-1 => ChunkLimit::Bytes(4096 << (-value - 1)),
            0 => ChunkLimit::Elements(1),
            _ => ChunkLimit::Bytes(64 * 1024),
        }
    }

    #[inline]
    fn allows(self, elements: usize, bytes: usize) -> bool {
        match self {
            ChunkLimit::Bytes(max) => bytes <= max,
            ChunkLimit::Elements(max) => elements <= max && bytes <= CHUNK,
        }
    }

    /// Whether a list that is packed stays so when an element of `len` bytes is
    /// added. OBJECT ENCODING tells, so bytes count as in Redis.
    fn admits_packed(self, packed: &Packed, len: usize) -> bool {
        let bytes = packed.encoded_byte_len() + Packed::encoded_len(len);
        self.allows(packed.len() + 1, bytes)
    }

    /// Whether an element of `len` bytes may be added to a chunk.
    #[inline]
    fn admits(self, chunk: &Packed, len: usize) -> bool {
        self.allows(chunk.len() + 1, chunk.byte_len_with(len))
    }

    /// Whether an element of `len` bytes may take the place of the one at `index`.
    fn admits_change(self, chunk: &Packed, index: usize, len: usize) -> bool {
        let old = chunk.get(index).map_or(0, <[u8]>::len);
        let kept = chunk.encoded_byte_len() - Packed::encoded_len(old);
        self.allows(chunk.len(), kept + Packed::encoded_len(len))
    }

    /// Whether two chunks may become one.
    fn admits_both(self, a: &Packed, b: &Packed) -> bool {
        self.allows(a.len() + b.len(), a.byte_len_with_all(b))
    }

    /// Whether a chunk is at most half full.
    fn is_half(self, chunk: &Packed) -> bool {
        self.allows(chunk.len() * 2, chunk.encoded_byte_len() * 2)
    }
}

/// The elements of a list, first to last.
#[derive(Clone, Debug)]
pub enum List {
    /// All in one chunk: OBJECT ENCODING calls it `listpack`.
    Packed(Packed),
    /// Several chunks, none of them empty: `quicklist`.
    Chunks(Box<Chunks>),
}

/// The chunks of a large list.
#[derive(Clone, Debug, Default)]
pub struct Chunks {
    chunks: VecDeque<Packed>,
    len: usize,
    /// Bytes of memory that all chunks hold.
    bytes: usize,
}

impl Default for List {
    fn default() -> Self {
        List::Packed(Packed::default())
    }
}

impl Held for List {
    fn kind(&self) -> Kind {
        List::KIND
    }

    fn encoding_name(&self) -> &'static str {
        match self {
            List::Packed(_) => "listpack",
            List::Chunks(_) => "quicklist",
        }
    }

    fn serialize(&self, output: &mut Writer) {
        let chunks = || self.runs(0..self.len());
        let nodes = |count: usize| count.div_ceil(NODE_MAX);
        output.write_as(Type::ListQuicklist2);
        output.len(chunks().map(|(_, count)| nodes(count)).sum());
        for (mut elements, count) in chunks() {
            (0..nodes(count)).for_each(|_| output.node(elements.by_ref().take(NODE_MAX)));
        }
    }

    fn digest(&self, digest: &mut Digest) {
        const LIST: u32 = 1;
        digest.append(&LIST.to_be_bytes());
        self.iter().for_each(|element| digest.append(element));
    }
}

impl Stored for List {
    fn is_used_up(&self) -> bool {
        self.is_empty()
    }

    fn memory(&self) -> usize {
        match self {
            List::Packed(packed) => packed.memory(),
            List::Chunks(chunks) => {
                let deque = chunks.chunks.capacity() * size_of::<Packed>();
                chunks.bytes + deque + size_of::<Chunks>()
            }
        }
    }

    fn pieces(&self) -> usize {
        match self {
            List::Packed(packed) => 1 + packed.memory() / PIECE,
            List::Chunks(chunks) => chunks.chunks.len(),
        }
    }

    fn free_some(&mut self, budget: &mut usize) -> bool {
        if let List::Chunks(chunks) = self {
            while *budget > 0
                && let Some(chunk) = chunks.chunks.pop_back()
            {
                chunks.bytes -= chunk.memory();
                *budget -= 1;
            }
            return chunks.chunks.is_empty();
        }
        true
    }
}

impl Viewed for List {
    type View<'a> = &'a List;

    fn view(&self) -> &List {
        self
    }
}

impl List {
    /// What it is.
    pub const KIND: Kind = Kind {
        name: "list",
        events: KeyspaceEvents::LIST,
    };

    /// The one that is written there in this way.
    pub fn read(input: &mut Reader<'_>, written: Type, limit: ChunkLimit) -> Result<List> {
        let mut list = List::default();
        let nodes = input.list(written, |element| {
            list.push(End::Right, element, limit);
            Ok(())
        })?;
        // Redis packs what has been in one node.
        if nodes > 1 {
            list.unpack();
        }
        Ok(list)
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        match self {
            List::Packed(packed) => packed.len(),
            List::Chunks(chunks) => chunks.len,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an element at `end`.
    pub fn push(&mut self, end: End, element: &[u8], limit: ChunkLimit) {
        match self {
            List::Packed(packed) if limit.admits_packed(packed, element.len()) => {
                packed.push(end, element);
            }
            List::Packed(_) => self.unpack().push(end, element, limit),
            List::Chunks(chunks) => chunks.push(end, element, limit),
        }
    }

    /// The element at `end`.
    pub fn peek(&self, end: End) -> Option<&[u8]> {
        match self {
            List::Packed(packed) => packed.peek(end),
            List::Chunks(chunks) => chunks.edge(end)?.peek(end),
        }
    }

    /// Drops up to `count` elements at `end`.
    pub fn drop_end(&mut self, end: End, count: usize, limit: ChunkLimit) {
        self.cut_end(end, count, limit);
    }

    /// [`drop_end`](Self::drop_end) where many may go: answers the chunks that
    /// have fallen off, for who frees them.
    pub fn cut_end(&mut self, end: End, count: usize, limit: ChunkLimit) -> List {
        match self {
            List::Packed(packed) => {
                packed.drop_end(end, count);
                packed.give_back();
                List::default()
            }
            List::Chunks(chunks) => {
                let chunks = chunks.cut_end(end, count);
                self.shrink(limit);
                if chunks.is_empty() {
                    return List::default();
                }
                let len = chunks.iter().map(Packed::len).sum();
                let bytes = chunks.iter().map(Packed::memory).sum();
                List::Chunks(Chunks { chunks, len, bytes }.into())
            }
        }
    }

    /// Moves the element at `from` of a list that is not empty to the end
    /// `to`, and answers it.
    pub fn rotate(&mut self, from: End, to: End, limit: ChunkLimit) -> Vec<u8> {
        let element = self.peek(from).unwrap_or_default().to_vec();
        // Whether it is small enough to be packed counts when it is back.
        match self {
            List::Packed(packed) => packed.drop_end(from, 1),
            List::Chunks(chunks) => drop(chunks.cut_end(from, 1)),
        }
        self.push(to, &element, limit);
        self.shrink(limit);
        element
    }

    /// The element at `index`, which counts from the left.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        match self {
            List::Packed(packed) => packed.get(index),
            List::Chunks(chunks) => {
                let (at, index) = chunks.locate(index)?;
                chunks.chunks[at].get(index)
            }
        }
    }

    /// The elements, left to right.
    pub fn iter(&self) -> Iter<'_> {
        match self {
            List::Packed(packed) => Iter {
                chunk: packed.iter(),
                chunks: vec_deque::Iter::default(),
            },
            List::Chunks(chunks) => Iter {
                chunk: packed::Iter::default(),
                chunks: chunks.chunks.iter(),
            },
        }
    }

    /// The elements with these indexes, left to right, by the chunk: what is
    /// in it from the first one on, and how many of that belong to them.
    pub fn runs(&self, range: Range<usize>) -> impl Iterator<Item = (packed::Iter<'_>, usize)> {
        let (mut skip, mut left) = (range.start, range.len());
        let (only, chunks) = match self {
            List::Packed(packed) => (Some(packed), vec_deque::Iter::default()),
            List::Chunks(chunks) => {
                let (at, index) = chunks.locate(skip).unwrap_or((chunks.chunks.len(), 0));
                skip = index;
                (None, chunks.chunks.range(at..))
            }
        };
        only.into_iter().chain(chunks).map_while(move |chunk| {
            let count = chunk.len().saturating_sub(skip).min(left);
            left -= count;
            let run = chunk.iter_from(std::mem::take(&mut skip));
            (count > 0).then_some((run, count))
        })
    }

    /// The elements, right to left.
    pub fn iter_rev(&self) -> IterRev<'_> {
        match self {
            List::Packed(packed) => IterRev {
                chunk: packed.iter_rev(),
                chunks: vec_deque::Iter::default(),
            },
            List::Chunks(chunks) => IterRev {
                chunk: packed::IterRev::default(),
                chunks: chunks.chunks.iter(),
            },
        }
    }

    /// Looks for elements that equal `element` among the first `within` from
    /// `end`. Tells `found` how far from `end` each is, until it answers false.
    pub fn search(
        &self,
        end: End,
        element: &[u8],
        within: usize,
        mut found: impl FnMut(usize) -> bool,
    ) {
        match self {
            List::Packed(packed) => {
                search_chunk(packed, end, element, 0..within, &mut found);
            }
            List::Chunks(chunks) => {
                let encoded = Packed::encode(element);
                let finder = Finder::new(&encoded);
                let mut first = 0;
                for chunk in chunks.from(end) {
                    if first >= within {
                        return;
                    }
                    if chunk.may_hold(element.len(), &finder)
                        && !search_chunk(chunk, end, element, first..within, &mut found)
                    {
                        return;
                    }
                    first += chunk.len();
                }
            }
        }
    }

    /// Becomes a large list if it would with one more element of `len` bytes.
    /// Redis decides that before it looks whether there is one to replace, or
    /// to insert another one beside.
    pub fn unpack_for(&mut self, len: usize, limit: ChunkLimit) {
        if let List::Packed(packed) = self
            && !limit.admits_packed(packed, len)
        {
            self.unpack();
        }
    }

    /// Puts `element` in the place of the one at `index`; false if there is none.
    pub fn set(&mut self, index: usize, element: &[u8], limit: ChunkLimit) -> bool {
        self.unpack_for(element.len(), limit);
        if index >= self.len() {
            return false;
        }
        match self {
            List::Packed(packed) => {
                packed.replace(index, element);
                packed.give_back();
            }
            List::Chunks(chunks) => {
                chunks.set(index, element, limit);
                self.shrink(limit);
            }
        }
        true
    }

    /// Puts `element` before the one at `index`, or at the end.
    pub fn insert(&mut self, index: usize, element: &[u8], limit: ChunkLimit) {
        if index >= self.len() {
            return self.push(End::Right, element, limit);
        }
        match self {
            List::Packed(packed) if limit.admits_packed(packed, element.len()) => {
                packed.insert(index, element);
            }
            List::Packed(_) => self.unpack().insert(index, element, limit),
            List::Chunks(chunks) => chunks.insert(index, element, limit),
        }
    }

    /// Drops up to `count` elements that equal `element`, looking from `end`;
    /// answers how many there were.
    pub fn remove_equal(
        &mut self,
        end: End,
        count: usize,
        element: &[u8],
        limit: ChunkLimit,
    ) -> usize {
        match self {
            List::Packed(packed) => remove_from_chunk(packed, end, count, element),
            List::Chunks(chunks) => {
                let removed = chunks.remove_equal(end, count, element, limit);
                if removed > 0 {
                    self.shrink(limit);
                }
                removed
            }
        }
    }

    /// Makes it a large list, unless it is one.
    fn unpack(&mut self) -> &mut Chunks {
        if let List::Packed(packed) = self {
            let packed = std::mem::take(packed);
            let len = packed.len();
            let (chunks, bytes) = match packed.memory() {
                _ if len == 0 => (VecDeque::new(), 0),
                bytes => (VecDeque::from([packed]), bytes),
            };
            *self = List::Chunks(Box::new(Chunks { chunks, len, bytes }));
        }
        match self {
            List::Chunks(chunks) => chunks,
            List::Packed(_) => unreachable!("it has just become one"),
        }
    }

    /// A large list that has become small is packed again: at half of what a
    /// chunk may hold, so that it does not change back at the next push.
    fn shrink(&mut self, limit: ChunkLimit) {
        if let List::Chunks(chunks) = self
            && chunks.chunks.len() <= 1
            && chunks.chunks.front().is_none_or(|only| limit.is_half(only))
        {
            let mut packed = chunks.chunks.pop_front().unwrap_or_default();
            packed.give_back();
            *self = List::Packed(packed);
        }
    }
}

/// Tells `found` where in a chunk, counted from `end` on from `range.start`,
/// elements are that equal `element`, up to `range.end`. False if `found`
/// wants no more.
fn search_chunk(
    chunk: &Packed,
    end: End,
    element: &[u8],
    mut range: Range<usize>,
    found: &mut impl FnMut(usize) -> bool,
) -> bool {
    match end {
        End::Left => chunk
            .iter()
            .zip(&mut range)
            .all(|(here, at)| here != element || found(at)),
        End::Right => chunk
            .iter_rev()
            .zip(&mut range)
            .all(|(here, at)| here != element || found(at)),
    }
}

/// Drops up to `count` elements of a chunk that equal `element`, looking from
/// `end`; answers how many there were.
fn remove_from_chunk(chunk: &mut Packed, end: End, count: usize, element: &[u8]) -> usize {
    let skip = match end {
        End::Left => 0,
        End::Right => {
            let equal = chunk.iter().filter(|here| *here == element).count();
            equal.saturating_sub(count)
        }
    };
    chunk.remove_equal(element, skip, count)
}

impl Chunks {
    fn edge(&self, end: End) -> Option<&Packed> {
        match end {
            End::Left => self.chunks.front(),
            End::Right => self.chunks.back(),
        }
    }

    fn edge_mut(&mut self, end: End) -> Option<&mut Packed> {
        match end {
            End::Left => self.chunks.front_mut(),
            End::Right => self.chunks.back_mut(),
        }
    }

    /// The chunks in order, seen from `end`.
    fn from(&self, end: End) -> impl Iterator<Item = &Packed> {
        let (mut chunks, mut reversed) = match end {
            End::Left => (self.chunks.iter(), vec_deque::Iter::default()),
            End::Right => (vec_deque::Iter::default(), self.chunks.iter()),
        };
        std::iter::from_fn(move || chunks.next().or_else(|| reversed.next_back()))
    }

    fn push(&mut self, end: End, element: &[u8], limit: ChunkLimit) {
        self.len += 1;
        match self.edge_mut(end) {
            Some(edge) if limit.admits(edge, element.len()) => {
                let before = edge.memory();
                edge.push(end, element);
                let after = edge.memory();
                self.bytes = self.bytes + after - before;
            }
            _ => self.push_chunk(end, element, limit),
        }
    }

    /// Changes a chunk, which there is.
    fn change<R>(&mut self, at: usize, change: impl FnOnce(&mut Packed) -> R) -> R {
        let chunk = &mut self.chunks[at];
        let before = chunk.memory();
        let answer = change(chunk);
        self.bytes = self.bytes + chunk.memory() - before;
        answer
    }

    /// Puts in a chunk.
    fn insert_chunk(&mut self, at: usize, chunk: Packed) {
        self.bytes += chunk.memory();
        self.chunks.insert(at, chunk);
    }

    /// Adds a chunk with one element.
    fn push_chunk(&mut self, end: End, element: &[u8], limit: ChunkLimit) {
        if let Some(edge) = self.edge_mut(end) {
            let before = edge.memory();
            edge.fit();
            let after = edge.memory();
            self.bytes = self.bytes + after - before;
        }
        let mut chunk = Packed::with_room(end, self.room(element.len(), limit));
        chunk.push(end, element);
        self.bytes += chunk.memory();
        match end {
            End::Left => self.chunks.push_front(chunk),
            End::Right => self.chunks.push_back(chunk),
        }
    }

    /// The room of a new chunk, so that a long list allocates once per chunk
    /// and a short one is not made much larger by it.
    fn room(&self, element: usize, limit: ChunkLimit) -> usize {
        let size = Packed::encoded_len(element);
        match limit {
            ChunkLimit::Bytes(max) if size <= max / 4 => {
                max.min(CHUNK).min(self.chunks.len() * (CHUNK / 8))
            }
            _ => size,
        }
    }

    /// Drops up to `count` elements at `end`; answers the chunks that were
    /// dropped whole.
    fn cut_end(&mut self, end: End, mut count: usize) -> VecDeque<Packed> {
        self.len -= count.min(self.len);
        let mut whole = 0;
        for chunk in self.from(end) {
            if chunk.len() > count {
                break;
            }
            count -= chunk.len();
            whole += 1;
        }
        let cut: VecDeque<Packed> = match end {
            _ if whole == 0 => VecDeque::new(),
            End::Left => self.chunks.drain(..whole).collect(),
            End::Right => self.chunks.drain(self.chunks.len() - whole..).collect(),
        };
        self.bytes -= cut.iter().map(Packed::memory).sum::<usize>();
        if count > 0
            && let Some(edge) = self.edge_mut(end)
        {
            let before = edge.memory();
            edge.drop_end(end, count);
            let after = edge.memory();
            self.bytes = self.bytes + after - before;
        }
        if self.chunks.capacity() > 64 && self.chunks.len() < self.chunks.capacity() / 4 {
            self.chunks.shrink_to(self.chunks.len() * 2);
        }
        cut
    }

    /// Puts `element` in the place of the one at `index`, which there is.
    fn set(&mut self, index: usize, element: &[u8], limit: ChunkLimit) {
        let (at, within) = self.locate(index).expect("the index is within the list");
        let chunk = &self.chunks[at];
        let same_len = chunk.get(within).map(<[u8]>::len) == Some(element.len());
        if same_len || chunk.len() == 1 || limit.admits_change(chunk, within, element.len()) {
            self.change(at, |chunk| {
                chunk.replace(within, element);
                chunk.give_back();
            });
            return self.merge(at, limit);
        }
        self.change(at, |chunk| chunk.remove(within));
        self.len -= 1;
        if index == self.len {
            self.push(End::Right, element, limit);
        } else {
            self.insert(index, element, limit);
        }
    }

    /// Puts an element before the one at `index`, which there is.
    fn insert(&mut self, index: usize, element: &[u8], limit: ChunkLimit) {
        let (at, within) = self.locate(index).expect("the index is within the list");
        self.len += 1;
        if limit.admits(&self.chunks[at], element.len()) {
            return self.change(at, |chunk| chunk.insert(within, element));
        }
        let mut new = Packed::default();
        new.push(End::Right, element);
        if within == 0 {
            self.insert_chunk(at, new);
            return self.merge(at, limit);
        }
        let tail = self.change(at, |chunk| chunk.split_off(within));
        self.insert_chunk(at + 1, tail);
        self.insert_chunk(at + 1, new);
        self.merge(at + 1, limit);
    }

    /// Makes one of the chunk and its neighbours as far as they fit.
    fn merge(&mut self, at: usize, limit: ChunkLimit) {
        for left in [Some(at), at.checked_sub(1)].into_iter().flatten() {
            if let Some(right) = self.chunks.get(left + 1)
                && limit.admits_both(&self.chunks[left], right)
            {
                let right = self.chunks.remove(left + 1).expect("it is there");
                self.bytes -= right.memory();
                self.change(left, |chunk| chunk.append(&right));
            }
        }
    }

    fn remove_equal(&mut self, end: End, count: usize, element: &[u8], limit: ChunkLimit) -> usize {
        let encoded = Packed::encode(element);
        let finder = Finder::new(&encoded);
        let mut left = count;
        let mut remove = |chunk: &mut Packed| {
            if left > 0 && chunk.may_hold(element.len(), &finder) {
                left -= remove_from_chunk(chunk, end, left, element);
            }
        };
        match end {
            End::Left => self.chunks.iter_mut().for_each(&mut remove),
            End::Right => self.chunks.iter_mut().rev().for_each(&mut remove),
        }
        let removed = count - left;
        if removed > 0 {
            self.len -= removed;
            self.compact(limit);
        }
        removed
    }

    /// Drops empty chunks, and makes one of neighbours that fit into one.
    fn compact(&mut self, limit: ChunkLimit) {
        let mut kept: VecDeque<Packed> = VecDeque::new();
        for chunk in std::mem::take(&mut self.chunks) {
            match kept.back_mut() {
                _ if chunk.is_empty() => {}
                Some(last) if limit.admits_both(last, &chunk) => last.append(&chunk),
                _ => kept.push_back(chunk),
            }
        }
        self.bytes = kept.iter().map(Packed::memory).sum();
        self.chunks = kept;
    }

    /// The chunk that holds the element at `index`, and where in it.
    fn locate(&self, index: usize) -> Option<(usize, usize)> {
        if index >= self.len {
            return None;
        }
        if index <= self.len / 2 {
            let mut left = index;
            for (at, chunk) in self.chunks.iter().enumerate() {
                if left < chunk.len() {
                    return Some((at, left));
                }
                left -= chunk.len();
            }
        } else {
            let mut left = self.len - index;
            for (at, chunk) in self.chunks.iter().enumerate().rev() {
                if left <= chunk.len() {
                    return Some((at, chunk.len() - left));
                }
                left -= chunk.len();
            }
        }
        None
    }
}

/// The elements of a list, left to right.
#[derive(Clone, Debug, Default)]
pub struct Iter<'a> {
    chunk: packed::Iter<'a>,
    chunks: vec_deque::Iter<'a, Packed>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            if let Some(element) = self.chunk.next() {
                return Some(element);
            }
            self.chunk = self.chunks.next()?.iter();
        }
    }
}

/// The elements of a list, right to left.
#[derive(Clone, Debug, Default)]
pub struct IterRev<'a> {
    chunk: packed::IterRev<'a>,
    chunks: vec_deque::Iter<'a, Packed>,
}

impl<'a> Iterator for IterRev<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            if let Some(element) = self.chunk.next() {
                return Some(element);
            }
            self.chunk = self.chunks.next_back()?.iter_rev();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Push(bool, Vec<u8>),
        Drop(bool, usize),
        Insert(prop::sample::Index, Vec<u8>),
        Set(prop::sample::Index, Vec<u8>),
        RemoveEqual(bool, usize, Vec<u8>),
    }

    /// `alike` of 91 elements have one length.
    fn element(alike: u32) -> impl Strategy<Value = Vec<u8>> + Clone {
        prop_oneof![
            alike => prop::collection::vec(b'a'..b'd', 2),
            90 - alike => prop::collection::vec(b'a'..b'd', 0..3),
            1 => (130usize..400).prop_map(|len| vec![b'x'; len]),
        ]
    }

    fn op(alike: u32) -> impl Strategy<Value = Op> {
        let element = element(alike);
        let index = any::<prop::sample::Index>();
        prop_oneof![
            8 => (any::<bool>(), element.clone()).prop_map(|(l, e)| Op::Push(l, e)),
            1 => (any::<bool>(), 0usize..6).prop_map(|(l, n)| Op::Drop(l, n)),
            2 => (index.clone(), element.clone()).prop_map(|(i, e)| Op::Insert(i, e)),
            2 => (index, element.clone()).prop_map(|(i, e)| Op::Set(i, e)),
            1 => (any::<bool>(), 0usize..5, element).prop_map(|(l, n, e)| Op::RemoveEqual(l, n, e)),
        ]
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        prop_oneof![Just(1u32), Just(60), Just(89)]
            .prop_flat_map(|alike| prop::collection::vec(op(alike), 0..120))
    }

    fn end(left: bool) -> End {
        if left { End::Left } else { End::Right }
    }

    fn apply(list: &mut List, model: &mut Vec<Vec<u8>>, op: Op, limit: ChunkLimit) {
        match op {
            Op::Push(left, e) => {
                list.push(end(left), &e, limit);
                model.insert(if left { 0 } else { model.len() }, e);
            }
            Op::Drop(left, n) => {
                list.drop_end(end(left), n, limit);
                let n = n.min(model.len());
                if left {
                    model.drain(..n);
                } else {
                    model.truncate(model.len() - n);
                }
            }
            Op::Insert(i, e) => {
                let i = i.index(model.len() + 1);
                list.insert(i, &e, limit);
                model.insert(i, e);
            }
            Op::Set(i, e) => {
                let i = i.index(model.len() + 1);
                assert_eq!(list.set(i, &e, limit), i < model.len());
                if i < model.len() {
                    model[i] = e;
                }
            }
            Op::RemoveEqual(left, n, e) => {
                let mut gone = 0;
                while gone < n {
                    let at = if left {
                        model.iter().position(|x| *x == e)
                    } else {
                        model.iter().rposition(|x| *x == e)
                    };
                    let Some(at) = at else { break };
                    model.remove(at);
                    gone += 1;
                }
                assert_eq!(list.remove_equal(end(left), n, &e, limit), gone);
            }
        }
    }

    proptest! {
        #[test]
        fn a_list_is_what_a_vector_is(
            ops in ops(),
            elements in any::<bool>(),
        ) {
            let limit = if elements { ChunkLimit::Elements(4) } else { ChunkLimit::Bytes(64) };
            let (mut list, mut model) = (List::default(), Vec::new());
            for op in ops {
                apply(&mut list, &mut model, op, limit);
                prop_assert_eq!(list.len(), model.len());
                if let List::Chunks(chunks) = &list {
                    let held = chunks.chunks.iter().map(Packed::memory).sum::<usize>();
                    prop_assert_eq!(chunks.bytes, held);
                }
                prop_assert!(list.iter().eq(model.iter().map(Vec::as_slice)));
                prop_assert!(list.iter_rev().eq(model.iter().rev().map(Vec::as_slice)));
                prop_assert_eq!(list.peek(End::Left), model.first().map(Vec::as_slice));
                prop_assert_eq!(list.peek(End::Right), model.last().map(Vec::as_slice));
            }
            for index in 0..model.len() + 2 {
                prop_assert_eq!(list.get(index), model.get(index).map(Vec::as_slice));
                for end in [index, index + 1, index + 9, model.len() + 2] {
                    let elements = list.runs(index..end).flat_map(|(run, count)| run.take(count));
                    let expected = &model[index.min(model.len())..end.min(model.len())];
                    prop_assert!(elements.eq(expected.iter().map(Vec::as_slice)));
                }
            }
        }
    }

    #[test]
    fn a_large_list_is_packed_again_when_it_has_become_small() {
        let limit = ChunkLimit::default();
        let mut list = List::default();
        for _ in 0..5000 {
            list.push(End::Right, b"0123456789abcdef", limit);
        }
        assert_eq!(list.encoding_name(), "quicklist");
        list.drop_end(End::Left, 4700, limit);
        assert_eq!(
            list.encoding_name(),
            "quicklist",
            "more than half a chunk is left"
        );
        list.drop_end(End::Left, 100, limit);
        assert_eq!(list.encoding_name(), "listpack");
        list.drop_end(End::Left, 190, limit);
        assert!(list.memory() < 1000, "{}", list.memory());
    }
    #[test]
    fn a_list_that_is_rotated_is_packed_when_the_element_is_back() {
        let limit = ChunkLimit::from_setting(8);
        let mut list = List::default();
        for n in 0..9 {
            list.push(End::Right, &[n], limit);
        }
        list.drop_end(End::Right, 4, limit);
        assert_eq!(list.encoding_name(), "quicklist");
        assert_eq!(list.rotate(End::Right, End::Left, limit), [4]);
        // As the source of 7.2 has it: it counts five elements, not four.
        assert_eq!(list.encoding_name(), "quicklist");
        assert_eq!(list.iter().collect::<Vec<_>>().concat(), [4, 0, 1, 2, 3]);
        list.drop_end(End::Right, 1, limit);
        assert_eq!(list.encoding_name(), "listpack");
    }

    #[test]
    fn elements_of_one_length_stand_bare() {
        let limit = ChunkLimit::default();
        for end in [End::Left, End::Right] {
            let mut list = List::default();
            for _ in 0..100_000 {
                list.push(end, b"0123456789abcdef", limit);
            }
            assert!(list.memory() < 100_000 * 33 / 2, "{}", list.memory());
            list.push(end, b"longer than the others", limit);
            assert_eq!(list.iter().filter(|e| e.len() == 16).count(), 100_000);
            assert!(list.memory() < 100_000 * 34 / 2, "{}", list.memory());
        }
    }

    #[test]
    fn a_list_grows_out_of_one_chunk_where_redis_says_so() {
        let limit = ChunkLimit::default();
        let mut list = List::default();
        // With the lengths an element takes 18 bytes of 8192.
        for _ in 0..455 {
            assert_eq!(list.encoding_name(), "listpack");
            list.push(End::Right, b"0123456789abcdef", limit);
        }
        assert_eq!(list.encoding_name(), "listpack");
        list.push(End::Right, b"0123456789abcdef", limit);
        assert_eq!(list.encoding_name(), "quicklist");
    }
}
