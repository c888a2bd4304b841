//! What readers see of a sorted set.

use std::iter::{Rev, Take};
use std::ops::Range;
use std::vec;

use super::table::Table;
use super::{packed, tree};
use crate::db::value::form::PackedAs;

/// A member and its score.
pub type Entry<'a> = (&'a [u8], f64);

/// A sorted set where it stands.
#[derive(Clone, Copy, Debug)]
pub enum ZsetRef<'a> {
    /// A small one.
    Packed(&'a [u8], PackedAs),
    /// A large one.
    Table(&'a Table),
}

/// In which direction entries are gone through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From the lowest to the highest.
    Up,
    /// From the highest to the lowest.
    Down,
}

/// An end of a range of scores.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ScoreBound {
    /// Up to here.
    pub score: f64,
    /// Whether what has just this score is outside.
    pub is_exclusive: bool,
}

/// An end of a range of members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LexBound<'a> {
    /// `-`: before all.
    Lowest,
    /// `[member`
    Included(&'a [u8]),
    /// `(member`
    Excluded(&'a [u8]),
    /// `+`: behind all.
    Highest,
}

impl LexBound<'_> {
    /// Whether a member is before a range that begins here.
    fn is_behind(self, member: &[u8]) -> bool {
        match self {
            LexBound::Lowest => false,
            LexBound::Included(first) => member < first,
            LexBound::Excluded(before) => member <= before,
            LexBound::Highest => true,
        }
    }

    /// Whether a member is not behind a range that ends here.
    fn reaches(self, member: &[u8]) -> bool {
        match self {
            LexBound::Lowest => false,
            LexBound::Included(last) => member <= last,
            LexBound::Excluded(behind) => member < behind,
            LexBound::Highest => true,
        }
    }
}

impl<'a> ZsetRef<'a> {
    /// How many members there are.
    pub fn len(self) -> usize {
        match self {
            ZsetRef::Packed(bytes, _) => packed::len(bytes),
            ZsetRef::Table(table) => table.len(),
        }
    }

