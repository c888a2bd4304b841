//! Requests that ask for too much: of the protocol, of memory, of time.

use std::time::{Duration, Instant};

use respd::Broker;

use crate::binary::process::serve;
use crate::footprint::Footprint;
use crate::wire::{Wire, assert_serves, encode, info, show, until, until_info};

/// No request here may hold others up for longer, even on a loaded machine and without
/// optimisation.
const BEARABLE: Duration = Duration::from_secs(4);

const MAX: &str = "9223372036854775807";
const MIN: &str = "-9223372036854775808";

#[test]
fn breaches_of_the_protocol_are_answered_and_the_connection_ends() {
    let broker = Broker::start().unwrap();
    let digits = "1".repeat(70_000);
    let cases = [
        ("x".repeat((64 << 10) + 1), "too big inline request"),
        (format!("*{digits}"), "too big mbulk count string"),
        (format!("*1\r\n${digits}"), "too big bulk count string"),
        ("*2147483648\r\n".into(), "invalid multibulk length"),
        (format!("*{MAX}0\r\n"), "invalid multibulk length"),
        ("*1\r\n$1073741824\r\n".into(), "invalid bulk length"),
        (format!("*1\r\n${MAX}\r\n"), "invalid bulk length"),
        (format!("*1\r\n${MIN}\r\n"), "invalid bulk length"),
    ];
    for (request, reason) in &cases {
        let mut client = Wire::connect(broker.addr());
        // What came before is answered before.
        client.send(&["PING"]);
        client.send_anyway(request.as_bytes());
        let rest = String::from_utf8(client.rest()).unwrap();
        assert_eq!(rest, format!("+PONG\r\n-ERR Protocol error: {reason}\r\n"));
    }
    assert_serves(broker.addr());
}

#[test]
fn a_stranger_may_send_little() {
    let broker = Broker::builder()
        .set("requirepass", "secret")
        .start()
        .unwrap();
    for (request, reason) in [
        ("*11\r\n", "unauthenticated multibulk length"),
        (
            "*2\r\n$4\r\nPING\r\n$16385\r\n",
            "unauthenticated bulk length",
        ),
    ] {
        let mut stranger = Wire::connect(broker.addr());
        stranger.send_raw(request.as_bytes());
        let rest = String::from_utf8(stranger.rest()).unwrap();
        assert_eq!(rest, format!("-ERR Protocol error: {reason}\r\n"));
    }
    // Up to there it gets an answer, and afterwards it may.
    let mut client = Wire::connect(broker.addr());
    let word = "x".repeat(16384);
    let mut words = vec![word.as_str(); 10];
    words[0] = "MGET";
    let refused = client.text(&words);
    assert_eq!(refused, "NOAUTH Authentication required.");
    // AUTH counts for what follows it in the same packet.
    let long = ["ECHO", &"x".repeat(20_000)];
    client.send_raw(&[encode(&["AUTH", "secret"]), encode(&long)].concat());
    assert_eq!(show(&client.receive()), "OK");
    assert_eq!(show(&client.receive()).len(), 20_000);
}

#[test]
fn twenty_thousand_guesses_at_the_password_are_all_wrong() {
    let broker = Broker::builder()
        .set("requirepass", "secret")
        .start()
        .unwrap();
    let mut client = Wire::connect(broker.addr());
    let wrong = "WRONGPASS invalid username-password pair or user is disabled.";
    const EACH: usize = 1_000;
    for thousand in 0..20 {
        let guesses: Vec<u8> = (0..EACH)
            .flat_map(|n| encode(&["AUTH", &format!("{thousand}{n}")]))
            .collect();
        client.send_raw(&guesses);
        (0..EACH).for_each(|_| assert_eq!(show(&client.receive()), wrong));
    }
    assert_eq!(client.text(&["PING"]), "NOAUTH Authentication required.");
    assert_eq!(client.text(&["AUTH", "secret"]), "OK");
}

