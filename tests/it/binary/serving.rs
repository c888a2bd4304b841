//! What a running `respd` tells, leaves lying about, and does when it is asked to end.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

use rustix::process::{Resource, Signal, getrlimit};
use tempfile::TempDir;

use super::process::{Process, addr_of, read_ready, respd, serve, serve_in};
use crate::wire::{PATIENCE, Wire, until};

#[test]
fn the_ready_file_says_where_to_connect() {
    let broker = serve(&["--unixsocket", "sock"]);
    let addr = broker.addr();
    let socket = broker.path("sock").canonicalize().unwrap();
    let text = fs::read_to_string(broker.path("ready")).unwrap();
    assert_eq!(
        text,
        format!(
            "{{\"pid\": {}, \"port\": {}, \"addr\": \"{addr}\", \"url\": \"redis://{addr}/0\", \
             \"unixsocket\": \"{}\", \"version\": \"{}\"}}\n",
            broker.process.id(),
            addr.port(),
            socket.display(),
            env!("CARGO_PKG_VERSION"),
        )
    );
    // It may hold a password.
    let mode = fs::metadata(broker.path("ready")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    assert_eq!(Wire::connect(addr).text(&["PING"]), "PONG");

    let dir = broker.stop();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn an_old_ready_file_is_gone_before_the_new_one_comes() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("ready"), "{\"pid\": 1}").unwrap();
    let broker = serve_in(dir, &[]);
    assert_eq!(broker.ready["pid"], broker.process.id());
    // A start that fails does not leave the old one either.
    let dir = broker.stop();
    fs::write(dir.path().join("ready"), "{\"pid\": 1}").unwrap();
    let arguments = ["--bind", "", "--ready-file", "ready"];
    let end = super::process::run(dir.path(), &arguments);
    end.failed(1, "respd: there is no address to listen on");
    assert!(!dir.path().join("ready").exists());
}

#[test]
fn the_files_of_a_broker_are_taken_from_it_by_nobody() {
    let broker = serve(&["--pidfile", "pid"]);
    let read = |name| fs::read_to_string(broker.path(name)).unwrap();
    let files = (read("ready"), read("pid"));
    let (port, id) = (broker.addr().port().to_string(), broker.process.id());
    let fails = |arguments: &[&str], why: &str| {
        let arguments = [arguments, &["--ready-file", "ready"]].concat();
        let end = super::process::run(broker.dir.path(), &arguments);
        end.failed(1, &format!("respd: {why}"));
        assert_eq!((read("ready"), read("pid")), files);
    };
    let taken = format!("Address already in use by respd (pid {id})");
    let taken = format!("cannot listen on 127.0.0.1:{port}: {taken}");
    fails(&["--port", &port], &taken);
    let taken = "cannot write the ready file 'ready': another process has it locked";
    fails(&["--port", "0", "--loglevel", "nothing"], taken);

    let mut second = Process::respd(broker.dir.path(), &["--port", "0", "--pidfile", "pid"]);
    let line = second.line("PID file");
    assert!(
        line.ends_with("pid: another process has it locked"),
        "{line}"
    );
    second.line("Ready to accept connections");
    assert_eq!(second.end_with(Signal::TERM).status, Some(0));
    assert_eq!((read("ready"), read("pid")), files);

    // What a crash leaves behind is anybody's.
    broker.process.end_with(Signal::KILL);
    let broker = serve_in(broker.dir, &["--pidfile", "pid"]);
    let pid = fs::read_to_string(broker.path("pid")).unwrap();
    assert_eq!(pid, format!("{}\n", broker.process.id()));
    assert_eq!(broker.ready["pid"], broker.process.id());
}

#[test]
fn the_url_is_all_that_is_printed() {
    let dir = TempDir::new().unwrap();
    let arguments = ["--port", "0", "--print-url", "--requirepass", "a b"];
    let mut process = Process::respd(dir.path(), &arguments);
    let line = process.line("");
    let addr = line.strip_prefix("REDIS_URL=redis://:a%20b@").unwrap();
    let addr = addr.strip_suffix("/0").unwrap();
    process.told("Ready to accept connections tcp");
    let mut wire = Wire::connect(addr.parse().unwrap());
    assert_eq!(wire.text(&["AUTH", "a b"]), "OK");
    let end = process.end_with(Signal::TERM);
    assert_eq!((end.status, end.stdout.as_str()), (Some(0), ""));
}

