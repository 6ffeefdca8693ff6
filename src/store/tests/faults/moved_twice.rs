//! A message that goes from queue to queue faster than it is written: at no moment is it nowhere.

use super::*;

/// The queues that have the message.
fn places(machine: &Machine) -> Vec<QueueId> {
    let (run, _) = restarted(machine);
    QUEUES.into_iter().filter(|queue| !run.load(*queue, 1_000).is_empty()).collect()
}

#[test]
fn a_message_that_moves_twice_in_a_batch_is_in_one_place_whenever_power_goes() {
    let moves = [(QUEUES[0], QUEUES[1]), (QUEUES[1], QUEUES[2]), (QUEUES[2], QUEUES[3])];
    for seed in 0..60 {
        for n in 3..20 {
            let (machine, mut run) = begin();
            machine.disk.crash_at(n);
            let mut current = message(100);
            run.append_one(publish(&current, 1, &[QUEUE]));
            let confirmed = run.write().is_ok();
            for (from, to) in moves {
                let next = message(SEGMENT_BYTES as usize / 2);
                run.append(vec![publish(&next, 1, &[to]), settle(&current, 1, from)], true);
                current = next;
            }
            // The power may be gone by now.
            let _ = run.write();
            let found = places(&machine.power_cut(seed));
            assert!(found.len() <= 1, "power cut {seed} at operation {n}: in {found:?}");
            assert!(!confirmed || found.len() == 1, "power cut {seed} at operation {n}: nowhere");
        }
    }
}

#[test]
fn a_message_that_is_moved_before_its_own_move_was_appended_is_in_one_place() {
    let (machine, mut run) = begin();
    let [first, second, third] = [100, 200, 300].map(message);
    run.append_one(publish(&first, 1, &[QUEUE]));
    run.write().unwrap();
    // Two sessions: the one that took it out of queue 2 is faster than the one that brought it there.
    run.append(vec![publish(&third, 1, &[QUEUES[2]]), settle(&second, 1, QUEUES[1])], true);
    run.append(vec![publish(&second, 1, &[QUEUES[1]]), settle(&first, 1, QUEUE)], true);
    run.write().unwrap();
    assert_eq!(places(&machine.kill()), [QUEUES[2]]);
}
