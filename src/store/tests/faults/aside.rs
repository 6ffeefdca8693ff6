//! Groups that take much are written aside: others do not wait for them, and no crash and no full disk leaves a part of one.

use std::io::ErrorKind;

use super::{super::machine::Keep, *};
use crate::store::keeper;

/// More than half a segment.
const MANY: u64 = 12;
const SMALL: QueueId = QUEUES[1];

/// Messages of a group for queue 1, from a position on.
fn large_group(from: u64) -> (Vec<Message>, Vec<Change>) {
    let messages: Vec<Message> = (0..MANY).map(|_| message(1_000)).collect();
    let changes = (from..).zip(&messages).map(|(position, message)| publish(message, position, &[QUEUE]));
    let changes = changes.collect();
    (messages, changes)
}

fn all() -> Vec<u64> {
    (0..MANY).collect()
}

/// A group of which one slice is written.
fn begun() -> (Machine, Running, Vec<Message>, Commit) {
    let (machine, mut run) = begin();
    let (messages, changes) = large_group(0);
    let commit = run.append(changes, true);
    run.write_some().unwrap();
    assert!(run.parts.writer.has_asides() && !run.is_done(commit));
    (machine, run, messages, commit)
}

/// What both queues have, whatever a power cut leaves.
fn after_any_power_cut(machine: &Machine) -> Vec<(Vec<u64>, Vec<u64>)> {
    let found = after_power_cuts(machine);
    assert!(found.iter().all(|found| !found.is_damaged), "a group that is not whole is no damage");
    found.into_iter().map(|Found { group, others, .. }| (group, others)).collect()
}

struct Found {
    group: Vec<u64>,
    others: Vec<u64>,
    is_damaged: bool,
}

fn after_power_cuts(machine: &Machine) -> Vec<Found> {
    let after = |seed| {
        let (run, report) = restarted(&machine.power_cut(seed));
        let [group, others] = [QUEUE, SMALL].map(|queue| positions(&run.load(queue, 1_000)));
        Found { group, others, is_damaged: report.damaged > 0 }
    };
    (0..30).map(after).collect()
}

#[test]
fn others_are_told_while_a_large_group_is_written() {
    let (machine, mut run, _, large) = begun();
    for position in 0..5 {
        let small = run.append_one(publish(&message(10), position, &[SMALL]));
        run.write_some().unwrap();
        assert!(run.is_done(small) && !run.is_done(large));
        for (large, small) in after_any_power_cut(&machine) {
            assert!(large.is_empty() && small.len() as u64 == position + 1, "{large:?} {small:?}");
        }
    }
    run.write().unwrap();
    assert!(run.is_done(large));
    for there in after_any_power_cut(&machine) {
        assert_eq!(there, (all(), (0..5).collect()));
    }
}

#[test]
fn others_are_told_although_they_came_before_and_after_it_in_one_read() {
    let (_, mut run) = begin();
    let before = run.append_one(publish(&message(10), 0, &[SMALL]));
    let large = run.append(large_group(0).1, true);
    let after = run.append_one(publish(&message(10), 1, &[SMALL]));
    assert!(before < large && large < after);
    for _ in 0..3 {
        run.write_some().unwrap();
    }
    assert!(run.is_done(before) && !run.is_done(large) && run.is_done(after));
}

#[test]
fn publishers_do_not_wait_for_what_is_written_aside() {
    let (_, run) = begin();
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let large: Vec<Message> = (0..40).map(|_| message(1_000_000)).collect();
    let changes = (0..).zip(&large).map(|(position, message)| publish(message, position, &[QUEUE]));
    run.append(changes.collect(), true);
    assert!(run.parts.pending.poll_room(&mut cx).is_ready());
    for (position, message) in (40..).zip(&large) {
        run.append(vec![publish(message, position, &[QUEUE]), settle(message, position, SMALL)], false);
    }
    assert!(run.parts.pending.poll_room(&mut cx).is_pending());
}

