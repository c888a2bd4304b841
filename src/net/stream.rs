//! A connection over TCP, over a Unix socket or within the program.

use std::io::{self, IoSlice, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::memory::MemoryStream;

/// Either kind of socket, or what stands for one.
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
    /// Within the program.
    Memory(MemoryStream),
}

/// A socket on its way to another worker.
pub enum Detached {
    /// Over TCP.
    Tcp(std::net::TcpStream),
    /// Over a Unix socket.
    Unix(std::os::unix::net::UnixStream),
    /// Within the program.
    Memory(MemoryStream),
}

impl Detached {
    /// Ends it with these words, as far as the socket takes them.
    ///
    /// # Errors
    ///
    /// It takes nothing.
    pub fn end_with(self, words: &[u8]) -> io::Result<()> {
        match self {
            Detached::Tcp(mut stream) => {
                // The end comes together with them, so that whoever has read them finds it there
                // and sends nothing more.
                #[cfg(target_os = "linux")]
                SockRef::from(&stream).set_tcp_cork(true)?;
                stream.write_all(words)?;
                stream.shutdown(Shutdown::Write)
            }
            Detached::Unix(mut stream) => {
                stream.write_all(words)?;
                stream.shutdown(Shutdown::Write)
            }
            Detached::Memory(stream) => stream.try_write(words).map(drop),
        }
    }

    /// Has the worker that runs this hear of what arrives.
    ///
    /// # Errors
    ///
    /// The system refuses it.
    pub fn attach(self) -> io::Result<Stream> {
        Ok(match self {
            Detached::Tcp(stream) => Stream::Tcp(TcpStream::from_std(stream)?),
            Detached::Unix(stream) => Stream::Unix(UnixStream::from_std(stream)?),
            Detached::Memory(stream) => Stream::Memory(stream),
        })
    }
}

impl Stream {
    /// The number of the socket, -1 without one.
    pub fn fd(&self) -> i32 {
        match self {
            Stream::Tcp(stream) => stream.as_raw_fd(),
            Stream::Unix(stream) => stream.as_raw_fd(),
            Stream::Memory(_) => -1,
        }
    }

    /// Has this worker hear of it no longer.
    ///
    /// # Errors
    ///
    /// The system refuses it.
    pub fn detach(self) -> io::Result<Detached> {
        Ok(match self {
            Stream::Tcp(stream) => Detached::Tcp(stream.into_std()?),
            Stream::Unix(stream) => Detached::Unix(stream.into_std()?),
            Stream::Memory(stream) => Detached::Memory(stream),
        })
    }

    /// Writes what the socket takes at once, outside of its task.
    ///
    /// # Errors
    ///
    /// It takes nothing.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.try_write(bytes),
            Stream::Unix(stream) => stream.try_write(bytes),
            Stream::Memory(stream) => stream.try_write(bytes),
        }
    }

    /// Reads what has arrived into `buffer`; 0 bytes are the end.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let poll = match self {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Stream::Memory(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
        };
        poll.map_ok(|()| buffer.filled().len())
    }

    /// Writes as much as the socket takes at once. A plain send costs the
    /// kernel less than one with a vector.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Memory(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    /// Writes as much as the socket takes at once.
    pub fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Memory(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }
}
