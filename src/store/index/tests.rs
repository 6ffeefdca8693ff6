//! Facts of the index; `model` drives it with random operations.

pub(in crate::store) mod model;

use super::*;
use crate::core::{
    change::Attempts,
    placement::{line_of, position_of},
};

fn came_back(returned: u16) -> Returned {
    Returned { attempts: Attempts { returned, failed: returned / 2 }, due: u64::from(returned) * 100 }
}

const A: SegmentId = SegmentId(1);
const B: SegmentId = SegmentId(2);
const QUEUE: QueueId = QueueId(1);

fn at(position: u64) -> Placement {
    Placement { queue: QUEUE, position }
}

/// One durable queue with live messages of 10 bytes at 0 up to `count` in the first segment.
fn index(count: u64) -> Index {
    let mut index = Index::new();
    index.add_queue(QUEUE);
    (0..count).for_each(|position| index.place(at(position), A, 10, false));
    index
}

fn use_of(index: &Index, segment: SegmentId) -> Option<(u64, u64)> {
    index.segments().get(&segment).map(|used| (used.live, used.bytes))
}

fn positions(index: &Index) -> Vec<u64> {
    index.live_in(QUEUE, 0, u64::MAX, usize::MAX).iter().map(|live| live.position).collect()
}

#[test]
fn placements_of_unknown_durable_queues_are_ignored() {
    let mut index = Index::new();
    index.place(at(1), A, 10, false);
    index.returned(at(1), came_back(3));
    assert!(!index.is_live(at(1)) && index.settle(at(1)).is_none() && !index.relocate(at(1), A, B, 1));
    assert_eq!(index.settle_range(QUEUE, 0, 9), RangeSettled::default());
    assert!(index.segments().is_empty() && index.restored(QUEUE).is_none());
    assert_eq!(index.take_changes(), IndexChanges::default());
}

#[test]
fn a_transient_queue_is_there_from_its_first_placement_and_in_no_checkpoint() {
    let mut index = Index::new();
    let queue = QueueId::transient(4);
    let placement = Placement { queue, position: 7 };
    index.place(placement, A, 10, false);
    assert_eq!(index.is_transient(placement), Some(true));
    assert_eq!((index.queues().count(), index.restored(queue), index.last_queue()), (0, None, 0));
    assert_eq!(index.take_changes(), IndexChanges::default());
    assert_eq!(index.settle(placement), Some(Settled { transient: true }));
    assert_eq!(use_of(&index, A), Some((0, 0)));
}

#[test]
fn settling_twice_gives_nothing_the_second_time() {
    let mut index = index(3);
    assert_eq!(index.settle(at(1)), Some(Settled { transient: false }));
    assert_eq!(index.settle(at(1)), None);
    assert_eq!(positions(&index), [0, 2]);
    assert_eq!(use_of(&index, A), Some((2, 20)));
}

#[test]
fn placing_a_live_message_again_moves_it() {
    let mut index = index(3);
    index.returned(at(1), came_back(4));
    index.place(at(1), B, 12, false);
    assert!(index.is_live_in(at(1), B) && !index.is_live_in(at(1), A));
    assert_eq!((use_of(&index, A), use_of(&index, B)), (Some((2, 20)), Some((1, 12))));
    assert_eq!(index.live_in(QUEUE, 1, 1, 9)[0].returned, came_back(4));
}

#[test]
fn only_what_is_live_in_the_old_segment_is_relocated() {
    let mut index = index(3);
    index.settle(at(0));
    assert!(!index.relocate(at(0), A, B, 10), "dead");
    assert!(index.relocate(at(1), A, B, 10));
    assert!(!index.relocate(at(1), A, B, 10), "moved");
    assert_eq!((use_of(&index, A), use_of(&index, B)), (Some((1, 10)), Some((1, 10))));
}

#[test]
fn a_removed_queue_leaves_nothing_live() {
    let mut index = index(2000);
    index.remove_queue(QUEUE);
    assert_eq!(use_of(&index, A), Some((0, 0)));
    assert!(!index.is_live(at(5)) && index.forget_segment(A) && index.segments().is_empty());
    index.place(at(2001), A, 10, false);
    assert!(!index.is_live(at(2001)));
}

