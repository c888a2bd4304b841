//! The table of settings: one row each, from which the configuration file, the flags, CONFIG
//! GET, SET and REWRITE and the help derive what they know.
//!
//! A row names the setting, says in one sentence what it does and when it may change, and
//! gives its [`Kind`], which carries the bounds and the field. Parsing, printing and the
//! texts of refusals belong to the kinds. The row is all there is to adding a setting, next
//! to its field and default in [`Config`].

use super::fields::{
    ClientsMemory, Config, DebugCommand, EvictionPolicy, LogLevel, OutputBufferLimit,
    OutputBufferLimits, Supervised,
};
use super::form::{Form, Parsed};
use super::inert;
use super::row::{Kind, Setting, row};
use super::value::{
    Refusal, describe, format_percentile, invalid, parse_lax_integer, path_bytes, path_from_bytes,
};
use crate::events::KeyspaceEvents;
use crate::text::number::{parse_i64, parse_memory};

const INT_MAX: i64 = i32::MAX as i64;

/// Redis's bound on the addresses of `bind`.
const MAX_BIND_ADDRESSES: usize = 16;

/// Highest and lowest rate of periodic work; Redis moves `hz` into this range silently.
const HZ: std::ops::RangeInclusive<i64> = 1..=500;

// Rows whose field has the type that its kind suggests name the field only. The numbers that
// reach `set` are within the bounds of the row, and a test sets every field to its bounds.
macro_rules! flag {
    ($field:ident) => {
        Kind::Flag {
            get: |c| c.$field,
            set: |c, yes| c.$field = yes,
        }
    };
}
macro_rules! integer {
    ($field:ident, $min:expr, $max:expr) => {
        Kind::Integer {
            min: $min,
            max: $max,
            get: |c| c.$field as i64,
            set: |c, n| c.$field = n as _,
        }
    };
}
macro_rules! memory {
    ($field:ident, $min:expr, $max:expr) => {
        Kind::Memory {
            min: $min,
            max: $max,
            get: |c| c.$field,
            set: |c, bytes| c.$field = bytes,
        }
    };
}
macro_rules! path {
    ($field:ident) => {
        Kind::Path {
            get: |c| &c.$field,
            set: |c, path| c.$field = path,
        }
    };
}

/// All settings: those that stand here, and those without effect.
pub static SETTINGS: &[Setting] = &joined::<{ ROWS.len() + inert::ROWS.len() }>();

const fn joined<const N: usize>() -> [Setting; N] {
    let mut all = [ROWS[0]; N];
    let mut at = 1;
    while at < N {
        all[at] = match at.checked_sub(ROWS.len()) {
            Some(at) => inert::ROWS[at],
            None => ROWS[at],
        };
        at += 1;
    }
    all
}

