//! The verbs of the command line against a broker: what they print, what a pipe gets, and what
//! happens when the broker goes away.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixListener;
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
    publish.printed("Published to 'messages': handed to 1 subscriber\n");
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
    let subscriber = subscriber(&broker, &["--channel", "news", "--raw", "--count", "3"]);
    let publish = ["publish", "--raw", "--channel", "news"];
    let one = broker.run(&[&publish[..], &["{\"a\":1}"]].concat());
    one.printed("Published to 'news': handed to 1 subscriber\n");
    let lines = broker.run_with(&publish, b"two words\r\n\n");
    lines.printed(&"Published to 'news': handed to 1 subscriber\n".repeat(2));
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
    let arguments = ["-c", "news.a", "news.*", "-c", "mail", "--count", "3"];
    let mut process = broker.start(&[&["subscribe"], &arguments[..]].concat());
    let told = process.told("subscribed");
    let url = broker.url();
    assert_eq!(
        told,
        format!("respd: subscribed to 'news.a', 'mail' and pattern 'news.*' at {url}")
    );
    broker
        .run(&["publish", "--raw", "news.a", "x"])
        .printed("Published to 'news.a': handed to 2 subscribers\n");
    broker.run(&["publish", "--raw", "-c", "mail", "x"]);
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
        publisher.line("handed to 1 subscriber");
    }
    publisher.end_input();
    publisher.end().printed("");
    subscriber.end_with(Signal::INT).printed("");
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
        .printed("Published to 'messages': handed to 0 subscribers\n");
    let dir = broker.dir.path();
    let publish = |url: &str| run(dir, &["publish", "x", "--url", url]);
    publish(&format!("redis://default:p%40ss%3A%20w@127.0.0.1:{port}"))
        .printed("Published to 'messages': handed to 0 subscribers\n");
    publish(&format!("redis://:wrong@127.0.0.1:{port}/0")).failed(
        1,
        &format!("respd: redis://:***@127.0.0.1:{port}/0 answered: WRONGPASS invalid username-password pair or user is disabled."),
    );
    publish(&format!("redis://127.0.0.1:{port}/0")).failed(
        1,
        &format!("respd: redis://127.0.0.1:{port}/0 answered: NOAUTH Authentication required. Give the password with -a, in REDIS_PASSWORD, or in the URL: redis://:PASSWORD@HOST:PORT/DB"),
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
        .printed("Published to 'from-file': handed to 0 subscribers\n");
    let mut command = respd(dir.path());
    command.args(["publish", "x"]).env("CHANNEL", "from-env");
    Process::start(&mut command)
        .end()
        .printed("Published to 'from-env': handed to 0 subscribers\n");
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
        &["ping"],
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
fn flags_and_variables_name_the_broker() {
    let broker = serve(&["--requirepass", "secret"]);
    let port = broker.addr().port().to_string();
    let dir = broker.dir.path();
    let at = ["-h", "127.0.0.1", "-p", &port];
    run(dir, &[&["ping"], &at[..], &["-a", "secret"]].concat()).printed("PONG\n");
    let wrong = run(dir, &[&["ping", "-q"], &at[..], &["-a", "wrong"]].concat());
    assert_eq!((wrong.status, wrong.stdout.as_str()), (Some(1), ""));
    run(
        dir,
        &[
            &["push", "jobs", "x", "-q", "-n", "3", "-a", "secret"],
            &at[..],
        ]
        .concat(),
    )
    .printed("");
    let mut command = respd(dir);
    command.args(["pop", "jobs"]);
    let variables = [
        ("REDIS_HOST", "127.0.0.1"),
        ("REDIS_PORT", &port),
        ("REDIS_PASSWORD", "secret"),
        ("REDIS_DB", "3"),
    ];
    Process::start(command.envs(variables)).end().printed("x\n");
}

#[test]
fn a_ping_waits_for_a_broker_that_starts() {
    // 0 is for ever, as with the other verbs.
    for timeout in ["60", "0"] {
        let dir = TempDir::new().unwrap();
        let url = format!("unix://{}/sock", dir.path().display());
        let ping = Process::respd(dir.path(), &["ping", "--timeout", timeout, "--url", &url]);
        let _broker = serve_in(dir, &["--bind", "", "--unixsocket", "sock"]);
        ping.end().printed("PONG\n");
    }
    let dir = TempDir::new().unwrap();
    let url = format!("unix://{}/none", dir.path().display());
    let end = run(dir.path(), &["ping", "--timeout", "0.01", "--url", &url]);
    assert_eq!((end.status, end.stdout.as_str()), (Some(124), ""));
    assert!(end.stderr.contains("no such socket"), "{}", end.stderr);
}

#[test]
fn a_ping_that_is_interrupted_has_found_no_broker() {
    let dir = TempDir::new().unwrap();
    let listener = UnixListener::bind(dir.path().join("sock")).unwrap();
    let url = format!("unix://{}/sock", dir.path().display());
    let ping = Process::respd(dir.path(), &["ping", "--timeout", "60", "--url", &url]);
    // It tries again, and this time nobody answers.
    drop(listener.accept().unwrap());
    let _silent = listener.accept().unwrap();
    assert_eq!(ping.end_with(Signal::INT).status, Some(130));
}

#[test]
fn a_port_is_no_pattern() {
    let dir = TempDir::new().unwrap();
    for (arguments, word) in [
        (&["subscribe", "-p", "news.*"][..], "from 1 to 65535"),
        (&["publish", "x", "-p", "99999"], "from 1 to 65535"),
        (
            &["publish", "x", "--url", "redis://localhost:99999"],
            "from 1 to 65535",
        ),
        (
            &["ping", "-p", "1", "--url", "redis://localhost"],
            "cannot be used with",
        ),
    ] {
        let end = run(dir.path(), arguments);
        assert_eq!(
            (end.status, end.stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}"
        );
        assert!(end.stderr.contains(word), "{}", end.stderr);
    }
}

#[test]
fn what_is_typed_out_of_habit_is_told_where_it_goes() {
    let dir = TempDir::new().unwrap();
    for (arguments, said) in [
        (&["ping", "localhost"][..], "-h HOST"),
        (&["publish", "hello", "big", "world"], "needs quotes"),
        (&["ping", "-h", "localhost:7000"], "the port goes with -p"),
        (&["ping", "-h", "redis://localhost"], "goes with --url"),
    ] {
        let end = run(dir.path(), arguments);
        assert_eq!(end.status, Some(2), "{arguments:?}");
        assert!(end.stderr.contains(said), "{}", end.stderr);
    }
}

#[test]
fn all_is_sent_though_nobody_reads_the_reports() {
    const LINES: usize = 5000;
    let broker = serve(&[]);
    for (verb, input) in [
        (&["push", "jobs"][..], "line\n".repeat(LINES)),
        (&["push", "words", "one", "two", "three"], String::new()),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = respd(broker.dir.path());
        command.args(verb).args(["--url", broker.url()]);
        let mut process = Process::writing_to(writer, command.stdin(Stdio::piped()));
        process.type_line(input.trim_end());
        process.end_input();
        process.end().printed("");
    }
    let mut wire = broker.connect();
    assert_eq!(wire.text(&["LLEN", "jobs"]), LINES.to_string());
    assert_eq!(
        wire.text(&["LRANGE", "words", "0", "-1"]),
        "[three two one]"
    );
}

#[test]
fn h_alone_is_help_and_with_a_word_the_host() {
    let dir = TempDir::new().unwrap();
    let end = run(dir.path(), &["publish", "-h"]);
    assert_eq!((end.status, end.stderr.as_str()), (Some(0), ""));
    assert!(end.stdout.contains("Examples:"), "{}", end.stdout);
    let end = run(dir.path(), &["ping", "-h", "nobody.invalid"]);
    assert_eq!(end.status, Some(1));
    let start = "respd: cannot connect to redis://nobody.invalid:6379/0: the host is not found (";
    assert!(end.stderr.starts_with(start), "{}", end.stderr);
    assert!(!end.stderr.contains("start one"), "{}", end.stderr);
}

#[test]
fn scripts_get_lines_as_they_want_them() {
    let broker = serve(&[]);
    let json = broker.start(&["subscribe", "news", "n*", "--json", "--count", "2", "-q"]);
    let template = "{channel}|{pattern}|{payload}";
    let plain = subscriber(&broker, &["n*", "--format", template, "--count", "1"]);
    let mut wire = broker.connect();
    until("all subscribe", || {
        wire.text(&["PUBSUB", "NUMPAT"]) == "1"
            && wire.text(&["PUBSUB", "NUMSUB", "news"]) == "[news 1]"
    });
    broker
        .run_with(
            &["publish", "news", "--raw", "--stdin", "-q"],
            b"two\nlines\xff",
        )
        .printed("");
    plain.end().printed("news|n*|two\nlines\u{fffd}\n");
    let end = json.end();
    assert_eq!((end.status, end.stderr.as_str()), (Some(0), ""));
    let objects: Vec<serde_json::Value> = end
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects.len(), 2);
    for (object, pattern) in objects.iter().zip([None, Some("n*")]) {
        assert_eq!(text(object, "channel"), "news");
        assert_eq!(object["pattern"].as_str(), pattern);
        assert_eq!(text(object, "payload_base64"), "dHdvCmxpbmVz/w==");
        assert!(text(object, "time").ends_with('Z'));
    }
}

#[test]
fn a_timeout_is_status_124() {
    let broker = serve(&[]);
    let end = broker.run(&["subscribe", "news", "-q", "--timeout", "0.01"]);
    end.failed(124, "respd: no message came to 'news' within 0.01 s");
    let mut wire = broker.connect();
    let arguments = ["news", "--raw", "--count", "2", "--timeout", "2"];
    let process = subscriber(&broker, &arguments);
    wire.text(&["PUBLISH", "news", "x"]);
    let told = "respd: only 1 of 2 messages came to 'news', and none within 2 s since\n";
    process.end().printed_but(124, "x\n", told);
}

#[test]
fn lines_keep_to_a_rate() {
    let broker = serve(&[]);
    let begun = std::time::Instant::now();
    broker
        .run_with(
            &["push", "jobs", "--rate", "50/s", "-q"],
            b"1\n2\n3\n4\n5\n6\n",
        )
        .printed("");
    // Nothing may come early.
    let elapsed = begun.elapsed();
    assert!(elapsed.as_millis() >= 100, "{elapsed:?}");
    let jobs = broker.connect().text(&["LRANGE", "jobs", "0", "-1"]);
    assert_eq!(jobs, "[6 5 4 3 2 1]");
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
