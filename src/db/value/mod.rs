//! What a key can hold, and the one `match` over its kinds: everything else
//! asks [`Held`].
//!
//! # How to add a kind of value
//!
//! 1. Give it a file beside `list.rs`: the type, which is `Clone` and
//!    `Default` (empty), with its [`Kind`] as the constant `KIND`, and what it
//!    tells of itself: `impl Held`.
//! 2. Here: the file and its type among the imports, a variant of [`Value`],
//!    an arm in [`Value::held`] and its twin, and at the end of this file which variant it
//!    is: `impl OfKind` and `impl From`.
//!
//! That is all. TYPE, OBJECT ENCODING, SCAN, COPY, RENAME, MEMORY USAGE, DEBUG
//! OBJECT, expiry and DEL know it then, because they ask. Its commands are a
//! family of their own: they read with `db.value::<It>(…)` and write with
//! `db.edit::<It>(…)`, which notes the change, tells of it with the events of
//! the kind, and removes what is used up.

mod kind;
mod list;
mod string;

use bytes::Bytes;

use super::digest::Digest;

pub use kind::{Held, Kind, PIECE};
pub use list::{ChunkLimit, End, List};
pub use string::{Encoding, STRING, Str, modify};

/// A value that does not stand in a slot.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string too long for a slot.
    String(Bytes),
    /// A list, never empty.
    List(List),
}

impl Value {
    /// The one `match` over all kinds.
    pub fn held(&self) -> &dyn Held {
        match self {
            Value::String(string) => string,
            Value::List(list) => list,
        }
    }

    /// [`held`](Self::held), to be changed.
    pub fn held_mut(&mut self) -> &mut dyn Held {
        match self {
            Value::String(string) => string,
            Value::List(list) => list,
        }
    }
}

/// A value where it stands.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    /// A string in the slot of its key.
    Inline(&'a [u8], Encoding),
    /// Anything else.
    Value(&'a Value),
}

impl<'a> ValueRef<'a> {
    /// The value, if it is of this kind and no string in a slot.
    #[inline]
    pub fn of_kind<K: OfKind>(self) -> Option<&'a K> {
        match self {
            ValueRef::Inline(..) => None,
            ValueRef::Value(value) => K::of(value),
        }
    }

    /// The value, if it is a string.
    #[inline(always)]
    pub fn string(self) -> Option<Str<'a>> {
        match self {
            ValueRef::Inline(string, _) => Some(Str::Inline(string)),
            ValueRef::Value(value) => Bytes::of(value).map(Str::Shared),
        }
    }

    /// A copy of it, and how it is to be named. The bytes of a long string are
    /// shared.
    pub fn copied(self) -> (Value, Encoding) {
        match self {
            ValueRef::Inline(string, encoding) => (Bytes::copy_from_slice(string).into(), encoding),
            ValueRef::Value(value) => (value.clone(), Encoding::Natural),
        }
    }

    /// Its kind.
    pub fn kind(self) -> Kind {
        match self {
            ValueRef::Inline(..) => STRING,
            ValueRef::Value(value) => value.held().kind(),
        }
    }

    /// The name that OBJECT ENCODING answers.
    pub fn encoding_name(self) -> &'static str {
        match self {
            ValueRef::Inline(string, encoding) => encoding.name(string),
            ValueRef::Value(value) => value.held().encoding_name(),
        }
    }

    /// What OBJECT REFCOUNT answers.
    pub fn refcount(self) -> i32 {
        match self {
            ValueRef::Inline(string, encoding) => encoding.refcount(string),
            ValueRef::Value(_) => 1,
        }
    }

    /// About the bytes that it takes in Redis's file format.
    pub fn serialized_len(self) -> usize {
        match self {
            ValueRef::Inline(string, _) => kind::serialized_string_len(string.len()),
            ValueRef::Value(value) => value.held().serialized_len(),
        }
    }

    /// Adds to the digest what DEBUG DIGEST takes of it.
    pub fn digest(self, digest: &mut Digest) {
        match self {
            ValueRef::Inline(string, _) => kind::digest_string(string, digest),
            ValueRef::Value(value) => value.held().digest(digest),
        }
    }
}

/// A kind of value that does not stand in a slot, for who reads or writes it.
pub trait OfKind: Held + Default + Into<Value> {
    /// The value, if it is of this kind.
    fn of(value: &Value) -> Option<&Self>;

    /// The value, if it is of this kind.
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
}

impl OfKind for Bytes {
    fn of(value: &Value) -> Option<&Self> {
        match value {
            Value::String(string) => Some(string),
            _ => None,
        }
    }

    fn of_mut(value: &mut Value) -> Option<&mut Self> {
        match value {
            Value::String(string) => Some(string),
            _ => None,
        }
    }
}

impl From<Bytes> for Value {
    fn from(string: Bytes) -> Value {
        Value::String(string)
    }
}

impl OfKind for List {
    fn of(value: &Value) -> Option<&Self> {
        match value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    fn of_mut(value: &mut Value) -> Option<&mut Self> {
        match value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }
}

impl From<List> for Value {
    fn from(list: List) -> Value {
        Value::List(list)
    }
}
