//! Random declarations against a naive model: sets of names, and bindings as a set of triples that is searched from
//! the front.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::core::declared::Binding;

const QUEUES: [&str; 3] = ["q0", "q1", "q2"];
const EXCHANGES: [&str; 5] = ["direct", "fanout", "topic", "auto direct", "auto fanout"];
const KEYS: [&str; 3] = ["a", "b", "c"];

/// A binding: source, destination, key. Destinations are told apart by their names.
type Triple = (&'static str, &'static str, &'static str);

#[derive(Debug, Clone)]
enum Operation {
    DeclareQueue(&'static str),
    DeleteQueue(&'static str),
    DeclareExchange {
        name: &'static str,
        alternate: Option<&'static str>,
    },
    DeleteExchange {
        name: &'static str,
        if_unused: bool,
    },
    Bind(Triple),
    Unbind(Triple),
    /// The route is worked out and remembered, as a channel does.
    Route {
        exchange: &'static str,
        key: &'static str,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let (queue, exchange) = (|| prop::sample::select(&QUEUES[..]), || prop::sample::select(&EXCHANGES[..]));
    let key = || prop::sample::select(&KEYS[..]);
    let triple = || (exchange(), prop_oneof![queue(), exchange()], key());
    prop_oneof![
        3 => queue().prop_map(Operation::DeclareQueue),
        1 => queue().prop_map(Operation::DeleteQueue),
        4 => (exchange(), prop::option::weighted(0.3, exchange()))
            .prop_map(|(name, alternate)| Operation::DeclareExchange { name, alternate }),
        1 => (exchange(), any::<bool>())
            .prop_map(|(name, if_unused)| Operation::DeleteExchange { name, if_unused }),
        10 => triple().prop_map(Operation::Bind),
        4 => triple().prop_map(Operation::Unbind),
        4 => (exchange(), key()).prop_map(|(exchange, key)| Operation::Route { exchange, key }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_topology_is_its_set_of_bindings(operations in vec(operation(), 1..100)) {
        let mut topology = topology();
        let mut model = Model::default();
        let mut remembered = Vec::new();
        for operation in operations {
            perform(&operation, &mut topology, &mut model, &mut remembered);
            compare(&topology, &model, &remembered);
        }
    }
}

/// A route as a channel remembers it: exchange, key, answer.
type Remembered = (&'static str, &'static str, Route);

fn perform(
    operation: &Operation,
    topology: &mut Topology,
    model: &mut Model,
    remembered: &mut Vec<Remembered>,
) {
    match *operation {
        Operation::DeclareQueue(name) => {
            topology.declare_queue(queue(name), ME).unwrap();
            model.queues.insert(name);
        }
        Operation::DeleteQueue(name) => {
            topology.delete_queue(name.as_bytes(), ME, false, false).unwrap();
            model.queues.remove(name);
            model.unbind_all(|binding| binding.1 == name);
        }
        Operation::DeclareExchange { name, alternate } => {
            let kind = name.rsplit(' ').next().unwrap();
            let plain = match alternate {
                Some(alternate) => with_alternate(name, kind, alternate),
                None => exchange(name, kind),
            };
            let declared = topology
                .declare_exchange(ExchangeDeclaration { auto_delete: name.starts_with("auto"), ..plain });
            let current = *model.exchanges.entry(name).or_insert(alternate);
            assert_eq!(declared.is_ok(), current == alternate);
        }
        Operation::DeleteExchange { name, if_unused } => {
            let in_use = if_unused && model.bindings.iter().any(|binding| binding.0 == name);
            assert_eq!(topology.delete_exchange(name.as_bytes(), if_unused).is_err(), in_use);
            if !in_use {
                model.delete_exchange(name);
            }
        }
        Operation::Bind(triple) => {
            let bound = topology.bind(as_binding(triple), ME);
            assert_eq!(bound.is_ok(), model.has_both_ends(triple));
            if bound.is_ok() {
                model.bindings.insert(triple);
            }
        }
        Operation::Unbind(triple) => {
            topology.unbind(&as_binding(triple), ME).unwrap();
            model.unbind_all(|binding| *binding == triple);
        }
        Operation::Route { exchange, key } => {
            let route = topology.route(exchange.as_bytes(), &Addressing::by_keys(&[key.as_bytes()]));
            assert_eq!(route.is_ok(), model.exchanges.contains_key(exchange));
            remembered.extend(route.ok().filter(Route::is_reusable).map(|route| (exchange, key, route)));
        }
    }
}

fn compare(topology: &Topology, model: &Model, remembered: &[Remembered]) {
    let queues: Vec<_> = topology.queues().cloned().collect();
    let expected: Vec<&str> = model.queues.iter().copied().collect();
    assert_eq!(sorted_names(&queues), expected);
    assert_eq!(topology.exchanges().count(), 7 + model.exchanges.len());
    for exchange in EXCHANGES {
        let of_model = model.bindings.iter().filter(|binding| binding.0 == exchange);
        let bindings = topology.bindings_of(exchange.as_bytes());
        assert_eq!(bindings.len(), of_model.clone().count());
        for &triple in of_model {
            assert!(bindings.contains(&as_binding(triple)), "{triple:?}");
        }
        if model.exchanges.contains_key(exchange) {
            for key in KEYS {
                let expected: Vec<&str> = model.route(exchange, key).into_iter().collect();
                assert_eq!(names(topology, exchange, &[key]), expected, "from {exchange} with {key}");
            }
        }
    }
    let leading: usize = topology.leading_to.values().map(griddle::HashSet::len).sum();
    assert_eq!(leading, model.bindings.len());
    for (exchange, key, route) in remembered.iter().filter(|(_, _, route)| route.is_current()) {
        let expected: Vec<&str> = model.route(exchange, key).into_iter().collect();
        assert_eq!(sorted_names(&route.queues), expected, "remembered: from {exchange} with {key}");
        assert!(route.queues.iter().all(|queue| !queue.is_deleted()));
    }
}

fn as_binding((source, destination, key): Triple) -> Binding {
    if is_queue(destination) {
        to_queue(source, destination, key)
    } else {
        to_exchange(source, destination, key)
    }
}

fn is_queue(name: &str) -> bool {
    QUEUES.contains(&name)
}

#[derive(Default)]
struct Model {
    queues: BTreeSet<&'static str>,
    /// With the alternate of each.
    exchanges: BTreeMap<&'static str, Option<&'static str>>,
    bindings: BTreeSet<Triple>,
}

impl Model {
    fn has_both_ends(&self, (source, destination, _): Triple) -> bool {
        let there = self.queues.contains(destination) || self.exchanges.contains_key(destination);
        there && self.exchanges.contains_key(source)
    }

    /// Auto-delete exchanges go with their last binding.
    fn unbind_all(&mut self, which: impl Fn(&Triple) -> bool) {
        let (gone, kept): (BTreeSet<Triple>, BTreeSet<Triple>) =
            self.bindings.iter().partition(|it| which(it));
        self.bindings = kept;
        for (source, ..) in gone {
            let finished = !self.bindings.iter().any(|binding| binding.0 == source);
            if source.starts_with("auto") && finished {
                self.delete_exchange(source);
            }
        }
    }

    fn delete_exchange(&mut self, name: &str) {
        if self.exchanges.remove(name).is_some() {
            self.bindings.retain(|binding| binding.0 != name);
            self.unbind_all(|binding| binding.1 == name);
        }
    }

    fn route(&self, exchange: &str, key: &str) -> BTreeSet<&'static str> {
        let (mut reached, mut queues) = (BTreeSet::new(), BTreeSet::new());
        let mut waiting: Vec<&str> = vec![exchange];
        while let Some(exchange) = waiting.pop() {
            let Some(alternate) = self.exchanges.get(exchange) else { continue };
            if !reached.insert(exchange.to_owned()) {
                continue;
            }
            let matches = |binding: &&Triple| {
                binding.0 == exchange && (exchange.ends_with("fanout") || binding.2 == key)
            };
            let matching: Vec<&Triple> = self.bindings.iter().filter(matches).collect();
            if matching.is_empty() {
                waiting.extend(alternate);
            }
            for &&(_, destination, _) in &matching {
                if is_queue(destination) {
                    queues.insert(destination);
                } else {
                    waiting.push(destination);
                }
            }
        }
        queues
    }
}
