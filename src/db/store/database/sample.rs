//! Some keys out of all, drawn by lot, for who has to choose one to evict.

use super::{Database, Handle};
use crate::db::store::entry::Entry;

/// A key that may be evicted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sampled {
    handle: Handle,
    /// What its entry says of its use.
    pub accessed: u32,
    /// When it expires, in milliseconds since 1970.
    pub expires_at: Option<i64>,
}

/// Whether these are all keys or those that expire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Among {
    /// All.
    All,
    /// Those that expire.
    Volatile,
}

/// Where one key of so many expires, or more do, keys are looked at until some
/// are found that do; to draw from the expiries takes longer.
const LOOKED_AT: usize = 4;

impl Database {
    /// Some keys, at least `count` if there are so many; `random(n)` answers a
    /// number below `n`. Those that are asked for are few. No read waits for
    /// another one, so that memory is waited for about once.
    pub fn sample(
        &self,
        among: Among,
        count: usize,
        mut random: impl FnMut(usize) -> usize,
        sampled: &mut Vec<Sampled>,
    ) {
        let mut hash = || (random(1 << 16) << 16 | random(1 << 16)) as u32;
        let before = sampled.len();
        match among {
            Among::All => {
                let mut add = |(hash, slot)| sampled.push(self.sampled(hash, slot));
                self.index.sample(hash(), count, &mut add);
            }
            Among::Volatile if self.expiring() * LOOKED_AT >= self.len() => {
                let looked_at = count * self.len().div_ceil(self.expiring().max(1));
                let mut add = |(hash, slot)| {
                    let key = self.sampled(hash, slot);
                    sampled.extend(key.expires_at.map(|_| key));
                };
                self.index.sample(hash(), looked_at, &mut add);
            }
            Among::Volatile => {}
        }
        if among == Among::Volatile && sampled.len() == before {
            self.expiries.sample(count, random, |slot| {
                sampled.push(self.sampled(self.hash(self.key_in(slot)), slot));
            });
        }
    }

    /// Some of the keys that expire first, the others at random.
    pub fn sample_first(
        &self,
        count: usize,
        random: impl FnMut(usize) -> usize,
        sampled: &mut Vec<Sampled>,
    ) {
        self.expiries.sample_first(count, random, |slot| {
            sampled.push(self.sampled(self.hash(self.key_in(slot)), slot));
        });
    }

    fn sampled(&self, hash: u32, slot: u32) -> Sampled {
        let entry = Entry(self.slots.get(slot));
        Sampled {
            handle: Handle { hash, slot },
            accessed: entry.accessed(),
            expires_at: entry.expires_at(),
        }
    }

    /// The entry of a key that was sampled, unless it has gone since, or has
    /// been used, or stands elsewhere.
    pub fn still(&self, sampled: &Sampled) -> Option<Handle> {
        let Handle { hash, slot } = sampled.handle;
        self.index.find(hash, |here| here == slot)?;
        (self.sampled(hash, slot) == *sampled).then_some(sampled.handle)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::db::Encoding;
    use crate::seed::Seed;

    fn database(keys: usize, expires: impl Fn(usize) -> Option<i64>) -> Database {
        let mut database = Database::new(Seed::UNKNOWN);
        for n in 0..keys {
            let (key, encoding) = (n.to_string(), Encoding::Natural);
            let set = database.set_string(None, key.as_bytes(), b"v", encoding, expires(n), 0);
            assert!(set.is_ok());
        }
        database
    }

    #[test]
    fn every_key_is_drawn_about_as_often_as_any_other() {
        let mut rng = fastrand::Rng::with_seed(8);
        // All of them expire, half do, hardly any does.
        for one_of in [1, 2, 50] {
            let expires = |n: usize| n.is_multiple_of(one_of).then_some((n * 1000) as i64);
            let database = database(2_000, expires);
            for among in [Among::All, Among::Volatile] {
                let (mut times, mut drawn) = (BTreeMap::new(), Vec::new());
                let mut all = 0;
                while all < 200_000 {
                    drawn.clear();
                    database.sample(among, 5, |n| rng.usize(..n), &mut drawn);
                    assert!(!drawn.is_empty());
                    for key in &drawn {
                        let handle = database.still(key).expect("nothing has changed");
                        *times.entry(database.key(handle)).or_insert(0) += 1;
                    }
                    all += drawn.len();
                }
                let may = if among == Among::All {
                    2_000
                } else {
                    2_000 / one_of
                };
                assert!(times.len() * 100 >= may * 99, "{} of {may}", times.len());
                let mean = all / may;
                let most = times.values().max().unwrap();
                assert!(*most < 4 * mean, "{most}, {mean} on average");
                assert!(times.keys().all(|key| {
                    let expires_at = database.expires_at(database.find(key).unwrap());
                    among == Among::All || expires_at.is_some()
                }));
            }
        }
    }

    #[test]
    fn those_that_expire_first_are_drawn_among_the_first() {
        let mut rng = fastrand::Rng::with_seed(8);
        let database = database(10_000, |n| Some((n * 1_000) as i64));
        let mut drawn = Vec::new();
        database.sample_first(5, |n| rng.usize(..n), &mut drawn);
        assert!((1..=5).contains(&drawn.len()));
        assert!(drawn.iter().all(|key| key.expires_at < Some(300_000)));
    }

    #[test]
    fn a_key_that_has_been_used_or_has_gone_is_not_what_it_was() {
        let mut database = database(3, |_| None);
        let mut drawn = Vec::new();
        database.sample(Among::All, 10, |_| 0, &mut drawn);
        assert_eq!(drawn.len(), 3);
        let [used, gone, other] = drawn[..] else {
            panic!("{drawn:?}")
        };
        database.access(used.handle, 5_000);
        database.remove(gone.handle);
        assert_eq!(database.still(&used), None);
        assert_eq!(database.still(&gone), None);
        assert_eq!(database.still(&other), Some(other.handle));
    }
}
