//! Entries of a stream side by side in one allocation.
//!
//! The fields of the first entry are written once, in front. An entry is its
//! id as a distance from the one before, and its values; one that has other
//! fields than the first says so and brings them. What is left of a removed
//! entry is its id, because `~` trims by nodes and counts as Redis does.
//!
//! An entry's first byte holds whether it has the fields of the first, whether
//! it is removed, whether its number is another than the next or the first of
//! its millisecond, and four bits of the distance in milliseconds; the high bit
//! says that more of those follow. Then comes how much the number is more. So
//! an id mostly takes a byte.

use super::id::StreamId;
use crate::db::memory::heap;
use crate::db::memory::pack::{self, Strings};
use crate::rdb::listpack;

/// Bits of an entry's first byte.
const SAME_FIELDS: u8 = 1;
const REMOVED: u8 = 2;
const NUMBERED: u8 = 4;
const MORE: u8 = 0x80;
/// How many bits of a distance are in it, above those three.
const MS_SHIFT: u32 = 3;
const MS_BITS: u32 = 4;

/// How large a node may grow: `stream-node-max-bytes` and
/// `stream-node-max-entries`, where 0 is no limit.
#[derive(Clone, Copy, Debug)]
pub struct NodeLimits {
    /// Bytes, as Redis counts them.
    pub bytes: usize,
    /// Entries, removed ones among them.
    pub entries: usize,
}

impl NodeLimits {
    /// A node that is searched and rewritten as a whole must not grow without
    /// bound, whatever the settings say.
    const BYTES_MAX: usize = 256 * 1024;

    /// For a node that somebody else has written, of which this one has the
    /// fields and no entries yet: it is split where it is too large, but each
    /// part has the fields again, which must not be more than the entries.
    pub fn of_parts(empty: &Node) -> NodeLimits {
        NodeLimits {
            bytes: NodeLimits::BYTES_MAX.max(2 * empty.counted),
            entries: usize::MAX,
        }
    }

    /// How many entries `~` trims at once if nobody says it.
    pub fn trimmed_at_once(self) -> u64 {
        const NODES: usize = 100;
        const MOST: usize = 1_000_000;
        match self.entries {
            usize::MAX => 10_000,
            entries => entries.saturating_mul(NODES).min(MOST) as u64,
        }
    }

    /// From the settings.
    pub fn new(bytes: u64, entries: u64) -> NodeLimits {
        let limited = |limit: u64| match usize::try_from(limit) {
            Ok(0) | Err(_) => usize::MAX,
            Ok(limit) => limit,
        };
        NodeLimits {
            bytes: limited(bytes).min(NodeLimits::BYTES_MAX),
            entries: limited(entries),
        }
    }
}

impl Default for NodeLimits {
    /// Those of Redis.
    fn default() -> NodeLimits {
        NodeLimits::new(4096, 100)
    }
}

/// Entries side by side.
#[derive(Clone, Debug)]
pub struct Node {
    /// The id of the first entry that was ever in it.
    base: StreamId,
    /// That of the last one, removed ones among them.
    last: StreamId,
    /// How many fields the first entry has, those, and the entries.
    bytes: Vec<u8>,
    /// How many entries there are, and of how many only the id is left.
    live: u32,
    removed: u32,
    /// What Redis would need for all but those two counts.
    counted: usize,
}

/// An entry.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its id.
    pub id: StreamId,
    /// Its fields and values.
    pub fields: Fields<'a>,
}

/// The fields of an entry and their values, in order.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    left: usize,
    /// The fields, if they stand apart from the values.
    names: Option<Strings<'a>>,
    /// The values, or fields and values by turns.
    values: Strings<'a>,
}

