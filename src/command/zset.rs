//! Sorted sets: members in the order of their scores.
//!
//! Ranges are in [`super::zset_range`], several sorted sets at once in
//! [`super::zset_combine`], and commands that wait in [`super::blocking_zset`].

use std::collections::HashSet;

use super::draws::{Budget, Count};
use super::pop_first::{self, PopFirst};
use super::scan::{ScanOptions, cursor};
use crate::db::value::{Direction, Update, Viewed, Zset, ZsetRef};
use crate::db::{Db, Edited, Handle, PackLimits};
use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::table::vocabulary::{
    ELEMENTS, GROW_FAST, MODIFY_KEY, READ, READ_FAST, READ_KEY, REMOVE_KEY, SCORED_ELEMENTS,
    SORTED_SET, STAT_KEY, TAKE_KEY, UPDATE_KEY, WRITE, WRITE_FAST,
};
use crate::table::{Args, Handler, Row};
use crate::text::double;

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "zadd", arity: -4, flags: GROW_FAST, keys: &[UPDATE_KEY], elements: SCORED_ELEMENTS,
        usage: "key:key [condition(NX|XX)@3.0.2] [comparison(GT|LT)@6.2.0] [change=CH@3.0.2] \
            [increment=INCR@3.0.2] data(score:double member)...",
        since: "1.2.0",
        complexity: "O(log(N)) for each item added, where N is the number of elements in the \
            sorted set.",
        history: &[
            ("2.4.0", "Accepts multiple elements."),
            ("3.0.2", "Added the `XX`, `NX`, `CH` and `INCR` options."),
            ("6.2.0", "Added the `GT` and `LT` options."),
        ],
        summary: "Adds members to a sorted set or gives them other scores, and creates it if it \
            is missing.",
        handler: Handler::Data(zadd),
        ..SORTED_SET
    },
    Row {
        name: "zincrby", arity: 4, flags: GROW_FAST, keys: &[MODIFY_KEY], elements: SCORED_ELEMENTS,
        usage: "key:key increment:integer member", since: "1.2.0",
        complexity: "O(log(N)) where N is the number of elements in the sorted set.",
        summary: "Adds to the score of a member, which begins at 0.",
        handler: Handler::Data(zincrby),
        ..SORTED_SET
    },
    Row {
        name: "zrem", arity: -3, flags: WRITE_FAST, keys: &[REMOVE_KEY], elements: ELEMENTS,
        usage: "key:key member...", since: "1.2.0",
        complexity: "O(M*log(N)) with N being the number of elements in the sorted set and M the \
            number of elements to be removed.",
        history: &[("2.4.0", "Accepts multiple elements.")],
        summary: "Removes members from a sorted set.", handler: Handler::Data(zrem),
        ..SORTED_SET
    },
    Row {
        name: "zcard", arity: 2, flags: READ_FAST, keys: &[STAT_KEY],
        usage: "key:key", since: "1.2.0",
        summary: "How many members a sorted set has.", handler: Handler::Data(zcard),
        ..SORTED_SET
    },
    Row {
        name: "zscore", arity: 3, flags: READ_FAST, keys: &[READ_KEY], elements: ELEMENTS,
        usage: "key:key member", since: "1.2.0",
        summary: "The score of a member.", handler: Handler::Data(zscore),
        ..SORTED_SET
    },
    Row {
        name: "zmscore", arity: -3, flags: READ_FAST, keys: &[READ_KEY], elements: ELEMENTS,
        usage: "key:key member...", since: "6.2.0",
        complexity: "O(N) where N is the number of members being requested.",
        summary: "The scores of several members.", handler: Handler::Data(zmscore),
        ..SORTED_SET
    },
    Row {
        name: "zrank", arity: -3, flags: READ_FAST, keys: &[READ_KEY], elements: ELEMENTS,
        usage: "key:key member [WITHSCORE]", since: "2.0.0", complexity: "O(log(N))",
        history: &[("7.2.0", "Added the optional `WITHSCORE` argument.")],
        summary: "The place of a member, counted from the lowest score.",
        handler: Handler::Data(zrank),
        ..SORTED_SET
    },
    Row {
        name: "zrevrank", arity: -3, flags: READ_FAST, keys: &[READ_KEY], elements: ELEMENTS,
        usage: "key:key member [WITHSCORE]", since: "2.0.0", complexity: "O(log(N))",
        history: &[("7.2.0", "Added the optional `WITHSCORE` argument.")],
        summary: "The place of a member, counted from the highest score.",
        handler: Handler::Data(zrevrank),
        ..SORTED_SET
    },
    Row {
        name: "zpopmin", arity: -2, flags: WRITE_FAST, keys: &[TAKE_KEY],
        usage: "key:key [count:integer]", since: "5.0.0",
        complexity: "O(log(N)*M) with N being the number of elements in the sorted set, and M \
            being the number of elements popped.",
        summary: "Takes the members with the lowest scores out of a sorted set.",
        handler: Handler::Data(zpopmin),
        ..SORTED_SET
    },
    Row {
        name: "zpopmax", arity: -2, flags: WRITE_FAST, keys: &[TAKE_KEY],
        usage: "key:key [count:integer]", since: "5.0.0",
        complexity: "O(log(N)*M) with N being the number of elements in the sorted set, and M \
            being the number of elements popped.",
        summary: "Takes the members with the highest scores out of a sorted set.",
        handler: Handler::Data(zpopmax),
        ..SORTED_SET
    },
    Row {
        name: "zmpop", arity: -4, flags: WRITE, keys: &[TAKE_KEY.counted()],
        usage: "numkeys:integer key:key... where(MIN|MAX) [COUNT count:integer]", since: "7.0.0",
        complexity: "O(K) + O(M*log(N)) where K is the number of provided keys, N being the \
            number of elements in the sorted set, and M being the number of elements popped.",
        summary: "Takes members out of the first of several sorted sets that has any.",
        handler: Handler::Data(zmpop),
        ..SORTED_SET
    },
    Row {
        name: "zrandmember", arity: -2, flags: READ, keys: &[READ_KEY],
        usage: "key:key [options(count:integer [WITHSCORES])]", tips: &["nondeterministic_output"],
        since: "6.2.0",
        complexity: "O(N) where N is the number of members returned",
        summary: "Members of a sorted set at random; a negative count may answer one more than \
            once.",
        handler: Handler::Data(zrandmember),
        ..SORTED_SET
    },
    Row {
        name: "zscan", arity: -3, flags: READ, keys: &[READ_KEY],
        usage: "key:key cursor:integer [MATCH pattern:pattern] [COUNT count:integer]",
        tips: &["nondeterministic_output"], since: "2.8.0",
        complexity: "O(1) for every call. O(N) for a complete iteration, including enough command \
            calls for the cursor to return back to 0. N is the number of elements inside the \
            collection.",
        summary: "Walks through members and scores in portions; a cursor marks the place.",
        handler: Handler::Data(zscan),
        ..SORTED_SET
    },
];

