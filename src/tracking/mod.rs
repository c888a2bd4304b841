//! CLIENT TRACKING: clients that keep what they have read, and are told when it
//! has changed.
//!
//! A client is told of the keys that it has read, or with BCAST of all keys
//! with its prefixes. Nothing here reads keys: whoever runs commands says what
//! a client has read and what has changed. Databases do not matter, as in
//! Redis: a key of that name has changed in one of them.

mod broadcast;
mod message;
mod readers;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

pub use broadcast::{Overlap, overlap};
pub use message::Post;

use self::broadcast::Broadcasts;
use self::message::{Message, News};
use self::readers::Readers;
use crate::resp::Protocol;
use crate::seed::Seed;
use crate::segmented::SegmentedMap;
use crate::session::{Broadcast, Client, ClientFlags, Session};

/// Who is told of what.
#[derive(Default)]
pub struct Tracking {
    /// The clients that have it turned on, by id.
    clients: SegmentedMap<u64, Arc<Client>>,
    readers: Readers,
    broadcasts: Broadcasts,
    /// What the client whose command runs is to be told once it has been
    /// answered: keys, or `None` for all keys.
    own: Vec<Option<Box<[u8]>>>,
    /// `tracking-table-max-keys`; 0 is no limit.
    pub max_keys: usize,
    /// Nobody knows what has changed.
    in_doubt: bool,
}

/// How a client wants to be told.
#[derive(Default)]
pub struct Options<'a> {
    /// The client that is told instead; 0: itself.
    pub redirect: u64,
    /// BROADCAST, OPTIN, OPTOUT and NOLOOP may be among them.
    pub flags: ClientFlags,
    /// With BROADCAST, the prefixes of keys; none are all keys.
    pub prefixes: Vec<&'a [u8]>,
}

/// Figures for INFO.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Clients that have turned it on.
    pub clients: usize,
    /// Keys that are noted.
    pub keys: usize,
    /// How many times one is noted for a client.
    pub items: usize,
    /// Prefixes that somebody is told of.
    pub prefixes: usize,
}

impl Tracking {
    /// Nobody is told of anything yet.
    pub fn new(seed: Seed) -> Tracking {
        Tracking {
            readers: Readers::new(seed),
            ..Tracking::default()
        }
    }

    /// Turns it on for a client, or changes how it is told.
    pub fn start(&mut self, session: &mut Session, options: &Options<'_>) {
        let client = &session.client;
        client.set_flags(ClientFlags::TRACKED, false);
        client.redirect.store(options.redirect, Relaxed);
        client.set_flags(options.flags | ClientFlags::TRACKING, true);
        if self.clients.get(&client.id).is_none() {
            self.clients.insert_new(client.id, client.clone());
        }
        self.readers.enter(client);
        session.has_tracked = true;
        if options.flags.contains(ClientFlags::BROADCAST) {
            let broadcast = session
                .broadcast
                .get_or_insert_with(|| Box::new(Broadcast::new(client)));
            let all = [&[][..]];
            let prefixes = match options.prefixes.is_empty() {
                true => &all[..],
                false => &options.prefixes,
            };
            for prefix in prefixes {
                self.broadcasts.listen(broadcast, prefix);
            }
        }
    }

    /// Turns it off for a client. The keys that it has read stay noted, as in
    /// Redis: it is told of them once it turns it on again.
    pub fn stop(&mut self, session: &mut Session) {
        session.client.set_flags(ClientFlags::TRACKED, false);
        session.caching = false;
        self.clients.remove(&session.client.id);
        if let Some(broadcast) = session.broadcast.take() {
            self.broadcasts.end(*broadcast);
        }
    }

    /// Forgets a client that has gone.
    pub fn leave(&mut self, session: &mut Session) {
        self.stop(session);
        self.readers.leave(session.client.id);
    }

