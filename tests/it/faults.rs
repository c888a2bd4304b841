//! Faults: that what is to go wrong does, for whom it is to, and for nobody else.

use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use respd::Broker;
use respd::resp::value::{Value, decode};
use respd::testkit::{Due, Faults, NewFault};

use crate::wire::{Wire, encode, info, show, until, until_info};

const SECOND: Duration = Duration::from_secs(1);
const WORKERS: [&str; 2] = ["1", "2"];

fn start() -> Broker {
    Broker::for_tests().unwrap()
}

/// One whose clock stands.
fn frozen(workers: &str) -> Broker {
    let builder = Broker::builder().for_tests();
    let broker = builder.set("workers", workers).start().unwrap();
    broker.clock().freeze();
    broker
}

fn connect(broker: &Broker) -> Wire {
    Wire::connect(broker.addr())
}

fn named(broker: &Broker, name: &str) -> Wire {
    let mut client = connect(broker);
    assert_eq!(client.text(&["CLIENT", "SETNAME", name]), "OK");
    client
}

fn ask(client: &mut Wire, line: &str) -> String {
    client.text(&words(line))
}

fn tell(client: &mut Wire, line: &str) {
    client.send(&words(line));
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// What the data say, whatever goes wrong.
fn inside(broker: &Broker, line: &str) -> String {
    show(&broker.client().call(&words(line)))
}

/// What has come to a client once the broker has done what it has got by now,
/// without waiting for more. What has just been sent it may not have got.
fn arrived(broker: &Broker, client: &mut Wire) -> Vec<String> {
    broker.clock().advance(Duration::ZERO);
    client.stream().set_nonblocking(true).unwrap();
    loop {
        match client.fill() {
            Ok(0) => panic!("the connection has ended"),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    client.stream().set_nonblocking(false).unwrap();
    let mut shown = Vec::new();
    while let Some((value, len)) = decode(client.input()).unwrap() {
        client.input().drain(..len);
        shown.push(show(&value));
    }
    assert_eq!(client.input(), b"");
    shown
}

const NOTHING: [&str; 0] = [];

#[test]
fn an_error_is_answered_and_nothing_runs() {
    let broker = start();
    let mut client = connect(&broker);
    let misconfigured = "MISCONF Redis is configured to save RDB snapshots, but it's currently \
        unable to persist to disk. Commands that may modify the data set are disabled, because \
        this instance is configured to report errors during writes if RDB snapshotting fails \
        (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the \
        RDB error.";
    for (text, answered) in [
        ("LOADING", "LOADING Redis is loading the dataset in memory"),
        (
            "READONLY",
            "READONLY You can't write against a read only replica.",
        ),
        (
            "OOM",
            "OOM command not allowed when used memory > 'maxmemory'.",
        ),
        (
            "BUSY",
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        ),
        (
            "MASTERDOWN",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        ),
        ("CLUSTERDOWN", "CLUSTERDOWN The cluster is down"),
        ("NOAUTH", "NOAUTH Authentication required."),
        ("MISCONF", misconfigured),
        ("ERR it\r\nrains", "ERR it  rains"),
        ("LOADING soon", "LOADING soon"),
    ] {
        let fault = broker.faults().error(text).command("set").inject();
        assert_eq!(ask(&mut client, "SET k v"), answered);
        assert_eq!(ask(&mut client, "GET k"), "nil");
        assert_eq!((fault.matches(), fault.hits()), (1, 1));
        drop(fault);
        assert_eq!(ask(&mut client, "SET k v"), "OK");
        assert_eq!(ask(&mut client, "DEL k"), "1");
        let added = client.text(&["RESPD", "FAULT", "ADD", "ERROR", text, "KEY", "k*"]);
        assert_eq!(ask(&mut client, "SET k1 v"), answered);
        assert_eq!(ask(&mut client, "SET l v"), "OK");
        assert_eq!(
            ask(&mut client, &format!("RESPD FAULT REMOVE {added}")),
            "OK"
        );
        assert_eq!(ask(&mut client, "EXISTS k1"), "0");
    }
    let stats = ask(&mut client, "INFO errorstats");
    assert!(stats.contains("errorstat_LOADING:count=4"), "{stats}");
}

#[test]
fn an_error_spoils_a_transaction_as_any_other_does() {
    let broker = start();
    let mut client = connect(&broker);
    let fault = broker
        .faults()
        .error("LOADING")
        .command("set")
        .times(1)
        .inject();
    for (line, reply) in [
        ("MULTI", "OK"),
        ("SET k v", "LOADING Redis is loading the dataset in memory"),
        ("SET k w", "QUEUED"),
        (
            "EXEC",
            "EXECABORT Transaction discarded because of previous errors.",
        ),
        ("EXISTS k", "0"),
    ] {
        assert_eq!(ask(&mut client, line), reply, "{line}");
    }
    drop(fault);
    let _exec = broker.faults().error("ERR no").command("exec").inject();
    for (line, reply) in [
        ("MULTI", "OK"),
        ("SET k v", "QUEUED"),
        ("EXEC", "EXECABORT Transaction discarded because of: no"),
        ("DISCARD", "ERR DISCARD without MULTI"),
        ("EXISTS k", "0"),
    ] {
        assert_eq!(ask(&mut client, line), reply, "{line}");
    }
}

#[test]
fn what_exec_and_scripts_run_nobody_has_sent() {
    let broker = start();
    let mut client = connect(&broker);
    ask(&mut client, "MULTI");
    ask(&mut client, "SET k v");
    let fault = broker.faults().error("ERR no").command("set").inject();
    assert_eq!(ask(&mut client, "EXEC"), "[OK]");
    let script = ["EVAL", "return redis.call('SET',KEYS[1],'w')", "1", "k"];
    assert_eq!(client.text(&script), "OK");
    assert_eq!(fault.matches(), 0);
    let _of_key = broker.faults().error("ERR key").key("k").inject();
    assert_eq!(client.text(&script), "ERR key");
}

/// A fault that is limited to something, what it strikes then, and what not.
struct Scoped {
    limit: fn(NewFault) -> NewFault,
    resp: &'static str,
    struck: &'static [&'static str],
    spared: &'static [&'static str],
}

const SCOPES: &[Scoped] = &[
    Scoped {
        limit: |fault| fault,
        resp: "",
        struck: &["GET k", "PING", "CONFIG GET port", "CLIENT ID", "QUIT"],
        spared: &[
            "CLIENT SETNAME worker",
            "CLIENT SETINFO LIB-NAME lib",
            "HELLO 2",
            "SELECT 1",
            "RESPD CLOCK GET",
            "FLURP",
            "GET",
        ],
    },
    Scoped {
        limit: |fault| fault.command("Get"),
        resp: "COMMAND Get",
        struck: &["GET k", "get k"],
        spared: &["GETDEL k", "SET k v", "GET"],
    },
    Scoped {
        limit: |fault| fault.command("config"),
        resp: "COMMAND config",
        struck: &["CONFIG GET port", "config resetstat"],
        spared: &["GET k"],
    },
    Scoped {
        limit: |fault| fault.command("config|get"),
        resp: "COMMAND config|get",
        struck: &["CONFIG GET port"],
        spared: &["CONFIG RESETSTAT"],
    },
    Scoped {
        limit: |fault| fault.command("client|setinfo"),
        resp: "COMMAND client|setinfo",
        struck: &["CLIENT SETINFO LIB-NAME lib"],
        spared: &["CLIENT ID"],
    },
    Scoped {
        limit: |fault| fault.command("hello"),
        resp: "COMMAND hello",
        struck: &["HELLO 3"],
        spared: &["PING"],
    },
    Scoped {
        limit: |fault| fault.command("respd|clock"),
        resp: "COMMAND respd|clock",
        struck: &["RESPD CLOCK GET"],
        spared: &["RESPD FAULT LIST"],
    },
    Scoped {
        limit: |fault| fault.key("order:*"),
        resp: "KEY order:*",
        struck: &[
            "GET order:1",
            "MGET a order:1",
            "DEL b order:",
            "BLPOP order:1 0",
        ],
        spared: &[
            "GET orders",
            "PING order:1",
            "ECHO order:1",
            "PUBLISH order:1 m",
        ],
    },
    Scoped {
        limit: |fault| fault.channel("news.*"),
        resp: "CHANNEL news.*",
        struck: &[
            "PUBLISH news.today m",
            "SPUBLISH news.today m",
            "SUBSCRIBE a news.today",
            "PSUBSCRIBE news.*",
            "SSUBSCRIBE news.today",
        ],
        spared: &[
            "PUBLISH old news.today",
            "GET news.today",
            "UNSUBSCRIBE news",
        ],
    },
    Scoped {
        limit: |fault| fault.client_name("work*").command("get"),
        resp: "NAME work* COMMAND get",
        struck: &["GET k"],
        spared: &["SET k v"],
    },
    Scoped {
        limit: |fault| fault.client_name("other"),
        resp: "NAME other",
        struck: &[],
        spared: &["GET k"],
    },
    Scoped {
        limit: |fault| fault.client_id(1),
        resp: "ID 1",
        struck: &["GET k"],
        spared: &[],
    },
    Scoped {
        limit: |fault| fault.client_id(99),
        resp: "ID 99",
        struck: &[],
        spared: &["GET k"],
    },
    Scoped {
        limit: |fault| fault.user("default"),
        resp: "USER default",
        struck: &["GET k"],
        spared: &[],
    },
    Scoped {
        limit: |fault| fault.user("alice"),
        resp: "USER alice",
        struck: &[],
        spared: &["GET k"],
    },
    Scoped {
        limit: |fault| fault.library("redis-*"),
        resp: "LIBRARY redis-*",
        struck: &["GET k"],
        spared: &[],
    },
    Scoped {
        limit: |fault| fault.library("jedis"),
        resp: "LIBRARY jedis",
        struck: &[],
        spared: &["GET k"],
    },
    Scoped {
        limit: |fault| fault.db(3),
        resp: "DB 3",
        struck: &["GET k"],
        spared: &[],
    },
    Scoped {
        limit: |fault| fault.db(0).key("k"),
        resp: "DB 0 KEY k",
        struck: &[],
        spared: &["GET k"],
    },
];

#[test]
fn a_fault_strikes_what_it_is_limited_to_and_nothing_else() {
    let check = |case: &Scoped, line: &str, is_struck: bool, over_resp: bool| {
        let broker = start();
        // The first of this broker's, with all that a scope can name.
        let mut client = named(&broker, "worker");
        ask(&mut client, "CLIENT SETINFO LIB-NAME redis-py");
        ask(&mut client, "SELECT 3");
        let fault = (case.limit)(broker.faults().error("ERR struck"));
        let fault = match over_resp {
            false => Some(fault.inject()),
            true => {
                let scope = case.resp.split_whitespace();
                let add = ["RESPD", "FAULT", "ADD", "ERROR", "ERR struck"];
                let add: Vec<_> = add.into_iter().chain(scope).collect();
                assert_eq!(connect(&broker).text(&add), "1", "{}", case.resp);
                None
            }
        };
        let reply = ask(&mut client, line);
        assert_eq!(
            reply == "ERR struck",
            is_struck,
            "{line}, {}: {reply}",
            case.resp
        );
        let listed = broker.faults().list();
        let hits = u64::from(is_struck);
        assert_eq!((listed[0].matches, listed[0].hits), (hits, hits), "{line}");
        drop(fault);
    };
    for case in SCOPES {
        for over_resp in [false, true] {
            for line in case.struck {
                check(case, line, true, over_resp);
            }
            for line in case.spared {
                check(case, line, false, over_resp);
            }
        }
    }
}

#[test]
fn a_fault_strikes_as_often_as_it_is_to() {
    let struck = |when: fn(NewFault) -> NewFault| {
        let broker = start();
        let mut client = connect(&broker);
        let fault = when(broker.faults().error("ERR struck").command("get")).inject();
        let replies = (1..=12).map(|n| {
            assert_eq!(ask(&mut client, "PING"), "PONG");
            (n, ask(&mut client, "GET k"))
        });
        let struck = replies.filter(|(_, reply)| reply == "ERR struck");
        let struck: Vec<u64> = struck.map(|(n, _)| n).collect();
        assert_eq!((fault.matches(), fault.hits()), (12, struck.len() as u64));
        struck
    };
    assert_eq!(struck(|fault| fault), (1..=12).collect::<Vec<_>>());
    assert_eq!(struck(|fault| fault.nth(3)), [3]);
    assert_eq!(struck(|fault| fault.every(5)), [5, 10]);
    assert_eq!(struck(|fault| fault.times(2)), [1, 2]);
    assert_eq!(struck(|fault| fault.chance(100, 1)).len(), 12);
    assert_eq!(struck(|fault| fault.chance(0, 1)), [0; 0]);
    let half = struck(|fault| fault.chance(50, 7));
    assert_eq!(half, struck(|fault| fault.chance(50, 7)));
    assert_ne!(half, struck(|fault| fault.chance(50, 8)));
}

#[test]
fn a_delayed_reply_holds_back_what_comes_behind_it_and_nobody_else() {
    for workers in WORKERS {
        let broker = frozen(workers);
        let (mut client, mut other) = (named(&broker, "slow"), connect(&broker));
        let fault = broker
            .faults()
            .delay(SECOND)
            .command("incr")
            .client_name("slow");
        let fault = fault.nth(1).inject();
        let pipeline = ["SET a 1", "INCR n", "PING", "INCR n"];
        let pipeline = pipeline.map(|line| encode(&words(line))).concat();
        client.send_raw(&pipeline);
        assert_eq!(show(&client.receive()), "OK");
        // It has run, and what is behind it has not.
        until("it has run", || inside(&broker, "GET n") == "1");
        assert_eq!(ask(&mut other, "INCR m"), "1");
        assert_eq!(arrived(&broker, &mut client), NOTHING);
        broker.clock().advance(SECOND - Duration::from_millis(1));
        assert_eq!(arrived(&broker, &mut client), NOTHING);
        assert_eq!(ask(&mut other, "GET n"), "1");
        broker.clock().advance(Duration::from_millis(1));
        assert_eq!(arrived(&broker, &mut client), ["1", "PONG", "2"]);
        assert_eq!((fault.matches(), fault.hits()), (2, 1));
    }
}

#[test]
fn a_delay_falls_due_in_the_order_of_time() {
    for workers in WORKERS {
        let broker = frozen(workers);
        let mut listener = connect(&broker);
        ask(&mut listener, "SUBSCRIBE said");
        let one = broker.faults().delay(3 * SECOND).command("get").inject();
        let two = broker.faults().delay(SECOND).command("strlen").inject();
        // Each says so once it goes on.
        let mut clients = Vec::new();
        for line in ["GET k", "STRLEN k", "BLPOP none 2"] {
            let mut client = named(&broker, "slow");
            let says = encode(&["PUBLISH", "said", line]);
            client.send_raw(&[encode(&words(line)), says].concat());
            clients.push(client);
        }
        until_info(&mut connect(&broker), "blocked_clients", 1);
        until("they are delayed", || one.hits() + two.hits() == 2);
        let delayed = |due: Option<Due>| match due {
            Some(Due::Reply { client, command }) => format!("{} {command}", client.name),
            Some(Due::Timeout { command, .. }) => command,
            due => panic!("{due:?}"),
        };
        let clock = broker.clock();
        assert_eq!(delayed(clock.advance_to_next()), "slow strlen");
        assert_eq!(arrived(&broker, &mut listener), ["[message said STRLEN k]"]);
        let mut test = connect(&broker);
        let next = ask(&mut test, "RESPD CLOCK NEXT");
        assert!(next.starts_with("[due timeout "), "{next}");
        let heard = arrived(&broker, &mut listener);
        assert_eq!(heard, ["[message said BLPOP none 2]"]);
        let next = ask(&mut test, "RESPD CLOCK NEXT");
        assert!(next.starts_with("[due reply id "), "{next}");
        assert!(next.ends_with(" name slow command get]"), "{next}");
        assert_eq!(arrived(&broker, &mut listener), ["[message said GET k]"]);
        assert_eq!(ask(&mut test, "RESPD CLOCK NEXT"), "nil");
    }
}

#[test]
fn a_delay_is_no_shorter_where_time_passes_by_itself() {
    const TIME: Duration = Duration::from_millis(30);
    let broker = start();
    let mut client = connect(&broker);
    let _fault = broker.faults().delay(TIME).command("ping").inject();
    for _ in 0..3 {
        let begin = Instant::now();
        assert_eq!(ask(&mut client, "PING"), "PONG");
        assert!(begin.elapsed() >= TIME, "{:?}", begin.elapsed());
    }
}

#[test]
fn a_blocking_command_is_struck_when_its_reply_comes() {
    for workers in WORKERS {
        let broker = frozen(workers);
        let mut pusher = connect(&broker);
        let blocked = |fault: NewFault| {
            let fault = fault.command("blpop").inject();
            let mut client = connect(&broker);
            client.send_raw(b"PING\r\nBLPOP q 5\r\nPING\r\n");
            assert_eq!(show(&client.receive()), "PONG");
            until_info(&mut connect(&broker), "blocked_clients", 1);
            (client, fault)
        };
        let faults = broker.faults();
        let (mut client, fault) = blocked(faults.delay(SECOND));
        broker.clock().advance(SECOND);
        assert_eq!(ask(&mut pusher, "RPUSH q a"), "1");
        until_info(&mut pusher, "blocked_clients", 0);
        assert_eq!(arrived(&broker, &mut client), NOTHING);
        broker.clock().advance(SECOND - Duration::from_millis(1));
        assert_eq!(arrived(&broker, &mut client), NOTHING);
        broker.clock().advance(Duration::from_millis(1));
        assert_eq!(arrived(&broker, &mut client), ["[q a]", "PONG"]);
        drop(fault);

        // A time-out is a reply, too.
        let (mut client, fault) = blocked(faults.delay(SECOND));
        broker.clock().advance(5 * SECOND);
        assert_eq!(arrived(&broker, &mut client), NOTHING);
        broker.clock().advance(SECOND);
        assert_eq!(arrived(&broker, &mut client), ["nil", "PONG"]);
        drop(fault);

        let (mut client, fault) = blocked(faults.drop_after());
        assert_eq!(ask(&mut pusher, "RPUSH q a"), "1");
        assert_eq!(client.rest(), b"");
        assert_eq!(ask(&mut pusher, "LLEN q"), "0");
        drop(fault);

        let (mut client, fault) = blocked(faults.drop_amid());
        assert_eq!(ask(&mut pusher, "RPUSH q a"), "1");
        let whole = b"*2\r\n$1\r\nq\r\n$1\r\na\r\n";
        assert_eq!(client.rest(), &whole[..whole.len() / 2]);
        drop(fault);

        // Who has removed it meanwhile is not to suffer from it.
        let (mut client, fault) = blocked(faults.drop_after());
        drop(fault);
        assert_eq!(ask(&mut pusher, "RPUSH q a"), "1");
        assert_eq!(show(&client.receive()), "[q a]");
        assert_eq!(show(&client.receive()), "PONG");

        let _fault = faults.drop_before().command("blpop").inject();
        let mut client = connect(&broker);
        tell(&mut client, "BLPOP q 0");
        assert_eq!(client.rest(), b"");
    }
}

#[test]
fn a_connection_is_dropped_before_its_command_runs() {
    for workers in WORKERS {
        let broker = frozen(workers);
        let fault = broker.faults().drop_before().command("incr").inject();
        let mut client = connect(&broker);
        client.send_raw(b"PING\r\nINCR n\r\nINCR n\r\n");
        assert_eq!(client.rest(), b"+PONG\r\n");
        assert_eq!(inside(&broker, "EXISTS n"), "0");
        assert_eq!(fault.hits(), 1);
    }
}

#[test]
fn a_connection_is_dropped_between_a_command_and_its_reply() {
    for workers in WORKERS {
        let broker = frozen(workers);
        let fault = broker.faults().drop_after().command("incr").inject();
        let mut client = connect(&broker);
        client.send_raw(b"PING\r\nINCR n\r\nINCR n\r\n");
        assert_eq!(client.rest(), b"+PONG\r\n");
        assert_eq!(inside(&broker, "GET n"), "1");
        assert_eq!(fault.hits(), 1);
        let _exec = broker.faults().drop_after().command("exec").inject();
        let mut client = connect(&broker);
        client.send_raw(b"MULTI\r\nINCRBY n 10\r\nEXEC\r\n");
        assert_eq!(client.rest(), b"+OK\r\n+QUEUED\r\n");
        assert_eq!(inside(&broker, "GET n"), "11");
    }
}

#[test]
fn a_connection_is_dropped_within_a_reply_however_long_that_is() {
    let large = "x".repeat(300_000);
    for workers in WORKERS {
        let broker = frozen(workers);
        let mut test = connect(&broker);
        assert_eq!(test.text(&["SET", "large", &large]), "OK");
        for n in 0..20_000 {
            tell(&mut test, &format!("RPUSH list element:{n}"));
        }
        (0..20_000).for_each(|_| _ = test.receive());
        for line in [
            "SET k v",
            "GET k",
            "GET none",
            "MGET large k large",
            "LRANGE list 0 -1",
        ] {
            let mut client = connect(&broker);
            tell(&mut client, line);
            tell(&mut client, "QUIT");
            let whole = client.rest();
            let whole = whole.strip_suffix(b"+OK\r\n").unwrap();
            let mut client = connect(&broker);
            let fault = broker.faults().drop_amid().times(1).command(words(line)[0]);
            let fault = fault.inject();
            client.send_raw(&[b"PING\r\n", &*encode(&words(line)), b"PING\r\n"].concat());
            let part = client.rest();
            let part = part.strip_prefix(b"+PONG\r\n").unwrap();
            assert!(whole.starts_with(part), "{line}");
            assert!(
                !part.is_empty() && part.len() < whole.len(),
                "{line}: {}",
                part.len()
            );
            assert_eq!(fault.hits(), 1);
        }
        assert_eq!(inside(&broker, "GET k"), "v");
    }
}

#[test]
fn a_fault_that_is_removed_lets_go_what_it_holds_back() {
    for workers in WORKERS {
        let broker = frozen(workers);
        let mut test = connect(&broker);
        for fault in [
            "DELAY 1000000 COMMAND ping",
            "HANG NAME worker",
            "STALL NAME worker",
        ] {
            let mut client = named(&broker, "worker");
            let mut newcomer = connect(&broker);
            let id = ask(&mut test, &format!("RESPD FAULT ADD {fault}"));
            client.send_raw(b"PING\r\nECHO hi\r\n");
            newcomer.send_raw(b"CLIENT SETNAME worker\r\n");
            assert_eq!(show(&newcomer.receive()), "OK", "{fault}");
            newcomer.send_raw(b"PING\r\n");
            assert_eq!(arrived(&broker, &mut client), NOTHING, "{fault}");
            assert_eq!(arrived(&broker, &mut newcomer), NOTHING, "{fault}");
            assert_eq!(ask(&mut test, "ECHO unharmed"), "unharmed");
            until("they are struck", || broker.faults().list()[0].hits == 2);
            let listed = ask(&mut test, "RESPD FAULT LIST");
            let expected = format!("[[id {id} fault {fault} matches 2 hits 2]]");
            assert_eq!(listed, expected);
            assert_eq!(ask(&mut test, &format!("RESPD FAULT REMOVE {id}")), "OK");
            assert_eq!(show(&client.receive()), "PONG", "{fault}");
            assert_eq!(show(&client.receive()), "hi", "{fault}");
            assert_eq!(show(&newcomer.receive()), "PONG", "{fault}");
        }
    }
}

#[test]
fn connections_are_refused() {
    let broker = start();
    let mut before = named(&broker, "before");
    let fault = broker.faults().refuse().nth(2).inject();
    let mut first = connect(&broker);
    assert_eq!(ask(&mut first, "PING"), "PONG");
    assert_eq!(connect(&broker).rest(), b"");
    let mut within = broker.connect().into_blocking();
    within.write_all(b"PING\r\n").unwrap();
    let mut reply = [0; 7];
    within.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"+PONG\r\n");
    assert_eq!((fault.matches(), fault.hits()), (3, 1));
    drop(fault);
    let _fault = broker.faults().refuse().inject();
    let mut text = String::new();
    let mut within = broker.connect().into_blocking();
    within.read_to_string(&mut text).unwrap();
    assert_eq!(text, "");
    assert_eq!(connect(&broker).rest(), b"");
    assert_eq!(ask(&mut before, "PING"), "PONG");
    assert_eq!(info(&mut before, "rejected_connections"), "3");
}