#[test]
fn a_large_message_is_written_aside_like_a_group() {
    let (machine, mut run) = begin();
    let large = run.append_one(publish(&message(50_000), 0, &[QUEUE]));
    run.write_some().unwrap();
    let small = run.append_one(publish(&message(10), 0, &[SMALL]));
    run.write_some().unwrap();
    assert!(run.is_done(small) && !run.is_done(large));
    run.write().unwrap();
    for there in after_any_power_cut(&machine) {
        assert_eq!(there, (vec![0], vec![0]));
    }
}

#[test]
fn a_power_cut_at_any_operation_leaves_all_of_a_group_or_nothing() {
    // A footer of which the first sector is lost looks like damage.
    for keeper in [&[][..], &Keep::ALL] {
        let operations = {
            let (machine, mut run) = with_one_to_settle();
            let before = machine.disk.operations();
            beside_a_small_one(&mut run, keeper).unwrap();
            machine.disk.operations() - before
        };
        assert!(operations > 10, "{operations}");
        for n in 1..=operations {
            let (machine, mut run) = with_one_to_settle();
            machine.disk.crash_at(n);
            let _dark = beside_a_small_one(&mut run, keeper);
            let [large, small] = [Commit(3), Commit(4)].map(|commit| run.is_done(commit));
            for (seed, found) in after_power_cuts(&machine).into_iter().enumerate() {
                let Found { group, others, is_damaged } = found;
                assert!(!is_damaged || !keeper.is_empty(), "operation {n}, seed {seed}");
                let is_whole = group == all() && !others.contains(&0);
                let is_nothing = group.is_empty() && others.contains(&0);
                assert!(is_whole || is_nothing, "operation {n}, seed {seed}: {group:?} {others:?}");
                assert!(is_whole || !large, "operation {n}, seed {seed}: the group is lost");
                assert!(others.contains(&1) || !small, "operation {n}, seed {seed}: a message is lost");
            }
        }
    }
}

fn with_one_to_settle() -> (Machine, Running) {
    let (machine, mut run) = begin();
    run.append_one(publish(&message(10), 0, &[SMALL]));
    run.write().unwrap();
    (machine, run)
}

/// A group that settles a message, commit 3, and another message while it is written, commit 4.
fn beside_a_small_one(run: &mut Running, keeper: &[Keep]) -> io::Result<()> {
    let (_, mut changes) = large_group(0);
    changes.push(Change::Settle { placement: at(SMALL, 0), message: None });
    run.append(changes, true);
    run.write_some()?;
    run.append_one(publish(&message(10), 1, &[SMALL]));
    for _ in 0..3 {
        run.write_some()?;
        for what in keeper {
            run.keep(*what);
        }
    }
    run.write()?;
    for what in keeper {
        run.keep(*what);
    }
    Ok(())
}

#[test]
fn what_leaves_the_queue_meanwhile_does_not_come_again() {
    type Leave = fn(&mut Running, &[Message]);
    let ways: [(Leave, Vec<u64>); 3] = [
        (
            |run, messages| _ = run.append_one(settle(&messages[3], 3, QUEUE)),
            vec![0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11],
        ),
        (|run, _| _ = run.append_one(Change::SettleRange { queue: QUEUE, first: 2, last: 11 }), vec![0, 1]),
        (|run, _| _ = run.append_one(delete(QUEUE)), vec![]),
    ];
    for (leave, left) in ways {
        for slices in 0..15 {
            let (machine, mut run, messages, _) = begun();
            for _ in 0..slices {
                run.write_some().unwrap();
            }
            leave(&mut run, &messages);
            run.write().unwrap();
            assert_eq!(positions(&run.load(QUEUE, 1_000)), left, "{slices} slices");
            run.keep_all();
            for (there, _) in after_any_power_cut(&machine) {
                assert_eq!(there, left, "{slices} slices");
            }
        }
    }
}

