//! What is on record: one thing that a client has sent or got.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::lab::scope::{self, Who};
use crate::resp::value::{self, Value};
use crate::resp::{Argv, OwnedArgv};
use crate::text::words;

/// Of a request, a reply or a message so many bytes are kept; of more it is
/// told how many there were.
pub const KEPT: usize = 16 * 1024;

/// One thing on record: a request, a reply or a message, with who has sent or
/// got it, or that a client has gone.
///
/// `Display` shows it on a line, cut short where it is long.
#[derive(Clone)]
pub struct Entry {
    pub(super) number: u64,
    /// By the broker's clock, in milliseconds since 1970.
    pub(super) at_ms: i64,
    pub(super) who: Arc<Who>,
    pub(super) what: What,
}

/// What an [`Entry`] is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// A client has sent it: its words.
    Request,
    /// A client has got it for a request.
    Reply,
    /// A client has got it without asking: a published message, the invalidation
    /// of a key, a line of MONITOR.
    Push,
    /// The client has gone, or was closed.
    Gone,
}

#[derive(Clone)]
pub(super) enum What {
    Request {
        request: Arc<Request>,
        /// It has no reply yet: the client waits for it.
        blocks: bool,
    },
    Reply {
        /// What it is the reply to: its number, and the request. `None` if the
        /// record has begun while the client was blocked.
        to: Option<(u64, Arc<Request>)>,
        kept: Kept,
    },
    Push(Kept),
    Gone,
}

/// What has been sent to a client, as far as it is kept.
#[derive(Clone)]
pub struct Kept {
    /// The first [`KEPT`] bytes.
    pub bytes: Bytes,
    /// How many there were.
    pub len: usize,
}

/// How a reply compares with that to the same request at another time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repeats {
    /// It is the same.
    Exactly,
    /// The same in another order.
    InAnyOrder,
    /// It differs: time or chance are in it.
    Differently,
    /// It is the same, but for the id of the client.
    ButForId,
    /// It is made of the replies to what was queued.
    AsWhatWasQueued,
    /// It is the same, and what was queued is dropped.
    AndDropsQueue,
}

/// What a client has sent, with passwords covered.
pub struct Request {
    /// As far as they are kept.
    words: OwnedArgv,
    /// How many words there were.
    word_count: usize,
    /// How many bytes the last word had that is kept.
    last_len: usize,
    /// How many bytes all words had.
    len: usize,
    /// The id of its command; none has this if there is no such command.
    pub command: usize,
    /// That of the container, of a subcommand.
    pub container: Option<usize>,
    /// How many words are the command's name.
    pub name_words: usize,
    /// Which words are keys, of those that are kept.
    keys: Box<[usize]>,
    /// Not all keys are kept.
    lacks_keys: bool,
    /// Which words are channels, or patterns of channels, of those that are kept.
    channels: Box<[usize]>,
    /// How its reply is at another time.
    pub repeats: Repeats,
    /// A password in it is covered.
    pub is_covered: bool,
}

impl Request {
    /// One of which nothing is known but its words.
    pub fn new(argv: Argv<'_>) -> Request {
        let mut room = KEPT;
        let mut kept = Vec::new();
        let mut last_len = 0;
        for word in argv.iter() {
            // A word of nothing takes room, too.
            let Some(left) = room.checked_sub(1) else {
                break;
            };
            let word_kept = &word[..word.len().min(left)];
            room = left - word_kept.len();
            last_len = word.len();
            kept.push(word_kept);
        }
        Request {
            words: OwnedArgv::new(kept.into_iter()),
            word_count: argv.len(),
            last_len,
            len: argv.iter().map(<[u8]>::len).sum(),
            command: usize::MAX,
            container: None,
            name_words: 1,
            keys: [].into(),
            lacks_keys: false,
            channels: [].into(),
            repeats: Repeats::Exactly,
            is_covered: false,
        }
    }

