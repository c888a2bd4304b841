//! What a command's handler sees of the data: one database, at one time.

use std::time::Duration;

use bytes::Bytes;

use super::keyspace::Keyspace;
use super::store::{Database, Handle, SLOT_MAX};
use super::value::{Encoding, List, OfKind, Str, Value, ValueRef};
use crate::error::{Error, Result};
use crate::events::KeyspaceEvents;

/// What becomes of a key's expiry when a value is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expiry {
    /// It stays.
    Keep,
    /// There is none any more.
    Clear,
    /// It is this many milliseconds after 1970.
    At(i64),
}

/// What a key has, on the way to another key.
pub struct Moving {
    value: Value,
    encoding: Encoding,
    expires_at: Option<i64>,
}

/// One database as a command's handler sees it: the selected one, at the time
/// of the command.
pub struct Db<'a> {
    /// All databases.
    pub keyspace: &'a mut Keyspace,
    /// Which one is selected.
    pub index: usize,
    /// Milliseconds since 1970. It stands still while a command or a
    /// transaction runs.
    pub now: i64,
    /// Whether reading notes the time of access: CLIENT NO-TOUCH turns it off.
    pub touch: bool,
}

/// A string in a slot that stays this short is modified without an allocation.
const MODIFIED_IN_PLACE: usize = 512;

/// The clock of 24 bits that entries note their last access by, in seconds.
fn access_clock(now: i64) -> u32 {
    (now / 1000) as u32 & 0xff_ffff
}

