//! What stays pending in a group: who has it, since when, and who takes it
//! over from a consumer that does not come back.

use super::stream::{self, end_id, start_id, write_entry, write_id};
use super::stream_groups::{consumer, noted};
use crate::db::value::Stream;
use crate::db::value::stream::{Delivery, Entries, Finder, Group, StreamId};
use crate::db::{Db, Handle};
use crate::error::{Error, Result};
use crate::resp::Reply;
use crate::table::vocabulary::{READ, READ_KEY, REMOVE_KEY, STREAM, UPDATE_KEY, WRITE_FAST};
use crate::table::{Args, Handler, Row};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "xpending", arity: -3, flags: READ, keys: &[READ_KEY],
        tips: &["nondeterministic_output"],
        usage: "key:key group [filters([IDLE min-idle-time:integer@6.2.0] start end count:integer \
            [consumer])]",
        since: "5.0.0",
        complexity: "O(N) with N being the number of elements returned, so asking for a small \
            fixed number of entries per call is O(1). O(M), where M is the total number of entries \
            scanned when used with the IDLE filter. When the command returns just the summary and \
            the list of consumers is small, it runs in O(1) time; otherwise, an additional O(N) \
            time for iterating every consumer.",
        history: &[("6.2.0", "Added the `IDLE` option and exclusive range intervals.")],
        summary: "Which entries are pending in a group, since when, and at whom.",
        handler: Handler::Data(xpending),
        ..STREAM
    },
    Row {
        name: "xclaim", arity: -6, flags: WRITE_FAST, keys: &[UPDATE_KEY],
        tips: &["nondeterministic_output"],
        usage: "key:key group consumer min-idle-time id... [IDLE ms:integer] \
            [TIME unix-time-milliseconds:unix-time] [RETRYCOUNT count:integer] [FORCE] [JUSTID] \
            [LASTID id]",
        since: "5.0.0",
        complexity: "O(log N) with N being the number of messages in the PEL of the consumer group.",
        summary: "Has a consumer take over entries that are pending for so long.",
        handler: Handler::Data(xclaim),
        ..STREAM
    },
    Row {
        name: "xautoclaim", arity: -6, flags: WRITE_FAST, keys: &[REMOVE_KEY],
        tips: &["nondeterministic_output"],
        usage: "key:key group consumer min-idle-time start [COUNT count:integer] [JUSTID]",
        since: "6.2.0",
        complexity: "O(1) if COUNT is small.",
        history: &[("7.0.0", "Added an element to the reply array, containing deleted entries the \
            command cleared from the PEL")],
        summary: "Looks for entries that are pending for so long, and has a consumer take them \
            over.",
        handler: Handler::Data(xautoclaim),
        ..STREAM
    },
];

/// Which pending entries XPENDING is asked for.
struct Filter<'a> {
    min_idle: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    /// Reads what is behind the group. Words behind the consumer mean nothing.
    fn parse(mut args: Args<'a>) -> Result<Option<Filter<'a>>> {
        let words = args.remaining();
        if words == 0 {
            return Ok(None);
        }
        if !(3..=6).contains(&words) {
            return Err(Error::SYNTAX);
        }
        let mut min_idle = 0;
        if args.keyword("idle") {
            min_idle = args.int()?;
            if words < 5 {
                return Err(Error::SYNTAX);
            }
        }
        let (start, end) = (args.next()?, args.next()?);
        Ok(Some(Filter {
            min_idle,
            count: usize::try_from(args.int()?).unwrap_or(0),
            start: start_id(start)?,
            end: end_id(end)?,
            consumer: args.next_if_any(),
        }))
    }
}

fn xpending(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, name) = (args.next()?, args.next()?);
    let filter = Filter::parse(args)?;
    let now = db.now;
    let stream = db.read_value::<Stream>(key)?;
    let group = stream.and_then(|stream| stream.groups.get(name));
    let group = group.ok_or_else(|| Error::no_stream_or_group(key, name))?;
    match filter {
        None => write_summary(group, reply),
        Some(filter) => write_pending(group, &filter, now, reply),
    }
    Ok(())
}

