//! A broker that was given so much memory stays within it, whatever is written.

use crate::binary::process::serve;
use crate::footprint::Footprint;
use crate::wire::{Wire, encode, show, until};

const MAX: u64 = 2 << 20;
/// What a command may take on top, and a turn that is not over.
const SLACK: u64 = 256 << 10;

const POLICIES: [&str; 7] = [
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
];

fn field(client: &mut Wire, section: &str, field: &str) -> u64 {
    let all = client.text(&["INFO", section]);
    let mut lines = all.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(name, _)| *name == field);
    found.unwrap().1.trim_end().parse().unwrap()
}

/// The requests that write some data of every kind, of which each key expires.
fn writes(round: u32) -> Vec<Vec<u8>> {
    let (key, long) = (|kind: &str| format!("{kind}:{round}"), "v".repeat(300));
    let member = |n: u32| format!("member:{round}:{n}");
    let [a, b, c] = [1, 2, 3].map(member);
    let ttl = (100_000 + round).to_string();
    let keys = ["string", "list", "hash", "set", "zset"].map(key);
    let [string, list, hash, set, zset] = &keys;
    let mut requests = vec![
        encode(&["SET", string, &long]),
        encode(&["RPUSH", list, &a, &b, &long]),
        encode(&["HSET", hash, &a, &long, &b, &c]),
        encode(&["SADD", set, &a, &b, &c]),
        encode(&["ZADD", zset, "1", &a, "2", &b, "3", &c]),
    ];
    // Now and then something large.
    if round.is_multiple_of(50) {
        let values = vec![long.as_str(); 400];
        requests.push(encode(&[&["RPUSH", list], &values[..]].concat()));
        requests.push(encode(&["SET", string, &long.repeat(60)]));
    }
    requests.extend(keys.iter().map(|key| encode(&["EXPIRE", key, &ttl])));
    requests
}

#[test]
fn under_every_policy_a_broker_stays_within_its_memory() {
    for policy in POLICIES {
        let max = MAX.to_string();
        let broker = serve(&["--maxmemory", &max, "--maxmemory-policy", policy]);
        let mut client = broker.connect();
        let resident = || Footprint::of(broker.process.id()).resident;
        let before = resident();
        let (mut sent, mut round) = (0, 0);
        while sent < 10 * MAX {
            let requests: Vec<_> = (round..round + 20).flat_map(writes).collect();
            round += 20;
            sent += requests
                .iter()
                .map(|request| request.len() as u64)
                .sum::<u64>();
            client.send_raw(&requests.concat());
            for _ in requests {
                let reply = show(&client.receive());
                assert!(!reply.starts_with("OOM"), "{policy}: {reply}");
            }
            if round.is_multiple_of(100) {
                let used = field(&mut client, "memory", "used_memory");
                assert!(used <= MAX + SLACK, "{policy}: {used}");
            }
        }
        assert!(
            field(&mut client, "stats", "evicted_keys") > 1_000,
            "{policy}"
        );
        let used = field(&mut client, "memory", "used_memory");
        assert!(used > MAX / 2, "{policy}: {used} is far from the limit");
        // With what is free between keys, and the code that has run. What a burst took on top is
        // given back within a second.
        until(&format!("{policy}: memory is given back"), || {
            resident().saturating_sub(before) < 3 * MAX + (12 << 20)
        });
    }
}

#[test]
fn without_a_policy_a_broker_is_full_and_goes_on() {
    let broker = serve(&["--maxmemory", "2mb"]);
    let mut client = broker.connect();
    let value = "v".repeat(1000);
    let refused = (0..10_000).find(|n| {
        let reply = client.text(&["SET", &n.to_string(), &value]);
        reply != "OK"
    });
    let stored = refused.expect("it is full");
    assert!((1_000..2_100).contains(&stored), "{stored}");
    let oom = "OOM command not allowed when used memory > 'maxmemory'.";
    assert_eq!(client.text(&["SET", "k", "v"]), oom);
    assert_eq!(client.text(&["GET", "0"]), value);
    assert_eq!(client.text(&["DBSIZE"]), stored.to_string());
    assert_eq!(field(&mut client, "stats", "evicted_keys"), 0);
    for n in 0..20 {
        assert_eq!(client.text(&["DEL", &n.to_string()]), "1");
    }
    assert_eq!(client.text(&["SET", "k", "v"]), "OK");
}

