//! The arguments of one request, and a cursor over them that answers the
//! right error by itself.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::long_double::LongDouble;
use crate::number;

/// The words of a request: slices of the buffer it arrived in. Word 0 is the
/// command's name.
#[derive(Clone, Copy)]
pub struct Argv<'a> {
    buffer: &'a [u8],
    words: &'a [Range<u32>],
}

impl<'a> Argv<'a> {
    /// `words` are ranges of `buffer`.
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

    /// All words in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone {
        let buffer = self.buffer;
        self.words
            .iter()
            .map(move |word| &buffer[word.start as usize..word.end as usize])
    }

    /// A copy that outlives the buffer.
    pub fn to_owned(self) -> OwnedArgv {
        OwnedArgv::new(self.iter())
    }
}

/// A request kept for later: queued by MULTI, or blocked.
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

    /// The words.
    pub fn as_argv(&self) -> Argv<'_> {
        Argv {
            buffer: &self.bytes,
            words: &self.words,
        }
    }

    /// Bytes that it keeps alive.
    pub fn memory(&self) -> usize {
        self.bytes.len() + size_of_val(&*self.words)
    }
}

/// A cursor over the arguments after the command's name.
///
/// The dispatcher has checked the arity, so a handler may ask for that many
/// arguments; asking for one that is not there answers a syntax error.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    argv: Argv<'a>,
    next: usize,
}

impl<'a> Args<'a> {
    /// A cursor behind the first `skip` words: 1 for a command, 2 for a subcommand.
    pub fn new(argv: Argv<'a>, skip: usize) -> Self {
        Args { argv, next: skip }
    }

    /// The whole request, the command's name included.
    pub fn argv(&self) -> Argv<'a> {
        self.argv
    }

    /// How many arguments are left.
    pub fn remaining(&self) -> usize {
        self.argv.len().saturating_sub(self.next)
    }

    /// The next argument without taking it.
    pub fn peek(&self) -> Option<&'a [u8]> {
        self.argv.get(self.next)
    }

    /// The next argument, or a syntax error.
    #[allow(
        clippy::should_implement_trait,
        reason = "it answers a Result, as every method here"
    )]
    pub fn next(&mut self) -> Result<&'a [u8]> {
        let word = self.argv.get(self.next).ok_or(Error::SYNTAX)?;
        self.next += 1;
        Ok(word)
    }

    /// The next argument, if there is one.
    pub fn next_if_any(&mut self) -> Option<&'a [u8]> {
        self.next().ok()
    }

    /// The next argument as a 64-bit integer.
    pub fn int(&mut self) -> Result<i64> {
        number::parse_i64(self.next()?).ok_or(Error::NOT_AN_INTEGER)
    }

    /// The next argument as a 32-bit integer, which Redis tells from a word that
    /// is no number at all.
    pub fn int32(&mut self) -> Result<i32> {
        i32::try_from(self.int()?).map_err(|_| Error::NOT_A_32_BIT_INTEGER)
    }

    /// The next argument as an integer within `range`; `error` otherwise.
    pub fn int_in(&mut self, range: std::ops::RangeInclusive<i64>, error: Error) -> Result<i64> {
        let value = number::parse_i64(self.next()?).ok_or_else(|| error.clone())?;
        if range.contains(&value) {
            Ok(value)
        } else {
            Err(error)
        }
    }

    /// The next argument as a timeout in seconds, answered in milliseconds and
    /// rounded up; 0 is for ever. Its end must be a time that there is: `now` is
    /// in milliseconds.
    pub fn timeout_ms(&mut self, now: i64) -> Result<u64> {
        let text = self.next()?;
        let millis = match number::parse_i64(text) {
            // Mostly it is a whole number, and no floating point is needed.
            Some(seconds) => seconds.saturating_mul(1000),
            None => LongDouble::parse(text)
                .ok_or(Error::TIMEOUT_NOT_A_FLOAT)?
                .to_millis_rounded_up(),
        };
        match millis {
            ..0 => Err(Error::TIMEOUT_NEGATIVE),
            millis if millis <= i64::MAX - now => Ok(millis as u64),
            _ => Err(Error::TIMEOUT_OUT_OF_RANGE),
        }
    }

    /// The next `count` arguments, or a syntax error if there are not so many.
    pub fn take(&mut self, count: usize) -> Result<Argv<'a>> {
        let end = self.next.checked_add(count).ok_or(Error::SYNTAX)?;
        let words = self.argv.words.get(self.next..end).ok_or(Error::SYNTAX)?;
        self.next = end;
        Ok(Argv {
            buffer: self.argv.buffer,
            words,
        })
    }

    /// Takes the next argument if it is `word` in any case.
    pub fn keyword(&mut self, word: &str) -> bool {
        let found = self
            .peek()
            .is_some_and(|next| next.eq_ignore_ascii_case(word.as_bytes()));
        self.next += usize::from(found);
        found
    }

    /// A syntax error if an argument is left.
    pub fn end(&self) -> Result<()> {
        if self.remaining() == 0 {
            Ok(())
        } else {
            Err(Error::SYNTAX)
        }
    }

    /// What is left, in order.
    pub fn rest(self) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone {
        self.argv.iter().skip(self.next)
    }
}
