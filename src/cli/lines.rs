//! Texts to a broker, one command each: PUBLISH and LPUSH differ by their name and their report.
//!
//! A text is an argument, or what the user types when asked, or each line of what is piped. Lines
//! that are there already are sent together, a line that comes alone goes alone, and each gets its
//! report.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::time::Instant;

use clap::Args;
use respd::resp::value::{MAX_BULK, Value};

use super::client::Connection;
use super::error::Error;
use super::failure::{Failure, print};
use super::progress::Progress;
use super::rate::{Rate, Schedule};
use super::say::{counted, tell};

/// The most lines that are sent before their replies are read. Their replies are some bytes each,
/// so a broker never waits for them to be read while it is to read more.
const BATCH: usize = 128;

/// The most bytes of lines that are held, a single long line excepted.
const BATCH_BYTES: usize = 64 * 1024;

/// The flags of verbs that send.
#[derive(Args)]
pub struct SendFlags {
    /// Send all of standard input as one
    #[arg(long)]
    stdin: bool,

    /// Send the lines of standard input so fast and no faster, such as 50/s or 600/m
    #[arg(long, value_name = "N/s", value_parser = Rate::parse, conflicts_with = "stdin")]
    rate: Option<Rate>,

    /// Print no reports and no progress
    #[arg(short, long)]
    quiet: bool,
}

impl SendFlags {
    /// Whether all of standard input is one text.
    pub fn takes_all(&self) -> bool {
        self.stdin
    }
}

/// What to do with each text.
pub struct Sender<'a> {
    pub command: &'a str,
    pub key: &'a [u8],
    /// The payload for a text, or why there is none.
    pub encode: fn(Vec<u8>) -> Result<Vec<u8>, &'static str>,
    /// What to say about the broker's integer reply.
    pub report: &'a dyn Fn(i64) -> String,
    pub flags: &'a SendFlags,
}

