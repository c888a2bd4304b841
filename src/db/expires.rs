//! Expiries in the order in which they are due.

use std::collections::BTreeSet;

/// When which slot's key expires, in milliseconds since 1970.
#[derive(Default, Debug)]
pub struct Expires {
    ordered: BTreeSet<(i64, u32)>,
    /// Of all times, so that their average costs nothing to ask for.
    sum: i128,
}

impl Expires {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ordered.len()
    }

    /// Adds one that is not there.
    pub fn insert(&mut self, expiry: (i64, u32)) {
        self.ordered.insert(expiry);
        self.sum += i128::from(expiry.0);
    }

    /// Removes one that is there.
    pub fn remove(&mut self, expiry: &(i64, u32)) {
        self.ordered.remove(expiry);
        self.sum -= i128::from(expiry.0);
    }

    /// The one that is due first.
    pub fn first(&self) -> Option<&(i64, u32)> {
        self.ordered.first()
    }

    /// The average of all times.
    pub fn average(&self) -> Option<i64> {
        let count = i128::try_from(self.len()).ok().filter(|&count| count > 0)?;
        i64::try_from(self.sum / count).ok()
    }

    /// Bytes of memory held: entries of a B-tree, whose nodes are about two
    /// thirds full.
    pub fn memory(&self) -> usize {
        self.len() * size_of::<(i64, u32)>() * 3 / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_follows_what_is_there() {
        let mut expires = Expires::default();
        assert_eq!(expires.average(), None);
        expires.insert((i64::MAX, 1));
        expires.insert((i64::MAX - 10, 2));
        assert_eq!(expires.average(), Some(i64::MAX - 5));
        expires.remove(&(i64::MAX, 1));
        assert_eq!(expires.average(), Some(i64::MAX - 10));
    }
}
