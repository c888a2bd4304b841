//! The verbs of the command line, one a file, and what they share: how they end.
//!
//! Only this part of the crate prints or exits. What was asked for goes to standard output,
//! everything about it to standard error.

mod client;
#[cfg(test)]
mod fake;
mod interrupt;
mod lines;
mod pretty;
mod publish;
mod queue;
mod retry;
pub mod serve;
mod subscribe;
mod target;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A message broker that speaks RESP, the Redis protocol
///
/// Without a verb it serves: `respd`, `respd --port 7000`, `respd FILE.conf`.
#[derive(Parser)]
#[command(
    name = "respd",
    version,
    override_usage = "respd [FILE.conf] [--SETTING VALUE]...\n       respd <COMMAND>"
)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Publish(publish::Publish),
    Subscribe(subscribe::Subscribe),
    Push(queue::Push),
    Pop(queue::Pop),
}

/// Runs the program with the arguments after its name. What does not begin with a verb or a call
/// for help is meant for the broker: its flags, or a configuration file.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let first = arguments.first().and_then(|argument| argument.to_str());
    let outcome = match first {
        Some("publish" | "subscribe" | "push" | "pop" | "help" | "-h" | "--help" | "--version")
        | Some("-V" | "-v") => run_verb(arguments),
        Some("serve") => serve::run(&arguments[1..]),
        _ => serve::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run_verb(arguments: Vec<OsString>) -> Result<(), Failure> {
    // redis-server prints its version for the small letter, too.
    let arguments = arguments.into_iter().map(|argument| match argument {
        small if small == "-v" => OsString::from("-V"),
        argument => argument,
    });
    let program = std::iter::once(OsString::from("respd"));
    // A usage error ends the program here, with status 2.
    match CommandLine::parse_from(program.chain(arguments)).verb {
        Verb::Publish(publish) => publish.run(),
        Verb::Subscribe(subscribe) => subscribe.run(),
        Verb::Push(push) => push.run(),
        Verb::Pop(pop) => pop.run(),
    }
}

/// Why a verb ends without having done what it was asked to.
#[derive(Debug)]
pub enum Failure {
    /// A setting cannot be used. Status 2, as for a wrong flag.
    Setting(String),
    /// Anything else that takes one line to tell. Status 1.
    Failed(String),
    /// The user ended it. Status 130.
    Interrupted,
    /// Nobody reads standard output any more, as after `| head`. That is no failure: status 0.
    OutputClosed,
}

impl Failure {
    fn report(self) -> ExitCode {
        match self {
            Failure::Setting(line) => {
                tell(&line);
                ExitCode::from(2)
            }
            Failure::Failed(line) => {
                tell(&line);
                ExitCode::FAILURE
            }
            Failure::Interrupted => ExitCode::from(interrupt::INTERRUPTED),
            Failure::OutputClosed => ExitCode::SUCCESS,
        }
    }
}

impl From<target::Invalid> for Failure {
    fn from(invalid: target::Invalid) -> Failure {
        Failure::Setting(invalid.to_string())
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Failure {
        Failure::Failed(error.to_string())
    }
}

/// For what the operating system refuses and has no better explanation.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Failed(error.to_string())
    }
}

/// Says one line to the user, apart from the output.
fn tell(line: &str) {
    // Without anyone to hear it, work goes on.
    let _ = writeln!(io::stderr(), "respd: {line}");
}

/// Writes all of `block` to standard output, so that neither another thread's exit nor a buffer
/// comes between its first and its last byte.
fn print(output: &mut impl Write, block: &[u8]) -> Result<(), Failure> {
    match output.write_all(block).and_then(|()| output.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::OutputClosed),
        Err(error) => Err(Failure::Failed(format!("cannot write the output: {error}"))),
    }
}

/// A number and its noun, in the plural where it is due.
fn counted(count: i64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn one_is_singular_and_nothing_plural() {
        assert_eq!(counted(0, "subscriber"), "0 subscribers");
        assert_eq!(counted(1, "subscriber"), "1 subscriber");
        assert_eq!(counted(2, "subscriber"), "2 subscribers");
    }
}
