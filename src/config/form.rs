//! What Redis takes for a setting that has no field here, because nothing depends on it.

use super::value::{Refusal, format_yes_no, only, parse_bytes, parse_choice, parse_yes_no};

/// The syntax of a value.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// `yes` or `no`.
    Flag,
    /// One of these names.
    Choice(&'static [&'static str]),
    /// A number of bytes from the first to the second, with an optional unit.
    Memory(u64, u64),
    /// Any number of words, with a syntax of their own.
    Words(Parse),
}

/// Answers what CONFIG GET prints after these words have been set, or why they are not taken.
pub type Parse = fn(&[&[u8]]) -> Result<Vec<u8>, Refusal>;

impl Form {
    /// As [`Parse`].
    pub(super) fn parse(&self, words: &[&[u8]]) -> Result<Vec<u8>, Refusal> {
        Ok(match *self {
            Form::Flag => format_yes_no(parse_yes_no(only(words)?)?).into(),
            Form::Choice(names) => names[parse_choice(names, only(words)?)?].into(),
            Form::Memory(min, max) => {
                let bytes = parse_bytes(only(words)?, min, max)?;
                bytes.to_string().into_bytes()
            }
            Form::Words(parse) => parse(words)?,
        })
    }
}
