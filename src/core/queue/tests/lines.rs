//! Messages of several priorities are one list, in order of their positions.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use crate::core::{
    change::{Attempts, Change, Changes},
    entry::Entry,
    message::{Message, View, build_image},
    pager::{Page, RestoredRange},
    placement::{QueueId, position_of},
    queue::{line::Front, ready::Ready},
};

const QUEUE: QueueId = QueueId(1);

#[derive(Debug, Clone)]
enum Operation {
    /// Into a line, with a body of so many bytes.
    Push(u8, usize),
    Pop,
    /// One of those that were popped comes back.
    Requeue(usize),
    /// Everything is taken out.
    Purge,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (prop_oneof![0..4_u8, Just(63), Just(64), Just(255)], 0..20_usize)
            .prop_map(|(line, size)| Operation::Push(line, size)),
        4 => Just(Operation::Pop),
        2 => (0..8_usize).prop_map(Operation::Requeue),
        1 => prop::bool::weighted(0.2).prop_map(|it| if it { Operation::Purge } else { Operation::Pop }),
    ]
}

fn entry(position: u64, body_bytes: usize) -> Entry {
    let (layout, image) = build_image(b"", b"q", &[0, 0], &[&vec![0; body_bytes]], false);
    let message = Message::uncounted(View::new(layout, &image), 0);
    Entry { message, position, attempts: Attempts::default(), redelivered: false, journaled: true }
}

fn front(ready: &Ready) -> Option<u64> {
    match ready.front()? {
        Front::Entry(entry) => Some(entry.position),
        Front::Paged(paged) => Some(paged.first),
    }
}

proptest! {
    #[test]
    fn lines_are_one_sorted_list(operations in vec(operation(), 0..200), lines in 1..=256_usize) {
        let mut ready = Ready::new(lines);
        let mut model: BTreeMap<u64, usize> = BTreeMap::new();
        let mut popped: Vec<(u64, usize)> = Vec::new();
        for (counter, operation) in (0_u64..).zip(operations) {
            match operation {
                Operation::Push(line, size) => {
                    let line = line.min((lines - 1) as u8);
                    let position = position_of(line, counter);
                    ready.push(entry(position, size));
                    model.insert(position, size);
                }
                Operation::Pop => {
                    let expected = model.pop_first();
                    prop_assert_eq!(ready.pop().map(|entry| entry.position), expected.map(|it| it.0));
                    popped.extend(expected);
                }
                Operation::Requeue(at) if !popped.is_empty() => {
                    let (position, size) = popped.swap_remove(at % popped.len());
                    ready.requeue(entry(position, size));
                    model.insert(position, size);
                }
                Operation::Requeue(_) => {}
                Operation::Purge => {
                    let mut changes = Changes::new();
                    ready.take_all().settle_some(QUEUE, usize::MAX, &mut changes);
                    let settled = changes.iter().map(|change| match change {
                        Change::Settle { placement, .. } => placement.position,
                        other => panic!("{other:?}"),
                    });
                    let mut settled: Vec<_> = settled.collect();
                    settled.sort_unstable();
                    prop_assert!(settled.into_iter().eq(model.keys().copied()));
                    model.clear();
                }
            }
            prop_assert_eq!(front(&ready), model.first_key_value().map(|it| *it.0));
            prop_assert_eq!((ready.len(), ready.is_empty()), (model.len(), model.is_empty()));
            prop_assert_eq!(ready.body_bytes(), model.values().sum::<usize>());
        }
        let rest: Vec<_> = std::iter::from_fn(|| ready.pop()).map(|entry| entry.position).collect();
        prop_assert!(rest.into_iter().eq(model.into_keys()));
        prop_assert_eq!((ready.bytes(), ready.resident_bytes()), (0, 0));
    }
}

#[test]
fn each_line_comes_back_from_disk_in_its_turn() {
    let range = |line, first: u64| RestoredRange {
        first: position_of(line, first),
        last: position_of(line, first + 9),
        count: 1,
        bytes: 100,
    };
    let mut ready = Ready::restored(3, &[range(0, 50), range(2, 10), range(2, 30)]);
    assert_eq!((ready.len(), ready.bytes()), (3, 300));
    for expected in [position_of(0, 50), position_of(2, 10), position_of(2, 30)] {
        let Some(Front::Paged(paged)) = ready.front() else { panic!("it is on disk") };
        assert_eq!(paged.first, expected);
        assert!(ready.pop().is_none());
        ready.loaded(paged, Page::default(), 0, |_, due| due);
    }
    assert!(ready.is_empty());
}

#[test]
fn a_line_that_the_queue_no_longer_has_is_the_last_one() {
    let mut ready = Ready::new(2);
    ready.push(entry(position_of(1, 0), 1));
    ready.push(entry(position_of(5, 1), 1));
    assert_eq!(ready.len(), 2);
    assert_eq!(ready.pop().map(|entry| entry.position), Some(position_of(1, 0)));
    assert_eq!(ready.pop().map(|entry| entry.position), Some(position_of(5, 1)));
}