#[test]
fn the_log_says_where_it_listens_and_what_to_type_next() {
    let dir = TempDir::new().unwrap();
    let arguments = [
        "--port",
        "0",
        "--unixsocket",
        "sock",
        "--requirepass",
        "s3cret",
    ];
    let process = {
        let mut process = Process::respd(dir.path(), &arguments);
        process.line("Ready to accept connections unix");
        process
    };
    let seen = process.seen().to_vec();
    let port = seen[1].split("127.0.0.1:").nth(1).unwrap();
    let port: u16 = port.split(' ').next().unwrap().parse().unwrap();
    let url = format!("redis://:PASSWORD@127.0.0.1:{port}/0");
    let pid = process.id();
    let respd = env!("CARGO_BIN_EXE_respd");
    let expected = [
        format!("respd {}, pid {pid}", env!("CARGO_PKG_VERSION")),
        // Machines without IPv6 have one address less.
        format!("Listening on 127.0.0.1:{port} and "),
        format!("In a second terminal, see what is published: {respd} subscribe --url {url}"),
        format!("In a third one, publish something: {respd} publish hello --url {url}"),
        format!("Or use the tools of Redis: redis-cli -p {port} -a PASSWORD"),
        "Ready to accept connections tcp".to_owned(),
        "Ready to accept connections unix".to_owned(),
    ];
    assert_eq!(seen.len(), expected.len(), "{seen:#?}");
    for (line, expected) in seen.iter().zip(&expected) {
        assert!(message(line, pid).starts_with(expected), "{line}");
    }
    let socket = dir.path().join("sock").canonicalize().unwrap();
    assert!(seen[1].ends_with(&format!(" and {}", socket.display())));

    let end = process.end_with(Signal::INT);
    let last: Vec<&str> = end.stdout.lines().map(|line| message(line, pid)).collect();
    let expected = [
        "Received SIGINT scheduling shutdown...",
        "User requested shutdown...",
        "respd is now ready to exit, bye bye...",
    ];
    assert_eq!(last, expected);
    assert_eq!((end.status, end.stderr.as_str()), (Some(0), ""));
}

/// What is told in a line of the log, the head of which must look as it does in Redis, with the
/// sign of a notice: `PID:M DD Mon YYYY HH:MM:SS.mmm * `.
#[track_caller]
fn message(line: &str, pid: u32) -> &str {
    const TIME: &str = "09 Aaa 9999 99:99:99.999";
    let rest = line.strip_prefix(&format!("{pid}:M ")).unwrap_or_default();
    let (time, rest) = rest.split_at_checked(TIME.len()).unwrap_or_default();
    let shape: String = time
        .chars()
        .enumerate()
        .map(|(n, char)| match char {
            '0'..='9' if n == 0 => '0',
            '0'..='9' => '9',
            'A'..='Z' => 'A',
            'a'..='z' => 'a',
            other => other,
        })
        .collect();
    assert_eq!(shape, TIME, "{line}");
    rest.strip_prefix(" * ").unwrap_or_else(|| panic!("{line}"))
}

