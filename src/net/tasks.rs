//! The tasks of a worker's connections, which the worker polls itself.
//!
//! A script may run for ever, and others are to be told so meanwhile, by the
//! same worker. A runtime cannot go on while something within it is polled. So
//! what may take long is polled between two runs of the runtime, and has it run
//! for a moment now and then. Where no scripts run, tasks are polled within the
//! runtime: to leave it and come back takes 900 instructions, a fifth of a
//! single GET. Where they run, tasks are polled beside it for a while: to be
//! found out within it, and polled again, takes five times as much.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_task::Runnable;
use parking_lot::Mutex;
use slab::Slab;
use tokio::runtime::Runtime;
use tokio::task::coop::unconstrained;

use crate::clock::Clock;
use crate::metrics::Cycles;

/// Tasks that run before the sockets are looked at again: within the runtime,
/// and beside it, where each may take long.
const BEFORE_SOCKETS: usize = 61;
const BESIDE_BEFORE_SOCKETS: usize = 16;
/// Once something took long, the tasks of so many looks at the sockets run
/// beside the runtime.
const LOOKS_BESIDE: u32 = 100;

/// The tasks of one worker, to all threads.
#[derive(Default)]
pub struct Tasks {
    elsewhere: Mutex<Elsewhere>,
    /// Other threads have woken some.
    any_woken: AtomicBool,
    /// All there are.
    all: Mutex<Slab<Waker>>,
    /// They are to end.
    over: AtomicBool,
    /// How often they have run beside the runtime, and for how long.
    runs_beside: AtomicU64,
    nanos_beside: AtomicU64,
}

/// What other threads have to do with it.
#[derive(Default)]
struct Elsewhere {
    /// The tasks that they have woken.
    woken: Vec<Runnable>,
    /// Wakes the worker.
    worker: Option<Waker>,
    /// The worker's thread has dropped them all, and looks no more.
    closed: bool,
}

/// What only the worker's thread has.
struct Here {
    tasks: Arc<Tasks>,
    runtime: Runtime,
    clock: Clock,
    /// The tasks that are to run.
    ready: RefCell<VecDeque<Runnable>>,
    /// Those that are to be woken when the sockets have been looked at.
    after_sockets: RefCell<Vec<Waker>>,
    /// Wakes the worker, which may sleep in the runtime.
    worker: RefCell<Option<Waker>>,
    may_sleep: Cell<bool>,
    /// The tasks of so many looks at the sockets are to run beside the runtime.
    looks_beside: Cell<u32>,
    /// They run there now.
    is_beside: Cell<bool>,
    /// How many times one has run.
    runs: Cell<u64>,
}

thread_local! {
    static HERE: RefCell<Option<Rc<Here>>> = const { RefCell::new(None) };
}

/// One of the tasks.
struct Member<F> {
    future: F,
    tasks: Arc<Tasks>,
    key: usize,
}

impl<F: Future<Output = ()> + Unpin> Future for Member<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.future).poll(cx)
    }
}

impl<F> Drop for Member<F> {
    fn drop(&mut self) {
        let forgotten = self.tasks.all.lock().try_remove(self.key);
        drop(forgotten);
    }
}

impl Tasks {
    /// Adds a task, which the worker runs.
    pub fn spawn(self: &Arc<Self>, future: impl Future<Output = ()> + Unpin + Send + 'static) {
        let mut all = self.all.lock();
        let entry = all.vacant_entry();
        let member = Member {
            future,
            tasks: self.clone(),
            key: entry.key(),
        };
        let tasks = self.clone();
        let (runnable, task) = async_task::spawn(member, move |runnable| tasks.wake(runnable));
        task.detach();
        entry.insert(runnable.waker());
        drop(all);
        runnable.schedule();
    }

