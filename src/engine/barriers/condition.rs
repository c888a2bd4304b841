//! What one can wait for: whether it is so, and what there is instead.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::sent::{Counts, Sent};
use crate::db::Database;
use crate::db::value::{Hash, List, Set, Stream, ValueRef, Zset};
use crate::engine::State;
use crate::pubsub::Target;
use crate::server::Server;
use crate::session::{Client, ClientFlags};
use crate::text::distance::distance;

/// What is waited for. Numbers are exact, but for how often something was sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Condition {
    /// So many clients are subscribed.
    Subscribers {
        /// What the name is of.
        target: Target,
        /// The channel or pattern.
        name: Vec<u8>,
        /// How many.
        count: usize,
    },
    /// So many clients are blocked on a key.
    Blocked(Key, usize),
    /// The key is there.
    Exists(Key),
    /// It is not.
    Gone(Key),
    /// So many elements, members, fields or entries are in it; 0 if it is not
    /// there.
    Length(Key, usize),
    /// So many entries are pending in a group of the stream.
    Pending(Key, Vec<u8>, usize),
    /// So many clients are connected.
    Clients(usize),
    /// The clients of a name have sent a command so often together since they
    /// connected, or more often.
    Sent {
        /// CLIENT SETNAME
        name: Vec<u8>,
        /// The command in lower case, its subcommand behind `|`.
        command: String,
        /// How often.
        times: u64,
    },
    /// A client of this name is there, and the sockets of all that are have
    /// taken everything that was sent to them.
    Read(Vec<u8>),
}

/// A key of a database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key {
    /// The number of the database.
    pub db: usize,
    /// The key.
    pub key: Vec<u8>,
}

/// What there is to look at.
pub struct Sight<'a> {
    server: &'a Server,
    /// `None` if the data are not at hand, or a script is in the middle of them.
    state: Option<&'a State>,
    sent: &'a Sent,
    /// Milliseconds since 1970.
    now: i64,
    /// The clients by their names, once somebody asks: many may wait, each for
    /// another one.
    by_name: OnceCell<BTreeMap<Vec<u8>, Vec<Arc<Client>>>>,
}

impl<'a> Sight<'a> {
    pub fn new(server: &'a Server, state: Option<&'a State>, sent: &'a Sent) -> Self {
        Sight {
            server,
            state: state.filter(|state| !state.interrupted),
            sent,
            now: server.clock.now_ms(),
            by_name: OnceCell::new(),
        }
    }

    fn database(&self, key: &Key) -> Option<&'a Database> {
        self.state?.keyspace.databases.get(key.db)
    }

    /// The value of a key, if it is there.
    fn value(&self, key: &Key) -> Option<ValueRef<'a>> {
        let database = self.database(key)?;
        let (handle, is_due) = database.find_at(&key.key, self.now)?;
        (!is_due).then(|| database.value(handle))
    }

    fn len(&self, key: &Key) -> Option<usize> {
        match self.value(key) {
            None => Some(0),
            Some(value) => len(value, self.now),
        }
    }

    fn pending(&self, key: &Key, group: &[u8]) -> Option<usize> {
        let stream = self.value(key)?.of_kind::<Stream>()?;
        Some(stream.groups.get(group)?.pending().len())
    }

    fn clients(&self, name: &[u8]) -> &[Arc<Client>] {
        let by_name = self.by_name.get_or_init(|| {
            let mut by_name = BTreeMap::<_, Vec<_>>::new();
            for client in self.server.clients.all() {
                let name = client.names().name;
                by_name.entry(name).or_default().push(client);
            }
            by_name
        });
        by_name.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// How often they have sent each command.
    fn sent(&self, name: &[u8]) -> Counts {
        let mut sum = Counts::new();
        for client in self.clients(name) {
            for (command, times) in self.sent.of(client.id) {
                *sum.entry(command).or_default() += times;
            }
        }
        sum
    }

    fn command(&self, id: usize) -> &'static str {
        self.server.metrics.command_name(id).unwrap_or_default()
    }

    fn times_sent(&self, name: &[u8], wanted: &str) -> u64 {
        let is_wanted = |id| is_called(self.command(id), wanted);
        let clients = self.clients(name).iter();
        let times = clients.map(|client| self.sent.times(client.id, is_wanted));
        times.sum()
    }
}

