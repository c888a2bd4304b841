//! What clients have sent and got.

use std::fmt;
use std::sync::Arc;

use crate::Broker;
use crate::broker::life::Life;
use crate::command::TABLE;
use crate::engine::Turn;
use crate::lab::Lab;
use crate::lab::record::assertion::{Assertion, Pattern};
use crate::lab::record::entry::Entry;
use crate::lab::record::transcript::transcript;
use crate::lab::record::{self, LIMIT, LIMIT_MAX, Seen};
use crate::lab::scope::{Named, Scope};

/// A record of what every client sends and gets, in the order in which it is
/// executed: requests, replies, published messages, invalidations. It ends when
/// this is dropped, and what comes of [`client_name`](Self::client_name) and its like,
/// which see some of it.
///
/// Words of assertions may be patterns, as in KEYS; `...` as the last one is any
/// further words. The name of a command is in any case. An assertion that does
/// not hold panics and says what was sent instead, the nearest first.
///
/// ```
/// let broker = respd::Broker::for_tests()?;
/// let record = broker.record();
/// let mut client = broker.client();
/// client.call(&["SET", "order:1", "new"]);
/// client.call(&["PUBLISH", "orders", "1"]);
///
/// record.assert_sent(["SET", "order:*", "new"]);
/// record.assert_sent_times(["PUBLISH", "orders", "1"], 1);
/// record.assert_nothing_sent_to("secret:*");
/// record.assert_in_order(["SET order:1 ...", "PUBLISH orders 1"]);
/// # Ok::<(), respd::broker::StartError>(())
/// ```
///
/// There are bounds: 10,000 entries, or [as many as one likes](Self::limit), and
/// 16 MiB. The oldest go, and an assertion that would depend on them does not
/// hold. Of what one client sends or gets at once 16 KiB are kept. RESPD is not
/// on record, and passwords are covered.
#[must_use = "it ends when it is dropped"]
#[derive(Clone)]
pub struct Record {
    started: Arc<Started>,
    scope: Scope,
}

/// Ends the record when nobody has it any more.
struct Started {
    life: Arc<Life>,
    lab: Arc<Lab>,
    reader: u64,
}

impl Started {
    fn new(life: Arc<Life>, limit: usize) -> Option<Started> {
        let engine = life.engine();
        let lab = engine.server.lab.clone()?;
        let mut turn = Turn::new(&engine);
        // What runs has ended then, or is on record from its beginning.
        turn.state();
        let reader = lab.record.start(limit);
        drop(turn);
        Some(Started { life, lab, reader })
    }

    fn record(&self) -> &record::Record {
        &self.lab.record
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.record().stop(self.reader);
    }
}

impl Broker {
    /// Begins a record of what clients send and get.
    ///
    /// # Panics
    ///
    /// It was not started [for tests](Broker::for_tests).
    pub fn record(&self) -> Record {
        let started = Started::new(self.life.clone(), LIMIT);
        let started = started.expect("the broker was started with Broker::for_tests");
        Record {
            started: Arc::new(started),
            scope: Scope::default(),
        }
    }
}

impl Record {
    /// Begins anew, and keeps so many entries at most: 1 to 1,000,000.
    pub fn limit(self, entries: usize) -> Record {
        let life = self.started.life.clone();
        match Started::new(life, entries.clamp(1, LIMIT_MAX)) {
            Some(started) => Record {
                started: Arc::new(started),
                ..self
            },
            None => self,
        }
    }

    /// What a client has sent and got whose name is like this: CLIENT SETNAME.
    pub fn client_name(&self, name: impl AsRef<[u8]>) -> Record {
        self.only(|scope| scope.name = Some(name.as_ref().to_vec()))
    }

    /// What the client of this id has.
    pub fn client_id(&self, id: u64) -> Record {
        self.only(|scope| scope.id = Some(id))
    }

    /// What clients have whose library's name is like this: CLIENT SETINFO.
    pub fn library(&self, name: impl AsRef<[u8]>) -> Record {
        self.only(|scope| scope.library = Some(name.as_ref().to_vec()))
    }

    /// What clients of this user have; all are of `default`.
    pub fn user(&self, name: impl AsRef<[u8]>) -> Record {
        self.only(|scope| scope.user = Some(name.as_ref().to_vec()))
    }