/// Writes how much is pending, from where to where, and at whom.
fn write_summary(group: &Group, reply: &mut Reply<'_>) {
    let pending = group.pending();
    reply.array(4);
    reply.len(pending.len());
    let (Some(first), Some(last)) = (pending.first(), pending.last()) else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    write_id(first, reply);
    write_id(last, reply);
    let consumers = group.consumers();
    let busy = consumers.filter(|consumer| !consumer.in_hand().is_empty());
    let busy: Vec<_> = busy.collect();
    reply.array(busy.len());
    for consumer in busy {
        reply.array(2);
        reply.bulk(&consumer.name);
        reply.bulk(consumer.in_hand().len().to_string().as_bytes());
    }
}

fn write_pending(group: &Group, filter: &Filter<'_>, now: i64, reply: &mut Reply<'_>) {
    let idle = |delivery: &Delivery| now.wrapping_sub(delivery.time);
    let fits = |(_, delivery): &(StreamId, &Delivery)| {
        filter.min_idle == 0 || idle(delivery) >= filter.min_idle
    };
    let found: Vec<_> = match filter.consumer {
        None => {
            let pending = group.pending().range(filter.start);
            let pending = pending.take_while(|(id, _)| *id <= filter.end);
            pending.filter(fits).take(filter.count).collect()
        }
        Some(name) => {
            let in_hand = group
                .find(name)
                .map(|number| group.consumer(number).in_hand());
            let in_hand = in_hand.into_iter().flat_map(|ids| ids.range(filter.start));
            let ids = in_hand
                .map(|(id, ())| id)
                .take_while(|id| *id <= filter.end);
            let pending = group.pending().get_all(ids);
            pending.filter(fits).take(filter.count).collect()
        }
    };
    reply.array(found.len());
    for (id, delivery) in found {
        reply.array(4);
        write_id(id, reply);
        reply.bulk(&group.consumer(delivery.consumer).name);
        reply.int(idle(delivery).max(0));
        reply.int(delivery.count as i64);
    }
}

/// The entries of a stream, and a group to be changed.
fn entries_and_group<'s>(
    stream: &'s mut Stream,
    key: &[u8],
    name: &[u8],
) -> Result<(&'s Entries, &'s mut Group)> {
    let Stream { entries, groups } = stream;
    let group = groups.get_mut(name);
    let group = group.ok_or_else(|| Error::no_stream_or_group(key, name))?;
    Ok((entries, group))
}

/// The entry of a stream that is to have a group, which is looked for before
/// the other arguments are read.
fn find_group(db: &Db<'_>, found: Option<Handle>, key: &[u8], name: &[u8]) -> Result<Handle> {
    let missing = || Error::no_stream_or_group(key, name);
    let handle = found.ok_or_else(missing)?;
    let stream = db.value::<Stream>(handle)?;
    stream.groups.get(name).ok_or_else(missing)?;
    Ok(handle)
}

