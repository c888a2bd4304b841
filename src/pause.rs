//! CLIENT PAUSE: until when commands are held back, and which.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Which commands are held back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PauseMode {
    /// Those that may write.
    Write,
    /// All.
    All,
}

/// Until when commands are held back. Two pauses may overlap: the later end
/// and the stricter mode win, as in Redis.
#[derive(Default)]
pub struct Pause {
    /// Milliseconds since the broker's start; 0 for no pause.
    until_ms: AtomicU64,
    all: AtomicBool,
}

impl Pause {
    /// Holds commands back until `until`, in time since the broker's start.
    pub fn start(&self, until: Duration, mode: PauseMode, now: Duration) {
        let still_all = self.is_paused(now) && self.all.load(Relaxed);
        self.all.store(still_all || mode == PauseMode::All, Relaxed);
        let running = if self.is_paused(now) {
            self.until_ms.load(Relaxed)
        } else {
            0
        };
        self.until_ms
            .store(running.max(until.as_millis() as u64), Relaxed);
    }

    /// Lets all commands go on.
    pub fn end(&self) {
        self.until_ms.store(0, Relaxed);
    }

    /// Whether anything is held back.
    pub fn is_paused(&self, now: Duration) -> bool {
        let until_ms = self.until_ms.load(Relaxed);
        until_ms != 0 && (now.as_millis() as u64) < until_ms
    }

    /// Whether a command is held back, and until when.
    pub fn holds(&self, writes: bool, now: Duration) -> Option<Duration> {
        let held = self.is_paused(now) && (writes || self.all.load(Relaxed));
        held.then(|| Duration::from_millis(self.until_ms.load(Relaxed)))
    }
}
