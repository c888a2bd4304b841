//! Data as commands, one a line, that store them where nothing is.

use crate::db::{Keyspace, Seen};
use crate::text::words;

/// The commands that store the keys that are wanted, by database and name. What
/// expires is to last as long from when it is loaded as it has left now.
pub fn requests(keyspace: &Keyspace, now: i64, is_wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut text = Vec::new();
    for (index, database) in keyspace.databases.iter().enumerate() {
        let is_there = |seen: &Seen<'_>| is_wanted(seen.key) && !seen.is_due(now);
        let mut keys: Vec<_> = database.seen().filter(is_there).collect();
        keys.sort_unstable_by_key(|seen| seen.key);
        let mut each = |request: &[&[u8]]| line(request, &mut text);
        if !keys.is_empty() {
            each(&[b"SELECT", index.to_string().as_bytes()]);
        }
        for seen in keys {
            seen.value.requests(seen.key, now, &mut each);
            if let Some(at) = seen.expires_at {
                each(&[b"PEXPIRE", seen.key, (at - now).to_string().as_bytes()]);
            }
        }
    }
    text
}

/// Words that are plain as they are, all others in quotes.
fn line(request: &[&[u8]], text: &mut Vec<u8>) {
    for (place, word) in request.iter().enumerate() {
        if place > 0 {
            text.push(b' ');
        }
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_:.-*+".contains(byte);
        match !word.is_empty() && word.iter().all(is_plain) {
            true => text.extend(*word),
            false => text.extend(words::quote(word)),
        }
    }
    text.push(b'\n');
}
