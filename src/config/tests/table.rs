//! What is in the table: its rows, and what each setting takes, against what a real server answered.

use std::collections::BTreeMap;

use super::*;

/// What Redis answers; a later line for a setting replaces an earlier one.
const RECORDED: &str = include_str!("../redis.tsv");

struct Recorded {
    /// Where it is not that of the machine.
    default: Option<&'static str>,
    change: Change,
    is_hidden: bool,
    /// What was tried, and what came of it.
    outcomes: Vec<(&'static str, &'static str)>,
}

fn recorded() -> BTreeMap<&'static str, Recorded> {
    let mut lines = RECORDED.lines().filter(|line| !line.starts_with('#'));
    let trials: Vec<&str> = lines.next().unwrap().split('\t').skip(3).collect();
    let read = |line: &'static str| {
        let cells: Vec<&str> = line.split('\t').collect();
        let mut outcomes: Vec<(&str, &str)> = Vec::new();
        for (trial, outcome) in trials.iter().zip(&cells[3..]) {
            let same = || outcomes.last().expect("a column before").1;
            let outcome = if *outcome == "\"" { same() } else { outcome };
            outcomes.push((trial, outcome));
        }
        let row = Recorded {
            default: (cells[1] != "?").then_some(cells[1]),
            change: match cells[2].split(' ').next().unwrap() {
                "live" => Change::Live,
                "startup" => Change::Startup,
                _ => Change::Protected,
            },
            is_hidden: cells[2].ends_with(" hidden"),
            outcomes,
        };
        (cells[0], row)
    };
    lines.map(read).collect()
}

#[test]
fn settings_are_those_of_redis() {
    let recorded = recorded();
    let names = SETTINGS.iter().flat_map(Setting::names);
    let is_own = |name: &&str| {
        matches!(
            *name,
            "script-memory-limit" | "seed" | "test-commands" | "workers"
        )
    };
    let mut ours: Vec<&str> = names.filter(|name| !is_own(name)).collect();
    ours.sort_unstable();
    assert_eq!(ours, recorded.keys().copied().collect::<Vec<_>>());
    let shown = Config::default().get(&["*"]);
    for (name, row) in recorded {
        let setting = lookup(name).unwrap();
        if let Some(default) = row.default {
            assert_eq!(get(&Config::default(), name), default, "{name}");
        }
        // Moving listeners while clients connect is not worth its price.
        if !["port", "bind"].contains(&name) {
            assert_eq!(setting.change(), row.change, "{name}");
        }
        let is_shown = shown.iter().any(|(shown, _)| shown == name);
        assert_eq!(is_shown, !row.is_hidden, "{name}");
    }
}

/// Where a trial ends otherwise than in the Redis that was asked: setting, trial, our outcome.
const DIFFERENT: &[(&str, &str, &str)] = &[
    // Debian's build of Redis lacks the allocator that this needs.
    ("activedefrag", "YES", "=yes"),
    // Redis raises it to 16 KiB.
    ("repl-backlog-size", "1kb", "=1024"),
    // Redis looks for a certificate first.
    ("tls-cluster", "YES", "!respd does not speak TLS"),
    ("tls-replication", "YES", "!respd does not speak TLS"),
];

