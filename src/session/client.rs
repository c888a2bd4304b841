//! What other clients see of a client, and may do to it.

use std::net::SocketAddr;
use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed,
};
use std::time::Duration;

use bitflags::bitflags;
use parking_lot::Mutex;
use tracing::Span;
use tracing::field::Empty;

use super::held::Held;
use super::outbox::Outbox;
use crate::lab::scope::Who;
use crate::resp::Protocol;

bitflags! {
    /// What a client is doing; CLIENT LIST shows each as a letter.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct ClientFlags: u32 {
        /// `x`: between MULTI and EXEC.
        const MULTI = 1;
        /// `b`: blocked.
        const BLOCKED = 1 << 1;
        /// `d`: a watched key has changed.
        const DIRTY = 1 << 2;
        /// `P`: subscribed to something.
        const PUBSUB = 1 << 3;
        /// `O`: MONITOR.
        const MONITOR = 1 << 4;
        /// `e`: CLIENT NO-EVICT.
        const NO_EVICT = 1 << 5;
        /// `T`: CLIENT NO-TOUCH.
        const NO_TOUCH = 1 << 6;
        /// `A`: closes at once.
        const KILLED = 1 << 7;
        /// `U`: over a Unix socket.
        const UNIX = 1 << 8;
        /// Held by CLIENT PAUSE; no letter.
        const PAUSED = 1 << 9;
        /// Speaks RESP3; no letter.
        const RESP3 = 1 << 10;
        /// Has gone; what it has left behind is being taken down.
        const GONE = 1 << 11;
        /// `t`: CLIENT TRACKING.
        const TRACKING = 1 << 12;
        /// `R`: whom it redirects invalidations to is no longer there.
        const BROKEN_REDIRECT = 1 << 13;
        /// `B`: tracks prefixes of keys, with BCAST, and not what it reads.
        const BROADCAST = 1 << 14;
        /// Tracks what it reads just after CLIENT CACHING YES; no letter.
        const OPTIN = 1 << 15;
        /// Tracks what it reads, but just after CLIENT CACHING NO; no letter.
        const OPTOUT = 1 << 16;
        /// Is not told of what it changes itself; no letter.
        const NOLOOP = 1 << 17;
        /// Its task may have something in hand that is to be sent, of a broker
        /// for tests; no letter.
        const AT_WORK = 1 << 18;
        /// Has sent RESPD FAULT, so it is a test's own; no letter.
        const TESTER = 1 << 19;
        /// A fault holds a reply back for a time; no letter.
        const DELAYED = 1 << 20;
    }
}

impl ClientFlags {
    /// Those that CLIENT TRACKING sets.
    pub const TRACKED: ClientFlags = ClientFlags::TRACKING
        .union(ClientFlags::BROKEN_REDIRECT)
        .union(ClientFlags::BROADCAST)
        .union(ClientFlags::OPTIN)
        .union(ClientFlags::OPTOUT)
        .union(ClientFlags::NOLOOP);

    /// The version of the protocol that the client speaks.
    pub fn protocol(self) -> Protocol {
        match self.contains(ClientFlags::RESP3) {
            true => Protocol::Resp3,
            false => Protocol::Resp2,
        }
    }
}

/// The ends of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Peer {
    /// Over TCP.
    Tcp {
        /// The client's end.
        remote: SocketAddr,
        /// The broker's end.
        local: SocketAddr,
    },
    /// Over a Unix socket; both ends have its path.
    Unix(std::sync::Arc<str>),
    /// A stream in the broker's own program, the how manieth.
    Memory(u64),
    /// In the broker's own program, without a connection.
    Local,
}

impl Peer {
    /// The client's end as CLIENT LIST shows it.
    pub fn remote(&self) -> String {
        match self {
            Peer::Tcp { remote, .. } => remote.to_string(),
            Peer::Unix(path) => format!("{path}:0"),
            Peer::Memory(number) => format!("memory:{number}"),
            Peer::Local => "local:0".into(),
        }
    }

    /// Whether it is over a Unix socket.
    pub fn is_unix(&self) -> bool {
        matches!(self, Peer::Unix(_))
    }

    /// Whether the client is on this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Peer::Tcp { remote, .. } => remote.ip().to_canonical().is_loopback(),
            Peer::Unix(_) | Peer::Memory(_) | Peer::Local => true,
        }
    }

    /// The broker's end as CLIENT LIST shows it.
    pub fn local(&self) -> String {
        match self {
            Peer::Tcp { local, .. } => local.to_string(),
            Peer::Unix(path) => format!("{path}:0"),
            Peer::Memory(number) => format!("memory:{number}"),
            Peer::Local => "local:0".into(),
        }
    }
}