/// Related ones next to each other.
const ROWS: &[Setting] = &[
    row("port", "TCP port to listen on; 0 lets the system choose one.", integer!(port, 0, 65535))
        .startup()
        .headed("Network"),
    row(
        "bind",
        "Addresses to listen on; a leading - lets an address be unavailable.",
        Kind::Words { hint: "ADDRESS...", per_line: usize::MAX, parts: None, get: |c| c.bind.clone(), set: set_bind },
    )
    .startup(),
    row(
        "protected-mode",
        "Refuse clients from other hosts while no password is set.",
        flag!(protected_mode),
    ),
    row(
        "tcp-backlog",
        "Length of the queue of connections that wait to be accepted.",
        integer!(tcp_backlog, 0, INT_MAX),
    )
    .startup(),
    row(
        "tcp-keepalive",
        "Seconds between keep-alive probes on idle connections; 0 sends none.",
        integer!(tcp_keepalive, 0, INT_MAX),
    ),
    row("unixsocket", "Unix socket to listen on as well.", path!(unixsocket)).startup(),
    row(
        "unixsocketperm",
        "Mode of the Unix socket in octal; 0 leaves it to the umask.",
        Kind::Octal { max: 0o777, get: |c| c.unixsocketperm, set: |c, mode| c.unixsocketperm = mode },
    )
    .startup(),
    row(
        "socket-mark-id",
        "Mark of the sockets for the system's routing; respd sets none, so only 0 is accepted.",
        one("0", Form::Integer(0, u32::MAX as i64), "respd does not mark its sockets"),
    )
    .startup(),
    row(
        "tls-port",
        "Port for TLS; respd does not speak it, so only 0 is accepted.",
        one("0", Form::Integer(0, 65535), NO_TLS),
    ),
    row(
        "tls-replication",
        "TLS towards the master; respd does not speak it, so only no is accepted.",
        one("no", Form::Flag, NO_TLS),
    ),
    row(
        "tls-cluster",
        "TLS between nodes; respd does not speak it, so only no is accepted.",
        one("no", Form::Flag, NO_TLS),
    ),
    row(
        "requirepass",
        "Password that clients must give with AUTH or HELLO.",
        Kind::Text {
            hint: "PASSWORD",
            get: |c| c.requirepass.clone(),
            set: |c, password| {
                c.requirepass = password.to_vec();
                Ok(())
            },
        },
    )
    .sensitive()
    .headed("Clients"),
    row(
        "aclfile",
        "File of users; respd has one user, so only \"\" is accepted.",
        one("", Form::Text, NOT_RESTRICTING),
    )
    .startup(),
    row(
        "maxclients",
        "Clients that may be connected at once.",
        integer!(maxclients, 1, u32::MAX as i64),
    ),
    row(
        "timeout",
        "Seconds after which an idle client is disconnected; 0 never does.",
        integer!(timeout, 0, INT_MAX),
    ),
    row(
        "client-output-buffer-limit",
        "When to disconnect clients that do not read: class, hard limit, soft limit, seconds.",
        Kind::Words {
            hint: "CLASS HARD SOFT SECONDS...",
            per_line: 4,
            parts: Some(classes),
            get: get_output_buffer_limits,
            set: set_output_buffer_limits,
        },
    ),
    row(
        "client-query-buffer-limit",
        "Bytes of unparsed input that one client may accumulate.",
        memory!(client_query_buffer_limit, 1 << 20, i64::MAX as u64),
    ),
    row(
        "proto-max-bulk-len",
        "Bytes of the largest string that a client may send.",
        memory!(proto_max_bulk_len, 1 << 20, i64::MAX as u64),
    ),
    row(
        "tracking-table-max-keys",
        "Keys that are noted for clients that keep what they have read; 0 is no limit.",
        integer!(tracking_table_max_keys, 0, i64::MAX),
    ),
    row("databases", "Number of databases.", integer!(databases, 1, 16_384))
        .startup()
        .headed("Data"),
    row(
        "notify-keyspace-events",
        "Changes of keys that are published: letters out of KEg$lshzxetdmnA.",
        Kind::Text {
            hint: "LETTERS",
            get: |c| c.notify_keyspace_events.letters().into_bytes(),
            set: |c, letters| {
                c.notify_keyspace_events = KeyspaceEvents::parse(letters).ok_or_else(|| {
                    invalid("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
                })?;
                Ok(())
            },
        },
    ),
    row(
        "list-max-listpack-size",
        "Size of a list node: elements if positive, 4 to 64 KB if -1 to -5.",
        integer!(list_max_listpack_size, i32::MIN as i64, INT_MAX),
    )
    .alias(&["list-max-ziplist-size"]),
    row("hash-max-listpack-entries", "Fields up to which a hash is a listpack.", integer!(hash_max_listpack_entries, 0, i64::MAX))
    .alias(&["hash-max-ziplist-entries"]),
    row("hash-max-listpack-value", "Bytes of a field or a value up to which a hash is a listpack.", memory!(hash_max_listpack_value, 0, i64::MAX as u64))
    .alias(&["hash-max-ziplist-value"]),
    row("set-max-intset-entries", "Members up to which a set of integers is an intset.", integer!(set_max_intset_entries, 0, i64::MAX)),
    row("set-max-listpack-entries", "Members up to which a set is a listpack.", integer!(set_max_listpack_entries, 0, i64::MAX)),
    row("set-max-listpack-value", "Bytes of a member up to which a set is a listpack.", memory!(set_max_listpack_value, 0, i64::MAX as u64)),
    row("zset-max-listpack-entries", "Members up to which a sorted set is a listpack.", integer!(zset_max_listpack_entries, 0, i64::MAX))
    .alias(&["zset-max-ziplist-entries"]),
    row("zset-max-listpack-value", "Bytes of a member up to which a sorted set is a listpack.", memory!(zset_max_listpack_value, 0, i64::MAX as u64))
    .alias(&["zset-max-ziplist-value"]),
    row("stream-node-max-bytes", "Bytes of a node of a stream; 0 is no limit.", memory!(stream_node_max_bytes, 0, i64::MAX as u64)),
    row("stream-node-max-entries", "Entries of a node of a stream; 0 is no limit.", integer!(stream_node_max_entries, 0, i64::MAX)),
    row(
        "hll-sparse-max-bytes",
        "Bytes up to which a HyperLogLog is sparse.",
        memory!(hll_sparse_max_bytes, 0, i64::MAX as u64),
    ),
    row(
        "save",
        "Snapshots of the data set; respd writes none, so only \"\" is accepted.",
        one("", Form::Words(parse_save), NOT_PERSISTENT),
    ),
    row(
        "appendonly",
        "Append-only file; respd writes none, so only no is accepted.",
        one("no", Form::Flag, NOT_PERSISTENT),
    ),
    row(
        "maxmemory",
        "Bytes that keys, values and clients may hold together; 0 is no limit.",
        memory!(maxmemory, 0, u64::MAX),
    ),
    row(
        "maxmemory-policy",
        "What is evicted when they hold more.",
        Kind::Choice {
            names: &EvictionPolicy::NAMES,
            get: |c| c.maxmemory_policy as usize,
            set: |c, index| c.maxmemory_policy = EvictionPolicy::ALL[index],
        },
    ),
    row(
        "maxmemory-samples",
        "Keys out of which one is chosen to be evicted, or a few more.",
        integer!(maxmemory_samples, 1, INT_MAX),
    ),
    row(
        "maxmemory-eviction-tenacity",
        "How long eviction may keep one client waiting: 10 is half a millisecond, 100 no limit.",
        integer!(maxmemory_eviction_tenacity, 0, 100),
    ),
    row(
        "maxmemory-clients",
        "Bytes that clients may hold together, or N% of maxmemory; 0 is no limit.",
        Kind::Text { hint: "BYTES|PERCENT%", get: get_clients_memory, set: set_clients_memory },
    ),
    row(
        "busy-reply-threshold",
        "Milliseconds that a script may run before other clients are told that it does; 0 is no limit.",
        integer!(busy_reply_threshold, 0, i64::MAX),
    )
    .alias(&["lua-time-limit"]),
    row(
        "script-memory-limit",
        "Bytes that scripts may hold while they run; 0 is no limit.",
        memory!(script_memory_limit, 0, u64::MAX),
    ),
    row(
        "lfu-log-factor",
        "How slowly the count of a key's uses grows.",
        integer!(lfu_log_factor, 0, INT_MAX),
    ),
    row(
        "lfu-decay-time",
        "Minutes in which that count decays by one; 0 is never.",
        integer!(lfu_decay_time, 0, INT_MAX),
    ),
    row(
        "locale-collate",
        "Order of strings in SORT and scripts; respd knows that of bytes, so only \"\" is accepted.",
        one("", Form::Text, "respd compares bytes, whatever the locale"),
    ),
    row(
        "replicaof",
        "Master to follow; respd follows none.",
        one("", Form::Words(parse_master), NOT_REPLICATING),
    )
    .alias(&["slaveof"])
    .startup()
    .headed("Other servers"),
    row(
        "min-replicas-to-write",
        "Replicas without which writes are refused; respd has none, so only 0 is accepted.",
        one("0", Form::Integer(0, INT_MAX), NOT_REPLICATING),
    )
    .alias(&["min-slaves-to-write"]),
    row(
        "cluster-enabled",
        "Be a node of a cluster; respd is none, so only no is accepted.",
        one("no", Form::Flag, "respd is a server of its own and in no cluster"),
    )
    .startup(),
    row("workers", "Threads that serve connections.", integer!(workers, 1, 64))
        .startup()
        .headed("Work"),
    row(
        "seed",
        "Number from which everything random follows, so that it can be repeated.",
        Kind::Text { hint: "NUMBER", get: get_seed, set: set_seed },
    )
    .startup(),
    row(
        "hz",
        "Runs per second of periodic work, such as rates and idle clients, from 1 to 500.",
        Kind::Integer {
            min: 0,
            max: INT_MAX,
            get: |c| c.hz.into(),
            set: |c, hz| c.hz = hz.clamp(*HZ.start(), *HZ.end()) as u32,
        },
    ),
    row(
        "slowlog-log-slower-than",
        "Microseconds from which on a command is logged as slow; 0 logs all, -1 none.",
        integer!(slowlog_log_slower_than, -1, i64::MAX),
    )
    .headed("Observation"),
    row("slowlog-max-len", "Entries that the slow log keeps.", integer!(slowlog_max_len, 0, i64::MAX)),
    row(
        "latency-monitor-threshold",
        "Milliseconds from which on an event counts as a latency spike; 0 turns the monitor off.",
        integer!(latency_monitor_threshold, 0, i64::MAX),
    ),
    row("latency-tracking", "Record the latency of every command.", flag!(latency_tracking)),
    row(
        "latency-tracking-info-percentiles",
        "Percentiles of command latencies that INFO reports.",
        Kind::Words {
            hint: "PERCENTILE...",
            per_line: usize::MAX,
            parts: None,
            get: |c| c.latency_tracking_info_percentiles.iter().map(|p| format_percentile(*p)).collect(),
            set: set_percentiles,
        },
    ),
    row(
        "enable-debug-command",
        "Who may use DEBUG: nobody, everybody, or clients on this host.",
        Kind::Choice {
            names: WHO,
            get: |c| c.enable_debug_command as usize,
            set: |c, index| c.enable_debug_command = DebugCommand::ALL[index],
        },
    )
    .startup(),
    row(
        "test-commands",
        "Let every client use RESPD, which sets the clock and what else a test needs.",
        flag!(test_commands),
    )
    .startup(),
    row(
        "enable-protected-configs",
        "Who may change dir while the server runs; respd lets nobody, so only no is accepted.",
        one("no", Form::Choice(WHO), "respd lets nobody change a protected setting while it runs"),
    )
    .startup(),
    row(
        "enable-module-command",
        "Who may load modules; respd loads none, so only no is accepted.",
        one("no", Form::Choice(WHO), "respd loads no modules"),
    )
    .startup(),
    row(
        "loglevel",
        "Least severe messages that are logged.",
        Kind::Choice {
            names: &["debug", "verbose", "notice", "warning", "nothing"],
            get: |c| c.loglevel as usize,
            set: |c, index| c.loglevel = LogLevel::ALL[index],
        },
    )
    .of_the_binary()
    .headed("The process"),
    row("logfile", "File to log to; empty logs to standard output.", path!(logfile))
        .startup()
        .of_the_binary(),
    row(
        "always-show-logo",
        "Print a logo at start.",
        flag!(always_show_logo),
    )
    .startup()
    .of_the_binary(),
    row("pidfile", "File that holds the process id while the server runs.", path!(pidfile))
        .startup()
        .of_the_binary(),
    row(
        "dir",
        "Directory that relative paths in the configuration refer to.",
        Kind::Text { hint: "DIRECTORY", get: get_dir, set: set_dir },
    )
    .protected(),
    row("daemonize", "Run in the background, unless a supervisor is reported to.", flag!(daemonize))
        .startup()
        .of_the_binary(),
    row(
        "supervised",
        "Supervisor to report to: none, the one named, or the one that the environment names.",
        Kind::Choice {
            names: &["upstart", "systemd", "auto", "no"],
            get: |c| c.supervised as usize,
            set: |c, index| c.supervised = Supervised::ALL[index],
        },
    )
    .startup()
    .of_the_binary(),
    row(
        "syslog-enabled",
        "Log to syslog; respd does not, so only no is accepted.",
        one("no", Form::Flag, "respd does not log to syslog; let a supervisor pass its output on"),
    )
    .startup(),
    row(
        "oom-score-adj",
        "Adjust whom the kernel kills when memory is short; respd does not, so only no is accepted.",
        one("no", Form::Choice(&["no", "yes", "relative", "absolute"]), "respd leaves the kernel's choice of whom to kill alone"),
    ),
];

const NOT_PERSISTENT: &str = "respd keeps data in memory only and writes none to disk";
const NOT_REPLICATING: &str = "respd follows no master and has no replicas";
const NO_TLS: &str = "respd does not speak TLS";
/// Also what is said of directives that are no settings.
pub(super) const NOT_RESTRICTING: &str =
    "respd cannot restrict access this way, so it is NOT restricted";

const WHO: &[&str] = &["no", "yes", "local"];

/// A setting that is not to promise what respd does not do: any value but `value` is for nothing.
const fn one(value: &'static str, form: Form, why: &'static str) -> Kind {
    Kind::Fixed { form, value, why }
}

/// The setting that `name` or an alias names, whatever its case.
pub fn lookup(name: impl AsRef<[u8]>) -> Option<&'static Setting> {
    let name = name.as_ref();
    SETTINGS.iter().find(|setting| {
        setting
            .names()
            .any(|own| own.as_bytes().eq_ignore_ascii_case(name))
    })
}

