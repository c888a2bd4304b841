//! Drives running brokers, as their users do.

mod binary;
mod delivery;
mod embedded;
mod transcripts;
mod wire;
