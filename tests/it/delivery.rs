//! Who gets what, in which order.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use respd::Broker;

use crate::wire::{Wire, encode, show, until};

#[test]
fn a_thousand_subscribers_get_a_thousand_messages_in_order() {
    let broker = Broker::start().unwrap();
    let mut subscribers: Vec<_> = (0..1000).map(|_| Wire::connect(broker.addr())).collect();
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.text(&["SUBSCRIBE", "c"]), "[subscribe c 1]");
    }
    let mut publisher = Wire::connect(broker.addr());
    let expected: Vec<u8> = (0..1000)
        .flat_map(|n| encode(&["message", "c", &n.to_string()]))
        .collect();
    let receivers = std::thread::spawn({
        let expected = expected.clone();
        move || {
            for (at, subscriber) in subscribers.iter().enumerate() {
                let mut got = vec![0; expected.len()];
                subscriber.stream().read_exact(&mut got).unwrap();
                assert!(got == expected, "subscriber {at} got something else");
            }
        }
    });
    for n in 0..1000 {
        publisher.send(&["PUBLISH", "c", &n.to_string()]);
    }
    for n in 0..1000 {
        assert_eq!(show(&publisher.receive()), "1000", "message {n}");
    }
    receivers.join().unwrap();
}

/// What the kernel hands over in a Unix socket is there when the write
/// returns, so the order of the writes shows.
#[test]
fn messages_and_items_leave_before_the_replies_of_those_who_sent_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sock");
    let builder = Broker::builder().set("unixsocket", path.to_str().unwrap());
    let _broker = builder.start().unwrap();
    let connect = || UnixStream::connect(&path).unwrap();
    let expect = |stream: &mut UnixStream, expected: &str| {
        let mut got = vec![0; expected.len()];
        let outcome = stream.read_exact(&mut got);
        assert_eq!(
            (outcome.map_err(|e| e.kind()), String::from_utf8_lossy(&got)),
            (Ok(()), expected.into())
        );
    };
    let (mut subscriber, mut consumer, mut sender) = (connect(), connect(), connect());
    subscriber.write_all(b"SUBSCRIBE c\r\n").unwrap();
    expect(
        &mut subscriber,
        "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n",
    );
    for stream in [&mut subscriber, &mut consumer] {
        stream.set_nonblocking(true).unwrap();
    }
    for _ in 0..100 {
        sender.write_all(b"PUBLISH c hi\r\n").unwrap();
        expect(&mut sender, ":1\r\n");
        expect(
            &mut subscriber,
            "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n",
        );
        // A connection's requests run in the order in which they came, so when
        // the second is answered, the pop waits.
        consumer.write_all(b"PING\r\nBLPOP q 0\r\n").unwrap();
        consumer.set_nonblocking(false).unwrap();
        expect(&mut consumer, "+PONG\r\n");
        consumer.set_nonblocking(true).unwrap();
        sender.write_all(b"LPUSH q x\r\n").unwrap();
        expect(&mut sender, ":1\r\n");
        expect(&mut consumer, "*2\r\n$1\r\nq\r\n$1\r\nx\r\n");
    }
}

#[test]
fn two_publishers_are_seen_in_the_same_order_by_all() {
    let broker = Broker::builder().set("workers", "3").start().unwrap();
    let mut subscribers: Vec<_> = (0..6).map(|_| Wire::connect(broker.addr())).collect();
    for subscriber in &mut subscribers {
        subscriber.call(&["SUBSCRIBE", "c"]);
    }
    let publishers: Vec<_> = (0..4)
        .map(|publisher| {
            let mut wire = Wire::connect(broker.addr());
            std::thread::spawn(move || {
                for n in 0..500 {
                    wire.call(&["PUBLISH", "c", &format!("{publisher}:{n}")]);
                }
            })
        })
        .collect();
    publishers
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    let seen: Vec<Vec<String>> = subscribers
        .iter_mut()
        .map(|s| (0..2000).map(|_| show(&s.receive())).collect())
        .collect();
    for other in &seen[1..] {
        assert!(*other == seen[0], "two subscribers saw different orders");
    }
}

#[test]
fn a_subscriber_that_does_not_read_is_cut_off_and_nobody_else_notices() {
    let broker = Broker::builder()
        .set("client-output-buffer-limit", "pubsub 1mb 0 0")
        .start()
        .unwrap();
    let mut deaf = Wire::connect(broker.addr());
    deaf.call(&["SUBSCRIBE", "c"]);
    let mut keen = Wire::connect(broker.addr());
    keen.call(&["SUBSCRIBE", "c"]);
    let mut publisher = Wire::connect(broker.addr());
    let payload = "x".repeat(100_000);
    let mut sent = 0;
    until("the deaf subscriber is cut off", || {
        let receivers = show(&publisher.call(&["PUBLISH", "c", &payload]));
        assert_eq!(show(&keen.receive()), format!("[message c {payload}]"));
        sent += 1;
        receivers == "1"
    });
    assert!(sent > 10, "cut off after {sent} messages");
    assert_eq!(publisher.text(&["PING"]), "PONG");
}

#[test]
fn a_message_that_matches_a_channel_and_patterns_comes_once_for_each() {
    let broker = Broker::start().unwrap();
    let mut subscriber = Wire::connect(broker.addr());
    subscriber.call(&["SUBSCRIBE", "news"]);
    for pattern in ["n*", "*s", "nope*"] {
        subscriber.call(&["PSUBSCRIBE", pattern]);
    }
    let mut publisher = Wire::connect(broker.addr());
    assert_eq!(publisher.text(&["PUBLISH", "news", "m"]), "3");
    assert_eq!(show(&subscriber.receive()), "[message news m]");
    let mut patterns = [show(&subscriber.receive()), show(&subscriber.receive())];
    patterns.sort();
    assert_eq!(patterns, ["[pmessage *s news m]", "[pmessage n* news m]"]);
}

#[test]
fn replies_stay_in_order_while_the_client_does_not_read() {
    let broker = Broker::start().unwrap();
    let mut other = Wire::connect(broker.addr());
    // More than the buffers of the sockets take.
    let value = "x".repeat(8 * 1024 * 1024);
    other.call(&["SET", "large", &value]);
    let mut client = Wire::connect(broker.addr());
    client.call(&["CLIENT", "SETNAME", "late"]);
    for _ in 0..4 {
        client.send(&["GET", "large"]);
    }
    let list = |other: &mut Wire| other.text(&["CLIENT", "LIST"]);
    let late = |list: &str, what: &str| {
        let mut lines = list.lines();
        lines.any(|line| line.contains("name=late") && line.contains(what))
    };
    until("the replies wait to be read", || {
        let list = list(&mut other);
        late(&list, "cmd=get") && late(&list, "events=rw")
    });
    client.send(&["ECHO", "behind them"]);
    until("one more waits behind them", || {
        late(&list(&mut other), "cmd=echo")
    });
    for at in 0..4 {
        assert!(show(&client.receive()) == value, "reply {at} is another");
    }
    assert_eq!(show(&client.receive()), "behind them");
}
