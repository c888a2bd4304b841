//! Ziplists: the elements of a small collection in one string, up to Redis
//! 6.2. They are only read.
//!
//! Ten bytes of header (the length of all, where the last element begins, how
//! many there are), the elements, and an end byte. An element is the length of
//! the one before it, a byte or five that tell what it is, and its bytes.

use super::element::{Element, signed, take, take_array};
use super::{Corrupt, Result};

/// Stands where the number of elements does not fit.
const MANY: u16 = u16::MAX;
const END: u8 = 0xff;
/// From this on, the length of the element before stands in the next four
/// bytes.
const LONG_BEFORE: u8 = 0xfe;

/// The elements of a ziplist, in order. At the first answer that it is
/// corrupt, those before are worth nothing, and nobody asks on.
#[derive(Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
    /// How long the element before was.
    before: usize,
    /// How long all elements from the last one on are to be.
    tail: usize,
    /// How many there are to be, if it is told, and how many there have been.
    told: Option<usize>,
    count: usize,
}

/// Reads a ziplist.
pub fn elements(ziplist: &[u8]) -> Result<Elements<'_>> {
    let mut rest = ziplist;
    let len = u32::from_le_bytes(take_array(&mut rest)?);
    let last = u32::from_le_bytes(take_array(&mut rest)?);
    let told = u16::from_le_bytes(take_array(&mut rest)?);
    let end = ziplist.len().checked_sub(1).ok_or(Corrupt)?;
    let tail = end.checked_sub(last as usize).ok_or(Corrupt)?;
    match rest {
        [elements @ .., END] if len as usize == ziplist.len() => Ok(Elements {
            rest: elements,
            before: 0,
            tail,
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
        let before = match take_array(rest)? {
            [LONG_BEFORE] => u32::from_le_bytes(take_array(rest)?) as usize,
            [len @ ..LONG_BEFORE] => len.into(),
            [END] => return Err(Corrupt),
        };
        let [kind] = take_array(rest)?;
        let element = match kind {
            0..0x40 => Element::String(take(rest, kind.into())?),
            0x40..0x80 => {
                let [low] = take_array(rest)?;
                let len = u16::from_be_bytes([kind & 0x3f, low]);
                Element::String(take(rest, len.into())?)
            }
            // Redis looks at the two highest bits alone.
            0x80..0xc0 => {
                let len = u32::from_be_bytes(take_array(rest)?);
                Element::String(take(rest, len as usize)?)
            }
            0xc0 => Element::Integer(signed(take(rest, 2)?)),
            0xd0 => Element::Integer(signed(take(rest, 4)?)),
            0xe0 => Element::Integer(signed(take(rest, 8)?)),
            0xf0 => Element::Integer(signed(take(rest, 3)?)),
            0xfe => Element::Integer(signed(take(rest, 1)?)),
            0xf1..=0xfd => Element::Integer(i64::from(kind & 0x0f) - 1),
            _ => return Err(Corrupt),
        };
        let is_right = before == self.before && (!rest.is_empty() || all.len() == self.tail);
        self.before = all.len() - rest.len();
        is_right.then_some(element).ok_or(Corrupt)
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
pub(super) mod tests {
    use super::*;

    /// A ziplist as Redis up to 6.2 wrote it, which we have no reason to.
    pub fn ziplist(strings: &[&[u8]]) -> Vec<u8> {
        let (mut bytes, mut before, mut last) = (vec![0; 10], 0, 10);
        for string in strings {
            last = bytes.len();
            match u8::try_from(before) {
                Ok(before @ ..LONG_BEFORE) => bytes.push(before),
                _ => {
                    bytes.push(LONG_BEFORE);
                    bytes.extend((before as u32).to_le_bytes());
                }
            }
            let integer = crate::text::number::parse_i64(string);
            match (integer, string.len()) {
                (Some(n @ 0..=12), _) => bytes.push(0xf1 + n as u8),
                (Some(n @ -0x80..0x80), _) => bytes.extend([0xfe, n as u8]),
                (Some(n @ -0x8000..0x8000), _) => {
                    bytes.push(0xc0);
                    bytes.extend((n as i16).to_le_bytes());
                }
                (Some(n @ -0x80_0000..0x80_0000), _) => {
                    bytes.push(0xf0);
                    bytes.extend_from_slice(&n.to_le_bytes()[..3]);
                }
                (Some(n @ -0x8000_0000..0x8000_0000), _) => {
                    bytes.push(0xd0);
                    bytes.extend((n as i32).to_le_bytes());
                }
                (Some(n), _) => {
                    bytes.push(0xe0);
                    bytes.extend(n.to_le_bytes());
                }
                (None, len @ 0..0x40) => bytes.push(len as u8),
                (None, len @ 0x40..0x4000) => bytes.extend((len as u16 | 0x4000).to_be_bytes()),
                (None, len) => {
                    bytes.push(0x80);
                    bytes.extend((len as u32).to_be_bytes());
                }
            }
            if integer.is_none() {
                bytes.extend_from_slice(string);
            }
            before = bytes.len() - last;
        }
        bytes.push(END);
        let len = bytes.len() as u32;
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        bytes[4..8].copy_from_slice(&(last as u32).to_le_bytes());
        bytes[8..10].copy_from_slice(&(strings.len() as u16).to_le_bytes());
        bytes
    }

    fn read(ziplist: &[u8]) -> Result<Vec<Vec<u8>>> {
        let own = |element: Element<'_>| element.bytes(&mut itoa::Buffer::new()).to_vec();
        elements(ziplist)?.map(|element| element.map(own)).collect()
    }

    #[test]
    fn strings_and_integers_of_every_size_are_read() {
        let long = [b'x'; 20_000];
        let strings = [
            b"".as_slice(),
            b"0",
            b"12",
            b"13",
            b"-1",
            b"-128",
            b"128",
            b"-32769",
            b"8388607",
            b"-8388608",
            b"8388608",
            b"-2147483648",
            b"2147483648",
            b"-9223372036854775808",
            b"00",
            &long[..63],
            &long[..64],
            &long[..252],
            &long[..253],
            b"after a long one",
            &long,
            b"end",
        ];
        let written = ziplist(&strings);
        assert_eq!(
            read(&written),
            Ok(strings.iter().map(|s| s.to_vec()).collect())
        );
        assert_eq!(read(&ziplist(&[])), Ok(Vec::new()));
        for end in 0..written.len() {
            assert_eq!(read(&written[..end]), Err(Corrupt), "{end}");
        }
    }

    #[test]
    fn what_redis_6_wrote_is_read() {
        // Of the test of ziplists in the sources of Redis: two integers.
        let written = b"\x0f\0\0\0\x0c\0\0\0\x02\0\0\xf3\x02\xf6\xff";
        assert_eq!(read(written), Ok(vec![b"2".to_vec(), b"5".to_vec()]));
    }

    #[test]
    fn what_does_not_agree_with_itself_is_corrupt() {
        let written = ziplist(&[b"a", b"bc", b"def"]);
        // The length of all, where the last begins, how many there are, and
        // the lengths of those before.
        for at in [0, 4, 8, 10, 13, 17] {
            let mut changed = written.clone();
            changed[at] += 1;
            assert_eq!(read(&changed), Err(Corrupt), "{at}");
        }
    }
}
