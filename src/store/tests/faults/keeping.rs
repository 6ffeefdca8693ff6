//! What the keeper says when it cannot do its work.

use super::*;
use crate::store::tests::{
    logged::{count, logged},
    machine::Keep,
};

type Act = fn(&Machine);

#[test]
fn checkpoints_that_fail_are_told_once_when_it_begins_and_once_when_it_is_over() {
    let causes: [(Act, Act); 2] = [
        (
            |machine| machine.kv.store.lock().set_failing(true),
            |machine| {
                machine.kv.store.lock().set_failing(false);
            },
        ),
        // The definitions file does not fit.
        (|machine| machine.disk.set_capacity(0), |machine| machine.disk.heal()),
    ];
    for (begin_to_fail, end) in causes {
        let (machine, mut run) = begin();
        run.keep_all();
        for round in 0..2 {
            run.append_one(declare(QueueId(10 + round)));
            run.write().unwrap();
            begin_to_fail(&machine);
            let lines = logged(|| (0..3).for_each(|_| run.keep(Keep::Checkpoint)));
            assert_eq!(count(&lines, &["ERROR", "no checkpoint"]), 1, "{lines:#?}");
            assert_eq!(lines.len(), 1, "{lines:#?}");
            end(&machine);
            let lines = logged(|| (0..3).for_each(|_| run.keep(Keep::Checkpoint)));
            assert_eq!(count(&lines, &["INFO", "checkpoints are made again"]), 1, "{lines:#?}");
            assert_eq!(lines.len(), 1, "{lines:#?}");
        }
    }
}

/// Where its messages are, a segment keeps in memory until it is sealed.
#[test]
fn a_segment_takes_a_bounded_number_of_placements_and_more_when_the_disk_is_full() {
    let machine = Machine::new(1 << 20);
    let (mut run, _, _) = machine.start().unwrap();
    run.append_one(declare(QUEUE));
    let publish_to = |run: &mut Running, from: u64, to: u64| {
        let commit = run.append((from..to).map(|at| publish(&message(10), at, &[QUEUE])).collect(), false);
        run.write().unwrap();
        commit
    };
    publish_to(&mut run, 0, 640);
    let after_ten = machine.segments().len();
    assert!((10..=12).contains(&after_ten), "64 in each, and one to come: {after_ten}");
    machine.disk.set_capacity(0);
    let mut commit = Commit::default();
    (0..100).for_each(|n| commit = publish_to(&mut run, 640 + n * 5, 645 + n * 5));
    assert!(run.is_done(commit) && !run.parts.writer.is_held_up(), "the segment still has room");
    assert!(machine.segments().len() <= after_ten + 1);
    assert_eq!(after_power_cut(&machine), (0..1_140).collect::<Vec<_>>());
}
