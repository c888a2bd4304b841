//! The lists and streams of a database: found by SCAN a few steps at a time, so that a million keys
//! neither stall the watch nor burden the server, and measured once they are known.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use respd::resp::value::Value;

use super::super::client::Connection;
use super::super::error::Error;
use super::ask::{ask, integer, refusal};

/// The most SCAN calls in a round, and how many keys each looks at: a million keys take three
/// minutes, and Redis 7.0 a hundredth of its time.
const CALLS: u32 = 10;
const COUNT: u64 = 1000;

/// A server that takes longer over the calls of a round has something else to do.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long a walk rests before it starts over, if it took more than one round.
const REST: Duration = Duration::from_secs(30);

/// How many lists and streams are measured in each round. Those that are longest stay.
const MOST_QUEUES: usize = 1000;
const MOST_STREAMS: usize = 200;

/// How long a list is remembered that is empty, as queues are whose consumers are quick.
const EMPTY: Duration = Duration::from_secs(60);

/// What XINFO STREAM may take, which repeats the first entry and the last.
const BULKY: usize = 64 * 1024;

/// How long a key may be to be measured again and again.
const LONGEST_KEY: usize = 64 * 1024;

#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    pub length: u64,
    /// How many entries it ever had; Redis tells since 7.0.
    pub added: Option<u64>,
    pub groups: Vec<Group>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    pub name: Vec<u8>,
    pub consumers: u64,
    pub pending: u64,
    /// How many entries it has not got yet; Redis tells since 7.0, unless it cannot know.
    pub lag: Option<u64>,
}

/// What is known after a round.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    pub queues: BTreeMap<Vec<u8>, u64>,
    pub streams: BTreeMap<Vec<u8>, Stream>,
    /// How many more lists, and streams, there are that are not measured.
    pub more: (usize, usize),
    /// Which part of the keys has been looked at, until it was all of them.
    pub progress: Option<f64>,
}

pub struct Keyspace {
    lists: Walk,
    streams: Walk,
    known: Keys,
    /// Since when the lists have been empty that are.
    empty: HashMap<Vec<u8>, Instant>,
    /// The streams whose entries are large, of which only the length is asked for.
    bulky: HashSet<Vec<u8>>,
}

impl Keyspace {
    pub fn new() -> Keyspace {
        Keyspace {
            lists: Walk::of("list"),
            streams: Walk::of("stream"),
            known: Keys::default(),
            empty: HashMap::new(),
            bulky: HashSet::new(),
        }
    }

    /// A list that somebody was seen to push to, or to wait for.
    pub fn hear_of(&mut self, key: &[u8]) {
        if self.known.queues.len() < MOST_QUEUES && !self.known.queues.contains_key(key) {
            self.known.queues.insert(key.to_vec(), 0);
        }
    }

    /// Looks a little further, and at all that is known. A refusal is that of SCAN.
    pub fn round(
        &mut self,
        connection: &mut Connection,
        keys: u64,
    ) -> Result<Result<Keys, String>, Error> {
        let started = Instant::now();
        for _ in 0..CALLS / 2 {
            for walk in [&mut self.lists, &mut self.streams] {
                if let Err(refusal) = walk.step(connection, started)? {
                    return Ok(Err(refusal));
                }
            }
            if started.elapsed() > PATIENCE {
                break;
            }
        }
        for key in std::mem::take(&mut self.lists.found) {
            self.known.queues.entry(key).or_insert(0);
        }
        for key in std::mem::take(&mut self.streams.found) {
            let unmeasured = Stream {
                length: 0,
                added: None,
                groups: Vec::new(),
            };
            self.known.streams.entry(key).or_insert(unmeasured);
        }
        self.measure_queues(connection)?;
        self.measure_streams(connection)?;
        let (queues, streams) = (self.known.queues.len(), self.known.streams.len());
        keep_largest(&mut self.known.queues, MOST_QUEUES, |length| *length);
        keep_largest(&mut self.known.streams, MOST_STREAMS, |stream| {
            stream.length
        });
        self.known.more = (
            self.lists.seen.max(queues).saturating_sub(MOST_QUEUES),
            self.streams.seen.max(streams).saturating_sub(MOST_STREAMS),
        );
        let progress = |walk: &Walk| match walk.passes {
            0 => (walk.looked as f64 / keys.max(1) as f64).min(0.99),
            _ => 1.0,
        };
        let progress = (progress(&self.lists) + progress(&self.streams)) / 2.0;
        self.known.progress = (progress < 1.0).then_some(progress);
        Ok(Ok(self.known.clone()))
    }

