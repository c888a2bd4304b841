//! Faults that a test has put into a broker: what each does, to whom and how
//! often. Whoever is about to do something asks here whether one strikes, and
//! does what that says; nothing happens here by itself.
//!
//! They are asked in the order in which they came. The first that strikes is
//! the only one, and those behind it do not count what they have not seen.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use parking_lot::Mutex;

use super::scope::{Request, Scope, Who, shown};
use crate::error::{Error, Result};

/// There are so many at most.
pub const FAULTS_MAX: usize = 1024;

/// A pattern or a text of a fault has so many bytes at most.
pub const WORD_MAX: usize = 4096;

/// What a fault does, to whom and how often.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// What it does.
    pub action: Action,
    /// To whom, and with what.
    pub scope: Scope,
    /// Which of the matches it strikes.
    pub when: When,
}

/// What a fault does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Answers this, and runs nothing.
    Error(Error),
    /// Closes the connection, and runs nothing.
    DropBefore,
    /// Runs the command, and does this to its reply.
    Reply(Late),
    /// Closes new connections.
    Refuse,
    /// Reads what comes, and neither runs it nor sends anything.
    Hang,
    /// Reads no more.
    Stall,
    /// Sends a byte at a time.
    Trickle,
    /// Hands a message to its subscriber not at all.
    Lose,
    /// Twice.
    Duplicate,
    /// After the next one.
    Reorder,
}

/// What a fault does to a reply, once that is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Late {
    /// Holds it back for so long, and all that comes behind it.
    Delay(Duration),
    /// Closes the connection instead.
    Drop,
    /// Closes the connection within it.
    Cut,
}

/// Which of the matches a fault strikes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum When {
    /// All.
    #[default]
    Always,
    /// This one alone, counted from 1.
    Nth(u64),
    /// Each so manieth.
    Every(u64),
    /// The first so many.
    Times(u64),
    /// So many of a hundred, by chance.
    Chance {
        /// How many.
        percent: u32,
        /// What chance begins with.
        seed: u64,
    },
}

/// What may be struck.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A request.
    Request,
    /// A connection that is there.
    Connection,
    /// One that comes.
    Arrival,
    /// A message to a subscriber.
    Message,
}

/// The errors that Redis answers with these codes, in full.
const KNOWN: &[(&str, Error)] = &[
    ("LOADING", Error::LOADING),
    ("READONLY", Error::READ_ONLY),
    ("OOM", Error::OUT_OF_MEMORY),
    ("BUSY", Error::BUSY),
    ("MASTERDOWN", Error::MASTER_DOWN),
    ("CLUSTERDOWN", Error::CLUSTER_DOWN),
    ("NOAUTH", Error::NO_AUTH),
    ("MISCONF", Error::MISCONFIGURED),
];

impl Action {
    /// Answers this text, or what Redis answers if it is no more than a code
    /// that is known.
    pub fn error(text: &[u8]) -> Action {
        let known = |(code, _): &&(&str, Error)| text.eq_ignore_ascii_case(code.as_bytes());
        let known = KNOWN.iter().find(known).map(|(_, error)| error.clone());
        Action::Error(known.unwrap_or_else(|| Error::raised(text.to_vec())))
    }

    /// What it strikes.
    pub fn kind(&self) -> Kind {
        match self {
            Action::Error(_) | Action::DropBefore | Action::Reply(_) => Kind::Request,
            Action::Hang | Action::Stall | Action::Trickle => Kind::Connection,
            Action::Refuse => Kind::Arrival,
            Action::Lose | Action::Duplicate | Action::Reorder => Kind::Message,
        }
    }
}

impl Kind {
    /// The words of a scope that can tell one from another.
    fn scoped_by(self) -> &'static [&'static str] {
        match self {
            Kind::Request => &[
                "COMMAND", "KEY", "CHANNEL", "NAME", "ID", "USER", "LIBRARY", "DB",
            ],
            Kind::Connection => &["NAME", "ID", "USER", "LIBRARY", "DB"],
            Kind::Arrival => &[],
            Kind::Message => &["CHANNEL", "NAME", "ID", "USER", "LIBRARY", "DB"],
        }
    }
}

