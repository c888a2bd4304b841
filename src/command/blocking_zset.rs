//! Sorted sets again: the commands that wait for a member if there is none, as
//! those of [`super::blocking_list`] do.

use std::time::Duration;

use super::pop_first::{self, PopFirst};
use super::zset;
use crate::db::Db;
use crate::db::value::{Direction, Zset};
use crate::engine::Wait;
use crate::error::Result;
use crate::resp::{Argv, Reply};
use crate::table::vocabulary::{SORTED_SET, TAKE_KEY, WRITE, WRITE_FAST};
use crate::table::{Args, Flags, Handler, Row};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "bzpopmin", arity: -3, flags: WRITE_FAST.union(Flags::BLOCKING),
        keys: &[TAKE_KEY.but_last()], usage: "key:key... timeout:double", since: "5.0.0",
        complexity: "O(log(N)) with N being the number of elements in the sorted set.",
        history: &[("6.0.0", "`timeout` is interpreted as a double instead of an integer.")],
        summary: "Takes the member with the lowest score of the first sorted set that has one, \
            and waits for one if none has.",
        handler: Handler::Blocking(bzpopmin),
        ..SORTED_SET
    },
    Row {
        name: "bzpopmax", arity: -3, flags: WRITE_FAST.union(Flags::BLOCKING),
        keys: &[TAKE_KEY.but_last()], usage: "key:key... timeout:double", since: "5.0.0",
        complexity: "O(log(N)) with N being the number of elements in the sorted set.",
        history: &[("6.0.0", "`timeout` is interpreted as a double instead of an integer.")],
        summary: "Takes the member with the highest score of the first sorted set that has one, \
            and waits for one if none has.",
        handler: Handler::Blocking(bzpopmax),
        ..SORTED_SET
    },
    Row {
        name: "bzmpop", arity: -5, flags: WRITE.union(Flags::BLOCKING),
        keys: &[TAKE_KEY.at(2).counted()],
        usage: "timeout:double numkeys:integer key:key... where(MIN|MAX) [COUNT count:integer]",
        since: "7.0.0",
        complexity: "O(K) + O(M*log(N)) where K is the number of provided keys, N being the \
            number of elements in the sorted set, and M being the number of elements popped.",
        summary: "Takes members out of the first of several sorted sets that has any, and waits \
            if none has.",
        handler: Handler::Blocking(bzmpop),
        ..SORTED_SET
    },
];

fn bzpopmin(db: &mut Db<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Result<Option<Wait>> {
    pop(db, argv, reply, Direction::Up)
}

fn bzpopmax(db: &mut Db<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Result<Option<Wait>> {
    pop(db, argv, reply, Direction::Down)
}

fn pop(
    db: &mut Db<'_>,
    argv: Argv<'_>,
    reply: &mut Reply<'_>,
    from: Direction,
) -> Result<Option<Wait>> {
    let mut args = Args::new(argv, 1);
    let keys = args.take(args.remaining() - 1)?;
    let timeout = args.timeout(db.now)?;
    let Some((key, handle)) = pop_first::find::<Zset>(db, keys)? else {
        return Ok(Some(wait(timeout)));
    };
    reply.array(3);
    reply.bulk(key);
    zset::take_one(db, key, handle, from, reply)?;
    Ok(None)
}

fn wait(timeout: Option<Duration>) -> Wait {
    Wait::for_kind(Zset::KIND, timeout)
}

fn bzmpop(db: &mut Db<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Result<Option<Wait>> {
    let mut args = Args::new(argv, 1);
    let timeout = args.take(1)?;
    // What is wrong with the keys is told before what is wrong with the timeout.
    let pop = PopFirst::parse(&mut args, zset::end)?;
    let timeout = Args::new(timeout, 0).timeout(db.now)?;
    Ok(match zset::take_first(db, &pop, reply)? {
        true => None,
        false => Some(wait(timeout)),
    })
}
