//! Those functions of Lua's string library that a script could not be stopped
//! in, or that LuaJIT has otherwise than Lua 5.1.
//!
//! A hook cannot interrupt a function that is not Lua's, so each of these ends
//! soon by itself: `find`, `match`, `gmatch`, `gfind` and `gsub` because
//! patterns are matched in so many steps at most, and plain `find` in linear
//! time (LuaJIT's own match what is so short and simple that they end soon); `rep`, `gsub` and `format` because what they answer is bounded.
//! `format` and `rep` also take what 5.1 takes: no separator, no value that
//! only `__tostring` makes a string. `char`, `len`, `lower`, `reverse` and
//! `upper` are LuaJIT's own, which answer what 5.1's do, in a time that is
//! linear in a string that there is; and `byte` and `sub`, but for indexes that
//! LuaJIT has no room for.

mod format;
mod pattern;
#[cfg(test)]
mod tests;

use mlua::{Function, Lua, LuaString, MultiValue, Table, Value};

use self::pattern::{Capture, Matcher};
use super::output::Output;
use crate::script::native::{Arguments, Native, Raise, Result};

/// Those that are not LuaJIT's own.
pub fn table(native: &Native<'_>) -> mlua::Result<Table> {
    let functions: Function = native
        .lua
        .load(include_str!("string.lua"))
        .set_name("=string")
        .into_function()?;
    let table: Table = functions.call((
        native.primitive(subject_max)?,
        native.primitive(find)?,
        native.primitive(match_)?,
        native.primitive(check_gmatch)?,
        native.primitive(next_match)?,
        native.primitive(start_gsub)?,
        native.primitive(next_gsub)?,
    ))?;
    table.raw_set("format", native.function(format::format)?)?;
    table.raw_set("rep", native.function(rep)?)?;
    Ok(table)
}

/// How long a subject may be for LuaJIT's own functions to match this pattern.
fn subject_max(lua: &Lua, arguments: &Arguments) -> Result<MultiValue> {
    let pattern = arguments.string(lua, 1)?;
    let most = pattern::native_subject_max(&pattern.as_bytes());
    Ok(MultiValue::from_iter([number(most)]))
}

fn find(lua: &Lua, arguments: &Arguments) -> Result<MultiValue> {
    let (subject, pattern) = (arguments.string(lua, 1)?, arguments.string(lua, 2)?);
    let (subject, pattern) = (subject.as_bytes(), pattern.as_bytes());
    let from = from(lua, arguments, subject.len())?;
    let is_plain = arguments.get(4).is_some_and(is_true) || pattern::is_plain(&pattern);
    if is_plain {
        let Some(start) = pattern::find_plain(&subject, &pattern, from) else {
            return Ok(MultiValue::from_iter([Value::Nil]));
        };
        return Ok(place(start, start + pattern.len()));
    }
    let mut matcher = Matcher::new(&subject, &pattern);
    let Some(matched) = matcher.find(from)? else {
        return Ok(MultiValue::from_iter([Value::Nil]));
    };
    let mut values = place(matched.0, matched.1);
    for index in 0..matcher.count() {
        let capture = matcher.capture(index, matched)?;
        values.push_back(value(lua, &subject, capture)?);
    }
    Ok(values)
}

fn match_(lua: &Lua, arguments: &Arguments) -> Result<MultiValue> {
    let (subject, pattern) = (arguments.string(lua, 1)?, arguments.string(lua, 2)?);
    let (subject, pattern) = (subject.as_bytes(), pattern.as_bytes());
    let from = from(lua, arguments, subject.len())?;
    let mut matcher = Matcher::new(&subject, &pattern);
    let Some(matched) = matcher.find(from)? else {
        return Ok(MultiValue::from_iter([Value::Nil]));
    };
    let mut values = MultiValue::new();
    push_captures(lua, &subject, &matcher, matched, &mut values)?;
    Ok(values)
}

/// The strings that `gmatch` is called with.
fn check_gmatch(lua: &Lua, arguments: &Arguments) -> Result<MultiValue> {
    let strings = [arguments.string(lua, 1)?, arguments.string(lua, 2)?];
    Ok(MultiValue::from_iter(strings.map(Value::String)))
}

/// The next match of `gmatch`: where the one after it is to be looked for, and
/// the captures.
fn next_match(lua: &Lua, arguments: &Arguments) -> Result<MultiValue> {
    let (subject, pattern, from) = three(lua, arguments)?;
    let (subject, pattern) = (subject.as_bytes(), pattern.as_bytes());
    let mut matcher = Matcher::new(&subject, &pattern);
    let Some(matched) = matcher.find_unanchored(from)? else {
        return Ok(MultiValue::new());
    };
    let mut values = MultiValue::from_iter([number(after(matched))]);
    push_captures(lua, &subject, &matcher, matched, &mut values)?;
    Ok(values)
}

