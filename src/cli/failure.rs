//! How a verb ends that has not done what it was asked to.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use super::say::tell;
use super::write::write_all;
use super::{environment, error, interrupt};

/// Why a verb ends without having done what it was asked to.
#[derive(Debug)]
pub enum Failure {
    /// A setting cannot be used. Status 2, as for a wrong flag.
    Setting(String),
    /// Anything else that takes one line to tell. Status 1.
    Failed(String),
    /// The user has been told already, by a program that ended with this status.
    Told(i32),
    /// What was waited for did not come in time. Status 124, as of timeout(1).
    TimedOut(String),
    /// The user ended it. Status 130.
    Interrupted,
    /// Nobody reads standard output any more, as after `| head`. That is no failure: status 0.
    OutputClosed,
}

impl Failure {
    /// What it means that standard output takes no more.
    pub fn of_output(error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::Failed(format!("cannot write the output: {error}")),
        }
    }

    /// Tells the user, and answers the exit status.
    pub fn report(self) -> ExitCode {
        match self {
            Failure::Setting(line) => {
                tell(&line);
                ExitCode::from(2)
            }
            Failure::Failed(line) => {
                tell(&line);
                ExitCode::FAILURE
            }
            Failure::Told(status) => ExitCode::from(u8::try_from(status).unwrap_or(1)),
            Failure::TimedOut(line) => {
                tell(&line);
                ExitCode::from(124)
            }
            Failure::Interrupted => ExitCode::from(interrupt::INTERRUPTED),
            Failure::OutputClosed => ExitCode::SUCCESS,
        }
    }
}

impl From<environment::Invalid> for Failure {
    fn from(invalid: environment::Invalid) -> Failure {
        Failure::Setting(invalid.to_string())
    }
}

impl From<error::Error> for Failure {
    fn from(error: error::Error) -> Failure {
        Failure::Failed(error.to_string())
    }
}

/// For what the operating system refuses and has no better explanation.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Failed(error.to_string())
    }
}

/// Writes all of `block` to standard output, so that neither another thread's exit nor a buffer
/// comes between its first and its last byte.
pub fn print(output: &mut impl Write, block: &[u8]) -> Result<(), Failure> {
    let whole = io::stdout().lock();
    write_all(output, whole.as_fd(), block, &mut 0).map_err(|error| Failure::of_output(&error))
}
