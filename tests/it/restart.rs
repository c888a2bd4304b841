//! A broker that goes and comes back: what is gone then, what is there again, and who notices.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use respd::testkit::Data;
use respd::{Broker, LocalClient};
use rustix::process::Signal;

use crate::binary::process::serve;
use crate::wire::{PATIENCE, Wire, assert_serves, show, until};

const HOUR: Duration = Duration::from_secs(3600);

fn start(settings: &[(&str, &str)]) -> Broker {
    let settings = settings.iter();
    let builder = settings.fold(Broker::builder().for_tests(), |builder, (name, value)| {
        builder.set(name, value)
    });
    builder.start().unwrap()
}

/// Who has it go and come back.
#[derive(Clone, Copy, Debug)]
enum By {
    Rust,
    Client,
    LocalClient,
    Memory,
}

const EACH: [By; 4] = [By::Rust, By::Client, By::LocalClient, By::Memory];

fn restart(broker: &Broker, by: By, data: Data) {
    let word = match data {
        Data::Keep => "KEEP",
        Data::Lose => "lose",
    };
    let words = ["RESPD", "RESTART", word];
    match by {
        By::Rust => broker.restart(data).unwrap(),
        By::Client => {
            let mut client = Wire::connect(broker.addr());
            client.send(&words);
            assert_eq!(rest(&mut client), "+OK\r\n");
        }
        By::LocalClient => {
            let mut client = broker.client();
            assert_eq!(show(&client.call(&words)), "OK");
            assert_eq!(show(&client.call(&["PING"])), "ERR the client is closed");
        }
        By::Memory => {
            let mut client = broker.connect().into_blocking();
            // What comes before it is done, and what comes after it is not.
            let requests = format!("SET last 1\r\n{}\r\nPING\r\n", words.join(" "));
            client.write_all(requests.as_bytes()).unwrap();
            let mut replies = String::new();
            client.read_to_string(&mut replies).unwrap();
            assert_eq!(replies, "+OK\r\n+OK\r\n");
        }
    }
}

fn rest(client: &mut Wire) -> String {
    String::from_utf8(client.rest()).unwrap()
}

/// The reply to a line, on one line.
fn ask(broker: &Broker, line: &str) -> String {
    ask_as(&mut broker.client(), line)
}

fn ask_as(client: &mut LocalClient, line: &str) -> String {
    show(&client.call(&line.split(' ').collect::<Vec<_>>()))
}

fn info(broker: &Broker, field: &str) -> String {
    let all = ask(broker, "INFO everything");
    let mut fields = all.lines().filter_map(|line| line.split_once(':'));
    let value = fields.find_map(|(name, value)| (name == field).then_some(value));
    value
        .unwrap_or_else(|| panic!("no {field} in {all}"))
        .trim_end()
        .to_owned()
}

#[track_caller]
fn assert_refused(addr: SocketAddr) {
    let refused = TcpStream::connect(addr).map_err(|error| error.kind());
    assert_eq!(
        refused.map(|_| "connected"),
        Err(ErrorKind::ConnectionRefused)
    );
}

#[test]
fn data_are_there_again_or_gone() {
    for by in EACH {
        let broker = start(&[]);
        broker.clock().freeze();
        let mut client = broker.client();
        ask_as(&mut client, "SET page <html> PX 90000");
        ask_as(&mut client, "HSET cart apples 3");
        ask_as(&mut client, "HPEXPIRE cart 90000 FIELDS 1 apples");
        ask_as(&mut client, "XADD events 5-1 kind login");
        ask_as(&mut client, "XGROUP CREATE events workers 0");
        ask_as(&mut client, "XREADGROUP GROUP workers w STREAMS events >");
        ask_as(&mut client, "SELECT 3");
        ask_as(&mut client, "RPUSH jobs one two");
        let before = broker.state();
        restart(&broker, by, Data::Keep);
        ask(&broker, "DEL last");
        assert_eq!(broker.state(), before, "{by:?}");
        assert_eq!(ask(&broker, "PTTL page"), "90000", "{by:?}");
        assert_eq!(ask(&broker, "HPTTL cart FIELDS 1 apples"), "[90000]");
        restart(&broker, by, Data::Lose);
        assert!(broker.state().is_empty(), "{by:?}: {}", broker.state());
    }
}

