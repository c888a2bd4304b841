//! Sockets, and nothing else.

pub mod connection;
pub mod listener;
mod stream;
mod tasks;
mod worker;

pub use worker::Workers;