impl Fault {
    /// Whether it keeps everybody out who comes, for good.
    fn keeps_all_out(&self) -> bool {
        let keeps_out = matches!(self.action, Action::Refuse | Action::Hang | Action::Stall);
        let strikes_each = match self.when {
            When::Always | When::Every(1) => true,
            When::Chance { percent, .. } => percent >= 100,
            When::Nth(_) | When::Every(_) | When::Times(_) => false,
        };
        // Who comes has no name yet, is of the only user and has the first database selected.
        let scope = &self.scope;
        let is_of_some = scope.name.is_some() || scope.library.is_some() || scope.id.is_some();
        let is_of_others = scope.db.is_some_and(|db| db > 0)
            || scope.user.as_ref().is_some_and(|user| user != b"default");
        keeps_out && strikes_each && !is_of_some && !is_of_others
    }

    fn check(&self) -> Result<()> {
        let allowed = self.action.kind().scoped_by();
        for (word, value) in self.scope.words() {
            if !allowed.contains(&word) {
                let text = format!("ERR the fault {} takes no {word}", self.action);
                return Err(Error::new(text));
            }
            if value.len() > WORD_MAX {
                return Err(Error::FAULT_WORD);
            }
        }
        match &self.action {
            Action::Error(error) if error.text().len() > WORD_MAX => Err(Error::FAULT_WORD),
            Action::Error(error) if error.text().is_empty() => Err(Error::SYNTAX),
            _ => Ok(()),
        }
    }
}

/// As RESPD FAULT ADD has it.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.action)?;
        match &self.action {
            Action::Error(error) => write!(f, " {}", shown(error.text()))?,
            Action::Reply(Late::Delay(time)) => write!(f, " {}", time.as_millis())?,
            _ => {}
        }
        write!(f, "{}", self.scope)?;
        match self.when {
            When::Always => Ok(()),
            When::Nth(nth) => write!(f, " NTH {nth}"),
            When::Every(every) => write!(f, " EVERY {every}"),
            When::Times(times) => write!(f, " TIMES {times}"),
            When::Chance { percent, seed } => write!(f, " CHANCE {percent} SEED {seed}"),
        }
    }
}

/// Its name.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Error(_) => "ERROR",
            Action::DropBefore => "DROP BEFORE",
            Action::Reply(Late::Delay(_)) => "DELAY",
            Action::Reply(Late::Drop) => "DROP AFTER",
            Action::Reply(Late::Cut) => "DROP MIDDLE",
            Action::Refuse => "REFUSE",
            Action::Hang => "HANG",
            Action::Stall => "STALL",
            Action::Trickle => "TRICKLE",
            Action::Lose => "LOSE",
            Action::Duplicate => "DUPLICATE",
            Action::Reorder => "REORDER",
        })
    }
}

/// A fault that is there, and what has become of it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Its number.
    pub id: u64,
    /// What it does, as RESPD FAULT ADD has it.
    pub fault: String,
    /// How often what it is limited to has come.
    pub matches: u64,
    /// How many of these it has struck.
    pub hits: u64,
}

/// What a fault does to a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hit {
    /// [`Action::Error`]
    Error(Error),
    /// [`Action::DropBefore`]
    Drop,
    /// [`Action::Reply`]
    Reply(Blow),
}

/// What a fault does to a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Blow {
    /// The number of the fault.
    pub fault: u64,
    /// What it does.
    pub late: Late,
}

/// A reply that a fault has struck.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Struck {
    /// By what.
    pub blow: Blow,
    /// How many bytes may leave before it is held back, or the connection
    /// closes.
    pub ahead: usize,
}

impl Blow {
    /// Strikes a reply of `len` bytes, which so many are `before`.
    pub fn strike(self, before: usize, len: usize) -> Struck {
        let sent = match self.late {
            Late::Cut => len / 2,
            Late::Delay(_) | Late::Drop => 0,
        };
        Struck {
            blow: self,
            ahead: before + sent,
        }
    }
}

