//! Runs a command that has passed the checks, counts it and, outside a
//! transaction, draws the consequences of what it did.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::args::Args;
use super::context::Context;
use super::flags::Flags;
use super::keys::keys_of;
use super::row::{Begin, Command, Handler, Outcome, Table};
use super::secrets;
use crate::engine::{Attempt, Wait};
use crate::error::Error;
use crate::resp::{Argv, OwnedArgv, Reply};

/// What a client waits for instead of having a reply.
enum Waits {
    ForKeys(Attempt, Wait),
    ForAnswer(Begin),
}

/// Runs a command. Unless it is `timed`, the next one of the same name is
/// timed together with it.
pub fn call(
    context: &mut Context<'_>,
    table: &'static Table,
    command: &'static Command,
    timed: bool,
    argv: Argv<'_>,
    reply: &mut Reply<'_>,
) -> Outcome {
    let server = context.server;
    let start = context.turn.begin_call(command.id);
    let mark = reply.output().mark();
    let args = Args::new(argv, command.name_words());
    // Rare outcomes are kept apart and boxed: the profile of SET had a stall
    // where one was moved on of which only the tag had been written.
    let mut wait = None;
    let done = match command.row.handler {
        Handler::Data(handler) => handler(&mut context.db(), args, reply),
        Handler::Session(handler) => handler(context, args, reply),
        Handler::Table(handler) => handler(context, table, args, reply),
        Handler::Blocking(attempt) => attempt(&mut context.db(), argv, reply)
            .map(|wanted| wait = wanted.map(|wanted| Box::new(Waits::ForKeys(attempt, wanted)))),
        Handler::Later(handler) => handler(context, args, reply)
            .map(|begin| wait = begin.map(|begin| Box::new(Waits::ForAnswer(begin)))),
        Handler::Container => Err(Error::wrong_arity(&command.full_name)),
        Handler::Forbidden(why) => Err(why()),
    };
    if let Err(error) = done {
        reply.output().rewind(mark);
        let metrics = &server.metrics;
        match std::mem::take(&mut context.error_is_counted) {
            true => _ = metrics.command(command.id).failed.fetch_add(1, Relaxed),
            false => metrics.count_failure(command.id, &error),
        }
        tell_failure(context, command.full_name.as_bytes(), &error);
        reply.error(&error);
    }
    if context.is_part()
        && let Some(waits) = wait.take()
    {
        match *waits {
            Waits::ForKeys(_, wait) => wait.null.write(reply),
            Waits::ForAnswer(_) => reply.null(),
        }
    }
    let duration = context.turn.end_call(command.id, start, timed);
    // Who waits is not slow, and is not logged in Redis either.
    if let Some(duration) = duration.filter(|_| wait.is_none()) {
        note_if_slow(context, command, argv, duration);
    }
    let hidden = Flags::SKIP_MONITOR | Flags::ADMIN;
    if server.monitors.count() > 0 && !command.row.flags.intersects(hidden) {
        let redacted = secrets::redacted(command.row.secrets, argv);
        let shown = redacted.as_ref().map_or(argv, OwnedArgv::as_argv);
        let db = context.session.db;
        let from = (!context.in_script).then_some(&*context.session.client);
        server.feed_monitors(from, db, shown);
    }
    if context.is_part() {
        context.turn.tell();
    } else {
        context.turn.settle();
    }
    let tracks = command.row.flags.contains(Flags::READONLY) && context.session.tracks_reads();
    if tracks {
        note_reads(context, command, argv);
    }
    let Some(waits) = wait else {
        return Outcome::Replied;
    };
    let (attempt, wait) = match *waits {
        Waits::ForKeys(attempt, wait) => (attempt, wait),
        Waits::ForAnswer(begin) => {
            let awaited = context.turn.await_answer(context.session, command.id, argv);
            begin(&mut context.turn, awaited);
            return Outcome::Blocked(None);
        }
    };
    let timeout = wait.timeout;
    block(context, command, attempt, wait, argv);
    if tracks {
        context.turn.note_reads_when_served();
    }
    Outcome::Blocked(timeout)
}

/// Tells whoever follows the program's events of a command that has answered an error.
#[cold]
pub fn tell_failure(context: &Context<'_>, command: &[u8], error: &Error) {
    // What follows quotes arguments, of which one may be a password.
    const QUOTED: &str = ", with args beginning with";
    let text = || {
        let text = String::from_utf8_lossy(error.text());
        let end = text.find(QUOTED).unwrap_or(text.len());
        text[..end].to_owned()
    };
    let client = &context.session.client;
    tracing::trace!(
        id = client.id,
        addr = client.peer.remote(),
        name = client.name(),
        command = %String::from_utf8_lossy(command),
        error = text(),
        "Command failed",
    );
}

/// Has the client told when one of the keys changes that it has just read.
#[cold]
fn note_reads(context: &mut Context<'_>, command: &Command, argv: Argv<'_>) {
    // Of a script the commands count that it runs.
    if command.row.flags.contains(Flags::RUNS_SCRIPT) {
        return;
    }
    let keys = keys_of(command.row.keys, argv).unwrap_or_default();
    let keys = keys.iter().filter_map(|(place, _)| argv.get(*place));
    context.turn.note_reads(&keys.collect::<Vec<_>>());
}

/// Has the client wait for the keys of the row's first specification.
fn block(
    context: &mut Context<'_>,
    command: &Command,
    attempt: Attempt,
    wait: Wait,
    argv: Argv<'_>,
) {
    let spec = command.row.keys.first().map(|spec| spec.places(argv));
    let keys = spec.map(|keys| {
        keys.expect("a handler that waits has found its keys in the request, where its row says")
    });
    // WAIT has none.
    let keys = keys.map_or((0..0).step_by(1), |keys| keys.iter());
    context
        .turn
        .block(context.session, command.id, attempt, argv, keys, wait);
}

fn note_if_slow(context: &Context<'_>, command: &Command, argv: Argv<'_>, duration: Duration) {
    let server = context.server;
    let micros = duration.as_micros() as u64;
    let seconds = context.turn.now / 1000;
    if micros >= server.live.slow_us.load(Relaxed)
        && !command.row.flags.contains(Flags::SKIP_SLOWLOG)
    {
        let client = &context.session.client;
        tracing::debug!(
            id = client.id,
            addr = client.peer.remote(),
            name = client.name(),
            command = command.full_name,
            micros,
            "Slow command",
        );
        let redacted = secrets::redacted(command.row.secrets, argv);
        server.slow_log().add(
            seconds,
            micros,
            redacted.as_ref().map_or(argv, OwnedArgv::as_argv),
            client.peer.remote(),
            client.names().name,
        );
    }
    let threshold = server.live.latency_ms.load(Relaxed);
    let millis = duration.as_millis() as u64;
    if threshold > 0 && millis >= threshold {
        let fast = command.row.flags.contains(Flags::FAST);
        let event = if fast { "fast-command" } else { "command" };
        server.latency().add(event, seconds, millis);
    }
}
