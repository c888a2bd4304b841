//! The groups of a stream in the format of DUMP, as Redis 7.0 writes it.

use super::entries::Entries;
use super::group::{Delivery, Group, Groups, entries_up_to};
use super::id::StreamId;
use super::id_map::IdMap;
use crate::error::{Error, Result};
use crate::rdb::{Reader, Type, Writer};

/// How many entries were read is written like this if it is not known.
const UNKNOWN: i64 = -1;
/// When a consumer was active is written like this if it never was.
const NEVER: i64 = -1;

impl Groups {
    /// Writes them behind the entries of their stream.
    pub fn write(&self, output: &mut Writer) {
        output.len(self.len());
        for (name, group) in self.iter() {
            output.string(name);
            group.write(output);
        }
    }

    /// Reads them, as part of a stream that was written as `written` and has
    /// these entries.
    pub fn read(input: &mut Reader<'_>, written: Type, entries: &Entries) -> Result<Groups> {
        let mut groups = Groups::default();
        for _ in 0..input.len()? {
            let name = input.string()?;
            let group = Group::read(input, written, entries)?;
            if groups.get(&name).is_some() {
                return Err(Error::DATA_FORMAT);
            }
            groups.insert(&name, group);
        }
        Ok(groups)
    }
}

impl Group {
    fn write(&self, output: &mut Writer) {
        output.number(self.last_id.ms);
        output.number(self.last_id.seq);
        output.number(self.entries_read.unwrap_or(UNKNOWN) as u64);
        output.len(self.pending().len());
        for (id, delivery) in self.pending().range(StreamId::MIN) {
            output.entry_id((id.ms, id.seq));
            output.time(delivery.time);
            output.number(delivery.count);
        }
        output.len(self.consumers().len());
        for consumer in self.consumers() {
            output.string(&consumer.name);
            output.time(consumer.seen);
            output.len(consumer.in_hand().len());
            for (id, ()) in consumer.in_hand().range(StreamId::MIN) {
                output.entry_id((id.ms, id.seq));
            }
        }
    }

    fn read(input: &mut Reader<'_>, written: Type, entries: &Entries) -> Result<Group> {
        let last_id = StreamId::new(input.len()?, input.len()?);
        let entries_read = match written {
            Type::StreamListpacks => entries_up_to(last_id, entries),
            _ => Some(input.len()? as i64).filter(|read| *read != UNKNOWN),
        };
        let mut group = Group::new(last_id, entries_read);
        // What is pending, until a consumer has it: each has one, and no other.
        let mut pending = IdMap::default();
        for _ in 0..input.len()? {
            let id = read_id(input)?;
            if pending.insert(id, (input.time()?, input.len()?)).is_some() {
                return Err(Error::DATA_FORMAT);
            }
        }
        for _ in 0..input.len()? {
            let (name, seen) = (input.string()?, input.time()?);
            if group.find(&name).is_some() {
                return Err(Error::DATA_FORMAT);
            }
            let consumer = group.add_consumer(&name, seen);
            group.consumer_mut(consumer).active = match written {
                Type::StreamListpacks3 => Some(input.time()?).filter(|time| *time != NEVER),
                // Redis 7.2 takes this time for what older ones did not write.
                _ => Some(seen),
            };
            for _ in 0..input.len()? {
                let id = read_id(input)?;
                let (time, count) = pending.remove(id).ok_or(Error::DATA_FORMAT)?;
                group.deliver(
                    id,
                    Delivery {
                        time,
                        count,
                        consumer,
                    },
                );
            }
        }
        match pending.is_empty() {
            true => Ok(group),
            false => Err(Error::DATA_FORMAT),
        }
    }
}

