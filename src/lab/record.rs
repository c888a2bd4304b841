//! A record of what clients have sent and got, of a broker for tests.
//!
//! Who runs a request notes it with its reply, who hands something to a client
//! notes that. While there is a record everything that runs does so with the
//! keyspace locked, so that it has one order, which is that of the record.
//! What was noted is decoded by who reads it. There are bounds, and the oldest
//! goes.

pub mod assertion;
pub mod entry;
pub mod filter;
mod frame;
mod log;
pub mod transcript;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::Mutex;

use entry::{Entry, KEPT, Kept, Request, What};
use log::Log;
pub use log::Seen;

use crate::lab::scope::{Scope, Who};
use crate::resp::Output;
use crate::resp::output::Mark;

/// So many entries are kept for who does not say how many.
pub const LIMIT: usize = 10_000;
/// And so many for who does.
pub const LIMIT_MAX: usize = 1_000_000;

/// What is on record, for as long as somebody wants one.
#[derive(Default)]
pub struct Record {
    /// Somebody does.
    on: AtomicBool,
    // Whoever holds it takes no other lock.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    readers: BTreeMap<u64, Reader>,
    next_reader: u64,
    log: Log,
    /// Requests that run: one, mostly, but while a script lets others in.
    running: Vec<Running>,
    /// Requests that have blocked, and their numbers, by the client.
    blocked: HashMap<u64, (u64, Arc<Request>)>,
    /// The clients of which something is on record and that are still there.
    known: HashSet<u64>,
}

/// Who wants a record.
struct Reader {
    /// It sees entries from this number on.
    from: u64,
    /// And wants so many to be kept.
    limit: usize,
}

/// How much is on record.
#[derive(Default)]
pub struct Size {
    /// Entries.
    pub entries: usize,
    /// How many were there before these and have gone.
    pub gone: u64,
    /// Bytes of memory that they hold, about.
    pub bytes: usize,
}

/// A request that runs.
struct Running {
    who: Arc<Who>,
    request: Arc<Request>,
    /// What has been handed to clients since it began, itself included: that
    /// comes behind its reply.
    handed: Log,
}

/// Notes what happens at one time.
#[derive(Clone, Copy)]
pub struct Recorder<'a> {
    record: &'a Record,
    /// By the broker's clock, in milliseconds since 1970.
    now_ms: i64,
}

impl Record {
    /// Begins to keep a record for somebody, with so many entries at most;
    /// answers who that is.
    pub fn start(&self, limit: usize) -> u64 {
        let mut state = self.state.lock();
        let number = state.next_reader;
        state.next_reader += 1;
        let from = state.log.next();
        state.readers.insert(number, Reader { from, limit });
        self.on.store(true, Relaxed);
        number
    }

    /// Ends it. What nobody else wants is forgotten.
    pub fn stop(&self, reader: u64) {
        let mut state = self.state.lock();
        state.readers.remove(&reader);
        if state.readers.is_empty() {
            self.on.store(false, Relaxed);
            let next = state.log.next();
            *state = State {
                next_reader: state.next_reader,
                ..State::default()
            };
            state.log.forget_before(next);
        }
        state.trim();
    }

    /// Forgets what this reader has seen so far.
    pub fn clear(&self, reader: u64) {
        let mut state = self.state.lock();
        let next = state.log.next();
        if let Some(reader) = state.readers.get_mut(&reader) {
            reader.from = next;
        }
        state.trim();
    }

    /// What is on record for a reader; `None` if there is no such reader.
    pub fn seen(&self, reader: u64, scope: &Scope) -> Option<Seen> {
        let state = self.state.lock();
        let from = state.readers.get(&reader)?.from;
        let entries: Vec<_> = state.log.from(from).cloned().collect();
        let gone = state.log.first().saturating_sub(from);
        drop(state);
        let wanted = entries
            .into_iter()
            .filter(|entry| filter::covers(scope, entry));
        Some(Seen {
            entries: wanted.collect(),
            gone,
        })
    }

    /// How much is on record for a reader, if there is that reader.
    pub fn size(&self, reader: u64) -> Option<Size> {
        let state = self.state.lock();
        let from = state.readers.get(&reader)?.from;
        let entries = state.log.from(from);
        let mut size = Size {
            gone: state.log.first().saturating_sub(from),
            ..Size::default()
        };
        for entry in entries {
            size.entries += 1;
            size.bytes += entry.memory();
        }
        Some(size)
    }

    /// To note what happens now, in milliseconds since 1970, if there is a
    /// record.
    #[inline]
    pub fn recorder(&self, now_ms: impl FnOnce() -> i64) -> Option<Recorder<'_>> {
        self.on.load(Relaxed).then(|| Recorder {
            record: self,
            now_ms: now_ms(),
        })
    }
}

