//! A log of many segments, of which few are open at once.

use std::{thread, time::Duration};

use rustix::io::Errno;

use super::*;
use crate::store::tests::machine::HANDLES_MAX;

/// Besides those that are read: the segment that is written to, and the next one.
const WRITTEN: usize = 2;

/// A segment for each message, all of them sealed but the last.
fn many_segments(count: u64) -> (Machine, Running, Vec<Message>) {
    let (machine, mut run) = begin();
    let messages = publish_some(&mut run, count, 3_900);
    run.keep_all();
    assert!(machine.segments().len() as u64 >= count);
    (machine, run, messages)
}

#[test]
fn hundreds_of_segments_are_read_back_with_two_handles() {
    let (machine, run, _) = many_segments(400);
    assert!(machine.disk.open_files() <= HANDLES_MAX + WRITTEN, "{} are open", machine.disk.open_files());
    assert_eq!(positions(&run.load(QUEUE, 20_000)), (0..400).collect::<Vec<_>>());
    assert!(machine.disk.open_files() <= HANDLES_MAX + WRITTEN, "{} are open", machine.disk.open_files());
    let machine = machine.power_cut(1);
    let (run, _) = restarted(&machine);
    assert_eq!(positions(&run.load(QUEUE, 20_000)), (0..400).collect::<Vec<_>>());
    assert!(machine.disk.open_files() <= HANDLES_MAX + WRITTEN, "{} are open", machine.disk.open_files());
}

#[test]
fn a_segment_that_is_deleted_while_it_is_read_is_read_to_its_end() {
    let (machine, mut run, messages) = many_segments(20);
    let segment = run.parts.keeper.catalog.lock().segments[&SegmentId(3)].segment.clone();
    let slots = segment.footer().unwrap().unwrap().slots;
    for (position, message) in (0..).zip(&messages) {
        run.append_one(settle(message, position, QUEUE));
    }
    run.write().unwrap();
    run.keep_all();
    assert!(!machine.segments().contains(&SegmentId(3)));
    let read = segment.read_publishes(&slots);
    assert!(!read.is_empty() && read.iter().all(Result::is_ok), "{read:?}");
    drop(segment);
    assert!(machine.disk.open_files() <= HANDLES_MAX + WRITTEN, "{} are open", machine.disk.open_files());
}

#[test]
fn a_reader_waits_for_a_descriptor_and_misses_nothing() {
    for errno in [Errno::MFILE, Errno::NFILE] {
        let (machine, run, _) = many_segments(20);
        machine.disk.deny_files(Some(errno));
        let disk = machine.disk.clone();
        let healer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            disk.deny_files(None);
        });
        assert_eq!(positions(&run.load(QUEUE, 20_000)), (0..20).collect::<Vec<_>>());
        healer.join().unwrap();
        assert!(run.parts.failure.reason().is_none());
        assert!(machine.folders().quarantine.list().unwrap().is_empty());
    }
}

#[test]
fn without_descriptors_sealing_and_reclaiming_come_later() {
    let (machine, mut run) = begin();
    let messages = publish_some(&mut run, 100, 1_000);
    for (position, message) in (0..).zip(&messages).filter(|(position, _)| position % 10 > 0) {
        run.append_one(settle(message, position, QUEUE));
    }
    run.write().unwrap();
    machine.disk.deny_files(Some(Errno::MFILE));
    run.keep_all();
    run.keep_all();
    assert!(run.parts.failure.reason().is_none());
    machine.disk.deny_files(None);
    let many = machine.segments().len();
    for _ in 0..10 {
        run.keep_all();
        run.write().unwrap();
    }
    assert!(machine.segments().len() < many);
    assert_eq!(after_power_cut(&machine), (0..100).step_by(10).collect::<Vec<_>>());
}
