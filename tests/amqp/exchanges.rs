//! exchange.declare and delete, the exchanges that are always there, auto-delete, alternate exchanges.

use crate::{
    broker::{only_leveret, unique},
    client::{Ch, args, refused},
};

#[tokio::test]
async fn the_standard_exchanges_exist_with_their_types() {
    let ch = Ch::open().await;
    for (name, kind) in [
        ("amq.direct", "direct"),
        ("amq.fanout", "fanout"),
        ("amq.topic", "topic"),
        ("amq.headers", "headers"),
        ("amq.match", "headers"),
    ] {
        ch.exchange_declare(name, kind, "durable", args! {}).await.unwrap(); // an equal redeclaration
        ch.exchange_declare(name, "direct", "passive", args! {}).await.unwrap(); // passive compares nothing
    }
    ch.exchange_declare("amq.rabbitmq.trace", "topic", "durable internal", args! {}).await.unwrap();
}

#[tokio::test]
async fn redeclare_with_other_properties_closes_the_channel_with_406() {
    let ch = Ch::open().await;
    for (kind, flags, arg, received, current) in [
        ("topic", "", "type", "topic", "direct"),
        ("direct", "durable", "durable", "true", "false"),
        ("direct", "auto-delete", "auto_delete", "true", "false"),
        ("direct", "internal", "internal", "true", "false"),
    ] {
        let exchange = unique("exchange");
        ch.exchange_declare(&exchange, "direct", "", args! {}).await.unwrap();
        ch.exchange_declare(&exchange, "direct", "", args! { "x-unknown": "ignored" }).await.unwrap();
        refused(
            ch.sibling().await.exchange_declare(&exchange, kind, flags, args! {}).await,
            406,
            &format!(
                "PRECONDITION_FAILED - inequivalent arg '{arg}' for exchange '{exchange}' in vhost '/': received '{received}' but current is '{current}'"
            ),
        );
        ch.exchange_delete(&exchange, "").await.unwrap();
    }
    refused(
        ch.exchange_declare("amq.direct", "direct", "", args! {}).await,
        406,
        "PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'amq.direct' in vhost '/': received 'false' but current is 'true'",
    );
}

#[tokio::test]
async fn redeclare_with_another_alternate_exchange_closes_the_channel_with_406() {
    let ch = Ch::open().await;
    let exchange = unique("exchange");
    let declare = |ch: Ch, args| {
        let exchange = exchange.clone();
        async move { ch.exchange_declare(&exchange, "fanout", "", args).await }
    };
    declare(ch.sibling().await, args! { "alternate-exchange": "amq.fanout" }).await.unwrap();
    let text = format!(
        "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange '{exchange}' in vhost '/': "
    );
    let (other, none) = (
        format!("{text}received 'amq.topic' but current is 'amq.fanout'"),
        format!("{text}received none but current is the value 'amq.fanout' of type 'longstr'"),
    );
    refused(declare(ch.sibling().await, args! { "alternate-exchange": "amq.topic" }).await, 406, &other);
    refused(declare(ch.sibling().await, args! {}).await, 406, &none);
    ch.exchange_delete(&exchange, "").await.unwrap();
}

#[tokio::test]
async fn unknown_type_is_a_precondition_failure() {
    only_leveret!("503 COMMAND_INVALID, which closes the connection, before RabbitMQ 4");
    let ch = Ch::open().await;
    refused(
        ch.exchange_declare(&unique("exchange"), "no-such-type", "", args! {}).await,
        406,
        "PRECONDITION_FAILED - unknown exchange type 'no-such-type'",
    );
}

