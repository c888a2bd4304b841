//! HyperLogLogs: about how many different elements have been added.
//!
//! They are strings, which anybody can read and write as such. What stands in
//! them is known in [`hyperloglog`] alone.

use std::collections::HashSet;

use crate::db::{Db, Edited, Expiry, Handle};
use crate::error::{Error, Result};
use crate::hyperloglog::{self, Corrupted, Draft, REGISTERS, Registers, Sketch};
use crate::resp::Reply;
use crate::table::keys::{KeyFlags, KeySpec, key};
use crate::table::vocabulary::{GROW, GROW_FAST, HYPERLOGLOG, INSERT_KEY, READ, READ_KEY};
use crate::table::{Args, Flags, Handler, Row};

/// Reads the value, and may write it in another way or remember the count.
const REWRITE_KEY: KeySpec = key(KeyFlags::RW.union(KeyFlags::ACCESS));
/// Merges others into the value.
const MERGE_KEY: KeySpec = key(REWRITE_KEY.flags.union(KeyFlags::INSERT));
/// Looks into the server, which is no application's business.
const INTERNAL: Flags = Flags::ADMIN.union(Flags::SYSTEM);

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "pfadd", arity: -2, flags: GROW_FAST, keys: &[INSERT_KEY],
        usage: "key:key [element...]", since: "2.8.9",
        complexity: "O(1) to add every element.",
        summary: "Adds elements to a HyperLogLog, and creates it if it is missing.",
        handler: Handler::Data(pfadd),
        ..HYPERLOGLOG
    },
    Row {
        name: "pfcount", arity: -2, flags: READ.union(Flags::MAY_REPLICATE),
        keys: &[REWRITE_KEY.all().noted("RW because it may change the internal representation of the key, and propagate to replicas")],
        usage: "key:key...", since: "2.8.9",
        complexity: "O(1) with a very small average constant time when called with a single key. \
            O(N) with N being the number of keys, and much bigger constant times, when called with \
            multiple keys.",
        summary: "About how many different elements were added to one of several HyperLogLogs.",
        handler: Handler::Data(pfcount),
        ..HYPERLOGLOG
    },
    Row {
        name: "pfmerge", arity: -2, flags: GROW, keys: &[MERGE_KEY, READ_KEY.at(2).all()],
        usage: "destkey:key sourcekey:key...", since: "2.8.9",
        complexity: "O(N) to merge N HyperLogLogs, but with high constant times.",
        summary: "Adds to a HyperLogLog what was added to others.",
        handler: Handler::Data(pfmerge),
        ..HYPERLOGLOG
    },
    Row {
        name: "pfdebug", arity: 3, flags: GROW.union(INTERNAL), keys: &[REWRITE_KEY.at(2)],
        usage: "subcommand key:key", since: "2.8.9", complexity: "N/A",
        summary: "Shows what stands in a HyperLogLog.", handler: Handler::Data(pfdebug),
        ..HYPERLOGLOG
    },
    Row {
        name: "pfselftest", arity: 1, flags: INTERNAL,
        since: "2.8.9", complexity: "N/A",
        summary: "Tests that HyperLogLogs count right.", handler: Handler::Data(pfselftest),
        ..HYPERLOGLOG
    },
];

fn pfadd(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    let sparse_max = db.limits().hll_sparse;
    let found = db.lookup(key);
    let draft = match found.map(|handle| sketch(db, handle)).transpose()? {
        // One that is new counts as a change.
        None => Some((Draft::empty(sparse_max), 1)),
        Some(sketch) if sketch.is_dense() => None,
        Some(sketch) => Some((sketch.draft(sparse_max).map_err(corrupted)?, 0)),
    };
    let changes = match draft {
        None => add_to_dense(db, key, found, args)?,
        Some((mut draft, mut changes)) => {
            for element in args.rest() {
                let (index, value) = hyperloglog::place(element);
                changes += usize::from(draft.raise(index, value).map_err(corrupted)?);
            }
            if changes > 0 {
                store(db, key, found, draft, changes)?;
            } else if let Some(handle) = found {
                db.make_raw(key, handle)?;
            }
            changes
        }
    };
    reply.int(i64::from(changes > 0));
    Ok(())
}

