//! What is in a row that was opened: the messages of a channel as they come, the items of a queue
//! and the entries of a stream as they lie there, which takes none of them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use respd::resp::value::Value;

use super::super::client::Connection;
use super::super::error::Error;
use super::ask::{ask, refusal};

/// How many messages are kept, how much of each, and how much of all.
const MESSAGES: usize = 1000;
const LONGEST: usize = 256 * 1024;
const ALL: usize = 16 * 1024 * 1024;

/// How much one look may bring, about. The server has to hold it until it is sent.
const BUDGET: usize = 32 * 1024 * 1024;

/// A channel: one that all nodes of a cluster share, or one of a shard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel {
    pub name: Vec<u8>,
    pub is_of_shard: bool,
}

impl Channel {
    pub fn plain(name: &[u8]) -> Channel {
        Channel {
            name: name.to_vec(),
            is_of_shard: false,
        }
    }

    pub fn of_shard(name: &[u8]) -> Channel {
        Channel {
            name: name.to_vec(),
            is_of_shard: true,
        }
    }
}

/// What is looked into.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    Channel(Channel),
    Queue(Vec<u8>),
    Stream(Vec<u8>),
    Client(u64),
    Slow(i64),
    Command(u64),
}

/// The end of a queue whose items are shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// Where RPOP takes, and `respd pop`.
    Right,
    /// Where LPOP takes, and LPUSH puts.
    Left,
}

/// What the server is asked for again and again while it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    pub subject: Subject,
    pub end: End,
    pub count: usize,
}

/// One message, item or entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// A time, a place in the queue, an id.
    pub head: String,
    pub body: Vec<u8>,
    /// How many bytes it has, of which the body may be the first ones.
    pub size: usize,
}

impl Content {
    fn of(head: String, body: &[u8]) -> Content {
        Content {
            head,
            body: body[..body.len().min(LONGEST)].to_vec(),
            size: body.len(),
        }
    }
}

/// The messages of a channel since it was opened.
#[derive(Default)]
pub struct Messages {
    pub count: u64,
    /// The newest first.
    pub last: VecDeque<Content>,
    /// How often the channel was subscribed to, again after what may have been missed.
    pub begun: u64,
    /// Why no more come.
    pub ended: Option<String>,
    /// What the bodies of the last ones take.
    bytes: usize,
}

impl Messages {
    pub fn hear(&mut self, value: &Value, at: Timestamp) {
        let (Value::Array(parts) | Value::Push(parts)) = value else {
            return;
        };
        let [kind, _channel, payload] = &parts[..] else {
            return;
        };
        let (Some(b"message" | b"smessage"), Some(payload)) = (kind.as_bytes(), payload.as_bytes())
        else {
            return;
        };
        self.count += 1;
        let content = Content::of(clock(at), payload);
        self.bytes += content.body.len();
        self.last.push_front(content);
        while self.last.len() > MESSAGES || self.bytes > ALL {
            let oldest = self.last.pop_back();
            self.bytes -= oldest.map_or(0, |oldest| oldest.body.len());
        }
    }
}

/// A time of day to the millisecond, where the user is.
pub fn clock(at: Timestamp) -> String {
    let local = at.to_zoned(jiff::tz::TimeZone::system());
    local.strftime("%H:%M:%S%.3f").to_string()
}

/// What lies there, asked for as often as it is cheap.
pub struct Window {
    pub look: Look,
    next: Instant,
}

impl Window {
    pub fn of(look: Look) -> Window {
        Window {
            look,
            next: Instant::now(),
        }
    }

