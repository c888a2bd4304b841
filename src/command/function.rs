//! Functions in Lua: FCALL and FCALL_RO run them, FUNCTION keeps the libraries
//! that they come in.

use std::borrow::Cow;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::engine::State;
use crate::error::{Error, Result};
use crate::rdb::library::{self, Item};
use crate::rdb::{self, Reader};
use crate::resp::{Argv, Reply};
use crate::script::{Existing, Host, Library, Program, ScriptFlags};
use crate::server::Server;
use crate::table::vocabulary::{CONTAINER, MODIFY_KEY, READ_KEY, SCRIPTING};
use crate::table::{Args, Context, Flags, Group, HELP, Handler, Row, Table};
use crate::text::{glob, number};

use super::script;
use super::script_host::{Called, Name};

const WRITES: Flags = Flags::WRITE.union(Flags::NOSCRIPT);
const LOADS: Flags = WRITES.union(Flags::DENYOOM);

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "fcall", arity: -3, flags: script::RUN,
        keys: &[MODIFY_KEY.at(2).counted().noted(script::WORST)],
        usage: "function numkeys:integer [key:key...] [arg...]", since: "7.0.0",
        complexity: "Depends on the function that is executed.",
        summary: "Runs a function.", handler: Handler::Table(fcall),
        effects: Some(effects),
        ..SCRIPTING
    },
    Row {
        name: "fcall_ro", arity: -3, flags: script::RUN.union(Flags::READONLY),
        keys: &[READ_KEY.at(2).counted().noted(script::WORST_READ)],
        usage: "function numkeys:integer [key:key...] [arg...]", since: "7.0.0",
        complexity: "Depends on the function that is executed.",
        summary: "Runs a function that only reads.", handler: Handler::Table(fcall_ro),
        effects: Some(effects),
        ..SCRIPTING
    },
    Row {
        name: "function", group: Group::Scripting, since: "7.0.0",
        summary: "Keeps libraries of functions for FCALL, and ends the one that runs.",
        subcommands: &[
            Row {
                name: "delete", arity: 3, flags: WRITES, usage: "library-name", since: "7.0.0",
                tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
                summary: "Forgets a library.",
                handler: Handler::Session(function_delete),
                ..SCRIPTING
            },
            Row {
                name: "dump", arity: 2, flags: Flags::NOSCRIPT, since: "7.0.0",
                complexity: "O(N) where N is the number of functions",
                summary: "All libraries in one string, which FUNCTION RESTORE reads.",
                handler: Handler::Session(function_dump),
                ..SCRIPTING
            },
            Row {
                name: "flush", arity: -2, flags: WRITES, usage: "[async(ASYNC|SYNC)]", since: "7.0.0",
                tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
                complexity: "O(N) where N is the number of functions deleted",
                summary: "Forgets all libraries.",
                handler: Handler::Session(function_flush),
                ..SCRIPTING
            },
            Row { since: "7.0.0", group: Group::Scripting, ..HELP },
            Row {
                name: "kill", arity: 2, flags: Flags::NOSCRIPT.union(Flags::ALLOW_BUSY), since: "7.0.0",
                tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
                summary: "Ends the function that runs, if it has written nothing.",
                handler: Handler::Session(function_kill),
                ..SCRIPTING
            },
            Row {
                name: "list", arity: -2, flags: Flags::NOSCRIPT,
                usage: "[LIBRARYNAME library-name-pattern] [WITHCODE]", since: "7.0.0",
                tips: &["nondeterministic_output_order"],
                complexity: "O(N) where N is the number of functions",
                summary: "The libraries and their functions.",
                handler: Handler::Session(function_list),
                ..SCRIPTING
            },
            Row {
                name: "load", arity: -3, flags: LOADS, usage: "[REPLACE] function-code", since: "7.0.0",
                tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
                complexity: "O(1) (considering compilation time is redundant)",
                summary: "Adds a library, and answers its name.",
                handler: Handler::Session(function_load),
                ..SCRIPTING
            },
            Row {
                name: "restore", arity: -3, flags: LOADS,
                usage: "serialized-value [policy(FLUSH|APPEND|REPLACE)]", since: "7.0.0",
                tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
                complexity: "O(N) where N is the number of functions on the payload",
                summary: "Adds libraries that FUNCTION DUMP has serialized.",
                handler: Handler::Session(function_restore),
                ..SCRIPTING
            },
            Row {
                name: "stats", arity: 2, flags: Flags::NOSCRIPT.union(Flags::ALLOW_BUSY), since: "7.0.0",
                tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
                summary: "The function that runs, and how many there are.",
                handler: Handler::Session(function_stats),
                ..SCRIPTING
            },
        ],
        ..CONTAINER
    },
];

