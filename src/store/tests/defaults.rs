//! When the user and the virtual host are to be made that a new broker begins with; and folders that are refused.

use super::{
    declared::user,
    logged::{count, logged},
    machine::{Machine, Running},
};
use crate::{
    core::{
        access::AccessChange,
        change::{Change, TopologyChange},
        declared::VhostSettings,
        placement::QueueId,
    },
    protocol::{FieldTable, FieldValue, ShortString},
    store::{
        LogPosition, RecoveryError, Restored, SegmentId,
        checkpoint::{Entity, definitions::Definitions},
        folders::DEFINITIONS,
        kv::Key,
    },
};

fn machine() -> Machine {
    Machine::new(8 * 1024)
}

fn restored(machine: &Machine) -> Restored {
    machine.start().unwrap().1
}

fn topology(change: TopologyChange) -> Change {
    Change::Topology { vhost: ShortString::from_static("/"), change }
}

/// A broker that appends some changes, makes a checkpoint and ends.
fn run(machine: &Machine, changes: Vec<Change>) {
    let (mut run, _, _) = machine.start().unwrap();
    run.append(changes, true);
    run.write().unwrap();
    run.keep_all();
    run.close().unwrap();
}

fn set_user() -> Change {
    AccessChange::UserSet(user("u")).into()
}

fn delete_user() -> Change {
    AccessChange::UserDeleted(ShortString::from_static("u")).into()
}

fn set_vhost() -> Change {
    topology(TopologyChange::VhostSet(VhostSettings::default()))
}

fn declare(kind: impl Into<FieldValue>) -> Change {
    topology(TopologyChange::QueueDeclared {
        id: QueueId(1),
        name: ShortString::from_static("q"),
        auto_delete: false,
        arguments: FieldTable::new().with("x-queue-type", kind),
    })
}

#[test]
fn defaults_are_needed_until_there_was_a_user() {
    let cases: [(&str, Vec<Change>, bool); 6] = [
        ("nothing", vec![], true),
        ("a virtual host", vec![set_vhost()], true),
        ("queues alone, as before version 3", vec![declare("classic")], true),
        ("a user", vec![set_user()], false),
        ("a user that was deleted", vec![set_user(), delete_user()], false),
        ("a deletion alone", vec![delete_user()], true),
    ];
    for (what, changes, needed) in cases {
        let machine = machine();
        let has_definitions = !changes.is_empty();
        run(&machine, changes);
        for loss in ["nothing", "the key-value store", "the definitions file", "both"] {
            let machine = machine.kill();
            if matches!(loss, "the key-value store" | "both") {
                machine.lose_state();
            }
            if matches!(loss, "the definitions file" | "both") && has_definitions {
                machine.folders().root.remove(DEFINITIONS).unwrap();
            }
            // The log still has everything.
            let found = restored(&machine);
            assert_eq!(found.needs_defaults(), needed, "{what}, {loss} is lost");
            assert!(!found.is_new, "{what}, {loss} is lost");
        }
    }
}

#[test]
fn a_folder_in_which_nothing_was_written_is_new_however_often_it_was_opened() {
    let mut machine = machine();
    for _ in 0..3 {
        let (_, restored, _) = machine.start().unwrap();
        assert!(restored.is_new && restored.needs_defaults() && restored.access.is_empty());
        machine = machine.kill();
    }
}

#[test]
fn no_default_user_is_made_where_nobody_knows_whether_there_were_users() {
    let machine = machine();
    run(&machine, vec![set_user(), delete_user()]);
    // The log goes on elsewhere: what it says of users is gone with its first segment.
    let (mut later, _, _) = machine.start().unwrap();
    fill(&mut later);
    machine.lose_state();
    machine.folders().root.remove(DEFINITIONS).unwrap();
    machine.folders().log.remove(&SegmentId(1).file_name()).unwrap();
    let mut found = None;
    let lines = logged(|| found = Some(restored(&machine)));
    let mut found = found.unwrap();
    assert!(!found.needs_defaults() && !found.is_new && found.access.is_empty());
    assert_eq!(count(&lines, &["ERROR", "users are lost"]), 1, "{lines:#?}");
    // It stays so, and is not told again.
    run(&machine, vec![set_vhost()]);
    let lines = logged(|| found = restored(&machine));
    assert!(!found.needs_defaults());
    assert_eq!(count(&lines, &["users are lost"]), 0, "{lines:#?}");
}

