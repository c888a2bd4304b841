//! What a user sees while many lines are sent: how many, how fast, and for how long yet.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::say::{counted, tell};

/// With fewer lines, the report of each says enough.
const MANY: u64 = 100;

const EVERY: Duration = Duration::from_millis(100);

pub struct Progress {
    /// Whether somebody sees it.
    is_seen: bool,
    /// The bytes of the input, if they are known.
    total: Option<u64>,
    bytes: u64,
    lines: u64,
    begun: Instant,
    drawn: Option<Instant>,
}

impl Progress {
    /// The progress of sending what stands in standard input.
    pub fn of_stdin(is_quiet: bool) -> Progress {
        let file = io::stdin().as_fd().try_clone_to_owned().map(File::from);
        let metadata = file.and_then(|file| file.metadata());
        let total = metadata.ok().filter(|input| input.is_file());
        Progress {
            is_seen: !is_quiet && io::stderr().is_terminal(),
            ..Progress::new(total.map(|input| input.len()))
        }
    }

    fn new(total: Option<u64>) -> Progress {
        Progress {
            is_seen: false,
            total,
            bytes: 0,
            lines: 0,
            begun: Instant::now(),
            drawn: None,
        }
    }

    /// Nobody sees it.
    #[cfg(test)]
    pub fn unseen() -> Progress {
        Progress::new(None)
    }

    /// Whether it stands on the terminal, and each line's report would break it.
    pub fn is_drawn(&self) -> bool {
        self.drawn.is_some()
    }

    pub fn sent(&mut self, lines: u64, bytes: u64) {
        self.lines += lines;
        self.bytes += bytes;
        let is_due = self.drawn.is_none_or(|at| at.elapsed() >= EVERY);
        if self.is_seen && self.lines > MANY && is_due {
            self.drawn = Some(Instant::now());
            let line = self.line(self.begun.elapsed());
            // Without anyone to see it, work goes on.
            let _ = write!(io::stderr(), "\r\x1b[K{line}");
        }
    }

    /// Makes room for a line of another kind.
    pub fn clear(&mut self) {
        if self.is_drawn() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    /// Everything is sent.
    pub fn finish(mut self) {
        if self.is_drawn() {
            self.clear();
            tell(&self.summary(self.begun.elapsed()));
            self.drawn = None;
        }
    }

    fn line(&self, elapsed: Duration) -> String {
        let line = format!("{}, {}/s", self.counted(), self.rate(elapsed));
        match self.left(elapsed) {
            Some(left) => format!("{line}, {} left", clock(left)),
            None => line,
        }
    }

    fn summary(&self, elapsed: Duration) -> String {
        let (lines, seconds) = (self.counted(), elapsed.as_secs_f64());
        format!("sent {lines} in {seconds:.1} s, {}/s", self.rate(elapsed))
    }

    fn counted(&self) -> String {
        counted(self.lines.try_into().unwrap_or(i64::MAX), "line")
    }

    fn rate(&self, elapsed: Duration) -> u64 {
        (self.lines as f64 / elapsed.as_secs_f64().max(0.001)) as u64
    }

    /// If it goes on as it did.
    fn left(&self, elapsed: Duration) -> Option<Duration> {
        let rest = self.total?.checked_sub(self.bytes)?;
        let seconds = elapsed.as_secs_f64() * rest as f64 / self.bytes.max(1) as f64;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// As a clock has it: 0:05, 1:02, 2:00:00.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_many_how_fast_and_how_long_yet() {
        let mut progress = Progress::new(Some(10_000));
        progress.sent(500, 2000);
        let second = Duration::from_secs(1);
        assert_eq!(progress.line(second), "500 lines, 500/s, 0:04 left");
        assert_eq!(
            progress.summary(2 * second),
            "sent 500 lines in 2.0 s, 250/s"
        );
        let mut piped = Progress::new(None);
        piped.sent(500, 2000);
        assert_eq!(piped.line(second), "500 lines, 500/s");
        assert!(!piped.is_drawn());
    }

    #[test]
    fn times_look_as_on_a_clock() {
        for (seconds, shown) in [(5, "0:05"), (62, "1:02"), (7200, "2:00:00")] {
            assert_eq!(clock(Duration::from_secs(seconds)), shown);
        }
    }
}
