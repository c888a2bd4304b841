//! Lists: queues, stacks, and what else has an order and two ends.
//!
//! Commands that wait for an element are in [`super::blocking_list`].

use super::pop_first::{self, PopFirst};
use crate::db::value::{End, List};
use crate::db::{Db, Edited, Handle};
use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::table::vocabulary::{
    GROW, GROW_FAST, INSERT_KEY, LIST, READ, READ_FAST, READ_KEY, REMOVE_KEY, STAT_KEY, TAKE_KEY,
    UPDATE_KEY, WRITE, WRITE_FAST,
};
use crate::table::{Args, Handler, Row};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "lpush", arity: -3, flags: GROW_FAST, keys: &[INSERT_KEY],
        usage: "key:key element...", since: "1.0.0",
        complexity: "O(1) for each element added, so O(N) to add N elements when the command is \
            called with multiple arguments.",
        history: &[("2.4.0", "Accepts multiple `element` arguments.")],
        summary: "Inserts elements at the head of a list, and creates it if it is missing.",
        handler: Handler::Data(lpush),
        ..LIST
    },
    Row {
        name: "rpush", arity: -3, flags: GROW_FAST, keys: &[INSERT_KEY],
        usage: "key:key element...", since: "1.0.0",
        complexity: "O(1) for each element added, so O(N) to add N elements when the command is \
            called with multiple arguments.",
        history: &[("2.4.0", "Accepts multiple `element` arguments.")],
        summary: "Inserts elements at the tail of a list, and creates it if it is missing.",
        handler: Handler::Data(rpush),
        ..LIST
    },
    Row {
        name: "lpushx", arity: -3, flags: GROW_FAST, keys: &[INSERT_KEY],
        usage: "key:key element...", since: "2.2.0",
        complexity: "O(1) for each element added, so O(N) to add N elements when the command is \
            called with multiple arguments.",
        history: &[("4.0.0", "Accepts multiple `element` arguments.")],
        summary: "Inserts elements at the head of a list, if there is one.",
        handler: Handler::Data(lpushx),
        ..LIST
    },
    Row {
        name: "rpushx", arity: -3, flags: GROW_FAST, keys: &[INSERT_KEY],
        usage: "key:key element...", since: "2.2.0",
        complexity: "O(1) for each element added, so O(N) to add N elements when the command is \
            called with multiple arguments.",
        history: &[("4.0.0", "Accepts multiple `element` arguments.")],
        summary: "Inserts elements at the tail of a list, if there is one.",
        handler: Handler::Data(rpushx),
        ..LIST
    },
    Row {
        name: "lpop", arity: -2, flags: WRITE_FAST, keys: &[TAKE_KEY],
        usage: "key:key [count:integer@6.2.0]",
        since: "1.0.0", complexity: "O(N) where N is the number of elements returned",
        history: &[("6.2.0", "Added the `count` argument.")],
        summary: "Takes elements from the head of a list.", handler: Handler::Data(lpop),
        ..LIST
    },
    Row {
        name: "rpop", arity: -2, flags: WRITE_FAST, keys: &[TAKE_KEY],
        usage: "key:key [count:integer@6.2.0]",
        since: "1.0.0", complexity: "O(N) where N is the number of elements returned",
        history: &[("6.2.0", "Added the `count` argument.")],
        summary: "Takes elements from the tail of a list.", handler: Handler::Data(rpop),
        ..LIST
    },
    Row {
        name: "llen", arity: 2, flags: READ_FAST, keys: &[STAT_KEY],
        usage: "key:key", since: "1.0.0",
        summary: "The length of a list.", handler: Handler::Data(llen),
        ..LIST
    },
    Row {
        name: "lrange", arity: 4, flags: READ, keys: &[READ_KEY],
        usage: "key:key start:integer stop:integer", since: "1.0.0",
        complexity: "O(S+N) where S is the distance of start offset from HEAD for small lists, \
            from nearest end (HEAD or TAIL) for large lists; and N is the number of elements in \
            the specified range.",
        summary: "The elements of a list from one index to another, both included.",
        handler: Handler::Data(lrange),
        ..LIST
    },
    Row {
        name: "lindex", arity: 3, flags: READ, keys: &[READ_KEY],
        usage: "key:key index:integer", since: "1.0.0",
        complexity: "O(N) where N is the number of elements to traverse to get to the element at \
            index.",
        summary: "The element of a list at an index.", handler: Handler::Data(lindex),
        ..LIST
    },
    Row {
        name: "lset", arity: 4, flags: GROW, keys: &[UPDATE_KEY],
        usage: "key:key index:integer element", since: "1.0.0",
        complexity: "O(N) where N is the length of the list. Setting either the first or the last \
            element of the list is O(1).",
        summary: "Replaces the element of a list at an index.", handler: Handler::Data(lset),
        ..LIST
    },
    Row {
        name: "linsert", arity: 5, flags: GROW, keys: &[INSERT_KEY],
        usage: "key:key where(BEFORE|AFTER) pivot element", since: "2.2.0",
        complexity: "O(N) where N is the number of elements to traverse before seeing the value \
            pivot.",
        summary: "Inserts an element before or after another one.", handler: Handler::Data(linsert),
        ..LIST
    },
    Row {
        name: "lrem", arity: 4, flags: WRITE, keys: &[REMOVE_KEY],
        usage: "key:key count:integer element", since: "1.0.0",
        complexity: "O(N+M) where N is the length of the list and M is the number of elements \
            removed.",
        summary: "Removes elements that equal a value, counted from the head or from the tail.",
        handler: Handler::Data(lrem),
        ..LIST
    },
    Row {
        name: "ltrim", arity: 4, flags: WRITE, keys: &[REMOVE_KEY],
        usage: "key:key start:integer stop:integer", since: "1.0.0",
        complexity: "O(N) where N is the number of elements to be removed by the operation.",
        summary: "Cuts a list down to the elements from one index to another.",
        handler: Handler::Data(ltrim),
        ..LIST
    },
    Row {
        name: "lpos", arity: -3, flags: READ, keys: &[READ_KEY],
        usage: "key:key element [RANK rank:integer] [COUNT num-matches:integer] \
            [MAXLEN len:integer]",
        since: "6.0.6",
        complexity: "O(N) where N is the number of elements in the list, for the average case.",
        summary: "Finds where in a list elements equal a value.", handler: Handler::Data(lpos),
        ..LIST
    },
    Row {
        name: "lmove", arity: 5, flags: GROW, keys: &[TAKE_KEY, INSERT_KEY.at(2)],
        usage: "source:key destination:key wherefrom(LEFT|RIGHT) whereto(LEFT|RIGHT)",
        since: "6.2.0",
        summary: "Takes an element from one end of a list and inserts it at one end of another.",
        handler: Handler::Data(lmove),
        ..LIST
    },
    Row {
        name: "rpoplpush", arity: 3, flags: GROW, keys: &[TAKE_KEY, INSERT_KEY.at(2)],
        usage: "source:key destination:key", since: "1.2.0",
        deprecated: Some(("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments")),
        summary: "Takes the last element of a list and inserts it at the head of another.",
        handler: Handler::Data(rpoplpush),
        ..LIST
    },
    Row {
        name: "lmpop", arity: -4, flags: WRITE, keys: &[TAKE_KEY.counted()],
        usage: "numkeys:integer key:key... where(LEFT|RIGHT) [COUNT count:integer]", since: "7.0.0",
        complexity: "O(N+M) where N is the number of provided keys and M is the number of elements \
            returned.",
        summary: "Takes elements from the first of several lists that is not empty.",
        handler: Handler::Data(lmpop),
        ..LIST
    },
];

