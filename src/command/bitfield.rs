//! Strings as rows of integers of up to 64 bits, which begin at any bit.

use super::bitmap::bit_offset;
use std::ops::Range;

use crate::db::{Db, Edited};
use crate::error::{Error, Result};
use crate::resp::{Argv, Reply};
use crate::table::keys::KeyFlags;
use crate::table::vocabulary::{BITMAP, GROW, MODIFY_KEY, READ_FAST, READ_KEY};
use crate::table::{Args, Handler, Row};
use crate::text::number;

/// What becomes of the key of BITFIELD: GET alone changes nothing.
fn key_flags(argv: Argv<'_>) -> KeyFlags {
    let mut args = Args::new(argv, 2);
    while args.remaining() > 0 {
        // What does not follow the syntax is taken to change something.
        match Word::next(&mut args) {
            Ok(Word::Get) => _ = args.take(2),
            Ok(Word::Overflow) => _ = args.next(),
            _ => return MODIFY_KEY.flags,
        }
    }
    READ_KEY.flags
}

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "bitfield", arity: -2, flags: GROW,
        keys: &[MODIFY_KEY.varying(key_flags).noted("This command allows both access and modification of the key")],
        usage: "key:key [operation(GET encoding_offset(encoding offset:integer) | \
            write([OVERFLOW wrap_sat_fail(WRAP|SAT|FAIL)] \
            write_operation(SET encoding_offset_value(encoding offset:integer value:integer) | \
            INCRBY encoding_offset_increment(encoding offset:integer increment:integer))))...]",
        since: "3.2.0", complexity: "O(1) for each subcommand specified",
        summary: "Reads, writes and adds to integers of any width in a string.",
        handler: Handler::Data(bitfield),
        ..BITMAP
    },
    Row {
        name: "bitfield_ro", arity: -2, flags: READ_FAST, keys: &[READ_KEY],
        usage: "key:key [GET encoding_offset(encoding offset:integer)...+]",
        since: "6.0.0", complexity: "O(1) for each subcommand specified",
        summary: "Reads integers of any width in a string.",
        handler: Handler::Data(bitfield_ro),
        ..BITMAP
    },
];

fn bitfield(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    let operations = Operation::parse_all(args, db.limits().string)?;
    match operations.iter().filter_map(Operation::written).max() {
        Some(len) => write(db, key, &operations, len, reply),
        None => read(db, key, &operations, reply),
    }
}

fn bitfield_ro(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    let operations = Operation::parse_all(args, db.limits().string)?;
    if operations.iter().any(|it| it.written().is_some()) {
        return Err(Error::BITFIELD_READ_ONLY);
    }
    read(db, key, &operations, reply)
}

fn read(
    db: &mut Db<'_>,
    key: &[u8],
    operations: &[Operation],
    reply: &mut Reply<'_>,
) -> Result<()> {
    let string = db.read_string(key)?;
    let bytes = string.as_deref().unwrap_or_default();
    reply.array(operations.len());
    for it in operations {
        reply.int(it.field.get(bytes, it.offset));
    }
    Ok(())
}

/// Runs operations on a string that has `len` bytes at least.
fn write(
    db: &mut Db<'_>,
    key: &[u8],
    operations: &[Operation],
    len: usize,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let found = db.lookup(key);
    let old = match found {
        Some(handle) => db.string(handle)?.len(),
        None => 0,
    };
    db.modify_string(key, found, len, |bytes| {
        reply.array(operations.len());
        let mut changes = 0;
        for it in operations {
            let before = it.field.get(bytes, it.offset);
            let (answer, after) = it.run(before);
            match answer {
                Some(answer) => reply.int(answer),
                None => reply.null(),
            }
            if let Some(after) = after {
                it.field.set(bytes, it.offset, after);
                changes += usize::from(len > old || after != before);
            }
        }
        match changes {
            0 => Edited::Unchanged(()),
            _ => Edited::Changed("setbit", changes, ()),
        }
    })
}

/// What is done with one integer.
struct Operation {
    field: Field,
    /// Its first bit.
    offset: u64,
    action: Action,
    overflow: Overflow,
}