impl Db<'_> {
    /// The same view on another database.
    pub fn select(&mut self, index: usize) -> Db<'_> {
        Db {
            keyspace: self.keyspace,
            index,
            now: self.now,
            touch: self.touch,
        }
    }

    /// The database itself.
    #[inline]
    pub fn database(&self) -> &Database {
        &self.keyspace.databases[self.index]
    }

    /// The database itself. Who changes something through it calls
    /// [`changed`](Self::changed).
    #[inline]
    pub fn database_mut(&mut self) -> &mut Database {
        &mut self.keyspace.databases[self.index]
    }

    /// The entry of a key that is there; one whose time has come is removed.
    /// It does not count as a use of the key.
    #[inline]
    pub fn peek(&mut self, key: &[u8]) -> Option<Handle> {
        let (handle, due) = self.database().find_at(key, self.now)?;
        if due {
            self.keyspace.expire(self.index, handle);
            return None;
        }
        Some(handle)
    }

    /// Whether the time of the entry has come.
    pub fn is_due(&self, handle: Handle) -> bool {
        let at = self.database().expires_at(handle);
        at.is_some_and(|at| at <= self.now)
    }

    /// Removes the entry if its time has come; answers whether it had.
    pub fn expire_if_due(&mut self, handle: Handle) -> bool {
        let due = self.is_due(handle);
        if due {
            self.keyspace.expire(self.index, handle);
        }
        due
    }

    /// The entry of a key that a write command is about to use.
    #[inline]
    pub fn lookup(&mut self, key: &[u8]) -> Option<Handle> {
        let handle = self.peek(key)?;
        if self.touch {
            let clock = access_clock(self.now);
            self.database_mut().access(handle, clock);
        }
        Some(handle)
    }

    /// The entry of a key that a read command asks for: a hit or a miss.
    pub fn read(&mut self, key: &[u8]) -> Option<Handle> {
        let found = self.lookup(key);
        self.count(key, found);
        found
    }

    /// The entry of a key that a read command asks about: a hit or a miss, but
    /// no use of the key.
    pub fn stat(&mut self, key: &[u8]) -> Option<Handle> {
        let found = self.peek(key);
        self.count(key, found);
        found
    }

    #[inline]
    fn count(&mut self, key: &[u8], found: Option<Handle>) {
        if found.is_some() {
            self.keyspace.stats.hits += 1;
        } else {
            self.keyspace.stats.misses += 1;
            self.event(KeyspaceEvents::KEY_MISS, "keymiss", key);
        }
    }

    /// The entry of any key. Those that it comes upon and whose time has come
    /// are removed.
    pub fn random(&mut self) -> Option<Handle> {
        loop {
            let Keyspace { databases, rng, .. } = &mut *self.keyspace;
            let handle = databases[self.index].random(|n| rng.usize(..n))?;
            if !self.expire_if_due(handle) {
                return Some(handle);
            }
        }
    }

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

    /// The list that `handle` stands for, or WRONGTYPE.
    pub fn list(&self, handle: Handle) -> Result<&List> {
        let value = self.database().value(handle);
        value.of_kind().ok_or(Error::WRONG_TYPE)
    }

    /// The list that `handle` stands for, or WRONGTYPE.
    pub fn list_mut(&mut self, handle: Handle) -> Result<&mut List> {
        let value = self.database_mut().value_mut(handle);
        value.and_then(List::of_mut).ok_or(Error::WRONG_TYPE)
    }

    /// The list under `key`, asked for by a read command.
    pub fn read_list(&mut self, key: &[u8]) -> Result<Option<&List>> {
        match self.read(key) {
            Some(handle) => self.list(handle).map(Some),
            None => Ok(None),
        }
    }

    /// Stores a string, whatever was there.
    pub fn set_string(&mut self, key: &[u8], value: &[u8], encoding: Encoding, expiry: Expiry) {
        let found = self.peek(key);
        self.put_string(key, found, value, encoding, expiry);
    }

    /// [`set_string`](Self::set_string) for who has looked the key up already:
    /// `found` is its entry.
    pub fn put_string(
        &mut self,
        key: &[u8],
        found: Option<Handle>,
        value: &[u8],
        encoding: Encoding,
        expiry: Expiry,
    ) {
        let expires_at = self.resolve(found, expiry);
        let clock = access_clock(self.now);
        self.database_mut()
            .set_string(found, key, value, encoding, expires_at, clock);
        self.changed(key);
        if found.is_none() {
            self.event(KeyspaceEvents::NEW, "new", key);
        }
    }

    /// Grows a string to at least `len` bytes, with zeros, and has `write`
    /// change its bytes; WRONGTYPE if it is none. A missing key counts as an
    /// empty string. OBJECT ENCODING calls the string `raw` from then on.
    /// `len` is within the limit for strings.
    pub fn modify_string(
        &mut self,
        key: &[u8],
        found: Option<Handle>,
        len: usize,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<()> {
        let old = match found {
            Some(handle) => match self.string(handle)? {
                Str::Inline(old) => old,
                Str::Shared(_) => {
                    self.database_mut().modify_long_string(handle, |bytes| {
                        bytes.resize(len.max(bytes.len()), 0);
                        write(bytes);
                    });
                    self.changed(key);
                    return Ok(());
                }
            },
            None => &[],
        };
        let len = len.max(old.len());
        let (mut short, mut long) = ([0; MODIFIED_IN_PLACE], Vec::new());
        let bytes = short.get_mut(..len).unwrap_or_else(|| {
            long = vec![0; len];
            &mut long
        });
        bytes[..old.len()].copy_from_slice(old);
        write(bytes);
        if len > SLOT_MAX {
            // It is long enough to be `raw` anyway.
            self.set_value(key, Bytes::from(long).into(), Expiry::Keep);
        } else {
            self.put_string(key, found, bytes, Encoding::Raw, Expiry::Keep);
        }
        Ok(())
    }

    /// Stores a value, whatever was there.
    pub fn set_value(&mut self, key: &[u8], value: Value, expiry: Expiry) {
        let found = self.peek(key);
        let expires_at = self.resolve(found, expiry);
        let clock = access_clock(self.now);
        self.database_mut()
            .set_value(found, key, value, expires_at, clock);
        self.changed(key);
        if found.is_none() {
            self.event(KeyspaceEvents::NEW, "new", key);
        }
    }

    /// The expiry that a key whose entry is `found` has from now on.
    #[inline]
    fn resolve(&mut self, found: Option<Handle>, expiry: Expiry) -> Option<i64> {
        match expiry {
            Expiry::Keep => found.and_then(|handle| self.database().expires_at(handle)),
            Expiry::Clear => None,
            Expiry::At(at) => {
                self.keyspace.journal.expires(at);
                Some(at)
            }
        }
    }

    /// Gives the key another expiry, or none.
    pub fn set_expiry(&mut self, key: &[u8], handle: Handle, expires_at: Option<i64>) {
        self.database_mut().set_expiry(handle, expires_at);
        if let Some(at) = expires_at {
            self.keyspace.journal.expires(at);
        }
        self.changed(key);
    }

    /// Removes the key; what it held is dropped. Fires no event.
    pub fn remove(&mut self, key: &[u8], handle: Handle) {
        self.database_mut().remove(handle);
        self.changed(key);
    }

    /// A copy of what the key has, to be [put](Self::put) under another one.
    pub fn copy(&self, handle: Handle) -> Moving {
        let database = self.database();
        let (value, encoding) = database.value(handle).copied();
        Moving {
            value,
            encoding,
            expires_at: database.expires_at(handle),
        }
    }

    /// Removes the key and answers what it had. Fires no event.
    pub fn take(&mut self, key: &[u8], handle: Handle) -> Moving {
        let database = self.database_mut();
        let expires_at = database.expires_at(handle);
        // What stands in the slot goes with it; another value is handed out.
        let inline = match database.value(handle) {
            inline @ ValueRef::Inline(..) => Some(inline.copied()),
            ValueRef::Value(_) => None,
        };
        let taken = database
            .take(handle)
            .map(|value| (value, Encoding::Natural));
        let (value, encoding) = taken.or(inline).expect("a value is in a slot or it is not");
        self.changed(key);
        Moving {
            value,
            encoding,
            expires_at,
        }
    }

    /// Gives `key` what another one had, whatever was there.
    pub fn put(&mut self, key: &[u8], moving: Moving) {
        let expiry = moving.expires_at.map_or(Expiry::Clear, Expiry::At);
        match Bytes::of(&moving.value) {
            Some(string) if string.len() < SLOT_MAX => {
                self.set_string(key, string, moving.encoding, expiry);
            }
            _ => self.set_value(key, moving.value, expiry),
        }
    }

    /// Removes a list that has become empty, with its `del` event; true if it was.
    pub fn remove_if_empty(&mut self, key: &[u8], handle: Handle) -> bool {
        let empty = self.list(handle).is_ok_and(List::is_empty);
        if empty {
            self.remove(key, handle);
            self.event(KeyspaceEvents::GENERIC, "del", key);
        }
        empty
    }

    /// Notes that the value or the expiry of `key` is another now.
    #[inline]
    pub fn changed(&mut self, key: &[u8]) {
        self.keyspace.journal.changed(self.index, key);
    }

    /// Notes an event for keyspace notifications: `lpush`, `del`, `expire` …
    #[inline]
    pub fn event(&mut self, class: KeyspaceEvents, name: &'static str, key: &[u8]) {
        self.keyspace.journal.event(self.index, class, name, key);
    }

    /// For how long nobody has used the key.
    pub fn idle(&self, handle: Handle) -> Duration {
        let seconds = access_clock(self.now).wrapping_sub(self.database().accessed(handle));
        Duration::from_secs(u64::from(seconds & 0xff_ffff))
    }
}
