//! The entries of a stream, and what it remembers of those that have gone.

use super::id::{NewId, StreamId};
use super::node::{self, Entry, Node, NodeLimits};
use super::nodes::{Nodes, Place};

/// Entries in the order of their ids, and what is known of all that have ever
/// been there.
#[derive(Clone, Default, Debug)]
pub struct Entries {
    /// In each of them is an entry.
    nodes: Nodes,
    len: usize,
    /// The highest id there has been: the next one is above it.
    last_id: StreamId,
    /// The highest id of those that were removed one by one.
    max_deleted_id: StreamId,
    /// How many have been added, ever.
    added: u64,
}

/// Which entries XTRIM leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// The last so many.
    MaxLen(u64),
    /// Those from this id on.
    MinId(StreamId),
}

/// How XTRIM goes about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exactness {
    /// Exactly those.
    Exact,
    /// Whole nodes only, and no more than so many entries; 0 for any number.
    Approximate {
        /// The most entries that go.
        limit: u64,
    },
}

/// Larger entries are refused: Redis keeps a node in a listpack.
pub const ENTRY_MAX: usize = 1 << 30;

impl Entries {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The highest id there has been; `0-0` if there was none.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The highest id of the removed ones; `0-0` if none was.
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// How many entries have been added, ever.
    pub fn added(&self) -> u64 {
        self.added
    }

