//! Has faults strike requests, of a broker for tests. They are asked once a
//! request has passed all checks, so what is refused anyway is no match; nor is
//! what EXEC and scripts run, since nobody has sent that.

use std::sync::atomic::Ordering::Relaxed;

use crate::error::Result;
use crate::lab::faults::{Blow, Hit, Kind, Struck};
use crate::lab::scope::Request;
use crate::resp::output::Mark;
use crate::resp::{Argv, Output};
use crate::session::Ending;
use crate::session::client::Peer;
use crate::table::keys::keys_of;
use crate::table::{Command, Context, Flags};

/// What a fault does to the reply of the last request that ran.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It has struck it.
    Struck(Struck),
    /// It is to strike it: the client waits for it.
    Later(Blow),
}

/// Whether a request runs that has passed the checks; if not, its client is to go.
///
/// # Errors
///
/// A fault answers this.
pub(super) fn strike(context: &mut Context<'_>, command: &Command, argv: Argv<'_>) -> Result<bool> {
    let faults = context.server.faults();
    let Some(faults) = faults.filter(|faults| faults.any(Kind::Request)) else {
        return Ok(true);
    };
    // One in the program that has no connection is the test's own hand.
    if context.session.client.peer == Peer::Local {
        return Ok(true);
    }
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
    match faults.strike_request(&context.session.client.who(), &request) {
        None => Ok(true),
        Some(Hit::Error(error)) => {
            let stats = context.server.metrics.command(command.id);
            stats.rejected.fetch_add(1, Relaxed);
            Err(error)
        }
        Some(Hit::Drop) => {
            context.session.ending = Some(Ending::AfterReplies);
            Ok(false)
        }
        Some(Hit::Reply(blow)) => {
            context.blow = Some(blow);
            Ok(true)
        }
    }
}

/// Does to a reply that begins at `mark`, or is still to come, what a fault is
/// to do to it.
pub(super) fn strike_reply(
    context: &mut Context<'_>,
    blocks: bool,
    (output, mark): (&Output, Mark),
) -> Option<Fate> {
    let blow = context.blow.take()?;
    Some(if blocks {
        // Nobody answers it before this turn has ended.
        let mut outbox = context.session.client.outbox.lock();
        outbox.struck = Some(Box::default());
        Fate::Later(blow)
    } else {
        let len = output.written_since(mark);
        Fate::Struck(blow.strike(output.len() - len, len))
    })
}
