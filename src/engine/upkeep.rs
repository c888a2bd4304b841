//! What the keyspace needs done that nobody waits for: keys whose time has
//! come, what was removed and is large, and what clients that have gone leave
//! behind.
//!
//! It is done in steps, each shorter than anybody notices. Between two steps
//! the lock goes to whoever waits for it: taken again at once, it would be had
//! by nobody else for as long as there is something to do, because a thread
//! that is being woken always comes too late.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use parking_lot::MutexGuard;

use super::Engine;
use super::room::{self, Room};
use super::settle::{self, Now};
use crate::db::FirstDue;

/// What one step takes at most, about. Somebody who comes just after it has
/// begun waits so long, and for a thread to be woken.
const STEP: Duration = Duration::from_micros(250);
/// What has panicked once may do so again.
const AFTER_PANIC: Duration = Duration::from_secs(1);
/// While a script runs for long that lets others look, nothing changes.
const WHILE_INTERRUPTED: Duration = Duration::from_millis(10);
/// So much is done between two looks at the clock.
const AT_ONCE: usize = 32;

/// What is to be done after a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    /// There is more to do.
    GoOn,
    /// It could not be done, and is to be tried again after this time of the
    /// machine's.
    TryAgain(Duration),
    /// There is something to do after this time.
    Wait(Duration),
    /// There is nothing to wait for.
    Rest,
}

/// Keeps the keyspace up until the task is dropped.
pub async fn run(engine: &Engine) {
    let clock = &engine.server.clock;
    loop {
        match try_step(engine).0 {
            Next::GoOn => tokio::task::yield_now().await,
            Next::Rest => engine.woken.notified().await,
            Next::TryAgain(wait) => tokio::select! {
                () = engine.woken.notified() => {}
                () = clock.sleep(wait) => {}
            },
            Next::Wait(wait) => tokio::select! {
                () = engine.woken.notified() => {}
                () = clock.timer(clock.uptime() + wait, None) => {}
            },
        }
    }
}

/// Does all that is to be done now; answers whether a client has been handed
/// something. A script that runs for long is waited for.
pub(super) async fn catch_up(engine: &Engine) -> bool {
    let mut reached = false;
    loop {
        let (next, reached_now) = try_step(engine);
        reached |= reached_now;
        match next {
            Next::GoOn => tokio::task::yield_now().await,
            Next::TryAgain(wait) => engine.server.clock.sleep(wait).await,
            Next::Wait(_) | Next::Rest => return reached,
        }
    }
}

/// What expires first, if anything does as long as nobody changes anything.
pub(super) async fn first_due(engine: &Engine) -> Option<FirstDue> {
    loop {
        {
            let server = &engine.server;
            let mut state = engine.lock();
            let paused = server.pause.until(server.clock.uptime()).is_some();
            if paused || !server.active_expire.load(Relaxed) {
                return None;
            }
            let mut budget = AT_ONCE * AT_ONCE;
            let first = state.keyspace.first_due(&mut budget);
            if first.is_some() || budget > 0 {
                return first;
            }
            MutexGuard::unlock_fair(state);
        }
        tokio::task::yield_now().await;
    }
}

/// Does one step, even if one has panicked.
fn try_step(engine: &Engine) -> (Next, bool) {
    let done = catch_unwind(AssertUnwindSafe(|| {
        // Subscriptions need no keyspace, so nobody is to wait for both.
        let left = engine.server.pubsub.take_down(AT_ONCE);
        let (next, reached) = step(engine);
        (if left { Next::GoOn } else { next }, reached)
    }));
    done.unwrap_or_else(|_| {
        // The panic is on record. Whatever it was, other keys still expire.
        engine.lock().abandon();
        (Next::TryAgain(AFTER_PANIC), true)
    })
}