#[test]
fn a_limit_that_is_set_while_it_runs_holds_at_once() {
    let broker = respd::Broker::start().unwrap();
    let mut client = Wire::connect(broker.addr());
    for n in 0..20_000 {
        client.send(&["SET", &n.to_string(), "a value of some length, as they are"]);
    }
    (0..20_000).for_each(|_| _ = client.receive());
    let used = field(&mut client, "memory", "used_memory");
    let limit = used / 2;
    let settings = [
        "maxmemory",
        &limit.to_string(),
        "maxmemory-policy",
        "allkeys-lru",
    ];
    let set = [&["CONFIG", "SET"], &settings[..]].concat();
    assert_eq!(client.text(&set), "OK");
    // Nobody writes, and it is done all the same.
    until("there is room", || {
        field(&mut client, "memory", "used_memory") <= limit
    });
    let evicted = field(&mut client, "stats", "evicted_keys");
    assert!((8_000..12_000).contains(&evicted), "{evicted}");
    assert_eq!(client.text(&["DBSIZE"]), (20_000 - evicted).to_string());
}

#[test]
fn what_was_not_used_for_longest_goes_first() {
    let broker = respd::Broker::start().unwrap();
    let mut client = Wire::connect(broker.addr());
    let value = "v".repeat(100);
    for n in 0..2_000 {
        client.text(&["SET", &n.to_string(), &value]);
        // As if it had not been used for long.
        client.send(&["DUMP", &n.to_string()]);
        let dumped = client.receive();
        let idle = if n % 2 == 0 { "1000" } else { "1" };
        let mut request = b"*7\r\n$7\r\nRESTORE\r\n".to_vec();
        let dumped = dumped.as_bytes().unwrap();
        for word in [
            n.to_string().as_bytes(),
            b"0",
            dumped,
            b"REPLACE",
            b"IDLETIME",
            idle.as_bytes(),
        ] {
            request.extend(format!("${}\r\n", word.len()).bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        client.send_raw(&request);
        assert_eq!(show(&client.receive()), "OK");
    }
    let limit = field(&mut client, "memory", "used_memory") * 7 / 10;
    let limit = limit.to_string();
    let settings = ["maxmemory-policy", "allkeys-lru", "maxmemory", &limit];
    client.text(&[&["CONFIG", "SET"], &settings[..]].concat());
    until("there is room", || {
        field(&mut client, "stats", "evicted_keys") > 400
    });
    let keys = |client: &mut Wire, odd: usize| {
        let there = (odd..2_000)
            .step_by(2)
            .filter(|n| client.text(&["EXISTS", &n.to_string()]) == "1");
        there.count()
    };
    let (old, new) = (keys(&mut client, 0), keys(&mut client, 1));
    assert!(
        new > 980,
        "{new} of those that were just used are left, and {old} others"
    );
}

#[test]
fn clients_that_hold_too_much_are_closed_the_heaviest_first() {
    let broker = respd::Broker::builder()
        .set("maxmemory-clients", "2mb")
        .start()
        .unwrap();
    let mut client = Wire::connect(broker.addr());
    let long = "v".repeat(100_000);
    let mut spared = Wire::connect(broker.addr());
    assert_eq!(spared.text(&["CLIENT", "NO-EVICT", "ON"]), "OK");
    assert_eq!(spared.text(&["MULTI"]), "OK");
    for _ in 0..8 {
        assert_eq!(spared.text(&["SET", "k", &long]), "QUEUED");
    }
    let mut heavy = Wire::connect(broker.addr());
    assert_eq!(heavy.text(&["MULTI"]), "OK");
    let queued = (0..100).take_while(|_| {
        heavy.send_anyway(&encode(&["SET", "k", &long]));
        heavy.fill().is_ok_and(|len| len > 0)
    });
    let queued = queued.count();
    assert!((8..20).contains(&queued), "{queued}");
    assert_eq!(field(&mut client, "stats", "evicted_clients"), 1);
    assert_eq!(spared.text(&["DISCARD"]), "OK");
    until("what they held is counted no more", || {
        field(&mut client, "memory", "mem_clients_normal") < 100_000
    });
}
