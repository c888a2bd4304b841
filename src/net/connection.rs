//! The loop of one client: read what has come, run it, write once.
//!
//! Reading goes straight into a buffer of the worker, so an idle connection
//! holds none. What has not arrived in full, or cannot run yet because the
//! client is blocked or held, moves into a buffer of the connection's own.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use parking_lot::MutexGuard;
use tracing::Span;

use super::ordeal::Ordeal;
use super::stream::Stream;
use super::{memory, tasks};
use crate::clock::Timer;
use crate::command::{TABLE, respd_restart};
use crate::dispatch::batch::{Requests, Stopped};
use crate::dispatch::faults::Fate;
use crate::engine::{Engine, Turn};
use crate::error::Error;
use crate::lab::faults::{Late, Struck};
use crate::resp::output::CHUNK;
use crate::resp::request::{Decoder, Limits};
use crate::resp::{Lent, Output, Reply, Reused};
use crate::session::outbox::{OutputLimit, Pending};
use crate::session::{ClientFlags, Ending, Session};

/// What one read takes, and about what one turn runs at most: large enough
/// for a deep pipeline, small enough that no client holds the others up.
const READ_MAX: usize = 64 * 1024;
/// Requests that run under one lock.
const BATCH_MAX: usize = 256;
/// While a script runs for long, others are served for so long at a time.
const MOMENT: Duration = Duration::from_millis(1);
/// Slices of one vectored write.
const SLICES_MAX: usize = 64;
/// After so many bytes of replies a turn ends: they leave before more are made,
/// and a client that does not read them is noticed.
const OUTPUT_MAX: usize = 1024 * 1024;
/// After so many bytes a write ends as well, however fast the client reads.
const WRITE_MAX: usize = 512 * 1024;
/// The worker keeps a buffer for replies of this many bytes.
const OUTPUT_KEEP: usize = CHUNK;
/// A busy outbox keeps a buffer of this many bytes, a burst of small messages;
/// housekeeping takes it from those that have become idle.
const OUTBOX_KEEP: usize = 4096;
/// An unauthenticated client may have this much waiting to be run.
const UNAUTHENTICATED_INPUT_MAX: usize = 1024 * 1024;

/// An unauthenticated client may leave this much unread, as in Redis: the
/// buffer that every client has, and 1 KiB.
const UNAUTHENTICATED_OUTPUT: OutputLimit = OutputLimit {
    hard: 17 * 1024,
    soft: 0,
    soft_for: Duration::ZERO,
};

/// What the connections of a worker share, because one runs at a time.
struct Shared {
    read: Box<[u8]>,
    requests: Requests,
    output: Reused<OUTPUT_KEEP>,
}

/// What a connection borrows of it for one poll.
struct Scratch<'a> {
    read: &'a mut [u8],
    requests: &'a mut Requests,
    output: Lent<'a, OUTPUT_KEEP>,
}

thread_local! {
    // None before the first poll, and while one goes on: others that are polled meanwhile, while a
    // script runs for long, make their own.
    static SHARED: RefCell<Option<Box<Shared>>> = const { RefCell::new(None) };
}

impl Shared {
    fn new() -> Box<Shared> {
        Box::new(Shared {
            read: vec![0; READ_MAX].into(),
            requests: Requests::default(),
            output: Reused::default(),
        })
    }

    fn lend(&mut self) -> Scratch<'_> {
        Scratch {
            read: &mut self.read,
            requests: &mut self.requests,
            output: self.output.lend(),
        }
    }
}

/// A client's connection.
pub struct Connection {
    engine: Arc<Engine>,
    stream: Stream,
    session: Session,
    decoder: Decoder,
    /// What has arrived and has not run. Taking from its front moves nothing.
    input: BytesMut,
    /// Bytes of memory that `input` holds.
    input_memory: usize,
    /// There may be a request in `input` that can run.
    runnable: bool,
    phase: Phase,
    /// The end of a blocked client's patience, or of a delay.
    timer: Option<Timer>,
    waker: Option<Waker>,
    /// The client has shut down its side: nothing more comes.
    ended: bool,
    /// It lets the others have their turn and is polled again. Its requests have
    /// handed something to other clients, mostly, which is to leave before its
    /// replies do. Who sees the reply to PUBLISH or LPUSH so knows
    /// that the message is on its way, and who waited for it gets it a write
    /// earlier. A publisher that goes on at the reply sends more at once then:
    /// its messages to 1,000 subscribers took 1.4 µs of CPU each and not 2.3.
    others_first: bool,
    /// What faults do to it, of a broker for tests.
    ordeal: Option<Box<Ordeal>>,
    /// For whoever follows the program's events; `None` if nobody does.
    span: Option<Box<Span>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Requests run as they come.
    Running,
    /// A blocking command waits; the others queue behind it.
    Blocked,
    /// CLIENT PAUSE holds the next request back.
    Held,
    /// A fault holds a reply back, and all that comes behind it.
    Delayed,
}

