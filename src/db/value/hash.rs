//! Hashes: fields, each with a value, and some with a time at which they go.

mod fields;
mod times;

use std::collections::HashSet;

use fastrand::Rng;

use fields::{Fields, FieldsRef};
use times::Times;

use super::form::{Encoding, Form, INLINE_MAX, PackedAs};
use super::kind::{Held, Kind, Parts, Stored, Viewed};
use crate::db::Digest;
use crate::db::memory::heap;
use crate::db::memory::members::Members;
use crate::db::memory::pack::{PackLimits, Strings};
use crate::db::memory::slots::{Full, PIECE};
use crate::error::{self, Error};
use crate::events::KeyspaceEvents;
use crate::rdb::{Listpack, PACKED_MAX, Reader, Type, Writer};

/// Fields, each once, with a value.
#[derive(Clone, Debug, Default)]
pub struct Hash {
    fields: Fields,
    /// Once a field has had a time, which OBJECT ENCODING tells from then on.
    times: Option<Box<Times>>,
}

/// What readers see of a hash. Times are in milliseconds since 1970, and a field
/// whose time has come `now` is not there.
#[derive(Clone, Copy, Debug)]
pub struct HashRef<'a> {
    fields: FieldsRef<'a>,
    times: Option<&'a Times>,
}

/// A field and its value.
pub type Pair<'a> = (&'a [u8], &'a [u8]);

/// What becomes of the time of a field that is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OldTime {
    /// It stays.
    Keep,
    /// There is none any more.
    Clear,
}

