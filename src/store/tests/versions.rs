//! Logs of each version of the format, and what a broker finds in them.

use std::{collections::BTreeMap, fs, path::Path};

use super::{
    declared::{access_of_version_3, topology_of_version_3},
    machine::Machine,
};
use crate::{
    core::{
        access::AccessChange,
        change::{Attempts, TopologyChange},
        pager::Loaded,
        placement::QueueId,
    },
    protocol::{FieldTable, ShortString},
    store::{
        LogPosition,
        checkpoint::{Entity, definitions::Definitions},
        folders::DEFINITIONS,
        replay::Report,
    },
};

/// The log of the fixtures, with two queues that are declared.
fn folder(version: &str) -> Machine {
    let machine = Machine::new(8 * 1024);
    let folders = machine.folders();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(version);
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        folders.log.replace(&name, &fs::read(entry.path()).unwrap()).unwrap();
    }
    let entities = ["one", "two"].into_iter().zip(1..).map(|(name, id)| {
        let (id, name, arguments) = (QueueId(id), ShortString::from_static(name), FieldTable::new());
        let change = TopologyChange::QueueDeclared { id, name, auto_delete: false, arguments };
        Entity::Topology { vhost: ShortString::from_static("/"), change }
    });
    let definitions =
        Definitions { stamp: LogPosition::default(), last_queue: 2, entities: entities.collect() };
    folders.root.replace(DEFINITIONS, &definitions.encode()).unwrap();
    machine
}

/// A message: its body and position, how often it came back and how often of these it failed, when it was published and
/// when it is due.
type Fact = (Vec<u8>, u64, (u16, u16), (u64, u64));

fn fact(loaded: Loaded) -> Fact {
    let Loaded { position, attempts: Attempts { returned, failed }, due, message, .. } = loaded;
    (message.view().body(), position, (returned, failed), (message.published_at(), due))
}

/// What a broker finds.
#[derive(Debug, PartialEq)]
struct Found {
    queues: [Vec<Fact>; 2],
    topology: BTreeMap<ShortString, Vec<TopologyChange>>,
    access: Vec<AccessChange>,
    needs_defaults: bool,
}

/// Starts and stops.
fn recovered(machine: &Machine) -> (Found, Report) {
    let (mut run, restored, report) = machine.start().unwrap();
    // Nobody knows which positions were used when derived state is lost.
    let is_next = |position| position == 4 || report.state_lost;
    assert!(restored.contents.values().all(|queue| is_next(queue.next_position)) && !restored.is_new);
    let queues = [1, 2].map(|queue| run.load(QueueId(queue), 1_000).into_iter().map(fact).collect());
    run.keep_all();
    run.close().unwrap();
    let needs_defaults = restored.needs_defaults();
    let topology = restored.topology.into_iter().map(|(vhost, mut changes)| {
        changes.retain(|change| !matches!(change, TopologyChange::QueueDeclared { .. }));
        (vhost, changes)
    });
    (Found { queues, topology: topology.collect(), access: restored.access, needs_defaults }, report)
}

/// What is found in the log, in the checkpoint that was made of it, and in the definitions file beside that.
fn recovered_thrice(machine: &Machine) -> Found {
    let (from_log, report) = recovered(machine);
    assert_eq!((report.damaged, report.replayed > 0), (0, true));
    let (from_checkpoint, report) = recovered(machine);
    assert_eq!(report, Report { clean: true, ..Report::default() });
    assert_eq!(from_log, from_checkpoint);
    machine.lose_state();
    let (Found { topology, access, needs_defaults, .. }, _) = recovered(machine);
    assert_eq!((&topology, &access), (&from_log.topology, &from_log.access));
    assert_eq!(needs_defaults, from_log.needs_defaults);
    from_log
}

/// Queues alone, and no users.
fn of_queues(queues: [Vec<Fact>; 2]) -> Found {
    let topology = BTreeMap::from([(ShortString::from_static("/"), Vec::new())]);
    Found { queues, topology, access: Vec::new(), needs_defaults: true }
}

#[test]
fn a_log_of_version_1_is_recovered_without_what_it_does_not_know() {
    let of = |body: &str, position, returned| (body.into(), position, (returned, 0), (0, 0));
    let one = vec![of("two", 2, 0), of("three", 3, 0)];
    let two = vec![of("one", 1, 7), of("two", 2, 0), of("three", 3, 0)];
    assert_eq!(recovered_thrice(&folder("log-v1")), of_queues([one, two]));
}

#[test]
fn a_log_of_version_2_is_recovered_whole() {
    assert_eq!(recovered_thrice(&folder("log-v2")), of_queues(queues()));
}

#[test]
fn a_log_of_version_3_is_recovered_with_its_users_and_virtual_hosts() {
    let of = |vhost| (ShortString::from_static(vhost), topology_of_version_3(vhost));
    let topology = BTreeMap::from([of("/"), of("half")]);
    let expected = Found { queues: queues(), topology, access: access_of_version_3(), needs_defaults: false };
    assert_eq!(recovered_thrice(&folder("log-v3")), expected);
}

/// What they have since version 2.
fn queues() -> [Vec<Fact>; 2] {
    let of = |body: &str, position| (body.into(), position, (0, 0), (position, 0));
    let one = vec![of("two", 2), of("three", 3)];
    let two = vec![("one".into(), 1, (7, 2), (1, 9)), of("two", 2), of("three", 3)];
    [one, two]
}