#[tokio::test]
async fn reserved_names_and_the_default_exchange_are_refused_with_403() {
    let ch = Ch::open().await;
    for (name, text) in [
        ("amq.mine", "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'"),
        ("", "ACCESS_REFUSED - operation not permitted on the default exchange"),
    ] {
        refused(ch.sibling().await.exchange_declare(name, "direct", "durable", args! {}).await, 403, text);
    }
    refused(
        ch.sibling().await.exchange_delete("", "").await,
        403,
        "ACCESS_REFUSED - operation not permitted on the default exchange",
    );
    for name in ["amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match", "amq.rabbitmq.trace"] {
        let text = format!("ACCESS_REFUSED - deletion of system exchange '{name}' in vhost '/' not allowed");
        refused(ch.sibling().await.exchange_delete(name, "").await, 403, &text);
    }
}

#[tokio::test]
async fn passive_declare_of_a_missing_exchange_is_404() {
    let ch = Ch::open().await;
    let exchange = unique("exchange");
    refused(
        ch.exchange_declare(&exchange, "direct", "passive", args! {}).await,
        404,
        &format!("NOT_FOUND - no exchange '{exchange}' in vhost '/'"),
    );
}

#[tokio::test]
async fn delete_is_idempotent() {
    let ch = Ch::open().await;
    let exchange = unique("exchange");
    ch.exchange_declare(&exchange, "topic", "durable", args! {}).await.unwrap();
    ch.exchange_delete(&exchange, "").await.unwrap();
    ch.exchange_delete(&exchange, "").await.unwrap();
    ch.exchange_delete(&unique("never-was"), "if-unused").await.unwrap();
}

#[tokio::test]
async fn delete_if_unused_is_refused_while_something_is_bound() {
    let ch = Ch::open().await;
    let (exchange, queue) = (unique("exchange"), ch.queue().await);
    ch.exchange_declare(&exchange, "direct", "", args! {}).await.unwrap();
    ch.bind(&queue, &exchange, "k").await.unwrap();
    refused(
        ch.sibling().await.exchange_delete(&exchange, "if-unused").await,
        406,
        &format!("PRECONDITION_FAILED - exchange '{exchange}' in vhost '/' in use"),
    );
    ch.unbind(&queue, &exchange, "k").await.unwrap();
    // Being bound to another source is no use.
    ch.exchange_bind(&exchange, "amq.fanout", "").await.unwrap();
    ch.exchange_delete(&exchange, "if-unused").await.unwrap();
}

#[tokio::test]
async fn deleting_an_exchange_deletes_its_bindings() {
    let ch = Ch::confirming().await;
    let (exchange, queue) = (unique("exchange"), ch.queue().await);
    for round in 0..2 {
        ch.exchange_declare(&exchange, "fanout", "", args! {}).await.unwrap();
        assert!(
            ch.publish_mandatory(&exchange, "", "m").await.is_some(),
            "round {round}: no binding survived"
        );
        ch.bind(&queue, &exchange, "").await.unwrap();
        assert!(ch.publish_mandatory(&exchange, "", "m").await.is_none());
        ch.exchange_delete(&exchange, "").await.unwrap();
    }
    assert_eq!(ch.drain(&queue).await.len(), 2);
}

#[tokio::test]
async fn an_auto_delete_exchange_goes_with_its_last_binding_never_before_its_first() {
    let ch = Ch::open().await;
    let (first, second) = (ch.queue().await, ch.queue().await);
    let exchange = ch.exchange("direct").await;
    ch.unbind(&first, &exchange, "never-bound").await.unwrap();
    assert!(ch.exchange_exists(&exchange).await);
    ch.bind(&first, &exchange, "a").await.unwrap();
    ch.bind(&first, &exchange, "a").await.unwrap(); // the same binding
    ch.bind(&second, &exchange, "b").await.unwrap();
    ch.unbind(&first, &exchange, "a").await.unwrap();
    assert!(ch.exchange_exists(&exchange).await);
    ch.delete(&second, "").await.unwrap();
    assert!(!ch.exchange_exists(&exchange).await);
}

