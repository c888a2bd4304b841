//! A directory of the broker's own for its Unix socket, where nobody else can connect.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// How often a name that nobody has is looked for. There are 36^8.
const ATTEMPTS: usize = 16;

/// A directory that is removed when this is dropped, unless somebody has put something there.
pub struct SocketDir(PathBuf);

impl SocketDir {
    /// Makes one that is open to this user alone.
    ///
    /// # Errors
    ///
    /// None can be made among the system's temporary files.
    pub fn new() -> io::Result<SocketDir> {
        let temporary = std::path::absolute(std::env::temp_dir())?;
        let mut directory = DirBuilder::new();
        directory.mode(0o700);
        for _ in 0..ATTEMPTS {
            let random: String = (0..8).map(|_| fastrand::digit(36)).collect();
            let path = temporary.join(format!("respd-{random}"));
            match directory.create(&path) {
                Ok(()) => return Ok(SocketDir(path)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SocketDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
