//! Hashes: fields, each with a value.

mod fields;

use std::collections::HashSet;

use fastrand::Rng;

use fields::{Fields, FieldsRef};

use super::form::{Encoding, Form, INLINE_MAX};
use super::kind::{Held, Kind, Stored, Viewed, serialized_string_len};
use crate::db::Digest;
use crate::db::memory::members::Members;
use crate::db::memory::pack::PackLimits;
use crate::db::memory::slots::{Full, PIECE};
use crate::events::KeyspaceEvents;

/// Fields, each once, with a value.
#[derive(Clone, Debug, Default)]
pub struct Hash {
    fields: Fields,
}

/// What readers see of a hash.
#[derive(Clone, Copy, Debug)]
pub struct HashRef<'a> {
    fields: FieldsRef<'a>,
}

/// A field and its value.
pub type Pair<'a> = (&'a [u8], &'a [u8]);

impl Held for HashRef<'_> {
    fn kind(&self) -> Kind {
        Hash::KIND
    }

    fn encoding_name(&self) -> &'static str {
        match self.fields {
            FieldsRef::Packed(_) => "listpack",
            FieldsRef::Table(_) => "hashtable",
        }
    }

    fn serialized_len(&self) -> usize {
        let len = |string: &[u8]| serialized_string_len(string.len());
        let pairs = self.iter().map(|(field, value)| len(field) + len(value));
        pairs.sum()
    }

    fn digest(&self, digest: &mut Digest) {
        const HASH: u32 = 4;
        digest.append(&HASH.to_be_bytes());
        for (field, value) in self.iter() {
            let mut one = Digest::default();
            one.append(field);
            one.append(value);
            digest.add_digest(one);
        }
    }
}

impl Held for Hash {
    fn kind(&self) -> Kind {
        Hash::KIND
    }

    fn encoding_name(&self) -> &'static str {
        self.view().encoding_name()
    }

    fn serialized_len(&self) -> usize {
        self.view().serialized_len()
    }

    fn digest(&self, digest: &mut Digest) {
        self.view().digest(digest);
    }
}

impl Stored for Hash {
    fn is_used_up(&self) -> bool {
        match &self.fields {
            Fields::Packed(bytes) => bytes.is_empty(),
            Fields::Table(members) => members.is_empty(),
        }
    }

    fn members(&self) -> Option<&Members> {
        match self.fields.view() {
            FieldsRef::Table(members) => Some(members),
            FieldsRef::Packed(_) => None,
        }
    }

    fn memory(&self) -> usize {
        match &self.fields {
            Fields::Packed(bytes) => bytes.capacity(),
            Fields::Table(members) => members.memory(),
        }
    }

    fn pieces(&self) -> usize {
        match &self.fields {
            Fields::Packed(bytes) => 1 + bytes.len() / PIECE,
            Fields::Table(members) => members.pieces(),
        }
    }

    fn free_some(&mut self, budget: &mut usize) -> bool {
        match &mut self.fields {
            Fields::Packed(bytes) => {
                *budget = budget.saturating_sub(1 + bytes.len() / PIECE);
                true
            }
            Fields::Table(members) => members.free_some(budget),
        }
    }

    fn inline(&self, _encoding: Encoding) -> Option<(&[u8], Form)> {
        match &self.fields {
            Fields::Packed(bytes) if bytes.len() <= INLINE_MAX => Some((bytes, Form::Hash)),
            _ => None,
        }
    }
}

impl Viewed for Hash {
    type View<'a> = HashRef<'a>;

    #[inline]
    fn view(&self) -> HashRef<'_> {
        let fields = self.fields.view();
        HashRef { fields }
    }

    #[inline]
    fn view_inline(bytes: &[u8], form: Form) -> Option<HashRef<'_>> {
        (form == Form::Hash).then_some(HashRef::packed(bytes))
    }

    fn from_inline(bytes: &[u8], form: Form) -> Option<Hash> {
        (form == Form::Hash).then(|| Hash::packed(bytes))
    }
}

impl Hash {
    /// What it is.
    pub const KIND: Kind = Kind {
        name: "hash",
        events: KeyspaceEvents::HASH,
    };

    /// The one that these bytes in a slot are.
    pub fn packed(bytes: &[u8]) -> Hash {
        let fields = Fields::Packed(bytes.to_vec());
        Hash { fields }
    }

