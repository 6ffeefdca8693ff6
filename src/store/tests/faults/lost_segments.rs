//! Files of the log that are lost as a whole: each costs what was in it, and the broker starts.

use super::*;
use crate::store::{
    RecoveryError, Restored,
    tests::logged::{count, logged},
};

/// Sealed and behind the last checkpoint.
const LOST: SegmentId = SegmentId(3);

/// A log of several sealed segments with messages 0 to 39, a checkpoint, and what was in [`LOST`].
fn with_checkpoint() -> (Machine, Vec<u64>) {
    let (machine, mut run) = begin();
    publish_some(&mut run, 40, 1_000);
    run.keep_all();
    let lost = positions_in(&machine, LOST);
    assert!(lost.len() > 3 && lost.len() < 20, "{lost:?}");
    (machine.kill(), lost)
}

fn positions_in(machine: &Machine, segment: SegmentId) -> Vec<u64> {
    let segment = Segment::open(&*machine.folders().log, segment).unwrap();
    segment.footer().unwrap().unwrap().slots.iter().map(|slot| slot.placement.position).collect()
}

/// Two bits of the header are wrong: it is none any more.
fn lose_header(machine: &Machine, segment: SegmentId) {
    for offset in [0, 9] {
        machine.disk.corrupt(&format!("{LOG}{}", segment.file_name()), offset);
    }
}

fn remove(machine: &Machine, segment: SegmentId) {
    machine.folders().log.remove(&segment.file_name()).unwrap();
}

fn all_but(lost: &[u64]) -> Vec<u64> {
    (0..40).filter(|position| !lost.contains(position)).collect()
}

type Started = (Running, Restored, Report);

fn started(machine: &Machine) -> (Vec<String>, Started) {
    let mut started = None;
    let lines = logged(|| started = Some(machine.start().unwrap()));
    (lines, started.unwrap())
}

fn messages_in(restored: &Restored) -> u32 {
    restored.contents[&QUEUE].ranges.iter().map(|range| range.count).sum()
}

#[test]
fn a_segment_whose_header_is_lost_is_set_aside_whole() {
    let (machine, lost) = with_checkpoint();
    lose_header(&machine, LOST);
    let bytes = machine.folders().log.read(&LOST.file_name()).unwrap();
    let (lines, (run, restored, report)) = started(&machine);
    let aside = format!("{}.damaged", LOST.file_name());
    assert_eq!(machine.folders().quarantine.list().unwrap(), [&*aside]);
    assert_eq!(machine.folders().quarantine.read(&aside).unwrap(), bytes);
    assert!(!machine.segments().contains(&LOST));
    assert_eq!(count(&lines, &["ERROR", "set aside whole", &LOST.file_name()]), 1, "{lines:#?}");
    assert_eq!(positions(&run.load(QUEUE, 1_000)), all_but(&lost));
    assert_eq!(messages_in(&restored), 40 - lost.len() as u32);
    assert!(!report.state_lost);
}

#[test]
fn a_segment_that_cannot_be_set_aside_stays_where_it_is() {
    let (machine, _) = with_checkpoint();
    lose_header(&machine, LOST);
    let bytes = machine.folders().log.read(&LOST.file_name()).unwrap();
    machine.disk.fill();
    assert!(matches!(machine.start(), Err(RecoveryError::Io { .. })));
    assert_eq!(machine.folders().log.read(&LOST.file_name()).unwrap(), bytes);
}

#[test]
fn a_segment_that_was_taken_away_is_noticed_and_costs_only_its_messages() {
    let (machine, lost) = with_checkpoint();
    remove(&machine, LOST);
    let (lines, (mut run, restored, report)) = started(&machine);
    let told = format!("messages={}", lost.len());
    assert_eq!(count(&lines, &["ERROR", "is missing", &LOST.to_string(), &told]), 1, "{lines:#?}");
    assert_eq!(messages_in(&restored), 40 - lost.len() as u32);
    assert_eq!(positions(&run.load(QUEUE, 1_000)), all_but(&lost));
    assert!(!report.state_lost);
    // It is told once: from then on nobody looks for them.
    publish_more(&mut run, 40..41);
    run.keep_all();
    let (lines, (run, _, _)) = started(&machine.power_cut(1));
    assert_eq!(count(&lines, &["is missing"]), 0, "{lines:#?}");
    assert_eq!(run.load(QUEUE, 1_000).len(), 41 - lost.len());
}

#[test]
fn without_a_segment_behind_the_checkpoint_everything_else_comes_again_from_the_log() {
    for lose in [remove, lose_header] {
        let (machine, mut run) = begin();
        run.keep_all();
        publish_some(&mut run, 40, 1_000);
        let sealed = machine.kill();
        sealed.start().unwrap();
        let lost = positions_in(&sealed, LOST);
        let machine = machine.kill();
        lose(&machine, LOST);
        let (run, restored, report) = machine.start().unwrap();
        assert!(report.state_lost, "nothing says what was settled in it");
        let there = run.load(QUEUE, 1_000);
        assert_eq!(positions(&there), all_but(&lost));
        assert!(there.iter().all(|loaded| loaded.redelivered));
        assert!(restored.contents[&QUEUE].next_position > 40, "a position might be used again");
    }
}