/// The shared part of a connection.
pub struct Client {
    /// Ascending, never used again.
    pub id: u64,
    /// The number of its socket.
    pub fd: i32,
    /// Its address and ours.
    pub peer: Peer,
    /// When it connected, in time since the broker's start.
    pub connected: Duration,
    /// When it last sent or read something, in milliseconds since the broker's
    /// start.
    active_ms: AtomicU64,
    /// The selected database.
    pub db: AtomicUsize,
    /// The id of the command that it ran last, or `usize::MAX`.
    pub last_command: AtomicUsize,
    /// Subscriptions to channels.
    pub channels: AtomicU32,
    /// Subscriptions to patterns.
    pub patterns: AtomicU32,
    /// Subscriptions to shard channels.
    pub shard_channels: AtomicU32,
    /// Bytes that it holds for its subscriptions.
    pub subscription_memory: AtomicUsize,
    /// Commands queued since MULTI, or -1.
    pub queued: AtomicI64,
    /// Bytes that the queued commands hold.
    pub queued_memory: AtomicUsize,
    /// Bytes that have arrived and are not run yet.
    pub input: AtomicUsize,
    /// Bytes of memory that the buffer holds in which they are.
    pub input_memory: AtomicUsize,
    flags: AtomicU32,
    /// The client that is told what this one tracks; 0: itself.
    pub redirect: AtomicU64,
    /// CLIENT SETNAME and SETINFO, which few clients use.
    names: Mutex<Option<Box<Names>>>,
    /// What all clients hold together.
    held: Held,
    /// What waits to be sent to it.
    pub outbox: Outbox,
    /// A message may be in the outbox that its own command put there.
    pub has_messages: AtomicBool,
}

/// What a client calls itself.
#[derive(Clone, Default, Debug)]
pub struct Names {
    /// CLIENT SETNAME
    pub name: Vec<u8>,
    /// CLIENT SETINFO LIB-NAME
    pub lib_name: Vec<u8>,
    /// CLIENT SETINFO LIB-VER
    pub lib_ver: Vec<u8>,
}

impl Names {
    fn memory(&self) -> usize {
        self.name.capacity() + self.lib_name.capacity() + self.lib_ver.capacity()
    }
}

/// What only a client's own task touches takes so many bytes at most.
pub const SESSION: usize = 64;

/// What a client holds that has said nothing yet.
const BARE: usize = size_of::<Client>() + SESSION;

impl Drop for Client {
    fn drop(&mut self) {
        let names = self.names.get_mut().as_deref().map_or(0, Names::memory);
        let parts = [
            &self.input_memory,
            &self.queued_memory,
            &self.subscription_memory,
        ];
        let parts = parts.map(|part| part.load(Relaxed));
        let counted = self.outbox.lock().counted();
        let all = BARE + names + counted + parts.iter().sum::<usize>();
        self.held.change(all, 0);
    }
}

impl Client {
    /// A client that has just connected.
    pub fn new(id: u64, fd: i32, peer: Peer, now: Duration, held: &Held) -> Client {
        held.change(0, BARE);
        let flags = match peer {
            Peer::Tcp { .. } | Peer::Memory(_) | Peer::Local => ClientFlags::empty(),
            Peer::Unix(_) => ClientFlags::UNIX,
        };
        Client {
            id,
            fd,
            peer,
            connected: now,
            active_ms: AtomicU64::new(now.as_millis() as u64),
            db: AtomicUsize::new(0),
            last_command: AtomicUsize::new(usize::MAX),
            channels: AtomicU32::new(0),
            patterns: AtomicU32::new(0),
            shard_channels: AtomicU32::new(0),
            subscription_memory: AtomicUsize::new(0),
            queued: AtomicI64::new(-1),
            queued_memory: AtomicUsize::new(0),
            input: AtomicUsize::new(0),
            input_memory: AtomicUsize::new(0),
            flags: AtomicU32::new(flags.bits()),
            redirect: AtomicU64::new(0),
            names: Mutex::new(None),
            held: held.clone(),
            outbox: Outbox::new(held),
            has_messages: AtomicBool::new(false),
        }
    }

    /// What it is doing.
    pub fn flags(&self) -> ClientFlags {
        ClientFlags::from_bits_truncate(self.flags.load(Relaxed))
    }

