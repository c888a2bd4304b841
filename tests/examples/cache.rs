//! My cache expires after an hour: nobody waits for it.

use std::error::Error;
use std::time::Duration;

use redis::{Connection, RedisResult, TypedCommands};
use respd::Broker;

/// A page, rendered once an hour.
fn page(cache: &mut Connection, path: &str, render: fn() -> String) -> RedisResult<String> {
    if let Some(page) = cache.get(path)? {
        return Ok(page);
    }
    let page = render();
    cache.set_ex(path, &page, 3600)?;
    Ok(page)
}

#[test]
fn a_page_is_rendered_again_after_an_hour() -> Result<(), Box<dyn Error>> {
    let broker = Broker::for_tests()?;
    broker.clock().freeze();
    let mut cache = redis::Client::open(broker.url())?.get_connection()?;
    assert_eq!(page(&mut cache, "/", || "one".into())?, "one");
    broker.clock().advance(Duration::from_secs(3599));
    assert_eq!(page(&mut cache, "/", || "two".into())?, "one");
    broker.clock().advance(Duration::from_secs(1));
    assert_eq!(page(&mut cache, "/", || "two".into())?, "two");
    Ok(())
}
