//! Reading settings at start: from a file in the syntax of `redis.conf`, from what it
//! includes, from standard input, from the command line.
//!
//! A directive that Redis heeds and respd does not is a warning that names its place, so that a
//! file written for Redis starts respd. One that Redis does not know either is an error, in
//! Redis's words.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::directives::{self, Directive};
use super::fields::Config;
use super::settings::lookup;
use super::value::{Refusal, describe, path_from_bytes};
use crate::text::glob;
use crate::text::words::{self, quote};

/// Files that may include each other in a row. Redis has no limit and dies of a file that
/// includes itself.
const MAX_INCLUDE_DEPTH: usize = 16;

/// Where a setting was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The configuration file.
    File(PathBuf),
    /// A file that was included.
    Included(PathBuf),
    /// Standard input, for the argument `-`.
    Stdin,
    /// The command line.
    Arguments,
}

/// A configuration that was read, and what there is to say about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Directives that have no effect, each with its place, to be logged.
    pub warnings: Vec<String>,
    /// Absolute path of the configuration file, for CONFIG REWRITE and INFO.
    pub config_file: Option<PathBuf>,
}

/// Why no configuration could be read. Displays as the lines Redis prints before it exits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// A line has an error.
    Line {
        /// Where the line is.
        origin: Origin,
        /// Its number, counting from 1.
        line: usize,
        /// The line itself.
        text: String,
        /// What is wrong, in Redis's words.
        reason: String,
    },
    /// A file could not be read.
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Standard input could not be read.
    Stdin {
        /// What the system said.
        reason: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Line {
                origin,
                line,
                text,
                reason,
            } => {
                writeln!(f, "*** FATAL CONFIG FILE ERROR ***")?;
                match origin {
                    Origin::File(_) => {
                        writeln!(f, "Reading the configuration file, at line {line}")?
                    }
                    Origin::Included(path) => {
                        writeln!(
                            f,
                            "Reading the configuration file, at line {line} of {}",
                            path.display()
                        )?;
                    }
                    Origin::Stdin => {
                        writeln!(
                            f,
                            "Reading the configuration file, at line {line} of standard input"
                        )?;
                    }
                    // Redis counts on from the end of the file here, which helps nobody.
                    Origin::Arguments => writeln!(f, "Reading the command line")?,
                }
                write!(f, ">>> '{text}'\n{reason}")
            }
            ConfigError::File { path, reason } => {
                write!(
                    f,
                    "Fatal error, can't open config file '{}': {reason}",
                    path.display()
                )
            }
            ConfigError::Stdin { reason } => {
                write!(
                    f,
                    "Fatal error, can't read the configuration from standard input: {reason}"
                )
            }
        }
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the configuration that a command line asks for, program name excluded:
    /// `[FILE] [--name value ...] [-]`.
    ///
    /// The file comes first, then standard input if `-` is the first or last argument, then
    /// the flags; the last to mention a setting wins. Values run up to the next argument that
    /// begins with `--`, except that the first value may itself begin so, and name and value
    /// may be one argument, as in `"--port 6380"`.
    ///
    /// `stdin` is called at most once, for `-`.
    pub fn from_args<A: AsRef<OsStr>>(
        args: &[A],
        stdin: impl FnOnce() -> io::Result<Vec<u8>>,
    ) -> Result<Loaded, ConfigError> {
        let CommandLine {
            file,
            reads_stdin,
            lines,
        } = CommandLine::parse(args);
        let mut loader = Loader {
            config: Config::default(),
            warnings: Vec::new(),
        };
        let mut config_file = None;
        if let Some(file) = file {
            let path = std::path::absolute(&file).unwrap_or_else(|_| file.into());
            let text = read(&path)?;
            loader.load(&text, &Origin::File(path.clone()), 0)?;
            config_file = Some(path);
        }
        if reads_stdin {
            let text = stdin().map_err(|error| ConfigError::Stdin {
                reason: describe(&error),
            })?;
            loader.load(&text, &Origin::Stdin, 0)?;
        }
        for (index, line) in lines.iter().enumerate() {
            loader.load_line(line, &Origin::Arguments, index + 1, 0)?;
        }
        let Loader { config, warnings } = loader;
        Ok(Loaded {
            config,
            warnings,
            config_file,
        })
    }
}

/// The arguments, with the flags turned into lines of a configuration file.
#[derive(Debug, Default)]
struct CommandLine {
    file: Option<OsString>,
    reads_stdin: bool,
    lines: Vec<Vec<u8>>,
}

