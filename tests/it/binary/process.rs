//! Programs that run beside a test: what they print, line by line, and how they end. Everything
//! that is waited for has a deadline, and nothing outlives its test.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::wire::{PATIENCE, Wire, until};

/// A program that runs.
pub struct Process {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

/// How a program ended, and what it had printed that nobody had waited for.
#[derive(Debug, PartialEq)]
pub struct End {
    /// Its status; `None` if a signal killed it.
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    /// Runs `respd` with `arguments`, in a directory and an environment that set nothing.
    pub fn respd(dir: &Path, arguments: &[&str]) -> Process {
        Process::start(respd(dir).args(arguments).stdin(Stdio::null()))
    }

    pub fn start(command: &mut Command) -> Process {
        Process::writing_to(Stdio::piped(), command)
    }

    /// Runs a program whose standard output is not for the test to read.
    pub fn writing_to(stdout: impl Into<Stdio>, command: &mut Command) -> Process {
        let mut child = command
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The command keeps its copy otherwise.
        command.stdout(Stdio::null());
        let stdout = match child.stdout.take() {
            Some(pipe) => Lines::of(pipe),
            None => Lines::of(std::io::empty()),
        };
        let stderr = Lines::of(child.stderr.take().unwrap());
        Process {
            child,
            stdout,
            stderr,
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on standard output that contains `text`, past the lines before it.
    #[track_caller]
    pub fn line(&mut self, text: &str) -> String {
        self.stdout.find(text).unwrap_or_else(|| {
            let (out, err) = (&self.stdout.seen, self.stderr.so_far());
            panic!("{text:?} does not come on standard output: {out:#?}\nstandard error: {err:#?}")
        })
    }

    /// The same on standard error.
    #[track_caller]
    pub fn told(&mut self, text: &str) -> String {
        self.stderr.find(text).unwrap_or_else(|| {
            let (err, out) = (&self.stderr.seen, self.stdout.so_far());
            panic!("{text:?} does not come on standard error: {err:#?}\nstandard output: {out:#?}")
        })
    }

    /// The lines that `line` went through.
    pub fn seen(&self) -> &[String] {
        &self.stdout.seen
    }

    /// Writes a line to its standard input, which must be a pipe.
    pub fn type_line(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("standard input is piped");
        writeln!(stdin, "{line}").unwrap();
    }

    /// Ends its standard input.
    pub fn end_input(&mut self) {
        self.child.stdin = None;
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it ends by itself.
    pub fn end(mut self) -> End {
        let stdout = self.stdout.rest();
        let stderr = self.stderr.rest();
        // It has closed both, which programs do by ending.
        let status = self.child.wait().unwrap().code();
        End {
            status,
            stdout,
            stderr,
        }
    }

    /// Waits until it ends by a signal.
    pub fn end_with(self, signal: Signal) -> End {
        self.signal(signal);
        self.end()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What runs `respd` in a directory, with no environment of the developer's.
pub fn respd(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_respd"));
    command.current_dir(dir);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("REDIS") || text == "CHANNEL" {
            command.env_remove(name);
        }
    }
    command
}

/// Runs `respd` until it ends by itself.
pub fn run(dir: &Path, arguments: &[&str]) -> End {
    Process::respd(dir, arguments).end()
}

/// Runs `respd` with `input` piped into it.
pub fn run_with(dir: &Path, arguments: &[&str], input: &[u8]) -> End {
    let mut process = Process::start(respd(dir).args(arguments).stdin(Stdio::piped()));
    let mut stdin = process.child.stdin.take().unwrap();
    // It may end before it has read everything.
    let _ = stdin.write_all(input);
    drop(stdin);
    process.end()
}

impl End {
    /// It did what it was asked to, and said nothing but this.
    #[track_caller]
    pub fn printed(&self, stdout: &str) {
        let expected = End {
            status: Some(0),
            stdout: stdout.to_owned(),
            stderr: String::new(),
        };
        assert_eq!(*self, expected);
    }

    /// It ended with a status, after some of what it was asked to.
    #[track_caller]
    pub fn printed_but(&self, status: i32, stdout: &str, stderr: &str) {
        let expected = End {
            status: Some(status),
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
        };
        assert_eq!(*self, expected);
    }

    /// It ended with a status, having printed nothing but one line on standard error.
    #[track_caller]
    pub fn failed(&self, status: i32, line: &str) {
        let expected = End {
            status: Some(status),
            stdout: String::new(),
            stderr: format!("{line}\n"),
        };
        assert_eq!(*self, expected);
    }
}

/// The lines of a pipe, read by a thread of their own so that the pipe never fills.
struct Lines {
    receiver: Receiver<String>,
    /// What was read, for the message of a test that waits for something else.
    seen: Vec<String>,
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Lines {
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            loop {
                let mut line = Vec::new();
                match pipe.read_until(b'\n', &mut line) {
                    Ok(1..) => {}
                    _ => return,
                }
                let line = String::from_utf8_lossy(&line).into_owned();
                // A test that has ended waits for nothing.
                let _ = sender.send(line);
            }
        });
        Lines {
            receiver,
            seen: Vec::new(),
        }
    }

    fn find(&mut self, text: &str) -> Option<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.receiver.recv_timeout(left).ok()?;
            let line = line.trim_end().to_owned();
            self.seen.push(line.clone());
            if line.contains(text) {
                return Some(line);
            }
        }
    }

