//! The loop of one client: read what has come, run it, write once.
//!
//! Reading goes straight into a buffer of the worker, so an idle connection
//! holds none. What has not arrived in full, or cannot run yet because the
//! client is blocked or held, moves into a buffer of the connection's own.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::time::{Instant, Sleep};

use super::stream::Stream;
use crate::command::dispatch::{self, Next, Plan};
use crate::engine::Turn;
use crate::error::Error;
use crate::resp::output::CHUNK;
use crate::resp::request::{Batch, Decoder, Limits};
use crate::resp::{Lent, Output, Reply, Reused};
use crate::server::{self, Server};
use crate::session::outbox::{OutputLimit, Pending};
use crate::session::{ClientFlags, Session};

/// What one read takes, and about what one turn runs at most: large enough
/// for a deep pipeline, small enough that no client holds the others up.
const READ_MAX: usize = 64 * 1024;
/// Requests that run under one lock.
const BATCH_MAX: usize = 256;
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

/// The requests of a turn, and the commands that they name.
#[derive(Default)]
struct Requests {
    batch: Batch,
    plan: Plan,
}

thread_local! {
    static SHARED: RefCell<Shared> = RefCell::new(Shared {
        read: vec![0; READ_MAX].into(),
        requests: Requests::default(),
        output: Reused::default(),
    });
}

