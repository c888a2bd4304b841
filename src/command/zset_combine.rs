//! Several sorted sets at once: what any of them has, what all of them have,
//! and what the first has and none of the others. Sets may be among them: their
//! members have the score 1.

use std::cmp::{Ordering, Reverse};
use std::collections::{HashMap, HashSet};

use super::zset::Layout;
use crate::db::value::{Digits, Member, Set, SetRef, Viewed, Zset, ZsetRef};
use crate::db::{Db, Handle, PackLimits};
use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::table::vocabulary::{GROW, OVERWRITE_KEY, READ, READ_KEY, SORTED_SET};
use crate::table::{Args, Handler, Row};
use crate::text::double;

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "zunion", arity: -3, flags: READ, keys: &[READ_KEY.counted()],
        usage: "numkeys:integer key:key... [WEIGHTS weight:integer...] \
            [AGGREGATE aggregate(SUM|MIN|MAX)] [WITHSCORES]",
        since: "6.2.0",
        complexity: "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, \
            and M being the number of elements in the resulting sorted set.",
        summary: "The members that any of several sorted sets has.",
        handler: Handler::Data(zunion),
        ..SORTED_SET
    },
    Row {
        name: "zunionstore", arity: -4, flags: GROW,
        keys: &[OVERWRITE_KEY, READ_KEY.at(2).counted()],
        usage: "destination:key numkeys:integer key:key... [WEIGHTS weight:integer...] \
            [AGGREGATE aggregate(SUM|MIN|MAX)]",
        since: "2.0.0",
        complexity: "O(N)+O(M log(M)) with N being the sum of the sizes of the input sorted sets, \
            and M being the number of elements in the resulting sorted set.",
        summary: "Stores the members that any of several sorted sets has.",
        handler: Handler::Data(zunionstore),
        ..SORTED_SET
    },
    Row {
        name: "zinter", arity: -3, flags: READ, keys: &[READ_KEY.counted()],
        usage: "numkeys:integer key:key... [WEIGHTS weight:integer...] \
            [AGGREGATE aggregate(SUM|MIN|MAX)] [WITHSCORES]",
        since: "6.2.0",
        complexity: "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K \
            being the number of input sorted sets and M being the number of elements in the \
            resulting sorted set.",
        summary: "The members that all of several sorted sets have.",
        handler: Handler::Data(zinter),
        ..SORTED_SET
    },
    Row {
        name: "zinterstore", arity: -4, flags: GROW,
        keys: &[OVERWRITE_KEY, READ_KEY.at(2).counted()],
        usage: "destination:key numkeys:integer key:key... [WEIGHTS weight:integer...] \
            [AGGREGATE aggregate(SUM|MIN|MAX)]",
        since: "2.0.0",
        complexity: "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K \
            being the number of input sorted sets and M being the number of elements in the \
            resulting sorted set.",
        summary: "Stores the members that all of several sorted sets have.",
        handler: Handler::Data(zinterstore),
        ..SORTED_SET
    },
    Row {
        name: "zintercard", arity: -3, flags: READ, keys: &[READ_KEY.counted()],
        usage: "numkeys:integer key:key... [LIMIT limit:integer]", since: "7.0.0",
        complexity: "O(N*K) worst case with N being the smallest input sorted set, K being the \
            number of input sorted sets.",
        summary: "How many members all of several sorted sets have.",
        handler: Handler::Data(zintercard),
        ..SORTED_SET
    },
    Row {
        name: "zdiff", arity: -3, flags: READ, keys: &[READ_KEY.counted()],
        usage: "numkeys:integer key:key... [WITHSCORES]", since: "6.2.0",
        complexity: "O(L + (N-K)log(N)) worst case where L is the total number of elements in all \
            the sets, N is the size of the first set, and K is the size of the result set.",
        summary: "The members that the first of several sorted sets has, and none of the others.",
        handler: Handler::Data(zdiff),
        ..SORTED_SET
    },
    Row {
        name: "zdiffstore", arity: -4, flags: GROW,
        keys: &[OVERWRITE_KEY, READ_KEY.at(2).counted()],
        usage: "destination:key numkeys:integer key:key...", since: "6.2.0",
        complexity: "O(L + (N-K)log(N)) worst case where L is the total number of elements in all \
            the sets, N is the size of the first set, and K is the size of the result set.",
        summary: "Stores the members that the first of several sorted sets has, and none of the \
            others.",
        handler: Handler::Data(zdiffstore),
        ..SORTED_SET
    },
];

