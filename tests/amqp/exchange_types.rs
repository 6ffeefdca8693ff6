//! Exchange types that RabbitMQ and its plugins add to AMQP's four. Against a RabbitMQ these need its plugins for consistent
//! hashing, random exchanges, recent history and sharding.

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};

use crate::{
    broker::{Broker, only_leveret, unique},
    client::{Ch, args, refused},
};

const MESSAGES: usize = 600;

/// As many queues as keys, each bound with its key.
async fn bound(ch: &Ch, exchange: &str, keys: &[&str]) -> Vec<String> {
    let mut queues = Vec::new();
    for key in keys {
        let queue = ch.queue().await;
        ch.bind(&queue, exchange, key).await.unwrap();
        queues.push(queue);
    }
    queues
}

/// Publishes numbered messages, each with its number as routing key.
async fn publish_numbers(ch: &Ch, exchange: &str) {
    for number in 0..MESSAGES {
        ch.publish(exchange, &number.to_string(), &number.to_string()).await.unwrap();
    }
}

/// What is in each queue, taken out.
async fn drained(ch: &Ch, queues: &[String]) -> Vec<Vec<String>> {
    let mut contents = Vec::new();
    for queue in queues {
        contents.push(ch.drain(queue).await);
    }
    contents
}

fn lengths(contents: &[Vec<String>]) -> Vec<usize> {
    contents.iter().map(Vec::len).collect()
}

// ---- x-consistent-hash ----

#[tokio::test]
async fn consistent_hash_shares_messages_by_weight_and_keeps_a_key_with_its_queue() {
    let ch = Ch::confirming().await;
    let exchange = ch.exchange("x-consistent-hash").await;
    let queues = bound(&ch, &exchange, &["10", "20", "30"]).await;
    publish_numbers(&ch, &exchange).await;
    let first = drained(&ch, &queues).await;
    assert_eq!(lengths(&first).iter().sum::<usize>(), MESSAGES);
    for (length, expected) in lengths(&first).into_iter().zip([100, 200, 300_usize]) {
        assert!(length.abs_diff(expected) < 75, "{:?}", lengths(&first));
    }
    publish_numbers(&ch, &exchange).await;
    assert_eq!(drained(&ch, &queues).await, first);
}

#[tokio::test]
async fn a_binding_of_a_consistent_hash_moves_only_its_share() {
    only_leveret!("RabbitMQ moves others' messages, too, when a binding goes that was not the last");
    let ch = Ch::confirming().await;
    let exchange = ch.exchange("x-consistent-hash").await;
    let queues = bound(&ch, &exchange, &["1", "1", "1"]).await;
    publish_numbers(&ch, &exchange).await;
    let before = drained(&ch, &queues).await;
    ch.unbind(&queues[0], &exchange, "1").await.unwrap();
    publish_numbers(&ch, &exchange).await;
    let without = drained(&ch, &queues).await;
    assert!(without[0].is_empty());
    for stayed in [1, 2] {
        assert!(before[stayed].iter().all(|body| without[stayed].contains(body)));
    }
    ch.bind(&queues[0], &exchange, "1").await.unwrap();
    publish_numbers(&ch, &exchange).await;
    assert_eq!(drained(&ch, &queues).await, before);
}

#[tokio::test]
async fn consistent_hash_looks_at_a_header_or_a_property_if_told_to() {
    let ch = Ch::confirming().await;
    for args in [
        args! { "hash-header": "user" },
        args! { "hash-property": "message_id" },
        args! { "hash-property": "correlation_id" },
        args! { "hash-property": "timestamp" },
    ] {
        let exchange = ch.exchange_with("x-consistent-hash", args).await;
        let queues = bound(&ch, &exchange, &["1", "1", "1"]).await;
        for round in 0..2 {
            for user in 0..40_u16 {
                let properties = BasicProperties::default()
                    .with_headers(args! { "user": i32::from(user) })
                    .with_message_id(user.to_string().into())
                    .with_correlation_id(user.to_string().into())
                    .with_timestamp(user.into());
                let key = format!("{round}.{user}");
                ch.publish_with(&exchange, &key, &user.to_string(), "", properties).await.unwrap();
            }
        }
        for content in drained(&ch, &queues).await {
            let (one, other) = content.split_at(content.len() / 2);
            assert_eq!(one, other, "both rounds go the same ways");
            assert!(!one.is_empty());
        }
    }
}

