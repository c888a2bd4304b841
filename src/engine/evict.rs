//! Chooses the keys that are to go when more memory is used than `maxmemory`.
//!
//! As Redis does, it draws some keys by lot and keeps those in a small pool that
//! can be missed best; the best of them goes. Unlike there, a key that has been
//! used since is taken out of the pool again.

use std::time::Duration;

use fastrand::Rng;

use crate::config::{Config, EvictionPolicy};
use crate::db::{Among, Database, Handle, Keyspace, Sampled, idle_s};

/// So many keys that were drawn are kept, as in Redis.
const POOL: usize = 16;
/// Out of more, choosing takes longer than it is worth.
const SAMPLES_MAX: usize = 64;
/// So many keys are evicted until it is looked again which databases have keys.
const LOOKED_AFTER: usize = 256;
/// So many databases are looked at for one eviction.
const SOME: usize = 32;

/// Chooses the keys that are to go.
pub struct Evictor {
    /// `maxmemory` in bytes; the maximum for none.
    pub max: usize,
    policy: EvictionPolicy,
    samples: usize,
    /// For how long it may go on at once.
    pub patience: Duration,
    /// Those that were drawn, the one that can be missed best last.
    pool: Vec<Candidate>,
    /// Databases that have keys of the kind that may go.
    databases: Vec<usize>,
    /// How many keys go until these are looked for again.
    looks_after: usize,
    /// Those that have just been drawn.
    drawn: Vec<Sampled>,
    /// There is more to be done, which nobody waits for.
    pub pending: bool,
    /// Since when more is used than may be, in time since the broker's start.
    exceeded_since: Option<Duration>,
    /// How long it was so before.
    exceeded: Duration,
}

/// A key in the pool.
#[derive(Clone, Copy)]
struct Candidate {
    /// How well it can be missed.
    rank: i64,
    database: usize,
    key: Sampled,
}

impl Default for Evictor {
    fn default() -> Self {
        Evictor {
            max: usize::MAX,
            policy: EvictionPolicy::NoEviction,
            samples: 0,
            patience: Duration::ZERO,
            pool: Vec::new(),
            databases: Vec::new(),
            looks_after: 0,
            drawn: Vec::new(),
            pending: false,
            exceeded_since: None,
            exceeded: Duration::ZERO,
        }
    }
}

impl Evictor {
    /// Follows the settings. If there is less room than before, upkeep makes it.
    pub fn follow(&mut self, config: &Config) {
        self.max = match config.maxmemory {
            0 => usize::MAX,
            bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
        };
        self.policy = config.maxmemory_policy;
        self.samples = (config.maxmemory_samples as usize).clamp(1, SAMPLES_MAX);
        self.patience = patience(config.maxmemory_eviction_tenacity);
        self.pool.clear();
        self.looks_after = 0;
        self.pending = self.max < usize::MAX;
    }

    /// For how long more has been used than may be: now, and ever.
    pub fn exceeded(&self, uptime: Duration) -> (Duration, Duration) {
        let since = self
            .exceeded_since
            .map(|since| uptime.saturating_sub(since));
        let current = since.unwrap_or_default();
        (current, self.exceeded.saturating_add(current))
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&mut self, uptime: Duration) {
        self.exceeded = Duration::ZERO;
        self.exceeded_since = self.exceeded_since.map(|_| uptime);
    }

    /// Notes whether there is enough room.
    #[inline]
    pub fn note(&mut self, is_enough: bool, uptime: Duration) {
        if !is_enough {
            self.exceeded_since = self.exceeded_since.or(Some(uptime));
        } else if let Some(since) = self.exceeded_since.take() {
            let lasted = uptime.saturating_sub(since);
            self.exceeded = self.exceeded.saturating_add(lasted);
        }
    }

    /// Evicts a key; false if there is none that may go.
    pub fn evict(&mut self, keyspace: &mut Keyspace, now: i64) -> bool {
        let victim = match self.policy {
            EvictionPolicy::NoEviction => None,
            EvictionPolicy::AllkeysRandom => self.any(keyspace, Among::All),
            EvictionPolicy::VolatileRandom => self.any(keyspace, Among::Volatile),
            EvictionPolicy::VolatileTtl => self.first_to_expire(keyspace),
            EvictionPolicy::AllkeysLru | EvictionPolicy::AllkeysLfu => {
                self.best(keyspace, Among::All, now)
            }
            EvictionPolicy::VolatileLru | EvictionPolicy::VolatileLfu => {
                self.best(keyspace, Among::Volatile, now)
            }
        };
        if let Some((database, handle)) = victim {
            keyspace.evict(database, handle);
            return true;
        }
        // Those that were looked at may have had none left, and others some.
        let has_looked = self.looks_after == LOOKED_AFTER - 1;
        self.looks_after = 0;
        !has_looked && self.databases.len() > SOME
    }

    fn any(&mut self, keyspace: &mut Keyspace, among: Among) -> Option<(usize, Handle)> {
        let index = self.draw(keyspace, among, 1)?;
        let nth = keyspace.rng.usize(..self.drawn.len().max(1));
        self.still(keyspace, index, *self.drawn.get(nth)?)
    }

