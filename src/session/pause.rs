//! CLIENT PAUSE: until when commands are held back, which, and whose.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::client::{Client, ClientFlags};

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
    /// Milliseconds since the broker's start; 0 for no pause. It is changed
    /// while `held` is locked, and read without.
    until_ms: AtomicU64,
    // Taken after the keyspace and before an outbox.
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    all: bool,
    /// In the order in which they came.
    clients: Vec<Arc<Client>>,
}

impl Pause {
    /// Holds commands back until `until`, in time since the broker's start.
    pub fn start(&self, until: Duration, mode: PauseMode, now: Duration) {
        let mut held = self.held.lock();
        let running = self.until(now);
        held.all = mode == PauseMode::All || running.is_some() && held.all;
        let until = running.unwrap_or_default().max(until);
        // It is not to end early.
        let until_ms = until.as_nanos().div_ceil(1_000_000);
        self.until_ms.store(until_ms as u64, Relaxed);
    }

    /// Lets all commands go on, of clients in the order in which they came.
    /// Answers whether any was held.
    pub fn end(&self, now: Duration) -> bool {
        let mut held = self.held.lock();
        self.until_ms.store(0, Relaxed);
        let clients = std::mem::take(&mut held.clients);
        for client in &clients {
            client.note_activity(now);
            client.set_flags(ClientFlags::PAUSED, false);
            client.outbox.wake();
        }
        !clients.is_empty()
    }

    /// Whether there is a pause, or was one that nobody has ended yet.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.until_ms.load(Relaxed) != 0
    }

    /// Does so if the pause is over.
    pub fn end_if_over(&self, now: Duration) -> bool {
        self.is_set() && self.until(now).is_none() && self.end(now)
    }

    /// Until when something is held back, if anything is.
    pub fn until(&self, now: Duration) -> Option<Duration> {
        let until = Duration::from_millis(self.until_ms.load(Relaxed));
        (now < until).then_some(until)
    }

    /// Holds a client back whose next command `writes` or does not; false if
    /// that may run.
    pub fn holds(&self, client: &Arc<Client>, writes: bool, now: Duration) -> bool {
        let mut held = self.held.lock();
        // It may have ended meanwhile.
        let holds = self.until(now).is_some() && (writes || held.all);
        if holds {
            client.set_flags(ClientFlags::PAUSED, true);
            held.clients.push(client.clone());
        }
        holds
    }

    /// Forgets a client that has gone.
    pub fn forget(&self, client: &Client) {
        if client.flags().contains(ClientFlags::PAUSED) {
            let mut held = self.held.lock();
            held.clients.retain(|other| other.id != client.id);
        }
    }

    /// How many clients are held back.
    pub fn held_clients(&self) -> usize {
        self.held.lock().clients.len()
    }
}
