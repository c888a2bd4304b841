//! How long keys live.
//!
//! Keys whose time has come are removed when somebody asks for them, by
//! [`Db::peek`], or by the engine's expiry task, whichever is first.

use crate::db::Db;
use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::table::vocabulary::{GENERIC, READ_FAST, READ_KEY, UPDATE_KEY, WRITE_FAST};
use crate::table::{Args, Handler, Row, Unit};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "expire", arity: -3, flags: WRITE_FAST, keys: &[UPDATE_KEY],
        usage: "key:key seconds:integer [condition(NX|XX|GT|LT)@7.0.0]", since: "1.0.0",
        history: &[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")],
        summary: "Lets a key live for so many seconds from now.", handler: Handler::Data(expire),
        ..GENERIC
    },
    Row {
        name: "pexpire", arity: -3, flags: WRITE_FAST, keys: &[UPDATE_KEY],
        usage: "key:key milliseconds:integer [condition(NX|XX|GT|LT)@7.0.0]", since: "2.6.0",
        history: &[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")],
        summary: "Lets a key live for so many milliseconds from now.",
        handler: Handler::Data(pexpire),
        ..GENERIC
    },
    Row {
        name: "expireat", arity: -3, flags: WRITE_FAST, keys: &[UPDATE_KEY],
        usage: "key:key unix-time-seconds:unix-time [condition(NX|XX|GT|LT)@7.0.0]", since: "1.2.0",
        history: &[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")],
        summary: "Lets a key live until a Unix time in seconds.", handler: Handler::Data(expireat),
        ..GENERIC
    },
    Row {
        name: "pexpireat", arity: -3, flags: WRITE_FAST, keys: &[UPDATE_KEY],
        usage: "key:key unix-time-milliseconds:unix-time [condition(NX|XX|GT|LT)@7.0.0]",
        since: "2.6.0", history: &[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")],
        summary: "Lets a key live until a Unix time in milliseconds.",
        handler: Handler::Data(pexpireat),
        ..GENERIC
    },
    Row {
        name: "ttl", arity: 2, flags: READ_FAST, keys: &[READ_KEY],
        usage: "key:key", tips: &["nondeterministic_output"], since: "1.0.0",
        history: &[("2.8.0", "Added the -2 reply.")],
        summary: "The seconds that a key has left to live.", handler: Handler::Data(ttl),
        ..GENERIC
    },
    Row {
        name: "pttl", arity: 2, flags: READ_FAST, keys: &[READ_KEY],
        usage: "key:key", tips: &["nondeterministic_output"], since: "2.6.0",
        history: &[("2.8.0", "Added the -2 reply.")],
        summary: "The milliseconds that a key has left to live.", handler: Handler::Data(pttl),
        ..GENERIC
    },
    Row {
        name: "expiretime", arity: 2, flags: READ_FAST, keys: &[READ_KEY],
        usage: "key:key", since: "7.0.0",
        summary: "The Unix time in seconds at which a key expires.",
        handler: Handler::Data(expiretime),
        ..GENERIC
    },
    Row {
        name: "pexpiretime", arity: 2, flags: READ_FAST, keys: &[READ_KEY],
        usage: "key:key", since: "7.0.0",
        summary: "The Unix time in milliseconds at which a key expires.",
        handler: Handler::Data(pexpiretime),
        ..GENERIC
    },
    Row {
        name: "persist", arity: 2, flags: WRITE_FAST, keys: &[UPDATE_KEY],
        usage: "key:key", since: "2.2.0",
        summary: "Takes the expiry off a key.", handler: Handler::Data(persist),
        ..GENERIC
    },
];

fn expire(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    set_expiry(db, args, reply, Unit::Seconds)
}

fn pexpire(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    set_expiry(db, args, reply, Unit::Milliseconds)
}

fn expireat(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    set_expiry(db, args, reply, Unit::UnixSeconds)
}

fn pexpireat(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    set_expiry(db, args, reply, Unit::UnixMilliseconds)
}

/// When EXPIRE and its relatives leave the expiry alone.
#[derive(Default)]
pub struct Conditions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Conditions {
    fn parse(args: Args<'_>) -> Result<Conditions> {
        let mut found = Conditions::default();
        for option in args.rest() {
            let flag = found.flag(option);
            *flag.ok_or_else(|| Error::unsupported_option(option))? = true;
        }
        if found.nx && (found.xx || found.gt || found.lt) {
            Err(Error::NX_INCOMPATIBLE)
        } else if found.gt && found.lt {
            Err(Error::GT_LT_INCOMPATIBLE)
        } else {
            Ok(found)
        }
    }

    /// Takes the next word if it is a condition.
    pub fn take_one(args: &mut Args<'_>) -> Conditions {
        let mut found = Conditions::default();
        let flag = args.peek().and_then(|word| found.flag(word));
        if let Some(flag) = flag {
            *flag = true;
            args.next_if_any();
        }
        found
    }

    fn flag(&mut self, word: &[u8]) -> Option<&mut bool> {
        match word.to_ascii_lowercase().as_slice() {
            b"nx" => Some(&mut self.nx),
            b"xx" => Some(&mut self.xx),
            b"gt" => Some(&mut self.gt),
            b"lt" => Some(&mut self.lt),
            _ => None,
        }
    }

    /// Whether an expiry may take the place of the `old` one. No expiry is
    /// later than any.
    pub fn admit(&self, new: i64, old: Option<i64>) -> bool {
        !(self.nx && old.is_some()
            || self.xx && old.is_none()
            || self.gt && old.is_none_or(|old| new <= old)
            || self.lt && old.is_some_and(|old| new >= old))
    }
}

fn set_expiry(
    db: &mut Db<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
    unit: Unit,
) -> Result<()> {
    let (key, mut time) = (args.next()?, args);
    args.next()?;
    // Redis reads the options first, and so tells what is wrong with them.
    let conditions = Conditions::parse(args)?;
    let time = time.int()?;
    let at = unit.point(time, db.now);
    let at = at.ok_or_else(|| args.invalid_expire())?;
    let set = match db.lookup(key) {
        Some(handle) if conditions.admit(at, db.database().expires_at(handle)) => {
            db.expire(key, handle, at)?;
            true
        }
        _ => false,
    };
    reply.int(i64::from(set));
    Ok(())
}

fn ttl(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    expiry(db, args, reply, Unit::Seconds)
}

fn pttl(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    expiry(db, args, reply, Unit::Milliseconds)
}

fn expiretime(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    expiry(db, args, reply, Unit::UnixSeconds)
}

fn pexpiretime(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    expiry(db, args, reply, Unit::UnixMilliseconds)
}

fn expiry(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>, unit: Unit) -> Result<()> {
    const NO_KEY: i64 = -2;
    const NO_EXPIRY: i64 = -1;
    let Some(handle) = db.stat(args.next()?) else {
        reply.int(NO_KEY);
        return Ok(());
    };
    let at = db.database().expires_at(handle);
    reply.int(at.map_or(NO_EXPIRY, |at| unit.number(at, db.now)));
    Ok(())
}

fn persist(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    let persisted = match db.lookup(key) {
        Some(handle) => db.persist(key, handle),
        None => false,
    };
    reply.int(i64::from(persisted));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Data;

    #[test]
    fn seconds_are_rounded_to_the_nearest() {
        let mut data = Data::new();
        for (left, seconds) in [
            (1, ":0"),
            (499, ":0"),
            (500, ":1"),
            (1499, ":1"),
            (1500, ":2"),
        ] {
            data.given(&[&format!("SET k v PX {left}")]);
            assert_eq!(data.run("TTL k"), seconds, "{left} ms");
        }
        // Recorded: the sum is above what fits in 63 bits.
        data.given(&["PEXPIREAT k 9223372036854775807"]);
        assert_eq!(data.run("EXPIRETIME k"), ":9223372036854776");
        assert_eq!(data.run("PEXPIRETIME k"), ":9223372036854775807");
    }

    #[test]
    fn a_time_that_does_not_exist_is_refused_whether_or_not_the_key_does() {
        let max = i64::MAX;
        for (name, time) in [
            ("expire", max / 1000),
            ("expire", max / 1000 + 1),
            ("expire", i64::MIN / 1000 - 1),
            ("pexpire", max),
            ("expireat", max / 1000 + 1),
        ] {
            let mut data = Data::new();
            let reply = data.run(&format!("{name} k {time}"));
            let error = format!("-ERR invalid expire time in '{name}' command");
            assert_eq!(reply, error, "{name} {time}");
        }
        let mut data = Data::new();
        for (name, time) in [
            ("expire", i64::MIN / 1000),
            ("pexpire", i64::MIN),
            ("expireat", max / 1000),
            ("pexpireat", max),
        ] {
            assert_eq!(data.run(&format!("{name} k {time}")), ":0", "{name} {time}");
        }
    }

    #[test]
    fn a_time_that_has_come_deletes() {
        for line in [
            "EXPIRE k 0",
            "EXPIRE k -1 LT",
            "PEXPIREAT k 1700000000000",
            "EXPIREAT k 0",
        ] {
            let mut data = Data::new();
            data.given(&["SET k v"]);
            assert_eq!(data.run(line), ":1", "{line}");
            assert_eq!(data.events_of_keys(), ["0 del k"], "{line}");
            assert_eq!(data.run("DBSIZE"), ":0", "{line}");
        }
    }

    #[test]
    fn a_key_ends_in_its_last_millisecond() {
        let mut data = Data::new();
        data.given(&["SET k v", "PEXPIRE k 10"]);
        data.now += 9;
        assert_eq!(data.run("PTTL k"), ":1");
        data.now += 1;
        assert_eq!(data.run("PTTL k"), ":-2");
    }

    #[test]
    fn conditions_compare_with_no_expiry_as_the_latest() {
        // Condition, new time, and whether it replaces none, 100, 200.
        for (words, new, replaces) in [
            ("", 150, [true, true, true]),
            ("NX", 150, [true, false, false]),
            ("XX", 150, [false, true, true]),
            ("GT", 150, [false, true, false]),
            ("LT", 150, [true, false, true]),
            ("GT", 200, [false, true, false]),
            ("LT", 100, [true, false, true]),
            ("XX GT", 150, [false, true, false]),
            ("LT XX", 150, [false, false, true]),
        ] {
            for (old, replaces) in [None, Some(100), Some(200)].into_iter().zip(replaces) {
                let words = words.split_whitespace();
                let mut conditions = Conditions::default();
                for word in words.clone() {
                    match word {
                        "NX" => conditions.nx = true,
                        "XX" => conditions.xx = true,
                        "GT" => conditions.gt = true,
                        _ => conditions.lt = true,
                    }
                }
                let shown: Vec<_> = words.collect();
                assert_eq!(
                    conditions.admit(new, old),
                    replaces,
                    "{shown:?} {new} {old:?}"
                );
            }
        }
    }

    #[test]
    fn an_expiry_that_stays_as_it_is_fires_nothing() {
        let mut data = Data::new();
        data.given(&["SET k v"]);
        for line in [
            "PERSIST k",
            "EXPIRE k 10 XX",
            "EXPIRE k 10 GT",
            "EXPIRE missing 10",
        ] {
            assert_eq!(data.run(line), ":0", "{line}");
            assert_eq!(data.events_of_keys(), [""; 0], "{line}");
        }
        data.run("EXPIRE k 10");
        data.run("PERSIST k");
        assert_eq!(data.events_of_keys(), ["0 expire k", "0 persist k"]);
    }
}
