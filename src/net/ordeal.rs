//! What faults do to a connection, of a broker for tests.

use crate::lab::faults::{Blow, Faults, Impaired, Judged, Kind, Late, Struck};
use crate::session::Client;

/// What a connection bears as long as faults concern it.
#[derive(Default)]
pub struct Ordeal {
    judged: Judged,
    /// What it cannot do.
    impaired: Impaired,
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
        // What a fault has cut off it does not mend.
        ordeal.struck.take_if(|struck| {
            matches!(struck.blow.late, Late::Delay(_)) && !faults.is_there(struck.blow.fault)
        });
        let bears = !ordeal.judged.is_empty() || ordeal.later.is_some() || ordeal.struck.is_some();
        bears.then_some(ordeal)
    }

    /// Whether requests run.
    pub fn runs(&self) -> bool {
        !self.impaired.hangs && !self.impaired.stalls
    }

    /// Whether it is read from.
    pub fn is_read(&self) -> bool {
        !self.impaired.stalls
    }

    /// How many bytes may leave at once.
    pub fn room(&self) -> usize {
        let Impaired {
            hangs, trickles, ..
        } = self.impaired;
        let max = match (hangs, trickles) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => usize::MAX,
        };
        self.struck.map_or(max, |struck| max.min(struck.ahead))
    }

    /// Notes that so many have left. Answers how many that is of the `most` that
    /// leave before others have their turn.
    pub fn note_sent(&mut self, len: usize, most: usize) -> usize {
        if let Some(struck) = &mut self.struck {
            struck.ahead -= len;
        }
        if self.impaired.trickles { most } else { len }
    }

    /// Whether nothing leaves any more, now or later.
    pub fn is_cut(&self) -> bool {
        let is_cut =
            |struck: Struck| struck.ahead == 0 && !matches!(struck.blow.late, Late::Delay(_));
        !self.impaired.hangs && self.struck.is_some_and(is_cut)
    }
}
