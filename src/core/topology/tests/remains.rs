//! What is deleted is gone at once, however many bindings are still to be taken out, and stays gone over a crash.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::core::declared::Binding;

const QUEUES: [&str; 2] = ["q", "r"];
const EXCHANGES: [&str; 3] = ["x", "y", "z"];
const KEYS: [&str; 3] = ["a", "b", "c"];

/// What the journal has, by what it names.
#[derive(Default)]
struct Journaled(BTreeMap<String, TopologyChange>);

impl Journaled {
    fn take(&mut self, topology: &mut Topology) {
        for change in topology.take_changes() {
            match &change {
                TopologyChange::ExchangeDeclared(spec) => {
                    drop(self.0.insert(format!("x {}", spec.name), change));
                }
                TopologyChange::QueueDeclared { name, .. } => {
                    drop(self.0.insert(format!("q {name}"), change));
                }
                TopologyChange::Bound(binding) => drop(self.0.insert(format!("{binding:?}"), change)),
                TopologyChange::ExchangeDeleted(name) => {
                    assert!(self.0.remove(&format!("x {name}")).is_some());
                }
                TopologyChange::QueueDeleted { name, .. } => {
                    assert!(self.0.remove(&format!("q {name}")).is_some());
                }
                TopologyChange::Unbound(binding) => assert!(self.0.remove(&format!("{binding:?}")).is_some()),
                other => panic!("{other:?}"),
            }
        }
    }

    /// A start after a crash; what it finds out is journaled, too.
    fn restored(&self) -> (Topology, Self) {
        let mut topology = topology();
        topology.restore(self.0.values().cloned().collect(), &mut HashMap::new());
        let mut journaled = Self(self.0.clone());
        journaled.take(&mut topology);
        (topology, journaled)
    }
}

fn bindings(topology: &Topology) -> BTreeSet<String> {
    let there = |binding: &Binding| match &binding.destination {
        Destination::Queue(name) => topology.queue(name).is_some(),
        Destination::Exchange(name) => topology.has_exchange(name),
    };
    let all = EXCHANGES.iter().flat_map(|name| topology.bindings_of(name.as_bytes()));
    all.filter(there).map(|binding| format!("{binding:?}")).collect()
}

fn durable(topology: &mut Topology, name: &'static str) {
    if EXCHANGES.contains(&name) {
        topology.declare_exchange(ExchangeDeclaration { durable: true, ..exchange(name, "direct") }).unwrap();
    } else {
        topology.declare_queue(QueueDeclaration { durable: true, ..queue(name) }, ME).unwrap();
    }
}

