//! Declarations, bindings and routes of one virtual host. Texts are RabbitMQ's, word for word.

mod arguments;
mod changing;
mod kinds;
mod model;
mod parameters;
mod policies;
mod remains;

use std::sync::Arc;

use super::*;
use crate::core::{
    ConnectionId,
    declared::Binding,
    error::AmqpError,
    memory::{Gauge, Holder},
    queue::SharedQueue,
    routing::Addressing,
};
use crate::protocol::{FieldValue, ReplyCode};

const ME: ConnectionId = ConnectionId(1);
const OTHER: ConnectionId = ConnectionId(2);

// ---- declaring ----

#[test]
fn redeclaring_a_queue_differently_is_refused_in_rabbitmqs_words() {
    let mut topology = topology();
    let single = || FieldTable::new().with("x-single-active-consumer", true);
    topology.declare_queue(QueueDeclaration { arguments: single(), ..queue("q") }, ME).unwrap();
    let inequivalent = |rest: &str| format!("PRECONDITION_FAILED - inequivalent arg {rest}");
    let named = "for queue 'q' in vhost '/'";
    for (wanted, text) in [
        (
            QueueDeclaration { durable: true, arguments: single(), ..queue("q") },
            inequivalent(&format!("'durable' {named}: received 'true' but current is 'false'")),
        ),
        (
            QueueDeclaration { auto_delete: true, arguments: single(), ..queue("q") },
            inequivalent(&format!("'auto_delete' {named}: received 'true' but current is 'false'")),
        ),
        (
            queue("q"),
            inequivalent(&format!(
                "'x-single-active-consumer' {named}: received none but current is the value 'true' of type 'bool'"
            )),
        ),
        (
            QueueDeclaration { arguments: single().with("x-expires", 5), ..queue("q") },
            inequivalent(&format!(
                "'x-expires' {named}: received the value '5' of type 'signedint' but current is none"
            )),
        ),
    ] {
        assert_eq!(text_of(topology.declare_queue(wanted, ME)), text);
    }
    let same = QueueDeclaration { arguments: single().with("x-unknown", 1), ..queue("q") };
    assert!(topology.declare_queue(same, OTHER).is_ok(), "unknown arguments are not compared");
}

#[test]
fn an_exclusive_queue_is_locked_for_other_connections() {
    let mut topology = topology();
    topology.declare_queue(QueueDeclaration { exclusive: true, ..queue("q") }, ME).unwrap();
    let locked = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be \
                  originally declared on another connection or the exclusive property value does not match that of the \
                  original declaration.";
    let exclusive = || QueueDeclaration { exclusive: true, ..queue("q") };
    assert_eq!(text_of(topology.declare_queue(exclusive(), OTHER)), locked);
    assert_eq!(text_of(topology.declare_queue(queue("q"), ME)), locked);
    assert_eq!(text_of(topology.accessible_queue(b"q", OTHER)), locked);
    assert_eq!(text_of(topology.delete_queue(b"q", OTHER, false, false)), locked);
    assert_eq!(text_of(topology.bind(to_queue("amq.fanout", "q", ""), OTHER)), locked);
    assert!(topology.declare_queue(exclusive(), ME).is_ok());
}

#[test]
fn redeclaring_an_exchange_differently_is_refused_in_rabbitmqs_words() {
    let mut topology = topology();
    topology.declare_exchange(exchange("x", "direct")).unwrap();
    let named = "for exchange 'x' in vhost '/'";
    for (wanted, text) in [
        (exchange("x", "topic"), format!("'type' {named}: received 'topic' but current is 'direct'")),
        (
            ExchangeDeclaration { durable: true, ..exchange("x", "direct") },
            format!("'durable' {named}: received 'true' but current is 'false'"),
        ),
        (
            ExchangeDeclaration { auto_delete: true, ..exchange("x", "direct") },
            format!("'auto_delete' {named}: received 'true' but current is 'false'"),
        ),
        (
            ExchangeDeclaration { internal: true, ..exchange("x", "direct") },
            format!("'internal' {named}: received 'true' but current is 'false'"),
        ),
        (
            with_alternate("x", "direct", "y"),
            format!(
                "'alternate-exchange' {named}: received the value 'y' of type 'longstr' but current is none"
            ),
        ),
    ] {
        let text = format!("PRECONDITION_FAILED - inequivalent arg {text}");
        assert_eq!(text_of(topology.declare_exchange(wanted)), text);
    }
    assert!(topology.declare_exchange(exchange("x", "direct")).is_ok());
}

