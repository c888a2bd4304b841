//! How functions that scripts call are written in Rust.
//!
//! A function gets its [`Arguments`] and answers values, or what it raises.
//! It never calls back into Lua, neither a function that it was given nor a
//! metamethod: an error that passed through Rust would lose the value that was
//! raised. What calls back is written in Lua around such a function.

use mlua::{Function, Integer, Lua, LuaString, MultiValue, Number, Table, Value};

/// What a function of Rust's raises in the script that has called it.
#[derive(Debug)]
pub enum Raise {
    /// A text, to which the place of the call is added.
    Text(Vec<u8>),
    /// A text alone, as Lua itself raises what no line of a script has done.
    Bare(Vec<u8>),
    /// The code and the text of an error, as commands answer them.
    Error(&'static str),
    /// An argument is not what it should be: which, from 1 on, and why.
    Argument(usize, Vec<u8>),
    /// The interpreter itself has failed: it is out of memory, mostly.
    Interpreter(mlua::Error),
}

/// What a function of Rust's answers.
pub type Result<T> = std::result::Result<T, Raise>;

impl Raise {
    /// A text to raise.
    pub fn text(text: impl AsRef<[u8]>) -> Raise {
        Raise::Text(text.as_ref().to_vec())
    }

    /// A text to raise without the place of the call.
    pub fn bare(text: impl AsRef<[u8]>) -> Raise {
        Raise::Bare(text.as_ref().to_vec())
    }

    /// What an argument should be instead.
    pub fn argument(index: usize, why: impl AsRef<[u8]>) -> Raise {
        Raise::Argument(index, why.as_ref().to_vec())
    }

    /// What Lua raises where memory has run out.
    pub fn out_of_memory() -> Raise {
        Raise::bare("not enough memory")
    }

    /// What C functions raise where the values that they leave on the stack
    /// would be too many.
    pub fn stack_overflow(why: &str) -> Raise {
        Raise::text(format!("stack overflow ({why})"))
    }
}

/// How many values a function may have on the stack, or refer to otherwise. In
/// Redis it is 8000, and here fewer, since the binding has room for no more
/// than that in all.
pub const STACK_MAX: usize = 7000;

impl From<mlua::Error> for Raise {
    fn from(error: mlua::Error) -> Raise {
        Raise::Interpreter(error)
    }
}

/// The arguments of a call, numbered from 1 on as in Lua, with Lua's
/// conversions and its texts for what does not fit.
pub struct Arguments {
    values: MultiValue,
}

impl Arguments {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// The values.
    pub fn values(&self) -> &MultiValue {
        &self.values
    }

    /// One of them, if there are so many.
    pub fn get(&self, index: usize) -> Option<&Value> {
        self.values.get(index - 1)
    }

    /// Whether it is there and not nil.
    pub fn is_given(&self, index: usize) -> bool {
        !matches!(self.get(index), None | Some(Value::Nil))
    }

    /// A string; a number counts as its text.
    pub fn string(&self, lua: &Lua, index: usize) -> Result<LuaString> {
        let text = match self.get(index) {
            Some(Value::String(text)) => return Ok(text.clone()),
            // LuaJIT has no sign for it.
            Some(Value::Number(number)) if number.is_nan() => {
                let is_negative = number.is_sign_negative();
                Some(lua.create_string(if is_negative { "-nan" } else { "nan" })?)
            }
            Some(value @ (Value::Number(_) | Value::Integer(_))) => {
                lua.coerce_string(value.clone())?
            }
            _ => None,
        };
        text.ok_or_else(|| self.unexpected(index, "string"))
    }

    /// A number; a string that is one counts.
    pub fn number(&self, lua: &Lua, index: usize) -> Result<Number> {
        let number = match self.get(index) {
            Some(Value::Number(number)) => return Ok(*number),
            Some(Value::Integer(number)) => return Ok(*number as Number),
            Some(value @ Value::String(_)) => lua.coerce_number(value.clone())?,
            _ => None,
        };
        number.ok_or_else(|| self.unexpected(index, "number"))
    }

    /// A number whose fraction is dropped, as C does it.
    pub fn integer(&self, lua: &Lua, index: usize) -> Result<Integer> {
        Ok(truncate(self.number(lua, index)?))
    }

    /// The same, or `default` if there is none.
    pub fn integer_or(&self, lua: &Lua, index: usize, default: Integer) -> Result<Integer> {
        if self.is_given(index) {
            self.integer(lua, index)
        } else {
            Ok(default)
        }
    }

