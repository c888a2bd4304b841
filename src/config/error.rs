//! Why there is no configuration: which words, where, and what is wrong with them.

use std::fmt;
use std::path::PathBuf;

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
    /// The program that the broker is in, which has called
    /// [`Builder::set`](crate::broker::Builder::set).
    Code,
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
                if *origin == Origin::Code {
                    // Who wrote it finds it by the name.
                    return write!(f, "{text}: {reason}");
                }
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
                    Origin::Code => {}
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