impl Held for HashRef<'_> {
    fn kind(&self) -> Kind {
        Hash::KIND
    }

    fn encoding_name(&self) -> &'static str {
        match (self.fields, self.times) {
            (FieldsRef::Packed(_, PackedAs::Listpack), None) => "listpack",
            (FieldsRef::Packed(_, PackedAs::Listpack), Some(_)) => "listpackex",
            _ => "hashtable",
        }
    }

    fn serialize(&self, output: &mut Writer) {
        if let Some(times) = self.times
            && let Some(first) = times.first()
        {
            // The only form that tells times, which no server before 7.4 reads.
            output.write_as(Type::HashTimes2);
            output.time(first);
            output.len(self.fields.len());
            for (field, value) in self.fields.iter() {
                // From the first on, and one more: 0 is none.
                let after = times.get(field).map_or(0, |at| at.abs_diff(first) + 1);
                output.len(after as usize);
                output.string(field);
                output.string(value);
            }
            return;
        }
        if let FieldsRef::Packed(bytes, PackedAs::Listpack) = self.fields
            && bytes.len() <= PACKED_MAX
        {
            let mut packed = Listpack::default();
            Strings(bytes).for_each(|string| packed.push(string));
            output.write_as(Type::HashListpack);
            return output.string(&packed.finish());
        }
        output.write_as(Type::Hash);
        output.len(self.fields.len());
        for (field, value) in self.fields.iter() {
            output.string(field);
            output.string(value);
        }
    }

    fn digest(&self, digest: &mut Digest) {
        const HASH: u32 = 4;
        digest.append(&HASH.to_be_bytes());
        for (field, value) in self.fields.iter() {
            let mut one = Digest::default();
            one.append(field);
            one.append(value);
            if self.times.is_some_and(|times| times.get(field).is_some()) {
                one.add(b"!!hexpire!!");
            }
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

    fn serialize(&self, output: &mut Writer) {
        self.view().serialize(output);
    }

    fn digest(&self, digest: &mut Digest) {
        self.view().digest(digest);
    }
}

impl Stored for Hash {
    fn is_used_up(&self) -> bool {
        match &self.fields {
            Fields::Packed(bytes, _) => bytes.is_empty(),
            Fields::Table(members) => members.is_empty(),
        }
    }

    fn members(&self) -> Option<&Members> {
        match self.fields.view() {
            FieldsRef::Table(members) => Some(members),
            FieldsRef::Packed(..) => None,
        }
    }

    fn memory(&self) -> usize {
        let times = self.times.as_ref().map_or(0, |times| times.memory());
        times
            + match &self.fields {
                Fields::Packed(bytes, _) => heap::held(bytes.capacity()),
                Fields::Table(members) => members.memory(),
            }
    }

    fn pieces(&self) -> usize {
        let times = self.times.as_ref().map_or(0, |times| times.len());
        times
            + match &self.fields {
                Fields::Packed(bytes, _) => 1 + bytes.len() / PIECE,
                Fields::Table(members) => members.pieces(),
            }
    }

    fn free_some(&mut self, budget: &mut usize) -> bool {
        if let Some(times) = &mut self.times
            && !times.free_some(budget)
        {
            return false;
        }
        match &mut self.fields {
            Fields::Packed(bytes, _) => {
                *budget = budget.saturating_sub(1 + bytes.len() / PIECE);
                true
            }
            Fields::Table(members) => members.free_some(budget),
        }
    }

    fn parts(&self) -> Option<&dyn Parts> {
        self.times.is_some().then_some(self)
    }

    fn parts_mut(&mut self) -> Option<&mut dyn Parts> {
        self.times.is_some().then_some(self)
    }

    fn give_back(&mut self) {
        self.fields.give_back();
    }

    fn inline(&self, _encoding: Encoding) -> Option<(&[u8], Form)> {
        match (&self.fields, &self.times) {
            (Fields::Packed(bytes, packed_as), None) if bytes.len() <= INLINE_MAX => {
                Some((bytes, Form::Hash(*packed_as)))
            }
            _ => None,
        }
    }
}

impl Parts for Hash {
    fn first_expiry(&self) -> Option<i64> {
        self.times.as_ref()?.first()
    }

    fn first_to_expire(&self) -> Option<&[u8]> {
        self.times.as_ref()?.first_field()
    }

    fn expiry_after(&self, time: i64) -> Option<i64> {
        self.times.as_ref()?.after(time)
    }

    fn end(&self) -> Option<i64> {
        let times = self.times.as_ref()?;
        let all_expire = times.len() == self.fields.view().len();
        times.last().filter(|_| all_expire)
    }

    fn expire(&mut self, now: i64, max: usize) -> (usize, i64) {
        let (mut count, mut last) = (0, i64::MIN);
        while count < max
            && let Some(times) = &mut self.times
            && let Some((at, field)) = times.pop_due(now)
        {
            self.fields.remove(&field);
            count += 1;
            last = at;
        }
        self.fields.give_back();
        (count, last)
    }

    fn event(&self) -> &'static str {
        "hexpired"
    }
}

impl Viewed for Hash {
    type View<'a> = HashRef<'a>;

    #[inline]
    fn view(&self) -> HashRef<'_> {
        HashRef {
            fields: self.fields.view(),
            times: self.times.as_deref(),
        }
    }

    #[inline]
    fn view_inline(bytes: &[u8], form: Form) -> Option<HashRef<'_>> {
        match form {
            Form::Hash(packed_as) => Some(HashRef {
                fields: FieldsRef::Packed(bytes, packed_as),
                times: None,
            }),
            _ => None,
        }
    }

    fn from_inline(bytes: &[u8], form: Form) -> Option<Hash> {
        match form {
            Form::Hash(packed_as) => Some(Hash {
                fields: Fields::Packed(bytes.to_vec(), packed_as),
                times: None,
            }),
            _ => None,
        }
    }
}

impl Hash {
    /// What it is.
    pub const KIND: Kind = Kind {
        name: "hash",
        events: KeyspaceEvents::HASH,
    };

