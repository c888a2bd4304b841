//! Every setting of the server, with its default, its bounds and its text forms.
//!
//! [`Config`] is plain data: an embedder fills it in, the binary reads it with
//! [`Config::from_args`] from a `redis.conf` and from flags, clients see it through
//! CONFIG GET, SET and REWRITE. What these know about a setting comes from one row of
//! [`SETTINGS`]. Nothing here applies a setting: who is affected reads the field, and the
//! server tells whom [`Config::set`] reports as changed.

mod directives;
mod file;
mod rewrite;
mod settings;
mod value;

use std::fmt;
use std::path::PathBuf;

pub use crate::events::KeyspaceEvents;
pub use file::{ConfigError, Loaded, Origin};
pub use settings::{Change, HelpEntry, Kind, Refusal, SETTINGS, Setting, help, lookup};
pub(crate) use value::describe;

use crate::text::glob;

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
    /// Runs per second of periodic work, such as rates and idle clients; keys expire without it.
    pub hz: u32,
    /// How much output may wait for a client before it is disconnected.
    pub client_output_buffer_limit: OutputBufferLimits,
    /// Bytes of unparsed input that one client may accumulate.
    pub client_query_buffer_limit: u64,
    /// Bytes of the largest bulk string that a client may send.
    pub proto_max_bulk_len: u64,
    /// Which changes of the keyspace are published.
    pub notify_keyspace_events: KeyspaceEvents,
    /// Size of a list node: elements if positive, a size class from -1 to -5 if negative.
    pub list_max_listpack_size: i32,
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
    /// Least severe messages that are logged.
    pub loglevel: LogLevel,
    /// File to log to; none logs to standard output.
    pub logfile: Option<PathBuf>,
    /// Whether a logo is printed at start.
    pub always_show_logo: bool,
    /// File that holds the process id while the server runs.
    pub pidfile: Option<PathBuf>,
    /// Directory that relative paths in the configuration refer to. The process does not
    /// change into it, since it may belong to an embedder.
    pub dir: PathBuf,
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
            hz: 10,
            client_output_buffer_limit: OutputBufferLimits::default(),
            client_query_buffer_limit: 1 << 30,
            proto_max_bulk_len: 512 << 20,
            notify_keyspace_events: KeyspaceEvents::empty(),
            list_max_listpack_size: -2,
            slowlog_log_slower_than: 10_000,
            slowlog_max_len: 128,
            latency_monitor_threshold: 0,
            latency_tracking: true,
            latency_tracking_info_percentiles: vec![50.0, 99.0, 99.9],
            enable_debug_command: DebugCommand::No,
            loglevel: LogLevel::Notice,
            logfile: None,
            always_show_logo: false,
            pidfile: None,
            dir: PathBuf::from("."),
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
    const ALL: [LogLevel; 5] = [
        Self::Debug,
        Self::Verbose,
        Self::Notice,
        Self::Warning,
        Self::Nothing,
    ];
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
    const ALL: [DebugCommand; 3] = [Self::No, Self::Yes, Self::Local];
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

impl Config {
    /// Sets a setting in the form that the configuration file has, before a
    /// broker starts with it.
    ///
    /// # Errors
    ///
    /// There is no such setting, or the value is wrong; the text names both.
    pub fn set_at_start(&mut self, name: &str, value: &str) -> Result<(), String> {
        let setting = settings::lookup(name).ok_or_else(|| format!("Unknown setting '{name}'"))?;
        let words = setting.split(value.as_bytes());
        setting
            .set(self, &words)
            .map_err(|refusal| format!("{name}: {}", refusal.reason()))
    }

