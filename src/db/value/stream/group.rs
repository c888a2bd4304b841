//! The consumer groups of a stream.

use super::entries::Entries;
use crate::error::{Error, Result};
use crate::rdb::{Reader, Type, Writer};

/// All groups of a stream.
#[derive(Clone, Default, Debug)]
pub struct Groups {}

impl Groups {
    /// Writes them in the format of DUMP, as Redis 7.0 does.
    pub fn write(&self, output: &mut Writer, _entries: &Entries) {
        output.len(0);
    }

    /// Reads them as they are written there.
    pub fn read(input: &mut Reader<'_>, _written: Type, _entries: &Entries) -> Result<Groups> {
        match input.len()? {
            0 => Ok(Groups::default()),
            _ => Err(Error::DATA_FORMAT),
        }
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        0
    }

    /// In how many pieces they are held.
    pub fn pieces(&self) -> usize {
        0
    }

    /// Frees some pieces, as many as `budget` has left; answers whether these
    /// were all.
    pub fn free_some(&mut self, _budget: &mut usize) -> bool {
        true
    }
}
