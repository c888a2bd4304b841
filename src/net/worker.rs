//! Threads of the broker's own, each with a single-threaded runtime. A
//! connection stays with its worker.
//!
//! What waits for time alone runs on one more thread. A worker so sleeps until
//! something arrives, and the kernel need not set a timer each time and take it
//! back: beside each other, an item that a blocked client waits for took 29 µs
//! of CPU with housekeeping on the worker, and 25 without.

use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;

use super::aside;
use crate::clock::Clock;

/// While a script runs for long, others are served for so long at a time.
const MOMENT: Duration = Duration::from_millis(1);

/// The running workers. Dropping them without [`join`](Self::join) leaves
/// them running until the token is cancelled.
pub struct Workers {
    handles: Vec<Handle>,
    timekeeper: Handle,
    threads: Vec<JoinHandle<()>>,
}

/// Hands out workers in turn.
pub struct RoundRobin {
    handles: Vec<Handle>,
    next: AtomicUsize,
}

impl Workers {
    /// Starts `count` threads that run until `shutdown` is cancelled.
    ///
    /// # Errors
    ///
    /// The system refuses a thread or an event queue. `shutdown` is cancelled
    /// then.
    pub fn start(count: usize, clock: Clock, shutdown: &CancellationToken) -> io::Result<Workers> {
        let mut threads = Vec::new();
        match start(count, clock, shutdown, &mut threads) {
            Ok((handles, timekeeper)) => Ok(Workers {
                handles,
                timekeeper,
                threads,
            }),
            Err(error) => {
                // Those that have started end before anybody hears of it.
                shutdown.cancel();
                join(threads);
                Err(error)
            }
        }
    }

    /// The first worker, which also accepts connections.
    pub fn first(&self) -> &Handle {
        &self.handles[0]
    }

    /// All of them.
    pub fn all(&self) -> &[Handle] {
        &self.handles
    }

    /// Where to spawn what waits for time, and for nothing else.
    pub fn timekeeper(&self) -> &Handle {
        &self.timekeeper
    }

    /// All workers in turn.
    pub fn round_robin(&self) -> RoundRobin {
        RoundRobin {
            handles: self.handles.clone(),
            next: AtomicUsize::new(0),
        }
    }

    /// Waits until all threads have ended.
    pub fn join(self) {
        join(self.threads);
    }
}

impl RoundRobin {
    /// The next worker; `None` if there is only the one that asks.
    pub fn next(&self) -> Option<&Handle> {
        let count = self.handles.len();
        let index = self.next.fetch_add(1, Relaxed) % count;
        (index > 0).then(|| &self.handles[index])
    }
}

/// Starts all threads; what has been started before an error is in `threads`.
fn start(
    count: usize,
    clock: Clock,
    shutdown: &CancellationToken,
    threads: &mut Vec<JoinHandle<()>>,
) -> io::Result<(Vec<Handle>, Handle)> {
    let mut start = |name: String, runtime: io::Result<Runtime>| {
        let runtime = runtime?;
        let handle = runtime.handle().clone();
        let shutdown = shutdown.clone();
        let thread = std::thread::Builder::new().name(name);
        threads.push(thread.spawn(move || run(runtime, clock, &shutdown))?);
        io::Result::Ok(handle)
    };
    let mut workers = Vec::new();
    for index in 0..count {
        let runtime = Builder::new_current_thread().enable_all().build();
        workers.push(start(format!("respd-{index}"), runtime)?);
    }
    let mut runtime = Builder::new_current_thread();
    // The name is that of the thread beside it, for what would hold it up.
    let runtime = runtime.enable_time().thread_name("respd-beside").build();
    Ok((workers, start("respd-time".into(), runtime)?))
}

/// Runs tasks until the end, and what they have run beside them; what still
/// runs then is dropped with the runtime, connections included.
fn run(runtime: Runtime, clock: Clock, shutdown: &CancellationToken) {
    let mut over = pin!(shutdown.cancelled());
    while runtime.block_on(aside::wait(over.as_mut())) {
        // What is made beside the runtime, timers for instance, is still its.
        let _guard = runtime.enter();
        aside::run(&|| {
            runtime.block_on(async {
                aside::wake_done();
                clock.sleep(MOMENT).await;
            });
        });
    }
    aside::forget();
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        // A thread that panicked has ended, too; the panic is on record.
        let _ = thread.join();
    }
}
