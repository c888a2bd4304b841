//! A connection that reads one reply at a time and renders its exact bytes as
//! readable lines. It knows the framing of RESP2 and RESP3 and nothing else.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr};

use crate::wire::Wire;

pub const CLOSED: &str = "(closed)";
pub const SILENT: &str = "(nothing more came)";

pub struct Connection {
    wire: Wire,
}

/// One reply: its header line and what belongs to it.
struct Frame {
    header: Vec<u8>,
    payload: Option<Vec<u8>>,
    children: Option<Vec<Frame>>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Connection {
        let wire = Wire::connect(address);
        Connection { wire }
    }

    /// Sends; that the broker has closed is left for the next read to see and compare.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.wire.stream().write_all(bytes);
    }

    /// Reads one reply as lines; the end of the connection is the line `(closed)`.
    pub fn read(&mut self, sorted: bool) -> Vec<String> {
        match self.frame() {
            Ok(frame) => render(&frame, 0, sorted),
            Err(error) => {
                // What came before the end, if it was no whole reply, must not be lost.
                let rest = std::mem::take(self.wire.input());
                let last = match error.kind() {
                    io::ErrorKind::UnexpectedEof => CLOSED,
                    _ => SILENT,
                };
                let mut lines = vec![last.to_owned()];
                if !rest.is_empty() {
                    lines.insert(0, escape(&rest));
                }
                lines
            }
        }
    }

    /// Has the connection hear the events of all keys.
    pub fn listen(&mut self) {
        self.send(b"PSUBSCRIBE __keyevent@*\r\n");
        self.read(false);
    }

    /// The events that have come, each as a line, up to the answer of a PING.
    pub fn events(&mut self) -> Vec<String> {
        self.send(b"PING\r\n");
        let mut lines = Vec::new();
        loop {
            let Ok(Frame {
                children: Some(children),
                ..
            }) = self.frame()
            else {
                lines.push(SILENT.to_owned());
                return lines;
            };
            let words: Vec<String> = children
                .iter()
                .map(|word| escape(word.payload.as_deref().unwrap_or_default()))
                .collect();
            let [.., channel, key] = &words[..] else {
                lines.push(words.join(" "));
                continue;
            };
            if channel == "pong" {
                return lines;
            }
            let event = channel
                .replacen("__keyevent", "", 1)
                .replacen("__:", " ", 1);
            lines.push(format!("{event} {key}"));
        }
    }

    /// Closes our half and returns what the broker still sent before it closed its own.
    pub fn end(mut self) -> Vec<String> {
        // An error means that the broker was first, which the read below finds out.
        let _ = self.wire.stream().shutdown(Shutdown::Write);
        let mut lines = Vec::new();
        loop {
            lines.extend(self.read(false));
            match lines.last().map(String::as_str) {
                Some(CLOSED) => {
                    lines.pop();
                    return lines;
                }
                Some(SILENT) => return lines,
                _ => {}
            }
        }
    }

    fn frame(&mut self) -> io::Result<Frame> {
        let header = self.line()?;
        let count = header.get(1..).and_then(parse_length);
        let mut frame = Frame {
            header,
            payload: None,
            children: None,
        };
        match (frame.header.first(), count) {
            (Some(b'$' | b'=' | b'!'), Some(length)) => {
                frame.payload = Some(self.payload(length)?);
            }
            (Some(b'*' | b'~' | b'>'), Some(count)) => {
                frame.children = Some(self.frames(count)?);
            }
            (Some(b'%'), Some(count)) => frame.children = Some(self.frames(2 * count)?),
            // Attributes stand before the reply that they belong to.
            (Some(b'|'), Some(count)) => frame.children = Some(self.frames(2 * count + 1)?),
            _ => {}
        }
        Ok(frame)
    }

    fn frames(&mut self, count: usize) -> io::Result<Vec<Frame>> {
        (0..count).map(|_| self.frame()).collect()
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let input = self.wire.input();
            if let Some(end) = input.windows(2).position(|pair| pair == b"\r\n") {
                let mut line: Vec<u8> = input.drain(..end + 2).collect();
                line.truncate(end);
                return Ok(line);
            }
            self.fill()?;
        }
    }

    fn payload(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.wire.input().len() < length + 2 {
            self.fill()?;
        }
        let mut payload: Vec<u8> = self.wire.input().drain(..length + 2).collect();
        if payload.ends_with(b"\r\n") {
            payload.truncate(length);
        } else {
            payload.extend_from_slice(b" (no CR LF behind it)");
        }
        Ok(payload)
    }

    fn fill(&mut self) -> io::Result<()> {
        match self.wire.fill()? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn parse_length(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn render(frame: &Frame, depth: usize, sorted: bool) -> Vec<String> {
    let mut first = format!("{}{}", "  ".repeat(depth), escape(&frame.header));
    if let Some(payload) = frame.payload.as_deref()
        && !payload.is_empty()
    {
        first.push(' ');
        first.push_str(&escape(payload));
    }
    let mut lines = vec![first];
    let Some(children) = &frame.children else {
        return lines;
    };
    let rendered = children
        .iter()
        .map(|child| render(child, depth + 1, sorted));
    let mut parts: Vec<Vec<String>> = rendered.collect();
    if sorted && frame.header.first() == Some(&b'%') {
        parts = parts.chunks(2).map(|pair| pair.concat()).collect();
        parts.sort();
    } else if sorted && children.iter().all(|child| child.children.is_none()) {
        parts.sort();
    }
    lines.extend(parts.into_iter().flatten());
    lines
}

/// One line of printable ASCII; a space at the end is written so that it can be seen.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// What a connection reads from a peer that sends these bytes and closes.
    fn read_all(bytes: &[u8], sorted: bool) -> Vec<String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut connection = Connection::open(listener.local_addr().unwrap());
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(bytes).unwrap();
        drop(peer);
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line| line != CLOSED) {
            lines.extend(connection.read(sorted));
        }
        lines
    }

    #[test]
    fn every_kind_of_reply_is_rendered_exactly() {
        let cases: &[(&[u8], &[&str])] = &[
            (b"+OK\r\n", &["+OK"]),
            (b"-ERR with a \r\n", &["-ERR with a\\x20"]),
            (b"$-1\r\n*-1\r\n_\r\n", &["$-1", "*-1", "_"]),
            (b"$0\r\n\r\n", &["$0"]),
            (b"$4\r\n\r\n\\\xff\r\n", &["$4 \\r\\n\\\\\\xff"]),
            (b"=5\r\ntxt:a\r\n", &["=5 txt:a"]),
            (
                b"*2\r\n:1\r\n*1\r\n$1\r\na\r\n",
                &["*2", "  :1", "  *1", "    $1 a"],
            ),
            (b"%1\r\n+k\r\n#t\r\n", &["%1", "  +k", "  #t"]),
            (b">1\r\n~1\r\n,1.5\r\n", &[">1", "  ~1", "    ,1.5"]),
            (
                b"|1\r\n+k\r\n:1\r\n(12\r\n",
                &["|1", "  +k", "  :1", "  (12"],
            ),
            (b"$1\r\nabc", &["$1 abc (no CR LF behind it)"]),
            (b"+part", &["+part"]),
        ];
        for (bytes, expected) in cases {
            let mut expected: Vec<_> = expected.iter().map(|line| line.to_string()).collect();
            expected.push(CLOSED.to_owned());
            assert_eq!(read_all(bytes, false), expected, "{}", escape(bytes));
        }
    }

    #[test]
    fn sorting_orders_scalars_and_keeps_pairs_of_a_map_together() {
        let lines = read_all(b"*2\r\n$1\r\n0\r\n*2\r\n+b\r\n+a\r\n", true);
        assert_eq!(lines, ["*2", "  $1 0", "  *2", "    +a", "    +b", CLOSED]);
        let lines = read_all(b"%2\r\n+b\r\n:1\r\n+a\r\n:2\r\n", true);
        assert_eq!(lines, ["%2", "  +a", "  :2", "  +b", "  :1", CLOSED]);
    }
}
