//! CONFIG GET and SET.

use super::*;

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
        ("maxmemory", "100mb", "104857600"),
        ("maxmemory-policy", "AllKeys-LFU", "allkeys-lfu"),
        ("maxmemory-clients", "0%", "0"),
        ("maxmemory-clients", "5%", "5%"),
        ("maxmemory-clients", "1mb", "1048576"),
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
