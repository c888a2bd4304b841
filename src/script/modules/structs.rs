//! `struct`, as Roberto Ierusalimschy's 0.2 is with what Redis has mended in
//! it: values as C structures lay them out.

use mlua::{IntoLuaMulti, Lua, MultiValue, Number, Table, Value};

use super::output::Output;
use super::work::{STEP, Work};
use crate::script::native::{Arguments, Native, Raise, Result, STACK_MAX, truncate};
use crate::text::c_number;

/// The library's table.
pub fn table(native: &Native<'_>) -> mlua::Result<Table> {
    let module = native.lua.create_table()?;
    let pack = native.function(pack)?;
    module.raw_set("pack", pack)?;
    module.raw_set("unpack", native.function(unpack)?)?;
    module.raw_set("size", native.function(size)?)?;
    Ok(module)
}

/// No integer has more bytes.
const INTEGER_MAX: usize = 32;

/// What `!` alone aligns to: as a double is aligned on 64 bits.
const ALIGN_MAX: i32 = 8;

/// A format, which is read letter by letter.
struct Format<'a> {
    rest: &'a [u8],
    is_big_endian: bool,
    align: usize,
    work: Work,
}

/// A letter of a format.
struct Field {
    letter: u8,
    /// How many bytes it takes, or 0 if the value or nothing tells.
    size: usize,
}

impl<'a> Format<'a> {
    /// A format up to the NUL that would end it in C.
    fn new(text: &'a [u8]) -> Format<'a> {
        Format {
            rest: text.split(|byte| *byte == 0).next().unwrap_or_default(),
            is_big_endian: false,
            align: 1,
            work: Work::default(),
        }
    }

    /// The next letter.
    fn field(&mut self) -> Result<Option<Field>> {
        let Some((letter, rest)) = self.rest.split_first() else {
            return Ok(None);
        };
        self.work.add(STEP)?;
        self.rest = rest;
        let size = match letter {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'f' => 4,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'c' => self.number(1)? as usize,
            b'i' | b'I' => {
                let size = self.number(4)? as usize;
                if size > INTEGER_MAX {
                    return Err(Raise::text(format!(
                        "integral size {size} is larger than limit of {INTEGER_MAX}"
                    )));
                }
                size
            }
            _ => 0,
        };
        let letter = *letter;
        Ok(Some(Field { letter, size }))
    }

    /// Digits, which must fit into a C int, or `default` if there are none.
    fn number(&mut self, default: i32) -> Result<i32> {
        let is_digit = |byte: &u8| byte.is_ascii_digit();
        let len = self.rest.iter().take_while(|byte| is_digit(byte)).count();
        let (digits, rest) = self.rest.split_at(len);
        self.rest = rest;
        if digits.is_empty() {
            return Ok(default);
        }
        let number = digits.iter().try_fold(0i32, |number, digit| {
            let digit = i32::from(digit - b'0');
            number.checked_mul(10)?.checked_add(digit)
        });
        number.ok_or_else(|| Raise::text("integral size overflow"))
    }

    /// How many bytes must be left out before a field that would start at
    /// `at`. Sizes that are no powers of 2 are aligned oddly, as they are
    /// there.
    fn padding(&self, field: &Field, at: usize) -> usize {
        if field.size == 0 || field.letter == b'c' {
            return 0;
        }
        let size = field.size.min(self.align);
        size.wrapping_sub(at & (size - 1)) & (size - 1)
    }

    /// Does what a letter says that stands for no value.
    fn control(&mut self, letter: u8) -> Result<()> {
        match letter {
            b' ' => {}
            b'>' => self.is_big_endian = true,
            b'<' => self.is_big_endian = false,
            b'!' => {
                let align = self.number(ALIGN_MAX)?;
                if align.count_ones() != 1 {
                    let text = format!("alignment {align} is not a power of 2");
                    return Err(Raise::text(text));
                }
                self.align = align as usize;
            }
            letter => {
                let why = [b"invalid format option '", &[letter][..], b"'"].concat();
                return Err(Raise::argument(1, why));
            }
        }
        Ok(())
    }

    /// Bytes in the order of the format, from those with the lowest first.
    fn order(&self, bytes: &mut [u8]) {
        if self.is_big_endian {
            bytes.reverse();
        }
    }
}

fn pack(lua: &Lua, arguments: &Arguments) -> Result<MultiValue> {
    let text = arguments.string(lua, 1)?;
    let text = text.as_bytes();
    let mut format = Format::new(&text);
    let mut output = Output::new();
    let mut index = 2;
    let mut at = 0;
    while let Some(field) = format.field()? {
        let padding = format.padding(&field, at);
        output.push(&[0; INTEGER_MAX][..padding])?;
        at += padding + field.size;
        match field.letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let number = unsigned(number_at(lua, arguments, index)?);
                let mut bytes = [0; INTEGER_MAX];
                bytes[..8].copy_from_slice(&number.to_le_bytes());
                let bytes = &mut bytes[..field.size];
                format.order(bytes);
                output.push(bytes)?;
                index += 1;
            }
            b'x' => output.push(&[0])?,
            b'f' => {
                let mut bytes = (number_at(lua, arguments, index)? as f32).to_le_bytes();
                format.order(&mut bytes);
                output.push(&bytes)?;
                index += 1;
            }
            b'd' => {
                let mut bytes = number_at(lua, arguments, index)?.to_le_bytes();
                format.order(&mut bytes);
                output.push(&bytes)?;
                index += 1;
            }
            b'c' | b's' => {
                is_there(arguments, index, "string")?;
                let text = arguments.string(lua, index)?;
                let text = text.as_bytes();
                index += 1;
                let size = if field.size == 0 {
                    text.len()
                } else {
                    field.size
                };
                let Some(text) = text.get(..size) else {
                    // It blames the argument behind it.
                    return Err(Raise::argument(index, "string too short"));
                };
                output.push(text)?;
                at += size - field.size;
                if field.letter == b's' {
                    output.push(&[0])?;
                    at += 1;
                }
            }
            letter => format.control(letter)?,
        }
    }
    Ok(output.into_string(lua)?.into_lua_multi(lua)?)
}

