//! Threads of the broker's own, each with a single-threaded runtime. A
//! connection stays with its worker.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;

/// The running workers. Dropping them without [`join`](Self::join) leaves
/// them running until the token is cancelled.
pub struct Workers {
    handles: Vec<Handle>,
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
    pub fn start(count: usize, shutdown: &CancellationToken) -> io::Result<Workers> {
        let mut workers = Workers {
            handles: Vec::new(),
            threads: Vec::new(),
        };
        match (0..count).try_for_each(|index| workers.add(index, shutdown)) {
            Ok(()) => Ok(workers),
            Err(error) => {
                // Those that have started end before anybody hears of it.
                shutdown.cancel();
                workers.join();
                Err(error)
            }
        }
    }

    fn add(&mut self, index: usize, shutdown: &CancellationToken) -> io::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let shutdown = shutdown.clone();
        let thread = std::thread::Builder::new().name(format!("respd-{index}"));
        self.threads
            .push(thread.spawn(move || run(runtime, &shutdown))?);
        self.handles.push(handle);
        Ok(())
    }

    /// The first worker, which also accepts connections and keeps time.
    pub fn first(&self) -> &Handle {
        &self.handles[0]
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
        for thread in self.threads {
            // A thread that panicked has ended, too; the panic is on record.
            let _ = thread.join();
        }
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

/// Runs tasks until the end; what still runs then is dropped with the runtime,
/// connections included.
fn run(runtime: Runtime, shutdown: &CancellationToken) {
    runtime.block_on(shutdown.cancelled());
}
