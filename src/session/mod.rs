//! What belongs to one client: the part that its task alone uses, and in
//! [`client`] the part that others see.

pub mod client;
pub mod delivery;
mod held;
pub mod outbox;
pub mod pause;
pub mod registry;
mod transaction;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
pub use client::{Client, ClientFlags};
pub use transaction::Transaction;

use crate::lab::restarts::Restart;
use crate::resp::Protocol;
use crate::seed::Seed;
use crate::segmented::SegmentedMap;

/// The state of a connection that only its own task touches.
pub struct Session {
    /// What others see of it.
    pub client: Arc<Client>,
    /// The version of the protocol.
    pub protocol: Protocol,
    /// The selected database.
    pub db: usize,
    /// Whether AUTH has passed, or no password is needed.
    pub authenticated: bool,
    /// Commands queued since MULTI.
    pub transaction: Option<Box<Transaction>>,
    /// Keys watched since WATCH.
    pub watch: Option<Box<Watch>>,
    /// What it is subscribed to.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// It has turned CLIENT TRACKING on at some time: others have noted it.
    pub has_tracked: bool,
    /// The prefixes of keys that it tracks, with BCAST.
    pub broadcast: Option<Box<Broadcast>>,
    /// CLIENT CACHING: what comes next is tracked with OPTIN, and is not with
    /// OPTOUT.
    pub caching: bool,
    /// What CLIENT REPLY has set.
    pub reply_mode: ReplyMode,
    /// The connection closes, because of what the client has sent.
    pub ending: Option<Ending>,
    /// When it has closed, the broker is to go and come back: RESPD RESTART.
    pub restart: Option<Box<Restart>>,
}

const _: () = assert!(size_of::<Session>() <= client::SESSION);

/// How a connection closes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Once its replies have left.
    AfterReplies,
    /// At once; its replies are dropped.
    AtOnce,
}

/// Keys watched since WATCH; whoever changes one sets the client's DIRTY flag.
pub struct Watch {
    /// For whom.
    pub watching: Arc<Watching>,
    /// The keys, each once.
    pub keys: Vec<WatchedKey>,
}

/// The number of a database, and a key in it.
pub type WatchedKey = (usize, Box<[u8]>);

/// A client that watches keys, until UNWATCH or the end of a transaction.
pub struct Watching {
    /// The client.
    pub client: Arc<Client>,
    /// It watches them no longer.
    pub ended: AtomicBool,
}

impl Watch {
    /// No keys yet.
    pub fn new(client: &Arc<Client>) -> Watch {
        Watch {
            watching: Arc::new(Watching {
                client: client.clone(),
                ended: AtomicBool::new(false),
            }),
            keys: Vec::new(),
        }
    }
}

/// The prefixes of keys that a client is told of: CLIENT TRACKING with BCAST.
pub struct Broadcast {
    /// Who is told.
    pub listener: Arc<Listener>,
    /// In order.
    pub prefixes: BTreeSet<Box<[u8]>>,
}

/// A client that is told of keys with its prefixes, until it turns that off.
pub struct Listener {
    /// The client.
    pub client: Arc<Client>,
    /// It is told no longer.
    pub ended: AtomicBool,
}

impl Broadcast {
    /// No prefix yet.
    pub fn new(client: &Arc<Client>) -> Broadcast {
        Broadcast {
            listener: Arc::new(Listener {
                client: client.clone(),
                ended: AtomicBool::new(false),
            }),
            prefixes: BTreeSet::new(),
        }
    }
}

/// What a client is subscribed to.
pub struct Subscriptions {
    /// SUBSCRIBE
    pub channels: NameSet,
    /// PSUBSCRIBE
    pub patterns: NameSet,
    /// SSUBSCRIBE
    pub shard_channels: NameSet,
}

/// Names of channels or patterns.
pub struct NameSet {
    names: SegmentedMap<Bytes, ()>,
    /// Of all names.
    bytes: usize,
}