#[test]
fn who_hangs_is_read_and_who_stalls_is_not() {
    for workers in WORKERS {
        let broker = frozen(workers);
        let (mut client, mut other) = (named(&broker, "worker"), connect(&broker));
        ask(&mut client, "SUBSCRIBE news");
        let read = |other: &mut Wire| info(other, "total_net_input_bytes").parse::<u64>().unwrap();
        // What takes more than a socket holds, and more than a client may have waiting.
        let ping = vec![b'x'; 1 << 16];
        let hang = broker.faults().hang().client_name("worker").inject();
        let before = read(&mut other);
        for _ in 0..100 {
            client.send_raw(&ping);
        }
        until("it is read", || read(&mut other) - before >= 100 << 16);
        assert_eq!(ask(&mut other, "PUBLISH news one"), "1");
        assert_eq!(arrived(&broker, &mut client), NOTHING);
        drop(hang);
        assert_eq!(show(&client.receive()), "[message news one]");
        let rest = client.rest();
        let error = "-ERR Protocol error: too big inline request\r\n";
        assert_eq!(String::from_utf8_lossy(&rest), error);

        let mut client = named(&broker, "worker");
        ask(&mut client, "SUBSCRIBE news");
        let stall = broker.faults().stall().client_name("worker").inject();
        client.send_raw(b"PING\r\n");
        assert_eq!(ask(&mut other, "PUBLISH news two"), "1");
        assert_eq!(show(&client.receive()), "[message news two]");
        assert_eq!(arrived(&broker, &mut client), NOTHING);
        drop(stall);
        assert_eq!(show(&client.receive()), "[pong ]");
    }
}