    fn measure_queues(&mut self, connection: &mut Connection) -> Result<(), Error> {
        let keys: Vec<Vec<u8>> = self.known.queues.keys().cloned().collect();
        for keys in keys.chunks(200) {
            let commands: Vec<Vec<&[u8]>> = keys
                .iter()
                .map(|key| vec![b"LLEN".as_slice(), key])
                .collect();
            for (key, reply) in keys.iter().zip(ask(connection, &commands)?) {
                match integer(&reply) {
                    Some(0) => {
                        let since = self.empty.entry(key.clone()).or_insert_with(Instant::now);
                        let length = (since.elapsed() < EMPTY).then_some(0);
                        self.set_length(key, length);
                    }
                    // Without a length it is no list any more.
                    length => {
                        self.empty.remove(key);
                        self.set_length(key, length);
                    }
                }
            }
        }
        self.empty
            .retain(|key, _| self.known.queues.contains_key(key));
        Ok(())
    }

    fn set_length(&mut self, key: &[u8], length: Option<u64>) {
        match length {
            Some(length) => self.known.queues.insert(key.to_vec(), length),
            None => self.known.queues.remove(key),
        };
    }

    fn measure_streams(&mut self, connection: &mut Connection) -> Result<(), Error> {
        let keys: Vec<Vec<u8>> = self.known.streams.keys().cloned().collect();
        for keys in keys.chunks(20) {
            let commands: Vec<Vec<&[u8]>> = keys
                .iter()
                .flat_map(|key| {
                    let about = |what: &'static [u8]| vec![b"XINFO".as_slice(), what, key];
                    let itself = match self.bulky.contains(key) {
                        true => vec![b"XLEN".as_slice(), key],
                        false => about(b"STREAM"),
                    };
                    [itself, about(b"GROUPS")]
                })
                .collect();
            let replies = ask(connection, &commands)?;
            for (key, replies) in keys.iter().zip(replies.chunks_exact(2)) {
                if let [Value::Error(_), _] | [_, Value::Error(_)] = replies {
                    self.known.streams.remove(key);
                    self.bulky.remove(key);
                } else {
                    if size(&replies[0]) > BULKY {
                        self.bulky.insert(key.clone());
                    }
                    self.known
                        .streams
                        .insert(key.clone(), stream(&replies[0], &replies[1]));
                }
            }
        }
        Ok(())
    }
}

fn keep_largest<T>(keys: &mut BTreeMap<Vec<u8>, T>, most: usize, size: impl Fn(&T) -> u64) {
    if keys.len() > most {
        let mut sizes: Vec<u64> = keys.values().map(&size).collect();
        let (_, least, _) = sizes.select_nth_unstable_by(most - 1, |a, b| b.cmp(a));
        let least = *least;
        let larger = keys.values().filter(|value| size(value) > least).count();
        let mut equal = most - larger;
        keys.retain(|_, value| {
            let is_equal = size(value) == least && equal > 0;
            equal -= usize::from(is_equal);
            is_equal || size(value) > least
        });
    }
}

/// The way through all keys of one type.
struct Walk {
    kind: &'static str,
    cursor: Vec<u8>,
    looked: u64,
    passes: u64,
    /// How many keys of the type the pass before has found, or this one so far.
    seen: usize,
    seen_now: usize,
    found: BTreeSet<Vec<u8>>,
    /// When it may begin anew, and in which round it has last begun.
    rests_until: Option<Instant>,
    round: Option<Instant>,
}

