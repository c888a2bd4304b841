//! LCS: the longest common subsequence of two strings.
//!
//! Redis fills a matrix of 32-bit lengths. Here a cell is one bit: whether the
//! length grows from the cell at its left, which is all that the way back
//! needs to take the same path. Rows are computed 64 cells at a time (Hyyrö,
//! "Bit-parallel LCS-length computation revisited", 2004), so what takes Redis
//! 0.6 s and 512 MiB, its largest matrix, takes 10 ms and 16 MiB.

use crate::db::{Db, Handle};
use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::table::vocabulary::{READ, READ_KEY, STRING};
use crate::table::{Args, Handler, Row};
use crate::text::number;

/// The row of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "lcs", arity: -3, flags: READ, keys: &[READ_KEY.two()],
        usage: "key1:key key2:key [LEN] [IDX] [MINMATCHLEN min-match-len:integer] [WITHMATCHLEN]",
        since: "7.0.0",
        complexity: "O(N*M) where N and M are the lengths of s1 and s2, respectively",
        summary: "The longest common subsequence of two strings, its length, or where it lies in \
            each.",
        handler: Handler::Data(lcs),
        ..STRING
    },
];

fn lcs(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (a, b) = (args.next()?, args.next()?);
    let (a, b) = (db.read(a), db.read(b));
    let (a, b) = (bytes(db, a)?, bytes(db, b)?);
    let wanted = Wanted::parse(args)?;
    let table = Table::new(a, b, db.limits().string, wanted != Wanted::Length)?;
    match wanted {
        Wanted::Length => reply.len(table.length),
        Wanted::Subsequence => {
            let mut subsequence = Vec::with_capacity(table.length);
            let matches = table.matches(a, b);
            for found in matches.iter().rev() {
                subsequence.extend_from_slice(&a[found.a..found.a + found.len]);
            }
            reply.bulk(&subsequence);
        }
        Wanted::Matches { min_len, with_len } => {
            let mut matches = table.matches(a, b);
            matches.retain(|found| found.len as i64 >= min_len);
            reply.map(2);
            reply.bulk(b"matches");
            reply.array(matches.len());
            for found in &matches {
                reply.array(2 + usize::from(with_len));
                for start in [found.a, found.b] {
                    reply.array(2);
                    reply.len(start);
                    reply.len(start + found.len - 1);
                }
                if with_len {
                    reply.len(found.len);
                }
            }
            reply.bulk(b"len");
            reply.len(table.length);
        }
    }
    Ok(())
}

/// The string; a missing key counts as an empty one.
fn bytes<'a>(db: &'a Db<'_>, found: Option<Handle>) -> Result<&'a [u8]> {
    let Some(handle) = found else {
        return Ok(&[]);
    };
    let string = db.string(handle).map_err(|_| Error::LCS_WRONG_TYPE)?;
    Ok(string.bytes())
}

/// What the client wants to know.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Subsequence,
    Length,
    Matches { min_len: i64, with_len: bool },
}