/// A client's connection; the future ends when it closes.
pub struct Connection {
    server: Arc<Server>,
    stream: Stream,
    session: Session,
    decoder: Decoder,
    /// What has arrived and has not run. Taking from its front moves nothing.
    input: BytesMut,
    /// There may be a request in `input` that can run.
    fresh: bool,
    state: State,
    /// The end of a blocked client's patience, or of a pause.
    timer: Option<Pin<Box<Sleep>>>,
    waker: Option<Waker>,
    /// The client has shut down its side: nothing more comes.
    ended: bool,
    /// Its requests have handed something to other clients, which is to leave
    /// before its replies do. Who sees the reply to PUBLISH or LPUSH so knows
    /// that the message is on its way, and who waited for it gets it a write
    /// earlier. A publisher that goes on at the reply sends more at once then:
    /// its messages to 1,000 subscribers took 1.4 µs of CPU each and not 2.3.
    others_first: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Requests run as they come.
    Running,
    /// A blocking command waits; the others queue behind it.
    Blocked,
    /// CLIENT PAUSE holds the next request back.
    Held,
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
    pub fn new(server: Arc<Server>, stream: Stream, session: Session) -> Connection {
        Connection {
            server,
            stream,
            session,
            decoder: Decoder::default(),
            input: BytesMut::new(),
            fresh: false,
            state: State::Running,
            timer: None,
            waker: None,
            ended: false,
            others_first: false,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.server.disconnect(&mut self.session);
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.register(cx);
        SHARED.with_borrow_mut(|shared| {
            let mut scratch = Scratch {
                read: &mut shared.read,
                requests: &mut shared.requests,
                output: shared.output.lend(),
            };
            let poll = this.advance(cx, &mut scratch);
            // An error of the socket says that nobody is there any more.
            poll.map(|_: io::Result<()>| ())
        })
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
            if self.ended && self.state == State::Blocked && !self.leave() {
                // It may read on, so what it has been given meanwhile is its own.
                continue;
            }
            let flushed = match self.write(cx, &mut scratch.output)? {
                Written::All => true,
                Written::AsMuchAsTaken => false,
                Written::Enough => return Poll::Pending,
            };
            let done = self.session.closing
                || (self.ended && (self.state != State::Running || !self.fresh));
            if done {
                return if flushed || self.state != State::Running {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Pending
                };
            }
            if !flushed {
                // What the socket did not take leaves before the replies to
                // what runs now.
                let mut outbox = self.session.client.outbox.lock();
                outbox.output.drain_into(&mut scratch.output, OUTBOX_KEEP);
            }
            let more = if self.state == State::Running && self.fresh {
                self.run_input(scratch);
                self.fresh
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
        self.session.aborted || self.session.client.flags().contains(ClientFlags::KILLED)
    }

    /// Ends the wait of a client that sends nothing any more. Answers whether
    /// it was still waiting.
    fn leave(&self) -> bool {
        let client = self.session.client.id;
        Turn::new(&self.server).unblock(client) || !self.session.client.outbox.lock().resumed
    }

    /// Takes what others have put into the outbox behind what is in `output`,
    /// and leaves the blocked or held state when its end has come.
    fn take_up(&mut self, cx: &mut Context<'_>, output: &mut Output) {
        let client = &self.session.client;
        let elapsed = self
            .timer
            .as_mut()
            .is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
        if elapsed && self.state == State::Blocked {
            Turn::new(&self.server).time_out(client);
        }
        let mut outbox = client.outbox.lock();
        let resumed = std::mem::take(&mut outbox.resumed);
        outbox.output.drain_into(output, OUTBOX_KEEP);
        drop(outbox);
        let over = match self.state {
            State::Running => return,
            State::Blocked => resumed,
            State::Held => elapsed || !client.flags().contains(ClientFlags::PAUSED),
        };
        if over {
            client.set_flags(ClientFlags::PAUSED, false);
            self.state = State::Running;
            self.timer = None;
            self.fresh = !self.input.is_empty();
        }
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
        self.server.metrics.reads.fetch_add(1, Relaxed);
        self.server
            .metrics
            .input_bytes
            .fetch_add(len as u64, Relaxed);
        let end = kept + len;
        if kept < self.input.len() || self.state != State::Running {
            self.input.extend_from_slice(&read[kept..end]);
            self.fresh = self.decoder.missing(self.input.len()) == 0;
            self.check_input();
        } else {
            let used = self.turn(&read[..end], requests, output);
            if kept > 0 || used < end {
                self.input.clear();
                if used == end || self.input.capacity() > READ_MAX {
                    self.input = BytesMut::new();
                }
                self.input.extend_from_slice(&read[used..end]);
            }
            self.check_input();
        }
        Poll::Ready(Ok(end == read.len()))
    }

    /// Runs what waits in our own buffer, one turn's worth of it.
    fn run_input(&mut self, scratch: &mut Scratch<'_>) {
        let mut input = std::mem::take(&mut self.input);
        let used = self.turn(&input, scratch.requests, &mut scratch.output);
        if used < input.len() {
            input.advance(used);
            self.input = input;
        }
        self.check_input();
    }

    /// Closes a client that has sent too much at once.
    fn check_input(&mut self) {
        let session = &self.session;
        let client = &session.client;
        client.input.store(self.input.len(), Relaxed);
        let waiting = self.input.len() + session.transaction.as_ref().map_or(0, |t| t.memory());
        let limit = match session.authenticated {
            true => self.server.hot.query_buffer.load(Relaxed),
            false => UNAUTHENTICATED_INPUT_MAX,
        };
        // Places in a buffer are 32-bit numbers.
        if waiting > limit.min(u32::MAX as usize) {
            self.server
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
    fn turn(&mut self, buffer: &[u8], requests: &mut Requests, output: &mut Output) -> usize {
        let mut used = 0;
        self.fresh = false;
        while used < buffer.len() {
            if used >= READ_MAX {
                self.fresh = true;
                return used;
            }
            let rest = &buffer[used..];
            let authenticated = self.session.authenticated;
            let limits = Limits {
                bulk: self.server.hot.bulk.load(Relaxed),
                authenticated,
            };
            // AUTH changes what may follow it.
            let max = if authenticated { BATCH_MAX } else { 1 };
            let (decoded, error) = self.decoder.decode(rest, limits, max, &mut requests.batch);
            if let Some(stopped) = self.run(rest, requests, output) {
                self.decoder = Decoder::default();
                self.fresh = true;
                return used + stopped;
            }
            used += decoded;
            if let Some(error) = error {
                Reply::new(output, self.session.protocol).error(&Error::protocol(error.text()));
                self.session.closing = true;
                return buffer.len();
            }
            if requests.batch.is_empty() {
                break;
            }
        }
        used
    }

    /// Runs a batch under one lock. If the client blocks, is held or closes
    /// within it, or its replies are many, answers where in `buffer` it stopped.
    fn run(
        &mut self,
        buffer: &[u8],
        requests: &mut Requests,
        output: &mut Output,
    ) -> Option<usize> {
        let Requests { batch, plan } = requests;
        let others_first = &mut self.others_first;
        let server = &*self.server;
        let turn = Turn::new(server);
        self.session
            .client
            .active_ms
            .store(turn.uptime.as_millis() as u64, Relaxed);
        let mut context = server::Context {
            server,
            session: &mut self.session,
            turn,
            in_exec: false,
        };
        dispatch::plan(&mut context, batch, buffer, plan);
        // What the client has not read of earlier replies.
        let backlog = output.len();
        let mut start = 0;
        for (index, &planned) in plan.commands.iter().enumerate() {
            let (argv, end) = batch.get(index, buffer);
            let mut reply = Reply::new(output, context.session.protocol);
            let next = dispatch::run(&mut context, planned, argv, &mut reply);
            *others_first |= context.turn.reached_others;
            match next {
                Next::Run if context.session.closing || context.session.aborted => {
                    return Some(buffer.len());
                }
                Next::Run => {}
                Next::Block(entry, wait) => {
                    let timeout_ms = wait.timeout_ms;
                    context.block(entry, argv, *wait);
                    self.state = State::Blocked;
                    self.timer = (timeout_ms > 0).then(|| timer(Duration::from_millis(timeout_ms)));
                    return Some(end);
                }
                Next::Hold(until) => {
                    self.state = State::Held;
                    self.timer = Some(timer(until.saturating_sub(context.turn.uptime)));
                    return Some(start);
                }
            }
            if output.len() - backlog >= OUTPUT_MAX {
                return Some(end);
            }
            start = end;
        }
        None
    }

    /// Writes `output` as far as the socket takes it; the rest goes back into
    /// the outbox.
    fn write(&mut self, cx: &mut Context<'_>, output: &mut Output) -> io::Result<Written> {
        let mut sent = 0;
        while !output.is_empty() {
            if sent >= WRITE_MAX {
                drop(self.set_aside(output));
                after_all_others(cx);
                return Ok(Written::Enough);
            }
            let written = match output.only() {
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
                    self.server.metrics.writes.fetch_add(1, Relaxed);
                    self.server
                        .metrics
                        .output_bytes
                        .fetch_add(len as u64, Relaxed);
                    output.advance(len);
                    sent += len;
                }
                Poll::Pending => {
                    self.put_back(output);
                    return Ok(Written::AsMuchAsTaken);
                }
            }
        }
        Ok(Written::All)
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
            true => self.server.output_limit(client),
            false => UNAUTHENTICATED_OUTPUT,
        };
        let mut outbox = self.set_aside(output);
        let overflowed = outbox.exceeds(limit, self.server.clock.uptime());
        drop(outbox);
        if overflowed {
            self.server.note_overflow(client, b"");
        }
    }
}

/// Has the task polled again when the others have had their turn, those
/// included whose sockets the runtime has not looked at yet: it runs a task
/// that is merely woken dozens of times before it does.
fn after_all_others(cx: &mut Context<'_>) {
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}

/// A timer that ends no earlier than `after` from now.
fn timer(after: Duration) -> Pin<Box<Sleep>> {
    // Longer than a process lives, and short enough for the clock to add.
    const FOREVER: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);
    Box::pin(tokio::time::sleep_until(
        Instant::now() + after.min(FOREVER),
    ))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream, UnixStream};

