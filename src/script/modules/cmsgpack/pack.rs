//! MessagePack from a value.

use mlua::{Table, Value};

use crate::script::modules::output::Output;
use crate::script::modules::work::{TABLE, VALUE};
use crate::script::native::{Raise, Result, truncate};

/// Tables that are nested deeper than that are written as nil, so that one
/// that contains itself has an end.
const NESTING_MAX: usize = 16;

/// Writes a value that is in so many tables.
pub fn pack(output: &mut Output, value: &Value, nesting: usize) -> Result<()> {
    match value {
        Value::String(text) => string(output, &text.as_bytes()),
        Value::Boolean(true) => output.push(&[0xc3]),
        Value::Boolean(false) => output.push(&[0xc2]),
        Value::Integer(integer) => self::integer(output, *integer),
        Value::Number(number) => self::number(output, *number),
        Value::Table(table) if nesting < NESTING_MAX => self::table(output, table, nesting),
        _ => output.push(&[0xc0]),
    }
}

fn table(output: &mut Output, table: &Table, nesting: usize) -> Result<()> {
    output.work.add(TABLE)?;
    if let Some(len) = array_len(output, table)? {
        header(output, len as usize, [0x90, 0xdc, 0xdd])?;
        for index in 1..=len {
            let element: Value = table.raw_get(index)?;
            pack(output, &element, nesting + 1)?;
        }
        return Ok(());
    }
    let mut len = 0;
    for_each_key(table, |_| {
        len += 1;
        output.work.add(VALUE)?;
        Ok(true)
    })?;
    header(output, len, [0x80, 0xde, 0xdf])?;
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        pack(output, &key, nesting + 1)?;
        pack(output, &value, nesting + 1)?;
    }
    Ok(())
}

/// How many elements a table has that has all from 1 on, and nothing else.
fn array_len(output: &mut Output, table: &Table) -> Result<Option<i64>> {
    let mut max: i64 = 0;
    let mut count: i64 = 0;
    let mut is_array = true;
    for_each_key(table, |key| {
        output.work.add(VALUE)?;
        is_array = match key {
            Value::Integer(index) if (1..=i64::from(i32::MAX)).contains(&index) => {
                max = max.max(index);
                count += 1;
                true
            }
            _ => false,
        };
        Ok(is_array)
    })?;
    Ok((is_array && max == count).then_some(count))
}

/// Shows each key, until `see` raises something or wants no more.
fn for_each_key(table: &Table, mut see: impl FnMut(Value) -> Result<bool>) -> Result<()> {
    let mut end = None;
    let walked = table.for_each::<Value, bool>(|key, _| match see(key) {
        Ok(true) => Ok(()),
        seen => {
            end = Some(seen);
            // This ends the walk, and nobody sees it.
            Err(mlua::Error::StackError)
        }
    });
    match end {
        Some(seen) => seen.map(|_| ()),
        None => walked.map_err(Raise::from),
    }
}

/// How many elements or pairs follow: the first byte where they are few, and
/// that before 16 and before 32 bits.
fn header(output: &mut Output, len: usize, first: [u8; 3]) -> Result<()> {
    let [few, bits16, bits32] = first;
    match len {
        0..=15 => output.push(&[few | len as u8]),
        16..=0xffff => with_head(output, bits16, &(len as u16).to_be_bytes()),
        _ => with_head(output, bits32, &(len as u32).to_be_bytes()),
    }
}

fn string(output: &mut Output, text: &[u8]) -> Result<()> {
    match text.len() {
        len @ 0..=31 => output.push(&[0xa0 | len as u8])?,
        len @ 32..=0xff => output.push(&[0xd9, len as u8])?,
        len @ 0x100..=0xffff => with_head(output, 0xda, &(len as u16).to_be_bytes())?,
        len => with_head(output, 0xdb, &(len as u32).to_be_bytes())?,
    }
    output.push(text)
}

fn number(output: &mut Output, number: f64) -> Result<()> {
    let integer = truncate(number);
    if number.is_finite() && integer as f64 == number {
        return self::integer(output, integer);
    }
    let single = number as f32;
    if f64::from(single) == number {
        with_head(output, 0xca, &single.to_be_bytes())
    } else {
        with_head(output, 0xcb, &number.to_be_bytes())
    }
}

fn integer(output: &mut Output, integer: i64) -> Result<()> {
    match integer {
        -32..=127 => output.push(&[integer as u8]),
        128..=0xff => output.push(&[0xcc, integer as u8]),
        0x100..=0xffff => with_head(output, 0xcd, &(integer as u16).to_be_bytes()),
        0x1_0000..=0xffff_ffff => with_head(output, 0xce, &(integer as u32).to_be_bytes()),
        0x1_0000_0000.. => with_head(output, 0xcf, &integer.to_be_bytes()),
        -0x80.. => output.push(&[0xd0, integer as u8]),
        -0x8000.. => with_head(output, 0xd1, &(integer as i16).to_be_bytes()),
        -0x8000_0000.. => with_head(output, 0xd2, &(integer as i32).to_be_bytes()),
        _ => with_head(output, 0xd3, &integer.to_be_bytes()),
    }
}

fn with_head(output: &mut Output, head: u8, bytes: &[u8]) -> Result<()> {
    output.push(&[head])?;
    output.push(bytes)
}
