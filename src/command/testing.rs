//! Runs commands on data without a server: for the tests of families.

use std::io::IoSlice;

use super::{Args, Argv, Handler, TABLE};
use crate::config::KeyspaceEvents;
use crate::db::{ChunkLimit, Db, Keyspace, Limits};
use crate::resp::{Output, Protocol, Reply};

/// A keyspace at a time that stands still.
pub struct Data {
    pub keyspace: Keyspace,
    pub now: i64,
}

impl Data {
    /// One empty database, which notes all events.
    pub fn new() -> Data {
        let limits = Limits {
            string: 512 << 20,
            list_chunk: ChunkLimit::default(),
        };
        let mut keyspace = Keyspace::new(1, limits, 1);
        keyspace.journal.notify = KeyspaceEvents::all();
        Data {
            keyspace,
            now: 1_700_000_000_000,
        }
    }

    /// What a handler gets.
    pub fn db(&mut self) -> Db<'_> {
        Db {
            keyspace: &mut self.keyspace,
            index: 0,
            now: self.now,
            touch: true,
        }
    }

    /// The reply to a line of words without quotes (`""` is an empty one), with
    /// spaces for line ends.
    pub fn run(&mut self, line: &str) -> String {
        let (mut buffer, mut words) = (Vec::new(), Vec::new());
        for word in line.split(' ') {
            let start = buffer.len() as u32;
            buffer.extend_from_slice(word.trim_matches('"').as_bytes());
            words.push(start..buffer.len() as u32);
        }
        let argv = Argv::new(&buffer, &words);
        let row = TABLE.find(argv.get(0).unwrap()).unwrap().command;
        assert!(row.accepts(argv.len()), "{line}");
        let Handler::Data(handler) = row.handler else {
            panic!("{line} needs a server");
        };
        let mut output = Output::default();
        let mark = output.mark();
        let mut reply = Reply::new(&mut output, Protocol::Resp2);
        if let Err(error) = handler(&mut self.db(), Args::new(argv, 1), &mut reply) {
            reply.output().rewind(mark);
            reply.error(&error);
        }
        let mut slices = [IoSlice::new(&[]); 16];
        let used = output.slices(&mut slices);
        let bytes: Vec<u8> = slices[..used]
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        let text = String::from_utf8_lossy(&bytes).replace("\r\n", " ");
        text.strip_suffix(' ').unwrap_or(&text).to_owned()
    }

    /// The names of the events since it was asked last, with spaces between.
    pub fn events(&mut self) -> String {
        let events = std::mem::take(&mut self.keyspace.journal.events);
        let names: Vec<_> = events.iter().map(|event| event.name).collect();
        names.join(" ")
    }
}
