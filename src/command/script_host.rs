//! What a script asks of the server: the commands that it calls.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::stream_read;
use crate::error::{Error, Result};
use crate::resp::{Argv, Reply};
use crate::script::{Host, Program, ScriptFlags, Sha};
use crate::server::SlowScript;
use crate::table::{Command, Context, Flags, Table, call};

/// A script or a function that is to be run.
pub struct Called<'p> {
    /// What it is called.
    pub name: Name<'p>,
    /// What it says of itself.
    pub flags: Option<ScriptFlags>,
    /// What runs.
    pub program: Program,
    /// It may write nothing.
    pub read_only: bool,
}

/// The name of a script or a function.
#[derive(Clone, Copy)]
pub enum Name<'n> {
    /// That of a script.
    Script(Sha),
    /// That of a function.
    Function(&'n str),
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Script(sha) => sha.fmt(f),
            Name::Function(name) => f.write_str(name),
        }
    }
}

/// The client that runs a script, and what the script may do.
pub struct ScriptHost<'c, 'a> {
    context: &'c mut Context<'a>,
    table: &'static Table,
    name: Name<'c>,
    /// It may write nothing.
    read_only: bool,
    /// It may write though memory is full.
    allows_oom: bool,
    /// It has written.
    wrote: bool,
    /// The request that runs it.
    request: Argv<'c>,
    /// When it began, by the machine's time.
    since: Duration,
    /// When it was looked around last, in the same time.
    looked: Duration,
    /// When others have been served last, if it runs for long.
    served: Option<Duration>,
}

/// Others are served so often while a script runs for long.
const SERVE_EVERY: Duration = Duration::from_millis(5);

impl<'c, 'a> ScriptHost<'c, 'a> {
    /// For a script that begins now.
    pub fn new(
        context: &'c mut Context<'a>,
        table: &'static Table,
        request: Argv<'c>,
        called: &'c Called<'c>,
    ) -> ScriptHost<'c, 'a> {
        let flags = called.flags.unwrap_or_default();
        let since = context.turn.clock_read();
        context.script_time = None;
        context.server.running_script.begin();
        ScriptHost {
            context,
            table,
            name: called.name,
            read_only: called.read_only || flags.contains(ScriptFlags::NO_WRITES),
            allows_oom: flags.contains(ScriptFlags::ALLOW_OOM),
            wrote: false,
            request,
            since,
            looked: since,
            served: None,
        }
    }

    fn check(&self, argv: Argv<'_>) -> Result<&'static Command> {
        let command = self.table.lookup(argv);
        let command = command.map_err(|_| Error::UNKNOWN_IN_SCRIPT)?;
        let stats = self.context.server.metrics.command(command.id);
        let refuse = |error| {
            stats.rejected.fetch_add(1, Relaxed);
            Err(error)
        };
        let flags = command.row.flags;
        if !command.row.accepts(argv.len()) {
            return refuse(Error::ARITY_IN_SCRIPT);
        }
        if flags.contains(Flags::NOSCRIPT) {
            return refuse(Error::NOT_IN_SCRIPT);
        }
        if self.read_only && flags.intersects(Flags::WRITE | Flags::MAY_REPLICATE) {
            return refuse(Error::WRITE_IN_READ_ONLY_SCRIPT);
        }
        // What has been begun is to be finished.
        let may_grow = self.allows_oom || self.wrote || !self.context.is_out_of_memory();
        if flags.contains(Flags::DENYOOM) && !may_grow {
            return refuse(Error::OUT_OF_MEMORY);
        }
        if flags.contains(Flags::BLOCKING) && stream_read::asks_to_block(command, argv) {
            stats.calls.fetch_add(1, Relaxed);
            stats.failed.fetch_add(1, Relaxed);
            let name = String::from_utf8_lossy(argv.get(0).unwrap_or_default());
            return Err(Error::new(format!(
                "ERR {name} command is not allowed with BLOCK option from scripts"
            )));
        }
        Ok(command)
    }
}

impl ScriptHost<'_, '_> {
    /// Has others told that the script runs for long, and hears whether they
    /// have it end.
    fn let_others_in(&mut self) {
        let server = self.context.server;
        let now = server.clock.machine();
        match self.served {
            Some(served) if now.saturating_sub(served) < SERVE_EVERY => return,
            Some(_) => {}
            None => {
                tracing::warn!(
                    "Slow script detected: still in execution after {} milliseconds.",
                    now.saturating_sub(self.since).as_millis(),
                );
                let function = match self.name {
                    Name::Script(_) => None,
                    Name::Function(name) => Some(name.to_owned()),
                };
                server.running_script.note_slow(SlowScript {
                    function,
                    request: self.request.to_owned(),
                    since: self.since,
                    wrote: self.wrote,
                });
            }
        }
        if self.wrote {
            server.running_script.note_written();
        }
        if let Some(meanwhile) = self.context.meanwhile {
            self.context.turn.let_others_in(meanwhile);
        }
        self.served = Some(server.clock.machine());
    }
}

impl Drop for ScriptHost<'_, '_> {
    fn drop(&mut self) {
        self.context.server.running_script.end();
    }
}

impl Host for ScriptHost<'_, '_> {
    fn call(&mut self, argv: Argv<'_>, reply: &mut Reply<'_>) {
        match self.check(argv) {
            Ok(command) => {
                self.wrote |= command.row.flags.contains(Flags::WRITE);
                call(self.context, self.table, command, true, argv, reply);
            }
            Err(error) => {
                self.context.server.metrics.count_error(error.text());
                reply.error(&error);
            }
        }
    }

    fn may_run(&mut self, argv: Argv<'_>) -> Option<bool> {
        // Without users everybody may run everything.
        self.table.lookup(argv).ok().map(|_| true)
    }

    fn note_error(&mut self, text: &[u8], counted: bool) {
        let metrics = &self.context.server.metrics;
        if let Ok(command) = self.table.lookup(self.request) {
            metrics.command(command.id).failed.fetch_add(1, Relaxed);
        }
        if !counted {
            metrics.count_error(text);
        }
    }

    fn note_counted(&mut self) {
        self.context.error_is_counted = true;
    }

    fn look_around(&mut self, now: Duration) -> Option<&'static str> {
        self.looked = now;
        let server = self.context.server;
        if server.over.is_cancelled() {
            return Some("ERR The server ends, and the script with it.");
        }
        self.context.turn.skip_to(now);
        let ran = now.saturating_sub(self.since);
        let threshold = Duration::from_millis(server.live.busy_ms.load(Relaxed));
        if threshold.is_zero() || ran < threshold {
            return None;
        }
        self.let_others_in();
        let killed = server.running_script.is_killed();
        killed.then_some("ERR Script killed by user with SCRIPT KILL...")
    }

    fn look_after_call(&mut self) -> Option<&'static str> {
        let now = self.context.turn.clock_read();
        let is_late = now.saturating_sub(self.looked) >= SERVE_EVERY;
        is_late.then(|| self.look_around(now)).flatten()
    }

    fn uptime(&self) -> Duration {
        self.context.server.clock.machine()
    }
}