#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64),
    Add(i64),
}

/// What becomes of an integer that does not fit.
#[derive(Clone, Copy, Debug)]
enum Overflow {
    /// Its lowest bits are kept.
    Wrap,
    /// The nearest one that fits takes its place.
    Saturate,
    /// Nothing is written.
    Fail,
}

/// The word that an operation begins with.
enum Word {
    Get,
    Set,
    Add,
    Overflow,
}

impl Word {
    /// The next word, if so many arguments follow it as it needs.
    fn next(args: &mut Args<'_>) -> Result<Word> {
        let behind = args.remaining().saturating_sub(1);
        if behind >= 2 && args.keyword("GET") {
            Ok(Word::Get)
        } else if behind >= 3 && args.keyword("SET") {
            Ok(Word::Set)
        } else if behind >= 3 && args.keyword("INCRBY") {
            Ok(Word::Add)
        } else if behind >= 1 && args.keyword("OVERFLOW") {
            Ok(Word::Overflow)
        } else {
            Err(Error::SYNTAX)
        }
    }
}

impl Operation {
    /// All of them; `limit` is the length of the longest string.
    fn parse_all(mut args: Args<'_>, limit: usize) -> Result<Vec<Operation>> {
        let (mut operations, mut overflow) = (Vec::new(), Overflow::Wrap);
        while args.remaining() > 0 {
            let word = Word::next(&mut args)?;
            if let Word::Overflow = word {
                overflow = Overflow::parse(args.next()?)?;
                continue;
            }
            let field = Field::parse(args.next()?)?;
            let offset = field.offset(args.next()?, limit)?;
            let action = match word {
                Word::Set => Action::Set(args.int()?),
                Word::Add => Action::Add(args.int()?),
                Word::Get | Word::Overflow => Action::Get,
            };
            operations.push(Operation {
                field,
                offset,
                action,
                overflow,
            });
        }
        Ok(operations)
    }

    /// How long a string is at least in which it has written.
    fn written(&self) -> Option<usize> {
        let end = self.offset + u64::from(self.field.width);
        match self.action {
            Action::Get => None,
            Action::Set(_) | Action::Add(_) => Some(end.div_ceil(8) as usize),
        }
    }

    /// What it answers where an integer is, and what it puts there.
    fn run(&self, before: i64) -> (Option<i64>, Option<i64>) {
        match self.action {
            Action::Get => (Some(before), None),
            Action::Set(value) => {
                let after = self.field.fit(value, 0, self.overflow);
                (after.map(|_| before), after)
            }
            Action::Add(increment) => {
                let after = self.field.fit(before, increment, self.overflow);
                (after, after)
            }
        }
    }
}

impl Overflow {
    fn parse(word: &[u8]) -> Result<Overflow> {
        Ok(match &word.to_ascii_lowercase()[..] {
            b"wrap" => Overflow::Wrap,
            b"sat" => Overflow::Saturate,
            b"fail" => Overflow::Fail,
            _ => return Err(Error::BITFIELD_OVERFLOW),
        })
    }
}

/// The type of an integer.
#[derive(Clone, Copy, Debug)]
struct Field {
    signed: bool,
    /// In bits: 64 at the most, 63 of an unsigned one.
    width: u32,
}

impl Field {
    fn parse(word: &[u8]) -> Result<Field> {
        let (signed, width) = match word {
            [b'i', width @ ..] => (true, width),
            [b'u', width @ ..] => (false, width),
            _ => return Err(Error::BITFIELD_TYPE),
        };
        let max = if signed { 64 } else { 63 };
        match number::parse_i64(width) {
            Some(width) if (1..=max).contains(&width) => Ok(Field {
                signed,
                width: width as u32,
            }),
            _ => Err(Error::BITFIELD_TYPE),
        }
    }

    /// The place of its first bit; `#` counts in integers of this width.
    fn offset(self, word: &[u8], limit: usize) -> Result<u64> {
        match word {
            // Redis lets the product overflow, and takes what is left of it.
            [b'#', count @ ..] => bit_offset(count, u64::from(self.width), limit),
            _ => bit_offset(word, 1, limit),
        }
    }