    /// `None` if it is too early, or if there is nothing to ask for.
    pub fn contents(
        &mut self,
        connection: &mut Connection,
    ) -> Result<Option<Result<Vec<Content>, String>>, Error> {
        // Megabytes are worth some seconds of rest.
        const PER_SECOND: usize = 1024 * 1024;
        if Instant::now() < self.next {
            return Ok(None);
        }
        // One tells how large they are, and as many more are asked for as are to be expected within
        // the budget.
        let (mut count, mut all) = (1, 0);
        let contents = loop {
            let Some(command) = self.command(count) else {
                return Ok(None);
            };
            let command: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
            let reply = ask(connection, &[command])?.remove(0);
            let contents: Vec<Content> = match (&reply, &self.look.subject) {
                (Value::Array(entries), Subject::Stream(_)) => entries.iter().map(entry).collect(),
                (Value::Array(items), _) => listed(items, self.look.end),
                _ => return Ok(Some(Err(refusal(&reply)))),
            };
            all += size(&contents);
            let next = fitting(&contents).min(count * 10).min(self.look.count);
            if contents.len() < count || next <= count {
                break contents;
            }
            count = next;
        };
        self.next = Instant::now() + Duration::from_secs((all / PER_SECOND) as u64);
        Ok(Some(Ok(contents)))
    }

    /// What tells so many of the contents; nothing does for what is no queue and no stream.
    fn command(&self, count: usize) -> Option<Vec<Vec<u8>>> {
        let (first, last) = match self.look.end {
            End::Left => ("0".to_owned(), (count - 1).to_string()),
            End::Right => (format!("-{count}"), "-1".to_owned()),
        };
        let count = count.to_string();
        let command: Vec<&[u8]> = match &self.look.subject {
            Subject::Queue(key) => vec![b"LRANGE", key, first.as_bytes(), last.as_bytes()],
            Subject::Stream(key) => vec![b"XREVRANGE", key, b"+", b"-", b"COUNT", count.as_bytes()],
            _ => return None,
        };
        Some(command.into_iter().map(<[u8]>::to_vec).collect())
    }
}

fn size(contents: &[Content]) -> usize {
    contents.iter().map(|content| content.size).sum()
}

/// How many are asked for at once, if the others are as large as these.
pub fn fitting(contents: &[Content]) -> usize {
    let average = size(contents) / contents.len().max(1);
    BUDGET / average.max(1)
}

/// With the index by which LINDEX finds each.
fn listed(items: &[Value], end: End) -> Vec<Content> {
    let bodies = items.iter().map(|item| item.as_bytes().unwrap_or_default());
    let content = |(head, body): (String, &[u8])| Content::of(head, body);
    match end {
        End::Left => bodies
            .enumerate()
            .map(|(index, body)| (index.to_string(), body))
            .map(content)
            .collect(),
        End::Right => bodies
            .rev()
            .enumerate()
            .map(|(index, body)| (format!("-{}", index + 1), body))
            .map(content)
            .collect(),
    }
}

/// An id and `field: value`, a line each.
fn entry(value: &Value) -> Content {
    let bytes = |value: &Value| value.as_bytes().unwrap_or_default().to_vec();
    let (id, fields) = match value {
        Value::Array(parts) => match &parts[..] {
            [id, Value::Array(fields)] => (bytes(id), &fields[..]),
            [id, ..] => (bytes(id), &[][..]),
            [] => (Vec::new(), &[][..]),
        },
        _ => (Vec::new(), &[][..]),
    };
    let lines: Vec<Vec<u8>> = fields
        .chunks(2)
        .map(|pair| pair.iter().map(bytes).collect::<Vec<_>>().join(&b": "[..]))
        .collect();
    let id = String::from_utf8_lossy(&id).into_owned();
    Content::of(id, &lines.join(&b'\n'))
}

#[cfg(test)]
mod tests {
    use super::super::super::fake::serve_one;
    use super::*;

    fn look(subject: Subject, end: End) -> Window {
        Window::of(Look {
            subject,
            end,
            count: 2,
        })
    }

    fn pairs(contents: &[Content]) -> Vec<String> {
        let pair = |content: &Content| {
            format!(
                "{}={}",
                content.head,
                String::from_utf8_lossy(&content.body)
            )
        };
        contents.iter().map(pair).collect()
    }

