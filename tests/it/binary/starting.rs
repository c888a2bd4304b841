//! Starts that fail: one line on standard error that names what is wrong, and status 1. And what
//! can be asked without starting.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};

use tempfile::TempDir;

use super::process::{End, respd, run, run_with, serve};
use crate::wire::PATIENCE;

/// What a command line in an empty directory, which the text calls DIR, fails with.
#[track_caller]
fn fails(arguments: &str, line: &str) {
    fails_in(&TempDir::new().unwrap(), arguments, line);
}

#[track_caller]
fn fails_in(dir: &TempDir, arguments: &str, line: &str) {
    let arguments: Vec<&str> = arguments.split(' ').collect();
    // The name of the directory as the process sees it.
    let path = dir.path().canonicalize().unwrap();
    let line = line.replace("DIR", path.to_str().unwrap());
    run(dir.path(), &arguments).failed(1, &line);
}

/// What a configuration file fails with.
#[track_caller]
fn file_fails(text: &str, line: &str) {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("respd.conf"), text).unwrap();
    fails_in(&dir, "respd.conf --port 0", line);
}

#[test]
fn wrong_flags_are_named() {
    for (arguments, line) in [
        (
            "--port abc",
            r#"respd: command line: --port "abc": argument couldn't be parsed into an integer"#,
        ),
        (
            "--port 70000",
            r#"respd: command line: --port "70000": argument must be between 0 and 65535 inclusive"#,
        ),
        (
            "--port",
            "respd: command line: --port: wrong number of arguments",
        ),
        (
            "--port 1 2",
            r#"respd: command line: --port "1" "2": wrong number of arguments"#,
        ),
        (
            "--maxclients 0",
            r#"respd: command line: --maxclients "0": argument must be between 1 and 4294967295 inclusive"#,
        ),
        (
            "--loglevel loud",
            r#"respd: command line: --loglevel "loud": argument(s) must be one of the following: debug, verbose, notice, warning, nothing"#,
        ),
        (
            "--prot 7000",
            r#"respd: command line: --prot ***: Bad directive or wrong number of arguments (did you mean '--port'?)"#,
        ),
        (
            "-p 7000",
            r#"respd: command line: "-p" ***: Bad directive or wrong number of arguments (did you mean '--port'?)"#,
        ),
        (
            "--port 0 --ready-file",
            "respd: --ready-file: a path must follow",
        ),
        (
            "serve --port abc",
            r#"respd: command line: --port "abc": argument couldn't be parsed into an integer"#,
        ),
    ] {
        fails(arguments, line);
    }
}

#[test]
fn a_password_is_never_shown() {
    let secret = "respd: command line: --requirepass ***: wrong number of arguments";
    fails("--requirepass s3cret and-more", secret);
    let unbalanced =
        "respd: DIR/respd.conf:1: 'requirepass ***': Unbalanced quotes in configuration line";
    file_fails("requirepass \"s3cret", unbalanced);
}

#[test]
fn wrong_lines_of_a_file_are_named() {
    for (text, line) in [
        (
            "# a comment\n\ntimeout abc\n",
            "respd: DIR/respd.conf:3: 'timeout abc': argument couldn't be parsed into an integer",
        ),
        (
            "maxclients 10\nporte 7000",
            "respd: DIR/respd.conf:2: 'porte ***': Bad directive or wrong number of arguments (did you mean 'port'?)",
        ),
        (
            "loglevel \"notice",
            "respd: DIR/respd.conf:1: 'loglevel \"notice': Unbalanced quotes in configuration line",
        ),
        (
            "timeout 1\x1b[2J\t2\n",
            "respd: DIR/respd.conf:1: 'timeout 1\\u{1b}[2J\\t2': wrong number of arguments",
        ),
        (
            "include missing.conf",
            "respd: cannot read the configuration file 'missing.conf': No such file or directory",
        ),
        (
            "include respd.conf",
            "respd: respd.conf:1: 'include respd.conf': Too many levels of include",
        ),
        (
            "dir no/such",
            "respd: DIR/respd.conf:1: 'dir no/such': No such file or directory",
        ),
    ] {
        file_fails(text, line);
    }
}

#[test]
fn standard_input_is_a_file_without_a_name() {
    let dir = TempDir::new().unwrap();
    let end = run_with(dir.path(), &["--port", "0", "-"], b"timeout 5\ntimeout x\n");
    end.failed(
        1,
        "respd: standard input:2: 'timeout x': argument couldn't be parsed into an integer",
    );
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let line = "respd: cannot read the configuration file 'DIR/no.conf': No such file or directory";
    fails("no.conf", line);
    let line =
        "respd: there is no command 'publsh', and no file of that name; did you mean 'publish'?";
    fails("publsh hello", line);
    // Root may read every file, but no directory.
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    let line = "respd: cannot read the configuration file 'DIR/sub': Is a directory";
    fails_in(&dir, "sub", line);
}

#[test]
fn files_that_cannot_be_written_are_named() {
    fails(
        "--port 0 --unixsocket no/such",
        "respd: cannot listen on DIR/no/such: No such file or directory",
    );
    fails(
        "--port 0 --loglevel nothing --ready-file no/such",
        "respd: cannot write the ready file 'no/such': No such file or directory",
    );
}