#[cfg(feature = "lua")]
#[test]
fn functions_are_data_and_scripts_are_not() {
    let broker = start(&[]);
    let library = "#!lua name=lib\nlocal calls = 0\n\
        redis.register_function('f', function() calls = calls + 1; return calls end)";
    let load = ["FUNCTION", "LOAD", library];
    assert_eq!(show(&broker.client().call(&load)), "lib");
    assert_eq!(ask(&broker, "FCALL f 0"), "1");
    assert_eq!(ask(&broker, "FCALL f 0"), "2");
    let sha = ask(&broker, "SCRIPT LOAD return'1'");
    broker.restart(Data::Keep).unwrap();
    assert_eq!(ask(&broker, &format!("SCRIPT EXISTS {sha}")), "[0]");
    // It is loaded anew.
    assert_eq!(ask(&broker, "FCALL f 0"), "1");
    broker.restart(Data::Lose).unwrap();
    assert_eq!(ask(&broker, "FCALL f 0"), "ERR Function not found");
    assert_eq!(show(&broker.client().call(&load)), "lib");
}

#[test]
fn everything_but_the_data_begins_again() {
    for (by, seed) in EACH.into_iter().zip(["1", "2", "3", "4"]) {
        let broker = start(&[("seed", seed), ("slowlog-log-slower-than", "0")]);
        ask(&broker, "CONFIG SET maxmemory 1gb");
        ask(&broker, "GET missing");
        ask(&broker, "SUBSCRIBE news");
        broker.clock().advance(HOUR);
        let uptime: u64 = info(&broker, "uptime_in_seconds").parse().unwrap();
        assert!(uptime >= 3600, "{uptime}");
        let run_id = info(&broker, "run_id");
        let port = info(&broker, "tcp_port");
        restart(&broker, by, Data::Keep);
        assert_ne!(info(&broker, "run_id"), run_id, "{by:?}");
        assert_eq!(info(&broker, "tcp_port"), port);
        for (field, value) in [
            ("uptime_in_seconds", "0"),
            ("keyspace_misses", "0"),
            ("total_connections_received", "0"),
            // Who asks.
            ("connected_clients", "1"),
            ("maxmemory", "0"),
            ("rdb_changes_since_last_save", "0"),
        ] {
            assert_eq!(info(&broker, field), value, "{field} by {by:?}");
        }
        assert_eq!(ask(&broker, "PUBSUB CHANNELS"), "[]");
    }
}

#[test]
fn faults_stay_and_hold_nothing_for_who_has_gone() {
    let broker = start(&[]);
    let _lost = broker.faults().lose().channel("lost").inject();
    let reordered = broker.faults().reorder().channel("news").inject();
    let subscribe = || {
        let mut subscriber = Wire::connect(broker.addr());
        subscriber.call(&["SUBSCRIBE", "lost"]);
        subscriber.call(&["SUBSCRIBE", "news"]);
        subscriber
    };
    let mut before = subscribe();
    assert_eq!(ask(&broker, "PUBLISH news before"), "1");
    restart(&broker, By::Rust, Data::Keep);
    assert_eq!(rest(&mut before), "");

    let mut subscriber = subscribe();
    for line in ["PUBLISH lost 1", "PUBLISH news 1", "PUBLISH news 2"] {
        assert_eq!(ask(&broker, line), "1", "{line}");
    }
    for expected in ["[message news 2]", "[message news 1]"] {
        assert_eq!(show(&subscriber.receive()), expected);
    }
    assert_eq!((reordered.matches(), reordered.hits()), (2, 2));
}

