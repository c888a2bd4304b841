//! The command table: what a row says, and how a command is run by it.
//!
//! It knows no command. Families declare theirs in `command`, which collects
//! them into one [`Table`]; the checks before each are made in `dispatch`.

mod args;
mod call;
mod context;
pub mod docs;
mod flags;
pub mod help;
pub mod info;
pub mod keys;
mod lifetime;
mod row;
pub mod secrets;
pub mod usage;
pub mod vocabulary;

pub use args::Args;
pub use call::{call, tell_failure};
pub use context::Context;
pub use flags::{Acl, Flags, Group};
pub use help::HELP;
pub use lifetime::{Lifetime, Unit};
pub use row::{Begin, Command, Handler, Outcome, Row, Table};
