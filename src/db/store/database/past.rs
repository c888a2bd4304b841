//! Keeps what keys had when a snapshot was taken, before they change, and puts
//! it back. Everything that changes a key is in `database.rs` and comes by here
//! first. Without a snapshot that is one branch: counted by callgrind, SET, INCR,
//! LPUSH, HSET and DEL take no more instructions than before there was any of
//! this, half a percent at most.

use std::collections::HashMap;

use super::{Database, Handle};
use crate::db::memory::slots::Full;
use crate::db::store::entry::EntryFlags;
use crate::db::store::past::{Had, Kept, Keys, Past};
use crate::db::value::{Value, ValueRef};

impl From<ValueRef<'_>> for Kept {
    fn from(value: ValueRef<'_>) -> Kept {
        match value {
            ValueRef::Inline(bytes, form) => Kept::Inline(bytes.into(), form),
            ValueRef::Value(value) => Kept::Value(value.clone()),
        }
    }
}

/// A key, and what it has or had.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Its value.
    pub value: ValueRef<'a>,
    /// When it expires, in milliseconds since 1970.
    pub expires_at: Option<i64>,
}

impl<'a> Seen<'a> {
    fn then(key: &'a [u8], had: &'a Had) -> Seen<'a> {
        Seen {
            key,
            value: had.value(),
            expires_at: had.expires_at,
        }
    }

    /// Whether its time has come `now`, or that of all that is in it.
    pub fn is_due(&self, now: i64) -> bool {
        let end = self.value.parts().and_then(|parts| parts.end());
        [self.expires_at, end]
            .into_iter()
            .flatten()
            .any(|at| at <= now)
    }
}

impl Database {
    /// Keeps a copy of what a key has, which is about to change where it is.
    #[inline(always)]
    pub(super) fn keep(&mut self, handle: Handle) {
        if self.past.is_some() {
            self.keep_copy(handle);
        }
    }

    /// Does so if it stands in the slot of the key; otherwise it is going to be
    /// [replaced](Self::keep_replaced) as a whole.
    #[inline(always)]
    pub(super) fn keep_inline(&mut self, handle: Handle) {
        if self.past.is_some() && !self.entry(handle).flags().contains(EntryFlags::VALUE) {
            self.keep_copy(handle);
        }
    }

    /// Keeps what a key has, whose entry is `found`, or that it has nothing. The
    /// value itself is taken out, as another one is about to come in its place.
    #[inline(always)]
    pub(super) fn keep_replaced(&mut self, found: Option<Handle>, key: &[u8]) {
        match found {
            _ if self.past.is_none() => {}
            Some(handle) => self.keep_taken(handle),
            None => self.keep_absence(key),
        }
    }

    /// Does so for a key that is about to go.
    #[inline(always)]
    pub(super) fn keep_removed(&mut self, handle: Handle) {
        if self.past.is_some() {
            self.keep_taken(handle);
        }
    }

    #[cold]
    fn keep_copy(&mut self, handle: Handle) {
        self.keep_as(handle, |database| database.value(handle).into());
    }

    #[cold]
    fn keep_taken(&mut self, handle: Handle) {
        self.keep_as(handle, |database| match database.value(handle) {
            ValueRef::Value(_) => Kept::Value(database.take_out(handle).0),
            inline => inline.into(),
        });
    }

    #[cold]
    fn keep_absence(&mut self, key: &[u8]) {
        if let Some(past) = self.past.as_mut().filter(|past| past.lacks(key)) {
            past.note(key, None);
        }
    }

    fn keep_as(&mut self, handle: Handle, value: impl FnOnce(&mut Database) -> Kept) {
        let Some(mut past) = self.past.take() else {
            return;
        };
        if past.lacks(self.key(handle)) {
            let had = Had {
                value: value(self),
                expires_at: self.expires_at(handle),
                accessed: self.accessed(handle),
            };
            past.note(self.key(handle), Some(had));
        }
        self.past = Some(past);
    }

    /// Is part of a snapshot from now on; `id` is the database's if it is its
    /// first. Answers the id that it has.
    pub(in crate::db) fn join(&mut self, snapshot: u64, id: u64) -> u64 {
        let past = self.past.get_or_insert_with(|| Box::new(Past::new(id)));
        past.begin(snapshot);
        past.id
    }

    /// The id by which snapshots know it, if one does.
    pub fn past_id(&self) -> Option<u64> {
        self.past.as_ref().map(|past| past.id)
    }

