//! How many items a consumer takes at a time: more as long as they are shown at once, few when
//! whoever sees them takes time, so that other consumers of the queue get their share.

use std::time::Duration;

/// The most that are taken at a time. More of them make nothing faster.
const MOST: usize = 256;

/// The most bytes that are taken at a time, as far as what came before tells.
const MOST_BYTES: usize = 1024 * 1024;

/// How many items go one by one into a pipe, whose reader may want some only: `head` reads all
/// that is there, and shows a few lines of it.
const ALONE: usize = 1000;

pub struct Pace {
    most: usize,
    /// How many are yet to go one by one.
    alone: usize,
}

impl Pace {
    pub fn new(into_pipe: bool) -> Pace {
        Pace {
            most: 1,
            alone: if into_pipe { ALONE } else { 0 },
        }
    }

    /// How many to take.
    pub fn most(&self) -> usize {
        self.most
    }

    /// So many items of so many bytes were shown in so much time.
    pub fn shown(&mut self, items: usize, bytes: usize, time: Duration) {
        const QUICK: Duration = Duration::from_millis(5);
        const SLOW: Duration = Duration::from_millis(20);
        self.alone = self.alone.saturating_sub(items);
        self.most = if self.alone > 0 {
            1
        } else if items < self.most {
            // The queue is empty. What comes now comes one by one, or fills it again.
            items.max(1)
        } else if time > SLOW || bytes > MOST_BYTES {
            (self.most / 2).max(1)
        } else if time < QUICK && bytes <= MOST_BYTES / 2 {
            (self.most * 2).min(MOST)
        } else {
            self.most
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_while_items_are_shown_at_once() {
        let mut pace = Pace::new(false);
        let mut seen = Vec::new();
        for _ in 0..10 {
            seen.push(pace.most());
            pace.shown(pace.most(), 10, Duration::ZERO);
        }
        assert_eq!(seen, [1, 2, 4, 8, 16, 32, 64, 128, 256, 256]);
        pace.shown(256, 10, Duration::from_secs(1));
        assert_eq!(pace.most(), 128);
        pace.shown(128, 2 * MOST_BYTES, Duration::ZERO);
        assert_eq!(pace.most(), 64);
        pace.shown(3, 10, Duration::ZERO);
        assert_eq!(pace.most(), 3);
        pace.shown(0, 0, Duration::ZERO);
        assert_eq!(pace.most(), 1);
    }

    #[test]
    fn a_pipe_gets_the_first_ones_alone() {
        let mut pace = Pace::new(true);
        for _ in 1..ALONE {
            pace.shown(1, 10, Duration::ZERO);
            assert_eq!(pace.most(), 1);
        }
        pace.shown(1, 10, Duration::ZERO);
        assert_eq!(pace.most(), 2);
    }
}
