//! What the parts of the configuration promise together: the table, the commands and the
//! command line against what a real server answered.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::*;

fn get(config: &Config, name: &str) -> String {
    let answer = config.get(&[name]);
    assert_eq!(answer.len(), 1, "{name}");
    String::from_utf8(answer[0].1.clone()).unwrap()
}

fn load(args: &[&str]) -> Result<Loaded, ConfigError> {
    Config::from_args(args, || panic!("nobody asked for standard input"))
}

fn load_error(args: &[&str]) -> String {
    load(args).unwrap_err().to_string()
}

// ---- the table ---------------------------------------------------------------------------

/// What Redis answers; a later line for a setting replaces an earlier one.
const RECORDED: &str = include_str!("redis.tsv");

struct Recorded {
    /// Where it is not that of the machine.
    default: Option<&'static str>,
    change: Change,
    is_hidden: bool,
    /// What was tried, and what came of it.
    outcomes: Vec<(&'static str, &'static str)>,
}

fn recorded() -> BTreeMap<&'static str, Recorded> {
    let mut lines = RECORDED.lines().filter(|line| !line.starts_with('#'));
    let trials: Vec<&str> = lines.next().unwrap().split('\t').skip(3).collect();
    let read = |line: &'static str| {
        let cells: Vec<&str> = line.split('\t').collect();
        let mut outcomes: Vec<(&str, &str)> = Vec::new();
        for (trial, outcome) in trials.iter().zip(&cells[3..]) {
            let same = || outcomes.last().expect("a column before").1;
            let outcome = if *outcome == "\"" { same() } else { outcome };
            outcomes.push((trial, outcome));
        }
        let row = Recorded {
            default: (cells[1] != "?").then_some(cells[1]),
            change: match cells[2].split(' ').next().unwrap() {
                "live" => Change::Live,
                "startup" => Change::Startup,
                _ => Change::Protected,
            },
            is_hidden: cells[2].ends_with(" hidden"),
            outcomes,
        };
        (cells[0], row)
    };
    lines.map(read).collect()
}

#[test]
fn settings_are_those_of_redis() {
    let recorded = recorded();
    let names = SETTINGS.iter().flat_map(Setting::names);
    let mut ours: Vec<&str> = names.filter(|name| *name != "workers").collect();
    ours.sort_unstable();
    assert_eq!(ours, recorded.keys().copied().collect::<Vec<_>>());
    let shown = Config::default().get(&["*"]);
    for (name, row) in recorded {
        let setting = lookup(name).unwrap();
        if let Some(default) = row.default {
            assert_eq!(get(&Config::default(), name), default, "{name}");
        }
        // Moving listeners while clients connect is not worth its price.
        if !["port", "bind"].contains(&name) {
            assert_eq!(setting.change(), row.change, "{name}");
        }
        let is_shown = shown.iter().any(|(shown, _)| shown == name);
        assert_eq!(is_shown, !row.is_hidden, "{name}");
    }
}

/// Where a trial ends otherwise than in the Redis that was asked: setting, trial, our outcome.
const DIFFERENT: &[(&str, &str, &str)] = &[
    // Debian's build of Redis lacks the allocator that this needs.
    ("activedefrag", "YES", "=yes"),
    // Redis raises it to 16 KiB.
    ("repl-backlog-size", "1kb", "=1024"),
    // Redis looks for a certificate first.
    ("tls-cluster", "YES", "!respd does not speak TLS"),
    ("tls-replication", "YES", "!respd does not speak TLS"),
];

