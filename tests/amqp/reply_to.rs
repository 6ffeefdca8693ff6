//! Direct reply-to: `amq.rabbitmq.reply-to`.

use lapin::{BasicProperties, types::FieldTable};

use crate::{
    broker::only_leveret,
    client::{Ch, args, body, next, refused},
};

const REPLY_TO: &str = "amq.rabbitmq.reply-to";

fn request() -> BasicProperties {
    BasicProperties::default().with_reply_to(REPLY_TO.into()).with_correlation_id("42".into())
}

/// The address that a server sees in a request.
async fn reply_address(client: &Ch) -> String {
    let queue = client.queue().await;
    client.publish_with("", &queue, "request", "", request()).await.unwrap();
    client.fence(&queue).await;
    let request = client.get(&queue, "no-ack").await.unwrap().unwrap();
    request.properties.reply_to().clone().unwrap().to_string()
}

#[tokio::test]
async fn a_reply_reaches_the_channel_that_asked_and_no_queue_is_made() {
    let (client, server) = (Ch::confirming().await, Ch::confirming().await);
    let mut replies = client.consume(REPLY_TO, "no-ack").await;
    let address = reply_address(&client).await;
    assert!(address.starts_with("amq.rabbitmq.reply-to."), "{address}");
    let properties = BasicProperties::default().with_correlation_id("42".into());
    assert!(server.publish_with("", &address, "reply", "", properties).await.unwrap().is_ack());
    let reply = next(&mut replies).await;
    assert_eq!(
        (body(&reply).as_str(), reply.exchange.as_str(), reply.routing_key.as_str()),
        ("reply", "", &*address)
    );
    assert_eq!(reply.properties.correlation_id().as_ref().map(ToString::to_string).as_deref(), Some("42"));
}

#[tokio::test]
async fn a_reply_to_a_client_that_left_has_no_route() {
    let (client, server) = (Ch::confirming().await, Ch::confirming().await);
    let replies = client.consume(REPLY_TO, "no-ack").await;
    let address = reply_address(&client).await;
    let declared = server.declare(&address, "passive", FieldTable::default()).await.unwrap();
    assert_eq!((declared.message_count(), declared.consumer_count()), (0, 1));
    client.cancel(replies.tag().as_str()).await;
    client.close().await;
    assert!(server.publish_mandatory("", &address, "too late").await.is_some());
    refused(
        server.declare(&address, "passive", FieldTable::default()).await,
        404,
        &format!("NOT_FOUND - no queue '{address}' in vhost '/'"),
    );
}

#[tokio::test]
async fn an_invented_address_has_no_route() {
    only_leveret!("3.10 crashes on an address that it cannot decode: 541");
    let ch = Ch::confirming().await;
    assert!(ch.publish_mandatory("", "amq.rabbitmq.reply-to.g2dkAAh.invented", "m").await.is_some());
}

#[tokio::test]
async fn the_pseudo_queue_can_be_declared_and_is_always_there() {
    let ch = Ch::open().await;
    for flags in ["", "passive", "exclusive"] {
        let declared = ch.declare(REPLY_TO, flags, args! {}).await.unwrap();
        assert_eq!((declared.message_count(), declared.consumer_count()), (0, 1), "{flags}");
    }
}

#[tokio::test]
async fn misuse_of_the_pseudo_queue_closes_the_channel_with_406() {
    let ch = Ch::open().await;
    refused(
        ch.sibling().await.consume_with(REPLY_TO, "", "", args! {}).await,
        406,
        "PRECONDITION_FAILED - reply consumer cannot acknowledge",
    );
    let other = ch.sibling().await;
    let _replies = other.consume(REPLY_TO, "no-ack").await;
    refused(
        other.consume_with(REPLY_TO, "", "no-ack", args! {}).await,
        406,
        "PRECONDITION_FAILED - reply consumer already set",
    );
    let other = ch.sibling().await.confirm().await;
    let queue = ch.queue().await;
    refused(
        other.publish_with("", &queue, "m", "", request()).await,
        406,
        "PRECONDITION_FAILED - fast reply consumer does not exist",
    );
}

#[tokio::test]
async fn a_cancelled_reply_consumer_can_be_made_again() {
    let ch = Ch::confirming().await;
    let first = ch.consume(REPLY_TO, "no-ack").await;
    ch.cancel(first.tag().as_str()).await;
    let mut replies = ch.consume(REPLY_TO, "no-ack").await;
    let address = reply_address(&ch).await;
    ch.publish("", &address, "reply").await.unwrap();
    assert_eq!(body(&next(&mut replies).await), "reply");
}
