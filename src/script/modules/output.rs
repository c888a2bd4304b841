//! What a function for scripts writes, with a bound: tables that share parts
//! could make it as long as they like.

use mlua::{Lua, LuaString};

use crate::script::native::{Raise, Result};

/// Bytes that a function is about to answer.
pub struct Output {
    bytes: Vec<u8>,
    len_max: usize,
}

impl Output {
    /// None yet, and never more than so many.
    pub fn new(len_max: usize) -> Output {
        let bytes = Vec::new();
        Output { bytes, len_max }
    }

    /// Adds bytes, or raises what Lua raises where memory has run out.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() > self.len_max - self.bytes.len() {
            return Err(Raise::out_of_memory());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Adds what is written, which is short.
    pub fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        write(&mut self.bytes);
        if self.bytes.len() > self.len_max {
            return Err(Raise::out_of_memory());
        }
        Ok(())
    }

    /// As a value of Lua's.
    pub fn into_string(self, lua: &Lua) -> Result<LuaString> {
        Ok(lua.create_string(self.bytes)?)
    }
}