/// What `--help` shows of one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelpEntry {
    /// Name, which is that of the flag without its `--`.
    pub name: &'static str,
    /// Other names of the same flag.
    pub aliases: &'static [&'static str],
    /// What may follow, such as `yes|no` or `BYTES`.
    pub value_hint: String,
    /// Default value as CONFIG GET prints it.
    pub default: String,
    /// One sentence.
    pub help: &'static str,
    /// Stands above this setting and those that follow, up to the next heading.
    pub heading: Option<&'static str>,
}

/// What `--help` shows, setting by setting, but for those without effect.
pub fn help() -> impl Iterator<Item = HelpEntry> {
    let defaults = Config::default();
    ROWS.iter().map(move |setting| HelpEntry {
        name: setting.name(),
        aliases: setting.aliases(),
        value_hint: setting.kind().hint(),
        // Absolute in CONFIG GET, which in a help text would look like a fixed path.
        default: match setting.name() {
            "dir" => ".".to_owned(),
            _ => String::from_utf8_lossy(&setting.get(&defaults)).into_owned(),
        },
        help: setting.help(),
        heading: setting.heading(),
    })
}

/// Settings that are accepted and change nothing, but for those that are hidden.
pub fn without_effect() -> impl Iterator<Item = &'static Setting> {
    inert::ROWS.iter().filter(|setting| !setting.is_hidden())
}

