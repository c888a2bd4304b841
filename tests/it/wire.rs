//! A connection that speaks bytes: what goes out and comes in is exact.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use respd::resp::value::{Value, decode};
use socket2::{Domain, Socket, Type};

/// How long a test waits for what must come before it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A client of bytes.
pub struct Wire {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Wire {
    pub fn connect(addr: SocketAddr) -> Wire {
        Wire::over(TcpStream::connect(addr).unwrap())
    }

    /// Connects if anybody listens there.
    pub fn try_connect(addr: SocketAddr) -> Option<Wire> {
        TcpStream::connect(addr).ok().map(Wire::over)
    }

    /// Connects from an address of the machine's own: each has a range of ports to itself.
    pub fn connect_from(from: Ipv4Addr, addr: SocketAddr) -> Wire {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket.connect(&addr.into()).unwrap();
        Wire::over(socket.into())
    }

    /// Connects with a receive buffer so small that the broker notices soon that nobody reads.
    pub fn connect_narrow(addr: SocketAddr) -> Wire {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&addr.into()).unwrap();
        Wire::over(socket.into())
    }

    fn over(stream: TcpStream) -> Wire {
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

    /// Sends what a broker that has closed the connection does not take any more.
    pub fn send_anyway(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
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

    /// Ends the connection with a reset, as a process that crashes on a machine that goes on.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }

    /// Says that nothing more comes, and still reads.
    pub fn finish(&self) {
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Sends `bytes` again and again, up to `max` times, reading nothing; answers how many times
    /// it did before the broker closed the connection.
    pub fn flood(&mut self, bytes: &[u8], max: usize) -> usize {
        (0..max)
            .take_while(|_| self.stream.write_all(bytes).is_ok())
            .count()
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

/// A newcomer is served.
#[track_caller]
pub fn assert_serves(addr: SocketAddr) {
    assert_eq!(Wire::connect(addr).text(&["PING"]), "PONG");
}

/// A field of INFO about clients or what they have done.
pub fn info(client: &mut Wire, field: &str) -> String {
    let all = client.text(&["INFO", "clients", "stats"]);
    let line = all.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name == field).then(|| value.trim_end().to_owned())
    });
    line.unwrap_or_else(|| panic!("INFO has no {field}:\n{all}"))
}

/// Waits until a field of INFO is `value`.
pub fn until_info(client: &mut Wire, field: &str, value: impl ToString) {
    let value = value.to_string();
    until(&format!("{field} is {value}"), || {
        info(client, field) == value
    });
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
