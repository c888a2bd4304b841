//! Strings side by side, each behind its length: how small collections stand
//! in the slot of their key, or in an allocation of their own.
//!
//! A length is a variable-length number: seven bits a byte, the lowest first,
//! the high bit set on all but the last. Up to 127 bytes it takes one.

use crate::seed::Seed;

/// How large a collection may be that is packed: `*-max-listpack-*`.
#[derive(Clone, Copy, Debug)]
pub struct PackLimits {
    /// Fields or members.
    pub entries: usize,
    /// Bytes of the longest string in it.
    pub value: usize,
    /// What the order of a large one follows from.
    pub seed: Seed,
}

impl PackLimits {
    /// From the settings.
    pub fn new(entries: u64, value: u64, seed: Seed) -> PackLimits {
        let saturated = |limit| usize::try_from(limit).unwrap_or(usize::MAX);
        PackLimits {
            entries: saturated(entries),
            value: saturated(value),
            seed,
        }
    }

    /// The same for strings of any length.
    pub fn of_any_length(self) -> PackLimits {
        PackLimits {
            value: usize::MAX,
            ..self
        }
    }
}

/// How many bytes a string of `len` takes.
pub fn len_of(len: usize) -> usize {
    let digits = (len | 1).ilog2() as usize / 7 + 1;
    digits + len
}

/// Adds a string at the end.
pub fn push(bytes: &mut Vec<u8>, string: &[u8]) {
    bytes.reserve(len_of(string.len()));
    push_number(bytes, string.len() as u64);
    bytes.extend_from_slice(string);
}

/// Adds a variable-length number at the end.
pub fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Writes a variable-length number into `out`, which has room for it, and
/// answers what is left.
pub fn write_number(mut out: &mut [u8], mut number: u64) -> &mut [u8] {
    while number > 0x7f {
        out[0] = number as u8 | 0x80;
        out = &mut out[1..];
        number >>= 7;
    }
    out[0] = number as u8;
    &mut out[1..]
}

/// Cuts the first variable-length number off; `None` where there is none.
#[inline]
pub fn split_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    match bytes {
        // Most lengths are short.
        [byte @ 0..0x80, rest @ ..] => Some((u64::from(*byte), rest)),
        _ => split_long_number(bytes),
    }
}

fn split_long_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[at + 1..]));
        }
    }
    None
}

/// Cuts the first string off; `None` at the end.
#[inline]
pub fn split_first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = split_number(bytes)?;
    rest.split_at_checked(len as usize)
}

/// The strings, first to last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Strings<'a>(pub &'a [u8]);

impl<'a> Iterator for Strings<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let (string, rest) = split_first(self.0)?;
        self.0 = rest;
        Some(string)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_come_back_as_they_went_in() {
        let lens = [0, 1, 126, 127, 128, 300, 16_383, 16_384, 100_000];
        let mut bytes = Vec::new();
        for len in lens {
            let before = bytes.len();
            push(&mut bytes, &vec![len as u8; len]);
            assert_eq!(bytes.len() - before, len_of(len), "{len}");
        }
        let strings: Vec<&[u8]> = Strings(&bytes).collect();
        assert_eq!(strings.iter().map(|s| s.len()).collect::<Vec<_>>(), lens);
        for (string, len) in strings.iter().zip(lens) {
            assert!(string.iter().all(|&byte| byte == len as u8), "{len}");
        }
    }

    #[test]
    fn what_is_cut_short_ends() {
        let mut bytes = Vec::new();
        push(&mut bytes, &[b'x'; 200]);
        for end in 0..bytes.len() {
            assert_eq!(split_first(&bytes[..end]), None, "{end}");
        }
        assert_eq!(split_number(&[0xff; 20]), None);
    }

    #[test]
    fn numbers_of_any_size_come_back() {
        for number in [0, 1, 127, 128, 1 << 35, u64::MAX] {
            let mut bytes = Vec::new();
            push_number(&mut bytes, number);
            assert_eq!(split_number(&bytes), Some((number, &[][..])));
        }
    }
}
