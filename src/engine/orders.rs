//! What is asked of the clock of a broker for tests.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::waiters::Awaited;
use crate::resp::Reply;

/// Where the clock is to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// So far ahead.
    By(Duration),
    /// To what falls due next.
    ToNext,
    /// To this time since 1970, as when somebody sets the machine's: keys follow
    /// it, and who waits for so long takes no notice.
    To(Duration),
}

/// What falls due by itself.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Due {
    /// A key expires.
    Key {
        /// The number of its database.
        db: usize,
        /// The key.
        key: Vec<u8>,
    },
    /// A field of a hash expires.
    Field {
        /// The number of the database.
        db: usize,
        /// The key of the hash.
        key: Vec<u8>,
        /// The field.
        field: Vec<u8>,
    },
    /// CLIENT PAUSE ends.
    Pause,
    /// The time-out of a blocking command.
    Timeout {
        /// The client.
        client: Waiting,
        /// The command, in lower case.
        command: String,
    },
    /// A reply leaves that a fault has held back.
    Reply {
        /// The client.
        client: Waiting,
        /// The command, in lower case.
        command: String,
    },
    /// A client is closed that sends nothing: the setting `timeout`.
    Idle {
        /// The client.
        client: Waiting,
    },
    /// A client is closed that does not read: the setting
    /// `client-output-buffer-limit`.
    Unread {
        /// The client.
        client: Waiting,
    },
}

/// A client for which something falls due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// Its id, as CLIENT ID answers it.
    pub id: u64,
    /// What CLIENT SETNAME has called it, or nothing.
    pub name: String,
}

/// Who is told how an order was carried out: what has fallen due, if the clock
/// was to go to that and there was anything.
pub enum Answer {
    /// A client, and what it is replied.
    Client(Awaited, WriteDue),
    /// Who embeds the broker.
    Embedder(Box<dyn FnOnce(Option<Due>) + Send>),
}

/// Writes the reply of it.
pub type WriteDue = Box<dyn FnOnce(&mut Reply<'_>, Option<Due>) + Send>;

/// The orders that have been given. Each is of a client or a thread that waits,
/// so there are no more than of these.
pub struct Orders {
    sender: UnboundedSender<(Order, Answer)>,
    /// For the one who carries them out.
    pub(super) receiver: Mutex<Option<Receiver>>,
}

pub(super) type Receiver = UnboundedReceiver<(Order, Answer)>;

impl Default for Orders {
    fn default() -> Self {
        let (sender, receiver) = unbounded_channel();
        let receiver = Mutex::new(Some(receiver));
        Orders { sender, receiver }
    }
}

impl Orders {
    /// Gives an order. If the broker has ended, or ends before it is carried
    /// out, the answer is dropped.
    pub fn give(&self, order: Order, answer: Answer) {
        // What comes back is the answer, which nobody is to be told.
        let _ = self.sender.send((order, answer));
    }

    /// Gives an order, and waits until it is carried out; `None` if the broker has
    /// ended.
    pub async fn carried_out(&self, order: Order) -> Option<Option<Due>> {
        let (tell, told) = oneshot::channel();
        // Who asked may be gone.
        let answer = Box::new(move |due| _ = tell.send(due));
        self.give(order, Answer::Embedder(answer));
        told.await.ok()
    }
}
