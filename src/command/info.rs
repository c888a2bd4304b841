//! The report of INFO, section by section.
//!
//! Fields have the names of Redis 7.2, so that what reads them there reads
//! them here. A field is here if its value is true: counted, measured, or a
//! constant because respd has no such thing (`role:master`, `aof_enabled:0`).
//! What would have to be made up is left out, such as the compiler of Redis.
//! `.ci/info` compares the list with redis-server's.

use std::fmt::{Display, Write as _};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::memory::{Held, Memory, ScriptsMemory, human};
use crate::config::{REDIS_VERSION, Supervised};
use crate::process;
use crate::pubsub::Target;
use crate::server::Endpoints;
use crate::table::Context;

struct Section {
    /// As INFO's arguments name it.
    name: &'static str,
    title: &'static str,
    /// Whether it is shown when nothing is asked for.
    by_default: bool,
    write: fn(&mut Lines, &mut Context<'_>),
}

const SECTIONS: &[Section] = &[
    section("server", "Server", server),
    section("clients", "Clients", clients),
    section("memory", "Memory", memory),
    section("persistence", "Persistence", persistence),
    section("stats", "Stats", stats),
    section("replication", "Replication", replication),
    section("cpu", "CPU", cpu),
    section("modules", "Modules", modules),
    section("commandstats", "Commandstats", command_stats).on_request(),
    section("errorstats", "Errorstats", error_stats),
    section("latencystats", "Latencystats", latency_stats).on_request(),
    section("cluster", "Cluster", cluster),
    section("keyspace", "Keyspace", keyspace),
];

const fn section(
    name: &'static str,
    title: &'static str,
    write: fn(&mut Lines, &mut Context<'_>),
) -> Section {
    Section {
        name,
        title,
        by_default: true,
        write,
    }
}

impl Section {
    const fn on_request(self) -> Section {
        Section {
            by_default: false,
            ..self
        }
    }
}

/// The sections that are asked for, in the order of the table; an unknown
/// name asks for nothing.
pub fn report<'a>(
    context: &mut Context<'_>,
    asked: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
) -> String {
    let asks_for = |section: &Section| {
        asked.len() == 0 && section.by_default
            || asked.clone().any(|word| match word {
                word if word.eq_ignore_ascii_case(b"default") => section.by_default,
                word if word.eq_ignore_ascii_case(b"all") => true,
                word if word.eq_ignore_ascii_case(b"everything") => true,
                word => word.eq_ignore_ascii_case(section.name.as_bytes()),
            })
    };
    context.turn.count_calls();
    let mut lines = Lines::default();
    for section in SECTIONS.iter().filter(|section| asks_for(section)) {
        if !lines.text.is_empty() {
            lines.text.push_str("\r\n");
        }
        lines.text.push_str("# ");
        lines.text.push_str(section.title);
        lines.text.push_str("\r\n");
        (section.write)(&mut lines, context);
    }
    lines.text
}

#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn field(&mut self, name: &str, value: impl Display) {
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{name}:{value}\r\n");
    }

    fn fields(&mut self, fields: &[(&str, u64)]) {
        for (name, value) in fields {
            self.field(name, value);
        }
    }

    /// Bytes, and on a second line the same for people.
    fn bytes(&mut self, name: &str, bytes: u64) {
        self.field(name, bytes);
        self.field(&format!("{name}_human"), human(bytes));
    }
}

