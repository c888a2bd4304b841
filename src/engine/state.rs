//! What the lock of the keyspace guards.

use super::evict::Evictor;
use super::waiters::Waiters;
use super::watchers::Watchers;
use crate::config::Config;
use crate::db::Keyspace;
use crate::resp::Reused;
#[cfg(feature = "lua")]
use crate::script::{Libraries, Scripts};
use crate::seed::Seed;
use crate::server::{Server, data_limits};
use crate::tracking::Tracking;

/// The data, who waits for it, who watches it and who keeps some of it.
pub struct State {
    /// The data.
    pub keyspace: Keyspace,
    /// Clients that are blocked until a key changes.
    pub waiters: Waiters,
    /// Clients that want to know whether a key has changed.
    pub watchers: Watchers,
    /// Clients that keep what they have read, and are told when it changes.
    pub tracking: Tracking,
    /// Chooses the keys that are to go when there is no room.
    pub evictor: Evictor,
    /// The scripts that are known, and what runs them.
    #[cfg(feature = "lua")]
    pub scripts: Scripts,
    /// A script has let go of the keyspace for a moment, so that others can be
    /// told that it runs. None of them runs a command until it has ended.
    pub interrupted: bool,
    /// Somebody waits until something is so with the data: a barrier.
    pub awaited: bool,
    /// How many of the journal's changes have been told.
    pub changes_told: usize,
    pub(super) scratch: Scratch,
}

/// What is there again when a broker has been gone and comes back with its data:
/// what Redis finds in a file.
pub struct Kept {
    keyspace: Keyspace,
    #[cfg(feature = "lua")]
    libraries: Libraries,
}

/// These buffers keep so many bytes each.
pub(super) const KEEP: usize = 4096;

/// Buffers that are used again, so that serving a client allocates nothing.
#[derive(Default)]
pub(super) struct Scratch {
    pub key: Vec<u8>,
    pub reply: Reused<KEEP>,
}

impl State {
    /// The data, and nobody who waits for it.
    pub fn new(keyspace: Keyspace, seed: Seed) -> State {
        State {
            keyspace,
            waiters: Waiters::default(),
            watchers: Watchers::default(),
            tracking: Tracking::new(seed),
            evictor: Evictor::default(),
            #[cfg(feature = "lua")]
            scripts: Scripts::default(),
            interrupted: false,
            awaited: false,
            changes_told: 0,
            scratch: Scratch::default(),
        }
    }

    /// What was left, and nobody who waits for it.
    pub fn again(kept: Kept, seed: Seed) -> State {
        let state = State::new(kept.keyspace, seed);
        #[cfg(feature = "lua")]
        let state = State {
            scripts: Scripts::with(kept.libraries),
            ..state
        };
        state
    }

    /// Leaves what is there to the next one, but for what has expired `now`.
    pub fn leave(&mut self, nothing: Keyspace, now: i64) -> Kept {
        let mut keyspace = std::mem::replace(&mut self.keyspace, nothing);
        keyspace.reopen(now);
        Kept {
            keyspace,
            #[cfg(feature = "lua")]
            libraries: std::mem::take(&mut self.scripts.libraries),
        }
    }

    /// Has the data follow the settings.
    pub fn follow(&mut self, config: &Config) {
        self.keyspace.follow(data_limits(config));
        self.evictor.follow(config);
        #[cfg(feature = "lua")]
        {
            self.scripts.memory_limit = config.script_memory_limit as usize;
        }
        self.keyspace.journal.notify = config.notify_keyspace_events;
        let max_keys = usize::try_from(config.tracking_table_max_keys);
        self.tracking.max_keys = max_keys.unwrap_or(usize::MAX);
    }

    /// Bytes of memory that are used: data, clients and what is kept for them.
    /// To ask takes a few additions.
    pub fn used_memory(&self, server: &Server) -> usize {
        self.keyspace.memory() + self.clients_memory(server) + self.scripts_memory()
    }

    /// What of that are scripts, and what runs them.
    pub fn scripts_memory(&self) -> usize {
        #[cfg(feature = "lua")]
        return self.scripts.memory();
        #[cfg(not(feature = "lua"))]
        0
    }

    /// What of that are clients, and what is kept for them.
    pub fn clients_memory(&self, server: &Server) -> usize {
        let kept = self.waiters.memory() + self.watchers.memory() + self.tracking.memory();
        server.clients.memory() + server.pubsub.memory() + kept
    }

    /// Has changes noted as long as somebody wants to know of them.
    pub fn note_observers(&mut self) {
        let nobody = self.watchers.is_empty() && self.waiters.is_empty() && self.tracking.is_idle();
        self.keyspace.journal.observed = !nobody || self.awaited;
    }

    /// Whether something is left to be taken down that nobody waits for.
    pub fn has_litter(&self) -> bool {
        self.watchers.are_leaving()
            || self.waiters.are_leaving()
            || self.tracking.has_litter()
            || self.keyspace.has_litter()
    }

    /// What a turn that panicked has left is nobody's to see: events are
    /// dropped, and since nobody knows what has changed, every transaction
    /// that watches keys fails, and who keeps what it has read is to forget it.
    pub fn abandon(&mut self) {
        self.watchers.mark_all();
        self.tracking.doubt();
        self.keyspace.journal.events.clear();
        self.keyspace.clear_changes();
        self.changes_told = 0;
        self.scratch = Scratch::default();
    }
}
