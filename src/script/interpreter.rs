//! Lua: one interpreter for all scripts of a broker, which is made when the
//! first one runs.

use std::any::Any;
use std::borrow::Cow;
use std::panic::resume_unwind;

use mlua::chunk::ChunkMode;
use mlua::{
    BString, Either, Function, HookTriggers, Lua, LuaOptions, LuaString, MultiValue, StdLib, Table,
    Value, Variadic, VmState,
};

use super::calls;
use super::conversion;
use super::modules;
use super::native::{Arguments, Native, Raise, error_table};
use super::registration::{self, Callback, Registered, Registrations};
use super::running::{self, Called, LastReply, Request, Runs};
use super::source::for_luajit;
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

    /// The script answers an error, which may be `counted` already.
    fn note_error(&mut self, _text: &[u8], _counted: bool) {}

    /// The error that ends the script is counted already.
    fn note_counted(&mut self) {}

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
        let mut text = conversion::up_to_nul(&self.text).to_vec();
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
    libraries: ForLibraries,
    /// How each kind of program is run: with few words, and with many.
    run: [Function; 2],
    run_function: [Function; 2],
    scratch: Scratch,
}

/// What the code of libraries needs.
struct ForLibraries {
    /// What it sees as its globals.
    globals: Table,
    /// The metatable of these, which says where they are: a table of them
    /// while the code is loaded, and one for afterwards.
    metatable: Table,
    while_loading: Table,
    afterwards: Table,
    load: Function,
    /// The functions that libraries have registered.
    callbacks: Table,
    /// The number of the next one.
    next: Callback,
}

/// What is run.
#[derive(Clone, Copy)]
pub enum Program {
    /// A script.
    Script(Callback),
    /// A function of a library.
    Function(Callback),
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
    /// What it registers, if it is the code of a library.
    registrations: Option<Registrations>,
}

/// A source and a line of it.
type Place = Option<(String, i64)>;