fn server(lines: &mut Lines, context: &mut Context<'_>) {
    let server = context.server;
    lines.field("redis_version", REDIS_VERSION);
    lines.field("respd_version", env!("CARGO_PKG_VERSION"));
    lines.field("redis_mode", "standalone");
    lines.field("os", process::operating_system());
    lines.field("arch_bits", usize::BITS);
    lines.field("monotonic_clock", "POSIX clock_gettime");
    lines.field("multiplexing_api", MULTIPLEXING);
    lines.field("process_id", std::process::id());
    lines.field("process_supervised", supervised(server.supervised));
    lines.field("run_id", &server.run_id);
    let endpoints = server.endpoints.get().cloned().unwrap_or_default();
    let port = endpoints.tcp.first().map_or(0, |addr| addr.port());
    lines.field("tcp_port", port);
    lines.field("server_time_usec", server.clock.wall().as_micros());
    let uptime = context.turn.uptime.saturating_sub(server.began).as_secs();
    lines.field("uptime_in_seconds", uptime);
    lines.field("uptime_in_days", uptime / 86_400);
    let (hz, workers) = {
        let config = server.config();
        (config.hz, config.workers)
    };
    lines.field("hz", hz);
    lines.field("configured_hz", hz);
    // Seconds in 24 bits, by which keys note their last use.
    lines.field("lru_clock", (context.turn.now / 1000) & 0xff_ffff);
    if let Ok(executable) = std::env::current_exe() {
        lines.field("executable", executable.display());
    }
    let file = server.config_file.as_deref();
    let file = file.map(|path| path.display().to_string());
    lines.field("config_file", file.unwrap_or_default());
    lines.field("io_threads_active", 0);
    lines.field("respd_workers", workers);
    write_listeners(lines, &endpoints);
}

/// What the runtime waits for sockets with.
const MULTIPLEXING: &str = if cfg!(target_os = "linux") {
    "epoll"
} else {
    "kqueue"
};

fn supervised(by: Supervised) -> &'static str {
    match by {
        Supervised::No => "no",
        Supervised::Upstart => "upstart",
        Supervised::Systemd => "systemd",
        Supervised::Auto => "unknown",
    }
}

fn write_listeners(lines: &mut Lines, endpoints: &Endpoints) {
    let mut listeners = Vec::new();
    if let Some(first) = endpoints.tcp.first() {
        let hosts = endpoints
            .tcp
            .iter()
            .map(|addr| format!("bind={}", addr.ip()));
        let hosts: Vec<_> = hosts.collect();
        let port = first.port();
        listeners.push(format!("name=tcp,{},port={port}", hosts.join(",")));
    }
    if let Some(path) = &endpoints.unix {
        listeners.push(format!("name=unix,bind={}", path.display()));
    }
    for (index, listener) in listeners.iter().enumerate() {
        lines.field(&format!("listener{index}"), listener);
    }
}

fn clients(lines: &mut Lines, context: &mut Context<'_>) {
    let server = context.server;
    let (mut input, mut output) = (0, 0);
    server.clients.for_each(|client| {
        input = input.max(client.input.load(Relaxed));
        output = output.max(client.outbox.lock().output.len());
    });
    let tracking = context.turn.state().tracking.counts();
    let waiters = &context.turn.state().waiters;
    let (blocked, keys, timed) = (waiters.len(), waiters.key_count(), waiters.timed());
    let lost = waiters.keys_of_losses();
    // Redis blocks a client that a pause holds back.
    let blocked = blocked + server.pause.held_clients();
    let max_clients = server.live.max_clients.load(Relaxed);
    lines.fields(&[
        ("connected_clients", server.clients.len() as u64),
        ("cluster_connections", 0),
        ("maxclients", max_clients as u64),
        ("client_recent_max_input_buffer", input as u64),
        ("client_recent_max_output_buffer", output as u64),
        ("blocked_clients", blocked as u64),
        ("tracking_clients", tracking.clients as u64),
        ("clients_in_timeout_table", timed as u64),
        ("total_blocking_keys", keys as u64),
        ("total_blocking_keys_on_nokey", lost as u64),
    ]);
}

