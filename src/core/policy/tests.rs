//! Which policies are accepted, and which one counts. Texts are RabbitMQ's (3.10).

use super::*;
use crate::core::declared::{ApplyTo, Definition, QueueType};
use crate::protocol::{FieldTable, FieldValue};

fn spec(name: &'static str, pattern: &str, apply_to: ApplyTo, priority: i64) -> PolicySpec {
    let name = ShortString::from_static(name);
    let definition = FieldTable::new().with("max-length", 1);
    PolicySpec { name, pattern: pattern.into(), apply_to, priority, definition }
}

fn refusal(kind: PolicyKind, definition: Definition) -> String {
    let spec = PolicySpec { definition, ..spec("p", ".*", ApplyTo::All, 0) };
    Policy::new(kind, spec).unwrap_err().to_string()
}

fn is_accepted(kind: PolicyKind, definition: Definition) -> bool {
    Policy::new(kind, PolicySpec { definition, ..spec("p", ".*", ApplyTo::All, 0) }).is_ok()
}

#[test]
fn values_of_the_wrong_type_or_range_are_refused_in_rabbitmqs_words() {
    let table = FieldTable::new;
    for (definition, text) in [
        (table().with("alternate-exchange", 1), "1 is not a valid alternate exchange name"),
        (table().with("dead-letter-exchange", 1), "1 is not a valid dead letter exchange name"),
        (table().with("dead-letter-routing-key", true), "true is not a valid dead letter routing key"),
        (table().with("dead-letter-strategy", "x"), "<<\"x\">> is not a valid dead letter strategy"),
        (table().with("message-ttl", -1), "-1 is not a valid message TTL"),
        (table().with("message-ttl", "5"), "<<\"5\">> is not a valid message TTL"),
        (table().with("expires", 0), "0 is not a valid queue expiry"),
        (table().with("max-length", -1), "-1 is not a valid maximum length"),
        (table().with("max-length", FieldValue::F64(1.5)), "1.5 is not a valid maximum length"),
        (table().with("max-length-bytes", -1), "-1 is not a valid maximum length in bytes"),
        (table().with("max-in-memory-length", -1), "-1 is not a valid maximum memory in bytes"),
        (table().with("queue-mode", "x"), "<<\"x\">> is not a valid queue-mode value"),
        (table().with("queue-version", 3), "3 is not a valid queue-version value"),
        (table().with("overflow", "x"), "<<\"x\">> is not a valid overflow value"),
        (table().with("overflow", vec!["x".into()]), "[<<\"x\">>] is not a valid overflow value"),
        (table().with("delivery-limit", "x"), "<<\"x\">> is not a valid delivery limit"),
        (table().with("queue-leader-locator", "x"), "<<\"x\">> is not a valid queue leader locator value"),
        (table().with("initial-cluster-size", -1), "-1 is not a valid cluster size"),
        (table().with("delayed-retry-jitter", 2), "2 is not a valid delayed retry jitter"),
        (table().with("delayed-retry-multiplier", 0), "0 is not a valid delayed retry multiplier"),
        (table().with("delayed-retry-backoff", "x"), "<<\"x\">> is not a valid delayed retry backoff"),
        (
            table().with("max-length", 1).with("foo", 1).with("bar", "x"),
            "[{<<\"foo\">>,1},{<<\"bar\">>,<<\"x\">>}] are not recognised policy settings",
        ),
        (table(), "no policy"),
    ] {
        assert_eq!(refusal(PolicyKind::User, definition), text);
    }
}

#[test]
fn names_longer_than_a_short_string_are_refused() {
    let long = "x".repeat(256);
    for key in ["alternate-exchange", "dead-letter-exchange", "dead-letter-routing-key"] {
        assert!(is_accepted(PolicyKind::User, FieldTable::new().with(key, &long[1..])));
        assert!(!is_accepted(PolicyKind::User, FieldTable::new().with(key, &*long)));
    }
}

