//! DUMP and RESTORE: a value in the format of Redis's snapshots, to be kept
//! elsewhere and brought back, here or on any server that speaks it.

use crate::db::{Db, Used, value};
use crate::error::{Error, Result};
use crate::rdb::{self, Reader, Writer};
use crate::resp::Reply;
use crate::table::vocabulary::{GENERIC, GROW, OVERWRITE_KEY, READ, READ_KEY, SERVER};
use crate::table::{Acl, Args, Flags, Handler, Row};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "dump", arity: 2, flags: READ, keys: &[READ_KEY],
        usage: "key:key", tips: &["nondeterministic_output"], since: "2.6.0",
        complexity: "O(1) to access the key and additional O(N*M) to serialize it, where N is the \
            number of Redis objects composing the value and M their average size. For small string \
            values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1).",
        summary: "The value of a key in one string, which RESTORE reads.",
        handler: Handler::Data(dump),
        ..GENERIC
    },
    Row {
        name: "restore", flags: GROW, acl: Acl::DANGEROUS,
        summary: "Stores a value that DUMP has serialized.",
        ..RESTORE
    },
    Row {
        name: "restore-asking", flags: GROW.union(Flags::ASKING).union(Flags::SYSTEM),
        acl: Acl::DANGEROUS.union(Acl::KEYSPACE), group: SERVER.group, since: "3.0.0",
        summary: "RESTORE, as servers of a cluster send it to each other.",
        ..RESTORE
    },
];

const RESTORE: Row = Row {
    arity: -4,
    keys: &[OVERWRITE_KEY],
    usage: "key:key ttl:integer serialized-value [REPLACE@3.0.0] [ABSTTL@5.0.0] \
        [IDLETIME seconds:integer@5.0.0] [FREQ frequency:integer@5.0.0]",
    since: "2.6.0",
    complexity: "O(1) to create the new key and additional O(N*M) to reconstruct the serialized \
        value, where N is the number of Redis objects composing the value and M their average \
        size. For small string values the time complexity is thus O(1)+O(1*M) where M is small, \
        so simply O(1). However for sorted set values the complexity is O(N*M*log(N)) because \
        inserting values into sorted sets is O(log(N)).",
    history: &[
        ("3.0.0", "Added the `REPLACE` modifier."),
        ("5.0.0", "Added the `ABSTTL` modifier."),
        ("5.0.0", "Added the `IDLETIME` and `FREQ` options."),
    ],
    handler: Handler::Data(restore),
    ..GENERIC
};

fn dump(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let Some(handle) = db.read(args.next()?) else {
        reply.null();
        return Ok(());
    };
    let mut output = Writer::default();
    db.database().value(handle).serialize(&mut output);
    reply.shared(&output.seal().into());
    Ok(())
}

fn restore(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    let mut ttl = args;
    args.next()?;
    let payload = args.next()?;
    let options = RestoreOptions::parse(args)?;
    if !options.replace && db.lookup(key).is_some() {
        return Err(Error::BUSY_KEY);
    }
    let ttl = match ttl.int()? {
        ttl @ 0.. => ttl,
        _ => return Err(Error::INVALID_TTL),
    };
    let serialized = rdb::open(payload).ok_or(Error::PAYLOAD)?;
    let mut input = Reader::new(serialized, db.limits().string);
    let value = value::read(&mut input, db.limits()).map_err(|_| Error::DATA_FORMAT)?;
    let expires_at = match ttl {
        0 => None,
        _ if options.absolute => Some(ttl),
        // A sum that wraps around is in the past, as in Redis.
        _ => Some(db.now.wrapping_add(ttl)),
    };
    if expires_at.is_none_or(|at| at > db.now) {
        db.restore(key, value, expires_at, options.used)?;
    } else {
        db.clear(key);
    }
    reply.ok();
    Ok(())
}

/// What RESTORE is told besides.
struct RestoreOptions {
    replace: bool,
    /// The time to live is a time, in milliseconds since 1970.
    absolute: bool,
    /// How it is to have been used.
    used: Used,
}

