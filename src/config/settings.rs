//! The table of settings: one row each, from which the configuration file, the flags, CONFIG
//! GET, SET and REWRITE and the help derive what they know.
//!
//! A row names the setting, says in one sentence what it does and when it may change, and
//! gives its [`Kind`], which carries the bounds and the field. Parsing, printing and the
//! texts of refusals belong to the kinds. The row is all there is to adding a setting, next
//! to its field and default in [`Config`].

use std::path::PathBuf;

use super::value::{format_percentile, parse_octal, parse_yes_no, path_bytes, path_from_bytes};
use super::{
    Config, DebugCommand, KeyspaceEvents, LogLevel, OutputBufferLimit, OutputBufferLimits,
};

use crate::number::{format_memory, parse_i64, parse_memory};
use crate::words::quote;

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

/// All settings, related ones next to each other.
pub static SETTINGS: &[Setting] = &[
    row("port", "TCP port to listen on; 0 lets the system choose one.", integer!(port, 0, 65535))
        .startup()
        .heading("Network"),
    row(
        "bind",
        "Addresses to listen on; a leading - lets an address be unavailable.",
        Kind::Words { hint: "ADDRESS...", per_line: usize::MAX, get: |c| c.bind.clone(), set: set_bind },
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
    .heading("Clients"),
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
    row("databases", "Number of databases.", integer!(databases, 1, 16_384))
        .startup()
        .heading("Data"),
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
    row(
        "save",
        "Snapshots of the data set; respd writes none, so only \"\" is accepted.",
        Kind::Fixed { hint: "\"\"", value: "", words: true, is_value: is_no_save, refuse: Refusal::Unavailable, why: NOT_PERSISTENT },
    ),
    row(
        "appendonly",
        "Append-only file; respd writes none, so only no is accepted.",
        Kind::Fixed { hint: "no", value: "no", words: false, is_value: is_no, refuse: Refusal::Unavailable, why: NOT_PERSISTENT },
    ),
    row(
        "maxmemory",
        "Limit of the data set; respd evicts nothing, so only 0 is accepted.",
        Kind::Fixed { hint: "0", value: "0", words: false, is_value: is_no_memory, refuse: Refusal::Unavailable, why: NOT_EVICTING },
    ),
    row(
        "maxmemory-policy",
        "What to evict at the limit; respd evicts nothing, so only noeviction is accepted.",
        Kind::Fixed { hint: "noeviction", value: "noeviction", words: false, is_value: is_no_eviction, refuse: Refusal::Unavailable, why: NOT_EVICTING },
    ),
    row("workers", "Threads that serve connections.", integer!(workers, 1, 64))
        .startup()
        .heading("Work"),
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
    .heading("Observation"),
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
            get: |c| c.latency_tracking_info_percentiles.iter().map(|p| format_percentile(*p)).collect(),
            set: set_percentiles,
        },
    ),
    row(
        "enable-debug-command",
        "Who may use DEBUG: nobody, everybody, or clients on this host.",
        Kind::Choice {
            names: &["no", "yes", "local"],
            get: |c| c.enable_debug_command as usize,
            set: |c, index| c.enable_debug_command = DebugCommand::ALL[index],
        },
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
    .heading("The process"),
    row("logfile", "File to log to; empty logs to standard output.", path!(logfile)).startup(),
    row(
        "always-show-logo",
        "Print a logo at start.",
        flag!(always_show_logo),
    )
    .startup(),
    row("pidfile", "File that holds the process id while the server runs.", path!(pidfile)).startup(),
    row(
        "dir",
        "Directory that relative paths in the configuration refer to.",
        Kind::Text { hint: "DIRECTORY", get: get_dir, set: set_dir },
    )
    .protected(),
    row(
        "daemonize",
        "Run in the background; respd does not, so only no is accepted.",
        Kind::Fixed {
            hint: "no",
            value: "no",
            words: false,
            is_value: is_no,
            refuse: Refusal::Invalid,
            why: "respd does not run in the background by itself; run it under a supervisor such as systemd",
        },
    )
    .startup(),
    row(
        "supervised",
        "Supervisor to report to; respd reports to none, so only no is accepted.",
        Kind::Fixed {
            hint: "no",
            value: "no",
            words: false,
            is_value: is_not_supervised,
            refuse: Refusal::Unavailable,
            why: "respd does not report to a supervisor; let it supervise a plain process (Type=simple)",
        },
    )
    .startup(),
];

