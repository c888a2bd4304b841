//! Scripts and functions in Lua.
//!
//! One [`Interpreter`] runs all of a broker's; it is made when the first one
//! comes. `sandbox.lua` says what scripts see. What they ask of the server they
//! ask a [`Host`], which is handed down: this room knows no commands.

mod cache;
mod calls;
mod conversion;
mod host;
mod interpreter;
mod libraries;
mod modules;
mod native;
mod registration;
mod running;
mod sha;
mod shebang;
mod source;
mod stack;

pub use cache::Cache;
pub use host::Host;
pub use interpreter::{Interpreter, Program};
pub use libraries::{Existing, Libraries, Library};
use registration::Callback;
pub use sha::Sha;
pub use shebang::ScriptFlags;

use std::borrow::Cow;

use crate::error::{Error, Result};

/// The scripts that a broker knows, and what runs them.
#[derive(Default)]
pub struct Scripts {
    /// Those that EVALSHA finds.
    pub cache: Cache,
    /// The functions that FCALL finds.
    pub libraries: Libraries,
    /// What the interpreter may hold, 0 for no limit, as of when it is made.
    pub memory_limit: usize,
    interpreter: Option<Box<Interpreter>>,
    /// A script runs, and has the interpreter.
    lent: bool,
}

impl Scripts {
    /// These libraries, which no interpreter has loaded, and nothing else.
    pub fn with(mut libraries: Libraries) -> Scripts {
        libraries.forget_loaded();
        Scripts {
            libraries,
            ..Scripts::default()
        }
    }

    /// The interpreter, which is to be given back.
    ///
    /// # Errors
    ///
    /// There is no memory for one.
    pub fn lend(&mut self) -> Result<Box<Interpreter>> {
        if self.lent {
            // The script that had it has panicked.
            self.cache.forget_compiled();
            self.libraries.forget_loaded();
        }
        let interpreter = match self.interpreter.take() {
            Some(interpreter) => interpreter,
            None => {
                let made = Interpreter::new(self.memory_limit);
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
        self.interpreter_memory() + self.cache.memory() + self.libraries.memory()
    }

    /// Forgets all scripts.
    pub fn flush(&mut self) {
        let cache = std::mem::take(&mut self.cache);
        if let Some(interpreter) = &self.interpreter {
            interpreter.forget(cache.functions());
        }
        self.tidy();
    }

    /// Loads a library, and answers its name. `replaces` tells whether it may
    /// be in the place of another.
    ///
    /// # Errors
    ///
    /// It is no library, or its name or one of its functions is there. Nothing
    /// has changed then.
    pub fn load_library(
        &mut self,
        text: &[u8],
        replaces: bool,
        host: &mut dyn Host,
        memory_limit: usize,
    ) -> Result<Box<str>> {
        let mut interpreter = self.lend()?;
        let known = (&self.libraries, replaces);
        let library = Library::load(text, known, &mut interpreter, host, memory_limit);
        let name = library.and_then(|library| {
            let name = library.name.clone();
            let (gone, inserted) = match self.libraries.insert(library) {
                Ok(replaced) => (replaced, Ok(name)),
                Err((error, library)) => (Some(library), Err(error)),
            };
            interpreter.forget(gone.iter().flat_map(Library::callbacks));
            inserted
        });
        self.give_back(interpreter);
        name
    }

    /// Loads libraries that FUNCTION DUMP has written.
    ///
    /// # Errors
    ///
    /// One of the texts cannot be read, or is no library, or a name is there.
    /// Nothing has changed then.
    pub fn restore_libraries<'t>(
        &mut self,
        texts: impl Iterator<Item = Result<Cow<'t, [u8]>>>,
        existing: Existing,
        host: &mut dyn Host,
        memory_limit: usize,
    ) -> Result<()> {
        let mut interpreter = self.lend()?;
        let mut new = Libraries::default();
        let loaded = texts.into_iter().try_for_each(|text| {
            if let Some(why) = host.look_around(host.uptime()) {
                return Err(Error::raised(why.into()));
            }
            let known = (&new, false);
            let library = Library::load(&text?, known, &mut interpreter, host, memory_limit)?;
            new.insert(library).map(drop).map_err(|(error, library)| {
                interpreter.forget(library.callbacks());
                error
            })
        });
        let restored = match loaded {
            Err(error) => Err((error, new)),
            Ok(()) if existing == Existing::Flushed => {
                let flushed = std::mem::replace(&mut self.libraries, new);
                interpreter.forget(flushed.callbacks());
                Ok(())
            }
            Ok(()) => {
                let joined = self.libraries.join(new, existing == Existing::Replaced);
                joined.map(|replaced| {
                    interpreter.forget(replaced.iter().flat_map(Library::callbacks));
                })
            }
        };
        let restored = restored.map_err(|(error, new)| {
            interpreter.forget(new.callbacks());
            error
        });
        self.give_back(interpreter);
        restored
    }

    /// Forgets all libraries.
    pub fn flush_libraries(&mut self) {
        let libraries = std::mem::take(&mut self.libraries);
        if let Some(interpreter) = &self.interpreter {
            interpreter.forget(libraries.callbacks());
        }
        self.tidy();
    }

    /// Forgets a library; false if there is none of this name.
    pub fn remove_library(&mut self, name: &[u8]) -> bool {
        let Some(library) = self.libraries.remove(name) else {
            return false;
        };
        if let Some(interpreter) = &self.interpreter {
            interpreter.forget(library.callbacks());
        }
        self.tidy();
        true
    }

    /// Frees what nobody knows any more, and the interpreter if it knows nothing.
    fn tidy(&mut self) {
        if self.cache.is_empty() && self.libraries.is_empty() {
            self.interpreter = None;
        } else if let Some(interpreter) = &self.interpreter {
            interpreter.collect_garbage();
        }
    }
}

/// The script with this text, compiled: its name, what it says of itself, and
/// the function. One that is new is remembered.
pub fn script(
    scripts: &mut Scripts,
    interpreter: &mut Interpreter,
    text: &[u8],
    loaded: bool,
) -> Result<(Sha, Option<ScriptFlags>, Callback)> {
    let sha = Sha::of(text);
    if let Some((flags, function)) = known(scripts, interpreter, &sha)? {
        if loaded {
            scripts.cache.keep(&sha);
        }
        return Ok((sha, flags, function));
    }
    let flags = flags(text)?;
    let function = compile(interpreter, text)?;
    let forgotten = scripts.cache.insert(sha, text, flags, function, loaded);
    interpreter.forget(forgotten.into_iter());
    Ok((sha, flags, function))
}

/// What a script says of itself; `None` if it says nothing.
pub fn flags(text: &[u8]) -> Result<Option<ScriptFlags>> {
    let (line, _) = shebang::split(text)?;
    shebang::flags(line)
}

/// The script of this name, if it is known.
pub fn known(
    scripts: &mut Scripts,
    interpreter: &mut Interpreter,
    sha: &Sha,
) -> Result<Option<(Option<ScriptFlags>, Callback)>> {
    let Some(script) = scripts.cache.get(sha) else {
        return Ok(None);
    };
    let function = script.function(|text| compile(interpreter, text))?;
    Ok(Some((script.flags, function)))
}

fn compile(interpreter: &mut Interpreter, text: &[u8]) -> Result<Callback> {
    let (_, code) = shebang::split(text)?;
    interpreter.compile(code).map_err(|text| {
        let before = b"ERR Error compiling script (new function): ";
        Error::raised([before, &*text].concat())
    })
}
