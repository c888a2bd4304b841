//! What a running script has at hand of the server, and how the functions find
//! it that the interpreter calls.

use std::any::Any;
use std::ffi::c_int;
use std::ops::Range;

use scoped_tls_hkt::scoped_thread_local;

use super::registration::Registrations;
use super::stack::{Raised, Stack};
use crate::resp::{Argv, Output, Protocol};
use crate::text::double;

/// The script that runs on this thread, to the functions that it calls.
pub trait Runs {
    /// The words of the next call.
    fn request(&mut self) -> &mut Request;

    /// Runs the command with these words.
    fn call(&mut self) -> Called;

    /// Whether the client may run the command with these words.
    fn may_run(&mut self) -> Option<bool>;

    /// The error that ends the script is counted already.
    fn note_counted(&mut self);

    /// Keeps what a command has panicked with until the script has ended.
    fn keep_panic(&mut self, panic: Box<dyn Any + Send>);

    /// What it registers, if it is the code of a library.
    fn registrations(&mut self) -> Option<&mut Registrations>;

    /// In which version of the protocol replies are.
    fn set_protocol(&mut self, protocol: Protocol);

    /// Looks after what goes on meanwhile; answers why the script is to end, if
    /// it is.
    fn asked_to_end(&mut self) -> Option<&'static str>;

    /// The same, every so many instructions: answers how many come before the
    /// next look.
    fn look_around(&mut self, stack: &Stack<'_>) -> Result<c_int, &'static str>;

    /// How many bytes may be held for it outside of the interpreter in one
    /// piece.
    fn len_max(&self) -> usize;

    /// How many coroutines run within one another.
    fn coroutines(&mut self) -> &mut u32;

    /// Whether the script is ended from outside.
    fn is_ending(&self) -> bool;
}

scoped_thread_local!(static mut RUNNING: for<'a> &'a mut (dyn Runs + 'a));

/// Has `call` be a run of this script on this thread.
pub fn run<T>(running: &mut dyn Runs, call: impl FnOnce() -> T) -> T {
    RUNNING.set(running, call)
}

/// Has `look` see the script that runs on this thread, if one does.
pub fn with<T>(look: impl FnOnce(&mut dyn Runs) -> T) -> Option<T> {
    RUNNING
        .is_set()
        .then(|| RUNNING.with(|running| look(running)))
}

/// Has the server look after what goes on while a function of Rust's takes
/// long; answers why the script is to end, if it is. The function is to raise
/// that as an error then, and if it is caught, the next look ends the script.
pub fn asked_to_end() -> Option<&'static str> {
    with(|running| running.asked_to_end()).flatten()
}

/// What a function on the stack has done since the server looked around.
#[derive(Default)]
pub struct Pace {
    done: usize,
}

impl Pace {
    /// The server looks around when so much has been done, about a
    /// millisecond's: a value counts 1.
    const BETWEEN_LOOKS: usize = 32 * 1024;
    /// A table may have a million places and nothing in them.
    pub const TABLE: usize = 512;

    /// So much more is done. Raises why the script is to end, if it is.
    pub fn add(&mut self, stack: &mut Stack<'_>, amount: usize) -> Result<(), Raised> {
        self.done += amount;
        if self.done < Pace::BETWEEN_LOOKS {
            return Ok(());
        }
        self.done = 0;
        asked_to_end().map_or(Ok(()), |why| Err(stack.raise_error(why)))
    }
}

/// How many bytes may be held for the script outside of the interpreter in one
/// piece.
pub fn len_max() -> usize {
    with(|running| running.len_max()).unwrap_or(usize::MAX)
}

/// What has come of a call.
pub enum Called {
    /// A reply, in a buffer that stays as it is until the next call.
    Replied {
        /// Its first byte.
        start: *const u8,
        /// How many bytes it has.
        len: usize,
    },
    /// The call itself is wrong; this is the error.
    Refused(&'static str),
}

/// Buffers keep so many bytes between two calls.
pub const KEEP: usize = 16 * 1024;

/// The words of one call.
#[derive(Default)]
pub struct Request {
    bytes: Vec<u8>,
    words: Vec<Range<u32>>,
    /// So many bytes they may have.
    len_max: u32,
}

impl Request {
    /// No words, and no more than so many bytes of them.
    pub fn begin(&mut self, len_max: usize) {
        self.clear();
        self.len_max = u32::try_from(len_max).unwrap_or(u32::MAX);
    }

    /// No words.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEEP);
        self.words.clear();
        self.words.shrink_to(KEEP / size_of::<Range<u32>>());
    }

    /// Adds a word.
    pub fn add(&mut self, word: &[u8]) -> Result<(), &'static str> {
        let start = self.bytes.len() as u32;
        let end = u32::try_from(self.bytes.len() + word.len()).ok();
        let Some(end) = end.filter(|end| *end <= self.len_max) else {
            return Err("ERR Lua redis lib command arguments are too long");
        };
        self.bytes.extend_from_slice(word);
        self.words.push(start..end);
        Ok(())
    }

    /// Adds a number, written as Redis 7.2 does: a whole one without an
    /// exponent, others in the fewest digits that tell them.
    pub fn add_number(&mut self, number: f64) -> Result<(), &'static str> {
        match double::as_integer(number) {
            Some(whole) => self.add(itoa::Buffer::new().format(whole).as_bytes()),
            None => self.add(double::Buffer::default().format(number)),
        }
    }

    /// The words as those of a request.
    pub fn argv(&self) -> Argv<'_> {
        Argv::new(&self.bytes, &self.words)
    }
}

/// The reply to the call before, for as long as nothing else is called.
#[derive(Default)]
pub struct LastReply {
    output: Output,
    /// All of it, if it came in several pieces.
    whole: Vec<u8>,
}

impl LastReply {
    /// Forgets the one before; this is where the next one is written.
    pub fn renew(&mut self) -> &mut Output {
        self.output.clear(KEEP);
        self.whole = Vec::new();
        &mut self.output
    }

    /// How long it is.
    pub fn len(&self) -> usize {
        self.output.len()
    }

    /// The reply.
    pub fn bytes(&mut self) -> &[u8] {
        if self.output.only().is_none() {
            self.whole = std::mem::take(&mut self.output).into_vec();
            return &self.whole;
        }
        self.output.only().unwrap_or_default()
    }
}
