//! `--rate`: so many lines in a time, and not more.

use std::time::{Duration, Instant};

/// How late a line may be for those behind it to hurry. Beyond that, input paused, and what comes
/// after is not to come in a burst.
const CATCH_UP: Duration = Duration::from_millis(100);

/// The time from one line to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate(Duration);

impl Rate {
    /// As in 50/s, 600/m, 10/h, or a number alone, which is by the second.
    pub fn parse(text: &str) -> Result<Rate, &'static str> {
        const FORM: &str = "a rate is a number by the second, minute or hour, such as 50/s";
        let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
        let seconds = match unit {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(FORM),
        };
        let number: f64 = number.parse().map_err(|_| FORM)?;
        if number.is_nan() || number <= 0.0 {
            return Err(FORM);
        }
        // Less than one in a year is a slip of the pen.
        let interval = Duration::try_from_secs_f64(seconds / number).ok();
        let interval = interval.filter(|interval| interval.as_secs() < 366 * 24 * 3600);
        interval.map(Rate).ok_or(FORM)
    }
}

/// When the next line is due.
pub struct Schedule {
    rate: Rate,
    due: Instant,
}

impl Schedule {
    pub fn new(rate: Rate, now: Instant) -> Schedule {
        Schedule { rate, due: now }
    }

    pub fn wait(&self, now: Instant) -> Duration {
        self.due.saturating_duration_since(now)
    }

    /// A line is on its way.
    pub fn sent(&mut self, now: Instant) {
        let earliest = now.checked_sub(CATCH_UP).unwrap_or(now);
        self.due = self.due.max(earliest) + self.rate.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read() {
        let milliseconds = |text| Rate::parse(text).map(|rate| rate.0.as_millis());
        assert_eq!(milliseconds("50/s"), Ok(20));
        assert_eq!(milliseconds("50"), Ok(20));
        assert_eq!(milliseconds("0.5/s"), Ok(2000));
        assert_eq!(milliseconds("600/m"), Ok(100));
        assert_eq!(milliseconds("10/h"), Ok(360_000));
        for text in ["", "0/s", "-1", "nan", "inf/x", "50/d", "/s", "1e-300"] {
            assert!(Rate::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lines_keep_their_distance_and_hurry_only_a_little() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut schedule = Schedule::new(Rate::parse("100/s").unwrap(), start);
        assert_eq!(schedule.wait(start), Duration::ZERO);
        schedule.sent(start);
        assert_eq!(schedule.wait(start), Duration::from_millis(10));
        // A line that comes late moves none of those behind it.
        schedule.sent(at(15));
        assert_eq!(schedule.wait(at(15)), Duration::from_millis(5));
        // Input paused: of what was missed, a tenth of a second is made up for.
        schedule.sent(at(10_000));
        assert_eq!(schedule.wait(at(9_900)), Duration::from_millis(10));
    }
}
