//! A broker inside any program.
//!
//! It runs on threads of its own and depends on nobody's runtime, so a test
//! may use a blocking client inside a single-threaded async test. Any number
//! of brokers live side by side; each is alone by construction.

pub(crate) mod life;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::allocator::Allocator;
use crate::config::{Config, Mentions, Supervised, summary};
use crate::engine::Engine;
use crate::lab::spaces::Started;
use crate::local::LocalClient;
use crate::net::listener::Listeners;
use crate::net::memory::MemoryStream;
use crate::net::socket_dir::SocketDir;
use crate::server::Server;
pub use life::StartError;
use life::{Life, Plan, StartSpace};

/// A running broker. It stops when it is dropped.
///
/// ```
/// let broker = respd::Broker::start()?;
/// let mut client = std::net::TcpStream::connect(broker.addr())?;
/// std::io::Write::write_all(&mut client, b"PING\r\n")?;
/// let mut reply = [0; 7];
/// std::io::Read::read_exact(&mut client, &mut reply)?;
/// assert_eq!(&reply, b"+PONG\r\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Broker {
    pub(crate) life: Arc<Life>,
}

/// The settings of a broker that is to start.
///
/// The defaults are those of the binary, but for the port: it is 0, so that
/// the system chooses a free one, on 127.0.0.1 alone.
/// `Debug` shows no password.
#[derive(Clone, Debug)]
pub struct Builder {
    config: Config,
    /// What was set since, in the order in which it was.
    mentions: Mentions,
    config_file: Option<PathBuf>,
    allocator: Option<Allocator>,
    supervised: Supervised,
    without_port: bool,
    own_unix_socket: bool,
    is_space: bool,
}

impl Default for Builder {
    fn default() -> Self {
        let config = Config {
            port: 0,
            bind: vec!["127.0.0.1".into()],
            ..Config::default()
        };
        Builder {
            config,
            mentions: Mentions::default(),
            config_file: None,
            allocator: None,
            supervised: Supervised::No,
            without_port: false,
            own_unix_socket: false,
            is_space: false,
        }
    }
}

impl Builder {
    /// Uses these settings instead of the defaults, and instead of what has
    /// been [`set`](Self::set) before.
    pub fn config(mut self, config: Config) -> Builder {
        self.config = config;
        self.mentions = Mentions::default();
        self
    }

    /// The file that the settings were read from, for CONFIG REWRITE.
    pub fn config_file(mut self, path: Option<PathBuf>) -> Builder {
        self.config_file = path;
        self
    }

    /// The allocator that the program has chosen, so that memory that was freed
    /// goes back to the system and INFO and MEMORY tell of it. Without this,
    /// nothing is asked of any.
    pub fn allocator(mut self, allocator: Allocator) -> Builder {
        self.allocator = Some(allocator);
        self
    }

    /// Who supervises the process, for INFO. Only the program knows: without
    /// this it is nobody, whatever the setting `supervised` is.
    pub fn supervised_by(mut self, supervised: Supervised) -> Builder {
        self.supervised = supervised;
        self
    }

    /// Listens on no port, whatever the settings say: clients come in by
    /// [`Broker::connect`], and over a Unix socket if there is one.
    pub fn without_port(mut self) -> Builder {
        self.without_port = true;
        self
    }

