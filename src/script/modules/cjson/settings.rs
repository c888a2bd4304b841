//! What scripts may set, and the functions that set it: each answers what is
//! set now.

use mlua::{IntoLua, Lua, MultiValue, Value};

use crate::script::native::{Arguments, Raise, Result};

/// How JSON is written and read.
#[derive(Clone, Copy)]
pub struct Settings {
    /// An array of which too little is there is written as an object.
    pub is_sparse_converted: bool,
    /// An array is too sparse if its last index is more than so many times
    /// the number of elements; 0 if it never is.
    pub sparse_ratio: i32,
    /// Up to this last index, no array is too sparse.
    pub sparse_safe: i32,
    /// How deep tables may nest.
    pub encode_max_depth: i32,
    /// How deep arrays and objects may nest.
    pub decode_max_depth: i32,
    /// How NaN and infinity are written.
    pub encode_invalid_numbers: Invalid,
    /// Whether numbers are read that JSON has not got.
    pub decode_invalid_numbers: bool,
    /// Significant digits.
    pub number_precision: i32,
    /// Whether memory is kept for the next text. It changes nothing here.
    pub is_buffer_kept: bool,
}

/// What becomes of numbers that JSON has not got.
#[derive(Clone, Copy, PartialEq)]
pub enum Invalid {
    /// They are refused.
    Refused,
    /// They are written as C does.
    Written,
    /// They become null.
    Null,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            is_sparse_converted: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_max_depth: 1000,
            decode_max_depth: 1000,
            encode_invalid_numbers: Invalid::Refused,
            decode_invalid_numbers: true,
            number_precision: 14,
            is_buffer_kept: true,
        }
    }
}

/// A function that sets something.
type Set = fn(&Lua, &Arguments, &mut Settings) -> Result<MultiValue>;

/// The functions that set something, by name.
pub const FUNCTIONS: &[(&str, Set)] = &[
    ("encode_sparse_array", encode_sparse_array),
    ("encode_max_depth", encode_max_depth),
    ("decode_max_depth", decode_max_depth),
    ("encode_number_precision", encode_number_precision),
    ("encode_keep_buffer", encode_keep_buffer),
    ("encode_invalid_numbers", encode_invalid_numbers),
    ("decode_invalid_numbers", decode_invalid_numbers),
];

fn encode_sparse_array(
    lua: &Lua,
    arguments: &Arguments,
    settings: &mut Settings,
) -> Result<MultiValue> {
    at_most(arguments, 3)?;
    let convert = switch(lua, arguments, &mut settings.is_sparse_converted)?;
    let ratio = &mut settings.sparse_ratio;
    let ratio = integer(lua, arguments, 2, ratio, 0, i32::MAX)?;
    let safe = &mut settings.sparse_safe;
    let safe = integer(lua, arguments, 3, safe, 0, i32::MAX)?;
    Ok(MultiValue::from_iter([convert, ratio, safe]))
}

fn encode_max_depth(
    lua: &Lua,
    arguments: &Arguments,
    settings: &mut Settings,
) -> Result<MultiValue> {
    at_most(arguments, 1)?;
    let depth = &mut settings.encode_max_depth;
    one(integer(lua, arguments, 1, depth, 1, i32::MAX)?)
}

fn decode_max_depth(
    lua: &Lua,
    arguments: &Arguments,
    settings: &mut Settings,
) -> Result<MultiValue> {
    at_most(arguments, 1)?;
    let depth = &mut settings.decode_max_depth;
    one(integer(lua, arguments, 1, depth, 1, i32::MAX)?)
}

fn encode_number_precision(
    lua: &Lua,
    arguments: &Arguments,
    settings: &mut Settings,
) -> Result<MultiValue> {
    at_most(arguments, 1)?;
    let precision = &mut settings.number_precision;
    one(integer(lua, arguments, 1, precision, 1, 14)?)
}

fn encode_keep_buffer(
    lua: &Lua,
    arguments: &Arguments,
    settings: &mut Settings,
) -> Result<MultiValue> {
    at_most(arguments, 1)?;
    one(switch(lua, arguments, &mut settings.is_buffer_kept)?)
}

fn encode_invalid_numbers(
    lua: &Lua,
    arguments: &Arguments,
    settings: &mut Settings,
) -> Result<MultiValue> {
    at_most(arguments, 1)?;
    let options = [
        ("off", Invalid::Refused),
        ("on", Invalid::Written),
        ("null", Invalid::Null),
    ];
    if arguments.is_given(1) {
        settings.encode_invalid_numbers = match arguments.get(1) {
            Some(Value::Boolean(true)) => Invalid::Written,
            Some(Value::Boolean(false)) => Invalid::Refused,
            _ => option(lua, arguments, &options)?,
        };
    }
    one(match settings.encode_invalid_numbers {
        Invalid::Refused => Value::Boolean(false),
        Invalid::Written => Value::Boolean(true),
        Invalid::Null => "null".into_lua(lua)?,
    })
}

fn decode_invalid_numbers(
    lua: &Lua,
    arguments: &Arguments,
    settings: &mut Settings,
) -> Result<MultiValue> {
    at_most(arguments, 1)?;
    one(switch(
        lua,
        arguments,
        &mut settings.decode_invalid_numbers,
    )?)
}

fn at_most(arguments: &Arguments, count: usize) -> Result<()> {
    if arguments.len() > count {
        return Err(Raise::argument(count + 1, "found too many arguments"));
    }
    Ok(())
}

fn one(value: Value) -> Result<MultiValue> {
    Ok(MultiValue::from_iter([value]))
}

/// An argument that is a number, and sets one. If it is out of range, the
/// first argument is blamed, whichever it is.
fn integer(
    lua: &Lua,
    arguments: &Arguments,
    index: usize,
    setting: &mut i32,
    min: i32,
    max: i32,
) -> Result<Value> {
    if arguments.is_given(index) {
        // It is a C int there.
        let value = arguments.integer(lua, index)? as i32;
        if !(min..=max).contains(&value) {
            let why = format!("expected integer between {min} and {max}");
            return Err(Raise::argument(1, why));
        }
        *setting = value;
    }
    Ok(Value::Integer(i64::from(*setting)))
}

/// A first argument that is true or false, or a word for it.
fn switch(lua: &Lua, arguments: &Arguments, setting: &mut bool) -> Result<Value> {
    if arguments.is_given(1) {
        *setting = match arguments.get(1) {
            Some(Value::Boolean(value)) => *value,
            _ => option(lua, arguments, &[("off", false), ("on", true)])?,
        };
    }
    Ok(Value::Boolean(*setting))
}

/// A first argument that is one of these words.
fn option<T: Copy>(lua: &Lua, arguments: &Arguments, options: &[(&str, T)]) -> Result<T> {
    let text = arguments.string(lua, 1)?;
    let text = text.as_bytes();
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    match options.iter().find(|(word, _)| word.as_bytes() == text) {
        Some((_, value)) => Ok(*value),
        None => {
            let why = [b"invalid option '", text, b"'"].concat();
            Err(Raise::argument(1, why))
        }
    }
}
