//! The first line of a script, with which it says how it is to be run:
//! `#!lua flags=no-writes,allow-oom`.

use bitflags::bitflags;

use crate::error::{Error, Result};
use crate::text::words;

bitflags! {
    /// What a script or a function says of itself.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct ScriptFlags: u32 {
        /// It writes nothing, so that it may run where nothing may be written.
        const NO_WRITES = 1 << 0;
        /// It may run while memory is full.
        const ALLOW_OOM = 1 << 1;
        /// It may run while the data may be out of date.
        const ALLOW_STALE = 1 << 2;
        /// It does not run in a cluster.
        const NO_CLUSTER = 1 << 3;
        /// It uses keys of several slots of a cluster.
        const ALLOW_CROSS_SLOT_KEYS = 1 << 4;
    }
}

impl ScriptFlags {
    /// The flags by name, in the order in which Redis lists them.
    pub const NAMES: [(&str, ScriptFlags); 5] = [
        ("no-writes", ScriptFlags::NO_WRITES),
        ("allow-oom", ScriptFlags::ALLOW_OOM),
        ("allow-stale", ScriptFlags::ALLOW_STALE),
        ("no-cluster", ScriptFlags::NO_CLUSTER),
        ("allow-cross-slot-keys", ScriptFlags::ALLOW_CROSS_SLOT_KEYS),
    ];

    /// The flag of this name.
    pub fn named(name: &[u8]) -> Option<ScriptFlags> {
        let named = ScriptFlags::NAMES.iter();
        let mut named = named.filter(|(known, _)| known.as_bytes() == name);
        named.next().map(|(_, flag)| *flag)
    }
}

/// Splits the first line off a script that begins with `#!`. What is left
/// begins with the line's end, so that lines keep their numbers.
pub fn split(text: &[u8]) -> Result<(Option<&[u8]>, &[u8])> {
    if !text.starts_with(b"#!") {
        return Ok((None, text));
    }
    let end = memchr::memchr(b'\n', text).ok_or(Error::SCRIPT_SHEBANG)?;
    let (line, code) = text.split_at(end);
    Ok((Some(line), code))
}

/// The flags that a script's first line tells; `None` if it has no such line,
/// and is run as scripts were before there were flags.
pub fn flags(line: Option<&[u8]>) -> Result<Option<ScriptFlags>> {
    let Some(line) = line else {
        return Ok(None);
    };
    let words = words::split(line).ok_or(Error::SCRIPT_SHEBANG_WORDS)?;
    let mut words = words.iter();
    let engine = words.next().map_or(&b""[..], |word| word);
    if engine != b"#!lua" {
        let before = "ERR Unexpected engine in script shebang: ";
        return Err(Error::quoting(before, engine, ""));
    }
    let mut flags = ScriptFlags::default();
    for word in words {
        let Some(names) = word.strip_prefix(b"flags=") else {
            let before = "ERR Unknown lua shebang option: ";
            return Err(Error::quoting(before, word, ""));
        };
        for name in names.split(|&byte| byte == b',') {
            if names.is_empty() {
                continue;
            }
            let flag = ScriptFlags::named(name);
            let before = "ERR Unexpected flag in script shebang: ";
            flags |= flag.ok_or_else(|| Error::quoting(before, name, ""))?;
        }
    }
    Ok(Some(flags))
}
