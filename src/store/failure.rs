//! The one error that the store cannot go on after. What is on disk is in order, as a restart will find; what is in memory
//! cannot be added to it any more, so the broker stops. The first error counts; who stops the broker is not known here.

use std::panic::{AssertUnwindSafe, catch_unwind};

use parking_lot::Mutex;
use tokio::sync::watch;

/// The one error that ends the store.
pub struct Failure {
    reason: Mutex<Option<String>>,
    seen: watch::Sender<bool>,
}

impl Default for Failure {
    fn default() -> Self {
        Self { reason: Mutex::new(None), seen: watch::Sender::new(false) }
    }
}

impl Failure {
    /// It has happened. The first one counts.
    pub(super) fn report(&self, reason: &str) {
        tracing::error!(reason, "storage failed; the broker stops");
        self.reason.lock().get_or_insert_with(|| reason.to_owned());
        self.seen.send_replace(true);
    }

    /// Does a thread's work; a panic is a failure.
    pub(super) fn guard<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        // Whatever the work left half done is not looked at again: the broker stops.
        let done = catch_unwind(AssertUnwindSafe(work));
        if done.is_err() {
            self.report("a thread of the store panicked");
        }
        done.ok()
    }

    /// Waits for it.
    pub async fn happened(&self) -> String {
        let mut seen = self.seen.subscribe();
        // The sender is our own: it does not go while we look.
        let _alive = seen.wait_for(|seen| *seen).await;
        self.reason.lock().clone().unwrap_or_default()
    }

    /// What it was, if it has happened.
    pub fn reason(&self) -> Option<String> {
        self.reason.lock().clone()
    }
}
