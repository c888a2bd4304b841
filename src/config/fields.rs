//! The settings as plain data, with the defaults.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::events::KeyspaceEvents;

/// The settings of one server.
///
/// Fields bear the names of Redis's directives. [`Config::default`] has the defaults of Redis
/// 7.2, except that it listens on loopback addresses only and that nothing is persisted.
///
/// ```
/// use respd::config::Config;
///
/// let config = Config { port: 0, requirepass: "secret".into(), ..Config::default() };
/// assert_eq!(config.get(&["port"]), [("port".to_string(), b"0".to_vec())]);
/// ```
#[derive(Clone, PartialEq)]
pub struct Config {
    /// TCP port to listen on.
    pub port: u16,
    /// Addresses to listen on; a leading `-` lets an address be unavailable. Empty means no
    /// TCP at all.
    pub bind: Vec<String>,
    /// Whether clients from other hosts are refused while no password is set.
    pub protected_mode: bool,
    /// Length of the queue of connections that wait to be accepted.
    pub tcp_backlog: u32,
    /// Seconds between TCP keep-alive probes; 0 sends none.
    pub tcp_keepalive: u32,
    /// Path of a Unix socket to listen on.
    pub unixsocket: Option<PathBuf>,
    /// Mode of the Unix socket's file; 0 leaves it to the umask.
    pub unixsocketperm: u32,
    /// Password of the default user; empty asks for none.
    pub requirepass: Vec<u8>,
    /// Clients that may be connected at once.
    pub maxclients: u32,
    /// Seconds after which an idle client is disconnected; 0 never does.
    pub timeout: u32,
    /// Number of databases that SELECT can choose from.
    pub databases: u32,
    /// Threads that serve connections.
    pub workers: u32,
    /// The number from which everything random follows; without one, nobody can guess it.
    pub seed: Option<u64>,
    /// Runs per second of periodic work, such as rates and idle clients; keys expire without it.
    pub hz: u32,
    /// How much output may wait for a client before it is disconnected.
    pub client_output_buffer_limit: OutputBufferLimits,
    /// Bytes of unparsed input that one client may accumulate.
    pub client_query_buffer_limit: u64,
    /// Bytes of the largest bulk string that a client may send.
    pub proto_max_bulk_len: u64,
    /// Keys that are noted for clients that keep what they have read; 0 is no limit.
    pub tracking_table_max_keys: u64,
    /// Which changes of the keyspace are published.
    pub notify_keyspace_events: KeyspaceEvents,
    /// Size of a list node: elements if positive, a size class from -1 to -5 if negative.
    pub list_max_listpack_size: i32,
    /// Fields up to which a hash is a listpack.
    pub hash_max_listpack_entries: u64,
    /// Bytes of a field or a value up to which a hash is a listpack.
    pub hash_max_listpack_value: u64,
    /// Members up to which a set of integers is an intset.
    pub set_max_intset_entries: u64,
    /// Members up to which a set is a listpack.
    pub set_max_listpack_entries: u64,
    /// Bytes of a member up to which a set is a listpack.
    pub set_max_listpack_value: u64,
    /// Members up to which a sorted set is a listpack.
    pub zset_max_listpack_entries: u64,
    /// Bytes of a member up to which a sorted set is a listpack.
    pub zset_max_listpack_value: u64,
    /// Bytes of a node of a stream; 0 is no limit.
    pub stream_node_max_bytes: u64,
    /// Entries of a node of a stream; 0 is no limit.
    pub stream_node_max_entries: u64,
    /// Bytes up to which a HyperLogLog is sparse.
    pub hll_sparse_max_bytes: u64,
    /// Bytes of memory that keys, values and clients may hold together; 0 is no limit.
    pub maxmemory: u64,
    /// What is evicted when they hold more.
    pub maxmemory_policy: EvictionPolicy,
    /// Keys out of which one is chosen to be evicted.
    pub maxmemory_samples: u32,
    /// How long eviction may keep one client waiting, from 0 to 100.
    pub maxmemory_eviction_tenacity: u32,
    /// How much clients may hold together.
    pub maxmemory_clients: ClientsMemory,
    /// Milliseconds that a script may run before other clients are told that it does.
    pub busy_reply_threshold: u64,
    /// Bytes that scripts may hold while they run; 0 is no limit.
    pub script_memory_limit: u64,
    /// How slowly the count of a key's uses grows.
    pub lfu_log_factor: u32,
    /// Minutes in which such a count decays by one; 0 is never.
    pub lfu_decay_time: u32,
    /// Microseconds from which on a command is logged as slow; 0 logs all, -1 none.
    pub slowlog_log_slower_than: i64,
    /// Entries that the slow log keeps.
    pub slowlog_max_len: u64,
    /// Milliseconds from which on an event counts as a latency spike; 0 turns the monitor off.
    pub latency_monitor_threshold: u64,
    /// Whether the latency of every command is recorded.
    pub latency_tracking: bool,
    /// Percentiles that INFO reports of those latencies.
    pub latency_tracking_info_percentiles: Vec<f64>,
    /// Who may use DEBUG.
    pub enable_debug_command: DebugCommand,
    /// Whether RESPD gives clients power over the clock and what else tests need.
    pub test_commands: bool,
    /// Least severe messages that are logged.
    pub loglevel: LogLevel,
    /// File to log to; none logs to standard output.
    pub logfile: Option<PathBuf>,
    /// Whether a logo is printed at start.
    pub always_show_logo: bool,
    /// File that holds the process id while the server runs.
    pub pidfile: Option<PathBuf>,
    /// Whether the program runs in the background.
    pub daemonize: bool,
    /// Who is told how the program does.
    pub supervised: Supervised,
    /// Directory that relative paths in the configuration refer to. The process does not
    /// change into it, since it may belong to an embedder.
    pub dir: PathBuf,
    /// What the settings without effect have been set to.
    pub inert: InertValues,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            port: 6379,
            bind: vec!["127.0.0.1".into(), "-::1".into()],
            protected_mode: true,
            tcp_backlog: 511,
            tcp_keepalive: 300,
            unixsocket: None,
            unixsocketperm: 0,
            requirepass: Vec::new(),
            maxclients: 10_000,
            timeout: 0,
            databases: 16,
            workers: 1,
            seed: None,
            hz: 10,
            client_output_buffer_limit: OutputBufferLimits::default(),
            client_query_buffer_limit: 1 << 30,
            proto_max_bulk_len: 512 << 20,
            tracking_table_max_keys: 1_000_000,
            notify_keyspace_events: KeyspaceEvents::empty(),
            list_max_listpack_size: -2,
            hash_max_listpack_entries: 512,
            hash_max_listpack_value: 64,
            set_max_intset_entries: 512,
            set_max_listpack_entries: 128,
            set_max_listpack_value: 64,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            stream_node_max_bytes: 4096,
            stream_node_max_entries: 100,
            hll_sparse_max_bytes: 3000,
            maxmemory: 0,
            maxmemory_policy: EvictionPolicy::NoEviction,
            maxmemory_samples: 5,
            busy_reply_threshold: 5000,
            script_memory_limit: 256 << 20,
            maxmemory_eviction_tenacity: 10,
            maxmemory_clients: ClientsMemory::Bytes(0),
            lfu_log_factor: 10,
            lfu_decay_time: 1,
            slowlog_log_slower_than: 10_000,
            slowlog_max_len: 128,
            latency_monitor_threshold: 0,
            latency_tracking: true,
            latency_tracking_info_percentiles: vec![50.0, 99.0, 99.9],
            enable_debug_command: DebugCommand::No,
            test_commands: false,
            loglevel: LogLevel::Notice,
            logfile: None,
            always_show_logo: false,
            pidfile: None,
            daemonize: false,
            supervised: Supervised::No,
            dir: PathBuf::from("."),
            inert: InertValues::default(),
        }
    }
}