/// `gsub`: the new string and how many matches were replaced. If a function or
/// a table is to say what takes their places, the string, how many are to be
/// replaced at most, and the pattern.
fn start_gsub(lua: &Lua, arguments: &Arguments) -> Result<MultiValue> {
    let (text, pattern) = (arguments.string(lua, 1)?, arguments.string(lua, 2)?);
    let most = arguments.integer_or(lua, 4, text.as_bytes().len() as i64 + 1)?;
    let most = i64::from(most as i32);
    match arguments.get(3) {
        Some(Value::String(_) | Value::Integer(_) | Value::Number(_)) => {}
        Some(Value::Function(_) | Value::Table(_)) => {
            let values = [Value::String(text), Value::Number(most as f64)];
            let values = values.into_iter().chain([Value::String(pattern)]);
            return Ok(MultiValue::from_iter(values));
        }
        _ => return Err(Raise::argument(3, "string/function/table expected")),
    }
    let replacement = arguments.string(lua, 3)?;
    let (subject, pattern) = (text.as_bytes(), pattern.as_bytes());
    let replacement = replacement.as_bytes();
    let is_anchored = pattern.first() == Some(&b'^');
    let mut matcher = Matcher::new(&subject, &pattern);
    let mut output = Output::new();
    let (mut count, mut at, mut written) = (0, 0, 0);
    while count < most && at <= subject.len() && !(is_anchored && at > 0) {
        let Some(matched) = matcher.find(at)? else {
            break;
        };
        count += 1;
        output.push(&subject[written..matched.0])?;
        write_replacement(&subject, &replacement, &matcher, matched, &mut output)?;
        written = matched.1;
        at = after(matched);
    }
    let text = if count == 0 {
        text.clone()
    } else {
        output.push(&subject[written..])?;
        output.into_string(lua)?
    };
    let values = [Value::String(text), Value::Number(count as f64)];
    Ok(MultiValue::from_iter(values))
}

/// Writes what takes the place of a match: `%` and a digit stand for a
/// capture, and `%0` for all of it.
fn write_replacement(
    subject: &[u8],
    replacement: &[u8],
    matcher: &Matcher<'_>,
    matched: (usize, usize),
    output: &mut Output,
) -> Result<()> {
    let mut rest = replacement;
    while let Some(percent) = memchr::memchr(b'%', rest) {
        output.push(&rest[..percent])?;
        // Lua 5.1 takes the NUL behind its strings for part of the replacement.
        let escaped = rest.get(percent + 1).copied().unwrap_or(0);
        rest = rest.get(percent + 2..).unwrap_or_default();
        let capture = match escaped {
            b'0' => Capture::Bytes(matched.0, matched.1),
            b'1'..=b'9' => matcher.capture(usize::from(escaped - b'1'), matched)?,
            byte => {
                output.push(&[byte])?;
                continue;
            }
        };
        match capture {
            Capture::Bytes(start, end) => output.push(&subject[start..end])?,
            Capture::Position(place) => output.push(place.to_string().as_bytes())?,
        }
    }
    output.push(rest)
}

/// The next match of `gsub`: where it starts and ends, and the captures.
fn next_gsub(lua: &Lua, arguments: &Arguments) -> Result<MultiValue> {
    let (subject, pattern, from) = three(lua, arguments)?;
    let (subject, pattern) = (subject.as_bytes(), pattern.as_bytes());
    let is_anchored = pattern.first() == Some(&b'^');
    if from > subject.len() || (is_anchored && from > 0) {
        return Ok(MultiValue::new());
    }
    let mut matcher = Matcher::new(&subject, &pattern);
    let Some(matched) = matcher.find(from)? else {
        return Ok(MultiValue::new());
    };
    let mut values = MultiValue::from_iter([number(matched.0), number(matched.1)]);
    // A table is asked for the first capture alone.
    if arguments.get(4).is_some_and(is_true) {
        values.push_back(value(lua, &subject, matcher.capture(0, matched)?)?);
    } else {
        push_captures(lua, &subject, &matcher, matched, &mut values)?;
    }
    Ok(values)
}

fn rep(lua: &Lua, arguments: &Arguments) -> Result<MultiValue> {
    let text = arguments.string(lua, 1)?;
    let text = text.as_bytes();
    // Lua 5.1 counts in 32 bits.
    let count = arguments.integer(lua, 2)? as i32;
    let count = usize::try_from(count).unwrap_or(0);
    let mut output = Output::new();
    output.push_repeated(&text, count)?;
    let text = output.into_string(lua)?;
    Ok(MultiValue::from_iter([Value::String(text)]))
}

/// The subject, the pattern and where to start, from 0 on, as our own Lua
/// passes them.
fn three(lua: &Lua, arguments: &Arguments) -> Result<(LuaString, LuaString, usize)> {
    let from = usize::try_from(arguments.integer(lua, 3)?).unwrap_or(0);
    Ok((arguments.string(lua, 1)?, arguments.string(lua, 2)?, from))
}

/// Where `find` and `match` start, from 0 on: their third argument, which
/// counts from 1 on or, if it is negative, from the end.
fn from(lua: &Lua, arguments: &Arguments, length: usize) -> Result<usize> {
    let from = arguments.integer_or(lua, 3, 1)?;
    let length = length as i64;
    let from = match from {
        ..0 => from + length,
        _ => from - 1,
    };
    Ok(from.clamp(0, length) as usize)
}

/// Where to look for the match after this one: an empty one is passed by.
fn after((start, end): (usize, usize)) -> usize {
    if end > start { end } else { end + 1 }
}

fn is_true(value: &Value) -> bool {
    !matches!(value, Value::Nil | Value::Boolean(false))
}

fn number(number: usize) -> Value {
    Value::Number(number as f64)
}

/// Where a match is, as Lua counts: from the first byte, which is 1, to the
/// last.
fn place(start: usize, end: usize) -> MultiValue {
    MultiValue::from_iter([number(start + 1), number(end)])
}

fn value(lua: &Lua, subject: &[u8], capture: Capture) -> Result<Value> {
    Ok(match capture {
        Capture::Bytes(start, end) => Value::String(lua.create_string(&subject[start..end])?),
        Capture::Position(place) => number(place),
    })
}

/// Adds the captures of a match, or all of it if the pattern has none.
fn push_captures(
    lua: &Lua,
    subject: &[u8],
    matcher: &Matcher<'_>,
    matched: (usize, usize),
    values: &mut MultiValue,
) -> Result<()> {
    for index in 0..matcher.count().max(1) {
        let capture = matcher.capture(index, matched)?;
        values.push_back(value(lua, subject, capture)?);
    }
    Ok(())
}
