//! `cmsgpack`, as lua-cmsgpack 0.4.0 is: MessagePack from values and back.

mod pack;
mod unpack;

use mlua::{IntoLuaMulti, Table};

use crate::script::modules::output::Output;
use crate::script::native::{Native, Raise};

/// The library's table.
pub fn table(native: &Native<'_>) -> mlua::Result<Table> {
    let module = native.lua.create_table()?;
    let pack = native.function(|lua, arguments| {
        if arguments.len() == 0 {
            return Err(Raise::argument(0, "MessagePack pack needs input."));
        }
        let mut output = Output::new();
        for value in arguments.values() {
            pack::pack(&mut output, value, 0)?;
        }
        Ok(output.into_string(lua)?.into_lua_multi(lua)?)
    })?;
    module.raw_set("pack", pack)?;
    let unpack = native.function(|lua, arguments| {
        let request = unpack::Request::All;
        unpack::unpack(lua, arguments, request)
    })?;
    module.raw_set("unpack", unpack)?;
    let unpack_one = native.function(|lua, arguments| {
        let offset = arguments.integer_or(lua, 2, 0)?;
        let request = unpack::Request::new(1, offset);
        unpack::unpack(lua, arguments, request)
    })?;
    module.raw_set("unpack_one", unpack_one)?;
    let unpack_limit = native.function(|lua, arguments| {
        let limit = arguments.integer(lua, 2)?;
        let offset = arguments.integer_or(lua, 3, 0)?;
        let request = unpack::Request::new(limit, offset);
        unpack::unpack(lua, arguments, request)
    })?;
    module.raw_set("unpack_limit", unpack_limit)?;
    module.raw_set("_NAME", "cmsgpack")?;
    module.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    let copyright = "Copyright (C) 2012, Salvatore Sanfilippo";
    module.raw_set("_COPYRIGHT", copyright)?;
    let description = "MessagePack C implementation for Lua";
    module.raw_set("_DESCRIPTION", description)?;
    Ok(module)
}

#[cfg(test)]
mod tests;
