//! A blocking RESP client on plain sockets, as small as the verbs allow: commands out, values in.
//!
//! It never reconnects by itself; [`super::retry`] does. It speaks RESP2, which every server knows.
//! What it holds of an answer is bounded by [`MAX_REPLY`].

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use respd::resp::value::{Value, decode};
use socket2::{SockRef, TcpKeepalive};

use super::error::{Cause, Error};
use super::target::{Address, Credentials, Target};

/// For each address of a host to accept, and for the first answers to arrive.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The most that one reply may take: the longest bulk string twice, Redis's own limit for what it
/// buffers of a client.
const MAX_REPLY: usize = 1024 * 1024 * 1024;

/// What one read takes at least. Larger replies double it.
const READ: usize = 16 * 1024;

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection that has answered once, with its user authenticated and its database selected.
pub struct Connection {
    stream: Stream,
    address: String,
    /// What has arrived and is not decoded: from `decoded` on.
    input: Vec<u8>,
    decoded: usize,
    output: Vec<u8>,
}

impl Connection {
    /// Connects, authenticates, selects the database and makes sure that someone answers, so that
    /// what is wrong shows before a user has typed a message.
    pub fn open(target: &Target) -> Result<Connection, Error> {
        let unreachable = |cause| Error::Unreachable {
            address: target.to_string(),
            start_command: target.start_command(),
            cause,
        };
        let stream = connect(&target.address).map_err(unreachable)?;
        let mut connection = Connection {
            stream,
            address: target.to_string(),
            input: Vec::new(),
            decoded: 0,
            output: Vec::new(),
        };
        // A broker that goes away while it shakes hands was not there for the user.
        connection.greet(target).map_err(|error| match error {
            Error::Lost { cause, .. } => unreachable(cause),
            error => error,
        })?;
        Ok(connection)
    }

    fn greet(&mut self, target: &Target) -> Result<(), Error> {
        self.set_patience(Some(CONNECT_TIMEOUT))?;
        let mut commands = 1;
        if let Some(Credentials { user, password }) = &target.credentials {
            match user {
                Some(user) => self.queue(&[b"AUTH", user, password]),
                None => self.queue(&[b"AUTH", password]),
            }
            commands += 1;
        }
        if target.database != 0 {
            self.queue(&[b"SELECT", target.database.to_string().as_bytes()]);
            commands += 1;
        }
        self.queue(&[b"PING"]);
        // A broker may refuse a client as soon as it connects and close at once. What it said is
        // there to read even if nothing can be written any more.
        let sent = self.flush();
        for _ in 0..commands {
            match self.receive() {
                Ok(Value::Error(text)) => {
                    // Not to be allowed to PING is not to be unable to do anything else.
                    if !text.starts_with(b"NOPERM ") {
                        return Err(self.refused(&text));
                    }
                }
                Ok(_) => {}
                Err(error) => return Err(sent.err().unwrap_or(error)),
            }
        }
        self.set_patience(None)
    }

    /// Queues a command. [`Connection::flush`] sends what is queued.
    pub fn queue(&mut self, arguments: &[&[u8]]) {
        // Writing to memory cannot fail.
        let _ = write!(self.output, "*{}\r\n", arguments.len());
        for argument in arguments {
            let _ = write!(self.output, "${}\r\n", argument.len());
            self.output.extend_from_slice(argument);
            self.output.extend_from_slice(b"\r\n");
        }
    }

