//! Puts faults into a broker for tests and takes them out again, and has the
//! clients look that these concern.

use super::Server;
use crate::error::{Error, Result};
use crate::lab::faults::{Fault, Faults, Kind};

impl Server {
    /// What is to go wrong, of a broker for tests.
    pub fn faults(&self) -> Option<&Faults> {
        self.lab.as_ref().map(|lab| &*lab.faults)
    }

    /// Adds a fault, and answers its number.
    ///
    /// # Errors
    ///
    /// It is none that there can be, there are too many, or the broker is not
    /// for tests.
    pub fn add_fault(&self, fault: Fault) -> Result<u64> {
        let kind = fault.action.kind();
        let id = self.faults().ok_or(Error::NOT_FOR_TESTS)?.add(fault)?;
        if kind == Kind::Connection {
            self.have_clients_look();
        }
        Ok(id)
    }

    /// Removes the faults that are `meant`, and lets go what they hold back.
    /// Answers how many they were.
    pub fn remove_faults(&self, meant: impl Fn(u64) -> bool) -> usize {
        let Some(faults) = self.faults() else {
            return 0;
        };
        let removed = faults.remove(meant, |client, about, message| {
            if let Some(client) = self.clients.get(client) {
                self.deliver(self.clock.uptime(), |delivery| {
                    delivery.hand(&client, about, |pending| pending.output.share(message));
                });
            }
        });
        self.have_clients_look();
        removed
    }

    /// A connection that a fault keeps waits for nothing else.
    fn have_clients_look(&self) {
        self.clients.for_each(|client| client.outbox.wake());
    }
}