/// Values of settings that change nothing here, remembered for CONFIG GET and CONFIG REWRITE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InertValues {
    /// By the name of the setting; defaults are left out.
    values: BTreeMap<&'static str, Vec<u8>>,
}

impl InertValues {
    pub(super) fn get<'a>(&'a self, name: &str, default: &'a str) -> &'a [u8] {
        self.values
            .get(name)
            .map_or(default.as_bytes(), Vec::as_slice)
    }

    pub(super) fn set(&mut self, name: &'static str, value: Vec<u8>, default: &str) {
        if value == default.as_bytes() {
            self.values.remove(name);
        } else {
            self.values.insert(name, value);
        }
    }
}

/// Severity from which on messages are logged, from the most talkative to silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything, for development.
    Debug,
    /// What is rarely useful.
    Verbose,
    /// What an operator wants to know.
    Notice,
    /// What an operator must know.
    Warning,
    /// Nothing at all.
    Nothing,
}

impl LogLevel {
    pub(super) const ALL: [LogLevel; 5] = [
        Self::Debug,
        Self::Verbose,
        Self::Notice,
        Self::Warning,
        Self::Nothing,
    ];
}

/// Which supervisor the program reports to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supervised {
    /// Upstart, which expects the program to stop itself once.
    Upstart,
    /// systemd.
    Systemd,
    /// The one whose variable is in the environment.
    Auto,
    /// None.
    No,
}

