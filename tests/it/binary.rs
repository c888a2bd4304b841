//! The program `respd`, as it is typed and spawned.

mod clients;
mod config;
mod consumers;
mod log;
pub mod process;
mod serving;
mod shell;
mod spawned;
mod starting;
mod terminal;
mod watch;
