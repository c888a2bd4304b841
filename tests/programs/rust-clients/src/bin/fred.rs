//! fred, whose clients connect again by themselves.
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use fred::interfaces::TrackingInterface;
use fred::prelude::*;
use fred::types::scan::Scanner;
use fred::types::scripts::{Library, Script};
use fred::types::streams::XReadResponse;
use fred::types::{ClientUnblockFlag, RespVersion};
use futures::{StreamExt, TryStreamExt, future::join_all};
use rust_clients::{Server, done, failure, same, until, url};

fn builder(url: &str, version: RespVersion) -> Builder {
    let mut config = Config::from_url(url).unwrap();
    config.version = version;
    let mut builder = Builder::from_config(config);
    builder.with_connection_config(|config| config.internal_command_timeout = Duration::from_secs(20));
    builder.set_policy(ReconnectPolicy::new_constant(0, 20));
    builder
}

async fn client(version: RespVersion) -> Client {
    let client = builder(&url(), version).build().unwrap();
    client.init().await.unwrap();
    client
}

async fn commands(version: RespVersion) -> Result<(), Error> {
    let client = client(version).await;
    let () = client.flushall(false).await?;
    let () = client.set("text", "hello", Some(Expiration::EX(100)), Some(SetOptions::NX), false).await?;
    same(client.get::<Option<String>, _>("text").await?.as_deref(), Some("hello"));
    same(client.get::<Option<String>, _>("none").await?, None);
    same(client.ttl::<i64, _>("text").await? > 90, true);
    let () = client.hset("hash", HashMap::from([("a", 1), ("b", 2)])).await?;
    same(client.hgetall::<HashMap<String, i64>, _>("hash").await?, HashMap::from([("a".into(), 1), ("b".into(), 2)]));
    let () = client.zadd("scores", None, None, false, false, vec![(1.5, "one"), (2.25, "two")]).await?;
    same(client.zscore::<f64, _, _>("scores", "two").await?, 2.25);
    same(failure(client.lpush::<i64, _, _>("text", 1).await).contains("WRONGTYPE"), true);
    let values: Vec<i64> = join_all((0..500).map(|_| client.incr("n"))).await.into_iter().collect::<Result<_, _>>()?;
    same(values, (1..=500).collect::<Vec<i64>>());

    let pipeline = client.pipeline();
    let () = pipeline.incr("n").await?;
    let () = pipeline.hgetall("n").await?;
    let results = pipeline.try_all::<i64>().await;
    same((results[0].clone()?, failure(results[1].clone()).contains("WRONGTYPE")), (501, true));
    let transaction = client.multi();
    let () = transaction.incr("n").await?;
    let () = transaction.get("text").await?;
    same(transaction.exec::<(i64, String)>(true).await?, (502, "hello".into()));
    let transaction = client.multi();
    let () = transaction.incr("text").await?;
    same(failure(transaction.exec::<Value>(true).await).contains("not an integer"), true);

    let script = Script::from_lua("return {KEYS[1], ARGV[1] + 1}");
    same(script.evalsha_with_reload::<(String, i64), _, _>(&client, "key", 1).await?, ("key".into(), 2));
    let () = client.script_flush(false).await?;
    same(failure(script.evalsha::<Value, _, _, _>(&client, "key", 1).await).contains("NOSCRIPT"), true);
    same(script.evalsha_with_reload::<(String, i64), _, _>(&client, "key", 1).await?, ("key".into(), 2));
    let code = "#!lua name=echoes\nredis.register_function('echo', function(keys, args) return {keys[1], args[1]} end)";
    let library = Library::from_code(&client, code).await?;
    let echo = library.functions().get("echo").cloned().unwrap();
    same(echo.fcall::<Vec<String>, _, _, _>(&client, "a", "b").await?, ["a", "b"]);
    let () = client.function_delete("echoes").await?;

    let () = client.mset((0..2000).map(|n| (format!("scan:{n}"), n)).collect::<Vec<_>>()).await?;
    let found: HashSet<String> = client.scan_buffered("scan:*", Some(100), None).map_ok(|key| key.into_string().unwrap()).try_collect().await?;
    same(found.len(), 2000);
    let () = client.sadd("set", (0..1000).collect::<Vec<i64>>()).await?;
    let mut pages = Box::pin(client.sscan("set", "1*", Some(50)));
    let mut members = HashSet::new();
    while let Some(mut page) = pages.try_next().await? {
        members.extend(page.take_results().unwrap_or_default().into_iter().map(|member| member.into_string().unwrap()));
        page.next();
    }
    same(members.len(), 111);
    client.quit().await
}

