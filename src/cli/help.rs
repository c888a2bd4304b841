//! What `--help` says about serving: the flags of the program, and every setting; and how what it
//! says is set.

use std::fmt::Write as _;

use clap::Command;
use clap::builder::{StyledStr, Styles};
use respd::config;

use super::flags::FLAGS;

/// A command whose help, and that of its verbs, ends as it begins: with its headings and flags in
/// the styles of clap, where they can be shown.
pub fn styled(command: Command) -> Command {
    let text = command.get_after_long_help().map(StyledStr::to_string);
    let command = match text {
        Some(text) => command.after_long_help(with_styles(&text)),
        None => command,
    };
    command.mut_subcommands(styled)
}

fn with_styles(text: &str) -> StyledStr {
    let styles = Styles::styled();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let mut styled = StyledStr::new();
    for line in text.split_inclusive('\n') {
        let words = line.trim_end();
        // Writing to a string cannot fail.
        let _ = match words.strip_prefix("  --") {
            Some(flag) => {
                let (name, rest) = flag.split_at(flag.find(' ').unwrap_or(flag.len()));
                writeln!(styled, "  {literal}--{name}{literal:#}{rest}")
            }
            None if words.ends_with(':') && !words.starts_with(' ') => {
                writeln!(styled, "{header}{words}{header:#}")
            }
            None => write!(styled, "{line}"),
        };
    }
    styled
}

/// What has the help of the verb that serves, whose flags clap does not know.
pub fn of_serving() -> Command {
    let command = Command::new("respd")
        .override_usage("respd [FILE.conf] [--SETTING VALUE]... [-]")
        .help_template("{usage-heading} {usage}{after-help}\n")
        .after_long_help(help());
    styled(command)
}

/// The text about serving.
pub fn help() -> String {
    let mut help = "Flags of the server:".to_owned();
    for flag in FLAGS {
        // Writing to a string cannot fail.
        let _ = write!(help, "\n  --{}", flag.name);
        if let Some(value) = flag.value {
            let _ = write!(help, " {value}");
        }
        let _ = write!(help, "\n          {}", flag.help);
    }
    help.push_str(
        "\n\n\
Settings, as flags (--port 7000 or --port=7000) or, without the dashes, as lines of FILE.conf; the \
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
    let names: Vec<&str> = config::without_effect()
        .map(config::Setting::name)
        .collect();
    let _ = write!(help, "\n  {}", names.join(" "));
    help
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_and_flags_have_styles_and_the_words_stay() {
        let text = "Examples:\n  respd pop jobs\n\nNetwork:\n  --port NUMBER\n          A: b\n";
        let styled = with_styles(text);
        assert_eq!(styled.to_string(), text);
        let (styles, shown) = (Styles::styled(), styled.ansi().to_string());
        for (style, words) in [
            (styles.get_header(), "Examples:"),
            (styles.get_header(), "Network:"),
            (styles.get_literal(), "--port"),
        ] {
            assert!(
                shown.contains(&format!("{style}{words}{style:#}")),
                "{shown:?}"
            );
        }
        assert!(shown.contains("  respd pop jobs\n"), "{shown:?}");
    }

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
        let headings = config::help().filter_map(|setting| setting.heading);
        assert!(headings.count() > 3);
        assert!(config::help().next().unwrap().heading.is_some());
    }
}