    /// The one that is written there in this way.
    pub fn read(input: &mut Reader<'_>, written: Type, limits: PackLimits) -> error::Result<Hash> {
        let mut hash = Hash::default();
        input.hash(written, |field, value, expires_at| {
            // A field whose time has come is one of them all the same.
            match hash.set(field, value, OldTime::Keep, i64::MIN, limits) {
                Ok(true) => {}
                Ok(false) => return Err(Error::DATA_FORMAT),
                Err(Full) => return Err(Error::OUT_OF_MEMORY),
            }
            if expires_at.is_some() {
                hash.set_time(field, expires_at);
            }
            Ok(())
        })?;
        Ok(hash)
    }

    /// The value of a field.
    #[inline]
    pub fn get(&self, field: &[u8], now: i64) -> Option<&[u8]> {
        self.view().get(field, now)
    }

    /// The time of a field, if it is there and has one.
    pub fn time_of(&self, field: &[u8], now: i64) -> Option<Option<i64>> {
        self.view().time_of(field, now)
    }

    /// Gives a field a value; answers whether it is new. If there is no room,
    /// nothing has changed.
    #[inline]
    pub fn set(
        &mut self,
        field: &[u8],
        value: &[u8],
        old: OldTime,
        now: i64,
        limits: PackLimits,
    ) -> Result<bool, Full> {
        let is_new = self.fields.set(field, value, limits)?;
        let at = self.times.as_ref().and_then(|times| times.get(field));
        let Some(at) = at else {
            return Ok(is_new);
        };
        let was_there = at > now;
        if !was_there || old == OldTime::Clear {
            self.set_time(field, None);
        }
        Ok(!was_there)
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

    /// Has a field that is there go at a time, or stay.
    pub fn set_time(&mut self, field: &[u8], at: Option<i64>) {
        let times = self.times.get_or_insert_default();
        times.set(field, at);
        // As in Redis: by their times, and those behind that have none.
        self.fields.move_to(field, || match at {
            Some(at) => times.count_due(at - 1),
            None => usize::MAX,
        });
    }

    /// Removes a field; false if it was not there.
    pub fn remove(&mut self, field: &[u8], now: i64) -> bool {
        if self.view().is_due(field, now) {
            return false;
        }
        if let Some(times) = &mut self.times {
            times.set(field, None);
        }
        self.fields.remove(field)
    }
}

impl<'a> HashRef<'a> {
    /// The times, if any has come.
    #[inline]
    fn due(self, now: i64) -> Option<&'a Times> {
        self.times.filter(|times| times.any_due(now))
    }

    fn is_due(self, field: &[u8], now: i64) -> bool {
        let times = self.due(now);
        times.is_some_and(|times| times.is_due(field, now))
    }

    /// How many fields there are.
    pub fn len(self, now: i64) -> usize {
        let due = self.due(now).map_or(0, |times| times.count_due(now));
        self.fields.len() - due
    }