/// The code of a library may run for so long while it is loaded, as in Redis.
const LOAD_MAX: Duration = Duration::from_millis(500);
/// That of all libraries of a payload together. Redis has no such limit.
const RESTORE_MAX: Duration = Duration::from_secs(5);

/// The server, as the code of libraries finds it while it is loaded: it can
/// ask for nothing, and must end.
struct Loader<'s> {
    server: &'s Server,
    until: Duration,
}

impl<'s> Loader<'s> {
    fn new(server: &'s Server, max: Duration) -> Loader<'s> {
        let until = server.clock.machine() + max;
        Loader { server, until }
    }
}

impl Host for Loader<'_> {
    fn call(&mut self, _: Argv<'_>, reply: &mut Reply<'_>) {
        reply.error(&Error::NOT_IN_SCRIPT);
    }

    fn may_run(&mut self, _: Argv<'_>) -> Option<bool> {
        None
    }

    fn look_around(&mut self, now: Duration) -> Option<&'static str> {
        let is_over = now >= self.until;
        is_over.then_some("ERR FUNCTION LOAD timeout")
    }

    fn uptime(&self) -> Duration {
        self.server.clock.machine()
    }
}

fn memory_limit(server: &Server) -> usize {
    server.live.script_memory.load(Relaxed)
}

fn run(
    context: &mut Context<'_>,
    table: &'static Table,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
    read_only: bool,
) -> Result<()> {
    script::feed_monitors(context, args);
    let name = args.next()?;
    let server = context.server;
    if context.turn.state().scripts.libraries.is_empty() {
        return Err(Error::NO_FUNCTION);
    }
    script::with_interpreter(context, |context, interpreter| {
        let mut loader = Loader::new(server, LOAD_MAX);
        let libraries = &mut context.turn.state().scripts.libraries;
        let found = libraries.find(name, interpreter, &mut loader, memory_limit(server))?;
        let called = Called {
            name: Name::Function(&found.name),
            flags: Some(found.flags),
            program: Program::Function(found.callback),
            read_only,
        };
        if args.peek().and_then(number::parse_i64).is_none() {
            return Err(Error::FUNCTION_KEYS);
        }
        let words = script::split(&mut args)?;
        script::run(
            context,
            table,
            interpreter,
            &called,
            (args.argv(), words),
            reply,
        )
    })
}

fn effects(state: &State, argv: Argv<'_>) -> Flags {
    let name = argv.get(1).unwrap_or_default();
    script::effects(state.scripts.libraries.flags(name))
}

fn fcall(
    context: &mut Context<'_>,
    table: &'static Table,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    run(context, table, args, reply, false)
}

fn fcall_ro(
    context: &mut Context<'_>,
    table: &'static Table,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    run(context, table, args, reply, true)
}

/// Counts a change of the libraries.
fn note_change(context: &mut Context<'_>) {
    context.turn.state().keyspace.journal.dirty += 1;
}

fn function_delete(
    context: &mut Context<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    if !context.turn.state().scripts.remove_library(args.next()?) {
        return Err(Error::NO_LIBRARY);
    }
    note_change(context);
    reply.ok();
    Ok(())
}

fn function_dump(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let libraries = context.turn.state().scripts.libraries.iter();
    reply.shared(&library::dump(libraries.map(|library| &*library.code)).into());
    Ok(())
}

fn function_flush(
    context: &mut Context<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    if args.remaining() > 1 {
        return Err(args.wrong_subcommand());
    }
    if args.remaining() > 0 && !args.keyword("ASYNC") && !args.keyword("SYNC") {
        return Err(Error::FUNCTION_FLUSH_OPTION);
    }
    context.turn.state().scripts.flush_libraries();
    note_change(context);
    reply.ok();
    Ok(())
}

fn function_kill(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    // Who has the keyspace knows whether one runs, and for long.
    context.turn.state();
    context.server.running_script.kill(true)?;
    reply.ok();
    Ok(())
}

/// What FUNCTION LIST is to show.
#[derive(Default)]
struct ListOptions<'a> {
    pattern: Option<&'a [u8]>,
    with_code: bool,
}

