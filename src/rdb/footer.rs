//! The last bytes of what DUMP answers: the version of the format, and a
//! checksum of all before it.

use crc::{CRC_64_REDIS, Crc, Table};

/// Its check value, for the digits 1 to 9, is e9c6d914c4b8d9ca.
static CHECKSUM: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// The newest version that is read: that of Redis 7.4 and 8.0. Valkey went on
/// from 11 by another way, and its own versions begin at 80.
const NEWEST: u16 = 12;

const VERSION_LEN: usize = 2;
const CHECKSUM_LEN: usize = 8;

/// Ends a serialized value that servers of this version of the format read.
pub fn seal(mut value: Vec<u8>, version: u16) -> Vec<u8> {
    value.extend_from_slice(&version.to_le_bytes());
    let checksum = CHECKSUM.checksum(&value);
    value.extend_from_slice(&checksum.to_le_bytes());
    value
}

/// The serialized value, if its footer is right and the version one that is
/// read here.
pub fn open(payload: &[u8]) -> Option<&[u8]> {
    let (checked, checksum) = payload.split_last_chunk::<CHECKSUM_LEN>()?;
    let (value, version) = checked.split_last_chunk::<VERSION_LEN>()?;
    let is_read = u16::from_le_bytes(*version) <= NEWEST;
    // The version first: it costs nothing.
    let is_right = is_read && CHECKSUM.checksum(checked) == u64::from_le_bytes(*checksum);
    is_right.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens() {
        for version in [0, 10, NEWEST] {
            let payload = seal(b"\0\x01v".to_vec(), version);
            assert_eq!(payload.len(), 13);
            assert_eq!(open(&payload), Some(&b"\0\x01v"[..]));
        }
        // What redis-server 7.0 answers to DUMP of the string `v`.
        let dumped = b"\0\x01v\n\0\x91\x08\xce\xb2\x198\x8a\xce";
        assert_eq!(seal(b"\0\x01v".to_vec(), 10), dumped);
    }

    #[test]
    fn neither_a_newer_version_nor_a_changed_byte_passes() {
        assert_eq!(open(&seal(b"\0\x01v".to_vec(), NEWEST + 1)), None);
        assert_eq!(open(&seal(b"\0\x01v".to_vec(), 80)), None);
        let payload = seal(b"\0\x01v".to_vec(), 10);
        for at in 0..payload.len() {
            let mut changed = payload.clone();
            changed[at] ^= 1;
            assert_eq!(open(&changed), None, "{at}");
            assert_eq!(open(&payload[..at]), None, "{at}");
        }
    }
}
