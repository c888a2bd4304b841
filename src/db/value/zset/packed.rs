//! A small sorted set as a row of bytes: how many members there are, then each
//! member and its score, in order.
//!
//! Nothing is found but by going through them, which for a hundred or so takes
//! no longer than one look into memory that is far away.

use std::cmp::Ordering;

use crate::db::memory::pack;
use crate::text::double;

/// The first byte is the number of members, or this: they have to be counted.
const MANY: u8 = u8::MAX;

/// A first byte of a score up to this is the score.
const SMALL_MAX: u8 = 239;
/// One of this and n is followed by an integer of n bytes.
const INTEGER: u8 = SMALL_MAX + 1;
/// So many bytes an integer has at most.
const INTEGER_MAX: usize = 7;
/// A first byte that is followed by a double.
const DOUBLE: u8 = u8::MAX;

/// Members and scores, the lowest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entries<'a>(&'a [u8]);

impl<'a> Entries<'a> {
    /// Those of a set.
    pub fn of(bytes: &'a [u8]) -> Entries<'a> {
        Entries(bytes.get(1..).unwrap_or_default())
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a [u8], f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (member, rest) = pack::split_first(self.0)?;
        let (score, rest) = split_score(rest);
        self.0 = rest;
        Some((member, score))
    }
}

/// How many members there are.
pub fn len(bytes: &[u8]) -> usize {
    match bytes.first() {
        None => 0,
        Some(&MANY) => Entries::of(bytes).count(),
        Some(&len) => usize::from(len),
    }
}

/// An entry among the others.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Where it begins.
    start: usize,
    /// Where the next one begins.
    end: usize,
    /// How many come before it.
    pub rank: usize,
    /// Its score.
    pub score: f64,
}

/// Where a member is.
pub fn find(bytes: &[u8], member: &[u8]) -> Option<Place> {
    let mut entries = Entries::of(bytes);
    for rank in 0.. {
        let start = bytes.len() - entries.0.len();
        let (here, score) = entries.next()?;
        if here == member {
            let end = bytes.len() - entries.0.len();
            return Some(Place {
                start,
                end,
                rank,
                score,
            });
        }
    }
    None
}

/// Puts a member that is not there where it belongs.
pub fn insert(bytes: &mut Vec<u8>, member: &[u8], score: f64) {
    if bytes.is_empty() {
        bytes.push(0);
    }
    let mut entries = Entries::of(bytes);
    let mut at = bytes.len() - entries.0.len();
    while let Some((other, its)) = entries.next()
        && order((other, its), (member, score)).is_lt()
    {
        at = bytes.len() - entries.0.len();
    }
    let end = bytes.len();
    push(bytes, member, score);
    let added = bytes.len() - end;
    bytes[at..].rotate_right(added);
    bytes[0] = bytes[0].saturating_add(1);
}

/// Puts a member behind all others, where it belongs.
pub fn append(bytes: &mut Vec<u8>, member: &[u8], score: f64) {
    if bytes.is_empty() {
        bytes.push(0);
    }
    push(bytes, member, score);
    bytes[0] = bytes[0].saturating_add(1);
}

/// Which of two entries comes first. No score is NaN.
pub fn order((a, its): (&[u8], f64), (b, score): (&[u8], f64)) -> Ordering {
    let scores = its.partial_cmp(&score);
    scores.unwrap_or(Ordering::Equal).then_with(|| a.cmp(b))
}

/// Removes an entry.
pub fn remove(bytes: &mut Vec<u8>, place: Place) {
    let len = len(bytes) - 1;
    bytes.drain(place.start..place.end);
    set_len(bytes, len);
}

/// Removes the entries of these ranks, which are there.
pub fn remove_range(bytes: &mut Vec<u8>, range: std::ops::Range<usize>) {
    let len = len(bytes) - range.len();
    let mut entries = Entries::of(bytes);
    let mut skip = |count: usize| {
        entries.by_ref().take(count).for_each(drop);
        entries.0.len()
    };
    let start = bytes.len() - skip(range.start);
    let end = bytes.len() - skip(range.len());
    bytes.drain(start..end);
    set_len(bytes, len);
}

fn set_len(bytes: &mut Vec<u8>, len: usize) {
    match bytes.first_mut() {
        Some(_) if len == 0 => bytes.clear(),
        Some(first) => *first = len.min(usize::from(MANY)) as u8,
        None => {}
    }
}

fn push(bytes: &mut Vec<u8>, member: &[u8], score: f64) {
    pack::push(bytes, member);
    push_score(bytes, score);
}

/// How many bytes a member and its score take at most.
pub fn len_of(member: &[u8]) -> usize {
    pack::len_of(member.len()) + 1 + size_of::<f64>()
}

/// Whole numbers take as many bytes as they need.
fn push_score(bytes: &mut Vec<u8>, score: f64) {
    const MAX: u64 = 1 << (8 * INTEGER_MAX - 1);
    match double::as_integer(score).filter(|integer| *integer != 0 || score.is_sign_positive()) {
        Some(integer @ 0..=239) => bytes.push(integer as u8),
        Some(integer) if integer.unsigned_abs() < MAX => {
            // The sign needs a bit, too.
            let bits = 65 - (integer ^ (integer >> 63)).leading_zeros();
            let len = bits.div_ceil(8) as usize;
            bytes.push(INTEGER + len as u8);
            bytes.extend_from_slice(&integer.to_le_bytes()[..len]);
        }
        _ => {
            bytes.push(DOUBLE);
            bytes.extend_from_slice(&score.to_le_bytes());
        }
    }
}

/// Cuts the score off that `bytes` begins with.
#[inline]
fn split_score(bytes: &[u8]) -> (f64, &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else {
        return (0.0, bytes);
    };
    let mut eight = [0; 8];
    match first {
        0..=SMALL_MAX => (f64::from(first), rest),
        DOUBLE => {
            let (score, rest) = rest.split_at(eight.len());
            eight.copy_from_slice(score);
            (f64::from_le_bytes(eight), rest)
        }
        _ => {
            let len = usize::from(first - INTEGER);
            let (integer, rest) = rest.split_at(len);
            eight[8 - len..].copy_from_slice(integer);
            let integer = i64::from_le_bytes(eight) >> (8 * (8 - len));
            (integer as f64, rest)
        }
    }
}