/// Whether a command has this name, or it is a subcommand of one that has.
fn is_called(command: &str, name: &str) -> bool {
    let rest = command.strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('|'))
}

/// How many elements there are; `None` if there are none in a value of this kind.
fn len(value: ValueRef<'_>, now: i64) -> Option<usize> {
    None.or_else(|| value.of_kind::<List>().map(List::len))
        .or_else(|| value.of_kind::<Stream>().map(|stream| stream.entries.len()))
        .or_else(|| value.of_kind::<Set>().map(|set| set.len()))
        .or_else(|| value.of_kind::<Hash>().map(|hash| hash.len(now)))
        .or_else(|| value.of_kind::<Zset>().map(|zset| zset.len()))
}

/// Whether the socket has not taken everything that was sent to a client.
fn is_behind(client: &Client) -> bool {
    // Its task puts back what it cannot send while it has the outbox, and is
    // not at work only then.
    let outbox = client.outbox.lock();
    !outbox.output.is_empty() || client.flags().contains(ClientFlags::AT_WORK)
}

impl Condition {
    /// Whether it is about the data, or about who waits for them.
    pub fn is_of_data(&self) -> bool {
        match self {
            Condition::Blocked(..)
            | Condition::Exists(_)
            | Condition::Gone(_)
            | Condition::Length(..)
            | Condition::Pending(..) => true,
            Condition::Subscribers { .. }
            | Condition::Clients(_)
            | Condition::Sent { .. }
            | Condition::Read(_) => false,
        }
    }

    /// Whether it is about what connections do, and not about what their
    /// requests change.
    pub fn is_of_clients(&self) -> bool {
        matches!(
            self,
            Condition::Clients(_) | Condition::Sent { .. } | Condition::Read(_)
        )
    }

    /// Whether it is so, as far as one sees.
    pub fn holds(&self, sight: &Sight<'_>) -> bool {
        if self.is_of_data() && sight.state.is_none() {
            return false;
        }
        match self {
            Condition::Subscribers {
                target,
                name,
                count,
            } => sight.server.pubsub.subscriber_count(*target, name) == *count,
            Condition::Blocked(key, count) => {
                let waiters = sight.state.map(|state| &state.waiters);
                waiters.is_some_and(|waiters| waiters.count_on(key.db, &key.key) == *count)
            }
            Condition::Exists(key) => sight.value(key).is_some(),
            Condition::Gone(key) => sight.value(key).is_none(),
            Condition::Length(key, count) => sight.len(key) == Some(*count),
            Condition::Pending(key, group, count) => sight.pending(key, group) == Some(*count),
            Condition::Clients(count) => sight.server.clients.len() == *count,
            Condition::Sent {
                name,
                command,
                times,
            } => sight.times_sent(name, command) >= *times,
            Condition::Read(name) => {
                let clients = sight.clients(name);
                !clients.is_empty() && !clients.iter().any(|client| is_behind(client))
            }
        }
    }

