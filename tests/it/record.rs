//! A record of what clients have sent and got: it has everything, in order, within its bounds, and
//! can be played.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use respd::resp::value::Value;
use respd::testkit::{Entry, Kind, Record};
use respd::{Broker, LocalClient};

use crate::transcripts::differences;
use crate::wire::{Wire, encode, show, until};

fn start() -> Broker {
    Broker::for_tests().unwrap()
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn wire(broker: &Broker, lines: &[&str]) -> Wire {
    let mut client = Wire::connect(broker.addr());
    for line in lines {
        client.call(&words(line));
    }
    client
}

fn line(client: &mut LocalClient, line: &str) -> String {
    show(&client.call(&words(line)))
}

/// What is on record, a line for each, with the ids of clients counted from the first that is seen.
fn lines(record: &Record) -> Vec<String> {
    let mut ids = Vec::new();
    let show = |entry: &Entry| {
        let id = entry.client_id();
        let place = ids.iter().position(|known| *known == id);
        let place = place.unwrap_or_else(|| {
            ids.push(id);
            ids.len() - 1
        });
        let letter = char::from(b'a' + place as u8);
        let text = entry.to_string();
        let who = format!("{} client {id}", entry.number());
        let rest = text.strip_prefix(&who).unwrap_or_else(|| panic!("{text}"));
        format!("{letter}{rest}")
    };
    record.entries().iter().map(show).collect()
}

#[track_caller]
fn assert_lines(record: &Record, expected: &[&str]) {
    let got = lines(record);
    assert_eq!(got, expected, "\n{}", got.join("\n"));
}

/// The text of a panic.
fn panic_of(act: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(act)).expect_err("it holds");
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => panic!("{:?}", other.downcast::<&str>()),
    }
}

#[test]
fn what_clients_send_and_get_is_there_in_order() {
    let broker = start();
    let mut before = wire(&broker, &["SET k before"]);
    let record = broker.record();
    assert_eq!(before.text(&["GET", "k"]), "before");
    let mut second = wire(&broker, &["SET k 1"]);
    second.send_raw(b"INCR k\r\nINCR k\r\nGET nothing\r\nLPUSH k x\r\nNOSUCH a\r\n");
    let replies: Vec<_> = (0..5).map(|_| show(&second.receive())).collect();
    assert_eq!(replies[..3], ["2", "3", "nil"]);
    line(&mut broker.client(), "SET local \u{e4}");
    drop(second);
    until("it has gone", || record.entries().len() == 18);
    assert_lines(
        &record,
        &[
            "a > GET k",
            "a < \"before\"",
            "b > SET k 1",
            "b < OK",
            "b > INCR k",
            "b < 2",
            "b > INCR k",
            "b < 3",
            "b > GET nothing",
            "b < nil",
            "b > LPUSH k x",
            "b < (error) WRONGTYPE Operation against a key holding the wrong kind of value",
            "b > NOSUCH a",
            "b < (error) ERR unknown command 'NOSUCH', with args beginning with: 'a' ",
            "c > SET local \"\\xc3\\xa4\"",
            "c < OK",
            "c gone",
            "b gone",
        ],
    );
    let numbers: Vec<_> = record.entries().iter().map(Entry::number).collect();
    assert_eq!(numbers, (0..18).collect::<Vec<_>>());
}

#[test]
fn the_reply_to_what_has_blocked_is_there_when_it_comes_and_names_its_request() {
    let broker = start();
    let mut early = Wire::connect(broker.addr());
    early.send(&words("BLPOP early 0"));
    broker.until().blocked("early", 1).wait().unwrap();
    let record = broker.record();
    let mut worker = Wire::connect(broker.addr());
    worker.send(&words("BLPOP jobs 0"));
    broker.until().blocked("jobs", 1).wait().unwrap();
    worker.send(&words("PING"));
    let mut timed = wire(&broker, &["BLPOP none 0.01"]);
    let mut boss = broker.client();
    line(&mut boss, "RPUSH jobs one");
    worker.receive();
    worker.receive();
    line(&mut boss, "RPUSH early two");
    early.receive();
    timed.call(&words("PING"));
    assert_lines(
        &record,
        &[
            "a > BLPOP jobs 0",
            "b > BLPOP none 0.01",
            "b < nil",
            "c > RPUSH jobs one",
            "c < 1",
            "a < [\"jobs\", \"one\"]",
            "a > PING",
            "a < PONG",
            "c > RPUSH early two",
            "c < 1",
            "d < [\"early\", \"two\"]",
            "b > PING",
            "b < PONG",
        ],
    );
    let entries = record.entries();
    assert_eq!((entries[0].number(), entries[5].answers()), (0, Some(0)));
    assert_eq!(entries[2].answers(), Some(1));
    assert_eq!(entries[10].answers(), None);
    let expected = Value::Array(["jobs", "one"].map(|word| Value::Bulk(word.into())).into());
    assert_eq!(entries[5].values(), [expected]);
    assert_eq!(entries[5].bytes(), b"*2\r\n$4\r\njobs\r\n$3\r\none\r\n");
}

