//! How something reaches clients that did not ask for it just now.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;

use super::client::{Client, ClientFlags};
use super::outbox::{OutputLimit, Pending};
use crate::lab::record::Recorder;
use crate::resp::{Output, Protocol, Reply, SHARE_MIN};

/// The limits of outboxes, by what kind of client each is of.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutputLimits {
    /// Of an ordinary client.
    pub normal: OutputLimit,
    /// Of one that is subscribed to something.
    pub pubsub: OutputLimit,
}

impl OutputLimits {
    /// The limit for a client that has these flags.
    pub fn of(&self, flags: ClientFlags) -> OutputLimit {
        match flags.contains(ClientFlags::PUBSUB) {
            true => self.pubsub,
            false => self.normal,
        }
    }
}

/// How to hand something to clients that did not ask for it just now.
pub struct Delivery<'a> {
    /// The limits of their outboxes.
    pub limits: OutputLimits,
    /// Time since the broker's start.
    pub uptime: Duration,
    /// Is told of a client that did not read and is closed, and about what.
    pub overflowed: &'a dyn Fn(&Client, &[u8]),
    /// Notes what is handed out, if a test wants a record of it.
    pub recorder: Option<Recorder<'a>>,
}

impl Delivery<'_> {
    /// Has `write` write into the client's outbox; `about` is a name for the log.
    #[inline]
    pub fn hand(&self, client: &Client, about: &[u8], write: impl FnOnce(&mut Pending)) {
        client.has_messages.store(true, Relaxed);
        let limit = self.limits.of(client.flags());
        let overflowed = client
            .outbox
            .push(limit, self.uptime, |pending| match &self.recorder {
                None => write(pending),
                Some(recorder) => {
                    let mark = pending.output.mark();
                    write(pending);
                    recorder.delivered(client.who(), &pending.output, mark);
                }
            });
        if overflowed {
            (self.overflowed)(client, about);
        }
    }
}

/// A message in the form in which many clients get it, encoded once.
pub enum Encoded {
    /// Copied into every outbox.
    Small(Vec<u8>),
    /// Shared by all outboxes.
    Large(Bytes),
}

impl Encoded {
    /// What `write` writes, which is about `len` bytes long.
    pub fn new(protocol: Protocol, len: usize, write: impl FnOnce(&mut Reply<'_>)) -> Encoded {
        let mut output = Output::with_capacity(len);
        write(&mut Reply::new(&mut output, protocol));
        let bytes = output.into_vec();
        if bytes.len() < SHARE_MIN {
            Encoded::Small(bytes)
        } else {
            Encoded::Large(bytes.into())
        }
    }

    /// All of it.
    pub fn bytes(&self) -> Bytes {
        match self {
            Encoded::Small(bytes) => Bytes::copy_from_slice(bytes),
            Encoded::Large(bytes) => bytes.clone(),
        }
    }

    /// Adds it to what waits for a client.
    pub fn add_to(&self, pending: &mut Pending) {
        match self {
            Encoded::Small(bytes) => pending.output.extend(bytes),
            Encoded::Large(bytes) => pending.output.share(bytes),
        }
    }
}
