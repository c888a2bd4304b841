//! The order of a large sorted set: a B+ tree of scores and handles that
//! counts what is below each node, so that ranks and ranges are logarithmic.
//!
//! What stands behind a handle is not known here. Equal scores are in the
//! order of their members, which whoever asks compares: it tells of an entry
//! whether it is still before what is looked for.

use std::ops::Range;

/// Entries of a full leaf: 1.5 KiB, which move at once when one comes among
/// them.
const LEAF: usize = 128;
/// Children of a full inner node.
const FANOUT: usize = 64;
/// A leaf gets room for so many entries more at a time, so that the one that
/// splits seldom wastes little.
const ROOM: usize = 16;

/// Scores and handles in order.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    root: Node,
    len: usize,
}

/// A part of the order.
#[derive(Clone, Debug)]
enum Node {
    Leaf(Leaf),
    /// None of them is empty.
    Inner(Vec<Child>),
}

/// Entries side by side: the first of each belong together.
#[derive(Clone, Debug, Default)]
struct Leaf {
    scores: Vec<f64>,
    handles: Vec<u32>,
}

/// A node, and what its parent has to know of it.
#[derive(Clone, Debug)]
struct Child {
    /// The first entry below it.
    score: f64,
    handle: u32,
    /// How many entries are below it.
    count: u32,
    node: Box<Node>,
}

impl Default for Node {
    fn default() -> Self {
        Node::Leaf(Leaf::default())
    }
}

/// How many of `len` are before what is looked for. They come first.
fn partition(len: usize, is_before: impl Fn(usize) -> bool) -> usize {
    let (mut start, mut len) = (0, len);
    while len > 0 {
        let half = len / 2;
        if is_before(start + half) {
            start += half + 1;
            len -= half + 1;
        } else {
            len = half;
        }
    }
    start
}

/// Which of the children holds the last entry that is before what is looked
/// for: there the order is to be searched on.
fn child_for(children: &[Child], is_before: &impl Fn(f64, u32) -> bool) -> usize {
    let is_before = |at: usize| is_before(children[at].score, children[at].handle);
    partition(children.len(), is_before).saturating_sub(1)
}

/// Which of the children holds the entry of this rank, and its rank there.
fn child_at(children: &[Child], mut rank: usize) -> (usize, usize) {
    for (at, child) in children.iter().enumerate() {
        let count = child.count as usize;
        if rank < count {
            return (at, rank);
        }
        rank -= count;
    }
    (children.len(), rank)
}

impl Leaf {
    fn partition(&self, is_before: &impl Fn(f64, u32) -> bool) -> usize {
        // So that the compiler checks once that they are of one length.
        let (scores, handles) = (&self.scores[..], &self.handles[..self.scores.len()]);
        partition(scores.len(), |at| is_before(scores[at], handles[at]))
    }

    /// Puts an entry where it belongs; answers what is behind it if there is
    /// too much for one leaf.
    fn insert(
        &mut self,
        (score, handle): (f64, u32),
        is_before: &impl Fn(f64, u32) -> bool,
        is_last: bool,
    ) -> Option<Leaf> {
        let at = self.partition(is_before);
        if self.scores.len() < LEAF {
            self.put(at, score, handle);
            return None;
        }
        let mut right = Leaf::default();
        if is_last && at == LEAF {
            // Who inserts in order leaves full leaves behind.
            right.put(0, score, handle);
            return Some(right);
        }
        right.scores = self.scores.split_off(LEAF / 2);
        right.handles = self.handles.split_off(LEAF / 2);
        self.scores.shrink_to(LEAF / 2 + ROOM);
        self.handles.shrink_to(LEAF / 2 + ROOM);
        if at <= LEAF / 2 {
            self.put(at, score, handle);
        } else {
            right.put(at - LEAF / 2, score, handle);
        }
        Some(right)
    }

    fn put(&mut self, at: usize, score: f64, handle: u32) {
        if self.scores.len() == self.scores.capacity() {
            self.scores.reserve_exact(ROOM);
        }
        if self.handles.len() == self.handles.capacity() {
            self.handles.reserve_exact(ROOM);
        }
        self.scores.insert(at, score);
        self.handles.insert(at, handle);
    }

    fn memory(&self) -> usize {
        self.scores.capacity() * size_of::<f64>() + self.handles.capacity() * size_of::<u32>()
    }
}

impl Child {
    fn new(node: Node) -> Child {
        let count = match &node {
            Node::Leaf(leaf) => leaf.scores.len() as u32,
            Node::Inner(children) => children.iter().map(|child| child.count).sum(),
        };
        let (score, handle) = node.first().unwrap_or_default();
        Child {
            score,
            handle,
            count,
            node: Box::new(node),
        }
    }

