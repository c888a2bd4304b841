//! What others may see of a request: MONITOR and the slow log show
//! `(redacted)` in place of passwords, as Redis does.

use crate::config;
use crate::resp::{Argv, OwnedArgv};

const REDACTED: &[u8] = b"(redacted)";

/// Whether the word at this place of a request is a secret.
pub type IsSecret = fn(Argv<'_>, usize) -> bool;

/// The request with its secrets covered, or `None` if it has none.
pub fn redacted(is_secret: Option<IsSecret>, argv: Argv<'_>) -> Option<OwnedArgv> {
    let is_secret = is_secret?;
    let secrets: Vec<bool> = (0..argv.len())
        .map(|index| is_secret(argv, index))
        .collect();
    let shown = argv.iter().enumerate();
    let shown = shown.map(|(index, word)| if secrets[index] { REDACTED } else { word });
    secrets.contains(&true).then(|| OwnedArgv::new(shown))
}

/// Every argument: AUTH.
pub fn every_argument(_: Argv<'_>, index: usize) -> bool {
    index > 0
}

/// The two words behind AUTH, user and password: HELLO.
pub fn behind_auth(argv: Argv<'_>, index: usize) -> bool {
    let is_auth = |behind: usize| {
        let at = index.checked_sub(behind).filter(|&at| at > 1);
        let word = at.and_then(|at| argv.get(at));
        word.is_some_and(|word| word.eq_ignore_ascii_case(b"AUTH"))
    };
    is_auth(1) || is_auth(2)
}

/// The value of a setting that is sensitive: CONFIG SET.
pub fn sensitive_settings(argv: Argv<'_>, index: usize) -> bool {
    let is_value = index >= 3 && index % 2 == 1;
    let name = argv.get(index.saturating_sub(1)).filter(|_| is_value);
    let setting = name.and_then(config::lookup);
    setting.is_some_and(config::Setting::is_sensitive)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(is_secret: IsSecret, line: &str) -> String {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let owned = OwnedArgv::new(words.iter().copied());
        let redacted = redacted(Some(is_secret), owned.as_argv());
        let shown = redacted.as_ref().unwrap_or(&owned).as_argv();
        let words: Vec<_> = shown.iter().map(String::from_utf8_lossy).collect();
        words.join(" ")
    }

    #[test]
    fn passwords_are_covered_and_nothing_else() {
        let cases: [(IsSecret, &str, &str); 6] = [
            (every_argument, "AUTH secret", "AUTH (redacted)"),
            (
                every_argument,
                "auth default secret",
                "auth (redacted) (redacted)",
            ),
            (behind_auth, "HELLO 3", "HELLO 3"),
            (
                behind_auth,
                "HELLO 3 SETNAME me auth default secret",
                "HELLO 3 SETNAME me auth (redacted) (redacted)",
            ),
            (
                sensitive_settings,
                "CONFIG SET maxclients 9 requirepass secret",
                "CONFIG SET maxclients 9 requirepass (redacted)",
            ),
            (
                sensitive_settings,
                "CONFIG SET maxclients 9",
                "CONFIG SET maxclients 9",
            ),
        ];
        for (is_secret, line, expected) in cases {
            assert_eq!(shown(is_secret, line), expected);
        }
    }
}
