//! Reading settings at start: from a file in the syntax of `redis.conf`, from what it
//! includes, from standard input, from the command line.
//!
//! A directive that Redis heeds and respd does not is told with its place and no more, so that a
//! file written for Redis starts respd. One that Redis does not know either is an error, in
//! Redis's words.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::arguments::{Arguments, is_include};
use super::error::{ConfigError, Origin};
use super::fields::Config;
use super::mention::{Mentions, Place};
use super::unheeded::Unheeded;
use super::value::{describe, path_from_bytes};
use crate::text::glob;
use crate::text::words;

/// Files that may include each other in a row. Redis has no limit and dies of a file that
/// includes itself.
const MAX_INCLUDE_DEPTH: usize = 16;

/// A configuration that was read, and what there is to say about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// What was set and has no effect, to be told.
    pub unheeded: Vec<Unheeded>,
    /// Absolute path of the configuration file, for CONFIG REWRITE and INFO.
    pub config_file: Option<PathBuf>,
}

impl Config {
    /// Reads the configuration that a command line asks for, program name excluded:
    /// `[FILE] [--name value ...] [-]`.
    ///
    /// The file comes first, then standard input if `-` is the first or last argument, then
    /// the flags; the last to mention a setting wins, and only what it says is judged.
    /// `--name=value` is the same as `--name value`. Values run up to the next argument that
    /// begins with `--`, except that the first value may itself begin so, and name and value
    /// may be one argument, as in `"--port 6380"`. A file with wildcards stands for all that
    /// match, as for `include`.
    ///
    /// `stdin` is called at most once, for `-`.
    pub fn from_args<A: AsRef<OsStr>>(
        args: &[A],
        stdin: impl FnOnce() -> io::Result<Vec<u8>>,
    ) -> Result<Loaded, ConfigError> {
        let Arguments {
            file,
            reads_stdin,
            lines,
        } = Arguments::parse(args);
        let mut reader = Reader::default();
        let mut config_file = None;
        if let Some(file) = file {
            let path = std::path::absolute(&file).unwrap_or_else(|_| file.into());
            let matching = match path.exists() {
                true => Vec::new(),
                false => matching(&path),
            };
            if matching.is_empty() {
                let text = read(&path)?;
                reader.read(&text, &Origin::File(path.clone()), 0)?;
                config_file = Some(path);
            }
            // Of several files none is the one to rewrite.
            for path in matching {
                reader.read(&read(&path)?, &Origin::File(path), 0)?;
            }
        }
        if reads_stdin {
            let text = stdin().map_err(|error| ConfigError::Stdin {
                reason: describe(&error),
            })?;
            reader.read(&text, &Origin::Stdin, 0)?;
        }
        for (index, line) in lines.iter().enumerate() {
            reader.read_line(line, &Origin::Arguments, index + 1, 0)?;
        }
        let mut config = Config::default();
        let unheeded = reader.mentions.judge(&mut config)?;
        Ok(Loaded {
            config,
            unheeded,
            config_file,
        })
    }
}

/// Reads line by line, and judges nothing yet.
#[derive(Default)]
struct Reader {
    mentions: Mentions,
}

impl Reader {
    fn read(&mut self, text: &[u8], origin: &Origin, depth: usize) -> Result<(), ConfigError> {
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            self.read_line(line, origin, index + 1, depth)?;
        }
        Ok(())
    }

    fn read_line(
        &mut self,
        line: &[u8],
        origin: &Origin,
        number: usize,
        depth: usize,
    ) -> Result<(), ConfigError> {
        let line = line.trim_ascii();
        if is_comment(line) {
            return Ok(());
        }
        let place = Place {
            origin: origin.clone(),
            line: number,
            text: String::from_utf8_lossy(line).into_owned(),
        };
        let Some(mut words) = words::split(line) else {
            let reason = "Unbalanced quotes in configuration line";
            self.mentions.add_nonsense(place, reason);
            return Ok(());
        };
        if words.is_empty() {
            return Ok(());
        }
        let name = words.remove(0);
        match &words[..] {
            [pattern] if is_include(&name) => {
                if depth == MAX_INCLUDE_DEPTH {
                    return Err(place.error("Too many levels of include"));
                }
                self.include(&path_from_bytes(pattern), depth + 1)
            }
            _ => {
                self.mentions.add(place, &name, words);
                Ok(())
            }
        }
    }

    /// Reads a file, or all files that a path with wildcards matches, in order of their names.
    /// As in Redis a relative path starts from the current directory, a missing file is an
    /// error, and wildcards that match nothing are none.
    fn include(&mut self, pattern: &Path, depth: usize) -> Result<(), ConfigError> {
        let paths = match has_wildcard(pattern.as_os_str()) {
            true => matching(pattern),
            false => vec![pattern.to_owned()],
        };
        for path in paths {
            let text = read(&path)?;
            self.read(&text, &Origin::Included(path), depth)?;
        }
        Ok(())
    }
}

/// Whether a line, without blanks around it, says nothing.
pub(super) fn is_comment(line: &[u8]) -> bool {
    words::trim_start(line).is_empty() || line.starts_with(b"#")
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|error| ConfigError::File {
        path: path.to_owned(),
        reason: describe(&error),
    })
}

fn has_wildcard(name: &OsStr) -> bool {
    name.as_encoded_bytes()
        .iter()
        .any(|byte| b"*?[".contains(byte))
}

/// The existing paths that match, sorted. Each component may have wildcards, which match a
/// leading dot only if they spell it out, as in a shell.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::new()];
    for component in pattern.components() {
        let component = component.as_os_str();
        if !has_wildcard(component) {
            paths.iter_mut().for_each(|path| path.push(component));
            continue;
        }
        let pattern = component.as_encoded_bytes();
        paths = paths
            .iter()
            .flat_map(|path| {
                let dir = if path.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    path
                };
                let mut names: Vec<OsString> = std::fs::read_dir(dir)
                    .into_iter()
                    .flatten()
                    .filter_map(|entry| entry.ok().map(|entry| entry.file_name()))
                    .filter(|name| {
                        let name = name.as_encoded_bytes();
                        glob::matches(pattern, name, false)
                            && (!name.starts_with(b".") || pattern.starts_with(b"."))
                    })
                    .collect();
                names.sort();
                names
                    .into_iter()
                    .map(|name| path.join(name))
                    .collect::<Vec<_>>()
            })
            .collect();
    }
    paths.retain(|path| path.exists());
    paths
}
