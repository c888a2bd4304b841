//! Drives running brokers, as their users do.

mod binary;
mod delivery;
mod embedded;
mod readme;
mod transcripts;
mod wire;
