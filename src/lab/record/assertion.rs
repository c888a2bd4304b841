//! What a test says that was sent, and what it is told if that is not so.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use super::entry::{Entry, Kind, Request, line, word};
use super::filter::{matches, touches};
use super::log::Seen;
use crate::lab::scope::Who;
use crate::resp::value::Value;
use crate::text::distance::distance;
use crate::text::{glob, words};

/// What is said to be so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Assertion {
    /// Requests like this were sent, so often; `None`: at least once.
    Sent(Pattern, Option<u64>),
    /// Messages like this were delivered, so often; `None`: at least once.
    Delivered(Pattern, Option<u64>),
    /// No request names a key that is like this.
    Untouched(Vec<u8>),
    /// Requests like these were sent one after the other, with others between
    /// them perhaps.
    Order(Vec<Pattern>),
}

/// Words of which each may be a pattern. `...` as the last one is any further
/// words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern(Vec<Vec<u8>>);

/// So many things are shown that were sent instead.
const SHOWN: usize = 5;
/// So many words of each are looked at to tell how near it is.
const COMPARED: usize = 64;

const ANY_MORE: &[u8] = b"...";

impl Pattern {
    /// These words.
    pub fn new<W: AsRef<[u8]>>(words: impl IntoIterator<Item = W>) -> Pattern {
        let words = words.into_iter().map(|word| word.as_ref().to_vec());
        Pattern(words.collect())
    }

    /// The words of a line as one would type it into redis-cli; `None` if its
    /// quotes do not match.
    pub fn of_line(line: &[u8]) -> Option<Pattern> {
        words::split(line).map(Pattern)
    }

    /// Its words, and whether any may follow.
    fn parts(&self) -> (&[Vec<u8>], bool) {
        match self.0.split_last() {
            Some((last, words)) if last == ANY_MORE => (words, true),
            _ => (&self.0, false),
        }
    }

    fn matches(&self, said: &Said<'_>) -> bool {
        let (wanted, open) = self.parts();
        let fits = said.count == wanted.len() || open && said.count > wanted.len();
        fits && (0..wanted.len()).all(|index| said.is_like(index, &wanted[index]))
    }

    /// How far something is from being like this.
    fn distance(&self, said: &Said<'_>) -> usize {
        let (wanted, open) = self.parts();
        let len = wanted.len().max(if open { 0 } else { said.words.len() });
        let of_word = |index: usize| match (wanted.get(index), said.words.get(index)) {
            (Some(_), Some(_)) if said.is_like(index, &wanted[index]) => 0,
            (Some(wanted), Some(word)) => distance(wanted, word).max(1),
            (Some(lone), None) => 1 + lone.len(),
            (None, Some(lone)) => 1 + lone.len(),
            (None, None) => 0,
        };
        (0..len.min(COMPARED)).map(of_word).sum()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.0.iter().map(|part| word(part)).collect();
        write!(f, "'{}'", words.join(" "))
    }
}

/// A request or a message.
struct Said<'e> {
    who: &'e Who,
    /// As far as they are kept.
    words: Vec<Cow<'e, [u8]>>,
    /// How many words there were.
    count: usize,
    /// How many bytes the last of those had that are kept.
    last_len: usize,
    /// So many at the beginning are compared in any case.
    name_words: usize,
}

