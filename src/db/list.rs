//! Lists: packed while they are small, a deque of packed chunks when they are
//! large.

use std::collections::VecDeque;

use super::packed::Packed;

/// How large a chunk may grow: `list-max-listpack-size`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChunkLimit {
    /// Bytes of elements. A single larger element has a chunk of its own.
    Bytes(usize),
    /// Number of elements; 8 KiB of them as well.
    Elements(usize),
}

/// Chunks of 8 KiB, Redis's default.
const DEFAULT_CHUNK: usize = 8 * 1024;

impl Default for ChunkLimit {
    fn default() -> Self {
        ChunkLimit::Bytes(DEFAULT_CHUNK)
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

    fn admits(self, chunk: &Packed, element: usize) -> bool {
        let grown = chunk.byte_len() + Packed::encoded_len(element);
        match self {
            ChunkLimit::Bytes(max) => grown <= max,
            ChunkLimit::Elements(max) => chunk.len() < max && grown <= DEFAULT_CHUNK,
        }
    }
}

/// One end of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Index 0, where LPUSH pushes.
    Left,
    /// Index -1.
    Right,
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
}

impl Default for List {
    fn default() -> Self {
        List::Packed(Packed::default())
    }
}

impl List {
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

    /// Whether all elements are in one chunk.
    pub fn is_packed(&self) -> bool {
        matches!(self, List::Packed(_))
    }

    /// Adds an element at `end`.
    pub fn push(&mut self, end: End, element: &[u8], limit: ChunkLimit) {
        match self {
            List::Packed(packed) if packed.is_empty() || limit.admits(packed, element.len()) => {
                packed.push(end, element);
                // A first element above the limit makes a large list at once.
                if packed.len() == 1 && packed.byte_len() > DEFAULT_CHUNK {
                    self.to_chunks();
                }
            }
            List::Packed(_) => {
                self.to_chunks();
                self.push(end, element, limit);
            }
            List::Chunks(chunks) => {
                chunks.len += 1;
                let edge = match end {
                    End::Left => chunks.chunks.front_mut(),
                    End::Right => chunks.chunks.back_mut(),
                };
                if let Some(edge) = edge
                    && limit.admits(edge, element.len())
                {
                    edge.push(end, element);
                    return;
                }
                let mut chunk = Packed::default();
                chunk.push(end, element);
                match end {
                    End::Left => chunks.chunks.push_front(chunk),
                    End::Right => chunks.chunks.push_back(chunk),
                }
            }
        }
    }

    /// The element at `end`.
    pub fn peek(&self, end: End) -> Option<&[u8]> {
        let packed = match (self, end) {
            (List::Packed(packed), _) => packed,
            (List::Chunks(chunks), End::Left) => chunks.chunks.front()?,
            (List::Chunks(chunks), End::Right) => chunks.chunks.back()?,
        };
        packed.peek(end)
    }

    /// Drops up to `count` elements at `end`.
    pub fn drop_end(&mut self, end: End, mut count: usize) {
        match self {
            List::Packed(packed) => packed.drop_end(end, count),
            List::Chunks(chunks) => {
                chunks.len -= count.min(chunks.len);
                while count > 0 {
                    let edge = match end {
                        End::Left => chunks.chunks.front_mut(),
                        End::Right => chunks.chunks.back_mut(),
                    };
                    let Some(edge) = edge else { break };
                    if edge.len() > count {
                        edge.drop_end(end, count);
                        break;
                    }
                    count -= edge.len();
                    match end {
                        End::Left => chunks.chunks.pop_front(),
                        End::Right => chunks.chunks.pop_back(),
                    };
                }
                self.shrink();
            }
        }
    }

