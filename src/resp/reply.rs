//! Writes replies, and is the only place that knows RESP2 from RESP3.

use bytes::Bytes;

use super::Output;
use crate::error::Error;
use crate::text::double;
use crate::text::long_double::LongDouble;

/// The version of the protocol that a client has chosen with HELLO.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Protocol {
    /// Every connection begins with it.
    #[default]
    Resp2,
    /// Maps, sets, booleans, and messages as pushes.
    Resp3,
}

/// More than the line of a number is long, and than is written at once for it.
const LINE_MAX: usize = 32;

/// So much of a text is written at once.
const TEXT_MAX: usize = 256;

/// Writes the reply of one command. A number or a null that RESP2 does not
/// have is written as RESP2 clients expect it.
pub struct Reply<'a> {
    out: &'a mut Output,
    protocol: Protocol,
}

impl<'a> Reply<'a> {
    /// Writes behind what is already in `out`.
    pub fn new(out: &'a mut Output, protocol: Protocol) -> Self {
        Reply { out, protocol }
    }

    /// Whether the client speaks RESP3.
    pub fn is_resp3(&self) -> bool {
        self.protocol == Protocol::Resp3
    }

    /// The version of the protocol that is written.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// What follows is written in `protocol`: HELLO answers in the new one.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// What the reply is written into.
    pub fn output(&mut self) -> &mut Output {
        self.out
    }

    /// `+OK`
    pub fn ok(&mut self) {
        self.out.extend(b"+OK\r\n");
    }

    /// `+QUEUED`
    pub fn queued(&mut self) {
        self.out.extend(b"+QUEUED\r\n");
    }

    /// A status. Line ends in it become spaces.
    pub fn simple(&mut self, text: impl AsRef<[u8]>) {
        self.line(b'+', text.as_ref());
    }

    /// An error.
    pub fn error(&mut self, error: &Error) {
        self.line(b'-', error.text());
    }

    /// An integer.
    pub fn int(&mut self, value: i64) {
        self.number(b':', value);
    }

    /// A length or a count as an integer.
    pub fn len(&mut self, value: usize) {
        self.number(b':', value as i64);
    }

    /// A floating point number, in the fewest digits that tell it.
    pub fn double(&mut self, value: f64) {
        let mut buffer = double::Buffer::default();
        let text = buffer.format(value);
        if self.is_resp3() {
            self.line(b',', text);
        } else {
            self.bulk(text);
        }
    }

    /// A floating point number, with 17 digits behind the point less the zeros
    /// at the end.
    pub fn long_double(&mut self, value: LongDouble) {
        let text = value.to_string();
        if self.is_resp3() {
            self.line(b',', text.as_bytes());
        } else {
            self.bulk(text.as_bytes());
        }
    }