    /// In how many nodes they stand.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The first entry.
    pub fn first(&self) -> Option<Entry<'_>> {
        self.range(StreamId::MIN, StreamId::MAX).next()
    }

    /// The last entry.
    pub fn last(&self) -> Option<Entry<'_>> {
        self.range_rev(StreamId::MIN, StreamId::MAX).next()
    }

    /// The id that a new entry gets at the time `now`, in milliseconds since
    /// 1970; `None` if it would not be above all others.
    pub fn next_id(&self, new: NewId, now: u64) -> Option<StreamId> {
        let id = match new {
            NewId::Auto if now > self.last_id.ms => StreamId::new(now, 0),
            NewId::Auto => self.last_id.next()?,
            NewId::Ms(ms) if ms == self.last_id.ms => {
                StreamId::new(ms, self.last_id.seq.checked_add(1)?)
            }
            NewId::Ms(ms) => StreamId::new(ms, 0),
            NewId::Exact(id) => id,
        };
        (id > self.last_id).then_some(id)
    }

    /// The nodes in which they stand.
    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// Adds a node that has been read, whose last entry has the id `last`, if
    /// it has one.
    pub fn push_node(&mut self, mut node: Node, last: StreamId) {
        if node.live() > 0 {
            node.close();
            self.len += node.live();
            self.last_id = last;
            self.nodes.push_back(node);
        }
    }

    /// Adds an entry, whose id [`next_id`](Self::next_id) has told.
    pub fn append<'f>(
        &mut self,
        id: StreamId,
        fields: impl ExactSizeIterator<Item = (&'f [u8], &'f [u8])> + Clone,
        limits: NodeLimits,
    ) {
        debug_assert!(id > self.last_id, "{id} is not above {}", self.last_id);
        let bytes = fields
            .clone()
            .map(|(field, value)| field.len() + value.len());
        let bytes = bytes.sum();
        let append = |node: &mut Node| {
            if node.admits(bytes, limits) {
                node.make_room(bytes, fields.len());
                node.append(id, fields.clone());
                return None;
            }
            node.close();
            // The next node mostly takes what this one has taken, or little
            // more.
            Some((node.byte_len() + node.byte_len() / 32).min(limits.bytes))
        };
        let full = match self.nodes.last() {
            Some(last) => self.nodes.change(last, append).flatten(),
            None => Some(0),
        };
        if let Some(room) = full {
            let names = fields.clone().map(|(field, _)| field);
            let mut node = Node::new(id, names, room);
            node.append(id, fields);
            self.nodes.push_back(node);
        }
        self.len += 1;
        self.added = self.added.saturating_add(1);
        self.last_id = id;
    }

    /// The entries from one id to another, both included, in order. What is
    /// before the first is passed here, once, also if they are counted before
    /// they are read: with that XREADGROUP of ten and XACK of ten take 3,500
    /// instructions for an entry where they took 5,200.
    pub fn range(&self, start: StreamId, end: StreamId) -> Range<'_> {
        let mut range = Range {
            entries: self,
            place: None,
            node: None,
            end,
        };
        // Who is up to date need not look.
        if start > self.last_id {
            return range;
        }
        range.place = self.nodes.find(start).or_else(|| self.nodes.first());
        if let Some(place) = range.place
            && let Some(node) = self.nodes.get(place)
            && node.base() < start
        {
            range.place = self.nodes.after(place);
            range.node = Some(node.iter_from(start));
        }
        range
    }

    /// The same, from the last to the first.
    pub fn range_rev(&self, start: StreamId, end: StreamId) -> RangeRev<'_> {
        RangeRev {
            nodes: &self.nodes,
            place: self.nodes.find(end),
            behind: Vec::new(),
            start,
            end,
        }
    }

    /// How many entries there are from one id to another, both included; `max`
    /// if there are more.
    pub fn count(&self, start: StreamId, end: StreamId, max: usize) -> usize {
        self.range(start, end).len_up_to(max)
    }

    /// Removes the entry with this id; answers whether it was there.
    pub fn remove(&mut self, id: StreamId) -> bool {
        let Some(place) = self.nodes.find(id) else {
            return false;
        };
        let is_last = self.nodes.after(place).is_none();
        let remove = |node: &mut Node| {
            let removed = node.remove(id);
            if removed && !is_last {
                node.close();
            }
            removed.then(|| node.live())
        };
        let Some(live) = self.nodes.change(place, remove).flatten() else {
            return false;
        };
        if live == 0 {
            self.nodes.remove(place);
        }
        self.len -= 1;
        self.max_deleted_id = self.max_deleted_id.max(id);
        true
    }

    /// Removes all but what `keep` says. Answers how many have gone, and the
    /// nodes that they have left, for who frees them.
    pub fn trim(&mut self, keep: Keep, how: Exactness) -> (usize, Entries) {
        let (mut gone, mut cut) = (0, Nodes::default());
        let limit = match how {
            Exactness::Exact | Exactness::Approximate { limit: 0 } => u64::MAX,
            Exactness::Approximate { limit } => limit,
        };
        // Nodes of which all go are moved many at a time.
        while let Some(live) = self.goes_with_front_run(keep, limit.saturating_sub(gone as u64)) {
            self.nodes.move_front_run(&mut cut);
            self.len -= live;
            gone += live;
        }
        while let Some((node, next)) = self.nodes.front_two() {
            let live = node.live();
            let excess = match keep {
                Keep::MaxLen(max) => (self.len as u64).saturating_sub(max),
                Keep::MinId(_) => u64::MAX,
            };
            if excess == 0 || (gone as u64).saturating_add(live as u64) > limit {
                break;
            }
            let whole = match keep {
                Keep::MaxLen(_) => live as u64 <= excess,
                // Mostly the next node tells it, and none is looked into.
                Keep::MinId(min) => {
                    next.is_some_and(|next| next.base() <= min) || node.last_id() < min
                }
            };
            if whole {
                self.len -= live;
                gone += live;
                let node = self.nodes.pop_front();
                node.into_iter().for_each(|node| cut.push_back(node));
                continue;
            }
            if how != Exactness::Exact {
                break;
            }
            let trimmed = self.trim_front(keep, excess);
            gone += trimmed;
            if trimmed < live {
                break;
            }
        }
        let cut = Entries {
            nodes: cut,
            ..Entries::default()
        };
        (gone, cut)
    }

    /// How many entries are in the nodes that stand together in front, if
    /// `keep` keeps none of them and these are `limit` at most.
    fn goes_with_front_run(&self, keep: Keep, limit: u64) -> Option<usize> {
        let (run, behind) = self.nodes.front_run()?;
        let most = match keep {
            Keep::MaxLen(max) => (self.len as u64).saturating_sub(max).min(limit),
            Keep::MinId(min) if behind.base() <= min => limit,
            Keep::MinId(_) => return None,
        };
        // In each node is an entry: as a rule that tells it without a look.
        if run.len() as u64 > most {
            return None;
        }
        let sum = run.iter().try_fold(0, |sum, node| {
            let sum = sum + node.live();
            (sum as u64 <= most).then_some(sum)
        });
        sum.filter(|sum| *sum > 0)
    }

    /// Removes those entries of the first node that `keep` does not, `excess` at
    /// most; answers how many.
    fn trim_front(&mut self, keep: Keep, excess: u64) -> usize {
        let Some(first) = self.nodes.first() else {
            return 0;
        };
        let mut left = excess;
        let goes = |id| {
            let goes = match keep {
                Keep::MaxLen(_) => left > 0,
                Keep::MinId(min) => id < min,
            };
            left -= u64::from(goes);
            goes
        };
        let trim = |node: &mut Node| (node.remove_if(goes), node.live());
        let (count, live) = self.nodes.change(first, trim).unwrap_or_default();
        if live == 0 {
            self.nodes.remove(first);
        }
        self.len -= count;
        count
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.nodes.memory()
    }

    /// Frees some nodes, as many as `budget` has left; answers whether these
    /// were all.
    pub fn free_some(&mut self, budget: &mut usize) -> bool {
        while *budget > 0 && self.nodes.pop_front().is_some() {
            *budget -= 1;
        }
        self.nodes.len() == 0
    }

    /// Sets what XSETID sets.
    pub fn set_ids(
        &mut self,
        last_id: StreamId,
        added: Option<u64>,
        max_deleted: Option<StreamId>,
    ) {
        self.last_id = last_id;
        self.added = added.unwrap_or(self.added);
        self.max_deleted_id = max_deleted.unwrap_or(self.max_deleted_id);
    }
}

