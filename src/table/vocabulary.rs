//! Words that the rows of the command table share: where a row begins, sets of
//! flags that go together, and what commands do to keys.
//!
//! A row says `flags: READ_FAST, keys: &[TAKE_KEY, INSERT_KEY.at(2)]`. A
//! combination that only one command has is spelled out in its row.

use super::flags::{Flags, Group};
use super::keys::{Elements, KeyFlags, KeySpec, key};
use super::row::Row;

/// A command on the bits of strings.
pub const BITMAP: Row = Row::of(Group::Bitmap);
/// A command on the client's own connection.
pub const CONNECTION: Row = Row::of(Group::Connection);
/// A command on keys of any type.
pub const GENERIC: Row = Row::of(Group::Generic);
/// A command on places.
pub const GEO: Row = Row::of(Group::Geo);
/// A command on hashes.
pub const HASH: Row = Row::of(Group::Hash);
/// A command on HyperLogLogs.
pub const HYPERLOGLOG: Row = Row::of(Group::Hyperloglog);
/// A command on lists.
pub const LIST: Row = Row::of(Group::List);
/// A command on channels.
pub const PUBSUB: Row = Row::of(Group::Pubsub);
/// A command on sets.
pub const SET: Row = Row::of(Group::Set);
/// A command on scripts and functions.
pub const SCRIPTING: Row = Row::of(Group::Scripting);
/// A command on the server as a whole.
pub const SERVER: Row = Row::of(Group::Server);
/// A subcommand of RESPD, in this version of respd, since Redis has none of it.
/// It is part of no transaction: it may have to wait.
pub const FOR_TESTS: Row = Row {
    flags: ADMIN.union(Flags::NO_MULTI).union(Flags::FOR_TESTS),
    since: env!("CARGO_PKG_VERSION"),
    ..SERVER
};
/// A command on sorted sets.
pub const SORTED_SET: Row = Row::of(Group::SortedSet);
/// A command on streams.
pub const STREAM: Row = Row::of(Group::Stream);
/// A command on strings.
pub const STRING: Row = Row::of(Group::String);
/// A command on transactions.
pub const TRANSACTION: Row = Row::of(Group::Transactions);

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
pub const SUBSCRIBE: Flags = SESSION
    .union(Flags::NO_DATA)
    .union(Flags::PUBSUB)
    .union(Flags::WHILE_SUBSCRIBED)
    .union(Flags::CONFIRMS);
/// Sends a message.
pub const PUBLISH: Flags = ANYTIME_FAST
    .union(Flags::NO_DATA)
    .union(Flags::PUBSUB)
    .union(Flags::MAY_REPLICATE);

/// A command that is only the common name of its subcommands.
pub const CONTAINER: Row = Row {
    arity: -2,
    complexity: "Depends on subcommand.",
    ..Row::BASE
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

/// The members or fields that are looked up follow the key.
pub const ELEMENTS: Elements = Elements::from(2, 1);
/// The fields that are looked up follow the key, each with a value behind it.
pub const ELEMENT_PAIRS: Elements = Elements::from(2, 2);
/// The members that are looked up follow the key, each with a score before it.
pub const SCORED_ELEMENTS: Elements = Elements::from(3, 2);
