//! What is random is repeated where it follows from a seed.

use respd::{Broker, LocalClient};

use crate::binary::process::serve;
use crate::wire::{Wire, encode, show};

/// Requests that make collections of all forms and draw from them.
fn requests() -> Vec<Vec<String>> {
    const COLLECTIONS: [(&str, &str, &str); 3] = [
        ("SADD", "", "set"),
        ("HSET", "v", "hash"),
        ("ZADD", "7", "zset"),
    ];
    let mut rng = fastrand::Rng::with_seed(1);
    let mut requests: Vec<Vec<String>> = Vec::new();
    let mut add = |line: String| requests.push(line.split(' ').map(str::to_owned).collect());
    for n in 0..300 {
        add(format!("SET key:{} {n}", rng.u16(..)));
        let (command, rest, kind) = COLLECTIONS[rng.usize(..3)];
        let mut line = format!("{command} {kind}:{}", rng.usize(..4));
        for _ in 0..rng.usize(1..200) {
            let name = format!("name:{}", rng.u16(..));
            line += &match command {
                "SADD" => format!(" {name}"),
                "HSET" => format!(" {name} {rest}"),
                _ => format!(" {rest} {name}"),
            };
        }
        add(line);
        let (at, count) = (rng.usize(..4), rng.i8(-30..30));
        add(match rng.usize(..22) {
            0 => format!("SPOP set:{at} {}", count.unsigned_abs()),
            1 => format!("SPOP set:{at}"),
            2 => format!("SRANDMEMBER set:{at} {count}"),
            3 => format!("HRANDFIELD hash:{at} {count} WITHVALUES"),
            4 => format!("ZRANDMEMBER zset:{at} {count}"),
            5 => "RANDOMKEY".to_owned(),
            6 => format!("SCAN {}", rng.u32(..)),
            7 => "KEYS *".to_owned(),
            8 => format!("SMEMBERS set:{at}"),
            9 => format!("HGETALL hash:{at}"),
            10 => format!("SSCAN set:{at} 0 COUNT 20"),
            11 => format!("HSCAN hash:{at} 0 COUNT 20"),
            12 => format!("ZSCAN zset:{at} 0 COUNT 20"),
            13 => "SUNION set:0 set:1 set:2".to_owned(),
            14 => "SDIFF set:0 set:1".to_owned(),
            15 => "SINTER set:0 set:1".to_owned(),
            16 => format!("SUNIONSTORE set:{at} set:1 set:2"),
            17 => "LOLWUT".to_owned(),
            18 => "EVAL return{math.random(1000),redis.call('SRANDMEMBER','set:1')} 0".to_owned(),
            19 => format!("SORT set:{at} BY nosort"),
            20 => format!("DEL set:{at}"),
            _ => "CLIENT ID".to_owned(),
        });
    }
    add("FLUSHALL".to_owned());
    for n in 0..100 {
        add(format!("SET key:{n} {n}"));
    }
    add("KEYS *".to_owned());
    add("RANDOMKEY".to_owned());
    requests
}

fn start(settings: &[(&str, &str)]) -> Broker {
    let settings = settings.iter();
    let builder = Broker::builder().without_port();
    let builder = settings.fold(builder, |builder, (name, value)| builder.set(name, value));
    builder.start().unwrap()
}

/// The replies to the requests; what differs is found sooner in a line.
fn replies(client: &mut LocalClient) -> Vec<String> {
    let reply = |request: &Vec<String>| format!("{request:?}: {}", show(&client.call(request)));
    requests().iter().map(reply).collect()
}

#[track_caller]
fn assert_same(one: &[String], other: &[String]) {
    let differs = one.iter().zip(other).find(|(one, other)| one != other);
    assert_eq!(differs, None);
    assert_eq!(one.len(), other.len());
}

#[test]
fn the_same_requests_have_the_same_replies_with_the_same_seed() {
    let replies = |seed: &str| replies(&mut start(&[("seed", seed)]).client());
    let first = replies("7");
    assert_same(&first, &replies("7"));
    for other in ["8", "0", ""] {
        let other = replies(other);
        let differ = first.iter().zip(&other).filter(|(one, other)| one != other);
        assert!(differ.count() > 100, "little is random");
    }
}

#[test]
fn it_is_so_in_every_process() {
    let replies = || {
        let broker = serve(&["--seed", "18446744073709551615"]);
        let mut client = broker.connect();
        let mut reply = |request: &Vec<String>| {
            let words: Vec<&str> = request.iter().map(String::as_str).collect();
            format!("{request:?}: {}", client.text(&words))
        };
        let replies: Vec<_> = requests().iter().map(&mut reply).collect();
        let run_id = reply(&vec!["INFO".to_owned(), "server".to_owned()]);
        let run_id = run_id.lines().find(|line| line.starts_with("run_id:"));
        let run_id = run_id.unwrap().to_owned();
        broker.stop();
        [replies, vec![run_id]].concat()
    };
    assert_same(&replies(), &replies());
}

#[test]
fn what_a_subscriber_hears_of_comes_in_the_same_order() {
    let heard = |seed: &str| {
        let broker = Broker::builder().set("seed", seed).start().unwrap();
        let mut subscriber = Wire::connect(broker.addr());
        let mut replies = Vec::new();
        for n in 0..50 {
            for command in ["SUBSCRIBE", "PSUBSCRIBE"] {
                replies.push(subscriber.text(&[command, &format!("c{n}*")]));
            }
        }
        let mut client = broker.client();
        for words in [&["PUBLISH", "c1*2", "m"][..], &["PUBSUB", "CHANNELS"]] {
            replies.push(show(&client.call(words)));
        }
        // It was sent to c1* and to c1*2, which nobody has subscribed to.
        replies.push(show(&subscriber.receive()));
        subscriber.send_raw(&[encode(&["UNSUBSCRIBE"]), encode(&["PUNSUBSCRIBE"])].concat());
        replies.extend((0..100).map(|_| show(&subscriber.receive())));
        replies
    };
    assert_same(&heard("1"), &heard("1"));
    assert_ne!(heard("1"), heard("2"));
}

#[test]
fn the_same_keys_are_evicted() {
    for policy in [
        "allkeys-random",
        "allkeys-lru",
        "allkeys-lfu",
        "volatile-random",
    ] {
        let kept = |seed: &str| {
            let broker = start(&[
                ("seed", seed),
                ("maxmemory", "2mb"),
                ("maxmemory-policy", policy),
                ("maxmemory-eviction-tenacity", "100"),
                ("test-commands", "yes"),
            ]);
            // When a key was used last follows from the time, and not from the seed.
            broker.clock().freeze();
            let mut client = broker.client();
            let value = "x".repeat(1000);
            for n in 0..5_000 {
                client.call(&["SET", &format!("key:{n}"), &value, "EX", "10000"]);
            }
            let kept = show(&client.call(&["KEYS", "*"]));
            assert!(kept.len() < 5_000 * 5, "{policy}: nothing was evicted");
            kept
        };
        assert_eq!(kept("1"), kept("1"), "{policy}");
        assert_ne!(kept("1"), kept("2"), "{policy}");
    }
}

#[test]
fn a_seed_that_is_no_number_is_refused() {
    for seed in ["x", "-1", "18446744073709551616"] {
        let error = Broker::builder().set("seed", seed).start().unwrap_err();
        assert!(error.to_string().contains("seed"), "{error}");
    }
}