#[test]
fn signals_end_it_well_and_free_what_it_had() {
    for signal in [Signal::TERM, Signal::INT] {
        let broker = serve(&["--unixsocket", "sock", "--pidfile", "pid"]);
        let pid = fs::read_to_string(broker.path("pid")).unwrap();
        assert_eq!(pid, format!("{}\n", broker.process.id()));
        let mut client = broker.connect();
        assert_eq!(client.text(&["PING"]), "PONG");
        let mut blocked = broker.connect();
        blocked.send(&["BLPOP", "jobs", "0"]);

        let end = broker.process.end_with(signal);
        assert_eq!((end.status, end.stderr.as_str()), (Some(0), ""));
        assert!(end.stdout.contains("bye bye"), "{}", end.stdout);
        assert_eq!(client.rest(), b"");
        assert_eq!(blocked.rest(), b"");
        assert_eq!(fs::read_dir(broker.dir.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_client_may_end_it() {
    let broker = serve(&["--unixsocket", "sock", "--pidfile", "pid"]);
    let mut client = broker.connect();
    client.send(&["SHUTDOWN"]);
    // Nothing is replied.
    assert_eq!(client.rest(), b"");
    let end = broker.process.end();
    assert_eq!((end.status, end.stderr.as_str()), (Some(0), ""));
    assert!(end.stdout.contains(" * User requested shutdown..."));
    assert!(end.stdout.ends_with("bye bye...\n"), "{}", end.stdout);
    assert_eq!(fs::read_dir(broker.dir.path()).unwrap().count(), 0);
}

#[test]
fn a_second_ctrl_c_does_not_wait() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("respd.conf");
    fs::write(&path, "").unwrap();
    let mut broker = serve_in(dir, &["respd.conf"]);
    // A pipe instead of the file holds up who reads it for as long as it is open.
    fs::remove_file(&path).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    broker.connect().send(&["CONFIG", "REWRITE"]);
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(fs::File::options().write(true).open(path)));
    // It can be opened once somebody reads it.
    let pipe = receiver.recv_timeout(PATIENCE).unwrap().unwrap();

    broker.process.signal(Signal::INT);
    broker.process.line("User requested shutdown...");
    let end = broker.process.end_with(Signal::INT);
    assert_eq!((end.status, end.stderr.as_str()), (Some(1), ""));
    assert!(
        end.stdout.ends_with(" # You insist... exiting now.\n"),
        "{}",
        end.stdout
    );
    drop(pipe);
}

#[test]
fn a_pid_file_that_cannot_be_written_is_a_warning() {
    let dir = TempDir::new().unwrap();
    let arguments = ["--port", "0", "--pidfile", "no/such"];
    let mut process = Process::respd(dir.path(), &arguments);
    let path = dir.path().canonicalize().unwrap().join("no/such");
    let line = process.line("PID file");
    let expected = format!(
        " # Failed to write PID file {}: No such file or directory",
        path.display()
    );
    assert!(line.ends_with(&expected), "{line}");
    process.line("Ready to accept connections");
}

#[test]
fn a_socket_has_the_mode_that_was_asked_for() {
    let broker = serve(&["--unixsocket", "sock", "--unixsocketperm", "700"]);
    let metadata = fs::metadata(broker.path("sock")).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o700);
    let mut socket = UnixStream::connect(broker.path("sock")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(b"PING\r\n").unwrap();
    let mut reply = [0; 7];
    socket.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"+PONG\r\n");
}

#[test]
fn one_client_too_many_is_told_so() {
    let broker = serve(&["--maxclients", "2"]);
    let mut clients = [broker.connect(), broker.connect()];
    for client in &mut clients {
        assert_eq!(client.text(&["PING"]), "PONG");
    }
    let refused = b"-ERR max number of clients reached\r\n";
    assert_eq!(broker.connect().rest(), refused);
    let url = broker.url();
    broker.run(&["publish", "x"]).failed(
        1,
        &format!("respd: {url} answered: ERR max number of clients reached"),
    );
    // One leaves, and the next is welcome.
    drop(clients);
    until("there is room again", || {
        broker.run(&["publish", "x"]).status == Some(0)
    });
}

#[test]
fn more_clients_than_files_are_fewer_clients() {
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    // What is more than the system gives to anybody, root included.
    let most = u64::from(u32::MAX);
    assert!(hard < most, "this system has no limit of open files");
    let dir = TempDir::new().unwrap();
    let arguments = ["--port", "0", "--maxclients", &most.to_string()];
    let mut process = Process::respd(dir.path(), &arguments);
    let line = process.line("maximum open files");
    let clients = hard - 32;
    let expected = format!(
        " # Current maximum open files is {hard}. maxclients has been reduced from {most} to \
         {clients} to compensate for low ulimit. If you need higher maxclients increase 'ulimit -n'."
    );
    assert!(line.ends_with(&expected), "{line}");
    process.line("Ready to accept connections");
}

#[test]
fn too_few_files_for_any_client_are_an_error() {
    let dir = TempDir::new().unwrap();
    // Root may raise any limit that is not beyond the system's.
    let script = "ulimit -n 20; exec \"$0\" --port 0 --maxclients 4294967295";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_respd")]);
    command.current_dir(dir.path()).stdin(Stdio::null());
    Process::start(&mut command).end().failed(
        1,
        "respd: the limit of open files, 20, leaves no room for clients; increase 'ulimit -n'",
    );
}

#[test]
fn the_soft_limit_of_files_is_raised() {
    let dir = TempDir::new().unwrap();
    let script = "ulimit -S -n 64; exec \"$0\" --port 0 --maxclients 100 --loglevel verbose";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_respd")]);
    command.current_dir(dir.path()).stdin(Stdio::null());
    let mut process = Process::start(&mut command);
    let line = process.line("number of open files");
    let expected =
        " - Increased maximum number of open files to 132 (it was originally set to 64).";
    assert!(line.ends_with(expected), "{line}");
    process.line("Ready to accept connections");
}

#[test]
fn the_log_goes_to_a_file_and_follows_its_name() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("respd.log");
    fs::write(&path, "older\n").unwrap();
    let arguments = ["--port", "0", "--logfile", "respd.log", "--print-url"];
    let mut process = Process::respd(dir.path(), &arguments);
    let url = process.line("REDIS_URL=");
    let read = |path| fs::read_to_string(path).unwrap();
    until("it is ready", || read(&path).contains("Ready to accept"));
    assert!(read(&path).starts_with("older\n"));

    // As log rotation does it.
    let moved = dir.path().join("respd.log.1");
    fs::rename(&path, &moved).unwrap();
    process.signal(Signal::HUP);
    until("the log is made anew", || path.exists());
    let end = process.end_with(Signal::TERM);
    end.printed("");
    assert!(url.starts_with("REDIS_URL=redis://127.0.0.1:"));
    assert!(read(&path).contains("bye bye"), "{}", read(&path));
    assert!(!read(&moved).contains("bye bye"), "{}", read(&moved));
}