impl CommandLine {
    fn parse<A: AsRef<OsStr>>(args: &[A]) -> CommandLine {
        let mut parsed = CommandLine::default();
        // After a bare name the next argument is its value, whatever it looks like:
        // `--requirepass --secret`.
        let mut wants_value = false;
        for (index, arg) in args.iter().enumerate() {
            let is_last = index + 1 == args.len();
            let arg = arg.as_ref();
            let bytes = arg.as_encoded_bytes();
            if index == 0 && !bytes.starts_with(b"-") {
                parsed.file = Some(arg.to_owned());
            } else if bytes == b"-" && (index == 0 || is_last) {
                parsed.reads_stdin = true;
            } else if let (Some(option), false) = (bytes.strip_prefix(b"--"), wants_value) {
                let mut line = option.to_vec();
                wants_value = words::split(option).is_some_and(|words| words.len() == 1);
                // Scripts that build `--save "$POINTS"` from nothing leave the name alone;
                // before Redis 7.0 that meant no save points, and Redis still takes it so.
                let next = args
                    .get(index + 1)
                    .map(|next| next.as_ref().as_encoded_bytes());
                if bytes.eq_ignore_ascii_case(b"--save")
                    && next.is_none_or(|next| next.starts_with(b"--"))
                {
                    line.extend(b" \"\"");
                    wants_value = false;
                }
                parsed.lines.push(line);
            } else {
                // Redis prints the arguments of an erroneous line in quotes as well.
                match parsed.lines.last_mut() {
                    Some(line) => {
                        line.push(b' ');
                        line.extend(quote(bytes));
                    }
                    None => parsed.lines.push(quote(bytes)),
                }
                wants_value = false;
            }
        }
        parsed
    }
}

/// The configuration so far.
struct Loader {
    config: Config,
    warnings: Vec<String>,
}

impl Loader {
    fn load(&mut self, text: &[u8], origin: &Origin, depth: usize) -> Result<(), ConfigError> {
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            self.load_line(line, origin, index + 1, depth)?;
        }
        Ok(())
    }

    fn load_line(
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
        let fail = |reason: &str| {
            Err(ConfigError::Line {
                origin: origin.clone(),
                line: number,
                text: String::from_utf8_lossy(line).into_owned(),
                reason: reason.to_owned(),
            })
        };
        let Some(words) = words::split(line) else {
            return fail("Unbalanced quotes in configuration line");
        };
        let Some((name, values)) = words.split_first() else {
            return Ok(());
        };
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();

        if let Some(setting) = lookup(name) {
            match setting.set(&mut self.config, &values) {
                Ok(()) if setting.is_set_in_vain(&self.config) => {
                    let why = "it tunes what only Redis has inside";
                    self.warn(origin, number, setting.name(), why);
                }
                Ok(()) => {}
                Err(Refusal::Invalid(reason)) => return fail(&reason),
                Err(Refusal::Unavailable(why)) => self.warn(origin, number, setting.name(), &why),
            }
            return Ok(());
        }
        // A name that is known is ASCII; any other is quoted from the line.
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if name == "include"
            && let [pattern] = values[..]
        {
            if depth == MAX_INCLUDE_DEPTH {
                return fail("Too many levels of include");
            }
            return self.include(&path_from_bytes(pattern), depth + 1);
        }
        match directives::lookup(&name) {
            Some(Directive::Lacking(why)) => self.warn(origin, number, &name, why),
            Some(Directive::Deprecated) if values.len() == 1 => {}
            Some(Directive::Deprecated) | None => {
                return fail(match name.as_str() {
                    "sentinel" => "sentinel directive while not in sentinel mode",
                    _ => "Bad directive or wrong number of arguments",
                });
            }
        }
        Ok(())
    }

    /// Reads a file, or all files that a path with wildcards matches, in order of their names.
    /// As in Redis a relative path starts from the current directory, a missing file is an
    /// error, and wildcards that match nothing are none.
    fn include(&mut self, pattern: &Path, depth: usize) -> Result<(), ConfigError> {
        let paths = match has_wildcard(pattern.as_os_str()) {
            true => expand(pattern),
            false => vec![pattern.to_owned()],
        };
        for path in paths {
            let text = read(&path)?;
            self.load(&text, &Origin::Included(path), depth)?;
        }
        Ok(())
    }

    fn warn(&mut self, origin: &Origin, line: usize, name: &str, why: &str) {
        let place = match origin {
            Origin::File(path) | Origin::Included(path) => format!("{}:{line}", path.display()),
            Origin::Stdin => format!("standard input:{line}"),
            Origin::Arguments => "command line".to_owned(),
        };
        self.warnings
            .push(format!("{place}: '{name}' has no effect: {why}"));
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
fn expand(pattern: &Path) -> Vec<PathBuf> {
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
