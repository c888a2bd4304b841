//! `respd pop`: takes items out of a queue that is a list, and shows them.
//!
//! What is shown is gone from the queue, and nothing else is, as [`super::consumer`] has it; with
//! `--at-most-once` an item leaves the list before it is shown, with the plain BRPOP of every
//! tutorial.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;
use respd::resp::value::Value;

use super::address_flags::{self, Flags};
use super::client::Connection;
use super::consumer::{Consumer, End, GRACE, blocking_timeout, bytes_of};
use super::environment::Environment;
use super::error::Error;
use super::failure::Failure;
use super::interrupt::{INTERRUPTED, Interrupt};
use super::output::Output;
use super::pace::Pace;
use super::record::{Record, Style, StyleFlags, View};
use super::retry::Retry;
use super::say::{counted, harmless, tell};
use super::target::Target;
use super::timeout::{Timeout, parse_timeout};

/// Take an item out of a queue and print it
///
/// The consumer of the LPUSH/BLPOP pair. It takes from the end that is opposite to LPUSH's, so that
/// push and pop are first in, first out. It waits until there is an item.
#[derive(Args)]
#[command(disable_help_flag = true, after_help = address_flags::HELP, after_long_help = long_help())]
pub struct Pop {
    /// The key of the list
    queue: OsString,

    /// Go on with the next item until Ctrl+C, and wait for the broker if it goes away
    #[arg(short, long)]
    follow: bool,

    /// Leave after N items
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Leave when no item came for this long; with status 124 if none came at all, or fewer than
    /// --count [default: 0, which waits for ever]
    #[arg(short, long, value_name = "SECONDS", value_parser = parse_timeout, allow_negative_numbers = true)]
    timeout: Option<Duration>,

    /// Take the newest item first
    #[arg(long)]
    lifo: bool,

    /// Take an item before it is shown, with BRPOP or BLPOP: if it cannot be shown then, it is lost
    #[arg(long)]
    at_most_once: bool,

    #[command(flatten)]
    style: StyleFlags,

    /// Say nothing but what goes wrong
    #[arg(short, long, help_heading = "Output")]
    quiet: bool,

    #[command(flatten)]
    broker: Flags,
}

const PROMISE: &str = "\
What is promised: an item is gone from the queue when it has been shown, and not before: written to \
the terminal or the file, or read from the pipe by the program behind it. Until then it is in a list \
beside the queue, QUEUE:respd-pop:NAME:0 or 1 (BLMOVE, Redis 6.2). What was not shown goes back to \
its place when pop ends, by Ctrl+C or a full disk, too. What a pop leaves that was killed goes back \
with the next one on the same queue, or one that follows within 10 s; it knows the dead from the \
living by CLIENT LIST. So nothing is lost, and after a crash or an outage an item may be shown twice. \
Into a pipe, the first 1000 items go one by one, so that `| head -3` takes three; a program that \
reads more than it uses has taken what it read. What is written to a socket, as Node gives its \
children for standard output, counts as shown. The list beside the queue needs room under maxmemory; \
where there is none, --at-most-once does without.";

fn long_help() -> String {
    let examples = "\
Examples:
  respd pop jobs                         an item, as soon as there is one
  respd pop jobs --timeout 5             an item, or status 124 after 5 s
  respd pop jobs --follow --timeout 1    all that there is
  respd pop jobs --follow | while read -r job; do work \"$job\"; done
  respd pop jobs --count 100 --json > jobs.ndjson";
    format!("{PROMISE}\n\n{examples}\n\n{}", address_flags::HELP)
}

