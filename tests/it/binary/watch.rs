//! `respd watch` on a pseudo-terminal: what it shows, what its keys do, and that the terminal is as
//! it was when it has ended, however it ends.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

use super::process::{Served, respd, serve, serve_in};
use super::terminal::terminal;
use crate::wire::{PATIENCE, until};

/// A program on a terminal of its own.
struct Watched {
    child: Child,
    /// The side of who sees and types.
    desk: File,
    /// The side of the program, for a look at its settings.
    terminal: File,
    settings: String,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Watched {
    fn start(broker: &Served, columns: u16, lines: u16) -> Watched {
        Watched::start_by(&[], broker, columns, lines)
    }

    /// By a command that runs the one that follows it.
    fn start_by(before: &[&str], broker: &Served, columns: u16, lines: u16) -> Watched {
        let (desk, terminal) = terminal();
        let parser = vt100::Parser::new(of(lines), of(columns), 0);
        let mut watched = Watched {
            // A session of its own, whose terminal this is.
            child: Command::new("true").spawn().unwrap(),
            settings: format!("{:?}", tcgetattr(&terminal).unwrap()),
            desk,
            terminal,
            screen: Arc::new(Mutex::new(parser)),
        };
        watched.resize(columns, lines);
        let mut command = Command::new("setsid");
        let verb = respd(broker.dir.path());
        command.arg("--ctty").args(before).arg(verb.get_program());
        command.args(["watch", "--interval", "0.1", "--url", broker.url()]);
        command
            .current_dir(broker.dir.path())
            .env("TERM", "xterm-256color");
        let stdio = || Stdio::from(watched.terminal.try_clone().unwrap());
        command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        watched.child = command.spawn().unwrap();
        watched.look();
        watched
    }

    /// Draws what the program writes, in a thread of its own.
    fn look(&self) {
        let mut desk = self.desk.try_clone().unwrap();
        let screen = Arc::clone(&self.screen);
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            // It fails when the program has gone.
            while let Ok(read @ 1..) = desk.read(&mut chunk) {
                screen.lock().unwrap().process(&chunk[..read]);
            }
        });
    }

    fn resize(&self, columns: u16, lines: u16) {
        let size = Winsize {
            ws_row: lines,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        self.screen
            .lock()
            .unwrap()
            .screen_mut()
            .set_size(of(lines), of(columns));
        tcsetwinsize(&self.desk, size).unwrap();
    }

    /// What is on the screen, without the blanks at the ends of lines.
    fn contents(&self) -> String {
        let contents = self.screen.lock().unwrap().screen().contents();
        let lines: Vec<&str> = contents.lines().map(str::trim_end).collect();
        lines.join("\n")
    }

    fn types(&mut self, keys: &str) {
        self.desk.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen shows a text.
    #[track_caller]
    fn shows(&self, text: &str) {
        let start = Instant::now();
        while !self.contents().contains(text) {
            let screen = self.contents();
            assert!(
                start.elapsed() < PATIENCE,
                "{text:?} does not come on\n{screen}"
            );
            std::thread::yield_now();
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it ends, and looks at what it leaves.
    #[track_caller]
    fn ended(mut self, status: i32) {
        until("it has ended", || self.child.try_wait().unwrap().is_some());
        assert_eq!(self.child.wait().unwrap().code(), Some(status));
        self.is_as_it_was();
        assert_eq!(self.contents().trim(), "");
    }

    /// Looks at what the program leaves of the terminal.
    #[track_caller]
    fn is_as_it_was(&self) {
        let settings = format!("{:?}", tcgetattr(&self.terminal).unwrap());
        assert_eq!(settings, self.settings);
        until("the screen is as it was", || {
            let screen = self.screen.lock().unwrap();
            let screen = screen.screen();
            !screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste()
        });
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn of(number: u16) -> NonZero<u16> {
    NonZero::new(number).unwrap()
}

#[test]
fn an_item_is_seen_and_stays_where_it_is() {
    let broker = serve(&[]);
    let mut wire = broker.connect();
    wire.text(&["LPUSH", "jobs", "first\x1b[2J item", "{\"second\":1}"]);
    wire.text(&["XADD", "events", "1-1", "kind", "signup"]);
    let mut watched = Watched::start(&broker, 100, 30);
    watched.shows("jobs");
    watched.shows("events");
    watched.types("\r");
    watched.shows("Queue jobs: 2 from the right");
    watched.shows("-1 first\\u{1b}[2J item");
    watched.types("j\r");
    watched.shows("{\n  \"second\": 1\n}");
    watched.types("3");
    watched.shows("Streams 1");
    watched.types("\r");
    watched.shows("1-1 kind: signup");
    watched.resize(20, 5);
    watched.shows("Stream events: the …");
    watched.types("q");
    watched.ended(0);
    assert_eq!(wire.text(&["LLEN", "jobs"]), "2");
    assert_eq!(wire.text(&["XLEN", "events"]), "1");
}

#[test]
fn a_channel_is_subscribed_to_while_it_is_open() {
    let broker = serve(&[]);
    let mut subscriber = broker.start(&["subscribe", "--channel", "news", "--raw"]);
    subscriber.told("subscribed");
    let mut wire = broker.connect();
    let mut subscribers = |count: &str| {
        let count = format!("[news {count}]");
        until("it subscribes, or not", || {
            wire.text(&["PUBSUB", "NUMSUB", "news"]) == count
        });
    };
    let mut watched = Watched::start(&broker, 100, 30);
    watched.shows("commands/s");
    watched.types("1");
    watched.shows("news");
    subscribers("1");
    watched.types("\r");
    subscribers("2");
    // A name that is there already, and a message that is pasted with its line end.
    watched.types("p\r");
    watched.shows("Publish to news:");
    watched.types("\x1b[200~two\nlines\x1b[201~\r");
    watched.shows("published: handed to 2 subscribers");
    watched.shows("two\\nlines");
    subscriber.line("two");
    watched.types("\x1b");
    subscribers("1");
    watched.types("\x03");
    watched.ended(0);
}

#[test]
fn monitor_runs_on_request_only() {
    let broker = serve(&[]);
    let mut wire = broker.connect();
    let consumer = broker.start(&["pop", "jobs", "--follow"]);
    let mut watched = Watched::start(&broker, 100, 30);
    watched.shows("commands/s");
    assert!(!wire.text(&["CLIENT", "LIST"]).contains("cmd=monitor"));
    watched.types("m6");
    watched.shows("MONITOR");
    until("it monitors", || {
        wire.text(&["CLIENT", "LIST"]).contains("cmd=monitor")
    });
    wire.text(&["LPUSH", "elsewhere", "an item"]);
    watched.shows("LPUSH elsewhere \"an item\"");
    watched.types("m");
    until("it monitors no more", || {
        !wire.text(&["CLIENT", "LIST"]).contains("cmd=monitor")
    });
    drop(consumer);
    watched.types("q");
    watched.ended(0);
}

#[test]
fn a_broker_that_comes_back_is_watched_on() {
    let broker = serve(&["--bind", "", "--unixsocket", "sock"]);
    let mut watched = Watched::start(&broker, 100, 30);
    watched.shows("commands/s");
    let dir = broker.stop();
    watched.shows("AWAY");
    watched.shows("trying again: the connection to unix://");
    // The keys are as quick as ever.
    watched.types("?");
    watched.shows("publish a message to a channel");
    watched.types(" ");
    let _broker = serve_in(dir, &["--bind", "", "--unixsocket", "sock"]);
    watched.shows("connected again to unix://");
    watched.types("q");
    watched.ended(0);
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    let broker = serve(&[]);
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let watched = Watched::start(&broker, 80, 24);
        watched.shows("commands/s");
        watched.signal(signal);
        watched.ended(0);
    }
}

#[test]
fn the_shell_has_the_terminal_while_it_is_stopped() {
    let broker = serve(&[]);
    // As a shell does for who types at it.
    let shell = "set -m; \"$@\"; echo stopped; read line; fg";
    let mut watched = Watched::start_by(&["sh", "-c", shell, "sh"], &broker, 80, 24);
    watched.shows("commands/s");
    watched.types("\x1a");
    watched.shows("stopped");
    watched.is_as_it_was();
    assert!(!watched.contents().contains("commands/s"));
    watched.types("\n");
    watched.shows("commands/s");
    watched.types("q");
    let child = &mut watched.child;
    until("it has ended", || child.try_wait().unwrap().is_some());
    watched.is_as_it_was();
}

#[test]
fn what_it_asks_for_itself_is_not_shown() {
    // On a Unix socket all clients have the same address.
    let socket = ["--bind", "", "--unixsocket", "sock"];
    let broker = serve(&[&socket[..], &["--slowlog-log-slower-than", "0"]].concat());
    let mut watched = Watched::start(&broker, 100, 30);
    watched.shows("commands/s 0");
    watched.types("m");
    until("the server monitors", || {
        let screen = watched.contents();
        let mut lines = screen.lines();
        lines.any(|line| line.contains("respd-watch") && line.contains(" monitor "))
    });
    let pushed = broker.run(&["push", "jobs", "an item"]);
    assert_eq!(pushed.status, Some(0), "{pushed:?}");
    // It has looked since MONITOR began.
    watched.shows("Queues 1");
    watched.shows("commands/s 0");
    for pane in ["6", "5"] {
        watched.types(pane);
        watched.shows("LPUSH jobs \"an item\"");
        let screen = watched.contents();
        for ours in ["INFO", "SCAN", "LLEN", "PUBSUB"] {
            let is_there = screen.to_uppercase().contains(ours);
            assert!(!is_there, "{ours} is on\n{screen}");
        }
    }
    watched.types("q");
    watched.ended(0);
}

#[test]
fn a_channel_of_a_shard_is_a_channel() {
    let broker = serve(&[]);
    let mut subscriber = broker.connect();
    subscriber.text(&["SSUBSCRIBE", "news"]);
    let mut watched = Watched::start(&broker, 100, 30);
    watched.shows("commands/s");
    watched.types("1");
    watched.shows("news (of a shard)");
    watched.types("\r");
    let mut wire = broker.connect();
    until("it subscribes", || {
        wire.text(&["PUBSUB", "SHARDNUMSUB", "news"]) == "[news 2]"
    });
    watched.types("p\rhello\r");
    watched.shows("published: handed to 2 subscribers");
    watched.shows(" hello");
    watched.types("q");
    watched.ended(0);
}

#[test]
fn without_a_terminal_it_says_what_to_use() {
    let broker = serve(&[]);
    broker.run(&["watch"]).failed(
        1,
        "respd: watch needs a terminal to draw on; without one there are respd subscribe, \
         redis-cli info and redis-cli monitor",
    );
}