impl Interpreter {
    /// One with nothing but the libraries, whose functions write nothing that
    /// is longer than the limit of memory.
    ///
    /// # Errors
    ///
    /// There is no memory for it.
    pub fn new(memory_limit: usize) -> mlua::Result<Interpreter> {
        let libraries = StdLib::MATH | StdLib::OS | StdLib::STRING | StdLib::TABLE | StdLib::BIT;
        let lua = Lua::new_with(libraries, LuaOptions::new())?;
        let mut native = Native::new(&lua)?;
        if memory_limit > 0 {
            native.output_max = native.output_max.min(memory_limit);
        }
        let host = lua.create_table()?;
        let (call, pcall) = calls::functions(&lua)?;
        host.raw_set("call", call)?;
        host.raw_set("pcall", pcall)?;
        host.raw_set("begin", lua.create_function(begin)?)?;
        host.raw_set("may_run", lua.create_function(may_run)?)?;
        host.raw_set("set_resp", lua.create_function(set_resp)?)?;
        host.raw_set("note_counted", lua.create_function(note_counted)?)?;
        host.raw_set(
            "where",
            lua.create_function(|lua, ()| Ok(place(lua, 2).unzip()))?,
        )?;
        // What has failed in a function of Rust's is no value of Lua's.
        let text = |_: &Lua, raised: Value| match &raised {
            Value::Error(error) => Ok(text_of(error)),
            _ => Ok("unknown error".into()),
        };
        host.raw_set("text_of", lua.create_function(text)?)?;
        let callbacks = lua.create_table()?;
        host.raw_set("callbacks", &callbacks)?;
        let kept = callbacks.clone();
        let register = native.function(move |lua, arguments| register(lua, arguments, &kept))?;
        host.raw_set("register", register)?;
        let setup: Function = lua
            .load(include_str!("sandbox.lua"))
            .set_name("=sandbox")
            .into_function()?;
        let made: Table = setup.call((host.clone(), modules::tables(&native)?))?;
        let environment: Table = made.raw_get("globals")?;
        let scripts = environment.clone();
        host.raw_set(
            "compile",
            lua.create_function(move |lua, (code, name): (LuaString, Option<LuaString>)| {
                // By default it is called by its text.
                let name = name.as_ref().unwrap_or(&code).as_bytes();
                let name = String::from_utf8_lossy(conversion::up_to_nul(&name)).into_owned();
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
            libraries: ForLibraries {
                globals: made.raw_get("functions")?,
                metatable: made.raw_get("of_functions")?,
                while_loading: made.raw_get("seen_while_loading")?,
                afterwards: made.raw_get("seen_by_functions")?,
                load: made.raw_get("load")?,
                callbacks,
                next: Callback::default(),
            },
            run: [made.raw_get("run")?, made.raw_get("run_with")?],
            run_function: [
                made.raw_get("call_function")?,
                made.raw_get("call_function_with")?,
            ],
            scratch: Scratch::default(),
        })
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.lua.used_memory()
    }

    /// Compiles a script; the error is what Lua says of it.
    pub fn compile(&mut self, code: &[u8]) -> Result<Callback, Vec<u8>> {
        let function = compile_written(&self.lua, code, SCRIPT, &self.globals)?;
        let libraries = &mut self.libraries;
        let callback = libraries.next.take();
        let kept = libraries.callbacks.raw_set(callback.number(), function);
        kept.map_err(|error| text_of(&error).into_bytes())?;
        Ok(callback)
    }

    /// Runs a program and writes what it returns.
    pub fn run(
        &mut self,
        program: Program,
        (keys, args): (Argv<'_>, Argv<'_>),
        host: &mut dyn Host,
        memory_limit: usize,
        reply: &mut Reply<'_>,
    ) -> Result<(), Failure> {
        let few = keys.len() + args.len() <= PASSED_MAX;
        let (program, [run, run_with]) = match program {
            Program::Script(script) => (script.number(), &self.run),
            Program::Function(callback) => (callback.number(), &self.run_function),
        };
        let mut running = Running {
            host,
            scratch: &mut self.scratch,
            protocol: Protocol::Resp2,
            memory_limit,
            killed: None,
            panic: None,
            registrations: None,
        };
        modules::reset(&self.lua);
        let lua = &self.lua;
        let done = if few {
            let words = keys.iter().chain(args.iter()).map(word);
            let arguments = (program, keys.len(), Variadic::from_iter(words));
            run_bounded(lua, &mut running, || run.call(arguments))
        } else {
            tables(lua, keys, args).and_then(|(keys, args)| {
                let arguments = (program, keys, args);
                run_bounded(lua, &mut running, || run_with.call(arguments))
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
        let result = outcome(done, killed).and_then(|value| {
            let resp3 = protocol == Protocol::Resp3;
            let mut note_error = |text: &[u8], counted| host.note_error(text, counted);
            let written = conversion::to_reply(&value, resp3, reply, &mut note_error);
            written.map_err(|error| Failure {
                text: format!("ERR {}", text_of(&error)).into_bytes(),
                place: None,
            })
        });
        self.tidy();
        result
    }

    /// Frees what is garbage if much is held.
    fn tidy(&self) {
        if self.lua.used_memory() > MEMORY_KEEP {
            self.collect_garbage();
        }
    }

    /// Frees what is garbage.
    pub fn collect_garbage(&self) {
        // It can be collected, whatever an error says of it.
        let _ = self.lua.gc_collect();
    }

    /// Runs the code of a library, which registers functions; the error is
    /// what was wrong with it.
    pub fn load(
        &mut self,
        code: &[u8],
        host: &mut dyn Host,
        memory_limit: usize,
    ) -> Result<Vec<Registered>, Vec<u8>> {
        let globals = &self.libraries.globals;
        let limited = |limit| {
            let limited = self.lua.set_memory_limit(limit);
            limited.map_err(|error| text_of(&error).into_bytes())
        };
        let code = limited(memory_limit)
            .and_then(|_| compile_written(&self.lua, code, LIBRARY, globals))
            .and_then(|code| limited(0).map(|_| code));
        let code = code.map_err(|text| {
            let _ = limited(0);
            [b"ERR Error compiling function: ", &*text].concat()
        })?;
        let first = self.libraries.next;
        let mut running = Running {
            host,
            scratch: &mut self.scratch,
            protocol: Protocol::Resp2,
            memory_limit,
            killed: None,
            panic: None,
            registrations: Some(Registrations::from(first)),
        };
        let libraries = &self.libraries;
        let done = see(libraries, &libraries.while_loading)
            .and_then(|()| run_bounded(&self.lua, &mut running, || libraries.load.call(code)));
        // The code could raise an error at any moment, so that only who has called it can tell
        // that it is over.
        let done = done.and_then(|done| see(libraries, &libraries.afterwards).map(|()| done));
        let Running {
            killed,
            registrations,
            ..
        } = running;
        let result = outcome(done, killed);
        let registrations = registrations.unwrap_or_default();
        self.libraries.next = registrations.next;
        self.tidy();
        match result {
            Ok(_) => Ok(registrations.functions),
            Err(failure) => {
                self.forget(
                    registrations
                        .functions
                        .iter()
                        .map(|function| function.callback),
                );
                let before = b"ERR Error registering functions: ";
                Err([before, &*failure.text].concat())
            }
        }
    }

    /// Forgets functions of libraries.
    pub fn forget(&self, callbacks: impl Iterator<Item = Callback>) {
        for callback in callbacks {
            // To forget takes no memory, so this does not fail.
            let _ = self
                .libraries
                .callbacks
                .raw_set(callback.number(), Value::Nil);
        }
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

/// Calls what runs a program, and undoes what has been set for it.
fn run_bounded<T>(
    lua: &Lua,
    running: &mut Running<'_>,
    call: impl FnOnce() -> mlua::Result<T>,
) -> mlua::Result<T> {
    let done = running::run(running, call);
    let unlimited = lua.set_memory_limit(0);
    debug_assert!(unlimited.is_ok(), "its allocator counts");
    if running.killed.is_some() {
        let look = HookTriggers::new().every_nth_instruction(LOOK_EVERY);
        // It was there before, so there is room for it.
        let _ = lua.set_global_hook(look, |lua, _| look_around(lua));
    }
    done
}

/// What a program that has ended has returned, or where it has failed.
fn outcome(done: mlua::Result<Done>, killed: Option<(&'static str, Place)>) -> Outcome {
    if let Some((why, place)) = killed {
        let text = why.into();
        return Err(Failure { text, place });
    }
    let (ok, value, source, line) = done.map_err(|error| Failure {
        text: format!("ERR {}", text_of(&error)).into_bytes(),
        place: None,
    })?;
    if ok {
        return Ok(value);
    }
    let place = source.map(|source| (source.to_string_lossy(), line.unwrap_or(-1)));
    let text = match &value {
        Value::String(text) => text.as_bytes().to_vec(),
        _ => b"ERR unknown error".to_vec(),
    };
    Err(Failure { text, place })
}

/// Whether a program has ended well, with what, and where it has failed.
type Done = (bool, Value, Option<LuaString>, Option<i64>);
type Outcome = Result<Value, Failure>;

/// Has the code of libraries see these globals.
fn see(libraries: &ForLibraries, globals: &Table) -> mlua::Result<()> {
    libraries.metatable.raw_set("__index", globals)
}

/// Compiles what a user has written, so that errors can name its lines.
fn compile_written(
    lua: &Lua,
    code: &[u8],
    name: &str,
    globals: &Table,
) -> Result<Function, Vec<u8>> {
    let kept = for_luajit(code);
    compile(lua, &kept, name, globals)
        // What Lua says of it is to be about what was written.
        .or_else(|_| compile(lua, code, name, globals))
}

/// Compiles source code whose globals are `globals`.
fn compile(lua: &Lua, code: &[u8], name: &str, globals: &Table) -> Result<Function, Vec<u8>> {
    // LuaJIT skips a first line that begins so; to Lua 5.1 it is no Lua.
    let code = match code.starts_with(b"#") {
        true => Cow::Owned([b" ", code].concat()),
        false => Cow::Borrowed(code),
    };
    // Collecting garbage while code is parsed has had its faults.
    lua.gc_stop();
    let compiled = lua
        .load(&*code)
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

/// The sources of code that no user has written: our own, and what is not in
/// Lua.
const OURS: [&str; 7] = [
    "=[C]", "=base", "=math", "=native", "=sandbox", "=string", "=table",
];

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
            && !OURS.contains(&&*source)
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
    running::with(|running| running.begin(lua)).unwrap_or(Ok(()))
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

    fn registrations(&mut self) -> Option<&mut Registrations> {
        self.registrations.as_mut()
    }

    fn note_counted(&mut self) {
        self.host.note_counted();
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
    running::with(|running| running.set_protocol(protocol));
    Ok((true, Value::Nil))
}

/// The error that ends the script has been counted where it was answered.
fn note_counted(_: &Lua, (): ()) -> mlua::Result<()> {
    running::with(|running| running.note_counted());
    Ok(())
}

/// `redis.acl_check_cmd`: whether the client may run a command.
fn may_run(lua: &Lua, arguments: MultiValue) -> mlua::Result<Answer> {
    if arguments.is_empty() {
        return failed(lua, NO_ARGUMENT);
    }
    let may_run = running::with(|running| {
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
        Some(Ok(may_run)) => Ok((true, Value::Boolean(may_run))),
        Some(Err(text)) => failed(lua, text),
        None => failed(
            lua,
            "ERR redis.acl_check_cmd can only be called inside a script invocation",
        ),
    }
}

/// `redis.register_function`: notes a function of the library that is loaded,
/// and keeps it in `callbacks`.
fn register(
    lua: &Lua,
    arguments: &Arguments,
    callbacks: &Table,
) -> super::native::Result<MultiValue> {
    const NOT_LOADING: Raise =
        Raise::Error("ERR redis.register_function can only be called on FUNCTION LOAD command");
    if running::with(|running| running.registrations().is_some()) != Some(true) {
        return Err(NOT_LOADING);
    }
    let (wanted, function) = registration::read(lua, arguments)?;
    let added = running::with(|running| Some(running.registrations()?.add(wanted)));
    let callback = added.flatten().ok_or(NOT_LOADING)??;
    callbacks.raw_set(callback.number(), function)?;
    Ok(MultiValue::new())
}

/// Looks around while a script runs, and ends it if it is to end.
fn look_around(lua: &Lua) -> mlua::Result<VmState> {
    let looked = running::with(|running| running.look_around(lua));
    let Some((why, is_new)) = looked.flatten() else {
        return Ok(VmState::Continue);
    };
    if is_new {
        // Whatever the script does to catch this, the next instruction raises it again.
        let look = HookTriggers::new().every_nth_instruction(1);
        lua.set_global_hook(look, |lua, _| look_around(lua))?;
    }
    Err(mlua::Error::RuntimeError(why.into()))
}
