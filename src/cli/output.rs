//! Standard output for what must not get lost: it knows what has arrived there.
//!
//! What is written to a file or a terminal has arrived. What is written to a pipe has arrived when
//! its reader has read it: `| head -3` leaves unread what was written before it was seen to go.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::failure::Failure;
use super::write::write_all;

/// How long a reader gets when the user wants an end.
const GRACE: Duration = Duration::from_millis(500);

/// How often a slow reader is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What a pipe that has room takes without a wait.
const PIPE_BUF: usize = 4096;

pub struct Output {
    file: File,
    is_pipe: bool,
}

/// How far what was to be written has come.
pub struct Arrived {
    pub bytes: usize,
    /// Why it went no further.
    pub failure: Option<Failure>,
}

impl Output {
    /// The standard output of this process.
    pub fn standard() -> io::Result<Output> {
        Output::of(io::stdout().as_fd().try_clone_to_owned()?.into())
    }

    fn of(file: File) -> io::Result<Output> {
        let is_pipe = file.metadata()?.file_type().is_fifo();
        Ok(Output { file, is_pipe })
    }

    pub fn is_pipe(&self) -> bool {
        self.is_pipe
    }

    pub fn is_terminal(&self) -> bool {
        self.file.is_terminal()
    }

    /// Writes all of `block` and waits until it has arrived. Who is to end, as `is_ending` says,
    /// waits for a slow reader no longer than a moment: what it has not read then has not arrived,
    /// though it may read it yet.
    pub fn hand_over(&mut self, block: &[u8], is_ending: impl Fn() -> bool) -> Arrived {
        let mut ending_since = None;
        let mut is_over =
            || is_ending() && ending_since.get_or_insert_with(Instant::now).elapsed() >= GRACE;
        let mut written = 0;
        let failure = match self.is_pipe {
            true => self.fill_pipe(block, &mut written, &mut is_over),
            false => write_all(&mut &self.file, self.file.as_fd(), block, &mut written),
        };
        let unread = self.unread(&mut is_over);
        let bytes = written.saturating_sub(unread);
        let failure = match failure {
            Err(error) => Some(Failure::of_output(&error)),
            Ok(()) => (bytes < block.len()).then_some(Failure::OutputClosed),
        };
        Arrived { bytes, failure }
    }

    /// Writes as much as the reader makes room for until it is over: a write that waits for room
    /// could not be given up.
    fn fill_pipe(
        &self,
        block: &[u8],
        written: &mut usize,
        is_over: &mut impl FnMut() -> bool,
    ) -> io::Result<()> {
        while *written < block.len() && !is_over() {
            if self.polls(PollFlags::OUT, LOOK) {
                let end = block.len().min(*written + PIPE_BUF);
                write_all(&mut &self.file, self.file.as_fd(), &block[..end], written)?;
            }
        }
        Ok(())
    }

    /// Waits until a pipe is empty, or its reader gone, or it is over; answers what is left in it.
    fn unread(&self, is_over: &mut impl FnMut() -> bool) -> usize {
        if !self.is_pipe {
            return 0;
        }
        let mut pause = Duration::from_micros(20);
        loop {
            if self.in_pipe() == 0 {
                return 0;
            }
            // Only errors are waited for, and to have no reader is one.
            if self.polls(PollFlags::empty(), pause) {
                // It may have read before it went.
                return self.in_pipe();
            }
            // Nothing tells of a pipe that is empty. A reader that is quick is asked often, one
            // that takes its time costs fifty looks a second.
            pause = (pause * 2).min(LOOK);
            if is_over() {
                return self.in_pipe();
            }
        }
    }

    fn in_pipe(&self) -> usize {
        // Systems that count for the reading end only answer none.
        let bytes = rustix::io::ioctl_fionread(&self.file).unwrap_or(0);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Whether one of the events comes within `limit`, or the reader has gone.
    fn polls(&self, events: PollFlags, limit: Duration) -> bool {
        let mut pipe = [PollFd::new(&self.file, events)];
        let limit = Timespec::try_from(limit).ok();
        matches!(poll(&mut pipe, limit.as_ref()), Ok(1..))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;

    use super::*;

    fn pipe() -> (io::PipeReader, Output) {
        let (reader, writer) = io::pipe().unwrap();
        let output = Output::of(File::from(OwnedFd::from(writer))).unwrap();
        assert!(output.is_pipe());
        (reader, output)
    }

    #[test]
    fn what_is_read_has_arrived() {
        let (mut reader, mut output) = pipe();
        let reading = std::thread::spawn(move || {
            let mut read = [0; 5];
            reader.read_exact(&mut read).unwrap();
            // Not to be gone before the other side has looked.
            (read, reader)
        });
        let arrived = output.hand_over(b"hello", || false);
        assert_eq!(arrived.bytes, 5);
        assert!(arrived.failure.is_none());
        assert_eq!(reading.join().unwrap().0, *b"hello");
    }

    #[test]
    fn what_a_reader_leaves_has_not_arrived() {
        let (mut reader, mut output) = pipe();
        let reading = std::thread::spawn(move || reader.read_exact(&mut [0; 2]).unwrap());
        let arrived = output.hand_over(b"hello", || false);
        assert_eq!(arrived.bytes, 2);
        assert!(matches!(arrived.failure, Some(Failure::OutputClosed)));
        reading.join().unwrap();
        let arrived = output.hand_over(b"more", || false);
        assert_eq!(arrived.bytes, 0);
        assert!(matches!(arrived.failure, Some(Failure::OutputClosed)));
    }

    #[test]
    fn what_a_slow_reader_has_not_read_in_the_end_has_not_arrived() {
        let (mut reader, mut output) = pipe();
        let arrived = output.hand_over(b"last", || true);
        assert_eq!(arrived.bytes, 0);
        assert!(matches!(arrived.failure, Some(Failure::OutputClosed)));
        // And is not lost either.
        drop(output);
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, "last");
    }

    #[test]
    fn more_than_a_pipe_holds_is_given_up_in_the_end() {
        let (mut reader, mut output) = pipe();
        let block = vec![b'x'; 3 << 20];
        let arrived = output.hand_over(&block, || true);
        assert_eq!(arrived.bytes, 0);
        assert!(matches!(arrived.failure, Some(Failure::OutputClosed)));
        drop(output);
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert!(read.len() < block.len(), "{}", read.len());
    }

    #[test]
    fn a_pipe_that_does_not_block_takes_all() {
        let (mut reader, mut output) = pipe();
        rustix::io::ioctl_fionbio(&output.file, true).unwrap();
        // More than any pipe holds.
        let block = vec![b'x'; 3 << 20];
        let reading = std::thread::spawn(move || {
            let mut read = vec![0; 3 << 20];
            reader.read_exact(&mut read).unwrap();
            reader
        });
        let arrived = output.hand_over(&block, || false);
        assert_eq!(arrived.bytes, block.len());
        assert!(arrived.failure.is_none(), "{:?}", arrived.failure);
        reading.join().unwrap();
    }

    #[test]
    fn a_full_disk_takes_nothing() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let arrived = Output::of(full).unwrap().hand_over(b"lost?", || false);
        assert_eq!(arrived.bytes, 0);
        let Some(Failure::Failed(line)) = arrived.failure else {
            panic!("{:?}", arrived.failure);
        };
        assert!(line.starts_with("cannot write the output: "), "{line}");
    }
}
