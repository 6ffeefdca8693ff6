//! Queues and exchanges that take each message once. A RabbitMQ without the plugin knows nothing of it.

use std::time::Duration;

use lapin::{BasicProperties, Confirmation, types::FieldTable};

use crate::{
    broker::{only_leveret, unique},
    client::{Ch, args, refused, within},
};

fn with_headers(headers: FieldTable) -> BasicProperties {
    BasicProperties::default().with_headers(headers).with_delivery_mode(2)
}

/// A message with this key; its body says which of those with that key it is.
async fn publish(ch: &Ch, exchange: &str, to: &str, key: &str, body: &str) {
    let properties = with_headers(args! { "x-deduplication-header": key });
    let told = ch.publish_with(exchange, to, body, "", properties).await.unwrap();
    assert!(matches!(told, Confirmation::Ack(None) | Confirmation::NotRequested), "{told:?}");
}

async fn publish_all(ch: &Ch, exchange: &str, to: &str, keys: &[&str]) {
    for key in keys {
        publish(ch, exchange, to, key, key).await;
    }
}

#[tokio::test]
async fn a_queue_takes_each_message_once_and_confirms_duplicates() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::confirming().await;
    let once = ch.queue_with(args! { "x-message-deduplication": true }).await;
    let plain = ch.queue().await;
    for queue in [&once, &plain] {
        publish_all(&ch, "", queue, &["a", "b", "a", "c", "b", "a"]).await;
    }
    assert_eq!(ch.drain(&once).await, ["a", "b", "c"]);
    assert_eq!(ch.drain(&plain).await.len(), 6);
    publish(&ch, "", &once, "a", "late").await;
    assert_eq!(ch.drain(&once).await, [""; 0], "what was taken out has been seen");
}

#[tokio::test]
async fn messages_without_the_header_pass() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::confirming().await;
    let queue = ch.queue_with(args! { "x-message-deduplication": true }).await;
    ch.fill(&queue, ["a", "a"]).await;
    for _ in 0..2 {
        ch.publish_with("", &queue, "b", "", with_headers(args! { "other": "b" })).await.unwrap();
    }
    assert_eq!(ch.drain(&queue).await, ["a", "a", "b", "b"]);
}

#[tokio::test]
async fn the_header_can_be_named() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::confirming().await;
    let arguments = args! { "x-message-deduplication": true, "x-deduplication-header": "id" };
    let queue = ch.queue_with(arguments).await;
    for (id, other) in [(1, "x"), (2, "x"), (1, "y")] {
        let headers = args! { "id": id, "x-deduplication-header": other };
        ch.publish_with("", &queue, &format!("{id}{other}"), "", with_headers(headers)).await.unwrap();
    }
    assert_eq!(ch.drain(&queue).await, ["1x", "2x"]);
}

#[tokio::test]
async fn an_exchange_takes_each_message_once_before_it_is_routed() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::confirming().await;
    for kind in ["direct", "topic", "fanout", "headers"] {
        let exchange = ch.exchange_with(kind, args! { "x-message-deduplication": true }).await;
        let queues = [ch.queue().await, ch.queue().await];
        for queue in &queues {
            ch.bind(queue, &exchange, "k").await.unwrap();
        }
        publish_all(&ch, &exchange, "k", &["a", "b", "a"]).await;
        for queue in &queues {
            assert_eq!(ch.drain(queue).await, ["a", "b"], "{kind}");
        }
    }
}

#[tokio::test]
async fn each_queue_of_a_fan_out_asks_for_itself() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::confirming().await;
    let exchange = ch.exchange("fanout").await;
    let (once, plain) = (ch.queue_with(args! { "x-message-deduplication": true }).await, ch.queue().await);
    for queue in [&once, &plain] {
        ch.bind(queue, &exchange, "").await.unwrap();
    }
    publish_all(&ch, &exchange, "", &["a", "a"]).await;
    assert_eq!((ch.drain(&once).await.len(), ch.drain(&plain).await.len()), (1, 2));
}

