//! RESPD: what clients may do to a broker that was started for tests, in any
//! language. Refused without `test-commands yes`.
//!
//! Redis has no such command, so its subcommands may be of any form. Each is a
//! subsystem, whose words the handler parses.

use std::time::Duration;

use super::{respd_data, respd_snapshot};
use crate::engine::barriers::{Condition, Key, PATIENCE};
use crate::engine::orders::{Due, Order, Waiting};
use crate::error::{Error, Result};
use crate::pubsub::Target;
use crate::resp::Reply;
use crate::table::vocabulary::{ADMIN, ANYTIME, CONTAINER, SERVER};
use crate::table::{Args, Begin, Context, Flags, Group, HELP, Handler, Row};
use crate::text::number;

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "respd", group: Group::Server, since: SINCE,
        summary: "What tests need beyond a broker.",
        subcommands: &[
            Row {
                name: "clock", arity: -3, flags: FOR_TESTS,
                usage: "action(GET | FREEZE | RESUME | ADVANCE milliseconds:integer | \
                    SET unix-time-milliseconds:unix-time | NEXT)",
                since: SINCE, complexity: "O(N) where N is what falls due on the way",
                summary: "Shows the clock that everything obeys, stops it, lets it go on, or moves it and has happen what falls due.",
                handler: Handler::Later(clock),
                ..SERVER
            },
            Row {
                name: "wait", arity: -4, flags: FOR_TESTS,
                usage: "condition(SUBSCRIBERS data(channel count:integer) | PSUBSCRIBERS data(pattern:string count:integer) | \
                    SSUBSCRIBERS data(shardchannel count:integer) | BLOCKED data(key:string count:integer) | \
                    EXISTS key:string | GONE key:string | LENGTH data(key:string count:integer) | \
                    PENDING data(key:string group count:integer) | CLIENTS count:integer | \
                    SENT data(client-name command [times:integer]) | READ client-name) [TIMEOUT milliseconds:integer]",
                since: SINCE, complexity: "O(1), and of each change meanwhile",
                summary: "Waits until something is so, for 5 seconds or so long, or answers an error that says what there is instead.",
                handler: Handler::Later(wait),
                ..SERVER
            },
            respd_snapshot::SNAPSHOT,
            respd_snapshot::ROLLBACK,
            respd_data::LOAD,
            respd_data::EXPORT,
            respd_data::DIFF,
            Row { flags: ANYTIME.union(Flags::FOR_TESTS), since: SINCE, ..HELP },
        ],
        ..CONTAINER
    },
];

/// Is for tests. What waits for an answer can be part of nothing.
const FOR_TESTS: Flags = ADMIN.union(Flags::NO_MULTI).union(Flags::FOR_TESTS);

/// The version of respd, since Redis has none of it.
const SINCE: &str = "0.1.0";

/// The farthest that one goes at once, in milliseconds: two million years.
const FARTHEST_MS: i64 = 1 << 56;

fn clock(
    context: &mut Context<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Option<Begin>> {
    let clock = &context.server.clock;
    let hand = clock.hand().ok_or(Error::NOT_FOR_TESTS)?;
    let action = args.next()?.to_ascii_lowercase();
    let order = match (&*action, args.remaining()) {
        (b"get", 0) => {
            reply.map(2);
            reply.bulk(b"time");
            reply.int(clock.now_ms());
            reply.bulk(b"state");
            reply.bulk(match hand.is_frozen() {
                true => b"frozen",
                false => b"running",
            });
            return Ok(None);
        }
        (b"freeze" | b"resume", 0) => {
            hand.freeze(action == b"freeze");
            reply.ok();
            return Ok(None);
        }
        (b"advance", 1) => Order::By(millis(&mut args)?),
        (b"set", 1) => Order::To(millis(&mut args)?),
        (b"next", 0) => Order::ToNext,
        _ => return Err(args.wrong_subcommand()),
    };
    Ok(Some(Box::new(move |turn, awaited| {
        let write = move |reply: &mut Reply<'_>, due| match due {
            Some(due) => write_due(reply, &due),
            None if order == Order::ToNext => reply.null(),
            None => reply.ok(),
        };
        turn.move_clock(order, awaited, Box::new(write));
    })))
}

