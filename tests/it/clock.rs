//! The clock of a broker for tests: what obeys it, in which order, and that all of it has happened
//! when the order to move it returns.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use respd::resp::value::decode;
use respd::testkit::{Clock, Due};
use respd::{Broker, LocalClient};

use crate::wire::{Wire, encode, show, until, until_info};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Who moves the clock.
#[derive(Clone, Copy, Debug)]
enum By {
    Rust,
    Resp,
}

const EACH: [(By, &str); 4] = [
    (By::Rust, "1"),
    (By::Rust, "2"),
    (By::Resp, "1"),
    (By::Resp, "2"),
];

fn start(settings: &[(&str, &str)]) -> Broker {
    let settings = settings.iter();
    let builder = settings.fold(Broker::builder().for_tests(), |builder, (name, value)| {
        builder.set(name, value)
    });
    builder.start().unwrap()
}

/// One whose clock stands.
fn frozen(settings: &[(&str, &str)]) -> Broker {
    let broker = start(settings);
    broker.clock().freeze();
    broker
}

fn advance(broker: &Broker, by: By, time: Duration) {
    match by {
        By::Rust => broker.clock().advance(time),
        By::Resp => {
            let millis = time.as_millis().to_string();
            let mut client = Wire::connect(broker.addr());
            assert_eq!(client.text(&["RESPD", "CLOCK", "ADVANCE", &millis]), "OK");
        }
    }
}

