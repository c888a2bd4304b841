//! MONITOR: clients that follow every command.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::resp::Argv;
use crate::session::Client;
use crate::session::delivery::Delivery;
use crate::text::words::quote;

/// The clients that follow.
#[derive(Default)]
pub struct Monitors {
    // Held while a line is handed out, so that all see the same order.
    clients: Mutex<Vec<Arc<Client>>>,
    count: AtomicUsize,
}

impl Monitors {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Adds a client.
    pub fn add(&self, client: &Arc<Client>) {
        let mut clients = self.clients.lock();
        clients.push(client.clone());
        self.count.store(clients.len(), Relaxed);
    }

    /// Removes a client, if it is one.
    pub fn remove(&self, id: u64) {
        if self.count() > 0 {
            let mut clients = self.clients.lock();
            clients.retain(|client| client.id != id);
            self.count.store(clients.len(), Relaxed);
        }
    }

    /// Shows a command to all, which ran `now`, in time since 1970, and which
    /// this client has sent, or a script.
    pub fn feed(
        &self,
        now: Duration,
        from: Option<&Client>,
        db: usize,
        argv: Argv<'_>,
        delivery: &Delivery<'_>,
    ) {
        let source = match from {
            None => "lua".to_owned(),
            Some(from) if from.peer.is_unix() => {
                format!("unix:{}", from.peer.local().trim_end_matches(":0"))
            }
            Some(from) => from.peer.remote(),
        };
        let (seconds, micros) = (now.as_secs(), now.subsec_micros());
        let mut line = format!("+{seconds}.{micros:06} [{db} {source}]").into_bytes();
        for word in argv.iter() {
            line.push(b' ');
            line.extend(quote(word));
        }
        line.extend(b"\r\n");
        let line = Bytes::from(line);
        let clients = self.clients.lock();
        for client in clients.iter() {
            delivery.hand(client, b"", |pending| pending.output.share(&line));
        }
    }
}
