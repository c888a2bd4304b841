//! Fields of hashes that expire, of Redis 7.4, and what reads or sets fields
//! together with the time that they have left, of Redis 8.0.
//!
//! A field whose time has come is not there for any command. It is removed when
//! somebody uses the hash, or by the engine's upkeep, whichever is first.

use super::expire::Conditions;
use super::hash::set_all;
use crate::db::value::{Hash, HashRef, OldTime};
use crate::db::{Db, Edited, Handle};
use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::table::vocabulary::{
    GROW_FAST, HASH, MODIFY_KEY, READ_FAST, READ_KEY, TAKE_KEY, UPDATE_KEY, WRITE_FAST,
};
use crate::table::{Args, Handler, Row, Unit};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "hexpire", arity: -6, flags: GROW_FAST, keys: &[UPDATE_KEY],
        usage: "key:key seconds:integer [condition(NX|XX|GT|LT)] \
            FIELDS fields(numfields:integer field...)",
        since: "7.4.0", complexity: "O(N) where N is the number of specified fields",
        summary: "Lets fields of a hash live for so many seconds from now.",
        handler: Handler::Data(hexpire),
        ..HASH
    },
    Row {
        name: "hpexpire", arity: -6, flags: GROW_FAST, keys: &[UPDATE_KEY],
        usage: "key:key milliseconds:integer [condition(NX|XX|GT|LT)] \
            FIELDS fields(numfields:integer field...)",
        since: "7.4.0", complexity: "O(N) where N is the number of specified fields",
        summary: "Lets fields of a hash live for so many milliseconds from now.",
        handler: Handler::Data(hpexpire),
        ..HASH
    },
    Row {
        name: "hexpireat", arity: -6, flags: GROW_FAST, keys: &[UPDATE_KEY],
        usage: "key:key unix-time-seconds:unix-time [condition(NX|XX|GT|LT)] \
            FIELDS fields(numfields:integer field...)",
        since: "7.4.0", complexity: "O(N) where N is the number of specified fields",
        summary: "Lets fields of a hash live until a Unix time in seconds.",
        handler: Handler::Data(hexpireat),
        ..HASH
    },
    Row {
        name: "hpexpireat", arity: -6, flags: GROW_FAST, keys: &[UPDATE_KEY],
        usage: "key:key unix-time-milliseconds:unix-time [condition(NX|XX|GT|LT)] \
            FIELDS fields(numfields:integer field...)",
        since: "7.4.0", complexity: "O(N) where N is the number of specified fields",
        summary: "Lets fields of a hash live until a Unix time in milliseconds.",
        handler: Handler::Data(hpexpireat),
        ..HASH
    },
    Row {
        name: "httl", arity: -5, flags: READ_FAST, keys: &[READ_KEY],
        usage: "key:key FIELDS fields(numfields:integer field...)",
        tips: &["nondeterministic_output"], since: "7.4.0",
        complexity: "O(N) where N is the number of specified fields",
        summary: "The seconds that fields of a hash have left to live.",
        handler: Handler::Data(httl),
        ..HASH
    },
    Row {
        name: "hpttl", arity: -5, flags: READ_FAST, keys: &[READ_KEY],
        usage: "key:key FIELDS fields(numfields:integer field...)",
        tips: &["nondeterministic_output"], since: "7.4.0",
        complexity: "O(N) where N is the number of specified fields",
        summary: "The milliseconds that fields of a hash have left to live.",
        handler: Handler::Data(hpttl),
        ..HASH
    },
    Row {
        name: "hexpiretime", arity: -5, flags: READ_FAST, keys: &[READ_KEY],
        usage: "key:key FIELDS fields(numfields:integer field...)", since: "7.4.0",
        complexity: "O(N) where N is the number of specified fields",
        summary: "The Unix time in seconds at which fields of a hash expire.",
        handler: Handler::Data(hexpiretime),
        ..HASH
    },
    Row {
        name: "hpexpiretime", arity: -5, flags: READ_FAST, keys: &[READ_KEY],
        usage: "key:key FIELDS fields(numfields:integer field...)", since: "7.4.0",
        complexity: "O(N) where N is the number of specified fields",
        summary: "The Unix time in milliseconds at which fields of a hash expire.",
        handler: Handler::Data(hpexpiretime),
        ..HASH
    },
    Row {
        name: "hpersist", arity: -5, flags: WRITE_FAST, keys: &[UPDATE_KEY],
        usage: "key:key FIELDS fields(numfields:integer field...)", since: "7.4.0",
        complexity: "O(N) where N is the number of specified fields",
        summary: "Takes the expiry off fields of a hash.", handler: Handler::Data(hpersist),
        ..HASH
    },
    Row {
        name: "hgetdel", arity: -5, flags: WRITE_FAST, keys: &[TAKE_KEY],
        usage: "key:key FIELDS fields(numfields:integer field...)", since: "8.0.0",
        complexity: "O(N) where N is the number of specified fields",
        summary: "Takes fields out of a hash and answers their values.",
        handler: Handler::Data(hgetdel),
        ..HASH
    },
    Row {
        name: "hgetex", arity: -5, flags: WRITE_FAST,
        keys: &[MODIFY_KEY.noted("RW and UPDATE because it changes the TTL")],
        usage: "key:key [expiration(EX seconds:integer | PX milliseconds:integer \
            | EXAT unix-time-seconds:unix-time | PXAT unix-time-milliseconds:unix-time | PERSIST)] \
            FIELDS fields(numfields:integer field...)",
        since: "8.0.0", complexity: "O(N) where N is the number of specified fields",
        summary: "The values of fields of a hash, whose expiry can be changed with it.",
        handler: Handler::Data(hgetex),
        ..HASH
    },
    Row {
        name: "hsetex", arity: -6, flags: GROW_FAST, keys: &[UPDATE_KEY],
        usage: "key:key [condition(FNX|FXX)] [expiration(EX seconds:integer \
            | PX milliseconds:integer | EXAT unix-time-seconds:unix-time \
            | PXAT unix-time-milliseconds:unix-time | KEEPTTL)] \
            FIELDS fields(numfields:integer data(field value)...)",
        since: "8.0.0", complexity: "O(N) where N is the number of fields being set.",
        summary: "Sets fields of a hash together with their expiry.",
        handler: Handler::Data(hsetex),
        ..HASH
    },
];

