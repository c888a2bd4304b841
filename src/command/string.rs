//! Commands on strings, counters among them.
//!
//! GET and SET are what most clients send most, so a small value is neither
//! allocated nor copied twice on its way, and a key is looked up once. The
//! arithmetic of INCRBYFLOAT is in [`long_double`](crate::text::long_double), the
//! search of LCS in [`lcs`](super::lcs).

use std::ops::Range;

use crate::db::{Db, Edited, Encoding, Expiry, Handle, Str};
use crate::error::{Error, Result};
use crate::resp::{Argv, Reply};
use crate::table::keys::KeyFlags;
use crate::table::vocabulary::{
    CREATE_KEY, GROW, GROW_FAST, INSERT_KEY, MODIFY_KEY, OVERWRITE_KEY, READ, READ_FAST, READ_KEY,
    STAT_KEY, STRING, TAKE_KEY, UPDATE_KEY, WRITE_FAST,
};
use crate::table::{Args, Handler, Lifetime, Row, Unit};
use crate::text::long_double::LongDouble;
use crate::text::number;

/// What becomes of the key of SET: with GET the old value is read, too.
fn set_key_flags(argv: Argv<'_>) -> KeyFlags {
    let gets = argv
        .iter()
        .skip(3)
        .any(|word| word.eq_ignore_ascii_case(b"get"));
    match gets {
        true => MODIFY_KEY.flags,
        false => OVERWRITE_KEY.flags,
    }
}

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "get", arity: 2, flags: READ_FAST, keys: &[READ_KEY],
        usage: "key:key", since: "1.0.0",
        summary: "The string at a key.", handler: Handler::Data(get),
        ..STRING
    },
    Row {
        name: "set", arity: -3, flags: GROW,
        keys: &[MODIFY_KEY.varying(set_key_flags).noted("RW and ACCESS due to the optional `GET` argument")],
        usage: "key:key value [condition(NX|XX)@2.6.12] [GET@6.2.0] \
            [expiration(EX seconds:integer@2.6.12 | PX milliseconds:integer@2.6.12 | \
            EXAT unix-time-seconds:unix-time@6.2.0 | \
            PXAT unix-time-milliseconds:unix-time@6.2.0 | KEEPTTL@6.0.0)]",
        since: "1.0.0", history: &[
            ("2.6.12", "Added the `EX`, `PX`, `NX` and `XX` options."),
            ("6.0.0", "Added the `KEEPTTL` option."),
            ("6.2.0", "Added the `GET`, `EXAT` and `PXAT` option."),
            ("7.0.0", "Allowed the `NX` and `GET` options to be used together."),
        ],
        summary: "Stores a string at a key, whatever was there, if the conditions hold.",
        handler: Handler::Data(set),
        ..STRING
    },
    Row {
        name: "setex", arity: 4, flags: GROW, keys: &[OVERWRITE_KEY],
        usage: "key:key seconds:integer value",
        since: "2.0.0", deprecated: Some(("2.6.12", "`SET` with the `EX` argument")),
        summary: "Stores a string that lives for so many seconds.", handler: Handler::Data(setex),
        ..STRING
    },
    Row {
        name: "psetex", arity: 4, flags: GROW, keys: &[OVERWRITE_KEY],
        usage: "key:key milliseconds:integer value",
        since: "2.6.0", deprecated: Some(("2.6.12", "`SET` with the `PX` argument")),
        summary: "Stores a string that lives for so many milliseconds.",
        handler: Handler::Data(psetex),
        ..STRING
    },
    Row {
        name: "setnx", arity: 3, flags: GROW_FAST, keys: &[CREATE_KEY],
        usage: "key:key value",
        since: "1.0.0", deprecated: Some(("2.6.12", "`SET` with the `NX` argument")),
        summary: "Stores a string, unless the key exists.", handler: Handler::Data(setnx),
        ..STRING
    },
    Row {
        name: "getset", arity: 3, flags: GROW_FAST, keys: &[MODIFY_KEY],
        usage: "key:key value",
        since: "1.0.0", deprecated: Some(("6.2.0", "`SET` with the `!GET` argument")),
        summary: "Stores a string and answers the one that was there.",
        handler: Handler::Data(getset),
        ..STRING
    },
    Row {
        name: "getdel", arity: 2, flags: WRITE_FAST, keys: &[TAKE_KEY],
        usage: "key:key", since: "6.2.0",
        summary: "Answers the string at a key and removes the key.", handler: Handler::Data(getdel),
        ..STRING
    },
    Row {
        name: "getex", arity: -2, flags: WRITE_FAST,
        keys: &[MODIFY_KEY.noted("RW and UPDATE because it changes the TTL")],
        usage: "key:key [expiration(EX seconds:integer | PX milliseconds:integer | \
            EXAT unix-time-seconds:unix-time | PXAT unix-time-milliseconds:unix-time | PERSIST)]",
        since: "6.2.0",
        summary: "Answers the string at a key and changes when it expires.",
        handler: Handler::Data(getex),
        ..STRING
    },
    Row {
        name: "mget", arity: -2, flags: READ_FAST, keys: &[READ_KEY.all()],
        usage: "key:key...", tips: &["request_policy:multi_shard"],
        since: "1.0.0", complexity: "O(N) where N is the number of keys to retrieve.",
        summary: "The strings at several keys, in order; null where there is none.",
        handler: Handler::Data(mget),
        ..STRING
    },
    Row {
        name: "mset", arity: -3, flags: GROW, keys: &[OVERWRITE_KEY.pairs()],
        usage: "data(key:key value)...",
        tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
        since: "1.0.1", complexity: "O(N) where N is the number of keys to set.",
        summary: "Stores several strings in one step.", handler: Handler::Data(mset),
        ..STRING
    },
    Row {
        name: "msetnx", arity: -3, flags: GROW, keys: &[CREATE_KEY.pairs()],
        usage: "data(key:key value)...",
        since: "1.0.1", complexity: "O(N) where N is the number of keys to set.",
        summary: "Stores several strings in one step, unless one of the keys exists.",
        handler: Handler::Data(msetnx),
        ..STRING
    },
    Row {
        name: "append", arity: 3, flags: GROW_FAST, keys: &[INSERT_KEY],
        usage: "key:key value", since: "2.0.0",
        summary: "Adds to the end of a string, and creates it if it is missing.",
        handler: Handler::Data(append),
        ..STRING
    },
    Row {
        name: "strlen", arity: 2, flags: READ_FAST, keys: &[STAT_KEY],
        usage: "key:key", since: "2.2.0",
        summary: "The length of a string in bytes.", handler: Handler::Data(strlen),
        ..STRING
    },
    Row {
        name: "getrange", arity: 4, flags: READ, keys: &[READ_KEY],
        usage: "key:key start:integer end:integer",
        since: "2.4.0", complexity: "O(N) where N is the length of the returned string.",
        summary: "The bytes of a string from one index to another, both included.",
        handler: Handler::Data(getrange),
        ..STRING
    },
    Row {
        name: "substr", arity: 4, flags: READ, keys: &[READ_KEY],
        usage: "key:key start:integer end:integer",
        since: "1.0.0", complexity: "O(N) where N is the length of the returned string.",
        deprecated: Some(("2.0.0", "`GETRANGE`")),
        summary: "The bytes of a string from one index to another, both included.",
        handler: Handler::Data(substr),
        ..STRING
    },
    Row {
        name: "setrange", arity: 4, flags: GROW, keys: &[UPDATE_KEY],
        usage: "key:key offset:integer value", since: "2.2.0",
        complexity: "O(1), not counting the time taken to copy the new string in place.",
        summary: "Overwrites bytes of a string from an offset on, and pads with zeros up to there.",
        handler: Handler::Data(setrange),
        ..STRING
    },
    Row {
        name: "incr", arity: 2, flags: GROW_FAST, keys: &[MODIFY_KEY],
        usage: "key:key", since: "1.0.0",
        summary: "Adds one to the integer at a key; a missing key counts as 0.",
        handler: Handler::Data(incr),
        ..STRING
    },
    Row {
        name: "decr", arity: 2, flags: GROW_FAST, keys: &[MODIFY_KEY],
        usage: "key:key", since: "1.0.0",
        summary: "Subtracts one from the integer at a key; a missing key counts as 0.",
        handler: Handler::Data(decr),
        ..STRING
    },
    Row {
        name: "incrby", arity: 3, flags: GROW_FAST, keys: &[MODIFY_KEY],
        usage: "key:key increment:integer", since: "1.0.0",
        summary: "Adds to the integer at a key; a missing key counts as 0.",
        handler: Handler::Data(incrby),
        ..STRING
    },
    Row {
        name: "decrby", arity: 3, flags: GROW_FAST, keys: &[MODIFY_KEY],
        usage: "key:key decrement:integer", since: "1.0.0",
        summary: "Subtracts from the integer at a key; a missing key counts as 0.",
        handler: Handler::Data(decrby),
        ..STRING
    },
    Row {
        name: "incrbyfloat", arity: 3, flags: GROW_FAST, keys: &[MODIFY_KEY],
        usage: "key:key increment:double", since: "2.6.0",
        summary: "Adds a floating point number to the number at a key; a missing key counts as 0.",
        handler: Handler::Data(incrbyfloat),
        ..STRING
    },
];