/// How sorted sets are combined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operation {
    Union,
    Inter,
    Diff,
}

/// What becomes of the result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Purpose {
    Answer,
    Store,
    Count,
}

/// What becomes of the scores that a member has here and there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn parse(args: &mut Args<'_>) -> Result<Aggregate> {
        if args.keyword("sum") {
            Ok(Aggregate::Sum)
        } else if args.keyword("min") {
            Ok(Aggregate::Min)
        } else if args.keyword("max") {
            Ok(Aggregate::Max)
        } else {
            Err(Error::SYNTAX)
        }
    }

    /// One score of two. What is no number counts as 0 in a sum, and not at
    /// all otherwise.
    fn of(self, score: f64, other: f64) -> f64 {
        match self {
            Aggregate::Sum => number_or_zero(score + other),
            Aggregate::Min if other < score => other,
            Aggregate::Max if other > score => other,
            Aggregate::Min | Aggregate::Max => score,
        }
    }
}

/// Infinity and its opposite have no sum, and infinity times nothing is no
/// number: Redis takes both for 0.
fn number_or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What is combined.
#[derive(Clone, Copy)]
enum Source<'d> {
    /// Under a key that is not there.
    Nothing,
    Zset(ZsetRef<'d>),
    Set(SetRef<'d>),
}

impl<'d> Source<'d> {
    fn of(db: &'d Db<'_>, entry: Option<Handle>) -> Result<Source<'d>> {
        let Some(handle) = entry else {
            return Ok(Source::Nothing);
        };
        match db.value::<Zset>(handle) {
            Ok(zset) => Ok(Source::Zset(zset)),
            Err(_) => db.value::<Set>(handle).map(Source::Set),
        }
    }

    fn len(self) -> usize {
        match self {
            Source::Nothing => 0,
            Source::Zset(zset) => zset.len(),
            Source::Set(set) => set.len(),
        }
    }

    fn score(self, member: Member<'_>) -> Option<f64> {
        match self {
            Source::Nothing => None,
            Source::Zset(zset) => zset.score(member.bytes(&mut Digits::new())),
            Source::Set(set) => set.contains_member(member).then_some(1.0),
        }
    }

    fn iter(self) -> impl Iterator<Item = Entry<'d>> {
        let (zset, set) = match self {
            Source::Nothing => (None, None),
            Source::Zset(zset) => (Some(zset), None),
            Source::Set(set) => (None, Some(set)),
        };
        let entries = zset.into_iter().flat_map(ZsetRef::iter);
        let entries = entries.map(|(member, score)| (Member::Text(member), score));
        let members = set.into_iter().flat_map(SetRef::iter);
        entries.chain(members.map(|member| (member, 1.0)))
    }
}

/// A member of the result, where it is in a source, and its score.
type Entry<'d> = (Member<'d>, f64);

/// A request that has been read.
struct Query {
    operation: Operation,
    /// The entries of the keys, each with the weight of its scores.
    sources: Vec<(Option<Handle>, f64)>,
    aggregate: Aggregate,
    with_scores: bool,
    /// How many common members to count, at most.
    limit: usize,
}