    /// A table.
    pub fn table(&self, index: usize) -> Result<&Table> {
        match self.get(index) {
            Some(Value::Table(table)) => Ok(table),
            _ => Err(self.unexpected(index, "table")),
        }
    }

    /// Another type was expected.
    pub fn unexpected(&self, index: usize, expected: &str) -> Raise {
        let got = self.get(index).map_or("no value", type_name);
        Raise::argument(index, format!("{expected} expected, got {got}"))
    }
}

/// The type of a value, as Lua calls it.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "number",
        Value::LightUserData(_) => "userdata",
        value => value.type_name(),
    }
}

/// A number without its fraction, as C on x86 converts it: what a 64-bit
/// integer cannot hold becomes the least of them.
pub fn truncate(number: Number) -> i64 {
    const END: f64 = 9_223_372_036_854_775_808.0;
    if (-END..END).contains(&number) {
        number as i64
    } else {
        i64::MIN
    }
}

/// Makes functions of Rust's known to the interpreter.
pub struct Native<'l> {
    /// The interpreter.
    pub lua: &'l Lua,
    /// Has what a function answers raised or returned.
    pub raising: Function,
}

/// Returns what a function answers after `true`, and raises what it answers
/// after `false`: a text, and how far out its place is.
const RAISING: &str = "
local error = error
local function finish(ok, ...)
    if ok then return ... end
    error(...)
end
return function(native)
    return function(...) return finish(native(...)) end
end";

impl<'l> Native<'l> {
    /// For functions of this interpreter. `error` must still be there.
    pub fn new(lua: &'l Lua) -> mlua::Result<Native<'l>> {
        let raising = lua.load(RAISING).set_name("=native").eval()?;
        Ok(Native { lua, raising })
    }

    /// A function for scripts.
    pub fn function(
        &self,
        function: impl Fn(&Lua, &Arguments) -> Result<MultiValue> + Send + 'static,
    ) -> mlua::Result<Function> {
        self.raising.call(self.primitive(function)?)
    }

    /// A function for a function in Lua, which the script calls, to call: it
    /// returns true and its values, or false and what is to be given to
    /// `error`.
    pub fn primitive(
        &self,
        function: impl Fn(&Lua, &Arguments) -> Result<MultiValue> + Send + 'static,
    ) -> mlua::Result<Function> {
        self.lua.create_function(move |lua, values: MultiValue| {
            let raised = match function(lua, &Arguments { values }) {
                Ok(values) => return Ok((true, values)),
                Err(raised) => raised,
            };
            // 2 is where the function was called, and 0 no place at all.
            let (text, level) = match raised {
                Raise::Text(text) => (text, 2),
                Raise::Bare(text) => (text, 0),
                Raise::Error(text) => {
                    let error = error_table(lua, text.as_bytes())?;
                    return Ok((false, MultiValue::from_iter([error])));
                }
                Raise::Argument(index, why) => (bad_argument(lua, index, &why), 2),
                Raise::Interpreter(mlua::Error::MemoryError(text)) => (text.into_bytes(), 0),
                Raise::Interpreter(error) => return Err(error),
            };
            let text = Value::String(lua.create_string(text)?);
            let raised = [text, Value::Integer(level)];
            Ok((false, MultiValue::from_iter(raised)))
        })
    }
}

/// An error as scripts see it: a table with the code and the text.
pub fn error_table(lua: &Lua, text: &[u8]) -> mlua::Result<Value> {
    let error = lua.create_table_with_capacity(0, 1)?;
    error.raw_set("err", lua.create_string(text)?)?;
    Ok(Value::Table(error))
}

/// The text for an argument that is not what it should be. How the function
/// is called tells its name, and whether the first argument is the object.
fn bad_argument(lua: &Lua, index: usize, why: &[u8]) -> Vec<u8> {
    // Level 0 is the function of Rust's, and level 1 the one around it.
    let (name, what) = lua
        .inspect_stack(1, |frame| {
            let names = frame.names();
            (names.name.map(|name| name.into_owned()), names.name_what)
        })
        .unwrap_or_default();
    let name = name.as_deref().unwrap_or("?");
    let start = match (what, index) {
        (Some("method"), 1) => format!("calling '{name}' on bad self ("),
        (Some("method"), _) => format!("bad argument #{} to '{name}' (", index - 1),
        _ => format!("bad argument #{index} to '{name}' ("),
    };
    [start.as_bytes(), why, b")"].concat()
}
