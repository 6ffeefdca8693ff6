//! What policies make of queues and exchanges, at once and after a restart.

use std::collections::{BTreeMap, HashMap};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::core::{
    declared::{ApplyTo, PolicyKind, PolicySpec, QueueType},
    policy::{Policy, QueueSettings},
    routing::Addressing,
};

#[test]
fn a_policy_counts_at_once_and_for_what_is_declared_later() {
    let mut topology = topology();
    let early = topology.declare_queue(queue("early"), ME).unwrap();
    topology.set_policy(PolicyKind::User, policy("p", "ly$", 0, table().with("max-length", 5)));
    let lately = topology.declare_queue(queue("lately"), ME).unwrap();
    let other = topology.declare_queue(queue("other"), ME).unwrap();
    let max_length = |queue: &SharedQueue| queue.settings().max_length;
    assert_eq!([&early, &lately, &other].map(|queue| max_length(queue)), [Some(5), Some(5), None]);
    topology.set_policy(PolicyKind::User, policy("higher", "^early$", 1, table().with("expires", 9)));
    assert_eq!((max_length(&early), early.settings().expires), (None, Some(9)), "one policy for each queue");
    topology.set_policy(PolicyKind::Operator, policy("limit", ".*", 0, table().with("max-length", 3)));
    assert_eq!([&early, &lately, &other].map(|queue| max_length(queue)), [Some(3); 3]);
    assert!(topology.delete_policy(PolicyKind::User, b"higher"));
    assert!(topology.delete_policy(PolicyKind::Operator, b"limit"));
    assert!(!topology.delete_policy(PolicyKind::Operator, b"limit"));
    assert_eq!([&early, &lately, &other].map(|queue| max_length(queue)), [Some(5), Some(5), None]);
}

#[test]
fn queues_of_which_nothing_is_said_share_their_settings() {
    let mut topology = topology();
    let [one, other] = ["a", "b"].map(|name| topology.declare_queue(queue(name), ME).unwrap());
    let [quorum, same] = ["c", "d"].map(|name| topology.declare_queue(quorum_queue(name), ME).unwrap());
    assert!(Arc::ptr_eq(&one.settings(), &other.settings()));
    assert!(Arc::ptr_eq(&quorum.settings(), &same.settings()));
    assert_eq!((one.settings().delivery_limit, quorum.settings().delivery_limit), (None, Some(20)));
    topology.set_policy(PolicyKind::User, policy("p", "a", 0, table().with("max-length", 1)));
    topology.delete_policy(PolicyKind::User, b"p");
    assert!(Arc::ptr_eq(&one.settings(), &other.settings()), "again");
    topology.set_policy(PolicyKind::User, policy("p", "a", 0, table().with("ha-mode", "all")));
    assert!(Arc::ptr_eq(&one.settings(), &other.settings()), "what has no effect needs no memory");
}

#[test]
fn the_policies_of_an_object_and_what_they_say_together_can_be_asked_for() {
    let mut topology = topology();
    let queue = topology.declare_queue(queue("q"), ME).unwrap();
    topology
        .set_policy(PolicyKind::User, policy("p", ".*", 0, table().with("max-length", 9).with("expires", 5)));
    topology.set_policy(PolicyKind::Operator, policy("o", ".*", 0, table().with("max-length", 3)));
    let names = |topology: &Topology, kind| {
        let policy = topology.policy_of_queue(kind, &queue.spec);
        policy.map(|policy| policy.spec.name.as_str_lossy().into_owned())
    };
    assert_eq!(names(&topology, PolicyKind::User).as_deref(), Some("p"));
    assert_eq!(names(&topology, PolicyKind::Operator).as_deref(), Some("o"));
    let both = table().with("max-length", 3).with("expires", 5);
    assert_eq!(topology.policy_definition_of_queue(&queue.spec), both);
    assert_eq!(
        (topology.policies(PolicyKind::User).len(), topology.policies(PolicyKind::Operator).len()),
        (1, 1)
    );
}