fn read_id(input: &mut Reader<'_>) -> Result<StreamId> {
    let (ms, seq) = input.entry_id()?;
    Ok(StreamId::new(ms, seq))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rdb;

    /// What is written by a few calls.
    fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::default();
        write(&mut writer);
        let mut bytes = writer.seal();
        rdb::open(&bytes).expect("it is sealed");
        // A version and a checksum.
        bytes.truncate(bytes.len() - 10);
        bytes
    }

    fn read(bytes: &[u8], written: Type) -> Result<Groups> {
        Groups::read(&mut Reader::new(bytes, 100), written, &Entries::default())
    }

    /// One group with a consumer, and what is pending, all at the time 9: first
    /// the ids in the group, then those of each consumer.
    fn group(output: &mut Writer, written: Type, pending: &[u64], consumers: &[(&str, &[u64])]) {
        output.string(b"g");
        output.number(7);
        output.number(1);
        if written != Type::StreamListpacks {
            output.number(3);
        }
        output.len(pending.len());
        for id in pending {
            output.entry_id((*id, 0));
            output.time(9);
            output.number(2);
        }
        output.len(consumers.len());
        for (name, in_hand) in consumers {
            output.string(name.as_bytes());
            output.time(9);
            if written == Type::StreamListpacks3 {
                output.time(-1);
            }
            output.len(in_hand.len());
            in_hand.iter().for_each(|id| output.entry_id((*id, 0)));
        }
    }

    #[test]
    fn groups_are_read_in_every_form_and_written_as_redis_7_0_does() {
        let forms = [
            (Type::StreamListpacks, Some(0), Some(9)),
            (Type::StreamListpacks2, Some(3), Some(9)),
            (Type::StreamListpacks3, Some(3), None),
        ];
        for (form, entries_read, active) in forms {
            let bytes = written(|output| {
                output.len(1);
                group(output, form, &[1, 2, 5], &[("b", &[1, 5]), ("c", &[2])]);
            });
            let groups = read(&bytes, form).unwrap();
            let found = groups.get(b"g").unwrap();
            assert_eq!(
                (found.last_id, found.entries_read),
                (StreamId::new(7, 1), entries_read)
            );
            let consumers = found.consumers().map(|consumer| {
                let in_hand = consumer.in_hand().range(StreamId::MIN);
                let in_hand: Vec<_> = in_hand.map(|(id, ())| id.ms).collect();
                (&*consumer.name, in_hand, consumer.active)
            });
            let expected = [
                (b"b".as_slice(), vec![1, 5], active),
                (b"c", vec![2], active),
            ];
            assert!(consumers.eq(expected));
            for end in 0..bytes.len() {
                assert!(read(&bytes[..end], form).is_err(), "{end}");
            }
            if form == Type::StreamListpacks2 {
                assert_eq!(written(|output| groups.write(output)), bytes);
            }
        }
    }

    #[test]
    fn groups_that_cannot_be_are_refused() {
        let form = Type::StreamListpacks2;
        let one = |pending: &[u64], consumers: &[(&str, &[u64])]| {
            let bytes = written(|output| {
                output.len(1);
                group(output, form, pending, consumers);
            });
            read(&bytes, form).is_ok()
        };
        assert!(one(&[], &[]));
        assert!(one(&[5, 1], &[("c", &[1, 5])]));
        assert!(!one(&[1, 1], &[("c", &[1])]), "pending twice");
        assert!(!one(&[1], &[("c", &[1]), ("d", &[1])]), "at two consumers");
        assert!(!one(&[1], &[("c", &[1, 1])]), "twice at one");
        assert!(!one(&[1, 2], &[("c", &[1])]), "at none");
        assert!(!one(&[1], &[("c", &[1, 2])]), "not pending");
        assert!(!one(&[], &[("c", &[]), ("c", &[])]), "the same consumer");
        let twice = written(|output| {
            output.len(2);
            group(output, form, &[], &[]);
            group(output, form, &[], &[]);
        });
        assert!(read(&twice, form).is_err(), "the same group");
        let many = written(|output| output.number(u64::MAX));
        assert!(read(&many, form).is_err());
    }
}
