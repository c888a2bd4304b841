//! What is wrong with a command line or a configuration, in one line that says what to do about
//! it.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;

use respd::config::{self, ConfigError, Origin, SETTINGS, Setting};

use super::flags::FLAGS;

/// An error of the configuration with its place first, as compilers have it.
pub fn explain(error: &ConfigError) -> String {
    match error {
        ConfigError::Line {
            origin,
            line,
            text,
            reason,
        } => {
            let hint = match reason.as_str() {
                "Bad directive or wrong number of arguments" => hint(origin, text),
                _ => String::new(),
            };
            let text = without_secret(text);
            match origin {
                Origin::File(path) | Origin::Included(path) => {
                    format!("{}:{line}: '{text}': {reason}{hint}", path.display())
                }
                Origin::Stdin => format!("standard input:{line}: '{text}': {reason}{hint}"),
                // What no flag came before is in quotes already.
                Origin::Arguments if text.starts_with('"') => {
                    format!("command line: {text}: {reason}{hint}")
                }
                Origin::Arguments | Origin::Code => {
                    format!("command line: --{text}: {reason}{hint}")
                }
            }
        }
        ConfigError::File { path, reason } => {
            let hint = file_hint(path);
            let path = path.display();
            format!("cannot read the configuration file '{path}': {reason}{hint}")
        }
        ConfigError::Stdin { reason } => {
            format!("cannot read the configuration from standard input: {reason}")
        }
    }
}

/// What a line that nobody understands was probably meant to be.
fn hint(origin: &Origin, text: &str) -> String {
    let word = text.split([' ', '\t', '=']).next().unwrap_or_default();
    let word = word.trim_matches(['"', '\'', '-']).to_ascii_lowercase();
    let settings = SETTINGS.iter().flat_map(Setting::names);
    let flags = FLAGS.iter().map(|flag| flag.name).chain(["help"]);
    if *origin == Origin::Arguments && Path::new(text.trim_matches('"')).is_file() {
        return " (one file is read; more go with --include)".to_owned();
    }
    let has_one_dash = text.starts_with("\"-") && !text.starts_with("\"--");
    let (dashes, meant) = match origin {
        // As the verbs and the tools of Redis have it.
        Origin::Arguments if word == "p" => ("--", Some("port")),
        Origin::Arguments => ("--", closest(&word, settings.chain(flags))),
        _ => ("", closest(&word, settings.chain(["include"]))),
    };
    match meant {
        // The word is right, and so it is the rest that is not.
        Some(meant) if meant == word && !has_one_dash => String::new(),
        Some(meant) => format!(" (did you mean '{dashes}{meant}'?)"),
        None => " (respd --help lists the settings)".to_owned(),
    }
}

/// What a file that cannot be read was probably meant to be.
fn file_hint(path: &Path) -> String {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    match name.parse::<u16>() {
        Ok(port) => format!(" (did you mean '--port {port}'?)"),
        Err(_) => String::new(),
    }
}

/// Says that there is no such verb, if `word` looks like one with a slip of the pen and not like
/// a configuration file.
pub fn no_such_verb<'a>(word: &OsStr, verbs: impl Iterator<Item = &'a str>) -> Option<String> {
    let name = word.to_str()?;
    let is_bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
    if !is_bare || Path::new(word).exists() {
        return None;
    }
    let hint = match closest(name, verbs) {
        Some(verb) => format!("did you mean '{verb}'?"),
        None => "respd --help lists the commands".to_owned(),
    };
    Some(format!(
        "there is no command '{name}', and no file of that name; {hint}"
    ))
}

/// The name that a word was probably meant to be: one slip of the pen, or one for every three
/// letters.
fn closest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let slips = |name: &str| strsim::damerau_levenshtein(word, name);
    let most = (word.chars().count() / 3).max(1);
    let nearest = names.map(|name| (slips(name), name)).min()?;
    (nearest.0 <= most && word.len() > 1).then_some(nearest.1)
}

/// A line of the configuration as it may be shown: of a password, not even a wrong one, nor one
/// that stands behind a name with a slip of the pen.
fn without_secret(line: &str) -> Cow<'_, str> {
    let end = line.find([' ', '\t', '=', ':']).unwrap_or(line.len());
    let (name, values) = line.split_at(end);
    match config::lookup(name.trim_matches(['"', '\''])) {
        Some(setting) if !setting.is_sensitive() => line.into(),
        None if name == "include" => line.into(),
        _ if values.trim().is_empty() => line.into(),
        _ => format!("{name} ***").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_understood() {
        for (text, meant) in [
            ("prot \"7000\"", " (did you mean '--port'?)"),
            ("prot=7000", " (did you mean '--port'?)"),
            ("\"-p\" \"7000\"", " (did you mean '--port'?)"),
            ("\"-port\" \"7000\"", " (did you mean '--port'?)"),
            (
                "\"Cargo.toml\"",
                " (one file is read; more go with --include)",
            ),
            ("print-ulr", " (did you mean '--print-url'?)"),
            ("daemonise \"no\"", " (did you mean '--daemonize'?)"),
            ("zzzzzz", " (respd --help lists the settings)"),
            ("x", " (respd --help lists the settings)"),
            ("include", " (respd --help lists the settings)"),
        ] {
            assert_eq!(hint(&Origin::Arguments, text), meant, "{text}");
        }
        let in_file = |text| hint(&Origin::Stdin, text);
        assert_eq!(in_file("maxclient 5"), " (did you mean 'maxclients'?)");
        assert_eq!(in_file("include"), "");
    }

    #[test]
    fn what_looks_like_a_file_is_no_verb() {
        let say = |word: &str| no_such_verb(OsStr::new(word), ["publish", "pop"].into_iter());
        for word in ["redis.conf", "./publsh", "/etc/x", "--port", "-", "", "src"] {
            assert_eq!(say(word), None, "{word}");
        }
        let there_is_none =
            |word| format!("there is no command '{word}', and no file of that name; ");
        let publsh = there_is_none("publsh") + "did you mean 'publish'?";
        assert_eq!(say("publsh"), Some(publsh));
        let other = there_is_none("frobnicate") + "respd --help lists the commands";
        assert_eq!(say("frobnicate"), Some(other));
    }
}
