//! Keys of any type: whether they exist, what they hold, what they are called.
//!
//! How long they live is in [`super::expire`], how to find them in
//! [`super::scan`].

use crate::db::Db;
use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::table::vocabulary::{
    CONTAINER, CREATE_KEY, DELETE_KEY, GENERIC, GROW, MODIFY_KEY, OVERWRITE_KEY, READ, READ_FAST,
    READ_KEY, STAT_KEY, TAKE_KEY, WRITE, WRITE_FAST,
};
use crate::table::{Args, Group, HELP, Handler, Row};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "del", arity: -2, flags: WRITE, keys: &[DELETE_KEY.all()],
        usage: "key:key...", tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        since: "1.0.0", complexity: "O(N) where N is the number of keys that will be removed.",
        summary: "Removes keys.", handler: Handler::Data(del),
        ..GENERIC
    },
    Row {
        name: "unlink", arity: -2, flags: WRITE_FAST, keys: &[DELETE_KEY.all()],
        usage: "key:key...", tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        since: "4.0.0", complexity: "O(1) for each key removed regardless of its size.",
        summary: "Removes keys, and frees large values without holding up others.",
        handler: Handler::Data(del),
        ..GENERIC
    },
    Row {
        name: "exists", arity: -2, flags: READ_FAST, keys: &[STAT_KEY.all()],
        usage: "key:key...", tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        since: "1.0.0", complexity: "O(N) where N is the number of keys to check.",
        history: &[("3.0.3", "Accepts multiple `key` arguments.")],
        summary: "Counts how many of the keys exist; a key named twice counts twice.",
        handler: Handler::Data(exists),
        ..GENERIC
    },
    Row {
        name: "type", arity: 2, flags: READ_FAST, keys: &[STAT_KEY],
        usage: "key:key", since: "1.0.0",
        summary: "Tells of which type the value at a key is.", handler: Handler::Data(type_),
        ..GENERIC
    },
    Row {
        name: "touch", arity: -2, flags: READ_FAST, keys: &[STAT_KEY.all()],
        usage: "key:key...", tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        since: "3.2.1", complexity: "O(N) where N is the number of keys that will be touched.",
        summary: "Marks keys as just used, and counts those that exist.",
        handler: Handler::Data(touch),
        ..GENERIC
    },
    Row {
        name: "randomkey", arity: 1, flags: READ,
        tips: &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"],
        since: "1.0.0",
        summary: "A key name picked at random.", handler: Handler::Data(randomkey),
        ..GENERIC
    },
    Row {
        name: "rename", arity: 3, flags: WRITE, keys: &[TAKE_KEY, OVERWRITE_KEY.at(2)],
        usage: "key:key newkey:key", since: "1.0.0",
        summary: "Gives a key another name, and replaces what was there.",
        handler: Handler::Data(rename),
        ..GENERIC
    },
    Row {
        name: "renamenx", arity: 3, flags: WRITE_FAST, keys: &[TAKE_KEY, CREATE_KEY.at(2)],
        usage: "key:key newkey:key", since: "1.0.0", history: &[
            ("3.2.0", "The command no longer returns an error when source and destination names \
                are the same."),
        ],
        summary: "Gives a key another name, unless that name is taken.",
        handler: Handler::Data(renamenx),
        ..GENERIC
    },
    Row {
        name: "copy", arity: -3, flags: GROW, keys: &[READ_KEY, OVERWRITE_KEY.at(2)],
        usage: "source:key destination:key [DB destination-db:integer] [REPLACE]", since: "6.2.0",
        complexity: "O(N) worst case for collections, where N is the number of nested items. O(1) \
            for string values.",
        summary: "Copies the value of a key, with its expiry, to another key.",
        handler: Handler::Data(copy),
        ..GENERIC
    },
    Row {
        name: "move", arity: 3, flags: WRITE_FAST, keys: &[MODIFY_KEY],
        usage: "key:key db:integer", since: "1.0.0",
        summary: "Moves a key to another database, unless it exists there.",
        handler: Handler::Data(move_),
        ..GENERIC
    },
    Row {
        name: "object", since: "2.2.3",
        summary: "Asks how a value is kept inside the server.",
        subcommands: &[
            Row {
                name: "encoding", arity: 3, flags: READ, keys: &[STAT_KEY.at(2)],
                usage: "key:key", tips: &["nondeterministic_output"], since: "2.2.3",
                summary: "The internal representation of a value.",
                handler: Handler::Data(object_encoding),
                ..GENERIC
            },
            Row {
                name: "freq", arity: 3, flags: READ, keys: &[STAT_KEY.at(2)],
                usage: "key:key", tips: &["nondeterministic_output"], since: "4.0.0",
                summary: "How often a key is used, as a logarithmic counter.",
                handler: Handler::Data(object_freq),
                ..GENERIC
            },
            Row {
                name: "idletime", arity: 3, flags: READ, keys: &[STAT_KEY.at(2)],
                usage: "key:key", tips: &["nondeterministic_output"], since: "2.2.3",
                summary: "The seconds since a key was last used.",
                handler: Handler::Data(object_idletime),
                ..GENERIC
            },
            Row {
                name: "refcount", arity: 3, flags: READ, keys: &[STAT_KEY.at(2)],
                usage: "key:key", tips: &["nondeterministic_output"], since: "2.2.3",
                summary: "How many references a value has.",
                handler: Handler::Data(object_refcount),
                ..GENERIC
            },
            Row { group: Group::Generic, since: "6.2.0", ..HELP },
        ],
        ..CONTAINER
    },
];

