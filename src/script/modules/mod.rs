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

/// What makes each library, by its name, and as `_G` what makes what is in none.
/// What is in one that Lua has as well takes the place of Lua's own.
pub fn makers(native: &Native<'_>) -> mlua::Result<Table> {
    type Make = fn(&Native<'_>) -> mlua::Result<Table>;
    let libraries: [(&str, Make); 9] = [
        ("_G", base::table),
        ("bit", bit::table),
        ("cjson", cjson::table),
        ("cmsgpack", cmsgpack::table),
        ("math", math::table),
        ("redis", redis::table),
        ("string", string::table),
        ("struct", structs::table),
        ("table", table::table),
    ];
    let makers = native.lua.create_table()?;
    for (name, make) in libraries {
        let raising = native.raising.clone();
        let make = native.lua.create_function(move |lua, ()| {
            let raising = raising.clone();
            make(&Native { lua, raising })
        })?;
        makers.raw_set(name, make)?;
    }
    Ok(makers)
}

/// Forgets what the script before has set.
pub fn reset(lua: &Lua) {
    cjson::reset(lua);
}