#[tokio::test]
async fn auto_delete_exchanges_go_in_a_chain() {
    let ch = Ch::open().await;
    let (source, middle, queue) =
        (ch.exchange("fanout").await, ch.exchange("fanout").await, ch.queue().await);
    ch.exchange_bind(&middle, &source, "").await.unwrap();
    ch.bind(&queue, &middle, "").await.unwrap();
    ch.delete(&queue, "").await.unwrap();
    assert!(!ch.exchange_exists(&middle).await, "its last binding went with the queue");
    assert!(!ch.exchange_exists(&source).await, "its last binding went with the exchange");
}

#[tokio::test]
async fn an_internal_exchange_takes_messages_from_exchanges_only() {
    let ch = Ch::confirming().await;
    let (exchange, source, queue) = (unique("exchange"), ch.exchange("fanout").await, ch.queue().await);
    ch.exchange_declare(&exchange, "fanout", "internal", args! {}).await.unwrap();
    ch.exchange_bind(&exchange, &source, "").await.unwrap();
    ch.bind(&queue, &exchange, "").await.unwrap();
    ch.publish(&source, "", "m").await.unwrap();
    assert_eq!(ch.drain(&queue).await, ["m"]);
    refused(
        ch.publish(&exchange, "", "m").await,
        403,
        &format!("ACCESS_REFUSED - cannot publish to internal exchange '{exchange}' in vhost '/'"),
    );
    Ch::open().await.exchange_delete(&exchange, "").await.unwrap();
}

#[tokio::test]
async fn the_alternate_exchange_takes_what_no_binding_wanted() {
    let ch = Ch::confirming().await;
    let (end, wanted, stray, lost) =
        (ch.exchange("fanout").await, ch.queue().await, ch.queue().await, ch.queue().await);
    let middle = ch.exchange_with("direct", args! { "alternate-exchange": &end }).await;
    let first = ch.exchange_with("direct", args! { "alternate-exchange": &middle }).await;
    ch.bind(&wanted, &first, "wanted").await.unwrap();
    ch.bind(&stray, &middle, "stray").await.unwrap();
    ch.bind(&lost, &end, "").await.unwrap();
    for key in ["wanted", "stray", "lost"] {
        assert!(ch.publish_mandatory(&first, key, key).await.is_none(), "{key} was routed");
    }
    for (queue, body) in [(&wanted, "wanted"), (&stray, "stray"), (&lost, "lost")] {
        assert_eq!(ch.drain(queue).await, [body]);
    }
}

#[tokio::test]
async fn a_route_through_a_bound_exchange_makes_the_alternate_exchange_idle() {
    let ch = Ch::confirming().await;
    let (alternate, inner, queue, stray) =
        (ch.exchange("fanout").await, ch.exchange("fanout").await, ch.queue().await, ch.queue().await);
    let source = ch.exchange_with("direct", args! { "alternate-exchange": &alternate }).await;
    ch.bind(&stray, &alternate, "").await.unwrap();
    ch.exchange_bind(&inner, &source, "k").await.unwrap();
    ch.bind(&queue, &inner, "").await.unwrap();
    ch.publish(&source, "k", "m").await.unwrap();
    assert_eq!((ch.drain(&queue).await, ch.drain(&stray).await), (vec!["m".to_owned()], vec![]));
}

#[tokio::test]
async fn alternate_exchanges_that_are_missing_or_circular_end_with_a_return() {
    let ch = Ch::confirming().await;
    let missing = ch.exchange_with("direct", args! { "alternate-exchange": &unique("missing") }).await;
    assert!(ch.publish_mandatory(&missing, "k", "m").await.is_some());
    let (a, b) = (unique("exchange"), unique("exchange"));
    ch.exchange_declare(&a, "direct", "", args! { "alternate-exchange": &b }).await.unwrap();
    ch.exchange_declare(&b, "direct", "", args! { "alternate-exchange": &a }).await.unwrap();
    assert!(ch.publish_mandatory(&a, "k", "m").await.is_some());
    ch.exchange_delete(&a, "").await.unwrap();
    ch.exchange_delete(&b, "").await.unwrap();
    ch.exchange_delete(&missing, "").await.unwrap();
}
