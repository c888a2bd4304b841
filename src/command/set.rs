//! Sets: members without an order, each of them once.
//!
//! Commands on several sets at once are in [`super::set_combine`].

use crate::command::draws::{Budget, Count};
use crate::command::scan::{ScanOptions, cursor};
use crate::db::value::{Digits, Member, Set, SetRef, Viewed};
use crate::db::{Db, Edited, Handle};
use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::table::vocabulary::{
    ELEMENTS, GROW_FAST, INSERT_KEY, READ, READ_FAST, READ_KEY, REMOVE_KEY, SET, STAT_KEY,
    TAKE_KEY, WRITE_FAST,
};
use crate::table::{Args, Handler, Row};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "sadd", arity: -3, flags: GROW_FAST, keys: &[INSERT_KEY], elements: ELEMENTS,
        usage: "key:key member...", since: "1.0.0",
        complexity: "O(1) for each element added, so O(N) to add N elements when the command is \
            called with multiple arguments.",
        history: &[("2.4.0", "Accepts multiple `member` arguments.")],
        summary: "Adds members to a set, and creates it if it is missing.",
        handler: Handler::Data(sadd),
        ..SET
    },
    Row {
        name: "srem", arity: -3, flags: WRITE_FAST, keys: &[REMOVE_KEY], elements: ELEMENTS,
        usage: "key:key member...", since: "1.0.0",
        complexity: "O(N) where N is the number of members to be removed.",
        history: &[("2.4.0", "Accepts multiple `member` arguments.")],
        summary: "Removes members from a set.", handler: Handler::Data(srem),
        ..SET
    },
    Row {
        name: "smembers", arity: 2, flags: READ, keys: &[READ_KEY],
        usage: "key:key", tips: &["nondeterministic_output_order"], since: "1.0.0",
        complexity: "O(N) where N is the set cardinality.",
        summary: "All members of a set.", handler: Handler::Data(smembers),
        ..SET
    },
    Row {
        name: "sismember", arity: 3, flags: READ_FAST, keys: &[STAT_KEY], elements: ELEMENTS,
        usage: "key:key member", since: "1.0.0",
        summary: "Whether a set has a member.", handler: Handler::Data(sismember),
        ..SET
    },
    Row {
        name: "smismember", arity: -3, flags: READ_FAST, keys: &[READ_KEY], elements: ELEMENTS,
        usage: "key:key member...", since: "6.2.0",
        complexity: "O(N) where N is the number of elements being checked for membership",
        summary: "Which of several members a set has.", handler: Handler::Data(smismember),
        ..SET
    },
    Row {
        name: "scard", arity: 2, flags: READ_FAST, keys: &[STAT_KEY],
        usage: "key:key", since: "1.0.0",
        summary: "How many members a set has.", handler: Handler::Data(scard),
        ..SET
    },
    Row {
        name: "spop", arity: -2, flags: WRITE_FAST, keys: &[TAKE_KEY],
        usage: "key:key [count:integer@3.2.0]", tips: &["nondeterministic_output"],
        since: "1.0.0",
        complexity: "Without the count argument O(1), otherwise O(N) where N is the value of the \
            passed count.",
        history: &[("3.2.0", "Added the `count` argument.")],
        summary: "Takes members out of a set at random, and deletes it with the last one.",
        handler: Handler::Data(spop),
        ..SET
    },
    Row {
        name: "srandmember", arity: -2, flags: READ, keys: &[READ_KEY],
        usage: "key:key [count:integer@2.6.0]", tips: &["nondeterministic_output"],
        since: "1.0.0",
        complexity: "Without the count argument O(1), otherwise O(N) where N is the absolute \
            value of the passed count.",
        history: &[("2.6.0", "Added the optional `count` argument.")],
        summary: "Members of a set at random; a negative count may answer one more than once.",
        handler: Handler::Data(srandmember),
        ..SET
    },
    Row {
        name: "smove", arity: 4, flags: WRITE_FAST, keys: &[TAKE_KEY, INSERT_KEY.at(2)],
        usage: "source:key destination:key member", since: "1.0.0",
        summary: "Moves a member from one set to another.", handler: Handler::Data(smove),
        ..SET
    },
    Row {
        name: "sscan", arity: -3, flags: READ, keys: &[READ_KEY],
        usage: "key:key cursor:integer [MATCH pattern:pattern] [COUNT count:integer]",
        tips: &["nondeterministic_output"], since: "2.8.0",
        complexity: "O(1) for every call. O(N) for a complete iteration, including enough command \
            calls for the cursor to return back to 0. N is the number of elements inside the \
            collection.",
        summary: "Walks through the members of a set in portions; a cursor marks the place.",
        handler: Handler::Data(sscan),
        ..SET
    },
];

