//! What time it is, and waiting for a time. Nobody else asks the system, so
//! that one clock can be handed to everything.
//!
//! There are two times. What is due, idle, dated or patient follows the
//! broker's, which has a [`Hand`] in a broker for tests: it can stand, and be
//! moved. What measures work, or bounds it, follows the machine's, which goes
//! its way: so long as nobody touches the hand, both are the same.

mod hand;
mod machine;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep_until};

pub use hand::{Alarm, END, Hand};
use machine::Machine;

/// Wall-clock time, which TTLs follow, and monotonic time, which timeouts and
/// durations follow.
#[derive(Clone, Debug)]
pub struct Clock {
    machine: Machine,
    hand: Option<Arc<Hand>>,
}

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Clock {
        Clock {
            machine: Machine::start(),
            hand: None,
        }
    }

    /// One that goes as that of the machine, until its hand is touched.
    pub fn with_hand() -> Clock {
        let machine = Machine::start();
        Clock {
            machine,
            hand: Some(Arc::new(Hand::new(machine))),
        }
    }

    /// What it is set with, if it is one that can be.
    pub fn hand(&self) -> Option<&Arc<Hand>> {
        self.hand.as_ref()
    }

    /// Since 1970.
    #[inline]
    pub fn wall(&self) -> Duration {
        match &self.hand {
            None => self.machine.wall(),
            Some(hand) => hand.wall(),
        }
    }

    /// Milliseconds since 1970.
    #[inline]
    pub fn now_ms(&self) -> i64 {
        self.wall().as_millis() as i64
    }

    /// Since the broker started; it never runs backwards.
    #[inline]
    pub fn uptime(&self) -> Duration {
        self.at(self.machine())
    }

    /// The machine's time since then, by which work is measured.
    #[inline]
    pub fn machine(&self) -> Duration {
        self.machine.uptime()
    }

    /// What [`uptime`](Self::uptime) is when it is so late by that.
    #[inline]
    pub fn at(&self, machine: Duration) -> Duration {
        match &self.hand {
            None => machine,
            Some(hand) => hand.uptime_at(machine),
        }
    }

    /// A timer that ends no earlier than `deadline`, in time since the broker's
    /// start. `client` is who waits for it; without one it is nothing that
    /// falls due.
    pub fn timer(&self, deadline: Duration, client: Option<u64>) -> Timer {
        Timer(match &self.hand {
            None => Waits::Machine(sleep_to(self.machine.moment(deadline))),
            Some(hand) => Waits::Hand(Box::new(ByHand {
                alarm: hand.alarm(deadline, client),
                sleep: None,
            })),
        })
    }

    /// Has `waker` woken when `deadline` has come while the hand is moved, and
    /// whenever it is touched. `client` is as with a timer. `None` if there is no
    /// hand.
    pub fn alarm(&self, deadline: Duration, client: Option<u64>, waker: &Waker) -> Option<Alarm> {
        let alarm = self.hand.as_ref()?.alarm(deadline, client);
        alarm.set_waker(waker);
        Some(alarm)
    }

    /// Waits for so long, by the machine's time.
    pub async fn sleep(&self, time: Duration) {
        tokio::time::sleep(machine::bounded(time)).await;
    }

    /// Has the thread sleep until it is woken, or for no reason, or until
    /// `deadline`, in time since the broker's start; false if that has passed.
    pub fn park(&self, deadline: Option<Duration>) -> bool {
        let left = deadline.map(|deadline| deadline.saturating_sub(self.uptime()));
        let stands = self.hand.as_ref().is_some_and(|hand| hand.stands());
        match left {
            Some(Duration::ZERO) => return false,
            // Whoever moves the hand rings.
            Some(left) if !stands => std::thread::park_timeout(left),
            None | Some(_) => std::thread::park(),
        }
        true
    }

    /// Has the thread sleep for so long, by the machine's time, whatever
    /// happens.
    pub fn sleep_thread(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// Wakes this thread, which [parks](Clock::park).
pub fn unpark() -> Waker {
    Waker::from(Arc::new(Unpark(std::thread::current())))
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn sleep_to(moment: Instant) -> Pin<Box<Sleep>> {
    Box::pin(sleep_until(moment.into()))
}

/// A future that is ready when its time has come.
#[derive(Debug)]
pub struct Timer(Waits);

#[derive(Debug)]
enum Waits {
    Machine(Pin<Box<Sleep>>),
    Hand(Box<ByHand>),
}

/// A timer of a clock that has a hand.
#[derive(Debug)]
struct ByHand {
    alarm: Alarm,
    /// Sleeps while time passes by itself.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Waits::Machine(sleep) => sleep.as_mut().poll(cx),
            Waits::Hand(timer) => timer.poll(cx),
        }
    }
}

impl ByHand {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // It is woken whenever the hand is touched, and sleeps anew then.
        self.alarm.set_waker(cx.waker());
        loop {
            let Some(moment) = self.alarm.rings_at() else {
                self.sleep = None;
                return Poll::Pending;
            };
            if moment <= Instant::now() {
                return Poll::Ready(());
            }
            let sleep = self.sleep.insert(sleep_to(moment));
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}
