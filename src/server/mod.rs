//! What all clients share and what needs no atomicity with the keyspace: one
//! struct of handles.

mod faults;
pub mod house;
mod live;
mod running;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use live::{Live, data_limits};
pub use running::{RunningScript, SlowScript};

use crate::allocator::Allocator;
use crate::clock::Clock;
use crate::config::{Config, DebugCommand, Supervised};
use crate::lab::Lab;
use crate::lab::record::Recorder;
use crate::metrics::{Latency, Metrics, SlowLog};
use crate::monitor::Monitors;
use crate::pubsub::PubSub;
use crate::resp::Argv;
use crate::seed::{Purpose, Seed};
use crate::session::client::Peer;
use crate::session::delivery::Delivery;
use crate::session::pause::Pause;
use crate::session::registry::Registry;
use crate::session::{Client, ClientFlags, Session};

/// What all clients share.
pub struct Server {
    /// The settings as they are now.
    config: RwLock<Config>,
    /// The file that they were read from.
    pub config_file: Option<PathBuf>,
    /// The allocator of the program, if it was named.
    pub allocator: Option<Allocator>,
    /// Who supervises the process.
    pub supervised: Supervised,
    /// Those settings that every request needs.
    pub live: Live,
    /// What time it is.
    pub clock: Clock,
    /// What a broker for tests has beyond others. It stays when the broker goes
    /// and comes back.
    pub lab: Option<Arc<Lab>>,
    /// Channels and their subscribers.
    pub pubsub: PubSub,
    /// The clients that are connected.
    pub clients: Registry,
    /// Counters for INFO.
    pub metrics: Metrics,
    // Each of these is taken alone and only for a moment.
    slow_log: Mutex<SlowLog>,
    latency: Mutex<Latency>,
    /// Clients that follow every command.
    pub monitors: Monitors,
    /// CLIENT PAUSE.
    pub pause: Pause,
    /// The script that runs, once it has run for long.
    pub running_script: RunningScript,
    /// DEBUG SET-ACTIVE-EXPIRE.
    pub active_expire: AtomicBool,
    /// Forty hexadecimal digits that name this run.
    pub run_id: String,
    /// As many that name the history of the data, which begins with the run.
    pub replication_id: String,
    /// What chance begins with.
    pub seed: Seed,
    // Taken alone and only for a moment.
    names: Mutex<fastrand::Rng>,
    /// Where it listens; set once it does.
    pub endpoints: OnceLock<Endpoints>,
    /// When it was looked last for the clients that hold most.
    looked_for_heavy_at: AtomicU64,
    /// The second since the broker's start in which house was kept last.
    pub kept_house_at: AtomicU64,
    /// Ends the broker.
    pub shutdown: CancellationToken,
    /// Ends every task, with the broker or until it comes back.
    pub over: CancellationToken,
    /// When it began, in time since the broker's start: not with that if the
    /// broker has been gone since.
    pub began: Duration,
    /// For whoever follows the settings from outside: the log's level is not ours.
    pub reconfigured: Arc<Notify>,
}

/// Where a broker listens.
#[derive(Clone, Default, Debug)]
pub struct Endpoints {
    /// Over TCP.
    pub tcp: Vec<SocketAddr>,
    /// Over a Unix socket.
    pub unix: Option<PathBuf>,
}

impl Server {
    /// A server with no clients, which counts the calls of the commands of
    /// these names.
    pub fn new(
        config: Config,
        config_file: Option<PathBuf>,
        commands: impl Iterator<Item = &'static str>,
    ) -> Server {
        let names = Seed::new(config.seed).rng(Purpose::Names);
        let lab = config.test_commands.then(Arc::default);
        Server::begin(config, config_file, commands, (names, lab))
    }

