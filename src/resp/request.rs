//! Cuts requests off a buffer: arrays of bulk strings, and inline commands.
//!
//! The decoder is a function of its state and the bytes: any split of the
//! same input gives the same requests. Nothing is allocated per argument, and
//! memory follows the bytes that have arrived, never a length that is claimed.
//! The texts and limits are those of a Redis 7.2 server; unlike it, two bytes
//! behind a bulk string that are not CR LF are an error.

use std::ops::Range;

use super::Argv;
use crate::text::{number, words};

/// The longest inline request, and the longest length header, in bytes.
pub const INLINE_MAX: usize = 64 * 1024;
/// The most words of a request before authentication.
const UNAUTHENTICATED_WORDS_MAX: i64 = 10;
/// So many words no limit forbids.
const SHORT_WORDS: usize = UNAUTHENTICATED_WORDS_MAX as usize;
/// The longest word of a request before authentication, in bytes.
const UNAUTHENTICATED_BULK_MAX: i64 = 16 * 1024;

/// What a client may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest bulk string in bytes: `proto-max-bulk-len`.
    pub bulk: usize,
    /// Whether the client may send long requests at all.
    pub authenticated: bool,
}

/// A breach of the protocol. The connection is closed after the text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProtocolError {
    /// An inline request without an end.
    TooBigInline,
    /// A quote that does not close, or closes inside a word.
    UnbalancedQuotes,
    /// `*` and no line end.
    TooBigCount,
    /// `*` and no number of words.
    InvalidCount,
    /// `$` and no line end.
    TooBigLength,
    /// `$` and no length of a word.
    InvalidLength,
    /// Something else where `$` belongs.
    ExpectedDollar(u8),
    /// A word that does not end in CR LF.
    ExpectedLineEnd,
    /// More words than an unauthenticated client may send.
    UnauthenticatedCount,
    /// A longer word than an unauthenticated client may send.
    UnauthenticatedLength,
}

impl ProtocolError {
    /// The error reply: code and text.
    pub fn text(&self) -> Vec<u8> {
        let reason: &[u8] = match self {
            Self::TooBigInline => b"too big inline request",
            Self::UnbalancedQuotes => b"unbalanced quotes in request",
            Self::TooBigCount => b"too big mbulk count string",
            Self::InvalidCount => b"invalid multibulk length",
            Self::TooBigLength => b"too big bulk count string",
            Self::InvalidLength => b"invalid bulk length",
            Self::ExpectedDollar(got) => {
                &[b"expected '$', got '".as_slice(), &[*got], b"'"].concat()
            }
            Self::ExpectedLineEnd => b"expected CRLF after bulk string",
            Self::UnauthenticatedCount => b"unauthenticated multibulk length",
            Self::UnauthenticatedLength => b"unauthenticated bulk length",
        };
        [b"ERR Protocol error: ".as_slice(), reason].concat()
    }
}

/// Requests that one call of the decoder found, all in one buffer.
#[derive(Default, Debug)]
pub struct Batch {
    words: Vec<Range<u32>>,
    /// Words of inline requests that had to be unescaped.
    unescaped: Vec<u8>,
    requests: Vec<Request>,
}

#[derive(Clone, Debug)]
struct Request {
    words: Range<u32>,
    unescaped: bool,
    /// Where the next request begins in the buffer.
    end: u32,
}

impl Batch {
    /// How many requests there are.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Forgets the requests, and keeps the memory that an ordinary batch needs.
    pub fn clear(&mut self) {
        const KEPT: usize = 16 * 1024;
        self.words.clear();
        self.words.shrink_to(KEPT);
        self.unescaped.clear();
        self.unescaped.shrink_to(KEPT);
        self.requests.clear();
        self.requests.shrink_to(KEPT);
    }