/// Writes a member.
pub fn write(member: Member<'_>, reply: &mut Reply<'_>) {
    reply.bulk(member.bytes(&mut Digits::new()));
}

/// Writes all members of a set.
pub fn write_set(set: SetRef<'_>, reply: &mut Reply<'_>) {
    reply.set(set.len());
    set.iter().for_each(|member| write(member, reply));
}

fn sadd(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let limits = db.limits().set;
    let key = args.next()?;
    let (first, count) = (args.peek().unwrap_or_default(), args.remaining());
    let found = db.lookup(key);
    let added = db.edit_or_create(key, found, |set: &mut Set| {
        match found {
            Some(_) => set.make_ready(count, limits)?,
            None => *set = Set::for_members(first, count, limits),
        }
        let mut added = 0;
        for member in args.rest() {
            match set.add(member, limits) {
                Ok(is_new) => added += usize::from(is_new),
                // What has been added stays, and is told of.
                Err(_) if added > 0 => {
                    return Ok(Edited::Changed("sadd", added, Err(Error::OUT_OF_MEMORY)));
                }
                Err(full) => return Err(full.into()),
            }
        }
        Ok(match added {
            0 => Edited::Unchanged(Ok(0)),
            _ => Edited::Changed("sadd", added, Ok(added)),
        })
    })?;
    reply.len(added?);
    Ok(())
}

fn srem(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    let Some(handle) = db.lookup(key) else {
        reply.int(0);
        return Ok(());
    };
    let removed = db.edit(key, handle, |set: &mut Set| {
        let removed = args.rest().filter(|member| set.remove(member)).count();
        Ok(match removed {
            0 => Edited::Unchanged(0),
            _ => Edited::Changed("srem", removed, removed),
        })
    })?;
    reply.len(removed);
    Ok(())
}

fn smembers(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    match db.read_value::<Set>(args.next()?)? {
        Some(set) => write_set(set, reply),
        None => reply.set(0),
    }
    Ok(())
}

fn sismember(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let set = db.read_value::<Set>(args.next()?)?;
    let member = args.next()?;
    reply.int(set.is_some_and(|set| set.contains(member)).into());
    Ok(())
}

fn smismember(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let set = db.read_value::<Set>(args.next()?)?;
    reply.array(args.remaining());
    for member in args.rest() {
        reply.int(set.is_some_and(|set| set.contains(member)).into());
    }
    Ok(())
}

fn scard(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let set = db.read_value::<Set>(args.next()?)?;
    reply.len(set.map_or(0, SetRef::len));
    Ok(())
}

fn spop(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    if args.remaining() > 1 {
        return Err(Error::SYNTAX);
    }
    let count = match args.remaining() {
        0 => None,
        _ => Some(args.int_in(0..=i64::MAX, Error::NOT_POSITIVE)? as usize),
    };
    match (db.lookup(key), count) {
        (None, None) => reply.null(),
        (None, Some(_)) => reply.set(0),
        (Some(handle), None) => pop_one(db, key, handle, reply)?,
        (Some(handle), Some(count)) => pop_some(db, key, handle, count, reply)?,
    }
    Ok(())
}

