//! The clock of the machine.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What time it is for everybody on this machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    start: Instant,
}

/// Longer than a process lives, and short enough for the system to add.
const FOREVER: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);

impl Machine {
    /// Begins to count now.
    pub fn start() -> Machine {
        Machine {
            start: Instant::now(),
        }
    }

    /// Since it began to count.
    #[inline]
    pub fn uptime(self) -> Duration {
        self.start.elapsed()
    }

    /// Since 1970.
    #[inline]
    pub fn wall(self) -> Duration {
        let wall = SystemTime::now();
        wall.duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    /// The moment of this uptime.
    pub fn moment(self, uptime: Duration) -> Instant {
        self.start + bounded(uptime)
    }
}

/// As much of it as one can wait for.
pub fn bounded(time: Duration) -> Duration {
    time.min(FOREVER)
}
