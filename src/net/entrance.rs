//! Admits clients, up to a limit, and hands each to a worker.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use socket2::{SockRef, TcpKeepalive};

use super::connection::Connection;
use super::memory::{self, MemoryStream};
use super::stream::Stream;
use super::worker::RoundRobin;
use crate::engine::Engine;
use crate::lab::faults::{Faults, Kind};
use crate::server::Server;
use crate::session::Session;
use crate::session::client::Peer;

/// What a client reads that is one too many.
const MAX_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";

/// What one reads that a fault refuses.
const REFUSED: &[u8] = b"";

/// What a client from another machine reads while there is no password.
const PROTECTED: &[u8] = b"-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. In this mode connections are only accepted from the loopback interface. If you want to connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an authentication password for the default user. NOTE: You only need to do one of the above things in order for the server to start accepting connections from the outside.\r\n";

/// Where all clients come in.
pub struct Entrance {
    engine: Arc<Engine>,
    workers: RoundRobin,
    // Who is let in is registered before the next one is looked at, whichever
    // worker it is for: otherwise more would find room than there is. It counts
    // those from within the program, which come in from any thread.
    within: Mutex<u64>,
}

impl Entrance {
    /// Clients that come in here are handed to these workers in turn.
    pub fn new(engine: Arc<Engine>, workers: RoundRobin) -> Entrance {
        Entrance {
            engine,
            workers,
            within: Mutex::new(0),
        }
    }

    /// A connection from within the program.
    pub fn connect(&self) -> MemoryStream {
        let (near, far) = memory::pair();
        let mut within = self.within.lock();
        *within += 1;
        let peer = Peer::Memory(*within);
        self.enter(Stream::Memory(near), peer, within);
        far
    }

    /// A connection over a socket, which this worker has accepted.
    pub fn accept(&self, stream: Stream, peer: Peer) {
        self.enter(stream, peer, self.within.lock());
    }

    fn enter(&self, stream: Stream, peer: Peer, alone: MutexGuard<'_, u64>) {
        let server = &self.engine.server;
        if let Err(reason) = admit(server, &stream, &peer) {
            let why = match reason {
                MAX_CLIENTS => "max number of clients reached",
                REFUSED => "a fault",
                _ => "protected mode",
            };
            tracing::debug!(addr = peer.remote(), "Refused a client: {why}");
            // As far as the socket takes it at once.
            let _ = stream.try_write(reason);
            return;
        }
        let session = self.engine.connect(stream.fd(), peer);
        drop(alone);
        self.start(stream, session);
    }

    /// Starts a connection's task on the next worker.
    fn start(&self, stream: Stream, mut session: Session) {
        let (worker, is_first) = self.workers.next();
        let stream = match is_first {
            true => Ok(stream),
            // A socket leaves the first worker's event queue and joins the other's.
            false => stream.detach().and_then(|stream| {
                let _context = worker.enter();
                stream.attach()
            }),
        };
        match stream {
            Ok(stream) => worker.spawn(Connection::new(self.engine.clone(), stream, session)),
            Err(_) => self.engine.disconnect(&mut session),
        }
    }
}

/// Sets a connection's options.
///
/// # Errors
///
/// It is refused; this is what it is to read.
fn admit(server: &Server, stream: &Stream, peer: &Peer) -> Result<(), &'static [u8]> {
    let metrics = &server.metrics;
    let faults = server.faults().filter(|faults| faults.any(Kind::Arrival));
    if faults.is_some_and(Faults::strike_arrival) {
        metrics.rejected_connections.fetch_add(1, Relaxed);
        return Err(REFUSED);
    }
    if server.clients.len() >= server.live.max_clients.load(Relaxed) {
        metrics.rejected_connections.fetch_add(1, Relaxed);
        return Err(MAX_CLIENTS);
    }
    metrics.connections.fetch_add(1, Relaxed);
    let (protected, keepalive) = {
        let config = server.config();
        (config.protected_mode, config.tcp_keepalive)
    };
    if protected && !server.live.requires_password() && !peer.is_local() {
        metrics.rejected_connections.fetch_add(1, Relaxed);
        return Err(PROTECTED);
    }
    // A client that has gone already is noticed when it is read from.
    if let Stream::Tcp(stream) = stream {
        let _ = stream.set_nodelay(true);
        if keepalive > 0 {
            let interval = Duration::from_secs(u64::from(keepalive / 3).max(1));
            let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(keepalive.into()));
            let keepalive = keepalive.with_interval(interval).with_retries(3);
            let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
        }
    }
    Ok(())
}
