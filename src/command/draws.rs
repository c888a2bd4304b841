//! What the commands that answer random elements of a collection share: how
//! many are asked for, and how much that may be.

use crate::error::{Error, Result};
use crate::table::Args;

/// How many elements are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Count {
    /// So many different ones, or all there are: the count is positive.
    Different(usize),
    /// So many, of which some may be the same: it is negative.
    Any(usize),
}

impl Count {
    /// The next argument.
    pub fn parse(args: &mut Args<'_>) -> Result<Count> {
        match args.int()? {
            i64::MIN => Err(Error::MIN_OUT_OF_RANGE),
            count @ 0.. => Ok(Count::Different(count as usize)),
            count => Ok(Count::Any(count.unsigned_abs() as usize)),
        }
    }
}

/// How much a reply may have that repeats elements as often as it is asked to.
/// Redis goes on until the memory is used up.
pub struct Budget(usize);

/// What an element counts for besides its bytes, if it has any: most of that is
/// the time that it takes.
const EACH: usize = 32;

impl Budget {
    /// As many bytes as a string may have, `string_max`, for `count` elements.
    ///
    /// # Errors
    ///
    /// So many are too much, however short they are.
    pub fn new(count: usize, string_max: usize) -> Result<Budget> {
        match count.saturating_mul(EACH) <= string_max {
            true => Ok(Budget(string_max)),
            false => Err(Error::OUT_OF_RANGE),
        }
    }

    /// An element of `len` bytes is going to be written.
    ///
    /// # Errors
    ///
    /// That is too much.
    pub fn spend(&mut self, len: usize) -> Result<()> {
        let left = self.0.checked_sub(len.saturating_add(EACH));
        self.0 = left.ok_or(Error::OUT_OF_RANGE)?;
        Ok(())
    }
}