/// What a command answers of a field that is not there.
const NO_FIELD: i64 = -2;
/// Of one that does not expire.
const NO_EXPIRY: i64 = -1;
/// Of one that a condition has spared.
const SPARED: i64 = 0;
/// Of one that has changed as it was asked for.
const DONE: i64 = 1;
/// Of one that is gone because its time had come.
const DELETED: i64 = 2;

/// The latest time, in milliseconds since 1970: Redis keeps 46 bits.
const LATEST: i64 = (1 << 46) - 1;

/// Reads `FIELDS numfields field…`, with nothing behind it; answers the cursor
/// before the fields. `error` tells that their number is none.
fn fields<'a>(mut args: Args<'a>, error: Error) -> Result<Args<'a>> {
    if !args.keyword("fields") {
        return Err(Error::FIELDS_MISSING);
    }
    let count = args.int_in(1..=i64::MAX, error)?;
    if count != args.remaining() as i64 {
        return Err(Error::NUMFIELDS_DIFFERS);
    }
    Ok(args)
}

/// Reads a time at which fields are to go.
fn time(args: &mut Args<'_>, unit: Unit, now: i64) -> Result<i64> {
    let number = args.int()?;
    if number < 0 {
        return Err(Error::EXPIRE_NEGATIVE);
    }
    let at = unit.point(number, now).filter(|&at| at <= LATEST);
    at.ok_or_else(|| args.invalid_expire())
}

/// The entry of a hash that is to be changed. Redis looks at its type before it
/// reads the rest of the request.
fn lookup(db: &mut Db<'_>, key: &[u8]) -> Result<Option<Handle>> {
    let found = db.lookup(key);
    if let Some(handle) = found {
        db.value::<Hash>(handle)?;
    }
    Ok(found)
}

