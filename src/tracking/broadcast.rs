//! Clients that are told of every key with one of their prefixes: BCAST.
//!
//! What changes is gathered and told once a turn has ended, each key once and
//! in order, as Redis does at the end of a cycle of its event loop. It does not
//! matter what a client has read, so nothing is noted of that.

use std::collections::{BTreeMap, BTreeSet, VecDeque, btree_set};
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::message::{Message, News, Post};
use crate::segmented::SegmentedMap;
use crate::session::{Broadcast, ClientFlags, Listener};

/// The prefixes that somebody listens to.
#[derive(Default)]
pub struct Broadcasts {
    by_prefix: SegmentedMap<Box<[u8]>, Audience>,
    /// How many of them have each length. A key's beginnings of these lengths
    /// are looked up one by one: there are few, unless somebody is up to no
    /// good, who can make any search in an order take long.
    lengths: BTreeMap<usize, usize>,
    /// Those of which there is something to tell.
    touched: Vec<Box<[u8]>>,
    /// Who has ended so many that they are taken down in steps.
    leaving: VecDeque<Leaving>,
    /// Bytes of the prefixes, and how often somebody listens to one.
    bytes: usize,
    listened: usize,
}

/// Who listens to a prefix.
struct Audience {
    listeners: Vec<Arc<Listener>>,
    /// What they are to be told, in the order in which it has changed.
    changed: Vec<Changed>,
}

/// A key that has changed.
struct Changed {
    key: Box<[u8]>,
    /// The client whose command has changed it, if there is one.
    by: Option<u64>,
}

/// Prefixes that nobody listens to any more as far as this client goes.
struct Leaving {
    listener: Arc<Listener>,
    prefixes: btree_set::IntoIter<Box<[u8]>>,
}

impl Broadcasts {
    /// So many prefixes are taken down at once.
    const AT_ONCE: usize = 64;

    /// How many prefixes somebody listens to.
    pub fn len(&self) -> usize {
        self.by_prefix.len()
    }

    /// Adds a prefix to those of a client, unless it is one.
    pub fn listen(&mut self, broadcast: &mut Broadcast, prefix: &[u8]) {
        if !broadcast.prefixes.insert(prefix.into()) {
            return;
        }
        let listener = broadcast.listener.clone();
        self.listened += 1;
        if let Some(audience) = self.by_prefix.get_mut(prefix) {
            return audience.listeners.push(listener);
        }
        let audience = Audience {
            listeners: vec![listener],
            changed: Vec::new(),
        };
        self.by_prefix.insert_new(prefix.into(), audience);
        self.bytes += prefix.len();
        *self.lengths.entry(prefix.len()).or_default() += 1;
    }

    /// Ends all that a client listens to: it is told of nothing any more.
    pub fn end(&mut self, broadcast: Broadcast) {
        let Broadcast { listener, prefixes } = broadcast;
        listener.ended.store(true, Relaxed);
        let len = prefixes.len();
        let prefixes = prefixes.into_iter();
        self.leaving.push_back(Leaving { listener, prefixes });
        if len <= Self::AT_ONCE && self.leaving.len() == 1 {
            self.take_down(len);
        }
    }

    /// Takes down some of what has ended.
    pub fn take_down(&mut self, max: usize) {
        for _ in 0..=max {
            let Some(leaving) = self.leaving.front_mut() else {
                return;
            };
            match leaving.prefixes.next() {
                Some(prefix) => {
                    let listener = leaving.listener.clone();
                    self.remove(&prefix, &listener);
                }
                None => {
                    self.leaving.pop_front();
                }
            }
        }
    }

    /// Whether something that has ended is still to be taken down.
    pub fn are_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    fn remove(&mut self, prefix: &[u8], listener: &Arc<Listener>) {
        let Some(audience) = self.by_prefix.get_mut(prefix) else {
            return;
        };
        let listeners = &mut audience.listeners;
        if let Some(at) = listeners.iter().position(|of| Arc::ptr_eq(of, listener)) {
            listeners.swap_remove(at);
            self.listened -= 1;
        }
        if listeners.is_empty() {
            self.by_prefix.remove(prefix);
            self.bytes -= prefix.len();
            match self.lengths.get_mut(&prefix.len()) {
                Some(count) if *count > 1 => *count -= 1,
                _ => _ = self.lengths.remove(&prefix.len()),
            }
        }
    }

