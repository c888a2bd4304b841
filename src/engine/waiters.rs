//! Blocked clients by key, first come first served.
//!
//! Blocking is a value: the handler has said that it waits, and is run again
//! when one of its keys changes. Nothing is taken for a client that is no
//! longer here, because leaving takes the client's place under the lock.
//!
//! # How to add a blocking command
//!
//! 1. Its row, in `command`, has [`Handler::Blocking`] and `Flags::BLOCKING`;
//!    the keys of the row's first specification are those that it waits for.
//! 2. Its handler is an [`Attempt`]: it replies and answers `None`, or leaves
//!    everything as it is and answers a [`Wait`]. It runs again from the start,
//!    under the lock of whoever has changed a key, and must not depend on
//!    anything but data and request.
//! 3. That is all: the place among those who wait, the timeout, CLIENT UNBLOCK,
//!    transactions and a client that leaves are the engine's affair.
//!
//! [`Handler::Blocking`]: crate::table::Handler::Blocking

use std::collections::VecDeque;
use std::iter::StepBy;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::db::{Db, Handle, Kind};
use crate::error::Result;
use crate::resp::{Argv, OwnedArgv, Protocol, Reply};
use crate::segmented::SegmentedMap;
use crate::session::Client;

/// What a handler that cannot reply yet waits for.
#[derive(Debug)]
pub struct Wait {
    /// What must be under a key before the handler is run again; `None` if it
    /// is run whatever becomes of a key, even when it goes: there must have been
    /// something that a client cannot wait for without it.
    pub kind: Option<Kind>,
    /// For how long; `None` is for ever.
    pub timeout: Option<Duration>,
    /// The reply within a transaction, where nothing waits, and when the time is
    /// up. It is an array then even where a transaction gets a null string.
    pub null: Null,
    /// Words of the request that read otherwise from now on, such as one that
    /// stands for what is there when the wait begins.
    pub words: Vec<(usize, Vec<u8>)>,
    /// Tells quickly that there is nothing for the request, where most changes
    /// of a key are of no use to most who wait for it.
    pub ready: Option<Ready>,
}

/// Whether there may be something for a request under one of its keys: the
/// value, the request, which word of it the key is, and how many keys it has.
/// The answer is yes as long as it is not sure.
pub type Ready = fn(&Db<'_>, Handle, Argv<'_>, usize, usize) -> bool;

impl Wait {
    /// Waits for values of a kind, with a null array for a reply in a
    /// transaction.
    pub fn for_kind(kind: Kind, timeout: Option<Duration>) -> Wait {
        Wait {
            kind: Some(kind),
            timeout,
            null: Null::Array,
            words: Vec::new(),
            ready: None,
        }
    }
}

/// The reply to who has waited for nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Null {
    /// A null string.
    Bulk,
    /// A null array.
    Array,
    /// The number zero: how many others have what was written.
    Zero,
    /// Two of them.
    TwoZeros,
}

impl Null {
    /// Writes it.
    pub fn write(self, reply: &mut Reply<'_>) {
        match self {
            Null::Bulk => reply.null(),
            Null::Array => reply.null_array(),
            Null::Zero => reply.int(0),
            Null::TwoZeros => {
                reply.array(2);
                reply.int(0);
                reply.int(0);
            }
        }
    }
}