#[test]
fn a_policy_gives_an_exchange_its_alternate_and_makes_cached_routes_stale() {
    let mut topology = topology();
    for name in ["x", "argument"] {
        topology.declare_exchange(exchange(name, "fanout")).unwrap();
        topology.declare_queue(queue(name), ME).unwrap();
        topology.bind(to_queue(name, name, ""), ME).unwrap();
    }
    topology.declare_exchange(exchange("by-policy", "direct")).unwrap();
    topology.declare_exchange(with_alternate("by-argument", "direct", "argument")).unwrap();
    let before = topology.route(b"by-policy", &Addressing::by_keys(&[b"k"])).unwrap();
    let kept = topology.route(b"by-argument", &Addressing::by_keys(&[b"k"])).unwrap();
    let alternate = || policy("p", "^by-", 0, table().with("alternate-exchange", "x"));
    topology.set_policy(PolicyKind::User, alternate());
    assert!(!before.is_current());
    assert_eq!(names(&topology, "by-policy", &["k"]), ["x"]);
    let with = topology.route(b"by-policy", &Addressing::by_keys(&[b"k"])).unwrap();
    topology.set_policy(PolicyKind::User, alternate());
    assert!(with.is_current(), "nothing changed");
    topology.declare_exchange(exchange("by-later", "direct")).unwrap();
    assert_eq!(names(&topology, "by-later", &["k"]), ["x"], "at declare too");
    assert_eq!(
        names(&topology, "by-argument", &["k"]),
        ["argument"],
        "the argument counts before the policy"
    );
    assert!(kept.is_current());
    topology.delete_policy(PolicyKind::User, b"p");
    assert!(!with.is_current());
    assert!(names(&topology, "by-policy", &["k"]).is_empty());
}

#[test]
fn a_restored_virtual_host_is_the_one_that_gave_the_changes() {
    let mut first = topology();
    first.declare_exchange(ExchangeDeclaration { durable: true, ..exchange("x", "direct") }).unwrap();
    first.declare_queue(QueueDeclaration { durable: true, ..queue("q") }, ME).unwrap();
    first.set_policy(PolicyKind::User, policy("p", "^q$", 0, table().with("max-length", 5)));
    first.set_policy(PolicyKind::User, policy("gone", "", 0, table().with("max-length", 5)));
    first.set_policy(PolicyKind::Operator, policy("o", "^q$", 0, table().with("expires", 5)));
    first.set_policy(
        PolicyKind::User,
        policy("ae", "^x$", 0, table().with("alternate-exchange", "amq.fanout")),
    );
    first.delete_policy(PolicyKind::User, b"gone");
    first.set_settings(VhostSettings {
        default_queue_type: Some(QueueType::Quorum),
        ..VhostSettings::default()
    });
    let changes = first.take_changes();
    let gone =
        TopologyChange::PolicyDeleted { kind: PolicyKind::User, name: ShortString::from_static("gone") };
    assert!(changes.contains(&gone));

    let mut second = topology();
    let declared = changes.into_iter().filter(|change| {
        !matches!(change, TopologyChange::PolicyDeleted { .. })
            && !matches!(change, TopologyChange::PolicySet { spec, .. } if spec.name == "gone")
    });
    let unrestored = second.restore(declared.collect(), &mut HashMap::new());
    assert!(unrestored.bindings.is_empty() && unrestored.policies.is_empty());
    let settings = second.queue(b"q").unwrap().settings();
    assert_eq!((settings.max_length, settings.expires), (Some(5), Some(5)));
    assert_eq!(second.policies(PolicyKind::User).len(), 2);
    assert_eq!(second.settings(), first.settings());
    assert_eq!(second.settings().default_queue_type, Some(QueueType::Quorum));
    second.declare_queue(queue("fallback"), ME).unwrap();
    second.bind(to_queue("amq.fanout", "fallback", ""), ME).unwrap();
    assert_eq!(names(&second, "x", &["k"]), ["fallback"]);
    assert!(!second.take_changes().iter().any(|change| matches!(change, TopologyChange::PolicySet { .. })));
}

