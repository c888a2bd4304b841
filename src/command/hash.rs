//! Hashes: fields with values under one key, such as sessions and records.
//!
//! Fields that expire are in [`super::hash_expire`].

use super::draws::{Budget, Count};
use super::scan::{ScanOptions, cursor};
use crate::db::value::{Hash, OldTime, Pair};
use crate::db::{Db, Edited, Handle};
use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::table::vocabulary::{
    ELEMENT_PAIRS, ELEMENTS, GROW_FAST, HASH, INSERT_KEY, MODIFY_KEY, READ, READ_FAST, READ_KEY,
    REMOVE_KEY, STAT_KEY, UPDATE_KEY, WRITE_FAST,
};
use crate::table::{Args, Handler, Row};
use crate::text::long_double::LongDouble;
use crate::text::number;

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "hset", arity: -4, flags: GROW_FAST, keys: &[UPDATE_KEY], elements: ELEMENT_PAIRS,
        usage: "key:key data(field value)...", since: "2.0.0",
        complexity: "O(1) for each field/value pair added, so O(N) to add N field/value pairs when \
            the command is called with multiple field/value pairs.",
        history: &[("4.0.0", "Accepts multiple `field` and `value` arguments.")],
        summary: "Sets fields of a hash, and creates it if it is missing.",
        handler: Handler::Data(hset),
        ..HASH
    },
    Row {
        name: "hmset", arity: -4, flags: GROW_FAST, keys: &[UPDATE_KEY], elements: ELEMENT_PAIRS,
        usage: "key:key data(field value)...", since: "2.0.0",
        complexity: "O(N) where N is the number of fields being set.",
        deprecated: Some(("4.0.0", "`HSET` with multiple field-value pairs")),
        summary: "Sets fields of a hash, and does not tell how many are new.",
        handler: Handler::Data(hmset),
        ..HASH
    },
    Row {
        name: "hsetnx", arity: 4, flags: GROW_FAST, keys: &[INSERT_KEY], elements: ELEMENT_PAIRS,
        usage: "key:key field value", since: "2.0.0",
        summary: "Sets a field of a hash, unless it is there.", handler: Handler::Data(hsetnx),
        ..HASH
    },
    Row {
        name: "hget", arity: 3, flags: READ_FAST, keys: &[READ_KEY], elements: ELEMENTS,
        usage: "key:key field", since: "2.0.0",
        summary: "The value of a field of a hash.", handler: Handler::Data(hget),
        ..HASH
    },
    Row {
        name: "hmget", arity: -3, flags: READ_FAST, keys: &[READ_KEY], elements: ELEMENTS,
        usage: "key:key field...", since: "2.0.0",
        complexity: "O(N) where N is the number of fields being requested.",
        summary: "The values of fields of a hash.", handler: Handler::Data(hmget),
        ..HASH
    },
    Row {
        name: "hgetall", arity: 2, flags: READ, keys: &[READ_KEY],
        usage: "key:key", tips: &["nondeterministic_output_order"], since: "2.0.0",
        complexity: "O(N) where N is the size of the hash.",
        summary: "All fields of a hash with their values.", handler: Handler::Data(hgetall),
        ..HASH
    },
    Row {
        name: "hkeys", arity: 2, flags: READ, keys: &[READ_KEY],
        usage: "key:key", tips: &["nondeterministic_output_order"], since: "2.0.0",
        complexity: "O(N) where N is the size of the hash.",
        summary: "All fields of a hash.", handler: Handler::Data(hkeys),
        ..HASH
    },
    Row {
        name: "hvals", arity: 2, flags: READ, keys: &[READ_KEY],
        usage: "key:key", tips: &["nondeterministic_output_order"], since: "2.0.0",
        complexity: "O(N) where N is the size of the hash.",
        summary: "The values of all fields of a hash.", handler: Handler::Data(hvals),
        ..HASH
    },
    Row {
        name: "hlen", arity: 2, flags: READ_FAST, keys: &[STAT_KEY],
        usage: "key:key", since: "2.0.0",
        summary: "How many fields a hash has.", handler: Handler::Data(hlen),
        ..HASH
    },
    Row {
        name: "hstrlen", arity: 3, flags: READ_FAST, keys: &[STAT_KEY], elements: ELEMENTS,
        usage: "key:key field", since: "3.2.0",
        summary: "The length of the value of a field of a hash.", handler: Handler::Data(hstrlen),
        ..HASH
    },
    Row {
        name: "hexists", arity: 3, flags: READ_FAST, keys: &[STAT_KEY], elements: ELEMENTS,
        usage: "key:key field", since: "2.0.0",
        summary: "Whether a hash has a field.", handler: Handler::Data(hexists),
        ..HASH
    },
    Row {
        name: "hdel", arity: -3, flags: WRITE_FAST, keys: &[REMOVE_KEY], elements: ELEMENTS,
        usage: "key:key field...", since: "2.0.0",
        complexity: "O(N) where N is the number of fields to be removed.",
        history: &[("2.4.0", "Accepts multiple `field` arguments.")],
        summary: "Removes fields of a hash.", handler: Handler::Data(hdel),
        ..HASH
    },
    Row {
        name: "hincrby", arity: 4, flags: GROW_FAST, keys: &[MODIFY_KEY], elements: ELEMENT_PAIRS,
        usage: "key:key field increment:integer", since: "2.0.0",
        summary: "Adds to the integer in a field of a hash; a missing one counts as 0.",
        handler: Handler::Data(hincrby),
        ..HASH
    },
    Row {
        name: "hincrbyfloat", arity: 4, flags: GROW_FAST, keys: &[MODIFY_KEY], elements: ELEMENT_PAIRS,
        usage: "key:key field increment:double", since: "2.6.0",
        summary: "Adds to the number in a field of a hash; a missing one counts as 0.",
        handler: Handler::Data(hincrbyfloat),
        ..HASH
    },
    Row {
        name: "hrandfield", arity: -2, flags: READ, keys: &[READ_KEY],
        usage: "key:key [options(count:integer [WITHVALUES])]",
        tips: &["nondeterministic_output"], since: "6.2.0",
        complexity: "O(N) where N is the number of fields returned",
        summary: "Fields of a hash that are drawn at random.",
        handler: Handler::Data(hrandfield),
        ..HASH
    },
    Row {
        name: "hscan", arity: -3, flags: READ, keys: &[READ_KEY],
        usage: "key:key cursor:integer [MATCH pattern:pattern] [COUNT count:integer] [NOVALUES]",
        tips: &["nondeterministic_output"], since: "2.8.0",
        complexity: "O(1) for every call. O(N) for a complete iteration, including enough command \
            calls for the cursor to return back to 0. N is the number of elements inside the \
            collection.",
        summary: "Walks through the fields of a hash in portions; a cursor marks the place.",
        handler: Handler::Data(hscan),
        ..HASH
    },
];

