//! Clients that do not read what they are sent, and those who must not notice.

use std::time::{Duration, Instant};

use respd::Broker;

use crate::binary::process::serve;
use crate::footprint::Footprint;
use crate::wire::{Wire, assert_serves, encode, info, show, until, until_info};

#[test]
fn replies_that_wait_long_for_their_reader_come_complete_and_in_order() {
    let broker = Broker::start().unwrap();
    let mut client = Wire::connect_narrow(broker.addr());
    let mut counter = Wire::connect(broker.addr());
    const COUNT: usize = 30_000;
    let filler = "x".repeat(100);
    counter.call(&["SET", "filler", &filler]);
    for _ in 0..COUNT / 100 {
        let batch: Vec<u8> = (0..100)
            .flat_map(|_| [encode(&["INCR", "n"]), encode(&["GET", "filler"])].concat())
            .collect();
        client.send_raw(&batch);
    }
    // All have run, and most of what they answered waits.
    until("all requests have run", || {
        counter.text(&["GET", "n"]) == COUNT.to_string()
    });
    for n in 1..=COUNT {
        assert_eq!(show(&client.receive()), n.to_string());
        assert_eq!(show(&client.receive()), filler);
    }
}

#[test]
fn replies_that_nobody_reads_take_no_more_memory_than_the_limit() {
    // Many small replies, and few large ones: a request of 30 bytes asks for a megabyte.
    for request in [["GET", "string"].as_slice(), &["LRANGE", "list", "0", "-1"]] {
        // What an allocator has kept of one client's replies is not to count with the next.
        let broker = serve(&["--client-output-buffer-limit", "normal", "8mb", "0", "0"]);
        let mut probe = broker.connect();
        let elements = vec!["x".repeat(1000); 1000];
        let mut push = vec!["RPUSH", "list"];
        push.extend(elements.iter().map(String::as_str));
        assert_eq!(probe.text(&push), "1000");
        assert_eq!(probe.text(&["SET", "string", &"x".repeat(1000)]), "OK");
        let before = Footprint::of(broker.process.id());
        let mut deaf = Wire::connect_narrow(broker.addr());
        let sent = deaf.flood(&encode(request).repeat(250), 10_000);
        assert!(sent < 10_000, "{request:?}: it is never cut off");
        let peak = Footprint::of(broker.process.id()).peak - before.resident;
        assert!(
            peak < 16 << 20,
            "{request:?}: {peak} bytes for a limit of 8 MB"
        );
        assert_eq!(
            info(&mut probe, "client_output_buffer_limit_disconnections"),
            "1"
        );
        assert_serves(broker.addr());
        broker.stop();
    }
}

#[test]
fn a_client_that_is_behind_holds_about_what_waits_for_it() {
    const STEP: usize = 1 << 20;
    let broker = Broker::start().unwrap();
    let mut probe = Wire::connect(broker.addr());
    let value = "x".repeat(1000);
    assert_eq!(probe.text(&["SET", "value", &value]), "OK");
    let elements = vec![&value[..100]; 1000];
    assert_eq!(
        probe.text(&[&["RPUSH", "list"], &elements[..]].concat()),
        "1000"
    );
    // Replies, and messages. Each step adds about as much.
    let get = encode(&["GET", "value"]).repeat(STEP / 1000);
    let list = encode(&["LRANGE", "list", "0", "-1"]).repeat(STEP / 100_000);
    for requests in [get, list, Vec::new()] {
        let mut deaf = Wire::connect_narrow(broker.addr());
        let id = deaf.text(&["CLIENT", "ID"]);
        if requests.is_empty() {
            deaf.call(&["SUBSCRIBE", "c"]);
        }
        for step in 1..=20 {
            deaf.send_raw(&requests);
            if requests.is_empty() {
                let publish = encode(&["PUBLISH", "c", &value]).repeat(STEP / 1000);
                probe.send_raw(&publish);
                (0..STEP / 1000).for_each(|_| drop(probe.receive()));
            } else {
                deaf.send(&["INCR", &format!("steps:{id}")]);
                until("the requests have run", || {
                    probe.text(&["GET", &format!("steps:{id}")]) == step.to_string()
                });
            }
            let (waiting, held) = (
                client_field(&mut probe, &id, "obl"),
                client_field(&mut probe, &id, "omem"),
            );
            assert!(
                held <= waiting + waiting / 8 + (256 << 10),
                "{held} bytes held for {waiting} in step {step}"
            );
        }
        assert!(client_field(&mut probe, &id, "obl") > 10 * STEP);
    }
}