fn get(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    match db.read_string(args.next()?)? {
        Some(value) => string(reply, value),
        None => reply.null(),
    }
    Ok(())
}

fn set(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, value) = (args.next()?, args.next()?);
    if args.remaining() > 0 {
        return set_with_options(db, key, value, args, reply);
    }
    let found = db.lookup_to_replace(key);
    store(db, key, found, value, Expiry::Clear)?;
    reply.ok();
    Ok(())
}

fn set_with_options(
    db: &mut Db<'_>,
    key: &[u8],
    value: &[u8],
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let mut options = SetOptions::default();
    options.parse(args)?;
    let expiry = match options.lifetime {
        Some(lifetime) => Expiry::At(lifetime.end(args, db.now)?),
        None if options.keep_ttl => Expiry::Keep,
        None => Expiry::Clear,
    };
    let found = if options.get {
        read_reply(db, key, reply)?
    } else {
        db.lookup(key)
    };
    if options
        .condition
        .is_some_and(|condition| condition.fails(found))
    {
        if !options.get {
            reply.null();
        }
        return Ok(());
    }
    store(db, key, found, value, expiry)?;
    if !options.get {
        reply.ok();
    }
    Ok(())
}

fn setex(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    set_lifetime(db, args, reply, Unit::Seconds)
}

