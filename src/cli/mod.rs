//! The verbs of the command line, one a file, and what they share: how they end.
//!
//! Only this part of the crate prints or exits. What was asked for goes to standard output,
//! everything about it to standard error.

mod allocator;
mod client;
mod descriptors;
#[cfg(test)]
mod fake;
mod interrupt;
mod lines;
mod log;
mod marker;
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

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A message broker that speaks RESP, the Redis protocol
///
/// Without a verb it serves: `respd`, `respd --port 7000`, `respd FILE.conf`.
#[derive(Parser)]
#[command(
    name = "respd",
    version = concat!(env!("CARGO_PKG_VERSION"), " (speaks RESP, behaves as Redis 7.2)"),
    override_usage = "respd [FILE.conf] [--SETTING VALUE]... [-]\n       respd <COMMAND>",
    after_help = "See --help for the flags of the server and all settings."
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
    // The table of settings is set as text only for who asks.
    let command = CommandLine::command().after_long_help(serve::help());
    // A usage error ends the program here, with status 2.
    let matches = command.get_matches_from(program.chain(arguments));
    let parsed = CommandLine::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match parsed.verb {
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

/// The system's words for an error, without its number.
fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// A text as one line of bounded length that moves no cursor: clients and files may be quoted in
/// it.
fn one_line(text: &str) -> String {
    // Escaped and with what stands around it, it still fits into PIPE_BUF, so that nobody else's
    // line comes in between.
    const MAX: usize = 600;
    let mut line = String::with_capacity(text.len());
    for char in text.chars().take(MAX) {
        match char.is_control() {
            true => line.extend(char.escape_default()),
            false => line.push(char),
        }
    }
    if text.chars().nth(MAX).is_some() {
        line.push('…');
    }
    line
}

/// A number and its noun, in the plural where it is due.
fn counted(count: i64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn one_line_is_one_line() {
        assert_eq!(one_line("a\r\nb\u{1b}[0m é"), "a\\r\\nb\\u{1b}[0m é");
        let long = one_line(&"é".repeat(601));
        assert_eq!(long, "é".repeat(600) + "…");
    }

    #[test]
    fn one_is_singular_and_nothing_plural() {
        assert_eq!(counted(0, "subscriber"), "0 subscribers");
        assert_eq!(counted(1, "subscriber"), "1 subscriber");
        assert_eq!(counted(2, "subscriber"), "2 subscribers");
    }
}
