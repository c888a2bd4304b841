//! The consequences of a change: watched keys, invalidations, notifications,
//! blocked clients.
//!
//! Whoever watches or listens is told after each command, of a transaction as
//! well, so that all hear of things in the order in which they happen. Who is
//! blocked is served after the whole transaction, and so sees the final state.
//! Serving a client may change keys in turn (BLMOVE); that goes on in the same
//! loop, not in a recursion.

use std::cell::Cell;
use std::time::Duration;

use super::state::{KEEP, State};
use super::waiters::{Recipient, Waiter};
use crate::db::{Change, Db, Event};
use crate::events::KeyspaceEvents;
use crate::resp::{Output, Reply};
use crate::server::Server;
use crate::session::ClientFlags;
use crate::session::outbox::Pending;
use crate::tracking::Post;

/// When something is settled: milliseconds since 1970, and time since the
/// broker's start.
#[derive(Clone, Copy)]
pub struct Now {
    pub wall: i64,
    pub uptime: Duration,
}

/// Marks the clients that watch what has changed by a command of the client
/// `by`, has those told who keep it, and publishes the events; answers whether
/// another client has been handed something.
pub fn tell(server: &Server, state: &mut State, by: Option<u64>, now: Now) -> bool {
    if state.keyspace.journal.is_empty() {
        return false;
    }
    let State {
        keyspace,
        watchers,
        changes_told,
        ..
    } = state;
    for change in &keyspace.journal.changes[*changes_told..] {
        match change {
            &Change::Key {
                db,
                ref key,
                expired,
                ..
            } => {
                let key = keyspace.journal.key(key);
                watchers.changed(keyspace, db, key, now.wall, expired);
            }
            Change::Called { .. } => {}
            Change::Flushed { db, old } => watchers.flushed(*db, old),
            &Change::Swapped(a, b) => {
                watchers.swapped(keyspace, a, b, now.wall);
                watchers.swapped(keyspace, b, a, now.wall);
            }
            Change::Rearranged => watchers.mark_all(),
        }
    }
    let mut reached = !state.tracking.is_idle() && invalidate(server, state, by, now.uptime);
    let journal = &mut state.keyspace.journal;
    state.changes_told = journal.changes.len();
    let wanted = journal.notify;
    for event in std::mem::take(&mut journal.events) {
        reached |= notify(server, wanted, &event, now.uptime) > 0;
    }
    reached
}

/// Has those told who keep what has changed. Redis does so before it tells of
/// most events.
#[cold]
fn invalidate(server: &Server, state: &mut State, by: Option<u64>, uptime: Duration) -> bool {
    let State {
        keyspace, tracking, ..
    } = state;
    let journal = &keyspace.journal;
    post(server, by, uptime, |post| {
        let mut flushed = false;
        for change in &journal.changes[state.changes_told..] {
            match change {
                &Change::Key { ref key, asked, .. } => {
                    tracking.changed(journal.key(key), asked, post);
                }
                // Once for all databases of FLUSHALL.
                Change::Flushed { .. } if std::mem::replace(&mut flushed, true) => {}
                Change::Flushed { .. } => tracking.flushed(post),
                Change::Rearranged => tracking.flushed(post),
                // Redis tells nobody of SWAPDB.
                Change::Swapped(..) | Change::Called { .. } => {}
            }
        }
    })
}

