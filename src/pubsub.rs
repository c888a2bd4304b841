//! Who is subscribed to what, and how a message reaches them.
//!
//! Nothing here touches the keyspace, so PUBLISH waits for no data command.
//! Every subscriber of a channel gets its messages in the same order, because
//! the channel's entry is held while a message is handed out. Locks are taken
//! in this order: keyspace, channel or patterns, outbox.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use dashmap::DashMap;

use crate::glob;
use crate::resp::{Output, Protocol, Reply, SHARE_MIN};
use crate::session::outbox::Delivery;
use crate::session::{Client, ClientFlags, Session, Subscriptions};

type Subscribers = Vec<Arc<Client>>;
type Channels = DashMap<Bytes, Subscribers, foldhash::fast::RandomState>;

/// Channels, patterns and shard channels, with their subscribers.
#[derive(Default)]
pub struct PubSub {
    channels: Channels,
    shard_channels: Channels,
    patterns: RwLock<HashMap<Bytes, Subscribers>>,
    /// How many patterns there are, so that PUBLISH need not look without one.
    pattern_count: AtomicUsize,
}

/// What a subscription is to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// SUBSCRIBE
    Channel,
    /// PSUBSCRIBE
    Pattern,
    /// SSUBSCRIBE
    ShardChannel,
}

impl Target {
    /// The names of this kind that a client is subscribed to.
    pub fn names(self, subscriptions: &mut Subscriptions) -> &mut HashSet<Bytes> {
        match self {
            Target::Channel => &mut subscriptions.channels,
            Target::Pattern => &mut subscriptions.patterns,
            Target::ShardChannel => &mut subscriptions.shard_channels,
        }
    }
}

/// A message in the forms that subscribers get, each encoded when the first
/// subscriber needs it.
struct Message<'a> {
    words: &'a [&'a [u8]],
    encoded: [Option<Encoded>; 2],
}

/// What leaves for each subscriber.
enum Encoded {
    /// Copied into every outbox.
    Small(Vec<u8>),
    /// Shared by all outboxes.
    Large(Bytes),
}

impl<'a> Message<'a> {
    fn new(words: &'a [&'a [u8]]) -> Self {
        Message {
            words,
            encoded: [None, None],
        }
    }

    fn deliver(&mut self, subscriber: &Client, delivery: Delivery<'_>) {
        let resp3 = subscriber.flags().contains(ClientFlags::RESP3);
        let words = self.words;
        let encoded =
            self.encoded[usize::from(resp3)].get_or_insert_with(|| Encoded::new(words, resp3));
        delivery.hand(subscriber, words[1], |pending| match encoded {
            Encoded::Small(bytes) => pending.output.extend(bytes),
            Encoded::Large(bytes) => pending.output.share(bytes),
        });
    }
}

impl Encoded {
    fn new(words: &[&[u8]], resp3: bool) -> Encoded {
        /// More than the header of a string, or of the whole, and its line ends.
        const HEADER_MAX: usize = 32;
        let protocol = if resp3 {
            Protocol::Resp3
        } else {
            Protocol::Resp2
        };
        let len: usize = words.iter().map(|word| word.len() + HEADER_MAX).sum();
        let mut output = Output::with_capacity(len + HEADER_MAX);
        let mut reply = Reply::new(&mut output, protocol);
        reply.push(words.len());
        words.iter().for_each(|word| reply.bulk(word));
        let bytes = output.into_vec();
        if bytes.len() < SHARE_MIN {
            Encoded::Small(bytes)
        } else {
            Encoded::Large(bytes.into())
        }
    }
}

impl PubSub {
    /// Adds a subscription that is not there yet.
    pub fn subscribe(&self, target: Target, name: Bytes, client: &Arc<Client>) {
        match self.map(target) {
            Some(channels) => channels.entry(name).or_default().push(client.clone()),
            None => {
                let mut patterns = self
                    .patterns
                    .write()
                    .unwrap_or_else(PoisonError::into_inner);
                patterns.entry(name).or_default().push(client.clone());
                self.pattern_count.store(patterns.len(), Relaxed);
            }
        }
    }

