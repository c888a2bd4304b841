//! The ids of a stream's entries: a time in milliseconds and a number among
//! those of that time.

use std::fmt;

use crate::text::{number, words};

/// The id of an entry: `ms-seq`. Ids are ordered, and each entry of a stream
/// has a higher one than those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct StreamId {
    /// Milliseconds since 1970, as a rule.
    pub ms: u64,
    /// Tells those of one millisecond apart.
    pub seq: u64,
}

/// An id as XADD is told it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NewId {
    /// `*`: the time, or what follows the last id.
    Auto,
    /// `ms-*`: that time, and the next number in it.
    Ms(u64),
    /// This one.
    Exact(StreamId),
}

/// Longer texts are no ids.
const TEXT_MAX: usize = 127;

impl StreamId {
    /// No entry has it: `0-0`.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// The last one there is.
    pub const MAX: StreamId = StreamId {
        ms: u64::MAX,
        seq: u64::MAX,
    };

    /// The id of these two parts.
    pub const fn new(ms: u64, seq: u64) -> StreamId {
        StreamId { ms, seq }
    }

    /// The next one, if there is one.
    pub fn next(self) -> Option<StreamId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => Some(StreamId::new(self.ms.checked_add(1)?, 0)),
        }
    }

    /// The one before, if there is one.
    pub fn previous(self) -> Option<StreamId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => Some(StreamId::new(self.ms.checked_sub(1)?, u64::MAX)),
        }
    }

    /// Reads `ms-seq`, or `ms` alone, to which `seq` is added.
    pub fn parse(text: &[u8], seq: u64) -> Option<StreamId> {
        if let Some(id) = plain(text) {
            return Some(id);
        }
        let (ms, given) = split(text)?;
        let seq = given.map_or(Some(seq), parse_part)?;
        Some(StreamId::new(parse_part(ms)?, seq))
    }

    /// Reads the end of a range: an id, or `-` and `+` for the lowest and the
    /// highest.
    pub fn parse_bound(text: &[u8], seq: u64) -> Option<StreamId> {
        match text {
            b"-" => Some(StreamId::MIN),
            b"+" => Some(StreamId::MAX),
            _ => StreamId::parse(text, seq),
        }
    }
}

/// The longest text of an id.
pub const ID_TEXT_MAX: usize = 41;

impl StreamId {
    /// `ms-seq`, written into `text`.
    pub fn text(self, text: &mut [u8; ID_TEXT_MAX]) -> &[u8] {
        let (mut ms, mut seq) = (itoa::Buffer::new(), itoa::Buffer::new());
        let (ms, seq) = (
            ms.format(self.ms).as_bytes(),
            seq.format(self.seq).as_bytes(),
        );
        let len = ms.len() + 1 + seq.len();
        text[..ms.len()].copy_from_slice(ms);
        text[ms.len()] = b'-';
        text[ms.len() + 1..len].copy_from_slice(seq);
        &text[..len]
    }
}

impl NewId {
    /// Reads what XADD is told.
    pub fn parse(text: &[u8]) -> Option<NewId> {
        if text == b"*" {
            return Some(NewId::Auto);
        }
        match split(text)? {
            (ms, Some(b"*")) => Some(NewId::Ms(parse_part(ms)?)),
            _ => StreamId::parse(text, 0).map(NewId::Exact),
        }
    }
}

/// Reads an id as it is written to clients, which is what they mostly send. It
/// takes 200 instructions where any text takes 460.
fn plain(text: &[u8]) -> Option<StreamId> {
    let (ms, rest) = digits(text)?;
    let (seq, rest) = digits(rest.strip_prefix(b"-")?)?;
    rest.is_empty().then_some(StreamId::new(ms, seq))
}

/// Cuts off digits, as many as any `u64` has room for and one at least.
fn digits(text: &[u8]) -> Option<(u64, &[u8])> {
    const SOME: usize = 19;
    let (mut number, mut len) = (0, 0);
    for byte in text.iter().take(SOME) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number * 10 + u64::from(digit);
        len += 1;
    }
    // More of them are looked at closely.
    (len > 0).then_some((number, &text[len..]))
}

/// What is before the `-`, and what is behind it if there is one. Redis reads
/// no further than to a zero byte.
fn split(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    if text.len() > TEXT_MAX {
        return None;
    }
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    match text.iter().position(|byte| *byte == b'-') {
        Some(at) => Some((&text[..at], Some(&text[at + 1..]))),
        None => Some((text, None)),
    }
}

/// Half of an id. Redis reads what is no plain number as `strtoull` of C does:
/// behind spaces and a sign, with zeros in front.
fn parse_part(text: &[u8]) -> Option<u64> {
    let trimmed = words::trim_start(text);
    let (negative, digits) = match trimmed {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
        number.checked_mul(10)?.checked_add(digit.into())
    })?;
    match negative {
        false => Some(number),
        true if number::parse_i64(text).is_some() => None,
        true => Some(number.wrapping_neg()),
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}
