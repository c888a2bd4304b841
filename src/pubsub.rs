//! Who is subscribed to what, and how a message reaches them.
//!
//! Nothing here touches the keyspace, so PUBLISH waits for no data command.
//! Every subscriber of a channel gets its messages in the same order, because
//! the channel's entry is held while a message is handed out. Locks are taken
//! in this order: keyspace, channel or patterns, outbox.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use dashmap::DashMap;
use parking_lot::{Mutex, RwLock};

use crate::lab::faults::{Faults, Kind, Subscription};
use crate::resp::Protocol;
use crate::seed::{Hashing, Seed};
use crate::segmented::SegmentedMap;
use crate::session::client::Peer;
use crate::session::delivery::{Delivery, Encoded};
use crate::session::{Client, ClientFlags, NameSet, Session, Subscriptions};
use crate::text::glob;

type Subscribers = Vec<Arc<Client>>;
type Channels = DashMap<Bytes, Subscribers, Hashing>;

/// Channels, patterns and shard channels, with their subscribers.
pub struct PubSub {
    channels: Channels,
    shard_channels: Channels,
    patterns: RwLock<SegmentedMap<Bytes, Subscribers>>,
    /// How many patterns there are, so that PUBLISH need not look without one.
    pattern_count: AtomicUsize,
    /// How many channels there are of both kinds, and bytes of memory that
    /// patterns hold.
    channel_count: AtomicUsize,
    pattern_memory: AtomicUsize,
    /// Subscriptions of clients that have gone, to be taken down in steps.
    leaving: Mutex<VecDeque<Leaving>>,
    /// What may strike messages, in a broker for tests.
    faults: Option<Arc<Faults>>,
}

/// A client that has gone, and what it was subscribed to.
struct Leaving {
    client: Arc<Client>,
    subscriptions: Box<dyn Iterator<Item = (Target, Bytes)> + Send>,
}

/// A map of channels grows a part at a time; with so many parts none is so
/// large with a million channels that anybody would notice.
const PARTS: usize = 256;

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
    pub fn names(self, subscriptions: &mut Subscriptions) -> &mut NameSet {
        match self {
            Target::Channel => &mut subscriptions.channels,
            Target::Pattern => &mut subscriptions.patterns,
            Target::ShardChannel => &mut subscriptions.shard_channels,
        }
    }

    /// What messages of this kind begin with.
    fn messages(self) -> &'static [u8] {
        match self {
            Target::Channel => b"message",
            Target::Pattern => b"pmessage",
            Target::ShardChannel => b"smessage",
        }
    }

    /// A subscription of this kind, to a fault.
    fn subscription(self, name: &[u8]) -> Subscription<'_> {
        Subscription {
            kind: self.messages(),
            name,
        }
    }
}

/// A message in the forms that subscribers get, each encoded when the first
/// subscriber needs it.
struct Message<'a> {
    target: Target,
    /// What it is of, then the message.
    words: &'a [&'a [u8]],
    encoded: [Option<Encoded>; 2],
    /// What may strike it.
    faults: Option<&'a Faults>,
}

impl<'a> Message<'a> {
    fn new(target: Target, words: &'a [&'a [u8]], faults: Option<&'a Faults>) -> Self {
        Message {
            target,
            words,
            encoded: [None, None],
            faults,
        }
    }

    /// Hands it to each subscriber; answers how many they are.
    fn deliver_to(&mut self, subscribers: &Subscribers, delivery: &Delivery<'_>) -> usize {
        let mut receivers = 0;
        for subscriber in present(subscribers) {
            self.deliver(subscriber, delivery);
            receivers += 1;
        }
        receivers
    }

    fn deliver(&mut self, subscriber: &Client, delivery: &Delivery<'_>) {
        let protocol = subscriber.flags().protocol();
        let (target, words) = (self.target, self.words);
        let encoded =
            self.encoded[protocol as usize].get_or_insert_with(|| encode(target, words, protocol));
        // One in the program that has no connection is the test's own hand.
        match self.faults.filter(|_| subscriber.peer != Peer::Local) {
            None => delivery.hand(subscriber, words[0], |pending| encoded.add_to(pending)),
            Some(faults) => {
                let message = encoded.bytes();
                let subscription = target.subscription(words[0]);
                let struck = (subscription, words[words.len() - 2], &message);
                deliver_struck(faults, subscriber, struck, delivery);
            }
        }
    }
}

