//! What a broker for tests has beyond others, with `test-commands yes`. Others
//! have none of it, and ask no more than whether it is there.

pub mod faults;
pub mod json;
pub mod requests;
pub mod scope;
pub mod state;

use std::sync::Arc;

use faults::Faults;

/// What only a broker for tests has.
#[derive(Default)]
pub struct Lab {
    /// What is to go wrong.
    pub faults: Arc<Faults>,
}
