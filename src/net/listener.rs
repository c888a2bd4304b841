//! Accepts connections, up to a limit, and hands each to a worker.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, UnixListener};

use super::connection::Connection;
use super::holder;
use super::socket_file::SocketFile;
use super::stream::Stream;
use super::worker::{RoundRobin, Workers};
use crate::config::{Config, describe};
use crate::engine::Engine;
use crate::server::{Endpoints, Server};
use crate::session::client::Peer;

/// What a client reads that is one too many.
const MAX_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";

/// What a client from another machine reads while there is no password.
const PROTECTED: &[u8] = b"-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. In this mode connections are only accepted from the loopback interface. If you want to connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an authentication password for the default user. NOTE: You only need to do one of the above things in order for the server to start accepting connections from the outside.\r\n";

/// After an error of the system (no descriptors left, say) accepting pauses,
/// and twice as long after each further one.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How often a port that is free on all addresses is looked for. Each attempt
/// fails with a probability of well under one in a hundred.
const FREE_PORT_ATTEMPTS: usize = 16;

/// Sockets that listen, and where.
pub struct Listeners {
    tcp: Vec<std::net::TcpListener>,
    /// Its file goes first.
    unix: Option<(SocketFile, std::os::unix::net::UnixListener)>,
    /// Where they listen, with the ports that the system chose.
    pub endpoints: Endpoints,
}

impl Listeners {
    /// Listens on every address of the configuration. With port 0 the system
    /// chooses one port for all addresses.
    ///
    /// # Errors
    ///
    /// An address is taken or is not one; the text names it.
    pub fn bind(config: &Config) -> Result<Listeners, String> {
        let mut listeners = Listeners {
            tcp: Vec::new(),
            unix: None,
            endpoints: Endpoints::default(),
        };
        let mut attempts = 0;
        while let Err(Taken { host, port, error }) = listeners.bind_tcp(config) {
            attempts += 1;
            // A port that the system chose on the first address may be taken
            // on the next.
            if config.port != 0 || port == 0 || attempts == FREE_PORT_ATTEMPTS {
                let place = match host.contains(':') {
                    true => format!("[{host}]:{port}"),
                    false => format!("{host}:{port}"),
                };
                let why = match error.kind() {
                    io::ErrorKind::AddrInUse => holder::in_use(holder_of(host, port)),
                    _ => describe(&error),
                };
                return Err(format!("cannot listen on {place}: {why}"));
            }
        }
        if let Some(path) = &config.unixsocket {
            let path = config.dir.join(path);
            // Bound by the name it was given, since long ones do not fit into
            // a socket's address; told by one that holds anywhere.
            let listener = SocketFile::listen(&path, config.unixsocketperm, backlog(config));
            let (file, listener) = listener.map_err(|error| {
                let path = std::path::absolute(&path).unwrap_or(path);
                format!("cannot listen on {}: {}", path.display(), describe(&error))
            })?;
            listeners.endpoints.unix = Some(file.path().to_owned());
            listeners.unix = Some((file, listener));
        }
        if listeners.tcp.is_empty() && listeners.unix.is_none() {
            return Err("there is no address to listen on".into());
        }
        Ok(listeners)
    }

    fn bind_tcp<'a>(&mut self, config: &'a Config) -> Result<(), Taken<'a>> {
        self.tcp.clear();
        self.endpoints.tcp.clear();
        let mut port = config.port;
        for address in &config.bind {
            let host = address.trim_start_matches('-');
            let is_optional = host != address;
            match listen_tcp(host, port, backlog(config)) {
                Ok((listener, local)) => {
                    port = local.port();
                    self.tcp.push(listener);
                    self.endpoints.tcp.push(local);
                }
                // What the machine does not have may be missing; a port that
                // is taken may not.
                Err(error) if is_optional && error.kind() != io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(Taken { host, port, error }),
            }
        }
        Ok(())
    }

    /// Accepts connections until the broker is to end.
    ///
    /// # Errors
    ///
    /// The sockets cannot be registered with the runtime.
    pub fn serve(self, engine: &Arc<Engine>, workers: &Workers) -> io::Result<()> {
        let round_robin = Arc::new(workers.round_robin());
        let accept = |listener| {
            let accepting = accept(listener, engine.clone(), round_robin.clone());
            let shutdown = engine.server.shutdown.clone();
            let accepting = async move { shutdown.run_until_cancelled(accepting).await };
            workers.listening().spawn(accepting);
        };
        for listener in self.tcp {
            accept(Listener::Tcp(TcpListener::from_std(listener)?));
        }
        if let Some((file, listener)) = self.unix {
            let path = file.path().to_string_lossy().into();
            accept(Listener::Unix {
                _file: file,
                listener: UnixListener::from_std(listener)?,
                path,
            });
        }
        Ok(())
    }
}

