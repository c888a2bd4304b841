//! The flags of the program itself, among the settings of the broker.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Says, to a program that was started by itself, that it is to go into the background. Nobody
/// types it.
pub const IN_BACKGROUND: &str = "--in-background";

/// A flag, as help shows it.
pub struct Flag {
    /// Without the dashes.
    pub name: &'static str,
    /// Stands for its value, if it takes one.
    pub value: Option<&'static str>,
    /// What it does.
    pub help: &'static str,
}

/// The flags that there are, beside `--help`.
pub const FLAGS: [Flag; 5] = [
    Flag {
        name: "ready-file",
        value: Some("PATH"),
        help: "Write a file once clients can connect, as JSON with pid, port, addr, url, \
               unixsocket and version; it is removed at the end",
    },
    Flag {
        name: "print-url",
        value: None,
        help: "Print REDIS_URL=redis://... once clients can connect; the log goes to standard \
               error",
    },
    Flag {
        name: "exit-with-parent",
        value: None,
        help: "End when the process ends that has started the broker, however it does",
    },
    Flag {
        name: "check",
        value: None,
        help: "Read the configuration, say what of it has no effect here, and end",
    },
    Flag {
        name: "version",
        value: None,
        help: "Print the version",
    },
];

/// What is to be done.
#[derive(Debug, Default, PartialEq)]
pub enum Task {
    /// Serve.
    #[default]
    Serve,
    /// Read the configuration, and tell what comes of it.
    Check,
    /// Tell how the program is used.
    Help,
    /// Tell which it is.
    Version,
}

/// The flags of the program itself, and the rest, which is settings.
#[derive(Debug, Default, PartialEq)]
pub struct Flags {
    pub task: Task,
    pub ready_file: Option<PathBuf>,
    pub prints_url: bool,
    pub exits_with_parent: bool,
    pub is_in_background: bool,
    pub settings: Vec<OsString>,
}

impl Flags {
    pub fn parse(arguments: &[OsString]) -> Result<Flags, String> {
        let mut flags = Flags::default();
        let mut arguments = arguments.iter();
        // A value may look like a flag: `--requirepass --secret`. As for the settings, only what
        // follows the bare name of one does, and nothing follows `--save`.
        let mut is_value = false;
        while let Some(argument) = arguments.next() {
            let bytes = argument.as_bytes();
            let was_value = is_value;
            let is_flag = bytes.starts_with(b"--") && !is_value;
            let has_value = bytes.iter().any(|byte| b" =".contains(byte));
            is_value = is_flag && bytes != b"--save" && !has_value;
            match (is_flag, bytes) {
                (true, b"--help") => flags.task = Task::Help,
                // What everybody adds to a line that is there: `--port 7000 -h`.
                (false, b"-h") if !was_value && arguments.len() == 0 => flags.task = Task::Help,
                (true, b"--version") => flags.task = Task::Version,
                (true, b"--check") => flags.task = Task::Check,
                (true, b"--print-url") => flags.prints_url = true,
                (true, b"--exit-with-parent") => flags.exits_with_parent = true,
                (true, flag) if flag == IN_BACKGROUND.as_bytes() => flags.is_in_background = true,
                (true, b"--ready-file") => {
                    let value = arguments.next().map(OsString::as_os_str);
                    flags.ready_file = Some(path(value)?);
                }
                (true, flag) if flag.starts_with(b"--ready-file=") => {
                    let value = OsStr::from_bytes(&flag[b"--ready-file=".len()..]);
                    flags.ready_file = Some(path(Some(value))?);
                }
                _ => {
                    flags.settings.push(argument.clone());
                    continue;
                }
            }
            is_value = false;
        }
        Ok(flags)
    }
}

fn path(value: Option<&OsStr>) -> Result<PathBuf, String> {
    let path = value.filter(|path| !path.is_empty());
    Ok(path.ok_or("--ready-file: a path must follow")?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn flags_of_the_program_stand_anywhere() {
        let line =
            "--print-url f.conf --port=1 --ready-file /r --exit-with-parent --save --print-url -";
        let flags = Flags::parse(&words(line)).unwrap();
        let expected = Flags {
            ready_file: Some("/r".into()),
            prints_url: true,
            exits_with_parent: true,
            settings: words("f.conf --port=1 --save -"),
            ..Flags::default()
        };
        assert_eq!(flags, expected);
        let flags = Flags::parse(&words("--ready-file=/r --in-background")).unwrap();
        assert_eq!(flags.ready_file, Some("/r".into()));
        assert!(flags.is_in_background && flags.settings.is_empty());
    }

    #[test]
    fn values_are_no_flags() {
        for line in [
            "--requirepass --help",
            "--requirepass --ready-file --port 1",
            "--bind 1.1.1.1 --port --print-url",
        ] {
            let flags = Flags::parse(&words(line)).unwrap();
            let expected = Flags {
                settings: words(line),
                ..Flags::default()
            };
            assert_eq!(flags, expected);
        }
        assert_eq!(
            Flags::parse(&words("--requirepass -h")).unwrap().task,
            Task::Serve
        );
        assert_eq!(
            Flags::parse(&words("--port 7000 -h")).unwrap().task,
            Task::Help
        );
        assert_eq!(Flags::parse(&words("-h")).unwrap().task, Task::Help);
        // Name and value in one argument.
        for port in ["--port 7000", "--port=7000"] {
            for (flag, task) in [
                ("--help", Task::Help),
                ("--version", Task::Version),
                ("--check", Task::Check),
            ] {
                let arguments = [port, flag].map(OsString::from);
                assert_eq!(Flags::parse(&arguments).unwrap().task, task);
            }
        }
    }

    #[test]
    fn a_ready_file_needs_a_path() {
        for line in ["--ready-file", "--port 1 --ready-file ", "--ready-file="] {
            let error = Flags::parse(&words(line)).unwrap_err();
            assert_eq!(error, "--ready-file: a path must follow");
        }
    }
}