fn number_at(lua: &Lua, arguments: &Arguments, index: usize) -> Result<Number> {
    is_there(arguments, index, "number")?;
    arguments.number(lua, index)
}

/// The library puts a nil of its own behind the arguments, and finds that
/// where the first is missing.
fn is_there(arguments: &Arguments, index: usize, expected: &str) -> Result<()> {
    if index == arguments.len() + 1 {
        let why = format!("{expected} expected, got nil");
        return Err(Raise::argument(index, why));
    }
    Ok(())
}

fn unpack(lua: &Lua, arguments: &Arguments) -> Result<MultiValue> {
    let text = arguments.string(lua, 1)?;
    let text = text.as_bytes();
    let data = arguments.string(lua, 2)?;
    let data = data.as_bytes();
    // It is unsigned there: what is negative is far behind the data.
    let at = arguments.integer_or(lua, 3, 1)? as usize;
    if at == 0 {
        return Err(Raise::argument(3, "offset must be 1 or greater"));
    }
    let mut at = at - 1;
    let mut format = Format::new(&text);
    let mut values = MultiValue::new();
    while let Some(field) = format.field()? {
        at = at.wrapping_add(format.padding(&field, at));
        let mut bytes = slice(&data, at, field.size)?;
        // The format, the data, the values, and room for two more.
        if 2 + values.len() + 2 > STACK_MAX {
            return Err(Raise::stack_overflow("too many results"));
        }
        let value = match field.letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let is_signed = field.letter.is_ascii_lowercase();
                integer(bytes, format.is_big_endian, is_signed)
            }
            b'x' => {
                at += field.size;
                continue;
            }
            b'f' => f64::from(f32::from_le_bytes(ordered(&format, bytes))),
            b'd' => f64::from_le_bytes(ordered(&format, bytes)),
            b'c' => {
                if field.size == 0 {
                    let size = values.pop_back().and_then(|size| number_of(&size));
                    let size =
                        size.ok_or_else(|| Raise::text("format 'c0' needs a previous size"))?;
                    bytes = slice(&data, at, unsigned_size(size))?;
                }
                values.push_back(Value::String(lua.create_string(bytes)?));
                at += bytes.len();
                continue;
            }
            b's' => {
                let rest = &data[at..];
                let len = memchr::memchr(0, rest)
                    .ok_or_else(|| Raise::text("unfinished string in data"))?;
                values.push_back(Value::String(lua.create_string(&rest[..len])?));
                at += len + 1;
                continue;
            }
            letter => {
                format.control(letter)?;
                continue;
            }
        };
        values.push_back(Value::Number(value));
        at += field.size;
    }
    values.push_back(Value::Number(at.wrapping_add(1) as i64 as Number));
    Ok(values)
}