impl RestoreOptions {
    fn parse(mut args: Args<'_>) -> Result<RestoreOptions> {
        let mut options = RestoreOptions {
            replace: false,
            absolute: false,
            used: Used::Now,
        };
        while args.remaining() > 0 {
            if args.keyword("replace") {
                options.replace = true;
            } else if args.keyword("absttl") {
                options.absolute = true;
            } else if args.remaining() > 1
                && !matches!(options.used, Used::Counted(_))
                && args.keyword("idletime")
            {
                let idle = u64::try_from(args.int()?).map_err(|_| Error::INVALID_IDLE_TIME)?;
                options.used = Used::SecondsAgo(idle);
            } else if args.remaining() > 1
                && !matches!(options.used, Used::SecondsAgo(_))
                && args.keyword("freq")
            {
                let count = u8::try_from(args.int()?).map_err(|_| Error::INVALID_FREQUENCY)?;
                options.used = Used::Counted(count);
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Digest;
    use crate::rdb::{Listpack, Type};
    use crate::testing::Data;

    /// What redis-server 7.0.15 answers to DUMP after a line, as it keeps the
    /// value by default or in the other way.
    #[rustfmt::skip]
    const RECORDED: &[(&str, &[u8])] = &[
    (
        "SET k hello",
        b"\0\x05hello\n\0cr\xdfve4 \n",
    ),
    (
        "SET k -128",
        b"\0\xc0\x80\n\0\x99f2m/\x0c[\xd9",
    ),
    (
        "SET k 32767",
        b"\0\xc1\xff\x7f\n\0IZ7\xda\x17\xf4\xd5+",
    ),
    (
        "SET k -32769",
        b"\0\xc2\xff\x7f\xff\xff\n\0\xae\xe3LM\x06\xc6\x856",
    ),
    (
        "SET k 2147483648",
        b"\0\n2147483648\n\0\xe7\xb1)\xa3L\x1dv\xee",
    ),
    (
        "SET k abcdefghabcdefghabcdefghabcdefghabcdefghabcdefgh",
        b"\0\xc3\x100\x08abcdefgha\xe0\x1c\x07\x01gh\n\0\xd9\x97AV{\xd0\xf1\xf3",
    ),
    (
        "RPUSH k a 127 -1 4095 -4096 4096 -32768 8388607 -2147483648 2147483648 -9223372036854775808 007 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        b"\x12\x01\x02\xc3@F@\x8a\x1f\x8a\0\0\0\x0d\0\x81a\x02\x7f\x01\xdf\xff\x02\xcf\xff\x02\xd0\0\x02\xf1\0\x10\x03\xf1\0\x80\x03\xf2\xff\xff\x7f\x01\x04\xf3  \x02\x80\x05\xf4@\x05 \x03\x01\0\x09@\x09@\0\x09\x80\x09\x83007\x04\xe0Fx\xe0<\0\x01H\xff\n\0r]\xc1q\x9bCN\x7f",
    ),
    (
        "RPUSH k a b c d e",
        b"\x12\x03\x02\x0d\x0d\0\0\0\x02\0\x81a\x02\x81b\x02\xff\x02\x0d\x0d\0\0\0\x02\0\x81c\x02\x81d\x02\xff\x02\n\n\0\0\0\x01\0\x81e\x02\xff\n\0\xecR6\xa7` \xa1\xdb",
    ),
    (
        "SADD k 1 -2 300",
        b"\x0b\x0e\x02\0\0\0\x03\0\0\0\xfe\xff\x01\0,\x01\n\0[\n\xa8b\xf7\x94`\n",
    ),
    (
        "SADD k 1 -70000",
        b"\x0b\x10\x04\0\0\0\x02\0\0\0\x90\xee\xfe\xff\x01\0\0\0\n\0\x94\xa1\x05\xe9Y\xef\xec\x05",
    ),
    (
        "SADD k 1 5000000000",
        b"\x0b\x18\x08\0\0\0\x02\0\0\0\x01\0\0\0\0\0\0\0\0\xf2\x05*\x01\0\0\0\n\0T\xf5\xa2j\xe7\x07\xb5\xfc",
    ),
    (
        "SADD k a 1 bc",
        b"\x02\x03\x02bc\xc0\x01\x01a\n\0+=e\xa0\xfdm\x17\x9c",
    ),
    (
        "HSET k f v 1 2 g -300",
        b"\x10\x17\x17\0\0\0\x06\0\x81f\x02\x81v\x02\x01\x01\x02\x01\x81g\x02\xde\xd4\x02\xff\n\0\xb2]\xe4\xb6Jk|\x81",
    ),
    (
        "HSET k f v 1 2 g -300",
        b"\x04\x03\xc0\x01\xc0\x02\x01g\xc1\xd4\xfe\x01f\x01v\n\0GCY\xec\xca)TP",
    ),
    (
        "ZADD k 1 a -1.5 b inf c 0.1 d 70000 e",
        b"\x11\xc34=\x16=\0\0\0\n\0\x81b\x02\x84-1.5\x05\x81d\x02\x930.10\xe0\x05\0\x171\x14\x81a\x02\x01\x01\x81e\x02\xf2p\x11\x01\x04\x81c\x02\x83inf\x04\xff\n\0XY\x98\xbd\x87g\x98\xd2",
    ),
    (
        "ZADD k 1 a -1.5 b inf c 0.1 d 70000 e",
        b"\x05\x05\x01c\0\0\0\0\0\0\xf0\x7f\x01e\0\0\0\0\0\x17\xf1@\x01a\0\0\0\0\0\0\xf0?\x01d\x9a\x99\x99\x99\x99\x99\xb9?\x01b\0\0\0\0\0\0\xf8\xbf\n\0[\xe1\x06{\x80\x89\xa0\x83",
    ),
    ];

    /// From the documentation of RESTORE: written by Redis 2.6.
    const OLD_LIST: &[u8] = b"\n\x17\x17\0\0\0\x12\0\0\0\x03\0\0\xc0\x01\0\x04\xc0\x02\0\x04\xc0\
        \x03\0\xff\x04\0u#<\xc0;.\xe9\xdd";

    /// What DUMP answers; `None` if there is nothing.
    fn dumped(data: &mut Data, key: &str) -> Option<Vec<u8>> {
        let reply = data.answer(&format!("DUMP {key}")).into_vec();
        let start = reply.windows(2).position(|end| end == b"\r\n").unwrap() + 2;
        Some(reply.get(start..)?.strip_suffix(b"\r\n")?.to_vec())
    }

    /// What RESTORE answers, without the line end.
    fn restored(data: &mut Data, key: &str, payload: &[u8]) -> String {
        let words = [b"RESTORE", key.as_bytes(), b"0", payload, b"REPLACE"];
        let reply = data.answer_words(&words).into_vec();
        String::from_utf8_lossy(&reply).trim_end().to_owned()
    }

    /// The digest that tells whether two values are the same.
    fn digest(data: &mut Data, key: &str) -> String {
        let mut digest = Digest::default();
        let mut db = data.db();
        let handle = db.peek(key.as_bytes()).unwrap();
        db.database().value(handle).digest(&mut digest);
        digest.to_string()
    }

    #[test]
    fn what_redis_wrote_is_what_the_same_command_makes_here() {
        let mut data = Data::new();
        for (line, payload) in RECORDED {
            data.given(&["DEL k", line]);
            assert_eq!(restored(&mut data, "r", payload), "+OK", "{line}");
            assert_eq!(digest(&mut data, "r"), digest(&mut data, "k"), "{line}");
            assert_eq!(data.run("TYPE r"), data.run("TYPE k"), "{line}");
        }
        assert_eq!(restored(&mut data, "r", OLD_LIST), "+OK");
        assert_eq!(data.run("LRANGE r 0 -1"), "*3 $1 1 $1 2 $1 3");
    }

    #[test]
    fn what_is_written_here_is_what_redis_writes() {
        let mut data = Data::new();
        // Where neither the order nor what a string is compressed to differs.
        let same = [0, 1, 2, 3, 4, 8, 9, 10, 12];
        for (line, payload) in same.map(|at| RECORDED[at]) {
            data.given(&["DEL k", line]);
            assert_eq!(dumped(&mut data, "k").as_deref(), Some(payload), "{line}");
        }
        assert_eq!(dumped(&mut data, "missing"), None);
    }

    #[test]
    fn values_of_any_kind_and_size_come_back() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut data = Data::new();
        let mut seen = std::collections::BTreeSet::new();
        for round in 0..600 {
            let strings = strings(&mut rng);
            let line: &[u8] = [&b"RPUSH"[..], b"SADD", b"HSET", b"ZADD", b"SET"][round % 5];
            let scores: Vec<_> = strings.iter().map(|_| score(&mut rng)).collect();
            let mut words = vec![line, b"k"];
            match line {
                b"SET" => words.push(&strings[0]),
                b"ZADD" => {
                    let pairs = scores.iter().zip(&strings);
                    words.extend(pairs.flat_map(|(score, member)| [score.as_bytes(), member]));
                }
                b"HSET" => words.extend(strings.iter().chain(&strings).map(Vec::as_slice)),
                _ => words.extend(strings.iter().map(Vec::as_slice)),
            }
            data.given(&["DEL k"]);
            data.answer_words(&words);
            let payload = dumped(&mut data, "k").unwrap();
            assert_eq!(restored(&mut data, "r", &payload), "+OK");
            assert_eq!(digest(&mut data, "r"), digest(&mut data, "k"));
            seen.insert(data.run("OBJECT ENCODING r"));
        }
        let seen: Vec<_> = seen.iter().map(|name| &name[3..]).collect();
        let every = [
            "hashtable",
            "intset",
            "listpack",
            "quicklist",
            "skiplist",
            "raw",
        ];
        assert!(
            every.iter().all(|name| seen.contains(&name.trim())),
            "{seen:?}"
        );
    }

    /// Strings of one sort: numbers, words, or any bytes; few or many of them.
    fn strings(rng: &mut fastrand::Rng) -> Vec<Vec<u8>> {
        let (sort, longest) = (rng.u8(..3), rng.usize(1..300));
        let string = |rng: &mut fastrand::Rng| match sort {
            0 => (rng.i64(..) >> rng.u8(..64)).to_string().into_bytes(),
            1 => format!("member:{}", rng.u16(..1000)).into_bytes(),
            _ => (0..rng.usize(..longest)).map(|_| rng.u8(..)).collect(),
        };
        let most = [1, 20, 1000][rng.usize(..3)];
        (0..rng.usize(1..=most)).map(|_| string(rng)).collect()
    }

    /// Whole or broken, huge, or as near to 0 as can be.
    fn score(rng: &mut fastrand::Rng) -> String {
        let number = f64::from_bits(rng.u64(..));
        match rng.u8(..4) {
            0 => rng.i32(-100..100).to_string(),
            1 => "-inf".to_owned(),
            2 if !number.is_nan() => number.to_string(),
            _ => (f64::from(rng.i32(..)) / 7.0).to_string(),
        }
    }

    /// Payloads of every type, without their footers.
    fn every_type() -> Vec<Vec<u8>> {
        let mut bodies: Vec<_> = RECORDED.iter().map(|(_, payload)| *payload).collect();
        bodies.push(OLD_LIST);
        let mut bodies: Vec<_> = bodies
            .iter()
            .map(|all| all[..all.len() - 10].to_vec())
            .collect();
        // Two numbers, which are also a field and its value, a member and its score.
        let ziplist = b"\x0f\0\0\0\x0c\0\0\0\x02\0\0\xf3\x02\xf6\xff";
        let mut listpack = Listpack::default();
        [&b"f"[..], b"v", b"4102444800000", b"g", b"w", b"0"]
            .iter()
            .for_each(|string| listpack.push(string));
        let listpack = listpack.finish();
        let mut add = |written: Type, parts: &[&[u8]]| {
            bodies.push([&[written as u8], &parts.concat()[..]].concat());
        };
        add(Type::List, &[b"\x03\x01a\xc0\x07\x01b"]);
        add(Type::Zset, &[b"\x02\x01a\x031.5\x01b\xff"]);
        add(Type::HashZipmap, &[b"\x0c\x02\x01f\x01\0v\x01g\x01\0w\xff"]);
        add(Type::ZsetZiplist, &[b"\x0f", ziplist]);
        add(Type::HashZiplist, &[b"\x0f", ziplist]);
        add(
            Type::ListQuicklist,
            &[b"\x02\x0f", ziplist, b"\x0f", ziplist],
        );
        add(Type::SetListpack, &[&[listpack.len() as u8], &listpack]);
        add(
            Type::HashTimes,
            &[b"\x02\x81\0\0\x03\xbb\x2c\xc3\xd8\0\x01f\x01v\0\x01g\x01w"],
        );
        add(
            Type::HashTimesListpack,
            &[&[listpack.len() as u8], &listpack],
        );
        let time = 4_102_444_800_000i64.to_le_bytes();
        add(
            Type::HashTimes2,
            &[&time, b"\x02\x01\x01f\x01v\0\x01g\x01w"],
        );
        add(
            Type::HashTimesListpack2,
            &[&time, &[listpack.len() as u8], &listpack],
        );
        bodies
    }

    /// Changes some bytes: others in their place, more, or fewer.
    fn mangle(body: &mut Vec<u8>, rng: &mut fastrand::Rng) {
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(..body.len());
            match rng.u8(..6) {
                0 => body[at] ^= 1 << rng.u8(..8),
                1 => body[at] = rng.u8(..),
                2 => body[at] = [0, 1, 0x7f, 0x80, 0x81, 0xc3, 0xf0, 0xfe, 0xff][rng.usize(..9)],
                3 => body.truncate(at.max(1)),
                4 => body.insert(at, rng.u8(..)),
                _ => {
                    let part = body[at..].to_vec();
                    let to = rng.usize(..body.len());
                    body.splice(to..to, part);
                }
            }
        }
    }

