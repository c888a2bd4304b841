//! `respd push` and `respd pop`: the producer and the consumer of a queue that is a list.
//!
//! An item leaves the list before it is printed. If this process dies in between, the item is
//! gone: that is what a plain pop promises, here as in every tutorial.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::time::{Duration, Instant};

use clap::Args;
use respd::resp::value::Value;

use super::client::{Connection, Error};
use super::failure::{Failure, print};
use super::interrupt::{INTERRUPTED, Interrupt};
use super::lines::Sender;
use super::retry::Retry;
use super::say::{counted, tell};
use super::target::Environment;

/// Put items into a queue, for `respd pop` to take out
///
/// The producer of the LPUSH/BLPOP pair: LPUSH puts each item at the front of the list, as it is.
/// Without ITEM it is asked for; piped input is pushed line by line, as it comes.
#[derive(Args)]
#[command(after_help = super::target::HELP)]
pub struct Push {
    /// The key of the list
    queue: OsString,

    /// The item; put -- before one that begins with a dash
    #[arg(value_name = "ITEM", allow_negative_numbers = true)]
    message: Option<OsString>,

    /// The broker's address [default: REDIS_URL, or redis://localhost:6379/0]
    #[arg(short, long)]
    url: Option<OsString>,
}

impl Push {
    pub fn run(self) -> Result<(), Failure> {
        let target = Environment::of_process().target(self.url.as_deref())?;
        let mut connection = Connection::open(&target)?;
        let queue = self.queue.into_vec();
        let sender = Sender {
            command: "LPUSH",
            key: &queue,
            encode: Ok,
            report: &|length| report(&queue, length),
        };
        sender.run(&mut connection, self.message)
    }
}

fn report(queue: &[u8], length: i64) -> String {
    let queue = String::from_utf8_lossy(queue);
    format!("Pushed to '{queue}': it holds {}", counted(length, "item"))
}

/// Take an item out of a queue and print it
///
/// The consumer of the LPUSH/BLPOP pair. It takes with BRPOP, from the end that is opposite to
/// LPUSH's, so that push and pop are first in, first out; --lifo takes with BLPOP, last in, first
/// out. It waits until there is an item.
#[derive(Args)]
#[command(after_help = super::target::HELP)]
pub struct Pop {
    /// The key of the list
    queue: OsString,

    /// Go on with the next item until Ctrl+C, and wait for the broker if it goes away
    #[arg(short, long)]
    follow: bool,

    /// Leave when no item came for this long; with status 1 if there was none at all [default: 0,
    /// which waits for ever]
    #[arg(short, long, value_name = "SECONDS", value_parser = parse_timeout, allow_negative_numbers = true)]
    timeout: Option<Duration>,

    /// Take the newest item first, with BLPOP
    #[arg(long)]
    lifo: bool,

    /// The broker's address [default: REDIS_URL, or redis://localhost:6379/0]
    #[arg(short, long)]
    url: Option<OsString>,
}

impl Pop {
    pub fn run(self) -> Result<(), Failure> {
        let target = Environment::of_process().target(self.url.as_deref())?;
        let interrupt = Interrupt::watch(if self.follow { 0 } else { INTERRUPTED })?;
        let mut retry = Retry::new(&target, &interrupt);
        let mut consumer = Consumer {
            command: if self.lifo { "BLPOP" } else { "BRPOP" },
            queue: self.queue.into_vec(),
            timeout: self.timeout.filter(|timeout| !timeout.is_zero()),
        };
        let mut connection = Connection::open(&target)?;
        interrupt.end_on_signal(&connection)?;
        let mut items: u64 = 0;
        let mut deadline = consumer.deadline();
        loop {
            match consumer.take(&mut connection, deadline) {
                Ok(Some(mut item)) => {
                    item.push(b'\n');
                    print(&mut io::stdout(), &item)?;
                    if !self.follow {
                        return Ok(());
                    }
                    items += 1;
                    deadline = consumer.deadline();
                }
                Ok(None) => return consumer.gave_up(items),
                Err(_) if interrupt.is_raised() && self.follow => return Ok(()),
                Err(_) if interrupt.is_raised() => return Err(Failure::Interrupted),
                Err(failure) if !self.follow => return Err(failure.into()),
                Err(failure) => match retry.reconnect(failure, deadline)? {
                    Some(again) => {
                        connection = again;
                        interrupt.end_on_signal(&connection)?;
                        retry.recovered();
                        tell(&format!("connected again to {target}"));
                    }
                    None if interrupt.is_raised() => return Ok(()),
                    None => return consumer.gave_up(items),
                },
            }
        }
    }
}

