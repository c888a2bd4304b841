//! Which clients have read which keys, and are to be told when these change.
//!
//! A key is told of once: then nobody is known to have it any more. The table
//! is bounded, and a key that has to make room is told of as if it had changed.
//! What a client has read before it left is found when the key changes, or when
//! much of the table is of that kind: then it is looked through, in steps.

use std::sync::Arc;

use super::message::{Message, News, Post};
use crate::seed::{Purpose, Seed};
use crate::segmented::SegmentedMap;
use crate::session::{Client, ClientFlags};

/// By key, who has read it.
type Table = SegmentedMap<Box<[u8]>, Ids>;

/// The keys that clients have read.
#[derive(Default)]
pub struct Readers {
    table: Table,
    /// By id, the clients that have ever turned tracking on and are here.
    clients: SegmentedMap<u64, Reader>,
    /// How often a key is of a client, and how often of one that has gone.
    items: usize,
    stale: usize,
    /// Bytes of the keys.
    bytes: usize,
    /// Where the table is being looked through for clients that have gone.
    search: Option<Search>,
    /// Tables that are to be freed.
    litter: Vec<Litter>,
    seed: Seed,
    rng: fastrand::Rng,
}

/// The entries of a table that nobody uses any more.
type Litter = Box<dyn Iterator<Item = (Box<[u8]>, Ids)> + Send>;

struct Reader {
    client: Arc<Client>,
    /// How many keys are its own.
    items: usize,
}

/// Clients by their ids, in order.
enum Ids {
    One(u64),
    Many(Vec<u64>),
}

/// How far the table has been looked through.
#[derive(Clone, Copy, Default)]
struct Search {
    part: usize,
    /// How many entries of the part have been.
    entries: usize,
}

impl Ids {
    fn as_slice(&self) -> &[u64] {
        match self {
            Ids::One(id) => std::slice::from_ref(id),
            Ids::Many(ids) => ids,
        }
    }

    /// Adds one; answers whether it was not there.
    fn insert(&mut self, id: u64) -> bool {
        let ids = self.as_slice();
        let Err(at) = ids.binary_search(&id) else {
            return false;
        };
        match self {
            Ids::Many(ids) => ids.insert(at, id),
            Ids::One(_) => {
                let mut ids = ids.to_vec();
                ids.insert(at, id);
                *self = Ids::Many(ids);
            }
        }
        true
    }

    /// Keeps some; answers how many there were more.
    fn retain(&mut self, mut keep: impl FnMut(u64) -> bool) -> usize {
        let before = self.as_slice().len();
        match self {
            &mut Ids::One(id) if keep(id) => {}
            Ids::One(_) => *self = Ids::Many(Vec::new()),
            Ids::Many(ids) => {
                ids.retain(|id| keep(*id));
                ids.shrink_to(2 * ids.len());
            }
        }
        before - self.as_slice().len()
    }
}

impl Readers {
    /// Nobody has read anything yet.
    pub fn new(seed: Seed) -> Readers {
        Readers {
            table: Table::new(seed),
            seed,
            rng: seed.rng(Purpose::Tracking),
            ..Readers::default()
        }
    }

    /// How many keys are noted.
    pub fn key_count(&self) -> usize {
        self.table.len()
    }

    /// How many times one is noted for a client.
    pub fn item_count(&self) -> usize {
        self.items
    }

    /// Whether no key is noted.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Has keys noted for a client, if it is not known yet.
    pub fn enter(&mut self, client: &Arc<Client>) {
        if self.clients.get(&client.id).is_none() {
            let client = client.clone();
            self.clients
                .insert_new(client.id, Reader { client, items: 0 });
        }
    }

    /// The client with this id, if it is one of them.
    pub fn client(&self, id: u64) -> Option<&Client> {
        self.clients.get(&id).map(|reader| &*reader.client)
    }

    /// Forgets a client that has gone.
    pub fn leave(&mut self, client: u64) {
        if let Some((_, reader)) = self.clients.remove(&client) {
            self.stale += reader.items;
        }
        if self.stale > 0 && self.stale == self.items {
            self.discard();
        }
    }

    /// Notes that a client has read a key. There are `max` keys at most, unless
    /// it is 0.
    pub fn note(&mut self, client: u64, key: &[u8], max: usize, post: &Post<'_>) {
        if self.clients.get(&client).is_none() {
            return;
        }
        let is_new = match self.table.get_mut(key) {
            Some(ids) => ids.insert(client),
            None => {
                if max > 0 && self.table.len() >= max {
                    self.make_room(post);
                }
                self.bytes += key.len();
                self.table.insert_new(key.into(), Ids::One(client));
                true
            }
        };
        let reader = self.clients.get_mut(&client);
        if let Some(reader) = reader.filter(|_| is_new) {
            reader.items += 1;
            self.items += 1;
        }
    }