/// Entries in order.
#[derive(Clone, Debug)]
pub struct Range<'a> {
    entries: &'a Entries,
    /// The node that comes next.
    place: Option<Place>,
    /// What is left of the one before.
    node: Option<node::Iter<'a>>,
    end: StreamId,
}

impl Range<'_> {
    /// How many entries there are; `max` if there are more.
    pub fn len_up_to(&self, max: usize) -> usize {
        let Entries { nodes, last_id, .. } = self.entries;
        // What is left of a node that was begun is counted one by one.
        let within = |node: node::Iter<'_>| {
            let ids = node.filter(|placed| !placed.is_removed);
            let ids = ids.map(|placed| placed.entry.id);
            ids.take_while(|id| *id <= self.end).take(max).count()
        };
        let mut count = self.node.map_or(0, within);
        let mut next = self.place;
        while count < max
            && let Some((place, node)) = next.and_then(|at| Some((at, nodes.get(at)?)))
            && node.base() <= self.end
        {
            next = nodes.after(place);
            let following = next.and_then(|at| nodes.get(at)).map(Node::base);
            let last = following.map_or(*last_id, |id| id.previous().unwrap_or(id));
            // A node that lies within is not looked into.
            count += match last <= self.end {
                true => node.live(),
                false => within(node.iter()),
            };
        }
        count.min(max)
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some(node) = &mut self.node {
                for placed in node {
                    if placed.is_removed {
                        continue;
                    }
                    if placed.entry.id > self.end {
                        self.place = None;
                        self.node = None;
                        return None;
                    }
                    return Some(placed.entry);
                }
            }
            let place = self.place?;
            self.place = self.entries.nodes.after(place);
            self.node = Some(self.entries.nodes.get(place)?.iter());
        }
    }
}

/// Entries from the last to the first.
#[derive(Clone, Debug)]
pub struct RangeRev<'a> {
    nodes: &'a Nodes,
    place: Option<Place>,
    /// The entries of the node that have not come yet, the last of which is
    /// next.
    behind: Vec<Entry<'a>>,
    start: StreamId,
    end: StreamId,
}