    /// Requests of this command, and the replies. Of a subcommand the name is
    /// `config|get`, and `config` is all of them.
    ///
    /// # Panics
    ///
    /// There is no such command.
    #[track_caller]
    pub fn command(&self, name: &str) -> Record {
        let Some(command) = TABLE.find(name.as_bytes()) else {
            panic!("there is no command {name}");
        };
        let (id, name) = (command.id, command.full_name.clone());
        self.only(|scope| scope.command = Some(Named { id, name }))
    }

    /// Requests that name a key like this, and the replies.
    pub fn key(&self, pattern: impl AsRef<[u8]>) -> Record {
        self.only(|scope| scope.key = Some(pattern.as_ref().to_vec()))
    }

    /// Messages on channels like this; requests that name one, and the replies.
    pub fn channel(&self, pattern: impl AsRef<[u8]>) -> Record {
        self.only(|scope| scope.channel = Some(pattern.as_ref().to_vec()))
    }

    /// What was sent and got while this database was selected.
    pub fn db(&self, number: usize) -> Record {
        self.only(|scope| scope.db = Some(number))
    }

    fn only(&self, narrow: impl FnOnce(&mut Scope)) -> Record {
        let mut record = self.clone();
        narrow(&mut record.scope);
        record
    }

    /// What is on record, in order.
    pub fn entries(&self) -> Vec<Entry> {
        self.seen().entries
    }

    /// How many entries had been on record before the first one that is there,
    /// and have gone.
    pub fn gone(&self) -> u64 {
        self.seen().gone
    }

    /// Forgets what is on record so far.
    pub fn clear(&self) {
        self.started.record().clear(self.started.reader);
    }

    /// What is on record as a transcript, which respd's tests can play against
    /// any server: see `tests/transcripts/README.md`. It begins with a broker
    /// without data, so the record must have.
    pub fn transcript(&self) -> String {
        transcript(&self.seen())
    }

    /// A request of these words was sent, at least once.
    #[track_caller]
    pub fn assert_sent<W: AsRef<[u8]>>(&self, words: impl IntoIterator<Item = W>) {
        self.check(&Assertion::Sent(Pattern::new(words), None));
    }

    /// Requests of these words were sent so often, and not more often. With 0
    /// none was.
    #[track_caller]
    pub fn assert_sent_times<W: AsRef<[u8]>>(
        &self,
        words: impl IntoIterator<Item = W>,
        times: u64,
    ) {
        self.check(&Assertion::Sent(Pattern::new(words), Some(times)));
    }

    /// Nothing was sent that names a key like this.
    #[track_caller]
    pub fn assert_nothing_sent_to(&self, pattern: impl AsRef<[u8]>) {
        self.check(&Assertion::Untouched(pattern.as_ref().to_vec()));
    }

    /// Requests like these were sent one after the other, with others between
    /// them perhaps. Each is a line as one would type it into redis-cli.
    ///
    /// # Panics
    ///
    /// They were not, or the quotes in a line do not match.
    #[track_caller]
    pub fn assert_in_order<L: AsRef<[u8]>>(&self, requests: impl IntoIterator<Item = L>) {
        let lines = requests.into_iter();
        let patterns = lines.map(|line| Pattern::of_line(line.as_ref()));
        let patterns: Option<Vec<_>> = patterns.collect();
        let patterns = patterns.expect("quotes that are closed");
        self.check(&Assertion::Order(patterns));
    }

    /// A message of these words was delivered to a client, at least once:
    /// `["message", "news", "*"]`.
    #[track_caller]
    pub fn assert_delivered<W: AsRef<[u8]>>(&self, words: impl IntoIterator<Item = W>) {
        self.check(&Assertion::Delivered(Pattern::new(words), None));
    }

    /// Messages of these words were delivered so often, to all clients together.
    #[track_caller]
    pub fn assert_delivered_times<W: AsRef<[u8]>>(
        &self,
        words: impl IntoIterator<Item = W>,
        times: u64,
    ) {
        self.check(&Assertion::Delivered(Pattern::new(words), Some(times)));
    }

    #[track_caller]
    fn check(&self, assertion: &Assertion) {
        if let Err(text) = assertion.check(&self.seen()) {
            panic!("{text}");
        }
    }

    fn seen(&self) -> Seen {
        let Started { reader, .. } = *self.started;
        let seen = self.started.record().seen(reader, &self.scope);
        seen.expect("the record goes on while somebody has this")
    }
}

/// What is on record.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries()).finish()
    }
}