#[test]
fn a_restored_policy_that_cannot_be_read_is_left_out_and_named() {
    let mut topology = topology();
    let spec = PolicySpec { pattern: "(".into(), ..policy("p", "", 0, table().with("expires", 5)).spec };
    let change = TopologyChange::PolicySet { kind: PolicyKind::User, spec: spec.clone() };
    let unrestored = topology.restore(vec![change], &mut HashMap::new());
    assert_eq!(unrestored.policies[0].0, spec);
    assert_eq!(topology.policies(PolicyKind::User).len(), 0);
}

#[test]
fn the_default_type_is_given_to_queues_that_can_be_of_it() {
    let mut topology = topology();
    topology.set_settings(VhostSettings {
        default_queue_type: Some(QueueType::Quorum),
        ..VhostSettings::default()
    });
    let durable = |name| QueueDeclaration { durable: true, ..queue(name) };
    let explicit =
        QueueDeclaration { arguments: table().with("x-queue-type", "classic"), ..durable("explicit") };
    for (wanted, expected) in [
        (durable("durable"), QueueType::Quorum),
        (queue("transient"), QueueType::Classic),
        (QueueDeclaration { exclusive: true, ..queue("exclusive") }, QueueType::Classic),
        (QueueDeclaration { auto_delete: true, ..durable("auto-delete") }, QueueType::Classic),
        (explicit, QueueType::Classic),
    ] {
        let queue = topology.declare_queue(wanted, ME).unwrap();
        assert_eq!(queue.spec.queue_type(), expected, "{}", queue.spec.name);
        let shown = queue.spec.arguments.get("x-queue-type").and_then(|value| value.as_str_bytes());
        assert_eq!(shown, Some(expected.name().as_bytes()));
    }
    assert!(topology.declare_queue(durable("durable"), ME).is_ok(), "the same again");
    let server_named = QueueDeclaration { server_named: true, ..durable("amq.gen-1") };
    assert_eq!(
        text_of(topology.declare_queue(server_named, ME)),
        "PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue"
    );
    topology.set_settings(VhostSettings::default());
    assert_eq!(
        text_of(topology.declare_queue(durable("durable"), ME)),
        "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'durable' in vhost '/': received none but \
         current is the value 'quorum' of type 'longstr'"
    );
}

/// Anything that changes what counts.
#[derive(Debug, Clone)]
enum Operation {
    Declare(usize),
    Set { kind: PolicyKind, name: usize, pattern: usize, priority: i64, max_length: u8 },
    Delete { kind: PolicyKind, name: usize },
}

const NAMES: [&str; 3] = ["a", "ab", "b"];
const PATTERNS: [&str; 3] = ["a", "^b", ""];

fn is_match(pattern: usize, name: &str) -> bool {
    match PATTERNS[pattern].strip_prefix('^') {
        Some(beginning) => name.starts_with(beginning),
        None => name.contains(PATTERNS[pattern]),
    }
}

fn operation() -> impl Strategy<Value = Operation> {
    let kind = || prop::sample::select(vec![PolicyKind::User, PolicyKind::Operator]);
    prop_oneof![
        (0..3_usize).prop_map(Operation::Declare),
        (kind(), 0..3_usize, 0..3_usize, 0..3_i64, 0..9_u8).prop_map(
            |(kind, name, pattern, priority, max_length)| Operation::Set {
                kind,
                name,
                pattern,
                priority,
                max_length
            }
        ),
        (kind(), 0..3_usize).prop_map(|(kind, name)| Operation::Delete { kind, name }),
    ]
}

/// Policies by kind and name: pattern, priority, length.
type Model = BTreeMap<(PolicyKind, usize), (usize, i64, u8)>;

