//! JSON from a value.

use std::ffi::c_int;

use super::settings::{Invalid, Settings};
use crate::script::running::Pace;
use crate::script::stack::{Buffer, Index, Kind, Raised, Stack};
use crate::text::c_number;

/// Pushes the JSON of the value on top.
pub fn encode(stack: &mut Stack<'_>, settings: &Settings) -> Result<(), Raised> {
    let value = stack.top();
    let mut encoder = Encoder {
        settings,
        output: Buffer::new(stack),
        levels: Levels(Buffer::new(stack)),
        level: Level::Outside,
        depth: 0,
        pace: Pace::default(),
    };
    stack.push_copy(value);
    encoder.value(stack)?;
    while encoder.next_value(stack)? {
        encoder.value(stack)?;
    }
    stack.push_bytes(encoder.output.bytes());
    Ok(())
}

/// Tables nest as deep as the script has made them, so it is this that keeps
/// them and not the thread's stack. On the interpreter's stack is each table
/// that is being written, and above each that is written as an object the key
/// that came last.
struct Encoder<'a> {
    settings: &'a Settings,
    output: Buffer,
    /// The innermost table, and those around it.
    level: Level,
    levels: Levels,
    /// How many tables are being written.
    depth: i32,
    pace: Pace,
}

/// A table that is being written.
#[derive(Clone, Copy)]
enum Level {
    /// None.
    Outside,
    /// As an array of so many elements, of which so many have been written.
    Array { len: i32, written: i32 },
    /// As an object, of which something has been written.
    Object { is_begun: bool },
}

impl Encoder<'_> {
    /// Writes the value on top and pops it; or writes the start of it, and
    /// leaves it there, if it is a table.
    fn value(&mut self, stack: &mut Stack<'_>) -> Result<(), Raised> {
        let value = stack.top();
        match stack.kind(value) {
            Kind::String => self.string(stack, value)?,
            Kind::Number(number) => self.number(stack, number)?,
            Kind::Boolean(true) => self.output.push(stack, b"true")?,
            Kind::Boolean(false) => self.output.push(stack, b"false")?,
            Kind::Nil | Kind::Null => self.output.push(stack, b"null")?,
            Kind::Table => return self.table(stack),
            Kind::Other => return Err(refused(stack, value, "type not supported")),
        }
        stack.pop(1);
        Ok(())
    }

    fn table(&mut self, stack: &mut Stack<'_>) -> Result<(), Raised> {
        let table = stack.top();
        self.depth += 1;
        if self.depth > self.settings.encode_max_depth || !stack.room(3) {
            let depth = self.depth;
            return Err(stack.raise(format_args!(
                "Cannot serialise, excessive nesting ({depth})"
            )));
        }
        self.pace.add(stack, Pace::TABLE)?;
        self.levels.push(stack, self.level)?;
        match self.array_len(stack, table)? {
            Some(len) => {
                self.level = Level::Array { len, written: 0 };
                self.output.push(stack, b"[")
            }
            None => {
                self.level = Level::Object { is_begun: false };
                stack.push_nil();
                self.output.push(stack, b"{")
            }
        }
    }

    /// How long a table is as an array, if it is to be written as one.
    fn array_len(&mut self, stack: &mut Stack<'_>, table: Index) -> Result<Option<i32>, Raised> {
        // These are C ints there, and wrap as they do.
        let mut max: i32 = 0;
        let mut count: i32 = 0;
        stack.push_nil();
        while stack.next(table) {
            stack.pop(1);
            let Some(index) = index(stack.kind(stack.top())) else {
                // One that is none makes the table an object, whichever comes first.
                stack.pop(1);
                return Ok(None);
            };
            max = max.max(index);
            count = count.wrapping_add(1);
            self.pace.add(stack, 1)?;
        }
        if count == 0 {
            return Ok(None);
        }
        let settings = self.settings;
        let is_sparse = settings.sparse_ratio > 0
            && max > count.wrapping_mul(settings.sparse_ratio)
            && max > settings.sparse_safe;
        if !is_sparse {
            return Ok(Some(max));
        }
        if settings.is_sparse_converted {
            return Ok(None);
        }
        Err(stack.raise(format_args!(
            "Cannot serialise table: excessively sparse array"
        )))
    }

    /// Pushes the value that comes next, if there is one. What is before it
    /// has been written then.
    fn next_value(&mut self, stack: &mut Stack<'_>) -> Result<bool, Raised> {
        self.pace.add(stack, 1)?;
        loop {
            match self.level {
                Level::Outside => return Ok(false),
                Level::Array { len, written } if written < len => {
                    if written > 0 {
                        self.output.push(stack, b",")?;
                    }
                    let written = written + 1;
                    self.level = Level::Array { len, written };
                    stack.get_element(stack.top(), written);
                    return Ok(true);
                }
                Level::Array { .. } => self.output.push(stack, b"]")?,
                Level::Object { is_begun } => {
                    let table = stack.top() - 1;
                    if stack.next(table) {
                        if is_begun {
                            self.output.push(stack, b",")?;
                        }
                        self.level = Level::Object { is_begun: true };
                        self.key(stack, stack.top() - 1)?;
                        return Ok(true);
                    }
                    self.output.push(stack, b"}")?;
                }
            }
            self.level = self.levels.pop();
            self.depth -= 1;
            stack.pop(1);
        }
    }

    fn key(&mut self, stack: &mut Stack<'_>, key: Index) -> Result<(), Raised> {
        match stack.kind(key) {
            Kind::String => {
                self.string(stack, key)?;
                self.output.push(stack, b":")
            }
            Kind::Number(number) => {
                self.output.push(stack, b"\"")?;
                self.number(stack, number)?;
                self.output.push(stack, b"\":")
            }
            _ => Err(refused(stack, key, "table key must be a number or string")),
        }
    }

    fn number(&mut self, stack: &mut Stack<'_>, number: f64) -> Result<(), Raised> {
        if !number.is_finite() {
            match self.settings.encode_invalid_numbers {
                Invalid::Refused => {
                    return Err(stack.raise(format_args!(
                        "Cannot serialise number: must not be NaN or Inf"
                    )));
                }
                Invalid::Null => return self.output.push(stack, b"null"),
                Invalid::Written if number.is_nan() => return self.output.push(stack, b"nan"),
                Invalid::Written => {}
            }
        }
        self.output.reserve(stack, c_number::GENERAL_LEN_MAX)?;
        let digits = self.settings.number_precision as usize;
        let written = c_number::write_general(&mut self.output, number, digits);
        debug_assert!(written.is_ok(), "room was made");
        Ok(())
    }

    fn string(&mut self, stack: &mut Stack<'_>, index: Index) -> Result<(), Raised> {
        self.output
            .push_string(stack, index, room_for, write_string)
    }
}

