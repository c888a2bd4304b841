//! LZF, the compression of long strings.
//!
//! A byte below 32 says that so many bytes and one more follow as they are.
//! Any other is a copy of what came before: its three highest bits, with the
//! next byte added if they are all set, are the length less two; its five
//! lowest and the last byte are how far back it is, less one.

use super::element::{take, take_array};
use super::{Corrupt, Result};

const LITERALS_MAX: usize = 32;
/// A copy of less is not shorter than what it stands for.
const COPY_MIN: usize = 3;
const COPY_MAX: usize = 264;
const DISTANCE_MAX: usize = 8192;
/// The length of a copy from which on the next byte tells the rest.
const LONG_COPY: usize = 7;

/// Three bytes are the least that a copy takes: nothing becomes longer than
/// this many times what it was compressed to.
const GROWTH_MAX: usize = COPY_MAX / 3;

/// The bits of the places in a [`Compressor`]: as many as a copy can reach
/// back, and so few for short strings.
const PLACE_BITS: std::ops::RangeInclusive<u32> = 6..=13;

/// Decompresses what is to become `len` bytes.
pub fn decompress(compressed: &[u8], len: usize) -> Result<Vec<u8>> {
    // Before anything is allocated: a few bytes cannot ask for gigabytes.
    if len > compressed.len().saturating_mul(GROWTH_MAX) {
        return Err(Corrupt);
    }
    let mut bytes = Vec::with_capacity(len);
    let mut rest = compressed;
    while !rest.is_empty() {
        let [control] = take_array(&mut rest)?;
        let count = usize::from(control);
        if count < LITERALS_MAX {
            let literals = take(&mut rest, count + 1)?;
            if literals.len() > len - bytes.len() {
                return Err(Corrupt);
            }
            bytes.extend_from_slice(literals);
            continue;
        }
        let mut count = usize::from(control >> 5);
        if count == LONG_COPY {
            let [more] = take_array(&mut rest)?;
            count += usize::from(more);
        }
        let [low] = take_array(&mut rest)?;
        let distance = usize::from(u16::from_be_bytes([control & 0x1f, low])) + 1;
        copy(&mut bytes, distance, count + 2, len)?;
    }
    if bytes.len() == len {
        Ok(bytes)
    } else {
        Err(Corrupt)
    }
}

/// Repeats `count` bytes from `distance` before the end on. They may reach
/// into themselves: then they repeat.
fn copy(bytes: &mut Vec<u8>, distance: usize, count: usize, max: usize) -> Result<()> {
    let from = bytes.len().checked_sub(distance).ok_or(Corrupt)?;
    if count > max - bytes.len() {
        return Err(Corrupt);
    }
    let mut left = count;
    while left > 0 {
        let ready = (bytes.len() - from).min(left);
        bytes.extend_from_within(from..from + ready);
        left -= ready;
    }
    Ok(())
}

/// Compresses strings.
#[derive(Debug, Default)]
pub struct Compressor {
    /// Where three bytes were seen last, counted over all strings: what is
    /// before `start` is of another one, and need not be cleared.
    places: Vec<u32>,
    start: u32,
}

impl Compressor {
    /// Appends what `string` is compressed to, if that is at least four bytes
    /// shorter; answers whether it is.
    pub fn compress(&mut self, string: &[u8], out: &mut Vec<u8>) -> bool {
        let (Some(most), Some(bits)) = (string.len().checked_sub(4), self.begin(string.len()))
        else {
            return false;
        };
        let written = out.len();
        let is_shorter = self.write(string, bits, out, written + most);
        if !is_shorter {
            out.truncate(written);
        }
        self.start += string.len() as u32;
        is_shorter
    }

    /// Makes places for a string, and answers their bits; `None` if it is too
    /// long.
    fn begin(&mut self, len: usize) -> Option<u32> {
        let len = u32::try_from(len).ok()?;
        let bits = len.checked_ilog2()?;
        let bits = bits.clamp(*PLACE_BITS.start(), *PLACE_BITS.end());
        if self.places.len() < 1 << bits {
            self.places.resize(1 << bits, 0);
        }
        if self.start == 0 || self.start.checked_add(len).is_none() {
            self.places.fill(0);
            self.start = 1;
        }
        // One more than fits after that is too long.
        self.start.checked_add(len)?;
        Some(bits)
    }

    /// Compresses a string to no more than makes `out` as long as `max`;
    /// answers false where that is not enough.
    fn write(&mut self, string: &[u8], bits: u32, out: &mut Vec<u8>, max: usize) -> bool {
        let (mut at, mut literals) = (0, 0);
        while at + COPY_MIN <= string.len() {
            let Some(from) = self.exchange(string, at, bits) else {
                at += 1;
                continue;
            };
            let count = equal(&string[from..], &string[at..]);
            if !write_literals(&string[literals..at], out, max) {
                return false;
            }
            write_copy(at - from, count, out);
            let end = at + count;
            // What comes next may begin like the end of this copy. To note all
            // that is inside would take most of the time for little.
            const NOTED: usize = 2;
            let inside = (at + 1).max(end - NOTED);
            for inside in inside..end.min(string.len() - (COPY_MIN - 1)) {
                self.exchange(string, inside, bits);
            }
            (at, literals) = (end, end);
        }
        write_literals(&string[literals..], out, max) && out.len() <= max
    }

