//! What the store does when the disk fails, fills up or rots, one thing at a time.

mod access;
mod aside;
mod closing;
mod full_start;
mod handles;
mod keeping;
mod lost_segments;
mod moved_twice;
mod ran_out;
mod unreadable;

use std::{
    io,
    sync::Arc,
    task::{Context, Poll},
};

use super::machine::{LOG, Machine, Running};
use crate::{
    core::{
        change::{Attempts, Change, TopologyChange},
        commit::Commit,
        confirms::{Outcome, PublishRange},
        message::{Message, Stage, View, build_image},
        outbox::Outbox,
        pager::Loaded,
        placement::{Placement, QueueId},
    },
    protocol::{FieldTable, ShortString},
    store::{
        SegmentId,
        files::sim::Operation,
        format::Kind,
        log,
        replay::Report,
        segment::{FIRST_RECORD_OFFSET, Segment, scan::Scanned},
    },
};

const QUEUE: QueueId = QueueId(1);
const QUEUES: [QueueId; 4] = [QueueId(1), QueueId(2), QueueId(3), QueueId(4)];
/// Small enough to fill quickly.
const SEGMENT_BYTES: u32 = 8 * 1024;

fn topology(change: TopologyChange) -> Change {
    Change::Topology { vhost: ShortString::from_static("/"), change }
}

fn queue_name(id: QueueId) -> ShortString {
    ShortString::try_from(format!("q{}", id.0).as_bytes()).unwrap()
}

fn declare(id: QueueId) -> Change {
    let (name, arguments) = (queue_name(id), FieldTable::new());
    topology(TopologyChange::QueueDeclared { id, name, auto_delete: false, arguments })
}

fn delete(id: QueueId) -> Change {
    topology(TopologyChange::QueueDeleted { id, name: queue_name(id) })
}

fn message(size: usize) -> Message {
    let (layout, image) = build_image(b"", b"q1", &[0, 0], &[&vec![7; size]], true);
    Message::uncounted(View::new(layout, &image), 1)
}

fn at(queue: QueueId, position: u64) -> Placement {
    Placement { queue, position }
}

fn publish(message: &Message, position: u64, queues: &[QueueId]) -> Change {
    let placements = queues.iter().map(|queue| at(*queue, position)).collect();
    Change::Publish { message: message.clone(), placements, transient: false }
}

fn settle(message: &Message, position: u64, queue: QueueId) -> Change {
    Change::Settle { placement: at(queue, position), message: Some(message.clone()) }
}

fn begin() -> (Machine, Running) {
    let machine = Machine::new(SEGMENT_BYTES);
    let (mut run, _, _) = machine.start().unwrap();
    run.append(QUEUES.map(declare).into(), false);
    run.write().unwrap();
    (machine, run)
}

fn publish_some(run: &mut Running, count: u64, size: usize) -> Vec<Message> {
    let messages: Vec<Message> = (0..count).map(|_| message(size)).collect();
    for (position, message) in (0..).zip(&messages) {
        run.append_one(publish(message, position, &[QUEUE]));
        run.write().unwrap();
    }
    messages
}

fn positions(loaded: &[Loaded]) -> Vec<u64> {
    loaded.iter().map(|loaded| loaded.position).collect()
}

fn restarted(machine: &Machine) -> (Running, Report) {
    let (run, _, report) = machine.start().unwrap();
    (run, report)
}

/// What queue 1 has after a power cut.
fn after_power_cut(machine: &Machine) -> Vec<u64> {
    positions(&restarted(&machine.power_cut(1)).0.load(QUEUE, 1_000))
}

#[test]
fn no_commit_completes_after_a_write_or_sync_that_failed() {
    let mut any_failed = false;
    for n in 1..40 {
        let (machine, mut run) = begin();
        machine.disk.fail_at(n, io::ErrorKind::Other);
        for position in 0..30 {
            let commit = run.append_one(publish(&message(500), position, &[QUEUE]));
            if run.write().is_err() {
                any_failed = true;
                assert!(!run.is_done(commit), "operation {n}");
                break;
            }
            assert!(run.is_done(commit), "operation {n}");
        }
        let confirmed = run.done().0 - 1;
        let there = after_power_cut(&machine);
        assert!((0..confirmed).all(|position| there.contains(&position)), "operation {n}: {there:?}");
    }
    assert!(any_failed);
}

