//! Libraries of functions, as FUNCTION DUMP writes them: each is an operation
//! code and its text.

use std::borrow::Cow;

use super::element::take_array;
use super::{Reader, Result, Type, Writer};

/// What stands before a library.
const LIBRARY: u8 = 0xf5;
/// The same before Redis 7.0 was released.
const LIBRARY_BEFORE_7: u8 = 0xf6;

/// What follows in a payload of libraries.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// The text of a library.
    Library(Cow<'a, [u8]>),
    /// A library as it was written before Redis 7.0 was released.
    LibraryBefore7,
    /// Something else.
    Unknown,
}

/// What FUNCTION DUMP answers: libraries with these texts, and the footer.
pub fn dump<'t>(texts: impl Iterator<Item = &'t [u8]>) -> Vec<u8> {
    let mut writer = Writer::default();
    // The first version that has functions, and the oldest that is named here.
    writer.needs(Type::String.version());
    for text in texts {
        writer.raw(&[LIBRARY]);
        writer.string(text);
    }
    writer.seal()
}

impl<'a> Reader<'a> {
    /// What follows in a payload of libraries; `None` at its end.
    pub fn library(&mut self) -> Result<Option<Item<'a>>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let [code] = take_array(&mut self.rest)?;
        Ok(Some(match code {
            LIBRARY => Item::Library(self.string()?),
            LIBRARY_BEFORE_7 => Item::LibraryBefore7,
            _ => Item::Unknown,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Corrupt, open, seal};
    use super::*;

    /// What redis-server 7.0.15 answers to FUNCTION DUMP.
    const RECORDED: &[u8] =
        b"\xf5@D#!lua name=lib\nredis.register_function('f', function() return \
        1 end)\n\0\xaf\xecJ\xc1\x0d\xc9\x0c\xa3";
    const TEXT: &[u8] = b"#!lua name=lib\nredis.register_function('f', function() return 1 end)";

    #[test]
    fn what_redis_wrote_is_read_and_written_again() {
        let payload = open(RECORDED).unwrap();
        let mut reader = Reader::new(payload, 1000);
        assert_eq!(reader.library(), Ok(Some(Item::Library(TEXT.into()))));
        assert_eq!(reader.library(), Ok(None));
        assert_eq!(dump([TEXT].into_iter()), RECORDED);
    }

    #[test]
    fn what_is_no_library_is_told_from_one_that_is_cut() {
        let read = |payload: &'static [u8]| Reader::new(payload, 1000).library();
        assert_eq!(
            read(b"\xf5\x05#!lua"),
            Ok(Some(Item::Library(b"#!lua"[..].into())))
        );
        assert_eq!(read(b"\xf5\x06#!lua"), Err(Corrupt));
        assert_eq!(read(b"\xf5"), Err(Corrupt));
        assert_eq!(read(b"\xf6\x01a"), Ok(Some(Item::LibraryBefore7)));
        assert_eq!(read(b"\x00\x01v"), Ok(Some(Item::Unknown)));
        assert_eq!(read(b""), Ok(None));
    }

    #[test]
    fn no_libraries_have_a_footer_alone() {
        assert_eq!(dump([].into_iter()), seal(Vec::new(), 10));
    }
}
