//! What the operating system says about the process, its embedder included,
//! and about the machine. `None` where it does not say.

use std::time::Duration;

/// Bytes of memory that are resident.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResidentMemory {
    /// All of them.
    pub total: u64,
    /// Those that no file stands behind, as of programs and their libraries:
    /// what allocators have, and stacks.
    pub anonymous: u64,
}

/// Bytes of memory that are resident.
pub fn resident_memory() -> Option<ResidentMemory> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    parse_resident_memory(&statm, rustix::param::page_size() as u64)
}

fn parse_resident_memory(statm: &str, page: u64) -> Option<ResidentMemory> {
    let mut pages = statm.split(' ').skip(1).map(str::parse::<u64>);
    let (total, of_files) = (pages.next()?.ok()?, pages.next()?.ok()?);
    Some(ResidentMemory {
        total: total * page,
        anonymous: total.saturating_sub(of_files) * page,
    })
}

/// Bytes of memory that the machine has.
#[cfg(target_os = "linux")]
pub fn machine_memory() -> Option<u64> {
    let info = rustix::system::sysinfo();
    Some(info.totalram as u64 * u64::from(info.mem_unit))
}

/// Bytes of memory that the machine has.
#[cfg(not(target_os = "linux"))]
pub fn machine_memory() -> Option<u64> {
    None
}

/// Time that processors have spent on the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CpuTimes {
    /// In the program.
    pub user: Duration,
    /// In the kernel.
    pub system: Duration,
}

/// Time that processors have spent on the process.
pub fn cpu_times() -> Option<CpuTimes> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    parse_cpu_times(&stat, rustix::param::clock_ticks_per_second())
}

fn parse_cpu_times(stat: &str, ticks_per_second: u64) -> Option<CpuTimes> {
    // The name of the program may hold anything, so the fields are counted
    // from behind it: the first is the state.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut ticks = fields.split(' ').skip(11).map(str::parse::<u64>);
    let mut next = || {
        let ticks = ticks.next()?.ok()?;
        Some(Duration::from_secs_f64(
            ticks as f64 / ticks_per_second as f64,
        ))
    };
    Some(CpuTimes {
        user: next()?,
        system: next()?,
    })
}

/// System, release and machine: `Linux 6.1.0 x86_64`.
pub fn operating_system() -> String {
    let uname = rustix::system::uname();
    let parts = [uname.sysname(), uname.release(), uname.machine()];
    parts.map(|part| part.to_string_lossy()).join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_files_is_told_apart() {
        let expected = ResidentMemory {
            total: 2768 << 12,
            anonymous: 1744 << 12,
        };
        let statm = "298072 2768 1024 1029 0 266170 0\n";
        assert_eq!(parse_resident_memory(statm, 4096), Some(expected));
        assert_eq!(parse_resident_memory("298072", 4096), None);
    }

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "7 (a ) R) S 1 7 7 0 -1 4194304 90 0 0 0 250 125 3 4 20 0 1 0 9";
        let expected = CpuTimes {
            user: Duration::from_millis(2500),
            system: Duration::from_millis(1250),
        };
        assert_eq!(parse_cpu_times(stat, 100), Some(expected));
        assert_eq!(parse_cpu_times("7 (x) S 1", 100), None);
    }
}
