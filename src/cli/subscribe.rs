//! `respd subscribe`: prints what is published, for as long as somebody reads it.
//!
//! A broker that goes away is waited for; what is published in between never arrives, as pub/sub
//! has it.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use respd::resp::value::Value;

use super::address_flags::{self, Flags};
use super::client::Connection;
use super::environment::Environment;
use super::error::Error;
use super::failure::{Failure, print};
use super::interrupt::{INTERRUPTED, Interrupt};
use super::record::{Record, Style, StyleFlags, View};
use super::retry::Retry;
use super::say::{harmless, tell};
use super::timeout::{Timeout, parse_timeout};

/// Print the messages of channels
///
/// JSON is laid out for reading, anything else is printed as it is; on a terminal, control
/// characters are shown escaped. If the broker goes away, subscribe waits until it is back;
/// messages in between are lost. Ctrl+C ends it.
#[derive(Args)]
#[command(disable_help_flag = true, after_help = address_flags::HELP, after_long_help = long_help())]
pub struct Subscribe {
    /// A channel, or a pattern of channels if it has a *, ? or [ in it, as often as needed
    /// [default: CHANNEL, or messages]
    #[arg(value_name = "CHANNEL|PATTERN")]
    names: Vec<OsString>,

    /// A channel whose name is meant as it is written
    #[arg(short, long = "channel", value_name = "CHANNEL")]
    channels: Vec<OsString>,

    /// A pattern, even if nothing makes it look like one
    #[arg(long = "pattern", value_name = "PATTERN")]
    patterns: Vec<OsString>,

    /// Leave after N messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Leave when no message came for this long; with status 124 if none came at all, or fewer than
    /// --count [default: 0, which waits for ever]
    #[arg(short, long, value_name = "SECONDS", value_parser = parse_timeout, allow_negative_numbers = true)]
    timeout: Option<Duration>,

    /// Print nothing but the payloads, one after the other, each with a line end
    #[arg(long, conflicts_with_all = ["json", "format"], help_heading = "Output")]
    raw: bool,

    #[command(flatten)]
    style: StyleFlags,

    /// Say nothing but what goes wrong
    #[arg(short, long, help_heading = "Output")]
    quiet: bool,

    #[command(flatten)]
    broker: Flags,
}

fn long_help() -> String {
    let examples = "\
Examples:
  respd subscribe                              the channel messages
  respd subscribe news weather 'log.*'         two channels and a pattern
  respd subscribe news --count 1 --timeout 5   a message, or status 124 after 5 s
  respd subscribe 'log.*' --json | jq .payload
  respd subscribe news --format '{time} {payload}'";
    format!("{examples}\n\n{}", address_flags::HELP)
}

impl Subscribe {
    pub fn run(self) -> Result<(), Failure> {
        let environment = Environment::of_process();
        let target = self.broker.target(&environment)?;
        let wanted = Subscriptions::of(self.names, self.channels, self.patterns, &environment)?;
        let style = match self.raw {
            true => Style::Raw,
            false => self.style.style().unwrap_or(Style::Block),
        };
        let interrupt = Interrupt::watch(self.count.map_or(0, |_| INTERRUPTED))?;
        let mut retry = Retry::new(&target, &interrupt);
        let mut listener = Listener {
            wanted,
            view: View {
                style,
                on_terminal: io::stdout().is_terminal(),
            },
            count: self.count,
            came: 0,
            timeout: Timeout::new(self.timeout),
        };
        let mut connection = Connection::open(&target)?;
        loop {
            interrupt.end_on_signal(&connection)?;
            let ended = listener.listen(&mut connection, &mut io::stdout(), |wanted| {
                let again = if retry.recovered() { " again" } else { "" };
                if !self.quiet {
                    tell(&format!("subscribed{again} to {wanted} at {target}"));
                }
            });
            let failure = match ended {
                Ok(()) => return Ok(()),
                Err(End::Connection(failure)) => failure,
                Err(End::Other(failure)) => return Err(failure),
            };
            match retry.reconnect(failure, listener.timeout.deadline())? {
                Some(again) => connection = again,
                // Who wanted so many has not got them.
                None if interrupt.is_raised() && self.count.is_some() => {
                    return Err(Failure::Interrupted);
                }
                None if interrupt.is_raised() => return Ok(()),
                None => return listener.gave_up(),
            }
        }
    }
}

struct Subscriptions {
    channels: Vec<Vec<u8>>,
    patterns: Vec<Vec<u8>>,
}

