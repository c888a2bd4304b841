//! Zipmaps: the fields of a small hash in one string, up to Redis 2.4. They
//! are only read.
//!
//! A byte with the number of pairs, the pairs, and an end byte. A field is its
//! length and its bytes, a value its length, a byte with the length of unused
//! room, its bytes, and the room.

use super::element::{take, take_array};
use super::{Corrupt, Result};

/// Stands where the number of pairs does not fit, and where a length takes the
/// next four bytes.
const LONG: u8 = 0xfe;
const END: u8 = 0xff;

/// The pairs of a zipmap, in order. At the first answer that it is corrupt,
/// those before are worth nothing, and nobody asks on.
#[derive(Debug)]
pub struct Pairs<'a> {
    rest: &'a [u8],
    /// How many there are to be, if it is told, and how many there have been.
    told: Option<usize>,
    count: usize,
}

/// Reads a zipmap.
pub fn pairs(zipmap: &[u8]) -> Result<Pairs<'_>> {
    match zipmap {
        [told @ ..=LONG, pairs @ .., END] => Ok(Pairs {
            rest: pairs,
            told: (*told < LONG).then_some(usize::from(*told)),
            count: 0,
        }),
        _ => Err(Corrupt),
    }
}

impl<'a> Pairs<'a> {
    fn read(&mut self) -> Result<(&'a [u8], &'a [u8])> {
        let rest = &mut self.rest;
        let field_len = len(rest)?;
        let field = take(rest, field_len)?;
        let value_len = len(rest)?;
        let [unused] = take_array(rest)?;
        let value = take(rest, value_len)?;
        take(rest, unused.into())?;
        Ok((field, value))
    }
}

fn len(bytes: &mut &[u8]) -> Result<usize> {
    match take_array(bytes)? {
        [LONG] => Ok(u32::from_le_bytes(take_array(bytes)?) as usize),
        [len @ ..LONG] => Ok(len.into()),
        [END] => Err(Corrupt),
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Result<(&'a [u8], &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
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
    use super::*;

    fn read(zipmap: &[u8]) -> Result<Vec<(&[u8], &[u8])>> {
        pairs(zipmap)?.collect()
    }

    #[test]
    fn what_redis_2_4_wrote_is_read() {
        // As the sources of Redis explain it, and with unused room.
        let written = b"\x02\x03foo\x03\x00bar\x05hello\x05\x02world--\xff";
        let expected = vec![(&b"foo"[..], &b"bar"[..]), (b"hello", b"world")];
        assert_eq!(read(written), Ok(expected));
        for end in 0..written.len() {
            assert_eq!(read(&written[..end]), Err(Corrupt), "{end}");
        }
        let mut counted = *written;
        counted[0] = 3;
        assert_eq!(read(&counted), Err(Corrupt));
        counted[0] = LONG;
        assert_eq!(read(&counted).map(|pairs| pairs.len()), Ok(2));
        counted[0] = END;
        assert_eq!(read(&counted), Err(Corrupt));
    }

    #[test]
    fn a_long_string_has_a_long_length() {
        let value = [b'x'; 300];
        let written = [b"\x01\x01f\xfe\x2c\x01\0\0\0".as_slice(), &value, b"\xff"].concat();
        assert_eq!(read(&written), Ok(vec![(&b"f"[..], &value[..])]));
        assert_eq!(read(b"\x01\x01f\xfe\xff\xff\xff\xff\0x\xff"), Err(Corrupt));
    }
}