/// What XCLAIM is told behind the ids.
struct Options {
    /// When the entries were delivered, as they are to say.
    time: i64,
    retry_count: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

impl Options {
    fn parse(mut args: Args<'_>, now: i64) -> Result<Options> {
        let mut options = Options {
            time: now,
            retry_count: None,
            force: false,
            just_id: false,
            last_id: StreamId::MIN,
        };
        let any = i64::MIN..=i64::MAX;
        while args.remaining() > 0 {
            let has_more = args.remaining() > 1;
            if args.keyword("force") {
                options.force = true;
            } else if args.keyword("justid") {
                options.just_id = true;
            } else if has_more && args.keyword("idle") {
                let idle = args.int_in(any.clone(), Error::XCLAIM_IDLE)?;
                options.time = now.wrapping_sub(idle);
            } else if has_more && args.keyword("time") {
                options.time = args.int_in(any.clone(), Error::XCLAIM_TIME)?;
            } else if has_more && args.keyword("retrycount") {
                let count = args.int_in(any.clone(), Error::XCLAIM_RETRYCOUNT)?;
                options.retry_count = u64::try_from(count).ok();
            } else if has_more && args.keyword("lastid") {
                options.last_id = stream::id(&mut args)?;
            } else {
                return Err(Error::quoting(
                    "ERR Unrecognized XCLAIM option '",
                    args.next()?,
                    "'",
                ));
            }
        }
        // A client reckons with its own clock, which may be ahead.
        if !(0..=now).contains(&options.time) {
            options.time = now;
        }
        Ok(options)
    }
}

/// Who takes entries over, and what they say of their delivery then.
struct Claim {
    consumer: u32,
    min_idle: i64,
    time: i64,
    retry_count: Option<u64>,
    /// Delivering its id alone does not count.
    just_id: bool,
}

impl Claim {
    /// Has the consumer take over an entry that the stream has, if it is idle
    /// for long enough; answers whether it is.
    fn take(&self, group: &mut Group, id: StreamId, old: Option<Delivery>, now: i64) -> bool {
        let is_idle = |old: Delivery| now.wrapping_sub(old.time) >= self.min_idle;
        if self.min_idle > 0 && !old.is_none_or(is_idle) {
            return false;
        }
        // One that FORCE makes pending was delivered once.
        let count = old.map_or(1, |old| old.count);
        let count = match self.retry_count {
            Some(count) => count,
            None if self.just_id => count,
            None => count.wrapping_add(1),
        };
        let delivery = Delivery {
            time: self.time,
            count,
            consumer: self.consumer,
        };
        group.deliver(id, delivery);
        true
    }
}

fn xclaim(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, name, claimer) = (args.next()?, args.next()?, args.next()?);
    let found = db.read(key);
    let handle = find_group(db, found, key, name)?;
    let min_idle = args.int_in(i64::MIN..=i64::MAX, Error::XCLAIM_MIN_IDLE)?;
    // The ids end where a word is none.
    let ids = args;
    let mut id_count = 0;
    while let Some(word) = args.peek()
        && StreamId::parse(word, 0).is_some()
    {
        args.next()?;
        id_count += 1;
    }
    let now = db.now;
    let options = Options::parse(args, now)?;
    db.edit(key, handle, |stream: &mut Stream| {
        let (entries, group) = entries_and_group(stream, key, name)?;
        let (number, is_new) = consumer(group, claimer, now);
        let is_ahead = options.last_id > group.last_id;
        group.last_id = group.last_id.max(options.last_id);
        let claim = Claim {
            consumer: number,
            min_idle,
            time: options.time,
            retry_count: options.retry_count,
            just_id: options.just_id,
        };
        let (mut claimed, mut deleted) = (Vec::new(), 0);
        let mut exists = Finder::new(entries);
        for id in ids.rest().take(id_count) {
            let id = StreamId::parse(id, 0).ok_or(Error::INVALID_STREAM_ID)?;
            let old = group.pending().get(id).copied();
            if old.is_none() && !options.force {
                continue;
            }
            if exists.get(id).is_none() {
                deleted += usize::from(group.acknowledge(id));
            } else if claim.take(group, id, old, now) {
                claimed.push(id);
            }
        }
        if !claimed.is_empty() {
            group.consumer_mut(number).active = Some(now);
        }
        write_claimed(entries, &claimed, options.just_id, reply);
        let mut changes = claimed.len() + deleted;
        if changes == 0 {
            changes = usize::from(is_ahead);
        }
        Ok(noted(is_new, changes, ()))
    })
}

/// Writes entries that the stream has, or their ids alone.
fn write_claimed(entries: &Entries, ids: &[StreamId], just_id: bool, reply: &mut Reply<'_>) {
    reply.array(ids.len());
    let mut found = Finder::new(entries);
    for id in ids {
        match found.get(*id) {
            Some(entry) if !just_id => write_entry(reply, entry),
            _ => write_id(*id, reply),
        }
    }
}

/// For each entry that XAUTOCLAIM may claim, it looks at so many.
const LOOKS_PER_ENTRY: usize = 10;
/// Redis allows no more for COUNT: it makes room for so many ids.
const COUNT_MAX: i64 = i64::MAX / size_of::<StreamId>() as i64;

