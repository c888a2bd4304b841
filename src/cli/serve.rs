//! The verb that serves, which is also what happens without a verb: settings in, a broker out,
//! until a signal or SHUTDOWN ends it.
//!
//! What goes wrong before clients can connect is one line and status 1; afterwards everything
//! goes to the log. Nothing is done at start that a client would not miss.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::Arc;

use respd::Broker;
use respd::config::{self, Config, ConfigError, Loaded, Origin};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::allocator::allocator;
use super::descriptors::{Room, make_room};
use super::failure::{Failure, print};
use super::log::{Log, Output};
use super::marker::Marker;
use super::say::{VERSION, describe, one_line};

/// Starts a broker with the flags or the configuration file in `arguments`, and returns when it
/// has ended.
pub fn run(arguments: &[OsString]) -> Result<(), Failure> {
    let flags = Flags::parse(arguments).map_err(Failure::Failed)?;
    if flags.asks_for_help {
        let usage = "Usage: respd [FILE.conf] [--SETTING VALUE]... [-]";
        return print(
            &mut io::stdout(),
            format!("{usage}\n\n{}\n", help()).as_bytes(),
        );
    }
    let loaded = Config::from_args(&flags.settings, read_stdin)
        .map_err(|error| Failure::Failed(one_line(&explain(&error))))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(flags, loaded))
}

/// The flags of the program itself, and the rest, which is settings.
#[derive(Debug, Default, PartialEq)]
struct Flags {
    ready_file: Option<PathBuf>,
    prints_url: bool,
    asks_for_help: bool,
    settings: Vec<OsString>,
}

impl Flags {
    fn parse(arguments: &[OsString]) -> Result<Flags, String> {
        let mut flags = Flags::default();
        let mut arguments = arguments.iter();
        // A value may look like a flag: `--requirepass --secret`. As for the settings, only what
        // follows the bare name of one does, and nothing follows `--save`.
        let mut is_value = false;
        while let Some(argument) = arguments.next() {
            let bytes = argument.as_bytes();
            let is_flag = bytes.starts_with(b"--") && !is_value;
            is_value = is_flag && bytes != b"--save" && !bytes.contains(&b' ');
            match (is_flag, bytes) {
                (true, b"--help") => flags.asks_for_help = true,
                (true, b"--print-url") => flags.prints_url = true,
                (true, b"--ready-file") => {
                    let path = arguments.next().filter(|path| !path.is_empty());
                    let path = path.ok_or("--ready-file: a path must follow")?;
                    flags.ready_file = Some(path.into());
                }
                _ => {
                    flags.settings.push(argument.clone());
                    continue;
                }
            }
            is_value = false;
        }
        Ok(flags)
    }
}

/// Standard input, for the argument `-`.
fn read_stdin() -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    io::stdin().read_to_end(&mut text)?;
    Ok(text)
}

/// An error of the configuration with its place first, as compilers have it.
fn explain(error: &ConfigError) -> String {
    match error {
        ConfigError::Line {
            origin,
            line,
            text,
            reason,
        } => {
            let hint = match reason.as_str() {
                "Bad directive or wrong number of arguments" => {
                    " (respd --help lists the settings)"
                }
                _ => "",
            };
            let text = without_secret(text);
            match origin {
                Origin::File(path) | Origin::Included(path) => {
                    format!("{}:{line}: '{text}': {reason}{hint}", path.display())
                }
                Origin::Stdin => format!("standard input:{line}: '{text}': {reason}{hint}"),
                // What no flag came before is in quotes already.
                Origin::Arguments if text.starts_with('"') => {
                    format!("command line: {text}: {reason}{hint}")
                }
                Origin::Arguments => format!("command line: --{text}: {reason}{hint}"),
            }
        }
        ConfigError::File { path, reason } => {
            let hint = match is_bare_word(path) && !path.exists() {
                true => " (and it is no command; respd --help lists them)",
                false => "",
            };
            let path = path.display();
            format!("cannot read the configuration file '{path}': {reason}{hint}")
        }
        ConfigError::Stdin { reason } => {
            format!("cannot read the configuration from standard input: {reason}")
        }
    }
}