#[test]
fn reserved_names_and_the_default_exchange_are_refused() {
    let mut topology = topology();
    let default = "ACCESS_REFUSED - operation not permitted on the default exchange";
    topology.declare_queue(queue("q"), ME).unwrap();
    for text in [
        text_of(topology.declare_exchange(exchange("", "direct"))),
        text_of(topology.delete_exchange(b"", false)),
        text_of(topology.check_exchange(b"")),
        text_of(topology.bind(to_queue("", "q", "k"), ME)),
        text_of(topology.unbind(&to_queue("", "q", "q"), ME)),
        text_of(topology.bind(to_exchange("amq.fanout", "", "k"), ME)),
    ] {
        assert_eq!(text, default);
    }
    assert_eq!(
        text_of(topology.declare_queue(queue("amq.q"), ME)),
        "ACCESS_REFUSED - queue name 'amq.q' contains reserved prefix 'amq.*'"
    );
    assert_eq!(
        text_of(topology.declare_exchange(exchange("amq.x", "direct"))),
        "ACCESS_REFUSED - exchange name 'amq.x' contains reserved prefix 'amq.*'"
    );
    assert_eq!(
        text_of(topology.delete_exchange(b"amq.topic", false)),
        "ACCESS_REFUSED - deletion of system exchange 'amq.topic' in vhost '/' not allowed"
    );
    let server_named = QueueDeclaration { server_named: true, ..queue("amq.gen-1") };
    assert!(topology.declare_queue(server_named, ME).is_ok());
    let built_in = ExchangeDeclaration { durable: true, ..exchange("amq.topic", "topic") };
    assert!(topology.declare_exchange(built_in).is_ok(), "a built-in one may be declared as it is");
}

#[test]
fn what_is_missing_is_named() {
    let mut topology = topology();
    topology.declare_queue(queue("q"), ME).unwrap();
    let no_exchange = "NOT_FOUND - no exchange 'x' in vhost '/'";
    assert_eq!(text_of(topology.bind(to_queue("x", "q", ""), ME)), no_exchange);
    assert_eq!(text_of(topology.bind(to_exchange("amq.fanout", "x", ""), ME)), no_exchange);
    assert_eq!(text_of(route(&topology, "x", "k")), no_exchange);
    assert_eq!(text_of(topology.bind(to_queue("x", "r", ""), ME)), "NOT_FOUND - no queue 'r' in vhost '/'");
    assert!(topology.delete_queue(b"r", ME, true, true).is_ok(), "deleting what is not there is no error");
    assert!(topology.delete_exchange(b"x", true).is_ok());
}

#[test]
fn nobody_publishes_to_an_internal_exchange() {
    let mut topology = topology();
    topology.declare_exchange(ExchangeDeclaration { internal: true, ..exchange("x", "fanout") }).unwrap();
    topology.declare_queue(queue("q"), ME).unwrap();
    topology.bind(to_queue("x", "q", ""), ME).unwrap();
    assert_eq!(
        text_of(route(&topology, "x", "")),
        "ACCESS_REFUSED - cannot publish to internal exchange 'x' in vhost '/'"
    );
    topology.bind(to_exchange("amq.fanout", "x", ""), ME).unwrap();
    assert_eq!(names(&topology, "amq.fanout", &[""]), ["q"], "but other exchanges feed it");
}

