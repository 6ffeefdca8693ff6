//! queue.bind, exchange.bind and their reverses.

use crate::{
    broker::unique,
    client::{Ch, args, refused},
};

#[tokio::test]
async fn binding_to_or_from_something_missing_is_404() {
    let ch = Ch::open().await;
    let (queue, missing) = (ch.queue().await, unique("missing"));
    let (no_queue, no_exchange) = (
        format!("NOT_FOUND - no queue '{missing}' in vhost '/'"),
        format!("NOT_FOUND - no exchange '{missing}' in vhost '/'"),
    );
    refused(ch.sibling().await.bind(&missing, "amq.direct", "k").await, 404, &no_queue);
    refused(ch.sibling().await.bind(&queue, &missing, "k").await, 404, &no_exchange);
    refused(ch.sibling().await.exchange_bind(&missing, "amq.direct", "k").await, 404, &no_exchange);
    refused(ch.sibling().await.exchange_bind("amq.direct", &missing, "k").await, 404, &no_exchange);
}

#[tokio::test]
async fn unbinding_something_missing_is_ok() {
    let ch = Ch::open().await;
    let (queue, missing) = (ch.queue().await, unique("missing"));
    ch.unbind(&queue, "amq.direct", "never-bound").await.unwrap();
    ch.unbind(&missing, "amq.direct", "k").await.unwrap();
    ch.unbind(&queue, &missing, "k").await.unwrap();
    ch.exchange_unbind("amq.direct", "amq.fanout", "never-bound").await.unwrap();
    ch.exchange_unbind(&missing, "amq.fanout", "k").await.unwrap();
    ch.exchange_unbind("amq.fanout", &missing, "k").await.unwrap();
}

#[tokio::test]
async fn the_default_exchange_cannot_be_bound_or_unbound() {
    let ch = Ch::open().await;
    let queue = ch.queue().await;
    let text = "ACCESS_REFUSED - operation not permitted on the default exchange";
    refused(ch.sibling().await.bind(&queue, "", "k").await, 403, text);
    refused(ch.sibling().await.unbind(&queue, "", &queue).await, 403, text);
    refused(ch.sibling().await.exchange_bind("amq.direct", "", "k").await, 403, text);
    refused(ch.sibling().await.exchange_bind("", "amq.direct", "k").await, 403, text);
    refused(ch.sibling().await.exchange_unbind("amq.direct", "", "k").await, 403, text);
    refused(ch.sibling().await.exchange_unbind("", "amq.direct", "k").await, 403, text);
}

#[tokio::test]
async fn every_queue_is_bound_to_the_default_exchange_by_its_name() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    assert!(ch.publish_mandatory("", &queue, "m").await.is_none());
    assert!(ch.publish_mandatory("", &unique("queue"), "m").await.is_some());
    assert_eq!(ch.drain(&queue).await, ["m"]);
}

#[tokio::test]
async fn a_binding_made_twice_is_one_and_is_gone_after_one_unbind() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    for _ in 0..3 {
        ch.bind(&queue, "amq.direct", &queue).await.unwrap();
    }
    ch.publish("amq.direct", &queue, "once").await.unwrap();
    assert_eq!(ch.drain(&queue).await, ["once"]);
    ch.unbind(&queue, "amq.direct", &queue).await.unwrap();
    assert!(ch.publish_mandatory("amq.direct", &queue, "m").await.is_some());
}

#[tokio::test]
async fn bindings_that_differ_in_arguments_are_different_bindings() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    let (one, two) = (args! { "x": 1, "y": "a" }, args! { "x": 2 });
    ch.bind_with(&queue, "amq.direct", &queue, one.clone()).await.unwrap();
    ch.bind_with(&queue, "amq.direct", &queue, two.clone()).await.unwrap();
    ch.publish("amq.direct", &queue, "still once").await.unwrap();
    assert_eq!(ch.drain(&queue).await, ["still once"]);
    ch.unbind(&queue, "amq.direct", &queue).await.unwrap(); // without arguments: another binding, never made
    ch.unbind_with(&queue, "amq.direct", &queue, two).await.unwrap();
    assert!(ch.publish_mandatory("amq.direct", &queue, "m").await.is_none());
    ch.unbind_with(&queue, "amq.direct", &queue, args! { "y": "a", "x": 1 }).await.unwrap();
    assert!(ch.publish_mandatory("amq.direct", &queue, "m").await.is_some());
}

#[tokio::test]
async fn a_message_that_matches_several_bindings_of_a_queue_is_stored_once() {
    let ch = Ch::confirming().await;
    let (queue, exchange, inner) =
        (ch.queue().await, ch.exchange("topic").await, ch.exchange("fanout").await);
    for key in ["#", "a.*", "*.b", "a.b"] {
        ch.bind(&queue, &exchange, key).await.unwrap();
    }
    ch.exchange_bind(&inner, &exchange, "#").await.unwrap();
    ch.bind(&queue, &inner, "").await.unwrap();
    ch.publish(&exchange, "a.b", "once").await.unwrap();
    assert_eq!(ch.drain(&queue).await, ["once"]);
}

#[tokio::test]
async fn exchange_bindings_apply_each_exchanges_own_rule() {
    let ch = Ch::confirming().await;
    let (topic, direct, queue) = (ch.exchange("topic").await, ch.exchange("direct").await, ch.queue().await);
    ch.exchange_bind(&direct, &topic, "a.#").await.unwrap();
    ch.bind(&queue, &direct, "a.b").await.unwrap();
    for key in ["a.b", "a.c", "x.b"] {
        ch.publish(&topic, key, key).await.unwrap();
    }
    assert_eq!(ch.drain(&queue).await, ["a.b"]);
    ch.exchange_unbind(&direct, &topic, "a.#").await.unwrap();
    assert!(!ch.exchange_exists(&topic).await, "auto-delete: its last binding is gone");
}

#[tokio::test]
async fn cycles_of_exchange_bindings_end_and_deliver_once() {
    let ch = Ch::confirming().await;
    let (a, b, c, queue) = (
        ch.exchange("fanout").await,
        ch.exchange("fanout").await,
        ch.exchange("fanout").await,
        ch.queue().await,
    );
    for (destination, source) in [(&b, &a), (&c, &b), (&a, &c), (&a, &a), (&c, &a)] {
        ch.exchange_bind(destination, source, "").await.unwrap();
    }
    for exchange in [&a, &b, &c] {
        ch.bind(&queue, exchange, "").await.unwrap();
        ch.publish(exchange, "", "m").await.unwrap();
    }
    assert_eq!(ch.drain(&queue).await.len(), 3);
    for exchange in [a, b, c] {
        ch.exchange_delete(&exchange, "").await.unwrap();
    }
}

#[tokio::test]
async fn deleting_a_queue_deletes_its_bindings() {
    let ch = Ch::confirming().await;
    let (queue, key) = (unique("queue"), unique("key"));
    ch.declare(&queue, "", args! {}).await.unwrap();
    ch.bind(&queue, "amq.topic", &key).await.unwrap();
    assert!(ch.publish_mandatory("amq.topic", &key, "m").await.is_none());
    ch.delete(&queue, "").await.unwrap();
    assert!(ch.publish_mandatory("amq.topic", &key, "m").await.is_some());
}
