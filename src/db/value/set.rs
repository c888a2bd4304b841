//! Sets: integers and strings packed while they are few and short, a table of
//! members when they are more.
//!
//! When one form becomes another is Redis 7.2's decision, which OBJECT ENCODING
//! tells of. None shrinks back by itself; a set of which most members are
//! popped at once is built anew.

mod ints;
mod view;

use ints::Ints;
use view::split;
pub use view::{Digits, Member, SetRef};

use super::form::{Encoding, Form, INLINE_MAX, PackedAs, trim};
use super::kind::{Held, Kind, Stored, Viewed};
use crate::db::Digest;
use crate::db::memory::heap;
use crate::db::memory::members::Members;
use crate::db::memory::pack::{self, Strings};
use crate::db::memory::slots::{Full, PIECE};
use crate::error::{self, Error};
use crate::events::KeyspaceEvents;
use crate::rdb::{Reader, Type, Writer};
use crate::seed::Seed;
use crate::text::number;

/// How large sets may be that are packed.
#[derive(Clone, Copy, Debug)]
pub struct SetLimits {
    /// How many integers: `set-max-intset-entries`.
    pub ints: usize,
    /// How many strings: `set-max-listpack-entries`.
    pub entries: usize,
    /// Bytes of the longest: `set-max-listpack-value`.
    pub value: usize,
    /// What the order of a table follows from.
    pub seed: Seed,
}

impl SetLimits {
    /// From the settings.
    pub fn new(ints: u64, entries: u64, value: u64, seed: Seed) -> SetLimits {
        let saturated = |limit| usize::try_from(limit).unwrap_or(usize::MAX);
        SetLimits {
            ints: saturated(ints),
            entries: saturated(entries),
            value: saturated(value),
            seed,
        }
    }

    /// The same for strings of any length.
    pub fn of_any_length(self) -> SetLimits {
        SetLimits {
            value: usize::MAX,
            ..self
        }
    }
}

/// Redis keeps no more integers than these in an intset, whatever the setting.
const INTS_MAX: usize = 1 << 30;

/// A set that does not stand in a slot.
#[derive(Clone, Debug)]
pub enum Set {
    /// All members are integers: OBJECT ENCODING calls it `intset`. The bytes
    /// are those of [`Ints`].
    Ints(Vec<u8>),
    /// The members side by side, in the order in which they came.
    Packed(Vec<u8>, PackedAs),
    /// `hashtable`
    Table(Box<Members>),
}

impl Default for Set {
    fn default() -> Self {
        Set::Ints(Vec::new())
    }
}

impl Set {
    /// What it is.
    pub const KIND: Kind = Kind {
        name: "set",
        events: KeyspaceEvents::SET,
    };

