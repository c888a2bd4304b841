//! redis-rs, with and without tokio.
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use futures::{StreamExt, future::join_all};
use redis::aio::{ConnectionManagerConfig, MultiplexedConnection};
use redis::caching::CacheConfig;
use redis::streams::{StreamAutoClaimOptions, StreamAutoClaimReply, StreamPendingReply, StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, AsyncConnectionConfig, Client, Commands, ConnectionLike, PushKind, RedisResult, Script, Value};
use rust_clients::{Server, done, failure, same, until, url};

const LATE: Duration = Duration::from_secs(20);

fn plain(protocol: u8) -> RedisResult<()> {
    let client = Client::open(format!("{}/?protocol={protocol}", url()))?;
    let mut con = client.get_connection()?;
    let () = redis::cmd("FLUSHALL").query(&mut con)?;
    let () = con.set("text", "hello")?;
    same(con.get::<_, Option<String>>("text")?.as_deref(), Some("hello"));
    same(con.get::<_, Option<String>>("none")?, None);
    same(con.get::<_, Vec<u8>>("text")?, b"hello");
    let () = con.hset_multiple("hash", &[("a", 1), ("b", 2)])?;
    same(con.hgetall::<_, HashMap<String, i64>>("hash")?, HashMap::from([("a".into(), 1), ("b".into(), 2)]));
    let () = con.zadd_multiple("scores", &[(1.5, "one"), (2.25, "two")])?;
    same(con.zrange_withscores::<_, Vec<(String, f64)>>("scores", 0, -1)?, [("one".into(), 1.5), ("two".into(), 2.25)]);
    same(con.zscore::<_, _, Option<f64>>("scores", "none")?, None);
    let wrong = con.lpush::<_, _, i64>("text", 1).unwrap_err();
    same(wrong.code(), Some("WRONGTYPE"));
    same(con.get::<_, i64>("text").is_err(), true);

    // A pipeline, one of which a reply is an error, and a transaction.
    let (n, text): (i64, String) = redis::pipe().set("n", 41).ignore().incr("n", 1).get("text").query(&mut con)?;
    same((n, text.as_str()), (42, "hello"));
    same(failure(redis::pipe().incr("n", 1).incr("text", 1).query::<Vec<i64>>(&mut con)).contains("value is not an integer"), true);
    same(con.get::<_, i64>("n")?, 43);
    let mut other = client.get_connection()?;
    let mut attempts = 0;
    let (sum,): (i64,) = redis::transaction(&mut con, &["n"], |con, pipe| {
        let n: i64 = con.get("n")?;
        attempts += 1;
        if attempts < 3 {
            // Somebody else is faster.
            let () = other.incr("n", 100)?;
        }
        pipe.set("n", n + 1).ignore().get("n").query(con)
    })?;
    same((attempts, sum), (3, 244));

    let script = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1]) + ARGV[2]");
    for round in 0..2 {
        same(script.key("scripted").arg(5).arg(10).invoke::<i64>(&mut con)?, 15 + round * 5);
        // It loads the script again when the server has lost it.
        let () = redis::cmd("SCRIPT").arg("FLUSH").query(&mut con)?;
    }
    same(failure(Script::new("return redis.call('nosuch')").invoke::<()>(&mut con)).contains("Unknown Redis command"), true);

    let mut fill = redis::pipe();
    for n in 0..10_000 {
        fill.set(format!("scan:{n}"), n).ignore();
    }
    let () = fill.query(&mut con)?;
    let found = con.scan_match::<_, String>("scan:*")?.collect::<RedisResult<std::collections::HashSet<_>>>()?;
    same(found.len(), 10_000);

    // Subscriptions with a time-out.
    let mut pubsub = other.as_pubsub();
    pubsub.subscribe(&["news", "weather"])?;
    pubsub.psubscribe("n*")?;
    same(con.publish::<_, _, i64>("news", "hello")?, 2);
    let (first, second) = (pubsub.get_message()?, pubsub.get_message()?);
    same((first.get_channel_name(), first.get_payload::<String>()?.as_str()), ("news", "hello"));
    same(second.get_pattern::<Option<String>>()?.as_deref(), Some("n*"));
    pubsub.set_read_timeout(Some(Duration::from_millis(20)))?;
    same(pubsub.get_message().unwrap_err().is_timeout(), true);
    pubsub.set_read_timeout(Some(LATE))?;
    pubsub.unsubscribe("news")?;
    pubsub.punsubscribe("n*")?;
    same(con.publish::<_, _, i64>("news", "nobody")?, 0);
    drop(pubsub);
    same(redis::cmd("PING").query::<String>(&mut other)?.as_str(), "PONG");

    // A connection that is late, and one that is killed.
    con.set_read_timeout(Some(Duration::from_millis(20)))?;
    same(con.blpop::<_, Option<(String, String)>>("empty", 5.0).unwrap_err().is_timeout(), true);
    let mut con = client.get_connection()?;
    let id: i64 = redis::cmd("CLIENT").arg("ID").query(&mut con)?;
    let () = redis::cmd("CLIENT").arg("KILL").arg("ID").arg(id).query(&mut other)?;
    let ended = redis::cmd("PING").query::<String>(&mut con).unwrap_err();
    same((ended.is_connection_dropped(), con.is_open()), (true, false));
    Ok(())
}

