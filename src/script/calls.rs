//! `redis.call` and `redis.pcall`.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use mlua::{Function, Lua};

use super::running::{self, Called};
use super::stack::{self, Kind, Raised, Stack, StackFunction};
use crate::text::{double, number};

/// `redis.call` and `redis.pcall`.
pub fn functions(lua: &Lua) -> mlua::Result<(Function, Function)> {
    let call = stack::function::<Call>(lua, Arc::new(()))?;
    let pcall = stack::function::<Pcall>(lua, Arc::new(()))?;
    Ok((call, pcall))
}

/// Runs a command, and raises an error that it answers.
struct Call;

/// Runs a command, and answers an error as a table.
struct Pcall;

impl StackFunction for Call {
    type Data = ();

    fn call(stack: &mut Stack<'_>, (): &()) -> Result<c_int, Raised> {
        answer(stack).map(|()| 1)
    }
}

impl StackFunction for Pcall {
    type Data = ();

    fn call(stack: &mut Stack<'_>, (): &()) -> Result<c_int, Raised> {
        // What would be raised has been pushed as well.
        let _ = answer(stack);
        Ok(1)
    }
}

/// Runs the command that is on the stack and pushes its reply.
fn answer(stack: &mut Stack<'_>) -> Result<(), Raised> {
    match execute(stack) {
        Called::Replied { start, len } => {
            // SAFETY: these are the bytes of a buffer that is not touched before the next call.
            #[allow(
                unsafe_code,
                reason = "a buffer of the run's that lasts longer than this"
            )]
            let mut rest = unsafe { std::slice::from_raw_parts(start, len) };
            let is_error = rest.first() == Some(&b'-');
            push(stack, &mut rest);
            if is_error { Err(Raised) } else { Ok(()) }
        }
        Called::Refused(text) => Err(stack.raise_error(text)),
    }
}

/// Runs the command. Nothing that this calls of the interpreter's raises an
/// error: it only looks at what is on the stack.
fn execute(stack: &Stack<'_>) -> Called {
    let ran = catch_unwind(AssertUnwindSafe(|| {
        running::with(|running| {
            let request = running.request();
            for index in 1..=stack.top() {
                let added = match (stack.argument(index), stack.kind(index)) {
                    (Some(text), _) => request.add(text),
                    (None, Kind::Number(number)) => request.add_number(number),
                    _ => Err("ERR Lua redis lib command arguments must be strings or integers"),
                };
                if let Err(text) = added {
                    return Called::Refused(text);
                }
            }
            running.call()
        })
    }));
    match ran {
        Ok(Some(called)) => called,
        Ok(None) => Called::Refused("ERR redis.call can only be called inside a script invocation"),
        Err(panic) => {
            running::with(|running| running.keep_panic(panic));
            Called::Refused("ERR the command has failed")
        }
    }
}

/// Pushes the value that `rest` begins with, a reply of our own and so
/// well-formed, and leaves what follows in it. May raise.
fn push(stack: &mut Stack<'_>, rest: &mut &[u8]) {
    let line = line(rest);
    let (kind, text) = line.split_first().unwrap_or((&b'_', b""));
    let len = || number::parse_i64(text).and_then(|len| usize::try_from(len).ok());
    stack.need(6);
    match kind {
        b':' => stack.push_number(number::parse_i64(text).unwrap_or(0) as f64),
        b'$' => match len() {
            Some(len) => stack.push_bytes(bytes(rest, len)),
            None => stack.push_boolean(false),
        },
        b'+' => {
            let table = stack.push_table(0, 1);
            stack.set_field(table, "ok", text);
        }
        b'-' => {
            let table = stack.push_table(0, 2);
            stack.set_field(table, "err", text);
            stack.push_bytes(b"ignore_error_stats_update");
            stack.push_boolean(true);
            stack.set(table);
        }
        b'*' => match len() {
            Some(len) => {
                let table = stack.push_table(len, 0);
                for element in 1..=len {
                    push(stack, rest);
                    stack.set_element(table, element as c_int);
                }
            }
            None => stack.push_boolean(false),
        },
        b'%' | b'~' => {
            let table = stack.push_table(0, 1);
            stack.push_bytes(if *kind == b'%' { b"map" } else { b"set" });
            let members = stack.push_table(0, len().unwrap_or(0));
            for _ in 0..len().unwrap_or(0) {
                push(stack, rest);
                match kind {
                    b'%' => push(stack, rest),
                    _ => stack.push_boolean(true),
                }
                stack.set(members);
            }
            stack.set(table);
        }
        b',' => {
            let table = stack.push_table(0, 1);
            stack.push_bytes(b"double");
            stack.push_number(double::parse(text).unwrap_or(f64::NAN));
            stack.set(table);
        }
        b'#' => stack.push_boolean(text == b"t"),
        b'(' => {
            let table = stack.push_table(0, 1);
            stack.set_field(table, "big_number", text);
        }
        b'=' => {
            let verbatim = bytes(rest, len().unwrap_or(0));
            let (format, text) = verbatim.split_at_checked(3).unwrap_or_default();
            let table = stack.push_table(0, 1);
            stack.push_bytes(b"verbatim_string");
            let parts = stack.push_table(0, 2);
            stack.set_field(parts, "format", format);
            stack.set_field(parts, "string", text.get(1..).unwrap_or_default());
            stack.set(table);
        }
        _ => stack.push_nil(),
    }
}

/// Takes a line, without its end.
fn line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    let (line, after) = rest.split_at(end);
    *rest = after.get(1..).unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Takes so many bytes, and the line end behind them.
fn bytes<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (bytes, after) = rest.split_at_checked(len).unwrap_or_default();
    *rest = after.get(2..).unwrap_or_default();
    bytes
}
