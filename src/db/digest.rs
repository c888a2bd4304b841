//! A digest of the data, for DEBUG DIGEST: equal digits mean equal keys and values.
//!
//! It is computed as Redis computes it, so that the digits tell whether a server and a Redis
//! hold the same. Of an expiry it tells only that there is one.

use std::fmt;

use sha1::{Digest as _, Sha1};

use super::database::{Database, Handle, Object};

/// Bytes that have been added so far. All zeros is the digest of nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Digest([u8; 20]);

impl Digest {
    /// Of all keys of these databases and what they hold, those included that have expired and
    /// are not removed yet. The first of the databases is number 0.
    pub fn of_all<'a>(databases: impl Iterator<Item = &'a Database>) -> Digest {
        let mut all = Digest::default();
        let used = (0u32..)
            .zip(databases)
            .filter(|(_, database)| !database.is_empty());
        for (number, database) in used {
            all.append(&number.to_be_bytes());
            for handle in database.iter() {
                let mut one = Digest::default();
                one.append(database.key(handle));
                one.append_value(database, handle);
                all.add(&one.0);
            }
        }
        all
    }

    /// Of what one key holds.
    pub fn of_value(database: &Database, handle: Handle) -> Digest {
        let mut digest = Digest::default();
        digest.append_value(database, handle);
        digest
    }

    fn append_value(&mut self, database: &Database, handle: Handle) {
        // The numbers by which Redis knows the types.
        const STRING: u32 = 0;
        const LIST: u32 = 1;
        if let Some(Object::List(list)) = database.object(handle) {
            self.append(&LIST.to_be_bytes());
            list.iter().for_each(|element| self.append(element));
        } else if let Some(string) = database.string(handle) {
            self.append(&STRING.to_be_bytes());
            self.append(&string);
        }
        if database.expires_at(handle).is_some() {
            self.add(b"!!expire!!");
        }
    }

    /// Adds bytes that count wherever they stand.
    fn add(&mut self, bytes: &[u8]) {
        let hash = Sha1::digest(bytes);
        self.0
            .iter_mut()
            .zip(hash)
            .for_each(|(own, byte)| *own ^= byte);
    }

    /// Adds bytes that stand behind all that was added before.
    fn append(&mut self, bytes: &[u8]) {
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
