//! Clients that cost little: requests are made beforehand, replies are counted
//! instead of parsed, and one thread serves any number of connections.
//!
//! Sockets block, with a timeout: they are read when epoll says that there is
//! something, and what is written is far less than a socket's buffer holds.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use crate::result::Result;

/// As many as redis-benchmark has by default.
pub const CONNECTIONS: usize = 50;

const PATIENCE: Duration = Duration::from_secs(10);

/// A request as it goes over the wire.
pub fn request<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    let header = |out: &mut Vec<u8>, kind: u8, len: usize| {
        out.push(kind);
        out.extend_from_slice(itoa::Buffer::new().format(len).as_bytes());
        out.extend_from_slice(b"\r\n");
    };
    header(&mut out, b'*', words.len());
    for word in words.iter().map(AsRef::as_ref) {
        header(&mut out, b'$', word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// One connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub fn open(port: u16) -> Result<Connection> {
        Ok(Connection {
            stream: connect(port)?,
            buffer: vec![0; 64 * 1024],
        })
    }

    pub fn send(&mut self, requests: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(requests)?)
    }

    /// Waits for this many bytes of replies.
    pub fn receive(&mut self, len: usize) -> Result<()> {
        let mut left = len;
        while left > 0 {
            let got = read(&mut self.stream, &mut self.buffer)?.len();
            left = left
                .checked_sub(got)
                .ok_or("a reply is longer than expected")?;
        }
        Ok(())
    }

    /// Waits for this many lines of replies.
    pub fn receive_lines(&mut self, count: usize) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let got = count_lines(read(&mut self.stream, &mut self.buffer)?);
            left = left
                .checked_sub(got)
                .ok_or("a reply has more lines than expected")?;
        }
        Ok(())
    }

    /// Waits for replies; as much of them as is there.
    pub fn receive_some(&mut self) -> Result<&[u8]> {
        read(&mut self.stream, &mut self.buffer)
    }

    /// What a request is answered with that has so short a reply that it comes
    /// in one piece.
    pub fn ask(&mut self, request: &[u8]) -> Result<&str> {
        self.send(request)?;
        Ok(str::from_utf8(self.receive_some()?)?)
    }

    /// The number that a request is answered with.
    pub fn ask_number(&mut self, request: &[u8]) -> Result<usize> {
        let reply = self.ask(request)?;
        Ok(reply.trim_start_matches(':').trim_end().parse()?)
    }

    /// Sends `count` requests, in pipelines of 64, to which one line replies.
    pub fn fill(&mut self, count: usize, request: impl Fn(usize) -> Vec<u8>) -> Result<()> {
        self.fill_by_lines(count, 1, request)
    }

    /// The same with requests to which `lines` lines reply.
    pub fn fill_by_lines(
        &mut self,
        count: usize,
        lines: usize,
        request: impl Fn(usize) -> Vec<u8>,
    ) -> Result<()> {
        let mut batch = Vec::new();
        for first in (0..count).step_by(64) {
            let end = count.min(first + 64);
            batch.clear();
            (first..end).for_each(|n| batch.extend_from_slice(&request(n)));
            self.send(&batch)?;
            self.receive_lines((end - first) * lines)?;
        }
        Ok(())
    }

    /// Stores values of this many bytes, with these options of SET.
    pub fn store(
        &mut self,
        keys: usize,
        key: impl Fn(usize) -> String,
        value: usize,
        options: &[&str],
    ) -> Result<()> {
        let value = "x".repeat(value);
        self.fill(keys, |n| {
            request(&[&["SET", &key(n), &value], options].concat())
        })
    }
}

/// A key of eleven bytes.
pub fn short_key(n: usize) -> String {
    format!("key:{n:07}")
}

/// Many connections, served as they become readable.
pub struct Clients {
    streams: Vec<TcpStream>,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    buffer: Vec<u8>,
}

impl Clients {
    pub fn connect(port: u16, count: usize) -> Result<Clients> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut streams = Vec::with_capacity(count);
        for index in 0..count {
            let stream = connect(port)?;
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&epoll, &stream, data, epoll::EventFlags::IN)?;
            streams.push(stream);
        }
        Ok(Clients {
            streams,
            epoll,
            events: Vec::with_capacity(count.max(1)),
            buffer: vec![0; 256 * 1024],
        })
    }

    pub fn send(&mut self, client: usize, requests: &[u8]) -> Result<()> {
        Ok(self.streams[client].write_all(requests)?)
    }

    /// Waits for replies and passes each client's on, as much as is there.
    pub fn receive(&mut self, mut each: impl FnMut(usize, &[u8])) -> Result<()> {
        let patience = Timespec::try_from(PATIENCE)?;
        self.events.clear();
        epoll::wait(
            &self.epoll,
            spare_capacity(&mut self.events),
            Some(&patience),
        )?;
        if self.events.is_empty() {
            return Err("the server replies no more".into());
        }
        for event in self.events.drain(..) {
            let data = event.data;
            let client = data.u64() as usize;
            each(client, read(&mut self.streams[client], &mut self.buffer)?);
        }
        Ok(())
    }
}

/// How many lines end here.
pub fn count_lines(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count()
}

fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn read<'a>(stream: &mut TcpStream, buffer: &'a mut [u8]) -> Result<&'a [u8]> {
    let len = stream.read(buffer)?;
    match &buffer[..len] {
        [] => Err("the server closed a connection".into()),
        // What is sent here has no such byte, so it begins an error.
        [b'-', ..] => Err(String::from_utf8_lossy(&buffer[..len.min(200)]).into()),
        replies => Ok(replies),
    }
}