    /// The same broker's when it has been gone: of this one it has the clock, and
    /// what a test has put there. Ids of clients go on, by which that tells them
    /// apart.
    pub fn again(&self, config: Config, commands: impl Iterator<Item = &'static str>) -> Server {
        let names = fastrand::Rng::with_seed(self.random());
        let file = self.config_file.clone();
        if let Some(lab) = &self.lab {
            lab.faults.forget_clients();
        }
        Server {
            allocator: self.allocator.clone(),
            supervised: self.supervised,
            clock: self.clock.clone(),
            clients: self.clients.without_clients(),
            endpoints: self.endpoints.clone(),
            shutdown: self.shutdown.clone(),
            over: self.shutdown.child_token(),
            began: self.clock.uptime(),
            reconfigured: self.reconfigured.clone(),
            ..Server::begin(config, file, commands, (names, self.lab.clone()))
        }
    }

    fn begin(
        config: Config,
        config_file: Option<PathBuf>,
        commands: impl Iterator<Item = &'static str>,
        (mut names, lab): (fastrand::Rng, Option<Arc<Lab>>),
    ) -> Server {
        let seed = Seed::new(config.seed);
        let shutdown = CancellationToken::new();
        let server = Server {
            seed,
            config: RwLock::new(Config::default()),
            config_file,
            allocator: None,
            supervised: Supervised::No,
            live: Live::default(),
            clock: match config.test_commands {
                true => Clock::with_hand(),
                false => Clock::system(),
            },
            pubsub: PubSub::new(seed, lab.as_ref().map(|lab| lab.faults.clone())),
            lab,
            clients: Registry::default(),
            metrics: Metrics::new(commands),
            slow_log: Mutex::default(),
            latency: Mutex::default(),
            monitors: Monitors::default(),
            pause: Pause::default(),
            running_script: RunningScript::default(),
            active_expire: AtomicBool::new(true),
            run_id: forty_digits(&mut names),
            replication_id: forty_digits(&mut names),
            names: Mutex::new(names),
            endpoints: OnceLock::new(),
            looked_for_heavy_at: AtomicU64::new(u64::MAX),
            kept_house_at: AtomicU64::new(0),
            over: shutdown.child_token(),
            shutdown,
            began: Duration::ZERO,
            reconfigured: Arc::default(),
        };
        server.apply(config);
        server
    }

