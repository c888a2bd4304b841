//! What takes long runs beside the tasks of a worker, not within one.
//!
//! A script may run for ever, and others are to be told so meanwhile, by the
//! same worker. Its runtime cannot go on while it polls a task, so a connection
//! that comes to a script leaves its task. The worker takes it up between two
//! runs of the runtime, and while the script runs for long, lets the runtime
//! run for a moment now and then. The way there and back takes a third of a
//! microsecond.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::connection::{Connection, Polled};
use super::stream::Stream;
use crate::engine::Engine;
use crate::session::Session;

/// The task of a connection, which ends when that closes.
pub struct Task {
    /// `None` while it is away.
    connection: Option<Box<Connection>>,
    /// Where it comes back to; made when it leaves first.
    home: Option<Arc<Home>>,
}

/// Where a connection comes back to that has left its task.
#[derive(Default)]
struct Home(Mutex<Return>);

/// What has become of a connection that has left its task.
#[derive(Default)]
enum Return {
    /// It is away.
    #[default]
    Expected,
    /// It is back.
    Here(Box<Connection>),
    /// What it ran has panicked.
    Never,
}

/// A connection that has left its task.
struct Away {
    connection: Box<Connection>,
    home: Arc<Home>,
    waker: Waker,
}

/// The connections of this worker that have left their tasks.
#[derive(Default)]
struct Aside {
    waiting: VecDeque<Away>,
    /// They have run, and their tasks are to be woken.
    done: Vec<Waker>,
    /// Wakes the worker when one comes.
    worker: Option<Waker>,
}

thread_local! {
    static ASIDE: RefCell<Aside> = RefCell::default();
}

impl Task {
    /// Takes over an accepted socket, and the session that it was registered with.
    pub fn new(engine: Arc<Engine>, stream: Stream, session: Session) -> Task {
        Task {
            connection: Some(Box::new(Connection::new(engine, stream, session))),
            home: None,
        }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if let (None, Some(home)) = (&this.connection, &this.home) {
            match std::mem::take(&mut *home.0.lock()) {
                Return::Expected => return Poll::Pending,
                Return::Here(connection) => this.connection = Some(connection),
                Return::Never => return Poll::Ready(()),
            }
        }
        let Some(connection) = &mut this.connection else {
            return Poll::Ready(());
        };
        match connection.poll(cx) {
            Polled::Pending => Poll::Pending,
            Polled::Closed => Poll::Ready(()),
            Polled::Aside => {
                let home = this.home.get_or_insert_default().clone();
                let waker = cx.waker().clone();
                if let Some(connection) = this.connection.take() {
                    leave(Away {
                        connection,
                        home,
                        waker,
                    });
                }
                Poll::Pending
            }
        }
    }
}

/// Hands a connection to the worker.
fn leave(away: Away) {
    ASIDE.with_borrow_mut(|aside| {
        aside.waiting.push_back(away);
        if let Some(worker) = aside.worker.take() {
            worker.wake();
        }
    });
}

/// Runs until a connection has left its task, which is true, or `over` is.
pub async fn wait(mut over: Pin<&mut impl Future<Output = ()>>) -> bool {
    poll_fn(|cx| {
        if over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(false);
        }
        wake_done();
        ASIDE.with_borrow_mut(|aside| {
            if !aside.waiting.is_empty() {
                return Poll::Ready(true);
            }
            aside.worker = Some(cx.waker().clone());
            Poll::Pending
        })
    })
    .await
}

/// Wakes the tasks whose connections have come back. Within the runtime that
/// takes no call of the system.
pub fn wake_done() {
    let done = ASIDE.with_borrow_mut(|aside| std::mem::take(&mut aside.done));
    done.into_iter().for_each(Waker::wake);
}

/// Runs what the connections that have left their tasks are about to run, one
/// after the other. `serve` has the runtime run for a moment.
pub fn run(serve: &dyn Fn()) {
    while let Some(mut away) = ASIDE.with_borrow_mut(|aside| aside.waiting.pop_front()) {
        let meanwhile = || {
            // Those that wait to run a script as well are told that one runs.
            run(&|| ());
            serve();
        };
        let connection = &mut away.connection;
        let ran = catch_unwind(AssertUnwindSafe(|| connection.run_aside(&meanwhile)));
        *away.home.0.lock() = match ran {
            Ok(()) => Return::Here(away.connection),
            // The panic is on record, and ends this connection alone.
            Err(_) => Return::Never,
        };
        ASIDE.with_borrow_mut(|aside| aside.done.push(away.waker));
    }
}

/// Drops what is left at the end.
pub fn forget() {
    drop(ASIDE.take());
}
