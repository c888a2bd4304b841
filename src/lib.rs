//! respd: a message broker that speaks RESP, the Redis protocol.

pub mod broker;
mod clock;
mod command;
pub mod config;
mod db;
mod engine;
mod error;
mod glob;
mod histogram;
mod local;
mod long_double;
mod metrics;
mod monitor;
mod net;
mod number;
mod password;
mod pause;
mod process;
mod pubsub;
pub mod resp;
mod server;
mod session;

pub use broker::{Broker, Builder};
pub use local::LocalClient;
