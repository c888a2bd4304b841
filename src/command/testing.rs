//! Runs command lines on a keyspace with a clock that stands still, for the
//! tests of data commands. Nothing is settled; the journal tells what happened.

use std::io::IoSlice;
use std::ops::Range;

use super::{Args, Argv, Handler};
use crate::config::KeyspaceEvents;
use crate::db::{Db, Keyspace, Limits};
use crate::resp::{Output, Protocol, Reply};

/// A keyspace of 16 databases, at a time that the test sets.
pub struct Bench {
    pub keyspace: Keyspace,
    /// The selected database.
    pub index: usize,
    /// Milliseconds since 1970.
    pub now: i64,
    /// False for a client that said CLIENT NO-TOUCH ON.
    pub touch: bool,
}

impl Default for Bench {
    fn default() -> Self {
        let limits = Limits {
            string: 512 << 20,
            list_chunk: Default::default(),
        };
        let mut keyspace = Keyspace::new(16, limits, 1);
        keyspace.journal.notify = KeyspaceEvents::all();
        Bench {
            keyspace,
            index: 0,
            now: 1_000_000_000_000,
            touch: true,
        }
    }
}

impl Bench {
    /// Runs a line of words that spaces part; answers the reply as RESP2 with
    /// a space for each line end.
    pub fn run(&mut self, line: &str) -> String {
        let mut words: Vec<Range<u32>> = Vec::new();
        let mut at = 0;
        for word in line.split(' ') {
            words.push(at..at + word.len() as u32);
            at += word.len() as u32 + 1;
        }
        let argv = Argv::new(line.as_bytes(), &words);
        let entry = super::dispatch::lookup(argv).expect("the command is in the table");
        assert!(entry.command.accepts(argv.len()), "arguments of {line}");
        let Handler::Data(handler) = entry.command.handler else {
            panic!("{line} is no data command");
        };
        let mut db = Db {
            keyspace: &mut self.keyspace,
            index: self.index,
            now: self.now,
            touch: self.touch,
        };
        let args = Args::new(argv, 1 + usize::from(entry.parent.is_some()));
        let mut output = Output::default();
        let outcome = handler(&mut db, args, &mut Reply::new(&mut output, Protocol::Resp2));
        if let Err(error) = outcome {
            output.clear(0);
            Reply::new(&mut output, Protocol::Resp2).error(&error);
        }
        let mut slices = [IoSlice::new(&[]); 64];
        let count = output.slices(&mut slices);
        let bytes: Vec<u8> = slices[..count]
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect();
        String::from_utf8_lossy(&bytes)
            .trim_end()
            .replace("\r\n", " ")
    }

    /// Runs lines whose replies do not matter, and forgets what they did.
    pub fn given(&mut self, lines: &[&str]) {
        lines.iter().for_each(|line| _ = self.run(line));
        self.events();
    }

    /// The events since it was asked last: `0 del key`.
    pub fn events(&mut self) -> Vec<String> {
        let events = std::mem::take(&mut self.keyspace.journal.events);
        let shown = events.iter().map(|event| {
            let key = String::from_utf8_lossy(&event.key);
            format!("{} {} {key}", event.db, event.name)
        });
        shown.collect()
    }
}
