//! Connections that are too many, break off, or come from somebody who speaks something else.

use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::Duration;

use respd::Broker;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

use crate::binary::process::serve;
use crate::footprint::{Footprint, processor_time};
use crate::wire::{Wire, assert_serves, encode, info, show, until, until_info};

const REFUSED: &[u8] = b"-ERR max number of clients reached\r\n";

#[test]
fn ten_thousand_idle_connections_cost_little_and_all_answer() {
    // Descriptors for both ends would not fit into one process with all the other tests.
    let room = raise_descriptors();
    let count = 10_000.min(room.saturating_sub(5_000)) as usize;
    let broker = serve(&["--maxclients", "12000"]);
    let mut probe = broker.connect();
    // Whatever the first client makes the broker set up is there.
    assert_eq!(probe.text(&["PING"]), "PONG");
    let before = Footprint::of(broker.process.id());
    let mut clients: Vec<Wire> = (0..count)
        .map(|n| {
            let from = Ipv4Addr::new(127, 0, 0, 2 + (n % 8) as u8);
            Wire::connect_from(from, broker.addr())
        })
        .collect();
    until_info(&mut probe, "connected_clients", count + 1);
    let each = (Footprint::of(broker.process.id()).resident - before.resident) / count as u64;
    assert!(each <= 8 << 10, "a connection takes {each} bytes");
    for client in &mut clients {
        client.send(&["PING"]);
    }
    for (at, client) in clients.iter_mut().enumerate() {
        assert_eq!(show(&client.receive()), "PONG", "client {at}");
    }
    drop(clients);
    until_info(&mut probe, "connected_clients", 1);
    until("the descriptors are back", || {
        Footprint::of(broker.process.id()).descriptors == before.descriptors
    });
    broker.stop();
}

#[test]
fn one_client_too_many_is_told_so_and_the_others_stay() {
    for workers in ["1", "3"] {
        let broker = Broker::builder()
            .set("workers", workers)
            .set("maxclients", "5")
            .start()
            .unwrap();
        let mut clients: Vec<Wire> = (0..5).map(|_| Wire::connect(broker.addr())).collect();
        for client in &mut clients {
            assert_eq!(client.text(&["PING"]), "PONG");
        }
        for _ in 0..2 {
            assert_eq!(Wire::connect(broker.addr()).rest(), REFUSED);
        }
        for client in &mut clients {
            assert_eq!(client.text(&["PING"]), "PONG");
        }
        clients.pop();
        until_info(&mut clients[0], "connected_clients", 4);
        assert_serves(broker.addr());
    }
}

#[test]
fn no_more_clients_than_allowed_get_in_however_fast_they_come() {
    for workers in ["1", "3"] {
        let broker = Broker::builder()
            .set("workers", workers)
            .set("maxclients", "5")
            .start()
            .unwrap();
        let mut clients: Vec<Wire> = (0..60).map(|_| Wire::connect(broker.addr())).collect();
        let admitted = clients
            .iter_mut()
            .map(|client| {
                client.send_anyway(b"PING\r\n");
                let mut reply = [0; 5];
                // One that is refused may find the connection reset before it has read why.
                client.stream().read_exact(&mut reply).map(|()| reply)
            })
            .filter(|reply| reply.as_ref().is_ok_and(|reply| reply == b"+PONG"))
            .count();
        assert_eq!(admitted, 5, "with {workers} workers");
    }
}

