//! Fields of a hash with their values: side by side while they are few and
//! short, a table from then on.

use crate::db::memory::members::Members;
use crate::db::memory::pack::{self, PackLimits};
use crate::db::memory::slots::Full;
use crate::db::value::form::{PackedAs, trim};
use crate::seed::Seed;

/// Fields, each once, with a value of any length.
#[derive(Clone, Debug)]
pub enum Fields {
    /// Fields and values in turn, in the order in which they came.
    Packed(Vec<u8>, PackedAs),
    /// Too many for that, or too long.
    Table(Box<Members>),
}

/// The same, wherever they stand.
#[derive(Clone, Copy, Debug)]
pub enum FieldsRef<'a> {
    /// Fields and values in turn.
    Packed(&'a [u8], PackedAs),
    /// A table of them.
    Table(&'a Members),
}

impl Default for Fields {
    fn default() -> Fields {
        Fields::Packed(Vec::new(), PackedAs::Listpack)
    }
}

/// Fields and values that stand in turn.
#[derive(Clone, Copy)]
struct Pairs<'a>(&'a [u8]);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (field, behind) = pack::split_first(self.0)?;
        let (value, behind) = pack::split_first(behind)?;
        self.0 = behind;
        Some((field, value))
    }
}

/// Where a field and its value stand among those that are packed.
struct Place {
    /// Where the field begins, with its length.
    start: usize,
    /// How long the value is.
    value: usize,
    /// Where the next field begins.
    end: usize,
}

impl Place {
    /// The place of a field, or how many other fields there are.
    #[inline]
    fn of(field: &[u8], bytes: &[u8]) -> Result<Place, usize> {
        let (mut pairs, mut passed) = (Pairs(bytes), 0);
        loop {
            let start = bytes.len() - pairs.0.len();
            match pairs.next() {
                Some((other, value)) if other == field => {
                    return Ok(Place {
                        start,
                        value: value.len(),
                        end: bytes.len() - pairs.0.len(),
                    });
                }
                Some(_) => passed += 1,
                None => return Err(passed),
            }
        }
    }
}

impl Fields {
    /// What readers see of it.
    #[inline]
    pub fn view(&self) -> FieldsRef<'_> {
        match self {
            Fields::Packed(bytes, packed_as) => FieldsRef::Packed(bytes, *packed_as),
            Fields::Table(members) => FieldsRef::Table(members),
        }
    }

    /// Gives a field a value; answers whether it is new. If there is no room,
    /// nothing has changed.
    pub fn set(&mut self, field: &[u8], value: &[u8], limits: PackLimits) -> Result<bool, Full> {
        self.unpack_for(1, [field, value].into_iter(), limits)?;
        match self {
            Fields::Packed(bytes, _) => {
                let found = Place::of(field, bytes);
                let count = match &found {
                    Ok(place) => {
                        replace(bytes, place, value);
                        // Pairs take two bytes at least.
                        match bytes.len() / 2 > limits.entries {
                            true => Pairs(bytes).count(),
                            false => 0,
                        }
                    }
                    Err(others) => {
                        push(bytes, field, value);
                        others + 1
                    }
                };
                let is_new = found.is_err();
                if count > limits.entries {
                    // Without room for a table it just stays packed.
                    _ = self.unpack(limits.seed);
                }
                Ok(is_new)
            }
            Fields::Table(members) => match members.find(field) {
                Some(at) => {
                    members.set_rest(at, value)?;
                    members.gather(|_, _, _| {});
                    Ok(false)
                }
                None => members.insert(field, value).map(|_| true),
            },
        }
    }

    /// Becomes what it is to be when so many fields are added, and these
    /// strings. Redis decides that for a whole request, whether or not the
    /// fields are there already.
    pub fn unpack_for<'s>(
        &mut self,
        fields: usize,
        strings: impl Iterator<Item = &'s [u8]> + Clone,
        limits: PackLimits,
    ) -> Result<(), Full> {
        let Fields::Packed(bytes, packed_as) = self else {
            return Ok(());
        };
        let lens = strings.map(<[u8]>::len);
        let is_too_long = lens.clone().any(|len| len > limits.value);
        let becomes = packed_as.with(is_too_long);
        let added: usize = lens.map(pack::len_of).sum();
        if fields <= limits.entries && becomes.holds(bytes.len() + added) {
            *packed_as = becomes;
            return Ok(());
        }
        self.unpack(limits.seed)
    }

    /// Becomes a table, if it is none. If there is no room, nothing has changed.
    fn unpack(&mut self, seed: Seed) -> Result<(), Full> {
        if let Fields::Packed(bytes, _) = self {
            let mut members = Members::new(seed);
            for (field, value) in Pairs(bytes) {
                members.insert(field, value)?;
            }
            *self = Fields::Table(members.into());
        }
        Ok(())
    }

    /// Puts a field that is packed behind `index()` others, or at the end.
    pub fn move_to(&mut self, field: &[u8], index: impl FnOnce() -> usize) {
        if let Fields::Packed(bytes, _) = self
            && let Ok(place) = Place::of(field, bytes)
        {
            let pair: Vec<u8> = bytes.drain(place.start..place.end).collect();
            let mut behind = Pairs(bytes);
            behind.by_ref().take(index()).for_each(drop);
            let at = bytes.len() - behind.0.len();
            bytes.splice(at..at, pair);
        }
    }

    /// Removes a field; false if it was not there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match self {
            Fields::Packed(bytes, _) => {
                let found = Place::of(field, bytes);
                let place = found.as_ref().ok();
                place.map(|place| bytes.drain(place.start..place.end));
                found.is_ok()
            }
            Fields::Table(members) => {
                let found = members.find(field);
                if let Some(at) = found {
                    members.remove(at);
                    members.gather(|_, _, _| {});
                }
                found.is_some()
            }
        }
    }

    /// Gives back what it has grown by and does not need any more.
    pub fn give_back(&mut self) {
        match self {
            Fields::Packed(bytes, _) => trim(bytes),
            Fields::Table(members) if members.is_wasteful() => {
                let mut anew = members.anew();
                let mut records = members.iter().map(|at| members.record(at));
                let done = records.all(|(field, value)| anew.insert(field, value).is_ok());
                drop(records);
                if done {
                    **members = anew;
                }
            }
            Fields::Table(_) => {}
        }
    }
}

