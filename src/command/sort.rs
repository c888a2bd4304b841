//! SORT: the elements of a list, a set or a sorted set, in the order of what
//! they are or of what other keys have for them.

use std::cmp::Ordering;
use std::ops::Range;

use crate::db::value::{Digits, Direction, End, Hash, List, Set, SetRef, Str, Zset, ZsetRef};
use crate::db::{Db, Handle};
use crate::error::{Error, Result};
use crate::partial_sort::sort_part;
use crate::resp::{Argv, Reply};
use crate::table::vocabulary::{GENERIC, GROW, OVERWRITE_KEY, READ, READ_KEY};
use crate::table::{Acl, Args, Handler, Row};
use crate::text::{double, words};

/// What both commands are about.
const SORTED: Acl = Acl::LIST
    .union(Acl::SET)
    .union(Acl::SORTEDSET)
    .union(Acl::DANGEROUS);

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "sort", arity: -2, flags: GROW, acl: SORTED,
        keys: &[
            READ_KEY,
            READ_KEY.unknown(|_| None).noted(BY_AND_GET),
            OVERWRITE_KEY.unknown(store_key).noted(STORE),
        ],
        usage: "key:key [BY by-pattern<pattern>:pattern#1] \
            [LIMIT limit(offset:integer count:integer)] [GET get-pattern<pattern>:pattern#1...+] \
            [order(ASC|DESC)] [sorting=ALPHA] [STORE destination:key#2]",
        since: "1.0.0",
        complexity: "O(N+M*log(M)) where N is the number of elements in the list or set to sort, \
            and M the number of returned elements. When the elements are not sorted, complexity \
            is O(N).",
        summary: "Sorts the elements of a list, a set or a sorted set, and answers or stores them.",
        handler: Handler::Data(sort),
        ..GENERIC
    },
    Row {
        name: "sort_ro", arity: -2, flags: READ, acl: SORTED,
        keys: &[READ_KEY, READ_KEY.unknown(|_| None).noted(BY_AND_GET)],
        usage: "key:key [BY by-pattern<pattern>:pattern#1] \
            [LIMIT limit(offset:integer count:integer)] [GET get-pattern<pattern>:pattern#1...+] \
            [order(ASC|DESC)] [sorting=ALPHA]",
        since: "7.0.0",
        complexity: "O(N+M*log(M)) where N is the number of elements in the list or set to sort, \
            and M the number of returned elements. When the elements are not sorted, complexity \
            is O(N).",
        summary: "Sorts the elements of a list, a set or a sorted set, and answers them.",
        handler: Handler::Data(sort_ro),
        ..GENERIC
    },
];

/// Why COMMAND cannot tell the keys that patterns name.
const BY_AND_GET: &str = "For the optional BY/GET keyword. It is marked 'unknown' because the key \
    names derive from the content of the key we sort";
/// Why COMMAND cannot tell where the destination is.
const STORE: &str = "For the optional STORE keyword. It is marked 'unknown' because the keyword \
    can appear anywhere in the argument array";

/// Where in a request the key is that the result is stored under.
fn store_key(argv: Argv<'_>) -> Option<usize> {
    let (mut at, mut found) = (2, None);
    while let Some(word) = argv.get(at) {
        let is = |option: &str| word.eq_ignore_ascii_case(option.as_bytes());
        at += match () {
            () if is("limit") => 3,
            () if is("by") || is("get") => 2,
            () => 1,
        };
        // Of several, the last one counts.
        if is("store") && at < argv.len() {
            found = Some(at);
        }
    }
    found
}

fn sort(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    answer(db, args, reply, true)
}

