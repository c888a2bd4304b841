//! Other servers: what one answers that has no replicas and follows no master.
//!
//! Nothing pretends. Whoever asks hears that there is nobody, and whoever wants
//! to become a replica, or to have a master, that there is no such thing here.

use std::time::Duration;

use crate::db::Db;
use crate::db::value::List;
use crate::engine::{Null, Wait};
use crate::error::{Error, Result};
use crate::resp::{Argv, Reply};
use crate::table::vocabulary::{ADMIN, ANYTIME_FAST, GENERIC, SERVER};
use crate::table::{Acl, Args, Context, Flags, Handler, Row};
use crate::text::number;

/// Asks for something of another server, and is an administrator's.
const ADMIN_ONLY: Flags = Flags::ADMIN.union(Flags::NOSCRIPT);
/// Asks to become a replica.
const SYNC: Flags = ADMIN_ONLY
    .union(Flags::NO_ASYNC_LOADING)
    .union(Flags::NO_MULTI);

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "wait", arity: 3, flags: Flags::BLOCKING, acl: Acl::CONNECTION,
        usage: "numreplicas:integer timeout:integer",
        tips: &["request_policy:all_shards", "response_policy:agg_min"], since: "3.0.0",
        summary: "Waits for replicas to have what the client has written: in vain, as there are none.",
        handler: Handler::Blocking(wait),
        ..GENERIC
    },
    Row {
        name: "waitaof", arity: 4, flags: Flags::BLOCKING, acl: Acl::CONNECTION,
        usage: "numlocal:integer numreplicas:integer timeout:integer",
        tips: &["request_policy:all_shards", "response_policy:agg_min"], since: "7.2.0",
        summary: "Waits for append-only files to have what the client has written: in vain.",
        handler: Handler::Blocking(waitaof),
        ..GENERIC
    },
    Row {
        name: "role", arity: 1, flags: ANYTIME_FAST.union(Flags::NOSCRIPT),
        acl: Acl::ADMIN.union(Acl::DANGEROUS), since: "2.8.12",
        summary: "Whether the server is a master, and of which replicas.",
        handler: Handler::Session(role),
        ..SERVER
    },
    Row {
        name: "replicaof", arity: 3, flags: REPLICAOF_FLAGS,
        usage: "args(host-port(host port:integer) | no-one(NO ONE))", since: "5.0.0",
        summary: "Has the server follow a master, which this one cannot, or none.",
        handler: Handler::Session(replicaof),
        ..SERVER
    },
    Row {
        name: "slaveof", arity: 3, flags: REPLICAOF_FLAGS,
        usage: "args(host-port(host port:integer) | no-one(NO ONE))", since: "1.0.0",
        deprecated: Some(("5.0.0", "`REPLICAOF`")),
        summary: "The old name of REPLICAOF.", handler: Handler::Session(replicaof),
        ..SERVER
    },
    Row {
        name: "failover", arity: -1, flags: ADMIN_ONLY.union(Flags::STALE),
        usage: "[TO target(host port:integer [FORCE])] [ABORT] [TIMEOUT milliseconds:integer]",
        since: "6.2.0",
        summary: "Hands over to a replica, of which there are none.",
        handler: Handler::Session(failover),
        ..SERVER
    },
    Row {
        name: "replconf", arity: -1, flags: ADMIN.union(Flags::ALLOW_BUSY).union(Flags::SYSTEM), since: "3.0.0",
        summary: "What a replica tells of itself before it asks for data.",
        handler: Handler::Session(replconf),
        ..SERVER
    },
    Row {
        name: "psync", arity: -3, flags: SYNC, usage: "replicationid offset:integer",
        since: "2.8.0",
        summary: "How a replica asks for what it does not have yet.",
        handler: Handler::Session(psync),
        ..SERVER
    },
    Row {
        name: "sync", arity: 1, flags: SYNC, since: "1.0.0",
        summary: "How an old replica asks for all data.", handler: Handler::Session(sync),
        ..SERVER
    },
];

const REPLICAOF_FLAGS: Flags = ADMIN_ONLY
    .union(Flags::STALE)
    .union(Flags::NO_ASYNC_LOADING);

