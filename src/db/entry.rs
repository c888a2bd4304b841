//! How a key, its expiry and its value stand in a slot.
//!
//! A small string stands in the slot whole; of anything larger the slot holds
//! the number of an object. All offsets are known here and nowhere else.

use bitflags::bitflags;

bitflags! {
    /// What the bytes of an entry are.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct EntryFlags: u8 {
        /// The value is the number of an object, not a string.
        const OBJECT = 1;
        /// There is an expiry before the key.
        const EXPIRES = 1 << 1;
        /// The key is the number of a long key.
        const LONG_KEY = 1 << 2;
        /// The string was modified in place: OBJECT ENCODING says `raw`.
        const RAW = 1 << 3;
        /// The string is no integer even if it looks like one: `embstr`.
        const EMBEDDED = 1 << 4;
    }
}

/// Flags, time of the last access, length of the key, length of the value.
pub const HEADER: usize = 7;
/// Keys up to this length stand in the slot.
pub const KEY_MAX: usize = 255;
/// The number of an object or of a long key.
pub const NUMBER_LEN: usize = 4;
/// Milliseconds since 1970.
pub const EXPIRY_LEN: usize = 8;

/// The parts of an entry.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a>(pub &'a [u8]);

impl<'a> Entry<'a> {
    /// What the bytes are.
    pub fn flags(self) -> EntryFlags {
        EntryFlags::from_bits_truncate(self.0[0])
    }

    /// When the key was last used, in seconds, by a clock of 24 bits.
    pub fn accessed(self) -> u32 {
        u32::from_le_bytes([self.0[1], self.0[2], self.0[3], 0])
    }

    /// When the key expires, in milliseconds since 1970.
    pub fn expires_at(self) -> Option<i64> {
        self.flags().contains(EntryFlags::EXPIRES).then(|| {
            let mut bytes = [0; EXPIRY_LEN];
            bytes.copy_from_slice(&self.0[HEADER..HEADER + EXPIRY_LEN]);
            i64::from_le_bytes(bytes)
        })
    }

    fn key_start(self) -> usize {
        HEADER
            + if self.flags().contains(EntryFlags::EXPIRES) {
                EXPIRY_LEN
            } else {
                0
            }
    }

    /// The key, or the number of the long key.
    pub fn key(self) -> &'a [u8] {
        let start = self.key_start();
        &self.0[start..start + self.0[4] as usize]
    }

    /// The string, or the number of the object.
    pub fn value(self) -> &'a [u8] {
        let start = self.key_start() + self.0[4] as usize;
        &self.0[start..start + u16::from_le_bytes([self.0[5], self.0[6]]) as usize]
    }

    /// Where the value stands in the slot.
    pub fn value_range(self) -> std::ops::Range<usize> {
        let start = self.key_start() + self.0[4] as usize;
        start..start + u16::from_le_bytes([self.0[5], self.0[6]]) as usize
    }

    /// The length of the slot that it needs.
    pub fn len(key: usize, value: usize, expires: bool) -> usize {
        HEADER + key + value + if expires { EXPIRY_LEN } else { 0 }
    }
}

/// A number of an object or a long key, as an entry holds it.
pub fn number(bytes: &[u8]) -> usize {
    let mut number = [0; NUMBER_LEN];
    number.copy_from_slice(bytes);
    u32::from_le_bytes(number) as usize
}

/// Writes an entry into `slot`. `key` and `value` are what stands there: the
/// bytes themselves or numbers, as `flags` says.
pub fn write(
    slot: &mut [u8],
    flags: EntryFlags,
    accessed: u32,
    expires_at: Option<i64>,
    key: &[u8],
    value: &[u8],
) {
    let mut flags = flags;
    flags.set(EntryFlags::EXPIRES, expires_at.is_some());
    slot[0] = flags.bits();
    write_accessed(slot, accessed);
    slot[4] = key.len() as u8;
    slot[5..7].copy_from_slice(&(value.len() as u16).to_le_bytes());
    let mut at = HEADER;
    if let Some(expires_at) = expires_at {
        slot[at..at + EXPIRY_LEN].copy_from_slice(&expires_at.to_le_bytes());
        at += EXPIRY_LEN;
    }
    slot[at..at + key.len()].copy_from_slice(key);
    at += key.len();
    slot[at..at + value.len()].copy_from_slice(value);
}

/// Notes when the key was used.
pub fn write_accessed(slot: &mut [u8], accessed: u32) {
    slot[1..4].copy_from_slice(&accessed.to_le_bytes()[..3]);
}

/// Puts a value of any length that fits in the place of the one that is there.
pub fn write_value(slot: &mut [u8], flags: EntryFlags, value: &[u8]) {
    let start = Entry(slot).value_range().start;
    let kept =
        EntryFlags::from_bits_truncate(slot[0]) & (EntryFlags::EXPIRES | EntryFlags::LONG_KEY);
    slot[0] = (flags | kept).bits();
    slot[5..7].copy_from_slice(&(value.len() as u16).to_le_bytes());
    slot[start..start + value.len()].copy_from_slice(value);
}
