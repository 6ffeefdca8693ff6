//! Waiting for a commit, for tasks that are no connection.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::core::{
    commit::{Commit, Done, Waiter},
    journal::Journal,
    outgoing::Outgoing,
};

/// Waits until a commit is complete.
pub(super) async fn completed(journal: &dyn Journal, commit: Commit) {
    if commit == Commit::default() {
        return;
    }
    let task = Arc::new(Task { commit, is_complete: Notify::new() });
    journal.notify(commit, task.clone());
    task.is_complete.notified().await;
}

/// A task that waits for one commit.
struct Task {
    commit: Commit,
    is_complete: Notify,
}

impl Waiter for Task {
    fn committed(self: Arc<Self>, done: &Done, _outgoing: &mut Outgoing) {
        if done.contains(self.commit) {
            self.is_complete.notify_one();
        }
    }
}
