//! A value from JSON.

use std::borrow::Cow;

use mlua::{IntoLua, LightUserData, Lua, Table, Value};

use super::settings::Settings;
use crate::script::native::{Raise, Result, STACK_MAX};
use crate::text::c_number;

/// What JSON's null is to a script.
pub const NULL: LightUserData = LightUserData(std::ptr::null_mut());

/// The value that a text is.
pub fn decode(lua: &Lua, settings: &Settings, text: &[u8]) -> Result<Value> {
    if text.len() >= 2 && text[..2].contains(&0) {
        return Err(Raise::text("JSON parser does not support UTF-16 or UTF-32"));
    }
    let mut decoder = Decoder {
        lua,
        settings,
        text,
        at: 0,
        start: 0,
        levels: Vec::new(),
        stack: 1,
    };
    let value = decoder.value()?;
    match decoder.token() {
        Token::End => Ok(value),
        token => Err(decoder.unexpected("the end", &token)),
    }
}

/// Arrays and objects nest as deep as the text says, so it is this that keeps
/// them and not the thread's stack.
struct Decoder<'a> {
    lua: &'a Lua,
    settings: &'a Settings,
    text: &'a [u8],
    /// What comes next.
    at: usize,
    /// Where the last token starts, or what is wrong with it.
    start: usize,
    /// The tables that are being read, the outermost first.
    levels: Vec<Level<'a>>,
    /// How many values Redis would have on its stack.
    stack: usize,
}

/// A table that is being read.
enum Level<'a> {
    Array { table: Table, len: i64 },
    Object { table: Table, key: Cow<'a, [u8]> },
}

enum Token<'a> {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    String(Cow<'a, [u8]>),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Error(&'static str),
}

/// A value that has been read.
enum Item<'a> {
    String(Cow<'a, [u8]>),
    Number(f64),
    Boolean(bool),
    Null,
    Table(Table),
}

impl<'a> Decoder<'a> {
    /// The value that comes next, with all that is in it.
    fn value(&mut self) -> Result<Value> {
        let mut token = self.token();
        loop {
            let item = match token {
                Token::String(text) => Item::String(text),
                Token::Number(number) => Item::Number(number),
                Token::Boolean(value) => Item::Boolean(value),
                Token::Null => Item::Null,
                Token::ArrayBegin => match self.array_begin()? {
                    Begun::Whole(table) => Item::Table(table),
                    Begun::At(first) => {
                        token = first;
                        continue;
                    }
                },
                Token::ObjectBegin => match self.object_begin()? {
                    Begun::Whole(table) => Item::Table(table),
                    Begun::At(first) => {
                        token = first;
                        continue;
                    }
                },
                token => return Err(self.unexpected("value", &token)),
            };
            match self.store(item)? {
                Stored::All(value) => return Ok(value),
                Stored::MoreAt(next) => token = next,
            }
        }
    }

