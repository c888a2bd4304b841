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
use super::{Failure, counted, print, tell};

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
