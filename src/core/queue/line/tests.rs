//! What a line holds, in memory and on disk.

use super::*;
use crate::core::{
    change::Attempts,
    message::{View, build_image},
    pager::Loaded,
};

const QUEUE: QueueId = QueueId(1);

fn message() -> Message {
    let (layout, image) = build_image(b"", b"q", &[0, 0], &[b"x"], false);
    Message::uncounted(View::new(layout, &image), 0)
}

fn entry(position: u64) -> Entry {
    Entry {
        message: message(),
        position,
        attempts: Attempts::default(),
        redelivered: false,
        journaled: false,
    }
}

fn on_disk(position: u64) -> Entry {
    let entry = Entry { journaled: true, ..entry(position) };
    entry.message.set_stage(Stage::Written);
    entry
}

fn drain(line: &mut Line) -> Vec<u64> {
    std::iter::from_fn(|| line.pop()).map(|entry| entry.position).collect()
}

fn restored(ranges: &[RestoredRange]) -> Line {
    let mut line = Line::default();
    line.restore(ranges);
    line
}

fn all_bytes(line: &Line) -> usize {
    line.resident.bytes + line.paged.bytes
}

fn paged_front(line: &Line) -> Option<Paged> {
    match line.front() {
        Some(Front::Paged(paged)) => Some(paged),
        _ => None,
    }
}

fn page(positions: impl IntoIterator<Item = u64>, rest_from: Option<u64>) -> Page {
    let loaded = |position| Loaded {
        position,
        attempts: Attempts::default(),
        due: 0,
        redelivered: false,
        message: message(),
    };
    Page { messages: positions.into_iter().map(loaded).collect(), rest_from }
}

#[test]
fn requeued_messages_return_to_their_original_position() {
    let mut line = Line::default();
    for position in [0, 1, 4, 5] {
        line.push(entry(position));
    }
    for position in [3, 2, 6] {
        line.requeue(entry(position));
    }
    assert!(matches!(line.front(), Some(Front::Entry(entry)) if entry.position == 0));
    assert_eq!(drain(&mut line), [0, 1, 2, 3, 4, 5, 6]);
    assert!((line.total().count == 0));
    assert_eq!(all_bytes(&line), 0);
}

#[test]
fn order_holds_over_many_blocks_and_the_memory_is_given_back() {
    let mut line = Line::default();
    for position in 0..5_000 {
        line.push(entry(position));
    }
    assert_eq!(line.total().count, 5_000);
    assert!(drain(&mut line).into_iter().eq(0..5_000));
    assert_eq!((line.total().count, line.blocks.capacity(), all_bytes(&line)), (0, 0, 0));
}

#[test]
fn a_long_queue_keeps_its_head_and_its_tail_in_memory() {
    let mut line = Line::default();
    for position in 0..10 * BLOCK_ENTRIES_MAX as u64 {
        if line.push(on_disk(position)) {
            line.page_out(0);
        }
    }
    let bytes = 10 * BLOCK_ENTRIES_MAX * message().size_bytes();
    assert_eq!(all_bytes(&line), bytes);
    assert_eq!(line.resident.bytes, bytes / 10 * (HEAD_BLOCKS + 1));
    assert_eq!(line.total().count, 10 * BLOCK_ENTRIES_MAX);
    let head = HEAD_BLOCKS as u64 * BLOCK_ENTRIES_MAX as u64;
    assert!(drain(&mut line).into_iter().eq(0..head));
    let asked = paged_front(&line).unwrap();
    assert_eq!((asked.first, asked.last), (head, head + BLOCK_ENTRIES_MAX as u64 - 1));
}

#[test]
fn what_is_not_on_disk_yet_stays_in_memory() {
    let mut line = Line::default();
    for position in 0..10 * BLOCK_ENTRIES_MAX as u64 {
        line.push(Entry { journaled: true, ..entry(position) });
    }
    line.page_out(0);
    assert_eq!(line.resident.bytes, all_bytes(&line));
}