impl Fields<'_> {
    /// Whether the fields are those of the first entry of the node.
    pub fn are_shared(&self) -> bool {
        self.names.is_some()
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        self.left = self.left.checked_sub(1)?;
        let field = match &mut self.names {
            Some(names) => names.next()?,
            None => self.values.next()?,
        };
        Some((field, self.values.next()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

/// An entry as it stands in a node.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// The entry; without fields if it is removed.
    pub entry: Entry<'a>,
    /// Whether only the id is left of it.
    pub is_removed: bool,
    /// Where it begins, where its id ends, and where it ends.
    start: usize,
    body: usize,
    end: usize,
}

/// What Redis needs for the entry with this id in a node of its own kind, less
/// the values: flags, distances, and the number of elements.
fn counted_len(base: StreamId, id: StreamId, elements: usize) -> usize {
    let distances = [
        id.ms.wrapping_sub(base.ms) as i64,
        id.seq.wrapping_sub(base.seq) as i64,
        elements as i64,
    ];
    let flags = listpack::integer_len(0);
    flags + distances.map(listpack::integer_len).iter().sum::<usize>()
}

impl Node {
    /// One without entries, which has room for so many bytes. The first entry
    /// will have this id and these fields.
    pub fn new<'f>(
        base: StreamId,
        fields: impl ExactSizeIterator<Item = &'f [u8]>,
        room: usize,
    ) -> Node {
        let mut bytes = Vec::with_capacity(room);
        // A header and an end byte, the number of fields, and a zero behind them.
        let mut counted = 7 + listpack::integer_len(fields.len() as i64) + listpack::integer_len(0);
        pack::push_number(&mut bytes, fields.len() as u64);
        for field in fields {
            pack::push(&mut bytes, field);
            counted += listpack::encoded_len(field);
        }
        Node {
            base,
            last: before(base),
            bytes,
            live: 0,
            removed: 0,
            counted,
        }
    }

    /// Adds what is left of an entry that was removed.
    pub fn append_removed(&mut self, id: StreamId) {
        self.push_id(id, REMOVED);
        self.counted += counted_len(self.base, id, 4) + listpack::integer_len(0);
        self.removed += 1;
    }

    /// Adds an entry whose id is higher than those of all others.
    pub fn append<'f>(
        &mut self,
        id: StreamId,
        fields: impl ExactSizeIterator<Item = (&'f [u8], &'f [u8])> + Clone,
    ) {
        let is_same = self.has_fields(fields.clone());
        self.append_knowing(id, fields, is_same);
    }

    /// The same, if it is known whether its fields are those of the first
    /// entry.
    pub fn append_knowing<'f>(
        &mut self,
        id: StreamId,
        fields: impl ExactSizeIterator<Item = (&'f [u8], &'f [u8])>,
        is_same: bool,
    ) {
        let count = fields.len();
        let flags = if is_same { SAME_FIELDS } else { 0 };
        self.push_id(id, flags);
        let mut counted = 0;
        if is_same {
            for (_, value) in fields {
                pack::push(&mut self.bytes, value);
                counted += listpack::encoded_len(value);
            }
            counted += counted_len(self.base, id, 3 + count);
        } else {
            pack::push_number(&mut self.bytes, count as u64);
            for (field, value) in fields {
                pack::push(&mut self.bytes, field);
                pack::push(&mut self.bytes, value);
                counted += listpack::encoded_len(field) + listpack::encoded_len(value);
            }
            counted += listpack::integer_len(count as i64);
            counted += counted_len(self.base, id, 4 + 2 * count);
        }
        self.counted += counted;
        self.live += 1;
    }

    /// Writes the id of the next entry.
    fn push_id(&mut self, id: StreamId, flags: u8) {
        // What is left of a removed entry may come from anybody.
        let ms = id.ms.wrapping_sub(self.last.ms);
        let more_seq = id.seq.wrapping_sub(first_seq(self.last, ms));
        let numbered = if more_seq == 0 { 0 } else { NUMBERED };
        let first = (ms as u8 & ((1 << MS_BITS) - 1)) << MS_SHIFT | flags | numbered;
        match ms >> MS_BITS {
            0 => self.bytes.push(first),
            more => {
                self.bytes.push(first | MORE);
                pack::push_number(&mut self.bytes, more);
            }
        }
        if more_seq != 0 {
            pack::push_number(&mut self.bytes, more_seq);
        }
        self.last = id;
    }

    /// Writes what is left of an entry that is removed.
    fn push_rest(&self, bytes: &mut Vec<u8>, placed: &Placed<'_>) {
        let id = &self.bytes[placed.start..placed.body];
        bytes.extend_from_slice(id);
        let first = bytes.len() - id.len();
        bytes[first] = without_body(bytes[first]);
    }

    /// Whether the first entry has these fields.
    fn has_fields<'f>(&self, fields: impl ExactSizeIterator<Item = (&'f [u8], &'f [u8])>) -> bool {
        let (count, names) = self.names();
        count == fields.len()
            && Strings(names)
                .zip(fields)
                .all(|(name, (field, _))| name == field)
    }

    /// How many fields the first entry has, and these with all that follows.
    fn names(&self) -> (usize, &[u8]) {
        let (count, rest) = pack::split_number(&self.bytes).expect(WHOLE);
        (count as usize, rest)
    }

    /// The fields of the first entry that was ever in it.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let (count, names) = self.names();
        let mut names = Strings(names);
        (0..count).map(move |_| names.next().expect(WHOLE))
    }

    /// The id of the first entry that was ever in it.
    pub fn base(&self) -> StreamId {
        self.base
    }

    /// How many entries there are.
    pub fn live(&self) -> usize {
        self.live as usize
    }

    /// How many have been removed.
    pub fn removed(&self) -> usize {
        self.removed as usize
    }

    /// Bytes of entries.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        heap::held(self.bytes.capacity())
    }

    /// Makes room for an entry of so many fields, which have so many bytes with
    /// their values, and for some more.
    pub fn make_room(&mut self, bytes: usize, fields: usize) {
        // An id, and the length of each string.
        const ID_MAX: usize = 21;
        const LEN: usize = 5;
        let needed = bytes + 2 * LEN * fields + ID_MAX;
        if self.bytes.capacity() - self.bytes.len() < needed {
            // Less than twice as much, so that little is in vain.
            self.bytes.reserve_exact(needed.max(self.bytes.len() / 4));
        }
    }

    /// Gives back the room for entries that will not come, unless the piece
    /// would be as large without it.
    pub fn close(&mut self) {
        let len = self.bytes.len();
        if heap::held(len) < self.memory() {
            heap::shrink(&mut self.bytes, len);
        }
    }

    /// Whether an entry whose fields and values have so many bytes may be added.
    pub fn admits(&self, len: usize, limits: NodeLimits) -> bool {
        let counts = [self.live, self.removed].map(|count| listpack::integer_len(count.into()));
        let bytes = self.counted + counts.iter().sum::<usize>();
        bytes.saturating_add(len) < limits.bytes
            && ((self.live + self.removed) as usize) < limits.entries
    }

    /// Its entries in order, removed ones among them.
    pub fn iter(&self) -> Iter<'_> {
        let (count, names) = self.names();
        let mut rest = Strings(names);
        (0..count).for_each(|_| _ = rest.next());
        Iter {
            previous: before(self.base),
            names: (count, Strings(names)),
            bytes: &self.bytes,
            at: self.bytes.len() - rest.0.len(),
        }
    }

    /// Its entries from an id on.
    pub fn iter_from(&self, start: StreamId) -> Iter<'_> {
        let mut entries = self.iter();
        if start > self.last {
            entries.at = self.bytes.len();
        } else {
            entries.pass(start);
        }
        entries
    }

    /// The id of the last entry that was ever in it.
    pub fn last_id(&self) -> StreamId {
        self.last
    }

    /// Removes those of its entries for which `is_gone` holds; answers how
    /// many they were.
    pub fn remove_if(&mut self, mut is_gone: impl FnMut(StreamId) -> bool) -> usize {
        let mut count = 0;
        let mut kept: Option<Vec<u8>> = None;
        for placed in self.iter() {
            let gone = !placed.is_removed && is_gone(placed.entry.id);
            count += usize::from(gone);
            match &mut kept {
                None if gone => {
                    let mut bytes = Vec::with_capacity(self.bytes.len());
                    bytes.extend_from_slice(&self.bytes[..placed.start]);
                    self.push_rest(&mut bytes, &placed);
                    kept = Some(bytes);
                }
                None => {}
                Some(kept) if gone => self.push_rest(kept, &placed),
                Some(kept) => kept.extend_from_slice(&self.bytes[placed.start..placed.end]),
            }
        }
        if let Some(kept) = kept {
            self.bytes = kept;
            self.live -= count as u32;
            self.removed += count as u32;
        }
        count
    }

    /// Removes the entry with this id; answers whether it was there.
    pub fn remove(&mut self, id: StreamId) -> bool {
        let mut live = self.iter().filter(|placed| !placed.is_removed);
        let found = live.find(|placed| placed.entry.id >= id);
        let Some(placed) = found.filter(|placed| placed.entry.id == id) else {
            return false;
        };
        let (start, body, end) = (placed.start, placed.body, placed.end);
        self.bytes[start] = without_body(self.bytes[start]);
        self.bytes.drain(body..end);
        self.live -= 1;
        self.removed += 1;
        true
    }
}