const NOT_PERSISTENT: &str = "respd keeps data in memory only and writes none to disk";
const NOT_EVICTING: &str = "respd has no memory limit and evicts nothing";

/// One setting. What it is called, what it does, when it may change, and its [`Kind`].
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    name: &'static str,
    aliases: &'static [&'static str],
    help: &'static str,
    change: Change,
    sensitive: bool,
    heading: Option<&'static str>,
    kind: Kind,
}

/// When a setting may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// At any time, with CONFIG SET.
    Live,
    /// At start only.
    Startup,
    /// At start only, because a client could do harm with it.
    Protected,
}

/// What values a setting has, with their bounds, and where in [`Config`] they are.
#[derive(Clone, Copy)]
pub enum Kind {
    /// `yes` or `no`.
    Flag {
        /// Reads the field.
        get: fn(&Config) -> bool,
        /// Writes the field.
        set: fn(&mut Config, bool),
    },
    /// A decimal integer from `min` to `max`.
    Integer {
        /// Least value.
        min: i64,
        /// Greatest value.
        max: i64,
        /// Reads the field.
        get: fn(&Config) -> i64,
        /// Writes the field, with a value within the bounds.
        set: fn(&mut Config, i64),
    },
    /// An octal integer up to `max`.
    Octal {
        /// Greatest value.
        max: u32,
        /// Reads the field.
        get: fn(&Config) -> u32,
        /// Writes the field, with a value within the bounds.
        set: fn(&mut Config, u32),
    },
    /// A number of bytes from `min` to `max`, with an optional unit.
    Memory {
        /// Least value.
        min: u64,
        /// Greatest value.
        max: u64,
        /// Reads the field.
        get: fn(&Config) -> u64,
        /// Writes the field, with a value within the bounds.
        set: fn(&mut Config, u64),
    },
    /// One of `names`, which the field is an index of.
    Choice {
        /// The names, in the order in which a refusal lists them.
        names: &'static [&'static str],
        /// Reads the field.
        get: fn(&Config) -> usize,
        /// Writes the field, with an index of `names`.
        set: fn(&mut Config, usize),
    },
    /// A path, or nothing.
    Path {
        /// Reads the field.
        get: fn(&Config) -> &Option<PathBuf>,
        /// Writes the field.
        set: fn(&mut Config, Option<PathBuf>),
    },
    /// One word with a syntax of its own.
    Text {
        /// Stands for the value in the help.
        hint: &'static str,
        /// Prints the field.
        get: fn(&Config) -> Vec<u8>,
        /// Parses into the field.
        set: fn(&mut Config, &[u8]) -> Result<(), Refusal>,
    },
    /// Any number of words.
    Words {
        /// Stands for the value in the help.
        hint: &'static str,
        /// Words that CONFIG REWRITE puts on one line.
        per_line: usize,
        /// Prints the field.
        get: fn(&Config) -> Vec<String>,
        /// Parses into the field.
        set: fn(&mut Config, &[&[u8]]) -> Result<(), Refusal>,
    },
    /// A setting of which we have one value only. Others that Redis knows are refused with a
    /// reason, or at start ignored with a warning.
    Fixed {
        /// Stands for the value in the help.
        hint: &'static str,
        /// The value.
        value: &'static str,
        /// Whether Redis takes several words.
        words: bool,
        /// Whether the words are our value, or Redis's reason to refuse them.
        is_value: fn(&[&[u8]]) -> Result<bool, String>,
        /// How other values are refused.
        refuse: fn(String) -> Refusal,
        /// The reason why.
        why: &'static str,
    },
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.hint())
    }
}