fn xautoclaim(db: &mut Db<'_>, mut args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let (key, name, claimer) = (args.next()?, args.next()?, args.next()?);
    let found = db.read(key);
    let min_idle = args.int_in(i64::MIN..=i64::MAX, Error::XAUTOCLAIM_MIN_IDLE)?;
    let start = start_id(args.next()?)?;
    let (mut count, mut just_id) = (100, false);
    while args.remaining() > 0 {
        if args.remaining() > 1 && args.keyword("count") {
            count = args.int_in(1..=COUNT_MAX, Error::GEO_COUNT_NOT_POSITIVE)? as usize;
        } else if args.keyword("justid") {
            just_id = true;
        } else {
            return Err(Error::SYNTAX);
        }
    }
    let handle = find_group(db, found, key, name)?;
    let now = db.now;
    db.edit(key, handle, |stream: &mut Stream| {
        let (entries, group) = entries_and_group(stream, key, name)?;
        let (number, is_new) = consumer(group, claimer, now);
        let claim = Claim {
            consumer: number,
            min_idle,
            time: now,
            retry_count: None,
            just_id,
        };
        let mut search = Search {
            from: Some(start),
            looks: count.saturating_mul(LOOKS_PER_ENTRY),
            min_idle,
            now,
            stream: Finder::new(entries),
        };
        let (mut claimed, mut deleted) = (Vec::new(), Vec::new());
        while claimed.len() + deleted.len() < count
            && let Some(found) = search.next(group)
        {
            match found {
                Found::Gone(id) => {
                    group.acknowledge(id);
                    deleted.push(id);
                }
                Found::Idle(id, old) => {
                    claim.take(group, id, Some(old), now);
                    claimed.push(id);
                }
            }
        }
        if !claimed.is_empty() {
            group.consumer_mut(number).active = Some(now);
        }
        // The next entry that is pending is where to go on.
        let next = search
            .from
            .and_then(|from| group.pending().range(from).next());
        reply.array(3);
        write_id(next.map_or(StreamId::MIN, |(id, _)| id), reply);
        write_claimed(entries, &claimed, just_id, reply);
        reply.array(deleted.len());
        deleted.iter().for_each(|id| write_id(*id, reply));
        Ok(noted(is_new, claimed.len() + deleted.len(), ()))
    })
}

/// Goes through what is pending for what XAUTOCLAIM is to claim.
struct Search<'a> {
    /// Where to go on; `None` behind the last id that there is.
    from: Option<StreamId>,
    /// At how many it still looks.
    looks: usize,
    min_idle: i64,
    now: i64,
    stream: Finder<'a>,
}

/// What it finds.
enum Found {
    /// An entry that the stream no longer has.
    Gone(StreamId),
    /// One that is idle for long enough.
    Idle(StreamId, Delivery),
}

