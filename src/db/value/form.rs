//! What the bytes in the slot of a key are.

use crate::db::memory::heap;
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

/// What Redis has in place of a collection that is packed here, which OBJECT
/// ENCODING tells.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum PackedAs {
    /// A listpack.
    #[default]
    Listpack,
    /// A table, since a string has come that is too long for a listpack. A
    /// session with one long field takes less than half of a table's memory
    /// here: it becomes one when it has some kilobytes.
    Table,
}

impl PackedAs {
    /// What it is when a string has come that is too long for a listpack, or
    /// has not.
    pub fn with(self, is_too_long: bool) -> PackedAs {
        match is_too_long {
            true => PackedAs::Table,
            false => self,
        }
    }

    /// Whether so many bytes are packed, or become a table.
    pub fn holds(self, bytes: usize) -> bool {
        // More than that Redis never packs, whatever the settings say.
        const LISTPACK_MAX: usize = 1 << 30;
        // To go through so many takes no longer than one look into a table.
        const TABLE_MAX: usize = 4096;
        let max = match self {
            PackedAs::Listpack => LISTPACK_MAX,
            PackedAs::Table => TABLE_MAX,
        };
        bytes <= max
    }
}

/// Takes back what a buffer has grown by and does not need any more.
pub fn trim(bytes: &mut Vec<u8>) {
    const SLACK: usize = 64;
    let len = bytes.len();
    if bytes.capacity() > len + len / 2 + SLACK {
        heap::shrink(bytes, len + len / 8);
    }
}

/// What the bytes in a slot are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A string.
    String(Encoding),
    /// A hash: fields and values in turn, [packed](crate::db::memory::pack).
    Hash(PackedAs),
    /// A set of integers.
    Ints,
    /// A set of strings.
    Set(PackedAs),
    /// A sorted set.
    Zset(PackedAs),
}

/// The bits of a form; those of strings are below.
const HASH: u8 = 4;
const INTS: u8 = 5;
const SET: u8 = 6;
const ZSET: u8 = 7;
/// Is among them where Redis has a table.
const AS_TABLE: u8 = 8;

impl Form {
    /// Four bits that tell it, to be kept beside the bytes.
    #[inline]
    pub fn bits(self) -> u8 {
        let as_bits = |packed_as| match packed_as {
            PackedAs::Listpack => 0,
            PackedAs::Table => AS_TABLE,
        };
        match self {
            Form::String(encoding) => encoding.bits(),
            Form::Hash(packed_as) => HASH | as_bits(packed_as),
            Form::Ints => INTS,
            Form::Set(packed_as) => SET | as_bits(packed_as),
            Form::Zset(packed_as) => ZSET | as_bits(packed_as),
        }
    }

    /// What [`bits`](Self::bits) tell.
    #[inline]
    pub fn from_bits(bits: u8) -> Form {
        let packed_as = PackedAs::Listpack.with(bits & AS_TABLE != 0);
        match bits & !AS_TABLE {
            HASH => Form::Hash(packed_as),
            INTS => Form::Ints,
            SET => Form::Set(packed_as),
            ZSET => Form::Zset(packed_as),
            bits => Form::String(Encoding::from_bits(bits)),
        }
    }
}
