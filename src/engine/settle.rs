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

/// Settles the journal until it is empty; answers whether anybody has been
/// handed something.
#[inline]
pub fn settle(server: &Server, state: &mut State, now: i64, uptime: Duration) -> bool {
    !state.keyspace.journal.is_empty() && draw(server, state, now, uptime)
}

fn draw(server: &Server, state: &mut State, now: i64, uptime: Duration) -> bool {
    let mut receivers = 0;
    while !state.keyspace.journal.is_empty() {
        let events = std::mem::take(&mut state.keyspace.journal.events);
        let wanted = state.keyspace.journal.notify;
        let told = events
            .iter()
            .map(|event| notify(server, wanted, event, uptime));
        receivers += told.sum::<usize>();
        let changes = std::mem::take(&mut state.keyspace.journal.changes);
        let ready = touched(state, changes);
        for (db, key) in ready {
            receivers += serve(server, state, db, &key, now, uptime);
        }
    }
    observe(server, state);
    receivers > 0
}

/// Notes whether anybody wants to know of changes.
pub fn observe(server: &Server, state: &mut State) {
    state.keyspace.journal.observed = !state.watchers.is_empty() || !state.waiters.is_empty();
    server.engine.blocked.store(state.waiters.len(), Relaxed);
}

/// Tells watchers, and answers the keys that blocked clients may wait for, in
/// the order in which they changed.
fn touched(state: &State, changes: Vec<Change>) -> Vec<(usize, Box<[u8]>)> {
    let mut ready: Vec<(usize, Box<[u8]>)> = Vec::new();
    let mut waited = |db: usize, key: Box<[u8]>| {
        if !state.waiters.is_empty()
            && ready
                .last()
                .is_none_or(|last| last.0 != db || last.1 != key)
        {
            ready.push((db, key));
        }
    };
    for change in changes {
        match change {
            Change::Key { db, key } => {
                state.watchers.changed(db, &key);
                waited(db, key);
            }
            Change::Flushed { db, old } => {
                state
                    .watchers
                    .changed_where(db, |key| old.find(key).is_some());
            }
            Change::Swapped(a, b) => {
                let (db_a, db_b) = (&state.keyspace.databases[a], &state.keyspace.databases[b]);
                let in_either = |key: &[u8]| db_a.find(key).is_some() || db_b.find(key).is_some();
                for db in [a, b] {
                    state.watchers.changed_where(db, in_either);
                    state
                        .waiters
                        .keys_of(db)
                        .into_iter()
                        .for_each(|key| waited(db, key));
                }
            }
        }
    }
    ready
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
        let mut view = Db {
            keyspace: &mut state.keyspace,
            index: db,
            now,
            touch: true,
        };
        let Some(found) = view.peek(key) else {
            break;
        };
        let mut output = Output::default();
        let mut reply = Reply::new(&mut output, waiter.protocol);
        // A client that is being closed takes nothing with it, and one may
        // wait for a value of another type.
        let served = view.database().kind(found) == waiter.wait.kind
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
    match (waiter.retry)(view, reply) {
        Ok(None) => true,
        Ok(Some(_)) => false,
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
pub fn resume(server: &Server, waiter: &Waiter, mut output: Output, uptime: Duration) {
    waiter.client.set_flags(ClientFlags::BLOCKED, false);
    let limit = server.output_limit(&waiter.client);
    let add = |inner: &mut crate::session::outbox::Inner| {
        if !waiter.silent {
            inner.output.append(&mut output);
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
