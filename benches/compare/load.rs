//! What a row does to a server, and what comes out of it.

use std::time::Duration;

use crate::benchmark::Benchmark;
use crate::footprint::{self, Stored};
use crate::result::Result;
use crate::run::Run;
use crate::server::{Server, Subject};
use crate::setting::Setting;
use crate::traffic;

pub enum Load {
    /// One command over and over.
    Command(Benchmark),
    /// Ten SETs between MULTI and EXEC, in one write.
    Transactions,
    /// To this many subscribers.
    Publish(usize),
    /// From LPUSH to a BLPOP that waits.
    Wake,
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

impl Load {
    /// What its costs are in.
    pub fn units(&self) -> &'static [&'static str] {
        match self {
            Load::Command(_) | Load::Transactions | Load::Publish(_) | Load::Queue(_) => {
                &["CPU µs"]
            }
            Load::Wake => &["p50 µs", "CPU µs"],
            Load::Memory(_) | Load::Connections { .. } => &["bytes"],
            Load::Exec | Load::Broker => &["ms"],
            Load::Idle => &["CPU s"],
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
            Load::Wake => traffic::wake(server, time),
            Load::Queue(pairs) => traffic::queue(server, *pairs, time),
            Load::Memory(stored) => footprint::memory(server, *stored, scale),
            Load::Connections { subscribed } => footprint::connections(server, *subscribed, scale),
            Load::Exec => footprint::exec(subject, scale),
            Load::Broker => footprint::broker(scale),
            Load::Idle => footprint::idle(server, scale),
        }
    }
}