    /// What there is instead of it.
    pub fn instead(&self, sight: &Sight<'_>) -> String {
        if self.is_of_data() && sight.state.is_none() {
            return "a script has the data".to_owned();
        }
        match self {
            Condition::Subscribers { target, name, .. } => {
                let pubsub = &sight.server.pubsub;
                let there = pubsub.subscriber_count(*target, name);
                let (kind, _) = word(*target);
                let names = pubsub.names(*target, LOOKED_AT).into_iter();
                let heard = names.map(|(name, count)| (name, Some(count)));
                let others = nearest(name, heard);
                format!("{}; {kind}s with subscribers: {others}", there_are(there))
            }
            Condition::Blocked(key, _) => {
                let waiters = sight.state.map(|state| &state.waiters);
                let there = waiters.map_or(0, |waiters| waiters.count_on(key.db, &key.key));
                let keys = waiters
                    .into_iter()
                    .flat_map(|waiters| waiters.counts(key.db));
                let blocked = keys.take(LOOKED_AT).map(|(key, count)| (key, Some(count)));
                let others = nearest(&key.key, blocked);
                format!("{}; keys with blocked clients: {others}", there_are(there))
            }
            Condition::Exists(key) => not_there(sight, key),
            Condition::Gone(key) => kept(sight, key),
            Condition::Length(key, _) => match (sight.len(key), sight.value(key)) {
                (_, None) => not_there(sight, key),
                (Some(len), Some(_)) => there_are(len),
                (None, Some(_)) => kept(sight, key),
            },
            Condition::Pending(key, group, _) => pending(sight, key, group),
            Condition::Clients(_) => {
                let clients = sight.server.clients.all();
                let there = there_are(clients.len());
                let shown =
                    clients
                        .iter()
                        .take(SHOWN)
                        .map(|client| match client.names().name.as_slice() {
                            b"" => format!("id {}", client.id),
                            name => format!("id {} {}", client.id, quoted(name)),
                        });
                let shown: Vec<_> = shown.collect();
                format!("{there}: {}", joined(&shown, clients.len()))
            }
            Condition::Sent { name, command, .. } => {
                if sight.clients(name).is_empty() {
                    return no_client(sight, name);
                }
                let sent = sight.sent(name).into_iter();
                let sent = sent.map(|(id, times)| (sight.command(id), Some(times as usize)));
                format!("sent: {}", nearest(command.as_bytes(), sent))
            }
            Condition::Read(name) => {
                let clients = sight.clients(name);
                if clients.is_empty() {
                    return no_client(sight, name);
                }
                let left = clients
                    .iter()
                    .map(|client| client.outbox.lock().output.len());
                format!("{} bytes wait to be sent to it", left.sum::<usize>())
            }
        }
    }
}

/// What is waited for, as it follows "waited for".
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Subscribers {
                target,
                name,
                count,
            } => {
                let (_, of) = word(*target);
                let subscribers = counted(*count, "subscriber");
                write!(f, "{subscribers} of {of}{}", quoted(name))
            }
            Condition::Blocked(key, count) => {
                write!(f, "{} blocked on {key}", counted(*count, "client"))
            }
            Condition::Exists(key) => write!(f, "the key {key}"),
            Condition::Gone(key) => write!(f, "the key {key} to go"),
            Condition::Length(key, count) => {
                write!(f, "{} in {key}", counted(*count, "element"))
            }
            Condition::Pending(key, group, count) => {
                let group = quoted(group);
                match count {
                    0 => write!(f, "nothing pending in the group {group} of {key}"),
                    _ => write!(f, "{count} pending in the group {group} of {key}"),
                }
            }
            Condition::Clients(count) => f.write_str(&counted(*count, "client")),
            Condition::Sent {
                name,
                command,
                times,
            } => {
                let (name, command) = (quoted(name), quoted(command.as_bytes()));
                match times {
                    1 => write!(f, "{name} to send {command}"),
                    _ => write!(f, "{name} to send {command} {times} times"),
                }
            }
            Condition::Read(name) => write!(f, "{} to read all that it was sent", quoted(name)),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(&self.key))?;
        match self.db {
            0 => Ok(()),
            db => write!(f, " of database {db}"),
        }
    }
}

/// So many names are looked at to find the nearest.
const LOOKED_AT: usize = 1000;
/// So many of them are shown.
const SHOWN: usize = 5;
/// So many bytes of each.
const NAME_MAX: usize = 64;

