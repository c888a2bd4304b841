//! What `--help` says about serving: the flags of the program, and every setting.

use std::fmt::Write as _;

use respd::config;

use super::flags::FLAGS;

/// Columns of a terminal that the text of `--help` fits into.
const HELP_WIDTH: usize = 100;

/// The text.
pub fn help() -> String {
    let mut help = "Flags of the server:".to_owned();
    for flag in FLAGS {
        // Writing to a string cannot fail.
        let _ = write!(help, "\n  --{}", flag.name);
        if let Some(value) = flag.value {
            let _ = write!(help, " {value}");
        }
        wrap(&mut help, 10, flag.help.split(' '));
    }
    help.push_str(
        "\n\n\
Settings, as flags (--port 7000 or --port=7000) or, without the dashes, as lines of FILE.conf; the
last to mention one wins. With - they are read from standard input as well.",
    );
    for setting in config::help() {
        if let Some(heading) = setting.heading {
            let _ = write!(help, "\n\n{heading}:");
        }
        let text = setting.help.trim_end_matches('.');
        let default = match setting.default.as_str() {
            "" => "\"\"",
            default => default,
        };
        let _ = write!(
            help,
            "\n  --{} {}\n          {text} [default: {default}]",
            setting.name, setting.value_hint
        );
        for alias in setting.aliases {
            let _ = write!(help, " [alias: --{alias}]");
        }
    }
    help.push_str("\n\nAccepted, without effect here, since they tune what only Redis has inside:");
    wrap(
        &mut help,
        2,
        config::without_effect().map(config::Setting::name),
    );
    help
}

/// Adds words, on lines of their own.
fn wrap<'a>(text: &mut String, indent: usize, words: impl Iterator<Item = &'a str>) {
    let mut width = HELP_WIDTH;
    for word in words {
        width += 1 + word.len();
        if width > HELP_WIDTH {
            let _ = write!(text, "\n{:indent$}", "");
            width = indent + word.len();
        } else {
            text.push(' ');
        }
        text.push_str(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_has_every_setting_under_a_heading() {
        let help = help();
        for setting in config::help() {
            let flag = format!("\n  --{} {}\n", setting.name, setting.value_hint);
            assert_eq!(help.matches(&flag).count(), 1, "{flag}");
        }
        let (_, without_effect) = help.split_once("\nAccepted, without effect here").unwrap();
        let names = without_effect.split_whitespace();
        let names: Vec<&str> = names
            .skip_while(|word| !word.ends_with(':'))
            .skip(1)
            .collect();
        assert!(
            config::without_effect()
                .map(config::Setting::name)
                .eq(names)
        );
        let too_long = without_effect.lines().find(|line| line.len() > HELP_WIDTH);
        assert_eq!(too_long, None);
        let headings = config::help().filter_map(|setting| setting.heading);
        assert!(headings.count() > 3);
        assert!(config::help().next().unwrap().heading.is_some());
    }
}
