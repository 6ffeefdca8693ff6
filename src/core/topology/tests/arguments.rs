//! Arguments of queues that are ours, or that RabbitMQ knows only since 4: what the suite over AMQP cannot compare.

use super::*;
use crate::core::declared::QueueType;
use crate::protocol::FieldValue;

const INVALID: &str = "PRECONDITION_FAILED - invalid arg";

#[test]
fn arguments_of_our_own_are_taken_by_both_types_and_checked() {
    let table = FieldTable::new;
    let good = || {
        table()
            .with("x-delayed-retry-type", "all")
            .with("x-delayed-retry-min", 100)
            .with("x-delayed-retry-max", 1_000)
            .with("x-delayed-retry-backoff", "exponential")
            .with("x-delayed-retry-multiplier", FieldValue::F64(1.5))
            .with("x-delayed-retry-jitter", 0)
            .with("x-consumer-timeout", 60_000)
            .with("x-message-deduplication", true)
            .with("x-deduplication-header", "id")
            .with("x-cache-size", 10)
            .with("x-cache-ttl", 1_000)
            .with("x-delivery-limit", -1)
    };
    for (arguments, name) in [(good(), "classic"), (good().with("x-queue-type", "quorum"), "quorum")] {
        topology().declare_queue(durable(name, arguments), ME).unwrap();
    }
    for (argument, value, complaint) in [
        ("x-delayed-retry-type", "sometimes".into(), "invalid_delayed_retry_type"),
        ("x-delayed-retry-type", FieldValue::Bool(true), "{unacceptable_type,bool}"),
        ("x-delayed-retry-type", "all".into(), "delayed_retry_type_but_no_min_defined"),
        ("x-delayed-retry-min", FieldValue::I32(-1), "{value_negative,-1}"),
        ("x-delayed-retry-max", "5".into(), "\"expected integer, got longstr\""),
        ("x-delayed-retry-backoff", "x".into(), "invalid_delayed_retry_backoff"),
        ("x-delayed-retry-multiplier", FieldValue::F64(0.5), "{value_out_of_range,0.5}"),
        ("x-delayed-retry-multiplier", FieldValue::F64(f64::NAN), "{unacceptable_type,double}"),
        ("x-delayed-retry-jitter", FieldValue::I32(2), "{value_out_of_range,2}"),
        ("x-delayed-retry-jitter", "x".into(), "{unacceptable_type,longstr}"),
        ("x-consumer-timeout", FieldValue::I64(315_360_000_001), "{value_too_large,315360000001}"),
        ("x-message-deduplication", FieldValue::I32(1), "{unacceptable_type,signedint}"),
        ("x-deduplication-header", FieldValue::I32(1), "{unacceptable_type,signedint}"),
        ("x-cache-size", FieldValue::I32(0), "{value_zero,0}"),
        ("x-cache-ttl", FieldValue::I32(-5), "{value_negative,-5}"),
        ("x-delivery-limit", "5".into(), "\"expected integer, got longstr\""),
    ] {
        assert_eq!(
            text_of(topology().declare_queue(durable("q", table().with(argument, value)), ME)),
            format!("{INVALID} '{argument}' for queue 'q' in vhost '/': {complaint}")
        );
    }
    assert!(
        topology().declare_queue(durable("q", table().with("x-delayed-retry-type", "disabled")), ME).is_ok()
    );
}

#[test]
fn arguments_of_our_own_count_when_a_queue_is_declared_again() {
    let mut topology = topology();
    let arguments = || FieldTable::new().with("x-message-deduplication", true).with("x-cache-size", 10);
    topology.declare_queue(durable("q", arguments()), ME).unwrap();
    assert!(topology.declare_queue(durable("q", arguments()), ME).is_ok());
    for argument in ["x-cache-ttl", "x-delivery-limit", "x-delayed-retry-min", "x-consumer-timeout"] {
        assert_eq!(
            text_of(topology.declare_queue(durable("q", arguments().with(argument, 5)), ME)),
            format!(
                "PRECONDITION_FAILED - inequivalent arg '{argument}' for queue 'q' in vhost '/': received the value '5' of \
                 type 'signedint' but current is none"
            )
        );
    }
    let other = FieldTable::new().with("x-message-deduplication", false).with("x-cache-size", 10);
    assert!(
        text_of(topology.declare_queue(durable("q", other), ME))
            .contains("received 'false' but current is 'true'")
    );
}

#[test]
fn names_longer_than_a_short_string_are_refused() {
    let long = "x".repeat(256);
    let named = "for queue 'q' in vhost '/': {value_too_long,256}";
    let exchange = FieldTable::new().with("x-dead-letter-exchange", &*long);
    assert_eq!(
        text_of(topology().declare_queue(durable("q", exchange), ME)),
        format!("{INVALID} 'x-dead-letter-exchange' {named}")
    );
    let key = FieldTable::new().with("x-dead-letter-exchange", "").with("x-dead-letter-routing-key", &*long);
    assert_eq!(
        text_of(topology().declare_queue(durable("q", key), ME)),
        format!("{INVALID} 'x-dead-letter-routing-key' {named}")
    );
}

#[test]
fn a_stream_is_not_implemented() {
    let arguments = FieldTable::new().with("x-queue-type", "stream").with("x-max-age", "1D");
    assert_eq!(
        text_of(topology().declare_queue(durable("q", arguments), ME)),
        "NOT_IMPLEMENTED - argument 'x-queue-type' of queue 'q' in vhost '/'"
    );
}

#[test]
fn a_queue_knows_its_type_and_priorities_and_keeps_what_nobody_knows() {
    let arguments = || FieldTable::new().with("x-max-priority", 10).with("x-what-is-this", "kept");
    let queue = topology().declare_queue(durable("q", arguments()), ME).unwrap();
    assert_eq!((queue.spec.queue_type(), queue.spec.max_priority()), (QueueType::Classic, Some(10)));
    assert_eq!(queue.spec.arguments, arguments());
    let quorum = durable("q", FieldTable::new().with("x-queue-type", "quorum"));
    let queue = topology().declare_queue(quorum, ME).unwrap();
    assert_eq!((queue.spec.queue_type(), queue.spec.max_priority()), (QueueType::Quorum, None));
}

fn durable(name: &'static str, arguments: FieldTable) -> QueueDeclaration {
    QueueDeclaration { durable: true, arguments, ..queue(name) }
}
