//! respd: a message broker that speaks RESP, the Redis protocol, inside any
//! program.
//!
//! [`Broker::start`] starts one on a free port of 127.0.0.1, in about a
//! millisecond, on threads of its own; any Redis client can talk to it, and
//! [`LocalClient`] does without a socket. Dropping the broker stops it.
//!
//! # A tour of the crate
//!
//! A request's way: `net` reads what a socket has; `resp` cuts requests off
//! it; `command::dispatch` makes the checks that the command's row asks for;
//! `engine` takes the one lock of the keyspace for the batch and hands the
//! handler a view of `db`; `engine::settle` draws the consequences of what
//! changed (watched keys, blocked clients, notifications). What other clients
//! have been handed leaves first, then the replies of the whole batch in one
//! write. What waits for time alone (keys that expire, housekeeping) has a
//! thread of its own.
//!
//! Who may use whom: a module may use those on the lines below its own. Those
//! of one line do not know each other, but for `engine` and `server`: a turn
//! needs what all clients share, and the engine is part of it. What would point
//! up is handed down as a function.
//!
//! ```text
//! broker                    starts and stops what is below
//! local                     a client without a socket
//! net                       sockets
//! command                   the table, the families, the checks before each
//! engine server             the keyspace under its lock; what all clients share
//! monitor pubsub            who hears of what
//! session                   what belongs to one client
//! metrics                   counters, and the logs of what was slow
//! config db resp            settings; the data; the wire
//! allocator clock error events glob histogram long_double number password pause process words
//! ```
//!
//! The binary's `cli` stands on top and uses what an embedder can. Only `net`
//! touches sockets, only `engine` locks the keyspace, only `broker`, `net`,
//! `engine` and `server` name the runtime, and only `cli` prints or exits. A
//! test reads this page and the sources, and keeps it so.
//!
//! A command is one row in its family's file in `command`, beside its handler;
//! a setting is one row in `config::settings`. Help, introspection, checks and
//! documentation derive from the rows.

mod allocator;
pub mod broker;
mod clock;
mod command;
pub mod config;
mod db;
mod engine;
mod error;
mod events;
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
mod words;

pub use allocator::Allocator;
pub use broker::{Broker, Builder};
pub use local::LocalClient;

/// The README's Rust code runs as tests of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
