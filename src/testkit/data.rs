//! Data that a test begins with, goes back to, and looks at.

use std::fmt;
use std::time::Duration;

use crate::Broker;
use crate::engine::Turn;
use crate::lab::state::{Difference, State};
use crate::resp::value::Value;
use crate::text::words;

/// Why something was not done: what RESPD has answered.
#[derive(Clone, PartialEq, Eq)]
pub struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl Broker {
    /// Keys to begin with.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let broker = respd::Broker::for_tests()?;
    /// broker
    ///     .fixture()
    ///     .string("session", "data")
    ///     .ttl(Duration::from_secs(60))
    ///     .hash("cart", [("apples", "3"), ("pears", "1")])
    ///     .db(1)
    ///     .zset("scores", [("ann", 1.5)])
    ///     .load()?;
    /// assert_eq!(broker.state().len(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fixture(&self) -> Fixture<'_> {
        Fixture {
            broker: self,
            commands: Vec::new(),
            key: None,
            wrong: None,
        }
    }

    /// Runs commands, one on a line as one would type them into redis-cli; what
    /// follows a `#` at the beginning of a line is a comment. Answers how many
    /// there are.
    ///
    /// # Errors
    ///
    /// A line is wrong, or its command has answered an error: the text says
    /// which. The data are what they were before.
    pub fn load_commands(&self, text: &str) -> Result<usize, Refused> {
        load(self, "COMMANDS", text.as_bytes())
    }

    /// Stores the keys of an object of JSON, each instead of whatever it has:
    /// `{"cart": {"type": "hash", "value": {"apples": 3}, "ttl": 60}}`. Answers
    /// how many there are.
    ///
    /// # Errors
    ///
    /// Something is wrong: the text says at which key. The data are what they
    /// were before.
    pub fn load_json(&self, text: &str) -> Result<usize, Refused> {
        load(self, "JSON", text.as_bytes())
    }

    /// Takes a snapshot of all data, to which one can go back as often as one
    /// likes.
    ///
    /// ```
    /// let broker = respd::Broker::for_tests()?;
    /// broker.fixture().list("jobs", ["one", "two"]).load()?;
    /// let before = broker.snapshot()?;
    ///
    /// broker.client().call(&["LPOP", "jobs"]);
    /// assert_eq!(before.difference().to_string(), "\
    /// ~ db 0 \"jobs\" list
    ///     - \"one\"
    /// ");
    ///
    /// before.roll_back()?;
    /// assert_eq!(broker.state(), before.state());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The broker is not [for tests](Broker::for_tests), or has 128 snapshots.
    pub fn snapshot(&self) -> Result<Snapshot<'_>, Refused> {
        let id = number(self, &["SNAPSHOT"])?;
        Ok(Snapshot { broker: self, id })
    }

    /// All that is in the broker, to be compared, or shown when a test fails.
    pub fn state(&self) -> State {
        let engine = self.engine();
        let mut turn = Turn::new(&engine);
        turn.state();
        let now = turn.now;
        State::of(&turn.state().keyspace, now, |_| true)
    }
}

/// A snapshot of all data of a broker. It is forgotten when this is dropped.
#[derive(Debug)]
pub struct Snapshot<'b> {
    broker: &'b Broker,
    id: i64,
}

impl Snapshot<'_> {
    /// The number by which RESPD knows it.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// Has all data be what they were. Snapshots that were taken since are
    /// forgotten; this one stays. Answers how many keys are different now, not
    /// counting those of databases that were emptied or have changed places.
    ///
    /// # Errors
    ///
    /// An older snapshot was gone back to, which has ended this one.
    pub fn roll_back(&self) -> Result<usize, Refused> {
        let id = self.id.to_string();
        number(self.broker, &["ROLLBACK", &id]).map(|keys| keys as usize)
    }

    /// What was there; what would have expired since is not. Nothing, once an
    /// older snapshot was gone back to.
    pub fn state(&self) -> State {
        let engine = self.broker.engine();
        let mut turn = Turn::new(&engine);
        turn.state();
        let now = turn.now;
        State::at(&turn.state().keyspace, self.id as u64, now).unwrap_or_default()
    }

    /// How the data differ from what they were. It takes time for what has
    /// changed, and not for what is there.
    pub fn difference(&self) -> Difference {
        let engine = self.broker.engine();
        let mut turn = Turn::new(&engine);
        turn.state();
        let now = turn.now;
        let difference = State::difference_to(&turn.state().keyspace, self.id as u64, now);
        difference.unwrap_or_default()
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        let id = self.id.to_string();
        // It may be gone already.
        let _ = number(self.broker, &["SNAPSHOT", "DROP", &id]);
    }
}

/// Keys that are to be stored, all of them or none; each instead of whatever it
/// has.
#[must_use = "nothing is stored before `load`"]
#[derive(Debug)]
pub struct Fixture<'b> {
    broker: &'b Broker,
    /// As lines.
    commands: Vec<u8>,
    /// The last one, of the database that is selected.
    key: Option<Vec<u8>>,
    /// Why they cannot be stored.
    wrong: Option<Refused>,
}