#[test]
fn a_message_that_comes_back_meanwhile_keeps_its_count() {
    let (machine, mut run, messages, _) = begun();
    let attempts = Attempts { returned: 2, failed: 1 };
    let message = Some(messages[1].clone());
    run.append_one(Change::Return { placement: at(QUEUE, 1), attempts, due: 9, message });
    run.write().unwrap();
    let loaded = restarted(&machine.power_cut(1)).0.load(QUEUE, 1_000);
    assert_eq!((loaded[1].attempts, loaded[1].due), (attempts, 9));
}

#[test]
fn no_checkpoint_is_made_before_it_is_whole() {
    let (machine, mut run, ..) = begun();
    let before = run.parts.metrics.snapshot().checkpoints;
    run.keep_all();
    assert_eq!(run.parts.metrics.snapshot().checkpoints, before);
    assert!(after_any_power_cut(&machine).iter().all(|(large, _)| large.is_empty()));
    run.write().unwrap();
    run.keep_all();
    assert_eq!(run.parts.metrics.snapshot().checkpoints, before + 1);
    assert!(after_any_power_cut(&machine).iter().all(|(large, _)| *large == all()));
}

#[test]
fn who_settles_in_a_group_what_is_not_whole_is_told_after_it() {
    let (_, mut run, messages, large) = begun();
    let alone = run.append_one(settle(&messages[0], 0, QUEUE));
    run.write_some().unwrap();
    let moved = vec![publish(&message(10), 0, &[SMALL]), settle(&messages[1], 1, QUEUE)];
    let moved_on = run.append(moved, true);
    run.write_some().unwrap();
    let own = message(10);
    let passing = vec![publish(&message(10), 1, &[SMALL]), settle(&own, 1, QUEUES[2])];
    run.append_one(publish(&own, 1, &[QUEUES[2], QUEUES[3]]));
    let others = run.append(passing, true);
    run.write_some().unwrap();
    assert!(run.is_done(alone) && !run.is_done(moved_on) && run.is_done(others));
    run.write().unwrap();
    assert!(run.is_done(large) && run.is_done(moved_on));
}

#[test]
fn who_settles_in_a_group_what_was_held_back_is_told_after_it_too() {
    let (machine, mut run) = begin();
    machine.disk.set_capacity(0);
    let (messages, changes) = large_group(0);
    let large = run.append(changes, true);
    run.write_some().unwrap();
    assert!(run.parts.writer.is_held_up());
    machine.disk.heal();
    let moved_on = run.append(vec![publish(&message(10), 0, &[SMALL]), settle(&messages[1], 1, QUEUE)], true);
    run.write_some().unwrap();
    assert!(run.parts.writer.has_asides() && !run.is_done(moved_on));
    run.write().unwrap();
    assert!(run.is_done(large) && run.is_done(moved_on));
}

#[test]
fn nobody_reads_it_before_it_is_whole() {
    let (machine, mut run, ..) = begun();
    publish_some_small(&mut run);
    assert!(run.load(QUEUE, 1_000).is_empty());
    assert_eq!(run.load(SMALL, 1_000).len(), 1);
    run.write().unwrap();
    assert_eq!(positions(&run.load(QUEUE, 1_000)), all());
    let (run, report) = restarted(&machine.kill());
    assert_eq!((positions(&run.load(QUEUE, 1_000)), report.damaged), (all(), 0));
}

fn publish_some_small(run: &mut Running) {
    run.append_one(publish(&message(10), 0, &[SMALL]));
    run.write_some().unwrap();
}

#[test]
fn one_after_the_other_does_not_keep_checkpoints_away_for_ever() {
    let (_, mut run, ..) = begun();
    run.parts.keeper.checkpointed_at = keeper::long_ago();
    assert!(!run.parts.keeper.is_checkpoint_due());
    let next = run.append(large_group(MANY).1, true);
    run.write_some().unwrap();
    assert!(run.is_done(next), "it is not written aside");
    run.write().unwrap();
    assert!(run.parts.keeper.is_checkpoint_due());
    run.keep(Keep::Checkpoint);
    assert!(!run.parts.keeper.is_checkpoint_due());
    let next = run.append(large_group(2 * MANY).1, true);
    run.write_some().unwrap();
    assert!(!run.is_done(next), "it is written aside again");
}

