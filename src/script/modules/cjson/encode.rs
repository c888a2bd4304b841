//! JSON from a value.

use mlua::{Function, Lua, LuaString, Table, Value};

use super::settings::{Invalid, Settings};
use crate::script::modules::output::Output;
use crate::script::native::{Raise, Result, STACK_MAX, type_name};
use crate::text::c_number;

/// The JSON of a value.
pub fn encode(
    lua: &Lua,
    settings: &Settings,
    output_max: usize,
    value: Value,
) -> Result<LuaString> {
    let mut encoder = Encoder {
        lua,
        settings,
        output: Output::new(output_max),
        levels: Vec::new(),
        stack: 1,
        pairs_left: PAIRS_MAX,
        next: None,
    };
    encoder.value(value)?;
    while let Some(value) = encoder.next_value()? {
        encoder.value(value)?;
    }
    encoder.output.into_string(lua)
}

/// Tables nest as deep as the script has made them, so it is this that keeps
/// them and not the thread's stack.
struct Encoder<'a> {
    lua: &'a Lua,
    settings: &'a Settings,
    output: Output,
    /// The tables that are being written, the outermost first.
    levels: Vec<Level>,
    /// How many values Redis would have on its stack.
    stack: usize,
    /// How many pairs may still be taken from objects ahead of time.
    pairs_left: usize,
    /// Lua's `next`, once it was needed. It runs nothing of the script's.
    next: Option<Function>,
}

/// How many pairs are taken from objects before they are written: it is quick
/// to take all of an object at once, but there is not room for any number.
const PAIRS_MAX: usize = 300;

/// A table that is being written.
enum Level {
    Array {
        table: Table,
        written: i32,
        len: i32,
    },
    Object {
        table: Table,
        /// Those that come next.
        pairs: std::vec::IntoIter<(Value, Value)>,
        /// The key behind which more may follow than these.
        rest: Option<Value>,
        is_first: bool,
    },
}

