//! Blocked clients by key, first come first served.
//!
//! Blocking is a value: the handler has said which keys it waits for, and is
//! run again when one of them changes. Nothing is taken for a client that is
//! no longer here, because leaving takes the client's place under the lock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::db::{Db, Kind};
use crate::error::Result;
use crate::resp::{Protocol, Reply};
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
    /// The reply within a transaction, where nothing waits. When the time is
    /// up, it is a null array for every command.
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

/// Runs a command again, which replies or still has to wait.
pub type Retry = Box<dyn Fn(&mut Db<'_>, &mut Reply<'_>) -> Result<Option<Wait>> + Send>;

/// A blocked client, and the command that it waits to have run again.
pub struct Waiter {
    /// Whom to reply to.
    pub client: Arc<Client>,
    /// How to reply.
    pub protocol: Protocol,
    /// It wants no reply: CLIENT REPLY.
    pub silent: bool,
    /// The id of the command.
    pub command: usize,
    /// Runs it again.
    pub retry: Retry,
    /// The number of the database it looks at.
    pub db: usize,
    /// What it waits for.
    pub wait: Wait,
}

/// By key, the ids of clients in the order in which they came.
type Queues = HashMap<Box<[u8]>, VecDeque<u64>, foldhash::fast::RandomState>;

/// All blocked clients.
#[derive(Default)]
pub struct Waiters {
    by_client: HashMap<u64, Waiter>,
    /// By the number of the database; none is empty.
    by_db: HashMap<usize, Queues>,
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

    /// How many of them wait no longer than a time.
    pub fn timed(&self) -> usize {
        let waiters = self.by_client.values();
        waiters.filter(|waiter| waiter.wait.timeout_ms > 0).count()
    }

    /// How many keys are waited for.
    pub fn key_count(&self) -> usize {
        self.by_db.values().map(HashMap::len).sum()
    }

    /// Puts a client behind all others that wait for the same keys.
    pub fn add(&mut self, waiter: Waiter) {
        let id = waiter.client.id;
        let queues = self.by_db.entry(waiter.db).or_default();
        for key in &waiter.wait.keys {
            let queue = queues.entry(key.clone()).or_default();
            // A key that is named twice counts once.
            if queue.back() != Some(&id) {
                queue.push_back(id);
            }
        }
        self.by_client.insert(id, waiter);
    }

    /// Takes a client out, if it is still blocked.
    pub fn remove(&mut self, client: u64) -> Option<Waiter> {
        let waiter = self.by_client.remove(&client)?;
        let queues = self.by_db.entry(waiter.db).or_default();
        for key in &waiter.wait.keys {
            if let Some(queue) = queues.get_mut(key) {
                // Who is served is mostly the first.
                if let Some(at) = queue.iter().position(|&other| other == client) {
                    queue.remove(at);
                }
                if queue.is_empty() {
                    queues.remove(key);
                }
            }
        }
        if queues.is_empty() {
            self.by_db.remove(&waiter.db);
        }
        Some(waiter)
    }

    /// The client that waits for a key behind `ahead` others.
    pub fn waiting_for(&self, db: usize, key: &[u8], ahead: usize) -> Option<&Waiter> {
        let queue = self.by_db.get(&db)?.get(key)?;
        self.by_client.get(queue.get(ahead)?)
    }

    /// The keys of a database that are waited for.
    pub fn keys_of(&self, db: usize) -> Vec<Box<[u8]>> {
        let queues = self.by_db.get(&db).into_iter();
        queues.flat_map(HashMap::keys).cloned().collect()
    }
}
