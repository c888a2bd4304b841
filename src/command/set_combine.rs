//! Several sets at once: what all of them have, what any of them has, and what
//! the first has and none of the others.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::set::{write, write_set};
use crate::db::value::{Member, Set, SetLimits, SetRef, Viewed};
use crate::db::{Db, Handle};
use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::seed::{Hashing, Seed};
use crate::table::vocabulary::{GROW, OVERWRITE_KEY, READ, READ_KEY, SET, UPDATE_KEY};
use crate::table::{Args, Handler, Row};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "sinter", arity: -2, flags: READ, keys: &[READ_KEY.all()],
        usage: "key:key...", tips: &["nondeterministic_output_order"], since: "1.0.0",
        complexity: "O(N*M) worst case where N is the cardinality of the smallest set and M is \
            the number of sets.",
        summary: "The members that all of several sets have.", handler: Handler::Data(sinter),
        ..SET
    },
    Row {
        name: "sintercard", arity: -3, flags: READ, keys: &[READ_KEY.counted()],
        usage: "numkeys:integer key:key... [LIMIT limit:integer]", since: "7.0.0",
        complexity: "O(N*M) worst case where N is the cardinality of the smallest set and M is \
            the number of sets.",
        summary: "How many members all of several sets have.", handler: Handler::Data(sintercard),
        ..SET
    },
    Row {
        name: "sinterstore", arity: -3, flags: GROW,
        keys: &[UPDATE_KEY, READ_KEY.at(2).all()],
        usage: "destination:key key:key...", since: "1.0.0",
        complexity: "O(N*M) worst case where N is the cardinality of the smallest set and M is \
            the number of sets.",
        summary: "Stores the members that all of several sets have.",
        handler: Handler::Data(sinterstore),
        ..SET
    },
    Row {
        name: "sunion", arity: -2, flags: READ, keys: &[READ_KEY.all()],
        usage: "key:key...", tips: &["nondeterministic_output_order"], since: "1.0.0",
        complexity: "O(N) where N is the total number of elements in all given sets.",
        summary: "The members that any of several sets has.", handler: Handler::Data(sunion),
        ..SET
    },
    Row {
        name: "sunionstore", arity: -3, flags: GROW,
        keys: &[OVERWRITE_KEY, READ_KEY.at(2).all()],
        usage: "destination:key key:key...", since: "1.0.0",
        complexity: "O(N) where N is the total number of elements in all given sets.",
        summary: "Stores the members that any of several sets has.",
        handler: Handler::Data(sunionstore),
        ..SET
    },
    Row {
        name: "sdiff", arity: -2, flags: READ, keys: &[READ_KEY.all()],
        usage: "key:key...", tips: &["nondeterministic_output_order"], since: "1.0.0",
        complexity: "O(N) where N is the total number of elements in all given sets.",
        summary: "The members that the first of several sets has, and none of the others.",
        handler: Handler::Data(sdiff),
        ..SET
    },
    Row {
        name: "sdiffstore", arity: -3, flags: GROW,
        keys: &[OVERWRITE_KEY, READ_KEY.at(2).all()],
        usage: "destination:key key:key...", since: "1.0.0",
        complexity: "O(N) where N is the total number of elements in all given sets.",
        summary: "Stores the members that the first of several sets has, and none of the others.",
        handler: Handler::Data(sdiffstore),
        ..SET
    },
];

/// The entries of the keys that are there, and that there is one for each.
/// Which of them are no sets is looked at before anything else.
fn entries<'k>(
    db: &mut Db<'_>,
    keys: impl Iterator<Item = &'k [u8]>,
) -> Result<Vec<Option<Handle>>> {
    keys.map(|key| {
        let found = db.read(key);
        if let Some(handle) = found {
            db.value::<Set>(handle)?;
        }
        Ok(found)
    })
    .collect()
}

/// The sets of entries that are there, each of them once.
fn sets<'d>(db: &'d Db<'_>, entries: &[Option<Handle>]) -> Result<Vec<SetRef<'d>>> {
    let mut seen = HashSet::with_capacity(entries.len());
    let entries = entries.iter().flatten();
    let distinct = entries.filter(|handle| seen.insert(**handle));
    distinct.map(|&handle| db.value::<Set>(handle)).collect()
}

/// Stores what has been combined under `key`, and answers how many members that
/// are.
fn store(
    db: &mut Db<'_>,
    key: &[u8],
    result: Set,
    event: &'static str,
    reply: &mut Reply<'_>,
) -> Result<()> {
    reply.len(result.view().len());
    db.replace(key, result, event, 1)
}