#[tokio::test]
async fn hash_on_is_another_name_of_hash_header() {
    only_leveret!("LavinMQ's name for it");
    let ch = Ch::confirming().await;
    let exchange = ch.exchange_with("x-consistent-hash", args! { "x-hash-on": "user" }).await;
    let queues = bound(&ch, &exchange, &["1", "1", "1"]).await;
    for key in 0..20 {
        let properties = BasicProperties::default().with_headers(args! { "user": 7 });
        ch.publish_with(&exchange, &key.to_string(), "m", "", properties).await.unwrap();
    }
    let mut lengths = lengths(&drained(&ch, &queues).await);
    lengths.sort_unstable();
    assert_eq!(lengths, [0, 0, 20]);
}

#[tokio::test]
async fn consistent_hash_refuses_what_it_cannot_hash_and_weights_that_are_none() {
    let ch = Ch::open().await;
    for (args, text) in [
        (args! { "hash-property": "app_id" }, "PRECONDITION_FAILED - Unsupported property: app_id"),
        (
            args! { "hash-property": "timestamp", "hash-header": "user" },
            "PRECONDITION_FAILED - hash-header and hash-property are mutually exclusive",
        ),
    ] {
        let declared =
            ch.sibling().await.exchange_declare(&unique("exchange"), "x-consistent-hash", "", args).await;
        refused(declared, 406, text);
    }
    let exchange = unique("exchange");
    ch.exchange_declare(&exchange, "x-consistent-hash", "", args! {}).await.unwrap();
    let queue = ch.queue().await;
    for (key, text) in [
        ("heavy", "PRECONDITION_FAILED - The binding key must be an integer: <<\"heavy\">>"),
        ("1.5", "PRECONDITION_FAILED - The binding key must be an integer: <<\"1.5\">>"),
        ("0", "PRECONDITION_FAILED - The binding key must be greater than 0"),
        ("-3", "PRECONDITION_FAILED - The binding key must be greater than 0"),
    ] {
        refused(ch.sibling().await.bind(&queue, &exchange, key).await, 406, text);
    }
    ch.exchange_delete(&exchange, "").await.unwrap();
}

// ---- x-modulus-hash, x-random, x-local-random ----

#[tokio::test]
async fn modulus_hash_keeps_a_key_with_its_queue() {
    let ch = Ch::confirming().await;
    let exchange = ch.exchange("x-modulus-hash").await;
    let queues = bound(&ch, &exchange, &["", "a", "b"]).await;
    publish_numbers(&ch, &exchange).await;
    let first = drained(&ch, &queues).await;
    assert_eq!(lengths(&first).iter().sum::<usize>(), MESSAGES);
    assert!(lengths(&first).iter().all(|length| length.abs_diff(MESSAGES / 3) < 75), "{:?}", lengths(&first));
    publish_numbers(&ch, &exchange).await;
    assert_eq!(drained(&ch, &queues).await, first);
}

#[tokio::test]
async fn random_exchanges_give_each_message_to_one_queue() {
    let ch = Ch::confirming().await;
    for (kind, keys) in [("x-random", ["", "a", "b"]), ("x-local-random", ["", "", ""])] {
        if kind == "x-local-random" {
            only_leveret!("RabbitMQ has it since version 4");
        }
        let exchange = ch.exchange(kind).await;
        let queues = bound(&ch, &exchange, &keys).await;
        for _ in 0..MESSAGES {
            ch.publish(&exchange, "same", "m").await.unwrap();
        }
        let lengths = lengths(&drained(&ch, &queues).await);
        assert_eq!(lengths.iter().sum::<usize>(), MESSAGES);
        // The chance that one of them is further off is one in a hundred million.
        assert!(lengths.iter().all(|length| length.abs_diff(MESSAGES / 3) < 75), "{kind}: {lengths:?}");
    }
}

#[tokio::test]
async fn local_random_takes_queues_without_a_key() {
    only_leveret!("RabbitMQ has it since version 4");
    let ch = Ch::open().await;
    let (exchange, queue) = (unique("exchange"), ch.queue().await);
    ch.exchange_declare(&exchange, "x-local-random", "", args! {}).await.unwrap();
    refused(
        ch.sibling().await.bind(&queue, &exchange, "k").await,
        406,
        "PRECONDITION_FAILED - Non empty binding 'k' key not permitted",
    );
    refused(
        ch.sibling().await.exchange_bind("amq.fanout", &exchange, "").await,
        406,
        "PRECONDITION_FAILED - Destination not found",
    );
    ch.exchange_delete(&exchange, "").await.unwrap();
}

