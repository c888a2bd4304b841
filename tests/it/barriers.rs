//! Barriers: who waits until something is so hears of it from the change, and of what there is
//! instead if it does not come.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use respd::Broker;
use respd::testkit::{Barrier, Unmet, Until};

use crate::wire::{PATIENCE, Wire, info, show, until, until_info};

const ROUNDS: usize = 3;
const NONE: [Wire; 0] = [];

type Change = fn(&Broker, &mut Wire) -> Vec<Wire>;

/// Something to wait for.
struct Case {
    /// As RESPD WAIT has it.
    line: &'static str,
    barrier: fn(Until) -> Barrier,
    /// What a client of the name "worker" does before.
    before: &'static [&'static str],
    /// What makes it so. Clients that are to stay are answered.
    change: Change,
    /// What is told that there is instead.
    instead: &'static str,
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn start() -> Broker {
    Broker::for_tests().unwrap()
}

fn patient(broker: &Broker) -> Until {
    broker.until().within(PATIENCE)
}

fn worker(broker: &Broker) -> Wire {
    named(broker, "worker")
}

fn named(broker: &Broker, name: &str) -> Wire {
    let mut client = Wire::connect(broker.addr());
    assert_eq!(client.text(&["CLIENT", "SETNAME", name]), "OK");
    client
}

fn sent(broker: &Broker, line: &str) -> Wire {
    let mut client = Wire::connect(broker.addr());
    client.send(&words(line));
    client
}

type Waiting = Pin<Box<dyn Future<Output = Result<(), Unmet>> + Send>>;

/// Has begun to wait.
fn begun(barrier: Barrier) -> Waiting {
    let mut waiting = barrier.into_future();
    let mut context = Context::from_waker(Waker::noop());
    match waiting.as_mut().poll(&mut context) {
        Poll::Pending => waiting,
        Poll::Ready(result) => panic!("it has not waited: {result:?}"),
    }
}

fn end(waiting: Waiting) -> Result<(), Unmet> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(waiting)
}

/// A client that waits, and has begun to.
fn waits(broker: &Broker, line: &str) -> Wire {
    let mut client = Wire::connect(broker.addr());
    let id = client.text(&["CLIENT", "ID"]);
    client.send(&words(&format!("RESPD WAIT {line} TIMEOUT 20000")));
    until_it_waits(broker, &id);
    client
}

fn until_it_waits(broker: &Broker, id: &str) {
    let mut test = broker.client();
    let list = ["CLIENT", "LIST", "ID", id];
    until("it waits", || show(&test.call(&list)).contains(" flags=b "));
}

fn check(case: &Case) {
    for _ in 0..ROUNDS {
        let broker = start();
        let mut worker = worker(&broker);
        for line in case.before {
            worker.call(&words(line));
        }
        let mut waiter = Wire::connect(broker.addr());
        let line = format!("RESPD WAIT {} TIMEOUT 0", case.line);
        let over_resp = waiter.text(&words(&line));
        let in_rust = (case.barrier)(broker.until().within(Duration::ZERO)).wait();
        let in_rust = in_rust.unwrap_err().to_string();
        let (waited, instead) = in_rust.split_once("; ").unwrap();
        assert!(waited.starts_with("waited 0 s for "), "{waited}");
        assert_eq!(instead, case.instead, "{}", case.line);
        assert_eq!(over_resp, format!("ERR timeout: {in_rust}"));

        let id = waiter.text(&["CLIENT", "ID"]);
        let line = format!("RESPD WAIT {} TIMEOUT 20000", case.line);
        waiter.send(&words(&line));
        // Who asks is a client, too, and would be counted.
        if !case.line.starts_with("CLIENTS") {
            until_it_waits(&broker, &id);
        }
        let waiting = begun((case.barrier)(patient(&broker)));
        let stay = (case.change)(&broker, &mut worker);
        assert_eq!(show(&waiter.receive()), "OK", "{}", case.line);
        end(waiting).unwrap();
        drop(stay);
    }
}

/// The worker says a line.
macro_rules! says {
    ($line:literal) => {
        |_: &Broker, worker: &mut Wire| {
            worker.call(&words($line));
            NONE.into()
        }
    };
}