    /// The words of request `index` and where it ends in `buffer`, the buffer
    /// that was decoded.
    pub fn get<'a>(&'a self, index: usize, buffer: &'a [u8]) -> (Argv<'a>, usize) {
        let request = &self.requests[index];
        let words = &self.words[request.words.start as usize..request.words.end as usize];
        let buffer = if request.unescaped {
            &self.unescaped
        } else {
            buffer
        };
        (Argv::new(buffer, words), request.end as usize)
    }

    /// How many words all requests have.
    pub fn word_count(&self) -> usize {
        self.words.len()
    }

    /// Where in the buffer the words of request `index` are; none if they had
    /// to be unescaped.
    pub fn words_in_buffer(&self, index: usize) -> &[Range<u32>] {
        let request = &self.requests[index];
        match request.unescaped {
            false => &self.words[request.words.start as usize..request.words.end as usize],
            true => &[],
        }
    }

    fn finish(&mut self, first_word: usize, end: usize, unescaped: bool) {
        let words = first_word as u32..self.words.len() as u32;
        self.requests.push(Request {
            words,
            unescaped,
            end: end as u32,
        });
    }
}

/// What is known of a request that has not arrived in full. Offsets are
/// relative to its first byte.
#[derive(Default, Debug)]
pub struct Decoder {
    partial: Option<Box<Partial>>,
}

#[derive(Debug)]
struct Partial {
    words: Vec<Range<u32>>,
    /// Words that are still to come.
    missing: usize,
    /// Length of the word that is arriving, once its header is here.
    bulk: Option<usize>,
    position: usize,
}

impl Decoder {
    /// Finds up to `max` requests in `buffer`, which begins with what an
    /// earlier call left over, and puts them into `batch`, which is cleared.
    ///
    /// Answers how many bytes are done with; the caller keeps the rest and
    /// puts what arrives next behind it. After an error the requests in the
    /// batch still count and the connection is to be closed.
    pub fn decode(
        &mut self,
        buffer: &[u8],
        limits: Limits,
        max: usize,
        batch: &mut Batch,
    ) -> (usize, Option<ProtocolError>) {
        batch.clear();
        let mut start = 0;
        while batch.len() < max && start < buffer.len() {
            match self.request(buffer, start, limits, batch) {
                Ok(Some(end)) => start = end,
                Ok(None) => break,
                Err(error) => return (start, Some(error)),
            }
        }
        (start, None)
    }

    /// How many bytes the request that is arriving still needs at least, as
    /// far as its headers tell. Only a hint of how much to read at once.
    pub fn missing(&self, buffered: usize) -> usize {
        let partial = self.partial.as_ref();
        let end = partial
            .and_then(|p| p.bulk.map(|len| p.position + len + 2))
            .unwrap_or(0);
        end.saturating_sub(buffered)
    }

    /// Decodes the request at `start`; answers where it ends, or `None` if it
    /// has not arrived in full.
    fn request(
        &mut self,
        buffer: &[u8],
        start: usize,
        limits: Limits,
        batch: &mut Batch,
    ) -> Result<Option<usize>, ProtocolError> {
        let first_word = batch.words.len();
        let (mut position, mut missing, mut bulk) = match self.partial.take() {
            // It is the first of its batch, since the buffer begins with it.
            Some(partial) => {
                batch.words = partial.words;
                (start + partial.position, partial.missing, partial.bulk)
            }
            None if buffer[start] != b'*' => return inline(buffer, start, batch),
            None => {
                let header = match short_header(buffer, start, b'*') {
                    Some((words, next)) if words <= SHORT_WORDS => Some((words, next)),
                    _ => count(buffer, start, limits)?,
                };
                let Some((count, next)) = header else {
                    return Ok(None);
                };
                if count == 0 {
                    batch.finish(first_word, next, false);
                    return Ok(Some(next));
                }
                (next, count, None)
            }
        };
        while missing > 0 {
            let header = match bulk.take() {
                Some(len) => Some((len, position)),
                None => match short_header(buffer, position, b'$') {
                    Some((len, next)) => Some((len, next)),
                    None => length(buffer, position, limits)?,
                },
            };
            let Some((len, next)) = header else {
                return Ok(self.keep(batch, first_word, start, position, missing, None));
            };
            position = next;
            let end = position + len;
            let Some(line_end) = buffer.get(end..end + 2) else {
                return Ok(self.keep(batch, first_word, start, position, missing, Some(len)));
            };
            if line_end != b"\r\n" {
                return Err(ProtocolError::ExpectedLineEnd);
            }
            batch.words.push(position as u32..end as u32);
            position = end + 2;
            missing -= 1;
        }
        batch.finish(first_word, position, false);
        Ok(Some(position))
    }