impl Sender<'_> {
    /// Sends `texts`, or asks for one on a terminal, or sends what is piped.
    pub fn run(&self, connection: &mut Connection, texts: Vec<OsString>) -> Result<(), Failure> {
        let output = &mut io::stdout();
        if !texts.is_empty() {
            return texts
                .into_iter()
                .try_for_each(|text| self.send_one(connection, text.into_vec(), output));
        }
        // Lines go through one buffer only: one this large makes the one of `Stdin` step aside.
        let mut input = BufReader::with_capacity(BATCH_BYTES, io::stdin());
        if self.flags.stdin {
            return self.send_one(connection, read_all(input)?, output);
        }
        if !input.get_ref().is_terminal() {
            let progress = Progress::of_stdin(self.flags.quiet);
            return self.send_lines(connection, &mut input, output, progress);
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
        let report = self.receive(connection)?;
        print_reports(output, report.as_bytes())
    }

    fn send_lines<R: Read>(
        &self,
        connection: &mut Connection,
        input: &mut BufReader<R>,
        output: &mut impl Write,
        mut progress: Progress,
    ) -> Result<(), Failure> {
        let hides_reports = io::stdout().is_terminal();
        let mut schedule = self
            .flags
            .rate
            .map(|rate| Schedule::new(rate, Instant::now()));
        let mut sent: i64 = 0;
        let mut number = 0;
        let mut unfit: i64 = 0;
        let mut at_end = false;
        while !at_end {
            if let Some(schedule) = &schedule {
                std::thread::sleep(schedule.wait(Instant::now()));
            }
            let (mut batch, mut bytes) = (0, 0);
            loop {
                let Some(line) = read_line(input)? else {
                    at_end = true;
                    break;
                };
                number += 1;
                bytes += line.len() + 1;
                match (self.encode)(line) {
                    Ok(payload) => {
                        self.queue(connection, &payload);
                        batch += 1;
                    }
                    Err(problem) => {
                        unfit += 1;
                        progress.clear();
                        tell(&format!("line {number} cannot be sent: {problem}"));
                    }
                }
                let is_early = schedule.as_mut().is_some_and(|schedule| {
                    schedule.sent(Instant::now());
                    !schedule.wait(Instant::now()).is_zero()
                });
                let next_is_there = input.buffer().contains(&b'\n');
                if !next_is_there || is_early || batch == BATCH || bytes >= BATCH_BYTES {
                    break;
                }
            }
            let flushed = connection.flush();
            let mut reports = Vec::new();
            let (received, failure) = self.receive_batch(connection, batch, &mut reports);
            sent += received;
            // Where the progress stands, they would only break it.
            if !(hides_reports && progress.is_drawn()) {
                print_reports(output, &reports)?;
            }
            progress.sent(received as u64, bytes as u64);
            if let Some(failure) = failure {
                // Replies to a part of the batch may have come before the connection broke.
                let error = flushed.err().unwrap_or(failure);
                let lines = counted(sent, "line");
                return Err(Failure::Failed(format!("{error} (after {lines})")));
            }
        }
        progress.finish();
        if unfit > 0 {
            let lines = counted(unfit, "line");
            return Err(Failure::Failed(format!("{lines} could not be sent")));
        }
        if number == 0 {
            tell("no line on standard input; nothing sent");
        }
        Ok(())
    }

    /// Takes the replies to a batch; answers how many were well, and what was wrong with the next.
    fn receive_batch(
        &self,
        connection: &mut Connection,
        batch: usize,
        reports: &mut Vec<u8>,
    ) -> (i64, Option<Error>) {
        let mut received = 0;
        for _ in 0..batch {
            match self.receive(connection) {
                Ok(report) => reports.extend(report.into_bytes()),
                Err(error) => return (received, Some(error)),
            }
            received += 1;
        }
        (received, None)
    }

    fn queue(&self, connection: &mut Connection, payload: &[u8]) {
        connection.queue(&[self.command.as_bytes(), self.key, payload]);
    }

    /// The report of the next reply, as a line.
    fn receive(&self, connection: &mut Connection) -> Result<String, Error> {
        match connection.receive()? {
            Value::Integer(_) if self.flags.quiet => Ok(String::new()),
            Value::Integer(count) => Ok((self.report)(count) + "\n"),
            Value::Error(text) => Err(connection.refused(&text)),
            _ => Err(connection.unexpected()),
        }
    }
}

/// That nobody reads the reports, as behind `| head`, is no reason to send less.
fn print_reports(output: &mut impl Write, reports: &[u8]) -> Result<(), Failure> {
    match print(output, reports) {
        Err(Failure::OutputClosed) => Ok(()),
        printed => printed,
    }
}

/// All of the input, if a broker can take it.
fn read_all(input: impl Read) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    input
        .take(MAX_BULK as u64 + 1)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    match text.len() > MAX_BULK {
        true => Err(Failure::Failed(
            "standard input is longer than 512 MiB".to_owned(),
        )),
        false => Ok(text),
    }
}

fn unreadable(error: io::Error) -> Failure {
    Failure::Failed(format!("cannot read standard input: {error}"))
}

/// A line without its end, which Windows writes with two bytes; `None` at the end of the input.
fn read_line(input: &mut impl BufRead) -> Result<Option<Vec<u8>>, Failure> {
    let mut line = Vec::new();
    // One more for the line end, so that only what no broker takes is cut off.
    let limit = MAX_BULK as u64 + 1;
    input
        .take(limit)
        .read_until(b'\n', &mut line)
        .map_err(unreadable)?;
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
        flags: &SendFlags {
            stdin: false,
            rate: None,
            quiet: false,
        },
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
            .send_lines(&mut connection, &mut input, &mut output, Progress::unseen())
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
            .send_lines(
                &mut connection,
                &mut input,
                &mut Vec::new(),
                Progress::unseen(),
            )
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
            .send_lines(
                &mut connection,
                &mut input,
                &mut Vec::new(),
                Progress::unseen(),
            )
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