fn hset(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let new = set_pairs(db, args)?;
    reply.len(new);
    Ok(())
}

fn hmset(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    set_pairs(db, args)?;
    reply.ok();
    Ok(())
}

fn set_pairs(db: &mut Db<'_>, mut args: Args<'_>) -> Result<usize> {
    let key = args.next()?;
    if !args.remaining().is_multiple_of(2) {
        return Err(args.wrong_arity());
    }
    let found = db.lookup(key);
    set_all(db, key, found, args, OldTime::Clear)
}

/// Sets fields, each of which is followed by its value, of the hash under
/// `key`, whose entry is `found`; answers how many of them are new.
pub fn set_all(
    db: &mut Db<'_>,
    key: &[u8],
    found: Option<Handle>,
    mut pairs: Args<'_>,
    old: OldTime,
) -> Result<usize> {
    let (limits, now) = (db.limits().hash, db.now);
    let (new, result) = db.edit_or_create(key, found, |hash: &mut Hash| {
        hash.unpack_for(pairs.rest(), limits)?;
        let (mut new, mut set) = (0, 0);
        while let (Some(field), Some(value)) = (pairs.next_if_any(), pairs.next_if_any()) {
            match hash.set(field, value, old, now, limits) {
                Ok(is_new) => new += usize::from(is_new),
                // Those before it stay as they have been set.
                Err(full) if set > 0 => {
                    return Ok(Edited::Changed("hset", set, (new, Err(full.into()))));
                }
                Err(full) => return Err(full.into()),
            }
            set += 1;
        }
        Ok(Edited::Changed("hset", set, (new, Ok(()))))
    })?;
    result.map(|()| new)
}