#[test]
fn memory_follows_what_arrives_and_not_what_is_announced() {
    let broker = serve(&["--proto-max-bulk-len", "2gb"]);
    let mut probe = broker.connect();
    assert_eq!(probe.text(&["PING"]), "PONG");
    let before = Footprint::of(broker.process.id());
    let announced = [
        "*2147483647\r\n$1\r\na\r\n",
        "*1000000\r\n$3\r\n",
        "*2\r\n$3\r\nGET\r\n$2147483647\r\nab",
        "$536870912\r",
        "*1\r\n$536870912\r\nab",
    ];
    let mut clients = Vec::new();
    for request in announced {
        for _ in 0..50 {
            let mut client = Wire::connect(broker.addr());
            client.send_raw(request.as_bytes());
            clients.push(client);
        }
    }
    until("all have been read", || {
        let list = probe.text(&["CLIENT", "LIST"]);
        list.lines()
            .filter(|line| !line.contains(" qbuf=0 "))
            .count()
            >= clients.len()
    });
    let after = Footprint::of(broker.process.id());
    let (resident, reserved) = (
        after.resident.saturating_sub(before.resident),
        after.reserved.saturating_sub(before.reserved),
    );
    assert!(resident < 8 << 20, "{resident} bytes for 250 clients");
    // The C library reserves 64 MB for a thread that has just started; what is
    // announced is half a gigabyte and more.
    assert!(reserved < 256 << 20, "{reserved} bytes reserved");
    drop(clients);
    until_info(&mut probe, "connected_clients", 1);
    broker.stop();
}

#[test]
fn a_request_in_single_bytes_is_the_request() {
    let requests: [&[u8]; 9] = [
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$12\r\n\0\r\n*1\r\n$4\r\n+\r\n",
        b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
        b"SET inline \"a\\x00b \\\"c\\\"\" EX 100\r\n",
        b"\r\n\n*0\r\n*-1\r\nGET inline\n",
        b"*1\r\n$6\r\nfoo\r\nb\r\n",
        b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n",
        b"*1\r\n$5\r\nMULTI\r\n*4\r\n$5\r\nRPUSH\r\n$1\r\nl\r\n$0\r\n\r\n$2\r\n\r\n\r\n*1\r\n$4\r\nEXEC\r\n",
        b"*4\r\n$6\r\nLRANGE\r\n$1\r\nl\r\n$1\r\n0\r\n$2\r\n-1\r\n",
        b"*2\r\n$3\r\nGET\r\n*3\r\n",
    ];
    let bytes = requests.concat();
    let replies = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let broker = Broker::start().unwrap();
        let mut client = Wire::connect(broker.addr());
        pieces.for_each(|piece| client.send_raw(piece));
        String::from_utf8_lossy(&client.rest()).into_owned()
    };
    let whole = replies(&mut [&bytes[..]].into_iter());
    assert!(
        whole.ends_with("-ERR Protocol error: expected '$', got '*'\r\n"),
        "{whole}"
    );
    assert_eq!(replies(&mut bytes.chunks(1)), whole);
    for size in [2, 3, 7, 64] {
        assert_eq!(replies(&mut bytes.chunks(size)), whole, "pieces of {size}");
    }
    // The id of a client is in the reply to HELLO, so each cut has a broker to itself.
    for at in (1..bytes.len()).step_by(5) {
        let (head, tail) = bytes.split_at(at);
        assert_eq!(replies(&mut [head, tail].into_iter()), whole, "cut at {at}");
    }
}

#[test]
fn no_word_of_a_client_makes_two_replies_of_one() {
    let broker = Broker::builder()
        .set("enable-debug-command", "yes")
        .set("notify-keyspace-events", "KEA")
        .start()
        .unwrap();
    let evil = "a\r\n+OK\r\n$3\r\nb";
    let mut client = Wire::connect(broker.addr());
    for words in [
        &[evil][..],
        &["NOSUCH", evil, evil],
        &["CLIENT", evil],
        &["CLIENT", "SETNAME", evil],
        &["CLIENT", "SETINFO", evil, "1"],
        &["CLIENT", "SETINFO", "LIB-NAME", evil],
        &["CLIENT", "KILL", evil],
        &["CLIENT", "NO-EVICT", evil],
        &["CONFIG", "SET", evil, "1"],
        &["CONFIG", "SET", "maxclients", evil],
        &["CONFIG", "SET", "loglevel", evil],
        &["CONFIG", evil],
        &["COMMAND", evil],
        &["COMMAND", "LIST", "FILTERBY", evil, "x"],
        &["DEBUG", "ERROR", evil],
        &["DEBUG", evil],
        &["HELLO", evil],
        &["HELLO", "3", evil],
        &["HELLO", "2", "SETNAME", evil],
        &["AUTH", evil],
        &["AUTH", "default", evil],
        &["SET", "k", "v", evil],
        &["SET", evil, "v", "EX", evil],
        &["OBJECT", evil, "k"],
        &["LATENCY", evil],
        &["LATENCY", "DOCTOR", evil],
        &["MEMORY", evil],
        &["SLOWLOG", evil],
        &["PUBSUB", evil],
        &["SCAN", "0", "TYPE", evil],
        &["SCAN", evil],
        &["BLPOP", "k", evil],
        &["SELECT", evil],
        &["LMPOP", "1", "k", evil],
        &["INCRBYFLOAT", "k", evil],
        &["RESET", evil],
        &["SHUTDOWN", evil],
    ] {
        client.send(words);
        client.send(&["ECHO", "next"]);
        client.receive();
        assert_eq!(show(&client.receive()), "next", "after {words:?}");
    }
    // What is listed line by line stays a line.
    client.call(&["SET", "k", "v"]);
    let list = client.text(&["CLIENT", "LIST"]);
    assert_eq!(list.trim_end().lines().count(), 1, "{list}");
    let all = client.text(&["INFO", "everything"]);
    let odd = all
        .lines()
        .find(|l| !(l.is_empty() || l.starts_with('#') || l.contains(':')));
    assert_eq!(odd, None);
}

