//! Sockets, and nothing else.

mod aside;
pub mod connection;
pub mod listener;
mod stream;
mod worker;

pub use worker::Workers;
