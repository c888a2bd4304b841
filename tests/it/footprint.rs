//! What a process holds of the machine, read from `/proc`.

use std::fs;
use std::time::Duration;

/// What a process holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Footprint {
    /// Resident memory in bytes.
    pub resident: u64,
    /// The most that it ever was.
    pub peak: u64,
    /// Reserved addresses in bytes.
    pub reserved: u64,
    pub threads: u64,
    pub descriptors: u64,
}

impl Footprint {
    pub fn of(pid: u32) -> Footprint {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let number = |name: &str| -> u64 {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        Footprint {
            resident: number("VmRSS:") << 10,
            peak: number("VmHWM:") << 10,
            reserved: number("VmSize:") << 10,
            threads: number("Threads:"),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64,
        }
    }

    pub fn own() -> Footprint {
        Footprint::of(std::process::id())
    }
}

/// The time that a process has spent on processors.
pub fn processor_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Behind the name, which may hold anything and ends with the last parenthesis.
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    let per_second = rustix::param::clock_ticks_per_second();
    Duration::from_millis(ticks * 1000 / per_second)
}