fn memory(lines: &mut Lines, context: &mut Context<'_>) {
    let memory = Memory::measure(context);
    let garbage = &context.turn.state().keyspace.garbage;
    let (pending, freed) = (garbage.len(), garbage.freed);
    lines.bytes("used_memory", memory.used() as u64);
    let held = Held::measure(context, &memory);
    if let Some(held) = &held {
        lines.bytes("used_memory_rss", held.resident as u64);
    }
    lines.bytes("used_memory_peak", memory.peak as u64);
    let percentage = memory.peak_percentage();
    lines.field("used_memory_peak_perc", format_args!("{percentage:.2}%"));
    lines.field("used_memory_overhead", memory.overhead());
    // What is counted is data and clients, and a broker starts without any.
    lines.field("used_memory_startup", 0);
    lines.field("used_memory_dataset", memory.dataset);
    let percentage = memory.dataset_percentage();
    lines.field("used_memory_dataset_perc", format_args!("{percentage:.2}%"));
    let by_allocator = held.as_ref().and_then(Held::by_allocator);
    for (name, bytes) in by_allocator.into_iter().flatten() {
        lines.field(&format!("allocator_{name}"), bytes);
    }
    if let Some(total) = process::machine_memory() {
        lines.bytes("total_system_memory", total);
    }
    scripts_memory(lines, &memory.scripts);
    let (max, policy) = {
        let config = context.server.config();
        (config.maxmemory, config.maxmemory_policy)
    };
    lines.bytes("maxmemory", max);
    lines.field("maxmemory_policy", policy.name());
    for surplus in held.iter().flat_map(Held::surpluses) {
        let (name, ratio) = (surplus.name, surplus.ratio);
        lines.field(&format!("{name}_ratio"), format_args!("{ratio:.2}"));
        lines.field(&format!("{name}_bytes"), surplus.bytes);
    }
    lines.fields(&[
        ("mem_not_counted_for_evict", 0),
        ("mem_replication_backlog", 0),
        ("mem_total_replication_buffers", 0),
        ("mem_clients_slaves", 0),
        ("mem_clients_normal", memory.clients as u64),
        ("mem_cluster_links", 0),
        ("mem_aof_buffer", 0),
    ]);
    let allocator = context.server.allocator.as_ref();
    let allocator = allocator.map_or("unknown", |allocator| &allocator.name);
    lines.field("mem_allocator", allocator);
    lines.fields(&[
        ("active_defrag_running", 0),
        ("lazyfree_pending_objects", pending as u64),
        ("lazyfreed_objects", freed),
    ]);
}

/// Redis has one interpreter for scripts and one for functions. Here both have
/// the same, which counts as that of scripts.
fn scripts_memory(lines: &mut Lines, scripts: &ScriptsMemory) {
    let interpreter = scripts.interpreter as u64;
    lines.field("used_memory_lua", interpreter);
    lines.field("used_memory_vm_eval", interpreter);
    lines.field("used_memory_lua_human", human(interpreter));
    lines.fields(&[
        ("used_memory_scripts_eval", scripts.cache as u64),
        ("number_of_cached_scripts", scripts.cached as u64),
        ("number_of_functions", scripts.functions as u64),
        ("number_of_libraries", scripts.library_count as u64),
        ("used_memory_vm_functions", 0),
    ]);
    lines.bytes("used_memory_vm_total", interpreter);
    lines.field("used_memory_functions", scripts.libraries);
    lines.bytes(
        "used_memory_scripts",
        (scripts.cache + scripts.libraries) as u64,
    );
}

