//! Strings: a short one stands in the slot of its key, a longer one in an
//! allocation that replies can share.

use bytes::{Bytes, BytesMut};

use super::kind::{Held, Kind, PIECE, digest_string, serialized_string_len};
use crate::db::Digest;
use crate::events::KeyspaceEvents;
use crate::text::number;

/// The kind of every string, wherever it stands.
pub const STRING: Kind = Kind {
    name: "string",
    events: KeyspaceEvents::STRING,
};

/// Redis's longest string that shares an allocation with its header.
const EMBSTR_MAX: usize = 44;

/// A string as it is stored.
#[derive(Clone, Copy, Debug)]
pub enum Str<'a> {
    /// In a slot.
    Inline(&'a [u8]),
    /// In an allocation that a reply can share.
    Shared(&'a Bytes),
}

impl std::ops::Deref for Str<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Str::Inline(bytes) => bytes,
            Str::Shared(bytes) => bytes,
        }
    }
}

/// How OBJECT ENCODING is to name a string that stands in a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// By what it looks like: `int`, `embstr`, `raw`.
    Natural,
    /// `raw`: it was modified in place.
    Raw,
    /// `embstr` or `raw`, never `int`.
    Text,
    /// As [`Natural`](Encoding::Natural), but Redis would keep a small integer
    /// for this key alone.
    Own,
}

impl Encoding {
    /// Two bits that tell it, to be kept beside the string.
    #[inline]
    pub fn bits(self) -> u8 {
        self as u8
    }

    /// What [`bits`](Self::bits) tell.
    pub fn from_bits(bits: u8) -> Encoding {
        match bits {
            0 => Encoding::Natural,
            1 => Encoding::Raw,
            2 => Encoding::Text,
            _ => Encoding::Own,
        }
    }

    /// How a copy is to be named.
    pub fn of_copy(self) -> Encoding {
        match self {
            Encoding::Natural => Encoding::Own,
            encoding => encoding,
        }
    }

    /// The name that OBJECT ENCODING answers for `string`.
    pub fn name(self, string: &[u8]) -> &'static str {
        if self.integer(string).is_some() {
            return "int";
        }
        if self != Encoding::Raw && string.len() <= EMBSTR_MAX {
            "embstr"
        } else {
            "raw"
        }
    }

    /// What OBJECT REFCOUNT answers for `string`.
    pub fn refcount(self, string: &[u8]) -> i32 {
        // Redis has one object for each of these numbers, which all keys
        // share but those that are copies, and which is never freed.
        match self.integer(string) {
            Some(0..10_000) if self == Encoding::Natural => i32::MAX,
            _ => 1,
        }
    }

    /// The integer that Redis would keep instead of the string.
    fn integer(self, string: &[u8]) -> Option<i64> {
        match self {
            Encoding::Natural | Encoding::Own => number::parse_i64(string),
            Encoding::Raw | Encoding::Text => None,
        }
    }
}

/// A string that is too long for a slot, so that what it looks like is always
/// `raw`.
impl Held for Bytes {
    fn kind(&self) -> Kind {
        STRING
    }

    fn encoding_name(&self) -> &'static str {
        "raw"
    }

    fn is_used_up(&self) -> bool {
        false
    }

    fn memory(&self) -> usize {
        self.len()
    }

    fn pieces(&self) -> usize {
        1 + self.len() / PIECE
    }

    fn serialized_len(&self) -> usize {
        serialized_string_len(self.len())
    }

    fn digest(&self, digest: &mut Digest) {
        digest_string(self, digest);
    }
}

/// Lets `change` modify a long string, without a copy if nobody else reads it.
pub fn modify(string: &mut Bytes, change: impl FnOnce(&mut BytesMut)) {
    let taken = std::mem::take(string);
    let mut buffer = taken
        .try_into_mut()
        .unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    change(&mut buffer);
    *string = buffer.freeze();
}