/// What a push does with a key that is not there.
#[derive(Clone, Copy)]
enum Missing {
    Create,
    Ignore,
}

fn lpush(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    push(db, args, reply, End::Left, Missing::Create)
}

fn rpush(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    push(db, args, reply, End::Right, Missing::Create)
}

fn lpushx(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    push(db, args, reply, End::Left, Missing::Ignore)
}

fn rpushx(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    push(db, args, reply, End::Right, Missing::Ignore)
}

fn push(
    db: &mut Db<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
    end: End,
    missing: Missing,
) -> Result<()> {
    let key = args.next()?;
    let found = db.lookup(key);
    let len = match (found, missing) {
        (None, Missing::Ignore) => 0,
        _ => push_all(db, key, found, end, args.rest(), args.remaining())?,
    };
    reply.len(len);
    Ok(())
}

/// Pushes elements one after the other onto the list under `key`, whose entry
/// is `found`; answers how long it is then. That counts as so many changes.
fn push_all<'a>(
    db: &mut Db<'_>,
    key: &[u8],
    found: Option<Handle>,
    end: End,
    elements: impl Iterator<Item = &'a [u8]>,
    changes: usize,
) -> Result<usize> {
    let limit = db.limits().list_chunk;
    db.edit_or_create(key, found, |list: &mut List| {
        elements.for_each(|element| list.push(end, element, limit));
        Ok(Edited::Changed(pushed(end), changes, list.len()))
    })
}