/// Replies the same of all fields.
fn same_of_all(reply: &mut Reply<'_>, fields: Args<'_>, of_each: impl Fn(&mut Reply<'_>)) {
    reply.array(fields.remaining());
    fields.rest().for_each(|_| of_each(reply));
}

fn hexpire(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    set_times(db, args, reply, Unit::Seconds)
}

fn hpexpire(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    set_times(db, args, reply, Unit::Milliseconds)
}

fn hexpireat(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    set_times(db, args, reply, Unit::UnixSeconds)
}

fn hpexpireat(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    set_times(db, args, reply, Unit::UnixMilliseconds)
}

fn set_times(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>, unit: Unit) -> Result<()> {
    let (key, now) = (args.next()?, db.now);
    let found = lookup(db, key)?;
    let at = time(&mut args, unit, now)?;
    let conditions = Conditions::take_one(&mut args);
    let fields = fields(args, Error::NUMFIELDS_NOT_POSITIVE)?;
    let Some(handle) = found else {
        same_of_all(reply, fields, |reply| reply.int(NO_FIELD));
        return Ok(());
    };
    reply.array(fields.remaining());
    db.edit(key, handle, |hash: &mut Hash| {
        let (mut set, mut deleted) = (0, 0);
        for field in fields.rest() {
            let result = match hash.time_of(field, now) {
                None => NO_FIELD,
                Some(old) if !conditions.admit(at, old) => SPARED,
                Some(_) if at <= now => {
                    deleted += usize::from(hash.remove(field, now));
                    DELETED
                }
                Some(_) => {
                    hash.set_time(field, Some(at));
                    set += 1;
                    DONE
                }
            };
            reply.int(result);
        }
        let event = if deleted > 0 { "hdel" } else { "hexpire" };
        Ok(changed(event, set + deleted))
    })
}

/// How an edit ends that has changed so many fields.
fn changed(event: &'static str, fields: usize) -> Edited<()> {
    match fields {
        0 => Edited::Unchanged(()),
        fields => Edited::Changed(event, fields, ()),
    }
}

fn httl(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    tell_times(db, args, reply, |at, now| (at - now + 999) / 1000)
}

fn hpttl(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    tell_times(db, args, reply, |at, now| at - now)
}

fn hexpiretime(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    tell_times(db, args, reply, |at, _| (at + 999) / 1000)
}

fn hpexpiretime(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    tell_times(db, args, reply, |at, _| at)
}

/// Tells the times of fields. Seconds are rounded up, unlike those of keys.
fn tell_times(
    db: &mut Db<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
    number: fn(i64, i64) -> i64,
) -> Result<()> {
    let now = db.now;
    let hash = db.read_value::<Hash>(args.next()?)?;
    let fields = fields(args, Error::FIELDS_NOT_POSITIVE)?;
    reply.array(fields.remaining());
    for field in fields.rest() {
        reply.int(match hash.and_then(|hash| hash.time_of(field, now)) {
            None => NO_FIELD,
            Some(None) => NO_EXPIRY,
            Some(Some(at)) => number(at, now),
        });
    }
    Ok(())
}

fn hpersist(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, now) = (args.next()?, db.now);
    let found = lookup(db, key)?;
    let fields = fields(args, Error::FIELDS_NOT_POSITIVE)?;
    let Some(handle) = found else {
        same_of_all(reply, fields, |reply| reply.int(NO_FIELD));
        return Ok(());
    };
    reply.array(fields.remaining());
    db.edit(key, handle, |hash: &mut Hash| {
        let mut any = false;
        for field in fields.rest() {
            let result = match hash.time_of(field, now) {
                None => NO_FIELD,
                Some(None) => NO_EXPIRY,
                Some(Some(_)) => {
                    hash.set_time(field, None);
                    any = true;
                    DONE
                }
            };
            reply.int(result);
        }
        // However many fields they are, Redis counts one change.
        Ok(changed("hpersist", usize::from(any)))
    })
}

