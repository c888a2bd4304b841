//! When fields of a hash are to go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The times of those fields that have one, in milliseconds since 1970. Both
/// trees grow a node at a time.
#[derive(Clone, Debug, Default)]
pub struct Times {
    of: BTreeMap<Arc<[u8]>, i64>,
    order: BTreeSet<(i64, Arc<[u8]>)>,
    /// Of all names.
    bytes: usize,
}

impl Times {
    /// How many fields have a time.
    pub fn len(&self) -> usize {
        self.of.len()
    }

    /// The time of a field.
    pub fn get(&self, field: &[u8]) -> Option<i64> {
        self.of.get(field).copied()
    }

    /// Gives a field a time, or takes it away.
    pub fn set(&mut self, field: &[u8], at: Option<i64>) {
        if let Some((name, old)) = self.of.remove_entry(field) {
            self.bytes -= name.len();
            self.order.remove(&(old, name));
        }
        if let Some(at) = at {
            let name: Arc<[u8]> = field.into();
            self.bytes += name.len();
            self.of.insert(name.clone(), at);
            self.order.insert((at, name));
        }
    }

    /// The earliest time.
    pub fn first(&self) -> Option<i64> {
        self.order.first().map(|&(at, _)| at)
    }

    /// The latest time.
    pub fn last(&self) -> Option<i64> {
        self.order.last().map(|&(at, _)| at)
    }

    /// Whether the time of any field has come.
    #[inline]
    pub fn any_due(&self, now: i64) -> bool {
        self.first().is_some_and(|first| first <= now)
    }

    /// Whether the time of a field has come.
    pub fn is_due(&self, field: &[u8], now: i64) -> bool {
        self.get(field).is_some_and(|at| at <= now)
    }

    /// The earliest time after this one.
    pub fn after(&self, time: i64) -> Option<i64> {
        let from = (time.checked_add(1)?, Arc::default());
        self.order.range(from..).next().map(|&(at, _)| at)
    }

    /// How many fields have an earlier time.
    pub fn count_before(&self, at: i64) -> usize {
        let times = self.order.iter().map(|&(other, _)| other);
        times.take_while(|&other| other < at).count()
    }

    /// How many fields have a time that has come.
    pub fn count_due(&self, now: i64) -> usize {
        self.count_before(now.saturating_add(1))
    }

    /// Takes the earliest out, if it has come.
    pub fn pop_due(&mut self, now: i64) -> Option<(i64, Arc<[u8]>)> {
        if !self.any_due(now) {
            return None;
        }
        let (at, field) = self.order.pop_first()?;
        self.of.remove(&field);
        self.bytes -= field.len();
        Some((at, field))
    }

    /// Bytes of memory held, about.
    pub fn memory(&self) -> usize {
        // A name, the counts beside it, and a place in each of the trees, which
        // are two thirds full.
        let each = 2 * size_of::<usize>() + 2 * size_of::<(i64, Arc<[u8]>)>() * 3 / 2;
        self.bytes + self.of.len() * each
    }

    /// Frees some names, as many as `budget` has left; answers whether all of
    /// them are gone. Nothing else is done with it from then on.
    pub fn free_some(&mut self, budget: &mut usize) -> bool {
        while *budget > 0 {
            if self.of.pop_first().is_none() && self.order.pop_first().is_none() {
                return true;
            }
            *budget -= 1;
        }
        false
    }
}