impl<'e> Said<'e> {
    fn of_request(entry: &'e Entry) -> Option<Said<'e>> {
        let request = entry.request().filter(|_| entry.kind() == Kind::Request)?;
        let kept = request.words().len();
        Some(Said {
            who: entry.who(),
            words: request.words().iter().map(Cow::Borrowed).collect(),
            count: request.word_count(),
            last_len: request.word_len(kept.saturating_sub(1)),
            name_words: request.name_words,
        })
    }

    fn of_message(entry: &'e Entry) -> Option<Said<'e>> {
        if entry.kind() != Kind::Push {
            return None;
        }
        let mut words = Vec::new();
        entry
            .values()
            .iter()
            .for_each(|value| add(value, &mut words));
        Some(Said {
            who: entry.who(),
            count: words.len(),
            last_len: words.last().map_or(0, |word| word.len()),
            name_words: 1,
            words,
        })
    }

    fn is_like(&self, index: usize, pattern: &[u8]) -> bool {
        let Some(word) = self.words.get(index) else {
            return false;
        };
        if index < self.name_words {
            return pattern.eq_ignore_ascii_case(word) || glob::matches(pattern, word, true);
        }
        let is_cut = index + 1 == self.words.len() && self.last_len > word.len();
        let same_as_far = is_cut && pattern.len() == self.last_len && pattern.starts_with(word);
        same_as_far || matches(pattern, word)
    }

    fn line(&self) -> String {
        line(self.words.iter().map(|word| &**word), self.count)
    }
}

/// Adds the words that are in a value.
fn add(value: &Value, words: &mut Vec<Cow<'_, [u8]>>) {
    match value {
        Value::Array(items) | Value::Push(items) | Value::Set(items) => {
            items.iter().for_each(|item| add(item, words));
        }
        Value::Integer(number) => words.push(Cow::Owned(number.to_string().into_bytes())),
        other => {
            let bytes = other.as_bytes().unwrap_or_default();
            words.push(Cow::Owned(bytes.to_vec()));
        }
    }
}

impl Assertion {
    /// Whether it is so.
    ///
    /// # Errors
    ///
    /// It is not, or nobody can know, as entries have gone: the text says what
    /// was sent instead, on one line.
    pub fn check(&self, seen: &Seen) -> Result<(), String> {
        let entries = seen.entries.iter();
        let failed = match self {
            Assertion::Sent(wanted, times) => {
                let sent: Vec<_> = entries.filter_map(Said::of_request).collect();
                counted(wanted, *times, &sent, "sent", seen.gone)
            }
            Assertion::Delivered(wanted, times) => {
                let delivered: Vec<_> = entries.filter_map(Said::of_message).collect();
                counted(wanted, *times, &delivered, "delivered", seen.gone)
            }
            Assertion::Untouched(pattern) => untouched(pattern, seen),
            Assertion::Order(wanted) => {
                let sent: Vec<_> = entries.filter_map(Said::of_request).collect();
                in_order(wanted, &sent)
            }
        };
        match (failed, seen.gone) {
            (None, _) => Ok(()),
            (Some(text), 0) => Err(text),
            (Some(text), gone) => Err(format!(
                "{text}; the {gone} entries before these have gone: have the record keep more"
            )),
        }
    }
}

fn counted(
    wanted: &Pattern,
    times: Option<u64>,
    said: &[Said<'_>],
    was: &str,
    gone: u64,
) -> Option<String> {
    let count = said.iter().filter(|said| wanted.matches(said)).count() as u64;
    let is_so = match times {
        None => count > 0,
        // There may have been more.
        Some(times) => count == times && gone == 0,
    };
    if is_so {
        return None;
    }
    let nearest = nearest(wanted, said);
    if count == 0 && gone > 0 {
        return Some(format!(
            "nobody knows whether {wanted} was {was}; {was}: {nearest}"
        ));
    }
    let how_often = match (count, times) {
        (0, _) => format!("was not {was}"),
        (_, Some(times)) if count != times => {
            format!("was {was} {}, and not {}", often(count), often(times))
        }
        _ => format!(
            "was {was} {}, and nobody knows whether more often",
            often(count)
        ),
    };
    Some(format!("{wanted} {how_often}; {was}: {nearest}"))
}

fn untouched(pattern: &[u8], seen: &Seen) -> Option<String> {
    let is_touched = |entry: &&Entry| {
        let request = entry.request();
        request.is_some_and(|request| touches(request, pattern))
    };
    let touching = seen.entries.iter().filter(is_touched);
    let touching: Vec<_> = touching.filter_map(Said::of_request).collect();
    let pattern = word(pattern);
    if !touching.is_empty() {
        return Some(format!(
            "'{pattern}' was touched; sent: {}",
            shown(&touching)
        ));
    }
    let lacks_keys = |entry: &&Entry| entry.request().is_some_and(Request::lacks_keys);
    let nobody_knows = format!("nobody knows whether '{pattern}' was touched");
    match seen.entries.iter().find(lacks_keys) {
        Some(cut) => Some(format!(
            "{nobody_knows}: of this not all keys are on record: {}",
            cut.text()
        )),
        None => (seen.gone > 0).then_some(nobody_knows),
    }
}

fn in_order(wanted: &[Pattern], sent: &[Said<'_>]) -> Option<String> {
    let mut from = 0;
    let mut before = None;
    for wanted in wanted {
        let rest = &sent[from..];
        match rest.iter().position(|said| wanted.matches(said)) {
            Some(at) => {
                from += at + 1;
                before = Some(wanted);
            }
            None => {
                let rest = nearest(wanted, rest);
                let Some(before) = before else {
                    return Some(format!("{wanted} was not sent; sent: {rest}"));
                };
                let earlier = match sent[..from].iter().any(|said| wanted.matches(said)) {
                    true => ", but before it",
                    false => "",
                };
                return Some(format!(
                    "{wanted} was not sent after {before}{earlier}; sent after it: {rest}"
                ));
            }
        }
    }
    None
}

fn often(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        _ => format!("{count} times"),
    }
}

/// What was said, the nearest first.
fn nearest(wanted: &Pattern, said: &[Said<'_>]) -> String {
    let mut by_distance: Vec<_> = said.iter().collect();
    by_distance.sort_by_cached_key(|said| wanted.distance(said));
    shown(by_distance)
}

/// What was said, with who has said or got it, and how often if more than once.
fn shown<'s>(said: impl IntoIterator<Item = &'s Said<'s>>) -> String {
    let mut counts = HashMap::new();
    let mut lines = Vec::new();
    for said in said {
        let line = (said.line(), said.who.to_string());
        let count: &mut u64 = counts.entry(line.clone()).or_default();
        *count += 1;
        if *count == 1 {
            lines.push(line);
        }
    }
    let described = |line: &(String, String)| {
        let (text, who) = line;
        match counts.get(line) {
            Some(&count) if count > 1 => format!("{text} ({who}, {})", often(count)),
            _ => format!("{text} ({who})"),
        }
    };
    let described: Vec<_> = lines.iter().take(SHOWN).map(described).collect();
    match lines.len() - described.len() {
        _ if described.is_empty() => "nothing".to_owned(),
        0 => described.join(", "),
        1 => format!("{}, and 1 other", described.join(", ")),
        more => format!("{}, and {more} others", described.join(", ")),
    }
}
