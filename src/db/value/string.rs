//! Strings: a short one stands in the slot of its key, a longer one in an
//! allocation that replies can share.

use bytes::{Bytes, BytesMut};

use super::form::{Encoding, Form};
use super::kind::{Held, Kind, Stored, Viewed, digest_string, serialize_string};
use crate::db::Digest;
use crate::db::memory::heap;
use crate::db::memory::slots::PIECE;
use crate::events::KeyspaceEvents;
use crate::rdb::Writer;

/// The kind of every string, wherever it stands.
pub const STRING: Kind = Kind {
    name: "string",
    events: KeyspaceEvents::STRING,
};

/// A string as it is stored.
#[derive(Clone, Copy, Debug)]
pub enum Str<'a> {
    /// In a slot.
    Inline(&'a [u8]),
    /// In an allocation that a reply can share.
    Shared(&'a Bytes),
}

impl<'a> Str<'a> {
    /// Its bytes, for as long as it is stored.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Str::Inline(bytes) => bytes,
            Str::Shared(bytes) => bytes,
        }
    }
}

impl std::ops::Deref for Str<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes()
    }
}

/// A string in a slot, and how it is to be named.
pub struct Short<'a>(pub &'a [u8], pub Encoding);

impl Held for Short<'_> {
    fn kind(&self) -> Kind {
        STRING
    }

    fn encoding_name(&self) -> &'static str {
        self.1.name(self.0)
    }

    fn serialize(&self, output: &mut Writer) {
        serialize_string(self.0, output);
    }

    fn digest(&self, digest: &mut Digest) {
        digest_string(self.0, digest);
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

    fn serialize(&self, output: &mut Writer) {
        serialize_string(self, output);
    }

    fn digest(&self, digest: &mut Digest) {
        digest_string(self, digest);
    }
}

impl Stored for Bytes {
    fn is_used_up(&self) -> bool {
        false
    }

    fn memory(&self) -> usize {
        heap::held(self.len())
    }

    fn pieces(&self) -> usize {
        1 + self.len() / PIECE
    }

    fn inline(&self, encoding: Encoding) -> Option<(&[u8], Form)> {
        Some((self, Form::String(encoding)))
    }
}

impl Viewed for Bytes {
    type View<'a> = &'a Bytes;

    fn view(&self) -> &Bytes {
        self
    }
}

/// Grows a long string to at least `len` bytes, with zeros, and has `write`
/// change them, without a copy if nobody else reads it and there is room. One
/// that grows gets an eighth more than it needs, which is not told of: by
/// doubling, a byte that is appended would hold as much as all before it.
pub fn modify<R>(string: &mut Bytes, len: usize, write: impl FnOnce(&mut [u8]) -> R) -> R {
    let len = len.max(string.len());
    let copied = |old: &[u8]| {
        let room = if len > old.len() { len / 8 } else { 0 };
        let mut buffer = BytesMut::with_capacity(len + room);
        buffer.extend_from_slice(old);
        buffer
    };
    let mut buffer = match std::mem::take(string).try_into_mut() {
        Ok(own) if own.capacity() >= len => own,
        Ok(own) => copied(&own),
        Err(shared) => copied(&shared),
    };
    buffer.resize(len, 0);
    let answer = write(&mut buffer);
    *string = buffer.freeze();
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_that_grows_takes_little_more_than_it_needs() {
        let mut string = Bytes::from(vec![b'x'; 100_000]);
        let mut moved = 0;
        for len in 100_001..120_000 {
            let before = string.as_ptr();
            modify(&mut string, len, |bytes| bytes[len - 1] = b'y');
            moved += usize::from(string.as_ptr() != before);
            assert_eq!(string.len(), len);
        }
        assert!(moved <= 2, "copied {moved} times");
        let own = string.try_into_mut().expect("nobody else has it");
        assert!(own.capacity() < 120_000 * 5 / 4, "{}", own.capacity());
        assert!(own[..100_000].iter().all(|&byte| byte == b'x'));
        assert!(own[100_000..].iter().all(|&byte| byte == b'y'));
    }

    #[test]
    fn a_string_that_somebody_reads_is_left_alone() {
        let mut string = Bytes::from_static(b"before");
        let read = string.clone();
        modify(&mut string, 0, |bytes| bytes[0] = b'B');
        assert_eq!((&string[..], &read[..]), (&b"Before"[..], &b"before"[..]));
    }
}