/// The sets whose common members are asked for, the smallest first; none if one
/// of them is not there.
fn to_intersect<'d>(db: &'d Db<'_>, entries: &[Option<Handle>]) -> Result<Vec<SetRef<'d>>> {
    if entries.contains(&None) {
        return Ok(Vec::new());
    }
    let mut sets = sets(db, entries)?;
    sets.sort_by_key(|set| set.len());
    Ok(sets)
}

/// What all these sets have, in the order of the first.
fn common<'d>(sets: &[SetRef<'d>]) -> impl Iterator<Item = Member<'d>> {
    let (first, others) = match sets {
        [first, others @ ..] => (Some(*first), others),
        [] => (None, sets),
    };
    let members = first.into_iter().flat_map(SetRef::iter);
    members.filter(|&member| others.iter().all(|set| set.contains_member(member)))
}

fn sinter(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let entries = entries(db, args.rest())?;
    let sets = to_intersect(db, &entries)?;
    let mut members = Vec::new();
    common(&sets).for_each(|member| members.push(member));
    write_all(members.len(), members.into_iter(), reply);
    Ok(())
}

/// Writes `len` members as a set.
fn write_all<'a>(len: usize, members: impl Iterator<Item = Member<'a>>, reply: &mut Reply<'_>) {
    reply.set(len);
    members.for_each(|member| write(member, reply));
}

fn sintercard(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let numkeys = args.int_in(1..=i64::MAX, Error::NUMKEYS_NOT_POSITIVE)? as usize;
    if numkeys > args.remaining() {
        return Err(Error::TOO_MANY_KEYS);
    }
    let keys = args.take(numkeys)?;
    let mut limit = 0;
    while args.remaining() > 0 {
        if args.remaining() < 2 || !args.keyword("limit") {
            return Err(Error::SYNTAX);
        }
        limit = args.int_in(0..=i64::MAX, Error::LIMIT_NEGATIVE)? as usize;
    }
    let limit = if limit == 0 { usize::MAX } else { limit };
    let entries = entries(db, keys.iter())?;
    let sets = to_intersect(db, &entries)?;
    reply.len(common(&sets).take(limit).count());
    Ok(())
}

fn sinterstore(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let limits = db.limits().set;
    let destination = args.next()?;
    let entries = entries(db, args.rest())?;
    let sets = to_intersect(db, &entries)?;
    // The form is that of the smallest set, unless what is kept does not fit or
    // are integers that do; of a large one Redis does not know beforehand.
    let mut result = match sets.first() {
        Some(SetRef::Ints(_)) | None => Set::default(),
        Some(SetRef::Packed(..) | SetRef::Table(_)) => Set::packed(),
    };
    for member in common(&sets) {
        result.add_member(member, limits)?;
    }
    result.pack_ints(limits);
    store(db, destination, result, "sinterstore", reply)
}

/// All members of these sets in one, which Redis begins as a set of integers.
fn union(sets: &[SetRef<'_>], limits: SetLimits) -> Result<Set> {
    let mut result = Set::default();
    for member in sets.iter().copied().flat_map(SetRef::iter) {
        result.add_member(member, limits)?;
    }
    Ok(result)
}

fn sunion(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let limits = db.limits().set;
    let entries = entries(db, args.rest())?;
    let sets = sets(db, &entries)?;
    let is_table = |set: &SetRef<'_>| matches!(set, SetRef::Table(_));
    match &sets[..] {
        [] => reply.set(0),
        [only] => write_set(*only, reply),
        // The order of small ones is that of Redis.
        _ if !sets.iter().any(is_table) => write_set(union(&sets, limits)?.view(), reply),
        _ => {
            let members = all(&sets, limits.seed);
            write_all(members.len(), members.into_iter(), reply);
        }
    }
    Ok(())
}

/// Members without their set, in no order.
type Found<'d> = HashSet<Member<'d>, Hashing>;

/// All members of these sets, where they are.
fn all<'d>(sets: &[SetRef<'d>], seed: Seed) -> Found<'d> {
    let most = sets.iter().map(|set| set.len()).max().unwrap_or(0);
    let mut members = Found::with_capacity_and_hasher(most, seed.hasher());
    for set in sets {
        set.iter()
            .for_each(|member| _ = members.insert(member.told_apart()));
    }
    members
}

fn sunionstore(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let limits = db.limits().set;
    let destination = args.next()?;
    let entries = entries(db, args.rest())?;
    let sets = sets(db, &entries)?;
    let result = union(&sets, limits)?;
    store(db, destination, result, "sunionstore", reply)
}

/// A set, and those whose members are to be taken from it.
struct Difference<'d> {
    first: SetRef<'d>,
    others: Vec<SetRef<'d>>,
    /// Whether there are so many members to be looked for in so many sets that
    /// it is less work to take all sets together. Redis decides like this, and
    /// its decision shows in OBJECT ENCODING.
    together: bool,
}

