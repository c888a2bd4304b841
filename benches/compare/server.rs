//! A server under test: a process on a free port of loopback, with an empty
//! directory of its own, that ends with its value, also in a panic.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::result::Result;

const RESPD: &str = env!("CARGO_BIN_EXE_respd");

/// What is compared: a program and how it is started.
pub struct Subject {
    pub name: String,
    command: Vec<OsString>,
}

impl Subject {
    pub fn respd() -> Subject {
        let flags = ["--maxclients", "19000", "--loglevel", "warning"];
        Subject::new("respd", &[RESPD.into()], &flags)
    }

    pub fn redis(program: &OsStr) -> Subject {
        let quiet = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1"];
        let flags = [&quiet[..], &["--maxclients", "19000"]].concat();
        Subject::new("redis-server", &[program.to_owned()], &flags)
    }

    /// A respd with this many workers, started by `prefix`.
    pub fn workers(count: u32, prefix: &[OsString]) -> Subject {
        let command = [prefix, &[RESPD.into()]].concat();
        let flags = ["--loglevel", "warning", "--workers", &count.to_string()];
        Subject::new(&format!("workers: {count}"), &command, &flags)
    }

    fn new(name: &str, program: &[OsString], flags: &[&str]) -> Subject {
        let flags = flags.iter().map(OsString::from);
        Subject {
            name: name.to_owned(),
            command: program.iter().cloned().chain(flags).collect(),
        }
    }

    /// Starts it, and waits for its first PONG.
    pub fn start(&self) -> Result<Server> {
        let mut said = String::new();
        // Between the probe for a free port and the start, somebody else's
        // connection may have taken the port.
        for _ in 0..3 {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
                .local_addr()?
                .port();
            let dir = TempDir::new()?;
            let log = File::create(dir.path().join("log"))?;
            let mut command = Command::new(&self.command[0]);
            command
                .args(&self.command[1..])
                .arg("--port")
                .arg(port.to_string());
            command.current_dir(dir.path()).stdin(Stdio::null());
            command.stdout(log.try_clone()?).stderr(log);
            let began = Instant::now();
            let mut server = Server {
                process: command.spawn()?,
                port,
                start_took: Duration::ZERO,
                dir,
            };
            if server.answers_since(began)? {
                return Ok(server);
            }
            said = fs::read_to_string(server.dir.path().join("log"))?;
        }
        Err(format!("{} does not answer: {said}", self.name).into())
    }
}

/// A server that runs.
pub struct Server {
    process: Child,
    pub port: u16,
    /// From before the process was made until it had answered a PING.
    pub start_took: Duration,
    dir: TempDir,
}

impl Server {
    fn answers_since(&mut self, began: Instant) -> Result<bool> {
        while began.elapsed() < Duration::from_secs(15) && self.process.try_wait()?.is_none() {
            if pong(self.port).is_ok_and(|pong| pong) {
                self.start_took = began.elapsed();
                return Ok(true);
            }
            std::thread::sleep(Duration::from_micros(50));
        }
        Ok(false)
    }

    /// The CPU time that its threads have used.
    pub fn cpu(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let schedstat = fs::read_to_string(task?.path().join("schedstat"))?;
            let first = schedstat.split(' ').next().unwrap_or_default();
            nanoseconds += first.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Bytes of memory that are resident.
    pub fn resident(&self) -> Result<usize> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(kilobytes.ok_or("no VmRSS")?.parse::<usize>()? * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing that it has to save.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Asks for a PONG on a new connection. An answer of another kind is not the
/// server's: a connection to a port that nobody listens on yet can be given
/// the same port as its own, and then hears itself.
fn pong(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"PING\r\n")?;
    let mut reply = [0; 7];
    let len = stream.read(&mut reply)?;
    Ok(&reply[..len] == b"+PONG\r\n")
}
