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
        let mut sha = [0; 20];
        for (byte, digits) in sha.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            *byte = (digit(digits[0])? << 4 | digit(digits[1])?) as u8;
        }
        Some(Sha(sha))
    }
}

/// Forty hexadecimal digits.
impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
