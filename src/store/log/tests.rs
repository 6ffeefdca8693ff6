//! What waits for the log's writer.

mod orders;

use std::{task::Waker, time::Duration};

use parking_lot::Mutex;

use super::*;
use crate::core::{
    change::Change,
    commit::Done,
    message::{Message, View, build_image},
    outbox::Outbox,
    placement::{Placement, QueueId},
};

#[test]
fn nothing_to_append_is_complete_at_once() {
    let pending = Pending::new(usize::MAX);
    let outbox = Arc::new(Mutex::new(Outbox::new(4_096, true)));
    let commit = pending.append(&mut Vec::new(), true);
    assert!(pending.is_done(commit));
    assert!(matches!(pending.take(Some(Duration::ZERO)), Taken::Nothing));
    outbox.lock().hold_back(commit);
    outbox.lock().send_frames(b"answer");
    pending.notify(commit, outbox.clone());
    let mut sent = Vec::new();
    let taken = outbox.lock().poll_take(&mut sent, &mut Context::from_waker(Waker::noop()));
    assert_eq!((taken, sent.as_slice()), (Poll::Ready(true), &b"answer"[..]));
}

#[test]
fn publishers_wait_when_very_much_is_written_aside() {
    let pending = Pending::new(1_000);
    let mut cx = Context::from_waker(Waker::noop());
    let (layout, image) = build_image(b"", b"q", &[0, 0], &[&[7; 1_000_000]], true);
    let message = Message::uncounted(View::new(layout, &image), 0);
    let group = |from: u64| -> Changes {
        let at = |position| Placement { queue: QueueId(1), position };
        let publish = |position| Change::Publish {
            message: message.clone(),
            placements: [at(position)].into(),
            transient: false,
        };
        (from..from + 300).map(publish).collect()
    };
    let first = pending.append(&mut group(0), true);
    assert!(pending.poll_room(&mut cx).is_ready(), "300 MB are in nobody's way");
    let second = pending.append(&mut group(300), true);
    assert!(pending.poll_room(&mut cx).is_pending(), "600 MB are too much");
    let Taken::Batch(batch, commit) = pending.take(Some(Duration::ZERO)) else { panic!("there are two") };
    assert_eq!((commit, batch.changes.len()), (first, 300));
    pending.complete(&Done::except(second, &[second]), batch.load);
    assert!(pending.poll_room(&mut cx).is_ready());
}

#[test]
fn a_commit_is_seen_to_when_the_writer_says_so_or_writes_no_more() {
    let pending = Pending::new(usize::MAX);
    let mut cx = Context::from_waker(Waker::noop());
    let mut poll = |commit| pending.poll_seen_to(Commit(commit), &mut cx).is_ready();
    assert_eq!((poll(0), poll(1)), (true, false));
    pending.seen_to(Commit(2));
    assert_eq!((poll(1), poll(2), poll(3)), (true, true, false));
    pending.close();
    assert!(poll(3));
}