#[test]
fn a_writer_that_failed_takes_nothing_more() {
    let (machine, run) = begin();
    machine.disk.fail_at(2, io::ErrorKind::Other);
    let pending = run.parts.pending.clone();
    let first = run.append_one(publish(&message(10), 0, &[QUEUE]));
    let failure = run.parts.failure.clone();
    let thread = std::thread::spawn(log::work(run.parts.writer, pending.clone(), failure.clone()));
    thread.join().unwrap();
    assert!(failure.reason().unwrap().starts_with("cannot write the log"));
    let second = pending.append(&mut vec![publish(&message(10), 1, &[QUEUE])], false);
    assert!(!pending.is_done(first) && !pending.is_done(second));
    assert!(!after_power_cut(&machine).contains(&1));
}

#[test]
fn the_sync_stands_between_the_write_of_a_message_and_its_confirm() {
    let (machine, mut run) = begin();
    let outbox = Arc::new(parking_lot::Mutex::new(Outbox::new(4_096, true)));
    outbox.lock().open_window(1);
    let sent = || {
        let mut bytes = Vec::new();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let taken = outbox.lock().poll_take(&mut bytes, &mut cx);
        taken == Poll::Ready(true)
    };
    let before = machine.disk.journal().len();
    let commit = run.append_one(publish(&message(10), 0, &[QUEUE]));
    let published = PublishRange { first: 1, last: 1, outcome: Outcome::Journaled };
    assert!(!outbox.lock().confirm(1, [published], commit).is_empty());
    run.parts.pending.notify(commit, outbox.clone());
    assert!(!sent());
    // The sync fails: nothing is confirmed. This is on a copy of what has happened so far.
    machine.disk.fail_at(2, io::ErrorKind::Other);
    assert!(run.write().is_err());
    assert!(matches!(machine.disk.journal()[before..], [Operation::Write { .. }]));
    assert!(!sent(), "confirmed without a sync");

    let (machine, mut run) = begin();
    let before = machine.disk.journal().len();
    let commit = run.append_one(publish(&message(10), 0, &[QUEUE]));
    run.parts.pending.notify(commit, outbox.clone());
    run.write().unwrap();
    assert!(matches!(machine.disk.journal()[before..], [Operation::Write { .. }, Operation::Sync { .. }]));
    assert!(sent());
}

#[test]
fn a_killed_process_leaves_everything_that_was_written() {
    let (machine, mut run) = begin();
    machine.disk.fail_at(2, io::ErrorKind::Other);
    run.append_one(publish(&message(10), 0, &[QUEUE]));
    assert!(run.write().is_err());
    let (run, report) = restarted(&machine.kill());
    assert_eq!(positions(&run.load(QUEUE, 1_000)), [0]);
    assert!(!report.clean);
}

#[test]
fn a_full_disk_holds_back_what_brings_bytes_and_nothing_else() {
    let (machine, mut run) = begin();
    let messages = publish_some(&mut run, 5, 1_000);
    machine.disk.set_capacity(0);
    run.keep_all();
    let held: Vec<Commit> = (5..15)
        .map(|position| {
            let commit = run.append_one(publish(&message(1_000), position, &[QUEUE]));
            run.write().unwrap();
            commit
        })
        .collect();
    assert!(run.parts.writer.is_held_up());
    let stuck: Vec<Commit> = held.iter().copied().filter(|commit| !run.is_done(*commit)).collect();
    assert!(stuck.len() > 5);
    // It goes on into the reserve, and who waits for it hears of it.
    let settled = run.append_one(settle(&messages[0], 0, QUEUE));
    run.write().unwrap();
    assert!(run.is_done(settled) && !after_power_cut(&machine).contains(&0));
    run.parts.writer.retry().unwrap();
    assert!(run.is_done(settled) && stuck.iter().all(|commit| !run.is_done(*commit)));
    machine.disk.heal();
    run.write().unwrap();
    assert!(!run.parts.writer.is_held_up());
    assert!(stuck.iter().all(|commit| run.is_done(*commit)) && run.is_done(settled));
    assert_eq!(after_power_cut(&machine), (1..15).collect::<Vec<_>>());
}