/// A line of the configuration as it may be shown: of a password, not even a wrong one.
fn without_secret(line: &str) -> Cow<'_, str> {
    let name = line.split_ascii_whitespace().next().unwrap_or_default();
    match config::lookup(name.trim_matches(['"', '\''])) {
        Some(setting) if setting.is_sensitive() => format!("{name} ***").into(),
        _ => line.into(),
    }
}

/// Whether a name looks like a command with a slip of the pen rather than like a file.
fn is_bare_word(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    name.iter().all(u8::is_ascii_lowercase)
}

async fn serve(flags: Flags, loaded: Loaded) -> Result<(), Failure> {
    let Loaded {
        mut config,
        warnings,
        config_file,
    } = loaded;
    // Before clients can connect, so that no signal finds its default still in place.
    let mut signals = Signals::watch()?;
    let log = open_log(&config, flags.prints_url).map_err(Failure::Failed)?;
    log.install();
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    fit_clients(&mut config).map_err(Failure::Failed)?;
    if let Some(path) = &flags.ready_file {
        // One that was left behind by a crash would tell the wrong address until the end of the
        // start. Where it cannot be removed, it cannot be replaced either, which fails below.
        let _ = std::fs::remove_file(path);
    }
    let builder = Broker::builder().config(config.clone());
    let broker = builder
        .config_file(config_file.clone())
        .allocator(allocator())
        .start()
        .map_err(|error| Failure::Failed(one_line(&error.to_string())))?;

    if config.always_show_logo {
        log.raw(LOGO);
    }
    let configured = match &config_file {
        Some(path) => format!(", configured by {}", path.display()),
        None => String::new(),
    };
    tracing::info!("respd {VERSION}, pid {}{configured}", std::process::id());
    let markers = place_markers(&flags, &config, &broker).map_err(Failure::Failed)?;
    if flags.prints_url {
        let line = format!("REDIS_URL={}\n", broker.url());
        if print(&mut io::stdout(), line.as_bytes()).is_err() {
            tracing::warn!("The URL could not be printed");
        }
    }
    say_what_next(&broker, &config);

    signals.wait(&broker, &log).await;
    tracing::info!("User requested shutdown...");
    // Who looks for the broker must not find it any more.
    drop(markers);
    signals.see_the_end_of(broker).await;
    tracing::info!("respd is now ready to exit, bye bye...");
    Ok(())
}

fn open_log(config: &Config, stdout_is_taken: bool) -> Result<Arc<Log>, String> {
    let output = match &config.logfile {
        Some(path) => Output::File(in_dir(config, path)),
        None if stdout_is_taken => Output::Stderr,
        None => Output::Stdout,
    };
    Log::open(output, config.loglevel)
}

/// A path of the configuration by a name that holds anywhere.
fn in_dir(config: &Config, path: &Path) -> PathBuf {
    let path = config.dir.join(path);
    std::path::absolute(&path).unwrap_or(path)
}

/// Makes room for `maxclients`, or lowers it to what there is room for.
fn fit_clients(config: &mut Config) -> Result<(), String> {
    match make_room(config.maxclients) {
        Room::Enough => {}
        Room::Raised { from, to } => tracing::debug!(
            "Increased maximum number of open files to {to} (it was originally set to {from})."
        ),
        Room::Reduced { clients, limit } => {
            tracing::warn!(
                "Current maximum open files is {limit}. maxclients has been reduced from {} to \
                 {clients} to compensate for low ulimit. If you need higher maxclients increase \
                 'ulimit -n'.",
                config.maxclients
            );
            config.maxclients = clients;
        }
        Room::None { limit } => {
            return Err(format!(
                "the limit of open files, {limit}, leaves no room for clients; increase 'ulimit -n'"
            ));
        }
    }
    Ok(())
}

