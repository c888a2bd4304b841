//! `--timeout`: how long a verb waits for the next message or item, and how it ends then.

use std::time::{Duration, Instant};

use super::failure::Failure;
use super::say::counted;

pub struct Timeout {
    limit: Option<Duration>,
    since: Instant,
}

impl Timeout {
    /// None, or a limit of nothing, is to wait for ever.
    pub fn new(limit: Option<Duration>) -> Timeout {
        Timeout {
            limit: limit.filter(|limit| !limit.is_zero()),
            since: Instant::now(),
        }
    }

    /// Something came.
    pub fn restart(&mut self) {
        self.since = Instant::now();
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.limit.map(|limit| self.since + limit)
    }

    /// How it ends when nothing came any more: well, if something had come and no more was asked
    /// for.
    pub fn passed(
        &self,
        noun: &str,
        came: u64,
        wanted: Option<u64>,
        place: &str,
    ) -> Result<(), Failure> {
        let seconds = self.limit.unwrap_or_default().as_secs_f64();
        match (came, wanted) {
            (0, _) => Err(Failure::TimedOut(format!(
                "no {noun} came to {place} within {seconds} s"
            ))),
            (_, None) => Ok(()),
            (_, Some(wanted)) => {
                let wanted = counted(wanted.try_into().unwrap_or(i64::MAX), noun);
                Err(Failure::TimedOut(format!(
                    "only {came} of {wanted} came to {place}, and none within {seconds} s since"
                )))
            }
        }
    }
}

/// Seconds as BRPOP takes them: fractions too, and none to wait for ever.
pub fn parse_timeout(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        // Some thirty years; beyond some more, servers refuse it.
        .filter(|timeout| timeout.as_secs() < 1_000_000_000)
        .ok_or_else(|| "out of range".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_seconds() {
        assert_eq!(parse_timeout("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_timeout("0"), Ok(Duration::ZERO));
        for text in ["-1", "nan", "inf", "1e300", "", "soon"] {
            assert!(parse_timeout(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_did_not_come_is_said() {
        let timeout = Timeout::new(Some(Duration::from_millis(500)));
        let line = |came, wanted| match timeout.passed("item", came, wanted, "'jobs'") {
            Ok(()) => String::new(),
            Err(Failure::TimedOut(line)) => line,
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(line(0, None), "no item came to 'jobs' within 0.5 s");
        assert_eq!(line(0, Some(1)), "no item came to 'jobs' within 0.5 s");
        assert_eq!(line(7, None), "");
        let fewer = "only 1 of 3 items came to 'jobs', and none within 0.5 s since";
        assert_eq!(line(1, Some(3)), fewer);
    }

    #[test]
    fn a_limit_of_nothing_is_none() {
        assert_eq!(Timeout::new(Some(Duration::ZERO)).deadline(), None);
        assert_eq!(Timeout::new(None).deadline(), None);
    }
}