/// Does one step; answers what is to be done next, and whether a client has
/// been handed something.
fn step(engine: &Engine) -> (Next, bool) {
    let server = &engine.server;
    let mut state = engine.lock();
    if state.interrupted {
        return (Next::TryAgain(WHILE_INTERRUPTED), false);
    }
    let begun = server.clock.machine();
    let (now, start) = (server.clock.now_ms(), server.clock.at(begun));
    let mut reached = server.pause.end_if_over(start);
    let paused_until = server.pause.until(start);
    let expires = paused_until.is_none() && server.active_expire.load(Relaxed);
    let time = Now {
        wall: now,
        uptime: start,
    };
    let (mut more, mut overdue) = (true, false);
    while more && server.clock.machine().saturating_sub(begun) < STEP {
        more = false;
        if expires {
            let since = server.clock.machine();
            overdue = state.keyspace.expire_due(now, AT_ONCE);
            more = overdue;
            reached |= settle::settle(server, &mut state, None, time);
            let took = server.clock.machine().saturating_sub(since);
            state.keyspace.stats.expiry_time += took;
        }
        if state.evictor.pending && paused_until.is_none() {
            more |= room::free(server, &mut state, time, STEP / 4) == Room::Pending;
            reached |= settle::settle(server, &mut state, None, time);
        }
        state.watchers.take_down(AT_ONCE);
        state.waiters.take_down(AT_ONCE);
        state.keyspace.tidy(AT_ONCE);
        if state.tracking.has_litter() {
            let tracking = &mut state.tracking;
            reached |= settle::post(server, None, start, |post| tracking.tidy(AT_ONCE, post));
        }
        more |= state.has_litter();
    }
    state.keyspace.stats.expiry_interrupted += u64::from(overdue);
    if state.tracking.has_news() {
        let tracking = &mut state.tracking;
        reached |= settle::post(server, None, start, |post| tracking.broadcast(post));
    }
    if !more {
        state.note_observers();
    }
    if let Some(barriers) = &engine.barriers {
        barriers.look(server, Some(&state));
    }
    let due = state.keyspace.next_expiry().filter(|_| expires);
    let resumes = paused_until.map(|until| until.saturating_sub(start));
    let resumes = resumes.map(|after| now.saturating_add(after.as_millis() as i64));
    let wakes_at = [due, resumes].into_iter().flatten().min();
    let next = if more {
        i64::MIN
    } else {
        wakes_at.unwrap_or(i64::MAX)
    };
    engine.wakes_at.store(next, Relaxed);
    MutexGuard::unlock_fair(state);
    let next = match wakes_at {
        _ if more => Next::GoOn,
        // The wall clock may be set while we sleep: look at least once a second.
        Some(at) => Next::Wait(Duration::from_millis((at - now).clamp(1, 1000) as u64)),
        None => Next::Rest,
    };
    (next, reached)
}