    use super::*;
    use crate::command::testing;
    use crate::db::Db;
    use crate::engine::Wait;
    use crate::error::Result;
    use crate::resp::{Argv, SHARE_MIN};
    use crate::session::client::Peer;

    /// A client over a socket whose connection runs on this thread.
    fn connect(server: &Arc<Server>) -> UnixStream {
        let (near, far) = UnixStream::pair().unwrap();
        let session = server.connect(-1, Peer::Unix("".into()));
        let connection = Connection::new(server.clone(), Stream::Unix(near), session);
        tokio::spawn(connection);
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
        let server = testing::server();
        // Who is served in the turn of a push has it panic.
        let trap = testing::blocked(&server, "trap", break_off);
        let [mut first, mut second, mut third] = [(); 3].map(|()| connect(&server));
        let others = server.clients.len() - 1;
        let requests = "ECHO first\r\nWATCH trap\r\nRPUSH trap a\r\n";
        assert_eq!(exchange(&mut first, requests).await, "");
        // Its session is taken down, and the others go on.
        assert_eq!(server.clients.len(), others);
        assert!(Turn::new(&server).unblock(trap.client.id));
        second.write_all(b"BLPOP queue 0\r\n").await.unwrap();
        assert_eq!(exchange(&mut third, "PING\r\n").await, "+PONG\r\n");
        assert_eq!(exchange(&mut third, "RPUSH queue a\r\n").await, ":1\r\n");
        let mut item = [0; 64];
        let len = second.read(&mut item).await.unwrap();
        let item = String::from_utf8_lossy(&item[..len]);
        assert_eq!(item, "*2\r\n$5\r\nqueue\r\n$1\r\na\r\n");
    }

    #[tokio::test]
    async fn a_client_that_is_sent_much_lets_the_others_have_their_turn() {
        let server = testing::server();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let reader = TcpStream::connect(listener.local_addr().unwrap());
        let (_reader, accepted) = tokio::join!(reader, listener.accept());
        let stream = Stream::Tcp(accepted.unwrap().0);
        let session = server.connect(-1, Peer::Local);
        let value = Bytes::from(vec![0; SHARE_MIN]);
        (0..1000).for_each(|_| session.client.outbox.lock().output.share(&value));
        let mut connection = Connection::new(server.clone(), stream, session);
        let poll = poll_fn(|cx| Poll::Ready(Pin::new(&mut connection).poll(cx)));
        assert!(poll.await.is_pending());
        // The socket would take more than the one write that reaches the bound.
        let sent = server.metrics.output_bytes.load(Relaxed) as usize;
        assert!(sent < WRITE_MAX + SLICES_MAX * SHARE_MIN, "{sent}");
    }
}
