//! The consequences of a change: watched keys, blocked clients, notifications.
//!
//! It runs after a command or a whole transaction, so that whoever is served
//! sees the final state. Serving a client may change keys in turn (BLMOVE);
//! that goes on in the same loop, not in a recursion.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::State;
use super::waiters::Waiter;
use crate::db::{Change, Db, Event};
use crate::events::KeyspaceEvents;
use crate::resp::{Output, Reply};
use crate::server::Server;
use crate::session::ClientFlags;

/// The buffers for a key and a reply keep this many bytes each.
const KEEP: usize = 4096;

/// Settles the journal until it is empty; answers whether anybody has been
/// handed something.
#[inline]
pub fn settle(server: &Server, state: &mut State, now: i64, uptime: Duration) -> bool {
    !state.keyspace.journal.is_empty() && draw(server, state, now, uptime)
}

fn draw(server: &Server, state: &mut State, now: i64, uptime: Duration) -> bool {
    let mut receivers = 0;
    let mut settled = 0;
    let mut key = std::mem::take(&mut state.scratch.key);
    loop {
        let events = std::mem::take(&mut state.keyspace.journal.events);
        let wanted = state.keyspace.journal.notify;
        let told = events
            .iter()
            .map(|event| notify(server, wanted, event, uptime));
        receivers += told.sum::<usize>();
        let known = state.keyspace.journal.changes.len();
        if settled == known {
            break;
        }
        for change in settled..known {
            let journal = &state.keyspace.journal;
            match &journal.changes[change] {
                &Change::Key { db, key: ref place } => {
                    key.clear();
                    key.extend_from_slice(journal.key(place));
                    state.watchers.changed(db, &key);
                    receivers += serve(server, state, db, &key, now, uptime);
                }
                Change::Flushed { db, old } => {
                    let was_there = |key: &[u8]| old.find(key).is_some();
                    state.watchers.changed_where(*db, was_there);
                }
                &Change::Swapped(a, b) => {
                    let (db_a, db_b) = (&state.keyspace.databases[a], &state.keyspace.databases[b]);
                    let in_either =
                        |key: &[u8]| db_a.find(key).is_some() || db_b.find(key).is_some();
                    for db in [a, b] {
                        state.watchers.changed_where(db, in_either);
                    }
                    for db in [a, b] {
                        for key in state.waiters.keys_of(db) {
                            receivers += serve(server, state, db, &key, now, uptime);
                        }
                    }
                }
            }
        }
        settled = known;
    }
    state.keyspace.clear_changes();
    key.shrink_to(KEEP);
    state.scratch.key = key;
    observe(server, state);
    receivers > 0
}

/// Notes whether anybody wants to know of changes.
pub fn observe(server: &Server, state: &mut State) {
    state.keyspace.journal.observed = !state.watchers.is_empty() || !state.waiters.is_empty();
    server.engine.blocked.store(state.waiters.len(), Relaxed);
}

/// Runs the commands of those who wait for `key` again, first come first, as
/// long as there is something for them; answers how many were served.
fn serve(
    server: &Server,
    state: &mut State,
    db: usize,
    key: &[u8],
    now: i64,
    uptime: Duration,
) -> usize {
    let mut count = 0;
    // How many of those who wait are passed over.
    let mut ahead = 0;
    while let Some(waiter) = state.waiters.waiting_for(db, key, ahead) {
        let mut view = Db::new(&mut state.keyspace, db, now, true);
        let Some(found) = view.peek(key) else {
            break;
        };
        let output = &mut state.scratch.reply;
        let mut reply = Reply::new(output, waiter.protocol);
        // A client that is being closed takes nothing with it, and one may
        // wait for a value of another type.
        let served = view.database().value(found).kind() == waiter.wait.kind
            && !waiter.client.flags().contains(ClientFlags::KILLED)
            && run(server, waiter, &mut view, &mut reply);
        let client = waiter.client.id;
        match served.then(|| state.waiters.remove(client)).flatten() {
            Some(waiter) => {
                resume(server, &waiter, output, uptime);
                count += 1;
            }
            None => ahead += 1,
        }
    }
    count
}

/// Runs the command; answers whether it has replied.
fn run(server: &Server, waiter: &Waiter, view: &mut Db<'_>, reply: &mut Reply<'_>) -> bool {
    let mark = reply.output().mark();
    match (waiter.attempt)(view, waiter.argv.as_argv(), reply) {
        Ok(None) => true,
        Ok(Some(_)) => {
            reply.output().rewind(mark);
            false
        }
        Err(error) => {
            reply.output().rewind(mark);
            let stats = server.metrics.command(waiter.command);
            stats.failed.fetch_add(1, Relaxed);
            server.metrics.count_error(error.text());
            reply.error(&error);
            true
        }
    }
}

/// Hands a client that is no longer blocked its reply and has it run on.
pub fn resume(server: &Server, waiter: &Waiter, reply: &mut Output, uptime: Duration) {
    waiter.client.set_flags(ClientFlags::BLOCKED, false);
    let limit = server.output_limit(&waiter.client);
    let add = |inner: &mut crate::session::outbox::Inner| {
        if waiter.silent {
            reply.clear(KEEP);
        } else {
            reply.drain_into(&mut inner.output, KEEP);
        }
        inner.resumed = true;
    };
    if waiter.client.outbox.push(limit, uptime, add) {
        server.note_overflow(&waiter.client, b"");
    }
}

/// Publishes an event on the channels that `notify-keyspace-events` asks for;
/// answers how many times it was handed out.
fn notify(server: &Server, wanted: KeyspaceEvents, event: &Event, uptime: Duration) -> usize {
    let mut receivers = 0;
    if wanted.contains(KeyspaceEvents::KEYSPACE) {
        let channel = [format!("__keyspace@{}__:", event.db).as_bytes(), &event.key].concat();
        receivers += server.publish(&channel, event.name.as_bytes(), uptime);
    }
    if wanted.contains(KeyspaceEvents::KEYEVENT) {
        let channel = format!("__keyevent@{}__:{}", event.db, event.name);
        receivers += server.publish(channel.as_bytes(), &event.key, uptime);
    }
    receivers
}
