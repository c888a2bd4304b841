//! A value from JSON.

use super::settings::Settings;
use crate::script::running::Pace;
use crate::script::stack::{Buffer, Raised, Stack};
use crate::text::c_number;

/// Pushes the value that a text is, which is an argument.
pub fn decode<'a>(
    stack: &mut Stack<'_>,
    settings: &'a Settings,
    text: &'a [u8],
) -> Result<(), Raised> {
    if text.len() >= 2 && text[..2].contains(&0) {
        return Err(stack.raise(format_args!(
            "JSON parser does not support UTF-16 or UTF-32"
        )));
    }
    let mut decoder = Decoder {
        settings,
        text,
        at: 0,
        start: 0,
        unescaped: Buffer::new(stack),
        len: OUTSIDE,
        lens: Buffer::new(stack),
        depth: 0,
        pace: Pace::default(),
    };
    decoder.value(stack)?;
    match decoder.token(stack)? {
        Token::End => Ok(()),
        token => Err(decoder.unexpected(stack, "the end", token)),
    }
}

/// Arrays and objects nest as deep as the text says, so it is this that keeps
/// them and not the thread's stack. On the interpreter's stack is each table
/// that is being read, and above each object the key of what comes next.
struct Decoder<'a> {
    settings: &'a Settings,
    text: &'a [u8],
    /// What comes next.
    at: usize,
    /// Where the last token starts, or what is wrong with it.
    start: usize,
    /// The last string, if there were escapes in it.
    unescaped: Buffer,
    /// How many elements are in the table that is being read, and in those
    /// around it. [`OBJECT`] and [`OUTSIDE`] are none.
    len: i32,
    lens: Buffer,
    /// How many tables are being read.
    depth: i32,
    pace: Pace,
}

#[derive(Clone, Copy)]
enum Token<'a> {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    String(&'a [u8]),
    /// A string with escapes in it: see [`Decoder::unescaped`].
    Unescaped,
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Error(&'static str),
}

/// There is room for so many elements from the start: growing takes longer.
const USUAL: usize = 4;

/// An object, or no table, where the number of elements is told.
const OBJECT: i32 = -1;
const OUTSIDE: i32 = -2;

impl<'a> Decoder<'a> {
    /// Pushes the value that comes next, with all that is in it.
    fn value(&mut self, stack: &mut Stack<'_>) -> Result<(), Raised> {
        let mut token = self.token(stack)?;
        loop {
            match token {
                Token::String(text) => stack.push_bytes(text),
                Token::Unescaped => stack.push_bytes(self.unescaped.bytes()),
                Token::Number(number) => stack.push_number(number),
                Token::Boolean(value) => stack.push_boolean(value),
                Token::Null => stack.push_null(),
                Token::ArrayBegin => {
                    self.descend(stack, 2)?;
                    stack.push_table(USUAL, 0);
                    token = self.token(stack)?;
                    if !matches!(token, Token::ArrayEnd) {
                        self.enter(stack, 0)?;
                        continue;
                    }
                    self.depth -= 1;
                }
                Token::ObjectBegin => {
                    self.descend(stack, 3)?;
                    stack.push_table(0, USUAL);
                    token = self.token(stack)?;
                    if !matches!(token, Token::ObjectEnd) {
                        self.key(stack, token)?;
                        self.enter(stack, OBJECT)?;
                        token = self.token(stack)?;
                        continue;
                    }
                    self.depth -= 1;
                }
                token => return Err(self.unexpected(stack, "value", token)),
            }
            match self.store(stack)? {
                Some(next) => token = next,
                None => return Ok(()),
            }
        }
    }

