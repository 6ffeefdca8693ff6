//! Quorum queues: counts of deliveries, and their limit.

use lapin::{BasicProperties, types::FieldTable};

use crate::{
    broker::{only_leveret, unique},
    client::{Ch, args, body, header, next, number, text},
};

/// A quorum queue with these arguments; the test deletes it.
async fn quorum(ch: &Ch, mut table: FieldTable) -> String {
    let queue = unique("quorum");
    table.insert("x-queue-type".into(), crate::client::IntoValue::into_value("quorum"));
    ch.declare(&queue, "durable", table).await.unwrap();
    queue
}

/// The next delivery's `x-delivery-count` and `x-acquired-count`, and its tag.
async fn counts(consumer: &mut lapin::Consumer) -> (Option<i64>, Option<i64>, u64) {
    let delivery = next(consumer).await;
    let counts = ["x-delivery-count", "x-acquired-count"].map(|name| number(&delivery, name));
    assert_eq!(delivery.redelivered, counts[1].is_some() || counts[0].is_some());
    (counts[0], counts[1], delivery.delivery_tag)
}

#[tokio::test]
async fn priorities_count_in_32_levels_without_an_argument_and_the_middle_is_where_nothing_is_said() {
    only_leveret!("levels are strict since RabbitMQ 4.3");
    let ch = Ch::confirming().await;
    let queue = quorum(&ch, args! {}).await;
    for priority in [None, Some(3), Some(31), Some(5), Some(4), Some(0), Some(200), None] {
        let text = priority.map_or("none".to_owned(), |priority| format!("p{priority}"));
        let properties = priority.map(|priority| BasicProperties::default().with_priority(priority));
        ch.publish_with("", &queue, &text, "", properties.unwrap_or_default()).await.unwrap();
    }
    assert_eq!(ch.drain(&queue).await, ["p31", "p200", "p5", "none", "p4", "none", "p3", "p0"]);
    ch.delete(&queue, "").await.unwrap();
}

#[tokio::test]
async fn a_quorum_queue_is_a_queue() {
    let ch = Ch::confirming().await;
    let queue = quorum(&ch, args! {}).await;
    ch.fill(&queue, ["a", "b", "c"]).await;
    ch.await_counts(&queue, (3, 0)).await;
    let held = ch.get(&queue, "").await.unwrap().unwrap();
    let count = number(&held, "x-delivery-count").unwrap_or(0); // RabbitMQ 3.10 says 0 here and nothing elsewhere
    assert_eq!((body(&held), count), ("a".into(), 0));
    ch.ack(held.delivery_tag, "").await;
    assert_eq!(ch.drain(&queue).await, ["b", "c"]);
    ch.delete(&queue, "").await.unwrap();
}

#[tokio::test]
async fn a_rejected_delivery_counts_as_failed_and_a_nacked_one_does_not() {
    only_leveret!("so it is since RabbitMQ 4.3");
    let ch = Ch::confirming().await;
    let queue = quorum(&ch, args! {}).await;
    let mut consumer = ch.consume(&queue, "").await;
    ch.fill(&queue, ["m"]).await;
    let (failed, returned, tag) = counts(&mut consumer).await;
    assert_eq!((failed, returned), (None, None));
    ch.reject(tag, "requeue").await;
    let (failed, returned, tag) = counts(&mut consumer).await;
    assert_eq!((failed, returned), (Some(1), Some(1)));
    ch.nack(tag, "requeue").await;
    let (failed, returned, tag) = counts(&mut consumer).await;
    assert_eq!((failed, returned), (Some(1), Some(2)));
    ch.reject(tag, "requeue").await;
    let (failed, returned, _) = counts(&mut consumer).await;
    assert_eq!((failed, returned), (Some(2), Some(3)));
    ch.delete(&queue, "").await.unwrap();
}

#[tokio::test]
async fn what_is_recovered_is_no_failure() {
    only_leveret!("so it is since RabbitMQ 4.3");
    let ch = Ch::confirming().await;
    let queue = quorum(&ch, args! {}).await;
    ch.fill(&queue, ["m"]).await;
    ch.get(&queue, "").await.unwrap().unwrap();
    ch.recover("requeue").await.unwrap();
    let again = ch.get(&queue, "").await.unwrap().unwrap();
    assert_eq!((number(&again, "x-delivery-count"), number(&again, "x-acquired-count")), (Some(0), Some(1)));
    ch.delete(&queue, "").await.unwrap();
}

#[tokio::test]
async fn x_delivery_count_counts_the_rejected_deliveries() {
    let ch = Ch::confirming().await;
    let queue = quorum(&ch, args! {}).await;
    let mut consumer = ch.consume(&queue, "").await;
    let properties = BasicProperties::default().with_headers(args! { "mine": 7 }).with_delivery_mode(2);
    ch.publish_with("", &queue, "m", "", properties).await.unwrap();
    for count in [None, Some(1), Some(2), Some(3)] {
        let delivery = next(&mut consumer).await;
        assert_eq!((number(&delivery, "x-delivery-count"), number(&delivery, "mine")), (count, Some(7)));
        ch.reject(delivery.delivery_tag, "requeue").await;
    }
    ch.delete(&queue, "").await.unwrap();
}