fn pop_one(db: &mut Db<'_>, key: &[u8], handle: Handle, reply: &mut Reply<'_>) -> Result<()> {
    let mut rng = db.rng().fork();
    db.edit(key, handle, |set: &mut Set| {
        set.pop(|n| rng.usize(..n), |member| write(member, reply));
        Ok(Edited::Changed("spop", 1, ()))
    })
}

/// Takes up to `count` members and writes them.
fn pop_some(
    db: &mut Db<'_>,
    key: &[u8],
    handle: Handle,
    count: usize,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let limits = db.limits().set;
    let mut rng = db.rng().fork();
    let rest = db.edit(key, handle, |set: &mut Set| {
        let count = count.min(set.view().len());
        let rest = if count == 0 {
            reply.set(0);
            return Ok(Edited::Unchanged(Set::default()));
        } else if count == set.view().len() {
            write_set(set.view(), reply);
            std::mem::take(set)
        } else {
            reply.set(count);
            let each = |member: Member<'_>| write(member, reply);
            set.pop_some(count, limits, |n| rng.usize(..n), each)?
        };
        Ok(Edited::Changed("spop", count, rest))
    })?;
    db.discard(rest);
    Ok(())
}

fn srandmember(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    if args.remaining() > 1 {
        return Err(Error::SYNTAX);
    }
    let count = match args.remaining() {
        0 => None,
        _ => Some(Count::parse(&mut args)?),
    };
    let string_max = db.limits().string;
    let mut rng = db.rng().fork();
    let mut random = |n| rng.usize(..n);
    match (db.read_value::<Set>(key)?, count) {
        (None, None) => reply.null(),
        (None, Some(_)) => reply.array(0),
        (Some(set), None) => write(one(set, random), reply),
        (Some(set), Some(Count::Different(count))) => {
            let count = count.min(set.len());
            reply.array(count);
            set.sample(count, random, |member| write(member, reply));
        }
        (Some(set), Some(Count::Any(count))) => {
            let mut budget = Budget::new(count, string_max)?;
            reply.array(count);
            // To find the n-th of those that are packed takes a walk.
            let packed: Vec<_> = match set {
                SetRef::Table(_) => Vec::new(),
                _ => set.iter().collect(),
            };
            for _ in 0..count {
                let member = match packed.len() {
                    0 => one(set, &mut random),
                    len => packed[random(len)],
                };
                budget.spend(member.bytes(&mut Digits::new()).len())?;
                write(member, reply);
            }
        }
    }
    Ok(())
}

/// Any member.
fn one<'a>(set: SetRef<'a>, random: impl FnMut(usize) -> usize) -> Member<'a> {
    set.random(random).expect("no key holds an empty set")
}

fn smove(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (from, to, member) = (args.next()?, args.next()?, args.next()?);
    let (source, target) = (db.lookup(from), db.lookup(to));
    let Some(source) = source else {
        reply.int(0);
        return Ok(());
    };
    let is_member = db.value::<Set>(source)?.contains(member);
    if let Some(target) = target {
        db.value::<Set>(target)?;
    }
    reply.int(is_member.into());
    if from == to || !is_member {
        return Ok(());
    }
    db.edit(from, source, |set: &mut Set| {
        set.remove(member);
        Ok(Edited::Changed("srem", 1, ()))
    })?;
    let moved = add_one(db, to, target, member);
    if moved.is_err() {
        // There is no room for it, so that it goes back to where there was.
        let source = db.lookup(from);
        add_one(db, from, source, member)?;
    }
    moved
}

/// Adds a member to the set under `key`, whose entry is `found`.
fn add_one(db: &mut Db<'_>, key: &[u8], found: Option<Handle>, member: &[u8]) -> Result<()> {
    let limits = db.limits().set;
    db.edit_or_create(key, found, |set: &mut Set| {
        if found.is_none() {
            *set = Set::for_members(member, 1, limits);
        }
        Ok(match set.add(member, limits)? {
            true => Edited::Changed("sadd", 1, ()),
            false => Edited::Unchanged(()),
        })
    })
}