#[test]
fn values_are_taken_and_refused_as_in_redis() {
    let mut wrong = Vec::new();
    for (name, row) in recorded() {
        let setting = lookup(name).unwrap();
        for (trial, recorded) in row.outcomes {
            let different = DIFFERENT
                .iter()
                .find(|other| (other.0, other.1) == (name, trial));
            let expected = match (different, setting.kind()) {
                (Some((.., ours)), _) => (*ours).to_owned(),
                // A promise that is not kept here.
                (None, Kind::Fixed { value, why, .. })
                    if recorded.starts_with('=') && &recorded[1..] != *value =>
                {
                    format!("!{why}")
                }
                // Ours are fewer.
                (None, _) if name == "databases" => recorded.replace("2147483647", "16384"),
                _ => recorded.to_owned(),
            };
            let ours = outcome(setting, name, trial);
            if ours != expected {
                wrong.push(format!("{name} {trial}: {ours}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What comes of a trial here, in the words of the recording.
fn outcome(setting: &Setting, name: &str, trial: &str) -> String {
    let mut config = Config::default();
    let refusal = if setting.is_live() {
        let refusal = config.set(&[(name, trial)]).err();
        refusal.map(|error| error.to_string().split("') - ").nth(1).unwrap().to_owned())
    } else {
        match load(&[&format!("--{name}"), trial]) {
            Ok(loaded) => {
                config = loaded.config;
                let mut unheeded = loaded.unheeded.into_iter().filter(|_| setting.is_fixed());
                unheeded.next().map(|unheeded| unheeded.why)
            }
            Err(error) => error.to_string().lines().last().map(str::to_owned),
        }
    };
    match refusal {
        Some(why) => format!("!{why}"),
        None => format!("={}", get(&config, name)),
    }
}

#[test]
fn rows_are_well_formed() {
    for setting in SETTINGS {
        assert_eq!(setting.name(), setting.name().to_ascii_lowercase());
        assert_eq!(lookup(setting.name().to_ascii_uppercase()), Some(setting));
        assert!(setting.help().ends_with('.'), "{}", setting.name());
        for name in setting.names() {
            let owners = SETTINGS
                .iter()
                .filter(|other| other.names().any(|n| n == name));
            assert_eq!(owners.count(), 1, "{name}");
        }
    }
    assert_eq!(
        help().count() + without_effect().count(),
        SETTINGS
            .iter()
            .filter(|setting| !setting.is_hidden())
            .count()
    );
    assert!(help().any(|entry| entry.name == "loglevel"
        && entry.value_hint == "debug|verbose|notice|warning|nothing"
        && entry.default == "notice"));
}

#[test]
fn every_field_holds_its_bounds() {
    for setting in SETTINGS {
        let values: Vec<String> = match setting.kind() {
            Kind::Flag { .. } => vec!["yes".into(), "no".into()],
            // Redis moves `hz` into a narrower range.
            Kind::Integer { .. } if setting.name() == "hz" => vec!["1".into(), "500".into()],
            Kind::Integer { min, max, .. } => vec![min.to_string(), max.to_string()],
            Kind::Octal { max, .. } => vec!["0".into(), format!("{max:o}")],
            Kind::Memory { min, max, .. } => vec![min.to_string(), max.to_string()],
            Kind::Choice { names, .. } => names.iter().map(|name| name.to_string()).collect(),
            _ => continue,
        };
        let mut config = Config::default();
        for value in values {
            setting.set(&mut config, &[value.as_bytes()]).unwrap();
            assert_eq!(get(&config, setting.name()), value, "{}", setting.name());
        }
    }
}

#[test]
fn printed_values_are_read_back() {
    // Redis, too, takes no empty master.
    for setting in SETTINGS.iter().filter(|s| s.name() != "replicaof") {
        let mut config = Config::default();
        let value = setting.get(&config);
        setting.set(&mut config, &setting.split(&value)).unwrap();
        assert_eq!(setting.get(&config), value, "{}", setting.name());
    }
}

#[test]
fn a_password_is_not_shown() {
    let config = Config {
        requirepass: "hunter2".into(),
        ..Config::default()
    };
    let shown = format!("{config:?}");
    assert!(shown.contains(r#""requirepass": "(redacted)""#), "{shown}");
    assert!(!shown.contains("hunter2"));
    assert!(shown.contains(r#""port": "6379""#));
}

/// The manual names them, too.
#[test]
fn the_settings_of_the_program_are_these() {
    let binary = SETTINGS.iter().filter(|s| s.concern() == Concern::Binary);
    let names: Vec<&str> = binary.map(Setting::name).collect();
    let expected = [
        "loglevel",
        "logfile",
        "always-show-logo",
        "pidfile",
        "daemonize",
        "supervised",
    ];
    assert_eq!(names, expected);
    let manual = include_str!("../../manual/settings.md");
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let [first @ .., last] = &quoted[..] else {
        panic!("there are none");
    };
    let listed = format!("- {} and {last} are for the program", first.join(", "));
    assert!(manual.contains(&listed), "{listed}");
}