    /// The value of a field.
    #[inline]
    pub fn get(self, field: &[u8], now: i64) -> Option<&'a [u8]> {
        let value = self.fields.get(field)?;
        (!self.is_due(field, now)).then_some(value)
    }

    /// The time of a field, if it is there and has one.
    pub fn time_of(self, field: &[u8], now: i64) -> Option<Option<i64>> {
        let there = self.get(field, now);
        there.map(|_| self.times.and_then(|times| times.get(field)))
    }

    /// All fields, each with its value.
    pub fn iter(self, now: i64) -> impl Iterator<Item = Pair<'a>> {
        let due = self.due(now);
        let is_due = move |field: &[u8]| due.is_some_and(|times| times.is_due(field, now));
        self.fields.iter().filter(move |(field, _)| !is_due(field))
    }

    /// Fields from `cursor` on, each with its value: at least `count` if there
    /// are so many, and the cursor to go on with, 0 at the end. Each field that
    /// is here all the time is told of exactly once.
    pub fn scan(self, cursor: u64, count: usize, now: i64, mut each: impl FnMut(Pair<'a>)) -> u64 {
        self.fields.scan(cursor, count, |field, value| {
            if !self.is_due(field, now) {
                each((field, value));
            }
        })
    }

    /// Draws so many times, each time one of all fields, or until `each`
    /// answers an error.
    pub fn draw<E>(
        self,
        count: usize,
        now: i64,
        rng: &mut Rng,
        mut each: impl FnMut(Pair<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        match Drawer::of(self, count, now) {
            Some(mut drawer) => {
                let members = drawer.members;
                let mut draws = (0..count).filter_map(|_| drawer.draw(rng));
                draws.try_for_each(|at| each(members.record(at)))
            }
            None => {
                // To find the n-th of those that are packed takes a walk.
                let pairs: Vec<_> = self.iter(now).collect();
                let mut draws = (0..count).filter_map(|_| rng.choice(&pairs));
                draws.try_for_each(|&pair| each(pair))
            }
        }
    }

    /// Draws so many fields, none of them twice. There are more than that.
    pub fn draw_distinct(
        self,
        count: usize,
        now: i64,
        rng: &mut Rng,
        mut each: impl FnMut(Pair<'a>),
    ) {
        // It is tried again for as long as fields come that have come before,
        // which is not often if no more than this part of them is wanted.
        const FEW: usize = 3;
        match Drawer::of(self, count, now) {
            Some(mut drawer) if count < self.len(now) / FEW => {
                let members = drawer.members;
                let mut drawn = HashSet::with_capacity(count);
                while drawn.len() < count
                    && let Some(at) = drawer.draw(rng)
                {
                    if drawn.insert(at) {
                        each(members.record(at));
                    }
                }
            }
            _ => {
                let (mut left, mut wanted) = (self.len(now), count);
                for pair in self.iter(now) {
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

/// So often it is drawn again where fields wait to be removed, at least: that
/// takes two milliseconds or less.
const DRAWS: usize = 2000;

/// Draws from a table fields that are there.
struct Drawer<'a> {
    members: &'a Members,
    due: Option<&'a Times>,
    now: i64,
    /// How often it still draws again.
    again: usize,
}

impl<'a> Drawer<'a> {
    /// The one for `count` fields; `None` where it is better to go through all,
    /// which are packed or not many.
    fn of(hash: HashRef<'a>, count: usize, now: i64) -> Option<Drawer<'a>> {
        let FieldsRef::Table(members) = hash.fields else {
            return None;
        };
        let due = hash.due(now);
        (due.is_none() || members.len() > DRAWS).then_some(Drawer {
            members,
            due,
            now,
            again: count.saturating_mul(4).max(DRAWS),
        })
    }

    /// One of them, each with the same probability. While very many wait to be
    /// removed it may be one of those: to go through a million would hold
    /// everybody up for a second.
    fn draw(&mut self, rng: &mut Rng) -> Option<u32> {
        loop {
            let at = self.members.random(|n| rng.usize(..n))?;
            let is_due = |times: &Times| times.is_due(self.members.name(at), self.now);
            if !self.due.is_some_and(is_due) || self.again == 0 {
                return Some(at);
            }
            self.again -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    const LIMITS: PackLimits = PackLimits {
        entries: 8,
        value: 10,
        seed: Seed::UNKNOWN,
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
                assert_eq!(hash.get(&field, 0), old.map(|at| &model[at].1[..]));
                match (rng.bool(), old) {
                    (true, _) => {
                        assert_eq!(
                            hash.set(&field, &value, OldTime::Clear, 0, LIMITS),
                            Ok(old.is_none())
                        );
                        match old {
                            Some(at) => model[at].1 = value,
                            None => model.push((field, value)),
                        }
                    }
                    (false, Some(at)) => {
                        assert!(hash.remove(&field, 0));
                        model.remove(at);
                    }
                    (false, None) => assert!(!hash.remove(&field, 0)),
                }
                assert_eq!(hash.view().len(0), model.len());
                assert_eq!(hash.is_used_up(), model.is_empty());
                let shown = hash.view().iter(0);
                let shown: Vec<_> = shown.map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
                let inline = hash.inline(Encoding::Natural);
                let inline = inline.map(|(bytes, form)| (bytes.to_vec(), form));
                if inline.is_some() {
                    assert_eq!(shown, model);
                } else {
                    model.sort();
                    assert_eq!(sorted(hash.view().iter(0)), model);
                }
                let encoding = hash.encoding_name();
                assert!(inline.is_some() || encoding == "hashtable");
                encodings.insert((encoding, inline.is_some()));
                if let Some((bytes, form)) = inline {
                    hash = Hash::from_inline(&bytes, form).unwrap();
                    assert_eq!(hash.encoding_name(), encoding);
                }
            }
        }
        // One of long strings is called a table before it is one.
        assert_eq!(encodings.len(), 3);
    }

    #[test]
    fn it_is_a_table_from_the_limits_on() {
        let full = || {
            let mut hash = Hash::default();
            for n in 0..LIMITS.entries {
                assert_eq!(
                    hash.set(&n.to_le_bytes(), b"0123456789", OldTime::Clear, 0, LIMITS),
                    Ok(true)
                );
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
            hash.set(field, value, OldTime::Clear, 0, LIMITS).unwrap();
            assert_eq!(hash.encoding_name(), "hashtable");
            assert_eq!(hash.get(field, 0), Some(value));
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
                hash.set(&[n], &[n; 3], OldTime::Clear, 0, limits).unwrap();
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

    /// A field, its value and its time.
    type Entry = (Vec<u8>, Vec<u8>, Option<i64>);

    /// Fields in the order in which Redis keeps them while they are packed:
    /// by their times, and those behind that have none.
    #[derive(Default)]
    struct Model(Vec<Entry>);

    impl Model {
        fn find(&self, field: &[u8]) -> Option<usize> {
            self.0.iter().position(|entry| entry.0 == field)
        }

        fn is_there(&self, at: usize, now: i64) -> bool {
            self.0[at].2.is_none_or(|time| time > now)
        }

        fn insert(&mut self, entry: Entry) {
            let is_behind = |other: &Entry| match (other.2, entry.2) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(other), Some(time)) => other >= time,
            };
            let at = self.0.iter().position(is_behind);
            self.0.insert(at.unwrap_or(self.0.len()), entry);
        }

        fn alive(&self, now: i64) -> Vec<(Vec<u8>, Vec<u8>)> {
            let alive = (0..self.0.len()).filter(|&at| self.is_there(at, now));
            let alive = alive.map(|at| (self.0[at].0.clone(), self.0[at].1.clone()));
            alive.collect()
        }

        /// Removes the field with the earliest time, if that has come.
        fn expire_one(&mut self, now: i64) -> bool {
            let timed = self.0.iter().filter(|entry| entry.2.is_some());
            let first = timed.map(|entry| (entry.2, entry.0.clone())).min();
            let first = first.filter(|(time, _)| *time <= Some(now));
            let at = first.and_then(|(_, field)| self.find(&field));
            at.map(|at| self.0.remove(at)).is_some()
        }
    }

    #[test]
    fn fields_whose_time_has_come_are_not_there() {
        let mut rng = Rng::with_seed(17);
        let mut encodings = HashSet::new();
        for _ in 0..300 {
            let (mut hash, mut model, mut now) = (Hash::default(), Model::default(), 1_000);
            let fields = [3, 8, 40, 200][rng.usize(..4)];
            let limits = PackLimits {
                entries: [LIMITS.entries, 1_000][rng.usize(..2)],
                ..LIMITS
            };
            for _ in 0..300 {
                now += rng.i64(0..5);
                let field = format!("f{}", rng.usize(..fields)).into_bytes();
                let old = model.find(&field);
                let there = old.filter(|&at| model.is_there(at, now));
                let value = there.map(|at| &model.0[at].1[..]);
                assert_eq!(hash.get(&field, now), value);
                assert_eq!(hash.time_of(&field, now), there.map(|at| model.0[at].2));
                match (rng.u8(..5), there) {
                    (0 | 4, _) => {
                        let keeps = [OldTime::Keep, OldTime::Clear][rng.usize(..2)];
                        let value = vec![rng.u8(..); rng.usize(..8)];
                        let is_new = hash.set(&field, &value, keeps, now, limits);
                        assert_eq!(is_new, Ok(there.is_none()));
                        let kept = there.filter(|_| keeps == OldTime::Keep);
                        let kept = kept.and_then(|at| model.0[at].2);
                        match old {
                            Some(at) if model.0[at].2 == kept => model.0[at].1 = value,
                            _ => {
                                old.map(|at| model.0.remove(at));
                                model.0.push((field, value, None));
                            }
                        }
                    }
                    (1, _) => {
                        assert_eq!(hash.remove(&field, now), there.is_some());
                        there.map(|at| model.0.remove(at));
                    }
                    (_, Some(at)) => {
                        let time = Some(now + 1 + rng.i64(0..300) / 10 * 10);
                        let time = time.filter(|_| model.0[at].2.is_none() || rng.bool());
                        hash.set_time(&field, time);
                        let (field, value, _) = model.0.remove(at);
                        model.insert((field, value, time));
                    }
                    _ => {}
                }
                if rng.u8(..8) == 0
                    && let Some(parts) = hash.parts_mut()
                {
                    let max = rng.usize(1..4);
                    let expired = (0..max).take_while(|_| model.expire_one(now)).count();
                    assert_eq!(parts.expire(now, max).0, expired);
                }
                let times = || model.0.iter().filter_map(|entry| entry.2);
                let parts = hash.parts();
                assert_eq!(parts.and_then(Parts::first_expiry), times().min());
                let end = times().max().filter(|_| times().count() == model.0.len());
                assert_eq!(parts.and_then(Parts::end), end);
                let next = times().filter(|&time| time > now).min();
                assert_eq!(parts.and_then(|parts| parts.expiry_after(now)), next);
                let mut alive = model.alive(now);
                assert_eq!(hash.view().len(now), alive.len());
                if hash.encoding_name() == "hashtable" {
                    alive.sort();
                    assert_eq!(sorted(hash.view().iter(now)), alive);
                } else {
                    let shown = hash.view().iter(now);
                    let shown: Vec<_> = shown.map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
                    assert_eq!(shown, alive);
                }
                encodings.insert(hash.encoding_name());
            }
        }
        assert_eq!(encodings.len(), 3, "{encodings:?}");
    }

    #[test]
    fn a_large_hash_with_times_is_freed_in_steps() {
        let mut hash = Hash::default();
        for n in 0..50_000u32 {
            let field = n.to_le_bytes();
            hash.set(&field, b"v", OldTime::Clear, 0, LIMITS).unwrap();
            hash.set_time(&field, Some(i64::from(n)));
        }
        assert!(hash.pieces() > 50_000 && hash.memory() > 4_000_000);
        let mut steps = 1;
        while !hash.free_some(&mut 1_000) {
            steps += 1;
        }
        assert!((100..200).contains(&steps), "{steps} steps");
    }

    #[test]
    fn each_field_is_drawn_as_often_as_any_other() {
        for entries in [100, 1] {
            let limits = PackLimits { entries, ..LIMITS };
            let mut hash = Hash::default();
            for n in 0..20u8 {
                hash.set(&[n], &[n + 1], OldTime::Clear, 0, limits).unwrap();
            }
            let (mut rng, hash) = (Rng::with_seed(3), hash.view());
            let mut drawn = [[0; 20]; 3];
            let drawn_all = hash.draw(20_000, 0, &mut rng, |(field, value)| {
                assert_eq!(value[0], field[0] + 1);
                drawn[0][usize::from(field[0])] += 1;
                Ok::<(), ()>(())
            });
            assert_eq!(drawn_all, Ok(()));
            for (count, times) in [(1, 20_000), (12, 2_000)] {
                for _ in 0..times {
                    let mut seen = HashSet::new();
                    hash.draw_distinct(count, 0, &mut rng, |(field, _)| {
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