#[test]
fn a_message_larger_than_a_segment_is_held_back_when_there_is_no_room_for_it() {
    let (machine, mut run) = begin();
    machine.disk.set_capacity(u64::from(2 * SEGMENT_BYTES));
    let commit = run.append_one(publish(&message(5 * SEGMENT_BYTES as usize), 0, &[QUEUE]));
    run.write().unwrap();
    assert!(run.parts.writer.is_held_up() && !run.is_done(commit));
    machine.disk.heal();
    run.write().unwrap();
    assert!(run.is_done(commit));
    assert_eq!(after_power_cut(&machine), [0]);
}

#[test]
fn a_message_that_is_settled_while_the_disk_is_full_stays_settled() {
    for (size, atomic) in [(1_000, false), (5 * SEGMENT_BYTES as usize, false), (1_000, true)] {
        let (machine, mut run) = begin();
        publish_some(&mut run, 6, 1_000);
        machine.disk.set_capacity(0);
        let (one, other) = (message(size), message(3_000));
        let changes = vec![publish(&one, 6, &[QUEUE]), publish(&other, 7, &[QUEUE])];
        run.append(changes, atomic);
        run.append_one(settle(&one, 6, QUEUE));
        run.write().unwrap();
        run.write().unwrap();
        assert!(run.parts.writer.is_held_up());
        machine.disk.heal();
        run.write().unwrap();
        assert_eq!(after_power_cut(&machine), [0, 1, 2, 3, 4, 5, 7]);
        assert_eq!(positions(&run.load(QUEUE, 10)), [0, 1, 2, 3, 4, 5, 7]);
    }
}

#[test]
fn a_message_that_comes_back_while_the_disk_is_full_keeps_its_count() {
    let (machine, mut run) = begin();
    publish_some(&mut run, 6, 1_000);
    machine.disk.set_capacity(0);
    let message = message(3_000);
    run.append_one(publish(&message, 6, &[QUEUE]));
    run.write().unwrap();
    let attempts = Attempts { returned: 1, failed: 0 };
    run.append_one(Change::Return {
        placement: at(QUEUE, 6),
        attempts,
        due: 9,
        message: Some(message.clone()),
    });
    run.write().unwrap();
    run.write().unwrap();
    machine.disk.heal();
    run.write().unwrap();
    let loaded = &run.load(QUEUE, 100_000)[6];
    assert_eq!((loaded.attempts, loaded.due), (attempts, 9));
}

#[test]
fn a_settlement_in_a_transaction_that_is_held_back_counts_once() {
    let (machine, mut run) = begin();
    publish_some(&mut run, 6, 1_000);
    machine.disk.set_capacity(0);
    let (message, other) = (message(3_000), message(3_000));
    run.append_one(publish(&message, 6, &QUEUES[..3]));
    run.append(vec![publish(&other, 7, &[QUEUE]), settle(&message, 6, QUEUES[1])], true);
    run.write().unwrap();
    assert!(run.parts.writer.is_held_up());
    run.append_one(settle(&message, 6, QUEUES[2]));
    run.write().unwrap();
    machine.disk.heal();
    run.write().unwrap();
    assert!(after_power_cut(&machine).contains(&6), "a message is lost that one queue still had");
}

#[test]
fn changes_of_topology_keep_their_order_while_the_disk_is_full() {
    let (machine, mut run) = begin();
    publish_some(&mut run, 6, 1_000);
    machine.disk.set_capacity(0);
    run.append_one(publish(&message(3_000), 6, &[QUEUE]));
    run.append(vec![declare(QueueId(9)), delete(QueueId(9))], false);
    run.write().unwrap();
    assert!(run.parts.writer.is_held_up());
    machine.disk.heal();
    run.write().unwrap();
    let (_, restored, _) = machine.power_cut(1).start().unwrap();
    assert!(!restored.contents.contains_key(&QueueId(9)), "a deleted queue is there again");
}