impl Wanted {
    fn parse(mut args: Args<'_>) -> Result<Wanted> {
        let (mut length, mut matches) = (false, false);
        let (mut min_len, mut with_len) = (0, false);
        while args.remaining() > 0 {
            if args.keyword("IDX") {
                matches = true;
            } else if args.keyword("LEN") {
                length = true;
            } else if args.keyword("WITHMATCHLEN") {
                with_len = true;
            } else if args.keyword("MINMATCHLEN") {
                let number = args.next()?;
                min_len = number::parse_i64(number).ok_or(Error::NOT_AN_INTEGER)?;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        match (length, matches) {
            (true, true) => Err(Error::LCS_LEN_AND_IDX),
            (true, false) => Ok(Wanted::Length),
            (false, true) => Ok(Wanted::Matches { min_len, with_len }),
            (false, false) => Ok(Wanted::Subsequence),
        }
    }
}

/// How long the common subsequences of all prefixes are.
struct Table {
    length: usize,
    /// How many bytes a row has.
    width: usize,
    /// A row for each byte of `a`, if they are wanted. It has a bit for each
    /// byte of `b`, which is clear where the length grows.
    rows: Vec<u8>,
}

/// Bytes that are the same in both strings, from `a` in the one and from `b`
/// in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Match {
    a: usize,
    b: usize,
    len: usize,
}

/// At most so many words are computed, which takes about a tenth of a second
/// and, to keep them, half a gigabyte. With the default `proto-max-bulk-len`
/// Redis's limit is reached first.
const WORDS_MAX: usize = 1 << 26;

impl Table {
    /// `limit` is what Redis allows its matrix in bytes. Only with `all_rows`
    /// can [`matches`](Self::matches) be told.
    fn new(a: &[u8], b: &[u8], limit: usize, all_rows: bool) -> Result<Table> {
        if a.len().max(b.len()) >= u32::MAX as usize - 1 {
            return Err(Error::LCS_TOO_LONG);
        }
        let matrix = (a.len() as u128 + 1) * (b.len() as u128 + 1) * 4;
        if matrix > limit as u128 {
            return Err(Error::LCS_MATRIX_TOO_LARGE);
        }
        let width = b.len().div_ceil(64);
        if a.len().saturating_mul(width) > WORDS_MAX {
            return Err(Error::LCS_NO_MEMORY);
        }
        let places = Places::new(a, b, width)?;
        let mut row = ones(width)?;
        let row_len = b.len().div_ceil(8);
        let mut rows = Vec::new();
        if all_rows {
            reserve(&mut rows, a.len() * row_len)?;
        }
        for &byte in a {
            advance(&mut row, places.of(byte));
            if all_rows {
                // A short `b` must not make every row a whole word.
                let end = rows.len() + row_len;
                for word in &row {
                    let bytes = word.to_le_bytes();
                    rows.extend_from_slice(&bytes[..bytes.len().min(end - rows.len())]);
                }
            }
        }
        // Bits behind the last byte of `b` stay set.
        let length = row.iter().map(|word| word.count_zeros() as usize).sum();
        Ok(Table {
            length,
            width: row_len,
            rows,
        })
    }

    /// Runs of bytes that make up the subsequence, the last one first.
    fn matches(&self, a: &[u8], b: &[u8]) -> Vec<Match> {
        let mut matches: Vec<Match> = Vec::new();
        let (mut i, mut j) = (a.len(), b.len());
        let mut contiguous = false;
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                i -= 1;
                j -= 1;
                match matches.last_mut().filter(|_| contiguous) {
                    Some(run) => {
                        *run = Match {
                            a: i,
                            b: j,
                            len: run.len + 1,
                        }
                    }
                    None => matches.push(Match { a: i, b: j, len: 1 }),
                }
                contiguous = true;
                continue;
            }
            contiguous = false;
            // Redis goes up where the length above is the greater one and left
            // otherwise. Where the two bytes differ, it is greater if and only
            // if the length grows from left to here.
            let byte = self.rows[(i - 1) * self.width + (j - 1) / 8];
            if byte >> ((j - 1) % 8) & 1 == 0 {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        matches
    }
}

/// Makes a row the next one, for a byte that stands at `places`.
fn advance(row: &mut [u64], places: &[u64]) {
    let mut carry = false;
    for (word, &places) in row.iter_mut().zip(places) {
        let (sum, first) = word.overflowing_add(*word & places);
        let (sum, second) = sum.overflowing_add(u64::from(carry));
        carry = first | second;
        *word = sum | (*word & !places);
    }
}

/// For each byte that occurs in one string, where it stands in the other.
struct Places {
    width: usize,
    /// Which row belongs to a byte.
    rows: [u16; 256],
    words: Vec<u64>,
}

impl Places {
    fn new(a: &[u8], b: &[u8], width: usize) -> Result<Places> {
        const NONE: u16 = u16::MAX;
        let (mut rows, mut count) = ([NONE; 256], 0);
        for &byte in a {
            if rows[byte as usize] == NONE {
                rows[byte as usize] = count;
                count += 1;
            }
        }
        // No more rows than `a` is long, so no more words than the table has.
        let mut words = Vec::new();
        reserve(&mut words, usize::from(count) * width)?;
        words.resize(usize::from(count) * width, 0);
        for (at, &byte) in b.iter().enumerate() {
            let row = rows[byte as usize];
            if row != NONE {
                words[usize::from(row) * width + at / 64] |= 1u64 << (at % 64);
            }
        }
        Ok(Places { width, rows, words })
    }

