//! Settings of the client verbs that stand in no flag: variables of the environment, else those in
//! `.env` in the current directory.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Where settings come from that no variable has.
pub const FILE: &str = ".env";
const DEFAULT_CHANNEL: &str = "messages";

/// A setting that cannot be used: where it came from and what is wrong with it, in one line that
/// does not repeat the setting, because it may hold a password.
#[derive(Debug, PartialEq)]
pub struct Invalid {
    pub source: &'static str,
    pub problem: Cow<'static, str>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.problem)
    }
}

/// Where settings come from when no flag gives them.
pub struct Environment {
    /// A variable of the process. An argument, because a test cannot set one safely.
    variable: fn(&str) -> Option<OsString>,
    dotenv: PathBuf,
}

impl Environment {
    /// The environment of this process and `.env` in its current directory, in no parent of it.
    pub fn of_process() -> Environment {
        Environment {
            variable: |name| std::env::var_os(name),
            dotenv: PathBuf::from(FILE),
        }
    }

    /// The channel that a verb is to use. Any bytes name one.
    pub fn channel(&self, channel: Option<&OsStr>) -> Result<Vec<u8>, Invalid> {
        if let Some(channel) = channel {
            return Ok(channel.to_owned().into_vec());
        }
        Ok(match self.setting("CHANNEL")? {
            Some((channel, _)) => channel.into_vec(),
            None => DEFAULT_CHANNEL.into(),
        })
    }

    /// A value and where it comes from. A variable that is set to nothing counts as not set: that
    /// is what `REDIS_URL=$UNSET` and a blank line of a template leave behind.
    pub fn setting(&self, name: &'static str) -> Result<Option<(OsString, &'static str)>, Invalid> {
        if let Some(value) = (self.variable)(name).filter(|value| !value.is_empty()) {
            return Ok(Some((value, name)));
        }
        let value = self.setting_in_file(name)?;
        Ok(value.map(|value| (value, FILE)))
    }

    /// A value of the file alone.
    pub fn setting_in_file(&self, name: &'static str) -> Result<Option<OsString>, Invalid> {
        let value = read_dotenv(&self.dotenv, name)?;
        let value = value.filter(|value| !value.is_empty());
        Ok(value.map(OsString::from))
    }
}

/// One variable of a `.env` file. The first line that sets it wins, as everywhere where such a file
/// never overrides what is already set. Lines that cannot be read matter only if they set this
/// variable: the file has other readers.
fn read_dotenv(path: &Path, name: &'static str) -> Result<Option<String>, Invalid> {
    let invalid = |problem| Invalid {
        source: ".env",
        problem,
    };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        // A directory of that name, such as a virtual environment of Python, is not ours to read.
        Err(error) if error.kind() == std::io::ErrorKind::IsADirectory => return Ok(None),
        Err(_) => return Err(invalid("cannot be read".into())),
    };
    let text = String::from_utf8_lossy(&bytes);
    // Without an end, a last line with a space behind it would be refused.
    let text = text.trim_start_matches('\u{feff}').to_owned() + "\n";
    let mut all_read = true;
    for line in dotenvy::from_read_iter(text.as_bytes()) {
        match line {
            Ok((key, value)) if key == name => return Ok(Some(value)),
            Ok(_) => {}
            Err(_) => all_read = false,
        }
    }
    // The error does not tell which variable it is about.
    if !all_read && text.lines().any(|line| sets(line, name)) {
        let problem = format!("{name} cannot be read; are quotes missing, or open?");
        return Err(invalid(problem.into()));
    }
    Ok(None)
}

/// Whether a line is an assignment to `name`.
fn sets(line: &str, name: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    line.strip_prefix(name)
        .is_some_and(|rest| rest.trim_start().starts_with('='))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// An environment with a `.env` file, and the directory that keeps it alive.
    pub fn environment(
        variable: fn(&str) -> Option<OsString>,
        dotenv: &str,
    ) -> (Environment, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".env");
        std::fs::write(&path, dotenv).unwrap();
        let environment = Environment {
            variable,
            dotenv: path,
        };
        (environment, directory)
    }

    fn channel(environment: &Environment, flag: Option<&str>) -> String {
        let channel = environment.channel(flag.map(OsStr::new)).unwrap();
        String::from_utf8(channel).unwrap()
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_the_file() {
        let (environment_set, _directory) =
            environment(|_| Some("environment".into()), "CHANNEL=file\n");
        assert_eq!(channel(&environment_set, Some("flag")), "flag");
        assert_eq!(channel(&environment_set, None), "environment");
        let (unset, _directory) = environment(|_| None, "CHANNEL=file \nCHANNEL=again ");
        assert_eq!(channel(&unset, None), "file");
        let (blank, _directory) = environment(|_| Some("".into()), "CHANNEL=file\n");
        assert_eq!(channel(&blank, None), "file");
        let (empty, _directory) = environment(|_| None, "CHANNEL=\n");
        assert_eq!(channel(&empty, None), "messages");
    }

    #[test]
    fn a_file_with_lines_of_others_is_read() {
        let dotenv = "\u{feff}CHANNEL='a b' # ours\nnot a line\nBAD=a b\n\
                      export REDIS_URL=\"redis://:pw@h/2\"\n";
        let (environment, _directory) = environment(|_| None, dotenv);
        assert_eq!(channel(&environment, None), "a b");
        let url = environment.setting("REDIS_URL").unwrap();
        assert_eq!(url, Some(("redis://:pw@h/2".into(), ".env")));
    }

    #[test]
    fn a_broken_setting_is_named_without_its_value() {
        let (environment, _directory) =
            environment(|_| None, "REDIS_URL=redis://:hunter2 x@h\nCHANNEL='open\n");
        let error = environment.setting("REDIS_URL").unwrap_err().to_string();
        assert!(error.starts_with(".env: REDIS_URL"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        let error = environment.channel(None).unwrap_err().to_string();
        assert!(error.starts_with(".env: CHANNEL"), "{error}");
    }

    #[test]
    fn no_file_is_no_error() {
        let directory = tempfile::tempdir().unwrap();
        for dotenv in [directory.path().join(".env"), directory.path().into()] {
            let environment = Environment {
                variable: |_| None,
                dotenv,
            };
            assert_eq!(channel(&environment, None), "messages");
        }
    }
}
