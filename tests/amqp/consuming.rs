//! basic.consume and cancel: who gets what, exclusivity, priorities, single active consumer, cancel notifications.

use lapin::types::AMQPValue;

use crate::{
    broker::unique,
    client::{Ch, args, arrived, bodies, body, cancelled, next, refused},
};

#[tokio::test]
async fn deliveries_carry_tag_exchange_and_key() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    ch.bind(&queue, "amq.topic", "a.#").await.unwrap();
    let key = format!("a.{queue}");
    let mut consumer = ch.consume_with(&queue, "my-tag", "", args! {}).await.unwrap();
    ch.publish("amq.topic", &key, "m").await.unwrap();
    let delivery = next(&mut consumer).await;
    assert_eq!((delivery.exchange.as_str(), delivery.routing_key.as_str()), ("amq.topic", key.as_str()));
    assert_eq!((delivery.delivery_tag, delivery.redelivered, body(&delivery).as_str()), (1, false, "m"));
}

#[tokio::test]
async fn the_server_names_a_consumer_without_tag() {
    let ch = Ch::open().await;
    let queue = ch.queue().await;
    let (first, second) = (ch.consume(&queue, "").await, ch.consume(&queue, "").await);
    assert!(first.tag().as_str().starts_with("amq.ctag-"), "{}", first.tag());
    assert_ne!(first.tag(), second.tag());
    assert_eq!(ch.counts(&queue).await, (0, 2));
}

#[tokio::test]
async fn a_tag_can_be_used_once_on_a_channel_until_it_is_cancelled() {
    let ch = Ch::open().await;
    let queue = ch.queue().await;
    let _first = ch.consume_with(&queue, "tag", "", args! {}).await.unwrap();
    let other = ch.sibling().await;
    let _elsewhere = other.consume_with(&queue, "tag", "", args! {}).await.unwrap();
    other.cancel("tag").await;
    let _again = other.consume_with(&queue, "tag", "", args! {}).await.unwrap();
    refused(
        ch.consume_with(&queue, "tag", "", args! {}).await,
        530,
        "NOT_ALLOWED - attempt to reuse consumer tag 'tag'",
    );
}

#[tokio::test]
async fn cancel_of_an_unknown_tag_is_answered() {
    let ch = Ch::open().await;
    ch.cancel("never-was").await;
    ch.queue().await;
}

#[tokio::test]
async fn consuming_from_a_missing_queue_is_404() {
    let (ch, missing) = (Ch::open().await, unique("missing"));
    refused(
        ch.consume_with(&missing, "", "", args! {}).await,
        404,
        &format!("NOT_FOUND - no queue '{missing}' in vhost '/'"),
    );
}

#[tokio::test]
async fn an_exclusive_consumer_is_alone() {
    let ch = Ch::open().await;
    let queue = ch.queue().await;
    let text = format!("ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use");
    let exclusive = ch.consume(&queue, "exclusive").await;
    for flags in ["", "exclusive"] {
        refused(ch.sibling().await.consume_with(&queue, "", flags, args! {}).await, 403, &text);
    }
    ch.cancel(exclusive.tag().as_str()).await;
    let _shared = ch.consume(&queue, "").await;
    refused(ch.sibling().await.consume_with(&queue, "", "exclusive", args! {}).await, 403, &text);
}

#[tokio::test]
async fn consumers_take_turns() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    let mut consumers = [
        ch.consume(&queue, "no-ack").await,
        ch.sibling().await.consume(&queue, "no-ack").await,
        ch.consume(&queue, "").await,
    ];
    ch.fill(&queue, (0..9).map(|n| n.to_string())).await;
    let mut seen = Vec::new();
    for consumer in &mut consumers {
        let mut part = bodies(consumer, 3).await;
        let steps: Vec<u32> = part.iter().map(|n| n.parse::<u32>().unwrap() % 3).collect();
        assert!(steps.iter().all(|step| *step == steps[0]), "every third: {part:?}");
        seen.append(&mut part);
    }
    seen.sort_unstable();
    assert_eq!(seen, ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
}

#[tokio::test]
async fn a_consumer_without_credit_is_passed_over() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    ch.qos(1, "").await;
    let mut busy = ch.consume(&queue, "").await;
    ch.fill(&queue, ["1"]).await;
    next(&mut busy).await;
    let mut free = ch.consume(&queue, "no-ack").await;
    ch.fill(&queue, ["2", "3", "4"]).await;
    assert_eq!(bodies(&mut free, 3).await, ["2", "3", "4"]);
}

#[tokio::test]
async fn the_highest_priority_with_credit_is_served_first() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    let mut low = ch.consume(&queue, "no-ack").await; // no priority is priority 0
    ch.qos(2, "").await;
    let mut high = ch.consume_with(&queue, "", "", args! { "x-priority": 10 }).await.unwrap();
    let mut negative = ch.consume_with(&queue, "", "", args! { "x-priority": -5 }).await.unwrap();
    ch.fill(&queue, ["1", "2", "3", "4"]).await;
    assert_eq!(bodies(&mut high, 2).await, ["1", "2"]);
    assert_eq!(bodies(&mut low, 2).await, ["3", "4"]);
    ch.fence(&queue).await;
    assert!(arrived(&mut negative).await.is_empty());
    ch.ack(0, "multiple").await;
    ch.fill(&queue, ["5"]).await;
    assert_eq!(bodies(&mut high, 1).await, ["5"]);
}

