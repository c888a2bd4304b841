//! Durations by size, to tell percentiles from.
//!
//! A doubling is cut into sixteen steps, so an answer is at most a sixteenth
//! above the truth, and counting a duration costs one addition. The size is
//! fixed: what takes longer than four minutes counts as that.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const STEP_BITS: u32 = 4;
const STEPS: usize = 1 << STEP_BITS;
const LONGEST: u64 = (1 << 38) - 1;
/// Nanoseconds below [`STEPS`] have a bucket each.
const BUCKETS: usize = (38 - STEP_BITS as usize + 1) * STEPS;

/// How many durations there were of which size.
pub struct Histogram {
    counts: [AtomicU64; BUCKETS],
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            counts: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }
}

impl Histogram {
    /// Counts a duration so many times.
    pub fn count(&self, nanos: u64, times: u64) {
        self.counts[bucket(nanos)].fetch_add(times, Relaxed);
    }

    /// How many durations were counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// The duration, in nanoseconds, that `percentile` per cent do not exceed;
    /// 0 if none was counted.
    pub fn percentile(&self, percentile: f64) -> u64 {
        let rank = (self.total() as f64 * percentile / 100.0).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count.load(Relaxed);
            if seen >= rank {
                return highest(index);
            }
        }
        0
    }

    /// For each power of two at or above which durations end: the exponent,
    /// and how many are below it in nanoseconds. Those below `first` are
    /// counted together.
    pub fn doublings(&self, first: u32) -> Vec<(u32, u64)> {
        let mut doublings: Vec<(u32, u64)> = Vec::new();
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            let count = count.load(Relaxed);
            if count == 0 {
                continue;
            }
            seen += count;
            let exponent = (highest(index) + 1).next_power_of_two().ilog2().max(first);
            match doublings.last_mut() {
                Some(last) if last.0 == exponent => last.1 = seen,
                _ => doublings.push((exponent, seen)),
            }
        }
        doublings
    }

    /// Forgets all durations.
    pub fn reset(&self) {
        self.counts.iter().for_each(|count| count.store(0, Relaxed));
    }
}

fn bucket(nanos: u64) -> usize {
    let nanos = nanos.min(LONGEST);
    if nanos < STEPS as u64 {
        return nanos as usize;
    }
    let shift = nanos.ilog2() - STEP_BITS;
    // The bits above the shift begin with a one, which stands for STEPS.
    shift as usize * STEPS + (nanos >> shift) as usize
}

/// The longest duration of a bucket.
fn highest(index: usize) -> u64 {
    if index < STEPS {
        return index as u64;
    }
    let shift = index / STEPS - 1;
    let step = (STEPS + index % STEPS) as u64;
    ((step + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_adjoin_and_are_a_sixteenth_wide_at_most() {
        for index in 1..BUCKETS {
            let lowest = highest(index - 1) + 1;
            assert_eq!(bucket(lowest), index, "{lowest}");
            assert_eq!(bucket(highest(index)), index, "{index}");
            let width = highest(index) - lowest;
            assert!(width <= lowest / 16, "{lowest} {width}");
        }
        assert_eq!(highest(BUCKETS - 1), LONGEST);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_those_of_the_durations_that_were_counted() {
        let histogram = Histogram::default();
        assert_eq!((histogram.total(), histogram.percentile(50.0)), (0, 0));
        (1..=1000).for_each(|micros| histogram.count(micros * 1000, 1));
        for (percentile, expected) in [(0.0, 1_000), (50.0, 500_000), (99.9, 999_000)] {
            let answer = histogram.percentile(percentile);
            let bound = expected + expected / 16;
            assert!(
                (expected..=bound).contains(&answer),
                "{percentile}: {answer}"
            );
        }
        histogram.reset();
        assert_eq!(histogram.total(), 0);
    }

    #[test]
    fn doublings_count_up() {
        let histogram = Histogram::default();
        [3, 900, 1023, 1024, 5000, 8191]
            .iter()
            .for_each(|&nanos| histogram.count(nanos, 1));
        assert_eq!(histogram.doublings(10), [(10, 3), (11, 4), (13, 6)]);
    }
}
