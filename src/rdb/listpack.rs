//! Listpacks: the elements of a small collection in one string, from Redis 7.0
//! on.
//!
//! Six bytes of header (the length of all, and how many elements there are),
//! the elements, and an end byte. An element is a byte that tells what it is,
//! the rest of its length and its bytes, and behind those the length of all
//! that once more, to be read from the end: seven bits a byte, the highest
//! first, and the high bit on all bytes but the first.

use super::element::{Element, signed, take, take_array};
use super::{Corrupt, Result};
use crate::text::number;

/// The length of all in four bytes, the number of elements in two.
const HEADER: usize = 6;
/// Stands where the number of elements does not fit.
const MANY: u16 = u16::MAX;
const END: u8 = 0xff;

/// What the first byte of an element says, besides short numbers and lengths.
const LONG_STRING: u8 = 0xf0;
const INT_16: u8 = 0xf1;
const INT_24: u8 = 0xf2;
const INT_32: u8 = 0xf3;
const INT_64: u8 = 0xf4;

/// How many bytes an element takes.
pub fn encoded_len(element: &[u8]) -> usize {
    if let Some(number) = number::parse_i64(element) {
        return integer_len(number);
    }
    let head = match element.len() {
        0..64 => 1,
        64..4096 => 2,
        _ => 5,
    };
    with_back(head + element.len())
}

/// How many bytes an integer takes.
pub fn integer_len(number: i64) -> usize {
    with_back(1 + integer_kind(number).1)
}

/// So many bytes with their number behind them.
fn with_back(len: usize) -> usize {
    len + back_len(len)
}

/// The first byte of an integer, and how many bytes of the number follow it.
fn integer_kind(number: i64) -> (u8, usize) {
    match number {
        0..128 => (number as u8, 0),
        -4096..4096 => (0xc0 | (number >> 8) as u8 & 0x1f, 1),
        -0x8000..0x8000 => (INT_16, 2),
        -0x80_0000..0x80_0000 => (INT_24, 3),
        -0x8000_0000..0x8000_0000 => (INT_32, 4),
        _ => (INT_64, 8),
    }
}

/// A listpack that is being written.
#[derive(Debug)]
pub struct Listpack {
    bytes: Vec<u8>,
    count: usize,
}

impl Default for Listpack {
    fn default() -> Listpack {
        let bytes = vec![0; HEADER];
        Listpack { bytes, count: 0 }
    }
}

impl Listpack {
    /// Adds an element at the end; one that is an integer is kept as such.
    pub fn push(&mut self, element: &[u8]) {
        match number::parse_i64(element) {
            Some(number) => self.push_integer(number),
            None => self.push_string(element),
        }
    }

    fn push_string(&mut self, string: &[u8]) {
        let start = self.bytes.len();
        let len = string.len();
        match len {
            0..64 => self.bytes.push(0x80 | len as u8),
            64..4096 => self.bytes.extend([0xe0 | (len >> 8) as u8, len as u8]),
            _ => {
                self.bytes.push(LONG_STRING);
                self.bytes.extend((len as u32).to_le_bytes());
            }
        }
        self.bytes.extend_from_slice(string);
        self.end_element(start);
    }

    /// Adds an integer at the end.
    pub fn push_integer(&mut self, number: i64) {
        let start = self.bytes.len();
        let (kind, width) = integer_kind(number);
        self.bytes.push(kind);
        self.bytes.extend_from_slice(&number.to_le_bytes()[..width]);
        self.end_element(start);
    }

    /// Writes the length of the element that begins at `start` behind it.
    fn end_element(&mut self, start: usize) {
        let len = self.bytes.len() - start;
        self.bytes
            .extend_from_slice(back_digits(len, &mut [0; BACK_MAX]));
        self.count += 1;
    }

    /// The listpack, which is shorter than 4 GiB.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(END);
        let len = u32::try_from(self.bytes.len()).expect("who packs knows the limit");
        self.bytes[..4].copy_from_slice(&len.to_le_bytes());
        let count = u16::try_from(self.count).unwrap_or(MANY);
        self.bytes[4..HEADER].copy_from_slice(&count.to_le_bytes());
        self.bytes
    }
}

/// As many bytes as the length of an element may take behind it.
const BACK_MAX: usize = 5;

/// How many bytes the length of an element takes behind it.
fn back_len(len: usize) -> usize {
    // Redis takes another byte a step early, and expects it so.
    match len {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => BACK_MAX,
    }
}

/// The length of an element as it stands behind it.
fn back_digits(len: usize, digits: &mut [u8; BACK_MAX]) -> &[u8] {
    let count = back_len(len);
    let digits = &mut digits[..count];
    for (place, digit) in digits.iter_mut().rev().enumerate() {
        // Who reads from the end knows the last by its high bit.
        let more = if place + 1 == count { 0 } else { 0x80 };
        *digit = (len >> (7 * place)) as u8 & 0x7f | more;
    }
    digits
}

