//! All that is known of the broker: the last sample, what has changed since those before it, and
//! what MONITOR adds.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

use super::keyspace::Keys;
use super::rate::Rate;
use super::sampler::{Channels, Part, Sample};
use super::server::{Client, Server, Slow};
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
    /// When the last sample was taken.
    pub sampled: Option<Instant>,
    pub commands: VecDeque<u64>,
    pub expired: Rate,
    pub evicted: Rate,
    hits: Rate,
    misses: Rate,
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
    pub published: BTreeMap<Vec<u8>, (u64, Rate)>,
    /// How many clients wait for a key.
    pub waiting: HashMap<Vec<u8>, u64>,
}

impl Board {
    /// Takes in what is new. `traffic` is what somebody monitors.
    pub fn see(&mut self, sample: Sample, traffic: Option<&Traffic>) {
        let at = sample.at;
        self.sampled = Some(at);
        self.server.hear(sample.server);
        self.see_server(at);
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

    /// The part of the look-ups within the last seconds that found something, ours not counted.
    pub fn hit_rate(&self) -> Option<f64> {
        let (hits, misses) = (self.hits.change()?.max(0), self.misses.change()?.max(0));
        let all = hits + misses;
        (all > 0).then(|| hits as f64 / all as f64)
    }

    fn see_server(&mut self, at: Instant) {
        let server = &self.server.known;
        if self.commands.len() == HISTORY {
            self.commands.pop_front();
        }
        self.commands.push_back(server.commands_per_second);
        self.expired.count(at, server.expired);
        self.evicted.count(at, server.evicted);
        let others = |all: u64, ours: u64| {
            let difference = i128::from(all) - i128::from(ours);
            i64::try_from(difference).unwrap_or(0)
        };
        // Still as they were before this round, which came after INFO.
        let keys = &self.keys.known;
        self.hits.see(at, others(server.hits, keys.hits));
        self.misses.see(at, others(server.misses, keys.misses));
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
        for client in &self.clients.known {
            let keys = traffic.waiting.get(&client.address);
            for key in keys.into_iter().flatten().filter(|_| client.is_blocked) {
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

    fn sample(at: Instant, length: u64, hits: u64) -> Sample {
        let keys = Keys {
            queues: [(b"q".to_vec(), length)].into(),
            hits: 10,
            ..Keys::default()
        };
        let server = Server {
            hits,
            misses: 5,
            commands_per_second: 7,
            ..Server::default()
        };
        Sample {
            at,
            server: Ok(server),
            channels: Some(Err("NOPERM".to_owned())),
            clients: Some(Ok(vec![Client {
                address: "a:1".to_owned(),
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
        board.see(sample(start, 10, 100), Some(&traffic));
        see(&mut traffic, r#""lpush" "q" "a" "b" "c""#);
        see(&mut traffic, r#""publish" "news" "a""#);
        see(&mut traffic, r#""brpop" "q" "r" "0""#);
        board.see(
            sample(start + Duration::from_secs(1), 8, 113),
            Some(&traffic),
        );
        let queue = &board.queues[&b"q"[..]];
        assert_eq!(queue.length.per_second(), Some(-2.0));
        assert_eq!(queue.pushed.per_second(), Some(3.0));
        assert_eq!(queue.popped.per_second(), Some(5.0));
        let watched = board.monitored.as_ref().unwrap();
        assert_eq!(watched.published[&b"news"[..]].0, 1);
        assert_eq!(watched.waiting[&b"r"[..]], 1);
        assert_eq!(board.channels.refusal.as_deref(), Some("NOPERM"));
        assert_eq!((board.hit_rate(), board.commands.len()), (Some(1.0), 2));

        // A new MONITOR knows nothing of what was before.
        traffic.begin();
        board.see(
            sample(start + Duration::from_secs(2), 8, 113),
            Some(&traffic),
        );
        assert_eq!(board.queues[&b"q"[..]].popped.per_second(), None);
        board.see(sample(start + Duration::from_secs(3), 8, 113), None);
        assert!(board.monitored.is_none());
    }
}