fn psetex(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    set_lifetime(db, args, reply, Unit::Milliseconds)
}

fn set_lifetime(
    db: &mut Db<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
    unit: Unit,
) -> Result<()> {
    let (key, number, value) = (args.next()?, args.next()?, args.next()?);
    let expiry = Expiry::At(Lifetime { unit, number }.end(args, db.now)?);
    let found = db.lookup_to_replace(key);
    store(db, key, found, value, expiry)?;
    reply.ok();
    Ok(())
}

fn setnx(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, value) = (args.next()?, args.next()?);
    let found = db.lookup(key);
    if found.is_none() {
        store(db, key, found, value, Expiry::Clear)?;
    }
    reply.int(i64::from(found.is_none()));
    Ok(())
}

fn getset(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, value) = (args.next()?, args.next()?);
    let found = read_reply(db, key, reply)?;
    store(db, key, found, value, Expiry::Clear)
}

fn getdel(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    if let Some(handle) = read_reply(db, key, reply)? {
        db.delete(key, handle);
    }
    Ok(())
}

fn getex(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    let change = ExpiryChange::parse(args)?;
    let Some(handle) = read_reply(db, key, reply)? else {
        return Ok(());
    };
    match change {
        ExpiryChange::None => {}
        ExpiryChange::Persist => _ = db.persist(key, handle),
        ExpiryChange::To(lifetime) => db.expire(key, handle, lifetime.end(args, db.now)?)?,
    }
    Ok(())
}