/// How a write ended.
enum Written {
    /// All has left.
    All,
    /// The socket takes no more now.
    AsMuchAsTaken,
    /// It is the others' turn; the task goes on after them.
    Enough,
}

impl Connection {
    /// Takes over an accepted socket, and the session that it was registered with.
    pub fn new(engine: Arc<Engine>, stream: Stream, session: Session) -> Connection {
        let span = session.client.span();
        span.in_scope(|| session.client.tell_accepted());
        Connection {
            span: (!span.is_disabled()).then(|| Box::new(span)),
            engine,
            stream,
            session,
            decoder: Decoder::default(),
            input: BytesMut::new(),
            input_memory: 0,
            runnable: false,
            phase: Phase::Running,
            timer: None,
            waker: None,
            ended: false,
            others_first: false,
            ordeal: None,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // A panic that left the drop of a task would end the process; it is on record.
        let leave = AssertUnwindSafe(|| {
            let _entered = self.span.as_deref().map(Span::enter);
            self.session.client.tell_closed();
            self.engine.disconnect(&mut self.session);
        });
        let _ = catch_unwind(leave);
    }
}

/// Ready when the connection has closed.
impl Future for Connection {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.register(cx);
        let mut shared = SHARED.take().unwrap_or_else(Shared::new);
        let span = this.span.take();
        let entered = span.as_deref().map(Span::enter);
        if this.engine.barriers.is_some() {
            this.session.client.set_flags(ClientFlags::AT_WORK, true);
            this.look_for_faults();
        }
        let poll = this.advance(cx, &mut shared.lend());
        this.show();
        drop(entered);
        this.span = span;
        SHARED.set(Some(shared));
        if matches!(poll, Poll::Ready(Ok(()))) && !this.killed() {
            this.restart();
        }
        // An error of the socket says that nobody is there any more.
        poll.map(drop)
    }
}