/// The tables around the one that is being written, the outermost first.
struct Levels(Buffer);

impl Levels {
    const LEN: usize = 8;

    fn push(&mut self, stack: &mut Stack<'_>, level: Level) -> Result<(), Raised> {
        self.0.push(stack, &level.to_bytes())
    }

    fn pop(&mut self) -> Level {
        let last = self.0.bytes().last_chunk();
        let level = last.map_or(Level::Outside, Level::from_bytes);
        self.0.truncate(self.0.len().saturating_sub(Levels::LEN));
        level
    }
}

impl Level {
    /// An array's length, or a number less than 0, and what has been written.
    fn to_bytes(self) -> [u8; Levels::LEN] {
        let (len, written) = match self {
            Level::Array { len, written } => (len, written),
            Level::Object { is_begun } => (-1, is_begun.into()),
            Level::Outside => (-2, 0),
        };
        let [a, b, c, d] = len.to_ne_bytes();
        let [e, f, g, h] = written.to_ne_bytes();
        [a, b, c, d, e, f, g, h]
    }

    fn from_bytes(&[a, b, c, d, e, f, g, h]: &[u8; Levels::LEN]) -> Level {
        let written = i32::from_ne_bytes([e, f, g, h]);
        match i32::from_ne_bytes([a, b, c, d]) {
            -1 => Level::Object {
                is_begun: written != 0,
            },
            -2 => Level::Outside,
            len => Level::Array { len, written },
        }
    }
}

/// What follows the backslash where a byte is escaped.
const ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    let mut control = 0;
    while control < 32 {
        escapes[control] = b'u';
        control += 1;
    }
    escapes[8] = b'b';
    escapes[9] = b't';
    escapes[10] = b'n';
    escapes[12] = b'f';
    escapes[13] = b'r';
    escapes[b'"' as usize] = b'"';
    escapes[b'/' as usize] = b'/';
    escapes[b'\\' as usize] = b'\\';
    escapes[127] = b'u';
    escapes
};

/// Room for whatever is in a short string, and for what is in a long one.
fn room_for(text: &[u8]) -> usize {
    const SHORT: usize = 64;
    let len = |byte: &u8| match ESCAPES[usize::from(*byte)] {
        0 => 1,
        b'u' => 6,
        _ => 2,
    };
    2 + match text.len() {
        short @ ..=SHORT => 6 * short,
        _ => text.iter().map(len).sum(),
    }
}

/// Writes a string, for which there is room.
fn write_string(output: &mut Buffer, text: &[u8]) {
    output.put(b"\"");
    let mut start = 0;
    for (at, byte) in text.iter().enumerate() {
        let escape = ESCAPES[usize::from(*byte)];
        if escape == 0 {
            continue;
        }
        output.put(&text[start..at]);
        start = at + 1;
        if escape == b'u' {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            let digit = |nibble: u8| DIGITS[usize::from(nibble)];
            let (high, low) = (digit(byte >> 4), digit(byte & 15));
            output.put(&[b'\\', b'u', b'0', b'0', high, low]);
        } else {
            output.put(&[b'\\', escape]);
        }
    }
    output.put(&text[start..]);
    output.put(b"\"");
}

/// What a key is as an array's index: a whole number from 1 on.
fn index(key: Kind) -> Option<i32> {
    match key {
        Kind::Number(index) if index >= 1.0 && index.floor() == index => {
            (index <= f64::from(c_int::MAX)).then_some(index as i32)
        }
        _ => None,
    }
}

fn refused(stack: &mut Stack<'_>, value: Index, why: &str) -> Raised {
    let what = stack.type_name(value);
    stack.raise(format_args!("Cannot serialise {what}: {why}"))
}
