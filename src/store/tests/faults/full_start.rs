//! A start on a full disk, in the room that was kept for it.

use rustix::io::Errno;

use super::*;
use crate::{
    limits::DISK_RESERVE_BYTES,
    store::tests::logged::{count, logged},
};

/// Larger than the reserve, as it is in life.
const WHOLE_BYTES: u32 = 6 * 1024 * 1024;

/// What a broker leaves that had a reserve, on a disk that has been full since then.
fn full_disk(with_reserve: bool) -> (Machine, Vec<Message>) {
    let machine = Machine::new(WHOLE_BYTES);
    let (mut run, _, _) = machine.start().unwrap();
    if with_reserve {
        run.parts.keeper.watch_disk();
    }
    run.append_one(declare(QUEUE));
    let messages = publish_some(&mut run, 10, 1_000);
    run.close().unwrap();
    let machine = machine.kill();
    machine.disk.fill();
    (machine, messages)
}

fn reserve(machine: &Machine) -> Option<u64> {
    machine.folders().root.open("reserve").ok().map(|file| file.len().unwrap())
}

#[test]
fn a_start_on_a_full_disk_begins_with_a_small_segment_in_place_of_the_reserve() {
    let (machine, _) = full_disk(true);
    assert_eq!(reserve(&machine), Some(DISK_RESERVE_BYTES));
    let mut started = None;
    let lines = logged(|| started = Some(machine.start().unwrap()));
    let (mut run, _, _) = started.unwrap();
    assert_eq!(count(&lines, &["WARN", "the disk is full"]), 1, "{lines:#?}");
    assert_eq!(reserve(&machine), None);
    let segment = *machine.segments().last().unwrap();
    let bytes = Segment::open(&*machine.folders().log, segment).unwrap().len_bytes().unwrap();
    assert_eq!(bytes, DISK_RESERVE_BYTES / 4);
    // Messages leave and come, and are safe, until it is full too.
    run.append_one(Change::SettleRange { queue: QUEUE, first: 0, last: 3 });
    let commit = run.append_one(publish(&message(1_000), 10, &[QUEUE]));
    run.write().unwrap();
    assert!(run.is_done(commit));
    assert_eq!(after_power_cut(&machine), (4..11).collect::<Vec<_>>());
    let large = run.append_one(publish(&message(DISK_RESERVE_BYTES as usize), 11, &[QUEUE]));
    run.write().unwrap();
    assert!(!run.is_done(large) && run.parts.writer.is_held_up());
    // With room again the log goes on in segments of the usual size.
    machine.disk.heal();
    run.write().unwrap();
    assert!(run.is_done(large));
    let segment = *machine.segments().last().unwrap();
    let bytes = Segment::open(&*machine.folders().log, segment).unwrap().len_bytes().unwrap();
    assert_eq!(bytes, u64::from(WHOLE_BYTES));
    assert_eq!(after_power_cut(&machine), (4..12).collect::<Vec<_>>());
}

#[test]
fn a_start_on_a_full_disk_without_a_reserve_is_refused_and_loses_nothing() {
    let (machine, _) = full_disk(false);
    let refused = machine.start().map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("no storage space"), "{refused}");
    machine.disk.heal();
    assert_eq!(after_power_cut(&machine), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_small_segment_is_never_larger_than_a_usual_one() {
    let (machine, mut run) = begin();
    run.parts.keeper.watch_disk();
    run.close().unwrap();
    machine.disk.fill();
    let (_run, _, _) = machine.start().unwrap();
    let segment = *machine.segments().last().unwrap();
    let bytes = Segment::open(&*machine.folders().log, segment).unwrap().len_bytes().unwrap();
    assert_eq!(bytes, u64::from(SEGMENT_BYTES));
}

#[test]
fn the_reserve_is_set_free_when_the_disk_is_full_and_made_again_when_it_is_not() {
    let (machine, mut run) = begin();
    run.parts.keeper.watch_disk();
    assert_eq!(reserve(&machine), Some(DISK_RESERVE_BYTES));
    machine.disk.set_capacity(0);
    publish_some(&mut run, 20, 1_000);
    assert!(run.parts.writer.is_held_up());
    run.parts.keeper.watch_disk();
    assert_eq!(reserve(&machine), None);
    machine.disk.heal();
    run.write().unwrap();
    run.parts.keeper.watch_disk();
    assert_eq!(reserve(&machine), Some(DISK_RESERVE_BYTES));
}

#[test]
fn a_reserve_that_a_crash_left_short_is_made_whole() {
    for left in [0, 1_000, DISK_RESERVE_BYTES] {
        let (machine, mut run) = begin();
        machine.folders().root.create("reserve", left).unwrap();
        run.parts.keeper.watch_disk();
        assert_eq!(reserve(&machine), Some(DISK_RESERVE_BYTES), "{left} bytes");
        assert!(run.parts.keeper.has_reserve);
    }
}

#[test]
fn segments_leave_what_the_reserve_left_to_checkpoints_and_to_the_next_start() {
    let (machine, mut run) = begin();
    run.parts.keeper.watch_disk();
    machine.disk.fill();
    // Held up once before the reserve is free, and for good afterwards.
    for position in 0..2_000 {
        run.append_one(publish(&message(SEGMENT_BYTES as usize / 2), position, &[QUEUE]));
        run.write().unwrap();
        run.parts.keeper.watch_disk();
    }
    assert!(run.parts.writer.is_held_up());
    let free = machine.folders().log.free_bytes().unwrap();
    assert!(free >= DISK_RESERVE_BYTES / 2, "{free} bytes");
    // Nor does one killed start after the other take it.
    for _ in 0..10 {
        drop(machine.start().unwrap());
    }
    let left = machine.folders().log.free_bytes().unwrap();
    assert!(left > DISK_RESERVE_BYTES / 4, "{left} bytes");
}

#[test]
fn too_many_open_files_pass_like_a_full_disk() {
    for errno in [Errno::MFILE, Errno::NFILE] {
        let (machine, mut run) = begin();
        machine.disk.deny_files(Some(errno));
        let mut last = Commit::default();
        for position in 0..20 {
            last = run.append_one(publish(&message(1_000), position, &[QUEUE]));
            run.write().unwrap();
        }
        assert!(run.parts.writer.is_held_up() && !run.is_done(last));
        machine.disk.deny_files(None);
        run.write().unwrap();
        assert!(run.is_done(last));
        assert_eq!(after_power_cut(&machine), (0..20).collect::<Vec<_>>());
    }
}