    /// Moves what is known of a half-arrived request out of the batch.
    fn keep(
        &mut self,
        batch: &mut Batch,
        first_word: usize,
        start: usize,
        position: usize,
        missing: usize,
        bulk: Option<usize>,
    ) -> Option<usize> {
        // Of a long request that arrives slowly, nothing is copied each time.
        let words = match start {
            0 => std::mem::take(&mut batch.words),
            _ => {
                let shift = start as u32;
                let words = batch.words.drain(first_word..);
                words.map(|w| w.start - shift..w.end - shift).collect()
            }
        };
        let position = position - start;
        self.partial = Some(Box::new(Partial {
            words,
            missing,
            bulk,
            position,
        }));
        None
    }
}

/// A header of one or two digits, as nearly all are, at `start`: the number,
/// and where what follows begins. It is within every limit, but for a count
/// above [`SHORT_WORDS`]. A SET is decoded in
/// 230 instructions so, and in 480 by the general way.
fn short_header(buffer: &[u8], start: usize, kind: u8) -> Option<(usize, usize)> {
    let digit = |byte: u8| usize::from(byte - b'0');
    match *buffer.get(start..)? {
        [first, a @ b'0'..=b'9', b'\r', b'\n', ..] if first == kind => Some((digit(a), start + 4)),
        [first, a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', b'\n', ..] if first == kind => {
            Some((10 * digit(a) + digit(b), start + 5))
        }
        _ => None,
    }
}

/// `*3\r\n` at `start`: how many words follow (0 for none or fewer), and where
/// the first one begins.
fn count(
    buffer: &[u8],
    start: usize,
    limits: Limits,
) -> Result<Option<(usize, usize)>, ProtocolError> {
    let Some((digits, next)) = header(buffer, start, ProtocolError::TooBigCount)? else {
        return Ok(None);
    };
    match number::parse_i64(digits) {
        Some(count) if count > i64::from(i32::MAX) => Err(ProtocolError::InvalidCount),
        Some(count) if count > UNAUTHENTICATED_WORDS_MAX && !limits.authenticated => {
            Err(ProtocolError::UnauthenticatedCount)
        }
        Some(count) => Ok(Some((count.max(0) as usize, next))),
        None => Err(ProtocolError::InvalidCount),
    }
}

/// `$3\r\n` at `start`: how long the word is, and where it begins.
fn length(
    buffer: &[u8],
    start: usize,
    limits: Limits,
) -> Result<Option<(usize, usize)>, ProtocolError> {
    let Some((digits, next)) = header(buffer, start, ProtocolError::TooBigLength)? else {
        return Ok(None);
    };
    if buffer[start] != b'$' {
        return Err(ProtocolError::ExpectedDollar(buffer[start]));
    }
    match number::parse_i64(digits) {
        Some(len) if len < 0 || len > limits.bulk as i64 => Err(ProtocolError::InvalidLength),
        Some(len) if len > UNAUTHENTICATED_BULK_MAX && !limits.authenticated => {
            Err(ProtocolError::UnauthenticatedLength)
        }
        Some(len) => Ok(Some((len as usize, next))),
        None => Err(ProtocolError::InvalidLength),
    }
}

/// The line at `start` without its first byte, and where the next one begins.
fn header(
    buffer: &[u8],
    start: usize,
    too_big: ProtocolError,
) -> Result<Option<(&[u8], usize)>, ProtocolError> {
    let rest = &buffer[start..];
    // Headers are a few bytes long: a plain loop beats a vectorised search.
    let window = &rest[..rest.len().min(INLINE_MAX + 1)];
    match window.iter().position(|&b| b == b'\r') {
        Some(end) if end + 1 < rest.len() => Ok(Some((
            rest.get(1..end).unwrap_or_default(),
            start + end + 2,
        ))),
        Some(_) => Ok(None),
        None if rest.len() > INLINE_MAX => Err(too_big),
        None => Ok(None),
    }
}

