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
        let mut all = 0;
        for (byte, digits) in sha.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = [digits[0], digits[1]].map(|digit| VALUES[usize::from(digit)]);
            all |= high | low;
            *byte = high << 4 | low & 15;
        }
        if all > 15 {
            return None;
        }
        Some(Sha(sha))
    }
}

/// What each hexadecimal digit stands for; what is none is more than 15.
const VALUES: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        let digit = b"0123456789abcdef"[value];
        values[digit as usize] = value as u8;
        values[digit.to_ascii_uppercase() as usize] = value as u8;
        value += 1;
    }
    values
};

/// Forty hexadecimal digits.
impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
