//! Listens, and accepts connections.

use std::io;
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use super::entrance::Entrance;
use super::holder;
use super::socket_file::SocketFile;
use super::stream::Stream;
use super::worker::Workers;
use crate::config::{Config, describe};
use crate::engine::Engine;
use crate::server::{Endpoints, Server};
use crate::session::client::Peer;

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
                return Err(cannot_listen(host, port, &error));
            }
        }
        listeners.bind_unix(config)?;
        Ok(listeners)
    }

    /// Listens where others have before, whose addresses are resting.
    ///
    /// # Errors
    ///
    /// An address is taken; the text names it.
    pub fn again(
        config: &Config,
        endpoints: &Endpoints,
        resting: &Resting,
    ) -> Result<Listeners, String> {
        let mut listeners = Listeners {
            tcp: Vec::new(),
            unix: None,
            endpoints: endpoints.clone(),
        };
        for address in &endpoints.tcp {
            let socket = match resting.take(*address) {
                Some(socket) => Ok(socket),
                None => bind_tcp(*address, true),
            };
            let listener = socket.and_then(|socket| listen(socket, backlog(config)));
            let listener = listener
                .map_err(|error| cannot_listen(&address.ip().to_string(), address.port(), &error));
            listeners.tcp.push(listener?);
        }
        listeners.bind_unix(config)?;
        Ok(listeners)
    }

    fn bind_unix(&mut self, config: &Config) -> Result<(), String> {
        if let Some(path) = &config.unixsocket {
            let path = config.dir.join(path);
            // Bound by the name it was given, since long ones do not fit into
            // a socket's address; told by one that holds anywhere.
            let listener = SocketFile::listen(&path, config.unixsocketperm, backlog(config));
            let (file, listener) = listener.map_err(|error| {
                let path = std::path::absolute(&path).unwrap_or(path);
                format!("cannot listen on {}: {}", path.display(), describe(&error))
            })?;
            self.endpoints.unix = Some(file.path().to_owned());
            self.unix = Some((file, listener));
        }
        Ok(())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tcp.is_empty() && self.unix.is_none()
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

    /// Accepts connections until the broker is to end, or to go and come back: its
    /// addresses are `resting` then.
    ///
    /// # Errors
    ///
    /// The sockets cannot be registered with the runtime.
    pub fn serve(
        self,
        engine: &Arc<Engine>,
        entrance: &Arc<Entrance>,
        workers: &Workers,
        resting: &Arc<Resting>,
    ) -> io::Result<()> {
        let accept = |listener| {
            let (engine, entrance) = (engine.clone(), entrance.clone());
            let resting = resting.clone();
            workers.listening().spawn(async move {
                let server = &engine.server;
                let accepting = accept(&listener, server, &entrance);
                server.over.run_until_cancelled(accepting).await;
                match listener.end() {
                    Ok(Some(address)) if !server.shutdown.is_cancelled() => resting.add(address),
                    Ok(_) => {}
                    Err(error) => tracing::warn!("Listening no longer: {error}"),
                }
            });
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

/// The addresses of a broker that is gone and comes back: who connects is refused,
/// and nobody else can listen there.
#[derive(Default)]
pub struct Resting(Mutex<Vec<(SocketAddr, Socket)>>);

impl Resting {
    fn add(&self, address: SocketAddr) {
        match keep(address) {
            Ok(socket) => self.0.lock().push((address, socket)),
            // It may be free yet when the broker comes back.
            Err(error) => tracing::warn!("Keeping {address}: {error}"),
        }
    }

    fn take(&self, address: SocketAddr) -> Option<Socket> {
        let mut resting = self.0.lock();
        let place = resting.iter().position(|(other, _)| *other == address)?;
        Some(resting.swap_remove(place).1)
    }

    /// Gives the addresses up.
    pub fn clear(&self) {
        self.0.lock().clear();
    }
}

/// Keeps an address at which somebody has listened until now.
///
/// On Linux, nobody else can have the address of a socket that does not share it.
/// It is bound as such if nothing is left of the listener. Where there are
/// connections yet it has to share, for as long as that takes: of an address that
/// was listened on Linux remembers that those who share it are to be asked.
fn keep(address: SocketAddr) -> io::Result<Socket> {
    let socket = match bind_tcp(address, false) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => bind_tcp(address, true)?,
        bound => bound?,
    };
    socket.set_reuse_address(false)?;
    Ok(socket)
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
    let socket = bind_tcp(resolve(host, port)?, true)?;
    let listener = listen(socket, backlog)?;
    let local = listener.local_addr()?;
    Ok((listener, local))
}

/// Whose connections were closed just now may stay in the system's books for a
/// while, and is in nobody's way who `shares`.
fn bind_tcp(address: SocketAddr, shares: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(shares)?;
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
    Ok(socket)
}

fn listen(socket: Socket, backlog: i32) -> io::Result<std::net::TcpListener> {
    socket.set_reuse_address(true)?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn cannot_listen(host: &str, port: u16, error: &io::Error) -> String {
    let place = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => holder::in_use(holder_of(host, port)),
        _ => describe(error),
    };
    format!("cannot listen on {place}: {why}")
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
    /// Listens no longer, and answers at which address of TCP it has. The file of a
    /// Unix socket goes, as that of a Redis does.
    fn end(self) -> io::Result<Option<SocketAddr>> {
        let Listener::Tcp(listener) = self else {
            return Ok(None);
        };
        let listener = listener.into_std()?;
        let address = listener.local_addr()?;
        // A process that the program starts just now has the socket as well, for a moment, and
        // would keep it listening. Where a listener cannot be shut down, it is only closed.
        let _ = SockRef::from(&listener).shutdown(Shutdown::Both);
        Ok(Some(address))
    }

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

async fn accept(listener: &Listener, server: &Server, entrance: &Entrance) {
    let mut pause = PAUSE_MIN;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                pause = PAUSE_MIN;
                entrance.accept(stream, peer);
            }
            Err(error) => pause = after_error(server, &error, pause).await,
        }
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