#[tokio::test]
async fn consumers_of_one_priority_take_turns() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    let mut consumers = Vec::new();
    for _ in 0..2 {
        consumers.push(ch.consume_with(&queue, "", "no-ack", args! { "x-priority": 3 }).await.unwrap());
    }
    ch.fill(&queue, ["1", "2", "3", "4"]).await;
    for consumer in &mut consumers {
        bodies(consumer, 2).await;
    }
}

#[tokio::test]
async fn a_priority_that_is_no_integer_is_refused_with_406() {
    let ch = Ch::open().await;
    let queue = ch.queue().await;
    for priority in [AMQPValue::LongString("high".into()), AMQPValue::Boolean(true)] {
        refused(
            ch.sibling().await.consume_with(&queue, "", "", args! { "x-priority": priority }).await,
            406,
            &format!("PRECONDITION_FAILED - invalid arg 'x-priority' for queue '{queue}' in vhost '/': "),
        );
    }
}

#[tokio::test]
async fn a_single_active_consumer_serves_alone_until_it_leaves() {
    let ch = Ch::confirming().await;
    let queue = ch.queue_with(args! { "x-single-active-consumer": true }).await;
    let (one, two, three) = (ch.sibling().await, ch.sibling().await, ch.sibling().await);
    let mut first = one.consume(&queue, "no-ack").await;
    let mut second = two.consume(&queue, "no-ack").await;
    let mut third = three.consume(&queue, "no-ack").await;
    ch.fill(&queue, ["1", "2", "3"]).await;
    assert_eq!(bodies(&mut first, 3).await, ["1", "2", "3"]);
    one.cancel(first.tag().as_str()).await;
    ch.fill(&queue, ["4"]).await;
    assert_eq!(bodies(&mut second, 1).await, ["4"], "the next oldest takes over");
    two.close().await;
    ch.await_counts(&queue, (0, 1)).await;
    ch.fill(&queue, ["5"]).await;
    assert_eq!(bodies(&mut third, 1).await, ["5"]);
}

#[tokio::test]
async fn a_single_active_consumer_out_of_credit_is_not_replaced() {
    let ch = Ch::confirming().await;
    let queue = ch.queue_with(args! { "x-single-active-consumer": true }).await;
    ch.qos(1, "").await;
    let (mut active, mut waiting) = (ch.consume(&queue, "").await, ch.consume(&queue, "").await);
    ch.fill(&queue, ["1", "2"]).await;
    let delivery = next(&mut active).await;
    ch.fence(&queue).await;
    assert!(arrived(&mut waiting).await.is_empty());
    ch.ack(delivery.delivery_tag, "").await;
    assert_eq!(bodies(&mut active, 1).await, ["2"]);
}

#[tokio::test]
async fn an_exclusive_consumer_on_a_single_active_consumer_queue_is_refused_with_403() {
    let ch = Ch::open().await;
    let queue = ch.queue_with(args! { "x-single-active-consumer": true }).await;
    refused(ch.consume_with(&queue, "", "exclusive", args! {}).await, 403, "ACCESS_REFUSED - ");
}

#[tokio::test]
async fn deleting_a_queue_cancels_its_consumers() {
    let ch = Ch::open().await;
    let queue = unique("queue");
    ch.declare(&queue, "", args! {}).await.unwrap();
    let other = Ch::open().await;
    let mut consumers = [ch.consume(&queue, "").await, other.consume(&queue, "").await];
    ch.delete(&queue, "").await.unwrap();
    for consumer in &mut consumers {
        cancelled(consumer).await;
    }
    other.queue().await; // the channel goes on
}

#[tokio::test]
async fn the_end_of_an_exclusive_queues_connection_leaves_others_alone() {
    let (ch, other) = (Ch::open().await, Ch::confirming().await);
    let queue = ch.queue().await;
    let _consumer = ch.consume(&queue, "").await;
    ch.close_connection().await;
    assert!(other.publish_mandatory("", &queue, "m").await.is_some());
}

#[tokio::test]
async fn messages_published_before_and_after_consume_arrive_in_order() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    ch.fill(&queue, (0..50).map(|n| n.to_string())).await;
    let mut consumer = ch.consume(&queue, "no-ack").await;
    ch.fill(&queue, (50..100).map(|n| n.to_string())).await;
    assert_eq!(bodies(&mut consumer, 100).await, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn every_queue_of_a_fanout_gets_every_message() {
    let ch = Ch::confirming().await;
    let exchange = ch.exchange("fanout").await;
    let mut consumers = Vec::new();
    for _ in 0..10 {
        let queue = ch.queue().await;
        ch.bind(&queue, &exchange, "").await.unwrap();
        consumers.push(ch.consume(&queue, "no-ack").await);
    }
    for n in 0..20 {
        ch.publish(&exchange, "", &n.to_string()).await.unwrap();
    }
    for consumer in &mut consumers {
        assert_eq!(bodies(consumer, 20).await, (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn no_local_is_ignored() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    let mut consumer = ch.consume(&queue, "no-ack no-local").await;
    ch.fill(&queue, ["own"]).await;
    assert_eq!(bodies(&mut consumer, 1).await, ["own"]);
}