/// An address on which nothing can listen.
struct Taken<'a> {
    host: &'a str,
    port: u16,
    error: io::Error,
}

fn listen_tcp(
    host: &str,
    port: u16,
    backlog: i32,
) -> io::Result<(std::net::TcpListener, SocketAddr)> {
    let address = resolve(host, port)?;
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // The same port of IPv4 is an address of its own.
        socket.set_only_v6(true)?;
    }
    if address.ip().is_loopback() {
        // Within a machine there is no congestion to control, and the pacing
        // of BBR, a common default, costs a publisher to 1,000 subscribers a
        // tenth of its throughput. The sockets that are accepted inherit it;
        // without Reno the default stays.
        #[cfg(target_os = "linux")]
        let _ = socket.set_tcp_congestion(b"reno");
    }
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    let listener: std::net::TcpListener = socket.into();
    let local = listener.local_addr()?;
    Ok((listener, local))
}

fn backlog(config: &Config) -> i32 {
    config.tcp_backlog.min(i32::MAX as u32) as i32
}

fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    let host = match host {
        "*" => "0.0.0.0",
        host => host,
    };
    let mut addresses = (host, port).to_socket_addrs()?;
    let none = || io::Error::from(io::ErrorKind::AddrNotAvailable);
    addresses.next().ok_or_else(none)
}

fn holder_of(host: &str, port: u16) -> Option<String> {
    holder::of_address(resolve(host, port).ok()?)
}

/// Where connections come from.
enum Listener {
    Tcp(TcpListener),
    Unix {
        /// Stands first, so it goes first.
        _file: SocketFile,
        listener: UnixListener,
        path: Arc<str>,
    },
}

impl Listener {
    /// The next connection, or the error of one that was not to be.
    async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                let local = stream.local_addr()?;
                Ok((Stream::Tcp(stream), Peer::Tcp { remote, local }))
            }
            Listener::Unix { listener, path, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), Peer::Unix(path.clone())))
            }
        }
    }
}

async fn accept(listener: Listener, engine: Arc<Engine>, workers: Arc<RoundRobin>) {
    let mut pause = PAUSE_MIN;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                pause = PAUSE_MIN;
                match admit(&engine.server, &stream, &peer) {
                    Ok(()) => spawn(&engine, &workers, stream, peer),
                    Err(reason) => {
                        let why = match reason {
                            MAX_CLIENTS => "max number of clients reached",
                            _ => "protected mode",
                        };
                        tracing::debug!(addr = peer.remote(), "Refused a client: {why}");
                        // As far as the socket takes it at once.
                        let _ = stream.try_write(reason);
                    }
                }
            }
            Err(error) => pause = after_error(&engine.server, &error, pause).await,
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

/// Starts a connection's task on the next worker. The client is registered
/// before the next one is accepted, whichever worker it is for: otherwise more
/// would find room than there is.
fn spawn(engine: &Arc<Engine>, workers: &RoundRobin, stream: Stream, peer: Peer) {
    let mut session = engine.server.connect(stream.fd(), peer);
    let engine = engine.clone();
    let (worker, is_this) = workers.next();
    let stream = match is_this {
        true => Ok(stream),
        // The socket leaves this worker's event queue and joins the other's.
        false => stream.detach().and_then(|stream| {
            let _context = worker.enter();
            stream.attach()
        }),
    };
    match stream {
        Ok(stream) => worker.spawn(Connection::new(engine, stream, session)),
        Err(_) => engine.disconnect(&mut session),
    }
}

/// A connection that failed before it was accepted is forgotten; anything
/// else is waited out, because it would fail again at once.
async fn after_error(server: &Server, error: &io::Error, pause: Duration) -> Duration {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    ) {
        return pause;
    }
    tracing::warn!("Accepting client connection: {error}; trying again in {pause:?}");
    server.clock.sleep(pause).await;
    (pause * 2).min(PAUSE_MAX)
}
