//! The verbs of the command line against a broker: what they print, what a pipe gets, and what
//! happens when the broker goes away.

use std::fs;
use std::net::Ipv4Addr;
use std::process::Stdio;

use rustix::process::Signal;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use super::process::{Process, Served, respd, run, serve, serve_in};
use crate::wire::until;

/// A subscriber that the broker knows of.
fn subscriber(broker: &Served, arguments: &[&str]) -> Process {
    let mut process = broker.start(&[&["subscribe"], arguments].concat());
    process.told("subscribed to ");
    process
}

/// Waits until somebody is blocked on a list.
fn until_blocked(broker: &Served) {
    let mut wire = broker.connect();
    until("a client is blocked", || {
        let list = wire.text(&["CLIENT", "LIST"]);
        list.contains("cmd=brpop") || list.contains("cmd=blpop")
    });
}

/// Takes the value of a key out of JSON, which must be text.
fn text<'a>(json: &'a serde_json::Value, key: &str) -> &'a str {
    json[key]
        .as_str()
        .unwrap_or_else(|| panic!("no {key} in {json}"))
}

#[test]
fn a_message_is_published_as_json_and_shown_for_reading() {
    let broker = serve(&[]);
    let subscriber = subscriber(&broker, &["--count", "1"]);
    let publish = broker.run(&["publish", "hello, \"world\""]);
    publish.printed("Published to 'messages': 1 subscriber received it\n");
    let end = subscriber.end();
    assert_eq!((end.status, end.stderr.as_str()), (Some(0), ""));
    let json = end.stdout.strip_prefix("[messages]\n").unwrap();
    let keys = ["id", "timestamp", "message"].map(|key| json.find(&format!("\n  \"{key}\": ")));
    assert!(keys.is_sorted() && keys[0].is_some(), "{json}");
    let message: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(text(&message, "message"), "hello, \"world\"");
    assert_eq!(text(&message, "id").len(), 36);
    assert!(text(&message, "timestamp").ends_with('Z'));
}

#[test]
fn raw_messages_are_untouched() {
    let broker = serve(&[]);
    let subscriber = subscriber(&broker, &["--channel", "news", "--raw", "-n", "3"]);
    let publish = ["publish", "--raw", "--channel", "news"];
    let one = broker.run(&[&publish[..], &["{\"a\":1}"]].concat());
    one.printed("Published to 'news': 1 subscriber received it\n");
    let lines = broker.run_with(&publish, b"two words\r\n\n");
    lines.printed(&"Published to 'news': 1 subscriber received it\n".repeat(2));
    subscriber.end().printed("{\"a\":1}\ntwo words\n\n");
}

#[test]
fn many_lines_are_published_in_order() {
    const LINES: usize = 5000;
    let broker = serve(&[]);
    let count = LINES.to_string();
    let subscriber = subscriber(&broker, &["--raw", "--count", &count]);
    let input: String = (0..LINES).map(|n| format!("line {n}\n")).collect();
    let end = broker.run_with(&["publish", "--raw"], input.as_bytes());
    assert_eq!(end.status, Some(0));
    assert_eq!(end.stdout.lines().count(), LINES);
    subscriber.end().printed(&input);
}

#[test]
fn channels_and_patterns_are_told_apart() {
    let broker = serve(&[]);
    let arguments = ["-c", "news.a", "-p", "news.*", "-c", "mail", "-n", "3"];
    let mut process = broker.start(&[&["subscribe"], &arguments[..]].concat());
    let told = process.told("subscribed");
    let url = broker.url();
    assert_eq!(
        told,
        format!("respd: subscribed to 'news.a', 'mail' and pattern 'news.*' at {url}")
    );
    for channel in ["news.a", "mail"] {
        broker.run(&["publish", "--raw", "-c", channel, "x"]);
    }
    process
        .end()
        .printed("[news.a]\nx\n\n[news.a] (pattern news.*)\nx\n\n[mail]\nx\n\n");
}

