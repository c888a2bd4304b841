//! That a broker goes and comes back, as a client asks for it.

use std::sync::OnceLock;
use std::time::Duration;

/// What becomes of the data of a broker that goes and comes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Data {
    /// They are there again, as with a Redis that has saved them: keys with their
    /// expiries, and functions.
    Keep,
    /// They are gone.
    Lose,
}

/// How a broker is to go and come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restart {
    /// What becomes of the data.
    pub data: Data,
    /// How long it is gone, by its own clock.
    pub after: Duration,
}

/// Told once it is back, or why it is not. Dropped if it ends first.
pub type Answer = Box<dyn FnOnce(Result<(), String>) + Send>;

/// Has the broker go and come back, and waits for neither.
pub type Begin = Box<dyn Fn(Restart, Answer) + Send + Sync>;

/// Who has the broker go and come back. That is above this floor, so it is handed
/// down.
#[derive(Default)]
pub struct Restarts(OnceLock<Begin>);

impl Restarts {
    /// Who does it from now on; the first one stays.
    pub fn follow(&self, begin: Begin) {
        // There is one broker, which does this once.
        let _ = self.0.set(begin);
    }

    /// Has the broker go and come back. What is asked for meanwhile happens
    /// afterwards.
    pub fn begin(&self, restart: Restart, answer: Answer) {
        if let Some(begin) = self.0.get() {
            begin(restart, answer);
        }
    }
}
