//! Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH.

use std::sync::atomic::Ordering::Relaxed;

use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::session::ClientFlags;
use crate::table::vocabulary::{SESSION, STAT_KEY, TRANSACT, TRANSACTION};
use crate::table::{Args, Context, Flags, Handler, Row, Table, call};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "multi", arity: 1, flags: TRANSACT.union(Flags::NOT_QUEUED), since: "1.2.0",
        summary: "Begins a transaction: the commands that follow are queued.",
        handler: Handler::Session(multi),
        ..TRANSACTION
    },
    Row {
        name: "exec", arity: 1, flags: SESSION.union(Flags::SKIP_SLOWLOG).union(Flags::NOT_QUEUED).union(Flags::RUNS_QUEUED),
        since: "1.2.0", complexity: "Depends on commands in the transaction",
        summary: "Runs the queued commands as one step.", handler: Handler::Table(exec),
        ..TRANSACTION
    },
    Row {
        name: "discard", arity: 1, flags: TRANSACT.union(Flags::NOT_QUEUED).union(Flags::DROPS_QUEUED),
        since: "2.0.0", complexity: "O(N), when N is the number of queued commands",
        summary: "Drops the queued commands and ends the transaction.",
        handler: Handler::Session(discard),
        ..TRANSACTION
    },
    Row {
        name: "watch", arity: -2, flags: TRANSACT.union(Flags::NOT_QUEUED), keys: &[STAT_KEY.all()],
        usage: "key:key...", since: "2.2.0", complexity: "O(1) for every key.",
        summary: "Makes the next transaction fail if one of the keys changes before it runs.",
        handler: Handler::Session(watch),
        ..TRANSACTION
    },
    Row {
        name: "unwatch", arity: 1, flags: TRANSACT, since: "2.2.0",
        summary: "Forgets all watched keys.", handler: Handler::Session(unwatch),
        ..TRANSACTION
    },
];

fn multi(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    if context.session.transaction.is_some() {
        return Err(Error::NESTED_MULTI);
    }
    context.session.transaction = Some(Box::default());
    context.session.client.queued.store(0, Relaxed);
    context.set_flag(ClientFlags::MULTI, true);
    reply.ok();
    Ok(())
}

fn discard(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    if context.session.transaction.is_none() {
        return Err(Error::DISCARD_WITHOUT_MULTI);
    }
    context.abandon_transaction();
    reply.ok();
    Ok(())
}

fn watch(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    if context.session.transaction.is_some() {
        return Err(Error::WATCH_IN_MULTI);
    }
    args.rest()
        .for_each(|key| context.turn.watch(context.session, key));
    reply.ok();
    Ok(())
}

fn unwatch(context: &mut Context<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    context.turn.unwatch(context.session);
    reply.ok();
    Ok(())
}

fn exec(
    context: &mut Context<'_>,
    table: &'static Table,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let Some(transaction) = context.session.transaction.take() else {
        return Err(Error::EXEC_WITHOUT_MULTI);
    };
    // Nothing of others comes in between, whichever command needs data first.
    context.turn.state();
    let dirty = context.turn.is_dirty(context.session);
    context.abandon_transaction();
    if transaction.refused {
        return Err(Error::EXEC_ABORT);
    }
    if dirty {
        reply.null_array();
        return Ok(());
    }
    reply.array(transaction.len());
    context.in_exec = true;
    for (id, timed, argv) in transaction.commands() {
        // Blocking commands answer at once in here, so there is nothing to wait for.
        call(context, table, &table.commands()[id], timed, argv, reply);
        // HELLO changes how what follows is written.
        reply.set_protocol(context.session.protocol);
    }
    context.in_exec = false;
    Ok(())
}