#[test]
fn numbers_at_the_end_of_their_range_have_a_reply_of_one_line() {
    let broker = Broker::start().unwrap();
    let mut client = Wire::connect(broker.addr());
    let too_long = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    let positive = "ERR value is out of range, must be positive";
    let range = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
    for (line, expected) in [
        ("SET k value", "OK"),
        ("SETRANGE k 536870912 x", too_long),
        ("SETRANGE k 536870911 xx", too_long),
        ("SETRANGE k MAX x", too_long),
        ("SETRANGE k MIN x", "ERR offset is out of range"),
        ("GETRANGE k MIN MAX", "value"),
        ("GETRANGE k MAX MIN", ""),
        ("GETRANGE k MAX MAX", ""),
        ("GETRANGE k MIN MIN", "v"),
        (
            "EXPIRE k MAX",
            "ERR invalid expire time in 'expire' command",
        ),
        (
            "EXPIRE k MIN",
            "ERR invalid expire time in 'expire' command",
        ),
        (
            "PEXPIRE k MAX",
            "ERR invalid expire time in 'pexpire' command",
        ),
        (
            "EXPIREAT k MAX",
            "ERR invalid expire time in 'expireat' command",
        ),
        (
            "SET k value EX MAX",
            "ERR invalid expire time in 'set' command",
        ),
        (
            "SET k value PX MAX",
            "ERR invalid expire time in 'set' command",
        ),
        (
            "GETEX k PX MAX",
            "ERR invalid expire time in 'getex' command",
        ),
        (
            "PSETEX k MAX value",
            "ERR invalid expire time in 'psetex' command",
        ),
        ("PEXPIREAT k MAX", "1"),
        ("PERSIST k", "1"),
        ("PEXPIRE k MIN", "1"),
        ("EXISTS k", "0"),
        ("SET n MAX", "OK"),
        ("INCR n", "ERR increment or decrement would overflow"),
        ("INCRBY n MIN", "-1"),
        ("DECRBY n MIN", "ERR decrement would overflow"),
        ("INCRBYFLOAT n 1e5000", "ERR value is not a valid float"),
        ("RPUSH l a b c d a", "5"),
        ("LRANGE l MIN MAX", "[a b c d a]"),
        ("LRANGE l MAX MIN", "[]"),
        ("LINDEX l MIN", "nil"),
        ("LINDEX l MAX", "nil"),
        ("LSET l MIN x", "ERR index out of range"),
        ("LPOS l a COUNT MAX", "[0 4]"),
        ("LPOS l a RANK MIN", range),
        ("LPOS l a RANK MAX", "nil"),
        ("LREM l MIN a", "2"),
        ("LTRIM l MIN MAX", "OK"),
        ("LPOP l MIN", positive),
        ("LPOP l MAX", "[b c d]"),
        ("LMPOP MAX l LEFT", "ERR syntax error"),
        ("BLMPOP 0 MAX l LEFT", "ERR syntax error"),
        ("BLPOP l 1e308", "ERR timeout is out of range"),
        ("BLPOP l MAX", "ERR timeout is out of range"),
        ("SCAN 0 COUNT MAX MATCH nothing", "[0 []]"),
        ("SCAN 0 COUNT MIN", "ERR syntax error"),
        ("SCAN 18446744073709551616", "ERR invalid cursor"),
        (
            "SELECT MAX",
            "ERR value is out of range, value must between -2147483648 and 2147483647",
        ),
        ("CLIENT KILL ID MAX", "0"),
        ("HELLO MAX", "NOPROTO unsupported protocol version"),
        (
            "SLOWLOG GET MIN",
            "ERR count should be greater than or equal to -1",
        ),
        (
            "CLIENT PAUSE 9223372036854775808",
            "ERR timeout is not an integer or out of range",
        ),
        ("LPOP l 9223372036854775808", positive),
    ] {
        let line = line.replace("MAX", MAX).replace("MIN", MIN);
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(client.text(&words), expected, "{line}");
    }
    // SCAN with any cursor does a bounded amount of work and has a reply.
    for cursor in ["18446744073709551615", "9223372036854775808", "7", "1"] {
        let reply = client.text(&["SCAN", cursor, "COUNT", MAX]);
        assert!(reply.ends_with(']'), "{reply}");
    }
    // A wait that ends when the universe does is a wait.
    client.send(&["BLPOP", "l", "9000000000000000"]);
    let mut other = Wire::connect(broker.addr());
    until_info(&mut other, "blocked_clients", 1);
    other.call(&["RPUSH", "l", "x"]);
    assert_eq!(show(&client.receive()), "[l x]");
}