#[test]
fn a_message_that_is_settled_before_it_is_written_is_not_on_disk() {
    let (machine, mut run) = begin();
    let message = message(100);
    let early = run.append_one(settle(&message, 0, QUEUE));
    run.write().unwrap();
    assert!(run.is_done(early));
    let before = machine.disk.operations();
    let commit = run.append_one(publish(&message, 0, &[QUEUE]));
    run.write().unwrap();
    assert!(run.is_done(commit));
    assert_eq!(message.stage(), Stage::Skipped);
    assert_eq!(machine.disk.operations(), before);
}

#[test]
fn a_message_that_one_of_four_queues_is_done_with_is_written_for_the_others() {
    let (machine, mut run) = begin();
    let message = message(100);
    run.append(vec![settle(&message, 0, QUEUES[1]), publish(&message, 0, &QUEUES)], false);
    run.write().unwrap();
    let machine = machine.power_cut(1);
    let (run, _) = restarted(&machine);
    let there = QUEUES.map(|queue| run.load(queue, 1_000).len());
    assert_eq!(there, [1, 0, 1, 1]);
    let segment = Segment::open(&*machine.folders().log, SegmentId(1)).unwrap();
    let footer = segment.footer().unwrap().unwrap();
    assert!(footer.slots.iter().all(|slot| slot.placement.queue != QUEUES[1]));
    let stored = segment.read_publishes(&footer.slots[..1]).remove(0).unwrap();
    assert_eq!(stored.placements.len(), 3);
}

#[test]
fn the_disk_is_given_back_when_everything_is_settled() {
    let (machine, mut run) = begin();
    let messages = publish_some(&mut run, 100, 1_000);
    assert!(machine.segments().len() > 10);
    for (position, message) in (0..).zip(&messages) {
        run.append_one(settle(message, position, QUEUE));
    }
    run.write().unwrap();
    run.keep_all();
    // The one that is written to and the next.
    assert!(machine.segments().len() <= 2, "{:?}", machine.segments());
}

#[test]
fn reclaiming_brings_nothing_back_that_is_settled_meanwhile() {
    let (machine, mut run) = begin();
    let messages = publish_some(&mut run, 100, 1_000);
    let settle_where = |run: &mut Running, which: &dyn Fn(u64) -> bool| {
        for (position, message) in (0..).zip(&messages).filter(|(position, _)| which(*position)) {
            run.append_one(settle(message, position, QUEUE));
        }
    };
    settle_where(&mut run, &|position| position % 10 > 0);
    run.write().unwrap();
    run.keep_all();
    let many = machine.segments().len();
    for _ in 0..10 {
        // Before the moves are written, in the same batch, and after.
        settle_where(&mut run, &|position| position == 30);
        run.keep_all();
        settle_where(&mut run, &|position| position == 40);
        run.write().unwrap();
        settle_where(&mut run, &|position| position == 50);
        run.write().unwrap();
        run.keep_all();
    }
    let left = [0, 10, 20, 60, 70, 80, 90];
    assert!(machine.segments().len() < many, "nothing was reclaimed");
    assert_eq!(positions(&run.load(QUEUE, 1_000)), left);
    assert_eq!(after_power_cut(&machine), left);
}

#[test]
fn a_checkpoint_that_fails_and_then_works_again_loses_nothing() {
    let (machine, mut run) = begin();
    run.keep_all();
    let messages = publish_some(&mut run, 40, 1_000);
    run.append(vec![declare(QueueId(5)), delete(QueueId(2))], false);
    for (position, message) in (0..20).zip(&messages) {
        run.append_one(settle(message, position, QUEUE));
    }
    run.write().unwrap();
    machine.kv.store.lock().set_failing(true);
    run.keep_all();
    run.keep_all();
    assert_eq!(after_power_cut(&machine), (20..40).collect::<Vec<_>>());
    machine.kv.store.lock().set_failing(false);
    run.keep_all();
    assert!(!machine.segments().contains(&SegmentId(1)), "the log does not shrink again");
    let (run, restored, report) = machine.power_cut(1).start().unwrap();
    assert!(!report.state_lost);
    assert_eq!(positions(&run.load(QUEUE, 1_000)), (20..40).collect::<Vec<_>>());
    let mut queues: Vec<u64> = restored.contents.keys().map(|id| id.0).collect();
    queues.sort_unstable();
    assert_eq!(queues, [1, 3, 4, 5]);
}

