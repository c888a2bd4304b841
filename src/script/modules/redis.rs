//! The `redis` library, but for what needs the server.

use mlua::{Lua, MultiValue, Table, Value};

use crate::config::REDIS_VERSION;
use crate::script::native::{Arguments, Native, Raise, Result, error_table};
use crate::script::sha::Sha;

/// The library's table.
pub fn table(native: &Native<'_>) -> mlua::Result<Table> {
    let lua = native.lua;
    let table = lua.create_table()?;
    for (name, value) in [
        ("LOG_DEBUG", 0),
        ("LOG_VERBOSE", 1),
        ("LOG_NOTICE", 2),
        ("LOG_WARNING", 3),
        ("REPL_NONE", 0),
        ("REPL_AOF", 1),
        ("REPL_SLAVE", 2),
        ("REPL_REPLICA", 2),
        ("REPL_ALL", 3),
    ] {
        table.raw_set(name, f64::from(value))?;
    }
    table.raw_set("REDIS_VERSION", REDIS_VERSION)?;
    table.raw_set("REDIS_VERSION_NUM", version_number())?;
    table.raw_set("breakpoint", native.function(breakpoint)?)?;
    table.raw_set("debug", native.function(nothing)?)?;
    table.raw_set("error_reply", native.function(error_reply)?)?;
    table.raw_set("log", native.function(log)?)?;
    table.raw_set("replicate_commands", native.function(replicate_commands)?)?;
    table.raw_set("set_repl", native.function(set_repl)?)?;
    table.raw_set("sha1hex", native.function(sha1hex)?)?;
    table.raw_set("status_reply", native.function(status_reply)?)?;
    Ok(table)
}

/// The version that we answer to, a byte for each of its parts.
fn version_number() -> f64 {
    let parts = REDIS_VERSION.split('.');
    let numbers = parts.map(|part| part.parse().unwrap_or(0.0));
    numbers.fold(0.0, |number, part: f64| number * 256.0 + part)
}

fn one(value: Value) -> Result<MultiValue> {
    Ok(MultiValue::from_iter([value]))
}

/// There is no debugger.
fn breakpoint(_: &Lua, _: &Arguments) -> Result<MultiValue> {
    one(Value::Boolean(false))
}

/// It is for the debugger alone.
fn nothing(_: &Lua, _: &Arguments) -> Result<MultiValue> {
    Ok(MultiValue::new())
}

fn sha1hex(lua: &Lua, arguments: &Arguments) -> Result<MultiValue> {
    if arguments.len() != 1 {
        return Err(Raise::Error("ERR wrong number of arguments"));
    }
    let text = match arguments.get(1) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => match lua.coerce_string(value.clone())? {
            Some(text) => text,
            None => lua.create_string("")?,
        },
        None => lua.create_string("")?,
    };
    let sha = Sha::of(&text.as_bytes()).to_string();
    one(Value::String(lua.create_string(sha)?))
}

/// The one string that there must be.
fn only_string(arguments: &Arguments) -> Option<&mlua::LuaString> {
    match arguments.get(1) {
        Some(Value::String(text)) if arguments.len() == 1 => Some(text),
        _ => None,
    }
}

const WRONG_ARGUMENTS: &[u8] = b"ERR wrong number or type of arguments";

fn error_reply(lua: &Lua, arguments: &Arguments) -> Result<MultiValue> {
    let Some(text) = only_string(arguments) else {
        return one(error_table(lua, WRONG_ARGUMENTS)?);
    };
    let text = text.as_bytes();
    let text = text.strip_prefix(b"-").unwrap_or(&text);
    // A text without a code gets one.
    let has_code = text.contains(&b' ');
    let code: &[u8] = if has_code { b"" } else { b"ERR " };
    one(error_table(lua, &[code, text].concat())?)
}

fn status_reply(lua: &Lua, arguments: &Arguments) -> Result<MultiValue> {
    let Some(text) = only_string(arguments) else {
        return one(error_table(lua, WRONG_ARGUMENTS)?);
    };
    let status = lua.create_table_with_capacity(0, 1)?;
    status.raw_set("ok", text)?;
    one(Value::Table(status))
}

fn replicate_commands(_: &Lua, _: &Arguments) -> Result<MultiValue> {
    one(Value::Boolean(true))
}

/// Nobody replicates, so the flags are only looked at.
fn set_repl(lua: &Lua, arguments: &Arguments) -> Result<MultiValue> {
    if arguments.len() != 1 {
        return Err(Raise::Error("ERR redis.set_repl() requires two arguments."));
    }
    let flags = arguments.number(lua, 1).unwrap_or(0.0) as i64;
    if flags & !3 != 0 {
        return Err(Raise::Error(
            "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
        ));
    }
    Ok(MultiValue::new())
}

fn log(lua: &Lua, arguments: &Arguments) -> Result<MultiValue> {
    if arguments.len() < 2 {
        let text = "ERR redis.log() requires two arguments or more.";
        return Err(Raise::Error(text));
    }
    let Ok(level) = arguments.integer(lua, 1) else {
        let text = "ERR First argument must be a number (log level).";
        return Err(Raise::Error(text));
    };
    let mut text = Vec::new();
    for index in 2..=arguments.len() {
        if index > 2 {
            text.push(b' ');
        }
        if let Some(Value::String(part)) = arguments.get(index) {
            text.extend_from_slice(&part.as_bytes());
        } else if let Some(value) = arguments.get(index)
            && let Some(part) = lua.coerce_string(value.clone())?
        {
            text.extend_from_slice(&part.as_bytes());
        }
    }
    // A line of the log is no place for more.
    const TEXT_MAX: usize = 1024;
    text.truncate(TEXT_MAX);
    let text = String::from_utf8_lossy(&text);
    match level {
        0 => tracing::trace!("{text}"),
        1 => tracing::debug!("{text}"),
        2 => tracing::info!("{text}"),
        3 => tracing::warn!("{text}"),
        _ => return Err(Raise::Error("ERR Invalid debug level.")),
    }
    Ok(MultiValue::new())
}
