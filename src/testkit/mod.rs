//! What tests need beyond a broker, of one that was started
//! [for them](crate::Broker::for_tests).
//!
//! These are thin: what they do is done where it belongs, and the subcommands
//! of RESPD do the same for clients of any language.

mod barriers;
mod clock;
mod data;
mod faults;
mod record;
mod restart;

pub use barriers::{Barrier, Until};
pub use clock::Clock;
pub use data::{Fixture, Refused, Snapshot};
pub use faults::{Fault, Faults, NewFault};
pub use record::Record;
pub use restart::Down;

pub use crate::engine::barriers::Unmet;
pub use crate::engine::orders::{Due, Waiting};
pub use crate::lab::faults::Report;
pub use crate::lab::record::entry::{Entry, Kind};
pub use crate::lab::restarts::Data;
pub use crate::lab::state::{Difference, State};
