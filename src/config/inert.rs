//! The settings that only tune what Redis has inside: accepted, without effect here.
//!
//! They are checked as Redis checks them and remembered, so that CONFIG GET answers what was
//! set, and a tool that sets them goes on. None of them promises anything that would be missed;
//! one that does stands in `settings.rs`, and takes only the value that is kept.

use super::form::Form::{self, Choice, Flag, Integer, Memory, Text, Word, Words};
use super::form::Parsed;
use super::row::{Kind, Setting, row};
use super::value::{Refusal, invalid, parse_choice, parse_lax_integer};

const COUNT: Form = Integer(0, i32::MAX as i64);
const INT: Form = Integer(i32::MIN as i64, i32::MAX as i64);
const LONG: Form = Integer(0, i64::MAX);
const PERCENT: Form = Integer(1, 99);
const PORT: Form = Integer(0, 65535);

/// A row each: name, default, what Redis takes, what it tunes there.
#[rustfmt::skip]
pub(super) const ROWS: &[Setting] = &[
    // How values are stored.
    inert("list-compress-depth", "0", COUNT, "Nodes at the ends of a list that are not compressed."),

    // Memory.
    inert("active-defrag-cycle-max", "25", PERCENT, "Most CPU of defragmentation."),
    inert("active-defrag-cycle-min", "1", PERCENT, "Least CPU of defragmentation."),
    inert("active-defrag-ignore-bytes", "104857600", Memory(1, i64::MAX as u64), "Waste below which nothing is defragmented."),
    inert("active-defrag-max-scan-fields", "1000", Integer(1, i64::MAX), "Elements that defragmentation scans at once."),
    inert("active-defrag-threshold-lower", "10", Integer(0, 1000), "Fragmentation from which on there is defragmentation."),
    inert("active-defrag-threshold-upper", "100", Integer(0, 1000), "Fragmentation from which on it works its hardest."),
    inert("activedefrag", "no", Flag, "Defragments memory while the server runs."),
    inert("jemalloc-bg-thread", "yes", Flag, "Lets the allocator of Redis purge in the background."),
    inert("lazyfree-lazy-eviction", "no", Flag, "Frees what is evicted in the background."),
    inert("lazyfree-lazy-expire", "no", Flag, "Frees what expires in the background."),
    inert("lazyfree-lazy-server-del", "no", Flag, "Frees what is overwritten in the background."),
    inert("lazyfree-lazy-user-del", "no", Flag, "Makes DEL work as UNLINK."),
    inert("lazyfree-lazy-user-flush", "no", Flag, "Makes FLUSHALL and FLUSHDB work as with ASYNC."),

    // Threads and the process.
    inert("active-expire-effort", "1", Integer(1, 10), "CPU spent on finding expired keys."),
    inert("activerehashing", "yes", Flag, "Rehashes tables in idle moments."),
    inert("aof_rewrite_cpulist", "", Text, "CPUs of the rewrite of the append-only file.").startup(),
    inert("bgsave_cpulist", "", Text, "CPUs of the process that writes snapshots.").startup(),
    inert("bio_cpulist", "", Text, "CPUs of the background threads.").startup(),
    inert("crash-log-enabled", "yes", Flag, "Logs a report after a crash."),
    inert("crash-memcheck-enabled", "yes", Flag, "Checks the memory after a crash."),
    inert("disable-thp", "yes", Flag, "Turns huge pages off for the process.").startup(),
    inert("dynamic-hz", "yes", Flag, "Raises hz with the number of clients."),
    inert("ignore-warnings", "", Text, "Warnings of the system that do not stop the start."),
    inert("io-threads", "1", Integer(1, 128), "Threads that read and write sockets; see workers.").startup(),
    inert("io-threads-do-reads", "no", Flag, "Lets those threads read as well.").startup(),
    inert("oom-score-adj-values", "0 200 800", Words(parse_oom_scores), "Scores that oom-score-adj gives."),
    inert("proc-title-template", "{title} {listen-addr} {server-mode}", Word(parse_title), "Title of the process."),
    inert("server_cpulist", "", Text, "CPUs of the server.").startup(),
    inert("set-proc-title", "yes", Flag, "Sets the title of the process.").startup(),
    inert("shutdown-on-sigint", "default", Words(parse_shutdown), "How SIGINT ends the server."),
    inert("shutdown-on-sigterm", "default", Words(parse_shutdown), "How SIGTERM ends the server."),
    inert("shutdown-timeout", "10", COUNT, "Seconds that the end waits for replicas."),
    inert("syslog-facility", "local0", Choice(FACILITIES), "Facility of what goes to syslog.").startup(),
    inert("syslog-ident", "redis", Text, "Name in what goes to syslog.").startup(),

    // Access control and TLS, of what is refused itself.
    inert("acl-pubsub-default", "resetchannels", Choice(&["allchannels", "resetchannels"]), "Channels of a new user."),
    inert("acllog-max-len", "128", LONG, "Entries that the log of refused access keeps."),
    inert("sanitize-dump-payload", "no", Choice(&["no", "yes", "clients"]), "Whether RESTORE checks what it is given in depth."),
    inert("tls-auth-clients", "yes", Choice(&["no", "yes", "optional"]), "Whether clients need certificates."),
    inert("tls-ca-cert-dir", "", Text, "Directory with certificates of authorities."),
    inert("tls-ca-cert-file", "", Text, "Certificates of authorities."),
    inert("tls-cert-file", "", Text, "Certificate of the server."),
    inert("tls-ciphers", "", Text, "Ciphers up to TLS 1.2."),
    inert("tls-ciphersuites", "", Text, "Ciphers of TLS 1.3."),
    inert("tls-client-cert-file", "", Text, "Certificate towards other servers."),
    inert("tls-client-key-file", "", Text, "Key towards other servers."),
    inert("tls-client-key-file-pass", "", Text, "Password of that key.").sensitive(),
    inert("tls-dh-params-file", "", Text, "Parameters of the key exchange."),
    inert("tls-key-file", "", Text, "Key of the server."),
    inert("tls-key-file-pass", "", Text, "Password of that key.").sensitive(),
    inert("tls-prefer-server-ciphers", "no", Flag, "Whether the server's order of ciphers counts."),
    inert("tls-protocols", "", Text, "Versions of TLS."),
    inert("tls-session-cache-size", "20480", COUNT, "Sessions that are kept."),
    inert("tls-session-cache-timeout", "300", COUNT, "Seconds that a session is kept."),
    inert("tls-session-caching", "yes", Flag, "Whether sessions are kept."),

    // Persistence.
    inert("aof-disable-auto-gc", "no", Flag, "Keeps old append-only files."),
    inert("aof-load-truncated", "yes", Flag, "Loads an append-only file that is cut off."),
    inert("aof-rewrite-incremental-fsync", "yes", Flag, "Syncs a rewrite in steps."),
    inert("aof-timestamp-enabled", "no", Flag, "Writes times into the append-only file."),
    inert("aof-use-rdb-preamble", "yes", Flag, "Begins a rewritten file with a snapshot."),
    inert("appenddirname", "appendonlydir", Word(parse_append_dir), "Directory of the append-only files.").startup(),
    inert("appendfilename", "appendonly.aof", Word(parse_append_file), "Name of the append-only file.").startup(),
    inert("appendfsync", "everysec", Choice(&["everysec", "always", "no"]), "When the append-only file is synced."),
    inert("auto-aof-rewrite-min-size", "67108864", Memory(0, i64::MAX as u64), "Size from which on the append-only file is rewritten."),
    inert("auto-aof-rewrite-percentage", "100", COUNT, "Growth after which it is rewritten."),
    inert("dbfilename", "dump.rdb", Word(parse_snapshot_file), "Name of the snapshot.").protected(),
    inert("no-appendfsync-on-rewrite", "no", Flag, "Leaves syncing out during a rewrite."),
    inert("rdb-del-sync-files", "no", Flag, "Removes snapshots that were made for replicas."),
    inert("rdb-save-incremental-fsync", "yes", Flag, "Syncs a snapshot in steps."),
    inert("rdbchecksum", "yes", Flag, "Puts a checksum at the end of a snapshot.").startup(),
    inert("rdbcompression", "yes", Flag, "Compresses strings in a snapshot."),
    inert("stop-writes-on-bgsave-error", "yes", Flag, "Refuses writes after a snapshot that failed."),

    // Replication, of a server that replicates nothing.
    inert("bind-source-addr", "", Text, "Address of connections to other servers."),
    inert("masterauth", "", Text, "Password for the master.").sensitive(),
    inert("masteruser", "", Text, "User at the master.").sensitive(),
    inert("min-replicas-max-lag", "10", COUNT, "Seconds after which a replica does not count.").alias(&["min-slaves-max-lag"]),
    inert("propagation-error-behavior", "ignore", Choice(&["ignore", "panic", "panic-on-replicas"]), "What follows when a replica fails at a command."),
    inert("repl-backlog-size", "1048576", Memory(1, i64::MAX as u64), "Bytes kept for replicas that come back."),
    inert("repl-backlog-ttl", "3600", LONG, "Seconds that they are kept."),
    inert("repl-disable-tcp-nodelay", "no", Flag, "Saves packets at the cost of delay."),
    inert("repl-diskless-load", "disabled", Choice(&["disabled", "on-empty-db", "swapdb"]), "Whether a replica loads from the socket."),
    inert("repl-diskless-sync", "yes", Flag, "Sends a snapshot without a file."),
    inert("repl-diskless-sync-delay", "5", COUNT, "Seconds to wait for more replicas."),
    inert("repl-diskless-sync-max-replicas", "0", COUNT, "Replicas that end that wait."),
    inert("repl-ping-replica-period", "10", Integer(1, i32::MAX as i64), "Seconds between pings to replicas.").alias(&["repl-ping-slave-period"]),
    inert("repl-timeout", "60", Integer(1, i32::MAX as i64), "Seconds of silence that end a link."),
    inert("replica-announce-ip", "", Text, "Address that a replica tells.").alias(&["slave-announce-ip"]),
    inert("replica-announce-port", "0", PORT, "Port that a replica tells.").alias(&["slave-announce-port"]),
    inert("replica-announced", "yes", Flag, "Whether Sentinel lists a replica."),
    inert("replica-ignore-disk-write-errors", "no", Flag, "Lets a replica go on that cannot write."),
    inert("replica-ignore-maxmemory", "yes", Flag, "Lets only the master evict.").alias(&["slave-ignore-maxmemory"]),
    inert("replica-lazy-flush", "no", Flag, "Empties a replica in the background.").alias(&["slave-lazy-flush"]),
    inert("replica-priority", "100", COUNT, "Order in which Sentinel promotes.").alias(&["slave-priority"]),
    inert("replica-read-only", "yes", Flag, "Refuses writes on a replica.").alias(&["slave-read-only"]),
    inert("replica-serve-stale-data", "yes", Flag, "Lets a replica answer without its master.").alias(&["slave-serve-stale-data"]),

    // Cluster, of a server that is in none.
    inert("cluster-allow-pubsubshard-when-down", "yes", Flag, "Lets shard channels work in a cluster that is down."),
    inert("cluster-allow-reads-when-down", "no", Flag, "Lets reads work in a cluster that is down."),
    inert("cluster-allow-replica-migration", "yes", Flag, "Lets replicas move to masters without."),
    inert("cluster-announce-bus-port", "0", PORT, "Port of the bus that a node tells."),
    inert("cluster-announce-hostname", "", Word(parse_host_name), "Host name that a node tells."),
    inert("cluster-announce-human-nodename", "", Word(parse_node_name), "Name that a node tells for logs."),
    inert("cluster-announce-ip", "", Text, "Address that a node tells."),
    inert("cluster-announce-port", "0", PORT, "Port that a node tells."),
    inert("cluster-announce-tls-port", "0", PORT, "Port of TLS that a node tells."),
    inert("cluster-config-file", "nodes.conf", Text, "File with the state of the cluster.").startup(),
    inert("cluster-link-sendbuf-limit", "0", Memory(0, u64::MAX), "Bytes that may wait for another node."),
    inert("cluster-migration-barrier", "1", COUNT, "Replicas that a master keeps."),
    inert("cluster-node-timeout", "15000", LONG, "Milliseconds after which a node counts as down."),
    inert("cluster-port", "0", PORT, "Port of the bus.").startup(),
    inert("cluster-preferred-endpoint-type", "ip", Choice(&["ip", "hostname", "unknown-endpoint"]), "What clients are told to connect to."),
    inert("cluster-replica-no-failover", "no", Flag, "Keeps a replica from taking over.").alias(&["cluster-slave-no-failover"]),
    inert("cluster-replica-validity-factor", "10", COUNT, "Age at which a replica does not take over.").alias(&["cluster-slave-validity-factor"]),
    inert("cluster-require-full-coverage", "yes", Flag, "Takes the cluster down when slots are missing."),

    // For Redis's own tests.
    inert("key-load-delay", "0", INT, "Microseconds of sleep for each key that is loaded.").hidden(),
    inert("loading-process-events-interval-bytes", "2097152", Integer(1024, i32::MAX as i64), "Bytes of loading after which clients are served.").hidden(),
    inert("lua-enable-deprecated-api", "no", Flag, "Lets scripts use old functions.").startup().hidden(),
    inert("rdb-key-save-delay", "0", INT, "Microseconds of sleep for each key that is saved.").hidden(),
    inert("use-exit-on-panic", "no", Flag, "Exits instead of dumping core.").hidden(),
    inert("watchdog-period", "0", COUNT, "Milliseconds after which the watchdog reports.").hidden(),
];

