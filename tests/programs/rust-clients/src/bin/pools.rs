//! The pools deadpool and bb8, with redis-rs below.
use std::time::Duration;

use bb8_redis::{RedisConnectionManager, bb8};
use deadpool_redis::{Config, PoolConfig, Runtime, Timeouts};
use futures::future::join_all;
use redis::aio::ConnectionLike;
use redis::{AsyncCommands, RedisResult};
use rust_clients::{Server, done, same, until, url};

const SOON: Duration = Duration::from_millis(20);
const LATE: Duration = Duration::from_secs(20);

/// Takes what it reads back later, so that every connection is needed at once.
async fn add(con: &mut (impl AsyncCommands + ConnectionLike + Send)) -> RedisResult<i64> {
    let () = redis::cmd("CLIENT").arg("SETNAME").arg("pooled").query_async(con).await?;
    con.incr("sum", 1).await
}

async fn connections(con: &mut (impl AsyncCommands + Send)) -> usize {
    let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(con).await.unwrap();
    clients.matches("name=pooled").count()
}

async fn flush() -> redis::aio::MultiplexedConnection {
    let mut con = redis::Client::open(url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    con.set_response_timeout(LATE);
    let () = redis::cmd("FLUSHALL").query_async(&mut con).await.unwrap();
    con
}

async fn deadpool() {
    let mut beside = flush().await;
    let mut config = Config::from_url(url());
    config.pool = Some(PoolConfig { max_size: 4, timeouts: Timeouts::wait_millis(20_000), ..Default::default() });
    let pool = config.create_pool(Some(Runtime::Tokio1)).unwrap();
    let tasks = (0..100).map(|_| async { add(&mut *pool.get().await.unwrap()).await.unwrap() });
    same(join_all(tasks).await.into_iter().max(), Some(100));
    same((pool.status().size, connections(&mut beside).await), (4, 4));
    // All of them are taken.
    let taken = join_all((0..4).map(|_| pool.get())).await;
    let none = pool.timeout_get(&Timeouts { wait: Some(SOON), ..Timeouts::default() }).await;
    same(matches!(none, Err(deadpool_redis::PoolError::Timeout(deadpool_redis::TimeoutType::Wait))), true);
    drop(taken);
    // Those that were killed are found when they are handed out, and replaced.
    let killed: i64 = redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").query_async(&mut beside).await.unwrap();
    same(killed, 4);
    let tasks = (0..8).map(|_| async { add(&mut *pool.get().await.unwrap()).await.unwrap() });
    same(join_all(tasks).await.into_iter().max(), Some(108));
    same(connections(&mut beside).await, 4);
    pool.close();
    same(pool.get().await.is_err(), true);
    until("its connections are closed", || {
        let mut beside = beside.clone();
        async move { connections(&mut beside).await == 0 }
    })
    .await;
}

async fn bb8() {
    let mut beside = flush().await;
    let manager = RedisConnectionManager::new(url()).unwrap();
    let pool = bb8::Pool::builder().max_size(4).connection_timeout(LATE).build(manager).await.unwrap();
    let tasks = (0..100).map(|_| async { add(&mut *pool.get().await.unwrap()).await.unwrap() });
    same(join_all(tasks).await.into_iter().max(), Some(100));
    same(pool.state().connections as usize, connections(&mut beside).await);
    let taken = join_all((0..4).map(|_| pool.get())).await;
    same((taken.len(), pool.state().connections, pool.state().idle_connections), (4, 4, 0));
    let waiting = tokio::time::timeout(SOON, pool.get()).await;
    same(waiting.is_err(), true);
    drop((waiting, taken));
    let _: i64 = redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").query_async(&mut beside).await.unwrap();
    let tasks = (0..8).map(|_| async { add(&mut *pool.get().await.unwrap()).await.unwrap() });
    same(join_all(tasks).await.into_iter().max(), Some(108));
    let mut con = pool.dedicated_connection().await.unwrap();
    same(add(&mut con).await, Ok(109));
}

/// Both over a restart of the server.
async fn restart() {
    let mut server = Server::start();
    let deadpool = Config::from_url(server.url()).create_pool(Some(Runtime::Tokio1)).unwrap();
    let bb8 = bb8::Pool::builder().connection_timeout(LATE).build(RedisConnectionManager::new(server.url()).unwrap()).await.unwrap();
    same(add(&mut *deadpool.get().await.unwrap()).await, Ok(1));
    same(add(&mut *bb8.get().await.unwrap()).await, Ok(2));
    server.stop();
    same(deadpool.get().await.is_err(), true);
    server.start_again();
    same(add(&mut *deadpool.get().await.unwrap()).await, Ok(1));
    same(add(&mut *bb8.get().await.unwrap()).await, Ok(2));
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    deadpool().await;
    bb8().await;
    restart().await;
    done();
}
