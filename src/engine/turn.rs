//! What one client does at one go.

use std::iter::StepBy;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
#[cfg(test)]
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use parking_lot::MutexGuard;

use super::Engine;
use super::barriers::{Asker, Condition};
use super::orders::{Answer, Order, WriteDue};
use super::room::{self, Room};
use super::settle::{self, Now};
use super::state::State;
use super::tally::Tally;
use super::waiters::{Attempt, Awaited, Recipient, Wait, Waiter};
use crate::config::Config;
use crate::db::Db;
use crate::db::value::List;
use crate::error::Error;
use crate::resp::{Argv, Output, Reply};
use crate::server::Server;
use crate::session::client::Peer;
use crate::session::pause::PauseMode;
use crate::session::{Client, ClientFlags, ReplyMode, Session};
use crate::tracking;

/// What one client does at one go: the lock of the keyspace, once it is needed,
/// and the time.
pub struct Turn<'a> {
    engine: &'a Engine,
    server: &'a Server,
    /// Whose turn it is, unless it is the broker's own.
    client: Option<u64>,
    state: Option<MutexGuard<'a, State>>,
    /// It may have the keyspace while a script has let go of it for a moment:
    /// it runs no command, or one that does nothing to the data. Who may not
    /// asks with [`begin`](Self::begin) before it takes anything.
    intrudes: bool,
    /// Milliseconds since 1970, as of the command that runs, give or take one.
    pub now: i64,
    /// Time since the broker's start, likewise.
    pub uptime: Duration,
    /// A command has taken so long since that both are to be read again.
    outdated: bool,
    tally: Tally,
    /// The thread unwinds from a panic that is none of this turn's.
    was_panicking: bool,
    /// Other clients have been handed something in this turn.
    pub reached_others: bool,
}