fn mget(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    reply.array(args.remaining());
    for key in args.rest() {
        // What is no string counts as missing here.
        match db.read_string(key) {
            Ok(Some(value)) => string(reply, value),
            Ok(None) | Err(_) => reply.null(),
        }
    }
    Ok(())
}

fn mset(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    store_pairs(db, pairs(args)?)?;
    reply.ok();
    Ok(())
}

fn msetnx(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let pairs = pairs(args)?;
    let free = pairs.clone().all(|(key, _)| db.lookup(key).is_none());
    if free {
        store_pairs(db, pairs)?;
    }
    reply.int(i64::from(free));
    Ok(())
}

/// The arguments two by two: a key and its value.
fn pairs<'a>(args: Args<'a>) -> Result<impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone> {
    if !args.remaining().is_multiple_of(2) {
        return Err(args.wrong_arity());
    }
    let (keys, values) = (args.rest().step_by(2), args.rest().skip(1).step_by(2));
    Ok(keys.zip(values))
}

/// Stores all of them or, if there is no room, none.
fn store_pairs<'a>(
    db: &mut Db<'_>,
    pairs: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
) -> Result<()> {
    db.reserve(pairs.clone().map(|(key, value)| (key, value.len())))?;
    for (key, value) in pairs {
        let found = db.lookup_to_replace(key);
        store(db, key, found, value, Expiry::Clear)?;
    }
    Ok(())
}

fn append(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, value) = (args.next()?, args.next()?);
    let found = db.lookup(key);
    let old = match found {
        Some(handle) => db.string(handle)?.len(),
        None => 0,
    };
    let len = old + value.len();
    if found.is_some() {
        check_len(db, old as u64, value.len())?;
        db.modify_string(key, found, len, |bytes| {
            bytes[old..].copy_from_slice(value);
            Edited::Changed("append", 1, ())
        })?;
    } else {
        db.set_string(key, None, value, Encoding::Natural, Expiry::Clear, "append")?;
    }
    reply.len(len);
    Ok(())
}

fn strlen(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let value = db.read_string(args.next()?)?;
    reply.len(value.map_or(0, |value| value.len()));
    Ok(())
}

fn getrange(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, start, end) = (args.next()?, args.int()?, args.int()?);
    let value = db.read_string(key)?;
    let bytes = value.as_deref().unwrap_or_default();
    let range = range(start, end, bytes.len());
    match value {
        // A part that waits to be read keeps the whole value alive, so that
        // has to be little more.
        Some(Str::Shared(bytes)) if range.len() >= bytes.len() / 8 * 7 => {
            reply.shared(&bytes.slice(range));
        }
        _ => reply.bulk(&bytes[range]),
    }
    Ok(())
}

fn substr(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    getrange(db, args, reply)
}

/// The places from `start` to `end`, both included and negative ones counted
/// from the end, of a string of `len` bytes.
fn range(start: i64, end: i64, len: usize) -> Range<usize> {
    // Both before the first byte would become 0 and 0, which is the first byte.
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let len = len as i64;
    let from_front = |index: i64| if index < 0 { index + len } else { index }.max(0);
    let (start, end) = (from_front(start), from_front(end).min(len - 1) + 1);
    if start < end {
        start as usize..end as usize
    } else {
        0..0
    }
}

fn setrange(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, offset, value) = (args.next()?, args.int()?, args.next()?);
    let offset = u64::try_from(offset).map_err(|_| Error::OFFSET_OUT_OF_RANGE)?;
    let found = db.lookup(key);
    let old = match found {
        Some(handle) => db.string(handle)?.len(),
        None => 0,
    };
    if value.is_empty() {
        reply.len(old);
        return Ok(());
    }
    let len = check_len(db, offset, value.len())?;
    db.modify_string(key, found, len, |bytes| {
        bytes[len - value.len()..len].copy_from_slice(value);
        Edited::Changed("setrange", 1, ())
    })?;
    reply.len(old.max(len));
    Ok(())
}