#[test]
fn a_log_file_that_cannot_be_made_anew_is_kept() {
    let dir = TempDir::new().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let broker = serve_with_log(&dir, "logs/respd.log");
    let moved = dir.path().join("moved");
    fs::rename(&logs, &moved).unwrap();
    broker.signal(Signal::HUP);
    let read = || fs::read_to_string(moved.join("respd.log")).unwrap();
    until("the log complains", || {
        read().contains(" # cannot open the log file '")
    });
    broker.end_with(Signal::TERM).printed("");
    assert!(read().contains("bye bye"), "{}", read());
}

/// A broker that has said in its file that it is ready.
fn serve_with_log(dir: &TempDir, name: &str) -> Process {
    let process = Process::respd(dir.path(), &["--port", "0", "--logfile", name]);
    let path = dir.path().join(name);
    until("it is ready", || {
        fs::read_to_string(&path).is_ok_and(|text| text.contains("Ready to accept"))
    });
    process
}

#[test]
fn a_hangup_ends_nothing() {
    let broker = serve(&[]);
    broker.process.signal(Signal::HUP);
    assert_eq!(broker.connect().text(&["PING"]), "PONG");
    broker.stop();
}

#[test]
fn a_log_that_cannot_be_written_stops_nobody() {
    // A pipe whose other end is closed before the first line comes.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    serves_with_output(writer, |_| {});
    // A disk that is full.
    if let Ok(full) = fs::File::options().write(true).open("/dev/full") {
        serves_with_output(full, |_| {});
    }
}

#[test]
fn a_log_that_nobody_reads_stops_nobody() {
    let (reader, writer) = std::io::pipe().unwrap();
    serves_with_output(writer, |addr| {
        // Each is a line of some hundred bytes, and a pipe holds 64 KiB.
        for _ in 0..1000 {
            let mut stream = TcpStream::connect(addr).unwrap();
            stream.write_all(b"POST / HTTP/1.1\r\n").unwrap();
            let _ = stream.read(&mut [0]);
        }
    });
    drop(reader);
}

/// Runs a broker that is of use, whatever standard output is, after `work` as well as before.
fn serves_with_output(stdout: impl Into<Stdio>, work: impl FnOnce(SocketAddr)) {
    let dir = TempDir::new().unwrap();
    let mut command = respd(dir.path());
    command.args(["--port", "0", "--ready-file", "ready"]);
    let process = Process::writing_to(stdout, command.stdin(Stdio::null()));
    let addr = addr_of(&read_ready(&dir.path().join("ready")));
    assert_eq!(Wire::connect(addr).text(&["PING"]), "PONG");
    work(addr);
    assert_eq!(Wire::connect(addr).text(&["PING"]), "PONG");
    process.end_with(Signal::TERM).printed("");
}

#[test]
fn a_browser_that_was_tricked_is_logged_and_cut_off() {
    let mut broker = serve(&[]);
    let mut stream = TcpStream::connect(broker.addr()).unwrap();
    let addr = stream.local_addr().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut reply = Vec::new();
    // A reset says the same as an end.
    let _ = stream.read_to_end(&mut reply);
    assert_eq!(reply, b"");
    let line = broker.process.line("SECURITY ATTACK");
    assert!(line.contains(" # Possible "), "{line}");
    assert!(line.ends_with(&format!(" addr={addr}")), "{line}");
}

#[test]
fn the_logo_is_shown_to_who_asks_for_it() {
    let dir = TempDir::new().unwrap();
    let logo = |always: &str| {
        let arguments = ["--port", "0", "--always-show-logo", always];
        let mut process = Process::respd(dir.path(), &arguments);
        process.line("Ready to accept");
        process.seen().iter().any(|line| line.contains("|___/"))
    };
    assert!(logo("yes"));
    assert!(!logo("no"));
}
