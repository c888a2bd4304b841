//! A cursor over the arguments of one request that answers the right error by
//! itself.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::resp::Argv;
use crate::text::long_double::LongDouble;
use crate::text::number;

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

    /// The name of the command as errors tell it; of a subcommand that of its
    /// container.
    fn command(&self) -> String {
        let name = self.argv.get(0).unwrap_or_default();
        String::from_utf8_lossy(name).to_ascii_lowercase()
    }

    /// What a command answers that finds the arguments too many itself.
    pub fn wrong_arity(&self) -> Error {
        Error::wrong_arity(&self.command())
    }

    /// What a subcommand answers that finds the arguments too many itself.
    pub fn wrong_subcommand(&self) -> Error {
        let written = self.argv.get(1).unwrap_or_default();
        Error::subcommand_syntax(&self.command(), written)
    }

    /// What a command answers that is to combine no keys.
    pub fn no_input_key(&self) -> Error {
        Error::no_input_key(&self.command())
    }

    /// What a command answers to a time to live that does not exist.
    pub fn invalid_expire(&self) -> Error {
        Error::invalid_expire(&self.command())
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

    /// The next argument as a timeout in seconds, rounded up to milliseconds; 0
    /// is for ever, `None`. Its end must be a time that there is: `now` is in
    /// milliseconds.
    pub fn timeout(&mut self, now: i64) -> Result<Option<Duration>> {
        let text = self.next()?;
        let millis = match number::parse_i64(text) {
            // Mostly it is a whole number, and no floating point is needed.
            Some(seconds) => seconds.saturating_mul(1000),
            None => LongDouble::parse(text)
                .ok_or(Error::TIMEOUT_NOT_A_FLOAT)?
                .to_millis_rounded_up(),
        };
        timeout_of(millis, now)
    }

    /// The same in whole milliseconds.
    pub fn timeout_ms(&mut self, now: i64) -> Result<Option<Duration>> {
        let millis = self.int_in(i64::MIN..=i64::MAX, Error::TIMEOUT_NOT_AN_INTEGER)?;
        timeout_of(millis, now)
    }

    /// The next `count` arguments, or a syntax error if there are not so many.
    pub fn take(&mut self, count: usize) -> Result<Argv<'a>> {
        let end = self.next.checked_add(count).ok_or(Error::SYNTAX)?;
        let taken = self.argv.slice(self.next..end).ok_or(Error::SYNTAX)?;
        self.next = end;
        Ok(taken)
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
        let from = self.next.min(self.argv.len());
        let rest = self.argv.slice(from..self.argv.len());
        rest.expect("the range is within the words").iter()
    }
}

/// A time of so many milliseconds from `now` on.
fn timeout_of(millis: i64, now: i64) -> Result<Option<Duration>> {
    match millis {
        ..0 => Err(Error::TIMEOUT_NEGATIVE),
        0 => Ok(None),
        millis if millis <= i64::MAX - now => Ok(Some(Duration::from_millis(millis as u64))),
        _ => Err(Error::TIMEOUT_OUT_OF_RANGE),
    }
}
