use std::sync::Arc;

use super::*;
use crate::core::wakes::tests::Count;
use crate::limits::MEMORY_FLOOR_BYTES;

#[test]
fn whoever_waits_for_half_of_the_limit_is_woken_once_by_who_passes_it() {
    let woken = Arc::new(Count::default());
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    let gauge = Gauge::new(1_000);
    assert_eq!(gauge.poll_half(&mut context), Poll::Pending);
    gauge.change_messages(499);
    assert_eq!(woken.take(), 0);
    gauge.change_messages(1);
    gauge.change_messages(100);
    assert_eq!((woken.take(), gauge.poll_half(&mut context)), (1, Poll::Ready(())));
    gauge.change_messages(-600);
    assert_eq!(gauge.poll_half(&mut context), Poll::Pending);
    let holder = Holder::new(gauge);
    Held::new(&holder, Kind::Assemblies).set(2_000);
    assert_eq!(woken.take(), 1, "of whatever kind");
}

#[test]
fn the_alarm_has_hysteresis() {
    let gauge = Gauge::new(1_000);
    gauge.change_messages(1_001);
    assert!(gauge.is_over());
    gauge.change_messages(-51);
    assert!(!gauge.is_over() && !gauge.has_recovered());
    gauge.change_messages(-50);
    assert!(gauge.has_recovered());
}

#[test]
fn what_threads_add_and_take_away_is_a_sum_whoever_does_it() {
    let gauge = Gauge::new(256 * 1024 * 1024);
    std::thread::scope(|scope| {
        for thread in 0..20 {
            scope.spawn(move || (0..1_000).for_each(|n| gauge.change_messages(n * (thread % 2 * 4 - 1))));
        }
    });
    assert_eq!(gauge.used_bytes(), 10 * (3 - 1) * 999 * 500);
    assert_eq!(gauge.used_bytes_of(Kind::Messages), gauge.used_bytes());
}

#[test]
fn the_last_part_of_a_share_is_for_those_who_hold_little() {
    let gauge = Gauge::new(100_000);
    let share = gauge.share_bytes(Kind::Transactions);
    let (greedy, modest) = (Holder::new(gauge), Holder::new(gauge));
    let mut much = Held::new(&greedy, Kind::Transactions);
    assert_eq!(much.try_set(share), much.try_set(share / 4 * 3 + 1));
    much.try_set(share / 4 * 3).unwrap();
    let mut little = Held::new(&modest, Kind::Transactions);
    little.try_set(share / 8).unwrap();
    assert!(much.try_set(share / 4 * 3 + 1).is_err() && little.try_set(share / 4).is_err());
    assert_eq!(gauge.used_bytes_of(Kind::Transactions), share / 4 * 3 + share / 8);
    drop((much, little));
    assert_eq!((gauge.used_bytes(), gauge.used_bytes_of(Kind::Transactions)), (0, 0));
}

#[test]
fn a_little_is_everybodys_where_nothing_goes_on_without_it() {
    let gauge = Gauge::new(MEMORY_FLOOR_BYTES);
    let holders = [(); 9].map(|()| Holder::new(gauge));
    for holder in &holders {
        let mut held = Held::new(holder, Kind::Outboxes);
        held.try_set(MEMORY_FLOOR_BYTES).unwrap();
        assert!(held.try_set(MEMORY_FLOOR_BYTES + 1).is_err());
    }
}

#[test]
fn no_kind_can_keep_the_alarm_raised() {
    let counted = Kind::ALL.map(|kind| kind.share_percent()).into_iter().sum::<usize>();
    assert!(counted <= MEMORY_RESUME_PERCENT - 10, "{counted}");
}

#[test]
fn allocations_take_what_jemalloc_gives() {
    let sizes = [1, 16, 94, 128, 129, 161, 256, 257, 1_025, 4_097, 16_385];
    let taken = [16, 16, 96, 128, 160, 192, 256, 320, 1_280, 5_120, 20_480];
    assert_eq!(sizes.map(allocated_bytes), taken);
}
