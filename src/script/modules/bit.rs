//! `bit`, as BitOp 1.0.2 is: operations on the bits of 32-bit integers.

use mlua::{IntoLuaMulti, Lua, MultiValue, Table, Value};

use crate::script::native::{Arguments, Native, Result};

/// The library's table.
pub fn table(native: &Native<'_>) -> mlua::Result<Table> {
    let module = native.lua.create_table()?;
    let one = |operation: fn(u32) -> u32| {
        native.function(move |lua, arguments| answer(operation(bits(lua, arguments, 1)?)))
    };
    module.raw_set("tobit", one(|bits| bits)?)?;
    module.raw_set("bnot", one(|bits| !bits)?)?;
    module.raw_set("bswap", one(u32::swap_bytes)?)?;
    let many = |operation: fn(u32, u32) -> u32| {
        native.function(move |lua, arguments| {
            let mut result = bits(lua, arguments, 1)?;
            // From the last on, which tells where two are wrong.
            for index in (2..=arguments.len()).rev() {
                result = operation(result, bits(lua, arguments, index)?);
            }
            answer(result)
        })
    };
    module.raw_set("band", many(|a, b| a & b)?)?;
    module.raw_set("bor", many(|a, b| a | b)?)?;
    module.raw_set("bxor", many(|a, b| a ^ b)?)?;
    let shift = |operation: fn(u32, u32) -> u32| {
        native.function(move |lua, arguments| {
            let value = bits(lua, arguments, 1)?;
            let places = bits(lua, arguments, 2)? & 31;
            answer(operation(value, places))
        })
    };
    module.raw_set("lshift", shift(|value, places| value << places)?)?;
    module.raw_set("rshift", shift(|value, places| value >> places)?)?;
    module.raw_set(
        "arshift",
        shift(|value, places| (value as i32 >> places) as u32)?,
    )?;
    module.raw_set("rol", shift(u32::rotate_left)?)?;
    module.raw_set("ror", shift(u32::rotate_right)?)?;
    module.raw_set("tohex", native.function(tohex)?)?;
    Ok(module)
}

fn tohex(lua: &Lua, arguments: &Arguments) -> Result<MultiValue> {
    let value = bits(lua, arguments, 1)?;
    let digits = match arguments.len() {
        ..2 => 8,
        _ => bits(lua, arguments, 2)? as i32,
    };
    let text = match digits {
        0.. => format!("{value:08x}"),
        _ => format!("{value:08X}"),
    };
    let count = digits.unsigned_abs().min(8) as usize;
    Ok(text[8 - count..].into_lua_multi(lua)?)
}

fn answer(bits: u32) -> Result<MultiValue> {
    let value = Value::Integer(i64::from(bits as i32));
    Ok(MultiValue::from_iter([value]))
}

/// The low 32 bits of a number.
fn bits(lua: &Lua, arguments: &Arguments, index: usize) -> Result<u32> {
    // Added to it, a number's lowest bits are those of the significand. What
    // is too large for that has odd bits here, and the same odd ones there.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    let number = arguments.number(lua, index)?;
    Ok((number + SHIFT).to_bits() as u32)
}

#[cfg(test)]
mod tests;
