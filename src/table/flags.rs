//! What a row says of a command in flags: those that Redis documents, those
//! that only the dispatcher reads, and the access categories.

use bitflags::bitflags;

bitflags! {
    /// The flags of a command, named as Redis documents them.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Flags: u32 {
        const WRITE = 1 << 0;
        const READONLY = 1 << 1;
        const DENYOOM = 1 << 2;
        const ADMIN = 1 << 3;
        const PUBSUB = 1 << 4;
        const NOSCRIPT = 1 << 5;
        const BLOCKING = 1 << 6;
        const LOADING = 1 << 7;
        const STALE = 1 << 8;
        const SKIP_MONITOR = 1 << 9;
        const SKIP_SLOWLOG = 1 << 10;
        const ASKING = 1 << 11;
        const FAST = 1 << 12;
        const NO_AUTH = 1 << 13;
        const MAY_REPLICATE = 1 << 14;
        const NO_MULTI = 1 << 15;
        const MOVABLEKEYS = 1 << 16;
        const ALLOW_BUSY = 1 << 17;
        const NO_ASYNC_LOADING = 1 << 18;
        const NO_MANDATORY_KEYS = 1 << 19;
        // Those below are ours, and COMMAND does not tell them.
        /// Refused unless a setting permits it.
        const PROTECTED = 1 << 20;
        /// Allowed to a subscriber that speaks RESP2.
        const WHILE_SUBSCRIBED = 1 << 21;
        /// Its replies are messages: CLIENT REPLY does not silence them.
        const CONFIRMS = 1 << 22;
        /// Runs at once between MULTI and EXEC.
        const NOT_QUEUED = 1 << 23;
        /// Runs what has been queued: it is held back as that would be, and if
        /// it is refused, the transaction ends.
        const RUNS_QUEUED = 1 << 24;
        /// Drops what has been queued, or the whole connection.
        const DROPS_QUEUED = 1 << 26;
        /// COMMAND DOCS marks it as not meant for applications.
        const SYSTEM = 1 << 25;
        /// Of a container: after its subcommands CLIENT CACHING still holds.
        const KEEPS_CACHING = 1 << 27;
        /// Runs a script, which may take long.
        const RUNS_SCRIPT = 1 << 28;
        /// Needs nothing of the keyspace, so it waits for nobody who has it.
        const NO_DATA = 1 << 29;
        /// Refused unless the broker is one for tests.
        const FOR_TESTS = 1 << 30;
        /// A client's library sends it by itself when it connects: a fault that
        /// names no command does not mean it.
        const INTRODUCES = 1 << 31;
    }

    /// Access categories, as ACL CAT names them.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Acl: u32 {
        const KEYSPACE = 1 << 0;
        const READ = 1 << 1;
        const WRITE = 1 << 2;
        const SET = 1 << 3;
        const SORTEDSET = 1 << 4;
        const LIST = 1 << 5;
        const HASH = 1 << 6;
        const STRING = 1 << 7;
        const BITMAP = 1 << 8;
        const HYPERLOGLOG = 1 << 9;
        const GEO = 1 << 10;
        const STREAM = 1 << 11;
        const PUBSUB = 1 << 12;
        const ADMIN = 1 << 13;
        const FAST = 1 << 14;
        const SLOW = 1 << 15;
        const BLOCKING = 1 << 16;
        const DANGEROUS = 1 << 17;
        const CONNECTION = 1 << 18;
        const TRANSACTION = 1 << 19;
        const SCRIPTING = 1 << 20;
    }
}

impl Acl {
    /// The category of this name in any case, or none.
    pub fn named(name: &[u8]) -> Acl {
        Acl::all()
            .iter_names()
            .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))
            .map_or(Acl::empty(), |(_, category)| category)
    }
}

/// The families of the documentation; COMMAND DOCS calls them groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// `generic`: keys of any type.
    Generic,
    /// `string`
    String,
    /// `list`
    List,
    /// `set`
    Set,
    /// `sorted-set`
    SortedSet,
    /// `geo`
    Geo,
    /// `hash`
    Hash,
    /// `bitmap`
    Bitmap,
    /// `hyperloglog`
    Hyperloglog,
    /// `stream`
    Stream,
    /// `pubsub`
    Pubsub,
    /// `transactions`
    Transactions,
    /// `connection`
    Connection,
    /// `scripting`
    Scripting,
    /// `server`
    Server,
    /// `cluster`
    Cluster,
}

impl Group {
    /// The name that COMMAND DOCS answers.
    pub fn name(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Geo => "geo",
            Group::Hash => "hash",
            Group::Bitmap => "bitmap",
            Group::Hyperloglog => "hyperloglog",
            Group::Stream => "stream",
            Group::Pubsub => "pubsub",
            Group::Transactions => "transactions",
            Group::Connection => "connection",
            Group::Scripting => "scripting",
            Group::Server => "server",
            Group::Cluster => "cluster",
        }
    }

    /// The access category of its commands, unless flags or rows tell it.
    pub fn category(self) -> Acl {
        match self {
            Group::Generic => Acl::KEYSPACE,
            Group::String => Acl::STRING,
            Group::List => Acl::LIST,
            Group::Set => Acl::SET,
            Group::SortedSet => Acl::SORTEDSET,
            Group::Geo => Acl::GEO,
            Group::Hash => Acl::HASH,
            Group::Bitmap => Acl::BITMAP,
            Group::Hyperloglog => Acl::HYPERLOGLOG,
            Group::Stream => Acl::STREAM,
            Group::Transactions => Acl::TRANSACTION,
            Group::Connection => Acl::CONNECTION,
            Group::Scripting => Acl::SCRIPTING,
            Group::Pubsub | Group::Server | Group::Cluster => Acl::empty(),
        }
    }
}
