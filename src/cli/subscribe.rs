//! `respd subscribe`: prints what is published, for as long as somebody reads it.
//!
//! A broker that goes away is waited for; what is published in between never arrives, as pub/sub
//! has it.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;

use clap::Args;
use respd::resp::value::Value;

use super::client::{Connection, Error};
use super::failure::{Failure, print};
use super::interrupt::Interrupt;
use super::pretty::pretty;
use super::retry::Retry;
use super::say::tell;
use super::target::Environment;

/// Print the messages of channels
///
/// JSON is laid out for reading, anything else is printed as it is. If the broker goes away,
/// subscribe waits until it is back; messages in between are lost. Ctrl+C ends it.
#[derive(Args)]
#[command(after_help = super::target::HELP)]
pub struct Subscribe {
    /// A channel to subscribe to, as often as needed [default: CHANNEL, or messages]
    #[arg(short, long = "channel", value_name = "CHANNEL")]
    channels: Vec<OsString>,

    /// A pattern of channels to subscribe to, such as news.*, as often as needed
    #[arg(short, long = "pattern", value_name = "PATTERN")]
    patterns: Vec<OsString>,

    /// Leave after N messages
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Print nothing but the payloads, one after the other, each with a line end
    #[arg(long)]
    raw: bool,

    /// The broker's address [default: REDIS_URL, or redis://localhost:6379/0]
    #[arg(short, long)]
    url: Option<OsString>,
}

impl Subscribe {
    pub fn run(self) -> Result<(), Failure> {
        let environment = Environment::of_process();
        let target = environment.target(self.url.as_deref())?;
        let mut channels: Vec<_> = self.channels.into_iter().map(OsString::into_vec).collect();
        let patterns: Vec<_> = self.patterns.into_iter().map(OsString::into_vec).collect();
        if channels.is_empty() && patterns.is_empty() {
            channels.push(environment.channel(None)?);
        }

        let interrupt = Interrupt::watch(0)?;
        let mut retry = Retry::new(&target, &interrupt);
        let mut listener = Listener {
            wanted: Subscriptions { channels, patterns },
            style: if self.raw { Style::Raw } else { Style::Block },
            left: self.count,
        };
        let mut connection = Connection::open(&target)?;
        loop {
            interrupt.end_on_signal(&connection)?;
            let ended = listener.listen(&mut connection, &mut io::stdout(), |wanted| {
                let again = if retry.recovered() { " again" } else { "" };
                tell(&format!("subscribed{again} to {wanted} at {target}"));
            });
            let failure = match ended {
                Ok(()) => return Ok(()),
                Err(End::Connection(failure)) => failure,
                Err(End::Output(failure)) => return Err(failure),
            };
            match retry.reconnect(failure, None)? {
                Some(again) => connection = again,
                None => return Ok(()),
            }
        }
    }
}

struct Subscriptions {
    channels: Vec<Vec<u8>>,
    patterns: Vec<Vec<u8>>,
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
            let name = String::from_utf8_lossy(name);
            write!(f, "{between}{kind}'{name}'")?;
        }
        Ok(())
    }
}

enum Style {
    /// The channel, the payload, a blank line.
    Block,
    /// The payload.
    Raw,
}

/// Why no more messages are printed.
enum End {
    Connection(Error),
    Output(Failure),
}

struct Listener {
    wanted: Subscriptions,
    style: Style,
    /// How many messages to print yet, if that is limited.
    left: Option<u64>,
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
        while self.left != Some(0) {
            let value = connection.receive().map_err(End::Connection)?;
            match Event::of(&value) {
                Event::Message(message) => {
                    print(output, &message.shown(&self.style)).map_err(End::Output)?;
                    self.left = self.left.map(|left| left - 1);
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
}

/// What a subscriber receives.
enum Event<'a> {
    Message(Message<'a>),
    Subscribed,
    Error(&'a [u8]),
    Other,
}

struct Message<'a> {
    pattern: Option<&'a [u8]>,
    channel: &'a [u8],
    payload: &'a [u8],
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
            [b"message", channel, payload] => Event::Message(Message {
                pattern: None,
                channel,
                payload,
            }),
            [b"pmessage", pattern, channel, payload] => Event::Message(Message {
                pattern: Some(pattern),
                channel,
                payload,
            }),
            [b"subscribe" | b"psubscribe", ..] => Event::Subscribed,
            _ => Event::Other,
        }
    }
}

impl Message<'_> {
    fn shown(&self, style: &Style) -> Vec<u8> {
        if let Style::Raw = style {
            return [self.payload, b"\n"].concat();
        }
        let pattern = match self.pattern {
            Some(pattern) => [b" (pattern ", pattern, b")"].concat(),
            None => Vec::new(),
        };
        let laid_out = pretty(self.payload);
        let payload = laid_out.as_deref().unwrap_or(self.payload);
        [b"[", self.channel, b"]", &pattern, b"\n", payload, b"\n\n"].concat()
    }
}

#[cfg(test)]
mod tests {
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
            style: Style::Block,
            left: Some(2),
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
            style: Style::Raw,
            left: Some(2),
        };
        let ended = listener.listen(&mut connection, &mut Vec::new(), |_| {});
        assert!(matches!(ended, Err(End::Connection(Error::Lost { .. }))));
        assert_eq!(listener.left, Some(1));
        server.join().unwrap();
    }

    #[test]
    fn a_message_is_one_block() {
        let message = Message {
            pattern: None,
            channel: b"news",
            payload: b"{\"a\":1}",
        };
        assert_eq!(
            message.shown(&Style::Block),
            b"[news]\n{\n  \"a\": 1\n}\n\n"
        );
        assert_eq!(message.shown(&Style::Raw), b"{\"a\":1}\n");
        let message = Message {
            pattern: Some(b"n*"),
            channel: b"news",
            payload: b"\xff\r\nraw",
        };
        assert_eq!(
            message.shown(&Style::Block),
            b"[news] (pattern n*)\n\xff\r\nraw\n\n"
        );
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