#[tokio::test]
async fn basic_get_shows_the_counts_too() {
    let ch = Ch::confirming().await;
    let queue = quorum(&ch, args! {}).await;
    ch.fill(&queue, ["m"]).await;
    ch.await_counts(&queue, (1, 0)).await;
    let first = ch.get(&queue, "").await.unwrap().unwrap();
    ch.reject(first.delivery_tag, "requeue").await;
    ch.await_counts(&queue, (1, 0)).await;
    let second = ch.get(&queue, "").await.unwrap().unwrap();
    assert_eq!((number(&second, "x-delivery-count"), second.redelivered), (Some(1), true));
    ch.delete(&queue, "").await.unwrap();
}

#[tokio::test]
async fn classic_queues_do_not_show_counts() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    let mut consumer = ch.consume(&queue, "").await;
    ch.fill(&queue, ["m"]).await;
    ch.reject(next(&mut consumer).await.delivery_tag, "requeue").await;
    let again = next(&mut consumer).await;
    assert_eq!((header(&again, "x-delivery-count"), header(&again, "x-acquired-count")), (None, None));
}

#[tokio::test]
async fn a_message_may_fail_20_times_unless_its_queue_says_otherwise() {
    only_leveret!("so it is since RabbitMQ 4.0");
    let ch = Ch::confirming().await;
    let dead = ch.queue().await;
    for (limit, deliveries) in [(None, 21), (Some(3), 4), (Some(0), 1)] {
        let mut table = args! { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": &dead };
        if let Some(limit) = limit {
            table.insert("x-delivery-limit".into(), crate::client::IntoValue::into_value(limit));
        }
        let queue = quorum(&ch, table).await;
        let mut consumer = ch.consume(&queue, "").await;
        ch.fill(&queue, ["m"]).await;
        for _ in 0..deliveries {
            ch.reject(next(&mut consumer).await.delivery_tag, "requeue").await;
        }
        ch.await_counts(&dead, (1, 0)).await;
        let letter = ch.get(&dead, "no-ack").await.unwrap().unwrap();
        assert_eq!(text(&letter, "x-first-death-reason").as_deref(), Some("delivery_limit"));
        assert_eq!(header(&letter, "x-delivery-count"), None);
        ch.delete(&queue, "").await.unwrap();
    }
}

#[tokio::test]
async fn a_negative_limit_is_none() {
    only_leveret!("so it is since RabbitMQ 4.0");
    let ch = Ch::confirming().await;
    let queue = quorum(&ch, args! { "x-delivery-limit": -1 }).await;
    let mut consumer = ch.consume(&queue, "").await;
    ch.fill(&queue, ["m"]).await;
    for _ in 0..40 {
        ch.reject(next(&mut consumer).await.delivery_tag, "requeue").await;
    }
    assert_eq!(number(&next(&mut consumer).await, "x-delivery-count"), Some(40));
    ch.delete(&queue, "").await.unwrap();
}

#[tokio::test]
async fn nacks_do_not_use_the_limit_up() {
    only_leveret!("so it is since RabbitMQ 4.3");
    let ch = Ch::confirming().await;
    let queue = quorum(&ch, args! { "x-delivery-limit": 1 }).await;
    let mut consumer = ch.consume(&queue, "").await;
    ch.fill(&queue, ["m"]).await;
    for _ in 0..10 {
        ch.nack(next(&mut consumer).await.delivery_tag, "requeue").await;
    }
    let (failed, returned, _) = counts(&mut consumer).await;
    assert_eq!((failed, returned), (Some(0), Some(10)));
    ch.delete(&queue, "").await.unwrap();
}

#[tokio::test]
async fn what_a_lost_connection_or_channel_held_counts_as_failed() {
    let ch = Ch::confirming().await;
    let dead = ch.queue().await;
    let table = args! {
        "x-delivery-limit": 2, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": &dead,
    };
    let queue = quorum(&ch, table).await;
    ch.fill(&queue, ["m"]).await;
    for (count, whole_connection) in [(None, true), (Some(1), false), (Some(2), true)] {
        let other = Ch::open().await;
        let mut consumer = other.consume(&queue, "").await;
        assert_eq!(number(&next(&mut consumer).await, "x-delivery-count"), count);
        if whole_connection {
            other.close_connection().await;
        } else {
            other.close().await;
        }
    }
    ch.await_counts(&dead, (1, 0)).await;
    ch.await_counts(&queue, (0, 0)).await;
    ch.delete(&queue, "").await.unwrap();
}

#[tokio::test]
async fn a_message_over_the_limit_is_dropped_without_a_dead_letter_exchange() {
    let ch = Ch::confirming().await;
    let queue = quorum(&ch, args! { "x-delivery-limit": 1 }).await;
    let mut consumer = ch.consume(&queue, "").await;
    ch.fill(&queue, ["dropped"]).await;
    for _ in 0..2 {
        ch.reject(next(&mut consumer).await.delivery_tag, "requeue").await;
    }
    ch.fill(&queue, ["next"]).await;
    assert_eq!(body(&next(&mut consumer).await), "next");
    ch.delete(&queue, "").await.unwrap();
}