fn hsetnx(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, pair) = (args.next()?, args);
    let (field, value) = (args.next()?, args.next()?);
    let (limits, now, found) = (db.limits().hash, db.now, db.lookup(key));
    let set = db.edit_or_create(key, found, |hash: &mut Hash| {
        if hash.get(field, now).is_some() {
            return Ok(Edited::Unchanged(false));
        }
        hash.unpack_for(pair.rest(), limits)?;
        hash.set(field, value, OldTime::Clear, now, limits)?;
        Ok(Edited::Changed("hset", 1, true))
    })?;
    reply.int(i64::from(set));
    Ok(())
}

fn hget(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, field, now) = (args.next()?, args.next()?, db.now);
    let hash = db.read_value::<Hash>(key)?;
    reply.bulk_or_null(hash.and_then(|hash| hash.get(field, now)));
    Ok(())
}

fn hmget(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let now = db.now;
    let hash = db.read_value::<Hash>(args.next()?)?;
    reply.array(args.remaining());
    for field in args.rest() {
        reply.bulk_or_null(hash.and_then(|hash| hash.get(field, now)));
    }
    Ok(())
}

fn hgetall(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let now = db.now;
    let hash = db.read_value::<Hash>(args.next()?)?;
    reply.map(hash.map_or(0, |hash| hash.len(now)));
    let pairs = hash.into_iter().flat_map(|hash| hash.iter(now));
    pairs.for_each(|(field, value)| {
        reply.bulk(field);
        reply.bulk(value);
    });
    Ok(())
}

fn hkeys(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    list(db, args, reply, |(field, _)| field)
}

fn hvals(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    list(db, args, reply, |(_, value)| value)
}

/// Replies with one string of each pair.
fn list(
    db: &mut Db<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
    part: impl for<'a> Fn(Pair<'a>) -> &'a [u8],
) -> Result<()> {
    let now = db.now;
    let hash = db.read_value::<Hash>(args.next()?)?;
    reply.array(hash.map_or(0, |hash| hash.len(now)));
    let pairs = hash.into_iter().flat_map(|hash| hash.iter(now));
    pairs.for_each(|pair| reply.bulk(part(pair)));
    Ok(())
}

fn hlen(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let now = db.now;
    let hash = db.read_value::<Hash>(args.next()?)?;
    reply.len(hash.map_or(0, |hash| hash.len(now)));
    Ok(())
}

fn hstrlen(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, field, now) = (args.next()?, args.next()?, db.now);
    let hash = db.read_value::<Hash>(key)?;
    let value = hash.and_then(|hash| hash.get(field, now));
    reply.len(value.map_or(0, <[u8]>::len));
    Ok(())
}

fn hexists(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, field, now) = (args.next()?, args.next()?, db.now);
    let hash = db.read_value::<Hash>(key)?;
    let exists = hash.is_some_and(|hash| hash.get(field, now).is_some());
    reply.int(i64::from(exists));
    Ok(())
}

fn hdel(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, now) = (args.next()?, db.now);
    let Some(handle) = db.lookup(key) else {
        reply.int(0);
        return Ok(());
    };
    let removed = db.edit(key, handle, |hash: &mut Hash| {
        match args.rest().filter(|field| hash.remove(field, now)).count() {
            0 => Ok(Edited::Unchanged(0)),
            removed => Ok(Edited::Changed("hdel", removed, removed)),
        }
    })?;
    reply.len(removed);
    Ok(())
}

fn hincrby(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, field, increment) = (args.next()?, args.next()?, args.int()?);
    let (limits, now, found) = (db.limits().hash, db.now, db.lookup(key));
    let sum = db.edit_or_create(key, found, |hash: &mut Hash| {
        let old = match hash.get(field, now) {
            Some(value) => number::parse_i64(value).ok_or(Error::HASH_NOT_AN_INTEGER)?,
            None => 0,
        };
        let sum = old.checked_add(increment).ok_or(Error::OVERFLOW)?;
        let mut text = itoa::Buffer::new();
        hash.set(
            field,
            text.format(sum).as_bytes(),
            OldTime::Keep,
            now,
            limits,
        )?;
        Ok(Edited::Changed("hincrby", 1, sum))
    })?;
    reply.int(sum);
    Ok(())
}

