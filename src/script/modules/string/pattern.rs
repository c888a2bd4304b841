//! Lua's patterns, matched in bounded time and without recursion.
//!
//! A pattern is read while it is matched, as in Lua 5.1: what is wrong in a
//! part that no attempt gets to is not noticed, and a NUL ends it. What Lua
//! does by calling itself is a choice on a trail here: where to go on when the
//! attempt at hand fails.

use crate::script::native::{Raise, Result};
use crate::script::running;

/// How many captures a pattern may have.
const CAPTURES_MAX: usize = 32;

/// How many choices may be open at once. Each belongs to another item of the
/// pattern; Lua 5.1 would overflow its stack soon after.
const CHOICES_MAX: usize = 1 << 16;

/// How many steps a call may take. A step is a few nanoseconds, so a call of
/// so many ends within 0.2 s; those that scripts are written for take a few
/// for each byte of the subject.
pub const STEPS_MAX: u64 = 30_000_000;

/// The server looks around after so many: a power of two.
const STEPS_PER_LOOK: u64 = 1 << 17;

/// Starts what is not a byte that stands for itself.
const ESCAPE: u8 = b'%';

/// Part of the subject that a pattern has in brackets.
#[derive(Clone, Copy)]
struct Group {
    start: usize,
    end: End,
}

/// Where a group ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// Its closing bracket has not been met.
    Open,
    /// It is `()`, which tells where it is.
    Position,
    At(usize),
}

/// What a group has captured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Capture {
    /// The bytes from the one to the other.
    Bytes(usize, usize),
    /// A place in the subject, from 1 on.
    Position(usize),
}

/// What to do when an attempt fails, the newest first.
enum Choice {
    /// Go on with the pattern from there: the item before need not be.
    Skip { at: usize, next: usize },
    /// Give back one of `spare` bytes after `least` that an item has taken.
    Less {
        least: usize,
        spare: usize,
        next: usize,
    },
    /// Let an item take one byte more.
    More { at: usize, item: usize, end: usize },
    /// The newest group is none.
    Unopen,
    /// A group is open again.
    Unclose(usize),
}

/// A pattern on its subject.
pub struct Matcher<'a> {
    subject: &'a [u8],
    pattern: &'a [u8],
    groups: [Group; CAPTURES_MAX],
    count: usize,
    choices: Vec<Choice>,
    steps_left: u64,
}