const FACILITIES: &[&str] = &[
    "user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

const fn inert(
    name: &'static str,
    default: &'static str,
    form: Form,
    help: &'static str,
) -> Setting {
    row(name, help, Kind::Inert { form, default })
}

fn parse_file_name(word: &[u8], if_path: &str) -> Parsed {
    if word.iter().any(|byte| b"/\\".contains(byte)) {
        return Err(invalid(if_path));
    }
    Ok(word.to_vec())
}

fn parse_append_dir(word: &[u8]) -> Parsed {
    if word.is_empty() {
        return Err(invalid("appenddirname can't be empty"));
    }
    parse_file_name(word, "appenddirname can't be a path, just a dirname")
}

fn parse_append_file(word: &[u8]) -> Parsed {
    if word.is_empty() {
        return Err(invalid("appendfilename can't be empty"));
    }
    parse_file_name(word, "appendfilename can't be a path, just a filename")
}

fn parse_snapshot_file(word: &[u8]) -> Parsed {
    parse_file_name(word, "dbfilename can't be a path, just a filename")
}

fn parse_host_name(word: &[u8]) -> Parsed {
    if word.len() >= 256 {
        return Err(invalid("Hostnames must be less than 256 characters"));
    }
    let is_taken = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.".contains(byte);
    if !word.iter().all(is_taken) {
        return Err(invalid(
            "Hostnames may only contain alphanumeric characters, hyphens or dots",
        ));
    }
    Ok(word.to_vec())
}

fn parse_node_name(word: &[u8]) -> Parsed {
    if word
        .iter()
        .any(|byte| b"!#$%&()*+:;<>?@[]^{|}~".contains(byte))
    {
        return Err(invalid(
            "Announced human node name contained invalid character",
        ));
    }
    Ok(word.to_vec())
}

/// A template with `{variable}`s, in which `{{` is a brace.
fn parse_title(word: &[u8]) -> Parsed {
    const VARIABLES: [&[u8]; 7] = [
        b"title",
        b"listen-addr",
        b"server-mode",
        b"port",
        b"tls-port",
        b"unixsocket",
        b"config-file",
    ];
    let bad = || invalid("template format is invalid or contains unknown variables");
    if word.is_empty() {
        return Err(bad());
    }
    let mut rest = word;
    while let Some(brace) = rest.iter().position(|byte| *byte == b'{') {
        rest = &rest[brace + 1..];
        if let Some(literal) = rest.strip_prefix(b"{") {
            rest = literal;
            continue;
        }
        let end = rest.iter().position(|byte| *byte == b'}').ok_or_else(bad)?;
        if !VARIABLES.contains(&&rest[..end]) {
            return Err(bad());
        }
        rest = &rest[end + 1..];
    }
    Ok(word.to_vec())
}

fn parse_oom_scores(words: &[&[u8]]) -> Parsed {
    if words.len() != 3 {
        return Err(invalid("wrong number of arguments"));
    }
    let scores = words.iter().map(|word| parse_lax_integer(word));
    let scores: Option<Vec<i64>> = scores
        .map(|score| score.filter(|score| (-2000..=2000).contains(score)))
        .collect();
    let scores = scores.ok_or_else(|| {
        invalid("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")
    })?;
    let texts: Vec<String> = scores.iter().map(i64::to_string).collect();
    Ok(texts.join(" ").into_bytes())
}

/// Of the ways to end only one makes a difference: the one that saves.
fn parse_shutdown(words: &[&[u8]]) -> Parsed {
    const WAYS: [&str; 5] = ["default", "save", "nosave", "now", "force"];
    let mut chosen = [false; 5];
    // An empty value is no way either.
    let words: &[&[u8]] = match words {
        [] => &[b""],
        words => words,
    };
    for word in words {
        chosen[parse_choice(&WAYS, word)?] = true;
    }
    match chosen {
        [_, true, true, ..] => {
            return Err(invalid(
                "shutdown options SAVE and NOSAVE can't be used simultaneously",
            ));
        }
        [_, true, ..] => {
            return Err(Refusal::Unavailable(
                "respd keeps data in memory only and saves none at the end".to_owned(),
            ));
        }
        _ => {}
    }
    let others = WAYS.into_iter().zip(chosen).skip(1);
    let names: Vec<&str> = others
        .filter_map(|(way, chosen)| chosen.then_some(way))
        .collect();
    Ok(match &names[..] {
        [] => WAYS[0].into(),
        names => names.join(" ").into_bytes(),
    })
}