// ---- bind, client-output-buffer-limit, percentiles, dir ----------------------------------

fn get_seed(config: &Config) -> Vec<u8> {
    config
        .seed
        .map(|seed| seed.to_string().into_bytes())
        .unwrap_or_default()
}

fn set_seed(config: &mut Config, word: &[u8]) -> Result<(), Refusal> {
    config.seed = match word {
        b"" => None,
        _ => {
            let seed = str::from_utf8(word).ok().and_then(|word| word.parse().ok());
            Some(seed.ok_or_else(|| {
                invalid("argument must be a number from 0 to 18446744073709551615")
            })?)
        }
    };
    Ok(())
}

fn set_bind(config: &mut Config, words: &[&[u8]]) -> Result<(), Refusal> {
    if words.len() > MAX_BIND_ADDRESSES {
        return Err(invalid("Too many bind addresses specified."));
    }
    let addresses = match words {
        [b""] => Vec::new(),
        _ => words
            .iter()
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect(),
    };
    config.bind = addresses;
    Ok(())
}

fn get_output_buffer_limits(config: &Config) -> Vec<String> {
    let OutputBufferLimits {
        normal,
        replica,
        pubsub,
    } = config.client_output_buffer_limit;
    // `slave`, since CONFIG GET still says so.
    [("normal", normal), ("slave", replica), ("pubsub", pubsub)]
        .into_iter()
        .flat_map(|(class, limit)| {
            let numbers = [limit.hard, limit.soft, limit.soft_seconds.into()];
            std::iter::once(class.to_owned()).chain(numbers.map(|number| number.to_string()))
        })
        .collect()
}

