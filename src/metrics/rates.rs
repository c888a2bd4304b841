//! How often something happens in a second, averaged over the last samples.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;

/// Counts per second, averaged over the last samples.
#[derive(Default)]
pub struct Rates {
    samples: Mutex<Samples>,
}

#[derive(Default)]
struct Samples {
    last: Option<(Duration, Totals)>,
    rates: VecDeque<Totals>,
}

/// Commands, bytes of input and of output, cycles of event loops and the
/// microseconds that they took.
type Totals = [u64; 5];

/// As many samples as Redis averages.
const RATE_SAMPLES: usize = 16;

impl Rates {
    /// Takes a sample; to be called about ten times a second.
    pub fn sample(&self, uptime: Duration, totals: Totals) {
        let mut samples = self.samples.lock();
        if let Some((then, before)) = samples.last {
            let nanos = uptime.saturating_sub(then).as_nanos().max(1) as u64;
            let per_second = |now: u64, before: u64| {
                (u128::from(now.saturating_sub(before)) * 1_000_000_000 / u128::from(nanos)) as u64
            };
            let rates = std::array::from_fn(|i| per_second(totals[i], before[i]));
            samples.rates.push_back(rates);
            if samples.rates.len() > RATE_SAMPLES {
                samples.rates.pop_front();
            }
        }
        samples.last = Some((uptime, totals));
    }

    /// Forgets all samples: the totals begin at 0 again.
    pub fn reset(&self) {
        *self.samples.lock() = Samples::default();
    }

    /// Of each so many per second.
    pub fn per_second(&self) -> Totals {
        let samples = self.samples.lock();
        let count = samples.rates.len().max(1) as u64;
        std::array::from_fn(|i| samples.rates.iter().map(|rates| rates[i]).sum::<u64>() / count)
    }
}
