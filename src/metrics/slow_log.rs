//! Commands that took long. SLOWLOG shows them.

use std::collections::VecDeque;

use crate::resp::Argv;

/// Commands that took long: SLOWLOG.
#[derive(Default)]
pub struct SlowLog {
    entries: VecDeque<SlowEntry>,
    next_id: u64,
    max_len: usize,
}

/// A command that took long.
#[derive(Clone, Debug)]
pub struct SlowEntry {
    /// Ascending.
    pub id: u64,
    /// When it ran, in seconds since 1970.
    pub at: i64,
    /// For how long, in microseconds.
    pub micros: u64,
    /// Its words; long ones and many are cut.
    pub words: Vec<Vec<u8>>,
    /// Who sent it.
    pub addr: String,
    /// What the client calls itself.
    pub name: Vec<u8>,
}

/// How many words of a command an entry shows, and how many bytes of each.
const SLOW_WORDS_MAX: usize = 32;
const SLOW_WORD_MAX: usize = 128;

impl SlowLog {
    /// How many entries are kept.
    pub fn set_max_len(&mut self, max_len: usize) {
        self.max_len = max_len;
        self.entries.truncate(max_len);
    }

    /// Adds an entry.
    pub fn add(&mut self, at: i64, micros: u64, argv: Argv<'_>, addr: String, name: Vec<u8>) {
        let cut = |word: &[u8]| {
            let mut shown = word[..word.len().min(SLOW_WORD_MAX)].to_vec();
            if word.len() > SLOW_WORD_MAX {
                shown.extend_from_slice(
                    format!("... ({} more bytes)", word.len() - SLOW_WORD_MAX).as_bytes(),
                );
            }
            shown
        };
        let mut words: Vec<_> = argv.iter().take(SLOW_WORDS_MAX).map(cut).collect();
        if argv.len() > SLOW_WORDS_MAX {
            let more = argv.len() - SLOW_WORDS_MAX + 1;
            words[SLOW_WORDS_MAX - 1] = format!("... ({more} more arguments)").into_bytes();
        }
        self.entries.push_front(SlowEntry {
            id: self.next_id,
            at,
            micros,
            words,
            addr,
            name,
        });
        self.next_id += 1;
        self.entries.truncate(self.max_len);
    }

    /// The entries, newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &SlowEntry> {
        self.entries.iter()
    }

    /// Forgets all entries.
    pub fn reset(&mut self) {
        self.entries.clear();
    }
}
