//! What a test has on record of the requests of a batch.

use super::{Next, take_messages};
use crate::lab::record::Recorder;
use crate::lab::record::entry::{Repeats, Request};
use crate::resp::output::Mark;
use crate::resp::{Argv, Output, OwnedArgv};
use crate::table::keys::keys_of;
use crate::table::{Command, Context, Flags, Group, Table, secrets};

/// A request that runs, and is to be on record.
pub struct Recorded<'a> {
    recorder: Recorder<'a>,
    client: u64,
    mark: Mark,
}

/// Notes a request that is about to run, if somebody wants a record. There is
/// none of RESPD.
pub fn begin<'a>(
    context: &mut Context<'a>,
    table: &'static Table,
    command: Option<&'static Command>,
    argv: Argv<'_>,
    output: &mut Output,
) -> Option<Recorded<'a>> {
    let recorder = context.server.recorder()?;
    let named = command.or_else(|| table.find(argv.get(0)?));
    if argv.is_empty() || named.is_some_and(|named| is_for_tests(table, named)) {
        return None;
    }
    // What runs has one order, whether or not it needs the keyspace: a client
    // gets what was handed to it before, then the reply, and nothing of others
    // comes in between. While a script lets others in there is no such order.
    context.turn.begin();
    let client = &context.session.client;
    take_messages(client, output);
    recorder.begin(client.who(), request(command, argv));
    Some(Recorded {
        recorder,
        client: client.id,
        mark: output.mark(),
    })
}

impl Recorded<'_> {
    /// Notes what has become of it. Behind the mark there is its reply alone.
    pub fn end(self, next: &Next, output: &Output) {
        let Recorded {
            recorder, client, ..
        } = self;
        let blocks = matches!(next, Next::Block(_));
        match next {
            Next::Hold | Next::Aside => recorder.cancel(client),
            // What a fault does to the reply is its own affair.
            Next::Run | Next::Block(_) => recorder.end(client, (output, self.mark), blocks),
        }
    }
}

fn is_for_tests(table: &Table, named: &Command) -> bool {
    let mut all = table.subcommands(named).chain([named]);
    all.any(|command| command.row.flags.contains(Flags::FOR_TESTS))
}

fn request(command: Option<&'static Command>, argv: Argv<'_>) -> Request {
    let Some(command) = command else {
        return Request::new(argv);
    };
    let row = &command.row;
    let redacted = secrets::redacted(row.secrets, argv);
    let mut request = Request::new(redacted.as_ref().map_or(argv, OwnedArgv::as_argv));
    request.is_covered = redacted.is_some();
    request.command = command.id;
    request.container = command.parent;
    request.name_words = command.name_words();
    let keys = keys_of(row.keys, argv).unwrap_or_default();
    request.note_keys(keys.iter().map(|(place, _)| *place));
    let channels = row.channels.of(argv).count();
    request.note_channels(1..=channels);
    request.repeats = repeats(command);
    request
}

/// How the reply is when the request is sent to another broker.
fn repeats(command: &Command) -> Repeats {
    let row = &command.row;
    if row.flags.contains(Flags::RUNS_QUEUED) {
        Repeats::AsWhatWasQueued
    } else if row.flags.contains(Flags::DROPS_QUEUED) {
        Repeats::AndDropsQueue
    } else if row.tips.contains(&"nondeterministic_output") {
        Repeats::Differently
    } else if row.tips.contains(&"nondeterministic_output_order") {
        Repeats::InAnyOrder
    } else if row.group == Group::Connection {
        Repeats::ButForId
    } else {
        Repeats::Exactly
    }
}
