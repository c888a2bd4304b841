//! The order of a large sorted set: a B+ tree of scores and handles that
//! counts what is below each node, so that ranks and ranges are logarithmic.
//!
//! What stands behind a handle is not known here. Equal scores are in the
//! order of their members, which whoever asks compares.

use std::ops::Range;

use crate::db::memory::heap;

/// Entries of a full leaf: 1.5 KiB, which move at once when one comes among
/// them.
const LEAF: usize = 128;
/// Children of a full inner node.
const FANOUT: usize = 64;
/// A leaf gets room for so many entries more at a time, so that the one that
/// splits seldom wastes little.
const ROOM: usize = 16;

/// A score and the handle of what has it.
pub type Entry = (f64, u32);

/// A place in the order: behind all lower scores, and among those that equal
/// this one behind the handles of which `is_before` holds.
#[derive(Clone, Copy, Debug)]
pub struct Spot<F> {
    /// The score.
    pub score: f64,
    /// Whether another entry of this score is before the place.
    pub is_before: F,
}

/// Scores and handles in order.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    root: Node,
    len: usize,
}

/// A part of the order.
#[derive(Clone, Debug)]
enum Node {
    Leaf(Block),
    Inner(Box<Inner>),
}

/// Entries side by side, in order: a score and a handle at the same place
/// belong together.
#[derive(Clone, Debug, Default)]
struct Block {
    scores: Vec<f64>,
    handles: Vec<u32>,
}

/// What is at the same place in each belongs together.
#[derive(Clone, Debug, Default)]
struct Inner {
    /// The first entry below each child.
    firsts: Block,
    /// How many entries are below each.
    counts: Vec<u32>,
    /// None is empty.
    children: Vec<Node>,
}

impl Default for Node {
    fn default() -> Self {
        Node::Leaf(Block::default())
    }
}

impl Block {
    fn len(&self) -> usize {
        self.scores.len()
    }

    /// How many entries are before a place.
    fn find(&self, spot: &Spot<impl Fn(u32) -> bool>) -> usize {
        // To count them all takes less time than to guess where to look: the
        // processor compares several at once, and waits for memory once.
        let lower = self
            .scores
            .iter()
            .map(|score| usize::from(*score < spot.score));
        let lower: usize = lower.sum();
        let rest = &self.scores[lower..];
        if rest.first() != Some(&spot.score) {
            return lower;
        }
        let equal = rest.partition_point(|score| *score == spot.score);
        let handles = &self.handles[lower..lower + equal];
        lower + handles.partition_point(|handle| (spot.is_before)(*handle))
    }

    fn first(&self) -> Option<Entry> {
        Some((*self.scores.first()?, *self.handles.first()?))
    }

    fn insert(&mut self, at: usize, (score, handle): Entry) {
        if self.len() == self.scores.capacity() {
            self.scores.reserve_exact(ROOM);
            self.handles.reserve_exact(ROOM);
        }
        self.scores.insert(at, score);
        self.handles.insert(at, handle);
    }

    fn remove(&mut self, at: usize) -> u32 {
        self.scores.remove(at);
        self.handles.remove(at)
    }

    fn split_off(&mut self, at: usize) -> Block {
        let behind = Block {
            scores: self.scores.split_off(at),
            handles: self.handles.split_off(at),
        };
        heap::shrink(&mut self.scores, at + ROOM);
        heap::shrink(&mut self.handles, at + ROOM);
        behind
    }

    fn append(&mut self, behind: Block) {
        self.scores.reserve_exact(behind.len() + ROOM);
        self.handles.reserve_exact(behind.len() + ROOM);
        self.scores.extend(behind.scores);
        self.handles.extend(behind.handles);
    }

    #[cfg(test)]
    fn memory(&self) -> usize {
        self.scores.capacity() * size_of::<f64>() + self.handles.capacity() * size_of::<u32>()
    }
}

impl Inner {
    /// Two nodes, one behind the other.
    fn of(left: Node, right: Node) -> Inner {
        let mut inner = Inner::default();
        inner.insert(0, left);
        inner.insert(1, right);
        inner
    }

