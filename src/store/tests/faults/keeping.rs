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
