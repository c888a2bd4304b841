//! Lua: one interpreter for all scripts of a broker, which is made when the
//! first one runs.

use std::any::Any;
use std::borrow::Cow;
use std::cell::Cell;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, LuaOptions, MultiValue, StdLib, Table, Value};

use super::calls;
use super::conversion::{self, FIELDS, WORK_PER_LOOK, Writer};
use super::host::Host;
use super::modules;
use super::native::{Arguments, Native, Raise, error_table, truncate};
use super::registration::{self, Callback, Registered, Registrations};
use super::running::{self, Called, KEEP, LastReply, Request, Runs};
use super::source::{for_luajit, foreign_number, with_escapes_for_luajit};
use super::stack::{self, Entrance, Hook, Index, Kind, Raised, Stack, StackFunction};
use crate::error::Error;
use crate::resp::{Argv, Output, OwnedArgv, Protocol, Reply};

/// The name of a script in error messages.
pub const SCRIPT: &str = "@user_script";
/// The name of the code of a library of functions in error messages.
pub const LIBRARY: &str = "@user_function";

/// Where a script has failed, and why.
pub struct Failure {
    /// The error's code and text.
    pub text: Vec<u8>,
    /// The source and the line, if the script was at one.
    pub place: Option<(String, i64)>,
}

impl Failure {
    /// That of an error which the interpreter itself has raised.
    fn of(error: &mlua::Error) -> Failure {
        let text = format!("ERR {}", text_of(error)).into_bytes();
        Failure { text, place: None }
    }

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
    /// With what is needed to run a program: see [`EXPLAIN`] and the next ones.
    entrance: Entrance,
    scratch: Scratch,
    /// What scripts may hold in it, 0 for no limit.
    memory_limit: usize,
    /// What was held when garbage was collected last.
    live: Cell<usize>,
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
    /// The code of a library, which registers them.
    Library(Callback),
}

/// Buffers for what one call of a script to the server is made of.
#[derive(Default)]
struct Scratch {
    request: Request,
    reply: LastReply,
}

impl Scratch {
    /// Keeps little memory.
    fn clear(&mut self) {
        self.request.clear();
        self.reply.renew();
    }
}

/// Instructions between two looks at what goes on meanwhile: at the beginning,
/// and at most. Most take a few nanoseconds, but one that calls a function may
/// take a second, so that the number follows the time that they have taken.
const LOOK_EVERY: c_int = 250;
const LOOK_EVERY_MAX: c_int = 1000;
/// It becomes larger where they have taken less time than this, and smaller
/// where they have taken more than ten times that.
const LOOK_SOON: Duration = Duration::from_micros(500);
/// Garbage is collected again when this much of what was left is held, in
/// percent.
const GC_PAUSE: usize = 150;
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
    /// How many coroutines run within one another.
    coroutines: u32,
    /// When it was looked around last, and after how many instructions that is
    /// done again.
    looked: Option<Duration>,
    look_every: c_int,
}

impl<'h> Running<'h> {
    /// A program that begins.
    fn new(host: &'h mut dyn Host, scratch: &'h mut Scratch, memory_limit: usize) -> Running<'h> {
        Running {
            host,
            scratch,
            protocol: Protocol::Resp2,
            memory_limit,
            killed: None,
            panic: None,
            registrations: None,
            coroutines: 0,
            looked: None,
            look_every: LOOK_EVERY,
        }
    }
}