    /// The words that are kept.
    pub fn words(&self) -> Argv<'_> {
        self.words.as_argv()
    }

    /// How many words there were.
    pub fn word_count(&self) -> usize {
        self.word_count
    }

    /// How many bytes word `index`, which is kept, had.
    pub fn word_len(&self, index: usize) -> usize {
        match index + 1 == self.words().len() {
            true => self.last_len,
            false => self.words().get(index).map_or(0, <[u8]>::len),
        }
    }

    /// Whether not all of it is kept.
    pub fn is_cut(&self) -> bool {
        let last = self.words().len().saturating_sub(1);
        let has_all = self.words().get(last).map_or(0, <[u8]>::len) == self.last_len;
        self.words().len() < self.word_count || !has_all
    }

    /// Notes which words are keys.
    pub fn note_keys(&mut self, places: impl Iterator<Item = usize>) {
        let whole = match self.is_cut() {
            true => self.words().len() - 1,
            false => self.words().len(),
        };
        let places = places.inspect(|place| self.lacks_keys |= *place >= whole);
        self.keys = places
            .filter(|place| *place < self.words.as_argv().len())
            .collect();
    }

    /// Notes which words are channels.
    pub fn note_channels(&mut self, places: impl Iterator<Item = usize>) {
        let kept = self.words().len();
        self.channels = places.filter(|place| *place < kept).collect();
    }

    /// Its keys, as far as they are kept.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.some(&self.keys)
    }

    /// Whether not all of its keys are kept.
    pub fn lacks_keys(&self) -> bool {
        self.lacks_keys
    }

    /// Its channels, as far as they are kept.
    pub fn channels(&self) -> impl Iterator<Item = &[u8]> {
        self.some(&self.channels)
    }

    fn some(&self, places: &[usize]) -> impl Iterator<Item = &[u8]> {
        places.iter().filter_map(|place| self.words().get(*place))
    }

    pub(super) fn memory(&self) -> usize {
        size_of::<Request>()
            + self.words.memory()
            + size_of_val(&*self.keys)
            + size_of_val(&*self.channels)
    }
}

