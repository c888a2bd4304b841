//! The rows of each pane, made from what is known.

use jiff::Timestamp;

use super::super::say::counted;
use super::board::{Board, Watched};
use super::contents::{Channel, Subject, clock};
use super::figures::{age, bytes, change, command, count, name, rate, took};
use super::keyspace::Stream;
use super::monitored::Kind;
use super::pane::Pane;
use super::server::Client;
use super::traffic::Traffic;

/// One row of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What tells it from the others, whatever its place.
    pub id: Vec<u8>,
    pub name: String,
    /// One text for each column of the pane, nothing where there is nothing to say.
    pub cells: Vec<String>,
    /// What it is sorted by, where it is sorted by size.
    pub size: u64,
    pub subject: Option<Subject>,
    /// Whether it is no thing of its own but belongs to another row, or stands for it.
    pub is_part: bool,
    /// Whether somebody should look at it.
    pub is_alarming: bool,
}

impl Row {
    fn new(id: &[u8], cells: Vec<String>) -> Row {
        Row {
            id: id.to_vec(),
            name: match id {
                [] => "\"\"".to_owned(),
                id => name(id),
            },
            cells,
            size: 0,
            subject: None,
            is_part: false,
            is_alarming: false,
        }
    }
}

/// The rows by name. `traffic` is what somebody monitors.
pub fn rows(pane: Pane, board: &Board, traffic: Option<&Traffic>) -> Vec<Row> {
    match pane {
        Pane::Channels => channels(board),
        Pane::Queues => queues(board),
        Pane::Streams => streams(board),
        Pane::Clients => board.clients.known.iter().map(client).collect(),
        Pane::Slow => slow(board),
        Pane::Commands => traffic.map(commands).unwrap_or_default(),
    }
}

/// Those that somebody subscribes to, those that something is published to, and who has patterns,
/// which no server tells.
fn channels(board: &Board) -> Vec<Row> {
    let subscribers = &board.channels.known.subscribers;
    let published = board.monitored.as_ref().map(|watched| &watched.published);
    let patterns = board.channels.known.patterns;
    let mut names: Vec<&Channel> = subscribers.keys().collect();
    names.extend(published.into_iter().flat_map(|published| published.keys()));
    names.sort_unstable();
    names.dedup();
    let channel = |channel: &Channel| {
        let subscribers = subscribers.get(channel).copied().unwrap_or(0);
        let counted = published.and_then(|published| published.get(channel));
        let cells = vec![
            count(subscribers),
            rate(counted.and_then(|(_, rate)| rate.per_second())),
            counted.map_or_else(String::new, |(messages, _)| count(*messages)),
        ];
        let plain = Row {
            size: subscribers,
            subject: Some(Subject::Channel(channel.clone())),
            // By patterns it may reach somebody.
            is_alarming: subscribers == 0 && (patterns == 0 || channel.is_of_shard),
            ..Row::new(&channel.name, cells)
        };
        match channel.is_of_shard {
            false => plain,
            true => Row {
                id: [&channel.name, &b"\0shard"[..]].concat(),
                name: format!("{} (of a shard)", plain.name),
                ..plain
            },
        }
    };
    let with_patterns = board
        .clients
        .known
        .iter()
        .filter(|client| client.patterns > 0);
    let patterns = with_patterns.map(|client| {
        let patterns = i64::try_from(client.patterns).unwrap_or(i64::MAX);
        Row {
            name: format!("{} ({})", called(client), counted(patterns, "pattern")),
            subject: Some(Subject::Client(client.id)),
            is_part: true,
            ..Row::new(
                format!("\0{}", client.id).as_bytes(),
                vec!["1".to_owned(), String::new(), String::new()],
            )
        }
    });
    let mut rows: Vec<Row> = names.into_iter().map(channel).collect();
    rows.extend(patterns);
    rows
}

fn queues(board: &Board) -> Vec<Row> {
    let watched = board.monitored.as_ref();
    let queue = |(key, length): (&Vec<u8>, &u64)| {
        let rates = board.queues.get(key);
        // More than what lies there cannot have been taken: what expired or was deleted was not
        // pushed later.
        let popped = rates.and_then(|queue| queue.popped.per_second());
        let cells = vec![
            count(*length),
            change(rates.and_then(|queue| queue.length.per_second())),
            rate(rates.and_then(|queue| queue.pushed.per_second())),
            rate(popped.map(|popped| popped.max(0.0))),
            waiting(watched, key, Kind::List),
        ];
        Row {
            size: *length,
            subject: Some(Subject::Queue(key.clone())),
            ..Row::new(key, cells)
        }
    };
    board.keys.known.queues.iter().map(queue).collect()
}

