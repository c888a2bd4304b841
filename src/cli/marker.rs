//! Files that are there while the broker serves, for others to find it: the ready file and the
//! pid file.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// A file that is removed when this is dropped.
pub struct Marker {
    path: PathBuf,
}

impl Marker {
    /// Writes the file in its place, as pid files are, whose directory need not be writable.
    pub fn write(path: PathBuf, text: &str) -> io::Result<Marker> {
        fs::write(&path, text)?;
        Ok(Marker { path })
    }

    /// Writes the file beside its place and renames it, so that whoever finds it finds all of it.
    /// Only its owner may read it: it may hold a password.
    pub fn rename_into_place(path: PathBuf, text: &str) -> io::Result<Marker> {
        let mut beside = path.clone().into_os_string();
        beside.push(format!(".{}.tmp", std::process::id()));
        let beside = PathBuf::from(beside);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let written = options
            .open(&beside)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| fs::rename(&beside, &path));
        if let Err(error) = written {
            // What failed matters more than a leftover that cannot be removed either.
            let _ = fs::remove_file(&beside);
            return Err(error);
        }
        Ok(Marker { path })
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn markers_are_whole_and_go_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ready");
        fs::write(&path, "an older one").unwrap();
        let marker = Marker::rename_into_place(path.clone(), "{}").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        drop(marker);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        drop(Marker::write(path, "1\n").unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn nothing_is_left_behind_where_it_cannot_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("taken");
        fs::create_dir(&taken).unwrap();
        assert!(Marker::rename_into_place(taken.clone(), "").is_err());
        assert!(Marker::rename_into_place(taken.join("no/such"), "").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