impl Entry {
    /// Its number, in the order in which everything was executed. The first has
    /// 0.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// When it was, by the broker's clock.
    pub fn time(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.at_ms.unsigned_abs())
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        match self.what {
            What::Request { .. } => Kind::Request,
            What::Reply { .. } => Kind::Reply,
            What::Push(_) => Kind::Push,
            What::Gone => Kind::Gone,
        }
    }

    /// The id of the client that has sent or got it.
    pub fn client_id(&self) -> u64 {
        self.who.id
    }

    /// What CLIENT SETNAME had called the client by then, or nothing.
    pub fn client_name(&self) -> String {
        String::from_utf8_lossy(&self.who.name).into_owned()
    }

    /// The number of the database that the client had selected.
    pub fn db(&self) -> usize {
        self.who.db
    }

    /// The words of a request; of anything else none. Passwords are covered.
    pub fn words(&self) -> Vec<&[u8]> {
        match &self.what {
            What::Request { request, .. } => request.words().iter().collect(),
            _ => Vec::new(),
        }
    }

    /// The number of the request that a reply is to.
    pub fn answers(&self) -> Option<u64> {
        match &self.what {
            What::Reply { to, .. } => to.as_ref().map(|(number, _)| *number),
            _ => None,
        }
    }

    /// A reply or a message. The reply to SUBSCRIBE may be several; what was
    /// cut, or is something else, is none.
    pub fn values(&self) -> Vec<Value> {
        let mut rest = self.bytes();
        let mut values = Vec::new();
        while let Ok(Some((value, len))) = value::decode(rest) {
            values.push(value);
            rest = &rest[len..];
        }
        values
    }

    /// A reply or a message as it went out.
    pub fn bytes(&self) -> &[u8] {
        self.kept().map_or(&[], |kept| &kept.bytes)
    }

    /// How many bytes it had: those of the words of a request, or of what went
    /// out.
    #[allow(clippy::len_without_is_empty, reason = "it is no collection")]
    pub fn len(&self) -> usize {
        match &self.what {
            What::Request { request, .. } => request.len,
            _ => self.kept().map_or(0, |kept| kept.len),
        }
    }

    /// When it was, by the broker's clock, in milliseconds since 1970.
    pub(crate) fn at_ms(&self) -> i64 {
        self.at_ms
    }

    /// Whether it was so long that not all of it is on record.
    pub fn is_cut(&self) -> bool {
        match &self.what {
            What::Request { request, .. } => request.is_cut(),
            _ => self.kept().is_some_and(|kept| kept.bytes.len() < kept.len),
        }
    }

    /// What was sent to the client.
    pub(crate) fn kept(&self) -> Option<&Kept> {
        match &self.what {
            What::Reply { kept, .. } | What::Push(kept) => Some(kept),
            What::Request { .. } | What::Gone => None,
        }
    }

    /// The request that it is, or is the reply to.
    pub(crate) fn request(&self) -> Option<&Request> {
        match &self.what {
            What::Request { request, .. } => Some(request),
            What::Reply { to, .. } => to.as_ref().map(|(_, request)| &**request),
            What::Push(_) | What::Gone => None,
        }
    }

    /// The client.
    pub(crate) fn who(&self) -> &Who {
        &self.who
    }

    /// The same on a line as [`Display`](fmt::Display), without who it was.
    pub fn text(&self) -> String {
        match &self.what {
            What::Request { request, .. } => line(request.words().iter(), request.word_count()),
            What::Reply { kept, .. } | What::Push(kept) => {
                let values = self.values();
                if values.is_empty() {
                    return beginning(kept);
                }
                let shown: Vec<_> = values.iter().map(value_text).collect();
                shown.join(", ")
            }
            What::Gone => "gone".to_owned(),
        }
    }

    /// Bytes of memory that it holds, about.
    pub(super) fn memory(&self) -> usize {
        // Where its request is just before a reply, its bytes are counted there.
        let is_late = |number: u64| number + 1 != self.number;
        let held = match &self.what {
            What::Request { request, .. } => request.memory(),
            What::Reply {
                to: Some((number, request)),
                kept,
            } if is_late(*number) => request.memory() + kept.bytes.len(),
            What::Reply { kept, .. } | What::Push(kept) => kept.bytes.len(),
            What::Gone => 0,
        };
        let who = size_of::<Who>() + self.who.name.len() + self.who.library.len();
        size_of::<Entry>() + who + held
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.kind() {
            Kind::Request => "> ",
            Kind::Reply => "< ",
            Kind::Push => "! ",
            Kind::Gone => "",
        };
        write!(f, "{} {} {sign}{}", self.number, self.who, self.text())
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// So many words, or elements, are shown of one thing.
const SHOWN: usize = 16;
/// So many bytes of a word.
const SHOWN_BYTES: usize = 64;

/// The words that are kept of `count`, on a line, cut short where it is long.
pub fn line<'w>(words: impl Iterator<Item = &'w [u8]>, count: usize) -> String {
    let shown: Vec<_> = words.take(SHOWN).map(word).collect();
    match count - shown.len() {
        0 => shown.join(" "),
        more => format!("{} … {more} more", shown.join(" ")),
    }
}

/// A word as one would type it.
pub fn word(word: &[u8]) -> String {
    let part = &word[..word.len().min(SHOWN_BYTES)];
    let text = scope::shown(part);
    match word.len() - part.len() {
        0 => text,
        _ => format!("{text}…"),
    }
}

fn quoted(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&words::quote(bytes)).into_owned()
}

fn beginning(kept: &Kept) -> String {
    let part = &kept.bytes[..kept.bytes.len().min(SHOWN_BYTES)];
    format!("{}… of {} bytes", quoted(part), kept.len)
}

fn value_text(value: &Value) -> String {
    let lossy = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let pair =
        |(key, value): &(Value, Value)| format!("{}: {}", value_text(key), value_text(value));
    match value {
        Value::Simple(text) | Value::BigNumber(text) => lossy(text),
        Value::Error(text) => format!("(error) {}", lossy(text)),
        Value::Integer(number) => number.to_string(),
        Value::Bulk(bytes) | Value::Verbatim { text: bytes, .. } => {
            let part = &bytes[..bytes.len().min(SHOWN_BYTES)];
            match bytes.len() - part.len() {
                0 => quoted(part),
                _ => format!("{}…", quoted(part)),
            }
        }
        Value::Null => "nil".to_owned(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            format!("[{}]", listed(items, value_text))
        }
        Value::Map(pairs) => format!("{{{}}}", listed(pairs, pair)),
        Value::Attributed { value, .. } => value_text(value),
    }
}

fn listed<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    let shown: Vec<_> = items.iter().take(SHOWN).map(text).collect();
    match items.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{}, … {more} more", shown.join(", ")),
    }
}
