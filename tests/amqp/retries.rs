//! Returned messages that wait before they come again: x-delayed-retry-*.

use std::time::{Duration, Instant};

use lapin::{BasicProperties, types::FieldTable};

use crate::{
    broker::only_leveret,
    client::{Ch, args, body, next, number, refused},
};

/// The broker counts whole milliseconds.
#[track_caller]
fn at_least(start: Instant, milliseconds: u64) {
    let passed = start.elapsed() + Duration::from_millis(1);
    assert!(passed >= Duration::from_millis(milliseconds), "{passed:?} instead of {milliseconds} ms");
}

/// Rejects a message again and again; each wait must be at least so many milliseconds long.
async fn waits(table: FieldTable, expected: &[u64]) {
    let ch = Ch::confirming().await;
    let queue = ch.queue_with(table).await;
    let mut consumer = ch.consume(&queue, "").await;
    ch.fill(&queue, ["m"]).await;
    let mut delivery = next(&mut consumer).await;
    for &wait in expected {
        let start = Instant::now();
        ch.reject(delivery.delivery_tag, "requeue").await;
        delivery = next(&mut consumer).await;
        at_least(start, wait);
        assert!(delivery.redelivered);
    }
}

#[tokio::test]
async fn waits_grow_by_the_minimum_up_to_the_maximum() {
    only_leveret!("delayed retries came with RabbitMQ 4.3");
    let table = args! { "x-delayed-retry-type": "all", "x-delayed-retry-min": 20, "x-delayed-retry-max": 50 };
    waits(table, &[20, 40, 50, 50]).await;
}

#[tokio::test]
async fn waits_grow_by_a_factor_if_the_queue_says_so() {
    only_leveret!("delayed retries came with RabbitMQ 4.3");
    let table = args! {
        "x-delayed-retry-type": "all", "x-delayed-retry-min": 10, "x-delayed-retry-backoff": "exponential",
    };
    waits(table, &[10, 20, 40, 80]).await;
    let table = args! {
        "x-delayed-retry-type": "all", "x-delayed-retry-min": 10, "x-delayed-retry-backoff": "exponential",
        "x-delayed-retry-multiplier": 5, "x-delayed-retry-max": 100,
    };
    waits(table, &[10, 50, 100, 100]).await;
}

#[tokio::test]
async fn other_messages_pass_and_the_credit_is_free_while_one_waits() {
    only_leveret!("delayed retries came with RabbitMQ 4.3");
    let ch = Ch::confirming().await;
    let table = args! { "x-delayed-retry-type": "all", "x-delayed-retry-min": 300 };
    let queue = ch.queue_with(table).await;
    ch.qos(1, "").await;
    let mut consumer = ch.consume(&queue, "").await;
    ch.fill(&queue, ["fails", "passes", "passes too"]).await;
    let fails = next(&mut consumer).await;
    let start = Instant::now();
    ch.reject(fails.delivery_tag, "requeue").await;
    for expected in ["passes", "passes too"] {
        let delivery = next(&mut consumer).await;
        assert_eq!(body(&delivery), expected);
        ch.ack(delivery.delivery_tag, "").await;
    }
    assert_eq!(ch.counts(&queue).await, (0, 1), "what waits is not ready");
    let again = next(&mut consumer).await;
    assert_eq!((body(&again), again.redelivered), ("fails".to_owned(), true));
    at_least(start, 300);
}

#[tokio::test]
async fn those_that_failed_or_those_that_were_returned_wait_as_the_queue_says() {
    only_leveret!("delayed retries came with RabbitMQ 4.3");
    let ch = Ch::confirming().await;
    for (kind, reject_waits) in [("failed", true), ("returned", false)] {
        let table = args! { "x-delayed-retry-type": kind, "x-delayed-retry-min": 600_000 };
        let queue = ch.queue_with(table).await;
        let mut consumer = ch.consume(&queue, "").await;
        ch.fill(&queue, ["waits", "does not wait"]).await;
        let (waits, does_not) = (next(&mut consumer).await, next(&mut consumer).await);
        if reject_waits {
            ch.reject(waits.delivery_tag, "requeue").await;
            ch.nack(does_not.delivery_tag, "requeue").await;
        } else {
            ch.nack(waits.delivery_tag, "requeue").await;
            ch.reject(does_not.delivery_tag, "requeue").await;
        }
        assert_eq!(body(&next(&mut consumer).await), "does not wait", "{kind}");
    }
}