    /// The element at `index`, which counts from the left.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        match self {
            List::Packed(packed) => packed.get(index),
            List::Chunks(chunks) => {
                let (chunk, index) = chunks.locate(index)?;
                chunks.chunks[chunk].get(index)
            }
        }
    }

    /// The elements from `start` on, left to right.
    pub fn iter_from(&self, start: usize) -> impl Iterator<Item = &[u8]> {
        let (chunk, index) = match self {
            List::Packed(_) => (0, start),
            List::Chunks(chunks) => chunks.locate(start).unwrap_or((chunks.chunks.len(), 0)),
        };
        let (first, more) = match self {
            List::Packed(packed) => (Some(packed), None),
            List::Chunks(chunks) => (
                chunks.chunks.get(chunk),
                chunks.chunks.len().checked_sub(chunk + 1),
            ),
        };
        let rest = match (self, more) {
            (List::Chunks(chunks), Some(_)) => Some(chunks.chunks.range(chunk + 1..)),
            _ => None,
        };
        let first = first
            .into_iter()
            .flat_map(move |packed| packed.iter_from(index));
        first.chain(
            rest.into_iter()
                .flatten()
                .flat_map(|packed| packed.iter_from(0)),
        )
    }

    /// The elements, right to left.
    pub fn iter_rev(&self) -> impl Iterator<Item = &[u8]> {
        let (one, many) = match self {
            List::Packed(packed) => (Some(packed), None),
            List::Chunks(chunks) => (None, Some(chunks.chunks.iter().rev())),
        };
        let one = one.into_iter().flat_map(Packed::iter_rev);
        one.chain(many.into_iter().flatten().flat_map(Packed::iter_rev))
    }

    /// Puts `element` in the place of the one at `index`; false if there is none.
    pub fn set(&mut self, index: usize, element: &[u8], limit: ChunkLimit) -> bool {
        if index >= self.len() {
            return false;
        }
        self.remove(index..index + 1);
        self.insert(index, element, limit);
        true
    }

    /// Puts `element` before the one at `index`, or at the end.
    pub fn insert(&mut self, index: usize, element: &[u8], limit: ChunkLimit) {
        if index == 0 {
            return self.push(End::Left, element, limit);
        }
        if index >= self.len() {
            return self.push(End::Right, element, limit);
        }
        match self {
            List::Packed(packed) if limit.admits(packed, element.len()) => {
                packed.insert(index, element)
            }
            List::Packed(_) => {
                self.to_chunks();
                self.insert(index, element, limit);
            }
            List::Chunks(chunks) => {
                let (at, index) = chunks.locate(index).expect("the index is within the list");
                chunks.len += 1;
                let chunk = &mut chunks.chunks[at];
                if limit.admits(chunk, element.len()) {
                    chunk.insert(index, element);
                    return;
                }
                let tail = chunk.split_off(index);
                let mut new = Packed::default();
                new.push(End::Right, element);
                let pieces = [new, tail].into_iter().filter(|piece| !piece.is_empty());
                for (offset, piece) in pieces.enumerate() {
                    chunks.chunks.insert(at + 1 + offset, piece);
                }
                chunks.chunks.retain(|chunk| !chunk.is_empty());
            }
        }
    }

    /// Drops the elements of a range of indexes within the list.
    pub fn remove(&mut self, range: std::ops::Range<usize>) {
        match self {
            List::Packed(packed) => packed.remove(range),
            List::Chunks(chunks) => {
                let mut left = range.len();
                let Some((mut at, mut index)) = chunks.locate(range.start) else {
                    return;
                };
                chunks.len -= left;
                while left > 0 {
                    let chunk = &mut chunks.chunks[at];
                    let count = left.min(chunk.len() - index);
                    left -= count;
                    if count == chunk.len() {
                        chunks.chunks.remove(at);
                    } else {
                        chunk.remove(index..index + count);
                        at += 1;
                    }
                    index = 0;
                }
                self.shrink();
            }
        }
    }

    /// Drops up to `count` elements that equal `element`, looking from `end`;
    /// answers how many there were.
    pub fn remove_equal(&mut self, end: End, count: usize, element: &[u8]) -> usize {
        let found: Vec<usize> = match end {
            End::Left => {
                let equal = self.iter_from(0).enumerate().filter(|(_, e)| *e == element);
                equal.map(|(index, _)| index).take(count).collect()
            }
            End::Right => {
                let last = self.len().saturating_sub(1);
                let equal = self.iter_rev().enumerate().filter(|(_, e)| *e == element);
                equal.map(|(index, _)| last - index).take(count).collect()
            }
        };
        match self {
            List::Packed(packed) => packed.remove_each(&mut sorted(&found).into_iter()),
            List::Chunks(chunks) => {
                let mut indexes = sorted(&found).into_iter().peekable();
                let mut first = 0;
                for chunk in &mut chunks.chunks {
                    let len = chunk.len();
                    let here: Vec<_> =
                        std::iter::from_fn(|| indexes.next_if(|i| *i < first + len)).collect();
                    if !here.is_empty() {
                        chunk.remove_each(&mut here.into_iter().map(|index| index - first));
                    }
                    first += len;
                }
                chunks.chunks.retain(|chunk| !chunk.is_empty());
                chunks.len -= found.len();
                self.shrink();
            }
        }
        found.len()
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        match self {
            List::Packed(packed) => packed.memory(),
            List::Chunks(chunks) => {
                let deque = chunks.chunks.capacity() * size_of::<Packed>();
                chunks.chunks.iter().map(Packed::memory).sum::<usize>()
                    + deque
                    + size_of::<Chunks>()
            }
        }
    }

    fn to_chunks(&mut self) {
        if let List::Packed(packed) = self {
            let packed = std::mem::take(packed);
            let len = packed.len();
            let chunks = if len == 0 {
                VecDeque::new()
            } else {
                VecDeque::from([packed])
            };
            *self = List::Chunks(Box::new(Chunks { chunks, len }));
        }
    }

    /// A large list that has become small is packed again; half of what a
    /// chunk may hold, so that it does not change back at the next push.
    fn shrink(&mut self) {
        if let List::Chunks(chunks) = self
            && chunks.chunks.len() <= 1
            && chunks
                .chunks
                .front()
                .is_none_or(|only| only.byte_len() <= DEFAULT_CHUNK / 2)
        {
            *self = List::Packed(chunks.chunks.pop_front().unwrap_or_default());
        }
    }
}

