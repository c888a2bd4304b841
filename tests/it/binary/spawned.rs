//! How the program gets on with what has started it: in the background, beside a parent that is
//! killed, under a supervisor, in a terminal that is closed.

use std::ffi::OsString;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, getsid, kill_process};
use tempfile::TempDir;

use super::process::{Process, addr_of, read_ready, respd, run, run_with};
use crate::wire::{PATIENCE, Wire, until};

/// A broker in the background, which does not outlive its test.
struct InBackground {
    ready: serde_json::Value,
    pid: Pid,
}

impl InBackground {
    fn of(dir: &TempDir) -> InBackground {
        let ready = read_ready(&dir.path().join("ready"));
        let pid = ready["pid"].as_i64().unwrap().try_into().unwrap();
        let pid = Pid::from_raw(pid).unwrap();
        InBackground { ready, pid }
    }

    fn connect(&self) -> Wire {
        Wire::connect(addr_of(&self.ready))
    }
}

impl Drop for InBackground {
    fn drop(&mut self) {
        // It may have ended.
        let _ = kill_process(self.pid, Signal::KILL);
    }
}

#[test]
fn in_the_background_it_serves_when_its_starter_has_ended() {
    let dir = TempDir::new().unwrap();
    let arguments = "--port 0 --daemonize yes --ready-file ready --pidfile pid --logfile log";
    let arguments: Vec<&str> = arguments.split(' ').collect();
    // Its output ends, so the broker has let go of it.
    run(dir.path(), &arguments).printed("");
    let broker = InBackground::of(&dir);
    assert_eq!(getsid(Some(broker.pid)), Ok(broker.pid));
    let pid = fs::read_to_string(dir.path().join("pid")).unwrap();
    assert_eq!(pid.trim(), broker.ready["pid"].to_string());
    let mut client = broker.connect();
    let daemonize = client.text(&["CONFIG", "GET", "daemonize"]);
    assert_eq!(daemonize, "[daemonize yes]");
    client.send(&["SHUTDOWN"]);
    assert_eq!(client.rest(), b"");
    until("its files are gone", || !dir.path().join("pid").exists());
    let log = || fs::read_to_string(dir.path().join("log")).unwrap();
    until("it says so", || log().contains("bye bye"));
}

#[test]
fn in_the_background_it_is_told_what_was_piped_into_its_starter() {
    let dir = TempDir::new().unwrap();
    let arguments = ["--daemonize=yes", "--ready-file=ready", "--print-url", "-"];
    let end = run_with(dir.path(), &arguments, b"port 0\ntimeout 9\n");
    let broker = InBackground::of(&dir);
    // Who lists processes sees what was typed, one word more, and nothing that was piped.
    let listed = format!("/proc/{}/cmdline", broker.pid.as_raw_nonzero());
    let listed = fs::read_to_string(listed).unwrap();
    let typed = [
        &[env!("CARGO_BIN_EXE_respd"), "--in-background"],
        &arguments[..],
    ]
    .concat();
    assert_eq!(listed.trim_end_matches('\0'), typed.join("\0"));
    let url = broker.ready["url"].as_str().unwrap();
    assert_eq!(
        (end.status, end.stdout),
        (Some(0), format!("REDIS_URL={url}\n"))
    );
    let last = end.stderr.lines().last().unwrap_or_default();
    assert!(
        last.ends_with("nothing is logged without a logfile"),
        "{last}"
    );
    let timeout = broker.connect().text(&["CONFIG", "GET", "timeout"]);
    assert_eq!(timeout, "[timeout 9]");
}

#[test]
fn a_start_in_the_background_that_fails_is_told() {
    let dir = TempDir::new().unwrap();
    let arguments = ["--daemonize", "yes", "--loglevel", "nothing", "--bind", ""];
    let end = run(dir.path(), &arguments);
    end.failed(1, "respd: there is no address to listen on");
    let arguments = ["--daemonize", "yes", "--exit-with-parent"];
    let why = "respd: --exit-with-parent and 'daemonize yes' exclude each other";
    run(dir.path(), &arguments).failed(1, why);
}

#[test]
fn in_the_background_it_takes_no_file_that_can_be_read_only_once() {
    let dir = TempDir::new().unwrap();
    // As `respd <(echo daemonize yes)` in bash.
    let script = "echo daemonize yes | \"$0\" /dev/fd/3 --port 0 3<&0 </dev/null";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_respd")]);
    shell.current_dir(dir.path()).stdin(Stdio::null());
    let why = "respd: 'daemonize yes' needs a file that can be read twice; '/dev/fd/3' is none";
    Process::start(&mut shell).end().failed(1, why);
}

#[test]
fn it_ends_with_the_process_that_started_it_however_that_one_ends() {
    let dir = TempDir::new().unwrap();
    // What the shell waits for, it does not become.
    let script = "\"$0\" --port 0 --ready-file ready --exit-with-parent & wait";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_respd")]);
    shell.current_dir(dir.path()).stdin(Stdio::null());
    let shell = Process::start(&mut shell);
    let ready = dir.path().join("ready");
    let addr = addr_of(&read_ready(&ready));
    assert_eq!(Wire::connect(addr).text(&["PING"]), "PONG");
    // Which is the end of the output that both have.
    let end = shell.end_with(Signal::KILL);
    assert_eq!((end.status, end.stderr.as_str()), (None, ""));
    let why = "The process that started it has ended, scheduling shutdown...";
    assert!(end.stdout.contains(why), "{}", end.stdout);
    assert!(end.stdout.ends_with("bye bye...\n"), "{}", end.stdout);
    assert!(!ready.exists());
}

