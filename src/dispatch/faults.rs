//! Has faults strike requests, of a broker for tests. They are asked once a
//! request has passed all checks, so what is refused anyway is no match; nor is
//! what EXEC and scripts run, since nobody has sent that.

use std::sync::atomic::Ordering::Relaxed;

use super::{Checked, Next, begin, carry_out};
use crate::error::Result;
use crate::lab::faults::{Blow, Faults, Hit, Kind, Struck};
use crate::lab::scope::Request;
use crate::resp::{Argv, Reply};
use crate::server::Server;
use crate::session::client::Peer;
use crate::session::{Client, Ending};
use crate::table::keys::keys_of;
use crate::table::{Command, Context, Flags, Table};

/// What a fault does to the reply of the last request that ran.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It has struck it.
    Struck(Struck),
    /// It is to strike it: the client waits for it.
    Later(Blow),
}

/// What may strike requests of a client, now or later in the batch. One in the
/// program that has no connection is the test's own hand.
pub fn of<'s>(server: &'s Server, client: &Client) -> Option<&'s Faults> {
    let faults = server.faults()?;
    (client.peer != Peer::Local).then_some(faults)
}

/// [`run`](super::run), where a fault may strike.
pub fn run(
    (faults, fate): (&Faults, &mut Option<Fate>),
    context: &mut Context<'_>,
    table: &'static Table,
    (command, timed): (Option<&'static Command>, bool),
    argv: Argv<'_>,
    reply: &mut Reply<'_>,
) -> Next {
    let Some(mut checked) = begin(context, table, command, argv) else {
        return Next::Run;
    };
    let blow = match strike(faults, context, &checked, argv) {
        Some(Hit::Error(error)) => {
            checked = Err(error);
            None
        }
        Some(Hit::Drop) => {
            context.session.ending = Some(Ending::AfterReplies);
            return Next::Run;
        }
        Some(Hit::Reply(blow)) => Some(blow),
        None => None,
    };
    let mark = reply.output().mark();
    let mut next = carry_out(context, table, checked, (command, timed), argv, reply);
    if let Some(blow) = blow {
        *fate = Some(match next {
            Next::Block(_) => {
                // Nobody answers it before this turn has ended.
                let mut outbox = context.session.client.outbox.lock();
                outbox.struck = Some(Box::default());
                Fate::Later(blow)
            }
            _ => {
                next = Next::Struck;
                let len = reply.output().written_since(mark);
                Fate::Struck(blow.strike(reply.output().len() - len, len))
            }
        });
    }
    next
}

/// Whether something strikes a request that is about to run.
fn strike(
    faults: &Faults,
    context: &Context<'_>,
    checked: &Result<Checked>,
    argv: Argv<'_>,
) -> Option<Hit> {
    let command = match checked {
        Ok(Checked::Run(command) | Checked::Queue(command)) if faults.any(Kind::Request) => command,
        _ => return None,
    };
    let row = &command.row;
    let by_name = Flags::FOR_TESTS.union(Flags::INTRODUCES);
    let keys = keys_of(row.keys, argv).unwrap_or_default();
    let keys = keys.iter().filter_map(|(place, _)| argv.get(*place));
    let request = Request {
        command: command.id,
        container: command.parent,
        is_by_name: row.flags.intersects(by_name),
        keys: keys.collect(),
        channels: row.channels.of(argv).collect(),
    };
    let hit = faults.strike_request(&context.session.client.who(), &request);
    if matches!(hit, Some(Hit::Error(_))) {
        let stats = context.server.metrics.command(command.id);
        stats.rejected.fetch_add(1, Relaxed);
    }
    hit
}