/// What faults do to a connection as long as they are there.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Impaired {
    /// [`Action::Hang`]
    pub hangs: bool,
    /// [`Action::Stall`]
    pub stalls: bool,
    /// [`Action::Trickle`]
    pub trickles: bool,
}

/// Which faults strike a connection, by their numbers: each decides once.
pub type Judged = BTreeMap<u64, bool>;

/// What a client is subscribed to: the kind of its messages, and the channel or
/// pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subscription<'a> {
    /// `message`, `pmessage` or `smessage`.
    pub kind: &'static [u8],
    /// The channel or pattern.
    pub name: &'a [u8],
}

/// The faults of a broker.
#[derive(Default)]
pub struct Faults {
    /// How many there are of each kind, so that nobody asks in vain.
    counts: [AtomicUsize; 4],
    // Taken after the keyspace and a channel, and before an outbox.
    registry: Mutex<Registry>,
}

#[derive(Default)]
struct Registry {
    entries: Vec<Entry>,
    /// The last number that was given.
    last: u64,
    /// By client, the message that the next one is to overtake.
    held: BTreeMap<u64, Held>,
}

struct Entry {
    id: u64,
    fault: Fault,
    rng: Rng,
    matches: u64,
    hits: u64,
}

struct Held {
    fault: u64,
    kind: &'static [u8],
    name: Vec<u8>,
    message: Bytes,
}

impl Entry {
    /// Counts a match, and answers whether it is struck.
    fn strikes(&mut self) -> bool {
        self.matches += 1;
        let strikes = match self.fault.when {
            When::Always => true,
            When::Nth(nth) => self.matches == nth,
            When::Every(every) => self.matches.is_multiple_of(every),
            When::Times(times) => self.matches <= times,
            When::Chance { percent, .. } => self.rng.u32(..100) < percent,
        };
        self.hits += u64::from(strikes);
        strikes
    }

    fn report(&self) -> Report {
        Report {
            id: self.id,
            fault: self.fault.to_string(),
            matches: self.matches,
            hits: self.hits,
        }
    }
}

impl Registry {
    fn of(&mut self, kind: Kind) -> impl Iterator<Item = &mut Entry> {
        let entries = self.entries.iter_mut();
        entries.filter(move |entry| entry.fault.action.kind() == kind)
    }

    /// The first that strikes something which is within some scopes.
    fn strike(&mut self, kind: Kind, covers: impl Fn(&Scope) -> bool) -> Option<(u64, &Action)> {
        let strikes = |entry: &&mut Entry| covers(&entry.fault.scope);
        let mut within = self.of(kind).filter(strikes);
        let entry = within.find_map(|entry| entry.strikes().then_some(entry))?;
        Some((entry.id, &entry.fault.action))
    }
}

impl Faults {
    /// Whether there is one that strikes such.
    #[inline]
    pub fn any(&self, kind: Kind) -> bool {
        self.counts[kind as usize].load(Relaxed) > 0
    }

    /// Whether one keeps everybody out who comes, for good.
    pub fn keeps_all_out(&self) -> bool {
        let entries = &self.registry.lock().entries;
        entries.iter().any(|entry| entry.fault.keeps_all_out())
    }

    /// Adds one, and answers its number.
    ///
    /// # Errors
    ///
    /// It is none that there can be, or there are too many.
    pub fn add(&self, fault: Fault) -> Result<u64> {
        fault.check()?;
        let mut registry = self.registry.lock();
        if registry.entries.len() >= FAULTS_MAX {
            return Err(Error::TOO_MANY_FAULTS);
        }
        registry.last += 1;
        let id = registry.last;
        let seed = match fault.when {
            When::Chance { seed, .. } => seed,
            _ => 0,
        };
        self.counts[fault.action.kind() as usize].fetch_add(1, Relaxed);
        registry.entries.push(Entry {
            id,
            fault,
            rng: Rng::with_seed(seed),
            matches: 0,
            hits: 0,
        });
        Ok(id)
    }

