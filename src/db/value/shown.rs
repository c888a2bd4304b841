//! Values as text for people: one line for each part.

use std::borrow::Cow;

use super::stream::{Group, Stream, StreamId};
use super::{Hash, List, Set, ValueRef, Zset};
use crate::text::double;
use crate::text::words;

/// A line about a part of a value.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Line {
    /// What it says. Strings are quoted as redis-cli quotes them.
    pub text: String,
    /// When the part expires, in milliseconds since 1970.
    pub expires_at: Option<i64>,
}

impl ValueRef<'_> {
    /// What is in it at the time `now`, in milliseconds since 1970: elements in
    /// their order, fields and members in that of the alphabet, or of their
    /// scores. Two values are the same if their lines are.
    pub fn lines(self, now: i64) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        if let Some(string) = self.string() {
            lines.push(quoted(&string).into());
        } else if let Some(list) = self.of_kind::<List>() {
            lines.extend(list.iter().map(|element| quoted(element).into()));
        } else if let Some(hash) = self.of_kind::<Hash>() {
            lines.extend(hash.iter(now).map(|(field, value)| Line {
                text: format!("{} {}", quoted(field), quoted(value)),
                expires_at: hash.time_of(field, now).flatten(),
            }));
            lines.sort();
        } else if let Some(set) = self.of_kind::<Set>() {
            let mut digits = itoa::Buffer::new();
            lines.extend(
                set.iter()
                    .map(|member| quoted(member.bytes(&mut digits)).into()),
            );
            lines.sort();
        } else if let Some(zset) = self.of_kind::<Zset>() {
            lines.extend(zset.iter().map(|(member, score)| {
                let mut digits = double::Buffer::default();
                let score = String::from_utf8_lossy(digits.format(score));
                format!("{} {score}", quoted(member)).into()
            }));
        } else if let Some(stream) = self.of_kind::<Stream>() {
            stream_lines(stream, &mut lines);
        }
        lines
    }
}

impl From<String> for Line {
    fn from(text: String) -> Line {
        let expires_at = None;
        Line { text, expires_at }
    }
}

fn quoted(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&words::quote(bytes)).into_owned()
}

/// Of a stream its entries, and what it knows besides that they do not tell. Of
/// consumers it is not told when they were here last.
fn stream_lines(stream: &Stream, lines: &mut Vec<Line>) {
    let entries = &stream.entries;
    for entry in entries.range(StreamId::MIN, StreamId::MAX) {
        let words = entry
            .fields
            .flat_map(|(field, value)| [quoted(field), quoted(value)]);
        let words = words.collect::<Vec<_>>().join(" ");
        lines.push(format!("{} {words}", entry.id).into());
    }
    let last = entries.last().map(|entry| entry.id).unwrap_or_default();
    let removed = entries.max_deleted_id();
    if last != entries.last_id()
        || entries.added() != entries.len() as u64
        || removed != Default::default()
    {
        let (last, added) = (entries.last_id(), entries.added());
        lines.push(format!("last id {last}, {added} added, removed up to {removed}").into());
    }
    for (name, group) in stream.groups.iter() {
        group_lines(&quoted(name), group, lines);
    }
}

fn group_lines(name: &str, group: &Group, lines: &mut Vec<Line>) {
    let read = group
        .entries_read
        .map_or(Cow::Borrowed("?"), |read| read.to_string().into());
    lines.push(format!("group {name} at {}, {read} read", group.last_id).into());
    for consumer in group.consumers() {
        lines.push(format!("group {name} consumer {}", quoted(&consumer.name)).into());
    }
    for (id, delivery) in group.pending().range(Default::default()) {
        let (count, number) = (delivery.count, delivery.consumer);
        let consumer = quoted(&group.consumer(number).name);
        let times = if count == 1 {
            "once"
        } else {
            &format!("{count} times")
        };
        lines.push(format!("group {name} pending {id} at {consumer}, delivered {times}").into());
    }
}
