//! Where chance begins: with something that nobody can guess, or with a number
//! from which everything random follows again.

use fastrand::Rng;
use foldhash::SharedSeed;

/// How names are hashed. The order of what is looked up by hash follows from it.
pub type Hashing = foldhash::fast::SeedableRandomState;

/// What a broker's chance begins with.
#[derive(Clone, Copy, Default, Debug)]
pub struct Seed(Option<u64>);

/// What chance is for. Each draws from numbers of its own, so that what one
/// draws changes nothing for the others.
#[derive(Clone, Copy)]
pub enum Purpose {
    /// What commands draw from the data, and which keys are evicted.
    Data,
    /// Which key nobody is to have read any more.
    Tracking,
    /// The names of things.
    Names,
}

impl Seed {
    /// One that nobody can guess.
    pub const UNKNOWN: Seed = Seed(None);

    /// The number that all is to follow from, if there is one.
    pub fn new(seed: Option<u64>) -> Seed {
        Seed(seed)
    }

    /// Numbers for one purpose.
    pub fn rng(self, purpose: Purpose) -> Rng {
        let Some(seed) = self.0 else {
            return Rng::new();
        };
        let mut seeds = Rng::with_seed(seed);
        (0..purpose as usize).for_each(|_| _ = seeds.u64(..));
        Rng::with_seed(seeds.u64(..))
    }

    /// How names are hashed in one more table: so that nobody can choose some
    /// that collide, or as in all other tables.
    pub fn hasher(self) -> Hashing {
        match self.0 {
            None => Hashing::random(),
            Some(seed) => Hashing::with_seed(seed, SharedSeed::global_fixed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn what_follows_from_a_number_follows_from_it_again() {
        let all = |seed| {
            let seed = Seed::new(seed);
            let purposes = [Purpose::Data, Purpose::Tracking, Purpose::Names];
            let drawn = purposes.map(|purpose| seed.rng(purpose).u64(..));
            let [a, b, c] = drawn;
            assert!(a != b && b != c && a != c, "{drawn:?}");
            (drawn, seed.hasher().hash_one("name"))
        };
        assert_eq!(all(Some(1)), all(Some(1)));
        assert_ne!(all(Some(1)).0, all(Some(2)).0);
        assert_ne!(all(Some(1)).1, all(Some(2)).1);
        assert_ne!(all(None).0, all(None).0);
        assert_ne!(all(None).1, all(None).1);
    }
}