/// Adds elements where all registers have their place, and nothing moves.
fn add_to_dense(
    db: &mut Db<'_>,
    key: &[u8],
    found: Option<Handle>,
    args: Args<'_>,
) -> Result<usize> {
    db.modify_string(key, found, 0, |string| {
        let raised = args.rest().filter(|element| {
            let (index, value) = hyperloglog::place(element);
            hyperloglog::raise_dense(string, index, value)
        });
        match raised.count() {
            0 => Edited::Unchanged(0),
            changes => {
                hyperloglog::forget_count(string);
                Edited::Changed("pfadd", changes, changes)
            }
        }
    })
}

/// Stores what was added to.
fn store(
    db: &mut Db<'_>,
    key: &[u8],
    found: Option<Handle>,
    mut draft: Draft,
    changes: usize,
) -> Result<()> {
    draft.forget_count();
    let string = draft.into_string();
    db.put_string(key, found, string, Expiry::Keep, Some("pfadd"), changes)
}

fn pfcount(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    if args.remaining() > 1 {
        let mut registers = [0; REGISTERS];
        merge(db, args, &mut registers)?;
        reply.int(hyperloglog::count(&registers) as i64);
        return Ok(());
    }
    let key = args.next()?;
    let Some(handle) = db.read(key) else {
        reply.int(0);
        return Ok(());
    };
    let sketch = sketch(db, handle)?;
    let count = match sketch.last_count() {
        Some(count) => {
            db.make_raw(key, handle)?;
            count
        }
        None => {
            let count = sketch.count().map_err(corrupted)?;
            db.remember(key, handle, |string| {
                hyperloglog::write_count(string, count);
            })?;
            count
        }
    };
    reply.int(count as i64);
    Ok(())
}

fn pfmerge(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let sparse_max = db.limits().hll_sparse;
    let mut registers = [0; REGISTERS];
    let dense = merge(db, args, &mut registers)?;
    let key = args.next()?;
    let found = db.lookup(key);
    let mut draft = match found {
        Some(handle) => sketch(db, handle)?.draft(sparse_max).map_err(corrupted)?,
        None => Draft::empty(sparse_max),
    };
    if dense {
        draft.fill(&registers);
    } else {
        for (index, &value) in registers
            .iter()
            .enumerate()
            .filter(|(_, value)| **value > 0)
        {
            draft.raise(index, value).map_err(corrupted)?;
        }
    }
    store(db, key, found, draft, 1)?;
    reply.ok();
    Ok(())
}

fn pfdebug(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (word, key) = (args.next()?, args.next()?);
    let handle = db.lookup(key).ok_or(Error::PFDEBUG_NO_KEY)?;
    let sketch = sketch(db, handle)?;
    let mut changed = None;
    match &word.to_ascii_lowercase()[..] {
        b"getreg" => {
            let registers = sketch.registers().map_err(corrupted)?;
            reply.array(REGISTERS);
            registers.iter().for_each(|&value| reply.int(value.into()));
            changed = (!sketch.is_dense()).then(|| sketch.to_dense());
        }
        b"decode" => {
            let runs = sketch.runs().map_err(corrupted)?;
            reply.bulk(runs.ok_or(Error::PFDEBUG_NOT_SPARSE)?.as_bytes());
        }
        b"encoding" => reply.simple(if sketch.is_dense() { "dense" } else { "sparse" }),
        b"todense" => {
            changed = (!sketch.is_dense()).then(|| sketch.to_dense());
            reply.int(i64::from(changed.is_some()));
        }
        _ => {
            return Err(Error::quoting(
                "ERR Unknown PFDEBUG subcommand '",
                word,
                "'",
            ));
        }
    }
    match changed.transpose().map_err(corrupted)? {
        Some(string) => db.put_string(key, Some(handle), string, Expiry::Keep, None, 1),
        None => db.make_raw(key, handle),
    }
}

fn pfselftest(_: &mut Db<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    if !hyperloglog::works() {
        return Err(Error::new("ERR TESTFAILED Registers or counts are wrong"));
    }
    reply.ok();
    Ok(())
}

/// The HyperLogLog under a key.
fn sketch<'a>(db: &'a Db<'_>, handle: Handle) -> Result<Sketch<'a>> {
    Sketch::parse(db.string(handle)?.bytes()).ok_or(Error::NO_HYPERLOGLOG)
}

fn corrupted(_: Corrupted) -> Error {
    Error::CORRUPTED_HYPERLOGLOG
}