/// An inline request: words on one line, quoted as in a shell.
fn inline(buffer: &[u8], start: usize, batch: &mut Batch) -> Result<Option<usize>, ProtocolError> {
    let Some(len) = memchr::memchr(b'\n', &buffer[start..]) else {
        let too_big = buffer.len() - start > INLINE_MAX;
        return if too_big {
            Err(ProtocolError::TooBigInline)
        } else {
            Ok(None)
        };
    };
    let end = start + len;
    let line = &buffer[start..end];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let first_word = batch.words.len();
    let unescaped = line.iter().any(|b| matches!(b, b'"' | b'\'' | b'\\'));
    if unescaped {
        unescape(line, batch).ok_or(ProtocolError::UnbalancedQuotes)?;
    } else {
        let mut position = start;
        for word in line.split(|b| words::is_blank(*b)) {
            if !word.is_empty() {
                batch
                    .words
                    .push(position as u32..(position + word.len()) as u32);
            }
            position += word.len() + 1;
        }
    }
    batch.finish(first_word, end + 1, unescaped);
    Ok(Some(end + 1))
}

/// Splits a line with quotes into words of the batch; `None` as for
/// [`words::split`].
fn unescape(line: &[u8], batch: &mut Batch) -> Option<()> {
    let mut rest = words::trim_start(line);
    while !rest.is_empty() {
        let start = batch.unescaped.len() as u32;
        rest = words::trim_start(words::take(rest, &mut batch.unescaped)?);
        batch.words.push(start..batch.unescaped.len() as u32);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPEN: Limits = Limits {
        bulk: 512 * 1024 * 1024,
        authenticated: true,
    };

    type Decoded = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

    /// Feeds `input` in pieces that end at `cuts`, as a connection does.
    fn decode(input: &[u8], cuts: &[usize], limits: Limits, max: usize) -> Decoded {
        let (mut decoder, mut batch) = (Decoder::default(), Batch::default());
        let (mut kept, mut requests) = (Vec::new(), Vec::new());
        let mut from = 0;
        for to in cuts.iter().copied().chain([input.len()]) {
            kept.extend_from_slice(&input[from..to]);
            from = to;
            loop {
                let (used, error) = decoder.decode(&kept, limits, max, &mut batch);
                for index in 0..batch.len() {
                    let (argv, _) = batch.get(index, &kept);
                    requests.push(argv.iter().map(<[u8]>::to_vec).collect());
                }
                if error.is_some() {
                    return (requests, error);
                }
                kept.drain(..used);
                if used == 0 || kept.is_empty() {
                    break;
                }
            }
        }
        (requests, None)
    }

    fn whole(input: &[u8]) -> Decoded {
        decode(input, &[], OPEN, usize::MAX)
    }

    fn words(input: &[u8]) -> Vec<Vec<u8>> {
        let (mut requests, error) = whole(input);
        assert_eq!((requests.len(), &error), (1, &None), "{requests:?}");
        requests.remove(0)
    }

    #[test]
    fn arrays_and_inline_requests_mix() {
        let (requests, error) =
            whole(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING a\r\n\n*0\r\n*-1\r\n*1\r\n$0\r\n\r\n");
        let expected: [&[&[u8]]; 6] = [&[b"GET", b"k"], &[b"PING", b"a"], &[], &[], &[], &[b""]];
        assert_eq!(requests, expected);
        assert_eq!(error, None);
    }

    #[test]
    fn quotes_follow_the_rules_of_redis_cli() {
        assert_eq!(
            words(b"a \"b c\" 'd\\'e' \"\\x41\\n\\\"\\q\" f\"g\"\n"),
            [&b"a"[..], b"b c", b"d'e", b"A\n\"q", b"fg"]
        );
        for bad in [&b"\"a\n"[..], b"'a\n", b"\"a\"b\n", b"\"a\\\n"] {
            assert_eq!(
                whole(bad),
                (vec![], Some(ProtocolError::UnbalancedQuotes)),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn every_breach_has_its_text() {
        let long = [b"*".as_slice(), &[b'1'; INLINE_MAX]].concat();
        let long_bulk = [b"*1\r\n$".as_slice(), &[b'1'; INLINE_MAX]].concat();
        let cases: [(&[u8], ProtocolError); 14] = [
            (&[b'a'; INLINE_MAX + 1], ProtocolError::TooBigInline),
            (&long, ProtocolError::TooBigCount),
            (&long_bulk, ProtocolError::TooBigLength),
            (b"*2147483648\r\n", ProtocolError::InvalidCount),
            (b"*abc\r\n", ProtocolError::InvalidCount),
            (b"*01\r\n", ProtocolError::InvalidCount),
            (b"*+1\r\n", ProtocolError::InvalidCount),
            (b"*\r\n", ProtocolError::InvalidCount),
            (b"*1\r\nfoo\r\n", ProtocolError::ExpectedDollar(b'f')),
            (b"*1\r\n$-1\r\n", ProtocolError::InvalidLength),
            (b"*1\r\n$536870913\r\n", ProtocolError::InvalidLength),
            (b"*1\r\n$a\r\n", ProtocolError::InvalidLength),
            (b"*1\r\n\r\n", ProtocolError::ExpectedDollar(b'\r')),
            (b"*1\r\n$1\r\nabc", ProtocolError::ExpectedLineEnd),
        ];
        for (input, error) in cases {
            let shown = String::from_utf8_lossy(&input[..input.len().min(20)]);
            assert_eq!(whole(input).1, Some(error), "{shown:?}");
        }
        assert_eq!(
            ProtocolError::ExpectedDollar(b'f').text(),
            b"ERR Protocol error: expected '$', got 'f'"
        );
    }

    #[test]
    fn an_unauthenticated_client_is_held_short() {
        let closed = Limits {
            authenticated: false,
            ..OPEN
        };
        let error = |input: &[u8]| decode(input, &[], closed, 1).1;
        assert_eq!(error(b"*11\r\n"), Some(ProtocolError::UnauthenticatedCount));
        assert_eq!(error(b"*10\r\n"), None);
        assert_eq!(
            error(b"*1\r\n$16385\r\n"),
            Some(ProtocolError::UnauthenticatedLength)
        );
        assert_eq!(error(b"*1\r\n$16384\r\n"), None);
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        let (mut decoder, mut batch) = (Decoder::default(), Batch::default());
        decoder.decode(b"*2147483647\r\n$536870912\r\nab", OPEN, 1, &mut batch);
        assert!(batch.words.capacity() < 64, "{}", batch.words.capacity());
        assert_eq!(decoder.missing(27), 536_870_912 + 25 + 2 - 27);
    }

    fn request() -> impl Strategy<Value = Vec<u8>> {
        let word = prop::collection::vec(any::<u8>(), 0..20);
        let array = prop::collection::vec(word, 0..5).prop_map(|words| {
            let mut out = format!("*{}\r\n", words.len()).into_bytes();
            for word in words {
                out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
                out.extend_from_slice(&word);
                out.extend_from_slice(b"\r\n");
            }
            out
        });
        let inline = "[a-z \"'\\\\]{0,12}(\r\n|\n)".prop_map(String::into_bytes);
        prop_oneof![4 => array, 1 => inline]
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_requests(
            requests in prop::collection::vec(request(), 0..8),
            garbage in prop::collection::vec(any::<u8>(), 0..10),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
            max in 1usize..5,
        ) {
            let input = [requests.concat(), garbage].concat();
            let mut cuts: Vec<_> = cuts.iter().map(|c| c.index(input.len() + 1)).collect();
            cuts.sort_unstable();
            let every: Vec<_> = (1..input.len()).collect();
            let expected = whole(&input);
            prop_assert_eq!(&decode(&input, &cuts, OPEN, max), &expected);
            prop_assert_eq!(&decode(&input, &every, OPEN, 1), &expected);
        }

        #[test]
        fn garbage_never_panics(input in prop::collection::vec(any::<u8>(), 0..300)) {
            whole(&input);
        }

        #[test]
        fn what_looks_like_a_request_never_panics(input in "[*$0-9ab\\-\r\n\"]{0,60}") {
            whole(input.as_bytes());
        }
    }
}
