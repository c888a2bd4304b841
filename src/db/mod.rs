//! The data: databases, and what a command's handler sees of them.
//!
//! Plain structs: no async, no locks, no I/O, and no clock but the time that
//! comes in. What follows from a change (watched keys, blocked clients,
//! notifications) is not drawn here; [`journal`] notes what happened.
//!
//! [`value`] is what a key can hold, [`store`] where it stands, [`memory`] what
//! both are made of, and [`view`] what a handler sees of them.

mod agenda;
mod digest;
mod garbage;
mod history;
mod journal;
mod keyspace;
mod limits;
mod memory;
mod store;
pub mod value;
mod view;

pub use digest::Digest;
pub use journal::{Change, Event};
pub use keyspace::{FirstDue, Keyspace, Stats};
pub use limits::Limits;
pub use memory::pack::PackLimits;
pub use store::{Among, Database, Frequency, Handle, Sampled, Seen, Usage, idle_s};
pub use value::{ChunkLimit, Encoding, Kind, Str};
pub use view::{Db, Edited, Expiry, Used};
