//! What all clients hold together, so that nobody has to ask each of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes of memory that the clients of a server hold together.
#[derive(Clone, Default, Debug)]
pub struct Held(Arc<AtomicUsize>);

impl Held {
    /// How many they are.
    pub fn bytes(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// Notes that something has held so many, and holds others now.
    pub fn change(&self, before: usize, after: usize) {
        // It wraps around where it becomes less.
        self.0.fetch_add(after.wrapping_sub(before), Relaxed);
    }
}
