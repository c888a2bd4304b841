//! A client without a socket: the same path as over TCP, from the checks on.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::command::dispatch::{self, Next, Plan};
use crate::engine::Turn;
use crate::error::Error;
use crate::resp::request::{Batch, Decoder, Limits};
use crate::resp::value::{self, Value};
use crate::resp::{Output, Reply};
use crate::server::{Context, Server};
use crate::session::client::Peer;
use crate::session::{ClientFlags, Session};

/// A client inside the broker's own program, for tests that look at the data
/// or change it without a connection. It has a database, a transaction and a
/// name of its own, and CLIENT LIST shows it.
///
/// ```
/// use respd::resp::value::Value;
///
/// let broker = respd::Broker::start()?;
/// let mut client = broker.client();
/// client.call(&["SET", "greeting", "hello"]);
/// assert_eq!(client.call(&["GET", "greeting"]), Value::Bulk("hello".into()));
/// # Ok::<(), respd::broker::StartError>(())
/// ```
pub struct LocalClient {
    server: Arc<Server>,
    session: Session,
    batch: Batch,
    plan: Plan,
}

/// Wakes the thread that waits for a blocked command.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl LocalClient {
    pub(crate) fn new(server: Arc<Server>) -> LocalClient {
        let mut session = server.connect(-1, Peer::Local);
        // Who embeds the broker has set its password.
        session.authenticated = true;
        LocalClient {
            server,
            session,
            batch: Batch::default(),
            plan: Plan::default(),
        }
    }

    /// Runs a command and answers its reply. A blocking command blocks the
    /// thread. After SUBSCRIBE, messages come between the replies and are
    /// answered in their place, so use a connection for that.
    ///
    /// Once the client is closed (by QUIT, by CLIENT KILL, or because the
    /// broker has stopped) it answers an error and runs nothing.
    pub fn call<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Value {
        let mut request = Output::default();
        Reply::new(&mut request, self.session.protocol).bulks(words.iter());
        let reply = self.run(&request.into_vec());
        match value::decode(&reply) {
            Ok(Some((value, _))) => value,
            // CLIENT REPLY has silenced it.
            Ok(None) | Err(_) if !self.is_closed() => Value::Null,
            Ok(None) | Err(_) => Value::Error(Error::CLIENT_CLOSED.text().to_vec().into()),
        }
    }

    /// Runs requests as they come over a connection, and answers their
    /// replies as they would leave.
    pub fn run(&mut self, requests: &[u8]) -> Vec<u8> {
        let limits = Limits {
            bulk: usize::MAX >> 1,
            authenticated: true,
        };
        let mut decoder = Decoder::default();
        let mut batch = std::mem::take(&mut self.batch);
        let (_, error) = decoder.decode(requests, limits, usize::MAX, &mut batch);
        let mut output = Output::default();
        let mut index = 0;
        while index < batch.len() && !self.is_closed() {
            index = self.turn(&batch, index, requests, &mut output);
        }
        self.batch = batch;
        if let Some(error) = error {
            let error = Error::protocol(error.text());
            Reply::new(&mut output, self.session.protocol).error(&error);
        }
        output.into_vec()
    }

    /// Runs the requests from `index` on under one lock, up to one that has to
    /// wait; answers which one is next.
    fn turn(&mut self, batch: &Batch, index: usize, buffer: &[u8], output: &mut Output) -> usize {
        let server = self.server.clone();
        let turn = Turn::new(&server);
        let session = &mut self.session;
        let mut context = Context {
            server: &server,
            session,
            turn,
            in_exec: false,
        };
        dispatch::plan(&mut context, batch, buffer, &mut self.plan);
        for (index, &planned) in self.plan.commands.iter().enumerate().skip(index) {
            let (argv, _) = batch.get(index, buffer);
            let mut reply = Reply::new(output, context.session.protocol);
            match dispatch::run(&mut context, planned, argv, &mut reply) {
                Next::Run if context.session.closing || context.session.aborted => break,
                Next::Run => {}
                Next::Hold(until) => {
                    drop(context);
                    self.wait_for_pause(until);
                    return index;
                }
                Next::Block(entry, wait) => {
                    let timeout = Duration::from_millis(wait.timeout_ms);
                    context.block(entry, argv, *wait);
                    drop(context);
                    self.wait_for_reply(timeout, output);
                    return index + 1;
                }
            }
        }
        batch.len()
    }

    /// Whether nothing runs any more.
    fn is_closed(&self) -> bool {
        let session = &self.session;
        session.closing
            || session.aborted
            || session.client.flags().contains(ClientFlags::KILLED)
            || self.server.shutdown.is_cancelled()
    }

    /// Has this thread woken when there is something in the outbox, or the
    /// client is let go or closed.
    fn listen(&self) {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        self.session.client.outbox.set_waker(waker);
    }

    /// Waits until a blocked command has its reply.
    fn wait_for_reply(&mut self, timeout: Duration, output: &mut Output) {
        self.listen();
        // A time that the clock does not reach is for ever.
        let deadline = Some(timeout).filter(|timeout| !timeout.is_zero());
        let deadline = deadline.and_then(|timeout| Instant::now().checked_add(timeout));
        let client = &self.session.client;
        loop {
            let mut outbox = client.outbox.lock();
            let resumed = std::mem::take(&mut outbox.resumed);
            outbox.output.drain_into(output, 0);
            drop(outbox);
            if resumed || self.is_closed() {
                return;
            }
            if !park_until(deadline) {
                Turn::new(&self.server).time_out(client);
            }
        }
    }

    /// Waits until CLIENT PAUSE lets the client go on, at `until` the latest.
    fn wait_for_pause(&mut self, until: Duration) {
        self.listen();
        let left = until.saturating_sub(self.server.clock.uptime());
        let deadline = Instant::now().checked_add(left);
        let client = &self.session.client;
        while client.flags().contains(ClientFlags::PAUSED)
            && !self.is_closed()
            && park_until(deadline)
        {}
        client.set_flags(ClientFlags::PAUSED, false);
    }
}

/// Lets the thread sleep until it is woken, or for no reason, or `deadline`;
/// false if that has passed.
fn park_until(deadline: Option<Instant>) -> bool {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    match left {
        None => std::thread::park(),
        Some(Duration::ZERO) => return false,
        Some(left) => std::thread::park_timeout(left),
    }
    true
}

impl Drop for LocalClient {
    fn drop(&mut self) {
        self.server.disconnect(&mut self.session);
    }
}