#[test]
fn patterns_made_to_take_for_ever_do_not() {
    let broker = Broker::start().unwrap();
    let mut client = Wire::connect(broker.addr());
    client.call(&["SET", &"a".repeat(64 << 10), "v"]);
    let patterns = [
        "*a".repeat(40) + "b",
        "*a".repeat(32 << 10) + "b",
        "a*".repeat(32 << 10) + "b",
        "*".repeat(1 << 20),
        "*?".repeat(32 << 10) + "b",
        "*[^b]".repeat(1000) + "b",
        format!("*{}b", "a".repeat(32 << 10)),
        format!("*[{}", "b".repeat(64 << 10)),
        "[".repeat(1 << 20),
        "\\".repeat(1 << 20),
    ];
    for pattern in &patterns {
        let start = Instant::now();
        let found = client.text(&["KEYS", pattern]);
        let scanned = client.text(&["SCAN", "0", "MATCH", pattern, "COUNT", "1000"]);
        let shown = &pattern[..10];
        assert!(
            start.elapsed() < BEARABLE,
            "{shown}… took {:?}",
            start.elapsed()
        );
        assert_eq!(found == "[]", scanned == "[0 []]", "{shown}…");
    }
    let mut subscriber = Wire::connect(broker.addr());
    for pattern in &patterns {
        subscriber.send(&["PSUBSCRIBE", pattern]);
        subscriber.receive();
    }
    let start = Instant::now();
    let heard = client.text(&["PUBLISH", &"a".repeat(64 << 10), "m"]);
    assert_eq!(heard, "1", "only the pattern of stars matches");
    assert!(start.elapsed() < 10 * BEARABLE, "{:?}", start.elapsed());
    assert_serves(broker.addr());
}

#[test]
fn the_longest_common_subsequence_of_long_strings_is_found_or_refused() {
    let broker = Broker::builder()
        .set("proto-max-bulk-len", "1mb")
        .start()
        .unwrap();
    let mut client = Wire::connect(broker.addr());
    client.call(&["SET", "a", &"ab".repeat(50_000)]);
    client.call(&["SET", "b", &"ba".repeat(50_000)]);
    client.call(&["SET", "c", "b"]);
    let start = Instant::now();
    for options in [
        &[][..],
        &["LEN"],
        &["IDX"],
        &["IDX", "MINMATCHLEN", MIN, "WITHMATCHLEN"],
    ] {
        let reply = client.text(&[&["LCS", "a", "b"], options].concat());
        assert_eq!(
            reply,
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"
        );
    }
    assert_eq!(client.text(&["LCS", "a", "c"]), "b");
    assert!(start.elapsed() < BEARABLE);
}

