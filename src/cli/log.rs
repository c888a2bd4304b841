//! What the broker tells while it serves, one line each, in the form of Redis's log:
//! `PID:M DD Mon YYYY HH:MM:SS.mmm * message`.
//!
//! It is the subscriber of `tracing`, whose levels become Redis's signs: errors and warnings `#`,
//! info `*` (notice), debug `-` (verbose), trace `.` (debug). A log that cannot be written stops
//! nobody: lines that find no room are counted and left out.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use respd::config::LogLevel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, SubscriberExt};

use super::say::one_line;

/// Where lines go.
pub enum Output {
    /// To standard output.
    Stdout,
    /// To standard error, because standard output has a use of its own.
    Stderr,
    /// To the end of a file.
    File(PathBuf),
}

/// The log of the process.
pub struct Log {
    zone: TimeZone,
    level: Mutex<LevelFilter>,
    sink: Mutex<Sink>,
}

struct Sink {
    file: File,
    /// Where the file is, if it can be opened again.
    path: Option<PathBuf>,
    /// Lines that could not be written since the last one that was.
    lost: u64,
}

impl Log {
    /// Opens the log.
    ///
    /// # Errors
    ///
    /// The file cannot be opened; the text names it.
    pub fn open(output: Output, level: LogLevel) -> Result<Arc<Log>, String> {
        let (file, path) = match output {
            Output::Stdout => (File::from(copy_of(io::stdout())?), None),
            Output::Stderr => (File::from(copy_of(io::stderr())?), None),
            Output::File(path) => {
                let file = append_to(&path).map_err(|error| {
                    let error = super::say::describe(&error);
                    format!("cannot open the log file '{}': {error}", path.display())
                })?;
                (file, Some(path))
            }
        };
        Ok(Arc::new(Log {
            zone: local_zone(),
            level: Mutex::new(filter(level)),
            sink: Mutex::new(Sink {
                file,
                path,
                lost: 0,
            }),
        }))
    }

    /// Makes it the log of everything in this process that speaks through `tracing`.
    pub fn install(self: &Arc<Self>) {
        let subscriber = tracing_subscriber::registry().with(Lines(self.clone()));
        // It fails if there is one already, which then hears everything instead.
        let _ = tracing::subscriber::set_global_default(subscriber);
    }

    /// Changes which messages are written.
    pub fn set_level(&self, level: LogLevel) {
        let filter = filter(level);
        let mut current = lock(&self.level);
        if *current != filter {
            *current = filter;
            drop(current);
            // Each place that logs remembers whether anybody listens.
            tracing::callsite::rebuild_interest_cache();
        }
    }

    /// Opens the file anew, which somebody may have moved away. Where there is none, nothing
    /// happens.
    ///
    /// # Errors
    ///
    /// It cannot be opened; lines still go to the old one.
    pub fn reopen(&self) -> Result<(), String> {
        let mut sink = lock(&self.sink);
        if let Some(path) = &sink.path {
            sink.file = append_to(path).map_err(|error| {
                let error = super::say::describe(&error);
                format!("cannot open the log file '{}': {error}", path.display())
            })?;
        }
        Ok(())
    }

    /// Whether it goes to a file.
    pub fn is_file(&self) -> bool {
        lock(&self.sink).path.is_some()
    }

    /// Has it go nowhere from now on.
    pub fn silence(&self) -> io::Result<()> {
        lock(&self.sink).file = OpenOptions::new().write(true).open("/dev/null")?;
        Ok(())
    }

    /// Writes lines that are none of the log: without process, time and sign.
    pub fn raw(&self, text: &str) {
        lock(&self.sink).write(text);
    }

    fn write(&self, level: Level, message: &str) {
        let now = Timestamp::now().to_zoned(self.zone.clone());
        let mut sink = lock(&self.sink);
        if sink.lost > 0 {
            let gap = format!("{} lines of the log could not be written", sink.lost);
            if sink.write(&format(&now, Level::WARN, &gap)) {
                sink.lost = 0;
            }
        }
        if !sink.write(&format(&now, level, message)) {
            sink.lost += 1;
        }
    }
}

impl Sink {
    /// Writes a line if there is room for it now. Nobody may read the pipe that standard output
    /// is, and to wait for that would stop the broker.
    fn write(&mut self, line: &str) -> bool {
        const NOT_AT_ALL: Timespec = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // A pipe that is ready takes PIPE_BUF bytes, 4096, which no line is longer than.
        let mut fds = [PollFd::new(&self.file, PollFlags::OUT)];
        let is_ready = poll(&mut fds, Some(&NOT_AT_ALL)).is_ok_and(|ready| ready > 0);
        is_ready && self.file.write_all(line.as_bytes()).is_ok()
    }
}

fn copy_of(stream: impl AsFd) -> Result<OwnedFd, String> {
    let copy = stream.as_fd().try_clone_to_owned();
    copy.map_err(|error| format!("cannot write the log: {}", super::say::describe(&error)))
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// The system's time zone. Asked for it, `jiff` looks through the database of all zones for the
/// name, which takes longer than everything else at start; the file itself says all that a log
/// needs.
fn local_zone() -> TimeZone {
    let is_named = std::env::var_os("TZ").is_some();
    let file = std::fs::read("/etc/localtime").ok().filter(|_| !is_named);
    file.and_then(|file| TimeZone::tzif("local", &file).ok())
        .unwrap_or_else(TimeZone::system)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Neither a level nor a file is ever half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::TRACE,
        LogLevel::Verbose => LevelFilter::DEBUG,
        LogLevel::Notice => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Nothing => LevelFilter::OFF,
    }
}

