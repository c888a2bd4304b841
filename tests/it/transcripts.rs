//! Plays the transcripts in `tests/transcripts` against a broker of this crate.
//!
//! The replies in them were recorded from a real server by `tests/record.py`,
//! so this is where "Redis 7.2 is the specification" is enforced. Each file has
//! a test and a broker of its own. All mismatches of a file are shown.

mod connection;
mod format;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use connection::{CLOSED, Connection, SILENT};
use format::{Action, Step, Transcript, Variables, reply_matches};

use crate::wire::PATIENCE;

/// A file in which the broker falls silent this often is given up, because each
/// time costs the whole patience and what follows is noise.
const SILENCES: usize = 3;

/// The connection that hears what `events` shows. No prompt can name it.
const LISTENER: &str = "events";

macro_rules! transcripts {
    ($($name:ident)*) => {
        const PLAYED: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                play_file(stringify!($name));
            }
        )*
    };
}

transcripts! {
    acl
    auth
    bitmap
    blocking
    blocking_zset
    changes
    client
    cluster
    command
    config
    connection
    debug
    dump
    events_classes
    events_hash_times
    events_hashes
    events_keys
    events_lists
    events_scripts
    events_sets
    events_streams
    events_strings
    events_zsets
    exec_order
    expire
    functions
    geo
    handshake_go_redis
    handshake_jedis
    handshake_lettuce
    handshake_phpredis
    handshake_predis
    handshake_redisson
    handshake_rueidis
    handshake_spring
    handshake_stackexchange
    hash
    hash_expire
    hyperloglog
    increments
    keys
    lcs
    lists
    maxmemory
    modules
    notifications
    pause
    protocol
    pubsub
    replication
    resp3
    scan
    script_busy
    script_conversion
    script_effects
    script_errors
    script_libraries
    script_random
    script_sandbox
    scripts
    server
    set
    set_combine
    sort
    stream
    stream_claim
    stream_groups
    stream_info
    stream_read
    strings
    tracking
    transactions
    watch
    zset
    zset_combine
    zset_range
}

#[test]
fn every_transcript_is_played() {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            found.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    found.sort();
    assert_eq!(found, PLAYED, "tests/transcripts and the list in this file");
}

/// Every command that reads or writes keys has a call in the files `events_*`
/// whose events are shown, and which succeeds. RESPD is not of Redis.
#[test]
fn every_command_that_uses_keys_has_its_events_recorded() {
    let mut shown = BTreeSet::new();
    for name in PLAYED.iter().filter(|name| name.starts_with("events_")) {
        for step in read(name).steps {
            if let Action::Send { text, events, .. } = &step.action
                && *events
                && !step.reply[0].text.starts_with('-')
            {
                let words: Vec<&str> = text.split(' ').take(2).collect();
                shown.insert(words[0].to_lowercase());
                shown.insert(words.join("|").to_lowercase());
            }
        }
    }
    let broker = start_broker(&[]);
    let mut client = crate::wire::Wire::connect(broker.addr());
    for category in ["write", "read"] {
        let list = ["COMMAND", "LIST", "FILTERBY", "ACLCAT", category];
        let commands = crate::wire::show(&client.call(&list));
        let commands: Vec<&str> = commands.trim_matches(['[', ']']).split(' ').collect();
        assert!(commands.len() > 50, "{commands:?}");
        let left_out = |name: &&str| !shown.contains(*name) && !name.starts_with("respd|");
        let left_out: Vec<&str> = commands.into_iter().filter(left_out).collect();
        assert_eq!(left_out, [""; 0], "of category {category}");
    }
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts")
}

fn start_broker(settings: &[(String, String)]) -> respd::Broker {
    let mut builder = respd::Broker::builder();
    for (name, value) in settings {
        builder = builder.set(name, value);
    }
    builder.start().expect("the settings of the transcript")
}

