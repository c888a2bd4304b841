//! Scripts in Lua: EVAL, EVALSHA and their read-only forms, SCRIPT.

use std::sync::atomic::Ordering::Relaxed;

use crate::engine::State;
use crate::error::{Error, Result};
use crate::resp::{Argv, Reply};
use crate::script::{self, Interpreter, Program, ScriptFlags, Sha};
use crate::table::vocabulary::{CONTAINER, MODIFY_KEY, READ_KEY, SCRIPTING};
use crate::table::{Args, Context, Flags, Group, HELP, Handler, Row, Table};

use super::script_host::{Called, Name, ScriptHost};

/// Runs a script or a function.
pub const RUN: Flags = Flags::NOSCRIPT
    .union(Flags::STALE)
    .union(Flags::SKIP_MONITOR)
    .union(Flags::NO_MANDATORY_KEYS)
    .union(Flags::MOVABLEKEYS)
    .union(Flags::RUNS_SCRIPT);

/// What COMMAND says of keys that Lua may do anything with.
pub const WORST: &str =
    "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE";
/// The same where it may only read them.
pub const WORST_READ: &str =
    "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS";
const COMPLEXITY: &str = "Depends on the script that is executed.";

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "eval", arity: -3, flags: RUN, keys: &[MODIFY_KEY.at(2).counted().noted(WORST)],
        usage: "script numkeys:integer [key:key...] [arg...]", since: "2.6.0", complexity: COMPLEXITY,
        summary: "Runs a script in Lua.", handler: Handler::Table(eval),
        effects: Some(effects_of_text),
        ..SCRIPTING
    },
    Row {
        name: "eval_ro", arity: -3, flags: RUN.union(Flags::READONLY),
        keys: &[READ_KEY.at(2).counted().noted(WORST_READ)],
        usage: "script numkeys:integer [key:key...] [arg...]", since: "7.0.0", complexity: COMPLEXITY,
        summary: "Runs a script in Lua that only reads.", handler: Handler::Table(eval_ro),
        effects: Some(effects_of_text),
        ..SCRIPTING
    },
    Row {
        name: "evalsha", arity: -3, flags: RUN, keys: &[MODIFY_KEY.at(2).counted()],
        usage: "sha1 numkeys:integer [key:key...] [arg...]", since: "2.6.0", complexity: COMPLEXITY,
        summary: "Runs a script that the server knows by its SHA-1.", handler: Handler::Table(evalsha),
        effects: Some(effects_of_sha),
        ..SCRIPTING
    },
    Row {
        name: "evalsha_ro", arity: -3, flags: RUN.union(Flags::READONLY),
        keys: &[READ_KEY.at(2).counted()],
        usage: "sha1 numkeys:integer [key:key...] [arg...]", since: "7.0.0", complexity: COMPLEXITY,
        summary: "Runs a script that only reads, by its SHA-1.", handler: Handler::Table(evalsha_ro),
        effects: Some(effects_of_sha),
        ..SCRIPTING
    },
    Row {
        name: "script", group: Group::Scripting, since: "2.6.0",
        summary: "Keeps scripts for EVALSHA, and ends the one that runs.",
        subcommands: &[
            Row {
                name: "debug", arity: 3, flags: Flags::NOSCRIPT, usage: "mode(YES|SYNC|NO)", since: "3.2.0",
                summary: "Turns the debugger of scripts on, which there is none of.",
                handler: Handler::Session(script_debug),
                ..SCRIPTING
            },
            Row {
                name: "exists", arity: -3, flags: Flags::NOSCRIPT, usage: "sha1...", since: "2.6.0",
                tips: &["request_policy:all_shards", "response_policy:agg_logical_and"],
                complexity: "O(N) with N being the number of scripts to check.",
                summary: "Which of these scripts the server knows.",
                handler: Handler::Session(script_exists),
                ..SCRIPTING
            },
            Row {
                name: "flush", arity: -2, flags: Flags::NOSCRIPT, usage: "[async(ASYNC|SYNC)@6.2.0]", since: "2.6.0",
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                complexity: "O(N) with N being the number of scripts in cache",
                history: &[("6.2.0", "Added the `ASYNC` and `SYNC` flushing mode modifiers.")],
                summary: "Forgets all scripts.",
                handler: Handler::Session(script_flush),
                ..SCRIPTING
            },
            Row { since: "5.0.0", group: Group::Scripting, ..HELP },
            Row {
                name: "kill", arity: 2, flags: Flags::NOSCRIPT.union(Flags::ALLOW_BUSY), since: "2.6.0",
                tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
                summary: "Ends the script that runs, if it has written nothing.",
                handler: Handler::Session(script_kill),
                ..SCRIPTING
            },
            Row {
                name: "load", arity: 3, flags: Flags::NOSCRIPT.union(Flags::STALE), usage: "script", since: "2.6.0",
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                complexity: "O(N) with N being the length in bytes of the script body.",
                summary: "Keeps a script, and answers its SHA-1.",
                handler: Handler::Session(script_load),
                ..SCRIPTING
            },
            Row {
                name: "show", arity: 3, flags: Flags::NOSCRIPT, usage: "sha1", since: "8.0.0",
                summary: "The text of a script, as in Valkey 8.",
                handler: Handler::Session(script_show),
                ..SCRIPTING
            },
        ],
        ..CONTAINER
    },
];

