//! A wall clock that somebody sets while a broker runs, by an hour ahead or
//! back. What is to follow it follows it soon; nothing else takes notice.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::*;

const HOUR: i64 = 3_600_000;

/// Later than this is broken, not slow.
const LATE: Duration = Duration::from_secs(4);

/// Whoever waits longer than this waits in vain.
const PATIENCE: Duration = Duration::from_secs(10);

fn start(settings: &[(&str, &str)]) -> Broker {
    let settings = settings.iter();
    let builder = Broker::builder().for_tests();
    let builder = settings.fold(builder, |builder, (name, value)| builder.set(name, value));
    builder.start().unwrap()
}

/// Has the broker's wall clock tell so many milliseconds more than the machine's.
fn set(broker: &Broker, millis: i64) {
    let by = Duration::from_millis(millis.unsigned_abs());
    let machine = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let wall = match millis {
        0.. => machine + by,
        _ => machine - by,
    };
    broker.engine().server.clock.hand().unwrap().set_wall(wall);
}

fn send(broker: &Broker, line: &str) -> TcpStream {
    let mut socket = TcpStream::connect(broker.addr()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(socket, "{line}\r\n").unwrap();
    socket
}

/// Reads as many bytes as are expected.
fn expect(socket: &mut TcpStream, expected: &str) {
    let mut got = vec![0; expected.len()];
    socket.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8_lossy(&got), expected);
}

/// Reads up to this.
fn expect_end(socket: &mut TcpStream, end: &str) {
    let (mut got, mut byte) = (Vec::new(), [0]);
    while !got.ends_with(end.as_bytes()) {
        socket.read_exact(&mut byte).unwrap();
        got.extend(byte);
    }
}

/// A client that hears of one kind of events.
fn listener(broker: &Broker, event: &str) -> TcpStream {
    let channel = bulk(&format!("__keyevent@0__:{event}"));
    let mut socket = send(broker, &format!("SUBSCRIBE __keyevent@0__:{event}"));
    expect(
        &mut socket,
        &format!("*3\r\n$9\r\nsubscribe\r\n{channel}:1\r\n"),
    );
    socket
}

