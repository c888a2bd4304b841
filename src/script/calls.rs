//! `redis.call` and `redis.pcall`, on the interpreter's own interface.
//!
//! This is the one file with `unsafe` in it. The binding's safe functions keep
//! track of each string that goes in or out, in a table and under a lock: a
//! script's call of GET took 5,800 instructions so, of which GET is 900, and
//! redis-server beside it half the time. What is called here works on the
//! interpreter's stack, as functions of C's do, and takes 1,900.
//!
//! # What makes it sound
//!
//! The functions of the interpreter that may raise an error (out of memory, or
//! of its stack) leave by unwinding. Where they are called, nothing is alive
//! that is to be dropped: commands run in a function of their own, which is
//! left with a plain pointer to the reply, in a buffer that stays as it is until
//! the next call. A panic of a command does not pass through the interpreter;
//! it is kept, and goes on when the script has ended.

#![allow(unsafe_code, reason = "measured: see above")]

use std::ffi::{c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

use mlua::ffi::{self, lua_State};
use mlua::{Function, Lua};

use super::running::{self, Called};
use crate::text::{double, number};

/// `redis.call` and `redis.pcall`.
pub fn functions(lua: &Lua) -> mlua::Result<(Function, Function)> {
    // SAFETY: both keep to the rules for functions of C's: they answer how many values they have
    // pushed, and raise errors where nothing is left to be dropped.
    unsafe { Ok((lua.create_c_function(call)?, lua.create_c_function(pcall)?)) }
}

/// Runs a command, and raises an error that it answers.
unsafe extern "C-unwind" fn call(state: *mut lua_State) -> c_int {
    // SAFETY: the interpreter calls this with its state.
    unsafe {
        let is_error = answer(state);
        if is_error {
            ffi::lua_error(state);
        }
    }
    1
}

/// Runs a command, and answers an error as a table.
unsafe extern "C-unwind" fn pcall(state: *mut lua_State) -> c_int {
    // SAFETY: the interpreter calls this with its state.
    unsafe { answer(state) };
    1
}

/// Runs the command that is on the stack and pushes its reply; answers whether
/// that is an error.
unsafe fn answer(state: *mut lua_State) -> bool {
    // SAFETY: `execute` raises nothing, so that all that it has made is dropped. What it answers
    // points into a buffer of the script's run, which is not touched before the next call.
    unsafe {
        match execute(state) {
            Called::Replied { start, len } => {
                let mut rest = std::slice::from_raw_parts(start, len);
                let is_error = rest.first() == Some(&b'-');
                push(state, &mut rest);
                is_error
            }
            Called::Refused(text) => {
                ffi::luaL_checkstack(state, 4, std::ptr::null());
                ffi::lua_createtable(state, 0, 1);
                push_field(state, "err", text.as_bytes());
                true
            }
        }
    }
}

/// Runs the command. Nothing that this calls of the interpreter's raises an
/// error: it only looks at what is on the stack.
unsafe fn execute(state: *mut lua_State) -> Called {
    let ran = catch_unwind(AssertUnwindSafe(|| {
        running::with(|running| {
            let request = running.request();
            // SAFETY: these are the arguments of the function that was called.
            let count = unsafe { ffi::lua_gettop(state) };
            for index in 1..=count {
                // SAFETY: the index is one of an argument, which stays on the stack meanwhile; only
                // a string is asked for its bytes, and so not converted.
                let added = unsafe {
                    match ffi::lua_type(state, index) {
                        ffi::LUA_TSTRING => {
                            let mut len = 0;
                            let start = ffi::lua_tolstring(state, index, &mut len);
                            request.add(std::slice::from_raw_parts(start.cast(), len))
                        }
                        ffi::LUA_TNUMBER => request.add_number(ffi::lua_tonumber(state, index)),
                        _ => Err("ERR Lua redis lib command arguments must be strings or integers"),
                    }
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
/// well-formed, and leaves what follows in it.
unsafe fn push(state: *mut lua_State, rest: &mut &[u8]) {
    let line = line(rest);
    let (kind, text) = line.split_first().unwrap_or((&b'_', b""));
    let len = || number::parse_i64(text).and_then(|len| usize::try_from(len).ok());
    // SAFETY: there is room on the stack for the few values that are pushed before the next level
    // asks for its own. Whatever raises an error here has nothing to drop.
    unsafe {
        ffi::luaL_checkstack(state, 6, std::ptr::null());
        match kind {
            b':' => ffi::lua_pushnumber(state, number::parse_i64(text).unwrap_or(0) as f64),
            b'$' => match len() {
                Some(len) => push_bytes(state, bytes(rest, len)),
                None => ffi::lua_pushboolean(state, 0),
            },
            b'+' => {
                ffi::lua_createtable(state, 0, 1);
                push_field(state, "ok", text);
            }
            b'-' => {
                ffi::lua_createtable(state, 0, 2);
                push_field(state, "err", text);
                push_bytes(state, b"ignore_error_stats_update");
                ffi::lua_pushboolean(state, 1);
                ffi::lua_rawset(state, -3);
            }
            b'*' => match len() {
                Some(len) => {
                    ffi::lua_createtable(state, c_int::try_from(len).unwrap_or(0), 0);
                    for index in 1..=len {
                        push(state, rest);
                        ffi::lua_rawseti(state, -2, index as ffi::lua_Integer);
                    }
                }
                None => ffi::lua_pushboolean(state, 0),
            },
            b'%' | b'~' => {
                ffi::lua_createtable(state, 0, 1);
                push_bytes(state, if *kind == b'%' { b"map" } else { b"set" });
                ffi::lua_createtable(state, 0, 0);
                for _ in 0..len().unwrap_or(0) {
                    push(state, rest);
                    match kind {
                        b'%' => push(state, rest),
                        _ => ffi::lua_pushboolean(state, 1),
                    }
                    ffi::lua_rawset(state, -3);
                }
                ffi::lua_rawset(state, -3);
            }
            b',' => {
                ffi::lua_createtable(state, 0, 1);
                push_bytes(state, b"double");
                ffi::lua_pushnumber(state, double::parse(text).unwrap_or(f64::NAN));
                ffi::lua_rawset(state, -3);
            }
            b'#' => ffi::lua_pushboolean(state, c_int::from(text == b"t")),
            b'(' => {
                ffi::lua_createtable(state, 0, 1);
                push_field(state, "big_number", text);
            }
            b'=' => {
                let verbatim = bytes(rest, len().unwrap_or(0));
                let (format, text) = verbatim.split_at_checked(3).unwrap_or_default();
                ffi::lua_createtable(state, 0, 1);
                push_bytes(state, b"verbatim_string");
                ffi::lua_createtable(state, 0, 2);
                push_field(state, "format", format);
                push_field(state, "string", text.get(1..).unwrap_or_default());
                ffi::lua_rawset(state, -3);
            }
            _ => ffi::lua_pushnil(state),
        }
    }
}

unsafe fn push_bytes(state: *mut lua_State, bytes: &[u8]) {
    // SAFETY: the interpreter copies so many bytes from there.
    unsafe { ffi::lua_pushlstring(state, bytes.as_ptr().cast::<c_char>(), bytes.len()) };
}

/// Sets a field of the table that is on top of the stack.
unsafe fn push_field(state: *mut lua_State, name: &str, value: &[u8]) {
    // SAFETY: the table is below the two values that are pushed here.
    unsafe {
        push_bytes(state, name.as_bytes());
        push_bytes(state, value);
        ffi::lua_rawset(state, -3);
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
