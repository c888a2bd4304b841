//! What shells and manuals know of the program, from the definitions of its verbs and the table of
//! settings.

use std::io;

use clap::builder::Str;
use clap::{Arg, ArgAction, Args, Command, ValueHint};
use clap_complete::Shell;
use clap_mangen::Man;
use respd::config;

use super::failure::{Failure, print};
use super::flags::FLAGS;

/// Print what completes commands and flags in a shell
#[derive(Args)]
#[command(after_help = "\
Examples:
  source <(respd completions bash)
  respd completions zsh > ~/.zfunc/_respd     with ~/.zfunc in fpath
  respd completions fish > ~/.config/fish/completions/respd.fish")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

/// Print the page of the manual, of the program or of one of its verbs
#[derive(Args)]
#[command(after_help = "\
Examples:
  respd man | man -l -
  respd man publish > /usr/local/share/man/man1/respd-publish.1")]
pub struct Manual {
    /// The verb
    verb: Option<String>,
}

impl Completions {
    /// `command` has the verbs.
    pub fn run(self, command: Command) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut with_server(command), "respd", &mut script);
        print(&mut io::stdout(), &script)
    }
}

impl Manual {
    /// `command` has the verbs.
    pub fn run(self, command: Command) -> Result<(), Failure> {
        let mut command = with_server(command);
        command.build();
        let page = match &self.verb {
            None => command,
            Some(verb) => {
                let found = command.find_subcommand(verb).cloned();
                let found = found.ok_or_else(|| format!("there is no command '{verb}'"));
                let name = format!("respd-{verb}");
                found.map_err(Failure::Failed)?.name(Str::from(name))
            }
        };
        let mut text = Vec::new();
        Man::new(page).render(&mut text)?;
        print(&mut io::stdout(), &text)
    }
}

/// The verbs, and what serving takes, which is not read by `clap`.
fn with_server(command: Command) -> Command {
    let serve = Command::new("serve").about("Serve, as without a command");
    let file = Arg::new("FILE.conf").value_hint(ValueHint::FilePath);
    let file = file.help("Configuration file, in the form of redis.conf");
    command
        .subcommand_required(false)
        .subcommand(serve.arg(file.clone()).args(server_flags()))
        .arg(file)
        .args(server_flags())
}

fn server_flags() -> Vec<Arg> {
    // `clap` has its own for the version.
    let flags = FLAGS.iter().filter(|flag| flag.name != "version");
    let flags = flags.map(|flag| {
        let arg = Arg::new(flag.name).long(flag.name).help(flag.help);
        match flag.value {
            Some(value) => arg.value_name(value).value_hint(ValueHint::FilePath),
            None => arg.action(ArgAction::SetTrue),
        }
    });
    let settings = config::help().map(|setting| {
        let help = setting.help.trim_end_matches('.');
        let arg = Arg::new(setting.name).long(setting.name).help(help);
        arg.value_name(setting.value_hint)
    });
    flags.chain(settings).collect()
}