#[test]
fn until_a_channel_has_subscribers() {
    check(&Case {
        line: "SUBSCRIBERS orders 1",
        barrier: |it| it.subscribers("orders", 1),
        before: &["SUBSCRIBE news", "SUBSCRIBE order"],
        change: says!("SUBSCRIBE orders"),
        instead: "there are none; channels with subscribers: 'order' (1), 'news' (1)",
    });
    check(&Case {
        line: "SUBSCRIBERS orders 0",
        barrier: |it| it.subscribers("orders", 0),
        before: &["SUBSCRIBE orders"],
        change: says!("UNSUBSCRIBE orders"),
        instead: "there is 1; channels with subscribers: 'orders' (1)",
    });
    check(&Case {
        line: "SUBSCRIBERS orders 0",
        barrier: |it| it.subscribers("orders", 0),
        before: &["SUBSCRIBE orders"],
        change: |broker, worker| {
            *worker = Wire::connect(broker.addr());
            NONE.into()
        },
        instead: "there is 1; channels with subscribers: 'orders' (1)",
    });
}

#[test]
fn until_a_pattern_or_a_shard_channel_has_subscribers() {
    check(&Case {
        line: "PSUBSCRIBERS o* 1",
        barrier: |it| it.pattern_subscribers("o*", 1),
        before: &["SUBSCRIBE orders"],
        change: says!("PSUBSCRIBE o*"),
        instead: "there are none; patterns with subscribers: none",
    });
    check(&Case {
        line: "SSUBSCRIBERS orders 1",
        barrier: |it| it.shard_subscribers("orders", 1),
        before: &["PSUBSCRIBE o*"],
        change: says!("SSUBSCRIBE orders"),
        instead: "there are none; shard channels with subscribers: none",
    });
}

#[test]
fn until_clients_are_blocked_on_a_key() {
    check(&Case {
        line: "BLOCKED jobs 2",
        barrier: |it| it.blocked("jobs", 2),
        before: &[],
        change: |broker, _| {
            let first = sent(broker, "BLPOP jobs jobs other 0");
            let second = sent(broker, "XREAD BLOCK 0 STREAMS jobs $");
            vec![first, second]
        },
        instead: "there are none; keys with blocked clients: none",
    });
}

#[test]
fn until_nobody_is_blocked_on_a_key_any_more() {
    for _ in 0..ROUNDS {
        let broker = start();
        let mut blocked = sent(&broker, "BLPOP jobs 0");
        let _other = sent(&broker, "BLPOP job 0");
        patient(&broker).blocked("jobs", 1).wait().unwrap();
        patient(&broker).blocked("job", 1).wait().unwrap();
        let unmet = broker.until().within(Duration::ZERO).blocked("jobs", 0);
        assert_eq!(
            unmet.wait().unwrap_err().to_string(),
            "waited 0 s for 0 clients blocked on 'jobs'; there is 1; \
             keys with blocked clients: 'jobs' (1), 'job' (1)"
        );
        let waiting = begun(patient(&broker).blocked("jobs", 0));
        broker.client().call(&["RPUSH", "jobs", "one"]);
        end(waiting).unwrap();
        assert_eq!(show(&blocked.receive()), "[jobs one]");
    }
}

#[test]
fn until_a_key_is_there_or_gone() {
    check(&Case {
        line: "EXISTS greeting",
        barrier: |it| it.exists("greeting"),
        before: &["MSET far v greetings v"],
        change: says!("SET greeting hello"),
        instead: "it is not there; keys: 'greetings', 'far'",
    });
    check(&Case {
        line: "GONE k",
        barrier: |it| it.gone("k"),
        before: &["RPUSH k a b"],
        change: says!("DEL k"),
        instead: "it is a list of 2",
    });
    let changes: [Change; 3] = [says!("PEXPIRE k 5"), says!("FLUSHALL"), says!("RENAME k l")];
    for change in changes {
        check(&Case {
            line: "GONE k",
            barrier: |it| it.gone("k"),
            before: &["SET k v"],
            change,
            instead: "it is a string",
        });
    }
}