/// Hands a message of a channel to a subscriber, as faults let it come.
#[cold]
fn deliver_struck(
    faults: &Faults,
    subscriber: &Client,
    (subscription, channel, message): (Subscription<'_>, &[u8], &Bytes),
    delivery: &Delivery<'_>,
) {
    let hand = |message: &Bytes| {
        delivery.hand(subscriber, subscription.name, |pending| {
            pending.output.share(message)
        });
    };
    faults.deliver(&subscriber.who(), channel, subscription, message, hand);
}

fn encode(target: Target, words: &[&[u8]], protocol: Protocol) -> Encoded {
    /// More than the header of a string, or of the kind and the whole, and its
    /// line ends.
    const HEADER_MAX: usize = 32;
    let len: usize = words.iter().map(|word| word.len() + HEADER_MAX).sum();
    Encoded::new(protocol, len + HEADER_MAX, |reply| {
        reply.push(1 + words.len());
        reply.bulk(target.messages());
        words.iter().for_each(|word| reply.bulk(word));
    })
}

impl PubSub {
    /// Nobody is subscribed to anything yet.
    pub fn new(seed: Seed, faults: Option<Arc<Faults>>) -> PubSub {
        let channels = || Channels::with_hasher_and_shard_amount(seed.hasher(), PARTS);
        PubSub {
            channels: channels(),
            shard_channels: channels(),
            patterns: RwLock::new(SegmentedMap::new(seed)),
            pattern_count: AtomicUsize::new(0),
            channel_count: AtomicUsize::new(0),
            pattern_memory: AtomicUsize::new(0),
            leaving: Mutex::default(),
            faults,
        }
    }

    /// What strikes messages, if anything does.
    fn faults(&self) -> Option<&Faults> {
        let faults = self.faults.as_deref();
        faults.filter(|faults| faults.any(Kind::Message))
    }

    /// Adds a subscription that is not there yet.
    pub fn subscribe(&self, target: Target, name: Bytes, client: &Arc<Client>) {
        match self.map(target) {
            Some(channels) => {
                let entry = channels.entry(name).or_insert_with(|| {
                    self.channel_count.fetch_add(1, Relaxed);
                    Subscribers::new()
                });
                { entry }.push(client.clone());
            }
            None => {
                let mut patterns = self.patterns.write();
                match patterns.get_mut(&name) {
                    Some(subscribers) => subscribers.push(client.clone()),
                    None => patterns.insert_new(name, vec![client.clone()]),
                }
                self.note_patterns(&patterns);
            }
        }
    }

    /// Removes a subscription.
    pub fn unsubscribe(&self, target: Target, name: &Bytes, client: &Client) {
        match self.map(target) {
            Some(channels) => {
                let none_left = |_: &Bytes, subscribers: &mut _| remove(subscribers, client);
                if channels.remove_if_mut(name, none_left).is_some() {
                    self.channel_count.fetch_sub(1, Relaxed);
                }
            }
            None => {
                let mut patterns = self.patterns.write();
                let subscribers = patterns.get_mut(name);
                if subscribers.is_some_and(|subscribers| remove(subscribers, client)) {
                    patterns.remove(name);
                }
                self.note_patterns(&patterns);
            }
        }
        if let Some(faults) = &self.faults {
            faults.forget(client.id, target.subscription(name));
        }
    }

    fn note_patterns(&self, patterns: &SegmentedMap<Bytes, Subscribers>) {
        self.pattern_count.store(patterns.len(), Relaxed);
        self.pattern_memory.store(patterns.memory(), Relaxed);
    }

    /// Ends all subscriptions of a client without a word: RESET.
    pub fn unsubscribe_all(&self, session: &mut Session) {
        if let Some(subscriptions) = session.subscriptions.take() {
            for (target, name) in all(*subscriptions) {
                self.unsubscribe(target, &name, &session.client);
            }
            session.show_subscriptions();
        }
    }

    /// Does so for a client that has gone: at once as far as others can tell,
    /// and in steps if there are many.
    pub fn leave(&self, session: &mut Session) {
        /// More would be noticed by others.
        const AT_ONCE: usize = 64;
        match session.subscriptions.take_if(|of| of.len() > AT_ONCE) {
            None => self.unsubscribe_all(session),
            Some(subscriptions) => {
                let client = session.client.clone();
                client.set_flags(ClientFlags::GONE, true);
                let subscriptions = Box::new(all(*subscriptions));
                self.leaving.lock().push_back(Leaving {
                    client,
                    subscriptions,
                });
            }
        }
    }

    /// Takes down up to `max` subscriptions of clients that have gone; answers
    /// whether there are more.
    pub fn take_down(&self, max: usize) -> bool {
        let mut leaving = self.leaving.lock();
        let Some(Leaving {
            client,
            subscriptions,
        }) = leaving.front_mut()
        else {
            return false;
        };
        for _ in 0..max {
            match subscriptions.next() {
                Some((target, name)) => self.unsubscribe(target, &name, client),
                None => {
                    leaving.pop_front();
                    break;
                }
            }
        }
        !leaving.is_empty()
    }

    /// Whether clients have gone whose subscriptions are to be taken down.
    pub fn is_left(&self) -> bool {
        !self.leaving.lock().is_empty()
    }

    /// Gives back what maps hold that were much larger once.
    pub fn trim(&self) {
        const KEPT: usize = 4096;
        for channels in [&self.channels, &self.shard_channels] {
            if channels.capacity() > KEPT.max(4 * channels.len()) {
                channels.shrink_to_fit();
            }
        }
    }

    /// Bytes of memory held, without what clients hold for it.
    pub fn memory(&self) -> usize {
        let entry = size_of::<(Bytes, Subscribers)>() + size_of::<[Arc<Client>; 4]>();
        // Of the places in tables that grow by doubling a quarter is free.
        let channels = self.channel_count.load(Relaxed) * entry * 4 / 3;
        channels + self.pattern_memory.load(Relaxed)
    }

    /// Hands a message to the subscribers of a channel and of each pattern
    /// that matches it; answers how many times it was handed out.
    pub fn publish(&self, channel: &[u8], payload: &[u8], delivery: &Delivery<'_>) -> usize {
        let channels = (&self.channels, Target::Channel);
        let mut receivers = self.fan_out(channels, channel, payload, delivery);
        if self.pattern_count.load(Relaxed) > 0 {
            let patterns = self.patterns.read();
            for (pattern, subscribers) in patterns.iter() {
                if glob::matches(pattern, channel, false) {
                    let words = [&**pattern, channel, payload];
                    let mut message = Message::new(Target::Pattern, &words, self.faults());
                    receivers += message.deliver_to(subscribers, delivery);
                }
            }
        }
        receivers
    }

    /// Hands a message to the subscribers of a shard channel.
    pub fn publish_shard(&self, channel: &[u8], payload: &[u8], delivery: &Delivery<'_>) -> usize {
        let channels = (&self.shard_channels, Target::ShardChannel);
        self.fan_out(channels, channel, payload, delivery)
    }

    fn fan_out(
        &self,
        (channels, target): (&Channels, Target),
        channel: &[u8],
        payload: &[u8],
        delivery: &Delivery<'_>,
    ) -> usize {
        // The entry stays locked while the message is handed out: that is what
        // keeps the order the same for all.
        let Some(subscribers) = channels.get_mut(channel) else {
            return 0;
        };
        let words = [channel, payload];
        Message::new(target, &words, self.faults()).deliver_to(&subscribers, delivery)
    }

    /// The channels that have subscribers and match `pattern`.
    pub fn channels(&self, target: Target, pattern: Option<&[u8]>) -> Vec<Bytes> {
        let Some(channels) = self.map(target) else {
            return Vec::new();
        };
        let matches =
            |name: &[u8]| pattern.is_none_or(|pattern| glob::matches(pattern, name, false));
        channels
            .iter()
            .filter(|entry| matches(entry.key()) && present(entry.value()).next().is_some())
            .map(|entry| entry.key().clone())
            .collect()
    }

    /// How many subscribers a channel has, for which patterns do not count, or a
    /// pattern.
    pub fn subscriber_count(&self, target: Target, name: &[u8]) -> usize {
        let count = |subscribers: &Subscribers| present(subscribers).count();
        match self.map(target) {
            Some(channels) => channels.get(name).map_or(0, |entry| count(&entry)),
            None => self.patterns.read().get(name).map_or(0, count),
        }
    }

    /// Channels of this kind, or patterns, that have subscribers, and how many
    /// each; `max` at most are looked at.
    pub fn names(&self, target: Target, max: usize) -> Vec<(Bytes, usize)> {
        let counted = |name: &Bytes, subscribers: &Subscribers| {
            let count = present(subscribers).count();
            (count > 0).then(|| (name.clone(), count))
        };
        match self.map(target) {
            Some(channels) => {
                let entries = channels.iter().take(max);
                entries
                    .filter_map(|entry| counted(entry.key(), entry.value()))
                    .collect()
            }
            None => {
                let patterns = self.patterns.read();
                let entries = patterns.iter().take(max);
                entries
                    .filter_map(|(name, subscribers)| counted(name, subscribers))
                    .collect()
            }
        }
    }

    /// How many channels of this kind, or patterns, there are.
    pub fn count(&self, target: Target) -> usize {
        let is_left = self.is_left();
        let is_heard = |subscribers: &Subscribers| present(subscribers).next().is_some();
        match self.map(target) {
            Some(channels) if is_left => channels.iter().filter(|entry| is_heard(entry)).count(),
            Some(channels) => channels.len(),
            None if is_left => {
                let patterns = self.patterns.read();
                patterns.iter().filter(|(_, heard)| is_heard(heard)).count()
            }
            None => self.pattern_count.load(Relaxed),
        }
    }

    fn map(&self, target: Target) -> Option<&Channels> {
        match target {
            Target::Channel => Some(&self.channels),
            Target::ShardChannel => Some(&self.shard_channels),
            Target::Pattern => None,
        }
    }
}

/// Those subscribers that have not gone.
fn present(subscribers: &Subscribers) -> impl Iterator<Item = &Arc<Client>> {
    let has_gone = |client: &Client| client.flags().contains(ClientFlags::GONE);
    subscribers.iter().filter(move |client| !has_gone(client))
}

/// Removes a subscriber; answers whether none is left.
fn remove(subscribers: &mut Subscribers, client: &Client) -> bool {
    const SHRINK_MIN: usize = 16;
    if let Some(at) = subscribers.iter().position(|other| other.id == client.id) {
        // Keeps the order in which messages are handed out.
        subscribers.remove(at);
    }
    if subscribers.capacity() > SHRINK_MIN.max(4 * subscribers.len()) {
        subscribers.shrink_to(2 * subscribers.len());
    }
    subscribers.is_empty()
}

/// All subscriptions, one by one.
fn all(subscriptions: Subscriptions) -> impl Iterator<Item = (Target, Bytes)> {
    let Subscriptions {
        channels,
        patterns,
        shard_channels,
    } = subscriptions;
    let channels = channels.into_names().map(|name| (Target::Channel, name));
    let patterns = patterns.into_names().map(|name| (Target::Pattern, name));
    let shard_channels = shard_channels.into_names();
    let shard_channels = shard_channels.map(|name| (Target::ShardChannel, name));
    channels.chain(patterns).chain(shard_channels)
}