#[test]
fn a_fault_of_connections_strikes_some_of_them_for_good() {
    const ROUNDS: usize = 3;
    let broker = frozen("1");
    let mut clients: Vec<_> = (0..4).map(|_| named(&broker, "worker")).collect();
    let fault = broker.faults().hang().client_name("worker").every(2);
    let fault = fault.inject();
    let mut answered = [0; 4];
    for round in 1..=ROUNDS {
        clients.iter_mut().for_each(|client| tell(client, "PING"));
        until("two are answered", || {
            for (client, answered) in clients.iter_mut().zip(&mut answered) {
                *answered += arrived(&broker, client).len();
            }
            answered.iter().sum::<usize>() >= 2 * round
        });
    }
    answered.sort();
    assert_eq!(answered, [0, 0, ROUNDS, ROUNDS]);
    assert_eq!((fault.matches(), fault.hits()), (4, 2));
}

#[test]
fn who_has_added_a_fault_can_remove_it() {
    for workers in WORKERS {
        let broker = frozen(workers);
        let (mut test, mut other) = (connect(&broker), connect(&broker));
        for fault in [
            "ERROR no",
            "DROP BEFORE",
            "DROP MIDDLE",
            "DELAY 1",
            "HANG",
            "STALL",
        ] {
            let id = ask(&mut test, &format!("RESPD FAULT ADD {fault}"));
            assert_eq!(ask(&mut test, &format!("RESPD FAULT REMOVE {id}")), "OK");
        }
        // It is there for what comes in the same packet.
        test.send_raw(b"GET k\r\nRESPD FAULT ADD ERROR no COMMAND get\r\nGET k\r\n");
        assert_eq!(show(&test.receive()), "nil");
        test.receive();
        assert_eq!(show(&test.receive()), "no");
        assert_eq!(ask(&mut test, "RESPD FAULT CLEAR"), "OK");
        let own = ask(&mut test, "CLIENT ID");
        ask(&mut test, &format!("RESPD FAULT ADD HANG ID {own}"));
        tell(&mut test, "PING");
        assert_eq!(arrived(&broker, &mut test), NOTHING);
        assert_eq!(ask(&mut other, "PING"), "PONG");
        broker.faults().clear();
        assert_eq!(show(&test.receive()), "PONG");
        assert_eq!(broker.faults().list(), []);
    }
}

