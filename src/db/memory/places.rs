//! Numbered places for things of one type.
//!
//! They stand in chunks, so that growing moves no others, and a chunk that has
//! become empty is given back. The lowest free number is given out first, so
//! that what is left after a burst gathers at the front.

use std::ops::{Index, IndexMut};

use super::numbers::Numbers;

const WORD: usize = u64::BITS as usize;
const WORDS: usize = 4;
/// Places of a chunk.
const CHUNK: usize = WORD * WORDS;

/// Things by number.
#[derive(Clone, Debug)]
pub struct Places<T> {
    chunks: Vec<Chunk<T>>,
    /// Those that have a free place.
    open: Numbers,
    len: usize,
    /// Places for which all chunks have memory.
    room: usize,
}

#[derive(Clone, Debug)]
struct Chunk<T> {
    /// A bit for each place that is taken.
    taken: [u64; WORDS],
    /// Up to the last place that was ever taken.
    places: Vec<Option<T>>,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Places {
            chunks: Vec::new(),
            open: Numbers::default(),
            len: 0,
            room: 0,
        }
    }
}

impl<T> Chunk<T> {
    const EMPTY: Chunk<T> = Chunk {
        taken: [0; WORDS],
        places: Vec::new(),
    };

    fn is_empty(&self) -> bool {
        self.taken == [0; WORDS]
    }

    fn is_full(&self) -> bool {
        self.taken == [u64::MAX; WORDS]
    }

    /// Takes the first free place; there is one.
    fn insert(&mut self, thing: T) -> usize {
        let word = self.taken.iter().position(|&word| word != u64::MAX);
        let word = word.expect("the chunk has a free place");
        let bit = self.taken[word].trailing_ones() as usize;
        self.taken[word] |= 1 << bit;
        let place = word * WORD + bit;
        match self.places.get_mut(place) {
            Some(free) => *free = Some(thing),
            None => self.places.push(Some(thing)),
        }
        place
    }

    fn remove(&mut self, place: usize) -> Option<T> {
        self.taken[place / WORD] &= !(1 << (place % WORD));
        self.places[place].take()
    }
}

impl<T> Places<T> {
    /// How many things there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// All numbers in use are below this one.
    #[cfg(test)]
    pub fn end(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    /// Bytes of memory held, without what the things hold themselves.
    pub fn memory(&self) -> usize {
        self.room * size_of::<Option<T>>()
            + self.chunks.capacity() * size_of::<Chunk<T>>()
            + self.open.memory()
    }

    /// Gives a thing the lowest free number.
    pub fn insert(&mut self, thing: T) -> u32 {
        let chunk = self.open_chunk();
        let at = &mut self.chunks[chunk];
        let room = at.places.capacity();
        let place = at.insert(thing);
        self.room += at.places.capacity() - room;
        if at.is_full() {
            self.open.remove(chunk);
        }
        self.len += 1;
        (chunk * CHUNK + place) as u32
    }

    /// The first chunk that has a free place.
    fn open_chunk(&mut self) -> usize {
        self.open.first().unwrap_or_else(|| {
            let chunk = self.chunks.len();
            if chunk == 0 {
                // A vector would begin with room for four.
                self.chunks.reserve_exact(1);
            }
            self.chunks.push(Chunk::EMPTY);
            self.open.insert(chunk);
            chunk
        })
    }

    /// Takes out the thing of this number, which there is.
    pub fn remove(&mut self, number: usize) -> T {
        let (at, place) = (number / CHUNK, number % CHUNK);
        let chunk = &mut self.chunks[at];
        if chunk.is_full() {
            self.open.insert(at);
        }
        let thing = chunk.remove(place).expect("a number is in use");
        let is_empty = chunk.is_empty();
        self.len -= 1;
        // Few things are in the first chunk, and come and go.
        if is_empty && at > 0 {
            let places = std::mem::take(&mut self.chunks[at].places);
            self.room -= places.capacity();
            self.give_back();
        }
        thing
    }

    /// Drops empty chunks at the end, and what the table of chunks does not need.
    fn give_back(&mut self) {
        while self.chunks.len() > 1 && self.chunks.last().is_some_and(Chunk::is_empty) {
            self.chunks.pop();
            self.open.remove(self.chunks.len());
        }
        if self.chunks.len() < self.chunks.capacity() / 4 {
            self.chunks.shrink_to(self.chunks.len() * 2);
            self.open.shrink(self.chunks.len());
        }
    }

    /// Whether so few of the places are taken that it is worth to gather them.
    pub fn are_scattered(&self) -> bool {
        self.chunks.len() > 3 * (self.len / CHUNK) + WORD
    }

    /// Gives a thing a lower number if one is free; answers that.
    pub fn move_forward(&mut self, number: usize) -> Option<u32> {
        let first = self.open.first().filter(|&chunk| chunk < number / CHUNK);
        first.map(|_| {
            let thing = self.remove(number);
            self.insert(thing)
        })
    }

    /// Takes out any thing. Nothing else is done with the places from then on.
    pub fn pop(&mut self) -> Option<T> {
        loop {
            match self.chunks.last_mut()?.places.pop() {
                Some(None) => {}
                Some(thing) => {
                    self.len -= 1;
                    return thing;
                }
                None => {
                    let chunk = self.chunks.pop()?;
                    self.room -= chunk.places.capacity();
                }
            }
        }
    }

    /// The thing of this number.
    #[cfg(test)]
    pub fn get(&self, number: usize) -> Option<&T> {
        let chunk = self.chunks.get(number / CHUNK)?;
        chunk.places.get(number % CHUNK)?.as_ref()
    }

    /// All things, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| &chunk.places).flatten()
    }
}