/// DEL, and UNLINK as well: what is large is freed when nobody waits for it.
fn del(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let mut removed = 0;
    for key in args.rest() {
        if let Some(handle) = db.peek(key) {
            db.delete(key, handle);
            removed += 1;
        }
    }
    reply.len(removed);
    Ok(())
}

fn exists(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    reply.len(args.rest().filter(|key| db.stat(key).is_some()).count());
    Ok(())
}

fn type_(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let found = db.stat(args.next()?);
    let name = found.map(|handle| db.database().value(handle).kind().name);
    reply.simple(name.unwrap_or("none"));
    Ok(())
}

fn touch(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let mut db = db.select(db.index);
    // It is what the command is for, so CLIENT NO-TOUCH does not turn it off.
    db.touch = true;
    reply.len(args.rest().filter(|key| db.read(key).is_some()).count());
    Ok(())
}

fn randomkey(db: &mut Db<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let found = db.random();
    reply.bulk_or_null(found.map(|handle| db.database().key(handle)));
    Ok(())
}

fn rename(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    rename_key(db, args, Target::Replaced)?;
    reply.ok();
    Ok(())
}

fn renamenx(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let renamed = rename_key(db, args, Target::Kept)?;
    reply.int(i64::from(renamed));
    Ok(())
}

/// What becomes of a key that has the name which another is to get.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Replaced,
    Kept,
}

impl Target {
    /// Whether nothing is in the way at `key`.
    fn is_free(self, db: &mut Db<'_>, key: &[u8]) -> bool {
        self == Target::Replaced || db.lookup(key).is_none()
    }
}

/// Renames one key; answers whether anything has changed.
fn rename_key(db: &mut Db<'_>, mut args: Args<'_>, target: Target) -> Result<bool> {
    let (from, to) = (args.next()?, args.next()?);
    let handle = db.lookup(from).ok_or(Error::NO_SUCH_KEY)?;
    if from == to || !target.is_free(db, to) {
        return Ok(false);
    }
    db.rename(from, handle, to)?;
    Ok(true)
}

/// The number of a database, which must be there.
fn database_index(db: &Db<'_>, args: &mut Args<'_>) -> Result<usize> {
    let index = usize::try_from(args.int32()?).ok();
    index
        .filter(|&index| index < db.database_count())
        .ok_or(Error::DB_OUT_OF_RANGE)
}

/// Where COPY puts the copy.
struct CopyOptions {
    index: usize,
    target: Target,
}