#[test]
fn values_are_taken_and_refused_as_in_redis() {
    let mut wrong = Vec::new();
    for (name, row) in recorded() {
        let setting = lookup(name).unwrap();
        for (trial, recorded) in row.outcomes {
            let different = DIFFERENT
                .iter()
                .find(|other| (other.0, other.1) == (name, trial));
            let expected = match (different, setting.kind()) {
                (Some((.., ours)), _) => (*ours).to_owned(),
                // A promise that is not kept here.
                (None, Kind::Fixed { value, why, .. })
                    if recorded.starts_with('=') && &recorded[1..] != *value =>
                {
                    format!("!{why}")
                }
                // Ours are fewer.
                (None, _) if name == "databases" => recorded.replace("2147483647", "16384"),
                _ => recorded.to_owned(),
            };
            let ours = outcome(setting, name, trial);
            if ours != expected {
                wrong.push(format!("{name} {trial}: {ours}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What comes of a trial here, in the words of the recording.
fn outcome(setting: &Setting, name: &str, trial: &str) -> String {
    let mut config = Config::default();
    let refusal = if setting.is_live() {
        let refusal = config.set(&[(name, trial)]).err();
        refusal.map(|error| error.to_string().split("') - ").nth(1).unwrap().to_owned())
    } else {
        match load(&[&format!("--{name}"), trial]) {
            Ok(loaded) => {
                config = loaded.config;
                let warnings = loaded.warnings.into_iter().filter(|_| setting.is_fixed());
                let mut whys = warnings.map(|text| text.split(": ").nth(2).unwrap().to_owned());
                whys.next()
            }
            Err(error) => error.to_string().lines().last().map(str::to_owned),
        }
    };
    match refusal {
        Some(why) => format!("!{why}"),
        None => format!("={}", get(&config, name)),
    }
}

#[test]
fn rows_are_well_formed() {
    for setting in SETTINGS {
        assert_eq!(setting.name(), setting.name().to_ascii_lowercase());
        assert_eq!(lookup(setting.name().to_ascii_uppercase()), Some(setting));
        assert!(setting.help().ends_with('.'), "{}", setting.name());
        for name in setting.names() {
            let owners = SETTINGS
                .iter()
                .filter(|other| other.names().any(|n| n == name));
            assert_eq!(owners.count(), 1, "{name}");
        }
    }
    assert_eq!(
        help().count() + without_effect().count(),
        SETTINGS
            .iter()
            .filter(|setting| !setting.is_hidden())
            .count()
    );
    assert!(help().any(|entry| entry.name == "loglevel"
        && entry.value_hint == "debug|verbose|notice|warning|nothing"
        && entry.default == "notice"));
}

#[test]
fn every_field_holds_its_bounds() {
    for setting in SETTINGS {
        let values: Vec<String> = match setting.kind() {
            Kind::Flag { .. } => vec!["yes".into(), "no".into()],
            // Redis moves `hz` into a narrower range.
            Kind::Integer { .. } if setting.name() == "hz" => vec!["1".into(), "500".into()],
            Kind::Integer { min, max, .. } => vec![min.to_string(), max.to_string()],
            Kind::Octal { max, .. } => vec!["0".into(), format!("{max:o}")],
            Kind::Memory { min, max, .. } => vec![min.to_string(), max.to_string()],
            Kind::Choice { names, .. } => names.iter().map(|name| name.to_string()).collect(),
            _ => continue,
        };
        let mut config = Config::default();
        for value in values {
            setting.set(&mut config, &[value.as_bytes()]).unwrap();
            assert_eq!(get(&config, setting.name()), value, "{}", setting.name());
        }
    }
}

#[test]
fn printed_values_are_read_back() {
    // Redis, too, takes no empty master.
    for setting in SETTINGS.iter().filter(|s| s.name() != "replicaof") {
        let mut config = Config::default();
        let value = setting.get(&config);
        setting.set(&mut config, &setting.split(&value)).unwrap();
        assert_eq!(setting.get(&config), value, "{}", setting.name());
    }
}

#[test]
fn a_password_is_not_shown() {
    let config = Config {
        requirepass: "hunter2".into(),
        ..Config::default()
    };
    let shown = format!("{config:?}");
    assert!(shown.contains(r#""requirepass": "(redacted)""#), "{shown}");
    assert!(!shown.contains("hunter2"));
    assert!(shown.contains(r#""port": "6379""#));
}

// ---- CONFIG GET ----------------------------------------------------------------------------

#[test]
fn get_answers_under_the_name_that_was_asked() {
    let config = Config::default();
    let names = |patterns: &[&str]| -> Vec<String> {
        config
            .get(patterns)
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    };
    assert_eq!(names(&["PORT"]), ["PORT"]);
    assert_eq!(
        names(&["slowlog-max-len", "SLOWLOG-MAX-LEN", "slowlog-max-*"]),
        ["slowlog-max-len"]
    );
    assert_eq!(
        names(&["sl[o-a]wlog*"]),
        ["slowlog-log-slower-than", "slowlog-max-len"]
    );
    assert_eq!(
        names(&["list-max*"]),
        ["list-max-listpack-size", "list-max-ziplist-size"]
    );
    assert_eq!(
        names(&["LIST-MAX-ZIPLIST-SIZE", "*ziplist-size"]),
        ["LIST-MAX-ZIPLIST-SIZE"]
    );
    assert_eq!(names(&["[P]ORT"]), ["port"]);
    for nothing in ["", "nope", "nope*", "PO\\RT"] {
        assert!(names(&[nothing]).is_empty(), "{nothing}");
    }
}

// ---- CONFIG SET ----------------------------------------------------------------------------

/// Recorded from CONFIG SET and CONFIG GET on Redis 7.0.15.
#[test]
fn set_takes_and_prints_like_redis() {
    for (name, value, printed) in [
        ("timeout", "5", "5"),
        ("hz", "0", "1"),
        ("hz", "1000", "500"),
        ("proto-max-bulk-len", "1gb", "1073741824"),
        ("client-query-buffer-limit", "1MB", "1048576"),
        ("LOGLEVEL", "DEBUG", "debug"),
        ("protected-mode", "NO", "no"),
        ("notify-keyspace-events", "KEA", "AKE"),
        ("list-max-ziplist-size", "-7", "-7"),
        (
            "client-output-buffer-limit",
            "replica 1mb 1k 5 NORMAL 0 0 0",
            "normal 0 0 0 slave 1048576 1000 5 pubsub 33554432 8388608 60",
        ),
        (
            "client-output-buffer-limit",
            "slave 3k 1 ",
            "normal 0 0 0 slave 3000 1 0 pubsub 33554432 8388608 60",
        ),
        (
            "client-output-buffer-limit",
            "",
            "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        ),
        ("latency-tracking-info-percentiles", "", ""),
        (
            "latency-tracking-info-percentiles",
            "0.001 99.999999 100 1e1",
            "0.001 99.999999 100 10",
        ),
        ("save", "", ""),
        ("appendonly", "NO", "no"),
        ("maxmemory", "0mb", "0"),
        ("maxmemory-policy", "noeviction", "noeviction"),
        ("maxmemory-clients", "0%", "0"),
        ("min-slaves-to-write", "0", "0"),
        ("oom-score-adj-values", "+5  05", "5 0 5"),
        ("proc-title-template", "{{{title}} x}", "{{{title}} x}"),
        ("REPL-PING-SLAVE-PERIOD", "3", "3"),
        ("shutdown-on-sigint", "now default NOSAVE now", "nosave now"),
        ("watchdog-period", "300", "300"),
    ] {
        let mut config = Config::default();
        config
            .set(&[(name, value)])
            .unwrap_or_else(|error| panic!("{name} {value}: {error}"));
        assert_eq!(get(&config, name), printed, "{name} {value}");
    }
}

/// Recorded from CONFIG SET on Redis 7.0.15, with `nothing` added to the log levels as in 7.2.
#[test]
fn set_refuses_like_redis() {
    const BETWEEN_1MB: &str = "argument must be between 1048576 and 9223372036854775807 inclusive";
    const PERCENTILES: &str = "Invalid latency-tracking-info-percentiles parameters";
    const NUMBER: &str = "argument couldn't be parsed into an integer";
    const MEMORY: &str = "argument must be a memory value";
    const OOM_SCORES: &str =
        "Invalid oom-score-adj-values, elements must be between -2000 and 2000.";
    const TEMPLATE: &str = "template format is invalid or contains unknown variables";
    for (name, value, reason) in [
        ("timeout", "abc", NUMBER),
        ("timeout", "05", NUMBER),
        (
            "timeout",
            "99999999999",
            "argument must be between 0 and 2147483647 inclusive",
        ),
        (
            "maxclients",
            "0",
            "argument must be between 1 and 4294967295 inclusive",
        ),
        (
            "slowlog-log-slower-than",
            "-2",
            "argument must be between -1 and 9223372036854775807 inclusive",
        ),
        ("slowlog-log-slower-than", "99999999999999999999", NUMBER),
        (
            "slowlog-max-len",
            "-1",
            "argument must be between 0 and 9223372036854775807 inclusive",
        ),
        (
            "list-max-listpack-size",
            "-9999999999",
            "argument must be between -2147483648 and 2147483647 inclusive",
        ),
        ("client-query-buffer-limit", "1x", MEMORY),
        ("client-query-buffer-limit", "-1", MEMORY),
        ("client-query-buffer-limit", "1k", BETWEEN_1MB),
        ("client-query-buffer-limit", "", BETWEEN_1MB),
        ("client-query-buffer-limit", "9999999999gb", BETWEEN_1MB),
        (
            "loglevel",
            "foo",
            "argument(s) must be one of the following: debug, verbose, notice, warning, nothing",
        ),
        ("protected-mode", "maybe", "argument must be 'yes' or 'no'"),
        (
            "notify-keyspace-events",
            "Kq",
            "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
        ),
        (
            "client-output-buffer-limit",
            "foo 1mb 1k 5",
            "Invalid client class specified in buffer limit configuration.",
        ),
        (
            "client-output-buffer-limit",
            "normal  0 0 0",
            "Wrong number of arguments in buffer limit configuration.",
        ),
        (
            "client-output-buffer-limit",
            "normal 1mb 1k -1",
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
        ),
        ("latency-tracking-info-percentiles", "50  99", PERCENTILES),
        ("latency-tracking-info-percentiles", "nan", PERCENTILES),
        (
            "latency-tracking-info-percentiles",
            "50 101",
            "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
        ),
        ("save", "900", "Invalid save parameters"),
        ("save", "a b", "Invalid save parameters"),
        ("appendonly", "foo", "argument must be 'yes' or 'no'"),
        ("maxmemory", "1.5gb", MEMORY),
        (
            "maxmemory-policy",
            "x",
            "argument(s) must be one of the following: volatile-lru, volatile-lfu, \
             volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction",
        ),
        (
            "cluster-announce-human-nodename",
            "a:b",
            "Announced human node name contained invalid character",
        ),
        (
            "maxmemory-clients",
            "-5%",
            "argument must be a memory or percent value",
        ),
        (
            "maxmemory-clients",
            "101%",
            "percentage argument must be less or equal to 100",
        ),
        ("oom-score-adj-values", "1 x 2", OOM_SCORES),
        ("oom-score-adj-values", "1 2 2001", OOM_SCORES),
        ("oom-score-adj-values", "1 2", "wrong number of arguments"),
        ("proc-title-template", "{port", TEMPLATE),
        ("proc-title-template", "{TITLE}", TEMPLATE),
        (
            "shutdown-on-sigterm",
            "save nosave",
            "shutdown options SAVE and NOSAVE can't be used simultaneously",
        ),
        // Ours: better an error than a promise that is not kept.
        (
            "save",
            "900 1",
            "respd keeps data in memory only and writes none to disk",
        ),
        (
            "appendonly",
            "yes",
            "respd keeps data in memory only and writes none to disk",
        ),
        (
            "maxmemory",
            "100mb",
            "respd has no memory limit and evicts nothing",
        ),
        (
            "shutdown-on-sigterm",
            "save",
            "respd keeps data in memory only and saves none at the end",
        ),
    ] {
        let error = Config::default().set(&[(name, value)]).unwrap_err();
        let expected =
            format!("CONFIG SET failed (possibly related to argument '{name}') - {reason}");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn set_checks_names_before_values_and_all_before_any() {
    for (pairs, expected) in [
        (
            &[("foo", "bar")][..],
            "Unknown option or number of arguments for CONFIG SET - 'foo'",
        ),
        (
            &[("foo", "bar"), ("timeout", "x")],
            "Unknown option or number of arguments for CONFIG SET - 'foo'",
        ),
        (
            &[("slowlog-max-len", "10"), ("DATABASES", "3"), ("foo", "1")],
            "CONFIG SET failed (possibly related to argument 'DATABASES') - can't set immutable config",
        ),
        (
            &[("dir", "/tmp")],
            "CONFIG SET failed (possibly related to argument 'dir') - can't set protected config",
        ),
        (
            &[("timeout", "1"), ("Timeout", "2")],
            "CONFIG SET failed (possibly related to argument 'Timeout') - duplicate parameter",
        ),
        (
            &[("slowlog-max-len", "10"), ("TIMEOUT", "x")],
            "CONFIG SET failed (possibly related to argument 'timeout') - argument couldn't be parsed into an integer",
        ),
    ] {
        let mut config = Config::default();
        let error = config.set(pairs).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(config, Config::default());
    }
    let error = Config::default().set(&[(b"f\xffo", b"1")]).unwrap_err();
    assert_eq!(
        error.text(),
        b"Unknown option or number of arguments for CONFIG SET - 'f\xffo'"
    );
}

#[test]
fn set_reports_what_changed() {
    let mut config = Config::default();
    let changed = config
        .set(&[
            ("timeout", "0"),
            ("hz", "20"),
            ("notify-keyspace-events", "KEA"),
        ])
        .unwrap();
    assert_eq!(
        changed.iter().map(|s| s.name()).collect::<Vec<_>>(),
        ["hz", "notify-keyspace-events"]
    );
    // Not to be seen in CONFIG GET, but a change.
    let changed = config.set(&[("notify-keyspace-events", "KEAn")]).unwrap();
    assert_eq!(changed.len(), 1);
    // As in Redis, an alias is no duplicate; the last one wins.
    let changed = config
        .set(&[
            ("list-max-ziplist-size", "3"),
            ("list-max-listpack-size", "4"),
        ])
        .unwrap();
    assert_eq!(changed, [lookup("list-max-listpack-size").unwrap()]);
    assert_eq!(config.list_max_listpack_size, 4);
    config
        .set(&[(&b"requirepass"[..], &b"a\xff\0b"[..])])
        .unwrap();
    assert_eq!(config.requirepass, b"a\xff\0b");
}

// ---- the command line ------------------------------------------------------------------------

#[test]
fn flags_are_lines_of_a_file() {
    let loaded = load(&[
        "--port",
        "6380",
        "--bind",
        "0.0.0.0",
        "::",
        "--PORT 6381",
        "--save",
        "--requirepass",
        "--x  y",
        "--client-output-buffer-limit",
        "pubsub",
        "1mb",
        "1k",
        "5",
        "--unixsocketperm 700",
        "--save",
        "",
    ])
    .unwrap();
    let config = loaded.config;
    assert_eq!(config.port, 6381);
    assert_eq!(config.bind, ["0.0.0.0", "::"]);
    assert_eq!(config.requirepass, b"--x  y");
    assert_eq!(config.client_output_buffer_limit.pubsub.soft, 1000);
    assert_eq!(config.unixsocketperm, 0o700);
    assert_eq!(loaded.warnings, [""; 0]);
    assert_eq!(loaded.config_file, None);
    assert!(load(&["--bind", ""]).unwrap().config.bind.is_empty());
    assert_eq!(load(&[]).unwrap().config, Config::default());
}

#[test]
fn one_argument_may_hold_several_words() {
    let loaded = load(&["--save", "900 1", "--bind", "127.0.0.1 -::1"]).unwrap();
    assert_eq!(loaded.config.bind, ["127.0.0.1", "-::1"]);
    let [warning] = &loaded.warnings[..] else {
        panic!("{:?}", loaded.warnings);
    };
    assert!(warning.starts_with("command line: 'save' has no effect: "));
    let config = load_text("client-output-buffer-limit \"pubsub 1mb 1k 5\"")
        .unwrap()
        .config;
    assert_eq!(config.client_output_buffer_limit.pubsub.soft, 1000);
    // It says what holds, so a rewrite leaves it alone.
    let line = "latency-tracking-info-percentiles \"50 99\"\n";
    let config = load_text(line).unwrap().config;
    assert_eq!(config.latency_tracking_info_percentiles, [50.0, 99.0]);
    assert_eq!(config.rewritten(line.as_bytes()), line.as_bytes());
}

/// The last two lines are what redis-server 7.0.15 prints for the same arguments.
#[test]
fn bad_flags_are_quoted_like_redis_does() {
    for (args, expected) in [
        (
            &["--port", "0", "--foo", "bar"][..],
            ">>> 'foo \"bar\"'\nBad directive or wrong number of arguments",
        ),
        (
            &["--port", "abc"],
            ">>> 'port \"abc\"'\nargument couldn't be parsed into an integer",
        ),
        (&["--port"], ">>> 'port'\nwrong number of arguments"),
        (
            &["--save", "--loglevel"],
            ">>> 'loglevel'\nwrong number of arguments",
        ),
        (
            &["--timeout x"],
            ">>> 'timeout x'\nargument couldn't be parsed into an integer",
        ),
        (
            &["--timeout", "1 2"],
            ">>> 'timeout \"1 2\"'\nargument couldn't be parsed into an integer",
        ),
        (
            &["--loglevel", "--timeout", "3"],
            ">>> 'loglevel \"--timeout\" \"3\"'\nwrong number of arguments",
        ),
        (
            &["-p", "7"],
            ">>> '\"-p\" \"7\"'\nBad directive or wrong number of arguments",
        ),
        (
            &["--timeout", "7", "x", "y"],
            ">>> 'timeout \"7\" \"x\" \"y\"'\nwrong number of arguments",
        ),
        (
            &["--timeout", "7", "-", "--hz", "7"],
            ">>> 'timeout \"7\" \"-\"'\nwrong number of arguments",
        ),
        (
            &["--timeout=5"],
            ">>> 'timeout=5'\nBad directive or wrong number of arguments",
        ),
        (
            &["--tcp-keepalive", "-5"],
            ">>> 'tcp-keepalive \"-5\"'\nargument must be between 0 and 2147483647 inclusive",
        ),
        (
            &["--unixsocketperm", "999"],
            ">>> 'unixsocketperm \"999\"'\nargument couldn't be parsed as an octal number",
        ),
        (
            &["--unixsocketperm", "1000"],
            ">>> 'unixsocketperm \"1000\"'\nargument must be between 0 and 777 inclusive",
        ),
        (
            &["--dir", "/nonexistent"],
            ">>> 'dir \"/nonexistent\"'\nNo such file or directory",
        ),
        (
            &["--replicaof", "host"],
            ">>> 'replicaof \"host\"'\nwrong number of arguments",
        ),
        (
            &["--replicaof", "host", "65536"],
            ">>> 'replicaof \"host\" \"65536\"'\nInvalid master port",
        ),
        (
            &["--enable-debug-command", "x"],
            ">>> 'enable-debug-command \"x\"'\nargument(s) must be one of the following: no, yes, local",
        ),
    ] {
        let expected =
            format!("*** FATAL CONFIG FILE ERROR ***\nReading the command line\n{expected}");
        assert_eq!(load_error(args), expected);
    }
    let addresses = ["--bind"].into_iter().chain(["a"; 17]).collect::<Vec<_>>();
    assert!(load_error(&addresses).ends_with("\nToo many bind addresses specified."));
    assert!(
        load_error(&["--daemonize", "yes"]).ends_with("run it under a supervisor such as systemd")
    );
}

#[test]
fn file_then_standard_input_then_flags() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r.conf");
    fs::write(&file, "timeout 1\nhz 11\nport 1\n").unwrap();
    let file = file.to_str().unwrap();
    for args in [&[file, "--port", "3", "-"][..], &[file, "port", "3", "-"]] {
        let loaded = Config::from_args(args, || Ok(b"hz 12\nport 2\n".to_vec())).unwrap();
        assert_eq!(
            (loaded.config.timeout, loaded.config.hz, loaded.config.port),
            (1, 12, 3)
        );
        assert_eq!(loaded.config_file.as_deref(), Some(Path::new(file)));
    }
    let error = Config::from_args(&["-", "--port", "3"], || Ok(b"\nhz x".to_vec())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "*** FATAL CONFIG FILE ERROR ***\n\
         Reading the configuration file, at line 2 of standard input\n\
         >>> 'hz x'\nargument couldn't be parsed into an integer"
    );
}

// ---- the file --------------------------------------------------------------------------------

fn load_text(text: &str) -> Result<Loaded, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r.conf");
    fs::write(&file, text).unwrap();
    load(&[file.to_str().unwrap()])
}

#[test]
fn a_file_has_comments_quotes_and_units() {
    let config = load_text(
        "# comment\r\n\n  # another\n  PoRT   \"1\\x32\"  \n\trequirepass 'it\\'s # not a comment'\n\
         proto-max-bulk-len 2Mb\nlist-max-ziplist-size -3\nlatency-tracking-info-percentiles \"\"\n\
         client-output-buffer-limit normal 1 2 3\nclient-output-buffer-limit slave 4 5 6",
    )
    .unwrap()
    .config;
    assert_eq!(config.port, 12);
    assert_eq!(config.requirepass, b"it's # not a comment");
    assert_eq!(config.proto_max_bulk_len, 2 << 20);
    assert_eq!(config.list_max_listpack_size, -3);
    assert!(config.latency_tracking_info_percentiles.is_empty());
    assert_eq!(
        get(&config, "client-output-buffer-limit"),
        "normal 1 2 3 slave 4 5 6 pubsub 33554432 8388608 60"
    );
}

/// As redis-server 7.0.15 prints them, but for its version.
#[test]
fn bad_lines_are_reported_like_redis_does() {
    for (line, reason) in [
        ("foo bar", "Bad directive or wrong number of arguments"),
        ("\"\"", "Bad directive or wrong number of arguments"),
        ("include", "Bad directive or wrong number of arguments"),
        (
            "list-max-ziplist-entries 5 6",
            "Bad directive or wrong number of arguments",
        ),
        ("port", "wrong number of arguments"),
        ("port 1 2", "wrong number of arguments"),
        ("PoRT   \"ab", "Unbalanced quotes in configuration line"),
        ("port \"1\"2", "Unbalanced quotes in configuration line"),
        (
            "port 70000",
            "argument must be between 0 and 65535 inclusive",
        ),
        ("save 1", "Invalid save parameters"),
        (
            "sentinel foo",
            "sentinel directive while not in sentinel mode",
        ),
    ] {
        let error = load_text(&format!("# c\n  {line} \n")).unwrap_err();
        let expected = format!(
            "*** FATAL CONFIG FILE ERROR ***\nReading the configuration file, at line 2\n>>> '{line}'\n{reason}"
        );
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(
        load_error(&["/nonexistent/r.conf"]),
        "Fatal error, can't open config file '/nonexistent/r.conf': No such file or directory"
    );
}

#[test]
fn what_redis_heeds_and_we_do_not_is_a_warning_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r.conf");
    let text = "activedefrag yes\nio-threads 1\nlua-replicate-commands no\n\
                Save 900 1 300 10\nmin-slaves-to-write 2\nmaxmemory 1gb\n\
                user bob on\nloadmodule m.so\n";
    fs::write(&file, text).unwrap();
    let loaded = load(&[file.to_str().unwrap(), "--locale-collate", "C"]).unwrap();
    let place = |line: usize, what: &str| format!("{}:{line}: {what}", file.display());
    // A default is not worth a word.
    let expected = [
        place(
            1,
            "'activedefrag' has no effect: it tunes what only Redis has inside",
        ),
        place(
            4,
            "'save' has no effect: respd keeps data in memory only and writes none to disk",
        ),
        place(
            5,
            "'min-replicas-to-write' has no effect: respd follows no master and has no replicas",
        ),
        place(
            6,
            "'maxmemory' has no effect: respd has no memory limit and evicts nothing",
        ),
        place(
            7,
            "'user' has no effect: respd cannot restrict access this way, so it is NOT restricted",
        ),
        place(8, "'loadmodule' has no effect: respd loads no modules"),
        "command line: 'locale-collate' has no effect: respd compares bytes, whatever the locale"
            .to_owned(),
    ];
    assert_eq!(loaded.warnings, expected);
    let mut config = loaded.config;
    config.set(&[("activedefrag", "no")]).unwrap();
    assert_eq!(config, Config::default());
}

#[test]
fn files_include_files() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(dir.path().join("conf.d")).unwrap();
    write("conf.d/b.conf", "hz 22\n");
    write("conf.d/a.conf", "hz 21\nmaxclients 7\n");
    write("conf.d/.hidden.conf", "hz x\n");
    write("conf.d/other", "hz x\n");
    write(
        "r.conf",
        &format!(
            "hz 20\ninclude {}\ninclude {}\ntimeout 5",
            path("*.d/*.conf"),
            path("*.none")
        ),
    );
    let config = load(&[&path("r.conf")]).unwrap().config;
    assert_eq!((config.hz, config.maxclients, config.timeout), (22, 7, 5));

    write("r.conf", &format!("\ninclude {}", path("conf.d/other")));
    assert_eq!(
        load_error(&[&path("r.conf")]),
        format!(
            "*** FATAL CONFIG FILE ERROR ***\nReading the configuration file, at line 1 of {}\n\
             >>> 'hz x'\nargument couldn't be parsed into an integer",
            path("conf.d/other")
        )
    );
    write("r.conf", &format!("include {}", path("gone")));
    assert_eq!(
        load_error(&[&path("r.conf")]),
        format!(
            "Fatal error, can't open config file '{}': No such file or directory",
            path("gone")
        )
    );
    write("r.conf", &format!("include {}", path("r.conf")));
    assert!(load_error(&[&path("r.conf")]).ends_with("\nToo many levels of include"));
}

// ---- CONFIG REWRITE ----------------------------------------------------------------------------

#[test]
fn rewrite_changes_only_what_changed() {
    let old = "# my comment\n\nport 17712\n  bind 127.0.0.1   ::1\n\n\ninclude ok.conf\nTIMEOUT 5\n\
               slowlog-max-len 7\nslowlog-max-len 9\nhz 10\nsave 900 1\nlogfile \"\"\n\
               client-output-buffer-limit pubsub 1mb 1k 5\nlist-max-ziplist-size -3\nactivedefrag yes";
    let loaded = load_text(&old.replace("include ok.conf\n", "")).unwrap();
    let mut config = loaded.config;
    assert_eq!(
        String::from_utf8(config.rewritten(old.as_bytes())).unwrap(),
        format!("{old}\n")
    );

    config
        .set(&[
            ("timeout", "0"),
            ("slowlog-max-len", "5"),
            ("client-output-buffer-limit", "normal 1500 1mb 3"),
            ("list-max-listpack-size", "4"),
            ("requirepass", "a \"b\u{1}"),
            ("proto-max-bulk-len", "1000mb"),
            ("notify-keyspace-events", "KEA"),
        ])
        .unwrap();
    let new = String::from_utf8(config.rewritten(old.as_bytes())).unwrap();
    let expected = "# my comment\n\nport 17712\n  bind 127.0.0.1   ::1\n\n\ninclude ok.conf\ntimeout 0\n\
                    slowlog-max-len 5\nhz 10\nsave 900 1\nlogfile \"\"\n\
                    client-output-buffer-limit normal 1500 1048576 3\nlist-max-listpack-size 4\nactivedefrag yes\n\
                    # Generated by CONFIG REWRITE\nrequirepass \"a \\\"b\\x01\"\n\
                    client-output-buffer-limit pubsub 1048576 1000 5\nproto-max-bulk-len 1000mb\n\
                    notify-keyspace-events \"AKE\"\n";
    assert_eq!(new, expected);
    assert_eq!(
        load_text(&new.replace("include ok.conf\n", ""))
            .unwrap()
            .config,
        config
    );

    // The comment comes once.
    config.set(&[("maxclients", "7")]).unwrap();
    let again = String::from_utf8(config.rewritten(new.as_bytes())).unwrap();
    assert_eq!(again, format!("{expected}maxclients 7\n"));
}

#[test]
fn rewrite_replaces_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r.conf");
    let mut config = Config::default();
    assert_eq!(
        config.rewrite(None),
        Err("The server is running without a config file".to_owned())
    );
    assert_eq!(
        config.rewrite(Some(&dir.path().join("gone/r.conf"))),
        Err("Rewriting config file: No such file or directory".to_owned())
    );
    config.rewrite(Some(&file)).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"");
    config.timeout = 7;
    config.rewrite(Some(&file)).unwrap();
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "# Generated by CONFIG REWRITE\ntimeout 7\n"
    );
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "a temporary file was left"
    );
}

#[cfg(unix)]
#[test]
fn rewrite_keeps_mode_and_link() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = tempfile::tempdir().unwrap();
    let (file, link) = (dir.path().join("real.conf"), dir.path().join("link.conf"));
    fs::write(&file, "timeout 1\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&file, &link).unwrap();
    Config {
        timeout: 2,
        ..Config::default()
    }
    .rewrite(Some(&link))
    .unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "timeout 2\n");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o640
    );
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

proptest::proptest! {
    /// Whatever is in the file, a rewritten one says what holds.
    #[test]
    fn a_rewritten_file_reads_back(
        timeout in 0u32..3,
        backlog in 1u64..3,
        title in "[a-z \"]{1,3}",
        hard in 0u64..3,
        password: Vec<u8>,
        bind in proptest::collection::vec("[a-z0-9.:-]{1,9}", 0..4),
        old in proptest::collection::vec(
            proptest::sample::select(vec![
                "timeout 1", "timeout 2", "requirepass x", "bind a b", "# timeout 3", "",
                "client-output-buffer-limit pubsub 1 1 1", "client-output-buffer-limit normal 2 0 0",
                "latency-tracking-info-percentiles 1", "repl-backlog-size 2kb", "proc-title-template a",
            ]),
            0..8,
        ),
    ) {
        let mut config = Config { timeout, requirepass: password, bind, ..Config::default() };
        config.client_output_buffer_limit.pubsub.hard = hard;
        let backlog = (backlog << 10).to_string();
        config.set(&[("repl-backlog-size", backlog), ("proc-title-template", title)]).unwrap();
        let text = config.rewritten(old.join("\n").as_bytes());
        let loaded = Config::from_args(&["-"], || Ok(text)).unwrap();
        proptest::prop_assert_eq!(loaded.config, config);
    }
}
