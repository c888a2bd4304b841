//! Tells the supervisor that started the program how it does, as redis-server does.

use std::env::var_os;
use std::ffi::OsStr;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use respd::config::Supervised;
use rustix::process::{Signal, getpid, kill_process};

use super::say::describe;

/// What names the socket of systemd.
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

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
            () if wants(Supervised::Systemd) && has(NOTIFY_SOCKET) => Supervisor::Systemd,
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
            Supervisor::Systemd => notify("STATUS=Ready to accept connections\nREADY=1\n"),
            Supervisor::Upstart => warn(kill_process(getpid(), Signal::STOP).map_err(Into::into)),
            Supervisor::None => {}
        }
    }

    /// The end has come.
    pub fn stopping(self) {
        if self == Supervisor::Systemd {
            notify("STATUS=Shutting down\nSTOPPING=1\n");
        }
    }
}

fn notify(text: &str) {
    let told = var_os(NOTIFY_SOCKET).map(|name| {
        let address = address_of(&name)?;
        UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address)
    });
    warn(told.unwrap_or(Ok(0)).map(drop));
}

/// The socket of a name, which is a path or, behind an `@`, abstract: see sd_notify(3).
fn address_of(name: &OsStr) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    use std::os::{linux::net::SocketAddrExt, unix::ffi::OsStrExt};
    #[cfg(target_os = "linux")]
    if let Some(name) = name.as_bytes().strip_prefix(b"@") {
        return SocketAddr::from_abstract_name(name);
    }
    SocketAddr::from_pathname(name)
}

fn warn(told: io::Result<()>) {
    if let Err(error) = told {
        let error = describe(&error);
        tracing::warn!("The supervisor cannot be told: {error}");
    }
}
