//! What the sources must not do: use each other in circles, use what stands above them, do what
//! is another module's task. It is read from the code, so that no comment and no text fools it.

mod made_up;
mod reading;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use sources::{Sources, Stop};

/// Where values are at home, and the enum of their types.
const VALUES: &str = "src/db/value/";
const VALUE: &str = "Value";

/// What only some modules do: what it is, who does it, and what the code of those who do says.
const TASKS: [[&str; 3]; 5] = [
    [
        "touches sockets",
        "net cli",
        "TcpStream TcpListener UnixStream UnixListener UdpSocket socket2 tokio::net",
    ],
    [
        "names the runtime",
        "clock net engine server cli",
        "tokio tokio_util",
    ],
    [
        "prints or exits",
        "cli",
        "print! println! eprint! eprintln! dbg! io::stdout io::stderr process::exit",
    ],
    [
        "tells the time or waits for it",
        "clock cli",
        "Instant::now SystemTime::now Timestamp::now Zoned::now .elapsed tokio::time \
         thread::sleep park_timeout .recv_timeout .wait_timeout .wait_timeout_while",
    ],
    ["unwraps what may fail", "", ".unwrap"],
];

/// The library, the program and the benches.
static SOURCES: LazyLock<Sources> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = |path: &str| fs::read_to_string(root.join(path)).ok();
    let mut roots = vec!["src/lib.rs".to_owned(), "src/main.rs".to_owned()];
    for entry in fs::read_dir(root.join("benches")).unwrap() {
        let path = format!("benches/{}", entry.unwrap().file_name().display());
        let inside = format!("{path}/main.rs");
        let is_root = |path: &String| path.ends_with(".rs") && text(path).is_some();
        roots.extend([path, inside].into_iter().find(is_root));
    }
    let sources = Sources::read(&roots, &text);
    let files = sources.paths().count();
    assert!(files > 80, "found {files} sources");
    sources
});

/// The uses of files that lead back to their user: who uses which names of whom.
fn circles(sources: &Sources) -> Vec<String> {
    let mut edges = BTreeMap::<_, BTreeSet<_>>::new();
    for (user, stop) in sources.uses() {
        if let Stop::Item(used, name, _) = stop
            && used != user
        {
            edges.entry((user, used)).or_default().insert(name);
        }
    }
    let leads_back = |user, used| {
        let (mut reached, mut open) = (BTreeSet::new(), vec![used]);
        while let Some(from) = open.pop() {
            let next = edges.range((from, "")..).map(|(edge, _)| edge);
            let next = next.take_while(|edge| edge.0 == from).map(|edge| edge.1);
            open.extend(next.filter(|next| reached.insert(*next)));
        }
        reached.contains(user)
    };
    let mut circles = Vec::new();
    for ((user, used), names) in &edges {
        if leads_back(*user, *used) {
            let names = Vec::from_iter(names.iter().copied()).join(", ");
            circles.push(format!("{user} uses {used}: {names}"));
        }
    }
    circles
}

/// The module at the top of the tree that a file belongs to; `cli` is the program.
fn top(path: &str) -> Option<&str> {
    let path = path.strip_prefix("src/")?.trim_end_matches(".rs");
    let first = path.split('/').next()?;
    Some(if first == "main" { "cli" } else { first })
}

/// The line of the tour that each module stands on.
fn tour(lib: &str) -> BTreeMap<&str, usize> {
    let table = lib.split("//! ```text\n").nth(1).unwrap();
    let table = table.split("//! ```").next().unwrap();
    let mut places = BTreeMap::new();
    for (line, text) in table.lines().enumerate() {
        let text = text.trim_start_matches("//! ");
        // Behind two spaces it says what the modules are for.
        let modules = text.split("  ").next().unwrap();
        for module in modules.split_whitespace() {
            let before = places.insert(module, line);
            assert_eq!(before, None, "{module} stands in the tour twice");
        }
    }
    places
}

/// What is not as the tour tells it.
fn against_the_tour(sources: &Sources, lib: &str) -> BTreeSet<String> {
    let places = tour(lib);
    // Every path may pass the root, and nothing below can name the program.
    let inside = |path| top(path).filter(|top| !["lib", "cli"].contains(top));
    let told = places.keys().copied().collect();
    let modules = BTreeSet::from_iter(sources.paths().filter_map(inside));
    let differing = modules.symmetric_difference(&told);
    let mut wrong = BTreeSet::from_iter(
        differing.map(|module| format!("{module} is not both a module and in the tour")),
    );
    for (path, stop) in sources.uses() {
        let (used, name) = match stop {
            Stop::Module(used) => (used, "a name in it"),
            Stop::Item(used, name, _) => (used, name),
            _ => continue,
        };
        if let (Some(user), Some(used)) = (inside(path), inside(used))
            && user != used
            && places.get(used) <= places.get(user)
        {
            wrong.insert(format!("{path} uses {used}: {name}"));
        }
    }
    wrong
}

/// Whether the path has these words next to each other.
fn says(path: &str, words: &str) -> bool {
    format!("::{path}::").contains(&format!("::{words}::"))
}

#[track_caller]
fn assert_none(wrong: impl IntoIterator<Item = String>) {
    let wrong = Vec::from_iter(wrong);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    assert_none(circles(&SOURCES));
}

#[test]
fn every_module_uses_only_those_below_it() {
    let lib = include_str!("../../src/lib.rs");
    assert_none(against_the_tour(&SOURCES, lib));
}

#[test]
fn what_only_some_modules_do_the_others_do_not() {
    let mut wrong = BTreeSet::new();
    let uses = SOURCES.uses();
    for [task, allowed, words] in TASKS {
        let allowed: BTreeSet<_> = allowed.split_whitespace().collect();
        let mut busy = BTreeSet::new();
        for (path, stop) in &uses {
            if let (Some(top), Stop::Outside(said)) = (top(path), stop)
                && words.split_whitespace().any(|words| says(said, words))
            {
                busy.insert(top);
                if !allowed.contains(top) {
                    wrong.insert(format!("{path} {task}: {said}"));
                }
            }
        }
        // Nobody is allowed what it does not need.
        let idle = allowed.difference(&busy);
        wrong.extend(idle.map(|module| format!("{module} no longer {task}")));
    }
    assert_none(wrong);
}

#[test]
fn only_values_tell_their_types_apart() {
    let mut wrong = BTreeSet::new();
    let mut is_there = false;
    for (path, stop) in SOURCES.uses() {
        if let Stop::Item(of, VALUE, has) = stop
            && of.starts_with(VALUES)
        {
            is_there = true;
            // Functions, which anybody may call, begin with a small letter.
            let variant = has
                .first()
                .filter(|word| !word.starts_with(char::is_lowercase));
            if let Some(variant) = variant.filter(|_| !path.starts_with(VALUES)) {
                wrong.insert(format!("{path} knows {VALUE}::{variant}"));
            }
        }
    }
    assert!(is_there, "there is no {VALUE} in {VALUES}");
    assert_none(wrong);
}
