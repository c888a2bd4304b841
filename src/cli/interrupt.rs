//! Ctrl+C for verbs that wait: they leave with nothing cut, neither a line nor a popped item.
//!
//! A signal ends the writing half of the connection. The broker then finishes and closes, and the
//! verb prints what was still on its way and sees the end. If that takes longer than
//! [`PATIENCE`], the process ends between two messages; a second signal ends it at once.

use std::io;
use std::process::exit;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::client::{Connection, HangUp};

/// How long a broker gets to say its last words.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a shell expects of a program that SIGINT ended.
pub const INTERRUPTED: u8 = 130;

/// Whether the user wants to leave.
#[derive(Default)]
pub struct Interrupt {
    state: Mutex<State>,
    raised: Condvar,
}

#[derive(Default)]
struct State {
    is_raised: bool,
    /// The connection that the verb reads from.
    connection: Option<HangUp>,
}

impl Interrupt {
    /// Watches for SIGINT and SIGTERM from now on, in a thread that lives as long as the process.
    /// `status` is for leaving while the broker keeps silent.
    pub fn watch(status: u8) -> io::Result<Arc<Interrupt>> {
        let interrupt = Arc::new(Interrupt::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        // Before this returns, so that no signal finds its default still in place.
        let (mut int, mut term) = {
            let _context = runtime.enter();
            (
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
            )
        };
        let watched = Arc::clone(&interrupt);
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
                    watched.raise();
                    tokio::select! {
                        _ = int.recv() => exit(INTERRUPTED.into()),
                        _ = term.recv() => exit(INTERRUPTED.into()),
                        () = tokio::time::sleep(PATIENCE) => {}
                    }
                    // Whoever prints a message holds this lock until all of it is out.
                    std::thread::spawn(move || {
                        let _between_messages = io::stdout().lock();
                        exit(status.into())
                    });
                    tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
                    exit(INTERRUPTED.into())
                })
            })?;
        Ok(interrupt)
    }

    pub fn is_raised(&self) -> bool {
        self.lock().is_raised
    }

    /// Makes `connection` the one that a signal ends, which may already have come.
    pub fn end_on_signal(&self, connection: &Connection) -> io::Result<()> {
        let connection = connection.hang_up_handle()?;
        let mut state = self.lock();
        if state.is_raised {
            connection.hang_up();
        }
        state.connection = Some(connection);
        Ok(())
    }

    /// Sleeps, unless the user wants to leave: then it says so at once.
    pub fn wait(&self, duration: Duration) -> bool {
        let (state, _) = self
            .raised
            .wait_timeout_while(self.lock(), duration, |state| !state.is_raised)
            .unwrap_or_else(PoisonError::into_inner);
        state.is_raised
    }

    /// Lets whoever waits, or reads from the connection, leave.
    pub fn raise(&self) {
        let mut state = self.lock();
        state.is_raised = true;
        if let Some(connection) = &state.connection {
            connection.hang_up();
        }
        self.raised.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing can panic while it holds the lock; a flag is never half-written anyway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_ends_a_wait() {
        let interrupt = Arc::new(Interrupt::default());
        assert!(!interrupt.wait(Duration::ZERO));
        let waiting = Arc::clone(&interrupt);
        // An hour: the test hangs if the signal does not end it.
        let waiter = std::thread::spawn(move || waiting.wait(Duration::from_secs(3600)));
        interrupt.raise();
        assert!(waiter.join().unwrap());
        assert!(interrupt.is_raised());
    }
}
