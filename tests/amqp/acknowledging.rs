//! ack, nack, reject, recover, and what becomes of messages that were never acknowledged.

use crate::client::{Ch, arrived, bodies, body, next, refused};

/// A channel and a queue that holds these bodies.
async fn filled<const N: usize>(wanted: [&str; N]) -> (Ch, String) {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    ch.fill(&queue, wanted).await;
    (ch, queue)
}

#[tokio::test]
async fn unknown_delivery_tags_close_the_channel_with_406() {
    let ch = Ch::open().await;
    for tag in [1, 7, u64::MAX] {
        let text = format!("PRECONDITION_FAILED - unknown delivery tag {tag}");
        for multiple in ["", "multiple"] {
            let other = ch.sibling().await;
            other.closes(other.ack(tag, multiple), 406, &text).await;
            let other = ch.sibling().await;
            other.closes(other.nack(tag, multiple), 406, &text).await;
        }
        let other = ch.sibling().await;
        other.closes(other.reject(tag, "requeue"), 406, &text).await;
    }
}

#[tokio::test]
async fn acknowledging_twice_closes_the_channel_with_406() {
    for flags in ["", "multiple"] {
        let (ch, queue) = filled(["a", "b"]).await;
        ch.get(&queue, "").await.unwrap().unwrap();
        ch.get(&queue, "").await.unwrap().unwrap();
        ch.ack(1, flags).await;
        ch.closes(ch.ack(1, flags), 406, "PRECONDITION_FAILED - unknown delivery tag 1").await;
    }
}

#[tokio::test]
async fn tag_0_with_multiple_is_everything_even_when_that_is_nothing() {
    let (ch, queue) = filled(["a", "b", "c"]).await;
    ch.ack(0, "multiple").await;
    ch.nack(0, "multiple requeue").await;
    for _ in 0..3 {
        ch.get(&queue, "").await.unwrap().unwrap();
    }
    ch.ack(0, "multiple").await;
    ch.close().await;
    assert_eq!(ch.sibling().await.counts(&queue).await, (0, 0));
}

#[tokio::test]
async fn tag_0_without_multiple_is_unknown() {
    let (ch, queue) = filled(["a"]).await;
    ch.get(&queue, "").await.unwrap().unwrap();
    ch.closes(ch.ack(0, ""), 406, "PRECONDITION_FAILED - unknown delivery tag 0").await;
}

#[tokio::test]
async fn multiple_acknowledges_up_to_and_including_its_tag() {
    let (ch, queue) = filled(["a", "b", "c", "d"]).await;
    for _ in 0..4 {
        ch.get(&queue, "").await.unwrap().unwrap();
    }
    ch.ack(2, "").await;
    ch.ack(3, "multiple").await; // 1 and 3: a gap is no obstacle
    ch.recover("requeue").await.unwrap();
    assert_eq!(ch.drain(&queue).await, ["d"]);
}

#[tokio::test]
async fn acks_must_use_the_channel_of_the_delivery() {
    let (ch, queue) = filled(["a"]).await;
    ch.get(&queue, "").await.unwrap().unwrap();
    let other = ch.sibling().await;
    other.closes(other.ack(1, ""), 406, "PRECONDITION_FAILED - unknown delivery tag 1").await;
    ch.ack(1, "").await;
}

#[tokio::test]
async fn rejected_messages_are_dropped_or_requeued_at_their_old_place() {
    let (ch, queue) = filled(["a", "b", "c"]).await;
    for _ in 0..2 {
        ch.get(&queue, "").await.unwrap().unwrap();
    }
    ch.reject(2, "").await;
    ch.reject(1, "requeue").await;
    let first = ch.get(&queue, "no-ack").await.unwrap().unwrap();
    assert_eq!((body(&first), first.redelivered), ("a".into(), true));
    let second = ch.get(&queue, "no-ack").await.unwrap().unwrap();
    assert_eq!((body(&second), second.redelivered), ("c".into(), false));
    assert_eq!(ch.counts(&queue).await, (0, 0));
}

