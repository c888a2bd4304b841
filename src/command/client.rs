//! CLIENT: what clients there are, and what one may do to another.
//!
//! The lines of CLIENT LIST have the fields of Redis 7.2. Those about buffers
//! tell what respd has: a connection that waits holds no buffer for input, so
//! `qbuf` is what has arrived and cannot run yet, and `qbuf-free` is 0.

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::client_tracking::{self, redirect};
use crate::error::{Error, Result};
use crate::resp::{Protocol, Reply};
use crate::session::pause::PauseMode;
use crate::session::{Client, ClientFlags, Ending, ReplyMode};
use crate::table::vocabulary::{ADMIN, CONNECTION, CONTAINER, SESSION};
use crate::table::{Args, Context, Flags, Group, HELP, Handler, Row};
use crate::text::number;

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "client", flags: Flags::KEEPS_CACHING, group: Group::Connection, since: "2.4.0",
        summary: "Asks about connections and controls them.",
        subcommands: &[
            Row {
                name: "id", arity: 2, flags: SESSION.union(Flags::NO_DATA), since: "5.0.0",
                summary: "The number of this connection; none is ever given twice.",
                handler: Handler::Session(client_id),
                ..CONNECTION
            },
            Row {
                name: "info", arity: 2, flags: SESSION.union(Flags::NO_DATA), tips: &["nondeterministic_output"],
                since: "6.2.0",
                summary: "One line about this connection.", handler: Handler::Session(client_info),
                ..CONNECTION
            },
            Row {
                name: "list", arity: -2, flags: ADMIN.union(Flags::NO_DATA),
                usage: "[TYPE client-type(NORMAL|MASTER|REPLICA|PUBSUB)@5.0.0] \
                    [ID client-id:integer...@6.2.0]",
                tips: &["nondeterministic_output"],
                since: "2.4.0", complexity: "O(N) where N is the number of client connections",
                history: &[
                    ("2.8.12", "Added unique client `id` field."),
                    ("5.0.0", "Added optional `TYPE` filter."),
                    ("6.0.0", "Added `user` field."),
                    ("6.2.0", "Added `argv-mem`, `tot-mem`, `laddr` and `redir` fields and the \
                        optional `ID` filter."),
                    ("7.0.0", "Added `resp`, `multi-mem`, `rbs` and `rbp` fields."),
                    ("7.0.3", "Added `ssub` field."),
                ],
                summary: "One line for each open connection.",
                handler: Handler::Session(client_list),
                ..CONNECTION
            },
            Row {
                name: "getname", arity: 2, flags: SESSION.union(Flags::NO_DATA), since: "2.6.9",
                summary: "The name this connection has given itself.",
                handler: Handler::Session(client_getname),
                ..CONNECTION
            },
            Row {
                name: "setname", arity: 3, flags: SESSION.union(Flags::NO_DATA).union(Flags::INTRODUCES),
                usage: "connection-name",
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                since: "2.6.9",
                summary: "Names this connection for lists and logs.",
                handler: Handler::Session(client_setname),
                ..CONNECTION
            },
            Row {
                name: "setinfo", arity: 4, flags: SESSION.union(Flags::NO_DATA).union(Flags::INTRODUCES),
                usage: "attr(LIB-NAME libname | LIB-VER libver)",
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                since: "7.2.0",
                summary: "Tells which client library speaks on this connection.",
                handler: Handler::Session(client_setinfo),
                ..CONNECTION
            },
            Row {
                name: "kill", arity: -3, flags: ADMIN,
                usage: "filter(old-format<ip:port>!2.8.12 | \
                    new-format([ID client-id:integer@2.8.12] | \
                    [TYPE client-type(NORMAL|MASTER@3.2.0|SLAVE|REPLICA@5.0.0|PUBSUB)@2.8.12] | \
                    [USER username] | [ADDR addr<ip:port>] | [LADDR laddr<ip:port>@6.2.0] | \
                    [SKIPME skipme(YES|NO)])...)",
                since: "2.4.0", complexity: "O(N) where N is the number of client connections",
                history: &[
                    ("2.8.12", "Added new filter format."),
                    ("2.8.12", "`ID` option."),
                    ("3.2.0", "Added `master` type in for `TYPE` option."),
                    ("5.0.0", "Replaced `slave` `TYPE` with `replica`. `slave` still supported for \
                        backward compatibility."),
                    ("6.2.0", "`LADDR` option."),
                ],
                summary: "Closes the connections that match.",
                handler: Handler::Session(client_kill),
                ..CONNECTION
            },
            Row {
                name: "no-evict", arity: 3, flags: ADMIN.union(Flags::NO_DATA),
                usage: "enabled(ON|OFF)", since: "7.0.0",
                summary: "Spares this connection when clients are disconnected to free memory.",
                handler: Handler::Session(client_no_evict),
                ..CONNECTION
            },
            Row {
                name: "no-touch", arity: 3, flags: SESSION.union(Flags::NO_DATA),
                usage: "enabled(ON|OFF)", since: "7.2.0",
                summary: "Keeps this connection's reads from counting as use of a key.",
                handler: Handler::Session(client_no_touch),
                ..CONNECTION
            },
            Row {
                name: "reply", arity: 3, flags: SESSION.union(Flags::NO_DATA),
                usage: "action(ON|OFF|SKIP)", since: "3.2.0",
                summary: "Turns the replies to this connection on or off, or skips the next one.",
                handler: Handler::Session(client_reply),
                ..CONNECTION
            },
            Row {
                name: "pause", arity: -3, flags: ADMIN,
                usage: "timeout:integer [mode(WRITE|ALL)@6.2.0]", since: "3.0.0", history: &[
                    ("6.2.0", "`CLIENT PAUSE WRITE` mode added along with the `mode` option."),
                ],
                summary: "Holds back the commands of all clients, or only those that write, for a \
                    time.",
                handler: Handler::Session(client_pause),
                ..CONNECTION
            },
            Row {
                name: "unpause", arity: 2, flags: ADMIN,
                since: "6.2.0", complexity: "O(N) Where N is the number of paused clients",
                summary: "Ends a pause and lets the held commands run.",
                handler: Handler::Session(client_unpause),
                ..CONNECTION
            },
            Row {
                name: "unblock", arity: -3, flags: ADMIN,
                usage: "client-id:integer [unblock-type(TIMEOUT|ERROR)]",
                since: "5.0.0", complexity: "O(log N) where N is the number of client connections",
                summary: "Wakes another client from its blocking command, as by timeout or by \
                    error.",
                handler: Handler::Session(client_unblock),
                ..CONNECTION
            },
            client_tracking::TRACKING,
            client_tracking::CACHING,
            client_tracking::GETREDIR,
            client_tracking::TRACKINGINFO,
            Row { group: Group::Connection, since: "5.0.0", ..HELP },
        ],
        ..CONTAINER
    },
];

