//! The verb that serves, which is also what happens without a verb: settings in, a broker out,
//! until a signal or SHUTDOWN ends it.
//!
//! What goes wrong before clients can connect is one line and status 1; afterwards everything
//! goes to the log. Nothing is done at start that a client would not miss.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use respd::Broker;
use respd::config::{self, Config, Loaded, Unheeded};

use super::allocator::allocator;
use super::background::{self, Background};
use super::descriptors::{Room, make_room};
use super::explain::explain;
use super::failure::{Failure, print};
use super::flags::{Flags, Task};
use super::help;
use super::log::{Log, Output};
use super::marker::{self, Marker};
use super::parent::Parent;
use super::say::{FULL_VERSION, VERSION, counted, describe, one_line};
use super::signals::Signals;
use super::steps::{next_steps, redis_cli_place};
use super::supervisor::Supervisor;

/// Starts a broker with the flags or the configuration file in `arguments`, and returns when it
/// has ended.
pub fn run(arguments: &[OsString]) -> Result<(), Failure> {
    let parent = Parent::of_process();
    let flags = Flags::parse(arguments).map_err(Failure::Failed)?;
    match flags.task {
        Task::Help => {
            let printed = help::of_serving().print_long_help();
            return printed.map_err(|error| Failure::of_output(&error));
        }
        Task::Version => return say(&format!("respd {FULL_VERSION}\n")),
        Task::Check | Task::Serve => {}
    }
    let stdin = RefCell::default();
    let loaded = Config::from_args(&flags.settings, || read_stdin(&stdin))
        .map_err(|error| Failure::Failed(one_line(&explain(&error))))?;
    if flags.task == Task::Check {
        return say(&checked(&loaded.unheeded));
    }
    let supervisor = Supervisor::of(loaded.config.supervised);
    // As in Redis, whom a supervisor watches stays where it can be watched.
    if loaded.config.daemonize && supervisor == Supervisor::None && !flags.is_in_background {
        if flags.exits_with_parent {
            let why = "--exit-with-parent and 'daemonize yes' exclude each other";
            return Err(Failure::Failed(why.to_owned()));
        }
        let file = loaded.config_file.as_deref();
        if let Some(file) = file.filter(|file| !file.is_file()) {
            // The program in the background reads it again, and finds nothing.
            let file = file.display();
            let why =
                format!("'daemonize yes' needs a file that can be read twice; '{file}' is none");
            return Err(Failure::Failed(why));
        }
        return background::start(arguments, &stdin.take());
    }
    let background = match flags.is_in_background {
        true => Some(Background::enter()?),
        false => None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let parent = flags.exits_with_parent.then_some(parent);
    runtime.block_on(serve(flags, loaded, supervisor, background, parent))
}

fn say(text: &str) -> Result<(), Failure> {
    print(&mut io::stdout(), text.as_bytes())
}

/// What `--check` says of a configuration that can be used.
fn checked(unheeded: &[Unheeded]) -> String {
    let lines: String = unheeded.iter().map(|one| format!("{one}\n")).collect();
    let count = counted(unheeded.len() as i64, "setting");
    let without = match unheeded.len() {
        0 => String::new(),
        1 => format!("; {count} has no effect"),
        _ => format!("; {count} have no effect"),
    };
    format!("{lines}The configuration can be used{without}\n")
}

/// Standard input, for the argument `-`, which is kept for the program in the background.
fn read_stdin(text: &RefCell<Vec<u8>>) -> io::Result<Vec<u8>> {
    let mut text = text.borrow_mut();
    io::stdin().read_to_end(&mut text)?;
    Ok(text.clone())
}

async fn serve(
    flags: Flags,
    loaded: Loaded,
    supervisor: Supervisor,
    background: Option<Background>,
    parent: Option<Parent>,
) -> Result<(), Failure> {
    let Loaded {
        mut config,
        unheeded,
        config_file,
    } = loaded;
    // Before clients can connect, so that no signal finds its default still in place.
    let mut signals = Signals::watch(parent)?;
    let log = open_log(&config, flags.prints_url).map_err(Failure::Failed)?;
    tell_unheeded(&unheeded);
    fit_clients(&mut config).map_err(Failure::Failed)?;
    if supervisor != Supervisor::None {
        // As in Redis, `auto` becomes the one that was found.
        config.supervised = supervisor.name();
    }
    if let Some(path) = &flags.ready_file {
        // One that was left behind by a crash would tell the wrong address until the end of the
        // start. Where it cannot be removed, or is another broker's, it cannot be replaced either,
        // which fails below.
        let _ = marker::make_way(path);
    }
    let builder = Broker::builder().config(config.clone());
    let broker = builder
        .config_file(config_file.clone())
        .allocator(allocator())
        .supervised_by(supervisor.name())
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
    supervisor.ready();
    if let Some(background) = background {
        if !log.is_file() {
            tracing::info!(
                "In the background from here on, where nothing is logged without a logfile"
            );
            log.silence()?;
        }
        background.ready()?;
    }

    signals.wait(&broker, &log).await;
    tracing::info!("User requested shutdown...");
    supervisor.stopping();
    // Who looks for the broker must not find it any more.
    drop(markers);
    signals.see_the_end_of(broker).await;
    tracing::info!("respd is now ready to exit, bye bye...");
    Ok(())
}

/// Opens the log that was asked for and, where that cannot be, the one that there is without.
fn open_log(config: &Config, stdout_is_taken: bool) -> Result<Arc<Log>, String> {
    let open = |output| Log::open(output, config.loglevel);
    let (stream, name) = match stdout_is_taken {
        true => (Output::Stderr, "standard error"),
        false => (Output::Stdout, "standard output"),
    };
    let file = config.logfile.as_deref().map(|path| in_dir(config, path));
    let (log, warning) = match file.map(|path| open(Output::File(path))) {
        None => (open(stream)?, None),
        Some(Ok(log)) => (log, None),
        // A file that was written for another user or machine is no reason not to serve.
        Some(Err(why)) => (
            open(stream)?,
            Some(format!("{why}; the log goes to {name}")),
        ),
    };
    log.install();
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    Ok(log)
}

/// Tells in few lines what was set and has no effect, and each of it to who wants to know more.
fn tell_unheeded(unheeded: &[Unheeded]) {
    for one in unheeded {
        tracing::debug!("{one}");
    }
    for line in config::summary(unheeded) {
        tracing::warn!("{line} (respd --check says where)");
    }
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
        let marker = Marker::place(path.clone(), &ready(broker)).map_err(|error| {
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

const LOGO: &str = r"
                              _
   _ __   ___  ___  _ __   __| |
  | '__| / _ \/ __|| '_ \ / _` |
  | |   |  __/\__ \| |_) | (_| |
  |_|    \___||___/| .__/ \__,_|
                   |_|

";
