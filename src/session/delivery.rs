//! How something reaches clients that did not ask for it just now.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::client::Client;
use super::outbox::{OutputLimit, Pending};

/// How to hand something to clients that did not ask for it just now.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    /// The limit of their outboxes.
    pub limit: OutputLimit,
    /// Time since the broker's start.
    pub uptime: Duration,
    /// Is told of a client that did not read and is closed, and about what.
    pub overflowed: &'a dyn Fn(&Client, &[u8]),
}

impl Delivery<'_> {
    /// Has `write` write into the client's outbox; `about` is a name for the log.
    pub fn hand(self, client: &Client, about: &[u8], write: impl FnOnce(&mut Pending)) {
        client.has_messages.store(true, Relaxed);
        if client.outbox.push(self.limit, self.uptime, write) {
            (self.overflowed)(client, about);
        }
    }
}
