//! Snapshots from outside: whatever is done to the data, they come back as they were, and whoever
//! depends on them hears of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use respd::resp::value::Value;
use respd::{Broker, LocalClient};

use crate::wire::{Wire, show, until};

/// Databases that the tests use.
const DATABASES: usize = 3;

fn start() -> Broker {
    let broker = Broker::builder()
        .for_tests()
        .set("seed", "7")
        .set("enable-debug-command", "yes")
        .start()
        .unwrap();
    broker.clock().freeze();
    broker
}

fn ask(client: &mut LocalClient, line: &str) -> String {
    show(&client.call(&words(line)))
}

/// What the broker's clock says, in milliseconds since 1970.
fn now(broker: &Broker) -> i64 {
    let now = broker.clock().now().duration_since(UNIX_EPOCH);
    now.unwrap().as_millis() as i64
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn number(client: &mut LocalClient, line: &str) -> i64 {
    match client.call(&words(line)) {
        Value::Integer(number) => number,
        other => panic!("{line}: {}", show(&other)),
    }
}

fn info(client: &mut LocalClient, section: &str, field: &str) -> usize {
    let all = ask(client, &format!("INFO {section}"));
    let mut lines = all.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(name, _)| *name == field);
    found.expect(field).1.trim_end().parse().expect(field)
}

/// What can be asked of a key, by database and name.
type Seen = BTreeMap<(usize, Bytes), BTreeMap<&'static str, Value>>;

/// All that clients can ask of the data without changing them.
fn seen(client: &mut LocalClient) -> Seen {
    let mut seen = Seen::new();
    client.call(&["CLIENT", "NO-TOUCH", "ON"]);
    for db in 0..DATABASES {
        client.call(&["SELECT", &db.to_string()]);
        let Value::Array(keys) = client.call(&["KEYS", "*"]) else {
            panic!("KEYS answers an array");
        };
        for key in keys {
            let Value::Bulk(key) = key else {
                panic!("a key is a string");
            };
            let mut ask = |words: &[&str]| {
                let words = words.iter().map(|word| word.as_bytes());
                let words: Vec<&[u8]> = words.chain([&key[..]]).collect();
                client.call(&words)
            };
            let kind = ask(&["TYPE"]);
            let mut about = BTreeMap::from([
                ("DUMP", ask(&["DUMP"])),
                ("OBJECT ENCODING", ask(&["OBJECT", "ENCODING"])),
                ("DEBUG DIGEST-VALUE", ask(&["DEBUG", "DIGEST-VALUE"])),
                ("PEXPIRETIME", ask(&["PEXPIRETIME"])),
            ]);
            match &show(&kind)[..] {
                "stream" => {
                    let words = [&b"XINFO"[..], b"STREAM", &key, b"FULL", b"COUNT", b"0"];
                    about.insert("XINFO", client.call(&words));
                }
                "hash" => {
                    let fields = client.call(&[&b"HGETALL"[..], &key]);
                    about.insert("HGETALL", fields);
                }
                "zset" => {
                    let members = [&b"ZRANGE"[..], &key, b"0", b"-1", b"WITHSCORES"];
                    about.insert("ZRANGE", client.call(&members));
                }
                _ => {}
            }
            about.insert("TYPE", kind);
            seen.insert((db, key), about);
        }
    }
    client.call(&["SELECT", "0"]);
    client.call(&["CLIENT", "NO-TOUCH", "OFF"]);
    seen
}

/// What differs first of two states.
#[track_caller]
fn assert_same(now: &Seen, then: &Seen, what: &str) {
    for (key, then) in then {
        assert_eq!(now.get(key), Some(then), "{what}: {key:?}");
    }
    for key in now.keys() {
        assert!(then.contains_key(key), "{what}: {key:?} is new");
    }
}

