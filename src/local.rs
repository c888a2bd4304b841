//! A client without a socket: the same path as over TCP, from the checks on.

use std::io::IoSlice;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::command::dispatch::{self, Next, Plan};
use crate::engine::Turn;
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
    output: Output,
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
            output: Output::default(),
        }
    }

    /// Runs a command and answers its reply. A blocking command blocks the
    /// thread. After SUBSCRIBE, messages come before later replies and are
    /// answered in their place, so use a connection for that.
    pub fn call<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Value {
        let mut request = Output::default();
        Reply::new(&mut request, self.session.protocol).bulks(words.iter());
        let reply = self.run(&std::mem::take(request.buffer()));
        let decoded = value::decode(&reply).ok().flatten();
        decoded.map_or(Value::Null, |(value, _)| value)
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
        let mut index = 0;
        while index < batch.len() {
            index = self.turn(&batch, index, requests);
        }
        self.batch = batch;
        if let Some(error) = error {
            let error = crate::error::Error::protocol(error.text());
            Reply::new(&mut self.output, self.session.protocol).error(&error);
        }
        let mut bytes = Vec::with_capacity(self.output.len());
        while !self.output.is_empty() {
            let mut slices = [IoSlice::new(&[]); 64];
            let used = self.output.slices(&mut slices);
            let before = bytes.len();
            slices[..used]
                .iter()
                .for_each(|slice| bytes.extend_from_slice(slice));
            self.output.advance(bytes.len() - before);
        }
        bytes
    }

    /// Runs the requests from `index` on under one lock, up to one that has to
    /// wait; answers which one is next.
    fn turn(&mut self, batch: &Batch, index: usize, buffer: &[u8]) -> usize {
        let server = self.server.clone();
        let turn = Turn::new(&server);
        let uptime = turn.uptime;
        let session = &mut self.session;
        let mut context = Context {
            server: &server,
            session,
            turn,
            in_exec: false,
        };
        dispatch::plan(&mut context, batch, buffer, &mut self.plan);
        for (index, &planned) in self.plan.iter().enumerate().skip(index) {
            let (argv, _) = batch.get(index, buffer);
            let mut reply = Reply::new(&mut self.output, context.session.protocol);
            match dispatch::run(&mut context, planned, argv, &mut reply) {
                Next::Run => {}
                Next::Hold(until) => {
                    drop(context);
                    std::thread::sleep(until.saturating_sub(uptime));
                    return index;
                }
                Next::Block(entry, wait) => {
                    let timeout = Duration::from_millis(wait.timeout_ms);
                    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
                    context.session.client.outbox.set_waker(waker);
                    context.turn.block(context.session, entry.id, argv, wait);
                    drop(context);
                    self.wait(timeout);
                    return index + 1;
                }
            }
        }
        batch.len()
    }

    /// Waits until a blocked command has its reply.
    fn wait(&mut self, timeout: Duration) {
        let deadline = (!timeout.is_zero()).then(|| Instant::now() + timeout);
        let client = &self.session.client;
        loop {
            let mut outbox = client.outbox.lock();
            if std::mem::take(&mut outbox.resumed) || client.flags().contains(ClientFlags::KILLED) {
                outbox.output.drain_into(&mut self.output, 0);
                return;
            }
            drop(outbox);
            match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => std::thread::park(),
                Some(Duration::ZERO) => {
                    Turn::new(&self.server).time_out(client);
                }
                Some(left) => std::thread::park_timeout(left),
            }
        }
    }
}

impl Drop for LocalClient {
    fn drop(&mut self) {
        self.server.disconnect(&mut self.session);
    }
}
