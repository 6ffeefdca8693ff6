//! queue.declare, purge and delete.

use crate::{
    broker::{only_leveret, unique},
    client::{Ch, args, next, refused},
};

#[tokio::test]
async fn every_kind_of_queue_can_be_declared_again_with_the_same_flags() {
    let ch = Ch::open().await;
    for flags in ["", "durable", "exclusive", "auto-delete", "durable auto-delete", "exclusive auto-delete"] {
        let queue = unique("queue");
        for _ in 0..2 {
            let declared = ch.declare(&queue, flags, args! {}).await.unwrap();
            assert_eq!(
                (declared.name().as_str(), declared.message_count(), declared.consumer_count()),
                (&*queue, 0, 0)
            );
        }
        ch.delete(&queue, "").await.unwrap();
    }
}

#[tokio::test]
async fn redeclare_with_other_flags_closes_the_channel_with_406() {
    let ch = Ch::open().await;
    for (first, second, arg, received, current) in [
        ("durable", "", "durable", "false", "true"),
        ("", "durable", "durable", "true", "false"),
        ("", "auto-delete", "auto_delete", "true", "false"),
        ("durable auto-delete", "durable", "auto_delete", "false", "true"),
    ] {
        let queue = unique("queue");
        ch.declare(&queue, first, args! {}).await.unwrap();
        refused(
            ch.sibling().await.declare(&queue, second, args! {}).await,
            406,
            &format!(
                "PRECONDITION_FAILED - inequivalent arg '{arg}' for queue '{queue}' in vhost '/': received '{received}' but current is '{current}'"
            ),
        );
        ch.delete(&queue, "").await.unwrap();
    }
}

#[tokio::test]
async fn redeclare_compares_the_arguments_that_queues_know() {
    let ch = Ch::open().await;
    let none = "but current is none";
    for (first, second, text) in [
        (args! {}, args! { "x-expires": 5 }, format!("'x-expires' for queue '{{q}}' in vhost '/': received the value '5' of type 'signedint' {none}")),
        (args! {}, args! { "x-expires": 5_i64 }, format!("'x-expires' for queue '{{q}}' in vhost '/': received the value '5' of type 'long' {none}")),
        (args! { "x-expires": 5 }, args! {}, "'x-expires' for queue '{q}' in vhost '/': received none but current is the value '5' of type 'signedint'".into()),
        (args! { "x-expires": 5 }, args! { "x-expires": 6 }, "'x-expires' for queue '{q}' in vhost '/': received '6' but current is '5'".into()),
        (args! {}, args! { "x-message-ttl": 60_000 }, "'x-message-ttl' for queue '{q}'".into()),
        (args! {}, args! { "x-expires": 60_000 }, "'x-expires' for queue '{q}'".into()),
        (args! {}, args! { "x-dead-letter-exchange": "amq.fanout" }, format!("'x-dead-letter-exchange' for queue '{{q}}' in vhost '/': received the value 'amq.fanout' of type 'longstr' {none}")),
        (args! { "x-single-active-consumer": true }, args! {}, "'x-single-active-consumer' for queue '{q}' in vhost '/': received none but current is the value 'true' of type 'bool'".into()),
        (args! { "x-queue-mode": "lazy" }, args! { "x-queue-mode": "default" }, "'x-queue-mode' for queue '{q}' in vhost '/': received 'default' but current is 'lazy'".into()),
    ] {
        let queue = ch.queue_with(first).await;
        let text = format!("PRECONDITION_FAILED - inequivalent arg {}", text.replace("{q}", &queue));
        refused(ch.sibling().await.declare(&queue, "exclusive", second).await, 406, &text);
    }
}

#[tokio::test]
async fn redeclare_ignores_unknown_arguments_and_the_width_of_integers() {
    let ch = Ch::open().await;
    for (first, second) in [
        (args! { "x-expires": 5 }, args! { "x-expires": 5_i64 }),
        (args! { "x-what-is-this": "a" }, args! { "x-what-is-this": "b" }),
        (args! {}, args! { "x-what-is-this": 1 }),
    ] {
        let queue = ch.queue_with(first).await;
        ch.declare(&queue, "exclusive", second).await.unwrap();
    }
}

