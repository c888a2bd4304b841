//! `cjson`, as lua-cjson 2.1.0 is: JSON from values and back.
//!
//! Each module that `cjson.new` makes has settings of its own. Those of the
//! module that all scripts share must not outlive a script: whoever runs
//! scripts calls [`reset`] before each.

mod decode;
mod encode;
mod settings;

use std::sync::Arc;

use mlua::{Function, IntoLuaMulti, Lua, MultiValue, Table, Value};
use parking_lot::Mutex;

use crate::script::native::{Arguments, Native, Raise, Result};

use settings::Settings;

/// Those of one module.
type SharedSettings = Arc<Mutex<Settings>>;

/// Where the interpreter keeps those of the module that all scripts share.
struct Shared(SharedSettings);

/// The library's table, for all scripts of this interpreter.
pub fn table(native: &Native<'_>) -> mlua::Result<Table> {
    let settings = SharedSettings::default();
    native.lua.set_app_data(Shared(settings.clone()));
    module(native, &settings)
}

/// Takes back what scripts have set in the table that they share.
pub fn reset(lua: &Lua) {
    if let Some(shared) = lua.app_data_ref::<Shared>() {
        *shared.0.lock() = Settings::default();
    }
}

fn module(native: &Native<'_>, settings: &SharedSettings) -> mlua::Result<Table> {
    let module = native.lua.create_table()?;
    let function = |function: fn(&Lua, &Arguments, &mut Settings) -> Result<MultiValue>| {
        let settings = settings.clone();
        native.function(move |lua, arguments| function(lua, arguments, &mut settings.lock()))
    };
    let output_max = native.output_max;
    let encoding = settings.clone();
    let encode = native.function(move |lua, arguments| {
        let value = one(arguments)?;
        let settings = *encoding.lock();
        let text = encode::encode(lua, &settings, output_max, value.clone())?;
        Ok(text.into_lua_multi(lua)?)
    })?;
    let decoding = settings.clone();
    let decode = native.function(move |lua, arguments| {
        one(arguments)?;
        let text = arguments.string(lua, 1)?;
        let settings = *decoding.lock();
        let value = decode::decode(lua, &settings, &text.as_bytes())?;
        Ok(value.into_lua_multi(lua)?)
    })?;
    module.raw_set("encode", encode)?;
    module.raw_set("decode", decode)?;
    for (name, set) in settings::FUNCTIONS {
        module.raw_set(*name, function(*set)?)?;
    }
    module.raw_set("new", new(native)?)?;
    module.raw_set("null", decode::NULL)?;
    module.raw_set("_NAME", "cjson")?;
    module.raw_set("_VERSION", "2.1.0")?;
    Ok(module)
}

fn one(arguments: &Arguments) -> Result<&Value> {
    match arguments.get(1) {
        Some(value) if arguments.len() == 1 => Ok(value),
        _ => Err(Raise::argument(1, "expected 1 argument")),
    }
}

/// Makes a module with settings of its own.
fn new(native: &Native<'_>) -> mlua::Result<Function> {
    let output_max = native.output_max;
    let raising = native.raising.clone();
    native.function(move |lua, _| {
        let native = Native {
            lua,
            output_max,
            raising: raising.clone(),
        };
        let module = module(&native, &SharedSettings::default())?;
        Ok(module.into_lua_multi(lua)?)
    })
}

#[cfg(test)]
mod tests;
