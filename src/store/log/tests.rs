//! What waits for the log's writer.

mod orders;

use std::{task::Waker, time::Duration};

use parking_lot::Mutex;

use super::*;
use crate::core::outbox::Outbox;

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
