//! The consumer groups of a stream: how far each has read, who its consumers
//! are, and what was delivered to them and is not acknowledged yet.
//!
//! What is pending stands once in the group, with its owner's number, and its
//! id once more with the owner. An id is pending at one consumer or at none.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::entries::Entries;
use super::id::StreamId;
use super::id_map::{CHUNK, IdMap};
use crate::db::memory::places::Places;

/// All groups of a stream, in the order of their names.
#[derive(Clone, Default, Debug)]
pub struct Groups {
    by_name: BTreeMap<Box<[u8]>, Box<Group>>,
}

/// A group.
#[derive(Clone, Default, Debug)]
pub struct Group {
    /// The id up to which its consumers have read.
    pub last_id: StreamId,
    /// How many of the entries that the stream has ever had are up to there, if
    /// that is known.
    pub entries_read: Option<i64>,
    pending: IdMap<Delivery>,
    numbers: BTreeMap<Arc<[u8]>, u32>,
    consumers: Places<Box<Consumer>>,
    /// Bytes of memory that these hold, those of a clone perhaps a little less.
    consumers_bytes: usize,
}

/// What is known of a pending entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C, packed(4))]
pub struct Delivery {
    /// When it was delivered last, in milliseconds since 1970.
    pub time: i64,
    /// How many times it was.
    pub count: u64,
    /// The number of the consumer that has it.
    pub consumer: u32,
}

/// A consumer of a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Its name.
    pub name: Arc<[u8]>,
    /// When it asked for something last, in milliseconds since 1970.
    pub seen: i64,
    /// When it got something last; `None` if it never did.
    pub active: Option<i64>,
    in_hand: IdMap<()>,
}

/// Of many groups so many are looked at to tell what all of them hold.
const SAMPLE: usize = 16;

impl Groups {
    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// The groups with their names, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Group)> {
        self.by_name.iter().map(|(name, group)| (&**name, &**group))
    }

    /// The group of this name.
    pub fn get(&self, name: &[u8]) -> Option<&Group> {
        self.by_name.get(name).map(|group| &**group)
    }

    /// [`get`](Self::get), to change it.
    pub fn get_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.by_name.get_mut(name).map(|group| &mut **group)
    }

    /// Adds a group of a name that none has.
    pub fn insert(&mut self, name: &[u8], group: Group) {
        self.by_name.insert(name.into(), Box::new(group));
    }

    /// Takes a group out: what is left of it is to be freed.
    pub fn remove(&mut self, name: &[u8]) -> Option<Groups> {
        let by_name = self.by_name.remove_entry(name)?;
        Some(Groups {
            by_name: BTreeMap::from([by_name]),
        })
    }

    /// Groups that are only there to be freed.
    fn of(group: Group) -> Groups {
        let mut groups = Groups::default();
        groups.insert(b"", group);
        groups
    }

    /// What all hold together, told from some of them.
    fn sum(&self, held: impl Fn(&Group) -> usize) -> usize {
        let some = self.by_name.values().take(SAMPLE);
        let sum: usize = some.map(|group| held(group)).sum();
        sum * self.len().max(SAMPLE) / SAMPLE
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        // A node of a map is two thirds full on average.
        const NAME: usize = size_of::<(Box<[u8]>, Box<Group>)>() * 3 / 2;
        self.sum(|group| NAME + size_of::<Group>() + group.memory())
    }

    /// In how many pieces they are held.
    pub fn pieces(&self) -> usize {
        self.sum(|group| 2 + group.pieces())
    }

    /// Frees some pieces, as many as `budget` has left; answers whether these
    /// were all.
    pub fn free_some(&mut self, budget: &mut usize) -> bool {
        while *budget > 0 {
            let Some(mut first) = self.by_name.first_entry() else {
                return true;
            };
            if first.get_mut().free_some(budget) {
                *budget = budget.saturating_sub(2);
                first.remove();
            }
        }
        self.by_name.is_empty()
    }
}

impl Group {
    /// One that has read up to an id, which makes so many entries, if that is
    /// known.
    pub fn new(last_id: StreamId, entries_read: Option<i64>) -> Group {
        Group {
            last_id,
            entries_read,
            ..Group::default()
        }
    }

