//! What is on record as a transcript, in the form of
//! `tests/transcripts/README.md`, which is played against any server.
//!
//! A transcript begins with a broker that has no data; so does a record that is
//! to be played. A request stands where it was executed, with its reply. The
//! reply to one that has blocked, and what was delivered, stand where they came.
//! What time or chance is in, as the rows of commands tell, is a pattern; the id
//! of an entry of a stream is captured, and named where it comes again.

use std::collections::HashMap;
use std::fmt;

use super::entry::{Entry, Kept, Repeats, Request, What, line as cut_line};
use super::frame::{Frame, frames};
use super::log::Seen;

/// The transcript of some entries.
pub fn transcript(seen: &Seen) -> String {
    let mut writer = Writer::default();
    if seen.gone > 0 {
        writer.line(&format!("# {} entries before these have gone", seen.gone));
    }
    let mut entries = seen.entries.iter().peekable();
    while let Some(entry) = entries.next() {
        match &entry.what {
            What::Request { request, blocks } => {
                let reply = entries.next_if(|next| next.answers() == Some(entry.number));
                writer.request(entry, request, *blocks, reply.and_then(Entry::kept));
            }
            What::Reply { to, kept } => {
                let request = to.as_ref().map(|(_, request)| &**request);
                writer.late_reply(entry, request, kept);
            }
            What::Push(kept) => writer.push(entry, kept),
            What::Gone => writer.gone(entry),
        }
    }
    writer.text
}

#[derive(Default)]
struct Writer {
    text: String,
    /// By the id of the client.
    connections: HashMap<u64, Connection>,
    /// How many there have been.
    named: usize,
    blocked: usize,
    /// Ids of entries of streams, and how they are named.
    captured: HashMap<Vec<u8>, String>,
    /// How many names have been given.
    captures: usize,
}

struct Connection {
    name: String,
    is_blocked: bool,
    /// How the replies to what is queued compare.
    queued: Vec<Repeats>,
}

/// A line of a reply.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    text: String,
    is_pattern: bool,
}

/// How the lines of a value are written.
enum Style {
    Exact,
    Sorted,
    /// What kind of value it is, and no more.
    Kind,
    /// This number may be any.
    But(u64),
    /// Each part in a way of its own.
    Parts(Vec<Style>),
}

impl Writer {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn connection(&mut self, entry: &Entry) -> &mut Connection {
        let id = entry.who.id;
        if !self.connections.contains_key(&id) {
            let name = name(self.named);
            self.named += 1;
            let who = escape(entry.who.to_string().as_bytes());
            self.line(&format!("# {name}: {who}"));
            let connection = Connection {
                name,
                is_blocked: false,
                queued: Vec::new(),
            };
            self.connections.insert(id, connection);
        }
        let connection = self.connections.get_mut(&id);
        connection.expect("it has just been put there")
    }

    /// Its client goes on.
    fn end_block(&mut self, entry: &Entry) {
        if std::mem::take(&mut self.connection(entry).is_blocked) {
            self.blocked -= 1;
        }
    }

    fn request(&mut self, entry: &Entry, request: &Request, blocks: bool, reply: Option<&Kept>) {
        self.end_block(entry);
        let name = self.connection(entry).name.clone();
        if let Some(why) = left_out(request) {
            let line = escape(cut_line(request.words().iter(), request.word_count()).as_bytes());
            return self.line(&format!("# left out, as {why}: {name}> {line}"));
        }
        let words: Vec<_> = request.words().iter().map(|word| self.word(word)).collect();
        let words = words.join(" ");
        if let Some(kept) = reply {
            let style = self.style(entry, request, kept);
            return self.values(&name, Some(&words), kept, &style);
        }
        self.line(&format!("{name}>> {words}"));
        if blocks {
            self.blocked += 1;
            self.connection(entry).is_blocked = true;
            self.line(&format!("@blocked {}", self.blocked));
        }
    }

    fn late_reply(&mut self, entry: &Entry, request: Option<&Request>, kept: &Kept) {
        self.end_block(entry);
        if request.is_some_and(|request| left_out(request).is_some()) {
            return;
        }
        let name = self.connection(entry).name.clone();
        let style = request.map_or(Style::Exact, |request| self.style(entry, request, kept));
        self.values(&name, None, kept, &style);
    }