    /// CONFIG GET: name and value of the settings that match one of `patterns`.
    ///
    /// A name without glob characters is looked up and answered as it was written, a pattern
    /// answers proper names and aliases; nothing is answered twice. Redis answers in no
    /// particular order, this in the order of the request and then of the table.
    pub fn get<P: AsRef<[u8]>>(&self, patterns: &[P]) -> Vec<(String, Vec<u8>)> {
        let mut found: Vec<(String, Vec<u8>)> = Vec::new();
        let mut answer = |name: &str, setting: &Setting| {
            if !found
                .iter()
                .any(|(seen, _)| seen.eq_ignore_ascii_case(name))
            {
                found.push((name.to_owned(), setting.get(self)));
            }
        };
        for pattern in patterns.iter().map(AsRef::as_ref) {
            if pattern.iter().any(|byte| b"[*?".contains(byte)) {
                for setting in SETTINGS {
                    for name in setting
                        .names()
                        .filter(|n| glob::matches(pattern, n.as_bytes(), true))
                    {
                        answer(name, setting);
                    }
                }
            } else if let Some(setting) = lookup(pattern) {
                // A name that was found is ASCII.
                answer(&String::from_utf8_lossy(pattern), setting);
            }
        }
        found
    }

    /// CONFIG SET: applies all of `pairs` or, on error, none. Returns the settings whose value
    /// is now a different one.
    ///
    /// A caller that may fail to put a change into effect sets a clone, and keeps the old
    /// configuration when it answers [`ConfigSetError::failed`].
    pub fn set<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        pairs: &[(N, V)],
    ) -> Result<Vec<&'static Setting>, ConfigSetError> {
        // As in Redis, all names are checked before the first value. An error about a name
        // quotes what the client wrote, one about a value the name in the table.
        let mut named: Vec<(&str, &'static Setting)> = Vec::new();
        for asked in pairs.iter().map(|(name, _)| name.as_ref()) {
            let setting = lookup(asked).ok_or_else(|| ConfigSetError::unknown(asked))?;
            match setting.change() {
                Change::Live => {}
                Change::Startup => {
                    return Err(ConfigSetError::failed(asked, "can't set immutable config"));
                }
                Change::Protected => {
                    return Err(ConfigSetError::failed(asked, "can't set protected config"));
                }
            }
            let name = setting.name_like(asked);
            if named.iter().any(|(other, _)| *other == name) {
                return Err(ConfigSetError::failed(asked, "duplicate parameter"));
            }
            named.push((name, setting));
        }

        let mut next = self.clone();
        let mut changed: Vec<&'static Setting> = Vec::new();
        for ((name, setting), (_, value)) in named.into_iter().zip(pairs) {
            let before = next.clone();
            setting
                .set(&mut next, &setting.split(value.as_ref()))
                .map_err(|refusal| ConfigSetError::failed(name, refusal.reason()))?;
            if next != before && !changed.contains(&setting) {
                changed.push(setting);
            }
        }
        *self = next;
        Ok(changed)
    }
}

/// Shows every setting under its name, and of a password only whether there is one.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for setting in SETTINGS {
            let value = setting.get(self);
            let shown = if setting.is_sensitive() && !value.is_empty() {
                "(redacted)".into()
            } else {
                String::from_utf8_lossy(&value)
            };
            map.entry(&setting.name(), &shown);
        }
        map.finish()
    }
}

/// Why CONFIG SET changed nothing: the text of the error reply, without its `ERR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSetError {
    text: Vec<u8>,
}

impl ConfigSetError {
    /// The error for a setting that is valid but could not be put into effect.
    pub fn failed(name: impl AsRef<[u8]>, reason: &str) -> Self {
        let text = [
            b"CONFIG SET failed (possibly related to argument '",
            name.as_ref(),
            b"') - ",
            reason.as_bytes(),
        ];
        ConfigSetError {
            text: text.concat(),
        }
    }

    fn unknown(name: &[u8]) -> Self {
        let text: [&[u8]; 3] = [
            b"Unknown option or number of arguments for CONFIG SET - '",
            name,
            b"'",
        ];
        ConfigSetError {
            text: text.concat(),
        }
    }

    /// The text, which quotes the client and may therefore hold any byte.
    pub fn text(&self) -> &[u8] {
        &self.text
    }
}

impl fmt::Display for ConfigSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text))
    }
}

impl std::error::Error for ConfigSetError {}

#[cfg(test)]
mod tests;
