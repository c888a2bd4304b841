//! What a broker, or the way to it, has against what a client verb wants.

use std::fmt;
use std::io;

use respd::resp::value::ProtocolError;

#[derive(Debug)]
pub enum Error {
    /// No connection came about.
    Unreachable {
        address: String,
        start_command: Option<String>,
        cause: Cause,
    },
    /// A connection ended that had been one.
    Lost { address: String, cause: Cause },
    /// The broker answered with an error: code and text.
    Refused { address: String, text: String },
    /// The broker answered what makes no sense here.
    Unexpected { address: String },
}

/// What went wrong underneath.
#[derive(Debug)]
pub enum Cause {
    Io(io::Error),
    /// Nobody knows the host by its name.
    Unresolved(io::Error),
    Protocol(ProtocolError),
    ReplyTooLong,
    Closed,
}

impl Error {
    /// Whether trying again later may help: the broker is away, starts, runs a script for long, or
    /// has too many clients.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Unreachable { .. } | Error::Lost { .. } => true,
            Error::Refused { text, .. } => {
                text.starts_with("LOADING ")
                    || text.starts_with("BUSY ")
                    || text == "ERR max number of clients reached"
            }
            Error::Unexpected { .. } => false,
        }
    }
}

/// One line each.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unreachable {
                address,
                start_command,
                cause,
            } => {
                write!(f, "cannot connect to {address}: {cause}")?;
                // Something else runs there otherwise, or there is no such place.
                if matches!(cause, Cause::Protocol(_) | Cause::Unresolved(_)) {
                    return Ok(());
                }
                f.write_str("; is the broker running?")?;
                match start_command {
                    Some(command) => write!(f, " start one with: {command}"),
                    None => Ok(()),
                }
            }
            Error::Lost { address, cause } => {
                write!(f, "the connection to {address} was lost: {cause}")
            }
            Error::Refused { address, text } => {
                write!(f, "{address} answered: {text}")?;
                if text.starts_with("NOAUTH ") {
                    f.write_str(
                        " Give the password with -a, in REDIS_PASSWORD, or in the URL: \
                         redis://:PASSWORD@HOST:PORT/DB",
                    )?;
                }
                Ok(())
            }
            Error::Unexpected { address } => {
                write!(f, "{address} answered what no broker answers to this")
            }
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => f.write_str("connection refused"),
                io::ErrorKind::NotFound => f.write_str("no such socket"),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                    f.write_str("connection reset")
                }
                // The first of the two is what a socket with a timeout reports on Linux.
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    f.write_str("no answer in time")
                }
                _ => write!(f, "{error}"),
            },
            Cause::Unresolved(error) => {
                // The system's function and its words about the matter.
                let error = error.to_string();
                let words = error.rsplit(": ").next().unwrap_or_default();
                write!(f, "the host is not found ({words})")
            }
            Cause::Protocol(error) => write!(f, "it does not speak RESP ({error})"),
            Cause::ReplyTooLong => f.write_str("it sent a reply beyond 1 GiB"),
            Cause::Closed => f.write_str("it closed the connection"),
        }
    }
}
