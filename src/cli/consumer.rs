//! A consumer of a queue that loses nothing: what it takes moves into a list of its own, and
//! leaves that list when it has been shown.
//!
//! Beside the queue `jobs` there is the hash `jobs:respd-pop` of those who consume it, each under
//! a name that its connection bears, too, with the end of the queue that it takes from. What it
//! holds is in `jobs:respd-pop:NAME:0` and `:1`, in turns: one is deleted, which may safely be done
//! twice, with the command that fills the other. Whose name no connection bears is dead, and what
//! it held goes back to where it came from. A name is used for one connection only, so nobody
//! who was found dead comes back to it.

use std::time::{Duration, Instant};

use respd::resp::value::Value;
use uuid::Uuid;

use super::client::Connection;
use super::error::Error;

/// How often a consumer looks for what the dead have left, and so the longest that it waits for an
/// item at a time.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The broker keeps the time of a blocking command, but one that hangs must not keep us waiting.
pub const GRACE: Duration = Duration::from_secs(5);

/// The end of the queue to take from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    Oldest,
    Newest,
}

impl End {
    /// As LMOVE has it, in a list that LPUSH fills.
    fn word(self) -> &'static str {
        match self {
            End::Oldest => "RIGHT",
            End::Newest => "LEFT",
        }
    }
}

pub struct Consumer {
    queue: Vec<u8>,
    end: End,
    /// Empty without a connection that bears it.
    name: String,
    /// The list, of the two, with what was taken last.
    turn: usize,
    /// How many of these items have been shown; all of them before the next are taken.
    shown: usize,
    taken: usize,
    looked: Instant,
    /// How many items of the dead are back in the queue, for someone to tell.
    pub returned: i64,
}

impl Consumer {
    pub fn new(queue: Vec<u8>, end: End) -> Consumer {
        Consumer {
            queue,
            end,
            name: String::new(),
            turn: 0,
            shown: 0,
            taken: 0,
            looked: Instant::now(),
            returned: 0,
        }
    }

    /// Introduces this consumer on a connection that is new to it. What it held through another
    /// goes back first, if it was not shown.
    pub fn join(&mut self, connection: &mut Connection) -> Result<(), Error> {
        self.leave(connection)?;
        let name = format!("respd-pop-{}", Uuid::new_v4().simple());
        connection.call(&[b"CLIENT", b"SETNAME", name.as_bytes()])?;
        let end = self.end.word().as_bytes();
        connection
            .call(&[b"HSET", &self.registry(), name.as_bytes(), end])
            .map_err(|error| self.of_registry(error))?;
        self.name = name;
        self.look(connection)
    }

    /// Takes up to `most` items, and waits up to `wait` for the first one; all of what was taken
    /// before counts as shown. Without an item it may come back early: then it is to be asked
    /// again.
    pub fn take(
        &mut self,
        connection: &mut Connection,
        most: usize,
        wait: Option<Duration>,
    ) -> Result<Vec<Vec<u8>>, Error> {
        if self.looked.elapsed() >= LOOK_EVERY {
            self.look(connection)?;
        }
        let wait = wait.map_or(LOOK_EVERY, |wait| wait.min(LOOK_EVERY));
        connection.set_patience(Some(wait + GRACE))?;
        let seconds = blocking_timeout(Some(wait));

        let (shown, fresh) = (self.list(self.turn), self.list(1 - self.turn));
        let from = self.end.word().as_bytes();
        connection.queue(&[b"DEL", &shown]);
        let (queue, to) = (&self.queue, b"LEFT");
        connection.queue(&[b"BLMOVE", queue, &fresh, from, to, seconds.as_bytes()]);
        // FLUSHALL may have removed it, also while this waited.
        connection.queue(&[b"HSET", &self.registry(), self.name.as_bytes(), from]);
        for _ in 1..most {
            connection.queue(&[b"LMOVE", queue, &fresh, from, to]);
        }
        connection.flush()?;
        let forgotten = connection.receive()?;
        let mut first = Some(connection.receive()?);
        let registered = connection.receive()?;
        let mut items = Vec::new();
        let mut refused = None;
        for _ in 0..most {
            match first.take().map_or_else(|| connection.receive(), Ok)? {
                Value::Error(text) => refused = Some(text),
                Value::Null => {}
                value => items.push(bytes_of(connection, &value)?),
            }
        }
        for reply in [forgotten, registered] {
            if let Value::Error(text) = reply {
                return Err(connection.refused(&text));
            }
        }
        self.turn = 1 - self.turn;
        (self.taken, self.shown) = (items.len(), 0);
        match refused {
            Some(text) if items.is_empty() => Err(connection.refused(&text)),
            _ => Ok(items),
        }
    }