    #[test]
    fn what_was_tampered_with_is_refused_or_is_a_sound_value_of_its_size() {
        let mut rng = fastrand::Rng::with_seed(11);
        let mut data = Data::new();
        let (mut refused, mut taken) = (0, 0);
        for body in every_type() {
            for _ in 0..400 {
                let mut changed = body.clone();
                mangle(&mut changed, &mut rng);
                let payload = rdb::seal(changed, 10);
                let before = data.keyspace.databases[0].dataset();
                let reply = restored(&mut data, "r", &payload);
                let after = data.keyspace.databases[0].dataset();
                // What is compressed can be longer by 88 times, and a page of
                // slots is added at once.
                assert!(
                    after < before + 100 * payload.len() + (1 << 20),
                    "{payload:?}"
                );
                if reply != "+OK" {
                    assert_eq!(reply, "-ERR Bad data format", "{payload:?}");
                    refused += 1;
                    continue;
                }
                taken += 1;
                let Some(again) = dumped(&mut data, "r") else {
                    // The time of all fields of a hash may have come.
                    continue;
                };
                assert_eq!(restored(&mut data, "s", &again), "+OK", "{payload:?}");
                assert_eq!(
                    digest(&mut data, "s"),
                    digest(&mut data, "r"),
                    "{payload:?}"
                );
            }
        }
        assert!(
            refused > 1000 && taken > 1000,
            "{refused} refused, {taken} taken"
        );
    }

