//! Finds entries by ids that are mostly asked for in order, as those are that
//! are pending: the next one is near the one before.

use super::entries::{Entries, Range};
use super::id::StreamId;
use super::node::Entry;

/// So many entries are passed before it is looked where an id is.
const PASSED_MAX: usize = 16;

/// Finds entries of a stream.
#[derive(Clone, Debug)]
pub struct Finder<'a> {
    entries: &'a Entries,
    /// What was asked for last.
    asked: StreamId,
    /// The first entry that is not before that, once something was asked for.
    entry: Option<Entry<'a>>,
    /// The entries behind it.
    rest: Range<'a>,
}

impl<'a> Finder<'a> {
    /// Finds entries of this stream.
    pub fn new(entries: &'a Entries) -> Finder<'a> {
        Finder {
            entries,
            asked: StreamId::MAX,
            entry: None,
            rest: entries.range(StreamId::MAX, StreamId::MAX),
        }
    }

    /// The entry with this id.
    pub fn get(&mut self, id: StreamId) -> Option<Entry<'a>> {
        if id < self.asked {
            self.seek(id);
        }
        self.asked = id;
        for _ in 0..PASSED_MAX {
            match self.entry {
                Some(entry) if entry.id < id => self.entry = self.rest.next(),
                entry => return entry.filter(|entry| entry.id == id),
            }
        }
        self.seek(id);
        self.entry.filter(|entry| entry.id == id)
    }

    fn seek(&mut self, id: StreamId) {
        self.rest = self.entries.range(id, StreamId::MAX);
        self.entry = self.rest.next();
    }
}
