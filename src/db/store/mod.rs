//! Where keys and values stand: bytes and places. It asks values what it has
//! to know of them, and knows no type of value.

mod database;
mod entry;
mod expiries;
mod index;
mod numbers;
mod places;
mod slots;

pub use database::{Database, Handle};
pub use slots::{Full, SLOT_MAX};
