//! The program `respd`, as it is typed and spawned.

mod clients;
mod config;
pub mod process;
mod serving;
mod spawned;
mod starting;
