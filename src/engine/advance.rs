//! Moves the clock of a broker for tests. What falls due on the way happens in
//! the order of its time, and each thing with all its consequences before the
//! next: the clock stands at its time until then.
//!
//! One task does so, an order after the other. It steps from what falls due to
//! what falls due, so it takes as long as there is of that, however far it goes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::orders::{Answer, Due, Order, Waiting};
use super::turn::Turn;
use super::{Engine, upkeep};
use crate::clock::{END, Hand};
use crate::server::house::{self, Chore};
use crate::session::ClientFlags;

/// Waits until every worker has done what there was to do.
pub type Quiet = Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Carries orders out until the task is dropped.
pub async fn run(engine: Arc<Engine>, quiet: Quiet) {
    let hand = engine.server.clock.hand().cloned();
    let orders = engine.orders.as_ref();
    let receiver = orders.and_then(|orders| orders.receiver.lock().take());
    let (Some(hand), Some(mut receiver)) = (hand, receiver) else {
        return;
    };
    let mover = Mover {
        engine: &engine,
        hand: &hand,
        quiet,
    };
    while let Some((order, answer)) = receiver.recv().await {
        let moving = Moving::begin(&hand);
        let due = mover.carry_out(order).await;
        drop(moving);
        match answer {
            Answer::Client(awaited, write) => {
                Turn::new(&engine).answer(awaited, |reply| write(reply, due));
            }
            Answer::Embedder(tell) => tell(due),
        }
    }
}

/// The clock stands while it is moved, and not for ever if the broker goes
/// meanwhile.
struct Moving<'h>(&'h Hand);

impl Moving<'_> {
    fn begin(hand: &Hand) -> Moving<'_> {
        hand.set_moving(true);
        Moving(hand)
    }
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        self.0.set_moving(false);
    }
}

struct Mover<'e> {
    engine: &'e Engine,
    hand: &'e Hand,
    quiet: Quiet,
}

impl Mover<'_> {
    async fn carry_out(&self, order: Order) -> Option<Due> {
        let clock = &self.engine.server.clock;
        match order {
            Order::By(time) => {
                let left = END.saturating_sub(clock.wall());
                self.go_to(clock.uptime() + time.min(left)).await;
                None
            }
            Order::ToNext => {
                let (at, due) = self.next().await?;
                self.go_to(at).await;
                Some(due)
            }
            Order::To(wall) => {
                self.hand.set_wall(wall.min(END));
                self.catch_up(true).await;
                None
            }
        }
    }

    /// Goes on to this time since the broker's start.
    async fn go_to(&self, target: Duration) {
        self.catch_up(true).await;
        while let Some((at, _)) = self.next().await
            && at <= target
        {
            let rings = self.move_to(at);
            self.catch_up(rings).await;
        }
        self.move_to(target);
        // A key whose time had come may have been removed by who asked for it.
        (self.quiet)().await;
    }

    /// Answers whether a client's time has come.
    fn move_to(&self, uptime: Duration) -> bool {
        // Who reads from now on is active now.
        let second = &self.engine.server.kept_house_at;
        second.store(uptime.as_secs(), Relaxed);
        self.hand.move_to(uptime)
    }

    /// Has everything happen that is due now: first what the keyspace does by
    /// itself, then what clients have waited for if it `rings` for any, then
    /// what ends clients.
    async fn catch_up(&self, rings: bool) {
        let server = &self.engine.server;
        if upkeep::catch_up(self.engine).await {
            (self.quiet)().await;
        }
        if rings {
            self.hand.ring().await;
            (self.quiet)().await;
        }
        if house::first_due(server).is_some_and(|(at, ..)| at <= server.clock.uptime()) {
            house::catch_up(server);
            (self.quiet)().await;
        }
    }

    /// What falls due next before the clock ends, and when: in time since the
    /// broker's start. Of what falls due together, the first that happens.
    async fn next(&self) -> Option<(Duration, Due)> {
        let server = &self.engine.server;
        let (now, wall) = (server.clock.uptime(), server.clock.wall());
        let expiring = upkeep::first_due(self.engine).await.map(|first| {
            let at = Duration::from_millis(first.at.max(0).unsigned_abs());
            let (db, key) = (first.db, first.key.into_vec());
            let due = match first.part {
                Some(field) => Due::Field {
                    db,
                    key,
                    field: field.into_vec(),
                },
                None => Due::Key { db, key },
            };
            (now + at.saturating_sub(wall), due)
        });
        let pause = server.pause.until(now).map(|until| (until, Due::Pause));
        let timeout = self.hand.first_alarm().map(|(at, client)| {
            let (is_delayed, command) = self.waits_for(client);
            let client = self.named(client);
            let due = match is_delayed {
                true => Due::Reply { client, command },
                false => Due::Timeout { client, command },
            };
            (at.max(now), due)
        });
        let chore = house::first_due(server).map(|(at, client, chore)| {
            let client = self.named(client);
            let due = match chore {
                Chore::Idle => Due::Idle { client },
                Chore::Unread => Due::Unread { client },
            };
            (at.max(now), due)
        });
        let end = now + END.saturating_sub(wall);
        let next = [expiring, pause, timeout, chore].into_iter().flatten();
        let next = next.filter(|(at, _)| *at <= end);
        next.min_by_key(|(at, _)| *at)
    }

    fn named(&self, id: u64) -> Waiting {
        let client = self.engine.server.clients.get(id);
        let name = client.map(|client| client.name()).unwrap_or_default();
        Waiting { id, name }
    }

    /// Whether a client waits for a reply that is held back, and for that to
    /// which command.
    fn waits_for(&self, client: u64) -> (bool, String) {
        let server = &self.engine.server;
        let Some(client) = server.clients.get(client) else {
            return (false, String::new());
        };
        let command = client.last_command.load(Relaxed);
        let name = server.metrics.command_name(command).unwrap_or_default();
        let is_delayed = client.flags().contains(ClientFlags::DELAYED);
        (is_delayed, name.to_owned())
    }
}