/// The event of a push.
fn pushed(end: End) -> &'static str {
    match end {
        End::Left => "lpush",
        End::Right => "rpush",
    }
}

/// The event of a pop.
fn popped(end: End) -> &'static str {
    match end {
        End::Left => "lpop",
        End::Right => "rpop",
    }
}

fn lpop(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    pop(db, args, reply, End::Left)
}

fn rpop(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    pop(db, args, reply, End::Right)
}

fn pop(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>, end: End) -> Result<()> {
    if args.remaining() > 2 {
        return Err(args.wrong_arity());
    }
    let key = args.next()?;
    let count = match args.remaining() {
        0 => None,
        _ => Some(args.int_in(0..=i64::MAX, Error::NOT_POSITIVE)? as usize),
    };
    match (db.lookup(key), count) {
        (None, None) => reply.null(),
        (None, Some(_)) => reply.null_array(),
        (Some(handle), None) => take_one(db, key, handle, end, reply)?,
        (Some(handle), Some(count)) => take(db, key, handle, end, count, reply)?,
    }
    Ok(())
}

/// Takes the element at `end` and writes it.
pub fn take_one(
    db: &mut Db<'_>,
    key: &[u8],
    handle: Handle,
    end: End,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let limit = db.limits().list_chunk;
    db.edit(key, handle, |list: &mut List| {
        reply.bulk_or_null(list.peek(end));
        list.drop_end(end, 1, limit);
        Ok(Edited::Changed(popped(end), 1, ()))
    })
}

/// Takes up to `count` elements at `end` and writes them as an array, the
/// outermost first.
pub fn take(
    db: &mut Db<'_>,
    key: &[u8],
    handle: Handle,
    end: End,
    count: usize,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let limit = db.limits().list_chunk;
    db.edit(key, handle, |list: &mut List| {
        let count = count.min(list.len());
        reply.array(count);
        if count == 0 {
            return Ok(Edited::Unchanged(()));
        }
        match end {
            End::Left => write(list, 0..count, reply),
            End::Right => list.iter_rev().take(count).for_each(|e| reply.bulk(e)),
        }
        list.drop_end(end, count, limit);
        Ok(Edited::Changed(popped(end), count, ()))
    })
}

fn llen(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let list = db.read_value::<List>(args.next()?)?;
    reply.len(list.map_or(0, List::len));
    Ok(())
}

fn lrange(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    let (start, stop) = (args.int()?, args.int()?);
    let Some(list) = db.read_value::<List>(key)? else {
        reply.array(0);
        return Ok(());
    };
    let range = range(start, stop, list.len());
    reply.array(range.len());
    write(list, range, reply);
    Ok(())
}

/// Writes the elements with these indexes.
fn write(list: &List, range: std::ops::Range<usize>, reply: &mut Reply<'_>) {
    for (run, count) in list.runs(range) {
        match run.bare() {
            Some((width, bytes)) => reply.bulks_of(width, &bytes[..count * width]),
            None => run.take(count).for_each(|element| reply.bulk(element)),
        }
    }
}

/// The indexes from `start` to `stop`, both included; negative ones count
/// from the end, and what is not among so many elements is left out.
pub fn range(start: i64, stop: i64, len: usize) -> std::ops::Range<usize> {
    let len = len as i64;
    let from_left = |index: i64| if index < 0 { index + len } else { index };
    let start = from_left(start).max(0);
    let end = from_left(stop).min(len - 1) + 1;
    if start < end {
        start as usize..end as usize
    } else {
        0..0
    }
}

/// An index as it counts from the left; `None` if it is before the list.
fn index(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { index + len as i64 } else { index };
    usize::try_from(index).ok()
}

fn lindex(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let Some(list) = db.read_value::<List>(args.next()?)? else {
        reply.null();
        return Ok(());
    };
    let at = index(args.int()?, list.len());
    reply.bulk_or_null(at.and_then(|at| list.get(at)));
    Ok(())
}

