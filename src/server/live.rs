//! Copies of those settings that every request or connection needs, to be read
//! without a lock, or under one that nobody holds for long.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::RwLock;

use crate::acl::Password;
use crate::config::{Config, OutputBufferLimit};
use crate::db::value::SetLimits;
use crate::db::value::stream::NodeLimits;
use crate::db::{ChunkLimit, Frequency, Limits, PackLimits, Usage};
use crate::seed::Seed;
use crate::session::ClientFlags;
use crate::session::delivery::OutputLimits;
use crate::session::outbox::OutputLimit;

/// Those settings as they are now.
#[derive(Default)]
pub struct Live {
    /// `maxclients`
    pub max_clients: AtomicUsize,
    /// `timeout` in seconds, 0 for none.
    pub idle_timeout: AtomicU64,
    /// `proto-max-bulk-len`
    pub bulk: AtomicUsize,
    /// `client-query-buffer-limit`
    pub query_buffer: AtomicUsize,
    /// `slowlog-log-slower-than` in microseconds; the maximum for never.
    pub slow_us: AtomicU64,
    /// `latency-monitor-threshold` in milliseconds, 0 for never.
    pub latency_ms: AtomicU64,
    /// `busy-reply-threshold` in milliseconds.
    pub busy_ms: AtomicU64,
    /// `script-memory-limit`, 0 for none.
    pub script_memory: AtomicUsize,
    /// `hz`
    pub hz: AtomicU64,
    /// `maxmemory`, 0 for none.
    pub max_memory: AtomicUsize,
    /// What clients may hold together, 0 for no limit: `maxmemory-clients`.
    pub max_clients_memory: AtomicUsize,
    /// `client-output-buffer-limit`
    limits: RwLock<OutputLimits>,
    /// `requirepass`
    password: RwLock<Option<Password>>,
}

impl Live {
    /// Follows the settings.
    pub fn follow(&self, config: &Config) {
        self.max_clients.store(config.maxclients as usize, Relaxed);
        self.idle_timeout.store(config.timeout.into(), Relaxed);
        self.bulk.store(longest_string(config), Relaxed);
        self.query_buffer
            .store(config.client_query_buffer_limit as usize, Relaxed);
        let slow_us = u64::try_from(config.slowlog_log_slower_than);
        self.slow_us.store(slow_us.unwrap_or(u64::MAX), Relaxed);
        self.latency_ms
            .store(config.latency_monitor_threshold, Relaxed);
        self.busy_ms.store(config.busy_reply_threshold, Relaxed);
        self.script_memory
            .store(config.script_memory_limit as usize, Relaxed);
        self.hz.store(config.hz.into(), Relaxed);
        self.max_memory.store(config.maxmemory as usize, Relaxed);
        let limit = config.maxmemory_clients.limit(config.maxmemory);
        self.max_clients_memory
            .store(limit.unwrap_or_default() as usize, Relaxed);
        let limit = |class: &OutputBufferLimit| OutputLimit {
            hard: class.hard,
            soft: class.soft,
            soft_for: Duration::from_secs(class.soft_seconds.into()),
        };
        let buffers = &config.client_output_buffer_limit;
        *self.limits.write() = OutputLimits {
            normal: limit(&buffers.normal),
            pubsub: limit(&buffers.pubsub),
        };
        let password = Some(&config.requirepass).filter(|password| !password.is_empty());
        *self.password.write() = password.map(|password| Password::new(password));
    }

    /// Whether a client must authenticate.
    pub fn requires_password(&self) -> bool {
        self.password.read().is_some()
    }

    /// Whether `attempt` is the password; `None` if there is none.
    pub fn check_password(&self, attempt: &[u8]) -> Option<bool> {
        let password = self.password.read();
        password.as_ref().map(|password| password.matches(attempt))
    }

    /// The bound of the outbox of a client that has these flags.
    pub fn output_limit(&self, flags: ClientFlags) -> OutputLimit {
        self.limits.read().of(flags)
    }

    /// The bounds of all outboxes.
    pub fn output_limits(&self) -> OutputLimits {
        *self.limits.read()
    }
}

/// `proto-max-bulk-len`, but no more than the offsets of a request can tell:
/// 4 GiB.
fn longest_string(config: &Config) -> usize {
    config.proto_max_bulk_len.min(u32::MAX.into()) as usize
}

/// The settings that the data needs.
pub fn data_limits(config: &Config) -> Limits {
    let seed = Seed::new(config.seed);
    Limits {
        string: longest_string(config),
        list_chunk: ChunkLimit::from_setting(i64::from(config.list_max_listpack_size)),
        hash: PackLimits::new(
            config.hash_max_listpack_entries,
            config.hash_max_listpack_value,
            seed,
        ),
        set: SetLimits::new(
            config.set_max_intset_entries,
            config.set_max_listpack_entries,
            config.set_max_listpack_value,
            seed,
        ),
        zset: PackLimits::new(
            config.zset_max_listpack_entries,
            config.zset_max_listpack_value,
            seed,
        ),
        stream: NodeLimits::new(config.stream_node_max_bytes, config.stream_node_max_entries),
        hll_sparse: usize::try_from(config.hll_sparse_max_bytes).unwrap_or(usize::MAX),
        usage: match config.maxmemory_policy.counts_uses() {
            true => Usage::Frequency,
            false => Usage::Recency,
        },
        frequency: Frequency {
            log_factor: config.lfu_log_factor,
            decay_minutes: config.lfu_decay_time,
        },
    }
}
