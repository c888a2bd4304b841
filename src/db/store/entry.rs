//! How a key, its expiry and its value stand in a slot.
//!
//! A small value stands in the slot whole; of anything larger the slot holds
//! the number of a value. All offsets are known here and nowhere else. The
//! key comes first and stays where it is, whatever becomes of the rest.

use std::ops::Range;

use bitflags::bitflags;

bitflags! {
    /// What the bytes of an entry are.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct EntryFlags: u8 {
        /// The value is a number that stands for it.
        const VALUE = 1;
        /// There is an expiry behind the key.
        const EXPIRES = 1 << 1;
        /// The key is the number of a long key.
        const LONG_KEY = 1 << 2;
        /// Four bits of which the value knows what they mean.
        const FORM = 0b1111 << FORM_SHIFT;
    }
}

const FORM_SHIFT: u32 = 3;

impl EntryFlags {
    /// The flags of a value that is here with these four bits.
    #[inline]
    pub fn of_form(form: u8) -> EntryFlags {
        EntryFlags::from_bits_truncate(form << FORM_SHIFT)
    }

    /// The four bits.
    #[inline]
    pub fn form(self) -> u8 {
        (self & EntryFlags::FORM).bits() >> FORM_SHIFT
    }
}

/// Flags, time of the last access, length of the key, length of the value.
const HEADER: usize = 7;
/// Keys up to this length stand in the slot.
pub const KEY_MAX: usize = 255;
/// The number of a value or of a long key.
pub const NUMBER_LEN: usize = 4;
/// Milliseconds since 1970.
const TIME_LEN: usize = 8;
/// The time, and the place among the expiries.
const EXPIRY_LEN: usize = TIME_LEN + 4;

/// The parts of an entry.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a>(pub &'a [u8]);

impl<'a> Entry<'a> {
    /// What the bytes are.
    #[inline]
    pub fn flags(self) -> EntryFlags {
        EntryFlags::from_bits_truncate(self.0[0])
    }

    /// When the key was last used, in seconds, by a clock of 24 bits.
    #[inline]
    pub fn accessed(self) -> u32 {
        u32::from_le_bytes([self.0[1], self.0[2], self.0[3], 0])
    }

    #[inline]
    fn key_end(self) -> usize {
        HEADER + self.0[4] as usize
    }

    /// The key, or the number of the long key.
    #[inline]
    pub fn key(self) -> &'a [u8] {
        &self.0[HEADER..self.key_end()]
    }

    /// When the key expires, in milliseconds since 1970.
    #[inline]
    pub fn expires_at(self) -> Option<i64> {
        self.flags().contains(EntryFlags::EXPIRES).then(|| {
            let mut bytes = [0; TIME_LEN];
            let start = self.key_end();
            bytes.copy_from_slice(&self.0[start..start + TIME_LEN]);
            i64::from_le_bytes(bytes)
        })
    }

    /// When the key expires, and its place among the expiries.
    #[inline]
    pub fn expiry(self) -> Option<(i64, u32)> {
        self.expires_at().map(|at| {
            let mut place = [0; EXPIRY_LEN - TIME_LEN];
            let start = self.key_end();
            place.copy_from_slice(&self.0[start + TIME_LEN..start + EXPIRY_LEN]);
            (at, u32::from_le_bytes(place))
        })
    }

    /// The value, or its number.
    #[inline]
    pub fn value(self) -> &'a [u8] {
        &self.0[self.value_range()]
    }

    #[inline]
    fn value_range(self) -> Range<usize> {
        let expires = self.flags().contains(EntryFlags::EXPIRES);
        let start = self.key_end() + expiry_len(expires);
        start..start + u16::from_le_bytes([self.0[5], self.0[6]]) as usize
    }

    /// The length of the slot that it needs.
    #[inline]
    pub fn len(key: usize, value: usize, expires: bool) -> usize {
        HEADER + key + expiry_len(expires) + value
    }
}

#[inline]
fn expiry_len(expires: bool) -> usize {
    if expires { EXPIRY_LEN } else { 0 }
}

/// A number of a value or a long key, as an entry holds it.
pub fn number(bytes: &[u8]) -> usize {
    let mut number = [0; NUMBER_LEN];
    number.copy_from_slice(bytes);
    u32::from_le_bytes(number) as usize
}