/// A number from the line of a client in CLIENT LIST.
fn client_field(probe: &mut Wire, id: &str, field: &str) -> usize {
    let line = probe.text(&["CLIENT", "LIST", "ID", id]);
    let value = line.split_once(&format!(" {field}=")).unwrap().1;
    value.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_stranger_who_does_not_read_is_cut_off() {
    let broker = serve(&["--requirepass", "secret"]);
    let before = Footprint::of(broker.process.id());
    let mut stranger = Wire::connect_narrow(broker.addr());
    let batch = b"PING\r\n".repeat(1000);
    let sent = stranger.flood(&batch, 10_000);
    assert!(
        sent < 10_000,
        "{sent} times a thousand refusals, and none was read"
    );
    let peak = Footprint::of(broker.process.id()).peak - before.resident;
    assert!(
        peak < 16 << 20,
        "{peak} bytes for somebody who has not authenticated"
    );
    assert_eq!(broker.connect().text(&["AUTH", "secret"]), "OK");
    broker.stop();
}

#[test]
fn a_subscriber_that_stays_above_the_soft_limit_is_cut_off_with_no_more_traffic() {
    let broker = Broker::builder()
        .set("client-output-buffer-limit", "pubsub 0 1mb 1")
        .start()
        .unwrap();
    let mut deaf = Wire::connect_narrow(broker.addr());
    deaf.call(&["SUBSCRIBE", "c"]);
    // One that was behind and has caught up stays.
    let mut slow = Wire::connect_narrow(broker.addr());
    slow.call(&["SUBSCRIBE", "c"]);
    let mut publisher = Wire::connect(broker.addr());
    let payload = "x".repeat(100_000);
    let start = Instant::now();
    for _ in 0..80 {
        publisher.call(&["PUBLISH", "c", &payload]);
    }
    (0..80).for_each(|_| drop(slow.receive()));
    until_info(
        &mut publisher,
        "client_output_buffer_limit_disconnections",
        1,
    );
    assert!(
        start.elapsed() > Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(publisher.text(&["PUBLISH", "c", "m"]), "1");
    assert_eq!(show(&slow.receive()), "[message c m]");
    assert_eq!(publisher.text(&["CONFIG", "GET", "port"]), "[port 0]");
}

#[test]
fn a_publisher_with_deaf_subscribers_goes_on_and_the_others_lose_nothing() {
    for workers in ["1", "3"] {
        let broker = Broker::builder()
            .set("workers", workers)
            .set("client-output-buffer-limit", "pubsub 2mb 0 0")
            .start()
            .unwrap();
        let mut deaf: Vec<Wire> = (0..5)
            .map(|_| Wire::connect_narrow(broker.addr()))
            .collect();
        for client in &mut deaf {
            client.call(&["SUBSCRIBE", "c"]);
            client.call(&["PSUBSCRIBE", "*"]);
        }
        let mut keen = Wire::connect(broker.addr());
        keen.call(&["SUBSCRIBE", "c"]);
        let filler = "x".repeat(10_000);
        let mut publisher = Wire::connect(broker.addr());
        // Half a megabyte at a time, so that who reads never has as much as the limit before it.
        for first in (0..2_000).step_by(50) {
            let payloads: Vec<String> = (first..first + 50)
                .map(|n| format!("{n}:{filler}"))
                .collect();
            for payload in &payloads {
                publisher.send(&["PUBLISH", "c", payload]);
            }
            for payload in &payloads {
                publisher.receive();
                let message = show(&keen.receive());
                assert!(
                    message == format!("[message c {payload}]"),
                    "{}… instead of {}…",
                    &message[..20],
                    &payload[..10]
                );
            }
        }
        assert_eq!(publisher.text(&["PUBLISH", "c", "last"]), "1");
        until_info(&mut publisher, "connected_clients", 2);
        let cut = info(&mut publisher, "client_output_buffer_limit_disconnections");
        assert_eq!(cut, "5");
    }
}

#[test]
fn nothing_comes_after_an_unsubscription_is_confirmed() {
    for workers in ["1", "3"] {
        let broker = Broker::builder().set("workers", workers).start().unwrap();
        let mut subscriber = Wire::connect(broker.addr());
        let mut publisher = Wire::connect(broker.addr());
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let publishing = std::thread::spawn({
            let stop = stop.clone();
            move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    publisher.call(&["PUBLISH", "c", "m"]);
                }
            }
        });
        for _ in 0..300 {
            assert_eq!(subscriber.text(&["SUBSCRIBE", "c"]), "[subscribe c 1]");
            subscriber.send(&["UNSUBSCRIBE", "c"]);
            loop {
                match show(&subscriber.receive()).as_str() {
                    "[message c m]" => {}
                    "[unsubscribe c 0]" => break,
                    other => panic!("{other}"),
                }
            }
            // The reply to PING would come behind a message.
            assert_eq!(subscriber.text(&["PING"]), "PONG");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        publishing.join().unwrap();
    }
}

#[test]
fn a_hundred_thousand_subscriptions_of_one_client_go_with_it() {
    let broker = Broker::start().unwrap();
    let mut other = Wire::connect(broker.addr());
    for (command, field, count) in [
        ("SUBSCRIBE", "pubsub_channels", 100_000),
        ("PSUBSCRIBE", "pubsub_patterns", 30_000),
        ("SSUBSCRIBE", "pubsubshard_channels", 30_000),
    ] {
        let mut subscriber = Wire::connect(broker.addr());
        let names: Vec<String> = (0..count).map(|n| format!("a:name:{n}")).collect();
        for names in names.chunks(5_000) {
            let mut words = vec![command];
            words.extend(names.iter().map(String::as_str));
            subscriber.send(&words);
            names.iter().for_each(|_| drop(subscriber.receive()));
        }
        assert_eq!(info(&mut other, field), count.to_string());
        drop(subscriber);
        let mut longest = Duration::ZERO;
        until("the channels are gone", || {
            let start = Instant::now();
            assert_eq!(other.text(&["PING"]), "PONG");
            longest = longest.max(start.elapsed());
            info(&mut other, field) == "0"
        });
        assert!(
            longest < Duration::from_secs(2),
            "{command}: a PING took {longest:?}"
        );
    }
}