#[test]
fn until_there_are_so_many_elements() {
    check(&Case {
        line: "LENGTH k 2",
        barrier: |it| it.length("k", 2),
        before: &["RPUSH k a"],
        change: says!("RPUSH k b"),
        instead: "there is 1",
    });
    check(&Case {
        line: "LENGTH k 2",
        barrier: |it| it.length("k", 2),
        before: &["XADD k * f v"],
        change: says!("XADD k * f v"),
        instead: "there is 1",
    });
    check(&Case {
        line: "LENGTH k 0",
        barrier: |it| it.length("k", 0),
        before: &["SADD k a"],
        change: says!("SREM k a"),
        instead: "there is 1",
    });
    check(&Case {
        line: "LENGTH k 1",
        barrier: |it| it.length("k", 1),
        before: &["SET k v"],
        change: |_, worker| {
            worker.call(&words("DEL k"));
            worker.call(&words("HSET k f v"));
            NONE.into()
        },
        instead: "it is a string",
    });
}

#[test]
fn until_nothing_is_pending() {
    check(&Case {
        line: "PENDING s g 0",
        barrier: |it| it.pending("s", "g", 0),
        before: &[
            "XGROUP CREATE s g $ MKSTREAM",
            "XADD s 1-1 f v",
            "XADD s 1-2 f v",
            "XREADGROUP GROUP g alice STREAMS s >",
        ],
        change: says!("XACK s g 1-1 1-2"),
        instead: "2 pending, of: 'alice' (2)",
    });
    check(&Case {
        line: "PENDING s g 0",
        barrier: |it| it.pending("s", "g", 0),
        before: &["XGROUP CREATE s G $ MKSTREAM"],
        change: says!("XGROUP CREATE s g $"),
        instead: "there is no such group; groups: 'G'",
    });
}

#[test]
fn until_so_many_clients_are_connected() {
    check(&Case {
        line: "CLIENTS 3",
        barrier: |it| it.clients(3),
        before: &[],
        change: |broker, _| vec![Wire::connect(broker.addr())],
        instead: "there are 2: id 1 'worker', id 2",
    });
    check(&Case {
        line: "CLIENTS 1",
        barrier: |it| it.clients(1),
        before: &[],
        change: |_, worker| {
            worker.call(&["QUIT"]);
            NONE.into()
        },
        instead: "there are 2: id 1 'worker', id 2",
    });
}

#[test]
fn until_a_client_has_sent_a_command() {
    check(&Case {
        line: "SENT worker GET",
        barrier: |it| it.sent("worker", "GET"),
        before: &["SET k v", "SET k v"],
        change: says!("GET k"),
        instead: "sent: 'set' (2), 'client|setname' (1)",
    });
    check(&Case {
        line: "SENT worker GET 2",
        barrier: |it| it.sent_times("worker", "get", 2),
        before: &["GET k"],
        change: says!("GET k"),
        instead: "sent: 'get' (1), 'client|setname' (1)",
    });
    check(&Case {
        line: "SENT work GET",
        barrier: |it| it.sent("work", "GET"),
        before: &["GET k"],
        change: says!("CLIENT SETNAME work"),
        instead: "no client has that name; names: 'worker'",
    });
    check(&Case {
        line: "SENT worker config",
        barrier: |it| it.sent("worker", "config"),
        before: &[],
        change: says!("CONFIG GET port"),
        instead: "sent: 'client|setname' (1)",
    });
    check(&Case {
        line: "SENT worker blpop",
        barrier: |it| it.sent("worker", "blpop"),
        before: &["MULTI"],
        change: |_, worker| {
            worker.send(&words("BLPOP k 0"));
            NONE.into()
        },
        instead: "sent: 'multi' (1), 'client|setname' (1)",
    });
}

