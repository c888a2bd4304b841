//! The file of a Unix socket: taken from nobody who still listens on it, and removed at the end
//! unless it has become somebody else's.

use std::fs::{self, File, Metadata, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use super::holder;

/// A file that is removed when this is dropped, which must come before its listener is: until then
/// nobody else takes the path, and no other file is this one.
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
        let _start = Start::at(path)?;
        make_way(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        let file = SocketFile {
            // One that holds wherever the process goes.
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            identity: fs::metadata(path).map(identity)?,
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
        if leads_to(&self.path, self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(file: Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

fn leads_to(path: &Path, file: (u64, u64)) -> bool {
    fs::metadata(path).is_ok_and(|there| identity(there) == file)
}

/// A file beside a path, locked by the one broker that starts to listen there. A socket that is
/// bound and does not listen yet looks like one that was left behind.
struct Start {
    path: PathBuf,
    _lock: File,
}

impl Start {
    /// # Errors
    ///
    /// Another broker starts at this moment.
    fn at(path: &Path) -> io::Result<Start> {
        let mut path = path.as_os_str().to_owned();
        path.push(".starting");
        let path = PathBuf::from(path);
        let mut options = File::options();
        let file = options.append(true).create(true).open(&path)?;
        // Where a file system has no locks, nobody has one.
        let is_locked = !matches!(file.try_lock(), Err(TryLockError::WouldBlock));
        // Who had it until now has removed it.
        if is_locked && leads_to(&path, file.metadata().map(identity)?) {
            return Ok(Start { path, _lock: file });
        }
        Err(io::Error::new(ErrorKind::AddrInUse, holder::in_use(None)))
    }
}

impl Drop for Start {
    fn drop(&mut self) {
        // While it is locked, so that nobody locks what is none any more.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes what a broker has left behind that was killed, and nothing else.
fn make_way(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(file) if file.file_type().is_socket() => {}
        Ok(_) => return Err(io::Error::other("there is a file that is no socket")),
        // A link that leads nowhere is in the way as well.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return match fs::symlink_metadata(path) {
                Ok(link) if link.is_symlink() => fs::remove_file(path),
                _ => Ok(()),
            };
        }
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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn a_link_that_leads_nowhere_makes_way() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        std::os::unix::fs::symlink(dir.path().join("gone"), &path).unwrap();
        let _listening = SocketFile::listen(&path, 0, 5).unwrap();
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn of_many_that_start_at_once_one_listens() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        for round in 0..300 {
            if round % 3 > 0 {
                drop(UnixListener::bind(&path).unwrap());
            }
            let start = Barrier::new(4);
            let listen = || {
                start.wait();
                SocketFile::listen(&path, 0, 5).map_err(|error| error.to_string())
            };
            let (listening, failed): (Vec<_>, Vec<_>) = thread::scope(|scope| {
                let threads = [(); 4].map(|()| scope.spawn(listen));
                let ends = threads.map(|thread| thread.join().unwrap());
                ends.into_iter().partition(Result::is_ok)
            });
            assert_eq!(listening.len(), 1, "round {round}");
            for failed in failed.into_iter().filter_map(Result::err) {
                assert!(failed.starts_with("Address already in use"), "{failed}");
            }
            UnixStream::connect(&path).unwrap();
            drop(listening);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        }
    }
}
