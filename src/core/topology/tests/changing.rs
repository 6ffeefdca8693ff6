//! What of a queue's arguments changes while it stands, and what that makes of it.

use super::*;
use crate::core::{
    declared::{ApplyTo, PolicyKind, PolicySpec},
    policy::{
        Policy,
        origin::{Counting, Origin},
    },
};

fn quorum_queue(name: &'static str) -> QueueDeclaration {
    let arguments = FieldTable::new().with("x-queue-type", "quorum");
    QueueDeclaration { durable: true, arguments, ..queue(name) }
}

fn operator_policy(definition: FieldTable) -> Policy {
    let name = ShortString::from_static("o");
    let spec = PolicySpec { name, pattern: ".*".into(), apply_to: ApplyTo::All, priority: 0, definition };
    Policy::new(PolicyKind::Operator, spec).unwrap()
}

fn change(name: &'static str, value: impl Into<FieldValue>) -> (ShortString, Option<FieldValue>) {
    (ShortString::from_static(name), Some(value.into()))
}

fn removal(name: &'static str) -> (ShortString, Option<FieldValue>) {
    (ShortString::from_static(name), None)
}

fn names_and_origins(all: &[Counting]) -> Vec<(String, Origin)> {
    all.iter().map(|counting| (counting.key.to_string(), counting.origin)).collect()
}

#[test]
fn what_a_policy_could_say_changes_at_once_and_is_declared_again_in_the_journal() {
    let mut topology = topology();
    let arguments = FieldTable::new().with("x-max-length", 5).with("x-unknown", 1);
    let declared = QueueDeclaration { durable: true, arguments, ..queue("q") };
    let queue = topology.declare_queue(declared, ME).unwrap();
    topology.take_changes();
    let changes = [
        change("x-max-length", 9),
        change("x-message-ttl", 60_000),
        change("x-dead-letter-exchange", "dead"),
    ];
    let looked = topology.look_at_change(b"q", &changes).unwrap();
    assert_eq!(queue.settings().max_length, Some(5), "looking changes nothing");
    assert_eq!(
        names_and_origins(&looked.before),
        [("max-length".into(), Origin::Argument), ("unknown".into(), Origin::Argument)]
    );
    topology.change_arguments(b"q", &changes).unwrap();
    let settings = queue.settings();
    assert_eq!((settings.max_length, settings.message_ttl), (Some(9), Some(60_000)));
    assert_eq!(settings.dead_letter_exchange, Some(ShortString::from_static("dead")));
    let now = FieldTable::new()
        .with("x-max-length", 9)
        .with("x-unknown", 1)
        .with("x-message-ttl", 60_000)
        .with("x-dead-letter-exchange", "dead");
    let declared = |arguments| TopologyChange::QueueDeclared {
        id: queue.id,
        name: ShortString::from_static("q"),
        auto_delete: false,
        arguments,
    };
    assert_eq!(topology.take_changes(), [declared(now)]);
    topology.change_arguments(b"q", &changes).unwrap();
    assert_eq!(topology.take_changes(), [], "nothing has changed");
    topology.change_arguments(b"q", &[removal("x-max-length"), removal("x-expires")]).unwrap();
    assert_eq!(queue.settings().max_length, None);
    assert_eq!(topology.take_changes().len(), 1);
}

#[test]
fn a_client_that_declares_the_old_arguments_is_refused_and_one_with_the_new_ones_is_not() {
    let mut topology = topology();
    let with = |length: i64| QueueDeclaration {
        arguments: FieldTable::new().with("x-max-length", length),
        ..queue("q")
    };
    topology.declare_queue(with(5), ME).unwrap();
    topology.change_arguments(b"q", &[change("x-max-length", 7_i64)]).unwrap();
    assert_eq!(
        text_of(topology.declare_queue(with(5), ME)),
        "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received '5' but current is '7'"
    );
    assert!(topology.declare_queue(with(7), OTHER).is_ok());
}

