//! What a deleted or purged queue leaves behind, to be seen to when no lock is held, and in pieces.

use std::sync::Arc;

use crate::core::queue::{DispatchRound, SharedQueue, consumers::Consumers, delayed::Delayed, ready::Ready};
use crate::core::{
    change::Changes, placement::QueueId, seldom::Seldom, source::ConsumerRef, wakes::wake_all,
};
use crate::limits::CONSUMERS_TOLD_AT_ONCE_MAX;

/// Messages and consumers of a deleted queue, or nothing if there was no queue. Consumers are told in pieces, by
/// [`Self::tell_consumers`]; those that have not been told by then are told when this is dropped.
#[derive(Default)]
pub struct Deleted(Option<Left>);

struct Left {
    queue: Arc<SharedQueue>,
    ready: Ready,
    delayed: Seldom<Delayed>,
    consumers: Consumers,
}

impl Deleted {
    pub(super) fn new(
        queue: Arc<SharedQueue>,
        ready: Ready,
        delayed: Seldom<Delayed>,
        consumers: Consumers,
    ) -> Self {
        Self(Some(Left { queue, ready, delayed, consumers }))
    }

    /// Sees to some of what is left: consumers first, then `max` messages at most. Whether there is more.
    pub fn let_go(&mut self, max: usize) -> bool {
        if self.tell_consumers() {
            return true;
        }
        let Some(left) = &mut self.0 else { return false };
        // The journal knows that the queue is gone, and with it all of them.
        let mut known = Changes::new();
        left.ready.settle_some(left.queue.id, max, &mut known)
            || left.delayed.settle_some(left.queue.id, max, &mut known)
    }

    /// Messages that went with the queue: those that were ready, and those that waited to come again.
    pub fn message_count(&self) -> usize {
        self.0.as_ref().map_or(0, |left| left.ready.len() + left.delayed.len())
    }

    /// Tells some of the consumers by `basic.cancel`. True if there are more.
    pub fn tell_consumers(&mut self) -> bool {
        let Some(left) = &mut self.0 else { return false };
        let mut round = DispatchRound::default();
        for _ in 0..CONSUMERS_TOLD_AT_ONCE_MAX {
            let Some(consumer) = left.consumers.pop() else { break };
            let outbox = round.outbox(&consumer.spec.outbox);
            let channel = consumer.spec.channel;
            let who: ConsumerRef = (left.queue.clone(), consumer.id());
            outbox.cancel_consumer(channel, &consumer.spec.tag, &who);
            if let Some(starved_by) = consumer.starved_by() {
                outbox.forget_starved(&who.0, who.1, channel, starved_by);
            }
        }
        let (wakes, mut outgoing) = round.finish();
        wake_all(wakes);
        outgoing.wake_writers();
        !left.consumers.is_empty()
    }
}

/// Messages that were purged, to be settled in pieces.
pub struct Purged {
    queue: QueueId,
    ready: Ready,
    delayed: Seldom<Delayed>,
    count: usize,
}

impl Purged {
    pub(super) fn new(queue: QueueId, ready: Ready, delayed: Seldom<Delayed>) -> Self {
        Self { queue, count: ready.len() + delayed.len(), ready, delayed }
    }

    /// How many they were.
    pub fn message_count(&self) -> usize {
        self.count
    }

    /// Tells the journal of some of them, `max` at most. Whether there are more.
    pub fn settle_some(&mut self, max: usize, changes: &mut Changes) -> bool {
        self.ready.settle_some(self.queue, max, changes) || self.delayed.settle_some(self.queue, max, changes)
    }
}

impl Drop for Deleted {
    fn drop(&mut self) {
        while self.tell_consumers() {}
    }
}