fn wait(db: &mut Db<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Result<Option<Wait>> {
    let mut args = Args::new(argv, 1);
    let numreplicas = args.int()?;
    let timeout = args.timeout_ms(db.now)?;
    Ok(wait_for(numreplicas, timeout, Null::Zero, reply))
}

fn waitaof(db: &mut Db<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Result<Option<Wait>> {
    let mut args = Args::new(argv, 1);
    let numlocal = args.int()?;
    if !(0..=1).contains(&numlocal) {
        return Err(Error::NOT_0_OR_1);
    }
    // Redis says so of what is no number, too.
    let numreplicas = number::parse_i64(args.next()?);
    let numreplicas = numreplicas.filter(|count| *count >= 0);
    let numreplicas = numreplicas.ok_or(Error::NOT_POSITIVE)?;
    let timeout = args.timeout_ms(db.now)?;
    if numlocal > 0 {
        return Err(Error::NO_AOF_TO_WAIT_FOR);
    }
    Ok(wait_for(numreplicas, timeout, Null::TwoZeros, reply))
}

/// Waits until the time is up for so many replicas, of which none will come.
fn wait_for(
    numreplicas: i64,
    timeout: Option<Duration>,
    none: Null,
    reply: &mut Reply<'_>,
) -> Option<Wait> {
    if numreplicas <= 0 {
        none.write(reply);
        return None;
    }
    // There are no keys, so of which kind their values are does not matter.
    let wait = Wait::for_kind(List::KIND, timeout);
    Some(Wait { null: none, ..wait })
}

fn role(_: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    reply.array(3);
    reply.bulk(b"master");
    // What replicas would count from.
    reply.int(0);
    reply.array(0);
    Ok(())
}

fn replicaof(_: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let host = args.next()?;
    if host.eq_ignore_ascii_case(b"no") && args.keyword("one") {
        reply.ok();
        return Ok(());
    }
    args.int_in(0..=65535, Error::MASTER_PORT)?;
    Err(Error::NOT_REPLICATING)
}

fn failover(_: &mut Context<'_>, mut args: Args<'_>, _: &mut Reply<'_>) -> Result<()> {
    if args.remaining() == 1 && args.keyword("abort") {
        return Err(Error::NO_FAILOVER);
    }
    let (mut timeout, mut host, mut force) = (None, None, false);
    while args.remaining() > 0 {
        if args.remaining() > 1 && timeout.is_none() && args.keyword("timeout") {
            let millis = args.int()?;
            if millis <= 0 {
                return Err(Error::FAILOVER_TIMEOUT);
            }
            timeout = Some(millis);
        } else if args.remaining() > 2 && host.is_none() && args.keyword("to") {
            host = Some(args.next()?);
            args.int()?;
        } else if !force && args.keyword("force") {
            force = true;
        } else {
            return Err(Error::SYNTAX);
        }
    }
    Err(Error::NO_REPLICAS)
}

/// What a replica may tell.
const REPLCONF_OPTIONS: [&str; 7] = [
    "listening-port",
    "ip-address",
    "capa",
    "ack",
    "getack",
    "rdb-only",
    "rdb-filter-only",
];

fn replconf(_: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    if args.remaining() % 2 == 1 {
        return Err(Error::SYNTAX);
    }
    if args.remaining() == 0 {
        reply.ok();
        return Ok(());
    }
    let option = args.next()?;
    let is_known = |known: &&str| known.as_bytes().eq_ignore_ascii_case(option);
    if !REPLCONF_OPTIONS.iter().any(is_known) {
        return Err(Error::quoting(
            "ERR Unrecognized REPLCONF option: ",
            option,
            "",
        ));
    }
    Err(Error::NOT_REPLICATING)
}

fn psync(_: &mut Context<'_>, mut args: Args<'_>, _: &mut Reply<'_>) -> Result<()> {
    args.next()?;
    args.int()?;
    Err(Error::NOT_REPLICATING)
}

fn sync(_: &mut Context<'_>, _: Args<'_>, _: &mut Reply<'_>) -> Result<()> {
    Err(Error::NOT_REPLICATING)
}
