//! The thread that asks the server: once in a while for everything, and at once for what the user
//! wants. However slow the server is, it keeps only this thread waiting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use respd::resp::value::Value;

use super::super::client::Connection;
use super::super::error::Error;
use super::super::retry::Backoff;
use super::super::say::counted;
use super::super::target::Target;
use super::ask::{ask, integer, refusal};
use super::contents::{Channel, Content, Look, Window};
use super::keyspace::{Keys, Keyspace};
use super::listen::NAME;
use super::monitored::Kind;
use super::server::{Client, Others, Server, Slow};
use super::traffic::{Shared, Traffic};

/// When a server that does not answer counts as gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Beyond so many channels or clients, they are asked for once in so many rounds only.
const MANY: u64 = 1000;
const SELDOM: u64 = 10;

/// The most channels whose subscribers are counted.
const MOST_CHANNELS: usize = 1000;

/// What the user wants of the server.
#[derive(Debug, PartialEq)]
pub enum Request {
    /// To see what is in a row, or in none any more.
    Look(Option<Look>),
    Publish(Channel, Vec<u8>),
    Push(Vec<u8>, Vec<u8>),
    /// Not to be asked anything, or again.
    Pause(bool),
}

/// What the thread has to say.
pub enum News {
    Sample(Box<Sample>),
    Contents(Look, Result<Vec<Content>, String>),
    /// The broker went away, and why.
    Away(String),
    Back,
    /// A wish has come true, or not.
    Done(String),
    Refused(String),
    /// It will not come back.
    Failed(Error),
}

/// A part of a sample, or the server's words when it refused.
pub type Part<T> = Result<T, String>;

/// The server at one time.
pub struct Sample {
    pub at: Instant,
    pub server: Part<Server>,
    /// Between the round before and this one.
    pub others: Option<Others>,
    /// `None` if they are so many that they were not asked for this time; the clients, too.
    pub channels: Option<Part<Channels>>,
    pub clients: Option<Part<Vec<Client>>>,
    pub keys: Part<Keys>,
    pub slow: Part<Vec<Slow>>,
}

/// Channels with their subscribers.
#[derive(Clone, Debug, Default)]
pub struct Channels {
    pub subscribers: BTreeMap<Channel, u64>,
    pub patterns: u64,
    /// How many more there are.
    pub more: usize,
}

pub struct Sampler {
    target: Target,
    interval: Duration,
    traffic: Arc<Shared<Traffic>>,
    keyspace: Keyspace,
    window: Option<Window>,
    /// When we asked for something last, and what INFO said then.
    rested: Option<(Instant, Server)>,
    rounds: u64,
    is_paused: bool,
}

impl Sampler {
    pub fn new(target: Target, interval: Duration, traffic: Arc<Shared<Traffic>>) -> Sampler {
        Sampler {
            target,
            interval,
            traffic,
            keyspace: Keyspace::new(),
            window: None,
            rested: None,
            rounds: 0,
            is_paused: false,
        }
    }

    /// Works until nobody asks any more.
    pub fn run<E: From<News>>(
        mut self,
        connection: Connection,
        requests: &Receiver<Request>,
        news: &Sender<E>,
    ) {
        let mut connection = Some(connection);
        let mut backoff = Backoff::new(fastrand::Rng::new());
        // Nobody hears what is said after the end.
        let tell = |told: News| {
            let _ = news.send(told.into());
        };
        loop {
            let outcome = match &mut connection {
                Some(connection) => self.work(connection, requests, &tell),
                None => self.come_back(&mut backoff, requests, &tell).map(|back| {
                    connection = back;
                    connection.is_some()
                }),
            };
            match outcome {
                Ok(true) => {}
                Ok(false) => return,
                Err(failure) if failure.is_transient() => {
                    connection = None;
                    backoff = Backoff::new(fastrand::Rng::new());
                    tell(News::Away(failure.to_string()));
                }
                Err(failure) => return tell(News::Failed(failure)),
            }
        }
    }