impl<'a> Turn<'a> {
    /// Begins a turn of a client now.
    pub fn of(engine: &'a Engine, client: &Client) -> Turn<'a> {
        let mut turn = Turn::new(engine);
        turn.client = Some(client.id);
        turn.intrudes = false;
        turn
    }

    /// Begins a turn now.
    pub fn new(engine: &'a Engine) -> Turn<'a> {
        let clock = &engine.server.clock;
        // One look serves the turn and what is timed in it.
        let machine = clock.machine();
        Turn {
            engine,
            server: &engine.server,
            client: None,
            state: None,
            intrudes: true,
            now: clock.now_ms(),
            uptime: clock.at(machine),
            outdated: false,
            tally: Tally::new(machine),
            was_panicking: std::thread::panicking(),
            reached_others: false,
        }
    }

    /// Reads the clock again if commands of this turn have taken so long that
    /// the next one would see keys whose time has come.
    #[inline]
    pub fn keep_time(&mut self) {
        if self.outdated {
            self.read_clock();
        }
    }

    #[cold]
    fn read_clock(&mut self) {
        self.outdated = false;
        self.now = self.server.clock.now_ms();
        self.uptime = self.server.clock.at(self.tally.read_until());
    }

    /// Begins a call of the command with this id; answers since when it, or
    /// the calls that are timed together with it, run, by the machine's time.
    #[inline]
    pub fn begin_call(&mut self, command: usize) -> Duration {
        self.tally.begin(self.server, command)
    }

    /// Ends and counts a call that began at `start`. If it is `timed`, answers
    /// how long it has taken, together with the untimed ones of the same
    /// command before it.
    #[inline]
    pub fn end_call(&mut self, command: usize, start: Duration, timed: bool) -> Option<Duration> {
        const OUTDATED_AFTER: Duration = Duration::from_millis(1);
        let duration = self.tally.end(self.server, command, start, timed)?;
        let uptime = self.server.clock.at(self.tally.read_until());
        self.outdated = uptime.saturating_sub(self.uptime) >= OUTDATED_AFTER;
        Some(duration)
    }

    /// What has passed since the last call, up to this time of the machine's,
    /// is not the next one's.
    pub fn skip_to(&mut self, machine: Duration) {
        self.tally.skip_to(machine);
    }

    /// When the clock was read last, by the machine's time.
    pub fn clock_read(&self) -> Duration {
        self.tally.read_until()
    }

    /// Brings the metrics up to date, for whoever is about to read them.
    pub fn count_calls(&mut self) {
        self.tally.count(self.server);
    }

    /// Notes that the call that runs has handed something to so many clients.
    pub fn handed_out(&mut self, receivers: usize) {
        // To hand out to so many takes as long as other calls do together.
        const MANY: usize = 16;
        self.reached_others |= receivers > 0;
        if receivers > MANY {
            self.tally.time_this();
        }
    }

    /// The data and who waits for it; the lock is taken at the first call and
    /// kept to the end of the turn.
    #[inline]
    pub fn state(&mut self) -> &mut State {
        self.state_now().0
    }

    /// The same, and what time it is: milliseconds since 1970, and since the
    /// broker's start. Waiting for the lock takes time, so whoever needs both
    /// gets them together.
    #[inline]
    fn state_now(&mut self) -> (&mut State, i64, Duration) {
        if self.state.is_none() {
            self.take_lock();
        }
        let state = self.state.as_mut().expect("the lock has just been taken");
        (state, self.now, self.uptime)
    }

    #[inline]
    fn take_lock(&mut self) {
        debug_assert!(
            self.intrudes,
            "a command takes the keyspace that says it needs none of it"
        );
        let guard = self.lock();
        self.hold(guard);
    }

    #[inline]
    fn lock(&mut self) -> MutexGuard<'a, State> {
        match self.engine.try_lock() {
            Some(guard) => guard,
            None => self.wait_for_lock(),
        }
    }

    fn hold(&mut self, mut guard: MutexGuard<'a, State>) {
        let pause = &self.server.pause;
        guard.keyspace.keeps_expired = pause.is_set() && pause.until(self.uptime).is_some();
        self.state = Some(guard);
    }

    /// Has what runs next take the keyspace, if it needs it, even if a script
    /// has let go of it for a moment; or else not.
    #[inline]
    pub fn set_intrudes(&mut self, intrudes: bool) {
        self.intrudes = intrudes;
    }

    /// Takes the keyspace for what runs next. False if a script has let go of
    /// it for a moment and goes on: nothing that needs it may run. Only who
    /// has it knows: a script may begin, and run for long, while one waits.
    #[inline]
    pub fn begin(&mut self) -> bool {
        if let Some(state) = &self.state {
            return !state.interrupted;
        }
        let guard = self.lock();
        if guard.interrupted {
            return false;
        }
        self.hold(guard);
        true
    }

    /// Lets go of the keyspace while a script of this turn runs for long, so
    /// that `meanwhile` others are served as far as that is possible.
    pub fn let_others_in(&mut self, meanwhile: &dyn Fn()) {
        if let Some(mut state) = self.state.take() {
            state.interrupted = true;
            MutexGuard::unlock_fair(state);
        }
        let served = catch_unwind(AssertUnwindSafe(meanwhile));
        let mut guard = self.engine.lock();
        guard.interrupted = false;
        // The time stands still for the script, and so does expiry.
        self.hold(guard);
        if let Err(panic) = served {
            resume_unwind(panic);
        }
    }

    /// Waits for the lock, which may take long: what time it is counts from
    /// when the data can be seen.
    #[cold]
    fn wait_for_lock(&mut self) -> MutexGuard<'a, State> {
        #[cfg(test)]
        self.engine.waiting.fetch_add(1, Relaxed);
        let guard = self.engine.lock();
        let clock = &self.server.clock;
        let machine = clock.machine();
        self.now = clock.now_ms();
        self.uptime = clock.at(machine);
        self.tally.skip_to(machine);
        guard
    }