impl<'a> ListOptions<'a> {
    fn parse(mut args: Args<'a>) -> Result<ListOptions<'a>> {
        let mut options = ListOptions::default();
        while args.remaining() > 0 {
            if !options.with_code && args.keyword("WITHCODE") {
                options.with_code = true;
            } else if options.pattern.is_none() && args.keyword("LIBRARYNAME") {
                let pattern = args.next_if_any();
                options.pattern = Some(pattern.ok_or(Error::FUNCTION_LIST_NAME)?);
            } else {
                return Err(Error::quoting("ERR Unknown argument ", args.next()?, ""));
            }
        }
        Ok(options)
    }

    fn matches(&self, library: &Library) -> bool {
        let name = library.name.as_bytes();
        let matches = |pattern| glob::matches(pattern, name, true);
        self.pattern.is_none_or(matches)
    }
}

fn function_list(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let options = ListOptions::parse(args)?;
    let libraries = context.turn.state().scripts.libraries.iter();
    let libraries: Vec<_> = libraries
        .filter(|library| options.matches(library))
        .collect();
    reply.array(libraries.len());
    for library in libraries {
        write_library(library, options.with_code, reply);
    }
    Ok(())
}

fn write_library(library: &Library, with_code: bool, reply: &mut Reply<'_>) {
    reply.map(if with_code { 4 } else { 3 });
    reply.bulk(b"library_name");
    reply.bulk(library.name.as_bytes());
    reply.bulk(b"engine");
    reply.bulk(b"LUA");
    reply.bulk(b"functions");
    reply.array(library.functions.len());
    for function in &library.functions {
        reply.map(3);
        reply.bulk(b"name");
        reply.bulk(function.name.as_bytes());
        reply.bulk(b"description");
        match &function.description {
            Some(description) => reply.bulk(description),
            None => reply.null(),
        }
        reply.bulk(b"flags");
        let flags = ScriptFlags::NAMES.iter();
        let flags = flags.filter(|(_, flag)| function.flags.contains(*flag));
        reply.set(flags.clone().count());
        for (name, _) in flags {
            reply.simple(name);
        }
    }
    if with_code {
        reply.bulk(b"library_code");
        reply.bulk(&library.code);
    }
}

fn function_load(
    context: &mut Context<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let mut replaces = false;
    while args.remaining() > 1 {
        if !args.keyword("REPLACE") {
            return Err(Error::quoting(
                "ERR Unknown option given: ",
                args.next()?,
                "",
            ));
        }
        replaces = true;
    }
    let (text, server) = (args.next()?, context.server);
    let mut loader = Loader::new(server, LOAD_MAX);
    let scripts = &mut context.turn.state().scripts;
    let name = scripts.load_library(text, replaces, &mut loader, memory_limit(server))?;
    note_change(context);
    reply.bulk(name.as_bytes());
    Ok(())
}

fn function_restore(
    context: &mut Context<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    if args.remaining() > 2 {
        return Err(args.wrong_subcommand());
    }
    let payload = args.next()?;
    let existing = if args.keyword("FLUSH") {
        Existing::Flushed
    } else if args.keyword("REPLACE") {
        Existing::Replaced
    } else if args.remaining() == 0 || args.keyword("APPEND") {
        Existing::Kept
    } else {
        return Err(Error::RESTORE_POLICY);
    };
    let server = context.server;
    let payload = rdb::open(payload).ok_or(Error::PAYLOAD)?;
    let longest = context.db().limits().string;
    let mut reader = Reader::new(payload, longest);
    let mut left = longest;
    let texts = std::iter::from_fn(|| next_library(&mut reader, &mut left).transpose());
    let mut loader = Loader::new(server, RESTORE_MAX);
    let scripts = &mut context.turn.state().scripts;
    scripts.restore_libraries(texts, existing, &mut loader, memory_limit(server))?;
    note_change(context);
    reply.ok();
    Ok(())
}

/// The text of the next library in a payload. All together have no more bytes
/// than are left, whatever they are compressed to.
fn next_library<'a>(reader: &mut Reader<'a>, left: &mut usize) -> Result<Option<Cow<'a, [u8]>>> {
    let text = match reader.library().map_err(|_| Error::LIBRARY_PAYLOAD)? {
        None => return Ok(None),
        Some(Item::Library(text)) => text,
        Some(Item::LibraryBefore7) => return Err(Error::FUNCTIONS_BEFORE_7),
        Some(Item::Unknown) => return Err(Error::NO_LIBRARY_IN_PAYLOAD),
    };
    let rest = left.checked_sub(text.len());
    *left = rest.ok_or(Error::LIBRARY_PAYLOAD)?;
    Ok(Some(text))
}

fn function_stats(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let server = context.server;
    // As with FUNCTION KILL.
    context.turn.state();
    let running = server.running_script.slow();
    reply.map(2);
    reply.bulk(b"running_script");
    match running {
        None => reply.null(),
        Some(script) => {
            // What runs may be a script, about which SCRIPT KILL is to be asked.
            let name = script.function.ok_or(Error::BUSY)?;
            let ran = server.clock.machine().saturating_sub(script.since);
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(name.as_bytes());
            reply.bulk(b"command");
            let request = script.request.as_argv();
            reply.array(request.len());
            for word in request.iter() {
                reply.bulk(word);
            }
            reply.bulk(b"duration_ms");
            reply.int(i64::try_from(ran.as_millis()).unwrap_or(i64::MAX));
        }
    }
    let libraries = &context.turn.state().scripts.libraries;
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.len(libraries.len());
    reply.bulk(b"functions_count");
    reply.len(libraries.function_count());
    Ok(())
}
