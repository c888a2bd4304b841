//! The verbs of the command line, one a file, and what they share: how they end.
//!
//! Only this part of the crate prints or exits. What was asked for goes to standard output,
//! everything about it to standard error.

mod address_flags;
mod allocator;
mod background;
mod client;
mod consumer;
mod descriptors;
mod environment;
mod error;
mod explain;
mod failure;
#[cfg(test)]
mod fake;
mod flags;
mod help;
mod interrupt;
mod lines;
mod log;
mod marker;
mod output;
mod pace;
mod parent;
mod ping;
mod pop;
mod pretty;
mod progress;
mod publish;
mod push;
mod rate;
mod record;
mod retry;
mod say;
pub mod serve;
mod shell;
mod signals;
mod steps;
mod subscribe;
mod supervisor;
mod target;
mod timeout;
mod watch;
mod write;

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use failure::Failure;

/// A message broker that speaks RESP, the Redis protocol
///
/// Without a verb it serves: `respd`, `respd --port 7000`, `respd FILE.conf`.
#[derive(Parser)]
#[command(
    name = "respd",
    version = say::FULL_VERSION,
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
    Push(push::Push),
    Pop(pop::Pop),
    Ping(ping::Ping),
    Watch(watch::Watch),
    Completions(shell::Completions),
    Man(shell::Manual),
}

/// Runs the program with the arguments after its name. What does not begin with a verb or a call
/// for help is meant for the broker: its flags, or a configuration file.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let mut words = arguments.iter().map(|argument| argument.to_str());
    let outcome = match (words.next().flatten(), words.next().flatten()) {
        (Some("help"), Some("serve")) | (Some("serve"), Some("help")) => {
            serve::run(&["--help".into()])
        }
        (Some("serve"), _) => serve::run(&arguments[1..]),
        (Some("help" | "-h" | "--help" | "--version" | "-V" | "-v"), _) => run_verb(arguments),
        (Some(verb), _) if Verb::has_subcommand(verb) => run_verb(arguments),
        _ => match arguments.first().and_then(|first| unknown_verb(first)) {
            Some(line) => Err(Failure::Failed(line)),
            None => serve::run(&arguments),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// What is said of a first word that is neither a verb nor a file.
fn unknown_verb(word: &OsStr) -> Option<String> {
    let command = CommandLine::command();
    let verbs = command.get_subcommands().map(clap::Command::get_name);
    explain::no_such_verb(word, verbs.chain(["serve", "help"]))
}

fn run_verb(mut arguments: Vec<OsString>) -> Result<(), Failure> {
    // After a verb -h is the host, as in redis-cli, and there as here the help without one.
    let has_texts = arguments.iter().any(|argument| argument == "--");
    if let [_, .., last] = &mut arguments[..]
        && last == "-h"
        && !has_texts
    {
        *last = OsString::from("--help");
    }
    // redis-server prints its version for the small letter, too.
    if let Some(first) = arguments.first_mut().filter(|first| *first == "-v") {
        *first = OsString::from("-V");
    }
    let program = std::iter::once(OsString::from("respd"));
    // The table of settings is set as text only for who asks.
    let command = help::styled(CommandLine::command().after_long_help(help::help()));
    // A usage error ends the program here, with status 2.
    let matches = command.get_matches_from(program.chain(arguments));
    let parsed = CommandLine::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match parsed.verb {
        Verb::Publish(publish) => publish.run(),
        Verb::Subscribe(subscribe) => subscribe.run(),
        Verb::Push(push) => push.run(),
        Verb::Pop(pop) => pop.run(),
        Verb::Ping(ping) => ping.run(),
        Verb::Watch(watch) => watch.run(),
        Verb::Completions(completions) => completions.run(CommandLine::command()),
        Verb::Man(manual) => manual.run(CommandLine::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
