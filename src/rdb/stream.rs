//! The entries of a stream: nodes, each with the id that those of its entries
//! are told from, and a listpack.
//!
//! In it stand how many entries there are and how many are marked as removed,
//! the fields of the first one behind their number, and a zero. An entry is
//! its flags, how far its id is from the node's in milliseconds and in number,
//! the values, or, if its fields are others, how many these are, fields and
//! values; and last, how many elements all that is.

use std::borrow::Cow;

use super::element::Element;
use super::listpack::{self, Elements, Listpack};
use super::read::Reader;
use super::write::Writer;
use super::{Corrupt, Result};

/// The flags of an entry.
const REMOVED: i64 = 1;
const SAME_FIELDS: i64 = 2;

/// A node that is being read.
#[derive(Debug)]
pub struct NodeReader<'a> {
    /// How many entries it says to have, and how many of them are removed.
    pub live: u64,
    /// How many it says to be marked as removed.
    pub removed: u64,
    /// The fields of the first one.
    pub fields: Vec<Cow<'a, [u8]>>,
    elements: Elements<'a>,
}

/// An entry of a node.
#[derive(Debug)]
pub struct NodeEntry<'a> {
    /// How far its id is from the node's: milliseconds and number.
    pub distance: (i64, i64),
    /// Whether it is only marked as removed.
    pub is_removed: bool,
    /// Whether its fields are said to be those of the first entry.
    pub shares_fields: bool,
    /// Its fields and their values.
    pub fields: Vec<Field<'a>>,
}

/// A field and its value.
pub type Field<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

impl<'a> NodeReader<'a> {
    /// Reads the listpack of a node.
    pub fn new(listpack: &'a [u8]) -> Result<NodeReader<'a>> {
        let mut elements = listpack::elements(listpack)?;
        let (live, removed) = (count(&mut elements)?, count(&mut elements)?);
        let mut fields = Vec::new();
        for _ in 0..count(&mut elements)? {
            fields.push(string(&mut elements)?);
        }
        match integer(&mut elements)? {
            0 => Ok(NodeReader {
                live,
                removed,
                fields,
                elements,
            }),
            _ => Err(Corrupt),
        }
    }

    /// The next entry, if there is one.
    pub fn entry(&mut self) -> Result<Option<NodeEntry<'a>>> {
        let elements = &mut self.elements;
        let Some(flags) = elements.next() else {
            return Ok(None);
        };
        let Element::Integer(flags) = flags? else {
            return Err(Corrupt);
        };
        let distance = (integer(elements)?, integer(elements)?);
        let mut fields = Vec::new();
        let shares_fields = flags & SAME_FIELDS != 0;
        let told = if shares_fields {
            for field in &self.fields {
                fields.push((field.clone(), string(elements)?));
            }
            3 + fields.len()
        } else {
            for _ in 0..count(elements)? {
                fields.push((string(elements)?, string(elements)?));
            }
            4 + 2 * fields.len()
        };
        if count(elements)? != told as u64 {
            return Err(Corrupt);
        }
        Ok(Some(NodeEntry {
            distance,
            is_removed: flags & REMOVED != 0,
            shares_fields,
            fields,
        }))
    }
}

/// The next element, which is an integer.
fn integer(elements: &mut Elements<'_>) -> Result<i64> {
    match elements.next().ok_or(Corrupt)?? {
        Element::Integer(number) => Ok(number),
        Element::String(_) => Err(Corrupt),
    }
}

/// The next element, which is a count. Nothing says that there is as much.
fn count(elements: &mut Elements<'_>) -> Result<u64> {
    u64::try_from(integer(elements)?).map_err(|_| Corrupt)
}

/// The next element as a string.
fn string<'a>(elements: &mut Elements<'a>) -> Result<Cow<'a, [u8]>> {
    Ok(match elements.next().ok_or(Corrupt)?? {
        Element::String(string) => Cow::Borrowed(string),
        Element::Integer(number) => Cow::Owned(number.to_string().into_bytes()),
    })
}

/// A node that is being written.
#[derive(Debug)]
pub struct NodeWriter(Listpack);

impl NodeWriter {
    /// Begins a node that has so many entries, and so many of which only the id
    /// is left; the first has these fields.
    pub fn new<'f>(
        live: usize,
        removed: usize,
        fields: impl ExactSizeIterator<Item = &'f [u8]>,
    ) -> NodeWriter {
        let mut elements = Listpack::default();
        for number in [live, removed, fields.len()] {
            elements.push_integer(number as i64);
        }
        fields.for_each(|field| elements.push(field));
        elements.push_integer(0);
        NodeWriter(elements)
    }

    /// Adds an entry; `is_same` if it has the fields of the first.
    pub fn entry<'f>(
        &mut self,
        distance: (i64, i64),
        fields: impl ExactSizeIterator<Item = (&'f [u8], &'f [u8])>,
        is_same: bool,
    ) {
        let flags = if is_same { SAME_FIELDS } else { 0 };
        self.any_entry(flags, distance, fields);
    }

    /// Adds what is left of a removed one.
    pub fn removed(&mut self, distance: (i64, i64)) {
        self.any_entry(REMOVED, distance, std::iter::empty());
    }

    fn any_entry<'f>(
        &mut self,
        flags: i64,
        (ms, seq): (i64, i64),
        fields: impl ExactSizeIterator<Item = (&'f [u8], &'f [u8])>,
    ) {
        let elements = &mut self.0;
        for number in [flags, ms, seq] {
            elements.push_integer(number);
        }
        let mut told = 3 + fields.len();
        let is_same = flags & SAME_FIELDS != 0;
        if !is_same {
            elements.push_integer(fields.len() as i64);
            told += 1 + fields.len();
        }
        for (field, value) in fields {
            if !is_same {
                elements.push(field);
            }
            elements.push(value);
        }
        elements.push_integer(told as i64);
    }

    /// The listpack.
    pub fn finish(self) -> Vec<u8> {
        self.0.finish()
    }
}

impl Reader<'_> {
    /// The id of an entry in sixteen bytes: milliseconds and number.
    pub fn entry_id(&mut self) -> Result<(u64, u64)> {
        Ok((self.big_endian()?, self.big_endian()?))
    }
}

impl Writer {
    /// The id of an entry in sixteen bytes: milliseconds and number.
    pub fn entry_id(&mut self, (ms, seq): (u64, u64)) {
        self.raw(&ms.to_be_bytes());
        self.raw(&seq.to_be_bytes());
    }
}
