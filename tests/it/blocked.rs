//! Blocked clients that go away, pile up or run in circles, and the items that must not get lost.

use std::collections::HashSet;

use respd::Broker;

use crate::wire::{Wire, assert_serves, info, until_info};

/// How a client goes away while it waits.
#[derive(Clone, Copy, Debug)]
enum Leave {
    Close,
    Reset,
    HalfClose,
    Killed,
}

#[test]
fn an_item_is_kept_when_the_client_that_waited_for_it_has_gone() {
    for workers in ["1", "3"] {
        let broker = start(workers);
        let mut pusher = Wire::connect(broker.addr());
        for leave in [Leave::Close, Leave::Reset, Leave::HalfClose, Leave::Killed] {
            let mut gone = Wire::connect(broker.addr());
            let id = gone.text(&["CLIENT", "ID"]);
            gone.send(&["BLPOP", "a", "queue", "0"]);
            until_info(&mut pusher, "blocked_clients", 1);
            // A half-closed client may still be there to see its end.
            let half_open = match leave {
                Leave::Close => {
                    drop(gone);
                    None
                }
                Leave::Reset => {
                    gone.reset();
                    None
                }
                Leave::HalfClose => {
                    gone.finish();
                    Some(gone)
                }
                Leave::Killed => {
                    assert_eq!(pusher.text(&["CLIENT", "KILL", "ID", &id]), "1");
                    Some(gone)
                }
            };
            if !matches!(leave, Leave::Killed) {
                until_info(&mut pusher, "blocked_clients", 0);
            }
            // A client that has been killed gets nothing even if it is still about to be closed.
            assert_eq!(pusher.text(&["RPUSH", "queue", "x"]), "1", "{leave:?}");
            assert_eq!(pusher.text(&["LPOP", "queue"]), "x", "{leave:?}");
            if let Some(mut client) = half_open {
                assert_eq!(client.rest(), b"", "{leave:?}");
            }
        }
        until_info(&mut pusher, "total_blocking_keys", 0);
        assert_serves(broker.addr());
    }
}

#[test]
fn a_push_that_races_the_end_of_the_waiting_client_loses_nothing() {
    for workers in ["1", "3"] {
        let broker = start(workers);
        let mut pusher = Wire::connect(broker.addr());
        let (mut delivered, mut remaining) = (0, 0);
        const ROUNDS: usize = 300;
        for round in 0..ROUNDS {
            let mut waiting = Wire::connect(broker.addr());
            waiting.send(&["BLPOP", "queue", "0"]);
            until_info(&mut pusher, "blocked_clients", 1);
            // It says that nothing more comes, and reads on: whatever is popped for it arrives.
            let half_close = std::thread::spawn(move || {
                if round % 2 == 0 {
                    std::thread::yield_now();
                }
                waiting.finish();
                waiting.rest()
            });
            if round % 3 == 0 {
                std::thread::yield_now();
            }
            assert_eq!(pusher.text(&["RPUSH", "queue", "x"]), "1");
            match half_close.join().unwrap().as_slice() {
                b"" => {}
                b"*2\r\n$5\r\nqueue\r\n$1\r\nx\r\n" => delivered += 1,
                other => panic!("{}", String::from_utf8_lossy(other)),
            }
            if pusher.text(&["LPOP", "queue"]) == "x" {
                remaining += 1;
            }
        }
        assert_eq!(
            delivered + remaining,
            ROUNDS,
            "workers {workers}: {delivered} delivered, {remaining} kept"
        );
    }
}

#[test]
fn a_push_that_races_a_time_out_is_delivered_or_kept() {
    for workers in ["1", "3"] {
        let broker = start(workers);
        let addr = broker.addr();
        const EACH: usize = 150;
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let mut client = Wire::connect(addr);
                std::thread::spawn(move || {
                    let replies =
                        (0..EACH).map(|_| client.text(&["BLPOP", "queue", "other", "0.002"]));
                    replies.filter(|reply| reply != "nil").collect::<Vec<_>>()
                })
            })
            .collect();
        let mut pusher = Wire::connect(addr);
        let mut pushed = 0;
        while waiting.iter().any(|thread| !thread.is_finished()) {
            pusher.call(&["RPUSH", "queue", &pushed.to_string()]);
            pushed += 1;
        }
        let mut seen = HashSet::new();
        for thread in waiting {
            for reply in thread.join().unwrap() {
                let item = reply.strip_prefix("[queue ").unwrap().to_owned();
                let item = item.trim_end_matches(']').to_owned();
                assert!(seen.insert(item), "{reply} came twice");
            }
        }
        let kept: usize = pusher.text(&["LLEN", "queue"]).parse().unwrap();
        assert_eq!(seen.len() + kept, pushed, "workers {workers}");
    }
}

