//! What the keyspace needs done that nobody waits for: keys whose time has
//! come, and what clients that have gone leave behind.
//!
//! It is done in steps, each shorter than anybody notices. Between two steps
//! the lock goes to whoever waits for it: taken again at once, it would be had
//! by nobody else for as long as there is something to do, because a thread
//! that is being woken always comes too late.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use parking_lot::MutexGuard;

use super::{Engine, settle};

/// What one step takes at most, about. Somebody who comes just after it has
/// begun waits so long, and for a thread to be woken.
const STEP: Duration = Duration::from_micros(250);
/// So much is done between two looks at the clock.
const AT_ONCE: usize = 32;

/// Keeps the keyspace up until the task is dropped.
pub async fn run(engine: &Engine) {
    loop {
        match step(engine) {
            Some(Duration::ZERO) => tokio::task::yield_now().await,
            Some(wait) => tokio::select! {
                () = engine.woken.notified() => {}
                () = engine.server.clock.sleep(wait) => {}
            },
            None => engine.woken.notified().await,
        }
    }
}

/// Does one step; answers after how long to look again, or `None` if there is
/// nothing to wait for.
fn step(engine: &Engine) -> Option<Duration> {
    let server = &engine.server;
    let mut state = engine.lock();
    let (now, start) = (server.clock.now_ms(), server.clock.uptime());
    server.pause.end_if_over(start);
    let paused_until = server.pause.until(start);
    let expires = paused_until.is_none() && server.active_expire.load(Relaxed);
    let mut more = true;
    while more && server.clock.uptime().saturating_sub(start) < STEP {
        more = false;
        if expires {
            more = state.keyspace.expire_due(now, AT_ONCE) == AT_ONCE;
            settle::settle(server, &mut state, now, start);
        }
        state.watchers.take_down(AT_ONCE);
        state.waiters.take_down(AT_ONCE);
        more |= state.has_litter();
    }
    if !more {
        state.note_observers();
    }
    let due = state.keyspace.next_expiry();
    let next = if more { Some(now) } else { due };
    let next = next.filter(|_| more || expires);
    let resumes = paused_until.map(|until| until.saturating_sub(start));
    let wakes_at = resumes.map(|after| now.saturating_add(after.as_millis() as i64));
    let wakes_at = [next, wakes_at].into_iter().flatten().min();
    engine.wakes_at.store(wakes_at.unwrap_or(i64::MAX), Relaxed);
    MutexGuard::unlock_fair(state);
    // The wall clock may be set while we sleep: look at least once a minute.
    wakes_at.map(|at| Duration::from_millis((at - now).clamp(0, 60_000) as u64))
}