/// Nothing is ever saved: values are those of a Redis that has not saved yet.
fn persistence(lines: &mut Lines, context: &mut Context<'_>) {
    let dirty = context.turn.state().keyspace.journal.dirty;
    let start = context
        .server
        .clock
        .wall()
        .saturating_sub(context.turn.uptime);
    lines.fields(&[
        ("loading", 0),
        ("async_loading", 0),
        ("current_cow_peak", 0),
        ("current_cow_size", 0),
        ("current_cow_size_age", 0),
    ]);
    lines.field("current_fork_perc", "0.00");
    lines.fields(&[
        ("current_save_keys_processed", 0),
        ("current_save_keys_total", 0),
        ("rdb_changes_since_last_save", dirty),
        ("rdb_bgsave_in_progress", 0),
        // To Redis what it starts with is saved.
        ("rdb_last_save_time", start.as_secs()),
    ]);
    lines.field("rdb_last_bgsave_status", "ok");
    lines.field("rdb_last_bgsave_time_sec", -1);
    lines.field("rdb_current_bgsave_time_sec", -1);
    lines.fields(&[
        ("rdb_saves", 0),
        ("rdb_last_cow_size", 0),
        ("rdb_last_load_keys_expired", 0),
        ("rdb_last_load_keys_loaded", 0),
        ("aof_enabled", 0),
        ("aof_rewrite_in_progress", 0),
        ("aof_rewrite_scheduled", 0),
    ]);
    lines.field("aof_last_rewrite_time_sec", -1);
    lines.field("aof_current_rewrite_time_sec", -1);
    lines.field("aof_last_bgrewrite_status", "ok");
    lines.fields(&[
        ("aof_rewrites", 0),
        ("aof_rewrites_consecutive_failures", 0),
    ]);
    lines.field("aof_last_write_status", "ok");
    lines.fields(&[
        ("aof_last_cow_size", 0),
        ("module_fork_in_progress", 0),
        ("module_fork_last_cow_size", 0),
    ]);
}

fn stats(lines: &mut Lines, context: &mut Context<'_>) {
    let server = context.server;
    let metrics = &server.metrics;
    let uptime = context.turn.uptime;
    let state = context.turn.state();
    // Room may have been made since anybody needed it.
    if state.used_memory(server) <= state.evictor.max {
        state.evictor.note(true, uptime);
    }
    let (keyspace, tracking) = (state.keyspace.stats, state.tracking.counts());
    let (exceeded_now, exceeded_ever) = state.evictor.exceeded(uptime);
    let [exceeded_now, exceeded_ever] =
        [exceeded_now, exceeded_ever].map(|time| time.as_millis() as u64);
    let [commands, input, output, cycles, busy] = metrics.rates.per_second();
    let event_loops = metrics.event_loops.cycles();
    let kilobytes = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
    lines.fields(&[
        (
            "total_connections_received",
            metrics.connections.load(Relaxed),
        ),
        ("total_commands_processed", metrics.commands()),
        ("instantaneous_ops_per_sec", commands),
        ("total_net_input_bytes", metrics.input_bytes.load(Relaxed)),
        ("total_net_output_bytes", metrics.output_bytes.load(Relaxed)),
        ("total_net_repl_input_bytes", 0),
        ("total_net_repl_output_bytes", 0),
    ]);
    lines.field("instantaneous_input_kbps", kilobytes(input));
    lines.field("instantaneous_output_kbps", kilobytes(output));
    lines.field("instantaneous_input_repl_kbps", kilobytes(0));
    lines.field("instantaneous_output_repl_kbps", kilobytes(0));
    lines.fields(&[
        (
            "rejected_connections",
            metrics.rejected_connections.load(Relaxed),
        ),
        ("sync_full", 0),
        ("sync_partial_ok", 0),
        ("sync_partial_err", 0),
        ("expired_keys", keyspace.expired),
    ]);
    // What is due is known, and not looked for by chance.
    lines.field("expired_stale_perc", "0.00");
    lines.fields(&[
        (
            "expired_time_cap_reached_count",
            keyspace.expiry_interrupted,
        ),
        (
            "expire_cycle_cpu_milliseconds",
            keyspace.expiry_time.as_millis() as u64,
        ),
        ("evicted_keys", keyspace.evicted),
        ("evicted_clients", metrics.evicted_clients.load(Relaxed)),
        ("total_eviction_exceeded_time", exceeded_ever),
        ("current_eviction_exceeded_time", exceeded_now),
        ("keyspace_hits", keyspace.hits),
        ("keyspace_misses", keyspace.misses),
        (
            "pubsub_channels",
            server.pubsub.count(Target::Channel) as u64,
        ),
        (
            "pubsub_patterns",
            server.pubsub.count(Target::Pattern) as u64,
        ),
        (
            "pubsubshard_channels",
            server.pubsub.count(Target::ShardChannel) as u64,
        ),
        ("latest_fork_usec", 0),
        ("total_forks", 0),
        ("migrate_cached_sockets", 0),
        ("slave_expires_tracked_keys", 0),
        ("active_defrag_hits", 0),
        ("active_defrag_misses", 0),
        ("active_defrag_key_hits", 0),
        ("active_defrag_key_misses", 0),
        ("total_active_defrag_time", 0),
        ("current_active_defrag_time", 0),
        ("tracking_total_keys", tracking.keys as u64),
        ("tracking_total_items", tracking.items as u64),
        ("tracking_total_prefixes", tracking.prefixes as u64),
        ("unexpected_error_replies", 0),
        ("total_error_replies", metrics.error_replies.load(Relaxed)),
        ("dump_payload_sanitizations", 0),
        ("total_reads_processed", metrics.reads.load(Relaxed)),
        ("total_writes_processed", metrics.writes.load(Relaxed)),
        ("io_threaded_reads_processed", 0),
        ("io_threaded_writes_processed", 0),
        (
            "client_query_buffer_limit_disconnections",
            metrics.query_limit_disconnections.load(Relaxed),
        ),
        (
            "client_output_buffer_limit_disconnections",
            metrics.output_limit_disconnections.load(Relaxed),
        ),
        // No client has a buffer of its own that is resized.
        ("reply_buffer_shrinks", 0),
        ("reply_buffer_expands", 0),
        ("eventloop_cycles", event_loops.count),
        (
            "eventloop_duration_sum",
            event_loops.busy.as_micros() as u64,
        ),
        (
            "eventloop_duration_cmd_sum",
            metrics.command_time().as_micros() as u64,
        ),
        ("instantaneous_eventloop_cycles_per_sec", cycles),
        (
            "instantaneous_eventloop_duration_usec",
            busy / cycles.max(1),
        ),
        (
            "acl_access_denied_auth",
            metrics.auth_failures.load(Relaxed),
        ),
        ("acl_access_denied_cmd", 0),
        ("acl_access_denied_key", 0),
        ("acl_access_denied_channel", 0),
    ]);
}

