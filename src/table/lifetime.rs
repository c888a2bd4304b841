//! How long a key is to live, as requests say it.

use super::args::Args;
use crate::error::{Error, Result};
use crate::text::number;

/// What a number that tells a time counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// From now.
    Seconds,
    /// From now.
    Milliseconds,
    /// Since 1970.
    UnixSeconds,
    /// Since 1970.
    UnixMilliseconds,
}

impl Unit {
    /// Takes a word such as EX, behind which a number stands.
    pub fn take(args: &mut Args<'_>) -> Option<Unit> {
        let given = WORDS.iter().find(|(word, _)| args.keyword(word));
        given.map(|&(_, unit)| unit)
    }

    /// The time that a number tells `now`, both in milliseconds since 1970, if
    /// there is such a time.
    pub fn point(self, number: i64, now: i64) -> Option<i64> {
        match self {
            Unit::Seconds => number.checked_mul(1000)?.checked_add(now),
            Unit::Milliseconds => number.checked_add(now),
            Unit::UnixSeconds => number.checked_mul(1000),
            Unit::UnixMilliseconds => Some(number),
        }
    }

    /// The number that tells a time `at`, which has not come `now`. Seconds
    /// are rounded to the nearest.
    pub fn number(self, at: i64, now: i64) -> i64 {
        let seconds = |millis: i64| ((millis.unsigned_abs() + 500) / 1000) as i64;
        match self {
            Unit::Seconds => seconds(at - now),
            Unit::Milliseconds => at - now,
            Unit::UnixSeconds => seconds(at),
            Unit::UnixMilliseconds => at,
        }
    }
}

/// A word such as EX and its number. The number is read later: a bad option
/// behind it is the error that Redis tells first.
#[derive(Clone, Copy)]
pub struct Lifetime<'a> {
    /// What the number counts.
    pub unit: Unit,
    /// The number, as the client wrote it.
    pub number: &'a [u8],
}

const WORDS: [(&str, Unit); 4] = [
    ("EX", Unit::Seconds),
    ("PX", Unit::Milliseconds),
    ("EXAT", Unit::UnixSeconds),
    ("PXAT", Unit::UnixMilliseconds),
];

impl<'a> Lifetime<'a> {
    /// Takes a word and its number. Another word than that of an `earlier`
    /// lifetime contradicts it.
    pub fn parse(args: &mut Args<'a>, earlier: Option<Lifetime<'a>>) -> Result<Lifetime<'a>> {
        let unit = Unit::take(args).ok_or(Error::SYNTAX)?;
        if earlier.is_some_and(|earlier| earlier.unit != unit) {
            return Err(Error::SYNTAX);
        }
        let number = args.next()?;
        Ok(Lifetime { unit, number })
    }

    /// When it ends, in milliseconds since 1970. `args` are those of the
    /// request, for the error.
    pub fn end(self, args: Args<'_>, now: i64) -> Result<i64> {
        let number = number::parse_i64(self.number).ok_or(Error::NOT_AN_INTEGER)?;
        let end = self.unit.point(number, now).filter(|_| number > 0);
        end.ok_or_else(|| args.invalid_expire())
    }
}