#[test]
fn a_line_reaches_the_subscriber_before_the_next_is_typed() {
    let broker = serve(&[]);
    let mut subscriber = subscriber(&broker, &["--raw"]);
    let mut command = respd(broker.dir.path());
    command.args(["publish", "--raw", "--url", broker.url()]);
    let mut publisher = Process::start(command.stdin(Stdio::piped()));
    for line in ["one", "two"] {
        publisher.type_line(line);
        subscriber.line(line);
        publisher.line("1 subscriber received it");
    }
    publisher.end_input();
    publisher.end().printed("");
    subscriber.end_with(Signal::INT).printed("");
}

#[test]
fn a_queue_is_first_in_first_out() {
    let broker = serve(&[]);
    let url = broker.url();
    broker
        .run(&["push", "jobs", "one"])
        .printed("Pushed to 'jobs': it holds 1 item\n");
    broker
        .run_with(&["push", "jobs"], b"two\n\nlast")
        .printed("Pushed to 'jobs': it holds 2 items\nPushed to 'jobs': it holds 3 items\nPushed to 'jobs': it holds 4 items\n");
    broker.run(&["pop", "jobs"]).printed("one\n");
    broker.run(&["pop", "jobs", "--lifo"]).printed("last\n");
    broker.run(&["pop", "jobs"]).printed("two\n");
    broker.run(&["pop", "jobs"]).printed("\n");
    broker
        .run(&["pop", "jobs", "--timeout", "0.01"])
        .failed(1, "respd: no item came to 'jobs' within 0.01 s");
    // Any client sees the same list.
    assert_eq!(broker.connect().text(&["LLEN", "jobs"]), "0");
    run(broker.dir.path(), &["push", "jobs", "x", "--url", url]);
    assert_eq!(broker.connect().text(&["LLEN", "jobs"]), "1");
}

#[test]
fn a_consumer_waits_for_its_item() {
    let broker = serve(&[]);
    let consumer = broker.start(&["pop", "jobs"]);
    until_blocked(&broker);
    broker.run(&["push", "jobs", "now"]);
    consumer.end().printed("now\n");
}

#[test]
fn a_consumer_that_follows_takes_everything_until_interrupted() {
    let broker = serve(&[]);
    let mut consumer = broker.start(&["pop", "jobs", "--follow"]);
    broker.run_with(&["push", "jobs"], b"one\ntwo\nthree\n");
    for item in ["one", "two", "three"] {
        assert_eq!(consumer.line(""), item);
    }
    consumer.end_with(Signal::INT).printed("");
}

#[test]
fn ctrl_c_ends_a_subscriber_quietly() {
    let broker = serve(&[]);
    for signal in [Signal::INT, Signal::TERM] {
        let subscriber = subscriber(&broker, &[]);
        subscriber.end_with(signal).printed("");
    }
}

#[test]
fn ctrl_c_ends_a_consumer_without_taking_anything() {
    let broker = serve(&[]);
    let consumer = broker.start(&["pop", "jobs"]);
    until_blocked(&broker);
    let end = consumer.end_with(Signal::INT);
    assert_eq!(
        (end.status, end.stdout.as_str(), end.stderr.as_str()),
        (Some(130), "", "")
    );
    broker.run(&["push", "jobs", "kept"]);
    broker.run(&["pop", "jobs"]).printed("kept\n");
}

#[test]
fn a_reader_that_goes_away_ends_the_subscriber() {
    let broker = serve(&[]);
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = respd(broker.dir.path());
    command.args(["subscribe", "--url", broker.url()]);
    let mut subscriber = Process::writing_to(writer, command.stdin(Stdio::null()));
    subscriber.told("subscribed to ");
    drop(reader);
    // More than once, because another test that starts a process at this moment has a copy of
    // the reader for as long as it takes.
    let mut wire = broker.connect();
    until("it has ended", || {
        wire.text(&["PUBLISH", "messages", "x"]);
        subscriber.has_ended()
    });
    subscriber.end().printed("");
}

