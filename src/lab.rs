//! What a broker for tests has beyond others, with `test-commands yes`. Others
//! have none of it, and ask no more than whether it is there.

pub mod json;
pub mod state;

/// What only a broker for tests has.
#[derive(Default)]
pub struct Lab {}
