//! What the code of a library says of its functions: `redis.register_function`.

use std::collections::HashSet;

use mlua::{Function, Lua, LuaString, Table, Value};

use super::native::{Arguments, Raise, Result};
use super::shebang::ScriptFlags;

/// The number by which the interpreter knows a script, or a function of a
/// library. It keeps the functions: how many it could lend has a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Callback(u64);

impl Callback {
    /// The number as Lua sees it.
    pub fn number(self) -> f64 {
        // So many as a float could not tell apart are never registered.
        self.0 as f64
    }

    /// This number, which becomes the next one.
    pub fn take(&mut self) -> Callback {
        let taken = *self;
        self.0 += 1;
        taken
    }
}

/// A function as it was registered.
#[derive(Debug)]
pub struct Registered {
    /// Letters, digits and underscores.
    pub name: Box<str>,
    /// What it is for.
    pub description: Option<Box<[u8]>>,
    /// What it says of itself.
    pub flags: ScriptFlags,
    /// The function.
    pub callback: Callback,
}

/// What one library has registered.
#[derive(Debug, Default)]
pub struct Registrations {
    /// In order.
    pub functions: Vec<Registered>,
    /// Their names.
    names: HashSet<Box<str>>,
    /// The number of the next one.
    pub next: Callback,
    /// Bytes that are held outside of the interpreter, which does not see them.
    bytes: usize,
}

/// A library's functions take no more bytes than this, beside their code. One
/// of 10,000 functions takes a tenth.
const BYTES_MAX: usize = 16 * 1024 * 1024;

impl Registrations {
    /// None yet; the first one gets this number.
    pub fn from(next: Callback) -> Registrations {
        Registrations {
            next,
            ..Registrations::default()
        }
    }

    /// Adds a function, and answers its number.
    pub fn add(&mut self, wanted: Wanted) -> Result<Callback> {
        let name = wanted.name.as_bytes();
        let Some(name) = name_of(&name) else {
            return Err(Raise::Error(
                "ERR Library names can only contain letters, numbers, or underscores(_) and must \
                 be at least one character long",
            ));
        };
        if self.names.contains(name) {
            return Err(Raise::Error("ERR Function already exists in the library"));
        }
        let description = wanted.description.as_ref().map(LuaString::as_bytes);
        let described = description.as_ref().map_or(0, |text| text.len());
        self.bytes += size_of::<Registered>() + 2 * name.len() + described;
        if self.bytes > BYTES_MAX {
            return Err(Raise::Error("ERR not enough memory"));
        }
        let callback = self.next.take();
        self.names.insert(name.into());
        self.functions.push(Registered {
            name: name.into(),
            description: description.map(|text| text.as_ref().into()),
            flags: wanted.flags,
            callback,
        });
        Ok(callback)
    }
}

/// A name of a library or a function, if these bytes are one.
pub fn name_of(bytes: &[u8]) -> Option<&str> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let is_name = !bytes.is_empty() && bytes.iter().all(is_name);
    std::str::from_utf8(bytes).ok().filter(|_| is_name)
}

/// What is to be registered.
pub struct Wanted {
    name: LuaString,
    description: Option<LuaString>,
    flags: ScriptFlags,
}

/// Reads what `redis.register_function` is given: a name and a function, or a
/// table with both.
pub fn read(lua: &Lua, arguments: &Arguments) -> Result<(Wanted, Function)> {
    match (arguments.len(), arguments.get(1), arguments.get(2)) {
        (1, Some(Value::Table(named)), _) => read_named(lua, named),
        (1, ..) => Err(Raise::Error(
            "ERR calling redis.register_function with a single argument is only applicable to Lua \
             table (representing named arguments).",
        )),
        (2, Some(name), Some(function)) => {
            let text = "ERR first argument to redis.register_function must be a string";
            let name = string(lua, name)?.ok_or(Raise::Error(text))?;
            let Value::Function(function) = function else {
                let text = "ERR second argument to redis.register_function must be a function";
                return Err(Raise::Error(text));
            };
            let wanted = Wanted {
                name,
                description: None,
                flags: ScriptFlags::default(),
            };
            Ok((wanted, function.clone()))
        }
        _ => Err(Raise::Error(
            "ERR wrong number of arguments to redis.register_function",
        )),
    }
}

fn read_named(lua: &Lua, named: &Table) -> Result<(Wanted, Function)> {
    let (mut name, mut description, mut function) = (None, None, None);
    let mut flags = ScriptFlags::default();
    for pair in named.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let Some(key) = string(lua, &key)? else {
            return Err(Raise::Error(
                "ERR named argument key given to redis.register_function is not a string",
            ));
        };
        let key = key.as_bytes();
        if key.eq_ignore_ascii_case(b"function_name") {
            let text =
                "ERR function_name argument given to redis.register_function must be a string";
            name = Some(string(lua, &value)?.ok_or(Raise::Error(text))?);
        } else if key.eq_ignore_ascii_case(b"description") {
            let text = "ERR description argument given to redis.register_function must be a string";
            description = Some(string(lua, &value)?.ok_or(Raise::Error(text))?);
        } else if key.eq_ignore_ascii_case(b"callback") {
            let Value::Function(callback) = value else {
                return Err(Raise::Error(
                    "ERR callback argument given to redis.register_function must be a function",
                ));
            };
            function = Some(callback);
        } else if key.eq_ignore_ascii_case(b"flags") {
            let Value::Table(list) = value else {
                return Err(Raise::Error(
                    "ERR flags argument to redis.register_function must be a table representing \
                     function flags",
                ));
            };
            flags = read_flags(lua, &list)?;
        } else {
            let text = "ERR unknown argument given to redis.register_function";
            return Err(Raise::Error(text));
        }
    }
    let text = "ERR redis.register_function must get a function name argument";
    let name = name.ok_or(Raise::Error(text))?;
    let text = "ERR redis.register_function must get a callback argument";
    let function = function.ok_or(Raise::Error(text))?;
    let wanted = Wanted {
        name,
        description,
        flags,
    };
    Ok((wanted, function))
}

/// The flags that a list names, up to its first nil.
fn read_flags(lua: &Lua, list: &Table) -> Result<ScriptFlags> {
    let mut flags = ScriptFlags::default();
    for index in 1.. {
        let value: Value = list.raw_get(index)?;
        if value.is_nil() {
            break;
        }
        let flag = string(lua, &value)?.and_then(|name| {
            let name = name.as_bytes().to_ascii_lowercase();
            ScriptFlags::named(&name)
        });
        flags |= flag.ok_or(Raise::Error("ERR unknown flag given"))?;
    }
    Ok(flags)
}

/// A string; a number counts as its text.
fn string(lua: &Lua, value: &Value) -> Result<Option<LuaString>> {
    Ok(match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(_) | Value::Number(_) => lua.coerce_string(value.clone())?,
        _ => None,
    })
}