fn sort_ro(db: &mut Db<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<()> {
    answer(db, args, reply, false)
}

fn answer(
    db: &mut Db<'_>,
    mut args: Args<'_>,
    reply: &mut Reply<'_>,
    may_store: bool,
) -> Result<()> {
    let key = args.next()?;
    let mut request = Request::parse(args, may_store)?;
    let elements = match db.read(key) {
        Some(handle) => load(db, handle, &mut request)?,
        None => Strings::default(),
    };
    let order = match request.order {
        Order::Own => request.own_order(elements.len()),
        Order::Numbers => by_number(db, &elements, &request)?,
        Order::Texts => by_text(db, &elements, &request),
    };
    let chosen = Chosen { elements, order };
    match request.store {
        None => chosen.write(db, &request.gets, reply),
        Some(key) => chosen.store(db, &request.gets, key, reply),
    }
}

/// What is to be sorted how, and what of it is the answer.
struct Request<'a> {
    order: Order,
    descending: bool,
    /// Names what elements are sorted by, if not by themselves.
    by: Option<Pattern<'a>>,
    /// How many to leave out, and how many to answer; negative: all.
    limit: (i64, i64),
    /// Name what is answered instead of the elements.
    gets: Vec<Pattern<'a>>,
    store: Option<&'a [u8]>,
}

/// What elements are sorted by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Nothing: they stay as they are.
    Own,
    Numbers,
    Texts,
}

impl<'a> Request<'a> {
    fn parse(mut args: Args<'a>, may_store: bool) -> Result<Request<'a>> {
        let (mut alpha, mut is_sorted) = (false, true);
        let mut request = Request {
            order: Order::Own,
            descending: false,
            by: None,
            limit: (0, -1),
            gets: Vec::new(),
            store: None,
        };
        while args.remaining() > 0 {
            // An option without its value is no option: a syntax error.
            let values = args.remaining() - 1;
            if args.keyword("asc") {
                request.descending = false;
            } else if args.keyword("desc") {
                request.descending = true;
            } else if args.keyword("alpha") {
                alpha = true;
            } else if values >= 2 && args.keyword("limit") {
                request.limit = (args.int()?, args.int()?);
            } else if may_store && values >= 1 && args.keyword("store") {
                request.store = Some(args.next()?);
            } else if values >= 1 && args.keyword("by") {
                let by = Pattern::parse(args.next()?);
                // Nothing is sorted by what is the same for all, not even if
                // another BY follows.
                is_sorted &= matches!(by, Pattern::Key { .. });
                request.by = Some(by);
            } else if values >= 1 && args.keyword("get") {
                request.gets.push(Pattern::parse(args.next()?));
            } else {
                return Err(Error::SYNTAX);
            }
        }
        request.order = match (is_sorted, alpha) {
            (false, _) => Order::Own,
            (true, false) => Order::Numbers,
            (true, true) => Order::Texts,
        };
        Ok(request)
    }

    /// Which of `len` elements are the answer, counted in its order.
    fn range(&self, len: usize) -> Range<usize> {
        let (start, count) = self.limit;
        let start = usize::try_from(start).unwrap_or(0).min(len);
        let count = usize::try_from(count).unwrap_or(len);
        start..start.saturating_add(count).min(len)
    }

    /// The answer where elements stay as they are; [`load`] has loaded no more
    /// than is needed.
    fn own_order(&self, len: usize) -> Vec<usize> {
        match self.descending {
            false => (0..len).collect(),
            true => (0..len).rev().collect(),
        }
    }
}

/// Names a value for each element.
enum Pattern<'a> {
    /// `#`: the element itself.
    Element,
    /// Nowhere to put the element, and so no value.
    Constant,
    /// The element between two strings is a key. The value is what it holds,
    /// or a field of the hash that it holds.
    Key {
        before: &'a [u8],
        after: &'a [u8],
        field: Option<&'a [u8]>,
    },
}