impl Walk {
    fn of(kind: &'static str) -> Walk {
        Walk {
            kind,
            cursor: b"0".to_vec(),
            looked: 0,
            passes: 0,
            seen: 0,
            seen_now: 0,
            found: BTreeSet::new(),
            rests_until: None,
            round: None,
        }
    }

    /// One call, unless the keys have been gone through in this round already, or not long ago.
    fn step(
        &mut self,
        connection: &mut Connection,
        round: Instant,
    ) -> Result<Result<(), String>, Error> {
        if self.cursor == b"0" {
            if self.round == Some(round) || self.rests_until.is_some_and(|until| round < until) {
                return Ok(Ok(()));
            }
            self.round = Some(round);
            (self.looked, self.seen_now) = (0, 0);
        }
        let count = COUNT.to_string();
        let command: [&[u8]; 6] = [
            b"SCAN",
            &self.cursor,
            b"TYPE",
            self.kind.as_bytes(),
            b"COUNT",
            count.as_bytes(),
        ];
        let reply = ask(connection, &[command.to_vec()])?.remove(0);
        let Value::Array(parts) = &reply else {
            return Ok(Err(refusal(&reply)));
        };
        let [cursor, Value::Array(keys)] = &parts[..] else {
            return Ok(Err(refusal(&reply)));
        };
        self.cursor = cursor.as_bytes().unwrap_or(b"0").to_vec();
        self.looked += COUNT;
        self.seen_now += keys.len();
        self.seen = self.seen.max(self.seen_now);
        let keys = keys.iter().filter_map(Value::as_bytes);
        let keys = keys.filter(|key| key.len() <= LONGEST_KEY);
        self.found.extend(keys.map(<[u8]>::to_vec));
        if self.cursor == b"0" {
            self.passes += 1;
            self.seen = self.seen_now;
            let is_long = self.round != Some(round);
            self.rests_until = is_long.then(|| Instant::now() + REST);
        }
        Ok(Ok(()))
    }
}

/// What the strings in a reply take.
fn size(reply: &Value) -> usize {
    match reply {
        Value::Array(parts) => parts.iter().map(size).sum(),
        value => value.as_bytes().map_or(0, <[u8]>::len),
    }
}

/// The value behind a name in a reply that alternates names and values.
fn field<'a>(reply: &'a Value, name: &str) -> Option<&'a Value> {
    match reply {
        Value::Array(parts) => parts
            .chunks_exact(2)
            .find(|pair| pair[0].as_bytes() == Some(name.as_bytes()))
            .map(|pair| &pair[1]),
        _ => None,
    }
}