    /// Removes a subscription.
    pub fn unsubscribe(&self, target: Target, name: &Bytes, client: &Client) {
        let remove = |subscribers: &mut Subscribers| {
            if let Some(at) = subscribers.iter().position(|other| other.id == client.id) {
                // Keeps the order in which messages are handed out.
                subscribers.remove(at);
            }
            subscribers.is_empty()
        };
        match self.map(target) {
            Some(channels) => {
                channels.remove_if_mut(name, |_, subscribers| remove(subscribers));
            }
            None => {
                let mut patterns = self
                    .patterns
                    .write()
                    .unwrap_or_else(PoisonError::into_inner);
                if patterns.get_mut(name).is_some_and(remove) {
                    patterns.remove(name);
                }
                self.pattern_count.store(patterns.len(), Relaxed);
            }
        }
    }

    /// Ends all subscriptions of a client without a word: RESET, and the end of
    /// a connection.
    pub fn unsubscribe_all(&self, session: &mut Session) {
        let Some(mut subscriptions) = session.subscriptions.take() else {
            return;
        };
        for target in [Target::Channel, Target::Pattern, Target::ShardChannel] {
            for name in target.names(&mut subscriptions).drain() {
                self.unsubscribe(target, &name, &session.client);
            }
        }
        session.show_subscriptions();
    }

    /// Hands a message to the subscribers of a channel and of each pattern
    /// that matches it; answers how many times it was handed out.
    pub fn publish(&self, channel: &[u8], payload: &[u8], delivery: Delivery<'_>) -> usize {
        let mut receivers = fan_out(&self.channels, b"message", channel, payload, delivery);
        if self.pattern_count.load(Relaxed) > 0 {
            let patterns = self.patterns.read().unwrap_or_else(PoisonError::into_inner);
            for (pattern, subscribers) in patterns.iter() {
                if glob::matches(pattern, channel, false) {
                    let words = [b"pmessage".as_slice(), pattern, channel, payload];
                    let mut message = Message::new(&words);
                    subscribers
                        .iter()
                        .for_each(|s| message.deliver(s, delivery));
                    receivers += subscribers.len();
                }
            }
        }
        receivers
    }

    /// Hands a message to the subscribers of a shard channel.
    pub fn publish_shard(&self, channel: &[u8], payload: &[u8], delivery: Delivery<'_>) -> usize {
        fan_out(
            &self.shard_channels,
            b"smessage",
            channel,
            payload,
            delivery,
        )
    }

    /// The channels that have subscribers and match `pattern`.
    pub fn channels(&self, target: Target, pattern: Option<&[u8]>) -> Vec<Bytes> {
        let Some(channels) = self.map(target) else {
            return Vec::new();
        };
        let matching = channels.iter().map(|entry| entry.key().clone());
        matching
            .filter(|name| pattern.is_none_or(|pattern| glob::matches(pattern, name, false)))
            .collect()
    }

    /// How many subscribers a channel has; patterns do not count.
    pub fn subscriber_count(&self, target: Target, channel: &[u8]) -> usize {
        self.map(target)
            .and_then(|channels| channels.get(channel).map(|s| s.len()))
            .unwrap_or(0)
    }

    /// How many channels of this kind, or patterns, there are.
    pub fn count(&self, target: Target) -> usize {
        self.map(target)
            .map_or_else(|| self.pattern_count.load(Relaxed), DashMap::len)
    }

    fn map(&self, target: Target) -> Option<&Channels> {
        match target {
            Target::Channel => Some(&self.channels),
            Target::ShardChannel => Some(&self.shard_channels),
            Target::Pattern => None,
        }
    }
}

fn fan_out(
    channels: &Channels,
    kind: &[u8],
    channel: &[u8],
    payload: &[u8],
    delivery: Delivery<'_>,
) -> usize {
    // The entry stays locked while the message is handed out: that is what
    // keeps the order the same for all.
    let Some(subscribers) = channels.get_mut(channel) else {
        return 0;
    };
    let words = [kind, channel, payload];
    let mut message = Message::new(&words);
    subscribers
        .iter()
        .for_each(|subscriber| message.deliver(subscriber, delivery));
    subscribers.len()
}
