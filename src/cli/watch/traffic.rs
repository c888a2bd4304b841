//! What MONITOR has shown so far: counted by channel and by queue, who waits for which key, and the
//! last commands themselves.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::monitored::{Deed, Monitored};

/// How many channels, queues and clients are told apart. Beyond it only those that are known count
/// on.
const MOST: usize = 10_000;

/// How many of the last commands are kept, and how much of each.
const LAST: usize = 300;
const LONGEST: usize = 16 * 1024;

/// What a thread that reads shares with those who look.
pub struct Shared<T>(Mutex<T>);

impl<T> Shared<T> {
    pub fn new(value: T) -> Shared<T> {
        Shared(Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        // Whoever panics ends the process.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The traffic in one database, but for what runs in all of them.
pub struct Traffic {
    database: u32,
    /// How many times it has begun.
    pub begun: u64,
    /// The addresses of our own connections, which do not count.
    pub ours: HashSet<String>,
    pub commands: u64,
    pub published: HashMap<Vec<u8>, u64>,
    pub pushed: HashMap<Vec<u8>, u64>,
    /// For which lists a client may have been waiting since its last command.
    pub waiting: HashMap<String, Vec<Vec<u8>>>,
    /// The newest last, each with its number.
    pub last: VecDeque<(u64, Monitored)>,
}

impl Traffic {
    pub fn of(database: u32) -> Traffic {
        Traffic {
            database,
            begun: 0,
            ours: HashSet::new(),
            commands: 0,
            published: HashMap::new(),
            pushed: HashMap::new(),
            waiting: HashMap::new(),
            last: VecDeque::new(),
        }
    }

    /// Forgets what was seen, at the beginning of a new MONITOR.
    pub fn begin(&mut self) {
        *self = Traffic {
            begun: self.begun + 1,
            ours: std::mem::take(&mut self.ours),
            ..Traffic::of(self.database)
        };
    }

    pub fn see(&mut self, mut command: Monitored) {
        if self.ours.contains(&command.client) {
            return;
        }
        self.commands += 1;
        self.waiting.remove(&command.client);
        let is_here = command.database == self.database;
        match command.deed() {
            Deed::Publish(channel) => add(&mut self.published, channel, 1),
            Deed::Push(key, items) if is_here => add(&mut self.pushed, key, items),
            Deed::Wait(keys) if is_here && self.waiting.len() < MOST => {
                let keys = keys.into_iter().map(<[u8]>::to_vec).collect();
                self.waiting.insert(command.client.clone(), keys);
            }
            _ => {}
        }
        let mut left = LONGEST;
        for argument in &mut command.arguments {
            argument.truncate(left);
            left -= argument.len();
        }
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back((self.commands, command));
    }
}

fn add(counts: &mut HashMap<Vec<u8>, u64>, name: &[u8], count: u64) {
    if let Some(counted) = counts.get_mut(name) {
        *counted += count;
    } else if counts.len() < MOST {
        counts.insert(name.to_vec(), count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn see(traffic: &mut Traffic, place: &str, command: &str) {
        let line = format!("1.5 [{place}] {command}");
        traffic.see(Monitored::parse(line.as_bytes()).unwrap());
    }

    #[test]
    fn traffic_is_counted() {
        let mut traffic = Traffic::of(2);
        traffic.ours.insert("ours:1".to_owned());
        see(&mut traffic, "2 a:1", r#""blpop" "q" "0""#);
        see(&mut traffic, "2 a:2", r#""blpop" "q" "r" "0""#);
        see(&mut traffic, "0 a:3", r#""blpop" "q" "0""#);
        see(&mut traffic, "2 a:1", r#""lpush" "r" "x" "y""#);
        see(&mut traffic, "2 lua", r#""rpush" "r" "x""#);
        see(&mut traffic, "5 a:4", r#""lpush" "r" "elsewhere""#);
        see(&mut traffic, "5 a:4", r#""publish" "news" "x""#);
        see(&mut traffic, "2 ours:1", r#""publish" "news" "x""#);
        assert_eq!(traffic.commands, 7);
        assert_eq!(traffic.pushed, HashMap::from([(b"r".to_vec(), 3)]));
        assert_eq!(traffic.published, HashMap::from([(b"news".to_vec(), 1)]));
        let keys = vec![b"q".to_vec(), b"r".to_vec()];
        assert_eq!(traffic.waiting, HashMap::from([("a:2".to_owned(), keys)]));
        assert_eq!(traffic.last.back().unwrap().0, 7);
        traffic.begin();
        assert_eq!((traffic.commands, traffic.ours.len()), (0, 1));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut traffic = Traffic::of(0);
        let long = "x".repeat(LONGEST);
        for n in 0..MOST + LAST {
            let command = format!(r#""lpush" "q{n}" "{long}""#);
            let command = if n < LAST * 2 {
                &*command
            } else {
                &command[..18]
            };
            see(&mut traffic, "0 a:1", command);
        }
        assert_eq!((traffic.pushed.len(), traffic.last.len()), (MOST, LAST));
        let kept = |(_, command): &(u64, Monitored)| command.arguments.concat().len();
        assert!(traffic.last.iter().map(kept).all(|kept| kept <= LONGEST));
    }
}