    /// Listens on a Unix socket, too, in a directory of the broker's own, whatever
    /// the setting `unixsocket` says. The directory is among the system's temporary
    /// files, open to this user alone, and goes when the broker stops.
    /// [`Broker::unix_path`] tells where the socket is.
    ///
    /// ```
    /// let broker = respd::Broker::builder().without_port().own_unix_socket().start()?;
    /// assert!(broker.url().starts_with("unix:///"));
    /// let mut client = redis::Client::open(broker.url())?.get_connection()?;
    /// redis::cmd("PING").exec(&mut client)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn own_unix_socket(mut self) -> Builder {
        self.own_unix_socket = true;
        self
    }

    /// Has everything random follow from this number, as the setting `seed` does:
    /// the same requests, one after the other, have the same replies each time, in
    /// any process, as far as time lets them.
    ///
    /// ```
    /// let drawn = || {
    ///     let broker = respd::Broker::builder().without_port().seed(7).start()?;
    ///     let mut client = broker.client();
    ///     client.call(&["SADD", "set", "a", "b", "c", "d", "e"]);
    ///     Ok::<_, respd::broker::StartError>(client.call(&["SPOP", "set", "3"]))
    /// };
    /// assert_eq!(drawn()?, drawn()?);
    /// # Ok::<(), respd::broker::StartError>(())
    /// ```
    pub fn seed(self, seed: u64) -> Builder {
        self.set("seed", &seed.to_string())
    }

    /// Sets a setting by the name and in the form that the configuration file
    /// has: `.set("requirepass", "secret")`.
    ///
    /// What holds for a file holds here. The last to mention a setting wins. A
    /// name or a value that is wrong is reported by [`start`](Self::start). What
    /// only Redis does is no error: `.set("appendonly", "yes")` has no effect, and
    /// a warning says so when the broker starts, through the `tracing` crate. So
    /// it is with what is for the program `respd` alone ([`Concern::Binary`]),
    /// such as `logfile` and `pidfile`: the program around a broker has a log of
    /// its own.
    ///
    /// [`Concern::Binary`]: crate::config::Concern::Binary
    pub fn set(mut self, name: &str, value: &str) -> Builder {
        self.mentions.add_in_code(name, value);
        self
    }

    /// Has the broker be one for tests: what [`testkit`](crate::testkit) is about works, and so
    /// does RESPD for every client. It is the setting `test-commands`.
    pub fn for_tests(mut self) -> Builder {
        self.mentions.add_in_code("test-commands", "yes");
        self
    }

    /// Starts the broker. When it returns, clients can connect.
    ///
    /// # Errors
    ///
    /// A setting is wrong, an address is taken, or the system refuses a
    /// thread; the text says which.
    pub fn start(self) -> Result<Broker, StartError> {
        let mut config = self.config;
        let unheeded = self.mentions.judge(&mut config);
        for line in summary(&unheeded.map_err(|error| StartError(error.to_string()))?) {
            tracing::warn!("{line}");
        }
        if self.without_port {
            config.port = 0;
            config.bind.clear();
        }
        let mut socket_dir = None;
        if self.own_unix_socket {
            let dir = SocketDir::new()
                .map_err(|error| StartError(format!("no directory for a Unix socket: {error}")))?;
            config.unixsocket = Some(dir.path().join("socket"));
            socket_dir = Some(dir);
        }
        let listeners = Listeners::bind(&config).map_err(StartError)?;
        if listeners.is_empty() && !self.without_port {
            return Err(StartError("there is no address to listen on".into()));
        }
        let mut server = Server::new(config.clone(), self.config_file, life::command_names());
        server.allocator = self.allocator.clone();
        server.supervised = self.supervised;
        // It is set here alone, so it cannot be set already.
        let _ = server.endpoints.set(listeners.endpoints.clone());
        let may_have_spaces = config.test_commands && !self.is_space;
        let start_space =
            may_have_spaces.then(|| starts_space(&config, &listeners, self.allocator));
        let plan = Plan {
            config,
            start_space,
            gives_back: !self.is_space,
        };
        let life = Life::begin(plan, server, listeners, socket_dir)?;
        Ok(Broker { life })
    }
}

/// Starts a broker with the settings of another, but for where it listens and what
/// is a process's: on a free port of the same address, with one worker, which
/// keeps house once a second.
fn starts_space(
    config: &Config,
    listeners: &Listeners,
    allocator: Option<Allocator>,
) -> StartSpace {
    let first = listeners.endpoints.tcp.first();
    let host = first.map_or("127.0.0.1".into(), |first| first.ip().to_string());
    let config = Config {
        port: 0,
        bind: vec![host],
        unixsocket: None,
        logfile: None,
        pidfile: None,
        workers: 1,
        // A thousand that do nothing are to take next to nothing.
        hz: 1,
        ..config.clone()
    };
    let builder = Builder {
        config,
        allocator,
        is_space: true,
        ..Builder::default()
    };
    Arc::new(move || {
        let broker = builder.clone().start().map_err(|error| error.to_string())?;
        Ok(Started {
            address: broker.reachable().ok_or("it listens nowhere")?,
            url: broker.url(),
            broker: Box::new(broker),
        })
    })
}