/// The lines that differ of two exported texts.
#[track_caller]
fn assert_same_lines(now: &str, then: &str, what: &str) {
    let missing = |some: &str, others: &str| {
        let others: BTreeSet<_> = others.lines().collect();
        let missing = some.lines().filter(|line| !others.contains(line));
        missing.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(missing(now, then), missing(then, now), "{what}");
    assert_eq!(now, then, "{what}");
}

/// Requests, of which `<x>` stands for something drawn by chance: a key of a kind, a value, a
/// field, a member, a number, a time, a database.
const REQUESTS: &[&str] = &[
    "SET <string> <value>",
    "SET <string> <value> PXAT <time>",
    "SET <string> <number> KEEPTTL",
    "SET <any> <value> XX GET",
    "MSET <string> <value> <string> <value>",
    "MSETNX <string> <value> <new> <value>",
    "GETSET <string> <value>",
    "GETDEL <string>",
    "GETEX <string> PXAT <time>",
    "GETEX <string> PERSIST",
    "APPEND <string> <value>",
    "SETRANGE <string> <number> <value>",
    "SETBIT <string> <number> 1",
    "BITFIELD <string> SET u8 <number> 200 INCRBY i5 3 7",
    "BITOP XOR <string> <string> <string>",
    "INCR <counter>",
    "INCRBY <counter> <number>",
    "INCRBYFLOAT <counter> 0.5",
    "PFADD <hll> <value> <value>",
    "PFCOUNT <hll>",
    "PFMERGE <hll> <hll>",
    "LPUSH <list> <value> <value>",
    "RPUSH <list> <value>",
    "RPUSHX <list> <value>",
    "LPOP <list>",
    "RPOP <list> 2",
    "LSET <list> 0 <value>",
    "LREM <list> 1 <value>",
    "LINSERT <list> BEFORE <value> <value>",
    "LTRIM <list> 1 20",
    "LMOVE <list> <list> LEFT RIGHT",
    "LMPOP 2 <list> <list> LEFT COUNT 3",
    "SORT <list> ALPHA LIMIT 0 5 STORE <list>",
    "SORT <set> ALPHA DESC STORE <list>",
    "HSET <hash> <field> <value> <field> <value>",
    "HSETNX <hash> <field> <value>",
    "HDEL <hash> <field> <field>",
    "HINCRBY <hash> n <number>",
    "HINCRBYFLOAT <hash> d 1.5",
    "HPEXPIREAT <hash> <time> FIELDS 2 <field> <field>",
    "HPEXPIREAT <hash> 1 FIELDS 1 <field>",
    "HPERSIST <hash> FIELDS 1 <field>",
    "SADD <set> <number> <number>",
    "SADD <set> <value> <member>",
    "SREM <set> <member> <number>",
    "SPOP <set>",
    "SPOP <set> 3",
    "SMOVE <set> <set> <member>",
    "SUNIONSTORE <set> <set> <set>",
    "SDIFFSTORE <set> <set> <set>",
    "SINTERSTORE <set> <set> <set>",
    "ZADD <zset> <number> <member> <number> <value>",
    "ZADD <zset> XX CH INCR 2.5 <member>",
    "ZINCRBY <zset> <number> <member>",
    "ZREM <zset> <member>",
    "ZPOPMIN <zset>",
    "ZPOPMAX <zset> 2",
    "ZMPOP 1 <zset> MIN",
    "ZREMRANGEBYSCORE <zset> -inf <number>",
    "ZREMRANGEBYRANK <zset> -1 -1",
    "ZUNIONSTORE <zset> 2 <zset> <zset>",
    "ZDIFFSTORE <zset> 2 <zset> <zset>",
    "ZRANGESTORE <zset> <zset> 0 2",
    "GEOADD <geo> 13.<number> 38.<number> <member>",
    "GEOSEARCHSTORE <geo> <geo> FROMLONLAT 13 38 BYRADIUS 500 km",
    "XADD <stream> * <field> <value>",
    "XADD <stream> MAXLEN 5 * <field> <value> <field> <value>",
    "XDEL <stream> <entry>",
    "XTRIM <stream> MAXLEN 3",
    "XSETID <stream> 9999999999999-0",
    "XGROUP CREATE <stream> <group> 0 MKSTREAM",
    "XGROUP CREATECONSUMER <stream> <group> <member>",
    "XGROUP DELCONSUMER <stream> <group> <member>",
    "XGROUP SETID <stream> <group> <entry>",
    "XGROUP CREATE <stream> <group> 0 MKSTREAM",
    "XREADGROUP GROUP g0 <member> STREAMS stream1 >",
    "XREADGROUP GROUP g1 <member> COUNT 2 STREAMS stream0 >",
    "XADD stream0 * <field> <value>",
    "XADD stream1 * <field> <value>",
    "XREADGROUP GROUP <group> <member> COUNT 2 STREAMS <stream> >",
    "XREADGROUP GROUP <group> <member> NOACK STREAMS <stream> >",
    "XACK <stream> <group> <entry>",
    "XCLAIM <stream> <group> <member> 0 <entry> RETRYCOUNT 7",
    "XAUTOCLAIM <stream> <group> <member> 0 0 COUNT 2",
    "DEL <any> <any>",
    "UNLINK <any>",
    "PEXPIREAT <any> <time>",
    "PEXPIREAT <any> <time> GT",
    "PEXPIREAT <new> 1",
    "PERSIST <any>",
    "RENAME <any> <new>",
    "RENAME <any> <any>",
    "RENAMENX <any> <new>",
    "COPY <any> <any> REPLACE",
    "COPY <any> <new> DB <database>",
    "MOVE <any> <database>",
    "RESTORE <new> 0 <dump> REPLACE",
    "RESTORE <new> <time> <dump> REPLACE ABSTTL",
    "TOUCH <any>",
    "GET <string>",
    "HGETALL <hash>",
    "SWAPDB <database> <database>",
    "DEBUG QUICKLIST-PACKED-THRESHOLD 200",
    "DEBUG RELOAD",
    "EVAL return{redis.call('del',KEYS[1]),redis.call('rpush',KEYS[1],ARGV[1],ARGV[1])} 1 <list> <value>",
    "EVAL redis.call('hset',KEYS[1],ARGV[1],1)redis.call('nonsense') 1 <hash> <field>",
];

/// Less often, as little is left afterwards.
const RARE_REQUESTS: &[&str] = &[
    "FLUSHDB",
    "FLUSHDB SYNC",
    "FLUSHDB ASYNC",
    "FLUSHALL",
    "FLUSHALL ASYNC",
    "XGROUP DESTROY stream0 g0",
    "XGROUP DESTROY stream1 g1",
];

/// Settings under which the same requests leave something else.
const SETTINGS: &[&str] = &[
    "maxmemory-policy allkeys-lru",
    "maxmemory-policy allkeys-lfu",
    "maxmemory-policy volatile-ttl",
    "maxmemory-policy allkeys-random",
    "list-max-listpack-size 2",
    "list-max-listpack-size -2",
    "hash-max-listpack-entries 3",
    "hash-max-listpack-entries 128",
    "set-max-intset-entries 4",
    "set-max-intset-entries 512",
    "zset-max-listpack-value 20",
    "zset-max-listpack-value 64",
    "lazyfree-lazy-server-del yes",
    "lazyfree-lazy-server-del no",
];

struct Chance {
    rng: fastrand::Rng,
    /// What a value that is there was serialized to.
    dump: Vec<u8>,
    /// Ids of streams.
    entry: String,
    now: i64,
}

impl Chance {
    fn one_of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.rng.usize(..texts.len())]
    }

    fn request(&mut self) -> Vec<Vec<u8>> {
        let rare = self.rng.u16(..600) == 0;
        let request = self.one_of(if rare { RARE_REQUESTS } else { REQUESTS });
        let words = request.split(' ').map(|word| self.word(word));
        words.collect()
    }

    fn word(&mut self, word: &str) -> Vec<u8> {
        let Some((before, (kind, after))) = word
            .split_once('<')
            .and_then(|(before, rest)| Some((before, rest.split_once('>')?)))
        else {
            return word.into();
        };
        [before.as_bytes(), &self.draw(kind), after.as_bytes()].concat()
    }

    fn draw(&mut self, kind: &str) -> Vec<u8> {
        const KINDS: [&str; 9] = [
            "string", "counter", "hll", "list", "hash", "set", "zset", "geo", "stream",
        ];
        let rng = &mut self.rng;
        let most = if rng.bool() { 5 } else { 300 };
        let number = rng.u32(..most);
        match kind {
            "number" => number.to_string().into(),
            "database" => rng.usize(..DATABASES).to_string().into(),
            "time" => (self.now + rng.i64(1..20_000)).to_string().into(),
            "field" => format!("f{}", number % 40).into(),
            "member" => format!("m{}", number % 40).into(),
            "group" => format!("g{}", number % 2).into(),
            "entry" => self.entry.clone().into(),
            "dump" => self.dump.clone(),
            "value" => match rng.u8(..8) {
                0 => (0..rng.usize(..2_000)).map(|_| rng.u8(..)).collect(),
                1 => vec![b'v'; rng.usize(..100)],
                2 => i64::from(rng.i32(..)).to_string().into(),
                _ => format!("v{number}").into(),
            },
            // Now and then the kind is wrong.
            _ => {
                let is_known = KINDS.contains(&kind) && rng.u8(..30) > 0;
                let kind = if is_known {
                    kind
                } else {
                    KINDS[rng.usize(..9)]
                };
                let long = if rng.u8(..8) == 0 { 300 } else { 0 };
                format!("{kind}{}{}", number % 3, "k".repeat(long)).into()
            }
        }
    }
}

