//! Lua: one interpreter for all scripts of a broker, which is made when the
//! first one runs.

use std::ops::Range;

use mlua::chunk::ChunkMode;
use mlua::{
    BString, Either, Function, HookTriggers, Lua, LuaOptions, LuaString, MultiValue, StdLib, Table,
    Value, Variadic, VmState,
};
use scoped_tls_hkt::scoped_thread_local;

use super::conversion;
use super::modules;
use super::native::{Native, error_table};
use super::tail_calls::without_tail_calls;
use crate::error::Error;
use crate::resp::{Argv, Output, Protocol, Reply, Reused};
use crate::text::double;

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
    fn call(&mut self, lua: &Lua, arguments: &MultiValue) -> mlua::Result<Answer>;
    fn call_words(&mut self, lua: &Lua, words: &[BString]) -> mlua::Result<Answer>;
    fn begin(&mut self, lua: &Lua) -> mlua::Result<()>;
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
        host.raw_set("calls", calls(&lua)?)?;
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
            killed, protocol, ..
        } = running;
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

/// What a call of a script's is answered: true and the reply, or false and what
/// is to be raised.
type Answer = (bool, Either<String, Value>);

/// Runs a command for a script.
fn call(lua: &Lua, arguments: MultiValue) -> mlua::Result<Answer> {
    if !RUNNING.is_set() {
        return failed(lua, NOT_RUNNING);
    }
    RUNNING.with(|running| running.call(lua, &arguments))
}

/// Has memory be limited from now on: a script begins. Its arguments have come
/// without a limit, which costs less.
fn begin(lua: &Lua, (): ()) -> mlua::Result<()> {
    match RUNNING.is_set() {
        true => RUNNING.with(|running| running.begin(lua)),
        false => Ok(()),
    }
}

/// Runs a command whose words are all strings.
fn call_words(lua: &Lua, words: &[BString]) -> mlua::Result<Answer> {
    if !RUNNING.is_set() {
        return failed(lua, NOT_RUNNING);
    }
    RUNNING.with(|running| running.call_words(lua, words))
}

const NOT_RUNNING: &str = "ERR redis.call can only be called inside a script invocation";

/// The same for each number of words up to eight. The binding hands a known
/// number of strings over as they are, but an unknown one as values that it
/// must keep track of: a call of GET takes 0.5 µs so, and 0.8 otherwise.
fn calls(lua: &Lua) -> mlua::Result<Table> {
    let calls = lua.create_table()?;
    macro_rules! call {
        ($count:literal: $($word:ident)*) => {
            let function = |lua: &Lua, ($($word,)*): ($(call!(@type $word),)*)| {
                call_words(lua, &[$($word),*])
            };
            calls.raw_set($count, lua.create_function(function)?)?;
        };
        (@type $word:ident) => { BString };
    }
    call!(1: a);
    call!(2: a b);
    call!(3: a b c);
    call!(4: a b c d);
    call!(5: a b c d e);
    call!(6: a b c d e f);
    call!(7: a b c d e f g);
    call!(8: a b c d e f g h);
    Ok(calls)
}

impl Runs for Running<'_> {
    fn call(&mut self, lua: &Lua, arguments: &MultiValue) -> mlua::Result<Answer> {
        let Scratch { request, words, .. } = &mut *self.scratch;
        match encode(arguments, request, words) {
            Ok(()) => self.run_command(lua),
            Err(text) => failed(lua, text),
        }
    }

    fn call_words(&mut self, lua: &Lua, strings: &[BString]) -> mlua::Result<Answer> {
        let Scratch { request, words, .. } = &mut *self.scratch;
        request.clear();
        words.clear();
        for string in strings {
            if let Err(text) = add_word(request, words, |request| request.extend_from_slice(string))
            {
                return failed(lua, text);
            }
        }
        self.run_command(lua)
    }

    fn begin(&mut self, lua: &Lua) -> mlua::Result<()> {
        lua.set_memory_limit(self.memory_limit).map(|_| ())
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
    /// Runs the command that is in the scratch buffers.
    fn run_command(&mut self, lua: &Lua) -> mlua::Result<Answer> {
        let Scratch {
            request,
            words,
            reply,
        } = &mut *self.scratch;
        let mut output = reply.lend();
        let argv = Argv::new(request, words);
        self.host
            .call(argv, &mut Reply::new(&mut output, self.protocol));
        let memory_limit = self.memory_limit;
        let value = with_bytes(&mut output, |bytes| {
            if let Some(text) = conversion::short_text(bytes) {
                return Ok((true, Either::Left(text.to_owned())));
            }
            let is_large = bytes.len() > SCRATCH_KEEP;
            // What it takes is looked at afterwards: each step that must be ready to fail costs
            // as much again.
            lua.set_memory_limit(0)?;
            let value = conversion::to_lua(lua, bytes);
            lua.set_memory_limit(memory_limit)?;
            if is_large && memory_limit > 0 && lua.used_memory() > memory_limit {
                return Err(mlua::Error::MemoryError("not enough memory".into()));
            }
            Ok((!conversion::is_error(bytes), Either::Right(value?)))
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
        if !matches!(
            argument,
            Value::String(_) | Value::Integer(_) | Value::Number(_)
        ) {
            return Err("ERR Lua redis lib command arguments must be strings or integers");
        }
        add_word(request, words, |request| match argument {
            Value::String(text) => request.extend_from_slice(&text.as_bytes()),
            Value::Integer(number) => {
                request.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes());
            }
            Value::Number(number) => write_number(*number, request),
            _ => {}
        })?;
    }
    Ok(())
}

/// Adds a word, which `write` writes, to a request.
fn add_word(
    request: &mut Vec<u8>,
    words: &mut Vec<Range<u32>>,
    write: impl FnOnce(&mut Vec<u8>),
) -> Result<(), &'static str> {
    let start = request.len() as u32;
    write(request);
    let Ok(end) = u32::try_from(request.len()) else {
        return Err("ERR Lua redis lib command arguments are too long");
    };
    words.push(start..end);
    Ok(())
}

/// Writes a number as Redis 7.2 does: a whole one without an exponent, others
/// in the fewest digits that tell them.
fn write_number(number: f64, text: &mut Vec<u8>) {
    match double::as_integer(number) {
        Some(whole) => text.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes()),
        None => text.extend_from_slice(double::Buffer::default().format(number)),
    }
}

/// Answers an error that a call of a script's raises.
fn failed(lua: &Lua, text: &str) -> mlua::Result<Answer> {
    Ok((false, Either::Right(error_table(lua, text.as_bytes())?)))
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
    Ok((true, Either::Right(Value::Nil)))
}

/// `redis.acl_check_cmd`: whether the client may run a command.
fn may_run(lua: &Lua, arguments: MultiValue) -> mlua::Result<Answer> {
    if !RUNNING.is_set() {
        return failed(
            lua,
            "ERR redis.acl_check_cmd can only be called inside a script invocation",
        );
    }
    match RUNNING.with(|running| running.may_run(&arguments)) {
        Ok(may_run) => Ok((true, Either::Right(Value::Boolean(may_run)))),
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