    #[test]
    fn queues_and_streams_are_read_and_not_taken_from() {
        let (target, server) = serve_one(|peer| {
            let two = "*2\r\n$1\r\na\r\n$1\r\nb\r\n";
            peer.expect("lRANGE q -1 -1", "*1\r\n$1\r\nb\r\n");
            peer.expect("lRANGE q -2 -1", two);
            peer.expect("lRANGE q 0 0", "*1\r\n$1\r\na\r\n");
            peer.expect("lRANGE q 0 1", two);
            let one = "*1\r\n*2\r\n$3\r\n1-0\r\n*4\r\n$1\r\nf\r\n$1\r\nv\r\n$1\r\ng\r\n$1\r\nw\r\n";
            peer.expect("xREVRANGE s + - COUNT 1", one);
            peer.expect("xREVRANGE s + - COUNT 2", one);
            peer.expect("lRANGE s -1 -1", "-WRONGTYPE no\r\n");
        });
        let mut connection = Connection::open(&target).unwrap();
        let mut contents = |mut window: Window| {
            let contents = window.contents(&mut connection).unwrap().unwrap();
            contents.map(|contents| pairs(&contents))
        };
        let queue = || Subject::Queue(b"q".to_vec());
        let right = contents(look(queue(), End::Right)).unwrap();
        assert_eq!(right, ["-1=b", "-2=a"]);
        let left = contents(look(queue(), End::Left)).unwrap();
        assert_eq!(left, ["0=a", "1=b"]);
        let stream = contents(look(Subject::Stream(b"s".to_vec()), End::Right)).unwrap();
        assert_eq!(stream, ["1-0=f: v\ng: w"]);
        let wrong = contents(look(Subject::Queue(b"s".to_vec()), End::Right));
        assert_eq!(wrong.unwrap_err(), "WRONGTYPE no");
        server.join().unwrap();
    }

    #[test]
    fn large_items_are_asked_for_a_few_at_once() {
        let item = format!("${}\r\n{}\r\n", BUDGET / 3, "x".repeat(BUDGET / 3));
        let (target, server) = serve_one(move |peer| {
            peer.expect("lRANGE q -1 -1", &format!("*1\r\n{item}"));
            peer.expect("lRANGE q -3 -1", &format!("*3\r\n{}", item.repeat(3)));
        });
        let mut connection = Connection::open(&target).unwrap();
        let mut window = look(Subject::Queue(b"q".to_vec()), End::Right);
        window.look.count = 100;
        let contents = window.contents(&mut connection).unwrap().unwrap().unwrap();
        assert_eq!((contents.len(), fitting(&contents)), (3, 3));
        assert_eq!(
            (contents[0].body.len(), contents[0].size),
            (LONGEST, BUDGET / 3)
        );
        // Not so soon again.
        assert_eq!(window.contents(&mut connection).unwrap(), None);
        server.join().unwrap();
    }

    #[test]
    fn messages_are_kept_up_to_a_bound() {
        let mut messages = Messages::default();
        let text = |text: &str| Value::Bulk(text.to_owned().into());
        for n in 0..MESSAGES + 5 {
            let parts = vec![text("message"), text("news"), text(&n.to_string())];
            messages.hear(&Value::Array(parts), Timestamp::UNIX_EPOCH);
        }
        let confirmation = vec![text("subscribe"), text("news"), Value::Integer(1)];
        messages.hear(&Value::Array(confirmation), Timestamp::UNIX_EPOCH);
        assert_eq!(messages.count, MESSAGES as u64 + 5);
        assert_eq!(messages.last.len(), MESSAGES);
        assert_eq!(messages.last[0].body, b"1004");
        let large = "x".repeat(LONGEST + 1);
        for _ in 0..ALL / LONGEST + 5 {
            let parts = vec![text("smessage"), text("news"), text(&large)];
            messages.hear(&Value::Array(parts), Timestamp::UNIX_EPOCH);
        }
        assert_eq!(messages.last.len(), ALL / LONGEST);
        assert_eq!(messages.bytes, ALL);
    }
}