// ---- bindings ----

#[test]
fn unbind_is_idempotent_and_the_order_of_arguments_makes_no_difference() {
    let mut topology = topology();
    topology.declare_queue(queue("q"), ME).unwrap();
    let binding = |names: [&'static str; 2]| Binding {
        arguments: FieldTable::new().with(names[0], 1).with(names[1], 1),
        ..to_queue("amq.headers", "q", "")
    };
    topology.bind(binding(["a", "b"]), ME).unwrap();
    topology.bind(binding(["b", "a"]), ME).unwrap();
    assert_eq!(topology.bindings_of(b"amq.headers").len(), 1);
    for _ in 0..2 {
        topology.unbind(&binding(["b", "a"]), ME).unwrap();
        assert!(topology.bindings_of(b"amq.headers").is_empty());
    }
    let headers = FieldTable::new().with("a", 1).with("b", 1);
    assert!(by_headers(&topology, &headers).queues.is_empty());
    assert!(topology.leading_to.is_empty());
}

#[test]
fn bindings_that_differ_in_arguments_alone_are_two() {
    let mut topology = topology();
    topology.declare_queue(queue("q"), ME).unwrap();
    let other = || Binding { arguments: FieldTable::new().with("a", 1), ..to_queue("amq.direct", "q", "k") };
    topology.bind(to_queue("amq.direct", "q", "k"), ME).unwrap();
    topology.bind(other(), ME).unwrap();
    assert_eq!(names(&topology, "amq.direct", &["k"]), ["q"]);
    topology.unbind(&other(), ME).unwrap();
    assert_eq!(names(&topology, "amq.direct", &["k"]), ["q"], "the first one is still there");
}

#[test]
fn a_binding_argument_that_is_not_a_number_can_be_unbound() {
    let mut topology = topology();
    topology.declare_queue(queue("q"), ME).unwrap();
    let nan = || FieldTable::new().with("a", crate::protocol::FieldValue::F64(f64::NAN));
    let binding = || Binding { arguments: nan(), ..to_queue("amq.headers", "q", "") };
    for _ in 0..2 {
        topology.bind(binding(), ME).unwrap();
    }
    topology.unbind(&binding(), ME).unwrap();
    assert!(topology.bindings_of(b"amq.headers").is_empty());
    assert!(by_headers(&topology, &nan()).queues.is_empty());
}

#[test]
fn deleting_a_queue_removes_its_bindings_in_time_that_does_not_depend_on_the_others() {
    const QUEUES: usize = 10_000;
    let mut topology = topology();
    let names: Vec<ShortString> =
        (0..QUEUES).map(|at| ShortString::try_from(format!("q{at}")).unwrap()).collect();
    for name in &names {
        topology.declare_queue(QueueDeclaration { name: name.clone(), ..queue("") }, ME).unwrap();
        for source in ["amq.fanout", "amq.topic", "amq.direct"] {
            let (source, destination) = (ShortString::from_static(source), Destination::Queue(name.clone()));
            let binding = Binding { source, destination, key: name.clone(), arguments: FieldTable::new() };
            topology.bind(binding, ME).unwrap();
        }
    }
    assert_eq!(topology.bindings_of(b"amq.fanout").len(), QUEUES);
    for name in &names {
        topology.delete_queue(name, ME, false, false).unwrap();
    }
    for source in ["amq.fanout", "amq.topic", "amq.direct"] {
        assert!(topology.bindings_of(source.as_bytes()).is_empty());
    }
    assert!(topology.leading_to.is_empty() && topology.queues.is_empty());
}

