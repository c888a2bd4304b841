//! What a client waits while the server keeps house.
//!
//! One client sends GETs, one at a time, and notes how long each takes, while
//! something ends that the server has to clear away, or grows that it has to
//! make room for. What the client waits while nothing else happens, or while
//! another one only reads, are rows of their own: clients and server share the
//! machine's cores, and some of the longest waits are the scheduler's.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::clients::{Connection, request, short_key};
use crate::figures::quantile;
use crate::result::Result;
use crate::run::Run;
use crate::server::Server;
use crate::setting::Scale;

/// How long a server may take to store what is to expire, and to remove it.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often pipelines come back to the same key.
pub const PASSES: usize = 3;

/// What happens while the client waits for its replies.
#[derive(Clone, Copy)]
pub enum Stall {
    Nothing,
    /// Many keys expire, all at one moment.
    Expiry,
    /// So many clients leave at once, each of which watches keys of its own.
    Watchers(usize),
    /// A client leaves that has subscribed to many channels.
    Subscriber,
    /// Another client sends this command in pipelines, for one `$key` after the
    /// other, and then again: what a server has noted of a key's first expiry
    /// is stale by the second.
    Pipelines(&'static str),
}

/// The median of the waits, what one in a thousand exceeds, and the longest.
pub fn stall(server: &Server, stall: Stall, scale: &Scale) -> Result<Run> {
    let [short, long] = [scale.seconds, scale.idle_seconds].map(Duration::from_secs_f64);
    match stall {
        // As long as keys take to expire: the longer a run is, the more it meets
        // of what the machine does besides.
        Stall::Nothing => leave(server, Vec::new(), long),
        Stall::Expiry => expiry(server, scale.expiring),
        Stall::Watchers(count) => {
            let watchers = (0..count).map(|client| watcher(server, client, scale.watched));
            leave(server, watchers.collect::<Result<_>>()?, short)
        }
        Stall::Subscriber => leave(server, vec![subscriber(server, scale.watched)?], short),
        Stall::Pipelines(words) => pipelines(server, words, scale.stored),
    }
}

/// Sends GETs until what happens meanwhile has come to its end.
fn waits(server: &Server, meanwhile: impl FnOnce() -> Result<()> + Send) -> Result<Run> {
    let mut client = Connection::open(server.port)?;
    client.fill(1, |_| request(&["SET", "present", "xxx"]))?;
    let (get, reply) = (request(&["GET", "present"]), "$3\r\nxxx\r\n".len());
    let mut waits = Vec::new();
    thread::scope(|scope| {
        let meanwhile = scope.spawn(meanwhile);
        while waits.is_empty() || !meanwhile.is_finished() {
            let began = Instant::now();
            client.send(&get)?;
            client.receive(reply)?;
            waits.push(began.elapsed().as_secs_f64());
        }
        meanwhile.join().map_err(|_| "the other client panicked")?
    })?;
    waits.sort_by(f64::total_cmp);
    Ok(Run {
        costs: vec![
            quantile(&waits, 0.5) * 1e6,
            quantile(&waits, 0.999) * 1e6,
            quantile(&waits, 1.0) * 1e3,
        ],
        per_second: None,
    })
}

/// From when the keys are due until the last one is gone.
fn expiry(server: &Server, keys: usize) -> Result<Run> {
    let mut connection = Connection::open(server.port)?;
    let due = store_until(&mut connection, keys)?;
    // The client has to be at work by then.
    let pause = due.duration_since(SystemTime::now()).unwrap_or_default();
    thread::sleep(pause.saturating_sub(Duration::from_millis(50)));
    waits(server, move || {
        let began = Instant::now();
        // The key that the client gets stays.
        while connection.ask_number(&request(&["DBSIZE"]))? > 1 {
            if began.elapsed() > PATIENCE {
                return Err("not all keys have expired".into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    })
}

/// Stores keys that are due at one moment, which is still to come, and answers
/// when that is.
fn store_until(connection: &mut Connection, keys: usize) -> Result<SystemTime> {
    // A few tell how long all of them may take: servers differ by a lot, and
    // become slower as they fill up.
    let began = Instant::now();
    connection.store(keys / 50, short_key, 3, &[])?;
    let mut lead = began.elapsed() * 50 * 2;
    while lead < PATIENCE {
        let due = SystemTime::now() + lead;
        let milliseconds = due.duration_since(UNIX_EPOCH)?.as_millis().to_string();
        connection.store(keys, short_key, 3, &["PXAT", &milliseconds])?;
        if SystemTime::now() < due {
            return Ok(due);
        }
        // Too late: all again, with more time.
        lead *= 2;
    }
    Err("it takes too long to store so many keys".into())
}

/// While these clients leave, and for some time after.
fn leave(server: &Server, leavers: Vec<Connection>, time: Duration) -> Result<Run> {
    waits(server, move || {
        drop(leavers);
        thread::sleep(time);
        Ok(())
    })
}

/// A client that watches keys that no other one watches.
fn watcher(server: &Server, client: usize, keys: usize) -> Result<Connection> {
    let mut connection = Connection::open(server.port)?;
    connection.fill(keys, |n| {
        request(&["WATCH", &format!("key:{client}:{n:07}")])
    })?;
    Ok(connection)
}

fn subscriber(server: &Server, channels: usize) -> Result<Connection> {
    let mut connection = Connection::open(server.port)?;
    for n in 0..channels {
        connection.send(&request(&["SUBSCRIBE", &format!("channel:{n:07}")]))?;
        // An array of three, each of the two strings after its length, a number.
        connection.receive_lines(6)?;
    }
    Ok(connection)
}

fn pipelines(server: &Server, words: &str, keys: usize) -> Result<Run> {
    let mut connection = Connection::open(server.port)?;
    connection.store(keys, short_key, 3, &[])?;
    waits(server, move || {
        connection.fill(PASSES * keys, |n| {
            let key = short_key(n % keys);
            let words = words.split(' ').map(|word| word.replace("$key", &key));
            request(&words.collect::<Vec<_>>())
        })
    })
}