#[test]
fn a_transaction_is_bounded_by_the_query_buffer_limit() {
    let broker = serve(&["--client-query-buffer-limit", "8mb"]);
    let mut probe = broker.connect();
    assert_eq!(probe.text(&["PING"]), "PONG");
    let before = Footprint::of(broker.process.id());
    // Tiny commands, large ones, and ones of many words.
    for request in [
        encode(&["PING"]),
        encode(&["SET", "k", &"x".repeat(10_000)]),
        encode(&vec!["DEL"; 500]),
    ] {
        let mut client = broker.connect();
        assert_eq!(client.text(&["MULTI"]), "OK");
        let mut reading = client.stream().try_clone().unwrap();
        let reader = std::thread::spawn(move || {
            let _ = std::io::copy(&mut reading, &mut std::io::sink());
        });
        let batch = request.repeat((64 << 10) / request.len());
        assert!(client.flood(&batch, 2_000) < 2_000, "it is never cut off");
        reader.join().unwrap();
    }
    let peak = Footprint::of(broker.process.id()).peak - before.resident;
    assert!(peak < 40 << 20, "{peak} bytes for a limit of 8 MB");
    assert_eq!(
        info(&mut probe, "client_query_buffer_limit_disconnections"),
        "3"
    );
    assert_eq!(probe.text(&["DBSIZE"]), "0");
    broker.stop();
}

#[test]
fn what_a_client_sends_while_it_waits_is_bounded() {
    let broker = Broker::builder()
        .set("client-query-buffer-limit", "1mb")
        .start()
        .unwrap();
    let mut admin = Wire::connect(broker.addr());
    let batch = encode(&["SET", "k", &"x".repeat(1000)]).repeat(60);
    let mut blocked = Wire::connect(broker.addr());
    blocked.send(&["BLPOP", "queue", "0"]);
    until_info(&mut admin, "blocked_clients", 1);
    assert!(blocked.flood(&batch, 1_000) < 1_000, "it is never cut off");
    until_info(&mut admin, "blocked_clients", 0);

    admin.call(&["CLIENT", "PAUSE", "1000000", "WRITE"]);
    let mut held = Wire::connect(broker.addr());
    assert!(held.flood(&batch, 1_000) < 1_000, "it is never cut off");
    let mut long = Wire::connect(broker.addr());
    long.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3000000\r\n");
    assert!(long.flood(&batch, 48) <= 48);
    until_info(&mut admin, "connected_clients", 1);
    admin.call(&["CLIENT", "UNPAUSE"]);
    assert_eq!(admin.text(&["EXISTS", "k"]), "0");
}

#[test]
fn watching_fifty_thousand_keys_holds_nobody_up_and_ends_with_the_client() {
    let broker = Broker::start().unwrap();
    let names: Vec<String> = (0..50_000).map(|n| format!("k{n}")).collect();
    let mut words = vec!["WATCH"];
    words.extend(names.iter().map(String::as_str));
    let request = encode(&words);
    let mut other = Wire::connect(broker.addr());
    let start = Instant::now();
    for _ in 0..3 {
        let mut client = Wire::connect(broker.addr());
        client.send_raw(&request);
        assert_eq!(show(&client.receive()), "OK");
        client.call(&["MULTI"]);
        client.call(&["GET", "k1"]);
        other.call(&["SET", "k49999", "v"]);
        assert_eq!(client.text(&["EXEC"]), "nil");
        client.send_raw(&request);
        assert_eq!(show(&client.receive()), "OK");
    }
    until_info(&mut other, "connected_clients", 1);
    // Looking each key up among the others would take minutes.
    assert!(start.elapsed() < 10 * BEARABLE, "{:?}", start.elapsed());
}

#[test]
fn a_long_request_that_comes_in_drops_holds_nobody_up() {
    let broker = Broker::start().unwrap();
    let mut slow = Wire::connect(broker.addr());
    let mut other = Wire::connect(broker.addr());
    const WORDS: usize = 500_000;
    let head = format!("*{}\r\n$3\r\nDEL\r\n", WORDS + 152);
    slow.send_raw(head.as_bytes());
    slow.send_raw(&b"$1\r\na\r\n".repeat(WORDS));
    until("it has been read", || {
        let list = other.text(&["CLIENT", "LIST"]);
        list.contains(&format!(" qbuf={} ", head.len() + WORDS * 7))
    });
    let start = Instant::now();
    let drops = b"$1\r\na\r\n".repeat(150);
    for drop in drops.chunks(1) {
        slow.send_raw(drop);
        assert_eq!(other.text(&["PING"]), "PONG");
    }
    // Work in proportion to what has come before would be a few milliseconds for each drop.
    assert!(start.elapsed() < BEARABLE, "{:?}", start.elapsed());
    slow.send_raw(b"$1\r\na\r\n");
    assert_eq!(show(&slow.receive()), "0");
}
