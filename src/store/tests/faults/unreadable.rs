//! What the disk cannot read just now is left out and said; nothing of it is given up, and the next start has it.

use std::ops::Range;

use super::*;
use crate::store::{
    files::Files,
    format::Publish,
    tests::{
        logged::{count, logged},
        machine::Keep,
    },
};

/// Where the message at a position of [`QUEUE`] stands.
fn record_of(machine: &Machine, position: u64) -> (SegmentId, Range<u64>) {
    for id in machine.segments() {
        let segment = Segment::open(&*machine.folders().log, id).unwrap();
        let mut scan = segment.scan(FIRST_RECORD_OFFSET).unwrap();
        while let Some(scanned) = scan.advance().unwrap() {
            let Scanned::Record { offset, kind: Kind::Publish, payload, .. } = scanned else { continue };
            let publish = Publish::decode(payload).unwrap();
            if publish.placements().any(|placement| placement == at(QUEUE, position)) {
                return (id, offset.into()..u64::from(offset) + payload.len() as u64);
            }
        }
    }
    panic!("no record of {position}")
}

fn file_of(segment: SegmentId) -> String {
    format!("{LOG}{}", segment.file_name())
}

/// Whole files, or from a footer on to the end.
const ALL: Range<u64> = 0..u64::MAX;

#[test]
fn a_message_that_cannot_be_read_is_left_out_and_there_at_the_next_start() {
    for sealed in [false, true] {
        let (machine, mut run) = begin();
        publish_some(&mut run, 30, 1_000);
        if sealed {
            run.keep_all();
        }
        let (segment, bytes) = record_of(&machine, 9);
        machine.disk.fail_reads(&file_of(segment), bytes);
        let others: Vec<u64> = (0..30).filter(|position| *position != 9).collect();
        let lines = logged(|| assert_eq!(positions(&run.load(QUEUE, 100_000)), others));
        assert_eq!(count(&lines, &["ERROR", "cannot be read now", "position=9"]), 1, "{lines:#?}");
        run.write().unwrap();
        run.keep_all();
        assert_eq!(after_power_cut(&machine), (0..30).collect::<Vec<_>>());
        assert!(machine.folders().quarantine.list().unwrap().is_empty(), "nothing says that it is damaged");
    }
}

#[test]
fn a_footer_that_cannot_be_read_costs_its_segments_messages_until_the_next_start() {
    let (machine, mut run) = begin();
    publish_some(&mut run, 30, 1_000);
    run.keep_all();
    let (segment, _) = record_of(&machine, 9);
    let file = Segment::open(&*machine.folders().log, segment).unwrap();
    let footer = file.footer().unwrap().unwrap();
    let inside: Vec<u64> = footer.slots.iter().map(|slot| slot.placement.position).collect();
    machine.disk.fail_reads(&file_of(segment), footer.end.into()..u64::MAX);
    let others: Vec<u64> = (0..30).filter(|position| !inside.contains(position)).collect();
    assert!(inside.contains(&9) && others.len() > 15);
    let lines = logged(|| assert_eq!(positions(&run.load(QUEUE, 100_000)), others));
    assert!(count(&lines, &["ERROR", "messages cannot be read now"]) > 0, "{lines:#?}");
    run.write().unwrap();
    run.keep_all();
    assert_eq!(after_power_cut(&machine), (0..30).collect::<Vec<_>>());
}

#[test]
fn a_sparse_segment_that_cannot_be_read_is_not_reclaimed_and_keeps_its_messages() {
    let (machine, mut run) = begin();
    let messages = publish_some(&mut run, 100, 1_000);
    for (position, message) in (0..).zip(&messages).filter(|(position, _)| position % 10 > 0) {
        run.append_one(settle(message, position, QUEUE));
    }
    run.write().unwrap();
    run.keep(Keep::Seal);
    run.keep(Keep::Checkpoint);
    let (segment, record) = record_of(&machine, 50);
    machine.disk.fail_reads(&file_of(segment), record);
    let many = machine.segments().len();
    let lines = logged(|| {
        for _ in 0..30 {
            run.keep_all();
            run.write().unwrap();
        }
    });
    assert_eq!(count(&lines, &["ERROR", "a sparse segment cannot be read", &segment.to_string()]), 1);
    assert!(machine.segments().len() < many / 2 && machine.segments().contains(&segment));
    assert_eq!(after_power_cut(&machine), (0..10).map(|tens| tens * 10).collect::<Vec<_>>());
}

/// No start takes what it cannot read for what is not there.
#[test]
fn a_start_that_cannot_read_a_file_gives_nothing_up() {
    let (machine, mut run) = begin();
    publish_some(&mut run, 20, 1_000);
    run.keep_all();
    publish_more(&mut run, 20..40);
    let files: Vec<String> = machine.disk.list().unwrap();
    assert!(files.len() > 6, "{files:?}");
    let mut refused = 0;
    for file in files {
        let machine = machine.kill();
        machine.disk.fail_reads(&file, ALL);
        refused += u64::from(machine.start().is_err());
        machine.disk.heal();
        let (run, restored, report) = machine.start().unwrap();
        assert_eq!(positions(&run.load(QUEUE, 1_000)), (0..40).collect::<Vec<_>>(), "{file}");
        assert_eq!(restored.contents.len(), QUEUES.len(), "{file}");
        assert!(!report.state_lost && report.damaged == 0, "{file}: {report:?}");
    }
    assert!(refused > 0);
}

#[test]
fn a_slot_that_rotted_in_a_footer_costs_no_message_that_is_searched_for() {
    let (machine, mut run) = begin();
    publish_some(&mut run, 30, 1_000);
    run.keep_all();
    let (segment, _) = record_of(&machine, 3);
    let footer = Segment::open(&*machine.folders().log, segment).unwrap().footer().unwrap().unwrap();
    let index = footer.slots.iter().position(|slot| slot.placement == at(QUEUE, 3)).unwrap();
    // Behind the record's header, the two counts, the slots before it, and its placement stands its offset.
    machine.disk.corrupt(&file_of(segment), u64::from(footer.end) + 12 + 8 + 24 * index as u64 + 16);
    assert_eq!(positions(&run.load_between(QUEUE, 3, 3, 1_000)), [3]);
    assert!(machine.folders().quarantine.list().unwrap().is_empty(), "the record is sound");
}
