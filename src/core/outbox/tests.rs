//! What waits for the journal, and what does not.

use super::*;
use crate::core::{
    confirms::Outcome,
    memory::{Gauge, Kind},
    wakes::tests::Count,
};
use crate::limits::MEMORY_FLOOR_BYTES;

const FRAME_SIZE_BYTES_MAX: usize = 4_096;

fn outbox() -> Outbox {
    Outbox::new(FRAME_SIZE_BYTES_MAX, true)
}

/// Text in place of frames, with a commit before each that it waits for.
fn holding(free: &str, held: &[(u64, &str)]) -> Outbox {
    let mut outbox = outbox();
    outbox.send_frames(free.as_bytes());
    for (commit, text) in held {
        outbox.hold_back(Commit(*commit));
        outbox.send_frames(text.as_bytes());
    }
    outbox
}

fn poll(outbox: &mut Outbox, spare: &mut Vec<u8>) -> Poll<bool> {
    outbox.poll_take(spare, &mut Context::from_waker(Waker::noop()))
}

/// What the writer would send now; nothing if it would sleep.
fn sent(outbox: &mut Outbox) -> Vec<u8> {
    let mut bytes = Vec::new();
    let taken = poll(outbox, &mut bytes);
    assert_eq!(taken.is_ready(), !bytes.is_empty());
    outbox.written();
    bytes
}

fn done(last: u64) -> Done {
    Done::up_to(Commit(last))
}

fn done_except(last: u64, held_back: &[u64]) -> Done {
    let held_back: Vec<Commit> = held_back.iter().map(|commit| Commit(*commit)).collect();
    Done::except(Commit(last), &held_back)
}

/// A publish on a channel that waits for a commit.
fn publish(outbox: &mut Outbox, channel: u16, tag: u64, commit: u64) {
    let published = PublishRange { first: tag, last: tag, outcome: Outcome::Journaled };
    assert!(!outbox.confirm(channel, [published], Commit(commit)).is_empty());
}

/// Channel, tag and `multiple` of each `basic.ack`.
fn acks(bytes: &[u8]) -> Vec<(u16, u64, bool)> {
    let ack = |frame: &[u8]| {
        let (channel, tag) = (frame[1..3].try_into().unwrap(), frame[11..19].try_into().unwrap());
        (u16::from_be_bytes(channel), u64::from_be_bytes(tag), frame[19] == 1)
    };
    bytes.chunks(21).map(ack).collect()
}

// ---- answers ----

#[test]
fn an_answer_waits_for_its_commit_and_what_came_before_it_does_not() {
    let mut outbox = holding("before", &[(3, "answer, and after")]);
    assert_eq!(sent(&mut outbox), b"before");
    assert_eq!(sent(&mut outbox), b"");
    outbox.committed(&done(2));
    assert_eq!(sent(&mut outbox), b"");
    outbox.committed(&done(3));
    assert_eq!(sent(&mut outbox), b"answer, and after");
}

#[test]
fn answers_leave_in_the_order_in_which_they_were_given_whatever_commit_is_complete_first() {
    let mut outbox = holding("", &[(1, "a"), (2, "b"), (3, "c")]);
    outbox.committed(&done_except(3, &[1]));
    assert_eq!(sent(&mut outbox), b"");
    outbox.committed(&done_except(3, &[2]));
    assert_eq!(sent(&mut outbox), b"a");
    outbox.committed(&done(3));
    assert_eq!(sent(&mut outbox), b"bc");
}

#[test]
fn answers_that_share_a_commit_leave_together() {
    let mut outbox = holding("", &[(4, "a"), (4, "b"), (5, "c")]);
    outbox.committed(&done(4));
    assert_eq!(sent(&mut outbox), b"ab");
}

#[test]
fn what_is_complete_from_the_start_holds_nothing_back_once_that_is_told() {
    let mut outbox = holding("", &[(0, "a")]);
    outbox.committed(&done(0));
    assert_eq!(sent(&mut outbox), b"a");
}

