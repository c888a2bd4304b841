//! What the verbs do where somebody sees it: on a pseudo-terminal.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::PathBuf;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::process::{Process, respd, serve};
use crate::wire::until;

/// A terminal: the side of who sees it, and the side of a program.
pub fn terminal() -> (File, File) {
    let seen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&seen).unwrap();
    unlockpt(&seen).unwrap();
    let path = PathBuf::from(ptsname(&seen, Vec::new()).unwrap().into_string().unwrap());
    let program = rustix::fs::open(
        path,
        rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    );
    (File::from(seen), File::from(program.unwrap()))
}

/// All that was shown by the time that the program has ended, with the line ends of a file.
fn all_of(mut seen: File) -> String {
    let mut shown = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match seen.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => shown.extend_from_slice(&chunk[..read]),
            // Nobody has the other side any more.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                break;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("{error}"),
        }
    }
    String::from_utf8_lossy(&shown).replace("\r\n", "\n")
}

#[test]
fn what_others_sent_does_nothing_to_a_terminal() {
    let broker = serve(&[]);
    let mut wire = broker.connect();
    wire.text(&["RPUSH", "jobs", "\x1b]0;title\x07\r\u{9b}2J"]);
    let (seen, program) = terminal();
    let mut command = respd(broker.dir.path());
    command.args(["pop", "jobs", "--url", broker.url()]);
    let consumer = Process::writing_to(program, command.stdin(Stdio::null()));
    consumer.end().printed("");
    assert_eq!(all_of(seen), "\\u{1b}]0;title\\u{7}\\r\\u{9b}2J\n");

    let (seen, program) = terminal();
    let mut command = respd(broker.dir.path());
    command.args(["subscribe", "*", "--count", "1", "--url", broker.url()]);
    let mut subscriber = Process::writing_to(program, command.stdin(Stdio::null()));
    subscriber.told("subscribed to ");
    wire.text(&["PUBLISH", "a\x1b[2J\n[b]", "two\n\x1b[31mlines"]);
    subscriber.end().printed("");
    assert_eq!(
        all_of(seen),
        "[a\\u{1b}[2J\\n[b]] (pattern *)\ntwo\n\\u{1b}[31mlines\n\n"
    );
}

#[test]
fn many_lines_show_their_progress_in_place_of_reports() {
    let broker = serve(&[]);
    let lines: String = (0..1000).map(|n| format!("{n}\n")).collect();
    let path = broker.path("lines");
    std::fs::write(&path, lines).unwrap();
    let (seen, program) = terminal();
    let mut command = respd(broker.dir.path());
    command.args(["push", "jobs", "--url", broker.url()]);
    command.stdin(File::open(path).unwrap());
    command.stdout(program.try_clone().unwrap());
    let mut child = command.stderr(program).spawn().unwrap();
    drop(command);
    let shown = all_of(seen);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(
        shown.starts_with("Pushed to 'jobs': it holds 1 item\n"),
        "{shown}"
    );
    assert!(shown.contains("/s, ") && shown.contains(" left"), "{shown}");
    assert!(!shown.contains("it holds 1000 items"), "{shown}");
    let summary = shown.rsplit("\x1b[K").next().unwrap();
    assert!(
        summary.starts_with("respd: sent 1000 lines in "),
        "{summary}"
    );
    let mut wire = broker.connect();
    until("all are there", || wire.text(&["LLEN", "jobs"]) == "1000");
}