impl Pop {
    pub fn run(self) -> Result<(), Failure> {
        let target = self.broker.target(&Environment::of_process())?;
        let count = self.count.or((!self.follow).then_some(1));
        let interrupt = Interrupt::watch(count.map_or(0, |_| INTERRUPTED))?;
        let output = Output::standard()?;
        let (queue, end) = (
            self.queue.into_vec(),
            if self.lifo { End::Newest } else { End::Oldest },
        );
        let mut work = Work {
            source: match self.at_most_once {
                true => Source::Plain {
                    queue: queue.clone(),
                    end,
                },
                false => Source::Kept(Consumer::new(queue.clone(), end)),
            },
            pace: Pace::new(output.is_pipe()),
            view: View {
                style: self.style.style().unwrap_or(Style::Raw),
                on_terminal: output.is_terminal(),
            },
            output,
            interrupt: &interrupt,
            queue,
            count,
            came: 0,
            timeout: Timeout::new(self.timeout),
            quiet: self.quiet,
        };
        let mut connection = Connection::open(&target)?;
        let mut retry = Retry::new(&target, &interrupt);
        let ended = loop {
            interrupt.end_on_signal(&connection)?;
            let failure = match work.go_on(&mut connection) {
                Ok(()) => break Ok(()),
                Err(Stop::Other(failure)) => break Err(failure),
                Err(Stop::Connection(failure)) => failure,
            };
            if !interrupt.is_raised() && !self.follow {
                break Err(work.explain(failure));
            }
            match retry.reconnect(failure, work.timeout.deadline()) {
                Ok(Some(again)) => {
                    connection = again;
                    retry.recovered();
                    if !self.quiet {
                        tell(&format!("connected again to {target}"));
                    }
                }
                Ok(None) if interrupt.is_raised() => break work.interrupted(),
                Ok(None) => break work.gave_up(),
                Err(failure) => break Err(work.explain(failure)),
            }
        };
        work.leave(connection, &target);
        ended
    }
}

/// Why no more items are taken, before there were enough.
enum Stop {
    Connection(Error),
    Other(Failure),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Connection(error)
    }
}

/// Where items come from, and what is promised of them.
enum Source {
    /// At least once.
    Kept(Consumer),
    /// At most once.
    Plain { queue: Vec<u8>, end: End },
}

struct Work<'a> {
    source: Source,
    output: Output,
    pace: Pace,
    interrupt: &'a Interrupt,
    queue: Vec<u8>,
    view: View,
    /// How many items are wanted, if that is limited.
    count: Option<u64>,
    /// How many were shown.
    came: u64,
    timeout: Timeout,
    quiet: bool,
}

