//! What the server is to a script.

use std::time::Duration;

use crate::resp::{Argv, Reply};

/// What a script asks of the server while it runs.
pub trait Host {
    /// Runs a command.
    fn call(&mut self, argv: Argv<'_>, reply: &mut Reply<'_>);

    /// Whether the client that runs the script may run this command with these
    /// arguments. `None` if there is no such command.
    fn may_run(&mut self, argv: Argv<'_>) -> Option<bool>;

    /// The script answers an error, which may be `counted` already.
    fn note_error(&mut self, _text: &[u8], _counted: bool) {}

    /// The error that ends the script is counted already.
    fn note_counted(&mut self) {}

    /// Looks after what goes on meanwhile, every so often; answers why the
    /// script is to end, if it is.
    fn look_around(&mut self, now: Duration) -> Option<&'static str>;

    /// The same behind a command, if that has taken long.
    fn look_after_call(&mut self) -> Option<&'static str> {
        None
    }

    /// The machine's time, by which a script is timed.
    fn uptime(&self) -> Duration;
}
