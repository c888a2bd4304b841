//! Strings as arrays of bits, the highest of the first byte first.
//!
//! Those that see integers in them are in [`super::bitfield`].

use std::collections::HashSet;
use std::ops::Range;

use crate::db::{Db, Edited, Expiry, Handle};
use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::table::vocabulary::{
    BITMAP, GROW, MODIFY_KEY, OVERWRITE_KEY, READ, READ_FAST, READ_KEY,
};
use crate::table::{Args, Handler, Row};
use crate::text::number;

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "setbit", arity: 4, flags: GROW, keys: &[MODIFY_KEY],
        usage: "key:key offset:integer value:integer", since: "2.2.0",
        summary: "Sets or clears a bit of a string, which grows up to there, and answers what it was.",
        handler: Handler::Data(setbit),
        ..BITMAP
    },
    Row {
        name: "getbit", arity: 3, flags: READ_FAST, keys: &[READ_KEY],
        usage: "key:key offset:integer", since: "2.2.0",
        summary: "A bit of a string; 0 behind its end.", handler: Handler::Data(getbit),
        ..BITMAP
    },
    Row {
        name: "bitcount", arity: -2, flags: READ, keys: &[READ_KEY],
        usage: "key:key [index(start:integer end:integer [index_unit(BYTE|BIT)@7.0.0])]",
        since: "2.6.0", complexity: "O(N)",
        history: &[("7.0.0", "Added the `BYTE|BIT` option.")],
        summary: "How many bits of a string, or of a part of it, are set.",
        handler: Handler::Data(bitcount),
        ..BITMAP
    },
    Row {
        name: "bitpos", arity: -3, flags: READ, keys: &[READ_KEY],
        usage: "key:key bit:integer [index(start:integer \
            [end_index(end:integer [index_unit(BYTE|BIT)@7.0.0])])]",
        since: "2.8.7", complexity: "O(N)",
        history: &[("7.0.0", "Added the `BYTE|BIT` option.")],
        summary: "The place of the first bit of a string, or of a part of it, that is set or clear.",
        handler: Handler::Data(bitpos),
        ..BITMAP
    },
    Row {
        name: "bitop", arity: -4, flags: GROW, keys: &[OVERWRITE_KEY.at(2), READ_KEY.at(3).all()],
        usage: "operation destkey:key key:key...", since: "2.6.0", complexity: "O(N)",
        summary: "Combines the bits of strings with AND, OR, XOR or NOT, and stores the result.",
        handler: Handler::Data(bitop),
        ..BITMAP
    },
];

fn setbit(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, offset) = (
        args.next()?,
        bit_offset(args.next()?, 1, db.limits().string)?,
    );
    let set = args.int_in(0..=1, Error::BIT_VALUE)? == 1;
    let (place, bit) = ((offset / 8) as usize, 0x80 >> (offset % 8));
    let found = db.lookup(key);
    let byte = bytes(db, found)?.get(place).copied();
    let was_set = byte.is_some_and(|byte| byte & bit != 0);
    match found {
        // Nothing is copied that somebody is still reading.
        Some(handle) if byte.is_some() && was_set == set => db.make_raw(key, handle)?,
        _ => db.modify_string(key, found, place + 1, |bytes| {
            match set {
                true => bytes[place] |= bit,
                false => bytes[place] &= !bit,
            }
            Edited::Changed("setbit", 1, ())
        })?,
    }
    reply.int(i64::from(was_set));
    Ok(())
}

fn getbit(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, offset) = (
        args.next()?,
        bit_offset(args.next()?, 1, db.limits().string)?,
    );
    let found = db.read(key);
    let byte = bytes(db, found)?.get((offset / 8) as usize);
    let is_set = byte.is_some_and(|byte| byte & (0x80 >> (offset % 8)) != 0);
    reply.int(i64::from(is_set));
    Ok(())
}

/// The place of a bit that is counted in `size` bits; its byte is one that a
/// string of `limit` bytes has.
pub fn bit_offset(text: &[u8], size: u64, limit: usize) -> Result<u64> {
    let count = number::parse_i64(text).and_then(|count| u64::try_from(count).ok());
    let offset = count.and_then(|count| count.checked_mul(size));
    offset
        .filter(|offset| offset / 8 < limit as u64)
        .ok_or(Error::BIT_OFFSET)
}

/// The string; a missing key counts as an empty one.
fn bytes<'a>(db: &'a Db<'_>, found: Option<Handle>) -> Result<&'a [u8]> {
    match found {
        Some(handle) => Ok(db.string(handle)?.bytes()),
        None => Ok(&[]),
    }
}