#[tokio::test]
async fn the_oldest_is_forgotten_when_the_cache_is_full() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::confirming().await;
    let arguments = || args! { "x-message-deduplication": true, "x-cache-size": 2 };
    let (queue, target) = (ch.queue_with(arguments()).await, ch.queue().await);
    let exchange = ch.exchange_with("fanout", arguments()).await;
    ch.bind(&target, &exchange, "").await.unwrap();
    for (exchange, to, queue) in [("", queue.as_str(), &queue), (&exchange, "", &target)] {
        publish_all(&ch, exchange, to, &["a", "b", "c", "b", "a"]).await;
        assert_eq!(ch.drain(queue).await, ["a", "b", "c", "a"]);
    }
}

#[tokio::test]
async fn a_value_is_forgotten_when_its_time_is_over() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::confirming().await;
    let queue = ch.queue_with(args! { "x-message-deduplication": true, "x-cache-ttl": 3_600_000 }).await;
    let brief = || with_headers(args! { "x-deduplication-header": "a", "x-cache-ttl": 1 });
    publish(&ch, "", &queue, "b", "b").await;
    ch.publish_with("", &queue, "a", "", brief()).await.unwrap();
    let mut sent = 1;
    while ch.counts(&queue).await.0 < 3 {
        assert!(sent < 10_000, "it is still remembered");
        ch.publish_with("", &queue, "a", "", brief()).await.unwrap();
        sent += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    publish(&ch, "", &queue, "b", "b").await;
    assert_eq!(ch.drain(&queue).await, ["b", "a", "a"], "the message's own time counts more");
}

#[tokio::test]
async fn a_mandatory_duplicate_is_not_returned_and_an_unroutable_message_may_come_again() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::confirming().await;
    let exchange = ch.exchange_with("direct", args! { "x-message-deduplication": true }).await;
    let queue = ch.queue_with(args! { "x-message-deduplication": true }).await;
    ch.bind(&queue, &exchange, "k").await.unwrap();
    let send = async |exchange: &str, to: &str| {
        let properties = with_headers(args! { "x-deduplication-header": "a" });
        let told = ch.publish_with(exchange, to, "m", "mandatory", properties).await.unwrap();
        told.take_message().is_none()
    };
    assert!(!send(&exchange, "nobody").await, "returned");
    assert!(!send(&exchange, "nobody").await, "returned again: nobody has taken it");
    for _ in 0..2 {
        assert!(send(&exchange, "k").await);
        assert!(send("", &queue).await);
    }
    assert_eq!(ch.drain(&queue).await, ["m"]);
}

#[tokio::test]
async fn what_a_full_queue_refused_may_come_again() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::confirming().await;
    let full = args! { "x-message-deduplication": true, "x-max-length": 1, "x-overflow": "reject-publish" };
    let queue = ch.queue_with(full).await;
    let exchange = ch.exchange_with("fanout", args! { "x-message-deduplication": true }).await;
    ch.bind(&queue, &exchange, "").await.unwrap();
    ch.fill(&queue, ["first"]).await;
    let send = async || {
        let properties = with_headers(args! { "x-deduplication-header": "a" });
        ch.publish_with(&exchange, "", "m", "", properties).await.unwrap()
    };
    assert!(matches!(send().await, Confirmation::Nack(_)));
    assert_eq!(ch.drain(&queue).await, ["first"]);
    assert_eq!(send().await, Confirmation::Ack(None));
    assert_eq!(send().await, Confirmation::Ack(None));
    assert_eq!(ch.drain(&queue).await, ["m"]);
}

#[tokio::test]
async fn a_transaction_remembers_with_its_commit() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::open().await;
    let queue = ch.queue_with(args! { "x-message-deduplication": true }).await;
    within(ch.amqp.tx_select()).await.unwrap();
    publish_all(&ch, "", &queue, &["a", "b"]).await;
    within(ch.amqp.tx_rollback()).await.unwrap();
    publish_all(&ch, "", &queue, &["a", "c", "a"]).await;
    within(ch.amqp.tx_commit()).await.unwrap();
    publish_all(&ch, "", &queue, &["c", "b"]).await;
    within(ch.amqp.tx_commit()).await.unwrap();
    assert_eq!(ch.drain(&queue).await, ["a", "c", "b"]);
}