    /// Notes that the next three bytes are at `at`; answers where they have
    /// been before, if a copy reaches that.
    fn exchange(&mut self, string: &[u8], at: usize, bits: u32) -> Option<usize> {
        let next = &string[at..at + COPY_MIN];
        let number = u32::from_le_bytes([next[0], next[1], next[2], 0]);
        // Multiplied by a fraction of 2^32 with no pattern, the high bits differ.
        let place = (number.wrapping_mul(0x9e37_79b1) >> (32 - bits)) as usize;
        let here = self.start + at as u32;
        let before = std::mem::replace(&mut self.places[place], here);
        let from = before.checked_sub(self.start)? as usize;
        let is_reached = at - from <= DISTANCE_MAX && string[from..from + COPY_MIN] == *next;
        is_reached.then_some(from)
    }
}

/// How many bytes two strings begin with that are equal, as far as one copy
/// goes.
fn equal(a: &[u8], b: &[u8]) -> usize {
    let pairs = a.iter().zip(b).take(COPY_MAX);
    pairs.take_while(|(a, b)| a == b).count()
}

/// Writes bytes as they are; answers false where they make `out` longer than
/// `max`.
fn write_literals(literals: &[u8], out: &mut Vec<u8>, max: usize) -> bool {
    if out.len() + literals.len() > max {
        return false;
    }
    for literals in literals.chunks(LITERALS_MAX) {
        out.push(literals.len() as u8 - 1);
        out.extend_from_slice(literals);
    }
    true
}

fn write_copy(distance: usize, count: usize, out: &mut Vec<u8>) {
    let [high, low] = (distance as u16 - 1).to_be_bytes();
    let count = count - 2;
    if count < LONG_COPY {
        out.extend([(count as u8) << 5 | high, low]);
    } else {
        let more = count - LONG_COPY;
        out.extend([(LONG_COPY as u8) << 5 | high, more as u8, low]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Compresses strings one after the other, and decompresses them.
    fn round_trip(strings: &[Vec<u8>]) {
        let mut compressor = Compressor::default();
        for string in strings {
            let mut out = b"before".to_vec();
            if !compressor.compress(string, &mut out) {
                assert_eq!(out, b"before");
                continue;
            }
            let compressed = out.strip_prefix(b"before").unwrap();
            assert!(compressed.len() + 4 <= string.len());
            assert!(decompress(compressed, string.len()).as_ref() == Ok(string));
            assert_eq!(decompress(compressed, string.len() - 1), Err(Corrupt));
            assert_eq!(decompress(compressed, string.len() + 1), Err(Corrupt));
            for end in 0..compressed.len().min(100) {
                assert_eq!(decompress(&compressed[..end], string.len()), Err(Corrupt));
            }
        }
    }

    /// Bytes of few kinds repeat themselves, those of many do not.
    fn any_string() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(2u8), Just(16), Just(255)];
        byte.prop_flat_map(|most| proptest::collection::vec(0..=most, 0..2000))
    }

    proptest! {
        #[test]
        fn strings_come_back_as_they_went_in(
            strings in proptest::collection::vec(any_string(), 1..5),
        ) {
            round_trip(&strings);
        }

        #[test]
        fn anything_decompresses_to_what_was_asked_for_or_to_nothing(
            compressed in proptest::collection::vec(any::<u8>(), 0..200),
            len in 0usize..20_000,
        ) {
            if let Ok(bytes) = decompress(&compressed, len) {
                prop_assert_eq!(bytes.len(), len);
            }
        }
    }

    #[test]
    fn what_repeats_itself_becomes_short() {
        let text: Vec<u8> = (0..20_000)
            .flat_map(|n| format!("key:{n:06} ").into_bytes())
            .collect();
        let far = [&[b'x'; 40], &text[..9000], &[b'x'; 40]].concat();
        round_trip(&[
            vec![0; 100_000],
            text.clone(),
            far,
            Vec::new(),
            b"abcd".to_vec(),
        ]);
        let mut out = Vec::new();
        assert!(Compressor::default().compress(&text, &mut out));
        assert!(out.len() < text.len() / 2, "{}", out.len());
    }

    #[test]
    fn places_of_other_strings_are_forgotten_when_their_count_ends() {
        let mut compressor = Compressor::default();
        let string = b"0123456789012345678901234567890123456789".to_vec();
        compressor.compress(&string, &mut Vec::new());
        compressor.start = u32::MAX - 50;
        for _ in 0..4 {
            let mut out = Vec::new();
            assert!(compressor.compress(&string, &mut out));
            assert_eq!(decompress(&out, string.len()), Ok(string.clone()));
        }
    }

    #[test]
    fn few_bytes_ask_for_no_more_than_they_can_become() {
        assert_eq!(decompress(b"", usize::MAX), Err(Corrupt));
        assert_eq!(decompress(b"\0x", 1 << 40), Err(Corrupt));
        // A copy from before the beginning.
        assert_eq!(decompress(b"\0x\x20\x05", 4), Err(Corrupt));
        assert_eq!(decompress(b"\0x\x20\x00", 4), Ok(b"xxxx".to_vec()));
    }
}
