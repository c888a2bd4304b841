//! Sorted sets: members, each with a score, in the order of the scores, and of
//! the members where scores are equal.
//!
//! Ranks count from the lowest. No score is NaN: who computes one sees to it.

mod packed;
mod table;
mod tree;

use std::iter::{Rev, Take};
use std::ops::Range;
use std::vec;

use table::Table;

use super::form::{Encoding, Form, INLINE_MAX};
use super::kind::{Held, Kind, Stored, Viewed};
use crate::db::memory::slots::{Full, PIECE};
use crate::db::{Digest, PackLimits};
use crate::error::{self, Error};
use crate::events::KeyspaceEvents;
use crate::rdb::{Listpack, PACKED_MAX, Reader, Type, Writer};
use crate::text::double;

/// A member and its score.
pub type Entry<'a> = (&'a [u8], f64);

/// A sorted set.
#[derive(Clone, Debug)]
pub enum Zset {
    /// All side by side: OBJECT ENCODING calls it `listpack`.
    Packed(Vec<u8>),
    /// A table and an order: `skiplist`.
    Table(Box<Table>),
}

impl Default for Zset {
    fn default() -> Self {
        Zset::Packed(Vec::new())
    }
}

/// A sorted set where it stands.
#[derive(Clone, Copy, Debug)]
pub enum ZsetRef<'a> {
    /// A small one.
    Packed(&'a [u8]),
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

impl ScoreBound {
    /// Whether a score is below a range that begins here.
    fn is_above(self, score: f64) -> bool {
        score < self.score || self.is_exclusive && score == self.score
    }

    /// Whether a score is not above a range that ends here.
    fn reaches(self, score: f64) -> bool {
        score < self.score || !self.is_exclusive && score == self.score
    }
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
            ZsetRef::Packed(bytes) => packed::len(bytes),
            ZsetRef::Table(table) => table.len(),
        }
    }

    /// The score of a member.
    pub fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            ZsetRef::Packed(bytes) => Some(packed::find(bytes, member)?.score),
            ZsetRef::Table(table) => Some(table.find(member)?.1),
        }
    }

    /// The rank and the score of a member.
    pub fn rank(self, member: &[u8]) -> Option<(usize, f64)> {
        match self {
            ZsetRef::Packed(bytes) => {
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
            ZsetRef::Packed(bytes) => packed::Entries::of(bytes).nth(rank),
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
            (ZsetRef::Packed(bytes), direction) => {
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
        let rank = |is_before: &dyn Fn(f64) -> bool| match self {
            ZsetRef::Packed(bytes) => {
                let entries = packed::Entries::of(bytes);
                entries.take_while(|entry| is_before(entry.1)).count()
            }
            ZsetRef::Table(table) => table.rank_by_score(is_before),
        };
        let start = rank(&|score| min.is_above(score));
        start..rank(&|score| max.reaches(score)).max(start)
    }

    /// The ranks of members in a range. It is in order only where all scores
    /// are equal; elsewhere Redis does not say what the answer is.
    pub fn ranks_by_lex(self, min: LexBound<'_>, max: LexBound<'_>) -> Range<usize> {
        match self {
            ZsetRef::Packed(bytes) => {
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
                let start = table.rank_by_member(|member| min.is_behind(member));
                let end = table.rank_by_member(|member| max.reaches(member));
                start..end.max(start)
            }
        }
    }

    /// Goes on with a scan where `cursor` says, which is 0 at the beginning;
    /// answers where the next call goes on, 0 at the end. What is there all the
    /// time is told once.
    pub fn scan(self, cursor: u64, count: usize, mut each: impl FnMut(&'a [u8], f64)) -> u64 {
        match self {
            ZsetRef::Packed(bytes) => {
                packed::Entries::of(bytes).for_each(|(member, score)| each(member, score));
                0
            }
            ZsetRef::Table(table) => table.scan(cursor, count, each),
        }
    }

    /// Whether it is a small one.
    pub fn is_packed(self) -> bool {
        matches!(self, ZsetRef::Packed(_))
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
}

impl ExactSizeIterator for Entries<'_> {}

/// The scores of a member before and after it was set; `None` if it was not
/// there, or has not been set.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Update {
    /// The score that it had.
    pub old: Option<f64>,
    /// The score that it was to have.
    pub new: Option<f64>,
}

impl Zset {
    /// What it is.
    pub const KIND: Kind = Kind {
        name: "zset",
        events: KeyspaceEvents::ZSET,
    };

    /// The one that is written there in this way.
    pub fn read(input: &mut Reader<'_>, written: Type, limits: PackLimits) -> error::Result<Zset> {
        let mut zset = Zset::default();
        input.zset(written, |member, score| {
            match zset.insert(member, score, limits) {
                Ok(None) => Ok(()),
                Ok(Some(_)) => Err(Error::DATA_FORMAT),
                Err(Full) => Err(Error::OUT_OF_MEMORY),
            }
        })?;
        Ok(zset)
    }

    /// Makes it a large one if so many members, which are about to be added,
    /// are too many for a small one.
    pub fn expect(&mut self, members: usize, limits: PackLimits) -> Result<(), Full> {
        if members > limits.entries {
            self.unpack()?;
        }
        Ok(())
    }

    /// Gives a member the score that `score` answers to the one it has; `None`
    /// leaves everything as it is.
    pub fn update(
        &mut self,
        member: &[u8],
        limits: PackLimits,
        score: impl FnOnce(Option<f64>) -> Option<f64>,
    ) -> Result<Update, Full> {
        if let Zset::Packed(bytes) = self {
            let found = packed::find(bytes, member);
            let old = found.map(|place| place.score);
            let new = score(old);
            let update = Update { old, new };
            let Some(new) = new.filter(|new| Some(*new) != old) else {
                return Ok(update);
            };
            if let Some(place) = found {
                packed::remove(bytes, place);
                packed::insert(bytes, member, new);
                return Ok(update);
            }
            if packed::len(bytes) < limits.entries && member.len() <= limits.value {
                packed::insert(bytes, member, new);
                return Ok(update);
            }
            self.unpack()?.insert(member, new)?;
            return Ok(update);
        }
        let table = self.unpack()?;
        let found = table.find(member);
        let old = found.map(|(_, score)| score);
        let new = score(old);
        let update = Update { old, new };
        match (found, new) {
            (_, None) => {}
            (Some(found), Some(new)) if found.1 != new => table.set(found, new),
            (Some(_), Some(_)) => {}
            (None, Some(new)) => table.insert(member, new)?,
        }
        Ok(update)
    }

    /// Gives a member a score; answers the one that it had.
    pub fn insert(
        &mut self,
        member: &[u8],
        score: f64,
        limits: PackLimits,
    ) -> Result<Option<f64>, Full> {
        Ok(self.update(member, limits, |_| Some(score))?.old)
    }

    /// Adds a member that is not there and comes behind all others.
    pub fn append(&mut self, member: &[u8], score: f64, limits: PackLimits) -> Result<(), Full> {
        match self {
            Zset::Packed(bytes)
                if packed::len(bytes) < limits.entries && member.len() <= limits.value =>
            {
                packed::append(bytes, member, score);
                Ok(())
            }
            _ => self.unpack()?.append(member, score),
        }
    }

    /// Removes a member; answers its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match self {
            Zset::Packed(bytes) => {
                let place = packed::find(bytes, member)?;
                packed::remove(bytes, place);
                Some(place.score)
            }
            Zset::Table(table) => {
                let found = table.find(member)?;
                table.remove(found);
                Some(found.1)
            }
        }
    }

    /// Removes the entries of these ranks, which are there. If these are all,
    /// answers what held them, for who frees it.
    pub fn cut(&mut self, ranks: Range<usize>) -> Zset {
        if ranks.len() == self.view().len() {
            return std::mem::take(self);
        }
        match self {
            Zset::Packed(bytes) => packed::remove_range(bytes, ranks),
            Zset::Table(table) => table.remove_range(ranks),
        }
        Zset::default()
    }

    /// Makes it a large one, unless it is one.
    fn unpack(&mut self) -> Result<&mut Table, Full> {
        if let Zset::Packed(bytes) = self {
            let mut table = Box::<Table>::default();
            for (member, score) in packed::Entries::of(bytes) {
                table.append(member, score)?;
            }
            *self = Zset::Table(table);
        }
        match self {
            Zset::Table(table) => Ok(table),
            Zset::Packed(_) => unreachable!("it has just become one"),
        }
    }
}

impl Held for ZsetRef<'_> {
    fn kind(&self) -> Kind {
        Zset::KIND
    }

    fn encoding_name(&self) -> &'static str {
        match self {
            ZsetRef::Packed(_) => "listpack",
            ZsetRef::Table(_) => "skiplist",
        }
    }

    fn serialize(&self, output: &mut Writer) {
        if let ZsetRef::Packed(bytes) = self
            && bytes.len() <= PACKED_MAX
        {
            let mut packed = Listpack::default();
            for (member, score) in packed::Entries::of(bytes) {
                packed.push(member);
                packed.push(double::Buffer::default().format(score));
            }
            output.write_as(Type::ZsetListpack);
            return output.string(&packed.finish());
        }
        output.write_as(Type::Zset2);
        output.len(self.len());
        // The highest first, as Redis does, which reads that faster.
        for (member, score) in self.range(0..self.len(), Direction::Down) {
            output.string(member);
            output.double(score);
        }
    }

    fn digest(&self, digest: &mut Digest) {
        const ZSET: u32 = 3;
        digest.append(&ZSET.to_be_bytes());
        for (member, score) in self.iter() {
            let mut entry = Digest::default();
            entry.append(member);
            entry.append(double::Buffer::default().format_digits(score));
            digest.add_digest(entry);
        }
    }
}

