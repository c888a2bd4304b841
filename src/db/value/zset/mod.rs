//! Sorted sets: members, each with a score, in the order of the scores, and of
//! the members where scores are equal.
//!
//! Ranks count from the lowest. No score is NaN: who computes one sees to it.

mod packed;
mod table;
mod tree;
mod view;

use std::ops::Range;

use table::Table;
pub use view::{Direction, LexBound, ScoreBound, ZsetRef};

use super::form::{Encoding, Form, INLINE_MAX, PackedAs, trim};
use super::kind::{Held, Kind, Stored, Viewed};
use crate::db::memory::heap;
use crate::db::memory::members::Members;
use crate::db::memory::slots::{Full, PIECE};
use crate::db::{Digest, PackLimits};
use crate::error::{self, Error};
use crate::events::KeyspaceEvents;
use crate::rdb::{Listpack, PACKED_MAX, Reader, Type, Writer};
use crate::seed::Seed;
use crate::text::double;

/// A sorted set.
#[derive(Clone, Debug)]
pub enum Zset {
    /// All side by side.
    Packed(Vec<u8>, PackedAs),
    /// A table and an order: `skiplist`.
    Table(Box<Table>),
}

impl Default for Zset {
    fn default() -> Self {
        Zset::Packed(Vec::new(), PackedAs::Listpack)
    }
}

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
            self.unpack(limits.seed)?;
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
        if let Zset::Packed(bytes, packed_as) = self {
            let found = packed::find(bytes, member);
            let old = found.map(|place| place.score);
            let new = score(old);
            let update = Update { old, new };
            let Some(new) = new.filter(|new| Some(*new) != old) else {
                return Ok(update);
            };
            if let Some(place) = found {
                packed::remove(bytes, place);
                packed::insert(bytes, member, kept(new, *packed_as));
                return Ok(update);
            }
            if let Some(becomes) = fits(bytes, *packed_as, member, limits) {
                *packed_as = becomes;
                packed::insert(bytes, member, kept(new, becomes));
                return Ok(update);
            }
            self.unpack(limits.seed)?.insert(member, new)?;
            return Ok(update);
        }
        let table = self.unpack(limits.seed)?;
        let found = table.find(member);
        let old = found.map(|(_, score)| score);
        let new = score(old);
        let update = Update { old, new };
        match (found, new) {
            (_, None) => {}
            (Some(found), Some(new)) if found.1 != new => table.set(member, found, new),
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
            Zset::Packed(bytes, packed_as)
                if let Some(becomes) = fits(bytes, *packed_as, member, limits) =>
            {
                *packed_as = becomes;
                packed::append(bytes, member, kept(score, becomes));
                Ok(())
            }
            _ => self.unpack(limits.seed)?.append(member, score),
        }
    }

    /// Removes a member; answers its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match self {
            Zset::Packed(bytes, _) => {
                let place = packed::find(bytes, member)?;
                packed::remove(bytes, place);
                Some(place.score)
            }
            Zset::Table(table) => {
                let found = table.find(member)?;
                table.remove(member, found);
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
            Zset::Packed(bytes, _) => packed::remove_range(bytes, ranks),
            Zset::Table(table) => table.remove_range(ranks),
        }
        Zset::default()
    }

    /// Makes it a large one, unless it is one.
    fn unpack(&mut self, seed: Seed) -> Result<&mut Table, Full> {
        if let Zset::Packed(bytes, _) = self {
            let mut table = Box::new(Table::new(seed));
            for (member, score) in packed::Entries::of(bytes) {
                table.append(member, score)?;
            }
            *self = Zset::Table(table);
        }
        match self {
            Zset::Table(table) => Ok(table),
            Zset::Packed(..) => unreachable!("it has just become one"),
        }
    }
}

/// As what members stand side by side if this one, which is new, comes to
/// them; `None` if it makes them too many.
fn fits(bytes: &[u8], packed_as: PackedAs, member: &[u8], limits: PackLimits) -> Option<PackedAs> {
    let becomes = packed_as.with(member.len() > limits.value);
    let len = bytes.len() + packed::len_of(member);
    (packed::len(bytes) < limits.entries && becomes.holds(len)).then_some(becomes)
}