#[test]
fn a_definitions_file_that_cannot_be_written_costs_no_derived_state() {
    let (machine, mut run) = begin();
    run.keep_all();
    run.append_one(declare(QueueId(5)));
    run.write().unwrap();
    machine.disk.set_capacity(0);
    run.keep_all();
    run.keep_all();
    let machine = machine.power_cut(2);
    let (mut run, restored, report) = machine.start().unwrap();
    assert!(!report.state_lost && restored.contents.contains_key(&QueueId(5)));
    run.keep_all();
}

#[test]
fn definitions_that_a_crash_left_behind_are_renewed() {
    for n in 1..=4 {
        let (machine, mut run) = begin();
        run.keep_all();
        run.append_one(declare(QueueId(5)));
        let messages = publish_some(&mut run, 40, 1_000);
        for (position, message) in (0..40).zip(&messages) {
            run.append_one(settle(message, position, QUEUE));
        }
        run.write().unwrap();
        // During the checkpoint, at each of its steps.
        machine.disk.crash_at(n);
        run.keep_all();
        let machine = machine.power_cut(2);
        let (mut run, _) = restarted(&machine);
        run.keep_all();
        let machine = machine.power_cut(2);
        machine.lose_state();
        let (_, restored, _) = machine.start().unwrap();
        assert!(restored.contents.contains_key(&QueueId(5)), "operation {n}");
    }
}

#[test]
fn without_the_key_value_store_nothing_is_missing_and_no_position_is_used_again() {
    let (machine, mut run) = begin();
    let messages = publish_some(&mut run, 60, 1_000);
    for (position, message) in (0..50).zip(&messages) {
        run.append_one(settle(message, position, QUEUE));
    }
    run.write().unwrap();
    run.keep_all();
    let early = machine.kv.store.lock().clone();
    let later = publish_more(&mut run, 60..90);
    run.append_one(settle(&later[0], 60, QUEUE));
    run.write().unwrap();
    run.keep_all();
    let must: Vec<u64> = (50..90).filter(|position| *position != 60).collect();
    let damage: [&dyn Fn(&Machine); 3] =
        [&|machine| machine.lose_state(), &|machine| *machine.kv.store.lock() = early.clone(), &|machine| {
            machine.kv.store.lock().image().values_mut().for_each(|value| value.truncate(1));
        }];
    for damage in damage {
        let machine = machine.power_cut(1);
        damage(&machine);
        let (run, restored, report) = machine.start().unwrap();
        let there = run.load(QUEUE, 1_000);
        assert!(must.iter().all(|position| positions(&there).contains(position)));
        assert!(there.iter().all(|loaded| loaded.redelivered));
        assert!(restored.contents[&QUEUE].next_position >= 90, "{report:?}");
    }
}

fn publish_more(run: &mut Running, positions: std::ops::Range<u64>) -> Vec<Message> {
    let messages: Vec<Message> = positions.clone().map(|_| message(1_000)).collect();
    for (position, message) in positions.zip(&messages) {
        run.append_one(publish(message, position, &[QUEUE]));
    }
    run.write().unwrap();
    messages
}

#[test]
fn a_broker_that_wrote_nothing_leaves_word_that_it_ran() {
    let machine = Machine::new(SEGMENT_BYTES);
    let (mut run, _, _) = machine.start().unwrap();
    run.append(QUEUES.map(declare).into(), false);
    publish_some(&mut run, 3, 10);
    run.close().unwrap();
    for seed in 0..20 {
        let machine = machine.power_cut(seed);
        let (run, report) = restarted(&machine);
        assert!(report.clean && run.load(QUEUE, 1_000).iter().all(|loaded| !loaded.redelivered));
        // Consumers get messages and settle none; then the power goes.
        let (run, report) = restarted(&machine.power_cut(seed));
        assert!(
            !report.clean && run.load(QUEUE, 1_000).iter().all(|loaded| loaded.redelivered),
            "seed {seed}"
        );
    }
}

