//! Texts to a broker, one command each: PUBLISH and LPUSH differ by their name and their report.
//!
//! A text is an argument, or what the user types when asked, or each line of what is piped. Lines
//! that are there already are sent together, a line that comes alone goes alone, and each gets its
//! report.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::ffi::OsStringExt;

use respd::resp::value::{MAX_BULK, Value};

use super::client::Connection;
use super::failure::{Failure, print};
use super::say::{counted, tell};

/// The most lines that are sent before their replies are read. Their replies are some bytes each,
/// so a broker never waits for them to be read while it is to read more.
const BATCH: usize = 128;

/// The most bytes of lines that are held, a single long line excepted.
const BATCH_BYTES: usize = 64 * 1024;

/// What to do with each text.
pub struct Sender<'a> {
    pub command: &'a str,
    pub key: &'a [u8],
    /// The payload for a text, or why there is none.
    pub encode: fn(Vec<u8>) -> Result<Vec<u8>, &'static str>,
    /// What to say about the broker's integer reply.
    pub report: &'a dyn Fn(i64) -> String,
}

impl Sender<'_> {
    /// Sends `text`, or asks for one on a terminal, or sends what is piped.
    pub fn run(&self, connection: &mut Connection, text: Option<OsString>) -> Result<(), Failure> {
        let output = &mut io::stdout();
        if let Some(text) = text {
            return self.send_one(connection, text.into_vec(), output);
        }
        // Lines go through one buffer only: one this large makes the one of `Stdin` step aside.
        let mut input = BufReader::with_capacity(BATCH_BYTES, io::stdin());
        if !input.get_ref().is_terminal() {
            return self.send_lines(connection, &mut input, output);
        }
        let _ = write!(io::stderr(), "Message: ");
        match read_line(&mut input)? {
            Some(text) if !text.is_empty() => self.send_one(connection, text, output),
            typed => {
                if typed.is_none() {
                    // The prompt's line is still open.
                    let _ = writeln!(io::stderr());
                }
                Err(Failure::Failed("no message given; nothing sent".to_owned()))
            }
        }
    }

    fn send_one(
        &self,
        connection: &mut Connection,
        text: Vec<u8>,
        output: &mut impl Write,
    ) -> Result<(), Failure> {
        let payload = (self.encode)(text)
            .map_err(|problem| Failure::Failed(format!("the message cannot be sent: {problem}")))?;
        self.queue(connection, &payload);
        connection.flush()?;
        self.receive(connection, output)
    }

    fn send_lines<R: Read>(
        &self,
        connection: &mut Connection,
        input: &mut BufReader<R>,
        output: &mut impl Write,
    ) -> Result<(), Failure> {
        let mut sent: i64 = 0;
        let mut number = 0;
        let mut unfit: i64 = 0;
        let mut at_end = false;
        while !at_end {
            let (mut batch, mut bytes) = (0, 0);
            loop {
                let Some(line) = read_line(input)? else {
                    at_end = true;
                    break;
                };
                number += 1;
                bytes += line.len();
                match (self.encode)(line) {
                    Ok(payload) => {
                        self.queue(connection, &payload);
                        batch += 1;
                    }
                    Err(problem) => {
                        unfit += 1;
                        tell(&format!("line {number} cannot be sent: {problem}"));
                    }
                }
                let next_is_there = input.buffer().contains(&b'\n');
                if !next_is_there || batch == BATCH || bytes >= BATCH_BYTES {
                    break;
                }
            }
            let flushed = connection.flush();
            for _ in 0..batch {
                // Replies to a part of the batch may have come before the connection broke.
                let received = self.receive(connection, output);
                let failed = match (received, &flushed) {
                    (Ok(()), _) => None,
                    (Err(Failure::OutputClosed), _) => return Err(Failure::OutputClosed),
                    (Err(_), Err(error)) => Some(error.to_string()),
                    (Err(Failure::Failed(error)), _) => Some(error),
                    (Err(failure), _) => return Err(failure),
                };
                if let Some(error) = failed {
                    let lines = counted(sent, "line");
                    return Err(Failure::Failed(format!("{error} (after {lines})")));
                }
                sent += 1;
            }
        }
        if unfit > 0 {
            let lines = counted(unfit, "line");
            return Err(Failure::Failed(format!("{lines} could not be sent")));
        }
        if number == 0 {
            tell("no line on standard input; nothing sent");
        }
        Ok(())
    }

    fn queue(&self, connection: &mut Connection, payload: &[u8]) {
        connection.queue(&[self.command.as_bytes(), self.key, payload]);
    }

    fn receive(&self, connection: &mut Connection, output: &mut impl Write) -> Result<(), Failure> {
        match connection.receive()? {
            Value::Integer(count) => {
                let report = (self.report)(count) + "\n";
                print(output, report.as_bytes())
            }
            Value::Error(text) => Err(connection.refused(&text).into()),
            _ => Err(connection.unexpected().into()),
        }
    }
}