    /// Has a task run.
    fn wake(&self, runnable: Runnable) {
        let elsewhere = HERE.with_borrow(|here| match here {
            Some(here) if std::ptr::eq(&*here.tasks, self) => {
                here.ready.borrow_mut().push_back(runnable);
                here.wake_worker();
                None
            }
            _ => Some(runnable),
        });
        let Some(runnable) = elsewhere else {
            return;
        };
        let mut elsewhere = self.elsewhere.lock();
        if elsewhere.closed {
            drop(elsewhere);
            // It was spawned just now. Others are dropped by the worker's thread alone: who wakes
            // them may hold locks that what they hold takes when it is dropped.
            return drop(runnable);
        }
        elsewhere.woken.push(runnable);
        self.any_woken.store(true, Relaxed);
        let worker = elsewhere.worker.clone();
        drop(elsewhere);
        if let Some(worker) = worker {
            worker.wake();
        }
    }

    /// Has the worker's thread end, and its tasks with it.
    pub fn end(&self) {
        let mut elsewhere = self.elsewhere.lock();
        self.over.store(true, Relaxed);
        let worker = elsewhere.worker.take();
        drop(elsewhere);
        if let Some(worker) = worker {
            worker.wake();
        }
    }

    /// What the worker has done beside the runtime, which does not count it.
    pub fn cycles_beside(&self) -> Cycles {
        Cycles {
            count: self.runs_beside.load(Relaxed),
            busy: Duration::from_nanos(self.nanos_beside.load(Relaxed)),
        }
    }

    fn note_beside(&self, time: Duration) {
        self.runs_beside.fetch_add(1, Relaxed);
        let nanos = time.as_nanos() as u64;
        self.nanos_beside.fetch_add(nanos, Relaxed);
    }

    /// Runs tasks on this thread until they are to end.
    pub fn run(self: Arc<Self>, runtime: Runtime, clock: Clock) {
        let here = Rc::new(Here {
            tasks: self.clone(),
            runtime,
            clock,
            ready: RefCell::default(),
            after_sockets: RefCell::default(),
            worker: RefCell::default(),
            may_sleep: Cell::new(false),
            looks_beside: Cell::new(0),
            is_beside: Cell::new(false),
            runs: Cell::new(0),
        });
        HERE.set(Some(here.clone()));
        // What tasks make, timers for instance, is the runtime's.
        let context = here.runtime.enter();
        while here.run(pin!(std::future::pending())) {
            // Who asked for it may still have others before it.
            if here.ready.borrow().is_empty() {
                let left = here.looks_beside.get() - 1;
                here.looks_beside.set(left);
            }
        }
        loop {
            // A task that has been woken and is not run is dropped.
            let all = std::mem::take(&mut *self.all.lock());
            all.into_iter().for_each(|(_, waker)| waker.wake());
            while let Some(runnable) = here.next() {
                drop(runnable);
            }
            let mut elsewhere = self.elsewhere.lock();
            if elsewhere.woken.is_empty() {
                elsewhere.closed = true;
                break;
            }
        }
        drop(context);
        HERE.set(None);
    }
}

impl Here {
    /// Has the worker look at its tasks if it may be sleeping.
    fn wake_worker(&self) {
        if self.may_sleep.get()
            && let Some(worker) = &*self.worker.borrow()
        {
            worker.wake_by_ref();
        }
    }

    /// Looks at the sockets and runs tasks, again and again within the runtime,
    /// once beside it; answers whether there is more to do: `until` has not
    /// come, and the tasks are not to end.
    fn run(&self, mut until: Pin<&mut impl Future<Output = ()>>) -> bool {
        let mut has_looked = false;
        self.may_sleep.set(true);
        let goes_on = self.runtime.block_on(unconstrained(poll_fn(|cx| {
            if self.tasks.over.load(Relaxed) {
                return Poll::Ready(false);
            }
            if has_looked {
                let after_sockets = self.after_sockets.take();
                after_sockets.into_iter().for_each(Waker::wake);
                if self.looks_beside.get() == 0 {
                    self.may_sleep.set(false);
                    self.run_ready();
                    self.may_sleep.set(true);
                }
                if self.looks_beside.get() > 0 && !self.is_idle() {
                    return Poll::Ready(true);
                }
            } else {
                has_looked = true;
                self.note_worker(cx.waker());
            }
            if !self.is_idle() {
                cx.waker().wake_by_ref();
            }
            until.as_mut().poll(cx).map(|()| false)
        })));
        self.may_sleep.set(false);
        if goes_on {
            let was_beside = self.is_beside.replace(true);
            let begun = self.clock.machine();
            self.run_ready();
            self.tasks
                .note_beside(self.clock.machine().saturating_sub(begun));
            self.is_beside.set(was_beside);
        }
        goes_on
    }

