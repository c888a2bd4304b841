//! The file of a Unix socket: taken from nobody who still listens on it, and removed at the end
//! unless it has become somebody else's.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use super::holder;

/// A file that is removed when this is dropped.
pub struct SocketFile {
    path: PathBuf,
    /// Which file it is, on which device.
    identity: (u64, u64),
}

impl SocketFile {
    /// Listens on the path. Its file gets the mode, unless that is 0.
    ///
    /// # Errors
    ///
    /// Somebody listens there, or the file is none of a socket.
    pub fn listen(path: &Path, mode: u32, backlog: i32) -> io::Result<(SocketFile, UnixListener)> {
        make_way(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        let file = SocketFile {
            // One that holds wherever the process goes.
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            identity: identity(path)?,
        };
        if mode != 0 {
            // Before anybody can connect.
            fs::set_permissions(path, Permissions::from_mode(mode))?;
        }
        socket.listen(backlog)?;
        socket.set_nonblocking(true)?;
        Ok((file, socket.into()))
    }

    /// Where it is, by a name that holds anywhere.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have removed it already, and somebody else have made another.
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::metadata(path)?;
    Ok((file.dev(), file.ino()))
}

/// Removes what a broker has left behind that was killed, and nothing else.
fn make_way(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(file) if file.file_type().is_socket() => {}
        Ok(_) => return Err(io::Error::other("there is a file that is no socket")),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // One that has many to accept is to hold up nobody.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(error),
        _ => Err(io::Error::new(ErrorKind::AddrInUse, taken(&socket))),
    }
}

#[cfg(target_os = "linux")]
fn taken(socket: &Socket) -> String {
    let peer = rustix::net::sockopt::socket_peercred(socket);
    holder::in_use(
        peer.ok()
            .map(|peer| holder::name(peer.pid.as_raw_nonzero().get() as u32)),
    )
}

#[cfg(not(target_os = "linux"))]
fn taken(_: &Socket) -> String {
    holder::in_use(None)
}