    /// The score of a member.
    pub fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            ZsetRef::Packed(bytes, _) => Some(packed::find(bytes, member)?.score),
            ZsetRef::Table(table) => Some(table.find(member)?.1),
        }
    }

    /// The rank and the score of a member.
    pub fn rank(self, member: &[u8]) -> Option<(usize, f64)> {
        match self {
            ZsetRef::Packed(bytes, _) => {
                let place = packed::find(bytes, member)?;
                Some((place.rank, place.score))
            }
            ZsetRef::Table(table) => {
                let (_, score) = table.find(member)?;
                Some((table.rank(member, score), score))
            }
        }
    }

    /// The entry of a rank.
    pub fn get(self, rank: usize) -> Option<Entry<'a>> {
        match self {
            ZsetRef::Packed(bytes, _) => packed::Entries::of(bytes).nth(rank),
            ZsetRef::Table(table) => table.get(rank),
        }
    }

    /// All entries, the lowest first.
    pub fn iter(self) -> Entries<'a> {
        self.range(0..self.len(), Direction::Up)
    }

    /// The entries of these ranks, as far as they are there.
    pub fn range(self, ranks: Range<usize>, direction: Direction) -> Entries<'a> {
        let end = ranks.end.min(self.len());
        let ranks = ranks.start.min(end)..end;
        Entries(match (self, direction) {
            (ZsetRef::Packed(bytes, _), direction) => {
                let mut entries = packed::Entries::of(bytes);
                if ranks.start > 0 {
                    entries.nth(ranks.start - 1);
                }
                let left = ranks.len();
                let entries = entries.take(left);
                match direction {
                    Direction::Up => Source::Packed(entries, left),
                    Direction::Down => {
                        Source::Collected(entries.collect::<Vec<_>>().into_iter().rev())
                    }
                }
            }
            (ZsetRef::Table(table), Direction::Up) => Source::Up(table, table.range(ranks)),
            (ZsetRef::Table(table), Direction::Down) => {
                Source::Down(table, table.range(ranks).rev())
            }
        })
    }

    /// The ranks of what has scores in a range.
    pub fn ranks_by_score(self, min: ScoreBound, max: ScoreBound) -> Range<usize> {
        let start = self.rank_of_score(min.score, min.is_exclusive);
        let end = self.rank_of_score(max.score, !max.is_exclusive);
        start..end.max(start)
    }

    /// How many members have lower scores, or this one as well.
    fn rank_of_score(self, score: f64, is_included: bool) -> usize {
        let is_before = |its: f64| its < score || is_included && its == score;
        match self {
            ZsetRef::Packed(bytes, _) => {
                let entries = packed::Entries::of(bytes);
                entries.take_while(|entry| is_before(entry.1)).count()
            }
            ZsetRef::Table(table) => table.rank_of_score(score, is_included),
        }
    }

    /// The ranks of members in a range. It is in order only where all scores
    /// are equal; elsewhere Redis does not say what the answer is.
    pub fn ranks_by_lex(self, min: LexBound<'_>, max: LexBound<'_>) -> Range<usize> {
        match self {
            ZsetRef::Packed(bytes, _) => {
                let (mut start, mut len) = (0, 0);
                for (member, _) in packed::Entries::of(bytes) {
                    if len == 0 && min.is_behind(member) {
                        start += 1;
                    } else if max.reaches(member) {
                        len += 1;
                    } else {
                        break;
                    }
                }
                start..start + len
            }
            ZsetRef::Table(table) => {
                let rank = |is_before: &dyn Fn(&[u8]) -> bool| table.rank_of_member(is_before);
                let start = match min {
                    LexBound::Lowest => 0,
                    LexBound::Highest => table.len(),
                    _ => rank(&|member| min.is_behind(member)),
                };
                let end = match max {
                    LexBound::Lowest => 0,
                    LexBound::Highest => table.len(),
                    _ => rank(&|member| max.reaches(member)),
                };
                start..end.max(start)
            }
        }
    }

    /// Goes on with a scan where `cursor` says, which is 0 at the beginning;
    /// answers where the next call goes on, 0 at the end. What is there all the
    /// time is told once.
    pub fn scan(self, cursor: u64, count: usize, mut each: impl FnMut(&'a [u8], f64)) -> u64 {
        match self {
            ZsetRef::Packed(bytes, _) => {
                packed::Entries::of(bytes).for_each(|(member, score)| each(member, score));
                0
            }
            ZsetRef::Table(table) => table.scan(cursor, count, each),
        }
    }

    /// Whether it is a small one: nothing is found in it but by going through it.
    pub fn is_packed(self) -> bool {
        matches!(self, ZsetRef::Packed(..))
    }

    /// Whether Redis has a listpack in its place.
    pub fn is_listpack(self) -> bool {
        matches!(self, ZsetRef::Packed(_, PackedAs::Listpack))
    }
}

/// Entries in order.
#[derive(Clone, Debug)]
pub struct Entries<'a>(Source<'a>);

#[derive(Clone, Debug)]
enum Source<'a> {
    /// With how many are left.
    Packed(Take<packed::Entries<'a>>, usize),
    Collected(Rev<vec::IntoIter<Entry<'a>>>),
    Up(&'a Table, tree::Iter<'a>),
    Down(&'a Table, Rev<tree::Iter<'a>>),
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        match &mut self.0 {
            Source::Packed(entries, left) => {
                let entry = entries.next()?;
                *left -= 1;
                Some(entry)
            }
            Source::Collected(entries) => entries.next(),
            Source::Up(table, entries) => Some(table.entry(entries.next()?)),
            Source::Down(table, entries) => Some(table.entry(entries.next()?)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = match &self.0 {
            Source::Packed(_, left) => *left,
            Source::Collected(entries) => entries.len(),
            Source::Up(_, entries) => entries.len(),
            Source::Down(_, entries) => entries.len(),
        };
        (len, Some(len))
    }

    /// Asks once, not for each entry, where they come from.
    #[inline]
    fn fold<B, F: FnMut(B, Entry<'a>) -> B>(self, init: B, each: F) -> B {
        match self.0 {
            Source::Packed(entries, _) => entries.fold(init, each),
            Source::Collected(entries) => entries.fold(init, each),
            Source::Up(table, entries) => entries.map(|entry| table.entry(entry)).fold(init, each),
            Source::Down(table, entries) => {
                entries.map(|entry| table.entry(entry)).fold(init, each)
            }
        }
    }
}

impl ExactSizeIterator for Entries<'_> {}