    fn push(&mut self, entry: &Entry, kept: &Kept) {
        let name = self.connection(entry).name.clone();
        // A line of MONITOR has the time in it.
        let style = match kept.bytes.first() {
            Some(b'+') => Style::Kind,
            _ => Style::Exact,
        };
        self.values(&name, None, kept, &style);
    }

    fn gone(&mut self, entry: &Entry) {
        if let Some(connection) = self.connections.remove(&entry.who.id) {
            self.blocked -= usize::from(connection.is_blocked);
            self.line(&format!("@close {}", connection.name));
        }
    }

    /// How a reply is written.
    fn style(&mut self, entry: &Entry, request: &Request, kept: &Kept) -> Style {
        let id = entry.who.id;
        let style = move |repeats| match repeats {
            Repeats::InAnyOrder => Style::Sorted,
            Repeats::Differently => Style::Kind,
            Repeats::ButForId => Style::But(id),
            Repeats::Exactly | Repeats::AsWhatWasQueued | Repeats::AndDropsQueue => Style::Exact,
        };
        let queued = &mut self.connection(entry).queued;
        if *kept.bytes == *b"+QUEUED\r\n" {
            queued.push(request.repeats);
            return Style::Exact;
        }
        match request.repeats {
            Repeats::AsWhatWasQueued => {
                Style::Parts(std::mem::take(queued).into_iter().map(style).collect())
            }
            Repeats::AndDropsQueue => {
                queued.clear();
                Style::Exact
            }
            // As the id that XADD is given.
            Repeats::Differently if request.words().iter().any(|word| is_bulk_of(kept, word)) => {
                Style::Exact
            }
            repeats => style(repeats),
        }
    }

    /// Writes what was sent, and before it the request that it is read with.
    fn values(&mut self, name: &str, words: Option<&str>, kept: &Kept, style: &Style) {
        let (frames, is_cut) = frames(kept);
        // What is sorted is compared as a whole, and exactly.
        let (style, is_sorted) = match style.sorts() {
            true if is_cut || style.has_patterns() => (&Style::Kind, false),
            sorts => (style, sorts),
        };
        let prompt = match is_sorted {
            true => format!("sorted {name}"),
            false => name.to_owned(),
        };
        match words {
            Some(words) => self.line(&format!("{prompt}> {words}")),
            None => self.line(&format!("{prompt}<")),
        }
        for (index, frame) in frames.iter().enumerate() {
            if index > 0 {
                self.line(&format!("{prompt}<"));
            }
            let mut lines = Vec::new();
            match style {
                Style::Kind if !frame.is_error() && !frame.is_null() => {
                    lines.push(self.of_kind(frame, 0));
                    if frame.children.is_some() {
                        lines.push(Line::pattern("..."));
                    }
                }
                _ => {
                    lines = self.lines(frame, 0, style, is_sorted);
                    if frame.is_cut {
                        lines.push(Line::pattern("..."));
                    }
                }
            }
            lines.iter().for_each(|line| self.line(&line.to_string()));
        }
        if frames.is_empty() {
            self.line(&Line::pattern("...").to_string());
        }
    }

    /// The lines of a value.
    fn lines(
        &mut self,
        frame: &Frame<'_>,
        depth: usize,
        style: &Style,
        is_sorted: bool,
    ) -> Vec<Line> {
        let mut lines = vec![match style {
            Style::Kind if !frame.is_error() && !frame.is_null() => self.of_kind(frame, depth),
            Style::But(id)
                if frame.header.strip_prefix(b":") == Some(id.to_string().as_bytes()) =>
            {
                Line::pattern(format!("{}:<int>", indent(depth)))
            }
            _ => self.header(frame, depth),
        }];
        let children = frame.children.as_deref().unwrap_or_default();
        let child = |(index, child): (usize, &Frame<'_>)| {
            let style = match style {
                Style::Parts(parts) => parts.get(index).unwrap_or(&Style::Exact),
                whole => whole,
            };
            self.lines(child, depth + 1, style, is_sorted)
        };
        let mut parts: Vec<_> = children.iter().enumerate().map(child).collect();
        if is_sorted && frame.mark() == b'%' {
            parts = parts.chunks(2).map(|pair| pair.concat()).collect();
            parts.sort();
        } else if is_sorted && children.iter().all(|child| child.children.is_none()) {
            parts.sort();
        }
        lines.extend(parts.into_iter().flatten());
        lines
    }

