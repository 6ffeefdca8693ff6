//! basic.get.

use crate::{
    broker::{only_leveret, unique},
    client::{Ch, args, body, refused},
};

#[tokio::test]
async fn get_takes_messages_in_order_and_counts_what_is_left() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    assert!(ch.get(&queue, "").await.unwrap().is_none());
    ch.fill(&queue, ["a", "b", "c"]).await;
    for (n, (wanted, left)) in [("a", 2), ("b", 1), ("c", 0)].into_iter().enumerate() {
        let message = ch.get(&queue, "").await.unwrap().unwrap();
        assert_eq!(
            (body(&message), message.message_count, message.redelivered),
            (wanted.into(), left, false)
        );
        assert_eq!(message.delivery_tag, n as u64 + 1);
    }
    assert!(ch.get(&queue, "").await.unwrap().is_none());
}

#[tokio::test]
async fn a_message_got_with_no_ack_is_gone_and_its_tag_is_unknown() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    ch.fill(&queue, ["m"]).await;
    let message = ch.get(&queue, "no-ack").await.unwrap().unwrap();
    ch.closes(ch.ack(message.delivery_tag, ""), 406, "PRECONDITION_FAILED - unknown delivery tag 1").await;
    let other = ch.sibling().await;
    assert_eq!(other.counts(&queue).await, (0, 0));
}

#[tokio::test]
async fn get_ignores_the_prefetch_window() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    ch.fill(&queue, ["a", "b", "c"]).await;
    for flags in ["", "global"] {
        ch.qos(1, flags).await;
        assert!(ch.get(&queue, "").await.unwrap().is_some());
    }
    assert!(ch.get(&queue, "").await.unwrap().is_some());
}

#[tokio::test]
async fn get_from_a_missing_queue_is_404() {
    let (ch, missing) = (Ch::open().await, unique("missing"));
    refused(ch.get(&missing, "").await, 404, &format!("NOT_FOUND - no queue '{missing}' in vhost '/'"));
}

#[tokio::test]
async fn get_from_a_queue_with_single_active_consumer_is_405() {
    only_leveret!("3.10 answers get-empty");
    let ch = Ch::open().await;
    let queue = ch.queue_with(args! { "x-single-active-consumer": true }).await;
    refused(
        ch.get(&queue, "").await,
        405,
        &format!(
            "RESOURCE_LOCKED - cannot obtain access to locked queue '{queue}' in vhost '/'. basic.get operations are not supported by "
        ),
    );
}

#[tokio::test]
async fn get_and_a_consumer_share_the_queue() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    ch.qos(1, "").await;
    let mut consumer = ch.consume(&queue, "").await;
    ch.fill(&queue, ["a", "b"]).await;
    assert_eq!(body(&crate::client::next(&mut consumer).await), "a");
    assert_eq!(ch.drain(&queue).await, ["b"]);
}