/// What the names of a kind are, and what is said before one.
fn word(target: Target) -> (&'static str, &'static str) {
    match target {
        Target::Channel => ("channel", ""),
        Target::Pattern => ("pattern", "the pattern "),
        Target::ShardChannel => ("shard channel", "the shard channel "),
    }
}

fn there_are(count: usize) -> String {
    match count {
        0 => "there are none".to_owned(),
        1 => "there is 1".to_owned(),
        _ => format!("there are {count}"),
    }
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// A name in quotes, on one line whatever it is made of.
fn quoted(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(&name[..name.len().min(NAME_MAX)]);
    let escaped: String = text
        .chars()
        .flat_map(|c| match c {
            ' '..='~' | '\u{a0}'.. => vec![c],
            _ => c.escape_default().collect(),
        })
        .collect();
    match name.len() {
        ..=NAME_MAX => format!("'{escaped}'"),
        _ => format!("'{escaped}…'"),
    }
}

/// Names, each with a number if it has one: those that are most like `wanted`
/// first.
fn nearest<N: AsRef<[u8]>>(
    wanted: &[u8],
    names: impl Iterator<Item = (N, Option<usize>)>,
) -> String {
    let mut names: Vec<_> = names.collect();
    names.sort_by_cached_key(|(name, _)| {
        let name = name.as_ref();
        (distance(wanted, name), name.to_vec())
    });
    let shown = names.iter().take(SHOWN).map(|(name, count)| {
        let name = quoted(name.as_ref());
        count.map_or(name.clone(), |count| format!("{name} ({count})"))
    });
    let shown: Vec<_> = shown.collect();
    joined(&shown, names.len())
}

/// Those that are shown of `all`.
fn joined(shown: &[String], all: usize) -> String {
    match all - shown.len() {
        _ if shown.is_empty() => "none".to_owned(),
        0 => shown.join(", "),
        _ => format!("{}, …", shown.join(", ")),
    }
}

fn not_there(sight: &Sight<'_>, key: &Key) -> String {
    let database = sight.database(key);
    let handles = database.into_iter().flat_map(|database| {
        let handles = database.iter().take(LOOKED_AT);
        let here = handles.filter(|handle| !database.is_due(*handle, sight.now));
        here.map(|handle| (database.key(handle), None))
    });
    format!("it is not there; keys: {}", nearest(&key.key, handles))
}

fn kept(sight: &Sight<'_>, key: &Key) -> String {
    let Some(value) = sight.value(key) else {
        return not_there(sight, key);
    };
    let kind = value.kind().name;
    match len(value, sight.now) {
        None => format!("it is a {kind}"),
        Some(len) => format!("it is a {kind} of {len}"),
    }
}

fn pending(sight: &Sight<'_>, key: &Key, group: &[u8]) -> String {
    let Some(value) = sight.value(key) else {
        return not_there(sight, key);
    };
    let Some(stream) = value.of_kind::<Stream>() else {
        return kept(sight, key);
    };
    let Some(there) = stream.groups.get(group) else {
        let groups = stream.groups.iter().map(|(name, _)| (name, None));
        return format!("there is no such group; groups: {}", nearest(group, groups));
    };
    let consumers = there.consumers().map(|consumer| {
        let pending = consumer.in_hand().len();
        (&*consumer.name, Some(pending))
    });
    let pending = there.pending().len();
    let consumers = nearest(b"", consumers.filter(|(_, pending)| *pending > Some(0)));
    format!("{pending} pending, of: {consumers}")
}

fn no_client(sight: &Sight<'_>, name: &[u8]) -> String {
    let clients = sight.server.clients.all().into_iter();
    let names = clients.map(|client| client.names().name);
    let mut names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    let names = nearest(name, names.into_iter().map(|name| (name, None)));
    format!("no client has that name; names: {names}")
}
