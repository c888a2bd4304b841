//! The verb that serves, which is also what happens without a verb.

use std::ffi::OsString;

use super::Failure;

/// Starts a broker with the flags or the configuration file in `arguments`.
pub fn run(_arguments: &[OsString]) -> Result<(), Failure> {
    Err(Failure::Failed("serving is not built yet".to_owned()))
}
