//! Ranges of sorted sets: by rank, by score, and by member where all scores are
//! equal. They are read, counted, stored and removed.

use std::ops::Range;

use super::list;
use super::zset::Layout;
use crate::db::value::{Direction, LexBound, ScoreBound, Viewed, Zset, ZsetRef};
use crate::db::{Db, Edited};
use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::table::vocabulary::{
    GROW, OVERWRITE_KEY, READ, READ_FAST, READ_KEY, REMOVE_KEY, SORTED_SET, WRITE,
};
use crate::table::{Args, Handler, Row};
use crate::text::{double, number};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "zrange", arity: -4, flags: READ, keys: &[READ_KEY],
        usage: "key:key start stop [sortby(BYSCORE|BYLEX)@6.2.0] [REV@6.2.0] \
            [LIMIT limit(offset:integer count:integer)@6.2.0] [WITHSCORES]",
        since: "1.2.0",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the \
            number of elements returned.",
        history: &[("6.2.0", "Added the `REV`, `BYSCORE`, `BYLEX` and `LIMIT` options.")],
        summary: "The members of a sorted set from one place, score or member to another.",
        handler: Handler::Data(zrange),
        ..SORTED_SET
    },
    Row {
        name: "zrangestore", arity: -5, flags: GROW, keys: &[OVERWRITE_KEY, READ_KEY.at(2)],
        usage: "dst:key src:key min max [sortby(BYSCORE|BYLEX)] [REV] \
            [LIMIT limit(offset:integer count:integer)]",
        since: "6.2.0",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the \
            number of elements stored into the destination key.",
        summary: "Stores a range of a sorted set under another key.",
        handler: Handler::Data(zrangestore),
        ..SORTED_SET
    },
    Row {
        name: "zrangebyscore", arity: -4, flags: READ, keys: &[READ_KEY],
        usage: "key:key min:double max:double [WITHSCORES@2.0.0] \
            [LIMIT limit(offset:integer count:integer)]",
        since: "1.0.5",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the \
            number of elements being returned. If M is constant (e.g. always asking for the first \
            10 elements with LIMIT), you can consider it O(log(N)).",
        history: &[("2.0.0", "Added the `WITHSCORES` modifier.")],
        deprecated: Some(("6.2.0", "`ZRANGE` with the `BYSCORE` argument")),
        summary: "The members with scores in a range, the lowest first.",
        handler: Handler::Data(zrangebyscore),
        ..SORTED_SET
    },
    Row {
        name: "zrevrangebyscore", arity: -4, flags: READ, keys: &[READ_KEY],
        usage: "key:key max:double min:double [WITHSCORES] \
            [LIMIT limit(offset:integer count:integer)]",
        since: "2.2.0",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the \
            number of elements being returned. If M is constant (e.g. always asking for the first \
            10 elements with LIMIT), you can consider it O(log(N)).",
        history: &[("2.1.6", "`min` and `max` can be exclusive.")],
        deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments")),
        summary: "The members with scores in a range, the highest first.",
        handler: Handler::Data(zrevrangebyscore),
        ..SORTED_SET
    },
    Row {
        name: "zrangebylex", arity: -4, flags: READ, keys: &[READ_KEY],
        usage: "key:key min max [LIMIT limit(offset:integer count:integer)]",
        since: "2.8.9",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the \
            number of elements being returned. If M is constant (e.g. always asking for the first \
            10 elements with LIMIT), you can consider it O(log(N)).",
        deprecated: Some(("6.2.0", "`ZRANGE` with the `BYLEX` argument")),
        summary: "The members from one to another where all scores are equal.",
        handler: Handler::Data(zrangebylex),
        ..SORTED_SET
    },
    Row {
        name: "zrevrangebylex", arity: -4, flags: READ, keys: &[READ_KEY],
        usage: "key:key max min [LIMIT limit(offset:integer count:integer)]",
        since: "2.8.9",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the \
            number of elements being returned. If M is constant (e.g. always asking for the first \
            10 elements with LIMIT), you can consider it O(log(N)).",
        deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments")),
        summary: "The members from one back to another where all scores are equal.",
        handler: Handler::Data(zrevrangebylex),
        ..SORTED_SET
    },
    Row {
        name: "zrevrange", arity: -4, flags: READ, keys: &[READ_KEY],
        usage: "key:key start:integer stop:integer [WITHSCORES]", since: "1.2.0",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the \
            number of elements returned.",
        deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` argument")),
        summary: "The members from one place to another, counted from the highest score.",
        handler: Handler::Data(zrevrange),
        ..SORTED_SET
    },
    Row {
        name: "zcount", arity: 4, flags: READ_FAST, keys: &[READ_KEY],
        usage: "key:key min:double max:double", since: "2.0.0",
        complexity: "O(log(N)) with N being the number of elements in the sorted set.",
        summary: "How many members have scores in a range.", handler: Handler::Data(zcount),
        ..SORTED_SET
    },
    Row {
        name: "zlexcount", arity: 4, flags: READ_FAST, keys: &[READ_KEY],
        usage: "key:key min max", since: "2.8.9",
        complexity: "O(log(N)) with N being the number of elements in the sorted set.",
        summary: "How many members there are from one to another where all scores are equal.",
        handler: Handler::Data(zlexcount),
        ..SORTED_SET
    },
    Row {
        name: "zremrangebyrank", arity: 4, flags: WRITE, keys: &[REMOVE_KEY],
        usage: "key:key start:integer stop:integer", since: "2.0.0",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the \
            number of elements removed by the operation.",
        summary: "Removes the members from one place to another.",
        handler: Handler::Data(zremrangebyrank),
        ..SORTED_SET
    },
    Row {
        name: "zremrangebyscore", arity: 4, flags: WRITE, keys: &[REMOVE_KEY],
        usage: "key:key min:double max:double", since: "1.2.0",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the \
            number of elements removed by the operation.",
        summary: "Removes the members with scores in a range.",
        handler: Handler::Data(zremrangebyscore),
        ..SORTED_SET
    },
    Row {
        name: "zremrangebylex", arity: 4, flags: WRITE, keys: &[REMOVE_KEY],
        usage: "key:key min max", since: "2.8.9",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the \
            number of elements removed by the operation.",
        summary: "Removes the members from one to another where all scores are equal.",
        handler: Handler::Data(zremrangebylex),
        ..SORTED_SET
    },
];

/// By what a range is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum By {
    Rank,
    Score,
    Lex,
}

/// Which members are meant.
#[derive(Clone, Copy, Debug)]
enum Span<'a> {
    /// From one place to another, both included; negative ones count from the
    /// end.
    Rank(i64, i64),
    Score(ScoreBound, ScoreBound),
    Lex(LexBound<'a>, LexBound<'a>),
}

impl<'a> Span<'a> {
    fn parse(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Span<'a>> {
        Ok(match by {
            By::Rank => Span::Rank(int(min)?, int(max)?),
            By::Score => Span::Score(score_bound(min)?, score_bound(max)?),
            By::Lex => Span::Lex(lex_bound(min)?, lex_bound(max)?),
        })
    }

    /// The ranks of those of a sorted set; places count from where `direction`
    /// begins.
    fn ranks(self, zset: ZsetRef<'_>, direction: Direction) -> Range<usize> {
        match (self, direction) {
            (Span::Rank(start, stop), Direction::Up) => list::range(start, stop, zset.len()),
            (Span::Rank(start, stop), Direction::Down) => {
                let len = zset.len();
                let range = list::range(start, stop, len);
                len - range.end..len - range.start
            }
            (Span::Score(min, max), _) => zset.ranks_by_score(min, max),
            (Span::Lex(min, max), _) => zset.ranks_by_lex(min, max),
        }
    }
}

fn int(word: &[u8]) -> Result<i64> {
    number::parse_i64(word).ok_or(Error::NOT_AN_INTEGER)
}

/// `5`, `(5` for what is beyond it, `-inf`.
fn score_bound(word: &[u8]) -> Result<ScoreBound> {
    let (is_exclusive, score) = match word {
        [b'(', score @ ..] => (true, score),
        score => (false, score),
    };
    let score = double::parse_lax(score).ok_or(Error::BOUND_NOT_A_FLOAT)?;
    Ok(ScoreBound {
        score,
        is_exclusive,
    })
}

/// `[member`, `(member` for what is beyond it, `-` and `+`.
fn lex_bound(word: &[u8]) -> Result<LexBound<'_>> {
    match word {
        [b'[', member @ ..] => Ok(LexBound::Included(member)),
        [b'(', member @ ..] => Ok(LexBound::Excluded(member)),
        // Redis looks no further than to a NUL.
        [b'-'] | [b'-', 0, ..] => Ok(LexBound::Lowest),
        [b'+'] | [b'+', 0, ..] => Ok(LexBound::Highest),
        _ => Err(Error::BOUND_NOT_A_MEMBER),
    }
}

/// What a command of this family asks for.
#[derive(Clone, Copy, Debug)]
struct Query<'a> {
    span: Span<'a>,
    direction: Direction,
    /// How many of those to leave out, and how many to answer at most; a
    /// negative number is all of them.
    offset: i64,
    count: i64,
    with_scores: bool,
}

/// What the name of a command says already.
#[derive(Clone, Copy, Default)]
struct Named {
    by: Option<By>,
    direction: Option<Direction>,
    /// It stores what it finds, with the scores.
    stores: bool,
}

impl<'a> Query<'a> {
    /// Reads `min max` and what follows.
    fn parse(mut args: Args<'a>, named: Named) -> Result<Query<'a>> {
        let (first, last) = (args.next()?, args.next()?);
        let Named {
            mut by,
            mut direction,
            stores,
        } = named;
        let (mut offset, mut count, mut with_scores) = (0, -1, false);
        while args.remaining() > 0 {
            if !stores && args.keyword("withscores") {
                with_scores = true;
            } else if args.remaining() > 2 && args.keyword("limit") {
                (offset, count) = (args.int()?, args.int()?);
            } else if direction.is_none() && args.keyword("rev") {
                direction = Some(Direction::Down);
            } else if by.is_none() && args.keyword("bylex") {
                by = Some(By::Lex);
            } else if by.is_none() && args.keyword("byscore") {
                by = Some(By::Score);
            } else {
                return Err(Error::SYNTAX);
            }
        }
        let by = by.unwrap_or(By::Rank);
        let direction = direction.unwrap_or(Direction::Up);
        if by == By::Rank {
            if count != -1 {
                return Err(Error::LIMIT_BY_RANK);
            }
            // Redis takes `LIMIT 5 -1` for none.
            offset = 0;
        }
        if with_scores && by == By::Lex {
            return Err(Error::SCORES_BY_LEX);
        }
        // Scores and members are told in the order in which they are answered.
        let (min, max) = match direction {
            Direction::Down if by != By::Rank => (last, first),
            _ => (first, last),
        };
        Ok(Query {
            span: Span::parse(by, min, max)?,
            direction,
            offset,
            count,
            with_scores,
        })
    }

    /// The ranks of what it asks for.
    fn ranks(&self, zset: ZsetRef<'_>) -> Range<usize> {
        let ranks = self.span.ranks(zset, self.direction);
        let Ok(offset) = usize::try_from(self.offset) else {
            return 0..0;
        };
        let offset = offset.min(ranks.len());
        let left = ranks.len() - offset;
        let count = usize::try_from(self.count).map_or(left, |count| count.min(left));
        match self.direction {
            Direction::Up => ranks.start + offset..ranks.start + offset + count,
            Direction::Down => ranks.end - offset - count..ranks.end - offset,
        }
    }
}

fn zrange(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    read(db, args, reply, Named::default())
}

fn zrangebyscore(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    read(db, args, reply, named(By::Score, Direction::Up))
}

fn zrevrangebyscore(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    read(db, args, reply, named(By::Score, Direction::Down))
}

fn zrangebylex(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    read(db, args, reply, named(By::Lex, Direction::Up))
}

fn zrevrangebylex(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    read(db, args, reply, named(By::Lex, Direction::Down))
}

fn zrevrange(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    read(db, args, reply, named(By::Rank, Direction::Down))
}

fn named(by: By, direction: Direction) -> Named {
    Named {
        by: Some(by),
        direction: Some(direction),
        stores: false,
    }
}

fn read(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>, named: Named) -> Result<()> {
    let key = args.next()?;
    let query = Query::parse(args, named)?;
    let Some(zset) = db.read_value::<Zset>(key)? else {
        reply.array(0);
        return Ok(());
    };
    let entries = zset.range(query.ranks(zset), query.direction);
    let layout = Layout::new(query.with_scores, reply);
    layout.begin(entries.len(), reply);
    entries.for_each(|entry| layout.write(entry, reply));
    Ok(())
}

fn zrangestore(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let limits = db.limits().zset;
    let (to, from) = (args.next()?, args.next()?);
    let stores = true;
    let query = Query::parse(
        args,
        Named {
            stores,
            ..Named::default()
        },
    )?;
    let mut result = Zset::default();
    if let Some(zset) = db.read_value::<Zset>(from)? {
        let entries = zset.range(query.ranks(zset), Direction::Up);
        result.expect(entries.len(), limits)?;
        for (member, score) in entries {
            result.append(member, score, limits)?;
        }
    }
    reply.len(result.view().len());
    db.replace(to, result, "zrangestore", 1)
}

fn zcount(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    count(db, args, reply, By::Score)
}

fn zlexcount(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    count(db, args, reply, By::Lex)
}

fn count(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>, by: By) -> Result<()> {
    let key = args.next()?;
    let span = Span::parse(by, args.next()?, args.next()?)?;
    let zset = db.read_value::<Zset>(key)?;
    reply.len(zset.map_or(0, |zset| span.ranks(zset, Direction::Up).len()));
    Ok(())
}

fn zremrangebyrank(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    remove(db, args, reply, By::Rank, "zremrangebyrank")
}

fn zremrangebyscore(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    remove(db, args, reply, By::Score, "zremrangebyscore")
}

fn zremrangebylex(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    remove(db, args, reply, By::Lex, "zremrangebylex")
}

fn remove(
    db: &mut Db<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
    by: By,
    event: &'static str,
) -> Result<()> {
    let key = args.next()?;
    let span = Span::parse(by, args.next()?, args.next()?)?;
    let Some(handle) = db.lookup(key) else {
        reply.int(0);
        return Ok(());
    };
    let rest = db.edit(key, handle, |zset: &mut Zset| {
        let ranks = span.ranks(zset.view(), Direction::Up);
        let removed = ranks.len();
        reply.len(removed);
        Ok(match removed {
            0 => Edited::Unchanged(Zset::default()),
            _ => Edited::Changed(event, removed, zset.cut(ranks)),
        })
    })?;
    db.discard(rest);
    Ok(())
}