fn bitcount(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    // A missing key is told before anything else is looked at.
    let Some(string) = db.read_string(args.next()?)? else {
        reply.int(0);
        return Ok(());
    };
    let bytes = string.bytes();
    let range = match args.remaining() {
        0 => 0..bits(bytes),
        2 | 3 => {
            let (start, end) = (args.int()?, args.int()?);
            // Both before the first bit would become 0 and 0, which is the first.
            if start < 0 && end < 0 && start > end {
                reply.int(0);
                return Ok(());
            }
            unit(&mut args)?.range(start, end, bytes)
        }
        _ => return Err(Error::SYNTAX),
    };
    reply.int(count(bytes, range) as i64);
    Ok(())
}

fn bitpos(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, bit) = (args.next()?, args.int()?);
    let set = match bit {
        0 | 1 => bit == 1,
        _ => return Err(Error::BIT_NOT_0_OR_1),
    };
    // A missing key is told before anything else is looked at.
    let Some(string) = db.read_string(key)? else {
        reply.int(-bit);
        return Ok(());
    };
    let bytes = string.bytes();
    let open = args.remaining() < 2;
    let range = match args.remaining() {
        0 => 0..bits(bytes),
        1 => Unit::Byte.range(args.int()?, -1, bytes),
        2 | 3 => {
            let start = args.int()?;
            let mut last = args;
            last.next()?;
            let unit = unit(&mut last)?;
            unit.range(start, args.int()?, bytes)
        }
        _ => return Err(Error::SYNTAX),
    };
    let end = range.end;
    let place = match position(bytes, range.clone(), set) {
        // Behind a string that does not end, there are only zeros.
        None if open && !set && !range.is_empty() => Some(end),
        place => place,
    };
    reply.int(place.map_or(-1, |place| place as i64));
    Ok(())
}

/// What the ends of a range count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Byte,
    Bit,
}

/// The unit of a range, which may be told behind it.
fn unit(args: &mut Args<'_>) -> Result<Unit> {
    if args.remaining() == 0 || args.keyword("BYTE") {
        Ok(Unit::Byte)
    } else if args.keyword("BIT") {
        Ok(Unit::Bit)
    } else {
        Err(Error::SYNTAX)
    }
}

impl Unit {
    /// The bits from `start` to `end`, both included; negative ones count from
    /// the end, and what is not in the string is left out.
    fn range(self, start: i64, end: i64, bytes: &[u8]) -> Range<u64> {
        let size = match self {
            Unit::Byte => 8,
            Unit::Bit => 1,
        };
        let len = (bits(bytes) / size) as i64;
        let from_front = |index: i64| if index < 0 { index + len } else { index }.max(0);
        let (start, end) = (from_front(start), from_front(end).min(len - 1) + 1);
        if start < end {
            start as u64 * size..end as u64 * size
        } else {
            0..0
        }
    }
}

/// How many bits there are.
fn bits(bytes: &[u8]) -> u64 {
    bytes.len() as u64 * 8
}

/// The bytes that have bits of a range, which is not empty, and of the first
/// and of the last one the bits that are in it.
fn cut(bytes: &[u8], range: Range<u64>) -> (&[u8], u8, u8) {
    let last = range.end - 1;
    let part = &bytes[(range.start / 8) as usize..=(last / 8) as usize];
    (part, 0xff >> (range.start % 8), !0 << (7 - last % 8))
}

/// How many bits of a range are set.
fn count(bytes: &[u8], range: Range<u64>) -> u64 {
    if range.is_empty() {
        return 0;
    }
    let (part, first, last) = cut(bytes, range);
    let ones = |byte: u8| u64::from(byte.count_ones());
    let left_out = ones(part[0] & !first) + ones(part[part.len() - 1] & !last);
    let (words, rest) = part.as_chunks();
    let whole = words
        .iter()
        .map(|&word| u64::from_ne_bytes(word).count_ones() as u64);
    whole.sum::<u64>() + rest.iter().map(|&byte| ones(byte)).sum::<u64>() - left_out
}