/// Why a value was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is wrong, for Redis as well.
    Invalid(String),
    /// Redis takes it, but respd cannot do what it asks for. At start this is a warning, and
    /// the setting stays as it is; CONFIG SET fails, since its caller would rely on it.
    Unavailable(String),
}

impl Refusal {
    /// The reason, in Redis's words if it is Redis's reason.
    pub fn reason(&self) -> &str {
        match self {
            Refusal::Invalid(reason) | Refusal::Unavailable(reason) => reason,
        }
    }
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

/// What `--help` shows, setting by setting.
pub fn help() -> impl Iterator<Item = HelpEntry> {
    let defaults = Config::default();
    SETTINGS.iter().map(move |setting| HelpEntry {
        name: setting.name,
        aliases: setting.aliases,
        value_hint: setting.kind.hint(),
        // Absolute in CONFIG GET, which in a help text would look like a fixed path.
        default: match setting.name {
            "dir" => ".".to_owned(),
            _ => String::from_utf8_lossy(&setting.get(&defaults)).into_owned(),
        },
        help: setting.help,
        heading: setting.heading,
    })
}

/// Rows have unique names.
impl PartialEq for Setting {
    fn eq(&self, other: &Setting) -> bool {
        self.name == other.name
    }
}

impl Eq for Setting {}

impl Setting {
    /// The proper name, in lower case.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Former names, under which the setting can be read and set as well.
    pub fn aliases(&self) -> &'static [&'static str] {
        self.aliases
    }

