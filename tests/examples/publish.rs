//! The subscriber is there before I publish: a message that comes earlier is lost.

use std::error::Error;

use futures_util::StreamExt;
use redis::{AsyncTypedCommands, Client, RedisResult};
use respd::Broker;

/// What a service hears first.
async fn first_order(client: Client) -> RedisResult<String> {
    let mut listener = client.get_async_pubsub().await?;
    listener.subscribe("orders").await?;
    let order = listener.on_message().next().await;
    order.expect("the connection stays").get_payload()
}

#[tokio::test]
async fn the_service_hears_the_first_order() -> Result<(), Box<dyn Error>> {
    let broker = Broker::for_tests()?;
    let client = Client::open(broker.url())?;
    let heard = tokio::spawn(first_order(client.clone()));

    broker.until().subscribers("orders", 1).await?;
    let mut shop = client.get_multiplexed_async_connection().await?;
    assert_eq!(shop.publish("orders", "one").await?, 1);
    assert_eq!(heard.await??, "one");
    Ok(())
}
