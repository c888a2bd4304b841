//! Files that are there while the broker serves, for others to find it: the ready file and the
//! pid file.
//!
//! A broker has its own locked for as long as it runs, however it ends. So what nobody has locked
//! a crash has left behind, and what somebody has locked is taken from nobody.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file that is removed when this is dropped.
pub struct Marker {
    path: PathBuf,
    /// With the lock.
    file: File,
}

impl Marker {
    /// Writes the file in its place, as pid files are, whose directory need not be writable.
    pub fn write(path: PathBuf, text: &str) -> io::Result<Marker> {
        Marker::write_for(0o666, path, text)
    }

    /// Places a file that is whole as soon as it is there. Only its owner may read it: it may hold
    /// a password.
    pub fn place(path: PathBuf, text: &str) -> io::Result<Marker> {
        let mut beside = path.clone().into_os_string();
        beside.push(format!(".{}.tmp", std::process::id()));
        // Its name goes in any case.
        let draft = Marker::write_for(0o600, beside.into(), text)?;
        let file = draft.file.try_clone()?;
        let marker = Marker { path, file };
        loop {
            // Which replaces nothing, as renaming does.
            match fs::hard_link(&draft.path, &marker.path) {
                Ok(()) => break,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => make_way(&marker.path)?,
                // Some file systems have no links.
                Err(_) => {
                    fs::rename(&draft.path, &marker.path)?;
                    break;
                }
            }
        }
        Ok(marker)
    }

    fn write_for(mode: u32, path: PathBuf, text: &str) -> io::Result<Marker> {
        let mut options = File::options();
        let mut file = lock(&path, options.write(true).create(true).mode(mode))?;
        file.set_len(0)?;
        file.write_all(text.as_bytes())?;
        Ok(Marker { path, file })
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        // Somebody may have removed it already, and somebody else have made another.
        if is_at(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a file that a crash has left behind.
///
/// # Errors
///
/// Somebody has it, or it cannot be one.
pub fn make_way(path: &Path) -> io::Result<()> {
    let removed = fs::symlink_metadata(path)
        .and_then(|found| match found.file_type() {
            // To write, though nothing is: NFS locks what is open for reading only for nobody.
            kind if kind.is_file() => lock(path, File::options().write(true)).map(Some),
            // As renaming does, and nobody has locked the link.
            kind if kind.is_symlink() => Ok(None),
            _ => Err(io::Error::other("there is something that is no file")),
        })
        .and_then(|_lock| fs::remove_file(path));
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Opens a file and locks it until it is closed.
fn lock(path: &Path, options: &OpenOptions) -> io::Result<File> {
    loop {
        let file = options.open(path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other("another process has it locked"));
            }
            // Where a file system has no locks, nobody has one.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        // Who had it until now has removed it.
        if is_at(&file, path) {
            return Ok(file);
        }
    }
}

/// Whether a file is the one that a path leads to.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |file: Metadata| (file.dev(), file.ino());
    let there = fs::metadata(path).map(identity);
    there.is_ok_and(|there| file.metadata().map(identity).is_ok_and(|own| own == there))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn markers_are_whole_and_go_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ready");
        fs::write(&path, "an older one").unwrap();
        let marker = Marker::place(path.clone(), "{}").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        drop(marker);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        fs::write(&path, "an older and longer one").unwrap();
        let marker = Marker::write(path.clone(), "1\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "1\n");
        drop(marker);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn nothing_is_left_behind_where_it_cannot_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("taken");
        fs::create_dir(&taken).unwrap();
        assert!(Marker::place(taken.clone(), "").is_err());
        assert!(Marker::place(taken.join("no/such"), "").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_makes_way_and_what_it_leads_to_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (link, file) = (dir.path().join("link"), dir.path().join("file"));
        for is_there in [false, true] {
            if is_there {
                fs::write(&file, "not ours").unwrap();
            }
            std::os::unix::fs::symlink(&file, &link).unwrap();
            let marker = Marker::place(link.clone(), "{}").unwrap();
            assert_eq!(fs::read_to_string(&link).unwrap(), "{}");
            drop(marker);
            assert!(fs::symlink_metadata(&link).is_err());
            assert_eq!(file.exists(), is_there);
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "not ours");
    }

    #[test]
    fn what_somebody_has_is_taken_from_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("marker");
        for make in [Marker::write, Marker::place] {
            let marker = make(path.clone(), "first").unwrap();
            let refused = [
                make_way(&path),
                Marker::write(path.clone(), "second").map(drop),
                Marker::place(path.clone(), "second").map(drop),
            ];
            for refused in refused {
                assert_eq!(
                    refused.unwrap_err().to_string(),
                    "another process has it locked"
                );
            }
            assert_eq!(fs::read_to_string(&path).unwrap(), "first");
            // What has come in its place is somebody else's.
            fs::remove_file(&path).unwrap();
            fs::write(&path, "third").unwrap();
            drop(marker);
            assert_eq!(fs::read_to_string(&path).unwrap(), "third");
        }
    }

    #[test]
    fn of_many_at_once_one_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("marker");
        for round in 0..200 {
            if round % 2 == 0 {
                fs::write(&path, "left behind").unwrap();
            }
            let start = Barrier::new(4);
            let make = |name: String| {
                start.wait();
                let make = [Marker::write, Marker::place][round / 2 % 2];
                make(path.clone(), &name).ok().map(|marker| (name, marker))
            };
            let made: Vec<_> = thread::scope(|scope| {
                let threads = [0, 1, 2, 3].map(|n| scope.spawn(move || make(n.to_string())));
                threads
                    .map(|thread| thread.join().unwrap())
                    .into_iter()
                    .flatten()
                    .collect()
            });
            let [(name, _marker)] = &made[..] else {
                panic!("{} have it", made.len());
            };
            assert_eq!(&fs::read_to_string(&path).unwrap(), name);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