#[test]
fn everything_comes_a_byte_at_a_time() {
    for workers in WORKERS {
        let broker = frozen(workers);
        let (mut client, mut other) = (named(&broker, "worker"), connect(&broker));
        let value = "v".repeat(20_000);
        assert_eq!(other.text(&["SET", "k", &value]), "OK");
        let _fault = broker.faults().trickle().client_name("worker").inject();
        let writes = |other: &mut Wire| info(other, "total_writes_processed").parse::<usize>();
        let before = writes(&mut other).unwrap();
        client.send_raw(b"GET k\r\nPING\r\n");
        // Others have their turn between two bytes.
        assert_eq!(ask(&mut other, "PING"), "PONG");
        assert_eq!(show(&client.receive()), value);
        assert_eq!(show(&client.receive()), "PONG");
        let after = writes(&mut other).unwrap();
        assert!(after - before >= value.len(), "{before} {after}");
        // And over a stream in memory.
        let mut within = broker.connect().into_blocking();
        within.write_all(b"CLIENT SETNAME worker\r\n").unwrap();
        within.read_exact(&mut [0; 5]).unwrap();
        within.write_all(b"GET k\r\nQUIT\r\n").unwrap();
        let mut reply = String::new();
        within.read_to_string(&mut reply).unwrap();
        assert_eq!(reply, format!("$20000\r\n{value}\r\n+OK\r\n"));
    }
}

