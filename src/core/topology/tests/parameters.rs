//! Parameters, and what a deleted virtual host leaves.

use super::*;

fn name(text: &'static str) -> ShortString {
    ShortString::from_static(text)
}

/// Component, name and JSON of each.
fn parameters(topology: &Topology) -> Vec<(String, String, String)> {
    let texts = topology.parameters().map(|(component, name, value)| {
        (component.as_str_lossy().into_owned(), name.as_str_lossy().into_owned(), value.to_owned())
    });
    texts.collect()
}

#[test]
fn a_parameter_is_set_in_the_place_of_its_namesake_and_deleted_once() {
    let mut topology = topology();
    for (component, value) in [("shovel", "1"), ("federation-upstream", "2"), ("shovel", "3")] {
        topology.set_parameter(name(component), name("p"), value.into());
    }
    let of = |component: &str, value: &str| (component.to_owned(), "p".to_owned(), value.to_owned());
    assert_eq!(parameters(&topology), [of("federation-upstream", "2"), of("shovel", "3")]);
    assert_eq!(topology.parameter(&name("shovel"), &name("p")), Some("3"));
    assert_eq!(topology.take_changes().len(), 3);
    assert!(topology.delete_parameter(name("shovel"), name("p")));
    assert!(!topology.delete_parameter(name("shovel"), name("p")));
    let deleted = TopologyChange::ParameterDeleted { component: name("shovel"), name: name("p") };
    assert_eq!(topology.take_changes(), [deleted]);
    assert_eq!(topology.parameter(&name("shovel"), &name("p")), None);
}

#[test]
fn parameters_are_restored_and_not_journaled_again() {
    let mut first = topology();
    first.set_parameter(name("shovel"), name("p"), "{}".into());
    let mut second = topology();
    second.restore(first.take_changes(), &mut HashMap::new());
    assert_eq!(parameters(&second), parameters(&first));
    assert!(second.take_changes().is_empty() && !second.is_deleted());
}

#[test]
fn a_virtual_host_that_was_not_cleared_away_is_restored_as_one_that_was_deleted() {
    let mut first = topology();
    first.declare_queue(QueueDeclaration { durable: true, ..queue("q") }, ME).unwrap();
    let mut changes = first.take_changes();
    changes.push(TopologyChange::VhostDeleted);
    let mut second = topology();
    let unrestored = second.restore(changes, &mut HashMap::new());
    assert!(unrestored.bindings.is_empty() && unrestored.policies.is_empty());
    assert!(second.is_deleted() && second.queue(b"q").is_some());
    assert!(second.take_changes().is_empty());
}