#[tokio::test]
async fn without_a_type_nothing_waits() {
    only_leveret!("delayed retries came with RabbitMQ 4.3");
    let tables = [
        args! { "x-delayed-retry-min": 600_000 },
        args! { "x-delayed-retry-type": "disabled", "x-delayed-retry-min": 600_000 },
    ];
    for table in tables {
        waits(table, &[0, 0]).await;
    }
}

#[tokio::test]
async fn a_message_may_say_otherwise_than_its_queue() {
    only_leveret!("messages have no say in RabbitMQ");
    let ch = Ch::confirming().await;
    let table = args! { "x-delayed-retry-type": "all", "x-delayed-retry-min": 600_000 };
    let queue = ch.queue_with(table).await;
    let mut consumer = ch.consume(&queue, "").await;
    for headers in [args! { "x-delayed-retry-type": "disabled" }, args! { "x-delayed-retry-min": 20 }] {
        let wait = if headers.inner().contains_key("x-delayed-retry-min") { 20 } else { 0 };
        let properties = BasicProperties::default().with_headers(headers);
        ch.publish_with("", &queue, "m", "", properties).await.unwrap();
        let delivery = next(&mut consumer).await;
        let start = Instant::now();
        ch.reject(delivery.delivery_tag, "requeue").await;
        let again = next(&mut consumer).await;
        at_least(start, wait);
        ch.ack(again.delivery_tag, "").await;
    }
    let plain = ch.queue().await;
    let mut consumer = ch.consume(&plain, "").await;
    let headers = args! { "x-delayed-retry-type": "failed", "x-delayed-retry-min": 30 };
    ch.publish_with("", &plain, "m", "", BasicProperties::default().with_headers(headers)).await.unwrap();
    let delivery = next(&mut consumer).await;
    let start = Instant::now();
    ch.reject(delivery.delivery_tag, "requeue").await;
    next(&mut consumer).await;
    at_least(start, 30);
}

#[tokio::test]
async fn a_delivery_limit_ends_retries_whatever_kind_of_return_they_were() {
    only_leveret!("delayed retries came with RabbitMQ 4.3");
    let ch = Ch::confirming().await;
    let dead = ch.queue().await;
    let table = args! {
        "x-delayed-retry-type": "all", "x-delayed-retry-min": 5, "x-delivery-limit": 2,
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": &dead,
    };
    let queue = ch.queue_with(table).await;
    let mut consumer = ch.consume(&queue, "").await;
    ch.fill(&queue, ["m"]).await;
    for _ in 0..3 {
        ch.nack(next(&mut consumer).await.delivery_tag, "requeue").await;
    }
    ch.await_counts(&dead, (1, 0)).await;
}

#[tokio::test]
async fn what_a_closed_channel_held_waits_too() {
    only_leveret!("delayed retries came with RabbitMQ 4.3");
    let ch = Ch::confirming().await;
    let table = args! { "x-delayed-retry-type": "failed", "x-delayed-retry-min": 60 };
    let queue = ch.queue_with(table).await;
    let other = ch.sibling().await;
    let mut first = other.consume(&queue, "").await;
    ch.fill(&queue, ["m"]).await;
    next(&mut first).await;
    let start = Instant::now();
    other.close().await;
    let mut second = ch.consume(&queue, "").await;
    next(&mut second).await;
    at_least(start, 60);
}

