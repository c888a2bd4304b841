//! The entries of a stream in the format of DUMP.

use std::borrow::Cow;

use super::entries::Entries;
use super::id::StreamId;
use super::node::{Node, NodeLimits};
use crate::error::{Error, Result};
use crate::rdb::{Corrupt, NodeReader, NodeWriter, Reader, Type, Writer};

/// Writes the nodes, and what is remembered of entries that have gone.
pub fn write(entries: &Entries, output: &mut Writer) {
    output.len(entries.node_count());
    for node in entries.nodes().iter() {
        let base = node.base();
        output.string(&key(base).to_be_bytes());
        output.string(&listpack(node));
    }
    output.len(entries.len());
    let first = entries.first().map_or(StreamId::MIN, |entry| entry.id);
    for id in [entries.last_id(), first, entries.max_deleted_id()] {
        output.number(id.ms);
        output.number(id.seq);
    }
    output.number(entries.added());
}

/// The id of a node as Redis writes it.
fn key(base: StreamId) -> u128 {
    u128::from(base.ms) << 64 | u128::from(base.seq)
}

fn listpack(node: &Node) -> Vec<u8> {
    let base = node.base();
    let mut output = NodeWriter::new(node.live(), node.removed(), node.fields());
    for placed in node.iter() {
        let (id, fields) = (placed.entry.id, placed.entry.fields);
        let distance = (
            id.ms.wrapping_sub(base.ms) as i64,
            id.seq.wrapping_sub(base.seq) as i64,
        );
        match placed.is_removed {
            true => output.removed(distance),
            false => output.entry(distance, fields, fields.are_shared()),
        }
    }
    output.finish()
}

/// Reads what [`write()`] has written, or what other versions of Redis do.
pub fn read(input: &mut Reader<'_>, written: Type) -> Result<Entries> {
    let mut entries = Entries::default();
    for _ in 0..input.len()? {
        let key = input.string()?;
        let key = <[u8; 16]>::try_from(&*key).map_err(|_| Corrupt)?;
        let key = u128::from_be_bytes(key);
        let base = StreamId::new((key >> 64) as u64, key as u64);
        read_node(base, &input.string()?, &mut entries)?;
    }
    let len = input.len()?;
    let last_id = id(input)?;
    let (max_deleted, added) = match written {
        Type::StreamListpacks => (StreamId::MIN, len),
        _ => {
            // Which entry is the first is seen.
            id(input)?;
            (id(input)?, input.len()?)
        }
    };
    if len != entries.len() as u64 || last_id < entries.last_id() {
        return Err(Error::DATA_FORMAT);
    }
    entries.set_ids(last_id, Some(added), Some(max_deleted));
    Ok(entries)
}

fn id(input: &mut Reader<'_>) -> Result<StreamId> {
    Ok(StreamId::new(input.len()?, input.len()?))
}

/// Reads a node: nodes ascend, and so do the entries in them.
fn read_node(base: StreamId, listpack: &[u8], entries: &mut Entries) -> Result<()> {
    let mut input = NodeReader::new(listpack)?;
    let (live, removed) = (input.live, input.removed);
    let open = |base, names: &[Cow<'_, [u8]>]| Node::new(base, names.iter().map(|name| &**name), 0);
    let mut last = entries.last_id();
    if base <= last {
        return Err(Error::DATA_FORMAT);
    }
    let mut node = open(base, &input.fields);
    let limits = NodeLimits::of_parts(&node);
    let mut counts = (0, 0);
    while let Some(entry) = input.entry()? {
        let (ms, seq) = entry.distance;
        let ms = base.ms.wrapping_add_signed(ms);
        let id = StreamId::new(ms, base.seq.wrapping_add_signed(seq));
        if entry.is_removed {
            counts.1 += 1;
            if node.admits(0, limits) {
                node.append_removed(id);
            }
            continue;
        }
        if id < base || id <= last {
            return Err(Error::DATA_FORMAT);
        }
        if !node.admits(0, limits) {
            let full = std::mem::replace(&mut node, open(id, &input.fields));
            entries.push_node(full, last);
        }
        let fields = entry
            .fields
            .iter()
            .map(|(field, value)| (&**field, &**value));
        match entry.shares_fields {
            // However long they are, to read an entry takes no longer than it is.
            true => node.append_knowing(id, fields, true),
            false => node.append(id, fields),
        }
        (last, counts.0) = (id, counts.0 + 1);
    }
    if counts != (live, removed) {
        return Err(Error::DATA_FORMAT);
    }
    entries.push_node(node, last);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rdb;

    #[test]
    fn a_node_with_long_fields_is_read_without_repeating_them_for_each_entry() {
        const ENTRIES: usize = 3_000;
        let long = vec![b'x'; 300_000];
        for shares_fields in [true, false] {
            let mut node = NodeWriter::new(ENTRIES, 0, [&long[..]].into_iter());
            for n in 0..ENTRIES {
                let field: &[u8] = if shares_fields { &long } else { b"" };
                let fields = [(field, &b""[..])].into_iter();
                node.entry((0, n as i64), fields, shares_fields);
            }
            let mut output = Writer::default();
            output.len(1);
            output.string(&key(StreamId::new(1, 1)).to_be_bytes());
            output.string(&node.finish());
            output.len(ENTRIES);
            [1, ENTRIES as u64, 1, 1, 0, 0, ENTRIES as u64]
                .into_iter()
                .for_each(|number| output.number(number));
            let payload = output.seal();
            rdb::open(&payload).expect("it is sealed");
            let input = &mut Reader::new(&payload, 1 << 20);
            let entries = read(input, Type::StreamListpacks2).unwrap();
            assert_eq!(entries.len(), ENTRIES);
            let memory = entries.memory();
            assert!(memory < 4 * long.len(), "{memory}");
        }
    }
}
