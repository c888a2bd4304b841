//! Where handlers meet the data: the only lock of the keyspace in the crate.
//!
//! A [`Turn`] is what one client does at one go: it takes the lock at the
//! first command that needs data, keeps it to the end of the batch, and reads
//! the clock once. After each command, or transaction, [`settle`] draws the
//! consequences while the lock is still held. No lock is held across an await.

mod settle;
mod waiters;
mod watchers;

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use waiters::Waiter;
pub use waiters::{Attempt, Null, Wait, Waiters};
use watchers::Watchers;

use crate::db::{Db, Keyspace};
use crate::error::Error;
use crate::resp::{Output, OwnedArgv, Reply};
use crate::server::Server;
use crate::session::{Client, ClientFlags, ReplyMode, Session};

/// The data and who waits for it or watches it, behind one lock.
pub struct Engine {
    // Guards everything in State. Taken before a channel's entry and before an
    // outbox, never after.
    state: Mutex<State>,
    /// When the expiry task is to run next, in milliseconds since 1970.
    armed_for: AtomicI64,
    /// Wakes the expiry task: a key is due earlier than it thinks.
    pub rearmed: Notify,
    /// Clients that are blocked.
    pub blocked: AtomicUsize,
}

/// What the lock guards.
pub struct State {
    /// The data.
    pub keyspace: Keyspace,
    /// Clients that are blocked until a key changes.
    pub waiters: Waiters,
    /// Clients that want to know whether a key has changed.
    pub watchers: Watchers,
    scratch: Scratch,
}

/// Buffers that are used again, so that serving a client allocates nothing.
#[derive(Default)]
struct Scratch {
    key: Vec<u8>,
    reply: Output,
}

/// What one client does at one go.
pub struct Turn<'a> {
    server: &'a Server,
    state: Option<MutexGuard<'a, State>>,
    /// Milliseconds since 1970, as of the command that runs, give or take one.
    pub now: i64,
    /// Time since the broker's start, likewise.
    pub uptime: Duration,
    /// A command has taken so long since that both are to be read again.
    outdated: bool,
    /// The time since the broker's start when it was read last: at the end of
    /// the calls that are timed, which is the beginning of the next.
    read_until: Duration,
    /// Calls of one command that are not counted in the metrics yet.
    tally: Tally,
    /// The call that runs is timed, whatever was planned.
    time_now: bool,
    /// Other clients have been handed something in this turn.
    pub reached_others: bool,
}

/// Calls in a row of one command. In a pipeline they are many, and counting
/// them together spares each two writes to memory that workers share.
#[derive(Default)]
struct Tally {
    command: usize,
    calls: u64,
    nanos: u64,
    /// Calls since the clock was read.
    untimed: u32,
}