/// A score as it is kept: in a listpack Redis writes -0 as 0.
fn kept(score: f64, packed_as: PackedAs) -> f64 {
    match packed_as {
        PackedAs::Listpack => score + 0.0,
        PackedAs::Table => score,
    }
}

impl Held for ZsetRef<'_> {
    fn kind(&self) -> Kind {
        Zset::KIND
    }

    fn encoding_name(&self) -> &'static str {
        match self {
            ZsetRef::Packed(_, PackedAs::Listpack) => "listpack",
            ZsetRef::Packed(_, PackedAs::Table) | ZsetRef::Table(_) => "skiplist",
        }
    }

    fn serialize(&self, output: &mut Writer) {
        if let ZsetRef::Packed(bytes, PackedAs::Listpack) = self
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
            Zset::Packed(bytes, _) => bytes.is_empty(),
            Zset::Table(table) => table.len() == 0,
        }
    }

    fn members(&self) -> Option<&Members> {
        match self {
            Zset::Packed(..) => None,
            Zset::Table(table) => Some(table.members()),
        }
    }

    fn memory(&self) -> usize {
        match self {
            Zset::Packed(bytes, _) => heap::held(bytes.capacity()),
            Zset::Table(table) => table.memory(),
        }
    }

    fn pieces(&self) -> usize {
        match self {
            Zset::Packed(bytes, _) => 1 + bytes.capacity() / PIECE,
            Zset::Table(table) => table.pieces(),
        }
    }

    fn free_some(&mut self, budget: &mut usize) -> bool {
        match self {
            Zset::Packed(..) => true,
            Zset::Table(table) => table.free_some(budget),
        }
    }

    fn give_back(&mut self) {
        match self {
            Zset::Packed(bytes, _) => trim(bytes),
            Zset::Table(table) if table.members().is_wasteful() => {
                let mut anew = table.anew();
                let mut entries = table.range(0..table.len()).map(|entry| table.entry(entry));
                if entries.all(|(member, score)| anew.append(member, score).is_ok()) {
                    **table = anew;
                }
            }
            Zset::Table(_) => {}
        }
    }

    fn inline(&self, _encoding: Encoding) -> Option<(&[u8], Form)> {
        match self {
            Zset::Packed(bytes, packed_as) if bytes.len() <= INLINE_MAX => {
                Some((bytes, Form::Zset(*packed_as)))
            }
            _ => None,
        }
    }
}

impl Viewed for Zset {
    type View<'a> = ZsetRef<'a>;

