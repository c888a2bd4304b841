//! What a command's handler sees of the data: one database, at one time.
//!
//! It reads values through their entries, and writes them through the calls
//! that end with the event of the change: nothing can be changed without the
//! journal noting it, and no container is left empty.

mod strings;

use std::time::Duration;

use super::keyspace::Keyspace;
use super::limits::Limits;
use super::memory::slots::Full;
use super::store::{Database, Handle, Usage, counted};
use super::value::{Encoding, INLINE_MAX, OfKind, Value, ValueRef};
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

impl From<Full> for Error {
    fn from(_: Full) -> Error {
        Error::OUT_OF_MEMORY
    }
}

/// How an edit of a value has ended, with what whoever asked for it wants to
/// know.
pub enum Edited<R> {
    /// The value is what it was.
    Unchanged(R),
    /// It is another: the event that tells of it, and how many changes that
    /// are for `rdb_changes_since_last_save`.
    Changed(&'static str, usize, R),
    /// The value is what it was, but for what is kept beside it, such as who
    /// has read how far: that counts as so many changes, and an event may tell
    /// of it. Who watches the key or waits for it does not hear of it.
    Noted(Option<&'static str>, usize, R),
}

/// How a value that is restored has been used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Used {
    /// Just now.
    Now,
    /// So many seconds ago.
    SecondsAgo(u64),
    /// As often as this count says.
    Counted(u8),
}

/// One database as a command's handler sees it: the selected one, at the time
/// of the command.
pub struct Db<'a> {
    keyspace: &'a mut Keyspace,
    /// Which one is selected.
    pub index: usize,
    /// Milliseconds since 1970. It stands still while a command or a
    /// transaction runs.
    pub now: i64,
    /// Whether reading notes the time of access: CLIENT NO-TOUCH turns it off.
    pub touch: bool,
}

/// A value that has shrunk goes back into the slot of its key when it has no
/// more bytes than this: not so soon that it would go to and fro.
const BACK_INLINE_MAX: usize = INLINE_MAX / 2;

/// So many parts of a value whose time has come are removed by whoever uses it,
/// at most.
const PARTS_AT_ONCE: usize = 64;