#[test]
fn a_segment_with_live_messages_is_not_forgotten() {
    let mut index = index(1);
    assert!(!index.forget_segment(A) && use_of(&index, A).is_some());
    index.settle(at(0));
    assert!(index.forget_segment(A) && use_of(&index, A).is_none());
}

#[test]
fn what_was_in_a_missing_segment_is_dead() {
    let mut index = index(700);
    (600..1100).for_each(|position| index.place(at(position), B, 10, false));
    assert_eq!(index.settle_segment(A), RangeSettled { count: 600, durable: true });
    assert!(positions(&index).into_iter().eq(600..1100));
    assert_eq!((use_of(&index, A), use_of(&index, B)), (Some((0, 0)), Some((500, 5000))));
}

#[test]
fn a_range_is_settled_across_blocks_and_says_whether_anything_durable_was_there() {
    let mut index = index(2000);
    (2000..2010).for_each(|position| index.place(at(position), A, 10, true));
    assert_eq!(index.settle_range(QUEUE, 100, 1899), RangeSettled { count: 1800, durable: true });
    assert_eq!(index.settle_range(QUEUE, 2000, u64::MAX), RangeSettled { count: 10, durable: false });
    assert_eq!(index.settle_range(QUEUE, 50, 20), RangeSettled::default());
    assert_eq!(use_of(&index, A), Some((200, 2000)));
    assert!(positions(&index).into_iter().eq((0..100).chain(1900..2000)));
}

#[test]
fn a_page_holds_no_more_than_was_asked_for() {
    let index = index(2000);
    let page: Vec<u64> = index.live_in(QUEUE, 510, 1999, 4).iter().map(|live| live.position).collect();
    assert_eq!(page, [510, 511, 512, 513]);
    assert!(index.live_in(QUEUE, 9, 3, 10).is_empty() && index.live_in(QUEUE, 2000, 3000, 10).is_empty());
}

#[test]
fn what_came_with_the_highest_count_of_returns_holds_until_the_message_is_settled() {
    let mut index = index(2);
    for count in [2, 5, 3] {
        index.returned(at(1), came_back(count));
    }
    assert_eq!(index.live_in(QUEUE, 1, 1, 1)[0].returned, came_back(5));
    index.settle(at(1));
    index.returned(at(1), came_back(9));
    index.place(at(1), A, 10, false);
    assert_eq!(index.live_in(QUEUE, 1, 1, 1)[0].returned, Returned::default());
}

#[test]
fn a_full_count_of_returns_does_not_keep_a_later_time_from_being_known() {
    let mut index = index(1);
    let full = |due| Returned { attempts: Attempts { returned: u16::MAX, failed: 3 }, due };
    index.returned(at(0), full(7));
    index.returned(at(0), full(5));
    assert_eq!(index.live_in(QUEUE, 0, 0, 1)[0].returned, full(5));
    index.returned(at(0), came_back(4));
    assert_eq!(index.live_in(QUEUE, 0, 0, 1)[0].returned, full(5));
}

#[test]
fn the_next_position_is_above_the_counters_of_all_lines() {
    let mut index = index(2);
    index.place(at(position_of(9, 5)), A, 10, false);
    index.place(at(position_of(255, 3)), A, 10, false);
    assert_eq!(index.restored(QUEUE).unwrap().next_position, 6);
    index.place(at(position_of(0, 6)), A, 10, false);
    assert_eq!(index.restored(QUEUE).unwrap().next_position, 7);
    index.bump_positions(u64::MAX);
    assert_eq!(index.restored(QUEUE).unwrap().next_position, COUNTER_MAX + 1);
}

#[test]
fn what_comes_in_a_higher_line_is_no_more_redelivered_than_in_a_lower_one() {
    let mut index = Index::new();
    index.add_queue(QUEUE);
    index.place(at(position_of(9, 0)), A, 10, false);
    index.place(at(position_of(0, 1)), A, 10, false);
    index.mark_all_redelivered();
    index.place(at(position_of(0, 2)), A, 10, false);
    index.place(at(position_of(9, 3)), A, 10, false);
    let live = index.live_in(QUEUE, 0, u64::MAX, 9);
    let marks: Vec<_> = live.iter().map(|live| (live.position, live.redelivered)).collect();
    let high = |counter| position_of(9, counter);
    assert_eq!(marks, [(1, true), (2, false), (high(0), true), (high(3), false)]);
}

