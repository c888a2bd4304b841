//! Values from MessagePack.

use mlua::{Lua, MultiValue, Table, Value};

use crate::script::modules::work::{VALUE, Work};
use crate::script::native::{Arguments, Raise, Result, STACK_MAX};

/// Which values of a text to answer.
pub enum Request {
    /// All of them.
    All,
    /// At most so many, from this byte on, behind where the next starts.
    Some {
        /// How many.
        limit: i64,
        /// Which byte.
        offset: i64,
    },
}

impl Request {
    /// None from the start means all, as it does there.
    pub fn new(limit: i64, offset: i64) -> Request {
        match (limit, offset) {
            (0, 0) => Request::All,
            _ => Request::Some { limit, offset },
        }
    }
}

/// The values of the text that is the first argument.
pub fn unpack(lua: &Lua, arguments: &Arguments, request: Request) -> Result<MultiValue> {
    let text = arguments.string(lua, 1)?;
    let text = text.as_bytes();
    let len = text.len();
    let (limit, offset) = match request {
        Request::All => (i64::from(i32::MAX), 0),
        Request::Some { limit, offset } => (limit, offset),
    };
    if offset < 0 || limit < 0 {
        // It says the length where it speaks of the limit, and both as C ints.
        let (offset, len) = (offset as i32, len as i32);
        return Err(Raise::text(format!(
            "Invalid request to unpack with offset of {offset} and limit of {len}."
        )));
    }
    let is_within = |offset: &usize| *offset <= len;
    let Some(offset) = usize::try_from(offset).ok().filter(is_within) else {
        let (offset, len) = (offset as i32, len as i32);
        return Err(Raise::text(format!(
            "Start offset {offset} greater than input length {len}."
        )));
    };
    // Of all arguments the other functions keep but the first.
    let kept = match request {
        Request::All => arguments.len(),
        Request::Some { .. } => 1,
    };
    let mut unpacker = Unpacker {
        lua,
        rest: &text[offset..],
        levels: Vec::new(),
        stack: kept,
        work: Work::default(),
    };
    let mut values = MultiValue::new();
    while !unpacker.rest.is_empty() && (values.len() as i64) < limit {
        values.push_back(unpacker.value()?);
        unpacker.stack += 1;
    }
    if let Request::Some { .. } = request {
        let next = match unpacker.rest.len() {
            0 => -1,
            left => (len - left) as i64,
        };
        values.push_front(Value::Integer(next));
    }
    Ok(values)
}

/// Arrays and maps nest as deep as the text says, so it is this that keeps
/// them and not the thread's stack. What their heads announce is believed when
/// it comes.
struct Unpacker<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
    /// The tables that are being read, the outermost first.
    levels: Vec<Level>,
    /// How many values Redis would have on its stack.
    stack: usize,
    work: Work,
}

/// A table that is being read, and how much of it is still to come.
enum Level {
    Array {
        table: Table,
        len: i64,
        left: u32,
    },
    Map {
        table: Table,
        /// That of the value that comes next, if it has been read.
        key: Option<Value>,
        left: u32,
    },
}

/// A value, or the start of one.
enum Token {
    Value(Value),
    Array(u32),
    Map(u32),
}