#[test]
fn transactions_and_silenced_replies_are_as_they_were() {
    let broker = start();
    let record = broker.record();
    let mut client = wire(&broker, &["MULTI", "SET k 1", "GET", "GET k"]);
    client.call(&["EXEC"]);
    client.call(&["MULTI"]);
    client.call(&words("INCR k"));
    client.call(&["EXEC"]);
    for line in [
        "CLIENT REPLY OFF",
        "SET k 2",
        "CLIENT REPLY ON",
        "CLIENT REPLY SKIP",
        "GET k",
    ] {
        client.send(&words(line));
    }
    assert_eq!(client.text(&["PING"]), "OK");
    assert_eq!(show(&client.receive()), "PONG");
    assert_lines(
        &record,
        &[
            "a > MULTI",
            "a < OK",
            "a > SET k 1",
            "a < QUEUED",
            "a > GET",
            "a < (error) ERR wrong number of arguments for 'get' command",
            "a > GET k",
            "a < QUEUED",
            "a > EXEC",
            "a < (error) EXECABORT Transaction discarded because of previous errors.",
            "a > MULTI",
            "a < OK",
            "a > INCR k",
            "a < QUEUED",
            "a > EXEC",
            "a < [1]",
            "a > CLIENT REPLY OFF",
            "a > SET k 2",
            "a > CLIENT REPLY ON",
            "a < OK",
            "a > CLIENT REPLY SKIP",
            "a > GET k",
            "a > PING",
            "a < PONG",
        ],
    );
}