/// The place of the first bit of a range that is set, or that is not.
fn position(bytes: &[u8], range: Range<u64>, set: bool) -> Option<u64> {
    if range.is_empty() {
        return None;
    }
    let (part, first, _) = cut(bytes, range.clone());
    let none = if set { 0 } else { 0xff };
    let has = |&byte: &u8| byte != none;
    let begin = (part[0] ^ none) & first;
    let at = if begin != 0 {
        0
    } else {
        let (blocks, _) = part[1..].as_chunks::<32>();
        let skipped = blocks.iter().take_while(|&block| *block == [none; 32]);
        let skipped = 1 + skipped.count() * 32;
        skipped + part[skipped..].iter().position(has)?
    };
    let byte = if at == 0 { begin } else { part[at] ^ none };
    let place = (range.start / 8 + at as u64) * 8 + u64::from(byte.leading_zeros());
    (place < range.end).then_some(place)
}

fn bitop(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let operation = Operation::parse(args.next()?)?;
    let target = args.next()?;
    if operation == Operation::Not && args.remaining() != 1 {
        return Err(Error::BITOP_NOT_KEYS);
    }
    let mut sources = HashSet::<Handle, foldhash::fast::RandomState>::default();
    let (mut len, mut all_there) = (0, true);
    for key in args.rest() {
        let Some(handle) = db.read(key) else {
            all_there = false;
            continue;
        };
        len = len.max(db.string(handle)?.len());
        // Twice the same is once or, for XOR, nothing: a short request must not
        // have a long string gone through a thousand times.
        if !sources.insert(handle) && operation == Operation::Xor {
            sources.remove(&handle);
        }
    }
    let result = match operation {
        // A missing key is a string of zeros.
        Operation::And if !all_there => vec![0; len],
        _ => {
            let strings = sources.iter().map(|&handle| bytes(db, Some(handle)));
            operation.combine(&strings.collect::<Result<Vec<_>>>()?, len)
        }
    };
    if len > 0 {
        let found = db.lookup(target);
        db.put_string(target, found, result, Expiry::Clear, Some("set"), 1)?;
    } else {
        db.clear(target);
    }
    reply.len(len);
    Ok(())
}

/// How BITOP combines strings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
}

/// So many bytes of the result stay in the processor's cache while all strings
/// are gone through.
const BLOCK: usize = 16 * 1024;

impl Operation {
    fn parse(word: &[u8]) -> Result<Operation> {
        Ok(match &word.to_ascii_lowercase()[..] {
            b"and" => Operation::And,
            b"or" => Operation::Or,
            b"xor" => Operation::Xor,
            b"not" => Operation::Not,
            _ => return Err(Error::SYNTAX),
        })
    }

    /// What the strings make together, `len` bytes. None is longer, and a
    /// shorter one counts as if zeros followed.
    fn combine(self, strings: &[&[u8]], len: usize) -> Vec<u8> {
        let Some((first, others)) = strings.split_first() else {
            return vec![0; len];
        };
        let mut result = Vec::with_capacity(len);
        for start in (0..len).step_by(BLOCK) {
            let range = start..len.min(start + BLOCK);
            result.extend_from_slice(part(first, &range));
            result.resize(range.end, 0);
            let block = &mut result[start..];
            for part in others.iter().map(|string| part(string, &range)) {
                let (both, behind) = block.split_at_mut(part.len());
                let both = both.iter_mut().zip(part);
                match self {
                    Operation::And => {
                        both.for_each(|(to, from)| *to &= from);
                        behind.fill(0);
                    }
                    Operation::Or => both.for_each(|(to, from)| *to |= from),
                    Operation::Xor => both.for_each(|(to, from)| *to ^= from),
                    Operation::Not => {}
                }
            }
            if self == Operation::Not {
                block.iter_mut().for_each(|byte| *byte = !*byte);
            }
        }
        result
    }
}