    fn len(&self) -> usize {
        self.children.len()
    }

    /// Which child holds the last entry before a place: there the search goes
    /// on.
    fn find(&self, spot: &Spot<impl Fn(u32) -> bool>) -> usize {
        self.firsts.find(spot).saturating_sub(1)
    }

    /// Which child holds the entry of this rank, and its rank there.
    fn at_rank(&self, mut rank: usize) -> (usize, usize) {
        for (at, &count) in self.counts.iter().enumerate() {
            if rank < count as usize {
                return (at, rank);
            }
            rank -= count as usize;
        }
        (self.len(), rank)
    }

    fn insert(&mut self, at: usize, node: Node) {
        self.firsts.insert(at, node.first().unwrap_or_default());
        self.counts.insert(at, node.count());
        self.children.insert(at, node);
    }

    fn drain(&mut self, range: Range<usize>) {
        self.firsts.scores.drain(range.clone());
        self.firsts.handles.drain(range.clone());
        self.counts.drain(range.clone());
        self.children.drain(range);
    }

    fn split_off(&mut self, at: usize) -> Inner {
        let behind = Inner {
            firsts: self.firsts.split_off(at),
            counts: self.counts.split_off(at),
            children: self.children.split_off(at),
        };
        self.children.shrink_to(FANOUT);
        behind
    }

    fn append(&mut self, behind: Inner) {
        self.firsts.append(behind.firsts);
        self.counts.extend(behind.counts);
        self.children.extend(behind.children);
    }

    /// Looks what the first entry of a child is now.
    fn refresh(&mut self, at: usize) {
        if let Some((score, handle)) = self.children[at].first() {
            self.firsts.scores[at] = score;
            self.firsts.handles[at] = handle;
        }
    }

    /// Removes entries of one child.
    fn remove_range_of(&mut self, at: usize, range: Range<usize>, each: &mut impl FnMut(u32)) {
        self.counts[at] -= range.len() as u32;
        self.children[at].remove_range(range, each);
        self.refresh(at);
    }

    /// Removes a child that is empty, and makes one of it and a neighbour if it
    /// is small and both leave some room for what comes.
    fn mend(&mut self, at: usize) {
        let Some(child) = self.children.get(at) else {
            return;
        };
        if self.counts[at] == 0 {
            return self.drain(at..at + 1);
        }
        let (fill, full) = child.fill();
        if fill > full / 4 {
            return;
        }
        for left in [at.checked_sub(1), Some(at)].into_iter().flatten() {
            if let [first, second, ..] = &mut self.children[left..]
                && first.fill().0 + second.fill().0 <= full * 3 / 4
            {
                first.append(std::mem::take(second));
                self.counts[left] += self.counts[left + 1];
                return self.drain(left + 1..left + 2);
            }
        }
    }
}

impl Node {
    fn first(&self) -> Option<Entry> {
        match self {
            Node::Leaf(block) => block.first(),
            Node::Inner(inner) => inner.firsts.first(),
        }
    }

    fn count(&self) -> u32 {
        match self {
            Node::Leaf(block) => block.len() as u32,
            Node::Inner(inner) => inner.counts.iter().sum(),
        }
    }

    /// How much it has of what it takes at most.
    fn fill(&self) -> (usize, usize) {
        match self {
            Node::Leaf(block) => (block.len(), LEAF),
            Node::Inner(inner) => (inner.len(), FANOUT),
        }
    }