/// Publishes numbers to a subscriber, and answers what it has heard by then, in
/// one word.
fn heard(broker: &Broker, subscriber: &mut Wire, channel: &str, count: usize) -> String {
    let mut publisher = connect(broker);
    for n in 1..=count {
        let receivers = ask(&mut publisher, &format!("PUBLISH {channel} {n}"));
        assert_eq!(receivers, "1", "who publishes is told the same");
    }
    numbers(arrived(broker, subscriber))
}

fn numbers(messages: Vec<String>) -> String {
    let last = |line: &String| {
        line.trim_end_matches(']')
            .rsplit(' ')
            .next()
            .unwrap()
            .to_owned()
    };
    messages.iter().map(last).collect()
}

#[test]
fn messages_are_lost_doubled_and_swapped() {
    type Make = fn(&Faults) -> NewFault;
    // What is heard, and what once the fault is removed.
    let cases: [(Make, &str, &str); 6] = [
        (|faults| faults.lose(), "", ""),
        (|faults| faults.lose().nth(2), "134", ""),
        (|faults| faults.duplicate().every(2), "122344", ""),
        (|faults| faults.reorder(), "2143", ""),
        (|faults| faults.reorder().nth(2), "1324", ""),
        (|faults| faults.reorder().nth(4), "123", "4"),
    ];
    for workers in WORKERS {
        for protocol in ["2", "3"] {
            for (make, expected, left) in cases {
                let broker = frozen(workers);
                let mut subscriber = connect(&broker);
                subscriber.call(&["HELLO", protocol]);
                ask(&mut subscriber, "SUBSCRIBE news");
                let fault = make(&broker.faults()).channel("n*").inject();
                assert_eq!(heard(&broker, &mut subscriber, "news", 4), expected);
                drop(fault);
                assert_eq!(numbers(arrived(&broker, &mut subscriber)), left);
                assert_eq!(heard(&broker, &mut subscriber, "news", 2), "12");
            }
        }
    }
}