impl CopyOptions {
    fn parse(db: &Db<'_>, mut args: Args<'_>) -> Result<CopyOptions> {
        let mut options = CopyOptions {
            index: db.index,
            target: Target::Kept,
        };
        while args.remaining() > 0 {
            if args.keyword("replace") {
                options.target = Target::Replaced;
            } else if args.keyword("db") {
                options.index = database_index(db, &mut args)?;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(options)
    }
}

fn copy(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (from, to) = (args.next()?, args.next()?);
    let CopyOptions { index, target } = CopyOptions::parse(db, args)?;
    if index == db.index && from == to {
        return Err(Error::SAME_OBJECT);
    }
    let copied = match db.read(from) {
        Some(handle) if target.is_free(&mut db.select(index), to) => {
            db.copy(handle, index, to)?;
            true
        }
        _ => false,
    };
    reply.int(i64::from(copied));
    Ok(())
}

fn move_(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    let index = database_index(db, &mut args)?;
    if index == db.index {
        return Err(Error::SAME_OBJECT);
    }
    let moved = match db.lookup(key) {
        Some(handle) if db.select(index).lookup(key).is_none() => {
            db.move_to(index, key, handle)?;
            true
        }
        _ => false,
    };
    reply.int(i64::from(moved));
    Ok(())
}

fn object_encoding(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let found = db.inspect(args.next()?);
    let name = found.map(|handle| db.database().value(handle).encoding_name());
    reply.bulk_or_null(name.map(str::as_bytes));
    Ok(())
}

fn object_freq(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    match db.inspect(args.next()?) {
        Some(handle) => reply.int(db.frequency(handle).ok_or(Error::NO_LFU_POLICY)?.into()),
        None => reply.null(),
    }
    Ok(())
}

fn object_idletime(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    match db.inspect(args.next()?) {
        Some(handle) => {
            let idle = db.idle(handle).ok_or(Error::LFU_POLICY)?;
            reply.int(idle.as_secs() as i64);
        }
        None => reply.null(),
    }
    Ok(())
}

fn object_refcount(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    match db.inspect(args.next()?) {
        Some(handle) => reply.int(db.database().value(handle).refcount().into()),
        None => reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Data;

    #[test]
    fn an_expired_key_is_not_there_for_any_of_them() {
        for (line, reply) in [
            ("DEL k", ":0"),
            ("UNLINK k", ":0"),
            ("EXISTS k k", ":0"),
            ("TYPE k", "+none"),
            ("TOUCH k", ":0"),
            ("RANDOMKEY", "$-1"),
            ("RENAME k other", "-ERR no such key"),
            ("COPY k other", ":0"),
            ("MOVE k 1", ":0"),
            ("OBJECT ENCODING k", "$-1"),
            ("DBSIZE", ":1"),
        ] {
            let mut data = Data::new();
            data.given(&["SET k v PX 10"]);
            data.now += 10;
            assert_eq!(data.run(line), reply, "{line}");
            let removed = data.events_of_keys().contains(&"0 expired k".to_owned());
            assert_eq!(removed, line != "DBSIZE", "{line}");
        }
    }

    #[test]
    fn an_expired_key_is_in_nobodys_way() {
        for line in ["RENAMENX a k", "COPY a k", "COPY a k DB 0"] {
            let mut data = Data::new();
            data.given(&["SET a 1", "SET k v PX 10"]);
            data.now += 10;
            assert_eq!(data.run(line), ":1", "{line}");
            assert_eq!(data.run("GET k"), "$1 1", "{line}");
            assert_eq!(data.run("TTL k"), ":-1", "{line}");
        }
    }

    #[test]
    fn what_replaces_a_key_is_new() {
        // Recorded with notify-keyspace-events KEAn.
        let mut data = Data::new();
        data.given(&["SET a 1", "SET b 2"]);
        data.run("RENAME a b");
        assert_eq!(
            data.events_of_keys(),
            ["0 new b", "0 rename_from a", "0 rename_to b"]
        );
        data.given(&["SET a 1"]);
        data.run("COPY a b REPLACE");
        assert_eq!(data.events_of_keys(), ["0 new b", "0 copy_to b"]);
        data.run("MOVE a 3");
        assert_eq!(
            data.events_of_keys(),
            ["3 new a", "0 move_from a", "3 move_to a"]
        );
        data.run("UNLINK b b");
        assert_eq!(data.events_of_keys(), ["0 del b"]);
    }

    #[test]
    fn values_of_every_size_keep_what_they_are_under_another_name() {
        let long_name = "n".repeat(300);
        for len in [1, 44, 45, 3_780, 3_840, 4_060, 4_096, 100_000] {
            let value = "v".repeat(len);
            for line in [
                format!("RENAME k {long_name}"),
                format!("COPY k {long_name}"),
                format!("COPY k {long_name} DB 2"),
            ] {
                let mut data = Data::new();
                data.given(&[&format!("SET k {value} PX 5000"), &line]);
                if line.ends_with("DB 2") {
                    data.index = 2;
                }
                let got = data.run(&format!("GET {long_name}"));
                assert!(got == format!("${len} {value}"), "{line} of {len} bytes");
                assert_eq!(data.run(&format!("PTTL {long_name}")), ":5000");
            }
        }
    }

    #[test]
    fn a_copy_and_its_original_go_their_own_ways() {
        let mut data = Data::new();
        let long = "v".repeat(5_000);
        data.given(&[&format!("SET k {long}"), "COPY k c", "APPEND k x"]);
        data.given(&["RPUSH l 1", "COPY l m", "RPUSH m 2"]);
        assert_eq!(data.run("STRLEN k"), ":5001");
        assert_eq!(data.run("STRLEN c"), ":5000");
        assert_eq!(data.run("LLEN l"), ":1");
        assert_eq!(data.run("LLEN m"), ":2");
    }

    #[test]
    fn how_a_string_is_kept_goes_with_it() {
        let mut data = Data::new();
        data.given(&[
            "SET k 1",
            "APPEND k 2",
            "COPY k c",
            "RENAME k r",
            "MOVE r 1",
        ]);
        assert_eq!(data.run("OBJECT ENCODING c"), "$3 raw");
        data.index = 1;
        assert_eq!(data.run("OBJECT ENCODING r"), "$3 raw");
        assert_eq!(data.run("OBJECT REFCOUNT r"), ":1");
    }

    #[test]
    fn asking_about_a_key_is_no_use_of_it() {
        let mut data = Data::new();
        data.given(&["SET k v EX 1000"]);
        data.now += 7_500;
        let asking = [
            "EXISTS k",
            "TYPE k",
            "TTL k",
            "EXPIRETIME k",
            "KEYS *",
            "SCAN 0 TYPE string",
        ];
        data.given(&asking);
        data.given(&["RANDOMKEY", "OBJECT ENCODING k", "OBJECT IDLETIME k"]);
        assert_eq!(data.run("OBJECT IDLETIME k"), ":7");
        data.run("GET k");
        assert_eq!(data.run("OBJECT IDLETIME k"), ":0");
    }

    #[test]
    fn touch_marks_a_key_even_for_a_client_that_touches_nothing() {
        let mut data = Data::new();
        data.given(&["SET k v"]);
        data.touch = false;
        data.now += 5_000;
        data.run("GET k");
        assert_eq!(data.run("OBJECT IDLETIME k"), ":5");
        assert_eq!(data.run("TOUCH k missing k"), ":2");
        assert_eq!(data.run("OBJECT IDLETIME k"), ":0");
    }

    #[test]
    fn misses_are_events_except_those_of_object() {
        let mut data = Data::new();
        for line in ["EXISTS x", "TYPE x", "TTL x", "TOUCH x", "COPY x y"] {
            data.run(line);
            assert_eq!(data.events_of_keys(), ["0 keymiss x"], "{line}");
        }
        for line in [
            "OBJECT ENCODING x",
            "DEL x",
            "RENAME x y",
            "MOVE x 1",
            "PERSIST x",
        ] {
            data.run(line);
            assert_eq!(data.events_of_keys(), [""; 0], "{line}");
        }
    }

    /// Everything that a client sees of the keys.
    fn shown(data: &mut Data, keys: &[&str]) -> Vec<String> {
        let lines = keys.iter().flat_map(|key| {
            ["GET", "LRANGE", "PTTL", "OBJECT ENCODING"].map(|name| match name {
                "LRANGE" => format!("LRANGE {key} 0 -1"),
                _ => format!("{name} {key}"),
            })
        });
        lines.map(|line| data.run(&line)).collect()
    }

    #[test]
    fn what_does_not_fit_in_any_more_is_refused_and_leaves_everything_as_it_was() {
        let (name, value) = ("n".repeat(200), "v".repeat(300));
        let refused = [
            format!("SET k {value}"),
            format!("SET list {value}"),
            format!("SET {name} v"),
            format!("SETEX k 100 {value}"),
            format!("SET number {value} KEEPTTL GET"),
            format!("GETSET k {value}"),
            format!("SETNX {name} v"),
            format!("MSET k w number 6 k {value}"),
            format!("MSETNX a 1 {name} 1"),
            format!("APPEND k {value}"),
            "SETRANGE k 2000 x".to_owned(),
            "SETRANGE missing 2000 x".to_owned(),
            "INCRBY number 1000000000000000000".to_owned(),
            "INCRBYFLOAT number 0.0000000000000001".to_owned(),
            "EXPIRE k 100".to_owned(),
            "GETEX k EX 100".to_owned(),
            format!("RENAME k {name}"),
            format!("RENAME list {name}"),
            format!("RENAME {name}2 list"),
            format!("RENAMENX k {name}"),
            format!("COPY k {name}"),
            format!("COPY list {name}"),
            "COPY list list DB 1".to_owned(),
            "MOVE k 1".to_owned(),
            "MOVE list 1".to_owned(),
            format!("LPUSH {name} a b"),
            format!("LMOVE list {name} LEFT RIGHT"),
        ];
        for line in refused {
            let mut data = Data::new();
            data.given(&["SET k v", "RPUSH list 1 2 3", "SET number 5"]);
            data.given(&[&format!("SET {name}2 {value}")]);
            let keys = ["k", "list", "number", "missing", "a", &name];
            let before = shown(&mut data, &keys);
            data.events();
            let dirty = data.keyspace.journal.dirty;
            for database in &mut data.keyspace.databases {
                database.add_no_page();
            }
            let reply = data.run(&line);
            assert!(
                reply.starts_with("-OOM command not allowed"),
                "{line}: {reply}"
            );
            let said = data.events().replace("keymiss", "");
            assert_eq!(
                (said.trim(), data.keyspace.journal.dirty),
                ("", dirty),
                "{line}"
            );
            assert_eq!(shown(&mut data, &keys), before, "{line}");
            data.index = 1;
            assert_eq!(data.run("DBSIZE"), ":0", "{line}");
        }
    }

    #[test]
    fn what_takes_less_fits_in_even_when_nothing_else_does() {
        let mut data = Data::new();
        let (value, long) = ("v".repeat(1_000), "v".repeat(10_000));
        data.given(&[&format!("SET k {value} EX 100"), "RPUSH list 1 2"]);
        // No slot is large enough for this one with an expiry.
        data.given(&[&format!("SET edge {}", "e".repeat(4096 - 7 - 4))]);
        data.keyspace.databases[0].add_no_page();
        assert_eq!(data.run("EXPIRE edge 100"), ":1");
        assert_eq!(data.run("STRLEN edge"), ":4085");
        for line in [
            "PERSIST k",
            "APPEND k x",
            "LPOP list",
            "SET k v",
            "SET list v",
        ] {
            let reply = data.run(line);
            assert!(!reply.starts_with('-'), "{line}: {reply}");
        }
        assert_eq!(data.run("MGET k list"), "*2 $1 v $1 v");
        // Long strings and lists take no more of a slot than their number.
        data.run(&format!("SET k {long}"));
        assert_eq!(data.run("STRLEN k"), ":10000");
        assert_eq!(data.run("MSET k v edge e"), "+OK");
        assert_eq!(data.run("DEL k list"), ":2");
    }

    #[test]
    fn a_random_key_is_never_an_expired_one() {
        let mut data = Data::new();
        for n in 0..50 {
            data.given(&[&format!("SET gone{n} v PX 10")]);
        }
        data.given(&["SET stays v"]);
        data.now += 10;
        for _ in 0..10 {
            assert_eq!(data.run("RANDOMKEY"), "$5 stays");
        }
    }
}
