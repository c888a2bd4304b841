//! Finding keys: KEYS all at once, SCAN in portions.

use crate::db::{Db, Handle};
use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::table::vocabulary::{GENERIC, READ};
use crate::table::{Acl, Args, Handler, Row};
use crate::text::glob;

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "keys", arity: 2, flags: READ, acl: Acl::DANGEROUS,
        usage: "pattern:pattern",
        tips: &["request_policy:all_shards", "nondeterministic_output_order"], since: "1.0.0",
        complexity: "O(N) with N being the number of keys in the database, under the assumption \
            that the key names in the database and the given pattern have limited length.",
        summary: "All key names that match a pattern.", handler: Handler::Data(keys),
        ..GENERIC
    },
    Row {
        name: "scan", arity: -2, flags: READ,
        usage: "cursor:integer [MATCH pattern:pattern] [COUNT count:integer] [TYPE type@6.0.0]",
        tips: &["nondeterministic_output", "request_policy:special", "response_policy:special"],
        since: "2.8.0", complexity: "O(1) for every call.",
        history: &[("6.0.0", "Added the `TYPE` subcommand.")],
        summary: "Walks through the key names in portions; a cursor marks the place.",
        handler: Handler::Data(scan),
        ..GENERIC
    },
];

fn keys(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let pattern = args.next()?;
    let database = db.database();
    let is_wanted = |&handle: &Handle| matches(pattern, database.key(handle)) && !db.is_due(handle);
    let found: Vec<Handle> = database.iter().filter(is_wanted).collect();
    reply.bulks(found.iter().map(|&handle| database.key(handle)));
    Ok(())
}

/// Whether a key matches. `*` alone stands for every key, the empty one
/// included, which no other pattern with a star matches.
fn matches(pattern: &[u8], key: &[u8]) -> bool {
    pattern == b"*" || glob::matches(pattern, key, false)
}

/// Where a scan goes on, read as C's `strtoul` reads it, and nothing behind it
/// but a NUL: an empty word is 0, and there may be a sign.
pub fn cursor(word: &[u8]) -> Result<u64> {
    let end = memchr::memchr(0, word).unwrap_or(word.len());
    let (negative, digits) = match &word[..end] {
        [] => return Ok(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return Err(Error::INVALID_CURSOR);
    }
    let mut value: u64 = 0;
    for digit in digits {
        let digit = char::from(*digit).to_digit(10);
        value = digit
            .and_then(|digit| value.checked_mul(10)?.checked_add(digit.into()))
            .ok_or(Error::INVALID_CURSOR)?;
    }
    Ok(if negative {
        value.wrapping_neg()
    } else {
        value
    })
}

/// The options that SCAN shares with the scans of collections.
pub struct ScanOptions<'a> {
    /// What the name must match.
    pub pattern: &'a [u8],
    /// How many elements to look at, about.
    pub count: usize,
}

impl Default for ScanOptions<'_> {
    fn default() -> Self {
        ScanOptions {
            pattern: b"*",
            count: 10,
        }
    }
}

impl<'a> ScanOptions<'a> {
    /// Takes the next option, or answers a syntax error.
    pub fn take(&mut self, args: &mut Args<'a>) -> Result<()> {
        if args.keyword("match") {
            self.pattern = args.next()?;
        } else if args.keyword("count") {
            self.count = match args.int()? {
                count @ 1.. => count as usize,
                _ => return Err(Error::SYNTAX),
            };
        } else {
            return Err(Error::SYNTAX);
        }
        Ok(())
    }

    /// Whether the scan is to show an element of this name.
    pub fn matches(&self, name: &[u8]) -> bool {
        matches(self.pattern, name)
    }
}

