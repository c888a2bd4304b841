//! What all clients share: one struct of handles, and what a handler of a
//! session command gets to see of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::allocator::Allocator;
use crate::clock::Clock;
use crate::config::{Config, DebugCommand};
use crate::db::{ChunkLimit, Db, Keyspace, Limits};
use crate::engine::{Engine, Turn};
use crate::metrics::{Latency, Metrics, SlowLog};
use crate::monitor::Monitors;
use crate::password::Password;
use crate::pause::Pause;
use crate::pubsub::PubSub;
use crate::resp::Argv;
use crate::session::outbox::{Delivery, OutputLimit};
use crate::session::{Client, ClientFlags, Session};

/// The version of Redis whose behaviour is followed, for clients that ask.
pub const REDIS_VERSION: &str = "7.2.4";

/// What all clients share.
pub struct Server {
    /// The settings as they are now.
    config: RwLock<Config>,
    /// The file that they were read from.
    pub config_file: Option<PathBuf>,
    /// The allocator of the program, if it was named.
    pub allocator: Option<Allocator>,
    /// Those settings that every request needs.
    pub hot: Hot,
    /// What time it is.
    pub clock: Clock,
    /// The data.
    pub engine: Engine,
    /// Channels and their subscribers.
    pub pubsub: PubSub,
    /// The clients that are connected, by id.
    pub clients: DashMap<u64, Arc<Client>>,
    next_client_id: AtomicU64,
    /// Counters for INFO.
    pub metrics: Metrics,
    // Each of these is taken alone and only for a moment.
    slow_log: Mutex<SlowLog>,
    latency: Mutex<Latency>,
    /// Clients that follow every command.
    pub monitors: Monitors,
    /// CLIENT PAUSE.
    pub pause: Pause,
    /// DEBUG SET-ACTIVE-EXPIRE.
    pub active_expire: AtomicBool,
    /// Forty hexadecimal digits that name this run.
    pub run_id: String,
    /// Where it listens; set once it does.
    pub endpoints: OnceLock<Endpoints>,
    /// The second in which house was kept last.
    kept_house_at: AtomicU64,
    /// Ends every task of the broker.
    pub shutdown: CancellationToken,
    /// For whoever follows the settings from outside: the log's level is not ours.
    pub reconfigured: Notify,
}

/// Where a broker listens.
#[derive(Clone, Default, Debug)]
pub struct Endpoints {
    /// Over TCP.
    pub tcp: Vec<SocketAddr>,
    /// Over a Unix socket.
    pub unix: Option<PathBuf>,
}

/// Copies of settings that every request or connection needs.
#[derive(Default)]
pub struct Hot {
    /// `maxclients`
    pub max_clients: AtomicUsize,
    /// `timeout` in seconds, 0 for none.
    pub idle_timeout: AtomicU64,
    /// `proto-max-bulk-len`
    pub bulk: AtomicUsize,
    /// `client-query-buffer-limit`
    pub query_buffer: AtomicUsize,
    /// `slowlog-log-slower-than` in microseconds; the maximum for never.
    pub slow_us: AtomicU64,
    /// `latency-monitor-threshold` in milliseconds, 0 for never.
    pub latency_ms: AtomicU64,
    /// `hz`
    pub hz: AtomicU64,
    limits: RwLock<[OutputLimit; 2]>,
    /// `requirepass`
    password: RwLock<Option<Password>>,
}

impl Server {
    /// A server with no data and no clients, which counts the calls of so many
    /// `commands`.
    pub fn new(config: Config, config_file: Option<PathBuf>, commands: usize) -> Server {
        let seed = fastrand::u64(..);
        let keyspace = Keyspace::new(config.databases as usize, limits(&config), seed);
        let server = Server {
            config: RwLock::new(Config::default()),
            config_file,
            allocator: None,
            hot: Hot::default(),
            clock: Clock::system(),
            engine: Engine::new(keyspace),
            pubsub: PubSub::default(),
            clients: DashMap::new(),
            next_client_id: AtomicU64::new(1),
            metrics: Metrics::new(commands),
            slow_log: Mutex::default(),
            latency: Mutex::default(),
            monitors: Monitors::default(),
            pause: Pause::default(),
            active_expire: AtomicBool::new(true),
            run_id: (0..40).map(|_| fastrand::digit(16)).collect(),
            endpoints: OnceLock::new(),
            kept_house_at: AtomicU64::new(0),
            shutdown: CancellationToken::new(),
            reconfigured: Notify::new(),
        };
        let mut turn = Turn::new(&server);
        server.apply(config, &mut turn);
        drop(turn);
        server
    }