/// How long a string becomes when `more` bytes stand from `offset` on, or the
/// error that this is too long.
fn check_len(db: &Db<'_>, offset: u64, more: usize) -> Result<usize> {
    let len = offset.saturating_add(more as u64);
    let len = usize::try_from(len).map_err(|_| Error::STRING_TOO_LONG)?;
    if len > db.limits().string {
        return Err(Error::STRING_TOO_LONG);
    }
    Ok(len)
}

fn incr(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    add(db, args.next()?, 1, reply)
}

fn decr(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    add(db, args.next()?, -1, reply)
}

fn incrby(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, increment) = (args.next()?, args.int()?);
    add(db, key, increment, reply)
}

fn decrby(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, decrement) = (args.next()?, args.int()?);
    let increment = decrement.checked_neg().ok_or(Error::DECR_OVERFLOW)?;
    add(db, key, increment, reply)
}

fn add(db: &mut Db<'_>, key: &[u8], increment: i64, reply: &mut Reply<'_>) -> Result<()> {
    let found = db.lookup(key);
    let old = match found {
        Some(handle) => number::parse_i64(&db.string(handle)?).ok_or(Error::NOT_AN_INTEGER)?,
        None => 0,
    };
    let sum = old.checked_add(increment).ok_or(Error::OVERFLOW)?;
    let mut text = itoa::Buffer::new();
    let text = text.format(sum).as_bytes();
    db.set_string(key, found, text, Encoding::Natural, Expiry::Keep, "incrby")?;
    reply.int(sum);
    Ok(())
}

fn incrbyfloat(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, increment) = (args.next()?, args.next()?);
    let found = db.lookup(key);
    let old = match found {
        Some(handle) => LongDouble::parse(&db.string(handle)?).ok_or(Error::NOT_A_FLOAT)?,
        None => LongDouble::ZERO,
    };
    let increment = LongDouble::parse(increment).ok_or(Error::NOT_A_FLOAT)?;
    let sum = old.add(increment).ok_or(Error::NAN_OR_INFINITY)?;
    let text = sum.to_string();
    let text = text.as_bytes();
    db.set_string(
        key,
        found,
        text,
        Encoding::Text,
        Expiry::Keep,
        "incrbyfloat",
    )?;
    reply.bulk(text);
    Ok(())
}

/// Writes a stored string: a long one leaves by reference.
fn string(reply: &mut Reply<'_>, value: Str<'_>) {
    match value {
        Str::Inline(bytes) => reply.bulk(bytes),
        Str::Shared(bytes) => reply.shared(bytes),
    }
}

/// Replies as GET does, and answers the entry.
fn read_reply(db: &mut Db<'_>, key: &[u8], reply: &mut Reply<'_>) -> Result<Option<Handle>> {
    let found = db.read(key);
    match found {
        Some(handle) => string(reply, db.string(handle)?),
        None => reply.null(),
    }
    Ok(found)
}

/// Stores a string as SET does.
fn store(
    db: &mut Db<'_>,
    key: &[u8],
    found: Option<Handle>,
    value: &[u8],
    expiry: Expiry,
) -> Result<()> {
    db.set_string(key, found, value, Encoding::Natural, expiry, "set")
}

/// What SET is told beside the key and the value.
#[derive(Default)]
struct SetOptions<'a> {
    condition: Option<Condition>,
    get: bool,
    keep_ttl: bool,
    lifetime: Option<Lifetime<'a>>,
}

/// What must hold for SET to store anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Missing,
    Exists,
}

impl Condition {
    fn fails(self, found: Option<Handle>) -> bool {
        (self == Condition::Exists) != found.is_some()
    }
}