    /// Removes those that are `meant`, and has the messages handed over that
    /// they hold back, each to the client of this number. Answers how many they
    /// were.
    pub fn remove(
        &self,
        meant: impl Fn(u64) -> bool,
        mut hand: impl FnMut(u64, &[u8], &Bytes),
    ) -> usize {
        let mut registry = self.registry.lock();
        let before = registry.entries.len();
        for entry in registry.entries.extract_if(.., |entry| meant(entry.id)) {
            self.counts[entry.fault.action.kind() as usize].fetch_sub(1, Relaxed);
        }
        // While this is locked, nobody ends a subscription.
        registry.held.retain(|client, held| {
            if meant(held.fault) {
                hand(*client, &held.name, &held.message);
            }
            !meant(held.fault)
        });
        before - registry.entries.len()
    }

    /// Whether this one is there.
    pub fn is_there(&self, id: u64) -> bool {
        let registry = self.registry.lock();
        registry.entries.iter().any(|entry| entry.id == id)
    }

    /// All, in the order in which they came.
    pub fn reports(&self) -> Vec<Report> {
        let registry = self.registry.lock();
        registry.entries.iter().map(Entry::report).collect()
    }

    /// Whether one strikes a client's request.
    pub fn strike_request(&self, who: &Who, request: &Request<'_>) -> Option<Hit> {
        let mut registry = self.registry.lock();
        match registry.strike(Kind::Request, |scope| scope.covers_request(who, request))? {
            (_, Action::Error(error)) => Some(Hit::Error(error.clone())),
            (_, Action::DropBefore) => Some(Hit::Drop),
            (fault, Action::Reply(late)) => Some(Hit::Reply(Blow { fault, late: *late })),
            _ => None,
        }
    }

    /// Whether a new connection is refused.
    pub fn strike_arrival(&self) -> bool {
        let mut registry = self.registry.lock();
        registry.strike(Kind::Arrival, |_| true).is_some()
    }

    /// What is done to a client's connection. A fault strikes it or does not
    /// when it is first within its scope, which `judged` remembers. A test's own
    /// connection is spared, so that it can remove the fault, unless its number
    /// was named.
    pub fn impair(&self, who: &Who, judged: &mut Judged) -> Impaired {
        let mut registry = self.registry.lock();
        judged.retain(|id, _| registry.entries.iter().any(|entry| entry.id == *id));
        let mut impaired = Impaired::default();
        for entry in registry.of(Kind::Connection) {
            let scope = &entry.fault.scope;
            let is_spared = who.is_tester && scope.id.is_none();
            if is_spared || !scope.covers_client(who) {
                continue;
            }
            let id = entry.id;
            if *judged.entry(id).or_insert_with(|| entry.strikes()) {
                match entry.fault.action {
                    Action::Hang => impaired.hangs = true,
                    Action::Stall => impaired.stalls = true,
                    _ => impaired.trickles = true,
                }
            }
        }
        impaired
    }

    /// Has a message handed to a subscriber, as often as it is to be, with the
    /// one that it overtakes behind it.
    pub fn deliver(
        &self,
        who: &Who,
        channel: &[u8],
        subscription: Subscription<'_>,
        message: &Bytes,
        mut hand: impl FnMut(&Bytes),
    ) {
        let mut registry = self.registry.lock();
        if let Some(held) = registry.held.remove(&who.id) {
            hand(message);
            return hand(&held.message);
        }
        let covers = |scope: &Scope| scope.covers_message(who, channel);
        match registry.strike(Kind::Message, covers) {
            None => hand(message),
            Some((_, Action::Lose)) => {}
            Some((_, Action::Duplicate)) => {
                hand(message);
                hand(message);
            }
            Some((fault, _)) => {
                let held = Held {
                    fault,
                    kind: subscription.kind,
                    name: subscription.name.to_vec(),
                    message: message.clone(),
                };
                registry.held.insert(who.id, held);
            }
        }
    }

    /// Forgets what is held back for clients: all have gone.
    pub fn forget_clients(&self) {
        self.registry.lock().held.clear();
    }