    /// The one that is written there in this way.
    pub fn read(input: &mut Reader<'_>, written: Type, limits: SetLimits) -> error::Result<Set> {
        // A listpack remains one, even of integers alone.
        let mut set = match written {
            Type::SetListpack => Set::packed(),
            _ => Set::default(),
        };
        input.set(written, |member| match set.add(member, limits) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::DATA_FORMAT),
            Err(Full) => Err(Error::OUT_OF_MEMORY),
        })?;
        Ok(set)
    }

    /// An empty set of strings.
    pub fn packed() -> Set {
        Set::Packed(Vec::new(), PackedAs::Listpack)
    }

    /// An empty set that is large.
    pub fn table(limits: SetLimits) -> Set {
        Set::Table(Members::new(limits.seed).into())
    }

    /// An empty set of the form that is made for `count` members that are to
    /// come, some of them equal perhaps, of which this is the first.
    pub fn for_members(first: &[u8], count: usize, limits: SetLimits) -> Set {
        if count <= limits.ints && number::parse_i64(first).is_some() {
            Set::Ints(Vec::new())
        } else if count <= limits.entries {
            Set::packed()
        } else {
            Set::table(limits)
        }
    }

    /// Becomes a table if so many members that are to come are more than would
    /// be packed.
    pub fn make_ready(&mut self, count: usize, limits: SetLimits) -> Result<(), Full> {
        let packed = match self {
            Set::Ints(_) => limits.ints,
            Set::Packed(..) => limits.entries,
            Set::Table(_) => usize::MAX,
        };
        if count > packed {
            self.unpack(limits.seed)?;
        }
        Ok(())
    }

    /// Adds a member; answers whether it is new. If there is no room, no member
    /// has changed.
    pub fn add(&mut self, member: &[u8], limits: SetLimits) -> Result<bool, Full> {
        match self {
            Set::Ints(bytes) => match number::parse_i64(member) {
                Some(value) => self.add_int(value, limits),
                None => {
                    match packed_with(Ints::new(bytes), member, limits) {
                        Some(packed) => *self = packed,
                        None => _ = self.unpack(limits.seed)?.insert(member, &[])?,
                    }
                    Ok(true)
                }
            },
            Set::Packed(bytes, packed_as) => {
                let mut len = 0;
                for other in Strings(bytes) {
                    if other == member {
                        return Ok(false);
                    }
                    len += 1;
                }
                let becomes = packed_as.with(member.len() > limits.value);
                let size = bytes.len() + pack::len_of(member.len());
                if len < limits.entries && becomes.holds(size) {
                    *packed_as = becomes;
                    pack::push(bytes, member);
                } else {
                    self.unpack(limits.seed)?.insert(member, &[])?;
                }
                Ok(true)
            }
            Set::Table(members) => {
                let is_new = members.find(member).is_none();
                if is_new {
                    members.insert(member, &[])?;
                }
                Ok(is_new)
            }
        }
    }

    /// [`add`](Self::add) of what another set has.
    pub fn add_member(&mut self, member: Member<'_>, limits: SetLimits) -> Result<bool, Full> {
        match (&self, member) {
            (Set::Ints(_), Member::Int(value)) => self.add_int(value, limits),
            _ => self.add(member.bytes(&mut Digits::new()), limits),
        }
    }

    /// [`add`](Self::add) of an integer.
    fn add_int(&mut self, value: i64, limits: SetLimits) -> Result<bool, Full> {
        let Set::Ints(bytes) = self else {
            return self.add(Digits::new().format(value).as_bytes(), limits);
        };
        let ints = Ints::new(bytes);
        let is_full = ints.len() >= limits.ints.min(INTS_MAX);
        if is_full && ints.find(value).is_err() {
            let members = self.unpack(limits.seed)?;
            members.insert(Digits::new().format(value).as_bytes(), &[])?;
            return Ok(true);
        }
        Ok(ints::insert(bytes, value))
    }

    /// Removes a member; answers whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self {
            Set::Ints(bytes) => {
                let value = number::parse_i64(member);
                let at = value.and_then(|value| Ints::new(bytes).find(value).ok());
                at.map(|at| ints::remove(bytes, at)).is_some()
            }
            Set::Packed(bytes, _) => remove_packed(bytes, |other| other == member, |_| {}),
            Set::Table(members) => {
                let at = members.find(member);
                at.map(|at| remove_at(members, at)).is_some()
            }
        }
    }

    /// Takes a member out of a set that is not empty, each with the same
    /// probability, and tells `each` of it.
    pub fn pop(
        &mut self,
        mut random: impl FnMut(usize) -> usize,
        mut each: impl FnMut(Member<'_>),
    ) {
        match self {
            Set::Ints(bytes) => {
                let ints = Ints::new(bytes);
                let at = random(ints.len());
                each(Member::Int(ints.get(at)));
                ints::remove(bytes, at);
            }
            Set::Packed(bytes, _) => {
                let mut before = random(Strings(bytes).count());
                let is_chosen =
                    |_: &[u8]| before.checked_sub(1).map(|left| before = left).is_none();
                remove_packed(bytes, is_chosen, |member| each(Member::Text(member)));
            }
            Set::Table(members) => {
                if let Some(at) = members.random(random) {
                    each(Member::Text(members.name(at)));
                    remove_at(members, at);
                }
            }
        }
    }

    /// Takes out `count` members, fewer than there are, all of them with the
    /// same probability, and tells `each` of them. Answers what is to be freed.
    ///
    /// If few are left they are a new set, as in Redis, which is packed again
    /// if it is small enough for that.
    pub fn pop_some(
        &mut self,
        count: usize,
        limits: SetLimits,
        mut random: impl FnMut(usize) -> usize,
        mut each: impl FnMut(Member<'_>),
    ) -> Result<Set, Full> {
        // Redis calls it SPOP_MOVE_STRATEGY_MUL.
        const FEW: usize = 5;
        let len = self.view().len();
        let left = len - count;
        let begins_anew = left.saturating_mul(FEW) <= count;
        match self {
            Set::Table(members) if begins_anew => {
                let mut kept = Set::packed();
                for _ in 0..left {
                    if let Some(at) = members.random(&mut random) {
                        kept.add(members.name(at), limits)?;
                        members.remove(at);
                    }
                }
                members
                    .iter()
                    .for_each(|at| each(Member::Text(members.name(at))));
                return Ok(std::mem::replace(self, kept));
            }
            Set::Table(_) => (0..count).for_each(|_| self.pop(&mut random, &mut each)),
            Set::Ints(_) => {
                let mut kept = Vec::new();
                let keep = |member: Member<'_>| {
                    member.int().map(|value| ints::insert(&mut kept, value));
                };
                split(self.view(), len, count, random, each, keep);
                *self = Set::Ints(kept);
            }
            Set::Packed(_, packed_as) => {
                let packed_as = *packed_as;
                let mut kept = Vec::new();
                let keep = |member: Member<'_>| {
                    pack::push(&mut kept, member.bytes(&mut Digits::new()));
                };
                split(self.view(), len, count, random, each, keep);
                *self = Set::Packed(kept, packed_as);
            }
        }
        if begins_anew {
            self.fit(limits)?;
        }
        Ok(Set::default())
    }

    /// Becomes a table if it is more than is packed.
    fn fit(&mut self, limits: SetLimits) -> Result<(), Full> {
        let fits = match self {
            Set::Ints(bytes) => Ints::new(bytes).len() <= limits.ints,
            Set::Packed(bytes, _) => {
                let len = Strings(bytes).count();
                len <= limits.entries && Strings(bytes).all(|member| member.len() <= limits.value)
            }
            Set::Table(_) => true,
        };
        if !fits {
            self.unpack(limits.seed)?;
        }
        Ok(())
    }

    /// Becomes a set of integers, if all members are integers and they are not
    /// too many for that.
    pub fn pack_ints(&mut self, limits: SetLimits) {
        let set = self.view();
        if matches!(self, Set::Ints(_)) || set.len() > limits.ints.min(INTS_MAX) {
            return;
        }
        let ints: Option<Vec<i64>> = set.iter().map(Member::int).collect();
        if let Some(mut ints) = ints {
            ints.sort_unstable();
            let mut bytes = Vec::new();
            for value in ints {
                ints::insert(&mut bytes, value);
            }
            *self = Set::Ints(bytes);
        }
    }

    /// Makes it a table, unless it is one. If there is no room, it is what it
    /// was.
    fn unpack(&mut self, seed: Seed) -> Result<&mut Members, Full> {
        if !matches!(self, Set::Table(_)) {
            let mut members = Box::new(Members::new(seed));
            for member in self.view().iter() {
                members.insert(member.bytes(&mut Digits::new()), &[])?;
            }
            *self = Set::Table(members);
        }
        match self {
            Set::Table(members) => Ok(members),
            _ => unreachable!("it has just become one"),
        }
    }
}

