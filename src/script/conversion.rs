//! From the values of Lua to replies.
//!
//! The rules are those of Redis: <https://redis.io/docs/latest/develop/programmability/lua-api/>,
//! "Data type conversion".

use mlua::{Table, Value};

use super::native::truncate;
use crate::error::Error;
use crate::resp::Reply;

/// A table may hold so many levels of others in a reply.
const DEPTH_MAX: usize = 200;

/// Writes what a script has returned. `resp3` tells whether it has asked for
/// the types of RESP3.
///
/// # Errors
///
/// The interpreter is out of memory.
pub fn to_reply(
    value: &Value,
    resp3: bool,
    reply: &mut Reply<'_>,
    note_error: NoteError<'_>,
) -> mlua::Result<()> {
    write(value, resp3, reply, (note_error, DEPTH_MAX))
}

/// Hears of the texts of errors that are written, and whether they are counted
/// already.
type NoteError<'a> = &'a mut dyn FnMut(&[u8], bool);

fn write(
    value: &Value,
    resp3: bool,
    reply: &mut Reply<'_>,
    (note_error, depth): (NoteError<'_>, usize),
) -> mlua::Result<()> {
    match value {
        Value::String(text) => reply.bulk(&text.as_bytes()),
        Value::Boolean(value) if resp3 => reply.bool(*value),
        Value::Boolean(true) => reply.int(1),
        Value::Number(number) => reply.int(truncate(*number)),
        Value::Integer(number) => reply.int(*number),
        Value::Table(_) if depth == 0 => {
            note_error(Error::SCRIPT_STACK.text(), false);
            reply.error(&Error::SCRIPT_STACK);
        }
        Value::Table(table) => return write_table(table, resp3, reply, (note_error, depth - 1)),
        _ => reply.null(),
    }
    Ok(())
}

fn write_table(
    table: &Table,
    resp3: bool,
    reply: &mut Reply<'_>,
    (note_error, depth): (NoteError<'_>, usize),
) -> mlua::Result<()> {
    if let Value::String(text) = table.raw_get("err")? {
        let text = text.as_bytes();
        let text = without_line_end(up_to_nul(&text));
        let counted: Value = table.raw_get("ignore_error_stats_update")?;
        note_error(text, !matches!(counted, Value::Nil | Value::Boolean(false)));
        reply.error(&Error::raised(text.to_vec()));
        return Ok(());
    }
    if let Value::String(text) = table.raw_get("ok")? {
        reply.simple(up_to_nul(&text.as_bytes()));
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
    if let Value::String(digits) = table.raw_get("big_number")? {
        let digits = digits.to_string_lossy().replace(['\r', '\n'], " ");
        reply.big_number(&digits);
        return Ok(());
    }
    if let Value::Table(verbatim) = table.raw_get("verbatim_string")?
        && let Value::String(text) = verbatim.raw_get("string")?
        && let Value::String(format) = verbatim.raw_get("format")?
    {
        reply.verbatim(&three_bytes(&format.as_bytes()), &text.as_bytes());
        return Ok(());
    }
    if let Value::Table(map) = table.raw_get("map")? {
        let pairs = map.pairs::<Value, Value>().count();
        reply.map(pairs);
        for pair in map.pairs::<Value, Value>() {
            let (key, value) = pair?;
            write(&key, resp3, reply, (note_error, depth))?;
            write(&value, resp3, reply, (note_error, depth))?;
        }
        return Ok(());
    }
    if let Value::Table(set) = table.raw_get("set")? {
        let members = set.pairs::<Value, Value>().count();
        reply.set(members);
        for pair in set.pairs::<Value, Value>() {
            let (member, _) = pair?;
            write(&member, resp3, reply, (note_error, depth))?;
        }
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
        write(&value, resp3, reply, (note_error, depth))?;
    }
    Ok(())
}

/// What C sees of a text.
pub fn up_to_nul(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Line ends behind the text of an error are no part of it.
fn without_line_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b'\r' | b'\n'] = text {
        text = rest;
    }
    text
}

/// The format of a verbatim string, cut or filled up: it has three bytes.
fn three_bytes(format: &[u8]) -> [u8; 3] {
    let mut bytes = [b' '; 3];
    for (byte, given) in bytes.iter_mut().zip(up_to_nul(format)) {
        *byte = *given;
    }
    bytes
}