impl<'d> Difference<'d> {
    /// That of the sets under the keys; `None` where the difference is empty.
    fn of(db: &'d Db<'_>, entries: &[Option<Handle>]) -> Result<Option<Difference<'d>>> {
        let Some((Some(first), others)) = entries.split_first() else {
            return Ok(None);
        };
        if others.contains(&Some(*first)) {
            return Ok(None);
        }
        let first = db.value::<Set>(*first)?;
        let (mut one_by_one, mut together) = (first.len(), first.len());
        for &handle in others.iter().flatten() {
            one_by_one = one_by_one.saturating_add(first.len());
            together += db.value::<Set>(handle)?.len();
        }
        let mut others = sets(db, others)?;
        // What is not wanted is likely to be in the largest.
        others.sort_by_key(|set| Reverse(set.len()));
        Ok(Some(Difference {
            first,
            others,
            together: one_by_one / 2 > together,
        }))
    }

    /// Tells `each` of what is left of the first set, in its order.
    fn for_each(&self, each: impl FnMut(Member<'d>)) {
        let members = self.first.iter();
        if self.together {
            let unwanted = all(&self.others, Seed::UNKNOWN);
            let is_wanted = |member: &Member<'d>| !unwanted.contains(&member.told_apart());
            members.filter(is_wanted).for_each(each);
        } else {
            let is_wanted = |member: &Member<'d>| {
                let is_in = |set: &SetRef<'d>| set.contains_member(*member);
                !self.others.iter().any(is_in)
            };
            members.filter(is_wanted).for_each(each);
        }
    }

    /// What is left of the first set, as a set.
    fn stored(&self, limits: SetLimits) -> Result<Set> {
        let mut result = match self.together {
            true => like(self.first, limits)?,
            false => Set::default(),
        };
        let (mut full, wanted) = (Ok(()), &mut result);
        self.for_each(|member| {
            if full.is_ok() {
                full = wanted.add_member(member, limits).map(|_| ());
            }
        });
        full?;
        Ok(result)
    }
}

/// An empty set of the form that a union of this set alone has. Redis puts the
/// whole set into the result before it takes away what is not wanted, and the
/// form stays.
fn like(set: SetRef<'_>, limits: SetLimits) -> Result<Set> {
    if set.len() > limits.ints.max(limits.entries) {
        return Ok(Set::table(limits));
    }
    Ok(match union(&[set], limits)? {
        Set::Ints(_) => Set::Ints(Vec::new()),
        Set::Packed(_, packed_as) => Set::Packed(Vec::new(), packed_as),
        Set::Table(_) => Set::table(limits),
    })
}

fn sdiff(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let entries = entries(db, args.rest())?;
    let mut members = Vec::new();
    if let Some(difference) = Difference::of(db, &entries)? {
        difference.for_each(|member| members.push(member));
    }
    write_all(members.len(), members.into_iter(), reply);
    Ok(())
}

