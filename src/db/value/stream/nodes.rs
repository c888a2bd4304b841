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
#[derive(Clone, Default, Debug)]
pub struct Nodes {
    /// None of them is empty.
    runs: VecDeque<VecDeque<Node>>,
    len: usize,
    /// Bytes of memory that they hold.
    bytes: usize,
}

/// Where a node is, until one is added or removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    run: usize,
    at: usize,
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
            Some(run) if run.len() < TOGETHER => run.push_back(node),
            _ => {
                // Most streams are small.
                let room = if self.runs.is_empty() { 1 } else { TOGETHER };
                let mut run = VecDeque::with_capacity(room);
                run.push_back(node);
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
        if run.is_empty() {
            self.runs.remove(place.run);
        }
        Some(node)
    }

    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = &Node> {
        self.runs.iter().flatten()
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        // All runs but the first begin with room for all that can be in them.
        let room = match &self.runs {
            runs if runs.len() == 1 => runs[0].capacity(),
            runs => runs.len() * TOGETHER,
        };
        self.runs.capacity() * size_of::<VecDeque<Node>>() + room * size_of::<Node>() + self.bytes
    }
}