    /// Puts an entry in its place; answers what is behind it if that is too
    /// much for one node. `is_last` if nothing comes behind this node.
    fn insert(
        &mut self,
        spot: &Spot<impl Fn(u32) -> bool>,
        handle: u32,
        is_last: bool,
    ) -> Option<Node> {
        let inner = match self {
            Node::Leaf(block) => {
                let at = block.find(spot);
                if block.len() < LEAF {
                    block.insert(at, (spot.score, handle));
                    return None;
                }
                // Who inserts in order leaves full leaves behind.
                let kept = if is_last && at == LEAF {
                    LEAF
                } else {
                    LEAF / 2
                };
                let mut behind = block.split_off(kept);
                if kept < LEAF && at <= kept {
                    block.insert(at, (spot.score, handle));
                } else {
                    behind.insert(at - kept, (spot.score, handle));
                }
                return Some(Node::Leaf(behind));
            }
            Node::Inner(inner) => inner,
        };
        let at = inner.find(spot);
        let is_last = is_last && at + 1 == inner.len();
        let behind = inner.children[at].insert(spot, handle, is_last);
        inner.counts[at] += 1;
        inner.refresh(at);
        let behind = behind?;
        inner.counts[at] -= behind.count();
        inner.insert(at + 1, behind);
        if inner.len() <= FANOUT {
            return None;
        }
        let kept = if is_last { FANOUT } else { FANOUT / 2 };
        Some(Node::Inner(Box::new(inner.split_off(kept))))
    }

    /// Removes the last entry before a place.
    fn remove(&mut self, spot: &Spot<impl Fn(u32) -> bool>) -> Option<u32> {
        match self {
            Node::Leaf(block) => {
                let at = block.find(spot).checked_sub(1)?;
                Some(block.remove(at))
            }
            Node::Inner(inner) => {
                let at = inner.find(spot);
                let removed = inner.children[at].remove(spot)?;
                inner.counts[at] -= 1;
                inner.refresh(at);
                inner.mend(at);
                Some(removed)
            }
        }
    }

    /// Puts another handle into the last entry before a place.
    fn replace(&mut self, spot: &Spot<impl Fn(u32) -> bool>, handle: u32) {
        match self {
            Node::Leaf(block) => {
                let last = block.find(spot).checked_sub(1);
                if let Some(entry) = last.and_then(|at| block.handles.get_mut(at)) {
                    *entry = handle;
                }
            }
            Node::Inner(inner) => {
                let at = inner.find(spot);
                inner.children[at].replace(spot, handle);
                inner.refresh(at);
            }
        }
    }

    /// Removes the entries of these ranks, which are there, and tells of each.
    fn remove_range(&mut self, range: Range<usize>, each: &mut impl FnMut(u32)) {
        let inner = match self {
            Node::Leaf(block) => {
                block.scores.drain(range.clone());
                block.handles.drain(range).for_each(each);
                return;
            }
            Node::Inner(inner) => inner,
        };
        let mut left = range.len();
        let (mut at, offset) = inner.at_rank(range.start);
        if offset > 0 {
            let count = left.min(inner.counts[at] as usize - offset);
            inner.remove_range_of(at, offset..offset + count, each);
            left -= count;
            at += 1;
        }
        let whole = at;
        while left > 0 && inner.counts[at] as usize <= left {
            left -= inner.counts[at] as usize;
            inner.children[at].for_each(each);
            at += 1;
        }
        inner.drain(whole..at);
        if left > 0 {
            inner.remove_range_of(whole, 0..left, each);
        }
        // What is left on both sides of the gap may be little.
        inner.mend(whole);
        inner.mend(whole.saturating_sub(1));
    }

    fn for_each(&self, each: &mut impl FnMut(u32)) {
        match self {
            Node::Leaf(block) => block.handles.iter().for_each(|handle| each(*handle)),
            Node::Inner(inner) => inner.children.iter().for_each(|child| child.for_each(each)),
        }
    }

    /// Takes all of the node behind it, which is of the same height.
    fn append(&mut self, behind: Node) {
        match (self, behind) {
            (Node::Leaf(block), Node::Leaf(behind)) => block.append(behind),
            (Node::Inner(inner), Node::Inner(behind)) => inner.append(*behind),
            _ => unreachable!("all leaves are equally deep"),
        }
    }

    /// Frees a leaf at the end; answers whether anything is left.
    fn shed(&mut self) -> bool {
        match self {
            Node::Leaf(block) => {
                *block = Block::default();
                false
            }
            Node::Inner(inner) => {
                if let Some(last) = inner.children.last_mut()
                    && !last.shed()
                {
                    inner.children.pop();
                }
                !inner.children.is_empty()
            }
        }
    }
}