impl Engine {
    /// Takes over the data.
    pub fn new(keyspace: Keyspace) -> Engine {
        let state = State {
            keyspace,
            waiters: Waiters::default(),
            watchers: Watchers::default(),
            scratch: Scratch::default(),
        };
        Engine {
            state: Mutex::new(state),
            armed_for: AtomicI64::new(i64::MAX),
            rearmed: Notify::new(),
            blocked: AtomicUsize::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Turn<'a> {
    /// Begins a turn now.
    pub fn new(server: &'a Server) -> Turn<'a> {
        let uptime = server.clock.uptime();
        Turn {
            server,
            state: None,
            now: server.clock.now_ms(),
            uptime,
            outdated: false,
            read_until: uptime,
            tally: Tally::default(),
            time_now: false,
            reached_others: false,
        }
    }

    /// Reads the clock again if commands of this turn have taken so long that
    /// the next one would see keys whose time has come.
    pub fn keep_time(&mut self) {
        if self.outdated {
            self.outdated = false;
            self.now = self.server.clock.now_ms();
            self.uptime = self.read_until;
        }
    }

    /// Begins a call of the command with this id; answers since when it, or
    /// the calls that are timed together with it, run, in time since the
    /// broker's start.
    pub fn begin_call(&mut self, command: usize) -> Duration {
        if self.tally.command != command {
            self.count_tally();
            self.tally.command = command;
        }
        self.read_until
    }

    /// Ends and counts a call that began at `start`. If it is `timed`, answers
    /// how long it has taken, together with the untimed ones of the same
    /// command before it.
    pub fn end_call(&mut self, command: usize, start: Duration, timed: bool) -> Option<Duration> {
        // Those of a transaction have been counted in between.
        self.begin_call(command);
        self.tally.untimed += 1;
        (timed || self.time_now).then(|| self.time_calls(start))
    }

    /// Notes that the call that runs has handed something to so many clients.
    pub fn handed_out(&mut self, receivers: usize) {
        // To hand out to so many takes as long as other calls do together.
        const MANY: usize = 16;
        self.reached_others |= receivers > 0;
        self.time_now |= receivers > MANY;
    }

    fn time_calls(&mut self, start: Duration) -> Duration {
        const OUTDATED_AFTER: Duration = Duration::from_millis(1);
        self.time_now = false;
        self.read_until = self.server.clock.uptime();
        self.outdated = self.read_until.saturating_sub(self.uptime) >= OUTDATED_AFTER;
        let duration = self.read_until.saturating_sub(start);
        let nanos = duration.as_nanos() as u64;
        let calls = u64::from(std::mem::take(&mut self.tally.untimed));
        self.tally.calls += calls;
        self.tally.nanos += nanos;
        let metrics = &self.server.metrics;
        metrics.count_latency(self.tally.command, nanos, calls);
        duration
    }

    /// Brings the metrics up to date, for whoever is about to read them.
    pub fn count_tally(&mut self) {
        if self.tally.untimed > 0 {
            self.time_calls(self.read_until);
        }
        let Tally {
            command,
            calls,
            nanos,
            ..
        } = std::mem::take(&mut self.tally);
        if calls > 0 {
            self.server.metrics.count_calls(command, calls, nanos);
        }
    }

    /// The data and who waits for it; the lock is taken at the first call and
    /// kept to the end of the turn.
    pub fn state(&mut self) -> &mut State {
        let server = self.server;
        self.state.get_or_insert_with(|| server.engine.lock())
    }

    /// A handler's view of a database.
    pub fn db(&mut self, index: usize, touch: bool) -> Db<'_> {
        let now = self.now;
        Db::new(&mut self.state().keyspace, index, now, touch)
    }

    /// Draws the consequences of what has happened in this turn so far.
    #[inline]
    pub fn settle(&mut self) {
        if let Some(state) = &mut self.state {
            self.reached_others |= settle::settle(self.server, state, self.now, self.uptime);
        }
    }

    /// Has a client wait for keys; `attempt` runs its request again when one
    /// changes.
    pub fn block(
        &mut self,
        session: &mut Session,
        command: usize,
        attempt: Attempt,
        argv: OwnedArgv,
        wait: Wait,
    ) {
        session.client.set_flags(ClientFlags::BLOCKED, true);
        let silent = session.reply_mode != ReplyMode::On;
        if session.reply_mode == ReplyMode::Skip {
            session.reply_mode = ReplyMode::On;
        }
        let waiter = Waiter {
            client: session.client.clone(),
            protocol: session.protocol,
            silent,
            command,
            argv,
            attempt,
            db: session.db,
            wait,
        };
        let server = self.server;
        let state = self.state();
        state.waiters.add(waiter);
        settle::observe(server, state);
    }

    /// Ends a client's wait with the reply for a time that is up, unless it
    /// has been served already. Answers whether it was blocked.
    pub fn time_out(&mut self, client: &Client) -> bool {
        // Redis answers an array here even where a transaction gets a string.
        self.release(client.id, |_, reply| reply.null_array())
    }

    /// Ends a client's wait with an error. Answers whether it was blocked.
    pub fn fail_blocked(&mut self, client: &Client, error: &Error) -> bool {
        self.release(client.id, |_, reply| reply.error(error))
    }

    fn release(&mut self, client: u64, write: impl FnOnce(&Waiter, &mut Reply<'_>)) -> bool {
        let (server, uptime) = (self.server, self.uptime);
        let state = self.state();
        let Some(waiter) = state.waiters.remove(client) else {
            return false;
        };
        settle::observe(server, state);
        let mut output = Output::default();
        write(&waiter, &mut Reply::new(&mut output, waiter.protocol));
        settle::resume(server, &waiter, &mut output, uptime);
        true
    }

    /// Takes a client that has gone out of those who wait. Answers whether it
    /// was still among them: otherwise it has been served already.
    pub fn unblock(&mut self, client: u64) -> bool {
        let server = self.server;
        let state = self.state();
        let was_waiting = state.waiters.remove(client).is_some();
        settle::observe(server, state);
        was_waiting
    }

    /// Has EXEC fail if the key changes before it: WATCH.
    pub fn watch(&mut self, session: &mut Session, key: &[u8]) {
        let (db, now, server) = (session.db, self.now, self.server);
        let state = self.state();
        let watch = session.watch.get_or_insert_default();
        let watched = (db, Box::from(key));
        if watch.keys.contains_key(&watched) {
            return;
        }
        let database = &state.keyspace.databases[db];
        let expired = |handle| database.expires_at(handle).is_some_and(|at| at <= now);
        let stale = database.find(key).is_some_and(expired);
        watch.keys.insert(watched, stale);
        state.watchers.add(db, key, &session.client);
        settle::observe(server, state);
    }

    /// Ends all that: UNWATCH.
    pub fn unwatch(&mut self, session: &mut Session) {
        let Some(watch) = session.watch.take() else {
            return;
        };
        let server = self.server;
        let state = self.state();
        watch
            .keys
            .keys()
            .for_each(|(db, key)| state.watchers.remove(*db, key, &session.client));
        // While the keyspace is held, nobody sets it again.
        session.client.set_flags(ClientFlags::DIRTY, false);
        settle::observe(server, state);
    }

    /// Whether a watched key has changed, or has expired since.
    pub fn is_dirty(&mut self, session: &Session) -> bool {
        let Some(watch) = &session.watch else {
            return false;
        };
        let now = self.now;
        let databases = &self.state().keyspace.databases;
        let has_expired = |((db, key), stale): (&(usize, Box<[u8]>), &bool)| {
            let handle = databases[*db].find(key);
            let at = handle.and_then(|handle| databases[*db].expires_at(handle));
            !stale && at.is_some_and(|at| at <= now)
        };
        session.client.flags().contains(ClientFlags::DIRTY) || watch.keys.iter().any(has_expired)
    }

    /// Removes keys that are due, a bounded number at a time; answers whether
    /// there are more.
    pub fn expire_due(&mut self) -> bool {
        // About a quarter of a millisecond, so that no client waits long.
        const AT_ONCE: usize = 500;
        let now = self.now;
        let more = self.state().keyspace.expire_due(now, AT_ONCE);
        self.settle();
        more
    }
}

impl Drop for Turn<'_> {
    /// Counts what is not counted yet, and wakes the expiry task if a key is
    /// due earlier than it thinks.
    fn drop(&mut self) {
        self.count_tally();
        let Some(mut state) = self.state.take() else {
            return;
        };
        let first = state.keyspace.journal.take_first_expiry();
        drop(state);
        let engine = &self.server.engine;
        if let Some(first) = first
            && first < engine.armed_for.load(Relaxed)
        {
            engine.armed_for.store(first, Relaxed);
            engine.rearmed.notify_one();
        }
    }
}

/// Removes keys when their time has come, whether or not anybody asks for
/// them, until the task is dropped.
pub async fn expire(server: &Server) {
    loop {
        match expire_step(server) {
            Some(Duration::ZERO) => tokio::task::yield_now().await,
            Some(wait) => tokio::select! {
                () = server.engine.rearmed.notified() => {}
                () = tokio::time::sleep(wait) => {}
            },
            None => server.engine.rearmed.notified().await,
        }
    }
}

/// Removes some of the keys that are due; answers after how long to look
/// again, or `None` if no key has an expiry.
fn expire_step(server: &Server) -> Option<Duration> {
    let mut turn = Turn::new(server);
    let active = server.active_expire.load(Relaxed) && !server.pause.is_paused(turn.uptime);
    let more = active && turn.expire_due();
    let next = turn.state().keyspace.next_expiry();
    server
        .engine
        .armed_for
        .store(next.unwrap_or(i64::MAX), Relaxed);
    match next {
        Some(_) if more => Some(Duration::ZERO),
        // What is due stays for now.
        Some(_) if !active => Some(Duration::from_millis(100)),
        // The wall clock may be set while we sleep: look at least once a minute.
        Some(at) => Some(Duration::from_millis(
            (at - turn.now).clamp(1, 60_000) as u64
        )),
        None => None,
    }
}