#[tokio::test]
async fn arguments_of_the_wrong_type_or_range_are_refused_with_406() {
    let ch = Ch::open().await;
    for (name, table) in [
        ("x-max-length", args! { "x-max-length": -1 }),
        ("x-max-length", args! { "x-max-length": "5" }),
        ("x-max-length-bytes", args! { "x-max-length-bytes": -1 }),
        ("x-message-ttl", args! { "x-message-ttl": -1 }),
        ("x-message-ttl", args! { "x-message-ttl": "1000" }),
        ("x-expires", args! { "x-expires": 0 }),
        ("x-expires", args! { "x-expires": true }),
        ("x-max-priority", args! { "x-max-priority": 256 }),
        ("x-max-priority", args! { "x-max-priority": -1 }),
        ("x-overflow", args! { "x-overflow": "explode" }),
        ("x-dead-letter-routing-key", args! { "x-dead-letter-routing-key": "without-exchange" }),
        ("x-single-active-consumer", args! { "x-single-active-consumer": "yes" }),
    ] {
        let queue = unique("queue");
        let text = format!("PRECONDITION_FAILED - invalid arg '{name}' for queue '{queue}' in vhost '/': ");
        refused(ch.sibling().await.declare(&queue, "exclusive", table).await, 406, &text);
    }
    let queue = unique("queue");
    refused(
        ch.declare(&queue, "exclusive", args! { "x-dead-letter-exchange": 1 }).await,
        406,
        &format!(
            "PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue '{queue}' in vhost '/'"
        ),
    );
}

#[tokio::test]
async fn the_server_names_a_queue_without_name() {
    let ch = Ch::open().await;
    let first = ch.declare("", "exclusive", args! {}).await.unwrap();
    let second = ch.declare("", "exclusive", args! {}).await.unwrap();
    assert!(first.name().as_str().starts_with("amq.gen-"), "{}", first.name());
    assert_ne!(first.name(), second.name());
    let name = first.name().as_str();
    ch.declare(name, "passive exclusive", args! {}).await.unwrap();
    refused(
        ch.declare(name, "exclusive", args! {}).await,
        403,
        &format!("ACCESS_REFUSED - queue name '{name}' contains reserved prefix 'amq.*'"),
    );
}

#[tokio::test]
async fn names_with_the_reserved_prefix_are_refused_with_403() {
    let ch = Ch::open().await;
    refused(
        ch.declare("amq.mine", "", args! {}).await,
        403,
        "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'",
    );
}

#[tokio::test]
async fn line_breaks_are_stripped_from_queue_names() {
    let ch = Ch::open().await;
    let queue = unique("queue");
    let declared = ch.declare(&format!("{queue}\r\n"), "exclusive", args! {}).await.unwrap();
    assert_eq!(declared.name().as_str(), queue);
}

#[tokio::test]
async fn queue_names_may_be_255_bytes_of_any_utf8() {
    let ch = Ch::confirming().await;
    for tail in ["é", "hase 🐇", "with space/and%2f"] {
        let mut queue = format!("{}{tail}", unique("queue"));
        while queue.len() < 255 {
            queue.push('x');
        }
        ch.declare(&queue, "exclusive", args! {}).await.unwrap();
        ch.fill(&queue, ["m"]).await;
        assert_eq!(ch.drain(&queue).await, ["m"]);
    }
}

#[tokio::test]
async fn passive_declare_answers_with_counts_whatever_the_flags_and_404_when_missing() {
    let (ch, other) = (Ch::confirming().await, Ch::open().await);
    let queue = unique("queue");
    ch.declare(&queue, "auto-delete", args! { "x-expires": 60_000 }).await.unwrap();
    ch.fill(&queue, ["a", "b", "c"]).await;
    let declared = other.declare(&queue, "passive durable", args! { "x-expires": 99_000 }).await.unwrap();
    assert_eq!((declared.message_count(), declared.consumer_count()), (3, 0));
    ch.qos(1, "").await;
    let mut consumer = ch.consume(&queue, "").await;
    next(&mut consumer).await;
    assert_eq!(ch.counts(&queue).await, (2, 1), "unacked messages do not count, consumers do");
    ch.delete(&queue, "").await.unwrap();
    refused(
        other.declare(&queue, "passive", args! {}).await,
        404,
        &format!("NOT_FOUND - no queue '{queue}' in vhost '/'"),
    );
}