#[test]
fn a_range_of_a_restored_queue_lies_in_one_line() {
    let mut index = Index::new();
    index.add_queue(QUEUE);
    let highest = COUNTER_MAX - 700;
    for counter in (0..600).chain(highest..highest + 600) {
        index.place(at(position_of((counter % 3) as u8, counter)), A, 10, false);
    }
    let ranges = index.restored(QUEUE).unwrap().ranges;
    assert!(ranges.iter().all(|range| line_of(range.first) == line_of(range.last)));
    assert!(ranges.is_sorted_by(|one, other| one.last < other.first));
    assert_eq!(ranges.iter().map(|range| range.count).sum::<u32>(), 1200);
}

#[test]
fn lines_that_lie_far_apart_cost_no_more_than_their_blocks() {
    let mut index = Index::new();
    index.add_queue(QUEUE);
    for line in 0..=255 {
        index.place(at(position_of(line, u64::from(line))), A, 10, false);
    }
    let blocks = |changes: &[IndexChange]| {
        changes.iter().filter(|change| matches!(change, IndexChange::Block { .. })).count()
    };
    assert_eq!(blocks(&index.take_changes().changes), 256);
    assert_eq!(index.settle_range(QUEUE, position_of(1, 0), position_of(254, COUNTER_MAX)).count, 254);
    let gone = index.take_changes().changes;
    assert_eq!((gone.len(), blocks(&gone)), (254, 0));
    assert_eq!(positions(&index), [0, position_of(255, 255)]);
}

#[test]
fn after_an_unclean_stop_what_was_there_is_redelivered_and_what_comes_is_not() {
    let mut index = index(2);
    index.mark_all_redelivered();
    index.place(at(2), A, 10, false);
    let marks: Vec<bool> = index.live_in(QUEUE, 0, 9, 9).iter().map(|live| live.redelivered).collect();
    assert_eq!(marks, [true, true, false]);
}

#[test]
fn bumped_positions_are_never_used_again() {
    let mut index = index(2);
    index.bump_positions(1000);
    assert_eq!(index.restored(QUEUE).unwrap().next_position, 1002);
    index.place(at(7), A, 10, false);
    assert_eq!(index.restored(QUEUE).unwrap().next_position, 1002);
}

#[test]
fn a_queue_begins_with_a_range_for_each_block() {
    let mut index = index(1000);
    index.settle_range(QUEUE, 0, 9);
    index.settle(at(600));
    index.place(at(1000), A, 10, true);
    let ranges: Vec<_> = index.restored(QUEUE).unwrap().ranges;
    let ranges: Vec<_> =
        ranges.iter().map(|range| (range.first, range.last, range.count, range.bytes)).collect();
    assert_eq!(ranges, [(10, 511, 502, 5020), (512, 999, 487, 4870)]);
}

#[test]
fn a_block_that_came_and_went_between_two_checkpoints_costs_nothing() {
    let mut index = index(1);
    index.take_changes();
    for position in 1..100_000 {
        index.place(at(position), A, 10, false);
        index.settle(at(position));
    }
    let state = QueueState { id: QUEUE, next_position: 100_000, redelivered_below: 0 };
    let changes = index.take_changes().changes;
    assert_eq!(changes[0], IndexChange::Queue(state));
    assert!(matches!(changes[1..], [IndexChange::Block { number: 0, .. }]), "{changes:?}");
    assert!(index.take_changes().changes.is_empty());
}

#[test]
fn changes_are_counted_by_queues_blocks_and_removals() {
    let mut index = index(1000);
    assert!(index.has_changes(0) && index.has_changes(3) && !index.has_changes(4), "a queue and two blocks");
    index.take_changes();
    assert!(!index.has_changes(1));
    index.settle(at(0));
    assert!(index.has_changes(2) && !index.has_changes(3));
    index.remove_queue(QUEUE);
    assert!(index.has_changes(3) && !index.has_changes(4), "the queue goes, and both of its blocks");
    index.take_changes();
    assert!(!index.has_changes(1));
}

#[test]
fn a_block_that_the_checkpoint_has_is_taken_out_once() {
    let mut index = index(1);
    index.take_changes();
    index.settle(at(0));
    assert_eq!(index.take_changes().changes, [IndexChange::BlockGone { queue: QUEUE, number: 0 }]);
    assert!(index.take_changes().changes.is_empty());
}