fn lset(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let limit = db.limits().list_chunk;
    let key = args.next()?;
    let handle = db.lookup(key).ok_or(Error::NO_SUCH_KEY)?;
    db.edit(key, handle, |list: &mut List| {
        let at = index(args.int()?, list.len());
        match list.set(at.unwrap_or(usize::MAX), args.next()?, limit) {
            true => Ok(Edited::Changed("lset", 1, ())),
            false => Err(Error::INDEX_OUT_OF_RANGE),
        }
    })?;
    reply.ok();
    Ok(())
}

fn linsert(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let limit = db.limits().list_chunk;
    let key = args.next()?;
    let after = if args.keyword("after") {
        1
    } else if args.keyword("before") {
        0
    } else {
        return Err(Error::SYNTAX);
    };
    let (pivot, element) = (args.next()?, args.next()?);
    let Some(handle) = db.lookup(key) else {
        reply.int(0);
        return Ok(());
    };
    let len = db.edit(key, handle, |list: &mut List| {
        list.unpack_for(element.len(), limit);
        let mut found = None;
        list.search(End::Left, pivot, usize::MAX, |at| {
            found = Some(at);
            false
        });
        let Some(at) = found else {
            return Ok(Edited::Unchanged(-1));
        };
        list.insert(at + after, element, limit);
        Ok(Edited::Changed("linsert", 1, list.len() as i64))
    })?;
    reply.int(len);
    Ok(())
}

fn lrem(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let limit = db.limits().list_chunk;
    let (key, count, element) = (args.next()?, args.int()?, args.next()?);
    let Some(handle) = db.lookup(key) else {
        reply.int(0);
        return Ok(());
    };
    let (end, count) = match count {
        0 => (End::Left, usize::MAX),
        1.. => (End::Left, count as usize),
        _ => (End::Right, count.unsigned_abs() as usize),
    };
    let removed = db.edit(key, handle, |list: &mut List| {
        Ok(match list.remove_equal(end, count, element, limit) {
            0 => Edited::Unchanged(0),
            removed => Edited::Changed("lrem", removed, removed),
        })
    })?;
    reply.len(removed);
    Ok(())
}

fn ltrim(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let limit = db.limits().list_chunk;
    let key = args.next()?;
    let (start, stop) = (args.int()?, args.int()?);
    if let Some(handle) = db.lookup(key) {
        let cut = db.edit(key, handle, |list: &mut List| {
            let (len, kept) = (list.len(), range(start, stop, list.len()));
            let right = list.cut_end(End::Right, len - kept.end, limit);
            let left = list.cut_end(End::Left, kept.start, limit);
            // Redis notifies even if nothing was cut off.
            Ok(Edited::Changed("ltrim", len - list.len(), [left, right]))
        })?;
        cut.into_iter().for_each(|part| db.discard(part));
    }
    reply.ok();
    Ok(())
}

/// What LPOS is to look for.
struct Search {
    /// From which end.
    end: End,
    /// How many matches to pass over.
    skip: usize,
    /// How many matches to answer, as an array; `None` for one by itself.
    count: Option<usize>,
    /// How many elements to look at.
    within: usize,
}