impl<T> Index<usize> for Places<T> {
    type Output = T;

    #[inline]
    fn index(&self, number: usize) -> &T {
        let place = &self.chunks[number / CHUNK].places[number % CHUNK];
        place.as_ref().expect("a number is in use")
    }
}

impl<T> IndexMut<usize> for Places<T> {
    #[inline]
    fn index_mut(&mut self, number: usize) -> &mut T {
        let place = &mut self.chunks[number / CHUNK].places[number % CHUNK];
        place.as_mut().expect("a number is in use")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_number_leads_to_its_thing_and_the_lowest_is_given_first() {
        let mut rng = fastrand::Rng::with_seed(5);
        let (mut places, mut model) = (Places::default(), BTreeMap::new());
        for round in 0..60_000u32 {
            let grows = rng.u32(..100) < if round % 20_000 < 12_000 { 80 } else { 10 };
            if grows {
                let number = places.insert(round) as usize;
                if round % 100 == 0 {
                    let lowest = (0..).find(|number| !model.contains_key(number));
                    assert_eq!(Some(number), lowest);
                }
                assert_eq!(model.insert(number, round), None);
            } else if let Some(&number) = model.keys().nth(rng.usize(..model.len().clamp(1, 50))) {
                assert_eq!(Some(places.remove(number)), model.remove(&number));
            }
            assert_eq!(places.len(), model.len());
        }
        assert!(places.iter().eq(model.values()));
        assert!(
            model
                .iter()
                .all(|(&number, thing)| places[number] == *thing)
        );
        assert!(places.end() > *model.keys().last().unwrap());
        assert_eq!(places.get(places.end()), None);
    }

    #[test]
    fn what_a_burst_has_taken_is_given_back() {
        let mut places = Places::default();
        let numbers: Vec<_> = (0..100_000).map(|n| places.insert([n; 5])).collect();
        let full = places.memory();
        let (kept, gone) = numbers.split_at(1_000);
        gone.iter()
            .for_each(|&number| _ = places.remove(number as usize));
        assert!(places.memory() < full / 50, "{} of {full}", places.memory());
        kept.iter()
            .for_each(|&number| _ = places.remove(number as usize));
        assert!(places.memory() < full / 300, "{}", places.memory());
    }
}