/// Seconds as BRPOP takes them: fractions too, and none to wait for ever.
fn parse_timeout(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        // Some thirty years; beyond some more, servers refuse it.
        .filter(|timeout| timeout.as_secs() < 1_000_000_000)
        .ok_or_else(|| "out of range".to_owned())
}

struct Consumer {
    command: &'static str,
    queue: Vec<u8>,
    timeout: Option<Duration>,
}

impl Consumer {
    fn deadline(&self) -> Option<Instant> {
        self.timeout.map(|timeout| Instant::now() + timeout)
    }

    /// The next item, or `None` if the deadline passes without one.
    fn take(
        &mut self,
        connection: &mut Connection,
        deadline: Option<Instant>,
    ) -> Result<Option<Vec<u8>>, Error> {
        // The broker keeps the time, but one that hangs must not keep us waiting.
        const GRACE: Duration = Duration::from_secs(5);
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        connection.set_patience(left.map(|left| left + GRACE))?;
        // None means for ever on the wire, so the least that is left is a millisecond.
        let seconds = match left {
            Some(left) => left.as_secs_f64().max(0.001),
            None => 0.0,
        };
        let seconds = format!("{seconds:.3}");
        let arguments = [self.command.as_bytes(), &self.queue, seconds.as_bytes()];
        let item = match connection.call(&arguments)? {
            Value::Null => None,
            Value::Array(elements) => match &elements[..] {
                [_, item] => Some(
                    item.as_bytes()
                        .ok_or_else(|| connection.unexpected())?
                        .to_vec(),
                ),
                _ => return Err(connection.unexpected()),
            },
            _ => return Err(connection.unexpected()),
        };
        Ok(item)
    }

    /// How it ends when nothing came any more: well, if something had come.
    fn gave_up(&self, items: u64) -> Result<(), Failure> {
        if items > 0 {
            return Ok(());
        }
        let queue = String::from_utf8_lossy(&self.queue);
        let seconds = self.timeout.unwrap_or_default().as_secs_f64();
        Err(Failure::Failed(format!(
            "no item came to '{queue}' within {seconds} s"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::serve_one;
    use super::*;

    #[test]
    fn timeouts_are_seconds() {
        assert_eq!(parse_timeout("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_timeout("0"), Ok(Duration::ZERO));
        for text in ["-1", "nan", "inf", "1e300", "", "soon"] {
            assert!(parse_timeout(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_item_is_its_second_element_and_null_is_none() {
        let (target, server) = serve_one(|peer| {
            peer.expect("BRPOP q 0.000", "*2\r\n$1\r\nq\r\n$3\r\na\r\n\r\n");
            let timed = peer.command().unwrap();
            assert_eq!(timed[..2], ["BRPOP", "q"]);
            let seconds: f64 = timed[2].parse().unwrap();
            assert!(seconds > 0.0 && seconds <= 9.0, "{seconds}");
            peer.reply("*-1\r\n");
            peer.expect("BRPOP q 0.001", "*1\r\n$1\r\nq\r\n");
        });
        let mut connection = Connection::open(&target).unwrap();
        let mut consumer = Consumer {
            command: "BRPOP",
            queue: b"q".to_vec(),
            timeout: Some(Duration::from_secs(9)),
        };
        let item = consumer.take(&mut connection, None).unwrap();
        assert_eq!(item.as_deref(), Some(&b"a\r\n"[..]));
        let deadline = consumer.deadline();
        assert_eq!(consumer.take(&mut connection, deadline).unwrap(), None);
        // A deadline that has passed must not become the zero that waits for ever.
        let passed = consumer.take(&mut connection, Some(Instant::now()));
        assert!(
            matches!(passed, Err(Error::Unexpected { .. })),
            "{passed:?}"
        );
        server.join().unwrap();
    }

    #[test]
    fn the_report_counts() {
        assert_eq!(report(b"jobs", 1), "Pushed to 'jobs': it holds 1 item");
        assert_eq!(report(b"jobs", 3), "Pushed to 'jobs': it holds 3 items");
    }
}
