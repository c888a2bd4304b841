//! A server as a cache that has less memory than there is to keep.

use std::thread;
use std::time::{Duration, Instant};

use crate::clients::{Connection, request, short_key};
use crate::result::Result;
use crate::run::Run;
use crate::server::Server;
use crate::setting::Scale;

/// Bytes of a value.
const VALUE: usize = 300;

/// So many GETs are on their way together.
const PIPELINE: usize = 50;

/// A limit below this, as a small test has it, leaves no room for clients.
const LEAST: usize = 6 << 20;

/// Has a server keep no more than it holds by now, and evict by this policy.
///
/// What a limit leaves room for is told by what a server needs for a number of
/// keys, as it counts that itself, rather than by bytes: so both servers of a row
/// keep about as many keys, and what differs is what it costs to choose those
/// that go, and how well they are chosen. That one needs less memory for a key
/// than the other is told by the rows of memory.
pub fn limit(connection: &mut Connection, policy: &str, scale: &Scale) -> Result<()> {
    // A table of keys that grows is counted twice for some time.
    thread::sleep(Duration::from_secs_f64(scale.settle_seconds));
    let info = connection.ask(&request(&["INFO", "memory"]))?;
    let mut lines = info.lines();
    let used = lines.find_map(|line| line.strip_prefix("used_memory:"));
    let used: usize = used.ok_or("no used_memory")?.parse()?;
    let used = used.max(LEAST).to_string();
    let settings = [["maxmemory-policy", policy], ["maxmemory", &used]].concat();
    let words = [&["CONFIG", "SET"], &settings[..]].concat();
    connection.fill(1, |_| request(&words))
}

/// How many of a hundred GETs find nothing, when a tenth of the keys fits and
/// some are asked for more often than others; what was not found is stored.
///
/// The n-th of the keys is asked for with a probability of 1/n, about, after
/// Zipf, in the same order at each server. Redis's clock of what was used has
/// seconds, so all comes at a rate at which a key that nobody asks for stays
/// for several of them: 6 with 30,000 keys of which a quarter is missed. At
/// thirteen times the rate redis-server misses 26.6 of a hundred instead of
/// 24.5.
pub fn misses(server: &Server, policy: &str, scale: &Scale) -> Result<Run> {
    const PER_SECOND: usize = 20_000;
    let keys = scale.cached;
    let mut connection = Connection::open(server.port)?;
    connection.store(keys / 10, short_key, VALUE, &[])?;
    limit(&mut connection, policy, scale)?;
    // Frequencies become less as a minute of the clock ends, which some runs
    // would meet and some not: redis-server misses 22.4 then instead of 21.9.
    let words = ["CONFIG", "SET", "lfu-decay-time", "0"];
    connection.fill(1, |_| request(&words))?;
    connection.fill(1, |_| request(&["FLUSHALL"]))?;
    let value = "x".repeat(VALUE);
    let mut drawn = Zipf::new(keys);
    let batches = (scale.cache_seconds * PER_SECOND as f64) as usize / PIPELINE;
    let (mut asked, mut missed) = (0, 0);
    let mut requests = Vec::new();
    let began = Instant::now();
    for batch in 0..batches {
        let due = Duration::from_secs_f64((batch * PIPELINE) as f64 / PER_SECOND as f64);
        thread::sleep(due.saturating_sub(began.elapsed()));
        let drawn: [usize; PIPELINE] = std::array::from_fn(|_| drawn.next());
        requests.clear();
        for n in drawn {
            requests.extend_from_slice(&request(&["GET", &short_key(n)]));
        }
        connection.send(&requests)?;
        let found = receive_values(&mut connection)?;
        let pairs = drawn.iter().zip(found);
        let gone: Vec<usize> = pairs.filter(|(_, found)| !found).map(|(n, _)| *n).collect();
        connection.fill(gone.len(), |at| {
            request(&["SET", &short_key(gone[at]), &value])
        })?;
        // The first half fills the cache with what belongs there.
        if batch >= batches / 2 {
            asked += PIPELINE;
            missed += gone.len();
        }
    }
    Ok(Run {
        costs: vec![missed as f64 * 100.0 / asked as f64],
        per_second: None,
    })
}

/// For each of the keys that were asked for whether there was a value.
fn receive_values(connection: &mut Connection) -> Result<[bool; PIPELINE]> {
    let mut found = [false; PIPELINE];
    let mut replies = Vec::new();
    let mut at = 0;
    for found in &mut found {
        loop {
            let rest = &replies[at..];
            let len = match rest {
                [b'$', b'-', ..] => Some("$-1\r\n".len()),
                [b'$', _, ..] => Some("$300\r\n\r\n".len() + VALUE),
                _ => None,
            };
            if let Some(len) = len.filter(|len| rest.len() >= *len) {
                *found = rest[1] != b'-';
                at += len;
                break;
            }
            replies.extend_from_slice(connection.receive_some()?);
        }
    }
    Ok(found)
}

/// Numbers below a bound, of which n is drawn with a probability of 1/(n+1),
/// about; always the same ones.
struct Zipf {
    rng: fastrand::Rng,
    /// For each number the sum of the probabilities up to it.
    sums: Vec<f64>,
}

impl Zipf {
    fn new(bound: usize) -> Zipf {
        let mut sum = 0.0;
        let sums = (1..=bound).map(|n| {
            sum += 1.0 / n as f64;
            sum
        });
        Zipf {
            sums: sums.collect(),
            rng: fastrand::Rng::with_seed(1),
        }
    }

    fn next(&mut self) -> usize {
        let drawn = self.rng.f64() * self.sums.last().copied().unwrap_or_default();
        self.sums.partition_point(|sum| *sum <= drawn)
    }
}