fn hincrbyfloat(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, field) = (args.next()?, args.next()?);
    let increment = LongDouble::parse(args.next()?).ok_or(Error::NOT_A_FLOAT)?;
    if !increment.is_finite() {
        return Err(Error::NOT_FINITE);
    }
    let (limits, now, found) = (db.limits().hash, db.now, db.lookup(key));
    let sum = db.edit_or_create(key, found, |hash: &mut Hash| {
        let old = match hash.get(field, now) {
            Some(value) => LongDouble::parse(value).ok_or(Error::HASH_NOT_A_FLOAT)?,
            None => LongDouble::ZERO,
        };
        let sum = old.add(increment).ok_or(Error::NAN_OR_INFINITY)?;
        let text = sum.to_string();
        hash.set(field, text.as_bytes(), OldTime::Keep, now, limits)?;
        Ok(Edited::Changed("hincrbyfloat", 1, text))
    })?;
    reply.bulk(sum.as_bytes());
    Ok(())
}

fn hrandfield(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    if args.remaining() > 0 {
        return draw_many(db, key, args, reply);
    }
    let (mut rng, now) = (db.rng().fork(), db.now);
    match db.read_value::<Hash>(key)? {
        Some(hash) => hash.draw(1, now, &mut rng, |(field, _)| {
            reply.bulk(field);
            Ok(())
        }),
        None => {
            reply.null();
            Ok(())
        }
    }
}

/// HRANDFIELD with a count.
fn draw_many(db: &mut Db<'_>, key: &[u8], mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let count = Count::parse(&mut args)?;
    let with_values = args.remaining() > 0;
    if with_values && !args.keyword("withvalues") {
        return Err(Error::SYNTAX);
    }
    args.end()?;
    let (Count::Different(number) | Count::Any(number)) = count;
    // What RESP2 lists is twice as many then.
    if with_values && number > i64::MAX as usize / 2 {
        return Err(Error::OUT_OF_RANGE);
    }
    let (mut rng, now, string_max) = (db.rng().fork(), db.now, db.limits().string);
    let hash = db.read_value::<Hash>(key)?;
    let Some(hash) = hash.filter(|_| number > 0) else {
        reply.array(0);
        return Ok(());
    };
    let nested = with_values && reply.is_resp3();
    let begin = |count: usize, reply: &mut Reply<'_>| match with_values && !nested {
        true => reply.array(count * 2),
        false => reply.array(count),
    };
    let write = |(field, value): Pair<'_>, reply: &mut Reply<'_>| {
        if nested {
            reply.array(2);
        }
        reply.bulk(field);
        if with_values {
            reply.bulk(value);
        }
    };
    let len = hash.len(now);
    match count {
        Count::Any(count) => {
            let mut budget = Budget::new(count, string_max)?;
            begin(count, reply);
            return hash.draw(count, now, &mut rng, |(field, value)| {
                let more = if with_values { value.len() } else { 0 };
                budget.spend(field.len() + more)?;
                write((field, value), reply);
                Ok(())
            });
        }
        Count::Different(count) if count >= len => {
            begin(len, reply);
            hash.iter(now).for_each(|pair| write(pair, reply));
        }
        Count::Different(count) => {
            begin(count, reply);
            hash.draw_distinct(count, now, &mut rng, |pair| write(pair, reply));
        }
    }
    Ok(())
}

