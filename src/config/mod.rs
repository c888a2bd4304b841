//! Every setting of the server, with its default, its bounds and its text forms.
//!
//! [`Config`] is plain data: an embedder fills it in, the binary reads it with
//! [`Config::from_args`] from a `redis.conf` and from flags, clients see it through
//! CONFIG GET, SET and REWRITE. What these know about a setting comes from one row of
//! [`SETTINGS`]. Nothing here applies a setting: who is affected reads the field, and the
//! server tells whom [`Config::set`] reports as changed.

mod access;
mod arguments;
mod directives;
mod error;
mod fields;
mod file;
mod form;
mod inert;
mod mention;
mod rewrite;
mod row;
mod settings;
mod unheeded;
mod value;

pub use crate::events::KeyspaceEvents;
pub use access::ConfigSetError;
pub use error::{ConfigError, Origin};
pub use fields::{
    ClientsMemory, Config, DebugCommand, EvictionPolicy, InertValues, LogLevel, OutputBufferLimit,
    OutputBufferLimits, Supervised,
};
pub use file::Loaded;
pub use form::Form;
pub(crate) use mention::Mentions;
pub use row::{Change, Concern, Kind, Parts, Setting};
pub use settings::{HelpEntry, SETTINGS, help, lookup, without_effect};
pub use unheeded::{Unheeded, summary};
pub use value::Refusal;
pub(crate) use value::describe;

/// The version of Redis whose behaviour is followed, for whoever asks.
pub(crate) const REDIS_VERSION: &str = "7.2.4";

#[cfg(test)]
mod tests;