    /// What is pending.
    pub fn pending(&self) -> &IdMap<Delivery> {
        &self.pending
    }

    /// The consumers in the order of their names.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = &Consumer> {
        let numbers = self.numbers.values();
        numbers.map(|number| self.consumer(*number))
    }

    /// The number of the consumer of this name.
    pub fn find(&self, name: &[u8]) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// The consumer that has this number.
    pub fn consumer(&self, number: u32) -> &Consumer {
        &self.consumers[number as usize]
    }

    /// [`consumer`](Self::consumer), to change it.
    pub fn consumer_mut(&mut self, number: u32) -> &mut Consumer {
        &mut self.consumers[number as usize]
    }

    /// Adds a consumer of a name that none has, seen at a time; answers its
    /// number.
    pub fn add_consumer(&mut self, name: &[u8], seen: i64) -> u32 {
        let name: Arc<[u8]> = name.into();
        let consumer = Consumer {
            name: name.clone(),
            seen,
            active: None,
            in_hand: IdMap::default(),
        };
        self.consumers_bytes += consumer.memory();
        let number = self.consumers.insert(Box::new(consumer));
        self.numbers.insert(name, number);
        number
    }

    /// Takes a consumer out, with all that it has in hand: how much that was,
    /// and what is to be freed.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<(usize, Groups)> {
        let number = self.numbers.remove(name)?;
        let consumer = self.consumers.remove(number as usize);
        self.consumers_bytes -= consumer.memory();
        let count = consumer.in_hand.len();
        // To find each takes longer than to look at all, unless they are few.
        const FEW: usize = 16;
        if count < self.pending.len() / FEW {
            for (id, ()) in consumer.in_hand.range(StreamId::MIN) {
                self.pending.remove(id);
            }
        } else {
            self.pending.retain(|delivery| delivery.consumer != number);
        }
        let mut rest = Group {
            consumers_bytes: consumer.memory(),
            ..Group::default()
        };
        rest.numbers.insert(consumer.name.clone(), 0);
        rest.consumers.insert(consumer);
        Some((count, Groups::of(rest)))
    }

    /// Has an entry be pending as it says, whoever had it before.
    pub fn deliver(&mut self, id: StreamId, delivery: Delivery) {
        let consumer = delivery.consumer;
        let old = self.pending.insert(id, delivery).map(|old| old.consumer);
        if old == Some(consumer) {
            return;
        }
        if let Some(old) = old {
            self.change_in_hand(old, |in_hand| _ = in_hand.remove(id));
        }
        self.change_in_hand(consumer, |in_hand| _ = in_hand.insert(id, ()));
    }

    fn change_in_hand(&mut self, number: u32, change: impl FnOnce(&mut IdMap<()>)) {
        let in_hand = &mut self.consumers[number as usize].in_hand;
        let before = in_hand.memory();
        change(in_hand);
        self.consumers_bytes = self.consumers_bytes + in_hand.memory() - before;
    }

    /// Shows what a consumer has in hand, from an id on and so many at most, as
    /// it is delivered again.
    pub fn deliver_again(
        &mut self,
        consumer: u32,
        start: StreamId,
        count: usize,
        mut each: impl FnMut(StreamId, &mut Delivery),
    ) {
        let Group {
            pending, consumers, ..
        } = self;
        let in_hand = consumers[consumer as usize].in_hand.range(start);
        for (id, ()) in in_hand.take(count) {
            if let Some(delivery) = pending.get_mut(id) {
                each(id, delivery);
            }
        }
    }

    /// An entry is no longer pending; answers whether it was.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(delivery) = self.pending.remove(id) else {
            return false;
        };
        self.change_in_hand(delivery.consumer, |in_hand| _ = in_hand.remove(id));
        true
    }

    /// Notes that the entry `id` of the stream was read, which is behind all
    /// that were.
    pub fn advance(&mut self, id: StreamId, entries: &Entries) {
        match &mut self.entries_read {
            Some(read) if !has_gap(id, entries) => *read = read.wrapping_add(1),
            _ if entries.added() > 0 => self.entries_read = entries_up_to(id, entries),
            _ => {}
        }
        self.last_id = id;
    }

    /// How many of the stream's entries are still to be read, if that is known.
    pub fn lag(&self, entries: &Entries) -> Option<i64> {
        if entries.added() == 0 {
            return Some(0);
        }
        let read = match self.entries_read {
            Some(read) if !has_gap(self.last_id, entries) => read,
            _ => entries_up_to(self.last_id, entries)?,
        };
        Some((entries.added() as i64).wrapping_sub(read))
    }

    /// Bytes of memory held, without the group itself.
    fn memory(&self) -> usize {
        self.pending.memory() + self.consumers.memory() + self.consumers_bytes
    }

    /// In how many pieces it is held, about.
    fn pieces(&self) -> usize {
        // What consumers have in hand stands in chunks of two pieces.
        const PIECE: usize = CHUNK * size_of::<StreamId>() / 2;
        self.pending.pieces() + 5 * self.consumers.len() + self.consumers_bytes / PIECE
    }

    fn free_some(&mut self, budget: &mut usize) -> bool {
        while *budget > 0 && self.pending.free_some(budget) {
            let Some(first) = self.numbers.first_entry() else {
                return true;
            };
            let number = *first.get() as usize;
            let consumer = &mut self.consumers[number];
            self.consumers_bytes -= consumer.memory();
            if consumer.in_hand.free_some(budget) {
                *budget = budget.saturating_sub(3);
                first.remove();
                self.consumers.remove(number);
            } else {
                self.consumers_bytes += consumer.memory();
            }
        }
        false
    }
}

