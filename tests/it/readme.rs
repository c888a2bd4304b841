//! The README's tables say what is there.

use std::collections::BTreeSet;

use respd::Broker;
use respd::config::{SETTINGS, Setting};
use respd::resp::value::Value;

fn readme() -> &'static str {
    include_str!("../../README.md")
}

/// The rows of the table under a heading, as cells.
fn table(heading: &str) -> Vec<Vec<String>> {
    let section = readme()
        .split(&format!("\n## {heading}\n"))
        .nth(1)
        .expect("the heading is there");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = |row: &str| {
        row.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    rows.map(cells).collect()
}

#[test]
fn every_setting_with_an_effect_is_in_the_readme_with_its_default() {
    let defaults = respd::config::Config::default();
    let row = |setting: &Setting| {
        let default = String::from_utf8(setting.get(&defaults)).unwrap();
        // `dir` is wherever it is started.
        let here = std::env::current_dir().unwrap().display().to_string();
        let default = if default == here { ".".into() } else { default };
        let default = if default.is_empty() {
            default
        } else {
            format!("`{default}`")
        };
        vec![format!("`{}`", setting.name()), default]
    };
    let shown = table("Settings");
    for setting in SETTINGS.iter().filter(|setting| setting.has_effect()) {
        let row = row(setting);
        assert!(shown.contains(&row), "missing: | {} |", row.join(" | "));
    }
    let all: Vec<_> = SETTINGS.iter().map(row).collect();
    let wrong: Vec<_> = shown.iter().filter(|row| !all.contains(row)).collect();
    assert!(wrong.is_empty(), "no settings: {wrong:?}");
}

fn texts(value: Value) -> Vec<String> {
    let Value::Array(items) = value else {
        panic!("{value:?}")
    };
    items
        .iter()
        .map(|item| String::from_utf8_lossy(item.as_bytes().unwrap_or_default()).into_owned())
        .collect()
}

#[test]
fn every_command_is_in_the_readme() {
    let broker = Broker::start().unwrap();
    let commands = texts(broker.client().call(&["COMMAND", "LIST"]));
    let expected: BTreeSet<String> = commands
        .iter()
        .map(|name| name.replace('|', " ").to_uppercase())
        .collect();
    let mut shown = BTreeSet::new();
    for row in table("Commands") {
        // `CLIENT (GETNAME, ID), ECHO` names CLIENT, CLIENT GETNAME, CLIENT ID and ECHO.
        let mut container = None;
        for word in row[1].split([',', ' ']).filter(|word| !word.is_empty()) {
            let name = word.trim_matches(['(', ')']);
            if word.starts_with('(') {
                container = shown
                    .iter()
                    .max_by_key(|shown: &&(usize, String)| shown.0)
                    .map(|last| last.1.clone());
            }
            let full = container
                .as_ref()
                .map_or(name.to_owned(), |of| format!("{of} {name}"));
            shown.insert((shown.len(), full));
            if word.ends_with(')') {
                container = None;
            }
        }
    }
    let shown: BTreeSet<String> = shown.into_iter().map(|(_, name)| name).collect();
    let missing: Vec<_> = expected.difference(&shown).collect();
    let invented: Vec<_> = shown.difference(&expected).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "missing: {missing:?}; not there: {invented:?}"
    );
}