    fn of(&self, byte: u8) -> &[u64] {
        let row = usize::from(self.rows[byte as usize]);
        &self.words[row * self.width..][..self.width]
    }
}

fn ones(len: usize) -> Result<Vec<u64>> {
    let mut words = Vec::new();
    reserve(&mut words, len)?;
    words.resize(len, u64::MAX);
    Ok(words)
}

fn reserve<T>(vec: &mut Vec<T>, len: usize) -> Result<()> {
    vec.try_reserve_exact(len).map_err(|_| Error::LCS_NO_MEMORY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Data;

    /// The lengths for all prefixes, as the textbook has them.
    fn matrix(a: &[u8], b: &[u8]) -> Vec<Vec<usize>> {
        let mut lengths = vec![vec![0; b.len() + 1]; a.len() + 1];
        for i in 1..=a.len() {
            for j in 1..=b.len() {
                lengths[i][j] = if a[i - 1] == b[j - 1] {
                    lengths[i - 1][j - 1] + 1
                } else {
                    lengths[i - 1][j].max(lengths[i][j - 1])
                };
            }
        }
        lengths
    }

    /// The way back that Redis takes through them, byte by byte.
    fn path(a: &[u8], b: &[u8], lengths: &[Vec<usize>]) -> Vec<(usize, usize)> {
        let (mut i, mut j, mut path) = (a.len(), b.len(), Vec::new());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j) = (i - 1, j - 1);
                path.push((i, j));
            } else if lengths[i - 1][j] > lengths[i][j - 1] {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        path
    }

    #[test]
    fn the_bits_tell_what_the_matrix_would() {
        let mut rng = fastrand::Rng::with_seed(9);
        let lengths = [0, 1, 7, 8, 9, 63, 64, 65, 128, 200];
        for _ in 0..400 {
            let letters = [2, 4, 20][rng.usize(..3)];
            let [a, b] = [(); 2].map(|()| {
                let len = lengths[rng.usize(..lengths.len())];
                (0..len).map(|_| rng.u8(..letters)).collect::<Vec<_>>()
            });
            let expected = matrix(&a, &b);
            let table = Table::new(&a, &b, usize::MAX, true).unwrap();
            assert_eq!(table.length, expected[a.len()][b.len()], "{a:?} {b:?}");
            let matches = table.matches(&a, &b);
            let bytes = |run: &Match| {
                let &Match { a, b, len } = run;
                (0..len).rev().map(move |at| (a + at, b + at))
            };
            let found: Vec<_> = matches.iter().flat_map(bytes).collect();
            assert_eq!(found, path(&a, &b, &expected), "{a:?} {b:?}");
            let alone = Table::new(&a, &b, usize::MAX, false).unwrap();
            assert_eq!(alone.length, table.length);
        }
    }

    #[test]
    fn what_is_wrong_is_told_in_redis_order() {
        let mut data = Data::new();
        data.run("rpush list x");
        let cases = [
            (
                "lcs list a bogus",
                "-ERR The specified keys must contain string values",
            ),
            (
                "lcs a list",
                "-ERR The specified keys must contain string values",
            ),
            ("lcs a b LEN IDX bogus", "-ERR syntax error"),
            ("lcs a b IDX MINMATCHLEN", "-ERR syntax error"),
            (
                "lcs a b MINMATCHLEN x",
                "-ERR value is not an integer or out of range",
            ),
            (
                "lcs a b LEN IDX",
                "-ERR If you want both the length and indexes, please just use IDX.",
            ),
        ];
        for (line, error) in cases {
            assert_eq!(data.run(line), error, "{line}");
        }
    }

    #[test]
    fn memory_is_bounded_by_redis_limit_and_by_our_own() {
        let (a, b) = ([b'x'; 15], [b'x'; 15]);
        assert!(Table::new(&a, &b, 16 * 16 * 4, true).is_ok());
        let error = Table::new(&a, &b, 16 * 16 * 4 - 1, true).err();
        assert_eq!(error, Some(Error::LCS_MATRIX_TOO_LARGE));
        let long = vec![b'x'; 65_536];
        assert!(Table::new(&long, &long, usize::MAX, false).is_ok());
        let error = Table::new(&[&long[..], b"x"].concat(), &long, usize::MAX, false).err();
        assert_eq!(error, Some(Error::LCS_NO_MEMORY));
    }
}