fn hscan(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, now) = (args.next()?, db.now);
    let cursor = cursor(args.next()?)?;
    let hash = db.read_value::<Hash>(key)?;
    let (mut options, mut with_values) = (ScanOptions::default(), true);
    let mut next = 0;
    let mut found = Vec::new();
    // Where there is no hash, nobody reads the options.
    if let Some(hash) = hash {
        while args.remaining() > 0 {
            match args.keyword("novalues") {
                true => with_values = false,
                false => options.take(&mut args)?,
            }
        }
        next = hash.scan(cursor, options.count, now, |(field, value)| {
            if options.matches(field) {
                found.push(field);
                if with_values {
                    found.push(value);
                }
            }
        });
    }
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    reply.bulks(found.iter());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use crate::testing::Data;

    /// One HSCAN: where to go on, and the fields.
    fn scan(data: &mut Data, cursor: &str, options: &str) -> (String, Vec<String>) {
        let reply = data.run(&format!("HSCAN h {cursor} NOVALUES{options}"));
        let words: Vec<&str> = reply.split(' ').collect();
        let fields = words[4..].iter().skip(1).step_by(2);
        (
            words[2].to_owned(),
            fields.map(|&field| field.to_owned()).collect(),
        )
    }

    #[test]
    fn a_scan_answers_what_is_there_all_the_time_exactly_once() {
        for (start, grows) in [(2_000, true), (20_000, false), (500, true)] {
            let mut data = Data::new();
            let mut rng = fastrand::Rng::with_seed(start);
            let mut there: BTreeSet<u64> = (0..start).collect();
            for n in 0..start {
                data.run(&format!("HSET h f{n} v"));
            }
            let mut stays = there.clone();
            let mut seen = BTreeMap::<String, usize>::new();
            let mut cursor = "0".to_owned();
            loop {
                let fields;
                (cursor, fields) = scan(&mut data, &cursor, " COUNT 20");
                fields
                    .into_iter()
                    .for_each(|field| *seen.entry(field).or_default() += 1);
                if cursor == "0" {
                    break;
                }
                for _ in 0..if grows { 60 } else { 30 } {
                    let n = rng.u64(..start * 8);
                    if grows && there.insert(n) {
                        data.run(&format!("HSET h f{n} v"));
                    } else if !grows && let Some(&n) = there.range(n / 8..).next() {
                        data.run(&format!("HDEL h f{n}"));
                        there.remove(&n);
                        stays.remove(&n);
                    }
                }
            }
            for n in &stays {
                assert_eq!(seen.get(&format!("f{n}")), Some(&1), "f{n} of {start}");
            }
            assert!(seen.values().all(|&times| times == 1));
            assert!(stays.len() > 100, "{} have stayed", stays.len());
        }
    }

    #[test]
    fn a_huge_count_is_bounded_and_asks_for_nothing_of_what_is_not_there() {
        let mut data = Data::new();
        data.given(&["HSET h f v"]);
        for count in ["-4611686018427387905", "-9223372036854775807", "-16777217"] {
            let reply = data.run(&format!("HRANDFIELD h {count}"));
            assert_eq!(reply, "-ERR value is out of range", "{count}");
            assert_eq!(
                data.run(&format!("HRANDFIELD missing {count}")),
                "*0",
                "{count}"
            );
        }
        assert!(
            data.run("HRANDFIELD h -100000")
                .starts_with("*100000 $1 f $1 f ")
        );
    }

    #[test]
    fn each_change_has_its_events_in_redis_order() {
        let mut data = Data::new();
        for (line, events) in [
            ("HSET h f v g w", "new hset"),
            ("HSET h f v", "hset"),
            ("HMSET h f v", "hset"),
            ("HSETNX h f v", ""),
            ("HSETNX h x 1", "hset"),
            ("HSETNX other x 1", "new hset"),
            ("HINCRBY h x 1", "hincrby"),
            ("HINCRBY h f 1", ""),
            ("HINCRBY fresh x 1", "new hincrby"),
            ("HINCRBYFLOAT h x 1.5", "hincrbyfloat"),
            ("HDEL h missing", ""),
            ("HDEL h f missing", "hdel"),
            ("HDEL missing f", ""),
            ("HDEL h g x", "hdel del"),
            ("HGET h f", "keymiss"),
            ("HLEN h", "keymiss"),
            ("HSCAN h 0", "keymiss"),
            ("HRANDFIELD h", "keymiss"),
        ] {
            data.run(line);
            assert_eq!(data.events(), events, "{line}");
        }
    }

    #[test]
    fn changes_are_counted_as_redis_counts_them() {
        let mut data = Data::new();
        for (line, changes) in [
            ("HSET h f v f v g w", 3),
            ("HMSET h f v", 1),
            ("HSETNX h f v", 0),
            ("HSETNX h x 1", 1),
            ("HINCRBY h x 1", 1),
            ("HINCRBYFLOAT h x 1", 1),
            ("HDEL h f f missing", 1),
            ("HDEL h g x", 2),
        ] {
            let before = data.keyspace.journal.dirty;
            data.run(line);
            assert_eq!(data.keyspace.journal.dirty - before, changes, "{line}");
        }
    }

    #[test]
    fn the_large_hash_that_is_removed_is_freed_in_steps() {
        for line in ["DEL h", "SET h v", "RENAME other h"] {
            let mut data = Data::new();
            data.given(&["SET other v"]);
            for n in 0..100_000 {
                data.run(&format!("HSET h field:{n} value"));
            }
            data.given(&[line]);
            let waiting = data.keyspace.garbage.memory();
            assert!(
                waiting > 2_000_000,
                "{line}: {waiting} bytes are to be freed"
            );
            assert!(data.keyspace.garbage.free_some(10), "{line}");
        }
    }
}