impl Unpacker<'_> {
    /// The value that comes next, with all that is in it.
    fn value(&mut self) -> Result<Value> {
        loop {
            let value = match self.token()? {
                Token::Value(value) => value,
                Token::Array(left) => {
                    let table = self.lua.create_table()?;
                    if self.stack + 2 > STACK_MAX {
                        let why = "in function mp_decode_to_lua_array";
                        return Err(Raise::stack_overflow(why));
                    }
                    if left > 0 {
                        self.stack += 2;
                        let len = 0;
                        self.levels.push(Level::Array { table, len, left });
                        continue;
                    }
                    Value::Table(table)
                }
                Token::Map(left) => {
                    let table = self.lua.create_table()?;
                    if left > 0 {
                        self.stack += 1;
                        let key = None;
                        self.levels.push(Level::Map { table, key, left });
                        continue;
                    }
                    Value::Table(table)
                }
            };
            match self.store(value)? {
                Some(value) => return Ok(value),
                None => continue,
            }
        }
    }

    /// Puts a value where it belongs, and each table that it completes. The
    /// outermost value is answered.
    fn store(&mut self, mut value: Value) -> Result<Option<Value>> {
        while let Some(level) = self.levels.pop() {
            match level {
                Level::Array {
                    table,
                    mut len,
                    mut left,
                } => {
                    len += 1;
                    left -= 1;
                    table.raw_set(len, value)?;
                    if left > 0 {
                        self.levels.push(Level::Array { table, len, left });
                        return Ok(None);
                    }
                    self.stack -= 2;
                    value = Value::Table(table);
                }
                Level::Map { table, key, left } => {
                    let Some(name) = key else {
                        let key = Some(value);
                        self.stack += 1;
                        self.levels.push(Level::Map { table, key, left });
                        return Ok(None);
                    };
                    self.stack -= 1;
                    set(&table, name, value)?;
                    let left = left - 1;
                    if left > 0 {
                        let key = None;
                        self.levels.push(Level::Map { table, key, left });
                        return Ok(None);
                    }
                    self.stack -= 1;
                    value = Value::Table(table);
                }
            }
        }
        Ok(Some(value))
    }

    fn token(&mut self) -> Result<Token> {
        let [head] = self.take()?;
        self.work.add(VALUE)?;
        if self.stack + 1 > STACK_MAX {
            let why = "too many return values at once; \
                       use unpack_one or unpack_limit instead.";
            return Err(Raise::stack_overflow(why));
        }
        let value = match head {
            0x00..=0x7f => Value::Integer(i64::from(head)),
            0x80..=0x8f => return Ok(Token::Map(u32::from(head & 15))),
            0x90..=0x9f => return Ok(Token::Array(u32::from(head & 15))),
            0xa0..=0xbf => self.string(u32::from(head & 31))?,
            0xc0 => Value::Nil,
            0xc2 => Value::Boolean(false),
            0xc3 => Value::Boolean(true),
            0xca => Value::Number(f64::from(f32::from_be_bytes(self.take()?))),
            0xcb => Value::Number(f64::from_be_bytes(self.take()?)),
            0xcc => Value::Integer(i64::from(u8::from_be_bytes(self.take()?))),
            0xcd => Value::Integer(i64::from(u16::from_be_bytes(self.take()?))),
            0xce => Value::Integer(i64::from(u32::from_be_bytes(self.take()?))),
            // What is beyond the signed ones comes out negative there, too.
            0xcf | 0xd3 => Value::Integer(i64::from_be_bytes(self.take()?)),
            0xd0 => Value::Integer(i64::from(i8::from_be_bytes(self.take()?))),
            0xd1 => Value::Integer(i64::from(i16::from_be_bytes(self.take()?))),
            0xd2 => Value::Integer(i64::from(i32::from_be_bytes(self.take()?))),
            0xd9 => {
                let len = u8::from_be_bytes(self.take()?);
                self.string(u32::from(len))?
            }
            0xda => {
                let len = u16::from_be_bytes(self.take()?);
                self.string(u32::from(len))?
            }
            0xdb => {
                let len = u32::from_be_bytes(self.take()?);
                self.string(len)?
            }
            0xdc => return Ok(Token::Array(u32::from(u16::from_be_bytes(self.take()?)))),
            0xdd => return Ok(Token::Array(u32::from_be_bytes(self.take()?))),
            0xde => return Ok(Token::Map(u32::from(u16::from_be_bytes(self.take()?)))),
            0xdf => return Ok(Token::Map(u32::from_be_bytes(self.take()?))),
            0xe0..=0xff => Value::Integer(i64::from(head as i8)),
            _ => return Err(Raise::text("Bad data format in input.")),
        };
        Ok(Token::Value(value))
    }

    fn string(&mut self, len: u32) -> Result<Value> {
        let (text, rest) = self
            .rest
            .split_at_checked(len as usize)
            .ok_or_else(missing)?;
        self.rest = rest;
        Ok(Value::String(self.lua.create_string(text)?))
    }

    /// The next bytes.
    fn take<const LEN: usize>(&mut self) -> Result<[u8; LEN]> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(missing)?;
        self.rest = rest;
        Ok(*bytes)
    }
}

fn missing() -> Raise {
    Raise::text("Missing bytes in input.")
}

fn set(table: &Table, key: Value, value: Value) -> Result<()> {
    match key {
        Value::Nil => Err(Raise::bare("table index is nil")),
        Value::Number(number) if number.is_nan() => Err(Raise::bare("table index is NaN")),
        key => Ok(table.raw_set(key, value)?),
    }
}
