//! A connection that speaks bytes: what goes out and comes in is exact.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use respd::resp::value::{Value, decode};

/// How long a test waits for what must come before it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A client of bytes.
pub struct Wire {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Wire {
    pub fn connect(addr: SocketAddr) -> Wire {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Wire {
            stream,
            input: Vec::new(),
        }
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends words as an array of strings.
    pub fn send(&mut self, words: &[&str]) {
        self.send_raw(&encode(words));
    }

    /// The next reply or message.
    pub fn receive(&mut self) -> Value {
        loop {
            if let Some((value, len)) = decode(&self.input).unwrap() {
                self.input.drain(..len);
                return value;
            }
            let len = self.fill().expect("a reply comes in time");
            assert!(
                len > 0,
                "the connection has ended; unread: {:?}",
                self.input
            );
        }
    }

    /// What has come and was not taken.
    pub fn input(&mut self) -> &mut Vec<u8> {
        &mut self.input
    }

    /// Reads what comes next into the input; answers how much, 0 at the end.
    pub fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 64 * 1024];
        let len = match self.stream.read(&mut chunk) {
            // A broker that closes with our bytes unread resets the connection.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            len => len?,
        };
        self.input.extend_from_slice(&chunk[..len]);
        Ok(len)
    }

    /// Sends a command and answers its reply.
    pub fn call(&mut self, words: &[&str]) -> Value {
        self.send(words);
        self.receive()
    }

    /// The reply as redis-cli shows it without a terminal, for comparison.
    pub fn text(&mut self, words: &[&str]) -> String {
        self.send(words);
        show(&self.receive())
    }

    /// Everything up to the end of the connection, decoded bytes included.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.input);
        // A reset says the same as an end.
        let _ = self.stream.read_to_end(&mut all);
        all
    }
}

pub fn encode(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    out
}

/// A value on one line.
pub fn show(value: &Value) -> String {
    match value {
        Value::Array(items) | Value::Push(items) | Value::Set(items) => {
            format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" "))
        }
        Value::Map(pairs) => {
            let pairs = pairs
                .iter()
                .map(|(key, value)| format!("{}={}", show(key), show(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(" "))
        }
        Value::Integer(number) => number.to_string(),
        Value::Null => "nil".into(),
        Value::Error(text) => String::from_utf8_lossy(text).into_owned(),
        other => match other.as_bytes() {
            Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            None => format!("{other:?}"),
        },
    }
}

/// Asks again until `done` holds; a condition, not a time, ends it.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::yield_now();
    }
}