fn format(now: &Zoned, level: Level, message: &str) -> String {
    let sign = match level {
        Level::TRACE => '.',
        Level::DEBUG => '-',
        Level::INFO => '*',
        _ => '#',
    };
    let pid = std::process::id();
    let time = now.strftime("%d %b %Y %H:%M:%S.%3f");
    format!("{pid}:M {time} {sign} {}\n", one_line(message))
}

/// Hands what is logged to the log.
struct Lines(Arc<Log>);

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.level() <= &*lock(&self.0.level)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(*lock(&self.0.level))
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        self.0.write(*event.metadata().level(), &text.message);
    }
}

/// The message, then the fields that it does not show itself.
#[derive(Default)]
struct Text {
    message: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail, and the message comes first.
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
            return;
        }
        let field = format!("{}={value:?}", field.name());
        if !field.ends_with('=') && !self.message.contains(&field) {
            let _ = write!(self.message, " {field}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        // Without quotes.
        self.record_debug(field, &format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn log_to(path: &Path, level: LogLevel) -> Arc<Log> {
        Log::open(Output::File(path.to_owned()), level).unwrap()
    }

    /// What the log has of `events`, from the sign on.
    fn logged(level: LogLevel, events: impl FnOnce(&Log)) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = log_to(&path, level);
        let subscriber = tracing_subscriber::registry().with(Lines(log.clone()));
        tracing::subscriber::with_default(subscriber, || events(&log));
        let text = std::fs::read_to_string(path).unwrap();
        let messages = text.lines().map(|line| {
            let head: usize = line.match_indices(' ').nth(4).unwrap().0;
            format!("{}\n", &line[head + 1..])
        });
        messages.collect()
    }

    #[test]
    fn a_line_looks_as_in_redis() {
        let now = date(2024, 2, 9).at(7, 3, 5, 42_000_000);
        let now = now.to_zoned(TimeZone::UTC).unwrap();
        let pid = std::process::id();
        assert_eq!(
            format(&now, Level::INFO, "two\nlines"),
            format!("{pid}:M 09 Feb 2024 07:03:05.042 * two\\nlines\n")
        );
    }

    #[test]
    fn levels_have_signs_and_fields_are_shown_once() {
        let text = logged(LogLevel::Debug, |_| {
            tracing::error!("e");
            tracing::warn!(channel = "news", id = 5, "w id=5");
            tracing::info!("{}", "i");
            tracing::debug!(addr = %"1.2.3.4:5", "d");
            tracing::trace!("t");
        });
        assert_eq!(
            text,
            "# e\n# w id=5 channel=news\n* i\n- d addr=1.2.3.4:5\n. t\n"
        );
    }

    #[test]
    fn the_level_can_change() {
        let text = logged(LogLevel::Notice, |log| {
            for level in [LogLevel::Notice, LogLevel::Warning, LogLevel::Verbose] {
                log.set_level(level);
                tracing::warn!("w");
                tracing::info!("i");
                tracing::debug!("d");
            }
            log.set_level(LogLevel::Nothing);
            tracing::error!("e");
        });
        assert_eq!(text, "# w\n* i\n# w\n# w\n* i\n- d\n");
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("log"), dir.path().join("log.1"));
        let log = log_to(&path, LogLevel::Notice);
        log.write(Level::INFO, "one");
        std::fs::rename(&path, &moved).unwrap();
        log.write(Level::INFO, "two");
        log.reopen().unwrap();
        log.write(Level::INFO, "three");
        let read = |path| std::fs::read_to_string(path).unwrap();
        assert_eq!(read(&moved).lines().count(), 2);
        assert!(read(&path).ends_with("* three\n"));
    }

    #[test]
    fn a_pipe_that_nobody_reads_loses_lines_and_says_so() {
        let (mut reader, writer) = io::pipe().unwrap();
        let log = Log {
            zone: TimeZone::UTC,
            level: Mutex::new(LevelFilter::INFO),
            sink: Mutex::new(Sink {
                file: File::from(OwnedFd::from(writer)),
                path: None,
                lost: 0,
            }),
        };
        // More than a pipe holds.
        for _ in 0..1000 {
            log.write(Level::INFO, &"x".repeat(500));
        }
        let lost = lock(&log.sink).lost;
        assert!(lost > 0);
        let mut heard = vec![0; 1 << 20];
        let _ = io::Read::read(&mut reader, &mut heard).unwrap();
        log.write(Level::INFO, "again");
        drop(log);
        let mut rest = String::new();
        io::Read::read_to_string(&mut reader, &mut rest).unwrap();
        let gap = format!("# {lost} lines of the log could not be written\n");
        assert!(rest.contains(&gap), "{rest}");
        assert!(rest.ends_with("* again\n"));
    }
}