impl Consumer {
    /// The ids of what it has in hand.
    pub fn in_hand(&self) -> &IdMap<()> {
        &self.in_hand
    }

    /// Bytes of memory held, those for its name among all included.
    fn memory(&self) -> usize {
        // A node of a map is two thirds full on average.
        const NAMED: usize = size_of::<(Arc<[u8]>, u32)>() * 3 / 2 + 2 * size_of::<usize>();
        NAMED + self.name.len() + size_of::<Consumer>() + self.in_hand.memory()
    }
}

/// Whether an entry that was removed may have been at this id or behind it,
/// among those that are there.
fn has_gap(id: StreamId, entries: &Entries) -> bool {
    let removed = entries.max_deleted_id();
    removed != StreamId::MIN
        && id <= removed
        && first_id(entries).is_some_and(|first| first <= removed)
}

fn first_id(entries: &Entries) -> Option<StreamId> {
    entries.first().map(|entry| entry.id)
}

/// How many of the entries that the stream has ever had are up to this id, if
/// that can be told.
pub fn entries_up_to(id: StreamId, entries: &Entries) -> Option<i64> {
    let added = entries.added() as i64;
    if added == 0 || entries.is_empty() && id <= entries.last_id() {
        return Some(added);
    }
    if id >= entries.last_id() {
        return (id == entries.last_id()).then_some(added);
    }
    let first = first_id(entries).unwrap_or_default();
    let removed = entries.max_deleted_id();
    if removed != StreamId::MIN && removed >= first {
        return None;
    }
    let before = added.wrapping_sub(entries.len() as i64);
    match id.cmp(&first) {
        Ordering::Less => Some(before),
        Ordering::Equal => Some(before.wrapping_add(1)),
        Ordering::Greater => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is pending in the model: by id, at whom, since when, how often.
    type Model = BTreeMap<StreamId, (u32, i64, u64)>;

    fn id(n: u64) -> StreamId {
        StreamId::new(n / 3, n % 3)
    }

    fn check(group: &Group, model: &Model) {
        let pending = group.pending().range(StreamId::MIN);
        let pending = pending.map(|(id, d)| (id, (d.consumer, d.time, d.count)));
        assert!(pending.eq(model.iter().map(|(id, delivery)| (*id, *delivery))));
        let mut in_hand = 0;
        for consumer in group.consumers() {
            let number = group.find(&consumer.name).unwrap();
            let ids = consumer.in_hand().range(StreamId::MIN).map(|(id, ())| id);
            let theirs = model.iter().filter(|(_, (owner, ..))| *owner == number);
            assert!(ids.eq(theirs.map(|(id, _)| *id)), "{number}");
            in_hand += consumer.in_hand().len();
        }
        assert_eq!(in_hand, model.len());
    }

    #[test]
    fn what_is_delivered_is_pending_at_one_consumer_until_it_is_acknowledged() {
        let mut rng = fastrand::Rng::with_seed(11);
        let (mut group, mut model) = (Group::default(), Model::new());
        let names: Vec<Vec<u8>> = (0..5u8).map(|n| vec![b'c', n]).collect();
        let mut next = 0;
        for round in 0..40_000 {
            let name = &names[rng.usize(..names.len())];
            let some = id(rng.u64(..=next));
            let found = group.find(name);
            let is_full = model.len() > 3_000;
            match rng.u32(..100) {
                0..50 if !is_full => {
                    let consumer = found.unwrap_or_else(|| group.add_consumer(name, round));
                    let delivery = Delivery {
                        time: round,
                        count: 1,
                        consumer,
                    };
                    group.deliver(id(next), delivery);
                    model.insert(id(next), (consumer, round, 1));
                    next += rng.u64(1..4);
                }
                50..60 => {
                    if let (Some(consumer), Some(old)) = (found, group.pending().get(some)) {
                        let count = old.count + 1;
                        let delivery = Delivery {
                            time: round,
                            count,
                            consumer,
                        };
                        group.deliver(some, delivery);
                        model.insert(some, (consumer, round, count));
                    }
                }
                60..70 => {
                    if let Some(consumer) = found {
                        group.deliver_again(consumer, some, 3, |_, delivery| delivery.count += 1);
                        let theirs = model.range_mut(some..);
                        let theirs = theirs.filter(|(_, (owner, ..))| *owner == consumer);
                        theirs.take(3).for_each(|(_, (_, _, count))| *count += 1);
                    }
                }
                70 if round % 7 == 0 => {
                    let removed = group.remove_consumer(name).map(|(count, _)| count);
                    let before = model.len();
                    model.retain(|_, (owner, ..)| Some(*owner) != found);
                    assert_eq!(removed, found.map(|_| before - model.len()));
                }
                71..75 => {
                    // The first ones, as a worker does it that is not behind.
                    let first = group.pending().first().unwrap_or_default();
                    assert_eq!(group.acknowledge(first), model.remove(&first).is_some());
                }
                _ => assert_eq!(group.acknowledge(some), model.remove(&some).is_some()),
            }
            if round % 100 == 0 {
                check(&group, &model);
                let held = group.consumers().map(Consumer::memory).sum::<usize>();
                assert_eq!(group.consumers_bytes, held);
            }
        }
        check(&group, &model);
        assert!(model.len() > 500, "{}", model.len());
        let copy = group.clone();
        names
            .iter()
            .for_each(|name| _ = group.remove_consumer(name));
        check(&group, &Model::new());
        check(&copy, &model);
    }

    #[test]
    fn a_group_with_much_pending_is_freed_in_steps() {
        let mut group = Group::default();
        let consumers = [b"a", b"b"].map(|name| group.add_consumer(name, 0));
        for n in 0..100_000 {
            let delivery = Delivery {
                time: 0,
                count: 1,
                consumer: consumers[n as usize % 2],
            };
            group.deliver(id(n), delivery);
        }
        (0..1_000u32).for_each(|n| _ = group.add_consumer(&n.to_le_bytes(), 0));
        let mut groups = Groups::default();
        groups.insert(b"g", group);
        let (full, pieces) = (groups.memory(), groups.pieces());
        assert!((5_000_000..7_000_000).contains(&full), "{full}");
        let mut removed = groups.remove(b"g").unwrap();
        let mut steps = 1;
        while !removed.free_some(&mut 100) {
            steps += 1;
        }
        let expected = pieces / 200..pieces / 50;
        assert!(expected.contains(&steps), "{steps} steps for {pieces}");
        assert_eq!((removed.len(), groups.len()), (0, 0));
    }
}