#[test]
fn a_page_takes_the_place_of_the_front_and_the_rest_stays_on_disk() {
    let range = RestoredRange { first: 10, last: 20, count: 6, bytes: 600 };
    let mut line = restored(&[range]);
    let asked = paged_front(&line).unwrap();
    assert!(line.pop().is_none(), "it has to be read first");
    line.loaded(asked, page([10, 12], Some(14)), 0, |_, due| due);
    line.loaded(asked, page([10, 12], Some(14)), 0, |_, due| due);
    assert_eq!(line.total().count, 6);
    assert_eq!(drain(&mut line), [10, 12]);
    let rest = paged_front(&line).unwrap();
    assert_eq!((rest.first, rest.last), (14, 20));
    line.loaded(rest, page([15], None), 0, |_, due| due);
    assert_eq!(line.total().count, 1, "what cannot be read is not waited for");
    assert_eq!(drain(&mut line), [15]);
    assert_eq!(all_bytes(&line), 0);
}

#[test]
fn a_requeued_message_goes_before_a_paged_front() {
    let mut line = restored(&[RestoredRange { first: 10, last: 20, count: 6, bytes: 600 }]);
    line.requeue(entry(3));
    assert_eq!(drain(&mut line), [3]);
    assert!(paged_front(&line).is_some());
}

#[test]
fn under_pressure_everything_but_the_first_block_and_the_last_goes_to_disk() {
    let mut line = Line::default();
    for position in 0..4 * BLOCK_ENTRIES_MAX as u64 {
        line.push(entry(position));
    }
    let mut changes = Changes::new();
    assert!(!line.page_out_all(false, QUEUE, &mut changes, &mut Vec::new()));
    assert_eq!(changes.len(), 2 * BLOCK_ENTRIES_MAX);
    assert_eq!(line.resident.bytes, all_bytes(&line), "it is not there yet");
    for change in changes.drain(..) {
        let Change::Publish { message, transient: true, .. } = change else { panic!("{change:?}") };
        message.set_stage(Stage::Written);
    }
    line.page_out_all(false, QUEUE, &mut changes, &mut Vec::new());
    assert!(changes.is_empty());
    assert_eq!(line.resident.bytes, all_bytes(&line) / 2);
}

#[test]
fn a_purge_settles_what_the_journal_knows() {
    let mut line = restored(&[RestoredRange { first: 10, last: 20, count: 6, bytes: 600 }]);
    line.push(on_disk(30));
    line.push(entry(31));
    let mut changes = Changes::new();
    line.settle_some(QUEUE, &mut { usize::MAX }, &mut changes);
    assert!(matches!(
        changes[..],
        [
            Change::SettleRange { queue: QUEUE, first: 10, last: 20 },
            Change::Settle { placement: Placement { queue: QUEUE, position: 30 }, .. }
        ]
    ));
}

#[test]
fn a_block_begins_with_places_for_as_many_as_the_one_before_it_and_small_behind_what_is_on_disk() {
    let mut line = Line::default();
    let capacity = |line: &Line| line.blocks.back().map_or(0, Block::capacity);
    assert!(line.push(on_disk(0)));
    let first = capacity(&line);
    let mut positions = 1..;
    while !line.push(on_disk(positions.next().unwrap())) {}
    assert_eq!(capacity(&line), BLOCK_ENTRIES_MAX);
    let before = line.capacity_bytes();
    line.page_out_all(true, QUEUE, &mut Changes::new(), &mut Vec::new());
    assert_eq!((line.resident.bytes, line.capacity), (0, 0));
    assert!(line.push(on_disk(positions.next().unwrap())));
    assert_eq!(capacity(&line), first);
    assert!(line.capacity_bytes() < before);
}

#[test]
fn places_of_a_page_that_was_read_are_no_more_than_its_messages() {
    let mut line = restored(&[RestoredRange { first: 10, last: 12, count: 3, bytes: 300 }]);
    line.loaded(paged_front(&line).unwrap(), page([10, 11, 12], None), 0, |_, due| due);
    assert_eq!(line.capacity, 3);
    assert_eq!(line.walked_capacity_bytes(), line.capacity_bytes());
}

#[test]
fn a_message_that_somebody_else_has_is_copied_for_the_journal_and_no_other() {
    let (shared, mut line) = (message(), Line::default());
    line.push(Entry { message: shared.clone(), ..entry(0) });
    line.push(entry(1));
    let at =
        |line: &Line| line.entries().map(|entry| entry.message.view().image().as_ptr()).collect::<Vec<_>>();
    let before = at(&line);
    line.page_out_all(true, QUEUE, &mut Changes::new(), &mut Vec::new());
    let after = at(&line);
    assert_ne!(before[0], after[0]);
    assert_eq!(before[1], after[1]);
}
