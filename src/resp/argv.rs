//! The words of one request.

use std::ops::Range;

/// The words of a request: slices of the buffer it arrived in. Word 0 is the
/// command's name.
#[derive(Clone, Copy)]
pub struct Argv<'a> {
    buffer: &'a [u8],
    words: &'a [Range<u32>],
}

impl<'a> Argv<'a> {
    /// `words` are ranges of `buffer`, one behind the other.
    pub fn new(buffer: &'a [u8], words: &'a [Range<u32>]) -> Self {
        Argv { buffer, words }
    }

    /// How many words there are.
    pub fn len(self) -> usize {
        self.words.len()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.words.is_empty()
    }

    /// Word `index`, if there is one.
    pub fn get(self, index: usize) -> Option<&'a [u8]> {
        let word = self.words.get(index)?;
        Some(&self.buffer[word.start as usize..word.end as usize])
    }

    /// Some of the words, if they are there.
    pub fn slice(self, range: Range<usize>) -> Option<Argv<'a>> {
        let words = self.words.get(range)?;
        Some(Argv { words, ..self })
    }

    /// All words in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone {
        let buffer = self.buffer;
        self.words
            .iter()
            .map(move |word| &buffer[word.start as usize..word.end as usize])
    }

    /// Appends the words to buffers that hold other requests, too.
    /// [`Argv::new`] makes a request of what was appended.
    pub fn append_to(self, buffer: &mut Vec<u8>, words: &mut Vec<Range<u32>>) {
        let (Some(first), Some(last)) = (self.words.first(), self.words.last()) else {
            return;
        };
        // What stands between the words comes along: it is little, and one
        // copy costs less than one for each word.
        buffer.extend_from_slice(&self.buffer[first.start as usize..last.end as usize]);
        let moved = |word: &Range<u32>| word.start - first.start..word.end - first.start;
        words.extend(self.words.iter().map(moved));
    }

    /// A copy that outlives the buffer.
    pub fn to_owned(self) -> OwnedArgv {
        OwnedArgv::new(self.iter())
    }

    /// A copy in which some words read otherwise.
    pub fn with(self, words: &[(usize, Vec<u8>)]) -> OwnedArgv {
        if words.is_empty() {
            return self.to_owned();
        }
        let mut changed: Vec<&[u8]> = self.iter().collect();
        for (index, word) in words {
            if let Some(place) = changed.get_mut(*index) {
                *place = word;
            }
        }
        OwnedArgv::new(changed.into_iter())
    }
}

/// A request kept for later: one that blocks, or is shown to others.
#[derive(Clone, Debug)]
pub struct OwnedArgv {
    bytes: Box<[u8]>,
    words: Box<[Range<u32>]>,
}

impl OwnedArgv {
    /// A copy of these words.
    pub fn new<'a>(from: impl ExactSizeIterator<Item = &'a [u8]> + Clone) -> OwnedArgv {
        let mut bytes = Vec::with_capacity(from.clone().map(<[u8]>::len).sum());
        let mut words = Vec::with_capacity(from.len());
        for word in from {
            let start = bytes.len() as u32;
            bytes.extend_from_slice(word);
            words.push(start..bytes.len() as u32);
        }
        OwnedArgv {
            bytes: bytes.into(),
            words: words.into(),
        }
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.bytes.len() + size_of_val(&*self.words)
    }

    /// The words.
    pub fn as_argv(&self) -> Argv<'_> {
        Argv {
            buffer: &self.bytes,
            words: &self.words,
        }
    }
}
