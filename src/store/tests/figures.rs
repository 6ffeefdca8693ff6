//! The store's figures say what it did.

use super::machine::{Keep, LOG, Machine, Running};
use crate::{
    config::StoreConfig,
    core::{
        change::Change,
        message::{Message, View, build_image},
        placement::{Placement, QueueId},
    },
    protocol::{FieldTable, ShortString},
    store::{Snapshot, Store, files::sim::Operation},
};

const QUEUES: [QueueId; 2] = [QueueId(1), QueueId(2)];
const BODY_BYTES: u64 = 1_000;

fn declare(id: QueueId) -> Change {
    let name = ShortString::try_from(format!("q{}", id.0).as_bytes()).unwrap();
    let (auto_delete, arguments) = (false, FieldTable::new());
    let change = crate::core::change::TopologyChange::QueueDeclared { id, name, auto_delete, arguments };
    Change::Topology { vhost: ShortString::from_static("/"), change }
}

fn publish(position: u64, queues: &[QueueId]) -> (Change, Message) {
    let (layout, image) = build_image(b"", b"q1", &[0, 0], &[&[7; BODY_BYTES as usize]], true);
    let message = Message::uncounted(View::new(layout, &image), 0);
    let placements = queues.iter().map(|&queue| Placement { queue, position }).collect();
    (Change::Publish { message: message.clone(), placements, transient: false }, message)
}

/// What went into the log's files, but for headers of segments.
fn log_bytes(machine: &Machine) -> u64 {
    let of_log = |operation| match operation {
        Operation::Write { name, offset, len } if name.starts_with(LOG) && offset > 0 => Some(len),
        _ => None,
    };
    machine.disk.journal().into_iter().filter_map(of_log).sum()
}

fn syncs_of_log(machine: &Machine) -> u64 {
    let is_sync =
        |operation: &Operation| matches!(operation, Operation::Sync { name } if name.starts_with(LOG));
    machine.disk.journal().iter().filter(|operation| is_sync(operation)).count() as u64
}

fn now(run: &Running) -> Snapshot {
    run.parts.metrics.snapshot()
}

fn begin(segment_bytes: u32) -> (Machine, Running) {
    let machine = Machine::new(segment_bytes);
    let (mut run, _, _) = machine.start().unwrap();
    run.append(QUEUES.map(declare).into(), false);
    run.write().unwrap();
    (machine, run)
}

#[test]
fn a_batch_is_one_commit_however_many_changes_are_in_it() {
    let (machine, mut run) = begin(1 << 20);
    let (before, syncs) = (now(&run), syncs_of_log(&machine));
    for batch in 0..3 {
        for position in 0..4 {
            run.append_one(publish(batch * 4 + position, &QUEUES[..1]).0);
        }
        run.write().unwrap();
    }
    // Nothing to write is no commit.
    run.append(Vec::new(), false);
    run.write().unwrap();
    let after = now(&run);
    assert_eq!((after.commits - before.commits, after.records - before.records), (3, 12));
    assert_eq!(syncs_of_log(&machine) - syncs, 3);
    assert_eq!(after.batch, (4, 4));
}

#[test]
fn written_bytes_are_what_the_log_s_files_got() {
    let (machine, mut run) = begin(8 * 1024);
    assert_eq!(now(&run).write_amplification(), None);
    for position in 0..40 {
        run.append_one(publish(position, &QUEUES[..1]).0);
        run.write().unwrap();
    }
    assert_eq!(now(&run).written_bytes, log_bytes(&machine));
    // Footers count, too.
    let before = log_bytes(&machine);
    run.keep(Keep::Seal);
    assert!(log_bytes(&machine) > before);
    assert_eq!(now(&run).written_bytes, log_bytes(&machine));
}

#[test]
fn amplification_is_bytes_written_for_each_byte_of_a_body() {
    let (machine, mut run) = begin(1 << 20);
    for position in 0..10 {
        run.append_one(publish(position, &QUEUES).0);
    }
    run.write().unwrap();
    let figures = now(&run);
    assert_eq!(figures.payload_bytes, 10 * BODY_BYTES, "a body counts once, whoever has the message");
    let amplification = figures.write_amplification().unwrap();
    assert!((amplification - log_bytes(&machine) as f64 / 10_000.0).abs() < 1e-9);
    assert!((1.0..1.2).contains(&amplification), "{amplification}");
    assert!(figures.to_string().contains(&format!("({amplification:.2} for a body byte)")), "{figures}");
}

#[test]
fn what_was_settled_before_its_turn_counts_for_nothing() {
    let (_machine, mut run) = begin(1 << 20);
    let before = now(&run);
    let (change, message) = publish(0, &QUEUES[..1]);
    let placement = Placement { queue: QUEUES[0], position: 0 };
    run.append(vec![change, Change::Settle { placement, message: Some(message) }], false);
    run.write().unwrap();
    assert_eq!(now(&run), before);
}

#[test]
fn what_reclaiming_writes_again_raises_the_amplification_and_deleted_segments_are_counted() {
    let (machine, mut run) = begin(8 * 1024);
    let mut messages = Vec::new();
    for position in 0..60 {
        let (change, message) = publish(position, &QUEUES[..1]);
        run.append_one(change);
        run.write().unwrap();
        messages.push(message);
    }
    run.keep_all();
    let full = now(&run);
    for (position, message) in (0..).zip(messages).filter(|(position, _)| position % 10 > 0) {
        let placement = Placement { queue: QUEUES[0], position };
        run.append_one(Change::Settle { placement, message: Some(message) });
    }
    run.write().unwrap();
    for _ in 0..10 {
        run.keep_all();
        run.write().unwrap();
    }
    let sparse = now(&run);
    assert_eq!(sparse.payload_bytes, full.payload_bytes, "a body that moves is no new one");
    assert!(
        sparse.moved_bytes >= BODY_BYTES && sparse.written_bytes > full.written_bytes + sparse.moved_bytes
    );
    assert!(sparse.write_amplification() > full.write_amplification());
    assert!(sparse.segments_deleted > 3 && sparse.reclaimed_bytes > sparse.segments_deleted * 7_000);
    assert!(sparse.checkpoints > full.checkpoints);
    assert_eq!(sparse.written_bytes, log_bytes(&machine));
}

#[test]
fn a_store_at_work_shows_its_figures() {
    let folder = tempfile::tempdir().unwrap();
    let config = StoreConfig { segment_bytes: 1 << 20, disk_free_limit: 0 };
    let (store, opened) = Store::open(folder.path(), &config).unwrap();
    let metrics = store.metrics();
    assert!(!metrics.snapshot().recovery.is_zero());
    opened.journal.append(&mut QUEUES.map(declare).into(), false);
    for position in 0..50 {
        opened.journal.append(&mut vec![publish(position, &QUEUES[..1]).0], false);
    }
    store.close(std::time::Duration::from_mins(10)).unwrap();
    let figures = metrics.snapshot();
    assert_eq!((figures.records, figures.payload_bytes), (52, 50 * BODY_BYTES));
    assert!((1..=53).contains(&figures.commits) && figures.checkpoints > 0, "{figures}");
    assert!((1.0..1.3).contains(&figures.write_amplification().unwrap()), "{figures}");
}