#[test]
fn transient_messages_change_no_checkpoint() {
    let mut index = index(1);
    index.place(at(600), A, 10, true);
    index.take_changes();
    index.place(at(500), A, 10, true);
    index.returned(at(500), came_back(1));
    index.settle(at(500));
    index.settle(at(600));
    assert!(index.take_changes().changes.is_empty());
}

#[test]
fn a_queue_that_came_and_went_costs_only_its_id() {
    let mut index = index(600);
    index.remove_queue(QUEUE);
    assert_eq!(index.take_changes(), IndexChanges { last_queue: 1, changes: Vec::new() });
}

#[test]
fn a_removed_queue_is_taken_out_with_all_of_its_blocks() {
    let mut index = index(1000);
    index.take_changes();
    index.settle_range(QUEUE, 0, 511);
    index.place(at(1024), A, 10, false);
    index.remove_queue(QUEUE);
    let gone = |number| IndexChange::BlockGone { queue: QUEUE, number };
    assert_eq!(index.take_changes().changes, [gone(1), gone(0), IndexChange::QueueGone(QUEUE)]);
}

#[test]
fn everything_is_written_again_when_the_checkpoint_is_lost() {
    let mut index = index(1000);
    let all = index.take_changes();
    assert!(index.take_changes().changes.is_empty());
    index.forget_checkpoint();
    assert_eq!(index.take_changes(), all);
}

#[test]
fn inconsistent_states_are_refused() {
    let mut index = Index::new();
    let state = QueueState { id: QUEUE, next_position: 600, redelivered_below: 3 };
    let transient = QueueState { id: QueueId::transient(1), ..state };
    assert_eq!(index.restore_queue(&transient), Err(Inconsistent::Queue));
    let behind = QueueState { redelivered_below: 601, ..state };
    assert_eq!(index.restore_queue(&behind), Err(Inconsistent::Position));
    let no_counter = QueueState { next_position: COUNTER_MAX + 2, ..state };
    assert_eq!(index.restore_queue(&no_counter), Err(Inconsistent::Position));
    assert_eq!(index.restore_queue(&state), Ok(()));
    assert_eq!(index.restore_queue(&state), Err(Inconsistent::Twice));

    let part = |segment, first, last| Part { segment, bytes: 9, positions: Bitmap::range(first, last) };
    let image = |parts: &[Part], returned: &[(u16, u16)]| BlockImage {
        parts: parts.into(),
        returned: returned.iter().map(|&(at, count)| (at, came_back(count))).collect(),
    };
    let good = image(&[part(A, 3, 5), part(B, 6, 9)], &[(3, 1), (9, 2)]);
    for (number, image, error) in [
        (0, image(&[], &[]), Inconsistent::Parts),
        (0, image(&[part(A, 3, 5), part(B, 5, 6)], &[]), Inconsistent::Parts),
        (0, image(&[part(A, 3, 5), part(A, 6, 6)], &[]), Inconsistent::Parts),
        (0, image(&[part(SegmentId(0), 3, 5)], &[]), Inconsistent::Parts),
        (0, image(&[part(A, 3, 5)], &[(6, 1)]), Inconsistent::Returned),
        (0, image(&[part(A, 3, 5)], &[(3, 0)]), Inconsistent::Returned),
        (0, image(&[part(A, 3, 5)], &[(4, 1), (3, 1)]), Inconsistent::Returned),
        (0, image(&[part(A, 3, 5)], &[(700, 1)]), Inconsistent::Returned),
        (1, image(&[part(A, 88, 88)], &[]), Inconsistent::Position),
        (u64::MAX, good.clone(), Inconsistent::Position),
    ] {
        assert_eq!(index.restore_block(QUEUE, number, &image), Err(error), "{image:?}");
    }
    assert_eq!(index.restore_block(QueueId(2), 0, &good), Err(Inconsistent::Queue));
    assert_eq!(index.restore_block(QUEUE, 0, &good), Ok(()));
    assert_eq!(index.restore_block(QUEUE, 0, &good), Err(Inconsistent::Twice));
    assert!(positions(&index).into_iter().eq(3..=9));
}