fn expected_length(model: &Model, queue: &str) -> Option<u64> {
    let of = |kind| {
        let matching =
            model.iter().filter(|((other, _), (pattern, ..))| *other == kind && is_match(*pattern, queue));
        let best = matching.min_by_key(|((_, name), (_, priority, _))| (-priority, *name));
        best.map(|(_, (_, _, length))| u64::from(*length))
    };
    of(PolicyKind::User).into_iter().chain(of(PolicyKind::Operator)).min()
}

proptest! {
    #[test]
    fn each_queue_always_has_what_its_policies_say(operations in vec(operation(), 1..40)) {
        let mut topology = topology();
        let mut model = Model::new();
        for operation in operations {
            match operation {
                Operation::Declare(at) => {
                    topology.declare_queue(queue(NAMES[at]), ME).unwrap();
                }
                Operation::Set { kind, name, pattern, priority, max_length } => {
                    let definition = table().with("max-length", i32::from(max_length));
                    topology.set_policy(kind, policy(NAMES[name], PATTERNS[pattern], priority, definition));
                    model.insert((kind, name), (pattern, priority, max_length));
                }
                Operation::Delete { kind, name } => {
                    let was_there = topology.delete_policy(kind, NAMES[name].as_bytes());
                    prop_assert_eq!(was_there, model.remove(&(kind, name)).is_some());
                }
            }
            for queue in topology.queues() {
                let name = queue.spec.name.as_str_lossy();
                prop_assert_eq!(queue.settings().max_length, expected_length(&model, &name));
            }
        }
    }
}

fn table() -> FieldTable {
    FieldTable::new()
}

fn policy(name: &'static str, pattern: &str, priority: i64, definition: FieldTable) -> Policy {
    let name = ShortString::from_static(name);
    let spec = PolicySpec { name, pattern: pattern.into(), apply_to: ApplyTo::All, priority, definition };
    Policy::new(PolicyKind::User, spec).unwrap()
}

fn quorum_queue(name: &'static str) -> QueueDeclaration {
    let arguments = table().with("x-queue-type", "quorum");
    QueueDeclaration { durable: true, arguments, ..queue(name) }
}

#[test]
fn settings_that_are_common_are_those_of_no_arguments() {
    let mut topology = topology();
    let queue = topology.declare_queue(queue("q"), ME).unwrap();
    assert_eq!(*queue.settings(), QueueSettings::default());
}

#[test]
fn an_exchange_that_nobody_has_used_holds_nothing_and_routes_through_it_are_stale_with_its_first_binding() {
    for name in ["amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match"] {
        let mut topology = topology();
        topology.declare_queue(queue("q"), ME).unwrap();
        let is_unused = |topology: &Topology| topology.exchanges[name.as_bytes()].bindings.is_none();
        let before = topology.route_by_key(name.as_bytes(), b"k").unwrap();
        assert!(before.queues.is_empty() && before.is_current() && is_unused(&topology), "{name}");
        topology.bind(to_queue(name, "q", "k"), ME).unwrap();
        assert!(!before.is_current() && !is_unused(&topology), "{name}");
        let headers = FieldTable::new();
        let message = Addressing { headers: Some(&headers), ..Addressing::by_keys(&[b"k"]) };
        let after = topology.route(name.as_bytes(), &message).unwrap();
        assert_eq!(after.queues.len(), 1, "{name}");
        topology.unbind(&to_queue(name, "q", "k"), ME).unwrap();
        assert!(!after.is_current() && topology.route(name.as_bytes(), &message).unwrap().queues.is_empty());
    }
    let mut topology = topology();
    let unused = topology.route_by_key(b"amq.topic", b"k").unwrap();
    topology.declare_queue(queue("dead"), ME).unwrap();
    let alternate = policy("p", "^amq.topic$", 0, table().with("alternate-exchange", ""));
    topology.set_policy(PolicyKind::User, alternate);
    assert!(!unused.is_current(), "it has an alternate exchange now");
    assert_eq!(topology.route_by_key(b"amq.topic", b"dead").unwrap().queues.len(), 1);
}
