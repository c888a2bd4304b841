//! Drives running brokers, as their users do.

mod allocator;
mod api;
mod architecture;
mod barriers;
mod binary;
mod blocked;
mod clock;
mod connections;
mod delivery;
mod embedded;
mod faults;
mod footprint;
mod limits;
mod manual;
mod maxmemory;
mod memory;
mod record;
mod sandbox;
mod scripts;
mod seed;
mod slow_readers;
mod snapshots;
mod timing;
mod transcripts;
mod wire;
mod worker_story;
