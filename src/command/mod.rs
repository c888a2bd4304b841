//! The families of commands: a file each, which holds its rows, its handlers and
//! their tests, in the same order. This module collects them; it runs nothing.
//!
//! How to add a command stands in `table/row.rs`.

mod acl;
mod bitfield;
mod bitmap;
mod blocking_list;
mod blocking_zset;
mod client;
mod client_tracking;
mod cluster;
mod config;
mod connection;
mod debug;
mod draws;
mod dump;
mod expire;
#[cfg(feature = "lua")]
mod function;
mod geo;
mod hash;
mod hash_expire;
mod hyperloglog;
mod info;
mod introspect;
mod keys;
mod keyspace;
mod latency;
mod lcs;
mod list;
mod memory;
mod module;
mod pop_first;
mod pubsub;
mod replication;
mod respd;
mod respd_clock;
mod respd_data;
mod respd_fault;
mod respd_record;
pub mod respd_restart;
mod respd_snapshot;
mod respd_space;
mod respd_wait;
mod scan;
#[cfg(feature = "lua")]
mod script;
#[cfg(feature = "lua")]
mod script_host;
mod server;
mod set;
mod set_combine;
mod slowlog;
mod sort;
mod stream;
mod stream_claim;
mod stream_groups;
mod stream_info;
mod stream_read;
mod string;
mod transaction;
mod zset;
mod zset_combine;
mod zset_range;

use std::sync::LazyLock;

use crate::table::{Row, Table};

/// The families, in the order in which COMMAND lists them.
const FAMILIES: &[&[Row]] = &[
    connection::COMMANDS,
    dump::COMMANDS,
    expire::COMMANDS,
    introspect::COMMANDS,
    keys::COMMANDS,
    keyspace::COMMANDS,
    pubsub::COMMANDS,
    scan::COMMANDS,
    sort::COMMANDS,
    transaction::COMMANDS,
    #[cfg(feature = "lua")]
    script::COMMANDS,
    #[cfg(feature = "lua")]
    function::COMMANDS,
    hash::COMMANDS,
    hash_expire::COMMANDS,
    list::COMMANDS,
    blocking_list::COMMANDS,
    set::COMMANDS,
    set_combine::COMMANDS,
    zset::COMMANDS,
    zset_range::COMMANDS,
    zset_combine::COMMANDS,
    blocking_zset::COMMANDS,
    geo::COMMANDS,
    stream::COMMANDS,
    stream_claim::COMMANDS,
    stream_groups::COMMANDS,
    stream_info::COMMANDS,
    stream_read::COMMANDS,
    string::COMMANDS,
    lcs::COMMANDS,
    bitmap::COMMANDS,
    bitfield::COMMANDS,
    hyperloglog::COMMANDS,
    client::COMMANDS,
    server::COMMANDS,
    replication::COMMANDS,
    config::COMMANDS,
    slowlog::COMMANDS,
    latency::COMMANDS,
    memory::COMMANDS,
    debug::COMMANDS,
    self::respd::COMMANDS,
    module::COMMANDS,
    acl::COMMANDS,
    cluster::COMMANDS,
];

/// All commands that there are, built from the families at first use.
pub static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(FAMILIES));