    /// Tells those who have read a key that it has changed, and forgets them.
    /// Answers whether the client that has changed it is to be told as well.
    pub fn changed(&mut self, key: &[u8], post: &Post<'_>) -> bool {
        let Some((key, ids)) = self.table.remove(key) else {
            return false;
        };
        self.tell(&key, &ids, post.by, post)
    }

    /// Does so for any key, which has not changed: who wants to hear nothing of
    /// its own changes hears of it.
    pub fn make_room(&mut self, post: &Post<'_>) {
        let Readers { table, rng, .. } = self;
        let key = table.random(|n| rng.usize(..n)).cloned();
        if let Some((key, ids)) = key.and_then(|key| self.table.remove(&key)) {
            self.tell(&key, &ids, None, post);
        }
    }

    /// Tells those who have read a key that was noted, but for the client that
    /// may have changed it; answers whether that one is to be told as well.
    fn tell(&mut self, key: &[u8], ids: &Ids, by: Option<u64>, post: &Post<'_>) -> bool {
        let mut tells_own = false;
        self.bytes -= key.len();
        self.items -= ids.as_slice().len();
        let mut message = Message::new(News::Key(key));
        for id in ids.as_slice() {
            let Some(reader) = self.clients.get_mut(id) else {
                self.stale -= 1;
                continue;
            };
            reader.items -= 1;
            let flags = reader.client.flags();
            // It may have turned tracking off meanwhile, or have it of another
            // kind.
            let reads = ClientFlags::TRACKING | ClientFlags::BROADCAST;
            if flags.intersection(reads) != ClientFlags::TRACKING {
                continue;
            }
            if by == Some(*id) {
                tells_own = !flags.contains(ClientFlags::NOLOOP);
            } else {
                message.send(&reader.client, post);
            }
        }
        tells_own
    }

    /// Forgets all keys.
    pub fn clear(&mut self) {
        self.discard();
        for (_, reader) in self.clients.iter_mut() {
            reader.items = 0;
        }
    }

    /// Has the table freed later.
    fn discard(&mut self) {
        let table = std::mem::replace(&mut self.table, Table::new(self.seed));
        if !table.is_empty() {
            self.litter.push(Box::new(table.into_entries()));
        }
        (self.items, self.stale, self.bytes) = (0, 0, 0);
        self.search = None;
    }

    /// Whether there is something to [tidy](Self::tidy).
    pub fn has_litter(&self) -> bool {
        !self.litter.is_empty() || self.search.is_some() || self.is_search_due()
    }

    /// Whether looking through the table is worth it: each key that is found is
    /// worth a few that are not.
    fn is_search_due(&self) -> bool {
        const WORTH: usize = 8;
        self.stale > 0 && self.stale.saturating_mul(WORTH) >= self.items
    }

    /// Frees some of what was forgotten, and forgets some of what clients have
    /// read that have gone: about `max` keys.
    pub fn tidy(&mut self, max: usize) {
        if let Some(table) = self.litter.last_mut() {
            if table.by_ref().take(max).count() < max {
                self.litter.pop();
            }
        } else if self.search.is_some() || self.is_search_due() {
            self.look_through(max);
        }
    }

    /// Looks for clients that have gone. A key that is moved meanwhile may be
    /// missed; if there are many, the next search finds them.
    fn look_through(&mut self, max: usize) {
        /// To look an id up takes so much less than to free a key.
        const LOOKED_UP: usize = 8;
        let Search { part, entries } = self.search.unwrap_or_default();
        let Readers { table, clients, .. } = self;
        let mut budget = max * LOOKED_UP;
        let (mut looked_at, mut removed) = (0, 0);
        for (_, ids) in table.part_mut(part).skip(entries) {
            let len = ids.as_slice().len();
            removed += ids.retain(|id| clients.get(&id).is_some());
            looked_at += 1;
            budget = budget.saturating_sub(len);
            if budget == 0 {
                break;
            }
        }
        self.items -= removed;
        self.stale -= removed;
        if budget == 0 {
            let entries = entries + looked_at;
            self.search = Some(Search { part, entries });
            return;
        }
        let bytes = &mut self.bytes;
        self.table.retain_in_part(part, |key, ids| {
            let is_read = !ids.as_slice().is_empty();
            *bytes -= if is_read { 0 } else { key.len() };
            is_read
        });
        let next = Search {
            part: part + 1,
            entries: 0,
        };
        self.search = Some(next).filter(|next| next.part < self.table.parts());
    }

    /// Bytes of memory held, but for what is to be freed.
    pub fn memory(&self) -> usize {
        let more_ids = self.items.saturating_sub(self.table.len()) * size_of::<u64>();
        self.table.memory() + self.clients.memory() + self.bytes + more_ids
    }
}
