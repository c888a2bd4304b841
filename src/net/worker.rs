//! Threads of the broker's own, each with a single-threaded runtime. A
//! connection stays with its worker.
//!
//! What waits for time alone runs on one more thread. A worker so sleeps until
//! something arrives, and the kernel need not set a timer each time and take it
//! back: beside each other, an item that a blocked client waits for took 29 µs
//! of CPU with housekeeping on the worker, and 25 without.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};
use tokio_util::task::TaskTracker;

use super::tasks::Tasks;
use crate::metrics::Cycles;
use crate::server::Server;

/// The running workers. Dropping them without [`join`](Self::join) leaves
/// them running until the token is cancelled.
pub struct Workers {
    workers: Vec<Worker>,
    timekeeper: Handle,
    threads: Vec<JoinHandle<()>>,
    listening: TaskTracker,
}

/// One of them.
#[derive(Clone)]
pub struct Worker {
    /// Its runtime.
    handle: Handle,
    tasks: Arc<Tasks>,
}

/// Hands out workers in turn.
pub struct RoundRobin {
    workers: Vec<Worker>,
    next: AtomicUsize,
}

impl Worker {
    /// Has it run a task, such as a connection.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + Unpin + 'static) {
        self.tasks.spawn(task);
    }

    /// What its event loop has done.
    fn cycles(&self) -> Cycles {
        let runtime = self.handle.metrics();
        // A runtime of one thread waits once in each cycle.
        let mut cycles = Cycles {
            count: runtime.worker_park_count(0),
            busy: runtime.worker_total_busy_duration(0),
        };
        cycles += self.tasks.cycles_beside();
        cycles
    }

    /// What is made now is registered with its runtime.
    pub fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }
}

impl Workers {
    /// Starts `count` threads that run until the server is over.
    ///
    /// # Errors
    ///
    /// The system refuses a thread or an event queue. The server is over
    /// then.
    pub fn start(count: usize, server: &Server) -> io::Result<Workers> {
        let mut threads = Vec::new();
        let listening = TaskTracker::new();
        // It takes tasks nevertheless; who waits for none of them need not wait.
        listening.close();
        match start(count, server, &listening, &mut threads) {
            Ok((workers, timekeeper)) => {
                let workers = Workers {
                    workers,
                    timekeeper,
                    threads,
                    listening,
                };
                let each = workers.workers.clone();
                server.metrics.event_loops.watch(move || {
                    let mut all = Cycles::default();
                    each.iter().for_each(|worker| all += worker.cycles());
                    all
                });
                Ok(workers)
            }
            Err(error) => {
                // Those that have started end before anybody hears of it.
                server.over.cancel();
                join(threads);
                Err(error)
            }
        }
    }

    /// The first worker, which also accepts connections.
    pub fn first(&self) -> &Worker {
        &self.workers[0]
    }

    /// Where to spawn what listens: connections end when all of that has ended.
    pub fn listening(&self) -> &TaskTracker {
        &self.listening
    }

    /// The runtimes of all of them.
    pub fn handles(&self) -> Vec<Handle> {
        let handles = self.workers.iter().map(|worker| worker.handle.clone());
        handles.collect()
    }

    /// All of them.
    pub fn all(&self) -> Vec<Worker> {
        self.workers.clone()
    }

    /// Where to spawn what waits for time, and for nothing else.
    pub fn timekeeper(&self) -> &Handle {
        &self.timekeeper
    }

    /// All workers in turn.
    pub fn round_robin(&self) -> RoundRobin {
        RoundRobin {
            workers: self.workers.clone(),
            next: AtomicUsize::new(0),
        }
    }

    /// Waits until all threads have ended.
    pub fn join(self) {
        join(self.threads);
    }
}

impl RoundRobin {
    /// The next worker, and whether that is the first one.
    pub fn next(&self) -> (&Worker, bool) {
        let index = self.next.fetch_add(1, Relaxed) % self.workers.len();
        (&self.workers[index], index == 0)
    }
}

/// Starts all threads; what has been started before an error is in `threads`.
fn start(
    count: usize,
    server: &Server,
    listening: &TaskTracker,
    threads: &mut Vec<JoinHandle<()>>,
) -> io::Result<(Vec<Worker>, Handle)> {
    let mut start = |name: String, runtime: io::Result<Runtime>| {
        let runtime = runtime?;
        let tasks = Arc::new(Tasks::default());
        let worker = Worker {
            handle: runtime.handle().clone(),
            tasks: tasks.clone(),
        };
        let clock = server.clock.clone();
        let (over, ending) = (server.over.clone(), tasks.clone());
        let listening = listening.clone();
        runtime.spawn(async move {
            over.cancelled().await;
            // Whoever is cut off and comes again at once is to find that nobody listens, as with
            // Redis, and not to be cut off once more: redis-py 6.2 gives up then.
            listening.wait().await;
            ending.end();
        });
        let thread = std::thread::Builder::new().name(name);
        threads.push(thread.spawn(move || tasks.run(runtime, clock))?);
        io::Result::Ok(worker)
    };
    let mut workers = Vec::new();
    for index in 0..count {
        let runtime = Builder::new_current_thread().enable_all().build();
        workers.push(start(format!("respd-{index}"), runtime)?);
    }
    let mut runtime = Builder::new_current_thread();
    // The name is that of the thread beside it, for what would hold it up.
    let runtime = runtime.enable_time().thread_name("respd-beside").build();
    let timekeeper = start("respd-time".into(), runtime)?;
    Ok((workers, timekeeper.handle))
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        // A thread that panicked has ended, too; the panic is on record.
        let _ = thread.join();
    }
}
