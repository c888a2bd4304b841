//! What is to go wrong.

use std::sync::Arc;
use std::time::Duration;

use crate::Broker;
use crate::broker::life::Life;
use crate::command::TABLE;
use crate::lab::faults::{self, Action, Late, Report, When};
use crate::lab::scope::{Named, Scope};

/// The faults of a broker for tests: each method makes a [`NewFault`], which is
/// there once it is [injected](NewFault::inject).
///
/// Faults concern connections, those [without a socket](Broker::connect)
/// included, and no [`LocalClient`](crate::LocalClient), which is the test's own
/// hand.
///
/// ```
/// use std::io::{Read, Write};
///
/// let broker = respd::Broker::for_tests()?;
/// let mut client = broker.connect().into_blocking();
/// let fault = broker.faults().drop_after().command("LPOP").times(1).inject();
///
/// broker.client().call(&["RPUSH", "jobs", "one", "two"]);
/// client.write_all(b"LPOP jobs\r\n")?;
/// let mut reply = String::new();
/// client.read_to_string(&mut reply)?;
/// assert_eq!(reply, "", "the connection has been closed instead");
/// assert_eq!(fault.hits(), 1);
/// let left = broker.client().call(&["LLEN", "jobs"]);
/// assert_eq!(left, respd::resp::value::Value::Integer(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
#[derive(Clone)]
pub struct Faults {
    life: Arc<Life>,
}

/// A fault that is not there yet: what it does, and what it is limited to. All
/// that is named must fit. What is not named fits always; but HELLO, AUTH,
/// SELECT, CLIENT SETNAME and CLIENT SETINFO, which libraries send by
/// themselves, and RESPD have to be named.
#[must_use = "nothing goes wrong before `inject`"]
#[derive(Clone)]
pub struct NewFault {
    life: Arc<Life>,
    action: Action,
    scope: Scope,
    when: When,
    /// A command that there is not.
    unknown: Option<String>,
}

/// A fault that is there until this is dropped. What it holds back is let go
/// then.
#[must_use = "the fault is removed when this is dropped"]
pub struct Fault {
    life: Arc<Life>,
    id: u64,
}

impl Broker {
    /// What is to go wrong: `broker.faults().error("LOADING").command("GET").inject()`.
    ///
    /// # Panics
    ///
    /// It was not started [for tests](Broker::for_tests).
    pub fn faults(&self) -> Faults {
        let is_for_tests = self.engine().server.faults().is_some();
        assert!(
            is_for_tests,
            "the broker was started with Broker::for_tests"
        );
        Faults {
            life: self.life.clone(),
        }
    }
}

impl Faults {
    /// Answers this error and runs nothing: `"ERR no"`, or a code alone for what
    /// Redis answers with it: LOADING, READONLY, OOM, BUSY, MASTERDOWN,
    /// CLUSTERDOWN, NOAUTH, MISCONF.
    pub fn error(&self, text: &str) -> NewFault {
        self.fault(Action::error(text.as_bytes()))
    }

    /// Holds replies back for so long by the broker's clock, to the millisecond,
    /// and all that comes behind them on the connection. The command has run.
    pub fn delay(&self, time: Duration) -> NewFault {
        self.fault(Action::Reply(Late::Delay(time)))
    }

    /// Closes the connection, and runs nothing.
    pub fn drop_before(&self) -> NewFault {
        self.fault(Action::DropBefore)
    }

    /// Runs the command, and closes the connection instead of replying.
    pub fn drop_after(&self) -> NewFault {
        self.fault(Action::Reply(Late::Drop))
    }

    /// Runs the command, sends half of its reply, and closes the connection.
    pub fn drop_amid(&self) -> NewFault {
        self.fault(Action::Reply(Late::Cut))
    }

    /// Closes new connections at once. It cannot be limited to anything but
    /// which of them.
    pub fn refuse(&self) -> NewFault {
        self.fault(Action::Refuse)
    }

    /// Has connections, those there are and new ones, be answered nothing: what
    /// they send is read, and runs when the fault is removed.
    pub fn hang(&self) -> NewFault {
        self.fault(Action::Hang)
    }

    /// Has connections not be read from any more. What is sent to them leaves.
    pub fn stall(&self) -> NewFault {
        self.fault(Action::Stall)
    }

    /// Has connections be sent everything a byte at a time.
    pub fn trickle(&self) -> NewFault {
        self.fault(Action::Trickle)
    }

    /// Loses messages on the way to their subscribers; who has published them is
    /// told that they were sent.
    pub fn lose(&self) -> NewFault {
        self.fault(Action::Lose)
    }

    /// Hands messages to their subscribers twice.
    pub fn duplicate(&self) -> NewFault {
        self.fault(Action::Duplicate)
    }

