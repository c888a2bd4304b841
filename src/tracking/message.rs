//! What clients are told of keys that have changed, and how it reaches them.
//!
//! A client that speaks RESP3 gets it as a push. One that speaks RESP2 cannot
//! be told: it redirects to another one, which gets a message as if from a
//! channel, provided that it is subscribed to anything at all.

use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;

use crate::resp::{Protocol, Reply};
use crate::session::delivery::{Delivery, Encoded};
use crate::session::registry::Registry;
use crate::session::{Client, ClientFlags};

/// The channel of messages for clients that speak RESP2.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// How messages leave.
pub struct Post<'a> {
    /// The clients that there are.
    pub clients: &'a Registry,
    /// How one of them is handed something.
    pub delivery: &'a Delivery<'a>,
    /// The client whose command is the cause, if there is one.
    pub by: Option<u64>,
    /// Somebody else has been handed something.
    pub reached_others: Cell<bool>,
}

impl Post<'_> {
    fn hand(&self, client: &Client, encoded: &Encoded) {
        let write = |pending: &mut _| encoded.add_to(pending);
        self.delivery.hand(client, CHANNEL, write);
        if self.by != Some(client.id) {
            self.reached_others.set(true);
        }
    }
}

/// What has changed.
#[derive(Clone, Copy)]
pub enum News<'a> {
    /// One key.
    Key(&'a [u8]),
    /// These keys.
    Keys(&'a [&'a [u8]]),
    /// Any key may have: a null, written for whoever speaks this protocol.
    All(Protocol),
}

/// A message in the forms in which clients get it, each encoded when the first
/// of them needs it.
pub struct Message<'a> {
    news: News<'a>,
    encoded: [Option<Encoded>; 2],
}

impl<'a> Message<'a> {
    /// A message that tells of this.
    pub fn new(news: News<'a>) -> Self {
        Message {
            news,
            encoded: [None, None],
        }
    }

    /// Hands it to a client that tracks keys, or to whom that one redirects.
    pub fn send(&mut self, client: &Client, post: &Post<'_>) {
        let redirect = client.redirect.load(Relaxed);
        if redirect == 0 {
            // RESP2 has no place for a message that nobody has asked for.
            if client.flags().contains(ClientFlags::RESP3) {
                self.hand(client, post);
            }
            return;
        }
        match post.clients.get(redirect) {
            Some(target) => {
                if target
                    .flags()
                    .intersects(ClientFlags::RESP3 | ClientFlags::PUBSUB)
                {
                    self.hand(&target, post);
                }
            }
            None => tell_of_broken_redirect(client, redirect, post),
        }
    }

    fn hand(&mut self, client: &Client, post: &Post<'_>) {
        let protocol = client.flags().protocol();
        let news = self.news;
        let encoded = &mut self.encoded[protocol as usize];
        post.hand(client, encoded.get_or_insert_with(|| news.encode(protocol)));
    }
}

impl News<'_> {
    fn encode(self, protocol: Protocol) -> Encoded {
        /// More than a key takes beside its bytes, and all that is no key. What is
        /// left free is held until everybody has got the message.
        const BESIDE_KEY: usize = 16;
        const BESIDE_ALL: usize = 64;
        let len: usize = match self {
            News::Key(key) => key.len() + BESIDE_KEY,
            News::Keys(keys) => keys.iter().map(|key| key.len() + BESIDE_KEY).sum(),
            News::All(_) => 0,
        };
        Encoded::new(protocol, len + BESIDE_ALL, |reply| {
            match protocol {
                Protocol::Resp3 => {
                    reply.push(2);
                    reply.bulk(b"invalidate");
                }
                Protocol::Resp2 => {
                    reply.push(3);
                    reply.bulk(b"message");
                    reply.bulk(CHANNEL);
                }
            }
            match self {
                News::Key(key) => reply.bulks([key].iter()),
                News::Keys(keys) => reply.bulks(keys.iter()),
                News::All(protocol) => Reply::new(reply.output(), protocol).null(),
            }
        })
    }
}

/// Marks a client that redirects to one that has gone, and tells it if it can
/// be told.
fn tell_of_broken_redirect(client: &Client, redirect: u64, post: &Post<'_>) {
    client.set_flags(ClientFlags::BROKEN_REDIRECT, true);
    if client.flags().contains(ClientFlags::RESP3) {
        let encoded = Encoded::new(Protocol::Resp3, 64, |reply| {
            reply.push(2);
            reply.bulk(b"tracking-redir-broken");
            reply.int(redirect as i64);
        });
        post.hand(client, &encoded);
    }
}