impl<'a> Matcher<'a> {
    /// For any number of attempts, which share [`STEPS_MAX`].
    pub fn new(subject: &'a [u8], pattern: &'a [u8]) -> Matcher<'a> {
        let none = Group {
            start: 0,
            end: End::Open,
        };
        Matcher {
            subject,
            pattern,
            groups: [none; CAPTURES_MAX],
            count: 0,
            choices: Vec::new(),
            steps_left: STEPS_MAX,
        }
    }

    /// Looks for the first match from `from` on: where it starts and ends.
    pub fn find(&mut self, from: usize) -> Result<Option<(usize, usize)>> {
        let is_anchored = self.pattern.first() == Some(&b'^');
        if is_anchored {
            return Ok(self.attempt(from, 1)?.map(|end| (from, end)));
        }
        self.find_unanchored(from)
    }

    /// The same, where `^` at the front is nothing special.
    pub fn find_unanchored(&mut self, from: usize) -> Result<Option<(usize, usize)>> {
        for start in from..=self.subject.len() {
            if let Some(end) = self.attempt(start, 0)? {
                return Ok(Some((start, end)));
            }
        }
        Ok(None)
    }

    /// How many groups the pattern has.
    pub fn count(&self) -> usize {
        self.count
    }

    /// What a group has captured. In a pattern without any the first is the
    /// whole match.
    pub fn capture(&self, index: usize, matched: (usize, usize)) -> Result<Capture> {
        if index >= self.count {
            if index == 0 {
                return Ok(Capture::Bytes(matched.0, matched.1));
            }
            return Err(Raise::text("invalid capture index"));
        }
        let group = self.groups[index];
        match group.end {
            End::At(end) => Ok(Capture::Bytes(group.start, end)),
            End::Position => Ok(Capture::Position(group.start + 1)),
            End::Open => Err(Raise::text("unfinished capture")),
        }
    }

    /// Matches the pattern from its byte `item` on at one place of the
    /// subject: where the match ends.
    pub fn attempt(&mut self, start: usize, item: usize) -> Result<Option<usize>> {
        self.count = 0;
        self.choices.clear();
        let mut place = Some((start, item));
        loop {
            let Some((at, item)) = place else {
                match self.next_choice()? {
                    Some(other) => place = Some(other),
                    None => return Ok(None),
                }
                continue;
            };
            self.spend(1)?;
            place = match self.byte(item) {
                0 => return Ok(Some(at)),
                b'(' => Some(self.open(at, item)?),
                b')' => {
                    self.close(at)?;
                    Some((at, item + 1))
                }
                b'$' if self.byte(item + 1) == 0 => {
                    if at == self.subject.len() {
                        return Ok(Some(at));
                    }
                    None
                }
                ESCAPE => match self.byte(item + 1) {
                    b'b' => self.balance(at, item + 2)?.map(|at| (at, item + 4)),
                    b'f' => self.frontier(at, item + 2)?,
                    digit if digit.is_ascii_digit() => {
                        self.again(at, digit)?.map(|at| (at, item + 2))
                    }
                    _ => self.single(at, item)?,
                },
                _ => self.single(at, item)?,
            };
        }
    }

    /// A byte of the pattern: 0 behind its end.
    fn byte(&self, index: usize) -> u8 {
        self.pattern.get(index).copied().unwrap_or(0)
    }

    fn spend(&mut self, steps: usize) -> Result<()> {
        let Some(left) = self.steps_left.checked_sub(steps as u64) else {
            return Err(too_complex());
        };
        let is_time_to_look = (left ^ self.steps_left) >= STEPS_PER_LOOK;
        self.steps_left = left;
        match is_time_to_look {
            true => running::asked_to_end().map_or(Ok(()), |why| Err(Raise::Error(why))),
            false => Ok(()),
        }
    }

    fn choose(&mut self, choice: Choice) -> Result<()> {
        if self.choices.len() == CHOICES_MAX {
            return Err(too_complex());
        }
        self.choices.push(choice);
        Ok(())
    }

    /// Where to go on after a failure: the place in the subject and in the
    /// pattern.
    fn next_choice(&mut self) -> Result<Option<(usize, usize)>> {
        while let Some(choice) = self.choices.pop() {
            match choice {
                Choice::Skip { at, next } => return Ok(Some((at, next))),
                Choice::Less { least, spare, next } => {
                    let spare = spare - 1;
                    if spare > 0 {
                        self.choices.push(Choice::Less { least, spare, next });
                    }
                    return Ok(Some((least + spare, next)));
                }
                Choice::More { at, item, end } => {
                    if self.takes(at, item, end)? {
                        let at = at + 1;
                        self.choices.push(Choice::More { at, item, end });
                        return Ok(Some((at, end + 1)));
                    }
                }
                Choice::Unopen => self.count -= 1,
                Choice::Unclose(group) => self.groups[group].end = End::Open,
            }
        }
        Ok(None)
    }

    /// Matches an item that stands for one byte, with what says how often.
    fn single(&mut self, at: usize, item: usize) -> Result<Option<(usize, usize)>> {
        let end = self.item_end(item)?;
        let next = end + 1;
        Ok(match self.byte(end) {
            b'?' => {
                if self.takes(at, item, end)? {
                    self.choose(Choice::Skip { at, next })?;
                    Some((at + 1, next))
                } else {
                    Some((at, next))
                }
            }
            b'*' => Some(self.most(at, item, end)?),
            b'+' => {
                if self.takes(at, item, end)? {
                    Some(self.most(at + 1, item, end)?)
                } else {
                    None
                }
            }
            b'-' => {
                self.choose(Choice::More { at, item, end })?;
                Some((at, next))
            }
            _ => self.takes(at, item, end)?.then_some((at + 1, end)),
        })
    }

    /// Lets an item take as many bytes as it can, fewer if the rest asks.
    fn most(&mut self, least: usize, item: usize, end: usize) -> Result<(usize, usize)> {
        let mut spare = 0;
        while self.takes(least + spare, item, end)? {
            spare += 1;
        }
        let next = end + 1;
        if spare > 0 {
            self.choose(Choice::Less { least, spare, next })?;
        }
        Ok((least + spare, next))
    }

    /// Whether a byte of the subject is one that an item stands for.
    fn takes(&mut self, at: usize, item: usize, end: usize) -> Result<bool> {
        self.spend(1)?;
        let Some(&byte) = self.subject.get(at) else {
            return Ok(false);
        };
        match self.byte(item) {
            b'.' => Ok(true),
            ESCAPE => Ok(is_in_class(byte, self.byte(item + 1))),
            b'[' => self.is_in_set(byte, item, end - 1),
            itself => Ok(itself == byte),
        }
    }

    /// Where an item that stands for one byte ends.
    fn item_end(&mut self, item: usize) -> Result<usize> {
        let mut end = item + 1;
        match self.byte(item) {
            ESCAPE if self.byte(end) == 0 => Err(Raise::text("malformed pattern (ends with '%')")),
            ESCAPE => Ok(end + 1),
            b'[' => {
                if self.byte(end) == b'^' {
                    end += 1;
                }
                // The first byte of a set is in it, even `]`.
                loop {
                    let byte = self.byte(end);
                    if byte == 0 {
                        return Err(Raise::text("malformed pattern (missing ']')"));
                    }
                    end += 1;
                    if byte == ESCAPE && self.byte(end) != 0 {
                        end += 1;
                    }
                    if self.byte(end) == b']' {
                        break;
                    }
                }
                // A long set costs at every place where it is tried.
                self.spend((end - item) / 8)?;
                Ok(end + 1)
            }
            _ => Ok(end),
        }
    }

    /// Whether a set that starts with the bracket at `open` and ends with that
    /// at `close` has a byte.
    fn is_in_set(&mut self, byte: u8, open: usize, close: usize) -> Result<bool> {
        let is_negated = self.byte(open + 1) == b'^';
        let first = open + 1 + usize::from(is_negated);
        let mut at = first;
        let mut is_there = false;
        while at < close && !is_there {
            if self.byte(at) == ESCAPE {
                is_there = is_in_class(byte, self.byte(at + 1));
                at += 2;
            } else if self.byte(at + 1) == b'-' && at + 2 < close {
                is_there = (self.byte(at)..=self.byte(at + 2)).contains(&byte);
                at += 3;
            } else {
                is_there = self.byte(at) == byte;
                at += 1;
            }
        }
        self.spend((at - first) / 2)?;
        Ok(is_there != is_negated)
    }

    /// Starts a group: where to go on.
    fn open(&mut self, at: usize, item: usize) -> Result<(usize, usize)> {
        if self.count == CAPTURES_MAX {
            return Err(Raise::text("too many captures"));
        }
        let (end, next) = match self.byte(item + 1) {
            b')' => (End::Position, item + 2),
            _ => (End::Open, item + 1),
        };
        self.groups[self.count] = Group { start: at, end };
        self.count += 1;
        self.choose(Choice::Unopen)?;
        Ok((at, next))
    }

    /// Ends the newest group that is open.
    fn close(&mut self, at: usize) -> Result<()> {
        let groups = &mut self.groups[..self.count];
        let open = groups.iter().rposition(|group| group.end == End::Open);
        let Some(open) = open else {
            return Err(Raise::text("invalid pattern capture"));
        };
        groups[open].end = End::At(at);
        self.choose(Choice::Unclose(open))
    }

    /// Matches `%b` with the two bytes at `pair`: where the match ends.
    fn balance(&mut self, at: usize, pair: usize) -> Result<Option<usize>> {
        let (open, close) = (self.byte(pair), self.byte(pair + 1));
        if open == 0 || close == 0 {
            return Err(Raise::text("unbalanced pattern"));
        }
        if self.subject.get(at) != Some(&open) {
            return Ok(None);
        }
        let mut depth = 1;
        for (index, &byte) in self.subject.iter().enumerate().skip(at + 1) {
            self.spend(1)?;
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(index + 1));
                }
            } else if byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// Matches `%f` with the set at `open`: between a byte that is not in it
    /// and one that is. Before the subject and behind it are NULs.
    fn frontier(&mut self, at: usize, open: usize) -> Result<Option<(usize, usize)>> {
        if self.byte(open) != b'[' {
            return Err(Raise::text("missing '[' after '%f' in pattern"));
        }
        let end = self.item_end(open)?;
        let byte_at = |index: usize| self.subject.get(index).copied().unwrap_or(0);
        let before = at.checked_sub(1).map_or(0, byte_at);
        let after = byte_at(at);
        let is_frontier =
            !self.is_in_set(before, open, end - 1)? && self.is_in_set(after, open, end - 1)?;
        Ok(is_frontier.then_some((at, end)))
    }

    /// Matches what a group has captured: where the match ends.
    fn again(&mut self, at: usize, digit: u8) -> Result<Option<usize>> {
        let invalid = || Raise::text("invalid capture index");
        let index = usize::from(digit - b'0').checked_sub(1);
        let index = index.filter(|index| *index < self.count);
        let group = self.groups[index.ok_or_else(invalid)?];
        match group.end {
            End::Open => Err(invalid()),
            End::Position => Ok(None),
            End::At(end) => {
                let text = &self.subject[group.start..end];
                self.spend(text.len() / 8)?;
                let is_there = self.subject[at..].starts_with(text);
                Ok(is_there.then_some(at + text.len()))
            }
        }
    }
}

