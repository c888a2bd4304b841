//! When fields of a hash are to go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The times of those fields that have one, in milliseconds since 1970.
#[derive(Clone, Debug)]
pub enum Times {
    /// In their order, and fields of one time in the order of their names.
    Few(Vec<(i64, Box<[u8]>)>),
    /// In trees, which grow a node at a time.
    Many(Many),
}

/// Of more fields than this, times stand in trees.
const FEW: usize = 64;

/// The times of many fields.
#[derive(Clone, Debug, Default)]
pub struct Many {
    of: BTreeMap<Arc<[u8]>, i64>,
    order: BTreeMap<i64, Group>,
    /// Of all names.
    bytes: usize,
}

/// The fields of one time, so that to count those of a million that go together
/// takes no longer than to count one.
#[derive(Clone, Debug)]
enum Group {
    One(Arc<[u8]>),
    Several(BTreeSet<Arc<[u8]>>),
}

impl Group {
    fn len(&self) -> usize {
        match self {
            Group::One(_) => 1,
            Group::Several(fields) => fields.len(),
        }
    }

    fn insert(&mut self, field: Arc<[u8]>) {
        match self {
            Group::One(other) => {
                *self = Group::Several([other.clone(), field].into());
            }
            Group::Several(fields) => _ = fields.insert(field),
        }
    }

    /// Removes a field that is in here; answers whether another one is left.
    fn remove(&mut self, field: &[u8]) -> bool {
        match self {
            Group::One(_) => false,
            Group::Several(fields) => {
                fields.remove(field);
                !fields.is_empty()
            }
        }
    }

    fn first(&self) -> Option<&Arc<[u8]>> {
        match self {
            Group::One(field) => Some(field),
            Group::Several(fields) => fields.first(),
        }
    }
}

impl Many {
    fn insert(&mut self, field: &[u8], at: i64) {
        let field: Arc<[u8]> = field.into();
        self.bytes += field.len();
        self.of.insert(field.clone(), at);
        match self.order.get_mut(&at) {
            Some(group) => group.insert(field),
            None => _ = self.order.insert(at, Group::One(field)),
        }
    }

    fn remove(&mut self, field: &[u8]) {
        let Some(at) = self.of.remove(field) else {
            return;
        };
        self.bytes -= field.len();
        let group = self.order.get_mut(&at);
        if group.is_some_and(|group| !group.remove(field)) {
            self.order.remove(&at);
        }
    }

    /// Frees some names, as many as `budget` has left; answers whether all of
    /// them are gone.
    fn free_some(&mut self, budget: &mut usize) -> bool {
        while *budget > 0 {
            *budget -= 1;
            if self.of.pop_first().is_some() {
                continue;
            }
            let Some(mut last) = self.order.last_entry() else {
                *budget += 1;
                return true;
            };
            match last.get_mut() {
                Group::Several(fields) if fields.len() > 1 => _ = fields.pop_first(),
                _ => _ = last.remove(),
            }
        }
        false
    }
}

impl Default for Times {
    fn default() -> Times {
        Times::Few(Vec::new())
    }
}

impl Times {
    /// How many fields have a time.
    pub fn len(&self) -> usize {
        match self {
            Times::Few(fields) => fields.len(),
            Times::Many(many) => many.of.len(),
        }
    }

    /// The time of a field.
    pub fn get(&self, field: &[u8]) -> Option<i64> {
        match self {
            Times::Few(fields) => {
                let found = fields.iter().find(|(_, other)| **other == *field);
                found.map(|&(at, _)| at)
            }
            Times::Many(many) => many.of.get(field).copied(),
        }
    }

    /// Gives a field a time, or takes it away.
    pub fn set(&mut self, field: &[u8], at: Option<i64>) {
        self.remove(field);
        let Some(at) = at else {
            return;
        };
        if let Times::Few(fields) = self {
            if fields.len() < FEW {
                let before = |other: &(i64, Box<[u8]>)| (other.0, &*other.1) < (at, field);
                let place = fields.partition_point(before);
                fields.insert(place, (at, field.into()));
                return;
            }
            let mut many = Many::default();
            fields
                .iter()
                .for_each(|(at, field)| many.insert(field, *at));
            *self = Times::Many(many);
        }
        if let Times::Many(many) = self {
            many.insert(field, at);
        }
    }

    fn remove(&mut self, field: &[u8]) {
        match self {
            Times::Few(fields) => fields.retain(|(_, other)| **other != *field),
            Times::Many(many) => many.remove(field),
        }
    }

    /// The earliest time.
    #[inline]
    pub fn first(&self) -> Option<i64> {
        match self {
            Times::Few(fields) => fields.first().map(|&(at, _)| at),
            Times::Many(many) => many.order.first_key_value().map(|(&at, _)| at),
        }
    }

    /// A field that has the earliest time.
    pub fn first_field(&self) -> Option<&[u8]> {
        match self {
            Times::Few(fields) => fields.first().map(|(_, field)| &**field),
            Times::Many(many) => {
                let (_, group) = many.order.first_key_value()?;
                group.first().map(|field| &**field)
            }
        }
    }

    /// The latest time.
    pub fn last(&self) -> Option<i64> {
        match self {
            Times::Few(fields) => fields.last().map(|&(at, _)| at),
            Times::Many(many) => many.order.last_key_value().map(|(&at, _)| at),
        }
    }

    /// The earliest time after this one.
    pub fn after(&self, time: i64) -> Option<i64> {
        match self {
            Times::Few(fields) => fields.get(self.count_due(time)).map(|&(at, _)| at),
            Times::Many(many) => {
                let later = many.order.range(time.checked_add(1)?..);
                later.map(|(&at, _)| at).next()
            }
        }
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

    /// How many fields have a time that has come.
    pub fn count_due(&self, now: i64) -> usize {
        match self {
            Times::Few(fields) => fields.partition_point(|&(at, _)| at <= now),
            Times::Many(many) => many.order.range(..=now).map(|(_, group)| group.len()).sum(),
        }
    }

    /// Takes the earliest out, if it has come.
    pub fn pop_due(&mut self, now: i64) -> Option<(i64, Box<[u8]>)> {
        if !self.any_due(now) {
            return None;
        }
        match self {
            Times::Few(fields) => Some(fields.remove(0)),
            Times::Many(many) => {
                let (&at, group) = many.order.first_key_value()?;
                let field = Box::from(&**group.first()?);
                many.remove(&field);
                Some((at, field))
            }
        }
    }

    /// Bytes of memory held, about.
    pub fn memory(&self) -> usize {
        match self {
            Times::Few(fields) => {
                let names = fields.iter().map(|(_, field)| field.len());
                size_of_val(fields.as_slice()) + names.sum::<usize>()
            }
            // The name with the counts of who has it, and a place in each of
            // the trees, which are two thirds full.
            Times::Many(many) => {
                let (name, group) = (size_of::<(i64, Arc<[u8]>)>(), size_of::<(i64, Group)>());
                let counts = 2 * size_of::<usize>();
                let names = many.of.len() * (counts + 2 * name * 3 / 2);
                many.bytes + names + many.order.len() * group * 3 / 2
            }
        }
    }

    /// Frees some names, as many as `budget` has left; answers whether the rest
    /// goes at once. Nothing else is done with it from then on.
    pub fn free_some(&mut self, budget: &mut usize) -> bool {
        match self {
            Times::Few(fields) => {
                *budget = budget.saturating_sub(fields.len());
                true
            }
            Times::Many(many) => many.free_some(budget),
        }
    }
}
