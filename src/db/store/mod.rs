//! Where keys and values stand. It asks values what it has to know of them,
//! and knows no type of value.

mod database;
mod entry;
mod expiries;
mod part_times;
mod past;
mod usage;

pub use database::past::Seen;
pub use database::sample::{Among, Sampled};
pub use database::{Database, Handle};
pub use entry::idle_s;
pub use past::Had;
pub use usage::{Frequency, Usage, counted};