#[test]
fn what_was_delivered_before_a_crash_says_so_after_a_stop_without_a_checkpoint() {
    let (machine, mut run) = begin();
    publish_some(&mut run, 3, 10);
    run.keep_all();
    let machine = machine.power_cut(1);
    let (run, _) = restarted(&machine);
    machine.kv.store.lock().set_failing(true);
    run.close().unwrap();
    let machine = machine.power_cut(1);
    machine.kv.store.lock().set_failing(false);
    assert!(restarted(&machine).0.load(QUEUE, 1_000).iter().all(|loaded| loaded.redelivered));
}

#[test]
fn a_page_without_a_readable_message_leads_on_to_the_next() {
    let machine = Machine::new(256 * 1024);
    let (mut run, _, _) = machine.start().unwrap();
    run.append_one(declare(QUEUE));
    run.append((0..600).map(|position| publish(&message(100), position, &[QUEUE])).collect(), false);
    run.write().unwrap();
    let mut records = Vec::new();
    for id in machine.segments() {
        let segment = Segment::open(&*machine.folders().log, id).unwrap();
        let mut scan = segment.scan(FIRST_RECORD_OFFSET).unwrap();
        while let Some(scanned) = scan.advance().unwrap() {
            if let Scanned::Record { offset, kind: Kind::Publish, .. } = scanned {
                records.push((format!("{LOG}{}", id.file_name()), u64::from(offset)));
            }
        }
    }
    records[..550].iter().for_each(|(name, offset)| machine.disk.corrupt(name, offset + 90));
    assert_eq!(positions(&run.load(QUEUE, 1_000_000)), (550..600).collect::<Vec<_>>());
}

/// A damaged byte anywhere in a log of all kinds of records harms at most the record that it is in.
#[test]
fn a_flipped_bit_harms_one_record_at_most() {
    let (machine, mut run) = begin();
    let messages = publish_some(&mut run, 12, 100);
    run.append_one(settle(&messages[3], 3, QUEUE));
    run.append_one(settle(&messages[4], 4, QUEUE));
    let attempts = Attempts { returned: 2, failed: 1 };
    run.append_one(Change::Return {
        placement: at(QUEUE, 5),
        attempts,
        due: 0,
        message: Some(messages[5].clone()),
    });
    run.write().unwrap();
    run.append_one(topology(TopologyChange::ExchangeDeleted(ShortString::from_static("x"))));
    run.close().unwrap();
    let name = SegmentId(1).file_name();
    let bytes = machine.folders().log.read(&name).unwrap().unwrap();
    let must: Vec<u64> = vec![0, 1, 2, 5, 6, 7, 8, 9, 10, 11];
    for offset in (FIRST_RECORD_OFFSET as usize..bytes.len()).step_by(3) {
        for with_state in [true, false] {
            let machine = machine.power_cut(0);
            machine.disk.corrupt(&format!("{LOG}{name}"), offset as u64);
            if !with_state {
                machine.lose_state();
                machine.folders().root.remove("definitions").unwrap();
            }
            let (run, restored, _) = machine.start().unwrap();
            let queues = QUEUES.iter().filter(|id| restored.contents.contains_key(*id)).count();
            let there = positions(&run.load(QUEUE, 1_000));
            let missing = must.iter().filter(|position| !there.contains(position)).count();
            let back = there.iter().filter(|position| [3, 4].contains(*position)).count();
            if restored.contents.contains_key(&QUEUE) {
                let harmed = (4 - queues) + missing + back.min(1);
                assert!(harmed <= 1, "offset {offset}: {queues} queues, {there:?}");
            } else {
                assert_eq!(queues, 3, "offset {offset}");
            }
        }
    }
}
