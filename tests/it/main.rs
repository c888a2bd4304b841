//! Drives running brokers, as their users do.

mod delivery;
mod embedded;
mod transcripts;
mod wire;
