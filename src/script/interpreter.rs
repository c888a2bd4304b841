//! Lua: one interpreter for all scripts of a broker, which is made when the
//! first one runs.

use std::ops::Range;

use mlua::chunk::ChunkMode;
use mlua::{
    Function, HookTriggers, Lua, LuaOptions, LuaString, MultiValue, StdLib, Table, Value,
    VmState,
};
use scoped_tls_hkt::scoped_thread_local;

use super::modules;
use super::native::{Native, error_table};
use crate::error::Error;
use crate::resp::{Argv, Output, Protocol, Reply, Reused};

/// The name of a script in error messages.
pub const SCRIPT: &str = "@user_script";
/// The name of the code of a library of functions in error messages.
pub const LIBRARY: &str = "@user_function";

/// What a script asks of the server while it runs.
pub trait Host {
    /// Runs a command.
    fn call(&mut self, argv: Argv<'_>, reply: &mut Reply<'_>);

    /// Whether the client that runs the script may run this command with these
    /// arguments. `None` if there is no such command.
    fn may_run(&mut self, argv: Argv<'_>) -> Option<bool>;

    /// Looks after what goes on meanwhile, every some 100,000 instructions;
    /// answers why the script is to end, if it is.
    fn look_around(&mut self) -> Option<&'static str>;
}

/// Where a script has failed, and why.
pub struct Failure {
    /// The error's code and text.
    pub text: Vec<u8>,
    /// The source and the line, if the script was at one.
    pub place: Option<(String, i64)>,
}

impl Failure {
    /// The error that the client gets. `name` is that of the script.
    pub fn error(self, name: &str) -> Error {
        let mut text = self.text;
        let place = self.place.unwrap_or_else(|| (SCRIPT.into(), -1));
        text.extend(format!(" script: {name}, on {}:{}.", place.0, place.1).bytes());
        Error::raised(text)
    }
}

/// The interpreter.
pub struct Interpreter {
    lua: Lua,
    /// What scripts see as their globals.
    globals: Table,
    run: Function,
    run_with: Function,
    run_function: Function,
    scratch: Scratch,
}

/// Buffers for what one call of a script to the server is made of.
#[derive(Default)]
struct Scratch {
    request: Vec<u8>,
    words: Vec<Range<u32>>,
    reply: Reused<SCRATCH_KEEP>,
}

/// Buffers keep so many bytes between two calls.
const SCRATCH_KEEP: usize = 16 * 1024;
/// So many keys and arguments are passed one by one, and more in tables.
const PASSED_MAX: usize = 16;
/// Instructions between two looks at what goes on meanwhile: half a
/// millisecond's.
const LOOK_EVERY: u32 = 100_000;
/// An interpreter that holds more than this is to free what is garbage.
const MEMORY_KEEP: usize = 1024 * 1024;

/// What a running script needs of the server, and what it has set for itself.
struct Running<'h> {
    host: &'h mut dyn Host,
    scratch: &'h mut Scratch,
    /// Replies have the types of RESP3: `redis.setresp(3)`.
    protocol: Protocol,
    memory_limit: usize,
    /// Why the script ends, and where it was then.
    killed: Option<(&'static str, Place)>,
}

/// A source and a line of it.
type Place = Option<(String, i64)>;

/// [`Running`], as the interpreter's functions find it.
trait Runs {
    fn call(&mut self, lua: &Lua, arguments: &MultiValue) -> mlua::Result<(bool, Value)>;
    fn set_protocol(&mut self, protocol: Protocol);
    fn may_run(&mut self, arguments: &MultiValue) -> Result<bool, &'static str>;
    /// Why the script is to end, if it is, and whether it is told so for the
    /// first time.
    fn look_around(&mut self, lua: &Lua) -> Option<(&'static str, bool)>;
}

scoped_thread_local!(static mut RUNNING: for<'a> &'a mut (dyn Runs + 'a));

impl Interpreter {
    /// One with nothing but the libraries.
    ///
    /// # Errors
    ///
    /// There is no memory for it.
    pub fn new() -> mlua::Result<Interpreter> {
        let libraries = StdLib::MATH | StdLib::OS | StdLib::STRING | StdLib::TABLE | StdLib::BIT;
        let lua = Lua::new_with(libraries, LuaOptions::new())?;
        let native = Native::new(&lua)?;
        let host = lua.create_table()?;
        host.raw_set("call", lua.create_function(call)?)?;
        host.raw_set("may_run", lua.create_function(may_run)?)?;
        host.raw_set("set_resp", lua.create_function(set_resp)?)?;
        host.raw_set("where", lua.create_function(|lua, ()| Ok(place(lua, 2).unzip()))?)?;
        let setup: Function = lua
            .load(include_str!("sandbox.lua"))
            .set_name("=sandbox")
            .into_function()?;
        let (globals, run, run_with, run_function) =
            setup.call((host.clone(), modules::tables(&native)?))?;
        let environment: Table = globals;
        let scripts = environment.clone();
        host.raw_set(
            "compile",
            lua.create_function(move |lua, (code, name): (LuaString, Option<LuaString>)| {
                let name = name.map_or_else(|| "=(load)".into(), |name| name.to_string_lossy());
                let code = code.as_bytes().to_vec();
                match compile(lua, &code, &name, &scripts) {
                    Ok(function) => Ok((Some(function), None)),
                    Err(text) => Ok((None, Some(lua.create_string(text)?))),
                }
            })?,
        )?;
        let look = HookTriggers::new().every_nth_instruction(LOOK_EVERY);
        lua.set_global_hook(look, |lua, _| look_around(lua))?;
        Ok(Interpreter {
            lua,
            globals: environment,
            run,
            run_with,
            run_function,
            scratch: Scratch::default(),
        })
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.lua.used_memory()
    }

    /// Compiles a script; the error is what Lua says of it.
    pub fn compile(&self, code: &[u8]) -> Result<Function, Vec<u8>> {
        compile(&self.lua, code, SCRIPT, &self.globals)
    }

    /// Runs a script and writes what it returns.
    pub fn run(
        &mut self,
        script: &Function,
        (keys, args): (Argv<'_>, Argv<'_>),
        host: &mut dyn Host,
        memory_limit: usize,
        reply: &mut Reply<'_>,
    ) -> Result<(), Failure> {
        let few = keys.len() + args.len() <= PASSED_MAX;
        let arguments = match few {
            true => self.arguments(script, keys, args),
            false => self.tables(script, keys, args),
        };
        let function = if few { &self.run } else { &self.run_with };
        let mut running = Running {
            host,
            scratch: &mut self.scratch,
            protocol: Protocol::Resp2,
            memory_limit,
            killed: None,
        };
        let done = arguments.and_then(|arguments| {
            modules::reset(&self.lua);
            self.lua.set_memory_limit(memory_limit)?;
            let done = RUNNING.set(&mut running, || function.call(arguments));
            self.lua.set_memory_limit(0)?;
            done
        });
        let Running {
            killed, protocol, ..
        } = running;
        if killed.is_some() {
            let look = HookTriggers::new().every_nth_instruction(LOOK_EVERY);
            // It was there before, so there is room for it.
            let _ = self.lua.set_global_hook(look, |lua, _| look_around(lua));
        }
        let result = self.finish(done, killed, protocol, reply);
        if self.lua.used_memory() > MEMORY_KEEP {
            // What is garbage can be collected, whatever an error says of it.
            let _ = self.lua.gc_collect();
        }
        result
    }

    fn finish(
        &self,
        done: mlua::Result<(bool, Value, Option<LuaString>, Option<i64>)>,
        killed: Option<(&'static str, Place)>,
        protocol: Protocol,
        reply: &mut Reply<'_>,
    ) -> Result<(), Failure> {
        if let Some((why, place)) = killed {
            let text = why.into();
            return Err(Failure { text, place });
        }
        let (ok, value, source, line) = match done {
            Ok(done) => done,
            Err(error) => {
                let text = format!("ERR {}", text_of(&error)).into_bytes();
                return Err(Failure { text, place: None });
            }
        };
        if !ok {
            let place = source.map(|source| (source.to_string_lossy(), line.unwrap_or(-1)));
            let text = match &value {
                Value::String(text) => text.as_bytes().to_vec(),
                _ => b"ERR unknown error".to_vec(),
            };
            return Err(Failure { text, place });
        }
        super::conversion::to_reply(&value, protocol == Protocol::Resp3, reply).map_err(|error| {
            Failure {
                text: format!("ERR {}", text_of(&error)).into_bytes(),
                place: None,
            }
        })
    }

    /// A script, the number of its keys, and both its keys and its arguments.
    fn arguments(
        &self,
        script: &Function,
        keys: Argv<'_>,
        args: Argv<'_>,
    ) -> mlua::Result<MultiValue> {
        let mut values = MultiValue::with_capacity(2 + keys.len() + args.len());
        values.push_back(Value::Function(script.clone()));
        values.push_back(Value::Number(keys.len() as f64));
        for word in keys.iter().chain(args.iter()) {
            values.push_back(Value::String(self.lua.create_string(word)?));
        }
        Ok(values)
    }

    /// A script, a table of its keys and one of its arguments.
    fn tables(
        &self,
        script: &Function,
        keys: Argv<'_>,
        args: Argv<'_>,
    ) -> mlua::Result<MultiValue> {
        let table = |words: Argv<'_>| {
            let table = self.lua.create_table_with_capacity(words.len(), 0)?;
            for (index, word) in words.iter().enumerate() {
                table.raw_seti(index + 1, self.lua.create_string(word)?)?;
            }
            mlua::Result::Ok(Value::Table(table))
        };
        let script = Value::Function(script.clone());
        Ok(MultiValue::from_iter([script, table(keys)?, table(args)?]))
    }
}

/// Compiles source code whose globals are `globals`.
fn compile(lua: &Lua, code: &[u8], name: &str, globals: &Table) -> Result<Function, Vec<u8>> {
    // Collecting garbage while code is parsed has had its faults.
    lua.gc_stop();
    let compiled = lua
        .load(code)
        .set_name(name)
        .set_mode(ChunkMode::Text)
        .set_environment(globals.clone())
        .into_function();
    lua.gc_restart();
    compiled.map_err(|error| text_of(&error).into_bytes())
}

/// What Lua says of an error, without what the binding adds.
fn text_of(error: &mlua::Error) -> String {
    match error {
        mlua::Error::SyntaxError { message, .. } => message.clone(),
        mlua::Error::RuntimeError(message) => message.clone(),
        mlua::Error::MemoryError(_) => "not enough memory".into(),
        mlua::Error::CallbackError { cause, .. } => text_of(cause),
        error => error.to_string(),
    }
}

/// The source and the line of the innermost function that a user has written.
/// It is looked for from this level on: 0 is the function that runs, a
/// function of Rust's perhaps that asks.
fn place(lua: &Lua, from: usize) -> Place {
    const LEVELS_MAX: usize = 50;
    for level in from..from + LEVELS_MAX {
        let (source, line) = lua.inspect_stack(level, |frame| {
            let source = frame.source().source.map(|source| source.into_owned());
            (source, frame.current_line())
        })?;
        if let Some(source) = source
            && (source == SCRIPT || source == LIBRARY)
        {
            let line = line.and_then(|line| i64::try_from(line).ok());
            return Some((source, line.unwrap_or(-1)));
        }
    }
    None
}

/// Runs a command for a script: answers true and its reply, or false and what
/// is to be raised.
fn call(lua: &Lua, arguments: MultiValue) -> mlua::Result<(bool, Value)> {
    if !RUNNING.is_set() {
        let text = lua.create_string("redis.call can only be called inside a script invocation")?;
        return Ok((false, Value::String(text)));
    }
    RUNNING.with(|running| running.call(lua, &arguments))
}

impl Runs for Running<'_> {
    fn call(&mut self, lua: &Lua, arguments: &MultiValue) -> mlua::Result<(bool, Value)> {
        // What the reply takes is looked at afterwards: each step that must be ready to fail
        // costs as much again.
        lua.set_memory_limit(0)?;
        let result = self.run_command(lua, arguments);
        lua.set_memory_limit(self.memory_limit)?;
        if self.memory_limit > 0 && lua.used_memory() > self.memory_limit {
            return Err(mlua::Error::MemoryError("not enough memory".into()));
        }
        result
    }

    fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    fn may_run(&mut self, arguments: &MultiValue) -> Result<bool, &'static str> {
        let Scratch { request, words, .. } = &mut *self.scratch;
        encode(arguments, request, words)?;
        let may_run = self.host.may_run(Argv::new(request, words));
        may_run.ok_or("ERR Invalid command passed to redis.acl_check_cmd()")
    }

    fn look_around(&mut self, lua: &Lua) -> Option<(&'static str, bool)> {
        if let Some((why, _)) = self.killed {
            return Some((why, false));
        }
        let why = self.host.look_around()?;
        self.killed = Some((why, place(lua, 0)));
        Some((why, true))
    }
}

impl Running<'_> {
    fn run_command(&mut self, lua: &Lua, arguments: &MultiValue) -> mlua::Result<(bool, Value)> {
        let Scratch {
            request,
            words,
            reply,
        } = &mut *self.scratch;
        if let Err(text) = encode(arguments, request, words) {
            return failed(lua, text);
        }
        let mut output = reply.lend();
        let argv = Argv::new(request, words);
        self.host
            .call(argv, &mut Reply::new(&mut output, self.protocol));
        let value = with_bytes(&mut output, |bytes| {
            let ok = !super::conversion::is_error(bytes);
            Ok((ok, super::conversion::to_lua(lua, bytes)?))
        });
        drop(output);
        request.clear();
        request.shrink_to(SCRATCH_KEEP);
        words.clear();
        words.shrink_to(SCRATCH_KEEP / size_of::<Range<u32>>());
        value
    }
}

/// Has `read` read what is in `output` in one piece.
fn with_bytes<T>(output: &mut Output, read: impl FnOnce(&[u8]) -> T) -> T {
    match output.only() {
        Some(bytes) => read(bytes),
        None => read(&std::mem::take(output).into_vec()),
    }
}

/// The arguments of a call as the words of a request; the error says what is
/// wrong with them.
fn encode(
    arguments: &MultiValue,
    request: &mut Vec<u8>,
    words: &mut Vec<Range<u32>>,
) -> Result<(), &'static str> {
    request.clear();
    words.clear();
    if arguments.is_empty() {
        return Err("ERR Please specify at least one argument for this redis lib call");
    }
    for argument in arguments {
        let start = request.len();
        match argument {
            Value::String(text) => request.extend_from_slice(&text.as_bytes()),
            Value::Integer(number) => {
                request.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes());
            }
            Value::Number(number) => write_number(*number, request),
            _ => return Err("ERR Lua redis lib command arguments must be strings or integers"),
        }
        let Ok(end) = u32::try_from(request.len()) else {
            return Err("ERR Lua redis lib command arguments are too long");
        };
        words.push(start as u32..end);
    }
    Ok(())
}

