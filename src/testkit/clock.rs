//! The clock of a broker for tests.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Broker;
use crate::broker::life::Life;
use crate::clock::{END, Hand};
use crate::engine::orders::{Answer, Due, Order};

/// The clock of a broker for tests, which everything in the broker obeys: what
/// expires, who waits, what is idle, and what is dated.
///
/// It goes as that of the machine until it is frozen or moved. To move it is to
/// have happen what falls due on the way, in the order of its time. When that
/// returns, all of it has happened: events, invalidations and replies have been
/// written, as far as sockets took them.
///
/// Others may load the broker meanwhile. They find the clock standing at what
/// happens. Orders of several threads and clients are carried out one after the
/// other. Once the broker has ended, nothing happens any more.
///
/// ```
/// use std::time::Duration;
/// use respd::resp::value::Value;
///
/// let broker = respd::Broker::for_tests()?;
/// let mut client = broker.client();
/// client.call(&["SET", "session", "data", "EX", "3600"]);
/// broker.clock().advance(Duration::from_secs(3600));
/// assert_eq!(client.call(&["GET", "session"]), Value::Null);
/// # Ok::<(), respd::broker::StartError>(())
/// ```
#[derive(Clone)]
pub struct Clock {
    life: Arc<Life>,
    hand: Arc<Hand>,
}

impl Broker {
    /// Its clock.
    ///
    /// # Panics
    ///
    /// It was not started [for tests](Broker::for_tests).
    pub fn clock(&self) -> Clock {
        let life = self.life.clone();
        let hand = self.engine().server.clock.hand().cloned();
        let hand = hand.expect("the broker was started with Broker::for_tests");
        Clock { life, hand }
    }
}

impl Clock {
    /// What time it is.
    pub fn now(&self) -> SystemTime {
        UNIX_EPOCH + self.hand.wall()
    }

    /// Whether it is frozen.
    pub fn is_frozen(&self) -> bool {
        self.hand.is_frozen()
    }

    /// Has it stand, until it is moved or resumed.
    pub fn freeze(&self) {
        self.hand.freeze(true);
    }

    /// Has it go on from where it stands.
    pub fn resume(&self) {
        self.hand.freeze(false);
    }

    /// Moves it ahead. However far that is, it takes as long as it takes to do
    /// what falls due. It ends in some 36 million years.
    pub fn advance(&self, by: Duration) {
        self.order(Order::By(by));
    }

    /// [`advance`](Self::advance), for who is not to block the thread.
    pub async fn advance_async(&self, by: Duration) {
        self.order_async(Order::By(by)).await;
    }

    /// Moves it to what falls due next, and answers what that was; `None` if
    /// nothing does. Of what falls due at the same time all happens, and the
    /// first is answered.
    pub fn advance_to_next(&self) -> Option<Due> {
        self.order(Order::ToNext)
    }

    /// [`advance_to_next`](Self::advance_to_next), for who is not to block the
    /// thread.
    pub async fn advance_to_next_async(&self) -> Option<Due> {
        self.order_async(Order::ToNext).await
    }

    /// Sets the wall clock, ahead or back, as when somebody sets that of the
    /// machine: keys expire by it, and stamps are of it. Who waits for so long
    /// takes no notice, nor do ages of clients and the uptime.
    pub fn set(&self, time: SystemTime) {
        self.order(to(time));
    }

    /// [`set`](Self::set), for who is not to block the thread.
    pub async fn set_async(&self, time: SystemTime) {
        self.order_async(to(time)).await;
    }

    fn order(&self, order: Order) -> Option<Due> {
        let (engine, alone) = (self.life.engine(), self.alone(order));
        let (tell, told) = mpsc::channel();
        // Who has asked waits, and hears it.
        let answer = Box::new(move |due| _ = tell.send(due));
        engine
            .orders
            .as_ref()?
            .give(order, Answer::Embedder(answer));
        told.recv().unwrap_or_else(|_| alone())
    }

    async fn order_async(&self, order: Order) -> Option<Due> {
        let (engine, alone) = (self.life.engine(), self.alone(order));
        let carried_out = engine.orders.as_ref()?.carried_out(order).await;
        carried_out.unwrap_or_else(alone)
    }

    /// What an order comes to if the broker is gone, where nothing falls due.
    fn alone(&self, order: Order) -> impl FnOnce() -> Option<Due> + use<> {
        let hand = self.hand.clone();
        let uptime = self.life.engine().server.clock.uptime();
        move || {
            match order {
                Order::By(by) => hand.skip_to(uptime.saturating_add(by)),
                Order::To(wall) => hand.set_wall(wall.min(END)),
                Order::ToNext => {}
            }
            None
        }
    }
}

/// There is no time before 1970.
fn to(time: SystemTime) -> Order {
    Order::To(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// What time it is.
impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock")
            .field("now", &self.now())
            .field("is_frozen", &self.is_frozen())
            .finish_non_exhaustive()
    }
}
