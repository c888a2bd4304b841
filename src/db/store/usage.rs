//! What an entry says of its use in 24 bits: when it was used last, or how often
//! it is used. They mean what the policy of eviction makes of them; when that
//! changes, they take some time to be true again, as in Redis.

use super::entry::access_clock;

/// What the bits tell.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Usage {
    /// The second of the last use.
    #[default]
    Recency,
    /// How often it is used: a minute in 16 bits, and in 8 bits a count, which
    /// grows the less likely the larger it is, and decays with time.
    Frequency,
}

/// What a new key counts, so that it is not evicted before it can be used again.
const NEW: u32 = 5;
/// The count ends here.
const COUNT_MAX: u32 = 0xff;
/// The clock of minutes ends here.
const MINUTE_MAX: u32 = 0xffff;
/// What was used up to a day from now was used before the clock was set back.
const ELAPSED_MAX: u32 = MINUTE_MAX - 24 * 60;
/// Bits of the count.
const COUNT_BITS: u32 = 8;

impl Usage {
    /// The bits of a key that is new `now`.
    #[inline]
    pub fn of_new(self, now: i64) -> u32 {
        match self {
            Usage::Recency => access_clock(now),
            Usage::Frequency => counted(now, NEW),
        }
    }

    /// The bits of a key that is given another value, of which they said `old`.
    #[inline]
    pub fn of_changed(self, old: u32, now: i64) -> u32 {
        match self {
            Usage::Recency => access_clock(now),
            // To look the key up was the use.
            Usage::Frequency => old,
        }
    }
}

/// How counts of uses grow and decay.
#[derive(Clone, Copy, Debug)]
pub struct Frequency {
    /// How slowly they grow: `lfu-log-factor`.
    pub log_factor: u32,
    /// Minutes after which they are less by one, 0 for never: `lfu-decay-time`.
    pub decay_minutes: u32,
}

impl Frequency {
    /// What the bits count `now`.
    pub fn count(self, bits: u32, now: i64) -> u32 {
        let (then, count) = (bits >> COUNT_BITS, bits & COUNT_MAX);
        let elapsed = match minute(now).wrapping_sub(then) & MINUTE_MAX {
            elapsed @ ..=ELAPSED_MAX => elapsed,
            // The clock has been set back.
            _ => 0,
        };
        count.saturating_sub(elapsed.checked_div(self.decay_minutes).unwrap_or(0))
    }

    /// The bits of a key that is used `now`, of which they said `old`.
    /// `chance` is drawn from 0 to 1.
    pub fn of_used(self, old: u32, now: i64, chance: f64) -> u32 {
        let count = self.count(old, now);
        let above = f64::from(count.saturating_sub(NEW));
        let grows = chance < 1.0 / (above * f64::from(self.log_factor) + 1.0);
        counted(now, (count + u32::from(grows)).min(COUNT_MAX))
    }
}

/// The bits of a key that counts so much now.
pub fn counted(now: i64, count: u32) -> u32 {
    minute(now) << COUNT_BITS | count
}

/// A clock of 16 bits.
fn minute(now: i64) -> u32 {
    (now / 60_000) as u32 & MINUTE_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;
    const DEFAULT: Frequency = Frequency {
        log_factor: 10,
        decay_minutes: 1,
    };

    #[test]
    fn counts_decay_with_time_and_the_clock_may_begin_anew() {
        let start = 0xfff0 * MINUTE;
        let bits = counted(start, 100);
        for (minutes, decay_minutes, left) in [
            (0, 1, 100),
            (1, 1, 99),
            (7, 2, 97),
            (15, 1, 85),
            // Across the end of the clock.
            (20, 1, 80),
            (3, 0, 100),
            (1000, 1, 0),
            // It has been set back an hour.
            (-60, 1, 100),
        ] {
            let frequency = Frequency {
                decay_minutes,
                ..DEFAULT
            };
            let count = frequency.count(bits, start + minutes * MINUTE);
            assert_eq!(count, left, "{minutes} {decay_minutes}");
        }
    }

    /// Hits after which a count is so high, from Redis's own documentation of
    /// `lfu-log-factor`.
    #[test]
    fn counts_grow_as_redis_documents() {
        let mut rng = fastrand::Rng::with_seed(3);
        for (log_factor, hits, expected) in [
            (0, 100, 104..=106),
            (1, 1_000, 40..=60),
            (10, 100, 7..=13),
            (10, 1_000, 14..=24),
            (10, 100_000, 130..=155),
            (100, 1_000_000, 130..=160),
            (0, 1_000, 255..=255),
        ] {
            let frequency = Frequency {
                log_factor,
                ..DEFAULT
            };
            let used = |bits, _| frequency.of_used(bits, 0, rng.f64());
            let bits = (0..hits).fold(Usage::Frequency.of_new(0), used);
            let count = frequency.count(bits, 0);
            assert!(expected.contains(&count), "{log_factor} {hits}: {count}");
        }
    }
}
