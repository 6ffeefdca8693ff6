//! Waiting for a commit, for tasks that are no connection.

use std::{future::poll_fn, sync::Arc};

use parking_lot::Mutex;

use crate::core::{commit::Commit, journal::Journal, outbox::Outbox};
use crate::limits::FRAME_SIZE_BYTES_MAX;

/// Waits until a commit is complete.
pub(super) async fn completed(journal: &dyn Journal, commit: Commit) {
    if commit == Commit::default() {
        return;
    }
    // An outbox without a connection: its only octet leaves when the commit is complete.
    let mut outbox = Outbox::new(FRAME_SIZE_BYTES_MAX as usize, false);
    outbox.hold_back(commit);
    outbox.send_frames(&[0]);
    let outbox = Arc::new(Mutex::new(outbox));
    journal.notify(commit, &outbox);
    let mut octet = Vec::new();
    poll_fn(|cx| outbox.lock().poll_take(&mut octet, cx)).await;
}
