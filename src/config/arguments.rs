//! The command line, whose flags are lines of a configuration file in another form.

use std::ffi::{OsStr, OsString};

use super::settings::lookup;
use crate::text::words::{self, quote};

/// The arguments, with the flags turned into lines.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    pub(super) file: Option<OsString>,
    pub(super) reads_stdin: bool,
    pub(super) lines: Vec<Vec<u8>>,
}

impl Arguments {
    pub(super) fn parse<A: AsRef<OsStr>>(args: &[A]) -> Arguments {
        let mut parsed = Arguments::default();
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
                if let Some((name, value)) = split_assignment(option) {
                    parsed.lines.push([name, &quote(value)].join(&b' '));
                    continue;
                }
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

/// Name and value of `port=7000`, which Redis does not take and everybody types. A name that is
/// no setting stays what it is, to be reported as it was typed.
fn split_assignment(option: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = option.iter().position(|byte| *byte == b'=')?;
    let (name, value) = (&option[..at], &option[at + 1..]);
    (lookup(name).is_some() || is_include(name)).then_some((name, value))
}

/// Whether a directive reads another file.
pub(super) fn is_include(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"include")
}