impl Tree {
    /// How many entries there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Puts an entry in its place.
    pub fn insert(&mut self, spot: Spot<impl Fn(u32) -> bool>, handle: u32) {
        self.len += 1;
        if let Some(right) = self.root.insert(&spot, handle, true) {
            let left = std::mem::take(&mut self.root);
            self.root = Node::Inner(Box::new(Inner::of(left, right)));
        }
    }

    /// Removes the last entry before a place; answers its handle.
    pub fn remove(&mut self, spot: Spot<impl Fn(u32) -> bool>) -> Option<u32> {
        let removed = self.root.remove(&spot)?;
        self.len -= 1;
        self.lower();
        Some(removed)
    }

    /// Puts another handle into the last entry before a place: what the old one
    /// stood for is found under it now.
    pub fn replace(&mut self, spot: Spot<impl Fn(u32) -> bool>, handle: u32) {
        self.root.replace(&spot, handle);
    }

    /// Removes the entries of these ranks, as far as they are there, and tells
    /// the handle of each.
    pub fn remove_range(&mut self, range: Range<usize>, mut each: impl FnMut(u32)) {
        let range = range.start..range.end.min(self.len);
        if !range.is_empty() {
            self.len -= range.len();
            self.root.remove_range(range, &mut each);
            self.lower();
        }
    }

    /// Takes away what has one child only, or none.
    fn lower(&mut self) {
        while let Node::Inner(inner) = &mut self.root
            && inner.len() <= 1
        {
            self.root = inner.children.pop().unwrap_or_default();
        }
    }

    /// How many entries are before a place.
    pub fn rank(&self, spot: Spot<impl Fn(u32) -> bool>) -> usize {
        let (mut node, mut rank) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(block) => return rank + block.find(&spot),
                Node::Inner(inner) => {
                    let at = inner.find(&spot);
                    rank += inner.counts[..at].iter().sum::<u32>() as usize;
                    node = &inner.children[at];
                }
            }
        }
    }

    /// The leaf with the entry of this rank, and where in it that is.
    fn leaf_at(&self, rank: usize) -> (&Block, usize) {
        let (mut node, mut rank) = (&self.root, rank);
        loop {
            match node {
                Node::Leaf(block) => return (block, rank),
                Node::Inner(inner) => {
                    let (at, rest) = inner.at_rank(rank);
                    (node, rank) = (&inner.children[at], rest);
                }
            }
        }
    }

    /// The first entry.
    pub fn first(&self) -> Option<Entry> {
        self.root.first()
    }

    /// The entry of this rank.
    pub fn get(&self, rank: usize) -> Option<Entry> {
        if rank >= self.len {
            return None;
        }
        let (block, at) = self.leaf_at(rank);
        Some((block.scores[at], block.handles[at]))
    }

    /// The entries of these ranks, as far as they are there.
    pub fn range(&self, range: Range<usize>) -> Iter<'_> {
        let end = range.end.min(self.len);
        Iter {
            tree: self,
            ranks: range.start.min(end)..end,
            front: Run::default(),
            back: Run::default(),
        }
    }

    /// Bytes of memory held, about: what an entry takes depends on the order in
    /// which they have come, from 13 bytes to 15.
    pub fn memory(&self) -> usize {
        self.len * 15
    }

    /// In about how many pieces it is held.
    pub fn pieces(&self) -> usize {
        self.len / (LEAF / 2) + 1
    }

    /// Frees some leaves, as many as `budget` has left; answers whether all are
    /// freed. Nobody can look anything up any more.
    pub fn free_some(&mut self, budget: &mut usize) -> bool {
        while *budget > 0 {
            *budget -= 1;
            if !self.root.shed() {
                *self = Tree::default();
                return true;
            }
        }
        false
    }
}

/// Some entries of one leaf.
#[derive(Clone, Copy, Debug, Default)]
struct Run<'a> {
    scores: &'a [f64],
    handles: &'a [u32],
}