    /// Whether nobody has to be told of anything.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.clients.is_empty() && self.readers.is_empty()
    }

    /// Notes that a client has read a key.
    pub fn note(&mut self, client: u64, key: &[u8], post: &Post<'_>) {
        self.readers.note(client, key, self.max_keys, post);
    }

    /// A key has changed. A command has not `asked` for it if its time had come,
    /// or if it was evicted.
    pub fn changed(&mut self, key: &[u8], asked: bool, post: &Post<'_>) {
        self.broadcasts.changed(key, post.by.filter(|_| asked));
        if self.readers.changed(key, post) {
            self.own.push(Some(key.into()));
        }
    }

    /// Tells the client whose command was the cause of what has changed, once
    /// that has been answered. After a change, a transaction may still choose
    /// another protocol for the client, or whom it redirects to.
    pub fn tell_own(&mut self, post: &Post<'_>) {
        let own = std::mem::take(&mut self.own);
        let Some(client) = post.by.and_then(|id| self.readers.client(id)) else {
            return;
        };
        for key in &own {
            let news = match key {
                Some(key) => News::Key(key),
                None => News::All(client.flags().protocol()),
            };
            Message::new(news).send(client, post);
        }
    }

    /// Whether there is something to [tell its own client](Self::tell_own).
    #[inline]
    pub fn has_own(&self) -> bool {
        !self.own.is_empty()
    }

    /// All keys of a database have gone. Everybody is told to forget all keys.
    pub fn flushed(&mut self, post: &Post<'_>) {
        let [mut resp2, mut resp3] =
            [Protocol::Resp2, Protocol::Resp3].map(|protocol| Message::new(News::All(protocol)));
        // Several may redirect to one, which hears of them in this order.
        let mut clients: Vec<_> = self.clients.iter().map(|(_, client)| client).collect();
        clients.sort_unstable_by_key(|client| client.id);
        for client in clients {
            if post.by == Some(client.id) {
                self.own.push(None);
                continue;
            }
            let message = match client.flags().protocol() {
                Protocol::Resp2 => &mut resp2,
                Protocol::Resp3 => &mut resp3,
            };
            message.send(client, post);
        }
        self.readers.clear();
    }

    /// Nobody knows what has changed: everybody is to be told to forget all keys.
    pub fn doubt(&mut self) {
        self.broadcasts.clear_news();
        self.own.clear();
        self.in_doubt = !self.is_idle();
    }

    /// Whether there is something to [broadcast](Self::broadcast).
    #[inline]
    pub fn has_news(&self) -> bool {
        self.broadcasts.has_news()
    }

    /// Tells of keys with prefixes that have changed since the last time.
    pub fn broadcast(&mut self, post: &Post<'_>) {
        self.broadcasts.tell(post);
    }

    /// Whether there is something to [tidy](Self::tidy).
    pub fn has_litter(&self) -> bool {
        self.in_doubt
            || self.broadcasts.are_leaving()
            || self.readers.has_litter()
            || self.is_too_large()
    }

    /// Whether more keys are noted than may be, since the setting is lower now.
    fn is_too_large(&self) -> bool {
        self.max_keys > 0 && self.readers.key_count() > self.max_keys
    }

    /// Does some of what nobody waits for, about `max` keys of it.
    pub fn tidy(&mut self, max: usize, post: &Post<'_>) {
        if std::mem::take(&mut self.in_doubt) {
            self.flushed(post);
        }
        self.broadcasts.take_down(max);
        self.readers.tidy(max);
        for _ in 0..max {
            if !self.is_too_large() {
                break;
            }
            self.readers.make_room(post);
        }
    }

    /// Figures for INFO.
    pub fn counts(&self) -> Counts {
        Counts {
            clients: self.clients.len(),
            keys: self.readers.key_count(),
            items: self.readers.item_count(),
            prefixes: self.broadcasts.len(),
        }
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.clients.memory() + self.readers.memory() + self.broadcasts.memory()
    }
}

#[cfg(test)]
mod tests;
