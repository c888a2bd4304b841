//! Runs commands without a socket, for the tests of families: on data alone,
//! or on a server that listens nowhere.

use std::io::IoSlice;
use std::sync::Arc;

use super::{Args, Argv, Handler, TABLE};
use crate::LocalClient;
use crate::config::Config;
use crate::db::{ChunkLimit, Db, Keyspace, Limits};
use crate::events::KeyspaceEvents;
use crate::resp::{Output, Protocol, Reply};
use crate::server::Server;

/// A keyspace at a time that stands still.
pub struct Data {
    pub keyspace: Keyspace,
    /// The selected database.
    pub index: usize,
    /// Milliseconds since 1970.
    pub now: i64,
    /// False for a client that said CLIENT NO-TOUCH ON.
    pub touch: bool,
}

impl Data {
    /// 16 empty databases, which note all events.
    pub fn new() -> Data {
        let limits = Limits {
            string: 512 << 20,
            list_chunk: ChunkLimit::default(),
        };
        let mut keyspace = Keyspace::new(16, limits, 1);
        keyspace.journal.notify = KeyspaceEvents::all();
        Data {
            keyspace,
            index: 0,
            now: 1_700_000_000_000,
            touch: true,
        }
    }

    /// What a handler gets.
    pub fn db(&mut self) -> Db<'_> {
        Db::new(&mut self.keyspace, self.index, self.now, self.touch)
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
        let entry = super::dispatch::lookup(argv).unwrap();
        assert!(entry.command.accepts(argv.len()), "{line}");
        let Handler::Data(handler) = entry.command.handler else {
            panic!("{line} needs a server");
        };
        let mut output = Output::default();
        let mark = output.mark();
        let args = Args::new(argv, 1 + usize::from(entry.parent.is_some()));
        let mut reply = Reply::new(&mut output, Protocol::Resp2);
        if let Err(error) = handler(&mut self.db(), args, &mut reply) {
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

    /// Runs lines whose replies and events do not matter.
    pub fn given(&mut self, lines: &[&str]) {
        lines.iter().for_each(|line| _ = self.run(line));
        self.events();
    }

    /// The events since it was asked last, each with its database and key:
    /// `0 del k`.
    pub fn events_of_keys(&mut self) -> Vec<String> {
        let events = std::mem::take(&mut self.keyspace.journal.events);
        let shown = events.iter().map(|event| {
            let key = String::from_utf8_lossy(&event.key);
            format!("{} {} {key}", event.db, event.name)
        });
        shown.collect()
    }
}

/// A server with the default settings that listens nowhere, for the tests of
/// commands about clients and the server.
pub fn server() -> Arc<Server> {
    Arc::new(Server::new(Config::default(), None, TABLE.entries.len()))
}

/// A client of it.
pub fn client(server: &Arc<Server>) -> LocalClient {
    LocalClient::new(server.clone())
}

impl LocalClient {
    /// Runs a line of words that spaces part; answers the reply without its
    /// last line end.
    pub fn line(&mut self, line: &str) -> String {
        let mut request = Output::default();
        let words: Vec<_> = line.split(' ').collect();
        Reply::new(&mut request, Protocol::Resp2).bulks(words.iter());
        let reply = self.run(&std::mem::take(request.buffer()));
        let text = String::from_utf8_lossy(&reply);
        text.strip_suffix("\r\n").unwrap_or(&text).to_owned()
    }
}
