//! A broker's life: it begins, may go and come back, and ends.
//!
//! It comes back as it began, with threads, counters and settings that are new.
//! What stays is the clock, what a test has put there, its addresses, and the
//! data if they are to be kept.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use crate::clock;
use crate::command::TABLE;
use crate::config::Config;
use crate::engine::advance::{self, Quiet};
use crate::engine::{Engine, barriers, upkeep};
use crate::lab::restarts::{Answer, Data, Restart};
use crate::lab::spaces::Started;
use crate::net::entrance::Entrance;
use crate::net::listener::{Listeners, Resting};
use crate::net::socket_dir::SocketDir;
use crate::net::{Barrier, Workers};
use crate::server::{Endpoints, Server, house};
use crate::session::client::Peer;

/// Why a broker did not start, or has not come back.
#[derive(Debug)]
pub struct StartError(pub(super) String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

fn refused(error: io::Error) -> StartError {
    StartError(format!("the system refuses what a worker needs: {error}"))
}

/// What a broker begins with, each time.
pub struct Plan {
    /// Its settings.
    pub config: Config,
    /// Starts a space, where there may be some.
    pub start_space: Option<StartSpace>,
    /// Memory that was freed is given back to the system. Of a space it is by the
    /// broker that has started it.
    pub gives_back: bool,
}

/// Starts a broker for a space.
pub type StartSpace = Arc<dyn Fn() -> Result<Started, String> + Send + Sync>;

/// A broker, for whoever has something to do with it. It lives until it is
/// [stopped](Self::stop).
pub struct Life {
    plan: Plan,
    endpoints: Endpoints,
    resting: Arc<Resting>,
    // Held by who has it go or come back. No worker takes it: it may be waited
    // for.
    run: RwLock<Run>,
    /// It has been stopped, or could not come back.
    ended: AtomicBool,
    /// Who has it come back, as a client has asked for.
    restarter: Mutex<Option<JoinHandle<()>>>,
    /// The same while that waits.
    sleeper: Mutex<Option<Thread>>,
    /// The directory of its Unix socket, if that is its own.
    socket_dir: Mutex<Option<SocketDir>>,
}

/// A broker from when it begins to when it goes.
struct Run {
    engine: Arc<Engine>,
    entrance: Arc<Entrance>,
    /// `None` once it is gone.
    workers: Option<Workers>,
}

impl Life {
    /// Begins it.
    ///
    /// # Errors
    ///
    /// The system refuses what it needs.
    pub fn begin(
        plan: Plan,
        server: Server,
        listeners: Listeners,
        socket_dir: Option<SocketDir>,
    ) -> Result<Arc<Life>, StartError> {
        let resting = Arc::default();
        let endpoints = listeners.endpoints.clone();
        let engine = Engine::new(server);
        let run = Run::begin(engine, &plan, listeners, &resting).map_err(refused)?;
        let lab = run.engine.server.lab.clone();
        let life = Arc::new(Life {
            plan,
            endpoints,
            resting,
            run: RwLock::new(run),
            ended: AtomicBool::new(false),
            restarter: Mutex::default(),
            sleeper: Mutex::default(),
            socket_dir: Mutex::new(socket_dir),
        });
        if let Some(lab) = lab {
            let weak = Arc::downgrade(&life);
            lab.restarts.follow(Box::new(move |restart, answer| {
                if let Some(life) = weak.upgrade() {
                    life.ask(restart, answer);
                }
            }));
        }
        Ok(life)
    }

    /// Where it listens, whenever it is there.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// What serves its clients, or has until it went.
    pub fn engine(&self) -> Arc<Engine> {
        self.run.read().engine.clone()
    }

    /// Where its clients come in.
    pub fn entrance(&self) -> Arc<Entrance> {
        self.run.read().entrance.clone()
    }

    /// Has it be gone: when this returns it refuses connections, and has cut all
    /// there were.
    pub fn take_down(&self) {
        self.run.write().end();
    }

    /// Has it come back if it is gone; when this returns it serves.
    ///
    /// # Errors
    ///
    /// It has been stopped, or the system refuses what it needs: it has ended
    /// then.
    pub fn bring_back(&self, data: Data) -> Result<(), StartError> {
        let mut run = self.run.write();
        let server = &run.engine.server;
        if self.ended.load(SeqCst) || server.shutdown.is_cancelled() {
            return Err(StartError("the broker has ended".into()));
        }
        if run.workers.is_some() {
            return Ok(());
        }
        let back = self.run_again(&run.engine, data);
        match back {
            Ok(next) => {
                *run = next;
                // Settings that were changed are as they were at first.
                run.engine.server.reconfigured.notify_one();
                Ok(())
            }
            Err(error) => {
                self.ended.store(true, SeqCst);
                run.engine.server.shutdown.cancel();
                tracing::error!("The broker cannot come back: {error}");
                Err(error)
            }
        }
    }

    fn run_again(&self, before: &Engine, data: Data) -> Result<Run, StartError> {
        let Life {
            plan,
            endpoints,
            resting,
            ..
        } = self;
        let listeners = Listeners::again(&plan.config, endpoints, resting).map_err(StartError)?;
        let server = before.server.again(plan.config.clone(), command_names());
        let engine = match data {
            Data::Keep => Engine::again(server, before.leave_data()),
            Data::Lose => Engine::new(server),
        };
        Run::begin(engine, plan, listeners, resting).map_err(refused)
    }

    /// Has it go and come back on a thread that does nothing else.
    fn ask(self: Arc<Self>, restart: Restart, answer: Answer) {
        let life = self.clone();
        let mut restarter = self.restarter.lock();
        if self.ended.load(SeqCst) {
            return;
        }
        let before = restarter.take();
        let restart = move || {
            if let Some(before) = before {
                // A panic is on record.
                let _ = before.join();
            }
            let result = life.restart(restart);
            answer(result.map_err(|error| error.to_string()));
        };
        let thread = thread::Builder::new().name("respd-restart".into());
        match thread.spawn(restart) {
            Ok(thread) => *restarter = Some(thread),
            Err(error) => tracing::error!("No thread to restart the broker: {error}"),
        }
    }

    fn restart(&self, restart: Restart) -> Result<(), StartError> {
        let Restart { data, after } = restart;
        tracing::info!("The broker goes, and comes back after {after:?}");
        self.take_down();
        self.wait(after);
        self.bring_back(data)
    }

    /// Waits for so long by the broker's clock. While it is gone hardly anybody
    /// could move that, so if it is frozen it goes on by as much at once.
    fn wait(&self, time: Duration) {
        let engine = self.engine();
        let clock = &engine.server.clock;
        let deadline = clock.uptime() + time;
        if let Some(hand) = clock.hand().filter(|hand| hand.is_frozen()) {
            return hand.skip_to(deadline);
        }
        let _alarm = clock.alarm(deadline, None, &clock::unpark());
        *self.sleeper.lock() = Some(thread::current());
        let mut waits = true;
        while waits && !self.ended.load(SeqCst) {
            waits = clock.park(Some(deadline));
        }
        *self.sleeper.lock() = None;
    }

    /// Ends it: when this returns its threads have ended, and its addresses are
    /// free.
    pub fn stop(&self) {
        self.ended.store(true, SeqCst);
        if let Some(sleeper) = &*self.sleeper.lock() {
            sleeper.unpark();
        }
        let restarter = self.restarter.lock().take();
        if let Some(restarter) = restarter {
            let _ = restarter.join();
        }
        let mut run = self.run.write();
        run.engine.server.shutdown.cancel();
        run.end();
        self.resting.clear();
        *self.socket_dir.lock() = None;
    }
}

impl Run {
    fn begin(
        engine: Arc<Engine>,
        plan: &Plan,
        listeners: Listeners,
        resting: &Arc<Resting>,
    ) -> io::Result<Run> {
        let count = engine.server.config().workers as usize;
        let workers = Workers::start(count, &engine.server)?;
        let entrance = Arc::new(Entrance::new(engine.clone(), workers.round_robin()));
        if let (Some(lab), Some(start)) = (&engine.server.lab, &plan.start_space) {
            let start = start.clone();
            lab.spaces.open(Box::new(move || start()));
        }
        let served = spawn_tasks(&engine, &entrance, &workers, (listeners, resting), plan);
        let mut run = Run {
            engine,
            entrance,
            workers: Some(workers),
        };
        if let Err(error) = served {
            run.engine.server.shutdown.cancel();
            run.end();
            return Err(error);
        }
        Ok(run)
    }

    /// Cuts all connections, and waits until every thread has ended.
    fn end(&mut self) {
        let Some(workers) = self.workers.take() else {
            return;
        };
        let server = &self.engine.server;
        server.over.cancel();
        // A connection ends with its worker; who waits on a thread of the
        // embedder's is told.
        server.clients.for_each(|client| {
            if client.peer == Peer::Local {
                client.kill();
            }
        });
        workers.join();
        if let Some(lab) = &server.lab {
            lab.spaces.close();
        }
    }
}

/// The commands whose calls are counted.
pub fn command_names() -> impl Iterator<Item = &'static str> {
    let commands = TABLE.commands().iter();
    commands.map(|command| command.full_name.as_str())
}

fn spawn_tasks(
    engine: &Arc<Engine>,
    entrance: &Arc<Entrance>,
    workers: &Workers,
    (listeners, resting): (Listeners, &Arc<Resting>),
    plan: &Plan,
) -> io::Result<()> {
    let _guard = workers.first().enter();
    listeners.serve(engine, entrance, workers, resting)?;
    let timekeeper = workers.timekeeper();
    let keeps = engine.clone();
    timekeeper.spawn(async move { upkeep::run(&keeps).await });
    let keeps = engine.clone();
    timekeeper.spawn(async move { house::keep(&keeps.server).await });
    if engine.server.lab.is_some() {
        let barrier = Arc::new(Barrier::new(workers.all()));
        let quiet: Quiet = Box::new(move || {
            let barrier = barrier.clone();
            Box::pin(async move { barrier.wait().await })
        });
        timekeeper.spawn(advance::run(engine.clone(), quiet));
        timekeeper.spawn(barriers::run(engine.clone()));
    }
    if let Some(allocator) = &engine.server.allocator
        && plan.gives_back
    {
        let (clock, purge) = (engine.server.clock.clone(), allocator.purge);
        timekeeper.spawn(house::give_back(clock, purge, workers.handles()));
    }
    Ok(())
}
