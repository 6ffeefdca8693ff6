//! A disk that runs out of room in the middle of a write or a sync.

use std::io::ErrorKind;

use super::*;

const KINDS: [ErrorKind; 2] = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded];

/// There is room again: the first try sees to what makes room, the second one to the rest.
fn recover(machine: &Machine, run: &mut Running) {
    machine.disk.heal();
    run.write().unwrap();
    run.write().unwrap();
    assert!(!run.parts.writer.is_held_up());
}

/// What queue 1 has, whatever a power cut leaves.
fn after_any_power_cut(machine: &Machine) -> Vec<Vec<u64>> {
    (0..30).map(|seed| positions(&restarted(&machine.power_cut(seed)).0.load(QUEUE, 1_000))).collect()
}

#[test]
fn what_finds_no_room_is_not_confirmed_and_comes_when_there_is_some() {
    for (n, kind) in (1..40).flat_map(|n| KINDS.map(|kind| (n, kind))) {
        for for_ever in [false, true] {
            let (machine, mut run) = begin();
            if for_ever {
                machine.disk.fail_from(n, kind);
            } else {
                machine.disk.fail_at(n, kind);
            }
            for position in 0..30 {
                run.append_one(publish(&message(500), position, &[QUEUE]));
                run.write().unwrap();
                run.keep(super::super::machine::Keep::Seal);
                let confirmed = run.done().0 - 1;
                let there = after_power_cut(&machine);
                assert!((0..confirmed).all(|position| there.contains(&position)), "{n} {kind}: {there:?}");
            }
            assert!(run.parts.failure.reason().is_none(), "operation {n} {kind}");
            recover(&machine, &mut run);
            assert_eq!(run.done(), Commit(31));
            for there in after_any_power_cut(&machine) {
                assert_eq!(there, (0..30).collect::<Vec<_>>(), "operation {n} {kind}");
            }
        }
    }
}

#[test]
fn what_a_failed_write_left_is_gone_when_the_message_is_settled() {
    for n in [1, 2] {
        let (machine, mut run) = begin();
        let message = message(5_000);
        machine.disk.fail_at(n, ErrorKind::StorageFull);
        let published = run.append_one(publish(&message, 0, &[QUEUE]));
        run.write().unwrap();
        assert!(!run.is_done(published) && message.stage() == Stage::Waiting);
        let settled = run.append_one(settle(&message, 0, QUEUE));
        recover(&machine, &mut run);
        assert!(run.is_done(published) && run.is_done(settled));
        for there in after_any_power_cut(&machine) {
            assert!(there.is_empty(), "operation {n}: {there:?}");
        }
    }
}

#[test]
fn what_makes_room_goes_on_where_none_can_be_reserved() {
    let (machine, mut run) = begin();
    let messages = publish_some(&mut run, 3, 1_000);
    machine.disk.reserve_nothing();
    machine.disk.leave(500);
    let held = run.append_one(publish(&message(1_000), 3, &[QUEUE]));
    run.write().unwrap();
    let settled = run.append_one(settle(&messages[0], 0, QUEUE));
    for _ in 0..4 {
        run.write().unwrap();
    }
    assert!(run.is_done(settled) && !run.is_done(held));
    assert_eq!(after_power_cut(&machine), [1, 2]);
    recover(&machine, &mut run);
    assert!(run.is_done(held));
    assert_eq!(after_power_cut(&machine), [1, 2, 3]);
}

#[test]
fn a_large_batch_that_fails_anywhere_is_written_again_whole() {
    for n in 1..12 {
        let (machine, mut run) = begin();
        machine.disk.fail_at(n, ErrorKind::StorageFull);
        let messages: Vec<Message> = (0..40).map(|_| message(1_000)).collect();
        let changes = (0..).zip(&messages).map(|(position, message)| publish(message, position, &[QUEUE]));
        let commit = run.append(changes.collect(), false);
        run.write().unwrap();
        recover(&machine, &mut run);
        assert!(run.is_done(commit), "operation {n}");
        assert_eq!(after_power_cut(&machine), (0..40).collect::<Vec<_>>(), "operation {n}");
    }
}

#[test]
fn what_is_all_or_nothing_stays_so() {
    let (machine, mut run) = begin();
    let messages = publish_some(&mut run, 1, 100);
    machine.disk.fail_at(2, ErrorKind::StorageFull);
    let changes = vec![
        publish(&message(100), 1, &[QUEUE]),
        publish(&message(100), 2, &[QUEUE]),
        settle(&messages[0], 0, QUEUE),
    ];
    let commit = run.append(changes, true);
    run.write().unwrap();
    for there in after_any_power_cut(&machine) {
        assert!(there == [0] || there == [1, 2], "{there:?}");
    }
    // What makes room does not part it.
    run.write().unwrap();
    assert!(!run.is_done(commit) && after_power_cut(&machine) == [0]);
    recover(&machine, &mut run);
    assert_eq!(after_power_cut(&machine), [1, 2]);
}

