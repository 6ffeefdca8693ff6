//! Queues with a limit: x-max-length, x-max-length-bytes, x-overflow.

use lapin::{BasicProperties, Confirmation, options::BasicPublishOptions};

use crate::{
    broker::only_leveret,
    client::{Ch, args, body, next, refused, within},
};

#[tokio::test]
async fn x_max_length_drops_from_the_head_or_rejects() {
    let ch = Ch::confirming().await;
    let dropping = ch.queue_with(args! { "x-max-length": 2 }).await;
    ch.fill(&dropping, ["1", "2", "3"]).await;
    assert_eq!(ch.drain(&dropping).await, ["2", "3"]);
    let rejecting = ch.queue_with(args! { "x-max-length": 2, "x-overflow": "reject-publish" }).await;
    let both = ch.exchange("fanout").await;
    for queue in [&dropping, &rejecting] {
        ch.bind(queue, &both, "").await.unwrap();
    }
    for (body, acked) in [("1", true), ("2", true), ("3", false)] {
        assert_eq!(ch.publish(&both, "", body).await.unwrap().is_ack(), acked, "{body}");
    }
    assert_eq!(ch.drain(&rejecting).await, ["1", "2"]);
    assert_eq!(ch.drain(&dropping).await, ["2", "3"], "one queue's nack does not stop the other");
}

#[tokio::test]
async fn a_queue_of_length_0_refuses_everything_or_hands_it_to_a_waiting_consumer() {
    let ch = Ch::confirming().await;
    let rejecting = ch.queue_with(args! { "x-max-length": 0, "x-overflow": "reject-publish" }).await;
    assert!(ch.publish("", &rejecting, "m").await.unwrap().is_nack());
    let dropping = ch.queue_with(args! { "x-max-length": 0 }).await;
    assert!(ch.publish("", &dropping, "dropped").await.unwrap().is_ack());
    let mut consumer = ch.consume(&dropping, "no-ack").await;
    ch.fill(&dropping, ["handed over"]).await;
    assert_eq!(body(&next(&mut consumer).await), "handed over");
}

#[tokio::test]
async fn x_max_length_bytes_counts_bodies_and_drops_as_many_as_it_takes() {
    let ch = Ch::confirming().await;
    let queue = ch.queue_with(args! { "x-max-length-bytes": 10 }).await;
    ch.fill(&queue, ["aaaa", "bbbb", "", "cc"]).await;
    assert_eq!(ch.counts(&queue).await.0, 4, "ten bytes are not too many");
    ch.fill(&queue, ["ddddddd"]).await;
    assert_eq!(ch.drain(&queue).await, ["", "cc", "ddddddd"]);
    ch.fill(&queue, ["too large itself"]).await;
    assert_eq!(ch.counts(&queue).await.0, 0);
}

#[tokio::test]
async fn reject_publish_counts_bytes_too() {
    let ch = Ch::confirming().await;
    let queue = ch.queue_with(args! { "x-max-length-bytes": 5, "x-overflow": "reject-publish" }).await;
    for (body, acked) in [("aaa", true), ("bbb", false), ("cc", true), ("", true), ("d", false)] {
        assert_eq!(ch.publish("", &queue, body).await.unwrap().is_ack(), acked, "{body:?}");
    }
    assert_eq!(ch.drain(&queue).await, ["aaa", "cc", ""]);
}

#[tokio::test]
async fn the_lower_of_both_limits_counts() {
    let ch = Ch::confirming().await;
    let queue = ch.queue_with(args! { "x-max-length": 3, "x-max-length-bytes": 5 }).await;
    ch.fill(&queue, ["a", "b", "c", "d"]).await;
    assert_eq!(ch.counts(&queue).await.0, 3);
    ch.fill(&queue, ["eeee"]).await;
    assert_eq!(ch.drain(&queue).await, ["d", "eeee"]);
}

#[tokio::test]
async fn messages_that_clients_hold_do_not_count() {
    let ch = Ch::confirming().await;
    let queue = ch.queue_with(args! { "x-max-length": 1 }).await;
    ch.fill(&queue, ["held"]).await;
    let held = ch.get(&queue, "").await.unwrap().unwrap();
    ch.fill(&queue, ["waits"]).await;
    assert_eq!(ch.counts(&queue).await.0, 1);
    ch.nack(held.delivery_tag, "requeue").await;
    ch.await_counts(&queue, (1, 0)).await;
    assert_eq!(ch.drain(&queue).await, ["waits"], "what came back was the head, and one too many");
}

