//! What a function of Rust's does is counted, so that the server looks around
//! while it takes long, and can end the script.

use crate::script::native::{Raise, Result};
use crate::script::running;

/// How much has been done. A byte that is copied counts 1.
#[derive(Default)]
pub struct Work {
    done: usize,
}

/// What one step counts that is short, a nanosecond or some.
pub const STEP: usize = 4;
/// What it counts to read or to write a value.
pub const VALUE: usize = 16;
/// What it counts to begin a table: it may have a million places and nothing
/// in them, which takes two milliseconds.
pub const TABLE: usize = BETWEEN_LOOKS / 16;

/// The server looks around when so much has been done, a tenth of a
/// millisecond's mostly.
const BETWEEN_LOOKS: usize = 64 * 1024;

impl Work {
    /// So much more is done. Raises why the script is to end, if it is.
    pub fn add(&mut self, amount: usize) -> Result<()> {
        self.done += amount;
        if self.done < BETWEEN_LOOKS {
            return Ok(());
        }
        self.done = 0;
        running::asked_to_end().map_or(Ok(()), |why| Err(Raise::Error(why)))
    }
}