/// The elements of a listpack, in order. At the first answer that it is
/// corrupt, those before are worth nothing, and nobody asks on.
#[derive(Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
    /// How many there are to be, if it is told, and how many there have been.
    told: Option<usize>,
    count: usize,
}

/// Reads a listpack.
pub fn elements(listpack: &[u8]) -> Result<Elements<'_>> {
    let mut rest = listpack;
    let len = u32::from_le_bytes(take_array(&mut rest)?);
    let told = u16::from_le_bytes(take_array(&mut rest)?);
    match rest {
        [elements @ .., END] if len as usize == listpack.len() => Ok(Elements {
            rest: elements,
            told: (told != MANY).then_some(usize::from(told)),
            count: 0,
        }),
        _ => Err(Corrupt),
    }
}

impl<'a> Elements<'a> {
    fn read(&mut self) -> Result<Element<'a>> {
        let all = self.rest;
        let rest = &mut self.rest;
        let [first] = take_array(rest)?;
        let element = match first {
            0..0x80 => Element::Integer(first.into()),
            0x80..0xc0 => Element::String(take(rest, usize::from(first & 0x3f))?),
            0xc0..0xe0 => {
                let [low] = take_array(rest)?;
                let number = u16::from_be_bytes([first & 0x1f, low]);
                Element::Integer(i64::from((number << 3) as i16 >> 3))
            }
            0xe0..0xf0 => {
                let [low] = take_array(rest)?;
                let len = u16::from_be_bytes([first & 0x0f, low]);
                Element::String(take(rest, len.into())?)
            }
            LONG_STRING => {
                let len = u32::from_le_bytes(take_array(rest)?);
                Element::String(take(rest, len as usize)?)
            }
            INT_16 => Element::Integer(signed(take(rest, 2)?)),
            INT_24 => Element::Integer(signed(take(rest, 3)?)),
            INT_32 => Element::Integer(signed(take(rest, 4)?)),
            INT_64 => Element::Integer(signed(take(rest, 8)?)),
            _ => return Err(Corrupt),
        };
        let mut digits = [0; BACK_MAX];
        let digits = back_digits(all.len() - rest.len(), &mut digits);
        self.rest = rest.strip_prefix(digits).ok_or(Corrupt)?;
        Ok(element)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>>;

    fn next(&mut self) -> Option<Result<Element<'a>>> {
        if self.rest.is_empty() {
            let is_right = self.told.is_none_or(|told| told == self.count);
            return (!is_right).then_some(Err(Corrupt));
        }
        self.count += 1;
        Some(self.read())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pack(elements: &[Vec<u8>]) -> Vec<u8> {
        let mut packed = Listpack::default();
        elements.iter().for_each(|element| packed.push(element));
        packed.finish()
    }

    fn unpack(listpack: &[u8]) -> Result<Vec<Vec<u8>>> {
        let own = |element: Element<'_>| element.bytes(&mut itoa::Buffer::new()).to_vec();
        elements(listpack)?
            .map(|element| element.map(own))
            .collect()
    }

    /// Strings, and integers around every width.
    fn any_elements() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let integer = (0u32..64, -2i64..=2, any::<bool>()).prop_map(|(bits, more, negative)| {
            let number = (1i64 << bits).wrapping_add(more);
            let number = if negative {
                number.wrapping_neg()
            } else {
                number
            };
            number.to_string().into_bytes()
        });
        let string = proptest::collection::vec(any::<u8>(), 0..200);
        proptest::collection::vec(prop_oneof![integer, string], 0..40)
    }

    proptest! {
        #[test]
        fn elements_come_back_as_they_went_in(elements in any_elements()) {
            prop_assert_eq!(unpack(&pack(&elements)), Ok(elements));
        }

        #[test]
        fn one_byte_less_is_corrupt(elements in any_elements(), cut in any::<prop::sample::Index>()) {
            let packed = pack(&elements);
            prop_assert_eq!(unpack(&packed[..cut.index(packed.len())]), Err(Corrupt));
        }
    }

    #[test]
    fn lengths_around_every_step_come_back() {
        // What a length takes before an element, and behind it.
        for around in [64usize, 128, 4096, 16_383, 2_097_151] {
            let lens = around - 8..around + 4;
            let elements: Vec<_> = lens.map(|len| vec![b'x'; len]).collect();
            assert_eq!(unpack(&pack(&elements)), Ok(elements));
        }
    }

    #[test]
    fn more_elements_than_can_be_told_come_back() {
        for count in [65_534, 65_535, 65_536] {
            let packed = pack(&vec![b"7".to_vec(); count]);
            assert_eq!(unpack(&packed).unwrap().len(), count);
        }
    }
}