/// What ZADD does with the members that it names.
#[derive(Clone, Copy, Default)]
pub struct AddOptions {
    /// NX: those that are there stay as they are.
    pub only_new: bool,
    /// XX: those that are not there are not added.
    pub only_known: bool,
    /// GT: scores only rise.
    only_greater: bool,
    /// LT: scores only fall.
    only_less: bool,
    /// CH: those that are changed are counted, too.
    pub counts_changes: bool,
    /// INCR: the number is added to the score.
    increments: bool,
}

impl AddOptions {
    /// Takes the next option; false if the next word is none.
    fn take(&mut self, args: &mut Args<'_>) -> bool {
        // Mostly a score comes, which begins with no letter.
        let is_word = |word: &[u8]| word.first().is_some_and(u8::is_ascii_alphabetic);
        if !args.peek().is_some_and(is_word) {
            return false;
        }
        let options = [
            ("nx", &mut self.only_new),
            ("xx", &mut self.only_known),
            ("gt", &mut self.only_greater),
            ("lt", &mut self.only_less),
            ("ch", &mut self.counts_changes),
            ("incr", &mut self.increments),
        ];
        let taken = options.into_iter().find(|(word, _)| args.keyword(word));
        taken.map(|(_, option)| *option = true).is_some()
    }

    /// Whether they go with each other, and with so many members.
    fn check(self, members: usize) -> Result<()> {
        if self.only_new && self.only_known {
            return Err(Error::NX_WITH_XX);
        }
        let conditions = [self.only_new, self.only_greater, self.only_less];
        if conditions.into_iter().filter(|given| *given).count() > 1 {
            return Err(Error::NX_GT_LT);
        }
        match self.increments && members > 1 {
            true => Err(Error::INCR_OF_SEVERAL),
            false => Ok(()),
        }
    }