#[tokio::test]
async fn requeued_messages_keep_their_order_whichever_way_they_come_back() {
    let all = ["a", "b", "c", "d"];
    for way in
        ["nack multiple", "rejects, last first", "rejects, first first", "recover", "channel", "connection"]
    {
        let holder = Ch::open().await;
        let ch = Ch::confirming().await;
        let queue = crate::broker::unique("queue");
        ch.declare(&queue, "", crate::client::args! {}).await.unwrap();
        ch.fill(&queue, all).await;
        for _ in 0..3 {
            holder.get(&queue, "").await.unwrap().unwrap();
        }
        match way {
            "nack multiple" => holder.nack(3, "multiple requeue").await,
            "rejects, last first" => {
                for tag in [3, 2, 1] {
                    holder.reject(tag, "requeue").await;
                }
            }
            "rejects, first first" => {
                for tag in [1, 2, 3] {
                    holder.reject(tag, "requeue").await;
                }
            }
            "recover" => holder.recover("requeue").await.unwrap(),
            "channel" => holder.close().await,
            _ => holder.close_connection().await,
        }
        ch.await_counts(&queue, (4, 0)).await;
        assert_eq!(ch.drain(&queue).await, all, "{way}");
        ch.delete(&queue, "").await.unwrap();
    }
}

#[tokio::test]
async fn closing_a_channel_requeues_deliveries_and_gets_as_redelivered() {
    let (ch, queue) = filled(["a", "b", "c"]).await;
    let other = ch.sibling().await;
    other.get(&queue, "").await.unwrap().unwrap();
    let mut consumer = other.consume(&queue, "").await;
    assert_eq!(bodies(&mut consumer, 2).await, ["b", "c"]);
    other.close().await;
    ch.await_counts(&queue, (3, 0)).await;
    for wanted in ["a", "b", "c"] {
        let message = ch.get(&queue, "no-ack").await.unwrap().unwrap();
        assert_eq!((body(&message), message.redelivered), (wanted.into(), true));
    }
}

#[tokio::test]
async fn a_nacked_message_comes_back_exactly_once() {
    let (ch, queue) = filled(["m"]).await;
    let mut consumer = ch.consume(&queue, "").await;
    let first = next(&mut consumer).await;
    ch.nack(first.delivery_tag, "requeue").await;
    let second = next(&mut consumer).await;
    assert_eq!((second.delivery_tag, second.redelivered), (2, true));
    ch.fence(&queue).await;
    assert!(arrived(&mut consumer).await.is_empty());
    ch.ack(second.delivery_tag, "").await;
    assert_eq!(ch.counts(&queue).await, (0, 1));
}

#[tokio::test]
async fn recover_requeues_messages_of_gets_and_cancelled_consumers_too() {
    let (ch, queue) = filled(["a", "b"]).await;
    let holder = ch.sibling().await;
    holder.get(&queue, "").await.unwrap().unwrap();
    let mut consumer = holder.consume(&queue, "").await;
    assert_eq!(body(&next(&mut consumer).await), "b");
    holder.cancel(consumer.tag().as_str()).await;
    assert_eq!(ch.counts(&queue).await, (0, 0), "a cancel requeues nothing");
    holder.recover("requeue").await.unwrap();
    ch.await_counts(&queue, (2, 0)).await;
    assert_eq!(ch.drain(&queue).await, ["a", "b"]);
}

#[tokio::test]
async fn recover_without_requeue_is_not_implemented() {
    refused(Ch::open().await.recover("").await, 540, "NOT_IMPLEMENTED - requeue=false");
}

#[tokio::test]
async fn messages_of_a_cancelled_consumer_can_still_be_acknowledged() {
    let (ch, queue) = filled(["a"]).await;
    let mut consumer = ch.consume(&queue, "").await;
    let delivery = next(&mut consumer).await;
    ch.cancel(consumer.tag().as_str()).await;
    ch.ack(delivery.delivery_tag, "").await;
    ch.close().await;
    assert_eq!(ch.sibling().await.counts(&queue).await, (0, 0));
}

#[tokio::test]
async fn deliveries_with_no_ack_are_settled_when_sent() {
    let (ch, queue) = filled(["a", "b"]).await;
    let other = ch.sibling().await;
    let mut consumer = other.consume(&queue, "no-ack").await;
    assert_eq!(bodies(&mut consumer, 2).await, ["a", "b"]);
    other.close().await;
    ch.await_counts(&queue, (0, 0)).await;
}

#[tokio::test]
async fn acks_of_messages_whose_queue_is_gone_are_accepted() {
    let (ch, queue) = filled(["a", "b"]).await;
    ch.get(&queue, "").await.unwrap().unwrap();
    ch.get(&queue, "").await.unwrap().unwrap();
    ch.delete(&queue, "").await.unwrap();
    ch.ack(1, "").await;
    ch.nack(2, "requeue").await;
    ch.queue().await;
}