impl Broker {
    /// Starts a broker with the default settings on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// The system refuses a socket or a thread.
    pub fn start() -> Result<Broker, StartError> {
        Broker::builder().start()
    }

    /// Starts one for tests, with the default settings otherwise.
    ///
    /// # Errors
    ///
    /// The system refuses a socket or a thread.
    pub fn for_tests() -> Result<Broker, StartError> {
        Broker::builder().for_tests().start()
    }

    /// Settings for a broker to start.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where it listens over TCP: the first address.
    ///
    /// # Panics
    ///
    /// It listens on a Unix socket alone, see [`unix_path`](Self::unix_path), or
    /// nowhere.
    pub fn addr(&self) -> SocketAddr {
        *self.addrs().first().expect("the broker listens over TCP")
    }

    /// All addresses on which it listens over TCP.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.life.endpoints().tcp
    }

    /// The Unix socket on which it listens, if there is one.
    pub fn unix_path(&self) -> Option<&Path> {
        self.life.endpoints().unix.as_deref()
    }

    /// Its address as clients take it, with the password if it has one:
    /// `redis://127.0.0.1:41233/0`. Without a port it is that of the Unix socket,
    /// `unix:///path`; where it listens nowhere, it is empty.
    pub fn url(&self) -> String {
        let password = self.engine().server.config().requirepass.clone();
        let user = if password.is_empty() {
            String::new()
        } else {
            format!(":{}@", percent_encode(&password))
        };
        match (self.reachable(), self.unix_path()) {
            (Some(addr), _) => format!("redis://{user}{addr}/0"),
            (None, Some(path)) => format!("unix://{user}{}", path.display()),
            (None, None) => String::new(),
        }
    }

    /// Its first address as it is found on this machine.
    fn reachable(&self) -> Option<SocketAddr> {
        let addr = self.addrs().first()?;
        let host = match addr {
            addr if !addr.ip().is_unspecified() => addr.ip(),
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        Some(SocketAddr::new(host, addr.port()))
    }

    /// What serves its clients now, or has until it went.
    pub(crate) fn engine(&self) -> Arc<Engine> {
        self.life.engine()
    }

    /// A client without a socket.
    pub fn client(&self) -> LocalClient {
        LocalClient::new(self.engine())
    }

    /// A connection without a socket, for any client that takes a stream of
    /// bytes; [`MemoryStream`] shows how. When the broker has stopped, or has
    /// no room for one more, it reads so and has ended.
    pub fn connect(&self) -> MemoryStream {
        self.life.entrance().connect()
    }

    /// Ends the broker: no connection is accepted any more, the others are
    /// closed, and when it returns every thread has ended. Clients without a
    /// socket answer an error from then on.
    pub fn shutdown(self) {
        self.life.stop();
    }

    /// Waits until a client sends SHUTDOWN.
    pub async fn stopped(&self) {
        let shutdown = self.engine().server.shutdown.clone();
        shutdown.cancelled().await;
    }

    /// Waits until the settings have been changed since the start, or since this was called last,
    /// and answers them as they are now. For one caller at a time.
    pub async fn reconfigured(&self) -> Config {
        let reconfigured = self.engine().server.reconfigured.clone();
        reconfigured.notified().await;
        self.engine().server.config().clone()
    }
}

/// Where it listens, and no password.
impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("addrs", &self.addrs())
            .field("unix_path", &self.unix_path())
            .finish_non_exhaustive()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.life.stop();
    }
}

fn percent_encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests;
