//! What a broker that serves hears of from outside: signals, the loss of its terminal, the end of
//! the program that started it. And the settings that the process itself follows.

use std::fs::{self, File};
use std::io;
use std::process::exit;

use respd::Broker;
use respd::config::Config;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::descriptors::{Room, make_room};
use super::log::Log;
use super::parent::{Parent, ParentsEnd};

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
pub struct Signals {
    int: Signal,
    term: Signal,
    hup: Signal,
    /// Whether the broker is to end with the terminal that it was started from: not where there
    /// is none, nor after `nohup`.
    ends_with_terminal: bool,
    parents_end: Option<ParentsEnd>,
}

impl Signals {
    /// Keeps an eye on them from now on, and on the process that has started this one if it is to
    /// end with that.
    pub fn watch(parent: Option<Parent>) -> io::Result<Signals> {
        Ok(Signals {
            parents_end: parent.map(Parent::watch).transpose()?,
            // What is asked here is over once the signal has a handler.
            ends_with_terminal: has_terminal() && !ignores_hangup(),
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// Returns when the broker is to end. Until then it does what else signals and changed
    /// settings ask of the process.
    pub async fn wait(&mut self, broker: &Broker, log: &Log) {
        loop {
            let reason = tokio::select! {
                // In order, so that settings which a client was told are changed come before a
                // signal that was sent thereafter.
                biased;
                config = broker.reconfigured() => {
                    follow(&config, log);
                    continue;
                }
                () = broker.stopped() => return,
                _ = self.int.recv() => "Received SIGINT",
                _ = self.term.recv() => "Received SIGTERM",
                () = end_of(&mut self.parents_end) => "The process that started it has ended,",
                _ = self.hup.recv() => {
                    if self.ends_with_terminal && !has_terminal() {
                        "The terminal was closed,"
                    } else {
                        // As in Redis, it ends nothing.
                        if let Err(error) = log.reopen() {
                            tracing::warn!("{error}");
                        }
                        continue;
                    }
                }
            };
            tracing::info!("{reason} scheduling shutdown...");
            return;
        }
    }

    /// Shuts the broker down. Whoever has no patience with it ends the process.
    pub async fn see_the_end_of(&mut self, broker: Broker) {
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

async fn end_of(parents_end: &mut Option<ParentsEnd>) {
    match parents_end {
        Some(end) => end.came().await,
        None => std::future::pending().await,
    }
}

/// Whether the process has a terminal that controls it, which is not there any more as soon as it
/// is closed.
fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

/// Whether whoever started the process has it ignore SIGHUP, as `nohup` does. Where the system
/// does not say, nobody has.
fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // The first signal is the lowest bit.
    mask.is_some_and(|mask| mask & 1 == 1)
}