/// What stands before the key and the value.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// What the bytes are; [`EXPIRES`](EntryFlags::EXPIRES) follows by itself.
    pub flags: EntryFlags,
    /// When the key was last used.
    pub accessed: u32,
    /// When it expires.
    pub expires_at: Option<i64>,
}

/// Writes an entry into `slot`. `key` and `value` are what stands there: the
/// bytes themselves or numbers, as the flags say.
pub fn write(slot: &mut [u8], head: Head, key: &[u8], value: &[u8]) {
    slot[0] = head.flags.bits();
    slot[4] = key.len() as u8;
    slot[HEADER..HEADER + key.len()].copy_from_slice(key);
    overwrite(slot, head, value);
}

/// Writes all but the key, which is there already. If there was an expiry and
/// there is one, its place is what it was.
#[inline(always)]
pub fn overwrite(slot: &mut [u8], head: Head, value: &[u8]) {
    let mut flags = head.flags | Entry(slot).flags() & EntryFlags::LONG_KEY;
    flags.set(EntryFlags::EXPIRES, head.expires_at.is_some());
    slot[0] = flags.bits();
    write_accessed(slot, head.accessed);
    slot[5..HEADER].copy_from_slice(&(value.len() as u16).to_le_bytes());
    write_expiry(slot, head.expires_at);
    let start = Entry(slot).key_end() + expiry_len(head.expires_at.is_some());
    slot[start..start + value.len()].copy_from_slice(value);
}

/// Writes another expiry, or none, and moves the value to where it belongs then.
pub fn change_expiry(slot: &mut [u8], expires_at: Option<i64>) {
    let old = Entry(slot).value_range();
    let mut flags = Entry(slot).flags();
    flags.set(EntryFlags::EXPIRES, expires_at.is_some());
    slot[0] = flags.bits();
    let new = Entry(slot).value_range();
    if old != new {
        slot.copy_within(old, new.start);
    }
    write_expiry(slot, expires_at);
}

#[inline]
fn write_expiry(slot: &mut [u8], expires_at: Option<i64>) {
    if let Some(expires_at) = expires_at {
        let start = Entry(slot).key_end();
        slot[start..start + TIME_LEN].copy_from_slice(&expires_at.to_le_bytes());
    }
}

/// Writes another number of the value.
pub fn write_value_number(slot: &mut [u8], number: u32) {
    let range = Entry(slot).value_range();
    slot[range].copy_from_slice(&number.to_le_bytes());
}

/// Writes another number of the key, which is a long one.
pub fn write_key_number(slot: &mut [u8], number: u32) {
    slot[HEADER..HEADER + NUMBER_LEN].copy_from_slice(&number.to_le_bytes());
}

/// Writes the place among the expiries of an entry that has one.
pub fn write_place(slot: &mut [u8], place: u32) {
    let start = Entry(slot).key_end();
    slot[start + TIME_LEN..start + EXPIRY_LEN].copy_from_slice(&place.to_le_bytes());
}

/// The last second of the clock that tells when keys were used.
pub const CLOCK_MAX: u32 = 0xff_ffff;

/// The clock of 24 bits that tells when keys were used, in seconds.
#[inline]
pub fn access_clock(now: i64) -> u32 {
    (now / 1000) as u32 & CLOCK_MAX
}

/// For how many seconds a key may not have been used. One that was used at most
/// a day from now is used now: the clock of the machine has been set back.
/// Redis takes it for one that nobody has used for 194 days, which is to be the
/// first to go.
pub const IDLE_MAX: u32 = CLOCK_MAX - 24 * 60 * 60;

/// For how many seconds a key has not been used that was used when this clock
/// said so.
pub fn idle_s(accessed: u32, now: i64) -> u32 {
    let seconds = access_clock(now).wrapping_sub(accessed) & CLOCK_MAX;
    if seconds <= IDLE_MAX { seconds } else { 0 }
}

/// Notes when the key was used.
#[inline]
pub fn write_accessed(slot: &mut [u8], accessed: u32) {
    slot[1..4].copy_from_slice(&accessed.to_le_bytes()[..3]);
}
