//! `daemonize yes`: the program starts itself again, in a session of its own, and ends as soon as
//! that one serves, or with its status if it does not.
//!
//! Both hold one end of a pair of sockets, which is the other one's standard input. What is
//! written there is the configuration that was read from standard input, if any was; what comes
//! back is one byte, once clients can connect. Until then both share standard output and error,
//! so that whoever started the first sees what the second one says.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::setsid;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::failure::Failure;
use super::flags::IN_BACKGROUND;
use super::say::describe;

/// Starts the program again with the same arguments, and returns when it serves.
pub fn start(arguments: &[OsString], stdin: &[u8]) -> Result<(), Failure> {
    let (mut ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(name) = std::env::args_os().next() {
        command.arg0(name);
    }
    command.arg(IN_BACKGROUND).args(arguments);
    let child = command.stdin(OwnedFd::from(theirs)).spawn();
    let mut child = child.map_err(|error| {
        let error = describe(&error);
        Failure::Failed(format!("cannot start again in the background: {error}"))
    })?;
    // It has a copy of their end, and the child's end would go unnoticed.
    drop(command);
    // One that does not read it has failed, and says so itself.
    let _ = ours.write_all(stdin);
    let _ = ours.shutdown(Shutdown::Write);
    match ours.read(&mut [0]) {
        Ok(1) => Ok(()),
        _ => Err(Failure::Told(child.wait()?.code().unwrap_or(1))),
    }
}

/// A program that was started by itself.
pub struct Background {
    starter: UnixStream,
}

impl Background {
    /// Leaves the session of whoever started it, so that no terminal takes it down.
    pub fn enter() -> io::Result<Background> {
        setsid()?;
        let starter = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Background {
            starter: starter.into(),
        })
    }

    /// Lets go of standard input, output and error, and tells the starter that it may end.
    ///
    /// # Errors
    ///
    /// The starter has ended already: somebody wanted neither of them.
    pub fn ready(mut self) -> io::Result<()> {
        let nothing = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")?;
        dup2_stdin(&nothing)?;
        dup2_stdout(&nothing)?;
        dup2_stderr(&nothing)?;
        self.starter.write_all(&[1])
    }
}
