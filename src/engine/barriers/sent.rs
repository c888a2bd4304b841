//! What each client has sent, of a broker for tests.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// By the id of a client, how often it has sent which command, as long as it is
/// connected: no more for each than there are commands.
#[derive(Default)]
pub struct Sent {
    by_client: Mutex<BTreeMap<u64, Counts>>,
}

/// How often, by the id of the command.
pub type Counts = BTreeMap<usize, u64>;

impl Sent {
    /// Notes that it has sent these.
    pub fn note(&self, client: u64, commands: impl Iterator<Item = usize>) {
        let mut by_client = self.by_client.lock();
        let counts = by_client.entry(client).or_default();
        for command in commands {
            *counts.entry(command).or_default() += 1;
        }
    }

    /// What it has sent.
    pub fn of(&self, client: u64) -> Counts {
        self.by_client
            .lock()
            .get(&client)
            .cloned()
            .unwrap_or_default()
    }

    /// How often it has sent those that are wanted.
    pub fn times(&self, client: u64, is_wanted: impl Fn(usize) -> bool) -> u64 {
        let by_client = self.by_client.lock();
        let counts = by_client.get(&client).into_iter().flatten();
        let wanted = counts.filter(|(id, _)| is_wanted(**id));
        wanted.map(|(_, times)| times).sum()
    }

    /// Forgets a client that has gone.
    pub fn forget(&self, client: u64) {
        self.by_client.lock().remove(&client);
    }
}
