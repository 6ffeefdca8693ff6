//! Logs of each version of the format, and what a broker finds in them.

use std::{fs, path::Path};

use super::machine::Machine;
use crate::{
    core::{
        change::{Attempts, TopologyChange},
        pager::Loaded,
        placement::QueueId,
    },
    protocol::{FieldTable, ShortString},
    store::{
        LogPosition, SegmentId,
        checkpoint::{Entity, definitions::Definitions},
        folders::DEFINITIONS,
        replay::Report,
    },
};

/// The log of the fixtures, with two queues that are declared.
fn folder(version: &str) -> Machine {
    let machine = Machine::new(8 * 1024);
    let folders = machine.folders();
    for id in [SegmentId(1), SegmentId(2)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(version);
        let bytes = fs::read(path.join(id.file_name())).unwrap();
        folders.log.replace(&id.file_name(), &bytes).unwrap();
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

/// Starts and stops. Gives what the two queues have.
fn recovered(machine: &Machine) -> ([Vec<Fact>; 2], Report) {
    let (mut run, restored, report) = machine.start().unwrap();
    assert!(restored.contents.values().all(|queue| queue.next_position == 4));
    let queues = [1, 2].map(|queue| run.load(QueueId(queue), 1_000).into_iter().map(fact).collect());
    run.keep_all();
    run.close().unwrap();
    (queues, report)
}

/// What is found in the log, and again in the checkpoint that was made of it.
fn recovered_twice(machine: &Machine) -> [Vec<Fact>; 2] {
    let (from_log, report) = recovered(machine);
    assert_eq!((report.damaged, report.replayed > 0), (0, true));
    let (from_checkpoint, report) = recovered(machine);
    assert_eq!(report, Report { clean: true, ..Report::default() });
    assert_eq!(from_log, from_checkpoint);
    from_log
}

#[test]
fn a_log_of_version_1_is_recovered_without_what_it_does_not_know() {
    let of = |body: &str, position, returned| (body.into(), position, (returned, 0), (0, 0));
    let one = vec![of("two", 2, 0), of("three", 3, 0)];
    let two = vec![of("one", 1, 7), of("two", 2, 0), of("three", 3, 0)];
    assert_eq!(recovered_twice(&folder("log-v1")), [one, two]);
}

#[test]
fn a_log_of_version_2_is_recovered_whole() {
    let of = |body: &str, position| (body.into(), position, (0, 0), (position, 0));
    let one = vec![of("two", 2), of("three", 3)];
    let two = vec![("one".into(), 1, (7, 2), (1, 9)), of("two", 2), of("three", 3)];
    assert_eq!(recovered_twice(&folder("log-v2")), [one, two]);
}
