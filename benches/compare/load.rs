//! What a row does to a server, and what comes out of it.

use std::time::Duration;

use crate::benchmark::Benchmark;
use crate::cache;
use crate::footprint::{self, Stored};
use crate::result::Result;
use crate::run::Run;
use crate::server::{Server, Subject};
use crate::setting::Setting;
use crate::stalls::{self, Stall};
use crate::streams;
use crate::traffic::{self, Through};
use crate::within::{self, Waiting};

pub enum Load {
    /// One command over and over.
    Command(Benchmark),
    /// Ten SETs between MULTI and EXEC, in one write.
    Transactions,
    /// To this many subscribers.
    Publish(usize),
    /// From a producer to a consumer that waits.
    Wake(Through),
    /// This many producers, and as many consumers.
    Queue(Through, usize),
    /// A group that reads and acknowledges.
    Work,
    /// GETs of keys that have mostly no room, under this policy.
    Cache(&'static str),
    Memory(Stored),
    Connections {
        subscribed: bool,
    },
    /// From starting the program to its first PONG.
    Exec,
    /// A broker's life in this process.
    Broker,
    /// From this process to a broker in it, in pipelines of so many.
    Within(Waiting, usize),
    /// Many clients that do nothing, many keys that do not expire yet.
    Idle,
    /// GETs, one at a time, while something else goes on.
    Stall(Stall),
}

impl Load {
    /// What its costs are in.
    pub fn units(&self) -> &'static [&'static str] {
        match self {
            Load::Command(_)
            | Load::Transactions
            | Load::Publish(_)
            | Load::Queue(..)
            | Load::Work => &["CPU µs"],
            Load::Wake(_) => &["p50 µs", "CPU µs"],
            Load::Cache(_) => &["% missed"],
            Load::Memory(_) | Load::Connections { .. } => &["bytes"],
            Load::Exec | Load::Broker => &["ms"],
            Load::Within(..) => &["CPU µs", "CPU µs by TCP", "ratio"],
            Load::Idle => &["CPU s"],
            Load::Stall(_) => &["p50 µs", "p99.9 µs", "longest ms"],
        }
    }

    /// How often it runs. What needs a fresh server takes long, and a cache is
    /// asked for the same each time.
    pub fn rounds(&self, rounds: u32) -> u32 {
        match self {
            Load::Cache(_) => 1,
            _ if self.needs_a_fresh_server() => rounds.min(3),
            _ => rounds,
        }
    }

    /// Whether a run must find nothing that another has left.
    pub fn needs_a_fresh_server(&self) -> bool {
        matches!(
            self,
            Load::Cache(_)
                | Load::Memory(_)
                | Load::Connections { .. }
                | Load::Idle
                | Load::Stall(_)
        )
    }

    /// Whether only respd can do it, or do it in time: redis-server 7.0
    /// compares a key to watch with each that the client watches already, which
    /// takes a minute and a half for 100,000.
    pub fn is_ours_alone(&self) -> bool {
        matches!(
            self,
            Load::Broker | Load::Within(..) | Load::Stall(Stall::Watchers(_))
        )
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
            Load::Wake(through) => traffic::wake(server, *through, time),
            Load::Queue(through, pairs) => traffic::queue(server, *through, *pairs, time),
            Load::Work => streams::work(server, scale.keys, time),
            Load::Cache(policy) => cache::misses(server, policy, scale),
            Load::Memory(stored) => footprint::memory(server, *stored, scale),
            Load::Connections { subscribed } => footprint::connections(server, *subscribed, scale),
            Load::Exec => footprint::exec(subject, scale),
            Load::Broker => footprint::broker(scale),
            Load::Within(waiting, depth) => within::gets(*waiting, *depth, time),
            Load::Idle => footprint::idle(server, scale),
            Load::Stall(stall) => stalls::stall(server, *stall, scale),
        }
    }
}