fn replication(lines: &mut Lines, context: &mut Context<'_>) {
    lines.field("role", "master");
    lines.field("connected_slaves", 0);
    lines.field("master_failover_state", "no-failover");
    lines.field("master_replid", &context.server.replication_id);
    lines.field("master_replid2", "0".repeat(40));
    lines.field("master_repl_offset", 0);
    lines.field("second_repl_offset", -1);
    lines.fields(&[
        ("repl_backlog_active", 0),
        ("repl_backlog_size", 0),
        ("repl_backlog_first_byte_offset", 0),
        ("repl_backlog_histlen", 0),
    ]);
}

fn cpu(lines: &mut Lines, _: &mut Context<'_>) {
    let seconds = |time: Duration| format!("{:.6}", time.as_secs_f64());
    let times = process::cpu_times();
    if let Some(times) = times {
        lines.field("used_cpu_sys", seconds(times.system));
        lines.field("used_cpu_user", seconds(times.user));
    }
    // There are no children.
    lines.field("used_cpu_sys_children", seconds(Duration::ZERO));
    lines.field("used_cpu_user_children", seconds(Duration::ZERO));
    // All threads that there are serve clients, so none of them is the main one.
    if let Some(times) = times {
        lines.field("used_cpu_sys_main_thread", seconds(times.system));
        lines.field("used_cpu_user_main_thread", seconds(times.user));
    }
}

fn modules(_: &mut Lines, _: &mut Context<'_>) {}

fn command_stats(lines: &mut Lines, context: &mut Context<'_>) {
    for stats in context.server.metrics.all_commands() {
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Relaxed);
        let (calls, rejected) = (count(&stats.calls), count(&stats.rejected));
        let failed = count(&stats.failed);
        if calls + rejected + failed == 0 {
            continue;
        }
        let micros = count(&stats.nanos) / 1000;
        let per_call = match calls {
            0 => 0.0,
            calls => micros as f64 / calls as f64,
        };
        lines.field(
            &format!("cmdstat_{}", stats.name),
            format_args!(
                "calls={calls},usec={micros},usec_per_call={per_call:.2},\
                 rejected_calls={rejected},failed_calls={failed}"
            ),
        );
    }
}