#[test]
fn everybody_is_cut_off_and_nobody_waits_any_more() {
    for by in EACH {
        let broker = Broker::builder()
            .for_tests()
            .own_unix_socket()
            .set("workers", "2")
            .start()
            .unwrap();
        let begin = |lines: &[&str]| {
            let mut client = Wire::connect(broker.addr());
            client.text(&["CLIENT", "SETNAME", "c"]);
            for line in lines {
                client.send(&line.split(' ').collect::<Vec<_>>());
            }
            client
        };
        let mut clients = [
            begin(&["SUBSCRIBE news"]),
            begin(&["BLPOP jobs 0"]),
            begin(&["MONITOR"]),
            begin(&["WATCH k", "MULTI", "SET k 1"]),
            begin(&["RESPD WAIT EXISTS k TIMEOUT 100000"]),
            begin(&["GET k"]),
        ];
        let mut unix = UnixStream::connect(broker.unix_path().unwrap()).unwrap();
        unix.write_all(b"BLPOP jobs 0\r\n").unwrap();
        let mut memory = broker.connect().into_blocking();
        memory.write_all(b"BLPOP jobs 0\r\n").unwrap();
        let mut local = broker.client();
        let local = std::thread::spawn(move || show(&local.call(&["BLPOP", "jobs", "0"])));
        broker.until().subscribers("news", 1).wait().unwrap();
        broker.until().blocked("jobs", 4).wait().unwrap();
        broker.until().sent("c", "respd|wait").wait().unwrap();
        restart(&broker, by, Data::Keep);
        for client in &mut clients {
            client.rest();
        }
        let (mut over_unix, mut over_memory) = (String::new(), String::new());
        unix.read_to_string(&mut over_unix).unwrap();
        memory.read_to_string(&mut over_memory).unwrap();
        assert_eq!((over_unix, over_memory), (String::new(), String::new()));
        assert_eq!(local.join().unwrap(), "ERR the client is closed");
        assert_eq!(info(&broker, "blocked_clients"), "0");
        assert_eq!(ask(&broker, "PUBLISH news x"), "0");
        assert_eq!(ask(&broker, "RPUSH jobs a"), "1", "{by:?}");
        // All ways in are there again.
        assert_serves(broker.addr());
        let mut unix = UnixStream::connect(broker.unix_path().unwrap()).unwrap();
        let mut memory = broker.connect().into_blocking();
        let mut reply = [0; 7];
        unix.write_all(b"PING\r\n").unwrap();
        unix.read_exact(&mut reply).unwrap();
        memory.write_all(b"PING\r\n").unwrap();
        memory.read_exact(&mut reply).unwrap();
    }
}

#[test]
fn while_it_is_gone_nobody_gets_in_and_nobody_takes_its_place() {
    for host in [
        "127.0.0.1",
        "0.0.0.0",
        "127.0.0.1 127.0.0.2",
        "127.0.0.1 ::1",
    ] {
        let broker = Broker::builder().for_tests().own_unix_socket();
        let Ok(broker) = broker.set("bind", host).start() else {
            // A machine may have no IPv6.
            assert!(host.contains(':'), "{host}");
            continue;
        };
        for round in 0..3 {
            // With connections that are cut, and without.
            let clients: Vec<_> = (0..round)
                .map(|_| {
                    let mut client = Wire::connect(broker.addr());
                    client.text(&["PING"]);
                    client
                })
                .collect();
            let mut before = broker.client();
            let down = broker.take_down();
            for &addr in broker.addrs() {
                assert_refused(SocketAddr::new([127, 0, 0, 1].into(), addr.port()));
                // It shares the address with whoever does, as a listener of the standard library.
                let taken = TcpListener::bind(addr).map_err(|error| error.kind());
                assert_eq!(taken.map(|_| "bound"), Err(ErrorKind::AddrInUse), "{host}");
            }
            drop(clients);
            for &addr in broker.addrs() {
                let taken = TcpListener::bind(addr).map_err(|error| error.kind());
                assert_eq!(taken.map(|_| "bound"), Err(ErrorKind::AddrInUse), "{host}");
            }
            let unix = UnixStream::connect(broker.unix_path().unwrap());
            assert_eq!(unix.unwrap_err().kind(), ErrorKind::NotFound);
            let mut memory = Vec::new();
            let connection = broker.connect().into_blocking();
            { connection }.read_to_end(&mut memory).unwrap();
            assert_eq!(memory, b"");
            let closed = "ERR the client is closed";
            assert_eq!(ask_as(&mut before, "PING"), closed);
            assert_eq!(ask(&broker, "PING"), closed);
            let unmet = broker.until().exists("k").wait().unwrap_err().to_string();
            assert_eq!(unmet, "waited for the key 'k'; the broker is gone");
            match round {
                0 => drop(down),
                _ => down.bring_back(Data::Lose).unwrap(),
            }
            assert_eq!(ask_as(&mut before, "PING"), closed);
            for &addr in broker.addrs() {
                assert_serves(match addr.ip().is_unspecified() {
                    true => SocketAddr::new([127, 0, 0, 1].into(), addr.port()),
                    false => addr,
                });
            }
        }
        let addr = broker.addr();
        drop(broker);
        assert_refused(SocketAddr::new([127, 0, 0, 1].into(), addr.port()));
    }
}

#[test]
fn a_broker_is_gone_for_the_time_that_was_asked_for() {
    let broker = start(&[]);
    let asked = Instant::now();
    let mut client = Wire::connect(broker.addr());
    client.send(&["RESPD", "RESTART", "AFTER", "60"]);
    assert_eq!(rest(&mut client), "+OK\r\n");
    let gone = asked.elapsed();
    assert!(gone >= Duration::from_millis(60), "{gone:?}");
    assert_serves(broker.addr());
}