    /// Looks what is the first entry now.
    fn refresh(&mut self) {
        (self.score, self.handle) = self.node.first().unwrap_or_default();
    }

    fn remove_range(&mut self, range: Range<usize>, each: &mut impl FnMut(u32)) {
        self.count -= range.len() as u32;
        self.node.remove_range(range, each);
        self.refresh();
    }
}

impl Node {
    fn first(&self) -> Option<(f64, u32)> {
        match self {
            Node::Leaf(leaf) => Some((*leaf.scores.first()?, *leaf.handles.first()?)),
            Node::Inner(children) => {
                let child = children.first()?;
                Some((child.score, child.handle))
            }
        }
    }

    /// Puts an entry where it belongs; answers what is behind it if that is
    /// too much for one node. `is_last` if nothing comes behind this node.
    fn insert(
        &mut self,
        entry: (f64, u32),
        is_before: &impl Fn(f64, u32) -> bool,
        is_last: bool,
    ) -> Option<Node> {
        let children = match self {
            Node::Leaf(leaf) => return leaf.insert(entry, is_before, is_last).map(Node::Leaf),
            Node::Inner(children) => children,
        };
        let at = child_for(children, is_before);
        let is_last = is_last && at + 1 == children.len();
        let child = &mut children[at];
        let right = child.node.insert(entry, is_before, is_last);
        child.count += 1;
        child.refresh();
        let right = Child::new(right?);
        child.count -= right.count;
        children.insert(at + 1, right);
        if children.len() <= FANOUT {
            return None;
        }
        let kept = if is_last { FANOUT } else { FANOUT / 2 };
        let right = children.split_off(kept);
        children.shrink_to(FANOUT);
        Some(Node::Inner(right))
    }

    /// Removes the last entry that is before what is looked for.
    fn remove(&mut self, is_before: &impl Fn(f64, u32) -> bool) -> Option<u32> {
        match self {
            Node::Leaf(leaf) => {
                let at = leaf.partition(is_before).checked_sub(1)?;
                leaf.scores.remove(at);
                Some(leaf.handles.remove(at))
            }
            Node::Inner(children) => {
                let at = child_for(children, is_before);
                let child = &mut children[at];
                let removed = child.node.remove(is_before)?;
                child.count -= 1;
                child.refresh();
                mend(children, at);
                Some(removed)
            }
        }
    }

    /// Puts another handle into the last entry that is before what is looked
    /// for.
    fn replace(&mut self, handle: u32, is_before: &impl Fn(f64, u32) -> bool) {
        match self {
            Node::Leaf(leaf) => {
                let last = leaf.partition(is_before).checked_sub(1);
                if let Some(entry) = last.and_then(|at| leaf.handles.get_mut(at)) {
                    *entry = handle;
                }
            }
            Node::Inner(children) => {
                let at = child_for(children, is_before);
                children[at].node.replace(handle, is_before);
                children[at].refresh();
            }
        }
    }

    /// Removes the entries of these ranks, which are there, and tells of each.
    fn remove_range(&mut self, range: Range<usize>, each: &mut impl FnMut(u32)) {
        let children = match self {
            Node::Leaf(leaf) => {
                leaf.scores.drain(range.clone());
                leaf.handles.drain(range).for_each(each);
                return;
            }
            Node::Inner(children) => children,
        };
        let mut left = range.len();
        let (mut at, offset) = child_at(children, range.start);
        if offset > 0 {
            let child = &mut children[at];
            let count = left.min(child.count as usize - offset);
            child.remove_range(offset..offset + count, each);
            left -= count;
            at += 1;
        }
        let whole = at;
        while left > 0 && children[at].count as usize <= left {
            left -= children[at].count as usize;
            children[at].node.for_each(each);
            at += 1;
        }
        children.drain(whole..at);
        if left > 0 {
            children[whole].remove_range(0..left, each);
        }
        // What is left on both sides of the gap may be little.
        mend(children, whole);
        mend(children, whole.saturating_sub(1));
    }

    fn for_each(&self, each: &mut impl FnMut(u32)) {
        match self {
            Node::Leaf(leaf) => leaf.handles.iter().for_each(|handle| each(*handle)),
            Node::Inner(children) => children.iter().for_each(|child| child.node.for_each(each)),
        }
    }

    /// How much of what it takes at most it has.
    fn fill(&self) -> (usize, usize) {
        match self {
            Node::Leaf(leaf) => (leaf.scores.len(), LEAF),
            Node::Inner(children) => (children.len(), FANOUT),
        }
    }