impl Fixture<'_> {
    /// Has the keys that follow stand in this database.
    pub fn db(mut self, index: usize) -> Self {
        self.command(&[b"SELECT", index.to_string().as_bytes()]);
        self.key = None;
        self
    }

    /// A string.
    pub fn string(self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.store("SET", key.as_ref(), [value])
    }

    /// A list, from its left to its right.
    pub fn list<T: AsRef<[u8]>>(
        self,
        key: impl AsRef<[u8]>,
        elements: impl IntoIterator<Item = T>,
    ) -> Self {
        self.store("RPUSH", key.as_ref(), elements)
    }

    /// A set.
    pub fn set<T: AsRef<[u8]>>(
        self,
        key: impl AsRef<[u8]>,
        members: impl IntoIterator<Item = T>,
    ) -> Self {
        self.store("SADD", key.as_ref(), members)
    }

    /// A hash: fields, each with its value.
    pub fn hash<F: AsRef<[u8]>, V: AsRef<[u8]>>(
        self,
        key: impl AsRef<[u8]>,
        fields: impl IntoIterator<Item = (F, V)>,
    ) -> Self {
        let pairs = fields.into_iter();
        let words =
            pairs.flat_map(|(field, value)| [field.as_ref().to_vec(), value.as_ref().to_vec()]);
        self.store("HSET", key.as_ref(), words)
    }

    /// A sorted set: members, each with its score.
    pub fn zset<M: AsRef<[u8]>>(
        self,
        key: impl AsRef<[u8]>,
        members: impl IntoIterator<Item = (M, f64)>,
    ) -> Self {
        let pairs = members.into_iter();
        let words = pairs
            .flat_map(|(member, score)| [score.to_string().into_bytes(), member.as_ref().to_vec()]);
        self.store("ZADD", key.as_ref(), words)
    }

    /// A stream: entries, each with its id, such as `1-1`, and its fields and
    /// their values.
    pub fn stream<I, F, V, E>(mut self, key: impl AsRef<[u8]>, entries: E) -> Self
    where
        I: AsRef<[u8]>,
        F: AsRef<[u8]>,
        V: AsRef<[u8]>,
        E: IntoIterator<Item = (I, Vec<(F, V)>)>,
    {
        let key = key.as_ref();
        self.replace(key);
        let mut is_empty = true;
        for (id, fields) in entries {
            is_empty = false;
            let mut words = vec![b"XADD".as_slice(), key, id.as_ref()];
            words.extend(
                fields
                    .iter()
                    .flat_map(|(field, value)| [field.as_ref(), value.as_ref()]),
            );
            self.command(&words);
        }
        if is_empty {
            self.refuse(key, NOTHING);
        }
        self
    }

    /// Has the key that was named last expire after so long: it stands behind the
    /// key. What is less than a millisecond is one.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        let Some(key) = self.key.clone() else {
            self.wrong
                .get_or_insert(Refused("ERR a ttl stands behind its key".to_owned()));
            return self;
        };
        let ttl = ttl.as_nanos().div_ceil(1_000_000).to_string();
        self.command(&[b"PEXPIRE", &key, ttl.as_bytes()]);
        self
    }

    /// Stores them.
    ///
    /// # Errors
    ///
    /// One of them cannot be: a collection has nothing in it, there is no such
    /// database, or a ttl has no key. The data are what they were before. Or the
    /// broker is not [for tests](Broker::for_tests).
    pub fn load(self) -> Result<(), Refused> {
        match self.wrong {
            Some(wrong) => Err(wrong),
            None => load(self.broker, "COMMANDS", &self.commands).map(drop),
        }
    }

    fn store<T: AsRef<[u8]>>(
        mut self,
        command: &str,
        key: &[u8],
        words: impl IntoIterator<Item = T>,
    ) -> Self {
        self.replace(key);
        let stored: Vec<T> = words.into_iter().collect();
        if stored.is_empty() {
            self.refuse(key, NOTHING);
        }
        let mut words = vec![command.as_bytes(), key];
        words.extend(stored.iter().map(AsRef::as_ref));
        self.command(&words);
        self
    }

    fn replace(&mut self, key: &[u8]) {
        self.key = Some(key.to_vec());
        self.command(&[b"DEL", key]);
    }

    fn refuse(&mut self, key: &[u8], why: &str) {
        let key = String::from_utf8_lossy(key);
        self.wrong
            .get_or_insert_with(|| Refused(format!("ERR key {key:?}: {why}")));
    }

    fn command(&mut self, words: &[&[u8]]) {
        let words: Vec<_> = words.iter().map(|word| words::quote(word)).collect();
        self.commands.extend(words.join(&b' '));
        self.commands.push(b'\n');
    }
}

/// What has no elements is no key.
const NOTHING: &str = "nothing is in it";

fn load(broker: &Broker, format: &str, text: &[u8]) -> Result<usize, Refused> {
    let commands = number(broker, &[b"LOAD", format.as_bytes(), text]);
    commands.map(|commands| commands as usize)
}

/// The number that RESPD answers.
fn number<W: AsRef<[u8]>>(broker: &Broker, words: &[W]) -> Result<i64, Refused> {
    let words = words.iter().map(AsRef::as_ref);
    let words: Vec<&[u8]> = std::iter::once(b"RESPD".as_slice()).chain(words).collect();
    match broker.client().call(&words) {
        Value::Integer(number) => Ok(number),
        Value::Error(text) => Err(Refused(String::from_utf8_lossy(&text).into_owned())),
        other => Err(Refused(format!("RESPD has answered {other:?}"))),
    }
}