#[test]
fn until_a_client_has_read_everything() {
    const LEN: usize = 64 * 1024;
    const COUNT: usize = 128;
    for workers in ["1", "2"] {
        let broker = Broker::builder().for_tests();
        let broker = broker.set("client-output-buffer-limit", "pubsub 0 0 0");
        let broker = broker.set("workers", workers).start().unwrap();
        let mut reader = Wire::connect_narrow(broker.addr());
        reader.call(&["CLIENT", "SETNAME", "reader"]);
        reader.call(&["SUBSCRIBE", "news"]);
        patient(&broker).read("reader").wait().unwrap();
        let mut publisher = Wire::connect(broker.addr());
        let message = "x".repeat(LEN);
        for _ in 0..COUNT {
            assert_eq!(publisher.text(&["PUBLISH", "news", &message]), "1");
        }
        let unmet = broker.until().within(Duration::ZERO).read("reader").wait();
        let text = unmet.unwrap_err().to_string();
        let rest = "waited 0 s for 'reader' to read all that it was sent; ";
        let left = text.strip_prefix(rest).unwrap().split(' ').next().unwrap();
        assert!(left.parse::<usize>().unwrap() > 0, "{text}");
        assert!(text.ends_with(" bytes wait to be sent to it"), "{text}");
        let mut waiter = waits(&broker, "READ reader");
        let waiting = begun(patient(&broker).read("reader"));
        for _ in 0..COUNT {
            reader.receive();
        }
        end(waiting).unwrap();
        assert_eq!(show(&waiter.receive()), "OK");
    }
}

#[test]
fn what_is_so_for_a_moment_is_seen() {
    for _ in 0..ROUNDS {
        let broker = start();
        let mut waiter = waits(&broker, "EXISTS k");
        let mut client = Wire::connect(broker.addr());
        client.send_raw(b"SET k v\r\nDEL k\r\nRPUSH k a\r\nDEL k\r\n");
        let waiting = begun(patient(&broker).length("l", 2));
        client.send_raw(b"RPUSH l a\r\nRPUSH l b\r\nRPUSH l c\r\n");
        assert_eq!(show(&waiter.receive()), "OK");
        end(waiting).unwrap();
    }
}

#[test]
fn what_is_so_between_two_requests_of_a_packet_is_seen() {
    for _ in 0..ROUNDS {
        let broker = start();
        let mut test = broker.client();
        test.call(&["XADD", "s", "1-1", "a", "b"]);
        test.call(&["XGROUP", "CREATE", "s", "g", "0"]);
        let waiting = [
            patient(&broker).subscribers("c", 1),
            patient(&broker).pattern_subscribers("p*", 1),
            patient(&broker).shard_subscribers("sc", 1),
            patient(&broker).pending("s", "g", 1),
        ];
        let waiting: Vec<_> = waiting.into_iter().map(begun).collect();
        let mut client = Wire::connect(broker.addr());
        client.send_raw(
            b"SUBSCRIBE c\r\nUNSUBSCRIBE c\r\nPSUBSCRIBE p*\r\nPUNSUBSCRIBE p*\r\n\
            SSUBSCRIBE sc\r\nSUNSUBSCRIBE sc\r\n\
            XREADGROUP GROUP g c STREAMS s >\r\nXACK s g 1-1\r\n",
        );
        for waiting in waiting {
            end(waiting).unwrap();
        }
    }
}

#[test]
fn keys_are_those_of_the_database() {
    let broker = start();
    let mut waiter = Wire::connect(broker.addr());
    waiter.call(&["SELECT", "3"]);
    let reply = waiter.text(&words("RESPD WAIT EXISTS k TIMEOUT 0"));
    let expected =
        "ERR timeout: waited 0 s for the key 'k' of database 3; it is not there; keys: none";
    assert_eq!(reply, expected);
    waiter.send(&words("RESPD WAIT EXISTS k"));
    let waiting = begun(patient(&broker).in_db(3).exists("k"));
    let mut client = Wire::connect(broker.addr());
    client.call(&["SET", "k", "v"]);
    client.call(&["SELECT", "3"]);
    until_info(&mut client, "blocked_clients", 1);
    client.call(&["SET", "k", "v"]);
    assert_eq!(show(&waiter.receive()), "OK");
    end(waiting).unwrap();
}

#[test]
fn what_is_so_already_is_not_waited_for() {
    let broker = start();
    let mut client = worker(&broker);
    client.call(&["RPUSH", "k", "a"]);
    for line in [
        "EXISTS k",
        "LENGTH k 1",
        "GONE l",
        "CLIENTS 1",
        "SENT worker rpush",
    ] {
        let line = format!("RESPD WAIT {line} TIMEOUT 0");
        assert_eq!(client.text(&words(&line)), "OK", "{line}");
    }
    broker
        .until()
        .within(Duration::ZERO)
        .exists("k")
        .wait()
        .unwrap();
}