#[test]
fn operators_can_say_less() {
    let limits =
        FieldTable::new().with("max-length", 0).with("delivery-limit", -1).with("overflow", "drop-head");
    assert!(is_accepted(PolicyKind::User, limits.clone()) && is_accepted(PolicyKind::Operator, limits));
    let dead_letters = || FieldTable::new().with("dead-letter-exchange", "x");
    assert!(is_accepted(PolicyKind::User, dead_letters()));
    assert_eq!(
        refusal(PolicyKind::Operator, dead_letters()),
        "[{<<\"dead-letter-exchange\">>,<<\"x\">>}] are not recognised policy settings"
    );
}

#[test]
fn what_rabbitmq_does_with_mirrors_and_lazy_queues_is_accepted() {
    let definition = FieldTable::new()
        .with("ha-mode", "exactly")
        .with("ha-params", 2)
        .with("ha-sync-mode", "automatic")
        .with("queue-mode", "lazy")
        .with("queue-version", 2)
        .with("queue-master-locator", "min-masters");
    assert!(is_accepted(PolicyKind::User, definition));
}

#[test]
fn a_pattern_that_cannot_be_read_is_refused() {
    for pattern in ["(", "a{2,1}", "(?<=a)b", "^(?!a)b|c"] {
        let error = Policy::new(PolicyKind::User, spec("p", pattern, ApplyTo::All, 0)).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("pattern should be regular expression but is invalid: "), "{text}");
    }
}

#[test]
fn the_highest_priority_counts_and_then_the_first_by_name() {
    let mut policies = Policies::default();
    for (name, pattern, apply_to, priority) in [
        ("low", ".*", ApplyTo::All, -1),
        ("b", "^q", ApplyTo::Queues, 5),
        ("a", "^q", ApplyTo::Queues, 5),
        ("quorum", "^q", ApplyTo::QuorumQueues, 9),
        ("exchanges", "^x", ApplyTo::Exchanges, 9),
        ("streams", ".*", ApplyTo::Streams, 99),
    ] {
        policies.set(
            PolicyKind::User,
            Policy::new(PolicyKind::User, spec(name, pattern, apply_to, priority)).unwrap(),
        );
    }
    let (classic, quorum) = (Subject::Queue(QueueType::Classic), Subject::Queue(QueueType::Quorum));
    for (subject, name, expected) in [
        (classic, "q", "a"),
        (quorum, "q", "quorum"),
        (classic, "x", "low"),
        (Subject::Exchange, "x", "exchanges"),
        (Subject::Exchange, "q", "low"),
    ] {
        let matching = policies.matching(PolicyKind::User, subject, name.as_bytes()).unwrap();
        assert_eq!(matching.spec.name, expected);
        assert!(policies.matching(PolicyKind::Operator, subject, name.as_bytes()).is_none());
    }
    policies.delete(PolicyKind::User, b"a");
    assert_eq!(policies.matching(PolicyKind::User, classic, b"q").unwrap().spec.name, "b");
}

#[test]
fn a_policy_with_a_key_of_another_type_of_queue_does_not_count() {
    let mut policies = Policies::default();
    let mut set = |name, priority, key, value: FieldValue| {
        let definition = FieldTable::new().with("max-length", 1).with(key, value);
        let spec = PolicySpec { definition, ..spec(name, ".*", ApplyTo::All, priority) };
        policies.set(PolicyKind::User, Policy::new(PolicyKind::User, spec).unwrap());
    };
    set("lazy", 3, "queue-mode", "lazy".into());
    set("stream", 2, "max-age", "1h".into());
    set("limit", 1, "delivery-limit", 5.into());
    let of = |subject| policies.matching(PolicyKind::User, subject, b"q").unwrap().spec.name.clone();
    assert_eq!(of(Subject::Queue(QueueType::Classic)), "lazy");
    assert_eq!(of(Subject::Queue(QueueType::Quorum)), "limit");
    assert_eq!(of(Subject::Exchange), "lazy");
    policies.delete(PolicyKind::User, b"lazy");
    let of = |subject| policies.matching(PolicyKind::User, subject, b"q").unwrap().spec.name.clone();
    assert_eq!(of(Subject::Queue(QueueType::Classic)), "limit");
}

