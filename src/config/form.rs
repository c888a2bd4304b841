//! What Redis takes for a setting that has no field here, because nothing depends on it.

use super::value::{
    Refusal, format_yes_no, only, parse_bytes, parse_choice, parse_integer, parse_yes_no,
};
use crate::text::number::{format_memory, parse_memory};
use crate::text::words::quote;

/// The syntax of a value.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// `yes` or `no`.
    Flag,
    /// A decimal integer from the first to the second.
    Integer(i64, i64),
    /// A number of bytes from the first to the second, with an optional unit.
    Memory(u64, u64),
    /// One of these names.
    Choice(&'static [&'static str]),
    /// Any text.
    Text,
    /// One word with a syntax of its own.
    Word(fn(&[u8]) -> Parsed),
    /// Any number of words, with a syntax of their own.
    Words(fn(&[&[u8]]) -> Parsed),
}

/// What CONFIG GET prints after a value has been set, or why the value is not taken.
pub type Parsed = Result<Vec<u8>, Refusal>;

impl Form {
    pub(super) fn parse(&self, words: &[&[u8]]) -> Parsed {
        Ok(match *self {
            Form::Flag => format_yes_no(parse_yes_no(only(words)?)?).into(),
            Form::Integer(min, max) => {
                let number = parse_integer(only(words)?, min, max)?;
                number.to_string().into_bytes()
            }
            Form::Memory(min, max) => {
                let bytes = parse_bytes(only(words)?, min, max)?;
                bytes.to_string().into_bytes()
            }
            Form::Choice(names) => names[parse_choice(names, only(words)?)?].into(),
            Form::Text => only(words)?.to_vec(),
            Form::Word(parse) => parse(only(words)?)?,
            Form::Words(parse) => parse(words)?,
        })
    }

    /// How CONFIG REWRITE writes what CONFIG GET prints.
    pub(super) fn written(&self, value: &[u8]) -> Vec<u8> {
        match self {
            Form::Memory(..) => {
                let bytes = parse_memory(value).expect("it was printed from a number");
                format_memory(bytes).into_bytes()
            }
            Form::Text | Form::Word(_) => quote(value),
            _ => value.to_vec(),
        }
    }
}