#[tokio::test]
async fn an_exclusive_queue_is_locked_for_other_connections() {
    let (ch, other) = (Ch::open().await, Ch::open().await);
    let queue = ch.queue().await;
    let text = format!(
        "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration."
    );
    refused(other.sibling().await.declare(&queue, "exclusive", args! {}).await, 405, &text);
    refused(other.sibling().await.declare(&queue, "passive", args! {}).await, 405, &text);
    refused(other.sibling().await.declare(&queue, "", args! {}).await, 405, &text);
    refused(other.sibling().await.get(&queue, "").await, 405, &text);
    refused(other.sibling().await.consume_with(&queue, "", "", args! {}).await, 405, &text);
    refused(other.sibling().await.purge(&queue).await, 405, &text);
    refused(other.sibling().await.delete(&queue, "").await, 405, &text);
    refused(other.sibling().await.bind(&queue, "amq.direct", "k").await, 405, &text);
    // Publishing needs no access to the queue, and other channels of the owner have it.
    other.confirm().await.fill(&queue, ["m"]).await;
    assert_eq!(ch.sibling().await.drain(&queue).await, ["m"]);
}

#[tokio::test]
async fn redeclaring_a_shared_queue_as_exclusive_or_the_reverse_is_refused_with_405() {
    let ch = Ch::open().await;
    let (shared, own) = (unique("queue"), ch.queue().await);
    ch.declare(&shared, "", args! {}).await.unwrap();
    for (queue, flags) in [(&shared, "exclusive"), (&own, "")] {
        refused(
            ch.sibling().await.declare(queue, flags, args! {}).await,
            405,
            &format!(
                "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'. "
            ),
        );
    }
    ch.delete(&shared, "").await.unwrap();
}

#[tokio::test]
async fn an_exclusive_queue_goes_with_its_connection_not_with_its_channel() {
    let (owner, other) = (Ch::open().await, Ch::open().await);
    let queue = owner.sibling().await.queue().await;
    let channel = owner.sibling().await;
    let second = channel.queue().await;
    channel.close().await;
    owner.counts(&queue).await;
    owner.counts(&second).await;
    owner.close_connection().await;
    assert!(!other.queue_exists(&queue).await, "gone before connection.close-ok");
    assert!(!other.queue_exists(&second).await);
}

#[tokio::test]
async fn an_auto_delete_queue_goes_after_its_last_consumer_never_before_its_first() {
    let ch = Ch::confirming().await;
    let queue = unique("queue");
    ch.declare(&queue, "auto-delete", args! {}).await.unwrap();
    ch.fill(&queue, ["m"]).await;
    ch.get(&queue, "").await.unwrap().unwrap();
    let (first, second) = (ch.consume(&queue, "").await, ch.consume(&queue, "").await);
    ch.cancel(first.tag().as_str()).await;
    assert_eq!(ch.counts(&queue).await, (0, 1));
    ch.cancel(second.tag().as_str()).await;
    ch.await_gone(&queue).await;
}

#[tokio::test]
async fn an_auto_delete_queue_goes_when_the_last_consumers_channel_closes() {
    let ch = Ch::open().await;
    let queue = unique("queue");
    ch.declare(&queue, "auto-delete", args! {}).await.unwrap();
    let other = Ch::open().await;
    let _consumer = other.consume(&queue, "").await;
    other.close().await;
    ch.await_gone(&queue).await;
}

#[tokio::test]
async fn purge_counts_ready_messages_and_leaves_the_unacked() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    ch.fill(&queue, ["a", "b", "c"]).await;
    let held = ch.get(&queue, "").await.unwrap().unwrap();
    assert_eq!(ch.purge(&queue).await.unwrap(), 2);
    assert_eq!(ch.purge(&queue).await.unwrap(), 0);
    ch.reject(held.delivery_tag, "requeue").await;
    assert_eq!(ch.drain(&queue).await, ["a"]);
    let missing = unique("queue");
    refused(ch.purge(&missing).await, 404, &format!("NOT_FOUND - no queue '{missing}' in vhost '/'"));
}

#[tokio::test]
async fn delete_returns_the_count_of_ready_messages_and_is_idempotent() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    ch.fill(&queue, ["a", "b", "c"]).await;
    ch.get(&queue, "").await.unwrap().unwrap();
    assert_eq!(ch.delete(&queue, "").await.unwrap(), 2);
    assert_eq!(ch.delete(&queue, "").await.unwrap(), 0);
    assert_eq!(ch.delete(&unique("never-was"), "if-unused if-empty").await.unwrap(), 0);
}

