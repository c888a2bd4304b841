//! RESPD WAIT: until something is so.

use super::respd_clock::millis;
use crate::engine::barriers::{Condition, Key, PATIENCE};
use crate::error::{Error, Result};
use crate::pubsub::Target;
use crate::resp::Reply;
use crate::table::vocabulary::FOR_TESTS;
use crate::table::{Args, Begin, Context, Handler, Row};
use crate::text::number;

/// RESPD WAIT
#[rustfmt::skip]
pub const WAIT: Row = Row {
    name: "wait", arity: -4,
    usage: "condition(SUBSCRIBERS data(channel count:integer) | PSUBSCRIBERS data(pattern:string count:integer) | \
        SSUBSCRIBERS data(shardchannel count:integer) | BLOCKED data(key:string count:integer) | \
        EXISTS key:string | GONE key:string | LENGTH data(key:string count:integer) | \
        PENDING data(key:string group count:integer) | CLIENTS count:integer | \
        SENT data(client-name command [times:integer]) | READ client-name) [TIMEOUT milliseconds:integer]",
    complexity: "O(1), and of each change meanwhile",
    summary: "Waits until something is so, for 5 seconds or so long, or answers an error that says what there is instead.",
    handler: Handler::Later(wait),
    ..FOR_TESTS
};

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
        true => millis(&mut args, Error::TIMEOUT_OUT_OF_RANGE)?,
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