impl NameSet {
    fn new(seed: Seed) -> NameSet {
        NameSet {
            names: SegmentedMap::new(seed),
            bytes: 0,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether this is one.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.names.get(name).is_some()
    }

    /// Adds one that is not there.
    pub fn insert_new(&mut self, name: Bytes) {
        self.bytes += name.len();
        self.names.insert_new(name, ());
    }

    /// Removes one; false if it was not there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let removed = self.names.remove(name).is_some();
        self.bytes -= if removed { name.len() } else { 0 };
        removed
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.names.iter().map(|(name, ())| name)
    }

    /// All of them, in no order.
    pub fn into_names(self) -> impl Iterator<Item = Bytes> {
        self.names.into_entries().map(|(name, ())| name)
    }

    /// Bytes of memory held, about: asking the tables takes too long here.
    fn memory(&self) -> usize {
        self.len() * 2 * size_of::<Bytes>() + self.bytes
    }
}

impl Subscriptions {
    /// It is subscribed to nothing yet.
    pub fn new(seed: Seed) -> Subscriptions {
        let [channels, patterns, shard_channels] = [(); 3].map(|()| NameSet::new(seed));
        Subscriptions {
            channels,
            patterns,
            shard_channels,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.channels.len() + self.patterns.len() + self.shard_channels.len()
    }
}

/// Which replies a client wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReplyMode {
    /// All.
    #[default]
    On,
    /// None.
    Off,
    /// Not that of the next command.
    SkipNext,
    /// Not that of this command.
    Skip,
}

impl ReplyMode {
    /// The mode for what follows a reply: SKIP, itself silent, silences one.
    pub fn after_reply(self) -> ReplyMode {
        match self {
            ReplyMode::SkipNext => ReplyMode::Skip,
            ReplyMode::Skip => ReplyMode::On,
            other => other,
        }
    }
}

impl Session {
    /// The session of a new connection.
    pub fn new(client: Arc<Client>, authenticated: bool) -> Session {
        Session {
            client,
            protocol: Protocol::default(),
            db: 0,
            authenticated,
            transaction: None,
            watch: None,
            subscriptions: None,
            has_tracked: false,
            broadcast: None,
            caching: false,
            reply_mode: ReplyMode::default(),
            ending: None,
            restart: None,
        }
    }

    /// Whether it is to be told when what it has just read changes.
    #[inline]
    pub fn tracks_reads(&self) -> bool {
        self.has_tracked && self.is_told_of_reads()
    }

    #[cold]
    fn is_told_of_reads(&self) -> bool {
        let flags = self.client.flags();
        let reads = ClientFlags::TRACKING | ClientFlags::BROADCAST;
        if flags.intersection(reads) != ClientFlags::TRACKING {
            return false;
        }
        match self.caching {
            true => !flags.contains(ClientFlags::OPTOUT),
            false => !flags.contains(ClientFlags::OPTIN),
        }
    }

    /// Channels and patterns that it is subscribed to; SSUBSCRIBE counts apart.
    pub fn subscription_count(&self) -> usize {
        self.subscriptions
            .as_ref()
            .map_or(0, |s| s.channels.len() + s.patterns.len())
    }

    /// Shard channels that it is subscribed to.
    pub fn shard_subscription_count(&self) -> usize {
        self.subscriptions
            .as_ref()
            .map_or(0, |s| s.shard_channels.len())
    }

    /// Shows others how many they are.
    pub fn show_subscriptions(&self) {
        let (mut channels, mut patterns, mut shard_channels, mut memory) = (0, 0, 0, 0);
        if let Some(subscriptions) = &self.subscriptions {
            channels = subscriptions.channels.len() as u32;
            patterns = subscriptions.patterns.len() as u32;
            shard_channels = subscriptions.shard_channels.len() as u32;
            memory = subscriptions.channels.memory()
                + subscriptions.patterns.memory()
                + subscriptions.shard_channels.memory();
        }
        let client = &self.client;
        client.channels.store(channels, Relaxed);
        client.patterns.store(patterns, Relaxed);
        client.shard_channels.store(shard_channels, Relaxed);
        client.note_memory(|client| &client.subscription_memory, memory);
        client.set_flags(ClientFlags::PUBSUB, self.is_subscriber());
    }

    /// Whether RESP2 allows only the commands of a subscriber.
    pub fn is_subscriber(&self) -> bool {
        self.subscription_count() + self.shard_subscription_count() > 0
    }
}
