//! From the values of Lua to replies.
//!
//! The rules are those of Redis: <https://redis.io/docs/latest/develop/programmability/lua-api/>,
//! "Data type conversion".

use std::ffi::c_int;

use super::host::Host;
use super::native::truncate;
use super::stack::{Index, Kind, Stack};
use crate::error::Error;
use crate::resp::Reply;

/// A table may hold so many levels of others in a reply.
const DEPTH_MAX: usize = 200;

/// The names of fields that tell what a table is: they are kept as strings of
/// Lua's, in this order, because a new one might find no memory.
pub const FIELDS: [&str; 10] = [
    "err",
    "ignore_error_stats_update",
    "ok",
    "double",
    "big_number",
    "verbatim_string",
    "string",
    "format",
    "map",
    "set",
];

/// One of [`FIELDS`].
#[derive(Clone, Copy)]
enum Field {
    Err,
    IsCounted,
    Ok,
    Double,
    BigNumber,
    Verbatim,
    String,
    Format,
    Map,
    Set,
}

/// Where replies are written.
pub struct Writer<'w, 'r> {
    /// The reply.
    pub reply: &'w mut Reply<'r>,
    /// The script has asked for the types of RESP3.
    pub resp3: bool,
    /// A table in which [`FIELDS`] are the elements from here on.
    pub fields: (Index, c_int),
    /// Who hears of errors that are written, and looks around meanwhile.
    pub host: &'w mut dyn Host,
    /// How long the reply may become: tables that share parts could make it as
    /// long as they like.
    pub len_max: usize,
    /// How much there is to do until the next look.
    pub until_look: u32,
}

/// So much is done between two looks: about a millisecond's. A table counts
/// for more than a value, since it may have many places and nothing in them.
pub const WORK_PER_LOOK: u32 = 32 * 1024;
const WORK_PER_TABLE: u32 = 256;

/// Why a reply cannot be written.
pub type Unwritten = &'static str;

impl Writer<'_, '_> {
    /// Writes the value on top. Raises nothing.
    ///
    /// # Errors
    ///
    /// The reply is too long, or the script is to end. What has been written is
    /// to be taken back.
    pub fn write(&mut self, stack: &mut Stack<'_>) -> Result<(), Unwritten> {
        self.len_max = self.len_max.saturating_add(self.reply.output().len());
        self.value(stack, DEPTH_MAX)
    }

    /// Writes the value on top, and pops it.
    fn value(&mut self, stack: &mut Stack<'_>, depth: usize) -> Result<(), Unwritten> {
        self.work(1)?;
        let value = stack.top();
        match stack.kind(value) {
            Kind::String => {
                let text = stack.bytes(value).unwrap_or_default();
                self.fits(text)?;
                self.reply.bulk(text);
            }
            Kind::Boolean(value) if self.resp3 => self.reply.bool(value),
            Kind::Boolean(true) => self.reply.int(1),
            Kind::Number(number) => self.reply.int(truncate(number)),
            Kind::Table => {
                if depth > 0 && stack.room(6) {
                    self.work(WORK_PER_TABLE)?;
                    self.table(stack, value, depth - 1)?;
                } else {
                    self.host.note_error(Error::SCRIPT_STACK.text(), false);
                    self.reply.error(&Error::SCRIPT_STACK);
                }
            }
            _ => self.reply.null(),
        }
        stack.pop(1);
        Ok(())
    }

    /// Whether there is room for a text.
    fn fits(&mut self, text: &[u8]) -> Result<(), Unwritten> {
        match self.reply.output().len().saturating_add(text.len()) > self.len_max {
            true => Err("ERR not enough memory for what the script returns"),
            false => Ok(()),
        }
    }

    /// Looks around every now and then.
    fn work(&mut self, amount: u32) -> Result<(), Unwritten> {
        self.until_look = self.until_look.saturating_sub(amount);
        if self.until_look > 0 {
            return Ok(());
        }
        self.until_look = WORK_PER_LOOK;
        self.fits(b"")?;
        let now = self.host.uptime();
        self.host.look_around(now).map_or(Ok(()), Err)
    }

