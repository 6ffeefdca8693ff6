//! basic.qos, for each consumer and for the whole channel.

use lapin::options::BasicQosOptions;

use crate::client::{Ch, arrived, bodies, next, within};

/// How many more deliveries each consumer was sent by now.
macro_rules! arrivals {
    ($ch:expr, $queue:expr, $($consumer:expr),+) => {{
        $ch.fence(&$queue).await;
        [$(arrived(&mut $consumer).await.len()),+]
    }};
}

async fn filled(count: usize) -> (Ch, String) {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    ch.fill(&queue, (0..count).map(|n| n.to_string())).await;
    (ch, queue)
}

#[tokio::test]
async fn prefetch_window_reopens_after_multiple_ack() {
    let (ch, queue) = filled(5).await;
    ch.qos(2, "").await;
    let mut consumer = ch.consume(&queue, "").await;
    assert_eq!(bodies(&mut consumer, 2).await, ["0", "1"]);
    assert_eq!(arrivals!(ch, queue, consumer), [0]);
    ch.ack(2, "multiple").await;
    assert_eq!(bodies(&mut consumer, 2).await, ["2", "3"]);
    assert_eq!(arrivals!(ch, queue, consumer), [0]);
}

#[tokio::test]
async fn rejecting_opens_the_window_as_acknowledging_does() {
    let (ch, queue) = filled(3).await;
    ch.qos(1, "").await;
    let mut consumer = ch.consume(&queue, "").await;
    ch.reject(next(&mut consumer).await.delivery_tag, "").await;
    ch.nack(next(&mut consumer).await.delivery_tag, "").await;
    ch.ack(next(&mut consumer).await.delivery_tag, "").await;
    assert_eq!(ch.counts(&queue).await, (0, 1));
}

#[tokio::test]
async fn prefetch_applies_to_each_new_consumer_and_not_to_older_ones() {
    let (ch, queue) = filled(20).await;
    ch.qos(2, "").await;
    let mut first = ch.consume(&queue, "").await;
    ch.qos(3, "").await;
    let mut second = ch.consume(&queue, "").await;
    assert_eq!(arrivals!(ch, queue, first, second), [2, 3]);
    ch.ack(0, "multiple").await;
    assert_eq!(arrivals!(ch, queue, first, second), [2, 3]);
}

#[tokio::test]
async fn zero_is_no_limit() {
    let (ch, queue) = filled(500).await;
    ch.qos(1, "").await;
    ch.qos(0, "").await;
    let mut consumer = ch.consume(&queue, "").await;
    bodies(&mut consumer, 500).await;
}

#[tokio::test]
async fn prefetch_means_nothing_without_acknowledgements() {
    let (ch, queue) = filled(10).await;
    ch.qos(1, "").await;
    let mut consumer = ch.consume(&queue, "no-ack").await;
    bodies(&mut consumer, 10).await;
}

#[tokio::test]
async fn global_prefetch_is_shared_by_the_channels_consumers() {
    let (ch, queue) = filled(20).await;
    ch.qos(3, "global").await;
    let (mut first, mut second) = (ch.consume(&queue, "").await, ch.consume(&queue, "").await);
    let sent: usize = arrivals!(ch, queue, first, second).iter().sum();
    assert_eq!(sent, 3);
    ch.ack(2, "multiple").await;
    let sent: usize = arrivals!(ch, queue, first, second).iter().sum();
    assert_eq!(sent, 2);
    let other = ch.sibling().await;
    let mut elsewhere = other.consume(&queue, "").await;
    assert_eq!(arrivals!(other, queue, elsewhere), [15], "it is per channel, not per connection");
}

#[tokio::test]
async fn a_used_up_global_prefetch_holds_back_consumers_without_acknowledgements_as_well() {
    let (ch, queue) = filled(2).await;
    let free = ch.queue().await;
    ch.fill(&free, (0..3).map(|n| n.to_string())).await;
    ch.qos(2, "global").await;
    let mut holding = ch.consume(&queue, "").await;
    assert_eq!(arrivals!(ch, queue, holding), [2]);
    let mut unacked = ch.consume(&free, "no-ack").await;
    assert_eq!(arrivals!(ch, free, unacked), [0]);
    ch.ack(1, "").await;
    assert_eq!(bodies(&mut unacked, 3).await, ["0", "1", "2"]);
}

#[tokio::test]
async fn global_and_consumer_prefetch_hold_together() {
    let (ch, queue) = filled(20).await;
    ch.qos(2, "").await;
    ch.qos(3, "global").await;
    let (mut first, mut second) = (ch.consume(&queue, "").await, ch.consume(&queue, "").await);
    assert_eq!(arrivals!(ch, queue, first, second), [2, 1]);
}

#[tokio::test]
async fn a_consumer_prefetch_set_later_lifts_the_global_one() {
    let (ch, queue) = filled(20).await;
    ch.qos(3, "global").await;
    ch.qos(2, "").await;
    let (mut first, mut second) = (ch.consume(&queue, "").await, ch.consume(&queue, "").await);
    assert_eq!(arrivals!(ch, queue, first, second), [2, 2]);
}

#[tokio::test]
async fn raising_the_global_prefetch_lets_more_through_at_once() {
    let (ch, queue) = filled(20).await;
    ch.qos(1, "global").await;
    let mut consumer = ch.consume(&queue, "").await;
    assert_eq!(arrivals!(ch, queue, consumer), [1]);
    ch.qos(4, "global").await;
    assert_eq!(arrivals!(ch, queue, consumer), [3]);
    ch.qos(0, "global").await;
    assert_eq!(arrivals!(ch, queue, consumer), [16]);
}

#[tokio::test]
async fn cancelling_keeps_the_unacked_in_the_global_window() {
    let (ch, queue) = filled(5).await;
    ch.qos(1, "global").await;
    let mut first = ch.consume(&queue, "").await;
    let held = next(&mut first).await;
    ch.cancel(first.tag().as_str()).await;
    let mut second = ch.consume(&queue, "").await;
    assert_eq!(arrivals!(ch, queue, second), [0]);
    ch.ack(held.delivery_tag, "").await;
    next(&mut second).await;
}

#[tokio::test]
async fn a_window_is_no_obstacle_to_messages_for_other_consumers() {
    let (ch, queue) = filled(4).await;
    ch.qos(1, "").await;
    let mut narrow = ch.consume(&queue, "").await;
    next(&mut narrow).await;
    let other = ch.sibling().await;
    let mut wide = other.consume(&queue, "").await;
    assert_eq!(bodies(&mut wide, 3).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn qos_is_answered_however_often_it_is_sent() {
    let ch = Ch::open().await;
    for prefetch in [0, 1, u16::MAX] {
        for global in [false, true] {
            within(ch.amqp.basic_qos(prefetch, BasicQosOptions { global })).await.unwrap();
        }
    }
}