    #[test]
    fn fields_keep_their_times_in_the_version_that_knows_them() {
        let mut data = Data::new();
        for fields in [3, 1000] {
            let rest: String = (3..fields).map(|n| format!(" f{n} v")).collect();
            data.given(&["DEL k", &format!("HSET k a 1 b 2 c 3{rest}")]);
            data.given(&["HPEXPIRE k 5000 FIELDS 1 a", "HPEXPIRE k 9000 FIELDS 1 b"]);
            let payload = dumped(&mut data, "k").unwrap();
            let version = &payload[payload.len() - 10..][..2];
            assert_eq!(
                (payload[0], version),
                (Type::HashTimes2 as u8, &[12, 0][..])
            );
            assert_eq!(restored(&mut data, "r", &payload), "+OK");
            assert_eq!(digest(&mut data, "r"), digest(&mut data, "k"));
            assert_eq!(data.run("HPTTL r FIELDS 3 a b c"), "*3 :5000 :9000 :-1");
            data.now += 6000;
            assert_eq!(data.run("HMGET r a b c"), "*3 $-1 $1 2 $1 3");
            // One whose time has come goes along, and is not there.
            let payload = dumped(&mut data, "k").unwrap();
            assert_eq!(restored(&mut data, "s", &payload), "+OK");
            assert_eq!(data.run("HLEN s"), format!(":{}", fields - 1));
        }
        // Where none is left, any server can read it.
        data.given(&[
            "DEL k",
            "HSET k a 1",
            "HEXPIRE k 9 FIELDS 1 a",
            "HPERSIST k FIELDS 1 a",
        ]);
        let payload = dumped(&mut data, "k").unwrap();
        assert_eq!(payload[0], Type::HashListpack as u8);
    }

