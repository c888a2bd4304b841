//! Settings as lines of a file.

use std::fs;

use super::*;

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
fn what_redis_heeds_and_we_do_not_is_told_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r.conf");
    let text = "activedefrag yes\nio-threads 1\nlua-replicate-commands no\n\
                Save 900 1 300 10\nmin-slaves-to-write 2\ntls-port 7\n\
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
        place(6, "'tls-port' has no effect: respd does not speak TLS"),
        place(
            7,
            "'user' has no effect: respd cannot restrict access this way, so it is NOT restricted",
        ),
        place(8, "'loadmodule' has no effect: respd loads no modules"),
        "command line: 'locale-collate' has no effect: respd compares bytes, whatever the locale"
            .to_owned(),
    ];
    let told: Vec<String> = loaded.unheeded.iter().map(Unheeded::to_string).collect();
    assert_eq!(told, expected);
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

    for (arguments, file) in [
        (vec![path("conf.d/[ab].conf")], None),
        (vec![format!("--include={}", path("conf.d/b.conf"))], None),
        (
            vec![path("conf.d/b.conf")],
            Some(path("conf.d/b.conf").into()),
        ),
    ] {
        let loaded = load(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        assert_eq!(loaded.config.hz, 22, "{arguments:?}");
        assert_eq!(loaded.config_file, file, "{arguments:?}");
    }
    assert_eq!(
        load_error(&[&path("*.none")]),
        format!(
            "Fatal error, can't open config file '{}': No such file or directory",
            path("*.none")
        )
    );

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

/// A wrong value is nobody's mistake when somebody corrects it, and a promise that is taken back
/// is none.
#[test]
fn only_the_last_to_mention_a_setting_is_judged() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r.conf");
    let included = dir.path().join("more.conf");
    fs::write(&included, "hz x\ntimeout y\n").unwrap();
    let text = format!(
        "port abc\nsave 900 1\nsave 300 10\nlist-max-ziplist-size x\nmaxclients 0\nmaxclients 7\n\
         include {}\ntimeout 5\n",
        included.display()
    );
    fs::write(&file, text).unwrap();
    let flags = [
        "--port",
        "7750",
        "--save",
        "",
        "--list-max-listpack-size=-3",
        "-",
    ];
    let args: Vec<&str> = [file.to_str().unwrap()].into_iter().chain(flags).collect();
    let loaded = Config::from_args(&args, || Ok(b"hz 20\n".to_vec())).unwrap();
    let config = &loaded.config;
    assert_eq!(
        (config.port, config.maxclients, config.timeout, config.hz),
        (7750, 7, 5, 20)
    );
    assert_eq!(config.list_max_listpack_size, -3);
    assert_eq!(loaded.unheeded, []);
    // It is not corrected, and the first mistake is the one that is told.
    let error = load_text("port abc\nhz x\nport 7\ntimeout y").unwrap_err();
    assert!(
        error.to_string().contains("at line 2\n>>> 'hz x'"),
        "{error}"
    );
    // What is no setting is not corrected by anything.
    let error = load_text("prot 1\nport 1").unwrap_err();
    assert!(
        error.to_string().contains("at line 1\n>>> 'prot 1'"),
        "{error}"
    );
}

#[test]
fn lines_that_add_up_correct_what_they_say_anew() {
    let limits = |text: &str| {
        let config = load_text(text).map(|loaded| loaded.config);
        config.map(|config| get(&config, "client-output-buffer-limit"))
    };
    let name = "client-output-buffer-limit";
    let text = format!(
        "{name} pubsub x 0 0\n{name} replica x 0 0\n{name} normal 1 2 3 pubsub 4 5 6\n{name} slave 7 8 9"
    );
    let all = "normal 1 2 3 slave 7 8 9 pubsub 4 5 6";
    assert_eq!(limits(&text).unwrap(), all);
    for wrong in [
        // Of two classes only one is corrected.
        format!("{name} pubsub x 0 0 normal 0 0 0\n{name} normal 1 2 3"),
        format!("{name} pubsub x 0 0\n{name} \"normal 1 2 3\""),
        format!("{name} normal 1\n{name}"),
    ] {
        let error = limits(&wrong).unwrap_err().to_string();
        assert!(error.contains("configuration."), "{wrong}: {error}");
    }
}
