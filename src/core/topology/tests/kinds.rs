//! Exchanges of the kinds that RabbitMQ and its plugins add.

use std::collections::HashSet;

use super::*;
use crate::core::{
    change::Change,
    effects::Effects,
    message::{View, build_image},
};
use crate::protocol::Properties;

const QUEUES: [&str; 8] = ["q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7"];

fn declared(kind: &'static str, arguments: FieldTable) -> Topology {
    let mut topology = topology();
    topology.declare_exchange(ExchangeDeclaration { arguments, ..exchange("x", kind) }).unwrap();
    topology
}

/// An exchange with a binding to each of the queues.
fn with_queues(kind: &'static str, arguments: FieldTable, key: &'static str) -> Topology {
    let mut topology = declared(kind, arguments);
    bind_queues(&mut topology, "x", key);
    topology
}

fn bind_queues(topology: &mut Topology, source: &'static str, key: &'static str) {
    for name in QUEUES {
        topology.declare_queue(queue(name), ME).unwrap();
        topology.bind(to_queue(source, name, key), ME).unwrap();
    }
}

// ---- declaring and binding ----

#[test]
fn arguments_that_a_kind_cannot_have_are_refused_with_406() {
    for (kind, arguments, text) in [
        (
            "x-consistent-hash",
            FieldTable::new().with("hash-property", "app_id"),
            "Unsupported property: app_id",
        ),
        (
            "x-recent-history",
            FieldTable::new().with("x-recent-history-length", "many"),
            "Invalid argument <<\"many\">>, 'x-recent-history-length' must be a positive integer",
        ),
        (
            "x-delayed-message",
            FieldTable::new(),
            "Invalid argument, 'x-delayed-type' must be an existing exchange type",
        ),
    ] {
        let mut topology = topology();
        let declaration = ExchangeDeclaration { arguments, ..exchange("x", kind) };
        assert_eq!(text_of(topology.declare_exchange(declaration)), format!("PRECONDITION_FAILED - {text}"));
        assert!(topology.check_exchange(b"x").is_err());
    }
}

#[test]
fn a_delayed_exchange_routes_as_its_inner_type_and_keeps_its_own_name() {
    let inner = |kind: &str| FieldTable::new().with("x-delayed-type", kind);
    let mut topology = declared("x-delayed-message", inner("topic"));
    topology.declare_queue(queue("q"), ME).unwrap();
    topology.bind(to_queue("x", "q", "a.*"), ME).unwrap();
    assert_eq!(names(&topology, "x", &["a.b"]), ["q"]);
    assert!(route(&topology, "x", "a.b").unwrap().is_reusable());
    let again = ExchangeDeclaration { arguments: inner("topic"), ..exchange("x", "x-delayed-message") };
    assert!(topology.declare_exchange(again).is_ok());
    assert_eq!(
        text_of(topology.declare_exchange(exchange("x", "topic"))),
        "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/': received 'topic' but current is \
         'x-delayed-message'"
    );
}

#[test]
fn a_delayed_exchange_demands_of_bindings_what_its_inner_type_does() {
    let mut topology =
        declared("x-delayed-message", FieldTable::new().with("x-delayed-type", "x-consistent-hash"));
    topology.declare_queue(queue("q"), ME).unwrap();
    assert_eq!(
        text_of(topology.bind(to_queue("x", "q", "heavy"), ME)),
        "PRECONDITION_FAILED - The binding key must be an integer: <<\"heavy\">>"
    );
    assert!(topology.bind(to_queue("x", "q", "10"), ME).is_ok());
}

#[test]
fn a_local_random_exchange_takes_queues_without_a_key() {
    let mut topology = declared("x-local-random", FieldTable::new());
    topology.declare_queue(queue("q"), ME).unwrap();
    assert_eq!(
        text_of(topology.bind(to_queue("x", "q", "k"), ME)),
        "PRECONDITION_FAILED - Non empty binding 'k' key not permitted"
    );
    assert_eq!(
        text_of(topology.bind(to_exchange("x", "amq.fanout", ""), ME)),
        "PRECONDITION_FAILED - Destination not found"
    );
    assert!(topology.bind(to_queue("x", "q", ""), ME).is_ok());
}

// ---- routing ----

#[test]
fn a_hash_of_the_key_chooses_one_queue_and_may_be_remembered() {
    for kind in ["x-consistent-hash", "x-modulus-hash"] {
        let topology = with_queues(kind, FieldTable::new(), "1");
        let mut reached = HashSet::new();
        for key in 0..200 {
            let route = route(&topology, "x", &key.to_string()).unwrap();
            assert_eq!(route.queues.len(), 1);
            assert!(route.is_reusable() && !route.needs_message());
            reached.extend(sorted_names(&route.queues));
        }
        assert_eq!(reached.len(), QUEUES.len(), "{kind}");
    }
}

#[test]
fn a_hash_of_something_else_needs_the_message_and_is_not_remembered() {
    for (name, value) in [("hash-header", "user"), ("x-hash-on", "user"), ("hash-property", "correlation_id")]
    {
        let topology = with_queues("x-consistent-hash", FieldTable::new().with(name, value), "1");
        let route = route(&topology, "x", "k").unwrap();
        assert!(route.needs_message() && !route.is_reusable());
    }
}

