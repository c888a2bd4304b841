//! A digest of the data, for DEBUG DIGEST: equal digits mean equal keys and values.
//!
//! It is computed as Redis computes it, so that the digits tell whether a server and a Redis
//! hold the same. Of an expiry it tells only that there is one.

use std::fmt;

use sha1::{Digest as _, Sha1};

/// Bytes that have been added so far. All zeros is the digest of nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Digest([u8; 20]);

impl Digest {
    /// Adds another digest, which counts wherever it stands.
    pub fn add_digest(&mut self, other: Digest) {
        self.add(&other.0);
    }

    /// Adds bytes that count wherever they stand.
    pub fn add(&mut self, bytes: &[u8]) {
        let hash = Sha1::digest(bytes);
        self.0
            .iter_mut()
            .zip(hash)
            .for_each(|(own, byte)| *own ^= byte);
    }

    /// Adds bytes that stand behind all that was added before.
    pub fn append(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = Sha1::digest(self.0).into();
    }
}

/// Forty hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