fn client_id(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    reply.int(context.session.client.id as i64);
    Ok(())
}

fn client_info(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let mut lines = String::new();
    describe(&mut lines, &context.session.client, context, args);
    reply.verbatim(b"txt", lines.as_bytes());
    Ok(())
}

fn client_list(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let mut lines = String::new();
    for client in listed(context, args)? {
        describe(&mut lines, &client, context, args);
    }
    reply.verbatim(b"txt", lines.as_bytes());
    Ok(())
}

/// The clients that CLIENT LIST asks for: all in the order in which they came,
/// or those of the ids, one as often as it is named.
fn listed(context: &Context<'_>, mut args: Args<'_>) -> Result<Vec<Arc<Client>>> {
    if args.remaining() == 0 {
        return Ok(context.server.clients.all());
    }
    if args.remaining() == 2 && args.keyword("TYPE") {
        let kind = ClientType::parse(args.next()?)?;
        let mut clients = context.server.clients.all();
        clients.retain(|client| ClientType::of(client) == kind);
        return Ok(clients);
    }
    if args.remaining() >= 2 && args.keyword("ID") {
        let ids: Vec<i64> = args
            .rest()
            .map(|id| number::parse_i64(id).ok_or(Error::INVALID_CLIENT_ID))
            .collect::<Result<_>>()?;
        let found = ids.into_iter().filter_map(|id| find(context, id));
        return Ok(found.collect());
    }
    Err(Error::SYNTAX)
}