#[test]
fn a_wait_ends_at_its_deadline_though_the_clock_stands() {
    let broker = start();
    broker.clock().freeze();
    let begin = Instant::now();
    let mut client = Wire::connect(broker.addr());
    client.send(&words("RESPD WAIT EXISTS k TIMEOUT 30"));
    let patience = Duration::from_millis(50);
    let unmet = broker.until().within(patience).exists("k").wait();
    let expected = "waited 50 ms for the key 'k'; it is not there; keys: none";
    assert_eq!(unmet.unwrap_err().to_string(), expected);
    assert!(begin.elapsed() >= patience);
    assert!(show(&client.receive()).starts_with("ERR timeout: waited 30 ms for the key 'k'"));
}

#[test]
fn many_wait_at_once() {
    const CLIENTS: usize = 100;
    let broker = start();
    let waiters = (0..CLIENTS).map(|n| waits(&broker, &format!("LENGTH k {}", n + 1)));
    let waiters: Vec<_> = waiters.collect();
    let waiting: Vec<_> = (0..CLIENTS)
        .map(|n| begun(patient(&broker).length("k", n + 1)))
        .collect();
    let mut client = broker.client();
    for _ in 0..CLIENTS {
        client.call(&["RPUSH", "k", "a"]);
    }
    for mut waiter in waiters {
        assert_eq!(show(&waiter.receive()), "OK");
    }
    for waiting in waiting {
        end(waiting).unwrap();
    }
    // Who has gone has sent nothing, so it stays.
    let mut worker = worker(&broker);
    std::thread::scope(|scope| {
        for n in 0..CLIENTS {
            let barrier = patient(&broker).sent_times("worker", "ping", n as u64 + 1);
            scope.spawn(move || barrier.wait().unwrap());
        }
        for _ in 0..CLIENTS {
            worker.call(&["PING"]);
        }
        patient(&broker).sent("worker", "ping").wait().unwrap();
    });
}

#[test]
fn many_wait_for_what_clients_do_among_many() {
    const CLIENTS: usize = 400;
    const WAITS: usize = 400;
    let broker = start();
    let _others: Vec<_> = (0..CLIENTS).map(|_| broker.client()).collect();
    let waiting: Vec<_> = (0..WAITS)
        .map(|n| match n % 2 {
            0 => begun(patient(&broker).sent(format!("worker-{n}"), "ping")),
            _ => begun(patient(&broker).read(format!("worker-{n}"))),
        })
        .collect();
    let mut worker = Wire::connect(broker.addr());
    for n in 0..WAITS {
        worker.call(&["CLIENT", "SETNAME", &format!("worker-{n}")]);
        worker.call(&["PING"]);
    }
    for waiting in waiting {
        end(waiting).unwrap();
    }
}

#[test]
fn a_client_that_waits_can_be_let_go_killed_or_leave() {
    for _ in 0..ROUNDS {
        let broker = start();
        let mut test = Wire::connect(broker.addr());
        let ids = |wire: &mut Wire| wire.text(&["CLIENT", "ID"]);
        let mut let_go = Wire::connect(broker.addr());
        let id = ids(&mut let_go);
        let_go.send(&words("RESPD WAIT EXISTS k"));
        let_go.send(&words("PING"));
        until_info(&mut test, "blocked_clients", 1);
        assert_eq!(test.text(&["CLIENT", "UNBLOCK", &id, "ERROR"]), "1");
        let reply = show(&let_go.receive());
        assert!(reply.starts_with("UNBLOCKED"), "{reply}");
        assert_eq!(show(&let_go.receive()), "PONG");
        // It waits anew, and hears of that alone.
        let_go.send(&words("RESPD WAIT EXISTS l"));
        until_info(&mut test, "blocked_clients", 1);
        test.call(&["SET", "k", "v"]);
        test.call(&["SET", "l", "v"]);
        assert_eq!(show(&let_go.receive()), "OK");
        assert_eq!(let_go.text(&["PING"]), "PONG");

        let mut killed = Wire::connect(broker.addr());
        let id = ids(&mut killed);
        killed.send(&words("RESPD WAIT EXISTS m"));
        let leaves = sent(&broker, "RESPD WAIT EXISTS m");
        until_info(&mut test, "blocked_clients", 2);
        assert_eq!(test.text(&["CLIENT", "KILL", "ID", &id]), "1");
        assert_eq!(killed.rest(), b"");
        leaves.reset();
        until_info(&mut test, "blocked_clients", 0);
        test.call(&["SET", "m", "v"]);
        assert_eq!(info(&mut test, "connected_clients"), "2");
    }
}

