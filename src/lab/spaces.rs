//! Spaces: brokers that a broker for tests starts beside itself, in the same
//! process, for one test each. A space ends when it is dropped, with the client
//! that has asked for it, or with the broker.

use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;

use crate::error::{Error, Result};

/// So many there are at most: each has two threads and some descriptors.
const SPACES_MAX: usize = 1000;

/// Where a space is.
#[derive(Clone, Debug)]
pub struct Space {
    /// Ascending, never used again.
    pub id: u64,
    /// Where clients find it.
    pub address: SocketAddr,
    /// The same as they take it, with the password.
    pub url: String,
}

/// A broker that has been started for a space, and ends when it is dropped.
pub struct Started {
    /// Where clients find it.
    pub address: SocketAddr,
    /// The same as they take it.
    pub url: String,
    /// Itself.
    pub broker: Box<dyn Send>,
}

/// Starts a broker for a space. That is above this floor, so it is handed down.
pub type Start = Box<dyn Fn() -> std::result::Result<Started, String> + Send + Sync>;

/// The spaces of a broker.
#[derive(Default)]
pub struct Spaces(Mutex<All>);

#[derive(Default)]
struct All {
    /// `None` unless there may be spaces.
    start: Option<Start>,
    /// In the order in which they were made.
    spaces: Vec<Entry>,
    last_id: u64,
    /// Since there has been a space.
    ender: Option<Ender>,
}

struct Entry {
    space: Space,
    /// The client that it ends with.
    owner: u64,
    broker: Box<dyn Send>,
}

/// A thread that waits for the ends of brokers, so that no client has to.
struct Ender {
    ends: Sender<Box<dyn Send>>,
    thread: JoinHandle<()>,
}

impl Ender {
    fn start() -> std::io::Result<Ender> {
        let (ends, ended) = channel::<Box<dyn Send>>();
        let thread = thread::Builder::new().name("respd-spaces".into());
        let thread = thread.spawn(move || ended.into_iter().for_each(drop))?;
        Ok(Ender { ends, thread })
    }
}

impl Spaces {
    /// From now on spaces may be made.
    pub fn open(&self, start: Start) {
        self.0.lock().start = Some(start);
    }

    /// Starts a broker that ends with this client at the latest.
    ///
    /// # Errors
    ///
    /// There are none here, or there are too many, or the system refuses what a
    /// broker needs.
    pub fn add(&self, owner: u64) -> Result<Space> {
        let mut all = self.0.lock();
        let start = all.start.as_ref().ok_or(Error::NO_SPACES)?;
        if all.spaces.len() >= SPACES_MAX {
            return Err(Error::TOO_MANY_SPACES);
        }
        let refused = |why: String| Error::new(format!("ERR no space could be started: {why}"));
        let Started {
            address,
            url,
            broker,
        } = start().map_err(refused)?;
        if all.ender.is_none() {
            all.ender = Some(Ender::start().map_err(|error| refused(error.to_string()))?);
        }
        all.last_id += 1;
        let space = Space {
            id: all.last_id,
            address,
            url,
        };
        let entry = Entry {
            space: space.clone(),
            owner,
            broker,
        };
        all.spaces.push(entry);
        Ok(space)
    }

    /// Ends a space, and waits for nothing. False if there is none of this number.
    pub fn end(&self, id: u64) -> bool {
        self.0.lock().end(|entry| entry.space.id == id)
    }

    /// Ends the spaces of a client that has gone.
    pub fn end_those_of(&self, owner: u64) {
        self.0.lock().end(|entry| entry.owner == owner);
    }

    /// Ends all, and waits until they have ended. None are made any more until
    /// they may be again.
    pub fn close(&self) {
        let mut all = self.0.lock();
        all.start = None;
        all.end(|_| true);
        let ender = all.ender.take();
        drop(all);
        if let Some(Ender { ends, thread }) = ender {
            drop(ends);
            // A panic is on record.
            let _ = thread.join();
        }
    }

    /// All there are, in the order in which they were made.
    pub fn list(&self) -> Vec<Space> {
        let all = self.0.lock();
        let spaces = all.spaces.iter().map(|entry| entry.space.clone());
        spaces.collect()
    }
}

impl All {
    /// Answers whether there was one.
    fn end(&mut self, ends: impl Fn(&Entry) -> bool) -> bool {
        let ended = self.spaces.extract_if(.., |entry| ends(entry));
        let mut any = false;
        for entry in ended {
            any = true;
            if let Some(ender) = &self.ender {
                // It is there as long as this is.
                let _ = ender.ends.send(entry.broker);
            }
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    /// One of those who are counted.
    struct Counted(Arc<AtomicUsize>);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Relaxed);
        }
    }

    fn counting() -> (Start, Arc<AtomicUsize>) {
        let count = Arc::<AtomicUsize>::default();
        let counted = count.clone();
        let start = move || {
            counted.fetch_add(1, Relaxed);
            Ok(Started {
                address: ([127, 0, 0, 1], 1).into(),
                url: String::new(),
                broker: Box::new(Counted(counted.clone())),
            })
        };
        (Box::new(start), count)
    }

    #[test]
    fn there_is_a_bound_and_room_again_when_some_have_ended() {
        let (spaces, (start, count)) = (Spaces::default(), counting());
        spaces.open(start);
        for id in 1..=SPACES_MAX as u64 {
            assert_eq!(spaces.add(id % 2).unwrap().id, id);
        }
        assert_eq!(spaces.add(3).unwrap_err(), Error::TOO_MANY_SPACES);
        assert_eq!(count.load(Relaxed), SPACES_MAX);
        assert!(spaces.end(1));
        assert!(!spaces.end(1));
        assert_eq!(spaces.add(3).unwrap().id, SPACES_MAX as u64 + 1);
        spaces.end_those_of(0);
        assert_eq!(spaces.list().len(), SPACES_MAX / 2);
        spaces.close();
        assert_eq!(count.load(Relaxed), 0);
        assert_eq!(spaces.add(3).unwrap_err(), Error::NO_SPACES);
    }

    #[test]
    fn what_cannot_be_started_is_told() {
        let spaces = Spaces::default();
        spaces.open(Box::new(|| Err("no descriptors".into())));
        let error = spaces.add(1).unwrap_err();
        let text = "ERR no space could be started: no descriptors";
        assert_eq!(error.to_string(), text);
        assert!(spaces.list().is_empty());
    }
}
