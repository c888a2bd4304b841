//! RESPD CLOCK: the clock that everything obeys.

use std::time::Duration;

use crate::engine::orders::{Due, Order, Waiting};
use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::table::vocabulary::FOR_TESTS;
use crate::table::{Args, Begin, Context, Handler, Row};

/// RESPD CLOCK
#[rustfmt::skip]
pub const CLOCK: Row = Row {
    name: "clock", arity: -3,
    usage: "action(GET | FREEZE | RESUME | ADVANCE milliseconds:integer | \
        SET unix-time-milliseconds:unix-time | NEXT)",
    complexity: "O(N) where N is what falls due on the way",
    summary: "Shows the clock that everything obeys, stops it, lets it go on, or moves it and has happen what falls due.",
    handler: Handler::Later(clock),
    ..FOR_TESTS
};

/// The farthest that one goes at once, in milliseconds: two million years.
const FARTHEST_MS: i64 = 1 << 56;

/// A time of that many milliseconds, or this error.
pub fn millis(args: &mut Args<'_>, error: Error) -> Result<Duration> {
    let millis = args.int_in(0..=FARTHEST_MS, error)?;
    Ok(Duration::from_millis(millis.unsigned_abs()))
}

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
        (b"advance", 1) => Order::By(millis(&mut args, Error::CLOCK_RANGE)?),
        (b"set", 1) => Order::To(millis(&mut args, Error::CLOCK_RANGE)?),
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
        Due::Reply { client, command } => {
            kind(reply, "reply", 3);
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