fn push(bytes: &mut Vec<u8>, field: &[u8], value: &[u8]) {
    pack::push(bytes, field);
    pack::push(bytes, value);
}

fn replace(bytes: &mut Vec<u8>, place: &Place, value: &[u8]) {
    if place.value == value.len() {
        bytes[place.end - value.len()..place.end].copy_from_slice(value);
        return;
    }
    let mut packed = Vec::new();
    pack::push(&mut packed, value);
    let old = place.end - pack::len_of(place.value)..place.end;
    bytes.splice(old, packed);
}

impl<'a> FieldsRef<'a> {
    /// How many fields there are.
    pub fn len(self) -> usize {
        match self {
            FieldsRef::Packed(bytes, _) => Pairs(bytes).count(),
            FieldsRef::Table(members) => members.len(),
        }
    }

    /// The value of a field.
    #[inline]
    pub fn get(self, field: &[u8]) -> Option<&'a [u8]> {
        match self {
            FieldsRef::Packed(bytes, _) => {
                let mut pairs = Pairs(bytes);
                pairs
                    .find(|(other, _)| *other == field)
                    .map(|(_, value)| value)
            }
            FieldsRef::Table(members) => Some(members.rest(members.find(field)?)),
        }
    }

    /// All fields, each with its value.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let (packed, table) = match self {
            FieldsRef::Packed(bytes, _) => (bytes, None),
            FieldsRef::Table(members) => (&[][..], Some(members)),
        };
        let in_table = table
            .into_iter()
            .flat_map(|members| members.iter().map(|at| members.record(at)));
        Pairs(packed).chain(in_table)
    }

    /// Fields from `cursor` on, each with its value: at least `count` if there
    /// are so many. Answers the cursor to go on with, 0 at the end. What is
    /// packed is told of at once.
    pub fn scan(self, cursor: u64, count: usize, mut each: impl FnMut(&'a [u8], &'a [u8])) -> u64 {
        match self {
            FieldsRef::Packed(bytes, _) => {
                Pairs(bytes).for_each(|(field, value)| each(field, value));
                0
            }
            FieldsRef::Table(members) => members.scan(cursor, count, |at| {
                let (field, value) = members.record(at);
                each(field, value);
            }),
        }
    }
}
