//! Values with parts that expire, such as the fields of a hash: when they do,
//! and which key holds them.

use super::{Database, Handle};

impl Database {
    /// Whether a key has an expiry, or parts of a value have one.
    pub fn has_expiring(&self) -> bool {
        self.expiring() > 0 || self.part_times.len() > 0
    }

    /// Whether parts of any value have a time that has come.
    #[inline]
    pub fn has_due_parts(&self, now: i64) -> bool {
        self.part_times.any_due(now)
    }

    /// Whether the time of all that is in the entry has come.
    #[inline]
    pub(super) fn has_ended(&self, handle: Handle, now: i64) -> bool {
        let end = || self.value(handle).parts()?.end();
        self.has_due_parts(now) && end().is_some_and(|end| end <= now)
    }

    /// Notes that the first of the parts of a value has another time.
    pub(in crate::db) fn note_first_part(
        &mut self,
        handle: Handle,
        old: Option<i64>,
        new: Option<i64>,
    ) {
        if old != new {
            let key: Box<[u8]> = self.key(handle).into();
            self.part_times.change(&key, old, new);
        }
    }

    /// A key with parts that are due at `now`, the earliest first.
    pub(in crate::db) fn due_parts(&self, now: i64) -> Option<Handle> {
        let found = self.find(self.part_times.due(now)?);
        Some(found.expect("a key that goes takes its time along"))
    }

    /// Whether all values with parts that expire have been noted, and no others.
    #[cfg(test)]
    pub fn part_times_are_right(&self) -> bool {
        let noted = |handle| {
            Some((
                self.value(handle).parts()?.first_expiry()?,
                self.key(handle),
            ))
        };
        self.part_times.are(self.iter().filter_map(noted))
    }
}