/// What a string has of the bytes of a range.
fn part<'a>(string: &'a [u8], range: &Range<usize>) -> &'a [u8] {
    let end = string.len().min(range.end);
    string.get(range.start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Data;
    use proptest::prelude::*;

    /// Each bit by itself.
    fn bit_by_bit(bytes: &[u8]) -> Vec<bool> {
        let bits = bytes
            .iter()
            .flat_map(|byte| (0..8).map(move |n| byte & (0x80 >> n) != 0));
        bits.collect()
    }

    /// Mostly runs of the same byte, so that whole blocks are skipped.
    fn strings() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![3 => Just(0), 3 => Just(0xff), 1 => any::<u8>()];
        let run = (byte, 0..50_usize).prop_map(|(byte, len)| vec![byte; len]);
        prop::collection::vec(run, 0..6).prop_map(|runs| runs.concat())
    }

    proptest! {
        #[test]
        fn bits_are_counted_and_found_as_one_by_one(
            bytes in strings(),
            ends in (-400..400_i64, -400..400_i64),
            by_bits: bool,
            set: bool,
        ) {
            let all = bit_by_bit(&bytes);
            let (unit, size) = if by_bits { (Unit::Bit, 1) } else { (Unit::Byte, 8) };
            let len = all.len() as i64 / size;
            let [start, end] = [ends.0, ends.1].map(|end| if end < 0 { (end + len).max(0) } else { end });
            let is_in = |&place: &usize| (start..=end).contains(&(place as i64 / size));
            let within = || (0..all.len()).filter(is_in);
            let range = unit.range(ends.0, ends.1, &bytes);
            prop_assert_eq!(range.clone().count(), within().count());
            let ones = within().filter(|&place| all[place]).count();
            prop_assert_eq!(count(&bytes, range.clone()), ones as u64);
            let first = within().find(|&place| all[place] == set);
            prop_assert_eq!(position(&bytes, range, set), first.map(|place| place as u64));
        }

        #[test]
        fn strings_are_combined_as_bit_by_bit(strings in prop::collection::vec(strings(), 1..5)) {
            let len = strings.iter().map(Vec::len).max().unwrap();
            let shown: Vec<_> = strings.iter().map(|string| bit_by_bit(string)).collect();
            let columns = (0..len * 8).map(|place| {
                let bits = shown.iter().map(|bits| bits.get(place) == Some(&true));
                bits.collect::<Vec<_>>()
            });
            let columns: Vec<_> = columns.collect();
            let borrowed: Vec<&[u8]> = strings.iter().map(Vec::as_slice).collect();
            for (operation, of) in [
                (Operation::And, (|bits: &[bool]| bits.iter().all(|&bit| bit)) as fn(&[bool]) -> bool),
                (Operation::Or, |bits| bits.contains(&true)),
                (Operation::Xor, |bits| bits.iter().filter(|&&bit| bit).count() % 2 == 1),
                (Operation::Not, |bits| !bits[0]),
            ] {
                let sources = if operation == Operation::Not { &borrowed[..1] } else { &borrowed };
                let len = if operation == Operation::Not { strings[0].len() } else { len };
                let result = operation.combine(sources, len);
                let expected: Vec<bool> = columns[..len * 8].iter().map(|bits| of(bits)).collect();
                prop_assert_eq!(bit_by_bit(&result), expected, "{:?}", operation);
            }
        }
    }

    #[test]
    fn each_change_has_its_events_in_redis_order() {
        let cases = [
            ("setbit k 7 1", ":0", "new setbit"),
            ("setbit k 7 1", ":1", ""),
            ("setbit k 7 0", ":1", "setbit"),
            ("setbit k 6 0", ":0", ""),
            ("setbit k 100 0", ":0", "setbit"),
            ("getbit nokey 1", ":0", "keymiss"),
            ("bitcount nokey", ":0", "keymiss"),
            ("bitpos nokey 1", ":-1", "keymiss"),
            ("bitop or to k nokey", ":13", "keymiss new set"),
            ("bitop not to k", ":13", "set"),
            ("bitop and to nokey", ":0", "keymiss del"),
            ("bitop and to nokey", ":0", "keymiss"),
        ];
        let mut data = Data::new();
        for (line, reply, events) in cases {
            assert_eq!(data.run(line), reply, "{line}");
            assert_eq!(data.events(), events, "{line}");
        }
        assert_eq!(data.keyspace.journal.dirty, 6);
    }

    #[test]
    fn a_string_that_is_there_twice_counts_as_redis_counts_it() {
        let mut data = Data::new();
        data.given(&["set a ab", "set b abc"]);
        for (line, result) in [
            ("bitop xor to a a", "$2 \0\0"),
            ("bitop xor to a b a", "$3 abc"),
            ("bitop xor to a a a", "$2 ab"),
            ("bitop and to b a b a", "$3 ab\0"),
            ("bitop or to a b a", "$3 abc"),
        ] {
            data.run(line);
            assert_eq!(data.run("get to"), result, "{line}");
        }
    }

    #[test]
    fn a_bit_is_within_the_longest_string() {
        let mut data = Data::new();
        data.keyspace.limits.string = 10;
        let beyond = "-ERR bit offset is not an integer or out of range";
        for (line, reply) in [
            ("setbit k 79 1", ":0"),
            ("setbit k 80 1", beyond),
            ("getbit k 80", beyond),
            ("setbit k 9223372036854775807 1", beyond),
            ("setbit k -1 1", beyond),
            ("strlen k", ":10"),
        ] {
            assert_eq!(data.run(line), reply, "{line}");
        }
    }
}
