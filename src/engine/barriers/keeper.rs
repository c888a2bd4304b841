//! The task that tells those who wait at barriers, and keeps their deadlines.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use parking_lot::MutexGuard;
use tokio::sync::oneshot;

use super::condition::{Condition, Sight};
use super::{Asker, Barriers, Unmet, Waiting};
use crate::engine::{Awaited, Engine, Turn};
use crate::error::Error;

/// What one look at those who have waited for too long takes at most, about:
/// what there is instead is found out while nobody else has the data.
const STEP: Duration = Duration::from_micros(250);

/// Tells those who wait, until the task is dropped.
pub fn run(engine: Arc<Engine>) -> impl Future<Output = ()> + Send {
    let end = End(engine);
    async move {
        let engine = &end.0;
        while let Some(barriers) = &engine.barriers {
            match barriers.tell(engine) {
                None => barriers.changed.notified().await,
                Some(Duration::ZERO) => tokio::task::yield_now().await,
                Some(left) => tokio::select! {
                    () = barriers.changed.notified() => {}
                    () = engine.server.clock.sleep(left) => {}
                },
            }
        }
    }
}

/// Nobody is told any more, and whoever waits is to know that.
struct End(Arc<Engine>);

impl Drop for End {
    fn drop(&mut self) {
        if let Some(barriers) = &self.0.barriers {
            let mut waits = barriers.waits.lock();
            waits.ended = true;
            let dropped = (
                std::mem::take(&mut waits.waiting),
                std::mem::take(&mut waits.met),
            );
            barriers.count.store(0, Relaxed);
            drop(waits);
            drop(dropped);
        }
    }
}

impl Barriers {
    /// Tells those who need not wait any more, or some of them. Answers after
    /// what time the next one has waited for too long.
    fn tell(&self, engine: &Engine) -> Option<Duration> {
        let server = &engine.server;
        let mut state = engine.lock();
        let mut waits = self.waits.lock();
        let now = server.clock.machine();
        let mut results: Vec<_> = waits.met.drain(..).map(|asker| (asker, Ok(()))).collect();
        let sight = Sight::new(server, Some(&state), &self.sent);
        let has_time = || server.clock.machine().saturating_sub(now) < STEP;
        let is_due = |waiting: &mut Waiting| waiting.deadline <= now && has_time();
        for waiting in waits.waiting.extract_if(.., is_due) {
            // What is so because of the time alone nobody has shown.
            let result = match waiting.condition.holds(&sight) {
                true => Ok(()),
                false => Err(waiting.unmet(&sight)),
            };
            results.push((waiting.asker, result));
        }
        self.count.store(waits.waiting.len(), Relaxed);
        state.awaited = waits.waiting.iter().any(|one| one.condition.is_of_data());
        state.note_observers();
        let next = waits.waiting.iter().map(|waiting| waiting.deadline).min();
        drop(waits);
        MutexGuard::unlock_fair(state);
        for (asker, result) in results {
            match asker {
                Asker::Client(awaited) => answer(engine, awaited, result),
                Asker::Program(tell) => tell(result),
            }
        }
        next.map(|deadline| deadline.saturating_sub(now))
    }
}

fn answer(engine: &Engine, awaited: Awaited, result: Result<(), Unmet>) {
    Turn::new(engine).answer(awaited, |reply| match result {
        Ok(()) => reply.ok(),
        Err(unmet) => reply.error(&Error::timed_out(&unmet.to_string())),
    });
}

impl Engine {
    /// Has `tell` called once `condition` holds, or has not `within` this time.
    /// Answers the number of the wait.
    pub fn when(
        &self,
        condition: Condition,
        within: Duration,
        tell: impl FnOnce(Result<(), Unmet>) + Send + 'static,
    ) -> Option<u64> {
        let barriers = self.barriers.as_ref()?;
        let mut state = self.lock();
        let asker = Asker::Program(Box::new(tell));
        Some(barriers.begin(&self.server, &mut state, (condition, within), asker))
    }

    /// Waits until `condition` holds, or has not `within` this time; `None` if
    /// the broker ends first.
    pub async fn until(
        self: Arc<Engine>,
        condition: Condition,
        within: Duration,
    ) -> Option<Result<(), Unmet>> {
        let (tell, told) = oneshot::channel();
        // Who asked may be gone.
        let number = self.when(condition, within, |result| _ = tell.send(result));
        let _place = Place {
            engine: &self,
            number,
        };
        told.await.ok()
    }
}

/// A place among those who wait, which is given up when nobody asks any more.
struct Place<'e> {
    engine: &'e Engine,
    number: Option<u64>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(barriers) = &self.engine.barriers {
            barriers.end(|waiting| Some(waiting.number) == self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::super::{Key, PATIENCE};
    use super::*;
    use crate::testing::{client, engine_for_tests};

    fn key() -> Key {
        Key {
            db: 0,
            key: b"k".to_vec(),
        }
    }

    #[test]
    fn who_does_not_ask_any_more_is_forgotten() {
        let engine = engine_for_tests();
        let count = || engine.barriers.as_ref().unwrap().count.load(Relaxed);
        {
            let mut waiting = pin!(engine.clone().until(Condition::Exists(key()), PATIENCE));
            let mut context = Context::from_waker(Waker::noop());
            assert!(waiting.as_mut().poll(&mut context).is_pending());
            assert_eq!(count(), 1);
        }
        assert_eq!(count(), 0);
    }

    #[test]
    fn many_who_have_waited_for_too_long_are_told_in_steps() {
        const WAITS: usize = 100;
        let engine = engine_for_tests();
        let names: String = (0..1000).map(|n| format!(" a-long-name-{n} v")).collect();
        client(&engine).line(&format!("MSET{names}"));
        let (tell, told) = std::sync::mpsc::channel();
        for _ in 0..WAITS {
            let tell = tell.clone();
            let told = move |result: Result<(), Unmet>| tell.send(result.is_err()).unwrap();
            engine.when(Condition::Exists(key()), Duration::ZERO, told);
        }
        let barriers = engine.barriers.as_ref().unwrap();
        assert_eq!(barriers.tell(&engine), Some(Duration::ZERO));
        assert!(told.try_iter().count() < WAITS);
        while barriers.tell(&engine).is_some() {}
        assert!(told.try_iter().all(|is_unmet| is_unmet));
        assert_eq!(barriers.count.load(Relaxed), 0);
    }

    #[test]
    fn what_a_client_has_sent_is_forgotten_with_it() {
        let engine = engine_for_tests();
        let mut client = client(&engine);
        client.line("PING");
        let id = engine.server.clients.all()[0].id;
        let sent = &engine.barriers.as_ref().unwrap().sent;
        assert_eq!(sent.of(id).len(), 1);
        drop(client);
        assert_eq!(sent.of(id).len(), 0);
    }
}
