//! Calls that are not counted in the metrics yet.
//!
//! In a pipeline many calls in a row are of one command. Counting them together
//! spares each two writes to memory that workers share, and reading the clock.

use std::time::Duration;

use crate::server::Server;

/// Calls in a row of one command, as far as they are not counted yet.
pub struct Tally {
    command: usize,
    calls: u64,
    nanos: u64,
    /// Calls since the clock was read.
    untimed: u32,
    /// The machine's time when it was read last: at the end of the calls that
    /// are timed, which is the beginning of the next.
    read_until: Duration,
    /// The call that runs is timed, whatever was planned.
    time_now: bool,
}

impl Tally {
    /// Begins at this time of the machine's.
    pub fn new(machine: Duration) -> Tally {
        Tally {
            command: 0,
            calls: 0,
            nanos: 0,
            untimed: 0,
            read_until: machine,
            time_now: false,
        }
    }

    /// When the clock was read last, by the machine's time.
    pub fn read_until(&self) -> Duration {
        self.read_until
    }

    /// The time was spent waiting and is no call's.
    pub fn skip_to(&mut self, machine: Duration) {
        self.read_until = machine;
    }

    /// Begins a call of the command with this id; answers since when it, or
    /// the calls that are timed together with it, run.
    #[inline]
    pub fn begin(&mut self, server: &Server, command: usize) -> Duration {
        if self.command != command {
            self.count(server);
            self.command = command;
        }
        self.read_until
    }

    /// Ends a call that began at `start`. If it is `timed`, answers how long it
    /// has taken, together with the untimed ones of the same command before it.
    #[inline]
    pub fn end(
        &mut self,
        server: &Server,
        command: usize,
        start: Duration,
        timed: bool,
    ) -> Option<Duration> {
        // Those of a transaction have been counted in between.
        self.begin(server, command);
        self.untimed += 1;
        (timed || self.time_now).then(|| self.time(server, start))
    }

    /// Has the call that runs be timed by itself.
    pub fn time_this(&mut self) {
        self.time_now = true;
    }

    fn time(&mut self, server: &Server, start: Duration) -> Duration {
        self.time_now = false;
        self.read_until = server.clock.machine();
        let duration = self.read_until.saturating_sub(start);
        let nanos = duration.as_nanos() as u64;
        let calls = u64::from(std::mem::take(&mut self.untimed));
        self.calls += calls;
        self.nanos += nanos;
        server.metrics.count_latency(self.command, nanos, calls);
        duration
    }

    /// Brings the metrics up to date.
    pub fn count(&mut self, server: &Server) {
        if self.untimed > 0 {
            self.time(server, self.read_until);
        }
        let (calls, nanos) = (std::mem::take(&mut self.calls), self.nanos);
        self.nanos = 0;
        if calls > 0 {
            server.metrics.count_calls(self.command, calls, nanos);
        }
        self.command = 0;
    }
}