    /// The line of a value, with what is behind it if it is a string.
    fn header(&self, frame: &Frame<'_>, depth: usize) -> Line {
        let (indent, header) = (indent(depth), escape(frame.header));
        if let Some(name) = self.captured.get(frame.payload) {
            return Line::pattern(format!("{indent}$<int> {{{name}}}"));
        }
        let payload = escape(frame.payload);
        match (frame.is_cut && frame.children.is_none(), &*payload) {
            (true, _) => {
                // What comes before it stands for itself in a pattern, too.
                let end = payload.find(['<', '{']).unwrap_or(payload.len());
                Line::pattern(format!("{indent}{header} {}<any>", &payload[..end]))
            }
            (false, "") => Line::exact(format!("{indent}{header}")),
            (false, _) => Line::exact(format!("{indent}{header} {payload}")),
        }
    }

    /// The line of any value of the same kind.
    fn of_kind(&mut self, frame: &Frame<'_>, depth: usize) -> Line {
        let indent = indent(depth);
        let mark = char::from(frame.mark());
        let any = || Line::pattern(format!("{indent}{mark}<any>"));
        self.capture(frame, &indent).unwrap_or_else(any)
    }

    /// The id of an entry of a stream, to be named from here on.
    fn capture(&mut self, frame: &Frame<'_>, indent: &str) -> Option<Line> {
        let text = std::str::from_utf8(frame.payload).ok()?;
        let (millis, sequence) = text.split_once('-')?;
        let is_number =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if frame.mark() != b'$' || !is_number(millis) || !is_number(sequence) {
            return None;
        }
        let name = format!("id{}", self.captures);
        self.captures += 1;
        let line = Line::pattern(format!("{indent}$<int> <any:{name}>"));
        self.captured.insert(frame.payload.to_vec(), name);
        Some(line)
    }

    /// A word of a request.
    fn word(&self, word: &[u8]) -> String {
        if let Some(name) = self.captured.get(word) {
            return format!("{{{name}}}");
        }
        let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"\\{".contains(byte);
        if !word.is_empty() && word.iter().all(is_plain) {
            return String::from_utf8_lossy(word).into_owned();
        }
        let escaped = escape(word).replace('"', "\\\"").replace('{', "\\x7b");
        format!("\"{escaped}\"")
    }
}

impl Style {
    fn sorts(&self) -> bool {
        match self {
            Style::Sorted => true,
            Style::Parts(parts) => parts.iter().any(Style::sorts),
            Style::Exact | Style::Kind | Style::But(_) => false,
        }
    }

    fn has_patterns(&self) -> bool {
        match self {
            Style::Kind | Style::But(_) => true,
            Style::Parts(parts) => parts.iter().any(Style::has_patterns),
            Style::Exact | Style::Sorted => false,
        }
    }
}

impl Line {
    fn exact(text: String) -> Line {
        Line {
            text,
            is_pattern: false,
        }
    }

    fn pattern(text: impl Into<String>) -> Line {
        Line {
            text: text.into(),
            is_pattern: true,
        }
    }
}

/// With its gutter.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gutter = if self.is_pattern { "~ " } else { "  " };
        write!(f, "{gutter}{}", self.text)
    }
}

/// Whether what was sent is this string.
fn is_bulk_of(kept: &Kept, word: &[u8]) -> bool {
    let (frames, _) = frames(kept);
    matches!(&frames[..], [frame] if frame.mark() == b'$' && frame.payload == word)
}

/// Why a request cannot be sent again.
fn left_out(request: &Request) -> Option<&'static str> {
    match (request.is_covered, request.is_cut()) {
        (true, _) => Some("a password is covered"),
        (false, true) => Some("it was cut"),
        (false, false) => None,
    }
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}

/// `a` to `z`, `a1` and so on: the name of a connection.
fn name(index: usize) -> String {
    let letter = char::from(b'a' + (index % 26) as u8);
    match index / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{round}"),
    }
}

/// One line of printable ASCII; a space at the end is written so that it can be
/// seen.
fn escape(bytes: &[u8]) -> String {
    let mut line = String::new();
    for &byte in bytes {
        match byte {
            b'\\' => line.push_str("\\\\"),
            b'\r' => line.push_str("\\r"),
            b'\n' => line.push_str("\\n"),
            b'\t' => line.push_str("\\t"),
            b' '..=b'~' => line.push(char::from(byte)),
            _ => line.push_str(&format!("\\x{byte:02x}")),
        }
    }
    if line.ends_with(' ') {
        line.pop();
        line.push_str("\\x20");
    }
    line
}
