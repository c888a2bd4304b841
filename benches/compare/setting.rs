//! How much of everything a load takes, and with what.

use std::ffi::OsString;

/// What loads need besides a server.
pub struct Setting<'a> {
    pub scale: &'a Scale,
    /// redis-benchmark, and what starts it.
    pub benchmark: &'a [OsString],
}

/// How much of everything a run takes.
pub struct Scale {
    pub seconds: f64,
    /// The most requests that redis-benchmark sends in a run.
    pub requests: usize,
    /// Keys that single commands draw from.
    pub keys: usize,
    /// Keys, or list elements, whose memory is weighed.
    pub stored: usize,
    /// Keys of which a cache has room for a tenth.
    pub cached: usize,
    /// Keys that expire at one moment.
    pub expiring: usize,
    /// Keys that one client watches, or channels that it hears.
    pub watched: usize,
    pub connections: usize,
    pub subscribers: usize,
    /// Starts of a process in a run.
    pub starts: usize,
    /// Starts of a broker in this process in a run.
    pub brokers: usize,
    /// How long a server may tidy up before its memory counts.
    pub settle_seconds: f64,
    /// The same after clients have come: redis-server halves the buffer of an
    /// idle one about once a second, from 16 KiB to 1.
    pub shrink_seconds: f64,
    pub idle_seconds: f64,
    /// How long a cache is used.
    pub cache_seconds: f64,
}

impl Scale {
    /// The full one, or one that shows in seconds that everything works.
    pub fn new(test: bool, seconds: f64, connections: usize) -> Scale {
        if test {
            return Scale {
                seconds: 0.05,
                requests: 5_000,
                keys: 2_000,
                stored: 20_000,
                cached: 2_000,
                expiring: 20_000,
                watched: 5_000,
                connections: 200,
                subscribers: 100,
                starts: 1,
                brokers: 2,
                settle_seconds: 0.0,
                shrink_seconds: 0.0,
                idle_seconds: 0.1,
                cache_seconds: 0.1,
            };
        }
        Scale {
            seconds,
            requests: 4_000_000,
            keys: 100_000,
            stored: 1_000_000,
            cached: 300_000,
            expiring: 10_000_000,
            watched: 100_000,
            connections: connections.min(10_000),
            subscribers: 1_000,
            starts: 20,
            brokers: 200,
            settle_seconds: 1.0,
            shrink_seconds: 8.0,
            idle_seconds: 10.0,
            cache_seconds: 30.0,
        }
    }
}