/// Two workers of a group, one of which dies.
fn streams() -> RedisResult<()> {
    let mut con = Client::open(url())?.get_connection()?;
    let () = redis::cmd("FLUSHALL").query(&mut con)?;
    same(con.xgroup_create_mkstream::<_, _, _, String>("jobs", "workers", "$")?.as_str(), "OK");
    same(con.xgroup_create::<_, _, _, ()>("jobs", "workers", "$").unwrap_err().code(), Some("BUSYGROUP"));
    for n in 0..10 {
        let _: String = con.xadd("jobs", "*", &[("n", n)])?;
    }
    let options = |name: &'static str| StreamReadOptions::default().group("workers", name).count(4).block(20_000);
    let mut read = |name| -> RedisResult<StreamReadReply> { con.xread_options(&["jobs"], &[">"], &options(name)) };
    let (one, two) = (read("one")?, read("two")?);
    same((one.keys[0].ids.len(), two.keys[0].ids[0].get::<i64>("n")), (4, Some(4)));
    let ids: Vec<_> = one.keys[0].ids.iter().map(|entry| entry.id.clone()).collect();
    same(con.xack::<_, _, _, i64>("jobs", "workers", &ids)?, 4);
    let StreamPendingReply::Data(pending) = con.xpending("jobs", "workers")? else { panic!("nothing is pending") };
    same((pending.count, pending.consumers[0].name.as_str()), (4, "two"));
    let options = StreamAutoClaimOptions::default().count(10);
    let claimed: StreamAutoClaimReply = con.xautoclaim_options("jobs", "workers", "one", 0, "0", options)?;
    same((claimed.claimed.len(), claimed.next_stream_id.as_str()), (4, "0-0"));
    same(con.xlen::<_, i64>("jobs")?, 10);
    let info: redis::streams::StreamInfoGroupsReply = con.xinfo_groups("jobs")?;
    same((info.groups[0].consumers, info.groups[0].pending, info.groups[0].lag), (2, 4, Some(2)));
    Ok(())
}

/// redis-rs gives up after half a second by itself, which is too soon for a machine that is busy.
fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_response_timeout(Some(LATE)).set_connection_timeout(Some(LATE))
}

async fn connection(client: &Client) -> MultiplexedConnection {
    client.get_multiplexed_async_connection_with_config(&config()).await.unwrap()
}