#[test]
fn each_part_that_is_taken_leaves_the_rest_in_its_place() {
    let mut outbox = holding("one ", &[(1, "two "), (2, "three ")]);
    let mut spare = Vec::with_capacity(64);
    assert_eq!(poll(&mut outbox, &mut spare), Poll::Ready(true));
    assert_eq!((spare.as_slice(), outbox.pending_bytes()), (&b"one "[..], 14));
    // While the writer is at it, more comes, and a commit is complete.
    outbox.send_frames(b"four ");
    outbox.committed(&done(1));
    outbox.written();
    assert_eq!(outbox.pending_bytes(), 15);
    assert_eq!(sent(&mut outbox), b"two ");
    outbox.hold_back(Commit(3));
    outbox.send_frames(b"five");
    outbox.committed(&done(2));
    assert_eq!(sent(&mut outbox), b"three four ");
    outbox.committed(&done(3));
    assert_eq!(sent(&mut outbox), b"five");
    assert_eq!(outbox.pending_bytes(), 0);
}

#[test]
fn what_says_that_we_are_alive_overtakes_what_is_held_back_and_nothing_else() {
    let mut outbox = holding("a", &[(1, "b"), (2, "c")]);
    outbox.send_now(b"!");
    assert_eq!(sent(&mut outbox), b"a!");
    outbox.send_now(b"!");
    assert_eq!(sent(&mut outbox), b"!");
    outbox.send_now(b"!");
    outbox.committed(&done(1));
    assert_eq!(sent(&mut outbox), b"!b");
    outbox.committed(&done(2));
    outbox.send_now(b"!");
    assert_eq!(sent(&mut outbox), b"c!");
}

#[test]
fn the_writer_is_woken_for_what_may_leave_and_for_nothing_else() {
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let mut outbox = outbox();
    let mut sleep_and = |act: fn(&mut Outbox)| {
        let asleep = outbox.poll_take(&mut Vec::new(), &mut Context::from_waker(&waker));
        assert!(asleep.is_pending());
        act(&mut outbox);
        let woken = outbox.wake_writer().map(Waker::wake).is_some();
        let _taken = sent(&mut outbox);
        woken
    };
    assert!(sleep_and(|outbox| outbox.send_frames(b"a")));
    assert!(!sleep_and(|outbox| {
        outbox.hold_back(Commit(1));
        outbox.send_frames(b"b");
    }));
    assert!(!sleep_and(|outbox| outbox.committed(&done_except(1, &[1]))));
    assert!(sleep_and(|outbox| outbox.send_now(b"!")));
    assert!(sleep_and(|outbox| outbox.committed(&done(1))));
    assert_eq!(count.take(), 3);
}

#[test]
fn a_closed_outbox_sends_what_is_held_back_when_it_may_and_ends_then() {
    let mut outbox = holding("a", &[(1, "b")]);
    outbox.close();
    outbox.send_frames(b"late");
    outbox.send_now(b"late");
    assert_eq!(sent(&mut outbox), b"a");
    assert_eq!(poll(&mut outbox, &mut Vec::new()), Poll::Pending);
    outbox.committed(&done(1));
    assert_eq!(sent(&mut outbox), b"b");
    assert_eq!(poll(&mut outbox, &mut Vec::new()), Poll::Ready(false));
}

#[test]
fn nothing_waits_any_more_when_the_socket_is_gone() {
    let mut outbox = holding("a", &[(1, "b")]);
    outbox.abandon();
    assert_eq!(poll(&mut outbox, &mut Vec::new()), Poll::Ready(false));
    assert_eq!(outbox.pending_bytes(), 0);
}

// ---- confirms ----