impl Query {
    /// Reads `numkeys key…` and what follows. Redis looks the keys up before it
    /// reads on.
    fn parse(
        db: &mut Db<'_>,
        mut args: Args<'_>,
        operation: Operation,
        purpose: Purpose,
    ) -> Result<Query> {
        let numkeys = args.int()?;
        if numkeys < 1 {
            return Err(args.no_input_key());
        }
        let keys = args.take(numkeys as usize)?;
        let mut sources = Vec::with_capacity(keys.len());
        for key in keys.iter() {
            let found = db.read(key);
            Source::of(db, found)?;
            sources.push((found, 1.0));
        }
        let mut query = Query {
            operation,
            sources,
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: usize::MAX,
        };
        let takes_scores = operation != Operation::Diff && purpose != Purpose::Count;
        while args.remaining() > 0 {
            let has_value = args.remaining() > 1;
            if takes_scores && args.remaining() > keys.len() && args.keyword("weights") {
                for (_, weight) in &mut query.sources {
                    *weight = double::parse(args.next()?).ok_or(Error::WEIGHT_NOT_A_FLOAT)?;
                }
            } else if takes_scores && has_value && args.keyword("aggregate") {
                query.aggregate = Aggregate::parse(&mut args)?;
            } else if purpose == Purpose::Answer && args.keyword("withscores") {
                query.with_scores = true;
            } else if purpose == Purpose::Count && has_value && args.keyword("limit") {
                query.limit = match args.int_in(0..=i64::MAX, Error::LIMIT_NEGATIVE)? {
                    0 => usize::MAX,
                    limit => limit as usize,
                };
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(query)
    }

    /// The result, in order.
    fn run<'d>(&self, db: &'d Db<'_>) -> Result<Vec<Entry<'d>>> {
        let mut entries = match self.operation {
            Operation::Union => union(&self.weighted(db)?, self.aggregate),
            Operation::Inter => inter(&self.weighted(db)?, self.aggregate).collect(),
            Operation::Diff => self.diff(db)?,
        };
        // Mostly they come from one place, where they are in order already.
        if !entries.is_sorted_by(|a, b| order(a, b).is_le()) {
            entries.sort_unstable_by(order);
        }
        Ok(entries)
    }

    /// The sources with their weights, the smallest first.
    fn weighted<'d>(&self, db: &'d Db<'_>) -> Result<Vec<(Source<'d>, f64)>> {
        let source = |&(entry, weight)| Ok((Source::of(db, entry)?, weight));
        let mut sources = self
            .sources
            .iter()
            .map(source)
            .collect::<Result<Vec<_>>>()?;
        sources.sort_by_cached_key(|(source, _)| source.len());
        Ok(sources)
    }

    fn diff<'d>(&self, db: &'d Db<'_>) -> Result<Vec<Entry<'d>>> {
        let entries = self.sources.iter().map(|(entry, _)| *entry);
        let mut sources = entries.map(|entry| Source::of(db, entry));
        let first = sources.next().unwrap_or(Ok(Source::Nothing))?;
        let mut others = sources.collect::<Result<Vec<_>>>()?;
        let one_by_one = first.len().saturating_mul(others.len() + 1) / 2;
        let together = first.len() + others.iter().map(|other| other.len()).sum::<usize>();
        if one_by_one <= together {
            // What is not wanted is likely to be in the largest.
            others.sort_by_cached_key(|other| Reverse(other.len()));
            let is_in = |member, other: &Source<'_>| other.score(member).is_some();
            let is_wanted = |entry: &Entry<'d>| !others.iter().any(|other| is_in(entry.0, other));
            return Ok(first.iter().filter(is_wanted).collect());
        }
        let unwanted = others.iter().flat_map(|other| other.iter());
        let unwanted: HashSet<_, foldhash::fast::RandomState> =
            unwanted.map(|entry| entry.0.told_apart()).collect();
        let is_wanted = |entry: &Entry<'d>| !unwanted.contains(&entry.0.told_apart());
        Ok(first.iter().filter(is_wanted).collect())
    }
}

/// The order of the result.
fn order(a: &Entry<'_>, b: &Entry<'_>) -> Ordering {
    let scores = a.1.partial_cmp(&b.1).unwrap_or(Ordering::Equal);
    scores.then_with(|| match (a.0, b.0) {
        (Member::Text(a), Member::Text(b)) => a.cmp(b),
        (a, b) => a.bytes(&mut Digits::new()).cmp(b.bytes(&mut Digits::new())),
    })
}

/// What all sources have, of which the first is the smallest.
fn inter<'d>(
    sources: &[(Source<'d>, f64)],
    aggregate: Aggregate,
) -> impl Iterator<Item = Entry<'d>> {
    let (first, others) = match sources {
        [first, others @ ..] => (*first, others),
        [] => ((Source::Nothing, 1.0), sources),
    };
    first.0.iter().filter_map(move |(member, score)| {
        let mut score = number_or_zero(score * first.1);
        for (other, weight) in others {
            score = aggregate.of(score, other.score(member)? * weight);
        }
        Some((member, score))
    })
}

/// What any source has.
fn union<'d>(sources: &[(Source<'d>, f64)], aggregate: Aggregate) -> Vec<Entry<'d>> {
    let most = sources.last().map_or(0, |(source, _)| source.len());
    let is_set = |source: &(Source<'d>, f64)| matches!(source.0, Source::Set(_));
    // Only in a set a member may be an integer that is text elsewhere.
    let is_mixed = sources.iter().any(is_set);
    let mut scores: HashMap<Member<'d>, f64, foldhash::fast::RandomState> =
        HashMap::with_capacity_and_hasher(most, Default::default());
    for (source, weight) in sources {
        for (member, score) in source.iter() {
            let score = number_or_zero(score * weight);
            let member = if is_mixed {
                member.told_apart()
            } else {
                member
            };
            let known = scores.entry(member);
            known
                .and_modify(|known| *known = aggregate.of(*known, score))
                .or_insert(score);
        }
    }
    scores.into_iter().collect()
}