#[tokio::test]
async fn what_comes_back_stands_where_it_was() {
    only_leveret!("delayed retries came with RabbitMQ 4.3");
    let ch = Ch::confirming().await;
    let table = args! { "x-delayed-retry-type": "all", "x-delayed-retry-min": 20 };
    let queue = ch.queue_with(table).await;
    ch.fill(&queue, ["a", "b", "c"]).await;
    for _ in 0..2 {
        ch.get(&queue, "").await.unwrap().unwrap();
    }
    ch.nack(2, "multiple requeue").await;
    ch.await_counts(&queue, (3, 0)).await;
    assert_eq!(ch.drain(&queue).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_consumer_is_told_how_often_a_message_failed_wherever_that_counts() {
    only_leveret!("classic queues neither count nor wait with RabbitMQ");
    let retried = args! { "x-delayed-retry-type": "all", "x-delayed-retry-min": 1 };
    for (table, headers) in [
        (retried.clone(), args! {}),
        (args! { "x-delivery-limit": 9 }, args! {}),
        (args! {}, retried.clone()),
    ] {
        let ch = Ch::confirming().await;
        let queue = ch.queue_with(table.clone()).await;
        let properties = BasicProperties::default().with_headers(headers.clone());
        ch.publish_with("", &queue, "m", "", properties).await.unwrap();
        let got = ch.get(&queue, "").await.unwrap().unwrap();
        assert_eq!(number(&got, "x-delivery-count"), None);
        ch.reject(got.delivery_tag, "requeue").await;
        ch.await_counts(&queue, (1, 0)).await;
        let got = ch.get(&queue, "").await.unwrap().unwrap();
        assert_eq!(number(&got, "x-delivery-count"), Some(1));
        ch.reject(got.delivery_tag, "requeue").await;
        let mut consumer = ch.consume(&queue, "").await;
        for count in [Some(2), Some(3)] {
            let delivery = next(&mut consumer).await;
            let counts = ["x-delivery-count", "x-acquired-count"].map(|name| number(&delivery, name));
            assert_eq!(counts, [count, count], "{table:?} {headers:?}");
            ch.reject(delivery.delivery_tag, "requeue").await;
        }
    }
}

#[tokio::test]
async fn what_waits_is_counted_and_goes_with_a_purge_and_keeps_a_queue_from_being_empty() {
    only_leveret!("delayed retries came with RabbitMQ 4.3");
    let ch = Ch::confirming().await;
    let table = args! { "x-delayed-retry-type": "all", "x-delayed-retry-min": 600_000 };
    let queue = ch.queue_with(table).await;
    let returned = async || {
        ch.fill(&queue, ["waits", "stays"]).await;
        let got = ch.get(&queue, "").await.unwrap().unwrap();
        ch.reject(got.delivery_tag, "requeue").await;
        assert_eq!(ch.counts(&queue).await, (1, 0));
    };
    returned().await;
    assert_eq!(ch.purge(&queue).await.unwrap(), 2);
    assert_eq!(ch.purge(&queue).await.unwrap(), 0);
    returned().await;
    assert!(ch.get(&queue, "no-ack").await.unwrap().is_some());
    let other = ch.sibling().await;
    refused(other.delete(&queue, "if-empty").await, 406, "PRECONDITION_FAILED - ");
    assert_eq!(ch.delete(&queue, "").await.unwrap(), 1);
}

#[tokio::test]
async fn a_queue_that_is_deleted_forgets_what_waits() {
    only_leveret!("delayed retries came with RabbitMQ 4.3");
    let ch = Ch::confirming().await;
    let table = args! { "x-delayed-retry-type": "all", "x-delayed-retry-min": 20 };
    let queue = ch.queue_with(table.clone()).await;
    ch.fill(&queue, ["m"]).await;
    ch.get(&queue, "").await.unwrap().unwrap();
    ch.nack(1, "requeue").await;
    assert_eq!(ch.delete(&queue, "").await.unwrap(), 1);
    ch.declare(&queue, "exclusive", table).await.unwrap();
    crate::client::pass(&ch, 40).await;
    assert_eq!(ch.counts(&queue).await, (0, 0));
}
