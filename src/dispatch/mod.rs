//! The checks that every command passes, once, in one order; then it runs.

pub mod batch;
pub mod faults;
mod recorded;

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::engine::Turn;
use crate::error::{Error, Result};
use crate::resp::{Argv, Output, Protocol, Reply};
use crate::server::Server;
use crate::session::{Client, ClientFlags, Ending, ReplyMode, Session};
use crate::table::{Command, Context, Flags, Handler, Outcome, Table, call, tell_failure};

/// What becomes of the client after a request.
pub enum Next {
    /// It goes on with the next one, or ends, as its session says.
    Run,
    /// It waits, for so long or for ever; the reply comes later.
    Block(Option<Duration>),
    /// CLIENT PAUSE holds the request back: it is to be run again then.
    Hold,
    /// It is to be run where others can be served meanwhile: it may take long.
    Aside,
}

/// Runs one request and writes its reply. `command` is what it names, if that
/// is known already; unless it is `timed`, the next one, which is of the same
/// command, is timed together with it.
pub fn run<const FOR_TESTS: bool>(
    context: &mut Context<'_>,
    table: &'static Table,
    (command, timed): (Option<&'static Command>, bool),
    argv: Argv<'_>,
    reply: &mut Reply<'_>,
) -> Next {
    let Some(name) = argv.get(0) else {
        return Next::Run;
    };
    if command.is_none() && is_of_a_browser(name) {
        // One that was tricked into talking to us gets nothing at all, not
        // even the replies to what it sent before.
        tracing::warn!(
            addr = context.session.client.peer.remote(),
            "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands. Connection aborted."
        );
        context.session.ending = Some(Ending::AtOnce);
        return Next::Run;
    }
    context.turn.keep_time();
    let mark = reply.output().mark();
    let mut confirms = false;
    let mut checked = match command {
        Some(command) => check(context, table, command, argv),
        None => table
            .lookup(argv)
            .and_then(|command| check(context, table, command, argv)),
    };
    if FOR_TESTS && let Ok(Checked::Run(command) | Checked::Queue(command)) = checked {
        checked = match faults::strike(context, command, argv) {
            Ok(true) => checked,
            Ok(false) => Ok(Checked::Drop),
            Err(error) => Err(error),
        };
    }
    let next = match checked {
        Ok(Checked::Run(command)) => {
            confirms = command.row.flags.contains(Flags::CONFIRMS);
            match call(context, table, command, timed, argv, reply) {
                Outcome::Replied => Next::Run,
                Outcome::Blocked(timeout) => Next::Block(timeout),
            }
        }
        Ok(Checked::Queue(command)) => {
            queue(context.session, command, timed, argv);
            reply.queued();
            Next::Run
        }
        Ok(Checked::Hold) => return Next::Hold,
        Ok(Checked::Aside) => return Next::Aside,
        Ok(Checked::Drop) => return Next::Run,
        Err(error) => {
            let error = refuse(context, command, error);
            context.server.metrics.count_error(error.text());
            tell_failure(context, name, &error);
            reply.error(&error);
            Next::Run
        }
    };
    if context.session.reply_mode != ReplyMode::On {
        if !confirms {
            reply.output().rewind(mark);
        }
        // The reply that a blocked client is still to get is not wanted.
        if !matches!(next, Next::Block(_)) {
            context.session.reply_mode = context.session.reply_mode.after_reply();
        }
    }
    if context.session.caching {
        end_caching(context.session, table, argv);
    }
    next
}

/// Has messages that are in the client's outbox come behind what is in `output`.
fn take_messages(client: &Client, output: &mut Output) {
    if client.has_messages.load(Relaxed) {
        client.has_messages.store(false, Relaxed);
        client.outbox.lock().take(output, 0);
    }
}

/// CLIENT CACHING holds for the next command, or transaction, that is about
/// something else than clients.
#[cold]
fn end_caching(session: &mut Session, table: &Table, argv: Argv<'_>) {
    let container = table.lookup(argv).ok().and_then(|command| command.parent);
    let keeps = container.is_some_and(|id| {
        let row = &table.commands()[id].row;
        row.flags.contains(Flags::KEEPS_CACHING)
    });
    session.caching = keeps || session.transaction.is_some();
}

fn is_of_a_browser(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

/// A command that is refused spoils the transaction that it is part of; what
/// was to run the transaction ends it.
fn refuse(context: &mut Context<'_>, command: Option<&Command>, error: Error) -> Error {
    if command.is_some_and(|command| command.row.flags.contains(Flags::RUNS_QUEUED)) {
        // What it watches concerns no script that runs.
        context.turn.set_intrudes(true);
        context.abandon_transaction();
        return error.exec_abort();
    }
    if let Some(transaction) = &mut context.session.transaction {
        transaction.refused = true;
    }
    error
}

enum Checked {
    Run(&'static Command),
    Queue(&'static Command),
    Hold,
    Aside,
    /// The client is gone for everybody else, or is to go.
    Drop,
}

/// The checks, in the order in which Redis makes them.
#[inline]
fn check(
    context: &mut Context<'_>,
    table: &Table,
    command: &'static Command,
    argv: Argv<'_>,
) -> Result<Checked> {
    let session = &*context.session;
    let flags = command.row.flags;
    session.client.last_command.store(command.id, Relaxed);
    let refuse = |error| {
        let stats = context.server.metrics.command(command.id);
        stats.rejected.fetch_add(1, Relaxed);
        Err(error)
    };
    if !command.row.accepts(argv.len()) {
        return refuse(Error::wrong_arity(&command.full_name));
    }
    if flags.intersects(Flags::PROTECTED.union(Flags::FOR_TESTS))
        && let Err(error) = is_permitted(context.server, &session.client, command)
    {
        return refuse(error);
    }
    if !session.authenticated && !flags.contains(Flags::NO_AUTH) {
        // The password may be gone since the client has come.
        if context.server.live.requires_password() {
            return refuse(Error::NO_AUTH);
        }
        context.session.authenticated = true;
    }
    let session = &*context.session;
    if flags.contains(Flags::NO_MULTI) && session.transaction.is_some() {
        return refuse(Error::NOT_IN_MULTI);
    }
    let queued = session.transaction.is_some() && !flags.contains(Flags::NOT_QUEUED);
    let has_limit = context.server.live.max_memory.load(Relaxed) > 0;
    let allowed_while_busy = flags.contains(Flags::ALLOW_BUSY);
    context.turn.set_intrudes(allowed_while_busy);
    if !allowed_while_busy {
        let needs_data = match queued {
            true => has_limit || flags.contains(Flags::RUNS_SCRIPT),
            false => !flags.contains(Flags::NO_DATA),
        };
        let running = &context.server.running_script;
        if (needs_data || running.is_running()) && !context.turn.begin() {
            return refuse(running.busy_error());
        }
    }
    if has_limit && !has_room(context, table, command, argv) {
        return refuse(Error::OUT_OF_MEMORY);
    }
    let session = &*context.session;
    let listens = session.protocol == Protocol::Resp2 && session.is_subscriber();
    if listens && !flags.contains(Flags::WHILE_SUBSCRIBED) {
        return refuse(Error::while_subscribed(&command.full_name));
    }
    let effects = effects(context, table, command, argv);
    // Who pauses or kills has the keyspace, and so has who writes while it
    // asks: no write comes after the answer.
    let doing = context.session.client.flags();
    if doing.contains(ClientFlags::KILLED) {
        context.session.ending = Some(Ending::AtOnce);
        return Ok(Checked::Drop);
    }
    if doing.contains(ClientFlags::MONITOR) {
        // It is a replica to Redis: no pause holds it back, so it may not do
        // what a pause is there to hold back.
        if effects.intersects(WRITES) || flags.contains(Flags::READONLY) {
            return refuse(Error::MONITOR_TOUCHES_KEYSPACE);
        }
    } else {
        let pause = &context.server.pause;
        let (client, uptime) = (&context.session.client, context.turn.uptime);
        // Where time stands, a pause ends only if somebody may say so.
        let is_set = pause.is_set() && !flags.contains(Flags::FOR_TESTS);
        if is_set && pause.holds(client, effects.intersects(WRITES), uptime) {
            return Ok(Checked::Hold);
        }
    }
    Ok(if queued {
        Checked::Queue(command)
    } else if effects.contains(Flags::RUNS_SCRIPT) && context.meanwhile.is_none() {
        Checked::Aside
    } else {
        Checked::Run(command)
    })
}

/// Whether settings permit a command that is protected.
#[cold]
fn is_permitted(server: &Server, client: &Client, command: &Command) -> Result<()> {
    match command.row.handler {
        Handler::Forbidden(why) => Err(why()),
        _ if command.row.flags.contains(Flags::FOR_TESTS) => match server.lab {
            Some(_) => Ok(()),
            None => Err(Error::NOT_FOR_TESTS),
        },
        _ if server.allows_debug(client) => Ok(()),
        _ => Err(Error::DEBUG_NOT_ALLOWED),
    }
}

/// Evicts keys if more memory is used than may be; answers whether the command
/// may run: if that does not help, those that need memory may not.
#[inline(never)]
fn has_room(context: &mut Context<'_>, table: &Table, command: &Command, argv: Argv<'_>) -> bool {
    let flags = command.row.flags;
    let effects = effects(context, table, command, argv);
    let session = &*context.session;
    // What is queued takes memory, whatever it does when it runs.
    let queues = session.transaction.is_some()
        && !flags.intersects(Flags::RUNS_QUEUED | Flags::DROPS_QUEUED);
    let runs_script = effects.contains(Flags::RUNS_SCRIPT);
    let uses_data = effects.intersects(Flags::WRITE | Flags::READONLY | Flags::DENYOOM);
    let needs_memory = queues || effects.contains(Flags::DENYOOM);
    // Who only publishes waits for no data.
    if !(uses_data || queues || runs_script) {
        return true;
    }
    let has_room = context.turn.make_room();
    context.out_of_memory = !has_room;
    has_room || !needs_memory
}

/// What CLIENT PAUSE WRITE holds back.
const WRITES: Flags = Flags::WRITE.union(Flags::MAY_REPLICATE);

/// The flags of a request, or of those together that it runs.
#[inline]
fn effects(context: &mut Context<'_>, table: &Table, command: &Command, argv: Argv<'_>) -> Flags {
    let flags = command.row.flags;
    if !flags.intersects(Flags::RUNS_QUEUED | Flags::RUNS_SCRIPT) {
        return flags;
    }
    match &context.session.transaction {
        Some(transaction) if flags.contains(Flags::RUNS_QUEUED) => {
            let queued = transaction.commands();
            let effects = queued.map(|(id, _, argv)| {
                let command = &table.commands()[id];
                script_effects(context.server, &mut context.turn, command, argv)
            });
            effects.fold(Flags::empty(), Flags::union)
        }
        _ => script_effects(context.server, &mut context.turn, command, argv),
    }
}

/// The flags of a request, with what the script says that it may run. Nobody
/// asks the script unless something depends on it.
fn script_effects(
    server: &Server,
    turn: &mut Turn<'_>,
    command: &Command,
    argv: Argv<'_>,
) -> Flags {
    let flags = command.row.flags;
    let matters = server.pause.is_set()
        || server.monitors.count() > 0
        || server.live.max_memory.load(Relaxed) > 0;
    match command.row.effects {
        Some(effects) if matters => {
            let effects = flags | effects(turn.state(), argv);
            // What only reads has nothing to tell replicas, unless the script says otherwise.
            let reads = flags.contains(Flags::READONLY);
            effects
                - if reads {
                    Flags::MAY_REPLICATE
                } else {
                    Flags::empty()
                }
        }
        _ => flags,
    }
}

fn queue(session: &mut Session, command: &Command, timed: bool, argv: Argv<'_>) {
    if let Some(transaction) = &mut session.transaction {
        // A transaction that will be refused keeps no more of it.
        if !transaction.refused {
            transaction.push(command.id, timed, argv);
        }
        let client = &session.client;
        client.queued.fetch_add(1, Relaxed);
        client.note_memory(|client| &client.queued_memory, transaction.memory());
    }
}