    /// The score that a member gets which has `old`, if it gets one; NaN is
    /// none.
    fn score(self, old: Option<f64>, number: f64) -> Option<f64> {
        let Some(old) = old else {
            return (!self.only_known).then_some(number);
        };
        if self.only_new {
            return None;
        }
        let new = if self.increments {
            old + number
        } else {
            number
        };
        let is_refused = self.only_greater && new <= old || self.only_less && new >= old;
        (!is_refused).then_some(new)
    }

    fn event(self) -> &'static str {
        match self.increments {
            true => "zincr",
            false => "zadd",
        }
    }
}

fn zadd(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    add(db, args, AddOptions::default(), reply)
}

fn zincrby(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let options = AddOptions {
        increments: true,
        ..AddOptions::default()
    };
    add(db, args, options, reply)
}

fn add(
    db: &mut Db<'_>,
    mut args: Args<'_>,
    mut options: AddOptions,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let key = args.next()?;
    while options.take(&mut args) {}
    let count = args.remaining() / 2;
    if count == 0 || args.remaining() % 2 == 1 {
        return Err(Error::SYNTAX);
    }
    options.check(count)?;
    let mut members = Vec::with_capacity(count);
    while args.remaining() > 0 {
        let number = double::parse(args.next()?).ok_or(Error::NOT_A_FLOAT)?;
        members.push((args.next()?, number));
    }
    add_members(db, key, options, &members, reply)
}