/// The pid file and the ready file, as far as they are asked for.
fn place_markers(flags: &Flags, config: &Config, broker: &Broker) -> Result<Vec<Marker>, String> {
    let mut markers = Vec::new();
    if let Some(path) = &config.pidfile {
        let path = in_dir(config, path);
        match Marker::write(path.clone(), &format!("{}\n", std::process::id())) {
            Ok(marker) => markers.push(marker),
            // As in Redis, that is no reason not to serve.
            Err(error) => {
                let error = describe(&error);
                tracing::warn!("Failed to write PID file {}: {error}", path.display());
            }
        }
    }
    if let Some(path) = &flags.ready_file {
        let marker = Marker::rename_into_place(path.clone(), &ready(broker)).map_err(|error| {
            let error = describe(&error);
            format!("cannot write the ready file '{}': {error}", path.display())
        })?;
        markers.push(marker);
    }
    Ok(markers)
}

/// What a program that started the broker wants to know, as JSON.
fn ready(broker: &Broker) -> String {
    use serde_json::Value;
    let tcp = broker.addrs().first();
    let unix = broker.unix_path().map(|path| path.to_string_lossy());
    let fields = [
        ("pid", Value::from(std::process::id())),
        ("port", tcp.map(SocketAddr::port).into()),
        ("addr", tcp.map(SocketAddr::to_string).into()),
        ("url", broker.url().into()),
        ("unixsocket", unix.into()),
        ("version", VERSION.into()),
    ];
    // By hand for the order of the keys, which a map of `serde_json` does not keep.
    let fields = fields.map(|(name, value)| format!("\"{name}\": {value}"));
    format!("{{{}}}\n", fields.join(", "))
}

/// Where the broker listens and what to type next; at last the words that whoever started it may
/// wait for, since they are Redis's.
fn say_what_next(broker: &Broker, config: &Config) {
    let tcp = broker.addrs();
    let unix = broker.unix_path().map(|path| path.display().to_string());
    let places: Vec<String> = tcp
        .iter()
        .map(SocketAddr::to_string)
        .chain(unix.clone())
        .collect();
    tracing::info!("Listening on {}", places.join(" and "));
    let has_password = !config.requirepass.is_empty();
    let place = match (tcp.first(), &unix) {
        (Some(addr), _) => Some(redis_cli_place(*addr)),
        (None, path) => path.as_ref().map(|path| format!("-s {path}")),
    };
    for step in next_steps(&broker.url(), &place.unwrap_or_default(), has_password) {
        tracing::info!("{step}");
    }
    if !tcp.is_empty() {
        tracing::info!("Ready to accept connections tcp");
    }
    if unix.is_some() {
        tracing::info!("Ready to accept connections unix");
    }
}

/// The flags that lead redis-cli, whose own default is 127.0.0.1, to an address.
fn redis_cli_place(addr: SocketAddr) -> String {
    let port = addr.port();
    match addr.ip() {
        ip if ip.is_unspecified() || ip == Ipv4Addr::LOCALHOST => format!("-p {port}"),
        ip => format!("-h {ip} -p {port}"),
    }
}

/// The program as it was called: who has a path for it needs the path again.
fn program() -> String {
    let called = PathBuf::from(std::env::args_os().next().unwrap_or_default());
    // Cargo names it from the root of the filesystem.
    let here = std::env::current_dir().unwrap_or_default();
    let short = called.strip_prefix(&here).unwrap_or(&called);
    short.display().to_string()
}

/// What to type next. No password is shown; a word says where it belongs.
fn next_steps(url: &str, redis_cli_place: &str, has_password: bool) -> [String; 3] {
    let url = match url.split_once("://:") {
        // The first sign ends the password, in which others are encoded.
        Some((scheme, rest)) if has_password => {
            let place = rest.split_once('@').map_or("", |(_, place)| place);
            format!("{scheme}://:PASSWORD@{place}")
        }
        _ => url.to_owned(),
    };
    let flag = match url.as_str() {
        // The default of the verbs.
        "redis://127.0.0.1:6379/0" => String::new(),
        url => format!(" --url {url}"),
    };
    let password = if has_password { " -a PASSWORD" } else { "" };
    let respd = program();
    [
        format!("In a second terminal, see what is published: {respd} subscribe{flag}"),
        format!("In a third one, publish something: {respd} publish hello{flag}"),
        format!("Or use the tools of Redis: redis-cli {redis_cli_place}{password}"),
    ]
}