    /// A handler's view of a database.
    #[inline(always)]
    pub fn db(&mut self, index: usize, touch: bool) -> Db<'_> {
        let (state, now, _) = self.state_now();
        Db::new(&mut state.keyspace, index, now, touch)
    }

    /// Evicts keys if more memory is used than may be. False if it still is,
    /// and nothing more can go.
    pub fn make_room(&mut self) -> bool {
        let server = self.server;
        let (state, wall, uptime) = self.state_now();
        if state.interrupted {
            // Nothing goes while a script counts on it.
            return true;
        }
        let now = Now { wall, uptime };
        let room = room::make_room(server, state, now);
        if !state.keyspace.journal.is_empty() {
            // Nobody has done it: a client may keep what has gone, and wish to
            // hear nothing of its own changes.
            self.reached_others |= settle::settle(server, state, None, now);
        }
        room != Room::Full
    }

    /// Makes `config` the settings, and has everything follow them.
    pub fn apply(&mut self, config: Config) {
        self.state().follow(&config);
        self.server.apply(config);
    }

    /// Tells what has happened so far to those who may hear of it before a
    /// transaction has ended: subscribers of events, clients that watch keys,
    /// and those that keep them.
    #[inline]
    pub fn tell(&mut self) {
        let now = self.when();
        if let Some(state) = &mut self.state {
            self.reached_others |= settle::tell(self.server, state, self.client, now);
        }
    }

    fn when(&self) -> Now {
        Now {
            wall: self.now,
            uptime: self.uptime,
        }
    }

    /// Draws the consequences of what has happened in this turn so far.
    #[inline]
    pub fn settle(&mut self) {
        if let Some(state) = &mut self.state
            && !state.keyspace.journal.is_empty()
            && !state.interrupted
        {
            // A key that has expired while a transaction ran is nobody's to be
            // served.
            self.keep_time();
            let now = self.when();
            if let Some(state) = &mut self.state {
                self.reached_others |= settle::settle(self.server, state, self.client, now);
            }
            self.show_between();
        }
    }

    /// Has those look who wait until something is so, before the next request of
    /// the batch can change it.
    #[inline]
    pub fn show_between(&self) {
        if let Some(barriers) = &self.engine.barriers {
            barriers.look_between(self.server, self.state.as_deref());
        }
    }

    /// Has those look who wait until something is so.
    #[inline]
    fn show(&self) {
        // What a panic has left is not to be looked at.
        if let Some(barriers) = &self.engine.barriers
            && !std::thread::panicking()
        {
            barriers.look(self.server, self.state.as_deref());
        }
    }

    /// Tells of what has changed those clients that are told of it once a turn
    /// has ended: CLIENT TRACKING with BCAST.
    #[inline]
    pub fn broadcast(&mut self) {
        if let Some(state) = &mut self.state
            && state.tracking.has_news()
            && !state.interrupted
        {
            let tracking = &mut state.tracking;
            let reached = settle::post(self.server, self.client, self.uptime, |post| {
                tracking.broadcast(post);
            });
            self.reached_others |= reached;
        }
    }

    /// Has the client told when one of these keys changes, which it has read.
    pub fn note_reads(&mut self, keys: &[&[u8]]) {
        if let Some(client) = self.client {
            let server = self.server;
            let (state, _, uptime) = self.state_now();
            self.reached_others |= settle::note_reads(server, state, client, keys, uptime);
        }
    }

    /// Does so once the client has been served, which is blocked.
    pub fn note_reads_when_served(&mut self) {
        if let Some(client) = self.client {
            self.state().waiters.track(client);
        }
    }

    /// Turns CLIENT TRACKING on for the client.
    pub fn start_tracking(&mut self, session: &mut Session, options: &tracking::Options<'_>) {
        let state = self.state();
        state.tracking.start(session, options);
        state.note_observers();
    }

    /// Turns it off.
    pub fn stop_tracking(&mut self, session: &mut Session) {
        if session.client.flags().contains(ClientFlags::TRACKING) {
            let state = self.state();
            state.tracking.stop(session);
            state.note_observers();
        }
    }

    /// Holds commands back for a time: CLIENT PAUSE. Who has the keyspace when
    /// it begins writes before it.
    pub fn pause(&mut self, time: Duration, mode: PauseMode) {
        let server = self.server;
        let (state, _, now) = self.state_now();
        server.pause.start(now.saturating_add(time), mode, now);
        state.keyspace.keeps_expired = server.pause.until(now).is_some();
        self.wake_upkeep();
    }

    /// Ends that: CLIENT UNPAUSE.
    pub fn unpause(&mut self) {
        let server = self.server;
        let (state, _, now) = self.state_now();
        state.keyspace.keeps_expired = false;
        server.pause.end(now);
        self.wake_upkeep();
    }

    /// Has upkeep look at once whether there is something to do.
    pub fn wake_upkeep(&self) {
        self.engine.wake_upkeep();
    }

    /// Has a client wait for keys: those words of the request. `attempt` runs
    /// the request again when one changes.
    pub fn block(
        &mut self,
        session: &mut Session,
        command: usize,
        attempt: Attempt,
        argv: Argv<'_>,
        keys: StepBy<Range<usize>>,
        wait: Wait,
    ) {
        self.await_reply(session, command, argv, (attempt, keys), wait, true);
    }

    fn await_reply(
        &mut self,
        session: &mut Session,
        command: usize,
        argv: Argv<'_>,
        (attempt, keys): (Attempt, StepBy<Range<usize>>),
        mut wait: Wait,
        on_record: bool,
    ) -> Awaited {
        let argv = argv.with(&std::mem::take(&mut wait.words));
        session.client.set_flags(ClientFlags::BLOCKED, true);
        let silent = session.reply_mode != ReplyMode::On;
        if session.reply_mode == ReplyMode::Skip {
            session.reply_mode = ReplyMode::On;
        }
        let waiter = Waiter {
            recipient: Recipient {
                client: session.client.clone(),
                protocol: session.protocol,
                silent,
                on_record,
            },
            command,
            argv,
            keys,
            attempt,
            db: session.db,
            wait,
            tracks: false,
        };
        let state = self.state();
        let awaited = state.waiters.add(waiter);
        state.note_observers();
        awaited
    }

    /// Has a client wait for something else, until it is [`answer`](Self::answer)ed.
    pub fn await_answer(
        &mut self,
        session: &mut Session,
        command: usize,
        argv: Argv<'_>,
    ) -> Awaited {
        // There are no keys, so nothing is ever attempted.
        let wait = Wait::for_kind(List::KIND, None);
        let keys = (0..0).step_by(1);
        let attempt = |_: &mut Db<'_>, _: Argv<'_>, _: &mut Reply<'_>| Ok(None);
        // It is of RESPD, which is on no record.
        self.await_reply(session, command, argv, (attempt, keys), wait, false)
    }

    /// Has the clock moved, and the client answered then.
    pub fn move_clock(&mut self, order: Order, awaited: Awaited, write: WriteDue) {
        if let Some(orders) = &self.engine.orders {
            orders.give(order, Answer::Client(awaited, write));
        }
    }

    /// Has the client answered once something is so, or has not been within this
    /// time.
    pub fn wait_until(&mut self, condition: Condition, within: Duration, awaited: Awaited) {
        let server = self.server;
        if let Some(barriers) = &self.engine.barriers {
            let asker = Asker::Client(awaited);
            barriers.begin(server, self.state(), (condition, within), asker);
        }
    }

    /// Answers a client, unless it waits no longer: it has gone, or others have
    /// ended its wait.
    pub fn answer(&mut self, awaited: Awaited, write: impl FnOnce(&mut Reply<'_>)) {
        if self.state().waiters.is_awaited(awaited) {
            self.release(awaited.client, write);
        }
    }

    /// Ends a client's wait with the reply for a time that is up, unless it
    /// has been served already. Answers whether it was blocked.
    pub fn time_out(&mut self, client: &Client) -> bool {
        let null = self.state().waiters.late_reply(client.id);
        self.release(client.id, |reply| null.write(reply))
    }

    /// Ends a client's wait with an error. Answers whether it was blocked.
    pub fn fail_blocked(&mut self, client: &Client, error: &Error) -> bool {
        self.release(client.id, |reply| reply.error(error))
    }

    fn release(&mut self, client: u64, write: impl FnOnce(&mut Reply<'_>)) -> bool {
        let server = self.server;
        let (state, _, uptime) = self.state_now();
        let Some(recipient) = state.waiters.remove(client) else {
            return false;
        };
        state.note_observers();
        let mut output = Output::default();
        write(&mut Reply::new(&mut output, recipient.protocol));
        settle::resume(server, &recipient, &mut output, uptime);
        true
    }

    /// Takes a client that has gone out of those who wait. Answers whether it
    /// was still among them: otherwise it has been served already.
    pub fn unblock(&mut self, client: u64) -> bool {
        let state = self.state();
        let was_waiting = state.waiters.remove(client).is_some();
        state.note_observers();
        was_waiting
    }

    /// Has EXEC fail if the key changes before it: WATCH.
    pub fn watch(&mut self, session: &mut Session, key: &[u8]) {
        let db = session.db;
        let (state, now, _) = self.state_now();
        state.watchers.watch(
            &state.keyspace,
            &session.client,
            &mut session.watch,
            (db, key),
            now,
        );
        state.note_observers();
    }

    /// Ends all that: UNWATCH.
    pub fn unwatch(&mut self, session: &mut Session) {
        let Some(watch) = session.watch.take() else {
            return;
        };
        let state = self.state();
        state.watchers.unwatch(*watch);
        // While the keyspace is held, nobody sets it again.
        session.client.set_flags(ClientFlags::DIRTY, false);
        state.note_observers();
    }

    /// Whether a watched key has changed, or has expired since.
    pub fn is_dirty(&mut self, session: &Session) -> bool {
        let Some(watch) = &session.watch else {
            return false;
        };
        let (state, now, _) = self.state_now();
        session.client.flags().contains(ClientFlags::DIRTY)
            || state.watchers.has_expired(&state.keyspace, watch, now)
    }

    /// Forgets a client that has gone: its place among those who wait, what it
    /// watches, what it keeps.
    pub fn leave(&mut self, session: &mut Session) {
        self.unwatch(session);
        if session.has_tracked {
            let state = self.state();
            state.tracking.leave(session);
            state.note_observers();
        }
        if session.client.flags().contains(ClientFlags::BLOCKED) {
            self.unblock(session.client.id);
        }
    }
}

impl Engine {
    /// Registers a connection.
    pub fn connect(&self, fd: i32, peer: Peer) -> Session {
        let session = self.server.connect(fd, peer);
        if let Some(barriers) = &self.barriers {
            barriers.look(&self.server, None);
        }
        session
    }

    /// Forgets a connection: its subscriptions, its place among those who wait,
    /// what it watches, what it keeps.
    pub fn disconnect(&self, session: &mut Session) {
        if let Some(recorder) = self.server.recorder() {
            // No message is handed to it after that.
            let _state = self.lock();
            recorder.gone(session.client.who());
            self.server.disconnect(session);
        } else {
            self.server.disconnect(session);
        }
        let waits = session.client.flags().contains(ClientFlags::BLOCKED);
        if waits || session.watch.is_some() || session.has_tracked {
            Turn::new(self).leave(session);
        }
        if self.server.pubsub.is_left() {
            self.wake_upkeep();
        }
        if let Some(barriers) = &self.barriers {
            barriers.forget(session.client.id);
            barriers.look(&self.server, None);
        }
    }
}

impl Drop for Turn<'_> {
    /// Counts what is not counted yet, and wakes upkeep if there is something
    /// for it earlier than it thinks.
    fn drop(&mut self) {
        self.count_calls();
        self.show();
        let Some(mut state) = self.state.take() else {
            self.server.cut_heavy_clients();
            return;
        };
        if std::thread::panicking() && !self.was_panicking {
            state.abandon();
        }
        let has_litter = state.has_litter() || state.evictor.pending;
        let first = state.keyspace.journal.take_first_expiry();
        drop(state);
        self.server.cut_heavy_clients();
        if has_litter {
            self.engine.wake_upkeep();
        } else if let Some(first) = first {
            self.engine.wake_upkeep_at(first);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::LocalClient;
    use crate::testing::{client, engine};

    /// Has a client send requests while another turn has the lock; once they
    /// wait, `meanwhile` happens. Answers the replies.
    fn behind_the_lock(
        engine: &Arc<Engine>,
        mut client: LocalClient,
        requests: &'static str,
        meanwhile: impl FnOnce(),
    ) -> String {
        let waiting = engine.waiting.load(Relaxed);
        let lock = engine.lock();
        let sender = std::thread::spawn(move || client.run(requests.as_bytes()));
        while engine.waiting.load(Relaxed) == waiting {
            assert!(!sender.is_finished(), "{requests:?} needs no lock");
            std::thread::yield_now();
        }
        meanwhile();
        drop(lock);
        let replies = sender.join().unwrap();
        String::from_utf8(replies).unwrap()
    }

    /// Goes on in so many milliseconds, when a key that lived so long is gone.
    fn wait_ms(engine: &Engine, millis: i64) {
        let since = engine.server.clock.now_ms();
        while engine.server.clock.now_ms() <= since + millis {
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_expires_while_a_watch_waits_for_the_lock_had_expired_before_it() {
        let engine = engine();
        client(&engine).line("SET k v PX 20");
        let requests = "WATCH k\r\nMULTI\r\nPING\r\nEXEC\r\n";
        let replies = behind_the_lock(&engine, client(&engine), requests, || {
            wait_ms(&engine, 20);
        });
        assert!(replies.ends_with("*1\r\n+PONG\r\n"), "{replies}");
    }

    #[test]
    fn what_expires_while_an_exec_waits_for_the_lock_has_expired_before_it() {
        let engine = engine();
        let mut watcher = client(&engine);
        client(&engine).line("SET k v PX 500");
        watcher.line("WATCH k");
        watcher.line("MULTI");
        watcher.line("PING");
        let replies = behind_the_lock(&engine, watcher, "EXEC\r\n", || {
            wait_ms(&engine, 500);
        });
        assert_eq!(replies, "*-1\r\n");
    }

    #[test]
    fn a_pause_counts_from_when_it_has_the_lock() {
        let engine = engine();
        let mut released = Duration::ZERO;
        behind_the_lock(
            &engine,
            client(&engine),
            "CLIENT PAUSE 10000 WRITE\r\n",
            || {
                wait_ms(&engine, 20);
                released = engine.server.clock.uptime();
            },
        );
        let until = engine.server.pause.until(released).unwrap();
        let lasts = until + Duration::from_millis(1) - released;
        assert!(lasts >= Duration::from_secs(10), "{lasts:?}");
    }

    #[test]
    fn who_is_killed_while_it_waits_for_the_lock_writes_nothing() {
        let engine = engine();
        let victim = client(&engine);
        let clients = engine.server.clients.all();
        let replies = behind_the_lock(&engine, victim, "SET k v\r\n", || clients[0].kill());
        assert_eq!(replies, "");
        assert_eq!(client(&engine).line("EXISTS k"), ":0");
    }

    #[test]
    fn a_transaction_that_waits_for_the_lock_has_done_nothing_yet() {
        let engine = engine();
        let mut listener = client(&engine);
        listener.line("SUBSCRIBE news");
        let heard = engine.server.clients.all().remove(0);
        let requests = "MULTI\r\nPUBLISH news begin\r\nEXISTS k\r\nEXEC\r\n";
        let replies = behind_the_lock(&engine, client(&engine), requests, || {
            assert!(heard.outbox.lock().output.is_empty(), "it was heard");
        });
        assert!(replies.ends_with("*2\r\n:1\r\n:0\r\n"), "{replies}");
    }

    #[test]
    fn a_panic_that_is_not_the_brokers_spoils_no_transaction() {
        let engine = engine();
        let mut watcher = client(&engine);
        watcher.line("WATCH k");
        watcher.line("MULTI");
        let mut other = client(&engine);
        let test = std::thread::spawn(move || {
            other.line("WATCH unrelated");
            panic!("an assertion of an embedder's has failed");
        });
        assert!(test.join().is_err());
        assert_eq!(watcher.line("EXEC"), "*0");
    }
}
