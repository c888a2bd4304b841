//! Blocked clients by key, first come first served.
//!
//! Blocking is a value: the handler has said which keys it waits for, and is
//! run again when one of them changes. Nothing is taken for a client that is
//! no longer here, because leaving takes the client's place under the lock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::command::args::OwnedArgv;
use crate::db::Kind;
use crate::resp::Protocol;
use crate::session::Client;

/// What a handler that cannot reply yet waits for.
#[derive(Debug)]
pub struct Wait {
    /// In the order in which they are to be looked at.
    pub keys: Vec<Box<[u8]>>,
    /// What must be under a key before the handler is run again.
    pub kind: Kind,
    /// For how long, in milliseconds; 0 is for ever.
    pub timeout_ms: u64,
    /// The reply when the time is up.
    pub null: Null,
}

/// The form of a null reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Null {
    /// A null string.
    Bulk,
    /// A null array.
    Array,
}

/// A blocked client, and the command that it waits to have run again.
pub struct Waiter {
    /// Whom to reply to.
    pub client: Arc<Client>,
    /// How to reply.
    pub protocol: Protocol,
    /// The id of the command.
    pub command: usize,
    /// Its words.
    pub argv: OwnedArgv,
    /// The number of the database it looks at.
    pub db: usize,
    /// What it waits for.
    pub wait: Wait,
}

type Key = (usize, Box<[u8]>);

/// All blocked clients.
#[derive(Default)]
pub struct Waiters {
    by_client: HashMap<u64, Waiter>,
    /// Ids of clients in the order in which they came.
    by_key: HashMap<Key, VecDeque<u64>>,
}

impl Waiters {
    /// How many clients are blocked.
    pub fn len(&self) -> usize {
        self.by_client.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.by_client.is_empty()
    }

    /// How many keys are waited for.
    pub fn key_count(&self) -> usize {
        self.by_key.len()
    }

    /// Puts a client behind all others that wait for the same keys.
    pub fn add(&mut self, waiter: Waiter) {
        let id = waiter.client.id;
        for (at, key) in waiter.wait.keys.iter().enumerate() {
            // A key that is named twice counts once.
            if !waiter.wait.keys[..at].contains(key) {
                self.by_key
                    .entry((waiter.db, key.clone()))
                    .or_default()
                    .push_back(id);
            }
        }
        self.by_client.insert(id, waiter);
    }

    /// Takes a client out, if it is still blocked.
    pub fn remove(&mut self, client: u64) -> Option<Waiter> {
        let waiter = self.by_client.remove(&client)?;
        for key in &waiter.wait.keys {
            let key = (waiter.db, key.clone());
            if let Some(queue) = self.by_key.get_mut(&key) {
                queue.retain(|&other| other != client);
                if queue.is_empty() {
                    self.by_key.remove(&key);
                }
            }
        }
        Some(waiter)
    }

    /// A blocked client.
    pub fn get(&self, client: u64) -> Option<&Waiter> {
        self.by_client.get(&client)
    }

    /// The clients that wait for a key, first come first.
    pub fn waiting_for(&self, db: usize, key: &[u8]) -> Vec<u64> {
        let queue = self.by_key.get(&(db, Box::from(key)));
        queue
            .map(|queue| queue.iter().copied().collect())
            .unwrap_or_default()
    }

    /// The keys of a database that are waited for.
    pub fn keys_of(&self, db: usize) -> Vec<Box<[u8]>> {
        self.by_key
            .keys()
            .filter(|key| key.0 == db)
            .map(|key| key.1.clone())
            .collect()
    }
}
