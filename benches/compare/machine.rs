//! The machine that measures: what it is, and what it allows.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::result::Result;

/// The machine, the versions and the command line, a line each.
pub fn describe(redis_server: &OsStr) -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model
        .unwrap_or("unknown")
        .trim_start_matches(['\t', ' ', ':']);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let redis = version(redis_server).unwrap_or_default();
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    format!(
        "machine: {model}, {} cores, Linux {}\n\
         servers: respd {}, {redis}\n\
         command: cargo bench --bench compare -- {}",
        cores(),
        kernel.trim(),
        env!("CARGO_PKG_VERSION"),
        words.join(" "),
    )
}

/// What a program says of its version.
pub fn version(program: &OsStr) -> Result<String> {
    let said = Command::new(program).arg("--version").output()?.stdout;
    Ok(String::from_utf8_lossy(&said).trim().to_owned())
}

/// Raises the limit of open files as far as it goes; how many connections that
/// leaves room for.
pub fn allow_open_files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let reached = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    // None is no limit. Both ends need some for other things.
    reached.map_or(usize::MAX, |files| files.saturating_sub(200) as usize)
}

/// What keeps a server and redis-benchmark on cores of their own, if there are
/// two for each: the words before the server, and redis-benchmark's.
pub fn apart(benchmark: &OsStr) -> (Vec<OsString>, Vec<OsString>) {
    let cores = cores();
    if cores < 4 {
        return (Vec::new(), vec![benchmark.to_owned()]);
    }
    let half = cores / 2;
    let on = |first, last| {
        [
            "taskset".into(),
            "-c".into(),
            format!("{first}-{last}").into(),
        ]
    };
    let mut client = on(half, cores - 1).to_vec();
    // One thread of clients could not keep two workers busy.
    client.extend([
        benchmark.to_owned(),
        "--threads".into(),
        (cores - half).to_string().into(),
    ]);
    (on(0, half - 1).to_vec(), client)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