impl State {
    fn is_on(&self) -> bool {
        !self.readers.is_empty()
    }

    fn limit(&self) -> usize {
        let limits = self.readers.values().map(|reader| reader.limit);
        limits.max().unwrap_or_default()
    }

    /// Forgets what no reader wants.
    fn trim(&mut self) {
        if let Some(from) = self.readers.values().map(|reader| reader.from).min() {
            self.log.forget_before(from);
        }
    }

    fn push(&mut self, entry: Entry) {
        let limit = self.limit();
        self.log.push(entry, limit);
    }

    /// Something has been handed to a client.
    fn hand(&mut self, entry: Entry) {
        self.known.insert(entry.who.id);
        let limit = self.limit();
        match self.running.last_mut() {
            Some(running) => running.handed.push(entry, limit),
            None => self.log.push(entry, limit),
        }
    }

    /// Takes a request out that no longer runs.
    fn take_running(&mut self, client: u64) -> Option<Running> {
        let at = self.running.iter().position(|one| one.who.id == client)?;
        Some(self.running.remove(at))
    }

    /// Adds what was handed to clients while something ran.
    fn append(&mut self, handed: Log) {
        if handed.first() > 0 {
            // As much went as came, so that nothing before it can be left.
            let next = self.log.next() + handed.first();
            self.log.forget_before(next);
        }
        handed.into_entries().for_each(|entry| self.push(entry));
    }
}

impl Recorder<'_> {
    /// A client's request begins to run.
    pub fn begin(&self, who: Who, request: Request) {
        let mut state = self.record.state.lock();
        if state.is_on() {
            let (who, request) = (Arc::new(who), Arc::new(request));
            state.running.push(Running {
                who,
                request,
                handed: Log::default(),
            });
        }
    }

    /// It has run, and this is the reply: what was written since the mark. Or
    /// it blocks.
    pub fn end(&self, client: u64, (output, since): (&Output, Mark), blocks: bool) {
        let mut state = self.record.state.lock();
        let Some(running) = state.take_running(client) else {
            return;
        };
        let Running {
            who,
            request,
            handed,
        } = running;
        state.known.insert(client);
        let number = state.log.next();
        let what = What::Request {
            request: request.clone(),
            blocks,
        };
        let entry = self.entry(&who, what);
        state.push(entry);
        if blocks {
            state.blocked.insert(client, (number, request));
        } else if let Some(kept) = kept(output, since) {
            let to = Some((number, request));
            let entry = self.entry(&who, What::Reply { to, kept });
            state.push(entry);
        }
        state.append(handed);
    }

    /// It has not run, and will be tried again.
    pub fn cancel(&self, client: u64) {
        let mut state = self.record.state.lock();
        if let Some(running) = state.take_running(client) {
            state.append(running.handed);
        }
    }

    /// A client that was blocked goes on, with all that was written for a reply,
    /// if it wants one.
    pub fn resumed(&self, who: Who, reply: Option<&Output>) {
        let mut state = self.record.state.lock();
        let to = state.blocked.remove(&who.id);
        let kept = reply.and_then(|reply| kept(reply, Mark::default()));
        if let Some(kept) = kept.filter(|_| state.is_on()) {
            let entry = self.entry(&Arc::new(who), What::Reply { to, kept });
            state.hand(entry);
        }
    }

    /// A client is handed something that it has not asked for: what was written
    /// since the mark.
    pub fn delivered(&self, who: Who, output: &Output, since: Mark) {
        let mut state = self.record.state.lock();
        if let Some(kept) = kept(output, since).filter(|_| state.is_on()) {
            let entry = self.entry(&Arc::new(who), What::Push(kept));
            state.hand(entry);
        }
    }

    /// A client has gone.
    pub fn gone(&self, who: Who) {
        let mut state = self.record.state.lock();
        state.blocked.remove(&who.id);
        // Of a panic there is no end.
        if let Some(running) = state.take_running(who.id) {
            state.append(running.handed);
        }
        if state.known.remove(&who.id) {
            let entry = self.entry(&Arc::new(who), What::Gone);
            state.push(entry);
        }
    }

    fn entry(&self, who: &Arc<Who>, what: What) -> Entry {
        Entry {
            number: 0,
            at_ms: self.now_ms,
            who: who.clone(),
            what,
        }
    }
}

/// What was written since the mark, if it is anything.
fn kept(output: &Output, since: Mark) -> Option<Kept> {
    let (bytes, len) = output.since(since, KEPT);
    let bytes = bytes.into();
    (len > 0).then_some(Kept { bytes, len })
}