fn too_complex() -> Raise {
    Raise::text("pattern too complex")
}

/// Whether a byte is in the class that a letter after `%` stands for. Other
/// characters stand for themselves.
fn is_in_class(byte: u8, class: u8) -> bool {
    let is_in = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => matches!(byte, b' ' | b'\t'..=b'\r'),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is_in != class.is_ascii_uppercase()
}

/// Finds bytes, not a pattern: where they start.
pub fn find_plain(subject: &[u8], bytes: &[u8], from: usize) -> Option<usize> {
    let found = memchr::memmem::find(&subject[from..], bytes);
    found.map(|start| from + start)
}

/// Whether a pattern is nothing but the bytes that it is made of.
pub fn is_plain(pattern: &[u8]) -> bool {
    let end = memchr::memchr(0, pattern).unwrap_or(pattern.len());
    !pattern[..end]
        .iter()
        .any(|byte| b"^$*+?.([%-".contains(byte))
}

/// LuaJIT's own functions match this pattern with subjects that have fewer
/// bytes than this in well under 10 ms, and with the same result. None have
/// fewer than 0, where that is not known, as where the pattern has a fault.
pub fn native_subject_max(pattern: &[u8]) -> usize {
    // LuaJIT gives up where items call each other deeper than 200.
    const PATTERN_MAX: usize = 100;
    if pattern.len() > PATTERN_MAX {
        return 0;
    }
    let Some(repeated) = count_repeated(pattern) else {
        return 0;
    };
    // At each place each repeated item may be tried with each length.
    match repeated {
        0 => 10_000,
        1 => 1_000,
        2 => 100,
        3 => 32,
        4 => 16,
        _ => 0,
    }
}

