//! What time it is, and waiting for a time. Nobody else asks the system, so
//! that one clock can be handed to everything.

use std::future::Future;
use std::pin::Pin;
#[cfg(test)]
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::time::Sleep;

/// Wall-clock time, which TTLs follow, and monotonic time, which timeouts and
/// durations follow.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    /// By how many milliseconds a test has set the wall clock.
    #[cfg(test)]
    set_by: &'static AtomicI64,
}

/// Longer than a process lives, and short enough for the system to add.
const FOREVER: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Clock {
        Clock {
            start: Instant::now(),
            // There is one for each broker of a test, and the clock is copied.
            #[cfg(test)]
            set_by: Box::leak(Box::default()),
        }
    }

    /// Since 1970.
    pub fn wall(self) -> Duration {
        let wall = SystemTime::now();
        #[cfg(test)]
        let wall = self.set(wall);
        wall.duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    /// Milliseconds since 1970.
    pub fn now_ms(self) -> i64 {
        self.wall().as_millis() as i64
    }

    /// Since the broker started; it never runs backwards.
    pub fn uptime(self) -> Duration {
        self.start.elapsed()
    }

    /// A timer that ends no earlier than `deadline`, in time since the broker's
    /// start.
    pub fn timer(self, deadline: Duration) -> Timer {
        let at = self.start + deadline.min(FOREVER);
        Timer(Box::pin(tokio::time::sleep_until(at.into())))
    }

    /// Waits for so long.
    pub async fn sleep(self, time: Duration) {
        tokio::time::sleep(time.min(FOREVER)).await;
    }

    /// Has the thread sleep until it is woken, or for no reason, or until
    /// `deadline`, in time since the broker's start; false if that has passed.
    pub fn park(self, deadline: Option<Duration>) -> bool {
        let left = deadline.map(|deadline| deadline.saturating_sub(self.uptime()));
        match left {
            None => std::thread::park(),
            Some(Duration::ZERO) => return false,
            Some(left) => std::thread::park_timeout(left),
        }
        true
    }

    /// Has the thread sleep for so long, whatever happens.
    pub fn sleep_thread(self, time: Duration) {
        std::thread::sleep(time);
    }
}

#[cfg(test)]
impl Clock {
    /// Has the wall clock tell another time from now on, as when somebody sets
    /// it: so many milliseconds from that of the machine.
    pub fn set_wall(self, millis: i64) {
        self.set_by.store(millis, Relaxed);
    }

    fn set(self, wall: SystemTime) -> SystemTime {
        let millis = self.set_by.load(Relaxed);
        let by = Duration::from_millis(millis.unsigned_abs());
        match millis {
            0.. => wall + by,
            _ => wall - by,
        }
    }
}

/// A future that is ready when its time has come.
#[derive(Debug)]
pub struct Timer(Pin<Box<Sleep>>);

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}
