//! What is in a broker, as text that can be compared and shown when a test
//! fails.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use crate::db::value::Line;
use crate::db::{Keyspace, Seen};
use crate::error::Result;
use crate::text::words;

/// All that is in a broker at one moment, or was when a snapshot was taken.
///
/// States are equal if the same keys have the same values, and expire at the
/// same times. `Display` shows databases, keys, fields and members in order,
/// strings quoted as redis-cli quotes them, and how long keys and fields have
/// left. `Debug` shows the same, so that `assert_eq!` can be read.
///
/// ```
/// let broker = respd::Broker::for_tests()?;
/// broker.fixture().string("greeting", "hello").list("jobs", ["b", "a"]).load()?;
/// assert_eq!(broker.state().to_string(), "\
/// db 0
///   \"greeting\" string \"hello\"
///   \"jobs\" list
///     \"b\"
///     \"a\"
/// ");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct State {
    /// When that was, in milliseconds since 1970: what is left of times counts
    /// from there.
    now: i64,
    /// By database and name.
    keys: BTreeMap<(usize, Box<[u8]>), Contents>,
}

/// What is under a key.
#[derive(Clone, PartialEq, Eq)]
struct Contents {
    kind: &'static str,
    expires_at: Option<i64>,
    lines: Vec<Line>,
}

impl State {
    /// What is there now of the keys that are wanted.
    pub(crate) fn of(keyspace: &Keyspace, now: i64, is_wanted: impl Fn(&[u8]) -> bool) -> State {
        let mut state = State::empty(now);
        for (index, database) in keyspace.databases.iter().enumerate() {
            state.add(index, database.seen().filter(|seen| is_wanted(seen.key)));
        }
        state
    }

    /// What was there when a snapshot was taken. What would have expired by `now`
    /// is not there.
    pub(crate) fn at(keyspace: &Keyspace, snapshot: u64, now: i64) -> Result<State> {
        let mut state = State::empty(now);
        for (index, database) in keyspace.databases_at(snapshot)?.into_iter().enumerate() {
            state.add(index, database.seen_at(snapshot));
        }
        Ok(state)
    }

    /// How what is there now differs from what was there when a snapshot was
    /// taken. That takes time for what has changed.
    pub(crate) fn difference_to(
        keyspace: &Keyspace,
        snapshot: u64,
        now: i64,
    ) -> Result<Difference> {
        let (mut old, mut new) = (State::empty(now), State::empty(now));
        let then = keyspace.databases_at(snapshot)?.into_iter();
        for (index, (then, database)) in then.zip(&keyspace.databases).enumerate() {
            if std::ptr::eq(then, database) {
                let (then, now) = database.changes_since(snapshot);
                old.add(index, then);
                new.add(index, now);
            } else {
                old.add(index, then.seen_at(snapshot));
                new.add(index, database.seen());
            }
        }
        Ok(new.difference(&old))
    }

    /// How it differs from an older one.
    pub fn difference(&self, old: &State) -> Difference {
        let mut names: Vec<_> = self.keys.keys().chain(old.keys.keys()).collect();
        names.sort();
        names.dedup();
        let mut lines = Vec::new();
        for name in names {
            let (db, key) = name;
            let shown = format!("db {db} {}", quoted(key));
            match (old.keys.get(name), self.keys.get(name)) {
                (Some(old), None) => old.show('-', &shown, self.now, &mut lines),
                (None, Some(new)) => new.show('+', &shown, self.now, &mut lines),
                (Some(old), Some(new)) if old != new => {
                    lines.push(format!("~ {shown} {}", new.head(self.now)));
                    new.show_changes(old, self.now, &mut lines);
                }
                _ => {}
            }
        }
        Difference { lines }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn empty(now: i64) -> State {
        State {
            now,
            ..State::default()
        }
    }

    fn add<'a>(&mut self, index: usize, keys: impl IntoIterator<Item = Seen<'a>>) {
        let there = keys.into_iter().filter(|seen| !seen.is_due(self.now));
        let named = there.map(|seen| {
            let contents = Contents {
                kind: seen.value.kind().name,
                expires_at: seen.expires_at,
                lines: seen.value.lines(self.now),
            };
            ((index, seen.key.into()), contents)
        });
        // To sort them once is faster than to insert each.
        self.keys.append(&mut named.collect());
    }
}

