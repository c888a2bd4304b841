//! Between replies and the values of Lua.
//!
//! The rules are those of Redis: <https://redis.io/docs/latest/develop/programmability/lua-api/>,
//! "Data type conversion".

use mlua::{Lua, Table, Value};

use super::native::truncate;
use crate::error::Error;
use crate::resp::Reply;
use crate::text::{double, number};

/// A table may hold so many levels of others in a reply.
const DEPTH_MAX: usize = 200;

/// The value of a whole reply, as a script sees it.
///
/// # Errors
///
/// The interpreter is out of memory.
pub fn to_lua(lua: &Lua, reply: &[u8]) -> mlua::Result<Value> {
    Reader { lua, rest: reply }.value()
}

/// The text of a reply that is a string, if it is short and UTF-8.
pub fn short_text(reply: &[u8]) -> Option<&str> {
    const LINE_MAX: usize = 8;
    let len = reply.strip_prefix(b"$")?;
    let end = len.iter().take(LINE_MAX).position(|&byte| byte == b'\r')?;
    let text = len.get(end + 2..)?.strip_suffix(b"\r\n")?;
    std::str::from_utf8(text).ok()
}

/// Whether a reply is an error.
pub fn is_error(reply: &[u8]) -> bool {
    reply.first() == Some(&b'-')
}

/// What is left of a reply, which is one of our own and so well-formed.
struct Reader<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> mlua::Result<Value> {
        let line = self.line();
        let (kind, text) = line.split_first().unwrap_or((&b'_', b""));
        let lua = self.lua;
        let len = || number::parse_i64(text).and_then(|len| usize::try_from(len).ok());
        Ok(match kind {
            b':' => Value::Number(number::parse_i64(text).unwrap_or(0) as f64),
            b'$' => match len() {
                Some(len) => self.string(len)?,
                None => Value::Boolean(false),
            },
            b'+' => table_of(lua, "ok", self.text(text)?)?,
            b'-' => {
                let error = lua.create_table_with_capacity(0, 2)?;
                error.raw_set("err", self.text(text)?)?;
                // Whoever returns it does not count it once more.
                error.raw_set("ignore_error_stats_update", true)?;
                Value::Table(error)
            }
            b'*' => match len() {
                Some(len) => Value::Table(self.array(len)?),
                None => Value::Boolean(false),
            },
            b'%' => {
                let map = lua.create_table()?;
                for _ in 0..len().unwrap_or(0) {
                    let (key, value) = (self.value()?, self.value()?);
                    map.raw_set(key, value)?;
                }
                table_of(lua, "map", Value::Table(map))?
            }
            b'~' => {
                let set = lua.create_table()?;
                for _ in 0..len().unwrap_or(0) {
                    set.raw_set(self.value()?, true)?;
                }
                table_of(lua, "set", Value::Table(set))?
            }
            b',' => {
                let value = double::parse(text).unwrap_or(f64::NAN);
                table_of(lua, "double", Value::Number(value))?
            }
            b'#' => Value::Boolean(text == b"t"),
            b'(' => table_of(lua, "big_number", self.text(text)?)?,
            b'=' => {
                let len = len().unwrap_or(4);
                let bytes = self.bytes(len);
                let (format, text) = bytes.split_at_checked(3).unwrap_or_default();
                let verbatim = lua.create_table()?;
                verbatim.raw_set("format", lua.create_string(format)?)?;
                verbatim.raw_set("string", lua.create_string(text.get(1..).unwrap_or(b""))?)?;
                table_of(lua, "verbatim_string", Value::Table(verbatim))?
            }
            _ => Value::Nil,
        })
    }

    fn array(&mut self, len: usize) -> mlua::Result<Table> {
        let array = self.lua.create_table_with_capacity(len, 0)?;
        for index in 1..=len {
            array.raw_seti(index, self.value()?)?;
        }
        Ok(array)
    }

    fn text(&self, text: &[u8]) -> mlua::Result<Value> {
        Ok(Value::String(self.lua.create_string(text)?))
    }

    fn string(&mut self, len: usize) -> mlua::Result<Value> {
        let bytes = self.bytes(len);
        self.text(bytes)
    }

    /// So many bytes, which a line end follows.
    fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.rest.split_at_checked(len).unwrap_or_default();
        self.rest = rest.get(2..).unwrap_or_default();
        bytes
    }

    fn line(&mut self) -> &'a [u8] {
        let end = memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or_default();
        line.strip_suffix(b"\r").unwrap_or(line)
    }
}