fn find(context: &Context<'_>, id: i64) -> Option<Arc<Client>> {
    context.server.clients.get(u64::try_from(id).ok()?)
}

/// What CLIENT LIST and CLIENT KILL tell clients apart by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ClientType {
    Normal,
    Pubsub,
    /// Nobody is one: respd does not replicate.
    Master,
    /// Nobody is one either.
    Replica,
}

impl ClientType {
    fn parse(word: &[u8]) -> Result<ClientType> {
        match word.to_ascii_lowercase().as_slice() {
            b"normal" => Ok(ClientType::Normal),
            b"pubsub" => Ok(ClientType::Pubsub),
            b"master" => Ok(ClientType::Master),
            b"replica" | b"slave" => Ok(ClientType::Replica),
            _ => Err(Error::quoting("ERR Unknown client type '", word, "'")),
        }
    }

    fn of(client: &Client) -> ClientType {
        match client.flags().contains(ClientFlags::PUBSUB) {
            true => ClientType::Pubsub,
            false => ClientType::Normal,
        }
    }
}

/// Appends the line of one client. `args` are those of the request, whose
/// sender holds its words.
fn describe(out: &mut String, client: &Client, context: &Context<'_>, args: Args<'_>) {
    let uptime = context.turn.uptime;
    let names = client.names();
    let argv_memory: usize = match client.id == context.session.client.id {
        true => args.argv().iter().map(<[u8]>::len).sum(),
        false => 0,
    };
    let (waiting, pieces, capacity) = {
        let outbox = client.outbox.lock();
        let output = &outbox.output;
        (output.len(), output.pieces(), output.memory())
    };
    let command = client.last_command.load(Relaxed);
    let command = context.server.metrics.command_name(command);
    let resp = match client.flags().protocol() {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} \
         ssub={} multi={} qbuf={} qbuf-free=0 argv-mem={argv_memory} multi-mem={} rbs={capacity} \
         rbp={capacity} obl={waiting} oll={pieces} omem={} tot-mem={} events={} cmd={} \
         user=default redir={} resp={resp} lib-name={} lib-ver={}",
        client.id,
        client.peer.remote(),
        client.peer.local(),
        client.fd,
        String::from_utf8_lossy(&names.name),
        uptime.saturating_sub(client.connected).as_secs(),
        client.idle(uptime).as_secs(),
        letters(client),
        client.db.load(Relaxed),
        client.channels.load(Relaxed),
        client.patterns.load(Relaxed),
        client.shard_channels.load(Relaxed),
        client.queued.load(Relaxed),
        client.input.load(Relaxed),
        client.queued_memory.load(Relaxed),
        if waiting > 0 { capacity } else { 0 },
        client.memory() + argv_memory,
        if waiting > 0 { "rw" } else { "r" },
        command.unwrap_or("NULL"),
        redirect(client),
        String::from_utf8_lossy(&names.lib_name),
        String::from_utf8_lossy(&names.lib_ver),
    );
}

/// The flags of a client in the order in which Redis shows them.
fn letters(client: &Client) -> String {
    const LETTERS: [(ClientFlags, char); 12] = [
        (ClientFlags::MONITOR, 'O'),
        (ClientFlags::PUBSUB, 'P'),
        (ClientFlags::MULTI, 'x'),
        // Redis blocks a client that a pause holds back.
        (ClientFlags::BLOCKED.union(ClientFlags::PAUSED), 'b'),
        (ClientFlags::TRACKING, 't'),
        (ClientFlags::BROKEN_REDIRECT, 'R'),
        (ClientFlags::BROADCAST, 'B'),
        (ClientFlags::DIRTY, 'd'),
        (ClientFlags::KILLED, 'A'),
        (ClientFlags::UNIX, 'U'),
        (ClientFlags::NO_EVICT, 'e'),
        (ClientFlags::NO_TOUCH, 'T'),
    ];
    let flags = client.flags();
    let set = LETTERS.iter().filter(|(flag, _)| flags.intersects(*flag));
    let letters: String = set.map(|(_, letter)| letter).collect();
    match letters.is_empty() {
        true => "N".to_owned(),
        false => letters,
    }
}