#[test]
fn what_is_for_good_or_unknown_is_refused_all_together_and_nothing_changes() {
    let mut topology = topology();
    let arguments = FieldTable::new().with("x-max-priority", 5).with("x-queue-type", "classic");
    let queue = topology.declare_queue(QueueDeclaration { arguments, ..queue("q") }, ME).unwrap();
    let refused = topology.change_arguments(
        b"q",
        &[
            change("x-max-length", 1),
            change("x-queue-type", "quorum"),
            removal("x-max-priority"),
            change("x-no-such", 1),
        ],
    );
    let Err(Unchangeable::ForGood(why)) = refused else { panic!("{refused:?}") };
    assert_eq!(
        why,
        [
            "x-queue-type cannot change while the queue stands: a queue is of one type",
            "x-max-priority cannot change while the queue stands: messages are kept by their priorities",
            "there is no argument 'x-no-such' of queues",
        ]
    );
    assert_eq!(queue.settings().max_length, None);
    let same = [change("x-max-priority", 5_i64), change("x-queue-type", "classic"), removal("x-no-such")];
    assert!(topology.change_arguments(b"q", &same).is_ok(), "they are what they were");
    assert!(matches!(topology.change_arguments(b"none", &[]), Err(Unchangeable::NoQueue)));
    topology.declare_queue(QueueDeclaration { exclusive: true, ..super::queue("mine") }, ME).unwrap();
    assert!(matches!(topology.change_arguments(b"mine", &[]), Err(Unchangeable::Exclusive)));
}

#[test]
fn what_cannot_be_declared_cannot_be_changed_to() {
    let mut topology = topology();
    topology.declare_queue(queue("q"), ME).unwrap();
    for (changes, word) in [
        (vec![change("x-max-length", -1)], "invalid arg 'x-max-length'"),
        (vec![change("x-overflow", "often")], "invalid arg 'x-overflow'"),
        (vec![change("x-dead-letter-routing-key", "k")], "routing_key_but_no_dlx_defined"),
        (vec![change("x-delayed-retry-type", "all")], "delayed_retry_type_but_no_min_defined"),
        (vec![change("x-dead-letter-strategy", "at-most-once")], "of queue type rabbit_classic_queue"),
    ] {
        let refused = topology.change_arguments(b"q", &changes).unwrap_err().to_string();
        assert!(refused.contains(word), "{refused}");
    }
}

#[test]
fn each_argument_either_changes_or_says_why_not() {
    let mut topology = topology();
    topology.declare_queue(quorum_queue("quorum"), ME).unwrap();
    topology.declare_queue(queue("classic"), ME).unwrap();
    for name in crate::core::topology::arguments::names() {
        let name = ShortString::from_static(name);
        for queue in ["quorum", "classic"] {
            // No argument may have such a value, except for those of which nothing is asked.
            let nonsense = [(name.clone(), Some(FieldValue::Void))];
            match topology.look_at_change(queue.as_bytes(), &nonsense) {
                Ok(_) => assert_eq!(name, *"x-queue-master-locator", "{queue}"),
                Err(Unchangeable::ForGood(why)) => assert!(why[0].contains("cannot change"), "{why:?}"),
                Err(Unchangeable::Refused(error)) => {
                    assert!(error.text.contains(&name.to_string()), "{error:?}");
                }
                Err(other) => panic!("{name}: {other}"),
            }
        }
    }
}

#[test]
fn a_policy_still_limits_what_an_argument_says_and_is_told_as_who_has_said_it() {
    let mut topology = topology();
    let q = topology.declare_queue(queue("q"), ME).unwrap();
    topology.set_policy(PolicyKind::Operator, operator_policy(FieldTable::new().with("max-length", 3)));
    let change = topology.change_arguments(b"q", &[change("x-max-length", 10)]).unwrap();
    assert_eq!(q.settings().max_length, Some(3));
    assert_eq!(
        names_and_origins(&change.after),
        [("max-length".into(), Origin::Policy(PolicyKind::Operator))]
    );
    assert_eq!(topology.counting_for_queue(&q), change.after);
    topology.delete_policy(PolicyKind::Operator, b"o");
    assert_eq!(q.settings().max_length, Some(10), "policies are applied to the new arguments");
}