#[tokio::test]
async fn in_a_batch_exactly_those_are_nacked_that_did_not_fit() {
    let ch = Ch::confirming().await;
    for kind in ["direct", "headers"] {
        let queue = ch.queue_with(args! { "x-max-length": 3, "x-overflow": "reject-publish" }).await;
        let exchange = ch.exchange(kind).await;
        ch.bind(&queue, &exchange, "").await.unwrap();
        let mut confirms = Vec::new();
        for n in 0..8 {
            let (body, options) = (n.to_string(), BasicPublishOptions::default());
            let name = exchange.as_str().into();
            let sent =
                ch.amqp.basic_publish(name, "".into(), options, body.as_bytes(), BasicProperties::default());
            confirms.push(within(sent).await.unwrap());
        }
        let mut acked = Vec::new();
        for confirm in confirms {
            acked.push(matches!(within(confirm).await.unwrap(), Confirmation::Ack(_)));
        }
        assert_eq!(acked, [true, true, true, false, false, false, false, false], "{kind}");
        assert_eq!(ch.drain(&queue).await, ["0", "1", "2"]);
    }
}

#[tokio::test]
async fn refused_persistent_messages_are_nacked_and_the_others_confirmed() {
    let ch = Ch::confirming().await;
    let queue = crate::broker::unique("queue");
    ch.declare(&queue, "durable", args! { "x-max-length": 2, "x-overflow": "reject-publish" }).await.unwrap();
    let persistent = BasicProperties::default().with_delivery_mode(2);
    let mut confirms = Vec::new();
    for _ in 0..5 {
        let options = BasicPublishOptions::default();
        let sent = ch.amqp.basic_publish("".into(), queue.as_str().into(), options, b"m", persistent.clone());
        confirms.push(within(sent).await.unwrap());
    }
    let mut acked = Vec::new();
    for confirm in confirms {
        acked.push(matches!(within(confirm).await.unwrap(), Confirmation::Ack(_)));
    }
    assert_eq!(acked, [true, true, false, false, false]);
    assert_eq!(ch.delete(&queue, "").await.unwrap(), 2);
}

#[tokio::test]
async fn there_is_room_again_when_a_message_was_taken() {
    let ch = Ch::confirming().await;
    let queue = ch.queue_with(args! { "x-max-length": 1, "x-overflow": "reject-publish" }).await;
    assert!(ch.publish("", &queue, "1").await.unwrap().is_ack());
    assert!(ch.publish("", &queue, "2").await.unwrap().is_nack());
    ch.get(&queue, "").await.unwrap().unwrap();
    assert!(ch.publish("", &queue, "3").await.unwrap().is_ack());
}

#[tokio::test]
async fn a_transaction_of_which_a_queue_refused_a_part_ends_with_406_and_the_rest_is_done() {
    let (ch, other) = (Ch::open().await, Ch::open().await);
    let queue = crate::broker::unique("queue");
    other.declare(&queue, "", args! { "x-max-length": 2, "x-overflow": "reject-publish" }).await.unwrap();
    within(ch.amqp.tx_select()).await.unwrap();
    ch.fill(&queue, ["1", "2", "3"]).await;
    refused(within(ch.amqp.tx_commit()).await, 406, "PRECONDITION_FAILED - partial tx completion");
    assert_eq!(other.drain(&queue).await, ["1", "2"]);
    other.delete(&queue, "").await.unwrap();
}

#[tokio::test]
async fn reject_publish_dlx_nacks_and_dead_letters_what_did_not_fit() {
    let ch = Ch::confirming().await;
    let dead = ch.queue().await;
    let queue = ch
        .queue_with(args! {
            "x-max-length": 1, "x-overflow": "reject-publish-dlx",
            "x-dead-letter-exchange": "", "x-dead-letter-routing-key": &dead,
        })
        .await;
    for (body, acked) in [("fits", true), ("does not", false), ("nor this", false)] {
        assert_eq!(ch.publish("", &queue, body).await.unwrap().is_ack(), acked, "{body}");
    }
    ch.await_counts(&dead, (2, 0)).await;
    assert_eq!(ch.drain(&dead).await, ["does not", "nor this"]);
    assert_eq!(ch.drain(&queue).await, ["fits"]);
}

#[tokio::test]
async fn a_full_queue_takes_what_another_queue_sends_it() {
    only_leveret!("RabbitMQ loses such messages");
    let ch = Ch::confirming().await;
    let full = ch.queue_with(args! { "x-max-length": 1, "x-overflow": "reject-publish" }).await;
    let table = args! { "x-max-length": 0, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": &full };
    let queue = ch.queue_with(table).await;
    ch.fill(&queue, ["1", "2"]).await;
    ch.await_counts(&full, (2, 0)).await;
    assert!(ch.publish("", &full, "3").await.unwrap().is_nack());
}

#[tokio::test]
async fn many_small_messages_make_room_for_one_large_one() {
    let ch = Ch::confirming().await;
    let queue = ch.queue_with(args! { "x-max-length-bytes": 2_000 }).await;
    for _ in 0..2_000 {
        let options = BasicPublishOptions::default();
        let sent = ch.amqp.basic_publish(
            "".into(),
            queue.as_str().into(),
            options,
            b"x",
            BasicProperties::default(),
        );
        within(sent).await.unwrap();
    }
    let large = "l".repeat(1_999);
    ch.fill(&queue, [&large]).await;
    // More than a queue drops in one call: the rest follows the confirm.
    ch.await_counts(&queue, (2, 0)).await;
    assert_eq!(ch.drain(&queue).await, ["x".to_owned(), large]);
}
