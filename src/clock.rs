//! What time it is. Everything below the engine gets the time as an argument.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Wall-clock time, which TTLs follow, and monotonic time, which timeouts and
/// durations follow.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Clock {
        Clock {
            start: Instant::now(),
        }
    }

    /// Since 1970.
    pub fn wall(self) -> Duration {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    }

    /// Milliseconds since 1970.
    pub fn now_ms(self) -> i64 {
        self.wall().as_millis() as i64
    }

    /// Since the broker started; it never runs backwards.
    pub fn uptime(self) -> Duration {
        self.start.elapsed()
    }
}