    /// Takes all of the node behind it, which is of the same height.
    fn append(&mut self, behind: Node) {
        match (self, behind) {
            (Node::Leaf(leaf), Node::Leaf(behind)) => {
                leaf.scores.reserve_exact(behind.scores.len() + ROOM);
                leaf.scores.extend(behind.scores);
                leaf.handles.reserve_exact(behind.handles.len() + ROOM);
                leaf.handles.extend(behind.handles);
            }
            (Node::Inner(children), Node::Inner(behind)) => children.extend(behind),
            _ => unreachable!("all leaves are equally deep"),
        }
    }

    /// Frees a leaf at the end; answers whether anything is left.
    fn shed(&mut self) -> bool {
        match self {
            Node::Leaf(leaf) => {
                *leaf = Leaf::default();
                false
            }
            Node::Inner(children) => {
                if let Some(last) = children.last_mut()
                    && !last.node.shed()
                {
                    children.pop();
                }
                !children.is_empty()
            }
        }
    }
}

/// Removes a child that is empty, and makes one of it and a neighbour if it is
/// small and both leave some room for what comes.
fn mend(children: &mut Vec<Child>, at: usize) {
    let Some(child) = children.get(at) else {
        return;
    };
    if child.count == 0 {
        children.remove(at);
        return;
    }
    let (fill, full) = child.node.fill();
    if fill > full / 4 {
        return;
    }
    for left in [at.checked_sub(1), Some(at)].into_iter().flatten() {
        if let [first, second, ..] = &mut children[left..]
            && first.node.fill().0 + second.node.fill().0 <= full * 3 / 4
        {
            first.node.append(std::mem::take(&mut *second.node));
            first.count += second.count;
            children.remove(left + 1);
            return;
        }
    }
}

impl Tree {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Puts an entry behind all those that are before it.
    pub fn insert(&mut self, score: f64, handle: u32, is_before: impl Fn(f64, u32) -> bool) {
        self.len += 1;
        if let Some(right) = self.root.insert((score, handle), &is_before, true) {
            let left = std::mem::take(&mut self.root);
            self.root = Node::Inner(vec![Child::new(left), Child::new(right)]);
        }
    }

    /// Removes the last entry that is before what is looked for; answers its
    /// handle.
    pub fn remove(&mut self, is_before: impl Fn(f64, u32) -> bool) -> Option<u32> {
        let removed = self.root.remove(&is_before)?;
        self.len -= 1;
        self.lower();
        Some(removed)
    }

    /// Puts another handle into the last entry that is before what is looked
    /// for: what the old one stood for is found under it now.
    pub fn replace(&mut self, handle: u32, is_before: impl Fn(f64, u32) -> bool) {
        self.root.replace(handle, &is_before);
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
        while let Node::Inner(children) = &mut self.root
            && children.len() <= 1
        {
            self.root = children.pop().map(|only| *only.node).unwrap_or_default();
        }
    }