/// Writes a number as Redis does: with 17 digits.
fn write_number(number: f64, text: &mut Vec<u8>) {
    let whole = number as i64;
    if whole as f64 == number && whole.unsigned_abs() < 1_000_000_000_000_000 && whole != 0 {
        text.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
    } else {
        text.extend_from_slice(crate::text::double::with_17_digits(number).as_bytes());
    }
}

/// Answers an error that a call of a script's raises.
fn failed(lua: &Lua, text: &str) -> mlua::Result<(bool, Value)> {
    Ok((false, error_table(lua, text.as_bytes())?))
}

/// `redis.setresp`: which version of the protocol replies are in.
fn set_resp(lua: &Lua, arguments: MultiValue) -> mlua::Result<(bool, Value)> {
    if arguments.len() != 1 {
        return failed(lua, "ERR redis.setresp() requires one argument.");
    }
    let version = lua.coerce_integer(arguments[0].clone())?;
    let protocol = match version {
        Some(2) => Protocol::Resp2,
        Some(3) => Protocol::Resp3,
        _ => return failed(lua, "ERR RESP version must be 2 or 3."),
    };
    if RUNNING.is_set() {
        RUNNING.with(|running| running.set_protocol(protocol));
    }
    Ok((true, Value::Nil))
}

/// `redis.acl_check_cmd`: whether the client may run a command.
fn may_run(lua: &Lua, arguments: MultiValue) -> mlua::Result<(bool, Value)> {
    if !RUNNING.is_set() {
        return failed(lua, "ERR redis.acl_check_cmd can only be called inside a script invocation");
    }
    match RUNNING.with(|running| running.may_run(&arguments)) {
        Ok(may_run) => Ok((true, Value::Boolean(may_run))),
        Err(text) => failed(lua, text),
    }
}

/// Looks around while a script runs, and ends it if it is to end.
fn look_around(lua: &Lua) -> mlua::Result<VmState> {
    if !RUNNING.is_set() {
        return Ok(VmState::Continue);
    }
    let Some((why, is_new)) = RUNNING.with(|running| running.look_around(lua)) else {
        return Ok(VmState::Continue);
    };
    if is_new {
        // Whatever the script does to catch this, the next instruction raises it again.
        let look = HookTriggers::new().every_nth_instruction(1);
        lua.set_global_hook(look, |lua, _| look_around(lua))?;
    }
    Err(mlua::Error::RuntimeError(why.into()))
}
