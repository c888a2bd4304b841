//! (to come)

use mlua::Table;

use crate::script::native::Native;

/// The library's table.
pub fn table(native: &Native<'_>) -> mlua::Result<Table> {
    native.lua.create_table()
}
