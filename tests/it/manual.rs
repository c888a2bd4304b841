//! What there is to read holds: the tables say what is there, and the links lead somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use respd::Broker;
use respd::config::{Config, SETTINGS, Setting};
use respd::resp::value::Value;

/// More is no first page any more. A picture of `respd watch` takes 22 of them.
const README_LINES: usize = 199;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The manual, a file for each page.
fn pages() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("src/manual")).unwrap();
    let mut pages: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    assert!(!pages.is_empty());
    pages
}

/// What stands under a heading, up to the next.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, section) = page
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("there is no {heading:?}"));
    section.split("\n## ").next().unwrap_or_default()
}

/// The rows of the table in a section, as cells.
fn table(section: &str) -> Vec<Vec<String>> {
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = |row: &str| {
        let row = row.strip_prefix('|').unwrap_or(row);
        let row = row.strip_suffix('|').unwrap_or(row);
        row.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    rows.map(cells).collect()
}

#[test]
fn every_setting_is_in_the_manual_with_its_default() {
    let code = |text: &str| match text {
        "" => String::new(),
        text => format!("`{text}`"),
    };
    let defaults = Config::default();
    let row = |setting: &Setting| {
        let default = match setting.name() {
            // Anywhere else it is another directory.
            "dir" => ".".to_owned(),
            _ => String::from_utf8(setting.get(&defaults)).unwrap(),
        };
        let live = if setting.is_live() { "yes" } else { "no" };
        let (name, help) = (code(setting.name()), setting.help());
        vec![name, code(&default), live.to_owned(), help.to_owned()]
    };
    let expected: Vec<_> = SETTINGS.iter().map(row).collect();
    let page = read("src/manual/settings.md");
    let shown = table(section(&page, "All settings"));
    let without_effect = section(&page, "Accepted, without effect here");

    let is_missing = |row: &&Vec<String>| !shown.contains(row) && !without_effect.contains(&row[0]);
    let missing: Vec<_> = expected.iter().filter(is_missing).collect();
    let rows = missing.iter().map(|row| format!("| {} |", row.join(" | ")));
    let rows = rows.collect::<Vec<_>>().join("\n");
    assert!(missing.is_empty(), "rows that are missing:\n{rows}");

    let is_wrong = |row: &&Vec<String>| !expected.contains(row);
    let wrong: Vec<_> = shown.iter().filter(is_wrong).collect();
    assert!(wrong.is_empty(), "rows of no setting: {wrong:#?}");

    // What these do elsewhere is told in other words than in the help.
    let is_wrong = |row: &&Vec<String>| !expected.iter().any(|other| other[..2] == row[..2]);
    let rows = table(without_effect);
    let wrong: Vec<_> = rows.iter().filter(is_wrong).collect();
    assert!(wrong.is_empty(), "rows of no setting: {wrong:#?}");
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
fn every_command_is_in_the_manual() {
    let broker = Broker::start().unwrap();
    let commands = texts(broker.client().call(&["COMMAND", "LIST"]));
    let expected: BTreeSet<String> = commands
        .iter()
        .map(|name| name.replace('|', " ").to_uppercase())
        .collect();
    let page = read("src/manual/commands.md");
    let mut shown = BTreeSet::new();
    for row in table(section(&page, "All commands")) {
        // `CLIENT (GETNAME, ID), ECHO` names CLIENT, CLIENT GETNAME, CLIENT ID and ECHO.
        let (mut container, mut last) = (None, "");
        for word in row[1].split([',', ' ']).filter(|word| !word.is_empty()) {
            if word.starts_with('(') {
                container = Some(last);
            }
            last = word.trim_matches(['(', ')']);
            shown.insert(match container {
                Some(container) => format!("{container} {last}"),
                None => last.to_owned(),
            });
            if word.ends_with(')') {
                container = None;
            }
        }
    }
    let missing: Vec<_> = expected.difference(&shown).collect();
    let invented: Vec<_> = shown.difference(&expected).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "missing: {missing:?}; not there: {invented:?}"
    );
}

#[test]
fn the_readme_is_short() {
    // But for the table that a reader has to unfold.
    let text = read("README.md");
    let (before, folded) = text.split_once("<details>").unwrap();
    let (_, after) = folded.split_once("</details>").unwrap();
    let lines = before.lines().count() + after.lines().count();
    assert!(lines <= README_LINES, "it has {lines} lines");
}

#[test]
fn every_page_of_the_manual_is_shown_and_linked() {
    let (readme, lib) = (read("README.md"), read("src/lib.rs"));
    let mut wrong = Vec::new();
    for page in pages() {
        let name = page.file_stem().unwrap().to_str().unwrap();
        for (place, text, link) in [
            ("README.md", &readme, format!("](src/manual/{name}.md)")),
            ("src/lib.rs", &lib, format!("page!(\"manual/{name}.md\")")),
            (
                "src/lib.rs",
                &lib,
                format!("[{name}]: crate::manual::{name}"),
            ),
        ] {
            if !text.contains(&link) {
                wrong.push(format!("{place} has no {link}"));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

/// Where the links of a page lead, but for those that lead to the web.
fn links(text: &str) -> Vec<&str> {
    // Between fences is code, in which brackets mean something else.
    let prose: Vec<&str> = text.split("\n```").step_by(2).collect();
    let inline = prose.iter().flat_map(|prose| {
        let links = prose.split("](").skip(1);
        links.filter_map(|rest| rest.split(')').next())
    });
    let defined = prose.iter().flat_map(|prose| {
        let lines = prose.lines().filter(|line| line.starts_with('['));
        lines.filter_map(|line| line.split_once("]: ").map(|(_, target)| target))
    });
    let is_web = |target: &&str| target.contains("://");
    inline
        .chain(defined)
        .filter(|target| !is_web(target))
        .collect()
}

/// The headings of a page as links name them.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| {
        let heading = line.trim_start_matches('#').trim();
        let kept = heading.chars().filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            _ => c.is_alphanumeric().then(|| c.to_ascii_lowercase()),
        });
        kept.collect()
    })
}

#[test]
fn every_link_leads_to_a_file_and_to_a_heading_in_it() {
    let mut readers = pages();
    let mut readmes = vec!["", "tests", "tests/transcripts", "benches"];
    readmes.extend(["tests/helpers/python", "tests/helpers/node"]);
    readers.extend(
        readmes
            .iter()
            .map(|folder| root().join(folder).join("README.md")),
    );
    let (mut followed, mut wrong) = (0, Vec::new());
    for page in readers {
        let text = read(&page);
        for link in links(&text) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            followed += 1;
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let leads = target.is_file()
                && (heading.is_empty() || anchors(&read(&target)).any(|anchor| anchor == heading));
            if !leads {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(followed > 20, "only {followed} links were found");
    assert_eq!(wrong, [""; 0]);
}

/// In the documentation a page is given the targets of these links; as a file it needs its own.
#[test]
fn a_page_that_is_read_as_a_file_has_the_targets_of_its_links() {
    let lib = read("src/lib.rs");
    let given = lib.lines().filter_map(|line| {
        let (label, _) = line.trim().strip_prefix("\"[")?.split_once("]: crate::")?;
        Some(label)
    });
    let given: Vec<&str> = given.collect();
    assert!(given.contains(&"settings"), "{given:?}");
    let mut wrong = Vec::new();
    for page in pages() {
        let text = read(&page);
        for label in &given {
            let is_used = text.contains(&format!("[{label}]"));
            if is_used && !text.contains(&format!("\n[{label}]: ")) {
                wrong.push(format!("{}: [{label}]", page.display()));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}