/// Runs a request, which replies or has to wait.
pub type Attempt = fn(&mut Db<'_>, Argv<'_>, &mut Reply<'_>) -> Result<Option<Wait>>;

/// A blocked client, and the command that it waits to have run again.
pub struct Waiter {
    /// Whom to reply to.
    pub recipient: Recipient,
    /// The id of the command.
    pub command: usize,
    /// The request.
    pub argv: OwnedArgv,
    /// Which words of the request are the keys that it waits for.
    pub keys: StepBy<Range<usize>>,
    /// Runs it again.
    pub attempt: Attempt,
    /// The number of the database it looks at.
    pub db: usize,
    /// What it waits for.
    pub wait: Wait,
    /// It is to be told when one of the keys changes that it has read once it
    /// is served: CLIENT TRACKING.
    pub tracks: bool,
}

/// A client that waits for a reply, and how to write it.
#[derive(Clone)]
pub struct Recipient {
    /// The client.
    pub client: Arc<Client>,
    /// How to reply.
    pub protocol: Protocol,
    /// It wants no reply: CLIENT REPLY.
    pub silent: bool,
    /// Its reply is for the record, if a test wants one: it is none of RESPD.
    pub on_record: bool,
}

impl Waiter {
    /// The keys that it waits for, each with its place among the words.
    pub fn keys(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let keys = self.keys.clone();
        keys.filter_map(|index| Some((index, self.argv.as_argv().get(index)?)))
    }

    /// Whether there may be something for it in the value that `found` stands
    /// for, under the key of this place.
    pub fn may_be_served(&self, db: &Db<'_>, found: Option<Handle>, place: Place) -> bool {
        match (self.wait.ready, found, place.word) {
            (Some(ready), Some(found), Some(word)) => {
                let argv = self.argv.as_argv();
                ready(db, found, argv, word as usize, self.keys.len())
            }
            _ => true,
        }
    }
}

/// By key, who waits for it, in the order in which they came.
type Queues = SegmentedMap<Box<[u8]>, VecDeque<Place>>;

/// A client's place in a queue. Once its wait has ended it is nobody's, even if
/// the client waits again.
#[derive(Clone, Copy)]
pub struct Place {
    client: u64,
    wait: u64,
    /// Which word of the request the key is, if it is only one.
    word: Option<u32>,
}

impl Place {
    /// Whether it is of the same wait.
    fn is_of(self, other: Place) -> bool {
        (self.client, self.wait) == (other.client, other.wait)
    }
}

/// The end of one wait of a client, which may wait for something else by then.
#[derive(Clone, Copy, Debug)]
pub struct Awaited {
    /// The client.
    pub client: u64,
    wait: u64,
}

/// All blocked clients.
#[derive(Default)]
pub struct Waiters {
    by_client: SegmentedMap<u64, (Place, Waiter)>,
    /// By the number of the database, as far as somebody has ever waited.
    by_db: Vec<Queues>,
    next_wait: u64,
    /// Whose wait for so many keys has ended that their places are given up in
    /// steps.
    leaving: VecDeque<Leaving>,
    /// How many of them hear of keys that have gone.
    of_losses: usize,
    /// Bytes of their requests, and of the keys.
    request_bytes: usize,
    key_bytes: usize,
}

/// A wait that has ended, and whose places are not given up yet.
struct Leaving {
    place: Place,
    waiter: Waiter,
}

impl Waiters {
    /// So many places are given up at once.
    const AT_ONCE: usize = 64;

    /// How many clients are blocked.
    pub fn len(&self) -> usize {
        self.by_client.len()
    }

    /// What a client gets when its time is up.
    pub fn late_reply(&self, client: u64) -> Null {
        let waiter = self.by_client.get(&client).map(|(_, waiter)| waiter);
        match waiter.map(|waiter| waiter.wait.null) {
            // Redis answers an array here even where a transaction gets a string.
            None | Some(Null::Bulk) => Null::Array,
            Some(null) => null,
        }
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.by_client.is_empty()
    }

    /// How many of them wait no longer than a time.
    pub fn timed(&self) -> usize {
        let waiters = self.by_client.iter().map(|(_, (_, waiter))| waiter);
        waiters
            .filter(|waiter| waiter.wait.timeout.is_some())
            .count()
    }

    /// How many keys are waited for.
    pub fn key_count(&self) -> usize {
        if self.leaving.is_empty() {
            return self.by_db.iter().map(SegmentedMap::len).sum();
        }
        let queues = self.by_db.iter().flat_map(SegmentedMap::iter);
        let is_waited_for = |queue: &VecDeque<Place>| queue.iter().any(|place| self.holds(*place));
        queues.filter(|(_, queue)| is_waited_for(queue)).count()
    }

    /// How many keys are waited for by clients that hear of it when one goes.
    pub fn keys_of_losses(&self) -> usize {
        if !self.hear_of_losses() {
            return 0;
        }
        let hears = |place: &Place| {
            let waiter = self.by_client.get(&place.client);
            let current = waiter.filter(|(current, _)| current.is_of(*place));
            current.is_some_and(|(_, waiter)| waiter.wait.kind.is_none())
        };
        let queues = self.by_db.iter().flat_map(SegmentedMap::iter);
        queues.filter(|(_, queue)| queue.iter().any(hears)).count()
    }

    /// How many clients wait for a key.
    pub fn count_on(&self, db: usize, key: &[u8]) -> usize {
        let queue = self.by_db.get(db).and_then(|queues| queues.get(key));
        queue.map_or(0, |queue| self.count_in(queue))
    }

    /// The keys of a database that are waited for, and by how many clients each.
    pub fn counts(&self, db: usize) -> impl Iterator<Item = (&[u8], usize)> {
        let queues = self.by_db.get(db).into_iter();
        let counts = queues.flat_map(SegmentedMap::iter);
        let counts = counts.map(|(key, queue)| (&**key, self.count_in(queue)));
        counts.filter(|(_, count)| *count > 0)
    }

    fn count_in(&self, queue: &VecDeque<Place>) -> usize {
        // A key that is named twice may have two places.
        let mut clients: Vec<u64> = queue
            .iter()
            .filter(|place| self.holds(**place))
            .map(|place| place.client)
            .collect();
        clients.sort_unstable();
        clients.dedup();
        clients.len()
    }

    /// Whether somebody is to hear of keys that have gone.
    pub fn hear_of_losses(&self) -> bool {
        self.of_losses > 0
    }

    /// Whether whoever had this place still waits.
    fn holds(&self, place: Place) -> bool {
        let waiter = self.by_client.get(&place.client);
        waiter.is_some_and(|(current, _)| current.is_of(place))
    }

    /// Puts a client behind all others that wait for the same keys.
    pub fn add(&mut self, waiter: Waiter) -> Awaited {
        let place = Place {
            client: waiter.recipient.client.id,
            wait: self.next_wait,
            word: None,
        };
        self.next_wait += 1;
        if self.by_db.len() <= waiter.db {
            self.by_db.resize_with(waiter.db + 1, Queues::default);
        }
        let queues = &mut self.by_db[waiter.db];
        for (index, key) in waiter.keys() {
            let word = u32::try_from(index).ok();
            let place = Place { word, ..place };
            match queues.get_mut(key) {
                Some(queue) => match queue.back_mut() {
                    // A key that is named twice counts once.
                    Some(last) if last.is_of(place) => last.word = None,
                    _ => queue.push_back(place),
                },
                None => {
                    self.key_bytes += key.len();
                    queues.insert_new(key.into(), VecDeque::from([place]));
                }
            }
        }
        self.request_bytes += waiter.argv.memory();
        self.of_losses += usize::from(waiter.wait.kind.is_none());
        self.by_client.insert_new(place.client, (place, waiter));
        let Place { client, wait, .. } = place;
        Awaited { client, wait }
    }

    /// Whether its client still waits for it.
    pub fn is_awaited(&self, awaited: Awaited) -> bool {
        let waiter = self.by_client.get(&awaited.client);
        waiter.is_some_and(|(place, _)| place.wait == awaited.wait)
    }

    /// Has a client that is blocked told when one of its keys changes after it
    /// has been served.
    pub fn track(&mut self, client: u64) {
        if let Some((_, waiter)) = self.by_client.get_mut(&client) {
            waiter.tracks = true;
        }
    }

    /// Takes a client out, if it is still blocked.
    pub fn remove(&mut self, client: u64) -> Option<Recipient> {
        let (_, (place, waiter)) = self.by_client.remove(&client)?;
        let recipient = waiter.recipient.clone();
        self.request_bytes -= waiter.argv.memory();
        self.of_losses -= usize::from(waiter.wait.kind.is_none());
        let mut leaving = Leaving { place, waiter };
        if leaving.waiter.keys.len() <= Self::AT_ONCE {
            self.give_up(&mut leaving, Self::AT_ONCE);
        } else {
            self.leaving.push_back(leaving);
        }
        Some(recipient)
    }

    /// Gives up some of the places of waits that have ended.
    pub fn take_down(&mut self, max: usize) {
        if let Some(mut leaving) = self.leaving.pop_front()
            && !self.give_up(&mut leaving, max)
        {
            self.leaving.push_front(leaving);
        }
    }

    /// Whether places are still to be given up.
    pub fn are_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Gives up some places; answers whether these were all.
    fn give_up(&mut self, leaving: &mut Leaving, max: usize) -> bool {
        const SHRINK_MIN: usize = 16;
        let Leaving { place, waiter } = leaving;
        let queues = &mut self.by_db[waiter.db];
        for index in waiter.keys.by_ref().take(max) {
            let Some(key) = waiter.argv.as_argv().get(index) else {
                continue;
            };
            let Some(queue) = queues.get_mut(key) else {
                continue;
            };
            // Who is served is mostly the first.
            if let Some(at) = queue.iter().position(|other| other.is_of(*place)) {
                queue.remove(at);
            }
            if queue.is_empty() {
                queues.remove(key);
                self.key_bytes -= key.len();
            } else if queue.capacity() > SHRINK_MIN.max(4 * queue.len()) {
                queue.shrink_to(2 * queue.len());
            }
        }
        waiter.keys.len() == 0
    }

    /// The first client that waits for a key at this place in its queue or
    /// behind it, and which place it has.
    pub fn waiting_for(
        &self,
        db: usize,
        key: &[u8],
        from: usize,
    ) -> Option<(usize, Place, &Waiter)> {
        let queue = self.by_db.get(db)?.get(key)?;
        let places = queue.iter().enumerate().skip(from);
        let mut waiting = places.filter_map(|(at, place)| {
            let (current, waiter) = self.by_client.get(&place.client)?;
            current.is_of(*place).then_some((at, *place, waiter))
        });
        waiting.next()
    }

    /// The keys of a database that are waited for.
    pub fn keys_of(&self, db: usize) -> Vec<Box<[u8]>> {
        let queues = self.by_db.get(db).into_iter();
        let entries = queues.flat_map(SegmentedMap::iter);
        entries.map(|(key, _)| key.clone()).collect()
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        // Mostly nobody waits.
        if self.by_client.is_empty() && self.leaving.is_empty() {
            return 0;
        }
        let queues = self.by_db.iter();
        let queues = queues.map(|queues| queues.memory() + queues.len() * size_of::<Place>());
        self.by_client.memory() + queues.sum::<usize>() + self.request_bytes + self.key_bytes
    }
}
