//! `respd push` and `respd pop`: an item leaves the queue when it has been shown, and only then.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::process::{Process, Served, respd, run, serve};
use crate::wire::until;

/// Waits until somebody is blocked on a list.
fn until_blocked(broker: &Served) {
    let mut wire = broker.connect();
    until("a client is blocked", || {
        let list = wire.text(&["CLIENT", "LIST"]);
        list.contains("cmd=blmove")
    });
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
        .run(&["push", "jobs", "-q", "a", "b", "c"])
        .printed("");
    broker
        .run(&["pop", "jobs", "--count", "2", "--format", "<{payload}>"])
        .printed("<a>\n<b>\n");
    let json = broker.run(&["pop", "jobs", "--json"]).stdout;
    assert!(
        json.starts_with("{\"queue\":\"jobs\",\"time\":\"")
            && json.ends_with("\",\"payload\":\"c\"}\n"),
        "{json}"
    );
    broker
        .run(&["pop", "jobs", "--timeout", "0.01"])
        .failed(124, "respd: no item came to 'jobs' within 0.01 s");
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

/// A consumer whose output goes where nobody reads it, or not through the test.
fn consumer_into(broker: &Served, stdout: impl Into<Stdio>, arguments: &[&str]) -> Process {
    let mut command = respd(broker.dir.path());
    command.args(["pop", "jobs", "--url", broker.url()]);
    Process::writing_to(stdout, command.args(arguments).stdin(Stdio::null()))
}

/// What is in the queue, as it comes out, and that nothing is beside it.
fn left_in_queue(broker: &Served) -> String {
    let mut wire = broker.connect();
    let keys = wire.text(&["KEYS", "*"]);
    assert!(keys == "[jobs]" || keys == "[]", "{keys}");
    let items = wire.text(&["LRANGE", "jobs", "0", "-1"]);
    let items = items.trim_matches(['[', ']']);
    items.split(' ').rev().collect::<Vec<_>>().join(" ")
}

/// Waits until an item has left the queue, which then holds `length`.
fn until_length(broker: &Served, length: usize) {
    let mut wire = broker.connect();
    until("an item was taken", || {
        wire.text(&["LLEN", "jobs"]) == length.to_string()
    });
}

#[test]
fn head_takes_what_it_shows() {
    let broker = serve(&[]);
    broker.run_with(&["push", "jobs"], b"1\n2\n3\n4\n5\n6\n7\n");
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = Command::new("head");
    let head = Process::start(command.arg("-3").stdin(reader));
    // The command keeps the reading end otherwise.
    drop(command);
    let consumer = consumer_into(&broker, writer, &["--follow"]);
    head.end().printed("1\n2\n3\n");
    consumer.end().printed("");
    assert_eq!(left_in_queue(&broker), "4 5 6 7");
}

#[test]
fn a_full_disk_takes_nothing() {
    let broker = serve(&[]);
    broker.run_with(&["push", "jobs"], b"1\n2\n");
    for arguments in [&[][..], &["--follow"], &["--lifo"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        consumer_into(&broker, full, arguments).end().failed(
            1,
            "respd: cannot write the output: No space left on device (os error 28)",
        );
        assert_eq!(left_in_queue(&broker), "1 2", "{arguments:?}");
    }
}

#[test]
fn what_nobody_has_read_when_it_is_interrupted_goes_back() {
    let broker = serve(&[]);
    broker.run_with(&["push", "jobs"], b"1\n2\n3\n");
    let (reader, writer) = std::io::pipe().unwrap();
    let consumer = consumer_into(&broker, writer, &["--follow"]);
    until_length(&broker, 2);
    // Nobody can tell whether the reader will read the first item yet: so it may be shown twice,
    // but is not lost.
    consumer.end_with(Signal::INT).printed("");
    assert_eq!(left_in_queue(&broker), "1 2 3");
    assert_eq!(std::io::read_to_string(reader).unwrap(), "1\n");
}

#[test]
fn what_is_too_much_for_a_pipe_goes_back_when_it_is_interrupted() {
    let broker = serve(&[]);
    let item = "x".repeat(1 << 20);
    broker.run_with(&["push", "jobs", "--stdin"], item.as_bytes());
    let (reader, writer) = std::io::pipe().unwrap();
    let consumer = consumer_into(&broker, writer, &[]);
    until_length(&broker, 0);
    consumer.end_with(Signal::INT);
    assert_eq!(left_in_queue(&broker).len(), item.len());
    assert_eq!(broker.connect().text(&["KEYS", "*"]), "[jobs]");
    drop(reader);
}

#[test]
fn a_consumer_is_known_again_after_flushall() {
    let broker = serve(&[]);
    let (_reader, writer) = std::io::pipe().unwrap();
    let consumer = consumer_into(&broker, writer, &["--follow"]);
    let mut client = broker.connect();
    until("it waits", || {
        client
            .text(&["INFO", "clients"])
            .contains("blocked_clients:1")
    });
    assert_eq!(client.text(&["FLUSHALL"]), "OK");
    broker.run_with(&["push", "jobs"], b"1\n2\n3\n");
    until_length(&broker, 2);
    until("it is known again", || {
        client.text(&["EXISTS", "jobs:respd-pop"]) == "1"
    });
    consumer.end_with(Signal::KILL);
    let again = broker.run_with(&["pop", "jobs", "--count", "3"], b"");
    assert_eq!(again.stdout, "1\n2\n3\n");
}

#[test]
fn texts_behind_two_dashes_are_no_flags() {
    let broker = serve(&[]);
    let arguments = ["push", "jobs", "--url", broker.url(), "--", "-v", "-h"];
    run(&std::env::temp_dir(), &arguments);
    assert_eq!(left_in_queue(&broker), "-v -h");
}

#[test]
fn what_a_killed_consumer_held_goes_back_to_its_place() {
    for (arguments, rest, again) in [(&[][..], "2\n", "1\n"), (&["--lifo"], "2\n", "3\n")] {
        let broker = serve(&[]);
        broker.run_with(&["push", "jobs"], b"1\n2\n3\n");
        let (reader, writer) = std::io::pipe().unwrap();
        let killed = consumer_into(&broker, writer, &[&["--follow"], arguments].concat());
        until_length(&broker, 2);
        // While it lives, it keeps what it holds, and others take the rest.
        let pop = [&["pop", "jobs"], arguments].concat();
        broker.run(&pop).printed(rest);
        killed.end_with(Signal::KILL);
        drop(reader);
        let mut wire = broker.connect();
        until("the broker knows", || {
            !wire.text(&["CLIENT", "LIST"]).contains("name=respd-pop")
        });
        let end = broker.run(&pop);
        assert_eq!(
            (end.stdout.as_str(), end.stderr.as_str()),
            (
                again,
                "respd: back in 'jobs': 1 item that a pop which is gone had not shown\n"
            )
        );
    }
}

#[test]
fn a_consumer_that_was_cut_off_shows_nothing_twice() {
    let broker = serve(&[]);
    broker.run_with(&["push", "jobs"], b"1\n2\n3\n");
    let (reader, writer) = std::io::pipe().unwrap();
    let mut consumer = consumer_into(&broker, writer, &["--follow"]);
    until_length(&broker, 2);
    let mut wire = broker.connect();
    assert_eq!(wire.text(&["CLIENT", "KILL", "TYPE", "normal"]), "1");
    // It finds out when it has shown the first item, which it still held.
    let mut lines = BufReader::new(reader).lines();
    for item in ["1", "2", "3"] {
        assert_eq!(lines.next().unwrap().unwrap(), item);
    }
    consumer.told("connected again to ");
    consumer.end_with(Signal::INT).printed("");
    assert_eq!(left_in_queue(&broker), "");
}

#[test]
fn consumers_share_what_there_is() {
    let broker = serve(&[]);
    let lines: String = (0..3000).map(|n| format!("{n}\n")).collect();
    let consumers: Vec<_> = (0..3)
        .map(|_| broker.start(&["pop", "jobs", "--follow"]))
        .collect();
    broker.run_with(&["push", "jobs"], lines.as_bytes());
    let mut wire = broker.connect();
    until("everything is shown", || {
        wire.text(&["KEYS", "*"]) == "[jobs:respd-pop]"
    });
    let mut seen: Vec<u32> = Vec::new();
    for consumer in consumers {
        let end = consumer.end_with(Signal::INT);
        assert_eq!((end.status, end.stderr.as_str()), (Some(0), ""));
        seen.extend(end.stdout.lines().map(|line| line.parse::<u32>().unwrap()));
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..3000).collect::<Vec<_>>());
    assert_eq!(left_in_queue(&broker), "");
}

#[test]
fn at_most_once_is_the_plain_pop() {
    let broker = serve(&[]);
    broker.run_with(&["push", "jobs"], b"1\n2\n");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let end = consumer_into(&broker, full, &["--at-most-once"]).end();
    assert_eq!(end.status, Some(1));
    assert_eq!(left_in_queue(&broker), "2");
    broker
        .run(&["pop", "jobs", "--at-most-once"])
        .printed("2\n");
}

#[test]
fn what_stands_in_the_way_is_named() {
    let broker = serve(&[]);
    let mut wire = broker.connect();
    wire.text(&["SET", "jobs:respd-pop", "mine"]);
    let url = broker.url();
    broker.run(&["pop", "jobs"]).failed(
        1,
        &format!("respd: {url} answered: WRONGTYPE Operation against a key holding the wrong kind of value (of the key 'jobs:respd-pop')"),
    );
    wire.text(&["RPUSH", "tasks", "x"]);
    wire.text(&["CONFIG", "SET", "maxmemory", "1"]);
    broker.run(&["pop", "tasks"]).failed(
        1,
        &format!("respd: {url} answered: OOM command not allowed when used memory > 'maxmemory'. (of the key 'tasks:respd-pop'); --at-most-once does without"),
    );
    broker
        .run(&["pop", "tasks", "--at-most-once"])
        .printed("x\n");
}