    /// Forgets what is held back of a subscription that has ended.
    pub fn forget(&self, client: u64, subscription: Subscription<'_>) {
        let mut registry = self.registry.lock();
        let is_of_it =
            |held: &&Held| (held.kind, &*held.name) == (subscription.kind, subscription.name);
        if registry.held.get(&client).filter(is_of_it).is_some() {
            registry.held.remove(&client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(when: When) -> Fault {
        Fault {
            action: Action::Refuse,
            scope: Scope::default(),
            when,
        }
    }

    fn struck(when: When) -> Vec<u32> {
        let faults = Faults::default();
        faults.add(fault(when)).unwrap();
        (1..=12).filter(|_| faults.strike_arrival()).collect()
    }

    #[test]
    fn it_strikes_those_of_the_matches_that_it_is_to() {
        assert_eq!(struck(When::Always), (1..=12).collect::<Vec<_>>());
        assert_eq!(struck(When::Nth(3)), [3]);
        assert_eq!(struck(When::Every(5)), [5, 10]);
        assert_eq!(struck(When::Times(2)), [1, 2]);
        let chance = |percent, seed| struck(When::Chance { percent, seed });
        assert_eq!(chance(50, 7), chance(50, 7));
        assert_ne!(chance(50, 7), chance(50, 8));
        assert_eq!(chance(0, 1), [0; 0]);
        assert_eq!(chance(100, 1).len(), 12);
    }

    #[test]
    fn the_first_that_strikes_is_the_only_one() {
        let faults = Faults::default();
        for when in [When::Nth(2), When::Times(2), When::Always] {
            faults.add(fault(when)).unwrap();
        }
        (0..4).for_each(|_| assert!(faults.strike_arrival()));
        let counts = faults.reports();
        let counts: Vec<_> = counts.iter().map(|one| (one.matches, one.hits)).collect();
        assert_eq!(counts, [(4, 1), (3, 2), (1, 1)]);
    }

    #[test]
    fn they_are_bounded_and_so_are_their_words() {
        let faults = Faults::default();
        for _ in 0..FAULTS_MAX {
            faults.add(fault(When::Always)).unwrap();
        }
        let refused = faults.add(fault(When::Always));
        assert_eq!(refused, Err(Error::TOO_MANY_FAULTS));
        assert_eq!(faults.remove(|id| id > 1, |_, _, _| {}), FAULTS_MAX - 1);
        let mut long = fault(When::Always);
        long.action = Action::Lose;
        long.scope.channel = Some(vec![b'x'; WORD_MAX + 1]);
        assert_eq!(faults.add(long), Err(Error::FAULT_WORD));
        let mut misplaced = fault(When::Always);
        misplaced.scope.db = Some(0);
        let text = faults.add(misplaced).unwrap_err().to_string();
        assert_eq!(text, "ERR the fault REFUSE takes no DB");
        assert!(faults.any(Kind::Arrival) && !faults.any(Kind::Message));
        assert!(faults.is_there(1) && !faults.is_there(2));
    }

    #[test]
    fn a_message_is_overtaken_by_the_next_one_or_is_left_over() {
        let faults = Faults::default();
        let id = faults.add(Fault {
            action: Action::Reorder,
            ..fault(When::Always)
        });
        let who = |id| Who {
            id,
            name: Vec::new(),
            library: Vec::new(),
            user: b"default",
            db: 0,
            is_tester: false,
        };
        let of = |name| Subscription {
            kind: b"message",
            name,
        };
        let mut heard = Vec::new();
        for (client, text) in [(1, "a"), (2, "b"), (1, "c"), (3, "d"), (1, "e")] {
            let message = Bytes::from(text);
            let hand = |message: &Bytes| heard.push((client, message.clone()));
            faults.deliver(&who(client), b"news", of(b"news"), &message, hand);
        }
        assert_eq!(heard, [(1, "c".into()), (1, "a".into())]);
        faults.forget(3, of(b"new"));
        faults.forget(2, of(b"news"));
        let mut left = Vec::new();
        let hand = |client, name: &[u8], message: &Bytes| {
            left.push((client, name.to_vec(), message.clone()));
        };
        assert_eq!(faults.remove(|one| Ok(one) == id, hand), 1);
        let expected = [(1, "e"), (3, "d")];
        let expected = expected.map(|(client, text)| (client, b"news".to_vec(), text.into()));
        assert_eq!(left, expected);
    }
}
