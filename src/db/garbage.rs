//! What was removed and is so large that to free it takes a while: it waits
//! here to be freed a little at a time.

use super::store::Database;
use super::value::Value;

/// A value of no more pieces than this is freed at once, which takes about as
/// long as a command does.
const FREED_AT_ONCE: usize = 256;

/// Removed values and databases.
#[derive(Default, Debug)]
pub struct Garbage {
    values: Vec<Value>,
    /// Each with the number of its keys whose values are still in it.
    databases: Vec<(Database, usize)>,
    /// Bytes of memory that all of it holds.
    memory: usize,
    /// How many values have waited here and are freed.
    pub freed: u64,
}

impl Garbage {
    /// How many values there are, those in databases included.
    pub fn len(&self) -> usize {
        let in_databases = self.databases.iter().map(|(_, keys)| keys);
        self.values.len() + in_databases.sum::<usize>()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.databases.is_empty()
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// Takes a value, or frees it if it is small.
    pub fn add(&mut self, value: Value) {
        if value.stored().pieces() > FREED_AT_ONCE {
            self.memory += value.stored().memory();
            self.values.push(value);
        }
    }

    /// Takes the keys of a database, or frees them if they are few.
    pub fn add_database(&mut self, database: Database) {
        if database.pieces(FREED_AT_ONCE) > FREED_AT_ONCE {
            self.memory += database.total_memory();
            let keys = database.len();
            self.databases.push((database, keys));
        }
    }

    /// Frees some of it: about as many allocations as `budget` says, but a
    /// long string goes at once. Answers whether there is more.
    pub fn free_some(&mut self, mut budget: usize) -> bool {
        while budget > 0 {
            if let Some(value) = self.values.last_mut() {
                self.memory -= value.stored().memory();
                if value.stored_mut().free_some(&mut budget) {
                    self.values.pop();
                    self.freed += 1;
                } else {
                    self.memory += value.stored().memory();
                }
            } else if let Some((database, keys)) = self.databases.last_mut() {
                self.memory -= database.total_memory();
                let value = database.free_some(&mut budget);
                *keys -= usize::from(value.is_some());
                if value.is_none() && budget > 0 {
                    self.freed += *keys as u64;
                    self.databases.pop();
                } else {
                    self.memory += database.total_memory();
                }
                if let Some(value) = value {
                    self.memory += value.stored().memory();
                    self.values.push(value);
                }
            } else {
                *self = Garbage {
                    freed: self.freed,
                    ..Garbage::default()
                };
                return false;
            }
        }
        !self.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::value::{ChunkLimit, Encoding, End, List};
    use crate::seed::Seed;

    fn list(elements: usize) -> Value {
        let mut list = List::default();
        for _ in 0..elements {
            list.push(End::Right, b"0123456789abcdef", ChunkLimit::default());
        }
        list.into()
    }

    /// In how many steps it is all freed.
    fn steps(garbage: &mut Garbage, budget: usize) -> usize {
        let mut steps = 1;
        while garbage.free_some(budget) {
            steps += 1;
        }
        steps
    }

    #[test]
    fn a_long_list_is_freed_in_steps_and_counts_until_it_is() {
        let mut garbage = Garbage::default();
        garbage.add(list(100_000));
        assert!(garbage.is_empty(), "a list of 200 chunks is freed at once");
        garbage.add(list(600_000));
        let full = garbage.memory();
        assert!(full > 600_000 * 16, "{full}");
        assert!(garbage.free_some(600));
        assert!(garbage.memory() < full * 6 / 10, "{}", garbage.memory());
        assert!((5..20).contains(&steps(&mut garbage, 60)));
        assert_eq!(garbage.memory(), 0);
    }

    #[test]
    fn a_database_is_freed_in_steps_with_all_that_is_in_it() {
        let mut database = Database::new(Seed::UNKNOWN);
        for n in 0..5_000 {
            let key = format!("{n}{}", "k".repeat(if n % 2 == 0 { 300 } else { 3 }));
            let key = key.as_bytes();
            let expires_at = (n % 3 == 0).then_some(n);
            let value = if n == 10 { list(600_000) } else { list(3) };
            let set = match n % 5 {
                0 => database.set_value(None, key, value, expires_at, 0).is_ok(),
                _ => database
                    .set_string(None, key, b"v", Encoding::Natural, expires_at, 0)
                    .is_ok(),
            };
            assert!(set);
        }
        let mut garbage = Garbage::default();
        garbage.add_database(database);
        assert!(garbage.memory() > 600_000 * 16);
        // 1000 values, one of them with 1180 chunks, and as many long keys.
        assert_eq!((garbage.len(), garbage.freed), (5_000, 0));
        assert!((40..80).contains(&steps(&mut garbage, 100)));
        assert_eq!(garbage.memory(), 0);
        assert_eq!((garbage.len(), garbage.freed), (0, 5_000));
        garbage.add_database(Database::new(Seed::UNKNOWN));
        assert!(garbage.is_empty());
    }

    #[test]
    fn keys_that_stand_in_pages_count_until_their_page_is_freed() {
        let mut database = Database::new(Seed::UNKNOWN);
        for n in 0..200_000 {
            let (key, encoding) = (n.to_string(), Encoding::Natural);
            let set = database.set_string(None, key.as_bytes(), b"value", encoding, None, 0);
            assert!(set.is_ok());
        }
        let empty = Database::new(Seed::UNKNOWN).total_memory();
        let mut garbage = Garbage::default();
        garbage.add_database(database);
        let mut before = garbage.memory();
        while garbage.free_some(16) {
            let left = garbage.memory();
            assert!(left < before, "{left} of {before}");
            before = left;
        }
        // Nothing much goes with the last step.
        assert!(before < empty + 100_000, "{before}");
    }
}