/// Has the process follow changed settings.
fn follow(config: &Config, log: &Log) {
    log.set_level(config.loglevel);
    if let Room::Reduced { limit, .. } | Room::None { limit } = make_room(config.maxclients) {
        tracing::warn!(
            "Current maximum open files is {limit}, which is too few for maxclients {}",
            config.maxclients
        );
    }
}

/// The signals that a broker heeds.
struct Signals {
    int: Signal,
    term: Signal,
    hup: Signal,
}

impl Signals {
    fn watch() -> io::Result<Signals> {
        Ok(Signals {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// Returns when the broker is to end. Until then it does what else signals and changed
    /// settings ask of the process.
    async fn wait(&mut self, broker: &Broker, log: &Log) {
        loop {
            let name = tokio::select! {
                // In order, so that settings which a client was told are changed come before a
                // signal that was sent thereafter.
                biased;
                config = broker.reconfigured() => {
                    follow(&config, log);
                    continue;
                }
                () = broker.stopped() => return,
                _ = self.int.recv() => "SIGINT",
                _ = self.term.recv() => "SIGTERM",
                _ = self.hup.recv() => {
                    // As in Redis, losing the terminal ends nothing.
                    if let Err(error) = log.reopen() {
                        tracing::warn!("{error}");
                    }
                    continue;
                }
            };
            tracing::info!("Received {name} scheduling shutdown...");
            return;
        }
    }

    /// Shuts the broker down. Whoever has no patience with it ends the process.
    async fn see_the_end_of(&mut self, broker: Broker) {
        let (ended, end) = oneshot::channel::<()>();
        // On a thread, because it waits for those of the broker. If there is none to be had, the
        // broker ends here and now, by being dropped.
        let _ = std::thread::Builder::new().spawn(move || {
            broker.shutdown();
            drop(ended);
        });
        tokio::select! {
            _ = end => {}
            _ = self.int.recv() => {
                tracing::warn!("You insist... exiting now.");
                exit(1);
            }
        }
    }
}

const LOGO: &str = r"
                              _
   _ __   ___  ___  _ __   __| |
  | '__| / _ \/ __|| '_ \ / _` |
  | |   |  __/\__ \| |_) | (_| |
  |_|    \___||___/| .__/ \__,_|
                   |_|

";

/// Columns of a terminal that the text of `--help` fits into.
const HELP_WIDTH: usize = 100;

/// What `--help` says about serving: the flags of the program, and every setting.
pub fn help() -> String {
    let mut help = "\
Flags of the server:
  --ready-file PATH
          Write a file once clients can connect, as JSON with pid, port, addr, url, unixsocket and
          version; it is removed at the end
  --print-url
          Print REDIS_URL=redis://... once clients can connect; the log goes to standard error

Settings, as flags or, without the dashes, as lines of FILE.conf; the last to mention one wins.
With - they are read from standard input as well."
        .to_owned();
    for setting in config::help() {
        // Writing to a string cannot fail.
        if let Some(heading) = setting.heading {
            let _ = write!(help, "\n\n{heading}:");
        }
        let text = setting.help.trim_end_matches('.');
        let default = match setting.default.as_str() {
            "" => "\"\"",
            default => default,
        };
        let _ = write!(
            help,
            "\n  --{} {}\n          {text} [default: {default}]",
            setting.name, setting.value_hint
        );
        for alias in setting.aliases {
            let _ = write!(help, " [alias: --{alias}]");
        }
    }
    help.push_str(
        "\n\nAccepted, without effect here, since they tune what only Redis has inside:\n ",
    );
    let mut width = 1;
    for name in config::without_effect().map(config::Setting::name) {
        width += 1 + name.len();
        if width > HELP_WIDTH {
            help.push_str("\n ");
            width = 2 + name.len();
        }
        let _ = write!(help, " {name}");
    }
    help
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn flags_of_the_program_stand_anywhere() {
        let line = "--print-url f.conf --port 1 --ready-file /r --save --print-url -";
        let flags = Flags::parse(&words(line)).unwrap();
        assert_eq!(flags.settings, words("f.conf --port 1 --save -"));
        assert_eq!(flags.ready_file, Some("/r".into()));
        assert!(flags.prints_url && !flags.asks_for_help);
    }

    #[test]
    fn values_are_no_flags() {
        for line in [
            "--requirepass --help",
            "--requirepass --ready-file --port 1",
            "--bind 1.1.1.1 --port --print-url",
        ] {
            let flags = Flags::parse(&words(line)).unwrap();
            let expected = Flags {
                settings: words(line),
                ..Flags::default()
            };
            assert_eq!(flags, expected);
        }
        // Name and value in one argument.
        let arguments = ["--port 7000", "--help"].map(OsString::from);
        assert!(Flags::parse(&arguments).unwrap().asks_for_help);
    }

    #[test]
    fn a_ready_file_needs_a_path() {
        for line in ["--ready-file", "--port 1 --ready-file "] {
            let error = Flags::parse(&words(line)).unwrap_err();
            assert_eq!(error, "--ready-file: a path must follow");
        }
    }

    #[test]
    fn steps_show_no_password() {
        let [subscribe, publish, redis_cli] =
            next_steps("redis://:s%40cret@127.0.0.1:7000/0", "-p 7000", true);
        let url = "redis://:PASSWORD@127.0.0.1:7000/0";
        assert!(subscribe.ends_with(&format!("subscribe --url {url}")));
        assert!(publish.ends_with(&format!("publish hello --url {url}")));
        assert!(redis_cli.ends_with(": redis-cli -p 7000 -a PASSWORD"));
    }

    #[test]
    fn steps_are_short_where_the_default_will_do() {
        let [subscribe, _, redis_cli] = next_steps("redis://127.0.0.1:6379/0", "-p 6379", false);
        assert!(subscribe.ends_with(" subscribe"));
        assert!(redis_cli.ends_with(": redis-cli -p 6379"));
        let [subscribe, ..] = next_steps("unix:///run/a@b.sock", "-s /run/a@b.sock", false);
        assert!(subscribe.ends_with("subscribe --url unix:///run/a@b.sock"));
    }

    #[test]
    fn redis_cli_is_told_the_host_unless_it_is_its_default() {
        let place = |addr: &str| redis_cli_place(addr.parse().unwrap());
        assert_eq!(place("127.0.0.1:1"), "-p 1");
        assert_eq!(place("0.0.0.0:1"), "-p 1");
        assert_eq!(place("127.0.0.2:1"), "-h 127.0.0.2 -p 1");
        assert_eq!(place("[::1]:1"), "-h ::1 -p 1");
    }

    #[test]
    fn the_help_has_every_setting_under_a_heading() {
        let help = help();
        for setting in config::help() {
            let flag = format!("\n  --{} {}\n", setting.name, setting.value_hint);
            assert_eq!(help.matches(&flag).count(), 1, "{flag}");
        }
        let (_, without_effect) = help.split_once("\nAccepted, without effect here").unwrap();
        let names = without_effect.split_whitespace();
        let names: Vec<&str> = names
            .skip_while(|word| !word.ends_with(':'))
            .skip(1)
            .collect();
        assert!(
            config::without_effect()
                .map(config::Setting::name)
                .eq(names)
        );
        let too_long = without_effect.lines().find(|line| line.len() > HELP_WIDTH);
        assert_eq!(too_long, None);
        let headings = config::help().filter_map(|setting| setting.heading);
        assert!(headings.count() > 3);
        assert!(config::help().next().unwrap().heading.is_some());
    }
}
