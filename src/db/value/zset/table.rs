//! A large sorted set: a table of members, whose rests are the scores, and the
//! order of their handles.

use std::ops::Range;

use super::tree::{self, Tree};
use crate::db::memory::members::Members;
use crate::db::memory::slots::Full;

/// Members that are found by name, and entries that are found by rank.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// With the score of each, as eight bytes.
    members: Members,
    order: Tree,
}

impl Table {
    /// How many members there are.
    pub fn len(&self) -> usize {
        self.order.len()
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
    pub fn entry(&self, (score, handle): (f64, u32)) -> (&[u8], f64) {
        (self.members.name(handle), score)
    }

    /// The entries of these ranks.
    pub fn range(&self, ranks: Range<usize>) -> tree::Iter<'_> {
        self.order.range(ranks)
    }

    /// How many entries come before this one.
    pub fn rank(&self, member: &[u8], score: f64) -> usize {
        let is_before = is_before(&self.members, member, score);
        self.order.rank(is_before)
    }

    /// How many entries have scores of which `is_before` holds; they come
    /// first.
    pub fn rank_by_score(&self, is_before: impl Fn(f64) -> bool) -> usize {
        self.order.rank(|score, _| is_before(score))
    }

    /// How many members there are of which `is_before` holds; they come first
    /// where all scores are equal.
    pub fn rank_by_member(&self, is_before: impl Fn(&[u8]) -> bool) -> usize {
        self.order
            .rank(|_, handle| is_before(self.members.name(handle)))
    }

    /// Adds a member that is not there.
    pub fn insert(&mut self, member: &[u8], score: f64) -> Result<(), Full> {
        let handle = self.members.insert(member, &score.to_le_bytes())?;
        let is_before = is_before(&self.members, member, score);
        self.order.insert(score, handle, is_before);
        Ok(())
    }

    /// Adds a member that is not there and comes behind all others.
    pub fn append(&mut self, member: &[u8], score: f64) -> Result<(), Full> {
        let handle = self.members.insert(member, &score.to_le_bytes())?;
        self.order.insert(score, handle, |_, _| true);
        Ok(())
    }

    /// Gives a member another score than `old`, which it has.
    pub fn set(&mut self, (handle, old): (u32, f64), score: f64) {
        self.remove_from_order(handle, old);
        let rest = self.members.rest_mut(handle);
        rest.copy_from_slice(&score.to_le_bytes());
        let member = self.members.name(handle);
        let is_before = is_before(&self.members, member, score);
        self.order.insert(score, handle, is_before);
    }

    /// Removes a member, which has this score.
    pub fn remove(&mut self, (handle, score): (u32, f64)) {
        self.remove_from_order(handle, score);
        self.members.remove(handle);
        self.gather();
    }

    fn remove_from_order(&mut self, handle: u32, score: f64) {
        let members = &self.members;
        let member = members.name(handle);
        let removed = self.order.remove(|its, other| {
            its < score || its == score && (other == handle || members.name(other) < member)
        });
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
            order.replace(new, |its, other| {
                // There is nothing under the old handle any more.
                its < score || its == score && (other == old || members.name(other) < member)
            });
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

/// What comes before an entry.
fn is_before<'a>(
    members: &'a Members,
    member: &'a [u8],
    score: f64,
) -> impl Fn(f64, u32) -> bool + 'a {
    move |its, other| its < score || its == score && members.name(other) < member
}
