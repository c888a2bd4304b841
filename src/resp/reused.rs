//! An output that is used again, so that its buffer need not be allocated anew.

use std::ops::{Deref, DerefMut};

use super::Output;

/// An [`Output`] for what one client after the other is written. It is lent,
/// and lent empty: what was written in one loan cannot be seen in the next,
/// even if nobody took it, or the borrower panicked.
///
/// Between two loans it keeps a buffer of at most `KEEP` bytes.
#[derive(Default, Debug)]
pub struct Reused<const KEEP: usize>(Output);

/// A loan of a [`Reused`] output; its end forgets what is still in it.
#[derive(Debug)]
pub struct Lent<'a, const KEEP: usize>(&'a mut Output);

impl<const KEEP: usize> Reused<KEEP> {
    /// Lends it, empty.
    pub fn lend(&mut self) -> Lent<'_, KEEP> {
        Lent(&mut self.0)
    }
}

impl<const KEEP: usize> Deref for Lent<'_, KEEP> {
    type Target = Output;

    fn deref(&self) -> &Output {
        self.0
    }
}

impl<const KEEP: usize> DerefMut for Lent<'_, KEEP> {
    fn deref_mut(&mut self) -> &mut Output {
        self.0
    }
}

impl<const KEEP: usize> Drop for Lent<'_, KEEP> {
    fn drop(&mut self) {
        self.0.clear(KEEP);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn nothing_is_carried_over_from_one_loan_to_the_next() {
        let mut reused = Reused::<100>::default();
        reused.lend().extend(b"not taken");
        assert!(reused.lend().is_empty());
        let broken = catch_unwind(AssertUnwindSafe(|| {
            let mut output = reused.lend();
            output.extend(b"half of a reply");
            panic!("a defect that a test has put here");
        }));
        assert!(broken.is_err());
        assert!(reused.lend().is_empty());
    }

    #[test]
    fn a_small_buffer_is_kept_and_a_large_one_is_not() {
        let mut reused = Reused::<100>::default();
        reused.lend().extend(&[0; 70]);
        assert_eq!(reused.lend().memory(), 70);
        reused.lend().extend(&[0; 1000]);
        assert_eq!(reused.lend().memory(), 0);
    }
}