    #[test]
    fn what_is_full_restores_nothing_and_keeps_what_was_there() {
        let mut data = Data::new();
        data.given(&["SET k v"]);
        let (name, payload) = ("n".repeat(200), rdb::seal(b"\0\x01w".to_vec(), 10));
        data.keyspace.databases[0].add_no_page();
        assert!(restored(&mut data, &name, &payload).starts_with("-OOM"));
        assert_eq!(data.events(), "");
        assert_eq!(data.run("DBSIZE"), ":1");
    }

    #[test]
    fn what_is_restored_is_new_and_as_old_as_it_is_told_to_be() {
        let mut data = Data::new();
        data.given(&["SET k v"]);
        let payload = rdb::seal(b"\0\x01w".to_vec(), 10);
        assert_eq!(restored(&mut data, "k", &payload), "+OK");
        assert_eq!(data.events(), "new restore");
        for (told, idle) in [("0", ":0"), ("1000", ":1000"), ("16690815", ":16690815")] {
            let options = [b"REPLACE", b"IDLETIME".as_slice(), told.as_bytes()];
            let words = [&[b"RESTORE".as_slice(), b"k", b"0", &payload], &options[..]].concat();
            data.answer_words(&words);
            assert_eq!(data.run("OBJECT IDLETIME k"), idle);
        }
    }
}
