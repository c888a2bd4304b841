//! Barriers: who waits until something is so, of a broker for tests.
//!
//! Nobody polls. Who changes something looks, while it has what it has changed,
//! whether it is what somebody waits for, so nothing that was so for a moment
//! between two commands is missed. One task tells those who wait, and keeps
//! their deadlines, which are the machine's: where the broker's clock stands, a
//! test is not to hang.

mod condition;
mod keeper;
mod sent;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst, fence};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::state::State;
use super::waiters::Awaited;
use crate::server::Server;
use condition::Sight;
pub use condition::{Condition, Key};
pub use keeper::run;
use sent::Sent;

/// How long one waits who does not say.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Something that was waited for has not come. The text says what, for how
/// long, and what there was instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unmet(String);

impl Unmet {
    /// Nothing will come any more.
    pub fn ended(condition: &Condition) -> Unmet {
        Unmet(format!("waited for {condition}; the broker is gone"))
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unmet {}

/// Who waits, and is told how that has ended; dropped if the broker ends first.
pub enum Asker {
    /// A client.
    Client(Awaited),
    /// The program that the broker is in.
    Program(Box<dyn FnOnce(Result<(), Unmet>) + Send>),
}

impl Asker {
    fn is_client(&self, id: u64) -> bool {
        matches!(self, Asker::Client(awaited) if awaited.client == id)
    }
}

/// Those who wait.
#[derive(Default)]
pub struct Barriers {
    /// How many there are, so that nobody looks in vain.
    count: AtomicUsize,
    // Taken after the keyspace, and before everything that is looked at.
    waits: Mutex<Waits>,
    sent: Sent,
    /// Wakes the task: somebody has come, or need not wait any more.
    changed: Notify,
}

#[derive(Default)]
struct Waits {
    waiting: Vec<Waiting>,
    /// Those whose condition has held, to be told.
    met: Vec<Asker>,
    next: u64,
    /// The broker has ended.
    ended: bool,
}

struct Waiting {
    number: u64,
    condition: Condition,
    within: Duration,
    /// By the machine's time.
    deadline: Duration,
    asker: Asker,
}

impl Waiting {
    fn unmet(&self, sight: &Sight<'_>) -> Unmet {
        let instead = self.condition.instead(sight);
        Unmet(format!(
            "waited {} for {}; {instead}",
            shown(self.within),
            self.condition
        ))
    }
}

/// A time as one says it.
fn shown(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{} s", time.as_secs()),
        _ => format!("{} ms", time.as_millis()),
    }
}

impl Barriers {
    /// Has `asker` told once the condition holds, or has not within this time.
    /// It may hold already. Answers the number of the wait.
    pub(super) fn begin(
        &self,
        server: &Server,
        state: &mut State,
        (condition, within): (Condition, Duration),
        asker: Asker,
    ) -> u64 {
        let mut waits = self.waits.lock();
        let number = waits.next;
        waits.next += 1;
        if waits.ended {
            return number;
        }
        if let Asker::Client(Awaited { client, .. }) = asker {
            // Others have ended a wait of which this knows nothing.
            waits
                .waiting
                .retain(|waiting| !waiting.asker.is_client(client));
        }
        state.awaited |= condition.is_of_data();
        state.note_observers();
        waits.waiting.push(Waiting {
            number,
            condition,
            within,
            deadline: server.clock.machine().saturating_add(within),
            asker,
        });
        self.count.store(waits.waiting.len(), Relaxed);
        drop(waits);
        // Who has changed something has seen that somebody waits, or is seen.
        self.look(server, Some(state));
        self.changed.notify_one();
        number
    }

    /// Looks whether something is now what somebody waits for; at the data
    /// only if they are at hand.
    #[inline]
    pub fn look(&self, server: &Server, state: Option<&State>) {
        self.look_among(server, state, |_| true);
    }

    /// The same between two requests of a batch: which were sent is noted at its
    /// end, and nobody has been sent anything yet.
    #[inline]
    pub fn look_between(&self, server: &Server, state: Option<&State>) {
        self.look_among(server, state, |condition| !condition.is_of_clients());
    }

    #[inline]
    fn look_among(
        &self,
        server: &Server,
        state: Option<&State>,
        is_meant: impl Fn(&Condition) -> bool,
    ) {
        fence(SeqCst);
        if self.count.load(Relaxed) > 0 {
            self.look_for_all(server, state, is_meant);
        }
    }

    #[cold]
    fn look_for_all(
        &self,
        server: &Server,
        state: Option<&State>,
        is_meant: impl Fn(&Condition) -> bool,
    ) {
        let mut waits = self.waits.lock();
        let Waits { waiting, met, .. } = &mut *waits;
        let known = met.len();
        let sight = Sight::new(server, state, &self.sent);
        let holds =
            |waiting: &mut Waiting| is_meant(&waiting.condition) && waiting.condition.holds(&sight);
        met.extend(waiting.extract_if(.., holds).map(|waiting| waiting.asker));
        if met.len() > known {
            self.count.store(waiting.len(), Relaxed);
            drop(waits);
            self.changed.notify_one();
        }
    }

    /// Notes that a client has sent these commands.
    pub fn note_sent(&self, client: u64, commands: impl Iterator<Item = usize>) {
        self.sent.note(client, commands);
    }

    /// Forgets a client that has gone.
    pub(super) fn forget(&self, client: u64) {
        self.sent.forget(client);
        self.end(|waiting| waiting.asker.is_client(client));
    }

    /// Ends waits of which nobody wants to hear.
    fn end(&self, ends: impl Fn(&Waiting) -> bool) {
        if self.count.load(Relaxed) > 0 {
            let mut waits = self.waits.lock();
            let ended = waits.waiting.extract_if(.., |waiting| ends(waiting));
            let ended: Vec<_> = ended.collect();
            self.count.store(waits.waiting.len(), Relaxed);
            drop(waits);
            // It may wake somebody.
            drop(ended);
        }
    }
}
