//! Loads that redis-benchmark cannot make: transactions, and what passes from
//! one client to another.

use std::time::{Duration, Instant};

use crate::clients::{CONNECTIONS, Clients, Connection, count_lines, request};
use crate::figures::median;
use crate::result::Result;
use crate::run::{Meter, Run};
use crate::server::Server;
use crate::streams;

/// Each connection has one transaction of ten SETs under way. CPU and rate are
/// per transaction.
pub fn transactions(server: &Server, keys: usize, time: Duration) -> Result<Run> {
    const SETS: usize = 10;
    let mut rng = fastrand::Rng::with_seed(1);
    let prepared: Vec<Vec<u8>> = (0..4096)
        .map(|_| {
            let mut requests = request(&["MULTI"]);
            for _ in 0..SETS {
                let key = format!("key:{:012}", rng.usize(..keys));
                requests.extend_from_slice(&request(&["SET", &key, "xxx"]));
            }
            requests.extend_from_slice(&request(&["EXEC"]));
            requests
        })
        .collect();
    let mut next = prepared.iter().cycle();
    let reply = "+OK\r\n".len() * (1 + SETS) + "+QUEUED\r\n".len() * SETS + "*10\r\n".len();
    let mut clients = Clients::connect(server.port, CONNECTIONS)?;
    let mut received = [0; CONNECTIONS];
    let mut idle: Vec<usize> = (0..CONNECTIONS).collect();
    let (mut sent, mut done) = (0, 0);
    let meter = Meter::start(server)?;
    loop {
        if meter.elapsed() < time {
            for client in idle.drain(..) {
                clients.send(client, next.next().ok_or("a cycle has no end")?)?;
                sent += 1;
            }
        } else if done == sent {
            return meter.stop(done);
        }
        clients.receive(|client, bytes| {
            received[client] += bytes.len();
            if received[client] == reply {
                received[client] = 0;
                idle.push(client);
                done += 1;
            }
        })?;
    }
}

/// One publisher in pipelined bursts of 32-byte messages. CPU and rate are per
/// delivery, or per PUBLISH if nobody listens.
pub fn publish(server: &Server, subscribers: usize, time: Duration) -> Result<Run> {
    const PUBLISHER: usize = 0;
    let message = "x".repeat(32);
    let publish = request(&["PUBLISH", "channel", &message]);
    let delivery = request(&["message", "channel", &message]).len();
    let subscribed = "*3\r\n$9\r\nsubscribe\r\n$7\r\nchannel\r\n:1\r\n".len();
    let reply = format!(":{subscribers}\r\n").len();
    // Enough under way to keep everybody busy, not so much that a burst to a
    // thousand subscribers waits in buffers.
    let window = (4096 / subscribers.max(1)).clamp(2, 64);
    let bursts = publish.repeat(window);
    let mut clients = Clients::connect(server.port, 1 + subscribers)?;
    for subscriber in 1..=subscribers {
        clients.send(subscriber, &request(&["SUBSCRIBE", "channel"]))?;
    }
    let mut confirmed = 0;
    while confirmed < subscribers * subscribed {
        clients.receive(|_, bytes| confirmed += bytes.len())?;
    }
    let (mut sent, mut replies, mut deliveries) = (0, 0, 0);
    let meter = Meter::start(server)?;
    loop {
        // With all that subscribers are to get of them.
        let delivered = (deliveries / delivery).checked_div(subscribers);
        let arrived = (replies / reply).min(delivered.unwrap_or(usize::MAX));
        if meter.elapsed() < time {
            let room = window - (sent - arrived);
            // Not message by message: a burst is to arrive as one.
            if room * 2 >= window {
                clients.send(PUBLISHER, &bursts[..room * publish.len()])?;
                sent += room;
            }
        } else if arrived == sent {
            return meter.stop(sent * subscribers.max(1));
        }
        clients.receive(|client, bytes| match client {
            PUBLISHER => replies += bytes.len(),
            _ => deliveries += bytes.len(),
        })?;
    }
}

/// Through what items pass from producers to consumers.
#[derive(Clone, Copy)]
pub enum Through {
    /// LPUSH and BLPOP.
    List,
    /// XADD and XREADGROUP, which waits. A consumer acknowledges an entry in the
    /// same write in which it asks for the next one.
    Group,
}

impl Through {
    /// Makes it empty.
    fn renew(self, connection: &mut Connection) -> Result<()> {
        connection.fill(1, |_| request(&["DEL", "queue"]))?;
        match self {
            Through::List => Ok(()),
            Through::Group => streams::add_group(connection, "queue"),
        }
    }