#[test]
fn who_waits_when_the_broker_ends_is_told() {
    for _ in 0..ROUNDS {
        let broker = start();
        let mut client = waits(&broker, "EXISTS k");
        let waiting = begun(patient(&broker).exists("k"));
        let to_wait = patient(&broker);
        let later = to_wait.clone();
        let blocked = std::thread::spawn(move || to_wait.subscribers("c", 1).wait());
        let mut inside = broker.client();
        let local = std::thread::spawn(move || show(&inside.call(&words("RESPD WAIT EXISTS k"))));
        drop(broker);
        let text = "waited for the key 'k'; the broker is gone";
        assert_eq!(end(waiting).unwrap_err().to_string(), text);
        let unmet = blocked.join().unwrap().unwrap_err().to_string();
        assert!(unmet.ends_with("; the broker is gone"), "{unmet}");
        assert_eq!(client.rest(), b"");
        assert!(local.join().unwrap().starts_with("ERR "));
        assert_eq!(later.exists("k").wait().unwrap_err().to_string(), text);
    }
}

#[test]
fn it_works_while_others_load_the_broker() {
    let broker = start();
    let (broker, over) = (&broker, &AtomicBool::new(false));
    std::thread::scope(|scope| {
        for load in ["INCR n", "RPUSH noise a", "PUBLISH noise m", "LPOP noise"] {
            scope.spawn(move || {
                let mut client = Wire::connect(broker.addr());
                while !over.load(Relaxed) {
                    client.call(&words(load));
                }
            });
        }
        let mut client = worker(broker);
        for round in 0..50 {
            let (key, channel) = (format!("k{round}"), format!("c{round}"));
            let exists = begun(patient(broker).exists(&key));
            let subscribed = begun(patient(broker).subscribers(&channel, 1));
            let sent = begun(patient(broker).sent_times("worker", "set", round + 1));
            let mut waiter = waits(broker, &format!("EXISTS {key}"));
            client.call(&["SET", &key, "v"]);
            let mut subscriber = Wire::connect(broker.addr());
            subscriber.call(&["SUBSCRIBE", &channel]);
            for waiting in [exists, subscribed, sent] {
                end(waiting).unwrap();
            }
            assert_eq!(show(&waiter.receive()), "OK");
        }
        over.store(true, Relaxed);
    });
}

#[test]
fn what_cannot_be_waited_for_is_refused() {
    let broker = start();
    let mut client = Wire::connect(broker.addr());
    for (line, reply) in [
        (
            "RESPD WAIT EXISTS",
            "ERR wrong number of arguments for 'respd|wait' command",
        ),
        ("RESPD WAIT LENGTH k", "ERR syntax error"),
        (
            "RESPD WAIT LENGTH k many",
            "ERR value is out of range, must be positive",
        ),
        (
            "RESPD WAIT CLIENTS -1",
            "ERR value is out of range, must be positive",
        ),
        (
            "RESPD WAIT EXISTS k TIMEOUT -1",
            "ERR timeout is out of range",
        ),
        ("RESPD WAIT EXISTS k TIMEOUT", "ERR syntax error"),
        ("RESPD WAIT EXISTS k SOON", "ERR syntax error"),
        (
            "RESPD WAIT SENT worker flurp",
            "ERR Invalid command specified",
        ),
        (
            "RESPD WAIT RAIN k",
            "ERR unknown subcommand or wrong number of arguments for 'WAIT'. Try RESPD HELP.",
        ),
    ] {
        assert_eq!(client.text(&words(line)), reply, "{line}");
    }
    client.call(&["MULTI"]);
    let refused = "ERR Command not allowed inside a transaction";
    assert_eq!(client.text(&words("RESPD WAIT EXISTS k")), refused);
}
