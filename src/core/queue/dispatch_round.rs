//! Hands deliveries to outboxes, holding each one's lock as long as deliveries go to it in a row.

use std::sync::Arc;

use parking_lot::{ArcMutexGuard, RawMutex};

use crate::core::{
    outbox::{Outbox, SharedOutbox},
    outgoing::Outgoing,
    wakes::Wakes,
};

/// One round of deliveries under a queue's lock.
#[derive(Default)]
pub struct DispatchRound {
    open: Option<ArcMutexGuard<RawMutex, Outbox>>,
    wakes: Wakes,
    outgoing: Outgoing,
}

impl DispatchRound {
    /// The outbox, locked; another one that was open is released first, so never two are held at once.
    #[inline]
    pub fn outbox(&mut self, outbox: &SharedOutbox) -> &mut Outbox {
        if !self.open.as_ref().is_some_and(|open| Arc::ptr_eq(ArcMutexGuard::mutex(open), outbox)) {
            self.release();
        }
        self.open.get_or_insert_with(|| outbox.lock_arc())
    }

    /// Releases the open outbox and remembers that it has something to send, or its writer to be woken.
    pub fn release(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        if open.is_direct() && self.outgoing.has_room() {
            let outbox = ArcMutexGuard::mutex(&open).clone();
            drop(open);
            self.outgoing.add(outbox);
        } else {
            self.wakes.extend(open.wake_writer());
        }
    }

    /// Ends the round: the tasks to wake when the queue's lock is released too, and what is to be sent when nothing else is to be
    /// done before it.
    pub fn finish(mut self) -> (Wakes, Outgoing) {
        self.release();
        (self.wakes, self.outgoing)
    }
}