impl<'a> Iterator for RangeRev<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some(entry) = self.behind.pop() {
                return Some(entry);
            }
            let place = self.place?;
            self.place = self.nodes.before(place);
            let node = self.nodes.get(place)?;
            if node.base() <= self.start {
                self.place = None;
            }
            self.behind.reserve(node.live());
            let entries = node.iter().filter(|placed| !placed.is_removed);
            let entries = entries.map(|placed| placed.entry);
            let entries = entries.skip_while(|entry| entry.id < self.start);
            self.behind
                .extend(entries.take_while(|entry| entry.id <= self.end));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[(&[u8], &[u8])] = &[(b"f", b"value")];

    fn filled(len: u64, in_a_node: u64) -> Entries {
        let mut entries = Entries::default();
        for ms in 1..=len {
            let limits = NodeLimits::new(4096, in_a_node);
            entries.append(StreamId::new(ms, 0), FIELDS.iter().copied(), limits);
        }
        entries
    }

    #[test]
    fn many_nodes_are_trimmed_as_one_by_one() {
        let ids = |entries: &Entries| -> Vec<u64> {
            let all = entries.range(StreamId::MIN, StreamId::MAX);
            all.map(|entry| entry.id.ms).collect()
        };
        for left in [0, 1, 2, 255, 256, 257, 300, 511, 512, 513, 1_499, 1_500] {
            let keeps = [
                Keep::MaxLen(left),
                Keep::MinId(StreamId::new(1_501 - left, 0)),
            ];
            for keep in keeps {
                let mut entries = filled(1_500, 1);
                let (gone, cut) = entries.trim(keep, Exactness::Exact);
                assert_eq!(gone as u64, 1_500 - left, "{keep:?}");
                assert_eq!(ids(&entries), (1_501 - left..=1_500).collect::<Vec<_>>());
                assert_eq!(ids(&cut), (1..1_501 - left).collect::<Vec<_>>());
                assert_eq!([entries.len(), entries.node_count()], [left as usize; 2]);
                assert_eq!(cut.node_count(), gone);
                for limit in [1, 255, 257, 600] {
                    let mut entries = filled(1_500, 1);
                    let (gone, _) = entries.trim(keep, Exactness::Approximate { limit });
                    assert_eq!(gone as u64, limit.min(1_500 - left), "{keep:?}");
                }
            }
        }
    }

    #[test]
    fn what_a_burst_has_taken_goes_back() {
        let small = filled(10, 100).memory();
        let mut entries = filled(100_000, 10);
        let full = entries.memory();
        entries.trim(Keep::MaxLen(10), Exactness::Exact);
        let trimmed = entries.memory();
        assert!(trimmed < 10 * small, "{small}, {full}, {trimmed}");

        // A copy gives back what itself has taken.
        let mut copy = entries.clone();
        copy.trim(Keep::MaxLen(0), Exactness::Exact);
        assert_eq!(copy.nodes.iter().count(), 0);
        assert!(copy.memory() < small, "{small}, {}", copy.memory());

        // One entry in a node is left.
        let mut entries = filled(100_000, 100);
        let full = entries.memory();
        for ms in (1..=100_000).filter(|ms| ms % 100 > 0) {
            entries.remove(StreamId::new(ms, 0));
        }
        assert_eq!(entries.node_count(), 1_000);
        let left = entries.memory();
        assert!(left < full / 3, "{full}, {left}");

        // One node of a run is left, of many.
        let mut entries = filled(100_000, 10);
        let full = entries.memory();
        for ms in (1..=100_000).filter(|ms| ms % 2_560 > 9) {
            entries.remove(StreamId::new(ms, 0));
        }
        let left = entries.memory();
        assert!(left < full / 20, "{full}, {left}");
    }

    #[test]
    fn a_node_behind_a_large_one_takes_no_more_than_it_may_hold() {
        let mut entries = Entries::default();
        let large = vec![b'x'; 1 << 20];
        for (ms, value) in [(1, &large[..]), (2, b"v")] {
            let fields = [(&b"f"[..], value)].into_iter();
            entries.append(StreamId::new(ms, 0), fields, NodeLimits::default());
        }
        let memory = entries.memory();
        assert!(memory < large.len() * 3 / 2, "{memory}");
    }
}