#[tokio::test]
async fn delete_if_unused_and_if_empty_are_refused_with_406_in_that_order() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    ch.fill(&queue, ["m"]).await;
    let text = |what| format!("PRECONDITION_FAILED - queue '{queue}' in vhost '/' {what}");
    refused(ch.sibling().await.delete(&queue, "if-empty").await, 406, &text("not empty"));
    let held = ch.get(&queue, "").await.unwrap().unwrap();
    let consumer = ch.consume(&queue, "").await;
    refused(ch.sibling().await.delete(&queue, "if-unused if-empty").await, 406, &text("in use"));
    ch.cancel(consumer.tag().as_str()).await;
    ch.ack(held.delivery_tag, "").await;
    assert_eq!(ch.delete(&queue, "if-unused if-empty").await.unwrap(), 0);
}

#[tokio::test]
async fn a_queue_whose_messages_are_all_unacknowledged_is_empty_for_delete() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    ch.fill(&queue, ["held"]).await;
    ch.get(&queue, "").await.unwrap().unwrap();
    assert_eq!(ch.delete(&queue, "if-empty").await.unwrap(), 0);
}

#[tokio::test]
async fn the_empty_name_is_the_queue_last_declared_on_the_channel() {
    let ch = Ch::confirming().await;
    let (_first, queue) = (ch.queue().await, ch.queue().await);
    ch.bind("", "amq.direct", "").await.unwrap(); // an empty key is then the queue's name too
    ch.publish("amq.direct", &queue, "m").await.unwrap();
    let held = ch.get("", "").await.unwrap().unwrap();
    ch.reject(held.delivery_tag, "requeue").await;
    let mut consumer = ch.consume("", "no-ack").await;
    assert_eq!(next(&mut consumer).await.routing_key.as_str(), queue);
    ch.unbind("", "amq.direct", "").await.unwrap();
    ch.publish("amq.direct", &queue, "unbound").await.unwrap();
    assert_eq!(ch.purge("").await.unwrap(), 0);
    assert_eq!(ch.delete("", "").await.unwrap(), 0);
    assert!(!ch.queue_exists(&queue).await);
}

#[tokio::test]
async fn the_empty_name_on_a_channel_that_declared_nothing_is_404() {
    let ch = Ch::open().await;
    ch.queue().await; // another channel's declaration does not count
    let text = "NOT_FOUND - no previously declared queue";
    refused(ch.sibling().await.get("", "").await, 404, text);
    refused(ch.sibling().await.consume_with("", "", "", args! {}).await, 404, text);
    refused(ch.sibling().await.purge("").await, 404, text);
    refused(ch.sibling().await.delete("", "").await, 404, text);
    refused(ch.sibling().await.bind("", "amq.direct", "k").await, 404, text);
    refused(ch.declare("", "passive", args! {}).await, 404, "NOT_FOUND - no queue '' in vhost '/'");
}

#[tokio::test]
async fn a_queue_deleted_and_declared_again_is_a_new_one() {
    let ch = Ch::confirming().await;
    let queue = unique("queue");
    ch.declare(&queue, "durable", args! {}).await.unwrap();
    ch.bind(&queue, "amq.direct", &queue).await.unwrap();
    ch.fill(&queue, ["m"]).await;
    ch.delete(&queue, "").await.unwrap();
    ch.declare(&queue, "exclusive", args! { "x-expires": 60_000 }).await.unwrap();
    ch.publish("amq.direct", &queue, "no binding survives").await.unwrap();
    assert_eq!(ch.counts(&queue).await, (0, 0));
}

#[tokio::test]
async fn a_prefix_for_server_named_queues_may_be_given() {
    only_leveret!("x-name-prefix came after 3.10");
    let ch = Ch::open().await;
    let queue = ch.declare("", "exclusive", args! { "x-name-prefix": "mine-" }).await.unwrap();
    assert!(queue.name().as_str().starts_with("mine-"), "{}", queue.name());
    let long = "x".repeat(65);
    refused(
        ch.declare("", "exclusive", args! { "x-name-prefix": &long }).await,
        406,
        &format!("PRECONDITION_FAILED - Queue name prefix '{long}' exceeds the 64-byte limit"),
    );
}