impl Supervised {
    pub(super) const ALL: [Supervised; 4] = [Self::Upstart, Self::Systemd, Self::Auto, Self::No];
}

/// Which keys are evicted when there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictionPolicy {
    /// Of those that expire, the one that was not used for longest.
    VolatileLru,
    /// Of those that expire, the one that is used least often.
    VolatileLfu,
    /// Any of those that expire.
    VolatileRandom,
    /// The one that expires first.
    VolatileTtl,
    /// Of all, the one that was not used for longest.
    AllkeysLru,
    /// Of all, the one that is used least often.
    AllkeysLfu,
    /// Any.
    AllkeysRandom,
    /// None: commands that need memory are refused.
    NoEviction,
}

impl EvictionPolicy {
    pub(super) const ALL: [EvictionPolicy; 8] = [
        Self::VolatileLru,
        Self::VolatileLfu,
        Self::VolatileRandom,
        Self::VolatileTtl,
        Self::AllkeysLru,
        Self::AllkeysLfu,
        Self::AllkeysRandom,
        Self::NoEviction,
    ];

    /// As CONFIG GET names them.
    pub(super) const NAMES: [&str; 8] = [
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "noeviction",
    ];

    /// As CONFIG GET names it.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Whether it is counted how often keys are used, instead of noting when.
    pub fn counts_uses(self) -> bool {
        matches!(self, Self::VolatileLfu | Self::AllkeysLfu)
    }
}

/// How much memory clients may hold together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientsMemory {
    /// So many bytes; 0 is no limit.
    Bytes(u64),
    /// So many hundredths of `maxmemory`, if that is a limit.
    Percent(u8),
}

impl ClientsMemory {
    /// The limit in bytes, if there is one.
    pub fn limit(self, maxmemory: u64) -> Option<u64> {
        // As in Redis: with less nobody could be told anything.
        const LEAST: u64 = 128 * 1024;
        let bytes = match self {
            ClientsMemory::Bytes(bytes) => bytes,
            ClientsMemory::Percent(percent) => {
                (u128::from(maxmemory) * u128::from(percent) / 100) as u64
            }
        };
        (bytes > 0).then_some(bytes.max(LEAST))
    }
}

/// Who may use DEBUG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebugCommand {
    /// Nobody.
    No,
    /// Everybody.
    Yes,
    /// Clients on loopback addresses and Unix sockets.
    Local,
}

impl DebugCommand {
    pub(super) const ALL: [DebugCommand; 3] = [Self::No, Self::Yes, Self::Local];
}

/// Limits of the output that waits for clients, by class of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputBufferLimits {
    /// Clients that are neither replicas nor subscribers.
    pub normal: OutputBufferLimit,
    /// Replicas.
    pub replica: OutputBufferLimit,
    /// Clients with at least one subscription.
    pub pubsub: OutputBufferLimit,
}

impl Default for OutputBufferLimits {
    fn default() -> Self {
        let limit = |hard, soft, soft_seconds| OutputBufferLimit {
            hard,
            soft,
            soft_seconds,
        };
        OutputBufferLimits {
            normal: limit(0, 0, 0),
            replica: limit(256 << 20, 64 << 20, 60),
            pubsub: limit(32 << 20, 8 << 20, 60),
        }
    }
}

/// When a client that does not read is disconnected. Zero means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputBufferLimit {
    /// Bytes at which it is disconnected at once.
    pub hard: u64,
    /// Bytes at which it is disconnected after staying above them for `soft_seconds`.
    pub soft: u64,
    /// Seconds that the client may stay above `soft`.
    pub soft_seconds: u32,
}
