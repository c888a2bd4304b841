//! The settings that say how values are kept.

use super::memory::pack::PackLimits;
use super::store::{Frequency, Usage};
use super::value::stream::NodeLimits;
use super::value::{ChunkLimit, SetLimits};
use crate::seed::Seed;

/// Settings that handlers need.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest string in bytes: `proto-max-bulk-len`.
    pub string: usize,
    /// `list-max-listpack-size`
    pub list_chunk: ChunkLimit,
    /// Bytes up to which a HyperLogLog is sparse: `hll-sparse-max-bytes`.
    pub hll_sparse: usize,
    /// How large a hash may be that is packed.
    pub hash: PackLimits,
    /// How large a set may be that is packed.
    pub set: SetLimits,
    /// How large a sorted set may be that is packed.
    pub zset: PackLimits,
    /// How large a node of a stream may grow.
    pub stream: NodeLimits,
    /// What entries say of their use.
    pub usage: Usage,
    /// How counts of uses grow and decay.
    pub frequency: Frequency,
}

impl Default for Limits {
    /// Those of Redis 7.2.
    fn default() -> Limits {
        Limits {
            string: 512 << 20,
            list_chunk: ChunkLimit::default(),
            hll_sparse: 3000,
            hash: PackLimits::new(512, 64, Seed::UNKNOWN),
            set: SetLimits::new(512, 128, 64, Seed::UNKNOWN),
            zset: PackLimits::new(128, 64, Seed::UNKNOWN),
            stream: NodeLimits::default(),
            usage: Usage::Recency,
            frequency: Frequency {
                log_factor: 10,
                decay_minutes: 1,
            },
        }
    }
}
