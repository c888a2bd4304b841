//! Intsets: a set of integers in one string, in order.
//!
//! Eight bytes of header (how many bytes an integer takes, and how many
//! integers there are), and the integers.

use super::element::{signed, take_array};
use super::{Corrupt, Result};

const HEADER: usize = 8;

/// A set of integers as Redis writes it.
pub fn write(integers: impl ExactSizeIterator<Item = i64> + Clone) -> Vec<u8> {
    let fit = |width: usize| {
        let unused = 64 - 8 * width;
        let mut integers = integers.clone();
        integers.all(|integer| integer << unused >> unused == integer)
    };
    let width = [2, 4].into_iter().find(|width| fit(*width)).unwrap_or(8);
    let count = u32::try_from(integers.len()).expect("who packs knows the limit");
    let mut bytes = Vec::with_capacity(HEADER + integers.len() * width);
    bytes.extend((width as u32).to_le_bytes());
    bytes.extend(count.to_le_bytes());
    for integer in integers {
        bytes.extend_from_slice(&integer.to_le_bytes()[..width]);
    }
    bytes
}

/// The integers of an intset, in order. At the first answer that it is
/// corrupt, those before are worth nothing, and nobody asks on.
pub fn integers(intset: &[u8]) -> Result<impl Iterator<Item = Result<i64>>> {
    let mut rest = intset;
    let width = u32::from_le_bytes(take_array(&mut rest)?);
    let count = u32::from_le_bytes(take_array(&mut rest)?);
    let is_right = matches!(width, 2 | 4 | 8) && count as usize * width as usize == rest.len();
    if !is_right {
        return Err(Corrupt);
    }
    let mut before = None;
    let integers = rest.chunks_exact(width as usize);
    Ok(integers.map(move |bytes| {
        let integer = signed(bytes);
        let is_greater = before
            .replace(integer)
            .is_none_or(|before| before < integer);
        is_greater.then_some(integer).ok_or(Corrupt)
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(intset: &[u8]) -> Result<Vec<i64>> {
        integers(intset)?.collect()
    }

    proptest! {
        #[test]
        fn integers_come_back_as_they_went_in(bits in 1u32..=64, seeds in any::<Vec<i64>>()) {
            let mut integers: Vec<_> = seeds.iter().map(|seed| seed >> (64 - bits)).collect();
            integers.sort_unstable();
            integers.dedup();
            let intset = write(integers.iter().copied());
            prop_assert_eq!(read(&intset), Ok(integers));
            for end in 0..intset.len().min(30) {
                prop_assert_eq!(read(&intset[..end]), Err(Corrupt));
            }
        }
    }

    #[test]
    fn an_integer_takes_as_much_as_the_largest_needs() {
        let width = |integer: i64| write([integer].into_iter()).len() - HEADER;
        assert_eq!((width(32_767), width(32_768)), (2, 4));
        assert_eq!((width(-32_768), width(-32_769)), (2, 4));
        assert_eq!((width(i32::MIN.into()), width(1 << 31)), (4, 8));
    }

    #[test]
    fn disorder_repetition_and_other_widths_are_corrupt() {
        assert_eq!(read(&write([2, 1].into_iter())), Err(Corrupt));
        assert_eq!(read(&write([1, 1].into_iter())), Err(Corrupt));
        let mut intset = write([1].into_iter());
        intset[0] = 1;
        assert_eq!(read(&intset), Err(Corrupt));
        // So many that their bytes wrap around to the ones that are there.
        let wrapped = b"\x08\0\0\0\0\0\0\x20";
        assert_eq!(read(wrapped), Err(Corrupt));
    }
}
