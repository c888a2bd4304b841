//! Streams: entries in the order of their ids, and the groups of consumers
//! that read them.

mod dump;
mod entries;
mod finder;
mod group;
mod group_dump;
mod id;
mod id_map;
mod node;
mod nodes;

pub use entries::{ENTRY_MAX, Entries, Exactness, Keep};
pub use finder::Finder;
pub use group::{Consumer, Delivery, Group, Groups};
pub use id::{ID_TEXT_MAX, NewId, StreamId};
pub use id_map::IdMap;
pub use node::{Entry, NodeLimits};

use super::kind::{Held, Kind, Stored, Viewed};
use crate::db::Digest;
use crate::error::Result;
use crate::events::KeyspaceEvents;
use crate::rdb::{Reader, Type, Writer};

/// A stream. It stays when its last entry goes.
#[derive(Clone, Default, Debug)]
pub struct Stream {
    /// Its entries.
    pub entries: Entries,
    /// Its groups.
    pub groups: Groups,
}

impl Stream {
    /// What it is.
    pub const KIND: Kind = Kind {
        name: "stream",
        events: KeyspaceEvents::STREAM,
    };
}

impl Stream {
    /// The one that is written there in this way.
    pub fn read(input: &mut Reader<'_>, written: Type) -> Result<Stream> {
        let entries = dump::read(input, written)?;
        let groups = Groups::read(input, written, &entries)?;
        Ok(Stream { entries, groups })
    }
}

impl Held for Stream {
    fn kind(&self) -> Kind {
        Stream::KIND
    }

    fn encoding_name(&self) -> &'static str {
        "stream"
    }

    fn serialize(&self, output: &mut Writer) {
        output.write_as(Type::StreamListpacks2);
        dump::write(&self.entries, output);
        self.groups.write(output);
    }

    fn digest(&self, digest: &mut Digest) {
        const STREAM: u32 = 6;
        digest.append(&STREAM.to_be_bytes());
        for entry in self.entries.range(StreamId::MIN, StreamId::MAX) {
            let id = entry.id;
            digest.append(format!("{}.{}", id.ms, id.seq).as_bytes());
            for (field, value) in entry.fields {
                digest.append(field);
                digest.append(value);
            }
        }
    }
}

impl Stored for Stream {
    fn is_used_up(&self) -> bool {
        false
    }

    fn memory(&self) -> usize {
        size_of::<Stream>() + self.entries.memory() + self.groups.memory()
    }

    fn pieces(&self) -> usize {
        1 + self.entries.node_count() + self.groups.pieces()
    }

    fn free_some(&mut self, budget: &mut usize) -> bool {
        self.entries.free_some(budget) && self.groups.free_some(budget)
    }
}

impl Viewed for Stream {
    type View<'a> = &'a Stream;

