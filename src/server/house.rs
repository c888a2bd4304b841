//! Keeping house: what needs time to pass and touches no data. Rates, soft
//! limits of outboxes, clients that are idle too long.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::runtime::Handle;

use super::Server;
use crate::clock::Clock;
use crate::process;
use crate::session::ClientFlags;
use crate::session::client::{Client, Peer};

/// Keeps house `hz` times a second, until the task is dropped.
pub async fn keep(server: &Server) {
    loop {
        // A panic is on record, and no reason to keep house no longer.
        let _ = catch_unwind(AssertUnwindSafe(|| keep_once(server)));
        let hz = server.live.hz.load(Relaxed).max(1);
        server
            .clock
            .sleep(Duration::from_micros(1_000_000 / hz))
            .await;
    }
}

/// Gives memory that was freed back to the system, which an allocator that is
/// not called would never do, until the task is dropped.
///
/// Twice a second: mimalloc does it after a second, but on the thread that
/// frees the next page, whose clients wait meanwhile. A thread of its own has
/// the time that it takes.
pub async fn give_back(clock: Clock, purge: fn(), workers: Vec<Handle>) {
    let resident = || process::resident_memory().map_or(0, |memory| memory.total);
    let mut most = 0;
    loop {
        clock.sleep(Duration::from_millis(500)).await;
        most = most.max(resident());
        // Only the end of the broker cancels it, and this task with it.
        let _ = tokio::task::spawn_blocking(purge).await;
        let left = resident();
        // What workers keep for themselves only they can give back. It is
        // little, and takes them up to 74 ms after a million single deletions, so they are asked only when
        // most of the rest has gone: a burst is over.
        if left < most / 2 {
            most = left;
            for worker in &workers {
                worker.spawn(async move { purge() });
            }
        }
    }
}

fn keep_once(server: &Server) {
    let machine = server.clock.machine();
    let metrics = &server.metrics;
    let cycles = metrics.event_loops.cycles();
    let totals = [
        metrics.commands(),
        metrics.input_bytes.load(Relaxed),
        metrics.output_bytes.load(Relaxed),
        cycles.count,
        cycles.busy.as_micros() as u64,
    ];
    metrics.rates.sample(machine, totals);
    server.cut_heavy_clients();
    // Ten thousand clients are looked at once a second, not ten times.
    let uptime = server.clock.at(machine);
    let second = uptime.as_secs();
    if server.kept_house_at.swap(second, Relaxed) != second {
        server
            .clients
            .for_each(|client| look_after(server, client, uptime));
        server.pubsub.trim();
    }
}

/// What house is kept for that falls due with time alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Chore {
    /// A client sends nothing for too long.
    Idle,
    /// A client does not read.
    Unread,
}

/// When the first client is to be closed if it does nothing until then, which
/// it is and why.
pub fn first_due(server: &Server) -> Option<(Duration, u64, Chore)> {
    let idle_after = server.live.idle_timeout.load(Relaxed);
    let mut first: Option<(Duration, u64, Chore)> = None;
    server.clients.for_each(|client| {
        if client.flags().contains(ClientFlags::KILLED) {
            return;
        }
        let limit = server.live.output_limit(client.flags());
        let unread = client.outbox.lock().soft_until(limit);
        let unread = unread.map(|at| (at, client.id, Chore::Unread));
        let counts = idle_after > 0 && may_be_idle(client);
        let idle = counts.then(|| (idle_from(client, idle_after), client.id, Chore::Idle));
        let due = [first, unread, idle].into_iter().flatten();
        first = due.min_by_key(|(at, client, _)| (*at, *client));
    });
    first
}

/// When the client will have been idle for more than so many whole seconds.
fn idle_from(client: &Client, seconds: u64) -> Duration {
    client.active() + Duration::from_secs(seconds.saturating_add(1))
}

/// Does what is due, instead of at the next round.
pub fn catch_up(server: &Server) {
    let uptime = server.clock.uptime();
    server
        .clients
        .for_each(|client| look_after(server, client, uptime));
}

/// Closes a client that does not read, or sends nothing for too long.
fn look_after(server: &Server, client: &Client, uptime: Duration) {
    let limit = server.live.output_limit(client.flags());
    let mut outbox = client.outbox.lock();
    let overflowed = outbox.exceeds(limit, uptime);
    outbox.trim();
    drop(outbox);
    if overflowed {
        server.note_overflow(client, b"");
    }
    let idle_after = server.live.idle_timeout.load(Relaxed);
    if idle_after > 0 && may_be_idle(client) && client.idle(uptime).as_secs() > idle_after {
        tracing::debug!(
            id = client.id,
            addr = client.peer.remote(),
            name = client.name(),
            "Closing idle client",
        );
        client.kill();
    }
}

/// Whether `timeout` applies: not to those who wait for something, nor to who
/// has no connection that could be closed.
fn may_be_idle(client: &Client) -> bool {
    let waits = ClientFlags::BLOCKED | ClientFlags::PAUSED | ClientFlags::DELAYED;
    let waits = waits | ClientFlags::PUBSUB | ClientFlags::MONITOR;
    !client.flags().intersects(waits) && client.peer != Peer::Local
}