#[test]
fn an_auto_delete_exchange_goes_with_its_last_binding_and_takes_others_with_it() {
    let mut topology = topology();
    let auto = |name| ExchangeDeclaration { auto_delete: true, ..exchange(name, "fanout") };
    for name in ["a", "b", "c"] {
        topology.declare_exchange(auto(name)).unwrap();
    }
    topology.declare_exchange(exchange("stays", "fanout")).unwrap();
    topology.declare_queue(queue("q"), ME).unwrap();
    topology.bind(to_exchange("a", "b", ""), ME).unwrap();
    topology.bind(to_exchange("b", "c", ""), ME).unwrap();
    topology.bind(to_exchange("stays", "a", ""), ME).unwrap();
    topology.bind(to_queue("c", "q", ""), ME).unwrap();
    assert_eq!(names(&topology, "stays", &[""]), ["q"]);
    topology.delete_queue(b"q", ME, false, false).unwrap();
    for gone in [b"a", b"b", b"c"] {
        assert!(topology.check_exchange(gone).is_err());
    }
    assert!(topology.check_exchange(b"stays").is_ok());
    assert!(topology.bindings_of(b"stays").is_empty() && topology.leading_to.is_empty());
}

#[test]
fn an_auto_delete_exchange_waits_for_its_first_binding() {
    let mut topology = topology();
    topology.declare_exchange(ExchangeDeclaration { auto_delete: true, ..exchange("x", "fanout") }).unwrap();
    topology.declare_queue(queue("q"), ME).unwrap();
    topology.unbind(&to_queue("x", "q", ""), ME).unwrap();
    assert!(topology.check_exchange(b"x").is_ok());
    topology.bind(to_queue("x", "q", ""), ME).unwrap();
    topology.unbind(&to_queue("x", "q", ""), ME).unwrap();
    assert!(topology.check_exchange(b"x").is_err());
}

#[test]
fn an_exchange_with_bindings_is_in_use() {
    let mut topology = topology();
    topology.declare_exchange(exchange("x", "fanout")).unwrap();
    topology.declare_queue(queue("q"), ME).unwrap();
    topology.bind(to_queue("x", "q", ""), ME).unwrap();
    assert_eq!(
        text_of(topology.delete_exchange(b"x", true)),
        "PRECONDITION_FAILED - exchange 'x' in vhost '/' in use"
    );
    topology.delete_exchange(b"x", false).unwrap();
    assert!(topology.leading_to.is_empty());
}

// ---- routes ----

#[test]
fn cycles_of_exchanges_end() {
    let mut topology = topology();
    for name in ["a", "b", "c"] {
        topology.declare_exchange(exchange(name, "fanout")).unwrap();
    }
    topology.declare_queue(queue("q"), ME).unwrap();
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "a"), ("a", "a")] {
        topology.bind(to_exchange(from, to, ""), ME).unwrap();
    }
    topology.bind(to_queue("c", "q", ""), ME).unwrap();
    for start in ["a", "b", "c"] {
        assert_eq!(names(&topology, start, &["k"]), ["q"]);
    }
    topology.delete_exchange(b"a", false).unwrap();
    assert_eq!(names(&topology, "b", &["k"]), ["q"]);
}

#[test]
fn cycles_of_alternate_exchanges_end() {
    let mut topology = topology();
    topology.declare_exchange(with_alternate("a", "direct", "b")).unwrap();
    topology.declare_exchange(with_alternate("b", "direct", "a")).unwrap();
    assert!(names(&topology, "a", &["k"]).is_empty());
}

#[test]
fn a_message_that_matches_nothing_goes_to_the_alternate_exchange() {
    let mut topology = topology();
    topology.declare_exchange(with_alternate("x", "direct", "y")).unwrap();
    let missing = route(&topology, "x", "k").unwrap();
    assert!(missing.queues.is_empty() && !missing.is_reusable(), "the alternate exchange may come");
    topology.declare_exchange(exchange("y", "fanout")).unwrap();
    for name in ["matched", "fallback"] {
        topology.declare_queue(queue(name), ME).unwrap();
    }
    topology.bind(to_queue("x", "matched", "k"), ME).unwrap();
    topology.bind(to_queue("y", "fallback", ""), ME).unwrap();
    assert_eq!(names(&topology, "x", &["k"]), ["matched"]);
    assert_eq!(names(&topology, "x", &["other"]), ["fallback"]);
    topology.declare_exchange(with_alternate("z", "direct", "")).unwrap();
    assert_eq!(names(&topology, "z", &["matched"]), ["matched"], "the default exchange knows queues by name");
}