/// The keys and the arguments of what a request asks to be run.
pub fn split<'a>(args: &mut Args<'a>) -> Result<(Argv<'a>, Argv<'a>)> {
    let keys = args.int()?;
    if keys > args.remaining() as i64 {
        return Err(Error::TOO_MANY_KEYS);
    }
    let keys = usize::try_from(keys).map_err(|_| Error::KEYS_NEGATIVE)?;
    let keys = args.take(keys)?;
    Ok((keys, args.take(args.remaining())?))
}

/// Shows the request to those who monitor, before what it does.
pub fn feed_monitors(context: &Context<'_>, args: Args<'_>) {
    if context.server.monitors.count() > 0 {
        let from = Some(&*context.session.client);
        let db = context.session.db;
        context.server.feed_monitors(from, db, args.argv());
    }
}

/// Has `run` run something with the interpreter, which is given back.
pub fn with_interpreter(
    context: &mut Context<'_>,
    run: impl FnOnce(&mut Context<'_>, &mut Interpreter) -> Result<()>,
) -> Result<()> {
    let mut interpreter = context.turn.state().scripts.lend()?;
    let result = run(context, &mut interpreter);
    context.turn.state().scripts.give_back(interpreter);
    result
}

/// Runs a script or a function with these keys and arguments, which are part
/// of `request`.
pub fn run(
    context: &mut Context<'_>,
    table: &'static Table,
    interpreter: &mut Interpreter,
    called: &Called<'_>,
    (request, words): (Argv<'_>, (Argv<'_>, Argv<'_>)),
    reply: &mut Reply<'_>,
) -> Result<()> {
    let writes = called
        .flags
        .is_some_and(|flags| !flags.contains(ScriptFlags::NO_WRITES));
    if called.read_only && writes {
        return Err(Error::SCRIPT_WRITES);
    }
    let memory_limit = context.server.live.script_memory.load(Relaxed);
    let (db, was_in_script) = (context.session.db, context.in_script);
    context.in_script = true;
    let mut host = ScriptHost::new(context, table, request, called);
    let done = interpreter.run(called.program, words, &mut host, memory_limit, reply);
    drop(host);
    context.in_script = was_in_script;
    context.session.db = db;
    done.map_err(|failure| failure.error(&called.name.to_string()))
}

fn run_script(
    context: &mut Context<'_>,
    table: &'static Table,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
    (by_sha, read_only): (bool, bool),
) -> Result<()> {
    feed_monitors(context, args);
    let script = args.next()?;
    // What has another length is no script's name, whatever follows it.
    if by_sha && script.len() != Sha::TEXT_LEN {
        return Err(Error::NO_SCRIPT);
    }
    let words = split(&mut args)?;
    with_interpreter(context, |context, interpreter| {
        let scripts = &mut context.turn.state().scripts;
        let (sha, flags, function) = if by_sha {
            let sha = Sha::parse(script).ok_or(Error::NO_SCRIPT)?;
            let known = script::known(scripts, interpreter, &sha)?;
            let (flags, function) = known.ok_or(Error::NO_SCRIPT)?;
            (sha, flags, function)
        } else {
            script::script(scripts, interpreter, script, false)?
        };
        let called = Called {
            name: Name::Script(sha),
            flags,
            program: Program::Script(function),
            read_only,
        };
        run(
            context,
            table,
            interpreter,
            &called,
            (args.argv(), words),
            reply,
        )
    })
}

/// What a script or a function may do that says this of itself, if it says
/// anything: it may change data, and need memory.
pub fn effects(said: Option<ScriptFlags>) -> Flags {
    match said {
        // What it does is looked at command by command.
        None => Flags::MAY_REPLICATE,
        Some(said) if said.contains(ScriptFlags::NO_WRITES) => Flags::empty(),
        Some(said) if said.contains(ScriptFlags::ALLOW_OOM) => Flags::WRITE,
        Some(_) => Flags::WRITE | Flags::DENYOOM,
    }
}

fn effects_of_text(_: &State, argv: Argv<'_>) -> Flags {
    let text = argv.get(1).unwrap_or_default();
    effects(script::flags(text).ok().flatten())
}

fn effects_of_sha(state: &State, argv: Argv<'_>) -> Flags {
    let sha = argv.get(1).and_then(Sha::parse);
    effects(sha.and_then(|sha| state.scripts.cache.flags(&sha)))
}

fn eval(
    context: &mut Context<'_>,
    table: &'static Table,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    run_script(context, table, args, reply, (false, false))
}

fn eval_ro(
    context: &mut Context<'_>,
    table: &'static Table,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    run_script(context, table, args, reply, (false, true))
}

fn evalsha(
    context: &mut Context<'_>,
    table: &'static Table,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    run_script(context, table, args, reply, (true, false))
}

fn evalsha_ro(
    context: &mut Context<'_>,
    table: &'static Table,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    run_script(context, table, args, reply, (true, true))
}

fn script_debug(_: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let mode = args.next()?;
    if mode.eq_ignore_ascii_case(b"no") {
        reply.ok();
        return Ok(());
    }
    let knows = mode.eq_ignore_ascii_case(b"yes") || mode.eq_ignore_ascii_case(b"sync");
    Err(match knows {
        true => Error::NO_SCRIPT_DEBUGGER,
        false => Error::SCRIPT_DEBUG_MODE,
    })
}

fn script_exists(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let cache = &context.turn.state().scripts.cache;
    reply.array(args.remaining());
    for name in args.rest() {
        let known = Sha::parse(name).is_some_and(|sha| cache.contains(&sha));
        reply.int(known.into());
    }
    Ok(())
}

fn script_flush(
    context: &mut Context<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let known = args.keyword("ASYNC") || args.keyword("SYNC");
    if args.remaining() > 0 || (!known && args.argv().len() > 2) {
        return Err(Error::SCRIPT_FLUSH_OPTION);
    }
    context.turn.state().scripts.flush();
    reply.ok();
    Ok(())
}

fn script_kill(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    // Who has the keyspace knows whether one runs, and for long.
    context.turn.state();
    context.server.running_script.kill(false)?;
    reply.ok();
    Ok(())
}

fn script_load(context: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let text = args.next()?;
    let scripts = &mut context.turn.state().scripts;
    let mut interpreter = scripts.lend()?;
    let loaded = script::script(scripts, &mut interpreter, text, true);
    scripts.give_back(interpreter);
    let (sha, ..) = loaded?;
    reply.bulk(sha.to_string().as_bytes());
    Ok(())
}

fn script_show(context: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let sha = Sha::parse(args.next()?).ok_or(Error::NO_SCRIPT)?;
    let cache = &context.turn.state().scripts.cache;
    reply.bulk(cache.text(&sha).ok_or(Error::NO_SCRIPT)?);
    Ok(())
}