    fn view(&self) -> ZsetRef<'_> {
        match self {
            Zset::Packed(bytes, packed_as) => ZsetRef::Packed(bytes, *packed_as),
            Zset::Table(table) => ZsetRef::Table(table),
        }
    }

    fn view_inline(bytes: &[u8], form: Form) -> Option<ZsetRef<'_>> {
        match form {
            Form::Zset(packed_as) => Some(ZsetRef::Packed(bytes, packed_as)),
            _ => None,
        }
    }

    fn from_inline(bytes: &[u8], form: Form) -> Option<Zset> {
        match form {
            Form::Zset(packed_as) => Some(Zset::Packed(bytes.to_vec(), packed_as)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use proptest::prelude::*;

    use super::view::Entry;
    use super::*;

    const LIMITS: PackLimits = PackLimits {
        entries: 8,
        value: 6,
        seed: Seed::UNKNOWN,
    };

    /// Members with scores, in order.
    type Model = Vec<(Vec<u8>, f64)>;

    #[derive(Clone, Debug)]
    enum Op {
        Insert(Vec<u8>, f64),
        Remove(Vec<u8>),
        Cut(prop::sample::Index, usize),
        Expect(usize),
    }

    fn member() -> impl Strategy<Value = Vec<u8>> + Clone {
        prop_oneof![
            60 => prop::collection::vec(b'a'..b'd', 0..3),
            1 => Just(b"longer than packed".to_vec()),
            1 => Just(vec![b'x'; 300]),
        ]
    }

    fn score() -> impl Strategy<Value = f64> + Clone {
        prop_oneof![
            8 => (-3..4i32).prop_map(f64::from),
            1 => prop::sample::select(vec![
                0.5, -0.25, 239.0, 240.0, 255.0, -128.0, -129.0, 32_768.0, 1e300, -1e300, 5e-324,
                f64::INFINITY, f64::NEG_INFINITY, 36_028_797_018_963_967.0,
                36_028_797_018_963_968.0, -36_028_797_018_963_968.0, 1e18, 9_007_199_254_740_992.0,
            ]),
            1 => any::<i64>().prop_map(|integer| (integer >> 20) as f64),
        ]
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            12 => (member(), score()).prop_map(|(member, score)| Op::Insert(member, score)),
            4 => member().prop_map(Op::Remove),
            1 => (any::<prop::sample::Index>(), 0usize..6).prop_map(|(at, n)| Op::Cut(at, n)),
            1 => (0usize..12).prop_map(Op::Expect),
        ]
    }

    fn place(model: &mut Model, member: &[u8]) -> Option<f64> {
        let at = model.iter().position(|entry| entry.0 == member)?;
        Some(model.remove(at).1)
    }

    fn apply(zset: &mut Zset, model: &mut Model, op: Op) {
        match op {
            Op::Insert(member, score) => {
                let old = zset.insert(&member, score, LIMITS).unwrap();
                assert_eq!(old, place(model, &member));
                let at = model.partition_point(|(other, its)| {
                    packed::order((other, *its), (&member, score)).is_lt()
                });
                model.insert(at, (member, score));
            }
            Op::Remove(member) => assert_eq!(zset.remove(&member), place(model, &member)),
            Op::Cut(at, count) => {
                let start = at.index(model.len() + 1);
                let end = (start + count).min(model.len());
                zset.cut(start..end);
                model.drain(start..end);
            }
            Op::Expect(members) => zset.expect(members, LIMITS).unwrap(),
        }
    }

    fn shown<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Vec<(&'a [u8], f64)> {
        entries.collect()
    }

    /// Everything that can be asked of it.
    fn check(zset: ZsetRef<'_>, model: &Model) {
        let expected: Vec<Entry<'_>> = model.iter().map(|(m, s)| (&m[..], *s)).collect();
        assert_eq!(shown(zset.iter()), expected);
        assert_eq!(zset.len(), model.len());
        for (rank, (member, score)) in model.iter().enumerate() {
            assert_eq!(zset.rank(member), Some((rank, *score)));
            assert_eq!(zset.score(member), Some(*score));
            assert_eq!(zset.get(rank), Some((&member[..], *score)));
        }
        assert_eq!(zset.get(model.len()), None);
        assert_eq!(zset.rank(b"not there"), None);
        for (start, end) in [(0, 3), (2, 5), (3, 3), (1, usize::MAX), (90, 99)] {
            let range = start.min(model.len())..end.min(model.len());
            let up = zset.range(start..end, Direction::Up);
            assert_eq!(up.len(), range.len());
            assert_eq!(shown(up), expected[range.clone()]);
            let mut down = expected[range].to_vec();
            down.reverse();
            assert_eq!(shown(zset.range(start..end, Direction::Down)), down);
        }
        let bounds = [f64::NEG_INFINITY, -2.0, 0.0, 0.5, 3.0, f64::INFINITY].map(|score| {
            [false, true].map(|is_exclusive| ScoreBound {
                score,
                is_exclusive,
            })
        });
        for (&min, &max) in bounds
            .as_flattened()
            .iter()
            .zip(bounds.as_flattened().iter().rev())
        {
            let is_within = |score: f64| {
                (score > min.score || score == min.score && !min.is_exclusive)
                    && (score < max.score || score == max.score && !max.is_exclusive)
            };
            let within = expected.iter().filter(|entry| is_within(entry.1)).copied();
            let ranks = zset.ranks_by_score(min, max);
            assert_eq!(shown(zset.range(ranks, Direction::Up)), shown(within));
        }
        let mut seen: Vec<_> = Vec::new();
        let mut cursor = 0;
        loop {
            cursor = zset.scan(cursor, 3, |member, score| seen.push((member, score)));
            if cursor == 0 {
                break;
            }
        }
        seen.sort_by(|a, b| packed::order(*a, *b));
        assert_eq!(seen, expected);
    }

    proptest! {
        #[test]
        fn a_sorted_set_is_what_a_sorted_vector_is(ops in prop::collection::vec(op(), 0..60)) {
            let (mut zset, mut model) = (Zset::default(), Model::new());
            for op in ops {
                apply(&mut zset, &mut model, op);
                check(zset.view(), &model);
                prop_assert_eq!(zset.is_used_up(), model.is_empty());
                if let Some((bytes, form)) = zset.inline(Encoding::Natural) {
                    let bytes = bytes.to_vec();
                    check(Zset::view_inline(&bytes, form).unwrap(), &model);
                    zset = Zset::from_inline(&bytes, form).unwrap();
                }
                let is_large = model.len() > LIMITS.entries
                    || model.iter().any(|(member, _)| member.len() > LIMITS.value);
                prop_assert!(!is_large || !zset.view().is_listpack());
            }
        }

        #[test]
        fn members_have_an_order_where_scores_are_equal(
            members in prop::collection::btree_set(member(), 0..20),
            min in member(),
            max in member(),
            kinds in (0..4u8, 0..4u8),
        ) {
            fn bound(kind: u8, member: &[u8]) -> LexBound<'_> {
                match kind {
                    0 => LexBound::Lowest,
                    1 => LexBound::Included(member),
                    2 => LexBound::Excluded(member),
                    _ => LexBound::Highest,
                }
            }
            let (min, max) = (bound(kinds.0, &min), bound(kinds.1, &max));
            let is_above = |member: &[u8]| match min {
                LexBound::Lowest => true,
                LexBound::Included(min) => member >= min,
                LexBound::Excluded(min) => member > min,
                LexBound::Highest => false,
            };
            let is_below = |member: &[u8]| match max {
                LexBound::Lowest => false,
                LexBound::Included(max) => member <= max,
                LexBound::Excluded(max) => member < max,
                LexBound::Highest => true,
            };
            let mut zset = Zset::default();
            for member in &members {
                zset.insert(member, 1.0, LIMITS).unwrap();
            }
            let within = members.iter().filter(|member| is_above(member) && is_below(member));
            let ranks = zset.view().ranks_by_lex(min, max);
            let found = zset.view().range(ranks, Direction::Up).map(|entry| entry.0);
            prop_assert!(found.eq(within.map(Vec::as_slice)));
        }
    }

    /// Zeros, as in a small sorted set of Redis 7.2, lose their sign there.
    #[test]
    fn a_score_takes_as_many_bytes_as_it_needs() {
        for (score, len) in [
            (0.0, 1),
            (-0.0, 1),
            (239.0, 1),
            (240.0, 3),
            (-1.0, 2),
            (-128.0, 2),
            (32_767.0, 3),
            (1_700_000_000.0, 5),
            (1_700_000_000_123.0, 7),
            (9_007_199_254_740_992.0, 8),
            (36_028_797_018_963_968.0, 9),
            (0.5, 9),
            (f64::INFINITY, 9),
        ] {
            let mut zset = Zset::default();
            zset.insert(b"m", score, LIMITS).unwrap();
            let (bytes, _) = zset.inline(Encoding::Natural).unwrap();
            assert_eq!(bytes.len(), 1 + 2 + len, "{score}");
            let read = zset.view().score(b"m").unwrap();
            assert_eq!(read.to_bits(), (score + 0.0).to_bits());
        }
    }

    #[test]
    fn as_many_members_as_a_setting_allows_are_counted() {
        let limits = PackLimits::new(1000, 64, Seed::UNKNOWN);
        let mut zset = Zset::default();
        for n in 0..1000 {
            assert_eq!(zset.view().len(), n);
            zset.insert(format!("{n:04}").as_bytes(), 1.0, limits)
                .unwrap();
        }
        assert!(zset.view().is_packed());
        zset.cut(100..843);
        assert_eq!(zset.view().len(), 257);
        for left in (0..257).rev() {
            let (member, _) = zset.view().get(left / 2).unwrap();
            let member = member.to_vec();
            assert_eq!(zset.remove(&member), Some(1.0));
            assert_eq!(zset.view().len(), left);
        }
        assert!(zset.is_used_up());
    }

    fn large(count: usize) -> Zset {
        let mut zset = Zset::default();
        for n in 0..count {
            let member = format!("member:{n}");
            let score = (n * 7919 % count) as f64;
            zset.insert(member.as_bytes(), score, LIMITS).unwrap();
        }
        zset
    }

    #[test]
    fn a_large_one_takes_little_memory_and_gives_it_back() {
        let count = 100_000;
        let mut zset = large(count);
        let full = zset.memory();
        assert!(full / count < 62, "{} bytes a member", full / count);
        // Records move together while most members go, and are found all the
        // same, by name and by rank.
        let mut left: BTreeMap<usize, usize> = BTreeMap::new();
        for n in 0..count {
            if n % 50 == 0 {
                left.insert(n * 7919 % count, n);
            } else {
                assert!(zset.remove(format!("member:{n}").as_bytes()).is_some());
            }
        }
        let expected = left
            .iter()
            .map(|(score, n)| (format!("member:{n}"), *score as f64));
        for ((member, score), (name, expected)) in zset.view().iter().zip(expected) {
            assert_eq!((member, score), (name.as_bytes(), expected));
            assert_eq!(zset.view().score(member), Some(score));
        }
        assert_eq!(zset.view().len(), left.len());
        let memory = zset.memory();
        assert!(memory < full / 10, "{memory} of {full}");
    }

    #[test]
    fn it_is_freed_in_steps() {
        let mut zset = large(100_000);
        let (pieces, mut steps) = (zset.pieces(), 1);
        while !zset.free_some(&mut 100) {
            steps += 1;
        }
        assert!(pieces > 1000, "{pieces} pieces");
        assert!(steps >= 10, "{steps} steps");
    }

    /// What is there all the time is told once, whatever comes and goes and
    /// however often it changes its score.
    #[test]
    fn a_scan_tells_what_stays_while_others_come_and_go() {
        let mut rng = fastrand::Rng::with_seed(7);
        for round in 0..40 {
            let mut zset = large(500 + round * 100);
            let stays: Vec<Vec<u8>> = zset.view().iter().map(|entry| entry.0.to_vec()).collect();
            let stays: Vec<_> = stays.into_iter().filter(|_| rng.u8(..3) == 0).collect();
            let mut goes: Vec<Vec<u8>> = zset.view().iter().map(|entry| entry.0.to_vec()).collect();
            goes.retain(|member| !stays.contains(member));
            let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
            let (mut cursor, mut new) = (0, 0);
            let grows = round % 2 == 0;
            loop {
                cursor = zset.view().scan(cursor, 10, |member, _| {
                    *seen.entry(member.to_vec()).or_default() += 1;
                });
                if cursor == 0 {
                    break;
                }
                for _ in 0..rng.usize(..40) {
                    if grows {
                        new += 1;
                        zset.insert(format!("new:{new}").as_bytes(), 0.5, LIMITS)
                            .unwrap();
                    } else if !goes.is_empty() {
                        zset.remove(&goes.swap_remove(rng.usize(..goes.len())));
                    }
                    let changed = &stays[rng.usize(..stays.len())];
                    zset.insert(changed, rng.f64(), LIMITS).unwrap();
                }
            }
            let missing = stays.iter().filter(|member| seen.get(*member) != Some(&1));
            assert_eq!(missing.count(), 0, "in round {round}");
        }
    }
}