    /// Whether no task is to run.
    fn is_idle(&self) -> bool {
        self.ready.borrow().is_empty()
            && self.after_sockets.borrow().is_empty()
            && !self.tasks.any_woken.load(Relaxed)
    }

    /// The runtime wakes what it runs by the same waker each time.
    fn note_worker(&self, waker: &Waker) {
        let mut worker = self.worker.borrow_mut();
        if worker.is_none() {
            *worker = Some(waker.clone());
            self.tasks.elsewhere.lock().worker = Some(waker.clone());
        }
    }

    /// The next task that is to run.
    fn next(&self) -> Option<Runnable> {
        if self.tasks.any_woken.load(Relaxed) {
            let mut elsewhere = self.tasks.elsewhere.lock();
            self.tasks.any_woken.store(false, Relaxed);
            self.ready.borrow_mut().extend(elsewhere.woken.drain(..));
        }
        self.ready.borrow_mut().pop_front()
    }

    /// Runs tasks, until the sockets are to be looked at again, or they are to
    /// run beside the runtime.
    fn run_ready(&self) {
        let count = match self.is_beside.get() {
            true => BESIDE_BEFORE_SOCKETS,
            false => BEFORE_SOCKETS,
        };
        for _ in 0..count {
            if self.looks_beside.get() > 0 && !self.is_beside.get() {
                return;
            }
            let Some(runnable) = self.next() else {
                return;
            };
            self.runs.set(self.runs.get() + 1);
            // The panic is on record, and ends this task alone.
            let _ = catch_unwind(AssertUnwindSafe(|| runnable.run()));
        }
    }
}

/// Whether what takes long may run: others can be served meanwhile, by
/// [`run_others`]. Otherwise a task is to [`go_beside`].
pub fn is_beside() -> bool {
    HERE.with_borrow(|here| here.as_ref().is_none_or(|here| here.is_beside.get()))
}

/// Has tasks run where what takes long may: the one that runs is to be polled
/// again.
pub fn go_beside() {
    HERE.with_borrow(|here| {
        if let Some(here) = here {
            here.looks_beside.set(LOOKS_BESIDE);
        }
    });
}

/// Runs the other tasks of this thread's worker, until `until` has come.
pub fn run_others(until: impl Future<Output = ()>) {
    let here = HERE.with_borrow(Clone::clone);
    if let Some(here) = here {
        let mut until = pin!(until);
        while here.run(until.as_mut()) {}
    }
}

/// What a worker has done, and whether it has more to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// How many times a task of others than who looks has run.
    runs: u64,
    /// None is to run.
    pub is_idle: bool,
}

/// Looks at this thread's worker, once for each task that does.
pub fn look() -> Option<Look> {
    HERE.with_borrow(|here| {
        let here = here.as_ref()?;
        let runs = here.runs.get() - 1;
        // To look is not to run.
        here.runs.set(runs);
        let is_idle = here.is_idle();
        Some(Look { runs, is_idle })
    })
}

