//! Which keys hold a value with parts that expire, and when the first of them
//! does.

use std::collections::BTreeSet;

/// The keys in the order of these times, in milliseconds since 1970. The tree
/// grows a node at a time.
#[derive(Default, Debug)]
pub struct PartTimes {
    order: BTreeSet<(i64, Box<[u8]>)>,
    /// The earliest, which is asked for with every key that is looked up.
    first: Option<i64>,
    /// Of all keys.
    bytes: usize,
}

impl PartTimes {
    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Notes that the time of a key has changed; `None` stands for no time.
    #[inline]
    pub fn change(&mut self, key: &[u8], old: Option<i64>, new: Option<i64>) {
        if old != new {
            self.note(key, old, new);
        }
    }

    fn note(&mut self, key: &[u8], old: Option<i64>, new: Option<i64>) {
        let mut key: Box<[u8]> = key.into();
        if let Some(old) = old {
            let entry = (old, key);
            let was_there = self.order.remove(&entry);
            debug_assert!(was_there, "a time of parts has not been noted");
            key = entry.1;
            self.bytes -= key.len();
        }
        if let Some(new) = new {
            self.bytes += key.len();
            self.order.insert((new, key));
        }
        self.first = self.order.first().map(|&(at, _)| at);
    }

    /// The earliest time.
    #[inline]
    pub fn first(&self) -> Option<i64> {
        self.first
    }

    /// Whether the time of any key has come.
    #[inline]
    pub fn any_due(&self, now: i64) -> bool {
        self.first.is_some_and(|first| first <= now)
    }

    /// The key whose time is the earliest, if that has come.
    pub fn due(&self, now: i64) -> Option<&[u8]> {
        let (at, key) = self.order.first()?;
        (*at <= now).then_some(key)
    }

    /// Whether these are the keys and their times.
    #[cfg(test)]
    pub fn are<'k>(&self, keys: impl Iterator<Item = (i64, &'k [u8])>) -> bool {
        let keys = keys.map(|(at, key)| (at, key.into()));
        let bytes = self.order.iter().map(|(_, key)| key.len()).sum::<usize>();
        self.order == BTreeSet::from_iter(keys) && self.bytes == bytes
    }

    /// Bytes of memory held, about: the tree is two thirds full.
    pub fn memory(&self) -> usize {
        self.bytes + self.len() * size_of::<(i64, Box<[u8]>)>() * 3 / 2
    }

    /// Frees a key; false if there is none. Nothing else is done with it from
    /// then on.
    pub fn free_one(&mut self) -> bool {
        self.order.pop_first().is_some()
    }
}