    /// The proper name and the aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// What it does, in one sentence.
    pub fn help(&self) -> &'static str {
        self.help
    }

    /// When it may change.
    pub fn change(&self) -> Change {
        self.change
    }

    /// Whether CONFIG SET may change it.
    pub fn is_live(&self) -> bool {
        self.change == Change::Live
    }

    /// Whether its value is a secret, to be kept out of logs, MONITOR and SLOWLOG.
    pub fn is_sensitive(&self) -> bool {
        self.sensitive
    }

    /// Its kind, bounds and field.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The value in `config` as CONFIG GET prints it.
    pub fn get(&self, config: &Config) -> Vec<u8> {
        match self.kind {
            Kind::Flag { get, .. } => if get(config) { "yes" } else { "no" }.into(),
            Kind::Integer { get, .. } => get(config).to_string().into_bytes(),
            Kind::Octal { get, .. } => format!("{:o}", get(config)).into_bytes(),
            Kind::Memory { get, .. } => get(config).to_string().into_bytes(),
            Kind::Choice { names, get, .. } => names[get(config)].into(),
            Kind::Path { get, .. } => get(config).as_deref().map(path_bytes).unwrap_or_default(),
            Kind::Text { get, .. } => get(config),
            Kind::Words { get, .. } => get(config).join(" ").into_bytes(),
            Kind::Fixed { value, .. } => value.into(),
        }
    }

    /// Parses `words`, which for most settings must be one, into `config`. On refusal `config`
    /// is unchanged.
    pub fn set(&self, config: &mut Config, words: &[&[u8]]) -> Result<(), Refusal> {
        if self.takes_words() {
            // As in Redis, all of them may be one argument: `--save "900 1"`.
            let split = match words {
                [one] if !one.is_empty() => &self.split(one)[..],
                _ => words,
            };
            return match self.kind {
                Kind::Words { set, .. } => set(config, split),
                _ => self.check_fixed(split),
            };
        }
        let &[word] = words else {
            return Err(invalid("wrong number of arguments"));
        };
        match self.kind {
            Kind::Flag { set, .. } => {
                set(
                    config,
                    parse_yes_no(word).ok_or_else(|| invalid(NOT_YES_NO))?,
                );
            }
            Kind::Integer { min, max, set, .. } => {
                let number = parse_i64(word)
                    .ok_or_else(|| invalid("argument couldn't be parsed into an integer"))?;
                if !(min..=max).contains(&number) {
                    return Err(out_of_bounds(min, max));
                }
                set(config, number);
            }
            Kind::Octal { max, set, .. } => {
                let number = parse_octal(word)
                    .ok_or_else(|| invalid("argument couldn't be parsed as an octal number"))?;
                let number = u32::try_from(number).ok().filter(|number| *number <= max);
                set(
                    config,
                    number.ok_or_else(|| out_of_bounds("0", format!("{max:o}")))?,
                );
            }
            Kind::Memory { min, max, set, .. } => {
                let bytes = parse_memory(word).ok_or_else(|| invalid(NOT_MEMORY))?;
                if !(min..=max).contains(&bytes) {
                    return Err(out_of_bounds(min, max));
                }
                set(config, bytes);
            }
            Kind::Choice { names, set, .. } => {
                set(config, find_choice(names, word).map_err(Refusal::Invalid)?);
            }
            Kind::Path { set, .. } => {
                set(config, (!word.is_empty()).then(|| path_from_bytes(word)));
            }
            Kind::Text { set, .. } => set(config, word)?,
            Kind::Words { .. } | Kind::Fixed { .. } => self.check_fixed(words)?,
        }
        Ok(())
    }

    /// The words of a value that CONFIG SET has in one argument. Redis splits at every single
    /// space, so that two in a row make an empty word.
    pub(super) fn split<'a>(&self, value: &'a [u8]) -> Vec<&'a [u8]> {
        if !self.takes_words() {
            vec![value]
        } else if value.is_empty() {
            Vec::new()
        } else {
            value.split(|byte| *byte == b' ').collect()
        }
    }

    /// The lines that CONFIG REWRITE writes, without the name.
    pub(super) fn lines(&self, config: &Config) -> Vec<Vec<u8>> {
        match self.kind {
            Kind::Memory { get, .. } => vec![format_memory(get(config)).into_bytes()],
            Kind::Path { .. } | Kind::Text { .. } => vec![quote(&self.get(config))],
            Kind::Words { per_line, get, .. } => match &get(config)[..] {
                [] => vec![quote(b"")],
                words => words
                    .chunks(per_line)
                    .map(|line| line.join(" ").into_bytes())
                    .collect(),
            },
            _ => vec![self.get(config)],
        }
    }

    /// Whether there is a field at all.
    pub(super) fn is_fixed(&self) -> bool {
        matches!(self.kind, Kind::Fixed { .. })
    }

    /// The name out of [`Setting::names`] that `asked` is a spelling of.
    pub(super) fn name_like(&self, asked: &[u8]) -> &'static str {
        self.names()
            .find(|name| name.as_bytes().eq_ignore_ascii_case(asked))
            .unwrap_or(self.name)
    }

    fn takes_words(&self) -> bool {
        matches!(
            self.kind,
            Kind::Words { .. } | Kind::Fixed { words: true, .. }
        )
    }

    fn check_fixed(&self, words: &[&[u8]]) -> Result<(), Refusal> {
        match self.kind {
            Kind::Fixed {
                is_value,
                refuse,
                why,
                ..
            } => match is_value(words) {
                Ok(true) => Ok(()),
                Ok(false) => Err(refuse(why.to_owned())),
                Err(reason) => Err(Refusal::Invalid(reason)),
            },
            _ => Ok(()),
        }
    }

    const fn startup(mut self) -> Setting {
        self.change = Change::Startup;
        self
    }

    const fn protected(mut self) -> Setting {
        self.change = Change::Protected;
        self
    }

    const fn sensitive(mut self) -> Setting {
        self.sensitive = true;
        self
    }

    /// The first of a group of settings in the help.
    const fn heading(mut self, heading: &'static str) -> Setting {
        self.heading = Some(heading);
        self
    }

    const fn alias(mut self, aliases: &'static [&'static str]) -> Setting {
        self.aliases = aliases;
        self
    }
}