fn sdiffstore(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let limits = db.limits().set;
    let destination = args.next()?;
    let entries = entries(db, args.rest())?;
    let result = match Difference::of(db, &entries)? {
        Some(difference) => difference.stored(limits)?,
        None => Set::default(),
    };
    store(db, destination, result, "sdiffstore", reply)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::testing::Data;

    /// The members of a reply, none of which comes twice.
    fn members(reply: &str) -> BTreeSet<String> {
        let words: Vec<_> = reply.split(' ').collect();
        let members = words[1..].chunks_exact(2).map(|pair| pair[1].to_owned());
        let distinct: BTreeSet<String> = members.collect();
        assert_eq!(format!("*{}", distinct.len()), words[0]);
        distinct
    }

    #[test]
    fn sets_of_all_forms_are_combined_as_sets_are() {
        let mut rng = fastrand::Rng::with_seed(2);
        let mut encodings = BTreeSet::new();
        for round in 0..300 {
            let mut data = Data::new();
            data.keyspace.limits.set.ints = rng.usize(..60);
            data.keyspace.limits.set.entries = rng.usize(..40);
            let mut models = Vec::new();
            for key in 0..4 {
                let mut model = BTreeSet::new();
                let (len, range) = (rng.usize(..60), rng.i64(1..100));
                for _ in 0..len {
                    let number = rng.i64(-range..range);
                    let is_int = round % 3 == 0 || rng.bool();
                    let member = if is_int {
                        number.to_string()
                    } else {
                        format!("m{number}")
                    };
                    data.given(&[&format!("SADD {key} {member}")]);
                    model.insert(member);
                }
                encodings.insert(data.run(&format!("OBJECT ENCODING {key}")));
                models.push(model);
            }
            let count = rng.usize(1..5);
            let keys: Vec<_> = (0..count).map(|_| rng.usize(..4)).collect();
            let of: Vec<_> = keys.iter().map(|&key| &models[key]).collect();
            let words: Vec<_> = keys.iter().map(usize::to_string).collect();
            let words = words.join(" ");
            let all = |member: &&String| of.iter().all(|set| set.contains(*member));
            let others = |member: &&String| !of[1..].iter().any(|set| set.contains(*member));
            let inter: BTreeSet<_> = of[0].iter().filter(all).cloned().collect();
            let union: BTreeSet<_> = of.iter().copied().flatten().cloned().collect();
            let diff: BTreeSet<_> = of[0].iter().filter(others).cloned().collect();
            let card = data.run(&format!("SINTERCARD {count} {words}"));
            assert_eq!(card, format!(":{}", inter.len()));
            let card = data.run(&format!("SINTERCARD {count} {words} LIMIT 3"));
            assert_eq!(card, format!(":{}", inter.len().min(3)));
            for (command, expected) in [("SINTER", inter), ("SUNION", union), ("SDIFF", diff)] {
                assert_eq!(members(&data.run(&format!("{command} {words}"))), expected);
                // The destination is one of the sources at times.
                for to in ["to", "3"] {
                    let len = data.run(&format!("{command}STORE {to} {words}"));
                    assert_eq!(len, format!(":{}", expected.len()));
                    assert_eq!(members(&data.run(&format!("SMEMBERS {to}"))), expected);
                    if expected.is_empty() {
                        assert_eq!(data.run(&format!("EXISTS {to}")), ":0");
                    }
                    if to == "to" {
                        continue;
                    }
                    // It is put back for the next command.
                    data.given(&["DEL 3"]);
                    for member in &models[3] {
                        data.given(&[&format!("SADD 3 {member}")]);
                    }
                }
            }
        }
        assert_eq!(encodings.len(), 4, "{encodings:?}");
    }

    /// Sets for the encodings of results: `ints`, `strings` and `many`.
    fn data() -> Data {
        let mut data = Data::new();
        let members = |prefix: &str, len: usize| {
            let members = (0..len).map(|n| format!(" {prefix}{n}"));
            members.collect::<String>()
        };
        data.given(&[
            &format!("SADD ints{}", members("", 200)),
            &format!("SADD strings{}", members("s", 100)),
            &format!("SADD many{}{}", members("", 150), members("s", 150)),
            "SADD few 1 s1",
            "SADD none 1",
            "SREM none 1",
        ]);
        data
    }

    #[test]
    fn results_have_the_form_that_they_have_in_redis() {
        let mut data = data();
        for (command, encoding) in [
            ("SINTERSTORE to ints many", "$6 intset"),
            ("SINTERSTORE to many ints", "$6 intset"),
            ("SINTERSTORE to many strings", "$8 listpack"),
            ("SINTERSTORE to many many", "$9 hashtable"),
            ("SINTERSTORE to many few", "$8 listpack"),
            ("SUNIONSTORE to ints", "$6 intset"),
            ("SUNIONSTORE to strings few", "$8 listpack"),
            ("SUNIONSTORE to strings ints", "$9 hashtable"),
            ("SUNIONSTORE to many", "$9 hashtable"),
            // One by one: what is left is packed.
            ("SDIFFSTORE to many strings", "$9 hashtable"),
            ("SDIFFSTORE to many many few", "gone"),
            ("SDIFFSTORE to strings few", "$8 listpack"),
            // Together: the form is that of the whole set.
            ("SDIFFSTORE to ints few few few few", "$6 intset"),
            (
                "SDIFFSTORE to many ints strings few few few few few few",
                "$9 hashtable",
            ),
        ] {
            data.given(&[command]);
            let found = match data.run("EXISTS to").as_str() {
                ":0" => "gone".to_owned(),
                _ => data.run("OBJECT ENCODING to"),
            };
            assert_eq!(found, encoding, "{command}");
        }
    }

    #[test]
    fn a_result_replaces_whatever_was_there() {
        let mut data = data();
        data.given(&["SET to v PX 100", "SET other v"]);
        assert_eq!(data.run("SUNIONSTORE to few"), ":2");
        assert_eq!(data.events(), "sunionstore");
        assert_eq!(data.run("PTTL to"), ":-1");
        assert_eq!(data.run("SINTERSTORE to few nothing"), ":0");
        assert_eq!(data.events(), "keymiss del");
        assert_eq!(data.run("SDIFFSTORE other few few"), ":0");
        assert_eq!(data.events(), "del");
        assert_eq!(data.run("SDIFFSTORE other few nothing"), ":2");
        assert_eq!(data.events(), "keymiss new sdiffstore");
        assert_eq!(data.run("SDIFFSTORE gone nothing few"), ":0");
        assert_eq!(data.events(), "keymiss");
    }
}
