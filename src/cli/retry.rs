//! Coming back after the broker went away: waits that grow, and one line about each outage.

use std::time::{Duration, Instant};

use super::client::Connection;
use super::error::Error;
use super::interrupt::Interrupt;
use super::say::tell;
use super::target::Target;

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Waits between attempts: each up to twice as long as the one before, never outside 100 ms to
/// 5 s, and random within that, so that the subscribers of a broker do not all return at once.
pub struct Backoff {
    ceiling: Duration,
    rng: fastrand::Rng,
}

impl Backoff {
    pub fn new(rng: fastrand::Rng) -> Backoff {
        Backoff {
            ceiling: SHORTEST * 2,
            rng,
        }
    }

    pub fn next_delay(&mut self) -> Duration {
        let ceiling = self.ceiling;
        self.ceiling = (ceiling * 2).min(LONGEST);
        ceiling.mul_f64(0.5 + self.rng.f64() / 2.0)
    }
}

/// The way back to a broker.
pub struct Retry<'a> {
    target: &'a Target,
    interrupt: &'a Interrupt,
    /// There during an outage, which lasts until the verb says that it works again.
    outage: Option<Backoff>,
}

impl<'a> Retry<'a> {
    pub fn new(target: &'a Target, interrupt: &'a Interrupt) -> Retry<'a> {
        Retry {
            target,
            interrupt,
            outage: None,
        }
    }

    /// Connects again after `failure`, however long that takes, or gives the failure back if
    /// another attempt cannot mend it. `None` if the user, or the deadline, ended the wait.
    pub fn reconnect(
        &mut self,
        failure: Error,
        deadline: Option<Instant>,
    ) -> Result<Option<Connection>, Error> {
        if self.interrupt.is_raised() {
            return Ok(None);
        }
        if !failure.is_transient() {
            return Err(failure);
        }
        let backoff = self.outage.get_or_insert_with(|| {
            tell(&format!("{failure}; trying again until it is back"));
            Backoff::new(fastrand::Rng::new())
        });
        loop {
            let mut delay = backoff.next_delay();
            if let Some(deadline) = deadline {
                delay = delay.min(deadline.saturating_duration_since(Instant::now()));
            }
            if self.interrupt.wait(delay) || deadline.is_some_and(|at| at <= Instant::now()) {
                return Ok(None);
            }
            match Connection::open(self.target) {
                Ok(connection) => return Ok(Some(connection)),
                Err(error) if error.is_transient() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends the outage, if there is one, and says whether there was.
    pub fn recovered(&mut self) -> bool {
        self.outage.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{greeted, nobody, serve};
    use super::*;

    #[test]
    fn a_broker_that_comes_back_is_found() {
        let (target, server) = serve(
            "",
            vec![
                Box::new(|_| {}),
                Box::new(|peer| peer.refuse("-LOADING not yet\r\n")),
                greeted(|_| {}),
            ],
        );
        let failure = Connection::open(&target).err().unwrap();
        let interrupt = Interrupt::default();
        let mut retry = Retry::new(&target, &interrupt);
        assert!(!retry.recovered());
        assert!(retry.reconnect(failure, None).unwrap().is_some());
        server.join().unwrap();
        assert!(retry.recovered());
        assert!(!retry.recovered());
    }

    #[test]
    fn a_broker_that_refuses_is_not_asked_again() {
        let (target, server) = serve(
            "",
            vec![
                Box::new(|_| {}),
                Box::new(|peer| peer.refuse("-NOAUTH Authentication required.\r\n")),
            ],
        );
        let failure = Connection::open(&target).err().unwrap();
        let interrupt = Interrupt::default();
        let mut retry = Retry::new(&target, &interrupt);
        let error = retry.reconnect(failure, None).err().unwrap();
        assert!(error.to_string().contains("NOAUTH"), "{error}");
        server.join().unwrap();
    }

    #[test]
    fn a_deadline_ends_the_wait() {
        let (target, _port) = nobody();
        let failure = Connection::open(&target).err().unwrap();
        let interrupt = Interrupt::default();
        let mut retry = Retry::new(&target, &interrupt);
        let waited = retry.reconnect(failure, Some(Instant::now()));
        assert!(waited.unwrap().is_none());
    }

    #[test]
    fn waits_grow_and_stay_in_their_bounds() {
        for seed in 0..1000 {
            let mut backoff = Backoff::new(fastrand::Rng::with_seed(seed));
            let delays: Vec<_> = (0..20).map(|_| backoff.next_delay()).collect();
            assert!(delays[0] < Duration::from_millis(201), "{delays:?}");
            for (n, delay) in delays.iter().enumerate() {
                assert!((SHORTEST..=LONGEST).contains(delay), "{n}: {delays:?}");
            }
            assert!(delays[19] >= LONGEST / 2, "{delays:?}");
        }
    }

    #[test]
    fn waits_differ_between_clients() {
        let delay = |seed| Backoff::new(fastrand::Rng::with_seed(seed)).next_delay();
        assert_ne!(delay(1), delay(2));
    }
}
