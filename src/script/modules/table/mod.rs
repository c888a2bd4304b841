//! What scripts have of the table library otherwise than LuaJIT.
//!
//! No hook can interrupt LuaJIT's own functions. `sort` may take minutes, and
//! `insert` as long at a place far below 1, so those are in Lua, with the same
//! algorithm as Lua 5.1's: a comparison that finds some equal, or answers
//! nonsense, leaves the same order. `setn` is there to say that it is obsolete.
//! `concat`, `remove`, `maxn` and `unpack` end soon: they do one step, a few
//! nanoseconds, for each element that there is. `foreach`, `foreachi` and
//! `getn` are Lua in LuaJIT, too.

#[cfg(test)]
mod tests;

use mlua::{Function, Table};

use crate::script::native::Native;

/// Those that are not LuaJIT's own.
pub fn table(native: &Native<'_>) -> mlua::Result<Table> {
    let functions: Function = native
        .lua
        .load(include_str!("table.lua"))
        .set_name("=table")
        .into_function()?;
    let check_sort = native.primitive(|_, arguments| {
        arguments.table(1)?;
        if arguments.is_given(2) && !matches!(arguments.get(2), Some(mlua::Value::Function(_))) {
            return Err(arguments.unexpected(2, "function"));
        }
        Ok(mlua::MultiValue::new())
    })?;
    functions.call(check_sort)
}
