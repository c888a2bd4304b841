//! Sockets, and nothing else.

pub mod connection;
mod holder;
pub mod listener;
mod socket_file;
mod stream;
mod tasks;
mod worker;

pub use worker::Workers;
