//! All that is known of the broker: the last sample, what has changed since those before it, and
//! what MONITOR adds.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

use super::contents::Channel;
use super::keyspace::Keys;
use super::monitored::Kind;
use super::rate::{Rate, WINDOW};
use super::sampler::{Channels, Part, Sample};
use super::server::{Client, Others, Server, Slow};
use super::traffic::Traffic;

/// How many numbers of commands per second are kept for the picture of them.
const HISTORY: usize = 30;

/// Something that a server may refuse to tell.
#[derive(Debug, Default)]
pub struct Told<T> {
    pub known: T,
    pub refusal: Option<String>,
}

impl<T> Told<T> {
    fn hear(&mut self, part: Part<T>) {
        match part {
            Ok(known) => {
                *self = Told {
                    known,
                    refusal: None,
                }
            }
            Err(refusal) => self.refusal = Some(refusal),
        }
    }
}

#[derive(Debug, Default)]
pub struct Board {
    pub server: Told<Server>,
    pub channels: Told<Channels>,
    pub clients: Told<Vec<Client>>,
    pub keys: Told<Keys>,
    pub slow: Told<Vec<Slow>>,
    /// When the last sample was taken, or has been asked for anew.
    pub sampled: Option<Instant>,
    /// The commands per second of others, the newest last.
    pub commands: VecDeque<u64>,
    pub expired: Rate,
    pub evicted: Rate,
    others: VecDeque<(Instant, Others)>,
    pub queues: HashMap<Vec<u8>, Queue>,
    /// Entries added to streams.
    pub added: HashMap<Vec<u8>, Rate>,
    /// There while somebody monitors.
    pub monitored: Option<Watched>,
}

#[derive(Debug, Default)]
pub struct Queue {
    pub length: Rate,
    pub pushed: Rate,
    /// What was pushed less what is there, which changes by what was popped.
    pub popped: Rate,
}

/// What MONITOR has told of until the last sample.
#[derive(Debug, Default)]
pub struct Watched {
    begun: u64,
    pub published: BTreeMap<Channel, (u64, Rate)>,
    /// How many clients wait for a key.
    waiting: HashMap<Vec<u8>, u64>,
    /// What those wait for of which nobody knows the keys: they began before MONITOR did, or came
    /// by a Unix socket.
    unknown: Vec<Kind>,
}

impl Watched {
    /// How many clients wait for a key, at least, and whether it may be more.
    pub fn waiting(&self, key: &[u8], kind: Kind) -> (u64, bool) {
        let known = self.waiting.get(key).copied().unwrap_or(0);
        (known, self.unknown.contains(&kind))
    }
}

impl Board {
    /// Takes in what is new. `traffic` is what somebody monitors.
    pub fn see(&mut self, sample: Sample, traffic: Option<&Traffic>) {
        let at = sample.at;
        self.sampled = Some(at);
        self.server.hear(sample.server);
        self.see_server(at, sample.others);
        self.slow.hear(sample.slow);
        self.keys.hear(sample.keys);
        if let Some(channels) = sample.channels {
            self.channels.hear(channels);
        }
        if let Some(clients) = sample.clients {
            self.clients.hear(clients);
        }
        let keys = &self.keys.known;
        self.queues.retain(|key, _| keys.queues.contains_key(key));
        for (key, length) in &keys.queues {
            let queue = self.queues.entry(key.clone()).or_default();
            queue
                .length
                .see(at, i64::try_from(*length).unwrap_or(i64::MAX));
        }
        self.added.retain(|key, _| keys.streams.contains_key(key));
        for (key, stream) in &keys.streams {
            if let Some(added) = stream.added {
                self.added.entry(key.clone()).or_default().count(at, added);
            }
        }
        match traffic {
            Some(traffic) => self.see_traffic(at, traffic),
            None => self.monitored = None,
        }
    }

    /// The server was asked nothing until then, so that its silence means nothing.
    pub fn asked_since(&mut self, at: Instant) {
        self.sampled = Some(at);
    }

    /// The part of the look-ups of others within the last seconds that found something.
    pub fn hit_rate(&self) -> Option<f64> {
        let others = || self.others.iter().map(|(_, others)| others);
        let hits: u64 = others().map(|others| others.hits).sum();
        let misses: u64 = others().map(|others| others.misses).sum();
        let all = hits + misses;
        (all > 0).then(|| hits as f64 / all as f64)
    }

    fn see_server(&mut self, at: Instant, others: Option<Others>) {
        let server = &self.server.known;
        // As long as we have not asked for much, what the server tells is of others, too.
        let others = others.as_ref();
        let commands = others.map_or(server.commands_per_second, Others::commands_per_second);
        if self.commands.len() == HISTORY {
            self.commands.pop_front();
        }
        self.commands.push_back(commands);
        self.others
            .extend(others.map(|others| (at, others.clone())));
        let is_old = |seen: Instant| at.saturating_duration_since(seen) > WINDOW;
        while self.others.front().is_some_and(|(seen, _)| is_old(*seen)) {
            self.others.pop_front();
        }
        self.expired.count(at, server.expired);
        self.evicted.count(at, server.evicted);
    }

