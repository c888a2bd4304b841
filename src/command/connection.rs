//! What a client says about its own connection.

use std::sync::atomic::Ordering::Relaxed;

use super::client::validate_name;
use super::pubsub;
use crate::config::REDIS_VERSION;
use crate::error::{Error, Result};
use crate::resp::{Protocol, Reply};
use crate::session::{ClientFlags, Ending, ReplyMode};
use crate::table::secrets;
use crate::table::vocabulary::{ANYTIME_FAST, CONNECTION, HANDSHAKE};
use crate::table::{Args, Context, Flags, Handler, Row};
use crate::text::number;

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "ping", arity: -1, flags: Flags::FAST.union(Flags::WHILE_SUBSCRIBED).union(Flags::NO_DATA),
        usage: "[message]", tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        since: "1.0.0",
        summary: "Answers PONG, or the message it was given.", handler: Handler::Session(ping),
        ..CONNECTION
    },
    Row {
        name: "echo", arity: 2, flags: ANYTIME_FAST.union(Flags::NO_DATA),
        usage: "message", since: "1.0.0",
        summary: "Answers the message it was given.", handler: Handler::Session(echo),
        ..CONNECTION
    },
    Row {
        name: "hello", arity: -1, flags: HANDSHAKE.union(Flags::INTRODUCES), secrets: Some(secrets::behind_auth),
        usage: "[arguments(protover:integer [AUTH auth(username password)] [SETNAME clientname])]",
        since: "6.0.0", history: &[
            ("6.2.0", "`protover` made optional; when called without arguments the command reports \
                the current connection's context."),
        ],
        summary: "Chooses the protocol version, and may log in and name the connection in the same \
            step.",
        handler: Handler::Session(hello),
        ..CONNECTION
    },
    Row {
        name: "auth", arity: -2, flags: HANDSHAKE.union(Flags::INTRODUCES), secrets: Some(secrets::every_argument),
        usage: "[username@6.0.0] password",
        since: "1.0.0", complexity: "O(N) where N is the number of passwords defined for the user",
        history: &[("6.0.0", "Added ACL style (username and password).")],
        summary: "Logs the connection in.", handler: Handler::Session(auth),
        ..CONNECTION
    },
    Row {
        name: "select", arity: 2, flags: ANYTIME_FAST.union(Flags::INTRODUCES),
        usage: "index:integer", since: "1.0.0",
        summary: "Switches the connection to another database.", handler: Handler::Session(select),
        ..CONNECTION
    },
    Row {
        name: "quit", arity: -1, flags: HANDSHAKE.union(Flags::WHILE_SUBSCRIBED).union(Flags::NOT_QUEUED).union(Flags::DROPS_QUEUED),
        since: "1.0.0", deprecated: Some(("7.2.0", "just closing the connection")),
        summary: "Closes the connection after everything before it has been answered.",
        handler: Handler::Session(quit),
        ..CONNECTION
    },
    Row {
        name: "reset", arity: 1, flags: HANDSHAKE.union(Flags::WHILE_SUBSCRIBED).union(Flags::NOT_QUEUED).union(Flags::DROPS_QUEUED), since: "6.2.0",
        summary: "Returns the connection to the state of a new one.",
        handler: Handler::Session(reset),
        ..CONNECTION
    },
];

fn ping(context: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let text = args.next_if_any();
    if args.remaining() > 0 {
        return Err(args.wrong_arity());
    }
    if context.session.is_subscriber() && !reply.is_resp3() {
        // A subscriber tells replies from messages by their form.
        reply.array(2);
        reply.bulk(b"pong");
        reply.bulk(text.unwrap_or_default());
    } else {
        match text {
            Some(text) => reply.bulk(text),
            None => reply.simple("PONG"),
        }
    }
    Ok(())
}

fn echo(_: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    reply.bulk(args.next()?);
    Ok(())
}

fn select(context: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let index = args.int32()?;
    let count = context.turn.state().keyspace.databases.len();
    let index = usize::try_from(index).ok().filter(|&index| index < count);
    set_db(context, index.ok_or(Error::DB_OUT_OF_RANGE)?);
    reply.ok();
    Ok(())
}

fn set_db(context: &mut Context<'_>, index: usize) {
    context.session.db = index;
    context.session.client.db.store(index, Relaxed);
}

