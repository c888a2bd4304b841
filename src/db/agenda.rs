//! Which database has a key that is due first, so that nobody has to look at
//! all of them to know.

use std::collections::BTreeSet;

/// Stands for no time.
const NEVER: i64 = i64::MAX;

/// For each database a time before which none of its keys is due.
#[derive(Default, Debug)]
pub struct Agenda {
    /// By the number of the database, as far as a key has ever expired there.
    times: Vec<i64>,
    /// Those that are a time.
    order: BTreeSet<(i64, usize)>,
}

impl Agenda {
    /// The earliest time, and the database that has it.
    pub fn first(&self) -> Option<(i64, usize)> {
        self.order.first().copied()
    }

    /// Notes that a key of a database is to expire at a time.
    #[inline]
    pub fn note(&mut self, db: usize, at: i64) {
        if at < self.time(db) {
            self.set(db, Some(at));
        }
    }

    /// Notes the earliest time of a database.
    pub fn set(&mut self, db: usize, first: Option<i64>) {
        let (old, new) = (self.time(db), first.unwrap_or(NEVER));
        if old == new {
            return;
        }
        self.order.remove(&(old, db));
        if new != NEVER {
            self.order.insert((new, db));
        }
        if self.times.len() <= db {
            self.times.resize(db + 1, NEVER);
        }
        self.times[db] = new;
    }

    /// Notes that two databases have changed places.
    pub fn swap(&mut self, a: usize, b: usize) {
        let (a_time, b_time) = (self.time(a), self.time(b));
        self.set(a, Some(b_time));
        self.set(b, Some(a_time));
    }

    fn time(&self, db: usize) -> i64 {
        self.times.get(db).copied().unwrap_or(NEVER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_of_all_databases_is_first() {
        let mut agenda = Agenda::default();
        assert_eq!(agenda.first(), None);
        agenda.note(7, 50);
        agenda.note(3, 40);
        agenda.note(3, 60);
        assert_eq!(agenda.first(), Some((40, 3)));
        agenda.swap(3, 5);
        assert_eq!(agenda.first(), Some((40, 5)));
        agenda.set(5, Some(70));
        assert_eq!(agenda.first(), Some((50, 7)));
        agenda.set(7, None);
        assert_eq!(agenda.first(), Some((70, 5)));
        agenda.note(5, NEVER);
        agenda.set(5, None);
        assert_eq!(agenda.first(), None);
    }
}
