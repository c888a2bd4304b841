//! Sockets, and what stands for one within the program.

mod barrier;
pub mod connection;
pub mod entrance;
mod holder;
pub mod listener;
pub mod memory;
mod ordeal;
pub mod socket_dir;
mod socket_file;
mod stream;
mod tasks;
mod worker;

pub use barrier::Barrier;
pub use worker::Workers;
