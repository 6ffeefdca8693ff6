//! Consumers that hold messages for too long: x-consumer-timeout, renewal. It is looked for them once a second.

use std::time::Duration;

use crate::{
    broker::{only_leveret, unique},
    client::{Ch, args, bodies, body, cancelled, next},
};

#[tokio::test]
async fn a_consumer_that_holds_a_message_too_long_is_cancelled_and_all_that_it_holds_comes_back() {
    only_leveret!("the timeout is an argument since RabbitMQ 4.3");
    let ch = Ch::confirming().await;
    let (by_consumer, by_queue) =
        (ch.queue().await, ch.queue_with(args! { "x-consumer-timeout": 500 }).await);
    for (queue, table) in [(&by_consumer, args! { "x-consumer-timeout": 500 }), (&by_queue, args! {})] {
        ch.fill(queue, ["a", "b", "c", "d"]).await;
        let other = ch.sibling().await;
        other.qos(3, "").await;
        let mut consumer = other.consume_with(queue, "late", "", table).await.unwrap();
        let first = next(&mut consumer).await;
        assert_eq!(bodies(&mut consumer, 2).await, ["b", "c"]);
        other.ack(first.delivery_tag, "").await;
        assert_eq!(body(&next(&mut consumer).await), "d");
        cancelled(&mut consumer).await;
        let back = ch.get(queue, "").await.unwrap().unwrap();
        assert_eq!((body(&back), back.redelivered, back.message_count), ("b".to_owned(), true, 2));
        ch.nack(back.delivery_tag, "requeue").await;
        assert_eq!(ch.counts(queue).await, (3, 0));
        let mut consumer = other.consume_with(queue, "late", "no-ack", args! {}).await.unwrap();
        assert_eq!(bodies(&mut consumer, 3).await, ["b", "c", "d"], "channel and tag can be used again");
        other.close().await;
    }
}

#[tokio::test]
async fn the_next_single_active_consumer_gets_them_in_their_order() {
    only_leveret!("the timeout is an argument since RabbitMQ 4.3");
    let ch = Ch::confirming().await;
    let table = args! { "x-single-active-consumer": true, "x-consumer-timeout": 500 };
    let queue = ch.queue_with(table).await;
    ch.qos(2, "").await;
    let mut active = ch.consume(&queue, "").await;
    let mut successor = ch.consume(&queue, "no-ack").await;
    ch.fill(&queue, ["a", "b", "c", "d"]).await;
    assert_eq!(bodies(&mut active, 2).await, ["a", "b"]);
    cancelled(&mut active).await;
    assert_eq!(bodies(&mut successor, 4).await, ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn a_consumer_that_says_that_it_is_at_work_has_more_time() {
    only_leveret!("RabbitMQ has no such thing");
    let ch = Ch::confirming().await;
    let timeout = || args! { "x-consumer-timeout": 1_200 };
    let (one, all, none) = (ch.sibling().await, ch.sibling().await, ch.sibling().await);
    let mut consumers = Vec::new();
    for channel in [&one, &all, &none] {
        let queue = channel.queue().await;
        ch.fill(&queue, ["a", "b"]).await;
        let mut consumer = channel.consume_with(&queue, "", "", timeout()).await.unwrap();
        let tag = next(&mut consumer).await.delivery_tag;
        next(&mut consumer).await;
        if consumers.is_empty() {
            channel.ack(tag, "").await;
        }
        consumers.push((queue, consumer));
    }
    let (none_queue, mut none_consumer) = consumers.pop().unwrap();
    let late = cancelled(&mut none_consumer);
    tokio::pin!(late);
    while futures_lite::future::poll_once(&mut late).await.is_none() {
        one.publish("", "amq.renew.2", "").await.unwrap();
        all.publish("", "amq.renew.0", "").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ch.counts(&none_queue).await, (2, 0));
    for (queue, _) in &consumers {
        assert_eq!(ch.counts(queue).await, (0, 1), "they had their messages for longer");
    }
    for (_, consumer) in &mut consumers {
        cancelled(consumer).await; // now that they are silent
    }
}

#[tokio::test]
async fn a_message_from_basic_get_that_is_held_too_long_closes_the_channel_with_406() {
    only_leveret!("the timeout is an argument since RabbitMQ 4.3");
    let ch = Ch::confirming().await;
    let queue = unique("queue");
    ch.declare(&queue, "auto-delete", args! { "x-consumer-timeout": 500 }).await.unwrap();
    ch.fill(&queue, ["m"]).await;
    let other = Ch::open().await;
    let waits_for_the_end = async {
        other.get(&queue, "").await.unwrap().unwrap();
        ch.await_counts(&queue, (1, 0)).await;
    };
    let text =
        "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 500 ms.";
    other.closes(waits_for_the_end, 406, text).await;
    ch.delete(&queue, "").await.unwrap();
}

#[tokio::test]
async fn a_late_consumer_does_not_block_the_others_of_its_channel() {
    only_leveret!("the timeout is an argument since RabbitMQ 4.3");
    let ch = Ch::confirming().await;
    let (held, waits) = (ch.queue_with(args! { "x-consumer-timeout": 500 }).await, ch.queue().await);
    let other = ch.sibling().await;
    other.qos(1, "global").await;
    let mut late = other.consume(&held, "").await;
    ch.fill(&held, ["m"]).await;
    next(&mut late).await;
    let mut patient = other.consume(&waits, "").await;
    ch.fill(&waits, ["waits for the channel's prefetch"]).await;
    cancelled(&mut late).await;
    next(&mut patient).await;
}

#[tokio::test]
async fn classic_queues_have_no_timeout_unless_they_say_so() {
    only_leveret!("so it is since RabbitMQ 4.3");
    let Some(broker) = crate::broker::Broker::start(&["--consumer-timeout", "500"], &[]) else { return };
    let ch = Ch::open_to(broker).await.confirm().await;
    let (classic, quorum) = (ch.queue().await, unique("quorum"));
    ch.declare(&quorum, "durable", args! { "x-queue-type": "quorum" }).await.unwrap();
    ch.fill(&classic, ["m"]).await;
    ch.fill(&quorum, ["m"]).await;
    let (mut patient, mut late) = (ch.consume(&classic, "").await, ch.consume(&quorum, "").await);
    next(&mut patient).await;
    next(&mut late).await;
    cancelled(&mut late).await;
    assert_eq!((ch.counts(&classic).await, ch.counts(&quorum).await), ((0, 1), (1, 0)));
}