fn sscan(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    let cursor = cursor(args.next()?)?;
    let set = db.read_value::<Set>(key)?;
    reply.array(2);
    let Some(set) = set else {
        // Nobody looks at the options then.
        reply.bulk(b"0");
        reply.array(0);
        return Ok(());
    };
    let mut options = ScanOptions::default();
    while args.remaining() > 0 {
        options.take(&mut args)?;
    }
    let mut found = Vec::new();
    let next = set.scan(cursor, options.count, |member| {
        if options.matches(member.bytes(&mut Digits::new())) {
            found.push(member);
        }
    });
    reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    reply.array(found.len());
    found.into_iter().for_each(|member| write(member, reply));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::testing::Data;

    /// The strings of a reply, but for the lengths before them.
    fn strings(reply: &str) -> Vec<&str> {
        let words = reply.split(' ').skip(1).collect::<Vec<_>>();
        words.chunks_exact(2).map(|pair| pair[1]).collect()
    }

    fn add(data: &mut Data, key: &str, members: impl Iterator<Item = String>) {
        for member in members {
            data.given(&[&format!("SADD {key} {member}")]);
        }
    }

    #[test]
    fn a_scan_answers_what_is_there_all_the_time_once() {
        let mut rng = fastrand::Rng::with_seed(11);
        for round in 0..30 {
            let mut data = Data::new();
            let staying = rng.usize(1..300);
            add(&mut data, "s", (0..staying).map(|n| format!("stays:{n}")));
            add(
                &mut data,
                "s",
                (0..rng.usize(..400)).map(|n| format!("goes:{n}")),
            );
            let (mut cursor, mut found, mut calls) = ("0".to_owned(), Vec::new(), 0);
            loop {
                let reply = data.run(&format!("SSCAN s {cursor} COUNT {}", rng.usize(1..120)));
                let words: Vec<_> = reply.split(' ').collect();
                cursor = words[2].to_owned();
                let names = words[4..].chunks_exact(2).map(|pair| pair[1].to_owned());
                found.extend(names.filter(|name| name.starts_with("stays")));
                calls += 1;
                if cursor == "0" {
                    break;
                }
                // It grows in every other round, and shrinks in the others.
                let others = calls * 1000..calls * 1000 + rng.usize(..200);
                match round % 2 {
                    0 => add(&mut data, "s", others.map(|n| format!("comes:{n}"))),
                    _ => (0..50)
                        .for_each(|n| data.given(&[&format!("SREM s goes:{}", calls * 50 + n)])),
                }
            }
            let distinct: BTreeSet<_> = found.iter().collect();
            assert_eq!((found.len(), distinct.len()), (staying, staying));
            assert!(calls < 1000, "{calls} calls");
        }
    }

    #[test]
    fn a_scan_with_a_pattern_looks_as_far_as_one_without() {
        let mut data = Data::new();
        add(&mut data, "s", (0..1000).map(|n| format!("m{n}")));
        let reply = data.run("SSCAN s 0 COUNT 2000 MATCH *99");
        assert!(reply.starts_with("*2 $1 0 *10 "), "{reply}");
        let reply = data.run("SSCAN s 0 COUNT 10 MATCH nothing");
        assert!(
            reply.starts_with("*2 $") && reply.ends_with(" *0"),
            "{reply}"
        );
        assert!(!reply.starts_with("*2 $1 0 "), "{reply}");
        let all = data.run(&format!("SSCAN s 0 COUNT {}", i64::MAX));
        assert!(all.starts_with("*2 $1 0 *1000 "), "{all}");
    }

    #[test]
    fn a_count_asks_for_no_endless_reply() {
        let mut data = Data::new();
        data.given(&["SADD s 1 2 3"]);
        let refused = "-ERR value is out of range";
        for count in [-4611686018427387905, -i64::MAX, -1 << 25] {
            assert_eq!(data.run(&format!("SRANDMEMBER s {count}")), refused);
        }
        assert!(data.run("SRANDMEMBER s -100000").starts_with("*100000 "));
        data.keyspace.limits.string = 10_000;
        data.given(&[&format!("SADD long {}", "x".repeat(1000))]);
        assert_eq!(data.run("SRANDMEMBER long -10"), refused);
        assert!(data.run("SRANDMEMBER long -9").starts_with("*9 "));
        assert_eq!(data.run("SRANDMEMBER none -100000"), "*0");
        data.given(&["SET string v"]);
        let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        assert_eq!(data.run("SRANDMEMBER string -4611686018427387905"), wrong);
    }

    #[test]
    fn what_is_drawn_or_popped_is_there_and_once_if_it_is_to_be() {
        for len in [3, 100, 600, 3000] {
            let mut data = Data::new();
            let members: BTreeSet<_> = (0..len).map(|n| format!("m{n}")).collect();
            add(&mut data, "s", members.iter().cloned());
            for count in [1, len / 3, len - 1, len, len + 1] {
                let reply = data.run(&format!("SRANDMEMBER s {count}"));
                let drawn: BTreeSet<_> = strings(&reply).into_iter().collect();
                assert_eq!(drawn.len(), count.min(len));
                assert!(drawn.iter().all(|member| members.contains(*member)));
                assert!(reply.starts_with(&format!("*{}", count.min(len))));
                let reply = data.run(&format!("SRANDMEMBER s -{count}"));
                assert_eq!(strings(&reply).len(), count);
            }
            let mut left = members.clone();
            for count in [1, len / 100, len / 3, len, 1] {
                let reply = data.run(&format!("SPOP s {count}"));
                for member in strings(&reply) {
                    assert!(left.remove(member), "{member}");
                }
                assert_eq!(data.run("SCARD s"), format!(":{}", left.len()));
            }
            assert_eq!(data.run("EXISTS s"), ":0");
        }
    }

    #[test]
    fn a_large_set_that_is_popped_is_freed_in_steps() {
        for (count, left) in [(300_000, 0), (299_990, 10)] {
            let mut data = Data::new();
            add(&mut data, "s", (0..300_000).map(|n| format!("member:{n}")));
            data.answer(&format!("SPOP s {count}"));
            assert_eq!(data.run("SCARD s"), format!(":{left}"));
            let waiting = data.keyspace.garbage.memory();
            assert!(waiting > 5_000_000, "{waiting} bytes are to be freed");
        }
    }

    #[test]
    fn a_conversion_is_kept_even_if_no_member_is_new() {
        let mut data = Data::new();
        data.given(&["SADD s a"]);
        let many = " a".repeat(129);
        assert_eq!(data.run(&format!("SADD s{many}")), ":0");
        assert_eq!(data.events(), "");
        assert_eq!(data.run("OBJECT ENCODING s"), "$9 hashtable");
    }

    #[test]
    fn a_member_that_finds_no_room_stays_where_it_is() {
        let mut data = Data::new();
        let long = |name: &str| format!("{name}{}", "x".repeat(60));
        add(&mut data, "from", (0..4).map(|n| long(&n.to_string())));
        let before = data.run("SMEMBERS from");
        data.keyspace.databases[0].add_no_page();
        let mut keys = 0;
        // Until the pages are full, and one more would be needed.
        while !data
            .run(&format!("SMOVE from to{keys} {}", long("0")))
            .starts_with("-OOM")
        {
            data.given(&[&format!("SMOVE to{keys} from {}", long("0"))]);
            data.given(&[&format!("SET {keys}{} {}", long(""), long(""))]);
            keys += 1;
            assert!(keys < 100_000);
        }
        assert_eq!(data.run(&format!("SISMEMBER from {}", long("0"))), ":1");
        assert_eq!(data.run("SMEMBERS from").len(), before.len());
    }
}