impl<'a> SetOptions<'a> {
    /// An option may be repeated, and the last one counts; what contradicts
    /// an earlier one is a syntax error.
    fn parse(&mut self, mut args: Args<'a>) -> Result<()> {
        while args.remaining() > 0 {
            if self.condition != Some(Condition::Exists) && args.keyword("NX") {
                self.condition = Some(Condition::Missing);
            } else if self.condition != Some(Condition::Missing) && args.keyword("XX") {
                self.condition = Some(Condition::Exists);
            } else if args.keyword("GET") {
                self.get = true;
            } else if self.lifetime.is_none() && args.keyword("KEEPTTL") {
                self.keep_ttl = true;
            } else if self.keep_ttl {
                return Err(Error::SYNTAX);
            } else {
                self.lifetime = Some(Lifetime::parse(&mut args, self.lifetime)?);
            }
        }
        Ok(())
    }
}

/// What GETEX is to do to the key's expiry.
enum ExpiryChange<'a> {
    None,
    Persist,
    To(Lifetime<'a>),
}

impl<'a> ExpiryChange<'a> {
    fn parse(mut args: Args<'a>) -> Result<ExpiryChange<'a>> {
        let mut change = ExpiryChange::None;
        while args.remaining() > 0 {
            change = match change {
                ExpiryChange::None if args.keyword("PERSIST") => ExpiryChange::Persist,
                ExpiryChange::None => ExpiryChange::To(Lifetime::parse(&mut args, None)?),
                ExpiryChange::Persist if args.keyword("PERSIST") => ExpiryChange::Persist,
                ExpiryChange::Persist => return Err(Error::SYNTAX),
                ExpiryChange::To(earlier) => {
                    ExpiryChange::To(Lifetime::parse(&mut args, Some(earlier))?)
                }
            };
        }
        Ok(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Data;

    #[test]
    fn each_change_has_its_events_in_redis_order() {
        let cases = [
            ("set k v", "new set"),
            ("set k v ex 100", "set expire"),
            ("set k v nx", ""),
            ("set k w xx get", "set"),
            ("set k w keepttl", "set"),
            ("setex k 100 v", "set expire"),
            ("psetex k 100000 v", "set expire"),
            ("setnx k v", ""),
            ("setnx other v", "new set"),
            ("getset k z", "set"),
            ("getset third z", "keymiss new set"),
            ("getdel k", "del"),
            ("getdel k", "keymiss"),
            ("getex other", ""),
            ("getex other ex 100", "expire"),
            ("getex other persist", "persist"),
            ("getex other persist", ""),
            ("getex other pxat 1", "del"),
            ("mset a 1 b 2 a 3", "new set new set set"),
            ("msetnx a 1 c 2", ""),
            ("msetnx c 1 d 2 c 3", "new set new set set"),
            ("mget a nokey b", "keymiss"),
            ("append a 1", "append"),
            ("append fresh x", "new append"),
            ("strlen nokey", "keymiss"),
            ("setrange a 3 x", "setrange"),
            ("setrange a 3 \"\"", ""),
            ("setrange range 3 x", "new setrange"),
            ("setrange nokey 3 \"\"", ""),
            ("getrange nokey 0 1", "keymiss"),
            ("incr n", "new incrby"),
            ("decr n", "incrby"),
            ("incrby n 5", "incrby"),
            ("decrby n 3", "incrby"),
            ("incrbyfloat n 1.5", "incrbyfloat"),
            ("set past v exat 1", "new set expire"),
            ("get past", "expired keymiss"),
            ("set past v pxat 1 get", "keymiss new set expire"),
            ("append past x", "expired new append"),
        ];
        let mut data = Data::new();
        for (line, events) in cases {
            data.run(line);
            assert_eq!(data.events(), events, "{line}");
        }
    }

    #[test]
    fn strings_remember_how_they_were_made() {
        let cases = [
            ("set k 12", "int"),
            ("append k 3", "raw"),
            ("incr k", "int"),
            ("setrange k 0 5", "raw"),
            ("set k 5 keepttl", "int"),
            ("incrbyfloat k 1", "embstr"),
            ("append k 1", "raw"),
            ("getset k 1", "int"),
            ("append fresh 12", "int"),
            ("setrange range 0 12", "raw"),
        ];
        let mut data = Data::new();
        for (line, encoding) in cases {
            data.run(line);
            let key = line.split(' ').nth(1).unwrap();
            let name = data.run(&format!("object encoding {key}"));
            assert_eq!(name.split(' ').nth(1), Some(encoding), "{line}");
        }
    }

    #[test]
    fn strings_of_any_length_are_changed_in_place_and_keep_their_expiry() {
        let mut data = Data::new();
        let mut rng = fastrand::Rng::with_seed(3);
        for first in [0, 1, 40, 500, 512, 4000, 4060, 4096, 9000] {
            let mut model = "a".repeat(first);
            data.run(&format!("set k \"{model}\" pxat 4000000000000"));
            for _ in 0..12 {
                let piece = "b".repeat([1, 7, 300, 3000][rng.usize(..4)]);
                if rng.bool() {
                    model.push_str(&piece);
                    assert_eq!(
                        data.run(&format!("append k {piece}")),
                        format!(":{}", model.len())
                    );
                } else {
                    let offset = rng.usize(..model.len() + 600);
                    let mut bytes = std::mem::take(&mut model).into_bytes();
                    bytes.resize(bytes.len().max(offset + piece.len()), 0);
                    bytes[offset..offset + piece.len()].copy_from_slice(piece.as_bytes());
                    model = String::from_utf8(bytes).unwrap();
                    let reply = data.run(&format!("setrange k {offset} {piece}"));
                    assert_eq!(reply, format!(":{}", model.len()));
                }
                assert_eq!(data.run("get k"), format!("${} {model}", model.len()));
            }
            let mut db = data.db();
            let handle = db.peek(b"k").unwrap();
            assert_eq!(db.database().expires_at(handle), Some(4_000_000_000_000));
        }
    }

    #[test]
    fn a_string_grows_up_to_the_limit() {
        let mut data = Data::new();
        data.keyspace.limits.string = 10;
        let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
        let cases = [
            ("setrange k 9 x", ":10"),
            ("setrange k 10 x", too_long),
            ("setrange k 9 xx", too_long),
            ("setrange k 9223372036854775807 x", too_long),
            ("setrange k 9223372036854775807 \"\"", ":10"),
            ("setrange nokey 10 x", too_long),
            ("append k x", too_long),
            ("append k \"\"", ":10"),
        ];
        for (line, reply) in cases {
            assert_eq!(data.run(line), reply, "{line}");
        }
    }

    #[test]
    fn an_unread_part_of_a_value_keeps_no_more_of_it_alive_than_it_is() {
        let mut data = Data::new();
        data.given(&[&format!("set k {}", "v".repeat(1 << 20))]);
        // By reference, the part stands between its header and the line end.
        for (end, pieces) in [(20_000, 0), (40_000, 0), (1 << 20, 2), ((1 << 20) - 9, 2)] {
            for name in ["getrange", "substr"] {
                let output = data.answer(&format!("{name} k 0 {end}"));
                assert_eq!(output.pieces(), pieces, "{name} to {end}");
            }
        }
    }

    #[test]
    fn a_range_is_what_lies_between_two_ends() {
        let cases = [
            ((0, -1), 0..5),
            ((0, 100), 0..5),
            ((1, 3), 1..4),
            ((-3, -2), 2..4),
            ((-100, 0), 0..1),
            ((-100, -99), 0..1),
            ((-99, -100), 0..0),
            ((3, 2), 0..0),
            ((5, 9), 0..0),
            ((i64::MIN, i64::MAX), 0..5),
            ((i64::MAX, i64::MIN), 0..0),
        ];
        for ((start, end), expected) in cases {
            assert_eq!(range(start, end, 5), expected, "{start} {end}");
        }
        assert_eq!(range(0, -1, 0), 0..0);
        assert_eq!(range(-1, -1, 0), 0..0);
    }
}
