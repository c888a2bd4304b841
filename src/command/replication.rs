//! Other servers: what one answers that has no replicas and follows no master.
//!
//! Nothing pretends. Whoever asks hears that there is nobody, and whoever wants
//! to become a replica, or to have a master, that there is no such thing here.

use crate::error::{Error, Result};
use crate::resp::Reply;
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
        summary: "How many replicas have what the client has written: none, as there are none.",
        handler: Handler::Session(wait),
        ..GENERIC
    },
    Row {
        name: "waitaof", arity: 4, flags: Flags::BLOCKING, acl: Acl::CONNECTION,
        usage: "numlocal:integer numreplicas:integer timeout:integer",
        tips: &["request_policy:all_shards", "response_policy:agg_min"], since: "7.2.0",
        summary: "How many append-only files have what the client has written: none.",
        handler: Handler::Session(waitaof),
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

fn wait(_: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    args.int()?;
    timeout_ms(&mut args)?;
    // None will ever come, so there is nothing to wait for.
    reply.int(0);
    Ok(())
}

fn waitaof(_: &mut Context<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let numlocal = args.int()?;
    if !(0..=1).contains(&numlocal) {
        return Err(Error::NOT_0_OR_1);
    }
    // Redis says so of what is no number, too.
    let numreplicas = number::parse_i64(args.next()?);
    if numreplicas.is_none_or(|count| count < 0) {
        return Err(Error::NOT_POSITIVE);
    }
    timeout_ms(&mut args)?;
    if numlocal > 0 {
        return Err(Error::NO_AOF_TO_WAIT_FOR);
    }
    reply.array(2);
    reply.int(0);
    reply.int(0);
    Ok(())
}

/// A timeout, which is only checked.
fn timeout_ms(args: &mut Args<'_>) -> Result<()> {
    match number::parse_i64(args.next()?) {
        None => Err(Error::TIMEOUT_NOT_AN_INTEGER),
        Some(..0) => Err(Error::TIMEOUT_NEGATIVE),
        Some(_) => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use crate::testing::{client, engine};

    #[test]
    fn nobody_waits_for_a_replica_that_cannot_come() {
        let mut client = client(&engine());
        let started = std::time::Instant::now();
        assert_eq!(client.line("WAIT 1 0"), ":0");
        assert_eq!(client.line("WAIT 3 60000"), ":0");
        assert_eq!(client.line("WAITAOF 0 1 0"), "*2\r\n:0\r\n:0");
        assert!(started.elapsed().as_secs() < 30);
    }
}
