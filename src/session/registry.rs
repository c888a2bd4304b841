//! The clients that are connected.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use dashmap::DashMap;

use super::client::{Client, Peer};
use super::held::Held;

/// The clients that are connected, by id.
pub struct Registry {
    by_id: DashMap<u64, Arc<Client>>,
    next_id: AtomicU64,
    held: Held,
}

impl Default for Registry {
    fn default() -> Self {
        Registry {
            by_id: DashMap::new(),
            next_id: AtomicU64::new(1),
            held: Held::default(),
        }
    }
}

impl Registry {
    /// One with no clients, which goes on with the ids.
    pub fn without_clients(&self) -> Registry {
        let next_id = AtomicU64::new(self.next_id.load(Relaxed));
        Registry {
            next_id,
            ..Registry::default()
        }
    }

    /// Registers a client that has connected `now`, in time since the broker's
    /// start.
    pub fn add(&self, fd: i32, peer: Peer, now: Duration) -> Arc<Client> {
        let id = self.next_id.fetch_add(1, Relaxed);
        let client = Arc::new(Client::new(id, fd, peer, now, &self.held));
        self.by_id.insert(id, client.clone());
        client
    }

    /// Forgets a client.
    pub fn remove(&self, id: u64) {
        self.by_id.remove(&id);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Bytes of memory that all hold together, with those that have gone and
    /// whose traces are being taken down.
    pub fn memory(&self) -> usize {
        self.held.bytes()
    }

    /// The client with this id.
    pub fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.by_id.get(&id).map(|client| client.clone())
    }

    /// All, in the order in which they came.
    pub fn all(&self) -> Vec<Arc<Client>> {
        let clients = self.by_id.iter();
        let mut clients: Vec<_> = clients.map(|client| client.clone()).collect();
        clients.sort_unstable_by_key(|client| client.id);
        clients
    }

    /// Looks at each, in no order.
    pub fn for_each(&self, mut look: impl FnMut(&Client)) {
        self.by_id.iter().for_each(|client| look(&client));
    }
}