fn read(name: &str) -> Transcript {
    let path = directory().join(name).with_extension("txt");
    let source = std::fs::read_to_string(path).unwrap();
    format::parse(&source).unwrap_or_else(|error| panic!("{name}.txt:{error}"))
}

fn play_file(name: &str) {
    let (wrong, report) = play(&read(name));
    let report = report.replace("FILE:", &format!("tests/transcripts/{name}.txt:"));
    assert!(wrong == 0, "{wrong} mismatches\n{report}");
}

/// Plays a transcript that is in no file against a broker of its own; answers what differs.
pub fn differences(source: &str) -> String {
    let transcript = format::parse(source);
    let transcript = transcript.unwrap_or_else(|error| panic!("{error} in:\n{source}"));
    play(&transcript).1
}

/// How many replies differ, and which.
fn play(transcript: &Transcript) -> (usize, String) {
    let broker = start_broker(&transcript.settings);
    let mut player = Player::new(transcript, broker.addr());
    for (index, step) in transcript.steps.iter().enumerate() {
        if player.silences == SILENCES {
            player.report.push_str("given up: no replies come\n");
            break;
        }
        player.step(step, &transcript.steps[index..]);
    }
    player.end(transcript);
    (player.mismatches, player.report)
}

/// The connections and captured values of a file that is being played.
struct Player {
    address: SocketAddr,
    /// What INFO needs before it answers, if the file sets a password.
    password: Option<String>,
    connections: BTreeMap<String, Connection>,
    /// Replies of a run of `any` reads, in the order in which they are compared.
    unordered: VecDeque<Vec<String>>,
    variables: Variables,
    silences: usize,
    mismatches: usize,
    report: String,
}

impl Player {
    fn new(transcript: &Transcript, address: SocketAddr) -> Player {
        let mut settings = transcript.settings.iter();
        let password = settings.find(|(name, _)| name == "requirepass");
        Player {
            address,
            password: password.map(|(_, value)| value.clone()),
            connections: BTreeMap::new(),
            unordered: VecDeque::new(),
            variables: Variables::new(),
            silences: 0,
            mismatches: 0,
            report: String::new(),
        }
    }

    /// `steps` begins with the step itself and goes on with what comes after it.
    fn step(&mut self, step: &Step, steps: &[Step]) {
        let (name, request, sorted, until, events) = match &step.action {
            Action::Blocked(count) => return self.wait_for_blocked(step, *count),
            Action::Close(name) => {
                let connection = self.connections.remove(name);
                let rest = connection.map(Connection::end).unwrap_or_default();
                return self.expect(step, &format!("@close {name}"), &rest);
            }
            Action::Read { connection, sorted } => (connection, None, *sorted, false, false),
            Action::ReadAny { connection } => return self.read_any(step, connection, steps),
            Action::Send {
                connection,
                text,
                raw,
                read,
                sorted,
                until,
                events,
            } => {
                let encode = match raw {
                    true => format::decode_raw,
                    false => format::encode_request,
                };
                let request = match encode(text, &self.variables) {
                    Ok(request) => request,
                    Err(error) => return self.mismatch(step, text, &[error]),
                };
                if !read {
                    let address = self.address;
                    let connection = self.connections.entry(connection.clone());
                    let connection = connection.or_insert_with(|| Connection::open(address));
                    return connection.send(&request);
                }
                (connection, Some(request), *sorted, *until, *events)
            }
        };
        if events {
            self.listener();
        }
        let mut got = self.exchange(name, request.as_deref(), sorted, until, step);
        let said = match &step.action {
            Action::Send { text, .. } => format!("{name}> {text}"),
            _ => format!("{name}<"),
        };
        if got.last().is_some_and(|line| line == CLOSED) {
            self.connections.remove(name);
        }
        if events {
            got.extend(self.listener().events());
        }
        let is_silent = got.last().is_some_and(|line| line == SILENT);
        let gave_up_waiting = until && !reply_matches(&step.reply, &got, &mut self.variables);
        if is_silent || gave_up_waiting {
            self.silences += 1;
        }
        self.expect(step, &said, &got);
    }

