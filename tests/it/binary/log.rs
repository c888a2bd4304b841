//! What a log says of clients to whoever wants to know that much.

use rustix::process::Signal;
use tempfile::TempDir;

use super::process::{Process, addr_of, read_ready};
use crate::wire::Wire;

/// A broker that says all it can, and where it listens.
fn talkative(dir: &TempDir, level: &str) -> (Process, std::net::SocketAddr) {
    let arguments = ["--port=0", "--ready-file=ready", "--loglevel", level];
    let process = Process::respd(
        dir.path(),
        &[&arguments[..], &["--requirepass=s3cret"]].concat(),
    );
    let addr = addr_of(&read_ready(&dir.path().join("ready")));
    (process, addr)
}

#[test]
fn a_verbose_log_follows_its_clients() {
    let dir = TempDir::new().unwrap();
    let (mut broker, addr) = talkative(&dir, "verbose");
    let mut client = Wire::connect(addr);
    let from = client.stream().local_addr().unwrap();
    let accepted = broker.line("Accepted ");
    assert!(
        accepted.contains(&format!(" - Accepted {from} id=")),
        "{accepted}"
    );
    let wrong = client.text(&["AUTH", "hunter2"]);
    assert!(wrong.starts_with("WRONGPASS"), "{wrong}");
    let failed = broker.line("Failed authentication of user 'default' id=");
    assert!(failed.ends_with(&format!(" addr={from}")), "{failed}");

    for words in [
        &["AUTH", "s3cret"][..],
        &["CLIENT", "SETNAME", "worker"],
        &["CONFIG", "SET", "timeout", "5", "requirepass", "hunter2"],
    ] {
        assert_eq!(client.text(words), "OK");
    }
    let set = broker.line("CONFIG SET timeout 5 id=");
    assert!(set.ends_with(&format!(" addr={from} name=worker")), "{set}");
    broker.line("CONFIG SET requirepass (redacted) id=");

    let other = Wire::connect(addr);
    let other_from = other.stream().local_addr().unwrap().to_string();
    broker.line(&format!("Accepted {other_from} "));
    assert_eq!(client.text(&["CLIENT", "KILL", &other_from]), "OK");
    let killed = broker.line("CLIENT KILL id=");
    assert!(
        killed.contains(&format!(" addr={other_from} by=")),
        "{killed}"
    );
    let closed = broker.line("Closed the connection of a client id=");
    assert!(closed.ends_with(&format!(" addr={other_from}")), "{closed}");
    drop(client);
    let closed = broker.line("Client closed connection id=");
    assert!(
        closed.ends_with(&format!(" addr={from} name=worker")),
        "{closed}"
    );

    let mut babbler = Wire::connect(addr);
    babbler.send_raw(b"*x\r\n");
    broker.line("Protocol error (invalid multibulk length) from client id=");
    let seen = broker.seen().join("\n");
    for secret in ["s3cret", "hunter2"] {
        assert!(!seen.contains(secret), "{seen}");
    }
    broker.end_with(Signal::TERM);
}

#[test]
fn a_log_for_development_tells_of_evictions_and_errors() {
    let dir = TempDir::new().unwrap();
    let (mut broker, addr) = talkative(&dir, "debug");
    let mut client = Wire::connect(addr);
    assert_eq!(client.text(&["AUTH", "s3cret"]), "OK");
    client.text(&["INCRBY", "n", "x"]);
    let failed = broker.line("Command failed");
    assert!(failed.contains(" . Command failed id="), "{failed}");
    let end = " command=incrby error=ERR value is not an integer or out of range";
    assert!(failed.ends_with(end), "{failed}");
    client.text(&["AUHT", "s3cret"]);
    let failed = broker.line("command=AUHT");
    assert!(
        failed.ends_with(" error=ERR unknown command 'AUHT'"),
        "{failed}"
    );

    client.text(&["SET", "k", &"v".repeat(100_000)]);
    let all = [
        "CONFIG",
        "SET",
        "maxmemory-policy",
        "allkeys-random",
        "maxmemory",
        "1",
    ];
    assert_eq!(client.text(&all), "OK");
    broker.line(" . Evicted keys to make room evicted=");
    broker.end_with(Signal::TERM);
}