/// The reply of a client without a socket, on one line.
fn ask(client: &mut LocalClient, line: &str) -> String {
    show(&client.call(&words(line)))
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn number(client: &mut LocalClient, line: &str) -> i64 {
    ask(client, line).parse().unwrap()
}

/// A connection that has sent a line.
fn sent(broker: &Broker, line: &str) -> Wire {
    let mut client = Wire::connect(broker.addr());
    client.send(&words(line));
    client
}

/// What has come to a client by now, without waiting for more.
fn arrived(client: &mut Wire) -> Vec<String> {
    client.stream().set_nonblocking(true).unwrap();
    loop {
        match client.fill() {
            Ok(0) => break,
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
    shown
}

fn until_blocked(broker: &Broker, count: usize) {
    until_info(&mut Wire::connect(broker.addr()), "blocked_clients", count);
}

#[test]
fn what_falls_due_happens_in_the_order_of_its_time() {
    for (by, workers) in EACH {
        let broker = frozen(&[("workers", workers), ("notify-keyspace-events", "Exh")]);
        let mut client = broker.client();
        let mut listener = Wire::connect(broker.addr());
        for channel in ["__keyevent@0__:expired", "__keyevent@0__:hexpired", "said"] {
            listener.call(&["SUBSCRIBE", channel]);
        }
        client.call(&["SET", "at:5", "v", "PX", "5000"]);
        client.call(&["SET", "at:12", "v", "PX", "12000"]);
        client.call(&["HSET", "at:8", "f", "v", "g", "w"]);
        client.call(&words("HPEXPIRE at:8 8000 FIELDS 1 f"));
        client.call(&words("XGROUP CREATE stream g $ MKSTREAM"));
        client.call(&words("PEXPIRE stream 10000"));
        // Each says so once it goes on.
        let waits = [
            "BLPOP none 11",
            "BZPOPMIN none 7",
            "XREAD BLOCK 9000 STREAMS none $",
            "XREADGROUP GROUP g c BLOCK 0 STREAMS stream >",
            "BLMOVE none other LEFT LEFT 6",
        ];
        let mut waiting: Vec<_> = (1..)
            .zip(waits)
            .map(|(n, line)| {
                let name = line.split(' ').next().unwrap();
                let says = encode(&["PUBLISH", "said", name]);
                let mut waiting = Wire::connect(broker.addr());
                // Together, so that both are there.
                waiting.send_raw(&[encode(&words(line)), says].concat());
                until_blocked(&broker, n);
                waiting
            })
            .collect();
        advance(&broker, by, 12 * SECOND);
        let heard = arrived(&mut listener);
        let heard: Vec<_> = heard
            .iter()
            .map(|line| line.trim_end_matches(']'))
            .collect();
        let heard: Vec<_> = heard
            .iter()
            .map(|line| line.rsplit(' ').next().unwrap())
            .collect();
        let expected = [
            "at:5",
            "BLMOVE",
            "BZPOPMIN",
            "at:8",
            "XREAD",
            "stream",
            "XREADGROUP",
            "BLPOP",
            "at:12",
        ];
        assert_eq!(heard, expected, "{by:?} with {workers} workers");
        let replies: Vec<_> = waiting.iter_mut().map(arrived).collect();
        for (line, reply) in waits.iter().zip(replies) {
            let gone = "NOGROUP No such key 'stream' or consumer group 'g' in XREADGROUP with GROUP option";
            let expected = if line.starts_with("XREADGROUP") {
                gone
            } else {
                "nil"
            };
            assert_eq!(
                reply,
                [expected, "1"],
                "{line}, {by:?} with {workers} workers"
            );
        }
    }
}

#[test]
fn time_outs_come_at_their_time_and_not_before() {
    let lines = [
        "BLPOP l 1.5",
        "BLMOVE l m LEFT LEFT 1.5",
        "BLMPOP 1.5 1 l LEFT",
        "BZPOPMIN z 1.5",
        "XREAD BLOCK 1500 STREAMS s $",
        "XREADGROUP GROUP g c BLOCK 1500 STREAMS s >",
        "WAIT 1 1500",
        "WAITAOF 0 1 1500",
    ];
    let reply_to = |line: &str| match line.split(' ').next() {
        Some("WAIT") => "0",
        Some("WAITAOF") => "[0 0]",
        _ => "nil",
    };
    for (by, workers) in EACH {
        let broker = frozen(&[("workers", workers)]);
        let mut client = broker.client();
        client.call(&words("XGROUP CREATE s g $ MKSTREAM"));
        let mut sockets = lines.map(|line| sent(&broker, line));
        let threads = lines.map(|line| {
            let mut client = broker.client();
            std::thread::spawn(move || ask(&mut client, line))
        });
        until_blocked(&broker, 2 * lines.len());
        advance(&broker, by, Duration::from_millis(1499));
        for (line, socket) in lines.iter().zip(&mut sockets) {
            assert_eq!(arrived(socket), [""; 0], "{line} has given up early");
        }
        assert!(threads.iter().all(|thread| !thread.is_finished()));
        advance(&broker, by, Duration::from_millis(1));
        for (line, socket) in lines.iter().zip(&mut sockets) {
            let arrived = arrived(socket);
            let expected = [reply_to(line)];
            assert_eq!(arrived, expected, "{line}, {by:?}, {workers} workers");
        }
        assert_eq!(
            ask(&mut client, "INFO clients")
                .matches("blocked_clients:0")
                .count(),
            1
        );
        for (line, thread) in lines.iter().zip(threads) {
            assert_eq!(thread.join().unwrap(), reply_to(line), "{line}");
        }
    }
}

#[test]
fn a_pause_ends_at_its_time() {
    for (by, workers) in EACH {
        let broker = frozen(&[("workers", workers), ("notify-keyspace-events", "Ex")]);
        let mut client = broker.client();
        let mut listener = sent(&broker, "SUBSCRIBE __keyevent@0__:expired");
        listener.receive();
        client.call(&words("SET k v PX 1000"));
        client.call(&words("CLIENT PAUSE 5000 WRITE"));
        let mut held = sent(&broker, "SET held v");
        until("it is held", || {
            ask(&mut client, "CLIENT LIST").contains(" flags=b ")
        });
        advance(&broker, by, 4999 * SECOND / 1000);
        assert_eq!(arrived(&mut held), [""; 0], "{by:?}");
        assert_eq!(arrived(&mut listener), [""; 0], "{by:?}");
        advance(&broker, by, SECOND / 1000);
        assert_eq!(arrived(&mut held), ["OK"], "{by:?} with {workers} workers");
        assert_eq!(arrived(&mut listener).len(), 1, "{by:?}");
        assert_eq!(ask(&mut client, "EXISTS k held"), "1");
    }
}

#[test]
fn a_pause_of_all_does_not_hold_back_who_ends_it() {
    let broker = frozen(&[]);
    let mut client = Wire::connect(broker.addr());
    client.call(&words("CLIENT PAUSE 5000 ALL"));
    let mut held = sent(&broker, "PING");
    assert_eq!(client.text(&words("RESPD CLOCK NEXT")), "[due pause]");
    assert_eq!(show(&held.receive()), "PONG");
    assert_eq!(client.text(&["PING"]), "PONG");
}

#[test]
fn everything_that_is_dated_is_dated_by_it() {
    for by in [By::Rust, By::Resp] {
        let broker = frozen(&[
            ("slowlog-log-slower-than", "0"),
            ("enable-debug-command", "yes"),
        ]);
        let mut client = broker.client();
        let script = ["EVAL", "return redis.call('TIME')[1]", "0"];
        let now: i64 = show(&client.call(&script)).parse().unwrap();
        let machine = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        assert!(
            now.abs_diff(machine.as_secs() as i64) < 60,
            "{now} is not {machine:?}"
        );
        client.call(&words("SET k v EX 10000"));
        client.call(&words("XADD s * f v"));
        client.call(&words("XGROUP CREATE s g 0"));
        client.call(&words("XREADGROUP GROUP g c STREAMS s >"));
        let uptime = info(&mut client, "uptime_in_seconds");
        let saved = info(&mut client, "rdb_last_save_time");
        advance(&broker, by, HOUR);
        let later = now + 3600;
        let time = ask(&mut client, "TIME");
        assert!(time.starts_with(&format!("[{later} ")), "{later} {time}");
        assert_eq!(show(&client.call(&script)), later.to_string());
        assert_eq!(ask(&mut client, "TTL k"), "6400");
        assert_eq!(ask(&mut client, "OBJECT IDLETIME k"), "3600");
        let id = ask(&mut client, "XADD s * f v");
        assert!(id.starts_with(&later.to_string()), "{id} at {later}");
        let pending = ask(&mut client, "XPENDING s g - + 1");
        assert!(pending.contains(" c 3600000 1"), "{pending}");
        let consumers = ask(&mut client, "XINFO CONSUMERS s g");
        assert!(
            consumers.contains("idle 3600000 inactive 3600000"),
            "{consumers}"
        );
        let listed = ask(&mut client, "CLIENT INFO");
        assert!(listed.contains(" age=3600 idle=0 "), "{listed}");
        let log = ask(&mut client, "SLOWLOG GET 1");
        assert!(log.contains(&format!(" {later} ")), "{log} at {later}");
        assert_eq!(info(&mut client, "uptime_in_seconds"), uptime + 3600);
        assert_eq!(info(&mut client, "rdb_last_save_time"), saved);
        // It stands, but what measures work does not.
        assert_eq!(ask(&mut client, "TIME"), time);
        client.call(&words("DEBUG SLEEP 0.01"));
        let log = ask(&mut client, "SLOWLOG GET 1");
        let micros: u64 = log.split(' ').nth(2).unwrap().parse().unwrap();
        assert!((10_000..60_000_000).contains(&micros), "{log}");
    }
}

fn info(client: &mut LocalClient, name: &str) -> i64 {
    let text = ask(client, "INFO everything");
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(field, _)| *field == name);
    found
        .unwrap_or_else(|| panic!("no {name}"))
        .1
        .trim()
        .parse()
        .unwrap()
}

#[test]
fn what_was_used_long_ago_is_forgotten() {
    let broker = frozen(&[("maxmemory-policy", "allkeys-lfu"), ("lfu-decay-time", "1")]);
    let mut client = broker.client();
    client.call(&words("SET k v"));
    let before = number(&mut client, "OBJECT FREQ k");
    broker.clock().advance(60 * before as u32 * SECOND);
    assert_eq!(ask(&mut client, "OBJECT FREQ k"), "0");
}

#[test]
fn idle_clients_are_closed_at_their_time() {
    for (by, workers) in EACH {
        let broker = frozen(&[("workers", workers), ("timeout", "10")]);
        let mut idle = sent(&broker, "PING");
        idle.receive();
        let mut blocked = sent(&broker, "BLPOP none 100");
        until_info_of(&broker, "blocked_clients", 1);
        advance(&broker, by, 10 * SECOND);
        assert_eq!(idle.text(&["PING"]), "PONG", "it is closed early");
        advance(&broker, by, 11 * SECOND);
        idle.stream().set_nonblocking(true).unwrap();
        assert_eq!(
            idle.fill().unwrap(),
            0,
            "it is not closed: {by:?} with {workers}"
        );
        assert_eq!(arrived(&mut blocked), [""; 0]);
    }
}

/// Asks without a connection, which could be idle.
fn until_info_of(broker: &Broker, name: &str, value: i64) {
    let mut client = broker.client();
    until(name, || info(&mut client, name) == value);
}

#[test]
fn who_does_not_read_is_closed_at_its_time() {
    let limit = "pubsub 0 1000000 60";
    let broker = frozen(&[("client-output-buffer-limit", limit)]);
    let mut reader = Wire::connect_narrow(broker.addr());
    reader.call(&["SUBSCRIBE", "c"]);
    let mut client = broker.client();
    let message = "m".repeat(1 << 20);
    for _ in 0..8 {
        client.call(&["PUBLISH", "c", &message]);
    }
    let due = broker.clock().advance_to_next();
    assert!(matches!(&due, Some(Due::Unread { .. })), "{due:?}");
    until("it is closed", || ask(&mut client, "PUBLISH c m") == "0");
}

#[test]
fn nothing_falls_due_after_the_clock_has_ended() {
    let broker = frozen(&[]);
    let clock = broker.clock();
    let mut client = broker.client();
    client.call(&words("SET k v"));
    let last = (i64::MAX - 1).to_string();
    assert_eq!(show(&client.call(&["PEXPIREAT", "k", &last])), "1");
    let before = clock.now();
    assert_eq!(clock.advance_to_next(), None);
    assert_eq!(clock.now(), before);
    clock.advance(Duration::MAX);
    let end = ask(&mut client, "RESPD CLOCK GET");
    assert_eq!(end, format!("[time {} state frozen]", 1_u64 << 60));
    assert_eq!(clock.advance_to_next(), None);
    assert_eq!(ask(&mut client, "EXISTS k"), "1");
}

#[test]
fn next_is_what_falls_due_first() {
    let broker = frozen(&[("timeout", "100")]);
    let clock = broker.clock();
    assert_eq!(clock.advance_to_next(), None);
    let mut client = broker.client();
    client.call(&words("SET far v PX 50000000"));
    client.call(&words("SET soon v PX 1500"));
    client.call(&words("HSET hash f v g w"));
    client.call(&words("HPEXPIRE hash 2500 FIELDS 1 f"));
    client.call(&words("SET late v PX 4500"));
    // A time that was given up is none.
    client.call(&words("SET kept v PX 10"));
    client.call(&words("PERSIST kept"));
    let mut waiting = Wire::connect(broker.addr());
    waiting.call(&words("CLIENT SETNAME w"));
    let id: u64 = waiting.text(&["CLIENT", "ID"]).parse().unwrap();
    waiting.send(&words("BLPOP none 3.5"));
    until_blocked(&broker, 1);
    let start = clock.now();
    let next = || {
        let due = clock.advance_to_next();
        let passed = clock.now().duration_since(start).unwrap();
        (due, passed.as_millis())
    };
    let (db, key) = (0, b"soon".to_vec());
    assert_eq!(next(), (Some(Due::Key { db, key }), 1500));
    assert_eq!(ask(&mut client, "EXISTS soon"), "0");
    let (key, field) = (b"hash".to_vec(), b"f".to_vec());
    assert_eq!(next(), (Some(Due::Field { db, key, field }), 2500));
    let (due, at) = next();
    let Some(Due::Timeout {
        client: who,
        command,
    }) = due
    else {
        panic!("{due:?}");
    };
    assert_eq!(
        (who.id, who.name.as_str(), command.as_str(), at),
        (id, "w", "blpop", 3500)
    );
    assert_eq!(arrived(&mut waiting), ["nil"]);
    client.call(&words("CLIENT PAUSE 500 WRITE"));
    assert_eq!(next(), (Some(Due::Pause), 4000));
    let mut over_resp = Wire::connect(broker.addr());
    let mut said = || over_resp.text(&["RESPD", "CLOCK", "NEXT"]);
    assert_eq!(said(), "[due key db 0 key late]");
    // It has been idle since its time was up.
    assert_eq!(said(), format!("[due idle id {id} name w]"));
}

#[test]
fn it_takes_no_longer_to_go_farther() {
    for by in [By::Rust, By::Resp] {
        let broker = frozen(&[]);
        let mut client = broker.client();
        let asked = Instant::now();
        let years = Duration::from_secs(1_000_000 * 365 * 24 * 3600);
        advance(&broker, by, years);
        let took = asked.elapsed();
        assert!(took < 5 * SECOND, "{took:?}");
        client.call(&words("SET k v PX 100"));
        client.call(&words("XADD s * f v"));
        assert_eq!(ask(&mut client, "PTTL k"), "100");
        advance(&broker, by, SECOND);
        assert_eq!(ask(&mut client, "DBSIZE"), "1");
        // It ends somewhere.
        for _ in 0..50 {
            advance(&broker, by, 2 * years);
        }
        assert_eq!(ask(&mut client, "EXISTS s"), "1");
    }
}

#[test]
fn many_keys_fall_due_on_the_way() {
    let broker = frozen(&[("notify-keyspace-events", "Ex")]);
    let mut client = broker.client();
    let mut listener = sent(&broker, "SUBSCRIBE __keyevent@0__:expired");
    listener.receive();
    for n in 0..2000 {
        let life = (n * 7919) % 100_000 + 1;
        client.call(&words(&format!("SET {life} v PX {life}")));
    }
    broker.clock().advance(100 * SECOND);
    let heard = arrived(&mut listener);
    let times = heard.iter().map(|line| {
        let (_, key) = line.trim_end_matches(']').rsplit_once(' ').unwrap();
        key.parse::<i64>().unwrap()
    });
    assert_eq!(times.len(), 2000);
    assert!(times.is_sorted(), "{heard:?}");
}

#[test]
fn it_goes_on_from_where_it_stands() {
    let broker = start(&[("workers", "2")]);
    let clock = broker.clock();
    let mut client = broker.client();
    // Moved while it runs, it runs on.
    clock.advance(HOUR);
    let ahead = clock.now().duration_since(SystemTime::now()).unwrap();
    assert!(
        ahead <= HOUR + SECOND && ahead > HOUR - 60 * SECOND,
        "{ahead:?}"
    );
    client.call(&words("SET k v PX 30"));
    until("the key expires", || ask(&mut client, "DBSIZE") == "0");
    clock.freeze();
    assert!(clock.is_frozen());
    let stands = clock.now();
    let mut waiting = sent(&broker, "BLPOP none 0.03");
    client.call(&words("SET k v PX 30"));
    let thread = std::thread::spawn(move || ask(&mut client, "BLPOP none 0.03"));
    until_blocked(&broker, 2);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(arrived(&mut waiting), [""; 0]);
    assert!(!thread.is_finished());
    assert_eq!(clock.now(), stands);
    assert_eq!(
        broker.client().call(&["EXISTS", "k"]),
        respd::resp::value::Value::Integer(1)
    );
    clock.resume();
    assert_eq!(show(&waiting.receive()), "nil");
    assert_eq!(thread.join().unwrap(), "nil");
    let mut client = broker.client();
    until("the key expires", || ask(&mut client, "DBSIZE") == "0");
    let passed = clock.now().duration_since(stands).unwrap();
    assert!(passed < 60 * SECOND, "{passed:?}");
}

#[test]
fn the_wall_clock_is_set_ahead_and_back() {
    for by in [By::Rust, By::Resp] {
        let broker = frozen(&[("notify-keyspace-events", "Ex")]);
        let clock = broker.clock();
        let set = |time: SystemTime| match by {
            By::Rust => clock.set(time),
            By::Resp => {
                let time = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
                let millis = time.as_millis().to_string();
                let mut client = Wire::connect(broker.addr());
                assert_eq!(client.text(&["RESPD", "CLOCK", "SET", &millis]), "OK");
            }
        };
        let mut client = broker.client();
        let mut listener = sent(&broker, "SUBSCRIBE __keyevent@0__:expired");
        listener.receive();
        let mut waiting = sent(&broker, "BLPOP none 100");
        until_blocked(&broker, 1);
        let now = clock.now();
        client.call(&words("SET k v EX 1000"));
        let uptime = info(&mut client, "uptime_in_seconds");
        set(now - HOUR);
        let left = number(&mut client, "TTL k");
        assert!((4599..=4600).contains(&left), "{left}");
        assert_eq!(info(&mut client, "uptime_in_seconds"), uptime);
        set(now + HOUR);
        assert_eq!(arrived(&mut listener).len(), 1, "{by:?}");
        assert_eq!(arrived(&mut waiting), [""; 0], "who waits takes no notice");
        assert_eq!(info(&mut client, "uptime_in_seconds"), uptime);
        clock.advance(100 * SECOND);
        assert_eq!(arrived(&mut waiting), ["nil"]);
    }
}

#[test]
fn a_clock_that_stands_touches_no_other_broker() {
    let (one, other) = (frozen(&[]), start(&[]));
    one.clock().advance(1000 * HOUR);
    let mut client = other.client();
    let machine = SystemTime::now();
    let ahead = other.clock().now().duration_since(machine).unwrap();
    assert!(ahead < 60 * SECOND, "{ahead:?}");
    assert_eq!(ask(&mut client, "BLPOP none 0.01"), "nil");
}

/// Set when this is dropped.
struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn others_may_load_the_broker_meanwhile() {
    for workers in ["1", "2"] {
        let broker = frozen(&[("workers", workers), ("notify-keyspace-events", "Ex")]);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // The others are to end if this thread panics, too.
            let _end = AtEnd(&over);
            for n in 0..4 {
                let (addr, over) = (broker.addr(), &over);
                scope.spawn(move || {
                    let mut client = Wire::connect(addr);
                    let key = format!("load:{n}");
                    let batch = encode(&["RPUSH", &key, "v"]);
                    let batch = [batch, encode(&["BLPOP", &key, "0"])].concat();
                    while !over.load(Relaxed) {
                        client.send_raw(&batch.repeat(8));
                        (0..16).for_each(|_| _ = client.receive());
                    }
                });
            }
            let mut client = broker.client();
            let mut listener = sent(&broker, "SUBSCRIBE __keyevent@0__:expired");
            listener.receive();
            for round in 0..20 {
                client.call(&words(&format!("SET k{round} v PX 1000")));
                let mut waiting = Wire::connect(broker.addr());
                let name = format!("waits{round}");
                waiting.call(&["CLIENT", "SETNAME", &name]);
                waiting.send(&words("BLPOP none 2"));
                // Others are blocked, too, but never for so long.
                until("it is blocked", || {
                    let list = ask(&mut client, "CLIENT LIST");
                    let mut lines = list.lines();
                    lines.any(|line| {
                        line.contains(&format!("name={name} ")) && line.contains(" flags=b ")
                    })
                });
                broker.clock().advance(3 * SECOND);
                let events = arrived(&mut listener);
                assert_eq!(events.len(), 1, "{events:?}");
                assert!(events[0].ends_with(&format!(" k{round}]")), "{events:?}");
                assert_eq!(arrived(&mut waiting), ["nil"]);
            }
        });
    }
}