#[test]
fn faults_of_messages_are_limited_to_channels_and_to_who_receives_them() {
    for workers in WORKERS {
        let broker = frozen(workers);
        let (mut one, mut two) = (named(&broker, "one"), named(&broker, "two"));
        let mut publisher = connect(&broker);
        for client in [&mut one, &mut two] {
            ask(client, "SUBSCRIBE news");
            ask(client, "PSUBSCRIBE old*");
            ask(client, "SSUBSCRIBE shard");
        }
        let faults = broker.faults();
        let lost = faults.lose().client_name("one").channel("oldest").inject();
        let doubled = faults
            .duplicate()
            .client_name("two")
            .channel("shard")
            .inject();
        let tell = |publisher: &mut Wire| {
            for line in ["PUBLISH news a", "PUBLISH oldest b", "PUBLISH older c"] {
                assert_eq!(ask(publisher, line), "2");
            }
            assert_eq!(ask(publisher, "SPUBLISH shard d"), "2");
        };
        tell(&mut publisher);
        assert_eq!(numbers(arrived(&broker, &mut one)), "acd");
        assert_eq!(numbers(arrived(&broker, &mut two)), "abcdd");
        assert_eq!((lost.hits(), doubled.hits()), (1, 1));
        drop((lost, doubled));
        let _swapped = faults.reorder().client_name("two").inject();
        tell(&mut publisher);
        assert_eq!(numbers(arrived(&broker, &mut one)), "abcd");
        assert_eq!(numbers(arrived(&broker, &mut two)), "badc");
    }
}