/// What a value is as a size: the number, or that in the text, which a NUL
/// ends.
fn number_of(value: &Value) -> Option<Number> {
    match value {
        Value::String(text) => c_number::read_all(&text.as_bytes()),
        value => value.as_number(),
    }
}

fn size(lua: &Lua, arguments: &Arguments) -> Result<MultiValue> {
    let text = arguments.string(lua, 1)?;
    let text = text.as_bytes();
    let mut format = Format::new(&text);
    let mut at = 0usize;
    while let Some(field) = format.field()? {
        at += format.padding(&field, at);
        match (field.letter, field.size) {
            (b's', _) => return Err(Raise::argument(1, "option 's' has no fixed size")),
            (b'c', 0) => return Err(Raise::argument(1, "option 'c0' has no fixed size")),
            // Letters that mean nothing are not refused.
            (letter, _) if letter.is_ascii_alphanumeric() => {}
            (letter, _) => format.control(letter)?,
        }
        at += field.size;
    }
    Ok(MultiValue::from_iter([Value::Number(at as Number)]))
}

/// Bytes of the data, which must be there.
fn slice(data: &[u8], at: usize, size: usize) -> Result<&[u8]> {
    let rest = data.get(at..);
    rest.and_then(|rest| rest.get(..size))
        .ok_or_else(|| Raise::argument(2, "data string too short"))
}

/// Bytes of a number, the lowest first.
fn ordered<const LEN: usize>(format: &Format<'_>, bytes: &[u8]) -> [u8; LEN] {
    let mut ordered = [0; LEN];
    ordered.copy_from_slice(bytes);
    format.order(&mut ordered);
    ordered
}

/// An integer of any size, of which the low 64 bits count. Where the sign is
/// in one of more than 8 bytes is what x86 makes of too long a shift.
fn integer(bytes: &[u8], is_big_endian: bool, is_signed: bool) -> Number {
    let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    let value = if is_big_endian {
        bytes.iter().fold(0, add)
    } else {
        bytes.iter().rev().fold(0, add)
    };
    if !is_signed {
        return value as Number;
    }
    let shift = (bytes.len() as u32 * 8).wrapping_sub(1);
    let sign = u64::MAX.wrapping_shl(shift);
    let value = if value & sign != 0 {
        value | sign
    } else {
        value
    };
    value as i64 as Number
}

/// A number as the library makes it an integer without a sign.
fn unsigned(number: Number) -> u64 {
    if number < 0.0 {
        return truncate(number) as u64;
    }
    unsigned_size(number) as u64
}

/// A number as C on x86 makes it an unsigned 64-bit integer, also where it
/// does not fit.
fn unsigned_size(number: Number) -> usize {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    let value = if number >= HALF {
        truncate(number - HALF) as u64 ^ 1 << 63
    } else {
        truncate(number) as u64
    };
    value as usize
}

#[cfg(test)]
mod tests;