#[test]
fn orders_are_carried_out_one_after_the_other() {
    let broker = frozen(&[]);
    let clock = broker.clock();
    let start = clock.now();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (clock, addr) = (clock.clone(), broker.addr());
            scope.spawn(move || {
                let mut client = Wire::connect(addr);
                for _ in 0..10 {
                    clock.advance(SECOND);
                    assert_eq!(client.text(&["RESPD", "CLOCK", "ADVANCE", "1000"]), "OK");
                }
            });
        }
    });
    assert_eq!(clock.now().duration_since(start).unwrap(), 160 * SECOND);
}

#[tokio::test]
async fn it_is_moved_without_blocking_and_with() {
    let broker = frozen(&[]);
    let clock = broker.clock();
    let start = clock.now();
    tokio::join!(clock.advance_async(SECOND), clock.advance_async(SECOND));
    clock.advance(SECOND);
    assert_eq!(clock.now().duration_since(start).unwrap(), 3 * SECOND);
    let mut client = broker.client();
    client.call(&words("SET k v PX 1000"));
    let due = clock.advance_to_next_async().await;
    assert!(matches!(due, Some(Due::Key { db: 0, .. })), "{due:?}");
    clock.set_async(start).await;
    assert_eq!(clock.now(), start);
}

#[test]
fn nothing_happens_once_the_broker_has_ended() {
    let broker = frozen(&[]);
    let clock: Clock = broker.clock();
    broker.client().call(&words("SET k v PX 1000"));
    drop(broker);
    clock.advance(HOUR);
    assert_eq!(clock.advance_to_next(), None);
}

