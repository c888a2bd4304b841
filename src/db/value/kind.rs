//! What every kind of value tells of itself.

use super::form::{Encoding, Form};
use crate::db::Digest;
use crate::db::memory::members::Members;
use crate::events::KeyspaceEvents;
use crate::rdb::{Type, Writer};

/// A kind of value, of which a key has one at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    /// The name that TYPE answers.
    pub name: &'static str,
    /// The class of the events that tell of its changes.
    pub events: KeyspaceEvents,
}

/// What a value tells of itself, wherever it stands.
pub trait Held {
    /// Its kind.
    fn kind(&self) -> Kind;

    /// The name that OBJECT ENCODING answers.
    fn encoding_name(&self) -> &'static str;

    /// Writes it in the format of DUMP.
    fn serialize(&self, output: &mut Writer);

    /// Adds to the digest what DEBUG DIGEST takes of it: the number by which
    /// Redis knows the kind, and what is held.
    fn digest(&self, digest: &mut Digest);
}

/// What a value that does not stand in a slot tells besides.
pub trait Stored: Held {
    /// Whether nothing is left of it, so that its key goes. A string is never
    /// so, however short.
    fn is_used_up(&self) -> bool;

    /// Bytes of memory held. It is asked before and after each change, so it is
    /// counted as parts come and go, and no part is looked at.
    fn memory(&self) -> usize;

    /// In how many pieces it is held, of about
    /// [`PIECE`](crate::db::memory::slots::PIECE) bytes or less: that is what
    /// it takes to free it.
    fn pieces(&self) -> usize;

    /// Frees some of its pieces, as many as `budget` has left; answers whether
    /// the rest goes at once. Nobody can see the value any more.
    fn free_some(&mut self, budget: &mut usize) -> bool {
        // What is not in pieces goes at once.
        *budget = budget.saturating_sub(self.pieces());
        true
    }

    /// The table of what is looked up by name in it, if there is one.
    fn members(&self) -> Option<&Members> {
        None
    }

    /// Its parts, if some may expire.
    fn parts(&self) -> Option<&dyn Parts> {
        None
    }

    /// [`parts`](Self::parts), to be removed.
    fn parts_mut(&mut self) -> Option<&mut dyn Parts> {
        None
    }

    /// Gives back most of what it has grown by and does not need any more. It
    /// is asked to after each change, so that this costs little beside it.
    fn give_back(&mut self) {}

    /// Its bytes as they stand in the slot of its key, if it is so small.
    /// `encoding` is how it is to be named if it is a string.
    fn inline(&self, _encoding: Encoding) -> Option<(&[u8], Form)> {
        None
    }
}

/// Parts of a value, each of which may expire at a time of its own, in
/// milliseconds since 1970. One whose time has come is not there for readers.
pub trait Parts {
    /// When the first of them expires.
    fn first_expiry(&self) -> Option<i64>;

    /// The name of the one that does.
    fn first_to_expire(&self) -> Option<&[u8]>;

    /// When the first of those expires whose time is later than this one.
    fn expiry_after(&self, time: i64) -> Option<i64>;

    /// When the last one does, if all of them do: nothing is left then.
    fn end(&self) -> Option<i64>;

    /// Removes those whose time has come `now`, the earliest first, and so many
    /// at most. Answers how many, and which time the last of them had.
    fn expire(&mut self, now: i64, max: usize) -> (usize, i64);

    /// The event that tells of it.
    fn event(&self) -> &'static str;
}

/// What readers see of a kind of value, wherever one stands.
pub trait Viewed: Sized {
    /// That: a reference, or something as small.
    type View<'a>
    where
        Self: 'a;

    /// Of one that does not stand in a slot.
    fn view(&self) -> Self::View<'_>;

    /// Of one in a slot; `None` if the bytes are of another kind.
    fn view_inline(_bytes: &[u8], _form: Form) -> Option<Self::View<'_>> {
        None
    }

    /// One in a slot, taken out to be changed.
    fn from_inline(_bytes: &[u8], _form: Form) -> Option<Self> {
        None
    }
}

/// Adds a string to the digest.
pub fn digest_string(string: &[u8], digest: &mut Digest) {
    const STRING: u32 = 0;
    digest.append(&STRING.to_be_bytes());
    digest.append(string);
}

/// Writes a string in the format of DUMP.
pub fn serialize_string(string: &[u8], output: &mut Writer) {
    output.write_as(Type::String);
    output.string(string);
}
