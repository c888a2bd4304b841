//! What MONITOR has shown so far: counted by channel and by queue, who waits for which key, and the
//! last commands themselves.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ask::is_asked;
use super::contents::Channel;
use super::monitored::{Deed, Kind, Monitored};

/// How many channels, queues and clients are told apart. Beyond it only those that are known count
/// on.
const MOST: usize = 10_000;

/// How many of the last commands are kept, and how much of each.
const LAST: usize = 300;
const LONGEST: usize = 16 * 1024;
const MOST_ARGUMENTS: usize = 1000;

/// How long a name may be that is told apart, and for how many keys a client waits, as far as
/// anybody looks.
const LONGEST_NAME: usize = 1024;
const MOST_WAITED_FOR: usize = 100;

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
    pub commands: u64,
    pub published: HashMap<Channel, u64>,
    pub pushed: HashMap<Vec<u8>, u64>,
    /// What a client may have been waiting for since its last command, by its address.
    pub waiting: HashMap<String, Wait>,
    /// The newest last, each with its number.
    pub last: VecDeque<(u64, Monitored)>,
}

/// A client that may be waiting.
pub struct Wait {
    pub kind: Kind,
    pub keys: Vec<Vec<u8>>,
}

impl Traffic {
    pub fn of(database: u32) -> Traffic {
        Traffic {
            database,
            begun: 0,
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
            ..Traffic::of(self.database)
        };
    }

    pub fn see(&mut self, mut command: Monitored) {
        if is_asked(&command.arguments) {
            return;
        }
        self.commands += 1;
        self.waiting.remove(&command.client);
        let is_here = command.database == self.database;
        match command.deed() {
            Deed::Publish(channel) if channel.name.len() <= LONGEST_NAME => {
                add(&mut self.published, channel, 1);
            }
            Deed::Push(key, items) if is_here && key.len() <= LONGEST_NAME => {
                add(&mut self.pushed, key.to_vec(), items);
            }
            Deed::Wait(kind, keys) if is_here && self.waiting.len() < MOST => {
                let keys = keys.into_iter().filter(|key| key.len() <= LONGEST_NAME);
                let keys = keys.take(MOST_WAITED_FOR).map(<[u8]>::to_vec).collect();
                let wait = Wait { kind, keys };
                // All clients of a Unix socket have one address, which tells them not apart.
                if !command.client.starts_with("unix:") {
                    self.waiting.insert(command.client.clone(), wait);
                }
            }
            _ => {}
        }
        shorten(&mut command.arguments);
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back((self.commands, command));
    }
}

/// Keeps the beginning of a command, and says so.
fn shorten(arguments: &mut Vec<Vec<u8>>) {
    let mut left = LONGEST;
    let mut kept = 0;
    while kept < arguments.len().min(MOST_ARGUMENTS) && left > 0 {
        arguments[kept].truncate(left);
        left -= arguments[kept].len();
        kept += 1;
    }
    let more = arguments.len() - kept;
    arguments.truncate(kept);
    arguments.shrink_to_fit();
    if more > 0 {
        // As the slow log has it.
        arguments.push(format!("... ({more} more arguments)").into_bytes());
    }
}

fn add<T: Eq + Hash>(counts: &mut HashMap<T, u64>, of: T, count: u64) {
    if let Some(counted) = counts.get_mut(&of) {
        *counted += count;
    } else if counts.len() < MOST {
        counts.insert(of, count);
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
        see(&mut traffic, "2 a:1", r#""blpop" "q" "0""#);
        see(&mut traffic, "2 a:2", r#""blpop" "q" "r" "0""#);
        see(&mut traffic, "0 a:3", r#""blpop" "q" "0""#);
        see(&mut traffic, "2 a:1", r#""lpush" "r" "x" "y""#);
        see(&mut traffic, "2 lua", r#""rpush" "r" "x""#);
        see(&mut traffic, "5 a:4", r#""lpush" "r" "elsewhere""#);
        see(&mut traffic, "5 a:4", r#""publish" "news" "x""#);
        see(&mut traffic, "5 a:4", r#""SPUBLISH" "news" "x""#);
        see(
            &mut traffic,
            "2 a:5",
            r#""xread" "block" "0" "streams" "s" "$""#,
        );
        see(&mut traffic, "2 ours:1", r#""lLEN" "r""#);
        // Who of them waits, nobody can tell.
        see(&mut traffic, "2 unix:/sock", r#""blpop" "q" "0""#);
        assert_eq!(traffic.commands, 10);
        assert_eq!(traffic.pushed, HashMap::from([(b"r".to_vec(), 3)]));
        let published = [Channel::plain(b"news"), Channel::of_shard(b"news")];
        assert_eq!(traffic.published, published.map(|of| (of, 1)).into());
        assert_eq!(traffic.waiting.len(), 2);
        let wait = &traffic.waiting["a:2"];
        assert_eq!(wait.kind, Kind::List);
        assert_eq!(wait.keys, [b"q".to_vec(), b"r".to_vec()]);
        assert_eq!(traffic.waiting["a:5"].kind, Kind::Stream);
        assert_eq!(traffic.last.back().unwrap().0, 10);
        traffic.begin();
        assert_eq!((traffic.commands, traffic.begun), (0, 1));
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

        let mut many = vec![b"x".to_vec(); MOST_ARGUMENTS * 3];
        shorten(&mut many);
        assert_eq!(many.len(), MOST_ARGUMENTS + 1);
        assert_eq!(many[MOST_ARGUMENTS], b"... (2000 more arguments)");
        let mut long = vec![vec![b'x'; LONGEST + 1], b"y".to_vec()];
        shorten(&mut long);
        assert_eq!(
            (long[0].len(), &*long[1]),
            (LONGEST, &b"... (1 more arguments)"[..])
        );

        let name = "x".repeat(LONGEST_NAME + 1);
        let mut traffic = Traffic::of(0);
        for command in ["lpush", "publish", "blpop"] {
            see(
                &mut traffic,
                "0 a:1",
                &format!(r#""{command}" "{name}" "1""#),
            );
        }
        assert!(traffic.pushed.is_empty() && traffic.published.is_empty());
        assert!(traffic.waiting["a:1"].keys.is_empty());
    }
}
