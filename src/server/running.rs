//! The script that runs, as those see it who may ask while it does.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::resp::OwnedArgv;

/// The script that runs, once it has run for so long that others are told.
#[derive(Default)]
pub struct RunningScript {
    running: AtomicBool,
    busy: AtomicBool,
    killed: AtomicBool,
    slow: Mutex<Option<SlowScript>>,
}

/// A script that has run for long.
#[derive(Clone, Debug)]
pub struct SlowScript {
    /// The name of the function, if it is one.
    pub function: Option<String>,
    /// The request that runs it.
    pub request: OwnedArgv,
    /// When it began, by the machine's time.
    pub since: Duration,
    /// It has written already.
    pub wrote: bool,
}

impl RunningScript {
    /// Whether one runs.
    #[inline]
    pub fn is_running(&self) -> bool {
        self.running.load(Relaxed)
    }

    /// One begins.
    pub fn begin(&self) {
        self.running.store(true, Relaxed);
    }

    /// It has run for long.
    pub fn note_slow(&self, script: SlowScript) {
        *self.slow.lock() = Some(script);
        self.killed.store(false, Relaxed);
        self.busy.store(true, Relaxed);
    }

    /// It has ended.
    pub fn end(&self) {
        self.running.store(false, Relaxed);
        if self.busy.swap(false, Relaxed) {
            *self.slow.lock() = None;
        }
    }

    /// It has written.
    pub fn note_written(&self) {
        if let Some(script) = &mut *self.slow.lock() {
            script.wrote = true;
        }
    }

    /// The one that runs.
    pub fn slow(&self) -> Option<SlowScript> {
        self.slow.lock().clone()
    }

    /// Whether it is to end.
    pub fn is_killed(&self) -> bool {
        self.killed.load(Relaxed)
    }

    /// What others are told.
    pub fn busy_error(&self) -> Error {
        match &*self.slow.lock() {
            Some(script) if script.function.is_some() => Error::BUSY_FUNCTION,
            _ => Error::BUSY,
        }
    }

    /// Has the one that runs end; `function` tells whether it must be a
    /// function, or a script.
    ///
    /// # Errors
    ///
    /// None runs, or it is of the other kind, or it has written already: half
    /// of what it does would be done.
    pub fn kill(&self, function: bool) -> Result<()> {
        let slow = self.slow.lock();
        let script = slow.as_ref().ok_or(Error::NO_SCRIPT_RUNS)?;
        if script.wrote {
            return Err(Error::UNKILLABLE);
        }
        match script.function {
            Some(_) if !function => Err(Error::BUSY_FUNCTION),
            None if function => Err(Error::BUSY),
            _ => {
                self.killed.store(true, Relaxed);
                Ok(())
            }
        }
    }
}
