//! Blocked clients by key, first come first served.
//!
//! Blocking is a value: the handler has said which keys it waits for, and is
//! run again when one of them changes. Nothing is taken for a client that is
//! no longer here, because leaving takes the client's place under the lock.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use crate::db::{Db, Kind};
use crate::error::Result;
use crate::resp::{Argv, OwnedArgv, Protocol, Reply};
use crate::session::Client;

/// What a handler that cannot reply yet waits for.
#[derive(Debug)]
pub struct Wait {
    /// Which words of the request are the keys, in the order in which they are
    /// to be looked at.
    pub keys: Range<usize>,
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

/// Runs a request, which replies or has to wait.
pub type Attempt = fn(&mut Db<'_>, Argv<'_>, &mut Reply<'_>) -> Result<Option<Wait>>;

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
    /// The request.
    pub argv: OwnedArgv,
    /// Runs it again.
    pub attempt: Attempt,
    /// The number of the database it looks at.
    pub db: usize,
    /// What it waits for.
    pub wait: Wait,
}

impl Waiter {
    fn keys(&self) -> impl Iterator<Item = &[u8]> {
        let keys = self.wait.keys.clone();
        keys.filter_map(|index| self.argv.as_argv().get(index))
    }
}

/// By key, the ids of clients in the order in which they came.
type Queues = HashMap<Box<[u8]>, VecDeque<u64>, foldhash::fast::RandomState>;

/// All blocked clients.
#[derive(Default)]
pub struct Waiters {
    by_client: HashMap<u64, Waiter, foldhash::fast::RandomState>,
    /// By the number of the database, as far as somebody has ever waited.
    by_db: Vec<Queues>,
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
        self.by_db.iter().map(HashMap::len).sum()
    }

    /// Puts a client behind all others that wait for the same keys.
    pub fn add(&mut self, waiter: Waiter) {
        let id = waiter.client.id;
        if self.by_db.len() <= waiter.db {
            self.by_db.resize_with(waiter.db + 1, Queues::default);
        }
        let queues = &mut self.by_db[waiter.db];
        for key in waiter.keys() {
            match queues.get_mut(key) {
                // A key that is named twice counts once.
                Some(queue) if queue.back() == Some(&id) => {}
                Some(queue) => queue.push_back(id),
                None => {
                    queues.insert(key.into(), VecDeque::from([id]));
                }
            }
        }
        self.by_client.insert(id, waiter);
    }

    /// Takes a client out, if it is still blocked.
    pub fn remove(&mut self, client: u64) -> Option<Waiter> {
        let waiter = self.by_client.remove(&client)?;
        let queues = &mut self.by_db[waiter.db];
        for key in waiter.keys() {
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
        Some(waiter)
    }

    /// The client that waits for a key behind `ahead` others.
    pub fn waiting_for(&self, db: usize, key: &[u8], ahead: usize) -> Option<&Waiter> {
        let queue = self.by_db.get(db)?.get(key)?;
        self.by_client.get(queue.get(ahead)?)
    }

    /// The keys of a database that are waited for.
    pub fn keys_of(&self, db: usize) -> Vec<Box<[u8]>> {
        let queues = self.by_db.get(db).into_iter();
        queues.flat_map(HashMap::keys).cloned().collect()
    }
}