impl PartialEq for State {
    fn eq(&self, other: &State) -> bool {
        self.keys == other.keys
    }
}

impl Eq for State {}

impl Contents {
    /// Its kind, and how long it has left.
    fn head(&self, now: i64) -> String {
        format!("{}{}", self.kind, left(self.expires_at, now))
    }

    /// A string stands on one line with its key, the parts of anything else on
    /// lines of their own.
    fn show(&self, sign: char, name: &str, now: i64, lines: &mut Vec<String>) {
        let head = self.head(now);
        match &self.lines[..] {
            [string] if self.kind == "string" => {
                lines.push(format!("{sign} {name} {head} {}", string.text));
            }
            parts => {
                lines.push(format!("{sign} {name} {head}"));
                lines.extend(parts.iter().map(|part| format!("    {}", shown(part, now))));
            }
        }
    }

    fn show_changes(&self, old: &Contents, now: i64, lines: &mut Vec<String>) {
        let (head, old_head) = (self.head(now), old.head(now));
        if head != old_head {
            lines.push(format!("    - {old_head}"));
            lines.push(format!("    + {head}"));
        }
        let (gone, new) = match self.kind {
            "list" => middles(&old.lines, &self.lines),
            _ => (
                missing(&old.lines, &self.lines),
                missing(&self.lines, &old.lines),
            ),
        };
        let part = |sign: char| move |part: &Line| format!("    {sign} {}", shown(part, now));
        lines.extend(gone.into_iter().map(part('-')));
        lines.extend(new.into_iter().map(part('+')));
    }
}

/// What of two lists is not at the front and at the end of both.
fn middles<'a>(old: &'a [Line], new: &'a [Line]) -> (Vec<&'a Line>, Vec<&'a Line>) {
    let same = |(a, b): &(&Line, &Line)| a == b;
    let front = old.iter().zip(new).take_while(same).count();
    let (old, new) = (&old[front..], &new[front..]);
    let end = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(same)
        .count();
    let middle = |lines: &'a [Line]| lines[..lines.len() - end].iter().collect();
    (middle(old), middle(new))
}

/// What of some lines others do not have.
fn missing<'a>(some: &'a [Line], others: &[Line]) -> Vec<&'a Line> {
    let others: HashSet<_> = others.iter().collect();
    some.iter().filter(|line| !others.contains(line)).collect()
}

fn shown(part: &Line, now: i64) -> String {
    format!("{}{}", part.text, left(part.expires_at, now))
}

fn left(expires_at: Option<i64>, now: i64) -> String {
    expires_at.map_or_else(String::new, |at| {
        format!(", {} ms left", at.saturating_sub(now))
    })
}

fn quoted(key: &[u8]) -> String {
    String::from_utf8_lossy(&words::quote(key)).into_owned()
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = None;
        let mut lines = Vec::new();
        for ((db, key), contents) in &self.keys {
            if last.replace(db) != Some(db) {
                writeln!(f, "db {db}")?;
            }
            contents.show(' ', &quoted(key), self.now, &mut lines);
            lines.drain(..).try_for_each(|line| writeln!(f, "{line}"))?;
        }
        Ok(())
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}

/// How two states differ: `+` what has come, `-` what has gone, `~` what is
/// another, with the parts that have come and gone.
///
/// `Display` and `Debug` show a hundred lines of two hundred characters at most,
/// and how many more there are. If nothing differs they show nothing.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Difference {
    lines: Vec<String>,
}

impl Difference {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LINES: usize = 100;
        const CHARACTERS: usize = 200;
        for line in self.lines.iter().take(LINES) {
            match line.get(..CHARACTERS) {
                Some(start) if start.len() < line.len() => {
                    writeln!(f, "{start}... and {} more", line.len() - CHARACTERS)?;
                }
                _ => writeln!(f, "{line}")?,
            }
        }
        match self.lines.len().saturating_sub(LINES) {
            0 => Ok(()),
            more => writeln!(f, "... and {more} more lines"),
        }
    }
}

impl fmt::Debug for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}
