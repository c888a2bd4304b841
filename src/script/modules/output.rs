//! What a function for scripts writes, with a bound: tables that share parts
//! could make it as long as they like.

use mlua::{Lua, LuaString};

use super::work::{VALUE, Work};
use crate::script::native::{Raise, Result};
use crate::script::running;

/// Bytes that a function is about to answer.
pub struct Output {
    bytes: Vec<u8>,
    len_max: usize,
    /// What is done to write them.
    pub work: Work,
}

/// What a value of Redis's holds at most.
const LEN_MAX: usize = 512 << 20;
/// So many bytes are copied at once.
const PIECE: usize = 1024 * 1024;

impl Output {
    /// None yet, and never more than the script that runs may have of memory.
    pub fn new() -> Output {
        Output::with_bound(running::len_max())
    }

    /// None yet, and never more than so many.
    fn with_bound(len_max: usize) -> Output {
        Output {
            bytes: Vec::new(),
            len_max: len_max.min(LEN_MAX),
            work: Work::default(),
        }
    }

    /// Adds bytes, or raises what Lua raises where memory has run out.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.reserve(bytes.len())?;
        self.work.add(VALUE)?;
        for piece in bytes.chunks(PIECE) {
            self.bytes.extend_from_slice(piece);
            self.work.add(piece.len())?;
        }
        Ok(())
    }

    /// Adds bytes so many times.
    pub fn push_repeated(&mut self, bytes: &[u8], count: usize) -> Result<()> {
        let size = bytes.len().saturating_mul(count);
        self.reserve(size)?;
        if size == 0 {
            return Ok(());
        }
        let start = self.bytes.len();
        let end = start + size;
        self.push(bytes)?;
        // Twice as much each time, so that short texts take no longer.
        while self.bytes.len() < end {
            let len = self.bytes.len();
            // A piece ends where the text does, so that the next one goes on.
            let piece = (len - start).min(PIECE.max(bytes.len()) / bytes.len() * bytes.len());
            let piece = piece.min(end - len);
            self.bytes.extend_from_within(start..start + piece);
            self.work.add(piece)?;
        }
        Ok(())
    }

    /// Makes room for so many more: twice as much as there was, but never more
    /// than the bound.
    fn reserve(&mut self, count: usize) -> Result<()> {
        let len = self.bytes.len();
        if count > self.len_max - len {
            return Err(Raise::out_of_memory());
        }
        if count > self.bytes.capacity() - len {
            let wanted = (len + count).max(len.saturating_mul(2)).min(self.len_max);
            let reserved = self.bytes.try_reserve_exact(wanted - len);
            reserved.map_err(|_| Raise::out_of_memory())?;
        }
        Ok(())
    }

    /// As a value of Lua's.
    pub fn into_string(self, lua: &Lua) -> Result<LuaString> {
        Ok(lua.create_string(self.bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_never_longer_than_its_bound() {
        let mut output = Output::with_bound(1000);
        for _ in 0..10 {
            output.push(&[b'x'; 90]).unwrap();
            assert!(output.bytes.capacity() <= 1000);
        }
        assert!(output.push(&[b'x'; 101]).is_err());
        output.push(&[b'x'; 100]).unwrap();
        assert!(output.push(b"x").is_err());
        assert_eq!(output.bytes.capacity(), 1000);
    }

    #[test]
    fn what_is_repeated_is_whole() {
        for text in ["x", "abc", "1234567"] {
            let count = 3 * PIECE / text.len() + 1;
            let mut output = Output::with_bound(usize::MAX);
            output.push(b"before").unwrap();
            output.push_repeated(text.as_bytes(), count).unwrap();
            let expected = format!("before{}", text.repeat(count));
            assert!(output.bytes == expected.as_bytes(), "{text}");
        }
    }
}