impl Chunks {
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

fn sorted(indexes: &[usize]) -> Vec<usize> {
    let mut indexes = indexes.to_vec();
    indexes.sort_unstable();
    indexes
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
        Remove(prop::sample::Index, usize),
        RemoveEqual(bool, usize, Vec<u8>),
    }

    fn element() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            6 => prop::collection::vec(b'a'..b'd', 0..3),
            1 => (130usize..400).prop_map(|len| vec![b'x'; len]),
        ]
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            8 => (any::<bool>(), element()).prop_map(|(l, e)| Op::Push(l, e)),
            1 => (any::<bool>(), 0usize..6).prop_map(|(l, n)| Op::Drop(l, n)),
            2 => (any::<prop::sample::Index>(), element()).prop_map(|(i, e)| Op::Insert(i, e)),
            2 => (any::<prop::sample::Index>(), element()).prop_map(|(i, e)| Op::Set(i, e)),
            1 => (any::<prop::sample::Index>(), 0usize..9).prop_map(|(i, n)| Op::Remove(i, n)),
            1 => (any::<bool>(), 0usize..5, element()).prop_map(|(l, n, e)| Op::RemoveEqual(l, n, e)),
        ]
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
                list.drop_end(end(left), n);
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
            Op::Remove(i, n) => {
                let start = i.index(model.len() + 1);
                let range = start..(start + n).min(model.len());
                list.remove(range.clone());
                model.drain(range);
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
                assert_eq!(list.remove_equal(end(left), n, &e), gone);
            }
        }
    }

    proptest! {
        #[test]
        fn a_list_is_what_a_vector_is(
            ops in prop::collection::vec(op(), 0..120),
            elements in any::<bool>(),
        ) {
            let limit = if elements { ChunkLimit::Elements(4) } else { ChunkLimit::Bytes(64) };
            let (mut list, mut model) = (List::default(), Vec::new());
            for op in ops {
                apply(&mut list, &mut model, op, limit);
                prop_assert_eq!(list.len(), model.len());
                prop_assert!(list.iter_from(0).eq(model.iter().map(Vec::as_slice)));
                prop_assert!(list.iter_rev().eq(model.iter().rev().map(Vec::as_slice)));
                prop_assert_eq!(list.peek(End::Left), model.first().map(Vec::as_slice));
                prop_assert_eq!(list.peek(End::Right), model.last().map(Vec::as_slice));
            }
            for index in 0..model.len() + 2 {
                prop_assert_eq!(list.get(index), model.get(index).map(Vec::as_slice));
                let rest = model.get(index..).unwrap_or_default();
                prop_assert!(list.iter_from(index).eq(rest.iter().map(Vec::as_slice)));
            }
        }
    }

    #[test]
    fn a_large_list_is_packed_again_when_it_has_become_small() {
        let mut list = List::default();
        for _ in 0..5000 {
            list.push(End::Right, b"0123456789abcdef", ChunkLimit::default());
        }
        assert!(!list.is_packed());
        assert!(list.memory() < 5000 * 20, "{}", list.memory());
        list.drop_end(End::Left, 4990);
        assert!(list.is_packed());
    }
}