/// The classes that words set the limits of; those of the others stay.
fn classes(words: &[&[u8]]) -> Vec<Vec<u8>> {
    let class = |words: &[&[u8]]| match &words[0].to_ascii_lowercase()[..] {
        b"replica" => b"slave".to_vec(),
        class => class.to_vec(),
    };
    words.chunks(4).map(class).collect()
}

fn set_output_buffer_limits(config: &mut Config, words: &[&[u8]]) -> Result<(), Refusal> {
    let (groups, rest) = words.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(invalid(
            "Wrong number of arguments in buffer limit configuration.",
        ));
    }
    let mut limits = config.client_output_buffer_limit;
    for [class, hard, soft, seconds] in groups {
        let limit = match &class.to_ascii_lowercase()[..] {
            b"normal" => &mut limits.normal,
            b"slave" | b"replica" => &mut limits.replica,
            b"pubsub" => &mut limits.pubsub,
            _ => {
                return Err(invalid(
                    "Invalid client class specified in buffer limit configuration.",
                ));
            }
        };
        *limit = parse_output_buffer_limit(hard, soft, seconds).ok_or_else(|| {
            invalid("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
        })?;
    }
    config.client_output_buffer_limit = limits;
    Ok(())
}

fn parse_output_buffer_limit(
    hard: &[u8],
    soft: &[u8],
    seconds: &[u8],
) -> Option<OutputBufferLimit> {
    let seconds = parse_lax_integer(seconds).filter(|seconds| *seconds <= INT_MAX)?;
    Some(OutputBufferLimit {
        hard: parse_memory(hard)?,
        soft: parse_memory(soft)?,
        soft_seconds: seconds.try_into().ok()?,
    })
}