#[test]
fn messages_are_there_too_behind_what_has_sent_them() {
    let broker = start();
    let record = broker.record();
    let mut old = wire(&broker, &[]);
    old.send(&words("SUBSCRIBE news x"));
    old.receive();
    old.receive();
    let mut new = wire(
        &broker,
        &["HELLO 3", "SUBSCRIBE news", "CLIENT TRACKING ON", "GET k"],
    );
    record.clear();
    new.call(&words("PUBLISH news hi"));
    new.receive();
    old.receive();
    line(&mut broker.client(), "SET k 1");
    new.receive();
    let monitor = wire(&broker, &["MONITOR"]);
    new.call(&["PING"]);
    assert_lines(
        &record,
        &[
            "a > PUBLISH news hi",
            "a < 2",
            "b ! [\"message\", \"news\", \"hi\"]",
            "a ! [\"message\", \"news\", \"hi\"]",
            "c > SET k 1",
            "c < OK",
            "a ! [\"invalidate\", [\"k\"]]",
            "c gone",
            "d > MONITOR",
            "d < OK",
            "a > PING",
            "a < PONG",
            &lines(&record)[12],
        ],
    );
    assert!(lines(&record)[12].starts_with("d ! "), "{record:?}");
    assert!(lines(&record)[12].ends_with("\"PING\""), "{record:?}");
    drop(monitor);
    record.assert_delivered_times(["message", "news", "*"], 2);
    assert_eq!(record.channel("n*").entries().len(), 4);
    let text = panic_of(|| record.assert_delivered(["message", "new", "hi"]));
    let expected = "'message new hi' was not delivered; delivered: message news hi (client ";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn passwords_are_covered_and_respd_is_left_out() {
    let broker = Broker::builder()
        .for_tests()
        .set("requirepass", "secret")
        .start()
        .unwrap();
    let record = broker.record();
    let mut client = Wire::connect(broker.addr());
    let lines_sent: [&[&str]; 6] = [
        &["AUTH", "wrong"],
        &["AUTH", "default", "secret"],
        &["HELLO", "2", "AUTH", "default", "secret", "SETNAME", "me"],
        &["CONFIG", "SET", "requirepass", "secret"],
        &["RESPD", "CLOCK", "GET"],
        &["RESPD", "NOSUCH"],
    ];
    for line in lines_sent {
        client.call(line);
    }
    let shown = format!("{record:?}");
    assert!(
        !shown.contains("secret") && !shown.contains("wrong "),
        "{shown}"
    );
    assert!(!shown.contains("RESPD"), "{shown}");
    record.assert_sent_times(["auth", "..."], 2);
    record.assert_sent([
        "HELLO",
        "2",
        "AUTH",
        "(redacted)",
        "(redacted)",
        "SETNAME",
        "me",
    ]);
    let transcript = record.transcript();
    assert!(!transcript.contains("secret"), "{transcript}");
    assert!(
        transcript.contains("# left out, as a password is covered: a> AUTH"),
        "{transcript}"
    );
}

/// Who begins a record in a pipeline means what follows.
#[test]
fn it_begins_and_ends_within_a_pipeline() {
    let broker = start();
    let mut client = Wire::connect(broker.addr());
    client.send_raw(
        b"SET before 1\r\nRESPD RECORD START\r\nSET k 1\r\nRESPD RECORD COUNT\r\nRESPD RECORD CLEAR\r\n\
        SET k 2\r\nRESPD RECORD COUNT COMMAND set\r\nRESPD RECORD STOP\r\nSET k 3\r\nRESPD RECORD COUNT\r\n",
    );
    let replies: Vec<_> = (0..10).map(|_| show(&client.receive())).collect();
    let none = "ERR there is no record. Begin one with RESPD RECORD START.";
    let expected = ["OK", "OK", "OK", "2", "OK", "OK", "2", "OK", "OK", none];
    assert_eq!(replies, expected);
}

#[test]
fn the_oldest_go_and_what_would_depend_on_them_does_not_hold() {
    let broker = start();
    let record = broker.record().limit(6);
    let mut client = wire(&broker, &[]);
    for n in 0..10 {
        client.call(&["SET", "k", &n.to_string()]);
    }
    assert_eq!(record.entries().len(), 6);
    assert_eq!(record.gone(), 14);
    assert_eq!(record.entries()[0].text(), "SET k 7");
    record.assert_sent(["SET", "k", "9"]);
    record.assert_in_order(["SET k 7", "SET k 9"]);
    let has_gone = "; the 14 entries before these have gone: have the record keep more";
    let text = panic_of(|| record.assert_sent_times(["SET", "k", "9"], 1));
    assert!(
        text.starts_with("'SET k 9' was sent once, and nobody knows"),
        "{text}"
    );
    assert!(text.ends_with(has_gone), "{text}");
    let text = panic_of(|| record.assert_nothing_sent_to("other"));
    let expected = "nobody knows whether 'other' was touched";
    assert_eq!(text, format!("{expected}{has_gone}"));
    let never = || record.assert_sent_times(["DEL", "k"], 0);
    let once = || record.assert_sent(["DEL", "k"]);
    for text in [panic_of(never), panic_of(once)] {
        assert!(
            text.starts_with("nobody knows whether 'DEL k' was sent; sent: SET k "),
            "{text}"
        );
        assert!(text.ends_with(has_gone), "{text}");
    }
    record.clear();
    assert_eq!(record.gone(), 0);
    record.assert_nothing_sent_to("k");
}

#[test]
fn what_is_large_is_cut_and_all_of_it_bounded() {
    const KEPT: usize = 16 * 1024;
    let broker = start();
    let record = broker.record();
    let mut client = wire(&broker, &[]);
    let value = "v".repeat(100_000);
    client.call(&["SET", "k", &value]);
    client.call(&["GET", "k"]);
    let entries = record.entries();
    assert!(entries[0].is_cut() && !entries[1].is_cut() && entries[3].is_cut());
    assert_eq!(entries[0].len(), 100_004);
    assert_eq!(entries[3].len(), 100_011);
    let kept: usize = entries[0].words().iter().map(|word| word.len() + 1).sum();
    assert_eq!((kept, entries[3].bytes().len()), (KEPT, KEPT));
    assert_eq!(entries[3].values(), []);
    // Its key is there, and what is known of its value fits.
    record.assert_sent(["SET", "k", &value]);
    record.assert_sent(["SET", "k", "v*"]);
    record.assert_sent_times(["SET", "k", &value[1..]], 0);
    record.assert_nothing_sent_to("v*");
    let many: Vec<_> = (0..10_000).map(|n| format!("key:{n}")).collect();
    let mset = ["MGET"].into_iter().chain(many.iter().map(String::as_str));
    client.call(&mset.collect::<Vec<_>>());
    let text = panic_of(|| record.assert_nothing_sent_to("key:9999"));
    assert!(
        text.contains("of this not all keys are on record: MGET key:0"),
        "{text}"
    );

    let mut tester = wire(&broker, &["RESPD RECORD START LIMIT 1000000"]);
    for _ in 0..2_500 {
        client.call(&["SET", "k", &value]);
    }
    let state = tester.text(&words("RESPD RECORD STATE"));
    let figures: Vec<_> = state.trim_matches(['[', ']']).split(' ').collect();
    let figure = |index: usize| figures[index].parse::<usize>().unwrap();
    assert_eq!(figures[..2], ["state", "recording"]);
    let (entries, gone, bytes) = (figure(3), figure(5), figure(7));
    assert_eq!(entries + gone, 5_000, "{state}");
    assert!((15 << 20..16 << 20).contains(&bytes), "{state}");
    tester.call(&words("RESPD RECORD STOP"));
    let state = tester.text(&words("RESPD RECORD STATE"));
    assert_eq!(state, "[state stopped entries 0 gone 0 bytes 0]");
}

/// A request that hands out more than is kept leaves nothing that was before it.
#[test]
fn what_one_request_hands_out_is_bounded_as_well() {
    let broker = start();
    let record = broker.record().limit(10);
    let mut listeners: Vec<_> = (0..20)
        .map(|_| wire(&broker, &["SUBSCRIBE news"]))
        .collect();
    let mut client = wire(&broker, &["SET k 1", "PUBLISH news hi"]);
    listeners
        .iter_mut()
        .for_each(|listener| _ = listener.receive());
    assert!(
        record
            .entries()
            .iter()
            .all(|entry| entry.kind() == Kind::Push),
        "{record:?}"
    );
    assert_eq!(record.entries().len(), 10);
    assert_eq!(record.gone(), 20 * 2 + 2 + 2 + 10);
    client.call(&["PING"]);
    let lines: Vec<_> = record.entries().iter().map(Entry::text).collect();
    assert_eq!(lines[8..], ["PING", "PONG"]);
}

#[test]
fn several_have_records_at_a_time_and_each_its_own() {
    let broker = start();
    let first = broker.record();
    let mut client = wire(&broker, &["SET a 1", "RESPD RECORD START", "SET b 1"]);
    let second = broker.record();
    client.call(&words("SET c 1"));
    let texts = |record: &Record| -> Vec<String> {
        let entries = record.entries();
        let sent = entries.iter().filter(|entry| entry.kind() == Kind::Request);
        sent.map(Entry::text).collect()
    };
    assert_eq!(texts(&first), ["SET a 1", "SET b 1", "SET c 1"]);
    assert_eq!(texts(&second), ["SET c 1"]);
    let of_b = first.key("b");
    drop(first);
    assert_eq!(texts(&of_b), ["SET b 1"]);
    drop(of_b);
    assert_eq!(client.text(&words("RESPD RECORD COUNT")), "4");
    client.call(&words("RESPD RECORD CLEAR"));
    assert_eq!(client.text(&words("RESPD RECORD COUNT")), "0");
    assert_eq!(texts(&second), ["SET c 1"]);
}

#[test]
fn it_is_narrowed_by_client_command_key_channel_and_database() {
    let broker = start();
    let record = broker.record();
    let mut worker = wire(
        &broker,
        &[
            "CLIENT SETNAME worker-1",
            "CLIENT SETINFO LIB-NAME redis-py",
            "SELECT 2",
            "SET a 1",
        ],
    );
    let id: u64 = worker.text(&words("CLIENT ID")).parse().unwrap();
    let mut other = wire(
        &broker,
        &["MSET a 1 b 2", "SSUBSCRIBE shard", "CLIENT SETNAME other"],
    );
    worker.call(&words("SPUBLISH shard 1"));
    other.receive();
    let count = |record: Record| record.entries().len();
    assert_eq!(count(record.client_name("worker-*")), 10);
    assert_eq!(count(record.client_name("worker-*").command("set")), 2);
    assert_eq!(count(record.client_id(id)), 12);
    assert_eq!(count(record.library("redis-*").db(2)), 6);
    assert_eq!(count(record.key("b")), 2);
    assert_eq!(count(record.key("a")), 4);
    assert_eq!(count(record.command("client")), 8);
    assert_eq!(count(record.command("CLIENT|ID")), 2);
    assert_eq!(
        panic_of(|| _ = record.command("clien")),
        "there is no command clien"
    );
    assert_eq!(count(record.channel("shard")), 5);
    assert_eq!(count(record.user("default")), record.entries().len());
    assert_eq!(count(record.user("nobody")), 0);
    let id = id.to_string();
    let mut tester = wire(&broker, &["RESPD RECORD START"]);
    worker.call(&words("SET a 2"));
    let line = [
        "RESPD", "RECORD", "COUNT", "id", &id, "NAME", "w*", "COMMAND", "set", "KEY", "a",
    ];
    assert_eq!(tester.text(&line), "2");
    let line = [
        "RESPD", "RECORD", "COUNT", "USER", "default", "LIBRARY", "r*", "DB", "2",
    ];
    assert_eq!(tester.text(&line), "2");
    assert_eq!(tester.text(&words("RESPD RECORD COUNT CHANNEL news")), "0");
}

#[test]
fn what_fails_says_what_was_sent_instead_the_nearest_first() {
    let broker = start();
    let record = broker.record();
    let mut client = wire(
        &broker,
        &[
            "CLIENT SETNAME me",
            "SET order:1 new",
            "SET order:2 new",
            "GET secret:1",
            "GET secret:1",
        ],
    );
    client.call(&["SET", "empty", ""]);
    let id = client.text(&words("CLIENT ID"));
    let me = format!("client {id} 'me'");
    record.assert_sent(["set", "order:*", "new"]);
    record.assert_sent(["SET", "..."]);
    record.assert_sent(["SET", "empty", "*"]);
    record.assert_sent(["GET", "secret:1"]);
    record.assert_sent(["client", "SetName", "me"]);
    record.assert_sent_times(["SET", "order:?", "new"], 2);
    record.assert_sent_times(["SET", "order:1"], 0);
    record.assert_sent_times(["set", "order:1", "NEW"], 0);
    record.assert_in_order([
        "SET order:1 *",
        "GET secret:1",
        "GET secret:1",
        "SET empty \"\"",
    ]);
    record.assert_nothing_sent_to("order");
    record.assert_nothing_sent_to("new");

    let cases: [(&dyn Fn(), String); 6] = [
        (
            &|| record.assert_sent(["SET", "order:3", "new"]),
            format!(
                "'SET order:3 new' was not sent; sent: SET order:1 new ({me}), SET order:2 new ({me}), \
                SET empty \"\" ({me}), GET secret:1 ({me}, 2 times), CLIENT SETNAME me (client {id}), and 1 other"
            ),
        ),
        (
            &|| {
                record
                    .command("set")
                    .assert_sent_times(["SET", "order:*", "*"], 3)
            },
            format!(
                "'SET order:* *' was sent 2 times, and not 3 times; sent: SET order:1 new ({me}), \
                SET order:2 new ({me}), SET empty \"\" ({me})"
            ),
        ),
        (
            &|| record.assert_nothing_sent_to("secret:*"),
            format!("'secret:*' was touched; sent: GET secret:1 ({me}, 2 times)"),
        ),
        (
            &|| {
                record
                    .command("set")
                    .assert_in_order(["SET order:2 new", "SET order:1 new"])
            },
            format!(
                "'SET order:1 new' was not sent after 'SET order:2 new', but before it; \
                sent after it: SET empty \"\" ({me})"
            ),
        ),
        (
            &|| record.command("get").assert_in_order(["GET other"]),
            format!("'GET other' was not sent; sent: GET secret:1 ({me}, 2 times)"),
        ),
        (
            &|| record.client_name("nobody").assert_sent(["PING"]),
            "'PING' was not sent; sent: nothing".to_owned(),
        ),
    ];
    for (act, expected) in cases {
        assert_eq!(panic_of(act), expected);
    }

    client.call(&words("RESPD RECORD START"));
    client.call(&["SET", "a b", "1"]);
    let no_claim = "ERR RESPD RECORD ASSERT takes, behind its filters, SENT ANY|n word..., \
        DELIVERED ANY|n word..., UNTOUCHED pattern or ORDER request..."
        .to_owned();
    for (line, expected) in [
        (&["SENT", "1", "SET", "a b", "*"][..], "OK".to_owned()),
        (
            &["NAME", "me", "sent", "any", "set", "..."],
            "OK".to_owned(),
        ),
        (&["UNTOUCHED", "secret:*"], "OK".to_owned()),
        (&["ORDER", "SET \"a b\" 1"], "OK".to_owned()),
        (&["DELIVERED", "0", "message", "..."], "OK".to_owned()),
        (
            &["SENT", "2", "SET", "..."],
            format!(
                "ERR assertion failed: 'SET ...' was sent once, and not 2 times; sent: SET \"a b\" 1 ({me})"
            ),
        ),
        (
            &["ORDER", "GET \"a b\""],
            format!("ERR assertion failed: 'GET \"a b\"' was not sent; sent: SET \"a b\" 1 ({me})"),
        ),
        (&["ORDER", "GET \"a b"], "ERR unbalanced quotes".to_owned()),
        (&["ORDER"], no_claim.clone()),
        (&["SENT", "any"], no_claim.clone()),
        (&["SENT", "SET", "k"], no_claim.clone()),
        (&["SENT", "-1", "SET"], no_claim.clone()),
        (&["KYE", "a", "SENT", "1", "SET"], no_claim.clone()),
        (&["UNTOUCHED", "a", "b"], no_claim.clone()),
        (&[], no_claim.clone()),
        (
            &["NAME", "a", "NAME", "b", "SENT"],
            "ERR syntax error".to_owned(),
        ),
        (
            &["COMMAND", "gett", "SENT", "1", "GET"],
            "ERR Invalid command specified".to_owned(),
        ),
    ] {
        let line = [&["RESPD", "RECORD", "ASSERT"], line].concat();
        assert_eq!(client.text(&line), expected, "{line:?}");
    }
}

#[test]
fn over_resp_an_entry_is_a_map() {
    let broker = start();
    let mut client = wire(
        &broker,
        &[
            "HELLO 3 SETNAME me",
            "RESPD CLOCK FREEZE",
            "RESPD RECORD START",
        ],
    );
    client.call(&words("SUBSCRIBE news"));
    client.call(&words("PUBLISH news hi"));
    client.receive();
    let id = client.text(&words("CLIENT ID"));
    let now = client.call(&words("RESPD CLOCK GET"));
    let Value::Map(pairs) = now else {
        panic!("{now:?}");
    };
    let head = |seq| format!("seq={seq} time={} id={id} name=me db=0", show(&pairs[0].1));
    assert_eq!(
        client.text(&words("RESPD RECORD GET CHANNEL news")),
        format!(
            "[{{{} what=request words=[SUBSCRIBE news] bytes=13}} \
            {{{} what=reply request=0 text=[\"subscribe\", \"news\", 1] resp=>3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n bytes=33}} \
            {{{} what=request words=[PUBLISH news hi] bytes=13}} \
            {{{} what=reply request=2 text=1 resp=:1\r\n bytes=4}} \
            {{{} what=push text=[\"message\", \"news\", \"hi\"] resp=>3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n bytes=35}}]",
            head(0),
            head(1),
            head(2),
            head(3),
            head(4)
        ),
    );
    let last = client.text(&words("RESPD RECORD GET COUNT 1"));
    assert!(last.contains("what=reply request=5"), "{last}");
    let mut old = wire(&broker, &["PING"]);
    assert_eq!(old.text(&words("RESPD RECORD GET COUNT 0")), "[]");
    let last = old.text(&words("RESPD RECORD GET COMMAND ping COUNT 1"));
    assert!(
        last.ends_with("what reply request 7 text PONG resp +PONG\r\n bytes 7]]"),
        "{last}"
    );
    for (line, expected) in [
        (
            "RESPD RECORD START LIMIT 0",
            "ERR a record keeps from 1 to 1000000 entries",
        ),
        ("RESPD RECORD START 5", "ERR syntax error"),
        (
            "RESPD RECORD GET COUNT x",
            "ERR value is out of range, must be positive",
        ),
        (
            "RESPD RECORD GET ID 0",
            "ERR client-id should be greater than 0",
        ),
        ("RESPD RECORD GET NAME", "ERR syntax error"),
        ("RESPD RECORD STOP now", "ERR syntax error"),
        (
            "RESPD RECORD PLAY",
            "ERR unknown subcommand or wrong number of arguments for 'RECORD'. Try RESPD HELP.",
        ),
    ] {
        assert_eq!(client.text(&words(line)), expected, "{line}");
    }
}

/// All that our own tests would write by hand: what blocks, what is delivered, what time and chance
/// are in, what is in no order, and bytes of any kind.
fn converse(broker: &Broker) {
    let mut first = wire(
        broker,
        &[
            "HELLO 3 SETNAME first",
            "CLIENT ID",
            "SELECT 3",
            "SET k 1 PX 100000",
        ],
    );
    first.call(&[
        "SET",
        "any bytes {x*3}",
        "a \"b\" \\ \r\n\t {k} <int> \u{e4} ",
    ]);
    first.call(&["GET", "any bytes {x*3}"]);
    first.call(&["SET", "", ""]);
    for line in [
        "PTTL k",
        "TTL nothing",
        "TIME",
        "INFO server",
        "SADD s a b c d e f g",
        "SMEMBERS s",
        "SRANDMEMBER s 3",
    ] {
        first.call(&words(line));
    }
    for line in [
        "HSET h f 1 g 2 h 3",
        "HGETALL h",
        "HSCAN h 0",
        "KEYS *",
        "RANDOMKEY",
        "CLIENT TRACKING ON",
        "GET k",
    ] {
        first.call(&words(line));
    }
    let mut second = wire(
        broker,
        &[
            "SELECT 3",
            "CLIENT ID",
            "HGETALL h",
            "MULTI",
            "SMEMBERS s",
            "INCR k",
            "EXEC",
        ],
    );
    first.receive();
    for line in [
        "MULTI",
        "PTTL k",
        "INCR k",
        "SMEMBERS s",
        "EXEC",
        "MULTI",
        "TIME",
        "DISCARD",
        "MULTI",
        "INCR k",
        "CLIENT ID",
        "EXEC",
    ] {
        second.call(&words(line));
    }
    second.send_raw(b"INCR n\r\nINCR n\r\nCLIENT REPLY SKIP\r\nINCR n\r\nINCR n\r\n");
    (0..3).for_each(|_| _ = second.receive());

    let mut worker = wire(broker, &["SELECT 3"]);
    worker.send(&words("BLMPOP 0 2 jobs more LEFT COUNT 2"));
    broker.until().in_db(3).blocked("jobs", 1).wait().unwrap();
    let mut late = wire(broker, &["SELECT 3"]);
    late.send(&words("BLPOP jobs 0"));
    broker.until().in_db(3).blocked("jobs", 2).wait().unwrap();
    second.call(&words("RPUSH jobs one two three"));
    worker.receive();
    late.receive();
    late.send(&words("BLPOP nothing 0"));
    broker
        .until()
        .in_db(3)
        .blocked("nothing", 1)
        .wait()
        .unwrap();
    drop(late);
    broker
        .until()
        .in_db(3)
        .blocked("nothing", 0)
        .wait()
        .unwrap();
    worker.send(&words("BLPOP nothing 0.05"));
    worker.receive();

    first.send(&words("SUBSCRIBE news sport"));
    first.receive();
    first.receive();
    worker.call(&words("PSUBSCRIBE n*"));
    second.call(&words("PUBLISH news hello"));
    first.receive();
    worker.receive();
    first.call(&words("PUBLISH sport goal"));
    first.receive();
    worker.call(&words("PUNSUBSCRIBE"));

    let entry = second.text(&words("XADD events * kind login"));
    second.call(&words("XGROUP CREATE events g 0"));
    worker.call(&words("XREADGROUP GROUP g me COUNT 1 STREAMS events >"));
    worker.call(&["XACK", "events", "g", &entry]);
    worker.call(&["XRANGE", "events", &entry, "+"]);
    worker.call(&[
        "EVAL",
        "return {1, {2, 'x'}, {err='WRONG no'}, {ok='fine'}}",
        "0",
    ]);
    let long = "l".repeat(20_000);
    second.call(&["SET", "long", "short"]);
    second.call(&["EVAL", "return string.rep('<{l', 10000)", "0"]);
    second.call(&["SET", "never", &long]);
    let _monitor = wire(broker, &["MONITOR"]);
    second.call(&words("QUIT"));
    until("it has gone", || {
        broker.client().call(&["GET", "x"]) == Value::Null && second.fill().unwrap_or(0) == 0
    });
}

#[test]
fn what_is_on_record_can_be_played() {
    let broker = start();
    let record = broker.record();
    converse(&broker);
    let transcript = record.transcript();
    assert!(
        transcript.contains("# left out, as it was cut: b> SET never lll"),
        "{transcript}"
    );
    let differences = differences(&transcript);
    assert!(differences.is_empty(), "{differences}\n{transcript}");
    // RESP has the same.
    let mut tester = wire(&broker, &["RESPD RECORD START", "SET k 1"]);
    let text = tester.text(&words("RESPD RECORD TRANSCRIPT COMMAND set"));
    assert!(
        text.ends_with("> SET k 1\n  +OK\n") && text.starts_with("# a: client "),
        "{text}"
    );
}

#[test]
fn ids_that_a_transaction_adds_are_named_where_they_come_again() {
    let broker = start();
    let record = broker.record();
    let mut client = wire(
        &broker,
        &["MULTI", "INCR n", "XADD s * f v", "XADD s * f w", "TIME"],
    );
    client.call(&["EXEC"]);
    client.call(&words("XRANGE s - +"));
    let transcript = record.transcript();
    for line in ["~     $<int> {id0}\n", "~     $<int> {id1}\n"] {
        assert!(transcript.contains(line), "{line} is not in\n{transcript}");
    }
    let differences = differences(&transcript);
    assert!(differences.is_empty(), "{differences}\n{transcript}");
}

#[test]
fn a_transcript_tells_what_is_different() {
    let broker = start();
    let record = broker.record();
    let mut listener = wire(&broker, &["SUBSCRIBE news"]);
    let mut client = wire(&broker, &["SET k 1", "GET k", "PUBLISH news one"]);
    listener.receive();
    client.call(&["PING"]);
    let transcript = record.transcript();
    assert_eq!(differences(&transcript), "", "{transcript}");
    for (old, new) in [
        ("  $1 1", "  $1 2"),
        ("  :1\na<", "  :0\na<"),
        ("    $3 one", "    $3 two"),
    ] {
        let changed = transcript.replacen(old, new, 1);
        assert_ne!(changed, transcript, "{old} is in\n{transcript}");
        assert_ne!(differences(&changed), "", "{changed}");
    }
}

/// What a client has sent and got, as it saw it: values as they came.
struct Told {
    id: u64,
    sent: Vec<Vec<String>>,
    got: Vec<Value>,
}

/// Requests of all kinds, in pipelines of some, of a client that also listens.
fn chatter(broker: &Broker, seed: u64) -> Told {
    const ROUNDS: usize = 60;
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut client = Wire::connect(broker.addr());
    let mut told = Told {
        id: client.text(&words("CLIENT ID")).parse().unwrap(),
        sent: vec![words("CLIENT ID").into_iter().map(str::to_owned).collect()],
        got: Vec::new(),
    };
    told.got.push(Value::Integer(told.id as i64));
    let mut replies = 0;
    let mut send = |client: &mut Wire, told: &mut Told, lines: &[String]| {
        let requests: Vec<_> = lines.iter().map(|line| encode(&words(line))).collect();
        client.send_raw(&requests.concat());
        told.sent.extend(
            lines
                .iter()
                .map(|line| line.split(' ').map(str::to_owned).collect()),
        );
        replies += lines.len();
        // A message is no reply, and may come before any of them.
        while replies > 0 {
            let value = client.receive();
            replies -= usize::from(!is_message(&value));
            told.got.push(value);
        }
    };
    send(
        &mut client,
        &mut told,
        &["HELLO 3".to_owned(), format!("CLIENT SETNAME c{seed}")],
    );
    for _ in 0..ROUNDS {
        let mut lines = Vec::new();
        for _ in 0..rng.usize(1..12) {
            let n = rng.usize(..3);
            match rng.usize(..9) {
                0..3 => lines.push("INCR turn".to_owned()),
                3..6 => lines.push(format!("PUBLISH news:{n} {seed}-{}", rng.u32(..))),
                6 => lines.push(format!("SUBSCRIBE news:{n}")),
                7 => lines.push(format!("UNSUBSCRIBE news:{n}")),
                _ => lines.extend(
                    ["MULTI", "INCR turn", "PUBLISH news:0 multi", "EXEC"].map(str::to_owned),
                ),
            }
        }
        send(&mut client, &mut told, &lines);
    }
    // What has been handed to it by then has come before that.
    send(&mut client, &mut told, &["PING".to_owned()]);
    told
}

fn is_message(value: &Value) -> bool {
    let message = Value::Bulk("message".into());
    matches!(value, Value::Push(words) if words.first() == Some(&message))
}

/// Each client's part of the record is what it has seen, to the last message, and all together are
/// what one after the other would have brought about.
fn check_under_load(workers: &str) {
    const CLIENTS: u64 = 6;
    let broker = Broker::builder()
        .for_tests()
        .set("workers", workers)
        .start()
        .unwrap();
    let record = broker.record().limit(1_000_000);
    let told: Vec<Told> = thread::scope(|scope| {
        let chat = |seed| {
            let broker = &broker;
            scope.spawn(move || chatter(broker, seed))
        };
        let threads: Vec<_> = (0..CLIENTS).map(chat).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let entries = record.entries();
    for told in &told {
        let own: Vec<_> = entries
            .iter()
            .filter(|entry| entry.client_id() == told.id)
            .collect();
        let sent: Vec<Vec<String>> = own
            .iter()
            .filter(|entry| entry.kind() == Kind::Request)
            .map(|entry| {
                let words = entry.words().into_iter();
                words
                    .map(|word| String::from_utf8_lossy(word).into_owned())
                    .collect()
            })
            .collect();
        assert!(
            sent == told.sent,
            "client {} has sent {:?}, and on record is {sent:?}",
            told.id,
            told.sent
        );
        let got: Vec<_> = own.iter().flat_map(|entry| entry.values()).collect();
        // More may have been handed to it since.
        assert!(got.len() >= told.got.len());
        let same = got
            .iter()
            .zip(&told.got)
            .take_while(|(got, told)| got == told)
            .count();
        assert_eq!(same, told.got.len(), "client {}: {:?}", told.id, &own[..]);
    }
    check_order(&entries);
}

/// Runs through what is on record: counters count, and who has subscribed before a message gets it,
/// and nobody else.
fn check_order(entries: &[Entry]) {
    let mut turn = 0;
    let mut subscribed: Vec<Vec<u64>> = vec![Vec::new(); 3];
    let mut queued = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let words: Vec<_> = entry
            .words()
            .iter()
            .map(|word| String::from_utf8_lossy(word))
            .collect();
        let words: Vec<&str> = words.iter().map(|word| &**word).collect();
        if entry.kind() == Kind::Gone {
            subscribed
                .iter_mut()
                .for_each(|to| to.retain(|other| *other != entry.client_id()));
        }
        if words.is_empty() {
            continue;
        }
        let (id, reply) = (entry.client_id(), &entries[at + 1]);
        assert_eq!(
            reply.answers(),
            Some(entry.number()),
            "{entry} and then {reply}"
        );
        let values = reply.values();
        let place = |channel: &str| {
            channel
                .trim_start_matches("news:")
                .parse::<usize>()
                .unwrap()
        };
        if values == [Value::Simple("QUEUED".into())] {
            queued.push(id);
            continue;
        }
        match &words[..] {
            ["INCR", "turn"] => {
                turn += 1;
                assert_eq!(values, [Value::Integer(turn)], "{entry}");
            }
            ["SUBSCRIBE", channel] => {
                subscribed[place(channel)].retain(|other| *other != id);
                subscribed[place(channel)].push(id);
            }
            ["UNSUBSCRIBE", channel] => subscribed[place(channel)].retain(|other| *other != id),
            ["PUBLISH", channel, payload] => {
                let to = &subscribed[place(channel)];
                assert_eq!(values, [Value::Integer(to.len() as i64)], "{entry}");
                check_messages(&entries[at + 2..], to, channel, payload);
            }
            ["EXEC"] => {
                turn += 1;
                let to = &subscribed[0];
                let expected = [turn, to.len() as i64].map(Value::Integer).to_vec();
                assert_eq!(values, [Value::Array(expected)], "{entry}");
                check_messages(&entries[at + 2..], to, "news:0", "multi");
            }
            _ => {}
        }
    }
    assert!(turn > 500 && queued.len() > 100, "{turn} {}", queued.len());
}

/// These entries begin with the message to each of these clients, and no other.
fn check_messages(entries: &[Entry], to: &[u64], channel: &str, payload: &str) {
    let pushed: Vec<_> = entries
        .iter()
        .take_while(|entry| entry.kind() == Kind::Push)
        .collect();
    let mut got: Vec<_> = pushed.iter().map(|entry| entry.client_id()).collect();
    let mut expected = to.to_vec();
    got.sort_unstable();
    expected.sort_unstable();
    assert_eq!(got, expected, "{channel} {payload}: {pushed:?}");
    let message = ["message", channel, payload].map(|word| Value::Bulk(word.to_owned().into()));
    let message = Value::Push(message.into());
    assert!(
        pushed
            .iter()
            .all(|entry| entry.values()[..] == [message.clone()]),
        "{pushed:?}"
    );
}

#[test]
fn under_load_it_is_what_each_client_has_seen_and_all_together_did() {
    check_under_load("1");
}

#[test]
fn under_load_it_is_so_with_several_workers() {
    check_under_load("3");
}

/// Records begin and end while clients are served, and each is whole.
#[test]
fn a_record_that_begins_or_ends_under_load_has_no_half_of_a_request() {
    const RECORDS: usize = 100;
    let broker = Broker::builder()
        .for_tests()
        .set("workers", "2")
        .start()
        .unwrap();
    let ended = std::sync::atomic::AtomicBool::new(false);
    let is_over = || ended.load(std::sync::atomic::Ordering::Relaxed);
    thread::scope(|scope| {
        for n in 0..3 {
            let broker = &broker;
            scope.spawn(move || {
                let mut client = wire(broker, &["HELLO 3", "SUBSCRIBE news"]);
                while !is_over() {
                    client.send_raw(b"INCR k\r\nPUBLISH other 1\r\nPING\r\n");
                    let replies: Vec<_> = (0..3).map(|_| client.receive()).collect();
                    assert_eq!(show(&replies[2]), "PONG", "{n}");
                }
            });
        }
        for _ in 0..RECORDS {
            let record = broker.record();
            until("something is on record", || record.entries().len() >= 12);
            let entries = record.entries();
            let requests: Vec<_> = entries
                .iter()
                .filter(|entry| entry.kind() == Kind::Request)
                .collect();
            let counts = requests.iter().map(|request| {
                let answers = |entry: &&Entry| entry.answers() == Some(request.number());
                entries.iter().filter(answers).count()
            });
            assert!(counts.clone().all(|count| count == 1), "{record:?}");
            assert_eq!(entries.len(), 2 * requests.len(), "{record:?}");
        }
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

/// A fault changes what a client gets. On record is the reply as it was made, and a message as often
/// as it was handed out.
#[test]
fn with_faults_it_has_what_ran() {
    let broker = start();
    let record = broker.record();
    let mut client = wire(&broker, &["SET k 1"]);
    let faults = broker.faults();
    let error = faults.error("LOADING").command("GET").times(1).inject();
    let lost = faults.lose().channel("news").times(1).inject();
    let twice = faults.duplicate().channel("sport").inject();
    client.call(&words("GET k"));
    client.call(&words("HELLO 3"));
    client.send(&words("SUBSCRIBE news sport"));
    client.receive();
    client.receive();
    record.clear();
    client.call(&words("PUBLISH news 1"));
    client.call(&words("PUBLISH sport 2"));
    client.receive();
    client.receive();
    let dropped = faults.drop_after().command("INCR").inject();
    client.send(&words("INCR k"));
    assert_eq!(client.rest(), b"");
    until("it has gone", || record.entries().len() == 9);
    assert_lines(
        &record,
        &[
            "a > PUBLISH news 1",
            "a < 1",
            "a > PUBLISH sport 2",
            "a < 1",
            "a ! [\"message\", \"sport\", \"2\"]",
            "a ! [\"message\", \"sport\", \"2\"]",
            "a > INCR k",
            "a < 2",
            "a gone",
        ],
    );
    drop((error, lost, twice, dropped));
}
