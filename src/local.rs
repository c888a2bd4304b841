//! A client without a socket: the same path as over TCP, from the checks on.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::task::Waker;
use std::time::Duration;

use crate::clock;
use crate::command::{TABLE, respd_restart};
use crate::dispatch::batch::{Requests, Stopped};
use crate::engine::{Engine, Turn};
use crate::error::Error;
use crate::lab::restarts::Restart;
use crate::resp::request::{Decoder, Limits};
use crate::resp::value::{self, Value};
use crate::resp::{Output, Reply};
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
    engine: Arc<Engine>,
    session: Session,
    requests: Requests,
}

/// While a script runs for long, others have the keyspace for so long at a time.
const MOMENT: Duration = Duration::from_millis(1);

impl LocalClient {
    pub(crate) fn new(engine: Arc<Engine>) -> LocalClient {
        let mut session = engine.connect(-1, Peer::Local);
        // Who embeds the broker has set its password.
        session.authenticated = true;
        LocalClient {
            engine,
            session,
            requests: Requests::default(),
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
        if u32::try_from(requests.len()).is_err() {
            // Places in a buffer are 32-bit numbers.
            return b"-ERR Protocol error: too big a batch of requests\r\n".to_vec();
        }
        let limits = Limits {
            bulk: self.engine.server.live.bulk.load(Relaxed),
            authenticated: true,
        };
        let mut decoder = Decoder::default();
        let batch = &mut self.requests.batch;
        let (_, error) = decoder.decode(requests, limits, usize::MAX, batch);
        let mut output = Output::default();
        let mut index = 0;
        while index < self.requests.batch.len() && !self.is_closed() {
            index = self.run_from(index, requests, &mut output);
        }
        if let Some(error) = error {
            let error = Error::protocol(error.text());
            Reply::new(&mut output, self.session.protocol).error(&error);
        }
        let mut replies = output.into_vec();
        if let Some(restart) = self.session.restart.take() {
            replies.extend(self.restart(*restart));
        }
        replies
    }

    /// Has the broker go and come back, and answers what the client is told then.
    fn restart(&self, restart: Restart) -> Vec<u8> {
        let (tell, told) = mpsc::channel();
        if let Some(lab) = &self.engine.server.lab {
            // Who has asked waits for it.
            let answer = Box::new(move |result| _ = tell.send(result));
            lab.restarts.begin(restart, answer);
        }
        let told = told.recv();
        told.map_or(Vec::new(), |result| {
            respd_restart::answer(result, self.session.protocol)
        })
    }

    /// Runs the requests from `index` on under one lock, up to one that has to
    /// wait; answers which one is next.
    fn run_from(&mut self, index: usize, requests: &[u8], output: &mut Output) -> usize {
        // The workers are threads of their own, and serve the others.
        let clock = &self.engine.server.clock;
        let progress = self.requests.run(
            &self.engine,
            &TABLE,
            &mut self.session,
            (index, requests),
            (output, usize::MAX),
            Some(&|| clock.sleep_thread(MOMENT)),
        );
        match progress.stopped {
            Some(Stopped::Held) => self.wait_for_pause(),
            Some(Stopped::Blocked(deadline)) => self.wait_for_reply(deadline, output),
            // Faults concern connections.
            Some(Stopped::Ended | Stopped::OutputFull | Stopped::Aside | Stopped::Struck)
            | None => {}
        }
        progress.next
    }

    /// Whether nothing runs any more.
    fn is_closed(&self) -> bool {
        let session = &self.session;
        session.ending.is_some()
            || session.client.flags().contains(ClientFlags::KILLED)
            || self.engine.server.over.is_cancelled()
    }

    /// Has this thread woken when there is something in the outbox, or the
    /// client is let go or closed.
    fn listen(&self) -> Waker {
        let waker = clock::unpark();
        self.session.client.outbox.set_waker(waker.clone());
        waker
    }

    /// Waits until a blocked command has its reply, which comes at `deadline`
    /// at the latest, in time since the broker's start.
    fn wait_for_reply(&mut self, deadline: Option<Duration>, output: &mut Output) {
        let waker = self.listen();
        let client = &self.session.client;
        let clock = &self.engine.server.clock;
        let _alarm = deadline.and_then(|deadline| clock.alarm(deadline, Some(client.id), &waker));
        loop {
            let mut outbox = client.outbox.lock();
            let resumed = std::mem::take(&mut outbox.resumed);
            outbox.take(output, 0);
            drop(outbox);
            if resumed || self.is_closed() {
                return;
            }
            if !clock.park(deadline) {
                Turn::new(&self.engine).time_out(client);
            }
        }
    }

    /// Waits until CLIENT PAUSE lets the client go on.
    fn wait_for_pause(&mut self) {
        self.listen();
        let client = &self.session.client;
        while client.flags().contains(ClientFlags::PAUSED) && !self.is_closed() {
            self.engine.server.clock.park(None);
        }
    }
}

impl Drop for LocalClient {
    fn drop(&mut self) {
        self.engine.disconnect(&mut self.session);
    }
}