#[test]
fn a_disk_without_room_for_it_is_not_filled_with_segments() {
    let (machine, mut run) = begin();
    run.keep_all();
    machine.disk.leave(u64::from(SEGMENT_BYTES));
    let large = run.append(large_group(0).1, true);
    for _ in 0..50 {
        run.write().unwrap();
        run.keep_all();
    }
    assert!(!run.is_done(large) && run.parts.writer.is_held_up());
    run.parts.keeper.watch_disk();
    assert!(*run.parts.disk_low.borrow(), "the alarm is on");
    assert!(machine.segments().len() <= 3, "{:?}", machine.segments());
    machine.disk.heal();
    run.write().unwrap();
    assert!(run.is_done(large));
}

#[test]
fn several_are_written_one_after_the_other() {
    let (machine, mut run) = begin();
    let commits = [0, MANY, 2 * MANY].map(|from| run.append(large_group(from).1, true));
    for _ in 0..3 {
        run.write_some().unwrap();
    }
    assert!(commits.iter().all(|commit| !run.is_done(*commit)));
    while !run.is_done(commits[0]) {
        run.write_some().unwrap();
    }
    assert!(!run.is_done(commits[1]) && !run.is_done(commits[2]));
    for (large, _) in after_any_power_cut(&machine) {
        assert_eq!(large, all());
    }
    run.write().unwrap();
    for (large, _) in after_any_power_cut(&machine) {
        assert_eq!(large, (0..3 * MANY).collect::<Vec<_>>());
    }
}

#[test]
fn a_disk_that_runs_out_of_room_takes_all_of_it_later_but_what_has_left() {
    for (n, is_sparse) in (1..40).flat_map(|n| [(n, false), (n, true)]) {
        let (machine, mut run, messages, large) = begun();
        if is_sparse {
            machine.disk.reserve_nothing();
        }
        machine.disk.fail_from(n, ErrorKind::StorageFull);
        let settled = run.append_one(settle(&messages[3], 3, QUEUE));
        let small = run.append_one(publish(&message(10), 0, &[SMALL]));
        run.write().unwrap();
        run.keep_all();
        assert!(run.parts.failure.reason().is_none(), "operation {n}");
        let is_done = run.is_done(large);
        for (group, _) in after_any_power_cut(&machine) {
            assert!(
                group.len() as u64 >= MANY - 1 || group.is_empty() && !is_done,
                "operation {n}: {group:?}"
            );
        }
        let later = run.append_one(settle(&messages[5], 5, QUEUE));
        run.write().unwrap();
        let told = run.is_done(later);
        for (group, _) in after_any_power_cut(&machine) {
            assert!(!told || !group.contains(&5), "operation {n}: {group:?}");
        }
        machine.disk.heal();
        for _ in 0..3 {
            run.keep(Keep::Provide);
            run.write().unwrap();
        }
        assert!(!run.parts.writer.is_held_up(), "operation {n}");
        let commits = [large, settled, small, later];
        assert!(commits.iter().all(|commit| run.is_done(*commit)), "operation {n}");
        run.keep_all();
        for (group, others) in after_any_power_cut(&machine) {
            assert_eq!(group, [0, 1, 2, 4, 6, 7, 8, 9, 10, 11], "operation {n}");
            assert_eq!(others, [0], "operation {n}");
        }
    }
}

