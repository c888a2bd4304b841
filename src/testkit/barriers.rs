//! Waiting until something is so, instead of sleeping.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use crate::Broker;
use crate::broker::life::Life;
use crate::engine::barriers::{Condition, Key, PATIENCE, Unmet};
use crate::pubsub::Target;

/// What to wait for: each method makes a [`Barrier`] of it.
///
/// One waits five seconds if it is not said [within](Self::within) what time.
/// That is time of the machine, whether or not the broker's clock stands.
/// Numbers are exact: with two subscribers one waits in vain for one.
///
/// ```
/// let broker = respd::Broker::for_tests()?;
/// let mut consumer = broker.client();
/// let worker = std::thread::spawn(move || consumer.call(&["BLPOP", "jobs", "0"]));
/// broker.until().blocked("jobs", 1).wait()?;
/// broker.client().call(&["LPUSH", "jobs", "one"]);
/// worker.join().unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
#[derive(Clone)]
pub struct Until {
    life: Arc<Life>,
    within: Duration,
    db: usize,
}

/// Something to wait for. Nobody has begun to.
///
/// [`wait`](Self::wait) blocks the thread; `.await` does not, and works in any
/// runtime.
#[must_use]
pub struct Barrier {
    until: Until,
    condition: Condition,
}

impl Broker {
    /// Waits until something is so: `broker.until().subscribers("orders", 1).wait()`.
    ///
    /// # Panics
    ///
    /// It was not started [for tests](Broker::for_tests).
    pub fn until(&self) -> Until {
        let is_for_tests = self.engine().barriers.is_some();
        assert!(
            is_for_tests,
            "the broker was started with Broker::for_tests"
        );
        Until {
            life: self.life.clone(),
            within: PATIENCE,
            db: 0,
        }
    }
}

impl Until {
    /// Waits no longer than this. With nothing it is to be so already.
    pub fn within(mut self, time: Duration) -> Until {
        self.within = time;
        self
    }

    /// Keys are those of the database of this number, and not of 0.
    pub fn in_db(mut self, number: usize) -> Until {
        self.db = number;
        self
    }

    /// So many clients are subscribed to a channel; patterns do not count.
    pub fn subscribers(self, channel: impl AsRef<[u8]>, count: usize) -> Barrier {
        self.subscribed(Target::Channel, channel.as_ref(), count)
    }

    /// So many clients are subscribed to a pattern.
    pub fn pattern_subscribers(self, pattern: impl AsRef<[u8]>, count: usize) -> Barrier {
        self.subscribed(Target::Pattern, pattern.as_ref(), count)
    }

    /// So many clients are subscribed to a shard channel.
    pub fn shard_subscribers(self, channel: impl AsRef<[u8]>, count: usize) -> Barrier {
        self.subscribed(Target::ShardChannel, channel.as_ref(), count)
    }

    /// So many clients are blocked on a key, in BLPOP or XREAD for instance.
    pub fn blocked(self, key: impl AsRef<[u8]>, count: usize) -> Barrier {
        let key = self.key(key.as_ref());
        self.barrier(Condition::Blocked(key, count))
    }

    /// The key is there.
    pub fn exists(self, key: impl AsRef<[u8]>) -> Barrier {
        let key = self.key(key.as_ref());
        self.barrier(Condition::Exists(key))
    }

    /// The key is not there.
    pub fn gone(self, key: impl AsRef<[u8]>) -> Barrier {
        let key = self.key(key.as_ref());
        self.barrier(Condition::Gone(key))
    }

    /// A list, stream, set, hash or sorted set has so many elements. One that
    /// is not there has none.
    pub fn length(self, key: impl AsRef<[u8]>, count: usize) -> Barrier {
        let key = self.key(key.as_ref());
        self.barrier(Condition::Length(key, count))
    }

    /// So many entries are pending in a group of a stream: delivered, and not
    /// acknowledged.
    pub fn pending(self, key: impl AsRef<[u8]>, group: impl AsRef<[u8]>, count: usize) -> Barrier {
        let key = self.key(key.as_ref());
        self.barrier(Condition::Pending(key, group.as_ref().to_vec(), count))
    }

    /// So many clients are connected, those in the program included, as INFO
    /// counts them.
    pub fn clients(self, count: usize) -> Barrier {
        self.barrier(Condition::Clients(count))
    }

    /// The clients of a name (CLIENT SETNAME) that are connected have sent a
    /// command: it has been run, queued or refused, or blocks. Of a subcommand
    /// the name is `client|id`, and `client` is all of them.
    pub fn sent(self, client_name: impl AsRef<[u8]>, command: &str) -> Barrier {
        self.sent_times(client_name, command, 1)
    }

    /// They have sent it so often together, or more often.
    pub fn sent_times(self, client_name: impl AsRef<[u8]>, command: &str, times: u64) -> Barrier {
        let name = client_name.as_ref().to_vec();
        let command = command.to_ascii_lowercase();
        self.barrier(Condition::Sent {
            name,
            command,
            times,
        })
    }

    /// The client of a name is there, and its socket has taken everything that
    /// was sent to it, replies and messages. What its program has made of it by
    /// then, a broker cannot know.
    pub fn read(self, client_name: impl AsRef<[u8]>) -> Barrier {
        let name = client_name.as_ref().to_vec();
        self.barrier(Condition::Read(name))
    }

    fn key(&self, key: &[u8]) -> Key {
        Key {
            db: self.db,
            key: key.to_vec(),
        }
    }

    fn subscribed(self, target: Target, name: &[u8], count: usize) -> Barrier {
        let name = name.to_vec();
        self.barrier(Condition::Subscribers {
            target,
            name,
            count,
        })
    }

    fn barrier(self, condition: Condition) -> Barrier {
        Barrier {
            until: self,
            condition,
        }
    }
}

impl Barrier {
    /// Blocks the thread until it is so.
    ///
    /// # Errors
    ///
    /// It was not in time, or the broker has gone meanwhile: the text says what there is
    /// instead.
    pub fn wait(self) -> Result<(), Unmet> {
        let Until { life, within, .. } = self.until;
        let (tell, told) = mpsc::channel();
        let ended = Unmet::ended(&self.condition);
        // Who asked waits for it.
        life.engine()
            .when(self.condition, within, move |result| _ = tell.send(result));
        told.recv().unwrap_or(Err(ended))
    }
}

/// Waits without blocking the thread, with the same errors.
impl IntoFuture for Barrier {
    type Output = Result<(), Unmet>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let Until { life, within, .. } = self.until;
        let ended = Unmet::ended(&self.condition);
        Box::pin(async move {
            let engine = life.engine();
            let waited = engine.until(self.condition, within).await;
            waited.unwrap_or(Err(ended))
        })
    }
}
