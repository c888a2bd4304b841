//! Has memory fetch what lookups are going to need.
//!
//! The processor waits for many lines of memory at once, but looks ahead for a
//! few hundred instructions only. So the loops that read do nothing else; the
//! others prepare what is read.

use std::hint::black_box;

use super::Database;
use crate::db::memory::members::Members;
use crate::db::value::ValueRef;

/// So many lookups are prepared at once.
const AT_ONCE: usize = 32;
/// Bytes that memory fetches at once.
const LINE: usize = 64;

/// An entry of up to so many bytes is fetched whole before it is used: GET of
/// 1 KiB in a pipeline costs a tenth less. In a longer one the processor
/// notices by itself that it is read line by line.
const WHOLE_MAX: usize = 1280;

impl Database {
    /// Fetches into the cache what [`find`](Self::find) is going to read.
    pub fn warm<'k>(&self, mut keys: impl Iterator<Item = &'k [u8]>) {
        loop {
            let mut hashes = [0; AT_ONCE];
            let mut lines = [&0; AT_ONCE];
            let mut count = 0;
            // Where there are no more keys, none is taken.
            for (hash, key) in hashes.iter_mut().zip(keys.by_ref()) {
                *hash = self.hash(key);
                lines[count] = self.index.first_line(*hash).unwrap_or(&0);
                count += 1;
            }
            read(&lines[..count]);
            let mut entries = [&[0][..]; AT_ONCE];
            for (entry, &hash) in entries.iter_mut().zip(&hashes[..count]) {
                if let Some(slot) = self.index.find(hash, |_| true) {
                    *entry = self.slots.get(slot);
                }
            }
            read_whole(&entries[..count]);
            if count < AT_ONCE {
                return;
            }
        }
    }

    /// Fetches into the cache what is read when elements of large collections
    /// are looked for: the key of each, which is in the cache already, and the
    /// name of the element.
    pub fn warm_elements<'k>(&self, mut elements: impl Iterator<Item = (&'k [u8], &'k [u8])>) {
        // Mostly they are of the same collection.
        let mut last: Option<(&[u8], Option<&Members>)> = None;
        loop {
            let mut found = [None; AT_ONCE];
            let mut lines = [&0; AT_ONCE];
            let mut count = 0;
            for (found, (key, name)) in found.iter_mut().zip(elements.by_ref()) {
                let members = match last {
                    Some((same, members)) if same == key => members,
                    _ => self.members(key),
                };
                last = Some((key, members));
                if let Some(members) = members {
                    let hash = members.hash(name);
                    *found = Some((members, hash));
                    lines[count] = members.first_line(hash).unwrap_or(&0);
                }
                count += 1;
            }
            read(&lines[..count]);
            let mut records = [&[0][..]; AT_ONCE];
            for (record, found) in records.iter_mut().zip(&found[..count]) {
                if let Some((members, hash)) = *found {
                    *record = members.slot(hash).unwrap_or(&[0]);
                }
            }
            read_whole(&records[..count]);
            if count < AT_ONCE {
                return;
            }
        }
    }

    /// The table of the elements of a large collection.
    fn members(&self, key: &[u8]) -> Option<&Members> {
        match self.value(self.find(key)?) {
            ValueRef::Value(value) => value.stored().members(),
            ValueRef::Inline(..) => None,
        }
    }
}

fn read(lines: &[&u32]) {
    black_box(lines.iter().fold(0, |read, &line| read ^ line));
}

fn read_whole(entries: &[&[u8]]) {
    let mut read = 0;
    for entry in entries {
        let whole = entry.len() <= WHOLE_MAX;
        let lines = entry.chunks(if whole { LINE } else { entry.len() });
        read = lines.fold(read ^ entry[entry.len() - 1], |read, line| read ^ line[0]);
    }
    black_box(read);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Encoding;
    use crate::db::value::{Set, SetLimits};
    use crate::seed::Seed;

    #[test]
    fn any_key_and_any_name_can_be_fetched() {
        let limits = SetLimits {
            ints: 512,
            entries: 128,
            value: 64,
            seed: Seed::UNKNOWN,
        };
        let mut database = Database::new(Seed::UNKNOWN);
        let names: Vec<_> = (0..3_000).map(|n| format!("member:{n}")).collect();
        for (key, len) in [(&b"few"[..], 3), (b"many", 1_000), (b"more", 3_000)] {
            let mut set = Set::default();
            for name in &names[..len] {
                assert_eq!(set.add(name.as_bytes(), limits), Ok(true));
            }
            assert!(database.set_value(None, key, set.into(), None, 0).is_ok());
        }
        let string = database.set_string(None, b"string", b"v", Encoding::Natural, None, 0);
        assert!(string.is_ok());
        let keys: [&[u8]; 6] = [b"many", b"more", b"few", b"string", b"nothing", b""];
        for count in [0, 1, 31, 32, 33, 64, 500] {
            for mixed in [1, 7] {
                let name = |n: usize| names[n * 11 % names.len()].as_bytes();
                let element = |n: usize| (keys[n * mixed / 7 % keys.len()], name(n));
                database.warm_elements((0..count).map(element));
                database.warm((0..count).map(|n| element(n).0));
            }
        }
        let members = database.members(b"many").expect("it is a table");
        assert!(members.slot(members.hash(b"member:1")).is_some());
        assert!(database.members(b"few").is_none());
    }
}
