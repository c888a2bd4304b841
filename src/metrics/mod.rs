//! What is counted and measured, for INFO, SLOWLOG and LATENCY.

mod counters;
mod event_loops;
mod histogram;
mod latency;
mod rates;
mod slow_log;

pub use counters::{CommandStats, Metrics};
pub use event_loops::Cycles;
pub use histogram::Histogram;
pub use latency::{Latency, Spikes};
pub use slow_log::SlowLog;