fn error_stats(lines: &mut Lines, context: &mut Context<'_>) {
    let errors = context.server.metrics.errors.iter();
    let mut errors: Vec<_> = errors.map(|e| (e.key().clone(), *e.value())).collect();
    errors.sort_unstable();
    for (code, count) in errors {
        lines.field(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

fn latency_stats(lines: &mut Lines, context: &mut Context<'_>) {
    let percentiles = {
        let config = context.server.config();
        if !config.latency_tracking {
            return;
        }
        config.latency_tracking_info_percentiles.clone()
    };
    for stats in context.server.metrics.all_commands() {
        let Some(histogram) = stats.histogram() else {
            continue;
        };
        let figures = percentiles.iter().map(|&percentile| {
            let micros = histogram.percentile(percentile) as f64 / 1000.0;
            format!("p{percentile}={micros:.3}")
        });
        let figures: Vec<_> = figures.collect();
        let name = format!("latency_percentiles_usec_{}", stats.name);
        lines.field(&name, figures.join(","));
    }
}

fn cluster(lines: &mut Lines, _: &mut Context<'_>) {
    lines.field("cluster_enabled", 0);
}

fn keyspace(lines: &mut Lines, context: &mut Context<'_>) {
    let now = context.turn.now;
    let databases = &context.turn.state().keyspace.databases;
    for (index, db) in databases.iter().enumerate() {
        if db.is_empty() {
            continue;
        }
        let average = db.average_expiry().map_or(0, |at| (at - now).max(0));
        let (keys, expires) = (db.len(), db.expiring());
        lines.field(
            &format!("db{index}"),
            format_args!("keys={keys},expires={expires},avg_ttl={average}"),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::LocalClient;
    use crate::testing::{client, engine};

    fn fields(client: &mut LocalClient, sections: &str) -> BTreeMap<String, String> {
        let report = client.line(&format!("INFO {sections}"));
        let lines = report.lines().skip(1);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut fields = BTreeMap::new();
        for line in lines {
            let (name, value) = line.split_once(':').expect("name:value");
            let twice = fields.insert(name.to_owned(), value.to_owned());
            assert_eq!(twice, None, "{name}");
        }
        fields
    }

    fn titles(report: &str) -> Vec<&str> {
        let titles = report.lines().filter_map(|line| line.strip_prefix("# "));
        titles.collect()
    }

    #[test]
    fn sections_come_in_order_and_once() {
        let mut client = client(&engine());
        let default = client.line("INFO");
        let expected = [
            "Server",
            "Clients",
            "Memory",
            "Persistence",
            "Stats",
            "Replication",
            "CPU",
            "Modules",
            "Errorstats",
            "Cluster",
            "Keyspace",
        ];
        assert_eq!(titles(&default), expected);
        assert_eq!(titles(&client.line("INFO default")), expected);
        assert_eq!(titles(&client.line("INFO all")).len(), expected.len() + 2);
        let some = client.line("INFO keyspace SERVER nosuch keyspace");
        assert_eq!(titles(&some), ["Server", "Keyspace"]);
        assert_eq!(client.line("INFO nosuch"), "$0\r\n");
    }

    /// What redis-cli, client libraries, RedisInsight and redis_exporter look for.
    #[test]
    fn the_fields_that_tools_read_are_there() {
        let fields = fields(&mut client(&engine()), "default");
        let wanted = "redis_version redis_mode os process_id run_id tcp_port uptime_in_seconds \
            connected_clients blocked_clients maxclients used_memory used_memory_human \
            used_memory_peak used_memory_dataset maxmemory maxmemory_policy loading \
            rdb_bgsave_in_progress aof_enabled aof_rewrite_in_progress \
            rdb_changes_since_last_save total_connections_received total_commands_processed \
            instantaneous_ops_per_sec instantaneous_input_kbps total_net_input_bytes \
            rejected_connections expired_keys evicted_keys keyspace_hits keyspace_misses \
            pubsub_channels pubsub_patterns total_error_replies role connected_slaves \
            master_repl_offset cluster_enabled used_memory_startup rdb_last_save_time \
            rdb_last_cow_size aof_last_cow_size module_fork_last_cow_size expired_stale_perc \
            expired_time_cap_reached_count used_cpu_sys_main_thread";
        for name in wanted.split(' ') {
            assert!(fields.contains_key(name), "{name}");
        }
    }

    #[test]
    fn what_the_broker_started_with_counts_as_saved() {
        let fields = fields(&mut client(&engine()), "server persistence");
        let number = |name: &str| -> u64 { fields[name].parse().expect("a number") };
        let since = number("server_time_usec") / 1_000_000 - number("rdb_last_save_time");
        // Both are cut to seconds.
        let uptime = number("uptime_in_seconds");
        assert!(since.abs_diff(uptime) <= 1, "{since} and {uptime}");
    }

    #[test]
    fn figures_follow_what_happens() {
        let mut client = client(&engine());
        let before = fields(&mut client, "everything");
        assert!(!before.contains_key("db0"), "{before:?}");
        client.run(b"SET a 1\r\nSET b 2 PX 100000\r\nGET a\r\nGET b\r\nGET c\r\nLLEN a\r\nGET\r\n");
        client.line(&format!("SET big {}", "x".repeat(100_000)));
        // In one pipeline, so that what came before is counted in time.
        let report = client.run(b"GET a\r\nGET a\r\nINFO commandstats\r\n");
        let report = String::from_utf8(report).expect("text");
        let stats = report.lines().find(|line| line.starts_with("cmdstat_get:"));
        let stats = stats.expect("GET was used");
        assert!(stats.starts_with("cmdstat_get:calls=5,usec="), "{stats}");
        assert!(
            stats.ends_with(",rejected_calls=1,failed_calls=0"),
            "{stats}"
        );
        let after = fields(&mut client, "everything");
        let expected = [
            // LLEN has found its key before it looked at the type.
            ("keyspace_hits", "5"),
            ("keyspace_misses", "1"),
            ("errorstat_ERR", "count=1"),
            ("errorstat_WRONGTYPE", "count=1"),
            ("total_error_replies", "2"),
            ("rdb_changes_since_last_save", "3"),
        ];
        for (name, value) in expected {
            assert_eq!(after[name], value, "{name}");
        }
        let keyspace = &after["db0"];
        let ttl = keyspace.strip_prefix("keys=3,expires=1,avg_ttl=");
        let ttl: i64 = ttl.and_then(|ttl| ttl.parse().ok()).expect("a time");
        assert!((1..=100_000).contains(&ttl), "{ttl}");
        let bytes = |fields: &BTreeMap<String, String>| -> i64 {
            fields["used_memory"].parse().expect("bytes")
        };
        let grown = bytes(&after) - bytes(&before);
        assert!((100_000..200_000).contains(&grown), "{grown}");
        client.line("FLUSHALL");
        let left = bytes(&fields(&mut client, "memory")) - bytes(&before);
        assert!(left < 10_000, "{left}");
    }

    #[test]
    fn percentiles_are_those_of_the_setting() {
        let mut client = client(&engine());
        client.run(b"GET a\r\nCONFIG SET latency-tracking-info-percentiles \"50 99.9 100\"\r\n");
        let fields = fields(&mut client, "latencystats");
        let line = &fields["latency_percentiles_usec_get"];
        let names: Vec<_> = line
            .split(',')
            .filter_map(|figure| figure.split_once('='))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["p50", "p99.9", "p100"], "{line}");
        client.line("CONFIG SET latency-tracking no");
        assert_eq!(
            client.line("INFO latencystats"),
            "$16\r\n# Latencystats\r\n"
        );
    }
}
