//! What the event loops of the workers have done, for INFO.

use std::ops::AddAssign;
use std::sync::OnceLock;
use std::time::Duration;

use parking_lot::Mutex;

/// Those of one broker.
#[derive(Default)]
pub struct EventLoops {
    /// What they have ever done.
    ever: OnceLock<Box<dyn Fn() -> Cycles + Send + Sync>>,
    /// What that was when the counters were set to 0.
    before: Mutex<Cycles>,
}

/// How often a loop has looked at its sockets, and how long it did not wait.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Cycles {
    pub count: u64,
    pub busy: Duration,
}

impl AddAssign for Cycles {
    fn add_assign(&mut self, other: Cycles) {
        self.count += other.count;
        self.busy += other.busy;
    }
}

impl EventLoops {
    /// From now on there are some; this tells what they have ever done.
    pub fn watch(&self, ever: impl Fn() -> Cycles + Send + Sync + 'static) {
        let _ = self.ever.set(Box::new(ever));
    }

    /// What they have done since the counters were set to 0.
    pub fn cycles(&self) -> Cycles {
        let (all, before) = (self.ever(), *self.before.lock());
        Cycles {
            count: all.count.saturating_sub(before.count),
            busy: all.busy.saturating_sub(before.busy),
        }
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&self) {
        *self.before.lock() = self.ever();
    }

    fn ever(&self) -> Cycles {
        self.ever.get().map(|ever| ever()).unwrap_or_default()
    }
}