    /// How many entries are before what is looked for. They come first.
    pub fn rank(&self, is_before: impl Fn(f64, u32) -> bool) -> usize {
        let (mut node, mut rank) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(leaf) => return rank + leaf.partition(&is_before),
                Node::Inner(children) => {
                    let at = child_for(children, &is_before);
                    let counts = children[..at].iter().map(|child| child.count as usize);
                    rank += counts.sum::<usize>();
                    node = &children[at].node;
                }
            }
        }
    }

    /// The leaf with the entry of this rank, and where in it that is.
    fn leaf_at(&self, rank: usize) -> (&Leaf, usize) {
        let (mut node, mut rank) = (&self.root, rank);
        loop {
            match node {
                Node::Leaf(leaf) => return (leaf, rank),
                Node::Inner(children) => {
                    let (at, rest) = child_at(children, rank);
                    (node, rank) = (&children[at].node, rest);
                }
            }
        }
    }

    /// The entry of this rank.
    pub fn get(&self, rank: usize) -> Option<(f64, u32)> {
        if rank >= self.len {
            return None;
        }
        let (leaf, at) = self.leaf_at(rank);
        Some((leaf.scores[at], leaf.handles[at]))
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

    /// Bytes of memory held, told from some of many leaves.
    pub fn memory(&self) -> usize {
        const SAMPLE: usize = 16;
        const FRAME: usize = size_of::<Node>() + size_of::<Child>();
        let (mut entries, mut bytes) = (0, 0);
        for rank in (0..self.len).step_by((self.len / SAMPLE).max(1)) {
            let (leaf, _) = self.leaf_at(rank);
            entries += leaf.scores.len();
            bytes += leaf.memory() + FRAME;
        }
        (bytes as u128 * self.len as u128 / entries.max(1) as u128) as usize
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
    fn new(leaf: &'a Leaf, range: Range<usize>) -> Run<'a> {
        Run {
            scores: &leaf.scores[range.clone()],
            handles: &leaf.handles[range],
        }
    }

    fn next(&mut self) -> Option<(f64, u32)> {
        let (&score, scores) = self.scores.split_first()?;
        let (&handle, handles) = self.handles.split_first()?;
        *self = Run { scores, handles };
        Some((score, handle))
    }

    fn next_back(&mut self) -> Option<(f64, u32)> {
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
    type Item = (f64, u32);

    #[inline]
    fn next(&mut self) -> Option<(f64, u32)> {
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
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<(f64, u32)> {
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

    /// What is before an entry, where members are in the order of handles.
    fn before(score: f64, handle: u32) -> impl Fn(f64, u32) -> bool {
        move |other, its| (other, its) < (score, handle)
    }

    /// What is before an entry, and that entry.
    fn up_to(score: f64, handle: u32) -> impl Fn(f64, u32) -> bool {
        move |other, its| (other, its) <= (score, handle)
    }

    /// Nodes know what is below them, and none is empty.
    fn check(tree: &Tree) {
        fn walk(node: &Node, depth: usize, depths: &mut Vec<usize>) -> usize {
            match node {
                Node::Leaf(leaf) => {
                    assert_eq!(leaf.scores.len(), leaf.handles.len());
                    assert!(leaf.scores.len() <= LEAF);
                    depths.push(depth);
                    leaf.scores.len()
                }
                Node::Inner(children) => {
                    assert!((1..=FANOUT).contains(&children.len()));
                    for child in children {
                        let first = Some((child.score, child.handle));
                        assert_eq!(child.node.first(), first);
                        let count = walk(&child.node, depth + 1, depths);
                        assert_eq!(count, child.count as usize);
                    }
                    children.iter().map(|child| child.count as usize).sum()
                }
            }
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
            tree.insert(score, handle, before(score, handle));
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
                    assert_eq!(tree.remove(up_to(score, handle)), Some(handle));
                }
            }
            Op::Replace(at, count) => {
                for n in 0..usize::from(count).min(model.len()) {
                    let at = (at.index(model.len()) + n * 31) % model.len();
                    let (score, handle) = model[at];
                    // All handles that are given are even.
                    model[at].1 = handle | 1;
                    tree.replace(handle | 1, up_to(score, handle));
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
                prop_assert_eq!(tree.rank(up_to(score, handle)), rank + 1);
                let rank = model.partition_point(|entry| entry.0 < score);
                prop_assert_eq!(tree.rank(|other, _| other < score), rank);
            }
        }
    }

    fn ascending(count: u32) -> Tree {
        let mut tree = Tree::default();
        for n in 0..count {
            tree.insert(f64::from(n), n, |_, _| true);
        }
        tree
    }

    #[test]
    fn what_comes_in_order_fills_leaves() {
        let count = 100_000;
        let tree = ascending(count);
        check(&tree);
        let per_entry = tree.memory() as f64 / f64::from(count);
        assert!(per_entry < 12.8, "{per_entry} bytes an entry");
    }

    #[test]
    fn what_comes_in_any_order_wastes_little() {
        let count = 100_000;
        let mut rng = fastrand::Rng::with_seed(1);
        let mut tree = Tree::default();
        for n in 0..count {
            let score = rng.f64();
            tree.insert(score, n, before(score, n));
        }
        check(&tree);
        let per_entry = tree.memory() as f64 / f64::from(count);
        assert!(per_entry < 15.0, "{per_entry} bytes an entry");
        // Until few are left, which are not held by many leaves.
        while tree.len() > 1000 {
            let at = rng.usize(..tree.len());
            tree.remove_range(at..at + 1, |_| {});
        }
        check(&tree);
        let per_entry = tree.memory() as f64 / 1000.0;
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
        assert_eq!(tree.remove(|_, _| true), None);
        assert_eq!(tree.rank(|_, _| true), 0);
        assert_eq!(tree.get(0), None);
        assert_eq!(tree.range(0..10).next(), None);
        tree.insert(1.0, 1, |_, _| true);
        assert_eq!(tree.remove(|_, _| false), None);
        assert_eq!(tree.len(), 1);
        assert_eq!(tree.remove(|_, _| true), Some(1));
        assert_eq!((tree.len(), tree.memory()), (0, 0));
    }
}