/// Reads the event of a key, which has come `since`, and not late.
fn expect_event(socket: &mut TcpStream, event: &str, key: &str, since: Instant) {
    let (channel, name) = (bulk(&format!("__keyevent@0__:{event}")), bulk(key));
    expect(socket, &format!("*3\r\n$7\r\nmessage\r\n{channel}{name}"));
    let waited = since.elapsed();
    assert!(waited < LATE, "{event} {key} after {waited:?}");
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// Has upkeep look at the clock for the last time before it sleeps on what is
/// there.
fn sleeps(client: &mut LocalClient, listener: &mut TcpStream) {
    client.line("SET first v PX 20");
    expect_event(listener, "expired", "first", Instant::now());
}

/// The number of a reply such as `:5`.
fn number(reply: &str) -> i64 {
    let digits = reply
        .strip_prefix(':')
        .and_then(|digits| digits.parse().ok());
    digits.unwrap_or_else(|| panic!("not a number: {reply}"))
}

/// The value of a field of INFO, or of CLIENT INFO where `=` stands behind it.
fn field(text: &str, name: &str) -> i64 {
    let mut words = text.split(['\r', '\n', ' ']);
    let value = words.find_map(|word| word.strip_prefix(name));
    let digits = value.unwrap_or_else(|| panic!("no {name} in {text}"));
    digits.parse().unwrap()
}

/// The id that XADD answers.
fn id(reply: &str) -> (i64, u64) {
    let (_, id) = reply.split_once("\r\n").unwrap();
    let (millis, sequence) = id.split_once('-').unwrap();
    (millis.parse().unwrap(), sequence.parse().unwrap())
}

fn who_is_blocked_waits_its_time(by: i64) {
    let broker = start(&[]);
    let mut client = broker.client();
    client.line("XGROUP CREATE s g $ MKSTREAM");
    let asked = Duration::from_millis(1500);
    let lines = [
        "BLPOP l 1.5",
        "BLMOVE l m LEFT LEFT 1.5",
        "BLMPOP 1.5 1 l LEFT",
        "BZPOPMIN z 1.5",
        "XREAD BLOCK 1500 STREAMS s $",
        "XREADGROUP GROUP g c BLOCK 1500 STREAMS s >",
    ];
    let start = Instant::now();
    let sockets = lines.map(|line| send(&broker, line));
    let threads = lines.map(|line| {
        let mut client = broker.client();
        thread::spawn(move || (client.line(line), start.elapsed()))
    });
    let blocked =
        |client: &mut LocalClient| field(&client.line("INFO clients"), "blocked_clients:");
    while blocked(&mut client) < 12 && start.elapsed() < asked {
        thread::yield_now();
    }
    set(&broker, by);
    let check = |line: &str, waited: Duration| {
        assert!(waited >= asked, "{line} waits {waited:?}");
        assert!(waited < asked + LATE, "{line} waits {waited:?}");
    };
    for (line, mut socket) in lines.iter().zip(sockets) {
        expect(&mut socket, "*-1\r\n");
        check(line, start.elapsed());
    }
    for (line, thread) in lines.iter().zip(threads) {
        let (reply, waited) = thread.join().unwrap();
        assert_eq!(reply, "*-1", "{line}");
        check(line, waited);
    }
}

#[test]
fn who_is_blocked_waits_its_time_when_the_clock_is_set_ahead() {
    who_is_blocked_waits_its_time(HOUR);
}

#[test]
fn who_is_blocked_waits_its_time_when_the_clock_is_set_back() {
    who_is_blocked_waits_its_time(-HOUR);
}

#[test]
fn what_ends_in_time_that_is_skipped_goes_though_nobody_looks_at_it() {
    let broker = start(&[("notify-keyspace-events", "Exh")]);
    let (mut client, mut listener) = (broker.client(), listener(&broker, "expired"));
    client.line("SET soon v EX 1800");
    client.line("SET later v EX 7200");
    client.line("HSET h a 1 b 2 c 3");
    client.line("HEXPIRE h 1800 FIELDS 1 a");
    client.line("HEXPIRE h 7200 FIELDS 1 b");
    let mut fields = self::listener(&broker, "hexpired");
    // It keeps a key, and is told when that goes.
    let mut keeper = send(&broker, "HELLO 3\r\nCLIENT TRACKING ON\r\nGET soon");
    expect_end(&mut keeper, "$1\r\nv\r\n");
    sleeps(&mut client, &mut listener);
    set(&broker, HOUR);
    let since = Instant::now();
    expect_event(&mut listener, "expired", "soon", since);
    expect_event(&mut fields, "hexpired", "h", since);
    expect(
        &mut keeper,
        ">2\r\n$10\r\ninvalidate\r\n*1\r\n$4\r\nsoon\r\n",
    );
    assert_eq!(client.line("DBSIZE"), ":2");
    assert_eq!(client.line("HLEN h"), ":2");
    let left = number(&client.line("TTL later"));
    assert!((3590..=3600).contains(&left), "{left}");
    // What is written now is written by the new time, and what is written when
    // the clock is right again goes as well.
    client.line("SET new v PX 50");
    expect_event(&mut listener, "expired", "new", Instant::now());
    set(&broker, 0);
    let left = number(&client.line("TTL later"));
    assert!((7190..=7200).contains(&left), "{left}");
    client.line("SET newer v PX 50");
    expect_event(&mut listener, "expired", "newer", Instant::now());
}

#[test]
fn keys_stay_as_much_longer_as_the_clock_is_set_back() {
    let broker = start(&[("notify-keyspace-events", "Ex")]);
    let (mut client, mut listener) = (broker.client(), listener(&broker, "expired"));
    client.line("SET k v EX 100");
    sleeps(&mut client, &mut listener);
    set(&broker, -HOUR);
    let left = number(&client.line("TTL k"));
    assert!((3690..=3700).contains(&left), "{left}");
    for life in [50, 1, 200] {
        client.line(&format!("SET new{life} v PX {life}"));
        expect_event(
            &mut listener,
            "expired",
            &format!("new{life}"),
            Instant::now(),
        );
    }
    assert_eq!(client.line("DBSIZE"), ":1");
    client.line("SET lasting v EX 1800");
    set(&broker, 0);
    expect_event(&mut listener, "expired", "lasting", Instant::now());
    let left = number(&client.line("TTL k"));
    assert!((90..=100).contains(&left), "{left}");
}

#[test]
fn nobody_sees_what_has_expired_by_the_new_time() {
    let broker = start(&[("enable-debug-command", "yes")]);
    let (mut client, mut watcher) = (broker.client(), broker.client());
    client.line("DEBUG SET-ACTIVE-EXPIRE 0");
    client.line("SET k v EX 1800");
    client.line("HSET h a 1 b 2");
    client.line("HEXPIRE h 1800 FIELDS 1 a");
    watcher.line("WATCH k");
    watcher.line("MULTI");
    watcher.line("PING");
    set(&broker, -HOUR);
    assert_eq!(watcher.line("EXEC"), "*1\r\n+PONG");
    watcher.line("WATCH k");
    watcher.line("MULTI");
    watcher.line("PING");
    set(&broker, HOUR);
    assert_eq!(watcher.line("EXEC"), "*-1");
    assert_eq!(client.line("GET k"), "$-1");
    assert_eq!(client.line("HGETALL h"), "*2\r\n$1\r\nb\r\n$1\r\n2");
}

#[test]
fn ids_of_a_stream_go_on_from_the_last_one() {
    let broker = start(&[]);
    let mut client = broker.client();
    let mut add = |to: &str| id(&client.line(&format!("XADD {to} * f v")));
    let first = add("s");
    set(&broker, HOUR);
    let ahead = add("s");
    assert!(ahead.0 - first.0 >= HOUR, "{first:?} {ahead:?}");
    set(&broker, 0);
    assert_eq!(add("s"), (ahead.0, ahead.1 + 1));
    set(&broker, -HOUR);
    assert_eq!(add("s"), (ahead.0, ahead.1 + 2));
    // It is the stream that remembers.
    let other = add("other");
    assert!(first.0 - other.0 <= HOUR, "{first:?} {other:?}");
    assert!(other.0 < first.0, "{first:?} {other:?}");
    set(&broker, 2 * HOUR);
    let later = add("s");
    assert!(later.0 - first.0 >= 2 * HOUR, "{first:?} {later:?}");
}

#[test]
fn nothing_is_idle_for_less_than_no_time_nor_for_months() {
    let broker = start(&[]);
    let mut client = broker.client();
    client.line("SET k v");
    client.line("XGROUP CREATE s g 0 MKSTREAM");
    client.line("XADD s 1-1 f v");
    client.line("XREADGROUP GROUP g c STREAMS s >");
    let pending = "*1\r\n*4\r\n$3\r\n1-1\r\n$1\r\nc\r\n:0\r\n:1";
    let consumers = "$4\r\nidle\r\n:0\r\n$8\r\ninactive\r\n:0";
    set(&broker, -HOUR);
    assert_eq!(client.line("OBJECT IDLETIME k"), ":0");
    assert_eq!(client.line("XPENDING s g - + 10"), pending);
    assert!(client.line("XINFO CONSUMERS s g").ends_with(consumers));
    assert_eq!(client.line("XCLAIM s g d 1 1-1"), "*0");
    set(&broker, HOUR);
    let idle = number(&client.line("OBJECT IDLETIME k"));
    assert!((3600..3610).contains(&idle), "{idle}");
    assert_eq!(client.line("XPENDING s g IDLE 3700000 - + 10"), "*0");
    assert!(
        client
            .line("XPENDING s g IDLE 3600000 - + 10")
            .contains("1-1")
    );
    let claimed = client.line("XAUTOCLAIM s g d 3600000 0 JUSTID");
    assert_eq!(claimed, "*3\r\n$3\r\n0-0\r\n*1\r\n$3\r\n1-1\r\n*0");
    // What was used an hour from now.
    client.line("GET k");
    set(&broker, 0);
    assert_eq!(client.line("OBJECT IDLETIME k"), ":0");
    assert!(client.line("XINFO CONSUMERS s g").ends_with(consumers));
}

#[test]
fn a_pause_lasts_its_time() {
    for by in [HOUR, -HOUR] {
        let broker = start(&[]);
        let (mut client, mut writer) = (broker.client(), broker.client());
        let start = Instant::now();
        client.line("CLIENT PAUSE 300 WRITE");
        set(&broker, by);
        assert_eq!(writer.line("SET k v"), "+OK");
        let waited = start.elapsed();
        assert!(waited >= Duration::from_millis(300), "{waited:?}");
        assert!(waited < LATE, "{waited:?}");
    }
}

#[test]
fn ages_rates_and_uptime_take_no_notice_and_stamps_do() {
    let broker = start(&[
        ("slowlog-log-slower-than", "0"),
        ("latency-monitor-threshold", "1"),
        ("enable-debug-command", "yes"),
    ]);
    let mut client = broker.client();
    for by in [HOUR, -HOUR] {
        client.line("DEBUG SLEEP 0.01");
        set(&broker, by);
        let info = client.line("CLIENT INFO");
        for name in ["age=", "idle="] {
            let value = field(&info, name);
            assert!((0..10).contains(&value), "{info}");
        }
        let info = client.line("INFO");
        for (name, most) in [
            ("uptime_in_seconds:", 10),
            ("instantaneous_ops_per_sec:", 10_000),
        ] {
            let value = field(&info, name);
            assert!((0..most).contains(&value), "{info}");
        }
        let now = broker.engine().server.clock.now_ms() / 1000;
        client.line("PING");
        let log = client.line("SLOWLOG GET 1");
        let stamp = number(log.split("\r\n").nth(3).unwrap());
        assert!((now..now + 10).contains(&stamp), "{stamp} at {now}");
        // It was an hour from now, or an hour ago.
        let graph = client.line("LATENCY GRAPH command");
        assert!(graph.contains("high"), "{graph}");
        set(&broker, 0);
    }
}
