//! Lists again: the commands that wait for an element if there is none.
//!
//! A handler answers what it waits for; it runs again, from the start, when
//! one of those keys holds a list. Whoever waits longest is served first.

use std::time::Duration;

use super::list;
use super::pop_first::{self, PopFirst};
use crate::db::Db;
use crate::db::value::{End, List};
use crate::engine::{Null, Wait};
use crate::error::Result;
use crate::resp::{Argv, Reply};
use crate::table::vocabulary::{GROW, INSERT_KEY, LIST, TAKE_KEY, WRITE};
use crate::table::{Args, Flags, Handler, Row};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "blpop", arity: -3, flags: WRITE.union(Flags::BLOCKING), keys: &[TAKE_KEY.but_last()],
        usage: "key:key... timeout:double",
        since: "2.0.0", complexity: "O(N) where N is the number of provided keys.",
        history: &[("6.0.0", "`timeout` is interpreted as a double instead of an integer.")],
        summary: "Takes the first element of the first list that has one, and waits for one if \
            none has.",
        handler: Handler::Blocking(blpop),
        ..LIST
    },
    Row {
        name: "brpop", arity: -3, flags: WRITE.union(Flags::BLOCKING), keys: &[TAKE_KEY.but_last()],
        usage: "key:key... timeout:double",
        since: "2.0.0", complexity: "O(N) where N is the number of provided keys.",
        history: &[("6.0.0", "`timeout` is interpreted as a double instead of an integer.")],
        summary: "Takes the last element of the first list that has one, and waits for one if none \
            has.",
        handler: Handler::Blocking(brpop),
        ..LIST
    },
    Row {
        name: "blmove", arity: 6, flags: GROW.union(Flags::BLOCKING),
        keys: &[TAKE_KEY, INSERT_KEY.at(2)],
        usage: "source:key destination:key wherefrom(LEFT|RIGHT) whereto(LEFT|RIGHT) \
            timeout:double",
        since: "6.2.0",
        summary: "Moves an element from one list to another, and waits for one if the list is \
            empty.",
        handler: Handler::Blocking(blmove),
        ..LIST
    },
    Row {
        name: "brpoplpush", arity: 4, flags: GROW.union(Flags::BLOCKING),
        keys: &[TAKE_KEY, INSERT_KEY.at(2)],
        usage: "source:key destination:key timeout:double", since: "2.2.0",
        deprecated: Some(("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments")),
        history: &[("6.0.0", "`timeout` is interpreted as a double instead of an integer.")],
        summary: "Moves the last element of a list to the head of another, and waits for one if \
            the list is empty.",
        handler: Handler::Blocking(brpoplpush),
        ..LIST
    },
    Row {
        name: "blmpop", arity: -5, flags: WRITE.union(Flags::BLOCKING),
        keys: &[TAKE_KEY.at(2).counted()],
        usage: "timeout:double numkeys:integer key:key... where(LEFT|RIGHT) [COUNT count:integer]",
        since: "7.0.0",
        complexity: "O(N+M) where N is the number of provided keys and M is the number of elements \
            returned.",
        summary: "Takes elements from the first of several lists that is not empty, and waits if \
            all are.",
        handler: Handler::Blocking(blmpop),
        ..LIST
    },
];

fn blpop(db: &mut Db<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Result<Option<Wait>> {
    pop(db, argv, reply, End::Left)
}

fn brpop(db: &mut Db<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Result<Option<Wait>> {
    pop(db, argv, reply, End::Right)
}

fn pop(db: &mut Db<'_>, argv: Argv<'_>, reply: &mut Reply<'_>, end: End) -> Result<Option<Wait>> {
    let mut args = Args::new(argv, 1);
    let keys = args.take(args.remaining() - 1)?;
    let timeout = args.timeout(db.now)?;
    let Some((key, handle)) = pop_first::find::<List>(db, keys)? else {
        return Ok(Some(wait(timeout, Null::Array)));
    };
    reply.array(2);
    reply.bulk(key);
    list::take_one(db, key, handle, end, reply)?;
    Ok(None)
}

fn wait(timeout: Option<Duration>, null: Null) -> Wait {
    Wait {
        null,
        ..Wait::for_kind(List::KIND, timeout)
    }
}

fn blmove(db: &mut Db<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Result<Option<Wait>> {
    let mut args = Args::new(argv, 1);
    let keys = args.take(2)?;
    let ends = (list::end(&mut args)?, list::end(&mut args)?);
    move_one(db, keys, ends, args, reply)
}

fn brpoplpush(db: &mut Db<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Result<Option<Wait>> {
    let mut args = Args::new(argv, 1);
    let keys = args.take(2)?;
    move_one(db, keys, (End::Right, End::Left), args, reply)
}

/// `keys` are the source and the destination; what is left of `args` is the
/// timeout.
fn move_one(
    db: &mut Db<'_>,
    keys: Argv<'_>,
    ends: (End, End),
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Option<Wait>> {
    let timeout = args.timeout(db.now)?;
    let mut keys = Args::new(keys, 0);
    let source = keys.take(1)?;
    let Some((from, handle)) = pop_first::find::<List>(db, source)? else {
        return Ok(Some(wait(timeout, Null::Bulk)));
    };
    list::move_one(db, (from, handle), keys.next()?, ends, reply)?;
    Ok(None)
}

fn blmpop(db: &mut Db<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Result<Option<Wait>> {
    let mut args = Args::new(argv, 1);
    let timeout = args.take(1)?;
    // What is wrong with the keys is told before what is wrong with the timeout.
    let pop = PopFirst::parse(&mut args, list::end)?;
    let timeout = Args::new(timeout, 0).timeout(db.now)?;
    Ok(match list::take_first(db, &pop, reply)? {
        true => None,
        false => Some(wait(timeout, Null::Array)),
    })
}