/// Why what is read from a node is there: only this file writes one.
const WHOLE: &str = "a node holds whole entries";

/// The id from which the distance of the first entry is told, so that it is
/// none.
fn before(base: StreamId) -> StreamId {
    StreamId::new(base.ms, base.seq.wrapping_sub(1))
}

/// The first byte of an entry of which only the id is left.
fn without_body(first: u8) -> u8 {
    first & !SAME_FIELDS | REMOVED
}

/// The first number that an entry may have which is so many milliseconds behind
/// this id.
fn first_seq(previous: StreamId, ms: u64) -> u64 {
    match ms {
        0 => previous.seq.wrapping_add(1),
        _ => 0,
    }
}

/// How an entry begins.
struct Head<'a> {
    first: u8,
    id: StreamId,
    rest: &'a [u8],
}

/// What follows, and what is behind the entry.
struct Body<'a> {
    fields: Fields<'a>,
    after: &'a [u8],
}

/// The entries of a node in order, removed ones among them.
#[derive(Clone, Copy, Debug)]
pub struct Iter<'a> {
    /// The id of the entry before.
    previous: StreamId,
    /// How many fields the first entry has, and these.
    names: (usize, Strings<'a>),
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iter<'a> {
    /// Passes the entries that are before an id: a reader whose next entry is in
    /// the middle of a node passes fifty. A removed one is passed, too, as its id
    /// may be higher than those that came later, after XSETID.
    fn pass(&mut self, start: StreamId) {
        while let Some(head) = self.head()
            && (head.id < start || head.first & REMOVED != 0)
            && let Some(body) = self.body(&head)
        {
            self.previous = head.id;
            self.at = self.bytes.len() - body.after.len();
        }
    }

    /// The next entry's id.
    #[inline]
    fn head(&self) -> Option<Head<'a>> {
        let (&first, mut rest) = self.bytes.get(self.at..)?.split_first()?;
        let mut ms = u64::from(first >> MS_SHIFT & ((1 << MS_BITS) - 1));
        if first & MORE != 0 {
            let more;
            (more, rest) = pack::split_number(rest)?;
            ms |= more << MS_BITS;
        }
        let mut seq = first_seq(self.previous, ms);
        if first & NUMBERED != 0 {
            let more;
            (more, rest) = pack::split_number(rest)?;
            seq = seq.wrapping_add(more);
        }
        let id = StreamId::new(self.previous.ms.wrapping_add(ms), seq);
        Some(Head { first, id, rest })
    }

    /// What is behind the id.
    #[inline]
    fn body(&self, head: &Head<'a>) -> Option<Body<'a>> {
        let (count, names, values) = match head.first & SAME_FIELDS {
            _ if head.first & REMOVED != 0 => (0, None, head.rest),
            0 => {
                let (count, rest) = pack::split_number(head.rest)?;
                (count as usize, None, rest)
            }
            _ => (self.names.0, Some(self.names.1), head.rest),
        };
        let strings = if names.is_some() { count } else { 2 * count };
        let mut after = values;
        for _ in 0..strings {
            (_, after) = pack::split_first(after)?;
        }
        let fields = Fields {
            left: count,
            names,
            values: Strings(values),
        };
        Some(Body { fields, after })
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Placed<'a>;

    #[inline]
    fn next(&mut self) -> Option<Placed<'a>> {
        let (len, start) = (self.bytes.len(), self.at);
        let head = self.head()?;
        let Body { fields, after } = self.body(&head)?;
        self.previous = head.id;
        self.at = len - after.len();
        Some(Placed {
            entry: Entry {
                id: head.id,
                fields,
            },
            is_removed: head.first & REMOVED != 0,
            start,
            body: len - head.rest.len(),
            end: self.at,
        })
    }
}