fn client_getname(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let name = context.session.client.names().name;
    reply.bulk_or_null(Some(name.as_slice()).filter(|name| !name.is_empty()));
    Ok(())
}

fn client_setname(
    context: &mut Context<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let name = args.next()?;
    validate_name(name)?;
    let client = &context.session.client;
    client.set_names(|names| names.name = name.to_vec());
    reply.ok();
    Ok(())
}

/// What CLIENT SETNAME and HELLO SETNAME accept: printable, without spaces.
pub fn validate_name(name: &[u8]) -> Result<()> {
    match is_printable(name) {
        true => Ok(()),
        false => Err(Error::CLIENT_NAME),
    }
}

/// Whether CLIENT LIST can show it without being ambiguous.
fn is_printable(word: &[u8]) -> bool {
    const PRINTABLE: RangeInclusive<u8> = b'!'..=b'~';
    word.iter().all(|byte| PRINTABLE.contains(byte))
}

fn client_setinfo(
    context: &mut Context<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let (attribute, value) = (args.next()?, args.next()?);
    let is_name = attribute.eq_ignore_ascii_case(b"LIB-NAME");
    if !is_name && !attribute.eq_ignore_ascii_case(b"LIB-VER") {
        return Err(Error::quoting("ERR Unrecognized option '", attribute, "'"));
    }
    if !is_printable(value) {
        let why = " cannot contain spaces, newlines or special characters.";
        return Err(Error::quoting("ERR ", attribute, why));
    }
    context.session.client.set_names(|names| {
        let field = match is_name {
            true => &mut names.lib_name,
            false => &mut names.lib_ver,
        };
        *field = value.to_vec();
    });
    reply.ok();
    Ok(())
}

fn client_kill(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    // The old form, an address alone, may hit the client itself.
    let old_form = args.remaining() == 1;
    let filter = match old_form {
        true => Filter::by_address(args),
        false => Filter::parse(args)?,
    };
    let own_id = context.session.client.id;
    let mut victims = context.server.clients.all();
    victims.retain(|client| filter.matches(client, own_id));
    for client in &victims {
        kill(context, client);
    }
    match (old_form, victims.is_empty()) {
        (true, true) => return Err(Error::NO_SUCH_CLIENT),
        (true, false) => reply.ok(),
        (false, _) => reply.len(victims.len()),
    }
    Ok(())
}

fn kill(context: &mut Context<'_>, client: &Client) {
    tracing::debug!(
        id = client.id,
        addr = client.peer.remote(),
        name = client.name(),
        by = context.session.client.id,
        "CLIENT KILL",
    );
    if client.id == context.session.client.id {
        // The reply is still to be delivered.
        context.session.ending = Some(Ending::AfterReplies);
        return;
    }
    // Its task ends when it is next run; for everybody else it is gone now. Who
    // writes looks for that under the lock.
    context.turn.state();
    context.server.clients.remove(client.id);
    client.kill();
    if client.flags().contains(ClientFlags::BLOCKED) {
        context.turn.unblock(client.id);
    }
}

/// Which clients CLIENT KILL closes: those that all options match.
#[derive(Default)]
struct Filter<'a> {
    id: Option<u64>,
    kind: Option<ClientType>,
    addr: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    spares_itself: bool,
}

