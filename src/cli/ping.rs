//! `respd ping`: whether a broker answers, for health checks and for scripts that wait for one.

use std::io;
use std::time::{Duration, Instant};

use clap::Args;

use super::address_flags::{self, Flags};
use super::client::Connection;
use super::environment::Environment;
use super::failure::{Failure, print};
use super::interrupt::{INTERRUPTED, Interrupt};
use super::retry::Backoff;
use super::say::harmless;
use super::timeout::{Timeout, parse_timeout};

/// Ask a broker whether it is there
///
/// Prints PONG when it answers; else it says why not, with status 1.
#[derive(Args)]
#[command(disable_help_flag = true, after_help = address_flags::HELP, after_long_help = long_help())]
pub struct Ping {
    /// For those who expect the broker here, to be told where it goes
    #[arg(hide = true)]
    words: Vec<String>,

    /// Try again until it answers, for so long, then end with status 124; 0 is for ever
    #[arg(short, long, value_name = "SECONDS", value_parser = parse_timeout, allow_negative_numbers = true)]
    timeout: Option<Duration>,

    /// Print nothing
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    broker: Flags,
}

fn long_help() -> String {
    let examples = "\
Examples:
  respd ping -p 7000
  respd ping --timeout 10 && ./tests     wait for a broker that starts
  HEALTHCHECK CMD respd ping -q";
    format!("{examples}\n\n{}", address_flags::HELP)
}

impl Ping {
    pub fn run(self) -> Result<(), Failure> {
        if let Some(word) = self.words.first() {
            let word = harmless(word.as_bytes(), &[]);
            let line = format!("'{word}': the broker is named by -h HOST, -p PORT or -u URL");
            return Err(Failure::Setting(line));
        }
        let target = self.broker.target(&Environment::of_process())?;
        // A connection that is open has answered once.
        let mut opened = Connection::open(&target);
        if let Some(limit) = self.timeout {
            let deadline = Timeout::new(Some(limit)).deadline();
            let interrupt = Interrupt::watch(INTERRUPTED)?;
            let mut backoff = Backoff::new(fastrand::Rng::new());
            while let Err(failure) = &opened {
                if !failure.is_transient() {
                    break;
                }
                let mut delay = backoff.next_delay();
                if let Some(deadline) = deadline {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(Failure::TimedOut(failure.to_string()));
                    }
                    delay = delay.min(left);
                }
                if interrupt.wait(delay) {
                    return Err(Failure::Interrupted);
                }
                opened = Connection::open(&target);
            }
        }
        opened?;
        match self.quiet {
            true => Ok(()),
            false => print(&mut io::stdout(), b"PONG\n"),
        }
    }
}
