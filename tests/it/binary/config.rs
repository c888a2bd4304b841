//! The configuration file, from the file to the broker and back.

use std::fs;

use tempfile::TempDir;

use super::process::Process;

/// A directory with these files in it.
fn files(texts: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, text) in texts {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

#[test]
fn a_file_that_was_written_for_redis_starts() {
    let dir = files(&[(
        "redis.conf",
        "save 900 1\nappendonly yes\nmaxmemory 1gb\n\nreplica-priority 100\n\
         rename-command FLUSHALL \"\"\nlist-max-ziplist-value 64\n",
    )]);
    let mut broker = Process::respd(dir.path(), &["redis.conf", "--port", "0"]);
    broker.line("Ready to accept connections");
    let path = dir.path().canonicalize().unwrap().join("redis.conf");
    let place = |line: usize| format!("{}:{line}:", path.display());
    let seen = broker.seen();
    for (warning, (line, text)) in seen.iter().zip([
        (1, "'save' has no effect: respd keeps data in memory only and writes none to disk"),
        (2, "'appendonly' has no effect: respd keeps data in memory only and writes none to disk"),
        (3, "'maxmemory' has no effect: respd has no memory limit and evicts nothing"),
        (5, "'replica-priority' has no effect: respd does not have this setting of Redis"),
        (
            6,
            "'rename-command' has no effect: respd cannot restrict access this way, so it is NOT restricted",
        ),
    ]) {
        let expected = format!(" # {} {text}", place(line));
        assert!(warning.ends_with(&expected), "{warning}");
    }
    let started = format!(", configured by {}", path.display());
    assert!(seen[5].ends_with(&started), "{seen:#?}");
}