#[test]
fn thousands_of_connections_that_are_reset_at_once_leave_nothing_behind() {
    let broker = serve(&["--workers", "2", "--maxclients", "15000"]);
    let mut probe = broker.connect();
    assert_eq!(probe.text(&["PING"]), "PONG");
    let before = Footprint::of(broker.process.id()).descriptors;
    let addr = broker.addr();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            std::thread::spawn(move || {
                for n in 0..1_000 {
                    let from = Ipv4Addr::new(127, 0, 1, thread + 1);
                    let mut client = Wire::connect_from(from, addr);
                    // Some had begun to say something.
                    match n % 4 {
                        0 => client.send_anyway(b"PING\r\n*2\r\n$3\r\nGET"),
                        1 => client.send_anyway(&encode(&["SUBSCRIBE", "c"])),
                        2 => client.send_anyway(&encode(&["BLPOP", "q", "0"])),
                        _ => {}
                    }
                    client.reset();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
    until_info(&mut probe, "connected_clients", 1);
    until_info(&mut probe, "blocked_clients", 0);
    until_info(&mut probe, "pubsub_channels", 0);
    until("the descriptors are back", || {
        Footprint::of(broker.process.id()).descriptors == before
    });
    assert_serves(addr);
    broker.stop();
}

#[test]
fn without_descriptors_newcomers_wait_and_nothing_spins() {
    let mut broker = serve(&["--maxclients", "1000"]);
    let pid = broker.process.id();
    let mut probe = broker.connect();
    assert_eq!(probe.text(&["PING"]), "PONG");
    let limit = Footprint::of(pid).descriptors + 4;
    let raw = Pid::from_raw(pid as i32).unwrap();
    let old = prlimit(
        Some(raw),
        Resource::Nofile,
        Rlimit {
            current: Some(limit),
            maximum: getrlimit(Resource::Nofile).maximum,
        },
    )
    .unwrap();
    let mut clients: Vec<Wire> = (0..12).map(|_| broker.connect()).collect();
    broker.process.line("trying again in 10ms");
    let spent = processor_time(pid);
    // Half a second later.
    broker.process.line("trying again in 640ms");
    let spent = processor_time(pid) - spent;
    assert!(spent < Duration::from_millis(250), "it spun for {spent:?}");
    // Those who are in are served all the while.
    assert_eq!(probe.text(&["PING"]), "PONG");
    assert_eq!(clients[0].text(&["PING"]), "PONG");
    // Once there is room, everybody is.
    clients.drain(..4);
    prlimit(Some(raw), Resource::Nofile, old).unwrap();
    for client in &mut clients {
        assert_eq!(client.text(&["PING"]), "PONG");
    }
    assert_serves(broker.addr());
    broker.stop();
}

#[test]
fn a_client_that_closes_its_side_gets_all_replies_first() {
    for workers in ["1", "3"] {
        let broker = Broker::builder().set("workers", workers).start().unwrap();
        let mut client = Wire::connect(broker.addr());
        client.send(&["SET", "large", &"x".repeat(1 << 20)]);
        for _ in 0..20 {
            client.send(&["GET", "large"]);
        }
        // Half a request at the end is forgotten.
        client.send_raw(b"*2\r\n$3\r\nDEL\r\n$5\r\nlar");
        client.finish();
        let rest = client.rest();
        let expected = format!(
            "+OK\r\n{}",
            format!("$1048576\r\n{}\r\n", "x".repeat(1 << 20)).repeat(20)
        );
        assert_eq!(rest.len(), expected.len());
        assert!(rest == expected.as_bytes());
        assert_eq!(Wire::connect(broker.addr()).text(&["EXISTS", "large"]), "1");
    }
}

#[test]
fn those_who_speak_something_else_run_no_command() {
    let broker = Broker::start().unwrap();
    let hello = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        &[0x5a; 400],
        b"\x00\x0a\x13\x02*3\r\n$3\r\nSET",
    ]
    .concat();
    // What is sent, and what comes back; `None` for whatever it is, so long as it ends.
    let strangers: [(&[u8], Option<&str>); 7] = [
        (
            b"POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\nSET evil 1\r\n",
            Some(""),
        ),
        (b"post /x HTTP/1.1\r\nSET evil 1\r\n", Some("")),
        (
            b"GET / HTTP/1.1\r\nHost: localhost:6379\r\n\r\nSET evil 1\r\n",
            Some(""),
        ),
        (
            b"GET / HTTP/1.1\r\nAccept: */*\r\nhost: x\r\nSET evil 1\r\n",
            Some(""),
        ),
        (b"SET evil\0 1\r\nHost: x\r\nSET evil 1\r\n", None),
        (&hello, None),
        (b"SSH-2.0-OpenSSH_9.6\r\n", None),
    ];
    for (bytes, expected) in strangers {
        let mut client = Wire::connect(broker.addr());
        client.send_anyway(bytes);
        if expected.is_none() {
            client.finish();
        }
        let rest = client.rest();
        if let Some(expected) = expected {
            assert_eq!(String::from_utf8_lossy(&rest), expected);
        }
        let mut probe = Wire::connect(broker.addr());
        assert_eq!(probe.text(&["EXISTS", "evil"]), "0");
    }
}

#[test]
fn noise_closes_its_own_connection_at_most() {
    let broker = Broker::start().unwrap();
    for (seed, first) in [
        (1, b'*'),
        (2, b'$'),
        (3, 0),
        (4, b'\n'),
        (5, b'a'),
        (6, b'"'),
    ] {
        let mut noise = vec![0; 1 << 20];
        fastrand::Rng::with_seed(seed).fill(&mut noise);
        noise[0] = first;
        let mut client = Wire::connect(broker.addr());
        let mut writing = client.stream().try_clone().unwrap();
        let writer = std::thread::spawn(move || {
            // It is closed at the first breach of the protocol.
            let _ = writing.write_all(&noise);
            let _ = writing.shutdown(std::net::Shutdown::Write);
        });
        client.rest();
        writer.join().unwrap();
        assert_serves(broker.addr());
    }
}

#[test]
fn a_thousand_clients_that_dribble_hold_nobody_up() {
    let broker = Broker::start().unwrap();
    let mut slow: Vec<Wire> = (0..1_000).map(|_| Wire::connect(broker.addr())).collect();
    let mut probe = Wire::connect(broker.addr());
    let request = encode(&["SET", "k", "v"]);
    let mut waited = Vec::new();
    for &byte in &request {
        for client in &mut slow {
            client.send_raw(&[byte]);
        }
        let start = std::time::Instant::now();
        assert_eq!(probe.text(&["PING"]), "PONG");
        waited.push(start.elapsed());
    }
    for client in &mut slow {
        assert_eq!(show(&client.receive()), "OK");
    }
    waited.sort();
    // A millisecond for the thousand that are in front; the rest is for a loaded machine.
    let median = waited[waited.len() / 2];
    assert!(median < Duration::from_millis(200), "{median:?}");
}

#[test]
fn two_hundred_brokers_leave_no_thread_socket_or_memory_behind() {
    // In a process of its own, where nobody else starts threads and opens sockets.
    const ALONE: &str = "RESPD_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let name = std::thread::current().name().unwrap().to_owned();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &name, "--nocapture"])
            .env(ALONE, "1")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && text.contains("1 passed"),
            "{text}"
        );
        return;
    }
    let round = || {
        let brokers: Vec<_> = (0..20)
            .map(|n| {
                let workers = if n % 2 == 0 { "1" } else { "3" };
                Broker::builder().set("workers", workers).start().unwrap()
            })
            .collect();
        let clients: Vec<_> = brokers
            .iter()
            .map(|broker| {
                let mut clients: Vec<_> = (0..5).map(|_| Wire::connect(broker.addr())).collect();
                clients[0].send(&["BLPOP", "q", "0"]);
                assert_eq!(clients[1].text(&["SUBSCRIBE", "c"]), "[subscribe c 1]");
                clients[2].send_raw(b"*1000\r\n$5\r\nab");
                assert_eq!(
                    clients[3].text(&["SET", "k", &"x".repeat(100_000), "EX", "100"]),
                    "OK"
                );
                clients[4].send(&["CLIENT", "PAUSE", "100000", "WRITE"]);
                clients[4].send(&["DEL", "k"]);
                clients
            })
            .collect();
        drop(brokers);
        clients
            .into_iter()
            .flatten()
            .for_each(|mut client| drop(client.rest()));
    };
    (0..3).for_each(|_| round());
    let before = Footprint::own();
    (0..7).for_each(|_| round());
    let after = Footprint::own();
    assert_eq!(
        (after.threads, after.descriptors),
        (before.threads, before.descriptors)
    );
    let grown = after.resident.saturating_sub(before.resident);
    assert!(
        grown < 8 << 20,
        "{grown} bytes more than before: {before:?} {after:?}"
    );
}