/// One connection for many tasks.
async fn multiplexed(protocol: u8) -> RedisResult<()> {
    let client = Client::open(format!("{}/?protocol={protocol}", url()))?;
    let con = connection(&client).await;
    let () = redis::cmd("FLUSHALL").query_async(&mut con.clone()).await?;
    let tasks = (0..200).map(|task| {
        let mut con = con.clone();
        async move {
            let key = format!("task:{task}");
            for n in 0..20 {
                let (before, after): (Option<i64>, i64) = redis::pipe().get(&key).incr(&key, task).query_async(&mut con).await.unwrap();
                assert_eq!((before.unwrap_or(0), after), (n * task, (n + 1) * task));
            }
            con.incr::<_, _, i64>("sum", task).await.unwrap()
        }
    });
    same(join_all(tasks).await.into_iter().max(), Some(199 * 200 / 2));
    let mut con = con.clone();
    same(Script::new("return ARGV[1]").arg("async").invoke_async::<String>(&mut con).await?.as_str(), "async");
    let found: Vec<String> = con.scan_match::<_, String>("task:1?").await?.map(|key| key.unwrap()).collect().await;
    same(found.len(), 10);
    let mut attempts = 0;
    let other = connection(&client).await;
    let (sum,): (i64,) = redis::aio::transaction_async(con.clone(), &["sum"], |mut con, mut pipe| {
        attempts += 1;
        let (again, mut other) = (attempts == 1, other.clone());
        async move {
            let sum: i64 = con.get("sum").await?;
            if again {
                let () = other.set("sum", 1).await?;
            }
            pipe.set("sum", sum + 1).ignore().get("sum").query_async(&mut con).await
        }
    })
    .await?;
    same((attempts, sum), (2, 2));

    // A connection for messages alone.
    let (mut sink, mut messages) = client.get_async_pubsub().await?.split();
    sink.subscribe("news").await?;
    sink.psubscribe("n*").await?;
    same(con.publish::<_, _, i64>("news", "hello").await?, 2);
    same(messages.next().await.unwrap().get_payload::<String>()?.as_str(), "hello");
    same(messages.next().await.unwrap().get_pattern::<String>()?.as_str(), "n*");
    same(sink.ping::<Value>().await.is_ok(), true);
    sink.unsubscribe("news").await?;
    same(con.publish::<_, _, i64>("news", "again").await?, 1);

    let mut monitor = client.get_async_monitor().await?.into_on_message::<String>();
    let () = con.set("seen", "by a monitor").await?;
    while !monitor.next().await.unwrap().contains(r#""SET" "seen" "by a monitor""#) {}
    same(con.exists::<_, bool>("seen").await?, true);
    Ok(())
}

/// What RESP3 pushes: messages beside replies, and keys that have changed.
async fn pushes() -> RedisResult<()> {
    let client = Client::open(format!("{}/?protocol=resp3", url()))?;
    let (sender, mut pushed) = tokio::sync::mpsc::unbounded_channel();
    let mut con = client.get_multiplexed_async_connection_with_config(&config().set_push_sender(sender)).await?;
    let mut other = connection(&client).await;
    con.subscribe("news").await?;
    same(other.publish::<_, _, i64>("news", "hello").await?, 1);
    same(con.incr::<_, _, i64>("beside", 1).await?, 1);
    same([pushed.recv().await.unwrap().kind, pushed.recv().await.unwrap().kind], [PushKind::Subscribe, PushKind::Message]);

    let cache = CacheConfig::new().set_size(NonZeroUsize::new(100).unwrap());
    let mut cached = client.get_multiplexed_async_connection_with_config(&config().set_cache_config(cache)).await?;
    let () = other.set("cached", 1).await?;
    for _ in 0..10 {
        same(cached.get::<_, i64>("cached").await?, 1);
    }
    let statistics = cached.get_cache_statistics().unwrap();
    same((statistics.hit, statistics.miss, statistics.invalidate), (9, 1, 0));
    let () = other.set("cached", 2).await?;
    until("the cache is told", || async { cached.get_cache_statistics().unwrap().invalidate == 1 }).await;
    same(cached.get::<_, i64>("cached").await?, 2);
    Ok(())
}

/// A manager connects again, and subscribes again, when the server was away.
async fn manager() -> RedisResult<()> {
    let mut server = Server::start();
    let client = Client::open(format!("{}/?protocol=resp3", server.url()))?;
    let (sender, mut pushed) = tokio::sync::mpsc::unbounded_channel();
    let config = ConnectionManagerConfig::new().set_response_timeout(Some(LATE)).set_connection_timeout(Some(LATE));
    let config = config.set_push_sender(sender).set_automatic_resubscription().set_max_delay(Duration::from_millis(20));
    let mut manager = client.get_connection_manager_with_config(config.set_number_of_retries(1000)).await?;
    manager.subscribe("news").await?;
    let () = manager.set("before", 1).await?;
    server.stop();
    same(manager.get::<_, Option<i64>>("before").await.is_err(), true);
    server.start_again();
    until("it is there again", || {
        let mut manager = manager.clone();
        async move { manager.get::<_, Option<i64>>("before").await == Ok(None) }
    })
    .await;
    let mut other = connection(&client).await;
    until("it has subscribed again", || {
        let mut other = other.clone();
        async move { redis::cmd("PUBSUB").arg("NUMSUB").arg("news").query_async(&mut other).await == Ok(("news".to_owned(), 1)) }
    })
    .await;
    same(other.publish::<_, _, i64>("news", "again").await?, 1);
    while pushed.recv().await.unwrap().kind != PushKind::Message {}
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> RedisResult<()> {
    plain(2)?;
    plain(3)?;
    streams()?;
    multiplexed(2).await?;
    multiplexed(3).await?;
    pushes().await?;
    manager().await?;
    done();
    Ok(())
}
