//! tx.select, commit and rollback.

use crate::{
    broker::unique,
    client::{Ch, body, next, refused, within},
};

async fn transactional() -> (Ch, String) {
    let ch = Ch::open().await;
    within(ch.amqp.tx_select()).await.unwrap();
    let queue = ch.queue().await;
    (ch, queue)
}

async fn commit(ch: &Ch) {
    within(ch.amqp.tx_commit()).await.unwrap();
}

async fn rollback(ch: &Ch) {
    within(ch.amqp.tx_rollback()).await.unwrap();
}

#[tokio::test]
async fn commit_and_rollback_without_select_are_refused_with_406() {
    let ch = Ch::open().await;
    let text = "PRECONDITION_FAILED - channel is not transactional";
    refused(within(ch.sibling().await.amqp.tx_commit()).await, 406, text);
    refused(within(ch.sibling().await.amqp.tx_rollback()).await, 406, text);
}

#[tokio::test]
async fn publishes_appear_with_the_commit() {
    let (ch, queue) = transactional().await;
    ch.fill(&queue, ["a", "b"]).await;
    assert_eq!(ch.counts(&queue).await, (0, 0));
    commit(&ch).await;
    assert_eq!(ch.counts(&queue).await, (2, 0));
    ch.fill(&queue, ["c"]).await;
    commit(&ch).await;
    assert_eq!(ch.drain(&queue).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn rollback_forgets_publishes_and_acks() {
    let (ch, queue) = transactional().await;
    ch.fill(&queue, ["kept"]).await;
    commit(&ch).await;
    let held = ch.get(&queue, "").await.unwrap().unwrap();
    ch.ack(held.delivery_tag, "").await;
    ch.fill(&queue, ["forgotten"]).await;
    rollback(&ch).await;
    assert_eq!(ch.counts(&queue).await, (0, 0), "a rollback requeues nothing");
    ch.ack(held.delivery_tag, "").await; // the tag is open again
    commit(&ch).await;
    ch.close().await;
    assert_eq!(ch.sibling().await.counts(&queue).await, (0, 0));
}

#[tokio::test]
async fn acks_count_with_the_commit() {
    let (ch, queue) = transactional().await;
    ch.fill(&queue, ["a", "b", "c"]).await;
    commit(&ch).await;
    for _ in 0..3 {
        ch.get(&queue, "").await.unwrap().unwrap();
    }
    ch.ack(1, "").await;
    commit(&ch).await;
    ch.ack(2, "").await;
    ch.close().await; // without a commit
    let other = ch.sibling().await;
    other.await_counts(&queue, (2, 0)).await;
    assert_eq!(other.drain(&queue).await, ["b", "c"]);
}

#[tokio::test]
async fn rejects_take_effect_with_the_commit() {
    let (ch, queue) = transactional().await;
    ch.fill(&queue, ["m"]).await;
    commit(&ch).await;
    let held = ch.get(&queue, "").await.unwrap().unwrap();
    ch.reject(held.delivery_tag, "requeue").await;
    assert_eq!(ch.counts(&queue).await, (0, 0));
    commit(&ch).await;
    let again = ch.get(&queue, "").await.unwrap().unwrap();
    assert_eq!((body(&again), again.redelivered), ("m".into(), true));
}

#[tokio::test]
async fn closing_the_channel_rolls_back() {
    let (ch, queue) = transactional().await;
    ch.fill(&queue, ["lost"]).await;
    ch.close().await;
    assert_eq!(ch.sibling().await.counts(&queue).await, (0, 0));
}

#[tokio::test]
async fn selecting_again_changes_nothing() {
    let (ch, queue) = transactional().await;
    ch.fill(&queue, ["m"]).await;
    within(ch.amqp.tx_select()).await.unwrap();
    assert_eq!(ch.counts(&queue).await, (0, 0));
    commit(&ch).await;
    assert_eq!(ch.counts(&queue).await, (1, 0));
}

#[tokio::test]
async fn a_publish_to_a_missing_exchange_fails_at_once() {
    let (ch, _queue) = transactional().await;
    let missing = unique("missing");
    let text = format!("NOT_FOUND - no exchange '{missing}' in vhost '/'");
    ch.closes(ch.publish(&missing, "k", "m"), 404, &text).await;
}

#[tokio::test]
async fn deliveries_go_on_in_a_transaction() {
    let (ch, queue) = transactional().await;
    let mut consumer = ch.consume(&queue, "").await;
    ch.fill(&queue, ["m"]).await;
    commit(&ch).await;
    assert_eq!(body(&next(&mut consumer).await), "m");
}

#[tokio::test]
async fn an_empty_transaction_commits_and_rolls_back() {
    let (ch, _queue) = transactional().await;
    for _ in 0..2 {
        commit(&ch).await;
        rollback(&ch).await;
    }
}
