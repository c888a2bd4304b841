//! Settings as arguments of the program.

use std::fs;
use std::path::Path;

use super::*;

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
    assert_eq!(loaded.unheeded, []);
    assert_eq!(loaded.config_file, None);
    assert!(load(&["--bind", ""]).unwrap().config.bind.is_empty());
    assert_eq!(load(&[]).unwrap().config, Config::default());
}

#[test]
fn name_and_value_may_be_one_word() {
    let args = [
        "--PORT=7",
        "--requirepass=a=b --c",
        "--bind=::1 127.0.0.1",
        "--save=",
        "--timeout",
        "7",
    ];
    let config = load(&args).unwrap().config;
    assert_eq!((config.port, config.timeout), (7, 7));
    assert_eq!(config.requirepass, b"a=b --c");
    assert_eq!(config.bind, ["::1", "127.0.0.1"]);
}

#[test]
fn one_argument_may_hold_several_words() {
    let loaded = load(&["--save", "900 1", "--bind", "127.0.0.1 -::1"]).unwrap();
    assert_eq!(loaded.config.bind, ["127.0.0.1", "-::1"]);
    let [unheeded] = &loaded.unheeded[..] else {
        panic!("{:?}", loaded.unheeded);
    };
    assert!(
        unheeded
            .to_string()
            .starts_with("command line: 'save' has no effect: ")
    );
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
            &["--timeuot=5"],
            ">>> 'timeuot=5'\nBad directive or wrong number of arguments",
        ),
        (
            &["--timeout=x"],
            ">>> 'timeout \"x\"'\nargument couldn't be parsed into an integer",
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