#[test]
fn a_cached_route_is_stale_after_bind_unbind_and_delete() {
    let mut topology = topology();
    for name in ["q", "r"] {
        topology.declare_queue(queue(name), ME).unwrap();
    }
    topology.declare_exchange(exchange("x", "fanout")).unwrap();
    topology.bind(to_exchange("amq.direct", "x", "k"), ME).unwrap();
    let current_route = |topology: &Topology| {
        let route = route(topology, "amq.direct", "k").unwrap();
        assert!(route.is_reusable() && route.is_current());
        route
    };
    let changes: [(&str, Change); 6] = [
        ("a queue is bound", |topology| drop(topology.bind(to_queue("x", "q", ""), ME).unwrap())),
        ("another is bound", |topology| drop(topology.bind(to_queue("amq.direct", "r", "k"), ME).unwrap())),
        ("a queue is unbound", |topology| topology.unbind(&to_queue("x", "q", ""), ME).unwrap()),
        ("it is bound again", |topology| drop(topology.bind(to_queue("x", "q", ""), ME).unwrap())),
        ("a queue is deleted", |topology| drop(topology.delete_queue(b"q", ME, false, false).unwrap())),
        ("an exchange is deleted", |topology| topology.delete_exchange(b"x", false).unwrap()),
    ];
    for (what, change) in changes {
        let before = current_route(&topology);
        change(&mut topology);
        assert!(!before.is_current(), "{what}");
    }
    let before = current_route(&topology);
    topology.bind(to_queue("amq.direct", "r", "k"), ME).unwrap();
    topology.unbind(&to_queue("amq.direct", "r", "other"), ME).unwrap();
    topology.declare_queue(queue("unrelated"), ME).unwrap();
    assert!(before.is_current(), "what changes nothing makes nothing stale");
}

#[test]
fn a_cached_route_through_the_default_exchange_ends_with_its_queue() {
    let mut topology = topology();
    assert!(!route(&topology, "", "q").unwrap().is_reusable(), "the queue may come");
    topology.declare_queue(queue("q"), ME).unwrap();
    let route = route(&topology, "", "q").unwrap();
    assert!(route.is_reusable() && route.is_current());
    topology.delete_queue(b"q", ME, false, false).unwrap();
    topology.declare_queue(queue("q"), ME).unwrap();
    assert!(!route.is_current());
    assert!(route.queues[0].is_deleted());
}

#[test]
fn a_queue_stands_once_in_a_route_however_many_ways_lead_to_it() {
    let mut topology = topology();
    topology.declare_queue(queue("q"), ME).unwrap();
    for (source, key) in [("amq.topic", "a.*"), ("amq.topic", "#"), ("amq.topic", "*.b"), ("amq.fanout", "")]
    {
        topology.bind(to_queue(source, "q", key), ME).unwrap();
    }
    topology.bind(to_exchange("amq.topic", "amq.fanout", "a.b"), ME).unwrap();
    assert_eq!(names(&topology, "amq.topic", &["a.b", "a.c", "a.b"]), ["q"]);
    assert_eq!(names(&topology, "", &["q", "q"]), ["q"]);
}

