//! The interpreter's own stack, for the functions that have to be quick.
//!
//! This is the one file with `unsafe` in it, but for a line of `calls.rs`. The
//! binding's safe functions keep track of each value that goes in or out, in a
//! table and under a lock: a script's call of GET took 5,800 instructions so, of
//! which GET is 900, and `cjson.encode` four times as long as in Redis.
//!
//! # How to write such a function
//!
//! What may raise an error (a new string or table where memory has run out)
//! leaves the function by unwinding from the interpreter, so that nothing may
//! be alive then that is to be dropped. Each method says whether it raises.
//! What needs such values goes into a function of its own, which raises
//! nothing; and what needs memory takes it from the interpreter, as [`Buffer`].
//!
//! # What makes it sound
//!
//! A [`Stack`] counts the values on it, and looks before it pushes, pops or
//! reads one, and a table is looked at before it is read or written: the
//! interpreter does not. Slices borrow from the stack, or have the lifetime of
//! the call: those are arguments, which nothing pops. A panic must not pass
//! through the interpreter, which ends the process: whatever could panic is
//! caught in the function itself.

#![allow(unsafe_code, reason = "measured: see above")]

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::Arc;

use mlua::ffi::{self, lua_State};
use mlua::{Function, Lua, MaybeSend, MaybeSync, Table};

/// A function that scripts call. Its type names it, and holds nothing.
pub trait StackFunction {
    /// What it knows besides its arguments.
    type Data: MaybeSend + MaybeSync + 'static;

