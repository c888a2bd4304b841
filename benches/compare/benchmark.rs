//! Loads of one command over and over, by redis-benchmark.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::cache;
use crate::clients::{CONNECTIONS, Connection, request};
use crate::collections::Collection;
use crate::result::Result;
use crate::run::{Meter, Run};
use crate::scripts::{self, Script};
use crate::server::Server;
use crate::setting::{Scale, Setting};
use crate::streams;

/// A command, and how it is sent.
pub struct Benchmark {
    /// With redis-benchmark's `__rand_int__`, and `$value`; of scripts `$sha`
    /// and `$object`.
    pub words: &'static str,
    pub data: Data,
    /// Bytes of a value.
    pub value: usize,
    pub pipeline: usize,
    /// What one takes, in times of what the others take, about.
    pub weight: usize,
}

/// What has to be there before a command runs.
#[derive(Clone, Copy)]
pub enum Data {
    None,
    Keys,
    ExpiringKeys,
    EmptyList,
    /// As many elements as there will be requests.
    FullList,
    ListOf100,
    /// Under `c`, so many elements, which stay there.
    Collection(Collection, usize),
    /// Under `c`, as many elements as there will be requests.
    FullCollection(Collection),
    /// Under `c0`, `c1` and so on, so many collections of as many elements
    /// each; every one has half of its elements in common with the next one.
    Overlapping(Collection, usize, usize),
    /// Under `stream`, so many entries; every run begins with these.
    Stream(usize),
    /// Half of the keys, and no room for more.
    HalfOfKeys,
    /// A script that the server knows by its SHA-1.
    Script(Script),
}

impl Benchmark {
    /// Stores the keys, warms the servers up, and answers how many requests
    /// the slower one can take in the time of a run.
    pub fn calibrate(&self, servers: &[Server; 2], setting: &Setting) -> Result<usize> {
        let scale = setting.scale;
        let trial = if self.pipeline == 1 { 20_000 } else { 60_000 };
        let trial = (trial / self.weight).min(scale.requests);
        let mut requests = scale.requests;
        for server in servers {
            self.store_keys(server, scale)?;
            self.fill_collections(server, scale)?;
            let rate = self.run(server, trial, setting)?.per_second;
            requests = requests.min((rate.unwrap_or(0.0) * scale.seconds) as usize);
        }
        Ok(requests.max(trial))
    }

    pub fn run(&self, server: &Server, requests: usize, setting: &Setting) -> Result<Run> {
        self.renew(server, requests)?;
        if let Data::FullCollection(collection) = self.data {
            let mut connection = Connection::open(server.port)?;
            connection.fill(1, |_| request(&["DEL", "c"]))?;
            collection.fill(&mut connection, "c", 0..requests)?;
        }
        let mut command = Command::new(&setting.benchmark[0]);
        command.args(&setting.benchmark[1..]);
        for (flag, number) in [
            ("-p", server.port as usize),
            ("-c", CONNECTIONS),
            ("-P", self.pipeline),
            ("-n", requests),
            ("-r", self.drawn(setting.scale)),
        ] {
            command.arg(flag).arg(number.to_string());
        }
        command.arg("--csv");
        let value = "x".repeat(self.value);
        let sha = match self.data {
            Data::Script(script) => script.load(&mut Connection::open(server.port)?)?,
            _ => String::new(),
        };
        let words = self.words.split_whitespace();
        command.args(words.map(|word| match word {
            "$sha" => sha.clone(),
            "$object" => scripts::object(),
            word => word.replace("$value", &value),
        }));
        let meter = Meter::start(server)?;
        let said = output(&mut command)?;
        let run = meter.stop(requests)?;
        // "what it ran","requests a second" and six more, under a line of titles; there may be
        // quotes in what it ran.
        let line = said.lines().last().unwrap_or_default();
        let rate = line
            .rsplit("\",\"")
            .nth(6)
            .and_then(|rate| rate.parse().ok());
        Ok(Run {
            // Its own clock leaves out how long it takes to start and to end.
            per_second: Some(rate.ok_or_else(|| format!("redis-benchmark: {said}"))?),
            ..run
        })
    }

    /// How many keys or elements requests draw from.
    fn drawn(&self, scale: &Scale) -> usize {
        match self.data {
            // So many that what clients take of the memory does not count.
            Data::HalfOfKeys => scale.stored,
            _ => scale.keys,
        }
    }

    /// Stores the keys that requests draw from.
    fn store_keys(&self, server: &Server, scale: &Scale) -> Result<()> {
        let (count, expiry): (usize, &[&str]) = match self.data {
            Data::Keys => (scale.keys, &[]),
            Data::ExpiringKeys => (scale.keys, &["EX", "3600"]),
            Data::HalfOfKeys => (self.drawn(scale) / 2, &[]),
            _ => return Ok(()),
        };
        // As redis-benchmark writes its random numbers.
        let key = |n| format!("key:{n:012}");
        let mut connection = Connection::open(server.port)?;
        connection.store(count, key, self.value, expiry)?;
        match self.data {
            Data::HalfOfKeys => cache::limit(&mut connection, "allkeys-lru", scale),
            _ => Ok(()),
        }
    }

    /// Fills the collections that no request changes the size of.
    fn fill_collections(&self, server: &Server, scale: &Scale) -> Result<()> {
        let mut connection = Connection::open(server.port)?;
        match self.data {
            Data::Collection(collection, len) => {
                collection.fill(&mut connection, "c", 0..len.min(scale.keys))
            }
            Data::Overlapping(collection, count, len) => {
                let len = len.min(scale.keys);
                (0..count).try_for_each(|n| {
                    let first = n * len / 2;
                    collection.fill(&mut connection, &format!("c{n}"), first..first + len)
                })
            }
            _ => Ok(()),
        }
    }

    /// Brings the list or the stream back to where a run begins.
    fn renew(&self, server: &Server, requests: usize) -> Result<()> {
        let len = match self.data {
            Data::Stream(entries) => {
                return streams::renew(&mut Connection::open(server.port)?, entries);
            }
            Data::EmptyList => 0,
            Data::FullList => requests,
            Data::ListOf100 => 100,
            _ => return Ok(()),
        };
        let mut connection = Connection::open(server.port)?;
        connection.fill(1, |_| request(&["DEL", "list"]))?;
        let value = "x".repeat(self.value);
        let (elements, mut words) = (50, vec!["RPUSH", "list"]);
        words.resize(2 + elements, &value);
        connection.fill(len.div_ceil(elements), |_| request(&words))
    }
}

/// What a program prints, if it ends well and in time.
fn output(command: &mut Command) -> Result<String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut process = command.spawn()?;
    let began = Instant::now();
    let status = loop {
        if let Some(status) = process.try_wait()? {
            break status;
        }
        if began.elapsed() > Duration::from_secs(60) {
            process.kill()?;
            process.wait()?;
            return Err("redis-benchmark takes longer than a minute".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    // It prints less than a pipe holds, so it never waited for its reader.
    let mut said = String::new();
    process
        .stdout
        .take()
        .ok_or("no output")?
        .read_to_string(&mut said)?;
    if !status.success() {
        process
            .stderr
            .take()
            .ok_or("no output")?
            .read_to_string(&mut said)?;
        return Err(format!("redis-benchmark: {}", said.trim()).into());
    }
    Ok(said)
}