#[test]
fn an_operator_limits_what_a_policy_says() {
    let table = FieldTable::new;
    let policy =
        table().with("max-length", 5).with("expires", 5).with("overflow", "drop-head").with("max-age", "1h");
    let operator = table()
        .with("max-length", 3)
        .with("expires", 9)
        .with("overflow", "reject-publish")
        .with("message-ttl", 1);
    let both = table()
        .with("max-length", 3)
        .with("expires", 5)
        .with("overflow", "reject-publish")
        .with("max-age", "1h")
        .with("message-ttl", 1);
    assert_eq!(merged(Some(&policy), Some(&operator)), both);
    assert_eq!((merged(Some(&policy), None), merged(None, Some(&operator))), (policy, operator));
    for (policy, operator, both) in [(5, 3, 3), (3, 5, 3), (-1, 3, 3), (3, -1, 3), (-1, -2, -1)] {
        let limit = |number| table().with("delivery-limit", number);
        assert_eq!(merged(Some(&limit(policy)), Some(&limit(operator))), limit(both));
    }
}

#[test]
fn a_policy_counts_unless_another_one_of_its_kind_comes_first() {
    let queue = Subject::Queue(QueueType::Classic);
    let set = |name, pattern: &str, priority| {
        Policy::new(PolicyKind::User, spec(name, pattern, ApplyTo::Queues, priority)).unwrap()
    };
    let policies = |all: Vec<Policy>| {
        let mut policies = Policies::default();
        for policy in all {
            policies.set(PolicyKind::User, policy);
        }
        policies
    };
    for (others, new, subject, effect) in [
        (vec![], set("p", "^q", 0), queue, Some(Effect::Counts)),
        (vec![], set("p", "^x", 0), queue, None),
        (vec![], set("p", "^q", 0), Subject::Exchange, None),
        (vec![set("a", "^q", 0)], set("p", "^q", 0), queue, Some(Effect::Behind)),
        (vec![set("z", "^q", 0)], set("p", "^q", 0), queue, Some(Effect::Counts)),
        (vec![set("a", "^q", 0)], set("p", "^q", 1), queue, Some(Effect::Counts)),
        (vec![set("z", "^q", 1)], set("p", "^q", 0), queue, Some(Effect::Behind)),
        (vec![set("z", "^x", 1)], set("p", "^q", 0), queue, Some(Effect::Counts)),
        (vec![set("p", "^q", 9)], set("p", "^q", 0), queue, Some(Effect::Counts)),
        (vec![set("p", "^q", 9)], set("p", "^x", 9), queue, Some(Effect::Leaves)),
        (vec![set("p", "^q", 0), set("a", "^q", 0)], set("p", "^x", 0), queue, None),
        (vec![set("p", "^q", 9), set("a", "^q", 5)], set("p", "^q", 0), queue, Some(Effect::Behind)),
    ] {
        let told = format!("{others:?} then {new:?}");
        let mut policies = policies(others);
        assert_eq!(policies.effect(PolicyKind::User, &new, subject, b"q1"), effect, "{told}");
        assert_eq!(
            policies.effect(PolicyKind::Operator, &new, subject, b"q1"),
            new.matches(subject, b"q1").then_some(Effect::Counts),
            "those of the other kind do not matter: {told}"
        );
        // What is told is what happens.
        let before = policies.matching(PolicyKind::User, subject, b"q1").map(|now| now.spec.name.clone());
        policies.set(PolicyKind::User, new);
        let after = policies.matching(PolicyKind::User, subject, b"q1").map(|now| now.spec.name.clone());
        let p = Some(ShortString::from_static("p"));
        assert_eq!(after == p, effect == Some(Effect::Counts), "{told}");
        assert_eq!(
            effect == Some(Effect::Leaves),
            before == p && after != p && effect != Some(Effect::Behind),
            "{told}"
        );
    }
}
