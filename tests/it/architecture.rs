//! Who may use whom: what the tour in `src/lib.rs` says is what the sources do.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The code of a source file, without comments and tests.
struct Source {
    /// The module at the top of the tree that it belongs to; `cli` is the binary.
    module: String,
    path: PathBuf,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut sources) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let inside = path.strip_prefix(&root).unwrap().with_extension("");
            let name = inside.file_name().unwrap().to_str().unwrap();
            if ["tests", "testing", "fake"].contains(&name) {
                continue;
            }
            let first = inside.iter().next().unwrap().to_str().unwrap();
            let module = if first == "main" { "cli" } else { first };
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            let lines = code.lines();
            let code = lines.filter(|line| !line.trim_start().starts_with("//"));
            sources.push(Source {
                module: module.to_owned(),
                code: code.collect::<Vec<_>>().join("\n"),
                path,
            });
        }
    }
    assert!(sources.len() > 50, "found {} sources", sources.len());
    sources
}

/// The line of the tour that each module stands on.
fn tour() -> BTreeMap<String, usize> {
    let lib = include_str!("../../src/lib.rs");
    let table = lib.split("//! ```").nth(1).unwrap();
    let mut places = BTreeMap::new();
    for (line, text) in table.lines().skip(1).enumerate() {
        let text = text.trim_start_matches("//! ");
        // Behind two spaces it says what the modules are for.
        let modules = text.split("  ").next().unwrap();
        for module in modules.split_whitespace() {
            let before = places.insert(module.to_owned(), line);
            assert_eq!(before, None, "{module} stands in the tour twice");
        }
    }
    places
}

/// The names that follow `prefix` in the code.
fn names_behind<'a>(code: &'a str, prefix: &str) -> Vec<&'a str> {
    let names = code.split(prefix).skip(1);
    let end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    names
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap().split(','),
            None => rest.split(end).next().unwrap().split(','),
        })
        .map(|name| name.trim().split(end).next().unwrap())
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn every_module_uses_only_those_below_it() {
    let places = tour();
    let mut wrong = Vec::new();
    for source in sources() {
        if ["lib", "cli"].contains(&source.module.as_str()) {
            continue;
        }
        let Some(place) = places.get(&source.module) else {
            wrong.push(format!("{} is not in the tour", source.module));
            continue;
        };
        for used in names_behind(&source.code, "crate::") {
            let Some(below) = places.get(used) else {
                wrong.push(format!("{} uses {used}", source.path.display()));
                continue;
            };
            let pair = [source.module.as_str(), used];
            let friends = pair == ["engine", "server"] || pair == ["server", "engine"];
            if used != source.module && below <= place && !friends {
                wrong.push(format!("{} uses {used}", source.path.display()));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn what_only_some_modules_may_do_only_they_do() {
    let rules: [(&str, &[&str], &[&str]); 3] = [
        (
            "touches sockets",
            &["net", "cli"],
            &[
                "TcpStream",
                "TcpListener",
                "UnixStream",
                "UnixListener",
                "socket2",
            ],
        ),
        (
            "names the runtime",
            &["broker", "net", "engine", "server", "cli"],
            &["tokio"],
        ),
        (
            "prints or exits",
            &["cli"],
            &[
                "print!",
                "println!",
                "dbg!",
                "io::stdout",
                "io::stderr",
                "process::exit",
            ],
        ),
    ];
    let mut wrong = Vec::new();
    for source in sources() {
        for (what, allowed, words) in &rules {
            let is_allowed = allowed.contains(&source.module.as_str());
            if !is_allowed && words.iter().any(|word| source.code.contains(word)) {
                wrong.push(format!("{} {what}", source.path.display()));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn what_may_fail_is_not_unwrapped() {
    let unwraps = |source: &Source| source.code.contains(".unwrap()");
    let wrong = sources().into_iter().filter(unwraps);
    let paths: Vec<_> = wrong.map(|source| source.path).collect();
    assert!(paths.is_empty(), "{paths:?}");
}