#[test]
fn the_time_is_that_of_its_clock() {
    let broker = start(&[]);
    ask(&broker, "SET soon 1 EX 1800");
    ask(&broker, "SET later 1 EX 7200");
    let mut client = Wire::connect(broker.addr());
    client.send(&["RESPD", "RESTART", "KEEP", "AFTER", "3600000"]);
    until("it is gone", || TcpStream::connect(broker.addr()).is_err());
    let clock = broker.clock();
    clock.advance(HOUR / 2);
    assert_refused(broker.addr());
    clock.advance(HOUR / 2);
    assert_eq!(rest(&mut client), "+OK\r\n");
    assert_eq!(ask(&broker, "KEYS *"), "[later]");
    // What has expired meanwhile was not in the file, says Redis.
    assert_eq!(info(&broker, "expired_keys"), "0");
    // The clock goes on moving what falls due.
    clock.advance(HOUR);
    assert_eq!(ask(&broker, "KEYS *"), "[]");
    assert_eq!(info(&broker, "expired_keys"), "1");
}

#[test]
fn a_clock_that_stands_is_no_reason_to_stay_away() {
    let broker = start(&[]);
    let clock = broker.clock();
    clock.freeze();
    let before = clock.now();
    let mut client = Wire::connect(broker.addr());
    client.send(&["RESPD", "RESTART", "AFTER", "3600000"]);
    assert_eq!(rest(&mut client), "+OK\r\n");
    assert!(clock.is_frozen());
    assert_eq!(clock.now(), before + HOUR);
}

#[test]
fn who_moves_the_clock_when_the_broker_goes_leaves_it_going() {
    for _ in 0..20 {
        let broker = start(&[]);
        let clock = broker.clock();
        ask(&broker, "SET k 1 EX 60");
        let mover = std::thread::spawn(move || {
            clock.advance(HOUR);
            clock
        });
        broker.restart(Data::Keep).unwrap();
        let clock = mover.join().unwrap();
        let now = clock.now();
        until("the clock goes on", || clock.now() > now);
        assert_eq!(ask(&broker, "EXISTS k"), "0");
    }
}

#[test]
fn snapshots_are_kept_with_the_data() {
    let broker = start(&[]);
    ask(&broker, "SET k 1");
    let snapshot = broker.snapshot().unwrap();
    ask(&broker, "SET k 2");
    broker.restart(Data::Keep).unwrap();
    assert_eq!(ask(&broker, "GET k"), "2");
    assert_eq!(snapshot.roll_back(), Ok(1));
    assert_eq!(ask(&broker, "GET k"), "1");
    broker.restart(Data::Lose).unwrap();
    let refused = snapshot.roll_back().unwrap_err().to_string();
    assert_eq!(refused, "ERR no such snapshot");
}

#[test]
fn faults_and_the_record_stay_and_tell_clients_apart() {
    let broker = start(&[]);
    let record = broker.record();
    let fault = broker.faults().error("LOADING").command("GET").inject();
    let mut client = Wire::connect(broker.addr());
    let id: u64 = client.text(&["CLIENT", "ID"]).parse().unwrap();
    client.text(&["SET", "k", "1"]);
    broker.restart(Data::Keep).unwrap();
    let mut client = Wire::connect(broker.addr());
    let loading = client.text(&["GET", "k"]);
    assert!(loading.starts_with("LOADING "), "{loading}");
    assert_eq!(fault.hits(), 1);
    drop(fault);
    assert_eq!(client.text(&["GET", "k"]), "1");
    let later: u64 = client.text(&["CLIENT", "ID"]).parse().unwrap();
    assert!(later > id, "{later} after {id}");
    record.assert_in_order(["SET k 1", "GET k"]);
    record.client_id(id).assert_sent_times(["GET", "k"], 0);
    record.client_id(later).assert_sent_times(["GET", "k"], 2);
}

/// Counts up until told to stop, whatever happens to the broker meanwhile; answers how often that
/// was confirmed.
fn count_up(broker: &Broker, is_over: &AtomicBool) -> i64 {
    let (mut confirmed, mut local) = (0, broker.client());
    let mut wire = None;
    while !is_over.load(Relaxed) {
        if ask_as(&mut local, "INCR local").parse::<i64>().is_ok() {
            confirmed += 1;
        } else {
            local = broker.client();
        }
        let Some(client) = &mut wire else {
            wire = Wire::try_connect(broker.addr());
            continue;
        };
        client.send_anyway(b"INCR wire\r\n");
        match client.fill() {
            Ok(1..) => confirmed += i64::from(client.input().drain(..).any(|byte| byte == b'\n')),
            _ => wire = None,
        }
    }
    confirmed
}