    /// A string of bytes.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        // The room for a short one is asked for once.
        const SHORT_MAX: usize = 512;
        if bytes.len() > SHORT_MAX {
            return self.long_bulk(bytes);
        }
        let out = self.out.buffer(LINE_MAX + bytes.len() + 2);
        number(out, b'$', bytes.len() as i64);
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    }

    fn long_bulk(&mut self, bytes: &[u8]) {
        self.number(b'$', bytes.len() as i64);
        self.out.extend(bytes);
        self.out.extend(b"\r\n");
    }

    /// Strings of `width` bytes each, which is not 0, one behind the other in
    /// `bytes`. What is the same in all is copied in one go: it takes 25
    /// instructions a string, where [`bulk`](Self::bulk) takes 70.
    pub fn bulks_of(&mut self, width: usize, bytes: &[u8]) {
        // Of longer strings what counts is that they are copied once.
        const WIDTH_MAX: usize = 512;
        if width > WIDTH_MAX || bytes.len() <= width {
            return bytes.chunks_exact(width).for_each(|bytes| self.bulk(bytes));
        }
        let room = LINE_MAX + width + 2;
        self.out.reserve(bytes.len() / width * room);
        let mut rest = bytes;
        while !rest.is_empty() {
            // As many as the buffer takes: more go into the next one.
            let done = strings(self.out.buffer(room), width, rest);
            rest = &rest[done..];
        }
    }

    /// A string of bytes; many of them leave by reference.
    pub fn shared(&mut self, bytes: &Bytes) {
        self.number(b'$', bytes.len() as i64);
        self.out.share(bytes);
        self.out.extend(b"\r\n");
    }

    /// A string or a null.
    pub fn bulk_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// No value.
    pub fn null(&mut self) {
        self.out.extend(if self.is_resp3() {
            b"_\r\n"
        } else {
            b"$-1\r\n"
        });
    }

    /// No array.
    pub fn null_array(&mut self) {
        self.out.extend(if self.is_resp3() {
            b"_\r\n"
        } else {
            b"*-1\r\n"
        });
    }

    /// Begins an array of `len` elements, which follow.
    pub fn array(&mut self, len: usize) {
        self.number(b'*', len as i64);
    }

    /// Begins a map of `pairs` pairs: key, value, key, value.
    pub fn map(&mut self, pairs: usize) {
        if self.is_resp3() {
            self.number(b'%', pairs as i64);
        } else {
            self.number(b'*', 2 * pairs as i64);
        }
    }

    /// Begins a set of `len` elements.
    pub fn set(&mut self, len: usize) {
        self.number(if self.is_resp3() { b'~' } else { b'*' }, len as i64);
    }

    /// Begins a message that is no reply, of `len` elements.
    pub fn push(&mut self, len: usize) {
        self.number(if self.is_resp3() { b'>' } else { b'*' }, len as i64);
    }

    /// A truth value; 1 or 0 in RESP2.
    pub fn bool(&mut self, value: bool) {
        let resp3: &[u8] = if value { b"#t\r\n" } else { b"#f\r\n" };
        if self.is_resp3() {
            self.out.extend(resp3)
        } else {
            self.int(i64::from(value))
        }
    }

    /// Text for people, with a format of three bytes: `txt` or `mkd`.
    pub fn verbatim(&mut self, format: &[u8; 3], text: &[u8]) {
        if self.is_resp3() {
            self.number(b'=', 4 + text.len() as i64);
            self.out.extend(format);
            self.out.extend(b":");
            self.out.extend(text);
            self.out.extend(b"\r\n");
        } else {
            self.bulk(text);
        }
    }

    /// A whole number of any size, in decimal digits.
    pub fn big_number(&mut self, digits: &[u8]) {
        if self.is_resp3() {
            self.line(b'(', digits);
        } else {
            self.bulk(digits);
        }
    }

    /// Begins what a client may know beside the reply that follows, as a map of `pairs` pairs.
    /// RESP2 has no such thing: nobody writes it there.
    pub fn attributes(&mut self, pairs: usize) {
        debug_assert!(self.is_resp3());
        self.number(b'|', pairs as i64);
    }

    /// An array of strings.
    pub fn bulks<T: AsRef<[u8]>>(&mut self, items: impl ExactSizeIterator<Item = T>) {
        self.array(items.len());
        for item in items {
            self.bulk(item.as_ref());
        }
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        // One line is one reply: what a client put into a text cannot forge another.
        let plain = |&byte: &u8| {
            if matches!(byte, b'\r' | b'\n') {
                b' '
            } else {
                byte
            }
        };
        self.out.extend(&[kind]);
        for part in text.chunks(TEXT_MAX) {
            self.out.buffer(TEXT_MAX).extend(part.iter().map(plain));
        }
        self.out.extend(b"\r\n");
    }

    /// `kind`, a number and a line end.
    #[inline]
    fn number(&mut self, kind: u8, value: i64) {
        number(self.out.buffer(LINE_MAX), kind, value);
    }
}

#[inline]
fn number(out: &mut Vec<u8>, kind: u8, value: i64) {
    match value {
        0..10 => out.extend_from_slice(&[kind, b'0' + value as u8, b'\r', b'\n']),
        10..100 => {
            let (tens, ones) = (value as u8 / 10, value as u8 % 10);
            out.extend_from_slice(&[kind, b'0' + tens, b'0' + ones, b'\r', b'\n']);
        }
        _ => long_number(out, kind, value),
    }
}

/// Writes strings of `width` bytes, of which `out` takes at least one, as far
/// as it does without growing; answers how many of `bytes` they were.
// With the registers to itself it takes 2 % fewer instructions of an LRANGE.
#[inline(never)]
fn strings(out: &mut Vec<u8>, width: usize, bytes: &[u8]) -> usize {
    let start = out.len();
    number(out, b'$', width as i64);
    let header = out.len() - start;
    out.resize(out.len() + width, 0);
    out.extend_from_slice(b"\r\n");
    let size = out.len() - start;
    let count = (bytes.len() / width).min((out.capacity() - start) / size);
    let end = start + count * size;
    while out.len() < end {
        let more = (out.len() - start).min(end - out.len());
        out.extend_from_within(start..start + more);
    }
    let strings = out[start..].chunks_exact_mut(size);
    for (string, bytes) in strings.zip(bytes.chunks_exact(width)) {
        string[header..header + width].copy_from_slice(bytes);
    }
    count * width
}