/// What one brings the other settles: in whatever order they find room, it is gone when the other one is there.
#[test]
fn two_that_run_out_of_room_keep_their_order() {
    for (n, for_ever) in (1..60).flat_map(|n| [(n, false), (n, true)]) {
        let (machine, mut run) = begin();
        machine.disk.reserve_nothing();
        let (messages, changes) = large_group(0);
        let first = run.append(changes, true);
        let (_, mut changes) = large_group(MANY);
        changes.push(settle(&messages[3], 3, QUEUE));
        let second = run.append(changes, true);
        if for_ever {
            machine.disk.fail_from(n, ErrorKind::StorageFull);
        } else {
            machine.disk.fail_at(n, ErrorKind::StorageFull);
        }
        run.write().unwrap();
        let done = [first, second].map(|commit| run.is_done(commit));
        check_two(&machine, done, n);
        machine.disk.heal();
        for _ in 0..3 {
            run.keep(Keep::Provide);
            run.write().unwrap();
        }
        assert!(run.is_done(first) && run.is_done(second), "operation {n}");
        check_two(&machine, [true, true], n);
        run.keep_all();
        check_two(&machine, [true, true], n);
    }
}

fn check_two(machine: &Machine, done: [bool; 2], n: u64) {
    for (there, _) in after_any_power_cut(machine) {
        let [first, second] = [0, MANY].map(|from| there.contains(&from));
        assert!(first >= done[0] && second >= done[1], "operation {n}: a group is lost: {there:?}");
        assert_eq!(there.contains(&3), first && !second, "operation {n}: {there:?}");
    }
}

#[test]
fn a_message_that_came_back_keeps_its_count_when_there_is_no_room_for_it() {
    for n in 1..20 {
        let (machine, mut run, messages, _) = begun();
        machine.disk.reserve_nothing();
        let attempts = Attempts { returned: 2, failed: 1 };
        let message = Some(messages[1].clone());
        run.append_one(Change::Return { placement: at(QUEUE, 1), attempts, due: 9, message });
        machine.disk.fail_from(n, ErrorKind::StorageFull);
        run.write().unwrap();
        machine.disk.heal();
        for _ in 0..3 {
            run.keep(Keep::Provide);
            run.write().unwrap();
        }
        let loaded = restarted(&machine.power_cut(1)).0.load(QUEUE, 1_000);
        assert_eq!((loaded[1].attempts, loaded[1].due), (attempts, 9), "operation {n}");
    }
}

#[test]
fn the_segment_of_one_that_was_given_up_is_in_order() {
    let (machine, mut run, ..) = begun();
    machine.disk.reserve_nothing();
    machine.disk.fail_at(1, ErrorKind::StorageFull);
    run.write_some().unwrap();
    machine.disk.heal();
    run.keep(Keep::Seal);
    let given_up = SegmentId(2);
    let segment = run.parts.keeper.catalog.lock().segments[&given_up].segment.clone();
    assert!(segment.footer().unwrap().unwrap().slots.is_empty());
    assert_eq!(restarted(&machine.kill()).1.damaged, 0);
}

#[test]
fn a_stop_finishes_it() {
    let (machine, run, ..) = begun();
    run.close().unwrap();
    let (run, report) = restarted(&machine.kill());
    assert!(report.clean);
    assert_eq!(positions(&run.load(QUEUE, 1_000)), all());
}

#[test]
fn a_stop_without_room_leaves_nothing_of_it() {
    let (machine, run, ..) = begun();
    machine.disk.fail_from(1, ErrorKind::StorageFull);
    run.close().unwrap();
    machine.disk.heal();
    let (run, report) = restarted(&machine.kill());
    assert_eq!((positions(&run.load(QUEUE, 1_000)), report.damaged), (vec![], 0));
}

#[test]
fn a_restart_while_it_is_written_takes_its_positions_again_and_mixes_nothing_up() {
    let (machine, mut run, messages, _) = begun();
    run.append_one(settle(&messages[3], 3, QUEUE));
    run.write_some().unwrap();
    let machine = machine.kill();
    let (mut run, report) = restarted(&machine);
    assert_eq!((run.load(QUEUE, 1_000).len(), report.damaged), (0, 0));
    publish_some(&mut run, 5, 10);
    for (there, _) in after_any_power_cut(&machine) {
        assert_eq!(there, [0, 1, 2, 3, 4]);
    }
}