/// A line without its end, which Windows writes with two bytes; `None` at the end of the input.
fn read_line(input: &mut impl BufRead) -> Result<Option<Vec<u8>>, Failure> {
    let mut line = Vec::new();
    // One more for the line end, so that only what no broker takes is cut off.
    let limit = MAX_BULK as u64 + 1;
    input
        .take(limit)
        .read_until(b'\n', &mut line)
        .map_err(|error| Failure::Failed(format!("cannot read standard input: {error}")))?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.pop_if(|byte| *byte == b'\n').is_some() {
        line.pop_if(|byte| *byte == b'\r');
    } else if line.len() > MAX_BULK {
        return Err(Failure::Failed(
            "a line on standard input is longer than 512 MiB".to_owned(),
        ));
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::super::fake::serve_one;
    use super::*;

    fn no_bangs(text: Vec<u8>) -> Result<Vec<u8>, &'static str> {
        if text.contains(&b'!') {
            return Err("too loud");
        }
        Ok(text)
    }

    const SENDER: Sender = Sender {
        command: "PUBLISH",
        key: b"c",
        encode: no_bangs,
        report: &|count| format!("{count} got it"),
    };

    #[test]
    fn each_line_is_sent_and_reported() {
        let (target, server) = serve_one(|peer| {
            for (n, line) in ["a", "", "b c", "last"].iter().enumerate() {
                peer.expect(&format!("PUBLISH c {line}"), &format!(":{n}\r\n"));
            }
            assert_eq!(peer.command(), None);
        });
        let mut connection = Connection::open(&target).unwrap();
        let mut input = BufReader::new(&b"a\n\nb c\r\n!\nlast"[..]);
        let mut output = Vec::new();
        let failure = SENDER
            .send_lines(&mut connection, &mut input, &mut output)
            .unwrap_err();
        let Failure::Failed(line) = failure else {
            panic!("{failure:?}");
        };
        assert_eq!(line, "1 line could not be sent");
        let reports = "0 got it\n1 got it\n2 got it\n3 got it\n";
        assert_eq!(String::from_utf8(output).unwrap(), reports);
        drop(connection);
        server.join().unwrap();
    }

    #[test]
    fn a_line_goes_out_before_the_next_is_there() {
        /// A pipe whose second line is written only when the first has been reported.
        struct Pipe<'a> {
            lines: Vec<&'static [u8]>,
            reports: &'a std::cell::Cell<usize>,
        }
        impl Read for Pipe<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                assert_eq!(self.reports.get(), 2 - self.lines.len());
                let line = self.lines.pop().unwrap_or_default();
                buffer[..line.len()].copy_from_slice(line);
                Ok(line.len())
            }
        }
        let (target, server) = serve_one(|peer| {
            peer.expect("PUBLISH c one", ":1\r\n");
            peer.expect("PUBLISH c two", ":1\r\n");
        });
        let reports = std::cell::Cell::new(0);
        let sender = Sender {
            report: &|_| {
                reports.set(reports.get() + 1);
                String::new()
            },
            ..SENDER
        };
        let mut input = BufReader::new(Pipe {
            lines: vec![b"two\n", b"one\n"],
            reports: &reports,
        });
        let mut connection = Connection::open(&target).unwrap();
        sender
            .send_lines(&mut connection, &mut input, &mut Vec::new())
            .unwrap();
        assert_eq!(reports.get(), 2);
        server.join().unwrap();
    }

    #[test]
    fn an_end_in_the_middle_says_how_far_it_came() {
        let (target, server) = serve_one(|peer| {
            peer.expect("PUBLISH c a", ":0\r\n");
            peer.expect("PUBLISH c b", "-OOM command not allowed\r\n");
        });
        let mut connection = Connection::open(&target).unwrap();
        let mut input = BufReader::new(&b"a\nb\n"[..]);
        let failure = SENDER
            .send_lines(&mut connection, &mut input, &mut Vec::new())
            .unwrap_err();
        let Failure::Failed(line) = failure else {
            panic!("{failure:?}");
        };
        assert_eq!(
            line,
            format!("{target} answered: OOM command not allowed (after 1 line)")
        );
        server.join().unwrap();
    }
}
