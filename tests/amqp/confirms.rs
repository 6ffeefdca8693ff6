//! confirm.select. How acks are grouped is tested on the wire.

use lapin::{BasicProperties, Confirmation, options::BasicPublishOptions};

use crate::{
    broker::unique,
    client::{Ch, args, refused, within},
};

#[tokio::test]
async fn confirm_and_tx_exclude_each_other() {
    let ch = Ch::confirming().await;
    refused(
        within(ch.amqp.tx_select()).await,
        406,
        "PRECONDITION_FAILED - cannot switch from confirm to tx mode",
    );
    let ch = Ch::open().await;
    within(ch.amqp.tx_select()).await.unwrap();
    refused(
        within(ch.amqp.confirm_select(lapin::options::ConfirmSelectOptions::default())).await,
        406,
        "PRECONDITION_FAILED - cannot switch from tx to confirm mode",
    );
}

#[tokio::test]
async fn routed_and_unroutable_messages_are_confirmed() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    for key in [queue, unique("nobody")] {
        assert_eq!(ch.publish("", &key, "m").await.unwrap(), Confirmation::Ack(None));
    }
}

#[tokio::test]
async fn persistent_messages_in_durable_queues_are_confirmed() {
    let ch = Ch::confirming().await;
    let queue = unique("queue");
    ch.declare(&queue, "durable", args! {}).await.unwrap();
    let persistent = BasicProperties::default().with_delivery_mode(2);
    for n in 0..20 {
        let sent = ch.publish_with("", &queue, &n.to_string(), "", persistent.clone()).await.unwrap();
        assert_eq!(sent, Confirmation::Ack(None));
    }
    assert_eq!(ch.delete(&queue, "").await.unwrap(), 20);
}

#[tokio::test]
async fn a_thousand_publishes_in_flight_are_all_confirmed() {
    let ch = Ch::confirming().await;
    let (queue, durable) = (ch.queue().await, unique("queue"));
    ch.declare(&durable, "durable", args! {}).await.unwrap();
    let mut confirms = Vec::new();
    for n in 0..1000_u32 {
        let key = if n % 2 == 0 { queue.as_str() } else { &durable };
        let properties = BasicProperties::default().with_delivery_mode(2);
        let options = BasicPublishOptions::default();
        confirms.push(ch.amqp.basic_publish("".into(), key.into(), options, b"m", properties).await.unwrap());
    }
    for confirm in confirms {
        assert_eq!(within(confirm).await.unwrap(), Confirmation::Ack(None));
    }
    assert_eq!((ch.counts(&queue).await.0, ch.delete(&durable, "").await.unwrap()), (500, 500));
}

#[tokio::test]
async fn a_confirm_does_not_wait_for_the_consumers_ack() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    let _consumer = ch.consume(&queue, "").await;
    assert_eq!(ch.publish("", &queue, "m").await.unwrap(), Confirmation::Ack(None));
}