#[test]
fn a_message_that_is_held_back_goes_with_its_subscription() {
    let broker = frozen("1");
    let mut client = connect(&broker);
    let mut publisher = connect(&broker);
    let fault = broker.faults().reorder().inject();
    ask(&mut client, "SUBSCRIBE news");
    assert_eq!(ask(&mut publisher, "PUBLISH news one"), "1");
    assert_eq!(ask(&mut client, "UNSUBSCRIBE news"), "[unsubscribe news 0]");
    drop(fault);
    // RESP2 would take it for a reply.
    assert_eq!(ask(&mut client, "PING"), "PONG");
    assert_eq!(arrived(&broker, &mut client), NOTHING);
    let _fault = broker.faults().reorder().inject();
    ask(&mut client, "SUBSCRIBE news");
    assert_eq!(ask(&mut publisher, "PUBLISH news one"), "1");
    drop(client);
    until_info(&mut publisher, "connected_clients", 1);
    broker.faults().clear();
}

#[test]
fn what_waits_is_bounded_as_ever() {
    let builder = Broker::builder().for_tests();
    let builder = builder.set("client-output-buffer-limit", "pubsub 100kb 0 0");
    let broker = builder
        .set("client-query-buffer-limit", "1mb")
        .start()
        .unwrap();
    let _fault = broker.faults().hang().client_name("worker").inject();
    let mut test = connect(&broker);
    let mut subscriber = connect(&broker);
    subscriber.send_raw(b"SUBSCRIBE news\r\nCLIENT SETNAME worker\r\nPING\r\n");
    // A subscriber that speaks RESP2 can take no name any more.
    (0..3).for_each(|_| _ = subscriber.receive());
    let mut subscriber = named(&broker, "worker");
    subscriber.send_raw(b"PING\r\n");
    let mut hung = connect(&broker);
    hung.call(&["HELLO", "3"]);
    ask(&mut hung, "SUBSCRIBE news");
    ask(&mut hung, "CLIENT SETNAME worker");
    let message = "x".repeat(10_000);
    until("it is closed", || {
        test.text(&["PUBLISH", "news", &message]) == "1"
    });
    assert_eq!(hung.rest(), b"");
    assert_eq!(
        info(&mut test, "client_output_buffer_limit_disconnections"),
        "1"
    );
    let chunk = vec![b'x'; 1 << 16];
    assert!(subscriber.flood(&chunk, 10_000) < 10_000);
    assert_eq!(
        info(&mut test, "client_query_buffer_limit_disconnections"),
        "1"
    );
}

