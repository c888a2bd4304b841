//! Runs what a table of expectations says, as scripts would.

use mlua::{Lua, LuaOptions, StdLib, Table, Value};

use crate::script::native::Native;

/// An interpreter that has a library under this name.
pub fn interpreter(name: &str, table: fn(&Native<'_>) -> mlua::Result<Table>) -> Lua {
    let libraries = StdLib::STRING | StdLib::TABLE | StdLib::MATH | StdLib::BIT;
    let lua = Lua::new_with(libraries, LuaOptions::new()).unwrap();
    let native = Native::new(&lua).unwrap();
    let library = table(&native).unwrap();
    lua.globals().raw_set(name, library).unwrap();
    lua
}

/// What a script answers, as text: its values with a bar between them, or the
/// error that it ends with. Bytes that are not ASCII are escaped, and
/// backslashes.
pub fn run(lua: &Lua, script: &str) -> String {
    const SHOW: &str = "
        local function show(ok, ...)
            local shown = {...}
            for at = 1, select('#', ...) do shown[at] = tostring(shown[at]) end
            return table.concat(shown, '|')
        end
        return function(script) return show(pcall(script)) end";
    let script = lua.load(script).set_name("@user_script");
    let script = match script.into_function() {
        Ok(script) => script,
        Err(error) => return error.to_string(),
    };
    let show: mlua::Function = lua.load(SHOW).eval().unwrap();
    match show.call(script) {
        Ok(Value::String(text)) => {
            let text = text.as_bytes().escape_ascii().to_string();
            text.replace(r#"\""#, "\"").replace(r"\'", "'")
        }
        other => format!("{other:?}"),
    }
}

/// Compares what scripts answer with what Redis answers, escaped alike.
pub fn check(lua: &Lua, expected: &[(&str, &str)]) {
    for (script, expected) in expected {
        assert_eq!(run(lua, script), *expected, "{script}");
    }
}