    /// Does it: pushes what it answers, and tells how many values that is.
    ///
    /// # Errors
    ///
    /// What it raises has been pushed.
    fn call(stack: &mut Stack<'_>, data: &Self::Data) -> Result<c_int, Raised>;
}

/// The value on top of the stack is to be raised.
#[derive(Debug)]
pub struct Raised;

/// A function for the interpreter.
pub fn function<F: StackFunction>(lua: &Lua, data: Arc<F::Data>) -> mlua::Result<Function> {
    let pointer = Arc::as_ptr(&data).cast_mut().cast::<c_void>();
    // As long as the function is there, this is.
    let kept = lua.create_any_userdata(data)?;
    // SAFETY: the closure finds one value on the stack, and leaves the function there.
    unsafe {
        lua.exec_raw(kept, |state| {
            ffi::lua_pushlightuserdata(state, pointer);
            ffi::lua_pushcclosure(state, call::<F>, 2);
        })
    }
}

/// The way to the stack from outside of a script. The binding's takes 500
/// instructions, a twentieth of a short script.
pub struct Entrance {
    state: *mut lua_State,
    /// The number of [`enter`] among what the interpreter keeps.
    number: c_int,
    /// Where that finds what it is to do, for as long as this is done.
    run: Box<Cell<*mut c_void>>,
    /// The state is there for as long as this is.
    _lua: Lua,
}

// SAFETY: the interpreter may go to other threads, and who has the entrance to it is the only one
// to use it: it cannot be shared.
unsafe impl Send for Entrance {}

/// What is done on the stack.
type Run<'r> = &'r mut dyn FnMut(&mut Stack<'_>);

impl Entrance {
    /// One with a table that is the first value then.
    pub fn new(lua: &Lua, table: Table) -> mlua::Result<Entrance> {
        let mut entrance = Entrance {
            state: std::ptr::null_mut(),
            number: 0,
            run: Box::new(Cell::new(std::ptr::null_mut())),
            _lua: lua.clone(),
        };
        // SAFETY: the closure finds one value on the stack. This is not called by a script, so the
        // state is the interpreter's own and no coroutine's.
        unsafe {
            let run = std::ptr::from_ref(&*entrance.run)
                .cast_mut()
                .cast::<c_void>();
            lua.exec_raw::<()>(table, |state| {
                ffi::lua_pushlightuserdata(state, run);
                ffi::lua_pushcclosure(state, enter, 2);
                entrance.number = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
                entrance.state = state;
            })?;
        }
        Ok(entrance)
    }

    /// Has `run` work on the stack. Nothing may be alive in it that is to be
    /// dropped where an error is raised; what it leaves on the stack is
    /// forgotten.
    ///
    /// # Errors
    ///
    /// The text of what was raised.
    pub fn enter(&self, mut run: impl FnMut(&mut Stack<'_>)) -> Result<(), Vec<u8>> {
        let mut run: Run<'_> = &mut run;
        self.run.set(std::ptr::from_mut(&mut run).cast());
        // SAFETY: outside of scripts the stack is empty but for what the binding keeps there, so
        // there is room, and to push what is there raises nothing.
        unsafe {
            let top = ffi::lua_gettop(self.state);
            ffi::lua_rawgeti_(self.state, ffi::LUA_REGISTRYINDEX, self.number);
            if ffi::lua_pcall(self.state, 0, 0, 0) == ffi::LUA_OK {
                return Ok(());
            }
            let raised = Stack::new(self.state);
            let text = raised.bytes(raised.top()).unwrap_or(b"unknown error");
            let text = text.to_vec();
            ffi::lua_settop(self.state, top);
            Err(text)
        }
    }
}

unsafe extern "C-unwind" fn enter(state: *mut lua_State) -> c_int {
    // SAFETY: the second value that the function keeps points to where `Entrance::enter` has put
    // what it has lent for this call.
    unsafe {
        let run = ffi::lua_touserdata(state, ffi::lua_upvalueindex(2));
        let run = &mut *(*run.cast::<Cell<*mut c_void>>()).get().cast::<Run<'_>>();
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
        run(&mut Stack::new(state));
    }
    0
}

unsafe extern "C-unwind" fn call<F: StackFunction>(state: *mut lua_State) -> c_int {
    // SAFETY: the second value that the function keeps points to the data that the first one
    // holds. Nothing is to be dropped where the error is raised.
    unsafe {
        let data = ffi::lua_touserdata(state, ffi::lua_upvalueindex(2)).cast::<F::Data>();
        match F::call(&mut Stack::new(state), &*data) {
            Ok(count) => count,
            Err(Raised) => ffi::lua_error(state),
        }
    }
}

/// What happens every so many instructions.
pub trait Hook {
    /// Answers after how many instructions to look again, or what to raise.
    /// Raises nothing itself.
    fn look(stack: &Stack<'_>) -> Result<c_int, &'static str>;
}

unsafe extern "C-unwind" fn hook<H: Hook>(state: *mut lua_State, _: *mut ffi::lua_Debug) {
    // SAFETY: hooks have room for twenty values. Nothing is to be dropped where the error is
    // raised.
    unsafe {
        let mut stack = Stack::new(state);
        match H::look(&stack) {
            Ok(count) => stack.set_hook::<H>(count),
            Err(why) => {
                // Whatever the script does to catch this, the next instruction raises it again.
                stack.set_hook::<H>(1);
                stack.push_bytes(why.as_bytes());
                ffi::lua_error(state);
            }
        }
    }
}

/// The values of a function that a script has called, numbered from 1 on: the
/// arguments come first.
pub struct Stack<'c> {
    state: *mut lua_State,
    top: c_int,
    /// So many there is room for.
    end: c_int,
    /// So many are never popped.
    arguments: c_int,
    /// Which of the first 64 are known to be tables, a bit for each.
    tables: Cell<u64>,
    life: PhantomData<&'c lua_State>,
}

/// A value's place.
pub type Index = c_int;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Nothing, or no value at all.
    Nil,
    /// A boolean.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// A string: see [`Stack::bytes`].
    String,
    /// A table.
    Table,
    /// The pointer to nothing.
    Null,
    /// Something else.
    Other,
}

impl<'c> Stack<'c> {
    /// Safety: the state is that of a function which has just been called.
    unsafe fn new(state: *mut lua_State) -> Stack<'c> {
        // SAFETY: as above.
        let top = unsafe { ffi::lua_gettop(state) };
        Stack {
            state,
            top,
            end: top + ffi::LUA_MINSTACK,
            arguments: top,
            tables: Cell::new(0),
            life: PhantomData,
        }
    }

    /// How many values there are, which is the place of the last one.
    pub fn top(&self) -> Index {
        self.top
    }

    /// Makes room for so many more, if there is any. There always is for
    /// twenty when a function begins. Raises nothing.
    pub fn room(&mut self, count: c_int) -> bool {
        if self.end - self.top >= count {
            return true;
        }
        // SAFETY: it may be asked for any number.
        let has_room = unsafe { ffi::lua_checkstack(self.state, count) } != 0;
        if has_room {
            self.end = self.top + count;
        }
        has_room
    }

    /// Makes room for so many more. Raises that the stack is too small.
    pub fn need(&mut self, count: c_int) {
        if !self.room(count) {
            // SAFETY: it raises, or finds that there is room after all.
            unsafe { ffi::luaL_checkstack(self.state, count, std::ptr::null()) };
            self.end = self.top + count;
        }
    }

    /// What a value is. Raises nothing.
    pub fn kind(&self, index: Index) -> Kind {
        self.check(index);
        // SAFETY: there is such a value.
        unsafe {
            match ffi::lua_type(self.state, index) {
                ffi::LUA_TNIL | ffi::LUA_TNONE => Kind::Nil,
                ffi::LUA_TBOOLEAN => Kind::Boolean(ffi::lua_toboolean(self.state, index) != 0),
                ffi::LUA_TNUMBER => Kind::Number(ffi::lua_tonumber(self.state, index)),
                ffi::LUA_TSTRING => Kind::String,
                ffi::LUA_TTABLE => {
                    self.tables.set(self.tables.get() | bit(index));
                    Kind::Table
                }
                ffi::LUA_TLIGHTUSERDATA if ffi::lua_touserdata(self.state, index).is_null() => {
                    Kind::Null
                }
                _ => Kind::Other,
            }
        }
    }

    /// The type of a value, as Lua calls it. Raises nothing.
    pub fn type_name(&self, index: Index) -> &'static str {
        self.check(index);
        // SAFETY: there is such a value, and the interpreter's names of types are always there.
        let name = unsafe {
            let kind = ffi::lua_type(self.state, index);
            CStr::from_ptr(ffi::lua_typename(self.state, kind))
        };
        name.to_str().unwrap_or("?")
    }