#[test]
fn passwords_in_urls_are_used_and_never_shown() {
    let broker = serve(&["--requirepass", "p@ss: w"]);
    let port = broker.addr().port();
    assert_eq!(
        broker.url(),
        format!("redis://:p%40ss%3A%20w@127.0.0.1:{port}/0")
    );
    broker
        .run(&["publish", "x"])
        .printed("Published to 'messages': 0 subscribers received it\n");
    let dir = broker.dir.path();
    let publish = |url: &str| run(dir, &["publish", "x", "--url", url]);
    publish(&format!("redis://default:p%40ss%3A%20w@127.0.0.1:{port}"))
        .printed("Published to 'messages': 0 subscribers received it\n");
    publish(&format!("redis://:wrong@127.0.0.1:{port}/0")).failed(
        1,
        &format!("respd: redis://:***@127.0.0.1:{port}/0 answered: WRONGPASS invalid username-password pair or user is disabled."),
    );
    publish(&format!("redis://127.0.0.1:{port}/0")).failed(
        1,
        &format!("respd: redis://127.0.0.1:{port}/0 answered: NOAUTH Authentication required. Give the password in the URL: redis://:PASSWORD@HOST:PORT/DB"),
    );
}

#[test]
fn databases_in_urls_are_selected() {
    let broker = serve(&[]);
    let port = broker.addr().port();
    let url = format!("redis://127.0.0.1:{port}/3");
    let dir = broker.dir.path();
    run(dir, &["push", "jobs", "x", "--url", &url]);
    let mut wire = broker.connect();
    assert_eq!(wire.text(&["LLEN", "jobs"]), "0");
    assert_eq!(wire.text(&["SELECT", "3"]), "OK");
    assert_eq!(wire.text(&["LLEN", "jobs"]), "1");
    let url = format!("redis://127.0.0.1:{port}/16");
    run(dir, &["push", "jobs", "x", "--url", &url]).failed(
        1,
        &format!("respd: {url} answered: ERR DB index is out of range"),
    );
}

#[test]
fn settings_come_from_the_environment_and_from_dotenv() {
    let broker = serve(&[]);
    let dir = TempDir::new().unwrap();
    let dotenv = format!("REDIS_URL={}\nCHANNEL=from-file\n", broker.url());
    fs::write(dir.path().join(".env"), dotenv).unwrap();
    run(dir.path(), &["publish", "x"])
        .printed("Published to 'from-file': 0 subscribers received it\n");
    let mut command = respd(dir.path());
    command.args(["publish", "x"]).env("CHANNEL", "from-env");
    Process::start(&mut command)
        .end()
        .printed("Published to 'from-env': 0 subscribers received it\n");
    let mut command = respd(dir.path());
    command.args(["publish", "x"]).env("REDIS_URL", "http://x");
    Process::start(&mut command).end().failed(
        2,
        "respd: REDIS_URL: an address begins with redis://, valkey:// or unix://",
    );
}

#[test]
fn no_broker_is_one_line() {
    let dir = TempDir::new().unwrap();
    // A port that is taken, but on which nobody listens.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any_port = std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any_port.into()).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    let port = addr.port();
    let tcp = format!("redis://{addr}/0");
    let unix = format!("unix://{}/none", dir.path().display());
    for verb in [
        &["publish", "x"][..],
        &["subscribe"],
        &["push", "q", "x"],
        &["pop", "q"],
    ] {
        run(dir.path(), &[verb, &["--url", &tcp]].concat()).failed(
            1,
            &format!("respd: cannot connect to {tcp}: connection refused; is the broker running? start one with: respd --port {port}"),
        );
        run(dir.path(), &[verb, &["--url", &unix]].concat()).failed(
            1,
            &format!(
                "respd: cannot connect to {unix}: no such socket; is the broker running? start one with: respd --unixsocket {}/none",
                dir.path().display()
            ),
        );
    }
}

