//! `respd publish`: messages to a channel, wrapped in JSON unless they are to go as they are.

use std::ffi::OsString;

use clap::Args;
use jiff::Timestamp;
use uuid::Uuid;

use super::address_flags::{self, Flags};
use super::client::Connection;
use super::environment::Environment;
use super::failure::Failure;
use super::lines::{SendFlags, Sender};
use super::say::{counted, harmless};

/// Publish messages to a channel
///
/// A message goes out as JSON: {"id": a UUID, "timestamp": RFC 3339 in UTC, "message": the text}.
/// Without MESSAGE it is asked for; piped input is published line by line, as it comes.
#[derive(Args)]
#[command(
    disable_help_flag = true,
    override_usage = "respd publish [OPTIONS] [[CHANNEL] MESSAGE]",
    after_help = address_flags::HELP,
    after_long_help = long_help()
)]
pub struct Publish {
    /// The channel, if two words are given or --stdin is, and the text; put -- before one that
    /// begins with a dash [default channel: CHANNEL, or messages]
    #[arg(value_names = ["CHANNEL", "MESSAGE"], num_args = 0.., allow_negative_numbers = true)]
    words: Vec<OsString>,

    /// The channel to publish to
    #[arg(short, long)]
    channel: Option<OsString>,

    /// Publish the text as it is, not wrapped in JSON
    #[arg(long)]
    raw: bool,

    #[command(flatten)]
    sending: SendFlags,

    #[command(flatten)]
    broker: Flags,
}

fn long_help() -> String {
    let examples = "\
Examples:
  respd publish \"to the channel messages\"
  respd publish news \"a message\"
  tail -f app.log | respd publish --channel logs --raw -q
  respd publish images --raw --stdin < picture.png
  seq 1000 | respd publish --channel numbers --rate 50/s

It says how many subscribers the broker handed each message to; one that subscribed by name and by \
pattern counts for each, and one that is cut off because it reads too slowly was handed it, too.";
    format!("{examples}\n\n{}", address_flags::HELP)
}

impl Publish {
    pub fn run(self) -> Result<(), Failure> {
        let environment = Environment::of_process();
        let target = self.broker.target(&environment)?;
        let (channel, message) = sort(self.words, self.sending.takes_all())?;
        if channel.is_some() && self.channel.is_some() {
            let line = "the channel is given twice, as a word and with --channel; \
                        a message of several words needs quotes";
            return Err(Failure::Setting(line.to_owned()));
        }
        let channel = environment.channel(channel.or(self.channel).as_deref())?;
        let mut connection = Connection::open(&target)?;
        let sender = Sender {
            command: "PUBLISH",
            key: &channel,
            encode: if self.raw { Ok } else { wrap },
            report: &|subscribers| report(&channel, subscribers),
            flags: &self.sending,
        };
        sender.run(&mut connection, Vec::from_iter(message))
    }
}

/// The channel and the message among the words that were given.
fn sort(
    words: Vec<OsString>,
    message_is_elsewhere: bool,
) -> Result<(Option<OsString>, Option<OsString>), Failure> {
    let mut words = words.into_iter();
    match (words.next(), words.next()) {
        _ if words.next().is_some() => Err(Failure::Setting(
            "more than CHANNEL and MESSAGE; a message of several words needs quotes".to_owned(),
        )),
        (Some(_), Some(_)) if message_is_elsewhere => Err(Failure::Setting(
            "the message is given twice, as a word and with --stdin".to_owned(),
        )),
        (Some(channel), Some(message)) => Ok((Some(channel), Some(message))),
        (channel, None) if message_is_elsewhere => Ok((channel, None)),
        (message, _) => Ok((None, message)),
    }
}

fn report(channel: &[u8], subscribers: i64) -> String {
    let channel = harmless(channel, &[]);
    let subscribers = counted(subscribers, "subscriber");
    format!("Published to '{channel}': handed to {subscribers}")
}

fn wrap(text: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    // To replace what is no text would publish something else than what was given.
    let text = String::from_utf8(text).map_err(|_| "not UTF-8; --raw sends any bytes")?;
    Ok(envelope(Uuid::new_v4(), Timestamp::now(), &text).into_bytes())
}

/// Written by hand for the order of the keys, which a map of `serde_json` does not keep.
fn envelope(id: Uuid, timestamp: Timestamp, text: &str) -> String {
    let text = serde_json::Value::from(text);
    format!(r#"{{"id": "{id}", "timestamp": "{timestamp:.3}", "message": {text}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_wrapped_with_its_keys_in_order() {
        let id = Uuid::from_u128(0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8);
        let timestamp = Timestamp::from_millisecond(1_700_000_000_120).unwrap();
        assert_eq!(
            envelope(id, timestamp, "say \"hé\"\n\u{1}"),
            "{\"id\": \"67e55044-10b1-426f-9247-bb680e5fe0c8\", \
             \"timestamp\": \"2023-11-14T22:13:20.120Z\", \
             \"message\": \"say \\\"hé\\\"\\n\\u0001\"}"
        );
    }

    #[test]
    fn ids_are_random_and_times_are_now() {
        let wrapped = |text: &str| -> serde_json::Value {
            serde_json::from_slice(&wrap(text.into()).unwrap()).unwrap()
        };
        let (before, first, second) = (Timestamp::now(), wrapped("a"), wrapped("a"));
        assert_ne!(first["id"], second["id"]);
        let id: Uuid = first["id"].as_str().unwrap().parse().unwrap();
        assert_eq!(id.get_version_num(), 4);
        let timestamp: Timestamp = first["timestamp"].as_str().unwrap().parse().unwrap();
        // It is cut to milliseconds.
        assert!(timestamp.as_millisecond() >= before.as_millisecond());
        assert!(timestamp <= Timestamp::now());
        assert_eq!(first["message"], "a");
    }

    #[test]
    fn what_is_no_text_is_not_wrapped() {
        assert!(wrap(b"\xff".to_vec()).is_err());
    }

    #[test]
    fn one_word_is_the_message_and_two_are_channel_and_message() {
        let sorted = |words: &[&str], elsewhere| {
            let sorted = sort(words.iter().map(OsString::from).collect(), elsewhere);
            sorted.map(|(channel, message)| format!("{channel:?} {message:?}"))
        };
        let cases: [(&[&str], bool, &str); 5] = [
            (&[], false, "None None"),
            (&["a"], false, "None Some(\"a\")"),
            (&["a", "b"], false, "Some(\"a\") Some(\"b\")"),
            (&[], true, "None None"),
            (&["a"], true, "Some(\"a\") None"),
        ];
        for (words, elsewhere, expected) in cases {
            assert_eq!(sorted(words, elsewhere).unwrap(), expected, "{words:?}");
        }
        assert!(sorted(&["a", "b"], true).is_err());
        let Err(Failure::Setting(line)) = sorted(&["hello", "big", "world"], false) else {
            panic!("three words");
        };
        assert!(
            line.ends_with("a message of several words needs quotes"),
            "{line}"
        );
    }

    #[test]
    fn the_report_counts() {
        assert_eq!(
            report(b"messages", 2),
            "Published to 'messages': handed to 2 subscribers"
        );
        assert_eq!(
            report(b"news", 1),
            "Published to 'news': handed to 1 subscriber"
        );
    }
}