impl Running<'_> {
    fn asked_to_end_at(&mut self, now: Duration) -> Option<&'static str> {
        if self.panic.is_some() {
            return Some("ERR the command has failed");
        }
        let looked = catch_unwind(AssertUnwindSafe(|| self.host.look_around(now)));
        looked.unwrap_or_else(|panic| {
            self.panic = Some(panic);
            Some("ERR the command has failed")
        })
    }
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
        // There is none yet.
        lua.gc_stop();
        let native = Native::new(&lua)?;
        let host = lua.create_table()?;
        let (call, pcall) = calls::functions(&lua)?;
        host.raw_set("call", call)?;
        host.raw_set("pcall", pcall)?;
        host.raw_set("may_run", lua.create_function(may_run)?)?;
        host.raw_set("set_resp", lua.create_function(set_resp)?)?;
        host.raw_set("note_counted", lua.create_function(note_counted)?)?;
        host.raw_set("where", stack::function::<Where>(&lua, Arc::new(()))?)?;
        let is_ending = stack::function::<IsEnding>(&lua, Arc::new(()))?;
        host.raw_set("is_ending", is_ending)?;
        let enter = stack::function::<EnterCoroutine>(&lua, Arc::new(()))?;
        host.raw_set("enter_coroutine", enter)?;
        let leave = stack::function::<LeaveCoroutine>(&lua, Arc::new(()))?;
        host.raw_set("leave_coroutine", leave)?;
        // What has failed in a function of Rust's is no value of Lua's.
        let text = |_: &Lua, raised: Value| match &raised {
            Value::Error(error) => Ok(Some(text_of(error))),
            _ => Ok(None),
        };
        host.raw_set("text_of", lua.create_function(text)?)?;
        let callbacks = lua.create_table()?;
        let kept = callbacks.clone();
        let register = native.function(move |lua, arguments| register(lua, arguments, &kept))?;
        host.raw_set("register", register)?;
        let setup: Function = lua
            .load(include_str!("sandbox.lua"))
            .set_name("=sandbox")
            .into_function()?;
        let made: Table = setup.call((host.clone(), modules::makers(&native)?))?;
        let environment: Table = made.raw_get("globals")?;
        for (name, globals) in [
            ("compile_for_scripts", "globals"),
            ("compile_for_functions", "functions"),
        ] {
            let globals: Table = made.raw_get(globals)?;
            let compile =
                move |lua: &Lua, arguments: &Arguments| load_string(lua, arguments, &globals);
            host.raw_set(name, native.function(compile)?)?;
        }
        let kept = lua.create_table()?;
        kept.raw_set(EXPLAIN, made.raw_get::<Function>("explain")?)?;
        kept.raw_set(CALLBACKS, &callbacks)?;
        kept.raw_set(RUN_SCRIPT, made.raw_get::<Function>("run_script")?)?;
        kept.raw_set(GLOBALS, made.raw_get::<Table>("of_scripts")?)?;
        let names = ["KEYS", "ARGV"].into_iter().chain(FIELDS);
        for (element, name) in (NAMES[0]..).zip(names) {
            kept.raw_set(element, name)?;
        }
        lua.gc_restart();
        Ok(Interpreter {
            globals: environment,
            libraries: ForLibraries {
                globals: made.raw_get("functions")?,
                metatable: made.raw_get("of_functions")?,
                while_loading: made.raw_get("seen_while_loading")?,
                afterwards: made.raw_get("seen_by_functions")?,
                callbacks,
                next: Callback::default(),
            },
            entrance: Entrance::new(&lua, kept)?,
            lua,
            scratch: Scratch::default(),
            memory_limit,
            live: Cell::default(),
        })
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.lua.used_memory()
    }

    /// Compiles a script; the error is what Lua says of it.
    pub fn compile(&mut self, code: &[u8]) -> Result<Callback, Vec<u8>> {
        let function = self.compile_limited(code, SCRIPT, &self.globals)?;
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
        words: (Argv<'_>, Argv<'_>),
        host: &mut dyn Host,
        memory_limit: usize,
        reply: &mut Reply<'_>,
    ) -> Result<(), Failure> {
        self.memory_limit = memory_limit;
        modules::reset(&self.lua);
        let mut running = Running::new(host, &mut self.scratch, memory_limit);
        let done = run_bounded(
            &self.lua,
            &self.entrance,
            &mut running,
            program,
            words,
            reply,
        );
        let panic = running.panic.take();
        self.scratch.clear();
        self.tidy();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
        let source = match program {
            Program::Script(_) => SCRIPT,
            Program::Function(_) | Program::Library(_) => LIBRARY,
        };
        done.map_err(|mut failure| {
            failure.place.get_or_insert_with(|| (source.into(), -1));
            failure
        })
    }

    /// Compiles what a user has written, within the limit of memory.
    fn compile_limited(
        &self,
        code: &[u8],
        name: &str,
        globals: &Table,
    ) -> Result<Function, Vec<u8>> {
        let limited = self.lua.set_memory_limit(self.memory_limit);
        debug_assert!(limited.is_ok(), "its allocator counts");
        let compiled = compile_written(&self.lua, code, name, globals);
        let unlimited = self.lua.set_memory_limit(0);
        debug_assert!(unlimited.is_ok(), "its allocator counts");
        self.tidy();
        self.rest();
        compiled
    }

    /// Has garbage be left alone while little is held: a script that runs for a
    /// few microseconds would take a twentieth of them for it.
    fn rest(&self) {
        let held = self.lua.used_memory();
        let mut from = MEMORY_KEEP.max(2 * held);
        if self.memory_limit > 0 {
            from = from.min(self.memory_limit / 10 * 8).max(held / 10 * 11);
        }
        let _ = self.entrance.enter(|stack| {
            stack.collect_from(from);
            pace_garbage(stack, self.memory_limit);
        });
    }

    /// Frees what is garbage if there may be much.
    fn tidy(&self) {
        let (held, live) = (self.lua.used_memory(), self.live.get());
        let limit = self.memory_limit;
        let is_near_limit = limit > 0 && held > limit / 2 && held > live + limit / 8;
        if held > MEMORY_KEEP && held > 2 * live || is_near_limit {
            self.collect_garbage();
        }
    }

    /// Frees what is garbage.
    pub fn collect_garbage(&self) {
        // Nothing is raised.
        let _ = self.entrance.enter(|stack| stack.collect_garbage());
        self.live.set(self.lua.used_memory());
        self.rest();
    }

    /// Runs the code of a library, which registers functions; the error is
    /// what was wrong with it.
    pub fn load(
        &mut self,
        code: &[u8],
        host: &mut dyn Host,
        memory_limit: usize,
    ) -> Result<Vec<Registered>, Vec<u8>> {
        self.memory_limit = memory_limit;
        let code = self.compile_limited(code, LIBRARY, &self.libraries.globals);
        let code = code.map_err(|text| [b"ERR Error compiling function: ", &*text].concat())?;
        let libraries = &mut self.libraries;
        // The code itself is a function as those that it registers are.
        let code_number = libraries.next.take();
        let kept = libraries.callbacks.raw_set(code_number.number(), code);
        kept.map_err(|error| text_of(&error).into_bytes())?;
        let mut running = Running::new(host, &mut self.scratch, memory_limit);
        running.registrations = Some(Registrations::from(libraries.next));
        let none = OwnedArgv::new(std::iter::empty());
        let words = (none.as_argv(), none.as_argv());
        let program = Program::Library(code_number);
        let mut output = Output::default();
        let reply = &mut Reply::new(&mut output, Protocol::Resp2);
        let libraries = &self.libraries;
        let done = see(libraries, &libraries.while_loading)
            .map_err(|error| Failure::of(&error))
            .and_then(|()| {
                run_bounded(
                    &self.lua,
                    &self.entrance,
                    &mut running,
                    program,
                    words,
                    reply,
                )
            });
        // The code could raise an error at any moment, so that only who has called it can tell
        // that it is over.
        let seen = see(libraries, &libraries.afterwards).map_err(|error| Failure::of(&error));
        let registrations = running.registrations.take().unwrap_or_default();
        let panic = running.panic.take();
        self.libraries.next = registrations.next;
        self.forget(std::iter::once(code_number));
        self.scratch.clear();
        self.tidy();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
        match done.and(seen) {
            Ok(()) => Ok(registrations.functions),
            Err(failure) => {
                let registered = registrations.functions.iter();
                self.forget(registered.map(|function| function.callback));
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

/// Runs a program within the limit of memory, and writes what it returns.
fn run_bounded(
    lua: &Lua,
    entrance: &Entrance,
    running: &mut Running<'_>,
    program: Program,
    (keys, args): (Argv<'_>, Argv<'_>),
    reply: &mut Reply<'_>,
) -> Result<(), Failure> {
    let mut failure = None;
    let limited = lua.set_memory_limit(running.memory_limit);
    debug_assert!(limited.is_ok(), "its allocator counts");
    let entered = entrance.enter(|stack| {
        stack.set_hook::<LookAround>(LOOK_EVERY);
        let arguments = prepare(stack, program, keys, args);
        let ok = running::run(running, || stack.protected_call(arguments, HANDLER));
        failure = finish(stack, ok, running, reply);
        stack.pop(stack.top() - HANDLER);
        // A few words may stay until the next script brings others.
        if let Program::Script(_) = program
            && !are_few(keys, args)
        {
            forget_words(stack);
        }
    });
    let unlimited = lua.set_memory_limit(0);
    debug_assert!(unlimited.is_ok(), "its allocator counts");
    if let Some((why, place)) = running.killed.take() {
        let text = why.into();
        return Err(Failure { text, place });
    }
    entered.map_err(|text| Failure {
        text: [b"ERR ", &*text].concat(),
        place: None,
    })?;
    failure.map_or(Ok(()), Err)
}

/// The table that the interpreter keeps for running programs is the first
/// value on the stack, and what explains errors the second.
const KEPT: Index = 1;
const HANDLER: Index = 2;

/// Elements of that table, before the names of fields.
const EXPLAIN: c_int = 1;
const CALLBACKS: c_int = 2;
const RUN_SCRIPT: c_int = 3;
const GLOBALS: c_int = 4;
const NAMES: [c_int; 2] = [5, 6];
const FIRST_FIELD: c_int = 7;

/// Whether so little is in these words that they may be kept.
fn are_few(keys: Argv<'_>, args: Argv<'_>) -> bool {
    const WORDS_KEEP: usize = 8;
    let words = keys.iter().chain(args.iter());
    keys.len() + args.len() <= WORDS_KEEP && words.map(<[u8]>::len).sum::<usize>() <= KEEP
}

/// Pushes the function that a program is, and its arguments; answers how many
/// these are.
fn prepare(stack: &mut Stack<'_>, program: Program, keys: Argv<'_>, args: Argv<'_>) -> c_int {
    let (Program::Script(number) | Program::Function(number) | Program::Library(number)) = program;
    stack.get_element(KEPT, EXPLAIN);
    stack.get_element(KEPT, CALLBACKS);
    let callbacks = stack.top();
    if let Program::Script(_) = program {
        stack.get_element(KEPT, RUN_SCRIPT);
    }
    stack.push_number(number.number());
    stack.get(callbacks);
    if !matches!(program, Program::Library(_)) {
        push_words(stack, keys);
        push_words(stack, args);
    }
    match program {
        Program::Script(_) => 3,
        Program::Function(_) => 2,
        Program::Library(_) => 0,
    }
}

/// Pushes a table of strings.
fn push_words(stack: &mut Stack<'_>, words: Argv<'_>) {
    let table = stack.push_table(words.len(), 0);
    for (index, word) in words.iter().enumerate() {
        stack.push_bytes(word);
        stack.set_element(table, index as c_int + 1);
    }
}

/// Has long lists of words be garbage.
fn forget_words(stack: &mut Stack<'_>) {
    stack.get_element(KEPT, GLOBALS);
    let globals = stack.top();
    for name in NAMES {
        stack.get_element(KEPT, name);
        stack.push_nil();
        stack.set(globals);
    }
}

/// Writes what a program has returned, which is on top, or answers where and
/// why it has failed. Raises nothing.
fn finish(
    stack: &mut Stack<'_>,
    ok: bool,
    running: &mut Running<'_>,
    reply: &mut Reply<'_>,
) -> Option<Failure> {
    if !ok {
        return Some(failure(stack));
    }
    if running.killed.is_some() || running.panic.is_some() || running.registrations.is_some() {
        return None;
    }
    let mark = reply.output().mark();
    let len_max = running.len_max();
    let mut writer = Writer {
        reply,
        resp3: running.protocol == Protocol::Resp3,
        fields: (KEPT, FIRST_FIELD),
        host: running.host,
        len_max,
        until_look: WORK_PER_LOOK,
    };
    let written = catch_unwind(AssertUnwindSafe(|| writer.write(stack)));
    if let Ok(Ok(())) = written {
        return None;
    }
    reply.output().rewind(mark);
    match written {
        Ok(why) => why.err().map(|why| Failure {
            text: why.into(),
            place: None,
        }),
        Err(panic) => {
            running.panic = Some(panic);
            None
        }
    }
}

/// What `explain` has made of an error, or what was raised where memory was
/// too short to explain it.
fn failure(stack: &mut Stack<'_>) -> Failure {
    let raised = stack.top();
    if stack.kind(raised) != Kind::Table {
        let text = stack.bytes(raised).unwrap_or(b"unknown error");
        let text = [b"ERR ", text].concat();
        return Failure { text, place: None };
    }
    for element in 1..=3 {
        stack.get_element(raised, element);
    }
    let text = stack.bytes(raised + 1).unwrap_or(b"ERR unknown error");
    let text = text.to_vec();
    let line = match stack.kind(raised + 3) {
        Kind::Number(line) => truncate(line),
        _ => -1,
    };
    let source = stack.bytes(raised + 2);
    let place = source.map(|source| (lossy(source), line));
    Failure { text, place }
}

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
    compile(lua, &for_luajit(code), name, globals)
        // What Lua says of it is to be about what was written.
        .or_else(|_| compile(lua, &with_escapes_for_luajit(code), name, globals))
}

/// Compiles source code whose globals are `globals`.
fn compile(lua: &Lua, code: &[u8], name: &str, globals: &Table) -> Result<Function, Vec<u8>> {
    let mut code = Cow::Borrowed(code);
    let foreign = foreign_number(&code);
    let foreign = foreign.map(|number| {
        let written = String::from_utf8_lossy(&code[number.clone()]).into_owned();
        // With this behind it, LuaJIT refuses it as Lua 5.1 does.
        code = Cow::Owned([&code[..number.end], b"z"].concat());
        written
    });
    // LuaJIT skips a first line that begins with the first, takes what begins with the second for
    // bytecode, and skips the mark that the third begins. To Lua 5.1 none of them is Lua.
    if matches!(code.first(), Some(b'#' | 0x1b | 0xef)) {
        code = Cow::Owned([b" ", &*code].concat());
    }
    // Collecting garbage while code is parsed has had its faults.
    lua.gc_stop();
    let compiled = lua
        .load(&*code)
        .set_name(name)
        .set_mode(ChunkMode::Text)
        .set_environment(globals.clone())
        .into_function();
    lua.gc_restart();
    compiled.map_err(|error| {
        let mut text = text_of(&error);
        if let Some(written) = foreign {
            let refused = format!("malformed number near '{}z'", written.replace('_', ""));
            if let Some(place) = text.strip_suffix(&refused) {
                text = format!("{place}malformed number near '{written}'");
            }
        }
        text.into_bytes()
    })
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
const OURS: [&[u8]; 7] = [
    b"=[C]",
    b"=base",
    b"=math",
    b"=native",
    b"=sandbox",
    b"=string",
    b"=table",
];

/// Has garbage be collected in time: LuaJIT by itself waits until twice as much
/// is held as was left the last time, whatever the limit is, and is then slow
/// where strings are long.
fn pace_garbage(stack: &Stack<'_>, limit: usize) {
    const SPEED: c_int = 4000;
    let pause = match limit {
        0 => GC_PAUSE,
        limit => limit / 10 * 8 / (stack.held() / 100).max(1),
    };
    stack.set_pace(pause.clamp(110, GC_PAUSE) as c_int, SPEED);
}

/// The source and the line of the innermost function that a user has written.
/// It is looked for from this level on: 0 is the function that runs, a
/// function of Rust's perhaps that asks.
fn place<'s>(stack: &'s Stack<'_>, from: c_int) -> Option<(&'s [u8], i64)> {
    const LEVELS_MAX: c_int = 50;
    let written = |level: &c_int| match stack.frame(*level) {
        // What is LuaJIT's own has no lines.
        Some((source, line)) => line > 0 && !OURS.contains(&source),
        None => true,
    };
    let level = (from..from + LEVELS_MAX).find(written)?;
    stack.frame(level)
}

/// So much of a source's name is told.
const SOURCE_MAX: usize = 300;

fn lossy(source: &[u8]) -> String {
    String::from_utf8_lossy(source).into_owned()
}

/// Pushes the place where an error was raised: a source and a line.
struct Where;

impl StackFunction for Where {
    type Data = ();

    fn call(stack: &mut Stack<'_>, (): &()) -> Result<c_int, Raised> {
        // 1 is the function that asks.
        let mut start = [0; SOURCE_MAX];
        let Some((source, line)) = place(stack, 2) else {
            return Ok(0);
        };
        let len = source.len().min(SOURCE_MAX);
        start[..len].copy_from_slice(&source[..len]);
        stack.push_bytes(&start[..len]);
        stack.push_number(line as f64);
        Ok(2)
    }
}

/// Each coroutine that runs within another takes of the thread's own stack, so
/// there are no more of them than in Lua 5.1.
const COROUTINES_MAX: u32 = 190;

/// Begins to run a coroutine; pushes whether there may be one more.
struct EnterCoroutine;

impl StackFunction for EnterCoroutine {
    type Data = ();

    fn call(stack: &mut Stack<'_>, (): &()) -> Result<c_int, Raised> {
        let may_run = running::with(|running| {
            let count = running.coroutines();
            let may_run = *count < COROUTINES_MAX;
            *count += u32::from(may_run);
            may_run
        });
        stack.push_boolean(may_run == Some(true));
        Ok(1)
    }
}

/// A coroutine does not run any more.
struct LeaveCoroutine;

impl StackFunction for LeaveCoroutine {
    type Data = ();

    fn call(_: &mut Stack<'_>, (): &()) -> Result<c_int, Raised> {
        running::with(|running| {
            let count = running.coroutines();
            *count = count.saturating_sub(1);
        });
        Ok(0)
    }
}

/// Pushes whether the script is ended from outside.
struct IsEnding;

impl StackFunction for IsEnding {
    type Data = ();

    fn call(stack: &mut Stack<'_>, (): &()) -> Result<c_int, Raised> {
        let is_ending = running::with(|running| running.is_ending());
        stack.push_boolean(is_ending == Some(true));
        Ok(1)
    }
}

/// What a function answers: true and a value, or false and what is to be raised.
type Answer = (bool, Value);

impl Runs for Running<'_> {
    fn request(&mut self) -> &mut Request {
        let len_max = self.len_max();
        self.scratch.request.begin(len_max);
        &mut self.scratch.request
    }

    fn call(&mut self) -> Called {
        let len_max = self.len_max();
        let Scratch { request, reply } = &mut *self.scratch;
        let argv = request.argv();
        if argv.is_empty() {
            return Called::Refused(NO_ARGUMENT);
        }
        let mut writer = Reply::new(reply.renew(), self.protocol);
        self.host.call(argv, &mut writer);
        if let Some(why) = self.host.look_after_call() {
            return Called::Refused(why);
        }
        if reply.len() > len_max {
            reply.renew();
            return Called::Refused(
                "ERR not enough memory for the reply to a command of the script",
            );
        }
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

    fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    fn registrations(&mut self) -> Option<&mut Registrations> {
        self.registrations.as_mut()
    }

    fn note_counted(&mut self) {
        self.host.note_counted();
    }

    fn asked_to_end(&mut self) -> Option<&'static str> {
        let now = self.host.uptime();
        self.asked_to_end_at(now)
    }

    fn look_around(&mut self, stack: &Stack<'_>) -> Result<c_int, &'static str> {
        if let Some((why, _)) = self.killed {
            return Err(why);
        }
        let now = self.host.uptime();
        if let Some(why) = self.asked_to_end_at(now) {
            let place = place(stack, 0);
            let place = place.map(|(source, line)| (lossy(source), line));
            self.killed = Some((why, place));
            return Err(why);
        }
        pace_garbage(stack, self.memory_limit);
        let took = self.looked.map(|looked| now.saturating_sub(looked));
        self.looked = Some(now);
        self.look_every = match took {
            Some(took) if took > LOOK_SOON * 10 => (self.look_every / 10).max(1),
            Some(took) if took > LOOK_SOON => self.look_every,
            _ => (self.look_every * 4).min(LOOK_EVERY_MAX),
        };
        Ok(self.look_every)
    }

    fn len_max(&self) -> usize {
        match self.memory_limit {
            0 => usize::MAX,
            limit => limit,
        }
    }

    fn is_ending(&self) -> bool {
        self.killed.is_some()
    }

    fn coroutines(&mut self) -> &mut u32 {
        &mut self.coroutines
    }
}

/// `loadstring`: a function of this code, or nil and what is wrong with it.
fn load_string(
    lua: &Lua,
    arguments: &Arguments,
    globals: &Table,
) -> super::native::Result<MultiValue> {
    let code = arguments.string(lua, 1)?;
    // By default it is called by its text.
    let name = match arguments.is_given(2) {
        true => arguments.string(lua, 2)?,
        false => code.clone(),
    };
    let name = String::from_utf8_lossy(conversion::up_to_nul(&name.as_bytes())).into_owned();
    let code = code.as_bytes().to_vec();
    let compiled = compile(lua, &with_escapes_for_luajit(&code), &name, globals);
    Ok(match compiled {
        Ok(function) => MultiValue::from_iter([Value::Function(function)]),
        Err(text) => {
            let text = Value::String(lua.create_string(text)?);
            MultiValue::from_iter([Value::Nil, text])
        }
    })
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
    let version = lua.coerce_number(arguments[0].clone())?;
    let protocol = match version.map(truncate) {
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
struct LookAround;

impl Hook for LookAround {
    fn look(stack: &Stack<'_>) -> Result<c_int, &'static str> {
        running::with(|running| running.look_around(stack)).unwrap_or(Ok(LOOK_EVERY_MAX))
    }
}
