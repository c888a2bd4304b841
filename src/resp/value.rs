//! Replies as values: the decoder of RESP2 and RESP3 that a client needs.
//!
//! It does not read sockets and keeps no state between calls: give it what has arrived so far, and
//! it answers with a value and its length, with "not yet", or with why this can never become one.
//! Whatever the bytes are, it neither panics nor recurses deeper than [`MAX_DEPTH`], and what it
//! allocates is bounded by a multiple of what it was given, never by a length that a peer claims.

use std::fmt;

use bytes::Bytes;
use memchr::memchr;

/// How deep aggregates may nest. Redis's deepest own reply has some ten levels; scripts can build
/// deeper ones, and 128 is where JSON parsers commonly stop too.
pub const MAX_DEPTH: usize = 128;

/// The longest bulk string, Redis's `proto-max-bulk-len`.
pub const MAX_BULK: usize = 512 * 1024 * 1024;

/// The longest line: a simple string, an error, a number or the header of something longer. Redis
/// limits its inline requests alike.
pub const MAX_LINE: usize = 64 * 1024;

/// The most elements one aggregate may announce.
pub const MAX_ELEMENTS: usize = 1 << 30;

/// How many elements are reserved on the word of a header alone; more grow as they arrive. Nested
/// headers each reserve this much, so it is small.
const RESERVED: usize = 64;

/// One reply, or one pushed message.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `+`: a status such as `OK`.
    Simple(Bytes),
    /// `-` or `!`: code and text of an error, without the mark in front.
    Error(Bytes),
    /// `:`
    Integer(i64),
    /// `$`
    Bulk(Bytes),
    /// `_`, and RESP2's null bulk string and null array.
    Null,
    /// `*`
    Array(Vec<Value>),
    /// `#`
    Boolean(bool),
    /// `,`
    Double(f64),
    /// `(`: the digits, with their sign.
    BigNumber(Bytes),
    /// `=`: three letters for the format, `txt` or `mkd`, and the text.
    Verbatim {
        /// The three letters.
        format: [u8; 3],
        /// What follows the colon.
        text: Bytes,
    },
    /// `%`, in the order of the wire.
    Map(Vec<(Value, Value)>),
    /// `~`, in the order of the wire.
    Set(Vec<Value>),
    /// `>`: out-of-band data, such as a published message.
    Push(Vec<Value>),
    /// `|`: a value with attributes in front, which a reader is free to ignore.
    Attributed {
        /// The attributes, in the order of the wire.
        attributes: Vec<(Value, Value)>,
        /// The value that they describe.
        value: Box<Value>,
    },
}

impl Value {
    /// The bytes of anything that is text on the wire, errors excepted.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Simple(text)
            | Value::Bulk(text)
            | Value::BigNumber(text)
            | Value::Verbatim { text, .. } => Some(text),
            _ => None,
        }
    }
}

/// Why bytes are not RESP. The connection they came from cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// The first byte of a value names no type.
    UnknownType(u8),
    /// A line is longer than [`MAX_LINE`].
    LineTooLong,
    /// A carriage return or a line feed where none may be.
    BadLineEnd,
    /// The text of a number, a boolean or a format is none.
    BadScalar,
    /// A length is not a number, negative, or beyond its bound.
    BadLength,
    /// Aggregates nest deeper than [`MAX_DEPTH`].
    TooDeep,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProtocolError::UnknownType(byte) => {
                write!(f, "unknown type byte '{}'", byte.escape_ascii())
            }
            ProtocolError::LineTooLong => f.write_str("too long a line"),
            ProtocolError::BadLineEnd => f.write_str("a line that does not end in CR LF"),
            ProtocolError::BadScalar => f.write_str("a malformed number, boolean or format"),
            ProtocolError::BadLength => f.write_str("an invalid length"),
            ProtocolError::TooDeep => f.write_str("too deeply nested a value"),
        }
    }
}

impl std::error::Error for ProtocolError {}