impl<'a> Run<'a> {
    fn new(leaf: &'a Block, range: Range<usize>) -> Run<'a> {
        Run {
            scores: &leaf.scores[range.clone()],
            handles: &leaf.handles[range],
        }
    }

    #[inline]
    fn fold<B>(self, init: B, mut each: impl FnMut(B, Entry) -> B) -> B {
        let entries = self.scores.iter().zip(self.handles);
        entries.fold(init, |folded, (score, handle)| {
            each(folded, (*score, *handle))
        })
    }

    fn next(&mut self) -> Option<Entry> {
        let (&score, scores) = self.scores.split_first()?;
        let (&handle, handles) = self.handles.split_first()?;
        *self = Run { scores, handles };
        Some((score, handle))
    }

    fn next_back(&mut self) -> Option<Entry> {
        let (&score, scores) = self.scores.split_last()?;
        let (&handle, handles) = self.handles.split_last()?;
        *self = Run { scores, handles };
        Some((score, handle))
    }
}

/// Entries in order. The next leaf is looked up by its rank, which costs little
/// beside what is done with its entries.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    tree: &'a Tree,
    /// Those that are in neither run.
    ranks: Range<usize>,
    front: Run<'a>,
    back: Run<'a>,
}

impl Iterator for Iter<'_> {
    type Item = Entry;

    #[inline]
    fn next(&mut self) -> Option<Entry> {
        if self.front.scores.is_empty() {
            if self.ranks.is_empty() {
                return self.back.next();
            }
            let (leaf, at) = self.tree.leaf_at(self.ranks.start);
            let end = leaf.scores.len().min(at + self.ranks.len());
            self.front = Run::new(leaf, at..end);
            self.ranks.start += end - at;
        }
        self.front.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.front.scores.len() + self.ranks.len() + self.back.scores.len();
        (len, Some(len))
    }

    /// Goes through the leaves one by one.
    #[inline]
    fn fold<B, F: FnMut(B, Entry) -> B>(mut self, init: B, mut each: F) -> B {
        let mut folded = self.front.fold(init, &mut each);
        while !self.ranks.is_empty() {
            let (leaf, at) = self.tree.leaf_at(self.ranks.start);
            let end = leaf.scores.len().min(at + self.ranks.len());
            folded = Run::new(leaf, at..end).fold(folded, &mut each);
            self.ranks.start += end - at;
        }
        self.back.fold(folded, each)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Entry> {
        if self.back.scores.is_empty() {
            if self.ranks.is_empty() {
                return self.front.next_back();
            }
            let (leaf, last) = self.tree.leaf_at(self.ranks.end - 1);
            let start = (last + 1).saturating_sub(self.ranks.len());
            self.back = Run::new(leaf, start..last + 1);
            self.ranks.end -= last + 1 - start;
        }
        self.back.next_back()
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The place of an entry, where members are in the order of handles.
    fn before(score: f64, handle: u32) -> Spot<impl Fn(u32) -> bool> {
        let is_before = move |other| other < handle;
        Spot { score, is_before }
    }

    /// The place behind an entry.
    fn behind(score: f64, handle: u32) -> Spot<impl Fn(u32) -> bool> {
        let is_before = move |other| other <= handle;
        Spot { score, is_before }
    }

    /// Nodes know what is below them, and none is empty.
    fn check(tree: &Tree) {
        fn walk(node: &Node, depth: usize, depths: &mut Vec<usize>) -> usize {
            let inner = match node {
                Node::Leaf(block) => {
                    assert_eq!(block.scores.len(), block.handles.len());
                    assert!(block.len() <= LEAF);
                    depths.push(depth);
                    return block.len();
                }
                Node::Inner(inner) => inner,
            };
            assert!((1..=FANOUT).contains(&inner.len()));
            let mut sum = 0;
            for (at, child) in inner.children.iter().enumerate() {
                let first = (inner.firsts.scores[at], inner.firsts.handles[at]);
                assert_eq!(child.first(), Some(first));
                let count = walk(child, depth + 1, depths);
                assert_eq!(count, inner.counts[at] as usize);
                sum += count;
            }
            assert_eq!(
                (inner.firsts.len(), inner.counts.len()),
                (inner.len(), inner.len())
            );
            sum
        }
        let mut depths = Vec::new();
        assert_eq!(walk(&tree.root, 0, &mut depths), tree.len);
        depths.dedup();
        assert_eq!(depths.len(), 1, "all leaves are equally deep");
    }

    #[derive(Clone, Debug)]
    enum Op {
        /// So many with about this score.
        Insert(u8, u16),
        /// So many with ascending scores behind all others.
        Append(u16),
        Remove(prop::sample::Index, u16),
        RemoveRange(prop::sample::Index, u16),
        /// As many get a handle that fits in the same place.
        Replace(prop::sample::Index, u16),
    }

    fn op() -> impl Strategy<Value = Op> {
        let index = any::<prop::sample::Index>();
        prop_oneof![
            4 => (any::<u8>(), 1..400u16).prop_map(|(score, n)| Op::Insert(score, n)),
            1 => (1..2000u16).prop_map(Op::Append),
            3 => (index.clone(), 1..400u16).prop_map(|(at, n)| Op::Remove(at, n)),
            2 => (index.clone(), 1..1500u16).prop_map(|(at, n)| Op::RemoveRange(at, n)),
            1 => (index, 1..400u16).prop_map(|(at, n)| Op::Replace(at, n)),
        ]
    }

    fn apply(tree: &mut Tree, model: &mut Vec<(f64, u32)>, op: Op, next: &mut u32) {
        let insert = |tree: &mut Tree, model: &mut Vec<(f64, u32)>, score: f64, handle: u32| {
            tree.insert(before(score, handle), handle);
            let at = model.partition_point(|entry| *entry < (score, handle));
            model.insert(at, (score, handle));
        };
        match op {
            Op::Insert(score, count) => {
                for n in 0..u32::from(count) {
                    // Handles go up and down, so that ties fall anywhere.
                    let handle = 2 * (*next ^ (n * 7919 % 1024));
                    insert(tree, model, f64::from(score) + f64::from(n % 3), handle);
                }
                *next += 1024;
            }
            Op::Append(count) => {
                let last = model.last().map_or(0.0, |entry| entry.0);
                for n in 0..u32::from(count) {
                    insert(tree, model, last + f64::from(n), 2 * (*next + 1024 + n));
                }
                *next = (*next + 4096) & !1023;
            }
            Op::Remove(at, count) => {
                for n in 0..usize::from(count).min(model.len()) {
                    let at = (at.index(model.len()) + n * 31) % model.len();
                    let (score, handle) = model.remove(at);
                    assert_eq!(tree.remove(behind(score, handle)), Some(handle));
                }
            }
            Op::Replace(at, count) => {
                for n in 0..usize::from(count).min(model.len()) {
                    let at = (at.index(model.len()) + n * 31) % model.len();
                    let (score, handle) = model[at];
                    // All handles that are given are even.
                    model[at].1 = handle | 1;
                    tree.replace(behind(score, handle), handle | 1);
                }
            }
            Op::RemoveRange(at, count) => {
                let start = at.index(model.len() + 1);
                let end = start + usize::from(count);
                let mut removed = Vec::new();
                tree.remove_range(start..end, |handle| removed.push(handle));
                let expected = model.drain(start..end.min(model.len()));
                assert!(expected.map(|entry| entry.1).eq(removed));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_tree_is_what_a_sorted_vector_is(ops in prop::collection::vec(op(), 0..40)) {
            let (mut tree, mut model, mut next) = (Tree::default(), Vec::new(), 0);
            for op in ops {
                apply(&mut tree, &mut model, op, &mut next);
                check(&tree);
                prop_assert_eq!(tree.len(), model.len());
            }
            prop_assert!(tree.range(0..usize::MAX).eq(model.iter().copied()));
            prop_assert!(tree.range(0..usize::MAX).rev().eq(model.iter().rev().copied()));
            for at in (0..model.len() + 2).step_by(37) {
                prop_assert_eq!(tree.get(at), model.get(at).copied());
                let end = (at + at % 300).min(model.len());
                let range = at.min(end)..end;
                prop_assert!(tree.range(at..at + at % 300).eq(model[range.clone()].iter().copied()));
                prop_assert_eq!(tree.range(range.clone()).len(), range.len());
                let mut both = tree.range(range.clone());
                let (mut ends, mut inner) = (Vec::new(), &model[range]);
                while let [first, rest @ ..] = inner {
                    ends.push((both.next(), *first));
                    inner = rest;
                    if let [rest @ .., last] = inner {
                        ends.push((both.next_back(), *last));
                        inner = rest;
                    }
                }
                prop_assert!(ends.iter().all(|(got, expected)| *got == Some(*expected)));
                prop_assert_eq!(both.next(), None);
            }
            for &(score, handle) in model.iter().step_by(53) {
                let rank = model.partition_point(|entry| *entry < (score, handle));
                prop_assert_eq!(tree.rank(before(score, handle)), rank);
                prop_assert_eq!(tree.rank(behind(score, handle)), rank + 1);
                let rank = model.partition_point(|entry| entry.0 < score);
                prop_assert_eq!(tree.rank(before(score, 0)), rank);
            }
        }
    }

    fn ascending(count: u32) -> Tree {
        let mut tree = Tree::default();
        for n in 0..count {
            tree.insert(behind(f64::from(n), n), n);
        }
        tree
    }

    /// Bytes of memory that the leaves hold, and what leads to them.
    fn held(tree: &Tree) -> usize {
        fn of(node: &Node) -> usize {
            match node {
                Node::Leaf(block) => block.memory(),
                Node::Inner(inner) => {
                    let children = inner.children.iter().map(of);
                    let frames = inner.len() * (size_of::<Node>() + size_of::<Entry>());
                    children.sum::<usize>() + frames
                }
            }
        }
        of(&tree.root)
    }

    #[test]
    fn what_comes_in_order_fills_leaves() {
        let count = 100_000;
        let tree = ascending(count);
        check(&tree);
        let per_entry = held(&tree) as f64 / f64::from(count);
        let told = tree.memory() as f64 / f64::from(count);
        assert!(
            (0.95..1.2).contains(&(told / per_entry)),
            "{told} of {per_entry}"
        );
        assert!(per_entry < 12.8, "{per_entry} bytes an entry");
    }

    #[test]
    fn what_comes_in_any_order_wastes_little() {
        let count = 100_000;
        let mut rng = fastrand::Rng::with_seed(1);
        let mut tree = Tree::default();
        for n in 0..count {
            let score = rng.f64();
            tree.insert(before(score, n), n);
        }
        check(&tree);
        let per_entry = held(&tree) as f64 / f64::from(count);
        let told = tree.memory() as f64 / f64::from(count);
        assert!(
            (0.95..1.2).contains(&(told / per_entry)),
            "{told} of {per_entry}"
        );
        assert!(per_entry < 15.0, "{per_entry} bytes an entry");
        // Until few are left, which are not held by many leaves.
        while tree.len() > 1000 {
            let at = rng.usize(..tree.len());
            tree.remove_range(at..at + 1, |_| {});
        }
        check(&tree);
        let per_entry = held(&tree) as f64 / 1000.0;
        assert!(per_entry < 50.0, "{per_entry} bytes an entry");
    }

    #[test]
    fn it_is_freed_in_steps() {
        let mut tree = ascending(100_000);
        let mut steps = 0;
        loop {
            let mut budget = 100;
            steps += 1;
            if tree.free_some(&mut budget) {
                break;
            }
            assert_eq!(budget, 0);
        }
        assert!((7..10).contains(&steps), "{steps} steps");
        assert_eq!(tree.len(), 0);
    }

    #[test]
    fn nothing_is_found_in_an_empty_one() {
        let mut tree = Tree::default();
        assert_eq!(tree.remove(behind(1.0, 1)), None);
        assert_eq!(tree.rank(behind(1.0, 1)), 0);
        assert_eq!(tree.first(), None);
        assert_eq!(tree.get(0), None);
        assert_eq!(tree.range(0..10).next(), None);
        tree.insert(behind(1.0, 1), 1);
        assert_eq!(tree.first(), Some((1.0, 1)));
        assert_eq!(tree.remove(before(1.0, 1)), None);
        assert_eq!(tree.len(), 1);
        assert_eq!(tree.remove(behind(1.0, 1)), Some(1));
        assert_eq!((tree.len(), tree.memory()), (0, 0));
    }
}