impl Subscriptions {
    fn of(
        names: Vec<OsString>,
        channels: Vec<OsString>,
        patterns: Vec<OsString>,
        environment: &Environment,
    ) -> Result<Subscriptions, Failure> {
        let bytes = |names: Vec<OsString>| names.into_iter().map(OsString::into_vec);
        let mut wanted = Subscriptions {
            channels: bytes(channels).collect(),
            patterns: bytes(patterns).collect(),
        };
        for name in bytes(names) {
            // What means something else than itself to PSUBSCRIBE, the backslash excepted, which
            // would only take that away from one of these.
            let is_pattern = name.iter().any(|byte| b"*?[".contains(byte));
            match is_pattern {
                true => wanted.patterns.push(name),
                false => wanted.channels.push(name),
            }
        }
        if wanted.channels.is_empty() && wanted.patterns.is_empty() {
            wanted.channels.push(environment.channel(None)?);
        }
        Ok(wanted)
    }
}

/// As in "'news', 'mail' and pattern 'log.*'".
impl std::fmt::Display for Subscriptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let channels = self.channels.iter().map(|name| ("", name));
        let patterns = self.patterns.iter().map(|name| ("pattern ", name));
        let last = self.channels.len() + self.patterns.len() - 1;
        for (n, (kind, name)) in channels.chain(patterns).enumerate() {
            let between = match n {
                0 => "",
                n if n == last => " and ",
                _ => ", ",
            };
            let name = harmless(name, &[]);
            write!(f, "{between}{kind}'{name}'")?;
        }
        Ok(())
    }
}

/// Why no more messages are printed.
enum End {
    Connection(Error),
    Other(Failure),
}

struct Listener {
    wanted: Subscriptions,
    view: View,
    /// How many messages are wanted, if that is limited.
    count: Option<u64>,
    came: u64,
    timeout: Timeout,
}

impl Listener {
    /// Subscribes and prints until there were enough messages. `subscribed` is called when the
    /// broker has confirmed everything.
    fn listen(
        &mut self,
        connection: &mut Connection,
        output: &mut impl Write,
        mut subscribed: impl FnMut(&Subscriptions),
    ) -> Result<(), End> {
        let wanted = &self.wanted;
        for (command, names) in [
            ("SUBSCRIBE", &wanted.channels),
            ("PSUBSCRIBE", &wanted.patterns),
        ] {
            if !names.is_empty() {
                let mut arguments = vec![command.as_bytes()];
                arguments.extend(names.iter().map(Vec::as_slice));
                connection.queue(&arguments);
            }
        }
        connection.flush().map_err(End::Connection)?;

        let mut unconfirmed = wanted.channels.len() + wanted.patterns.len();
        while self.count.is_none_or(|count| self.came < count) {
            let deadline = self.timeout.deadline();
            let received = connection.receive_until(deadline);
            let Some(value) = received.map_err(End::Connection)? else {
                return self.gave_up().map_err(End::Other);
            };
            match Event::of(&value) {
                Event::Message(message) => {
                    print(output, &self.view.show(&message)).map_err(End::Other)?;
                    self.came += 1;
                    self.timeout.restart();
                }
                Event::Subscribed => {
                    unconfirmed = unconfirmed.saturating_sub(1);
                    if unconfirmed == 0 {
                        subscribed(&self.wanted);
                    }
                }
                Event::Error(text) => return Err(End::Connection(connection.refused(text))),
                Event::Other => {}
            }
        }
        Ok(())
    }

    fn gave_up(&self) -> Result<(), Failure> {
        self.timeout
            .passed("message", self.came, self.count, &self.wanted.to_string())
    }
}

/// What a subscriber receives.
enum Event<'a> {
    Message(Record<'a>),
    Subscribed,
    Error(&'a [u8]),
    Other,
}

impl<'a> Event<'a> {
    fn of(value: &'a Value) -> Event<'a> {
        let elements = match value {
            Value::Array(elements) | Value::Push(elements) => elements,
            Value::Error(text) => return Event::Error(text),
            _ => return Event::Other,
        };
        // The number in a confirmation counts as no bytes.
        let texts: Vec<&[u8]> = elements
            .iter()
            .map(|element| element.as_bytes().unwrap_or_default())
            .collect();
        match texts[..] {
            [b"message", channel, payload] => message(channel, None, payload),
            [b"pmessage", pattern, channel, payload] => message(channel, Some(pattern), payload),
            [b"subscribe" | b"psubscribe", ..] => Event::Subscribed,
            _ => Event::Other,
        }
    }
}

fn message<'a>(source: &'a [u8], pattern: Option<&'a [u8]>, payload: &'a [u8]) -> Event<'a> {
    Event::Message(Record {
        kind: "channel",
        source,
        pattern,
        time: Timestamp::now(),
        payload,
    })
}

