//! `respd publish`: messages to a channel, wrapped in JSON unless they are to go as they are.

use std::ffi::OsString;

use clap::Args;
use jiff::Timestamp;
use uuid::Uuid;

use super::client::Connection;
use super::failure::Failure;
use super::lines::Sender;
use super::say::counted;
use super::target::Environment;

/// Publish messages to a channel
///
/// A message goes out as JSON: {"id": a UUID, "timestamp": RFC 3339 in UTC, "message": the text}.
/// Without MESSAGE it is asked for; piped input is published line by line, as it comes.
#[derive(Args)]
#[command(after_help = super::target::HELP)]
pub struct Publish {
    /// The text to publish; put -- before one that begins with a dash
    #[arg(allow_negative_numbers = true)]
    message: Option<OsString>,

    /// The channel to publish to [default: CHANNEL, or messages]
    #[arg(short, long)]
    channel: Option<OsString>,

    /// Publish the text as it is, not wrapped in JSON
    #[arg(long)]
    raw: bool,

    /// The broker's address [default: REDIS_URL, or redis://localhost:6379/0]
    #[arg(short, long)]
    url: Option<OsString>,
}

impl Publish {
    pub fn run(self) -> Result<(), Failure> {
        let environment = Environment::of_process();
        let target = environment.target(self.url.as_deref())?;
        let channel = environment.channel(self.channel.as_deref())?;
        let mut connection = Connection::open(&target)?;
        let sender = Sender {
            command: "PUBLISH",
            key: &channel,
            encode: if self.raw { Ok } else { wrap },
            report: &|subscribers| report(&channel, subscribers),
        };
        sender.run(&mut connection, self.message)
    }
}

fn report(channel: &[u8], subscribers: i64) -> String {
    let channel = String::from_utf8_lossy(channel);
    let subscribers = counted(subscribers, "subscriber");
    format!("Published to '{channel}': {subscribers} received it")
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
    fn the_report_counts() {
        assert_eq!(
            report(b"messages", 2),
            "Published to 'messages': 2 subscribers received it"
        );
        assert_eq!(
            report(b"news", 1),
            "Published to 'news': 1 subscriber received it"
        );
    }
}