    /// The settings as they are now.
    pub fn config(&self) -> RwLockReadGuard<'_, Config> {
        self.config.read()
    }

    /// Makes `config` the settings, and has everything here follow them.
    pub fn apply(&self, config: Config) {
        self.live.follow(&config);
        self.metrics
            .latency_tracking
            .store(config.latency_tracking, Relaxed);
        self.slow_log().set_max_len(config.slowlog_max_len as usize);
        *self.config.write() = config;
    }

    /// Registers a connection.
    pub fn connect(&self, fd: i32, peer: Peer) -> Session {
        let client = self.clients.add(fd, peer, self.clock.uptime());
        Session::new(client, !self.live.requires_password())
    }

    /// Forgets a connection and its subscriptions.
    pub fn disconnect(&self, session: &mut Session) {
        let client = session.client.clone();
        self.clients.remove(client.id);
        self.monitors.remove(client.id);
        self.pause.forget(&client);
        self.pubsub.leave(session);
        if let Some(lab) = &self.lab {
            lab.spaces.end_those_of(client.id);
        }
    }

    /// Hands a message to the subscribers of a channel; answers how many got
    /// it. `uptime` is the time since the broker's start.
    #[inline]
    pub fn publish(&self, channel: &[u8], payload: &[u8], uptime: Duration) -> usize {
        let publish = |delivery: &Delivery<'_>| self.pubsub.publish(channel, payload, delivery);
        self.deliver(uptime, publish)
    }

    /// Hands a message to the subscribers of a shard channel.
    pub fn publish_shard(&self, channel: &[u8], payload: &[u8], uptime: Duration) -> usize {
        let publish =
            |delivery: &Delivery<'_>| self.pubsub.publish_shard(channel, payload, delivery);
        self.deliver(uptime, publish)
    }

    /// Shows a command to the clients that follow all, which this client has
    /// sent, or a script.
    pub fn feed_monitors(&self, from: Option<&Client>, db: usize, argv: Argv<'_>) {
        let (now, uptime) = (self.clock.wall(), self.clock.uptime());
        self.deliver(uptime, |delivery| {
            self.monitors.feed(now, from, db, argv, delivery);
        });
    }

    /// Has `deliver` hand something to clients. `uptime` is the time since the
    /// broker's start.
    #[inline]
    pub fn deliver<T>(&self, uptime: Duration, deliver: impl FnOnce(&Delivery<'_>) -> T) -> T {
        let overflowed = |client: &Client, channel: &[u8]| self.note_overflow(client, channel);
        deliver(&Delivery {
            limits: self.live.output_limits(),
            uptime,
            overflowed: &overflowed,
            recorder: self.recorder(),
        })
    }

    /// To note what clients send and get, if a test wants a record of it.
    #[inline]
    pub fn recorder(&self) -> Option<Recorder<'_>> {
        let lab = self.lab.as_ref()?;
        lab.record.recorder(|| self.clock.now_ms())
    }

    /// A client that does not read has been cut off.
    pub fn note_overflow(&self, client: &Client, channel: &[u8]) {
        // Before the log, which may take its time: nobody is to serve it, and
        // so lose what it is given, from here on.
        client.kill();
        self.metrics
            .output_limit_disconnections
            .fetch_add(1, Relaxed);
        tracing::warn!(
            id = client.id,
            addr = client.peer.remote(),
            name = client.name(),
            channel = %String::from_utf8_lossy(channel),
            "Client id={} addr={} scheduled to be closed ASAP for overcoming of output buffer limits.",
            client.id,
            client.peer.remote(),
        );
    }

    /// Cuts off those clients that hold most, if all together hold more than
    /// `maxmemory-clients`.
    #[inline]
    pub fn cut_heavy_clients(&self) {
        let max = self.live.max_clients_memory.load(Relaxed);
        if max > 0 && self.clients.memory() >= max {
            self.cut_until(max);
        }
    }

    #[cold]
    fn cut_until(&self, max: usize) {
        /// To look at all clients takes a while if they are many, and those
        /// that are cut off take a moment to go.
        const BETWEEN: u64 = 2;
        let millis = self.clock.machine().as_millis() as u64 / BETWEEN;
        if self.looked_for_heavy_at.swap(millis, Relaxed) == millis {
            return;
        }
        let clients = self.clients.all();
        // A client that follows all commands is a replica to Redis.
        let counts = |client: &Client| {
            let flags = client.flags();
            !flags.intersects(ClientFlags::KILLED | ClientFlags::MONITOR)
        };
        let counted = clients.iter().filter(|client| counts(client));
        let mut heavy: Vec<_> = counted.map(|client| (client.memory(), client)).collect();
        let mut together: usize = heavy.iter().map(|(memory, _)| memory).sum();
        heavy.sort_unstable_by_key(|(memory, client)| (*memory, client.id));
        while together >= max
            && let Some((memory, client)) = heavy.pop()
        {
            if client.may_be_cut_off() {
                together -= memory;
                client.kill();
                self.metrics.evicted_clients.fetch_add(1, Relaxed);
                tracing::info!(
                    "Evicting client: id={} addr={} tot-mem={memory}",
                    client.id,
                    client.peer.remote(),
                );
            }
        }
    }

    /// A number that nothing else is made from.
    pub fn random(&self) -> u64 {
        self.names.lock().u64(..)
    }

    /// The slow log.
    pub fn slow_log(&self) -> MutexGuard<'_, SlowLog> {
        self.slow_log.lock()
    }

    /// Latency events.
    pub fn latency(&self) -> MutexGuard<'_, Latency> {
        self.latency.lock()
    }

    /// Whether DEBUG is allowed for this client.
    pub fn allows_debug(&self, client: &Client) -> bool {
        match self.config().enable_debug_command {
            DebugCommand::Yes => true,
            DebugCommand::No => false,
            DebugCommand::Local => client.peer.is_local(),
        }
    }
}

/// Hexadecimal, and drawn by chance.
fn forty_digits(rng: &mut fastrand::Rng) -> String {
    (0..40).map(|_| rng.digit(16)).collect()
}
