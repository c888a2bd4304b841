//! Reads a serialized value, part by part.

use std::borrow::Cow;

use super::element::{parse_double, signed, take, take_array};
use super::lzf;
use super::{Corrupt, Result, Type};

/// What the first byte of a length says, if its value is not in the byte.
pub(super) const LEN_32: u8 = 0x80;
pub(super) const LEN_64: u8 = 0x81;
/// What stands in the place of a string's length if it is encoded.
pub(super) const INT_8: u8 = 0xc0;
pub(super) const INT_16: u8 = 0xc1;
pub(super) const INT_32: u8 = 0xc2;
pub(super) const LZF: u8 = 0xc3;

/// A cursor over a serialized value.
#[derive(Debug)]
pub struct Reader<'a> {
    pub(super) rest: &'a [u8],
    /// The longest string that may come of a compressed one.
    longest: usize,
}

impl<'a> Reader<'a> {
    /// Reads what is in these bytes. Strings are no longer than `longest`.
    pub fn new(bytes: &'a [u8], longest: usize) -> Reader<'a> {
        let rest = bytes;
        Reader { rest, longest }
    }

    /// How the value that follows is written.
    pub fn written_as(&mut self) -> Result<Type> {
        let [number] = take_array(&mut self.rest)?;
        Type::from_number(number).ok_or(Corrupt)
    }

    /// A length or a count. Nothing says that there is as much.
    pub fn len(&mut self) -> Result<u64> {
        let [first] = take_array(&mut self.rest)?;
        self.len_after(first)
    }

    fn len_after(&mut self, first: u8) -> Result<u64> {
        match first {
            0..0x40 => Ok(first.into()),
            0x40..0x80 => {
                let [low] = take_array(&mut self.rest)?;
                Ok(u16::from_be_bytes([first & 0x3f, low]).into())
            }
            LEN_32 => Ok(u32::from_be_bytes(take_array(&mut self.rest)?).into()),
            LEN_64 => Ok(u64::from_be_bytes(take_array(&mut self.rest)?)),
            _ => Err(Corrupt),
        }
    }

    /// A string.
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>> {
        let [first] = take_array(&mut self.rest)?;
        let width = match first {
            INT_8 => 1,
            INT_16 => 2,
            INT_32 => 4,
            LZF => return self.compressed().map(Cow::Owned),
            _ => {
                let len = self.len_after(first)?;
                return self.take(len).map(Cow::Borrowed);
            }
        };
        let number = signed(take(&mut self.rest, width)?);
        Ok(Cow::Owned(number.to_string().into_bytes()))
    }

    fn compressed(&mut self) -> Result<Vec<u8>> {
        let (compressed_len, len) = (self.len()?, self.len()?);
        let compressed = self.take(compressed_len)?;
        let len = usize::try_from(len).map_err(|_| Corrupt)?;
        if len > self.longest {
            return Err(Corrupt);
        }
        lzf::decompress(compressed, len)
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8]> {
        let len = usize::try_from(len).map_err(|_| Corrupt)?;
        take(&mut self.rest, len)
    }

    /// A floating point number in eight bytes.
    pub fn double(&mut self) -> Result<f64> {
        take_array(&mut self.rest).map(f64::from_le_bytes)
    }

    /// A floating point number in decimal, behind its length.
    pub fn decimal(&mut self) -> Result<f64> {
        match take_array(&mut self.rest)? {
            [255] => Ok(f64::NEG_INFINITY),
            [254] => Ok(f64::INFINITY),
            [253] => Ok(f64::NAN),
            [len] => parse_double(take(&mut self.rest, len.into())?),
        }
    }

    /// A number in eight bytes, the highest first.
    pub(super) fn big_endian(&mut self) -> Result<u64> {
        take_array(&mut self.rest).map(u64::from_be_bytes)
    }

    /// Milliseconds since 1970.
    pub fn time(&mut self) -> Result<i64> {
        take_array(&mut self.rest).map(i64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_what_old_servers_wrote() {
        let decimal = |bytes: &[u8]| Reader::new(bytes, 0).decimal();
        assert_eq!(decimal(b"\x0a1.50000005"), Ok(1.500_000_05));
        assert_eq!(decimal(b"\x01-"), Err(Corrupt));
        assert_eq!(decimal(b"\x00"), Err(Corrupt));
        assert_eq!(decimal(b"\x02-7"), Ok(-7.0));
        assert_eq!(decimal(b"\x03-7"), Err(Corrupt));
        assert_eq!(decimal(b"\xfe"), Ok(f64::INFINITY));
        assert_eq!(decimal(b"\xff"), Ok(f64::NEG_INFINITY));
        assert!(decimal(b"\xfd").unwrap().is_nan());
    }

    #[test]
    fn a_length_asks_for_nothing_that_is_not_there() {
        let string =
            |bytes: &[u8], longest| Reader::new(bytes, longest).string().map(Cow::into_owned);
        assert_eq!(
            string(b"\x81\xff\xff\xff\xff\xff\xff\xff\xff", 9),
            Err(Corrupt)
        );
        assert_eq!(string(b"\x80\xff\xff\xff\xffx", 9), Err(Corrupt));
        assert_eq!(string(b"\x02x", 9), Err(Corrupt));
        // Two bytes that are to become two gigabytes, and the same, to become
        // more than may be.
        let two = b"\xc3\x02\x80\x80\x00\x00\x00\x00x";
        assert_eq!(string(two, usize::MAX), Err(Corrupt));
        assert_eq!(string(b"\xc3\x02\x01\x00x", 1), Ok(b"x".to_vec()));
        assert_eq!(string(b"\xc3\x02\x01\x00x", 0), Err(Corrupt));
        for unknown in [b"\x82x", b"\xbfx", b"\xc4x", b"\xffx"] {
            assert_eq!(string(unknown, 9), Err(Corrupt));
        }
    }
}