#[tokio::test]
async fn without_bindings_messages_come_back() {
    let ch = Ch::confirming().await;
    for kind in ["x-consistent-hash", "x-modulus-hash", "x-random", "x-recent-history"] {
        let exchange = unique("exchange");
        ch.exchange_declare(&exchange, kind, "", args! {}).await.unwrap();
        assert!(ch.publish_mandatory(&exchange, "k", "m").await.is_some(), "{kind}");
        ch.exchange_delete(&exchange, "").await.unwrap();
    }
}

// ---- x-recent-history ----

#[tokio::test]
async fn recent_history_is_delivered_to_queues_that_are_bound_later() {
    let ch = Ch::confirming().await;
    let exchange = unique("exchange");
    let args = args! { "x-recent-history-length": 3 };
    ch.exchange_declare(&exchange, "x-recent-history", "", args).await.unwrap();
    let early = ch.queue().await;
    ch.bind(&early, &exchange, "").await.unwrap();
    for body in ["1", "2", "3", "4"] {
        ch.publish(&exchange, "any", body).await.unwrap();
    }
    let no_store = BasicProperties::default().with_headers(args! { "x-recent-history-no-store": true });
    ch.publish_with(&exchange, "any", "secret", "", no_store).await.unwrap();
    assert_eq!(ch.drain(&early).await, ["1", "2", "3", "4", "secret"]);
    let late = ch.queue().await;
    ch.bind(&late, &exchange, "").await.unwrap();
    ch.publish(&exchange, "any", "5").await.unwrap();
    ch.await_counts(&late, (4, 0)).await;
    assert_eq!(ch.drain(&late).await, ["2", "3", "4", "5"]);
    ch.bind(&late, &exchange, "").await.unwrap(); // the same binding once more
    assert_eq!(ch.drain(&late).await, [""; 0]);
    ch.exchange_delete(&exchange, "").await.unwrap();
}

#[tokio::test]
async fn recent_history_goes_on_through_an_exchange_that_is_bound() {
    let ch = Ch::confirming().await;
    let (source, inner, queue) = (unique("exchange"), ch.exchange("topic").await, ch.queue().await);
    ch.exchange_declare(&source, "x-recent-history", "", args! {}).await.unwrap();
    ch.bind(&queue, &inner, "a.*").await.unwrap();
    for key in ["a.1", "a.2"] {
        ch.publish(&source, key, key).await.unwrap();
    }
    ch.exchange_bind(&inner, &source, "").await.unwrap();
    let mut bodies = ch.drain(&queue).await;
    bodies.sort(); // RabbitMQ passes the newest on first, other than to a queue
    assert_eq!(bodies, ["a.1", "a.2"]);
    ch.exchange_delete(&source, "").await.unwrap();
}

#[tokio::test]
async fn a_queue_that_is_bound_while_others_publish_gets_each_message_once_and_in_order() {
    only_leveret!("RabbitMQ makes no such promise");
    let (ch, publisher) = (Ch::open().await, Ch::confirming().await);
    let exchange = unique("exchange");
    let args = args! { "x-recent-history-length": 1000 };
    ch.exchange_declare(&exchange, "x-recent-history", "", args).await.unwrap();
    let binding = async {
        let mut queues = Vec::new();
        for _ in 0..40 {
            queues.extend(bound(&ch, &exchange, &[""]).await);
        }
        queues
    };
    let (queues, ()) = tokio::join!(binding, publish_numbers(&publisher, &exchange));
    let all: Vec<String> = (0..MESSAGES).map(|number| number.to_string()).collect();
    for content in drained(&ch, &queues).await {
        assert_eq!(content, all);
    }
    ch.exchange_delete(&exchange, "").await.unwrap();
}

#[tokio::test]
async fn recent_history_has_a_positive_length() {
    let ch = Ch::open().await;
    for (length, shown) in [
        (AMQPValue::LongInt(0), "0"),
        (AMQPValue::LongInt(-1), "-1"),
        (AMQPValue::LongString("5".into()), "<<\"5\">>"),
    ] {
        let args = args! { "x-recent-history-length": length };
        let text = format!(
            "PRECONDITION_FAILED - Invalid argument {shown}, 'x-recent-history-length' must be a positive integer"
        );
        let declared =
            ch.sibling().await.exchange_declare(&unique("exchange"), "x-recent-history", "", args).await;
        refused(declared, 406, &text);
    }
}

// ---- x-delayed-message ----

