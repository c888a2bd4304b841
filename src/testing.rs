//! Runs commands without a socket, for the tests of families: on data alone,
//! or on a server that listens nowhere.

use std::sync::Arc;

use crate::LocalClient;
use crate::command::TABLE;
use crate::config::Config;
use crate::db::value::List;
use crate::db::{Db, Keyspace, Limits};
use crate::engine::{Attempt, Engine, Turn, Wait};
use crate::events::KeyspaceEvents;
use crate::resp::{Argv, Output, Protocol, Reply};
use crate::seed::Seed;
use crate::server::Server;
use crate::session::Session;
use crate::session::client::Peer;
use crate::table::{Args, Handler};

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
        let mut keyspace = Keyspace::new(16, Limits::default(), Seed::new(Some(1)));
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
        let output = self.answer(line);
        let text = String::from_utf8_lossy(&output.into_vec()).replace("\r\n", " ");
        text.strip_suffix(' ').unwrap_or(&text).to_owned()
    }

    /// [`run`](Self::run), with the reply as it is to be sent.
    pub fn answer(&mut self, line: &str) -> Output {
        let words = line.split(' ').map(|word| word.trim_matches('"'));
        self.answer_words(&words.map(str::as_bytes).collect::<Vec<_>>())
    }

    /// The reply to words of any bytes, as it is to be sent.
    pub fn answer_words(&mut self, words: &[&[u8]]) -> Output {
        let mut end = 0;
        let ranges = words.iter().map(|word| {
            let start = end;
            end += word.len() as u32;
            start..end
        });
        let (ranges, buffer) = (ranges.collect::<Vec<_>>(), words.concat());
        let argv = Argv::new(&buffer, &ranges);
        let command = TABLE.lookup(argv).unwrap();
        assert!(command.row.accepts(argv.len()), "{}", command.full_name);
        let Handler::Data(handler) = command.row.handler else {
            panic!("{} needs a server", command.full_name);
        };
        let mut output = Output::default();
        let mark = output.mark();
        let args = Args::new(argv, command.name_words());
        let mut reply = Reply::new(&mut output, Protocol::Resp2);
        if let Err(error) = handler(&mut self.db(), args, &mut reply) {
            reply.output().rewind(mark);
            reply.error(&error);
        }
        output
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

/// An engine with the default settings whose server listens nowhere, for the
/// tests of commands about clients and the server.
pub fn engine() -> Arc<Engine> {
    engine_with(Config::default())
}

/// The same, of a broker for tests.
pub fn engine_for_tests() -> Arc<Engine> {
    engine_with(Config {
        test_commands: true,
        ..Config::default()
    })
}

fn engine_with(config: Config) -> Arc<Engine> {
    let names = TABLE.commands().iter();
    let names = names.map(|command| command.full_name.as_str());
    Engine::new(Server::new(config, None, names))
}

/// A client of it.
pub fn client(engine: &Arc<Engine>) -> LocalClient {
    LocalClient::new(engine.clone())
}

/// A client without a task that waits for a list under `key`, which `attempt`
/// is to take from.
pub fn blocked(engine: &Engine, key: &str, attempt: Attempt) -> Session {
    let mut session = engine.server.connect(-1, Peer::Local);
    let key_only = 0..key.len() as u32;
    let argv = Argv::new(key.as_bytes(), std::slice::from_ref(&key_only));
    let wait = Wait::for_kind(List::KIND, None);
    let keys = (0..1).step_by(1);
    Turn::new(engine).block(&mut session, 0, attempt, argv, keys, wait);
    session
}

impl LocalClient {
    /// Runs a line of words that spaces part; answers the reply without its
    /// last line end.
    pub fn line(&mut self, line: &str) -> String {
        let mut request = Output::default();
        let words: Vec<_> = line.split(' ').collect();
        Reply::new(&mut request, Protocol::Resp2).bulks(words.iter());
        let reply = self.run(&request.into_vec());
        let text = String::from_utf8_lossy(&reply);
        text.strip_suffix("\r\n").unwrap_or(&text).to_owned()
    }
}