    /// Writes a table. There is room for six values, and what it pushes above
    /// is left there for the caller to pop.
    fn table(
        &mut self,
        stack: &mut Stack<'_>,
        table: Index,
        depth: usize,
    ) -> Result<(), Unwritten> {
        if let Some(text) = self.text(stack, table, Field::Err) {
            self.field(stack, table, Field::IsCounted);
            let counted = stack.kind(stack.top());
            let text = stack.bytes(text).unwrap_or_default();
            let text = without_line_end(up_to_nul(text));
            self.fits(text)?;
            let is_counted = !matches!(counted, Kind::Nil | Kind::Boolean(false));
            self.host.note_error(text, is_counted);
            self.reply.error(&Error::raised(text.to_vec()));
            stack.pop(2);
            return Ok(());
        }
        if let Some(text) = self.text(stack, table, Field::Ok) {
            let text = stack.bytes(text).unwrap_or_default();
            self.fits(text)?;
            self.reply.simple(up_to_nul(text));
            stack.pop(1);
            return Ok(());
        }
        self.field(stack, table, Field::Double);
        let double = stack.kind(stack.top());
        stack.pop(1);
        if let Kind::Number(value) = double {
            self.reply.double(value);
            return Ok(());
        }
        if let Some(digits) = self.text(stack, table, Field::BigNumber) {
            self.fits(stack.bytes(digits).unwrap_or_default())?;
            let mut digits = stack.bytes(digits).unwrap_or_default().to_vec();
            for byte in &mut digits {
                if matches!(byte, b'\r' | b'\n') {
                    *byte = b' ';
                }
            }
            self.reply.big_number(&digits);
            stack.pop(1);
            return Ok(());
        }
        if let Some(verbatim) = self.inner(stack, table, Field::Verbatim) {
            if let Some(text) = self.text(stack, verbatim, Field::String) {
                if let Some(format) = self.text(stack, verbatim, Field::Format) {
                    let format = three_bytes(stack.bytes(format).unwrap_or_default());
                    let text = stack.bytes(text).unwrap_or_default();
                    self.fits(text)?;
                    self.reply.verbatim(&format, text);
                    stack.pop(3);
                    return Ok(());
                }
                stack.pop(1);
            }
            stack.pop(1);
        }
        if let Some(map) = self.inner(stack, table, Field::Map) {
            self.reply.map(count(stack, map));
            stack.push_nil();
            while stack.next(map) {
                // The key is needed once more, to go on.
                stack.push_copy(stack.top() - 1);
                self.value(stack, depth)?;
                self.value(stack, depth)?;
            }
            stack.pop(1);
            return Ok(());
        }
        if let Some(set) = self.inner(stack, table, Field::Set) {
            self.reply.set(count(stack, set));
            stack.push_nil();
            while stack.next(set) {
                stack.pop(1);
                stack.push_copy(stack.top());
                self.value(stack, depth)?;
            }
            stack.pop(1);
            return Ok(());
        }
        self.array(stack, table, depth)
    }

    /// Up to the first nil, which may be earlier than where the table ends.
    fn array(
        &mut self,
        stack: &mut Stack<'_>,
        table: Index,
        depth: usize,
    ) -> Result<(), Unwritten> {
        let mut len = 0;
        loop {
            stack.get_element(table, len + 1);
            let kind = stack.kind(stack.top());
            stack.pop(1);
            if kind == Kind::Nil {
                break;
            }
            len += 1;
        }
        self.reply.array(len as usize);
        for element in 1..=len {
            stack.get_element(table, element);
            self.value(stack, depth)?;
        }
        Ok(())
    }

    /// Pushes a field of a table.
    fn field(&self, stack: &mut Stack<'_>, table: Index, field: Field) {
        let (fields, first) = self.fields;
        stack.get_element(fields, first + field as c_int);
        stack.get(table);
    }

    /// Pushes a field that is a string, and answers its place.
    fn text(&self, stack: &mut Stack<'_>, table: Index, field: Field) -> Option<Index> {
        self.field(stack, table, field);
        self.only(stack, Kind::String)
    }

    /// Pushes a field that is a table, and answers its place.
    fn inner(&self, stack: &mut Stack<'_>, table: Index, field: Field) -> Option<Index> {
        self.field(stack, table, field);
        self.only(stack, Kind::Table)
    }

    /// The place of the value on top if it is of this kind; if not, it is
    /// popped.
    fn only(&self, stack: &mut Stack<'_>, kind: Kind) -> Option<Index> {
        if stack.kind(stack.top()) == kind {
            return Some(stack.top());
        }
        stack.pop(1);
        None
    }
}

/// How many pairs a table has.
fn count(stack: &mut Stack<'_>, table: Index) -> usize {
    let mut pairs = 0;
    stack.push_nil();
    while stack.next(table) {
        stack.pop(1);
        pairs += 1;
    }
    pairs
}

/// What C sees of a text.
pub fn up_to_nul(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Line ends behind the text of an error are no part of it.
fn without_line_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b'\r' | b'\n'] = text {
        text = rest;
    }
    text
}

/// The format of a verbatim string, cut or filled up: it has three bytes.
fn three_bytes(format: &[u8]) -> [u8; 3] {
    let mut bytes = [b' '; 3];
    for (byte, given) in bytes.iter_mut().zip(up_to_nul(format)) {
        *byte = *given;
    }
    bytes
}
