//! What the bytes in the slot of a key are.

use crate::text::number;

/// Redis's longest string that shares an allocation with its header.
const EMBSTR_MAX: usize = 44;

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

/// A container of more bytes than this does not stand in the slot of its key:
/// it is taken out to be changed, and put back.
pub const INLINE_MAX: usize = 1024;

/// What the bytes in a slot are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A string.
    String(Encoding),
    /// A hash: fields and values in turn, [packed](crate::db::memory::pack).
    Hash,
    /// A set of integers.
    Ints,
    /// A set of strings.
    Set,
    /// A sorted set.
    Zset,
}

/// The bits of a form; those of strings are below.
const HASH: u8 = 4;
const INTS: u8 = 5;
const SET: u8 = 6;
const ZSET: u8 = 7;

impl Form {
    /// Three bits that tell it, to be kept beside the bytes.
    #[inline]
    pub fn bits(self) -> u8 {
        match self {
            Form::String(encoding) => encoding.bits(),
            Form::Hash => HASH,
            Form::Ints => INTS,
            Form::Set => SET,
            Form::Zset => ZSET,
        }
    }

    /// What [`bits`](Self::bits) tell.
    #[inline]
    pub fn from_bits(bits: u8) -> Form {
        match bits {
            HASH => Form::Hash,
            INTS => Form::Ints,
            SET => Form::Set,
            ZSET => Form::Zset,
            _ => Form::String(Encoding::from_bits(bits)),
        }
    }
}
