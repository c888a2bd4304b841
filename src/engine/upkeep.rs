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

/// What one step takes at most, about. Somebody who comes just after it has
/// begun waits so long, and for a thread to be woken.
const STEP: Duration = Duration::from_micros(250);
/// What has panicked once may do so again.
const AFTER_PANIC: Duration = Duration::from_secs(1);
/// While a script runs for long that lets others look, nothing changes.
const WHILE_INTERRUPTED: Duration = Duration::from_millis(10);
/// So much is done between two looks at the clock.
const AT_ONCE: usize = 32;

/// Keeps the keyspace up until the task is dropped.
pub async fn run(engine: &Engine) {
    loop {
        let next = catch_unwind(AssertUnwindSafe(|| {
            // Subscriptions need no keyspace, so nobody is to wait for both.
            let left = engine.server.pubsub.take_down(AT_ONCE);
            let next = step(engine);
            if left { Some(Duration::ZERO) } else { next }
        }));
        let next = next.unwrap_or_else(|_| {
            // The panic is on record. Whatever it was, other keys still expire.
            engine.lock().abandon();
            Some(AFTER_PANIC)
        });
        match next {
            Some(Duration::ZERO) => tokio::task::yield_now().await,
            None => engine.woken.notified().await,
            Some(wait) => tokio::select! {
                () = engine.woken.notified() => {}
                () = engine.server.clock.sleep(wait) => {}
            },
        }
    }
}

/// Does one step; answers after how long to look again, or `None` if there is
/// nothing to wait for.
fn step(engine: &Engine) -> Option<Duration> {
    let server = &engine.server;
    let mut state = engine.lock();
    if state.interrupted {
        return Some(WHILE_INTERRUPTED);
    }
    let (now, start) = (server.clock.now_ms(), server.clock.uptime());
    server.pause.end_if_over(start);
    let paused_until = server.pause.until(start);
    let expires = paused_until.is_none() && server.active_expire.load(Relaxed);
    let time = Now {
        wall: now,
        uptime: start,
    };
    let (mut more, mut overdue) = (true, false);
    while more && server.clock.uptime().saturating_sub(start) < STEP {
        more = false;
        if expires {
            let since = server.clock.uptime();
            overdue = state.keyspace.expire_due(now, AT_ONCE);
            more = overdue;
            settle::settle(server, &mut state, None, time);
            state.keyspace.stats.expiry_time += server.clock.uptime().saturating_sub(since);
        }
        if state.evictor.pending && paused_until.is_none() {
            more |= room::free(server, &mut state, time, STEP / 4) == Room::Pending;
            settle::settle(server, &mut state, None, time);
        }
        state.watchers.take_down(AT_ONCE);
        state.waiters.take_down(AT_ONCE);
        state.keyspace.tidy(AT_ONCE);
        if state.tracking.has_litter() {
            let tracking = &mut state.tracking;
            settle::post(server, None, start, |post| tracking.tidy(AT_ONCE, post));
        }
        more |= state.has_litter();
    }
    state.keyspace.stats.expiry_interrupted += u64::from(overdue);
    if state.tracking.has_news() {
        let tracking = &mut state.tracking;
        settle::post(server, None, start, |post| tracking.broadcast(post));
    }
    if !more {
        state.note_observers();
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
    if more {
        return Some(Duration::ZERO);
    }
    // The wall clock may be set while we sleep: look at least once a second.
    wakes_at.map(|at| Duration::from_millis((at - now).clamp(1, 1000) as u64))
}

/// Does all that is to be done now.
#[cfg(test)]
pub fn until_done(engine: &Engine) {
    let mut more = true;
    while more {
        more = engine.server.pubsub.take_down(AT_ONCE);
        more |= step(engine) == Some(Duration::ZERO);
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
