//! The nodes of a stream in order, found by id in logarithmic time.
//!
//! They stand in runs of a few hundred, so that neither growing nor taking
//! one out of the middle moves more than one run.

use std::collections::VecDeque;

use super::id::StreamId;
use super::node::Node;

/// So many nodes stand together at most.
const TOGETHER: usize = 256;

/// The nodes of a stream; their ids ascend.
#[derive(Default, Debug)]
pub struct Nodes {
    /// None of them is empty.
    runs: VecDeque<VecDeque<Node>>,
    len: usize,
    /// For how many nodes the runs have room.
    room: usize,
    /// Bytes of memory that the nodes hold.
    bytes: usize,
}

impl Clone for Nodes {
    /// A copy has less room to spare, and tells of what it has.
    fn clone(&self) -> Nodes {
        let runs = self.runs.clone();
        Nodes {
            len: self.len,
            room: runs.iter().map(VecDeque::capacity).sum(),
            bytes: runs.iter().flatten().map(Node::memory).sum(),
            runs,
        }
    }
}

/// Where a node is, until one is added or removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    run: usize,
    at: usize,
}

/// Gives room back of which little is in use.
fn give_back<T>(queue: &mut VecDeque<T>) {
    const SHRINK_MIN: usize = 16;
    let room = queue.capacity();
    if room > SHRINK_MIN && queue.len() <= room / 4 {
        queue.shrink_to(room / 2);
    }
}

impl Nodes {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The first one, and the one behind it.
    pub fn front_two(&self) -> Option<(&Node, Option<&Node>)> {
        let mut nodes = self.iter();
        Some((nodes.next()?, nodes.next()))
    }

    /// Adds one behind all others.
    pub fn push_back(&mut self, node: Node) {
        self.len += 1;
        self.bytes += node.memory();
        match self.runs.back_mut() {
            Some(run) if run.len() < TOGETHER => {
                let room = run.capacity();
                run.push_back(node);
                self.room += run.capacity() - room;
            }
            _ => {
                // Most streams are small.
                let room = if self.runs.is_empty() { 1 } else { TOGETHER };
                let mut run = VecDeque::with_capacity(room);
                run.push_back(node);
                self.room += run.capacity();
                if self.runs.is_empty() {
                    self.runs = VecDeque::with_capacity(1);
                }
                self.runs.push_back(run);
            }
        }
    }

    /// Takes the first one out.
    pub fn pop_front(&mut self) -> Option<Node> {
        self.remove(self.first()?)
    }

    /// The nodes that stand together in front, and the one behind them, if
    /// there is one.
    pub fn front_run(&self) -> Option<(&VecDeque<Node>, &Node)> {
        let behind = self.runs.get(1)?.front()?;
        Some((self.runs.front()?, behind))
    }

    /// Moves those that stand together in front behind all of `to`, as one.
    pub fn move_front_run(&mut self, to: &mut Nodes) {
        if let Some(run) = self.runs.pop_front() {
            give_back(&mut self.runs);
            let bytes = run.iter().map(Node::memory).sum::<usize>();
            self.len -= run.len();
            self.room -= run.capacity();
            self.bytes -= bytes;
            to.len += run.len();
            to.room += run.capacity();
            to.bytes += bytes;
            to.runs.push_back(run);
        }
    }

    /// The place of the last one whose id is not above this one.
    pub fn find(&self, id: StreamId) -> Option<Place> {
        let begins = |run: &VecDeque<Node>| run.front().is_some_and(|node| node.base() <= id);
        let run = self.runs.partition_point(begins).checked_sub(1)?;
        let at = self.runs[run].partition_point(|node| node.base() <= id);
        let at = at.checked_sub(1)?;
        Some(Place { run, at })
    }

    /// The place of the first one.
    pub fn first(&self) -> Option<Place> {
        (self.len > 0).then_some(Place { run: 0, at: 0 })
    }

    /// The place of the last one.
    pub fn last(&self) -> Option<Place> {
        let run = self.runs.len().checked_sub(1)?;
        let at = self.runs[run].len().checked_sub(1)?;
        Some(Place { run, at })
    }

    /// The one at a place.
    pub fn get(&self, place: Place) -> Option<&Node> {
        self.runs.get(place.run)?.get(place.at)
    }

    /// Changes the one at a place.
    pub fn change<R>(&mut self, place: Place, change: impl FnOnce(&mut Node) -> R) -> Option<R> {
        let node = self.runs.get_mut(place.run)?.get_mut(place.at)?;
        let before = node.memory();
        let answer = change(node);
        self.bytes = self.bytes + node.memory() - before;
        Some(answer)
    }

    /// The place behind this one.
    pub fn after(&self, place: Place) -> Option<Place> {
        let Place { run, at } = place;
        if at + 1 < self.runs.get(run)?.len() {
            return Some(Place { run, at: at + 1 });
        }
        (run + 1 < self.runs.len()).then_some(Place {
            run: run + 1,
            at: 0,
        })
    }

    /// The place before this one.
    pub fn before(&self, place: Place) -> Option<Place> {
        let Place { run, at } = place;
        if let Some(at) = at.checked_sub(1) {
            return Some(Place { run, at });
        }
        let run = run.checked_sub(1)?;
        let at = self.runs.get(run)?.len().checked_sub(1)?;
        Some(Place { run, at })
    }

    /// Takes the one at a place out.
    pub fn remove(&mut self, place: Place) -> Option<Node> {
        let run = self.runs.get_mut(place.run)?;
        let node = run.remove(place.at)?;
        self.len -= 1;
        self.bytes -= node.memory();
        self.room -= run.capacity();
        if run.is_empty() {
            self.runs.remove(place.run);
            give_back(&mut self.runs);
        } else {
            give_back(run);
            self.room += run.capacity();
        }
        Some(node)
    }

    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = &Node> {
        self.runs.iter().flatten()
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.runs.capacity() * size_of::<VecDeque<Node>>()
            + self.room * size_of::<Node>()
            + self.bytes
    }
}