#[test]
fn a_port_that_is_taken_is_named_with_who_has_it() {
    let broker = serve(&[]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = fs::read_to_string("/proc/self/comm").unwrap();
    for (port, holder, pid) in [
        (broker.addr().port(), "respd", broker.process.id()),
        (
            taken.local_addr().unwrap().port(),
            own.trim(),
            std::process::id(),
        ),
    ] {
        let line = format!(
            "respd: cannot listen on 127.0.0.1:{port}: Address already in use by {holder} (pid {pid})"
        );
        fails(&format!("--port {port}"), &line);
    }
    // Which serves on.
    assert_eq!(broker.connect().text(&["PING"]), "PONG");
}

#[test]
fn addresses_of_other_machines_are_named() {
    // 192.0.2.0/24 is for documentation; nobody has it.
    fails(
        "--port 7000 --bind 192.0.2.1",
        "respd: cannot listen on 192.0.2.1:7000: Cannot assign requested address",
    );
    // Unless they may be missing.
    let broker = serve(&["--bind", "127.0.0.1", "-192.0.2.1"]);
    assert_eq!(broker.connect().text(&["PING"]), "PONG");
    fails(
        "--bind -192.0.2.1",
        "respd: there is no address to listen on",
    );
    fails("--bind", "respd: there is no address to listen on");
}

#[test]
fn a_socket_that_a_crash_left_behind_is_in_nobodys_way() {
    let dir = TempDir::new().unwrap();
    drop(UnixListener::bind(dir.path().join("sock")).unwrap());
    assert!(dir.path().join("sock").exists());
    let broker = super::process::serve_in(dir, &["--unixsocket", "sock"]);
    broker.stop();
}

#[test]
fn a_socket_is_taken_from_nobody() {
    let broker = serve(&["--unixsocket", "sock"]);
    let path = broker.path("sock").canonicalize().unwrap();
    let pid = broker.process.id();
    let line = format!(
        "respd: cannot listen on {}: Address already in use by respd (pid {pid})",
        path.display()
    );
    let arguments = ["--port", "0", "--unixsocket", "sock"];
    run(broker.dir.path(), &arguments).failed(1, &line);
    let mut socket = UnixStream::connect(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(b"PING\r\n").unwrap();
    let mut reply = [0; 7];
    socket.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"+PONG\r\n");

    // One that somebody else has made in its place meanwhile is theirs.
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    let dir = broker.stop();
    assert!(path.exists());
    drop(other);
    fs::remove_file(&path).unwrap();
    // What is no socket is nobody's leftover.
    fs::write(&path, "precious").unwrap();
    let line = format!(
        "respd: cannot listen on {}: there is a file that is no socket",
        path.display()
    );
    run(dir.path(), &arguments).failed(1, &line);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_start_that_fails_leaves_no_files() {
    let dir = TempDir::new().unwrap();
    let arguments = "--port 0 --pidfile pid --unixsocket sock --loglevel nothing --ready-file no/r";
    let line = "respd: cannot write the ready file 'no/r': No such file or directory";
    fails_in(&dir, arguments, line);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn the_version_is_one_line() {
    let dir = TempDir::new().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    for arguments in [
        &["-v"][..],
        &["-V"],
        &["--version"],
        &["--port", "7750", "--version"],
    ] {
        run(dir.path(), arguments).printed(&format!(
            "respd {version} (speaks RESP, behaves as Redis 7.2)\n"
        ));
    }
}

#[test]
fn help_has_the_verbs_and_the_settings() {
    let dir = TempDir::new().unwrap();
    let help = |arguments: &[&str]| {
        let End {
            status,
            stdout,
            stderr,
        } = run(dir.path(), arguments);
        assert_eq!((status, stderr.as_str()), (Some(0), ""), "{arguments:?}");
        stdout
    };
    let full = help(&["--help"]);
    for verb in ["publish", "subscribe", "push", "pop", "ping"] {
        assert!(full.contains(&format!("\n  {verb} ")), "{full}");
        for text in ["--url", "\nBroker:\n", &format!("\n  respd {verb} ")] {
            let verb = help(&[verb, "--help"]);
            assert!(verb.contains(text), "{text:?} is not in {verb}");
        }
    }
    let settings = [
        "--ready-file PATH\n",
        "--print-url\n",
        "\nNetwork:\n",
        "\n  --port NUMBER\n          TCP port to listen on; 0 lets the system choose one [default: 6379]\n",
        "\n  --requirepass PASSWORD\n",
        " [default: \"\"]\n",
        " --list-max-ziplist-size]\n",
    ];
    for text in settings {
        assert!(full.contains(text), "{text:?} is not in {full}");
    }
    assert!(help(&["-h"]).contains("See --help for"));
    for arguments in [
        &["serve", "--help"][..],
        &["help", "serve"],
        &["--port", "0", "--help"],
    ] {
        let serving = help(arguments);
        assert!(serving.starts_with("Usage: respd "), "{serving}");
        assert!(serving.contains("\n  --port NUMBER\n"), "{serving}");
    }
}

#[test]
fn a_verb_with_a_wrong_flag_says_how_it_is_used() {
    let dir = TempDir::new().unwrap();
    let end = run(dir.path(), &["publish", "--no-such-flag"]);
    assert_eq!((end.status, end.stdout.as_str()), (Some(2), ""));
    assert!(end.stderr.contains("'--no-such-flag'"), "{}", end.stderr);
    assert!(
        end.stderr.contains("Usage: respd publish "),
        "{}",
        end.stderr
    );
}

#[test]
fn help_into_a_closed_pipe_is_no_failure() {
    let dir = TempDir::new().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = respd(dir.path());
    let status = command.args(["serve", "--help"]).stdout(writer).status();
    assert_eq!(status.unwrap().code(), Some(0));
}