/// An address on which no other test listens or connects: the ports of 127.0.0.1 are chosen at
/// random for all of them, so one that a broker has left may be gone when it comes back.
fn address_of_its_own() -> String {
    if cfg!(target_os = "linux") {
        let [.., high, low] = std::process::id().to_be_bytes();
        format!("127.77.{high}.{low}")
    } else {
        "127.0.0.1".to_owned()
    }
}

#[test]
fn verbs_come_back_to_a_broker_that_was_restarted() {
    let host = address_of_its_own();
    let broker = serve(&["--bind", &host]);
    let (port, url) = (broker.addr().port().to_string(), broker.url().to_owned());
    let restart = ["--bind", &host, "--port", &port];
    let target = format!("redis://{host}:{port}/0");
    outlives_an_outage(broker, &url, &target, &restart);
}

#[test]
fn verbs_come_back_to_a_socket_that_was_made_anew() {
    let arguments = ["--bind", "", "--unixsocket", "sock"];
    let broker = serve(&arguments);
    assert!(broker.ready["port"].is_null() && broker.ready["addr"].is_null());
    let url = broker.url().to_owned();
    let path = broker.path("sock").canonicalize().unwrap();
    assert_eq!(url, format!("unix://{}", path.display()));
    outlives_an_outage(broker, &url, &url, &arguments);
}

fn outlives_an_outage(broker: Served, url: &str, target: &str, restart: &[&str]) {
    let mut subscriber = subscriber(&broker, &["--raw"]);
    let mut consumer = broker.start(&["pop", "jobs", "-f"]);
    broker.run(&["publish", "--raw", "before"]);
    broker.run(&["push", "jobs", "before"]);
    subscriber.line("before");
    consumer.line("before");

    let dir = broker.stop();
    let lost = format!("respd: the connection to {target} was lost: ");
    for process in [&mut subscriber, &mut consumer] {
        let told = process.told("trying again until it is back");
        assert!(told.starts_with(&lost), "{told}");
    }
    let broker = serve_in(dir, restart);
    assert_eq!(broker.url(), url);
    subscriber.told(&format!("subscribed again to 'messages' at {target}"));
    consumer.told(&format!("connected again to {target}"));
    broker.run(&["publish", "--raw", "after"]);
    broker.run(&["push", "jobs", "after"]);
    subscriber.line("after");
    consumer.line("after");
    for process in [subscriber, consumer] {
        process.end_with(Signal::INT).printed("");
    }
}

#[test]
fn ctrl_c_ends_a_verb_that_waits_for_its_broker() {
    let broker = serve(&["--bind", "", "--unixsocket", "sock"]);
    let mut subscriber = subscriber(&broker, &[]);
    let mut consumer = broker.start(&["pop", "jobs", "-f"]);
    broker.run(&["push", "jobs", "x"]);
    consumer.line("x");
    let _dir = broker.stop();
    for process in [&mut subscriber, &mut consumer] {
        process.told("trying again until it is back");
    }
    subscriber.end_with(Signal::INT).printed("");
    consumer.end_with(Signal::INT).printed("");
}

#[test]
fn what_was_not_sent_is_said() {
    let broker = serve(&[]);
    let end = broker.run_with(&["publish"], b"fine\n\xff\nfine\n");
    assert_eq!(end.status, Some(1));
    assert_eq!(end.stdout.lines().count(), 2);
    assert_eq!(
        end.stderr,
        "respd: line 2 cannot be sent: not UTF-8; --raw sends any bytes\nrespd: 1 line could not be sent\n"
    );
    let end = broker.run_with(&["publish", "--raw"], b"");
    assert_eq!(end.status, Some(0));
    assert_eq!(
        end.stderr,
        "respd: no line on standard input; nothing sent\n"
    );
}
