//! How fast a number changes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Long enough that a second's chance does not show, short enough to see what happens.
pub const WINDOW: Duration = Duration::from_secs(5);

/// What a number was at the last few times that it was looked at.
#[derive(Clone, Debug, Default)]
pub struct Rate {
    seen: VecDeque<(Instant, i64)>,
}

impl Rate {
    pub fn see(&mut self, at: Instant, value: i64) {
        self.seen.push_back((at, value));
        // One from before the window stays, so that all of it is covered.
        while self.seen.len() > 2 && at.saturating_duration_since(self.seen[1].0) >= WINDOW {
            self.seen.pop_front();
        }
    }

    /// The same for a number that only grows. A smaller one begins anew: the server did.
    pub fn count(&mut self, at: Instant, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        if self.seen.back().is_some_and(|&(_, before)| value < before) {
            self.seen.clear();
        }
        self.see(at, value);
    }

    /// The change per second within the window; `None` until the number was seen twice.
    pub fn per_second(&self) -> Option<f64> {
        let change = self.change()?;
        let (first, last) = (self.seen.front()?, self.seen.back()?);
        let seconds = last.0.saturating_duration_since(first.0).as_secs_f64();
        (seconds > 0.0).then(|| change as f64 / seconds)
    }

    /// The change within the window.
    pub fn change(&self) -> Option<i64> {
        let (first, last) = (self.seen.front()?, self.seen.back()?);
        (self.seen.len() > 1).then(|| last.1.saturating_sub(first.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(), None);
        rate.see(at(0), 100);
        assert_eq!(rate.per_second(), None);
        rate.see(at(1), 110);
        assert_eq!(rate.per_second(), Some(10.0));
        rate.see(at(2), 90);
        assert_eq!(rate.per_second(), Some(-5.0));
        for second in 3..100 {
            rate.see(at(second), 90);
        }
        assert_eq!((rate.per_second(), rate.change()), (Some(0.0), Some(0)));
        assert!(rate.seen.len() < 8, "{rate:?}");
        // Looks that are far apart count, too.
        rate.see(at(200), 190);
        assert_eq!(rate.change(), Some(100));
    }

    #[test]
    fn a_counter_begins_anew_with_its_server() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut rate = Rate::default();
        rate.count(at(0), 1000);
        rate.count(at(1), 5);
        assert_eq!(rate.per_second(), None);
        rate.count(at(2), 7);
        assert_eq!(rate.per_second(), Some(2.0));
        // Twice at the same time is not for ever.
        let mut rate = Rate::default();
        rate.count(at(0), 1);
        rate.count(at(0), 2);
        assert_eq!(rate.per_second(), None);
    }
}