/// Has the task polled again when the others have had their turn, those
/// included whose sockets have not been looked at yet.
pub fn after_all_others(cx: &Context<'_>) {
    let is_here = HERE.with_borrow(|here| {
        let here = here.as_ref()?;
        here.after_sockets.borrow_mut().push(cx.waker().clone());
        Some(())
    });
    if is_here.is_none() {
        cx.waker().wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::thread::JoinHandle;

    use tokio::runtime::Builder;
    use tokio::sync::Notify;

    use super::*;

    fn worker() -> (Arc<Tasks>, JoinHandle<()>) {
        let tasks = Arc::new(Tasks::default());
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let run = tasks.clone();
        (
            tasks,
            std::thread::spawn(move || run.run(runtime, Clock::system())),
        )
    }

    fn end((tasks, thread): (Arc<Tasks>, JoinHandle<()>)) {
        tasks.end();
        thread.join().unwrap();
        assert!(tasks.all.lock().is_empty(), "a task is left");
    }

    /// Tells when it is dropped.
    struct Held(Sender<&'static str>);

    impl Drop for Held {
        fn drop(&mut self) {
            let _ = self.0.send("dropped");
        }
    }

    #[test]
    fn tasks_go_on_when_other_threads_wake_them_and_are_dropped_at_the_end() {
        let worker = worker();
        let (said, heard) = channel();
        let notify = Arc::new(Notify::new());
        let (held, wait) = (Held(said), notify.clone());
        worker.0.spawn(Box::pin(async move {
            loop {
                wait.notified().await;
                held.0.send("woken").unwrap();
            }
        }));
        for _ in 0..3 {
            notify.notify_one();
            assert_eq!(heard.recv(), Ok("woken"));
        }
        end(worker);
        assert_eq!(heard.recv(), Ok("dropped"));
        assert!(heard.recv().is_err());
    }

    #[test]
    fn a_task_that_is_woken_at_the_end_is_dropped_by_its_worker() {
        let tasks = Arc::new(Tasks::default());
        tasks.end();
        let (said, heard) = channel();
        let held = Held(said);
        tasks.spawn(Box::pin(async move {
            let _held = held;
            std::future::pending::<()>().await;
        }));
        assert!(heard.try_recv().is_err(), "dropped by who has woken it");
        let runtime = Builder::new_current_thread().build().unwrap();
        tasks.clone().run(runtime, Clock::system());
        assert_eq!(heard.recv(), Ok("dropped"));
        assert!(tasks.all.lock().is_empty());
    }

    #[test]
    fn what_takes_long_has_its_turn_among_many_who_always_have_more_to_do() {
        let worker = worker();
        let is_done = Arc::new(AtomicBool::new(false));
        for _ in 0..2 * BEFORE_SOCKETS as u32 * LOOKS_BESIDE {
            let is_done = is_done.clone();
            worker.0.spawn(Box::pin(poll_fn(move |cx| {
                cx.waker().wake_by_ref();
                match is_done.load(Relaxed) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })));
        }
        let (said, heard) = channel();
        worker.0.spawn(Box::pin(poll_fn(move |cx| {
            if is_beside() {
                is_done.store(true, Relaxed);
                said.send("beside").unwrap();
                return Poll::Ready(());
            }
            go_beside();
            cx.waker().wake_by_ref();
            Poll::Pending
        })));
        let patience = std::time::Duration::from_secs(60);
        assert_eq!(heard.recv_timeout(patience), Ok("beside"));
        end(worker);
    }

    #[test]
    fn a_task_that_panics_ends_alone() {
        let worker = worker();
        let (said, heard) = channel();
        let held = Held(said.clone());
        worker.0.spawn(Box::pin(async move {
            let _held = held;
            panic!("a defect that a test has put here");
        }));
        assert_eq!(heard.recv(), Ok("dropped"));
        worker
            .0
            .spawn(Box::pin(async move { said.send("run").unwrap() }));
        assert_eq!(heard.recv(), Ok("run"));
        end(worker);
    }

    #[test]
    fn what_takes_long_runs_beside_the_runtime_and_others_meanwhile() {
        let worker = worker();
        let (said, heard) = channel();
        let other = Arc::new(Notify::new());
        let (to_other, from_other) = (other.clone(), said.clone());
        worker.0.spawn(Box::pin(async move {
            other.notified().await;
            from_other.send("the other").unwrap();
        }));
        let mut polled = 0;
        worker.0.spawn(Box::pin(poll_fn(move |cx| {
            polled += 1;
            if !is_beside() {
                said.send("within").unwrap();
                go_beside();
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            said.send("beside").unwrap();
            to_other.notify_one();
            run_others(tokio::time::sleep(std::time::Duration::from_millis(1)));
            said.send("done").unwrap();
            assert_eq!(polled, 2);
            Poll::Ready(())
        })));
        let heard: Vec<_> = heard.iter().collect();
        assert_eq!(heard, ["within", "beside", "the other", "done"]);
        end(worker);
    }
}
