//! Who watches which key: WATCH.

use std::collections::HashMap;
use std::sync::Arc;

use crate::session::{Client, ClientFlags};

/// The number of a database, and a key in it.
type Key = (usize, Box<[u8]>);

/// The watched keys, and the clients whose DIRTY flag is set when they change.
#[derive(Default)]
pub struct Watchers {
    by_key: HashMap<Key, Vec<Arc<Client>>>,
}

impl Watchers {
    /// Whether no key is watched.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Has the client marked when the key changes.
    pub fn add(&mut self, db: usize, key: &[u8], client: &Arc<Client>) {
        self.by_key
            .entry((db, key.into()))
            .or_default()
            .push(client.clone());
    }

    /// Ends that.
    pub fn remove(&mut self, db: usize, key: &[u8], client: &Client) {
        let key = (db, Box::from(key));
        if let Some(clients) = self.by_key.get_mut(&key) {
            clients.retain(|other| other.id != client.id);
            if clients.is_empty() {
                self.by_key.remove(&key);
            }
        }
    }

    /// A key has changed.
    pub fn changed(&self, db: usize, key: &[u8]) {
        if self.by_key.is_empty() {
            return;
        }
        if let Some(clients) = self.by_key.get(&(db, Box::from(key))) {
            mark(clients);
        }
    }

    /// All keys of a database for which `has_changed` holds have changed.
    pub fn changed_where(&self, db: usize, has_changed: impl Fn(&[u8]) -> bool) {
        for ((of, key), clients) in &self.by_key {
            if *of == db && has_changed(key) {
                mark(clients);
            }
        }
    }
}

fn mark(clients: &[Arc<Client>]) {
    clients
        .iter()
        .for_each(|client| client.set_flags(ClientFlags::DIRTY, true));
}