/// What has run, to be shown if something is wrong, and to be sure that all of it has.
#[derive(Default)]
struct Ran(BTreeMap<String, usize>);

impl Ran {
    fn note(&mut self, request: &[Vec<u8>], reply: &Value) {
        let name = String::from_utf8_lossy(&request[0]).into_owned();
        let done = !matches!(reply, Value::Error(_) | Value::Null);
        *self.0.entry(name).or_default() += usize::from(done);
    }
}

fn change(client: &mut LocalClient, chance: &mut Chance, broker: &Broker, ran: &mut Ran) {
    let clock = broker.clock();
    match chance.rng.u32(..100) {
        0..5 => {
            let by = Duration::from_millis(chance.rng.u64(..2_000));
            clock.advance(by);
            chance.now = now(broker);
        }
        5 => {
            let setting = chance.one_of(SETTINGS);
            assert_eq!(ask(client, &format!("CONFIG SET {setting}")), "OK");
        }
        6 => {
            // For a moment there is no room for some of it.
            let used = info(client, "memory", "used_memory");
            let used = used.saturating_sub(chance.rng.usize(..3_000)).max(1);
            client.call(&["CONFIG", "SET", "maxmemory", &used.to_string()]);
            for n in 0..5 {
                client.call(&["SET", &format!("string{n}"), "v"]);
            }
            client.call(&["CONFIG", "SET", "maxmemory", "0"]);
        }
        7..15 => {
            let random = client.call(&["RANDOMKEY"]);
            if let Some(key) = random.as_bytes()
                && let Value::Bulk(dump) = client.call(&[b"DUMP", key])
            {
                chance.dump = dump.to_vec();
            }
            let entries = client.call(&["XRANGE", "stream1", "-", "+"]);
            if let Value::Array(entries) = entries
                && let Some(Value::Array(entry)) = entries.last()
            {
                chance.entry = show(&entry[0]);
            }
        }
        15..20 => _ = ask(client, &format!("SELECT {}", chance.rng.usize(..DATABASES))),
        20..25 => {
            client.call(&["MULTI"]);
            for _ in 0..chance.rng.usize(..6) {
                client.call(&chance.request());
            }
            client.call(&["EXEC"]);
        }
        _ => {
            let request = chance.request();
            let reply = client.call(&request);
            ran.note(&request, &reply);
        }
    }
}