fn hgetdel(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, now) = (args.next()?, db.now);
    let found = lookup(db, key)?;
    let fields = fields(args, Error::FIELDS_NOT_POSITIVE)?;
    let Some(handle) = found else {
        same_of_all(reply, fields, |reply| reply.null());
        return Ok(());
    };
    reply.array(fields.remaining());
    db.edit(key, handle, |hash: &mut Hash| {
        let mut deleted = 0;
        for field in fields.rest() {
            reply.bulk_or_null(hash.get(field, now));
            deleted += usize::from(hash.remove(field, now));
        }
        Ok(changed("hdel", deleted))
    })
}

/// What HGETEX is to do to the times of the fields.
enum Change {
    None,
    Persist,
    To(i64),
}

fn hgetex(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, now) = (args.next()?, db.now);
    let found = lookup(db, key)?;
    let change = match Unit::take(&mut args) {
        Some(unit) => Change::To(time(&mut args, unit, now)?),
        None if args.keyword("persist") => Change::Persist,
        None => Change::None,
    };
    let fields = fields(args, Error::FIELDS_NOT_POSITIVE)?;
    let Some(handle) = found else {
        same_of_all(reply, fields, |reply| reply.null());
        return Ok(());
    };
    reply.array(fields.remaining());
    db.edit(key, handle, |hash: &mut Hash| {
        let (mut set, mut deleted) = (0, 0);
        for field in fields.rest() {
            reply.bulk_or_null(hash.get(field, now));
            let Some(old) = hash.time_of(field, now) else {
                continue;
            };
            match change {
                Change::Persist if old.is_some() => hash.set_time(field, None),
                Change::To(at) if at > now => hash.set_time(field, Some(at)),
                Change::To(_) => {
                    deleted += usize::from(hash.remove(field, now));
                    continue;
                }
                Change::None | Change::Persist => continue,
            }
            set += 1;
        }
        let event = match change {
            Change::Persist => "hpersist",
            _ if deleted > 0 => "hdel",
            _ => "hexpire",
        };
        Ok(changed(event, set + deleted))
    })
}

/// What HSETEX is told beside the fields.
#[derive(Default)]
struct SetOptions {
    /// Whether all fields must be there, or none.
    exist: Option<bool>,
    /// What becomes of their times.
    times: Option<NewTime>,
}

/// What becomes of the time of a field that HSETEX sets.
#[derive(Clone, Copy)]
enum NewTime {
    Keep,
    To(i64),
}

impl SetOptions {
    /// Reads the options up to the fields with their values, before which it
    /// leaves the cursor.
    fn parse(args: &mut Args<'_>, now: i64) -> Result<SetOptions> {
        let mut options = SetOptions::default();
        while !args.keyword("fields") {
            let word = args.peek().ok_or_else(|| args.wrong_arity())?;
            if args.keyword("fnx") {
                options.require(false)?;
            } else if args.keyword("fxx") {
                options.require(true)?;
            } else if args.keyword("keepttl") {
                options.give(|| Ok(NewTime::Keep))?;
            } else if let Some(unit) = Unit::take(args) {
                options.give(|| time(args, unit, now).map(NewTime::To))?;
            } else {
                return Err(Error::quoting("ERR unknown argument: ", word, ""));
            }
        }
        // Redis wants to see a number, a field and a value before it reads any.
        if args.remaining() < 3 {
            return Err(args.wrong_arity());
        }
        let count = args.int_in(1..=i32::MAX.into(), Error::INVALID_FIELD_COUNT)?;
        if args.remaining() as i64 != count * 2 {
            return Err(args.wrong_arity());
        }
        Ok(options)
    }

    fn require(&mut self, exist: bool) -> Result<()> {
        match self.exist.replace(exist) {
            Some(_) => Err(Error::FXX_AND_FNX),
            None => Ok(()),
        }
    }

    fn give(&mut self, time: impl FnOnce() -> Result<NewTime>) -> Result<()> {
        if self.times.is_some() {
            return Err(Error::TIME_TWICE);
        }
        self.times = Some(time()?);
        Ok(())
    }

