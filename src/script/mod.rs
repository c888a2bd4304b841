//! Scripts and functions in Lua.
//!
//! One [`Interpreter`] runs all of a broker's; it is made when the first one
//! comes. `sandbox.lua` says what scripts see. What they ask of the server they
//! ask a [`Host`], which is handed down: this room knows no commands.

mod cache;
mod calls;
mod conversion;
mod interpreter;
mod modules;
mod native;
mod running;
mod sha;
mod shebang;
mod tail_calls;

pub use cache::Cache;
pub use interpreter::{Host, Interpreter};
use mlua::Function;
pub use sha::Sha;
pub use shebang::ScriptFlags;

use crate::error::{Error, Result};

/// The scripts that a broker knows, and what runs them.
#[derive(Default)]
pub struct Scripts {
    /// Those that EVALSHA finds.
    pub cache: Cache,
    interpreter: Option<Box<Interpreter>>,
    /// A script runs, and has the interpreter.
    lent: bool,
}

impl Scripts {
    /// The interpreter, which is to be given back.
    ///
    /// # Errors
    ///
    /// There is no memory for one.
    pub fn lend(&mut self) -> Result<Box<Interpreter>> {
        if self.lent {
            // The script that had it has panicked.
            self.cache.forget_compiled();
        }
        let interpreter = match self.interpreter.take() {
            Some(interpreter) => interpreter,
            None => {
                let made = Interpreter::new();
                Box::new(made.map_err(|error| Error::new(format!("ERR {error}")))?)
            }
        };
        self.lent = true;
        Ok(interpreter)
    }

    /// Takes it back.
    pub fn give_back(&mut self, interpreter: Box<Interpreter>) {
        self.lent = false;
        self.interpreter = Some(interpreter);
    }

    /// Bytes that the interpreter holds.
    pub fn interpreter_memory(&self) -> usize {
        let interpreter = self.interpreter.as_ref();
        interpreter.map_or(0, |interpreter| interpreter.memory())
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.interpreter_memory() + self.cache.memory()
    }

    /// Forgets all scripts, and the interpreter with them.
    pub fn flush(&mut self) {
        *self = Scripts::default();
    }
}

/// The script with this text, compiled: its name, what it says of itself, and
/// the function. One that is new is remembered.
pub fn script(
    scripts: &mut Scripts,
    interpreter: &Interpreter,
    text: &[u8],
    loaded: bool,
) -> Result<(Sha, Option<ScriptFlags>, Function)> {
    let sha = Sha::of(text);
    if let Some((flags, function)) = known(scripts, interpreter, &sha)? {
        if loaded {
            scripts.cache.keep(&sha);
        }
        return Ok((sha, flags, function));
    }
    let (line, _) = shebang::split(text)?;
    let flags = shebang::flags(line)?;
    let function = compile(interpreter, text)?;
    let known = function.clone();
    scripts.cache.insert(sha, text, flags, known, loaded);
    Ok((sha, flags, function))
}

/// The script of this name, if it is known.
pub fn known(
    scripts: &mut Scripts,
    interpreter: &Interpreter,
    sha: &Sha,
) -> Result<Option<(Option<ScriptFlags>, Function)>> {
    let Some(script) = scripts.cache.get(sha) else {
        return Ok(None);
    };
    let function = script.function(|text| compile(interpreter, text))?;
    Ok(Some((script.flags, function)))
}

fn compile(interpreter: &Interpreter, text: &[u8]) -> Result<Function> {
    let (_, code) = shebang::split(text)?;
    interpreter.compile(code).map_err(|text| {
        let before = b"ERR Error compiling script (new function): ";
        Error::raised([before, &*text].concat())
    })
}