fn scan(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let cursor = cursor(args.next()?)?;
    let (mut options, mut kind) = (ScanOptions::default(), None);
    while args.remaining() > 0 {
        if args.keyword("type") {
            kind = Some(args.next()?);
        } else {
            options.take(&mut args)?;
        }
    }
    let (database, mut found) = (db.database(), Vec::new());
    let next = database.scan(cursor, options.count, |handle| {
        if options.matches(database.key(handle)) {
            found.push(handle);
        }
    });
    // Removing one entry leaves the handles of the others as they are. A type
    // that there is not is no error: no key has it.
    found.retain(|&handle| {
        !db.expire_if_due(handle)
            && kind.is_none_or(|kind| {
                let of = db.database().value(handle).kind();
                of.name.as_bytes().eq_ignore_ascii_case(kind)
            })
    });
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    reply.bulks(found.iter().map(|&handle| db.database().key(handle)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::testing::Data;

    #[test]
    fn a_cursor_is_read_as_strtoul_reads_it() {
        let good: [(&[u8], u64); 8] = [
            (b"", 0),
            (b"0", 0),
            (b"007", 7),
            (b"+7", 7),
            (b"-1", u64::MAX),
            (b"18446744073709551615", u64::MAX),
            (b"7\0what", 7),
            (b"\0", 0),
        ];
        for (word, value) in good {
            assert_eq!(cursor(word), Ok(value), "{}", word.escape_ascii());
        }
        let bad = [
            "-",
            "+",
            "+-1",
            " 0",
            "\t0",
            "0 ",
            "1.5",
            "0x1",
            "18446744073709551616",
        ];
        for word in bad {
            assert_eq!(
                cursor(word.as_bytes()),
                Err(Error::INVALID_CURSOR),
                "{word:?}"
            );
        }
    }

    /// Scans to the end; answers the keys and how many calls it took.
    fn scan_all(data: &mut Data, options: &str) -> (Vec<String>, usize) {
        let (mut cursor, mut found, mut calls) = ("0".to_owned(), Vec::new(), 0);
        loop {
            let reply = data.run(&format!("SCAN {cursor}{options}"));
            let words: Vec<&str> = reply.split(' ').collect();
            cursor = words[2].to_owned();
            found.extend(
                words[4..]
                    .iter()
                    .skip(1)
                    .step_by(2)
                    .map(|key| (*key).to_owned()),
            );
            calls += 1;
            if cursor == "0" {
                return (found, calls);
            }
        }
    }

    #[test]
    fn a_scan_finds_every_living_key_once_and_removes_the_others() {
        let mut data = Data::new();
        for n in 0..1000 {
            let expiry = if n % 4 == 0 { " PX 10" } else { "" };
            data.given(&[&format!("SET key{n} v{expiry}")]);
        }
        data.now += 10;
        let (found, calls) = scan_all(&mut data, "");
        let distinct: BTreeSet<_> = found.iter().collect();
        assert_eq!((found.len(), distinct.len()), (750, 750));
        assert!(
            (50..=100).contains(&calls),
            "{calls} calls of about ten keys"
        );
        assert_eq!(data.run("DBSIZE"), ":750");
        assert_eq!(data.events_of_keys().len(), 250);
    }

    #[test]
    fn options_narrow_what_a_scan_shows_not_how_far_it_looks() {
        let mut data = Data::new();
        for n in 0..100 {
            data.given(&[&format!("SET key{n} v"), &format!("RPUSH list{n} v")]);
        }
        let (found, calls) = scan_all(&mut data, " TYPE List COUNT 50 MATCH *7");
        assert_eq!((found.len(), calls), (10, 4));
        assert!(found.iter().all(|key| key.starts_with("list")), "{found:?}");
        assert_eq!(scan_all(&mut data, " TYPE nonsense COUNT 1000").0, [""; 0]);
        let whole = format!(" COUNT {}", i64::MAX);
        let (found, calls) = scan_all(&mut data, &whole);
        assert_eq!((found.len(), calls), (200, 1));
    }

    #[test]
    fn only_a_lone_star_finds_the_empty_key() {
        let mut data = Data::new();
        data.given(&["SET \"\" v"]);
        assert_eq!(data.run("KEYS *"), "*1 $0 ");
        assert_eq!(data.run("KEYS **"), "*0");
        assert_eq!(data.run("SCAN 0 MATCH *"), "*2 $1 0 *1 $0 ");
        assert_eq!(data.run("SCAN 0 MATCH **"), "*2 $1 0 *0");
    }

    #[test]
    fn keys_skips_what_has_expired_and_removes_nothing() {
        let mut data = Data::new();
        data.given(&["SET a v PX 10", "SET b v"]);
        data.now += 10;
        assert_eq!(data.run("KEYS *"), "*1 $1 b");
        assert_eq!(data.run("DBSIZE"), ":2");
        assert_eq!(data.events_of_keys(), [""; 0]);
    }
}