/// How many items of a pattern may be repeated. `None` if it has a fault, or
/// something that LuaJIT has otherwise.
fn count_repeated(pattern: &[u8]) -> Option<usize> {
    let (mut repeated, mut groups) = (0, 0);
    let mut open = 0_usize;
    let mut rest = pattern.strip_prefix(b"^").unwrap_or(pattern);
    while let Some(&byte) = rest.split_off_first() {
        match byte {
            0 => return None,
            b'(' => {
                open += 1;
                groups += 1;
                continue;
            }
            b')' => {
                open = open.checked_sub(1)?;
                continue;
            }
            ESCAPE => check_class(rest.split_off_first())?,
            b'[' => skip_set(&mut rest)?,
            _ => {}
        }
        if let [b'*' | b'+' | b'-' | b'?', after @ ..] = rest {
            rest = after;
            repeated += 1;
        }
    }
    (open == 0 && groups <= CAPTURES_MAX).then_some(repeated)
}

/// Whether what follows a `%` means the same to both.
fn check_class(class: Option<&u8>) -> Option<()> {
    let class = class?;
    let is_known = b"acdlpsuwx".contains(&class.to_ascii_lowercase());
    (is_known || class.is_ascii_punctuation()).then_some(())
}

fn skip_set(rest: &mut &[u8]) -> Option<()> {
    if let [b'^', after @ ..] = *rest {
        *rest = after;
    }
    let mut is_first = true;
    loop {
        match rest.split_off_first()? {
            b']' if !is_first => return Some(()),
            0 => return None,
            &ESCAPE => check_class(rest.split_off_first())?,
            _ => {}
        }
        is_first = false;
    }
}