    /// The value of a field.
    pub fn get(&self, field: &[u8]) -> Option<&[u8]> {
        self.view().get(field)
    }

    /// Gives a field a value; answers whether it is new. If there is no room,
    /// nothing has changed.
    pub fn set(&mut self, field: &[u8], value: &[u8], limits: PackLimits) -> Result<bool, Full> {
        self.fields.set(field, value, limits)
    }

    /// Becomes a table if it is to do so for these fields and values, which
    /// are about to be set. If there is no room, nothing has changed.
    pub fn unpack_for<'s>(
        &mut self,
        pairs: impl ExactSizeIterator<Item = &'s [u8]> + Clone,
        limits: PackLimits,
    ) -> Result<(), Full> {
        self.fields.unpack_for(pairs.len() / 2, pairs, limits)
    }

    /// Removes a field; false if it was not there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        self.fields.remove(field)
    }
}

impl<'a> HashRef<'a> {
    /// The one that these bytes in a slot are.
    #[inline]
    pub fn packed(bytes: &'a [u8]) -> HashRef<'a> {
        let fields = FieldsRef::Packed(bytes);
        HashRef { fields }
    }

    /// How many fields there are.
    pub fn len(self) -> usize {
        self.fields.len()
    }

    /// The value of a field.
    #[inline]
    pub fn get(self, field: &[u8]) -> Option<&'a [u8]> {
        self.fields.get(field)
    }

