//! The libraries that scripts find: those that Redis adds to Lua's, and what
//! of Lua's own must be bounded.

pub mod base;
pub mod bit;
pub mod cjson;
pub mod cmsgpack;
pub mod math;
mod output;
mod redis;
pub mod string;
pub mod structs;
pub mod table;
#[cfg(test)]
mod testing;
mod work;

use mlua::{Lua, Table};

use super::native::Native;

/// The libraries by their names, and as `_G` what is in none; what is in one that Lua has as well takes the
/// place of Lua's own.
pub fn tables(native: &Native<'_>) -> mlua::Result<Table> {
    let tables = native.lua.create_table()?;
    tables.raw_set("_G", base::table(native)?)?;
    tables.raw_set("bit", bit::table(native)?)?;
    tables.raw_set("cjson", cjson::table(native)?)?;
    tables.raw_set("cmsgpack", cmsgpack::table(native)?)?;
    tables.raw_set("math", math::table(native)?)?;
    tables.raw_set("redis", redis::table(native)?)?;
    tables.raw_set("string", string::table(native)?)?;
    tables.raw_set("struct", structs::table(native)?)?;
    tables.raw_set("table", table::table(native)?)?;
    Ok(tables)
}

/// Forgets what the script before has set.
pub fn reset(lua: &Lua) {
    cjson::reset(lua);
}