    /// Turns flags on or off.
    pub fn set_flags(&self, flags: ClientFlags, on: bool) {
        if on {
            self.flags.fetch_or(flags.bits(), Relaxed);
        } else {
            self.flags.fetch_and(!flags.bits(), Relaxed);
        }
    }

    /// What it calls itself.
    pub fn names(&self) -> Names {
        let names = self.names.lock();
        names.as_deref().cloned().unwrap_or_default()
    }

    /// What a fault or a record can be limited to.
    pub fn who(&self) -> Who {
        let Names { name, lib_name, .. } = self.names();
        Who {
            id: self.id,
            name,
            library: lib_name,
            user: b"default",
            db: self.db.load(Relaxed),
            is_tester: self.flags().contains(ClientFlags::TESTER),
        }
    }

    /// Changes what it calls itself.
    pub fn set_names(&self, change: impl FnOnce(&mut Names)) {
        let mut names = self.names.lock();
        let names = names.get_or_insert_default();
        let before = names.memory();
        change(names);
        self.held.change(before, names.memory());
        // A client without a connection is in a span of its program's, if in any.
        let span = Span::current();
        if self.peer != Peer::Local && !span.is_disabled() {
            span.record("name", &*String::from_utf8_lossy(&names.name));
        }
    }

    /// Notes how many bytes of memory a part of it holds, of which it is told
    /// by its own task alone.
    #[inline]
    pub fn note_memory(&self, part: impl Fn(&Client) -> &AtomicUsize, bytes: usize) {
        let before = part(self).load(Relaxed);
        if before != bytes {
            part(self).store(bytes, Relaxed);
            self.held.change(before, bytes);
        }
    }

    /// Bytes of memory that it holds: an estimate that leaves out the socket
    /// and what the runtime keeps for its task.
    pub fn memory(&self) -> usize {
        let names = self.names.lock().as_deref().map_or(0, Names::memory);
        BARE + names
            + self.input_memory.load(Relaxed)
            + self.queued_memory.load(Relaxed)
            + self.subscription_memory.load(Relaxed)
            + self.outbox.lock().output.memory()
    }

    /// Notes that it sends, reads or is served now, in time since the broker's
    /// start.
    pub fn note_activity(&self, now: Duration) {
        self.active_ms.store(now.as_millis() as u64, Relaxed);
    }

    /// Notes that it does so in the second that begins at `second`.
    pub fn note_activity_in(&self, second: Duration) {
        let second_ms = second.as_millis() as u64;
        if self.active_ms.load(Relaxed) < second_ms {
            self.active_ms.store(second_ms, Relaxed);
        }
    }

    /// When it did so last, in time since the broker's start.
    pub fn active(&self) -> Duration {
        Duration::from_millis(self.active_ms.load(Relaxed))
    }

    /// For how long it has done nothing of that.
    pub fn idle(&self, now: Duration) -> Duration {
        now.saturating_sub(self.active())
    }

    /// Whether it may be closed because clients hold too much: not if it has
    /// said CLIENT NO-EVICT, nor if it has no connection that could be closed.
    pub fn may_be_cut_off(&self) -> bool {
        !self.flags().contains(ClientFlags::NO_EVICT) && self.peer != Peer::Local
    }

    /// What it calls itself, as text.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.names().name).into_owned()
    }

    /// The span of all that happens for it, for whoever follows the program's
    /// events.
    pub fn span(&self) -> Span {
        tracing::debug_span!(
            "client",
            id = self.id,
            addr = self.peer.remote(),
            name = Empty
        )
    }

    /// Tells the log that it has come.
    pub fn tell_accepted(&self) {
        match &self.peer {
            Peer::Unix(path) => tracing::debug!(
                id = self.id,
                addr = self.peer.remote(),
                "Accepted connection to {path}",
            ),
            Peer::Tcp { remote, .. } => tracing::debug!(id = self.id, "Accepted {remote}"),
            Peer::Memory(_) => tracing::debug!(id = self.id, "Accepted {}", self.peer.remote()),
            Peer::Local => {}
        }
    }

    /// Tells the log that it goes, and by whose wish.
    pub fn tell_closed(&self) {
        let how = match self.flags().contains(ClientFlags::KILLED) {
            true => "Closed the connection of a client",
            false => "Client closed connection",
        };
        tracing::debug!(
            id = self.id,
            addr = self.peer.remote(),
            name = self.name(),
            "{how}",
        );
    }

    /// Has its task close the connection; what waits for it is dropped.
    pub fn kill(&self) {
        self.set_flags(ClientFlags::KILLED, true);
        self.outbox.wake();
    }
}