impl Search<'_> {
    fn next(&mut self, group: &Group) -> Option<Found> {
        for (id, delivery) in group.pending().range(self.from?).take(self.looks) {
            self.looks -= 1;
            self.from = id.next();
            if self.stream.get(id).is_none() {
                return Some(Found::Gone(id));
            }
            if self.min_idle <= 0 || self.now.wrapping_sub(delivery.time) >= self.min_idle {
                return Some(Found::Idle(id, *delivery));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use crate::LocalClient;
    use crate::testing::{client, engine};

    const CONSUMERS: [&str; 3] = ["a", "b", "c"];

    /// The words of a reply that are ids, in order.
    fn ids(reply: &str) -> Vec<String> {
        let is_id = |word: &&str| {
            let parts = word.split_once('-');
            parts.is_some_and(|(ms, seq)| ms.parse::<u64>().is_ok() && seq.parse::<u64>().is_ok())
        };
        reply
            .split("\r\n")
            .filter(is_id)
            .map(str::to_owned)
            .collect()
    }

    /// At whom each entry is pending, as XPENDING tells of them all, and of each
    /// consumer.
    fn pending(client: &mut LocalClient) -> BTreeMap<u64, String> {
        let mut told = |line: &str| -> Vec<(u64, String)> {
            let reply = client.line(line);
            let words: Vec<&str> = reply.split("\r\n").collect();
            let ids = words.iter().enumerate();
            let ids = ids.filter(|(_, word)| word.ends_with("-0"));
            ids.map(|(at, id)| (number(id), words[at + 2].to_owned()))
                .collect()
        };
        const ALL: &str = "XPENDING s g - + 100000";
        let all = told(ALL);
        let each = CONSUMERS.iter();
        let each = each.flat_map(|name| told(&format!("{ALL} {name}")));
        let mut of_each: Vec<_> = each.collect();
        of_each.sort_unstable();
        assert_eq!(of_each, all);
        all.into_iter().collect()
    }

    fn number(id: &str) -> u64 {
        id.trim_end_matches("-0").parse().unwrap()
    }

    #[test]
    fn an_entry_is_pending_at_one_consumer_until_it_is_acknowledged_claimed_or_deleted() {
        let engine = engine();
        let mut client = client(&engine);
        let mut rng = fastrand::Rng::with_seed(3);
        client.line("XGROUP CREATE s g 0 MKSTREAM");
        let (mut last, mut read) = (0, 0);
        let mut there = BTreeSet::new();
        let mut owners: BTreeMap<u64, String> = BTreeMap::new();
        for _ in 0..3_000 {
            let consumer = CONSUMERS[rng.usize(..3)];
            let some: Vec<u64> = (0..3).map(|_| rng.u64(1..=last.max(1))).collect();
            let listed: String = some.iter().map(|id| format!(" {id}-0")).collect();
            match rng.u32(..11) {
                0..3 => {
                    last += 1;
                    client.line(&format!("XADD s {last}-0 f v"));
                    there.insert(last);
                }
                3..5 => {
                    let count = rng.usize(1..4);
                    let line = format!("XREADGROUP GROUP g {consumer} COUNT {count} STREAMS s >");
                    let new: Vec<u64> = there.range(read + 1..).take(count).copied().collect();
                    let got = ids(&client.line(&line));
                    assert!(got.iter().map(|id| number(id)).eq(new.iter().copied()));
                    read = new.last().copied().unwrap_or(read);
                    owners.extend(new.iter().map(|id| (*id, consumer.to_owned())));
                }
                5..7 => {
                    let acknowledged = client.line(&format!("XACK s g{listed}"));
                    let gone = some.iter().filter(|id| owners.remove(id).is_some());
                    assert_eq!(acknowledged, format!(":{}", gone.count()));
                }
                7 => {
                    client.line(&format!("XDEL s{listed}"));
                    some.iter().for_each(|id| _ = there.remove(id));
                }
                8 => {
                    let force = if rng.bool() { " FORCE" } else { "" };
                    let line = format!("XCLAIM s g {consumer} 0{listed}{force}");
                    let claimed = ids(&client.line(&line));
                    let mut expected = Vec::new();
                    for id in some {
                        if !there.contains(&id) {
                            owners.remove(&id);
                        } else if owners.contains_key(&id) || !force.is_empty() {
                            owners.insert(id, consumer.to_owned());
                            expected.push(format!("{id}-0"));
                        }
                    }
                    assert_eq!(claimed, expected);
                }
                9 if rng.u32(..8) == 0 => match rng.u32(..3) {
                    0 => {
                        let count = owners.len();
                        owners.retain(|_, owner| owner != consumer);
                        let removed = client.line(&format!("XGROUP DELCONSUMER s g {consumer}"));
                        assert_eq!(removed, format!(":{}", count - owners.len()));
                    }
                    1 => {
                        // What is read once more goes to whoever reads it.
                        read = some[0];
                        client.line(&format!("XGROUP SETID s g {read}"));
                    }
                    _ => {
                        client.line(&format!("XTRIM s MINID {}", some[0]));
                        there.retain(|id| *id >= some[0]);
                    }
                },
                _ => {
                    let line = format!("XAUTOCLAIM s g {consumer} 0 {} COUNT 4", some[0]);
                    let found = ids(&client.line(&line));
                    // The first is where to go on.
                    for id in found[1..].iter().map(|id| number(id)) {
                        match there.contains(&id) {
                            true => owners.insert(id, consumer.to_owned()),
                            false => owners.remove(&id),
                        };
                    }
                }
            }
            assert_eq!(pending(&mut client), owners);
        }
        assert!(
            owners.len() > 10 && last > 500,
            "{} of {last}",
            owners.len()
        );
    }
}