    /// The integer at an offset. Behind the end there are zeros.
    fn get(self, bytes: &[u8], offset: u64) -> i64 {
        let (window, _) = window(bytes, offset);
        self.extend((window >> self.shift(offset)) as u64)
    }

    /// Puts the lowest bits of `value` at an offset that is in the string.
    fn set(self, bytes: &mut [u8], offset: u64, value: i64) {
        let shift = self.shift(offset);
        let mask = u128::from(self.mask()) << shift;
        let (window, range) = window(bytes, offset);
        let value = u128::from(value as u64) << shift & mask;
        let window = (window & !mask | value).to_be_bytes();
        let bytes = &mut bytes[range];
        bytes.copy_from_slice(&window[..bytes.len()]);
    }

    /// `value` plus `increment`, if that fits, or what takes its place.
    fn fit(self, value: i64, increment: i64, overflow: Overflow) -> Option<i64> {
        let (min, max) = match self.signed {
            true => (i64::MIN >> (64 - self.width), i64::MAX >> (64 - self.width)),
            false => (0, self.mask() as i64),
        };
        // What SET has for an unsigned one is never too low.
        let wide = match self.signed {
            true => i128::from(value),
            false => i128::from(value as u64),
        };
        let sum = wide + i128::from(increment);
        // Redis subtracts in 64 bits to see what room there is, so that the
        // lowest numbers of all seem too high for a small type.
        let seems_high = self.signed && self.width < 64 && max.checked_sub(value).is_none();
        let is_high = sum > i128::from(max) || seems_high;
        if !is_high && sum >= i128::from(min) {
            return Some(sum as i64);
        }
        match overflow {
            Overflow::Wrap => Some(self.extend(value.wrapping_add(increment) as u64)),
            Overflow::Saturate => Some(if is_high { max } else { min }),
            Overflow::Fail => None,
        }
    }

    /// The lowest bits as an integer of this type.
    fn extend(self, bits: u64) -> i64 {
        let unused = 64 - self.width;
        match self.signed {
            true => ((bits << unused) as i64) >> unused,
            false => (bits & self.mask()) as i64,
        }
    }

    /// All of its bits.
    fn mask(self) -> u64 {
        u64::MAX >> (64 - self.width)
    }

    /// How far it is from the end of a window.
    fn shift(self, offset: u64) -> u32 {
        128 - (offset % 8) as u32 - self.width
    }
}