/// Each stream, and below it its groups.
fn streams(board: &Board) -> Vec<Row> {
    let mut rows = Vec::new();
    for (key, stream) in &board.keys.known.streams {
        let subject = Some(Subject::Stream(key.clone()));
        let added = board.added.get(key).and_then(|added| added.per_second());
        rows.push(Row {
            size: stream.length,
            subject: subject.clone(),
            ..Row::new(
                key,
                vec![
                    count(stream.length),
                    rate(added),
                    sum(stream),
                    String::new(),
                    waiting(board.monitored.as_ref(), key, Kind::Stream),
                    String::new(),
                ],
            )
        });
        for group in &stream.groups {
            let id = [key, &b"\0"[..], &group.name].concat();
            let cells = vec![
                String::new(),
                String::new(),
                count(group.pending),
                group.lag.map_or_else(|| "?".to_owned(), count),
                String::new(),
                count(group.consumers),
            ];
            rows.push(Row {
                name: format!("  {}", name(&group.name)),
                // It stays below its stream.
                size: stream.length,
                subject: subject.clone(),
                is_part: true,
                is_alarming: group.consumers == 0 && group.lag.is_some_and(|lag| lag > 0),
                ..Row::new(&id, cells)
            });
        }
    }
    rows
}

/// How many clients wait for a key: `2+` are two and maybe more, `?` is anything.
fn waiting(watched: Option<&Watched>, key: &[u8], kind: Kind) -> String {
    match watched.map(|watched| watched.waiting(key, kind)) {
        None => String::new(),
        Some((0, true)) => "?".to_owned(),
        Some((known, true)) => format!("{}+", count(known)),
        Some((known, false)) => count(known),
    }
}

fn sum(stream: &Stream) -> String {
    match &stream.groups[..] {
        [] => String::new(),
        groups => count(groups.iter().map(|group| group.pending).sum()),
    }
}

/// The name of a client, or its number if it has none.
fn called(client: &Client) -> String {
    match &*client.name {
        "" => format!("#{}", client.id),
        given => name(given.as_bytes()),
    }
}

fn client(client: &Client) -> Row {
    let blocked = if client.is_blocked { "*" } else { "" };
    let cells = vec![
        name(client.command.as_bytes()) + blocked,
        age(client.idle),
        age(client.age),
        bytes(client.memory),
        name(client.address.as_bytes()),
    ];
    Row {
        name: called(client),
        size: client.memory,
        subject: Some(Subject::Client(client.id)),
        ..Row::new(client.id.to_string().as_bytes(), cells)
    }
}

/// The newest first, as the server has them.
fn slow(board: &Board) -> Vec<Row> {
    let slow = board.slow.known.iter().map(|slow| {
        let at = Timestamp::from_second(slow.at).map(clock);
        let cells = vec![
            took(slow.took),
            at.unwrap_or_default().chars().take(8).collect(),
            name(slow.client.as_bytes()),
        ];
        Row {
            name: command(&slow.arguments),
            size: u64::try_from(slow.took.as_micros()).unwrap_or(u64::MAX),
            subject: Some(Subject::Slow(slow.id)),
            ..Row::new(slow.id.to_string().as_bytes(), cells)
        }
    });
    slow.collect()
}

/// The newest first.
fn commands(traffic: &Traffic) -> Vec<Row> {
    let row = |(number, monitored): &(u64, _)| {
        let super::monitored::Monitored {
            at,
            client,
            arguments,
            ..
        } = monitored;
        let at = Timestamp::from_microsecond((at * 1e6) as i64).map(clock);
        let cells = vec![at.unwrap_or_default(), name(client.as_bytes())];
        Row {
            name: command(arguments),
            subject: Some(Subject::Command(*number)),
            ..Row::new(number.to_string().as_bytes(), cells)
        }
    };
    traffic.last.iter().rev().map(row).collect()
}