#[test]
fn the_keys_of_cc_lead_to_further_queues() {
    let mut topology = topology();
    for name in ["q", "r", "s"] {
        topology.declare_queue(queue(name), ME).unwrap();
        topology.bind(to_queue("amq.direct", name, name), ME).unwrap();
    }
    for exchange in ["", "amq.direct"] {
        assert_eq!(names(&topology, exchange, &["q", "s", "nobody"]), ["q", "s"]);
    }
    topology.declare_exchange(with_alternate("x", "direct", "amq.fanout")).unwrap();
    topology.bind(to_queue("amq.fanout", "r", ""), ME).unwrap();
    topology.bind(to_queue("x", "q", "q"), ME).unwrap();
    assert_eq!(
        names(&topology, "x", &["nobody", "q"]),
        ["q"],
        "one key that matches keeps the alternate away"
    );
}

#[test]
fn a_queue_that_expires_late_does_not_take_its_namesake_along() {
    let mut topology = topology();
    let old = topology.declare_queue(queue("q"), ME).unwrap();
    topology.delete_queue(b"q", ME, false, false).unwrap();
    let new = topology.declare_queue(queue("q"), ME).unwrap();
    topology.bind(to_queue("amq.fanout", "q", ""), ME).unwrap();
    drop(topology.expire_queue(&old, |_| true));
    assert!(Arc::ptr_eq(topology.queue(b"q").unwrap(), &new));
    assert_eq!(names(&topology, "amq.fanout", &[""]), ["q"]);
}

// ---- helpers ----

type Change = fn(&mut Topology);

fn topology() -> Topology {
    Topology::new(ShortString::from_static("/"), Surroundings::forgetful(Holder::new(Gauge::of_thread())))
}

fn queue(name: &'static str) -> QueueDeclaration {
    QueueDeclaration {
        name: ShortString::from_static(name),
        server_named: false,
        durable: false,
        exclusive: false,
        auto_delete: false,
        arguments: FieldTable::new(),
    }
}

fn exchange(name: &'static str, kind: &'static str) -> ExchangeDeclaration {
    ExchangeDeclaration {
        name: ShortString::from_static(name),
        kind: ShortString::from_static(kind),
        durable: false,
        auto_delete: false,
        internal: false,
        arguments: FieldTable::new(),
    }
}

fn with_alternate(name: &'static str, kind: &'static str, alternate: &str) -> ExchangeDeclaration {
    let arguments = FieldTable::new().with("alternate-exchange", alternate);
    ExchangeDeclaration { arguments, ..exchange(name, kind) }
}

fn to_queue(source: &'static str, queue: &'static str, key: &'static str) -> Binding {
    binding(source, Destination::Queue(ShortString::from_static(queue)), key)
}

fn to_exchange(source: &'static str, exchange: &'static str, key: &'static str) -> Binding {
    binding(source, Destination::Exchange(ShortString::from_static(exchange)), key)
}

fn binding(source: &'static str, destination: Destination, key: &'static str) -> Binding {
    let (source, key) = (ShortString::from_static(source), ShortString::from_static(key));
    Binding { source, destination, key, arguments: FieldTable::new() }
}

fn route(topology: &Topology, exchange: &str, key: &str) -> Result<Route, AmqpError> {
    topology.route(exchange.as_bytes(), &Addressing::by_keys(&[key.as_bytes()]))
}

fn by_headers(topology: &Topology, headers: &FieldTable) -> Route {
    let message = Addressing { headers: Some(headers), ..Addressing::by_keys(&[b""]) };
    topology.route(b"amq.headers", &message).unwrap()
}

/// The names of the queues on a route, sorted; a queue that stands there twice is there twice.
fn names(topology: &Topology, exchange: &str, keys: &[&str]) -> Vec<String> {
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
    let route = topology.route(exchange.as_bytes(), &Addressing::by_keys(&keys)).unwrap();
    sorted_names(&route.queues)
}

fn sorted_names(queues: &[Arc<SharedQueue>]) -> Vec<String> {
    let mut names: Vec<String> = queues.iter().map(|queue| queue.spec.name.as_str_lossy().into()).collect();
    names.sort();
    names
}