    /// The first `count` of the items that were taken last have been shown.
    pub fn have_shown(&mut self, count: usize) {
        self.shown = count;
    }

    /// Puts back what was taken and not shown, and forgets the rest. The connection may be another
    /// than that of the name.
    pub fn leave(&mut self, connection: &mut Connection) -> Result<(), Error> {
        if self.name.is_empty() {
            return Ok(());
        }
        connection.set_patience(Some(LOOK_EVERY))?;
        let last = self.list(self.turn);
        if self.shown == self.taken {
            connection.call(&[b"DEL", &last])?;
        } else if self.shown > 0 {
            // What was taken first is last in the list. Never twice, even if the reply gets lost.
            let rest = format!("-{}", std::mem::take(&mut self.shown) + 1);
            connection.call(&[b"LTRIM", &last, b"0", rest.as_bytes()])?;
        }
        // Under its name until all is back: whoever calls again goes on with it.
        self.take_back(connection, &self.name, self.end)?;
        self.name.clear();
        (self.taken, self.shown) = (0, 0);
        Ok(())
    }

    /// Puts back what the dead have left.
    fn look(&mut self, connection: &mut Connection) -> Result<(), Error> {
        connection.set_patience(Some(LOOK_EVERY))?;
        self.looked = Instant::now();
        let registered = connection.call(&[b"HGETALL", &self.registry()])?;
        let Value::Array(registered) = registered else {
            return Err(connection.unexpected());
        };
        let mut others = Vec::new();
        for pair in registered.chunks_exact(2) {
            let name = bytes_of(connection, &pair[0])?;
            let end = match pair[1].as_bytes() {
                Some(b"LEFT") => End::Newest,
                _ => End::Oldest,
            };
            if name != self.name.as_bytes() {
                others.push((String::from_utf8_lossy(&name).into_owned(), end));
            }
        }
        if others.is_empty() {
            return Ok(());
        }
        // After they were read from the hash: a name is borne before it is written there.
        let clients = match connection.call(&[b"CLIENT", b"LIST"]) {
            // A user that may not look takes nobody for dead.
            Err(Error::Refused { .. }) => return Ok(()),
            clients => clients?,
        };
        let clients = bytes_of(connection, &clients)?;
        let clients = String::from_utf8_lossy(&clients);
        for (name, end) in others {
            let is_borne = |field: &str| field.strip_prefix("name=") == Some(&name);
            if !clients.split_ascii_whitespace().any(is_borne) {
                self.returned += self.take_back(connection, &name, end)?;
            }
        }
        Ok(())
    }

    /// Moves what `name` holds back to the end of the queue that it came from, the one that was
    /// taken first to the very end. Each moves once, whoever else does the same.
    fn take_back(&self, connection: &mut Connection, name: &str, end: End) -> Result<i64, Error> {
        let mut items = 0;
        for turn in 0..2 {
            let list = self.list_of(name, turn);
            let (from, to) = (b"LEFT", end.word().as_bytes());
            let back: [&[u8]; 5] = [b"LMOVE", &list, &self.queue, from, to];
            while connection.call(&back)? != Value::Null {
                items += 1;
            }
        }
        connection.call(&[b"HDEL", &self.registry(), name.as_bytes()])?;
        Ok(items)
    }

    /// Names the key that a user has not named.
    fn of_registry(&self, error: Error) -> Error {
        match error {
            Error::Refused { address, text } => {
                let registry = String::from_utf8_lossy(&self.registry()).into_owned();
                let text = format!("{text} (of the key '{registry}')");
                Error::Refused { address, text }
            }
            error => error,
        }
    }

    /// The hash of those who consume this queue.
    fn registry(&self) -> Vec<u8> {
        [&self.queue, &b":respd-pop"[..]].concat()
    }

    fn list(&self, turn: usize) -> Vec<u8> {
        self.list_of(&self.name, turn)
    }

    fn list_of(&self, name: &str, turn: usize) -> Vec<u8> {
        let turn = turn.to_string();
        [
            &self.registry(),
            ":".as_bytes(),
            name.as_bytes(),
            b":",
            turn.as_bytes(),
        ]
        .concat()
    }
}

/// A time to wait as blocking commands have it.
pub fn blocking_timeout(wait: Option<Duration>) -> String {
    // None means for ever there, so the least that is left is a millisecond.
    let seconds = wait.map_or(0.0, |wait| wait.as_secs_f64().max(0.001));
    format!("{seconds:.3}")
}

pub fn bytes_of(connection: &Connection, value: &Value) -> Result<Vec<u8>, Error> {
    value
        .as_bytes()
        .map(<[u8]>::to_vec)
        .ok_or_else(|| connection.unexpected())
}