fn table_of(lua: &Lua, field: &str, value: Value) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(field, value)?;
    Ok(Value::Table(table))
}

/// Writes what a script has returned. `resp3` tells whether it has asked for
/// the types of RESP3.
///
/// # Errors
///
/// The interpreter is out of memory.
pub fn to_reply(value: &Value, resp3: bool, reply: &mut Reply<'_>) -> mlua::Result<()> {
    write(value, resp3, reply, DEPTH_MAX)
}

fn write(value: &Value, resp3: bool, reply: &mut Reply<'_>, depth: usize) -> mlua::Result<()> {
    match value {
        Value::String(text) => reply.bulk(&text.as_bytes()),
        Value::Boolean(value) if resp3 => reply.bool(*value),
        Value::Boolean(true) => reply.int(1),
        Value::Number(number) => reply.int(truncate(*number)),
        Value::Integer(number) => reply.int(*number),
        Value::Table(_) if depth == 0 => reply.error(&Error::SCRIPT_STACK),
        Value::Table(table) => return write_table(table, resp3, reply, depth - 1),
        _ => reply.null(),
    }
    Ok(())
}

fn write_table(
    table: &Table,
    resp3: bool,
    reply: &mut Reply<'_>,
    depth: usize,
) -> mlua::Result<()> {
    if let Value::String(text) = table.raw_get("err")? {
        reply.error(&Error::raised(text.as_bytes().to_vec()));
        return Ok(());
    }
    if let Value::String(text) = table.raw_get("ok")? {
        reply.simple(&text.as_bytes());
        return Ok(());
    }
    match table.raw_get("double")? {
        Value::Number(value) => {
            reply.double(value);
            return Ok(());
        }
        Value::Integer(value) => {
            reply.double(value as f64);
            return Ok(());
        }
        _ => {}
    }
    if let Value::Table(map) = table.raw_get("map")? {
        let pairs = map.pairs::<Value, Value>().count();
        reply.map(pairs);
        for pair in map.pairs::<Value, Value>() {
            let (key, value) = pair?;
            write(&key, resp3, reply, depth)?;
            write(&value, resp3, reply, depth)?;
        }
        return Ok(());
    }
    if let Value::Table(set) = table.raw_get("set")? {
        let members = set.pairs::<Value, Value>().count();
        reply.set(members);
        for pair in set.pairs::<Value, Value>() {
            let (member, _) = pair?;
            write(&member, resp3, reply, depth)?;
        }
        return Ok(());
    }
    if let Value::String(digits) = table.raw_get("big_number")? {
        reply.big_number(&digits.to_string_lossy());
        return Ok(());
    }
    if let Value::Table(verbatim) = table.raw_get("verbatim_string")?
        && let Value::String(text) = verbatim.raw_get("string")?
        && let Value::String(format) = verbatim.raw_get("format")?
    {
        reply.verbatim(&format.to_string_lossy(), &text.as_bytes());
        return Ok(());
    }
    // Up to the first nil, which may be earlier than where the table ends.
    let mut len = 0;
    while !matches!(table.raw_get(len + 1)?, Value::Nil) {
        len += 1;
    }
    reply.array(len);
    for index in 1..=len {
        let value: Value = table.raw_get(index)?;
        write(&value, resp3, reply, depth)?;
    }
    Ok(())
}