/// Raises this process's limit of open files as far as it goes; answers how far that is.
fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[test]
fn a_request_that_waits_for_a_reply_takes_a_cycle_of_an_event_loop() {
    let broker = Broker::builder().set("workers", "2").start().unwrap();
    let mut client = Wire::connect(broker.addr());
    let read = |client: &mut Wire, name: &str| {
        let number = info(client, &format!("eventloop_{name}"));
        number.parse::<u64>().expect("a number")
    };
    let requests: [&[&str]; 2] = [&["PING"], &["EVAL", "return 1", "0"]];
    for request in requests {
        let (cycles, sum) = (
            read(&mut client, "cycles"),
            read(&mut client, "duration_sum"),
        );
        for _ in 0..200 {
            client.text(request);
        }
        let more = read(&mut client, "cycles") - cycles;
        assert!(more >= 200, "{more} cycles for 200 times {request:?}");
        let took = read(&mut client, "duration_sum") - sum;
        assert!(took > 0, "no time for 200 times {request:?}");
        client.text(&["CONFIG", "RESETSTAT"]);
        let left = read(&mut client, "cycles");
        assert!(left < 200, "{left} cycles after CONFIG RESETSTAT");
        assert!(read(&mut client, "duration_cmd_sum") > 0);
    }
}
