//! Writing all of something, whatever is on the other side.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, poll};

/// Writes all of `block`, and counts what has gone, to what `descriptor` is of.
pub fn write_all(
    output: &mut impl Write,
    descriptor: BorrowedFd<'_>,
    block: &[u8],
    written: &mut usize,
) -> io::Result<()> {
    while let rest @ [_, ..] = &block[*written..] {
        match patiently(descriptor, || output.write(rest))? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            more => *written += more,
        }
    }
    patiently(descriptor, || output.flush())
}

/// Attempts until it is neither interrupted nor would block: programs that share a pipe or a
/// terminal with this one make it non-blocking for all, as Node and ssh do.
fn patiently<T>(
    descriptor: BorrowedFd<'_>,
    mut attempt: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut room = [PollFd::from_borrowed_fd(descriptor, PollFlags::OUT)];
                // What is wrong with it the next attempt tells.
                let _ = poll(&mut room, None);
            }
            done => return done,
        }
    }
}