/// Raises registers to those of several HyperLogLogs; answers whether one of
/// them is dense.
fn merge(db: &mut Db<'_>, keys: Args<'_>, registers: &mut Registers) -> Result<bool> {
    let mut merged = HashSet::<Handle, foldhash::fast::RandomState>::default();
    let mut dense = false;
    for key in keys.rest() {
        // One that is named a thousand times is gone through once.
        let Some(handle) = db.read(key).filter(|&handle| merged.insert(handle)) else {
            continue;
        };
        let sketch = sketch(db, handle)?;
        sketch.merge_into(registers).map_err(corrupted)?;
        dense |= sketch.is_dense();
    }
    Ok(dense)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Data;

    /// An empty one that can be typed: a header, and 64 zeros in each byte.
    fn typed(runs: usize) -> String {
        format!("HYLL\x01{}{}", "\0".repeat(11), "?".repeat(runs))
    }

    #[test]
    fn each_change_has_its_events_and_is_counted() {
        let cases = [
            ("pfadd k", ":1", "new pfadd", 1),
            ("pfadd k", ":0", "", 0),
            ("pfadd k a b c a", ":1", "pfadd", 3),
            ("pfadd k a", ":0", "", 0),
            ("pfadd j a b", ":1", "new pfadd", 3),
            ("pfcount nokey", ":0", "keymiss", 0),
            ("pfcount k", ":3", "", 1),
            ("pfcount k", ":3", "", 0),
            ("pfcount k nokey j", ":3", "keymiss", 0),
            ("pfmerge to k nokey", "+OK", "keymiss keymiss new pfadd", 1),
            ("pfmerge to j", "+OK", "pfadd", 1),
            ("pfmerge to", "+OK", "pfadd", 1),
            ("pfdebug todense to", ":1", "", 1),
            ("pfdebug todense to", ":0", "", 0),
            ("pfadd to a b c", ":0", "", 0),
            ("pfadd to d e f", ":1", "pfadd", 3),
            ("pfmerge to k", "+OK", "pfadd", 1),
            ("pfcount to", ":6", "", 1),
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
    fn a_string_that_is_read_as_one_is_raw_from_then_on() {
        for line in ["pfadd k", "pfcount k", "pfdebug encoding k", "pfmerge k"] {
            let mut data = Data::new();
            // 28 bytes with a count that holds.
            data.given(&[&format!("set k {}", typed(12))]);
            assert_eq!(data.run("object encoding k"), "$6 embstr");
            data.run(line);
            let is_refused = line == "pfmerge k";
            let encoding = if is_refused { "$6 embstr" } else { "$3 raw" };
            assert_eq!(data.run("object encoding k"), encoding, "{line}");
        }
    }

    #[test]
    fn the_first_of_several_that_is_wrong_is_told() {
        let mut data = Data::new();
        let good = format!("set good {}", typed(256));
        let corrupted = format!("set corrupted {}", typed(255));
        data.given(&[&good, &corrupted, "set string x", "rpush list x"]);
        for (keys, error) in [
            ("good string list corrupted", Error::NO_HYPERLOGLOG),
            ("good list string corrupted", Error::WRONG_TYPE),
            ("good corrupted string list", Error::CORRUPTED_HYPERLOGLOG),
        ] {
            for line in [format!("pfcount {keys}"), format!("pfmerge to {keys}")] {
                assert_eq!(data.run(&line), format!("-{error}"), "{line}");
            }
        }
        assert_eq!(data.run("exists to"), ":0");
    }

    #[test]
    fn what_is_corrupted_stays_what_it_is() {
        let mut data = Data::new();
        data.given(&[&format!("set k {}", typed(3))]);
        let before = data.run("get k");
        // Some elements have a register that is there.
        let elements: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        let line = format!("pfadd k {}", elements.join(" "));
        let error = format!("-{}", Error::CORRUPTED_HYPERLOGLOG);
        assert_eq!(data.run(&line), error);
        assert_eq!(data.run("get k"), before);
        assert_eq!(data.events(), "");
    }

    #[test]
    fn it_becomes_dense_when_the_setting_says_so() {
        let mut data = Data::new();
        data.keyspace.limits.hll_sparse = 24;
        let mut dense = Vec::new();
        for element in ["a", "b", "c", "d"] {
            data.run(&format!("pfadd k {element}"));
            dense.push(data.run("strlen k") == ":12304");
        }
        assert_eq!(dense, [false, false, true, true]);
        assert_eq!(data.run("pfcount k"), ":4");
    }
}
