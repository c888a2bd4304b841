//! Passwords, compared so that neither length nor content leaks.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The hash of a password.
#[derive(Clone)]
pub struct Password([u8; 32]);

impl Password {
    /// Any bytes are a password.
    pub fn new(password: &[u8]) -> Password {
        Password(Sha256::digest(password).into())
    }

    /// Whether `attempt` is the password; it takes the same time for each
    /// attempt of a length.
    pub fn matches(&self, attempt: &[u8]) -> bool {
        self.0.ct_eq(&Password::new(attempt).0).into()
    }
}