/// Decodes the value at the front of `input`: the value and how many bytes it took, or `None` when
/// it is not complete yet.
///
/// An incomplete value is decoded from its beginning at the next call. A caller that reads at least
/// as much as it already holds before it asks again keeps the total linear.
pub fn decode(input: &[u8]) -> Result<Option<(Value, usize)>, ProtocolError> {
    let mut cursor = Cursor { input, position: 0 };
    let value = cursor.value(0)?;
    Ok(value.map(|value| (value, cursor.position)))
}

/// What is left to read. Every method answers `None` when the input ends too early, after which the
/// position means nothing.
struct Cursor<'a> {
    input: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    fn value(&mut self, depth: usize) -> Result<Option<Value>, ProtocolError> {
        let Some(&mark) = self.input.get(self.position) else {
            return Ok(None);
        };
        if !b"+-:$*_#,(!=%~>|".contains(&mark) {
            return Err(ProtocolError::UnknownType(mark));
        }
        self.position += 1;
        let Some(line) = self.line()? else {
            return Ok(None);
        };
        let value = match mark {
            b'+' => Value::Simple(Bytes::copy_from_slice(line)),
            b'-' => Value::Error(Bytes::copy_from_slice(line)),
            b':' => Value::Integer(parse_integer(line).ok_or(ProtocolError::BadScalar)?),
            b'(' => Value::BigNumber(parse_big_number(line)?),
            b',' => Value::Double(parse_double(line)?),
            b'#' => Value::Boolean(match line {
                b"t" => true,
                b"f" => false,
                _ => return Err(ProtocolError::BadScalar),
            }),
            b'_' if line.is_empty() => Value::Null,
            b'_' => return Err(ProtocolError::BadScalar),
            b'$' | b'*' if line == b"-1" => Value::Null,
            b'$' | b'!' | b'=' => {
                let Some(text) = self.text(parse_length(line, MAX_BULK)?)? else {
                    return Ok(None);
                };
                match mark {
                    b'$' => Value::Bulk(Bytes::copy_from_slice(text)),
                    b'!' => Value::Error(Bytes::copy_from_slice(text)),
                    _ => parse_verbatim(text)?,
                }
            }
            _ => return self.aggregate(mark, parse_length(line, MAX_ELEMENTS)?, depth),
        };
        Ok(Some(value))
    }

    fn aggregate(
        &mut self,
        mark: u8,
        length: usize,
        depth: usize,
    ) -> Result<Option<Value>, ProtocolError> {
        // The empty ones count too, so that the bound does not depend on what is inside.
        if depth == MAX_DEPTH {
            return Err(ProtocolError::TooDeep);
        }
        let value = match mark {
            b'*' => self.elements(length, depth)?.map(Value::Array),
            b'~' => self.elements(length, depth)?.map(Value::Set),
            b'>' => self.elements(length, depth)?.map(Value::Push),
            b'%' => self.pairs(length, depth)?.map(Value::Map),
            _ => {
                let Some(attributes) = self.pairs(length, depth)? else {
                    return Ok(None);
                };
                self.value(depth + 1)?.map(|value| Value::Attributed {
                    attributes,
                    value: Box::new(value),
                })
            }
        };
        Ok(value)
    }

    fn elements(
        &mut self,
        length: usize,
        depth: usize,
    ) -> Result<Option<Vec<Value>>, ProtocolError> {
        let mut elements = Vec::with_capacity(length.min(RESERVED));
        for _ in 0..length {
            let Some(element) = self.value(depth + 1)? else {
                return Ok(None);
            };
            elements.push(element);
        }
        Ok(Some(elements))
    }

    fn pairs(
        &mut self,
        length: usize,
        depth: usize,
    ) -> Result<Option<Vec<(Value, Value)>>, ProtocolError> {
        let mut pairs = Vec::with_capacity(length.min(RESERVED));
        for _ in 0..length {
            let Some(key) = self.value(depth + 1)? else {
                return Ok(None);
            };
            let Some(value) = self.value(depth + 1)? else {
                return Ok(None);
            };
            pairs.push((key, value));
        }
        Ok(Some(pairs))
    }

    /// A line without its end.
    fn line(&mut self) -> Result<Option<&'a [u8]>, ProtocolError> {
        let rest = &self.input[self.position..];
        let window = &rest[..rest.len().min(MAX_LINE + 1)];
        let Some(end) = memchr(b'\r', window) else {
            if memchr(b'\n', window).is_some() {
                return Err(ProtocolError::BadLineEnd);
            }
            if window.len() > MAX_LINE {
                return Err(ProtocolError::LineTooLong);
            }
            return Ok(None);
        };
        let line = &rest[..end];
        if memchr(b'\n', line).is_some() {
            return Err(ProtocolError::BadLineEnd);
        }
        match rest.get(end + 1) {
            None => Ok(None),
            Some(b'\n') => {
                self.position += end + 2;
                Ok(Some(line))
            }
            Some(_) => Err(ProtocolError::BadLineEnd),
        }
    }

    /// Text of a known length and the line end after it.
    fn text(&mut self, length: usize) -> Result<Option<&'a [u8]>, ProtocolError> {
        let rest = &self.input[self.position..];
        // What is there of the line end is checked as soon as it is there, so that an answer never
        // depends on how the bytes were cut.
        let end = rest.get(length..).unwrap_or_default();
        if !end.is_empty() && end[0] != b'\r' || end.len() > 1 && end[1] != b'\n' {
            return Err(ProtocolError::BadLineEnd);
        }
        if end.len() < 2 {
            return Ok(None);
        }
        self.position += length + 2;
        Ok(Some(&rest[..length]))
    }
}