/// Adds members with their scores to the sorted set under `key`, and answers
/// what has become of them.
pub fn add_members(
    db: &mut Db<'_>,
    key: &[u8],
    options: AddOptions,
    members: &[(&[u8], f64)],
    reply: &mut Reply<'_>,
) -> Result<()> {
    let limits = db.limits().zset;
    let found = db.lookup(key);
    let added = db.edit_or_create(key, found, |zset: &mut Zset| {
        zset.expect(members.len(), limits)?;
        let mut done = Added::default();
        for &(member, number) in members {
            match done.add(zset, limits, member, |old| options.score(old, number)) {
                Ok(()) => {}
                // What has been added stays, and is told of.
                Err(error) if done.changes() > 0 => {
                    return Ok(Edited::Changed(options.event(), done.changes(), Err(error)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(match done.changes() {
            0 => Edited::Unchanged(Ok(done)),
            changes => Edited::Changed(options.event(), changes, Ok(done)),
        })
    })??;
    match (options.increments, added.last) {
        (true, Some(score)) => reply.double(score),
        (true, None) => reply.null(),
        (false, _) if options.counts_changes => reply.len(added.changes()),
        (false, _) => reply.len(added.new),
    }
    Ok(())
}

/// What has become of the members that ZADD names.
#[derive(Default)]
struct Added {
    new: usize,
    changed: usize,
    /// The score of the last one, unless an option left it as it was.
    last: Option<f64>,
}

impl Added {
    fn changes(&self) -> usize {
        self.new + self.changed
    }

    /// Gives a member the score that `score` makes of the one it has.
    fn add(
        &mut self,
        zset: &mut Zset,
        limits: PackLimits,
        member: &[u8],
        score: impl FnOnce(Option<f64>) -> Option<f64>,
    ) -> Result<()> {
        let mut is_nan = false;
        let update = zset.update(member, limits, |old| {
            let score = score(old);
            is_nan = score.is_some_and(f64::is_nan);
            score.filter(|score| !score.is_nan())
        })?;
        if is_nan {
            return Err(Error::SCORE_NAN);
        }
        match update {
            Update {
                old: None,
                new: Some(_),
            } => self.new += 1,
            Update {
                old,
                new: new @ Some(_),
            } if old != new => self.changed += 1,
            _ => {}
        }
        self.last = update.new;
        Ok(())
    }
}

fn zrem(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    let Some(handle) = db.lookup(key) else {
        reply.int(0);
        return Ok(());
    };
    let removed = db.edit(key, handle, |zset: &mut Zset| {
        let members = args.rest();
        let removed = members.filter(|member| zset.remove(member).is_some());
        Ok(match removed.count() {
            0 => Edited::Unchanged(0),
            removed => Edited::Changed("zrem", removed, removed),
        })
    })?;
    reply.len(removed);
    Ok(())
}

fn zcard(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let zset = db.read_value::<Zset>(args.next()?)?;
    reply.len(zset.map_or(0, ZsetRef::len));
    Ok(())
}

fn zscore(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let zset = db.read_value::<Zset>(args.next()?)?;
    let member = args.next()?;
    write_score(zset.and_then(|zset| zset.score(member)), reply);
    Ok(())
}

fn zmscore(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let zset = db.read_value::<Zset>(args.next()?)?;
    reply.array(args.remaining());
    for member in args.rest() {
        write_score(zset.and_then(|zset| zset.score(member)), reply);
    }
    Ok(())
}

fn write_score(score: Option<f64>, reply: &mut Reply<'_>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

fn zrank(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    rank(db, args, reply, Direction::Up)
}

fn zrevrank(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    rank(db, args, reply, Direction::Down)
}

fn rank(
    db: &mut Db<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
    direction: Direction,
) -> Result<()> {
    let (key, member) = (args.next()?, args.next()?);
    if args.remaining() > 1 {
        return Err(args.wrong_arity());
    }
    let with_score = args.keyword("withscore");
    args.end()?;
    let zset = db.read_value::<Zset>(key)?;
    let found = zset.and_then(|zset| {
        let (rank, score) = zset.rank(member)?;
        Some(match direction {
            Direction::Up => (rank, score),
            Direction::Down => (zset.len() - 1 - rank, score),
        })
    });
    match found {
        Some((rank, score)) if with_score => {
            reply.array(2);
            reply.len(rank);
            reply.double(score);
        }
        Some((rank, _)) => reply.len(rank),
        None if with_score => reply.null_array(),
        None => reply.null(),
    }
    Ok(())
}

/// How members are written, with their scores or without.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// Members alone.
    Members,
    /// Member, score, member, score.
    Flat,
    /// Each member in an array with its score.
    Pairs,
}

impl Layout {
    /// That of most commands: with scores there are pairs in RESP3.
    pub fn new(with_scores: bool, reply: &Reply<'_>) -> Layout {
        match with_scores {
            true if reply.is_resp3() => Layout::Pairs,
            true => Layout::Flat,
            false => Layout::Members,
        }
    }

    /// Begins an array of so many members.
    pub fn begin(self, members: usize, reply: &mut Reply<'_>) {
        match self {
            Layout::Flat => reply.array(2 * members),
            Layout::Members | Layout::Pairs => reply.array(members),
        }
    }

    /// Writes a member of the array.
    #[inline]
    pub fn write(self, (member, score): (&[u8], f64), reply: &mut Reply<'_>) {
        if self == Layout::Pairs {
            reply.array(2);
        }
        reply.bulk(member);
        if self != Layout::Members {
            reply.double(score);
        }
    }
}

fn zpopmin(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    pop(db, args, reply, Direction::Up)
}

fn zpopmax(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    pop(db, args, reply, Direction::Down)
}

fn pop(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>, from: Direction) -> Result<()> {
    let key = args.next()?;
    if args.remaining() > 1 {
        return Err(Error::SYNTAX);
    }
    let count = match args.remaining() {
        0 => None,
        _ => Some(args.int_in(0..=i64::MAX, Error::NOT_POSITIVE)? as usize),
    };
    let Some(handle) = db.lookup(key) else {
        reply.array(0);
        return Ok(());
    };
    // Who asks for one without saying so gets no pair in RESP3 either.
    let layout = match count {
        Some(_) => Layout::new(true, reply),
        None => Layout::Flat,
    };
    take(db, key, handle, from, count.unwrap_or(1), layout, reply)
}

/// The event of a pop.
fn popped(from: Direction) -> &'static str {
    match from {
        Direction::Up => "zpopmin",
        Direction::Down => "zpopmax",
    }
}

/// Takes up to `count` members and writes them as an array.
pub fn take(
    db: &mut Db<'_>,
    key: &[u8],
    handle: Handle,
    from: Direction,
    count: usize,
    layout: Layout,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let rest = db.edit(key, handle, |zset: &mut Zset| {
        let count = count.min(zset.view().len());
        layout.begin(count, reply);
        Ok(match count {
            0 => Edited::Unchanged(Zset::default()),
            _ => {
                let rest = cut(zset, from, count, |entry| layout.write(entry, reply));
                Edited::Changed(popped(from), count, rest)
            }
        })
    })?;
    db.discard(rest);
    Ok(())
}

/// Takes one member and writes it and its score, without an array around them.
pub fn take_one(
    db: &mut Db<'_>,
    key: &[u8],
    handle: Handle,
    from: Direction,
    reply: &mut Reply<'_>,
) -> Result<()> {
    db.edit(key, handle, |zset: &mut Zset| {
        cut(zset, from, 1, |entry| Layout::Flat.write(entry, reply));
        Ok(Edited::Changed(popped(from), 1, ()))
    })
}

/// Removes `count` entries, which are there, and tells each; answers what is to
/// be freed.
fn cut(zset: &mut Zset, from: Direction, count: usize, each: impl FnMut((&[u8], f64))) -> Zset {
    let len = zset.view().len();
    let ranks = match from {
        Direction::Up => 0..count,
        Direction::Down => len - count..len,
    };
    zset.view().range(ranks.clone(), from).for_each(each);
    zset.cut(ranks)
}

/// MIN or MAX: from where members are taken.
pub fn end(args: &mut Args<'_>) -> Result<Direction> {
    if args.keyword("min") {
        Ok(Direction::Up)
    } else if args.keyword("max") {
        Ok(Direction::Down)
    } else {
        Err(Error::SYNTAX)
    }
}

/// Takes from the first sorted set that there is, and writes the key and the
/// members. False if there is none.
pub fn take_first(
    db: &mut Db<'_>,
    pop: &PopFirst<'_, Direction>,
    reply: &mut Reply<'_>,
) -> Result<bool> {
    let Some((key, handle)) = pop_first::find::<Zset>(db, pop.keys)? else {
        return Ok(false);
    };
    reply.array(2);
    reply.bulk(key);
    take(db, key, handle, pop.end, pop.count, Layout::Pairs, reply)?;
    Ok(true)
}

fn zmpop(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let pop = PopFirst::parse(&mut args, end)?;
    if !take_first(db, &pop, reply)? {
        reply.null_array();
    }
    Ok(())
}

fn zrandmember(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    if args.remaining() == 0 {
        let mut rng = db.rng().fork();
        let zset = db.read_value::<Zset>(key)?;
        let drawn = zset.and_then(|zset| zset.get(rng.usize(..zset.len())));
        reply.bulk_or_null(drawn.map(|(member, _)| member));
        return Ok(());
    }
    let count = Count::parse(&mut args)?;
    let with_scores = args.remaining() == 1 && args.keyword("withscores");
    args.end()?;
    let (Count::Different(magnitude) | Count::Any(magnitude)) = count;
    if with_scores && magnitude > usize::MAX / 4 {
        return Err(Error::OUT_OF_RANGE);
    }
    let layout = Layout::new(with_scores, reply);
    let string_max = db.limits().string;
    let mut rng = db.rng().fork();
    let Some(zset) = db.read_value::<Zset>(key)? else {
        reply.array(0);
        return Ok(());
    };
    match count {
        Count::Different(count) => draw_different(zset, count, &mut rng, layout, reply),
        Count::Any(count) => {
            let mut budget = Budget::new(count, string_max)?;
            layout.begin(count, reply);
            // To find the n-th of a small one takes a walk.
            let small: Vec<_> = match zset.is_packed() {
                true => zset.iter().collect(),
                false => Vec::new(),
            };
            for _ in 0..count {
                let rank = rng.usize(..zset.len());
                let drawn = small.get(rank).copied().or_else(|| zset.get(rank));
                let (member, score) = drawn.expect("the rank is below the length");
                budget.spend(member.len())?;
                layout.write((member, score), reply);
            }
        }
    }
    Ok(())
}

/// Writes so many different members, or all that there are.
fn draw_different(
    zset: ZsetRef<'_>,
    count: usize,
    rng: &mut fastrand::Rng,
    layout: Layout,
    reply: &mut Reply<'_>,
) {
    let len = zset.len();
    let count = count.min(len);
    layout.begin(count, reply);
    if count == len {
        // As Redis has it, the highest first.
        let entries = zset.range(0..len, Direction::Down);
        return entries.for_each(|entry| layout.write(entry, reply));
    }
    // A walk through all takes less than to look up a third of them.
    if zset.is_packed() || count > len / 3 {
        let (mut wanted, mut left) = (count, len);
        for entry in zset.iter() {
            if rng.usize(..left) < wanted {
                layout.write(entry, reply);
                wanted -= 1;
            }
            left -= 1;
        }
        return;
    }
    // Floyd's way to draw without ever drawing in vain: where one has been
    // drawn before, the last takes its place.
    let mut drawn = HashSet::with_capacity(count);
    for last in len - count..len {
        let rank = rng.usize(..=last);
        let rank = if drawn.insert(rank) { rank } else { last };
        drawn.insert(rank);
        if let Some(entry) = zset.get(rank) {
            layout.write(entry, reply);
        }
    }
}

fn zscan(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let key = args.next()?;
    let cursor = cursor(args.next()?)?;
    let Some(zset) = db.read_value::<Zset>(key)? else {
        // Nobody looks at the options then.
        reply.array(2);
        reply.bulk(b"0");
        reply.array(0);
        return Ok(());
    };
    let mut options = ScanOptions::default();
    while args.remaining() > 0 {
        options.take(&mut args)?;
    }
    let mut found = Vec::new();
    let next = zset.scan(cursor, options.count, |member, score| {
        if options.matches(member) {
            found.push((member, score));
        }
    });
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    reply.array(2 * found.len());
    for (member, score) in found {
        reply.bulk(member);
        // Redis prints those of large ones in another way than anywhere else.
        match zset.is_listpack() {
            true => reply.bulk(double::Buffer::default().format(score)),
            false => reply.bulk(double::with_17_digits(score).as_bytes()),
        }
    }
    Ok(())
}
