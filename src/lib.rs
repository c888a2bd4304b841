//! respd: a message broker that speaks RESP, the Redis protocol.

pub mod config;
pub mod glob;