struct Taken {
    id: i64,
    time: i64,
    seen: Seen,
    exported: String,
}

fn take(client: &mut LocalClient, broker: &Broker) -> Taken {
    let exported = ask(client, "RESPD EXPORT");
    let seen = seen(client);
    Taken {
        id: number(client, "RESPD SNAPSHOT"),
        time: now(broker),
        seen,
        exported,
    }
}

fn go_back(client: &mut LocalClient, broker: &Broker, taken: &Taken, what: &str) {
    number(client, &format!("RESPD ROLLBACK {}", taken.id));
    let left = seen(client);
    // What has not expired meanwhile is there, and nothing else.
    let time = now(broker);
    for (key, then) in &taken.seen {
        let is_due = match then["PEXPIRETIME"] {
            Value::Integer(at) => at >= 0 && at <= time,
            _ => false,
        };
        if is_due {
            assert_eq!(left.get(key), None, "{what}: {key:?} has expired");
        } else if show(&then["TYPE"]) != "hash" {
            assert_eq!(left.get(key), Some(then), "{what}: {key:?}");
        }
    }
    assert!(
        left.keys().all(|key| taken.seen.contains_key(key)),
        "{what}"
    );
    // As if it were then again, all of it is.
    let time = UNIX_EPOCH + Duration::from_millis(taken.time as u64);
    broker.clock().set(time);
    number(client, &format!("RESPD ROLLBACK {}", taken.id));
    assert_same_lines(&ask(client, "RESPD EXPORT"), &taken.exported, what);
    assert_same(&seen(client), &taken.seen, what);
    let commands = ask(client, "RESPD EXPORT COMMANDS");
    let again = number(client, "RESPD SNAPSHOT");
    ask(client, "FLUSHALL");
    let loaded = client.call(&["RESPD", "LOAD", "COMMANDS", &commands]);
    assert!(
        matches!(loaded, Value::Integer(_)),
        "{what}: {loaded:?} of {commands}"
    );
    assert_same_lines(&ask(client, "RESPD EXPORT"), &taken.exported, what);
    number(client, &format!("RESPD ROLLBACK {again}"));
    ask(client, &format!("RESPD SNAPSHOT DROP {again}"));
    assert_same(&seen(client), &taken.seen, what);
    assert_eq!(
        ask(client, &format!("RESPD DIFF {}", taken.id)),
        "",
        "{what}"
    );
}