impl<'a> Db<'a> {
    /// The database `index` at the time `now`.
    pub fn new(keyspace: &'a mut Keyspace, index: usize, now: i64, touch: bool) -> Db<'a> {
        keyspace.select(index);
        Db {
            keyspace,
            index,
            now,
            touch,
        }
    }
}

impl Db<'_> {
    /// The same view on another database.
    pub fn select(&mut self, index: usize) -> Db<'_> {
        Db::new(self.keyspace, index, self.now, self.touch)
    }

    /// How many databases there are.
    pub fn database_count(&self) -> usize {
        self.keyspace.databases.len()
    }

    /// Settings that handlers need.
    #[inline]
    pub fn limits(&self) -> &Limits {
        &self.keyspace.limits
    }

    /// Random numbers, for commands whose answer is one.
    pub fn rng(&mut self) -> &mut fastrand::Rng {
        &mut self.keyspace.rng
    }

    /// The database itself.
    #[inline]
    pub fn database(&self) -> &Database {
        &self.keyspace.databases[self.index]
    }

    #[inline]
    fn database_mut(&mut self) -> &mut Database {
        // Another one may have been selected, and left again.
        self.keyspace.select(self.index);
        &mut self.keyspace.databases[self.index]
    }

    /// The entry of a key that is there, for a command that writes or tells how
    /// it is kept; one whose time has come is removed. It does not count as a
    /// use of the key.
    #[inline]
    pub fn peek(&mut self, key: &[u8]) -> Option<Handle> {
        let (handle, due) = self.database().find_at(key, self.now)?;
        if due {
            self.keyspace.expire(self.index, handle, self.now);
            return None;
        }
        self.expire_parts(handle);
        Some(handle)
    }

    /// Removes some parts of a value whose time has come, unless what has
    /// expired is kept. Readers do not see the others either.
    #[inline]
    fn expire_parts(&mut self, handle: Handle) {
        if self.database().has_due_parts(self.now) && !self.keyspace.keeps_expired {
            let (index, now) = (self.index, self.now);
            self.keyspace
                .expire_parts(index, handle, now, PARTS_AT_ONCE);
        }
    }

    /// Whether the time of the entry has come, or that of all that is in it.
    pub fn is_due(&self, handle: Handle) -> bool {
        self.database().is_due(handle, self.now)
    }

    /// Removes the entry if its time has come, unless what has expired is kept;
    /// answers whether it had.
    pub fn expire_if_due(&mut self, handle: Handle) -> bool {
        let due = self.is_due(handle);
        if due && !self.keyspace.keeps_expired {
            self.keyspace.expire(self.index, handle, self.now);
        }
        due
    }

    /// The entry of a key that is there, for a command that reads.
    #[inline]
    fn find(&mut self, key: &[u8]) -> Option<Handle> {
        let (handle, due) = self.database().find_at(key, self.now)?;
        if due {
            self.expire_if_due(handle);
            return None;
        }
        self.expire_parts(handle);
        Some(handle)
    }

    /// The entry of a key that a write command is about to use.
    #[inline]
    pub fn lookup(&mut self, key: &[u8]) -> Option<Handle> {
        let handle = self.peek(key)?;
        self.touch(handle);
        Some(handle)
    }

    /// The entry of a key that a write command is about to give another value,
    /// whatever it has: to store that notes when the key was used, but does not
    /// count the use.
    #[inline]
    pub fn lookup_to_replace(&mut self, key: &[u8]) -> Option<Handle> {
        let handle = self.peek(key)?;
        if self.limits().usage == Usage::Frequency {
            self.touch(handle);
        }
        Some(handle)
    }

    /// The entry of a key that a read command asks for: a hit or a miss.
    pub fn read(&mut self, key: &[u8]) -> Option<Handle> {
        let found = self.find(key);
        if let Some(handle) = found {
            self.touch(handle);
        }
        self.count(key, found);
        found
    }

    #[inline(always)]
    fn touch(&mut self, handle: Handle) {
        if self.touch {
            let now = self.now;
            match self.limits().usage {
                Usage::Recency => self.database_mut().access(handle, now),
                Usage::Frequency => self.count_use(handle),
            }
        }
    }

    #[cold]
    fn count_use(&mut self, handle: Handle) {
        let (frequency, chance) = (self.limits().frequency, self.rng().f64());
        let old = self.database().accessed(handle);
        let new = frequency.of_used(old, self.now, chance);
        self.database_mut().set_accessed(handle, new);
    }

    /// The entry of a key that a read command asks about: a hit or a miss, but
    /// no use of the key.
    pub fn stat(&mut self, key: &[u8]) -> Option<Handle> {
        let found = self.find(key);
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

    /// The entry of a key that a read command asks about its keeping: a hit or
    /// a miss, but neither a use of the key nor an event.
    pub fn inspect(&mut self, key: &[u8]) -> Option<Handle> {
        let found = self.find(key);
        match found {
            Some(_) => self.keyspace.stats.hits += 1,
            None => self.keyspace.stats.misses += 1,
        }
        found
    }

    /// The entry of any key. Those that it comes upon and whose time has come
    /// are removed. Where they are kept, one of them may be the answer after a
    /// hundred tries, as in Redis; and so it may where they are not, after more,
    /// or else nobody else would get anything done while ten million are due.
    pub fn random(&mut self) -> Option<Handle> {
        let tries = if self.keyspace.keeps_expired {
            100
        } else {
            1000
        };
        for _ in 1..tries {
            let handle = self.draw()?;
            if !self.expire_if_due(handle) {
                return Some(handle);
            }
        }
        self.draw()
    }

    /// The entry of any key that is stored.
    fn draw(&mut self) -> Option<Handle> {
        let Keyspace { databases, rng, .. } = &mut *self.keyspace;
        databases[self.index].random(|n| rng.usize(..n))
    }

    /// The value that `handle` stands for, or WRONGTYPE if it is of another
    /// kind. Of strings, only [`string`](Self::string) knows all.
    #[inline]
    pub fn value<K: OfKind>(&self, handle: Handle) -> Result<K::View<'_>> {
        let value = self.database().value(handle);
        value.of_kind::<K>().ok_or(Error::WRONG_TYPE)
    }

    /// The value under `key`, asked for by a read command.
    #[inline]
    pub fn read_value<K: OfKind>(&mut self, key: &[u8]) -> Result<Option<K::View<'_>>> {
        match self.read(key) {
            Some(handle) => self.value::<K>(handle).map(Some),
            None => Ok(None),
        }
    }

    /// Edits the value that `handle` stands for and that is no string, or
    /// answers WRONGTYPE if it is of another kind. An edit that answers an
    /// error has changed nothing that can be seen but by its encoding.
    #[inline]
    pub fn edit<K: OfKind, R>(
        &mut self,
        key: &[u8],
        handle: Handle,
        edit: impl FnOnce(&mut K) -> Result<Edited<R>>,
    ) -> Result<R> {
        let Some(value) = self.database_mut().value_mut(handle) else {
            return self.edit_inline(key, handle, edit);
        };
        let value = K::of_mut(value).ok_or(Error::WRONG_TYPE)?;
        let first_part = |value: &K| value.parts().and_then(|parts| parts.first_expiry());
        let (old, before) = (first_part(value), value.memory());
        let edited = edit(value);
        let mut belongs_in_slot = false;
        if let Ok(Edited::Changed(..)) = edited {
            value.give_back();
            let inline = value.inline(Encoding::Natural);
            belongs_in_slot = inline.is_some_and(|(bytes, _)| bytes.len() <= BACK_INLINE_MAX);
        }
        let (events, is_used_up) = (value.kind().events, value.is_used_up());
        let (new, after) = (first_part(value), value.memory());
        self.database_mut().weigh(before, after);
        if old != new {
            self.database_mut().note_first_part(handle, old, new);
            self.note_expiry(new);
        }
        match edited? {
            Edited::Unchanged(answer) => Ok(answer),
            Edited::Noted(event, changes, answer) => {
                self.noted(key, event.map(|event| (events, event)), changes);
                Ok(answer)
            }
            Edited::Changed(event, changes, answer) => {
                self.event(events, event, key);
                if is_used_up {
                    self.remove(key, handle, changes);
                } else {
                    if belongs_in_slot {
                        self.move_into_slot(key, handle);
                    }
                    self.changed(key, changes);
                }
                Ok(answer)
            }
        }
    }

    /// Puts a value that has become small into the slot of its key, if there is
    /// room for it.
    fn move_into_slot(&mut self, key: &[u8], handle: Handle) {
        let expires_at = self.database().expires_at(handle);
        let (value, _) = self.database_mut().lend(handle);
        let moved = self.store_value(key, Some(handle), value, Encoding::Natural, expires_at);
        if let Err(value) = moved {
            self.database_mut().give_back(handle, value);
        }
    }

    /// [`edit`](Self::edit) where the value stands in the slot of the key: it
    /// is taken out and put back.
    fn edit_inline<K: OfKind, R>(
        &mut self,
        key: &[u8],
        handle: Handle,
        edit: impl FnOnce(&mut K) -> Result<Edited<R>>,
    ) -> Result<R> {
        let value = match self.database().value(handle) {
            ValueRef::Inline(bytes, form) => K::from_inline(bytes, form),
            ValueRef::Value(_) => None,
        };
        let mut value = value.ok_or(Error::WRONG_TYPE)?;
        match edit(&mut value)? {
            Edited::Unchanged(answer) => {
                // It may have been made ready for more than has come.
                if value.inline(Encoding::Natural).is_none() {
                    self.put_back(key, handle, value)?;
                }
                Ok(answer)
            }
            // No value in a slot has anything beside it.
            Edited::Noted(_, _, answer) => Ok(answer),
            Edited::Changed(event, changes, answer) if value.is_used_up() => {
                self.event(value.kind().events, event, key);
                self.remove(key, handle, changes);
                Ok(answer)
            }
            Edited::Changed(event, changes, answer) => {
                let events = value.kind().events;
                self.put_back(key, handle, value)?;
                self.event(events, event, key);
                self.changed(key, changes);
                Ok(answer)
            }
        }
    }

    /// Notes a change of what is kept beside a value.
    fn noted(&mut self, key: &[u8], event: Option<(KeyspaceEvents, &'static str)>, changes: usize) {
        self.keyspace.journal.dirty += changes as u64;
        if let Some((class, name)) = event {
            self.event(class, name, key);
        }
    }

    /// Stores a value that was taken out of the slot of its key to be edited.
    fn put_back(&mut self, key: &[u8], handle: Handle, value: impl OfKind) -> Result<()> {
        let expires_at = self.database().expires_at(handle);
        let (found, value) = (Some(handle), value.into());
        let stored = self.store_value(key, found, value, Encoding::Natural, expires_at);
        stored.map_err(|_| Error::OUT_OF_MEMORY)
    }

    /// Stores a collection under `key` instead of whatever was there, without
    /// an expiry; removes the key if it is empty. `event` tells of it, which is
    /// so many changes.
    pub fn replace(
        &mut self,
        key: &[u8],
        value: impl OfKind,
        event: &'static str,
        changes: usize,
    ) -> Result<()> {
        if value.is_used_up() {
            self.clear(key);
            return Ok(());
        }
        let found = self.lookup_to_replace(key);
        let events = value.kind().events;
        let stored = self.store_value(key, found, value.into(), Encoding::Natural, None);
        stored.map_err(|_| Error::OUT_OF_MEMORY)?;
        self.changed(key, changes);
        if found.is_none() {
            self.event(KeyspaceEvents::NEW, "new", key);
        }
        self.event(events, event, key);
        Ok(())
    }

    /// [`edit`](Self::edit) where a key that is not there counts as an empty
    /// value: `found` is its entry. An edit that leaves it unchanged creates
    /// nothing.
    #[inline]
    pub fn edit_or_create<K: OfKind, R>(
        &mut self,
        key: &[u8],
        found: Option<Handle>,
        edit: impl FnOnce(&mut K) -> Result<Edited<R>>,
    ) -> Result<R> {
        if let Some(handle) = found {
            return self.edit(key, handle, edit);
        }
        let mut value = K::default();
        match edit(&mut value)? {
            // A value that is not there has nothing beside it.
            Edited::Unchanged(answer) | Edited::Noted(_, _, answer) => Ok(answer),
            Edited::Changed(event, changes, answer) => {
                debug_assert!(!value.is_used_up(), "{event} leaves nothing to store");
                let events = value.kind().events;
                let stored = self.store_value(key, None, value.into(), Encoding::Natural, None);
                stored.map_err(|_| Error::OUT_OF_MEMORY)?;
                self.changed(key, changes);
                self.event(KeyspaceEvents::NEW, "new", key);
                self.event(events, event, key);
                Ok(answer)
            }
        }
    }

    /// Stores a value under `key`, whose entry is `found`, and notes nothing.
    /// If there is no room, nothing has changed, and the value comes back.
    fn store_value(
        &mut self,
        key: &[u8],
        found: Option<Handle>,
        mut value: Value,
        encoding: Encoding,
        expires_at: Option<i64>,
    ) -> std::result::Result<(), Value> {
        self.note_expiry(value.first_part());
        value.stored_mut().give_back();
        let now = self.now;
        let database = self.database_mut();
        let old = match value.stored().inline(encoding) {
            Some((bytes, form)) if Database::in_slot(key, bytes.len(), expires_at) => {
                let set = database.set_inline(found, key, bytes, form, expires_at, now);
                set.map_err(|Full| value)?
            }
            _ => database.set_value(found, key, value, expires_at, now)?,
        };
        self.keyspace.discard(old);
        Ok(())
    }

    /// Notes that something in this database is to expire at a time.
    #[inline]
    fn note_expiry(&mut self, at: Option<i64>) {
        if let Some(at) = at {
            self.keyspace.expires(self.index, at);
        }
    }

    /// The expiry that a key whose entry is `found` has from now on.
    #[inline(always)]
    fn resolve(&mut self, found: Option<Handle>, expiry: Expiry) -> Option<i64> {
        match expiry {
            Expiry::Keep => found.and_then(|handle| self.database().expires_at(handle)),
            Expiry::Clear => None,
            Expiry::At(at) => {
                self.keyspace.expires(self.index, at);
                Some(at)
            }
        }
    }

    /// Has the key expire at a time, in milliseconds since 1970; one that has
    /// come deletes it.
    pub fn expire(&mut self, key: &[u8], handle: Handle, at: i64) -> Result<()> {
        if at <= self.now {
            self.delete(key, handle);
            return Ok(());
        }
        let now = self.now;
        let set = self.database_mut().set_expiry(handle, Some(at), now);
        set?;
        self.keyspace.expires(self.index, at);
        self.changed(key, 1);
        self.event(KeyspaceEvents::GENERIC, "expire", key);
        Ok(())
    }

    /// Takes the expiry off the key; false if it has none.
    pub fn persist(&mut self, key: &[u8], handle: Handle) -> bool {
        let expires = self.database().expires_at(handle).is_some();
        if expires {
            let now = self.now;
            let set = self.database_mut().set_expiry(handle, None, now);
            set.expect("what becomes smaller has room");
            self.changed(key, 1);
            self.event(KeyspaceEvents::GENERIC, "persist", key);
        }
        expires
    }

    /// Removes the key.
    pub fn delete(&mut self, key: &[u8], handle: Handle) {
        self.remove(key, handle, 1);
    }

    /// Removes what is under `key`, if anything is. What has expired is no
    /// exception: Redis does not look at what nothing is stored over.
    pub fn clear(&mut self, key: &[u8]) {
        if let Some(handle) = self.database().find(key) {
            self.delete(key, handle);
        }
    }

    /// Has who waits for the key look again, although nothing has changed that
    /// can be seen there.
    pub fn call_waiters(&mut self, key: &[u8]) {
        let index = self.index;
        self.keyspace.journal.call(index, key);
    }

    /// Frees what an edit has taken out of a value: at once, or in steps if it
    /// is much.
    pub fn discard(&mut self, part: impl OfKind) {
        self.keyspace.discard(Some(part.into()));
    }

    fn remove(&mut self, key: &[u8], handle: Handle, changes: usize) {
        self.keyspace.remove(self.index, handle);
        self.changed(key, changes);
        self.event(KeyspaceEvents::GENERIC, "del", key);
    }

    /// Gives the key another name, and replaces what was there.
    pub fn rename(&mut self, from: &[u8], handle: Handle, to: &[u8]) -> Result<()> {
        self.transfer(from, handle, self.index, to)?;
        self.event(KeyspaceEvents::GENERIC, "rename_from", from);
        self.event(KeyspaceEvents::GENERIC, "rename_to", to);
        Ok(())
    }

    /// Moves the key to the database `index`, and replaces what was there.
    pub fn move_to(&mut self, index: usize, key: &[u8], handle: Handle) -> Result<()> {
        self.transfer(key, handle, index, key)?;
        self.event(KeyspaceEvents::GENERIC, "move_from", key);
        let mut db = self.select(index);
        db.event(KeyspaceEvents::GENERIC, "move_to", key);
        Ok(())
    }

    /// Copies what the entry has to the key `to` of the database `index`, and
    /// replaces what was there.
    pub fn copy(&mut self, handle: Handle, index: usize, to: &[u8]) -> Result<()> {
        let (value, encoding) = self.database().value(handle).copied();
        let expires_at = self.database().expires_at(handle);
        let mut db = self.select(index);
        let put = db.put(to, value, encoding.of_copy(), expires_at);
        put.map_err(|_| Error::OUT_OF_MEMORY)?;
        db.event(KeyspaceEvents::GENERIC, "copy_to", to);
        Ok(())
    }

    /// Stores a value that was serialized, whatever was there, as if it had been
    /// used so: if that is what entries tell of their use.
    pub fn restore(
        &mut self,
        key: &[u8],
        value: Value,
        expires_at: Option<i64>,
        used: Used,
    ) -> Result<()> {
        // Redis does not look at what it replaces: no event tells that it had
        // expired.
        if let Some((old, true)) = self.database().find_at(key, self.now) {
            self.keyspace.remove(self.index, old);
        }
        let put = self.put(key, value, Encoding::Natural, expires_at);
        put.map_err(|_| Error::OUT_OF_MEMORY)?;
        self.event(KeyspaceEvents::GENERIC, "restore", key);
        if let Some(handle) = self.peek(key) {
            let (now, usage) = (self.now, self.limits().usage);
            let database = self.database_mut();
            match (usage, used) {
                (Usage::Recency, Used::SecondsAgo(idle)) => database.set_idle(handle, idle, now),
                (Usage::Frequency, Used::Counted(count)) => {
                    database.set_accessed(handle, counted(now, count.into()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Stores what `read` makes of each value of this database in its place, as
    /// if a snapshot had been loaded: those who watch a key hear of it, and
    /// nobody else.
    pub fn reload(&mut self, read: impl Fn(ValueRef<'_>) -> Result<Value>) -> Result<()> {
        let database = self.database();
        let keys: Vec<Box<[u8]>> = database.iter().map(|at| database.key(at).into()).collect();
        for key in keys {
            if let Some(handle) = self.peek(&key) {
                let value = read(self.database().value(handle))?;
                let expires_at = self.database().expires_at(handle);
                let (found, encoding) = (Some(handle), Encoding::Natural);
                let stored = self.store_value(&key, found, value, encoding, expires_at);
                stored.map_err(|_| Error::OUT_OF_MEMORY)?;
                self.changed(&key, 0);
            }
        }
        Ok(())
    }

    /// Moves what a key has to the key `to` of the database `index`.
    fn transfer(&mut self, from: &[u8], handle: Handle, index: usize, to: &[u8]) -> Result<()> {
        let expires_at = self.database().expires_at(handle);
        let (value, encoding) = self.database_mut().lend(handle);
        if let Err(value) = self.select(index).place(to, value, encoding, expires_at) {
            self.database_mut().give_back(handle, value);
            return Err(Error::OUT_OF_MEMORY);
        }
        let (usage, accessed) = (self.limits().usage, self.database().accessed(handle));
        self.keyspace.remove(self.index, handle);
        // Who keeps both is told of them in this order.
        self.changed(from, 0);
        let mut db = self.select(index);
        if usage == Usage::Frequency {
            // How often it is used goes with it.
            db.note_usage(to, accessed);
        }
        db.note_put(to);
        Ok(())
    }

    /// Stores a value that another key has had, or that was made up. It is a
    /// new key, whatever was there, and no other event tells of it. If there is
    /// no room, nothing has changed, and the value comes back.
    pub fn put(
        &mut self,
        key: &[u8],
        value: Value,
        encoding: Encoding,
        expires_at: Option<i64>,
    ) -> std::result::Result<(), Value> {
        self.place(key, value, encoding, expires_at)?;
        self.note_put(key);
        Ok(())
    }

    /// Does so and notes nothing yet.
    fn place(
        &mut self,
        key: &[u8],
        value: Value,
        encoding: Encoding,
        expires_at: Option<i64>,
    ) -> std::result::Result<(), Value> {
        let found = self.peek(key);
        let expiry = expires_at.map_or(Expiry::Clear, Expiry::At);
        let expires_at = self.resolve(found, expiry);
        self.store_value(key, found, value, encoding, expires_at)?;
        if found.is_some() {
            self.note_usage(key, self.limits().usage.of_new(self.now));
        }
        Ok(())
    }

    /// Has the entry of a key say this of its use.
    fn note_usage(&mut self, key: &[u8], bits: u32) {
        if let Some(handle) = self.peek(key) {
            self.database_mut().set_accessed(handle, bits);
        }
    }

    /// Notes that a key is a new one now.
    fn note_put(&mut self, key: &[u8]) {
        self.changed(key, 1);
        self.event(KeyspaceEvents::NEW, "new", key);
    }

    /// Makes sure that strings of these keys and lengths can be stored, so
    /// that either all of them are or none is.
    pub fn reserve<'k>(
        &self,
        strings: impl Iterator<Item = (&'k [u8], usize)> + Clone,
    ) -> Result<()> {
        match self.database().has_room(strings) {
            true => Ok(()),
            false => Err(Error::OUT_OF_MEMORY),
        }
    }

    /// Removes every key of this database.
    pub fn flush(&mut self) {
        self.keyspace.flush(self.index);
    }

    /// Exchanges two databases, which may be the same one.
    pub fn swap(&mut self, a: usize, b: usize) {
        self.keyspace.swap(a, b);
    }

    /// Notes that the value or the expiry of `key` is another now.
    #[inline]
    fn changed(&mut self, key: &[u8], changes: usize) {
        self.keyspace.journal.changed(self.index, key, changes);
    }

    /// Notes an event for keyspace notifications: `lpush`, `del`, `expire` …
    #[inline]
    fn event(&mut self, class: KeyspaceEvents, name: &'static str, key: &[u8]) {
        self.keyspace.journal.event(self.index, class, name, key);
    }

    /// For how long nobody has used the key, unless it is counted instead how
    /// often it is used.
    pub fn idle(&self, handle: Handle) -> Option<Duration> {
        let seconds = self.database().idle_s(handle, self.now);
        let is_told = self.limits().usage == Usage::Recency;
        is_told.then(|| Duration::from_secs(seconds.into()))
    }

    /// How often the key is used, if that is counted.
    pub fn frequency(&self, handle: Handle) -> Option<u32> {
        let limits = self.limits();
        let bits = self.database().accessed(handle);
        let is_told = limits.usage == Usage::Frequency;
        is_told.then(|| limits.frequency.count(bits, self.now))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::db::ChunkLimit;
    use crate::db::keyspace::tests::keyspace;
    use crate::db::value::{End, List};

    fn push(list: &mut List) -> Result<Edited<usize>> {
        list.push(End::Right, b"x", ChunkLimit::default());
        Ok(Edited::Changed("rpush", 1, list.len()))
    }

    fn clear(list: &mut List) -> Result<Edited<usize>> {
        list.drop_end(End::Left, list.len(), ChunkLimit::default());
        Ok(Edited::Changed("lpop", 1, list.len()))
    }

    /// The names of the events since this was asked last.
    pub fn events(keyspace: &mut Keyspace) -> Vec<&'static str> {
        let events = std::mem::take(&mut keyspace.journal.events);
        events.iter().map(|event| event.name).collect()
    }

    #[test]
    fn a_random_key_is_not_looked_for_among_all_whose_time_has_come() {
        let mut keyspace = keyspace();
        let mut db = Db::new(&mut keyspace, 0, 1, true);
        for n in 0..5_000 {
            let key = n.to_string().into_bytes();
            let expiry = Expiry::At(2);
            db.set_string(&key, None, b"v", Encoding::Natural, expiry, "set")
                .unwrap();
        }
        let mut db = Db::new(&mut keyspace, 0, 3, true);
        assert!(db.random().is_some());
        let left = keyspace.databases[0].len();
        assert!((3_900..4_500).contains(&left), "{left} are left");
    }

    #[test]
    fn an_edit_ends_with_its_event_and_leaves_no_empty_container() {
        let mut keyspace = keyspace();
        let mut db = Db::new(&mut keyspace, 0, 0, true);
        assert_eq!(db.edit_or_create(b"k", None, push), Ok(1));
        let found = db.lookup(b"k");
        assert_eq!(db.edit_or_create(b"k", found, push), Ok(2));
        assert_eq!(db.edit(b"k", found.unwrap(), clear), Ok(0));
        assert_eq!(db.lookup(b"k"), None);
        let expected = ["new", "rpush", "rpush", "lpop", "del"];
        assert_eq!(events(&mut keyspace), expected);
        assert_eq!(keyspace.journal.dirty, 3);
    }

    #[test]
    fn an_edit_that_changes_nothing_creates_nothing_and_says_nothing() {
        let mut keyspace = keyspace();
        let mut db = Db::new(&mut keyspace, 0, 0, true);
        let unchanged = |_: &mut List| Ok(Edited::Unchanged(7));
        assert_eq!(db.edit_or_create(b"k", None, unchanged), Ok(7));
        let refused = |_: &mut List| Err::<Edited<()>, _>(Error::SYNTAX);
        assert_eq!(db.edit_or_create(b"k", None, refused), Err(Error::SYNTAX));
        assert_eq!(db.lookup(b"k"), None);
        assert_eq!(events(&mut keyspace), [""; 0]);
        assert_eq!(keyspace.journal.dirty, 0);
    }
}