#[test]
fn a_channel_is_confirmed_in_order_and_does_not_wait_for_another_ones_commit() {
    let mut outbox = outbox();
    outbox.open_window(1);
    outbox.open_window(2);
    for (channel, tag, commit) in [(1, 1, 1), (2, 1, 2), (1, 2, 3), (1, 3, 4)] {
        publish(&mut outbox, channel, tag, commit);
    }
    outbox.committed(&done_except(4, &[1, 3]));
    assert_eq!(acks(&sent(&mut outbox)), [(2, 1, false)]);
    outbox.committed(&done_except(5, &[3]));
    assert_eq!(acks(&sent(&mut outbox)), [(1, 1, false)]);
    outbox.committed(&done(6));
    assert_eq!(acks(&sent(&mut outbox)), [(1, 3, true)]);
    outbox.committed(&done(7));
    assert_eq!(sent(&mut outbox), b"");
}

#[test]
fn what_needs_no_disk_is_confirmed_at_once_and_waits_for_nothing() {
    let mut outbox = outbox();
    outbox.open_window(1);
    let transient = |first, last| PublishRange { first, last, outcome: Outcome::Taken };
    assert!(outbox.confirm(1, [transient(1, 3)], Commit::default()).is_empty());
    assert_eq!(acks(&sent(&mut outbox)), [(1, 3, true)]);
    publish(&mut outbox, 1, 4, 1);
    assert!(outbox.confirm(1, [transient(5, 6)], Commit(1)).is_empty());
    assert_eq!(acks(&sent(&mut outbox)), [(1, 5, false), (1, 6, false)]);
}

#[test]
fn a_confirm_stays_behind_an_answer_that_is_held_back() {
    let mut outbox = outbox();
    outbox.open_window(1);
    outbox.hold_back(Commit(1));
    publish(&mut outbox, 1, 1, 2);
    outbox.committed(&done_except(2, &[1]));
    assert_eq!(sent(&mut outbox), b"");
    outbox.committed(&done(2));
    assert_eq!(acks(&sent(&mut outbox)), [(1, 1, false)]);
}

#[test]
fn a_channel_that_closed_meanwhile_gets_no_confirm() {
    let mut outbox = outbox();
    outbox.open_window(1);
    outbox.open_window(2);
    publish(&mut outbox, 1, 1, 1);
    publish(&mut outbox, 2, 1, 1);
    outbox.close_window(1);
    // Opened again: its sequence numbers begin anew.
    outbox.open_window(1);
    outbox.committed(&done(1));
    assert_eq!(acks(&sent(&mut outbox)), [(2, 1, false)]);
    let published = PublishRange { first: 1, last: 1, outcome: Outcome::Journaled };
    assert!(outbox.confirm(3, [published], Commit(2)).is_empty(), "there is no such channel");
}

#[test]
fn outboxes_that_nobody_reads_share_what_is_there_for_them() {
    let gauge = Gauge::new(1_000_000);
    let [mut greedy, mut modest] = [(); 2].map(|()| {
        let mut outbox = outbox();
        outbox.count_on(&Holder::new(gauge));
        outbox
    });
    let share = gauge.share_bytes(Kind::Outboxes);
    greedy.send_frames(&vec![0; share]);
    assert!(!greedy.over_reply_budget(), "nobody has looked yet");
    greedy.wake_writer();
    assert!(gauge.used_bytes_of(Kind::Outboxes) >= share);
    modest.send_frames(&vec![0; MEMORY_FLOOR_BYTES]);
    modest.wake_writer();
    assert!(greedy.over_reply_budget() && !modest.over_reply_budget(), "a little is everybody's");
    drop(greedy.abandon());
    modest.send_frames(b"more");
    assert!(!modest.over_reply_budget());
    // Whoever has found room does not fill a share that others have used up since.
    greedy = outbox();
    greedy.count_on(&Holder::new(gauge));
    greedy.send_frames(&vec![0; share]);
    greedy.wake_writer();
    let mut found_bytes = 0;
    while !modest.over_reply_budget() {
        modest.send_frames(&[0; 4_096]);
        found_bytes += 4_096;
        assert!(found_bytes <= MEMORY_FLOOR_BYTES + 4_096);
    }
    drop((greedy, modest));
    assert_eq!(gauge.used_bytes(), 0);
}
