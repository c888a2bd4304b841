//! The functions that scripts have in no library and LuaJIT otherwise than Lua
//! 5.1.

#[cfg(test)]
mod tests;

use mlua::{Function, Lua, MultiValue, Table, Value};

use crate::script::native::{Arguments, Native, Raise, Result};

/// Those that are not LuaJIT's own.
pub fn table(native: &Native<'_>) -> mlua::Result<Table> {
    let functions: Function = native
        .lua
        .load(include_str!("base.lua"))
        .set_name("=base")
        .into_function()?;
    functions.call((native.primitive(in_base)?, native.primitive(not_a_number)?))
}

/// How a value that is not equal to itself is shown: its sign is seen here
/// alone.
fn not_a_number(lua: &Lua, arguments: &Arguments) -> Result<MultiValue> {
    let text = arguments.string(lua, 1)?;
    Ok(MultiValue::from_iter([Value::String(text)]))
}

/// `tonumber` with a base: digits as C's `strtoul` reads them. What is less
/// than 0 becomes large, and what is too large the largest.
fn in_base(lua: &Lua, arguments: &Arguments) -> Result<MultiValue> {
    let base = arguments.integer(lua, 2)? as i32;
    let text = arguments.string(lua, 1)?;
    let Some(base) = u32::try_from(base)
        .ok()
        .filter(|base| (2..=36).contains(base))
    else {
        return Err(Raise::argument(2, "base out of range"));
    };
    let value =
        parse(&text.as_bytes(), base).map_or(Value::Nil, |value| Value::Number(value as f64));
    Ok(MultiValue::from_iter([value]))
}

fn parse(text: &[u8], base: u32) -> Option<u64> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let text = &text[..memchr::memchr(0, text).unwrap_or(text.len())];
    let start = text.iter().position(|byte| !is_space(byte))?;
    let (is_negative, digits) = match &text[start..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let digit_at = |digits: &[u8], index: usize| {
        let digit = digits.get(index)?;
        char::from(*digit).to_digit(base)
    };
    let digits = match digits {
        [b'0', b'x' | b'X', after @ ..] if base == 16 && digit_at(after, 0).is_some() => after,
        digits => digits,
    };
    digit_at(digits, 0)?;
    let mut value: Option<u64> = Some(0);
    let mut count = 0;
    while let Some(digit) = digit_at(digits, count) {
        let shifted = value.and_then(|value| value.checked_mul(base.into()));
        value = shifted.and_then(|value| value.checked_add(digit.into()));
        count += 1;
    }
    if !digits[count..].iter().all(is_space) {
        return None;
    }
    Some(match value {
        None => u64::MAX,
        Some(value) if is_negative => value.wrapping_neg(),
        Some(value) => value,
    })
}