impl Search {
    fn parse(mut args: Args<'_>) -> Result<Search> {
        let (mut rank, mut count, mut within) = (1, None, 0);
        while args.remaining() > 0 {
            // An option without its value is no option: a syntax error.
            let has_value = args.remaining() > 1;
            if has_value && args.keyword("rank") {
                rank = args.int()?;
                match rank {
                    0 => return Err(Error::RANK_ZERO),
                    i64::MIN => return Err(Error::MIN_OUT_OF_RANGE),
                    _ => {}
                }
            } else if has_value && args.keyword("count") {
                count = Some(args.int_in(0..=i64::MAX, Error::COUNT_NEGATIVE)?);
            } else if has_value && args.keyword("maxlen") {
                within = args.int_in(0..=i64::MAX, Error::MAXLEN_NEGATIVE)?;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        let unless_zero = |count: i64| match count {
            0 => usize::MAX,
            count => count as usize,
        };
        Ok(Search {
            end: if rank < 0 { End::Right } else { End::Left },
            skip: rank.unsigned_abs() as usize - 1,
            count: count.map(unless_zero),
            within: unless_zero(within),
        })
    }
}

fn lpos(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, element) = (args.next()?, args.next()?);
    let search = Search::parse(args)?;
    let wanted = search.count.unwrap_or(1);
    let (mut skip, mut found) = (search.skip, Vec::new());
    if let Some(list) = db.read_value::<List>(key)? {
        let len = list.len();
        list.search(search.end, element, search.within, |at| {
            if skip > 0 {
                skip -= 1;
                return true;
            }
            found.push(match search.end {
                End::Left => at,
                End::Right => len - 1 - at,
            });
            found.len() < wanted
        });
    }
    match (search.count, found.first()) {
        (Some(_), _) => {
            reply.array(found.len());
            found.iter().for_each(|&at| reply.len(at));
        }
        (None, Some(&at)) => reply.len(at),
        (None, None) => reply.null(),
    }
    Ok(())
}

fn lmove(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (from, to) = (args.next()?, args.next()?);
    let ends = (end(&mut args)?, end(&mut args)?);
    move_or_null(db, from, to, ends, reply)
}

fn rpoplpush(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (from, to) = (args.next()?, args.next()?);
    move_or_null(db, from, to, (End::Right, End::Left), reply)
}

/// LEFT or RIGHT.
pub fn end(args: &mut Args<'_>) -> Result<End> {
    if args.keyword("left") {
        Ok(End::Left)
    } else if args.keyword("right") {
        Ok(End::Right)
    } else {
        Err(Error::SYNTAX)
    }
}

fn move_or_null(
    db: &mut Db<'_>,
    from: &[u8],
    to: &[u8],
    ends: (End, End),
    reply: &mut Reply<'_>,
) -> Result<()> {
    match db.lookup(from) {
        Some(handle) => move_one(db, (from, handle), to, ends, reply),
        None => {
            reply.null();
            Ok(())
        }
    }
}

/// Moves the element at one end of the list `from` to an end of the list `to`,
/// which may be the same one, and writes it.
pub fn move_one(
    db: &mut Db<'_>,
    (from, handle): (&[u8], Handle),
    to: &[u8],
    ends: (End, End),
    reply: &mut Reply<'_>,
) -> Result<()> {
    let limit = db.limits().list_chunk;
    // The source's type counts first.
    db.value::<List>(handle)?;
    let target = db.lookup(to);
    if let Some(target) = target {
        db.value::<List>(target)?;
    }
    // The push comes first among the events, and does not count as a change of
    // its own. A list whose only element goes round never becomes empty.
    let element = if from == to {
        db.edit(from, handle, |list: &mut List| {
            let element = list.rotate(ends.0, ends.1, limit);
            Ok(Edited::Changed(pushed(ends.1), 0, element))
        })?
    } else {
        let element = db.value::<List>(handle)?.peek(ends.0);
        let element = element.unwrap_or_default().to_vec();
        push_all(db, to, target, ends.1, std::iter::once(&element[..]), 0)?;
        element
    };
    db.edit(from, handle, |list: &mut List| {
        if from != to {
            list.drop_end(ends.0, 1, limit);
        }
        Ok(Edited::Changed(popped(ends.0), 1, ()))
    })?;
    reply.bulk(&element);
    Ok(())
}

/// Takes from the first list that there is, and writes the key and the
/// elements. False if there is none.
pub fn take_first(db: &mut Db<'_>, pop: &PopFirst<'_, End>, reply: &mut Reply<'_>) -> Result<bool> {
    let Some((key, handle)) = pop_first::find::<List>(db, pop.keys)? else {
        return Ok(false);
    };
    reply.array(2);
    reply.bulk(key);
    take(db, key, handle, pop.end, pop.count, reply)?;
    Ok(true)
}

fn lmpop(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let pop = PopFirst::parse(&mut args, end)?;
    if !take_first(db, &pop, reply)? {
        reply.null_array();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Data;

    #[test]
    fn the_large_part_of_a_list_that_is_cut_off_is_freed_in_steps() {
        let mut data = Data::new();
        let elements = " 0123456789abcdef".repeat(10_000);
        (0..40).for_each(|_| data.given(&[&format!("RPUSH list{elements}")]));
        assert_eq!(data.run("LTRIM list 10 19"), "+OK");
        assert_eq!(data.run("LLEN list"), ":10");
        let waiting = data.keyspace.garbage.memory();
        assert!(waiting > 16 * 390_000, "{waiting} bytes are to be freed");
    }
}