impl Kind {
    /// What may follow the name, for the help.
    pub fn hint(&self) -> String {
        match self {
            Kind::Flag { .. } => "yes|no".to_owned(),
            Kind::Integer { .. } => "NUMBER".to_owned(),
            Kind::Octal { .. } => "MODE".to_owned(),
            Kind::Memory { .. } => "BYTES".to_owned(),
            Kind::Choice { names, .. } => names.join("|"),
            Kind::Path { .. } => "PATH".to_owned(),
            Kind::Text { hint, .. } | Kind::Words { hint, .. } | Kind::Fixed { hint, .. } => {
                (*hint).to_owned()
            }
        }
    }
}

/// A live setting without aliases, which is what most are.
const fn row(name: &'static str, help: &'static str, kind: Kind) -> Setting {
    Setting {
        name,
        aliases: &[],
        help,
        change: Change::Live,
        sensitive: false,
        heading: None,
        kind,
    }
}

const NOT_YES_NO: &str = "argument must be 'yes' or 'no'";
const NOT_MEMORY: &str = "argument must be a memory value";

fn invalid(reason: &str) -> Refusal {
    Refusal::Invalid(reason.to_owned())
}

fn out_of_bounds(min: impl std::fmt::Display, max: impl std::fmt::Display) -> Refusal {
    Refusal::Invalid(format!(
        "argument must be between {min} and {max} inclusive"
    ))
}

fn find_choice(names: &[&str], word: &[u8]) -> Result<usize, String> {
    names
        .iter()
        .position(|name| name.as_bytes().eq_ignore_ascii_case(word))
        .ok_or_else(|| {
            format!(
                "argument(s) must be one of the following: {}",
                names.join(", ")
            )
        })
}

// ---- bind, client-output-buffer-limit, percentiles, dir ----------------------------------

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
    // Redis reads the seconds with C's `strtoll`, which is laxer than it is elsewhere: no
    // digits are zero, and a plus sign or leading zeros do no harm.
    let seconds = match str::from_utf8(seconds).ok()? {
        "" => 0,
        text => text.parse::<i32>().ok()?,
    };
    Some(OutputBufferLimit {
        hard: parse_memory(hard)?,
        soft: parse_memory(soft)?,
        soft_seconds: seconds.try_into().ok()?,
    })
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
        Err(error) => return Err(Refusal::Invalid(super::value::describe(&error))),
    }
    config.dir = path;
    Ok(())
}

// ---- settings with one value ---------------------------------------------------------------

fn is_no_save(words: &[&[u8]]) -> Result<bool, String> {
    if matches!(words, [] | [b""]) {
        return Ok(true);
    }
    let bad = || "Invalid save parameters".to_owned();
    let (pairs, rest) = words.as_chunks::<2>();
    let valid = |[seconds, changes]: &[&[u8]; 2]| {
        parse_i64(seconds).is_some_and(|n| n >= 1) && parse_i64(changes).is_some_and(|n| n >= 0)
    };
    if rest.is_empty() && pairs.iter().all(valid) {
        Ok(false)
    } else {
        Err(bad())
    }
}

fn is_no(words: &[&[u8]]) -> Result<bool, String> {
    parse_yes_no(only(words))
        .map(|yes| !yes)
        .ok_or_else(|| NOT_YES_NO.to_owned())
}

fn is_no_memory(words: &[&[u8]]) -> Result<bool, String> {
    parse_memory(only(words))
        .map(|bytes| bytes == 0)
        .ok_or_else(|| NOT_MEMORY.to_owned())
}

fn is_no_eviction(words: &[&[u8]]) -> Result<bool, String> {
    let names = [
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "noeviction",
    ];
    find_choice(&names, only(words)).map(|index| names[index] == "noeviction")
}

fn is_not_supervised(words: &[&[u8]]) -> Result<bool, String> {
    let names = ["upstart", "systemd", "auto", "no"];
    find_choice(&names, only(words)).map(|index| names[index] == "no")
}

/// The word of a setting that takes one, which [`Setting::set`] has counted.
fn only<'a>(words: &[&'a [u8]]) -> &'a [u8] {
    words.first().copied().unwrap_or_default()
}