fn get_clients_memory(config: &Config) -> Vec<u8> {
    let text = match config.maxmemory_clients {
        ClientsMemory::Bytes(bytes) => bytes.to_string(),
        ClientsMemory::Percent(percent) => format!("{percent}%"),
    };
    text.into_bytes()
}

fn set_clients_memory(config: &mut Config, word: &[u8]) -> Result<(), Refusal> {
    let bad = || invalid("argument must be a memory or percent value");
    config.maxmemory_clients = match word.strip_suffix(b"%") {
        None => ClientsMemory::Bytes(parse_memory(word).ok_or_else(bad)?),
        Some(percent) => match parse_i64(percent).ok_or_else(bad)? {
            ..0 => return Err(bad()),
            0 => ClientsMemory::Bytes(0),
            percent @ 1..=100 => ClientsMemory::Percent(percent as u8),
            _ => return Err(invalid("percentage argument must be less or equal to 100")),
        },
    };
    Ok(())
}

fn set_percentiles(config: &mut Config, words: &[&[u8]]) -> Result<(), Refusal> {
    let mut percentiles = Vec::new();
    // One empty word is how a file asks for none.
    for word in words.iter().filter(|_| words != [b""]) {
        let percentile = str::from_utf8(word)
            .ok()
            .and_then(|word| word.parse::<f64>().ok())
            .filter(|number| !number.is_nan())
            .ok_or_else(|| invalid("Invalid latency-tracking-info-percentiles parameters"))?;
        if !(0.0..=100.0).contains(&percentile) {
            return Err(invalid(
                "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
            ));
        }
        percentiles.push(percentile);
    }
    config.latency_tracking_info_percentiles = percentiles;
    Ok(())
}

fn get_dir(config: &Config) -> Vec<u8> {
    // Without a current directory, a relative path is the best answer there is.
    path_bytes(&std::path::absolute(&config.dir).unwrap_or_else(|_| config.dir.clone()))
}

fn set_dir(config: &mut Config, path: &[u8]) -> Result<(), Refusal> {
    let path = path_from_bytes(path);
    // Redis changes into the directory here, so a missing one is noticed at its line.
    match std::fs::metadata(&path) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(invalid("Not a directory")),
        Err(error) => return Err(Refusal::Invalid(describe(&error))),
    }
    config.dir = path;
    Ok(())
}

// ---- settings with one value ---------------------------------------------------------------

/// Points at which Redis writes a snapshot: seconds and changes.
fn parse_save(words: &[&[u8]]) -> Parsed {
    if words == [b""] {
        return Ok(Vec::new());
    }
    let (points, rest) = words.as_chunks::<2>();
    let is_point = |[seconds, changes]: &[&[u8]; 2]| {
        parse_i64(seconds).is_some_and(|n| n >= 1) && parse_i64(changes).is_some_and(|n| n >= 0)
    };
    if !rest.is_empty() || !points.iter().all(is_point) {
        return Err(invalid("Invalid save parameters"));
    }
    Ok(words.join(&b' '))
}

/// Host and port, or `no one`.
fn parse_master(words: &[&[u8]]) -> Parsed {
    let [host, port] = words else {
        return Err(invalid("wrong number of arguments"));
    };
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        return Ok(Vec::new());
    }
    if !parse_lax_integer(port).is_some_and(|port| (0..=65535).contains(&port)) {
        return Err(invalid("Invalid master port"));
    }
    Ok(words.join(&b' '))
}