/// The integers as strings side by side, and another string behind them, if
/// they are packed.
fn packed_with(ints: Ints<'_>, member: &[u8], limits: SetLimits) -> Option<Set> {
    let len = ints.len();
    if len >= limits.entries {
        return None;
    }
    let (mut packed, mut digits) = (Vec::new(), Digits::new());
    // The longest are the first or the last.
    let edges = [0, len.saturating_sub(1)].into_iter().take(len);
    let longest = edges.map(|edge| digits.format(ints.get(edge)).len()).max();
    let longest = longest.unwrap_or_default().max(member.len());
    for value in ints.iter() {
        pack::push(&mut packed, digits.format(value).as_bytes());
    }
    let packed_as = PackedAs::Listpack.with(longest > limits.value);
    packed_as
        .holds(packed.len() + pack::len_of(member.len()))
        .then(|| {
            pack::push(&mut packed, member);
            Set::Packed(packed, packed_as)
        })
}

/// Takes the first string out that `is_wanted`, and tells `each` of it; answers
/// whether there is one.
fn remove_packed(
    bytes: &mut Vec<u8>,
    mut is_wanted: impl FnMut(&[u8]) -> bool,
    each: impl FnOnce(&[u8]),
) -> bool {
    let mut rest = &bytes[..];
    while let Some((string, next)) = pack::split_first(rest) {
        if is_wanted(string) {
            each(string);
            let (start, end) = (bytes.len() - rest.len(), bytes.len() - next.len());
            bytes.drain(start..end);
            return true;
        }
        rest = next;
    }
    false
}

