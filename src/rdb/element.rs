//! What a packed list holds: strings, of which those that are integers may be
//! kept as such.

use super::{Corrupt, Result};
use crate::text::double;

/// An element of a packed list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Element<'a> {
    /// A string.
    String(&'a [u8]),
    /// A string that is this number in decimal.
    Integer(i64),
}

impl<'a> Element<'a> {
    /// The string; a number is written into `digits`.
    pub fn bytes<'b>(self, digits: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Element::String(string) => string,
            Element::Integer(number) => digits.format(number).as_bytes(),
        }
    }

    /// The number that it is to be.
    pub fn double(self) -> Result<f64> {
        match self {
            Element::String(string) => parse_double(string),
            Element::Integer(number) => Ok(number as f64),
        }
    }
}

/// A floating point number in decimal, which is not NaN.
pub fn parse_double(text: &[u8]) -> Result<f64> {
    double::parse(text).ok_or(Corrupt)
}

/// Cuts `len` bytes off the front.
pub fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len).ok_or(Corrupt)?;
    *bytes = rest;
    Ok(taken)
}

/// Cuts `N` bytes off the front.
pub fn take_array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(Corrupt)?;
    *bytes = rest;
    Ok(*taken)
}

/// The signed number in one to eight bytes, the lowest first.
pub fn signed(bytes: &[u8]) -> i64 {
    let mut wide = [0; 8];
    wide[8 - bytes.len()..].copy_from_slice(bytes);
    i64::from_le_bytes(wide) >> (64 - 8 * bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_width_keep_their_sign() {
        assert_eq!(signed(&[0xff]), -1);
        assert_eq!(signed(&[0x7f]), 127);
        assert_eq!(signed(&[0, 0x80]), -32_768);
        assert_eq!(signed(&[0xff, 0xff, 0x7f]), (1 << 23) - 1);
        assert_eq!(signed(&[0, 0, 0x80]), -(1 << 23));
        assert_eq!(signed(&i64::MIN.to_le_bytes()), i64::MIN);
    }

    #[test]
    fn a_number_and_its_text_are_the_same_score() {
        for (text, number) in [("0", 0), ("-7", -7), ("9007199254740993", 1 << 53)] {
            assert_eq!(Element::String(text.as_bytes()).double(), Ok(number as f64));
            assert_eq!(Element::Integer(number).double(), Ok(number as f64));
        }
        assert_eq!(Element::String(b"-inf").double(), Ok(f64::NEG_INFINITY));
        for text in [&b""[..], b"x", b"1 ", b"\xff"] {
            assert_eq!(Element::String(text).double(), Err(Corrupt));
        }
    }
}