#[test]
fn two_hundred_who_wait_are_served_in_the_order_in_which_they_came() {
    for workers in ["1", "3"] {
        let broker = start(workers);
        let mut pusher = Wire::connect(broker.addr());
        let mut waiting: Vec<Wire> = (0..200).map(|_| Wire::connect(broker.addr())).collect();
        for (at, client) in waiting.iter_mut().enumerate() {
            client.send(&["BLPOP", "queue", "0"]);
            until_info(&mut pusher, "blocked_clients", at + 1);
        }
        let items: Vec<String> = (0..200).map(|n| n.to_string()).collect();
        let mut push = vec!["RPUSH", "queue"];
        push.extend(items.iter().map(String::as_str));
        assert_eq!(pusher.text(&push), "200");
        for (at, client) in waiting.iter_mut().enumerate() {
            let reply = client.receive();
            assert_eq!(crate::wire::show(&reply), format!("[queue {at}]"));
        }
        assert_eq!(pusher.text(&["EXISTS", "queue"]), "0");
    }
}

#[test]
fn a_ring_of_clients_that_move_an_item_on_comes_to_rest() {
    for workers in ["1", "3"] {
        let broker = start(workers);
        let mut pusher = Wire::connect(broker.addr());
        let mut ring: Vec<Wire> = (0..10).map(|_| Wire::connect(broker.addr())).collect();
        // One that moves an item from a list to itself comes before the one who moves it on.
        let mut eater = Wire::connect(broker.addr());
        eater.send(&["BLMOVE", "r5", "r5", "LEFT", "RIGHT", "0"]);
        until_info(&mut pusher, "blocked_clients", 1);
        for (at, client) in ring.iter_mut().enumerate() {
            let (from, to) = (format!("r{at}"), format!("r{}", (at + 1) % 10));
            client.send(&["BLMOVE", &from, &to, "LEFT", "RIGHT", "0"]);
        }
        until_info(&mut pusher, "blocked_clients", 11);
        pusher.call(&["RPUSH", "r0", "x"]);
        for client in ring.iter_mut().chain([&mut eater]) {
            assert_eq!(crate::wire::show(&client.receive()), "x");
        }
        assert_eq!(info(&mut pusher, "blocked_clients"), "0");
        assert_eq!(pusher.text(&["LRANGE", "r0", "0", "-1"]), "[x]");
        assert_eq!(pusher.text(&["DBSIZE"]), "1");
    }
}

#[test]
fn one_who_waits_for_many_keys_gets_one_item_and_waits_for_none_then() {
    let broker = Broker::start().unwrap();
    let mut pusher = Wire::connect(broker.addr());
    let mut waiting = Wire::connect(broker.addr());
    let names: Vec<String> = (0..1000).map(|n| format!("k{}", n % 500)).collect();
    let mut words = vec!["BLPOP"];
    words.extend(names.iter().map(String::as_str));
    words.push("0");
    waiting.send(&words);
    until_info(&mut pusher, "total_blocking_keys", 500);
    pusher.send(&["MULTI"]);
    for key in ["k300", "k7", "k299"] {
        pusher.send(&["RPUSH", key, "a", "b"]);
    }
    pusher.send(&["EXEC"]);
    // Its command runs again after the whole transaction, and finds the first of its own keys.
    let reply = crate::wire::show(&waiting.receive());
    assert_eq!(reply, "[k7 a]");
    (0..4).for_each(|_| drop(pusher.receive()));
    assert_eq!(crate::wire::show(&pusher.receive()), "[2 2 2]");
    assert_eq!(info(&mut pusher, "blocked_clients"), "0");
    assert_eq!(info(&mut pusher, "total_blocking_keys"), "0");
    assert_eq!(waiting.text(&["LLEN", "k7"]), "1");
}

#[test]
fn waiting_for_fifty_thousand_keys_holds_nobody_up() {
    let broker = Broker::start().unwrap();
    let mut waiting = Wire::connect(broker.addr());
    let names: Vec<String> = (0..50_000).map(|n| format!("k{n}")).collect();
    let mut words = vec!["BLPOP"];
    words.extend(names.iter().map(String::as_str));
    words.push("0");
    let start = std::time::Instant::now();
    waiting.send(&words);
    let mut other = Wire::connect(broker.addr());
    until_info(&mut other, "total_blocking_keys", 50_000);
    other.call(&["RPUSH", "k49999", "x"]);
    assert_eq!(crate::wire::show(&waiting.receive()), "[k49999 x]");
    // Looking each key up among the others would take a minute.
    assert!(start.elapsed().as_secs() < 8, "{:?}", start.elapsed());
}

fn start(workers: &str) -> Broker {
    Broker::builder().set("workers", workers).start().unwrap()
}
