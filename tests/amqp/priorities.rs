//! Queues with x-max-priority.

use lapin::BasicProperties;

use crate::{
    broker::unique,
    client::{Ch, args, bodies, body, next, pass},
};

async fn publish(ch: &Ch, queue: &str, priority: u8) {
    let properties = BasicProperties::default().with_priority(priority);
    ch.publish_with("", queue, &format!("p{priority}"), "", properties).await.unwrap();
}

#[tokio::test]
async fn the_highest_priority_goes_first_and_equals_in_their_order() {
    let ch = Ch::confirming().await;
    let queue = ch.queue_with(args! { "x-max-priority": 5 }).await;
    ch.fill(&queue, ["none"]).await;
    for priority in [1, 5, 0, 3] {
        publish(&ch, &queue, priority).await;
    }
    ch.fill(&queue, ["none again"]).await;
    publish(&ch, &queue, 5).await;
    assert_eq!(ch.drain(&queue).await, ["p5", "p5", "p3", "p1", "none", "p0", "none again"]);
}

#[tokio::test]
async fn a_priority_above_the_maximum_is_the_maximum() {
    let ch = Ch::confirming().await;
    let queue = ch.queue_with(args! { "x-max-priority": 2 }).await;
    for priority in [1, 200, 2, 255, 3] {
        publish(&ch, &queue, priority).await;
    }
    let first = ch.get(&queue, "no-ack").await.unwrap().unwrap();
    assert_eq!(*first.properties.priority(), Some(200), "the property stays as it was");
    assert_eq!(ch.drain(&queue).await, ["p2", "p255", "p3", "p1"]);
}

#[tokio::test]
async fn a_queue_without_the_argument_heeds_no_priority() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    for priority in [0, 9, 5] {
        publish(&ch, &queue, priority).await;
    }
    assert_eq!(ch.drain(&queue).await, ["p0", "p9", "p5"]);
}

#[tokio::test]
async fn a_maximum_of_0_and_of_255_are_fine() {
    let ch = Ch::confirming().await;
    for (max, order) in [(0, ["p0", "p255", "p7"]), (255, ["p255", "p7", "p0"])] {
        let queue = ch.queue_with(args! { "x-max-priority": max }).await;
        for priority in [0, 255, 7] {
            publish(&ch, &queue, priority).await;
        }
        assert_eq!(ch.drain(&queue).await, order);
    }
}

#[tokio::test]
async fn a_requeued_message_keeps_its_place_among_its_priority() {
    let ch = Ch::confirming().await;
    let queue = ch.queue_with(args! { "x-max-priority": 5 }).await;
    let high = BasicProperties::default().with_priority(4);
    for body in ["a", "b", "c"] {
        ch.publish_with("", &queue, body, "", high.clone()).await.unwrap();
    }
    ch.fill(&queue, ["low"]).await;
    let (a, b) = (ch.get(&queue, "").await.unwrap().unwrap(), ch.get(&queue, "").await.unwrap().unwrap());
    publish(&ch, &queue, 5).await;
    ch.nack(b.delivery_tag, "requeue").await;
    ch.nack(a.delivery_tag, "requeue").await;
    assert_eq!(ch.drain(&queue).await, ["p5", "a", "b", "c", "low"]);
}

#[tokio::test]
async fn a_consumer_gets_the_highest_that_waits_when_it_has_room() {
    let ch = Ch::confirming().await;
    let queue = ch.queue_with(args! { "x-max-priority": 5 }).await;
    ch.qos(1, "").await;
    let mut consumer = ch.consume(&queue, "").await;
    for priority in [0, 1, 5, 3] {
        publish(&ch, &queue, priority).await;
    }
    for expected in ["p0", "p5", "p3", "p1"] {
        let delivery = next(&mut consumer).await;
        assert_eq!(body(&delivery), expected);
        ch.ack(delivery.delivery_tag, "").await;
    }
}

#[tokio::test]
async fn a_full_queue_drops_what_would_be_delivered_first() {
    let ch = Ch::confirming().await;
    let queue = ch.queue_with(args! { "x-max-priority": 5, "x-max-length": 2 }).await;
    for priority in [1, 4, 2, 3] {
        publish(&ch, &queue, priority).await;
    }
    // RabbitMQ's documentation: high priorities may be dropped to make way for low ones.
    assert_eq!(ch.drain(&queue).await, ["p2", "p1"]);
}

#[tokio::test]
async fn what_expires_behind_a_higher_priority_waits_for_its_turn() {
    let ch = Ch::confirming().await;
    let queue = ch.queue_with(args! { "x-max-priority": 5 }).await;
    publish(&ch, &queue, 5).await;
    let properties = BasicProperties::default().with_priority(1).with_expiration("10".into());
    ch.publish_with("", &queue, "expires", "", properties).await.unwrap();
    ch.fill(&queue, ["last"]).await;
    pass(&ch, 30).await;
    assert_eq!(ch.drain(&queue).await, ["p5", "last"]);
}

#[tokio::test]
async fn ttl_length_and_priority_hold_together() {
    let ch = Ch::confirming().await;
    let table = args! { "x-max-priority": 3, "x-max-length": 3, "x-message-ttl": 40 };
    let queue = ch.queue_with(table).await;
    for priority in [0, 3, 1, 2] {
        publish(&ch, &queue, priority).await;
    }
    ch.await_counts(&queue, (0, 0)).await;
    let mut consumer = ch.consume(&queue, "no-ack").await;
    publish(&ch, &queue, 2).await;
    assert_eq!(bodies(&mut consumer, 1).await, ["p2"]);
}

#[tokio::test]
async fn persistent_messages_keep_their_order_by_priority() {
    let ch = Ch::confirming().await;
    let queue = unique("queue");
    ch.declare(&queue, "durable", args! { "x-max-priority": 9 }).await.unwrap();
    for n in 0..50_u8 {
        let properties = BasicProperties::default().with_delivery_mode(2).with_priority(n % 10);
        ch.publish_with("", &queue, &format!("{}-{n:02}", n % 10), "", properties).await.unwrap();
    }
    let drained = ch.drain(&queue).await;
    let mut sorted = drained.clone();
    sorted.sort_by(|one, other| other[..1].cmp(&one[..1]).then(one.cmp(other)));
    assert_eq!((drained.len(), &drained), (50, &sorted));
    ch.delete(&queue, "").await.unwrap();
}

#[tokio::test]
async fn a_single_active_consumer_gets_the_highest_priority_first() {
    let ch = Ch::confirming().await;
    let queue = ch.queue_with(args! { "x-max-priority": 5, "x-single-active-consumer": true }).await;
    for priority in [1, 5, 3] {
        publish(&ch, &queue, priority).await;
    }
    let mut active = ch.consume(&queue, "").await;
    let mut next_in_line = ch.consume(&queue, "").await;
    assert_eq!(bodies(&mut active, 3).await, ["p5", "p3", "p1"]);
    ch.cancel(active.tag().as_str()).await;
    ch.nack(0, "multiple requeue").await;
    assert_eq!(bodies(&mut next_in_line, 3).await, ["p5", "p3", "p1"]);
}