/// Does all that is to be done now.
#[cfg(test)]
pub fn until_done(engine: &Engine) {
    let mut more = true;
    while more {
        more = engine.server.pubsub.take_down(AT_ONCE);
        more |= step(engine).0 == Next::GoOn;
    }
    engine.server.pubsub.trim();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pubsub::Target;
    use crate::testing::{client, engine};

    /// More than are taken down as soon as a client leaves.
    const MANY: usize = 1000;

    fn names(prefix: &str) -> String {
        let names = (0..MANY).map(|n| format!(" {prefix}{n}"));
        names.collect()
    }

    #[test]
    fn a_subscriber_that_has_gone_is_gone_at_once_and_is_taken_down_in_steps() {
        let engine = engine();
        let (mut leaver, mut other) = (client(&engine), client(&engine));
        other.line("SUBSCRIBE c1");
        leaver.line(&format!("SUBSCRIBE{}", names("c")));
        leaver.line(&format!("PSUBSCRIBE{}", names("c*")));
        leaver.line(&format!("SSUBSCRIBE{}", names("s")));
        drop(leaver);
        let pubsub = &engine.server.pubsub;
        let mut client = client(&engine);
        assert_eq!(client.line("PUBLISH c7 m"), ":0");
        assert_eq!(client.line("PUBLISH c1 m"), ":1");
        assert_eq!(client.line("SPUBLISH s7 m"), ":0");
        assert_eq!(client.line("PUBSUB NUMSUB c7"), "*2\r\n$2\r\nc7\r\n:0");
        assert_eq!(client.line("PUBSUB CHANNELS"), "*1\r\n$2\r\nc1");
        let mut steps = 1;
        while pubsub.take_down(AT_ONCE) {
            steps += 1;
        }
        assert!(steps >= 3 * MANY / AT_ONCE, "{steps} steps");
        let left = [Target::Channel, Target::Pattern, Target::ShardChannel];
        assert_eq!(left.map(|target| pubsub.count(target)), [1, 0, 0]);
    }

    #[test]
    fn a_long_list_that_was_removed_is_freed_later() {
        let engine = engine();
        let mut client = client(&engine);
        let elements = " 0123456789abcdef".repeat(MANY);
        for (line, objects) in [
            ("DEL list", 1),
            ("SET list v", 1),
            ("RENAME other list", 1),
            ("FLUSHALL", 2),
        ] {
            for _ in 0..200 {
                client.line(&format!("RPUSH list{elements}"));
            }
            client.line("SET other v");
            client.line(line);
            assert!(
                engine.lock().keyspace.garbage.memory() > 200 * MANY * 16,
                "{line}"
            );
            let info = client.line("INFO memory");
            assert!(
                info.contains(&format!("\r\nlazyfree_pending_objects:{objects}\r\n")),
                "{line}: {info}"
            );
            client.line("CONFIG RESETSTAT");
            until_done(&engine);
            let info = client.line("INFO memory");
            assert!(
                info.contains(&format!("\r\nlazyfreed_objects:{objects}\r\n")),
                "{line}: {info}"
            );
            assert!(engine.lock().keyspace.garbage.is_empty(), "{line}");
            client.line("DEL list");
        }
    }

    #[test]
    fn what_a_client_has_watched_is_taken_down_in_steps() {
        let engine = engine();
        let (mut leaver, mut other) = (client(&engine), client(&engine));
        let empty = engine.lock().watchers.memory();
        leaver.line(&format!("WATCH{}", names("k")));
        other.line("WATCH k5");
        let full = engine.lock().watchers.memory();
        drop(leaver);
        let mut steps = 0;
        while engine.lock().watchers.are_leaving() {
            engine.lock().watchers.take_down(AT_ONCE);
            steps += 1;
        }
        assert!(steps >= MANY / AT_ONCE, "{steps} steps");
        // The other one still watches.
        client(&engine).line("SET k5 v");
        other.line("MULTI");
        assert_eq!(other.line("EXEC"), "*-1");
        let left = engine.lock().watchers.memory();
        assert!(left < empty + (full - empty) / 20, "{empty} {full} {left}");
    }

    #[test]
    fn who_has_watched_many_keys_and_watches_anew_is_told_of_the_new_alone() {
        let engine = engine();
        let (mut watcher, mut other) = (client(&engine), client(&engine));
        watcher.line(&format!("WATCH{}", names("k")));
        watcher.line("UNWATCH");
        watcher.line("WATCH new");
        other.line("SET k1 v");
        watcher.line("MULTI");
        assert_eq!(watcher.line("EXEC"), "*0");
        watcher.line(&format!("WATCH{}", names("k")));
        watcher.line("UNWATCH");
        watcher.line("WATCH k1");
        other.line("SET k1 v");
        watcher.line("MULTI");
        assert_eq!(watcher.line("EXEC"), "*-1");
    }

    #[test]
    fn a_wait_that_has_ended_keeps_no_place_in_any_queue() {
        let engine = engine();
        let mut impatient = client(&engine);
        // It waits for many keys until its time is up, and then for one of
        // them again, behind another client.
        impatient.line(&format!("BLPOP{} 0.001", names("q")));
        let blocked = |engine: std::sync::Arc<Engine>| {
            std::thread::spawn(move || client(&engine).line("BLPOP q1 0"))
        };
        let wait_for = |count: usize| {
            while engine.lock().waiters.len() != count {
                std::thread::yield_now();
            }
        };
        let first = blocked(engine.clone());
        wait_for(1);
        let second = blocked(engine.clone());
        wait_for(2);
        let mut pusher = client(&engine);
        pusher.line("RPUSH q1 a");
        assert_eq!(first.join().unwrap(), "*2\r\n$2\r\nq1\r\n$1\r\na");
        pusher.line("RPUSH q1 b");
        assert_eq!(second.join().unwrap(), "*2\r\n$2\r\nq1\r\n$1\r\nb");
        while engine.lock().waiters.are_leaving() {
            engine.lock().waiters.take_down(AT_ONCE);
        }
        assert_eq!(engine.lock().waiters.key_count(), 0);
    }
}
