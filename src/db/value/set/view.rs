//! What readers see of a set.

use std::collections::HashSet;

use super::ints::Ints;
use crate::db::memory::members::Members;
use crate::db::memory::pack::Strings;
use crate::db::value::form::PackedAs;
use crate::text::number;

/// A set where it stands.
#[derive(Clone, Copy, Debug)]
pub enum SetRef<'a> {
    /// All members are integers.
    Ints(Ints<'a>),
    /// The members side by side, in the order in which they came.
    Packed(&'a [u8], PackedAs),
    /// A table of the members, with nothing beside their names.
    Table(&'a Members),
}

/// A member as a set holds it. An integer may be either, so that two members
/// are compared by their [bytes](Self::bytes), or as they are
/// [told apart](Self::told_apart).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Member<'a> {
    /// An integer, in the digits that [`number::parse_i64`] accepts.
    Int(i64),
    /// Its bytes.
    Text(&'a [u8]),
}

/// Where the digits of an integer are written.
pub type Digits = itoa::Buffer;

impl<'a> Member<'a> {
    /// Its bytes; those of an integer are written into `digits`.
    #[inline]
    pub fn bytes<'d>(&self, digits: &'d mut Digits) -> &'d [u8]
    where
        'a: 'd,
    {
        match self {
            Member::Int(value) => digits.format(*value).as_bytes(),
            Member::Text(bytes) => bytes,
        }
    }

    /// The same member in the one way in which `==` and hashes tell it from
    /// others.
    #[inline]
    pub fn told_apart(self) -> Member<'a> {
        self.int().map_or(self, Member::Int)
    }

    /// The integer that it is.
    #[inline]
    pub fn int(self) -> Option<i64> {
        match self {
            Member::Int(value) => Some(value),
            Member::Text(bytes) => number::parse_i64(bytes),
        }
    }
}

impl<'a> SetRef<'a> {
    /// How many members there are.
    pub fn len(self) -> usize {
        match self {
            SetRef::Ints(ints) => ints.len(),
            SetRef::Packed(bytes, _) => Strings(bytes).count(),
            SetRef::Table(members) => members.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        match self {
            SetRef::Ints(ints) => ints.len() == 0,
            SetRef::Packed(bytes, _) => bytes.is_empty(),
            SetRef::Table(members) => members.is_empty(),
        }
    }

    /// Whether these bytes are a member.
    #[inline]
    pub fn contains(self, member: &[u8]) -> bool {
        match self {
            SetRef::Ints(ints) => {
                number::parse_i64(member).is_some_and(|value| ints.find(value).is_ok())
            }
            SetRef::Packed(bytes, _) => Strings(bytes).any(|other| other == member),
            SetRef::Table(members) => members.find(member).is_some(),
        }
    }

    /// Whether a member of another set is one of this.
    #[inline]
    pub fn contains_member(self, member: Member<'_>) -> bool {
        match (self, member) {
            (SetRef::Ints(ints), Member::Int(value)) => ints.find(value).is_ok(),
            (_, member) => self.contains(member.bytes(&mut Digits::new())),
        }
    }

    /// The members: integers in ascending order, packed ones in the order in
    /// which they came, others in none.
    pub fn iter(self) -> impl Iterator<Item = Member<'a>> {
        let (mut ints, mut packed, mut table) = (None, Strings::default(), None);
        match self {
            SetRef::Ints(numbers) => ints = Some(numbers.iter()),
            SetRef::Packed(bytes, _) => packed = Strings(bytes),
            SetRef::Table(members) => table = Some(members),
        }
        let ints = ints.into_iter().flatten().map(Member::Int);
        let names = |table: &'a Members| table.iter().map(|at| table.name(at));
        let table = table.into_iter().flat_map(names);
        ints.chain(packed.chain(table).map(Member::Text))
    }

    /// Tells `each` of members from `cursor` on, at least `count` if there are
    /// so many; answers the cursor to go on with, 0 at the end. What is packed
    /// is told in one go, as in Redis. A table tells each member that is in it
    /// all the time exactly once.
    pub fn scan(self, cursor: u64, count: usize, mut each: impl FnMut(Member<'a>)) -> u64 {
        match self {
            SetRef::Table(members) => members.scan(cursor, count, |at| {
                each(Member::Text(members.name(at)));
            }),
            _ => {
                self.iter().for_each(each);
                0
            }
        }
    }

    /// A member of a set that is not empty, each with the same probability.
    /// `random(n)` answers a number below `n`.
    pub fn random(self, mut random: impl FnMut(usize) -> usize) -> Option<Member<'a>> {
        match self {
            SetRef::Ints(ints) => Some(Member::Int(ints.get(random(ints.len())))),
            SetRef::Packed(bytes, _) => Strings(bytes).nth(random(self.len())).map(Member::Text),
            SetRef::Table(members) => members
                .random(random)
                .map(|at| Member::Text(members.name(at))),
        }
    }

    /// Tells `each` of `count` different members, no more than there are, all
    /// of them with the same probability, in no order.
    pub fn sample(
        self,
        count: usize,
        mut random: impl FnMut(usize) -> usize,
        mut each: impl FnMut(Member<'a>),
    ) {
        // To draw from a table takes some times as long as to look at the next
        // member of it.
        const DRAW: usize = 8;
        let len = self.len();
        if let SetRef::Table(members) = self
            && count < len / DRAW
        {
            let mut drawn = HashSet::with_capacity(count);
            while drawn.len() < count {
                if let Some(at) = members.random(&mut random)
                    && drawn.insert(at)
                {
                    each(Member::Text(members.name(at)));
                }
            }
            return;
        }
        split(self, len, count, random, each, |_| {});
    }
}

/// Goes through all `len` members once, and gives `count` of them to `chosen`,
/// all with the same probability, and the others to `left`.
pub fn split<'a>(
    set: SetRef<'a>,
    len: usize,
    count: usize,
    mut random: impl FnMut(usize) -> usize,
    mut chosen: impl FnMut(Member<'a>),
    mut left: impl FnMut(Member<'a>),
) {
    let (mut ahead, mut wanted) = (len, count);
    set.iter().for_each(|member| {
        if random(ahead) < wanted {
            wanted -= 1;
            chosen(member);
        } else {
            left(member);
        }
        ahead -= 1;
    });
}