    /// Puts the value on top where it belongs, and each table that it
    /// completes. Answers what comes next; after the last value nothing does.
    fn store(&mut self, stack: &mut Stack<'_>) -> Result<Option<Token<'a>>, Raised> {
        self.pace.add(stack, 1)?;
        while self.len != OUTSIDE {
            let end = if self.len == OBJECT {
                stack.set(stack.top() - 2);
                Token::ObjectEnd
            } else {
                self.len = self.len.wrapping_add(1);
                stack.set_element(stack.top() - 1, self.len);
                Token::ArrayEnd
            };
            match (self.token(stack)?, end) {
                (Token::Comma, _) => {
                    if self.len == OBJECT {
                        let key = self.token(stack)?;
                        self.key(stack, key)?;
                    }
                    return self.token(stack).map(Some);
                }
                (Token::ArrayEnd, Token::ArrayEnd) | (Token::ObjectEnd, Token::ObjectEnd) => {
                    self.leave();
                }
                (token, Token::ArrayEnd) => {
                    return Err(self.unexpected(stack, "comma or array end", token));
                }
                (token, _) => {
                    return Err(self.unexpected(stack, "comma or object end", token));
                }
            }
        }
        Ok(None)
    }

    /// Begins a table, for which there must be room for so many values.
    fn descend(&mut self, stack: &mut Stack<'_>, values: i32) -> Result<(), Raised> {
        self.depth += 1;
        // One more is for what a long string needs.
        if self.depth > self.settings.decode_max_depth || !stack.room(values + 1) {
            let (depth, at) = (self.depth, self.at);
            return Err(stack.raise(format_args!(
                "Found too many nested data structures ({depth}) at character {at}"
            )));
        }
        Ok(())
    }

    /// What comes next is in a table that has so many elements.
    fn enter(&mut self, stack: &mut Stack<'_>, len: i32) -> Result<(), Raised> {
        self.lens.push(stack, &self.len.to_ne_bytes())?;
        self.len = len;
        Ok(())
    }

    /// The table is whole that was being read.
    fn leave(&mut self) {
        let around = self.lens.bytes().last_chunk();
        self.len = around.map_or(OUTSIDE, |len| i32::from_ne_bytes(*len));
        let len = self.lens.len().saturating_sub(size_of_val(&self.len));
        self.lens.truncate(len);
        self.depth -= 1;
    }

    /// Pushes a key, and passes the colon behind it.
    fn key(&mut self, stack: &mut Stack<'_>, token: Token<'a>) -> Result<(), Raised> {
        match token {
            Token::String(key) => stack.push_bytes(key),
            Token::Unescaped => stack.push_bytes(self.unescaped.bytes()),
            token => return Err(self.unexpected(stack, "object key string", token)),
        }
        match self.token(stack)? {
            Token::Colon => Ok(()),
            token => Err(self.unexpected(stack, "colon", token)),
        }
    }

    fn unexpected(&self, stack: &mut Stack<'_>, expected: &str, found: Token<'_>) -> Raised {
        let found = match found {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::String(_) | Token::Unescaped => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Error(why) => why,
        };
        let at = self.start + 1;
        stack.raise(format_args!(
            "Expected {expected} but found {found} at character {at}"
        ))
    }

    /// A byte, or the NUL that ends a text in C. One that is in the text ends
    /// it, too.
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    fn token(&mut self, stack: &mut Stack<'_>) -> Result<Token<'a>, Raised> {
        while matches!(self.byte(self.at), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.start = self.at;
        let token = match self.byte(self.at) {
            0 => return Ok(Token::End),
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b',' => Token::Comma,
            b':' => Token::Colon,
            b'"' => return self.string(stack),
            b'-' | b'0'..=b'9' => return Ok(self.number()),
            b'f' | b'i' | b'I' | b'n' | b'N' | b't' | b'+' => return Ok(self.word()),
            _ => return Ok(Token::Error("invalid token")),
        };
        self.at += 1;
        Ok(token)
    }

    fn word(&mut self) -> Token<'a> {
        let rest = &self.text[self.at..];
        let (token, len) = if rest.starts_with(b"true") {
            (Token::Boolean(true), 4)
        } else if rest.starts_with(b"false") {
            (Token::Boolean(false), 5)
        } else if rest.starts_with(b"null") {
            (Token::Null, 4)
        } else if self.settings.decode_invalid_numbers && is_invalid_number(rest) {
            return self.number();
        } else {
            (Token::Error("invalid token"), 0)
        };
        self.at += len;
        token
    }

    fn number(&mut self) -> Token<'a> {
        let rest = &self.text[self.at..];
        if !self.settings.decode_invalid_numbers && is_invalid_number(rest) {
            return Token::Error("invalid number");
        }
        match c_number::read_start(rest) {
            Some((number, len)) => {
                self.at += len;
                Token::Number(number)
            }
            None => Token::Error("invalid number"),
        }
    }

    fn string(&mut self, stack: &mut Stack<'_>) -> Result<Token<'a>, Raised> {
        self.at += 1;
        let start = self.at;
        match self.plain() {
            Some((text, b'"')) => {
                self.at += 1;
                return Ok(Token::String(text));
            }
            Some((_, b'\\')) => {}
            _ => return Ok(self.error("unexpected end of string")),
        }
        self.unescaped.truncate(0);
        self.unescaped.push(stack, &self.text[start..self.at])?;
        loop {
            match self.escape(stack)? {
                Ok(len) => self.at += len,
                Err(why) => return Ok(self.error(why)),
            }
            let Some((text, next)) = self.plain() else {
                return Ok(self.error("unexpected end of string"));
            };
            self.unescaped.push(stack, text)?;
            match next {
                b'"' => {
                    self.at += 1;
                    return Ok(Token::Unescaped);
                }
                b'\\' => {}
                _ => return Ok(self.error("unexpected end of string")),
            }
        }
    }

    /// Passes what comes next in a string, up to its end, an escape or a NUL;
    /// answers it and what comes then.
    fn plain(&mut self) -> Option<(&'a [u8], u8)> {
        let rest = &self.text[self.at..];
        let Some(len) = memchr::memchr3(b'"', b'\\', 0, rest) else {
            self.at = self.text.len();
            return None;
        };
        self.at += len;
        Some((&rest[..len], rest[len]))
    }

    /// Something is wrong, and not at the start of the token.
    fn error(&mut self, why: &'static str) -> Token<'a> {
        self.start = self.at;
        Token::Error(why)
    }

    /// Adds what an escape stands for, and answers how long the escape is, or
    /// what is wrong with it.
    fn escape(&mut self, stack: &mut Stack<'_>) -> Result<Result<usize, &'static str>, Raised> {
        let byte = match self.byte(self.at + 1) {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 12,
            b'r' => b'\r',
            b'u' => {
                let Some((character, len)) = self.unicode() else {
                    return Ok(Err("invalid unicode escape code"));
                };
                let mut buffer = [0; 4];
                let character = character.encode_utf8(&mut buffer).as_bytes();
                self.unescaped.push(stack, character)?;
                return Ok(Ok(len));
            }
            _ => return Ok(Err("invalid escape code")),
        };
        self.unescaped.push(stack, &[byte])?;
        Ok(Ok(2))
    }

    /// What `\uXXXX` stands for, or two of them that are surrogates.
    fn unicode(&self) -> Option<(char, usize)> {
        let unit = |at: usize| {
            let digits = self.text.get(at..at + 4)?;
            digits.iter().try_fold(0, |unit, digit| {
                Some(unit << 4 | char::from(*digit).to_digit(16)?)
            })
        };
        let first = unit(self.at + 2)?;
        if !(0xD800..0xE000).contains(&first) {
            return Some((char::from_u32(first)?, 6));
        }
        if first >= 0xDC00 || !self.text[self.at + 6..].starts_with(b"\\u") {
            return None;
        }
        let second = unit(self.at + 8)?;
        if !(0xDC00..0xE000).contains(&second) {
            return None;
        }
        let character = 0x1_0000 + ((first & 0x3FF) << 10 | second & 0x3FF);
        Some((char::from_u32(character)?, 12))
    }
}

/// Whether this is a number that JSON has not got: one with a plus, leading
/// zeros, hexadecimal digits, infinity, NaN.
fn is_invalid_number(text: &[u8]) -> bool {
    let begins_with = |text: &[u8], word: &[u8]| {
        let start = text.get(..word.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(word))
    };
    match text.strip_prefix(b"-").unwrap_or(text) {
        _ if text.starts_with(b"+") => true,
        [b'0', next, ..] => matches!(next, b'x' | b'X' | b'0'..=b'9'),
        digits => begins_with(digits, b"inf") || begins_with(digits, b"nan"),
    }
}
