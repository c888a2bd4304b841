//! respd: a message broker that speaks RESP, the Redis protocol, inside any
//! program.
//!
//! [`Broker::start`] starts one on a free port of 127.0.0.1, in about a
//! millisecond, on threads of its own; any Redis client can talk to it, and
//! [`LocalClient`] does without a socket. Dropping the broker stops it.
//!
//! # A test to begin with
//!
//! A broker for each test, which is alone with it. Here the client is that of
//! the crate `redis`:
//!
//! ```
//! # use redis::TypedCommands;
//! // #[test]
//! fn a_session_is_kept() -> Result<(), Box<dyn std::error::Error>> {
//!     let broker = respd::Broker::start()?;
//!     let mut client = redis::Client::open(broker.url())?.get_connection()?;
//!     client.set_ex("session", "data", 60)?;
//!     assert_eq!(client.get("session")?.as_deref(), Some("data"));
//!     Ok(())
//! }
//! # a_session_is_kept().unwrap();
//! ```
//!
//! With tokio nothing else is needed, as the broker has threads of its own; the
//! client takes the feature `tokio-comp` of `redis`, or is any other:
//!
//! ```
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! // #[tokio::test]
//! async fn a_worker_gets_what_was_pushed() -> Result<(), Box<dyn std::error::Error>> {
//!     let broker = respd::Broker::start()?;
//!     let mut worker = tokio::net::TcpStream::connect(broker.addr()).await?;
//!     worker.write_all(b"BLPOP jobs 0\r\n").await?;
//!     broker.client().call(&["LPUSH", "jobs", "one"]);
//!     let mut reply = [0; 23];
//!     worker.read_exact(&mut reply).await?;
//!     assert_eq!(&reply, b"*2\r\n$4\r\njobs\r\n$3\r\none\r\n");
//!     Ok(())
//! }
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! # runtime.block_on(a_worker_gets_what_was_pushed()).unwrap();
//! ```
//!
//! One broker for many tests lives as long as their process. Tests run beside
//! each other, so each has keys of its own:
//!
//! ```
//! use std::sync::LazyLock;
//!
//! static BROKER: LazyLock<respd::Broker> =
//!     LazyLock::new(|| respd::Broker::start().expect("a broker"));
//!
//! // #[test]
//! fn jobs_are_counted() {
//!     let mut client = BROKER.client();
//!     client.call(&["LPUSH", "jobs_are_counted:jobs", "one", "two"]);
//!     let count = client.call(&["LLEN", "jobs_are_counted:jobs"]);
//!     assert_eq!(count, respd::resp::value::Value::Integer(2));
//! }
//! # jobs_are_counted();
//! ```
//!
//! Without the default features the crate is this library alone: `lua` is for
//! scripts, `cli` for the program `respd`.
//!
//! What else a test may want, and may rely on, is on the manual's page of
//! [testing](manual::testing).
//!
//! # A tour of the crate
//!
//! A request's way: `net` reads what a socket has; `resp` cuts requests off it;
//! `dispatch` looks their commands up in the `table`, has memory fetch their
//! keys together, and makes the checks that each row asks for; `engine` takes
//! the one lock of the keyspace for the batch and hands the handler, which is in
//! its family's file in `command`, a view of `db`. `engine::settle` draws the
//! consequences of what changed: watched keys, what clients keep, notifications,
//! blocked clients.
//! What other clients have been handed leaves first, then the replies of the
//! whole batch in one write. Where memory has a limit, `engine::evict` makes room
//! before a command. What waits for time alone has a thread of its own:
//! keys that expire and what leavers leave (`engine::upkeep`), rates and limits
//! (`server::house`). In a broker for tests it also moves the clock, as it is
//! told to (`engine::advance`).
//!
//! Who may use whom: a module may use those on the lines below its own, and
//! those of one line do not know each other. What would point up is handed down
//! as a function. No two files use each other, directly or around.
//!
//! ```text
//! testkit                   what tests need beyond a broker
//! broker                    starts and stops what is below
//! local net                 a client without a connection; sockets, and streams in memory
//! dispatch                  the checks before a command, and the loop that runs them
//! command                   the families, a file each
//! table                     what a row says of a command, and how it is run by it
//! engine                    the keyspace under its lock, who waits, who watches
//! server                    what all clients share without that lock
//! monitor pubsub tracking   who hears of what
//! session                   what belongs to one client
//! lab metrics script        what a broker for tests has; counters, and the logs of what was
//!                           slow; Lua
//! acl config db resp        who may; settings; the data; the wire
//! rdb                       what a serialized value is made of
//! error events segmented    texts, classes of events, a map that grows in parts
//! seed                      where chance begins
//! hyperloglog               the format in which Redis keeps one, and its estimate
//! allocator clock process   memory; time; the operating system
//! text                      numbers, patterns, words, how alike names are
//! geohash partial_sort      places on earth; the first few of many
//! ```
//!
//! The binary's `cli` stands on top and uses what an embedder can. Only `net`
//! touches sockets, only `engine` locks the keyspace, only `clock` tells the
//! time or waits for it, and only `cli` prints or exits. A test reads this page
//! and the sources, and keeps it so.
//!
//! A command is one row in its family's file, beside its handler; a setting is
//! one row in `config::settings`; a kind of value is one file in `db::value`.
//! How to add one is said where they are: `table/row.rs`, `config/settings.rs`,
//! `db/value/mod.rs`, and `engine/waiters.rs` for a command that blocks. Help,
//! introspection, checks and documentation derive from the rows.