    /// The settings as they are now.
    pub fn config(&self) -> RwLockReadGuard<'_, Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `config` the settings, and has everything follow them.
    pub fn apply(&self, config: Config, turn: &mut Turn<'_>) {
        let keyspace = &mut turn.state().keyspace;
        keyspace.limits = limits(&config);
        keyspace.journal.notify = config.notify_keyspace_events;
        let hot = &self.hot;
        hot.max_clients.store(config.maxclients as usize, Relaxed);
        hot.idle_timeout.store(config.timeout as u64, Relaxed);
        hot.bulk.store(longest_string(&config), Relaxed);
        hot.query_buffer
            .store(config.client_query_buffer_limit as usize, Relaxed);
        hot.slow_us.store(
            u64::try_from(config.slowlog_log_slower_than).unwrap_or(u64::MAX),
            Relaxed,
        );
        hot.hz.store(config.hz.into(), Relaxed);
        hot.latency_ms
            .store(config.latency_monitor_threshold, Relaxed);
        self.metrics
            .latency_tracking
            .store(config.latency_tracking, Relaxed);
        let limit = |class: &crate::config::OutputBufferLimit| OutputLimit {
            hard: class.hard,
            soft: class.soft,
            soft_for: Duration::from_secs(class.soft_seconds.into()),
        };
        let buffers = &config.client_output_buffer_limit;
        *hot.limits.write().unwrap_or_else(PoisonError::into_inner) =
            [limit(&buffers.normal), limit(&buffers.pubsub)];
        let password = Some(&config.requirepass).filter(|p| !p.is_empty());
        *hot.password.write().unwrap_or_else(PoisonError::into_inner) =
            password.map(|password| Password::new(password));
        self.slow_log().set_max_len(config.slowlog_max_len as usize);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Registers a connection.
    pub fn connect(&self, fd: i32, peer: crate::session::client::Peer) -> Session {
        let id = self.next_client_id.fetch_add(1, Relaxed);
        let client = Arc::new(Client::new(id, fd, peer, self.clock.uptime()));
        self.clients.insert(id, client.clone());
        Session::new(client, !self.requires_password())
    }

    /// Forgets a connection: its subscriptions, its place among the blocked,
    /// what it watches.
    pub fn disconnect(&self, session: &mut Session) {
        let client = session.client.clone();
        self.clients.remove(&client.id);
        self.monitors.remove(client.id);
        self.pubsub.unsubscribe_all(session);
        let blocked = client.flags().contains(ClientFlags::BLOCKED);
        if blocked || session.watch.is_some() {
            let mut turn = Turn::new(self);
            turn.unwatch(session);
            turn.unblock(client.id);
        }
    }

    /// Whether a client must authenticate.
    pub fn requires_password(&self) -> bool {
        self.hot
            .password
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    /// Whether `attempt` is the password; `None` if there is none.
    pub fn check_password(&self, attempt: &[u8]) -> Option<bool> {
        let password = self
            .hot
            .password
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        password.as_ref().map(|password| password.matches(attempt))
    }

    /// The bound of a client's outbox.
    pub fn output_limit(&self, client: &Client) -> OutputLimit {
        self.limit_for(client.flags())
    }

    fn limit_for(&self, flags: ClientFlags) -> OutputLimit {
        let limits = self
            .hot
            .limits
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        limits[usize::from(flags.contains(ClientFlags::PUBSUB))]
    }

    /// Hands a message to the subscribers of a channel; answers how many got
    /// it. `uptime` is the time since the broker's start.
    pub fn publish(&self, channel: &[u8], payload: &[u8], uptime: Duration) -> usize {
        let publish = |delivery: Delivery<'_>| self.pubsub.publish(channel, payload, delivery);
        self.deliver(ClientFlags::PUBSUB, uptime, publish)
    }

    /// Hands a message to the subscribers of a shard channel.
    pub fn publish_shard(&self, channel: &[u8], payload: &[u8], uptime: Duration) -> usize {
        let publish =
            |delivery: Delivery<'_>| self.pubsub.publish_shard(channel, payload, delivery);
        self.deliver(ClientFlags::PUBSUB, uptime, publish)
    }

    /// Shows a command to the clients that follow all.
    pub fn feed_monitors(&self, from: &Client, db: usize, argv: Argv<'_>) {
        let (now, uptime) = (self.clock.wall(), self.clock.uptime());
        self.deliver(ClientFlags::MONITOR, uptime, |delivery| {
            self.monitors.feed(now, from, db, argv, delivery);
        });
    }

    /// Has `deliver` hand something to clients that have these flags.
    fn deliver<T>(
        &self,
        flags: ClientFlags,
        uptime: Duration,
        deliver: impl FnOnce(Delivery<'_>) -> T,
    ) -> T {
        let overflowed = |client: &Client, channel: &[u8]| self.note_overflow(client, channel);
        deliver(Delivery {
            limit: self.limit_for(flags),
            uptime,
            overflowed: &overflowed,
        })
    }

    /// A client that does not read has been cut off.
    pub fn note_overflow(&self, client: &Client, channel: &[u8]) {
        self.metrics
            .output_limit_disconnections
            .fetch_add(1, Relaxed);
        tracing::warn!(
            client = client.id,
            addr = client.peer.remote(),
            channel = %String::from_utf8_lossy(channel),
            "Client id={} addr={} scheduled to be closed ASAP for overcoming of output buffer limits.",
            client.id,
            client.peer.remote(),
        );
        client.kill();
    }

    /// What needs time to pass: rates, soft limits of outboxes, idle clients.
    pub fn keep_house(&self) {
        let uptime = self.clock.uptime();
        let totals = [
            self.metrics.commands(),
            self.metrics.input_bytes.load(Relaxed),
            self.metrics.output_bytes.load(Relaxed),
        ];
        self.metrics.rates.sample(uptime, totals);
        // Ten thousand clients are looked at once a second, not ten times.
        let second = uptime.as_secs();
        if self.kept_house_at.swap(second, Relaxed) == second {
            return;
        }
        let idle_after = self.hot.idle_timeout.load(Relaxed);
        for client in self.clients.iter() {
            let limit = self.output_limit(&client);
            let mut outbox = client.outbox.lock();
            let overflowed = outbox.exceeds(limit, uptime);
            outbox.trim();
            drop(outbox);
            if overflowed {
                self.note_overflow(&client, b"");
            }
            let kept = ClientFlags::BLOCKED | ClientFlags::PUBSUB | ClientFlags::MONITOR;
            if idle_after > 0 && !client.flags().intersects(kept) {
                let active = Duration::from_millis(client.active_ms.load(Relaxed));
                if uptime.saturating_sub(active).as_secs() > idle_after {
                    tracing::debug!("Closing idle client");
                    client.kill();
                }
            }
        }
    }

    /// The slow log.
    pub fn slow_log(&self) -> MutexGuard<'_, SlowLog> {
        self.slow_log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Latency events.
    pub fn latency(&self) -> MutexGuard<'_, Latency> {
        self.latency.lock().unwrap_or_else(PoisonError::into_inner)
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

/// `proto-max-bulk-len`, but no more than the offsets of a request can tell:
/// 4 GiB.
fn longest_string(config: &Config) -> usize {
    config.proto_max_bulk_len.min(u32::MAX.into()) as usize
}

fn limits(config: &Config) -> Limits {
    Limits {
        string: longest_string(config),
        list_chunk: ChunkLimit::from_setting(i64::from(config.list_max_listpack_size)),
    }
}

/// What a handler of a session command sees: the client that sent it, the
/// turn that it is part of, and the server around both.
pub struct Context<'a> {
    /// What all clients share.
    pub server: &'a Server,
    /// The client.
    pub session: &'a mut Session,
    /// What it does at one go.
    pub turn: Turn<'a>,
    /// Within EXEC nothing blocks.
    pub in_exec: bool,
}

impl Context<'_> {
    /// The client's selected database.
    pub fn db(&mut self) -> Db<'_> {
        let touch = !self.session.client.flags().contains(ClientFlags::NO_TOUCH);
        self.turn.db(self.session.db, touch)
    }
}