#[tokio::test]
async fn a_deleted_queue_or_exchange_has_forgotten_everything() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::confirming().await;
    let arguments = || args! { "x-message-deduplication": true };
    let (queue, exchange) = (unique("queue"), unique("exchange"));
    for _ in 0..2 {
        ch.declare(&queue, "durable", arguments()).await.unwrap();
        ch.exchange_declare(&exchange, "fanout", "durable", args! {}).await.unwrap();
        ch.bind(&queue, &exchange, "").await.unwrap();
        publish_all(&ch, &exchange, "", &["a", "a"]).await;
        ch.exchange_delete(&exchange, "").await.unwrap();
        ch.exchange_declare(&exchange, "fanout", "durable", arguments()).await.unwrap();
        ch.bind(&queue, &exchange, "").await.unwrap();
        publish_all(&ch, &exchange, "", &["b", "b"]).await;
        assert_eq!(ch.delete(&queue, "").await.unwrap(), 2);
        ch.exchange_delete(&exchange, "").await.unwrap();
    }
}

#[tokio::test]
async fn a_delayed_duplicate_is_found_when_it_is_published() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::confirming().await;
    let exchange = ch.exchange_with("fanout", args! { "x-message-deduplication": true }).await;
    let (once, target) = (ch.queue_with(args! { "x-message-deduplication": true }).await, ch.queue().await);
    ch.bind(&target, &exchange, "").await.unwrap();
    for (exchange, to, queue) in [("", once.as_str(), &once), (&exchange, "", &target)] {
        for body in ["first", "second"] {
            let headers = args! { "x-deduplication-header": "a", "x-delay": 30 };
            ch.publish_with(exchange, to, body, "", with_headers(headers)).await.unwrap();
        }
        publish(&ch, exchange, to, "a", "third").await;
        publish(&ch, exchange, to, "b", "other").await;
        ch.await_counts(queue, (2, 0)).await;
        assert_eq!(ch.drain(queue).await, ["other", "first"]);
    }
}

#[tokio::test]
async fn dead_letters_pass() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::confirming().await;
    let grave = ch.queue_with(args! { "x-message-deduplication": true }).await;
    let arguments = args! { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": grave.as_str() };
    let queue = ch.queue_with(arguments).await;
    publish_all(&ch, "", &queue, &["a", "a"]).await;
    for _ in 0..2 {
        let tag = ch.get(&queue, "").await.unwrap().unwrap().delivery.delivery_tag;
        ch.reject(tag, "").await;
    }
    ch.await_counts(&grave, (2, 0)).await;
}

#[tokio::test]
async fn duplicates_are_found_by_cc_and_across_connections() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::confirming().await;
    let queue = unique("queue");
    ch.declare(&queue, "auto-delete", args! { "x-message-deduplication": true }).await.unwrap();
    publish(&ch, "", &queue, "a", "a").await;
    let other = Ch::confirming().await;
    let copied =
        lapin::types::FieldArray::from(vec![lapin::types::AMQPValue::LongString(queue.as_str().into())]);
    let mut headers = args! { "x-deduplication-header": "a" };
    headers.insert("CC".into(), lapin::types::AMQPValue::FieldArray(copied));
    other.publish_with("", &unique("nobody"), "copy", "", with_headers(headers)).await.unwrap();
    publish(&other, "", &queue, "a", "again").await;
    assert_eq!(ch.drain(&queue).await, ["a"]);
}

#[tokio::test]
async fn an_exchange_refuses_arguments_that_make_no_sense_and_another_rule() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::open().await;
    let name = unique("exchange");
    let wrong = args! { "x-message-deduplication": true, "x-cache-size": 0 };
    let text = format!(
        "PRECONDITION_FAILED - invalid arg 'x-cache-size' for exchange '{name}' in vhost '/': {{value_zero,0}}"
    );
    refused(ch.sibling().await.exchange_declare(&name, "fanout", "", wrong).await, 406, &text);
    let exchange = ch.exchange_with("fanout", args! { "x-message-deduplication": true }).await;
    let text = format!(
        "PRECONDITION_FAILED - inequivalent arg 'x-message-deduplication' for exchange '{exchange}' in vhost '/': \
         received none but current is the value 'true' of type 'bool'"
    );
    let again = ch.sibling().await.exchange_declare(&exchange, "fanout", "auto-delete", args! {}).await;
    refused(again, 406, &text);
}
