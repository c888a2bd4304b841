//! Two workers never get the same job, and none is left.

use std::error::Error;
use std::thread;

use redis::{Client, RedisResult, TypedCommands};
use respd::Broker;

/// Takes jobs until it is told to go home.
fn work(client: Client) -> RedisResult<Vec<String>> {
    let mut connection = client.get_connection()?;
    let mut done = Vec::new();
    loop {
        match connection.blpop("jobs", 0.0)? {
            Some([_, job]) if job != "go home" => done.push(job),
            _ => return Ok(done),
        }
    }
}

#[test]
fn each_job_is_done_once() -> Result<(), Box<dyn Error>> {
    let broker = Broker::for_tests()?;
    let client = Client::open(broker.url())?;
    let workers = [client.clone(), client.clone()].map(|client| thread::spawn(|| work(client)));
    broker.until().blocked("jobs", 2).wait()?;
    let mut jobs: Vec<_> = (0..100).map(|n| format!("job {n:02}")).collect();
    let mut connection = client.get_connection()?;
    connection.rpush("jobs", &jobs)?;
    connection.rpush("jobs", &["go home", "go home"])?;
    let mut done = Vec::new();
    for worker in workers {
        done.append(&mut worker.join().unwrap()?);
    }
    done.sort();
    jobs.sort();
    assert_eq!(done, jobs);
    Ok(())
}
