//! What a key can hold, and the one `match` over its kinds: everything else
//! asks [`Held`] and [`Stored`].
//!
//! # How to add a kind of value
//!
//! 1. Give it a file beside `list.rs`: the type, which is `Clone` and
//!    `Default` (empty), with its [`Kind`] as the constant `KIND`, what it
//!    tells of itself (`impl Held`, `impl Stored`), and what readers see of it
//!    (`impl Viewed`).
//! 2. Here: the file, a variant of [`Value`], an arm in [`Value::stored`] and
//!    its twin, in [`read`], and which variant it is. If small ones stand in
//!    the slot of their key: a [`Form`], and arms in [`ValueRef`] that read it.
//!
//! That is all. TYPE, OBJECT ENCODING, SCAN, COPY, RENAME, DUMP, RESTORE, MEMORY
//! USAGE, DEBUG OBJECT, expiry and DEL know it then, because they ask. Its
//! commands are a family of their own: they read with `db.value::<It>(…)` and
//! write with `db.edit::<It>(…)`, which notes the change, tells of it with the
//! events of the kind, and removes what is used up.

mod form;
mod hash;
mod kind;
mod list;
mod requests;
mod set;
mod shown;
pub mod stream;
mod string;
mod zset;

use std::borrow::Cow;

use bytes::Bytes;

use super::digest::Digest;
use super::limits::Limits;
use super::memory::members::Members;
use crate::error::{Error, Result};
use crate::rdb::{Reader, Type, Writer};

pub use form::{Encoding, Form, INLINE_MAX};
pub use hash::{Hash, HashRef, OldTime, Pair};
pub use kind::{Held, Kind, Parts, Stored, Viewed};
pub use list::{ChunkLimit, End, List};
pub use set::{Digits, Member, Set, SetLimits, SetRef};
pub use shown::Line;
pub use stream::Stream;
pub use string::{STRING, Str, modify};
pub use zset::{Direction, LexBound, ScoreBound, Update, Zset, ZsetRef};

use string::Short;

/// A value that does not stand in a slot.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string too long for a slot.
    String(Bytes),
    /// A list, never empty.
    List(List),
    /// A hash that does not stand in a slot, never empty.
    Hash(Hash),
    /// A set that does not stand in a slot, never empty.
    Set(Set),
    /// A sorted set that does not stand in a slot, never empty.
    Zset(Zset),
    /// A stream.
    Stream(Box<Stream>),
}

impl Value {
    /// What it tells of itself.
    pub fn stored(&self) -> &dyn Stored {
        match self {
            Value::String(string) => string,
            Value::List(list) => list,
            Value::Hash(hash) => hash,
            Value::Set(set) => set,
            Value::Zset(zset) => zset,
            Value::Stream(stream) => &**stream,
        }
    }

    /// When the first of its parts expires.
    pub fn first_part(&self) -> Option<i64> {
        self.stored().parts()?.first_expiry()
    }

    /// [`stored`](Self::stored), to be changed.
    pub fn stored_mut(&mut self) -> &mut dyn Stored {
        match self {
            Value::String(string) => string,
            Value::List(list) => list,
            Value::Hash(hash) => hash,
            Value::Set(set) => set,
            Value::Zset(zset) => zset,
            Value::Stream(stream) => &mut **stream,
        }
    }
}

/// Reads a value in the format of DUMP: any but an empty container.
pub fn read(input: &mut Reader<'_>, limits: &Limits) -> Result<Value> {
    let written = input.written_as()?;
    let value: Value = match written {
        Type::String => match input.string()? {
            Cow::Borrowed(string) => Bytes::copy_from_slice(string).into(),
            Cow::Owned(string) => Bytes::from(string).into(),
        },
        Type::List | Type::ListZiplist | Type::ListQuicklist | Type::ListQuicklist2 => {
            List::read(input, written, limits.list_chunk)?.into()
        }
        // Of what is packed already Redis minds how many there are, and not how
        // long they are.
        Type::Set | Type::SetIntset => Set::read(input, written, limits.set)?.into(),
        Type::SetListpack => Set::read(input, written, limits.set.of_any_length())?.into(),
        Type::Hash | Type::HashZipmap | Type::HashTimes | Type::HashTimes2 => {
            Hash::read(input, written, limits.hash)?.into()
        }
        Type::HashZiplist
        | Type::HashListpack
        | Type::HashTimesListpack
        | Type::HashTimesListpack2 => {
            Hash::read(input, written, limits.hash.of_any_length())?.into()
        }
        Type::Zset | Type::Zset2 => Zset::read(input, written, limits.zset)?.into(),
        Type::ZsetZiplist | Type::ZsetListpack => {
            Zset::read(input, written, limits.zset.of_any_length())?.into()
        }
        Type::StreamListpacks | Type::StreamListpacks2 | Type::StreamListpacks3 => {
            Stream::read(input, written)?.into()
        }
    };
    match value.stored().is_used_up() {
        true => Err(Error::DATA_FORMAT),
        false => Ok(value),
    }
}

/// Says which variant of [`Value`] a type is.
macro_rules! is_variant {
    ($kind:ty, $variant:path) => {
        impl From<$kind> for Value {
            fn from(value: $kind) -> Value {
                $variant(value)
            }
        }

        impl OfKind for $kind {
            fn of(value: &Value) -> Option<&Self> {
                match value {
                    $variant(value) => Some(value),
                    _ => None,
                }
            }

            fn of_mut(value: &mut Value) -> Option<&mut Self> {
                match value {
                    $variant(value) => Some(value),
                    _ => None,
                }
            }
        }
    };
}

