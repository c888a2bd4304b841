//! A set of small numbers of which the lowest is wanted.

const WORD: usize = u64::BITS as usize;

/// Numbers, a bit each.
#[derive(Clone, Default, Debug)]
pub struct Numbers {
    words: Vec<u64>,
    /// The words before this one are 0.
    first: usize,
    len: usize,
}

impl Numbers {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The lowest.
    #[inline]
    pub fn first(&mut self) -> Option<usize> {
        while let Some(&word) = self.words.get(self.first) {
            if word != 0 {
                return Some(self.first * WORD + word.trailing_zeros() as usize);
            }
            self.first += 1;
        }
        None
    }

    /// All, from the lowest on.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        let words = self.words.iter().enumerate();
        words.flat_map(|(at, &word)| {
            let bits = (0..WORD).filter(move |bit| word >> bit & 1 == 1);
            bits.map(move |bit| at * WORD + bit)
        })
    }

    /// Adds a number, which may be here already.
    pub fn insert(&mut self, number: usize) {
        let (word, bit) = (number / WORD, 1 << (number % WORD));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.len += usize::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
        self.first = self.first.min(word);
    }

    /// Takes a number out, which may not be here.
    pub fn remove(&mut self, number: usize) {
        let (word, bit) = (number / WORD, 1 << (number % WORD));
        if let Some(word) = self.words.get_mut(word) {
            self.len -= usize::from(*word & bit != 0);
            *word &= !bit;
        }
    }

    /// Gives memory back: there is no number from `end` on.
    pub fn shrink(&mut self, end: usize) {
        self.words.truncate(end.div_ceil(WORD));
        self.words.shrink_to(self.words.len() * 2);
        self.first = self.first.min(self.words.len());
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_lowest_is_first_whatever_comes_and_goes() {
        let mut rng = fastrand::Rng::with_seed(2);
        let (mut numbers, mut model) = (Numbers::default(), BTreeSet::new());
        for _ in 0..20_000 {
            let number = rng.usize(..1_000);
            if rng.u8(..3) == 0 {
                numbers.insert(number);
                model.insert(number);
            } else {
                numbers.remove(number);
                model.remove(&number);
            }
            assert_eq!(numbers.first(), model.first().copied());
            assert_eq!(numbers.len(), model.len());
            assert!(numbers.iter().eq(model.iter().copied()));
        }
        (100..1_000).for_each(|number| numbers.remove(number));
        numbers.shrink(100);
        assert!(numbers.memory() <= 32);
        assert_eq!(numbers.first(), model.first().copied().filter(|&n| n < 100));
    }
}
