//! What waits to leave for one client, and who may put something there.
//!
//! Its bound is `client-output-buffer-limit`: a client that does not read is
//! closed, and what waited for it is dropped, as Redis does.

use std::task::Waker;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::held::Held;
use crate::resp::Output;

/// Above `hard` bytes, or above `soft` bytes for `soft_for`, a client is
/// closed. 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes.
    pub hard: u64,
    /// Bytes.
    pub soft: u64,
    /// For how long `soft` may be exceeded.
    pub soft_for: Duration,
}

/// Replies and messages on their way to one client.
pub struct Outbox {
    // Guards what waits; whoever holds it takes no other lock.
    pending: Mutex<Pending>,
}

/// What waits in an [`Outbox`].
pub struct Pending {
    /// Replies and messages.
    pub output: Output,
    /// The reply to a blocking command is in `output`: the client runs on.
    pub resumed: bool,
    /// Where that reply goes instead, if a fault is to strike it.
    pub struck: Option<Box<Output>>,
    /// Since when the soft limit is exceeded, in time since the broker's start.
    soft_since: Option<Duration>,
    /// The client is to be closed; nothing more is taken.
    overflowed: bool,
    waker: Option<Waker>,
    /// What all clients hold together, and what of it is counted for this.
    held: Held,
    counted: usize,
}

/// What an outbox holds is counted in steps of so many bytes: small messages
/// come and go, and to count each would take longer than to copy it.
const COUNTED: usize = 4096;

impl Outbox {
    /// An empty one.
    pub fn new(held: &Held) -> Outbox {
        Outbox {
            pending: Mutex::new(Pending {
                output: Output::default(),
                resumed: false,
                struck: None,
                soft_since: None,
                overflowed: false,
                waker: None,
                held: held.clone(),
                counted: 0,
            }),
        }
    }

    /// What waits, for the client's own task.
    pub fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock()
    }

    /// Sets whom to wake.
    pub fn set_waker(&self, waker: Waker) {
        self.lock().waker = Some(waker);
    }

    /// Wakes the client's task.
    pub fn wake(&self) {
        // The lock is released first: a task on another worker would run into it.
        let waker = self.lock().waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Adds what `write` writes and wakes the client's task. Tasks are woken
    /// once however often this is called before they run. Answers whether the
    /// outbox has overflowed just now; once it has, `write` is not called.
    ///
    /// The limit is compared with what waits then, so `write` shares what is
    /// large, and copies no more than [`SHARE_MIN`](crate::resp::SHARE_MIN).
    pub fn push(
        &self,
        limit: OutputLimit,
        uptime: Duration,
        write: impl FnOnce(&mut Pending),
    ) -> bool {
        let mut pending = self.lock();
        if pending.overflowed {
            return false;
        }
        let was_empty = pending.output.is_empty();
        write(&mut pending);
        let overflowed = pending.exceeds(limit, uptime);
        pending.count();
        // What waits already has woken the task, or waits for the socket; who
        // is no longer blocked has something to do in either case.
        let waker = if was_empty || overflowed || pending.resumed {
            pending.waker.clone()
        } else {
            None
        };
        drop(pending);
        if let Some(waker) = waker {
            waker.wake();
        }
        overflowed
    }
}

impl Pending {
    /// Puts back what the client's task has taken and the socket has not, before
    /// what others have put here since. `output` keeps a buffer of at most
    /// `keep` bytes.
    pub fn put_back(&mut self, output: &mut Output, keep: usize) {
        if self.overflowed {
            return output.clear(keep);
        }
        let newer = (!self.output.is_empty()).then(|| std::mem::take(&mut self.output));
        output.drain_into(&mut self.output, keep);
        if let Some(mut newer) = newer {
            self.output.append(&mut newer);
        }
        self.count();
    }

    /// Moves everything behind what is in `output`, and keeps a buffer of at
    /// most `keep` bytes.
    pub fn take(&mut self, output: &mut Output, keep: usize) {
        self.output.drain_into(output, keep);
        self.count();
    }

    /// Brings up to date what all clients hold together.
    fn count(&mut self) {
        let holds = self.output.memory() / COUNTED * COUNTED;
        if holds != self.counted {
            self.held.change(self.counted, holds);
            self.counted = holds;
        }
    }

    /// What of all that clients hold is counted for this.
    pub fn counted(&self) -> usize {
        self.counted
    }

    /// Gives the buffer of an outbox that holds nothing back.
    pub fn trim(&mut self) {
        if self.output.is_empty() {
            self.output.clear(0);
            self.count();
        }
    }

    /// When the soft limit will have been exceeded for too long, if less does
    /// not wait until then: in time since the broker's start.
    pub fn soft_until(&self, limit: OutputLimit) -> Option<Duration> {
        let since = self.soft_since.filter(|_| !self.overflowed)?;
        // Longer than that, to the millisecond.
        Some(since + limit.soft_for + Duration::from_millis(1))
    }

    /// Whether the limit is exceeded, which is noticed once: everything that
    /// waits is dropped, and nothing more is taken.
    pub fn exceeds(&mut self, limit: OutputLimit, uptime: Duration) -> bool {
        if self.overflowed {
            return false;
        }
        let len = self.output.len() as u64;
        let above = |max: u64| max > 0 && len > max;
        if !above(limit.soft) {
            self.soft_since = None;
        } else if self.soft_since.is_none() {
            self.soft_since = Some(uptime);
        }
        let soft = self
            .soft_since
            .is_some_and(|since| uptime.saturating_sub(since) > limit.soft_for);
        if above(limit.hard) || soft {
            self.overflowed = true;
            self.output.clear(0);
            self.count();
        }
        self.overflowed
    }
}
