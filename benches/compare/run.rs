//! One run of a load: what it shows, and the meter that measures it.

use std::time::{Duration, Instant};

use crate::result::Result;
use crate::server::Server;

/// What a run shows.
pub struct Run {
    /// In the units of the load.
    pub costs: Vec<f64>,
    pub per_second: Option<f64>,
}

/// The server's CPU and the time from now on.
pub struct Meter<'a> {
    server: &'a Server,
    cpu: Duration,
    began: Instant,
}

impl Meter<'_> {
    pub fn start(server: &Server) -> Result<Meter<'_>> {
        Ok(Meter {
            server,
            cpu: server.cpu()?,
            began: Instant::now(),
        })
    }

    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// CPU µs for each of what was done, and how many were done in a second.
    pub fn stop(self, count: usize) -> Result<Run> {
        let elapsed = self.began.elapsed();
        let cpu = self.server.cpu()?.saturating_sub(self.cpu);
        Ok(Run {
            costs: vec![cpu.as_secs_f64() * 1e6 / count as f64],
            per_second: Some(count as f64 / elapsed.as_secs_f64()),
        })
    }
}