impl Work<'_> {
    /// Takes items through a new connection and shows them, until there were enough, or none came
    /// in time, or the user wants to leave.
    fn go_on(&mut self, connection: &mut Connection) -> Result<(), Stop> {
        if let Source::Kept(consumer) = &mut self.source {
            consumer.join(connection)?;
        }
        while self.left() > 0 {
            let deadline = self.timeout.deadline();
            let wait = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let most = self.pace.most().min(self.left());
            let items = match &mut self.source {
                Source::Kept(consumer) => consumer.take(connection, most, wait)?,
                Source::Plain { queue, end } => take_plainly(connection, queue, *end, wait)?,
            };
            self.tell_of_the_dead();
            if !items.is_empty() {
                self.show(&items).map_err(Stop::Other)?;
                self.timeout.restart();
            } else if deadline.is_some_and(|at| at <= Instant::now()) {
                return self.gave_up().map_err(Stop::Other);
            }
            if self.interrupt.is_raised() {
                return self.interrupted().map_err(Stop::Other);
            }
        }
        Ok(())
    }

    /// How many items are to be taken yet.
    fn left(&self) -> usize {
        let left = self.count.map_or(u64::MAX, |count| count - self.came);
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// Shows all items, and tells the consumer which of them arrived.
    fn show(&mut self, items: &[Vec<u8>]) -> Result<(), Failure> {
        let mut block = Vec::new();
        let mut ends = Vec::with_capacity(items.len());
        for item in items {
            block.extend(self.view.show(&Record {
                kind: "queue",
                source: &self.queue,
                pattern: None,
                time: Timestamp::now(),
                payload: item,
            }));
            ends.push(block.len());
        }
        let begun = Instant::now();
        let is_ending = || self.interrupt.is_raised();
        let arrived = self.output.hand_over(&block, is_ending);
        self.pace.shown(items.len(), block.len(), begun.elapsed());
        let shown = ends.partition_point(|end| *end <= arrived.bytes);
        if let Source::Kept(consumer) = &mut self.source {
            consumer.have_shown(shown);
        }
        self.came += shown as u64;
        match arrived.failure {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    fn tell_of_the_dead(&mut self) {
        let Source::Kept(consumer) = &mut self.source else {
            return;
        };
        let returned = std::mem::take(&mut consumer.returned);
        if returned > 0 && !self.quiet {
            let queue = harmless(&self.queue, &[]);
            let items = counted(returned, "item");
            tell(&format!(
                "back in '{queue}': {items} that a pop which is gone had not shown"
            ));
        }
    }

    /// Puts back what was not shown. If that fails, it is left to the next consumer.
    fn leave(&mut self, mut connection: Connection, target: &Target) {
        let Source::Kept(consumer) = &mut self.source else {
            return;
        };
        // Whoever ends the process after a signal waits for this lock.
        let _whole = io::stdout().lock();
        // After a signal this connection takes no more.
        if self.interrupt.is_raised() || consumer.leave(&mut connection).is_err() {
            drop(connection);
            if let Ok(mut another) = Connection::open(target) {
                let _ = consumer.leave(&mut another);
            }
        }
    }

    fn gave_up(&self) -> Result<(), Failure> {
        let queue = format!("'{}'", harmless(&self.queue, &[]));
        self.timeout.passed("item", self.came, self.count, &queue)
    }

    /// How it ends when the user wants that: well, if there was no end to reach.
    fn interrupted(&self) -> Result<(), Failure> {
        match self.count {
            Some(count) if self.came < count => Err(Failure::Interrupted),
            _ => Ok(()),
        }
    }

    fn explain(&self, error: Error) -> Failure {
        match self.source {
            Source::Kept(_) => explain(error),
            Source::Plain { .. } => error.into(),
        }
    }
}

/// The failure, and what helps where it is the promise that asks too much: of an old server, of a
/// user's permissions, of memory that is full, of a cluster.
fn explain(error: Error) -> Failure {
    let codes = ["ERR unknown ", "NOPERM ", "OOM ", "CROSSSLOT "];
    match &error {
        Error::Refused { text, .. } if codes.iter().any(|code| text.starts_with(code)) => {
            Failure::Failed(format!("{error}; --at-most-once does without"))
        }
        _ => error.into(),
    }
}

/// The next item, or none if none comes in time.
fn take_plainly(
    connection: &mut Connection,
    queue: &[u8],
    end: End,
    wait: Option<Duration>,
) -> Result<Vec<Vec<u8>>, Error> {
    connection.set_patience(wait.map(|wait| wait + GRACE))?;
    let command = match end {
        End::Oldest => "BRPOP",
        End::Newest => "BLPOP",
    };
    let seconds = blocking_timeout(wait);
    match connection.call(&[command.as_bytes(), queue, seconds.as_bytes()])? {
        Value::Null => Ok(Vec::new()),
        Value::Array(elements) => match &elements[..] {
            [_, item] => Ok(vec![bytes_of(connection, item)?]),
            _ => Err(connection.unexpected()),
        },
        _ => Err(connection.unexpected()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::serve_one;
    use super::*;

    #[test]
    fn a_server_that_is_too_old_for_the_promise_is_no_dead_end() {
        let line = |text: &str| {
            let (address, text) = ("unix:///s".to_owned(), text.to_owned());
            match explain(Error::Refused { address, text }) {
                Failure::Failed(line) => line,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            line("ERR unknown command 'BLMOVE'"),
            "unix:///s answered: ERR unknown command 'BLMOVE'; --at-most-once does without"
        );
        assert_eq!(line("WRONGTYPE x"), "unix:///s answered: WRONGTYPE x");
    }

    #[test]
    fn an_item_is_its_second_element_and_null_is_none() {
        let (target, server) = serve_one(|peer| {
            peer.expect("BRPOP q 0.000", "*2\r\n$1\r\nq\r\n$3\r\na\r\n\r\n");
            peer.expect("BLPOP q 9.000", "*-1\r\n");
            // A deadline that has passed must not become the zero that waits for ever.
            peer.expect("BRPOP q 0.001", "*1\r\n$1\r\nq\r\n");
        });
        let mut connection = Connection::open(&target).unwrap();
        let mut take = |end, wait| take_plainly(&mut connection, b"q", end, wait);
        assert_eq!(take(End::Oldest, None).unwrap(), [b"a\r\n"]);
        let nothing = take(End::Newest, Some(Duration::from_secs(9))).unwrap();
        assert_eq!(nothing, [b""; 0]);
        let nonsense = take(End::Oldest, Some(Duration::ZERO));
        assert!(
            matches!(nonsense, Err(Error::Unexpected { .. })),
            "{nonsense:?}"
        );
        server.join().unwrap();
    }
}