/// A message that one group brings and the next one takes on, to where it is settled: that group makes room, and comes after
/// the first one even so.
#[test]
fn a_settlement_waits_for_its_message() {
    let (machine, mut run) = begin();
    let (one, other) = (message(100), message(100));
    let [first, second] = [message(100), message(100)];
    run.append(vec![publish(&first, 0, &[QUEUES[3]]), publish(&second, 1, &[QUEUES[3]])], false);
    run.write().unwrap();
    machine.disk.fail_at(2, ErrorKind::StorageFull);
    run.append(vec![publish(&one, 0, &[QUEUE]), settle(&first, 0, QUEUES[3])], true);
    run.append(vec![publish(&other, 0, &[QUEUES[1]]), settle(&one, 0, QUEUE)], true);
    run.append_one(settle(&other, 0, QUEUES[1]));
    run.write().unwrap();
    recover(&machine, &mut run);
    for seed in 0..10 {
        let (run, _) = restarted(&machine.power_cut(seed));
        assert_eq!(QUEUES.map(|queue| run.load(queue, 1_000).len()), [0, 0, 0, 1], "seed {seed}");
    }
}

#[test]
fn changes_of_topology_are_written_again_in_their_order() {
    let (machine, mut run) = begin();
    machine.disk.fail_at(2, ErrorKind::StorageFull);
    run.append(vec![declare(QueueId(8)), delete(QueueId(8)), declare(QueueId(9))], false);
    run.write().unwrap();
    run.append_one(delete(QueueId(9)));
    recover(&machine, &mut run);
    let (_, restored, _) = machine.power_cut(1).start().unwrap();
    assert!(![8, 9].iter().any(|id| restored.contents.contains_key(&QueueId(*id))));
}

#[test]
fn a_message_that_came_back_keeps_its_count() {
    let (machine, mut run) = begin();
    let message = message(100);
    let attempts = Attempts { returned: 2, failed: 1 };
    let back = Change::Return { placement: at(QUEUE, 0), attempts, due: 9, message: Some(message.clone()) };
    machine.disk.fail_at(2, ErrorKind::StorageFull);
    run.append(vec![publish(&message, 0, &[QUEUE]), back], false);
    run.write().unwrap();
    recover(&machine, &mut run);
    let loaded = &restarted(&machine.power_cut(1)).0.load(QUEUE, 1_000)[0];
    assert_eq!((loaded.attempts, loaded.due), (attempts, 9));
}

#[test]
fn a_message_that_some_queues_are_done_with_is_kept_for_the_others() {
    let (machine, mut run) = begin();
    let message = message(100);
    machine.disk.fail_at(2, ErrorKind::StorageFull);
    run.append(vec![settle(&message, 0, QUEUES[1]), publish(&message, 0, &QUEUES[..3])], false);
    run.write().unwrap();
    run.append_one(settle(&message, 0, QUEUES[2]));
    recover(&machine, &mut run);
    let (run, _) = restarted(&machine.power_cut(1));
    assert_eq!(QUEUES.map(|queue| run.load(queue, 1_000).len()), [1, 0, 0, 0]);
}

#[test]
fn the_alarm_is_on_until_everything_is_written() {
    let (machine, mut run) = begin();
    run.parts.keeper.watch_disk();
    machine.disk.fail_at(1, ErrorKind::QuotaExceeded);
    run.append_one(publish(&message(100), 0, &[QUEUE]));
    run.write().unwrap();
    run.parts.keeper.watch_disk();
    assert!(*run.parts.disk_low.borrow());
    recover(&machine, &mut run);
    run.parts.keeper.watch_disk();
    assert!(!*run.parts.disk_low.borrow());
}

#[test]
fn a_stop_without_room_ends_and_loses_nothing_that_was_confirmed() {
    for n in 1..4 {
        let (machine, mut run) = begin();
        publish_some(&mut run, 3, 100);
        machine.disk.fail_from(n, ErrorKind::StorageFull);
        run.append_one(publish(&message(100), 3, &[QUEUE]));
        run.close().unwrap();
        let there = positions(&restarted(&machine.kill()).0.load(QUEUE, 1_000));
        assert!(there.starts_with(&[0, 1, 2]), "operation {n}: {there:?}");
    }
}

#[test]
fn what_is_held_back_keeps_nobody_from_making_room() {
    let (machine, mut run) = begin();
    let messages = publish_some(&mut run, 5, 1_000);
    machine.disk.set_capacity(0);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let large = (5..45).map(|position| publish(&message(1_000_000), position, &[QUEUE]));
    run.append(large.collect(), false);
    assert!(run.parts.pending.poll_room(&mut cx).is_pending());
    run.write().unwrap();
    assert!(run.parts.writer.is_held_up());
    // Those who bring more are held up by the alarm; who drops messages is not.
    assert!(run.parts.pending.poll_room(&mut cx).is_ready());
    let dropped = run.append_one(settle(&messages[0], 0, QUEUE));
    run.write().unwrap();
    assert!(run.is_done(dropped) && after_power_cut(&machine) == [1, 2, 3, 4]);
}