/// Has `send` send messages to clients that track keys; answers whether one
/// other than `by` has been handed something.
pub fn post(
    server: &Server,
    by: Option<u64>,
    uptime: Duration,
    send: impl FnOnce(&Post<'_>),
) -> bool {
    server.deliver(uptime, |delivery| {
        let post = Post {
            clients: &server.clients,
            delivery,
            by,
            reached_others: Cell::new(false),
        };
        send(&post);
        post.reached_others.get()
    })
}

/// Has a client told of what its own command has changed, which has been
/// answered; answers whether another one has been handed something.
fn tell_own(server: &Server, state: &mut State, by: Option<u64>, uptime: Duration) -> bool {
    let tracking = &mut state.tracking;
    tracking.has_own() && post(server, by, uptime, |post| tracking.tell_own(post))
}

/// Settles the journal until it is empty, which commands of the client `by`
/// have filled; answers whether anybody has been handed something.
pub fn settle(server: &Server, state: &mut State, by: Option<u64>, now: Now) -> bool {
    let mut reached = false;
    let mut settled = 0;
    let mut key = std::mem::take(&mut state.scratch.key);
    loop {
        reached |= tell(server, state, by, now);
        reached |= tell_own(server, state, by, now.uptime);
        let known = state.keyspace.journal.changes.len();
        if settled == known {
            break;
        }
        for change in settled..known {
            let journal = &state.keyspace.journal;
            match &journal.changes[change] {
                &Change::Key {
                    db,
                    key: ref place,
                    expired: None,
                    ..
                }
                | &Change::Called { db, key: ref place } => {
                    key.clear();
                    key.extend_from_slice(journal.key(place));
                    reached |= serve(server, state, db, &key, now);
                }
                // Nobody waits for what has gone, and to look at the key would
                // remove more of it.
                Change::Key { .. } => {}
                &Change::Flushed { db, .. } if state.waiters.hear_of_losses() => {
                    reached |= serve_all(server, state, [db], now);
                }
                // There is nothing for anybody else then.
                Change::Flushed { .. } => {}
                &Change::Swapped(a, b) => reached |= serve_all(server, state, [a, b], now),
                Change::Rearranged => {
                    let all = 0..state.keyspace.databases.len();
                    reached |= serve_all(server, state, all, now);
                }
            }
        }
        settled = known;
    }
    state.keyspace.clear_changes();
    state.changes_told = 0;
    key.shrink_to(KEEP);
    state.scratch.key = key;
    state.note_observers();
    reached
}

/// Does so for every key of these databases that somebody waits for.
fn serve_all(
    server: &Server,
    state: &mut State,
    databases: impl IntoIterator<Item = usize>,
    now: Now,
) -> bool {
    let mut served_any = false;
    for db in databases {
        for key in state.waiters.keys_of(db) {
            served_any |= serve(server, state, db, &key, now);
        }
    }
    served_any
}

/// Runs the commands of those who wait for `key` again, first come first, as
/// long as there is something for them; answers whether any was served.
fn serve(server: &Server, state: &mut State, db: usize, key: &[u8], now: Now) -> bool {
    let mut served_any = false;
    let mut from = 0;
    while let Some((at, place, waiter)) = state.waiters.waiting_for(db, key, from) {
        let mut view = Db::new(&mut state.keyspace, db, now.wall, true);
        let found = view.peek(key);
        if found.is_none() && !state.waiters.hear_of_losses() {
            break;
        }
        let kind = found.map(|found| view.database().value(found).kind());
        if !waiter.may_be_served(&view, found, place) {
            from = at + 1;
            continue;
        }
        let mut output = state.scratch.reply.lend();
        let mut reply = Reply::new(&mut output, waiter.recipient.protocol);
        // A client that is being closed takes nothing with it, and one may
        // wait for a value of another type.
        let served = (waiter.wait.kind.is_none() || waiter.wait.kind == kind)
            && !waiter
                .recipient
                .client
                .flags()
                .contains(ClientFlags::KILLED)
            && run(server, waiter, &mut view, &mut reply);
        let client = waiter.recipient.client.id;
        let read: Vec<Box<[u8]>> = match served && waiter.tracks {
            true => waiter.keys().map(|(_, key)| key.into()).collect(),
            false => Vec::new(),
        };
        match served.then(|| state.waiters.remove(client)).flatten() {
            Some(recipient) => {
                resume(server, &recipient, &mut output, now.uptime);
                drop(output);
                // What it has changed is its own doing.
                tell(server, state, Some(client), now);
                tell_own(server, state, Some(client), now.uptime);
                note_reads(server, state, client, &read, now.uptime);
                served_any = true;
            }
            None => from = at + 1,
        }
    }
    served_any
}

/// Notes that a client has read keys that is told of what it reads; answers
/// whether another one has lost its place in the table for that.
pub fn note_reads<K: AsRef<[u8]>>(
    server: &Server,
    state: &mut State,
    client: u64,
    keys: &[K],
    uptime: Duration,
) -> bool {
    let tracking = &mut state.tracking;
    let note = |post: &Post<'_>| {
        let keys = keys.iter().map(AsRef::as_ref);
        keys.for_each(|key| tracking.note(client, key, post));
    };
    !keys.is_empty() && post(server, Some(client), uptime, note)
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
            server.metrics.count_failure(waiter.command, &error);
            reply.error(&error);
            true
        }
    }
}