    /// All fields, each with its value.
    pub fn iter(self) -> impl Iterator<Item = Pair<'a>> {
        self.fields.iter()
    }

    /// Fields from `cursor` on, each with its value: at least `count` if there
    /// are so many, and the cursor to go on with, 0 at the end. Each field that
    /// is here all the time is told of exactly once.
    pub fn scan(self, cursor: u64, count: usize, mut each: impl FnMut(Pair<'a>)) -> u64 {
        self.fields
            .scan(cursor, count, |field, value| each((field, value)))
    }

    /// Draws so many times, each time one of all fields.
    pub fn draw(self, count: usize, rng: &mut Rng, mut each: impl FnMut(Pair<'a>)) {
        match self.fields {
            FieldsRef::Packed(_) => {
                let pairs: Vec<_> = self.iter().collect();
                let draws = (0..count).filter_map(|_| rng.choice(&pairs));
                draws.for_each(|&pair| each(pair));
            }
            FieldsRef::Table(members) => {
                let draws = (0..count).filter_map(|_| members.random(|n| rng.usize(..n)));
                draws.for_each(|at| each(members.record(at)));
            }
        }
    }

    /// Draws so many fields, none of them twice. There are more than that.
    pub fn draw_distinct(self, count: usize, rng: &mut Rng, mut each: impl FnMut(Pair<'a>)) {
        // It is tried again for as long as fields come that have come before,
        // which is not often if this part of them is wanted.
        const FEW: usize = 3;
        match self.fields {
            FieldsRef::Table(members) if count * FEW < members.len() => {
                let mut drawn = HashSet::with_capacity(count);
                while drawn.len() < count
                    && let Some(at) = members.random(|n| rng.usize(..n))
                {
                    if drawn.insert(at) {
                        each(members.record(at));
                    }
                }
            }
            _ => {
                let (mut left, mut wanted) = (self.len(), count);
                for pair in self.iter() {
                    if rng.usize(..left) < wanted {
                        wanted -= 1;
                        each(pair);
                    }
                    left -= 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: PackLimits = PackLimits {
        entries: 8,
        value: 10,
    };

    fn sorted<'a>(pairs: impl Iterator<Item = Pair<'a>>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut pairs: Vec<_> = pairs.map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
        pairs.sort();
        pairs
    }

    #[test]
    fn it_is_a_map_that_keeps_the_order_while_it_is_packed() {
        let mut rng = Rng::with_seed(9);
        let mut encodings = HashSet::new();
        for _ in 0..400 {
            let (mut hash, mut model) = (Hash::default(), Vec::<(Vec<u8>, Vec<u8>)>::new());
            let fields = [3, 9, 40][rng.usize(..3)];
            for _ in 0..120 {
                let field = format!("f{}", rng.usize(..fields)).into_bytes();
                let lens = [0, 1, 5, 10, if rng.u8(..50) == 0 { 200 } else { 3 }];
                let value = vec![rng.u8(..); lens[rng.usize(..5)]];
                let old = model.iter().position(|(name, _)| *name == field);
                assert_eq!(hash.view().get(&field), old.map(|at| &model[at].1[..]));
                match (rng.bool(), old) {
                    (true, _) => {
                        assert_eq!(hash.set(&field, &value, LIMITS), Ok(old.is_none()));
                        match old {
                            Some(at) => model[at].1 = value,
                            None => model.push((field, value)),
                        }
                    }
                    (false, Some(at)) => {
                        assert!(hash.remove(&field));
                        model.remove(at);
                    }
                    (false, None) => assert!(!hash.remove(&field)),
                }
                assert_eq!(hash.view().len(), model.len());
                assert_eq!(hash.is_used_up(), model.is_empty());
                let shown = hash.view().iter();
                let shown: Vec<_> = shown.map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
                if hash.encoding_name() == "listpack" {
                    assert_eq!(shown, model);
                } else {
                    model.sort();
                    assert_eq!(sorted(hash.view().iter()), model);
                }
                let (inline, encoding) = (hash.inline(Encoding::Natural), hash.encoding_name());
                assert_eq!(inline.is_some(), encoding == "listpack");
                encodings.insert(encoding);
            }
        }
        assert_eq!(encodings.len(), 2);
    }

    #[test]
    fn it_is_a_table_from_the_limits_on() {
        let full = || {
            let mut hash = Hash::default();
            for n in 0..LIMITS.entries {
                assert_eq!(hash.set(&n.to_le_bytes(), b"0123456789", LIMITS), Ok(true));
            }
            assert_eq!(hash.encoding_name(), "listpack");
            hash
        };
        let long = [b'x'; 11];
        for (field, value) in [
            (&b"one more"[..], &b"v"[..]),
            (&[0; 8], &long),
            (&long, b"v"),
        ] {
            let mut hash = full();
            hash.set(field, value, LIMITS).unwrap();
            assert_eq!(hash.encoding_name(), "hashtable");
            assert_eq!(hash.view().get(field), Some(value));
        }
        let mut hash = full();
        let pairs = [b"a".as_slice(); 18];
        hash.unpack_for(pairs[2..].iter().copied(), LIMITS).unwrap();
        assert_eq!(hash.encoding_name(), "listpack");
        hash.unpack_for(pairs.iter().copied(), LIMITS).unwrap();
        assert_eq!(hash.encoding_name(), "hashtable");
    }

    #[test]
    fn what_it_holds_makes_its_digest_however_it_is_kept() {
        let digest = |limits| {
            let mut hash = Hash::default();
            for n in 0..20u8 {
                hash.set(&[n], &[n; 3], limits).unwrap();
            }
            let mut digest = Digest::default();
            hash.digest(&mut digest);
            digest
        };
        let packed = PackLimits {
            entries: 100,
            ..LIMITS
        };
        assert_eq!(digest(packed), digest(LIMITS));
    }

    #[test]
    fn each_field_is_drawn_as_often_as_any_other() {
        for entries in [100, 1] {
            let limits = PackLimits { entries, ..LIMITS };
            let mut hash = Hash::default();
            for n in 0..20u8 {
                hash.set(&[n], &[n + 1], limits).unwrap();
            }
            let (mut rng, hash) = (Rng::with_seed(3), hash.view());
            let mut drawn = [[0; 20]; 3];
            hash.draw(20_000, &mut rng, |(field, value)| {
                assert_eq!(value[0], field[0] + 1);
                drawn[0][usize::from(field[0])] += 1;
            });
            for (count, times) in [(1, 20_000), (12, 2_000)] {
                for _ in 0..times {
                    let mut seen = HashSet::new();
                    hash.draw_distinct(count, &mut rng, |(field, _)| {
                        assert!(seen.insert(field[0]));
                        drawn[1 + count / 10][usize::from(field[0])] += 1;
                    });
                    assert_eq!(seen.len(), count);
                }
            }
            for (drawn, expected) in drawn.iter().zip([1_000, 1_000, 1_200]) {
                let range = expected * 85 / 100..expected * 115 / 100;
                assert!(
                    drawn.iter().all(|n| range.contains(n)),
                    "{entries}: {drawn:?}"
                );
            }
        }
    }
}
