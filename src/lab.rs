//! What a broker for tests has beyond others, with `test-commands yes`. Others
//! have none of it, and ask no more than whether it is there.

pub mod faults;
pub mod json;
pub mod record;
pub mod requests;
pub mod restarts;
pub mod scope;
pub mod spaces;
pub mod state;

use std::sync::Arc;

use faults::Faults;
use parking_lot::Mutex;
use record::Record;
use restarts::Restarts;
use spaces::Spaces;

/// What only a broker for tests has.
#[derive(Default)]
pub struct Lab {
    /// What is to go wrong.
    pub faults: Arc<Faults>,
    /// What clients have sent and got.
    pub record: Record,
    /// The reader of it that RESPD RECORD is, if it has been started.
    // Taken before the record.
    pub record_of_clients: Mutex<Option<u64>>,
    /// Brokers that it has started beside itself.
    pub spaces: Spaces,
    /// How it goes and comes back.
    pub restarts: Restarts,
}