    /// Forgets a snapshot. Hands out values that nobody can go back to any more.
    pub(in crate::db) fn leave(&mut self, snapshot: u64, discard: impl FnMut(Value)) {
        if let Some(past) = &mut self.past {
            past.release(snapshot, discard);
            if past.is_over() {
                self.past = None;
            }
        }
    }

    /// All keys, and what they have.
    pub fn seen(&self) -> impl Iterator<Item = Seen<'_>> {
        self.iter().map(|handle| self.see(handle))
    }

    /// All keys of when a snapshot was taken, and what they had.
    pub fn seen_at(&self, snapshot: u64) -> impl Iterator<Item = Seen<'_>> {
        let past = self.past_since(snapshot);
        let gone = past
            .iter()
            .filter_map(|(key, had)| Some(Seen::then(key, (*had)?)));
        let gone: Vec<_> = gone.collect();
        let unchanged = self.seen().filter(move |seen| !past.contains_key(seen.key));
        gone.into_iter().chain(unchanged)
    }

    /// What the keys had that have changed since a snapshot was taken, and what
    /// they have now.
    pub fn changes_since(&self, snapshot: u64) -> (Vec<Seen<'_>>, Vec<Seen<'_>>) {
        let past = self.past_since(snapshot);
        let now = past
            .keys()
            .filter_map(|key| Some(self.see(self.find(key)?)));
        let now = now.collect();
        let then = past
            .into_iter()
            .filter_map(|(key, had)| Some(Seen::then(key, had?)));
        (then.collect(), now)
    }

    fn see(&self, handle: Handle) -> Seen<'_> {
        Seen {
            key: self.key(handle),
            value: self.value(handle),
            expires_at: self.expires_at(handle),
        }
    }

    fn past_since(&self, snapshot: u64) -> HashMap<&[u8], Option<&Had>> {
        let past = self.past.as_ref();
        past.map_or_else(HashMap::new, |past| past.since(snapshot))
    }

    /// How many keys have changed between a snapshot and the next one, and bytes
    /// of memory that are held for them, about.
    pub fn held_for(&self, snapshot: u64) -> (usize, usize) {
        let past = self.past.as_ref();
        past.map_or((0, 0), |past| past.held_for(snapshot))
    }

    /// Takes out what is to be [put back](Self::put_back), of all keys that have
    /// changed since a snapshot. Later ones are forgotten.
    pub(in crate::db) fn take_past(&mut self, snapshot: u64, discard: impl FnMut(Value)) -> Keys {
        let past = self.past.as_mut();
        past.map_or_else(Keys::default, |past| past.take_since(snapshot, discard))
    }

    /// Has a key be again what it was when a snapshot was taken to which nobody
    /// has to go back from here. If its time has come meanwhile, it is not there,
    /// and what it had is kept. Answers whether anything is different now, and
    /// hands out the value that was there, unless it stood in the slot.
    pub(in crate::db) fn put_back(
        &mut self,
        key: &[u8],
        had: Option<Had>,
        now: i64,
    ) -> Result<(bool, Option<Value>), Full> {
        let has_ended = |had: &Had| Seen::then(key, had).is_due(now);
        let (ended, had) = match had.as_ref().is_some_and(has_ended) {
            true => (had, None),
            false => (None, had),
        };
        let mut past = self.past.take();
        if let (Some(past), Some(_)) = (&mut past, &ended) {
            past.note(key, ended);
        }
        let found = self.find(key);
        let differs = found.is_some() || had.is_some();
        let old = self.replace(found, key, had, now);
        self.past = past;
        Ok((differs, old?))
    }

    /// Has a key have that, or nothing, and keeps nothing of what it has.
    fn replace(
        &mut self,
        found: Option<Handle>,
        key: &[u8],
        had: Option<Had>,
        now: i64,
    ) -> Result<Option<Value>, Full> {
        let Some(had) = had else {
            return Ok(found.and_then(|handle| self.remove(handle)));
        };
        let at = had.expires_at;
        let old = match had.value {
            Kept::Inline(bytes, form) => self.set_inline(found, key, &bytes, form, at, now)?,
            Kept::Value(value) => {
                let set = self.set_value(found, key, value, at, now);
                set.map_err(|_| Full)?
            }
        };
        if let Some(handle) = self.find(key) {
            self.set_accessed(handle, had.accessed);
        }
        Ok(old)
    }
}