    /// The bytes of a string; of what is none there are none. Raises nothing.
    pub fn bytes(&self, index: Index) -> Option<&[u8]> {
        self.check(index);
        // SAFETY: the bytes are there for as long as the value is on the stack, which cannot
        // change while they are borrowed.
        unsafe { self.string(index) }
    }

    /// The bytes of an argument that is a string. Raises nothing.
    pub fn argument(&self, index: Index) -> Option<&'c [u8]> {
        assert!(index <= self.arguments, "an argument");
        // SAFETY: arguments are not popped before the call ends.
        unsafe { self.string(index) }
    }

    /// The bytes of an argument that is a string, or a number, which becomes
    /// one. Raises what Lua does if it is something else.
    pub fn check_string(&self, index: Index) -> &'c [u8] {
        assert!(index <= self.arguments, "an argument");
        // SAFETY: as above.
        unsafe {
            let mut len = 0;
            let start = ffi::luaL_checklstring(self.state, index, &mut len);
            std::slice::from_raw_parts(start.cast(), len)
        }
    }

    /// Raises that an argument is not what it should be.
    pub fn argument_error(&self, index: Index, why: &CStr) -> Raised {
        // SAFETY: it does not return.
        unsafe { ffi::luaL_argerror(self.state, index, why.as_ptr()) };
        Raised
    }

    /// Bytes that are valid as long as `'s` is. It is for the caller to say how
    /// long the value is there.
    unsafe fn string<'s>(&self, index: Index) -> Option<&'s [u8]> {
        // SAFETY: only a string is asked for its bytes, and so not converted.
        unsafe {
            if ffi::lua_type(self.state, index) != ffi::LUA_TSTRING {
                return None;
            }
            let mut len = 0;
            let start = ffi::lua_tolstring(self.state, index, &mut len);
            Some(std::slice::from_raw_parts(start.cast(), len))
        }
    }

    /// Pushes nil. This and the next ones, up to numbers, raise nothing.
    pub fn push_nil(&mut self) {
        self.grow();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnil(self.state) };
    }

    /// Pushes the pointer to nothing.
    pub fn push_null(&mut self) {
        self.grow();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushlightuserdata(self.state, std::ptr::null_mut()) };
    }

    /// Pushes a boolean.
    pub fn push_boolean(&mut self, value: bool) {
        self.grow();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushboolean(self.state, value.into()) };
    }

    /// Pushes a number.
    pub fn push_number(&mut self, number: f64) {
        self.grow();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnumber(self.state, number) };
    }

    /// Pushes a value that is there once more.
    pub fn push_copy(&mut self, index: Index) {
        self.check(index);
        self.grow();
        // SAFETY: there are both a value and room.
        unsafe { ffi::lua_pushvalue(self.state, index) };
    }

    /// Pushes a string. May raise.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        self.grow();
        // SAFETY: there is room, and the interpreter copies the bytes.
        unsafe {
            ffi::lua_pushlstring(self.state, bytes.as_ptr().cast::<c_char>(), bytes.len());
        }
    }

    /// Pushes an empty table, with room for so many elements and fields;
    /// answers its place. May raise.
    pub fn push_table(&mut self, elements: usize, fields: usize) -> Index {
        self.grow();
        let count = |count| c_int::try_from(count).unwrap_or(0);
        // SAFETY: there is room.
        unsafe { ffi::lua_createtable(self.state, count(elements), count(fields)) };
        self.tables.set(self.tables.get() | bit(self.top));
        self.top
    }

    /// Pops so many values.
    pub fn pop(&mut self, count: c_int) {
        assert!(count >= 0 && self.top - count >= self.arguments, "pop");
        self.shrink(self.top - count);
        // SAFETY: there are more.
        unsafe { ffi::lua_settop(self.state, self.top) };
    }

    /// Replaces a value by the one on top, which is popped.
    fn replace(&mut self, index: Index) {
        self.check(index);
        // SAFETY: there are both values.
        unsafe { ffi::lua_replace(self.state, index) };
        self.change(index);
        self.shrink(self.top - 1);
    }

    /// Takes the key on top and pushes what a table has for it. Metamethods
    /// are not asked, here and below. Raises nothing.
    pub fn get(&mut self, table: Index) {
        self.check_table(table);
        // SAFETY: it is a table, and there is a key.
        unsafe { ffi::lua_rawget(self.state, table) };
        self.change(self.top);
    }

    /// Pushes an element of a table. Raises nothing.
    pub fn get_element(&mut self, table: Index, element: c_int) {
        self.check_table(table);
        self.grow();
        // SAFETY: it is a table, and there is room.
        unsafe { ffi::lua_rawgeti_(self.state, table, element) };
    }

    /// Takes a key and a value from the top and puts them into a table. The
    /// key is neither nil nor NaN. May raise.
    pub fn set(&mut self, table: Index) {
        self.check_table(table);
        assert!(self.top >= table + 2, "a key and a value");
        // SAFETY: it is a table, and there are a key and a value.
        unsafe { ffi::lua_rawset(self.state, table) };
        self.shrink(self.top - 2);
    }

    /// Takes a value from the top and makes it an element of a table. May
    /// raise.
    pub fn set_element(&mut self, table: Index, element: c_int) {
        self.check_table(table);
        assert!(self.top > table, "a value");
        // SAFETY: it is a table, and there is a value.
        unsafe { ffi::lua_rawseti_(self.state, table, element) };
        self.shrink(self.top - 1);
    }

    /// Puts a string under a name into a table. May raise.
    pub fn set_field(&mut self, table: Index, name: &str, value: &[u8]) {
        self.push_bytes(name.as_bytes());
        self.push_bytes(value);
        self.set(table);
    }

    /// Takes a key from the top and pushes the next key of a table and its
    /// value, if there is one; nil is before the first. The key is one of the
    /// table. Raises nothing.
    pub fn next(&mut self, table: Index) -> bool {
        self.check_table(table);
        assert!(self.top > table && self.top < self.end, "a key, and room");
        // SAFETY: it is a table, and there are a key and room for one more.
        let is_more = unsafe { ffi::lua_next(self.state, table) } != 0;
        self.change(self.top);
        self.shrink(self.top + if is_more { 1 } else { -1 });
        is_more
    }

    /// Has `H` look after so many instructions. Raises nothing.
    pub fn set_hook<H: Hook>(&mut self, count: c_int) {
        // SAFETY: the function is there for ever.
        unsafe { ffi::lua_sethook(self.state, Some(hook::<H>), ffi::LUA_MASKCOUNT, count) };
    }

    /// Collects all garbage. Raises nothing.
    pub fn collect_garbage(&mut self) {
        // SAFETY: this may be done at any time.
        unsafe { ffi::lua_gc(self.state, ffi::LUA_GCCOLLECT, 0) };
    }

    /// Has no garbage be collected before so many bytes are held. Raises
    /// nothing.
    pub fn collect_from(&mut self, bytes: usize) {
        let percent = bytes / (self.held() / 100).max(1);
        let percent = c_int::try_from(percent).unwrap_or(c_int::MAX);
        // SAFETY: as above.
        unsafe {
            let usual = ffi::lua_gc(self.state, ffi::LUA_GCSETPAUSE, percent);
            ffi::lua_gc(self.state, ffi::LUA_GCRESTART, -1);
            ffi::lua_gc(self.state, ffi::LUA_GCSETPAUSE, usual);
        }
    }

    /// Has collecting garbage begin again, once it was collected, when so much
    /// of what was left is held, and then go on so much faster than memory is
    /// taken, both in percent. Raises nothing.
    pub fn set_pace(&self, pause: c_int, speed: c_int) {
        // SAFETY: as above.
        unsafe {
            ffi::lua_gc(self.state, ffi::LUA_GCSETPAUSE, pause);
            ffi::lua_gc(self.state, ffi::LUA_GCSETSTEPMUL, speed);
        }
    }

    /// Bytes that are held. Raises nothing.
    pub fn held(&self) -> usize {
        // SAFETY: as above.
        let kibibytes = unsafe { ffi::lua_gc(self.state, ffi::LUA_GCCOUNT, 0) };
        (kibibytes as usize) << 10
    }

    /// The source of a function that runs, and the line that it is at: 0 is
    /// the innermost one. Raises nothing.
    pub fn frame(&self, level: c_int) -> Option<(&[u8], i64)> {
        let mut frame = MaybeUninit::zeroed();
        // SAFETY: if there is such a function, all of what is asked for is filled in. The source
        // is there as long as the function is.
        unsafe {
            if ffi::lua_getstack(self.state, level, frame.as_mut_ptr()) == 0 {
                return None;
            }
            ffi::lua_getinfo(self.state, c"Sl".as_ptr(), frame.as_mut_ptr());
            let frame = frame.assume_init();
            let source = CStr::from_ptr(frame.source);
            Some((source.to_bytes(), frame.currentline.into()))
        }
    }

    /// Calls the function that is below so many arguments, and has `handler`
    /// explain an error. Takes all of them and pushes what is answered, or
    /// what the handler has made of the error: one value. Answers whether all
    /// went well. Raises nothing.
    pub fn protected_call(&mut self, arguments: c_int, handler: Index) -> bool {
        self.check(handler);
        assert!(self.top - arguments > handler, "a function");
        // SAFETY: there are a handler, a function, and arguments.
        let status = unsafe { ffi::lua_pcall(self.state, arguments, 1, handler) };
        let function = self.top - arguments;
        self.change(function);
        self.shrink(function);
        status == ffi::LUA_OK
    }

    /// Pushes a text, with the place of the call in front of it, to be
    /// raised. What is longer than a few hundred bytes is cut. May raise.
    pub fn raise(&mut self, text: fmt::Arguments<'_>) -> Raised {
        let mut buffer = [0; 300];
        let mut rest = &mut buffer[..];
        // Too long a text is one that is cut.
        let _ = rest.write_fmt(text);
        let len = 300 - rest.len();
        self.forget(2);
        self.grow();
        // SAFETY: there is room for one value, and another.
        unsafe { ffi::luaL_where(self.state, 1) };
        self.push_bytes(&buffer[..len]);
        // SAFETY: there are two strings.
        unsafe { ffi::lua_concat(self.state, 2) };
        self.shrink(self.top - 1);
        Raised
    }

    /// Pushes a text alone, to be raised. May raise.
    pub fn raise_bare(&mut self, text: &str) -> Raised {
        self.forget(1);
        self.push_bytes(text.as_bytes());
        Raised
    }

    /// Pushes an error as commands answer them, to be raised. May raise.
    pub fn raise_error(&mut self, text: &str) -> Raised {
        self.forget(3);
        let error = self.push_table(0, 1);
        self.set_field(error, "err", text.as_bytes());
        Raised
    }

    /// Makes room for so many in the place of others: an error is raised, and
    /// nobody needs them any more.
    fn forget(&mut self, count: c_int) {
        self.pop(count.min(self.top - self.arguments));
    }

    fn grow(&mut self) {
        assert!(self.top < self.end, "room on the stack");
        self.top += 1;
    }

    fn check(&self, index: Index) {
        assert!(index > 0 && index <= self.top, "a value on the stack");
    }

    /// To ask the interpreter each time took a tenth of a script.
    fn check_table(&self, index: Index) {
        self.check(index);
        if self.tables.get() & bit(index) == 0 {
            // SAFETY: there is such a value.
            let kind = unsafe { ffi::lua_type(self.state, index) };
            assert!(kind == ffi::LUA_TTABLE, "a table");
            self.tables.set(self.tables.get() | bit(index));
        }
    }

    /// There are so many values now.
    fn shrink(&mut self, top: Index) {
        self.top = top;
        let beyond = bit(top + 1).wrapping_neg();
        self.tables.set(self.tables.get() & !beyond);
    }

    /// Another value is at this place now.
    fn change(&mut self, index: Index) {
        self.tables.set(self.tables.get() & !bit(index));
    }
}

