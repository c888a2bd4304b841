//! RESPD RECORD: what clients have sent and got. How that is noted is in
//! `lab/record.rs`.

use super::respd_fault::narrow;
use crate::error::{Error, Result};
use crate::lab::Lab;
use crate::lab::record::assertion::{Assertion, Pattern};
use crate::lab::record::entry::{Entry, Kind};
use crate::lab::record::transcript::transcript;
use crate::lab::record::{LIMIT, LIMIT_MAX, Seen};
use crate::lab::scope::Scope;
use crate::resp::Reply;
use crate::table::vocabulary::FOR_TESTS;
use crate::table::{Args, Context, Handler, Row, Table};

/// RESPD RECORD
#[rustfmt::skip]
pub const RECORD: Row = Row {
    name: "record", arity: -3,
    usage: "operation(START data([LIMIT entries:integer]) | STOP | CLEAR | STATE | \
        GET data([filter...] [COUNT count:integer]) | COUNT data([filter...]) | \
        TRANSCRIPT data([filter...]) | \
        ASSERT data([filter...] claim(SENT data(times word...) | DELIVERED data(times word...) | \
        UNTOUCHED pattern:pattern | ORDER request...)))",
    complexity: "O(N) where N is the number of entries",
    summary: "Keeps a record of what clients send and get, shows it, or says whether something was sent.",
    handler: Handler::Table(respd_record),
    ..FOR_TESTS
};

fn respd_record(
    context: &mut Context<'_>,
    table: &'static Table,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let lab = context.server.lab.as_deref().ok_or(Error::NOT_FOR_TESTS)?;
    let unknown = args.wrong_subcommand();
    match &*args.next()?.to_ascii_lowercase() {
        b"start" => {
            let limit = match args.keyword("limit") {
                true => args.int_in(1..=LIMIT_MAX as i64, Error::RECORD_LIMIT)? as usize,
                false => LIMIT,
            };
            args.end()?;
            // What runs has ended then, or is on record from its beginning.
            context.turn.state();
            let mut reader = lab.record_of_clients.lock();
            let before = reader.replace(lab.record.start(limit));
            before
                .into_iter()
                .for_each(|before| lab.record.stop(before));
            reply.ok();
        }
        b"stop" => {
            args.end()?;
            if let Some(reader) = lab.record_of_clients.lock().take() {
                lab.record.stop(reader);
            }
            reply.ok();
        }
        b"clear" => {
            args.end()?;
            lab.record.clear(reader(lab)?);
            reply.ok();
        }
        b"state" => {
            args.end()?;
            state(lab, reply);
        }
        b"get" => {
            let filter = filter(context, table, &mut args)?;
            let count = match args.keyword("count") {
                true => args.int_in(0..=i64::MAX, Error::NOT_POSITIVE)? as usize,
                false => usize::MAX,
            };
            args.end()?;
            let entries = seen(lab, &filter)?.entries;
            let entries = &entries[entries.len().saturating_sub(count)..];
            reply.array(entries.len());
            entries.iter().for_each(|entry| show(entry, reply));
        }
        b"count" => {
            let filter = filter(context, table, &mut args)?;
            args.end()?;
            reply.len(seen(lab, &filter)?.entries.len());
        }
        b"transcript" => {
            let filter = filter(context, table, &mut args)?;
            args.end()?;
            let text = transcript(&seen(lab, &filter)?);
            reply.verbatim(b"txt", text.as_bytes());
        }
        b"assert" => {
            let filter = filter(context, table, &mut args)?;
            let assertion = assertion(args)?;
            let checked = assertion.check(&seen(lab, &filter)?);
            checked.map_err(|text| Error::not_so(&text))?;
            reply.ok();
        }
        _ => return Err(unknown),
    }
    Ok(())
}

fn reader(lab: &Lab) -> Result<u64> {
    let reader = *lab.record_of_clients.lock();
    reader.ok_or(Error::NO_RECORD)
}

fn seen(lab: &Lab, filter: &Scope) -> Result<Seen> {
    let seen = lab.record.seen(reader(lab)?, filter);
    seen.ok_or(Error::NO_RECORD)
}

/// What the words of a filter say, which are those of the scope of a fault.
fn filter(context: &Context<'_>, table: &Table, args: &mut Args<'_>) -> Result<Scope> {
    let mut scope = Scope::default();
    while narrow(&mut scope, context, table, args)? {}
    Ok(scope)
}

fn assertion(mut args: Args<'_>) -> Result<Assertion> {
    if args.remaining() < 2 {
        return Err(Error::NO_CLAIM);
    }
    let claim = args.next()?.to_ascii_lowercase();
    match &*claim {
        b"sent" | b"delivered" => {
            let times = match args.keyword("any") {
                true => None,
                false => Some(args.int_in(0..=i64::MAX, Error::NO_CLAIM)?.unsigned_abs()),
            };
            let words = args.rest();
            if words.len() == 0 {
                return Err(Error::NO_CLAIM);
            }
            let pattern = Pattern::new(words);
            Ok(match &*claim {
                b"sent" => Assertion::Sent(pattern, times),
                _ => Assertion::Delivered(pattern, times),
            })
        }
        b"untouched" if args.remaining() == 1 => {
            let pattern = args.next()?.to_vec();
            Ok(Assertion::Untouched(pattern))
        }
        b"order" => {
            let lines = args.rest().map(Pattern::of_line);
            let lines: Option<Vec<_>> = lines.collect();
            Ok(Assertion::Order(lines.ok_or(Error::UNBALANCED_QUOTES)?))
        }
        _ => Err(Error::NO_CLAIM),
    }
}

/// Whether there is a record, and how much of it.
fn state(lab: &Lab, reply: &mut Reply<'_>) {
    let reader = *lab.record_of_clients.lock();
    let size = reader.and_then(|reader| lab.record.size(reader));
    reply.map(4);
    reply.bulk(b"state");
    reply.bulk(match size {
        Some(_) => b"recording",
        None => b"stopped",
    });
    let size = size.unwrap_or_default();
    for (name, figure) in [
        ("entries", size.entries as i64),
        ("gone", size.gone as i64),
        ("bytes", size.bytes as i64),
    ] {
        reply.bulk(name.as_bytes());
        reply.int(figure);
    }
}

/// An entry as a map.
fn show(entry: &Entry, reply: &mut Reply<'_>) {
    let (what, more) = match entry.kind() {
        Kind::Request => ("request", 2),
        Kind::Reply => ("reply", 4),
        Kind::Push => ("push", 3),
        Kind::Gone => ("gone", 0),
    };
    let who = entry.who();
    reply.map(6 + more);
    reply.bulk(b"seq");
    reply.int(entry.number() as i64);
    reply.bulk(b"time");
    reply.int(entry.at_ms());
    reply.bulk(b"id");
    reply.int(who.id as i64);
    reply.bulk(b"name");
    reply.bulk(&who.name);
    reply.bulk(b"db");
    reply.int(who.db as i64);
    reply.bulk(b"what");
    reply.bulk(what.as_bytes());
    if entry.kind() == Kind::Request {
        reply.bulk(b"words");
        reply.bulks(entry.words().iter());
    }
    if entry.kind() == Kind::Reply {
        reply.bulk(b"request");
        match entry.answers() {
            Some(number) => reply.int(number as i64),
            None => reply.null(),
        }
    }
    if let Some(kept) = entry.kept() {
        reply.bulk(b"text");
        reply.bulk(entry.text().as_bytes());
        reply.bulk(b"resp");
        reply.bulk(&kept.bytes);
    }
    if more > 0 {
        reply.bulk(b"bytes");
        reply.len(entry.len());
    }
}