    /// A key has changed, by a client's command perhaps.
    pub fn changed(&mut self, key: &[u8], by: Option<u64>) {
        for len in self.lengths.range(..=key.len()).map(|(len, _)| *len) {
            let prefix = &key[..len];
            let Some(audience) = self.by_prefix.get_mut(prefix) else {
                continue;
            };
            if audience.changed.is_empty() {
                self.touched.push(prefix.into());
            }
            let key = key.into();
            audience.changed.push(Changed { key, by });
        }
    }

    /// Whether there is something to tell.
    pub fn has_news(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Tells the clients what has changed since this was called last, one
    /// message for each of their prefixes.
    pub fn tell(&mut self, post: &Post<'_>) {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        for prefix in touched {
            // Who listened may have ended that meanwhile, and somebody else
            // have begun, for whom there may be nothing.
            let audience = self.by_prefix.get_mut(&prefix);
            if let Some(audience) = audience.filter(|audience| !audience.changed.is_empty()) {
                audience.tell(post);
            }
        }
    }

    /// Forgets what there was to tell.
    pub fn clear_news(&mut self) {
        for prefix in std::mem::take(&mut self.touched) {
            if let Some(audience) = self.by_prefix.get_mut(&prefix) {
                audience.changed = Vec::new();
            }
        }
    }

    /// Bytes of memory held, those included that clients hold for it.
    pub fn memory(&self) -> usize {
        let listened = size_of::<Arc<Listener>>() + size_of::<Box<[u8]>>();
        self.by_prefix.memory() + self.listened * listened + 2 * self.bytes
    }
}

impl Audience {
    fn tell(&mut self, post: &Post<'_>) {
        let mut changed = std::mem::take(&mut self.changed);
        // Of each key the last change counts.
        changed.reverse();
        changed.sort_by(|a, b| a.key.cmp(&b.key));
        changed.dedup_by(|next, first| next.key == first.key);
        let keys: Vec<&[u8]> = changed.iter().map(|changed| &*changed.key).collect();
        let mut message = Message::new(News::Keys(&keys));
        for Listener { client, ended } in self.listeners.iter().map(|listener| &**listener) {
            if ended.load(Relaxed) {
                continue;
            }
            let is_own = |changed: &&Changed| changed.by == Some(client.id);
            let excludes_own = client.flags().contains(ClientFlags::NOLOOP);
            if !excludes_own || !changed.iter().any(|changed| is_own(&changed)) {
                message.send(client, post);
                continue;
            }
            let of_others = changed.iter().filter(|changed| !is_own(changed));
            let keys: Vec<&[u8]> = of_others.map(|changed| &*changed.key).collect();
            if !keys.is_empty() {
                Message::new(News::Keys(&keys)).send(client, post);
            }
        }
    }
}

/// Two prefixes of one client that some keys would have both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overlap<'a> {
    /// One that it wants to add.
    pub prefix: &'a [u8],
    /// The other one.
    pub other: &'a [u8],
    /// The client has the other one already; otherwise it wants to add both.
    pub exists: bool,
}

/// The first of the prefixes that a client wants to add that overlaps with one
/// that it has, or with one behind it.
pub fn overlap<'a>(
    existing: Option<&'a BTreeSet<Box<[u8]>>>,
    prefixes: &[&'a [u8]],
) -> Option<Overlap<'a>> {
    let overlapping = overlapping(prefixes);
    for (at, &prefix) in prefixes.iter().enumerate() {
        if let Some(other) = existing.and_then(|existing| first_overlapping(existing, prefix)) {
            return Some(Overlap {
                prefix,
                other,
                exists: true,
            });
        }
        if overlapping == Some(at) {
            let mut behind = prefixes[at + 1..].iter();
            let other = behind.find(|other| overlap_each_other(prefix, other))?;
            return Some(Overlap {
                prefix,
                other,
                exists: false,
            });
        }
    }
    None
}

/// Which is the first prefix that overlaps with another one among them. A
/// million are looked through, so not each with each.
fn overlapping(prefixes: &[&[u8]]) -> Option<usize> {
    let mut order: Vec<usize> = (0..prefixes.len()).collect();
    order.sort_unstable_by_key(|&at| prefixes[at]);
    let mut first = None;
    // Each of these is a prefix of the next one.
    let mut open = Vec::new();
    for at in order {
        while open
            .last()
            .is_some_and(|&of: &usize| !prefixes[at].starts_with(prefixes[of]))
        {
            open.pop();
        }
        if let Some(&of) = open.last() {
            first = [first, Some(at), Some(of)].into_iter().flatten().min();
        }
        open.push(at);
    }
    first
}