fn remove_at(members: &mut Members, at: u32) {
    members.remove(at);
    members.gather(|_, _, _| {});
}

impl Held for SetRef<'_> {
    fn kind(&self) -> Kind {
        Set::KIND
    }

    fn encoding_name(&self) -> &'static str {
        match self {
            SetRef::Ints(_) => "intset",
            SetRef::Packed(_, PackedAs::Listpack) => "listpack",
            SetRef::Packed(_, PackedAs::Table) | SetRef::Table(_) => "hashtable",
        }
    }

    fn serialize(&self, output: &mut Writer) {
        if let SetRef::Ints(ints) = self {
            output.write_as(Type::SetIntset);
            return output.intset(ints.iter());
        }
        // No server before 7.2 reads a set in a listpack.
        output.write_as(Type::Set);
        output.len(self.len());
        self.iter()
            .for_each(|member| output.string(member.bytes(&mut Digits::new())));
    }

    fn digest(&self, digest: &mut Digest) {
        const SET: u32 = 2;
        digest.append(&SET.to_be_bytes());
        self.iter()
            .for_each(|member| digest.add(member.bytes(&mut Digits::new())));
    }
}

impl Held for Set {
    fn kind(&self) -> Kind {
        Set::KIND
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

impl Stored for Set {
    fn is_used_up(&self) -> bool {
        self.view().is_empty()
    }

    fn memory(&self) -> usize {
        match self {
            Set::Ints(bytes) | Set::Packed(bytes, _) => heap::held(bytes.capacity()),
            Set::Table(members) => members.memory() + size_of::<Members>(),
        }
    }

    fn pieces(&self) -> usize {
        match self {
            Set::Ints(bytes) | Set::Packed(bytes, _) => 1 + bytes.capacity() / PIECE,
            Set::Table(members) => members.pieces(),
        }
    }

    fn free_some(&mut self, budget: &mut usize) -> bool {
        match self {
            Set::Ints(_) | Set::Packed(..) => {
                *budget = budget.saturating_sub(self.pieces());
                true
            }
            Set::Table(members) => members.free_some(budget),
        }
    }

    fn members(&self) -> Option<&Members> {
        match self {
            Set::Table(members) => Some(members),
            _ => None,
        }
    }

    fn give_back(&mut self) {
        match self {
            Set::Ints(bytes) | Set::Packed(bytes, _) => trim(bytes),
            Set::Table(members) if members.is_wasteful() => {
                let mut anew = members.anew();
                let mut names = members.iter().map(|at| members.name(at));
                let done = names.all(|name| anew.insert(name, &[]).is_ok());
                drop(names);
                if done {
                    **members = anew;
                }
            }
            Set::Table(_) => {}
        }
    }

    fn inline(&self, _encoding: Encoding) -> Option<(&[u8], Form)> {
        match self {
            Set::Ints(bytes) if bytes.len() <= INLINE_MAX => Some((bytes, Form::Ints)),
            Set::Packed(bytes, packed_as) if bytes.len() <= INLINE_MAX => {
                Some((bytes, Form::Set(*packed_as)))
            }
            _ => None,
        }
    }
}

impl Viewed for Set {
    type View<'a> = SetRef<'a>;

    fn view(&self) -> SetRef<'_> {
        match self {
            Set::Ints(bytes) => SetRef::Ints(Ints::new(bytes)),
            Set::Packed(bytes, packed_as) => SetRef::Packed(bytes, *packed_as),
            Set::Table(members) => SetRef::Table(members),
        }
    }

    fn view_inline(bytes: &[u8], form: Form) -> Option<SetRef<'_>> {
        match form {
            Form::Ints => Some(SetRef::Ints(Ints::new(bytes))),
            Form::Set(packed_as) => Some(SetRef::Packed(bytes, packed_as)),
            _ => None,
        }
    }

