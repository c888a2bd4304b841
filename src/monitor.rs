//! MONITOR: clients that follow every command.

use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::command::Argv;
use crate::server::Server;
use crate::session::Client;

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
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.push(client.clone());
        self.count.store(clients.len(), Relaxed);
    }

    /// Removes a client, if it is one.
    pub fn remove(&self, id: u64) {
        if self.count() > 0 {
            let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
            clients.retain(|client| client.id != id);
            self.count.store(clients.len(), Relaxed);
        }
    }

    /// Shows a command to all.
    pub fn feed(&self, server: &Server, from: &Client, db: usize, argv: Argv<'_>) {
        let now = server.clock.wall();
        let source = if from.peer.is_unix() {
            format!("unix:{}", from.peer.local().trim_end_matches(":0"))
        } else {
            from.peer.remote()
        };
        let mut line = format!(
            "+{}.{:06} [{db} {source}]",
            now.as_secs(),
            now.subsec_micros()
        );
        for word in argv.iter() {
            line.push(' ');
            quote(&mut line, word);
        }
        line.push_str("\r\n");
        let uptime: Duration = server.clock.uptime();
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        for client in clients.iter() {
            client.has_messages.store(true, Relaxed);
            let limit = server.output_limit(client);
            if client
                .outbox
                .push(limit, uptime, |inner| inner.output.extend(line.as_bytes()))
            {
                server.note_overflow(client, b"");
            }
        }
    }
}

/// Appends `bytes` as redis-cli would show them: in quotes, with escapes.
pub fn quote(out: &mut String, bytes: &[u8]) {
    out.push('"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(byte as char);
            }
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x07 => out.push_str("\\a"),
            0x08 => out.push_str("\\b"),
            b' '..=b'~' => out.push(byte as char),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push('"');
}
