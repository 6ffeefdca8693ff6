//! Users and virtual hosts on a disk that is full, and after the key-value store failed.

use super::*;
use crate::core::{access::AccessChange, declared::VhostSettings};
use crate::store::tests::{declared::user, machine::Keep};

fn set(name: &'static str) -> Change {
    AccessChange::UserSet(user(name)).into()
}

fn unset(name: &'static str) -> Change {
    AccessChange::UserDeleted(ShortString::from_static(name)).into()
}

/// The users that a start finds after a power cut.
fn users(machine: &Machine) -> Vec<ShortString> {
    let (_, restored, _) = machine.power_cut(1).start().unwrap();
    assert!(!restored.needs_defaults());
    let names = restored.access.into_iter().map(|change| match change {
        AccessChange::UserSet(spec) => spec.name,
        other => panic!("{other:?}"),
    });
    names.collect()
}

/// Something of a message's size is held back from here on.
fn fill_the_disk(machine: &Machine, run: &mut Running) {
    publish_some(run, 6, 1_000);
    machine.disk.set_capacity(0);
    run.append_one(publish(&message(3_000), 6, &[QUEUE]));
    run.write().unwrap();
    assert!(run.parts.writer.is_held_up());
}

#[test]
fn a_full_disk_holds_back_what_is_set_and_not_what_is_deleted() {
    let (machine, mut run) = begin();
    run.append(vec![set("a"), set("b"), topology(TopologyChange::VhostSet(VhostSettings::default()))], false);
    fill_the_disk(&machine, &mut run);
    let deleted = run.append(vec![unset("a"), topology(TopologyChange::VhostDeleted)], false);
    run.write().unwrap();
    assert!(run.is_done(deleted), "a deletion goes into the reserve");
    assert_eq!(users(&machine), ["b"]);
    let (_, restored, _) = machine.power_cut(1).start().unwrap();
    assert!(restored.topology[&ShortString::from_static("/")].contains(&TopologyChange::VhostDeleted));
    let set = run.append_one(set("c"));
    run.write().unwrap();
    assert!(!run.is_done(set));
    machine.disk.heal();
    run.write().unwrap();
    assert!(run.is_done(set));
    assert_eq!(users(&machine), ["b", "c"]);
}

#[test]
fn changes_of_users_and_of_topology_keep_their_order_while_the_disk_is_full() {
    let (machine, mut run) = begin();
    run.append_one(set("a"));
    fill_the_disk(&machine, &mut run);
    let settings = topology(TopologyChange::VhostSet(VhostSettings::default()));
    run.append(vec![set("b"), unset("b"), settings, topology(TopologyChange::VhostDeleted)], false);
    run.append(vec![topology(TopologyChange::VhostCleared), unset("a"), set("a")], false);
    run.write().unwrap();
    assert!(run.parts.writer.is_held_up());
    machine.disk.heal();
    run.write().unwrap();
    assert_eq!(users(&machine), ["a"]);
    let (_, restored, _) = machine.power_cut(1).start().unwrap();
    let changes = &restored.topology[&ShortString::from_static("/")];
    assert!(
        changes.iter().all(|change| matches!(change, TopologyChange::QueueDeclared { .. })),
        "{changes:?}"
    );
}

#[test]
fn users_come_back_from_the_definitions_file_when_the_key_value_store_failed() {
    let (machine, mut run) = begin();
    run.append(vec![set("a"), set("b")], false);
    run.write().unwrap();
    run.keep_all();
    run.append(vec![unset("b"), set("c")], false);
    run.write().unwrap();
    machine.kv.store.lock().set_failing(true);
    run.keep(Keep::Checkpoint);
    machine.kv.store.lock().set_failing(false);
    run.keep(Keep::Checkpoint);
    assert!(run.parts.keeper.kv.is_some() && !run.parts.keeper.checkpoints_fail);
    assert_eq!(users(&machine), ["a", "c"]);
}