impl Held for Zset {
    fn kind(&self) -> Kind {
        Zset::KIND
    }

    fn encoding_name(&self) -> &'static str {
        self.view().encoding_name()
    }

    fn serialize(&self, output: &mut Writer) {
        self.view().serialize(output);
    }

    fn digest(&self, digest: &mut Digest) {
        self.view().digest(digest);
    }
}

impl Stored for Zset {
    fn is_used_up(&self) -> bool {
        match self {
            Zset::Packed(bytes) => bytes.is_empty(),
            Zset::Table(table) => table.len() == 0,
        }
    }

    fn memory(&self) -> usize {
        match self {
            Zset::Packed(bytes) => bytes.capacity(),
            Zset::Table(table) => table.memory(),
        }
    }

    fn pieces(&self) -> usize {
        match self {
            Zset::Packed(bytes) => 1 + bytes.capacity() / PIECE,
            Zset::Table(table) => table.pieces(),
        }
    }

    fn free_some(&mut self, budget: &mut usize) -> bool {
        match self {
            Zset::Packed(_) => true,
            Zset::Table(table) => table.free_some(budget),
        }
    }

    fn inline(&self, _encoding: Encoding) -> Option<(&[u8], Form)> {
        match self {
            Zset::Packed(bytes) if bytes.len() <= INLINE_MAX => Some((bytes, Form::Zset)),
            _ => None,
        }
    }
}

impl Viewed for Zset {
    type View<'a> = ZsetRef<'a>;

    fn view(&self) -> ZsetRef<'_> {
        match self {
            Zset::Packed(bytes) => ZsetRef::Packed(bytes),
            Zset::Table(table) => ZsetRef::Table(table),
        }
    }

    fn view_inline(bytes: &[u8], form: Form) -> Option<ZsetRef<'_>> {
        (form == Form::Zset).then_some(ZsetRef::Packed(bytes))
    }

    fn from_inline(bytes: &[u8], form: Form) -> Option<Zset> {
        (form == Form::Zset).then(|| Zset::Packed(bytes.to_vec()))
    }
}
