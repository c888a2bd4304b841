//! How handlers read and write strings.

use bytes::Bytes;

use super::{Db, Edited, Expiry};
use crate::db::memory::slots::{Full, SLOT_MAX};
use crate::db::store::Handle;
use crate::db::value::{self, Encoding, OfKind, STRING, Stored, Str};
use crate::error::{Error, Result};
use crate::events::KeyspaceEvents;

/// A string in a slot that stays this short is modified without an allocation.
const MODIFIED_IN_PLACE: usize = 512;

impl Db<'_> {
    /// The string that `handle` stands for, or WRONGTYPE.
    #[inline]
    pub fn string(&self, handle: Handle) -> Result<Str<'_>> {
        let value = self.database().value(handle);
        value.string().ok_or(Error::WRONG_TYPE)
    }

    /// The string under `key`, asked for by a read command.
    pub fn read_string(&mut self, key: &[u8]) -> Result<Option<Str<'_>>> {
        match self.read(key) {
            Some(handle) => self.string(handle).map(Some),
            None => Ok(None),
        }
    }

    /// Stores a string under `key`, whose entry is `found`, whatever was
    /// there. `event` tells of it.
    pub fn set_string(
        &mut self,
        key: &[u8],
        found: Option<Handle>,
        value: &[u8],
        encoding: Encoding,
        expiry: Expiry,
        event: &'static str,
    ) -> Result<()> {
        let expires_at = self.resolve(found, expiry);
        let now = self.now;
        let database = self.database_mut();
        let stored = database.set_string(found, key, value, encoding, expires_at, now);
        let old = stored?;
        self.keyspace.discard(old);
        self.string_changed(key, found, Some(event), 1);
        if let Expiry::At(_) = expiry {
            self.event(KeyspaceEvents::GENERIC, "expire", key);
        }
        Ok(())
    }

    /// Grows a string to at least `len` bytes, with zeros, and has `write`
    /// change its bytes; WRONGTYPE if it is none. A missing key counts as an
    /// empty string. OBJECT ENCODING calls the string `raw` from then on, and
    /// it has grown, even if nothing is changed otherwise. `len` is within the
    /// limit for strings.
    pub fn modify_string<R>(
        &mut self,
        key: &[u8],
        found: Option<Handle>,
        len: usize,
        write: impl FnOnce(&mut [u8]) -> Edited<R>,
    ) -> Result<R> {
        let (edited, grown) = self.write_string(key, found, len, write)?;
        let (event, changes, answer) = match edited {
            Edited::Changed(event, changes, answer) => (Some(event), changes, answer),
            Edited::Noted(event, changes, answer) => (event, changes, answer),
            // What has grown is noted all the same, though Redis does not count it.
            Edited::Unchanged(answer) if grown => (None, 0, answer),
            Edited::Unchanged(answer) => return Ok(answer),
        };
        self.string_changed(key, found, event, changes);
        Ok(answer)
    }

    /// Has `write` put down in a string what a command that reads has found
    /// out of it: a change of which no event tells.
    pub fn remember(
        &mut self,
        key: &[u8],
        handle: Handle,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<()> {
        self.write_string(key, Some(handle), 0, write)?;
        self.changed(key, 1);
        Ok(())
    }

    /// Has OBJECT ENCODING call a string `raw` from now on, as if it were
    /// modified: Redis makes it ready for that before it knows whether it will
    /// be.
    pub fn make_raw(&mut self, key: &[u8], handle: Handle) -> Result<()> {
        if self.database().value(handle).encoding_name() != "raw" {
            self.write_string(key, Some(handle), 0, |_| ())?;
        }
        Ok(())
    }

    /// Grows a string and changes its bytes, and notes nothing. Answers also
    /// whether it is longer than before.
    fn write_string<R>(
        &mut self,
        key: &[u8],
        found: Option<Handle>,
        len: usize,
        write: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<(R, bool)> {
        let old = match found.map(|handle| self.string(handle)).transpose()? {
            Some(Str::Shared(old)) => {
                let grown = len > old.len();
                let value = found.and_then(|handle| self.database_mut().value_mut(handle));
                let string = value.and_then(Bytes::of_mut).expect("it is a long string");
                let before = string.memory();
                let answer = value::modify(string, len, write);
                let after = string.memory();
                self.database_mut().weigh(before, after);
                return Ok((answer, grown));
            }
            Some(Str::Inline(old)) => old,
            None => &[],
        };
        let grown = found.is_none() || len > old.len();
        let len = len.max(old.len());
        let (mut short, mut long) = ([0; MODIFIED_IN_PLACE], Vec::new());
        let bytes = short.get_mut(..len).unwrap_or_else(|| {
            long = vec![0; len];
            &mut long
        });
        bytes[..old.len()].copy_from_slice(old);
        let answer = write(bytes);
        let expires_at = self.resolve(found, Expiry::Keep);
        if len <= SLOT_MAX {
            let now = self.now;
            let database = self.database_mut();
            let stored = database.set_string(found, key, bytes, Encoding::Raw, expires_at, now);
            let old = stored.map_err(|Full| Error::OUT_OF_MEMORY)?;
            self.keyspace.discard(old);
        } else {
            let value = Bytes::from(long).into();
            let stored = self.store_value(key, found, value, Encoding::Raw, expires_at);
            stored.map_err(|_| Error::OUT_OF_MEMORY)?;
        }
        Ok((answer, grown))
    }

    /// Stores a string that was computed under `key`, whose entry is `found`,
    /// whatever was there. OBJECT ENCODING calls it `raw`. An event may tell
    /// of it; it counts as so many changes.
    pub fn put_string(
        &mut self,
        key: &[u8],
        found: Option<Handle>,
        value: Vec<u8>,
        expiry: Expiry,
        event: Option<&'static str>,
        changes: usize,
    ) -> Result<()> {
        let expires_at = self.resolve(found, expiry);
        let value = Bytes::from(value).into();
        let stored = self.store_value(key, found, value, Encoding::Raw, expires_at);
        stored.map_err(|_| Error::OUT_OF_MEMORY)?;
        self.string_changed(key, found, event, changes);
        Ok(())
    }

    /// Notes that a string was stored under `key`, whose entry was `found`.
    #[inline(always)]
    fn string_changed(
        &mut self,
        key: &[u8],
        found: Option<Handle>,
        event: Option<&'static str>,
        changes: usize,
    ) {
        self.changed(key, changes);
        if found.is_none() {
            self.event(KeyspaceEvents::NEW, "new", key);
        }
        if let Some(event) = event {
            self.event(STRING.events, event, key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::keyspace::tests::keyspace;
    use crate::db::view::tests::events;

    #[test]
    fn an_edit_of_a_string_is_noted_as_it_says() {
        let mut keyspace = keyspace();
        keyspace.journal.observed = true;
        type Edit = fn(&mut Db<'_>, Option<Handle>) -> Result<()>;
        let unchanged: Edit =
            |db, found| db.modify_string(b"k", found, 4, |_| Edited::Unchanged(()));
        let changed: Edit = |db, found| {
            db.modify_string(b"k", found, 0, |bytes| {
                bytes[0] = b'x';
                Edited::Changed("setbit", 3, ())
            })
        };
        let longer: Edit =
            |db, found| db.modify_string(b"k", found, 5000, |_| Edited::Unchanged(()));
        let remembered: Edit =
            |db, found| db.remember(b"k", found.unwrap(), |bytes| bytes[1] = b'y');
        let put: Edit = |db, found| {
            let string = b"computed".to_vec();
            db.put_string(b"k", found, string, Expiry::Clear, Some("set"), 2)
        };
        let quiet: Edit =
            |db, found| db.put_string(b"k", found, b"1".to_vec(), Expiry::Keep, None, 1);
        // What is noted: whether a change, which events, how much.
        for (edit, is_noted, expected, dirty, starts) in [
            (unchanged, true, &["new"][..], 0, &b"\0\0\0\0"[..]),
            (unchanged, false, &[], 0, b"\0"),
            (changed, true, &["setbit"], 3, b"x\0\0\0"),
            (longer, true, &[], 0, b"x\0\0\0\0"),
            (longer, false, &[], 0, b"x"),
            (changed, true, &["setbit"], 3, b"x"),
            (remembered, true, &[], 1, b"xy"),
            (put, true, &["set"], 2, b"computed"),
            (quiet, true, &[], 1, b"1"),
        ] {
            let before = keyspace.journal.dirty;
            let mut db = Db::new(&mut keyspace, 0, 0, true);
            let found = db.lookup(b"k");
            edit(&mut db, found).unwrap();
            let handle = db.lookup(b"k").unwrap();
            assert!(db.string(handle).unwrap().starts_with(starts));
            assert_eq!(db.database().value(handle).encoding_name(), "raw");
            assert_eq!(events(&mut keyspace), expected);
            assert_eq!(keyspace.journal.dirty - before, dirty);
            assert_eq!(!keyspace.journal.changes.is_empty(), is_noted);
            keyspace.clear_changes();
        }
    }
}