fn stream(stream: &Value, groups: &Value) -> Stream {
    let number = |of: &Value, name: &str| field(of, name).and_then(integer);
    let groups = match groups {
        Value::Array(groups) => &groups[..],
        _ => &[],
    };
    let group = |group: &Value| Group {
        name: field(group, "name")
            .and_then(Value::as_bytes)
            .unwrap_or_default()
            .to_vec(),
        consumers: number(group, "consumers").unwrap_or(0),
        pending: number(group, "pending").unwrap_or(0),
        lag: number(group, "lag"),
    };
    Stream {
        length: integer(stream).or(number(stream, "length")).unwrap_or(0),
        added: number(stream, "entries-added"),
        groups: groups.iter().map(group).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fake::serve_one;
    use super::*;

    #[test]
    fn a_large_keyspace_is_walked_in_bounded_steps() {
        let (target, server) = serve_one(|peer| {
            for kind in ["list", "stream"].into_iter().cycle().take(10) {
                let command = peer.command().unwrap();
                assert_eq!(command[2..], ["TYPE", kind, "COUNT", "1000"]);
                peer.reply("*2\r\n$1\r\n7\r\n*0\r\n");
            }
            // The next round goes on where this one was, and finds something.
            peer.expect(
                "sCAN 7 TYPE list COUNT 1000",
                "*2\r\n$1\r\n0\r\n*2\r\n$4\r\njobs\r\n$4\r\ngone\r\n",
            );
            peer.expect(
                "sCAN 7 TYPE stream COUNT 1000",
                "*2\r\n$1\r\n0\r\n*1\r\n$3\r\nlog\r\n",
            );
            peer.expect("lLEN gone", ":0\r\n");
            peer.expect("lLEN jobs", ":12\r\n");
            peer.expect(
                "xINFO STREAM log",
                "*4\r\n$6\r\nlength\r\n:5\r\n$13\r\nentries-added\r\n:9\r\n",
            );
            peer.expect(
                "xINFO GROUPS log",
                "*1\r\n*8\r\n$4\r\nname\r\n$1\r\ng\r\n$9\r\nconsumers\r\n:2\r\n\
                 $7\r\npending\r\n:3\r\n$3\r\nlag\r\n$-1\r\n",
            );
        });
        let mut connection = Connection::open(&target).unwrap();
        let mut keyspace = Keyspace::new();
        let keys = keyspace.round(&mut connection, 10_000).unwrap().unwrap();
        assert_eq!(keys.progress, Some(0.5));
        let keys = keyspace.round(&mut connection, 10_000).unwrap().unwrap();
        assert_eq!(keys.progress, None);
        assert_eq!(
            keys.queues,
            BTreeMap::from([(b"gone".to_vec(), 0), (b"jobs".to_vec(), 12)])
        );
        let expected = Stream {
            length: 5,
            added: Some(9),
            groups: vec![Group {
                name: b"g".to_vec(),
                consumers: 2,
                pending: 3,
                lag: None,
            }],
        };
        assert_eq!(keys.streams, BTreeMap::from([(b"log".to_vec(), expected)]));
        server.join().unwrap();
    }

    #[test]
    fn a_server_that_does_not_know_types_is_quoted() {
        let (target, server) = serve_one(|peer| {
            peer.expect("sCAN 0 TYPE list COUNT 1000", "-ERR syntax error\r\n");
        });
        let mut connection = Connection::open(&target).unwrap();
        let keys = Keyspace::new().round(&mut connection, 1).unwrap();
        assert_eq!(keys.unwrap_err(), "ERR syntax error");
        server.join().unwrap();
    }

    #[test]
    fn large_entries_are_asked_for_once() {
        let entry = format!(
            "*2\r\n$3\r\n1-1\r\n*1\r\n${BULKY}\r\n{}\r\n",
            "x".repeat(BULKY)
        );
        let (target, server) = serve_one(move |peer| {
            let scan = |cursor: &str| format!("*2\r\n$1\r\n{cursor}\r\n");
            peer.expect("sCAN 0 TYPE list COUNT 1000", &(scan("0") + "*0\r\n"));
            let log = scan("0") + "*1\r\n$3\r\nlog\r\n";
            peer.expect("sCAN 0 TYPE stream COUNT 1000", &log);
            let stream = format!("*4\r\n$6\r\nlength\r\n:5\r\n$10\r\nlast-entry\r\n{entry}");
            peer.expect("xINFO STREAM log", &stream);
            peer.expect("xINFO GROUPS log", "*0\r\n");
            peer.expect("sCAN 0 TYPE list COUNT 1000", &(scan("0") + "*0\r\n"));
            peer.expect("sCAN 0 TYPE stream COUNT 1000", &log);
            peer.expect("xLEN log", ":7\r\n");
            peer.expect("xINFO GROUPS log", "*0\r\n");
        });
        let mut connection = Connection::open(&target).unwrap();
        let mut keyspace = Keyspace::new();
        for length in [5, 7] {
            let keys = keyspace.round(&mut connection, 1).unwrap().unwrap();
            assert_eq!(keys.streams[&b"log"[..]].length, length);
        }
        server.join().unwrap();
    }

    #[test]
    fn the_longest_stay() {
        let key = |n: u64| n.to_string().into_bytes();
        let mut keys: BTreeMap<_, _> = [5, 3, 3, 3, 9, 1].map(|n| (key(n), n)).into();
        keys.extend([(b"a".to_vec(), 3), (b"b".to_vec(), 3)]);
        keep_largest(&mut keys, 4, |n| *n);
        let sizes: Vec<u64> = keys.into_values().collect();
        assert_eq!(sizes.iter().sum::<u64>(), 5 + 9 + 3 + 3, "{sizes:?}");
    }
}
