//! A broker that goes and comes back.

use std::fmt;
use std::sync::Arc;

use crate::Broker;
use crate::broker::StartError;
use crate::broker::life::Life;
use crate::lab::restarts::Data;

impl Broker {
    /// Has the whole broker go and come back at once, as when somebody restarts it.
    /// When this returns it serves again, at the same addresses.
    ///
    /// All connections are cut, those within the program too, and every
    /// [`LocalClient`](crate::LocalClient) is closed. Settings are those it was
    /// started with. What a test has put there stays: faults, the record, and the clock
    /// as it stands.
    ///
    /// ```
    /// use respd::{Broker, resp::value::Value, testkit::Data};
    ///
    /// let broker = Broker::for_tests()?;
    /// broker.client().call(&["SET", "page", "<html>"]);
    /// broker.restart(Data::Lose)?;
    /// assert_eq!(broker.client().call(&["GET", "page"]), Value::Null);
    /// # Ok::<(), respd::broker::StartError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The system refuses what it needs, and it has ended.
    ///
    /// # Panics
    ///
    /// It was not started [for tests](Broker::for_tests).
    pub fn restart(&self, data: Data) -> Result<(), StartError> {
        self.take_down().bring_back(data)
    }

    /// Has the whole broker be gone: all connections are cut, and new ones are
    /// refused. Its ports stay its own meanwhile.
    ///
    /// ```
    /// use respd::{Broker, testkit::Data};
    /// use std::net::TcpStream;
    ///
    /// let broker = Broker::for_tests()?;
    /// let down = broker.take_down();
    /// assert!(TcpStream::connect(broker.addr()).is_err());
    /// down.bring_back(Data::Keep)?;
    /// assert!(TcpStream::connect(broker.addr()).is_ok());
    /// # Ok::<(), respd::broker::StartError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// It was not started [for tests](Broker::for_tests).
    pub fn take_down(&self) -> Down {
        let is_for_tests = self.engine().server.lab.is_some();
        assert!(
            is_for_tests,
            "the broker was started with Broker::for_tests"
        );
        self.life.take_down();
        Down {
            life: self.life.clone(),
        }
    }
}

/// A broker is gone. It comes back, with its data, when this is dropped.
#[must_use = "it comes back when this is dropped"]
pub struct Down {
    life: Arc<Life>,
}

impl Down {
    /// Has it come back; when this returns it serves.
    ///
    /// # Errors
    ///
    /// The system refuses what it needs, or the [`Broker`] has been dropped.
    pub fn bring_back(self, data: Data) -> Result<(), StartError> {
        self.life.bring_back(data)
    }
}

impl Drop for Down {
    fn drop(&mut self) {
        // If it cannot come back that is in the log, and nobody can connect.
        let _ = self.life.bring_back(Data::Keep);
    }
}

/// Where it listens when it is there.
impl fmt::Debug for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints = self.life.endpoints();
        f.debug_struct("Down")
            .field("endpoints", endpoints)
            .finish_non_exhaustive()
    }
}