#[derive(Debug, Clone)]
enum Step {
    Declare(&'static str),
    Bind(&'static str, &'static str, &'static str),
    Unbind(&'static str, &'static str, &'static str),
    Delete(&'static str),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let any = || prop::sample::select([&QUEUES[..], &EXCHANGES[..]].concat());
    let of = |names: &'static [&'static str]| prop::sample::select(names);
    prop_oneof![
        3 => any().prop_map(Step::Declare),
        6 => (of(&EXCHANGES), any(), of(&KEYS)).prop_map(|(source, to, key)| Step::Bind(source, to, key)),
        1 => (of(&EXCHANGES), any(), of(&KEYS)).prop_map(|(source, to, key)| Step::Unbind(source, to, key)),
        2 => any().prop_map(Step::Delete),
        2 => Just(Step::Clear),
    ]
}

fn leading(source: &'static str, to: &'static str, key: &'static str) -> Binding {
    if EXCHANGES.contains(&to) { to_exchange(source, to, key) } else { to_queue(source, to, key) }
}

/// Carries a step out; whether it went well.
fn carry_out(topology: &mut Topology, step: &Step) -> bool {
    match *step {
        Step::Declare(name) => durable(topology, name),
        Step::Bind(source, to, key) => return topology.bind(leading(source, to, key), ME).is_ok(),
        Step::Unbind(source, to, key) => return topology.unbind(&leading(source, to, key), ME).is_ok(),
        Step::Delete(name) if EXCHANGES.contains(&name) => {
            topology.delete_exchange(name.as_bytes(), false).unwrap();
        }
        Step::Delete(name) => drop(topology.delete_queue(name.as_bytes(), ME, false, false)),
        Step::Clear => drop(topology.clear_away(1)),
    }
    true
}

proptest! {
    #[test]
    fn in_pieces_or_at_once_makes_no_difference_but_in_time(steps in prop::collection::vec(step(), 1..60)) {
        let (mut whole, mut pieces) = (topology(), topology());
        pieces.cleared_at_once = 1;
        let mut journaled = Journaled::default();
        for step in steps {
            prop_assert_eq!(carry_out(&mut whole, &step), carry_out(&mut pieces, &step));
            journaled.take(&mut pieces);
            prop_assert_eq!(bindings(&whole), bindings(&pieces));
            for source in EXCHANGES.iter().filter(|name| whole.has_exchange(name.as_bytes())) {
                for key in KEYS {
                    prop_assert_eq!(names(&whole, source, &[key]), names(&pieces, source, &[key]));
                }
            }
            let (mut restored, mut after) = journaled.restored();
            prop_assert_eq!(bindings(&whole), bindings(&restored));
            // Whatever is made of the same name then has no bindings of its predecessor.
            for name in QUEUES.iter().chain(&EXCHANGES).filter(|name| {
                whole.queue(name.as_bytes()).is_none() && !whole.has_exchange(name.as_bytes())
            }) {
                durable(&mut restored, name);
            }
            after.take(&mut restored);
            prop_assert_eq!(bindings(&whole), bindings(&after.restored().0));
        }
        while pieces.clear_away(1) {}
        prop_assert!(!pieces.has_remains());
        journaled.take(&mut pieces);
        let left = journaled.0.values().filter(|change| matches!(change, TopologyChange::Bound(_))).count();
        prop_assert_eq!(left, bindings(&whole).len());
    }
}

#[test]
fn an_auto_delete_exchange_goes_with_its_last_binding_also_when_a_crash_cuts_that_short() {
    let mut topology = topology();
    topology.cleared_at_once = 0;
    let goes = ExchangeDeclaration { durable: true, auto_delete: true, ..exchange("x", "direct") };
    topology.declare_exchange(goes).unwrap();
    durable(&mut topology, "q");
    topology.bind(to_queue("x", "q", "a"), ME).unwrap();
    let mut journaled = Journaled::default();
    topology.delete_queue(b"q", ME, false, false).unwrap();
    journaled.take(&mut topology);
    assert!(
        topology.has_exchange(b"x")
            && topology.is_clearing(&Destination::Queue(ShortString::from_static("q")))
    );
    let (restored, after) = journaled.restored();
    assert!(!restored.has_exchange(b"x") && after.0.is_empty());
    while topology.clear_away(1) {}
    journaled.take(&mut topology);
    assert!(!topology.has_exchange(b"x") && journaled.0.is_empty());
}

#[test]
fn a_route_through_many_exchanges_is_stale_after_any_change_of_them() {
    let mut topology = topology();
    let names: Vec<&'static str> = (0..200).map(|n| &*Box::leak(format!("e{n}").into_boxed_str())).collect();
    for name in &names {
        topology.declare_exchange(exchange(name, "fanout")).unwrap();
    }
    for (one, next) in names.iter().zip(names.iter().cycle().skip(1)) {
        topology.bind(to_exchange(one, next, ""), ME).unwrap();
    }
    topology.declare_queue(queue("q"), ME).unwrap();
    topology.bind(to_queue("e199", "q", ""), ME).unwrap();
    let before = route(&topology, "e0", "k").unwrap();
    assert_eq!((sorted_names(&before.queues), before.is_current()), (vec!["q".to_owned()], true));
    assert!(before.steps() >= 200 && before.steps_to_check() == 0);
    topology.unbind(&to_queue("e199", "q", ""), ME).unwrap();
    assert!(!before.is_current());
}

/// A topology in which the bindings of a deleted queue `first` wait to be taken out, one at a time.
fn behind_others() -> Topology {
    let mut topology = topology();
    topology.cleared_at_once = 1;
    for name in ["first", "q", "r"] {
        topology.declare_queue(queue(name), ME).unwrap();
    }
    for key in ["1", "2", "3", "4", "5", "6", "7", "8"] {
        topology.bind(to_queue("amq.direct", "first", key), ME).unwrap();
    }
    topology
}

#[test]
fn a_route_to_what_is_gone_is_stale_although_its_binding_waits_behind_those_of_others() {
    let mut topology = behind_others();
    topology.declare_exchange(exchange("x", "fanout")).unwrap();
    topology.declare_exchange(exchange("y", "fanout")).unwrap();
    topology.bind(to_queue("x", "q", ""), ME).unwrap();
    topology.bind(to_exchange("x", "y", ""), ME).unwrap();
    topology.bind(to_queue("y", "r", ""), ME).unwrap();
    drop(topology.delete_queue(b"first", ME, false, false).unwrap());
    let before = route(&topology, "x", "").unwrap();
    assert!(before.is_reusable() && before.is_current());
    drop(topology.delete_queue(b"q", ME, false, false).unwrap());
    assert!(topology.has_remains() && !before.is_current());
    let before = route(&topology, "x", "").unwrap();
    topology.delete_exchange(b"y", false).unwrap();
    assert!(topology.has_remains() && !before.is_current());
    assert!(route(&topology, "x", "").unwrap().queues.is_empty());
}

#[test]
fn an_exchange_that_chooses_one_destination_chooses_among_those_that_are_there() {
    let weighed = [("q", "1"), ("q", "2"), ("r", "1")];
    let alike = [("q", ""), ("r", "")];
    let kinds: [(_, &[_]); 4] = [
        ("x-consistent-hash", &weighed),
        ("x-modulus-hash", &weighed),
        ("x-random", &alike),
        ("x-local-random", &alike),
    ];
    for (kind, bound) in kinds {
        let mut topology = behind_others();
        topology.declare_exchange(exchange("x", kind)).unwrap();
        for (name, key) in bound {
            topology.bind(to_queue("x", name, key), ME).unwrap();
        }
        drop(topology.delete_queue(b"first", ME, false, false).unwrap());
        drop(topology.delete_queue(b"q", ME, false, false).unwrap());
        assert!(topology.has_remains());
        for key in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            assert_eq!(names(&topology, "x", &[key]), ["r"], "{kind}");
        }
        while topology.clear_away(1) {}
        assert_eq!(names(&topology, "x", &["a"]), ["r"], "{kind}");
        assert_eq!(topology.bindings_of(b"x").len(), 1);
    }
}
