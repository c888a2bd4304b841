//! Tells the supervisor that started the program how it does, as redis-server does.

use std::env::var_os;
use std::io;

use respd::config::Supervised;
use rustix::process::{Signal, getpid, kill_process};
use sd_notify::NotifyState::{Ready, Status, Stopping};

use super::say::describe;

/// Who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supervisor {
    /// systemd, through the socket that it names.
    Systemd,
    /// Upstart, which waits until the program has stopped itself.
    Upstart,
    /// Nobody.
    None,
}

impl Supervisor {
    /// The one that the setting asks for, if the environment says that it is there.
    pub fn of(setting: Supervised) -> Supervisor {
        let has = |name| var_os(name).is_some();
        let wants = |one| setting == one || setting == Supervised::Auto;
        match () {
            () if wants(Supervised::Upstart) && has("UPSTART_JOB") => Supervisor::Upstart,
            () if wants(Supervised::Systemd) && has("NOTIFY_SOCKET") => Supervisor::Systemd,
            () => Supervisor::None,
        }
    }

    /// As settings and INFO name it.
    pub fn name(self) -> Supervised {
        match self {
            Supervisor::Systemd => Supervised::Systemd,
            Supervisor::Upstart => Supervised::Upstart,
            Supervisor::None => Supervised::No,
        }
    }

    /// Clients can connect.
    pub fn ready(self) {
        match self {
            Supervisor::Systemd => {
                warn(sd_notify::notify(&[
                    Status("Ready to accept connections"),
                    Ready,
                ]));
            }
            Supervisor::Upstart => warn(kill_process(getpid(), Signal::STOP).map_err(Into::into)),
            Supervisor::None => {}
        }
    }

    /// The end has come.
    pub fn stopping(self) {
        if self == Supervisor::Systemd {
            warn(sd_notify::notify(&[Status("Shutting down"), Stopping]));
        }
    }
}

fn warn(told: io::Result<()>) {
    if let Err(error) = told {
        let error = describe(&error);
        tracing::warn!("The supervisor cannot be told: {error}");
    }
}
