//! What a server weighs, how fast it starts, and what it costs while nothing
//! happens.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use respd::Broker;

use crate::clients::{Clients, Connection, request, short_key};
use crate::collections::Collection;
use crate::figures::median;
use crate::result::Result;
use crate::run::Run;
use crate::server::{Server, Subject};
use crate::setting::Scale;
use crate::streams::{self, STREAM};

/// That nothing expires while it is weighed.
const IN_AN_HOUR: &[&str] = &["EX", "3600"];

/// What is stored to be weighed.
#[derive(Clone, Copy)]
pub enum Stored {
    Keys {
        value: usize,
        expiring: bool,
    },
    List,
    ListsOfTen,
    /// In one.
    Collection(Collection),
    /// In collections of ten.
    OfTen(Collection),
    Stream,
    /// A hundredth as many, each with ten entries.
    StreamsOfTen,
    /// Beside what their entries take.
    Pending,
}

/// Bytes of resident memory for each key or element, or for each stream of ten.
pub fn memory(server: &Server, stored: Stored, scale: &Scale) -> Result<Run> {
    let mut connection = Connection::open(server.port)?;
    if let Stored::Pending = stored {
        streams::renew(&mut connection, scale.stored)?;
        streams::add_group(&mut connection, STREAM)?;
        pause(scale.settle_seconds);
    }
    let before = server.resident()?;
    let mut count = scale.stored;
    match stored {
        Stored::Keys { value, expiring } => {
            let expiry: &[&str] = if expiring { IN_AN_HOUR } else { &[] };
            connection.store(scale.stored, short_key, value, expiry)?;
        }
        Stored::List => fill_lists(&mut connection, scale.stored, 50, |_| "list".to_owned())?,
        Stored::ListsOfTen => {
            fill_lists(&mut connection, scale.stored, 10, |n| {
                format!("list:{n:07}")
            })?;
        }
        Stored::Collection(collection) => {
            collection.fill(&mut connection, "c", 0..scale.stored)?;
        }
        Stored::OfTen(collection) => {
            collection.fill_many(&mut connection, scale.stored / 10, 10)?;
        }
        Stored::Stream => streams::fill_many(&mut connection, 1, scale.stored)?,
        Stored::StreamsOfTen => {
            count = scale.stored / 100;
            streams::fill_many(&mut connection, count, 10)?;
        }
        Stored::Pending => streams::deliver(&mut connection, scale.stored)?,
    }
    pause(scale.settle_seconds);
    growth(server, before, count)
}

/// Bytes of resident memory for each client that has done one thing.
pub fn connections(server: &Server, subscribed: bool, scale: &Scale) -> Result<Run> {
    // The first makes the server allocate what all share.
    let _first = open(server, 1, subscribed)?;
    let before = server.resident()?;
    let _clients = open(server, scale.connections, subscribed)?;
    pause(scale.shrink_seconds);
    growth(server, before, scale.connections)
}

/// CPU seconds in ten seconds.
pub fn idle(server: &Server, scale: &Scale) -> Result<Run> {
    Connection::open(server.port)?.store(scale.stored, short_key, 3, IN_AN_HOUR)?;
    let _clients = open(server, scale.connections, false)?;
    pause(scale.shrink_seconds);
    let (began, before) = (Instant::now(), server.cpu()?);
    pause(scale.idle_seconds);
    let cpu = server.cpu()?.saturating_sub(before);
    Ok(Run {
        costs: vec![cpu.as_secs_f64() / began.elapsed().as_secs_f64() * 10.0],
        per_second: None,
    })
}

/// Milliseconds from before the process is made until it has answered a PING.
pub fn exec(subject: &Subject, scale: &Scale) -> Result<Run> {
    let start = |_| Ok(subject.start()?.start_took);
    milliseconds((0..scale.starts).map(start))
}

/// Milliseconds from nothing to a broker's PONG over TCP to nothing again.
pub fn broker(scale: &Scale) -> Result<Run> {
    let live = |_| {
        let began = Instant::now();
        let broker = Broker::start()?;
        let mut client = TcpStream::connect(broker.addr())?;
        client.write_all(b"PING\r\n")?;
        client.read_exact(&mut [0; 7])?;
        drop(broker);
        Ok(began.elapsed())
    };
    milliseconds((0..scale.brokers).map(live))
}

fn milliseconds(times: impl Iterator<Item = Result<Duration>>) -> Result<Run> {
    let times = times.map(|time| Ok(time?.as_secs_f64() * 1e3));
    Ok(Run {
        costs: vec![median(times.collect::<Result<Vec<f64>>>()?)],
        per_second: None,
    })
}

/// Elements of sixteen bytes, so many at a time.
fn fill_lists(
    connection: &mut Connection,
    elements: usize,
    at_once: usize,
    key: impl Fn(usize) -> String,
) -> Result<()> {
    connection.fill(elements / at_once, |n| {
        let elements = (0..at_once).map(|i| format!("{:07}-xxxxxxxx", n * at_once + i));
        let words = ["RPUSH".to_owned(), key(n)].into_iter().chain(elements);
        request(&words.collect::<Vec<_>>())
    })
}

/// Connections whose first request has been answered.
fn open(server: &Server, count: usize, subscribed: bool) -> Result<Clients> {
    let (first, reply) = match subscribed {
        true => (
            request(&["SUBSCRIBE", "channel"]),
            "*3\r\n$9\r\nsubscribe\r\n$7\r\nchannel\r\n:1\r\n",
        ),
        false => (request(&["PING"]), "+PONG\r\n"),
    };
    let mut clients = Clients::connect(server.port, count)?;
    for client in 0..count {
        clients.send(client, &first)?;
        let mut received = 0;
        while received < reply.len() {
            clients.receive(|_, bytes| received += bytes.len())?;
        }
    }
    Ok(clients)
}

fn pause(seconds: f64) {
    std::thread::sleep(Duration::from_secs_f64(seconds));
}

fn growth(server: &Server, before: usize, count: usize) -> Result<Run> {
    let grown = server.resident()?.saturating_sub(before);
    Ok(Run {
        costs: vec![grown as f64 / count as f64],
        per_second: None,
    })
}
