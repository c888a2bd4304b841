//! Writes a serialized value, part by part.

use super::lzf::Compressor;
use super::read::{INT_8, INT_16, INT_32, LEN_32, LEN_64, LZF};
use super::{Listpack, NODE_PACKED, NODE_PLAIN, Type, footer, intset};
use crate::text::number;

/// A string of up to so many bytes may be an integer of 32 bits.
const INTEGER_MAX: usize = 11;
/// Redis does not try to compress strings up to this length.
const INCOMPRESSIBLE_MAX: usize = 20;

/// Redis packs no element of a list that is as long as this.
const PLAIN_MIN: usize = 1 << 30;

/// A serialized value that is being written.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    /// What strings are compressed into, before it is known how long it is.
    compressed: Vec<u8>,
    compressor: Compressor,
    /// The version of the format that knows all types that were written.
    version: u16,
}

impl Writer {
    /// How many bytes have been written.
    pub fn written(&self) -> usize {
        self.bytes.len()
    }

    /// How the value that follows is written.
    pub fn write_as(&mut self, written: Type) {
        self.needs(written.version());
        self.bytes.push(written as u8);
    }

    /// Only who knows this version of the format can read it.
    pub fn needs(&mut self, version: u16) {
        self.version = self.version.max(version);
    }

    /// A length or a count.
    pub fn len(&mut self, len: usize) {
        self.number(len as u64);
    }

    /// A number that takes less room the smaller it is, as lengths do.
    pub fn number(&mut self, number: u64) {
        match number {
            0..0x40 => self.bytes.push(number as u8),
            0x40..0x4000 => self.bytes.extend((number as u16 | 0x4000).to_be_bytes()),
            _ => match u32::try_from(number) {
                Ok(number) => {
                    self.bytes.push(LEN_32);
                    self.bytes.extend(number.to_be_bytes());
                }
                Err(_) => {
                    self.bytes.push(LEN_64);
                    self.bytes.extend(number.to_be_bytes());
                }
            },
        }
    }

    /// Bytes as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// A string, as an integer or compressed if that is shorter.
    pub fn string(&mut self, string: &[u8]) {
        if string.len() <= INTEGER_MAX
            && let Some(number) = number::parse_i64(string)
            && let Ok(number) = i32::try_from(number)
        {
            return self.integer(number);
        }
        if string.len() > INCOMPRESSIBLE_MAX {
            self.compressed.clear();
            if self.compressor.compress(string, &mut self.compressed) {
                self.bytes.push(LZF);
                self.len(self.compressed.len());
                self.len(string.len());
                self.bytes.extend_from_slice(&self.compressed);
                return;
            }
        }
        self.len(string.len());
        self.bytes.extend_from_slice(string);
    }

    fn integer(&mut self, number: i32) {
        let (encoding, width) = match number {
            -0x80..0x80 => (INT_8, 1),
            -0x8000..0x8000 => (INT_16, 2),
            _ => (INT_32, 4),
        };
        self.bytes.push(encoding);
        self.bytes.extend_from_slice(&number.to_le_bytes()[..width]);
    }

    /// A node of a list. An element that is too large for a listpack stands
    /// alone in its own.
    pub fn node<'e>(&mut self, elements: impl Iterator<Item = &'e [u8]>) {
        let mut packed = Listpack::default();
        for element in elements {
            if element.len() >= PLAIN_MIN {
                self.len(NODE_PLAIN as usize);
                return self.string(element);
            }
            packed.push(element);
        }
        self.len(NODE_PACKED as usize);
        self.string(&packed.finish());
    }

    /// Integers in order, packed in one string.
    pub fn intset(&mut self, integers: impl ExactSizeIterator<Item = i64> + Clone) {
        self.string(&intset::write(integers));
    }

    /// A floating point number in eight bytes.
    pub fn double(&mut self, number: f64) {
        self.bytes.extend(number.to_le_bytes());
    }

    /// Milliseconds since 1970.
    pub fn time(&mut self, ms: i64) {
        self.bytes.extend(ms.to_le_bytes());
    }

    /// What DUMP answers: the value, the version of the format, and the
    /// checksum.
    pub fn seal(self) -> Vec<u8> {
        footer::seal(self.bytes, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reader;
    use super::*;

    /// What is written by a few calls.
    fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::default();
        write(&mut writer);
        writer.bytes
    }

    #[test]
    fn lengths_take_what_they_need_and_come_back() {
        let lens = [
            (0, 1),
            (63, 1),
            (64, 2),
            (16_383, 2),
            (16_384, 5),
            (u32::MAX as usize, 5),
            (u32::MAX as usize + 1, 9),
            (usize::MAX, 9),
        ];
        for (len, size) in lens {
            let bytes = written(|writer| writer.len(len));
            assert_eq!(bytes.len(), size, "{len}");
            assert_eq!(Reader::new(&bytes, 0).len(), Ok(len as u64));
        }
    }

    #[test]
    fn strings_come_back_whatever_they_are_written_as() {
        let strings = [
            (String::new(), 1),
            ("0".to_owned(), 2),
            ("-128".to_owned(), 2),
            ("128".to_owned(), 3),
            ("-32769".to_owned(), 5),
            ("2147483647".to_owned(), 5),
            ("2147483648".to_owned(), 11),
            ("007".to_owned(), 4),
            ("x".repeat(20), 21),
            // Compressed: a byte for what it is, two lengths, and five bytes.
            ("x".repeat(21), 8),
            ("x".repeat(100_000), 1 + 2 + 5 + 2 + 379 * 3),
        ];
        for (string, size) in strings {
            let bytes = written(|writer| writer.string(string.as_bytes()));
            let shown = &string[..string.len().min(30)];
            assert_eq!(bytes.len(), size, "{shown}");
            let read = Reader::new(&bytes, string.len()).string().unwrap();
            assert_eq!(*read, *string.as_bytes(), "{shown}");
        }
    }

    #[test]
    fn the_footer_names_the_version_that_knows_every_type() {
        let version = |types: &[Type]| {
            let mut writer = Writer::default();
            types.iter().for_each(|written| writer.write_as(*written));
            let payload = writer.seal();
            u16::from_le_bytes([payload[types.len()], payload[types.len() + 1]])
        };
        assert_eq!(version(&[Type::String]), 10);
        assert_eq!(version(&[Type::ListQuicklist2]), 10);
        assert_eq!(version(&[Type::HashTimes2]), 12);
    }
}
