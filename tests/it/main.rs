//! Drives running brokers, as their users do.

mod architecture;
mod binary;
mod delivery;
mod embedded;
mod readme;
mod transcripts;
mod wire;
