//! My worker retries after the connection is cut between execution and reply: the job that it has
//! taken, but never seen, is not lost.

use std::error::Error;

use redis::{Client, Commands, Direction, RedisResult};
use respd::Broker;

/// The next job. One that was taken before, and not finished, comes first.
fn take(client: &Client) -> RedisResult<Option<String>> {
    let attempt = || {
        let mut connection = client.get_connection()?;
        match connection.lindex("taken", 0)? {
            Some(job) => Ok(Some(job)),
            None => connection.lmove("jobs", "taken", Direction::Left, Direction::Left),
        }
    };
    attempt().or_else(|_| attempt())
}

#[test]
fn a_job_whose_reply_was_cut_off_is_not_lost() -> Result<(), Box<dyn Error>> {
    let broker = Broker::for_tests()?;
    broker.fixture().list("jobs", ["one", "two"]).load()?;
    let cut = broker
        .faults()
        .drop_after()
        .command("lmove")
        .times(1)
        .inject();

    let client = Client::open(broker.url())?;
    assert_eq!(take(&client)?.as_deref(), Some("one"));
    assert_eq!(cut.hits(), 1);
    let left: Vec<String> = client.get_connection()?.lrange("jobs", 0, -1)?;
    assert_eq!(left, ["two"]);
    Ok(())
}
