//! My lock is lost when its time is up while I work: I must not release that of another.

use std::error::Error;
use std::time::Duration;

use redis::{Commands, Connection, ExistenceCheck, RedisResult, SetExpiry, SetOptions};
use respd::Broker;

fn acquire(client: &mut Connection, owner: &str) -> RedisResult<bool> {
    let options = SetOptions::default()
        .conditional_set(ExistenceCheck::NX)
        .with_expiration(SetExpiry::EX(30));
    client.set_options("report", owner, options)
}

fn release(client: &mut Connection, owner: &str) -> RedisResult<bool> {
    redis::transaction(client, &["report"], |client, pipe| {
        if client.get::<_, Option<String>>("report")?.as_deref() != Some(owner) {
            return Ok(Some(false));
        }
        let done: Option<()> = pipe.del("report").ignore().query(client)?;
        Ok(done.map(|()| true))
    })
}

#[test]
fn who_works_for_too_long_does_not_release_the_lock_of_another() -> Result<(), Box<dyn Error>> {
    let broker = Broker::for_tests()?;
    let mut client = redis::Client::open(broker.url())?.get_connection()?;
    assert!(acquire(&mut client, "me")?);
    assert!(!acquire(&mut client, "another")?);
    broker.clock().advance(Duration::from_secs(30)); // I work.
    assert!(acquire(&mut client, "another")?);
    assert!(!release(&mut client, "me")?);
    assert!(release(&mut client, "another")?);
    Ok(())
}