impl Encoder<'_> {
    /// Writes a value, or the start of it if it is a table.
    fn value(&mut self, value: Value) -> Result<()> {
        match value {
            Value::String(text) => self.string(&text.as_bytes()),
            Value::Integer(number) => self.number(number as f64),
            Value::Number(number) => self.number(number),
            Value::Boolean(true) => self.output.push(b"true"),
            Value::Boolean(false) => self.output.push(b"false"),
            Value::Table(table) => self.table(table),
            Value::Nil => self.output.push(b"null"),
            Value::LightUserData(pointer) if pointer.0.is_null() => self.output.push(b"null"),
            value => Err(refused(&value, "type not supported")),
        }
    }

    fn table(&mut self, table: Table) -> Result<()> {
        let depth = self.levels.len() + 1;
        // Three more are what writing a table needs there.
        if depth > self.settings.encode_max_depth as usize || self.stack + 3 > STACK_MAX {
            let text = format!("Cannot serialise, excessive nesting ({depth})");
            return Err(Raise::text(text));
        }
        let mut pairs = table.pairs::<Value, Value>();
        let first = pairs.next().transpose()?;
        let level = match self.array_len(&table, first.as_ref())? {
            Some(len) => {
                self.output.push(b"[")?;
                self.stack += 1;
                let written = 0;
                Level::Array {
                    table,
                    written,
                    len,
                }
            }
            None => {
                self.output.push(b"{")?;
                let Some(first) = first else {
                    return self.output.push(b"}");
                };
                let more = pairs.take(self.pairs_left);
                let pairs: Vec<_> = std::iter::once(Ok(first))
                    .chain(more)
                    .collect::<std::result::Result<_, _>>()?;
                let is_all = pairs.len() <= self.pairs_left;
                let last = pairs.last().map(|(key, _)| key.clone());
                self.pairs_left -= pairs.len() - 1;
                self.stack += 2;
                Level::Object {
                    table,
                    pairs: pairs.into_iter(),
                    rest: last.filter(|_| !is_all),
                    is_first: true,
                }
            }
        };
        self.levels.push(level);
        Ok(())
    }

    /// How long a table is as an array, if it is to be written as one.
    fn array_len(&self, table: &Table, first: Option<&(Value, Value)>) -> Result<Option<i32>> {
        if first.is_none_or(|(key, _)| index(key).is_none()) {
            return Ok(None);
        }
        // These are C ints there, and wrap as they do. An index that is none
        // makes the table an object, whichever key comes first.
        let mut max: i32 = 0;
        let mut count: i32 = 0;
        let mut is_array = true;
        let counted = table.for_each::<Value, bool>(|key, _| {
            let Some(index) = index(&key).filter(|index| *index <= f64::from(i32::MAX)) else {
                is_array = false;
                return Err(mlua::Error::StackError);
            };
            max = max.max(index as i32);
            count = count.wrapping_add(1);
            Ok(())
        });
        if !is_array {
            return Ok(None);
        }
        counted?;
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
        Err(Raise::text(
            "Cannot serialise table: excessively sparse array",
        ))
    }

    /// The value that comes next. What is before it has been written then.
    fn next_value(&mut self) -> Result<Option<Value>> {
        loop {
            let Some(level) = self.levels.last_mut() else {
                return Ok(None);
            };
            match level {
                Level::Array {
                    table,
                    written,
                    len,
                } => {
                    if *written < *len {
                        if *written > 0 {
                            self.output.push(b",")?;
                        }
                        *written += 1;
                        return Ok(Some(table.raw_get(i64::from(*written))?));
                    }
                    self.output.push(b"]")?;
                    self.stack -= 1;
                }
                Level::Object {
                    table,
                    pairs,
                    rest,
                    is_first,
                } => {
                    let pair = match (pairs.next(), rest) {
                        (Some(pair), _) => {
                            // That each object has its first does not count.
                            if !*is_first {
                                self.pairs_left += 1;
                            }
                            Some(pair)
                        }
                        (None, None) => None,
                        (None, Some(key)) => {
                            let next = match &self.next {
                                Some(next) => next,
                                None => self.next.insert(self.lua.globals().raw_get("next")?),
                            };
                            let (next_key, value): (Value, Value) = next.call((&*table, &*key))?;
                            *key = next_key.clone();
                            (!next_key.is_nil()).then_some((next_key, value))
                        }
                    };
                    if let Some((key, value)) = pair {
                        if !*is_first {
                            self.output.push(b",")?;
                        }
                        *is_first = false;
                        self.key(&key)?;
                        return Ok(Some(value));
                    }
                    self.output.push(b"}")?;
                    self.stack -= 2;
                }
            }
            self.levels.pop();
        }
    }

    fn key(&mut self, key: &Value) -> Result<()> {
        match key {
            Value::String(text) => {
                self.string(&text.as_bytes())?;
                self.output.push(b":")
            }
            Value::Integer(_) | Value::Number(_) => {
                self.output.push(b"\"")?;
                self.value(key.clone())?;
                self.output.push(b"\":")
            }
            key => Err(refused(key, "table key must be a number or string")),
        }
    }

    fn number(&mut self, number: f64) -> Result<()> {
        if !number.is_finite() {
            match self.settings.encode_invalid_numbers {
                Invalid::Refused => {
                    let number = Value::Number(number);
                    return Err(refused(&number, "must not be NaN or Inf"));
                }
                Invalid::Null => return self.output.push(b"null"),
                Invalid::Written if number.is_nan() => return self.output.push(b"nan"),
                Invalid::Written => {}
            }
        }
        let digits = self.settings.number_precision as usize;
        self.output
            .write(|bytes| c_number::write_general(bytes, number, digits))
    }

    fn string(&mut self, text: &[u8]) -> Result<()> {
        self.output.push(b"\"")?;
        let mut start = 0;
        for (at, byte) in text.iter().enumerate() {
            let escape = ESCAPES[usize::from(*byte)];
            if escape == 0 {
                continue;
            }
            self.output.push(&text[start..at])?;
            start = at + 1;
            if escape == b'u' {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let digit = |nibble: u8| DIGITS[usize::from(nibble)];
                let (high, low) = (digit(byte >> 4), digit(byte & 15));
                self.output.push(&[b'\\', b'u', b'0', b'0', high, low])?;
            } else {
                self.output.push(&[b'\\', escape])?;
            }
        }
        self.output.push(&text[start..])?;
        self.output.push(b"\"")
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

/// A key that could be an array's: a whole number from 1 on.
fn index(key: &Value) -> Option<f64> {
    let index = match key {
        Value::Integer(number) => *number as f64,
        Value::Number(number) => *number,
        _ => return None,
    };
    (index >= 1.0 && index.floor() == index).then_some(index)
}

fn refused(value: &Value, why: &str) -> Raise {
    let what = type_name(value);
    Raise::text(format!("Cannot serialise {what}: {why}"))
}
