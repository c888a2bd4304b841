//! The names of scripts: the SHA-1 of their text.

use std::fmt;

use sha1::{Digest as _, Sha1};

/// The SHA-1 of a script's text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Sha([u8; 20]);

impl Sha {
    /// A name has so many digits.
    pub const TEXT_LEN: usize = 40;

    /// That of this text.
    pub fn of(text: &[u8]) -> Sha {
        Sha(Sha1::digest(text).into())
    }

    /// The one that these 40 hexadecimal digits tell, in any case.
    pub fn parse(digits: &[u8]) -> Option<Sha> {
        let digits: &[u8; 40] = digits.try_into().ok()?;
        // Without branches and tables this is done for many digits at once: one by one took 290
        // instructions of the 9,600 of a script.
        let mut values = [0_u8; 40];
        let mut is_wrong = false;
        for (value, digit) in values.iter_mut().zip(digits) {
            let decimal = digit.wrapping_sub(b'0');
            let letter = (digit | 0x20).wrapping_sub(b'a');
            *value = if decimal < 10 {
                decimal
            } else {
                letter.wrapping_add(10)
            };
            is_wrong |= (decimal >= 10) & (letter >= 6);
        }
        let sha = std::array::from_fn(|i| values[2 * i] << 4 | values[2 * i + 1]);
        (!is_wrong).then_some(Sha(sha))
    }
}

/// Forty hexadecimal digits.
impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
