//! A large sorted set: a table of members, whose rests are the scores, and the
//! order of their handles.

use std::ops::Range;

use super::tree::{self, Spot, Tree};
use crate::db::memory::members::Members;
use crate::db::memory::slots::Full;
use crate::seed::Seed;

/// Members that are found by name, and entries that are found by rank.
#[derive(Clone, Debug)]
pub struct Table {
    /// With the score of each, as eight bytes.
    members: Members,
    order: Tree,
}

impl Table {
    /// No members yet.
    pub fn new(seed: Seed) -> Table {
        Table {
            members: Members::new(seed),
            order: Tree::default(),
        }
    }

    /// How many members there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// A table without members, to be [built anew](Members::anew).
    pub fn anew(&self) -> Table {
        Table {
            members: self.members.anew(),
            order: Tree::default(),
        }
    }

    /// The members by name.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Where a member is, and its score.
    pub fn find(&self, member: &[u8]) -> Option<(u32, f64)> {
        let handle = self.members.find(member)?;
        Some((handle, self.score(handle)))
    }

    fn score(&self, handle: u32) -> f64 {
        score(self.members.rest(handle))
    }

    /// The entry of this rank.
    pub fn get(&self, rank: usize) -> Option<(&[u8], f64)> {
        let entry = self.order.get(rank)?;
        Some(self.entry(entry))
    }

    /// The member and the score of an entry.
    #[inline]
    pub fn entry(&self, (score, handle): tree::Entry) -> (&[u8], f64) {
        (self.members.name(handle), score)
    }

    /// The entries of these ranks.
    pub fn range(&self, ranks: Range<usize>) -> tree::Iter<'_> {
        self.order.range(ranks)
    }

    /// How many entries come before this one.
    pub fn rank(&self, member: &[u8], score: f64) -> usize {
        self.order.rank(before(&self.members, member, score))
    }

    /// How many entries have lower scores, or this one as well.
    pub fn rank_of_score(&self, score: f64, is_included: bool) -> usize {
        let is_before = |_| is_included;
        self.order.rank(Spot { score, is_before })
    }

    /// How many members there are of which `is_before` holds, which come first,
    /// where all have one score.
    pub fn rank_of_member(&self, is_before: impl Fn(&[u8]) -> bool) -> usize {
        let Some((score, _)) = self.order.first() else {
            return 0;
        };
        let is_before = |handle| is_before(self.members.name(handle));
        self.order.rank(Spot { score, is_before })
    }

    /// Adds a member that is not there.
    pub fn insert(&mut self, member: &[u8], score: f64) -> Result<(), Full> {
        let handle = self.members.insert(member, &score.to_le_bytes())?;
        let spot = before(&self.members, member, score);
        self.order.insert(spot, handle);
        Ok(())
    }

    /// Adds a member that is not there and comes behind all others.
    pub fn append(&mut self, member: &[u8], score: f64) -> Result<(), Full> {
        let handle = self.members.insert(member, &score.to_le_bytes())?;
        let is_before = |_| true;
        self.order.insert(Spot { score, is_before }, handle);
        Ok(())
    }

    /// Gives a member another score; `found` is where it is, and the one it has.
    pub fn set(&mut self, member: &[u8], found: (u32, f64), score: f64) {
        self.remove_from_order(member, found);
        let handle = found.0;
        let rest = self.members.rest_mut(handle);
        rest.copy_from_slice(&score.to_le_bytes());
        let spot = before(&self.members, member, score);
        self.order.insert(spot, handle);
    }

    /// Removes a member; `found` is where it is, and its score.
    pub fn remove(&mut self, member: &[u8], found: (u32, f64)) {
        self.remove_from_order(member, found);
        self.members.remove(found.0);
        self.gather();
    }

    fn remove_from_order(&mut self, member: &[u8], (handle, score): (u32, f64)) {
        let members = &self.members;
        let is_before = |other| other == handle || members.name(other) < member;
        let removed = self.order.remove(Spot { score, is_before });
        debug_assert_eq!(removed, Some(handle), "table and order disagree");
    }

    /// Removes the entries of these ranks.
    pub fn remove_range(&mut self, ranks: Range<usize>) {
        let members = &mut self.members;
        self.order
            .remove_range(ranks, |handle| members.remove(handle));
        self.gather();
    }

    /// Has records that stand far apart move together, and the order follow.
    fn gather(&mut self) {
        let order = &mut self.order;
        self.members.gather(|members, old, new| {
            let (member, rest) = members.record(new);
            let score = score(rest);
            // There is nothing under the old handle any more.
            let is_before = |other| other == old || members.name(other) < member;
            order.replace(Spot { score, is_before }, new);
        });
    }

    /// Goes on with a scan; answers where the next call goes on.
    pub fn scan<'a>(
        &'a self,
        cursor: u64,
        count: usize,
        mut each: impl FnMut(&'a [u8], f64),
    ) -> u64 {
        self.members.scan(cursor, count, |handle| {
            let (member, rest) = self.members.record(handle);
            each(member, score(rest));
        })
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.members.memory() + self.order.memory() + size_of::<Table>()
    }

    /// In about how many pieces it is held.
    pub fn pieces(&self) -> usize {
        self.members.pieces() + self.order.pieces()
    }

    /// Frees some of its pieces; answers whether all are freed.
    pub fn free_some(&mut self, budget: &mut usize) -> bool {
        self.order.free_some(budget) && self.members.free_some(budget)
    }
}

/// The score that a record holds.
fn score(rest: &[u8]) -> f64 {
    let mut score = [0; 8];
    score.copy_from_slice(rest);
    f64::from_le_bytes(score)
}

/// The place of an entry.
fn before<'a>(
    members: &'a Members,
    member: &'a [u8],
    score: f64,
) -> Spot<impl Fn(u32) -> bool + 'a> {
    let is_before = move |other| members.name(other) < member;
    Spot { score, is_before }
}
