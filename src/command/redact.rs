//! What others may see of a request: MONITOR and the slow log show
//! `(redacted)` in place of passwords, as Redis does.

use super::Entry;
use crate::config;
use crate::resp::{Argv, OwnedArgv};

const REDACTED: &[u8] = b"(redacted)";

/// The request with its secrets covered, or `None` if it has none.
pub fn redacted(entry: &Entry, argv: Argv<'_>) -> Option<OwnedArgv> {
    let is_secret: fn(Argv<'_>, usize) -> bool = match entry.full_name.as_str() {
        "auth" => |_, index| index > 0,
        "hello" => is_hello_secret,
        "config|set" => is_config_secret,
        _ => return None,
    };
    let secrets: Vec<bool> = (0..argv.len())
        .map(|index| is_secret(argv, index))
        .collect();
    let shown = argv.iter().enumerate();
    let shown = shown.map(|(index, word)| if secrets[index] { REDACTED } else { word });
    secrets.contains(&true).then(|| OwnedArgv::new(shown))
}

/// The two words behind AUTH, user and password.
fn is_hello_secret(argv: Argv<'_>, index: usize) -> bool {
    let is_auth = |behind: usize| {
        let at = index.checked_sub(behind).filter(|&at| at > 1);
        let word = at.and_then(|at| argv.get(at));
        word.is_some_and(|word| word.eq_ignore_ascii_case(b"AUTH"))
    };
    is_auth(1) || is_auth(2)
}

/// The value of a setting that is sensitive.
fn is_config_secret(argv: Argv<'_>, index: usize) -> bool {
    let is_value = index >= 3 && index % 2 == 1;
    let name = argv.get(index.saturating_sub(1)).filter(|_| is_value);
    let setting = name.and_then(config::lookup);
    setting.is_some_and(config::Setting::is_sensitive)
}

#[cfg(test)]
mod tests {
    use super::super::{TABLE, dispatch};
    use super::*;

    fn shown(line: &str) -> String {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let owned = OwnedArgv::new(words.iter().copied());
        let entry = dispatch::lookup(owned.as_argv()).unwrap_or(&TABLE.entries[0]);
        let redacted = redacted(entry, owned.as_argv());
        let shown = redacted.as_ref().unwrap_or(&owned).as_argv();
        let words: Vec<_> = shown.iter().map(String::from_utf8_lossy).collect();
        words.join(" ")
    }

    #[test]
    fn passwords_are_covered_and_nothing_else() {
        let cases = [
            ("AUTH secret", "AUTH (redacted)"),
            ("auth default secret", "auth (redacted) (redacted)"),
            ("HELLO 3", "HELLO 3"),
            (
                "HELLO 3 SETNAME me auth default secret",
                "HELLO 3 SETNAME me auth (redacted) (redacted)",
            ),
            (
                "CONFIG SET maxclients 9 requirepass secret",
                "CONFIG SET maxclients 9 requirepass (redacted)",
            ),
            ("CONFIG GET requirepass", "CONFIG GET requirepass"),
            ("ECHO auth", "ECHO auth"),
        ];
        for (line, expected) in cases {
            assert_eq!(shown(line), expected);
        }
    }
}