    fn first_to_expire(&mut self, keyspace: &mut Keyspace) -> Option<(usize, Handle)> {
        self.look(keyspace, Among::Volatile);
        let Keyspace { databases, rng, .. } = keyspace;
        let expires = |&index: &usize| databases[index].expiring() > 0;
        let first = |index: usize| Some((databases[index].first_key_expiry()?, index));
        let some = self.some(rng).filter(expires);
        let (_, index) = some.filter_map(first).min()?;
        self.drawn.clear();
        databases[index].sample_first(self.samples, |n| rng.usize(..n), &mut self.drawn);
        let first = self.drawn.iter().min_by_key(|key| key.expires_at);
        self.still(keyspace, index, *first?)
    }

    /// The key that can be missed best out of those that were drawn.
    fn best(&mut self, keyspace: &mut Keyspace, among: Among, now: i64) -> Option<(usize, Handle)> {
        // Of those in the pool all may have gone, and kept new ones out.
        for _ in 0..2 {
            let index = self.draw(keyspace, among, self.samples)?;
            let frequency = keyspace.limits.frequency;
            let counts_uses = self.policy.counts_uses();
            let drawn = std::mem::take(&mut self.drawn);
            for &key in &drawn {
                let rank = match counts_uses {
                    true => -i64::from(frequency.count(key.accessed, now)),
                    // What it is does not change as time goes on.
                    false => i64::from(idle_s(key.accessed, now)) - now / 1000,
                };
                self.keep(Candidate {
                    rank,
                    database: index,
                    key,
                });
            }
            self.drawn = drawn;
            while let Some(candidate) = self.pool.pop() {
                let found = self.still(keyspace, candidate.database, candidate.key);
                if found.is_some() {
                    return found;
                }
            }
        }
        None
    }

    /// Puts a key into the pool if it can be missed better than one in there,
    /// or there is room.
    fn keep(&mut self, candidate: Candidate) {
        let pool = &mut self.pool;
        let at = pool.partition_point(|other| other.rank < candidate.rank);
        if pool.len() == POOL && at == 0 {
            return;
        }
        // One that is in there already has the same rank.
        let mut equals = pool[at..]
            .iter()
            .take_while(|other| other.rank == candidate.rank);
        if equals.any(|other| (other.database, other.key) == (candidate.database, candidate.key)) {
            return;
        }
        if pool.len() == POOL {
            pool.remove(0);
            pool.insert(at - 1, candidate);
        } else {
            pool.insert(at, candidate);
        }
    }

    /// The entry of a key that was drawn, if it is still what it was.
    fn still(&self, keyspace: &Keyspace, index: usize, key: Sampled) -> Option<(usize, Handle)> {
        let handle = keyspace.databases.get(index)?.still(&key)?;
        Some((index, handle))
    }

    /// Draws keys of one database, which the more likely is chosen the more
    /// keys it has.
    fn draw(&mut self, keyspace: &mut Keyspace, among: Among, count: usize) -> Option<usize> {
        self.look(keyspace, among);
        let Keyspace { databases, rng, .. } = keyspace;
        let index = match self.databases[..] {
            [only] => only,
            _ => {
                let weighed = |index| (index, weight(&databases[index], among));
                let some: Vec<_> = self.some(rng).map(weighed).collect();
                let sum: usize = some.iter().map(|(_, weight)| weight).sum();
                let mut nth = rng.usize(..sum.max(1));
                let is_here = |&(_, weight): &(usize, usize)| {
                    let is_here = nth < weight;
                    nth = nth.saturating_sub(weight);
                    is_here
                };
                some.into_iter().find(is_here)?.0
            }
        };
        self.drawn.clear();
        databases[index].sample(among, count, |n| rng.usize(..n), &mut self.drawn);
        Some(index)
    }

    /// The databases that have keys, or of very many some, so that it never
    /// takes long to look at them.
    fn some(&self, rng: &mut Rng) -> impl Iterator<Item = usize> {
        let start = match self.databases.len() {
            ..=SOME => 0,
            len => rng.usize(..len),
        };
        let from_there = self.databases.iter().cycle().skip(start);
        from_there.take(self.databases.len().min(SOME)).copied()
    }

    /// Finds out which databases have keys, if that may have changed.
    fn look(&mut self, keyspace: &Keyspace, among: Among) {
        let has_keys = |index: usize| weight(&keyspace.databases[index], among) > 0;
        let all_gone = !self.databases.iter().any(|&index| has_keys(index));
        if self.looks_after == 0 || all_gone {
            let all = 0..keyspace.databases.len();
            self.databases = all.filter(|&index| has_keys(index)).collect();
            self.looks_after = LOOKED_AFTER;
        }
        self.looks_after -= 1;
    }
}

/// How many keys of a database may go.
fn weight(database: &Database, among: Among) -> usize {
    match among {
        Among::All => database.len(),
        Among::Volatile => database.expiring(),
    }
}

/// For how long eviction may go on at once, as in Redis: up to half a
/// millisecond by default, then a seventh more for each step, or for ever.
fn patience(tenacity: u32) -> Duration {
    match tenacity {
        ..=10 => Duration::from_micros(50 * u64::from(tenacity)),
        11..100 => Duration::from_secs_f64(500e-6 * 1.15_f64.powi(tenacity as i32 - 10)),
        _ => Duration::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_grows_as_in_redis() {
        let micros = |tenacity| patience(tenacity).as_micros();
        assert_eq!([0, 1, 10, 11].map(micros), [0, 50, 500, 575]);
        assert!((110..130).contains(&patience(99).as_secs()));
        assert_eq!(patience(100), Duration::MAX);
    }
}