    /// What a producer sends.
    fn put(self, item: &str) -> Vec<u8> {
        match self {
            Through::List => request(&["LPUSH", "queue", item]),
            Through::Group => request(&["XADD", "queue", "*", "field", item]),
        }
    }

    /// How many lines answer that.
    fn put_lines(self) -> usize {
        match self {
            Through::List => 1,
            Through::Group => streams::ADDED_LINES,
        }
    }

    /// What a consumer sends that was answered with this before, or nothing.
    fn take(self, consumer: usize, answer: &[u8]) -> Vec<u8> {
        if let Through::List = self {
            return request(&["BLPOP", "queue", "0"]);
        }
        // Behind the line that answers XACK. No entry has the first id.
        let line = answer.split(|byte| *byte == b'\n');
        let id = line.clone().nth(1 + streams::FIRST_ID_LINE);
        let id = id.map_or(&b"0-1"[..], |id| id.trim_ascii_end());
        let consumer = format!("consumer:{consumer}");
        let read = "XREADGROUP GROUP group $consumer COUNT 1 BLOCK 0 STREAMS queue >";
        let read = read.replace("$consumer", &consumer);
        let mut requests = request(&[b"XACK", &b"queue"[..], b"group", id]);
        requests.extend_from_slice(&request(&read.split(' ').collect::<Vec<_>>()));
        requests
    }

    /// How many lines answer that.
    fn taken_lines(self) -> usize {
        match self {
            // The list and the item, each behind its length.
            Through::List => 5,
            Through::Group => 1 + streams::read_lines(1),
        }
    }
}

/// From before an item is sent until a consumer that waited for it has it, and
/// CPU per item.
pub fn wake(server: &Server, through: Through, time: Duration) -> Result<Run> {
    let mut producer = Connection::open(server.port)?;
    let mut consumer = Connection::open(server.port)?;
    through.renew(&mut producer)?;
    let put = through.put(&"x".repeat(20));
    let mut latencies = Vec::new();
    let mut answer = Vec::new();
    let meter = Meter::start(server)?;
    while meter.elapsed() < time {
        consumer.send(&through.take(0, &answer))?;
        // Nothing tells when it waits; it takes a few dozen microseconds. The
        // pause also lets all fall asleep, which is what a wake-up begins with.
        std::thread::sleep(Duration::from_micros(300));
        answer.clear();
        let began = Instant::now();
        producer.send(&put)?;
        while count_lines(&answer) < through.taken_lines() {
            answer.extend_from_slice(consumer.receive_some()?);
        }
        latencies.push(began.elapsed().as_secs_f64() * 1e6);
        producer.receive_lines(through.put_lines())?;
    }
    let cpu = meter.stop(latencies.len())?.costs;
    Ok(Run {
        costs: [vec![median(latencies)], cpu].concat(),
        per_second: None,
    })
}

/// Producers that have put one item each that is not acknowledged yet, and as
/// many consumers that take one each. CPU and rate are per item.
pub fn queue(server: &Server, through: Through, pairs: usize, time: Duration) -> Result<Run> {
    // Producers pause here, or a server that serves them first would only
    // store items.
    const LONGEST: usize = 1_000;
    through.renew(&mut Connection::open(server.port)?)?;
    let put = through.put(&"x".repeat(16));
    // The first half of the clients produces, the second consumes.
    let mut clients = Clients::connect(server.port, 2 * pairs)?;
    let mut answers = vec![Vec::new(); 2 * pairs];
    let mut idle: Vec<usize> = (0..2 * pairs).collect();
    let (mut sent, mut acknowledged, mut taken) = (0, 0, 0);
    let meter = Meter::start(server)?;
    loop {
        let in_time = meter.elapsed() < time;
        let mut still_idle = Vec::new();
        for client in idle.drain(..) {
            if client >= pairs {
                clients.send(client, &through.take(client, &answers[client]))?;
                answers[client].clear();
            } else if in_time && sent - taken < LONGEST {
                clients.send(client, &put)?;
                sent += 1;
            } else {
                still_idle.push(client);
            }
        }
        idle = still_idle;
        if !in_time && acknowledged == sent && taken == sent {
            return meter.stop(taken);
        }
        clients.receive(|client, bytes| {
            let answer = &mut answers[client];
            answer.extend_from_slice(bytes);
            if client < pairs && count_lines(answer) == through.put_lines() {
                answer.clear();
                acknowledged += 1;
                idle.push(client);
            } else if client >= pairs && count_lines(answer) == through.taken_lines() {
                taken += 1;
                idle.push(client);
            }
        })?;
    }
}