#[tokio::test]
async fn a_delayed_exchange_routes_as_its_inner_type() {
    only_leveret!("the plugin does not come with RabbitMQ");
    let ch = Ch::confirming().await;
    let exchange = ch.exchange_with("x-delayed-message", args! { "x-delayed-type": "topic" }).await;
    let queue = ch.queue().await;
    ch.bind(&queue, &exchange, "a.*").await.unwrap();
    for key in ["a.b", "b.a"] {
        ch.publish(&exchange, key, key).await.unwrap();
    }
    assert_eq!(ch.drain(&queue).await, ["a.b"]);
    refused(
        ch.sibling().await.exchange_declare(&exchange, "topic", "auto-delete", args! {}).await,
        406,
        &format!(
            "PRECONDITION_FAILED - inequivalent arg 'type' for exchange '{exchange}' in vhost '/': received 'topic' \
             but current is 'x-delayed-message'"
        ),
    );
}

#[tokio::test]
async fn a_delayed_exchange_needs_an_inner_type() {
    only_leveret!("the plugin does not come with RabbitMQ");
    let ch = Ch::open().await;
    for args in [
        args! {},
        args! { "x-delayed-type": "no-such-type" },
        args! { "x-delayed-type": "x-delayed-message" },
        args! { "x-delayed-type": 1 },
    ] {
        refused(
            ch.sibling().await.exchange_declare(&unique("exchange"), "x-delayed-message", "", args).await,
            406,
            "PRECONDITION_FAILED - Invalid argument, 'x-delayed-type' must be an existing exchange type",
        );
    }
}

// ---- restarts ----

#[tokio::test]
async fn what_a_durable_queue_got_out_of_a_history_survives_a_crash() {
    let folder = tempfile::TempDir::new().unwrap();
    let folder = folder.path().to_str().unwrap();
    let persistent = || BasicProperties::default().with_delivery_mode(2);
    {
        let Some(broker) = Broker::start_on(folder) else { return };
        let ch = Ch::open_to(broker).await.confirm().await;
        ch.exchange_declare("history", "x-recent-history", "durable", args! {}).await.unwrap();
        for body in ["1", "2"] {
            ch.publish_with("history", "", body, "", persistent()).await.unwrap();
        }
        for queue in ["one", "other"] {
            ch.declare(queue, "durable", args! {}).await.unwrap();
            ch.bind(queue, "history", "").await.unwrap();
        }
        ch.publish_with("history", "", "3", "", persistent()).await.unwrap();
    }
    let Some(broker) = Broker::start_on(folder) else { return };
    let ch = Ch::open_to(broker).await;
    for queue in ["one", "other"] {
        assert_eq!(ch.drain(queue).await, ["1", "2", "3"]);
    }
    ch.declare("late", "", args! {}).await.unwrap();
    ch.bind("late", "history", "").await.unwrap();
    assert_eq!(ch.drain("late").await, [""; 0], "the history itself is in memory");
}

#[tokio::test]
async fn after_a_restart_exchanges_are_what_they_were_and_keys_go_where_they_went() {
    let folder = tempfile::TempDir::new().unwrap();
    let folder = folder.path().to_str().unwrap();
    let types: [(&str, FieldTable); 6] = [
        ("x-consistent-hash", args! {}),
        ("x-modulus-hash", args! {}),
        ("x-random", args! {}),
        ("x-local-random", args! {}),
        ("x-recent-history", args! {}),
        ("x-delayed-message", args! { "x-delayed-type": "x-modulus-hash" }),
    ];
    let stays = |kind: &str| !kind.ends_with("random") && kind != "x-recent-history";
    let mut before = Vec::new();
    for run in 0..2 {
        let Some(broker) = Broker::start_on(folder) else { return };
        let ch = Ch::open_to(broker).await.confirm().await;
        for (index, (kind, args)) in types.iter().enumerate() {
            ch.exchange_declare(kind, kind, "durable", args.clone()).await.unwrap();
            let queues: Vec<String> = (0..3).map(|queue| format!("{kind}.{queue}")).collect();
            if run == 0 {
                let key = if *kind == "x-consistent-hash" { "1" } else { "" };
                for queue in &queues {
                    ch.declare(queue, "durable", args! {}).await.unwrap();
                    ch.bind(queue, kind, key).await.unwrap();
                }
            }
            for key in 0..30 {
                ch.publish(kind, &key.to_string(), &key.to_string()).await.unwrap();
            }
            let contents = drained(&ch, &queues).await;
            assert!(lengths(&contents).iter().sum::<usize>() >= 30, "run {run}: {kind}");
            if run == 0 {
                before.push(contents);
            } else if stays(kind) {
                assert_eq!(contents, before[index], "{kind}");
            }
        }
    }
}