/// An integer as RESP3 writes it: an optional sign, which may be a plus, and digits.
fn parse_integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn parse_length(text: &[u8], most: usize) -> Result<usize, ProtocolError> {
    parse_integer(text)
        .and_then(|length| usize::try_from(length).ok())
        .filter(|length| *length <= most)
        .ok_or(ProtocolError::BadLength)
}

fn parse_double(text: &[u8]) -> Result<f64, ProtocolError> {
    // Redis before 7.2 prints "-nan" where the C library does; Rust reads that as well.
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(ProtocolError::BadScalar)
}

fn parse_big_number(text: &[u8]) -> Result<Bytes, ProtocolError> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(ProtocolError::BadScalar);
    }
    Ok(Bytes::copy_from_slice(text))
}

fn parse_verbatim(text: &[u8]) -> Result<Value, ProtocolError> {
    match text {
        [a, b, c, b':', text @ ..] => Ok(Value::Verbatim {
            format: [*a, *b, *c],
            text: Bytes::copy_from_slice(text),
        }),
        _ => Err(ProtocolError::BadScalar),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bulk(text: &str) -> Value {
        Value::Bulk(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn every_type_is_read() {
        let cases: &[(&str, Value)] = &[
            ("+OK\r\n", Value::Simple("OK".into())),
            ("-ERR no\r\n", Value::Error("ERR no".into())),
            ("!6\r\nERR no\r\n", Value::Error("ERR no".into())),
            (":-42\r\n", Value::Integer(-42)),
            (":+7\r\n", Value::Integer(7)),
            ("$5\r\na\r\nbc\r\n", bulk("a\r\nbc")),
            ("$0\r\n\r\n", bulk("")),
            ("$-1\r\n", Value::Null),
            ("*-1\r\n", Value::Null),
            ("_\r\n", Value::Null),
            ("*0\r\n", Value::Array(vec![])),
            (
                "*2\r\n:1\r\n$1\r\nx\r\n",
                Value::Array(vec![Value::Integer(1), bulk("x")]),
            ),
            ("#t\r\n", Value::Boolean(true)),
            ("#f\r\n", Value::Boolean(false)),
            (",1.5\r\n", Value::Double(1.5)),
            (",-inf\r\n", Value::Double(f64::NEG_INFINITY)),
            (
                "(-123456789012345678901\r\n",
                Value::BigNumber("-123456789012345678901".into()),
            ),
            (
                "=7\r\ntxt:abc\r\n",
                Value::Verbatim {
                    format: *b"txt",
                    text: "abc".into(),
                },
            ),
            (
                "%1\r\n+k\r\n:1\r\n",
                Value::Map(vec![(Value::Simple("k".into()), Value::Integer(1))]),
            ),
            ("~1\r\n:1\r\n", Value::Set(vec![Value::Integer(1)])),
            (
                ">2\r\n+message\r\n_\r\n",
                Value::Push(vec![Value::Simple("message".into()), Value::Null]),
            ),
            (
                "|1\r\n+ttl\r\n:9\r\n+v\r\n",
                Value::Attributed {
                    attributes: vec![(Value::Simple("ttl".into()), Value::Integer(9))],
                    value: Box::new(Value::Simple("v".into())),
                },
            ),
        ];
        for (wire, value) in cases {
            let expected = Ok(Some((value.clone(), wire.len())));
            assert_eq!(decode(wire.as_bytes()), expected, "{wire:?}");
        }
    }

    #[test]
    fn not_a_number_is_a_double() {
        for wire in [",nan\r\n", ",-nan\r\n"] {
            let Ok(Some((Value::Double(double), _))) = decode(wire.as_bytes()) else {
                panic!("{wire:?} is a double");
            };
            assert!(double.is_nan());
        }
    }

    #[test]
    fn what_is_not_resp_is_refused() {
        let cases: &[(&str, ProtocolError)] = &[
            ("HTTP/1.1 400\r\n", ProtocolError::UnknownType(b'H')),
            ("+OK\n", ProtocolError::BadLineEnd),
            ("+O\nK\r\n", ProtocolError::BadLineEnd),
            ("+OK\rx", ProtocolError::BadLineEnd),
            (":\r\n", ProtocolError::BadScalar),
            (":1x\r\n", ProtocolError::BadScalar),
            (":9223372036854775808\r\n", ProtocolError::BadScalar),
            ("_x\r\n", ProtocolError::BadScalar),
            ("#x\r\n", ProtocolError::BadScalar),
            (",one\r\n", ProtocolError::BadScalar),
            ("(1.5\r\n", ProtocolError::BadScalar),
            ("=3\r\nabc\r\n", ProtocolError::BadScalar),
            ("$-2\r\n", ProtocolError::BadLength),
            ("!-1\r\n", ProtocolError::BadLength),
            ("~-1\r\n", ProtocolError::BadLength),
            ("$?\r\n", ProtocolError::BadLength),
            ("$536870913\r\n", ProtocolError::BadLength),
            ("*99999999999\r\n", ProtocolError::BadLength),
            ("$1\r\nabc", ProtocolError::BadLineEnd),
        ];
        for (wire, error) in cases {
            assert_eq!(decode(wire.as_bytes()), Err(*error), "{wire:?}");
        }
    }

    #[test]
    fn a_line_is_bounded_wherever_its_end_may_be() {
        let mut wire = vec![b'+'];
        wire.resize(1 + MAX_LINE, b'a');
        assert_eq!(decode(&wire), Ok(None));
        wire.extend_from_slice(b"\r\n");
        assert_eq!(decode(&wire).unwrap().unwrap().1, wire.len());
        wire.insert(1, b'a');
        assert_eq!(decode(&wire), Err(ProtocolError::LineTooLong));
    }

    #[test]
    fn a_depth_bomb_is_an_error() {
        for mark in ["*1\r\n", "~1\r\n", ">1\r\n", "%1\r\n", "|0\r\n"] {
            let bomb = mark.repeat(1_000_000);
            assert_eq!(
                decode(bomb.as_bytes()),
                Err(ProtocolError::TooDeep),
                "{mark:?}"
            );
        }
        let deepest = "*1\r\n".repeat(MAX_DEPTH) + ":1\r\n";
        assert!(decode(deepest.as_bytes()).unwrap().is_some());
    }

    #[test]
    fn an_announcement_reserves_nothing() {
        // Any of these would take gigabytes if the lengths were believed.
        let wire = "*1000000000\r\n".repeat(MAX_DEPTH);
        assert_eq!(decode(wire.as_bytes()), Ok(None));
        assert_eq!(decode(b"%1000000000\r\n"), Ok(None));
        assert_eq!(decode(b"$536870912\r\n"), Ok(None));
    }

    /// The opposite of `decode`, to generate what it reads.
    fn encode(value: &Value, out: &mut Vec<u8>) {
        let line = |out: &mut Vec<u8>, mark: u8, text: &[u8]| {
            out.push(mark);
            out.extend_from_slice(text);
            out.extend_from_slice(b"\r\n");
        };
        match value {
            Value::Simple(text) => line(out, b'+', text),
            Value::Error(text) => line(out, b'-', text),
            Value::BigNumber(text) => line(out, b'(', text),
            Value::Integer(integer) => line(out, b':', integer.to_string().as_bytes()),
            Value::Double(double) => line(out, b',', double.to_string().as_bytes()),
            Value::Boolean(true) => line(out, b'#', b"t"),
            Value::Boolean(false) => line(out, b'#', b"f"),
            Value::Null => line(out, b'_', b""),
            Value::Bulk(text) => {
                line(out, b'$', text.len().to_string().as_bytes());
                out.extend_from_slice(text);
                out.extend_from_slice(b"\r\n");
            }
            Value::Verbatim { format, text } => {
                line(out, b'=', (text.len() + 4).to_string().as_bytes());
                out.extend_from_slice(format);
                line(out, b':', text);
            }
            Value::Array(elements) | Value::Set(elements) | Value::Push(elements) => {
                let mark = match value {
                    Value::Array(_) => b'*',
                    Value::Set(_) => b'~',
                    _ => b'>',
                };
                line(out, mark, elements.len().to_string().as_bytes());
                elements.iter().for_each(|element| encode(element, out));
            }
            Value::Map(pairs) => {
                line(out, b'%', pairs.len().to_string().as_bytes());
                for (key, value) in pairs {
                    encode(key, out);
                    encode(value, out);
                }
            }
            Value::Attributed { attributes, value } => {
                line(out, b'|', attributes.len().to_string().as_bytes());
                for (key, value) in attributes {
                    encode(key, out);
                    encode(value, out);
                }
                encode(value, out);
            }
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let any_bytes = || prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from);
        let any_line = || "[ -~]{0,20}".prop_map(Bytes::from);
        let leaf = prop_oneof![
            any_line().prop_map(Value::Simple),
            any_line().prop_map(Value::Error),
            any::<i64>().prop_map(Value::Integer),
            any_bytes().prop_map(Value::Bulk),
            Just(Value::Null),
            any::<bool>().prop_map(Value::Boolean),
            prop::num::f64::NORMAL.prop_map(Value::Double),
            "-?[0-9]{1,30}".prop_map(|digits| Value::BigNumber(digits.into())),
            any_bytes().prop_map(|text| Value::Verbatim {
                format: *b"txt",
                text
            }),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            let elements = || prop::collection::vec(inner.clone(), 0..5);
            let pairs = || prop::collection::vec((inner.clone(), inner.clone()), 0..3);
            prop_oneof![
                elements().prop_map(Value::Array),
                elements().prop_map(Value::Set),
                elements().prop_map(Value::Push),
                pairs().prop_map(Value::Map),
                (pairs(), inner.clone()).prop_map(|(attributes, value)| Value::Attributed {
                    attributes,
                    value: Box::new(value)
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_value(value in any_value(), next in any::<Vec<u8>>()) {
            let mut wire = Vec::new();
            encode(&value, &mut wire);
            for cut in 0..wire.len() {
                prop_assert_eq!(decode(&wire[..cut]), Ok(None));
            }
            let length = wire.len();
            wire.extend_from_slice(&next);
            prop_assert_eq!(decode(&wire), Ok(Some((value, length))));
        }

        #[test]
        fn garbage_never_panics_and_no_prefix_disagrees(
            garbage in "([-+:$*_#,(!=%~>|][-0-9]{0,2}(\r\n|\r|\n)?[a-z]?){0,12}"
        ) {
            let wire = garbage.as_bytes();
            let whole = decode(wire);
            for cut in 0..wire.len() {
                match decode(&wire[..cut]) {
                    Ok(None) => {}
                    // NaN is not equal to itself, its text is.
                    decided => prop_assert_eq!(format!("{decided:?}"), format!("{whole:?}")),
                }
            }
        }

        #[test]
        fn bytes_never_panic(bytes in any::<Vec<u8>>()) {
            if let Ok(Some((_, length))) = decode(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