#[test]
fn it_does_not_start_when_the_process_that_started_it_has_ended() {
    let dir = TempDir::new().unwrap();
    // What a shell puts into the background has the shell's input only where it is told so.
    let flags = "--port 0 --ready-file ready --exit-with-parent -";
    let script = format!("exec 3<&0; \"$0\" {flags} <&3 & wait");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script, env!("CARGO_BIN_EXE_respd")]);
    shell.current_dir(dir.path()).stdin(Stdio::piped());
    let mut shell = Process::start(&mut shell);
    // More than a pipe holds: whoever reads it has begun, and goes on when it ends.
    shell.type_line(&format!("# {}", "x".repeat(1 << 20)));
    shell.signal(Signal::KILL);
    until("the shell has ended", || shell.has_ended());
    shell.end_input();
    let end = shell.end();
    let why = "respd: the process that started it has ended\n";
    assert_eq!((end.stdout.as_str(), end.stderr.as_str()), ("", why));
    assert!(!dir.path().join("ready").exists());
}

#[test]
fn it_does_not_end_with_the_thread_that_started_it() {
    let dir = TempDir::new().unwrap();
    let arguments = ["--port", "0", "--ready-file", "ready", "--exit-with-parent"];
    let broker = std::thread::scope(|scope| {
        let start = || Process::respd(dir.path(), &arguments);
        scope.spawn(start).join().unwrap()
    });
    let addr = addr_of(&read_ready(&dir.path().join("ready")));
    assert_eq!(Wire::connect(addr).text(&["PING"]), "PONG");
    let end = broker.end_with(Signal::TERM);
    assert!(end.stdout.contains("Received SIGTERM"), "{}", end.stdout);
}

/// A socket as systemd has one, and its name. Only Linux has abstract ones.
fn notify_socket(dir: &TempDir, is_abstract: bool) -> (UnixDatagram, OsString) {
    let path = dir.path().join("notify");
    #[cfg(target_os = "linux")]
    if is_abstract {
        use std::os::linux::net::SocketAddrExt;
        let name = path.to_str().unwrap();
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        return (socket, format!("@{name}").into());
    }
    let _ = is_abstract;
    (UnixDatagram::bind(&path).unwrap(), path.into())
}

#[test]
fn systemd_is_told_when_it_serves_and_when_it_ends() {
    for supervised in ["systemd", "auto"] {
        let dir = TempDir::new().unwrap();
        let (socket, name) = notify_socket(&dir, supervised == "auto");
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let heard = || {
            let mut message = [0; 1000];
            let len = socket.recv(&mut message).unwrap();
            String::from_utf8_lossy(&message[..len]).into_owned()
        };
        let mut command = respd(dir.path());
        // Whom a supervisor watches does not go into the background.
        command.args([
            "--port",
            "0",
            "--daemonize",
            "yes",
            "--supervised",
            supervised,
            "--ready-file",
            "ready",
        ]);
        command.env("NOTIFY_SOCKET", &name).stdin(Stdio::null());
        let mut broker = Process::start(&mut command);
        assert_eq!(heard(), "STATUS=Ready to accept connections\nREADY=1\n");
        broker.line("Ready to accept connections");
        let mut client = Wire::connect(addr_of(&read_ready(&dir.path().join("ready"))));
        let info = client.text(&["INFO", "server"]);
        assert!(
            info.contains("\r\nprocess_supervised:systemd\r\n"),
            "{info}"
        );
        let setting = client.text(&["CONFIG", "GET", "supervised"]);
        assert_eq!(setting, "[supervised systemd]");
        broker.signal(Signal::TERM);
        assert_eq!(heard(), "STATUS=Shutting down\nSTOPPING=1\n");
        assert_eq!(broker.end().status, Some(0));
    }
}

/// A broker in a terminal of its own, started by `words` in front of its name.
fn in_terminal(dir: &TempDir, words: &str) -> Process {
    let respd = env!("CARGO_BIN_EXE_respd");
    let line = format!("exec {words} '{respd}' --port 0 --logfile log --ready-file ready");
    let mut terminal = Command::new("script");
    terminal.args(["-q", "-c", &line, "typescript"]);
    terminal.current_dir(dir.path()).stdin(Stdio::null());
    Process::start(&mut terminal)
}

#[test]
fn it_ends_with_the_terminal_that_it_was_started_from() {
    let dir = TempDir::new().unwrap();
    let terminal = in_terminal(&dir, "");
    let broker = InBackground::of(&dir);
    // As log rotation does it, which is no end while there is a terminal.
    let (log, moved) = (dir.path().join("log"), dir.path().join("moved"));
    fs::rename(&log, &moved).unwrap();
    kill_process(broker.pid, Signal::HUP).unwrap();
    until("the log is made anew", || log.exists());
    assert_eq!(broker.connect().text(&["PING"]), "PONG");

    terminal.signal(Signal::KILL);
    let log = || fs::read_to_string(&log).unwrap();
    until("it ends", || log().contains("bye bye"));
    assert!(
        log().contains("The terminal was closed, scheduling shutdown..."),
        "{}",
        log()
    );
}

#[test]
fn with_nohup_it_outlives_its_terminal() {
    let dir = TempDir::new().unwrap();
    let terminal = in_terminal(&dir, "nohup");
    let broker = InBackground::of(&dir);
    drop(terminal);
    // Killed, it has closed its end by now; a signal that is sent now comes after that one.
    let log = dir.path().join("log");
    fs::rename(&log, dir.path().join("moved")).unwrap();
    kill_process(broker.pid, Signal::HUP).unwrap();
    until("the log is made anew", || log.exists());
    assert_eq!(broker.connect().text(&["PING"]), "PONG");
}
