//! The text forms of single values, and why one is not taken.
//!
//! Each parser takes what Redis takes and nothing else, and refuses in Redis's words.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use crate::text::number::{parse_i64, parse_memory};

/// Why a value was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is wrong, for Redis as well.
    Invalid(String),
    /// Redis takes it, but respd cannot do what it asks for. At start this is a warning, and
    /// the setting stays as it is; CONFIG SET fails, since its caller would rely on it.
    Unavailable(String),
}

impl Refusal {
    /// The reason, in Redis's words if it is Redis's reason.
    pub fn reason(&self) -> &str {
        match self {
            Refusal::Invalid(reason) | Refusal::Unavailable(reason) => reason,
        }
    }
}

pub(super) fn invalid(reason: &str) -> Refusal {
    Refusal::Invalid(reason.to_owned())
}

fn within<T: PartialOrd + Display>(number: T, min: T, max: T) -> Result<T, Refusal> {
    if (&min..=&max).contains(&&number) {
        return Ok(number);
    }
    Err(out_of_bounds(min, max))
}

fn out_of_bounds(min: impl Display, max: impl Display) -> Refusal {
    Refusal::Invalid(format!(
        "argument must be between {min} and {max} inclusive"
    ))
}

/// The value of a setting that takes one word.
pub(super) fn only<'a>(words: &[&'a [u8]]) -> Result<&'a [u8], Refusal> {
    match words {
        [word] => Ok(word),
        _ => Err(invalid("wrong number of arguments")),
    }
}

pub(super) fn parse_yes_no(word: &[u8]) -> Result<bool, Refusal> {
    if word.eq_ignore_ascii_case(b"yes") {
        Ok(true)
    } else if word.eq_ignore_ascii_case(b"no") {
        Ok(false)
    } else {
        Err(invalid("argument must be 'yes' or 'no'"))
    }
}

pub(super) fn format_yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

pub(super) fn parse_integer(word: &[u8], min: i64, max: i64) -> Result<i64, Refusal> {
    let number = parse_i64(word);
    let number = number.ok_or_else(|| invalid("argument couldn't be parsed into an integer"))?;
    within(number, min, max)
}

/// A decimal integer as C's `strtoll` reads a whole word, which is laxer than Redis is elsewhere:
/// no digits are zero, and a plus sign or leading zeros do no harm.
pub(super) fn parse_lax_integer(word: &[u8]) -> Option<i64> {
    match str::from_utf8(word).ok()? {
        "" => Some(0),
        digits => digits.parse().ok(),
    }
}

/// An octal integer, such as a file mode. Redis reads the empty string as zero.
pub(super) fn parse_octal(word: &[u8], max: u32) -> Result<u32, Refusal> {
    let digits = if word.is_empty() { b"0" } else { word };
    let number = str::from_utf8(digits).ok();
    let number = number.and_then(|digits| i64::from_str_radix(digits, 8).ok());
    let number = number.ok_or_else(|| invalid("argument couldn't be parsed as an octal number"))?;
    let number = u32::try_from(number).ok().filter(|number| *number <= max);
    number.ok_or_else(|| out_of_bounds("0", format!("{max:o}")))
}

pub(super) fn parse_bytes(word: &[u8], min: u64, max: u64) -> Result<u64, Refusal> {
    let bytes = parse_memory(word).ok_or_else(|| invalid("argument must be a memory value"))?;
    within(bytes, min, max)
}

/// The index of the name that `word` spells.
pub(super) fn parse_choice(names: &[&str], word: &[u8]) -> Result<usize, Refusal> {
    let found = names
        .iter()
        .position(|name| name.as_bytes().eq_ignore_ascii_case(word));
    found.ok_or_else(|| {
        Refusal::Invalid(format!(
            "argument(s) must be one of the following: {}",
            names.join(", ")
        ))
    })
}

/// A percentile in the shortest of Redis's spellings: at most six decimals, no trailing zeros.
pub(super) fn format_percentile(percentile: f64) -> String {
    format!("{percentile:.6}")
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
}

/// Paths are bytes on Unix; elsewhere what is not UTF-8 cannot name a file anyway.
#[cfg(unix)]
pub(super) fn path_from_bytes(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

/// Paths are bytes on Unix; elsewhere what is not UTF-8 cannot name a file anyway.
#[cfg(not(unix))]
pub(super) fn path_from_bytes(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

pub(super) fn path_bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_encoded_bytes().to_vec()
}

/// The system's words for an error, as C's `strerror` has them.
pub(crate) fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