fn fill(run: &mut Running) {
    run.append_one(set_vhost());
    run.write().unwrap();
}

/// One line for people, and everything is as it was.
fn refused(machine: &Machine) -> String {
    let before = (machine.kv.store.lock().image().clone(), machine.folders().root.read(DEFINITIONS).unwrap());
    let error = match machine.start() {
        Ok(_) => panic!("the folder was not refused"),
        Err(error @ RecoveryError::Io { .. }) => panic!("{error}"),
        Err(error) => error.to_string(),
    };
    let after = (machine.kv.store.lock().image().clone(), machine.folders().root.read(DEFINITIONS).unwrap());
    assert!(before == after, "something was touched");
    assert_eq!(error.lines().count(), 1);
    error
}

#[test]
fn a_definitions_file_of_a_later_version_is_refused_whether_or_not_it_is_needed() {
    for is_needed in [false, true] {
        let machine = machine();
        run(&machine, vec![set_vhost()]);
        let mut bytes = machine.folders().root.read(DEFINITIONS).unwrap().unwrap();
        bytes[8] = 9;
        machine.folders().root.replace(DEFINITIONS, &bytes).unwrap();
        if is_needed {
            machine.lose_state();
        }
        assert_eq!(
            refused(&machine),
            "cannot use the definitions file: definitions of version 9, which this version cannot read"
        );
    }
}

#[test]
fn a_key_value_store_of_a_later_version_is_refused_at_any_value() {
    let machine = machine();
    run(&machine, vec![set_vhost(), set_user(), declare("classic")]);
    let keys: Vec<Vec<u8>> = machine.kv.store.lock().image().keys().cloned().collect();
    assert!(keys.len() > 5 && keys.contains(&Key::Meta.to_bytes()), "{keys:?}");
    for key in keys {
        let version = std::mem::replace(&mut machine.kv.store.lock().image().get_mut(&key).unwrap()[0], 9);
        let error = refused(&machine);
        assert!(error.starts_with("the key-value store has version 9 at "), "{error}");
        assert!(error.ends_with(", which this version cannot read"), "{error}");
        machine.kv.store.lock().image().get_mut(&key).unwrap()[0] = version;
    }
    assert!(machine.start().is_ok());
}

#[test]
fn a_queue_of_a_type_that_is_not_known_refuses_the_folder_wherever_it_stands() {
    for kind in [FieldValue::long_string("stream"), FieldValue::from(5)] {
        let machine = machine();
        let (mut run, _, _) = machine.start().unwrap();
        run.append_one(declare(kind));
        run.write().unwrap();
        let in_log = machine.kill();
        run.keep_all();
        run.close().unwrap();
        let in_checkpoint = machine.kill();
        let in_definitions = machine.kill();
        in_definitions.lose_state();
        for machine in [in_log, in_checkpoint, in_definitions] {
            assert_eq!(
                refused(&machine),
                "queue 'q' in vhost '/' is of a type that this version does not know"
            );
        }
    }
}

#[test]
fn queues_of_a_type_that_is_known_or_not_named_are_read() {
    for kind in ["classic", "quorum"] {
        let machine = machine();
        run(&machine, vec![declare(kind)]);
        assert_eq!(restored(&machine).contents.len(), 1);
    }
}

#[test]
fn a_checkpoint_that_lost_its_definitions_gives_them_back_with_users() {
    let machine = machine();
    run(&machine, vec![set_user(), set_vhost()]);
    machine.folders().root.remove(DEFINITIONS).unwrap();
    restored(&machine);
    let bytes = machine.folders().root.read(DEFINITIONS).unwrap().unwrap();
    let Definitions { entities, stamp, .. } = Definitions::decode(&bytes).unwrap();
    assert!(stamp > LogPosition::default());
    let vhost = ShortString::from_static("/");
    let settings = TopologyChange::VhostSet(VhostSettings::default());
    let expected = [
        Entity::Topology { vhost, change: settings },
        Entity::Access(AccessChange::UserSet(user("u"))),
        Entity::UsersSetUp,
    ];
    assert_eq!(entities, expected);
}