    /// The connection that hears of all events.
    fn listener(&mut self) -> &mut Connection {
        let address = self.address;
        let connection = self.connections.entry(LISTENER.to_owned());
        connection.or_insert_with(|| {
            let mut listener = Connection::open(address);
            listener.listen();
            listener
        })
    }

    /// Sends and reads, again and again for `until`, which waits for a condition.
    fn exchange(
        &mut self,
        name: &str,
        request: Option<&[u8]>,
        sorted: bool,
        until: bool,
        step: &Step,
    ) -> Vec<String> {
        let address = self.address;
        let connection = self.connections.entry(name.to_owned());
        let connection = connection.or_insert_with(|| Connection::open(address));
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(request) = request {
                connection.send(request);
            }
            let got = connection.read(sorted);
            let done = !until || reply_matches(&step.reply, &got, &mut self.variables);
            if done || Instant::now() > deadline {
                return got;
            }
            std::thread::yield_now();
        }
    }

    /// The first of a run reads for all of it and sorts, as the recorder did.
    fn read_any(&mut self, step: &Step, name: &str, steps: &[Step]) {
        if self.unordered.is_empty() {
            let in_run = |step: &&Step| matches!(&step.action, Action::ReadAny { connection } if connection == name);
            let length = steps.iter().take_while(in_run).count();
            let mut replies: Vec<_> = (0..length)
                .map(|_| self.exchange(name, None, false, false, step))
                .collect();
            replies.sort();
            self.unordered = replies.into();
        }
        let got = self.unordered.pop_front().unwrap_or_default();
        self.expect(step, &format!("{name} any<"), &got);
    }

    fn wait_for_blocked(&mut self, step: &Step, count: usize) {
        let mut control = Connection::open(self.address);
        if let Some(password) = &self.password {
            let auth = format!("AUTH \"{password}\"");
            control.send(&format::encode_request(&auth, &self.variables).expect("a command"));
            control.read(false);
        }
        let wanted = format!("\\r\\nblocked_clients:{count}\\r\\n");
        let deadline = Instant::now() + PATIENCE;
        loop {
            control.send(b"INFO clients\r\n");
            let got = control.read(false);
            if got[0].contains(&wanted) {
                break;
            }
            if Instant::now() > deadline {
                self.silences += 1;
                return self.mismatch(step, &format!("@blocked {count}"), &got);
            }
            std::thread::yield_now();
        }
    }

    /// Whatever nobody read is a mismatch too: a reply too many, a stray message.
    fn end(&mut self, transcript: &Transcript) {
        let Some(last) = transcript.steps.last() else {
            return;
        };
        for (name, connection) in std::mem::take(&mut self.connections) {
            let rest = connection.end();
            if !rest.is_empty() {
                let step = Step {
                    line: last.line,
                    action: Action::Close(name.clone()),
                    reply: Vec::new(),
                };
                self.mismatch(&step, &format!("nobody read this on {name}"), &rest);
            }
        }
    }

    fn expect(&mut self, step: &Step, said: &str, got: &[String]) {
        if !reply_matches(&step.reply, got, &mut self.variables) {
            self.mismatch(step, said, got);
        }
    }

    fn mismatch(&mut self, step: &Step, said: &str, got: &[String]) {
        self.mismatches += 1;
        let report = &mut self.report;
        writeln!(report, "FILE:{}: {said}", step.line).expect("a string takes all");
        for line in &step.reply {
            let mark = if line.pattern { '~' } else { ' ' };
            writeln!(report, "    want{mark} {}", line.text).expect("a string takes all");
        }
        for line in got {
            writeln!(report, "    got   {line}").expect("a string takes all");
        }
    }
}
