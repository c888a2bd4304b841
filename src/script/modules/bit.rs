//! `bit`, as BitOp 1.0.2 is: operations on the bits of 32-bit integers.
//!
//! The interpreter has one of its own, which is ten times as fast as functions
//! of Rust's are, and answers the same but for two things: `tohex` writes more
//! than 8 digits if told to, so that is replaced here; and where several
//! arguments of `band`, `bor` or `bxor` are wrong, it blames the first behind
//! the first instead of the last.

use mlua::{Function, IntoLuaMulti, Lua, MultiValue, Table};

use crate::script::native::{Arguments, Native, Result};

/// The library's table. The interpreter must have its own `bit` still.
pub fn table(native: &Native<'_>) -> mlua::Result<Table> {
    const KEPT: [&str; 11] = [
        "tobit", "bnot", "bswap", "band", "bor", "bxor", "lshift", "rshift", "arshift", "rol",
        "ror",
    ];
    let own: Table = native.lua.globals().raw_get("bit")?;
    let module = native.lua.create_table()?;
    for name in KEPT {
        module.raw_set(name, own.raw_get::<Function>(name)?)?;
    }
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