fn zunion(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    answer(db, args, reply, Operation::Union)
}

fn zunionstore(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    store(db, args, reply, Operation::Union, "zunionstore")
}

fn zinter(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    answer(db, args, reply, Operation::Inter)
}

fn zinterstore(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    store(db, args, reply, Operation::Inter, "zinterstore")
}

fn zintercard(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let query = Query::parse(db, args, Operation::Inter, Purpose::Count)?;
    let sources = query.weighted(db)?;
    let common = inter(&sources, query.aggregate);
    reply.len(common.take(query.limit).count());
    Ok(())
}

fn zdiff(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    answer(db, args, reply, Operation::Diff)
}

fn zdiffstore(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    store(db, args, reply, Operation::Diff, "zdiffstore")
}

fn answer(
    db: &mut Db<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
    operation: Operation,
) -> Result<()> {
    let query = Query::parse(db, args, operation, Purpose::Answer)?;
    let entries = query.run(db)?;
    let layout = Layout::new(query.with_scores, reply);
    layout.begin(entries.len(), reply);
    let mut digits = Digits::new();
    for (member, score) in entries {
        layout.write((member.bytes(&mut digits), score), reply);
    }
    Ok(())
}

fn store(
    db: &mut Db<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
    operation: Operation,
    event: &'static str,
) -> Result<()> {
    let limits = db.limits().zset;
    let destination = args.next()?;
    let query = Query::parse(db, args, operation, Purpose::Store)?;
    let result = collect(&query.run(db)?, limits)?;
    reply.len(result.view().len());
    db.replace(destination, result, event, 1)
}

/// A sorted set of entries that are in order.
fn collect(entries: &[Entry<'_>], limits: PackLimits) -> Result<Zset> {
    let mut result = Zset::default();
    result.expect(entries.len(), limits)?;
    let mut digits = Digits::new();
    for (member, score) in entries {
        result.append(member.bytes(&mut digits), *score, limits)?;
    }
    Ok(result)
}