/// The bit of a place; of those that have none it is 0.
fn bit(index: Index) -> u64 {
    1_u64.checked_shl(index as u32 - 1).unwrap_or(0)
}

/// Bytes that become long: a few are in place, and more in memory of the
/// interpreter's, which counts it and frees it, whatever is raised.
pub struct Buffer {
    few: [MaybeUninit<u8>; FEW],
    /// Where more are, if this is not null.
    more: *mut u8,
    capacity: usize,
    len: usize,
    /// The place of what holds them.
    index: Index,
}

/// Bytes that a buffer has in place.
const FEW: usize = 512;
/// No buffer becomes longer.
const LEN_MAX: usize = 1 << 30;

impl Buffer {
    /// An empty one, which takes a place on the stack.
    pub fn new(stack: &mut Stack<'_>) -> Buffer {
        stack.push_nil();
        Buffer {
            few: [MaybeUninit::uninit(); FEW],
            more: std::ptr::null_mut(),
            capacity: FEW,
            len: 0,
            index: stack.top(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: so many have been written.
        unsafe { std::slice::from_raw_parts(self.start(), self.len) }
    }

    /// Keeps so many of them.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Makes room for so many more. May raise.
    pub fn reserve(&mut self, stack: &mut Stack<'_>, count: usize) -> Result<(), Raised> {
        if self.capacity - self.len >= count {
            return Ok(());
        }
        self.expand(stack, count)
    }

    #[cold]
    fn expand(&mut self, stack: &mut Stack<'_>, count: usize) -> Result<(), Raised> {
        if count > LEN_MAX - self.len {
            return Err(stack.raise_bare("not enough memory"));
        }
        let capacity = (self.capacity * 2).max(self.len + count);
        stack.grow();
        // SAFETY: there is room for it; the bytes that have been written are copied, and what held
        // them may go then.
        unsafe {
            let more = ffi::lua_newuserdata(stack.state, capacity).cast::<u8>();
            more.copy_from_nonoverlapping(self.start(), self.len);
            self.more = more;
        }
        self.capacity = capacity;
        stack.replace(self.index);
        Ok(())
    }

    /// Adds bytes. May raise.
    pub fn push(&mut self, stack: &mut Stack<'_>, bytes: &[u8]) -> Result<(), Raised> {
        self.reserve(stack, bytes.len())?;
        self.put(bytes);
        Ok(())
    }

    /// Makes room for as many bytes as `room` says of a string on the stack,
    /// and has `write` put them; what is no string has none. May raise.
    pub fn push_string(
        &mut self,
        stack: &mut Stack<'_>,
        index: Index,
        room: fn(&[u8]) -> usize,
        write: fn(&mut Buffer, &[u8]),
    ) -> Result<(), Raised> {
        stack.check(index);
        assert!(index != self.index, "a string and no buffer");
        // SAFETY: the string stays on the stack; making room pushes above it, and replaces what
        // holds the buffer.
        let text = unsafe { stack.string(index) }.unwrap_or_default();
        self.reserve(stack, room(text))?;
        write(self, text);
        Ok(())
    }

    /// Adds bytes for which there is room. Raises nothing.
    pub fn put(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.capacity - self.len, "reserved");
        // SAFETY: there is room.
        unsafe {
            let start = match self.more.is_null() {
                true => self.few.as_mut_ptr().cast(),
                false => self.more,
            };
            start
                .add(self.len)
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        self.len += bytes.len();
    }

    fn start(&self) -> *const u8 {
        match self.more.is_null() {
            true => self.few.as_ptr().cast(),
            false => self.more,
        }
    }
}

/// Into what is reserved.
impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.capacity - self.len);
        self.put(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
