//! What scripts have of the math library otherwise than LuaJIT: random numbers
//! are Redis's own.
//!
//! Redis 6 gave each script the same ones. Since Redis 7 a server has one
//! generator: its first script gets what the generator starts with, and the
//! next script goes on from there, unless one has called `math.randomseed`.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use mlua::{Function, Lua, MultiValue, Table, Value};

use crate::script::native::{Arguments, Native, Raise, Result};

/// The generator of `drand48`, of which scripts get the upper 31 bits.
struct Random(AtomicU64);

/// What a generator starts with that has not been seeded.
const UNSEEDED: u64 = 0x1234_ABCD_330E;
/// What is below the seed in one that has just been seeded.
const SEEDED: u64 = 0x330E;

impl Random {
    fn seed(&self, seed: i32) {
        self.0.store(u64::from(seed as u32) << 16 | SEEDED, Relaxed);
    }

    /// The next number, from 0 to 2^31 - 1.
    fn next(&self) -> u32 {
        let state = self.0.load(Relaxed);
        let state = state.wrapping_mul(0x5_DEEC_E66D).wrapping_add(0xB) & 0xFFFF_FFFF_FFFF;
        self.0.store(state, Relaxed);
        (state >> 17) as u32
    }
}

/// Those that are not LuaJIT's own.
pub fn table(native: &Native<'_>) -> mlua::Result<Table> {
    let lua = native.lua;
    let random = Arc::new(Random(AtomicU64::new(UNSEEDED)));
    let library: Table = lua.globals().raw_get("math")?;
    let table = lua.create_table()?;
    // Lua 5.1 knows the logarithm to no other base, and has an old name for fmod.
    let log: Function = lua
        .load("local log = ... return function(...) if (...) then return log((...)) end return log(...) end")
        .set_name("=math")
        .call(library.raw_get::<Function>("log")?)?;
    table.raw_set("log", log)?;
    table.raw_set("mod", library.raw_get::<Function>("fmod")?)?;
    // LuaJIT's own multiply where Lua 5.1's divide, which is another last digit.
    let of_degree = std::f64::consts::PI / 180.0;
    table.raw_set("deg", of_one(native, move |angle| angle / of_degree)?)?;
    table.raw_set("rad", of_one(native, move |angle| angle * of_degree)?)?;
    let seeded = random.clone();
    let seed = move |lua: &Lua, arguments: &Arguments| {
        seeded.seed(arguments.integer(lua, 1)? as i32);
        Ok(MultiValue::new())
    };
    table.raw_set("randomseed", native.function(seed)?)?;
    let draw = move |lua: &Lua, arguments: &Arguments| draw(lua, arguments, &random);
    table.raw_set("random", native.function(draw)?)?;
    Ok(table)
}

/// A function of one number.
fn of_one(
    native: &Native<'_>,
    function: impl Fn(f64) -> f64 + Send + 'static,
) -> mlua::Result<Function> {
    native.function(move |lua, arguments| {
        let result = function(arguments.number(lua, 1)?);
        Ok(MultiValue::from_iter([Value::Number(result)]))
    })
}

/// `math.random`. It draws even if it then finds its arguments wrong.
fn draw(lua: &Lua, arguments: &Arguments, random: &Random) -> Result<MultiValue> {
    const END: u32 = i32::MAX as u32;
    let share = f64::from(random.next() % END) / f64::from(END);
    let number = match arguments.len() {
        0 => share,
        1 => {
            let last = arguments.integer(lua, 1)? as i32;
            if last < 1 {
                return Err(Raise::argument(1, "interval is empty"));
            }
            (share * f64::from(last)).floor() + 1.0
        }
        2 => {
            let first = arguments.integer(lua, 1)? as i32;
            let last = arguments.integer(lua, 2)? as i32;
            if first > last {
                return Err(Raise::argument(2, "interval is empty"));
            }
            // An interval that is too wide for 32 bits wraps around, as in Redis.
            let width = last.wrapping_sub(first).wrapping_add(1);
            (share * f64::from(width)).floor() + f64::from(first)
        }
        _ => return Err(Raise::text("wrong number of arguments")),
    };
    Ok(MultiValue::from_iter([Value::Number(number)]))
}