    fn from_inline(bytes: &[u8], form: Form) -> Option<Set> {
        match form {
            Form::Ints => Some(Set::Ints(bytes.to_vec())),
            Form::Set(packed_as) => Some(Set::Packed(bytes.to_vec(), packed_as)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use super::*;

    const LIMITS: SetLimits = SetLimits {
        ints: 512,
        entries: 128,
        value: 64,
        seed: Seed::UNKNOWN,
    };

    fn bytes(member: Member<'_>) -> Vec<u8> {
        member.bytes(&mut Digits::new()).to_vec()
    }

    fn members(set: SetRef<'_>) -> BTreeSet<Vec<u8>> {
        let mut members = BTreeSet::new();
        set.iter().for_each(|member| {
            assert!(members.insert(bytes(member)), "{member:?} comes twice");
        });
        members
    }

    fn set<'m>(members: impl IntoIterator<Item = &'m str>) -> Set {
        let mut set = Set::default();
        for member in members {
            set.add(member.as_bytes(), LIMITS).unwrap();
        }
        set
    }

    #[test]
    fn a_scan_goes_on_in_a_set_that_has_been_built_anew() {
        let name = |n: usize| format!("{n:0150}").into_bytes();
        let mut set = Set::default();
        for n in 0..2000 {
            set.add(&name(n), LIMITS).unwrap();
        }
        let mut seen = Vec::new();
        let mut each = |member: Member<'_>| seen.push(bytes(member));
        let cursor = set.view().scan(0, 300, &mut each);
        let full = set.memory();
        for n in (0..2000).filter(|n| n % 50 != 0) {
            set.remove(&name(n));
            set.give_back();
        }
        // A fiftieth is left; once in fifty its table is of the next size.
        assert!(set.memory() < full / 10, "{} of {full}", set.memory());
        assert_eq!(set.view().scan(cursor, 2000, &mut each), 0);
        for n in (0..2000).step_by(50) {
            let times = seen.iter().filter(|member| **member == name(n));
            assert_eq!(times.count(), 1, "{n}");
        }
    }

    #[test]
    fn it_is_a_set_of_strings_in_every_form() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut seen = HashSet::new();
        for round in 0..400 {
            let limits = SetLimits {
                ints: rng.usize(..40),
                entries: rng.usize(..30),
                value: rng.usize(..12),
                seed: Seed::UNKNOWN,
            };
            let (mut set, mut model) = (Set::default(), BTreeSet::new());
            let strings = [0, 1, 5, 100][round % 4];
            for _ in 0..200 {
                let number = rng.i64(-40..40) * [1, 1, 1000, 1 << 33][rng.usize(..4)];
                let member = match rng.u32(..100) < strings {
                    true => format!("m{number}"),
                    false => number.to_string(),
                };
                let member = member.as_bytes();
                match rng.u8(..10) {
                    0..6 => {
                        let is_new = set.add(member, limits).unwrap();
                        assert_eq!(is_new, model.insert(member.to_vec()));
                    }
                    6 | 7 => assert_eq!(set.remove(member), model.remove(member)),
                    8 if !model.is_empty() => {
                        let mut popped = Vec::new();
                        set.pop(|n| rng.usize(..n), |member| popped.push(bytes(member)));
                        assert!(popped.len() == 1 && model.remove(&popped[0]));
                    }
                    _ if rng.u8(..4) == 0 && model.len() > 1 => {
                        let (mut popped, count) = (Vec::new(), rng.usize(1..model.len()));
                        let each = |member: Member<'_>| popped.push(bytes(member));
                        let rest = set.pop_some(count, limits, |n| rng.usize(..n), each);
                        assert!(rest.is_ok());
                        assert_eq!(popped.len(), count);
                        assert!(popped.iter().all(|member| model.remove(member)));
                    }
                    _ => {}
                }
                seen.insert(set.encoding_name());
                let view = set.view();
                assert_eq!(view.len(), model.len());
                assert_eq!(view.is_empty(), model.is_empty());
                assert_eq!(view.contains(member), model.contains(member));
                assert_eq!(
                    view.contains_member(Member::Text(member).told_apart()),
                    model.contains(member)
                );
                assert_eq!(set.is_used_up(), model.is_empty());
            }
            assert_eq!(members(set.view()), model);
            let inline = set.inline(Encoding::Natural);
            if let Some((bytes, form)) = inline {
                let view = Set::view_inline(bytes, form).unwrap();
                assert_eq!(members(view), model);
                let own = Set::from_inline(bytes, form).unwrap();
                assert_eq!(members(own.view()), model);
            }
        }
        assert_eq!(seen.len(), 3, "{seen:?}");
    }

    #[test]
    fn forms_change_when_they_do_in_redis() {
        let numbers = |count: i64| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        let words = |count: i64| (0..count).map(|n| format!("w{n}")).collect::<Vec<_>>();
        let of = |members: &[String]| set(members.iter().map(String::as_str));
        let long = |len| "x".repeat(len);
        let cases = [
            (of(&numbers(512)), "intset"),
            (of(&numbers(513)), "hashtable"),
            (of(&words(128)), "listpack"),
            (of(&words(129)), "hashtable"),
            (of(&[numbers(127), words(1)].concat()), "listpack"),
            (of(&[numbers(128), words(1)].concat()), "hashtable"),
            (of(&[words(1), numbers(127)].concat()), "listpack"),
            (of(&[words(1), numbers(128)].concat()), "hashtable"),
            (set([&*long(64)]), "listpack"),
            (set([&*long(65)]), "hashtable"),
            (set(["1", &long(65)]), "hashtable"),
            (set(["", "01", "1"]), "listpack"),
        ];
        for (set, name) in &cases {
            assert_eq!(set.encoding_name(), *name, "{:?}", members(set.view()));
        }
        let few = SetLimits {
            ints: 3,
            entries: 2,
            value: 4,
            seed: Seed::UNKNOWN,
        };
        let for_members = |first: &str, count| {
            let set = Set::for_members(first.as_bytes(), count, few);
            set.encoding_name()
        };
        let cases = [
            ("1", 3, "intset"),
            ("1", 4, "hashtable"),
            ("a", 2, "listpack"),
            ("a", 3, "hashtable"),
            ("too long", 1, "listpack"),
        ];
        for (first, count, name) in cases {
            assert_eq!(for_members(first, count), name, "{first} {count}");
        }
        let narrow = SetLimits {
            ints: 1,
            entries: 2,
            value: 4,
            seed: Seed::UNKNOWN,
        };
        let set = Set::for_members(b"1", 2, narrow);
        assert_eq!(set.encoding_name(), "listpack");
        for (first, second, name) in [
            ("12345", "a", "hashtable"),
            ("-123", "a", "listpack"),
            ("-1234", "a", "hashtable"),
            ("1", "abcde", "hashtable"),
        ] {
            let mut set = Set::default();
            set.add(first.as_bytes(), few).unwrap();
            set.add(second.as_bytes(), few).unwrap();
            assert_eq!(set.encoding_name(), name, "{first} {second}");
        }
    }

    #[test]
    fn a_set_that_is_there_is_made_ready_for_many() {
        let words = ["a", "b"];
        for (count, name) in [(128, "listpack"), (129, "hashtable")] {
            let mut set = set(words);
            set.make_ready(count, LIMITS).unwrap();
            assert_eq!(set.encoding_name(), name);
            assert_eq!(set.view().len(), 2);
        }
        for (count, name) in [(512, "intset"), (513, "hashtable")] {
            let mut set = set(["1", "2"]);
            set.make_ready(count, LIMITS).unwrap();
            assert_eq!(set.encoding_name(), name);
        }
    }

    #[test]
    fn only_a_set_that_is_popped_almost_empty_is_packed_again() {
        let names: Vec<_> = (0..600).map(|n| format!("m{n}")).collect();
        let pop = |count: usize| {
            let mut set = set(names.iter().map(String::as_str));
            let mut rng = fastrand::Rng::with_seed(1);
            let mut popped = 0;
            let rest = set.pop_some(count, LIMITS, |n| rng.usize(..n), |_| popped += 1);
            assert_eq!((popped, set.view().len()), (count, 600 - count));
            (set.encoding_name(), rest.unwrap().view().len())
        };
        assert_eq!(pop(499), ("hashtable", 0));
        assert_eq!(pop(500), ("listpack", 500));
        let mut set = set(names.iter().map(String::as_str));
        for name in &names[1..] {
            assert!(set.remove(name.as_bytes()));
        }
        assert_eq!(set.encoding_name(), "hashtable");
    }

    #[test]
    fn every_member_is_as_likely_as_any_other() {
        let mut rng = fastrand::Rng::with_seed(5);
        let table: Vec<_> = (0..200).map(|n| format!("m{n}")).collect();
        let table = set(table.iter().map(String::as_str));
        for set in [
            set(["1", "2", "30", "400", "5", "6"]),
            set(["a", "b", "c", "d"]),
            table,
        ] {
            let len = set.view().len();
            // In 200 members, a fifth of them is drawn by looking at all.
            for count in [1, len / 10, len / 5, len / 2] {
                let rounds = 400 * len / count.max(1);
                let mut drawn = std::collections::BTreeMap::new();
                for round in 0..rounds {
                    let mut each = |member| *drawn.entry(bytes(member)).or_insert(0) += 1;
                    let mut random = |n| rng.usize(..n);
                    match round % 2 {
                        0 => set.view().sample(count, random, each),
                        _ => (0..count).for_each(|_| each(set.view().random(&mut random).unwrap())),
                    }
                }
                if count > 0 {
                    assert_eq!(drawn.len(), len);
                    let often = |times| (300..500).contains(&times);
                    assert!(drawn.values().all(|&times| often(times)), "{drawn:?}");
                }
            }
        }
    }

    #[test]
    fn integers_are_packed_again_if_they_are_all_there_is() {
        let mut numbers = set(["x", "3", "-1", "20"]);
        numbers.pack_ints(LIMITS);
        assert_eq!(numbers.encoding_name(), "listpack");
        numbers.remove(b"x");
        numbers.pack_ints(SetLimits { ints: 2, ..LIMITS });
        assert_eq!(numbers.encoding_name(), "listpack");
        numbers.pack_ints(LIMITS);
        assert_eq!(numbers.encoding_name(), "intset");
        let numbers: Vec<_> = numbers.view().iter().collect();
        assert_eq!(numbers, [-1, 3, 20].map(Member::Int));
    }

    #[test]
    fn a_large_set_is_freed_in_steps() {
        let names: Vec<_> = (0..50_000).map(|n| format!("member:{n}")).collect();
        let mut set = set(names.iter().map(String::as_str));
        let pieces = set.pieces();
        assert!(pieces > 50, "{pieces}");
        let mut steps = 0;
        while !set.free_some(&mut 20) {
            steps += 1;
        }
        assert!(steps > 5, "{steps}");
    }
}
