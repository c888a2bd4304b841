//! `cjson`, as lua-cjson 2.1.0 is: JSON from values and back.
//!
//! Each module that `cjson.new` makes has settings of its own. Those of the
//! module that all scripts share must not outlive a script: whoever runs
//! scripts calls [`reset`] before each.

mod decode;
mod encode;
mod settings;

use std::ffi::c_int;
use std::sync::Arc;

use mlua::{Function, IntoLuaMulti, LightUserData, Lua, MultiValue, Table};
use parking_lot::Mutex;

use crate::script::native::{self, Arguments, Native};
use crate::script::stack::{self, Raised, Stack, StackFunction};

use settings::Settings;

/// Those of one module.
type SharedSettings = Arc<Mutex<Settings>>;

/// Where the interpreter keeps those of the module that all scripts share.
struct Shared(SharedSettings);

/// The library's table, for all scripts of this interpreter.
pub fn table(native: &Native<'_>) -> mlua::Result<Table> {
    // It may have been made before, by a script that was ended meanwhile.
    let known = native.lua.app_data_ref::<Shared>();
    let known = known.map(|shared| shared.0.clone());
    let settings = known.unwrap_or_default();
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
    let function = |function: fn(&Lua, &Arguments, &mut Settings) -> native::Result<MultiValue>| {
        let settings = settings.clone();
        native.function(move |lua, arguments| function(lua, arguments, &mut settings.lock()))
    };
    let encode = stack::function::<Encode>(native.lua, settings.clone())?;
    module.raw_set("encode", encode)?;
    let decode = stack::function::<Decode>(native.lua, settings.clone())?;
    module.raw_set("decode", decode)?;
    for (name, set) in settings::FUNCTIONS {
        module.raw_set(*name, function(*set)?)?;
    }
    module.raw_set("new", new(native)?)?;
    module.raw_set("null", LightUserData(std::ptr::null_mut()))?;
    module.raw_set("_NAME", "cjson")?;
    module.raw_set("_VERSION", "2.1.0")?;
    Ok(module)
}

struct Encode;

impl StackFunction for Encode {
    type Data = Mutex<Settings>;

    fn call(stack: &mut Stack<'_>, settings: &Mutex<Settings>) -> Result<c_int, Raised> {
        check_one(stack)?;
        let settings = *settings.lock();
        encode::encode(stack, &settings).map(|()| 1)
    }
}

struct Decode;

impl StackFunction for Decode {
    type Data = Mutex<Settings>;

    fn call(stack: &mut Stack<'_>, settings: &Mutex<Settings>) -> Result<c_int, Raised> {
        check_one(stack)?;
        let text = stack.check_string(1);
        let settings = *settings.lock();
        decode::decode(stack, &settings, text).map(|()| 1)
    }
}

fn check_one(stack: &Stack<'_>) -> Result<(), Raised> {
    match stack.top() {
        1 => Ok(()),
        _ => Err(stack.argument_error(1, c"expected 1 argument")),
    }
}

/// Makes a module with settings of its own.
fn new(native: &Native<'_>) -> mlua::Result<Function> {
    let raising = native.raising.clone();
    native.function(move |lua, _| {
        let native = Native {
            lua,
            raising: raising.clone(),
        };
        let module = module(&native, &SharedSettings::default())?;
        Ok(module.into_lua_multi(lua)?)
    })
}

#[cfg(test)]
mod tests;