is_variant!(Bytes, Value::String);
is_variant!(List, Value::List);
is_variant!(Hash, Value::Hash);
is_variant!(Set, Value::Set);
is_variant!(Zset, Value::Zset);

impl From<Stream> for Value {
    fn from(stream: Stream) -> Value {
        Value::Stream(stream.into())
    }
}

impl OfKind for Stream {
    fn of(value: &Value) -> Option<&Self> {
        match value {
            Value::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    fn of_mut(value: &mut Value) -> Option<&mut Self> {
        match value {
            Value::Stream(stream) => Some(stream),
            _ => None,
        }
    }
}

/// A kind of value that does not stand in a slot, for who reads or writes it.
pub trait OfKind: Stored + Viewed + Default + Into<Value> {
    /// The value, if it is of this kind.
    fn of(value: &Value) -> Option<&Self>;

    /// The value, if it is of this kind.
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
}

/// A value where it stands.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    /// In the slot of its key.
    Inline(&'a [u8], Form),
    /// Anything else.
    Value(&'a Value),
}

impl<'a> ValueRef<'a> {
    /// The value, if it is of this kind.
    #[inline]
    pub fn of_kind<K: OfKind>(self) -> Option<K::View<'a>> {
        match self {
            ValueRef::Inline(bytes, form) => K::view_inline(bytes, form),
            ValueRef::Value(value) => K::of(value).map(K::view),
        }
    }

    /// The value, if it is a string.
    #[inline(always)]
    pub fn string(self) -> Option<Str<'a>> {
        match self {
            ValueRef::Inline(string, Form::String(_)) => Some(Str::Inline(string)),
            ValueRef::Inline(..) => None,
            ValueRef::Value(value) => Bytes::of(value).map(Str::Shared),
        }
    }

    /// Its parts, if some may expire. No value in a slot has such.
    pub fn parts(self) -> Option<&'a dyn Parts> {
        match self {
            ValueRef::Value(value) => value.stored().parts(),
            ValueRef::Inline(..) => None,
        }
    }

    /// A copy of it, and how it is to be named if it is a string. The bytes of
    /// a long string are shared.
    pub fn copied(self) -> (Value, Encoding) {
        match self {
            ValueRef::Inline(string, Form::String(encoding)) => {
                (Bytes::copy_from_slice(string).into(), encoding)
            }
            ValueRef::Inline(bytes, form @ Form::Hash(_)) => {
                (own::<Hash>(bytes, form).into(), Encoding::Natural)
            }
            ValueRef::Inline(bytes, form @ (Form::Ints | Form::Set(_))) => {
                (own::<Set>(bytes, form).into(), Encoding::Natural)
            }
            ValueRef::Inline(bytes, form @ Form::Zset(_)) => {
                (own::<Zset>(bytes, form).into(), Encoding::Natural)
            }
            ValueRef::Value(value) => (value.clone(), Encoding::Natural),
        }
    }

    /// What it answers of itself.
    fn ask<R>(self, ask: impl FnOnce(&dyn Held) -> R) -> R {
        match self {
            ValueRef::Inline(string, Form::String(encoding)) => ask(&Short(string, encoding)),
            ValueRef::Inline(bytes, form @ Form::Hash(_)) => ask(&view::<Hash>(bytes, form)),
            ValueRef::Inline(bytes, form @ (Form::Ints | Form::Set(_))) => {
                ask(&view::<Set>(bytes, form))
            }
            ValueRef::Inline(bytes, form @ Form::Zset(_)) => ask(&view::<Zset>(bytes, form)),
            ValueRef::Value(value) => ask(value.stored()),
        }
    }

    /// Its kind.
    pub fn kind(self) -> Kind {
        self.ask(|held| held.kind())
    }

    /// The name that OBJECT ENCODING answers.
    pub fn encoding_name(self) -> &'static str {
        self.ask(|held| held.encoding_name())
    }

    /// What OBJECT REFCOUNT answers.
    pub fn refcount(self) -> i32 {
        match self {
            ValueRef::Inline(string, Form::String(encoding)) => encoding.refcount(string),
            ValueRef::Inline(..) | ValueRef::Value(_) => 1,
        }
    }

    /// How many entries the hash table has that holds it, if one does.
    pub fn table_len(self) -> Option<usize> {
        match self {
            ValueRef::Inline(..) => None,
            ValueRef::Value(value) => value.stored().members().map(Members::len),
        }
    }

    /// Writes it in the format of DUMP.
    pub fn serialize(self, output: &mut Writer) {
        self.ask(|held| held.serialize(output));
    }

    /// Adds to the digest what DEBUG DIGEST takes of it.
    pub fn digest(self, digest: &mut Digest) {
        self.ask(|held| held.digest(digest));
    }
}

/// Why a form that is told belongs to a kind.
const OF_KIND: &str = "the form is one of the kind's";

/// What stands in a slot in a form of this kind.
fn view<K: Viewed>(bytes: &[u8], form: Form) -> K::View<'_> {
    K::view_inline(bytes, form).expect(OF_KIND)
}

/// The same, taken out.
fn own<K: Viewed>(bytes: &[u8], form: Form) -> K {
    K::from_inline(bytes, form).expect(OF_KIND)
}
