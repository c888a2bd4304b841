//! Values as requests that store them, for a file that a test loads again.
//!
//! What they do not tell: in which form a value is kept, and when consumers were
//! here last.

use std::collections::BTreeSet;

use super::stream::{Delivery, Finder, Group, Stream, StreamId};
use super::{Hash, List, Set, ValueRef, Zset};
use crate::text::double;

/// So many elements stand in a request at most, so that its line can be read.
const ELEMENTS: usize = 100;

/// Takes the words of a request.
pub type Each<'e> = &'e mut dyn FnMut(&[&[u8]]);

impl ValueRef<'_> {
    /// The requests that store the value, as it is at the time `now`, under a key
    /// that has none: elements, fields and members in the order in which they
    /// are kept.
    pub fn requests(self, key: &[u8], now: i64, each: Each<'_>) {
        let mut parts = Parts::of(key, each);
        if let Some(string) = self.string() {
            parts.add(b"SET", &[&string]);
        } else if let Some(list) = self.of_kind::<List>() {
            list.iter()
                .for_each(|element| parts.add(b"RPUSH", &[element]));
        } else if let Some(hash) = self.of_kind::<Hash>() {
            hash.iter(now)
                .for_each(|(field, value)| parts.add(b"HSET", &[field, value]));
            parts.end();
            for (field, _) in hash.iter(now) {
                if let Some(at) = hash.time_of(field, now).flatten() {
                    let left = (at - now).to_string();
                    let left = left.as_bytes();
                    (parts.each)(&[b"HPEXPIRE", key, left, b"FIELDS", b"1", field]);
                }
            }
        } else if let Some(set) = self.of_kind::<Set>() {
            let mut digits = itoa::Buffer::new();
            set.iter()
                .for_each(|member| parts.add(b"SADD", &[member.bytes(&mut digits)]));
        } else if let Some(zset) = self.of_kind::<Zset>() {
            let mut digits = double::Buffer::default();
            zset.iter().for_each(|(member, score)| {
                parts.add(b"ZADD", &[digits.format(score), member]);
            });
        } else if let Some(stream) = self.of_kind::<Stream>() {
            stream_requests(stream, key, now, parts.each);
            return;
        }
        parts.end();
    }
}

/// A request that grows until it is long enough.
struct Parts<'e> {
    key: Vec<u8>,
    command: &'static [u8],
    words: Vec<Vec<u8>>,
    count: usize,
    each: Each<'e>,
}

impl<'e> Parts<'e> {
    fn of(key: &[u8], each: Each<'e>) -> Parts<'e> {
        Parts {
            key: key.into(),
            command: b"",
            words: Vec::new(),
            count: 0,
            each,
        }
    }

    fn add(&mut self, command: &'static [u8], part: &[&[u8]]) {
        self.command = command;
        self.words.extend(part.iter().map(|word| word.to_vec()));
        self.count += 1;
        if self.count == ELEMENTS {
            self.end();
        }
    }

    fn end(&mut self) {
        if self.count > 0 {
            let words = self.words.iter().map(Vec::as_slice);
            let request: Vec<&[u8]> = [self.command, &self.key].into_iter().chain(words).collect();
            (self.each)(&request);
            self.words.clear();
            self.count = 0;
        }
    }
}

fn stream_requests(stream: &Stream, key: &[u8], now: i64, each: Each<'_>) {
    let gone = pending_and_gone(stream);
    let mut missing = gone.iter().copied().peekable();
    for entry in stream.entries.range(StreamId::MIN, StreamId::MAX) {
        while let Some(id) = missing.next_if(|&id| id < entry.id) {
            add_missing(key, id, each);
        }
        let id = entry.id.to_string();
        let mut request = vec![b"XADD".as_slice(), key, id.as_bytes()];
        request.extend(entry.fields.flat_map(|(field, value)| [field, value]));
        each(&request);
    }
    missing.for_each(|id| add_missing(key, id, each));
    for (name, group) in stream.groups.iter() {
        group_requests(group, name, key, now, each);
    }
    let entries = &stream.entries;
    let first = entries.first().map_or(StreamId::MAX, |entry| entry.id);
    let within: Vec<_> = gone.range(first..).collect();
    if within.len() < gone.len() {
        // What XDEL removes the stream remembers, and these it may not.
        let left = entries.len() + within.len();
        each(&[b"XTRIM", key, b"MAXLEN", left.to_string().as_bytes()]);
    }
    for id in within {
        each(&[b"XDEL", key, id.to_string().as_bytes()]);
    }
    let last = entries.last().map(|entry| entry.id).unwrap_or_default();
    let removed = entries.max_deleted_id();
    if !gone.is_empty()
        || last != entries.last_id()
        || entries.added() != entries.len() as u64
        || removed != StreamId::default()
    {
        each(&[
            b"XSETID",
            key,
            entries.last_id().to_string().as_bytes(),
            b"ENTRIESADDED",
            entries.added().to_string().as_bytes(),
            b"MAXDELETEDID",
            removed.to_string().as_bytes(),
        ]);
    }
}

/// Entries that are added only to be removed again: consumers have them, though
/// they are gone, or else there would be none, and so no stream.
fn pending_and_gone(stream: &Stream) -> BTreeSet<StreamId> {
    let mut gone = BTreeSet::new();
    for (_, group) in stream.groups.iter() {
        let mut finder = Finder::new(&stream.entries);
        let pending = group.pending().range(StreamId::default());
        gone.extend(
            pending
                .map(|(id, _)| id)
                .filter(|&id| finder.get(id).is_none()),
        );
    }
    if gone.is_empty() && stream.entries.is_empty() {
        gone.insert(StreamId { ms: 0, seq: 1 });
    }
    gone
}

fn add_missing(key: &[u8], id: StreamId, each: Each<'_>) {
    each(&[b"XADD", key, id.to_string().as_bytes(), b"gone", b""]);
}

fn group_requests(group: &Group, name: &[u8], key: &[u8], now: i64, each: Each<'_>) {
    let last = group.last_id.to_string();
    let read = group.entries_read.unwrap_or(-1).to_string();
    each(&[
        b"XGROUP",
        b"CREATE",
        key,
        name,
        last.as_bytes(),
        b"ENTRIESREAD",
        read.as_bytes(),
    ]);
    for consumer in group.consumers() {
        each(&[b"XGROUP", b"CREATECONSUMER", key, name, &consumer.name]);
    }
    for (id, delivery) in group.pending().range(StreamId::default()) {
        let Delivery {
            time,
            count,
            consumer,
        } = *delivery;
        let idle = now.saturating_sub(time).max(0).to_string();
        each(&[
            b"XCLAIM",
            key,
            name,
            &group.consumer(consumer).name,
            b"0",
            id.to_string().as_bytes(),
            b"IDLE",
            idle.as_bytes(),
            b"RETRYCOUNT",
            count.to_string().as_bytes(),
            b"FORCE",
            b"JUSTID",
        ]);
    }
}