    fn so_far(&mut self) -> &[String] {
        self.seen.extend(self.receiver.try_iter());
        &self.seen
    }

    fn rest(&mut self) -> String {
        use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
        let deadline = Instant::now() + PATIENCE;
        let mut rest = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.receiver.recv_timeout(left) {
                Ok(line) => rest.push_str(&line),
                Err(Disconnected) => return rest,
                Err(Timeout) => panic!("it goes on and on; so far: {rest}"),
            }
        }
    }
}

/// A broker on a port that the system chose, in a directory of its own.
pub struct Served {
    pub process: Process,
    pub dir: TempDir,
    pub ready: serde_json::Value,
}

/// Starts a broker with `arguments` more than it needs.
pub fn serve(arguments: &[&str]) -> Served {
    serve_in(TempDir::new().unwrap(), arguments)
}

/// Starts a broker in a directory that has what it reads.
pub fn serve_in(dir: TempDir, arguments: &[&str]) -> Served {
    let mut all = arguments.to_vec();
    if !all.contains(&"--port") {
        all.extend(["--port", "0"]);
    }
    all.extend(["--ready-file", "ready"]);
    let mut process = Process::respd(dir.path(), &all);
    process.line("Ready to accept connections");
    let ready = read_ready(&dir.path().join("ready"));
    Served {
        process,
        dir,
        ready,
    }
}

/// What a ready file says, once it is there.
pub fn read_ready(path: &Path) -> serde_json::Value {
    until("the ready file is there", || path.exists());
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The address in a ready file.
pub fn addr_of(ready: &serde_json::Value) -> SocketAddr {
    ready["addr"].as_str().unwrap().parse().unwrap()
}

impl Served {
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn url(&self) -> &str {
        self.ready["url"].as_str().unwrap()
    }

    pub fn addr(&self) -> SocketAddr {
        addr_of(&self.ready)
    }

    pub fn connect(&self) -> Wire {
        Wire::connect(self.addr())
    }

    /// Runs a verb against this broker until it ends.
    pub fn run(&self, arguments: &[&str]) -> End {
        run(self.dir.path(), &self.with_url(arguments))
    }

    /// Runs a verb with `input` piped into it.
    pub fn run_with(&self, arguments: &[&str], input: &[u8]) -> End {
        run_with(self.dir.path(), &self.with_url(arguments), input)
    }

    /// Starts a verb against this broker.
    pub fn start(&self, arguments: &[&str]) -> Process {
        Process::respd(self.dir.path(), &self.with_url(arguments))
    }

    fn with_url<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        [arguments, &["--url", self.url()]].concat()
    }

    /// Ends the broker, which must end well.
    pub fn stop(self) -> TempDir {
        let end = self.process.end_with(Signal::TERM);
        assert_eq!((end.status, end.stderr.as_str()), (Some(0), ""));
        self.dir
    }
}
