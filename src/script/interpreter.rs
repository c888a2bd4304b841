//! Lua: one interpreter for all scripts of a broker, which is made when the
//! first one runs.

use std::any::Any;
use std::panic::resume_unwind;

use mlua::chunk::ChunkMode;
use mlua::{
    BString, Either, Function, HookTriggers, Lua, LuaOptions, LuaString, MultiValue, StdLib, Table,
    Value, Variadic, VmState,
};

use super::calls;
use super::conversion;
use super::modules;
use super::native::{Native, error_table};
use super::running::{Called, LastReply, RUNNING, Request, Runs};
use super::tail_calls::without_tail_calls;
use crate::error::Error;
use crate::resp::{Argv, Protocol, Reply};

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
    request: Request,
    reply: LastReply,
}

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
    /// What a command has panicked with.
    panic: Option<Box<dyn Any + Send>>,
}

/// A source and a line of it.
type Place = Option<(String, i64)>;

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
        let (call, pcall) = calls::functions(&lua)?;
        host.raw_set("call", call)?;
        host.raw_set("pcall", pcall)?;
        host.raw_set("begin", lua.create_function(begin)?)?;
        host.raw_set("may_run", lua.create_function(may_run)?)?;
        host.raw_set("set_resp", lua.create_function(set_resp)?)?;
        host.raw_set(
            "where",
            lua.create_function(|lua, ()| Ok(place(lua, 2).unzip()))?,
        )?;
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
        let kept = without_tail_calls(code);
        compile(&self.lua, &kept, SCRIPT, &self.globals)
            // What Lua says of it is to be about what was written.
            .or_else(|_| compile(&self.lua, code, SCRIPT, &self.globals))
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
        let mut running = Running {
            host,
            scratch: &mut self.scratch,
            protocol: Protocol::Resp2,
            memory_limit,
            killed: None,
            panic: None,
        };
        modules::reset(&self.lua);
        let lua = &self.lua;
        let done = if few {
            let words = keys.iter().chain(args.iter()).map(word);
            let arguments = (script, keys.len(), Variadic::from_iter(words));
            RUNNING.set(&mut running, || self.run.call(arguments))
        } else {
            tables(lua, keys, args).and_then(|(keys, args)| {
                let arguments = (script, keys, args);
                RUNNING.set(&mut running, || self.run_with.call(arguments))
            })
        };
        let Running {
            killed,
            protocol,
            panic,
            ..
        } = running;
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
        if killed.is_some() {
            let look = HookTriggers::new().every_nth_instruction(LOOK_EVERY);
            // It was there before, so there is room for it.
            let _ = self.lua.set_global_hook(look, |lua, _| look_around(lua));
        }
        let unlimited = self.lua.set_memory_limit(0);
        debug_assert!(unlimited.is_ok(), "its allocator counts");
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
        conversion::to_reply(&value, protocol == Protocol::Resp3, reply).map_err(|error| Failure {
            text: format!("ERR {}", text_of(&error)).into_bytes(),
            place: None,
        })
    }
}

/// A word as a string of Lua's; what is no UTF-8 is copied once more.
fn word(word: &[u8]) -> Either<&str, BString> {
    match std::str::from_utf8(word) {
        Ok(text) => Either::Left(text),
        Err(_) => Either::Right(word.into()),
    }
}

/// A table of keys and one of arguments.
fn tables(lua: &Lua, keys: Argv<'_>, args: Argv<'_>) -> mlua::Result<(Table, Table)> {
    let table = |words: Argv<'_>| {
        let table = lua.create_table_with_capacity(words.len(), 0)?;
        for (index, word) in words.iter().enumerate() {
            table.raw_seti(index + 1, lua.create_string(word)?)?;
        }
        mlua::Result::Ok(table)
    };
    Ok((table(keys)?, table(args)?))
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

/// What a function answers: true and a value, or false and what is to be raised.
type Answer = (bool, Value);

/// Has memory be limited from now on: a script begins. Its arguments have come
/// without a limit, which costs less.
fn begin(lua: &Lua, (): ()) -> mlua::Result<()> {
    match RUNNING.is_set() {
        true => RUNNING.with(|running| running.begin(lua)),
        false => Ok(()),
    }
}

impl Runs for Running<'_> {
    fn request(&mut self) -> &mut Request {
        self.scratch.request.clear();
        &mut self.scratch.request
    }

    fn call(&mut self) -> Called {
        let Scratch { request, reply } = &mut *self.scratch;
        let argv = request.argv();
        if argv.is_empty() {
            return Called::Refused(NO_ARGUMENT);
        }
        let mut writer = Reply::new(reply.renew(), self.protocol);
        self.host.call(argv, &mut writer);
        let bytes = reply.bytes();
        Called::Replied {
            start: bytes.as_ptr(),
            len: bytes.len(),
        }
    }

    fn may_run(&mut self) -> Option<bool> {
        self.host.may_run(self.scratch.request.argv())
    }

    fn keep_panic(&mut self, panic: Box<dyn Any + Send>) {
        self.panic = Some(panic);
    }

    fn begin(&mut self, lua: &Lua) -> mlua::Result<()> {
        lua.set_memory_limit(self.memory_limit).map(|_| ())
    }

    fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    fn look_around(&mut self, lua: &Lua) -> Option<(&'static str, bool)> {
        if let Some((why, _)) = self.killed {
            return Some((why, false));
        }
        let why = match self.panic {
            Some(_) => "ERR the command has failed",
            None => self.host.look_around()?,
        };
        self.killed = Some((why, place(lua, 0)));
        Some((why, true))
    }
}

const NO_ARGUMENT: &str = "ERR Please specify at least one argument for this redis lib call";

/// Answers an error that is raised.
fn failed(lua: &Lua, text: &str) -> mlua::Result<Answer> {
    Ok((false, error_table(lua, text.as_bytes())?))
}

/// `redis.setresp`: which version of the protocol replies are in.
fn set_resp(lua: &Lua, arguments: MultiValue) -> mlua::Result<Answer> {
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
fn may_run(lua: &Lua, arguments: MultiValue) -> mlua::Result<Answer> {
    if arguments.is_empty() {
        return failed(lua, NO_ARGUMENT);
    }
    if !RUNNING.is_set() {
        return failed(
            lua,
            "ERR redis.acl_check_cmd can only be called inside a script invocation",
        );
    }
    let may_run = RUNNING.with(|running| {
        let request = running.request();
        for argument in &arguments {
            match argument {
                Value::String(text) => request.add(&text.as_bytes())?,
                Value::Integer(number) => request.add_number(*number as f64)?,
                Value::Number(number) => request.add_number(*number)?,
                _ => return Err("ERR Lua redis lib command arguments must be strings or integers"),
            }
        }
        let may_run = running.may_run();
        may_run.ok_or("ERR Invalid command passed to redis.acl_check_cmd()")
    });
    match may_run {
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