#[test]
fn who_has_no_connection_is_not_concerned() {
    let broker = start();
    let _faults = [
        broker.faults().error("ERR no").inject(),
        broker.faults().drop_after().inject(),
        broker.faults().hang().inject(),
    ];
    assert_eq!(inside(&broker, "SET k v"), "OK");
    assert_eq!(inside(&broker, "GET k"), "v");
}

#[test]
fn a_broker_ends_whatever_its_faults_hold_back() {
    for workers in WORKERS {
        let broker = frozen(workers);
        let faults = ["delay", "hang", "stall", "trickle", "reorder"];
        let mut clients = faults.map(|name| named(&broker, name));
        let of = broker.faults();
        // They outlive it.
        let guards = [
            of.delay(1000 * SECOND)
                .command("ping")
                .client_name("delay")
                .inject(),
            of.hang().client_name("hang").inject(),
            of.stall().client_name("stall").inject(),
            of.trickle().client_name("trickle").inject(),
            of.reorder().inject(),
        ];
        ask(&mut clients[4], "SUBSCRIBE news");
        inside(&broker, "PUBLISH news m");
        let value = "v".repeat(1 << 20);
        assert_eq!(inside(&broker, &format!("SET k {value}")), "OK");
        for client in &mut clients[..4] {
            client.send_raw(b"PING\r\nGET k\r\n");
        }
        until("one is delayed", || guards[0].hits() == 1);
        drop(broker);
        for client in &mut clients {
            client.rest();
        }
    }
}

#[test]
fn a_fault_of_one_broker_touches_no_other() {
    let (struck, spared) = (start(), start());
    let _faults = [
        struck.faults().error("ERR no").inject(),
        struck.faults().lose().inject(),
        struck.faults().refuse().inject(),
    ];
    assert_eq!(connect(&struck).rest(), b"");
    let (mut client, mut subscriber) = (connect(&spared), connect(&spared));
    ask(&mut subscriber, "SUBSCRIBE news");
    assert_eq!(ask(&mut client, "GET k"), "nil");
    assert_eq!(ask(&mut client, "PUBLISH news m"), "1");
    assert_eq!(show(&subscriber.receive()), "[message news m]");
    assert_eq!(ask(&mut client, "RESPD FAULT LIST"), "[]");
}

#[test]
fn it_works_while_others_load_the_broker() {
    for workers in WORKERS {
        let builder = Broker::builder().for_tests();
        let broker = builder.set("workers", workers).start().unwrap();
        let (broker, over) = (&broker, &AtomicBool::new(false));
        std::thread::scope(|scope| {
            let loads = [
                ("INCR n", None),
                ("RPUSH noise a", None),
                ("PUBLISH noise m", Some("0")),
                ("ECHO unharmed", Some("unharmed")),
            ];
            for (line, expected) in loads {
                scope.spawn(move || {
                    let mut client = connect(broker);
                    while !over.load(Relaxed) {
                        let reply = client.call(&words(line));
                        assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
                        if let Some(expected) = expected {
                            assert_eq!(show(&reply), expected, "{line}");
                        }
                    }
                });
            }
            let faults = broker.faults();
            for round in 1..=25 {
                let mut worker = named(broker, "worker");
                let mut subscriber = named(broker, "subscriber");
                ask(&mut subscriber, "SUBSCRIBE orders");
                let error = faults.error("LOADING").command("get").client_name("worker");
                let error = error.times(1).inject();
                assert!(ask(&mut worker, "GET k").starts_with("LOADING "));
                assert_eq!(ask(&mut worker, "GET k"), "nil");
                assert_eq!((error.matches(), error.hits()), (2, 1));
                let delay = faults.delay(1000 * SECOND).client_name("worker").inject();
                tell(&mut worker, "INCR worked");
                until("it is delayed", || delay.hits() == 1);
                drop(delay);
                assert_eq!(show(&worker.receive()), round.to_string());
                let twice = faults.duplicate().client_name("subscriber").inject();
                assert_eq!(ask(&mut worker, "PUBLISH orders one"), "1");
                for _ in 0..2 {
                    assert_eq!(show(&subscriber.receive()), "[message orders one]");
                }
                drop(twice);
                let hang = faults.hang().client_name("worker").inject();
                let (mut test, id) = (connect(broker), hang.id().to_string());
                tell(&mut worker, "ECHO late");
                assert_eq!(test.text(&["RESPD", "FAULT", "REMOVE", &id]), "OK");
                assert_eq!(show(&worker.receive()), "late");
                let _dropped = faults.drop_after().key("cut").inject();
                tell(&mut worker, "INCR cut");
                assert_eq!(worker.rest(), b"");
                assert_eq!(inside(broker, "GET cut"), round.to_string());
            }
            over.store(true, Relaxed);
        });
    }
}

#[test]
#[should_panic(expected = "there is no command 'flurp' that a fault could strike")]
fn a_fault_of_no_command_is_refused() {
    drop(start().faults().error("LOADING").command("flurp").inject());
}

#[test]
#[should_panic(expected = "ERR the fault HANG takes no KEY")]
fn a_fault_that_can_not_be_limited_to_that_is_refused() {
    drop(start().faults().hang().key("k").inject());
}