    fn view(&self) -> &Stream {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

    /// What a stream is, naively.
    #[derive(Clone, Default, PartialEq, Debug)]
    struct Model {
        entries: BTreeMap<StreamId, Pairs>,
        last_id: StreamId,
        max_deleted_id: StreamId,
        added: u64,
    }

    impl Model {
        fn of(stream: &Stream) -> Model {
            let entries = &stream.entries;
            let all = entries.range(StreamId::MIN, StreamId::MAX);
            Model {
                entries: all.map(|entry| (entry.id, own(entry))).collect(),
                last_id: entries.last_id(),
                max_deleted_id: entries.max_deleted_id(),
                added: entries.added(),
            }
        }

        /// Those that are there from one id to another.
        fn range(&self, start: StreamId, end: StreamId) -> Vec<(StreamId, Pairs)> {
            let all = self.entries.iter();
            let within = all.filter(|(id, _)| (start..=end).contains(*id));
            within.map(|(id, pairs)| (*id, pairs.clone())).collect()
        }
    }

    fn own(entry: Entry<'_>) -> Pairs {
        let pairs = entry.fields;
        assert_eq!(pairs.len(), pairs.count());
        pairs
            .map(|(field, value)| (field.to_vec(), value.to_vec()))
            .collect()
    }

    fn append(stream: &mut Stream, id: StreamId, pairs: &Pairs, limits: NodeLimits) {
        let pairs = pairs.iter().map(|(field, value)| (&field[..], &value[..]));
        stream.entries.append(id, pairs, limits);
    }

    fn dump(stream: &Stream) -> Vec<u8> {
        let mut output = Writer::default();
        stream.serialize(&mut output);
        let mut payload = output.seal();
        payload.truncate(payload.len() - 10);
        payload
    }

    fn load(payload: &[u8]) -> Result<Stream> {
        let mut input = Reader::new(payload, 1 << 20);
        let written = input.written_as()?;
        Stream::read(&mut input, written)
    }

    #[derive(Clone, Debug)]
    enum Step {
        Append(NewId, u64, Pairs),
        Remove(usize),
        RemoveId(StreamId),
        Trim(Keep, Exactness),
        SetIds(StreamId, StreamId),
        Read(StreamId, StreamId),
    }

    /// Few ids close together, so that they meet, and the edges of all.
    fn any_id() -> impl Strategy<Value = StreamId> {
        let part = prop_oneof![0..6u64, 30..40u64, Just(u64::MAX - 1), Just(u64::MAX)];
        (part.clone(), part).prop_map(|(ms, seq)| StreamId::new(ms, seq))
    }

    fn any_pairs() -> impl Strategy<Value = Pairs> {
        let word =
            prop_oneof!["[a-b]{0,2}", "-?[0-9]{1,12}", "x{60,140}",].prop_map(String::into_bytes);
        proptest::collection::vec((word.clone(), word), 1..4)
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let new = prop_oneof![
            4 => Just(NewId::Auto),
            1 => (0..40u64).prop_map(NewId::Ms),
            2 => any_id().prop_map(NewId::Exact),
        ];
        let pairs = prop_oneof![
            2 => Just(vec![(b"f".to_vec(), b"v".to_vec())]),
            1 => any_pairs(),
        ];
        let keep = prop_oneof![
            (0..30u64).prop_map(Keep::MaxLen),
            any_id().prop_map(Keep::MinId),
        ];
        let how = prop_oneof![
            Just(Exactness::Exact),
            (0..9u64).prop_map(|limit| Exactness::Approximate { limit }),
        ];
        prop_oneof![
            20 => (new, 0..50u64, pairs).prop_map(|(new, now, pairs)| Step::Append(new, now, pairs)),
            4 => any::<usize>().prop_map(Step::Remove),
            1 => any_id().prop_map(Step::RemoveId),
            1 => (keep, how).prop_map(|(keep, how)| Step::Trim(keep, how)),
            1 => (any_id(), any_id()).prop_map(|(last, deleted)| Step::SetIds(last, deleted)),
            2 => (any_id(), any_id()).prop_map(|(start, end)| Step::Read(start, end)),
        ]
    }

    fn any_limits() -> impl Strategy<Value = NodeLimits> {
        let bytes = prop_oneof![Just(0u64), 1..200u64, Just(4096)];
        let entries = prop_oneof![Just(0u64), 1..6u64, Just(100)];
        (bytes, entries).prop_map(|(bytes, entries)| NodeLimits::new(bytes, entries))
    }

    fn trim(stream: &mut Stream, model: &mut Model, keep: Keep, how: Exactness) {
        let (gone, cut) = stream.entries.trim(keep, how);
        let ids: Vec<_> = model.entries.keys().copied().collect();
        let asked = match keep {
            Keep::MaxLen(max) => ids.len().saturating_sub(max as usize),
            Keep::MinId(min) => ids.iter().filter(|id| **id < min).count(),
        };
        match how {
            Exactness::Exact => assert_eq!(gone, asked),
            Exactness::Approximate { limit: 0 } => assert!(gone <= asked),
            Exactness::Approximate { limit } => assert!(gone <= asked.min(limit as usize)),
        }
        model.entries = model
            .entries
            .split_off(ids.get(gone).unwrap_or(&StreamId::MAX));
        if gone == ids.len() {
            model.entries.clear();
        }
        let mut cut = cut.range(StreamId::MIN, StreamId::MAX);
        assert!(cut.all(|entry| ids[..gone].contains(&entry.id)));
    }

    proptest! {
        #[test]
        fn a_stream_is_what_a_map_by_id_is(
            limits in any_limits(),
            steps in proptest::collection::vec(any_step(), 1..120),
        ) {
            let (mut stream, mut model) = (Stream::default(), Model::default());
            for step in steps {
                match step {
                    Step::Append(new, now, pairs) => {
                        let Some(id) = stream.entries.next_id(new, now) else {
                            continue;
                        };
                        prop_assert!(id > model.last_id);
                        append(&mut stream, id, &pairs, limits);
                        model.entries.insert(id, pairs);
                        model.last_id = id;
                        model.added += 1;
                    }
                    Step::Remove(at) => {
                        let len = model.entries.len().max(1);
                        let Some(id) = model.entries.keys().nth(at % len).copied() else {
                            continue;
                        };
                        model.entries.remove(&id);
                        model.max_deleted_id = model.max_deleted_id.max(id);
                        prop_assert!(stream.entries.remove(id));
                        prop_assert!(!stream.entries.remove(id));
                    }
                    Step::RemoveId(id) => {
                        let was_there = model.entries.remove(&id).is_some();
                        if was_there {
                            model.max_deleted_id = model.max_deleted_id.max(id);
                        }
                        prop_assert_eq!(stream.entries.remove(id), was_there);
                    }
                    Step::Trim(keep, how) => trim(&mut stream, &mut model, keep, how),
                    Step::SetIds(last, deleted) => {
                        let top = model.entries.keys().next_back();
                        if top.is_none_or(|top| *top <= last) {
                            (model.last_id, model.max_deleted_id) = (last, deleted);
                            stream.entries.set_ids(last, None, Some(deleted));
                        }
                    }
                    Step::Read(start, end) => {
                        let expected = model.range(start, end);
                        let entries = &stream.entries;
                        let read: Vec<_> = entries.range(start, end).map(|e| (e.id, own(e))).collect();
                        prop_assert_eq!(&read, &expected);
                        let mut back: Vec<_> =
                            entries.range_rev(start, end).map(|e| (e.id, own(e))).collect();
                        back.reverse();
                        prop_assert_eq!(&back, &expected);
                        prop_assert_eq!(entries.count(start, end, usize::MAX), expected.len());
                        prop_assert_eq!(entries.count(start, end, 3), expected.len().min(3));
                        let found = entries.range(start, start).next().map(own);
                        prop_assert_eq!(found.as_ref(), model.entries.get(&start));
                    }
                }
                prop_assert_eq!(stream.entries.len(), model.entries.len());
                let edges = [stream.entries.first(), stream.entries.last()];
                let ids = edges.map(|entry| entry.map(|entry| entry.id));
                let keys = model.entries.keys().copied();
                prop_assert_eq!(ids, [keys.clone().next(), keys.clone().next_back()]);
            }
            prop_assert_eq!(&Model::of(&stream), &model);
            let loaded = load(&dump(&stream)).unwrap();
            prop_assert_eq!(&Model::of(&loaded), &model);
            prop_assert_eq!(loaded.entries.node_count(), stream.entries.node_count());
        }

        #[test]
        fn what_is_no_stream_is_refused_or_is_one(
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut stream = Stream::default();
            for n in 0..9u64 {
                let value = n.to_string().into_bytes();
                let pairs = vec![(b"f".to_vec(), value), (b"g".to_vec(), b"x".to_vec())];
                append(&mut stream, StreamId::new(5 + n / 3, n), &pairs, NodeLimits::new(0, 4));
            }
            stream.entries.remove(StreamId::new(5, 1));
            let mut payload = dump(&stream);
            let len = payload.len();
            payload[at.index(len)] = byte;
            for payload in [&payload[..], &payload[..cut.index(len)]] {
                if let Ok(loaded) = load(payload) {
                    let model = Model::of(&loaded);
                    prop_assert_eq!(loaded.entries.len(), model.entries.len());
                    let back = loaded.entries.range_rev(StreamId::MIN, StreamId::MAX);
                    prop_assert_eq!(back.count(), model.entries.len());
                    prop_assert!(model.entries.keys().all(|id| *id <= model.last_id));
                }
            }
        }
    }
}