fn wait(context: &mut Context<'_>, mut args: Args<'_>, _: &mut Reply<'_>) -> Result<Option<Begin>> {
    let unknown = args.wrong_subcommand();
    let what = args.next()?.to_ascii_lowercase();
    let (word, db) = (args.next()?, context.session.db);
    let name = || word.to_vec();
    let key = || Key { db, key: name() };
    let condition = match &*what {
        b"subscribers" => subscribers(Target::Channel, name(), count(&mut args)?),
        b"psubscribers" => subscribers(Target::Pattern, name(), count(&mut args)?),
        b"ssubscribers" => subscribers(Target::ShardChannel, name(), count(&mut args)?),
        b"blocked" => Condition::Blocked(key(), count(&mut args)?),
        b"exists" => Condition::Exists(key()),
        b"gone" => Condition::Gone(key()),
        b"length" => Condition::Length(key(), count(&mut args)?),
        b"pending" => Condition::Pending(key(), args.next()?.to_vec(), count(&mut args)?),
        b"clients" => {
            let count = number::parse_i64(word).and_then(|count| usize::try_from(count).ok());
            Condition::Clients(count.ok_or(Error::NOT_POSITIVE)?)
        }
        b"sent" => sent(context, name(), &mut args)?,
        b"read" => Condition::Read(name()),
        _ => return Err(unknown),
    };
    let within = match args.keyword("TIMEOUT") {
        true => Duration::from_millis(
            args.int_in(0..=FARTHEST_MS, Error::TIMEOUT_OUT_OF_RANGE)?
                .unsigned_abs(),
        ),
        false => PATIENCE,
    };
    args.end()?;
    Ok(Some(Box::new(move |turn, awaited| {
        turn.wait_until(condition, within, awaited);
    })))
}

fn subscribers(target: Target, name: Vec<u8>, count: usize) -> Condition {
    Condition::Subscribers {
        target,
        name,
        count,
    }
}

fn sent(context: &Context<'_>, name: Vec<u8>, args: &mut Args<'_>) -> Result<Condition> {
    let command = String::from_utf8_lossy(args.next()?).to_ascii_lowercase();
    let mut known = context.server.metrics.all_commands().iter();
    if !known.any(|known| known.name == command) {
        return Err(Error::INVALID_COMMAND);
    }
    let is_option = |word: &[u8]| word.eq_ignore_ascii_case(b"timeout");
    let times = match args.peek() {
        Some(word) if !is_option(word) => count(args)? as u64,
        _ => 1,
    };
    Ok(Condition::Sent {
        name,
        command,
        times,
    })
}

fn count(args: &mut Args<'_>) -> Result<usize> {
    let count = args.int_in(0..=i64::MAX, Error::NOT_POSITIVE)?;
    Ok(count.unsigned_abs() as usize)
}

fn millis(args: &mut Args<'_>) -> Result<Duration> {
    let millis = args.int_in(0..=FARTHEST_MS, Error::CLOCK_RANGE)?;
    Ok(Duration::from_millis(millis.unsigned_abs()))
}

/// What has fallen due, as a map that begins with its kind.
fn write_due(reply: &mut Reply<'_>, due: &Due) {
    let kind = |reply: &mut Reply<'_>, kind: &str, more: usize| {
        reply.map(1 + more);
        reply.bulk(b"due");
        reply.bulk(kind.as_bytes());
    };
    let number = |reply: &mut Reply<'_>, name: &str, number: i64| {
        reply.bulk(name.as_bytes());
        reply.int(number);
    };
    let text = |reply: &mut Reply<'_>, name: &str, text: &[u8]| {
        reply.bulk(name.as_bytes());
        reply.bulk(text);
    };
    let who = |reply: &mut Reply<'_>, client: &Waiting| {
        number(reply, "id", client.id as i64);
        text(reply, "name", client.name.as_bytes());
    };
    match due {
        Due::Key { db, key } => {
            kind(reply, "key", 2);
            number(reply, "db", *db as i64);
            text(reply, "key", key);
        }
        Due::Field { db, key, field } => {
            kind(reply, "field", 3);
            number(reply, "db", *db as i64);
            text(reply, "key", key);
            text(reply, "field", field);
        }
        Due::Pause => kind(reply, "pause", 0),
        Due::Timeout { client, command } => {
            kind(reply, "timeout", 3);
            who(reply, client);
            text(reply, "command", command.as_bytes());
        }
        Due::Idle { client } => {
            kind(reply, "idle", 2);
            who(reply, client);
        }
        Due::Unread { client } => {
            kind(reply, "unread", 2);
            who(reply, client);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{client, engine, engine_for_tests};

    #[test]
    fn it_is_refused_unless_the_broker_is_for_tests() {
        let refused = "-ERR RESPD commands are for tests. Start the broker with test-commands yes to allow them.";
        assert_eq!(client(&engine()).line("RESPD HELP"), refused);
        let help = client(&engine_for_tests()).line("RESPD HELP");
        assert!(help.contains("RESPD <subcommand>"), "{help}");
    }
}
