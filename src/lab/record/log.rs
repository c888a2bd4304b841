//! What is on record, in order, within its bounds.

use std::collections::VecDeque;

use super::entry::Entry;

/// So many bytes of memory all entries hold at most.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// Entries with consecutive numbers, of which the oldest go.
#[derive(Default)]
pub struct Log {
    entries: VecDeque<Entry>,
    /// The number of the first one that is there, or would be.
    first: u64,
    bytes: usize,
}

/// Some of what is on record.
pub struct Seen {
    /// In order.
    pub entries: Vec<Entry>,
    /// How many were there before these and have gone, whatever they were.
    pub gone: u64,
}

impl Log {
    /// The number of the next entry.
    pub fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// The number of the first one that is there, or would be.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Adds an entry behind the others, of which there are `max` at most.
    pub fn push(&mut self, mut entry: Entry, max: usize) {
        entry.number = self.next();
        self.bytes += entry.memory();
        self.entries.push_back(entry);
        while self.entries.len() > max || self.bytes > BYTES_MAX {
            self.pop();
        }
    }

    /// Those from a number on.
    pub fn from(&self, number: u64) -> impl Iterator<Item = &Entry> {
        let skipped = number.saturating_sub(self.first) as usize;
        self.entries.iter().skip(skipped)
    }

    /// All of them.
    pub fn into_entries(self) -> impl Iterator<Item = Entry> {
        self.entries.into_iter()
    }

    /// Forgets those before this number, which need not have come yet.
    pub fn forget_before(&mut self, number: u64) {
        while self.first < number && !self.entries.is_empty() {
            self.pop();
        }
        self.first = self.first.max(number);
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
    }

    fn pop(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.memory();
            self.first += 1;
        }
    }
}