/// The bytes that an integer at an offset can reach, the first one highest,
/// and which they are. Behind the end there are zeros.
fn window(bytes: &[u8], offset: u64) -> (u128, Range<usize>) {
    const REACH: usize = 9;
    let start = bytes.len().min((offset / 8) as usize);
    let end = bytes.len().min(start + REACH);
    let mut window = [0; 16];
    window[..end - start].copy_from_slice(&bytes[start..end]);
    (u128::from_be_bytes(window), start..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Data;
    use proptest::prelude::*;

    /// The bits of an integer, one by one.
    fn bit_by_bit(field: Field, bytes: &[u8], offset: u64) -> i64 {
        let bit = |place: u64| {
            let byte = bytes.get((place / 8) as usize).copied().unwrap_or(0);
            i128::from(byte >> (7 - place % 8) & 1)
        };
        let end = offset + u64::from(field.width);
        let value = (offset..end).fold(0, |value, place| value << 1 | bit(place));
        let negative = field.signed && bit(offset) == 1;
        (value - if negative { 1 << field.width } else { 0 }) as i64
    }

    fn fields() -> impl Strategy<Value = Field> {
        let signed = (1..=64_u32).prop_map(|width| Field {
            signed: true,
            width,
        });
        let unsigned = (1..=63_u32).prop_map(|width| Field {
            signed: false,
            width,
        });
        prop_oneof![signed, unsigned]
    }

    fn numbers() -> impl Strategy<Value = i64> {
        prop_oneof![
            any::<i64>(),
            -300..300_i64,
            (0..64_u32).prop_map(|n| i64::MIN >> n)
        ]
    }

    proptest! {
        #[test]
        fn integers_are_read_and_written_bit_by_bit(
            field in fields(),
            bytes in prop::collection::vec(any::<u8>(), 0..24),
            offset in 0..200_u64,
            value: i64,
        ) {
            prop_assert_eq!(field.get(&bytes, offset), bit_by_bit(field, &bytes, offset));
            let mut changed = bytes.clone();
            let end = (offset + u64::from(field.width)).div_ceil(8) as usize;
            changed.resize(bytes.len().max(end), 0);
            let before = changed.clone();
            field.set(&mut changed, offset, value);
            prop_assert_eq!(field.get(&changed, offset), field.extend(value as u64));
            field.set(&mut changed, offset, field.get(&before, offset));
            prop_assert_eq!(changed, before);
        }

        #[test]
        fn what_does_not_fit_is_wrapped_or_cut_or_refused(
            field in fields(),
            old: i64,
            increment in numbers(),
        ) {
            let old = field.extend(old as u64);
            let width = field.width;
            let (min, max) = match field.signed {
                true => (-(1_i128 << (width - 1)), (1 << (width - 1)) - 1),
                false => (0, (1 << width) - 1),
            };
            let sum = i128::from(old) + i128::from(increment);
            let fits = (min..=max).contains(&sum);
            let fail = field.fit(old, increment, Overflow::Fail);
            prop_assert_eq!(fail.map(i128::from), fits.then_some(sum));
            let saturated = field.fit(old, increment, Overflow::Saturate).unwrap();
            prop_assert_eq!(i128::from(saturated), sum.clamp(min, max));
            let wrapped = field.fit(old, increment, Overflow::Wrap).unwrap();
            let modulus = 1 << width;
            prop_assert_eq!((i128::from(wrapped) - sum) % modulus, 0);
            prop_assert!((min..=max).contains(&i128::from(wrapped)));
        }
    }

    #[test]
    fn each_change_has_its_event_and_is_counted() {
        let cases = [
            ("bitfield k", "*0", "keymiss", 0),
            ("bitfield k get u8 0", "*1 :0", "keymiss", 0),
            (
                "bitfield k set u8 0 5 set u8 0 5",
                "*2 :0 :5",
                "new setbit",
                2,
            ),
            ("bitfield k set u8 0 5", "*1 :5", "", 0),
            (
                "bitfield k set u8 0 6 get u8 0 incrby u8 0 1",
                "*3 :5 :6 :7",
                "setbit",
                2,
            ),
            (
                "bitfield k overflow fail incrby u3 0 9 incrby u3 0 1",
                "*2 $-1 :1",
                "setbit",
                1,
            ),
            ("bitfield k overflow fail set u3 0 9", "*1 $-1", "", 0),
            ("bitfield k set u8 80 0", "*1 :0", "setbit", 1),
            ("bitfield new overflow fail set u3 0 9", "*1 $-1", "new", 0),
            ("strlen new", ":1", "", 0),
        ];
        let mut data = Data::new();
        for (line, reply, events, changes) in cases {
            let dirty = data.keyspace.journal.dirty;
            assert_eq!(data.run(line), reply, "{line}");
            assert_eq!(data.events(), events, "{line}");
            assert_eq!(data.keyspace.journal.dirty - dirty, changes, "{line}");
        }
    }

    #[test]
    fn a_field_begins_within_the_longest_string() {
        let mut data = Data::new();
        data.keyspace.limits.string = 10;
        let beyond = "-ERR bit offset is not an integer or out of range";
        for (line, reply) in [
            ("bitfield k set i64 79 1", "*1 :0"),
            ("bitfield k set i64 80 1", beyond),
            ("bitfield k get i64 #1", "*1 :0"),
            ("bitfield k get i64 #2", beyond),
            ("bitfield k get u8 #1152921504606846976", beyond),
            ("bitfield k get u8 #9223372036854775807", beyond),
            ("bitfield k get u8 -1", beyond),
            ("bitfield k get u8 #-1", beyond),
            ("bitfield k get u8 #", beyond),
        ] {
            assert_eq!(data.run(line), reply, "{line}");
        }
    }
}