    fn see_traffic(&mut self, at: Instant, traffic: &Traffic) {
        let is_same = |watched: &mut Watched| watched.begun == traffic.begun;
        if !self.monitored.as_mut().is_some_and(is_same) {
            for queue in self.queues.values_mut() {
                (queue.pushed, queue.popped) = (Rate::default(), Rate::default());
            }
            self.monitored = Some(Watched {
                begun: traffic.begun,
                ..Watched::default()
            });
        }
        let Some(watched) = &mut self.monitored else {
            return;
        };
        for (channel, count) in &traffic.published {
            let (total, rate) = watched.published.entry(channel.clone()).or_default();
            *total = *count;
            rate.count(at, *count);
        }
        for (key, queue) in &mut self.queues {
            let pushed = traffic.pushed.get(key).copied().unwrap_or(0);
            let length = self.keys.known.queues.get(key).copied().unwrap_or(0);
            queue.pushed.count(at, pushed);
            let popped = i128::from(pushed) - i128::from(length);
            queue.popped.see(at, i64::try_from(popped).unwrap_or(0));
        }
        watched.waiting.clear();
        watched.unknown.clear();
        for client in &self.clients.known {
            let Some(kind) = client.waits_for() else {
                continue;
            };
            let Some(wait) = traffic.waiting.get(&client.address) else {
                watched.unknown.push(kind);
                continue;
            };
            for key in &wait.keys {
                *watched.waiting.entry(key.clone()).or_default() += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::monitored::Monitored;
    use super::*;

    fn sample(at: Instant, length: u64, hits: Option<u64>) -> Sample {
        let keys = Keys {
            queues: [(b"q".to_vec(), length)].into(),
            ..Keys::default()
        };
        let server = Server {
            commands_per_second: 7,
            ..Server::default()
        };
        Sample {
            at,
            server: Ok(server),
            others: hits.map(|hits| Others {
                during: Duration::from_millis(500),
                commands: 20,
                hits,
                misses: 1,
            }),
            channels: Some(Err("NOPERM".to_owned())),
            clients: Some(Ok(vec![Client {
                address: "a:1".to_owned(),
                command: "brpop".to_owned(),
                is_blocked: true,
                ..Client::default()
            }])),
            keys: Ok(keys),
            slow: Ok(Vec::new()),
        }
    }

    fn see(traffic: &mut Traffic, command: &str) {
        let line = format!("1.5 [0 a:1] {command}");
        traffic.see(Monitored::parse(line.as_bytes()).unwrap());
    }

    #[test]
    fn what_is_pushed_and_popped_shows_in_the_length_and_the_traffic() {
        let start = Instant::now();
        let mut traffic = Traffic::of(0);
        let mut board = Board::default();
        traffic.begin();
        see(&mut traffic, r#""lpush" "q" "a""#);
        board.see(sample(start, 10, None), Some(&traffic));
        let waiting = |board: &Board| {
            let watched = board.monitored.as_ref().unwrap();
            watched.waiting(b"r", Kind::List)
        };
        // It has been seen to push, and waits since before.
        assert_eq!(waiting(&board), (0, true));
        see(&mut traffic, r#""lpush" "q" "a" "b" "c""#);
        see(&mut traffic, r#""publish" "news" "a""#);
        see(&mut traffic, r#""brpop" "q" "r" "0""#);
        board.see(
            sample(start + Duration::from_secs(1), 8, Some(3)),
            Some(&traffic),
        );
        let queue = &board.queues[&b"q"[..]];
        assert_eq!(queue.length.per_second(), Some(-2.0));
        assert_eq!(queue.pushed.per_second(), Some(3.0));
        assert_eq!(queue.popped.per_second(), Some(5.0));
        let watched = board.monitored.as_ref().unwrap();
        assert_eq!(watched.published[&Channel::plain(b"news")].0, 1);
        assert_eq!(waiting(&board), (1, false));
        assert_eq!(watched.waiting(b"r", Kind::Stream), (1, false));
        assert_eq!(board.channels.refusal.as_deref(), Some("NOPERM"));
        // The first look tells what the server says, and all others what others do.
        assert_eq!(
            (board.hit_rate(), &board.commands),
            (Some(0.75), &[7, 40].into())
        );

        // A new MONITOR knows nothing of what was before.
        traffic.begin();
        board.see(
            sample(start + Duration::from_secs(2), 8, None),
            Some(&traffic),
        );
        assert_eq!(board.queues[&b"q"[..]].popped.per_second(), None);
        board.see(sample(start + Duration::from_secs(9), 8, None), None);
        assert_eq!(board.hit_rate(), None);
        assert!(board.monitored.is_none());
    }
}
