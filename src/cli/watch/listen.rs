//! A connection that only listens, on a thread of its own: to a channel that was chosen, or to
//! MONITOR. It comes back after the broker went away, and ends with its handle.

use std::sync::Arc;

use respd::resp::value::Value;

use super::super::client::Connection;
use super::super::error::Error;
use super::super::interrupt::Interrupt;
use super::super::retry::Backoff;
use super::super::target::Target;

/// What our connections are called.
pub const NAME: &str = "respd-watch";

/// What is heard.
pub enum Heard {
    /// It begins, or begins again.
    Begin,
    Value(Value),
    /// It has ended for good, and this is why.
    End(String),
}

/// Ends the listening when it is dropped.
pub struct Listener(Arc<Interrupt>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.raise();
    }
}

impl Listener {
    /// Sends `command` and hands all that comes then to `hear`.
    pub fn start(
        target: &Target,
        command: Vec<Vec<u8>>,
        hear: impl FnMut(Heard) + Send + 'static,
    ) -> std::io::Result<Listener> {
        let interrupt = Arc::new(Interrupt::default());
        let ear = Ear {
            target: target.clone(),
            command,
            interrupt: Arc::clone(&interrupt),
            hear,
        };
        std::thread::Builder::new()
            .name("listener".to_owned())
            .spawn(|| ear.listen())?;
        Ok(Listener(interrupt))
    }
}

struct Ear<F> {
    target: Target,
    command: Vec<Vec<u8>>,
    interrupt: Arc<Interrupt>,
    hear: F,
}

impl<F: FnMut(Heard)> Ear<F> {
    fn listen(mut self) {
        let mut backoff = Backoff::new(fastrand::Rng::new());
        loop {
            let failure = match self.listen_once(&mut backoff) {
                Ok(never) => match never {},
                Err(failure) => failure,
            };
            if self.interrupt.is_raised() {
                return;
            }
            if !failure.is_transient() {
                return (self.hear)(Heard::End(failure.to_string()));
            }
            if self.interrupt.wait(backoff.next_delay()) {
                return;
            }
        }
    }

    fn listen_once(&mut self, backoff: &mut Backoff) -> Result<std::convert::Infallible, Error> {
        let mut connection = Connection::open(&self.target)?;
        if let Err(error) = self.interrupt.end_on_signal(&connection) {
            (self.hear)(Heard::End(error.to_string()));
            self.interrupt.raise();
        }
        // Not to be allowed a name is not to be unable to listen.
        connection.queue(&[b"CLIENT", b"SETNAME", NAME.as_bytes()]);
        let command: Vec<&[u8]> = self.command.iter().map(Vec::as_slice).collect();
        connection.queue(&command);
        connection.flush()?;
        connection.receive()?;
        let first = connection.receive()?;
        if let Value::Error(text) = first {
            return Err(connection.refused(&text));
        }
        *backoff = Backoff::new(fastrand::Rng::new());
        (self.hear)(Heard::Begin);
        (self.hear)(Heard::Value(first));
        loop {
            match connection.receive()? {
                Value::Error(text) => return Err(connection.refused(&text)),
                value => (self.hear)(Heard::Value(value)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::super::super::fake::{greeted, serve};
    use super::*;

    #[test]
    fn it_listens_again_after_an_outage_and_ends_with_its_handle() {
        let (target, server) = serve(
            "",
            vec![
                greeted(|peer| {
                    peer.expect("CLIENT SETNAME respd-watch", "-NOPERM no\r\n");
                    peer.expect("SUBSCRIBE a", "+first\r\n+one\r\n");
                }),
                greeted(|peer| {
                    peer.expect("CLIENT SETNAME respd-watch", "+OK\r\n");
                    peer.expect("SUBSCRIBE a", "+second\r\n+two\r\n");
                    // The handle hangs up.
                    assert_eq!(peer.command(), None);
                }),
            ],
        );
        let (sender, heard) = channel();
        let command = vec![b"SUBSCRIBE".to_vec(), b"a".to_vec()];
        let listener = Listener::start(&target, command, move |heard| {
            sender.send(heard).unwrap();
        });
        for word in ["first", "one", "second", "two"] {
            let mut next = heard.recv().unwrap();
            if ["first", "second"].contains(&word) {
                assert!(matches!(next, Heard::Begin));
                next = heard.recv().unwrap();
            }
            assert!(matches!(next, Heard::Value(Value::Simple(text)) if text == word));
        }
        drop(listener);
        server.join().unwrap();
        assert!(heard.recv().is_err());
    }

    #[test]
    fn a_refusal_is_told() {
        let (target, server) = serve(
            "",
            vec![greeted(|peer| {
                peer.expect("CLIENT SETNAME respd-watch", "+OK\r\n");
                peer.expect("MONITOR", "-NOPERM you may not\r\n");
            })],
        );
        let (sender, heard) = channel();
        let _listener = Listener::start(&target, vec![b"MONITOR".to_vec()], move |heard| {
            sender.send(heard).unwrap();
        });
        let end = heard.recv().unwrap();
        assert!(matches!(end, Heard::End(text) if text.ends_with("NOPERM you may not")));
        server.join().unwrap();
    }
}