/// The first in order that overlaps with the prefix. None of those of a client
/// begins with another one but for the empty prefix, which is not compared if it
/// stands for none at all.
fn first_overlapping<'a>(of: &'a BTreeSet<Box<[u8]>>, prefix: &[u8]) -> Option<&'a [u8]> {
    let empty = of.first().filter(|first| first.is_empty());
    let before = of
        .range::<[u8], _>((Unbounded, Excluded(prefix)))
        .next_back();
    let behind = of.range::<[u8], _>((Included(prefix), Unbounded)).next();
    let mut near = [empty, before, behind]
        .into_iter()
        .flatten()
        .map(|other| &**other);
    near.find(|other| overlap_each_other(prefix, other))
}

fn overlap_each_other(a: &[u8], b: &[u8]) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::client::Peer;
    use crate::session::registry::Registry;
    use std::time::Duration;

    /// Short words of few letters, which often overlap.
    fn word(rng: &mut fastrand::Rng) -> Vec<u8> {
        (0..rng.usize(0..5)).map(|_| rng.u8(b'a'..b'd')).collect()
    }

    #[test]
    fn a_key_is_told_to_all_who_listen_to_a_prefix_of_it() {
        let mut rng = fastrand::Rng::with_seed(11);
        for _ in 0..2000 {
            let client = Registry::default().add(-1, Peer::Local, Duration::ZERO);
            let (mut broadcasts, mut broadcast) = (Broadcasts::default(), Broadcast::new(&client));
            for _ in 0..rng.usize(0..12) {
                broadcasts.listen(&mut broadcast, &word(&mut rng));
            }
            let key = word(&mut rng);
            broadcasts.changed(&key, None);
            let mut told = std::mem::take(&mut broadcasts.touched);
            told.sort();
            let prefixes = broadcast.prefixes.iter();
            let expected: Vec<_> = prefixes.filter(|of| key.starts_with(of)).cloned().collect();
            assert_eq!(told, expected, "{key:?}");
            broadcasts.end(broadcast);
            assert_eq!((broadcasts.len(), broadcasts.memory()), (0, 0));
        }
    }

    #[test]
    fn of_prefixes_of_many_lengths_those_of_a_key_are_found() {
        const LEN: usize = 2000;
        let client = Registry::default().add(-1, Peer::Local, Duration::ZERO);
        let (mut broadcasts, mut broadcast) = (Broadcasts::default(), Broadcast::new(&client));
        for len in 0..LEN {
            let prefix = [&vec![b'a'; len][..], b"!"].concat();
            assert_eq!(overlap(Some(&broadcast.prefixes), &[&prefix]), None);
            broadcasts.listen(&mut broadcast, &prefix);
        }
        assert_eq!(broadcasts.lengths.len(), LEN);
        broadcasts.changed(&vec![b'a'; LEN], None);
        assert!(!broadcasts.has_news());
        broadcasts.changed(&[&vec![b'a'; LEN / 2][..], b"!"].concat(), None);
        assert_eq!(broadcasts.touched.len(), 1);
        broadcasts.end(broadcast);
        while broadcasts.are_leaving() {
            broadcasts.take_down(100);
        }
        assert_eq!((broadcasts.lengths.len(), broadcasts.memory()), (0, 0));
    }

    #[test]
    fn overlaps_are_found_as_if_each_were_compared_with_each() {
        let mut rng = fastrand::Rng::with_seed(12);
        for _ in 0..20_000 {
            let mut existing: BTreeSet<Box<[u8]>> = BTreeSet::new();
            for word in (0..rng.usize(0..6)).map(|_| word(&mut rng)) {
                if !existing
                    .iter()
                    .any(|other| overlap_each_other(&word, other))
                {
                    existing.insert(word.into());
                }
            }
            if rng.bool() {
                existing.insert(Box::default());
            }
            let words: Vec<_> = (0..rng.usize(0..5)).map(|_| word(&mut rng)).collect();
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let naive = words.iter().enumerate().find_map(|(at, prefix)| {
                let others = existing.iter().map(|other| (&**other, true));
                let others = others.chain(words[at + 1..].iter().map(|other| (*other, false)));
                let mut others = others.filter(|(other, _)| overlap_each_other(prefix, other));
                let (other, exists) = others.next()?;
                Some(Overlap {
                    prefix,
                    other,
                    exists,
                })
            });
            assert_eq!(
                overlap(Some(&existing), &words),
                naive,
                "{existing:?} {words:?}"
            );
        }
    }
}