    pub fn flush(&mut self) -> Result<(), Error> {
        let written = match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(&self.output),
            Stream::Unix(stream) => stream.write_all(&self.output),
        };
        self.output.clear();
        written.map_err(|error| self.lost(Cause::Io(error)))
    }

    /// The next value, waited for as long as [`Connection::set_patience`] says.
    pub fn receive(&mut self) -> Result<Value, Error> {
        loop {
            let arrived = &self.input[self.decoded..];
            match decode(arrived) {
                Ok(Some((value, length))) => {
                    self.decoded += length;
                    return Ok(value);
                }
                Ok(None) if arrived.len() > MAX_REPLY => {
                    return Err(self.lost(Cause::ReplyTooLong));
                }
                Ok(None) => self.fill()?,
                Err(error) => return Err(self.lost(Cause::Protocol(error))),
            }
        }
    }

    /// The next value, or `None` if the deadline passes without one.
    pub fn receive_until(&mut self, deadline: Option<Instant>) -> Result<Option<Value>, Error> {
        if let Some(deadline) = deadline {
            // A socket takes no limit of nothing.
            let left = deadline.saturating_duration_since(Instant::now());
            self.set_patience(Some(left.max(Duration::from_millis(1))))?;
        }
        match self.receive() {
            Err(Error::Lost {
                cause: Cause::Io(error),
                ..
            }) if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ) && deadline.is_some_and(|at| at <= Instant::now()) =>
            {
                Ok(None)
            }
            received => received.map(Some),
        }
    }

    /// Sends one command and waits for its reply. An error reply is an error.
    pub fn call(&mut self, arguments: &[&[u8]]) -> Result<Value, Error> {
        self.queue(arguments);
        self.flush()?;
        match self.receive()? {
            Value::Error(text) => Err(self.refused(&text)),
            value => Ok(value),
        }
    }

    /// How long a single read or write may take: for ever, without a limit.
    pub fn set_patience(&self, limit: Option<Duration>) -> Result<(), Error> {
        match &self.stream {
            Stream::Tcp(stream) => stream
                .set_read_timeout(limit)
                .and_then(|()| stream.set_write_timeout(limit)),
            Stream::Unix(stream) => stream
                .set_read_timeout(limit)
                .and_then(|()| stream.set_write_timeout(limit)),
        }
        .map_err(|error| self.lost(Cause::Io(error)))
    }

    /// A handle that ends the connection from another thread.
    pub fn hang_up_handle(&self) -> io::Result<HangUp> {
        Ok(HangUp(match &self.stream {
            Stream::Tcp(stream) => Stream::Tcp(stream.try_clone()?),
            Stream::Unix(stream) => Stream::Unix(stream.try_clone()?),
        }))
    }

    /// The broker's error reply as an error, on one line.
    pub fn refused(&self, text: &[u8]) -> Error {
        let text = String::from_utf8_lossy(text);
        // A server that does not know a command repeats its arguments, AUTH's password among them.
        let text = match text.split_once(", with args beginning with") {
            Some((text, _)) => text,
            None => &text,
        };
        Error::Refused {
            address: self.address.clone(),
            text: text.replace(char::is_control, " "),
        }
    }

    pub fn unexpected(&self) -> Error {
        Error::Unexpected {
            address: self.address.clone(),
        }
    }

    fn lost(&self, cause: Cause) -> Error {
        Error::Lost {
            address: self.address.clone(),
            cause,
        }
    }

    fn fill(&mut self) -> Result<(), Error> {
        self.input.drain(..self.decoded);
        self.decoded = 0;
        // A long reply is decoded anew after every read. Reading as much as is there keeps that
        // linear in total.
        let held = self.input.len();
        self.input.resize(held + held.max(READ), 0);
        let space = &mut self.input[held..];
        let read = loop {
            let read = match &mut self.stream {
                Stream::Tcp(stream) => stream.read(space),
                Stream::Unix(stream) => stream.read(space),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.input.truncate(held + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(self.lost(Cause::Closed)),
            Ok(_) => Ok(()),
            Err(error) => Err(self.lost(Cause::Io(error))),
        }
    }
}

/// Ends a connection from another thread.
pub struct HangUp(Stream);

impl HangUp {
    /// Tells the broker that nothing more will come. It answers what it has begun and closes, so
    /// that the reader gets all that was on its way, and then the end: no popped item is lost.
    pub fn hang_up(&self) {
        // If this fails, the connection has ended already.
        let _ = match &self.0 {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }
}

fn connect(address: &Address) -> Result<Stream, Cause> {
    let (host, port) = match address {
        Address::Unix(path) => {
            return UnixStream::connect(path)
                .map(Stream::Unix)
                .map_err(Cause::Io);
        }
        Address::Tcp { host, port } => (host.as_str(), *port),
    };
    let addresses = (host, port).to_socket_addrs().map_err(Cause::Unresolved)?;
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match dial(&address) {
            Ok(stream) => return Ok(Stream::Tcp(stream)),
            Err(error) => failure = error,
        }
    }
    Err(Cause::Io(failure))
}

fn dial(address: &SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(address, CONNECT_TIMEOUT)?;
    stream.set_nodelay(true)?;
    // A subscriber only listens, and without probes it would listen to a broker that vanished
    // without a word for ever. These find out within half a minute.
    let probes = TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    SockRef::from(&stream).set_tcp_keepalive(&probes)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Peer, nobody, serve, serve_one};
    use super::*;

    /// What a client says that cannot come in.
    fn failure(target: &Target) -> Error {
        match Connection::open(target) {
            Ok(_) => panic!("{target} let the client in"),
            Err(error) => error,
        }
    }

    #[test]
    fn a_client_introduces_itself() {
        let script = |peer: &mut Peer| {
            peer.expect("AUTH alice p w", "+OK\r\n");
            peer.expect("SELECT 2", "+OK\r\n");
            peer.expect("PING", "-NOPERM this user has no permissions\r\n");
            peer.expect("ECHO hi", "$2\r\nhi\r\n");
            peer.expect("NOSUCH", "-ERR unknown\r\n");
        };
        let (target, server) = serve("alice:p%20w@", vec![Box::new(script)]);
        let mut connection = Connection::open(&target).unwrap();
        let echo = connection.call(&[b"ECHO", b"hi"]).unwrap();
        assert_eq!(echo, Value::Bulk("hi".into()));
        let error = connection.call(&[b"NOSUCH"]).unwrap_err();
        assert_eq!(error.to_string(), format!("{target} answered: ERR unknown"));
        server.join().unwrap();
    }

    #[test]
    fn a_wrong_password_is_one_line_without_it() {
        let (target, server) = serve(
            ":hunter2@",
            vec![Box::new(|peer| {
                peer.expect(
                    "AUTH hunter2",
                    "-ERR unknown command 'AUTH', with args beginning with: 'hunter2' \r\n",
                );
            })],
        );
        let error = failure(&target);
        assert!(!error.is_transient());
        assert_eq!(
            error.to_string(),
            format!("{target} answered: ERR unknown command 'AUTH'")
        );
        server.join().unwrap();
    }

    #[test]
    fn a_broker_that_starts_is_worth_another_attempt() {
        let (target, server) = serve(
            "",
            vec![
                Box::new(|peer| {
                    let loading = "-LOADING Redis is loading the dataset in memory\r\n";
                    peer.expect("SELECT 2", loading);
                    peer.expect("PING", loading);
                }),
                Box::new(|peer| {
                    let busy = "-BUSY Redis is busy running a script. You can only call SCRIPT KILL \
                                or SHUTDOWN NOSAVE.\r\n";
                    peer.expect("SELECT 2", busy);
                    peer.expect("PING", busy);
                }),
                // Said before anything was asked, and closed at once.
                Box::new(|peer| peer.refuse("-ERR max number of clients reached\r\n")),
            ],
        );
        for text in [
            "LOADING Redis is loading",
            "BUSY Redis is busy",
            "ERR max number of clients",
        ] {
            let error = failure(&target);
            assert!(error.to_string().contains(text), "{error}");
            assert!(error.is_transient(), "{error}");
        }
        server.join().unwrap();
    }

    #[test]
    fn a_stranger_is_named_as_such() {
        let (target, server) = serve(
            "",
            vec![Box::new(|peer| {
                peer.command();
                peer.reply("HTTP/1.1 400 Bad Request\r\n\r\n");
                while peer.command().is_some() {}
            })],
        );
        let error = failure(&target).to_string();
        assert!(error.contains("does not speak RESP"), "{error}");
        server.join().unwrap();
    }

    #[test]
    fn nobody_there_is_said_with_what_to_try() {
        let (target, _port) = nobody();
        let error = failure(&target).to_string();
        assert!(
            error.ends_with(&format!(
                "{target}: connection refused; is the broker running? start one with: {}",
                target.start_command().unwrap()
            )),
            "{error}"
        );
    }

    #[test]
    fn a_host_that_nobody_knows_is_not_to_be_started() {
        // A name that is reserved for not being one.
        let error = failure(&Target::parse("redis://nobody.invalid").unwrap()).to_string();
        let start = "cannot connect to redis://nobody.invalid:6379/0: the host is not found (";
        assert!(error.starts_with(start) && error.ends_with(')'), "{error}");
    }

    #[test]
    fn what_is_on_its_way_arrives_after_hanging_up() {
        let (target, server) = serve_one(|peer| {
            assert_eq!(peer.command().unwrap(), ["BRPOP", "q", "0"]);
            assert_eq!(peer.command(), None);
            peer.reply("*2\r\n$1\r\nq\r\n$4\r\nlast\r\n");
        });
        let mut connection = Connection::open(&target).unwrap();
        connection.queue(&[b"BRPOP", b"q", b"0"]);
        connection.flush().unwrap();
        connection.hang_up_handle().unwrap().hang_up();
        let item = Value::Array(vec![Value::Bulk("q".into()), Value::Bulk("last".into())]);
        assert_eq!(connection.receive().unwrap(), item);
        let end = connection.receive().unwrap_err();
        assert!(
            matches!(
                end,
                Error::Lost {
                    cause: Cause::Closed,
                    ..
                }
            ),
            "{end}"
        );
        server.join().unwrap();
    }

    #[test]
    fn replies_arrive_in_pieces_and_together() {
        let large = "x".repeat(3 * READ);
        let wire = format!("${}\r\n{large}\r\n:1\r\n:2\r\n", large.len());
        let (target, server) = serve_one(move |peer| {
            let (first, second) = wire.split_at(READ / 2);
            peer.reply(first);
            // The client has read the first piece, or not: either way it is to end the same.
            peer.expect("GO", second);
        });
        let mut connection = Connection::open(&target).unwrap();
        connection.queue(&[b"GO"]);
        connection.flush().unwrap();
        assert_eq!(connection.receive().unwrap(), Value::Bulk(large.into()));
        assert_eq!(connection.receive().unwrap(), Value::Integer(1));
        assert_eq!(connection.receive().unwrap(), Value::Integer(2));
        server.join().unwrap();
    }
}