    /// Whether the fields of a hash, or of none, are as they must be.
    fn admit(&self, hash: Option<HashRef<'_>>, pairs: Args<'_>, now: i64) -> bool {
        let Some(exist) = self.exist else {
            return true;
        };
        let exists = |field| hash.is_some_and(|hash| hash.get(field, now).is_some());
        pairs.rest().step_by(2).all(|field| exists(field) == exist)
    }
}

fn hsetex(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, now) = (args.next()?, db.now);
    let options = SetOptions::parse(&mut args, now)?;
    let found = db.lookup(key);
    let hash = found.map(|handle| db.value::<Hash>(handle)).transpose()?;
    if !options.admit(hash, args, now) {
        reply.int(0);
        return Ok(());
    }
    let old = match options.times {
        None => OldTime::Clear,
        Some(_) => OldTime::Keep,
    };
    set_all(db, key, found, args, old)?;
    if let Some(NewTime::To(at)) = options.times {
        let handle = db.lookup(key).expect("it has just been set");
        db.edit(key, handle, |hash: &mut Hash| {
            for field in args.rest().step_by(2) {
                match at > now {
                    true => hash.set_time(field, Some(at)),
                    false => _ = hash.remove(field, now),
                }
            }
            // The changes have been counted.
            let event = if at > now { "hexpire" } else { "hdel" };
            Ok(Edited::Changed(event, 0, ()))
        })?;
    }
    reply.int(1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Data;

    #[test]
    fn each_change_has_its_events() {
        let mut data = Data::new();
        for (line, events) in [
            ("HSET h a 1 b 2 c 3 d 4", "new hset"),
            ("HPEXPIRE h 100 FIELDS 2 a missing", "hexpire"),
            ("HPEXPIRE h 100 NX FIELDS 1 a", ""),
            ("HPEXPIRE h 100 FIELDS 1 missing", ""),
            ("HPERSIST h FIELDS 2 a b", "hpersist"),
            ("HPERSIST h FIELDS 2 a b", ""),
            ("HPEXPIRE h 0 FIELDS 2 a a", "hdel"),
            ("HGETEX h FIELDS 1 b", ""),
            ("HGETEX h PX 100 FIELDS 2 b missing", "hexpire"),
            ("HGETEX h PERSIST FIELDS 1 b", "hpersist"),
            ("HGETEX h PERSIST FIELDS 1 b", ""),
            ("HGETEX h EXAT 1 FIELDS 1 b", "hdel"),
            ("HSETEX h FIELDS 1 e 5", "hset"),
            ("HSETEX h PX 100 FIELDS 1 e 5", "hset hexpire"),
            ("HSETEX h FNX FIELDS 1 e 6", ""),
            ("HSETEX h FXX KEEPTTL FIELDS 1 e 6", "hset"),
            ("HSETEX h EXAT 1 FIELDS 1 e 6", "hset hdel"),
            ("HSETEX other FXX FIELDS 1 e 6", ""),
            ("HSETEX other PXAT 1 FIELDS 1 e 6", "new hset hdel del"),
            ("HGETDEL h FIELDS 2 c missing", "hdel"),
            ("HGETDEL h FIELDS 1 missing", ""),
            ("HGETDEL h FIELDS 1 d", "hdel del"),
            ("HTTL h FIELDS 1 d", "keymiss"),
            ("HPERSIST h FIELDS 1 d", ""),
            ("HEXPIRE h 1 FIELDS 1 d", ""),
            ("HSET h a 1", "new hset"),
            ("HEXPIREAT h 1 FIELDS 1 a", "hdel del"),
        ] {
            data.run(line);
            assert_eq!(data.events(), events, "{line}");
        }
        assert_eq!(data.run("DBSIZE"), ":0");
    }

    #[test]
    fn changes_are_counted_as_redis_counts_them() {
        let mut data = Data::new();
        data.given(&["HSET h a 1 b 2 c 3 d 4 e 5"]);
        for (line, changes) in [
            ("HPEXPIRE h 100 FIELDS 3 a b missing", 2),
            ("HPERSIST h FIELDS 2 a b", 1),
            ("HGETEX h PX 100 FIELDS 2 a b", 2),
            ("HGETEX h PERSIST FIELDS 2 a b", 2),
            ("HSETEX h PX 100 FIELDS 2 a 1 b 2", 2),
            ("HSETEX h PXAT 1 FIELDS 2 a 1 b 2", 2),
            ("HGETDEL h FIELDS 2 c missing", 1),
            ("HPEXPIREAT h 1 FIELDS 2 d e", 2),
        ] {
            let before = data.keyspace.journal.dirty;
            data.run(line);
            assert_eq!(data.keyspace.journal.dirty - before, changes, "{line}");
        }
    }

    #[test]
    fn a_field_ends_in_its_last_millisecond_for_every_command() {
        for (line, before, after) in [
            ("HGET h a", "$1 1", "$-1"),
            ("HMGET h a b", "*2 $1 1 $1 2", "*2 $-1 $1 2"),
            ("HEXISTS h a", ":1", ":0"),
            ("HSTRLEN h a", ":1", ":0"),
            ("HLEN h", ":2", ":1"),
            ("HGETALL h", "*4 $1 a $1 1 $1 b $1 2", "*2 $1 b $1 2"),
            ("HKEYS h", "*2 $1 a $1 b", "*1 $1 b"),
            ("HVALS h", "*2 $1 1 $1 2", "*1 $1 2"),
            (
                "HSCAN h 0",
                "*2 $1 0 *4 $1 a $1 1 $1 b $1 2",
                "*2 $1 0 *2 $1 b $1 2",
            ),
            ("HRANDFIELD h 5", "*2 $1 a $1 b", "*1 $1 b"),
            ("HPTTL h FIELDS 1 a", "*1 :1", "*1 :-2"),
            ("HTTL h FIELDS 1 a", "*1 :1", "*1 :-2"),
            ("HPERSIST h FIELDS 1 a", "*1 :1", "*1 :-2"),
            ("HPEXPIRE h 5 XX FIELDS 1 a", "*1 :1", "*1 :-2"),
            ("HDEL h a", ":1", ":0"),
            ("HSET h a 5", ":0", ":1"),
            ("HSETNX h a 5", ":0", ":1"),
            ("HINCRBY h a 5", ":6", ":5"),
            ("HINCRBYFLOAT h a 0.5", "$3 1.5", "$3 0.5"),
            ("HGETDEL h FIELDS 1 a", "*1 $1 1", "*1 $-1"),
            ("HGETEX h PERSIST FIELDS 1 a", "*1 $1 1", "*1 $-1"),
            ("HSETEX h FNX FIELDS 1 a 5", ":0", ":1"),
            ("HSETEX h FXX FIELDS 1 a 5", ":1", ":0"),
        ] {
            for keeps in [false, true] {
                for (time, reply) in [(9, before), (10, after)] {
                    let mut data = Data::new();
                    data.given(&["HSET h a 1 b 2", "HPEXPIRE h 10 FIELDS 1 a"]);
                    data.now += time;
                    data.keyspace.keeps_expired = keeps;
                    assert_eq!(data.run(line), reply, "{line} after {time} ms");
                    let removed = data.events().starts_with("hexpired");
                    assert_eq!(removed, time == 10 && !keeps, "{line}");
                }
            }
        }
    }

    #[test]
    fn a_hash_of_which_nothing_is_left_is_no_key() {
        for (line, reply) in [
            ("HGET h a", "$-1"),
            ("HLEN h", ":0"),
            ("EXISTS h", ":0"),
            ("TYPE h", "+none"),
            ("KEYS *", "*0"),
            ("SCAN 0", "*2 $1 0 *0"),
            ("RENAME h other", "-ERR no such key"),
            ("COPY h other", ":0"),
            ("OBJECT ENCODING h", "$-1"),
            ("HSETEX h FXX FIELDS 1 a 1", ":0"),
            ("HDEL h a", ":0"),
            ("SETNX h v", ":1"),
            ("RPUSH h v", ":1"),
            ("HSETNX h a 5", ":1"),
        ] {
            for keeps in [false, true] {
                let mut data = Data::new();
                data.given(&["HSET h a 1 b 2", "HPEXPIRE h 10 FIELDS 1 a"]);
                data.given(&["HPEXPIRE h 20 FIELDS 1 b"]);
                data.now += 20;
                data.keyspace.keeps_expired = keeps;
                assert_eq!(data.run(line), reply, "{line}");
                let events = data.events();
                let removed = events.starts_with("hexpired del");
                assert!(removed || keeps || line == "KEYS *", "{line}: {events}");
                let databases = &data.keyspace.databases;
                assert!(
                    databases.iter().all(|db| db.part_times_are_right()),
                    "{line}"
                );
            }
        }
    }

    #[test]
    fn setting_a_field_takes_its_time_and_adding_to_it_does_not() {
        let mut data = Data::new();
        for (line, left) in [
            ("HSET h a 2", ":-1"),
            ("HMSET h a 2", ":-1"),
            ("HSETEX h FIELDS 1 a 2", ":-1"),
            ("HSETEX h KEEPTTL FIELDS 1 a 2", ":100"),
            ("HSETEX h PX 50 FIELDS 1 a 2", ":50"),
            ("HSETNX h a 2", ":100"),
            ("HINCRBY h a 2", ":100"),
            ("HINCRBYFLOAT h a 2", ":100"),
            ("HGETEX h FIELDS 1 a", ":100"),
            ("HGETEX h PX 30 FIELDS 1 a", ":30"),
            ("COPY h h REPLACE DB 1", ":100"),
        ] {
            data.given(&["HSET h a 1", "HPEXPIRE h 100 FIELDS 1 a", line]);
            assert_eq!(
                data.run("HPTTL h FIELDS 1 a"),
                format!("*1 {left}"),
                "{line}"
            );
        }
    }

    #[test]
    fn fields_go_in_time_a_few_at_once() {
        for entries in [0, 1_000] {
            let mut data = Data::new();
            data.keyspace.limits.hash.entries = entries;
            for n in 0..300 {
                let time = 10 + n % 3 * 10;
                data.given(&[&format!("HSETEX h{} PX {time} FIELDS 1 f{n} v", n % 10)]);
            }
            data.given(&["HSET h0 stays v", "HSETEX h1 PX 40 FIELDS 1 later v"]);
            let next = data.now + 10;
            assert_eq!(data.keyspace.next_expiry(), Some(next));
            assert!(!data.keyspace.expire_due(next - 1, 100));
            data.now += 30;
            let mut steps = 1;
            while data.keyspace.expire_due(data.now, 10) {
                steps += 1;
            }
            assert!(steps > 5, "{steps} steps");
            let events = data.events();
            assert_eq!(events.matches("del").count(), 8, "{events}");
            assert_eq!(data.run("DBSIZE"), ":2");
            assert_eq!(data.run("HKEYS h1"), "*1 $5 later");
            assert_eq!(data.keyspace.next_expiry(), Some(data.now + 10));
            data.now += 10;
            assert!(!data.keyspace.expire_due(data.now, 100));
            assert_eq!(data.keyspace.next_expiry(), None);
            assert_eq!(data.run("HKEYS h0"), "*1 $5 stays");
            assert_eq!(data.run("DBSIZE"), ":1");
        }
    }

    #[test]
    fn who_uses_a_hash_removes_a_few_of_very_many_fields_and_sees_none() {
        let mut data = Data::new();
        for n in 0..1_500 {
            data.given(&[&format!("HSETEX h PX 10 FIELDS 1 f{n} v")]);
        }
        data.given(&["HSET h stays v"]);
        data.now += 10;
        assert_eq!(data.run("HLEN h"), ":1");
        assert_eq!(data.run("HRANDFIELD h"), "$5 stays");
        assert_eq!(data.run("HRANDFIELD h -3"), "*3 $5 stays $5 stays $5 stays");
        // An event tells of it when the last of them is removed.
        assert_eq!(data.events(), "");
        assert_eq!(data.run("HDEL h stays"), ":1");
        // What was left goes as a whole.
        assert_eq!(data.run("HLEN h"), ":0");
        assert_eq!(data.run("DBSIZE"), ":0");
    }

    #[test]
    fn times_go_with_a_hash_wherever_it_goes() {
        let mut rng = fastrand::Rng::with_seed(11);
        let mut data = Data::new();
        data.keyspace.limits.hash.entries = 3;
        let mut kinds = std::collections::BTreeSet::new();
        for round in 0..20_000 {
            let [a, b] = [(); 2].map(|()| format!("h{}", rng.u8(..4)));
            let (field, time) = (format!("f{}", rng.u8(..5)), rng.i64(-5..40));
            data.index = rng.usize(..2);
            let line = match rng.u8(..22) {
                0..4 => format!("HSET {a} {field} v"),
                4..8 => format!("HPEXPIRE {a} {} FIELDS 1 {field}", time.max(0)),
                8..11 => format!("HSETEX {a} PX {} FIELDS 1 {field} v", time.max(0)),
                11 => format!("HDEL {a} {field}"),
                12 => format!("HPERSIST {a} FIELDS 1 {field}"),
                13 => format!("HGETDEL {a} FIELDS 1 {field}"),
                14 => format!("RENAME {a} {b}"),
                15 => format!("COPY {a} {b} REPLACE DB {}", rng.u8(..2)),
                16 => format!("MOVE {a} {}", rng.u8(..2)),
                17 => format!("DEL {a}"),
                18 => format!("SET {a} v"),
                19 => format!("PEXPIRE {a} {time}"),
                20 => format!("PERSIST {a}"),
                _ => format!("HINCRBY {a} {field} 1"),
            };
            data.run(&line);
            if rng.u8(..4) == 0 {
                data.now += rng.i64(0..8);
            }
            match rng.u16(..600) {
                0 => data.keyspace.flush(data.index),
                1..4 => data.keyspace.swap(0, 1),
                4..200 => _ = data.keyspace.expire_due(data.now, rng.usize(1..5)),
                _ => {}
            }
            data.keyspace.clear_changes();
            kinds.extend(data.events().split(' ').map(str::to_owned));
            let Data { keyspace, now, .. } = &data;
            for database in &keyspace.databases {
                assert!(database.part_times_are_right(), "{round}: {line}");
                let parts = database
                    .iter()
                    .filter_map(|key| database.value(key).parts());
                let first = parts.filter_map(|parts| parts.first_expiry()).min();
                let noted = keyspace.next_expiry();
                let is_late = first.is_some_and(|at| noted.is_none_or(|noted| noted > at));
                assert!(!is_late, "{round}: {line}");
            }
            if rng.u8(..50) == 0 {
                let now = *now;
                while data.keyspace.expire_due(now, 3) {}
                assert!(data.keyspace.next_expiry().is_none_or(|at| at > now));
                for key in ["h0", "h1", "h2", "h3"] {
                    if data.run(&format!("TYPE {key}")) == "+hash" {
                        assert_ne!(data.run(&format!("HLEN {key}")), ":0", "{round}");
                    }
                }
                data.events();
            }
        }
        assert!(
            kinds.contains("hexpired") && kinds.contains("expired"),
            "{kinds:?}"
        );
    }

    #[test]
    fn the_latest_time_has_46_bits() {
        let mut data = Data::new();
        data.given(&["HSET h a 1"]);
        let latest = (1_i64 << 46) - 1;
        let error = |name: &str| format!("-ERR invalid expire time in '{name}' command");
        for (name, time, reply) in [
            ("hpexpireat", latest, "*1 :1".to_owned()),
            ("hpexpireat", latest + 1, error("hpexpireat")),
            ("hpexpire", latest - data.now, "*1 :1".to_owned()),
            ("hpexpire", latest - data.now + 1, error("hpexpire")),
            ("hexpireat", latest / 1000, "*1 :1".to_owned()),
            ("hexpireat", latest / 1000 + 1, error("hexpireat")),
            ("hexpire", i64::MAX, error("hexpire")),
            (
                "hexpire",
                -1,
                "-ERR invalid expire time, must be >= 0".to_owned(),
            ),
        ] {
            let reached = data.run(&format!("{name} h {time} FIELDS 1 a"));
            assert_eq!(reached, reply, "{name} {time}");
        }
    }
}