fn quit(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    context.session.ending = Some(Ending::AfterReplies);
    reply.ok();
    Ok(())
}

fn reset(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    context.abandon_transaction();
    context.server.pubsub.unsubscribe_all(context.session);
    context.server.monitors.remove(context.session.client.id);
    context.turn.stop_tracking(context.session);
    context.set_flag(
        ClientFlags::MONITOR | ClientFlags::NO_TOUCH | ClientFlags::NO_EVICT,
        false,
    );
    set_db(context, 0);
    set_protocol(context, reply, Protocol::Resp2);
    context.session.client.set_names(|names| names.name.clear());
    // What SKIP silences, it silences.
    if context.session.reply_mode == ReplyMode::Off {
        context.session.reply_mode = ReplyMode::On;
    }
    context.session.authenticated = !context.server.live.requires_password();
    pubsub::take_messages(context, reply);
    reply.simple("RESET");
    Ok(())
}

fn set_protocol(context: &mut Context<'_>, reply: &mut Reply<'_>, protocol: Protocol) {
    context.session.protocol = protocol;
    context.set_flag(ClientFlags::RESP3, protocol == Protocol::Resp3);
    reply.set_protocol(protocol);
}

fn auth(context: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let first = args.next()?;
    let second = args.next_if_any();
    args.end()?;
    match second {
        Some(password) => authenticate(context, first, password)?,
        None if !context.server.live.requires_password() => return Err(Error::NO_PASSWORD_SET),
        None => authenticate(context, b"default", first)?,
    }
    reply.ok();
    Ok(())
}

fn authenticate(context: &mut Context<'_>, user: &[u8], password: &[u8]) -> Result<()> {
    // Without a password the default user takes any.
    let right = context.server.live.check_password(password).unwrap_or(true);
    if user == b"default" && right {
        context.session.authenticated = true;
        Ok(())
    } else {
        context.server.metrics.auth_failures.fetch_add(1, Relaxed);
        let client = &context.session.client;
        tracing::debug!(
            id = client.id,
            addr = client.peer.remote(),
            name = client.name(),
            "Failed authentication of user '{}'",
            String::from_utf8_lossy(user),
        );
        Err(Error::WRONG_PASS)
    }
}

fn hello(context: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let mut protocol = None;
    if let Some(version) = args.next_if_any() {
        protocol = Some(match number::parse_i64(version) {
            None => return Err(Error::PROTO_NOT_AN_INTEGER),
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Err(Error::NO_PROTO),
        });
    }
    let (mut credentials, mut name) = (None, None);
    while let Some(option) = args.next_if_any() {
        if option.eq_ignore_ascii_case(b"AUTH") && args.remaining() >= 2 {
            credentials = Some((args.next()?, args.next()?));
        } else if option.eq_ignore_ascii_case(b"SETNAME") && args.remaining() >= 1 {
            name = Some(args.next()?);
            validate_name(name.unwrap_or_default())?;
        } else {
            return Err(Error::hello_syntax(option));
        }
    }
    if let Some((user, password)) = credentials {
        authenticate(context, user, password)?;
    }
    if !context.session.authenticated && context.server.live.requires_password() {
        return Err(Error::NO_AUTH_HELLO);
    }
    if let Some(name) = name {
        context
            .session
            .client
            .set_names(|names| names.name = name.to_vec());
    }
    if let Some(protocol) = protocol {
        if protocol != context.session.protocol {
            // Who tells of keys has the keyspace: from here on it sees the new
            // protocol, and what it has told in the old one comes first.
            context.turn.state();
            pubsub::take_messages(context, reply);
        }
        set_protocol(context, reply, protocol);
    }
    reply.map(7);
    let id = context.session.client.id as i64;
    let facts: [(&str, &[u8]); 2] = [("server", b"redis"), ("version", REDIS_VERSION.as_bytes())];
    for (key, value) in facts {
        reply.bulk(key.as_bytes());
        reply.bulk(value);
    }
    reply.bulk(b"proto");
    reply.int(if reply.is_resp3() { 3 } else { 2 });
    reply.bulk(b"id");
    reply.int(id);
    for (key, value) in [("mode", "standalone"), ("role", "master")] {
        reply.bulk(key.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
    Ok(())
}
