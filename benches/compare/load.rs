//! What a row does to a server, and what comes out of it.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use crate::Result;
use crate::benchmark::Benchmark;
use crate::rows::Scale;
use crate::server::{Server, Subject};
use crate::{footprint, traffic};

pub enum Load {
    /// One command over and over.
    Command(Benchmark),
    /// Ten SETs between MULTI and EXEC, in one write.
    Transactions,
    /// To this many subscribers.
    Publish(usize),
    /// From LPUSH to a BLPOP that waits.
    Wake(Wake),
    /// This many producers, and as many consumers.
    Queue(usize),
    Memory(Stored),
    Connections {
        subscribed: bool,
    },
    /// From starting the program to its first PONG.
    Exec,
    /// A broker's life in this process.
    Broker,
    /// Many clients that do nothing, many keys that do not expire yet.
    Idle,
}

/// Which figure of a wake-up.
#[derive(Clone, Copy)]
pub enum Wake {
    Latency,
    Cpu,
}

/// What is stored to be weighed.
#[derive(Clone, Copy)]
pub enum Stored {
    Keys { value: usize, expiring: bool },
    List,
    ListsOfTen,
}

/// What a run shows.
pub struct Run {
    /// In the unit of the load.
    pub cost: f64,
    pub per_second: Option<f64>,
}

/// What loads need besides a server.
pub struct Setting<'a> {
    pub scale: &'a Scale,
    /// redis-benchmark, and what starts it.
    pub benchmark: &'a [OsString],
}

impl Load {
    /// What its cost is in.
    pub fn unit(&self) -> &'static str {
        match self {
            Load::Command(_) | Load::Transactions | Load::Publish(_) => "CPU µs",
            Load::Queue(_) | Load::Wake(Wake::Cpu) => "CPU µs",
            Load::Wake(Wake::Latency) => "p50 µs",
            Load::Memory(_) | Load::Connections { .. } => "bytes",
            Load::Exec | Load::Broker => "ms",
            Load::Idle => "CPU s",
        }
    }

    /// How often it runs. Memory and idleness take long and hardly vary.
    pub fn rounds(&self, rounds: u32) -> u32 {
        match self {
            Load::Memory(_) | Load::Connections { .. } | Load::Idle => rounds.min(3),
            _ => rounds,
        }
    }

    /// Whether a run must find nothing that another has left.
    pub fn needs_a_fresh_server(&self) -> bool {
        matches!(
            self,
            Load::Memory(_) | Load::Connections { .. } | Load::Idle
        )
    }

    /// Whether only respd can do it.
    pub fn is_ours_alone(&self) -> bool {
        matches!(self, Load::Broker)
    }

    /// Prepares and warms up the servers, and answers how many requests a run
    /// is to send them. Loads that run for a time need no number.
    pub fn calibrate(&self, servers: &[Server; 2], setting: &Setting) -> Result<usize> {
        match self {
            Load::Command(benchmark) => benchmark.calibrate(servers, setting),
            _ => Ok(0),
        }
    }

    pub fn run(
        &self,
        subject: &Subject,
        server: &Server,
        requests: usize,
        setting: &Setting,
    ) -> Result<Run> {
        let scale = setting.scale;
        let time = Duration::from_secs_f64(scale.seconds);
        match self {
            Load::Command(benchmark) => benchmark.run(server, requests, setting),
            Load::Transactions => traffic::transactions(server, scale.keys, time),
            Load::Publish(subscribers) => traffic::publish(server, *subscribers, time),
            Load::Wake(wake) => traffic::wake(server, *wake, time),
            Load::Queue(pairs) => traffic::queue(server, *pairs, time),
            Load::Memory(stored) => footprint::memory(server, *stored, scale),
            Load::Connections { subscribed } => footprint::connections(server, *subscribed, scale),
            Load::Exec => footprint::exec(subject, scale),
            Load::Broker => footprint::broker(scale),
            Load::Idle => footprint::idle(server, scale),
        }
    }
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
            cost: cpu.as_secs_f64() * 1e6 / count as f64,
            per_second: Some(count as f64 / elapsed.as_secs_f64()),
        })
    }
}