// Without scripts some of what they need has nobody else who uses it.
#![cfg_attr(not(feature = "lua"), allow(dead_code, unused_imports))]

mod acl;
mod allocator;
pub mod broker;
mod clock;
mod command;
pub mod config;
mod db;
mod dispatch;
mod engine;
mod error;
mod events;
mod geohash;
mod hyperloglog;
mod lab;
mod local;
mod metrics;
mod monitor;
mod net;
mod partial_sort;
mod process;
mod pubsub;
mod rdb;
pub mod resp;
#[cfg(feature = "lua")]
mod script;
mod seed;
mod segmented;
mod server;
mod session;
mod table;
#[cfg(test)]
mod testing;
pub mod testkit;
mod text;
mod tracking;

pub use allocator::Allocator;
pub use broker::{Broker, Builder};
pub use local::LocalClient;
pub use net::memory::{BlockingMemoryStream, MemoryStream};

/// What there is to look up for those who use respd, a page for each subject.
pub mod manual {
    // Who reads a page as a file follows its links to files, which it defines at its end. Of
    // several definitions Markdown takes the first, so that here they lead to the items.
    macro_rules! page {
        ($file:literal) => {
            concat!(
                "[commands]: crate::manual::commands\n",
                "[differences]: crate::manual::differences\n",
                "[limits]: crate::manual::limits\n",
                "[settings]: crate::manual::settings\n",
                "[testing]: crate::manual::testing\n",
                "[testkit]: crate::testkit\n",
                "[`Broker`]: crate::Broker\n",
                "[`Builder`]: crate::Builder\n",
                "[`LocalClient`]: crate::LocalClient\n",
                "[`MemoryStream`]: crate::MemoryStream\n",
                "[`Until`]: crate::testkit::Until\n",
                "\n",
                include_str!($file)
            )
        };
    }

    #[doc = page!("manual/commands.md")]
    pub mod commands {}
    #[doc = page!("manual/settings.md")]
    pub mod settings {}
    #[doc = page!("manual/limits.md")]
    pub mod limits {}
    #[doc = page!("manual/differences.md")]
    pub mod differences {}
    #[doc = page!("manual/testing.md")]
    pub mod testing {}
}

/// The README's Rust code runs as tests of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
