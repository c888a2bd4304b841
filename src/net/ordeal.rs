//! What faults do to a connection, of a broker for tests.

use crate::lab::faults::{Blow, Faults, Impaired, Judged, Kind, Late, Struck};
use crate::session::Client;

/// What a connection bears as long as faults concern it.
#[derive(Default)]
pub struct Ordeal {
    judged: Judged,
    /// What it cannot do.
    pub impaired: Impaired,
    /// What is to strike the reply that a blocked client waits for.
    pub later: Option<Blow>,
    /// The reply that has been struck, and how much is to leave before that.
    pub struck: Option<Struck>,
}

impl Ordeal {
    /// What faults do to the client from now on, if they do anything.
    pub fn look(
        before: Option<Box<Ordeal>>,
        faults: &Faults,
        client: &Client,
    ) -> Option<Box<Ordeal>> {
        if before.is_none() && !faults.any(Kind::Connection) {
            return None;
        }
        let mut ordeal = before.unwrap_or_default();
        ordeal.impaired = faults.impair(&client.who(), &mut ordeal.judged);
        ordeal.later.take_if(|blow| !faults.is_there(blow.fault));
        // What a fault has cut off it does not mend.
        ordeal.struck.take_if(|struck| {
            matches!(struck.blow.late, Late::Delay(_)) && !faults.is_there(struck.blow.fault)
        });
        let bears = !ordeal.judged.is_empty() || ordeal.later.is_some() || ordeal.struck.is_some();
        bears.then_some(ordeal)
    }

    /// How many bytes may leave.
    pub fn room(&self) -> usize {
        match (self.impaired.hangs, self.struck) {
            (true, _) => 0,
            (false, Some(struck)) => struck.ahead,
            (false, None) => usize::MAX,
        }
    }

    /// Notes that so many have left.
    pub fn note_sent(&mut self, len: usize) {
        if let Some(struck) = &mut self.struck {
            struck.ahead -= len;
        }
    }

    /// Whether nothing leaves any more, now or later.
    pub fn is_over(&self) -> bool {
        let is_last =
            |struck: Struck| struck.ahead == 0 && !matches!(struck.blow.late, Late::Delay(_));
        !self.impaired.hangs && self.struck.is_some_and(is_last)
    }
}