impl Connection {
    /// Goes on until there is nothing to do or the connection is to close.
    fn advance(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.killed() {
                return Poll::Ready(Ok(()));
            }
            self.take_up(cx, &mut scratch.output);
            if self.ended && self.phase == Phase::Blocked && !self.leave() {
                // It may read on, so what it has been given meanwhile is its own.
                continue;
            }
            let flushed = match self.write(cx, &mut scratch.output)? {
                Written::All => true,
                Written::AsMuchAsTaken => false,
                Written::Enough => return Poll::Pending,
            };
            let runs = self.runs();
            let done = self.session.ending.is_some() || (self.ended && !(runs && self.runnable));
            if done {
                let is_cut = self.ordeal.as_ref().is_some_and(|ordeal| ordeal.is_cut());
                return if flushed || is_cut || (self.ended && !runs) {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Pending
                };
            }
            if !flushed {
                // What the socket did not take leaves before the replies to
                // what runs now.
                let mut outbox = self.session.client.outbox.lock();
                outbox.take(&mut scratch.output, OUTBOX_KEEP);
            }
            let more = if runs && self.runnable {
                self.run_input(scratch);
                self.runnable
            } else if !self.is_read() {
                self.put_back(&mut scratch.output);
                return Poll::Pending;
            } else {
                match self.read(cx, scratch) {
                    Poll::Ready(full) => full?,
                    Poll::Pending => {
                        self.put_back(&mut scratch.output);
                        return Poll::Pending;
                    }
                }
            };
            let others_first = std::mem::take(&mut self.others_first);
            if (more || others_first) && !self.killed() {
                // The others get their turn first.
                if others_first {
                    drop(self.set_aside(&mut scratch.output));
                } else {
                    self.write(cx, &mut scratch.output)?;
                }
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// Whether requests run as they come.
    fn runs(&self) -> bool {
        self.phase == Phase::Running && self.ordeal.as_ref().is_none_or(|ordeal| ordeal.runs())
    }

    /// Whether it is read from.
    fn is_read(&self) -> bool {
        self.ordeal.as_ref().is_none_or(|ordeal| ordeal.is_read())
    }

    /// Sees what faults concern it now.
    #[cold]
    fn look_for_faults(&mut self) {
        if let Some(faults) = self.engine.server.faults() {
            let before = self.ordeal.take();
            self.ordeal = Ordeal::look(before, faults, &self.session.client);
        }
    }

    /// Has a fault do to the last reply what it is to.
    #[cold]
    fn strike_reply(&mut self, struck: Struck) {
        self.ordeal.get_or_insert_default().struck = Some(struck);
        match struck.blow.late {
            Late::Delay(time) => {
                let (clock, client) = (&self.engine.server.clock, &self.session.client);
                self.phase = Phase::Delayed;
                // Before it falls due for anybody.
                client.set_flags(ClientFlags::DELAYED, true);
                let deadline = clock.uptime().saturating_add(time);
                self.timer = Some(clock.timer(deadline, Some(client.id)));
            }
            Late::Drop | Late::Cut => self.session.ending = Some(Ending::AfterReplies),
        }
    }

    /// Has the broker go and come back if the client has asked for that, who is
    /// answered then.
    fn restart(&mut self) {
        let (Some(restart), Some(lab)) = (self.session.restart.take(), &self.engine.server.lab)
        else {
            return;
        };
        let (nobody, _) = memory::pair();
        let stream = std::mem::replace(&mut self.stream, Stream::Memory(nobody));
        let protocol = self.session.protocol;
        if let Ok(stream) = stream.detach() {
            let answer = move |result| {
                // The client may be gone by then.
                let _ = stream.end_with(&respd_restart::answer(result, protocol));
            };
            lab.restarts.begin(*restart, Box::new(answer));
        }
    }

    /// Has those look who wait until the client has been sent everything.
    fn show(&self) {
        if let Some(barriers) = &self.engine.barriers {
            self.session.client.set_flags(ClientFlags::AT_WORK, false);
            barriers.look(&self.engine.server, None);
        }
    }

    fn register(&mut self, cx: &Context<'_>) {
        // A task's waker stays the same, so this happens once.
        if self
            .waker
            .as_ref()
            .is_none_or(|waker| !waker.will_wake(cx.waker()))
        {
            self.session.client.outbox.set_waker(cx.waker().clone());
            self.waker = Some(cx.waker().clone());
        }
    }

    fn killed(&self) -> bool {
        self.session.ending == Some(Ending::AtOnce)
            || self.session.client.flags().contains(ClientFlags::KILLED)
    }

    /// Ends the wait of a client that sends nothing any more. Answers whether
    /// it was still waiting.
    fn leave(&self) -> bool {
        let client = self.session.client.id;
        Turn::new(&self.engine).unblock(client) || !self.session.client.outbox.lock().resumed
    }

    /// Takes what others have put into the outbox behind what is in `output`,
    /// and leaves the blocked or held state when its end has come.
    fn take_up(&mut self, cx: &mut Context<'_>, output: &mut Output) {
        let client = &self.session.client;
        let elapsed = self
            .timer
            .as_mut()
            .is_some_and(|timer| Pin::new(timer).poll(cx).is_ready());
        if elapsed && self.phase == Phase::Blocked {
            Turn::new(&self.engine).time_out(client);
        }
        let mut outbox = client.outbox.lock();
        let resumed = std::mem::take(&mut outbox.resumed);
        outbox.take(output, OUTBOX_KEEP);
        drop(outbox);
        let over = match self.phase {
            Phase::Running => return,
            Phase::Blocked => resumed,
            Phase::Held => !client.flags().contains(ClientFlags::PAUSED),
            // Who has put the fault there may have removed it.
            Phase::Delayed => elapsed || !self.is_held_back(),
        };
        if over {
            client.note_activity(self.engine.server.clock.uptime());
            self.timer = None;
            self.runnable = !self.input.is_empty();
            let was = std::mem::replace(&mut self.phase, Phase::Running);
            if self.engine.server.lab.is_some() {
                self.go_on_from(was, cx, output);
            }
        }
    }

    /// Has a reply leave that was held back, or one struck that has come.
    #[cold]
    fn go_on_from(&mut self, was: Phase, cx: &Context<'_>, output: &mut Output) {
        let client = &self.session.client;
        if was == Phase::Delayed {
            client.set_flags(ClientFlags::DELAYED, false);
            if let Some(ordeal) = &mut self.ordeal {
                ordeal.struck = None;
            }
        }
        let Some(mut reply) = client.outbox.lock().struck.take() else {
            return;
        };
        let (before, len) = (output.len(), reply.len());
        output.append(&mut reply);
        let blow = self.ordeal.as_mut().and_then(|ordeal| ordeal.later.take());
        let faults = self.engine.server.faults();
        // Who has removed the fault meanwhile is not to suffer from it.
        let blow = blow.filter(|blow| faults.is_some_and(|faults| faults.is_there(blow.fault)));
        if let Some(blow) = blow {
            self.strike_reply(blow.strike(before, len));
            // Its time may have come already, or is to be waited for.
            cx.waker().wake_by_ref();
        }
    }

    /// Whether a reply is held back.
    fn is_held_back(&self) -> bool {
        let ordeal = self.ordeal.as_ref();
        ordeal.is_some_and(|ordeal| ordeal.struck.is_some())
    }

    /// Reads what has come and, unless the client is blocked or held, runs it.
    /// Answers whether more is likely to be there.
    fn read(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch<'_>) -> Poll<io::Result<bool>> {
        let Scratch {
            read,
            requests,
            output,
        } = scratch;
        // A request that was cut goes back before what comes next, so that
        // both are decoded where they are. One that is long grows in a buffer
        // of its own.
        let kept = if self.input.len() <= READ_MAX / 2 {
            self.input.len()
        } else {
            0
        };
        read[..kept].copy_from_slice(&self.input[..kept]);
        let len = match self.stream.poll_read(cx, &mut read[kept..]) {
            Poll::Ready(len) => len?,
            Poll::Pending => return Poll::Pending,
        };
        if len == 0 {
            self.ended = true;
            return Poll::Ready(Ok(false));
        }
        self.engine.server.metrics.reads.fetch_add(1, Relaxed);
        self.engine
            .server
            .metrics
            .input_bytes
            .fetch_add(len as u64, Relaxed);
        // What was sent after a fault was injected does not escape it.
        if self.engine.server.lab.is_some() {
            self.look_for_faults();
        }
        let end = kept + len;
        if kept < self.input.len() || !self.runs() {
            self.input.extend_from_slice(&read[kept..end]);
            self.runnable = self.decoder.missing(self.input.len()) == 0;
            // Who is still sending is not idle, though nothing of it has run.
            let client = &self.session.client;
            client.note_activity(self.engine.server.clock.uptime());
            self.check_input();
        } else {
            let used = self.run_buffer(&read[..end], requests, output);
            if kept > 0 || used < end {
                self.input.clear();
                self.input.extend_from_slice(&read[used..end]);
            }
            self.check_input();
        }
        Poll::Ready(Ok(end == read.len()))
    }

    /// Runs what waits in our own buffer, one turn's worth of it.
    fn run_input(&mut self, scratch: &mut Scratch<'_>) {
        let mut input = std::mem::take(&mut self.input);
        let Scratch {
            requests, output, ..
        } = scratch;
        let used = self.run_buffer(&input, requests, output);
        input.advance(used);
        self.input = input;
        self.check_input();
    }

    /// Gives back a buffer that is much larger than what is in it. What has
    /// been taken from its front counts, too.
    fn trim_input(&mut self) {
        const SMALL: usize = 1024;
        self.input_memory = self.input_memory.max(self.input.capacity());
        let needed = self.input.len();
        let wasteful = self.input_memory > (4 * needed).max(SMALL);
        if wasteful || needed == 0 && self.input_memory > 0 {
            self.input = BytesMut::from(&self.input[..]);
            self.input_memory = self.input.capacity();
        }
        let client = &self.session.client;
        client.input.store(self.input.len(), Relaxed);
        client.note_memory(|client| &client.input_memory, self.input_memory);
    }

    /// Closes a client that has sent too much at once.
    fn check_input(&mut self) {
        self.trim_input();
        self.engine.server.cut_heavy_clients();
        let session = &self.session;
        let client = &session.client;
        let waiting = self.input.len() + session.transaction.as_ref().map_or(0, |t| t.memory());
        let limit = match session.authenticated {
            true => self.engine.server.live.query_buffer.load(Relaxed),
            false => UNAUTHENTICATED_INPUT_MAX,
        };
        // Places in a buffer are 32-bit numbers.
        if waiting > limit.min(u32::MAX as usize) {
            self.engine
                .server
                .metrics
                .query_limit_disconnections
                .fetch_add(1, Relaxed);
            tracing::warn!(
                "Closing client that reached max query buffer length: id={} addr={} qbuf={waiting}",
                client.id,
                client.peer.remote(),
            );
            client.kill();
        }
    }

    /// Runs the requests in `buffer`, until it is used up, about a read's
    /// worth has run, or the client blocks; answers how much is done with.
    fn run_buffer(&mut self, buffer: &[u8], requests: &mut Requests, output: &mut Output) -> usize {
        let mut used = 0;
        self.runnable = false;
        while used < buffer.len() {
            if used >= READ_MAX {
                self.runnable = true;
                return used;
            }
            let rest = &buffer[used..];
            let authenticated = self.session.authenticated;
            let limits = Limits {
                bulk: self.engine.server.live.bulk.load(Relaxed),
                authenticated,
            };
            // AUTH changes what may follow it.
            let max = if authenticated { BATCH_MAX } else { 1 };
            let (decoded, error) = self.decoder.decode(rest, limits, max, &mut requests.batch);
            if let Some(stopped) = self.run(rest, requests, output) {
                self.decoder = Decoder::default();
                self.runnable = true;
                return used + stopped;
            }
            used += decoded;
            if let Some(error) = error {
                let client = &self.session.client;
                tracing::debug!(
                    id = client.id,
                    addr = client.peer.remote(),
                    name = client.name(),
                    "Protocol error ({}) from client",
                    String::from_utf8_lossy(&error.text())
                        .trim_start_matches("ERR Protocol error: "),
                );
                Reply::new(output, self.session.protocol).error(&Error::protocol(error.text()));
                self.session.ending = Some(Ending::AfterReplies);
                return buffer.len();
            }
            if requests.batch.is_empty() {
                break;
            }
        }
        used
    }

    /// Runs a batch under one lock. If the client blocks, is held or ends
    /// within it, or its replies are many, answers where in `buffer` to go on.
    fn run(
        &mut self,
        buffer: &[u8],
        requests: &mut Requests,
        output: &mut Output,
    ) -> Option<usize> {
        let clock = &self.engine.server.clock;
        let progress = requests.run(
            &self.engine,
            &TABLE,
            &mut self.session,
            (0, buffer),
            (output, OUTPUT_MAX),
            tasks::is_beside().then_some(&|| tasks::run_others(clock.sleep(MOMENT))),
        );
        self.others_first |= progress.reached_others;
        match progress.stopped? {
            Stopped::Ended => return Some(buffer.len()),
            Stopped::Blocked(deadline) => {
                self.phase = Phase::Blocked;
                let client = Some(self.session.client.id);
                self.timer = deadline.map(|deadline| clock.timer(deadline, client));
            }
            Stopped::Held => self.phase = Phase::Held,
            Stopped::Aside => {
                tasks::go_beside();
                // To be polled again there.
                self.others_first = true;
            }
            Stopped::OutputFull | Stopped::Struck => {}
        }
        match progress.fate {
            None => {}
            Some(Fate::Struck(struck)) => self.strike_reply(struck),
            Some(Fate::Later(blow)) => {
                self.ordeal.get_or_insert_default().later = Some(blow);
            }
        }
        Some(progress.end)
    }

    /// Writes `output` as far as the socket takes it; the rest goes back into
    /// the outbox.
    fn write(&mut self, cx: &mut Context<'_>, output: &mut Output) -> io::Result<Written> {
        let mut sent = 0;
        while !output.is_empty() {
            if sent >= WRITE_MAX {
                drop(self.set_aside(output));
                tasks::after_all_others(cx);
                return Ok(Written::Enough);
            }
            let written = match output.only() {
                _ if self.ordeal.is_some() => self.write_what_may_leave(cx, output),
                Some(bytes) => self.stream.poll_write(cx, bytes),
                None => {
                    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                    let used = output.slices(&mut slices);
                    self.stream.poll_write_vectored(cx, &slices[..used])
                }
            };
            match written {
                Poll::Ready(len) => {
                    let len = len?;
                    self.engine.server.metrics.writes.fetch_add(1, Relaxed);
                    self.engine
                        .server
                        .metrics
                        .output_bytes
                        .fetch_add(len as u64, Relaxed);
                    output.advance(len);
                    // Who reads is not idle. The clock need not be asked.
                    let second = self.engine.server.kept_house_at.load(Relaxed);
                    self.session
                        .client
                        .note_activity_in(Duration::from_secs(second));
                    sent += match &mut self.ordeal {
                        None => len,
                        Some(ordeal) => ordeal.note_sent(len, WRITE_MAX),
                    };
                }
                Poll::Pending => {
                    self.put_back(output);
                    return Ok(Written::AsMuchAsTaken);
                }
            }
        }
        Ok(Written::All)
    }

    /// Writes no more than faults let leave.
    #[cold]
    fn write_what_may_leave(
        &mut self,
        cx: &mut Context<'_>,
        output: &Output,
    ) -> Poll<io::Result<usize>> {
        let room = self
            .ordeal
            .as_ref()
            .map_or(usize::MAX, |ordeal| ordeal.room());
        match output.first() {
            _ if room == 0 => Poll::Pending,
            first => self.stream.poll_write(cx, &first[..room.min(first.len())]),
        }
    }

    /// Puts what has not left into the outbox, before what others have put
    /// there since.
    fn set_aside(&self, output: &mut Output) -> MutexGuard<'_, Pending> {
        let mut outbox = self.session.client.outbox.lock();
        outbox.put_back(output, OUTPUT_KEEP);
        outbox
    }

    /// Sets what the socket has not taken aside, and closes a client that has
    /// too much there.
    fn put_back(&self, output: &mut Output) {
        if output.is_empty() {
            return;
        }
        let client = &self.session.client;
        let limit = match self.session.authenticated {
            true => self.engine.server.live.output_limit(client.flags()),
            false => UNAUTHENTICATED_OUTPUT,
        };
        let mut outbox = self.set_aside(output);
        let overflowed = outbox.exceeds(limit, self.engine.server.clock.uptime());
        drop(outbox);
        if overflowed {
            self.engine.server.note_overflow(client, b"");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream, UnixStream};

    use super::*;
    use crate::db::Db;
    use crate::engine::Wait;
    use crate::error::Result;
    use crate::resp::{Argv, SHARE_MIN};
    use crate::session::Client;
    use crate::session::client::Peer;
    use crate::testing;

    /// A client over a socket whose connection runs on this thread.
    fn connect(engine: &Arc<Engine>) -> UnixStream {
        let (near, far) = UnixStream::pair().unwrap();
        let session = engine.server.connect(-1, Peer::Unix("".into()));
        tokio::spawn(Connection::new(engine.clone(), Stream::Unix(near), session));
        far
    }

    async fn exchange(client: &mut UnixStream, requests: &str) -> String {
        client.write_all(requests.as_bytes()).await.unwrap();
        let mut replies = vec![0; 1024];
        let len = client.read(&mut replies).await.unwrap();
        String::from_utf8_lossy(&replies[..len]).into_owned()
    }

    fn break_off(_: &mut Db<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Result<Option<Wait>> {
        reply.bulk(b"half of a reply");
        panic!("a defect that a test has put here");
    }

    #[tokio::test]
    async fn what_a_turn_that_panics_has_written_reaches_nobody() {
        let engine = testing::engine();
        // Who is served in the turn of a push has it panic.
        let trap = testing::blocked(&engine, "trap", break_off);
        let [mut first, mut second, mut third] = [(); 3].map(|()| connect(&engine));
        let others = engine.server.clients.len() - 1;
        let requests = "ECHO first\r\nWATCH trap\r\nRPUSH trap a\r\n";
        assert_eq!(exchange(&mut first, requests).await, "");
        // Its session is taken down, and the others go on.
        assert_eq!(engine.server.clients.len(), others);
        assert!(Turn::new(&engine).unblock(trap.client.id));
        second.write_all(b"BLPOP queue 0\r\n").await.unwrap();
        assert_eq!(exchange(&mut third, "PING\r\n").await, "+PONG\r\n");
        assert_eq!(exchange(&mut third, "RPUSH queue a\r\n").await, ":1\r\n");
        let mut item = [0; 64];
        let len = second.read(&mut item).await.unwrap();
        let item = String::from_utf8_lossy(&item[..len]);
        assert_eq!(item, "*2\r\n$5\r\nqueue\r\n$1\r\na\r\n");
    }

    /// Marks the only client as active in an hour from now, and answers it.
    fn in_an_hour(engine: &Engine) -> Arc<Client> {
        let client = engine.server.clients.all().remove(0);
        client.note_activity(HOUR);
        client
    }

    const HOUR: Duration = Duration::from_secs(3600);

    /// Goes on with other tasks until the client's activity has been noted.
    async fn until_active(client: &Client) {
        until("it is active", || client.idle(HOUR) > Duration::ZERO).await;
    }

    /// Goes on with other tasks until it is so.
    async fn until(what: &str, is_so: impl Fn() -> bool) {
        let patience = Duration::from_secs(60);
        let wait = async {
            while !is_so() {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(patience, wait).await;
        assert!(waited.is_ok(), "waited in vain until {what}");
    }

    #[tokio::test]
    async fn who_is_still_sending_is_not_idle() {
        let engine = testing::engine();
        let mut socket = connect(&engine);
        let client = in_an_hour(&engine);
        socket
            .write_all(b"*2\r\n$4\r\nECHO\r\n$9\r\nha")
            .await
            .unwrap();
        until_active(&client).await;
        in_an_hour(&engine);
        // It is long by now, and grows in a buffer of its own.
        let long = vec![b'x'; 2 * READ_MAX];
        let request = format!("lf of it\r\n*2\r\n$4\r\nECHO\r\n${}\r\n", 2 * long.len());
        socket.write_all(request.as_bytes()).await.unwrap();
        socket.write_all(&long).await.unwrap();
        until_active(&client).await;
    }

    #[tokio::test]
    async fn who_is_still_reading_is_not_idle() {
        let engine = testing::engine();
        let mut socket = connect(&engine);
        let value = "v".repeat(4 << 20);
        testing::client(&engine).line(&format!("SET k {value}"));
        socket.write_all(b"GET k\r\n").await.unwrap();
        // What the socket takes at once has been sent.
        let client = engine.server.clients.all().remove(0);
        until("the socket is full", || {
            !client.outbox.lock().output.is_empty()
        })
        .await;
        let house = &engine.server.kept_house_at;
        house.store(2 * HOUR.as_secs(), Relaxed);
        let mut some = vec![0; 1 << 20];
        socket.read_exact(&mut some).await.unwrap();
        until("it is active", || client.idle(3 * HOUR) <= HOUR).await;
    }

    #[tokio::test]
    async fn who_has_been_served_or_let_go_is_not_idle() {
        let engine = testing::engine();
        let mut socket = connect(&engine);
        let client = engine.server.clients.all().remove(0);
        socket.write_all(b"BLPOP q 0\r\n").await.unwrap();
        let is = |flag| client.flags().contains(flag);
        until("it is blocked", || is(ClientFlags::BLOCKED)).await;
        in_an_hour(&engine);
        let mut other = testing::client(&engine);
        other.line("RPUSH q a");
        until_active(&client).await;
        other.line("CLIENT PAUSE 100000 WRITE");
        socket.write_all(b"RPUSH q b\r\n").await.unwrap();
        until("it is held", || is(ClientFlags::PAUSED)).await;
        in_an_hour(&engine);
        other.line("CLIENT UNPAUSE");
        until_active(&client).await;
    }

    #[tokio::test]
    async fn a_client_that_is_sent_much_lets_the_others_have_their_turn() {
        let engine = testing::engine();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let reader = TcpStream::connect(listener.local_addr().unwrap());
        let (_reader, accepted) = tokio::join!(reader, listener.accept());
        let stream = Stream::Tcp(accepted.unwrap().0);
        let session = engine.server.connect(-1, Peer::Local);
        let value = Bytes::from(vec![0; SHARE_MIN]);
        (0..1000).for_each(|_| session.client.outbox.lock().output.share(&value));
        let mut connection = Connection::new(engine.clone(), stream, session);
        let poll = poll_fn(|cx| Poll::Ready(Pin::new(&mut connection).poll(cx)));
        assert!(poll.await.is_pending());
        // The socket would take more than the one write that reaches the bound.
        let sent = engine.server.metrics.output_bytes.load(Relaxed) as usize;
        assert!(sent < WRITE_MAX + SLICES_MAX * SHARE_MIN, "{sent}");
    }
}