#[test]
fn what_was_confirmed_is_kept_however_often_it_goes_under_load() {
    let broker = start(&[("workers", "2")]);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let counters: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| count_up(&broker, &is_over)))
            .collect();
        for round in 0..40 {
            restart(&broker, EACH[round % EACH.len()], Data::Keep);
        }
        is_over.store(true, Relaxed);
        let confirmed: i64 = counters
            .into_iter()
            .map(|counter| counter.join().unwrap())
            .sum();
        let number = |key: &str| ask(&broker, &format!("GET {key}")).parse().unwrap_or(0);
        let counted = number("local") + number("wire");
        // What was cut off may have been done.
        assert!(counted >= confirmed, "{counted} of {confirmed}");
        assert!(confirmed > 40, "{confirmed}");
    });
}

#[test]
fn many_may_ask_at_once() {
    let broker = start(&[]);
    let mut clients: Vec<_> = (0..8).map(|_| Wire::connect(broker.addr())).collect();
    for client in &mut clients {
        client.send(&["RESPD", "RESTART"]);
    }
    let answered = clients
        .iter_mut()
        .map(rest)
        .filter(|reply| reply == "+OK\r\n");
    // Who asks while the connection is being cut has asked nobody.
    assert!(answered.count() > 0);
    // One that was asked for last may go on.
    until("it serves", || {
        Wire::try_connect(broker.addr()).is_some_and(|mut client| {
            client.send_anyway(b"PING\r\n");
            matches!(client.fill(), Ok(1..))
        })
    });
}

#[test]
fn the_end_is_not_put_off_by_a_broker_that_is_gone() {
    let broker = start(&[]);
    let mut client = Wire::connect(broker.addr());
    client.send(&["RESPD", "RESTART", "AFTER", "3600000"]);
    until("it is gone", || TcpStream::connect(broker.addr()).is_err());
    let (addr, start) = (broker.addr(), Instant::now());
    drop(broker);
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    let told = rest(&mut client);
    assert_eq!(
        told,
        "-ERR the broker is not back: the broker has ended\r\n"
    );
    TcpListener::bind(addr).unwrap();
}

#[test]
fn what_is_gone_when_its_broker_is_dropped_stays_so() {
    let broker = start(&[]);
    let (down, addr) = (broker.take_down(), broker.addr());
    drop(broker);
    assert_refused(addr);
    let error = down.bring_back(Data::Keep).unwrap_err().to_string();
    assert_eq!(error, "the broker has ended");
    TcpListener::bind(addr).unwrap();
}

#[cfg(feature = "lua")]
#[test]
fn a_script_that_runs_for_ever_keeps_nothing_from_going() {
    for by in [By::Rust, By::Client] {
        let broker = start(&[("busy-reply-threshold", "1")]);
        ask(&broker, "SET k 1");
        let mut stuck = Wire::connect(broker.addr());
        stuck.send(&["EVAL", "while true do end", "0"]);
        let mut local = broker.client();
        let other = std::thread::spawn(move || {
            local.call(&["EVAL", "while true do end", "0"]);
        });
        let mut client = Wire::connect(broker.addr());
        until("the script is busy", || {
            client.text(&["GET", "k"]).starts_with("BUSY")
        });
        restart(&broker, by, Data::Keep);
        stuck.rest();
        other.join().unwrap();
        assert_eq!(ask(&broker, "GET k"), "1", "{by:?}");
    }
}

#[test]
fn a_spawned_broker_comes_back_as_the_same_process() {
    let broker = serve(&["--test-commands", "yes", "--unixsocket", "sock"]);
    let mut client = broker.connect();
    assert_eq!(client.text(&["SET", "k", "1"]), "OK");
    assert_eq!(client.text(&["RESPD", "RESTART", "KEEP"]), "OK");
    assert_eq!(rest(&mut client), "");
    assert_eq!(broker.connect().text(&["GET", "k"]), "1");
    UnixStream::connect(broker.path("sock")).unwrap();
    let mut client = broker.connect();
    client.send(&["RESPD", "RESTART", "LOSE", "AFTER", "3600000"]);
    until("it is gone", || TcpStream::connect(broker.addr()).is_err());
    // A signal ends it wherever it is.
    let end = broker.process.end_with(Signal::TERM);
    assert_eq!(end.status, Some(0), "{end:?}");
}
