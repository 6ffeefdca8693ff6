//! Arguments of queue.declare: what each type of queue takes, in RabbitMQ's words.

use lapin::types::{AMQPValue, FieldTable};

use crate::{
    broker::{only_leveret, unique},
    client::{Ch, args, refused},
};

#[tokio::test]
async fn values_of_the_wrong_type_or_range_are_refused_with_406() {
    let ch = Ch::open().await;
    let integer = |got: &str| format!("\"expected integer, got {got}\"");
    let type_of = |got: &str| format!("{{unacceptable_type,{got}}}");
    for (name, table, complaint) in [
        ("x-expires", args! { "x-expires": 0 }, "{value_zero,0}".into()),
        ("x-expires", args! { "x-expires": -1 }, "{value_negative,-1}".into()),
        ("x-expires", args! { "x-expires": true }, integer("bool")),
        ("x-expires", args! { "x-expires": 315_360_000_001_i64 }, "{value_too_large,315360000001}".into()),
        ("x-message-ttl", args! { "x-message-ttl": -1 }, "{value_negative,-1}".into()),
        ("x-message-ttl", args! { "x-message-ttl": "5" }, integer("longstr")),
        (
            "x-message-ttl",
            args! { "x-message-ttl": 315_360_000_001_i64 },
            "{value_too_large,315360000001}".into(),
        ),
        (
            "x-dead-letter-routing-key",
            args! { "x-dead-letter-routing-key": "k" },
            "routing_key_but_no_dlx_defined".into(),
        ),
        ("x-dead-letter-routing-key", args! { "x-dead-letter-routing-key": 1 }, type_of("signedint")),
        ("x-max-length", args! { "x-max-length": -1 }, "{value_negative,-1}".into()),
        ("x-max-length", args! { "x-max-length": "5" }, integer("longstr")),
        ("x-max-length-bytes", args! { "x-max-length-bytes": -1 }, "{value_negative,-1}".into()),
        ("x-max-priority", args! { "x-max-priority": 256 }, "{max_value_exceeded,256}".into()),
        ("x-max-priority", args! { "x-max-priority": -1 }, "{value_negative,-1}".into()),
        ("x-max-priority", args! { "x-max-priority": "a" }, integer("longstr")),
        ("x-overflow", args! { "x-overflow": "explode" }, "invalid_overflow".into()),
        ("x-overflow", args! { "x-overflow": 1 }, type_of("signedint")),
        ("x-single-active-consumer", args! { "x-single-active-consumer": "yes" }, type_of("longstr")),
        ("x-queue-mode", args! { "x-queue-mode": "x" }, "\"unsupported queue mode 'x'\"".into()),
        ("x-queue-mode", args! { "x-queue-mode": 1 }, type_of("signedint")),
        ("x-queue-version", args! { "x-queue-version": 3 }, "\"unsupported queue version '3'\"".into()),
        ("x-queue-version", args! { "x-queue-version": -1 }, "{value_negative,-1}".into()),
        ("x-queue-version", args! { "x-queue-version": "a" }, integer("longstr")),
        ("x-queue-type", args! { "x-queue-type": "x" }, "\"unsupported queue type 'x'\"".into()),
        ("x-queue-type", args! { "x-queue-type": 1 }, type_of("signedint")),
        ("x-expires", args! { "x-max-length": -1, "x-expires": 0 }, "{value_zero,0}".into()),
    ] {
        let queue = unique("queue");
        let text = format!(
            "PRECONDITION_FAILED - invalid arg '{name}' for queue '{queue}' in vhost '/': {complaint}"
        );
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
async fn values_at_the_edge_of_their_range_are_taken() {
    let ch = Ch::open().await;
    for table in [
        args! { "x-expires": 315_360_000_000_i64 },
        args! { "x-message-ttl": 0, "x-max-length": 0, "x-max-length-bytes": 0, "x-max-priority": 0 },
        args! { "x-max-priority": 255, "x-overflow": "reject-publish-dlx", "x-queue-master-locator": "any" },
        args! { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "" },
        args! { "x-queue-type": "classic", "x-queue-mode": "lazy", "x-queue-version": 1 },
    ] {
        ch.queue_with(table).await;
    }
}

#[tokio::test]
async fn arguments_of_another_type_of_queue_are_refused_with_406() {
    let ch = Ch::open().await;
    let quorum = |name: &'static str| (name, "quorum", "rabbit_quorum_queue");
    let classic = |name: &'static str| (name, "classic", "rabbit_classic_queue");
    for (name, queue_type, module) in [
        quorum("x-max-priority"),
        quorum("x-queue-mode"),
        quorum("x-queue-version"),
        quorum("x-queue-master-locator"),
        quorum("x-max-age"),
        quorum("x-stream-max-segment-size-bytes"),
        quorum("x-initial-cluster-size"),
        classic("x-dead-letter-strategy"),
        classic("x-max-in-memory-length"),
        classic("x-max-in-memory-bytes"),
        classic("x-quorum-initial-group-size"),
        classic("x-max-age"),
        classic("x-stream-max-segment-size-bytes"),
        classic("x-initial-cluster-size"),
    ] {
        let queue = unique("queue");
        let mut table = args! { "x-queue-type": queue_type };
        table.insert(name.into(), AMQPValue::LongInt(-1));
        let text = format!("invalid arg '{name}' for queue '{queue}' in vhost '/' of queue type {module}");
        let declared = ch.sibling().await.declare(&queue, "durable", table).await;
        refused(declared, 406, &format!("PRECONDITION_FAILED - {text}"));
    }
}

#[tokio::test]
async fn arguments_of_quorum_queues_are_checked() {
    let ch = Ch::open().await;
    for (name, table, complaint) in [
        ("x-max-in-memory-length", args! { "x-max-in-memory-length": -1 }, "{value_negative,-1}"),
        ("x-dead-letter-strategy", args! { "x-dead-letter-strategy": "x" }, "invalid_dlx_strategy"),
        ("x-quorum-initial-group-size", args! { "x-quorum-initial-group-size": 0 }, "{value_zero,0}"),
        ("x-queue-leader-locator", args! { "x-queue-leader-locator": "x" }, "invalid_queue_locator_arg"),
    ] {
        let queue = unique("queue");
        let text = format!(
            "PRECONDITION_FAILED - invalid arg '{name}' for queue '{queue}' in vhost '/': {complaint}"
        );
        refused(ch.sibling().await.declare(&queue, "durable", quorum(table)).await, 406, &text);
    }
    let queue = unique("queue");
    let table = quorum(args! {
        "x-expires": 60_000, "x-message-ttl": 5, "x-max-length": 5, "x-max-length-bytes": 500,
        "x-overflow": "reject-publish", "x-single-active-consumer": true, "x-delivery-limit": -1,
        "x-dead-letter-exchange": "amq.fanout", "x-dead-letter-routing-key": "k",
        "x-dead-letter-strategy": "at-least-once", "x-max-in-memory-bytes": 5,
        "x-quorum-initial-group-size": 1, "x-queue-leader-locator": "client-local"
    });
    ch.declare(&queue, "durable", table).await.unwrap();
    ch.delete(&queue, "").await.unwrap();
}

#[tokio::test]
async fn a_quorum_queue_is_durable_shared_and_stays() {
    let ch = Ch::open().await;
    for (flags, property) in [
        ("", "non-durable"),
        ("exclusive", "exclusive-owner"),
        ("durable exclusive", "exclusive-owner"),
        ("durable auto-delete", "auto-delete"),
        ("exclusive auto-delete", "auto-delete"),
    ] {
        let queue = unique("queue");
        let text =
            format!("PRECONDITION_FAILED - invalid property '{property}' for queue '{queue}' in vhost '/'");
        refused(ch.sibling().await.declare(&queue, flags, quorum(args! {})).await, 406, &text);
    }
    let text = "PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue";
    refused(ch.sibling().await.declare("", "durable", quorum(args! {})).await, 406, text);
    refused(ch.declare("", "durable", quorum(args! { "x-max-priority": 1 })).await, 406, text);
}

#[tokio::test]
async fn a_quorum_queue_is_not_deleted_under_conditions() {
    let ch = Ch::open().await;
    let queue = unique("queue");
    ch.declare(&queue, "durable", quorum(args! {})).await.unwrap();
    for (flags, named) in
        [("if-unused", "if-unused"), ("if-empty", "if-empty"), ("if-unused if-empty", "if-unused")]
    {
        let text = format!(
            "NOT_IMPLEMENTED - cannot delete queue '{queue}' in vhost '/'. queue.delete operations with {named} flag set are not supported by quorum queues"
        );
        refused(Ch::open().await.delete(&queue, flags).await, 540, &text);
    }
    assert_eq!(ch.delete(&queue, "").await.unwrap(), 0);
}

#[tokio::test]
async fn redeclare_compares_the_type_and_the_arguments_that_it_knows() {
    let ch = Ch::open().await;
    let queue = unique("queue");
    ch.declare(&queue, "durable", quorum(args! {})).await.unwrap();
    let none = "but current is none";
    let quorum_is = "received none but current is the value 'quorum' of type 'longstr'";
    for (table, text) in [
        (args! {}, format!("'x-queue-type' {{q}}: {quorum_is}")),
        (
            args! { "x-queue-type": "classic" },
            "'x-queue-type' {q}: received 'classic' but current is 'quorum'".into(),
        ),
        (
            quorum(args! { "x-delivery-limit": 5 }),
            format!("'x-delivery-limit' {{q}}: received the value '5' of type 'signedint' {none}"),
        ),
        (quorum(args! { "x-max-in-memory-length": 1 }), "'x-max-in-memory-length' {q}: ".into()),
        (quorum(args! { "x-queue-leader-locator": "balanced" }), "'x-queue-leader-locator' {q}: ".into()),
        (quorum(args! { "x-dead-letter-strategy": "at-most-once" }), "'x-dead-letter-strategy' {q}: ".into()),
        (quorum(args! { "x-expires": 0 }), "'x-expires' {q}: ".into()),
    ] {
        let text = text.replace("{q}", &format!("for queue '{queue}' in vhost '/'"));
        let declared = ch.sibling().await.declare(&queue, "durable", table).await;
        refused(declared, 406, &format!("PRECONDITION_FAILED - inequivalent arg {text}"));
    }
    for same in [args! {}, args! { "x-max-priority": 5 }, args! { "x-max-age": "5D" }, args! { "x-what": 1 }]
    {
        ch.declare(&queue, "durable", quorum(same)).await.unwrap();
    }
    ch.delete(&queue, "").await.unwrap();
}

#[tokio::test]
async fn a_queue_of_no_type_is_a_classic_one() {
    let ch = Ch::open().await;
    let classic = || args! { "x-queue-type": "classic" };
    let (named, unnamed) = (ch.queue_with(classic()).await, ch.queue().await);
    ch.declare(&named, "exclusive", args! {}).await.unwrap();
    ch.declare(&unnamed, "exclusive", classic()).await.unwrap();
}

fn quorum(mut table: FieldTable) -> FieldTable {
    table.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    table
}

#[tokio::test]
async fn a_fraction_may_be_a_decimal() {
    only_leveret!("RabbitMQ has no jitter");
    let jitter = |value: u32| {
        let mut table = args! { "x-delayed-retry-type": "all", "x-delayed-retry-min": 100 };
        let decimal = lapin::types::DecimalValue { scale: 1, value };
        table.insert("x-delayed-retry-jitter".into(), AMQPValue::DecimalValue(decimal));
        table
    };
    let ch = Ch::open().await;
    ch.declare(&unique("queue"), "durable", jitter(2)).await.unwrap();
    let queue = unique("queue");
    let refusal = ch.declare(&queue, "durable", jitter(12)).await;
    refused(
        refusal,
        406,
        &format!("PRECONDITION_FAILED - invalid arg 'x-delayed-retry-jitter' for queue '{queue}'"),
    );
}
