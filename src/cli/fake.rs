//! A server for the tests of the client: it speaks from a script, once, on a port of its own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::thread::JoinHandle;

use respd::resp::value::{Value, decode};
use socket2::{Domain, Socket, Type};

use super::target::Target;

/// What a server does with one client.
pub type Script = Box<dyn FnOnce(&mut Peer) + Send>;

/// One connection as the server sees it.
pub struct Peer {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Peer {
    /// The next command, or `None` at the end of the stream.
    pub fn command(&mut self) -> Option<Vec<String>> {
        loop {
            if let Some((value, length)) = decode(&self.input).unwrap() {
                self.input.drain(..length);
                let Value::Array(arguments) = value else {
                    panic!("a command is an array: {value:?}");
                };
                let text = |argument: &Value| {
                    String::from_utf8_lossy(argument.as_bytes().unwrap()).into_owned()
                };
                return Some(arguments.iter().map(text).collect());
            }
            let mut chunk = [0; 1024];
            match self.stream.read(&mut chunk).unwrap() {
                0 => return None,
                read => self.input.extend_from_slice(&chunk[..read]),
            }
        }
    }

    pub fn reply(&mut self, wire: &str) {
        self.stream.write_all(wire.as_bytes()).unwrap();
    }

    /// Says something unasked and closes. What the client sends is read all the same: a socket that
    /// closes with unread bytes may take back what it said.
    pub fn refuse(&mut self, wire: &str) {
        self.reply(wire);
        self.stream.shutdown(Shutdown::Write).unwrap();
        while self.command().is_some() {}
    }

    /// Expects one command and replies to it.
    pub fn expect(&mut self, command: &str, wire: &str) {
        assert_eq!(self.command().expect(command).join(" "), command);
        self.reply(wire);
    }
}

/// A server that treats the first clients that connect as `scripts` say, one after the other. What
/// a script finds wrong shows when the handle is joined.
pub fn serve(userinfo: &str, scripts: Vec<Script>) -> (Target, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        for script in scripts {
            let (stream, _) = listener.accept().unwrap();
            let input = Vec::new();
            script(&mut Peer { stream, input });
        }
    });
    let target = Target::parse(&format!("redis://{userinfo}127.0.0.1:{port}/2")).unwrap();
    (target, server)
}

/// A server for one client that needs no password and says PONG.
pub fn serve_one(script: impl FnOnce(&mut Peer) + Send + 'static) -> (Target, JoinHandle<()>) {
    serve("", vec![greeted(script)])
}

/// A script that begins with what every client does first.
pub fn greeted(script: impl FnOnce(&mut Peer) + Send + 'static) -> Script {
    Box::new(|peer| {
        peer.expect("SELECT 2", "+OK\r\n");
        peer.expect("PING", "+PONG\r\n");
        script(peer);
    })
}

/// A place where nobody listens, nor will while the socket lives: the port is taken.
pub fn nobody() -> (Target, Socket) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any_port = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
    socket.bind(&any_port.into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    let target = Target::parse(&format!("redis://127.0.0.1:{port}/2")).unwrap();
    (target, socket)
}