async fn streams() -> Result<(), Error> {
    let (reader, writer) = (client(RespVersion::RESP3).await, client(RespVersion::RESP3).await);
    let () = writer.flushall(false).await?;
    let () = writer.xgroup_create("jobs", "workers", "$", true).await?;
    let reading = tokio::spawn(async move {
        let mut read = vec![];
        while read.len() < 5 {
            let got: XReadResponse<String, String, String, i64> =
                reader.xreadgroup_map("workers", "one", Some(2), Some(20_000), false, "jobs", ">").await.unwrap();
            for (id, fields) in &got["jobs"] {
                read.push(fields["n"]);
                same(reader.xack::<i64, _, _, _>("jobs", "workers", id.as_str()).await.unwrap(), 1);
            }
        }
        read
    });
    for n in 0..5 {
        let _: String = writer.xadd("jobs", false, None, "*", ("n", n)).await?;
    }
    same(reading.await.unwrap(), (0..5).collect::<Vec<i64>>());
    let pending: (i64, Value, Value, Value) = writer.xpending("jobs", "workers", ()).await?;
    same(pending.0, 0);
    Ok(())
}

/// Subscriptions, which come back when the connection was killed or the server
/// was away.
async fn subscriptions() -> Result<(), Error> {
    let mut server = Server::start();
    let publisher = builder(&server.url(), RespVersion::RESP3).build()?;
    let subscriber = builder(&server.url(), RespVersion::RESP3).build_subscriber_client()?;
    let watching = builder(&server.url(), RespVersion::RESP3).build()?;
    publisher.init().await?;
    subscriber.init().await?;
    watching.init().await?;
    let mut messages = subscriber.message_rx();
    let _again = subscriber.manage_subscriptions();
    let () = subscriber.subscribe("news").await?;
    let () = subscriber.psubscribe(vec!["n*", "w*"]).await?;
    let () = subscriber.ssubscribe("shard").await?;
    same(publisher.publish::<i64, _, _>("news", "hello").await?, 2);
    same(publisher.spublish::<i64, _, _>("shard", "sharded").await?, 1);
    for (channel, text) in [("news", "hello"), ("news", "hello"), ("shard", "sharded")] {
        let message = messages.recv().await.unwrap();
        same((message.channel.to_string(), message.value.convert::<String>()?), (channel.into(), text.into()));
    }
    let () = subscriber.unsubscribe("news").await?;
    server.stop();
    server.start_again();
    until("it has subscribed again", || async { publisher.pubsub_numpat::<i64>().await.unwrap_or(0) == 2 }).await;
    until("to the shard channel, too", || async {
        publisher.pubsub_shardnumsub::<HashMap<String, i64>, _>("shard").await.is_ok_and(|counts| counts["shard"] == 1)
    })
    .await;
    same(publisher.publish::<i64, _, _>("news", "again").await?, 1);
    same(messages.recv().await.unwrap().value.convert::<String>()?.as_str(), "again");

    // What was read is told of when it changes.
    let mut invalidations = watching.invalidation_rx();
    let () = watching.start_tracking(None, false, false, false, false).await?;
    let _: Option<String> = watching.get("watched").await?;
    let () = publisher.set("watched", 1, None, None, false).await?;
    let told = invalidations.recv().await.unwrap();
    same(told.keys[0].as_str(), Some("watched"));
    let () = watching.stop_tracking().await?;
    publisher.quit().await?;
    subscriber.quit().await?;
    watching.quit().await
}

async fn pool() -> Result<(), Error> {
    let pool = builder(&url(), RespVersion::RESP3).build_pool(4)?;
    pool.init().await?;
    let () = pool.flushall(false).await?;
    let sums: Vec<i64> = join_all((0..200).map(|_| pool.incr("sum"))).await.into_iter().collect::<Result<_, _>>()?;
    same(sums.into_iter().max(), Some(200));
    // One that waits holds up nobody but itself, until it is let go.
    let waiting = pool.next().clone();
    let id = waiting.client_id::<i64>().await?;
    let blocked = tokio::spawn(async move { waiting.blpop::<Option<(String, String)>, _>("empty", 0.0).await });
    let other = client(RespVersion::RESP2).await;
    until("it waits", || async { other.info::<String>(Some(fred::types::InfoKind::Clients)).await.unwrap().contains("blocked_clients:1") }).await;
    same(other.client_unblock::<i64, _>(id, Some(ClientUnblockFlag::Timeout)).await?, 1);
    // What answers nothing after waiting is an error to fred.
    same(failure(blocked.await.unwrap()).contains("timed out"), true);
    // All connections are killed, and commands are sent again.
    let () = other.client_kill(vec![fred::types::client::ClientKillFilter::Type(fred::types::client::ClientKillType::Normal)]).await?;
    for n in 201..=220 {
        same(pool.incr::<i64, _>("sum").await?, n);
    }
    pool.quit().await
}

async fn monitor() -> Result<(), Error> {
    let mut seen = fred::monitor::run(Config::from_url(&url())?).await?;
    let client = client(RespVersion::RESP3).await;
    let () = client.set("seen", "by a monitor", None, None, false).await?;
    loop {
        let command = seen.next().await.unwrap();
        if command.command == "SET" {
            same(command.args.last().and_then(|word| word.as_string()).as_deref(), Some("by a monitor"));
            return Ok(());
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let late = tokio::time::timeout(Duration::from_secs(50), async {
        commands(RespVersion::RESP2).await?;
        commands(RespVersion::RESP3).await?;
        streams().await?;
        subscriptions().await?;
        pool().await?;
        monitor().await
    });
    late.await.expect("it ends in time")?;
    done();
    Ok(())
}