#[test]
fn random_exchanges_in_a_row_draw_independently() {
    let mut topology = declared("x-random", FieldTable::new());
    topology.declare_exchange(exchange("first", "x-random")).unwrap();
    topology.declare_exchange(exchange("other", "x-random")).unwrap();
    topology.bind(to_exchange("first", "x", ""), ME).unwrap();
    topology.bind(to_exchange("first", "other", ""), ME).unwrap();
    bind_queues(&mut topology, "x", "");
    let mut reached = HashSet::new();
    for lot in (0..400).map(|n| n << 55) {
        let message = Addressing { lot, ..Addressing::by_keys(&[b""]) };
        let route = topology.route(b"first", &message).unwrap();
        assert!(route.queues.len() <= 1 && route.needs_message() && !route.is_reusable());
        reached.extend(sorted_names(&route.queues));
    }
    assert_eq!(reached.len(), QUEUES.len());
}

// ---- recent history ----

fn publish(topology: &Topology, body: &str, headers: Option<&FieldTable>) {
    let mut properties = Vec::new();
    Properties { headers: headers.cloned(), ..Properties::default() }.encode(&mut properties);
    let (layout, image) = build_image(b"x", b"k", &properties, &[body.as_bytes()], true);
    let message = Addressing { headers, ..Addressing::by_keys(&[b"k"]) };
    let route = topology.route(b"x", &message).unwrap();
    assert!(route.needs_message() && !route.is_reusable());
    route.remember(&View::new(layout, &image), headers);
}

/// Takes everything out of a queue.
fn drain(topology: &Topology, name: &str) -> Vec<String> {
    let (queue, mut bodies) = (topology.queue(name.as_bytes()).unwrap(), Vec::new());
    let take = |bodies: &mut Vec<String>| {
        queue.get((1, true), &mut Effects::default(), |entry, _, _| {
            bodies.push(String::from_utf8(entry.message.view().body()).unwrap());
            None
        })
    };
    while take(&mut bodies).is_ok() {}
    bodies
}

fn with_history() -> Topology {
    let mut topology = declared("x-recent-history", FieldTable::new().with("x-recent-history-length", 2));
    topology.declare_queue(queue("q"), ME).unwrap();
    for body in ["1", "2", "3"] {
        publish(&topology, body, None);
    }
    topology
}

#[test]
fn a_queue_that_is_bound_gets_the_last_messages_once_for_each_new_binding() {
    let mut topology = with_history();
    publish(&topology, "secret", Some(&FieldTable::new().with("x-recent-history-no-store", true)));
    for (key, expected) in [("a", &["2", "3"][..]), ("a", &[]), ("b", &["2", "3"])] {
        let replayed = topology.bind(to_queue("x", "q", key), ME).unwrap();
        assert!(replayed.effects.is_empty(), "nothing of a transient queue is for the journal");
        assert_eq!(replayed.deliveries, expected.len());
        assert_eq!(drain(&topology, "q"), expected);
    }
    assert_eq!(names(&topology, "x", &["any"]), ["q"]);
}

#[test]
fn what_a_durable_queue_gets_is_published_to_the_journal_anew() {
    let mut topology = with_history();
    for name in ["durable", "other"] {
        topology.declare_queue(QueueDeclaration { durable: true, ..queue(name) }, ME).unwrap();
        let replayed = topology.bind(to_queue("x", name, ""), ME).unwrap();
        let id = topology.queue(name.as_bytes()).unwrap().id;
        assert_eq!(replayed.effects.len(), 2);
        for change in &replayed.effects.changes {
            let Change::Publish { message, placements, transient: false } = change else {
                panic!("{change:?}");
            };
            assert_eq!(placements[0].queue, id);
            message.count_early_settlement(); // the journal's own notes are not shared between the queues
            assert_eq!(message.early_settlements(), 1);
        }
    }
}

#[test]
fn an_exchange_that_is_bound_passes_the_last_messages_on() {
    let mut topology = with_history();
    topology.bind(to_queue("amq.direct", "q", "k"), ME).unwrap();
    topology.bind(to_exchange("x", "amq.direct", ""), ME).unwrap();
    assert_eq!(drain(&topology, "q"), ["2", "3"]);
    topology.bind(to_exchange("x", "amq.fanout", ""), ME).unwrap();
    assert!(drain(&topology, "q").is_empty());
}

#[test]
fn exchanges_further_on_keep_what_comes_through_them() {
    let mut topology = with_history();
    let arguments = FieldTable::new().with("x-delayed-type", "x-recent-history");
    topology
        .declare_exchange(ExchangeDeclaration { arguments, ..exchange("y", "x-delayed-message") })
        .unwrap();
    topology.bind(to_exchange("x", "y", ""), ME).unwrap();
    publish(&topology, "4", None);
    topology.bind(to_queue("y", "q", ""), ME).unwrap();
    assert_eq!(drain(&topology, "q"), ["2", "3", "4"]);
}