fn text_of<T>(result: Result<T, AmqpError>) -> String {
    result.err().expect("this is refused").reply_text()
}

#[test]
fn what_there_is_no_memory_for_is_refused_and_what_goes_gives_it_back() {
    let gauge = Gauge::new(1_000_000);
    let mut topology =
        Topology::new(ShortString::from_static("/"), Surroundings::forgetful(Holder::new(gauge)));
    let empty = gauge.used_bytes();
    let padding = FieldTable::new().with("padding", vec![FieldValue::Void; 100]);
    let mut declare = |n: usize| {
        topology.declare_exchange(ExchangeDeclaration {
            name: ShortString::try_from(n.to_string()).unwrap(),
            kind: ShortString::from_static("fanout"),
            durable: false,
            auto_delete: false,
            internal: false,
            arguments: padding.clone(),
        })
    };
    let declared = (0..1_000).take_while(|n| declare(*n).is_ok()).count();
    let refusal = declare(declared).unwrap_err();
    assert_eq!(refusal.code, ReplyCode::PreconditionFailed);
    assert!(refusal.to_string().contains("exchanges, queues, bindings, consumers"), "{refusal}");
    let share = gauge.share_bytes(Kind::Topology);
    assert!((share / 2..share).contains(&gauge.used_bytes()), "{declared} were declared");
    for n in 0..declared {
        topology.delete_exchange(n.to_string().as_bytes(), false).unwrap();
    }
    assert_eq!(gauge.used_bytes(), empty);
}

// ---- routes that are remembered ----

#[test]
fn messages_of_a_fanout_exchange_share_a_route_whatever_their_keys() {
    let mut topology = topology();
    for name in ["q", "r"] {
        topology.declare_queue(queue(name), ME).unwrap();
    }
    topology.bind(to_queue("amq.fanout", "q", "k"), ME).unwrap();
    let first = topology.route_by_key(b"amq.fanout", b"a").unwrap();
    assert!(Arc::ptr_eq(&first, &topology.route_by_key(b"amq.fanout", b"b").unwrap()));
    topology.bind(to_queue("amq.fanout", "r", "k"), ME).unwrap();
    let second = topology.route_by_key(b"amq.fanout", b"a").unwrap();
    assert_eq!((first.queues.len(), second.queues.len()), (1, 2));
    topology.bind(to_exchange("amq.fanout", "amq.direct", ""), ME).unwrap();
    topology.declare_queue(queue("s"), ME).unwrap();
    topology.bind(to_queue("amq.direct", "s", "a"), ME).unwrap();
    let routes = [&b"a"[..], b"b"].map(|key| topology.route_by_key(b"amq.fanout", key).unwrap());
    assert_eq!(routes.map(|route| route.queues.len()), [3, 2], "behind it a key counts");
}

#[test]
fn a_route_that_is_remembered_counts_once_as_long_as_it_lives() {
    let (gauge, mut topology) = (Gauge::new(10_000_000), topology());
    let names: Vec<_> = (0..1_000).map(|n| ShortString::try_from(format!("{n}")).unwrap()).collect();
    for name in &names {
        topology.declare_queue(QueueDeclaration { name: name.clone(), ..queue("q") }, ME).unwrap();
        let destination = Destination::Queue(name.clone());
        topology.bind(Binding { destination, ..to_queue("amq.fanout", "q", "") }, ME).unwrap();
    }
    let route = topology.route_by_key(b"amq.fanout", b"").unwrap();
    let holder = Holder::new(gauge);
    assert_eq!(gauge.used_bytes(), 0, "it is not remembered yet");
    route.count_on(&holder).unwrap();
    route.count_on(&Holder::new(gauge)).unwrap();
    assert!((8_000..9_000).contains(&gauge.used_bytes_of(Kind::Routes)));
    drop(route);
    assert_eq!(gauge.used_bytes(), 0);
}