    /// Answers requests and samples in between, until nobody asks any more, which it says by
    /// `false`, or the connection fails.
    fn work(
        &mut self,
        connection: &mut Connection,
        requests: &Receiver<Request>,
        tell: &impl Fn(News),
    ) -> Result<bool, Error> {
        connection.set_patience(Some(PATIENCE))?;
        // What is looked at must not seem to be in use, which Redis knows to avoid since 7.2.
        ask(
            connection,
            &[
                vec![b"CLIENT".as_slice(), b"SETNAME", NAME.as_bytes()],
                vec![b"CLIENT".as_slice(), b"NO-TOUCH", b"ON"],
            ],
        )?;
        self.rested = None;
        let mut next = Instant::now();
        loop {
            let wait = match self.is_paused {
                true => Duration::MAX,
                false => next.saturating_duration_since(Instant::now()),
            };
            match requests.recv_timeout(wait) {
                Ok(request) => {
                    self.answer(request, connection, tell)?;
                    self.rest(connection)?;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(false),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let sample = self.sample(connection)?;
            tell(News::Sample(Box::new(sample)));
            self.look(connection, tell)?;
            self.rest(connection)?;
            // From the end of the round on, so that a slow server gets its rest.
            next = Instant::now() + self.interval;
        }
    }

    /// Connects again, however long it takes; `None` if nobody asks any more.
    fn come_back(
        &mut self,
        backoff: &mut Backoff,
        requests: &Receiver<Request>,
        tell: &impl Fn(News),
    ) -> Result<Option<Connection>, Error> {
        let mut next = Instant::now() + backoff.next_delay();
        loop {
            let wait = next.saturating_duration_since(Instant::now());
            match requests.recv_timeout(wait) {
                Ok(Request::Look(look)) => self.window = look.map(Window::of),
                Ok(Request::Pause(pause)) => self.is_paused = pause,
                Ok(Request::Publish(..) | Request::Push(..)) => {
                    tell(News::Refused("not sent: the broker is away".to_owned()));
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {
                    match Connection::open(&self.target) {
                        Ok(connection) => {
                            tell(News::Back);
                            return Ok(Some(connection));
                        }
                        Err(error) if error.is_transient() => {}
                        Err(error) => return Err(error),
                    }
                    next = Instant::now() + backoff.next_delay();
                }
            }
        }
    }

    fn answer(
        &mut self,
        request: Request,
        connection: &mut Connection,
        tell: &impl Fn(News),
    ) -> Result<(), Error> {
        let (command, name, body) = match &request {
            Request::Look(look) => {
                self.window = look.clone().map(Window::of);
                return self.look(connection, tell);
            }
            Request::Pause(pause) => {
                self.is_paused = *pause;
                return Ok(());
            }
            Request::Publish(channel, message) => match channel.is_of_shard {
                true => (b"SPUBLISH".as_slice(), &channel.name, message),
                false => (b"PUBLISH".as_slice(), &channel.name, message),
            },
            Request::Push(key, item) => (b"LPUSH".as_slice(), key, item),
        };
        // The user's own, which MONITOR is to show.
        connection.queue(&[command, name, body]);
        connection.flush()?;
        let reply = connection.receive()?;
        tell(match (&request, integer(&reply)) {
            (Request::Publish(..), Some(count)) => {
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                let subscribers = counted(count, "subscriber");
                News::Done(format!("published: handed to {subscribers}"))
            }
            (_, Some(length)) => {
                let length = i64::try_from(length).unwrap_or(i64::MAX);
                News::Done(format!("pushed: it holds {}", counted(length, "item")))
            }
            (_, None) => News::Refused(refusal(&reply)),
        });
        self.look(connection, tell)
    }

    fn look(&mut self, connection: &mut Connection, tell: &impl Fn(News)) -> Result<(), Error> {
        if let Some(window) = &mut self.window
            && let Some(contents) = window.contents(connection)?
        {
            tell(News::Contents(window.look.clone(), contents));
        }
        Ok(())
    }

    /// Notes the end of what we ask for, so that it is not taken for what others do.
    fn rest(&mut self, connection: &mut Connection) -> Result<(), Error> {
        let info = ask(connection, &[[b"INFO".as_slice(), b"stats"]])?.remove(0);
        let server = info
            .as_bytes()
            .map(|info| Server::parse(info, self.target.database));
        self.rested = server.map(|server| (Instant::now(), server));
        Ok(())
    }

    fn sample(&mut self, connection: &mut Connection) -> Result<Sample, Error> {
        let seldom = self.rounds.is_multiple_of(SELDOM);
        self.rounds += 1;
        let replies = ask(
            connection,
            &[
                vec![b"INFO".as_slice()],
                vec![b"SLOWLOG".as_slice(), b"GET", b"100"],
            ],
        )?;
        // The same moment as INFO's numbers.
        let at = Instant::now();
        let server = read(&replies[0], |info| {
            Some(Server::parse(info.as_bytes()?, self.target.database))
        });
        let slow = read(&replies[1], |log| Some(Slow::parse_list(log)));
        let known = server.as_ref().ok();
        let others = known
            .zip(self.rested.take())
            .and_then(|(server, (then, before))| {
                server.since(&before, at.saturating_duration_since(then))
            });
        let are_many = |count: Option<u64>| count.is_some_and(|count| count > MANY);

        let clients = if seldom || !are_many(known.map(|server| server.clients)) {
            let list = ask(connection, &[[b"CLIENT".as_slice(), b"LIST"]])?.remove(0);
            Some(read(&list, |list| {
                Some(Client::parse_list(list.as_bytes()?))
            }))
        } else {
            None
        };
        self.hear_of_queues();
        let channels = if seldom || !are_many(known.map(|server| server.channels)) {
            let has_shards = known.is_some_and(|server| server.shard_channels > 0);
            Some(channels(connection, has_shards)?)
        } else {
            None
        };
        let keys = known.map_or(0, |server| server.keys);
        let keys = self.keyspace.round(connection, keys)?;
        Ok(Sample {
            at,
            server,
            others,
            channels,
            clients,
            keys,
            slow,
        })
    }

    /// Learns of queues from those who watch the traffic.
    fn hear_of_queues(&mut self) {
        let traffic = self.traffic.lock();
        let waits = traffic.waiting.values();
        let waited_for = waits
            .filter(|wait| wait.kind == Kind::List)
            .flat_map(|wait| &wait.keys);
        for key in traffic.pushed.keys().chain(waited_for) {
            self.keyspace.hear_of(key);
        }
    }
}

fn read<T>(reply: &Value, read: impl Fn(&Value) -> Option<T>) -> Part<T> {
    match reply {
        Value::Error(_) => Err(refusal(reply)),
        value => read(value).ok_or_else(|| refusal(reply)),
    }
}

fn channels(connection: &mut Connection, has_shards: bool) -> Result<Part<Channels>, Error> {
    let about = |what: &'static [u8]| [b"PUBSUB".as_slice(), what];
    let mut commands = vec![about(b"CHANNELS"), about(b"NUMPAT")];
    if has_shards {
        commands.push(about(b"SHARDCHANNELS"));
    }
    let replies = ask(connection, &commands)?;
    let Value::Array(names) = &replies[0] else {
        return Ok(Err(refusal(&replies[0])));
    };
    let names = names.iter().filter_map(Value::as_bytes);
    let mut names: Vec<Channel> = names.map(Channel::plain).collect();
    if let Some(Value::Array(of_shards)) = replies.get(2) {
        let of_shards = of_shards.iter().filter_map(Value::as_bytes);
        names.extend(of_shards.map(Channel::of_shard));
    }
    let mut channels = Channels {
        patterns: integer(&replies[1]).unwrap_or(0),
        more: names.len().saturating_sub(MOST_CHANNELS),
        ..Channels::default()
    };
    // The same ones each time.
    names.sort_unstable();
    names.truncate(MOST_CHANNELS);
    for (is_of_shard, what) in [(false, about(b"NUMSUB")), (true, about(b"SHARDNUMSUB"))] {
        let names = names.iter().filter(|of| of.is_of_shard == is_of_shard);
        let mut command = what.to_vec();
        command.extend(names.map(|channel| &*channel.name));
        if command.len() == what.len() {
            continue;
        }
        let reply = ask(connection, &[command])?.remove(0);
        let Value::Array(counts) = &reply else {
            return Ok(Err(refusal(&reply)));
        };
        for pair in counts.chunks_exact(2) {
            let name = pair[0].as_bytes().unwrap_or_default().to_vec();
            let count = integer(&pair[1]).unwrap_or(0);
            let channel = Channel { name, is_of_shard };
            channels.subscribers.insert(channel, count);
        }
    }
    Ok(Ok(channels))
}
