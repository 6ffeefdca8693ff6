//! What becomes of a batch that the disk has no room for.

use super::*;
use crate::core::{
    change::Attempts,
    message::{View, build_image},
};

const QUEUE: QueueId = QueueId(7);
const POINT: AppendPoint = AppendPoint { salt: 1, offset: 0 };

fn message() -> Message {
    let (layout, image) = build_image(b"", b"q", &[0, 0], &[b"x"], false);
    Message::uncounted(View::new(layout, &image), 0)
}

/// What is settled: first and last position, and whether its message is not on disk.
type Settled = (u64, u64, bool);

/// A range, positions that are published, and what is taken back.
type Case<'a> = ((u64, u64), &'a [u64], &'a [Settled]);

fn settled_then_taken_back(settled: (u64, u64), published: &[u64]) -> Vec<Settled> {
    let mut encoder = Encoder::default();
    let mut changes: Changes = published
        .iter()
        .map(|&position| Change::Publish {
            message: message(),
            placements: [Placement { queue: QUEUE, position }].into_iter().collect(),
            transient: false,
        })
        .collect();
    let (first, last) = settled;
    changes.push(Change::SettleRange { queue: QUEUE, first, last });
    encoder.decide(&mut changes, &[], 0);
    for change in changes {
        encoder.single(change, POINT);
    }
    let taken_back = encoder.take_back().changes.into_iter();
    taken_back
        .filter_map(|change| match change {
            Change::Settle { placement, message } => {
                assert_eq!(placement.queue, QUEUE);
                Some((placement.position, placement.position, message.is_some()))
            }
            Change::SettleRange { queue, first, last } => {
                assert_eq!(queue, QUEUE);
                Some((first, last, false))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn a_range_is_taken_back_as_ranges_around_what_is_not_on_disk() {
    let far = 200 << 56;
    let cases: [Case<'_>; 9] = [
        ((1, far), &[], &[(1, far, false)]),
        ((5, 5), &[], &[(5, 5, false)]),
        ((5, 5), &[5], &[(5, 5, true)]),
        ((1, far), &[1], &[(1, 1, true), (2, far, false)]),
        ((1, far), &[far], &[(1, far - 1, false), (far, far, true)]),
        ((1, far), &[2], &[(1, 1, false), (2, 2, true), (3, far, false)]),
        ((1, far), &[7, 8], &[(1, 6, false), (7, 7, true), (8, 8, true), (9, far, false)]),
        ((5, far), &[4, far + 1], &[(5, far, false)]),
        ((0, u64::MAX), &[u64::MAX], &[(0, u64::MAX - 1, false), (u64::MAX, u64::MAX, true)]),
    ];
    for (settled, published, taken_back) in cases {
        assert_eq!(settled_then_taken_back(settled, published), taken_back, "{settled:?} with {published:?}");
    }
}

#[test]
fn the_last_word_of_a_message_s_returns_stays_the_last() {
    let (mut encoder, message) = (Encoder::default(), message());
    let placement = Placement { queue: QUEUE, position: 3 };
    let until = |due| Change::Return {
        placement,
        attempts: Attempts::default(),
        due,
        message: Some(message.clone()),
    };
    let mut changes = vec![Change::Publish {
        message: message.clone(),
        placements: [placement].into_iter().collect(),
        transient: false,
    }];
    encoder.decide(&mut changes, &[], 0);
    // The first comes before its message is on disk, and that is while the batch goes on.
    encoder.single(until(5), POINT);
    message.set_stage(Stage::Written);
    encoder.single(until(4), POINT);
    encoder.note_early();
    encoder.rest(POINT);
    encoder.single(until(7), POINT);
    let taken_back = encoder.take_back().changes.into_iter();
    let dues: Vec<_> = taken_back
        .filter_map(|change| match change {
            Change::Return { due, .. } => Some(due),
            _ => None,
        })
        .collect();
    assert_eq!(dues, [5, 4, 7]);
}