#[test]
fn whatever_is_done_all_data_come_back_as_they_were() {
    let mut ran = Ran::default();
    let mut encodings = BTreeSet::new();
    for seed in 0..4 {
        let broker = start();
        let mut client = broker.client();
        client.call(&["CONFIG", "SET", "lazyfree-lazy-expire", "yes"]);
        let mut chance = Chance {
            rng: fastrand::Rng::with_seed(seed),
            dump: Vec::new(),
            entry: "1-1".into(),
            now: now(&broker),
        };
        let mut taken: Vec<Taken> = Vec::new();
        let mut gone_back = 0;
        for round in 0..4_000 {
            let what = format!("seed {seed}, round {round}");
            match chance.rng.u32(..150) {
                0 if taken.len() < 6 => {
                    let one = take(&mut client, &broker);
                    let of_each = one.seen.values().map(|about| &about["OBJECT ENCODING"]);
                    encodings.extend(of_each.map(show));
                    taken.push(one);
                }
                1 if !taken.is_empty() => {
                    let at = chance.rng.usize(..taken.len());
                    taken.truncate(at + 1);
                    go_back(&mut client, &broker, &taken[at], &what);
                    chance.now = taken[at].time;
                    gone_back += 1;
                }
                2 if taken.len() > 3 => {
                    let dropped = taken.remove(chance.rng.usize(..taken.len()));
                    let line = format!("RESPD SNAPSHOT DROP {}", dropped.id);
                    assert_eq!(ask(&mut client, &line), "OK", "{what}");
                }
                _ => change(&mut client, &mut chance, &broker, &mut ran),
            }
        }
        assert!(gone_back > 10, "only {gone_back} times");
        for one in taken {
            ask(&mut client, &format!("RESPD SNAPSHOT DROP {}", one.id));
        }
        assert_eq!(ask(&mut client, "RESPD SNAPSHOT LIST"), "[]");
    }
    let vain: Vec<_> = ran.0.iter().filter(|(_, done)| **done == 0).collect();
    assert!(vain.is_empty(), "nothing was done by {vain:?}");
    assert_eq!(encodings.len(), 10, "{encodings:?}");
}

#[test]
fn what_a_rollback_removes_gives_its_memory_back() {
    const KEPT: usize = 3_000;
    let broker = start();
    let mut client = broker.client();
    let mut load = |commands: String| {
        let loaded = client.call(&["RESPD", "LOAD", "COMMANDS", &commands]);
        assert!(matches!(loaded, Value::Integer(_)), "{}", show(&loaded));
    };
    // Too long for the slot of a key.
    let long = "x".repeat(500);
    let push = |name: &str| format!("rpush {name} {long}\n");
    load((0..KEPT).map(|n| push(&format!("kept{n}"))).collect());
    let mut client = broker.client();
    client.call(&["RESPD", "SNAPSHOT"]);
    let used = |client: &mut LocalClient| info(client, "memory", "used_memory");
    let before = used(&mut client);
    // Each of the old ones stands among many new ones now.
    let gone = (0..KEPT).map(|n| format!("del kept{n}\n"));
    let names = (0..16 * KEPT).map(|n| match n % 16 {
        0 => format!("kept{}", n / 16),
        _ => format!("new{n}"),
    });
    load(gone.chain(names.map(|name| push(&name))).collect());
    assert!(used(&mut client) > before * 10);
    assert_eq!(number(&mut client, "RESPD ROLLBACK"), 16 * KEPT as i64);
    until("the tables have shrunk", || {
        used(&mut client) < before + before / 10
    });
}