    /// Has a message be overtaken by the next one to the same subscriber. One
    /// that is left over comes when the fault is removed.
    pub fn reorder(&self) -> NewFault {
        self.fault(Action::Reorder)
    }

    /// All that there are, those of clients included, in the order in which they
    /// came.
    pub fn list(&self) -> Vec<Report> {
        let engine = self.life.engine();
        let faults = engine.server.faults();
        faults.map(faults::Faults::reports).unwrap_or_default()
    }

    /// Removes all of them.
    pub fn clear(&self) {
        self.life.engine().server.remove_faults(|_| true);
    }

    fn fault(&self, action: Action) -> NewFault {
        NewFault {
            life: self.life.clone(),
            action,
            scope: Scope::default(),
            when: When::Always,
            unknown: None,
        }
    }
}

impl NewFault {
    /// Only this command, with all its subcommands, or this subcommand:
    /// `config`, `config|get`.
    pub fn command(mut self, name: &str) -> NewFault {
        match TABLE.find(name.as_bytes()) {
            Some(command) => {
                let name = command.full_name.clone();
                let id = command.id;
                self.scope.command = Some(Named { id, name });
            }
            None => self.unknown = Some(name.into()),
        }
        self
    }

    /// Only requests of which a key fits this pattern, as for KEYS. Those of
    /// EVAL are the keys that it names.
    pub fn key(mut self, pattern: impl AsRef<[u8]>) -> NewFault {
        self.scope.key = Some(pattern.as_ref().to_vec());
        self
    }

    /// Only messages of channels that fit this pattern, and requests that name
    /// one.
    pub fn channel(mut self, pattern: impl AsRef<[u8]>) -> NewFault {
        self.scope.channel = Some(pattern.as_ref().to_vec());
        self
    }

    /// Only clients whose name (CLIENT SETNAME) fits this pattern.
    pub fn client_name(mut self, pattern: impl AsRef<[u8]>) -> NewFault {
        self.scope.name = Some(pattern.as_ref().to_vec());
        self
    }

    /// Only the client of this number, as CLIENT ID answers it.
    pub fn client_id(mut self, id: u64) -> NewFault {
        self.scope.id = Some(id);
        self
    }

    /// Only clients of this user: all are `default`.
    pub fn user(mut self, name: impl AsRef<[u8]>) -> NewFault {
        self.scope.user = Some(name.as_ref().to_vec());
        self
    }

    /// Only clients whose library (CLIENT SETINFO LIB-NAME) fits this pattern.
    pub fn library(mut self, pattern: impl AsRef<[u8]>) -> NewFault {
        self.scope.library = Some(pattern.as_ref().to_vec());
        self
    }

    /// Only clients that have selected the database of this number.
    pub fn db(mut self, number: usize) -> NewFault {
        self.scope.db = Some(number);
        self
    }

    /// Only the nth that fits, counted from 1.
    pub fn nth(mut self, nth: u64) -> NewFault {
        self.when = When::Nth(nth.max(1));
        self
    }

    /// Only each nth that fits.
    pub fn every(mut self, nth: u64) -> NewFault {
        self.when = When::Every(nth.max(1));
        self
    }

    /// Only the first so many that fit.
    pub fn times(mut self, times: u64) -> NewFault {
        self.when = When::Times(times);
        self
    }

    /// So many of a hundred of those that fit, by chance, which is the same for
    /// the same seed.
    pub fn chance(mut self, percent: u32, seed: u64) -> NewFault {
        self.when = When::Chance { percent, seed };
        self
    }

    /// Has it go wrong from now on, until the answer is dropped.
    ///
    /// # Panics
    ///
    /// The fault is none that there can be: there is no such command, the action
    /// cannot be limited to that, or there are 1,024 faults already. The message
    /// says which.
    pub fn inject(self) -> Fault {
        let NewFault {
            life,
            action,
            scope,
            when,
            unknown,
        } = self;
        if let Some(name) = unknown {
            panic!("there is no command '{name}' that a fault could strike");
        }
        let fault = faults::Fault {
            action,
            scope,
            when,
        };
        match life.engine().server.add_fault(fault) {
            Ok(id) => Fault { life, id },
            Err(error) => panic!("{error}"),
        }
    }
}

impl Fault {
    /// The number by which RESPD knows it.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How many it has struck.
    pub fn hits(&self) -> u64 {
        self.report().map_or(0, |report| report.hits)
    }

    /// How many have fitted, those included that it was not to strike.
    pub fn matches(&self) -> u64 {
        self.report().map_or(0, |report| report.matches)
    }

    fn report(&self) -> Option<Report> {
        let reports = self.life.engine().server.faults()?.reports();
        reports.into_iter().find(|report| report.id == self.id)
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        self.life.engine().server.remove_faults(|id| id == self.id);
    }
}