/// Writes `kind`, a number and a line end; numbers below 10^8 without a branch
/// that depends on the digits.
#[inline(never)]
fn long_number(out: &mut Vec<u8>, kind: u8, value: i64) {
    let 1..100_000_000 = value else {
        return any_number(out, kind, value);
    };
    let (digits, count) = digits(value as u32);
    let line_end = u128::from(u16::from_le_bytes(*b"\r\n"));
    let line = u128::from(kind) | (u128::from(digits) << 8) | (line_end << (8 * (count + 1)));
    // A whole register is written at once, and what is too much taken back.
    let end = out.len() + count + 3;
    out.extend_from_slice(&line.to_le_bytes());
    out.truncate(end);
}

#[cold]
fn any_number(out: &mut Vec<u8>, kind: u8, value: i64) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The digits of a number below 10^8, which is not 0, the first in the lowest
/// byte, and how many there are. They are made side by side in one register.
fn digits(value: u32) -> (u64, usize) {
    let value = u64::from(value);
    // Two numbers below 10^4, then four below 100, then eight digits: in each
    // lane the quotient goes to the lower half, the remainder to the upper.
    let fours = (value / 10_000) | ((value % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | ((twos - 10 * tens) << 8);
    let leading = ones.trailing_zeros() / 8;
    let digits = (ones | 0x3030_3030_3030_3030) >> (8 * leading);
    (digits, 8 - leading as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(protocol: Protocol, write: impl Fn(&mut Reply<'_>)) -> String {
        let mut out = Output::default();
        write(&mut Reply::new(&mut out, protocol));
        String::from_utf8(out.into_vec()).unwrap()
    }

    #[test]
    fn strings_of_one_length_are_written_as_one_by_one() {
        for (width, count) in [
            (1, 0),
            (1, 1),
            (3, 2),
            (9, 7),
            (16, 100),
            (130, 5),
            (600, 3),
        ] {
            let bytes: Vec<u8> = (0..width * count).map(|n| b'a' + (n % 23) as u8).collect();
            let together = written(Protocol::Resp2, |reply| {
                reply.ok();
                reply.bulks_of(width, &bytes);
                reply.ok();
            });
            let each = written(Protocol::Resp2, |reply| {
                reply.ok();
                bytes.chunks(width).for_each(|string| reply.bulk(string));
                reply.ok();
            });
            assert_eq!(together, each);
        }
    }

    #[test]
    fn numbers_have_their_digits() {
        let edges = (2..9).flat_map(|n| [10_i64.pow(n) - 1, 10_i64.pow(n), 10_i64.pow(n) + 1]);
        for value in (0..20_000)
            .chain((0..100_000_000).step_by(9_973))
            .chain(edges)
            .chain([u32::MAX.into(), i64::MAX, -1, -100, i64::MIN])
        {
            let written = written(Protocol::Resp2, |reply| reply.int(value));
            assert_eq!(written, format!(":{value}\r\n"));
        }
    }

    #[test]
    fn each_kind_has_its_form_in_both_protocols() {
        type Write = fn(&mut Reply<'_>);
        let cases: [(Write, &str, &str); 17] = [
            (
                |r| r.long_double(0.1.into()),
                "$19\r\n0.10000000000000001\r\n",
                ",0.10000000000000001\r\n",
            ),
            (|r| r.double(99.5), "$4\r\n99.5\r\n", ",99.5\r\n"),
            (|r| r.double(1e21), "$5\r\n1e+21\r\n", ",1e+21\r\n"),
            (
                |r| r.double(f64::NEG_INFINITY),
                "$4\r\n-inf\r\n",
                ",-inf\r\n",
            ),
            (|r| r.int(-12), ":-12\r\n", ":-12\r\n"),
            (|r| r.int(9), ":9\r\n", ":9\r\n"),
            (
                |r| r.bulk(b"a\r\nb"),
                "$4\r\na\r\nb\r\n",
                "$4\r\na\r\nb\r\n",
            ),
            (|r| r.null(), "$-1\r\n", "_\r\n"),
            (|r| r.null_array(), "*-1\r\n", "_\r\n"),
            (|r| r.map(2), "*4\r\n", "%2\r\n"),
            (|r| r.set(2), "*2\r\n", "~2\r\n"),
            (|r| r.push(3), "*3\r\n", ">3\r\n"),
            (|r| r.bool(true), ":1\r\n", "#t\r\n"),
            (|r| r.big_number(b"12"), "$2\r\n12\r\n", "(12\r\n"),
            (
                |r| r.verbatim(b"txt", b"hi"),
                "$2\r\nhi\r\n",
                "=6\r\ntxt:hi\r\n",
            ),
            (
                |r| r.error(&Error::SYNTAX),
                "-ERR syntax error\r\n",
                "-ERR syntax error\r\n",
            ),
            (|r| r.simple("a\r\n-b"), "+a  -b\r\n", "+a  -b\r\n"),
        ];
        for (write, resp2, resp3) in cases {
            assert_eq!(written(Protocol::Resp2, write), resp2);
            assert_eq!(written(Protocol::Resp3, write), resp3);
        }
    }
}