impl<'a> Pattern<'a> {
    fn parse(pattern: &'a [u8]) -> Pattern<'a> {
        let text = c_string(pattern);
        if text == b"#" {
            return Pattern::Element;
        }
        let Some(star) = memchr::memchr(b'*', text) else {
            return Pattern::Constant;
        };
        let (before, after) = (&pattern[..star], &pattern[star + 1..]);
        // An arrow that leads to nothing is a part of the key.
        let arrow = memchr::memmem::find(&text[star + 1..], b"->");
        let arrow = arrow.filter(|arrow| star + 1 + arrow + 2 < text.len());
        Pattern::Key {
            before,
            after: &after[..arrow.unwrap_or(after.len())],
            field: arrow.map(|arrow| &after[arrow + 2..]),
        }
    }

    /// Tells `take` the value for an element, if there is one. `key` is a
    /// buffer.
    fn value<R>(
        &self,
        db: &mut Db<'_>,
        element: &[u8],
        key: &mut Vec<u8>,
        take: impl FnOnce(Option<Str<'_>>) -> R,
    ) -> R {
        let (before, after, field) = match *self {
            Pattern::Element => return take(Some(Str::Inline(element))),
            Pattern::Constant => return take(None),
            Pattern::Key {
                before,
                after,
                field,
            } => (before, after, field),
        };
        key.clear();
        [before, element, after]
            .iter()
            .for_each(|part| key.extend_from_slice(part));
        let Some(handle) = db.read(key) else {
            return take(None);
        };
        take(match field {
            None => db.string(handle).ok(),
            Some(field) => {
                let (now, hash) = (db.now, db.value::<Hash>(handle).ok());
                hash.and_then(|hash| hash.get(field, now)).map(Str::Inline)
            }
        })
    }
}

/// What Redis sees of a string where it takes it for one of C's.
fn c_string(string: &[u8]) -> &[u8] {
    let end = memchr::memchr(0, string).unwrap_or(string.len());
    &string[..end]
}

/// Strings by number.
#[derive(Default)]
struct Strings {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Strings {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn push(&mut self, string: &[u8]) {
        self.bytes.extend_from_slice(string);
        self.ends.push(self.bytes.len());
    }

    fn get(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[at]]
    }
}

/// What can be sorted.
enum Source<'a> {
    List(&'a List),
    Set(SetRef<'a>),
    Zset(ZsetRef<'a>),
}

impl<'a> Source<'a> {
    fn of(db: &'a Db<'_>, handle: Handle) -> Result<Source<'a>> {
        if let Ok(list) = db.value::<List>(handle) {
            Ok(Source::List(list))
        } else if let Ok(set) = db.value::<Set>(handle) {
            Ok(Source::Set(set))
        } else {
            db.value::<Zset>(handle).map(Source::Zset)
        }
    }

    fn len(&self) -> usize {
        match self {
            Source::List(list) => list.len(),
            Source::Set(set) => set.len(),
            Source::Zset(zset) => zset.len(),
        }
    }

    /// Those in this range of its own order.
    fn strings(&self, range: Range<usize>) -> Strings {
        let mut strings = Strings::default();
        match self {
            Source::List(list) => {
                for (run, count) in list.runs(range) {
                    run.take(count).for_each(|element| strings.push(element));
                }
            }
            Source::Set(set) => {
                let mut digits = Digits::new();
                let members = set.iter().skip(range.start).take(range.len());
                members.for_each(|member| strings.push(member.bytes(&mut digits)));
            }
            Source::Zset(zset) => {
                let entries = zset.range(range, Direction::Up);
                entries.for_each(|(member, _)| strings.push(member));
            }
        }
        strings
    }
}

/// Loads the elements that are to be sorted, or those that are the answer where
/// none are.
fn load(db: &Db<'_>, handle: Handle, request: &mut Request<'_>) -> Result<Strings> {
    let source = Source::of(db, handle)?;
    let is_set = matches!(source, Source::Set(_));
    if is_set && request.order == Order::Own && request.store.is_some() {
        // The members of a set have no order, but what is stored shall not
        // depend on chance.
        (request.order, request.by) = (Order::Texts, None);
    }
    let len = source.len();
    let range = match request.order {
        Order::Own if is_set => {
            request.descending = false;
            request.range(len)
        }
        Order::Own => {
            let range = request.range(len);
            match request.descending {
                false => range,
                true => len - range.end..len - range.start,
            }
        }
        Order::Numbers | Order::Texts => 0..len,
    };
    Ok(source.strings(range))
}

/// The numbers of the elements in the order of the answer, by numbers, and by
/// the elements themselves where these are equal.
fn by_number(db: &mut Db<'_>, elements: &Strings, request: &Request<'_>) -> Result<Vec<usize>> {
    let (mut key, mut all_are) = (Vec::new(), true);
    let weigh = |at| {
        let element = elements.get(at);
        let weight = match &request.by {
            None => weight(element),
            Some(by) => by.value(db, element, &mut key, |value| match value {
                Some(value) => weight(&value),
                None => Some(0.0),
            }),
        };
        all_are &= weight.is_some();
        (weight.unwrap_or(0.0), at)
    };
    let weighed: Vec<_> = (0..elements.len()).map(weigh).collect();
    if !all_are {
        return Err(Error::NOT_ALL_NUMBERS);
    }
    Ok(arrange(weighed, request, |(a, a_at), (b, b_at)| {
        let by_weight = a.partial_cmp(b).unwrap_or(Ordering::Equal);
        by_weight.then_with(|| elements.get(*a_at).cmp(elements.get(*b_at)))
    }))
}

/// The number that is sorted by, as C's `strtod` reads it from a string.
fn weight(text: &[u8]) -> Option<f64> {
    let text = c_string(text);
    if text.is_empty() {
        return Some(0.0);
    }
    let weight = double::parse(words::trim_start(text))?;
    // C complains of what is too small to have all its digits, too.
    (!weight.is_subnormal()).then_some(weight)
}

/// The numbers of the elements in the order of the answer, by texts. Those
/// without a text come first.
fn by_text(db: &mut Db<'_>, elements: &Strings, request: &Request<'_>) -> Vec<usize> {
    let (mut texts, mut missing) = (Strings::default(), Vec::new());
    if let Some(by) = &request.by {
        let mut key = Vec::new();
        for at in 0..elements.len() {
            by.value(db, elements.get(at), &mut key, |value| {
                missing.push(value.is_none());
                texts.push(value.as_deref().unwrap_or_default());
            });
        }
    }
    // Redis compares C strings, as the locale may want other rules for the
    // answer; what is stored is compared by its bytes.
    let strings = request.by.as_ref().map_or(elements, |_| &texts);
    let ends_at_nul = request.store.is_none() && memchr::memchr(0, &strings.bytes).is_some();
    let text = |at: usize| {
        let text = match missing.get(at) {
            Some(true) => return None,
            _ => strings.get(at),
        };
        Some(if ends_at_nul { c_string(text) } else { text })
    };
    let all = 0..elements.len();
    let common = common_prefix(all.clone().filter_map(text));
    let items = all.map(|at| (first_bytes(text(at), common), at));
    arrange(items.collect(), request, |(a, a_at), (b, b_at)| {
        a.cmp(b).then_with(|| text(*a_at).cmp(&text(*b_at)))
    })
}

/// How many bytes all these texts begin with.
fn common_prefix<'t>(mut texts: impl Iterator<Item = &'t [u8]>) -> usize {
    let mut prefix = texts.next().unwrap_or_default();
    for text in texts {
        let equal = prefix.iter().zip(text).take_while(|(a, b)| a == b).count();
        prefix = &prefix[..equal];
        if prefix.is_empty() {
            break;
        }
    }
    prefix.len()
}

/// As much of a text, behind what it has in common with all others, as fits
/// into a number: most texts are told from each other without a look at them.
fn first_bytes(text: Option<&[u8]>, common: usize) -> u64 {
    let text = text.map_or(&[][..], |text| &text[common..]);
    let mut first = [0; 8];
    let len = text.len().min(first.len());
    first[..len].copy_from_slice(&text[..len]);
    u64::from_be_bytes(first)
}

/// Sorts elements, each given by what it is sorted by and its number, and
/// answers the numbers of those that are the answer. Equals stay in their order
/// where Redis leaves them so.
fn arrange<K>(
    mut items: Vec<(K, usize)>,
    request: &Request<'_>,
    ascending: impl Fn(&(K, usize), &(K, usize)) -> Ordering,
) -> Vec<usize> {
    let compare = |a: &(K, usize), b: &(K, usize)| match request.descending {
        false => ascending(a, b),
        true => ascending(b, a),
    };
    let range = request.range(items.len());
    if range.is_empty() {
        return Vec::new();
    }
    if range.len() == items.len() {
        items.sort_by(compare);
    } else if request.by.is_some() {
        sort_part(&mut items, range.clone(), compare);
    } else {
        let compare = |a: &(K, usize), b: &(K, usize)| compare(a, b).then(a.1.cmp(&b.1));
        items.select_nth_unstable_by(range.start, compare);
        let part = &mut items[range.start..];
        part.select_nth_unstable_by(range.len() - 1, compare);
        part[..range.len()].sort_unstable_by(compare);
    }
    items[range].iter().map(|(_, at)| *at).collect()
}

/// More than this, in bytes, is not answered nor stored of values that GET
/// names: a short request could ask for more than any memory holds.
const VALUES_MAX: usize = u32::MAX as usize;
/// What a value counts besides its bytes.
const PER_VALUE: usize = 32;

/// The elements of the answer.
struct Chosen {
    elements: Strings,
    /// Their numbers.
    order: Vec<usize>,
}

impl Chosen {
    fn elements(&self) -> impl Iterator<Item = &[u8]> {
        self.order.iter().map(|at| self.elements.get(*at))
    }

    /// How many values there are with these GETs.
    fn values(&self, gets: &[Pattern<'_>]) -> usize {
        self.order.len().saturating_mul(gets.len().max(1))
    }

    /// Tells `take` the value of each GET for each element.
    fn each(
        &self,
        db: &mut Db<'_>,
        gets: &[Pattern<'_>],
        mut take: impl FnMut(Option<Str<'_>>),
    ) -> Result<()> {
        let mut left = VALUES_MAX;
        if self.values(gets) > left / PER_VALUE {
            return Err(Error::SORT_TOO_LARGE);
        }
        let mut key = Vec::new();
        for element in self.elements() {
            for get in gets {
                let len = get.value(db, element, &mut key, |value| {
                    let len = value.map_or(0, |value| value.len());
                    take(value);
                    len
                });
                let taken = left.checked_sub(len + PER_VALUE);
                left = taken.ok_or(Error::SORT_TOO_LARGE)?;
            }
        }
        Ok(())
    }

    fn write(&self, db: &mut Db<'_>, gets: &[Pattern<'_>], reply: &mut Reply<'_>) -> Result<()> {
        reply.array(self.values(gets));
        if gets.is_empty() {
            self.elements().for_each(|element| reply.bulk(element));
            return Ok(());
        }
        self.each(db, gets, |value| match value {
            Some(Str::Inline(value)) => reply.bulk(value),
            Some(Str::Shared(value)) => reply.shared(value),
            None => reply.null(),
        })
    }

    fn store(
        &self,
        db: &mut Db<'_>,
        gets: &[Pattern<'_>],
        key: &[u8],
        reply: &mut Reply<'_>,
    ) -> Result<()> {
        let limit = db.limits().list_chunk;
        let mut list = List::default();
        if gets.is_empty() {
            self.elements()
                .for_each(|element| list.push(End::Right, element, limit));
        } else {
            self.each(db, gets, |value| {
                list.push(End::Right, value.as_deref().unwrap_or_default(), limit);
            })?;
        }
        let len = list.len();
        db.replace(key, list, "sortstore", len)?;
        reply.len(len);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Data;

    /// The elements that a reply has, joined by spaces.
    fn elements(reply: &str) -> String {
        let words = reply.split(' ').skip(2).step_by(2);
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_stored_is_told_of_once() {
        let mut data = Data::new();
        data.given(&["RPUSH l 3 1 2", "SET d v"]);
        let before = data.keyspace.journal.dirty;
        assert_eq!(data.run("SORT l STORE d"), ":3");
        assert_eq!(data.events_of_keys(), ["0 sortstore d"]);
        assert_eq!(data.run("SORT l GET # GET # STORE e"), ":6");
        assert_eq!(data.events_of_keys(), ["0 new e", "0 sortstore e"]);
        assert_eq!(data.keyspace.journal.dirty - before, 9);
        assert_eq!(data.run("SORT missing STORE e"), ":0");
        assert_eq!(data.events_of_keys(), ["0 keymiss missing", "0 del e"]);
        assert_eq!(data.run("SORT missing STORE e"), ":0");
        assert_eq!(data.events(), "keymiss");
        assert_eq!(data.keyspace.journal.dirty - before, 10);
    }

    #[test]
    fn an_answer_that_fails_stores_nothing_and_looks_at_all_weights() {
        let mut data = Data::new();
        data.given(&["RPUSH l 3 1 2", "SET w_1 x", "SET d v"]);
        let error = "-ERR One or more scores can't be converted into double";
        assert_eq!(data.run("SORT l BY w_* GET # STORE d"), error);
        assert_eq!(data.events_of_keys(), ["0 keymiss w_3", "0 keymiss w_2"]);
        assert_eq!(data.run("GET d"), "$1 v");
    }

    #[test]
    fn nobody_asks_for_more_than_memory_holds() {
        let mut data = Data::new();
        let numbers: Vec<_> = (0..10_000).map(|n| n.to_string()).collect();
        let long = "x".repeat(100_000);
        data.given(&[
            &format!("RPUSH l {}", numbers.join(" ")),
            &format!("SET long {long}"),
            &format!("RPUSH same{}", " ng".repeat(50_000)),
        ]);
        let many = " GET #".repeat(20_000);
        let error = "-ERR the answer of SORT would be larger than 4 GB";
        assert_eq!(data.run(&format!("SORT l{many}")), error);
        assert_eq!(data.run(&format!("SORT l STORE d{many}")), error);
        assert_eq!(data.run("SORT same BY nosort GET lo*"), error);
        assert_eq!(data.run("EXISTS d"), ":0");
    }

    #[test]
    fn places_of_a_destination_are_told() {
        let found = |line: &str| {
            let mut words = Vec::new();
            let mut start = 0;
            for word in line.split(' ') {
                words.push(start..start + word.len() as u32);
                start += word.len() as u32 + 1;
            }
            store_key(Argv::new(line.as_bytes(), &words))
        };
        for (line, place) in [
            ("sort k", None),
            ("sort k store", None),
            ("sort k store d", Some(3)),
            (
                "sort k BY store Get store LIMIT store store STORE d",
                Some(10),
            ),
            ("sort k store d store e", Some(5)),
            ("sort k store store x", Some(4)),
            ("sort k limit", None),
        ] {
            assert_eq!(found(line), place, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_part_of_the_order_is_what_all_of_it_says(
            numbers in proptest::collection::vec(-30i32..30, 1..60),
            start in -2i64..70,
            count in -1i64..70,
            descending: bool,
            alpha: bool,
            weighed: bool,
        ) {
            let mut data = Data::new();
            let words: Vec<_> = numbers.iter().map(i32::to_string).collect();
            data.given(&[&format!("RPUSH l {}", words.join(" "))]);
            for n in (-30..30).step_by(2) {
                data.given(&[&format!("SET w_{n} {}", (n * 7) % 5)]);
            }
            let mut expected = words;
            let weight = |text: &str| {
                let number: i32 = text.parse().unwrap();
                (number % 2 == 0).then_some((number * 7) % 5)
            };
            expected.sort_by(|a, b| {
                let by_itself = match alpha {
                    true => a.cmp(b),
                    false => a.parse::<i32>().unwrap().cmp(&b.parse().unwrap()),
                };
                // Where weights are equal, numbers are told by their texts.
                let by_weight = weight(a).unwrap_or(0).cmp(&weight(b).unwrap_or(0));
                let ascending = if weighed { by_weight.then(a.cmp(b)) } else { by_itself };
                if descending { ascending.reverse() } else { ascending }
            });
            let alpha = alpha && !weighed;
            let mut line = "SORT l".to_owned();
            line.push_str(if descending { " DESC" } else { "" });
            line.push_str(if alpha { " ALPHA" } else { "" });
            line.push_str(if weighed { " BY w_*" } else { "" });
            proptest::prop_assert_eq!(elements(&data.run(&line)), expected.join(" "));
            let from = (start.max(0) as usize).min(expected.len());
            let count_or_all = usize::try_from(count).unwrap_or(usize::MAX);
            let part: Vec<_> = expected[from..].iter().take(count_or_all).cloned().collect();
            let reply = data.run(&format!("{line} LIMIT {start} {count}"));
            proptest::prop_assert_eq!(elements(&reply), part.join(" "));
        }
    }
}
