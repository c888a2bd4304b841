//! What `--help` says about serving: the flags of the program, and every setting.

use std::fmt::Write as _;

use respd::config;

/// Columns of a terminal that the text of `--help` fits into.
const HELP_WIDTH: usize = 100;

/// The text.
pub fn help() -> String {
    let mut help = "\
Flags of the server:
  --ready-file PATH
          Write a file once clients can connect, as JSON with pid, port, addr, url, unixsocket and
          version; it is removed at the end
  --print-url
          Print REDIS_URL=redis://... once clients can connect; the log goes to standard error
  --exit-with-parent
          End when the process ends that has started the broker, however it does
  --check
          Read the configuration, say what of it has no effect here, and end
  --version
          Print the version

Settings, as flags (--port 7000 or --port=7000) or, without the dashes, as lines of FILE.conf; the
last to mention one wins. With - they are read from standard input as well."
        .to_owned();
    for setting in config::help() {
        // Writing to a string cannot fail.
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
    help.push_str(
        "\n\nAccepted, without effect here, since they tune what only Redis has inside:\n ",
    );
    let mut width = 1;
    for name in config::without_effect().map(config::Setting::name) {
        width += 1 + name.len();
        if width > HELP_WIDTH {
            help.push_str("\n ");
            width = 2 + name.len();
        }
        let _ = write!(help, " {name}");
    }
    help
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
