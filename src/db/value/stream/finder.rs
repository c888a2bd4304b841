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
    /// What was asked for last, if anything was.
    asked: Option<StreamId>,
    /// The first entry that is not before that.
    entry: Option<Entry<'a>>,
    /// The entries behind it.
    rest: Range<'a>,
}

impl<'a> Finder<'a> {
    /// Finds entries of this stream.
    pub fn new(entries: &'a Entries) -> Finder<'a> {
        Finder {
            entries,
            asked: None,
            entry: None,
            rest: entries.range(StreamId::MAX, StreamId::MAX),
        }
    }

    /// The entry with this id.
    pub fn get(&mut self, id: StreamId) -> Option<Entry<'a>> {
        if self.asked.is_none_or(|asked| id < asked) {
            self.seek(id);
        }
        self.asked = Some(id);
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

#[cfg(test)]
mod tests {
    use super::super::node::NodeLimits;
    use super::*;

    #[test]
    fn entries_are_found_in_any_order_and_at_both_ends_of_all_ids() {
        let fields: &[(&[u8], &[u8])] = &[(b"f", b"v")];
        let middle = (2..200).map(|ms| StreamId::new(ms, 3));
        let ids: Vec<_> = [StreamId::new(0, 1)]
            .into_iter()
            .chain(middle)
            .chain([StreamId::MAX])
            .collect();
        let mut entries = Entries::default();
        for id in &ids {
            entries.append(*id, fields.iter().copied(), NodeLimits::new(0, 7));
        }
        let mut rng = fastrand::Rng::with_seed(5);
        for _ in 0..500 {
            let mut finder = Finder::new(&entries);
            for _ in 0..4 {
                let id = ids[rng.usize(..ids.len())];
                assert_eq!(finder.get(id).map(|entry| entry.id), Some(id));
                let beside = StreamId::new(id.ms, 2);
                assert!(finder.get(beside).is_none(), "{beside}");
            }
        }
        // Nothing was asked for before.
        let ends = [ids[0], StreamId::MAX];
        for id in ends {
            assert!(Finder::new(&entries).get(id).is_some(), "{id}");
        }
    }
}
