//! The checks that every command passes, once, in one order; then it runs.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::{Args, Entry, Flags, Handler, TABLE, redact};
use crate::engine::{Null, Wait};
use crate::error::{Error, Result};
use crate::resp::request::Batch;
use crate::resp::{Argv, OwnedArgv, Reply};
use crate::server::Context;
use crate::session::{ClientFlags, ReplyMode};

/// What becomes of the connection after a request.
pub enum Next {
    /// It goes on with the next one.
    Run,
    /// It waits; the reply comes later.
    Block(&'static Entry, Box<Wait>),
    /// CLIENT PAUSE holds the request back: it is to be run again then.
    Hold(Duration),
}

/// What is known of the requests of a batch before they run.
#[derive(Default)]
pub struct Plan {
    /// One for each request.
    pub commands: Vec<Planned>,
    /// Where in the buffer keys are.
    keys: Vec<Range<u32>>,
    /// The command that was looked up last. In a pipeline, and among clients
    /// that all do the same, the next one is often the same.
    last: Option<&'static Entry>,
}

/// What is known of a request before it runs.
#[derive(Clone, Copy)]
pub struct Planned {
    /// Its command, if there is one of that name.
    entry: Option<&'static Entry>,
    /// The clock is read after it. Otherwise it is timed together with the
    /// next one, which is of the same command.
    timed: bool,
}

/// Looking up so few keys at once is not faster than one after the other.
const WARM_MIN: usize = 4;
/// So many calls are timed together at most. Reading the clock takes a tenth
/// of a GET.
const TIMED_TOGETHER_MAX: usize = 16;
/// Commands are timed together unless they are to be logged when they take
/// less than this many microseconds, which so many may take together.
const TIMED_TOGETHER_US: u64 = 1000;
/// A request with more words takes time, whatever the command.
const CONSTANT_TIME_WORDS: usize = 8;

/// Looks up the commands of a batch, and has memory fetch what the lookups of
/// their keys are going to need.
///
/// A lookup in a large keyspace misses the cache two or three times, each time
/// waiting for memory. Those of a batch are independent of each other, so here
/// the processor waits for many at once: SET and GET in pipelines of 16 cost a
/// fifth less, MSET of ten a quarter.
pub fn plan(context: &mut Context<'_>, batch: &Batch, buffer: &[u8], plan: &mut Plan) {
    let Plan {
        commands,
        keys,
        last,
    } = plan;
    commands.clear();
    keys.clear();
    let seek_keys = batch.word_count() >= 2 * WARM_MIN;
    let together_max = match context.server.hot.slow_us.load(Relaxed) {
        ..TIMED_TOGETHER_US => 1,
        _ => TIMED_TOGETHER_MAX,
    };
    let mut together = 0;
    for index in 0..batch.len() {
        let (argv, _) = batch.get(index, buffer);
        let name = argv.get(0).unwrap_or_default();
        let repeated = last.filter(|last| last.is_named(name));
        let entry = repeated.or_else(|| lookup(argv).ok());
        let constant_time =
            entry.is_some_and(|entry| entry.constant_time) && argv.len() <= CONSTANT_TIME_WORDS;
        if constant_time && repeated.is_some() && (1..together_max).contains(&together) {
            together += 1;
            if let Some(before) = commands.last_mut() {
                before.timed = false;
            }
        } else {
            together = usize::from(constant_time);
        }
        commands.push(Planned { entry, timed: true });
        if let Some(entry) = entry {
            *last = Some(entry);
            if seek_keys {
                let words = batch.words_in_buffer(index);
                let places = entry.first_keys.places(words.len());
                keys.extend(places.map(|place| words[place].clone()));
            }
        }
    }
    if keys.len() >= WARM_MIN {
        let db = context.db();
        let keys = keys
            .iter()
            .map(|key| &buffer[key.start as usize..key.end as usize]);
        db.database().warm(keys);
    }
}

/// Runs one request and writes its reply.
pub fn run(
    context: &mut Context<'_>,
    planned: Planned,
    argv: Argv<'_>,
    reply: &mut Reply<'_>,
) -> Next {
    let Some(name) = argv.get(0) else {
        return Next::Run;
    };
    if planned.entry.is_none()
        && (name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:"))
    {
        // A browser that was tricked into talking to us gets nothing at all,
        // not even the replies to what it sent before.
        tracing::warn!(
            addr = context.session.client.peer.remote(),
            "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands. Connection aborted."
        );
        context.session.aborted = true;
        return Next::Run;
    }
    context.turn.keep_time();
    let mark = reply.output().mark();
    let mut called = None;
    let next = match check(context, planned.entry, argv) {
        Ok(Checked::Run(entry)) => {
            called = Some(entry);
            call(context, entry, planned.timed, argv, reply)
        }
        Ok(Checked::Queue(entry)) => {
            queue(context, entry, planned.timed, argv);
            reply.queued();
            Next::Run
        }
        Ok(Checked::Hold(until)) => return Next::Hold(until),
        Err(error) => {
            let error = refuse(context, argv, error);
            context.server.metrics.count_error(error.text());
            reply.error(&error);
            Next::Run
        }
    };
    if context.session.reply_mode != ReplyMode::On {
        // What confirms a subscription is a message, not a reply.
        if !called.is_some_and(|entry| changes_subscriptions(&entry.full_name)) {
            reply.output().rewind(mark);
        }
        // The reply that a blocked client is still to get is not wanted.
        if !matches!(next, Next::Block(..)) {
            context.session.reply_mode = context.session.reply_mode.after_reply();
        }
    }
    // Messages that the command has put into its own outbox come after its
    // reply and before the next one's. They are no replies, so CLIENT REPLY
    // does not silence them.
    let client = &context.session.client;
    if client.has_messages.load(Relaxed) {
        client.has_messages.store(false, Relaxed);
        reply.output().append(&mut client.outbox.lock().output);
    }
    next
}

/// A command that is refused spoils the transaction that it is part of; EXEC
/// itself ends it.
fn refuse(context: &mut Context<'_>, argv: Argv<'_>, error: Error) -> Error {
    if argv
        .get(0)
        .is_some_and(|name| name.eq_ignore_ascii_case(b"exec"))
    {
        super::transaction::abandon(context);
        return error.exec_abort();
    }
    if let Some(transaction) = &mut context.session.transaction {
        transaction.refused = true;
    }
    error
}

enum Checked {
    Run(&'static Entry),
    Queue(&'static Entry),
    Hold(Duration),
}

/// The command that a request names: a row, or the row of its subcommand.
pub fn lookup(argv: Argv<'_>) -> Result<&'static Entry> {
    let name = argv.get(0).unwrap_or_default();
    let unknown = || Error::unknown_command(name, argv.iter().skip(1));
    let entry = TABLE
        .find(name)
        .filter(|entry| entry.parent.is_none())
        .ok_or_else(unknown)?;
    match argv.get(1) {
        Some(word) if !entry.subcommands.is_empty() => TABLE
            .find_subcommand(entry, word)
            .ok_or_else(|| Error::unknown_subcommand(&entry.full_name, word)),
        _ => Ok(entry),
    }
}

/// The checks, in the order in which Redis makes them.
fn check(
    context: &mut Context<'_>,
    entry: Option<&'static Entry>,
    argv: Argv<'_>,
) -> Result<Checked> {
    let session = &*context.session;
    let entry = entry.map_or_else(|| lookup(argv), Ok)?;
    let command = &entry.command;
    let flags = command.flags;
    session.client.last_command.store(entry.id, Relaxed);
    let refuse = |error| {
        context
            .server
            .metrics
            .command(entry.id)
            .rejected
            .fetch_add(1, Relaxed);
        Err(error)
    };
    if !command.accepts(argv.len()) {
        return refuse(Error::wrong_arity(&entry.full_name));
    }
    if flags.contains(Flags::PROTECTED) && !context.server.allows_debug(&session.client) {
        return refuse(Error::DEBUG_NOT_ALLOWED);
    }
    if !session.authenticated && !flags.contains(Flags::NO_AUTH) {
        // The password may be gone since the client has come.
        if context.server.requires_password() {
            return refuse(Error::NO_AUTH);
        }
        context.session.authenticated = true;
    }
    let session = &*context.session;
    if flags.contains(Flags::NO_MULTI) && session.transaction.is_some() {
        return refuse(Error::NOT_IN_MULTI);
    }
    let resp2 = session.protocol == crate::resp::Protocol::Resp2;
    if resp2 && session.is_subscriber() && !allowed_to_subscribers(&entry.full_name) {
        return refuse(Error::new(format!(
            "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
            entry.full_name,
        )));
    }
    let in_transaction = session.transaction.is_some();
    let queued = in_transaction && !runs_in_multi(&entry.full_name);
    let (writes, uptime) = (writes(session, entry), context.turn.uptime);
    if session.client.flags().contains(ClientFlags::MONITOR) {
        // It is a replica to Redis: no pause holds it back, so it may not do
        // what a pause is there to hold back.
        if writes || flags.contains(Flags::READONLY) {
            return refuse(Error::MONITOR_TOUCHES_KEYSPACE);
        }
    } else if context.server.pause.holds(writes, uptime).is_some() {
        // UNPAUSE has the keyspace when it looks for those who are held, so
        // either it finds this client or there is no pause any more.
        context.turn.state();
        if let Some(until) = context.server.pause.holds(writes, uptime) {
            session.client.set_flags(ClientFlags::PAUSED, true);
            return Ok(Checked::Hold(until));
        }
    }
    Ok(if queued {
        Checked::Queue(entry)
    } else {
        Checked::Run(entry)
    })
}

fn allowed_to_subscribers(name: &str) -> bool {
    changes_subscriptions(name) || matches!(name, "ping" | "quit" | "reset")
}

fn changes_subscriptions(name: &str) -> bool {
    matches!(
        name,
        "subscribe" | "unsubscribe" | "psubscribe" | "punsubscribe" | "ssubscribe" | "sunsubscribe"
    )
}

fn runs_in_multi(name: &str) -> bool {
    matches!(
        name,
        "exec" | "discard" | "multi" | "watch" | "quit" | "reset"
    )
}

/// Whether CLIENT PAUSE WRITE holds the command back: EXEC if anything that
/// it runs would be.
fn writes(session: &crate::session::Session, entry: &Entry) -> bool {
    let held = |entry: &Entry| {
        entry
            .command
            .flags
            .intersects(Flags::WRITE | Flags::MAY_REPLICATE)
    };
    match &session.transaction {
        Some(transaction) if entry.full_name == "exec" => transaction
            .commands()
            .any(|(id, ..)| held(&TABLE.entries[id])),
        _ => held(entry),
    }
}

fn queue(context: &mut Context<'_>, entry: &Entry, timed: bool, argv: Argv<'_>) {
    if let Some(transaction) = &mut context.session.transaction {
        // A transaction that will be refused keeps no more of it.
        if !transaction.refused {
            transaction.push(entry.id, timed, argv);
        }
        let client = &context.session.client;
        client.queued.fetch_add(1, Relaxed);
        client.queued_memory.store(transaction.memory(), Relaxed);
    }
}

/// Runs a command that has passed the checks, counts it and, outside a
/// transaction, settles what it did. Unless it is `timed`, the next one of the
/// same name is timed together with it.
pub fn call(
    context: &mut Context<'_>,
    entry: &'static Entry,
    timed: bool,
    argv: Argv<'_>,
    reply: &mut Reply<'_>,
) -> Next {
    let server = context.server;
    let start = context.turn.begin_call(entry.id);
    let mark = reply.output().mark();
    let skip = 1 + usize::from(entry.parent.is_some());
    let args = Args::new(argv, skip);
    // Rare outcomes are kept apart and boxed: the profile of SET had a stall
    // where one was moved on of which only the tag had been written.
    let mut wait = None;
    let outcome = match entry.command.handler {
        Handler::Data(handler) => handler(&mut context.db(), args, reply),
        Handler::Session(handler) => handler(context, args, reply),
        Handler::Blocking(attempt) => {
            attempt(&mut context.db(), argv, reply).map(|wanted| wait = wanted.map(Box::new))
        }
        Handler::Container => Err(Error::wrong_arity(&entry.full_name)),
    };
    if let Err(error) = outcome {
        reply.output().rewind(mark);
        let metrics = &server.metrics;
        metrics.command(entry.id).failed.fetch_add(1, Relaxed);
        metrics.count_error(error.text());
        reply.error(&error);
    }
    let next = match wait {
        None => Next::Run,
        Some(wait) if context.in_exec => {
            match wait.null {
                Null::Bulk => reply.null(),
                Null::Array => reply.null_array(),
            }
            Next::Run
        }
        Some(wait) => Next::Block(entry, wait),
    };
    let duration = context.turn.end_call(entry.id, start, timed);
    // Who waits is not slow, and is not logged in Redis either.
    if let Some(duration) = duration
        && !matches!(next, Next::Block(..))
    {
        note_if_slow(context, entry, argv, duration);
    }
    let hidden = Flags::SKIP_MONITOR | Flags::ADMIN;
    if server.monitors.count() > 0 && !entry.command.flags.intersects(hidden) {
        let redacted = redact::redacted(entry, argv);
        let shown = redacted.as_ref().map_or(argv, OwnedArgv::as_argv);
        let db = context.session.db;
        server.feed_monitors(&context.session.client, db, shown);
    }
    if !context.in_exec {
        context.turn.settle();
    }
    next
}

fn note_if_slow(context: &Context<'_>, entry: &Entry, argv: Argv<'_>, duration: Duration) {
    let server = context.server;
    let micros = duration.as_micros() as u64;
    let seconds = context.turn.now / 1000;
    if micros >= server.hot.slow_us.load(Relaxed)
        && !entry.command.flags.contains(Flags::SKIP_SLOWLOG)
    {
        let client = &context.session.client;
        let redacted = redact::redacted(entry, argv);
        server.slow_log().add(
            seconds,
            micros,
            redacted.as_ref().map_or(argv, OwnedArgv::as_argv),
            client.peer.remote(),
            client.names().name,
        );
    }
    let threshold = server.hot.latency_ms.load(Relaxed);
    let millis = duration.as_millis() as u64;
    if threshold > 0 && millis >= threshold {
        let fast = entry.command.flags.contains(Flags::FAST);
        server.latency().add(
            if fast { "fast-command" } else { "command" },
            seconds,
            millis,
        );
    }
}

impl Context<'_> {
    /// Has the client wait, and run the request again when what it waits for
    /// may be there.
    pub fn block(&mut self, entry: &'static Entry, argv: Argv<'_>, wait: Wait) {
        let Handler::Blocking(attempt) = entry.command.handler else {
            unreachable!("no other handler asks to wait");
        };
        self.turn
            .block(self.session, entry.id, attempt, argv.to_owned(), wait);
    }

    /// Notes in the client's flags what the session is doing.
    pub fn set_flag(&self, flag: ClientFlags, on: bool) {
        self.session.client.set_flags(flag, on);
    }
}
