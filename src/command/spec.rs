//! Words that the rows of the command table share: sets of flags that go
//! together, and what commands do to keys.
//!
//! A row says `flags: READ_FAST, keys: &[TAKE_KEY, INSERT_KEY.at(2)]`. A
//! combination that only one command has is spelled out in its row.

use super::{Begin, Command, Find, Flags, KeyFlags, KeySpec};

/// Reads data.
pub const READ: Flags = Flags::READONLY;
/// Reads data in constant or logarithmic time.
pub const READ_FAST: Flags = READ.union(Flags::FAST);
/// Changes data, and never makes it larger.
pub const WRITE: Flags = Flags::WRITE;
/// [`WRITE`] in constant or logarithmic time.
pub const WRITE_FAST: Flags = WRITE.union(Flags::FAST);
/// Changes data, and may make it larger: refused when memory is full.
pub const GROW: Flags = WRITE.union(Flags::DENYOOM);
/// [`GROW`] in constant or logarithmic time.
pub const GROW_FAST: Flags = GROW.union(Flags::FAST);

/// Works at any time, even while the server cannot vouch for its data.
pub const ANYTIME: Flags = Flags::LOADING.union(Flags::STALE);
/// [`ANYTIME`] in constant time.
pub const ANYTIME_FAST: Flags = ANYTIME.union(Flags::FAST);
/// Concerns the client that sends it, which a script does not have.
pub const SESSION: Flags = ANYTIME.union(Flags::NOSCRIPT);
/// Concerns the server as a whole.
pub const ADMIN: Flags = SESSION.union(Flags::ADMIN);
/// What a client may say before it has logged in.
pub const HANDSHAKE: Flags = SESSION
    .union(Flags::FAST)
    .union(Flags::NO_AUTH)
    .union(Flags::ALLOW_BUSY);
/// Changes what is queued or watched.
pub const TRANSACT: Flags = SESSION.union(Flags::FAST).union(Flags::ALLOW_BUSY);
/// Changes what the client listens to.
pub const SUBSCRIBE: Flags = SESSION.union(Flags::PUBSUB);
/// Sends a message.
pub const PUBLISH: Flags = ANYTIME_FAST
    .union(Flags::PUBSUB)
    .union(Flags::MAY_REPLICATE);

/// A command that is only the common name of its subcommands.
pub const CONTAINER: Command = Command {
    arity: -2,
    complexity: "Depends on subcommand.",
    ..Command::BASE
};

/// Asks about a key without reading its value.
pub const STAT_KEY: KeySpec = key(KeyFlags::RO);
/// Reads the value.
pub const READ_KEY: KeySpec = key(KeyFlags::RO.union(KeyFlags::ACCESS));
/// Changes the value or its expiry, and answers nothing of it.
pub const UPDATE_KEY: KeySpec = key(KeyFlags::RW.union(KeyFlags::UPDATE));
/// Changes the value and answers of it.
pub const MODIFY_KEY: KeySpec = key(KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE));
/// Adds to the value.
pub const INSERT_KEY: KeySpec = key(KeyFlags::RW.union(KeyFlags::INSERT));
/// Removes from the value, and answers nothing of it.
pub const REMOVE_KEY: KeySpec = key(KeyFlags::RW.union(KeyFlags::DELETE));
/// Removes from the value and answers what it was.
pub const TAKE_KEY: KeySpec = key(KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE));
/// Stores a value, whatever was there.
pub const OVERWRITE_KEY: KeySpec = key(KeyFlags::OW.union(KeyFlags::UPDATE));
/// Stores a value where there was none.
pub const CREATE_KEY: KeySpec = key(KeyFlags::OW.union(KeyFlags::INSERT));
/// Removes the key.
pub const DELETE_KEY: KeySpec = key(KeyFlags::RM.union(KeyFlags::DELETE));
/// Not a key but a shard channel, which a cluster places as it places keys.
pub const CHANNEL: KeySpec = key(KeyFlags::NOT_KEY);

/// One key, which is the first argument.
const fn key(flags: KeyFlags) -> KeySpec {
    KeySpec {
        notes: "",
        flags,
        begin: Begin::Index(1),
        find: range(0, 1),
    }
}

const fn range(last: i32, step: i32) -> Find {
    Find::Range {
        last,
        step,
        limit: 0,
    }
}

impl KeySpec {
    /// The first key is this argument.
    pub const fn at(self, index: usize) -> KeySpec {
        KeySpec {
            begin: Begin::Index(index),
            ..self
        }
    }

    /// The first key is behind this word, looked for from argument `from` on.
    #[allow(
        dead_code,
        reason = "SORT, GEORADIUS and XREAD, which are not built yet, say it"
    )]
    pub const fn after(self, word: &'static str, from: i32) -> KeySpec {
        KeySpec {
            begin: Begin::Keyword(word, from),
            ..self
        }
    }

    /// All arguments from the first key on are keys.
    pub const fn all(self) -> KeySpec {
        KeySpec {
            find: range(-1, 1),
            ..self
        }
    }

    /// All but the last argument are keys.
    pub const fn but_last(self) -> KeySpec {
        KeySpec {
            find: range(-2, 1),
            ..self
        }
    }

    /// Every other argument is a key.
    pub const fn pairs(self) -> KeySpec {
        KeySpec {
            find: range(-1, 2),
            ..self
        }
    }

    /// The first key and the argument behind it are keys.
    pub const fn two(self) -> KeySpec {
        KeySpec {
            find: range(1, 1),
            ..self
        }
    }

    /// The number of keys is where the first key would be, and the keys follow.
    pub const fn counted(self) -> KeySpec {
        KeySpec {
            find: Find::Keynum {
                keynum: 0,
                first: 1,
                step: 1,
            },
            ..self
        }
    }

    /// What becomes of the key depends on the other arguments; the flags say
    /// the most that can.
    pub const fn varying(self) -> KeySpec {
        KeySpec {
            flags: self.flags.union(KeyFlags::VARIABLE_FLAGS),
            ..self
        }
    }

    /// A remark that COMMAND INFO shows.
    pub const fn noted(self, notes: &'static str) -> KeySpec {
        KeySpec { notes, ..self }
    }
}
