//! Streams: entries in the order of their ids, and the groups of consumers
//! that read them.

mod entries;
mod group;
mod id;
mod node;
mod nodes;

pub use entries::{ENTRY_MAX, Entries, Exactness, Keep};
pub use group::Groups;
pub use id::{ID_TEXT_MAX, NewId, StreamId};
pub use node::{Entry, NodeLimits};

use super::kind::{Held, Kind, Stored, Viewed};
use crate::db::Digest;
use crate::events::KeyspaceEvents;
use crate::rdb::Writer;

/// A stream. It stays when its last entry goes.
#[derive(Clone, Default, Debug)]
pub struct Stream {
    /// Its entries.
    pub entries: Entries,
    /// Its groups.
    pub groups: Groups,
}

impl Stream {
    /// What it is.
    pub const KIND: Kind = Kind {
        name: "stream",
        events: KeyspaceEvents::STREAM,
    };
}

impl Held for Stream {
    fn kind(&self) -> Kind {
        Stream::KIND
    }

    fn encoding_name(&self) -> &'static str {
        "stream"
    }

    fn serialize(&self, _output: &mut Writer) {}

    fn digest(&self, digest: &mut Digest) {
        const STREAM: u32 = 6;
        digest.append(&STREAM.to_be_bytes());
        for entry in self.entries.range(StreamId::MIN, StreamId::MAX) {
            let id = entry.id;
            digest.append(format!("{}.{}", id.ms, id.seq).as_bytes());
            for (field, value) in entry.fields {
                digest.append(field);
                digest.append(value);
            }
        }
    }
}

impl Stored for Stream {
    fn is_used_up(&self) -> bool {
        false
    }

    fn memory(&self) -> usize {
        size_of::<Stream>() + self.entries.memory() + self.groups.memory()
    }

    fn pieces(&self) -> usize {
        1 + self.entries.node_count() + self.groups.pieces()
    }

    fn free_some(&mut self, budget: &mut usize) -> bool {
        self.entries.free_some(budget) && self.groups.free_some(budget)
    }
}

impl Viewed for Stream {
    type View<'a> = &'a Stream;

    fn view(&self) -> &Stream {
        self
    }
}
