//! Streams: how they are filled, and a group of consumers that reads one.

use std::time::Duration;

use crate::clients::{CONNECTIONS, Clients, Connection, count_lines, request};
use crate::result::Result;
use crate::run::{Meter, Run};
use crate::server::Server;

/// The stream that loads use.
pub const STREAM: &str = "stream";

/// So many entries a consumer reads and acknowledges at once.
const AT_ONCE: usize = 10;

/// Lines that answer XADD: an id behind its length.
pub const ADDED_LINES: usize = 2;

/// Lines that answer XREADGROUP with so many entries: the stream, and of each
/// entry its id, its field and its value, each behind its length.
pub const fn read_lines(entries: usize) -> usize {
    5 + 8 * entries
}

/// Which line of that is the id of the first one.
pub const FIRST_ID_LINE: usize = 7;

/// Ids begin here, to be as long as those that are made of the time.
const FIRST_MS: usize = 1_700_000_000_000;

fn id(n: usize) -> String {
    format!("{}-0", FIRST_MS + n)
}

/// An entry with one small field.
fn add(key: &str, id: &str) -> Vec<u8> {
    request(&["XADD", key, id, "field", "xxxxxxxxxxxxxxxx"])
}

/// Makes [`STREAM`] one of so many entries, whose ids ascend by a millisecond
/// from 1700000000000 on.
pub fn renew(connection: &mut Connection, entries: usize) -> Result<()> {
    connection.fill(1, |_| request(&["DEL", STREAM]))?;
    connection.fill_by_lines(entries, ADDED_LINES, |n| add(STREAM, &id(n)))
}

/// Adds entries to streams of so many, with the ids that the server gives.
pub fn fill_many(connection: &mut Connection, streams: usize, entries: usize) -> Result<()> {
    connection.fill_by_lines(streams * entries, ADDED_LINES, |n| {
        add(&format!("key:{:08}", n / entries), "*")
    })
}

/// Makes a group that reads a stream from its beginning, and the stream if it is
/// missing.
pub fn add_group(connection: &mut Connection, key: &str) -> Result<()> {
    let create = request(&["XGROUP", "CREATE", key, "group", "0", "MKSTREAM"]);
    connection.fill(1, |_| create.clone())
}

/// Has all entries of [`STREAM`] be pending, ten at each of ten consumers by
/// turns.
pub fn deliver(connection: &mut Connection, entries: usize) -> Result<()> {
    let lines = read_lines(AT_ONCE);
    connection.fill_by_lines(entries / AT_ONCE, lines, |n| read_some(n % 10))
}

/// A consumer reads the next entries.
fn read_some(consumer: usize) -> Vec<u8> {
    let (consumer, count) = (format!("consumer:{consumer}"), AT_ONCE.to_string());
    request(&[
        "XREADGROUP",
        "GROUP",
        "group",
        &consumer,
        "COUNT",
        &count,
        "STREAMS",
        STREAM,
        ">",
    ])
}

/// Each connection is a consumer of one group that reads ten entries and then
/// acknowledges them, request by request. CPU and rate are per entry.
pub fn work(server: &Server, entries: usize, time: Duration) -> Result<Run> {
    let batches = entries / AT_ONCE;
    let mut connection = Connection::open(server.port)?;
    renew(&mut connection, entries)?;
    add_group(&mut connection, STREAM)?;
    let rewind = ["XGROUP", "SETID", STREAM, "group", "0", "ENTRIESREAD", "0"];
    let rewind = request(&rewind);
    let reads: Vec<Vec<u8>> = (0..CONNECTIONS).map(read_some).collect();
    let acks: Vec<Vec<u8>> = (0..batches)
        .map(|batch| {
            let ids = (0..AT_ONCE).map(|at| id(batch * AT_ONCE + at));
            let words = ["XACK", STREAM, "group"].map(str::to_owned).into_iter();
            request(&words.chain(ids).collect::<Vec<_>>())
        })
        .collect();
    let mut clients = Clients::connect(server.port, CONNECTIONS)?;
    let mut replies = vec![Vec::new(); CONNECTIONS];
    // What each has read and is to acknowledge.
    let mut in_hand: Vec<Option<usize>> = vec![None; CONNECTIONS];
    let mut done = 0;
    let meter = Meter::start(server)?;
    while done == 0 || meter.elapsed() < time {
        connection.fill(1, |_| rewind.clone())?;
        let (mut to_read, mut to_acknowledge) = (batches, batches);
        let mut ready: Vec<usize> = (0..CONNECTIONS).collect();
        loop {
            for client in ready.drain(..) {
                let reply = std::mem::take(&mut replies[client]);
                to_acknowledge -= usize::from(in_hand[client].is_some());
                in_hand[client] = match in_hand[client] {
                    None if !reply.is_empty() => Some(first_entry(&reply)? / AT_ONCE),
                    _ => None,
                };
                if let Some(batch) = in_hand[client] {
                    clients.send(client, &acks[batch])?;
                } else if to_read > 0 {
                    to_read -= 1;
                    clients.send(client, &reads[client])?;
                }
            }
            if to_acknowledge == 0 {
                break;
            }
            clients.receive(|client, bytes| {
                replies[client].extend_from_slice(bytes);
                let lines = match in_hand[client] {
                    None => read_lines(AT_ONCE),
                    Some(_) => 1,
                };
                if count_lines(&replies[client]) == lines {
                    ready.push(client);
                }
            })?;
        }
        done += batches * AT_ONCE;
    }
    meter.stop(done)
}

/// Which entry of [`STREAM`] is the first in what XREADGROUP replies.
fn first_entry(reply: &[u8]) -> Result<usize> {
    let line = reply.split(|byte| *byte == b'\n').nth(FIRST_ID_LINE);
    let id = str::from_utf8(line.unwrap_or_default())?;
    let (ms, _) = id.split_once('-').ok_or("no id")?;
    Ok(ms.parse::<usize>()? - FIRST_MS)
}