#[test]
fn a_client_that_moves_it_may_leave_or_be_let_go() {
    let broker = frozen(&[]);
    let mut client = Wire::connect(broker.addr());
    let id = client.text(&["CLIENT", "ID"]);
    let mut other = broker.client();
    // What it asks next is answered next.
    client.send(&words("RESPD CLOCK ADVANCE 1000"));
    client.send(&["PING"]);
    assert_eq!(show(&client.receive()), "OK");
    assert_eq!(show(&client.receive()), "PONG");
    assert_eq!(ask(&mut other, &format!("CLIENT UNBLOCK {id}")), "0");
    for _ in 0..20 {
        drop(sent(&broker, "RESPD CLOCK ADVANCE 1000"));
    }
    until("all have left", || info(&mut other, "blocked_clients") == 0);
    broker.clock().advance(SECOND);
}

#[test]
fn what_is_asked_wrongly_is_refused() {
    let broker = start(&[]);
    let mut client = Wire::connect(broker.addr());
    let mut text = |line: &str| client.text(&words(line));
    let range = "ERR a time of the clock is a number of milliseconds from 0 to 72057594037927936";
    assert_eq!(text("RESPD CLOCK ADVANCE -1"), range);
    assert_eq!(text("RESPD CLOCK ADVANCE soon"), range);
    assert_eq!(text("RESPD CLOCK SET 72057594037927937"), range);
    for line in ["RESPD CLOCK", "RESPD"] {
        assert!(
            text(line).starts_with("ERR wrong number of arguments"),
            "{line}"
        );
    }
    for line in [
        "RESPD CLOCK STOP",
        "RESPD CLOCK ADVANCE",
        "RESPD CLOCK NEXT 1",
    ] {
        let refused = text(line);
        assert!(refused.contains("Try RESPD HELP."), "{line}: {refused}");
    }
    assert!(text("RESPD CLOCK GET").ends_with(" state running]"));
    assert_eq!(text("RESPD CLOCK FREEZE"), "OK");
    let stands = text("RESPD CLOCK GET");
    assert!(stands.ends_with(" state frozen]"), "{stands}");
    let inside = ask(&mut broker.client(), "RESPD CLOCK ADVANCE 1000");
    assert_eq!(inside, "OK");
    assert_ne!(text("RESPD CLOCK GET"), stands);
    assert_eq!(text("RESPD CLOCK RESUME"), "OK");
    assert_eq!(text("RESPD CLOCK NEXT"), "nil");
    text("MULTI");
    let refused = text("RESPD CLOCK ADVANCE 1");
    assert_eq!(refused, "ERR Command not allowed inside a transaction");
    text("DISCARD");
    let script = "return redis.call('RESPD','CLOCK','ADVANCE','1')";
    let refused = client.text(&["EVAL", script, "0"]);
    assert!(refused.contains("not allowed from script"), "{refused}");
    let ordinary = Broker::start().unwrap();
    let refused = Wire::connect(ordinary.addr()).text(&words("RESPD CLOCK GET"));
    assert!(refused.contains("test-commands yes"), "{refused}");
}
