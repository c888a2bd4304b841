//! Where handlers meet the data: the only lock of the keyspace in the crate.
//!
//! A [`Turn`] is what one client does at one go: it takes the lock at the
//! first command that needs data, keeps it to the end of the batch, and reads
//! the clock again only after a command that took long. Before each command
//! [`room`] is made where memory has a limit; after each, or after a
//! transaction, [`settle`] draws the consequences while the lock is still held.
//! What nobody waits for is done in steps by [`upkeep`]. No lock is held across
//! an await.

pub mod advance;
pub mod barriers;
mod evict;
pub mod orders;
mod room;
mod settle;
mod state;
mod tally;
mod turn;
pub mod upkeep;
mod waiters;
mod watchers;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use barriers::Barriers;
use orders::Orders;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

pub use state::{Kept, State};
pub use turn::Turn;
pub use waiters::{Attempt, Awaited, Null, Wait};

use crate::db::Keyspace;
use crate::server::{Server, data_limits};

/// The data and who waits for it or watches it, behind one lock, beside what
/// all clients share without it.
pub struct Engine {
    /// What needs no atomicity with the keyspace.
    pub server: Server,
    // Guards everything in State. Taken before a channel's entry and before an
    // outbox, never after.
    state: Mutex<State>,
    /// When upkeep is to run next, in milliseconds since 1970.
    wakes_at: AtomicI64,
    /// Wakes upkeep: there is something to do earlier than it thinks.
    woken: Notify,
    /// Where the clock is to go, of a broker for tests.
    pub orders: Option<Orders>,
    /// Who waits until something is so, of a broker for tests.
    pub barriers: Option<Barriers>,
    /// Turns that wait for the lock.
    #[cfg(test)]
    waiting: std::sync::atomic::AtomicUsize,
}

impl Engine {
    /// An engine with no data, with the settings of the server.
    pub fn new(server: Server) -> Arc<Engine> {
        let keyspace = no_data(&server);
        let state = State::new(keyspace, server.seed);
        Engine::with(server, state)
    }

    /// One with the data of another, which has ended.
    pub fn again(server: Server, kept: Kept) -> Arc<Engine> {
        let state = State::again(kept, server.seed);
        Engine::with(server, state)
    }

    fn with(server: Server, mut state: State) -> Arc<Engine> {
        state.follow(&server.config());
        Arc::new(Engine {
            orders: server.lab.as_ref().map(|_| Orders::default()),
            barriers: server.lab.as_ref().map(|_| Barriers::default()),
            server,
            state: Mutex::new(state),
            wakes_at: AtomicI64::new(i64::MAX),
            woken: Notify::new(),
            #[cfg(test)]
            waiting: Default::default(),
        })
    }

    /// Takes what it leaves to the next one. It has ended, so that nobody changes
    /// anything any more; a script of the program's own may have to end yet.
    pub fn leave_data(&self) -> Kept {
        const MOMENT: Duration = Duration::from_millis(1);
        loop {
            let mut state = self.lock();
            if !state.interrupted {
                return state.leave(no_data(&self.server), self.server.clock.now_ms());
            }
            drop(state);
            self.server.clock.sleep_thread(MOMENT);
        }
    }

    /// Has upkeep run at `at`, in milliseconds since 1970, or earlier.
    fn wake_upkeep_at(&self, at: i64) {
        if at < self.wakes_at.load(Relaxed) {
            self.wakes_at.store(at, Relaxed);
            self.woken.notify_one();
        }
    }

    /// Has upkeep run at once.
    pub fn wake_upkeep(&self) {
        self.wake_upkeep_at(i64::MIN);
    }

    /// Takes the lock if nobody has it.
    fn try_lock(&self) -> Option<MutexGuard<'_, State>> {
        self.state.try_lock()
    }

    /// Takes the lock, and waits for it if need be.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// As many databases as the settings say, with nothing in them.
fn no_data(server: &Server) -> Keyspace {
    let config = server.config();
    Keyspace::new(config.databases as usize, data_limits(&config), server.seed)
}
