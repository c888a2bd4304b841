//! The configuration file, from the file to the broker and back.

use std::fs;

use rustix::process::Signal;
use tempfile::TempDir;

use super::process::{Process, addr_of, read_ready, run, serve_in};
use crate::wire::Wire;

/// A directory with these files in it.
fn files(texts: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, text) in texts {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

#[test]
fn a_file_has_comments_quotes_and_includes() {
    let dir = files(&[
        (
            "respd.conf",
            "# a comment\n\n  \t# another one\nrequirepass \"a b\\x21\"\nTIMEOUT 7\n\
             include more-*.conf\ndatabases 4\nloglevel 'notice'\n",
        ),
        ("more-1.conf", "maxclients 11\nhz 20"),
        ("more-2.conf", "maxclients 12\n"),
    ]);
    let broker = serve_in(dir, &["respd.conf", "--databases", "5"]);
    assert!(broker.url().contains(":a%20b%21@"), "{}", broker.url());
    let mut wire = broker.connect();
    assert_eq!(wire.text(&["AUTH", "a b!"]), "OK");
    // What comes later wins: a file over what was said before its line, a flag over the file.
    for (name, value) in [
        ("timeout", "7"),
        ("maxclients", "12"),
        ("hz", "20"),
        ("databases", "5"),
    ] {
        assert_eq!(
            wire.text(&["CONFIG", "GET", name]),
            format!("[{name} {value}]")
        );
    }
}

#[test]
fn a_file_that_was_written_for_redis_starts() {
    let dir = files(&[(
        "redis.conf",
        "save 900 1\nappendonly yes\nreplicaof localhost 1\nrdbcompression yes\nreplica-priority 10\n\
         rename-command FLUSHALL \"\"\nlist-max-ziplist-value 64\n",
    )]);
    let said = |level: &str| {
        let arguments = ["redis.conf", "--port=0", "--loglevel", level];
        let mut broker = Process::respd(dir.path(), &arguments);
        broker.line("Ready to accept connections");
        let seen = broker.seen().iter();
        let seen = seen.filter(|line| line.contains(" no effect: ") || line.contains("configured"));
        seen.cloned().collect::<Vec<String>>()
    };
    let path = dir.path().canonicalize().unwrap().join("redis.conf");
    let in_short = [
        "# 'save' and 'appendonly' have no effect: respd keeps data in memory only and writes none to disk (respd --check says where)",
        "# 'replicaof' has no effect: respd follows no master and has no replicas (respd --check says where)",
        "# 'replica-priority' has no effect: it tunes what only Redis has inside (respd --check says where)",
        "# 'rename-command' has no effect: respd cannot restrict access this way, so it is NOT restricted (respd --check says where)",
    ];
    let started = format!(", configured by {}", path.display());
    let seen = said("notice");
    assert_eq!(seen.len(), in_short.len() + 1, "{seen:#?}");
    for (line, expected) in seen.iter().zip(in_short.into_iter().chain([&*started])) {
        assert!(line.ends_with(expected), "{line}");
    }
    // One by one for who wants to know.
    let one_by_one = [
        (
            1,
            "'save' has no effect: respd keeps data in memory only and writes none to disk",
        ),
        (
            2,
            "'appendonly' has no effect: respd keeps data in memory only and writes none to disk",
        ),
        (
            3,
            "'replicaof' has no effect: respd follows no master and has no replicas",
        ),
        (
            5,
            "'replica-priority' has no effect: it tunes what only Redis has inside",
        ),
        (
            6,
            "'rename-command' has no effect: respd cannot restrict access this way, so it is NOT restricted",
        ),
    ];
    let lines = one_by_one.map(|(line, text)| format!("{}:{line}: {text}", path.display()));
    let seen = said("verbose");
    for expected in &lines {
        let expected = format!(" - {expected}");
        assert!(
            seen.iter().any(|line| line.ends_with(&expected)),
            "{expected}: {seen:#?}"
        );
    }
    run(dir.path(), &["redis.conf", "--check"]).printed(&format!(
        "{}\nThe configuration can be used; 5 settings have no effect\n",
        lines.join("\n")
    ));
}

/// What Debian's file says beside comments, for a user who may not write where it wants to.
const DEBIAN: &str = "\
bind 127.0.0.1 -::1
protected-mode yes
port 6379
tcp-backlog 511
timeout 0
tcp-keepalive 300
daemonize yes
pidfile no/such/redis-server.pid
loglevel notice
logfile no/such/redis-server.log
databases 16
always-show-logo no
set-proc-title yes
proc-title-template \"{title} {listen-addr} {server-mode}\"
stop-writes-on-bgsave-error yes
rdbcompression yes
dbfilename dump.rdb
dir .
replica-serve-stale-data yes
repl-diskless-sync-delay 5
acllog-max-len 128
lazyfree-lazy-user-flush no
oom-score-adj no
oom-score-adj-values 0 200 800
disable-thp yes
appendonly no
appendfilename \"appendonly.aof\"
appenddirname \"appendonlydir\"
appendfsync everysec
auto-aof-rewrite-min-size 64mb
slowlog-max-len 128
notify-keyspace-events \"\"
client-output-buffer-limit normal 0 0 0
client-output-buffer-limit replica 256mb 64mb 60
client-output-buffer-limit pubsub 32mb 8mb 60
hz 10
dynamic-hz yes
jemalloc-bg-thread yes
";

#[test]
fn the_file_of_a_distribution_starts_for_any_user() {
    let dir = files(&[("redis.conf", DEBIAN)]);
    let check = run(dir.path(), &["redis.conf", "--check"]);
    check.printed("The configuration can be used\n");
    let arguments = ["redis.conf", "--daemonize", "no", "--port=0"];
    let mut broker = Process::respd(dir.path(), &arguments);
    broker.line("Ready to accept connections");
    let warned = broker.seen().iter().filter(|line| line.contains(" # "));
    let warned: Vec<&str> = warned
        .map(|line| line.split(" # ").nth(1).unwrap())
        .collect();
    let dir = dir.path().canonicalize().unwrap();
    let log = format!(
        "cannot open the log file '{}/no/such/redis-server.log': No such file or directory; \
         the log goes to standard output",
        dir.display()
    );
    let pid = format!(
        "Failed to write PID file {}/no/such/redis-server.pid: No such file or directory",
        dir.display()
    );
    assert_eq!(warned, [log, pid]);
}

#[test]
fn the_last_to_mention_a_setting_wins_and_alone_is_judged() {
    let text = "daemonize yes\nport abc\nsave 900 1\nloglevel loud\n";
    let dir = files(&[("redis.conf", text)]);
    let arguments = [
        "redis.conf",
        "--daemonize",
        "yes",
        "--daemonize",
        "no",
        "--port",
        "0",
        "--save",
        "",
        "--loglevel=notice",
    ];
    let mut broker = Process::respd(dir.path(), &arguments);
    broker.line("Ready to accept connections");
    let warned = broker.seen().iter().find(|line| line.contains(" # "));
    assert_eq!(warned, None);
}

#[test]
fn flags_alone_may_come_from_standard_input() {
    use std::process::Stdio;
    let dir = files(&[("input", "timeout 9\n")]);
    let mut command = super::process::respd(dir.path());
    command.args(["--port", "0", "--ready-file", "ready", "-"]);
    let input = fs::File::open(dir.path().join("input")).unwrap();
    let mut process = Process::start(command.stdin(Stdio::from(input)));
    process.line("Ready to accept connections");
    let mut wire = Wire::connect(addr_of(&read_ready(&dir.path().join("ready"))));
    assert_eq!(wire.text(&["CONFIG", "GET", "timeout"]), "[timeout 9]");
}

#[test]
fn a_rewritten_file_starts_the_same_broker() {
    let text = "# mine\ntimeout 7\n\nhz 20\n";
    let broker = serve_in(files(&[("respd.conf", text)]), &["respd.conf"]);
    let mut wire = broker.connect();
    for (name, value) in [
        ("timeout", "8"),
        ("slowlog-max-len", "5"),
        ("requirepass", "a \"b\""),
    ] {
        assert_eq!(wire.text(&["CONFIG", "SET", name, value]), "OK");
    }
    assert_eq!(wire.text(&["CONFIG", "REWRITE"]), "OK");
    let rewritten = fs::read_to_string(broker.path("respd.conf")).unwrap();
    assert!(
        rewritten.starts_with("# mine\ntimeout 8\n\nhz 20\n"),
        "{rewritten}"
    );
    let added = rewritten
        .split("# Generated by CONFIG REWRITE\n")
        .nth(1)
        .unwrap();
    let mut added: Vec<&str> = added.lines().collect();
    added.sort_unstable();
    // The port is that of the flag.
    assert_eq!(
        added,
        ["port 0", "requirepass \"a \\\"b\\\"\"", "slowlog-max-len 5"]
    );

    let broker = serve_in(broker.stop(), &["respd.conf"]);
    let mut wire = broker.connect();
    assert_eq!(wire.text(&["AUTH", "a \"b\""]), "OK");
    assert_eq!(wire.text(&["CONFIG", "GET", "timeout"]), "[timeout 8]");
    assert_eq!(
        wire.text(&["CONFIG", "GET", "slowlog-max-len"]),
        "[slowlog-max-len 5]"
    );
    // Nothing is left to be said.
    assert_eq!(wire.text(&["CONFIG", "REWRITE"]), "OK");
    let again = fs::read_to_string(broker.path("respd.conf")).unwrap();
    assert_eq!(again, rewritten);
}

/// As tools do that were written for Redis, and do not go on when one of these is refused.
#[test]
fn what_tunes_only_redis_is_remembered() {
    let broker = serve_in(
        files(&[("respd.conf", "rdbcompression no\n")]),
        &["respd.conf"],
    );
    let mut wire = broker.connect();
    for (name, value) in [
        ("rdbcompression", "yes"),
        ("hash-max-ziplist-value", "64kb"),
        ("masterauth", "a b"),
    ] {
        assert_eq!(wire.text(&["CONFIG", "SET", name, value]), "OK");
    }
    assert_eq!(wire.text(&["CONFIG", "REWRITE"]), "OK");
    let rewritten = fs::read_to_string(broker.path("respd.conf")).unwrap();
    for line in [
        "rdbcompression yes\n",
        "\nhash-max-listpack-value 64kb\n",
        "\nmasterauth \"a b\"\n",
    ] {
        assert!(rewritten.contains(line), "{line}: {rewritten}");
    }
    let broker = serve_in(broker.stop(), &["respd.conf"]);
    let values = broker
        .connect()
        .text(&["CONFIG", "GET", "hash-max-*-value", "masterauth"]);
    assert_eq!(
        values,
        "[hash-max-listpack-value 65536 hash-max-ziplist-value 65536 masterauth a b]"
    );
}

#[test]
fn without_a_file_there_is_none_to_rewrite() {
    let broker = serve_in(files(&[]), &[]);
    assert_eq!(
        broker.connect().text(&["CONFIG", "REWRITE"]),
        "ERR The server is running without a config file"
    );
}

#[test]
fn the_level_of_the_log_can_be_changed() {
    for (before, after, is_heard) in [("warning", "notice", true), ("notice", "warning", false)] {
        let dir = files(&[]);
        let ready = dir.path().join("ready");
        let arguments = ["--port", "0", "--ready-file", "ready", "--loglevel", before];
        let process = Process::respd(dir.path(), &arguments);
        let mut wire = Wire::connect(addr_of(&read_ready(&ready)));
        assert_eq!(wire.text(&["CONFIG", "SET", "loglevel", after]), "OK");
        let end = process.end_with(Signal::TERM);
        assert_eq!(end.stdout.contains("bye bye"), is_heard, "{}", end.stdout);
    }
}
