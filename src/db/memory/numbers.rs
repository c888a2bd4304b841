//! A set of small numbers of which the lowest is wanted.

const WORD: usize = u64::BITS as usize;

/// Numbers, a bit each. Those below 64 take no allocation: small tables have
/// several of these, each with a few low numbers.
#[derive(Clone, Default, Debug)]
pub struct Numbers {
    low: u64,
    high: Option<Box<High>>,
}

/// The numbers from 64 on.
#[derive(Clone, Default, Debug)]
struct High {
    words: Box<[u64]>,
    /// The words before this one are 0.
    first: u32,
    len: u32,
}

impl Numbers {
    /// How many there are.
    pub fn len(&self) -> usize {
        let high = self.high.as_ref().map_or(0, |high| high.len as usize);
        self.low.count_ones() as usize + high
    }

    /// The lowest.
    #[inline]
    pub fn first(&mut self) -> Option<usize> {
        if self.low != 0 {
            return Some(self.low.trailing_zeros() as usize);
        }
        self.high.as_mut()?.first()
    }

    /// All, from the lowest on.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        let high = self.high.iter().flat_map(|high| &high.words);
        let words = std::iter::once(&self.low).chain(high).enumerate();
        words.flat_map(|(at, &word)| {
            let bits = (0..WORD).filter(move |bit| word >> bit & 1 == 1);
            bits.map(move |bit| at * WORD + bit)
        })
    }

    /// Adds a number, which may be here already.
    pub fn insert(&mut self, number: usize) {
        match number.checked_sub(WORD) {
            None => self.low |= 1 << number,
            Some(number) => self.high.get_or_insert_default().insert(number),
        }
    }

    /// Takes a number out, which may not be here.
    pub fn remove(&mut self, number: usize) {
        match (number.checked_sub(WORD), &mut self.high) {
            (None, _) => self.low &= !(1 << number),
            (Some(number), Some(high)) => high.remove(number),
            (Some(_), None) => {}
        }
    }

    /// Gives memory back: there is no number from `end` on.
    pub fn shrink(&mut self, end: usize) {
        let words = end.div_ceil(WORD).saturating_sub(1);
        match &mut self.high {
            Some(high) if words > 0 => high.shrink(words),
            high => *high = None,
        }
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        let memory = |high: &High| size_of::<High>() + size_of_val(&*high.words);
        self.high.as_deref().map_or(0, memory)
    }
}

impl High {
    fn first(&mut self) -> Option<usize> {
        while let Some(&word) = self.words.get(self.first as usize) {
            if word != 0 {
                let before = (self.first as usize + 1) * WORD;
                return Some(before + word.trailing_zeros() as usize);
            }
            self.first += 1;
        }
        None
    }

    fn insert(&mut self, number: usize) {
        let (word, bit) = (number / WORD, 1 << (number % WORD));
        if self.words.len() <= word {
            self.resize((word + 1).max(self.words.len() * 2));
        }
        self.len += u32::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
        self.first = self.first.min(word as u32);
    }

    fn remove(&mut self, number: usize) {
        let (word, bit) = (number / WORD, 1 << (number % WORD));
        if let Some(word) = self.words.get_mut(word) {
            self.len -= u32::from(*word & bit != 0);
            *word &= !bit;
        }
    }

    fn shrink(&mut self, words: usize) {
        if words < self.words.len() {
            self.resize(words);
            self.first = self.first.min(words as u32);
        }
    }

    fn resize(&mut self, len: usize) {
        let mut words = std::mem::take(&mut self.words).into_vec();
        words.reserve_exact(len.saturating_sub(words.len()));
        words.resize(len, 0);
        self.words = words.into();
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
