//! The text forms of single values: modes, yes or no, percentiles, paths.
//!
//! Each parser takes what Redis takes and nothing else. The reasons for a refusal are
//! Redis's texts and stand beside the kinds of settings in `settings.rs`.

use std::io;
use std::path::{Path, PathBuf};

/// An octal integer, such as a file mode. Redis reads the empty string as zero.
pub(super) fn parse_octal(text: &[u8]) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    i64::from_str_radix(str::from_utf8(text).ok()?, 8).ok()
}

pub(super) fn parse_yes_no(text: &[u8]) -> Option<bool> {
    if text.eq_ignore_ascii_case(b"yes") {
        Some(true)
    } else if text.eq_ignore_ascii_case(b"no") {
        Some(false)
    } else {
        None
    }
}

/// A percentile in the shortest of Redis's spellings: at most six decimals, no trailing zeros.
pub(super) fn format_percentile(percentile: f64) -> String {
    format!("{percentile:.6}")
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
}

/// Paths are bytes on Unix; elsewhere what is not UTF-8 cannot name a file anyway.
#[cfg(unix)]
pub(super) fn path_from_bytes(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

/// Paths are bytes on Unix; elsewhere what is not UTF-8 cannot name a file anyway.
#[cfg(not(unix))]
pub(super) fn path_from_bytes(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

pub(super) fn path_bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_encoded_bytes().to_vec()
}

/// The system's words for an error, as C's `strerror` has them.
pub(crate) fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
