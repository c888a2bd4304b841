//! Which of what is on record is meant.

use super::entry::{Entry, Kind, Request};
use crate::lab::scope::{self, Scope};
use crate::resp::value::Value;
use crate::text::glob;

/// Whether a scope covers an entry. A reply is of the command, the keys and the
/// channels of its request.
pub fn covers(scope: &Scope, entry: &Entry) -> bool {
    let who = entry.who();
    if let Some(request) = entry.request() {
        let request = scope::Request {
            command: request.command,
            container: request.container,
            is_by_name: false,
            keys: request.keys().collect(),
            channels: request.channels().collect(),
        };
        return scope.covers_request(who, &request);
    }
    if scope.command.is_some() || scope.key.is_some() {
        return false;
    }
    match (&scope.channel, entry.kind()) {
        (None, _) => scope.covers_client(who),
        (Some(_), Kind::Push) => is_of_channel(scope, entry),
        (Some(_), _) => false,
    }
}

fn is_of_channel(scope: &Scope, entry: &Entry) -> bool {
    let values = entry.values();
    let Some(Value::Array(words) | Value::Push(words)) = values.first() else {
        return false;
    };
    let word = |index| words.get(index).and_then(Value::as_bytes);
    let channel = match word(0) {
        Some(b"message" | b"smessage") => word(1),
        Some(b"pmessage") => word(2),
        _ => None,
    };
    channel.is_some_and(|channel| scope.covers_message(entry.who(), channel))
}

/// Whether a text is this one or like it. Unlike for PSUBSCRIBE, `*` is nothing,
/// too.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    pattern == text || pattern == b"*" || glob::matches(pattern, text, false)
}

/// Whether a request names a key that is like this.
pub fn touches(request: &Request, pattern: &[u8]) -> bool {
    request.keys().any(|key| matches(pattern, key))
}
