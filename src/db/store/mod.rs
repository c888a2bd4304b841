//! Where keys and values stand. It asks values what it has to know of them,
//! and knows no type of value.

mod database;
mod entry;
mod expiries;
mod part_times;

pub use database::{Database, Handle};