#[cfg(test)]
mod tests {
    use super::super::environment::tests::environment;
    use super::super::fake::serve_one;
    use super::*;

    #[test]
    fn messages_are_printed_and_confirmations_told_once() {
        let (target, server) = serve_one(|peer| {
            peer.expect(
                "SUBSCRIBE a b",
                "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n\
                 *3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nearly\r\n\
                 *3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n",
            );
            peer.expect(
                "PSUBSCRIBE p*",
                // RESP3 pushes it, which a proxy may have chosen.
                ">3\r\n$10\r\npsubscribe\r\n$2\r\np*\r\n:3\r\n\
                 >4\r\n$8\r\npmessage\r\n$2\r\np*\r\n$2\r\npq\r\n$3\r\n[1]\r\n\
                 *3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$4\r\nmore\r\n",
            );
            while peer.command().is_some() {}
        });
        let mut connection = Connection::open(&target).unwrap();
        let mut listener = Listener {
            wanted: Subscriptions {
                channels: vec![b"a".to_vec(), b"b".to_vec()],
                patterns: vec![b"p*".to_vec()],
            },
            view: View {
                style: Style::Block,
                on_terminal: false,
            },
            count: Some(2),
            came: 0,
            timeout: Timeout::new(None),
        };
        let mut output = Vec::new();
        let mut told = Vec::new();
        let ended = listener.listen(&mut connection, &mut output, |wanted| {
            told.push(wanted.to_string());
        });
        assert!(ended.is_ok());
        assert_eq!(told, ["'a', 'b' and pattern 'p*'"]);
        assert_eq!(
            String::from_utf8(output).unwrap(),
            "[a]\nearly\n\n[pq] (pattern p*)\n[\n  1\n]\n\n"
        );
        drop(connection);
        server.join().unwrap();
    }

    #[test]
    fn what_was_printed_counts_across_an_outage() {
        let (target, server) = serve_one(|peer| {
            peer.expect(
                "SUBSCRIBE a",
                "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n",
            );
        });
        let mut connection = Connection::open(&target).unwrap();
        let mut listener = Listener {
            wanted: Subscriptions {
                channels: vec![b"a".to_vec()],
                patterns: vec![],
            },
            view: View {
                style: Style::Raw,
                on_terminal: false,
            },
            count: Some(2),
            came: 0,
            timeout: Timeout::new(None),
        };
        let ended = listener.listen(&mut connection, &mut Vec::new(), |_| {});
        assert!(matches!(ended, Err(End::Connection(Error::Lost { .. }))));
        assert_eq!(listener.came, 1);
        server.join().unwrap();
    }

    #[test]
    fn a_word_with_a_star_is_a_pattern() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let (environment, _directory) = environment(|_| None, "CHANNEL=c\n");
        let listed = |names: &[&str], channels: &[&str], patterns: &[&str]| {
            let (names, channels, patterns) = (words(names), words(channels), words(patterns));
            Subscriptions::of(names, channels, patterns, &environment)
                .unwrap()
                .to_string()
        };
        assert_eq!(
            listed(&["news", "log.*", "a?", "[x]", "a\\b"], &["*"], &["plain"]),
            "'*', 'news', 'a\\b', pattern 'plain', pattern 'log.*', pattern 'a?' and pattern '[x]'"
        );
        assert_eq!(listed(&[], &[], &["p*"]), "pattern 'p*'");
        assert_eq!(listed(&[], &[], &[]), "'c'");
    }

    #[test]
    fn subscriptions_are_listed_in_words() {
        let listed = |channels: &[&str], patterns: &[&str]| {
            let names = |names: &[&str]| names.iter().map(|name| name.as_bytes().into()).collect();
            let (channels, patterns) = (names(channels), names(patterns));
            Subscriptions { channels, patterns }.to_string()
        };
        assert_eq!(listed(&["a"], &[]), "'a'");
        assert_eq!(listed(&["a", "b"], &["c*"]), "'a', 'b' and pattern 'c*'");
    }
}