    fn array_begin(&mut self) -> Result<Begun<'a>> {
        self.descend(2)?;
        let table = self.lua.create_table()?;
        match self.token() {
            Token::ArrayEnd => Ok(Begun::Whole(table)),
            first => {
                self.stack += 1;
                self.levels.push(Level::Array { table, len: 0 });
                Ok(Begun::At(first))
            }
        }
    }

    fn object_begin(&mut self) -> Result<Begun<'a>> {
        self.descend(3)?;
        let table = self.lua.create_table()?;
        match self.token() {
            Token::ObjectEnd => Ok(Begun::Whole(table)),
            token => {
                let key = self.key(token)?;
                self.stack += 2;
                self.levels.push(Level::Object { table, key });
                Ok(Begun::At(self.token()))
            }
        }
    }

    /// Whether there may be another level, which has so many values on the
    /// stack.
    fn descend(&self, values: usize) -> Result<()> {
        let depth = self.levels.len() + 1;
        if depth > self.settings.decode_max_depth as usize || self.stack + values > STACK_MAX {
            let at = self.at;
            return Err(Raise::text(format!(
                "Found too many nested data structures ({depth}) at character {at}"
            )));
        }
        Ok(())
    }

    /// A key, and the colon behind it.
    fn key(&mut self, token: Token<'a>) -> Result<Cow<'a, [u8]>> {
        let Token::String(key) = token else {
            return Err(self.unexpected("object key string", &token));
        };
        match self.token() {
            Token::Colon => Ok(key),
            token => Err(self.unexpected("colon", &token)),
        }
    }

    /// Puts a value where it belongs, and each table that it completes.
    fn store(&mut self, mut item: Item<'a>) -> Result<Stored<'a>> {
        while let Some(level) = self.levels.pop() {
            match level {
                Level::Array { table, mut len } => {
                    len += 1;
                    item.store(self.lua, &table, len)?;
                    match self.token() {
                        Token::Comma => {
                            self.levels.push(Level::Array { table, len });
                            return Ok(Stored::MoreAt(self.token()));
                        }
                        Token::ArrayEnd => self.stack -= 1,
                        token => return Err(self.unexpected("comma or array end", &token)),
                    }
                    item = Item::Table(table);
                }
                Level::Object { table, key } => {
                    match str::from_utf8(&key) {
                        Ok(key) => item.store(self.lua, &table, key)?,
                        Err(_) => item.store(self.lua, &table, self.lua.create_string(key)?)?,
                    }
                    match self.token() {
                        Token::Comma => {
                            let token = self.token();
                            let key = self.key(token)?;
                            self.levels.push(Level::Object { table, key });
                            return Ok(Stored::MoreAt(self.token()));
                        }
                        Token::ObjectEnd => self.stack -= 2,
                        token => return Err(self.unexpected("comma or object end", &token)),
                    }
                    item = Item::Table(table);
                }
            }
        }
        Ok(Stored::All(item.into_value(self.lua)?))
    }

    fn unexpected(&self, expected: &str, found: &Token<'_>) -> Raise {
        let found = match found {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::String(_) => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Error(why) => why,
        };
        let at = self.start + 1;
        Raise::text(format!(
            "Expected {expected} but found {found} at character {at}"
        ))
    }

    /// A byte, or the NUL that ends a text in C. One that is in the text ends
    /// it, too.
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    fn token(&mut self) -> Token<'a> {
        while matches!(self.byte(self.at), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.start = self.at;
        let token = match self.byte(self.at) {
            0 => return Token::End,
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b',' => Token::Comma,
            b':' => Token::Colon,
            b'"' => return self.string(),
            b'-' | b'0'..=b'9' => return self.number(),
            b'f' | b'i' | b'I' | b'n' | b'N' | b't' | b'+' => return self.word(),
            _ => return Token::Error("invalid token"),
        };
        self.at += 1;
        token
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

    fn string(&mut self) -> Token<'a> {
        self.at += 1;
        let mut start = self.at;
        let mut escaped: Option<Vec<u8>> = None;
        loop {
            let rest = &self.text[self.at..];
            let Some(len) = rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\' | 0))
            else {
                self.at = self.text.len();
                return self.error("unexpected end of string");
            };
            self.at += len;
            let plain = &self.text[start..self.at];
            match rest[len] {
                b'"' => {
                    self.at += 1;
                    return Token::String(match escaped {
                        Some(mut text) => {
                            text.extend_from_slice(plain);
                            Cow::Owned(text)
                        }
                        None => Cow::Borrowed(plain),
                    });
                }
                b'\\' => {
                    let text = escaped.get_or_insert_default();
                    text.extend_from_slice(plain);
                    match self.escape(text) {
                        Ok(len) => self.at += len,
                        Err(why) => return self.error(why),
                    }
                    start = self.at;
                }
                _ => return self.error("unexpected end of string"),
            }
        }
    }

    /// Something is wrong, and not at the start of the token.
    fn error(&mut self, why: &'static str) -> Token<'a> {
        self.start = self.at;
        Token::Error(why)
    }

    /// Adds what an escape stands for, and answers how long the escape is.
    fn escape(&self, text: &mut Vec<u8>) -> std::result::Result<usize, &'static str> {
        let byte = match self.byte(self.at + 1) {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 12,
            b'r' => b'\r',
            b'u' => {
                let (character, len) = self.unicode().ok_or("invalid unicode escape code")?;
                let mut buffer = [0; 4];
                text.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
                return Ok(len);
            }
            _ => return Err("invalid escape code"),
        };
        text.push(byte);
        Ok(2)
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

/// A table that has begun: it is empty, or its first value is this.
enum Begun<'a> {
    Whole(Table),
    At(Token<'a>),
}

/// A value was put where it belongs: it was the last, or the next is this.
enum Stored<'a> {
    All(Value),
    MoreAt(Token<'a>),
}

impl Item<'_> {
    fn into_value(self, lua: &Lua) -> Result<Value> {
        Ok(match self {
            Item::String(text) => Value::String(lua.create_string(text)?),
            Item::Number(number) => Value::Number(number),
            Item::Boolean(value) => Value::Boolean(value),
            Item::Null => Value::LightUserData(NULL),
            Item::Table(table) => Value::Table(table),
        })
    }

    fn store(self, lua: &Lua, table: &Table, key: impl IntoLua) -> Result<()> {
        match self {
            Item::String(text) => match str::from_utf8(&text) {
                Ok(text) => table.raw_set(key, text)?,
                Err(_) => table.raw_set(key, lua.create_string(text)?)?,
            },
            Item::Number(number) => table.raw_set(key, number)?,
            Item::Boolean(value) => table.raw_set(key, value)?,
            Item::Null => table.raw_set(key, NULL)?,
            Item::Table(value) => table.raw_set(key, value)?,
        }
        Ok(())
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