impl<'a> Filter<'a> {
    fn by_address(args: Args<'a>) -> Filter<'a> {
        Filter {
            addr: args.peek(),
            ..Filter::default()
        }
    }

    fn parse(mut args: Args<'a>) -> Result<Filter<'a>> {
        let mut filter = Filter {
            spares_itself: true,
            ..Filter::default()
        };
        while args.remaining() > 0 {
            // Every option has a value, and one without is no option.
            if args.remaining() == 1 {
                return Err(Error::SYNTAX);
            }
            if args.keyword("ID") {
                let id = args.int_in(1..=i64::MAX, Error::CLIENT_ID_NOT_POSITIVE)?;
                filter.id = Some(id.unsigned_abs());
            } else if args.keyword("TYPE") {
                filter.kind = Some(ClientType::parse(args.next()?)?);
            } else if args.keyword("ADDR") {
                filter.addr = Some(args.next()?);
            } else if args.keyword("LADDR") {
                filter.laddr = Some(args.next()?);
            } else if args.keyword("USER") {
                // The only one that there is, so it excludes nobody.
                let user = args.next()?;
                if user != b"default" {
                    return Err(Error::quoting("ERR No such user '", user, "'"));
                }
            } else if args.keyword("SKIPME") {
                filter.spares_itself = yes_or_no(args.next()?)?;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(filter)
    }

    fn matches(&self, client: &Client, own_id: u64) -> bool {
        let is = |address: String, wanted: &[u8]| address.as_bytes() == wanted;
        self.id.is_none_or(|id| id == client.id)
            && self.kind.is_none_or(|kind| kind == ClientType::of(client))
            && self.addr.is_none_or(|addr| is(client.peer.remote(), addr))
            && self.laddr.is_none_or(|addr| is(client.peer.local(), addr))
            && !(self.spares_itself && client.id == own_id)
    }
}

fn yes_or_no(word: &[u8]) -> Result<bool> {
    if word.eq_ignore_ascii_case(b"yes") {
        Ok(true)
    } else if word.eq_ignore_ascii_case(b"no") {
        Ok(false)
    } else {
        Err(Error::SYNTAX)
    }
}

fn client_no_evict(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    switch(context, ClientFlags::NO_EVICT, args, reply)
}

fn client_no_touch(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    switch(context, ClientFlags::NO_TOUCH, args, reply)
}

fn switch(
    context: &mut Context<'_>,
    flag: ClientFlags,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let on = args.keyword("ON");
    if !on && !args.keyword("OFF") {
        return Err(Error::SYNTAX);
    }
    context.set_flag(flag, on);
    reply.ok();
    Ok(())
}

fn client_reply(
    context: &mut Context<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let mode = &mut context.session.reply_mode;
    if args.keyword("ON") {
        *mode = ReplyMode::On;
        reply.ok();
    } else if args.keyword("OFF") {
        *mode = ReplyMode::Off;
    } else if args.keyword("SKIP") {
        if *mode != ReplyMode::Off {
            *mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(Error::SYNTAX);
    }
    Ok(())
}

fn client_pause(
    context: &mut Context<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    if args.remaining() > 2 {
        return Err(args.wrong_subcommand());
    }
    let timeout = args.next()?;
    let mode = match args.next_if_any() {
        None => PauseMode::All,
        Some(word) if word.eq_ignore_ascii_case(b"ALL") => PauseMode::All,
        Some(word) if word.eq_ignore_ascii_case(b"WRITE") => PauseMode::Write,
        Some(_) => return Err(Error::PAUSE_MODE),
    };
    let timeout_ms = number::parse_i64(timeout).ok_or(Error::TIMEOUT_NOT_AN_INTEGER)?;
    let timeout_ms = u64::try_from(timeout_ms).map_err(|_| Error::TIMEOUT_NEGATIVE)?;
    if timeout_ms > (i64::MAX - context.turn.now).unsigned_abs() {
        return Err(Error::TIMEOUT_OUT_OF_RANGE);
    }
    context.turn.pause(Duration::from_millis(timeout_ms), mode);
    reply.ok();
    Ok(())
}

fn client_unpause(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    context.turn.unpause();
    reply.ok();
    Ok(())
}

fn client_unblock(
    context: &mut Context<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    if args.remaining() > 2 {
        return Err(args.wrong_subcommand());
    }
    let id = args.next()?;
    let with_error = match args.next_if_any() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case(b"TIMEOUT") => false,
        Some(word) if word.eq_ignore_ascii_case(b"ERROR") => true,
        Some(_) => return Err(Error::UNBLOCK_REASON),
    };
    let id = number::parse_i64(id).ok_or(Error::NOT_AN_INTEGER)?;
    let unblocked = match find(context, id) {
        None => false,
        Some(client) if with_error => context.turn.fail_blocked(&client, &Error::UNBLOCKED),
        Some(client) => context.turn.time_out(&client),
    };
    reply.int(i64::from(unblocked));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::LocalClient;
    use crate::engine::Engine;
    use crate::testing::{client, engine};

    fn line(engine: &Arc<Engine>, of: u64) -> String {
        client(engine).line(&format!("CLIENT LIST ID {of}"))
    }

    fn id(client: &mut LocalClient) -> u64 {
        let reply = client.line("CLIENT ID");
        reply.trim_start_matches(':').parse().expect("an id")
    }

    #[test]
    fn a_line_tells_what_the_client_is_doing() {
        let engine = engine();
        let mut other = client(&engine);
        let id = id(&mut other);
        for request in ["SELECT 3", "WATCH k", "MULTI", "SET k v", "LPUSH l x"] {
            other.line(request);
        }
        let before = line(&engine, id);
        for field in [
            " flags=x ",
            " db=3 ",
            " multi=2 ",
            " cmd=lpush ",
            " resp=2 ",
        ] {
            assert!(before.contains(field), "{field}: {before}");
        }
        for request in ["SELECT 3", "SET k v"] {
            client(&engine).run(format!("SELECT 3\r\n{request}\r\n").as_bytes());
        }
        let dirty = line(&engine, id);
        assert!(dirty.contains(" flags=xd "), "{dirty}");
        other.line("EXEC");
        let after = line(&engine, id);
        for field in [" flags=N ", " multi=-1 ", " multi-mem=0 ", " cmd=exec "] {
            assert!(after.contains(field), "{field}: {after}");
        }
    }

    #[test]
    fn subcommands_are_told_apart_in_a_pipeline() {
        let engine = engine();
        let lines = client(&engine).run(b"CLIENT SETNAME me\r\nCLIENT INFO\r\nCLIENT GETNAME\r\n");
        let lines = String::from_utf8(lines).expect("text");
        assert!(lines.contains(" name=me "), "{lines}");
        assert!(lines.contains(" cmd=client|info "), "{lines}");
        assert!(lines.ends_with("$2\r\nme\r\n"), "{lines}");
    }

    #[test]
    fn clients_are_listed_in_the_order_in_which_they_came() {
        let engine = engine();
        let mut clients: Vec<_> = (0..20).map(|_| client(&engine)).collect();
        let list = clients[7].line("CLIENT LIST");
        let ids: Vec<u64> = list
            .split("id=")
            .filter_map(|line| line.split_once(" addr="))
            .map(|(id, _)| id.parse().expect("an id"))
            .collect();
        assert_eq!(ids, (1..=20).collect::<Vec<_>>());
    }

    #[test]
    fn a_killed_client_is_gone_at_once() {
        let engine = engine();
        let (mut killer, mut victim) = (client(&engine), client(&engine));
        let id = id(&mut victim);
        let request =
            format!("CLIENT KILL ID {id}\r\nCLIENT KILL ID {id}\r\nCLIENT LIST ID {id}\r\n");
        assert_eq!(killer.run(request.as_bytes()), b":1\r\n:0\r\n$0\r\n\r\n");
        assert_eq!(victim.run(b"SET k v\r\n"), b"");
        assert_eq!(killer.line("EXISTS k"), ":0");
    }

    #[test]
    fn who_kills_itself_hears_of_it_and_nothing_more() {
        let engine = engine();
        let mut client = client(&engine);
        let own = id(&mut client);
        let request = format!("CLIENT KILL ID {own} SKIPME no\r\nPING\r\n");
        assert_eq!(client.run(request.as_bytes()), b":1\r\n");
    }
}