/// Hands a client that is no longer blocked its reply and has it run on.
pub fn resume(server: &Server, recipient: &Recipient, reply: &mut Output, uptime: Duration) {
    let client = &*recipient.client;
    // Before housekeeping can take it for idle.
    client.note_activity(uptime);
    client.set_flags(ClientFlags::BLOCKED, false);
    let limit = server.live.output_limit(client.flags());
    let recorder = server.recorder().filter(|_| recipient.on_record);
    let add = |pending: &mut Pending| {
        if let Some(recorder) = recorder {
            recorder.resumed(client.who(), (!recipient.silent).then_some(&*reply));
        }
        if !recipient.silent {
            let struck = pending.struck.as_deref_mut();
            reply.drain_into(struck.unwrap_or(&mut pending.output), KEEP);
        }
        pending.resumed = true;
    };
    if client.outbox.push(limit, uptime, add) {
        server.note_overflow(client, b"");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Turn, Wait};
    use crate::error::Result;
    use crate::resp::Argv;
    use crate::session::outbox::OutputLimit;
    use crate::testing::{self, blocked};
    use crate::tracking::Options;

    /// Answers the key that it waits for.
    fn name_the_key(_: &mut Db<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Result<Option<Wait>> {
        reply.bulk(argv.get(0).unwrap());
        Ok(None)
    }

    #[test]
    fn who_has_been_served_is_told_when_what_it_has_read_changes() {
        let engine = testing::engine();
        let mut session = blocked(&engine, "jobs", name_the_key);
        let client = session.client.clone();
        client.set_flags(ClientFlags::RESP3, true);
        let mut turn = Turn::of(&engine, &client);
        assert!(turn.begin());
        turn.start_tracking(&mut session, &Options::default());
        turn.note_reads_when_served();
        drop(turn);
        let mut pusher = testing::client(&engine);
        assert_eq!(pusher.line("RPUSH jobs a"), ":1");
        assert_eq!(pusher.line("RPUSH jobs a"), ":2");
        let received = client.outbox.lock().output.only().unwrap().to_vec();
        let expected = "$4\r\njobs\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$4\r\njobs\r\n";
        assert_eq!(String::from_utf8_lossy(&received), expected);
    }

    #[test]
    fn the_reply_to_a_client_that_has_just_been_cut_off_reaches_nobody_else() {
        let engine = testing::engine();
        let cut = blocked(&engine, "jobs1", name_the_key);
        let next = blocked(&engine, "jobs2", name_the_key);
        // Housekeeping finds it above its limit, and has not said so yet.
        let mut outbox = cut.client.outbox.lock();
        outbox.output.extend(b"not read");
        let limit = OutputLimit {
            hard: 1,
            ..OutputLimit::default()
        };
        assert!(outbox.exceeds(limit, Duration::ZERO));
        drop(outbox);
        let mut pusher = testing::client(&engine);
        assert_eq!(pusher.line("RPUSH jobs1 a"), ":1");
        assert_eq!(pusher.line("RPUSH jobs2 a"), ":1");
        let received = next.client.outbox.lock().output.only().unwrap().to_vec();
        assert_eq!(String::from_utf8_lossy(&received), "$5\r\njobs2\r\n");
    }
}