#[test]
fn what_comes_back_tells_of_its_use_as_the_policy_wants() {
    let broker = start();
    let mut client = broker.client();
    client.call(&["SET", "k", "v"]);
    client.call(&["RESPD", "SNAPSHOT"]);
    client.call(&["FLUSHALL"]);
    client.call(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lfu"]);
    client.call(&["RESPD", "ROLLBACK"]);
    client.call(&["SET", "new", "v"]);
    assert_eq!(ask(&mut client, "OBJECT FREQ new"), "5");
}

#[test]
fn who_depends_on_data_hears_that_they_came_back() {
    for undone in ["DEL jobs k", "FLUSHALL", "FLUSHDB ASYNC", "SWAPDB 0 9"] {
        let broker = start();
        let mut client = broker.client();
        client.call(&["RPUSH", "jobs", "one", "two"]);
        client.call(&["SET", "k", "v"]);
        client.call(&["RESPD", "SNAPSHOT"]);
        client.call(&words(undone));
        client.call(&words("XGROUP CREATE events g $ MKSTREAM"));
        let connect = || Wire::connect(broker.addr());
        let [
            mut worker,
            mut reader,
            mut exists,
            mut length,
            mut gone,
            mut keeper,
        ] = std::array::from_fn(|_| connect());
        worker.send(&words("BLPOP jobs 0"));
        reader.send(&words("XREADGROUP GROUP g me BLOCK 0 STREAMS events >"));
        exists.send(&words("RESPD WAIT EXISTS k"));
        length.send(&words("RESPD WAIT LENGTH jobs 1"));
        gone.send(&words("RESPD WAIT GONE events"));
        keeper.call(&["HELLO", "3"]);
        keeper.call(&["CLIENT", "TRACKING", "ON"]);
        assert_eq!(keeper.text(&["GET", "k"]), "nil");
        until("all wait", || {
            info(&mut client, "clients", "blocked_clients") == 5
        });
        client.call(&["RESPD", "ROLLBACK"]);
        assert_eq!(show(&worker.receive()), "[jobs one]", "{undone}");
        assert_eq!(
            show(&reader.receive()),
            "NOGROUP No such key 'events' or consumer group 'g' in XREADGROUP with GROUP \
             option",
            "{undone}"
        );
        for waiting in [&mut exists, &mut length, &mut gone] {
            assert_eq!(show(&waiting.receive()), "OK", "{undone}");
        }
        let told = show(&keeper.receive());
        let expected = if undone.starts_with("DEL") {
            "[invalidate [k]]"
        } else {
            "[invalidate nil]"
        };
        assert_eq!(told, expected, "{undone}");
    }
}

#[test]
fn what_a_load_in_vain_has_emptied_comes_back_for_those_who_look() {
    let broker = start();
    let mut client = broker.client();
    client.call(&["SET", "k", "v"]);
    let mut watcher = broker.client();
    watcher.call(&["WATCH", "k"]);
    let loaded = client.call(&[
        "RESPD",
        "LOAD",
        "COMMANDS",
        "flushall\nset k 2\nflushall\nlpush k",
    ]);
    assert_eq!(
        show(&loaded),
        "ERR line 4: ERR wrong number of arguments for 'lpush' command"
    );
    assert_eq!(
        ask(&mut client, "RESPD EXPORT"),
        "db 0\n  \"k\" string \"v\"\n"
    );
    assert_eq!(ask(&mut client, "RESPD SNAPSHOT LIST"), "[]");
}

#[test]
fn a_fixture_that_cannot_be_stored_says_why_and_stores_nothing() {
    let broker = start();
    let none: [&str; 0] = [];
    let no_entries: [(&str, Vec<(&str, &str)>); 0] = [];
    let minute = Duration::from_secs(60);
    let some = || broker.fixture().string("k", "v");
    for (fixture, expected) in [
        (
            some().list("jobs", none),
            "ERR key \"jobs\": nothing is in it",
        ),
        (
            some().stream("s", no_entries),
            "ERR key \"s\": nothing is in it",
        ),
        (some().db(1).ttl(minute), "ERR a ttl stands behind its key"),
        (
            broker.fixture().ttl(minute).string("k", "v"),
            "ERR a ttl stands behind its key",
        ),
        (some().db(77), "ERR line 3: ERR DB index is out of range"),
    ] {
        assert_eq!(fixture.load().unwrap_err().to_string(), expected);
        assert!(broker.state().is_empty(), "{expected}");
    }
    some().ttl(Duration::from_micros(1)).load().unwrap();
    let state = "db 0\n  \"k\" string, 1 ms left \"v\"\n";
    assert_eq!(broker.state().to_string(), state);
}
